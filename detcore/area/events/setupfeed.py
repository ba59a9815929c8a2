"""The setup of a reduction that runs: it may be saved anew meanwhile, and the next chunk is reduced with it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from detcore.area.setup.setupfile import Setup
from detcore.core.source import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

AnySetup = "Setup | str | os.PathLike[str] | Callable[[], Setup] | None"


@dataclass
class SetupFeed:
    """Gives the setup of now, and remembers every version that was used.

    Parameters
    ----------
    given
        A setup, the name of its file, or a function that is asked before each chunk. None: an empty setup.
    follow
        Look at the file before each chunk, too.
    """

    given: Setup | str | os.PathLike[str] | Callable[[], Setup] | None = None
    follow: bool = False
    versions: list[Setup] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    _seen: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.given, Setup):
            self.versions.append(self.given)
        elif self.given is None:
            self.versions.append(Setup())
        elif callable(self.given):
            self._take(self.given())
        else:
            self._seen = _stamp(self.given)
            self.versions.append(Setup.load(self.given))

    @property
    def newest(self) -> Setup:
        """The version that was used last."""
        return self.versions[-1]

    def now(self) -> tuple[int, Setup]:
        """Return number, from 0, and content of the newest version; one that cannot be read is a problem, not an end."""
        try:
            if callable(self.given):
                self._take(self.given())
            elif self.follow and isinstance(self.given, (str, os.PathLike)):
                stamp = _stamp(self.given)
                if stamp != self._seen:
                    self._seen = stamp
                    self._take(Setup.load(self.given))
        except (OSError, ValueError) as error:
            told = Problem.of("setup", error)
            reason = f"{told.reason}; version {len(self.versions) - 1} stays in use"
            self.problems.append(Problem("setup", reason, 0))
        return len(self.versions) - 1, self.versions[-1]

    def _take(self, setup: Setup) -> None:
        if not self.versions or setup != self.versions[-1]:
            self.versions.append(setup)


def _stamp(path: str | os.PathLike[str]) -> tuple[int, ...]:
    facts = Path(path).stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
