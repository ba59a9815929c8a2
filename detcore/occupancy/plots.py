"""Pictures of the occupancy: all planes, one group, all ids, and hits per event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from detcore.core.schema import require
from detcore.occupancy.canvas import (
    FILL,
    ZERO,
    Map,
    channel_map,
    clean,
    colour_bar,
    colour_key,
    describe,
    draw_map,
    element_ticks,
    font_size,
    name_columns,
    name_groups,
    new_figure,
    plain_number,
    shown,
)
from detcore.occupancy.canvas import save_figure as save
from detcore.occupancy.detectors import Detector
from detcore.occupancy.eventplot import PlotConfig, event_display

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from detcore.occupancy.detectors import DetectorTable

__all__ = [
    "Mode",
    "PlotConfig",
    "event_display",
    "group",
    "heatmap",
    "hits_per_event",
    "overall",
    "save",
    "statistics",
]

Mode = Literal["log", "linear", "detector", "ratio", "significance"]
# Both ends bright, the middle dark: unlike the usual diverging maps it cannot be confused with white or grey.
DIVERGING: Final = LinearSegmentedColormap.from_list(
    "lost_gained", ["#9fd8ff", "#2f86c9", "#1f2a36", "#c8621b", "#ffcf8f"]
)


def overall(
    dataset: xr.Dataset,
    separators: bool = True,
    mode: Mode = "log",
    *,
    values: xr.DataArray | None = None,
    label: str = "Hits per channel",
    title: str | None = None,
    table: DetectorTable | None = None,
) -> Figure:
    """Draw every channel of the spectrometer, planes in table order.

    Parameters
    ----------
    dataset
        As `occupancy.reduce` gives it.
    separators
        Lines between the groups.
    mode
        Colour scale: log, linear, detector (each plane relative to its own maximum), ratio (log around 1),
        significance (linear around 0).
    values
        (detector_id, element_id) to be drawn instead of the counts; NaN = no value.
    label
        Of the colour bar, with unit.
    title
        Replaces "Station occupancy"; what the data are stands below it always.
    table
        None for the built-in one.

    Returns
    -------
    Figure
        16 x 10 inches.
    """
    planes = shown(dataset, table)
    figure, axes = new_figure(16, 10, title or "Station occupancy", describe(dataset))
    _draw(figure, axes, channel_map(dataset["hits"] if values is None else values, planes), mode, label)
    name_columns(axes, 13.5, planes)
    name_groups(axes, 13.5, planes, separators)
    return figure


def group(dataset: xr.Dataset, group: str, *, title: str | None = None, table: DetectorTable | None = None) -> Figure:
    """Draw one group: the map of its channels, and the profile of each plane on a logarithmic axis.

    Raises
    ------
    KeyError
        No such group; lists the known ones.
    """
    everything = shown(dataset, table)
    planes = tuple(plane for plane in everything if plane.group == group)
    if not planes:
        msg = f"no group {group!r}; known: {', '.join(dict.fromkeys(plane.group for plane in everything))}"
        raise KeyError(msg)
    drawn = channel_map(dataset["hits"], planes)
    total = int(drawn.values[drawn.exists].sum())
    heading = title or f"{group}: {total:,} of {int(dataset['hits'].sum()):,} hits"
    figure, (left, right) = new_figure(12, 8, heading, describe(dataset), panels=[1, 1.9])
    axes = left.subplots()
    _draw(figure, axes, drawn, "log", "Hits per channel", in_group=True)
    name_columns(axes, 3.3, planes)
    profiles = planes[:12]  # more would be too flat to be read; the map has them all
    last = max(plane.n_elements for plane in profiles)
    top = max(float(drawn.values[drawn.exists].max(initial=0)), 1.0) * 2
    panels = right.subplots(len(profiles), sharex=True, squeeze=False)[:, 0]
    for number, (panel, plane) in enumerate(zip(panels, profiles, strict=True)):
        _profile(panel, plane, drawn.values[: plane.n_elements, number], top)
    panels[-1].set(xlim=(0.5, last + 0.5))
    panels[-1].xaxis.set_major_locator(element_ticks(last))
    right.supxlabel("Element id", fontsize=13)
    right.supylabel("Hits per channel", fontsize=13)
    return figure


def _profile(axes: Axes, plane: Detector, counts: NDArray[np.float64], top: float) -> None:
    """Draw counts against element, with the channels without hits in grey over the full height."""
    axes.stairs(counts, np.arange(plane.n_elements + 1) + 0.5, baseline=0.5, fill=True, color=FILL)
    for first, last in _runs(counts == 0):
        axes.axvspan(first + 0.5, last + 0.5, color=ZERO, linewidth=0)
    axes.set_yscale("log")
    axes.set_ylim(0.5, top)
    axes.yaxis.set(major_locator=FixedLocator([1, 100, 10_000, 1_000_000]), major_formatter=FuncFormatter(plain_number))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.tick_params(labelsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.text(
        1.01, 0.5, clean(plane.name, 14), transform=axes.transAxes, rotation=270, fontsize=11, va="center", parse_math=False
    )  # fmt: skip


def heatmap(
    dataset: xr.Dataset, mode: Mode = "log", *, title: str | None = None, table: DetectorTable | None = None
) -> Figure:
    """Draw the counts by detector id (x) and element id (y), both as in the files; channels as in `overall`."""
    planes = {plane.detector_id: plane for plane in shown(dataset, table)}
    last = max(planes)
    columns = [planes.get(number, Detector("", number, 0, "", "")) for number in range(1, last + 1)]
    figure, axes = new_figure(16, 10, title or "Hits by detector and element id", describe(dataset))
    _draw(figure, axes, channel_map(dataset["hits"], columns), mode, "Hits per channel", first=1)
    axes.set_xlabel("Detector id", fontsize=13)
    axes.xaxis.set(
        major_locator=MaxNLocator(16, integer=True, steps=[1, 2, 5, 10]), minor_locator=FixedLocator(range(1, last + 1))
    )
    names = axes.secondary_xaxis("top")
    names.set_xticks(list(planes))
    names.set_xticklabels(
        [clean(plane.name, 12) for plane in planes.values()],
        rotation=90,
        fontsize=font_size(13.5, last, 9),
        parse_math=False,
    )
    names.tick_params(length=0)
    return figure


def statistics(dataset: xr.Dataset, *, table: DetectorTable | None = None) -> str:
    """Return the numbers that go with `heatmap`: over the channels that exist, not over the whole rectangle."""
    planes = shown(dataset, table)
    drawn = channel_map(dataset["hits"], planes)
    counts = drawn.values[drawn.exists]
    element, column = np.unravel_index(np.nanargmax(np.where(drawn.exists, drawn.values, -1)), drawn.values.shape)
    totals = dict.fromkeys((plane.group for plane in planes), 0)
    for number, plane in enumerate(planes):
        totals[plane.group] += int(drawn.values[: plane.n_elements, number].sum())
    width = max(18, *(len(clean(name, 40)) for name in totals)) + 2
    lines = {
        "channels": f"{counts.size:,}",
        "sum": f"{int(counts.sum()):,} hits",
        "mean": f"{counts.mean():.2f} hits per channel",
        "std": f"{counts.std():.2f}",
        "max": f"{int(counts.max()):,} at {clean(planes[column].name, 40)} element {element + 1}",
        "min": f"{int(counts.min()):,}",
        "active": f"{(counts > 0).mean():.2%} ({int((counts > 0).sum()):,} of {counts.size:,} channels)",
    }
    lines |= {clean(name, 40): f"{total:,} hits" for name, total in totals.items()}
    return "\n".join(f"{name:<{width}}{value}" for name, value in lines.items())


def hits_per_event(dataset: xr.Dataset, *, title: str | None = None) -> Figure:
    """Draw the distribution of hits per event: 50 bins over the events that are not empty.

    Raises
    ------
    MissingColumn
        The Dataset has no `hits_per_event`.
    """
    require(dataset, ["hits_per_event"], "the histogram of hits per event")
    every = dataset["hits_per_event"].values
    counts = every[every > 0]
    figure, axes = new_figure(12, 8, title or "Hits per event", describe(dataset))
    axes.set_xlabel("Hits per event", fontsize=13)
    axes.set_ylabel("Events", fontsize=13)
    axes.tick_params(labelsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.yaxis.set_major_formatter(FuncFormatter(plain_number))
    words = f"{counts.size:,} events with hits\n{every.size - counts.size:,} empty events (not drawn)"
    if counts.size:
        mean, median = float(counts.mean()), float(np.median(counts))
        axes.hist(counts, bins=50, color=FILL, edgecolor="white", linewidth=0.5)
        for place, name, style in ((mean, "mean", "-"), (median, "median", "--")):
            axes.axvline(place, color="#c8501b", linestyle=style, linewidth=2, label=name)
        axes.legend(loc="upper right", bbox_to_anchor=(0.985, 0.7), fontsize=12, frameon=False)
        axes.set_xlim(left=0)
        words += f"\nmean    {mean:9,.1f}\nmedian  {median:9,.1f}\nstd     {counts.std():9,.1f}"
    axes.text(
        0.985, 0.975, words, transform=axes.transAxes, ha="right", va="top", family="monospace", fontsize=12, ma="left",
        linespacing=1.5, bbox={"boxstyle": "round,pad=0.6", "facecolor": "white", "edgecolor": ZERO},
    )  # fmt: skip
    return figure


def _draw(
    figure: Figure, axes: Axes, drawn: Map, mode: Mode, label: str, *, first: int = 0, in_group: bool = False
) -> None:
    """Draw a map with its colour bar and the meaning of grey and white."""
    values = drawn.values
    if mode == "detector":
        values = values / np.maximum(np.where(drawn.exists, values, 0).max(axis=0), 1)
        label = f"{label}, relative to the plane's maximum"
    compared = mode in {"ratio", "significance"}
    if not compared:
        values = np.where(values > 0, values, np.nan)
    norm = _norm(mode, values[drawn.exists & np.isfinite(values)])
    if compared:
        values = np.clip(values, norm.vmin, norm.vmax)  # 0 and infinity are answers too: lost, and new
    image = draw_map(axes, Map(values, drawn.exists), norm, DIVERGING if compared else "viridis", first)
    extend, fraction = "both" if compared else "neither", 0.1 if in_group else 0.045
    colour_bar(axes, image, label + (" (log scale)" if mode == "log" else ""), extend=extend, fraction=fraction)
    colour_key(figure, "no value" if compared else "no hit", 1 if in_group else 2)
    axes.set_ylabel("Element id", fontsize=13)
    axes.yaxis.set_major_locator(element_ticks(len(values)))
    axes.tick_params(labelsize=11)


def _norm(mode: Mode, values: NDArray[np.float64]) -> Normalize:
    """Return fixed limits for comparisons, so that pictures can be compared, and the data's own for counts."""
    if mode == "ratio":
        return LogNorm(0.25, 4)
    if mode == "significance":
        return Normalize(-10, 10)
    low, high = float(values.min(initial=np.inf)), float(values.max(initial=0))
    if mode == "log":
        return LogNorm(low, high) if low < high else LogNorm(1 if not high else low, 10 if not high else 10 * low)
    return Normalize(0, 1 if mode == "detector" else high or 1)


def _runs(flags: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return first and last + 1 of every stretch of True, (run, 2)."""
    return np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))).reshape(-1, 2)
