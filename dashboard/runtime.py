"""One per process: settings, store, feeds, demo data, warmed kernels, the log of notices."""

from __future__ import annotations

import itertools
import json
import secrets
import shutil
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

from dashboard.feeds import Feeds
from dashboard.settings import Settings
from detcore.core.paths import Roots
from detcore.core.source import Instrument, Problem, instruments
from detcore.core.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from dashboard.session import Session

Level = Literal["info", "warning", "error"]
LOGGED = 200  # notices that are kept
LISTING = ".files.json"  # which of a demo's files are its data


@dataclass(frozen=True)
class Notice:
    """One line of the log; `text` is foreign and shown as text only."""

    time: float
    level: Level
    text: str


@dataclass
class Notices:
    """A bounded log; `version` grows with every line. Safe from any thread."""

    version: int = 0
    _lines: deque[Notice] = field(default_factory=lambda: deque(maxlen=LOGGED))

    def add(self, text: str, level: Level = "info") -> None:
        """Write a line."""
        self._lines.append(Notice(time.time(), level, text[:1000]))
        self.version += 1

    def lines(self) -> tuple[Notice, ...]:
        """Return the lines, oldest first."""
        return tuple(self._lines.copy())


class Runtime:
    """What all sessions of a process share.

    Parameters
    ----------
    settings
        What the operator decided.
    feeds
        Tests bring their own.
    """

    def __init__(self, settings: Settings, store: Store | None = None, feeds: Feeds | None = None) -> None:
        self.settings = settings
        self.instance = secrets.token_hex(8)
        self.began = time.monotonic()
        self.notices = Notices()
        self.sessions: set[Session] = set()
        self.store = store or Store(on_viewers=self._viewers)
        self.feeds = feeds or Feeds(
            self.store, lambda: self.roots, linger_s=settings.linger_s, results=settings.results
        )
        self.instruments, broken = instruments()
        for problem in broken:
            self.notices.add(str(problem), "error")
        self.ready = threading.Event()
        self._demos: dict[str, tuple[Path, ...]] = {}
        self._numbers = itertools.count()

    @property
    def roots(self) -> Roots:
        """Where viewers may read: the configured folders, else the demo files; and what viewers have written."""
        written = (self.outputs,) if self.outputs.is_dir() and any(self.outputs.iterdir()) else ()
        return Roots.of((*(self.settings.roots or (self.settings.cache / "demo",)), *written))

    @property
    def home(self) -> Path | None:
        """Where one begins to look for files; None for the list of the roots, when several are configured."""
        return self.roots.paths[0] if len(self.settings.roots) <= 1 else None

    @property
    def outputs(self) -> Path:
        """The folder for files that viewers write; there as soon as there is one."""
        return self.settings.cache / "outputs"

    @property
    def uptime(self) -> float:
        """Seconds since this process began to serve."""
        return time.monotonic() - self.began

    @property
    def shows_demo(self) -> bool:
        """Whether no data root is configured."""
        return not self.settings.roots

    def demo(self, name: str) -> tuple[Path, ...] | None:
        """Return the demo files of an instrument; None while they are being written or if data roots are set."""
        return self._demos.get(name) if self.shows_demo else None

    def _viewers(self, key: str, count: int) -> None:
        self.feeds.viewers_changed(key, count)

    def start(self) -> None:
        """Prepare the demo and the kernels in a thread; a second call does nothing."""
        if next(self._numbers) == 0:
            threading.Thread(target=self._prepare, name="prepare", daemon=True).start()

    def stop(self) -> None:
        """Stop the feeds."""
        self.feeds.close()

    def wake_all(self) -> None:
        """Let every session look again."""
        for session in tuple(self.sessions):
            session.wake()

    def _prepare(self) -> None:
        for name, instrument in self.instruments.items():
            try:
                if self.shows_demo:
                    self._demos[name] = write_demo(instrument, self.settings.cache)
                    self.wake_all()
                instrument.warm()
            except Exception as error:  # noqa: BLE001 - one broken instrument must not take the others along
                self.notices.add(str(Problem.of(f"preparing {name}", error)), "error")
        self.ready.set()
        self.wake_all()


def write_demo(instrument: Instrument, cache_folder: Path) -> tuple[Path, ...]:
    """Write an instrument's demo files once and return them.

    Two servers that start together both write; the first to finish wins, and both use its files.
    """
    folder = cache_folder / "demo" / f"{instrument.name}-{version('detcore')}"
    listing = folder / LISTING
    if not listing.is_file():
        shutil.rmtree(folder, ignore_errors=True)  # without a list it cannot be used
        cache_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        aside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
        aside.mkdir(mode=0o700)
        try:
            names = [str(path.relative_to(aside)) for path in instrument.demo(aside)]
            (aside / LISTING).write_text(json.dumps(names))
            aside.rename(folder)
        except OSError:
            if not listing.is_file():
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return tuple(folder / name for name in json.loads(listing.read_text()))


@cache
def get_runtime() -> Runtime:
    """Return the runtime of this process; built at the first call."""
    return Runtime(Settings.load())
