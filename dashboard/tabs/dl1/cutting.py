"""How images are cleaned, and which of them count: applied at once to the event that is shown, then to all."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import panel as pn
import panel_material_ui as pmui
from typing_extensions import override

from dashboard.tabs.dl1.distributions import Distribution
from dashboard.tabs.dl1.look import AXES, Named, particle
from dashboard.tabs.dl1.panels import Memory, Panel
from dashboard.tabs.fields import NumberField
from dashboard.tabs.parts import COMPACT, column, pane, text
from detcore import dl1
from detcore.core.parameters import InvalidParameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboard.tabs.dl1.look import Look
    from dashboard.tabs.dl1.panels import Now

SLIDERS = {  # field of the cuts -> label, first, last, step
    "picture": ("Picture threshold (p.e.)", 0.0, 50.0, 0.5),
    "boundary": ("Boundary threshold (p.e.)", 0.0, 50.0, 0.5),
    "min_neighbors": ("Picture neighbours", 0, 6, 1),
}
WHOLE = {"min_pixels", "multiplicity_min", "multiplicity_max"}
IMAGES = {
    "time_limit": ("Within (ns)", "any time"),
    "min_intensity": ("Size ≥ (p.e.)", "all"),
    "min_pixels": ("Pixels ≥", "all"),
}
EVENTS = {
    "energy_min": ("E ≥ (TeV)", "all"), "energy_max": ("E ≤ (TeV)", "all"), "multiplicity_min": ("Multiplicity ≥", "all"),
    "multiplicity_max": ("Multiplicity ≤", "all"),
}  # fmt: skip
HEADING = {"font-weight": "600", "opacity": "0.85"}
EXAMPLE = "(hillas_width < 0.2) & (leakage_intensity_width_2 < 0.1)"


class CutsPanel(Panel):
    """Sliders of the cleaning, fields of the cuts, and the distributions of what there is.

    Parameters
    ----------
    cut
        Called with the changed `Cuts`.
    tried
        Called with the `Cuts` of a slider that is still being dragged.
    cuts
        What is cut at first.
    """

    def __init__(self, cut: Callable[[dl1.Cuts], None], tried: Callable[[dl1.Cuts], None], cuts: dl1.Cuts) -> None:
        self._cut, self._tried, self._now, self._quiet = cut, tried, cuts, False
        self._drawn = Memory()
        self._moving: dict[str, float] = {}  # sliders that are not let go yet
        self._kinds = pmui.RadioButtonGroup(
            options={"Tail-cuts": "tailcuts", "The file's own": "file", "None": "none"}, value="tailcuts", **COMPACT
        )
        self._kinds.param.watch(lambda event: self._changed(cleaning=event.new), "value")
        self.sliders: dict[str, Any] = {name: self._slider(name) for name in SLIDERS}
        self._main = pmui.Checkbox(label="main island only", value=False, size="small", margin=(3, 4))
        self._main.param.watch(lambda event: self._changed(main_island=bool(event.new)), "value")
        self._numbers = {
            name: NumberField(label, partial(self._typed, name), self._complain, empty=empty, width=126)
            for name, (label, empty) in (IMAGES | EVENTS).items()
        }
        self._particles = pmui.CheckButtonGroup(options=[], value=[], **COMPACT)
        self._particles.param.watch(lambda event: self._changed(particle=tuple(event.new)), "value")
        self._expression = pmui.TextInput(
            label="Condition on the parameters", value="", placeholder=EXAMPLE, size="small", margin=(6, 4), max_length=400,
            sizing_mode="stretch_width",
        )  # fmt: skip
        self._expression.param.watch(lambda event: self._changed(expression=str(event.new or "").strip()), "value")
        self._reset = pmui.Button(
            label="Reset", icon="restart_alt", variant="text", visible=False, on_click=lambda _: self._all(), **COMPACT
        )  # fmt: skip
        self._error = text(color="#d93636")
        self._error.visible = False
        self.energy = Distribution("energy", "Events", partial(self._range, "energy"), "Selected")
        self.multiplicity = Distribution("multiplicity", "Events", partial(self._range, "multiplicity"), "Selected")
        self._energy = column(pane(self.energy.figure), flex="3 1 0")
        plots = pn.Row(
            self._energy, column(pane(self.multiplicity.figure), flex="2 1 0"), sizing_mode="stretch_both", margin=0,
            styles={"flex": "1 1 0", "min-height": "150px"},
        )  # fmt: skip
        row: dict[str, Any] = {"sizing_mode": "stretch_width", "margin": 0, "align_items": "center"}
        self.view = pn.Column(
            pn.FlexBox(self._heading("Cleaning"), self._kinds, self._main, self._numbers["time_limit"].widget, self._reset, **row),
            pn.FlexBox(*self.sliders.values(), **row),
            pn.FlexBox(
                self._heading("Images"), *(self._numbers[name].widget for name in ("min_intensity", "min_pixels")), **row
            ),
            self._expression,
            pn.FlexBox(self._heading("Events"), self._particles, *(self._numbers[name].widget for name in EVENTS), **row),
            self._error, plots, sizing_mode="stretch_both", margin=0,
        )  # fmt: skip

    @staticmethod
    def _heading(words: str) -> Any:
        place = text(**HEADING)
        place.param.update(text=words, sizing_mode="fixed", width=74, margin=(6, 4, 6, 8))
        return place

    def _slider(self, name: str) -> Any:
        label, start, end, step = SLIDERS[name]
        kind = pmui.IntSlider if isinstance(step, int) else pmui.FloatSlider
        slider = kind(
            label=label, start=start, end=end, step=step, value=getattr(self._now, name), width=230, size="small", margin=(2, 14),
        )  # fmt: skip
        slider.param.watch(lambda event: self._slid(name, event.new), "value")
        slider.param.watch(lambda event: self._let_go(name, event.new), "value_throttled")
        return slider

    # --- what the viewer does

    def _all(self) -> None:
        self._moving.clear()
        self._cut(dl1.Cuts())

    def _slid(self, name: str, value: float) -> None:
        """Show what a slider does to the event while it is dragged."""
        if not self._quiet and value != getattr(self._now, name):
            self._moving[name] = value
            try:
                self._tried(dl1.Cuts.checked(dict(self._now) | {name: value}))
            except InvalidParameters as error:
                self._complain(str(error))

    def _let_go(self, name: str, value: float | None) -> None:
        if value is not None and not self._quiet:
            self._moving.pop(name, None)
            self._changed(**{name: value})

    def _typed(self, name: str, value: float | None) -> None:
        if value is not None and name in WHOLE:
            if value != int(value):
                self._complain(f"{(IMAGES | EVENTS)[name][0]}: expected a whole number, found {value:g}")
                return
            value = int(value)
        self._changed(**{name: value})

    def _range(self, name: str, low: float | None, high: float | None) -> None:
        whole = f"{name}_min" in WHOLE
        ends: dict[str, float | None] = {}
        for side, end in (("min", low), ("max", high)):
            if end is None:
                ends[f"{name}_{side}"] = None
            elif whole:
                ends[f"{name}_{side}"] = max(0, int(np.ceil(end) if side == "min" else np.floor(end)))
            else:
                ends[f"{name}_{side}"] = max(0.0, float(f"{end:.4g}"))
        self._changed(**ends)

    def _changed(self, **values: Any) -> None:
        if self._quiet:
            return
        defaults = {name: field.get_default(call_default_factory=True) for name, field in dl1.Cuts.model_fields.items()}
        wanted = {name: defaults[name] if value is None else value for name, value in values.items()}
        try:
            cuts = dl1.Cuts.checked(dict(self._now) | wanted)
        except InvalidParameters as error:
            self._complain(str(error))
            return
        self._error.visible = False
        self._cut(cuts)

    def _complain(self, words: str) -> None:
        self._error.param.update(text=words, visible=True)

    # --- what is shown

    @override
    def show(self, look: Look, cuts: dl1.Cuts) -> None:
        self._now, self._quiet = cuts, True
        changed = cuts.changed()
        self._kinds.value = cuts.cleaning
        self._main.value = cuts.main_island
        for name, slider in self.sliders.items():
            value = getattr(cuts, name)
            slider.end = max(slider.end, value)
            if name in self._moving:  # else it would jump back under the mouse
                value = self._moving[name]
            slider.param.update(value=value, disabled=cuts.cleaning != "tailcuts")
        for name, number in self._numbers.items():
            number.show(changed.get(name))
        self._particles.value = [code for code in cuts.particle if code in self._codes()]
        self._expression.value = cuts.expression
        self._reset.visible = bool(changed)
        self._error.visible = False
        self._quiet = False
        self.energy.window(changed.get("energy_min"), changed.get("energy_max"))
        self.multiplicity.window(changed.get("multiplicity_min"), changed.get("multiplicity_max"))

    def _codes(self) -> list[int]:
        return list(self._particles.options.values()) if self._particles.options else []

    @override
    def fill(self, now: Now) -> None:
        events, results = now.facts.events, now.results
        if not self._drawn.new(now.facts, results):
            return
        places = results.places if results is not None else np.zeros(0, np.int64)
        label = Named("Telescopes of the event")
        values = events["multiplicity"].to_numpy(float)
        self.multiplicity.show(values, values[places], label)
        simulated = now.facts.simulated
        self._energy.visible = simulated
        if simulated:
            values = events["true_energy"].to_numpy(float)
            self.energy.show(values, values[places], AXES["true_energy"])
        codes = sorted({int(code) for code in events["true_shower_primary_id"].unique()} - {-9999}) if simulated else []
        options = {particle(code): code for code in codes}
        if options != (self._particles.options or {}):
            self._quiet = True
            self._particles.param.update(options=options, value=[code for code in now.cuts.particle if code in codes])
            self._quiet = False
