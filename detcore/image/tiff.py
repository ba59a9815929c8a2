"""TIFF, as far as masks need it: grey pages in strips, 1 to 32 bits, plain or with deflate or PackBits.

Tags from the TIFF 6.0 specification (https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf).
"""

from __future__ import annotations

import math
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.image.checks import MAX_PIXELS, checked_raw_shape, checked_shape

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, DESCRIPTION = 256, 257, 258, 259, 262, 270
OFFSETS, SAMPLES, ROWS, LENGTHS, PREDICTOR, TILE, FORMAT = 273, 277, 278, 279, 317, 322, 339
SIZES = {1: "B", 2: "s", 3: "H", 4: "I"}  # byte, text, short, long: what these tags are written as
DEFLATE = {8, 32946}
PACKBITS = 32773
MAX_PAGES = 10_000
MAX_STRIPS = 1_000_000


class _Bad(ValueError):
    """What is wrong, without the name of the file."""


def is_tiff(start: bytes) -> bool:
    r"""Answer from the first bytes of a file.

    Examples
    --------
    >>> is_tiff(b"II*\0"), is_tiff(b"II+\0")
    (True, False)
    """
    return start[:4] in {b"II*\0", b"MM\0*"}


def read(path: Path, note: str) -> tuple[NDArray[Any], str | None]:
    """Read all pages.

    Parameters
    ----------
    path
        The file.
    note
        What is before the equals sign in a line ``note=value`` of the description.

    Returns
    -------
    NDArray[Any]
        (y, x), or (page, y, x) of several.
    str | None
        The value of the note.

    Raises
    ------
    ValueError
        It is damaged, or uses something that masks are not written with; the message says what.
    """
    raw = path.read_bytes() if path.stat().st_size <= 4 * MAX_PIXELS + (1 << 20) else b""
    try:
        pages, description = _pages(raw)
        shapes = {page.shape for page in pages}
        if len(shapes) != 1:
            found = f"pages of different size: {sorted(shapes)[:3]}" if shapes else "no page"
            raise _Bad(found)
        checked_raw_shape((len(pages), *pages[0].shape))
    except (ValueError, struct.error, zlib.error, IndexError) as error:
        msg = f"{path}: not a TIFF mask that can be read here: {error}"
        raise ValueError(msg) from None
    notes = dict(line.split("=", 1) for line in description.splitlines() if "=" in line)
    return np.stack(pages) if len(pages) > 1 else pages[0], notes.get(note)


def write(path: Path, image: NDArray[Any], notes: Mapping[str, str]) -> None:
    """Write uint8 or uint32, (y, x) or as pages (module, y, x); not compressed, because fabio reads only that itself."""
    text = "\n".join(f"{name}={words}" for name, words in notes.items()).encode("ascii", "replace") + b"\0"
    out = bytearray(b"II*\0" + struct.pack("<I", 0))
    link = 4  # where the place of the next directory is written
    for page in image[None] if image.ndim == 2 else image:
        strip = page.astype(page.dtype.newbyteorder("<"), copy=False).tobytes()
        at_strip = len(out)
        out += strip + b"\0" * (len(strip) % 2)
        at_text = len(out)
        out += text + b"\0" * (len(text) % 2)
        struct.pack_into("<I", out, link, len(out))
        tags = [
            (WIDTH, 4, 1, page.shape[1]), (HEIGHT, 4, 1, page.shape[0]), (BITS, 3, 1, 8 * page.itemsize),
            (COMPRESSION, 3, 1, 1), (PHOTOMETRIC, 3, 1, 1), (DESCRIPTION, 2, len(text), at_text),
            (OFFSETS, 4, 1, at_strip), (SAMPLES, 3, 1, 1), (ROWS, 4, 1, page.shape[0]), (LENGTHS, 4, 1, len(strip)),
            (FORMAT, 3, 1, 1),
        ]  # fmt: skip
        out += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
        link = len(out)
        out += struct.pack("<I", 0)
    path.write_bytes(out)


