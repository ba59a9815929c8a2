"""Live state: wakes, viewers, threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import xarray as xr

from detcore.core.run import Snapshot
from detcore.core.store import Store


def snapshot(version):
    return Snapshot(xr.Dataset(), version, None, 0.0, None, "running", (), {})


def test_a_viewer_is_woken_without_data_and_pulls_the_newest():
    store, woken = Store(), []
    store.subscribe("run", lambda: woken.append(store.latest("run").version))
    assert store.latest("run") is None
    for version in (1, 2, 3):
        store.publish("run", snapshot(version))
    assert woken == [1, 2, 3]
    assert store.keys() == ("run",)


def test_keys_do_not_mix():
    store, woken = Store(), []
    store.subscribe("a", lambda: woken.append("a"))
    store.publish("b", snapshot(1))
    assert not woken
    assert store.latest("a") is None
    assert store.latest("b").version == 1


def test_somebody_who_comes_late_finds_the_newest():
    store = Store()
    store.publish("a", snapshot(7))
    store.subscribe("a", lambda: None)
    assert store.latest("a").version == 7
    store.forget("a")
    store.forget("a")
    assert store.latest("a") is None
    assert store.keys() == ()


def test_a_closed_viewer_is_not_woken():
    store, woken = Store(), []
    with store.subscribe("a", lambda: woken.append(1)) as subscription:
        store.publish("a", snapshot(1))
    store.publish("a", snapshot(2))
    subscription.close()
    assert woken == [1]
    assert store.viewers("a") == 0


def test_a_wake_that_fails_is_dropped_and_hurts_nobody():
    store, woken = Store(), []
    failing = store.subscribe("a", lambda: 1 / 0)
    store.subscribe("a", lambda: woken.append(1))
    store.publish("a", snapshot(1))
    store.publish("a", snapshot(2))
    assert woken == [1, 1]
    assert store.viewers("a") == 1
    failing.close()
    assert store.viewers("a") == 1


def test_viewers_are_counted_and_every_change_is_told():
    told = []
    store = Store(on_viewers=lambda key, number: told.append((key, number)))
    one, two = store.subscribe("a", lambda: None), store.subscribe("a", lambda: None)
    store.subscribe("b", lambda: None)
    assert (store.viewers("a"), store.viewers("b"), store.viewers("c")) == (2, 1, 0)
    one.close()
    one.close()
    two.close()
    assert told == [("a", 1), ("a", 2), ("b", 1), ("a", 1), ("a", 0)]


def test_a_viewer_may_leave_or_bring_another_while_it_is_woken():
    store, woken = Store(), []

    def leave():
        woken.append("first")
        mine.close()
        store.subscribe("a", lambda: woken.append("second"))

    mine = store.subscribe("a", leave)
    store.publish("a", snapshot(1))
    store.publish("a", snapshot(2))
    assert woken == ["first", "second"]


def test_equal_viewers_are_told_apart():
    store = Store()

    def wake():
        pass

    one, two = store.subscribe("a", wake), store.subscribe("a", wake)
    one.close()
    one.close()
    assert store.viewers("a") == 1
    two.close()
    assert store.viewers("a") == 0


@pytest.mark.parametrize("writers", [1, 4])
def test_threads(writers):
    store, told = Store(on_viewers=lambda key, number: told.append(number)), []
    told, meet = [], threading.Barrier(8 + writers)

    def view(number):
        meet.wait(5)
        for _ in range(200):
            with store.subscribe("a", (lambda: 1 / 0) if number == 0 else (lambda: None)):
                latest = store.latest("a")
                assert latest is None or latest.version >= 1

    def write(_):
        meet.wait(5)
        for version in range(1, 200):
            store.publish("a", snapshot(version))

    with ThreadPoolExecutor(8 + writers) as pool:
        jobs = [pool.submit(view, number) for number in range(8)] + [pool.submit(write, n) for n in range(writers)]
    for job in jobs:
        job.result()
    assert store.viewers("a") == 0
    assert len(told) == 2 * 8 * 200
    assert store.latest("a").version == 199
