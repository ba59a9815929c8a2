"""Feeds: one thread for each distinct request, shared by all its viewers; no viewers, no work."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from detcore import follow, open_source, stream
from detcore.core.parameters import Parameters
from detcore.core.source import Problem, UnknownFormat, instruments

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from detcore.core.paths import Roots
    from detcore.core.run import Snapshot
    from detcore.core.store import Store

State = Literal["idle", "opening", "running", "waiting", "complete", "partial", "failed"]
RETRY_S = 1.0  # how often a live feed looks again for its first readable file
REMEMBERED = 500  # requests whose key stays valid; beyond that the oldest without viewers are dropped


@dataclass(frozen=True)
class FeedRequest:
    """What a viewer asks for. Equal requests share one feed.

    Parameters
    ----------
    instrument
        Name of the instrument.
    paths
        Files and folders; they must be inside the data roots.
    live
        Whether to go on with files that appear or grow.
    parameters
        The instrument's own model.
    options
        For the instrument's `open`, for instance ``(("detectors", "table.csv"),)``.
    """

    instrument: str
    paths: tuple[str, ...]
    live: bool = False
    parameters: Parameters = field(default_factory=Parameters)
    options: tuple[tuple[str, Hashable], ...] = ()

    @property
    def title(self) -> str:
        """Name for people; it holds file names, so it is foreign text."""
        if len(self.paths) == 1:
            return Path(self.paths[0]).name or self.paths[0]
        return f"{len(self.paths)} files ({', '.join(Path(path).name for path in self.paths[:2])}, …)"


@dataclass(frozen=True)
class FeedStatus:
    """How a feed is; `reason` says why it waits or failed."""

    title: str
    live: bool
    state: State
    reason: str = ""

    @property
    def active(self) -> bool:
        """Whether there is something to cancel."""
        return self.state in {"opening", "running", "waiting"}


@dataclass(eq=False)
class _Feed:
    key: str
    request: FeedRequest
    state: State = "idle"
    reason: str = ""
    cancel: threading.Event = field(default_factory=threading.Event)
    leaving: threading.Timer | None = None


class Feeds:
    """All feeds of a process.

    Parameters
    ----------
    store
        Where snapshots go; its `on_viewers` must be this object's `viewers_changed`.
    roots
        () -> where feeds may read; asked at each opening.
    linger_s
        Seconds that a feed outlives its last viewer.
    results
        How many finished results without viewers stay in memory.
    snapshots
        (request, cancel, waiting) -> snapshots; how a request is turned into results. Tests replace it.
    """

    def __init__(
        self,
        store: Store,
        roots: Callable[[], Roots],
        *,
        linger_s: float = 20.0,
        results: int = 16,
        snapshots: Callable[[FeedRequest, threading.Event, Callable[[str], None]], Iterator[Snapshot]] | None = None,
    ) -> None:
        self._store, self._roots = store, roots
        self._linger_s, self._results = linger_s, results
        self._snapshots = snapshots or snapshots_of
        self._feeds: OrderedDict[str, _Feed] = OrderedDict()
        self._keys: dict[FeedRequest, str] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self.published = 0

    def open(self, request: FeedRequest) -> str:
        """Return the key of the feed for `request`; it works from its first viewer on.

        Raises
        ------
        PermissionError
            A path is outside the data roots.
        """
        roots = self._roots()
        request = replace(request, paths=tuple(str(roots.resolve(path)) for path in request.paths))
        with self._lock:
            key = self._keys.get(request)
            if key is None:
                key = f"{request.instrument}-{next(self._numbers)}"
                self._keys[request] = key
                self._feeds[key] = _Feed(key, request)
            self._feeds.move_to_end(key)
            self._trim()
            return key

    def status(self, key: str) -> FeedStatus:
        """Return how the feed is."""
        with self._lock:
            feed = self._feeds.get(key)
            if feed is None:
                return FeedStatus(key, live=False, state="failed", reason="was dropped; choose its files again")
            return FeedStatus(feed.request.title, feed.request.live, feed.state, feed.reason)

    def states(self) -> tuple[tuple[str, FeedStatus], ...]:
        """Return the status of every feed, by key."""
        with self._lock:
            return tuple((key, self.status(key)) for key in self._feeds)

    def cancel(self, key: str) -> None:
        """Stop the work; what was counted so far stays, marked partial."""
        with self._lock:
            if key in self._feeds:
                self._feeds[key].cancel.set()

    def restart(self, key: str) -> None:
        """Read everything again."""
        with self._lock:
            if key in self._feeds:
                self._start(self._feeds[key])

    def close(self) -> None:
        """Stop all feeds; their threads are daemons and end by themselves."""
        with self._lock:
            for feed in self._feeds.values():
                self._stay(feed)
                feed.cancel.set()

    def viewers_changed(self, key: str, count: int) -> None:
        """Start work for the first viewer; stop it some time after the last one left."""
        with self._lock:
            feed = self._feeds.get(key)
            if feed is None:
                return
            self._stay(feed)
            if count and feed.state == "idle":
                self._start(feed)
            elif not count:
                feed.leaving = threading.Timer(self._linger_s, self._leave, [feed])
                feed.leaving.daemon = True
                feed.leaving.start()

    @staticmethod
    def _stay(feed: _Feed) -> None:
        if feed.leaving is not None:
            feed.leaving.cancel()
            feed.leaving = None

    def _leave(self, feed: _Feed) -> None:
        with self._lock:
            if self._store.viewers(feed.key):
                return
            if feed.state != "complete":
                feed.cancel.set()
                feed.state, feed.reason = "idle", ""
                feed.cancel = threading.Event()  # the thread sees that the feed is no longer its own
            self._trim()

    def _trim(self) -> None:
        unwatched = [key for key in self._feeds if not self._store.viewers(key)]
        held = [key for key in unwatched if self._store.latest(key) is not None]
        for key in held[: max(len(held) - self._results, 0)]:
            self._store.forget(key)
            if not self.status(key).active:
                self._feeds[key].state = "idle"
        for key in unwatched[: max(len(self._feeds) - REMEMBERED, 0)]:
            feed = self._feeds.pop(key)
            self._keys.pop(feed.request, None)
            feed.cancel.set()
            self._store.forget(key)

    def _start(self, feed: _Feed) -> None:
        feed.cancel.set()
        feed.cancel, feed.state, feed.reason = threading.Event(), "opening", ""
        threading.Thread(target=self._work, args=(feed, feed.cancel), name=f"feed-{feed.key}", daemon=True).start()

    def _work(self, feed: _Feed, cancel: threading.Event) -> None:
        def waiting(reason: str) -> None:
            self._set(feed, cancel, "waiting", reason)

        try:
            with closing(self._snapshots(feed.request, cancel, waiting)) as snapshots:  # type: ignore[type-var]
                for snapshot in snapshots:
                    with self._lock:
                        if not self._set(feed, cancel, snapshot.status):
                            return
                        self.published += 1
                        self._store.publish(feed.key, snapshot)
        except Exception as error:  # noqa: BLE001 - whatever a reader raises is shown where it happened
            self._set(feed, cancel, "failed", str(Problem.of(feed.request.title, error)))
        else:
            if cancel.is_set() and self.status(feed.key).active:
                self._set(feed, cancel, "partial", "cancelled before anything was read")

    def _set(self, feed: _Feed, cancel: threading.Event, state: State, reason: str = "") -> bool:
        with self._lock:
            mine = feed.cancel is cancel
            if mine:
                feed.state, feed.reason = state, reason
            return mine


def snapshots_of(request: FeedRequest, cancel: threading.Event, waiting: Callable[[str], None]) -> Iterator[Snapshot]:
    """Open a request with its instrument and reduce it; a live one waits for its first readable file."""
    instrument = instruments()[0].get(request.instrument)
    if instrument is None:
        msg = f"no instrument {request.instrument!r} is installed"
        raise UnknownFormat(msg)
    source = (follow if request.live else open_source)(request.paths, request.instrument, **dict(request.options))
    while True:
        try:
            schema = source.schema()
            break
        except (OSError, ValueError) as error:
            if not request.live:
                raise
            waiting(str(error))
            if cancel.wait(RETRY_S):
                return
    yield from stream(source, instrument.reduction(request.parameters, schema), cancel=cancel)
