"""A value of each frame, for up to millions of frames: what is looked at is thinned so that no extreme is lost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
from dashboard.views.viewport import Redraw, Viewport, without_math

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from bokeh.events import PointEvent
    from numpy.typing import ArrayLike, NDArray

    from dashboard.views.viewport import Run

COLOURS = (ACCENT, EXPECTED, IN_TIME, REFERENCE, "#8d6e63", "#ec407a", "#7cb342", "#5c6bc0")
OUTLIER = "#e02020"
SIGNS = {"drop": "inverted_triangle", "spike": "triangle"}
COLUMNS = 1200  # bins of the thinned line when the width of the figure is not known
MOST = 2400
ROOMY = 6  # pixels for each frame from which on every frame is drawn as a point
MAX_MARKS = 2000
REACH = 10  # screen pixels within which a click means a mark


def breaks(frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions after which frames are missing: where the step is longer than the one before or after it.

    A series of which only every fourth frame was read has no gaps.

    Parameters
    ----------
    frames
        (frame,) ascending frame numbers.

    Examples
    --------
    >>> breaks(np.array([1, 2, 3, 7, 8])), breaks(np.array([1, 5, 9, 13]))
    (array([2]), array([], dtype=int64))
    """
    steps = np.diff(frames)
    if len(steps) < 2:
        return np.zeros(0, np.int64)
    before, after = np.concatenate([steps[1:2], steps[:-1]]), np.concatenate([steps[1:], steps[-2:-1]])
    return np.flatnonzero(steps > 1.5 * np.minimum(before, after))


