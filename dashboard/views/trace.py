"""A value of each frame, for up to millions of frames: what is looked at is thinned so that no extreme is lost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from bokeh.events import DoubleTap, Press, SelectionGeometry, Tap
from bokeh.models import (
    BasicTicker,
    BoxAnnotation,
    BoxSelectTool,
    ColumnDataSource,
    HoverTool,
    Legend,
    LegendItem,
    NoOverlap,
    NumeralTickFormatter,
    Range1d,
    Span,
)

from dashboard.views.push import push
from dashboard.views.style import ACCENT, EXPECTED, IN_TIME, MUTED, REFERENCE, blank, digits, grow
from dashboard.views.thin import Data, draw
from dashboard.views.viewport import Redraw, Viewport, without_math

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from bokeh.events import PointEvent
    from numpy.typing import ArrayLike

    from dashboard.views.thin import Drawn
    from dashboard.views.viewport import Run

COLOURS = (ACCENT, EXPECTED, IN_TIME, REFERENCE, "#8d6e63", "#ec407a", "#7cb342", "#5c6bc0")
OUTLIER = "#e02020"
SIGNS = {"drop": "inverted_triangle", "spike": "triangle"}
COLUMNS = 1200  # bins of the thinned line when the width of the figure is not known
NEAREST = 4.0  # frames from one side to the other, at least
MAX_MARKS = 2000
REACH = 10  # screen pixels within which a click means a mark


class Trace:
    """Series over the frame number; what is looked at is thinned again after each zoom and pan.

    Its methods change Bokeh models, so call them on the loop of the document.

    Parameters
    ----------
    value_label
        What the values are, with the unit.
    run
        ``run(work, done)`` calls ``work()`` in a thread and then ``done(result)`` on the loop of the document, with its
        lock. None: the work is done at once.
    on_tap
        Called with the number of the frame that was clicked: of a mark within a few pixels, else the nearest in x.
    on_select
        Called with the first and last frame number of a range that was dragged with the tool "Frame range".
    normalised
        Each series is divided by its mean.
    wall
        For a wall display: large text, no toolbar, no hover.

    Examples
    --------
    >>> trace = Trace("Sum (counts)")
    >>> trace.show([1, 2, 3, 8, 9], {"raw": [5, 6, 5, 7, 5]})
    >>> trace.sources["raw"].data["frame"].tolist()
    [1.0, 2.0, 3.0, nan, 8.0, 9.0]
    """

    def __init__(
        self,
        value_label: str = "Sum (counts)",
        *,
        run: Run | None = None,
        on_tap: Callable[[int], None] | None = None,
        on_select: Callable[[int, int], None] | None = None,
        normalised: bool = False,
        wall: bool = False,
    ) -> None:
        self.figure = plot = blank(
            "Frame", _label(value_label, normalised), wall=wall, tools="pan,box_zoom,xwheel_zoom,reset,save"
        )
        plot.x_range, plot.y_range = Range1d(0, 1, min_interval=NEAREST), Range1d(0, 1)
        plot.xaxis.update(ticker=BasicTicker(min_interval=1), formatter=NumeralTickFormatter(format="0,0"))
        plot.xaxis.major_label_policy = NoOverlap(min_distance=6)
        plot.yaxis.formatter = digits()
        plot.min_border_right = 28  # for half of the last number
        plot.min_border_left = 68  # plots below each other stay aligned
        plot.title.text_font_style = "italic"
        self._wall, self._label, self._normalised = wall, value_label, normalised
        self._on_tap, self._on_select = on_tap, on_select
        self._data: Data | None = None
        self._within: tuple[float, float] | None = None
        self._marks: pd.DataFrame | None = None
        self._homes: dict[str, tuple[float, float]] = {}  # what a reset shows
        self._placed: dict[str, tuple[float, float]] = {}  # where the viewer was put last
        self.sources: dict[str, ColumnDataSource] = {}
        self._items: dict[str, LegendItem] = {}
        self._legend = Legend(
            items=[], orientation="horizontal", location="right", ncols=6, padding=0, margin=0, spacing=8,
            click_policy="hide", visible=False, border_line_color=None, background_fill_color=None,
        )  # fmt: skip
        plot.add_layout(self._legend, "above")
        grow(self._legend, wall=wall)
        self._window = BoxAnnotation(
            fill_color=MUTED, fill_alpha=0.16, line_color=MUTED, line_dash="dashed", visible=False
        )
        self._cursor = Span(dimension="height", line_color=ACCENT, line_width=2, line_alpha=0.8, visible=False)
        plot.add_layout(self._window)
        plot.add_layout(self._cursor)
        self.marks = ColumnDataSource({key: [] for key in ("frame", "value", "sign", "what")}, name="marks")
        marks = plot.scatter(
            "frame", "value", marker="sign", source=self.marks, size=13 if wall else 10, fill_color=OUTLIER,
            line_color="white", level="overlay",
        )  # fmt: skip
        self._hover = HoverTool(
            renderers=[], limit=1, point_policy="snap_to_data",
            tooltips=[("", "$name"), ("Frame", "@frame{0,0}"), ("Time", "@seconds{0,0.[000000]} s"), ("Value", "@value{0,0.[000000]}")],
        )  # fmt: skip
        if not wall:
            tips = [("Outlier", "@what"), ("Frame", "@frame{0,0}"), ("Value", "@value{0,0.[000000]}")]
            plot.add_tools(self._hover, HoverTool(renderers=[marks], tooltips=tips, limit=3))
        self._select = BoxSelectTool(dimensions="width", renderers=[], description="Frame range")
        if not wall and on_select:
            plot.add_tools(self._select)
            plot.on_event(SelectionGeometry, self._selected)
        if on_tap:
            for clicked in (Tap, DoubleTap, Press):  # fast, twice and slow: all are clicks to a person
                plot.on_event(clicked, self._clicked)
        self._redraw = Redraw(run)
        self.viewport = Viewport(plot, self._look_again)

    def show(
        self,
        frames: ArrayLike,
        series: Mapping[str, ArrayLike],
        *,
        marks: pd.DataFrame | None = None,
        time: ArrayLike | float | None = None,
        within: tuple[float, float] | None = None,
    ) -> None:
        """Draw series; a viewer who has zoomed keeps the zoom, for the others the axes grow with the data.

        Parameters
        ----------
        frames
            (frame,) ascending frame numbers; the line is broken where some are missing.
        series
            Name -> (frame,) values, for the legend in this order; not a number where there is none. The arrays must not
            be changed any more.
        marks
            Outliers to mark: column `frame`, and if there are `kind` ("drop" or "spike") and `deviation` (robust sigma).
            Of more than `MAX_MARKS` those that deviate most.
        time
            s: (frame,), or the time from one frame number to the next; None: unknown.
        within
            Ends of the vertical axis, as it is drawn, for a viewer who has not zoomed; else, and if None: what is seen fits.

        Raises
        ------
        ValueError
            A series has another length, or the frame numbers do not ascend.
        """
        numbers = np.asarray(frames, dtype=np.int64)
        lines = {name: np.asarray(values, dtype=np.float64) for name, values in series.items()}
        wrong = [name for name, values in lines.items() if values.shape != numbers.shape]
        if numbers.ndim != 1 or wrong:
            msg = f"one value for each of {numbers.shape} frames expected, found others in {', '.join(wrong)}"
            raise ValueError(msg)
        if (np.diff(numbers) <= 0).any():
            msg = "ascending frame numbers expected"
            raise ValueError(msg)
        seconds = None
        if time is not None:
            given = np.asarray(time, dtype=np.float64)
            seconds = given if given.ndim else np.asarray((numbers - 1) * given, dtype=np.float64)
            if seconds.shape != numbers.shape:
                msg = f"one time for each of {len(numbers)} frames expected, found {seconds.shape}"
                raise ValueError(msg)
        self._data, self._marks, self._within = Data(numbers, lines, seconds), marks, within
        self._offer(list(lines))
        if len(numbers):
            edge = max(0.5, (numbers[-1] - numbers[0]) * 0.005)
            self._fit("x_range", float(numbers[0] - edge), float(numbers[-1] + edge))
        self._look_again()

    def arrange(self, *, normalised: bool | None = None, value_label: str | None = None) -> None:
        """Change how it is drawn; None: as before.

        Parameters
        ----------
        normalised
            Each series is divided by its mean.
        value_label
            What the values are, with the unit.
        """
        wanted = (value_label or self._label, self._normalised if normalised is None else normalised)
        if wanted == (self._label, self._normalised):
            return
        self._label, self._normalised = wanted
        self.figure.yaxis[0].axis_label = _label(*wanted)
        self._homes.pop("y_range", None)  # another unit: the old zoom means nothing
        self._placed.pop("y_range", None)
        self._look_again()

    def cursor(self, frame: float | None) -> None:
        """Draw a vertical line at a frame, or none."""
        if self._cursor.location != frame:
            self._cursor.update(location=frame, visible=frame is not None)

    def window(self, first: float | None, last: float | None) -> None:
        """Shade a range of frames, or nothing."""
        sides = (None, None) if first is None or last is None else (first - 0.5, last + 0.5)
        if (self._window.left, self._window.right) != sides:
            self._window.update(left=sides[0], right=sides[1], visible=sides[0] is not None)

    def note(self, text: str) -> None:
        """Write a line above the plot, as plain text: for example that only every fourth frame was read."""
        if self.figure.title.text != (plain := without_math(text)):
            self.figure.title.text = plain

    def select(self, on: bool) -> None:
        """Let a drag mark a range of frames, or pan."""
        tools = self.figure.toolbar.tools
        self.figure.toolbar.active_drag = self._select if on and self._select in tools else "auto"

    @property
    def zoomed(self) -> bool:
        """Whether the viewer looks at a part of the frames."""
        return self._moved("x_range")

    def _offer(self, names: list[str]) -> None:
        """Have a line for each name, and no others; a line that is not needed is kept for a later name."""
        free = [name for name in self.sources if name not in names]
        for name in [name for name in names if name not in self.sources]:
            self._name(free.pop(0), name) if free else self._add(name)
        for name in free:
            if len(self.sources[name].data["frame"]):
                self.sources[name].data = {key: np.zeros(0) for key in self.sources[name].data}
        items = [self._items[name] for name in names] if len(names) > 1 else []
        if self._legend.items != items:
            self._legend.update(items=items, visible=bool(items))

    def _add(self, name: str) -> None:
        source = ColumnDataSource({key: np.zeros(0) for key in ("frame", "value", "seconds", "dot")})
        colour, plot = COLOURS[len(self.sources) % len(COLOURS)], self.figure
        line = plot.line("frame", "value", source=source, line_width=2 if self._wall else 1.4, line_color=colour)
        dots = plot.scatter(
            "frame", "value", source=source, size=6, fill_color=colour, line_color=None, fill_alpha="dot"
        )
        self.sources[name], self._items[name] = source, LegendItem(label="", renderers=[line, dots])
        self._hover.renderers = [*self._hover.renderers, dots]
        self._name(name, name)

    def _name(self, old: str, new: str) -> None:
        source, item = self.sources.pop(old), self._items.pop(old)
        self.sources[new], self._items[new] = source, item
        item.label = {"value": without_math(new)}
        item.renderers[1].name = new

    def _moved(self, axis: str) -> bool:
        span = getattr(self.figure, axis)
        return axis in self._homes and (span.start, span.end) not in (self._homes[axis], self._placed[axis])

    def _place(self, axis: str, start: float, end: float) -> None:
        """Show a part of an axis, unless the viewer chose another one."""
        span = getattr(self.figure, axis)
        if not self._moved(axis):
            self._placed[axis] = (start, end)
            if (span.start, span.end) != (start, end):
                span.update(start=start, end=end)

    def _fit(self, axis: str, start: float, end: float) -> None:
        """Make the home of an axis hold all data; a zoomed axis stays where it is."""
        if self._homes.get(axis) != (start, end):
            self._place(axis, start, end)
            self._homes[axis] = (start, end)
            getattr(self.figure, axis).update(reset_start=start, reset_end=end)

    def _mark(self, drawn: Drawn) -> None:
        """Put a sign at each outlier, on the first series."""
        data, marks = drawn.data, self._marks
        if marks is None or marks.empty or not data.series or not len(data.frames):
            push(self.marks, {"frame": [], "value": [], "sign": [], "what": []})
            return
        places = np.searchsorted(data.frames, marks["frame"]).clip(max=len(data.frames) - 1)
        rows = marks[data.frames[places] == marks["frame"]]
        if len(rows) > MAX_MARKS:
            order = rows["deviation"].abs() if "deviation" in rows else rows["frame"]
            rows = rows.loc[order.nlargest(MAX_MARKS).index].sort_values("frame")
        chosen = rows["frame"].to_numpy(dtype=np.int64)
        name, values = next(iter(data.series.items()))
        kinds = [str(kind) for kind in rows["kind"]] if "kind" in rows else ["outlier"] * len(rows)
        far = [f", {each:+.1f} sigma" for each in rows["deviation"]] if "deviation" in rows else [""] * len(rows)
        columns = {
            "frame": chosen.astype(np.float64), "value": values[np.searchsorted(data.frames, chosen)] / drawn.scale[name],
            "sign": [SIGNS.get(kind, "diamond") for kind in kinds],
            "what": [kind + text for kind, text in zip(kinds, far, strict=True)],
        }  # fmt: skip
        push(self.marks, columns)

    def _look_again(self) -> None:
        data, normalised = self._data, self._normalised
        if data is None:
            return
        low, high, _, _ = self.viewport.ranges
        width = self.viewport.pixels("width", COLUMNS)
        self._redraw.ask(lambda: draw(data, low, high, width, normalised=normalised), self._put)

    def _put(self, drawn: Drawn) -> None:
        current = self._data.series if self._data else {}
        low, high, _, _ = self.viewport.ranges
        seen: list[float] = []
        for name, line in drawn.lines.items():
            if name not in current:
                continue  # replaced while this was made
            push(self.sources[name], vars(line))
            part = line.value[(line.frame >= low) & (line.frame <= high)]
            if np.isfinite(part).any():
                seen += [float(np.nanmin(part)), float(np.nanmax(part))]
        self._mark(drawn)
        self._fit("y_range", *_padded(drawn.ends))
        if self._within is not None and not self.zoomed:
            self._place("y_range", *self._within)
        elif seen:
            self._place("y_range", *_padded(seen))

    # What the browser sends.

    def _clicked(self, event: PointEvent) -> None:
        x, data = event.x, self._data
        if self._on_tap is None or data is None or not len(data.frames) or not _number(x):
            return
        low, high, _, _ = self.viewport.ranges
        reach = REACH * (high - low) / self.viewport.pixels("width", COLUMNS)
        marked = np.asarray(self.marks.data["frame"], dtype=np.int64)
        for choice, within in ((marked, reach), (data.frames, math.inf)):
            if len(choice):
                nearest = int(choice[np.abs(choice - x).argmin()])
                if abs(nearest - x) <= within:
                    self._on_tap(nearest)
                    return

    def _selected(self, event: SelectionGeometry) -> None:
        geometry, data = event.geometry, self._data
        if not event.final or not isinstance(geometry, dict) or data is None or self._on_select is None:
            return
        x0, x1 = geometry.get("x0"), geometry.get("x1")
        if x0 is None or x1 is None or not (_number(x0) and _number(x1)):
            return
        inside = data.frames[(data.frames >= min(x0, x1)) & (data.frames <= max(x0, x1))]
        if len(inside):
            self._on_select(int(inside[0]), int(inside[-1]))


def _label(what: str, normalised: bool) -> str:
    return f"{what.partition(' (')[0]} / mean" if normalised else what


def _padded(ends: list[float]) -> tuple[float, float]:
    """Return limits a little beyond all of some values."""
    low, high = (float(min(ends)), float(max(ends))) if ends else (0.0, 1.0)
    pad = (high - low) * 0.05 or max(abs(high) * 0.05, 1e-9)
    return low - pad, high + pad


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
