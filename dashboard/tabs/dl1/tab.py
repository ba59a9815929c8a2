"""DL1: the event browser of telescope images, and what all images of a file have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui

from dashboard import urlstate
from dashboard.feeds import FeedRequest
from dashboard.tabs.dl1.cutting import CutsPanel
from dashboard.tabs.dl1.display import Display
from dashboard.tabs.dl1.export import Exports, command
from dashboard.tabs.dl1.header import FilePanel
from dashboard.tabs.dl1.images import ImagesPanel
from dashboard.tabs.dl1.look import ENDINGS, FILES, PANELS, Look, Place
from dashboard.tabs.dl1.mapped import MappedPanel
from dashboard.tabs.dl1.overview import EventPanel
from dashboard.tabs.dl1.panels import Now, Panel
from dashboard.tabs.dl1.pixelpanel import PixelsPanel
from dashboard.tabs.dl1.results import headline
from dashboard.tabs.dl1.stereopanel import StereoPanel
from dashboard.tabs.dl1.work import Work
from dashboard.tabs.headline import Headline
from dashboard.tabs.parts import BUTTON, LOWER_TABS, Chooser, column, text
from dashboard.views.push import Parcel
from detcore import dl1
from detcore.core.parameters import InvalidParameters, Parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from panel.viewable import Viewable

    from dashboard.runtime import Runtime
    from dashboard.session import Session
    from dashboard.tabs.dl1.results import Facts
    from detcore.core.run import Snapshot

NAME = "dl1"
NARROW = ".bk-header .bk-tab { padding: 6px 9px !important; }"  # all of them fit on a laptop


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

    title = "DL1 images"

    def __init__(self, session: Session, runtime: Runtime, query: Mapping[str, str], wall: bool) -> None:
        self.session, self.runtime, self.wall = session, runtime, wall
        known = {name for model in (Place, dl1.Cuts, Look) for name in model.model_fields}
        if unknown := sorted(set(query) - known):
            session.notify(f"the link says {', '.join(unknown)[:200]}, which this tab does not know", "warning")
        self.place = self._read(Place, query)
        self.cuts = self._read(dl1.Cuts, query)
        self.look = self._read(Look, query)
        self.tried: dl1.Cuts | None = None  # of a slider that is being dragged
        self.work = Work(session.refresh)
        self._opened: dict[str, str] = {}  # camera -> key of its feed
        self._asked: object = None
        self._wishes: object = None
        self._chooser: Chooser | None = None
        self._exports: Exports | None = None

    def _read(self, model: type[Any], query: Mapping[str, str]) -> Any:
        found, ignored = urlstate.parse(model, {name: query[name] for name in model.model_fields if name in query})
        for words in ignored:
            self.session.notify(words, "warning")
        return found

    # --- what is wanted

    def want(self, **changes: Any) -> None:
        """Look at it differently."""
        moved = any(changes.get(name, getattr(self.look, name)) != getattr(self.look, name) for name in ("x", "y"))
        if moved and "box" not in changes:
            changes["box"] = ""  # it was of the other parameters
        try:
            self._set(look=self.look.checked(dict(self.look) | changes))
        except InvalidParameters as error:
            self.session.notify(str(error), "warning")

    def cut(self, cuts: dl1.Cuts) -> None:
        """Clean or count something else."""
        self.tried = None
        self._set(cuts=cuts)

    def attempt(self, cuts: dl1.Cuts) -> None:
        """Clean the shown event differently; the files are read again when the slider is let go."""
        self.tried = cuts
        self.session.refresh()

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

    def step(self, by: int) -> None:
        """Go to the next of the events that are gone through, or to the one before."""
        if (found := self.work.beside(self.look, by)) is not None:
            self.want(obs=found[0], event=found[1])

    def typed(self, words: str) -> None:
        """Go to an event by its number."""
        number = words.strip().replace(",", "")
        found = self.work.numbered(self.look, int(number)) if number.isdecimal() else None
        if found is not None:
            self.want(obs=found[0], event=found[1])
        if found is None and self.work.facts is not None:
            self.session.notify(f"there is no event {words[:20]!r} in this file", "warning")
        self._wishes = None  # the field shows the event again, whatever was typed
        self.session.refresh()

    # --- the protocol

    def feeds(self) -> tuple[str, ...]:
        """Return the keys of the feeds: one for each camera of the file."""
        path = self._path()
        facts = self.work.open(self._real(path))
        asked = (path, self.place.live, self.cuts, facts, self.work.trouble)
        if asked != self._asked:
            self._asked = asked
            self._opened = self._open(path, facts)
        return tuple(dict.fromkeys(self._opened.values()))

    def paths(self) -> tuple[str, ...]:
        """Return the files there are: the chosen ones, else the demo."""
        return self.place.paths or tuple(map(str, (self.runtime.demo(NAME) or ())[:FILES]))

    def _path(self) -> str:
        """Return the one that is shown; nothing if there is none."""
        paths = self.paths()
        return paths[min(self.look.file, len(paths) - 1)] if paths else ""

    def _real(self, path: str) -> str:
        """Return where a path is; nothing if viewers may not read there, which opening its feed tells."""
        try:
            return str(self.runtime.roots.resolve(path)) if path else ""
        except (OSError, ValueError):
            return ""

    def _open(self, path: str, facts: Facts | None) -> dict[str, str]:
        opened: dict[str, str] = {}
        if not path or (facts is None and not self.work.trouble and self._real(path)):
            return opened
        for kind in facts.kinds if facts else ("",):  # what cannot be read is told by the feed
            try:
                options = (("camera", kind),) if kind else ()
                request = FeedRequest(NAME, (path,), self.place.live, self.cuts, options)
                opened[kind] = self.runtime.feeds.open(request)
            except (PermissionError, ValueError) as error:
                self.session.notify(str(error), "error")
        return opened

    def state(self) -> dict[str, str]:
        """Return what a link needs."""
        models: tuple[Parameters, ...] = (self.place, self.cuts, self.look)
        return {name: value for model in models for name, value in model.to_query().items()}

    # --- the view

    def view(self) -> Viewable:
        """Build the tab."""
        self.headline = Headline(wall=self.wall)
        self.display = Display(self.want, self.step, self.typed, wall=self.wall)
        self._parcel = Parcel(self.display.charge.figure)
        self._message = text()
        self._message.visible = False
        self.panels: dict[str, Panel] = {}
        self._places = {name: pn.Column(sizing_mode="stretch_both", margin=0) for name in PANELS}
        return self._wall_view() if self.wall else self._full_view()

    def _wall_view(self) -> Viewable:
        self._panel("event")
        right = column(self._places["event"], flex="5 1 0")
        body = pn.Row(column(self.display.view, flex="3 1 0"), right, sizing_mode="stretch_both", margin=0)
        return pn.Column(self.headline.pane, self._message, body, sizing_mode="stretch_both", margin=(0, 10))

    def _full_view(self) -> Viewable:
        self._dialogs = pn.Row(width=0, height=0, margin=0)
        self._exports_place = pn.Column(sizing_mode="stretch_height", margin=0, visible=False)
        self._panel(self.look.panel)
        self.lower = pn.Tabs(
            *((label, self._places[name]) for name, label in PANELS.items()),
            dynamic=True, sizing_mode="stretch_both", margin=0, active=list(PANELS).index(self.look.panel),
            stylesheets=[LOWER_TABS, NARROW],
        )  # fmt: skip
        self.lower.param.watch(lambda event: self.want(panel=list(PANELS)[event.new]), "active")
        data = pmui.Button(label="Data", icon="folder_open", on_click=lambda _: self._open_dialog(), **BUTTON)
        toggle = pmui.Button(
            label="Export", icon="download", on_click=lambda _: self.want(controls=not self.look.controls), **BUTTON
        )
        top = pn.Row(data, toggle, self.headline.pane, self._dialogs, sizing_mode="stretch_width", margin=0)
        left, right = column(self.display.view, flex="11 1 0"), column(self.lower, flex="9 1 0")
        main = pn.Row(self._exports_place, left, right, sizing_mode="stretch_both", margin=0)
        return pn.Column(top, self._message, main, sizing_mode="stretch_both", margin=(0, 8))

    def _open_dialog(self) -> None:
        """Show the files; the dialog is made when it is first wanted, because most viewers never do."""
        if self._chooser is None:
            self._chooser = Chooser(self.runtime.roots, ENDINGS, self._chosen)
            self._dialogs.append(self._chooser.view)
        shown = f"Shown: {', '.join(self.paths())}" + (", followed live" if self.place.live else "")
        self._chooser.open("What to show", [shown])

    def _chosen(self, paths: tuple[Path, ...], live: bool) -> None:
        if len(paths) > FILES:
            self.session.notify(f"at most {FILES} files can be chosen; the first ones are", "warning")
        wanted = "|".join(self._relative(path) for path in paths[:FILES])
        if len(wanted) > 1500:
            self.session.notify("too many files for one link; choose fewer", "warning")
            return
        self.want(file=0, obs=-1, event=-1, tel=-1, pixels=-1, box="")
        self.go(path=wanted, live=live)

    def _relative(self, path: Path) -> str:
        """Return a path as links hold it: relative to the first root if it is inside."""
        first = self.runtime.roots.paths[:1]
        return str(path.relative_to(first[0])) if first and path.is_relative_to(first[0]) else str(path)

    def _panel(self, name: str) -> Panel:
        """Return a panel; built when it is first shown, because each figure costs time at every start of a page."""
        if name not in self.panels:
            ready = self.session.refresh
            make: dict[str, Callable[[], Panel]] = {
                "event": lambda: EventPanel(self.want, wall=self.wall),
                "images": lambda: ImagesPanel(self.want),
                "pixels": lambda: PixelsPanel(self.want),
                "cuts": lambda: CutsPanel(self.cut, self.attempt, self.cuts),
                "mapped": lambda: MappedPanel(self.want, ready),
                "stereo": lambda: StereoPanel(self.want, ready),
                "file": lambda: FilePanel(self.want),
            }
            panel = self.panels[name] = make[name]()
            self.session.on_close(panel.close)
            self._places[name].append(panel.view)
            self._wishes = None
        return self.panels[name]

    # --- what is shown

    def update(self, snapshots: Mapping[str, Snapshot]) -> None:
        """Show the newest snapshots and what was wished since."""
        if not self.wall:
            self._panel(self.look.panel)
            self._show_wishes()
        facts = self.work.facts
        if facts is None:
            self._say(self._why())
            return
        there = {kind: snapshots[key] for kind, key in self._opened.items() if key in snapshots}
        try:
            self.work.read(self.look, self.tried or self.cuts)
            self.work.describe(self.look, {kind: snapshot.data for kind, snapshot in there.items()})
        except (OSError, ValueError, KeyError, IndexError) as error:
            self._say(str(error))
            return
        self._say("; ".join(self.work.event.problems) if self.work.event is not None else "")
        with self._parcel.packing():
            self._draw(facts, there)

    def _draw(self, facts: Facts, there: dict[str, Snapshot]) -> None:
        work, look = self.work, self.look
        now = Now(look, self.cuts, facts, work.results, work.event, work.image(look.tel))
        self.display.fill(now, work.where(look))
        self._panel("event" if self.wall else look.panel).fill(now)
        if (results := work.results) is None:
            return
        self.headline.show(results.once("headline", lambda: headline(results)))
        if self._exports is not None:
            self._exports.fill(now, {kind: snapshot.labelled() for kind, snapshot in there.items()})

    def _show_wishes(self) -> None:
        """Bring the widgets to what is wished; they are slow even where nothing changes."""
        facts = self.work.facts
        wishes = (self.place, self.cuts, self.look, self.paths(), facts)
        if wishes == self._wishes:
            return
        self._wishes = wishes
        look = self.look
        self.display.show(look, tuple(Path(path).name for path in self.paths()))
        if facts is not None and (row := self.work.place(look)) is not None:
            self.display.name(facts, facts.event_at(row)[1], look)
        self.lower.active = list(PANELS).index(look.panel)
        for panel in self.panels.values():
            panel.show(look, self.cuts)
        if look.controls and self._exports is None:
            self._exports = Exports(self.session.notify)
            self._exports_place.append(self._exports.view)
        self._exports_place.visible = look.controls
        if self._exports is not None:
            self._exports.say(command(self._path(), self.cuts, look))

    def _say(self, words: str) -> None:
        if words != self._message.text:
            self._message.param.update(text=words, visible=bool(words))

    def _why(self) -> str:
        if self.work.trouble:
            return self.work.trouble
        if not self.paths():
            return "Nothing is chosen: take a DL1 file with the button Data." if self.runtime.ready.is_set() else ""
        return "Opening the file …"
