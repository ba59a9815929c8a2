"""What the mouse and the buttons of the area tab do to the setup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dashboard.outlines import Point
from dashboard.tabs.area import drawn
from dashboard.tabs.area.export import content
from dashboard.tabs.area.finding import find
from dashboard.tabs.area.opening import confined
from dashboard.tabs.base import BaseTab
from detcore import area
from detcore.image import ThresholdOperation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dashboard.outlines import Outline
    from dashboard.sketch import Sketch
    from dashboard.tabs.area.desk import Desk
    from dashboard.tabs.area.work import Work

THRESHOLD = "histogram"  # name of the operation that the lines of the histogram change


class Editing(BaseTab):
    """The half of the tab that changes the setup; every change is one step of undo and is kept by itself."""

    desk: Desk
    work: Work
    sketch: Sketch
    dragged: area.Setup | None = None  # while a shape is under the mouse

    def edit(self, what: str, **sections: Any) -> bool:
        """Change the setup, as one step of undo; what is wrong is told, and False is returned."""
        self.dragged = None
        try:
            changed = self.desk.edit(what, **sections)
        except ValueError as error:
            self.complain(str(error))
            self.session.refresh()
            return False
        if (panel := self.panels.get(self.look.panel)) is not None:
            panel.complain("")
        self.edited()
        return changed

    def edited(self) -> None:
        """Show what was changed; keep it in the link."""
        self.desk.enter(self.group())
        edit = self.desk.token if self.desk.dirty else ""
        if edit != self.place.edit:
            self.place = self.place.checked(dict(self.place) | {"edit": edit})
        self.session.refresh()

    def act(self, work: Callable[[], None], where: str) -> None:
        """Do something that may go wrong; what is wrong is told in a panel."""
        self.dragged = None
        try:
            work()
        except (ValueError, OSError) as error:
            self.complain(str(error), where)
        self.edited()

    def complain(self, words: str, where: str = "") -> None:
        """Say what is wrong in a panel, the one that is open if no other is named."""
        panel = self.panels.get(where or self.look.panel)
        if panel is not None:
            panel.complain(words)
        if panel is None or (where and where != self.look.panel):
            self.session.notify(words, "error")

    def group(self) -> str:
        """Return what is edited: the setup file, or the data that the setup is for."""
        return str(self.desk.path) if self.desk.path is not None else "data " + "|".join(self.resolved())

    def resolved(self) -> tuple[str, ...]:
        """Return where the files with frames are."""
        raise NotImplementedError

    # --- drawing

    def on_added(self, outline: Outline) -> None:
        """Take what was drawn into the setup; a point is one of a ring."""
        if isinstance(outline, Point):
            self.work.points.append((outline.x, outline.y))
            self.session.refresh()
            return
        kind = self.sketch.kind
        what, sections = drawn.added(self.desk.setup, outline, kind)
        if self.edit(what, **sections) and kind == "roi":
            self.want(roi=self.desk.setup.rois[-1].name[:80])

    def on_changed(self, mark: str, outline: Outline) -> None:
        """Move a shape."""
        self._take(drawn.changed(self.desk.setup, mark, outline))

    def on_deleted(self, mark: str) -> None:
        """Delete a shape."""
        self.sketch.select(None)
        self._take(drawn.deleted(self.desk.setup, mark))

    def _take(self, change: tuple[str, dict[str, Any]] | None) -> None:
        if change is not None:
            what, sections = change
            self.edit(what, **sections)
        self.show_marks()  # also when nothing came of it: the shape returns

    def on_drag(self, mark: str | None, outline: Outline | None) -> None:
        """Follow a shape that is under the mouse, without an edit."""
        setup = self.desk.setup
        change = None
        if outline is not None and not isinstance(outline, Point):
            change = drawn.changed(setup, mark, outline) if mark else drawn.added(setup, outline, self.sketch.kind)
        try:
            self.dragged = setup.with_(**change[1]) if change is not None else None
        except ValueError:
            self.dragged = None
        self.session.refresh()

    def on_selected(self, mark: str | None) -> None:
        """Show what was selected in its list."""
        place = drawn.which(mark)
        if place is None:
            return
        if place.what == "roi" and place.place < len(self.desk.setup.rois):
            self.want(roi=self.desk.setup.rois[place.place].name[:80])
        elif place.what == "mask" and (panel := self.panels.get("mask")) is not None:
            panel.rows.select(f"mask-{place.place}")

    def select(self, row: str | None) -> None:
        """Select the mark of a row."""
        self.sketch.select(row)

    def draw(self, mode: Any, kind: Any = None) -> None:
        """Choose what the mouse draws next."""
        self.sketch.draw(mode, kind=kind)

    def show_marks(self) -> None:
        """Draw what the setup says."""
        self.sketch.show(drawn.marks_of(self.desk.setup))

    # --- the centre

    def forget_points(self) -> None:
        """Forget what was clicked on a ring."""
        self.work.points.clear()
        self.session.refresh()

    def pick(self, on: bool) -> None:
        """Let clicks on the image be points of a ring, or not any more."""
        self.draw("point" if on else None)
        self.on_mode("point" if on else None)

    def on_mode(self, mode: str | None) -> None:
        """Show what the mouse draws."""
        if (panel := self.panels.get("centre")) is not None:
            panel.picking(mode == "point")

    def find(self, how: str) -> None:
        """Look for the centre, or refine the distance."""
        self.act(lambda: find(self.work, how, self.desk.setup, self.look), "centre")

    def take_found(self) -> None:
        """Take over a centre that was found."""
        found = self.work.found()
        if found is not None:
            how, value = found
            if how in {"distance", "tilt"}:
                names = ("x", "y", "distance", "rot1", "rot2")
                changes = {name: getattr(value.geometry, name) for name in names}
            else:
                changes = {"x": value.x, "y": value.y}
            self.panel("centre").put(f"centre: {how}", **changes)

    # --- the histogram

    def coloured(self, low: float | None, high: float | None) -> None:
        """Take the ends of the colours."""
        self.want(low=low, high=high)

    def masked(self, low: float | None, high: float | None) -> None:
        """Let one threshold of the mask follow the lines of the histogram; without limits it goes."""
        mask = self.desk.setup.mask
        place = next((number for number, one in enumerate(mask) if is_histogram(one)), len(mask))
        kept = mask[:place] + mask[place + 1 :]
        if low is None and high is None:
            self.edit("no threshold", mask=kept)
            return
        operation = ThresholdOperation(name=THRESHOLD, image="image", low=low, high=high)
        self.edit("threshold of the histogram", mask=(*kept[:place], operation, *kept[place:]))

    def threshold(self) -> tuple[float | None, float | None]:
        """Return the threshold that the lines of the histogram change."""
        found: Any = next((one for one in self.desk.setup.mask if is_histogram(one)), None)
        return (found.low, found.high) if found is not None else (None, None)

    # --- files

    def load(self, path: Path) -> None:
        """Read a setup file."""
        confined(area.Setup.load(path), self.runtime.roots)
        self.desk.load(path)
        self.place = self.place.checked(dict(self.place) | {"setup": self.link_of((path,)) or "", "edit": ""})

    def saved(self, path: Path) -> None:
        """Keep in the link where the setup was saved."""
        self.place = self.place.checked(dict(self.place) | {"setup": str(path), "edit": ""})

    def take_text(self, words: str, name: str) -> None:
        """Take a setup that a viewer has written or uploaded."""
        try:
            setup = confined(area.Setup.from_yaml(words), self.runtime.roots)
        except ValueError as error:
            msg = f"{name[:80]}: {error}"
            raise ValueError(msg) from None
        self.desk.put(f"load {name[:80]}", setup)

    def export(self, name: str, convention: str) -> bytes:
        """Return an export; called in a thread."""
        return content(name, convention, self.desk.setup, self.work.evaluation, self.work.facts)

    def restore(self, token: str) -> None:
        """Go on with edits that were not saved."""
        self.desk.restore(token)


def is_histogram(operation: Any) -> bool:
    """Whether an operation is the threshold that the histogram changes."""
    return bool(operation.kind == "threshold" and operation.name == THRESHOLD)
