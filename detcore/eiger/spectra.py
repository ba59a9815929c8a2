"""At which frequencies and over which times the intensity fluctuates.

All work on equally spaced places by frame number. Missing frames leave places empty; outliers are taken out likewise (one
lost frame would lift the whole spectrum). Empty places hold the mean and have no weight, so that amplitudes stay true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd
import scipy.fft
import scipy.signal
import xarray as xr

from detcore.eiger.detrend import Trace, detrended, regular

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAINS: Final = (50.0, 60.0)  # Hz
HARMONICS: Final = 6
MAINS_TOLERANCE: Final = 0.002  # of the frequency; grids keep it better than that
SHORTEST: Final = 4  # frames; fewer have no spectrum
MAX_SEGMENTS: Final = 2000  # of a spectrogram: more than a screen shows


class _Even(NamedTuple):
    deviation: NDArray[np.float64]  # (place,) from the mean, relative to it; 0 in empty places
    used: NDArray[np.bool_]  # (place,)
    rate: float  # 1 / spacing
    unit: str
    step: int
    first: int  # frame number of the first place


def spectrum(
    data: Any, method: str = "linear", *, frame_time: float | None = None, region: str | None = None
) -> xr.Dataset:
    """Return the amplitude spectrum.

    Parameters
    ----------
    data
        Result of a reduction, or numbers (frame,).
    method, frame_time, region
        See `detrend`.

    Returns
    -------
    Dataset
        `amplitude` (frequency), percent of the mean: a sine of amplitude A gives a peak of height A. `shot_noise`: the
        level (rms) that photon statistics alone has there, percent. Attributes: resolution and nyquist, both in the
        unit of `frequency` (Hz, or 1/frame if the time between frames is unknown).

    Notes
    -----
    Hann window; the sum of its weights over the frames that are there normalises the amplitude.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(1000) * 0.001
    >>> found = spectrum(1e6 * (1 + 0.01 * np.sin(2 * np.pi * 50 * t)), frame_time=0.001)
    >>> float(found.amplitude.idxmax()), round(float(found.amplitude.max()), 2)
    (50.0, 1.0)
    """
    trace = Trace.of(data, frame_time, region)
    even = _even(trace, method)
    size = len(even.deviation)
    amplitude: NDArray[np.floating[Any]] = np.zeros(0)
    frequency, shot = amplitude, np.nan
    if size >= SHORTEST:
        window = scipy.signal.windows.hann(size, sym=False) * even.used
        weight = window.sum()
        amplitude = 200.0 * np.abs(np.asarray(scipy.fft.rfft(even.deviation * window))) / weight
        amplitude[0] /= 2.0
        if size % 2 == 0:
            amplitude[-1] /= 2.0
        frequency = np.arange(size // 2 + 1) * (even.rate / size)
        shot = 200.0 * np.sqrt((window**2).sum() / trace.mean) / weight if trace.mean > 0 else np.nan
    return xr.Dataset(
        {
            "amplitude": ("frequency", amplitude, {"units": "%", "long_name": "amplitude relative to the mean"}),
            "shot_noise": ((), shot, {"units": "%"}),
        },
        {"frequency": ("frequency", frequency, {"units": even.unit})},
        {"resolution": even.rate / size if size else np.nan, "nyquist": even.rate / 2.0, "detrend": method},
    )


def spectral_lines(
    data: Any, n: int = 5, method: str = "linear", *, frame_time: float | None = None, region: str | None = None
) -> pd.DataFrame:
    """List the largest lines of the spectrum.

    Parameters
    ----------
    data, method, frame_time, region
        As for `spectrum`.
    n
        How many at most.

    Returns
    -------
    pandas.DataFrame
        frequency (Hz), amplitude (percent of the mean), chance (that white noise of the same level has a line as large
        anywhere), alias (what else the line may be); largest first. The frequency is finer than the spacing of the
        spectrum: from the shape of the peak.

    Notes
    -----
    Frames are samples: a frequency f above the Nyquist frequency shows at ``|f - k fs|``, fs being the frame rate.
    Mains harmonics that would show at a line are named.
    """
    trace = Trace.of(data, frame_time, region)
    found = spectrum(trace, method)
    height = found["amplitude"].values
    columns = {"frequency": np.float64, "amplitude": np.float64, "chance": np.float64, "alias": object}
    even = height[1:]
    if len(even) < 2 or not height.max() > 1e-10:  # percent; less is rounding
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})
    # peaks at the ends count, too
    peaks = scipy.signal.find_peaks(np.concatenate([[0.0], even, [0.0]]))[0]
    peaks = peaks[np.argsort(height[peaks], kind="stable")[::-1]][: max(n, 0)]
    power = np.median(even**2) / np.log(2)  # mean of white noise, whose power is exponential
    resolution = found.attrs["resolution"]
    rows = []
    for peak in peaks.tolist():
        shift, top = _summit(height[peak - 1 : peak + 2])
        frequency = resolution * (peak + shift)
        tail = np.exp(-min(height[peak] ** 2 / power, 700.0)) if power else 0.0
        chance = float(-np.expm1(len(even) * np.log1p(-min(tail, 1 - 1e-16))))
        note = _alias(frequency, 2 * found.attrs["nyquist"], resolution) if trace.frame_time else ""
        rows.append((frequency, top, chance, note))
    rows.sort(key=lambda row: row[1], reverse=True)
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)


def spectrogram(
    data: Any,
    method: str = "linear",
    *,
    window: int | None = None,
    frame_time: float | None = None,
    region: str | None = None,
) -> xr.Dataset:
    """Return the amplitude spectrum of successive pieces of the series.

    Parameters
    ----------
    data, method, frame_time, region
        As for `spectrum`.
    window
        Frames of a piece; None: an eighth of the series, 16 to 1024 frames.

    Returns
    -------
    Dataset
        `amplitude` (frequency, time), percent of the mean; time is the middle of a piece, s since frame 1. Pieces
        overlap by half, or less if they were more than 2000.
    """
    trace = Trace.of(data, frame_time, region)
    even = _even(trace, method)
    size = len(even.deviation)
    length = int(np.clip(size // 8, 16, 1024)) if window is None else max(int(window), SHORTEST)
    length = min(length, size)
    amplitude: NDArray[np.floating[Any]] = np.zeros((0, 0))
    frequency: NDArray[np.floating[Any]] = np.zeros(0)
    middle = frequency
    if length >= SHORTEST:
        hop = max(length // 2, -(-size // MAX_SEGMENTS))
        start = np.arange(0, size - length + 1, hop)
        weights = scipy.signal.windows.hann(length, sym=False)
        piece = np.lib.stride_tricks.sliding_window_view
        there = (piece(even.used, length)[start] * weights).sum(axis=1)
        cut = piece(even.deviation, length)[start]
        cut = (cut - cut.mean(axis=1, keepdims=True)) * weights * piece(even.used, length)[start]
        scale = np.divide(200.0, there, out=np.full(len(there), np.nan), where=there > 0.25 * weights.sum())
        amplitude = (np.abs(np.asarray(scipy.fft.rfft(cut, axis=1))) * scale[:, None]).T
        frequency = np.arange(length // 2 + 1) * (even.rate / length)
        middle = (start + (length - 1) / 2) / even.rate + (even.first - 1) / (even.rate * even.step)
    unit = "s" if trace.frame_time else "frame"
    return xr.Dataset(
        {"amplitude": (("frequency", "time"), amplitude, {"units": "%"})},
        {"frequency": ("frequency", frequency, {"units": even.unit}), "time": ("time", middle, {"units": unit})},
        {"window": length, "detrend": method},
    )


def allan_deviation(
    data: Any, method: str = "none", *, frame_time: float | None = None, region: str | None = None
) -> xr.Dataset:
    """Return how stable the mean of longer and longer pieces is.

    Parameters
    ----------
    data, method, frame_time, region
        As for `spectrum`.

    Returns
    -------
    Dataset
        On `tau` (s): `deviation`, relative to the mean; `white_noise`, what it would be with independent frames (slope
        -1/2 from the first point); `shot_noise`, photon statistics alone. Outliers are left out.

    Notes
    -----
    Overlapping Allan deviation (D. W. Allan, Proc. IEEE 54 (1966) 221): the root of half the mean squared difference of
    neighbouring means over tau. Pieces of which more than half is missing are left out.
    """
    trace = Trace.of(data, frame_time, region)
    grid = trace.grid()
    relative = detrended(trace, method) / trace.mean if trace.mean else np.zeros(len(trace))
    sums, number = np.zeros(grid.size + 1), np.zeros(grid.size + 1)
    kept = regular(relative * trace.mean)
    # about the mean, so that long running sums lose no digits
    sums[grid.place[kept] + 1] = relative[kept] - 1.0
    number[grid.place[kept] + 1] = 1.0
    sums, number = np.cumsum(sums), np.cumsum(number)
    lengths = np.unique(np.round(np.geomspace(1, max(grid.size // 2, 1), 60)).astype(int)).tolist()
    found = [(m, _allan(sums, number, m)) for m in lengths]
    found = [(m, value) for m, value in found if np.isfinite(value)]
    m = np.array([m for m, _ in found], np.float64)
    deviation = np.array([value for _, value in found], np.float64)
    white = deviation[0] * np.sqrt(m[0] / m) if len(m) else m
    shot = 1.0 / np.sqrt(trace.mean * m) if trace.mean > 0 else np.full(len(m), np.nan)
    return xr.Dataset(
        {"deviation": ("tau", deviation), "white_noise": ("tau", white), "shot_noise": ("tau", shot)},
        {"tau": ("tau", m * (grid.spacing or grid.step), {"units": "frame" if grid.spacing is None else "s"})},
        {"units": "relative to the mean", "white_noise_slope": -0.5, "detrend": method},
    )


def autocorrelation(
    data: Any,
    method: str = "linear",
    *,
    max_lag: int | None = None,
    frame_time: float | None = None,
    region: str | None = None,
) -> xr.Dataset:
    """Return the correlation of the series with itself, later.

    Parameters
    ----------
    data, method, frame_time, region
        As for `spectrum`.
    max_lag
        Frames; None: half of the series.

    Returns
    -------
    Dataset
        `autocorrelation` on `lag` (s), 1 at lag 0; 0 if the series is constant. Attribute `band`: 95 % of the values of
        white noise are closer to 0.
    """
    trace = Trace.of(data, frame_time, region)
    even = _even(trace, method)
    size = len(even.deviation)
    last = min(size // 2 if max_lag is None else max(int(max_lag), 0), max(size - 1, 0))
    mean = even.deviation.sum() / max(even.used.sum(), 1)
    centred = np.where(even.used, even.deviation - mean, 0.0)
    length = scipy.fft.next_fast_len(2 * max(size, 1), real=True)

    def pairs(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(scipy.fft.irfft(np.abs(scipy.fft.rfft(x, length)) ** 2, length)[: last + 1], np.float64)

    products, number = pairs(centred), np.rint(pairs(even.used.astype(np.float64)))
    value = np.divide(products, number, out=np.zeros(last + 1), where=number > 0)
    value = value / value[0] if value[0] > 1e-24 else np.zeros(last + 1)
    unit = "s" if trace.frame_time else "frame"
    lag = np.arange(last + 1) * (1.0 / even.rate if trace.frame_time else even.step)
    return xr.Dataset(
        {"autocorrelation": ("lag", value if size else value[:0])},
        {"lag": ("lag", lag if size else lag[:0], {"units": unit})},
        {"band": 1.96 / np.sqrt(max(len(trace), 1)), "detrend": method},
    )


def _even(trace: Trace, method: str) -> _Even:
    """Place the detrended series, relative to its mean, at equal spacing."""
    grid = trace.grid()
    # in two steps: a trend that is fitted to the outliers would leave a slope behind, a large trend hides small ones
    inside = regular(trace.value)
    value = detrended(trace.only(inside), method)
    close = regular(value)
    inside[inside] = close
    value, mean = value[close], trace.only(inside).mean
    deviation, used = np.zeros(grid.size), np.zeros(grid.size, np.bool_)
    used[grid.place[inside]] = True
    if mean and len(value):
        deviation[grid.place[inside]] = (value - value.mean()) / mean
    known = grid.spacing is not None
    rate = 1.0 / (grid.spacing or grid.step)
    first = int(trace.frame[0]) if len(trace) else 1
    return _Even(deviation, used, rate, "Hz" if known else "1/frame", grid.step, first)


def _allan(sums: NDArray[np.float64], number: NDArray[np.float64], m: int) -> float:
    if len(sums) <= 2 * m:
        return np.nan
    total, there = sums[m:] - sums[:-m], number[m:] - number[:-m]
    if number[-1] == len(number) - 1:  # nothing is missing
        difference = total[m:] - total[:-m]
        return float(np.sqrt(0.5 * np.dot(difference, difference) / len(difference)) / m)
    mean = np.divide(total, there, out=np.full(len(total), np.nan), where=there >= m / 2)
    step = mean[m:] - mean[:-m]
    step = step[np.isfinite(step)]
    return float(np.sqrt(0.5 * np.mean(step * step))) if len(step) else np.nan


def _summit(three: NDArray[np.float64]) -> tuple[float, float]:
    """Return the place, in spacings from the middle, and the height of a line from the three values around its peak.

    A line at d spacings from a value shows there, through a Hann window, as sinc(d) / (1 - d^2) of its height; the ratio
    of two neighbours gives d.
    """
    left, middle, right = three if len(three) == 3 else (three[0], three[-1], 0.0)  # the last may be the highest
    ratio = max(left, right) / middle
    shift = float(np.clip((2 * ratio - 1) / (ratio + 1), 0.0, 0.5))
    return (shift if right > left else -shift), float(middle * (1 - shift**2) / np.sinc(shift))


def _alias(frequency: float, rate: float, resolution: float) -> str:
    """Say which mains harmonics show at this frequency, directly or folded."""
    words = []
    for order in range(1, HARMONICS + 1):
        for mains in MAINS:
            real = mains * order
            turns = round(real / rate)
            if abs(abs(real - turns * rate) - frequency) <= max(resolution, MAINS_TOLERANCE * real):
                folded = f" folded: |{real:g} - {turns:d} x {rate:.4g}|" if turns else ""
                words.append(f"{real:g} Hz (mains {mains:g} Hz{f' x {order}' if order > 1 else ''}){folded}")
    others = f"{rate - frequency:.4g} or {rate + frequency:.4g} Hz would look the same"
    return "; ".join([*words[:3], others])
