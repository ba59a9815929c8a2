"""The step of a pixel mask that takes bits from a file."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from detcore.image.maskfiles import DATASET, Convention, read_pixel_mask
from detcore.image.operationbase import Arrays, BitName, Operation, Raster

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detcore.image.panels import Panels


class FileOperation(Operation):
    """Bits of a raster in a file.

    Parameters
    ----------
    path
        Of a .npy, HDF5, TIFF, EDF or text file. It is read when the raster is made, and again when it has changed.
    convention
        What its numbers mean.
    dataset
        Where it is in an HDF5 file.
    mode
        Whether its bits are set or cleared.
    bits
        Which of its bits are taken; all if none is named.
    """

    kind: Literal["file"] = Field("file", repr=False)
    path: Annotated[str, Field(min_length=1, max_length=4096)]
    convention: Convention
    dataset: Annotated[str, Field(min_length=1, max_length=1000)] = DATASET
    mode: Literal["add", "subtract"] = "add"
    bits: tuple[BitName, ...] = ()

    def apply(self, pixel_mask: Raster, arrays: Arrays, panels: Panels | None = None) -> None:  # noqa: ARG002
        """Set or clear the bits that the file has."""
        place = Path(self.path)
        state = place.stat()
        stored = _read(os.fspath(place), state.st_mtime_ns, state.st_size, self.convention, self.dataset)
        raster = fitted(stored, pixel_mask.shape, panels, f"{self.who} ({self.path})")
        self.take(pixel_mask, raster, self.bits, self.mode)


@lru_cache(maxsize=4)
def _read(path: str, mtime: int, size: int, convention: Convention, dataset: str) -> NDArray[np.uint32]:  # noqa: ARG001
    """Read once as long as the file has not changed, because every edit of another step asks for it again."""
    raster = read_pixel_mask(path, convention=convention, dataset=dataset, modules=True)
    raster.flags.writeable = False
    return raster


def fitted(raster: NDArray[np.uint32], shape: tuple[int, ...], panels: Panels | None, who: str) -> NDArray[np.uint32]:
    """Bring a raster to the shape of a detector.

    Parameters
    ----------
    raster
        Of the same shape; or of modules that lie below each other (module * y, x), are columns (y * x, module), or
        are assembled.
    shape
        (y, x) or (module, y, x).
    panels
        Where modules lie.
    who
        Begins the message if it does not fit.

    Examples
    --------
    >>> fitted(np.arange(8, dtype=np.uint32).reshape(4, 2), (2, 2, 2), None, "mask").tolist()
    [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    """
    if raster.shape == shape:
        return raster
    if len(shape) == 2 and raster.shape == (1, *shape):
        return np.asarray(raster[0])
    if len(shape) == 3 and raster.ndim == 2:
        modules, rows, columns = shape
        if raster.shape == (modules * rows, columns):
            return raster.reshape(shape)
        if panels is not None and panels.iy is not None and raster.shape == panels.image_shape:
            return panels.gather(raster)
        if raster.shape == (rows * columns, modules):
            return np.ascontiguousarray(raster.T).reshape(shape)
    msg = f"{who}: has the shape {raster.shape}, the detector {shape}"
    raise ValueError(msg)
