"""A feed made of thin air whose pace the test decides, and a document that runs its callbacks when it is told to."""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import xarray as xr
from bokeh.document import Document

from dashboard.feeds import FeedRequest, Feeds
from dashboard.runtime import Runtime
from dashboard.settings import Settings
from detcore.core.run import Snapshot
from detcore.core.store import Store

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from pathlib import Path


def eventually(wanted: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for another thread; fails when it takes too long."""
    end = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def snapshot(number: int, status: Any = "running", data_time: float | None = None) -> Snapshot:
    """A snapshot whose data is one number."""
    return Snapshot(
        data=xr.Dataset({"number": number}),
        version=number,
        data_time=data_time,
        wall_time=float(number),
        fraction=0.5,
        status=status,
        problems=(),
        provenance={},
    )


@dataclass
class Script:
    """What the feeds do: each item sent is a snapshot, an exception, or None for the end."""

    started: list[FeedRequest] = field(default_factory=list)
    ended: list[FeedRequest] = field(default_factory=list)
    items: dict[str, queue.Queue[Any]] = field(default_factory=dict)

    def __call__(
        self, request: FeedRequest, cancel: threading.Event, waiting: Callable[[str], None]
    ) -> Iterator[Snapshot]:
        self.started.append(request)
        mine = self.items[request.paths[0]] = queue.Queue()
        try:
            while not cancel.is_set():
                try:
                    item = mine.get(timeout=0.01)
                except queue.Empty:
                    continue
                if item is None:
                    return
                if isinstance(item, Exception):
                    raise item
                if isinstance(item, str):
                    waiting(item)
                else:
                    yield item
            yield snapshot(99, "partial")
        finally:
            self.ended.append(request)

    def send(self, path: str, item: Any) -> None:
        eventually(lambda: path in self.items)
        self.items[path].put(item)


class LoopDocument(Document):
    """Collects the callbacks that would run on its loop."""

    def __init__(self) -> None:
        super().__init__()
        self.due: list[Callable[[], None]] = []

    @property
    def session_context(self) -> Any:
        return self

    def add_next_tick_callback(self, callback: Callable[[], None]) -> None:  # type: ignore[override]
        self.due.append(callback)

    def run(self) -> int:
        """Run what is due; returns how many callbacks that were."""
        due, self.due = self.due, []
        for callback in due:
            callback()
        return len(due)


@pytest.fixture
def tools() -> Any:
    """Helpers of this file; tests cannot import a conftest."""
    return SimpleNamespace(eventually=eventually, snapshot=snapshot, LoopDocument=LoopDocument)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def runtime(tmp_path: Path, script: Script) -> Iterator[Runtime]:
    """A runtime whose root is tmp_path/data, with a.x, b.x, c.x in it, and feeds that follow the script."""
    root = tmp_path / "data"
    root.mkdir()
    for name in "abc":
        (root / f"{name}.x").write_text(name)
    settings = Settings(roots=(root,), cache=tmp_path / "cache")
    made: list[Runtime] = []

    def changed(key: str, count: int) -> None:
        made[0].feeds.viewers_changed(key, count)

    store = Store(on_viewers=changed)
    feeds = Feeds(store, lambda: made[0].roots, linger_s=0.1, results=2, snapshots=script)
    made.append(Runtime(settings, store, feeds))
    yield made[0]
    made[0].stop()
    eventually(lambda: len(script.ended) == len(script.started))
