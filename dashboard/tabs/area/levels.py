"""The histogram of pixel values beside the image: its two lines are the ends of the colours, or of a threshold of the mask."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import panel as pn
import panel_material_ui as pmui
from bokeh.models import (
    BoxAnnotation,
    ColumnDataSource,
    CustomJS,
    HoverTool,
    LogTicker,
    LogTickFormatter,
    NoOverlap,
    Range1d,
    Span,
)

from dashboard.tabs.area.panels import TIGHT
from dashboard.tabs.parts import COMPACT, NUMBER, pane
from dashboard.views.push import push
from dashboard.views.style import ACCENT, EXPECTED, MUTED, above, blank, digits, set_scale

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Goal = Literal["colour", "mask"]
FLOOR = 0.5  # where no pixel at all is drawn on the logarithmic axis
SETTLED_MS = 200
IDLE = 0.008  # of the axis: so far from its ends stand lines that are no limits
BINS = 160
SAMPLES = 1_000_000  # of pixels that are counted: the rest looks the same
WIDTH = 178  # px, at least
TAILS = 100_000  # of them tell where the axis ends


def counted(values: NDArray[Any], good: NDArray[np.bool_] | None) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return edges and counts of the good pixels, for the screen: from the lowest to the highest of all but the outermost.

    Parameters
    ----------
    values
        (y, x).
    good
        (y, x), or None for all.
    """
    used, step = sampled(values, good, SAMPLES)
    if not used.size:
        return np.zeros(0), np.zeros(0, np.int64)
    low, high = (float(end) for end in np.percentile(used[:: max(1, used.size // TAILS)], [0.02, 99.98]))
    room = 0.06 * (high - low) or 0.5
    low, high = max(low - room, float(used.min())), min(high + room, float(used.max()))
    if high <= low:
        low, high = low - 0.5, high + 0.5
    whole = values.dtype.kind in "biu"
    count = int(min(BINS, high - low + 1)) if whole and high - low < BINS else BINS
    ends = (low - 0.5, high + 0.5) if whole and high - low < BINS else (low, high)
    counts, edges = np.histogram(used, max(count, 1), ends)
    return edges, counts * step


def sampled(values: NDArray[Any], good: NDArray[np.bool_] | None, most: int) -> tuple[NDArray[np.float64], int]:
    """Return every so many of the good finite values, about `most`, and how many one stands for."""
    step = max(1, values.size // most)
    used = values.ravel()[::step]
    if good is not None:
        used = used[good.ravel()[::step]]
    used = used.astype(np.float64)
    return used[np.isfinite(used)], step


class Levels:
    """The histogram with two lines that are dragged.

    Parameters
    ----------
    coloured
        Called with the values of the first and the last colour; (None, None) takes them from percentiles again.
    masked
        Called with the lowest and the highest value that is not masked.
    want
        Called with changed fields of `Look`: the percentiles.
    """

    def __init__(
        self, coloured: Callable[[float | None, float | None], None], masked: Callable[[float | None, float | None], None],
        want: Callable[..., None],
    ) -> None:  # fmt: skip
        self._coloured, self._masked, self._want = coloured, masked, want
        self.goal: Goal = "colour"
        self._now: dict[Goal, tuple[float | None, float | None]] = {"colour": (None, None), "mask": (None, None)}
        self._quiet = False
        self._settling: Any = None
        self._shown: object = None
        self.figure = plot = blank("Pixels", "Value of a pixel (ADU)", tools="ywheel_zoom,reset,save")
        plot.name = "area-levels"
        plot.x_range, plot.y_range = Range1d(FLOOR, 10), Range1d(0, 1)
        set_scale(plot, "x", log=True)
        ticks = LogTicker(mantissas=[1], desired_num_ticks=3, num_minor_ticks=0)
        plot.xaxis.update(ticker=ticks, formatter=LogTickFormatter(), major_label_policy=NoOverlap(min_distance=8))
        plot.yaxis.update(formatter=digits(), major_label_policy=NoOverlap(min_distance=6))
        plot.ygrid.grid_line_color = None
        plot.min_width = 120
        plot.title.update(text="Drag the lines", align="right")
        self.source = ColumnDataSource(
            {name: [] for name in ("left", "right", "top", "bottom", "count")}, name="area-levels"
        )
        bars = plot.quad(
            "left", "right", "top", "bottom", source=self.source, fill_color=ACCENT, fill_alpha=0.5, line_color=None
        )
        tips = [("Values", "@bottom{0,0.[00]} to @top{0,0.[00]}"), ("Pixels", "@count{0,0}")]
        plot.add_tools(HoverTool(renderers=[bars], tooltips=tips))
        shade = {"fill_color": MUTED, "fill_alpha": 0.22, "line_color": None}
        self._below, self._over = BoxAnnotation(top=0, **shade), BoxAnnotation(bottom=1, **shade)
        style = {"dimension": "width", "line_color": EXPECTED, "line_width": 3, "editable": True}
        self._low = Span(location=0, name="area-low", **style)
        self._high = Span(location=1, name="area-high", **style)
        for part in (self._below, self._over, self._low, self._high):
            plot.add_layout(part)
        for line, box, side in ((self._low, self._below, "top"), (self._high, self._over, "bottom")):
            line.js_on_change("location", CustomJS(args={"box": box, "side": side}, code="box[side] = cb_obj.location"))
            line.on_change("location", self._dragged)
        self._goal = pmui.RadioButtonGroup(options={"Colours": "colour", "Mask": "mask"}, value="colour", **COMPACT)
        self._goal.param.watch(self._aimed, "value")
        again = pmui.IconButton(
            icon="restart_alt", description="Auto: colours from the percentiles again; no threshold", size="small",
            margin=(2, 0), on_click=lambda _: self._tell(None, None),
        )  # fmt: skip
        narrow = NUMBER | {"margin": (6, 2), "width": 66}
        self._lowest = pmui.FloatInput(label="Low %", value=1.0, start=0.0, end=100.0, step=0.5, **narrow)
        self._highest = pmui.FloatInput(label="High %", value=99.7, start=0.0, end=100.0, step=0.1, **narrow)
        for name, widget in (("lowest", self._lowest), ("highest", self._highest)):
            widget.param.watch(lambda event, name=name: self._percentile(name, event.new), "value")
        again_and_ends = pn.FlexBox(self._lowest, self._highest, again, **TIGHT)
        self.view = pn.Column(
            self._goal, again_and_ends, pane(plot), sizing_mode="stretch_both", margin=0, min_width=WIDTH,
            styles={"flex": f"0 0 max({WIDTH}px, 17%)"},
        )  # fmt: skip

    def _percentile(self, name: str, value: object) -> None:
        if isinstance(value, int | float) and not self._quiet:
            self._want(**{name: float(value), "low": None, "high": None})

    def _aimed(self, event: Any) -> None:
        self.goal = event.new
        self._shown = None
        self._place()

    def _tell(self, low: float | None, high: float | None) -> None:
        (self._coloured if self.goal == "colour" else self._masked)(low, high)

    def _dragged(self, attr: str, old: object, new: object) -> None:  # noqa: ARG002 - the signature that Bokeh calls
        document = self.figure.document
        if self._quiet or document is None:
            return
        if self._settling is not None:
            document.remove_timeout_callback(self._settling)
        self._settling = document.add_timeout_callback(self._rested, SETTLED_MS)

    def _rested(self) -> None:
        self._settling = None
        ends = []
        for line in (self._low, self._high):
            place = line.location
            if not isinstance(place, int | float) or not math.isfinite(place):
                self._place()
                return
            ends.append(float(f"{place:.5g}"))
        low, high = sorted(ends)
        first, last = self.figure.y_range.reset_start, self.figure.y_range.reset_end
        if self.goal == "mask":  # a line that was left at the edge is no limit
            width = 2 * IDLE * (last - first)
            self._tell(low if low > first + width else None, high if high < last - width else None)
        elif low < high:
            self._tell(low, high)
        self._place()

    def show(
        self, colour: tuple[float, float] | None, mask: tuple[float | None, float | None], percentiles: tuple[float, float]
    ) -> None:  # fmt: skip
        """Show which ends are in force."""
        if percentiles != (self._lowest.value, self._highest.value):
            self._quiet = True
            self._lowest.value, self._highest.value = percentiles
            self._quiet = False
        now: dict[Goal, tuple[float | None, float | None]] = {"colour": colour or (None, None), "mask": mask}
        if now != self._now:
            self._now = now
            self._place()

    def _place(self) -> None:
        first, last = float(self.figure.y_range.reset_start or 0), float(self.figure.y_range.reset_end or 1)
        low, high = self._now[self.goal]
        aside = IDLE * (last - first)  # at the very edge the mouse could not take them
        self._quiet = True
        for line, box, side, at in (
            (self._low, self._below, "top", first + aside if low is None else low),
            (self._high, self._over, "bottom", last - aside if high is None else high),
        ):
            if line.location != at:
                line.location = at
            if getattr(box, side) != at:
                setattr(box, side, at)
        self._quiet = False

    def fill(self, edges: NDArray[np.float64], counts: NDArray[np.int64], label: str) -> None:
        """Draw how many pixels have which value.

        Parameters
        ----------
        edges, counts
            See `counted`.
        label
            What the values are, with the unit.
        """
        if self._shown is edges:
            return
        self._shown = edges
        plot = self.figure
        if plot.yaxis[0].axis_label != label:
            plot.yaxis[0].axis_label = label
        bars = {
            "bottom": edges[:-1], "top": edges[1:], "right": np.where(counts > 0, counts, FLOOR).astype(float),
            "left": np.full(len(counts), FLOOR), "count": counts.astype(float),
        }  # fmt: skip
        push(self.source, bars)
        if len(edges) > 1:
            room = 0.02 * float(edges[-1] - edges[0])
            ends = (float(edges[0]) - room, float(edges[-1]) + room)
            if (plot.y_range.reset_start, plot.y_range.reset_end) != ends:
                plot.y_range.update(start=ends[0], end=ends[1], reset_start=ends[0], reset_end=ends[1])
            most = above(float(max(counts.max(initial=1), 1))) ** 1.06
            if plot.x_range.reset_end != most:
                plot.x_range.update(start=FLOOR, end=most, reset_start=FLOOR, reset_end=most)
        self._place()
