"""Showers: the cloud in space, its projections, and what all showers of one or several files have in common."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui

from dashboard import urlstate
from dashboard.feeds import FeedRequest
from dashboard.tabs.background import Latest, beside
from dashboard.tabs.headline import Headline
from dashboard.tabs.parts import BUTTON, LOWER_TABS, Chooser, column, text
from dashboard.tabs.showers.cells import Spectra
from dashboard.tabs.showers.export import Exports, command
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
from detcore.core.parameters import InvalidParameters, Parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from panel.viewable import Viewable

    from dashboard.runtime import Runtime
    from dashboard.session import Session
    from detcore.core.run import Snapshot

NAME = "showers"
NARROW = ".bk-header .bk-tab { padding: 6px 9px !important; }"  # all of them fit on a laptop
SHOWN = 2  # of the demo's files, which are alike: the others are there to be chosen


class Tab:
    """The tab of one viewer; see `dashboard.session.Tab`.

    Parameters
    ----------
    session, runtime
        Of this viewer and of this process.
    query
        What the link says.
    wall
        Whether this is a wall display: no controls, large text.
    """

    title = "Showers"

    def __init__(self, session: Session, runtime: Runtime, query: Mapping[str, str], wall: bool) -> None:
        self.session, self.runtime, self.wall = session, runtime, wall
        models = (Place, showers.Cuts, Look)
        self.place, self.cuts, self.look = urlstate.models(models, query, partial(session.notify, level="warning"))
        try:
            from_text(self.look.ops)
        except ValueError as error:
            session.notify(str(error), "warning")
            self.look = self.look.checked(dict(self.look) | {"ops": ""})
        self._opened: tuple[tuple[str, str], ...] = ()  # (path, key of its feed)
        self._asked: object = None
        self._wishes: object = None
        self._choosers: dict[str, Chooser] = {}
        self._exports: Exports | None = None
        self._work: Latest[Results] = Latest(RESULTS, session.refresh)
        self._saving = Saving(session.refresh)

    # --- what is wanted

    def want(self, **changes: Any) -> None:
        """Look at it differently."""
        try:
            self._set(look=self.look.checked(dict(self.look) | changes))
        except InvalidParameters as error:
            self.session.notify(str(error), "warning")

    def cut(self, cuts: showers.Cuts) -> None:
        """Count something else."""
        self._set(cuts=cuts)

    def go(self, **changes: Any) -> None:
        """Take other files."""
        try:
            self._set(place=self.place.checked(dict(self.place) | changes))
        except InvalidParameters as error:
            self.session.notify(str(error), "warning")

    def _set(self, **changes: Parameters) -> None:
        if any(getattr(self, name) != value for name, value in changes.items()):
            for name, value in changes.items():
                setattr(self, name, value)
            self.session.refresh()

    # --- the protocol

    def feeds(self) -> tuple[str, ...]:
        """Return the keys of the files, the one whose showers are drawn first."""
        asked = (self.place, self.cuts, self.paths())
        if asked != self._asked:
            self._asked = asked
            self._opened = self._open()
        keys = [key for _, key in self._opened]
        first = keys[self.look.sample : self.look.sample + 1]
        return tuple(dict.fromkeys([*first, *keys]))

    def paths(self) -> tuple[str, ...]:
        """Return the files that are shown: the chosen ones, else the demo."""
        return self.place.paths or tuple(map(str, (self.runtime.demo(NAME) or ())[:SHOWN]))

    def _open(self) -> tuple[tuple[str, str], ...]:
        opened: list[tuple[str, str]] = []
        options = (("geometry", self.place.geometry),) if self.place.geometry else ()
        for path in self.paths():
            try:
                request = FeedRequest(NAME, (path,), self.place.live, self.cuts, options)
                opened.append((path, self.runtime.feeds.open(request)))
            except (PermissionError, ValueError) as error:
                self.session.notify(str(error), "error")
        return tuple(opened)

    def state(self) -> dict[str, str]:
        """Return what a link needs."""
        models: tuple[Parameters, ...] = (self.place, self.cuts, self.look)
        return {name: value for model in models for name, value in model.to_query().items()}

    # --- the view

    def view(self) -> Viewable:
        """Build the tab."""
        self._run = beside(pn.state.curdoc)
        self.headline = Headline(wall=self.wall)
        self.space = Space(self.want, self.session.refresh, self._run, wall=self.wall)
        self._parcel = Parcel(self.space.carrier)
        self._message = text()
        self._message.visible = False
        self.panels: dict[str, Panel] = {}
        self._places = {name: pn.Column(sizing_mode="stretch_both", margin=0) for name in PANELS}
        return self._wall_view() if self.wall else self._full_view()

    def _wall_view(self) -> Viewable:
        self._panel("profiles")
        self._panel("observables")
        right = column(self._places["profiles"], self._places["observables"], flex="5 1 0")
        body = pn.Row(column(self.space.view, flex="6 1 0"), right, sizing_mode="stretch_both", margin=0)
        return pn.Column(self.headline.pane, self._message, body, sizing_mode="stretch_both", margin=(0, 10))

    def _full_view(self) -> Viewable:
        self.selection = SelectionPanel(self.cut, self.cuts)
        self._dialogs = pn.Row(width=0, height=0, margin=0)
        self._exports_place = pn.Column(sizing_mode="stretch_height", margin=0, visible=False)
        self._panel(self.look.panel)
        self.lower = pn.Tabs(
            *((label, self._places[name]) for name, label in PANELS.items()),
            dynamic=True, sizing_mode="stretch_both", margin=0, active=list(PANELS).index(self.look.panel),
            styles={"flex": "12 1 0"}, stylesheets=[LOWER_TABS, NARROW],
        )  # fmt: skip
        self.lower.param.watch(lambda event: self.want(panel=list(PANELS)[event.new]), "active")
        self.selection.view.styles = {"flex": "5 1 0"}
        toggle = pmui.Button(
            label="Export", icon="download", on_click=lambda _: self.want(controls=not self.look.controls), **BUTTON
        )
        top = pn.Row(
            self._choose("Data", "folder_open", "data"), self._choose("Compare with", "compare", "more"), toggle,
            self.headline.pane, self._dialogs, sizing_mode="stretch_width", margin=0,
        )  # fmt: skip
        left = column(self.space.view, flex="6 1 0")
        right = column(self.selection.view, self.lower, flex="5 1 0")
        main = pn.Row(self._exports_place, left, right, sizing_mode="stretch_both", margin=0)
        return pn.Column(top, self._message, main, sizing_mode="stretch_both", margin=(0, 8))

    def _choose(self, label: str, icon: str, role: str) -> pmui.Button:
        """Return a button that opens the file browser for the data or for what it is compared with."""
        return pmui.Button(label=label, icon=icon, on_click=lambda _: self._open_dialog(role), **BUTTON)

    def _open_dialog(self, role: str) -> None:
        """Show the files; the dialog is made when it is first wanted, because most viewers never do."""
        if role not in self._choosers:
            clear = (lambda: self.go(path="|".join(self.paths()[:1]))) if role == "more" else None
            self._choosers[role] = Chooser(
                self.runtime.roots, ENDINGS, lambda paths, live: self._chosen(role, paths, live), clear
            )
            self._dialogs.append(self._choosers[role].view)
        lines = [f"Shown: {', '.join(self.paths())}" + (", followed live" if self.place.live else "")]
        self._choosers[role].open("What to show" if role == "data" else "What to compare with", lines)

    def _chosen(self, role: str, paths: tuple[Path, ...], live: bool) -> None:
        before = self.paths()[:1] if role == "more" else ()
        wanted = list(dict.fromkeys([*before, *(self._relative(path) for path in paths)]))
        if len(wanted) > SAMPLES:
            self.session.notify(f"at most {SAMPLES} files can be compared; the first ones are", "warning")
        place = "|".join(wanted[:SAMPLES])
        if len(place) > 1500:
            self.session.notify("too many files for one link; choose fewer", "warning")
            return
        self.want(sample=0, shower=0)
        self.go(path=place, live=live)

    def _relative(self, path: Path) -> str:
        """Return a path as links hold it: relative to the first root if it is inside."""
        first = self.runtime.roots.paths[:1]
        return str(path.relative_to(first[0])) if first and path.is_relative_to(first[0]) else str(path)

    def _panel(self, name: str) -> Panel:
        """Return a panel; built when it is first shown, because each figure costs time at every start of a page."""
        if name not in self.panels:
            make: dict[str, Callable[[], Panel]] = {
                "profiles": lambda: Profiles(self.want, wall=self.wall),
                "cells": lambda: Spectra(self.want, self.cut, self.cuts),
                "observables": lambda: Observables(self.want, wall=self.wall),
                "distances": lambda: Distances(self.want),
                "response": Response,
                "correlations": Correlations,
                "preview": lambda: Preview(self.want, self._save, self._saving.cancel),
                "numbers": Numbers,
            }
            self.panels[name] = make[name]()
            self._places[name].append(self.panels[name].view)
            self._wishes = None
        return self.panels[name]

    # --- saving

    def _save(self, name: str) -> None:
        """Do what is tried to the whole file that is shown."""
        if not self._opened:
            return
        try:
            path = self.runtime.roots.resolve(self._opened[min(self.look.sample, len(self._opened) - 1)][0])
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
            self._panel(self.look.panel)
            self._show_wishes()
        there = [
            (path, snapshots[key])
            for path, key in self._opened
            if key in snapshots and "shower" in snapshots[key].data.dims
        ]
        if not there:
            self._say(self._why(snapshots))
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
                self._say("")
                with self._parcel.packing():
                    self._draw(results, tuple(snapshot for _, snapshot in there), panels)
        except (OSError, ValueError, IndexError) as error:
            self._say(str(error))

    def _place_among(self, there: list[str]) -> int:
        """Return where the file that is wished is among those that are there; the first one until it has come."""
        opened = [path for path, _ in self._opened]
        wanted = opened[min(self.look.sample, len(opened) - 1)]
        return there.index(wanted) if wanted in there else 0

    def _show_wishes(self) -> None:
        """Bring the widgets to what is wished; they are slow even where nothing changes."""
        wishes = (self.place, self.cuts, self.look, self.paths())
        if wishes == self._wishes:
            return
        self._wishes = wishes
        look = self.look
        self.selection.show(self.cuts)
        self.space.choices(labels_of(self.paths()), look)
        self.lower.active = list(PANELS).index(look.panel)  # a click in the table of distances opens another one
        for panel in self.panels.values():
            panel.show(look, self.cuts)
        if look.controls and self._exports is None:
            self._exports = Exports(self.session.notify)
            self._exports_place.append(self._exports.view)
        self._exports_place.visible = look.controls
        if self._exports is not None:
            lines = [command(self.paths(), self.place, self.cuts)]
            if look.ops and self._opened:
                path = self._opened[min(look.sample, len(self._opened) - 1)][0]
                lines += showers.command_lines(path, "new.h5", from_text(look.ops), self.place.geometry)
            self._exports.say("\n".join(lines))

    def _say(self, words: str) -> None:
        if words != self._message.text:
            self._message.param.update(text=words, visible=bool(words))

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
            self._panel(name).fill(results, self.space.trial, self.look, words)
        if self.wall:
            return
        self.selection.fill(results.incident, self.cuts)
        preview = self.panels.get("preview")
        if isinstance(preview, Preview):
            preview.suggest(results.labels[results.sample])
            preview.tell(self._saving.words, self._saving.fraction)
        if self._exports is not None:
            self._exports.fill(results, tuple(snapshot.labelled() for snapshot in found), self.cuts)
