"""What all panels beside the cameras have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from panel.viewable import Viewable

    from dashboard.tabs.dl1.look import Look
    from dashboard.tabs.dl1.results import Facts, Results
    from detcore import dl1


@dataclass(frozen=True, eq=False)
class Now:
    """What there is to show.

    Parameters
    ----------
    look, cuts
        What is wished.
    facts
        Of the file.
    results
        Of the newest snapshots; None until there are some.
    event
        The one that is shown; None until it is read.
    image
        Of the telescope that is shown; None if the event has none.
    """

    look: Look
    cuts: dl1.Cuts
    facts: Facts
    results: Results | None
    event: dl1.Event | None
    image: dl1.OneCamera | None


class Panel(ABC):
    """One of the panels."""

    view: Viewable

    def show(self, look: Look, cuts: dl1.Cuts) -> None:  # noqa: B027 - some panels have no widgets
        """Bring the widgets to what is wished."""

    @abstractmethod
    def fill(self, now: Now) -> None:
        """Draw what there is; called often, so what is drawn already must cost little."""

    def close(self) -> None:  # noqa: B027 - most have nothing to stop
        """Let go of what outlives the page."""


class Memory:
    """Remembers what was drawn, by identity, so that it is drawn once."""

    def __init__(self) -> None:
        self._held: tuple[object, ...] = ()

    def new(self, *things: object) -> bool:
        """Whether one of these is another one than at the last call."""
        same = len(things) == len(self._held) and all(
            one is two or (isinstance(one, str | int | float | tuple | bool) and one == two)
            for one, two in zip(things, self._held, strict=True)
        )
        self._held = things
        return not same
