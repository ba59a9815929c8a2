"""A pixel mask as an ordered list of named operations, the raster that they give, and the files that rasters come in.

The list is the truth: every step can be renamed, moved, switched off or changed later, and is replayed on a new image.

What a nonzero pixel of a file means is declared by the caller, because files do not say and guessing has gone wrong
before: ``nxmx`` are the bits of NXdetector, kept as they are (bit 31 alone does not reject); ``nonzero_bad`` is the
habit of pyFAI, silx and numpy.ma; ``nonzero_good`` that of LCLS and DIALS.
"""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import h5py
import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from detcore.core.parameters import mapping_from_yaml, text_of
from detcore.core.paths import atomic
from detcore.image.checks import checked_shape, read_model
from detcore.image.operations import BITS, AnyOperation, good_pixels

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from detcore.image.operations import Arrays, Operation

Convention = Literal["nxmx", "nonzero_bad", "nonzero_good"]
CONVENTIONS = ("nxmx", "nonzero_bad", "nonzero_good")
DATASET = "/entry/instrument/detector/pixel_mask"
NOTE = "detcore_convention"
NPY = b"\x93NUMPY"
# NumPy reads the header of a .npy file as Python source, and lets through what that raises.
BAD_HEADER = (ValueError, TypeError, OverflowError, EOFError, SyntaxError, TokenError, RecursionError)
MAX_OPERATIONS = 1_000
MAX_TEXT = 4_000_000


class PixelMask(BaseModel):
    """Operations on the pixels of one detector, in order.

    Parameters
    ----------
    shape
        (rows, columns).
    operations
        Later ones see what earlier ones did.

    Examples
    --------
    >>> from detcore.image import PixelsOperation, Rectangle, RegionOperation
    >>> edge = RegionOperation(name="left edge", region=Rectangle(x0=0, y0=0, x1=2, y1=3))
    >>> dots = PixelsOperation(name="hot", pixels=[(3, 1)], bit="noisy")
    >>> pixel_mask = PixelMask(shape=(3, 4), operations=[edge, dots])
    >>> pixel_mask.to_raster()
    array([[256, 256,   0,   0],
           [256, 256,   0,  16],
           [256, 256,   0,   0]], dtype=uint32)
    >>> PixelMask.from_yaml(pixel_mask.to_yaml()) == pixel_mask
    True
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: Annotated[tuple[int, int], AfterValidator(checked_shape)]
    operations: Annotated[tuple[AnyOperation, ...], Field(max_length=MAX_OPERATIONS)] = ()

    def with_operations(self, *operations: Operation) -> PixelMask:
        """Return the mask with another list: every edit is one of these, so undo keeps the old value.

        Examples
        --------
        >>> from detcore.image import InvertOperation
        >>> empty = PixelMask(shape=(3, 4))
        >>> empty.with_operations(*empty.operations, InvertOperation()).good().any()
        np.False_
        """
        return PixelMask(shape=self.shape, operations=operations)

    def to_raster(self, arrays: Arrays | None = None) -> NDArray[np.uint32]:
        """Take all enabled steps.

        Parameters
        ----------
        arrays
            The images and rasters (y, x) that operations name.

        Returns
        -------
        NDArray[np.uint32]
            (y, x), bits of NXdetector, a new array.

        Raises
        ------
        ValueError
            An array is missing or has another shape, or a listed pixel does not exist.
        """
        pixel_mask = np.zeros(self.shape, np.uint32)
        for operation in self.operations:
            if operation.enabled:
                operation.apply(pixel_mask, arrays or {})
        return pixel_mask

    def good(self, arrays: Arrays | None = None) -> NDArray[np.bool_]:
        """Return (y, x), true where a pixel may be used."""
        return good_pixels(self.to_raster(arrays))

    def to_yaml(self) -> str:
        """Return the operations as text; `from_yaml` gives back an equal value."""
        return text_of(self.model_dump(mode="json"))

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Build from the text that `to_yaml` gives.

        Raises
        ------
        ValueError
            It is not YAML, uses references, is too long or too deep, or does not describe a mask.
        """
        if len(text) > MAX_TEXT:
            msg = f"{len(text)} characters are too many for a pixel mask (limit {MAX_TEXT}); save the raster instead"
            raise ValueError(msg)
        return read_model(TypeAdapter(cls), mapping_from_yaml(text), "a pixel mask")


