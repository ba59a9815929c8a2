"""Curves over one axis: element profiles, drift times, trends, counts; stepped or joined, with windows and marks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import (
    BoxAnnotation,
    ColumnDataSource,
    HoverTool,
    Legend,
    LegendItem,
    NoOverlap,
    Range1d,
    Span,
)

from dashboard.views.push import name_ticks, push
from dashboard.views.style import ACCENT, MUTED, above, blank, digits, grow, set_scale, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

FLOOR = 0.5  # where a count of zero is drawn on a logarithmic axis


@dataclass(frozen=True)
class Series:
    """One curve.

    Parameters
    ----------
    name
        Key of its data.
    label
        Legend text.
    colour
        CSS colour.
    kind
        "area" (filled steps), "step", "thin" (joined), "line" (joined, with points) or "cross" (points only).
    dash
        Bokeh dash pattern.
    """

    name: str
    label: str
    colour: str = ACCENT
    kind: str = "step"
    dash: str = "solid"


class Curve:
    """Several series over one x axis; x and y in the units that the labels say.

    Parameters
    ----------
    x_label, y_label
        Axis labels, with units.
    series
        What can be drawn; later ones lie on top.
    wall
        For a wall display.
    """

    def __init__(self, x_label: str, y_label: str, series: Sequence[Series], *, wall: bool = False) -> None:
        self.figure = plot = blank(x_label, y_label, wall=wall)
        plot.yaxis.formatter = digits()
        plot.xaxis.major_label_policy = NoOverlap(min_distance=6)
        plot.min_border_left = 68  # curves below each other stay aligned
        plot.x_range, plot.y_range = Range1d(0, 1), Range1d(0, 1)
        self.log = False
        self._names: list[str] = []
        self._shown: dict[str, tuple[NDArray[Any], NDArray[np.float64], Sequence[str] | None]] = {}
        self.sources = {
            each.name: ColumnDataSource({key: [] for key in ("y", "value", "x", "base", "width", "name")})
            for each in series
        }
        items, renderers = [], []
        for each in series:
            source, style = self.sources[each.name], {"line_color": each.colour, "line_dash": each.dash}
            if each.kind == "area":
                found = [
                    plot.vbar(
                        "x",
                        "width",
                        "y",
                        "base",
                        source=source,
                        fill_color=each.colour,
                        fill_alpha=0.28,
                        line_color=None,
                    ),
                    plot.step("x", "y", source=source, mode="center", line_width=1.4, **style),
                ]
            elif each.kind == "step":
                found = [plot.step("x", "y", source=source, mode="center", line_width=1.6, **style)]
            elif each.kind == "thin":
                found = [plot.line("x", "y", source=source, line_width=1.6, **style)]
            elif each.kind == "line":
                found = [
                    plot.line("x", "y", source=source, line_width=1.6, **style),
                    plot.scatter("x", "y", source=source, size=5, fill_color=each.colour, line_color=None),
                ]
            else:
                found = [
                    plot.scatter("x", "y", source=source, marker="x", size=8, line_color=each.colour, line_width=2)
                ]
            items.append(LegendItem(label=each.label, renderers=found))
            renderers.append(found[-1])
        self._items = dict(zip(self.sources, items, strict=True))
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
        tips = [("", "@name"), (x_label, "@x{0,0.[00]}"), (y_label, "@value{0,0.[0000]}")]
        if not wall:
            plot.add_tools(HoverTool(renderers=renderers, tooltips=tips, mode="mouse"))
        self._cursor = Span(dimension="height", line_color=ACCENT, line_width=2, line_alpha=0.8, visible=False)
        self._window = BoxAnnotation(
            fill_color=MUTED, fill_alpha=0.16, line_color=MUTED, line_dash="dashed", visible=False
        )
        plot.add_layout(self._cursor)
        plot.add_layout(self._window)

    def show(self, name: str, x: ArrayLike, y: ArrayLike, names: Sequence[str] | None = None) -> None:
        """Push one series; `names` label its points in the hover."""
        values, places = np.asarray(y, dtype=float), np.asarray(x)
        self._shown[name] = (places, values, names)
        width = float(places[1] - places[0]) if len(places) > 1 else 1.0
        drawn = np.where(values > 0, values, FLOOR) if self.log else values
        drawn = np.where(np.isnan(values), np.nan, drawn)
        was = len(self.sources[name].data["x"])
        columns = {
            "x": places, "y": drawn, "width": np.full(len(drawn), width), "value": values, "base": np.full(len(drawn), FLOOR if self.log else 0.0),
            "name": list(names) if names is not None else [""] * len(drawn),
        }  # fmt: skip
        push(self.sources[name], columns)
        if len(self._items) > 1 and bool(was) != bool(len(places)):
            self._legend.items = [item for key, item in self._items.items() if len(self.sources[key].data["x"])]

    def hide(self, *names: str) -> None:
        """Take series away (no data for them)."""
        for name in names:
            if len(self.sources[name].data["x"]):
                self.show(name, [], [])

    def scale(self, log: bool) -> None:
        """Switch the y axis between linear and logarithmic; zeros stand at 0.5 on the latter."""
        if log == self.log:
            return
        self.log = log
        set_scale(self.figure, "y", log)
        for name, (x, y, names) in list(self._shown.items()):
            self.show(name, x, y, names)
        self.fit()

    def fit(self) -> None:
        """Make both axes hold all that is drawn; y from zero, or on a logarithmic axis from below the lowest count."""
        xs = np.concatenate([np.zeros(0), *(x for x, _, _ in self._shown.values())])
        ys = np.concatenate([np.zeros(0), *(y for _, y, _ in self._shown.values())])
        ys = ys[np.isfinite(ys)]
        if not xs.size or not ys.size:
            return
        half = (xs.max() - xs.min()) * 0.01 + 0.5
        top, low = float(ys.max()), 0.0
        if self.log:
            counted = ys[ys > 0]
            low = max(float(counted.min()) / 2, FLOOR) if counted.size and ys.min() > 0 else FLOOR
            top = max(top, 10 * low) ** 1.04
        _hold(self.figure.x_range, float(xs.min() - half), float(xs.max() + half))
        _hold(self.figure.y_range, low, above(top) if top > 0 else 1.0)

    def cursor(self, x: float | None) -> None:
        """Draw a vertical line at x, or none."""
        if self._cursor.location != x:
            self._cursor.update(location=x, visible=x is not None)

    def window(self, low: float | None, high: float | None) -> None:
        """Shade low..high, or nothing."""
        if (self._window.left, self._window.right) != (low, high):
            self._window.update(left=low, right=high, visible=low is not None)

    def name_ticks(self, names: Sequence[str]) -> None:
        """Write names under x = 0, 1, 2 …, as many as fit."""
        if names == self._names:
            return
        self._names = list(names)
        step = max(1, len(names) // 12)
        marks = short(names)
        name_ticks(self.figure.xaxis[0], {float(x): marks[x] for x in range(0, len(names), step)})


def _hold(span: Range1d, start: float, end: float) -> None:
    if span.reset_start != start:  # else leave the zoom of the viewer alone
        span.update(start=start, reset_start=start)
    if span.reset_end != end:
        span.update(end=end, reset_end=end)
