"""From an image or points to what fits on a screen: a small labelled array that says how it was reduced.

The pixel frame is that of `detcore.image.region`: centres at whole numbers, pixel i reaches from i - 0.5 to i + 0.5.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from detcore.image.kernels import LARGEST, MEAN, SMALLEST, SUM, reduce_blocks

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Aggregate = Literal["mean", "max", "sum", "min"]
Viewport = tuple[float, float, float, float]
_HOW = {"mean": MEAN, "max": LARGEST, "sum": SUM, "min": SMALLEST}
MAX_OUTPUT = 1 << 26
SAMPLES = 250_000


def reduce_image(
    values: NDArray[Any] | xr.DataArray,
    shape: tuple[int, int],
    *,
    viewport: Viewport | None = None,
    aggregate: Aggregate = "mean",
    pixel_mask: NDArray[np.uint32] | None = None,
) -> xr.DataArray:
    """Reduce the part of an image that is looked at to blocks of whole pixels.

    Blocks begin at multiples of their size, whatever the viewport, so that a picture does not shimmer when it is
    moved; the outermost ones may reach beyond the viewport, and the last ones beyond the image.

    Parameters
    ----------
    values
        (y, x) numbers; those that are not a number are left out. Name and attributes of a DataArray are kept.
    shape
        (rows, columns) that the result has at most.
    viewport
        (x0, x1, y0, y1), px; in any order of each pair. The whole image if none is given.
    aggregate
        What is done with the pixels of a block. `max` keeps single hot pixels visible.
    pixel_mask
        (y, x) bits of NXdetector; rejected pixels are left out.

    Returns
    -------
    xr.DataArray
        (y, x) float64, not a number where a block has no pixel left; coordinates are the block centres in pixels of
        the original; attributes `aggregate`, `block_y` and `block_x` (px). Empty if the viewport misses the image.

    Raises
    ------
    ValueError
        The image is not two-dimensional, the mask has another shape, or an argument is impossible.

    Examples
    --------
    >>> image = np.arange(24).reshape(4, 6)
    >>> small = reduce_image(image, (2, 3), aggregate="max")
    >>> small.values.tolist(), small.x.values.tolist(), small.attrs["aggregate"]
    ([[7.0, 9.0, 11.0], [19.0, 21.0, 23.0]], [0.5, 2.5, 4.5], 'max')
    """
    pixels = np.asarray(values)
    if pixels.ndim != 2 or pixels.dtype.kind not in "biuf":
        msg = f"expected an image (y, x) of real numbers, found {pixels.ndim} dimensions of {pixels.dtype}"
        raise ValueError(msg)
    if pixel_mask is not None and (pixel_mask.shape != pixels.shape or pixel_mask.dtype != np.uint32):
        msg = f"expected a uint32 pixel_mask {pixels.shape}, found {pixel_mask.dtype} {pixel_mask.shape}"
        raise ValueError(msg)
    if aggregate not in _HOW:
        msg = f"aggregate is one of {', '.join(_HOW)}; found {aggregate!r}"
        raise ValueError(msg)
    _check_output(shape)
    ny, nx = pixels.shape
    x0, x1, y0, y1 = (-0.5, nx - 0.5, -0.5, ny - 0.5) if viewport is None else _sorted(viewport)
    top, bottom, block_y, rows = _blocks(y0, y1, ny, shape[0])
    left, right, block_x, columns = _blocks(x0, x1, nx, shape[1])
    seen = np.s_[top:bottom, left:right]
    reduced = np.empty((rows, columns))
    none = np.empty((0, 0), np.uint32)
    reduce_blocks(
        _native(pixels[seen]), none if pixel_mask is None else pixel_mask[seen], block_y, block_x,
        _HOW[aggregate], reduced,
    )  # fmt: skip
    return xr.DataArray(
        reduced,
        dims=("y", "x"),
        coords={
            "y": ("y", top + (block_y - 1) / 2 + block_y * np.arange(rows), {"units": "px"}),
            "x": ("x", left + (block_x - 1) / 2 + block_x * np.arange(columns), {"units": "px"}),
        },
        name=values.name if isinstance(values, xr.DataArray) else None,
        attrs={
            **(values.attrs if isinstance(values, xr.DataArray) else {}),
            "aggregate": aggregate,
            "block_y": block_y,
            "block_x": block_x,
        },
    )


def colour_limits(
    values: NDArray[Any], percentiles: tuple[float, float] = (1.0, 99.5), *, log: bool = False
) -> tuple[float, float]:
    """Return robust limits for colours, from a regular sample of at most about `SAMPLES` pixels.

    Parameters
    ----------
    values
        (y, x) numbers; those that are not finite are left out.
    percentiles
        Of the sample, for the two ends.
    log
        For a logarithmic scale: only values above zero count.

    Returns
    -------
    (float, float)
        low < high, in the unit of `values`; (0, 1), or (1, 10) for `log`, if there is nothing to look at.

    Examples
    --------
    >>> image = np.full((100, 100), 3.0)
    >>> image[:50], image[0, 0] = 5.0, 1e9
    >>> colour_limits(image)
    (3.0, 5.0)
    """
    step = max(1, math.ceil(math.sqrt(values.size / SAMPLES)))
    sample = np.asarray(values[::step, ::step], np.float64)
    sample = sample[np.isfinite(sample) & ((sample > 0) if log else True)]
    if not sample.size:
        return (1.0, 10.0) if log else (0.0, 1.0)
    low, high = map(float, np.percentile(sample, percentiles))
    if low < high:
        return low, high
    return (low, low * 10) if log else (low, low + max(1.0, abs(low) * 1e-3))


def to_uint8(values: NDArray[Any], low: float, high: float, *, log: bool = False) -> NDArray[np.uint8]:
    """Scale values to colour numbers for a palette of 256, whose first colour means that there is no value.

    Parameters
    ----------
    values
        (y, x) numbers.
    low, high
        What gets the colours 1 and 255; values beyond are clipped to these.
    log
        Logarithmic between them.

    Returns
    -------
    NDArray[np.uint8]
        (y, x); 0 where the value is not a number.

    Raises
    ------
    ValueError
        low < high does not hold, or low is not above zero on a logarithmic scale.

    Examples
    --------
    >>> to_uint8(np.array([[np.nan, 1, 10, 100, 5000]]), 1, 100, log=True)
    array([[  0,   1, 128, 255, 255]], dtype=uint8)
    """
    if not (-math.inf < low < high < math.inf) or (log and low <= 0):
        msg = f"finite limits low < high expected{' above zero' if log else ''}, found {low} and {high}"
        raise ValueError(msg)
    scaled = np.clip(np.asarray(values, np.float64), low, high)
    if log:
        scaled, low, high = np.log(scaled), math.log(low), math.log(high)
    colours = np.rint((scaled - low) * (254 / (high - low))) + 1
    return np.where(np.isnan(colours), 0, colours).astype(np.uint8)


def density(
    x: ArrayLike,
    y: ArrayLike,
    shape: tuple[int, int],
    *,
    viewport: Viewport | None = None,
    weights: ArrayLike | None = None,
) -> xr.DataArray:
    """Count points, or add up their weights, in the cells of a regular grid.

    Parameters
    ----------
    x, y
        (point,) positions in any unit; points that are not finite or outside of the viewport are left out.
    shape
        (rows, columns) of the grid.
    viewport
        (x0, x1, y0, y1) in the units of x and y, upper limits included; around all points if none is given.
    weights
        (point,) numbers to add up instead of counting.

    Returns
    -------
    xr.DataArray
        (y, x), coordinates at the cell centres, attribute `aggregate`: "count" (0 in empty cells), or "sum" (not a
        number in cells without any point).

    Raises
    ------
    ValueError
        The arrays do not fit together, or an argument is impossible.

    Examples
    --------
    >>> counts = density([0, 0.1, 1], [0, 0, 1], (2, 2), viewport=(0, 1, 0, 1))
    >>> counts.values.tolist(), counts.attrs["aggregate"]
    ([[2, 0], [0, 1]], 'count')
    """
    import datashader as ds  # noqa: PLC0415 - takes a second, and only point clouds need it
    import pandas as pd  # noqa: PLC0415 - as above

    _check_output(shape)
    points = {"x": np.asarray(x, np.float64), "y": np.asarray(y, np.float64)}
    if weights is not None:
        points["weight"] = np.asarray(weights, np.float64)
    if any(column.ndim != 1 or len(column) != len(points["x"]) for column in points.values()):
        msg = f"one row each of the same length expected, found { ({k: v.shape for k, v in points.items()}) }"
        raise ValueError(msg)
    if viewport is None:
        viewport = (*_extent(points["x"]), *_extent(points["y"]))
    x0, x1, y0, y1 = _sorted(viewport)
    if x0 == x1 or y0 == y1:
        msg = f"a viewport with a size expected, found {viewport}"
        raise ValueError(msg)
    canvas = ds.Canvas(plot_width=shape[1], plot_height=shape[0], x_range=(x0, x1), y_range=(y0, y1))
    how = ds.count() if weights is None else ds.sum("weight")
    counted: xr.DataArray = canvas.points(pd.DataFrame(points), "x", "y", agg=how)
    return counted.assign_attrs(aggregate="count" if weights is None else "sum")


def _check_output(shape: tuple[int, int]) -> None:
    if min(shape) < 1 or shape[0] * shape[1] > MAX_OUTPUT:
        msg = f"expected (rows, columns) with 1 to {MAX_OUTPUT} cells, found {shape}"
        raise ValueError(msg)


def _sorted(viewport: Viewport) -> Viewport:
    x0, x1, y0, y1 = map(float, viewport)
    if not all(map(math.isfinite, (x0, x1, y0, y1))):
        msg = f"finite (x0, x1, y0, y1) expected, found {viewport}"
        raise ValueError(msg)
    return min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)


def _blocks(low: float, high: float, size: int, room: int) -> tuple[int, int, int, int]:
    """Return first and last pixel + 1 of the whole blocks that cover [low, high], their size and their number."""
    first = math.floor(min(max(low, -0.5), size - 0.5) + 0.5)
    last = math.ceil(min(max(high, -0.5), size - 0.5) + 0.5)
    block = max(1, math.ceil((last - first) / room))
    while math.ceil(last / block) - first // block > room:
        block += 1
    number = max(0, math.ceil(last / block) - first // block)
    start = first // block * block
    return start, min(size, start + number * block), block, number


def _native(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return numbers of a type that compiled code takes: native byte order, no half precision."""
    if pixels.dtype.kind == "f" and pixels.dtype.itemsize not in {4, 8}:
        return pixels.astype(np.float64)
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _extent(column: NDArray[np.float64]) -> tuple[float, float]:
    """Return finite limits around the finite values, with a size."""
    finite = column[np.isfinite(column)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return (low, high) if low < high else (low - 0.5, low + 0.5)
