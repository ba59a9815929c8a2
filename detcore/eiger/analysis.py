"""What the fluctuation of a series is made of: the tables, the outliers, the gaps, the distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import scipy.special
import xarray as xr

from detcore.core.schema import FRAME
from detcore.eiger.detrend import OUTLIER_SIGMA, Trace, detrended, deviant, passed_through
from detcore.eiger.spectra import spectral_lines

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS: Final = ("count", "mean", "std", "CV%", "min", "25%", "50%", "75%", "max")
MAX_BINS: Final = 2000

# statistic -> unit and meaning, in the order of the table
STATISTICS: Final = {
    "frames": ("", "frames with at least one valid pixel"),
    "excluded_frames": ("", "frames without any valid pixel"),
    "missing_frames": ("", "frame numbers that are not there, between the first and the last"),
    "frame_time": ("s", "from frame to frame"),
    "dead_time": ("%", "of the frame time in which nothing is counted: 1 - count time / frame time"),
    "mean": ("counts", "per frame"),
    "cv": ("%", "standard deviation / mean, raw"),
    "cv_detrended": ("%", "standard deviation / mean without the trend"),
    "cv_robust": ("%", "1.4826 median absolute deviation / median, raw: outliers do not count"),
    "shot_cv": ("%", "photon statistics alone: 1 / sqrt(mean)"),
    "excess_cv": ("%", "what photon statistics does not explain: sqrt(cv^2 - shot_cv^2)"),
    "excess_cv_detrended": ("%", "the same without the trend"),
    "excess_cv_robust": ("%", "the same without outliers"),
    "drift": ("%/min", "slope of the straight line / mean"),
    "drift_total": ("%", "from the first to the last frame along the straight line"),
    "peak_to_peak": ("%", "(max - min) / mean, raw"),
    "outliers": ("", f"frames farther than {OUTLIER_SIGMA:g} robust standard deviations from the median"),
    "drops": ("", "outliers below the median"),
    "spikes": ("", "outliers above the median"),
    "first_frame": ("%", "first frame from the median of all"),
    "first_frame_sigma": ("sigma", "the same in robust standard deviations"),
    "last_frame": ("%", "last frame from the median of all"),
    "last_frame_sigma": ("sigma", "the same in robust standard deviations"),
    "strongest_line": ("Hz", "frequency of the largest line of the spectrum"),
    "strongest_line_amplitude": ("%", "of the mean"),
    "strongest_line_chance": ("", "that white noise has a line so large"),
    "time_gaps": ("", "gaps in the time stamps"),
    "valid_pixels": ("%", "of all pixels, median of the frames"),
    "valid_pixels_min": ("%", "of all pixels, in the worst frame"),
    "saturated_frames": ("", "frames with a saturated pixel"),
    "saturated_pixels_max": ("", "in the worst frame"),
    "center_x": ("pixel", "centre of mass, mean"),
    "center_y": ("pixel", "centre of mass, mean"),
    "center_x_std": ("pixel", "standard deviation"),
    "center_y_std": ("pixel", "standard deviation"),
}


def describe(
    data: Any, method: str = "linear", *, frame_time: float | None = None, region: str | None = None
) -> pd.DataFrame:
    """Return the table of descriptive statistics.

    Parameters
    ----------
    data
        Result of a reduction, or numbers (frame,).
    method, frame_time, region
        See `detrend`.

    Returns
    -------
    pandas.DataFrame
        Rows count, mean, std, CV%, min, 25%, 50%, 75%, max; columns raw and detrended, counts. The standard deviation
        has ddof = 1, the quartiles are interpolated linearly.

    Examples
    --------
    >>> describe([10, 12, 11, 13]).loc[["count", "mean", "CV%"]].round(2)["raw"].tolist()
    [4.0, 11.5, 11.23]
    """
    trace = Trace.of(data, frame_time, region)
    columns = {}
    for name, value in (("raw", trace.value), ("detrended", detrended(trace, method))):
        column = pd.Series(value, dtype=None if len(value) else np.float64)
        table = column.describe()
        table["CV%"] = column.std() / column.mean() * 100 if column.any() else np.nan
        columns[name] = table.reindex(ROWS)
    return pd.DataFrame(columns)


def statistics(
    data: Any, method: str = "linear", *, frame_time: float | None = None, region: str | None = None
) -> pd.DataFrame:
    """Return the numbers that say where the fluctuation comes from.

    Parameters
    ----------
    data, method, frame_time, region
        As for `describe`.

    Returns
    -------
    pandas.DataFrame
        Columns value, unit, meaning; rows are the `STATISTICS` that the input allows.

    Examples
    --------
    >>> float(statistics([10_000] * 50).loc["shot_cv", "value"])
    1.0
    """
    trace = Trace.of(data, frame_time, region)
    values = _of_trace(trace, method)
    if isinstance(data, xr.Dataset):
        values |= _of_result(data, trace, region)
    rows = [(name, values[name], *words) for name, words in STATISTICS.items() if name in values]
    return pd.DataFrame(rows, columns=["statistic", "value", "unit", "meaning"]).set_index("statistic")


def outliers(
    data: Any,
    n_sigma: float = OUTLIER_SIGMA,
    method: str = "none",
    *,
    frame_time: float | None = None,
    region: str | None = None,
) -> pd.DataFrame:
    """List the frames that do not belong to the rest.

    Parameters
    ----------
    data, frame_time, region
        As for `describe`.
    n_sigma
        A frame is listed if ``|x - median| > n_sigma * 1.4826 * MAD``.
    method
        Take a trend out before, see `detrend`: for long series that drift by more than what is looked for.

    Returns
    -------
    pandas.DataFrame
        frame (number in the series), value (counts), deviation (robust standard deviations, signed), percent (of the
        median), kind (drop or spike); by frame. Series of fewer than 8 frames have none.

    Examples
    --------
    >>> outliers([100, 101, 99, 100, 3, 100, 102, 98])[["frame", "kind"]].values.tolist()
    [[5, 'drop']]
    """
    trace = Trace.of(data, frame_time, region)
    value = detrended(trace, method)
    away = deviant(value)
    found = np.flatnonzero(np.abs(away) > n_sigma)
    middle = float(np.median(value)) if len(value) else np.nan
    percent = 100.0 * (value[found] - middle) / middle if middle else np.full(len(found), np.nan)
    return pd.DataFrame(
        {
            "frame": trace.frame[found],
            "value": trace.value[found],
            "deviation": away[found],
            "percent": percent,
            "kind": np.where(away[found] < 0, "drop", "spike").astype(object),
        }
    )


def gaps(data: Any, *, frame_time: float | None = None) -> pd.DataFrame:
    """List missing frame numbers and gaps between time stamps.

    Parameters
    ----------
    data
        Result of a reduction, with `start_time` (s) if the file has time stamps, or numbers (frame,).
    frame_time
        Seconds from frame to frame; None takes that of the result, or the median of the time stamps.

    Returns
    -------
    pandas.DataFrame
        kind ("missing frames" or "time gap"), after and before (frame numbers), missing (frames), seconds (between the
        time stamps; nan without), expected (s). A time gap is half a frame time or more.
    """
    columns = {"kind": object, "after": np.int64, "before": np.int64, "missing": np.int64}
    columns |= {"seconds": np.float64, "expected": np.float64}
    if isinstance(data, xr.Dataset):
        frame = data[FRAME].values.astype(np.int64)
        start = data["start_time"].values if "start_time" in data else np.full(len(frame), np.nan)
        frame_time = data.attrs.get("frame_time") if frame_time is None else frame_time
    else:
        frame = Trace.of(data, frame_time).frame
        start = np.full(len(frame), np.nan)
    ahead, seconds = np.diff(frame), np.diff(np.asarray(start, np.float64))
    step = max(int(np.gcd.reduce(ahead)), 1) if len(ahead) else 1
    per_frame = seconds[np.isfinite(seconds)] / ahead[np.isfinite(seconds)]
    one = frame_time or (float(np.median(per_frame)) if len(per_frame) else np.nan)
    late = np.isfinite(seconds) & (np.abs(seconds - ahead * one) >= one / 2)
    rows = []
    for place in np.flatnonzero((ahead > step) | late).tolist():
        numbers = (int(frame[place]), int(frame[place + 1]))
        times = (float(seconds[place]), float(ahead[place] * one))
        if ahead[place] > step:
            rows.append(("missing frames", *numbers, int(ahead[place]) // step - 1, *times))
        if late[place]:
            rows.append(("time gap", *numbers, 0, *times))
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)


def distribution(
    data: Any, bins: int | None = None, method: str = "none", *, frame_time: float | None = None,
    region: str | None = None,
) -> xr.Dataset:  # fmt: skip
    """Return how often each intensity occurs, and how often it would with photon statistics alone.

    Parameters
    ----------
    data, method, frame_time, region
        As for `describe`.
    bins
        How many, up to 2000; None chooses by the spread (Freedman and Diaconis).

    Returns
    -------
    Dataset
        `frames` and `poisson` (frames expected from a Poisson distribution with the same mean) on `intensity` (counts,
        bin centres); `edge` (counts). Outliers are counted at the ends, in `below` and `above`.
    """
    trace = Trace.of(data, frame_time, region)
    value = detrended(trace, method)
    if not len(value):
        edges, within = np.array([0.0, 1.0]), value
    else:
        shot = np.sqrt(max(float(value.mean()), 0.0))
        within = value[~(np.abs(deviant(value)) > OUTLIER_SIGMA)]
        low = min(within.min(), value.mean() - 4 * shot)
        high = max(within.max(), value.mean() + 4 * shot, low + 1)
        if bins is None:
            quarter = float(np.subtract(*np.percentile(within, (75, 25)))) or shot or 1.0
            bins = int(np.clip((high - low) * np.cbrt(len(value)) / (2 * quarter), 10, 200))
        edges = np.linspace(low, high, min(max(bins, 1), MAX_BINS) + 1)
    counted = np.histogram(value, edges)[0]
    mean = float(value.mean()) if len(value) else 0.0
    # a bin holds the whole numbers in [edge, next edge)
    below = np.ceil(edges) - 1
    up_to = np.where(below < 0, 0.0, scipy.special.pdtr(np.maximum(below, 0), mean))  # at most so many, by chance
    inside = np.diff(up_to) if mean > 0 else np.zeros(len(edges) - 1)
    return xr.Dataset(
        {
            "frames": ("intensity", counted.astype(np.int64)),
            "poisson": ("intensity", len(value) * inside, {"units": "frames"}),
            "edge": ("intensity_edge", edges, {"units": "counts"}),
        },
        {"intensity": ("intensity", (edges[1:] + edges[:-1]) / 2, {"units": "counts"})},
        {"below": int((value < edges[0]).sum()), "above": int((value > edges[-1]).sum())},
    )


def _of_trace(trace: Trace, method: str) -> dict[str, float]:
    raw, plain = pd.Series(trace.value, dtype=np.float64), pd.Series(detrended(trace, method))
    n, mean = len(trace), trace.mean
    if not n:
        return {"frames": 0, "excluded_frames": trace.n_given}
    ahead = np.diff(trace.frame)
    away = deviant(trace.value)
    median = float(raw.median())
    shot = 100.0 / np.sqrt(mean) if mean > 0 else np.nan
    cv, cv_plain = (100.0 * column.std() / mean if mean else np.nan for column in (raw, plain))
    robust = 148.26 * float((raw - median).abs().median()) / median if median else np.nan
    slope = np.polyfit(trace.frame - trace.frame.mean(), raw, 1)[0] if n > 1 else np.nan
    found = np.abs(away) > OUTLIER_SIGMA
    out = {
        "frames": n,
        "excluded_frames": trace.n_given - n,
        "missing_frames": int((ahead // (np.gcd.reduce(ahead) if len(ahead) else 1) - 1).sum()),
        "frame_time": np.nan if trace.frame_time is None else trace.frame_time,
        "mean": mean,
        "cv": cv,
        "cv_detrended": cv_plain,
        "cv_robust": robust,
        "shot_cv": shot,
        "excess_cv": _excess(cv, shot),
        "excess_cv_detrended": _excess(cv_plain, shot),
        "excess_cv_robust": _excess(robust, shot),
        "drift": 6000.0 * slope / (trace.frame_time * mean) if trace.frame_time and mean else np.nan,
        "drift_total": 100.0 * slope * (trace.frame[-1] - trace.frame[0]) / mean if mean else np.nan,
        "peak_to_peak": 100.0 * (raw.max() - raw.min()) / mean if mean else np.nan,
        "outliers": int(found.sum()),
        "drops": int((found & (away < 0)).sum()),
        "spikes": int((found & (away > 0)).sum()),
    }
    for name, place in (("first_frame", 0), ("last_frame", -1)):
        out[name] = 100.0 * (raw.iloc[place] - median) / median if median else np.nan
        out[f"{name}_sigma"] = away[place]
    line = spectral_lines(trace, 1, method)
    out["strongest_line"] = float(line["frequency"].iloc[0]) if len(line) and trace.frame_time else np.nan
    out["strongest_line_amplitude"] = float(line["amplitude"].iloc[0]) if len(line) else np.nan
    out["strongest_line_chance"] = float(line["chance"].iloc[0]) if len(line) else np.nan
    return {name: float(value) if isinstance(value, np.floating) else value for name, value in out.items()}


def _of_result(data: xr.Dataset, trace: Trace, region: str | None) -> dict[str, float]:
    out: dict[str, float] = {}
    count_time = data.attrs.get("count_time")
    if trace.frame_time and count_time is not None:
        out["dead_time"] = 100.0 * (1.0 - float(count_time) / trace.frame_time)
    if "start_time" in data:
        out["time_gaps"] = int((gaps(data, frame_time=trace.frame_time)["kind"] == "time gap").sum())
    found: dict[str, NDArray[Any]] = {n: v[trace.position] for n, v in passed_through(data, region).items()}
    if not len(trace):
        return out
    if "valid" in found:
        out |= {"valid_pixels": float(np.median(found["valid"])), "valid_pixels_min": float(found["valid"].min())}
    if "n_saturated" in found:
        out["saturated_frames"] = int((found["n_saturated"] > 0).sum())
        out["saturated_pixels_max"] = int(found["n_saturated"].max())
    for name in ("center_x", "center_y"):
        if name in found:
            centre = pd.Series(found[name])
            out |= {name: float(centre.mean()), f"{name}_std": float(centre.std())}
    return out


def _excess(cv: float, shot: float) -> float:
    """Return what photon statistics does not explain, %; 0 where there is less than that."""
    return float(np.sqrt(max(cv * cv - shot * shot, 0.0))) if np.isfinite(cv * shot) else np.nan
