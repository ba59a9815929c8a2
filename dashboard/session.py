"""One per viewer: woken without data, pulls the newest snapshots on its own loop, updates what is shown in one batch."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from panel.io import hold
from tornado.ioloop import IOLoop

from dashboard import delivery
from dashboard.runtime import LOGGED, Level, Notice
from detcore.core.source import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bokeh.application.application import SessionContext
    from bokeh.document import Document
    from panel.viewable import Viewable

    from dashboard.feeds import FeedStatus
    from dashboard.runtime import Runtime
    from dashboard.strip import Strip
    from detcore.core.run import Snapshot
    from detcore.core.store import Subscription

PENDING_S = 2.0  # a wake that was lost blocks later ones for this long at most; latest wins


class Tab(Protocol):
    """What a module `dashboard.tabs.<instrument>` offers as its class ``Tab``.

    It is built with ``Tab(session, runtime, query, wall)`` and never updates its own widgets after a click: it
    changes what it wants and calls `session.refresh()`.
    """

    title: str

    def __init__(self, session: Session, runtime: Runtime, query: Mapping[str, str], wall: bool) -> None: ...

    def view(self) -> Viewable:
        """Build the content; called once, when the tab is first shown."""

    def feeds(self) -> tuple[str, ...]:
        """Return the keys it wants now; the first is the one that the status strip describes. Must be cheap."""

    def update(self, snapshots: Mapping[str, Snapshot]) -> None:
        """Show the newest snapshots (a key without one is absent). Called on the session's loop, in one batch."""

    def state(self) -> dict[str, str]:
        """Return what a link needs to reproduce the view: only what differs from the defaults. Must be cheap."""


class Session:
    """The viewer's end of the feeds.

    Parameters
    ----------
    runtime
        Of this process.
    document
        The viewer's; it is changed on its own loop only.
    strip
        The status strip to keep up to date.
    wall
        Whether this is a wall display, without controls.
    """

    def __init__(self, runtime: Runtime, document: Document | None, strip: Strip, *, wall: bool = False) -> None:
        self.runtime, self.strip, self.wall = runtime, strip, wall
        self.tab: Tab | None = None
        self.dark = wall
        self.link: Callable[[], str] = str
        self._document = document
        # Taken now, while the page is built on the loop: with --num-threads the page's callbacks run elsewhere.
        self._home = IOLoop.current(instance=False)
        self._loop: IOLoop | None = None
        self._pending = -PENDING_S
        self._watching: dict[str, Subscription] = {}
        self._shown: object = None
        self._own: deque[Notice] = deque(maxlen=LOGGED)
        self._logged: object = None
        self._closers: list[Callable[[], None]] = []

    # --- for tabs and the page, on the session's own loop

    def refresh(self) -> None:
        """Look again at what the tab wants, as soon as this callback is over; also writes its state to the URL."""
        self._shown = None
        self._pending = -PENDING_S
        self.wake()

    def notify(self, text: str, level: Level = "info") -> None:
        """Tell this viewer something; the text may come from anywhere."""
        self._own.append(Notice(time.time(), level, text[:1000]))
        self.wake()

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call this when the viewer has gone."""
        self._closers.append(callback)

    def show(self, tab: Tab | None) -> None:
        """Make another tab the one that is updated."""
        self.tab = tab
        self.refresh()

    # --- life

    def start(self) -> None:
        """Register; called once the page has loaded, because earlier changes can empty it."""
        self._loop = self._home
        self.runtime.sessions.add(self)
        self.refresh()

    def destroyed(self, session_context: SessionContext) -> None:  # noqa: ARG002 - Bokeh asks for this name
        """Close, when Bokeh says that the viewer's session is over."""
        self.close()

    def close(self) -> None:
        """Let go of everything that outlives the document."""
        self.runtime.sessions.discard(self)
        for subscription in self._watching.values():
            subscription.close()
        self._watching.clear()
        for closer in self._closers:
            closer()
        self._closers.clear()
        self._document = self.tab = self._loop = self._home = None

    def wake(self) -> None:
        """Ask for a look at the newest data; from any thread, returns at once.

        Documents are not safe to touch from other threads, not even to add a callback: the loop does it.
        """
        now = time.monotonic()
        if now - self._pending < PENDING_S:
            return
        loop = self._loop
        if loop is not None:
            self._pending = now
            loop.add_callback(self._schedule)

    def behind(self) -> bool:
        """Whether something changed without a wake, or a wake was lost. Cheap; asked once a second."""
        return self._marks() != self._shown or self._log_marks() != self._logged

    def deliver(self) -> None:
        """Send the viewer what the server forgot to send; asked once a second, on the loop."""
        if self._document is not None:
            delivery.deliver(self._document)

    def _schedule(self) -> None:
        if self._document is not None and self._document.session_context is not None:
            self._document.add_next_tick_callback(self._tick)

    def _tick(self) -> None:
        if self._document is None:
            return  # the viewer left while this was due
        self._pending = -PENDING_S  # first: what is published from here on needs a wake of its own
        with hold(self._document):
            self.apply()

    # --- the pull

    def apply(self) -> None:
        """Subscribe to what the tab wants now, and show it if it is new."""
        tab = self.tab
        try:
            self._watch(tab.feeds() if tab else ())
            marks = self._marks()
            if tab and marks != self._shown:
                self._shown = marks
                tab.update({key: found for key in self._watching if (found := self.runtime.store.latest(key))})
        except Exception as error:  # noqa: BLE001 - a fault in one tab is shown and must not stop the session
            self._fault(error)
        self._describe()

    def _fault(self, error: Exception) -> None:
        text = str(Problem.of(self.tab.title if self.tab else "page", error))
        if not self._own or self._own[-1].text != text:
            self._own.append(Notice(time.time(), "error", text))

    def _watch(self, keys: tuple[str, ...]) -> None:
        for key in [key for key in self._watching if key not in keys]:
            self._watching.pop(key).close()
        for key in keys:
            if key not in self._watching:
                self._watching[key] = self.runtime.store.subscribe(key, self.wake)
        self._watching = {key: self._watching[key] for key in keys}

    def _marks(self) -> tuple[Any, ...]:
        runtime = self.runtime
        return (
            runtime.ready.is_set(),
            *((key, _mark(runtime.store.latest(key)), runtime.feeds.status(key)) for key in self._watching),
        )

    def _log_marks(self) -> tuple[int, Notice | None]:
        return self.runtime.notices.version, self._own[-1] if self._own else None

    def _describe(self) -> None:
        found: list[tuple[FeedStatus, Snapshot | None]] = [
            (self.runtime.feeds.status(key), self.runtime.store.latest(key)) for key in self._watching
        ]
        self.strip.describe(found, preparing=not self.runtime.ready.is_set())
        if (marks := self._log_marks()) != self._logged:
            self._logged = marks
            self.strip.log((*self.runtime.notices.lines(), *self._own))
        self.strip.address(self.link())


def _mark(snapshot: Snapshot | None) -> tuple[int, float] | None:
    # Versions begin again when a feed is restarted.
    return (snapshot.version, snapshot.wall_time) if snapshot else None
