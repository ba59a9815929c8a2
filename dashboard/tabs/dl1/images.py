"""The images as points in the plane of two parameters: a box is dragged, and its events are gone through."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui
from bokeh.events import Reset, SelectionGeometry, Tap
from bokeh.models import (
    BoxAnnotation,
    BoxSelectTool,
    ColumnDataSource,
    HoverTool,
    Legend,
    LegendItem,
    NoOverlap,
    Range1d,
)
from typing_extensions import override

from dashboard.tabs.dl1.distributions import Distribution, edges_of
from dashboard.tabs.dl1.look import AXES, KINDS, Named, axis_of, digits
from dashboard.tabs.dl1.panels import Memory, Panel
from dashboard.tabs.parts import COMPACT, column, pane, text
from dashboard.views.push import push
from dashboard.views.style import EXPECTED, MUTED, blank, grow, set_scale
from dashboard.views.style import digits as formatter
from dashboard.views.table import Table
from dashboard.views.trace import COLOURS
from dashboard.views.viewport import without_math

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dashboard.tabs.dl1.look import Look
    from dashboard.tabs.dl1.panels import Now
    from dashboard.tabs.dl1.results import Results
    from detcore import dl1

POINTS = 12_000  # that are drawn; a canvas is slow with more
ROWS = 300  # of the list
NEAR = 0.03  # of an axis: a click that far from a point means it
COLUMNS = {
    "event_id": "Event", "obs_id": "Run", "tel_id": "Telescope", "hillas_intensity": "Size (p.e.)", "hillas_width": "Width (deg)",
    "hillas_length": "Length (deg)", "true_energy": "E true (TeV)",
}  # fmt: skip


class Scatter:
    """Points of several cameras over two axes, linear or logarithmic, with a box that can be dragged.

    Parameters
    ----------
    boxed
        Called with x0, x1, y0, y1 of a new box, or None.
    tapped
        Called with the place of a click, in units of the axes.
    """

    def __init__(
        self, boxed: Callable[[tuple[float, float, float, float] | None], None], tapped: Callable[[float, float], None]
    ) -> None:
        self._boxed = boxed
        self.figure = plot = blank("", "", tools="pan,wheel_zoom,reset,save")
        plot.name = "dl1-scatter"
        plot.x_range, plot.y_range = Range1d(0, 1), Range1d(0, 1)
        for axis in plot.axis:
            axis.update(formatter=formatter(), major_label_policy=NoOverlap(min_distance=6))
        self._log = [False, False]
        self.sources, self._items, drawn = [], [], []
        for number in range(KINDS):
            columns: dict[str, Any] = {key: [] for key in ("x", "y", "event", "tel")}
            source = ColumnDataSource(columns, name=f"dl1-scatter-{number}")
            points = plot.scatter(
                "x", "y", source=source, size=5, fill_color=COLOURS[number], fill_alpha=0.55, line_color=None
            )
            self.sources.append(source)
            self._items.append(LegendItem(label="", renderers=[points]))
            drawn.append(points)
        self.shown = ColumnDataSource({"x": [], "y": []}, name="dl1-scatter-shown")
        plot.scatter(
            "x", "y", source=self.shown, size=15, fill_color=None, line_color=EXPECTED, line_width=2.5, marker="circle"
        )
        self._legend = Legend(items=[], orientation="horizontal", location="right", padding=0, margin=0, spacing=8)
        plot.add_layout(self._legend, "above")
        grow(self._legend, wall=False)
        tips = [("Event", "@event"), ("Telescope", "@tel"), ("x", "@x{0,0.[0000]}"), ("y", "@y{0,0.[0000]}")]
        self._hover = HoverTool(renderers=drawn, tooltips=tips)
        plot.add_tools(self._hover)
        empty = plot.scatter("x", "y", source=ColumnDataSource({"x": [], "y": []}))  # else points would fade
        tool = BoxSelectTool(description="Choose images", renderers=[empty])
        plot.add_tools(tool)
        plot.toolbar.active_drag = tool
        self._box = BoxAnnotation(
            fill_color=MUTED, fill_alpha=0.16, line_color=MUTED, line_dash="dashed", line_width=1.5, visible=False
        )
        plot.add_layout(self._box)
        plot.on_event(SelectionGeometry, self._selected)
        plot.on_event(Reset, lambda _: boxed(None))
        plot.on_event(Tap, lambda event: tapped(event.x, event.y))

    def _selected(self, event: SelectionGeometry) -> None:
        geometry = event.geometry
        if not event.final or not isinstance(geometry, dict):
            return
        ends = [end for key in ("x0", "x1", "y0", "y1") if isinstance(end := geometry.get(key), int | float)]
        if len(ends) == 4 and all(map(math.isfinite, ends)):
            x0, x1, y0, y1 = ends
            if x0 != x1 and y0 != y1:
                self._boxed((min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)))

    def arrange(self, x: tuple[Named, NDArray[Any]], y: tuple[Named, NDArray[Any]]) -> None:
        """Name the axes, and let them hold values."""
        plot = self.figure
        for number, (axis, span, (named, values)) in enumerate(
            ((plot.xaxis[0], plot.x_range, x), (plot.yaxis[0], plot.y_range, y))
        ):
            if self._log[number] != named.log:
                self._log[number] = named.log
                set_scale(plot, "xy"[number], named.log)
            if axis.axis_label != named.text:
                axis.axis_label = named.text
            edges = edges_of([values], log=named.log)
            low, high = float(edges[0]), float(edges[-1])
            room = (high / low) ** 0.03 if named.log else 0.03 * (high - low)
            start, end = (low / room, high * room) if named.log else (low - room, high + room)
            if (span.reset_start, span.reset_end) != (start, end):  # else leave the zoom of the viewer alone
                span.update(start=start, end=end, reset_start=start, reset_end=end)
        tips = [
            ("Event", "@event"),
            ("Telescope", "@tel"),
            (x[0].text, "@x{0,0.[0000]}"),
            (y[0].text, "@y{0,0.[0000]}"),
        ]
        if self._hover.tooltips != tips:
            self._hover.tooltips = tips

    def show(self, series: dict[str, dict[str, NDArray[Any]]], title: str) -> None:
        """Draw the points of each camera: x, y, event, tel."""
        names = list(series)[:KINDS]
        empty = {key: np.zeros(0) for key in ("x", "y", "event", "tel")}
        for number, source in enumerate(self.sources):
            push(source, series[names[number]] if number < len(names) else empty)
        items = []
        for item, name in zip(self._items, names, strict=False):
            item.label = {"value": without_math(name)}
            items.append(item)
        if self._legend.items != items:
            self._legend.items = items
        if self.figure.title.text != title:
            self.figure.title.text = title

    def box(self, area: tuple[float, float, float, float] | None) -> None:
        """Draw the box."""
        left, right, bottom, top = area or (None, None, None, None)
        if (self._box.left, self._box.right, self._box.bottom, self._box.top) != (left, right, bottom, top):
            self._box.update(left=left, right=right, bottom=bottom, top=top, visible=area is not None)


class ImagesPanel(Panel):
    """Scatter plot, the two distributions, and the list.

    Parameters
    ----------
    want
        Called with changed fields of `Look`.
    """

    def __init__(self, want: Callable[..., None]) -> None:
        self._want = want
        self._drawn, self._listed, self._ringed = Memory(), Memory(), Memory()
        self._results: Results | None = None
        self._axes = ("hillas_intensity", "hillas_width")
        self._rows: pd.DataFrame | None = None
        options = {named.text: name for name, named in AXES.items()}
        self._x = self._select("x axis", options, "x")
        self._y = self._select("y axis", options, "y")
        self._all = pmui.Button(
            label="All images", variant="text", visible=False, on_click=lambda _: want(box=""), **COMPACT
        )
        self._words = text()
        self._words.sizing_mode = "stretch_width"
        bar = pn.FlexBox(self._x, self._y, self._all, sizing_mode="stretch_width", margin=0, align_items="center")
        self.scatter = Scatter(self._boxed, self._tapped)
        self.across = Distribution("x", "Images", part="In the box")
        self.up = Distribution("y", "Images", part="In the box")
        plots = pn.Row(
            column(pane(self.scatter.figure), flex="5 1 0"),
            column(pane(self.across.figure), pane(self.up.figure), flex="3 1 0"),
            sizing_mode="stretch_both", margin=0, styles={"flex": "5 1 0"},
        )  # fmt: skip
        self.table = Table(COLUMNS, on_click=self._clicked)
        lower = column(self._words, self.table.widget, flex="3 1 0")
        self.view = pn.Column(bar, plots, lower, sizing_mode="stretch_both", margin=0)

    def _select(self, label: str, options: dict[str, str], name: str) -> pmui.Select:
        select = pmui.Select(
            label=label,
            options=options,
            value=self._axes["xy".index(name)],
            width=210,
            size="small",
            margin=(9, 4, 4, 4),
        )
        select.param.watch(lambda event: self._want(**{name: event.new}), "value")
        return select

    # --- what the viewer does

    def _boxed(self, area: tuple[float, float, float, float] | None) -> None:
        self._want(box="" if area is None else ",".join(f"{end:.5g}" for end in area))

    def _tapped(self, x: float | None, y: float | None) -> None:
        """Go to the image that is nearest to a click."""
        results = self._results
        if results is None or x is None or y is None or not len(results.table):
            return
        distance = np.zeros(len(results.table))
        plot = self.scatter.figure
        for name, clicked, span in zip(self._axes, (x, y), (plot.x_range, plot.y_range), strict=True):
            values, ends, at = results.table[name].to_numpy(float), (span.start, span.end), clicked
            if AXES[name].log:
                if at <= 0:
                    return
                with np.errstate(all="ignore"):
                    values, at, ends = np.log(values), math.log(at), (math.log(ends[0]), math.log(ends[1]))
            distance = distance + ((values - at) / (ends[1] - ends[0])) ** 2
        if np.isfinite(distance).any() and distance[best := int(np.nanargmin(distance))] < NEAR**2:
            self._go(results.table.iloc[best])

    def _clicked(self, row: int) -> None:
        if self._rows is not None and 0 <= row < len(self._rows):
            self._go(self._rows.iloc[row])

    def _go(self, row: pd.Series[Any]) -> None:
        self._want(obs=int(row["obs_id"]), event=int(row["event_id"]), tel=int(row["tel_id"]))

    # --- what is shown

    @override
    def show(self, look: Look, cuts: dl1.Cuts) -> None:
        self._x.value, self._y.value = look.axes
        self._all.visible = look.area is not None
        self.scatter.box(look.area)

    @override
    def fill(self, now: Now) -> None:
        results, look = now.results, now.look
        if results is None:
            return
        self._results, self._axes = results, look.axes
        x, y = look.axes
        table = results.table
        if x not in table or y not in table:
            missing = AXES[x if x not in table else y].label
            self._words.text = f"{missing}: this file does not hold it."
            return
        inside = results.once(("inside", x, y, look.area), lambda: results.inside(x, y, look.area))
        if self._drawn.new(results, x, y):
            self._draw(results, x, y)
        if self._listed.new(results, x, y, look.area):
            for plot, name in ((self.across, x), (self.up, y)):
                values = table[name].to_numpy(float)
                plot.show(values, values[inside] if look.area else values[:0], axis_of(name, results.facts.time_unit))
            self._list(table[inside], len(table))
        if self._ringed.new(results, x, y, now.image):
            self._ring(now)

    def _draw(self, results: Results, x: str, y: str) -> None:
        table = results.table
        across, up = table[x].to_numpy(float), table[y].to_numpy(float)
        drawable = np.isfinite(across) & np.isfinite(up)
        for values, name in ((across, x), (up, y)):
            if AXES[name].log:
                drawable &= values > 0
        rows = np.flatnonzero(drawable)
        drawn = rows if len(rows) <= POINTS else rows[np.linspace(0, len(rows) - 1, POINTS).astype(int)]
        unit = results.facts.time_unit
        self.scatter.arrange((axis_of(x, unit), across[drawable]), (axis_of(y, unit), up[drawable]))
        kinds = np.array([results.facts.cameras[int(tel)].name for tel in table["tel_id"].to_numpy()[drawn]], object)
        ids, tels = table["event_id"].to_numpy()[drawn], table["tel_id"].to_numpy()[drawn]
        series = {}
        for kind in results.facts.kinds:
            mine = kinds == kind
            series[kind] = {
                "x": across[drawn][mine],
                "y": up[drawn][mine],
                "event": ids[mine].astype(float),
                "tel": tels[mine].astype(float),
            }
        few = f"{len(drawn):,} of " if len(drawn) < len(rows) else ""
        cut = f" · {results.cut}" if results.cut else ""
        self.scatter.show(series, f"{few}{len(rows):,} images{cut}")

    def _list(self, rows: pd.DataFrame, total: int) -> None:
        self._rows = rows.iloc[:ROWS]
        first = f"; the first {ROWS}" if len(rows) > ROWS else ""
        stay = "; Previous and Next stay inside" if len(rows) < total else "; dragging a box in the plot chooses images"
        where = "in the box" if len(rows) < total else "in all"
        self._words.text = f"{len(rows):,} images {where}{first}. A click shows the event{stay}."
        shown = {name: list(map(digits, self._rows[name])) if name in self._rows else "" for name in COLUMNS}
        for name in ("event_id", "obs_id", "tel_id"):
            shown[name] = [str(value) for value in self._rows[name]]
        self.table.show(pd.DataFrame(shown, index=range(len(self._rows))))

    def _ring(self, now: Now) -> None:
        """Mark the image that is shown."""
        x, y = self._axes
        one = now.image.parameters if now.image is not None and now.event is not None else {}
        place = {"true_energy": now.event.info.get("true_energy") if now.event else None}
        place["multiplicity"] = now.event.info.get("multiplicity") if now.event else None
        at = [place[name] if name in place else one.get(name) for name in (x, y)]
        known = all(isinstance(value, int | float | np.number) and math.isfinite(value) for value in at)
        push(
            self.scatter.shown,
            {"x": np.array([at[0]] if known else [], float), "y": np.array([at[1]] if known else [], float)},
        )
