"""Two series beside each other, and a series beside the beam current."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

import numpy as np
import pandas as pd
import xarray as xr

from detcore.core.schema import FRAME
from detcore.eiger.analysis import statistics
from detcore.eiger.detrend import Trace, detrended
from detcore.eiger.spectra import spectrum

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

MAX_BYTES: Final = 50_000_000  # of a CSV file; a day of readings at 10 Hz is 20 MB


class Comparison(NamedTuple):
    """What `compare` finds.

    Parameters
    ----------
    ratio
        (frame,) first series over second, each divided by its mean; of the frames that both have.
    spectrum
        `first`, `second` and `difference` (frequency), percent of the mean.
    table
        Statistics in rows; columns first, second, difference, ratio, unit.
    """

    ratio: xr.DataArray
    spectrum: xr.Dataset
    table: pd.DataFrame


def compare(
    a: Any, b: Any, method: str = "linear", *, frame_time: float | None = None, region: str | None = None
) -> Comparison:
    """Compare two series.

    Parameters
    ----------
    a, b
        Results of reductions, or numbers (frame,).
    method, frame_time, region
        See `detrend`; for both.

    Returns
    -------
    Comparison
        The spectra are those of each series alone; the second is interpolated to the frequencies of the first, up to
        the lower of the two Nyquist frequencies.
    """
    first, second = Trace.of(a, frame_time, region), Trace.of(b, frame_time, region)
    common, here, there = np.intersect1d(first.frame, second.frame, assume_unique=True, return_indices=True)
    one, other = (
        detrended(trace, method)[place] / (trace.mean or np.nan) for trace, place in ((first, here), (second, there))
    )
    ratio = np.divide(one, other, out=np.full(len(common), np.nan), where=other != 0)
    left, right = spectrum(first, method), spectrum(second, method)
    if left["frequency"].attrs != right["frequency"].attrs:
        msg = "the frame time of one series is unknown; give frame_time for both"
        raise ValueError(msg)
    frequency = left["frequency"].values[left["frequency"].values <= right.attrs["nyquist"] * (1 + 1e-9)]
    mine = left["amplitude"].values[: len(frequency)]
    known = right["frequency"].size > 0
    theirs = np.interp(frequency, right["frequency"], right["amplitude"]) if known else np.full(len(frequency), np.nan)
    spectra = {"first": mine, "second": theirs, "difference": mine - theirs}
    tables = [statistics(data, method, frame_time=frame_time, region=region) for data in (a, b)]
    table = tables[0][["value"]].join(tables[1]["value"].rename("second"), how="inner")
    table = table.rename(columns={"value": "first"}).astype(np.float64)
    table["difference"] = table["first"] - table["second"]
    table["ratio"] = table["first"] / table["second"].where(table["second"] != 0)
    table["unit"] = tables[0]["unit"]
    return Comparison(
        xr.DataArray(ratio, {FRAME: common}, (FRAME,), "ratio", {"units": "1", "detrend": method}),
        xr.Dataset(
            {name: ("frequency", value, {"units": "%"}) for name, value in spectra.items()},
            {"frequency": ("frequency", frequency, left["frequency"].attrs)},
        ),
        table,
    )


def correlate(
    data: Any,
    beam_current: str | os.PathLike[str],
    column: str | None = None,
    *,
    frame_time: float | None = None,
    region: str | None = None,
) -> xr.Dataset:
    """Ask how much of the fluctuation is that of the beam current.

    Parameters
    ----------
    data, frame_time, region
        As for `compare`.
    beam_current
        CSV table with a first line of names. A column whose name begins with *frame* (number in the series), or else
        with *time* (s, since the start of frame 1, or on the clock of the file's time stamps), says when.
    column
        Name of the column with the current; None: the first other one.

    Returns
    -------
    Dataset
        On `frame`, those inside the table: `current` (interpolated), `raw` and `corrected` (counts; corrected is raw
        divided by the current relative to its mean). Attributes: pearson, p_value, cv and cv_corrected (percent),
        column, n_outside (frames before or after the table).

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is no such table; says what is missing.
    """
    trace = Trace.of(data, frame_time, region)
    place = Path(beam_current)
    table = _table(place)
    by, name = _columns(place, table, column)
    when, current = (pd.to_numeric(table[one], errors="coerce").to_numpy(np.float64) for one in (by, name))
    known = np.isfinite(when) & np.isfinite(current)
    when, index = np.unique(when[known], return_index=True)
    current = current[known][index]
    if not len(when):
        _refuse(place, f"numbers in {by!r} and {name!r}", "none in the same line")
    at = _clock(place, data, trace, by, when)
    inside = (at >= when[0]) & (at <= when[-1])
    if not inside.any():
        span = f"{by} {when[0]:g} to {when[-1]:g}, the series {at.min():g} to {at.max():g}" if len(at) else "no frames"
        _refuse(place, "readings during the series", span)
    value = trace.value[inside].astype(np.float64)
    level = np.interp(at[inside], when, current)
    mean = level.mean()
    relative = level / mean if mean else np.full(len(level), np.nan)
    corrected = np.divide(value, relative, out=np.full(len(value), np.nan), where=relative > 0)
    pearson, p_value = np.nan, np.nan
    if len(value) > 2 and np.ptp(value) > 0 and np.ptp(level) > 1e-12 * abs(mean):
        import scipy.stats  # noqa: PLC0415 - takes a second to load, which every command would wait for

        pearson, p_value = (float(one) for one in scipy.stats.pearsonr(value, level))
    return xr.Dataset(
        {
            "current": (FRAME, level),
            "raw": (FRAME, value, {"units": "counts"}),
            "corrected": (FRAME, corrected, {"units": "counts"}),
        },
        {FRAME: trace.frame[inside]},
        {
            "pearson": pearson,
            "p_value": p_value,
            "cv": _cv(value),
            "cv_corrected": _cv(corrected),
            "column": name,
            "n_outside": int((~inside).sum()),
        },
    )


def _table(place: Path) -> pd.DataFrame:
    size = place.stat().st_size
    if size > MAX_BYTES:
        _refuse(place, f"at most {MAX_BYTES:,} bytes of CSV", f"{size:,}")
    try:
        text = place.read_text(encoding="utf-8-sig")
        head = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
        mark = max((",", ";", "\t"), key=head.count)
        table = pd.read_csv(StringIO(text), sep=mark, comment="#", skipinitialspace=True, dtype=str, index_col=False)
    except (ValueError, OverflowError) as error:
        _refuse(place, "a CSV table with a first line of names", f"{type(error).__name__}: {error}")
    table.columns = [str(one).strip() for one in table.columns]
    return table


def _columns(place: Path, table: pd.DataFrame, column: str | None) -> tuple[str, str]:
    names = list(table.columns)
    by = next((n for word in (FRAME, "time") for n in names if n.casefold().startswith(word)), None)
    if by is None:
        _refuse(place, "a column 'frame' (number in the series) or 'time' (s)", f"columns {', '.join(names)}")
    others = [name for name in names if name != by and not name.casefold().startswith((FRAME, "time"))]
    name = column if column is not None else next(iter(others), None)
    if name not in names or names.count(name) > 1 or names.count(by) > 1:
        _refuse(place, f"one column {column or 'with the current'!r}", f"columns {', '.join(names)}")
    return by, str(name)


def _clock(place: Path, data: Any, trace: Trace, by: str, when: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return when each frame was taken, on the clock of the table."""
    if by.casefold().startswith(FRAME):
        return trace.frame.astype(np.float64)
    if isinstance(data, xr.Dataset) and "start_time" in data:
        stamp = np.asarray(data["start_time"].values[trace.position], np.float64)
        good = stamp[np.isfinite(stamp)]
        if len(good) == len(trace) and len(good) and good.max() >= when[0] and good.min() <= when[-1]:
            return stamp
    if trace.frame_time is None:
        _refuse(place, "a column 'frame', because the frame time of the series is unknown", f"{by!r}")
    return trace.seconds


def _cv(value: NDArray[np.float64]) -> float:
    good = pd.Series(value[np.isfinite(value)])
    return float(100.0 * good.std() / good.mean()) if len(good) and good.mean() else np.nan


def _refuse(place: Path, expected: str, found: str) -> NoReturn:
    msg = f"{place}: expected {expected}; found {found[:200]}"
    raise ValueError(msg)
