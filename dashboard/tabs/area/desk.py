"""The setup that one person edits: undo and redo, autosave, and who else edits the same one."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detcore import area
from detcore.core.paths import Roots, atomic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STEPS = 100  # of undo
KEPT = 200  # autosaves; the oldest go first
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
LONGEST = 80  # characters of the name of a file
ENDING = ".yaml"
HEAD = "# unsaved edits of "

_WRITER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="area-autosave")


class Conflict(OSError):
    """Somebody else has changed the file since it was read."""


@dataclass(frozen=True)
class Autosave:
    """Unsaved edits that are on the disk."""

    token: str
    of: str
    time: float


class Editors:
    """Who edits which setup in this process; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: dict[str, dict[str, Desk]] = {}

    def move(self, desk: Desk, old: str, new: str) -> None:
        """Let somebody leave one group and join another; both are told."""
        with self._lock:
            group = self._groups.get(old, {})
            group.pop(desk.who, None)
            told = list(group.values())
            if not group:
                self._groups.pop(old, None)
            if new:
                told += self._groups.get(new, {}).values()
                self._groups.setdefault(new, {})[desk.who] = desk
        for other in told:
            other.wake()

    def others(self, desk: Desk) -> list[Desk]:
        """Return who else is in the group of somebody."""
        with self._lock:
            return [other for who, other in self._groups.get(desk.group, {}).items() if who != desk.who]


EDITORS = Editors()


class Desk:
    """One person's setup: every edit replaces an immutable value, so undo keeps the old one.

    Parameters
    ----------
    folder
        Where autosaves go; there as soon as there is one.
    wake
        Called, from any thread, when somebody else came, left, changed or saved.
    token
        Of edits to go on with; a new one is made if it is empty.
    """

    def __init__(self, folder: Path, wake: Callable[[], None], token: str = "") -> None:
        self.folder, self.wake = folder, wake
        self.who = secrets.token_hex(6)
        self.token = token
        self.group = ""
        self.setup = area.Setup()
        self.path: Path | None = None
        self.changed_at = 0.0
        self.saved_at = 0.0
        self.version = 0
        self._stored = self.setup
        self._stamp: tuple[int, int] | None = None
        self._refused: tuple[Path, tuple[int, int] | None] | None = None
        self._past: deque[tuple[str, area.Setup]] = deque(maxlen=STEPS)
        self._future: list[tuple[str, area.Setup]] = []
        self.problem = ""  # of the autosave

    # --- edits

    @property
    def dirty(self) -> bool:
        """Whether there is something that is in no file but the autosave."""
        return self.setup != self._stored

    @property
    def undoable(self) -> str:
        """What undo would take back, in words; nothing if there is nothing."""
        return self._past[-1][0] if self._past else ""

    @property
    def redoable(self) -> str:
        """What redo would do again, in words."""
        return self._future[-1][0] if self._future else ""

    def edit(self, what: str, **sections: Any) -> bool:
        """Replace sections of the setup, one step of undo.

        Parameters
        ----------
        what
            In words, for the tips of undo and redo.
        **sections
            Fields of `area.Setup`.

        Returns
        -------
        bool
            Whether anything is different now.

        Raises
        ------
        ValueError
            The setup would be impossible.
        """
        setup = type(self.setup).model_validate(dict(self.setup) | sections)
        return self.put(what, setup)

    def put(self, what: str, setup: area.Setup) -> bool:
        """Replace the whole setup; see `edit`."""
        if setup == self.setup:
            return False
        self._past.append((what, self.setup))
        self._future.clear()
        self._become(setup)
        return True

    def undo(self) -> None:
        """Take the last edit back, if there is one."""
        if self._past:
            what, setup = self._past.pop()
            self._future.append((what, self.setup))
            self._become(setup)

    def redo(self) -> None:
        """Do again what was taken back, if nothing was edited since."""
        if self._future:
            what, setup = self._future.pop()
            self._past.append((what, self.setup))
            self._become(setup)

    def _become(self, setup: area.Setup) -> None:
        self.setup = setup
        self.version += 1
        self.changed_at = time.time()
        if not self.token:
            self.token = new_token()
        _WRITER.submit(self._autosave, self.version)
        for other in EDITORS.others(self):
            other.wake()

    # --- files

    def start(self, setup: area.Setup, path: Path | None = None) -> None:
        """Begin with a setup: of a file, of the data, or an empty one."""
        self.leave()
        self.setup = self._stored = setup
        self.path, self._stamp = path, stamp_of(path)
        self.token = ""  # else the edits of what was there before would be written over
        self._past.clear()
        self._future.clear()
        self.version += 1

    def load(self, path: Path) -> None:
        """Read a setup file; what was there before can be had back by undo.

        Raises
        ------
        OSError, ValueError
            It cannot be read; nothing has changed then.
        """
        stamp = stamp_of(path)
        setup = area.Setup.load(path)
        self.put(f"load {path.name}", setup)
        self._stored, self.path, self._stamp = setup, path, stamp

    def save(self, path: Path, *, replace: bool = False) -> None:
        """Write the setup file.

        Parameters
        ----------
        path
            The file.
        replace
            Whether a file that somebody else has written or changed is replaced, if it still is what it was when that
            was refused. What was in it is kept among the unsaved edits of that file.

        Raises
        ------
        Conflict
            It was changed since it was read, or is another file.
        OSError
            It cannot be written.
        """
        now = stamp_of(path)
        strange = now is not None and (path != self.path or now != self._stamp)
        if strange and not (replace and self._refused == (path, now)):
            self._refused = (path, now)
            since = "was changed by somebody else since it was read" if path == self.path else "exists already"
            msg = f"{path.name} {since}: load it, save under another name, or press Save once more to replace it"
            raise Conflict(msg)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if strange:
            self._keep(path)
        self.setup.save(path)
        self._refused = None
        self._stored, self.path, self._stamp = self.setup, path, stamp_of(path)
        self.saved_at = time.time()
        for other in EDITORS.others(self):
            other.wake()

    def _keep(self, path: Path) -> None:
        """Keep what is in a file that is replaced now among the unsaved edits."""
        with contextlib.suppress(UnicodeDecodeError):  # then it is no setup
            text = path.read_text(encoding="utf-8")
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with atomic(self.folder / f"{new_token()}{ENDING}") as aside:
                aside.write_text(f"{HEAD}{one_line(str(path))}\n{text}", encoding="utf-8")

    @property
    def outdated(self) -> bool:
        """Whether the file is not any more what was read or written here last."""
        return self.path is not None and stamp_of(self.path) != self._stamp

    def _autosave(self, version: int) -> None:
        if version != self.version or not self.token:
            return  # a newer one will come
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            text = self.setup.to_yaml()
            with atomic(self.folder / f"{self.token}{ENDING}") as aside:
                aside.write_text(f"{HEAD}{one_line(self.group)}\n{text}")
            old = sorted(self.folder.glob(f"*{ENDING}"), key=lambda path: path.stat().st_mtime)
            for path in old[:-KEPT]:
                path.unlink(missing_ok=True)
            self.problem = ""
        except (OSError, ValueError) as error:
            self.problem = f"the edits cannot be kept on the disk: {error}"
            self.wake()

    def restore(self, token: str) -> bool:
        """Go on with edits that were not saved; whether there are any.

        Raises
        ------
        OSError, ValueError
            They cannot be read.
        """
        path = self.folder / f"{token}{ENDING}"
        if not path.is_file():
            return False
        setup = area.Setup.load(path)
        self.put("restore unsaved edits", setup)
        self.token = token
        return True

    # --- people

    def enter(self, group: str) -> None:
        """Say which setup is edited: its file, or the data that it is for."""
        if group != self.group:
            old, self.group = self.group, group
            EDITORS.move(self, old, group)

    def leave(self) -> None:
        """Say that nobody is here any more."""
        old, self.group = self.group, ""
        EDITORS.move(self, old, "")

    def warning(self) -> str:
        """Return in words who else edits this setup, and what became of its file; nothing if all is well."""
        words = []
        others = EDITORS.others(self)
        if others:
            latest = max(max(other.changed_at, other.saved_at) for other in others)
            people = "One other person edits" if len(others) == 1 else f"{len(others)} other people edit"
            last = f", last change {time.strftime('%H:%M:%S', time.localtime(latest))}" if latest else ""
            words.append(f"{people} this setup too{last}: each has an own copy, and who saves later is asked first.")
        if self.outdated:
            assert self.path is not None
            words.append(f"{self.path.name} was changed on the disk by somebody else: load it again to see that.")
        if self.problem:
            words.append(self.problem)
        return " ".join(words)


