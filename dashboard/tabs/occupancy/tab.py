"""Station occupancy: the map of all channels, what is wrong with them, and everything about the one that is selected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import panel as pn
from typing_extensions import override

from dashboard.feeds import FeedRequest
from dashboard.tabs.background import Latest, Shared
from dashboard.tabs.base import BaseTab
from dashboard.tabs.occupancy.controls import Controls, ViewBar
from dashboard.tabs.occupancy.events import Display, Drift
from dashboard.tabs.occupancy.look import COUNTS, PANELS, Look, Place
from dashboard.tabs.occupancy.map import Beside, Headline, MapPanel
from dashboard.tabs.occupancy.panels import Events, Findings, Panel, Planes, Spills, Triggers
from dashboard.tabs.occupancy.results import RESULTS, Results, compute
from dashboard.tabs.parts import pane
from dashboard.views.board import Board
from dashboard.views.push import Parcel
from detcore import occupancy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import xarray as xr
    from panel.viewable import Viewable

    from dashboard.runtime import Runtime
    from dashboard.session import Session
    from detcore.core.run import Snapshot

EARLIER: Shared[xr.Dataset] = Shared(8)


class Tab(BaseTab):
    """The tab of one viewer; see `dashboard.tabs.base.BaseTab`."""

    title = "Station occupancy"
    name, names, endings = "occupancy", PANELS, (".root",)
    models = (Place, occupancy.Filters, Look)

    def __init__(self, session: Session, runtime: Runtime, query: Mapping[str, str], wall: bool) -> None:
        super().__init__(session, runtime, query, wall)
        self._keys: tuple[str, ...] = ()
        self._asked: object = None
        self._whole, self._turn = True, 0
        self._counted: str | None = None
        self._earlier: Latest[xr.Dataset] = Latest(EARLIER, session.refresh)
        self._work: Latest[Results] = Latest(RESULTS, session.refresh)

    # --- what is wanted

    def select(self, detector_id: int, element_id: int) -> None:
        """Select a channel, or with element 0 a whole detector."""
        self.want(detector=detector_id, element=element_id)

    # --- the protocol

    def feeds(self) -> tuple[str, ...]:
        """Return the keys of the data and of the reference."""
        asked = (self.place, self.cuts, self.paths())
        if asked != self._asked:
            self._asked = asked
            self._keys = self._open()
        return self._keys

    def _open(self) -> tuple[str, ...]:
        keys = []
        wanted = [(self.paths(), self.place.live)]
        self._counted = None
        if self.place.reference.lower().endswith(COUNTS):
            self._counted = self.place.reference
        elif self.place.reference:
            wanted.append((tuple(self.place.reference.split("|")), False))
        for paths, live in wanted:
            if not paths:
                return ()
            try:
                self.cuts.steps(occupancy.DetectorTable.default())
                keys.append(self.runtime.feeds.open(FeedRequest(self.name, paths, live, self.cuts)))
            except (PermissionError, ValueError) as error:
                self.session.notify(str(error), "error")
                break
        return tuple(keys)

    # --- the view

    def view(self) -> Viewable:
        """Build the tab."""
        self.headline = Headline(wall=self.wall)
        self.map = MapPanel(self.select, wall=self.wall)
        self._parcel = Parcel(self.map.map.figure)
        self.begin()
        return self._wall_view() if self.wall else self._full_view()

    def _wall_view(self) -> Viewable:
        self.board = Board(wall=True)
        places = ((self.map.pane, "5 1 0"), (pane(self.board.figure), "2 1 0"))
        columns = [pn.Column(one, sizing_mode="stretch_both", margin=0, styles={"flex": flex}) for one, flex in places]
        body = pn.Row(*columns, sizing_mode="stretch_both", margin=0)
        return pn.Column(self.headline.pane, self.message, body, sizing_mode="stretch_both", margin=(0, 10))

    def _full_view(self) -> Viewable:
        self.bar = ViewBar(self.want)
        self.controls = Controls(self)
        self.beside = Beside(self.select, wall=False)
        lower = self.lower_tabs(flex="4 1 0")
        self.map.pane.styles = {"flex": "5 1 0"}
        top = pn.Row(
            self.choose("Data", "folder_open", "path"), self.choose("Reference", "compare", "reference"),
            self.toggle("Cuts, export", "tune"), self.headline.pane, self.dialogs, sizing_mode="stretch_width", margin=0,
        )  # fmt: skip
        left = pn.Column(
            self.bar.view, self.map.pane, lower, sizing_mode="stretch_both", margin=0, styles={"flex": "5 1 0"}
        )
        right = pn.Column(self.beside.view, sizing_mode="stretch_both", margin=0, styles={"flex": "2 1 0"})
        main = pn.Row(self.controls.view, left, right, sizing_mode="stretch_both", margin=0)
        return pn.Column(top, self.message, main, sizing_mode="stretch_both", margin=(0, 8))

    @override
    def endings_of(self, role: str) -> tuple[str, ...]:
        """Return the endings of the files that can be chosen for a role."""
        return (*self.endings, *COUNTS) if role == "reference" else self.endings

    @override
    def makers(self) -> dict[str, Callable[[], Panel]]:
        """Return how each panel is built."""
        return {
            "planes": lambda: Planes(self.select),
            "findings": lambda: Findings(self.select),
            "events": lambda: Events(self.want),
            "spills": lambda: Spills(self.select),
            "triggers": Triggers,
            "drift": lambda: Drift(self.session.refresh, lambda: (self.paths(), self.cuts)),
            "display": lambda: Display(self.want, self.session.refresh, self._displays),
        }

    def _displays(self) -> bool:
        return self.session.tab is self and self.look.panel == "display"

    def update(self, snapshots: Mapping[str, Snapshot]) -> None:
        """Show the newest snapshots and what was wished since."""
        if not self.wall:
            self._show_wishes()
        keys = self._keys
        snapshot = snapshots.get(keys[0]) if keys else None
        if snapshot is None or "hits" not in snapshot.data:
            self.say(self._why(snapshot))
            return
        self.say("")
        there = self._reference(snapshots)
        view = self.look.value if self.look.value != "ratio" or there is not None else "hits"
        final = snapshot.status != "running"
        results = self._work.ask(
            (id(snapshot.data), id(there), view), lambda: compute(keys[0], snapshot.data, there, view, final=final)
        )
        if results is not None:
            with self._parcel.packing():
                self._draw(results, view, whole=self._whole or final)
            self._whole = False

    def _reference(self, snapshots: Mapping[str, Snapshot]) -> xr.Dataset | None:
        """Return what is compared with, if it is there: the counts of a feed, or those of an earlier result's file."""
        if self._counted is None:
            found = snapshots.get(self._keys[1]) if len(self._keys) > 1 else None
            return found.data if found is not None and "hits" in found.data else None
        try:
            path = self.runtime.roots.resolve(self._counted)
            return self._earlier.ask(
                (path, path.stat().st_mtime_ns), lambda: occupancy.read_hits(path, occupancy.DetectorTable.default())
            )
        except (OSError, ValueError) as error:
            self.session.notify(f"reference: {error}", "error")
            self._counted = None  # told once
            return None

    def _show_wishes(self) -> None:
        """Bring the widgets to what is wished."""
        if not self.news():
            return
        self._whole = True
        self.controls.show(self.place, self.cuts, open_=self.look.controls)
        self.bar.show(self.look, reference=bool(self.place.reference))
        # the event display has the axes of the map and takes its place
        self.map.pane.visible = self.bar.view.visible = self.look.panel != "display"

    def _why(self, snapshot: Snapshot | None) -> str:
        if not self._keys:
            return (
                ""
                if not self.runtime.ready.is_set()
                else "Nothing is chosen: take files or a run with the button Data."
            )
        status = self.runtime.feeds.status(self._keys[0])
        return status.reason if snapshot is None else "Nothing has been counted yet."

    def _draw(self, results: Results, view: str, *, whole: bool) -> None:
        """Draw results; while counts grow, what surrounds the map and what hovers over it take turns."""
        words = f" · {cut}" if (cut := self.cuts.words()) else ""
        look = self.look.checked(dict(self.look) | {"value": view})
        ids = [column.detector_id for column in results.columns]
        detector_id = look.detector if look.detector in ids else ids[0] if ids else 0
        if not ids:
            return
        self._turn = (self._turn + 1) % 3
        due = [whole or self._turn == turn for turn in range(3)]
        title = f"{look.value.replace('_', ' ').capitalize()} of every channel{words or ' · all hits of all events'}"
        self.map.fill(results, look, title, hover=due[0])
        self.map.map.choose(look.detector, look.element)
        if due[1]:
            self.headline.fill(results)
        if self.wall:
            if due[2]:
                self.board.show(results.columns, *results.states(), 0, upright=True)
            return
        if due[1]:
            self.beside.fill(results, look, detector_id, words)
        if due[2]:
            self.panel(look.panel).fill(results, look, detector_id, words)
        self.controls.fill(results, look, self.cuts, words)
