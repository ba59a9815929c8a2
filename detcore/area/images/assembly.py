"""From panels to one image and back: by the inverse map, image pixel by image pixel, so that gaps stay gaps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from detcore.area.images.assemblykernels import gather

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_IMAGE_PIXELS: Final = 1 << 27  # gaps included


@dataclass(frozen=True, eq=False)
class ImageMap:
    """Where the pixels of panels are in an image.

    Parameters
    ----------
    iy, ix
        int32 (module, y, x): row and column in the image.
    image_shape
        (rows, columns).
    first
        int32 (pixel of the image,): its detector pixel; -1 in a gap; -2 - k if several share it.
    start, shared
        int32: the detector pixels of the k-th shared one are `shared[start[k]:start[k + 1]]`.
    """

    iy: NDArray[np.int32]
    ix: NDArray[np.int32]
    image_shape: tuple[int, int]
    first: NDArray[np.int32]
    start: NDArray[np.int32]
    shared: NDArray[np.int32]

    @classmethod
    def of(cls, iy: NDArray[Any], ix: NDArray[Any]) -> Self:
        """Invert the map.

        Parameters
        ----------
        iy, ix
            Whole numbers of one shape; a negative one has no place in the image.

        Raises
        ------
        ValueError
            There is no place at all, or some are so large that the image would not fit into memory.
        """
        iy, ix = np.ascontiguousarray(iy, np.int32), np.ascontiguousarray(ix, np.int32)
        if iy.shape != ix.shape or not iy.size:
            msg = f"rows and columns of the image: expected one shape, found {iy.shape} and {ix.shape}"
            raise ValueError(msg)
        shape = int(iy.max()) + 1, int(ix.max()) + 1
        if min(shape) < 1 or math.prod(shape) > MAX_IMAGE_PIXELS:
            msg = (
                f"places in the image: expected some at 0 and above, in at most {MAX_IMAGE_PIXELS} pixels; found rows "
                f"{iy.min()} to {iy.max()} and columns {ix.min()} to {ix.max()}"
            )
            raise ValueError(msg)
        place = iy.ravel().astype(np.int64) * shape[1] + ix.ravel()
        inside = np.flatnonzero((iy.ravel() >= 0) & (ix.ravel() >= 0))
        count = np.bincount(place[inside], minlength=math.prod(shape))
        first = np.full(count.size, -1, np.int32)
        first[place[inside]] = inside
        crowded = np.flatnonzero(count > 1)
        first[crowded] = -2 - np.arange(crowded.size, dtype=np.int32)
        members = inside[count[place[inside]] > 1]
        shared = members[np.argsort(place[members], kind="stable")].astype(np.int32)
        start = np.concatenate([[0], np.cumsum(count[crowded])]).astype(np.int32)
        return cls(iy, ix, shape, first, start, shared)

    def assemble(self, raw: NDArray[Any], fill: float = math.nan) -> NDArray[Any]:
        """Return images (…, y, x) of frames (…, module, y, x).

        Pixels that share an image pixel are averaged without those that are nan. Whole numbers stay whole, unless
        `fill` is not one of their type: then up to 16 bits become float32, larger ones float64.
        """
        lead = raw.shape[: raw.ndim - self.iy.ndim]
        flat = raw.reshape(math.prod(lead), self.iy.size)
        wanted = _result_type(raw.dtype, fill)
        if wanted == np.float32:
            image = np.empty((len(flat), self.first.size), np.float32)
            frames = np.ascontiguousarray(flat, np.float32)
            gather(frames, self.first, self.start, self.shared, np.float32(fill), image)
        else:
            image = self._gathered(flat, wanted, fill)
        return image.reshape(*lead, *self.image_shape)

    def _gathered(self, flat: NDArray[Any], dtype: np.dtype[Any], fill: float) -> NDArray[Any]:
        image = np.full((len(flat), self.first.size), fill, dtype)
        alone = self.first >= 0
        image[:, alone] = flat[:, self.first[alone]]
        if len(self.shared):
            values = flat[:, self.shared].astype(np.float64)
            there = ~np.isnan(values)
            sums = np.add.reduceat(np.where(there, values, 0), self.start[:-1], axis=1)
            counts = np.add.reduceat(there.astype(np.int64), self.start[:-1], axis=1)
            mean = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
            mean = np.rint(mean) if dtype.kind in "iu" else mean
            if dtype.kind == "b":  # a mask: good only if all are
                mean = mean == 1
            image[:, self.first <= -2] = mean.astype(dtype)
        return image

    def to_raw(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return the values of an image (y, x) at the places of the pixels, (module, y, x).

        Pixels without a place get nan, or 0 if the image has whole numbers.
        """
        raw = np.asarray(image[self.iy, self.ix])
        outside = (self.iy < 0) | (self.ix < 0)
        if outside.any():
            raw[outside] = math.nan if raw.dtype.kind == "f" else 0
        return raw


def _result_type(dtype: np.dtype[Any], fill: float) -> np.dtype[Any]:
    if dtype.kind == "f":
        return np.dtype(np.float64 if dtype.itemsize > 4 else np.float32)
    if dtype.kind == "b" and fill in {0, 1}:
        return dtype
    if dtype.kind in "iu" and math.isfinite(fill) and fill == int(fill):
        limits = np.iinfo(dtype)
        if limits.min <= fill <= limits.max:
            return dtype
    return np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)


ORIENTATIONS: Final = {
    1: "as stored: the first pixel is at the top left",
    2: "mirrored left to right",
    3: "turned by 180 degrees",
    4: "mirrored top to bottom",
    5: "transposed: rows become columns",
    6: "turned clockwise by 90 degrees",
    7: "mirrored along the other diagonal",
    8: "turned counterclockwise by 90 degrees",
}
"""What the numbers 1 to 8 do, as in EXIF."""


def oriented(frames: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn or mirror frames, as the EXIF number says; a view.

    Parameters
    ----------
    frames
        (…, y, x).
    orientation
        Key of `ORIENTATIONS`.

    Returns
    -------
    ndarray
        (…, y, x), sizes exchanged for 5 to 8.

    Raises
    ------
    ValueError
        There is no such orientation.

    Examples
    --------
    >>> oriented(np.array([[1, 2], [3, 4]]), 6)
    array([[3, 1],
           [4, 2]])
    """
    if orientation not in ORIENTATIONS:
        msg = f"an orientation is 1 to 8 (1: as stored, 4: mirrored top to bottom); found {orientation!r}"
        raise ValueError(msg)
    if orientation >= 5:
        frames = frames.swapaxes(-1, -2)
    down = orientation in {3, 4, 7, 8}
    left = orientation in {2, 3, 6, 7}
    return frames[..., :: -1 if down else 1, :: -1 if left else 1]


def oriented_shape(shape: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return the (y, x) of a frame after `oriented`."""
    return (shape[1], shape[0]) if orientation >= 5 else shape
