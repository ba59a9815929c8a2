"""DL1: the event browser of telescope images, and what all images of a file have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import panel as pn
from typing_extensions import override

from dashboard.feeds import FeedRequest
from dashboard.tabs.base import BaseTab
from dashboard.tabs.dl1.cutting import CutsPanel
from dashboard.tabs.dl1.display import Display
from dashboard.tabs.dl1.export import LABELS, command, content
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
from dashboard.tabs.downloads import Downloads
from dashboard.tabs.headline import Headline
from dashboard.tabs.parts import column
from dashboard.views.push import Parcel
from detcore import dl1

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from panel.viewable import Viewable

    from dashboard.runtime import Runtime
    from dashboard.session import Session
    from dashboard.tabs.dl1.results import Facts
    from detcore.core.run import Snapshot

NARROW = ".bk-header .bk-tab { padding: 6px 9px !important; }"  # all of them fit on a laptop


class Tab(BaseTab):
    """The tab of one viewer; see `dashboard.tabs.base.BaseTab`."""

    title = "DL1 images"
    name, names, endings = "dl1", PANELS, ENDINGS
    models = (Place, dl1.Cuts, Look)

    def __init__(self, session: Session, runtime: Runtime, query: Mapping[str, str], wall: bool) -> None:
        super().__init__(session, runtime, query, wall)
        self.tried: dl1.Cuts | None = None  # of a slider that is being dragged
        self.work = Work(session.refresh)
        self._opened: dict[str, str] = {}  # camera -> key of its feed
        self._asked: object = None

    # --- what is wanted

    @override
    def want(self, **changes: Any) -> None:
        """Look at it differently."""
        moved = any(changes.get(name, getattr(self.look, name)) != getattr(self.look, name) for name in ("x", "y"))
        if moved and "box" not in changes:
            changes["box"] = ""  # it was of the other parameters
        super().want(**changes)

    @override
    def cut(self, cuts: dl1.Cuts) -> None:
        """Clean or count something else."""
        self.tried = None
        super().cut(cuts)

    def attempt(self, cuts: dl1.Cuts) -> None:
        """Clean the shown event differently; the files are read again when the slider is let go."""
        self.tried = cuts
        self.session.refresh()

    def step(self, by: int) -> None:
        """Go to the next of the events that are gone through, or to the one before."""
        if (found := self.work.beside(self.look, by)) is not None:
            self.work.going = by
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

    @override
    def paths(self) -> tuple[str, ...]:
        """Return the files there are: the chosen ones, else those of the demo."""
        return super().paths()[:FILES]

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
                request = FeedRequest(self.name, (path,), self.place.live, self.cuts, options)
                opened[kind] = self.runtime.feeds.open(request)
            except (PermissionError, ValueError) as error:
                self.session.notify(str(error), "error")
        return opened

    # --- the view

    def view(self) -> Viewable:
        """Build the tab."""
        self.headline = Headline(wall=self.wall)
        self.display = Display(self.want, self.step, self.typed, wall=self.wall)
        self._parcel = Parcel(self.display.charge.figure)
        self.begin()
        return self._wall_view() if self.wall else self._full_view()

    def _wall_view(self) -> Viewable:
        self.panel("event")
        right = column(self.places["event"], flex="5 1 0")
        body = pn.Row(column(self.display.view, flex="3 1 0"), right, sizing_mode="stretch_both", margin=0)
        return pn.Column(self.headline.pane, self.message, body, sizing_mode="stretch_both", margin=(0, 10))

    def _full_view(self) -> Viewable:
        lower = self.lower_tabs(NARROW, flex="1 1 0")
        top = pn.Row(
            self.choose("Data", "folder_open", "path"), self.toggle("Export", "download"), self.headline.pane, self.dialogs,
            sizing_mode="stretch_width", margin=0,
        )  # fmt: skip
        left, right = column(self.display.view, flex="11 1 0"), column(lower, flex="9 1 0")
        main = pn.Row(self.exports_place, left, right, sizing_mode="stretch_both", margin=0)
        return pn.Column(top, self.message, main, sizing_mode="stretch_both", margin=(0, 8))

    @override
    def chosen(self, role: str, paths: tuple[Path, ...], live: bool) -> None:
        """Take files, and begin at the first event."""
        if len(paths) > FILES:
            self.session.notify(f"at most {FILES} files can be chosen; the first ones are", "warning")
        if (place := self.link_of(paths[:FILES])) is not None:
            self.want(file=0, obs=-1, event=-1, tel=-1, pixels=-1, box="")
            self.go(path=place, live=live)

    @override
    def makers(self) -> dict[str, Callable[[], Panel]]:
        """Return how each panel is built."""
        ready = self.session.refresh
        return {
            "event": lambda: EventPanel(self.want, wall=self.wall),
            "images": lambda: ImagesPanel(self.want),
            "pixels": lambda: PixelsPanel(self.want),
            "cuts": lambda: CutsPanel(self.cut, self.attempt, self.cuts),
            "mapped": lambda: MappedPanel(self.want, ready),
            "stereo": lambda: StereoPanel(self.want, ready),
            "file": lambda: FilePanel(self.want),
        }

    # --- what is shown

    def update(self, snapshots: Mapping[str, Snapshot]) -> None:
        """Show the newest snapshots and what was wished since."""
        if not self.wall:
            self.panel(self.look.panel)
            self._show_wishes()
        facts = self.work.facts
        if facts is None:
            self.say(self._why())
            return
        there = {kind: snapshots[key] for kind, key in self._opened.items() if key in snapshots}
        try:
            self.work.read(self.look, self.tried or self.cuts)
            self.work.describe(self.look, {kind: snapshot.data for kind, snapshot in there.items()})
        except (OSError, ValueError, KeyError, IndexError) as error:
            self.say(str(error))
            return
        self.say("; ".join(self.work.event.problems) if self.work.event is not None else "")
        with self._parcel.packing():
            self._draw(facts, there)

    def _draw(self, facts: Facts, there: dict[str, Snapshot]) -> None:
        work, look = self.work, self.look
        now = Now(look, self.cuts, facts, work.results, work.event, work.image(look.tel))
        self.display.fill(now, work.where(look))
        self.panel("event" if self.wall else look.panel).fill(now)
        if (results := work.results) is None:
            return
        self.headline.show(results.once("headline", lambda: headline(results)))
        if self._exports is not None:
            self._exports.fill(now, {kind: snapshot.labelled() for kind, snapshot in there.items()})

    def _show_wishes(self) -> None:
        """Bring the widgets to what is wished."""
        facts = self.work.facts
        if not self.news(facts):
            return
        look = self.look
        self.display.show(look, tuple(Path(path).name for path in self.paths()))
        if facts is not None and (row := self.work.place(look)) is not None:
            self.display.name(facts, facts.event_at(row)[1], look)
        self.lower.active = list(PANELS).index(look.panel)
        for panel in self.panels.values():
            panel.show(look, self.cuts)
        self.show_exports(
            lambda: Downloads(LABELS, content, self.session.notify), lambda: command(self._path(), self.cuts, look)
        )

    def _why(self) -> str:
        if self.work.trouble:
            return self.work.trouble
        if not self.paths():
            return "Nothing is chosen: take a DL1 file with the button Data." if self.runtime.ready.is_set() else ""
        return "Opening the file …"
