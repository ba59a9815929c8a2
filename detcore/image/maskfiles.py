"""The files that rasters of pixel masks come in: npy, HDF5, TIFF, EDF, and text as psana has it.

What a nonzero pixel of a file means is declared, by the caller or by the file itself, because guessing has gone wrong
before: ``nxmx`` are the bits of NXdetector, kept as they are (bit 31 alone does not reject); ``nonzero_bad`` is the
habit of pyFAI, silx and numpy.ma; ``nonzero_good`` that of LCLS and DIALS.
"""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, Literal

import h5py
import numpy as np

from detcore.core.heaps import check_heaps
from detcore.core.paths import atomic
from detcore.image import edf, numbertext, tiff
from detcore.image.checks import checked_raw_shape, checked_shape
from detcore.image.operationbase import BITS, good_pixels

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

Convention = Literal["nxmx", "nonzero_bad", "nonzero_good"]
CONVENTIONS = ("nxmx", "nonzero_bad", "nonzero_good")
DATASET = "/entry/instrument/detector/pixel_mask"
NOTE = "detcore_convention"
NPY = b"\x93NUMPY"
SUFFIXES = {
    ".npy": "npy", ".h5": "hdf5", ".hdf5": "hdf5", ".nxs": "hdf5", ".tif": "tiff", ".tiff": "tiff", ".edf": "edf",
    ".txt": "text", ".data": "text",
}  # fmt: skip
# NumPy reads the header of a .npy file as Python source, and lets through what that raises.
BAD_HEADER = (ValueError, TypeError, OverflowError, EOFError, SyntaxError, TokenError, RecursionError)


def read_pixel_mask(
    path: str | os.PathLike[str],
    *,
    convention: Convention | None,
    dataset: str = DATASET,
    modules: bool = False,
) -> NDArray[np.uint32]:
    """Read a raster from a file, which is recognised by its content.

    Parameters
    ----------
    path
        A .npy, HDF5, TIFF, EDF or text file. Sizes are checked before memory is taken, pickled objects and links to
        other files are refused.
    convention
        What its numbers mean. Bad pixels of `nonzero_bad` and `nonzero_good` get the user bit. None takes what the
        file says, and is an error if it does not: files of `write_pixel_mask` (but .npy) do, and so does an
        NXdetector.
    dataset
        Where it is in an HDF5 file.
    modules
        Whether a raster (module, y, x) is expected too. If not, a first axis of length one is dropped.

    Returns
    -------
    NDArray[np.uint32]
        (y, x) or (module, y, x), bits of NXdetector.

    Raises
    ------
    ValueError
        The file is of another format, damaged, or not a mask; or it says itself that the convention is another one.
    """
    return read_declared(path, convention, dataset, modules)[0]


def read_declared(
    path: str | os.PathLike[str], convention: Convention | None, dataset: str, modules: bool
) -> tuple[NDArray[np.uint32], Convention]:
    """Read a raster as `read_pixel_mask` does, and return the convention that was declared beside it."""
    _check(convention)
    path = Path(path)
    with path.open("rb") as stream:
        start = stream.read(512)
    noted: str | None = None
    if start.startswith(NPY):
        try:
            stored = np.load(path, mmap_mode="r", allow_pickle=False)
        except BAD_HEADER as error:
            msg = f"{path}: not a readable .npy file: {error}"
            raise ValueError(msg) from None
    elif h5py.is_hdf5(path):
        return _read_hdf5(path, convention, dataset, modules)
    elif tiff.is_tiff(start):
        stored, noted = tiff.read(path, NOTE)
    elif edf.is_edf(start):
        stored, noted = edf.read(path, NOTE)
    elif numbertext.is_numbers(start):
        stored, noted = numbertext.read(path, NOTE)
    else:
        msg = (
            f"{path}: neither a .npy nor an HDF5 file, nor TIFF, EDF or a text of numbers "
            f"(it begins with {start[:6]!r})"
        )
        raise ValueError(msg)
    convention = _declared(convention, noted, str(path))
    return _raster(stored, convention, str(path), modules), convention


