"""The panel with the results of each event, while the run is reduced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import panel as pn
import panel_material_ui as pmui
from typing_extensions import override

from dashboard.tabs.area.opening import options_of
from dashboard.tabs.area.panels import TIGHT, TOP, Now, Panel, button, digits
from dashboard.tabs.area.valuesjob import Values, source_of
from dashboard.tabs.parts import column, pane, text
from dashboard.tabs.plot import Line, Plot

EVENT = "event"
HOW = (
    "Press Reduce: the sums of the ROIs, the profile and all else that the setup asks for are worked out for each event of"
    " the run with this mask and this calibration, and drawn here while they come: against the event or against each other."
)


class ValuesPanel(Panel):
    """Any number of each event against the event or against another number."""

    def __init__(self, acts: Any) -> None:
        super().__init__()
        self._acts = acts
        self.values = Values(acts.session.refresh)
        small: dict[str, Any] = {"size": "small", "margin": (4, 4)}
        self._start = button(
            "Reduce", self._started, "all events with this setup", icon="play_arrow", variant="contained"
        )
        self._cancel = button("Cancel", lambda _: self.values.cancel(), icon="cancel", visible=False)
        self._keep = pmui.Checkbox(label="Write the small file", value=True, size="small", margin=(3, 4))
        self._y = pmui.Select(label="Value", options=[""], value="", width=210, **small)
        self._x = pmui.Select(label="against", options=[EVENT], value=EVENT, width=170, **small)
        self._y.param.watch(self._chosen, "value")
        self._x.param.watch(lambda _: acts.session.refresh(), "value")
        self._words = text()
        lines = [Line("values", ""), Line("dots", "", kind="points")]
        self.plot = Plot("Event", "Value", lines, prefix="area")
        self.plot.figure.name = "area-event-values"
        self._place = column(pane(self.plot.figure))
        self._place.visible = False  # an empty plot says nothing
        bar = pn.FlexBox(self._start, self._cancel, self._keep, self._y, self._x, **TIGHT)
        self.view = pn.Column(
            bar, self.error, self._words, self._place, sizing_mode="stretch_both", margin=0, styles=TOP
        )

    def close(self) -> None:
        """Stop, because the viewer has gone."""
        self.values.cancel()

    # --- what the viewer does

    def _started(self, _: object) -> None:
        acts, facts = self._acts, self._acts.work.facts
        if facts is None:
            self.complain("There are no frames yet: wait for them.")
            return
        output = None
        if self._keep.value:
            stem = Path(facts.paths[0]).name.split(".")[0][:60] or "run"
            output = acts.runtime.outputs / "area" / f"{stem}_{acts.desk.who}_reduced.h5"

        def begin() -> None:
            options = dict(options_of(acts.place, acts.desk.setup))
            source = source_of(facts, options, live=acts.place.live)
            self.values.start(source, lambda: acts.desk.setup, output)
            self.complain("")

        acts.act(begin, "values")

    def _chosen(self, event: Any) -> None:
        if not self.quiet:
            self._acts.want(value=str(event.new or "")[:120])

    # --- what is shown

    @override
    def show(self, now: Now) -> None:
        if now.look.value and now.look.value in self._y.options:
            self.quiet = True
            self._y.value = now.look.value
            self.quiet = False

    @override
    def fill(self, now: Now) -> None:
        values = self.values
        self.quiet = True
        self.report(values.problem)
        self._start.disabled, self._cancel.visible = values.running, values.running
        words = values.words or HOW
        if words != self._words.text:
            self._words.text = words
        keys = values.names()
        if keys and keys != self._y.options:
            wished = (
                now.look.value
                if now.look.value in keys
                else next((key for key in keys if key.endswith("sum")), keys[0])
            )
            self._y.param.update(options=keys, value=wished)
            self._x.param.update(options=[EVENT, *keys], value=self._x.value if self._x.value in keys else EVENT)
        self.quiet = False
        for part in (self._place, self._x, self._y):
            if part.visible != bool(keys):
                part.visible = bool(keys)
        if not keys:
            return
        self._draw(str(self._y.value), str(self._x.value))

    def _draw(self, key: str, against: str) -> None:
        events, y = self.values.series(key)
        plot = self.plot
        plot.name_axes("Event" if against == EVENT else against, key)
        if against == EVENT:
            plot.show("values", events, y)
            plot.show("dots", events, y)
        else:
            others, x = self.values.series(against)
            if len(others) != len(events):
                return  # one has come and the other not
            plot.hide("values")
            plot.show("dots", x, y)
        plot.fit()
        mean = float(y.mean()) if len(y) else None
        plot.title(f"{key} of {len(y):,} events, mean {digits(mean)}")
