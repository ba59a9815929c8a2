"""A session is woken without data, pulls on its own loop, survives lost wakes and broken tabs, and lets go."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from dashboard import session as module
from dashboard.feeds import FeedRequest
from dashboard.session import Session
from dashboard.strip import Strip

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboard.runtime import Runtime


class Loop:
    """Runs what is added when it is told to."""

    def __init__(self) -> None:
        self.due: list[Any] = []
        self.added_from: list[str] = []

    def add_callback(self, callback: Any) -> None:
        self.added_from.append(threading.current_thread().name)
        self.due.append(callback)


class FakeTab:
    title = "Fake"

    def __init__(self, *keys: str) -> None:
        self.keys, self.seen, self.broken = keys, [], False

    def view(self) -> Any:
        return None

    def feeds(self) -> tuple[str, ...]:
        return self.keys

    def update(self, snapshots: Mapping[str, Any]) -> None:
        self.seen.append({key: found.version for key, found in snapshots.items()})
        if self.broken:
            msg = "the map cannot be drawn"
            raise ValueError(msg)

    def state(self) -> dict[str, str]:
        return {"scale": "log"}


class Viewer:
    """A session with its loop and its document in the hand of the test."""

    def __init__(self, runtime: Runtime, tools: Any, monkeypatch: pytest.MonkeyPatch, tab: FakeTab) -> None:
        self.loop, self.document, self.tab = Loop(), tools.LoopDocument(), tab
        monkeypatch.setattr(module.IOLoop, "current", staticmethod(lambda **_: self.loop))
        self.session = Session(runtime, self.document, Strip())
        self.session.show(tab)
        self.session.start()
        self.turn()

    def turn(self) -> int:
        """Let the loop turn until nothing is due; returns how often the session looked."""
        looks = 0
        while self.loop.due or self.document.due:
            due, self.loop.due = self.loop.due, []
            for callback in due:
                callback()
            looks += self.document.run()
        return looks


@pytest.fixture
def key(runtime: Runtime) -> str:
    return runtime.feeds.open(FeedRequest("x", ("a.x",)))


@pytest.fixture
def viewer(runtime: Runtime, tools: Any, monkeypatch: pytest.MonkeyPatch, key: str) -> Viewer:
    return Viewer(runtime, tools, monkeypatch, FakeTab(key))


def test_registering_waits_for_the_page(runtime: Runtime, key: str) -> None:
    session = Session(runtime, None, Strip())
    session.show(FakeTab(key))
    session.notify("hello")
    assert session not in runtime.sessions
    assert runtime.store.viewers(key) == 0


def test_many_wakes_are_one_look_and_the_latest_wins(runtime: Runtime, tools: Any, viewer: Viewer, key: str) -> None:
    viewer.tab.seen.clear()

    def write() -> None:
        for number in range(1, 21):
            runtime.store.publish(key, tools.snapshot(number))

    writer = threading.Thread(target=write, name="writer")
    writer.start()
    writer.join()
    assert viewer.loop.added_from.count("writer") == 1
    assert viewer.document.due == [], "documents are not touched from other threads"
    assert viewer.turn() == 1
    assert viewer.tab.seen == [{key: 20}]
    assert viewer.turn() == 0


def test_a_lost_wake_does_not_freeze_the_page(
    runtime: Runtime, tools: Any, viewer: Viewer, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.store.publish(key, tools.snapshot(1))
    viewer.loop.due.clear()  # lost
    runtime.store.publish(key, tools.snapshot(2))
    assert viewer.loop.due == [], "a wake is pending, as far as the session knows"
    assert viewer.session.behind()
    monkeypatch.setattr(module, "PENDING_S", 0.0)  # its time is over
    viewer.session.wake()
    viewer.turn()
    assert viewer.tab.seen[-1] == {key: 2}
    assert not viewer.session.behind()


def test_a_restarted_feed_is_news_though_its_versions_are_old(
    runtime: Runtime, tools: Any, viewer: Viewer, key: str
) -> None:
    runtime.store.publish(key, tools.snapshot(7))
    viewer.turn()
    count = len(viewer.tab.seen)
    again = tools.snapshot(7)
    object.__setattr__(again, "wall_time", 1e9)
    runtime.store.publish(key, again)
    viewer.turn()
    assert len(viewer.tab.seen) == count + 1


def test_a_fault_of_the_tab_is_shown_once_and_stops_nothing(
    runtime: Runtime, tools: Any, viewer: Viewer, key: str
) -> None:
    viewer.tab.broken = True
    for number in (1, 2, 3):
        runtime.store.publish(key, tools.snapshot(number))
        viewer.turn()
    lines = [line for line in viewer.session.strip.notices if line[1] == "error"]
    assert [line[2] for line in lines] == ["Fake: the map cannot be drawn"]
    viewer.tab.broken = False
    runtime.store.publish(key, tools.snapshot(4))
    viewer.turn()
    assert viewer.tab.seen[-1] == {key: 4}


def test_the_subscription_follows_the_tab(runtime: Runtime, viewer: Viewer, key: str) -> None:
    other = runtime.feeds.open(FeedRequest("x", ("b.x",)))
    assert (runtime.store.viewers(key), runtime.store.viewers(other)) == (1, 0)
    viewer.tab.keys = (other,)
    viewer.session.refresh()
    viewer.turn()
    assert (runtime.store.viewers(key), runtime.store.viewers(other)) == (0, 1)
    viewer.session.show(None)
    viewer.turn()
    assert runtime.store.viewers(other) == 0


def test_a_change_of_state_without_a_snapshot_is_noticed(
    runtime: Runtime, script: Any, tools: Any, viewer: Viewer, key: str
) -> None:
    script.send(str(runtime.settings.roots[0] / "a.x"), OSError("gone"))
    tools.eventually(lambda: runtime.feeds.status(key).state == "failed")
    assert viewer.session.behind()
    viewer.session.wake()
    viewer.turn()
    assert viewer.session.strip.status["level"] == "failed"
    assert viewer.session.strip.status["reason"] == "a.x: gone"


def test_notices_of_the_process_and_of_the_viewer_come_together(runtime: Runtime, viewer: Viewer) -> None:
    runtime.notices.add("from the process", "warning")
    assert viewer.session.behind()
    viewer.session.notify("for this viewer")
    viewer.turn()
    assert [line[2] for line in viewer.session.strip.notices] == ["from the process", "for this viewer"]


def test_the_link_is_written_to_the_address_bar(viewer: Viewer) -> None:
    viewer.session.link = lambda: "?scale=log"
    viewer.session.refresh()
    viewer.turn()
    assert viewer.session.strip.query == "?scale=log"


def test_closing_lets_go_of_everything(runtime: Runtime, tools: Any, viewer: Viewer, key: str) -> None:
    closed = []
    viewer.session.on_close(lambda: closed.append(True))
    runtime.store.publish(key, tools.snapshot(1))  # a wake that is under way
    viewer.session.destroyed(viewer.document)
    assert viewer.turn() == 0
    assert closed == [True]
    assert runtime.store.viewers(key) == 0
    assert viewer.session not in runtime.sessions
    viewer.session.wake()
    assert viewer.loop.due == []


def test_every_viewer_is_served(runtime: Runtime, tools: Any, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    viewers = [Viewer(runtime, tools, monkeypatch, FakeTab(key)) for _ in range(25)]
    for number in range(1, 11):
        runtime.store.publish(key, tools.snapshot(number))
        for viewer in viewers:
            viewer.turn()
    assert min(sum(bool(seen) for seen in viewer.tab.seen) for viewer in viewers) == 10
