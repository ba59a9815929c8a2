"""The panels below the map; each draws one side of the same results, and only while it is shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
import panel as pn
import panel_material_ui as pmui
from bokeh.events import Tap
from typing_extensions import override

from dashboard.tabs.parts import pane
from dashboard.views.bars import Bars
from dashboard.views.board import Board
from dashboard.views.heat import Heat, Picture, Scale
from dashboard.views.histogram import Histogram
from dashboard.views.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray
    from panel.viewable import Viewable

    from dashboard.tabs.occupancy.look import Look
    from dashboard.tabs.occupancy.results import Results


class Panel(ABC):
    """One of the panels."""

    view: Viewable

    @abstractmethod
    def fill(self, results: Results, look: Look, detector_id: int, words: str) -> None:
        """Draw results; `words` is the cut, to stand in titles."""


class Planes(Panel):
    """The plane board; a click on a tile selects the plane."""

    def __init__(self, select: Callable[[int, int], None]) -> None:
        self.board = Board()
        self.view = pane(self.board.figure)
        self._select = select
        self._shown: object = None
        self.board.figure.on_event(Tap, self._tapped)

    def _tapped(self, event: Tap) -> None:
        found = self.board.plane_at(event.x, event.y)
        if found:
            self._select(found, 0)

    @override
    def fill(self, results: Results, look: Look, detector_id: int, words: str) -> None:
        if (results.judgement, detector_id, words) == self._shown:
            return
        self._shown = (results.judgement, detector_id, words)
        states, reasons = results.states()
        self.board.show(results.columns, states, reasons, detector_id)
        ok = states.count("OK")
        self.board.figure.title.text = (
            f"{ok} of {len(states)} planes are OK{words}; hover for the reason, click for the plane"
        )


class Findings(Panel):
    """The list of what is wrong; a click on a row selects its channel."""

    def __init__(self, select: Callable[[int, int], None]) -> None:
        columns = {
            "detector": "Plane", "element_id": "Element", "finding": "Finding", "severity": "Severity", "significance": "Sigma",
            "reason": "Why",
        }  # fmt: skip
        widths = {"detector": 84, "element_id": 88, "finding": 116, "severity": 96, "significance": 84}
        self.table = Table(columns, widths=widths, on_click=self._clicked)
        self.view = pn.Column(self.table.widget, sizing_mode="stretch_both", margin=0)
        self._select = select
        self._rows: pd.DataFrame | None = None
        self._judgement: object = None

    def _clicked(self, number: int) -> None:
        if self._rows is not None and 0 <= number < len(self._rows):
            row = self._rows.iloc[number]
            self._select(int(row["detector_id"]), int(row["element_id"]))

    @override
    def fill(self, results: Results, look: Look, detector_id: int, words: str) -> None:
        if results.judgement is self._judgement:
            return
        self._judgement = results.judgement
        rows = results.findings
        order = rows["severity"].map({"ERROR": 0, "WARN": 1})
        self._rows = (
            rows.assign(order=order)
            .sort_values(["order", "detector_id", "element_id"], kind="stable")
            .reset_index(drop=True)
        )
        shown = self._rows.assign(
            element_id=self._rows["element_id"].map(lambda number: str(number) if number else "all")
        )
        self.table.show(shown.round({"significance": 1}))


class Events(Panel):
    """Hits per event."""

    def __init__(self, want: Callable[..., None]) -> None:
        self.histogram = Histogram("Hits in the event", "Events")
        self._switch = pmui.Checkbox(label="Logarithmic axes", value=True, size="small", margin=(2, 8))
        self._switch.param.watch(lambda event: want(loglog=bool(event.new)), "value")
        self.view = pn.Column(self._switch, pane(self.histogram.figure), sizing_mode="stretch_both", margin=0)

    @override
    def fill(self, results: Results, look: Look, detector_id: int, words: str) -> None:
        self._switch.value = look.loglog
        hits = results.array("hits_per_event")
        edges = event_edges(int(hits.max(initial=1)), log=look.loglog)
        counts = np.histogram(hits, edges)[0]
        mean, median = (float(hits.mean()), float(np.median(hits))) if hits.size else (None, None)
        zeros = int((hits == 0).sum())
        self.histogram.show(edges, counts, zeros, log_x=look.loglog, log_y=look.loglog, mean=mean, median=median)
        numbers = f", mean {mean:,.1f} (dashed), median {median:,.0f} (line)" if hits.size else ""
        self.histogram.figure.title.text = (
            f"Hits per event: {hits.size:,} events, {zeros:,} of them empty (grey){numbers}{words}"
        )


def event_edges(most: int, *, log: bool) -> NDArray[np.float64]:
    """Return at most about 80 bin edges at whole numbers from 1 to beyond `most`."""
    last = max(most, 1) + 1
    if log:
        return np.unique(np.round(np.geomspace(1, last, 70)))
    return np.arange(1, last + max(1, last // 80), max(1, last // 80), dtype=float)


class Spills(Panel):
    """Occupancy of every plane against spill (or file)."""

    def __init__(self, select: Callable[[int, int], None]) -> None:
        self.heat = Heat("Spill or file", "Plane", "")
        self._relative = pmui.Checkbox(label="Relative to the plane's mean", value=True, size="small", margin=(2, 8))
        self._relative.param.watch(lambda _: self._draw(), "value")
        self.view = pn.Column(self._relative, pane(self.heat.figure), sizing_mode="stretch_both", margin=0)
        self._select = select
        self._last: tuple[Results, int, str] | None = None
        self.heat.figure.on_event(Tap, self._tapped)

    def _tapped(self, event: Tap) -> None:
        if self._last and 0 <= (row := round(event.y)) < len(self._last[0].columns):
            self._select(self._last[0].columns[row].detector_id, 0)

    @override
    def fill(self, results: Results, look: Look, detector_id: int, words: str) -> None:
        self._last = (results, detector_id, words)
        self._draw()

    def _draw(self) -> None:
        if self._last is None:
            return
        results, detector_id, words = self._last
        columns = results.columns
        order = np.searchsorted(results.array("detector_id"), [column.detector_id for column in columns])
        rate = (results.array("trend") / np.maximum(results.array("trend_events"), 1)[:, None]).T[order]
        relative = bool(self._relative.value)
        if relative:
            mean = rate.sum(axis=1, keepdims=True) / max(rate.shape[1], 1)
            rate = np.divide(rate, mean, out=np.zeros_like(rate), where=mean > 0)
        ends: dict[str, list[int]] = {}
        for number, column in enumerate(columns):
            ends.setdefault(column.group, []).append(number)
        headings = tuple((sum(rows) / len(rows), columns[rows[0]].label) for rows in ends.values())
        names = tuple(str(label) for label in results.array("slice"))
        self.heat.show(
            rate, Scale(names=names), Scale(names=tuple(column.name for column in columns), headings=headings),
            label="Relative to mean" if relative else "Hits per event", about_one=relative,
        )  # fmt: skip
        chosen = next((n for n, column in enumerate(columns) if column.detector_id == detector_id), None)
        if chosen is not None:
            self.heat.frame(-0.5, len(names) - 0.5, chosen - 0.5, chosen + 0.5)
        self.heat.figure.title.text = f"Hits per event of each plane along {len(names)} spills or files{words}"


class Triggers(Panel):
    """Trigger-bit counts and the pair correlation of the H4 paddles."""

    def __init__(self) -> None:
        self.bars = Bars("Trigger bit", "Events")
        self.pairs: list[Heat] = []
        self._row = pn.Row(sizing_mode="stretch_both", margin=0, styles={"flex": "3 1 0"})
        self.view = pn.Row(
            pn.Column(pane(self.bars.figure), sizing_mode="stretch_both", margin=0, styles={"flex": "1 1 0"}),
            self._row,
            sizing_mode="stretch_both",
            margin=0,
        )

    @override
    def fill(self, results: Results, look: Look, detector_id: int, words: str) -> None:
        data = results.data
        if "trigger_bits" in data:
            self.bars.show([str(bit) for bit in results.array("bit")], results.array("trigger_bits"))
            self.bars.figure.title.text = f"Trigger bits{words}"
        else:
            self.bars.show([], [])
            self.bars.figure.title.text = "The files have no trigger bits"
        names = [str(name) for name in results.array("pair")]
        if len(self.pairs) != len(names):
            ends = [name.partition("-")[::2] for name in names]
            self.pairs = [Heat(f"{b} element", f"{a} element", "Events") for a, b in ends]
            self._row[:] = [pane(heat.figure) for heat in self.pairs]
        pictures = results.once("h4", lambda: [Picture.of(values) for values in results.array("h4_pairs")])
        for heat, name, picture in zip(self.pairs, names, pictures, strict=True):
            heat.show(picture, Scale(0.5, 1.0), Scale(0.5, 1.0))
            heat.figure.title.text = f"{name}: both fired"
