"""Eiger intensity: the trace of a series, how much of its fluctuation is not photon statistics, and its frames."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui

from dashboard import urlstate
from dashboard.feeds import FeedRequest
from dashboard.tabs.background import Latest, beside
from dashboard.tabs.eiger.controls import Thresholds, TraceBar
from dashboard.tabs.eiger.export import Exports, command
from dashboard.tabs.eiger.image import ImagePanel
from dashboard.tabs.eiger.look import ENDINGS, PANELS, Look, Place, from_text, name_of, to_text
from dashboard.tabs.eiger.panels import Distribution, Panel, Spectrogram, Spectrum, Stability
from dashboard.tabs.eiger.results import RESULTS, Results, Wish, compute, headline, request, stride_of, words_of
from dashboard.tabs.eiger.tables import Comparison, Numbers, Outliers, Pixels
from dashboard.tabs.eiger.trace import TracePanel
from dashboard.tabs.headline import Headline
from dashboard.tabs.parts import BUTTON, LOWER_TABS, Chooser, column, text
from dashboard.views.push import Parcel
from detcore import eiger
from detcore.core.parameters import InvalidParameters, Parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from panel.viewable import Viewable

    from dashboard.runtime import Runtime
    from dashboard.session import Session
    from dashboard.shapes import Shape
    from detcore.core.run import Snapshot

NAME = "eiger"


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

    title = "Eiger intensity"

    def __init__(self, session: Session, runtime: Runtime, query: Mapping[str, str], wall: bool) -> None:
        self.session, self.runtime, self.wall = session, runtime, wall
        models = (Place, eiger.Limits, Look)
        self.place, self.limits, self.look = urlstate.models(models, query, partial(session.notify, level="warning"))
        self.shapes: tuple[Shape, ...] = ()
        try:
            self.shapes = from_text(self.place.shapes)
        except ValueError as error:
            session.notify(str(error), "warning")
            self.place = self.place.checked(dict(self.place) | {"shapes": ""})
        self._keys: tuple[str, ...] = ()
        self._asked: object = None
        self._wishes: object = None
        self._whole = True
        self._choosers: dict[str, Chooser] = {}
        self._exports: Exports | None = None
        self._work: Latest[Results] = Latest(RESULTS, session.refresh)

    # --- what is wanted

    def want(self, **changes: Any) -> None:
        """Look at it differently."""
        self._set(look=self.look.checked(dict(self.look) | changes))

    def cut(self, limits: eiger.Limits) -> None:
        """Count something else."""
        self._set(limits=limits)

    def go(self, **changes: Any) -> None:
        """Take other files or frames."""
        try:
            self._set(place=self.place.checked(dict(self.place) | changes))
        except InvalidParameters as error:
            self.session.notify(str(error), "warning")

    def drawn(self, shapes: tuple[Shape, ...]) -> None:
        """Count in these regions, too."""
        written = to_text(shapes)
        if written != self.place.shapes:
            self.shapes = shapes
            self.go(shapes=written)

    def frame(self, number: int) -> None:
        """Show a frame; 0: the mean image."""
        self.want(frame=max(number, 0))

    def _set(self, **changes: Parameters) -> None:
        if any(getattr(self, name) != value for name, value in changes.items()):
            for name, value in changes.items():
                setattr(self, name, value)
            self.session.refresh()

    # --- the protocol

    def feeds(self) -> tuple[str, ...]:
        """Return the keys of the data and of the reference."""
        asked = (self.place, self.limits, self.paths())
        if asked != self._asked:
            self._asked = asked
            self._keys = self._open()
        return self._keys

    def paths(self) -> tuple[str, ...]:
        """Return the files that are shown: the chosen ones, else the demo."""
        if self.place.path:
            return tuple(self.place.path.split("|"))
        return tuple(map(str, self.runtime.demo(NAME) or ()))

    def regions(self) -> tuple[str, ...]:
        """Return the names of the regions that are drawn."""
        return tuple(name_of(number) for number in range(len(self.shapes)))

    def _open(self) -> tuple[str, ...]:
        keys: list[str] = []
        wanted = [(self.paths(), self.place.live, self.shapes)]
        if self.place.reference:
            wanted.append((tuple(self.place.reference.split("|")), False, ()))
        options = (("frames", self.place.frames),) if self.place.frames else ()
        for paths, live, shapes in wanted:
            if not paths:
                return ()
            try:
                parameters = request(self.limits, shapes)
                keys.append(self.runtime.feeds.open(FeedRequest(NAME, paths, live, parameters, options)))
            except (PermissionError, ValueError) as error:
                self.session.notify(str(error), "error")
                break
        return tuple(keys)

    def state(self) -> dict[str, str]:
        """Return what a link needs."""
        models: tuple[Parameters, ...] = (self.place, self.limits, self.look)
        return {name: value for model in models for name, value in model.to_query().items()}

    # --- the view

    def view(self) -> Viewable:
        """Build the tab."""
        run = beside(pn.state.curdoc)
        wall = self.wall
        self.headline = Headline(wall=wall)
        self.trace = TracePanel(self.frame, None if wall else self._range, run, wall=wall)
        self.image = ImagePanel(self.want, None if wall else self.drawn, self.session.refresh, run, wall=wall)
        self._parcel = Parcel(self.trace.trace.figure)
        self._message = text()
        self._message.visible = False
        self.panels: dict[str, Panel] = {}
        self._places = {name: pn.Column(sizing_mode="stretch_both", margin=0) for name in PANELS}
        return self._wall_view() if wall else self._full_view()

    def _wall_view(self) -> Viewable:
        self._panel("spectrum")
        left = column(self.trace.view, self._places["spectrum"], flex="3 1 0")
        body = pn.Row(left, column(self.image.view, flex="2 1 0"), sizing_mode="stretch_both", margin=0)
        return pn.Column(self.headline.pane, self._message, body, sizing_mode="stretch_both", margin=(0, 10))

    def _full_view(self) -> Viewable:
        self.bar = TraceBar(self.want, self.go)
        self.thresholds = Thresholds(self.cut)
        self._dialogs = pn.Row(width=0, height=0, margin=0)
        self._exports_place = pn.Column(sizing_mode="stretch_height", margin=0, visible=False)
        self._live = pmui.Switch(
            label="Live", size="small", margin=(10, 4), description="Go on with new files and frames"
        )
        self._live.param.watch(lambda event: self.go(live=bool(event.new)), "value")
        self._panel(self.look.panel)
        self.lower = pn.Tabs(
            *((label, self._places[name]) for name, label in PANELS.items()),
            dynamic=True, sizing_mode="stretch_both", margin=0, active=list(PANELS).index(self.look.panel),
            styles={"flex": "5 1 0"}, stylesheets=[LOWER_TABS],
        )  # fmt: skip
        self.lower.param.watch(lambda event: self.want(panel=list(PANELS)[event.new]), "active")
        self.trace.view.styles = {"flex": "4 1 0"}
        self.image.view.styles = {"flex": "5 1 0"}
        self.thresholds.view.styles = {"flex": "3 1 0"}
        if self.shapes:
            self.image.drawing.set(self.shapes)
        toggle = pmui.Button(
            label="Export", icon="download", on_click=lambda _: self.want(controls=not self.look.controls), **BUTTON
        )
        top = pn.Row(
            self._choose("Data", "folder_open", "path"), self._choose("Reference", "compare", "reference"), toggle,
            self._live, self.headline.pane, self._dialogs, sizing_mode="stretch_width", margin=0,
        )  # fmt: skip
        left = column(self.bar.view, self.trace.view, self.lower, flex="5 1 0")
        right = column(self.image.view, self.thresholds.view, flex="3 1 0")
        main = pn.Row(self._exports_place, left, right, sizing_mode="stretch_both", margin=0)
        return pn.Column(top, self._message, main, sizing_mode="stretch_both", margin=(0, 8))

    def _range(self, first: int, last: int) -> None:
        self.go(first=first, last=last)

    def _choose(self, label: str, icon: str, role: str) -> pmui.Button:
        """Return a button that opens the file browser for the data or for the reference."""
        return pmui.Button(label=label, icon=icon, on_click=lambda _: self._open_dialog(role), **BUTTON)

    def _open_dialog(self, role: str) -> None:
        """Show the files; the dialog is made when it is first wanted, because most viewers never do."""
        if role not in self._choosers:
            clear = (lambda: self.go(reference="")) if role == "reference" else None
            self._choosers[role] = Chooser(
                self.runtime.roots, ENDINGS, lambda paths, live: self._chosen(role, paths, live), clear
            )
            self._dialogs.append(self._choosers[role].view)
        place = self.place
        lines = [f"Shown: {place.path.replace('|', ', ') or 'the demo'}" + (", followed live" if place.live else "")]
        lines += [f"Reference: {place.reference.replace('|', ', ')}"] if place.reference else []
        self._choosers[role].open("What to show" if role == "path" else "What to compare with", lines)

    def _chosen(self, role: str, paths: tuple[Path, ...], live: bool) -> None:
        place = "|".join(self._relative(path) for path in paths)
        if len(place) > 1500:
            self.session.notify("too many files for one link; choose their folder instead", "warning")
        elif role == "reference":
            self.go(reference=place)
        else:
            self._set(look=self.look.checked(dict(self.look) | {"frame": 0}))
            self.go(path=place, live=live, first=1, last=0, step=1)

    def _relative(self, path: Path) -> str:
        """Return a path as links hold it: relative to the first root if it is inside."""
        first = self.runtime.roots.paths[:1]
        return str(path.relative_to(first[0])) if first and path.is_relative_to(first[0]) else str(path)

    def _panel(self, name: str) -> Panel:
        """Return a panel; built when it is first shown, because each figure costs time at every start of a page."""
        if name not in self.panels:
            make: dict[str, Callable[[], Panel]] = {
                "spectrum": lambda: Spectrum(wall=self.wall),
                "stability": Stability,
                "distribution": Distribution,
                "spectrogram": Spectrogram,
                "outliers": lambda: Outliers(self.frame),
                "pixels": Pixels,
                "numbers": Numbers,
                "compare": Comparison,
            }
            self.panels[name] = make[name]()
            self._places[name].append(self.panels[name].view)
        return self.panels[name]

    def update(self, snapshots: Mapping[str, Snapshot]) -> None:
        """Show the newest snapshots and what was wished since."""
        if not self.wall:
            self._show_wishes()
        keys = self._keys
        snapshot = snapshots.get(keys[0]) if keys else None
        if snapshot is None or "sum" not in snapshot.data or not snapshot.data.sizes["frame"]:
            self._say(self._why(snapshot))
            return
        other = snapshots.get(keys[1]) if len(keys) > 1 else None
        reference = other.data if other is not None and "sum" in other.data else None
        panel = "spectrum" if self.wall else self.look.panel
        wish = Wish(self.look.detrend, self.look.region, panel)
        paths = self._resolved()
        try:
            results = self._work.ask(
                (id(snapshot.data), id(reference), wish), lambda: compute(snapshot.data, reference, paths, wish)
            )
            if results is not None:
                self._say("")
                with self._parcel.packing():
                    self._draw(results, snapshot, panel)
        except (OSError, ValueError) as error:
            self._say(str(error))

    def _resolved(self) -> tuple[str, ...]:
        return tuple(str(self.runtime.roots.resolve(path)) for path in self.paths())

    def _show_wishes(self) -> None:
        """Bring the widgets to what is wished; they are slow even where nothing changes."""
        wishes = (self.place, self.limits, self.look, self.paths())
        if wishes == self._wishes:
            return
        self._wishes = wishes
        place, look = self.place, self.look
        self.bar.show(look, place, self.regions())
        self.thresholds.show(self.limits)
        self.image.show(look)
        self._live.value = place.live
        if look.controls and self._exports is None:
            self._exports = Exports(self.session.notify)
            self._exports_place.append(self._exports.view)
        self._exports_place.visible = look.controls
        if self._exports is not None:
            self._exports.say(command(self.paths(), place, self.limits, look))

    def _say(self, words: str) -> None:
        if words != self._message.text:
            self._message.param.update(text=words, visible=bool(words))

    def _why(self, snapshot: Snapshot | None) -> str:
        if not self._keys:
            ready = self.runtime.ready.is_set()
            return "Nothing is chosen: take a master file with the button Data." if ready else ""
        status = self.runtime.feeds.status(self._keys[0])
        if snapshot is None:
            return status.reason
        return "No frame has been read yet: " + ("; ".join(map(str, snapshot.problems[:3])) or "waiting for data.")

    def _draw(self, results: Results, snapshot: Snapshot, panel: str) -> None:
        words = words_of(self.limits)
        pending = sum("pending" in problem.reason for problem in snapshot.problems)
        self.headline.show(headline(results, pending))
        stride = stride_of(results.data["frame"].values)
        note = f" · 1 of {stride} frames is read" if stride > 1 else ""
        self.trace.fill(results, self.look, words, note)
        self._panel(panel).fill(results, self.look, words)
        self.image.fill(results, self.look, words)
        if self.wall:
            return
        self.thresholds.fill(results.data)
        if self._exports is not None:
            self._exports.fill(snapshot, results, eiger.setup_text(self.limits, self.shapes))
