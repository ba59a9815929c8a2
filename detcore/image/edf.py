"""EDF, the format of ESRF: a header of ``name = value ;`` lines in braces, then the numbers.

Only what masks need: one image without compression. Written from the description of the format at
https://www.silx.org/doc/fabio/latest/ (names of types, blocks of 512 bytes).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.image.checks import checked_raw_shape

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

BLOCK = 512
MAX_HEADER = 1 << 20
# Names of several programs and times.
TYPES = {
    "signedbyte": "i1", "unsignedbyte": "u1", "signedshort": "i2", "unsignedshort": "u2", "signedinteger": "i4",
    "unsignedinteger": "u4", "signedlong": "i4", "unsignedlong": "u4", "signed64": "i8", "unsigned64": "u8",
    "floatvalue": "f4", "float": "f4", "doublevalue": "f8", "double": "f8",
}  # fmt: skip
HARMLESS = str.maketrans("{};=", "()::")  # what the header is made of
WRITTEN = {"u1": "UnsignedByte", "u4": "UnsignedInteger"}


def is_edf(start: bytes) -> bool:
    """Answer from the first bytes of a file.

    Examples
    --------
    >>> is_edf(b"{ HeaderID = EH:000001 ;"), is_edf(b'{"json": 1}')
    (True, False)
    """
    text = start.lstrip()
    return text.startswith(b"{") and b"=" in text and b";" in text


def read(path: Path, note: str) -> tuple[NDArray[Any], str | None]:
    """Read the first image.

    Parameters
    ----------
    path
        The file.
    note
        A key of the header that is returned beside the image.

    Returns
    -------
    NDArray[Any]
        (y, x), or (module, y, x) with a third dimension.
    str | None
        The value of the key.

    Raises
    ------
    ValueError
        It is damaged, compressed, or its numbers are of an unknown type.
    """
    with path.open("rb") as stream:
        head = stream.read(MAX_HEADER)
        end = head.find(b"}")
        if end < 0:
            msg = f"{path}: the header of an EDF file ends with a brace, found none in {len(head)} bytes"
            raise ValueError(msg)
        header = _fields(head[head.find(b"{") + 1 : end])
        try:
            sizes = [int(header[f"dim_{axis}"]) for axis in (3, 2, 1) if axis < 3 or f"dim_{axis}" in header]
            shape = checked_raw_shape(sizes)
            order = {"lowbytefirst": "<", "highbytefirst": ">"}[header["byteorder"].lower()]
            dtype = np.dtype(order + TYPES[header["datatype"].lower()])
        except (KeyError, ValueError) as error:
            msg = f"{path}: not an EDF file that can be read here: {error} in its header"
            raise ValueError(msg) from None
        if header.get("compression", "none").lower() not in {"none", ""}:
            msg = f"{path}: compressed with {header['compression']!r:.40}; save it without compression"
            raise ValueError(msg)
        # The brace is followed by the end of its line, which the blocks are counted with.
        stream.seek(end + 1 + (2 if head[end + 1 : end + 3] == b"\r\n" else 1))
        expected = math.prod(shape) * dtype.itemsize
        raw = stream.read(expected)
    if len(raw) != expected:
        msg = f"{path}: {expected} bytes of numbers expected for {shape} {dtype}, found {len(raw)}; is it complete?"
        raise ValueError(msg)
    return np.frombuffer(raw, dtype).reshape(shape), header.get(note.lower())


def write(path: Path, image: NDArray[Any], notes: Mapping[str, str]) -> None:
    """Write one image, uint8 or uint32, (y, x) or (module, y, x)."""
    dims = {f"Dim_{axis}": size for axis, size in enumerate(reversed(image.shape), 1)}
    values = {
        "HeaderID": "EH:000001:000000:000000",
        "Image": 1,
        "ByteOrder": "LowByteFirst",
        "DataType": WRITTEN[image.dtype.str[1:]],
        **dims,
        "Size": image.nbytes,
        **{name: words.translate(HARMLESS) for name, words in notes.items()},
    }
    text = "{\n" + "".join(f"{name} = {value} ;\n" for name, value in values.items())
    text += " " * (-(len(text) + 2) % BLOCK) + "}\n"
    with path.open("wb") as stream:
        stream.write(text.encode("ascii", "replace"))
        stream.write(np.ascontiguousarray(image).astype(image.dtype.newbyteorder("<"), copy=False).tobytes())


def _fields(head: bytes) -> dict[str, str]:
    """Return the values by name in small letters."""
    pairs = (line.partition("=") for line in head.decode("latin-1").split(";"))
    return {name.strip().lower(): value.strip() for name, equals, value in pairs if equals}
