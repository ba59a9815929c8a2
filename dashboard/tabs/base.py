"""What the tabs of all instruments have in common: what is wished, where it comes from, panels, the dialog with files."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import panel as pn
import panel_material_ui as pmui

from dashboard import urlstate
from dashboard.tabs.parts import BUTTON, LOWER_TABS, Chooser, text
from detcore.core.parameters import InvalidParameters, Parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dashboard.runtime import Runtime
    from dashboard.session import Session
    from dashboard.tabs.downloads import Downloads

PLACE_LENGTH = 1500  # of all paths in a link


class BaseTab:
    """The part of a tab that is the same for every instrument; see `dashboard.session.Tab`.

    A tab has three models, whose fields are the keys of its links: `place`, the files; `cuts`, what is counted of them;
    `look`, how it is looked at. Widgets never change what they show themselves: they change a model, by `go`, `cut` or
    `want`, and `update` shows it.

    Parameters
    ----------
    session, runtime
        Of this viewer and of this process.
    query
        What the link says.
    wall
        Whether this is a wall display: no controls, large text.
    """

    name: ClassVar[str]
    models: ClassVar[tuple[type[Parameters], type[Parameters], type[Parameters]]]  # of place, cuts and look
    names: ClassVar[Mapping[str, str]]  # of the panels: value of `look.panel` -> label
    endings: ClassVar[tuple[str, ...]]  # of the files that can be chosen

    place: Any
    cuts: Any
    look: Any

    def __init__(self, session: Session, runtime: Runtime, query: Mapping[str, str], wall: bool) -> None:
        self.session, self.runtime, self.wall = session, runtime, wall
        warn = partial(session.notify, level="warning")
        self.place, self.cuts, self.look = urlstate.models(self.models, query, warn)
        self.panels: dict[str, Any] = {}
        self._choosers: dict[str, Chooser] = {}
        self._exports: Downloads | None = None
        self._wishes: object = None

    # --- what is wanted

    def want(self, **changes: Any) -> None:
        """Look at it differently."""
        self._change("look", changes)

    def cut(self, cuts: Any) -> None:
        """Count something else."""
        self._set(cuts=cuts)

    def go(self, **changes: Any) -> None:
        """Take other files."""
        self._change("place", changes)

    def _change(self, name: str, changes: dict[str, Any]) -> None:
        now = getattr(self, name)
        try:
            self._set(**{name: now.checked(dict(now) | changes)})
        except InvalidParameters as error:
            self.session.notify(str(error), "warning")

    def _set(self, **changes: Parameters) -> None:
        if any(getattr(self, name) != value for name, value in changes.items()):
            for name, value in changes.items():
                setattr(self, name, value)
            self.session.refresh()

    def paths(self) -> tuple[str, ...]:
        """Return the files and folders that are shown: the chosen ones, else the demo."""
        if self.place.path:
            return tuple(self.place.path.split("|"))
        return tuple(map(str, self.runtime.demo(self.name) or ()))

    def state(self) -> dict[str, str]:
        """Return what a link needs."""
        return {key: value for model in (self.place, self.cuts, self.look) for key, value in model.to_query().items()}

    # --- files

    def button(self, label: str, icon: str, on_click: Callable[[Any], None]) -> pmui.Button:
        """Return a button of the top row."""
        return pmui.Button(label=label, icon=icon, on_click=on_click, **BUTTON)

    def toggle(self, label: str, icon: str) -> pmui.Button:
        """Return the button that opens and closes the column on the left."""
        return self.button(label, icon, lambda _: self.want(controls=not self.look.controls))

    def choose(self, label: str, icon: str, role: str) -> pmui.Button:
        """Return a button that opens the file browser, for the data or for what it is compared with."""
        title = "What to show" if role == "path" else "What to compare with"
        return self.button(label, icon, lambda _: self.open_dialog(role, title))

    def open_dialog(self, role: str, title: str) -> None:
        """Show the files; the dialog is made when it is first wanted, because most viewers never do."""
        if role not in self._choosers:
            chosen = partial(self.chosen, role)
            self._choosers[role] = Chooser(
                lambda: self.runtime.roots, self._folder(), self.endings_of(role), chosen, self.nothing(role)
            )
        shown = ", ".join(self.place.path.split("|")) if self.place.path else "the demo"
        lines = [f"Shown: {shown}" + (", followed live" if self.place.live else "")]
        if reference := getattr(self.place, "reference", ""):
            lines.append(f"Reference: {reference.replace('|', ', ')}")
        chooser = self._choosers[role]
        chooser.open(title, lines)
        if chooser.view not in self.dialogs:
            self.dialogs.append(chooser.view)  # open already: a change before its first drawing would be lost

    def _folder(self) -> Path | None:
        """Return the folder of what is shown, because what one looks for next is often near."""
        for path in self.paths()[:1]:
            with suppress(OSError):
                place = self.runtime.roots.resolve(path)
                return place if place.is_dir() else place.parent
        return self.runtime.home

    def endings_of(self, role: str) -> tuple[str, ...]:  # noqa: ARG002 - for those that take other files as reference
        """Return the endings of the files that can be chosen for a role."""
        return self.endings

    def nothing(self, role: str) -> Callable[[], None] | None:
        """Return what happens when nothing is wanted for a role; None if something must be."""
        return (lambda: self.go(reference="")) if role == "reference" else None

    def chosen(self, role: str, paths: tuple[Path, ...], live: bool) -> None:
        """Take files; those of other roles than "path" are what is compared with."""
        if (place := self.link_of(paths)) is None:
            return
        if role == "path":
            self.go(path=place, live=live)
        else:
            self.go(**{role: place})

    def link_of(self, paths: tuple[Path | str, ...]) -> str | None:
        """Return files as links hold them, relative to the first root if they are inside; None if that is too long."""
        first = self.runtime.roots.paths[:1]
        inside = (
            str(path.relative_to(first[0])) if first and path.is_relative_to(first[0]) else str(path)
            for path in map(Path, paths)
        )
        place = "|".join(dict.fromkeys(inside))
        if len(place) > PLACE_LENGTH:
            self.session.notify("too many files for one link; choose their folder instead", "warning")
            return None
        return place

    # --- the view

    def begin(self) -> None:
        """Make what every view has."""
        self.message = text()
        self.message.visible = False
        self.dialogs = pn.Row(width=0, height=0, margin=0)
        self.exports_place = pn.Column(sizing_mode="stretch_height", margin=0, visible=False)
        self.places = {name: pn.Column(sizing_mode="stretch_both", margin=0) for name in self.names}

    def lower_tabs(self, *stylesheets: str, flex: str = "1 1 0") -> pn.Tabs:
        """Return the panels as tabs."""
        self.panel(self.look.panel)
        self.lower = pn.Tabs(
            *((label, self.places[name]) for name, label in self.names.items()),
            dynamic=True, sizing_mode="stretch_both", margin=0, active=list(self.names).index(self.look.panel),
            styles={"flex": flex}, stylesheets=[LOWER_TABS, *stylesheets],
        )  # fmt: skip
        self.lower.param.watch(lambda event: self.want(panel=list(self.names)[event.new]), "active")
        return self.lower

    def makers(self) -> Mapping[str, Callable[[], Any]]:
        """Return how each panel is built."""
        raise NotImplementedError

    def panel(self, name: str) -> Any:
        """Return a panel; built when it is first shown, because each figure costs time at every start of a page."""
        if name not in self.panels:
            panel = self.panels[name] = self.makers()[name]()
            if hasattr(panel, "close"):
                self.session.on_close(panel.close)
            self.places[name].append(panel.view)
            self._wishes = None
        return self.panels[name]

    def news(self, *more: object) -> bool:
        """Whether what is wished has changed since the last call; widgets are slow even where nothing changes."""
        wishes = (self.place, self.cuts, self.look, self.paths(), *more)
        changed = wishes != self._wishes
        self._wishes = wishes
        return changed

    def show_exports(self, make: Callable[[], Downloads], command: Callable[[], str]) -> None:
        """Open or close the column of exports, which is built when it is first wanted."""
        if self.look.controls and self._exports is None:
            self._exports = make()
            self.exports_place.append(self._exports.view)
        self.exports_place.visible = self.look.controls
        if self._exports is not None:
            self._exports.say(command())

    def say(self, words: str) -> None:
        """Show a message above everything; nothing hides it."""
        if words != self.message.text:
            self.message.param.update(text=words, visible=bool(words))
