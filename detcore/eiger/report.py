"""The intensity of a series as a page that works without a network, and as a picture."""

from __future__ import annotations

import json
import re
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from detcore.core.schema import FRAME
from detcore.eiger.analysis import describe, outliers, statistics
from detcore.eiger.detrend import Trace, traces
from detcore.eiger.spectra import spectral_lines, spectrum

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MAX_POINTS: Final = 100_000  # of the curves; longer series are drawn by the extremes of each piece
MAX_FREQUENCIES: Final = 20_000
MAX_ROWS: Final = 50  # of the table of outliers
COLORS: Final = ("#2166ac", "#c8511b")


def page(data: Any, title: str, method: str = "linear", *, frame_time: float | None = None) -> str:
    """Return a whole HTML page: the traces and the spectrum, which can be zoomed, and the tables.

    Parameters
    ----------
    data
        Result of a reduction, or numbers (frame,).
    title
        Any text.
    method, frame_time
        See `detrend`.

    Returns
    -------
    str
        Self-contained: its policy forbids every request. Below 10 MB for any length: of more than 100,000 frames the
        extremes of short pieces are drawn, so that single lost frames stay visible.
    """
    trace = Trace.of(data, frame_time)
    curves, amplitudes = traces(trace, method), spectrum(trace, method)
    raw, plain = curves["raw"].values, curves["detrended"].values
    drawn = extremes([raw, plain], MAX_POINTS)
    peaks = extremes([amplitudes["amplitude"].values], MAX_FREQUENCIES)
    content = {
        "frame": trace.frame[drawn].tolist(),
        "raw": _rounded(raw[drawn]),
        "detrended": _rounded(plain[drawn]),
        "frequency": _rounded(amplitudes["frequency"].values[peaks]),
        "amplitude": _rounded(amplitudes["amplitude"].values[peaks]),
        "unit": str(amplitudes["frequency"].attrs["units"]),
    }
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    values = {
        "title": escape(_printable(title)),
        "subtitle": escape(_printable(_subtitle(data, trace, method))),
        "note": escape(_note(len(trace), len(drawn))),
        "tables": _tables(data, trace, method),
        "data": re.sub("[<>&]", lambda sign: f"\\u{ord(sign[0]):04x}", text),
    }
    template = files("detcore.eiger").joinpath("report.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda name: values[name[1]], template)


def figure(data: Any, title: str, method: str = "linear", *, frame_time: float | None = None) -> Figure:
    """Draw the normalised traces and the spectrum.

    Parameters
    ----------
    data, title, method, frame_time
        As for `page`.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - takes a second to load, which every command would wait for

    trace = Trace.of(data, frame_time)
    curves, amplitudes = traces(trace, method), spectrum(trace, method)
    drawn = Figure(figsize=(12, 7), layout="constrained")
    above, below = drawn.subplots(2, 1, height_ratios=(2, 1))
    above.set_title(_printable(title), parse_math=False, wrap=True)
    for name, color in zip(("raw", "detrended"), COLORS, strict=True):
        above.plot(curves[FRAME], curves[name], color=color, linewidth=0.8, label=name)
    above.set(xlabel="frame", ylabel="Normalised intensity")
    above.ticklabel_format(useOffset=False)
    above.legend(loc="upper right")
    below.plot(amplitudes["frequency"], amplitudes["amplitude"], color=COLORS[1], linewidth=0.8)
    below.set(xlabel=f"frequency ({amplitudes['frequency'].attrs['units']})", ylabel="amplitude (% of the mean)")
    below.set_ylim(bottom=0)
    return drawn


def extremes(curves: list[NDArray[Any]], most: int) -> NDArray[np.int64]:
    """Return places that keep the look of curves: all, or in each piece those of the least and greatest values.

    Parameters
    ----------
    curves
        (n,) each.
    most
        Places at most.
    """
    size = len(curves[0])
    if size <= most:
        return np.arange(size)
    length = -(-size // (most // (2 * len(curves))))
    whole = size // length * length
    start = np.arange(0, size, length)
    found = []
    for curve in curves:
        body, tail = curve[:whole].reshape(-1, length), curve[whole:]
        for choose in (np.argmin, np.argmax):
            inside = [choose(body, axis=1), np.array([choose(tail)] if len(tail) else [], np.int64)]
            found.append(start + np.concatenate(inside))
    return np.asarray(np.unique(np.concatenate(found)), np.int64)


def _rounded(values: NDArray[Any]) -> list[float]:
    return [float(f"{value:.7g}") for value in values.tolist()]


def _printable(text: str) -> str:
    """Replace what turns, hides or breaks a line."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text[:2000])


def _subtitle(data: Any, trace: Trace, method: str) -> str:
    attrs = getattr(data, "attrs", {})
    words = [f"{len(trace):,} frames"]
    if trace.frame_time:
        words.append(f"{trace.frame_time:.6g} s each")
    if "low" in attrs and "high" in attrs:
        rule = "limits alone" if attrs.get("pixel_mask") == "original" else "pixel mask applied"
        words.append(f"{attrs['low']} <= value <= {attrs['high']}, {rule}")
    words.append(f"detrended: {method}")
    if attrs.get("status") == "partial":
        words.append("partial: the reading was stopped early")
    return " · ".join(words)


def _note(frames: int, points: int) -> str:
    how = "Wheel: zoom. Drag: zoom to a range. Shift-drag: move. Double click: show all."
    return (
        how if frames == points else f"{how} Drawn are the extremes of short pieces: {points:,} of {frames:,} frames."
    )


def _tables(data: xr.Dataset | Any, trace: Trace, method: str) -> str:
    numbers = statistics(data, method, frame_time=trace.frame_time)
    parts = [("Descriptive statistics (counts)", describe(trace, method).reset_index(names=""))]
    parts.append(("What the fluctuation is made of", numbers.reset_index()))
    lines = spectral_lines(trace, 5, method)
    if len(lines):
        parts.append((f"Largest lines ({'Hz' if trace.frame_time else '1/frame'}, %)", lines))
    found = outliers(trace)
    if len(found):
        more = f", the first {MAX_ROWS}" if len(found) > MAX_ROWS else ""
        parts.append((f"Outliers ({len(found):,}{more})", found.head(MAX_ROWS)))
    return "".join(f"<div><h2>{escape(words)}</h2>{_table(table)}</div>" for words, table in parts)


def _table(table: pd.DataFrame) -> str:
    kinds = ["" if pd.api.types.is_numeric_dtype(table[name]) else ' class="text"' for name in table.columns]
    names = zip(kinds, map(str, table.columns), strict=True)
    head = "".join(f"<th{kind}>{escape(_printable(name))}</th>" for kind, name in names)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.itertuples(index=False))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return f'<td class="text">{escape(_printable(value))}</td>'
    return f"<td>{value:.7g}</td>" if np.isfinite(value) else "<td></td>"
