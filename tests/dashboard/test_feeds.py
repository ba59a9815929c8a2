"""Feeds: shared, started by the first viewer, stopped after the last, confined, and honest about failures."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import xarray as xr

from dashboard import feeds as module
from dashboard.feeds import FeedRequest, snapshots_of
from detcore.core.parameters import Parameters
from detcore.core.source import Instrument, Match

if TYPE_CHECKING:
    from pathlib import Path

    from dashboard.runtime import Runtime


class Cut(Parameters):
    low: int = 0


def test_equal_requests_share_one_feed(runtime: Runtime, tools: Any) -> None:
    one = runtime.feeds.open(FeedRequest("x", ("a.x",), parameters=Cut(low=1)))
    again = runtime.feeds.open(FeedRequest("x", (str(runtime.settings.roots[0] / "a.x"),), parameters=Cut(low=1)))
    other = runtime.feeds.open(FeedRequest("x", ("a.x",), parameters=Cut(low=2)))
    live = runtime.feeds.open(FeedRequest("x", ("a.x",), live=True, parameters=Cut(low=1)))
    assert one == again
    assert len({one, other, live}) == 3


def test_no_viewers_no_work(runtime: Runtime, script: Any, tools: Any) -> None:
    key = runtime.feeds.open(FeedRequest("x", ("a.x",)))
    assert runtime.feeds.status(key).state == "idle"
    assert script.started == []
    woken = threading.Event()
    first = runtime.store.subscribe(key, woken.set)
    second = runtime.store.subscribe(key, woken.set)
    path = script_path(runtime, "a.x")
    script.send(path, tools.snapshot(1))
    assert woken.wait(5)
    assert len(script.started) == 1
    assert runtime.feeds.status(key).state == "running"
    first.close()
    second.close()
    tools.eventually(lambda: len(script.ended) == 1)
    assert runtime.feeds.status(key).state == "idle"
    runtime.store.subscribe(key, woken.set)
    tools.eventually(lambda: len(script.started) == 2)


def test_a_viewer_who_comes_back_at_once_finds_the_work_going_on(runtime: Runtime, script: Any, tools: Any) -> None:
    key = runtime.feeds.open(FeedRequest("x", ("a.x",)))
    for _ in range(3):
        runtime.store.subscribe(key, lambda: None).close()
    runtime.store.subscribe(key, lambda: None)
    threading.Event().wait(0.3)  # three times the time that feeds linger here
    assert len(script.started) == 1
    assert script.ended == []


def test_a_finished_result_is_kept_and_not_read_again(runtime: Runtime, script: Any, tools: Any) -> None:
    key = runtime.feeds.open(FeedRequest("x", ("a.x",)))
    viewer = runtime.store.subscribe(key, lambda: None)
    path = script_path(runtime, "a.x")
    script.send(path, tools.snapshot(5, "complete"))
    script.send(path, None)
    tools.eventually(lambda: script.ended)
    viewer.close()
    threading.Event().wait(0.3)
    runtime.store.subscribe(key, lambda: None)
    assert runtime.feeds.status(key).state == "complete"
    assert len(script.started) == 1
    latest = runtime.store.latest(key)
    assert latest is not None
    assert latest.version == 5


def test_only_some_results_are_kept_and_an_old_key_still_works(runtime: Runtime, script: Any, tools: Any) -> None:
    keys = []
    for name in ("a.x", "b.x", "c.x"):
        keys.append(runtime.feeds.open(FeedRequest("x", (name,))))
        viewer = runtime.store.subscribe(keys[-1], lambda: None)
        script.send(script_path(runtime, name), tools.snapshot(1, "complete"))
        tools.eventually(lambda: runtime.store.latest(keys[-1]))
        viewer.close()
    tools.eventually(lambda: runtime.store.latest(keys[0]) is None)
    assert runtime.store.latest(keys[1])
    assert runtime.store.latest(keys[2])
    runtime.store.subscribe(keys[0], lambda: None)
    tools.eventually(lambda: len(script.started) == 4)


def test_cancel_keeps_what_was_counted_and_restart_reads_again(runtime: Runtime, script: Any, tools: Any) -> None:
    key = runtime.feeds.open(FeedRequest("x", ("a.x",)))
    runtime.store.subscribe(key, lambda: None)
    script.send(script_path(runtime, "a.x"), tools.snapshot(1))
    tools.eventually(lambda: runtime.store.latest(key))
    runtime.feeds.cancel(key)
    tools.eventually(lambda: runtime.feeds.status(key).state == "partial")
    assert not runtime.feeds.status(key).active
    runtime.feeds.restart(key)
    tools.eventually(lambda: len(script.started) == 2)


def test_a_feed_that_was_replaced_publishes_nothing_more(runtime: Runtime, script: Any, tools: Any) -> None:
    key = runtime.feeds.open(FeedRequest("x", ("a.x",)))
    runtime.store.subscribe(key, lambda: None)
    path = script_path(runtime, "a.x")
    tools.eventually(lambda: path in script.items)
    runtime.feeds.restart(key)  # the first thread ends with a snapshot, number 99, that nobody wants
    tools.eventually(lambda: len(script.ended) == 1)
    assert runtime.store.latest(key) is None
    assert runtime.feeds.status(key).state == "opening"


def test_a_failure_is_told_in_words(runtime: Runtime, script: Any, tools: Any) -> None:
    key = runtime.feeds.open(FeedRequest("x", ("a.x",)))
    runtime.store.subscribe(key, lambda: None)
    script.send(script_path(runtime, "a.x"), OSError("the disc\nis on fire"))
    tools.eventually(lambda: runtime.feeds.status(key).state == "failed")
    assert runtime.feeds.status(key).reason == "a.x: the disc is on fire"


def test_waiting_says_why(runtime: Runtime, script: Any, tools: Any) -> None:
    key = runtime.feeds.open(FeedRequest("x", ("a.x",), live=True))
    runtime.store.subscribe(key, lambda: None)
    script.send(script_path(runtime, "a.x"), "no file yet")
    tools.eventually(lambda: runtime.feeds.status(key).state == "waiting")
    assert runtime.feeds.status(key).reason == "no file yet"
    runtime.feeds.cancel(key)
    tools.eventually(lambda: runtime.feeds.status(key).state == "partial")


def test_paths_are_confined(runtime: Runtime) -> None:
    with pytest.raises(PermissionError, match="outside the data roots"):
        runtime.feeds.open(FeedRequest("x", ("/etc/passwd",)))


def test_an_unknown_key_is_a_failure_with_advice(runtime: Runtime) -> None:
    assert "choose its files again" in runtime.feeds.status("x-99").reason
    runtime.feeds.cancel("x-99")
    runtime.feeds.restart("x-99")


def test_titles() -> None:
    assert FeedRequest("x", ("/d/run_7.root",)).title == "run_7.root"
    assert FeedRequest("x", ("/d/1", "/d/2", "/d/3")).title == "3 files (1, 2, …)"


def test_requests_are_forgotten_in_the_end(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 3)
    keys = [runtime.feeds.open(FeedRequest("x", ("a.x",), parameters=Cut(low=n))) for n in range(5)]
    states = [runtime.feeds.status(key).state for key in keys]
    assert states == ["failed", "failed", "idle", "idle", "idle"]


class Late:
    """A source whose first file comes after a while."""

    def __init__(self) -> None:
        self.asked = 0

    def schema(self) -> xr.Dataset:
        self.asked += 1
        if self.asked < 3:
            msg = "no readable file"
            raise ValueError(msg)
        return xr.Dataset()


@pytest.mark.parametrize("live", [True, False])
def test_a_live_feed_waits_for_its_first_file(monkeypatch: pytest.MonkeyPatch, live: bool) -> None:
    source, said, opened = Late(), [], []

    def opener(*arguments: Any, **options: Any) -> Late:
        opened.append((arguments, options))
        return source

    instrument = Instrument(
        name="x",
        title="X",
        probe=lambda _: Match("no", ""),
        open=opener,
        demo=lambda _: (),
        warm=lambda: None,
        commands=lambda: None,
        parameters=Cut,
        reduction=lambda parameters, schema: ("reduction", parameters, schema),
    )
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    monkeypatch.setattr(module, "instruments", lambda: ({"x": instrument}, ()))
    monkeypatch.setattr(module, "follow" if live else "open_source", opener)
    monkeypatch.setattr(module, "stream", lambda source, reduction, cancel: iter([(source, reduction[1])]))
    request = FeedRequest("x", ("/d",), live=live, parameters=Cut(low=4), options=(("detectors", "t.csv"),))
    found = snapshots_of(request, threading.Event(), said.append)
    if live:
        assert list(found) == [(source, Cut(low=4))]
        assert said == ["no readable file"] * 2
        assert opened == [((("/d",), "x"), {"detectors": "t.csv"})]
    else:
        with pytest.raises(ValueError, match="no readable file"):
            list(found)


def test_an_instrument_that_is_not_installed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no instrument 'nothing' is installed"):
        list(snapshots_of(FeedRequest("nothing", (str(tmp_path),)), threading.Event(), print))


def script_path(runtime: Runtime, name: str) -> str:
    return str((runtime.settings.roots[0] / name).resolve())
