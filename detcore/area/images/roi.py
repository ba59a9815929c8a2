"""Regions of interest: what a window of a frame sums up to, and its projections.

Windows are half-open and in the indices of the frame as it is read. Only valid pixels count: good, a number, and
within the limits; every mean is divided by their number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.area.images import roikernels as kernels
from detcore.area.images.fixed import fixed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Bounds = Sequence[Sequence[float]]
    Window = tuple[tuple[int, int], ...]

_ALL = np.zeros((0, 0), np.uint8)
ZERO = 1e-12  # of the root mean square: a sum below that is rounding, and has no centre


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a window sums up to.

    Parameters
    ----------
    n
        Pixels that count.
    sum, sum_squares
        Of their values.
    max, min
        Of their values; nan of none.
    moments
        Sums of value times position in the window, for each dimension of the frame: (y, x) or (module, y, x).
    n_saturated
        Good pixels at or above saturation, whether they count or not.
    n_pixels
        Size of the window.
    """

    n: int
    sum: float
    sum_squares: float
    max: float
    min: float
    moments: tuple[float, ...]
    n_saturated: int
    n_pixels: int

    @property
    def mean(self) -> float:
        """Sum over number of valid pixels; nan of none."""
        return self.sum / self.n if self.n else math.nan

    @property
    def std(self) -> float:
        """Standard deviation of the pixels (population); nan of none."""
        return math.sqrt(max(self.sum_squares / self.n - self.mean**2, 0.0)) if self.n else math.nan

    @property
    def com(self) -> tuple[float, ...]:
        """Centre of mass in the window, (y, x) or (module, y, x), px; nan where the sum is zero."""
        if not self.n or abs(self.sum) <= ZERO * math.sqrt(self.n * self.sum_squares):
            return (math.nan,) * len(self.moments)
        return tuple(moment / self.sum for moment in self.moments)


def window_of(bounds: Bounds | None, shape: Sequence[int]) -> Window:
    """Return whole limits inside the frame.

    Parameters
    ----------
    bounds
        A half-open (first, end) for each dimension of the frame, or for the last ones; None for all of it. Limits
        beyond the frame are those of the frame.
    shape
        Of the frame, (y, x) or (module, y, x).

    Returns
    -------
    tuple of (first, end)
        One for each dimension of the frame.

    Raises
    ------
    ValueError
        The bounds are of too many dimensions, or no pixel of the frame is inside.

    Examples
    --------
    >>> window_of([[10, 1e6], [0, 20]], (512, 1024))
    ((10, 512), (0, 20))
    """
    pairs = [] if bounds is None else [tuple(pair) for pair in bounds]
    if len(pairs) > len(shape) or any(len(pair) != 2 for pair in pairs):
        msg = f"a region has one (first, end) for each of {len(shape)} dimensions or less; found {bounds!r:.120}"
        raise ValueError(msg)
    pairs = [(0, size) for size in shape[: len(shape) - len(pairs)]] + pairs
    found = []
    for (first, end), size in zip(pairs, shape, strict=True):
        if math.isnan(first) or math.isnan(end):
            msg = f"the limits of a region are numbers; found {bounds!r:.120}"
            raise ValueError(msg)
        found.append((int(min(max(first, 0), size)), int(min(max(end, 0), size))))
    if any(first >= end for first, end in found):
        msg = f"the region {bounds!r:.120} holds no pixel of a frame of {tuple(shape)}; move it inside"
        raise ValueError(msg)
    return tuple(found)


def roi_statistics(
    frame: NDArray[Any],
    bounds: Bounds | None = None,
    good: NDArray[Any] | None = None,
    low: float | None = None,
    high: float | None = None,
    saturation: float | None = None,
) -> Statistics:
    """Sum up a window of a frame in one pass.

    Parameters
    ----------
    frame
        (y, x) or (module, y, x), any type of numbers; fastest are contiguous uint16, float32 and float64.
    bounds
        See `window_of`.
    good
        Of the frame or of the window: true or 1 where a pixel may count. None: everywhere. Fastest as contiguous
        bool or uint8 of the window.
    low, high
        Inclusive limits of the values that count.
    saturation
        Good pixels from this value on are counted in `n_saturated`.

    Returns
    -------
    Statistics
        Sums of whole numbers are exact.

    Raises
    ------
    ValueError
        A shape does not fit.

    Examples
    --------
    >>> found = roi_statistics(np.array([[1, 2], [3, 60000]], np.uint16), high=100)
    >>> found.n, found.sum, found.max, found.com
    (3, 6.0, 3.0, (0.5, 0.3333333333333333))
    """
    window = window_of(bounds, frame.shape)
    use = good_of_window(good, frame.shape, window)
    if frame.ndim == 2:
        found = _panel(frame, window, _ALL if use is None else use, (low, high, saturation))
        return _statistics(found[None], window, 0)
    if frame.ndim != 3:
        msg = f"a frame is (y, x) or (module, y, x); found {frame.shape}"
        raise ValueError(msg)
    first, end = window[0]
    each = [
        _panel(frame[module], window[1:], _ALL if use is None else use[module - first], (low, high, saturation))
        for module in range(first, end)
    ]
    return _statistics(np.array(each), window, first)


