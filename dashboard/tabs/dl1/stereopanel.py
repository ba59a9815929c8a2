"""Directions and impact points of all events with two images or more that count, against the simulated ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import panel as pn
from typing_extensions import override

from dashboard.tabs.background import Latest
from dashboard.tabs.dl1.distributions import Distribution
from dashboard.tabs.dl1.look import Named, digits
from dashboard.tabs.dl1.panels import Memory, Panel
from dashboard.tabs.dl1.results import STEREO, stereo_of
from dashboard.tabs.parts import column, pane, text
from dashboard.tabs.plot import Line, Plot
from dashboard.views.style import ACCENT, EXPECTED, MUTED
from dashboard.views.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dashboard.tabs.dl1.panels import Now
    from dashboard.tabs.dl1.results import Results

ROWS = 300  # of the list
COLUMNS = {
    "event_id": "Event", "true_energy": "E (TeV)", "alt": "Alt (deg)", "az": "Az (deg)", "direction_error": "Off (deg)",
    "core_error": "Off (m)",
}  # fmt: skip
ANGLE, PLACE = Named("Direction off by", "deg", log=True), Named("Impact point off by", "m", log=True)


class StereoPanel(Panel):
    """How far off the directions and the impact points are, where these are, and the list of events.

    Parameters
    ----------
    want
        Called with changed fields of `Look`.
    ready
        Called, from any thread, when the directions have been found.
    """

    def __init__(self, want: Callable[..., None], ready: Callable[[], None]) -> None:
        self._want = want
        self._work: Latest[pd.DataFrame] = Latest(STEREO, ready)
        self._drawn, self._marked = Memory(), Memory()
        self._rows: pd.DataFrame | None = None
        self._words = text()
        self.angle, self.place = Distribution("direction-error", "Events"), Distribution("core-error", "Events")
        points = [Line("events", "events", ACCENT, "points"), Line("this", "this event", EXPECTED, "points")]
        self.energy = Plot("True energy (TeV)", ANGLE.text, points, log_x=True, log_y=True, prefix="dl1-stereo")
        lines = [
            Line("miss", "from true to found", MUTED, "line"),
            Line("true", "true", EXPECTED, "points"),
            Line("found", "reconstructed", ACCENT, "points"),
        ]
        self.plan = Plot("Impact x, to the north (m)", "Impact y, to the west (m)", lines, prefix="dl1-cores")
        self.energy.figure.name, self.plan.figure.name = "dl1-stereo", "dl1-cores"
        self.table = Table(COLUMNS, on_click=self._clicked)
        self._errors = pn.Row(
            column(pane(self.angle.figure)), column(pane(self.place.figure)), sizing_mode="stretch_both", margin=0,
            styles={"flex": "2 1 0"},
        )  # fmt: skip
        self._energy = column(pane(self.energy.figure))
        plots = pn.Row(
            self._energy, column(pane(self.plan.figure)), sizing_mode="stretch_both", margin=0, styles={"flex": "3 1 0"}
        )
        lower = column(self.table.widget, flex="2 1 0")
        self.view = pn.Column(self._words, self._errors, plots, lower, sizing_mode="stretch_both", margin=0)

    def _clicked(self, row: int) -> None:
        if self._rows is not None and 0 <= row < len(self._rows):
            event = self._rows.iloc[row]
            self._want(obs=int(event["obs_id"]), event=int(event["event_id"]))

    @override
    def fill(self, now: Now) -> None:
        results = now.results
        if results is None:
            return
        try:
            # the key holds the results themselves: their id could come again
            found = self._work.ask(("stereo", results), lambda: stereo_of(results))
        except (OSError, ValueError, KeyError) as error:
            self._say(str(error))
            return
        if found is None:
            self._say("Finding directions …")
            return
        if self._drawn.new(found):
            self._draw(results, found)
        if self._marked.new(found, now.event) and "direction_error" in found:
            event = now.event
            mine = (
                (found["obs_id"] == event.obs_id) & (found["event_id"] == event.event_id) if event is not None else [False] * len(found)
            )  # fmt: skip
            self.energy.show("this", found.loc[mine, "true_energy"], found.loc[mine, "direction_error"])

    def _draw(self, results: Results, found: pd.DataFrame) -> None:
        simulated = "direction_error" in found
        self._errors.visible = self._energy.visible = simulated
        none = "; none has two images that count and a pointing" if not len(found) else ""
        self._say(
            f"{len(found):,} directions of {len(results.places):,} events{none}. A click in the list shows the event."
        )
        names = [f"event {event}" for event in found["event_id"]]
        x, y = found["core_x"].to_numpy(float), found["core_y"].to_numpy(float)
        if simulated:
            wrong, away = found["direction_error"].to_numpy(float), found["core_error"].to_numpy(float)
            self.angle.show(wrong, wrong, ANGLE)
            self.place.show(away, away, PLACE)
            self.energy.show("events", found["true_energy"], wrong, names)
            self.energy.title("Direction against energy")
            self.energy.fit()
            true_x, true_y = (found[f"true_core_{axis}"].to_numpy(float) for axis in "xy")
            self.plan.show("true", true_x, true_y, names)
            self.plan.show("miss", _joined(true_x, x), _joined(true_y, y))
        else:
            self.plan.hide("true", "miss")
        self.plan.show("found", x, y, names)
        self.plan.title("Impact points")
        self.plan.fit()
        self._rows = found.iloc[:ROWS]
        shown = {name: list(map(digits, self._rows[name])) if name in self._rows else "" for name in COLUMNS}
        shown["event_id"] = [str(value) for value in self._rows["event_id"]]
        self.table.show(pd.DataFrame(shown, index=range(len(self._rows))))

    def _say(self, words: str) -> None:
        if self._words.text != words:
            self._words.text = words


def _joined(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a broken line that joins points in pairs."""
    return np.column_stack([start, end, np.full(len(start), np.nan)]).ravel()
