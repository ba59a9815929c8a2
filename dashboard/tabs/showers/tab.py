"""Showers: the cloud in space, its projections, and what all showers of one or several files have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import panel as pn
from typing_extensions import override

from dashboard.feeds import FeedRequest
from dashboard.tabs.background import Latest, beside
from dashboard.tabs.base import BaseTab
from dashboard.tabs.downloads import Downloads
from dashboard.tabs.headline import Headline
from dashboard.tabs.parts import column
from dashboard.tabs.showers.cells import Spectra
from dashboard.tabs.showers.export import LABELS, command, content
from dashboard.tabs.showers.look import ENDINGS, PANELS, SAMPLES, Look, Place, from_text, labels_of
from dashboard.tabs.showers.panels import Correlations, Distances, Numbers, Panel, Response
from dashboard.tabs.showers.preview import Preview
from dashboard.tabs.showers.profiles import Observables, Profiles
from dashboard.tabs.showers.results import RESULTS, Results, Wish, cells_of, compute, headline, words_of
from dashboard.tabs.showers.saving import Saving
from dashboard.tabs.showers.selection import SelectionPanel
from dashboard.tabs.showers.space import Space
from dashboard.views.push import Parcel
from detcore import showers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from panel.viewable import Viewable

    from dashboard.runtime import Runtime
    from dashboard.session import Session
    from detcore.core.run import Snapshot

NARROW = ".bk-header .bk-tab { padding: 6px 9px !important; }"  # all of them fit on a laptop
SHOWN = 2  # of the demo's files, which are alike: the others are there to be chosen


class Tab(BaseTab):
    """The tab of one viewer; see `dashboard.tabs.base.BaseTab`."""

    title = "Showers"
    name, names, endings = "showers", PANELS, ENDINGS
    models = (Place, showers.Cuts, Look)

    def __init__(self, session: Session, runtime: Runtime, query: Mapping[str, str], wall: bool) -> None:
        super().__init__(session, runtime, query, wall)
        try:
            from_text(self.look.ops)
        except ValueError as error:
            session.notify(str(error), "warning")
            self.look = self.look.checked(dict(self.look) | {"ops": ""})
        self._opened: tuple[tuple[str, str], ...] = ()  # (path, key of its feed)
        self._asked: object = None
        self._work: Latest[Results] = Latest(RESULTS, session.refresh)
        self._saving = Saving(session.refresh)

    # --- the protocol

    def feeds(self) -> tuple[str, ...]:
        """Return the keys of the files, the one whose showers are drawn first."""
        asked = (self.place, self.cuts, self.paths())
        if asked != self._asked:
            self._asked = asked
            self._opened = self._open()
        keys = [key for _, key in self._opened]
        first = [key for path, key in self._opened if path == self._wished()]
        return tuple(dict.fromkeys([*first, *keys]))

    @override
    def paths(self) -> tuple[str, ...]:
        """Return the files that are shown: the chosen ones, else the first of the demo."""
        return super().paths()[: SAMPLES if self.place.path else SHOWN]

    def _open(self) -> tuple[tuple[str, str], ...]:
        opened: list[tuple[str, str]] = []
        options = (("geometry", self.place.geometry),) if self.place.geometry else ()
        for path in self.paths():
            try:
                request = FeedRequest(self.name, (path,), self.place.live, self.cuts, options)
                opened.append((path, self.runtime.feeds.open(request)))
            except (PermissionError, ValueError) as error:
                self.session.notify(str(error), "error")
        return tuple(opened)

    # --- the view

    def view(self) -> Viewable:
        """Build the tab."""
        self._run = beside(pn.state.curdoc)
        self.headline = Headline(wall=self.wall)
        self.space = Space(self.want, self.session.refresh, self._run, wall=self.wall)
        self._parcel = Parcel(self.space.carrier)
        self.begin()
        return self._wall_view() if self.wall else self._full_view()

    def _wall_view(self) -> Viewable:
        self.panel("profiles")
        self.panel("observables")
        right = column(self.places["profiles"], self.places["observables"], flex="5 1 0")
        body = pn.Row(column(self.space.view, flex="6 1 0"), right, sizing_mode="stretch_both", margin=0)
        return pn.Column(self.headline.pane, self.message, body, sizing_mode="stretch_both", margin=(0, 10))

    def _full_view(self) -> Viewable:
        self.selection = SelectionPanel(self.cut, self.cuts)
        lower = self.lower_tabs(NARROW, flex="12 1 0")
        self.selection.view.styles = {"flex": "5 1 0"}
        top = pn.Row(
            self.choose("Data", "folder_open", "path"), self.choose("Compare with", "compare", "more"),
            self.toggle("Export", "download"), self.headline.pane, self.dialogs, sizing_mode="stretch_width", margin=0,
        )  # fmt: skip
        left = column(self.space.view, flex="6 1 0")
        right = column(self.selection.view, lower, flex="5 1 0")
        main = pn.Row(self.exports_place, left, right, sizing_mode="stretch_both", margin=0)
        return pn.Column(top, self.message, main, sizing_mode="stretch_both", margin=(0, 8))

    @override
    def nothing(self, role: str) -> Callable[[], None] | None:
        """Return what happens when nothing is wanted: of what is compared, only the reference stays."""
        return (lambda: self.go(path=self.link_of(self.paths()[:1]))) if role == "more" else None

    @override
    def chosen(self, role: str, paths: tuple[Path, ...], live: bool) -> None:
        """Take files, or add some to the first one."""
        wanted = (*map(Path, self.paths()[:1] if role == "more" else ()), *paths)
        if len(wanted) > SAMPLES:
            self.session.notify(f"at most {SAMPLES} files can be compared; the first ones are", "warning")
        if (place := self.link_of(wanted[:SAMPLES])) is not None:
            self.want(sample=0, shower=0)
            self.go(path=place, live=live)

    @override
    def makers(self) -> dict[str, Callable[[], Panel]]:
        """Return how each panel is built."""
        return {
            "profiles": lambda: Profiles(self.want, wall=self.wall),
            "cells": lambda: Spectra(self.want, self.cut, self.cuts),
            "observables": lambda: Observables(self.want, wall=self.wall),
            "distances": lambda: Distances(self.want),
            "response": Response,
            "correlations": Correlations,
            "preview": lambda: Preview(self.want, self._save, self._saving.cancel),
            "numbers": Numbers,
        }

    # --- saving

    def _save(self, name: str) -> None:
        """Do what is tried to the whole file that is shown."""
        if not self.paths():
            return
        try:
            path = self.runtime.roots.resolve(self._wished())
            geometry = cells_of(self.place.geometry)
            self._saving.start(path, self.runtime.outputs, name, from_text(self.look.ops), geometry)
        except (OSError, ValueError) as error:
            self.session.notify(str(error), "error")
            self._saving.words = str(error)
        self.session.refresh()

    # --- what is shown

    def update(self, snapshots: Mapping[str, Snapshot]) -> None:
        """Show the newest snapshots and what was wished since."""
        panels = ("profiles", "observables") if self.wall else (self.look.panel,)
        if not self.wall:
            self.panel(self.look.panel)
            self._show_wishes()
        there = [
            (path, snapshots[key])
            for path, key in self._opened
            if key in snapshots and "shower" in snapshots[key].data.dims
        ]
        if not there:
            self.say(self._why(snapshots))
            return
        paths = tuple(str(self.runtime.roots.resolve(path)) for path, _ in there)
        data = tuple(snapshot.data for _, snapshot in there)
        look = self.look
        wish = Wish(panels, self.cuts, look.observable, self._place_among([path for path, _ in there]))
        try:
            results = self._work.ask(
                (tuple(map(id, data)), paths, wish), lambda: compute(data, tuple(labels_of(paths)), paths, wish)
            )
            if results is not None:
                self.say("")
                with self._parcel.packing():
                    self._draw(results, tuple(snapshot for _, snapshot in there), panels)
        except (OSError, ValueError, IndexError) as error:
            self.say(str(error))

    def _wished(self) -> str:
        """Return the file that is wished, which may have been refused."""
        paths = self.paths()
        return str(paths[min(self.look.sample, len(paths) - 1)])

    def _place_among(self, there: list[str]) -> int:
        """Return where the file that is wished is among those that are there; the first one until it has come."""
        wished = self._wished()
        return there.index(wished) if wished in there else 0

    def _show_wishes(self) -> None:
        """Bring the widgets to what is wished."""
        if not self.news():
            return
        look = self.look
        self.selection.show(self.cuts)
        self.space.choices(labels_of(self.paths()), look)
        self.lower.active = list(PANELS).index(look.panel)  # a click in the table of distances opens another one
        for panel in self.panels.values():
            panel.show(look, self.cuts)
        self.show_exports(lambda: Downloads(LABELS, content, self.session.notify), self._command)

    def _command(self) -> str:
        lines = [command(self.paths(), self.place, self.cuts)]
        if self.look.ops and self.paths():
            lines += showers.command_lines(self._wished(), "new.h5", from_text(self.look.ops), self.place.geometry)
        return "\n".join(lines)

    def _why(self, snapshots: Mapping[str, Snapshot]) -> str:
        if not self._opened:
            return "Nothing is chosen: take a shower file with the button Data." if self.runtime.ready.is_set() else ""
        for _, key in self._opened:
            if key not in snapshots and (reason := self.runtime.feeds.status(key).reason):
                return reason
        return ""

    def _draw(self, results: Results, found: tuple[Snapshot, ...], panels: tuple[str, ...]) -> None:
        words = words_of(results.shown)
        self.headline.show(headline(results))
        self.space.fill(results, self.look, words)
        for name in panels:
            self.panel(name).fill(results, self.space.trial, self.look, words)
        if self.wall:
            return
        self.selection.fill(results.incident, self.cuts)
        preview = self.panels.get("preview")
        if isinstance(preview, Preview):
            preview.suggest(results.labels[results.sample])
            preview.tell(self._saving.words, self._saving.fraction)
        if self._exports is not None:
            self._exports.fill(results, tuple(snapshot.labelled() for snapshot in found), self.cuts)
