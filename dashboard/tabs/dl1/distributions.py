"""How often values occur: all of them in grey, those that count in front; a range is chosen by dragging."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.events import Reset, SelectionGeometry
from bokeh.models import BoxAnnotation, BoxSelectTool, ColumnDataSource, HoverTool, Range1d

from dashboard.views.push import push
from dashboard.views.style import ACCENT, MUTED, above, blank, digits, set_scale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from dashboard.tabs.dl1.look import Named

BINS = (12, 48)  # fewest, most
MANY = 200  # values from which on the rarest are left outside
RARE = 0.05  # percent of the values on either side
WHOLE = 60  # whole numbers up to that many have a bin each


def edges_of(values: Sequence[ArrayLike], *, log: bool = False) -> NDArray[np.float64]:
    """Return edges of bins that hold all values, but for the rarest of many; a single value gets some room.

    Examples
    --------
    >>> edges_of([[1.0, 3.0, 2.0]])
    array([0.5, 1.5, 2.5, 3.5])
    >>> edges_of([[0.1, 10.0]], log=True)[[0, -1]].round(6).tolist()
    [0.1, 10.0]
    """
    kept = np.concatenate([np.zeros(0), *(np.asarray(one, np.float64) for one in values)])
    kept = kept[np.isfinite(kept) & ((kept > 0) | (not log))]
    if not kept.size:
        return np.array([1.0, 10.0]) if log else np.array([0.0, 1.0])
    low, high = (
        (float(end) for end in np.percentile(kept, [RARE, 100 - RARE]))
        if kept.size > MANY
        else (float(kept.min()), float(kept.max()))
    )
    if not log and high - low <= WHOLE and bool((kept == np.round(kept)).all()):
        return np.asarray(np.arange(math.floor(low), math.ceil(high) + 2) - 0.5, np.float64)
    if log:
        low, high = math.log10(low), math.log10(high)
    if high - low <= 1e-9 * max(abs(high), 1.0):
        low, high = low - 0.5, high + 0.5
    bins = int(np.clip(2 * np.sqrt(kept.size), *BINS))
    edges = np.linspace(low, high, bins + 1)
    return np.asarray(10**edges if log else edges, np.float64)


def counts_of(values: ArrayLike, edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many values lie between edges; what is outside counts in the first and last bin."""
    found = np.asarray(values, np.float64)
    found = found[np.isfinite(found)]
    return np.histogram(np.clip(found, edges[0], edges[-1]), edges)[0]


class Distribution:
    """A histogram of all values and of some of them.

    Parameters
    ----------
    name
        Of its models.
    what
        What is counted: Images, Events or Pixels.
    choose
        Called with the ends of a range that was dragged; (None, None): all. None: nothing can be chosen.
    part
        What is in front, in words.
    """

    def __init__(
        self, name: str, what: str, choose: Callable[[float | None, float | None], None] | None = None, part: str = "Selected"
    ) -> None:  # fmt: skip
        tools = "reset,save" if choose else "pan,box_zoom,wheel_zoom,reset,save"
        self.figure = plot = blank("", what, tools=tools)
        plot.name = f"dl1-{name}"
        plot.x_range, plot.y_range = Range1d(0, 1), Range1d(0, 1)
        plot.yaxis.formatter, plot.xaxis.formatter = digits(), digits()
        plot.yaxis.ticker.desired_num_ticks = 3
        plot.xgrid.grid_line_color = None
        plot.title.visible = False
        columns: dict[str, Any] = {key: [] for key in ("left", "right", "every", "some", "text")}
        self.source = ColumnDataSource(columns, name=f"dl1-{name}")
        every = plot.quad(
            "left", "right", "every", 0, source=self.source, fill_color=MUTED, fill_alpha=0.35, line_color=None
        )
        plot.quad("left", "right", "some", 0, source=self.source, fill_color=ACCENT, fill_alpha=0.75, line_color=None)
        self._tips = [("", "@text"), ("All", "@every{0,0}"), (part, "@some{0,0}")]
        plot.add_tools(HoverTool(renderers=[every], mode="vline", tooltips=self._tips))
        shade = {"fill_color": MUTED, "fill_alpha": 0.22, "line_color": MUTED, "line_dash": "dashed", "visible": False}
        self._below, self._over = BoxAnnotation(**shade), BoxAnnotation(**shade)
        plot.add_layout(self._below)
        plot.add_layout(self._over)
        self._log = False
        self._choose = choose
        if choose:
            empty = plot.scatter("left", "left", source=ColumnDataSource({"left": []}))  # else bars would fade
            tool = BoxSelectTool(dimensions="width", description="Choose a range", renderers=[empty])
            plot.add_tools(tool)
            plot.toolbar.active_drag = tool
            plot.on_event(SelectionGeometry, self._selected)
            plot.on_event(Reset, lambda _: choose(None, None))

    def _selected(self, event: SelectionGeometry) -> None:
        geometry = event.geometry
        if not event.final or not isinstance(geometry, dict) or self._choose is None:
            return
        ends = [end for name in ("x0", "x1") if isinstance(end := geometry.get(name), int | float)]
        if len(ends) == 2 and all(map(math.isfinite, ends)) and ends[0] != ends[1]:
            self._choose(min(ends), max(ends))

    def show(self, every: ArrayLike, some: ArrayLike, named: Named) -> None:
        """Draw how often values occur: all of them, and those that count."""
        edges = edges_of([every], log=named.log)
        first, second = counts_of(every, edges), counts_of(some, edges)
        plot = self.figure
        if named.log != self._log:
            self._log = named.log
            set_scale(plot, "x", named.log)
        if plot.xaxis[0].axis_label != named.text:
            plot.xaxis[0].axis_label = named.text
        unit = f" {named.unit}" if named.unit else ""
        words = [f"{low:.4g} to {high:.4g}{unit}" for low, high in pairwise(edges)]
        columns = {"left": edges[:-1], "right": edges[1:], "every": first.astype(float), "some": second.astype(float)}
        push(self.source, columns | {"text": words})
        room = (edges[-1] / edges[0]) ** 0.02 if named.log else 0.02 * (edges[-1] - edges[0])
        sides = (edges[0] / room, edges[-1] * room) if named.log else (edges[0] - room, edges[-1] + room)
        top = above(max(float(first.max(initial=0)), 1.0))
        for span, ends in ((plot.x_range, sides), (plot.y_range, (0.0, top))):
            start, end = float(ends[0]), float(ends[1])
            if (span.reset_start, span.reset_end) != (start, end):
                span.update(start=start, end=end, reset_start=start, reset_end=end)

    def window(self, low: float | None, high: float | None) -> None:
        """Shade what is outside of a range."""
        for box, side, end in ((self._below, "right", low), (self._over, "left", high)):
            if getattr(box, side) != end or box.visible != (end is not None):
                box.update(**{side: end}, visible=end is not None)
