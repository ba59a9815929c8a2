"""A plot of a few lines and points over one axis, linear or logarithmic, for the panels of tabs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import (
    ColumnDataSource,
    FixedTicker,
    HoverTool,
    Legend,
    LegendItem,
    NoOverlap,
    Range1d,
    Span,
)

from dashboard.views.push import push
from dashboard.views.style import ACCENT, MUTED, blank, digits, grow, set_scale
from dashboard.views.viewport import without_math

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

DECADES = [digit * 10.0**power for power in range(-9, 10) for digit in (1, 2, 5)]
MARKS = 12  # vertical lines that a plot can have
POINTS = 4000  # more than a screen has columns; a longer line is thinned to lowest and highest


@dataclass(frozen=True)
class Line:
    """One line; `kind` is line, area, step, points or bars (with edges halfway between the points)."""

    name: str
    label: str
    colour: str = ACCENT
    kind: str = "line"
    dash: str = "solid"


class Plot:
    """Lines over one x axis, in the units that the labels say.

    Parameters
    ----------
    x_label, y_label
        Axis labels, with units.
    lines
        What can be drawn; later ones lie on top.
    log_x, log_y
        Logarithmic axes; what is not positive is left out.
    wall
        For a wall display.
    prefix
        Of the names of the sources.
    """

    def __init__(
        self, x_label: str, y_label: str, lines: Sequence[Line], *, log_x: bool = False, log_y: bool = False, wall: bool = False,
        prefix: str = "eiger",
    ) -> None:  # fmt: skip
        self.figure = plot = blank(x_label, y_label, wall=wall)
        plot.x_range, plot.y_range = Range1d(0, 1), Range1d(0, 1)
        self._log = (log_x, log_y)
        for axis, log in zip("xy", self._log, strict=True):
            if log:
                set_scale(plot, axis, log=True)
                getattr(plot, f"{axis}axis").ticker = FixedTicker(
                    ticks=DECADES
                )  # Bokeh's own is linear below two decades
                (plot.x_range if axis == "x" else plot.y_range).update(start=0.1, end=1)
        for axis in plot.axis:
            axis.update(formatter=digits(), major_label_policy=NoOverlap(min_distance=6))
        plot.min_border_left = 68
        self.sources: dict[str, ColumnDataSource] = {}
        self._shown: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        self._floored = {line.name for line in lines if line.kind in {"area", "bars"}}
        items, hovered = [], []
        for line in lines:
            source = self.sources[line.name] = ColumnDataSource(
                {"x": [], "y": [], "name": []}, name=f"{prefix}-{line.name}"
            )
            style = {"source": source, "line_color": line.colour, "line_dash": line.dash, "line_width": 1.6}
            if line.kind == "points":
                found = [plot.scatter("x", "y", source=source, size=5, fill_color=line.colour, line_color=None)]
            elif line.kind == "bars":
                found = [plot.step("x", "y", mode="center", **style)]
            elif line.kind == "step":
                found = [plot.step("x", "y", mode="after", **style)]
            else:
                found = [plot.line("x", "y", **style)]
            hovered.append(found[-1])
            items.append(LegendItem(label=line.label, renderers=found))
        self._items = dict(zip(self.sources, items, strict=True))
        self._labels_of = {line.name: line.label for line in lines}  # a line without a name is not in the legend
        self._legend = None
        if len(items) > 1:
            self._legend = Legend(
                items=[],
                orientation="horizontal",
                location="right",
                padding=0,
                margin=0,
                spacing=8,
                click_policy="hide",
            )
            plot.add_layout(self._legend, "above")
            grow(self._legend, wall=wall)
        if not wall:
            tips = [("", "@name"), (x_label, "$snap_x{0,0.[00000]}"), (y_label, "$snap_y{0,0.[000000]}")]
            plot.add_tools(HoverTool(renderers=hovered, tooltips=tips, mode="mouse", line_policy="nearest"))
        self._labels = ColumnDataSource({"x": [], "y": [], "text": []})
        words = plot.text(
            "x", "y", text="text", source=self._labels, text_align="center", text_baseline="bottom", y_offset=-4,
            text_font_size="12px", text_color=ACCENT,
        )  # fmt: skip
        grow(plot.title, wall=wall, glyph=words.glyph)
        self._spans = [
            Span(dimension="height", line_color=MUTED, line_dash="dotted", line_width=1.2, visible=False, level="underlay")
            for _ in range(MARKS)
        ]  # fmt: skip
        for span in self._spans:
            plot.add_layout(span)

    def title(self, text: str) -> None:
        """Write above the plot."""
        if self.figure.title.text != text:
            self.figure.title.text = text

    def name_axes(self, x: str | None = None, y: str | None = None) -> None:
        """Write other labels at the axes."""
        for axis, label in ((self.figure.xaxis[0], x), (self.figure.yaxis[0], y)):
            if label is not None and axis.axis_label != label:
                axis.axis_label = label

    def rename(self, name: str, label: str) -> None:
        """Call a line something else in the legend and in the hover."""
        plain = {"value": without_math(label)}
        self._labels_of[name] = label
        if self._items[name].label != plain:
            self._items[name].label = plain

    def show(self, name: str, x: ArrayLike, y: ArrayLike, names: Sequence[str] | None = None) -> None:
        """Push one line; `names` say more about each point, when the mouse is over it."""
        places, values = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        if self._log[0]:
            places = np.where(places > 0, places, np.nan)
        if self._log[1]:
            values = np.where(values > 0, values, np.nan)
        places, values = thinned(places, values)
        was = len(self.sources[name].data["x"])
        drawable = np.isfinite(places) & np.isfinite(values)
        self._shown[name] = (places[drawable], values[drawable])
        words = list(names) if names is not None and len(names) == len(places) else [""] * len(places)
        push(self.sources[name], {"x": places, "y": values, "name": words})
        if self._legend is not None and bool(was) != bool(len(places)):
            named = [key for key in self._items if len(self.sources[key].data["x"]) and self._labels_of[key]]
            self._legend.items = [self._items[key] for key in named]

    def hide(self, *names: str) -> None:
        """Take lines away."""
        for name in names:
            if len(self.sources[name].data["x"]):
                self.show(name, [], [])

    def label(self, x: ArrayLike, y: ArrayLike, text: Sequence[str]) -> None:
        """Write words above points."""
        push(self._labels, {"x": np.asarray(x, float), "y": np.asarray(y, float), "text": list(text)})

    def mark(self, places: Sequence[float]) -> None:
        """Draw dotted vertical lines."""
        for number, span in enumerate(self._spans):
            at = float(places[number]) if number < len(places) else None
            if span.location != at:
                span.update(location=at, visible=at is not None)

    def fit(self, *, from_zero: bool = False, x: tuple[float, float] | None = None) -> None:
        """Make both axes hold all that is drawn, with room for labels above."""
        if not any(len(xs) for xs, _ in self._shown.values()):
            return
        xs = np.concatenate([xs for xs, _ in self._shown.values()])
        ys = np.concatenate([ys for _, ys in self._shown.values()])
        wide = x or (float(xs.min()), float(xs.max()))
        tall = (0.0 if from_zero else float(ys.min()), float(ys.max()))
        for axis, ends, log, room in (
            (self.figure.x_range, wide, self._log[0], (0.01, 0.01)),
            (self.figure.y_range, tall, self._log[1], (0.0 if from_zero else 0.06, 0.16)),
        ):
            start, end = padded(*ends, log=log, room=room)
            if (axis.reset_start, axis.reset_end) != (start, end):  # else leave the zoom of the viewer alone
                axis.update(start=start, end=end, reset_start=start, reset_end=end)


def padded(low: float, high: float, *, log: bool, room: tuple[float, float]) -> tuple[float, float]:
    """Return an axis that holds low..high and some room, as shares of its length, below and above."""
    if log:
        low, high = np.log10(low), np.log10(high)
    length = (high - low) or (0.3 if log else abs(high) * 0.01 or 1.0)
    start, end = low - room[0] * length, high + room[1] * length
    return (float(10**start), float(10**end)) if log else (float(start), float(end))


def thinned(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return a line that looks the same on a screen: of many points the lowest and highest of each group."""
    size = -(-len(x) // (POINTS // 2))
    if len(x) <= POINTS:
        return x, y
    starts = np.arange(0, len(x), size)
    groups = [(start, min(start + size, len(x))) for start in starts.tolist()]
    kept = sorted(
        {start + int(pick) for start, end in groups for pick in (y[start:end].argmin(), y[start:end].argmax())}
    )
    return x[kept], y[kept]