def read_pixel_mask(
    path: str | os.PathLike[str], *, convention: Convention, dataset: str = DATASET
) -> NDArray[np.uint32]:
    """Read a raster from an ``.npy`` or HDF5 file, which is recognised by its content.

    Parameters
    ----------
    path
        The file. Sizes are checked before memory is taken, pickled objects and links to other files are refused.
    convention
        What its numbers mean. Bad pixels of `nonzero_bad` and `nonzero_good` get the user bit.
    dataset
        Where it is in an HDF5 file; a third axis of length one in front is dropped.

    Returns
    -------
    NDArray[np.uint32]
        (y, x), bits of NXdetector.

    Raises
    ------
    ValueError
        The file is of another format, damaged, or not a mask; or it says itself that the convention is another one.
    """
    _check(convention)
    path = Path(path)
    with path.open("rb") as stream:
        start = stream.read(len(NPY))
    if start == NPY:
        try:
            stored = np.load(path, mmap_mode="r", allow_pickle=False)
        except BAD_HEADER as error:
            msg = f"{path}: not a readable .npy file: {error}"
            raise ValueError(msg) from None
        return _raster(stored, convention, str(path))
    if h5py.is_hdf5(path):
        return _read_hdf5(path, convention, dataset)
    msg = f"{path}: neither a .npy nor an HDF5 file (it begins with {start!r})"
    raise ValueError(msg)


def write_pixel_mask(
    path: str | os.PathLike[str],
    pixel_mask: NDArray[np.uint32],
    *,
    convention: Convention,
    dataset: str = DATASET,
) -> None:
    """Write a raster; `path` is replaced at the end, in one step.

    Parameters
    ----------
    path
        A name that ends in .npy, .h5, .hdf5 or .nxs.
    pixel_mask
        (y, x) uint32, bits of NXdetector.
    convention
        `nxmx` writes the bits, the others uint8 with 0 and 1. HDF5 files note it beside the data.
    dataset
        Where to put it in an HDF5 file.

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
    _check(convention)
    checked_shape(pixel_mask.shape)
    if pixel_mask.dtype != np.uint32:
        msg = f"a uint32 raster expected, found {pixel_mask.dtype}"
        raise ValueError(msg)
    good = good_pixels(pixel_mask)
    stored = pixel_mask if convention == "nxmx" else (good if convention == "nonzero_good" else ~good).astype(np.uint8)
    suffix = Path(path).suffix.lower()
    if suffix not in {".npy", ".h5", ".hdf5", ".nxs"}:
        msg = (
            f"{path}: a pixel mask is written to .npy, .h5, .hdf5 or .nxs, not to {suffix or 'a name without ending'!r}"
        )
        raise ValueError(msg)
    with atomic(path) as aside:
        if suffix == ".npy":
            np.save(aside, stored, allow_pickle=False)
        else:
            with h5py.File(aside, "w") as file:
                made = file.create_dataset(dataset, data=stored, compression="gzip", shuffle=True)
                made.attrs[NOTE] = convention


def _check(convention: str) -> None:
    if convention not in CONVENTIONS:
        msg = f"convention is one of {', '.join(CONVENTIONS)}; found {convention!r}"
        raise ValueError(msg)


def _read_hdf5(path: Path, convention: Convention, dataset: str) -> NDArray[np.uint32]:
    import hdf5plugin  # noqa: F401, PLC0415 - registers the filters of the detectors; nothing else needs them

    where = f"{path}:{dataset}"
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
        noted = found.attrs.get(NOTE, convention)
        if noted != convention:
            msg = f"{where}: written as {noted!r}, but asked to read as {convention!r}"
            raise ValueError(msg)
        return _raster(found, convention, where)


def _raster(stored: Any, convention: Convention, where: str) -> NDArray[np.uint32]:
    """Check shape and type of an array or dataset, and only then read it."""
    shape = stored.shape[1:] if len(stored.shape) == 3 and stored.shape[0] == 1 else stored.shape
    try:
        checked_shape(shape)
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
