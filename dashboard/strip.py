"""The status strip: which feed, how it is, how old its data is, what went wrong. Drawn by assets/strip.js."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

import panel as pn
import param

from dashboard.settings import asset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dashboard.feeds import FeedStatus
    from dashboard.runtime import Notice
    from detcore.core.run import Snapshot

WORDS = {
    "idle": "Idle",
    "opening": "Opening",
    "running": "Reading",
    "waiting": "Waiting for data",
    "complete": "Complete",
    "partial": "Cancelled",
    "failed": "Failed",
}
LEVELS = {
    "idle": "idle",
    "opening": "busy",
    "running": "busy",
    "waiting": "busy",
    "complete": "ok",
    "partial": "idle",
    "failed": "failed",
}
STEP_S = 5.0  # ages of live data are exact to this
SHOWN = 100  # lines of the log and of the ledger that are sent to a page


class Strip(pn.custom.JSComponent):
    """What is always in view. All text is put on the page as text.

    The age of the data is counted in the browser, so that it goes on, and turns red, when the server is gone.
    """

    status = param.Dict(default={}, doc="What is shown; see `describe`.")
    problems = param.List(default=[], doc="The first lines of the error ledger.")
    notices = param.List(default=[], doc="[[Unix seconds, level, text], …], oldest first.")
    query = param.String(default="", doc="Written to the address bar, without a new history entry.")
    heading = param.String(default="", doc="Which tab; for pages without a row of tabs.")
    wall = param.Boolean(default=False, doc="Large, with a clock, without controls.")
    stale_s = param.Number(default=120.0, doc="Age of live data, s, from which it is called stale.")
    instance = param.String(default="", doc="Which server process made the page.")

    _esm = asset("strip.js")
    _stylesheets: ClassVar[list[str]] = [asset("strip.css").read_text()]

    def __init__(self, commands: dict[str, Callable[[], None]] | None = None, **params: Any) -> None:
        super().__init__(css_classes=["wall"] if params.get("wall") else [], **params)  # type: ignore[no-untyped-call]
        self._commands = commands or {}

    def _handle_msg(self, data: Any) -> None:
        # From the browser: whatever it is, only the names of our own commands do something.
        command = self._commands.get(data) if isinstance(data, str) else None
        if command:
            command()

    def describe(self, feeds: Sequence[tuple[FeedStatus, Snapshot | None]], *, preparing: bool = False) -> None:
        """Show the first feed, and the problems of all of them."""
        problems = [str(problem) for _, found in feeds if found for problem in found.problems]
        if problems[:SHOWN] != self.problems:  # asking is much cheaper than setting
            self.problems = problems[:SHOWN]
        if not feeds:
            words = "Preparing the demo and the kernels" if preparing else "No data chosen"
            self._set({"word": words, "level": "busy" if preparing else "idle"})
            return
        status, snapshot = feeds[0]
        failed = next((one for one, _ in feeds if one.state == "failed"), None)
        shown: dict[str, Any] = {
            "feed": status.title,
            "live": status.live,
            "word": WORDS[status.state],
            "level": "failed" if failed else LEVELS[status.state],
            "reason": failed.reason if failed else status.reason,
            "active": status.active,
            "fraction": snapshot.fraction if snapshot and status.active else None,
            "data_time": self._stamp(snapshot.data_time if snapshot else None, live=status.live),
            "count": len(problems),
        }
        if status.live and status.state in {"running", "waiting"} and snapshot and snapshot.data_time:
            shown |= {"word": "Live", "level": shown["level"] if failed else "ok"}
        self._set(shown)

    def _stamp(self, data_time: float | None, *, live: bool) -> float | None:
        """Return the time that the age is counted from; a step that nobody would notice is no change of the page."""
        sent = self.status.get("data_time")
        unnoticed = live and sent and data_time and 0 <= data_time - sent < STEP_S
        return sent if unnoticed else data_time

    def log(self, lines: Iterable[Notice]) -> None:
        """Show the newest notices."""
        newest = sorted(lines, key=lambda line: line.time)[-SHOWN:]
        self.notices = [[line.time, line.level, line.text] for line in newest]

    def address(self, query: str) -> None:
        """Put the query string in the address bar."""
        self.query = query

    def _set(self, shown: dict[str, Any]) -> None:
        # The server's clock goes along, because the browser's may be wrong; alone it is no news.
        if shown != {key: value for key, value in self.status.items() if key != "now"}:
            self.status = shown | {"now": time.time()}
