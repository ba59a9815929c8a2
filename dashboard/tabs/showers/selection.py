"""Which incident particles count: by energy, type and angle, over histograms that follow each other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import panel as pn
import panel_material_ui as pmui
from bokeh.events import Reset, SelectionGeometry
from bokeh.models import BoxAnnotation, BoxSelectTool, ColumnDataSource, HoverTool, Range1d

from dashboard.tabs.fields import NumberField
from dashboard.tabs.parts import COMPACT, column, pane, text
from dashboard.tabs.showers.look import SAMPLES, particle
from dashboard.views.push import push
from dashboard.views.style import MUTED, above, blank, digits
from dashboard.views.trace import COLOURS
from detcore import showers
from detcore.core.parameters import InvalidParameters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

BINS = 48
MARGIN = 0.02
LIMITS = {"energy_min": "E ≥ (GeV)", "energy_max": "E ≤ (GeV)", "angle_min": "θ ≥ (°)", "angle_max": "θ ≤ (°)"}


@dataclass(frozen=True, eq=False)
class Incident:
    """The incident particles of one file: energies (shower,) in GeV, directions (shower, 3), PDG codes (shower,)."""

    energy: NDArray[np.float64]
    direction: NDArray[np.float64]
    pdg: NDArray[np.int32]

    @cached_property
    def angle(self) -> NDArray[np.float64]:
        """Angle to the axis, degrees."""
        return showers.angle(self.direction)

    def passes(self, cuts: showers.Selection, *, but: str = "") -> NDArray[np.bool_]:
        """Return which pass a selection, without its condition on `but`: energy or angle."""
        free = dict.fromkeys((f"{but}_min", f"{but}_max")) if but else {}
        values = {name: getattr(cuts, name) for name in showers.Selection.model_fields} | free
        return showers.Selection(**values).chosen(self.energy, self.direction, self.pdg)


class RangeHistogram:
    """A histogram on which a range is chosen by dragging over it; a double click or Reset takes all.

    Parameters
    ----------
    name
        Of its models.
    label
        What is counted, with the unit.
    choose
        Called with the ends of the range; (None, None): all.
    """

    def __init__(self, name: str, label: str, choose: Callable[[float | None, float | None], None]) -> None:
        self._choose = choose
        self.figure = plot = blank(label, "Showers", tools="reset,save")
        plot.name = f"showers-{name}"
        plot.x_range, plot.y_range = Range1d(0, 1), Range1d(0, 1)
        plot.yaxis.formatter = digits()
        plot.yaxis.ticker.desired_num_ticks = 3
        plot.xgrid.grid_line_color = None
        plot.title.visible = False
        self.all = ColumnDataSource({"left": [], "right": [], "top": []}, name=f"showers-{name}-all")
        grey = plot.quad("left", "right", "top", 0, source=self.all, fill_color=MUTED, fill_alpha=0.35, line_color=None)
        self.sources = []
        for number in range(SAMPLES):
            source = ColumnDataSource({"x": [], "y": []}, name=f"showers-{name}-{number}")
            plot.step("x", "y", source=source, mode="after", line_color=COLOURS[number], line_width=1.8)
            self.sources.append(source)
        plot.add_tools(
            HoverTool(
                renderers=[grey],
                mode="vline",
                tooltips=[(label, "@left{0.[00]} to @right{0.[00]}"), ("All", "@top{0,0}")],
            )
        )
        self._tool = BoxSelectTool(dimensions="width", description="Choose a range")
        plot.add_tools(self._tool)
        plot.toolbar.active_drag = self._tool
        shade = {"fill_color": MUTED, "fill_alpha": 0.22, "line_color": MUTED, "line_dash": "dashed", "visible": False}
        self._below, self._over = BoxAnnotation(**shade), BoxAnnotation(**shade)
        plot.add_layout(self._below)
        plot.add_layout(self._over)
        plot.on_event(SelectionGeometry, self._selected)
        plot.on_event(Reset, lambda _: choose(None, None))

    def _selected(self, event: SelectionGeometry) -> None:
        geometry = event.geometry
        if not event.final or not isinstance(geometry, dict):
            return
        ends = [end for name in ("x0", "x1") if isinstance(end := geometry.get(name), int | float)]
        if len(ends) == 2 and all(map(math.isfinite, ends)):
            low, high = sorted(ends)
            if high > low:
                self._choose(max(0.0, low), high)

    def show(self, edges: NDArray[np.float64], every: NDArray[np.int64], passing: Sequence[NDArray[np.int64]]) -> None:
        """Draw counts between edges: of all showers, and of those of each file that pass the other conditions."""
        push(self.all, {"left": edges[:-1], "right": edges[1:], "top": every.astype(float)})
        for number, source in enumerate(self.sources):
            counts = passing[number] if number < len(passing) else np.zeros(0)
            drawn = np.concatenate([[0.0], counts.astype(float), [0.0]]) if len(counts) else counts
            places = np.concatenate([edges[:1], edges]) if len(counts) else counts
            push(source, {"x": places, "y": drawn})
        room = MARGIN * float(edges[-1] - edges[0])
        top = above(max(float(every.max(initial=0)), 1.0))
        for span, start, end in (
            (self.figure.x_range, float(edges[0]) - room, float(edges[-1]) + room),
            (self.figure.y_range, 0.0, top),
        ):
            if (span.reset_start, span.reset_end) != (start, end):
                span.update(start=start, end=end, reset_start=start, reset_end=end)

    def window(self, low: float | None, high: float | None) -> None:
        """Shade what is outside of a range."""
        for box, side, end in ((self._below, "right", low), (self._over, "left", high)):
            if getattr(box, side) != end or box.visible != (end is not None):
                box.update(**{side: end}, visible=end is not None)


class SelectionPanel:
    """Two histograms with their ranges, and the types of particles.

    Parameters
    ----------
    cut
        Called with the changed `Cuts`.
    cuts
        What is selected at first.
    """

    def __init__(self, cut: Callable[[showers.Cuts], None], cuts: showers.Cuts) -> None:
        self._cut, self._now, self._quiet = cut, cuts, False
        self.energy = RangeHistogram(
            "energy", "Incident energy (GeV)", lambda low, high: self._range("energy", low, high)
        )
        self.theta = RangeHistogram("angle", "Angle to the axis (°)", lambda low, high: self._range("angle", low, high))
        self._numbers = {
            name: NumberField(label, partial(self._typed, name), self._complain) for name, label in LIMITS.items()
        }
        self._types = pmui.CheckButtonGroup(options=[], value=[], **COMPACT)
        self._types.param.watch(lambda event: self._changed(pdg=tuple(event.new)), "value")
        self._every = pmui.Button(label="All", variant="text", on_click=lambda _: self._all(), visible=False, **COMPACT)
        self._error = text(color="#d93636")
        self._error.visible = False
        bar = pn.FlexBox(
            self._types,
            *(field.widget for field in self._numbers.values()),
            self._every,
            sizing_mode="stretch_width",
            margin=0,
            align_items="center",
        )
        plots = pn.Row(
            column(pane(self.energy.figure)), column(pane(self.theta.figure)), sizing_mode="stretch_both", margin=0
        )
        self.view = pn.Column(bar, self._error, plots, sizing_mode="stretch_both", margin=0)

    def _range(self, name: str, low: float | None, high: float | None) -> None:
        ends = {
            f"{name}_{side}": None if end is None else float(f"{end:.4g}")
            for side, end in (("min", low), ("max", high))
        }
        self._changed(**ends)

    def _all(self) -> None:
        self._changed(energy_min=None, energy_max=None, angle_min=None, angle_max=None, pdg=())

    def _typed(self, name: str, value: float | None) -> None:
        self._changed(**{name: value})

    def _changed(self, **values: Any) -> None:
        if self._quiet:
            return
        try:
            cuts = showers.Cuts.checked(dict(self._now) | values)
        except InvalidParameters as error:
            self._complain(str(error))
            return
        self._error.visible = False
        self._cut(cuts)

    def _complain(self, words: str) -> None:
        self._error.param.update(text=words, visible=True)

    def show(self, cuts: showers.Cuts) -> None:
        """Show what is selected now."""
        self._now, self._quiet = cuts, True
        changed = cuts.changed()
        for name, field in self._numbers.items():
            field.show(changed.get(name))
        self._types.value = (
            [code for code in cuts.pdg if code in self._types.options.values()] if self._types.options else []
        )
        self._every.visible = any(name in changed for name in (*self._numbers, "pdg"))
        self._error.visible = False
        self._quiet = False
        self.energy.window(changed.get("energy_min"), changed.get("energy_max"))
        self.theta.window(changed.get("angle_min"), changed.get("angle_max"))

    def fill(self, incident: Sequence[Incident], cuts: showers.Cuts) -> None:
        """Draw the particles of each file."""
        codes = sorted(
            {int(code) for one in incident for code in np.unique(one.pdg)}, key=lambda code: (abs(code), -code)
        )
        options = {particle(code): code for code in codes}
        if options != self._types.options:
            self._quiet = True
            self._types.param.update(options=options, value=[code for code in cuts.pdg if code in codes])
            self._quiet = False
        for name, plot in (("energy", self.energy), ("angle", self.theta)):
            values = [getattr(one, name) for one in incident]
            edges = edges_of(values)
            every = sum((np.histogram(one, edges)[0] for one in values), np.zeros(len(edges) - 1, np.int64))
            passing = [
                np.histogram(one[data.passes(cuts, but=name)], edges)[0]
                for one, data in zip(values, incident, strict=True)
            ]
            plot.show(edges, every, passing)


def edges_of(values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return edges of bins that hold all values; a single value gets some room.

    Examples
    --------
    >>> edges_of([np.array([10.0, 58.0])])[[0, 1, -1]].tolist()
    [10.0, 11.0, 58.0]
    """
    kept = np.concatenate([np.zeros(0), *values])
    kept = kept[np.isfinite(kept)]
    if not kept.size:
        return np.linspace(0.0, 1.0, 3)
    low, high = float(kept.min()), float(kept.max())
    if high - low <= 1e-6 * max(abs(high), 1.0):
        room = max(0.1 * abs(high), 0.5)
        low, high = max(0.0, low - room), high + room
    return np.linspace(low, high, BINS + 1)
