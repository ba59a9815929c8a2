"""Area detectors: regions, mask, centre and common mode set up with the mouse, kept in one setup file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import panel as pn
from typing_extensions import override

from dashboard.feeds import FeedRequest
from dashboard.sketch import Sketch
from dashboard.tabs.area.average import SPECIAL, asked_of, frames_of, picture_of
from dashboard.tabs.area.centrepanel import CentrePanel
from dashboard.tabs.area.commonpanel import CommonPanel
from dashboard.tabs.area.desk import Desk
from dashboard.tabs.area.editing import Editing
from dashboard.tabs.area.image import ImagePanel
from dashboard.tabs.area.levels import Levels
from dashboard.tabs.area.look import ENDINGS, PANELS, SETUP_ENDINGS, Cuts, Look, Place
from dashboard.tabs.area.maskpanel import MaskPanel
from dashboard.tabs.area.opening import options_of, setup_for
from dashboard.tabs.area.panels import Now, Panel
from dashboard.tabs.area.profilepanel import ProfilePanel
from dashboard.tabs.area.roipanel import RoiPanel
from dashboard.tabs.area.science import Wish, arrays_of, headline
from dashboard.tabs.area.setuppanel import SetupPanel
from dashboard.tabs.area.topbar import TopBar
from dashboard.tabs.area.valuespanel import ValuesPanel
from dashboard.tabs.area.work import Work
from dashboard.tabs.background import beside
from dashboard.tabs.headline import Headline
from dashboard.tabs.parts import column, text
from dashboard.views.maskover import MaskOver
from detcore import area

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from panel.viewable import Viewable

    from dashboard.runtime import Runtime
    from dashboard.session import Session
    from detcore.core.run import Snapshot

NARROW = ".bk-header .bk-tab { padding: 6px 8px !important; }"  # all of them fit on a laptop


class Tab(Editing):
    """The tab of one viewer; see `dashboard.tabs.base.BaseTab`."""

    title = "Area detectors"
    name, names, endings = "area", PANELS, ENDINGS
    models = (Place, Cuts, Look)

    def __init__(self, session: Session, runtime: Runtime, query: Mapping[str, str], wall: bool) -> None:
        super().__init__(session, runtime, query, wall)
        self.work = Work(session.refresh)
        self.desk = Desk(runtime.outputs / "area" / "autosave", session.refresh, self.place.edit)
        session.on_close(self.desk.leave)
        session.on_close(self.work.close)
        self.dragged: area.Setup | None = None  # while a shape is under the mouse
        self._begun: tuple[tuple[str, ...], str | None] | None = None
        self._wanted: object = None
        self.complained = ""  # why there are no averages
        self._keys: tuple[str, ...] = ()
        self._arrays: dict[str, Any] = {}
        self._arrays_of: object = None

    # --- the protocol

    def feeds(self) -> tuple[str, ...]:
        """Return the key of the averages, and that of medians or hits where they are wished."""
        facts, setup = self.work.facts, self.desk.setup
        if facts is None or self._begun is None:
            return ()
        wanted = (
            facts.key,
            self.cuts,
            self.place.live,
            setup.common_mode,
            setup.calibration,
            setup.detector,
            setup.filters,
        )
        try:
            cuts = self.cuts
            self.work.ask(wanted, lambda: asked_of(facts, setup, cuts))
        except (OSError, ValueError) as error:
            self.complained = str(error)
            return self._keys
        self.complained = ""
        asked = (self.work.asked, self.paths(), self.place.live, self._reading(), self.look.image)
        if asked != self._wanted:
            self._wanted = asked
            self._keys = self._open()
        return self._keys

    def _reading(self) -> tuple[tuple[str, Any], ...]:
        return options_of(self.place, self.desk.setup)

    def _open(self) -> tuple[str, ...]:
        paths, asked = self.data(), self.work.asked
        if not paths or asked is None:
            return ()
        options = (*self._reading(), *frames_of(self.cuts))
        wanted = [asked.plain]
        if self.look.image in SPECIAL:
            wanted.append(getattr(asked, self.look.image))
        try:
            requests = [FeedRequest(self.name, paths, self.place.live, one, options) for one in wanted]
            return tuple(map(self.runtime.feeds.open, requests))
        except (PermissionError, ValueError) as error:
            self.session.notify(str(error), "error")
            return ()

    def data(self) -> tuple[str, ...]:
        """Return the files with frames: the chosen ones, or the run of the demo."""
        paths = tuple(path for path in self.paths() if not path.endswith(SETUP_ENDINGS))
        return paths if self.place.path else paths[:1]

    @override
    def resolved(self) -> tuple[str, ...]:
        """Return where the files with frames are."""
        found = []
        for path in self.data():
            try:
                found.append(str(self.runtime.roots.resolve(path)))
            except (OSError, ValueError):
                return ()
        return tuple(found)

    # --- the view

    def view(self) -> Viewable:
        """Build the tab."""
        wall = self.wall
        run = beside(pn.state.curdoc)
        self.headline = Headline(wall=wall)
        self.image = ImagePanel(self.want, run, wall=wall)
        self.over = MaskOver(self.image.image, run=run, wall=wall)
        self.people = text(color="#d98200")
        self.people.visible = False
        self.begin()
        return self._wall_view() if wall else self._full_view()

    def _wall_view(self) -> Viewable:
        self.panel("profile")
        body = pn.Row(
            column(self.image.body(), flex="6 1 0"), column(self.places["profile"], flex="5 1 0"),
            sizing_mode="stretch_both", margin=0,
        )  # fmt: skip
        return pn.Column(self.headline.pane, self.message, body, sizing_mode="stretch_both", margin=(0, 10))

    def _full_view(self) -> Viewable:
        self.sketch = Sketch(
            self.image.figure, on_add=self.on_added, on_change=self.on_changed, on_delete=self.on_deleted,
            on_select=self.on_selected, on_drag=self.on_drag, on_undo=lambda: self.act(self.desk.undo, "mask"),
            on_redo=lambda: self.act(self.desk.redo, "mask"), on_draw=self.on_mode, kinds=("add", "subtract", "roi"),
        )  # fmt: skip
        self.levels = Levels(self.coloured, self.masked, self.want)
        self.top = TopBar(self)
        lower = self.lower_tabs(NARROW, flex="9 1 0")
        body = self.image.body()
        body.styles = {"flex": "1 1 0"}
        # beside the image, not below: most detectors are as high as wide, and screens are wide
        pictures = pn.Row(body, self.levels.view, sizing_mode="stretch_both", margin=0)
        left = column(self.image.bar, self.sketch.view, pictures, flex="11 1 0")
        main = pn.Row(left, lower, sizing_mode="stretch_both", margin=0)
        top = pn.Row(*self.top.parts, self.headline.pane, self.dialogs, sizing_mode="stretch_width", margin=0)
        return pn.Column(top, self.message, self.people, main, sizing_mode="stretch_both", margin=(0, 8))

    @override
    def makers(self) -> dict[str, Callable[[], Panel]]:
        """Return how each panel is built."""
        return {
            "mask": lambda: MaskPanel(self, lambda: self.open_dialog("mask", "A mask to add")),
            "rois": lambda: RoiPanel(self),
            "profile": lambda: ProfilePanel(self, wall=self.wall),
            "centre": lambda: CentrePanel(self, tuple(area.CALIBRANTS), self.pick, self.find),
            "common": lambda: CommonPanel(self),
            "setup": lambda: SetupPanel(self, lambda: self.open_dialog("setup", "A setup to load")),
            "values": lambda: ValuesPanel(self),
        }

    @override
    def endings_of(self, role: str) -> tuple[str, ...]:
        if role == "setup":
            return SETUP_ENDINGS
        return (*ENDINGS, ".txt", ".data") if role == "mask" else ENDINGS

    @override
    def chosen(self, role: str, paths: tuple[Path, ...], live: bool) -> None:
        """Take data, a setup, or a mask."""
        if role == "setup" and paths:
            self.act(lambda: self.load(paths[0]), "setup")
        elif role == "mask" and paths:
            self.panel("mask").from_file(str(paths[0]))
        elif role == "path" and (place := self.link_of(paths)) is not None:
            self.want(frame=0, low=None, high=None)
            self.go(path=place, live=live, setup="", edit="")

    # --- what is shown

    def update(self, snapshots: Mapping[str, Snapshot]) -> None:
        """Show the newest snapshots and what was wished since."""
        panel = "profile" if self.wall else self.look.panel
        self.panel(panel)
        facts = self.work.open(self.resolved(), dict(self._reading()))
        self._begin(facts)
        self.take_found()
        self.work.listen()
        now = Now(self.look, self.cuts, self.desk, facts, self.work.picture, self.work.evaluation, self.work)
        if not self.wall:
            self._show_wishes(now)
        if facts is None:
            self.say(self._why())
            return
        snapshot = snapshots.get(self._keys[0]) if self._keys else None
        special = snapshots.get(self._keys[1]) if len(self._keys) > 1 else None
        data = snapshot.data if snapshot is not None else None
        shown = (special.data if special is not None else None) if self.look.image in SPECIAL else data
        setup = self.dragged or self.desk.setup
        words = self.work.asked.threshold if self.work.asked is not None else ""
        try:
            picture = picture_of(self.work, facts, shown, self.look, self.cuts, self.desk.setup, words)
        except (OSError, ValueError, KeyError, IndexError) as error:
            self.say(str(error))
            return
        self._notice(snapshot, picture)
        if picture is None:
            return
        evaluation = self.work.evaluate(setup, self._arrays_for(facts, data), self._wish(panel))
        self._draw(Now(self.look, self.cuts, self.desk, facts, picture, evaluation, self.work), snapshot)

    def _notice(self, snapshot: Snapshot | None, picture: object) -> None:
        if self.complained:
            self.say(self.complained)
        elif picture is None and not self._keys:
            self.say("Looking at the first frame …")
        elif picture is None and snapshot is None and self._keys:
            status = self.runtime.feeds.status(self._keys[0])
            self.say(status.reason or "Averaging the first frames …")
        elif snapshot is not None and snapshot.problems:
            self.say("; ".join(map(str, snapshot.problems[:2])))
        else:
            self.say("")

    def _begin(self, facts: Any) -> None:
        """Begin with the setup of the link, of the demo, or of the data; then go on with unsaved edits."""
        begun = (self.resolved(), self.place.setup if self.desk.path is None else None)
        if facts is None or begun == self._begun or (self._begun is not None and self._begun[0] == begun[0]):
            return
        self._begun = begun
        try:
            setup, path = setup_for(self.place, self.paths(), facts, self.runtime.roots)
        except (OSError, ValueError) as error:
            self.session.notify(f"setup: {error}", "error")
            setup, path = setup_for(self.place.checked(dict(self.place) | {"setup": ""}), (), facts, self.runtime.roots)
        self.desk.start(setup, path)
        self.session.refresh()  # now it is known what is averaged
        if self.place.edit:
            try:
                if self.desk.restore(self.place.edit):
                    self.desk.enter(self.group())
                else:
                    self.session.notify("the unsaved edits of this link are not there any more", "warning")
                    self.place = self.place.checked(dict(self.place) | {"edit": ""})
            except (OSError, ValueError) as error:
                self.session.notify(f"unsaved edits: {error}", "error")

    def _wish(self, panel: str) -> Wish:
        look = self.look
        return Wish(
            panel, look.cake, look.rings, look.calibrant, look.lowest, look.highest, look.low, look.high,
            quick=self.dragged is not None,
        )  # fmt: skip

    def _arrays_for(self, facts: Any, data: Any) -> dict[str, Any]:
        """Return what operations of the mask look at, by name."""
        if self._arrays_of != (id(facts), id(data)):
            self._arrays_of, self._arrays = (id(facts), id(data)), arrays_of(facts, data, self.work.picture)
        return self._arrays

    def _show_wishes(self, now: Now) -> None:
        """Bring the widgets to what is wished."""
        if not self.news(now.facts, self.desk.version, self.desk.warning()):
            return
        self.image.show(self.look, now.facts.n_frames if now.facts is not None else 0)
        self.top.show(now)
        self.lower.active = list(PANELS).index(self.look.panel)
        self.panels[self.look.panel].show(now)
        self.show_marks()
        self.sketch.can(undo=bool(self.desk.undoable), redo=bool(self.desk.redoable))
        words = self.desk.warning()
        if words != self.people.text:
            self.people.param.update(text=words, visible=bool(words))

    def _draw(self, now: Now, snapshot: Snapshot | None) -> None:
        picture, evaluation, look = now.picture, now.evaluation, self.look
        assert picture is not None
        self.image.fill(picture, evaluation, look)
        self.headline.show(headline(now, snapshot))
        if evaluation is None:
            return
        self.over.visible = look.mask
        self.over.show(evaluation.raster)
        geometry = self.desk.setup.geometry
        self.image.overlay(evaluation.rings, (geometry.x, geometry.y) if geometry is not None else None)
        self.panel("profile" if self.wall else look.panel).fill(now)
        if self.wall:
            return
        self.image.picked(self.work.points)
        if evaluation.limits is None:
            return  # a shape is being dragged, or nothing is left
        self.levels.fill(evaluation.edges, evaluation.histogram, f"Value of a pixel ({picture.unit})")
        self.levels.show(evaluation.limits, self.threshold(), (look.lowest, look.highest))

    def _why(self) -> str:
        if self.work.trouble:
            return self.work.trouble
        if not self.data():
            return "Nothing is chosen: take frames with the button Data." if self.runtime.ready.is_set() else ""
        if not self.resolved():
            return f"{', '.join(self.data())[:300]}: not inside the data roots, or not there."
        return "Opening the files …"
