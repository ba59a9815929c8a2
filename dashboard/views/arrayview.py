"""The telescopes on the ground: which saw an event, how brightly, and where its shower came down."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.events import DoubleTap, Press, Tap
from bokeh.models import (
    BoxZoomTool,
    ColorBar,
    ColumnDataSource,
    FixedTicker,
    HoverTool,
    LegendItem,
    LogColorMapper,
    NoOverlap,
    WheelZoomTool,
)

from dashboard.views.cameraoverlay import CHOSEN, DARK, FITTED, FONT, RING, explain, legend_above
from dashboard.views.camerashade import limits_of
from dashboard.views.channelmap import SEQUENTIAL, log_ticks
from dashboard.views.push import push
from dashboard.views.square import Square
from dashboard.views.style import MUTED, ZERO, blank, digits, grow
from dashboard.views.viewport import Viewport, inner_size, without_math

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

Place = tuple[float, float]

OPTICS = ((2.0, 16.0, 29.0), (9.0, 15.0, 22.0))  # focal length in m -> diameter of the mark in px …
ROOMY, LEAST, MOST = 400, 0.6, 2.5  # … if the figure has so many px; else in proportion, within limits
CORE = 15.0  # diameter of the mark of an impact point, likewise
SMALLEST = 120.0  # half of the side that is shown, m, at least
FURTHEST = 4.0  # times the size of the array: impact points beyond are not made room for
STEP = 1.25  # by which the place grows for them, so that it stands still from event to event
CLICK = 0.04  # of what is looked at: a click that near a telescope means it
DECADES = 4  # of colours, at most
TELESCOPE = ("x", "y", "size", "focal_length", "intensity", "tel_id", "name", "type", "label", "offset", "line")


class ArrayView:
    """A plan of the array; a click tells which telescope.

    Its methods change Bokeh models, so call them on the loop of the document.

    Parameters
    ----------
    label
        What the colours of telescopes mean, with the unit.
    tapped
        Called with the id of the telescope that was clicked, or None.
    wall
        For a wall display.
    """

    def __init__(
        self, label: str = "Image intensity (p.e.)", *, tapped: Callable[[int | None], None] | None = None, wall: bool = False
    ) -> None:  # fmt: skip
        self.figure = plot = blank("x, to the north (m)", "y, to the west (m)", wall=wall, tools="pan,reset,save")
        self._square = Square(plot)
        for axis in plot.axis:
            axis.update(major_label_policy=NoOverlap(min_distance=6), formatter=digits())
        self._array: tuple[float, float, float] = (0.0, 0.0, SMALLEST)
        self._known: tuple[tuple[int, float, float], ...] = ()
        self._chosen: int | None = None
        self.telescopes = ColumnDataSource({key: [] for key in TELESCOPE}, name="telescopes")
        self.others = ColumnDataSource({key: [] for key in TELESCOPE}, name="telescopes without image")
        self.axes = ColumnDataSource({key: [] for key in ("x0", "y0", "x1", "y1")}, name="image axes")
        self.cores = {name: ColumnDataSource({"x": [], "y": [], "size": []}, name=name) for name in ("found", "true")}
        self._draw(label, wall)
        self.viewport = Viewport(plot, self._resized)
        if tapped:
            for clicked in (Tap, DoubleTap, Press):
                plot.on_event(clicked, lambda event: tapped(self.at(event.x, event.y)))

    def _draw(self, label: str, wall: bool) -> None:
        plot, thick = self.figure, 1.5 if wall else 1.0
        lines = plot.segment(
            "x0", "y0", "x1", "y1", source=self.axes, line_color=FITTED, line_width=1.4 * thick, line_alpha=0.8,
            line_dash="dashed",
        )  # fmt: skip
        hollow = plot.scatter(
            "x", "y", size="size", source=self.others, fill_color=None, line_color=MUTED, line_width=1.5 * thick
        )
        self._mapper = LogColorMapper(palette=SEQUENTIAL, nan_color=ZERO, low=1, high=10)
        filled = plot.scatter(
            "x", "y", size="size", source=self.telescopes, fill_color={"field": "intensity", "transform": self._mapper},
            line_color=MUTED, line_width=1.5 * thick,
        )  # fmt: skip
        for source in (self.telescopes, self.others):
            plot.scatter("x", "y", size="size", source=source, fill_color=None, line_color=CHOSEN, line_width="line")
        names = plot.text(
            "x", "y", text="label", source=self.telescopes, x_offset="offset", y_offset=-6 * thick, text_color=MUTED,
            text_font=FONT, text_font_size="12px",
        )  # fmt: skip
        found = {"axes": lines}
        for name, marker, colour in (("found", "x", FITTED), ("true", "cross", RING)):
            for ink, wide in ((DARK, 5.0), (colour, 2.8)):
                found[name] = plot.scatter(
                    "x", "y", source=self.cores[name], marker=marker, size="size", line_color=ink, line_width=wide * thick
                )  # fmt: skip
        self._items = {name: LegendItem(label=name, renderers=[each], visible=False) for name, each in found.items()}
        self._legend = legend_above(plot, self._items, wall=wall)
        self._bar = ColorBar(
            color_mapper=self._mapper, ticker=FixedTicker(ticks=[]), formatter=digits(), width=12, padding=4,
            label_standoff=6, title_standoff=7, title=label, major_label_policy=NoOverlap(min_distance=2),
        )  # fmt: skip
        plot.add_layout(self._bar, "right")
        grow(self._bar, wall=wall, glyph=names.glyph)
        if not wall:
            unit = label.partition(" (")[2].rstrip(")")
            place = [("Telescope", "@name (id @tel_id)"), ("Type", "@type"), ("x, y", "@x{0.0}, @y{0.0} m")]
            zoom = WheelZoomTool(zoom_on_axis=False)
            plot.add_tools(
                BoxZoomTool(match_aspect=True), zoom,
                HoverTool(renderers=[filled], tooltips=[*place, (label.partition(" (")[0], f"@intensity{{0,0.0}} {unit}")]),
                HoverTool(renderers=[hollow], tooltips=[*place, ("", "no image")]),
            )  # fmt: skip
            plot.toolbar.active_scroll = zoom

    def show(
        self, telescopes: pd.DataFrame, intensity: Mapping[int, float], *, axes: Sequence[tuple[float, float, float]] = (),
        core: Place | None = None, true_core: Place | None = None, title: str = "",
    ) -> None:  # fmt: skip
        """Draw an event.

        Parameters
        ----------
        telescopes
            All of the array, indexed by tel_id: name, type, x, y and focal_length in m; `detcore.dl1` files have it.
        intensity
            Of the images there are, by tel_id; a telescope whose intensity is not a number has an image, but no colour.
        axes
            Lines on the ground: x and y in m of a point of it, and its angle in degrees from x to y.
        core, true_core
            Impact points, m; None if unknown.
        title
            Above, as plain text.
        """
        x, y = (telescopes[name].to_numpy(float) for name in "xy")
        columns: dict[str, Any] = {
            "x": x, "y": y, "focal_length": np.nan_to_num(telescopes["focal_length"].to_numpy(float), nan=OPTICS[0][1]),
            "intensity": np.array([float(intensity.get(int(key), math.nan)) for key in telescopes.index]),
            "tel_id": telescopes.index.to_numpy(np.int32), "name": telescopes["name"].to_numpy(object),
            "type": telescopes["type"].to_numpy(object), "label": np.array([str(key) for key in telescopes.index], object),
            "line": np.where(telescopes.index == self._chosen, 3, 0),
        }  # fmt: skip
        columns |= self._sizes(columns["focal_length"])
        seen = np.array([int(key) in intensity for key in telescopes.index], bool)
        for source, rows in ((self.telescopes, seen), (self.others, ~seen)):
            found = {name: values[rows] for name, values in columns.items()}
            push(
                source, {name: values.tolist() if values.dtype == object else values for name, values in found.items()}
            )
        self._known = tuple(zip(map(int, telescopes.index), x.tolist(), y.tolist(), strict=True))
        low, high = limits_of(columns["intensity"][seen], "log", "full", decades=DECADES)
        if (self._mapper.low, self._mapper.high) != (low, high):
            self._mapper.update(low=low, high=high)
            self._bar.ticker.ticks = log_ticks(low, high)
        self._frame(x, y, [place for place in (core, true_core) if place is not None])
        self._cross(axes)
        for name, place in (("found", core), ("true", true_core)):
            there = place is not None and all(map(math.isfinite, place))
            found = {"x": [place[0]], "y": [place[1]], "size": [CORE * self._room]} if place and there else {}
            push(self.cores[name], {key: found.get(key, []) for key in ("x", "y", "size")})
            self._explain(name, there)
        if self.figure.title.text != (text := without_math(title)):
            self.figure.title.text = text

    @property
    def _room(self) -> float:
        return min(MOST, max(LEAST, min(inner_size(self.figure) or (ROOMY, ROOMY)) / ROOMY))

    def _sizes(self, focal_length: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Return what depends on how much room there is: diameters of the marks, and how far aside the ids stand."""
        size = np.interp(focal_length, *OPTICS) * self._room
        return {"size": size, "offset": size / 2 + 1}

    def _resized(self) -> None:
        for source in (self.telescopes, self.others):
            if len(source.data["focal_length"]):
                push(source, self._sizes(np.asarray(source.data["focal_length"], np.float64)))
        for source in self.cores.values():
            push(source, {"size": [CORE * self._room] * len(source.data["x"])})

    def _frame(self, x: Any, y: Any, cores: list[Place]) -> None:
        """Make room for the array, and for impact points that are not too far away."""
        middle = [float(each.max() + each.min()) / 2 if len(each) else 0.0 for each in (x, y)]
        reach = max((float(np.ptp(each)) for each in (x, y) if len(each)), default=0.0)
        half = size = max(SMALLEST, 0.6 * reach)
        for place in cores:
            away = 1.1 * max(abs(a - b) for a, b in zip(place, middle, strict=True))
            if half < away < FURTHEST * size:
                half = size * STEP ** math.ceil(math.log(away / size, STEP))
        self._array = (*middle, half)  # type: ignore[assignment]
        self._square.hold((middle[0] - half, middle[0] + half, middle[1] - half, middle[1] + half))

    def _cross(self, axes: Sequence[tuple[float, float, float]]) -> None:
        lines = np.array(axes, float).reshape(-1, 3)
        lines = lines[np.isfinite(lines).all(axis=1)]
        reach = 4 * self._array[2]  # across all that is shown
        dx, dy = reach * np.cos(np.radians(lines[:, 2])), reach * np.sin(np.radians(lines[:, 2]))
        x, y = lines[:, 0], lines[:, 1]
        push(self.axes, {"x0": x - dx, "y0": y - dy, "x1": x + dx, "y1": y + dy})
        self._explain("axes", len(lines) > 0)

    def _explain(self, name: str, there: bool) -> None:
        explain(self._legend, self._items[name], there)

    def choose(self, tel_id: int | None) -> None:
        """Draw a ring around a telescope, or none."""
        self._chosen = tel_id
        for source in (self.telescopes, self.others):
            push(source, {"line": np.array([3 if each == tel_id else 0 for each in source.data["tel_id"]], np.int64)})

    def at(self, x: float, y: float) -> int | None:
        """Return the id of the telescope at a place."""
        span = abs(float(self._square.x.end) - float(self._square.x.start))
        near = {key: math.hypot(a - x, b - y) for key, a, b in self._known}
        best = min(near, key=lambda key: near[key], default=None)
        return best if best is not None and near[best] <= CLICK * span else None

    def clear(self) -> None:
        """Show nothing."""
        for source in (self.telescopes, self.others, self.axes, *self.cores.values()):
            push(source, {key: [] for key in source.data})
        self._known = ()
        self.figure.title.text = ""
        for name in self._items:
            self._explain(name, False)