def write_pixel_mask(
    path: str | os.PathLike[str],
    pixel_mask: NDArray[np.uint32],
    *,
    convention: Convention,
    dataset: str = DATASET,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write a raster; `path` is replaced at the end, in one step.

    Parameters
    ----------
    path
        A name that ends in .npy, .h5, .hdf5, .nxs, .tif, .tiff, .edf, .txt or .data (text as psana has it, modules
        below each other).
    pixel_mask
        (y, x) or (module, y, x) uint32, bits of NXdetector.
    convention
        `nxmx` writes the bits, the others uint8 with 0 and 1. All files but .npy note it beside the data.
    dataset
        Where to put it in an HDF5 file.
    notes
        Words by name that are written beside the data, in one line each; .npy files have no place for them.

    Raises
    ------
    ValueError
        The name has another ending, or the array is not a raster.

    Examples
    --------
    >>> import tempfile
    >>> name = tempfile.mkdtemp() + "/lines.npy"
    >>> write_pixel_mask(name, np.array([[0, 256], [2, 0]], np.uint32), convention="nonzero_good")
    >>> np.load(name).tolist(), read_pixel_mask(name, convention="nonzero_good").tolist()
    ([[1, 0], [0, 1]], [[0, 256], [256, 0]])
    """
    _check(str(convention))
    checked_raw_shape(pixel_mask.shape)
    if pixel_mask.dtype != np.uint32:
        msg = f"a uint32 raster expected, found {pixel_mask.dtype}"
        raise ValueError(msg)
    good = good_pixels(pixel_mask)
    stored = pixel_mask if convention == "nxmx" else (good if convention == "nonzero_good" else ~good).astype(np.uint8)
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        msg = (
            f"{path}: a pixel mask is written to .npy, .h5, .hdf5 or .nxs, to .tif, .tiff, .edf, .txt or .data, "
            f"not to {suffix or 'a name without ending'!r}"
        )
        raise ValueError(msg)
    words = {NOTE: convention, **{name: " ".join(text.split()) for name, text in (notes or {}).items()}}
    with atomic(path) as aside:
        match SUFFIXES[suffix]:
            case "npy":
                np.save(aside, stored, allow_pickle=False)
            case "tiff":
                tiff.write(aside, stored, words)
            case "edf":
                edf.write(aside, stored, words)
            case "text":
                numbertext.write(aside, stored, words)
            case _:
                with h5py.File(aside, "w") as file:
                    made = file.create_dataset(dataset, data=stored, compression="gzip", shuffle=True)
                    made.attrs.update(words)


def _check(convention: str | None) -> None:
    if convention is not None and convention not in CONVENTIONS:
        msg = f"convention is one of {', '.join(CONVENTIONS)}; found {convention!r}"
        raise ValueError(msg)


def _declared(convention: Convention | None, noted: object, where: str) -> Convention:
    """Return what the numbers mean, and refuse to guess it."""
    if noted is None or noted == "":
        if convention is None:
            msg = f"{where}: the file does not say what its numbers mean; give a convention: {', '.join(CONVENTIONS)}"
            raise ValueError(msg)
        return convention
    if convention is not None and noted != convention:
        msg = f"{where}: written as {noted!r}, but asked to read as {convention!r}"
        raise ValueError(msg)
    for known in CONVENTIONS:
        if noted == known:
            return known  # type: ignore[return-value]
    msg = f"{where}: says that its convention is {noted!r}; known are {', '.join(CONVENTIONS)}"
    raise ValueError(msg)


def _read_hdf5(
    path: Path, convention: Convention | None, dataset: str, modules: bool
) -> tuple[NDArray[np.uint32], Convention]:
    import hdf5plugin  # noqa: F401, PLC0415 - registers the filters of the detectors; nothing else needs them

    where = f"{path}:{dataset}"
    check_heaps(path)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        msg = f"{path}: not readable as HDF5: {error}"
        raise ValueError(msg) from None
    with file:
        found = file.get(dataset)
        if not isinstance(found, h5py.Dataset):
            msg = f"{where}: no such dataset in this file"
            raise ValueError(msg)  # noqa: TRY004 - the file is wrong, not the type of an argument
        if found.file.filename != file.filename or found.external or found.is_virtual:
            msg = f"{where}: its numbers are in another file; give that one"
            raise ValueError(msg)
        noted = found.attrs.get(NOTE)
        if noted is None and convention is None and _is_nexus(found):
            noted = "nxmx"
        convention = _declared(convention, noted, where)
        return _raster(found, convention, where, modules), convention


def _is_nexus(found: h5py.Dataset) -> bool:
    """Answer whether it is the field of NXdetector that the standard defines."""
    kind = found.parent.attrs.get("NX_class", b"")
    kind = kind.decode(errors="replace") if isinstance(kind, bytes) else kind
    return bool(kind == "NXdetector" and found.name.rsplit("/", 1)[-1].startswith("pixel_mask"))


def _raster(stored: Any, convention: Convention, where: str, modules: bool) -> NDArray[np.uint32]:
    """Check shape and type of an array or dataset, and only then read it."""
    shape = stored.shape[1:] if len(stored.shape) == 3 and stored.shape[0] == 1 and not modules else stored.shape
    try:
        (checked_raw_shape if modules else checked_shape)(shape)
    except ValueError as error:
        msg = f"{where}: {error}"
        raise ValueError(msg) from None
    if stored.dtype.kind not in ("biu" if convention == "nxmx" else "biuf"):
        msg = f"{where}: numbers expected for {convention!r}, found {stored.dtype}"
        raise ValueError(msg)
    try:
        values = np.asarray(stored[...]).reshape(shape)
    except OSError as error:
        msg = f"{where}: damaged or compressed with an unknown filter: {error}"
        raise ValueError(msg) from None
    if convention != "nxmx":
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            msg = f"{where}: holds values that are not numbers; is this an image instead of a mask?"
            raise ValueError(msg)
        bad = (values == 0) if convention == "nonzero_good" else (values != 0)
        return np.where(bad, np.uint32(1 << BITS["user"]), np.uint32(0))
    if values.dtype.itemsize > 4 and values.size and (values.min() < -(2**31) or values.max() >= 2**32):
        msg = f"{where}: values beyond 32 bits; is this an image instead of a mask?"
        raise ValueError(msg)
    return values.astype(np.uint32)  # a negative int32 keeps its bits