def good_of_window(good: NDArray[Any] | None, shape: Sequence[int], window: Window) -> NDArray[np.uint8] | None:
    """Return the mask of a window, contiguous, 1 good, from one of the frame or of the window.

    Raises
    ------
    ValueError
        It has neither shape.
    """
    if good is None:
        return None
    sizes = tuple(end - first for first, end in window)
    if good.shape == tuple(shape):
        good = good[tuple(slice(*pair) for pair in window)]
    elif good.shape != sizes:
        msg = f"the mask of a region has the shape of the frame {tuple(shape)} or of the region {sizes}; found {good.shape}"
        raise ValueError(msg)
    if good.dtype == np.uint8:
        good = np.ascontiguousarray(good)
        return good if good.max(initial=0) <= 1 else (good != 0).view(np.uint8)
    return np.ascontiguousarray(good, np.bool_).view(np.uint8)


def _panel(
    frame: NDArray[Any], window: Window, use: NDArray[np.uint8], limits: tuple[float | None, float | None, float | None]
) -> NDArray[np.float64]:
    """Run the kernel that fits the type; other types are converted, the window alone."""
    (top, bottom), (left, right) = window
    dtype, result = frame.dtype, np.empty(kernels.N_STATISTICS)
    small = dtype.kind == "b" or dtype in {np.dtype("u1"), np.dtype("u2")}
    target = np.dtype(np.uint16) if small else dtype if dtype in {np.dtype("f4"), np.dtype("f8")} else np.dtype("f8")
    edges = np.array([top, bottom, left, right])
    if dtype != target or not frame.flags.c_contiguous or not dtype.isnative:
        frame = np.ascontiguousarray(frame[top:bottom, left:right], target)
        edges = np.array([0, bottom - top, 0, right - left])
    low, high, saturation = limits
    if small:
        # Limits between two whole numbers are moved inwards; 65536 is above all of them.
        bounds = [
            0 if low is None else math.ceil(min(max(low, 0), 65536)),
            65535 if high is None else math.floor(min(max(high, -1), 65535)),
            65536 if saturation is None else math.ceil(min(max(saturation, 0), 65536)),
        ]
        if bounds[1] < 0:
            bounds[:2] = [1, 0]
        kernels.statistics_whole(fixed(frame), edges, fixed(use), np.array(bounds), result)
    else:
        given = [
            -np.inf if low is None else low,
            np.inf if high is None else high,
            np.inf if saturation is None else saturation,
        ]
        kernels.statistics_real(fixed(frame), edges, fixed(use), np.array(given, np.float64), result)
    return result


def _statistics(each: NDArray[np.float64], window: Window, first: int) -> Statistics:
    """Put the results of modules (module, 8) together."""
    total = each.sum(axis=0)
    counted = each[each[:, kernels.N] > 0]
    moments = (float(total[kernels.SUM_Y]), float(total[kernels.SUM_X]))
    if len(window) == 3:
        number = np.arange(first, first + len(each)) - window[0][0]
        moments = (float(number @ each[:, kernels.SUM]), *moments)  # type: ignore[assignment]
    return Statistics(
        n=int(total[kernels.N]),
        sum=float(total[kernels.SUM]),
        sum_squares=float(total[kernels.SUM_SQUARES]),
        max=float(counted[:, kernels.LARGEST].max()) if len(counted) else math.nan,
        min=float(counted[:, kernels.SMALLEST].min()) if len(counted) else math.nan,
        moments=moments,
        n_saturated=int(total[kernels.SATURATED]),
        n_pixels=math.prod(end - begin for begin, end in window),
    )


def project(
    frame: NDArray[Any],
    bounds: Bounds | None = None,
    good: NDArray[Any] | None = None,
    low: float | None = None,
    high: float | None = None,
) -> tuple[tuple[NDArray[np.float64], NDArray[np.int64]], ...]:
    """Project a window of a frame onto each of its dimensions in one pass.

    Parameters
    ----------
    frame
        (y, x).
    bounds, good, low, high
        As for `roi_statistics`.

    Returns
    -------
    along_y, along_x
        Each (sums, number of valid pixels): `along_y` has one number for each row, `along_x` one for each column.

    Examples
    --------
    >>> (rows, _), (columns, n) = project(np.array([[1.0, 2.0], [3.0, np.nan]]))
    >>> rows.tolist(), columns.tolist(), n.tolist()
    ([3.0, 3.0], [4.0, 2.0], [2, 1])
    """
    if frame.ndim != 2:
        msg = f"a projection is of one panel (y, x); found {frame.shape}"
        raise ValueError(msg)
    window = window_of(bounds, frame.shape)
    (top, bottom), (left, right) = window
    use = good_of_window(good, frame.shape, window)
    kinds = {np.dtype("u2"), np.dtype("f4"), np.dtype("f8")}
    target = frame.dtype if frame.dtype in kinds else np.dtype("f8")
    cut = np.ascontiguousarray(frame[top:bottom, left:right], target)
    row_sums, column_sums = np.zeros(bottom - top), np.zeros(right - left)
    row_counts, column_counts = np.zeros(bottom - top, np.int64), np.zeros(right - left, np.int64)
    limits = np.array([-np.inf if low is None else low, np.inf if high is None else high], np.float64)
    mask = fixed(_ALL if use is None else use)
    kernels.projections(fixed(cut), mask, limits, row_sums, row_counts, column_sums, column_counts)
    return (row_sums, row_counts), (column_sums, column_counts)