def new_token() -> str:
    """Return the name of unsaved edits, which nobody can guess."""
    return "".join(secrets.choice(LETTERS) for _ in range(12))


def stamp_of(path: Path | None) -> tuple[int, int] | None:
    """Return what tells one state of a file from another; None if it is not there."""
    if path is None:
        return None
    with contextlib.suppress(OSError):
        facts = path.stat()
        return facts.st_mtime_ns, facts.st_size
    return None


def one_line(words: str) -> str:
    """Return text without what would end a comment.

    Examples
    --------
    >>> one_line("a" + chr(10) + "b: c")
    'a b: c'
    """
    return "".join(sign if sign.isprintable() else " " for sign in words)[:500]


def autosaves(folder: Path, of: str, limit: int = 12) -> list[Autosave]:
    """Return the unsaved edits of a setup or of data, the newest first."""
    found = []
    paths = sorted(folder.glob(f"*{ENDING}"), key=lambda path: stamp_of(path) or (0, 0), reverse=True)
    for path in paths[:KEPT]:
        with contextlib.suppress(OSError, ValueError), path.open(encoding="utf-8") as file:
            head = file.readline(600).rstrip("\n")
            if head.startswith(HEAD) and head.removeprefix(HEAD) == one_line(of):
                found.append(Autosave(path.stem, of, path.stat().st_mtime))
    return found[:limit]


def target_of(folder: Path, name: str) -> Path:
    """Return where a setup of that name goes.

    Raises
    ------
    ValueError
        The name is empty, too long, hidden, or holds more than a name.
    """
    wanted = name.strip()
    wanted = wanted if not wanted or wanted.endswith((ENDING, ".yml")) else wanted + ENDING
    if not wanted or len(wanted) > LONGEST or wanted.startswith(".") or any(sign in wanted for sign in "/\\|\0"):
        msg = f"{name[:LONGEST]!r} is no name for a setup: give one without folders, for instance run12.yaml"
        raise ValueError(msg)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Roots.of([folder]).resolve(wanted)
