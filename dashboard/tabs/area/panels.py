"""What the panels beside the image have in common, and what each of them is given to draw."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import panel_material_ui as pmui

from dashboard.tabs.parts import SMALL, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from panel.viewable import Viewable

    from dashboard.runtime import Runtime
    from dashboard.session import Session
    from dashboard.tabs.area.desk import Desk
    from dashboard.tabs.area.look import Cuts, Look
    from dashboard.tabs.area.science import Evaluation, Facts, Picture
    from dashboard.tabs.area.work import Work

BUTTON: dict[str, Any] = {
    "size": "small", "variant": "outlined", "margin": (4, 3),
    "sx": {"textTransform": "none", "whiteSpace": "nowrap", "padding": "3px 8px", "fontSize": SMALL},
}  # fmt: skip
UPLOAD: dict[str, Any] = {
    "multiple": False,
    "variant": "outlined",
    "size": "small",
    "margin": (4, 3),
    "sx": BUTTON["sx"],
}
TIGHT: dict[str, Any] = {"sizing_mode": "stretch_width", "margin": 0, "align_items": "center"}
WARN = "#d93636"
TOP: dict[str, Any] = {"padding-top": "9px", "box-sizing": "border-box"}  # labels of fields stand above their frames


@dataclass(frozen=True, eq=False)
class Now:
    """What there is to show; what is None has not come yet."""

    look: Look
    cuts: Cuts
    desk: Desk
    facts: Facts | None
    picture: Picture | None
    evaluation: Evaluation | None
    work: Work


class Acts(Protocol):
    """What a panel can ask of its tab."""

    desk: Desk
    session: Session
    runtime: Runtime
    look: Look
    work: Work

    def want(self, **changes: Any) -> None:
        """Look at it differently."""

    def edit(self, what: str, **sections: Any) -> bool:
        """Change the setup, as one step of undo; what is wrong is told, and False is returned."""

    def act(self, work: Callable[[], None], where: str) -> None:
        """Do something that may go wrong; what is wrong is told in a panel."""

    def select(self, row: str | None) -> None:
        """Select what a row stands for on the image."""

    def draw(self, mode: Any, kind: Any = None) -> None:
        """Choose what the mouse draws next."""

    def forget_points(self) -> None:
        """Forget what was clicked on a ring."""


class Panel(ABC):
    """One of the panels."""

    view: Viewable

    def __init__(self) -> None:
        self.error = text(color=WARN)
        self.error.visible = False
        self.quiet = False
        self._told = {"done": "", "found": ""}

    def complain(self, words: str) -> None:
        """Say what is wrong with what somebody did, until something else is done; nothing takes it away."""
        self._tell("done", words)

    def report(self, words: str) -> None:
        """Say what is wrong with what is shown; nothing takes it away."""
        self._tell("found", words)

    def _tell(self, about: str, words: str) -> None:
        self._told[about] = words
        shown = "\n".join(filter(None, dict.fromkeys(self._told.values())))
        if shown != self.error.text:
            self.error.param.update(text=shown, visible=bool(shown))

    @abstractmethod
    def show(self, now: Now) -> None:
        """Bring the widgets to what is wished."""

    @abstractmethod
    def fill(self, now: Now) -> None:
        """Draw results."""


def button(label: str, on_click: Callable[[Any], Any], tip: str = "", **more: Any) -> pmui.Button:
    """Return a small button."""
    if tip:
        more |= {"description": f"{label}: {tip}", "description_delay": 800}
    return pmui.Button(label=label, on_click=on_click, **BUTTON | more)


def digits(value: float | None, figures: int = 4) -> str:
    """Return a number in a few digits, thousands grouped.

    Examples
    --------
    >>> digits(1234567.0), digits(0.012345), digits(float("nan")), digits(None)
    ('1,234,567', '0.01234', '-', '-')
    """
    if value is None or not abs(value) < float("inf"):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 10 ** (figures - 1) else f"{value:.{figures}g}"
