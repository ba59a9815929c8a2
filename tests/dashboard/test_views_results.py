"""What stands between detcore and the figures: colour limits, histogram edges, shared work."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import numpy as np
import pytest

from dashboard.tabs.background import Latest, Shared, Single
from dashboard.tabs.occupancy.controls import command
from dashboard.tabs.occupancy.look import Look, Place
from dashboard.tabs.occupancy.panels import event_edges
from dashboard.tabs.occupancy.results import colour_limits
from detcore import occupancy


def test_robust_limits_leave_the_hot_channel_out_and_full_ones_do_not() -> None:
    values = np.concatenate([np.arange(1.0, 1000.0), [1e6, np.nan, np.inf]])
    low, high = colour_limits(values, log=True, robust=True, two_sided=False)
    assert 1 < low < 20
    assert 900 < high < 1000
    assert colour_limits(values, log=True, robust=False, two_sided=False) == (1.0, 1e6)
    assert colour_limits(values, log=False, robust=True, two_sided=False)[0] == 0.0


def test_two_sided_limits_have_no_change_in_the_middle() -> None:
    low, high = colour_limits(np.array([0.5, 1.0, 1.5]), log=True, robust=False, two_sided=True)
    assert low * high == pytest.approx(1.0)
    assert low <= 0.5
    low, high = colour_limits(np.array([-7.0, 0.0, 3.0]), log=False, robust=False, two_sided=True)
    assert (low, high) == (-7.0, 7.0)


def test_limits_without_any_value_can_still_be_drawn() -> None:
    for log in (False, True):
        low, high = colour_limits(np.full(3, np.nan), log=log, robust=True, two_sided=False)
        assert low < high
        assert low > 0 or not log


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("most", [0, 1, 7, 80, 6309, 10**6])
def test_every_event_with_hits_is_in_a_bin(most: int, log: bool) -> None:
    edges = event_edges(most, log=log)
    assert edges[0] == 1
    assert edges[-1] > most
    assert len(edges) <= 165
    assert (np.diff(edges) >= 1).all()


def test_what_several_want_is_computed_once() -> None:
    calls: list[int] = []
    release, done = threading.Event(), threading.Event()

    def work() -> int:
        release.wait(5)
        calls.append(1)
        return 7

    cache: Shared[int] = Shared(4)
    first, second = Latest(cache, done.set), Latest(cache, done.set)
    assert first.ask("key", work) is None
    assert second.ask("key", work) is None
    release.set()
    assert done.wait(5)
    for viewer in (first, second):
        for _ in range(100):
            if viewer.ask("key", work) == 7:
                break
            done.wait(0.01)
        assert viewer.ask("key", work) == 7
    assert calls == [1]


def test_a_cached_result_does_not_keep_the_viewer_who_waited_for_it() -> None:
    class Viewer:
        def __init__(self) -> None:
            self.work: Latest[int] = Latest(cache, self.refresh)
            self.told = threading.Event()

        def refresh(self) -> None:
            self.told.set()

    cache: Shared[int] = Shared(4)
    release = threading.Event()
    viewer = Viewer()
    assert viewer.work.ask("key", lambda: 7 + release.wait(5)) is None
    release.set()
    assert viewer.told.wait(5)
    left = weakref.ref(viewer)
    cache.get("key", lambda: 0).result(5)
    del viewer
    for _ in range(500):
        gc.collect()
        if left() is None:
            break
        time.sleep(0.01)  # the thread may still be on its way out of the callback
    assert left() is None


def test_a_new_long_job_cancels_the_one_before_and_errors_reach_the_viewer() -> None:
    done, seen = threading.Event(), threading.Event()

    def endless(cancel: threading.Event) -> int:
        if cancel.wait(10):
            seen.set()
        return 1

    def broken(_: threading.Event) -> int:
        msg = "no such file"
        raise OSError(msg)

    job: Single[int] = Single(done.set)
    assert job.ask("a", endless) is None

    def wait() -> None:
        for _ in range(500):
            job.ask("b", broken)
            done.wait(0.01)

    with pytest.raises(OSError, match="no such file"):
        wait()
    assert seen.wait(5)


def test_the_command_names_cuts_reference_and_files_safely() -> None:
    filters = occupancy.Filters(in_time=True, planes=("D0X",))
    line = command(("a b.root", "c;d.root"), filters, Place(reference="ref.root"))
    assert line == "detcore occupancy run --in-time --planes D0X --reference ref.root 'a b.root' 'c;d.root'"


def test_a_look_goes_through_a_link() -> None:
    look = Look(value="ratio", scale="linear", separators=False, detector=3, element=74, panel="display", event=12)
    assert Look.from_query(look.to_query()) == look
    assert Look().to_query() == {}