def _pages(raw: bytes) -> tuple[list[NDArray[Any]], str]:
    if not raw:
        msg = "it is larger than the largest detector"
        raise _Bad(msg)
    order = "<" if raw[:2] == b"II" else ">"
    pages: list[NDArray[Any]] = []
    description, seen = "", set[int]()
    (at,) = struct.unpack_from(order + "I", raw, 4)
    while at:
        if at in seen or len(pages) >= MAX_PAGES:
            msg = f"its pages go in a circle, or are more than {MAX_PAGES}"
            raise _Bad(msg)
        seen.add(at)
        (count,) = struct.unpack_from(order + "H", raw, at)
        tags = dict(_tag(raw, order, at + 2 + 12 * i) for i in range(count))
        page = _page(raw, order, tags)
        if sum(one.size for one in pages) + page.size > MAX_PIXELS:
            msg = f"more than {MAX_PIXELS} pixels"
            raise _Bad(msg)
        pages.append(page)
        if not description and isinstance(text := tags.get(DESCRIPTION), bytes):
            description = text.rstrip(b"\0").decode("latin-1")
        (at,) = struct.unpack_from(order + "I", raw, at + 2 + 12 * count)
    return pages, description


def _tag(raw: bytes, order: str, at: int) -> tuple[int, Any]:
    """Return the number of a tag and its values: a tuple, or bytes of a text."""
    tag, kind, count = struct.unpack_from(order + "HHI", raw, at)
    letter = SIZES.get(kind)
    if letter is None or count > max(MAX_STRIPS, len(raw)):
        return tag, ()
    size = struct.calcsize(order + letter) * count
    start = at + 8 if size <= 4 else struct.unpack_from(order + "I", raw, at + 8)[0]
    values = struct.unpack_from(f"{order}{count}{letter}", raw, start)
    return tag, values[0] if letter == "s" else values


def _page(raw: bytes, order: str, tags: dict[int, Any]) -> NDArray[Any]:
    def one(tag: int, default: int | None = None) -> int:
        values = tags.get(tag, ())
        if not values and default is None:
            msg = f"tag {tag} is missing"
            raise _Bad(msg)
        return int(values[0]) if values else int(default or 0)

    height, width = checked_shape((one(HEIGHT), one(WIDTH)))
    bits, form, compression = one(BITS, 1), one(FORMAT, 1), one(COMPRESSION, 1)
    dtype = {(1, 1): "u1", (8, 1): "u1", (16, 1): "u2", (32, 1): "u4", (8, 2): "i1", (16, 2): "i2", (32, 2): "i4"}.get(
        (bits, form), "f4" if (bits, form) == (32, 3) else ""
    )
    odd = {
        "colours": one(SAMPLES, 1) != 1, "tiles": TILE in tags, "white as zero": one(PHOTOMETRIC, 1) == 0,
        f"{bits} bits of format {form}": not dtype, "a predictor": one(PREDICTOR, 1) != 1,
        f"compression {compression}": compression not in {1, PACKBITS, *DEFLATE},
    }  # fmt: skip
    if any(odd.values()):
        msg = f"{', '.join(name for name, found in odd.items() if found)}; save it as plain grey without compression"
        raise _Bad(msg)
    line = math.ceil(width * bits / 8)
    rows = min(one(ROWS, height), height) or height
    starts, lengths = tags.get(OFFSETS, ()), tags.get(LENGTHS, ())
    needed = math.ceil(height / rows)
    if len(starts) < needed or len(lengths) < needed:
        msg = f"{needed} strips expected, found {min(len(starts), len(lengths))}"
        raise _Bad(msg)
    parts = []
    for i in range(needed):
        size = line * min(rows, height - i * rows)
        strip = _unpacked(raw[starts[i] : starts[i] + lengths[i]], compression, size)
        if len(strip) < size:
            msg = f"strip {i} has {len(strip)} bytes, {size} expected; is it complete?"
            raise _Bad(msg)
        parts.append(strip[:size])
    numbers = np.frombuffer(b"".join(parts), np.dtype(order + dtype))
    if bits == 1:
        return np.unpackbits(numbers.reshape(height, line), axis=1)[:, :width]
    return numbers.reshape(height, width)


def _unpacked(strip: bytes, compression: int, size: int) -> bytes:
    if compression in DEFLATE:
        return zlib.decompressobj().decompress(strip, size)
    if compression != PACKBITS:
        return strip
    out, at = bytearray(), 0
    while at < len(strip) - 1 and len(out) < size:
        count = strip[at]
        if count < 128:
            out += strip[at + 1 : at + 2 + count]
            at += 2 + count
        elif count > 128:
            out += strip[at + 1 : at + 2] * (257 - count)
            at += 2
        else:
            at += 1
    return bytes(out)
