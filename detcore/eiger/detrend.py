"""One number per frame: which frames count, where they stand in the series, and what is left without the slow trend."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
import pandas as pd
import scipy.signal
import xarray as xr

from detcore.core.schema import FRAME, require

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHODS: Final = ("none", "linear", "polynomial", "highpass")
MAX_ORDER: Final = 10  # of a polynomial: beyond it follows the noise
OUTLIER_SIGMA: Final = 8.0  # robust standard deviations: found the planted losses of a test series and nothing else
FEWEST: Final = 8  # frames; the median of fewer deviations says nothing about outliers
SPARSE: Final = 64  # frame numbers may leave so many places empty for each one taken
Method = Literal["none", "linear", "polynomial", "highpass"]


class Grid(NamedTuple):
    """Equal spacing by frame number."""

    place: NDArray[np.int64]  # (used frame,) position on the grid
    size: int
    step: int  # frame numbers from one position to the next
    spacing: float | None  # seconds from one position to the next


@dataclass(frozen=True)
class Trace:
    """The intensity of a series, without the frames that have no valid pixel.

    Parameters
    ----------
    frame
        (used frame,) 1-based numbers in the series, rising.
    value
        (used frame,) counts; whole numbers stay whole.
    frame_time
        Seconds from frame to frame; None when unknown.
    position
        (used frame,) where each stands in what was given.
    n_given
        Frames that were given, those without a value included.
    """

    frame: NDArray[np.int64]
    value: NDArray[Any]
    frame_time: float | None
    position: NDArray[np.int64]
    n_given: int

    @classmethod
    def of(cls, data: Any, frame_time: float | None = None, region: str | None = None) -> Trace:
        """Take the intensity from a result, or from plain numbers.

        Parameters
        ----------
        data
            Result of a reduction with `sum` (frame[, region]), or numbers (frame,), of which those that are masked or
            not finite have no value.
        frame_time
            Seconds from frame to frame; None takes that of the result.
        region
            Which one, if the result has several; None takes the one named "frame", or the only one.

        Raises
        ------
        ValueError
            It has more than one dimension, or the region is unknown.
        """
        if isinstance(data, Trace):
            return data if frame_time is None else replace(data, frame_time=frame_time)
        if isinstance(data, xr.Dataset):
            require(data, ["sum"], "statistics of intensity")
            data = _region(data, region)
            value, frame = data["sum"].values, data[FRAME].values.astype(np.int64)
            used = data["n_valid"].values > 0 if "n_valid" in data else np.ones(len(value), np.bool_)
            frame_time = data.attrs.get("frame_time") if frame_time is None else frame_time
        else:
            value = _numbers(data)
            frame, used = np.arange(1, len(value) + 1), np.isfinite(value)
            if isinstance(data, xr.DataArray) and FRAME in data.coords:
                frame = data[FRAME].values.astype(np.int64)
        position = np.flatnonzero(used)
        position = position[np.unique(frame[position], return_index=True)[1]]
        known = frame_time is not None and np.isfinite(frame_time) and frame_time > 0
        seconds = float(frame_time) if known and frame_time is not None else None
        value = np.ascontiguousarray(value[position])
        return cls(np.ascontiguousarray(frame[position]), value, seconds, position, len(frame))

    def __len__(self) -> int:
        return len(self.value)

    @property
    def mean(self) -> float:
        """Mean counts; nan without frames."""
        return float(pd.Series(self.value).mean()) if len(self) else np.nan

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(used frame,) seconds since frame 1; whole frames where the time is unknown."""
        return np.asarray((self.frame - 1) * (self.frame_time or 1.0), np.float64)

    def only(self, keep: NDArray[np.bool_]) -> Trace:
        """Return the trace of some of its frames."""
        return replace(self, frame=self.frame[keep], value=self.value[keep], position=self.position[keep])

    def grid(self) -> Grid:
        """Place the frames at equal spacing by their numbers; missing frames leave places empty.

        Raises
        ------
        ValueError
            Nearly all places would be empty: the numbers cannot be those of a series.
        """
        if not len(self):
            return Grid(np.zeros(0, np.int64), 0, 1, self.frame_time)
        offset = self.frame - self.frame[0]
        step = max(int(np.gcd.reduce(offset)), 1)
        size = int(offset[-1]) // step + 1
        if size > SPARSE * len(self) + 1000:
            msg = (
                f"{len(self):,} frames have the numbers {self.frame[0]} to {self.frame[-1]}: too few of them for a "
                "spectrum or a filter; take a narrower range of frames"
            )
            raise ValueError(msg)
        return Grid(offset // step, size, step, None if self.frame_time is None else step * self.frame_time)


def detrend(
    x: Any,
    method: str = "linear",
    *,
    order: int | None = None,
    cutoff: float | None = None,
    frame_time: float | None = None,
    region: str | None = None,
) -> Any:
    """Take a slow trend out of a series and keep its mean.

    Parameters
    ----------
    x
        Result of a reduction, or numbers (frame,).
    method
        *none*; *linear*: least squares over the frame number; *polynomial*: of `order`; *highpass*: without what is
        slower than `cutoff`. Order and cut may stand in the word: "polynomial:3", "highpass:0.5".
    order
        Of the polynomial, 1 to 10; 2 if it is not given.
    cutoff
        Of the high-pass filter, Hz (per frame if the time between frames is unknown).
    frame_time
        Seconds from frame to frame; None takes that of the result.
    region
        Of a result with several.

    Returns
    -------
    numpy.ndarray or xarray.DataArray
        Like `x`, counts; nan for frames without a value. Its mean is that of `x`.

    Raises
    ------
    ValueError
        The method, order or cut is impossible.

    Notes
    -----
    The high-pass filter is a Butterworth filter of second order, run forwards and backwards so that nothing shifts in
    time. It is designed on the series without its outliers: a lost frame stays one lost frame and does not ring.

    Examples
    --------
    >>> detrend([1.0, 2.0, 3.0, 6.0]).round(3).tolist()
    [3.4, 2.8, 2.2, 3.6]
    """
    trace = Trace.of(x, frame_time, region)
    out = np.full(trace.n_given, np.nan)
    out[trace.position] = detrended(trace, method, order=order, cutoff=cutoff)
    if isinstance(x, (xr.Dataset, xr.DataArray)):
        coords = {FRAME: x[FRAME]} if FRAME in x.coords else None
        return xr.DataArray(out, coords, (FRAME,), "detrended", {"units": "counts", "detrend": method})
    return out


def checked(method: str, order: float | None = None, cutoff: float | None = None) -> tuple[Method, float]:
    """Return the method and its order or cut.

    Raises
    ------
    ValueError
        Says what is possible.
    """
    name, colon, text = str(method).partition(":")
    try:
        number = float(text) if colon else None
    except ValueError:
        number = np.nan
    known = "none, linear, polynomial, polynomial:ORDER or highpass:HZ"
    if name not in METHODS or (colon and name in {"none", "linear"}):
        msg = f"detrend: expected {known}; found {method!r:.60}"
        raise ValueError(msg)
    if name == "polynomial":
        number = next((float(one) for one in (number, order) if one is not None), 2.0)
        if number not in range(1, MAX_ORDER + 1):
            msg = f"detrend: the order of a polynomial is a whole number from 1 to {MAX_ORDER}; found {number:g}"
            raise ValueError(msg)
    if name == "highpass":
        number = next((float(one) for one in (number, cutoff) if one is not None), np.nan)
        if not (np.isfinite(number) and number > 0):
            msg = f"detrend: highpass needs a cut above 0 in Hz, for instance highpass:0.5; found {method!r:.60}"
            raise ValueError(msg)
    return name, 0.0 if number is None else number  # type: ignore[return-value] # is in METHODS


def detrended(
    trace: Trace, method: str = "linear", *, order: float | None = None, cutoff: float | None = None
) -> NDArray[np.float64]:
    """Return the series without its trend and with its mean, counts (used frame,)."""
    name, number = checked(method, order, cutoff)
    value = trace.value.astype(np.float64)
    if name == "none" or len(trace) < 2:
        return value
    if name == "linear":
        if len(np.unique(np.diff(trace.frame))) == 1:
            return np.asarray(scipy.signal.detrend(value) + trace.mean, np.float64)
        number = 1.0
    trend = _slow(trace, number) if name == "highpass" else _polynomial(trace, int(number))
    return np.asarray(value - trend + (trace.mean - (value - trend).mean()), np.float64)


def deviant(value: NDArray[Any]) -> NDArray[np.float64]:
    """Return the distance from the median in robust standard deviations, signed.

    The standard deviation is 1.4826 times the median absolute deviation, as for a normal distribution. Where more than
    half of the values are equal that is 0; counts then have at least their photon statistics, sqrt(median). Fewer than
    8 values do not tell: nan.
    """
    if len(value) < FEWEST:
        return np.full(len(value), np.nan)
    middle = float(np.median(value))
    away = value - middle
    sigma = 1.4826 * float(np.median(np.abs(away)))
    if sigma <= 1e-9 * abs(middle):  # equal, or equal up to rounding
        sigma = np.sqrt(max(abs(middle), 1.0))
    return np.asarray(away / sigma, np.float64)


def regular(value: NDArray[Any]) -> NDArray[np.bool_]:
    """Select the frames that are no outliers (8 robust standard deviations).

    If they were more than a tenth of the series, none is an outlier: it does so by itself, and often.
    """
    outside = np.abs(deviant(value)) > OUTLIER_SIGMA
    return ~outside if outside.sum() <= max(len(value) / 10, 1) else np.ones(len(value), np.bool_)


def traces(
    data: Any,
    method: str = "linear",
    *,
    normalise: bool = True,
    frame_time: float | None = None,
    region: str | None = None,
) -> xr.Dataset:
    """Return the curves that a plot shows.

    Parameters
    ----------
    data, frame_time, region
        As for `detrend`.
    method
        See `detrend`.
    normalise
        Divide each curve by its mean.

    Returns
    -------
    Dataset
        `raw` and `detrended` (frame), and `valid` (percent of the pixels), `n_saturated` (pixels), `center_x` and
        `center_y` (pixel) as far as the result has them; `time` (s) as a coordinate. Frames without a valid pixel are
        left out.
    """
    trace = Trace.of(data, frame_time, region)
    curves = {"raw": trace.value.astype(np.float64), "detrended": detrended(trace, method)}
    if normalise and trace.mean:
        curves = {name: curve / pd.Series(curve).mean() for name, curve in curves.items()}
    units = "1" if normalise else "counts"
    out = xr.Dataset(
        {name: (FRAME, curve, {"units": units}) for name, curve in curves.items()},
        {FRAME: trace.frame, "time": (FRAME, trace.seconds, {"units": "1" if trace.frame_time is None else "s"})},
        {"detrend": method, "mean": trace.mean},
    )
    if isinstance(data, xr.Dataset):
        out = out.assign({n: (FRAME, v[trace.position]) for n, v in passed_through(data, region).items()})
    return out


def passed_through(data: xr.Dataset, region: str | None = None) -> dict[str, NDArray[Any]]:
    """Return what a result says of each frame beside its intensity: valid pixels in percent, saturation, centre."""
    one = _region(data, region)
    found = {name: one[name].values for name in ("n_saturated", "center_x", "center_y") if name in one}
    shape = data.attrs.get("shape")
    if shape is not None and "n_valid" in one and ("region" not in data.dims or str(one["region"].item()) == FRAME):
        found["valid"] = 100.0 * one["n_valid"].values / max(int(np.prod(np.asarray(shape, np.int64))), 1)
    return found


def _region(data: xr.Dataset, region: str | None) -> xr.Dataset:
    if "region" not in data.dims:
        if region not in {None, FRAME}:
            msg = f"no region {region!r:.60}: the result has none"
            raise ValueError(msg)
        return data
    names = [str(name) for name in data["region"].values]
    if region is None and (FRAME in names or len(names) == 1):
        region = FRAME if FRAME in names else names[0]
    if region not in names:
        wanted = "say which region" if region is None else f"no region {region!r:.60}"
        msg = f"{wanted}; the result has {', '.join(names)}"
        raise ValueError(msg)
    return data.isel(region=names.index(region))


def _numbers(data: Any) -> NDArray[Any]:
    value = np.ma.filled(data.astype(np.float64), np.nan) if np.ma.isMaskedArray(data) else np.asarray(data)
    if value.dtype.kind not in "iuf":
        value = value.astype(np.float64)
    if value.ndim != 1:
        msg = f"expected one number for each frame, found an array of shape {value.shape}"
        raise ValueError(msg)
    return np.asarray(value)


def _polynomial(trace: Trace, order: int) -> NDArray[np.float64]:
    fit = np.polynomial.Polynomial.fit(trace.frame.astype(np.float64), trace.value, min(order, len(trace) - 1))
    return np.asarray(fit(trace.frame.astype(np.float64)), np.float64)


def _slow(trace: Trace, cutoff: float) -> NDArray[np.float64]:
    """Return what the high-pass filter takes away, estimated without outliers."""
    grid = trace.grid()
    rate = 1.0 / (grid.spacing or 1.0)
    if cutoff >= rate / 2:
        msg = f"detrend: highpass:{cutoff:g} is not below the Nyquist frequency {rate / 2:.4g} Hz of these frames"
        raise ValueError(msg)
    value = trace.value.astype(np.float64)
    sos = scipy.signal.butter(2, cutoff, "highpass", fs=rate, output="sos")
    # one period of the cut at either end keeps the filter's start out of the series
    padding = int(min(grid.size - 1, max(round(rate / cutoff), 9)))
    trend = np.full(len(value), trace.mean)
    for _ in range(3):  # a lost frame may show only without the trend, its neighbours may look lost the first time
        inside = regular(value - trend)
        filled = np.interp(np.arange(grid.size), grid.place[inside], value[inside])
        slow = filled - scipy.signal.sosfiltfilt(sos, filled, padlen=padding)
        trend = np.asarray(slow[grid.place], np.float64)
    return trend
