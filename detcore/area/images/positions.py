"""Where the pixels of a detector are in its plane."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MICRO: Final = 1e-6
MAX_PIXELS: Final = 1 << 28


class Positions(NamedTuple):
    """Places of pixels in the detector plane, m, as two-dimensional arrays that are broadcast against each other.

    Parameters
    ----------
    d1, d2
        From the direct beam, along the rows' and the columns' index.
    p1, p2
        Of the direct beam, from the point of normal incidence.
    along
        From the sample to the plane of the pixel, along the normal.
    shape
        Of the frame, (y, x) or (module, y, x); the arrays have it with its first axes joined.
    pixel
        Width of a column, m; 1 if it is not known: then all lengths are in px.
    """

    d1: NDArray[np.float64]
    d2: NDArray[np.float64]
    p1: float
    p2: float
    along: NDArray[np.float64]
    shape: tuple[int, ...]
    pixel: float


def pixel_size_of(target: Any) -> tuple[float, float] | None:
    """Return what a detector says of its pixels, (y, x) m; None if it is a shape or does not know."""
    size = getattr(target, "pixel_size", None)
    if size is None or not all(math.isfinite(one) and one > 0 for one in size):
        return None
    return float(size[0]), float(size[1])


def places_of(target: Any, beam: tuple[float, float], pixel: tuple[float, float]) -> Any:
    """Return the shape, and rows, columns, depth (m) from the direct beam as 2-D arrays.

    Parameters
    ----------
    target
        Shape (y, x) of an image, or a `Detector`; the modules of one need their places.
    beam
        (row, column) in the (assembled) image, px.
    pixel
        (y, x), m.

    Raises
    ------
    ValueError
        It is no shape of an image, or the places of modules are not known.
    """
    shape = tuple(int(size) for size in getattr(target, "shape", target))
    if len(shape) not in {2, 3} or min(shape) < 1 or math.prod(shape) > MAX_PIXELS:
        msg = f"expected the shape (rows, columns) of an image or a detector, found {shape}"
        raise ValueError(msg)
    level = np.zeros((1, 1))
    if len(shape) == 2:
        rows = (np.arange(shape[0], dtype=np.float64)[:, None] - beam[0]) * pixel[0]
        columns = (np.arange(shape[1], dtype=np.float64)[None, :] - beam[1]) * pixel[1]
        return shape, rows, columns, level
    x, y, z = (getattr(target, name, None) for name in "xyz")
    iy, ix = getattr(target, "iy", None), getattr(target, "ix", None)
    if (iy is None or ix is None) and x is not None and y is not None and hasattr(target, "map"):
        iy, ix = target.map.iy, target.map.ix  # where the detector itself puts its pixels
    if iy is None or ix is None:
        msg = f"a detector of {shape[0]} modules needs the place of its pixels (x, y or ix, iy); give its geometry file"
        raise ValueError(msg)
    flat = (math.prod(shape[:-1]), shape[-1])
    if x is None or y is None:
        rows, columns = (np.asarray(one, np.float64).reshape(flat) for one in (iy, ix))
        return shape, (rows - beam[0]) * pixel[0], (columns - beam[1]) * pixel[1], level
    if z is not None:  # psana counts z towards the sample, from the mean plane
        level = (_finite(np.nanmean(z, dtype=np.float64) - np.asarray(z, np.float64)) * MICRO).reshape(flat)
    rows, columns = _from_positions(x, y, iy, ix, beam)
    return shape, rows.reshape(flat), columns.reshape(flat), level


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(values), values, 0.0)


def _from_positions(x: Any, y: Any, iy: Any, ix: Any, beam: tuple[float, float]) -> Any:
    """Return rows and columns (m) from the beam, which is given in the assembled image, from positions in um.

    The image is a rounded picture of the positions; a plane through all pixels averages the rounding away, and its
    nearest quarter turn says which of x and y grows with the rows.
    """
    where = np.column_stack([np.asarray(one, np.float64).ravel() for one in (iy, ix)])
    place = np.column_stack([np.asarray(one, np.float64).ravel() for one in (x, y)])
    known = np.isfinite(place).all(axis=1)
    if known.sum() < 3:
        msg = f"only {int(known.sum())} pixels have a finite place; expected at least three"
        raise ValueError(msg)
    step = max(1, int(known.sum()) // 200_000)
    sample = np.flatnonzero(known)[::step]
    middle, centre = where[sample].mean(axis=0), place[sample].mean(axis=0)
    plane, *_ = np.linalg.lstsq(where[sample] - middle, place[sample] - centre, rcond=None)
    origin = centre + (np.array(beam) - middle) @ plane
    turn = np.where(np.abs(plane) > np.abs(plane).max(axis=1, keepdims=True) / 2, np.sign(plane), 0.0)
    from_beam = (place - origin) @ turn.T * MICRO
    return from_beam[:, 0], from_beam[:, 1]