def thin(values: NDArray[np.float64], first: int, last: int, bins: int) -> NDArray[np.int64]:
    """Return which values to draw of a line: of each bin the first, the lowest, the highest and the last.

    Bins hold equal numbers of values and begin at multiples of that number, so that the line does not shimmer when it
    is moved. In columns of one pixel that line looks like the whole one (Jugel et al., Proc. VLDB 7, 797, 2014).

    Parameters
    ----------
    values
        (frame,); those that are not a number are never lowest or highest.
    first, last
        Which part is looked at: from `first` to before `last`.
    bins
        About how many; a part of at most four times as many is not thinned.

    Returns
    -------
    NDArray[np.int64]
        Ascending positions.

    Examples
    --------
    >>> line = np.zeros(1000)
    >>> line[503] = 7
    >>> thin(line, 0, 1000, 10).tolist()[8:14]
    [400, 499, 500, 503, 599, 600]
    """
    count = last - first
    if count <= 4 * bins:
        return np.arange(first, last)
    size = -(-count // bins)
    start, end = -(-first // size) * size, last // size * size
    blocks = values[start:end].reshape(-1, size)
    base = np.arange(start, end, size)
    if bad := bool(np.isnan(blocks).any()):
        nothing = np.isnan(blocks)
    lowest = (np.where(nothing, np.inf, blocks) if bad else blocks).argmin(axis=1)
    highest = (np.where(nothing, -np.inf, blocks) if bad else blocks).argmax(axis=1)
    kept = [base, base + lowest, base + highest, base + size - 1]
    for a, b in ((first, start), (end, last)):  # what is left over at the two ends
        part = values[a:b]
        if len(part):
            kept.append(np.array([a, b - 1]))
            if not np.isnan(part).all():
                kept.append(np.array([a + np.nanargmin(part), a + np.nanargmax(part)]))
    return np.unique(np.concatenate(kept))


@dataclass(frozen=True, eq=False)
class Data:
    """What a trace shows; nobody may change the arrays any more."""

    frames: NDArray[np.int64]
    series: dict[str, NDArray[np.float64]]
    seconds: NDArray[np.float64] | None
    gaps: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Line:
    """One series as it is drawn; not a number where the line is broken."""

    frame: NDArray[np.float64]
    value: NDArray[np.float64]
    seconds: NDArray[np.float64]
    dot: NDArray[np.float32]


def draw(run: Data, low: float, high: float, width: int, *, normalised: bool) -> dict[str, Line]:
    """Thin all series to what is seen of them; it may be called in any thread.

    Parameters
    ----------
    run
        The data.
    low, high
        Frame numbers at the two ends of the axis; the frames next to it are drawn too.
    width
        Pixels of the axis.
    normalised
        Each series is divided by its mean.
    """
    frames = run.frames
    first = max(0, int(np.searchsorted(frames, low)) - 1)
    last = min(len(frames), int(np.searchsorted(frames, high, side="right")) + 1)
    bins = max(1, min(width, MOST))
    per_pixel = max(high - low, 1e-9) / max(width, 1)
    gaps = run.gaps[np.searchsorted(run.gaps, first) : np.searchsorted(run.gaps, last - 1)]
    gaps = gaps[frames[gaps + 1] - frames[gaps] > per_pixel]  # narrower ones cannot be seen
    roomy = last - first <= max(width // ROOMY, 2)
    lines = {}
    for name, values in run.series.items():
        kept = thin(values, first, last, bins)
        if len(gaps):
            kept = np.union1d(kept, np.concatenate([gaps, gaps + 1]))
        y = values[kept] / np.nanmean(values) if normalised and len(kept) else values[kept]
        x = frames[kept].astype(np.float64)
        seconds = run.seconds[kept] if run.seconds is not None else np.full(len(kept), np.nan)
        after = np.searchsorted(kept, gaps) + 1
        x, y, seconds = (np.insert(column, after, np.nan) for column in (x, y, seconds))
        there = np.isfinite(y)
        padded = np.concatenate([[False], there, [False]])
        alone = there & ~padded[:-2] & ~padded[2:]
        lines[name] = Line(x, y, seconds, ((there & roomy) | alone).astype(np.float32))
    return lines


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
        self.figure = plot = blank("Frame", value_label, wall=wall, tools="pan,box_zoom,xwheel_zoom,reset,save")
        plot.x_range, plot.y_range = Range1d(0, 1), Range1d(0, 1)
        plot.xaxis.update(ticker=BasicTicker(min_interval=1), formatter=NumeralTickFormatter(format="0,0"))
        plot.xaxis.major_label_policy = NoOverlap(min_distance=6)
        plot.yaxis.formatter = digits()
        plot.min_border_left = 68  # plots below each other stay aligned
        plot.title.text_font_style = "italic"
        self._wall, self._label, self._normalised = wall, value_label, normalised
        self._on_tap, self._on_select = on_tap, on_select
        self._run: Data | None = None
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
        self._run, self._marks = Data(numbers, lines, seconds, breaks(numbers)), marks
        self._offer(list(lines))
        self._fit()
        self._mark()
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
        self._label = self._label if value_label is None else value_label
        self._normalised = self._normalised if normalised is None else normalised
        label = f"{self._label.split(' (')[0]} / mean" if self._normalised else self._label
        if self.figure.yaxis[0].axis_label != label:
            self.figure.yaxis[0].axis_label = label
        if self._run is not None:
            self._homes.pop("y_range", None)  # another unit: the old zoom means nothing
            self._placed.pop("y_range", None)
            self._fit()
            self._mark()
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
        """Have a line for each name, and no others."""
        for name in names:
            if name not in self.sources:
                self._add(name)
        for name, source in self.sources.items():
            if name not in names and len(source.data["frame"]):
                source.data = {key: np.zeros(0) for key in source.data}
        items = [self._items[name] for name in names] if len(names) > 1 else []
        if self._legend.items != items:
            self._legend.update(items=items, visible=bool(items))

    def _add(self, name: str) -> None:
        source = ColumnDataSource({key: np.zeros(0) for key in ("frame", "value", "seconds", "dot")}, name=name)
        colour, plot = COLOURS[len(self.sources) % len(COLOURS)], self.figure
        line = plot.line("frame", "value", source=source, line_width=1.4 if not self._wall else 2, line_color=colour)
        dots = plot.scatter(
            "frame", "value", source=source, size=6, fill_color=colour, line_color=None, fill_alpha="dot",
            name=without_math(name),
        )  # fmt: skip
        self.sources[name] = source
        self._items[name] = LegendItem(label={"value": without_math(name)}, renderers=[line, dots])
        self._hover.renderers = [*self._hover.renderers, dots]

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

    def _fit(self) -> None:
        """Make the homes of the axes hold all data; a zoomed axis stays where it is."""
        run = self._run
        if run is None or not len(run.frames):
            return
        ends = []
        for values in run.series.values():
            if np.isfinite(values).any():
                scale = float(np.nanmean(values)) if self._normalised else 1.0
                ends += [float(np.nanmin(values)) / scale, float(np.nanmax(values)) / scale]
        edge = max(0.5, (run.frames[-1] - run.frames[0]) * 0.005)
        homes = {
            "x_range": (float(run.frames[0] - edge), float(run.frames[-1] + edge)),
            "y_range": _padded(ends),
        }
        for axis, (start, end) in homes.items():
            if self._homes.get(axis) != (start, end):
                self._place(axis, start, end)
                self._homes[axis] = (start, end)
                getattr(self.figure, axis).update(reset_start=start, reset_end=end)

    def _mark(self) -> None:
        """Put a sign at each outlier, on the first series."""
        run, marks = self._run, self._marks
        empty: dict[str, list[Any]] = {"frame": [], "value": [], "sign": [], "what": []}
        if run is None or marks is None or marks.empty or not run.series:
            push(self.marks, empty)
            return
        rows = marks[marks["frame"].isin(run.frames)]
        if len(rows) > MAX_MARKS:
            order = rows["deviation"].abs() if "deviation" in rows else rows["frame"]
            rows = rows.loc[order.nlargest(MAX_MARKS).index].sort_values("frame")
        chosen = rows["frame"].to_numpy(dtype=np.int64)
        values = next(iter(run.series.values()))
        y = values[np.searchsorted(run.frames, chosen)] / (np.nanmean(values) if self._normalised else 1.0)
        kinds = [str(kind) for kind in rows["kind"]] if "kind" in rows else ["outlier"] * len(rows)
        far = [f", {each:+.1f} sigma" for each in rows["deviation"]] if "deviation" in rows else [""] * len(rows)
        push(
            self.marks,
            {
                "frame": chosen, "value": y, "sign": [SIGNS.get(kind, "diamond") for kind in kinds],
                "what": [kind + text for kind, text in zip(kinds, far, strict=True)],
            },
        )  # fmt: skip

    def _look_again(self) -> None:
        run, normalised = self._run, self._normalised
        if run is None:
            return
        low, high, _, _ = self.viewport.ranges
        width = self.viewport.pixels("width", COLUMNS)
        self._redraw.ask(lambda: draw(run, low, high, width, normalised=normalised), self._put)

    def _put(self, lines: dict[str, Line]) -> None:
        for name, line in lines.items():
            columns = {"frame": line.frame, "value": line.value, "seconds": line.seconds, "dot": line.dot}
            push(self.sources[name], columns)
        low, high, _, _ = self.viewport.ranges
        seen = [line.value[(line.frame >= low) & (line.frame <= high)] for line in lines.values()]
        ends = [
            end for part in seen if np.isfinite(part).any() for end in (float(np.nanmin(part)), float(np.nanmax(part)))
        ]
        if ends:
            self._place("y_range", *_padded(ends))

    # What the browser sends.

    def _clicked(self, event: PointEvent) -> None:
        x, run = event.x, self._run
        if self._on_tap is None or run is None or not len(run.frames) or not _number(x):
            return
        low, high, _, _ = self.viewport.ranges
        reach = REACH * (high - low) / self.viewport.pixels("width", COLUMNS)
        marked = np.asarray(self.marks.data["frame"], dtype=np.int64)
        for choice, within in ((marked, reach), (run.frames, math.inf)):
            if len(choice):
                nearest = int(choice[np.abs(choice - x).argmin()])
                if abs(nearest - x) <= within:
                    self._on_tap(nearest)
                    return

    def _selected(self, event: SelectionGeometry) -> None:
        geometry, run = event.geometry, self._run
        if not event.final or not isinstance(geometry, dict) or run is None or self._on_select is None:
            return
        x0, x1 = geometry.get("x0"), geometry.get("x1")
        if x0 is None or x1 is None or not (_number(x0) and _number(x1)):
            return
        inside = run.frames[(run.frames >= min(x0, x1)) & (run.frames <= max(x0, x1))]
        if len(inside):
            self._on_select(int(inside[0]), int(inside[-1]))


def _padded(ends: list[float]) -> tuple[float, float]:
    """Return limits a little beyond all of some values."""
    low, high = (float(min(ends)), float(max(ends))) if ends else (0.0, 1.0)
    pad = (high - low) * 0.05 or max(abs(high) * 0.05, 1e-9)
    return low - pad, high + pad


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
