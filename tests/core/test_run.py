"""run and stream: progress, problems, cancelling, checkpoints."""

from __future__ import annotations

import dataclasses
import json
import math
import threading
import time

import pytest
import xarray as xr

from detcore.core.accumulators import Sum
from detcore.core.executors import Inline, Threads
from detcore.core.reduction import Together
from detcore.core.run import EmptyInput, problems_of, run, stream
from detcore.core.source import Problem


def whole(toys, source):
    return toys.expected([ref for ref in source.plan() if not isinstance(ref, Problem)])


def answer(data):
    return int(data["sum"]), data["rows"].values.tolist()


def test_run_gives_the_labelled_result(toys, executor):
    source = toys.Numbers()
    data = run(source, toys.Roll(), executor=executor)
    assert answer(data) == whole(toys, source)
    assert data.attrs["status"] == "complete"
    assert problems_of(data) == []
    record = json.loads(data.attrs["provenance"])
    assert record["inputs"] == {part: {"fingerprint": "1", "rows": 100} for part in "abc"}
    assert record["reduction"] == {"name": "Roll"}


def test_progress_grows_to_one_and_versions_count(toys, executor):
    source = toys.Numbers(unreadable=(("a", 0),), lost=("b",), seconds=0.001)
    snapshots = list(stream(source, toys.Roll(), executor=executor, every=0.0))
    fractions = [snapshot.fraction for snapshot in snapshots]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert len(snapshots) > 1
    assert [snapshot.version for snapshot in snapshots] == list(range(1, len(snapshots) + 1))
    assert {snapshot.status for snapshot in snapshots[:-1]} <= {"running"}
    assert snapshots[-1].status == "complete"
    assert snapshots[-1].data_time == 7.0
    assert snapshots[-1].wall_time == pytest.approx(time.time(), abs=60)


def test_progress_is_the_share_of_the_bytes_that_are_counted_or_lost(toys):
    source = toys.Numbers(seconds=0.001, unreadable=(("a", 50),))
    for snapshot in stream(source, toys.Roll(), executor=Inline(), every=0.0):
        lost = sum(problem.chunks for problem in snapshot.problems)
        rows = sum(one["rows"] for one in snapshot.provenance["inputs"].values())
        assert snapshot.fraction == pytest.approx((rows / 10 + lost) / 30)


def test_every_snapshot_is_exact_for_the_chunks_that_it_counts(toys, executor):
    source = toys.Numbers(seconds=0.001, poisonous=(("b", 40),))
    snapshots = list(stream(source, toys.Roll(), executor=executor, every=0.0, checkpoints=True))
    for snapshot in snapshots:
        assert answer(snapshot.data) == toys.expected(snapshot.checkpoint.done)
        assert sum(one["rows"] for one in snapshot.provenance["inputs"].values()) == snapshot.data.sizes["row"]
    sizes = [snapshot.data.sizes["row"] for snapshot in snapshots]
    assert sizes == sorted(sizes)
    assert sizes[-1] == 290


def test_a_snapshot_never_changes_afterwards(toys):
    kept = [(one, one.data.copy(deep=True)) for one in stream(toys.Numbers(seconds=0.001), toys.Roll(), every=0.0)]
    for snapshot, then in kept:
        assert snapshot.data.identical(then)
    with pytest.raises(dataclasses.FrozenInstanceError):
        kept[0][0].version = 5


def test_lines_of_the_ledger_are_joined_by_part_and_reason(toys, executor):
    source = toys.Numbers(unreadable=tuple(("a", start) for start in range(0, 70, 10)), poisonous=(("a", 70),))
    data = run(source, toys.Roll(), executor=executor)
    found = sorted(problems_of(data), key=lambda problem: problem.reason)
    assert [(problem.part, problem.chunks) for problem in found] == [("a", 1), ("a", 7)]
    assert str(found[1]) == "a: expected a chunk, found a hole (7 chunks)"
    assert answer(data) == toys.expected([ref for ref in source.plan() if ref.part != "a" or ref.start >= 80])


@pytest.mark.parametrize("executor", [Inline(), Threads(1), Threads(3)], ids=["inline", "one", "three"])
def test_a_failed_update_is_replayed_without_the_bad_chunk(toys, executor):
    """The poison is met when half of its chunk is already in the state: what came before must not be lost or doubled."""
    source = toys.Numbers(poisonous=(("a", 50), ("c", 0), ("c", 90)))
    data = run(source, toys.Roll(), executor=executor)
    bad = set(source.poisonous)
    assert answer(data) == toys.expected([ref for ref in source.plan() if (ref.part, ref.start) not in bad])
    assert sum(problem.chunks for problem in problems_of(data)) == 3
    assert len(toys.reads) > 30  # some were read again


def test_messages_cannot_be_replayed_and_the_loss_is_told(toys):
    source = toys.Messages(parts=("a",), poisonous=(("a", 50),))
    snapshots = list(stream(source, toys.Roll(), executor=Inline(), every=math.inf))
    data, problems = snapshots[-1].data, snapshots[-1].problems
    assert answer(data) == toys.expected([ref for ref in source.plan() if ref.start > 50])
    assert [(problem.chunks, "cannot be read again" in problem.reason) for problem in problems] == [
        (1, False),
        (5, True),
    ]
    assert len(toys.reads) == 10
    assert snapshots[-1].fraction == 1.0


def test_a_cancelled_run_gives_what_it_has_marked_partial(toys, executor):
    source, cancel = toys.Numbers(rows=100_000, seconds=0.001), threading.Event()
    threading.Timer(0.2, cancel.set).start()
    began = time.monotonic()
    data = run(source, toys.Roll(), executor=executor, cancel=cancel)
    assert time.monotonic() - began < 50  # all of it would take 100 s
    assert data.attrs["status"] == "partial"
    done = [ref for ref in source.plan() if ref.start < data.sizes["row"]]
    seen = set(data["rows"].values)
    counted = [ref for ref in done if f"{ref.part}{ref.start}" in seen]
    assert answer(data) == toys.expected(counted)
    assert 0 < data.sizes["row"] < 300_000


def test_a_cancelled_stream_ends_with_a_partial_snapshot(toys, executor):
    cancel, snapshots = threading.Event(), []
    for snapshot in stream(toys.Numbers(rows=100_000), toys.Roll(), executor=executor, every=0.0, cancel=cancel):
        snapshots.append(snapshot)
        cancel.set()
    assert snapshots[-1].status == "partial"
    assert 0 < snapshots[-1].fraction < 1


def test_cancelled_before_it_began(toys):
    cancel = threading.Event()
    cancel.set()
    data = run(toys.Numbers(), toys.Roll(), cancel=cancel)
    assert data.attrs["status"] == "partial"
    assert not toys.reads


def test_closing_the_iterator_stops_the_threads(toys):
    snapshots = stream(toys.Numbers(rows=1_000_000, seconds=0.001), toys.Roll(), executor=Threads(3), every=0.0)
    next(snapshots)
    assert toys.working()
    snapshots.close()
    assert not toys.working()


def test_a_slow_consumer_does_not_stop_the_workers(toys):
    snapshots = stream(toys.Numbers(seconds=0.001), toys.Roll(), executor=Threads(2), every=0.0)
    next(snapshots)
    toys.until(lambda: len(toys.reads) == 30)
    *_, last = snapshots  # all that was read meanwhile comes in few snapshots
    assert last.status == "complete"
    assert answer(last.data) == whole(toys, toys.Numbers())


def test_an_error_in_merge_reaches_the_caller_and_stops_the_threads(toys):
    class Stubborn(toys.Roll):
        def merge(self, state, other):
            msg = "will not merge"
            raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="will not merge"):
        run(toys.Numbers(seconds=0.001), Stubborn(), executor=Threads(2))


def test_large_states_do_not_drown_the_work_in_snapshots(toys):
    class Heavy(toys.Roll):
        def finalize(self, state):
            time.sleep(0.05)
            return super().finalize(state)

    source, began = toys.Numbers(rows=1000, seconds=0.001), time.monotonic()
    snapshots = list(stream(source, Heavy(), executor=Threads(2), every=0.0))
    assert len(snapshots) <= 2 + (time.monotonic() - began) / 0.5  # at most a tenth of the time goes into them


# ---- input that is empty or unlike


def test_nothing_readable_raises_and_says_why(toys):
    with pytest.raises(EmptyInput, match=r"a: expected numbers, found letters; b:") as caught:
        run(toys.Numbers(parts=("a", "b"), lost=("a", "b")), toys.Roll())
    assert [problem.part for problem in caught.value.problems] == ["a", "b"]
    with pytest.raises(EmptyInput, match="There is no file"):
        run(toys.Numbers(parts=()), toys.Roll())


def test_chunks_that_all_fail_leave_an_empty_result_and_a_ledger(toys, executor):
    source = toys.Numbers(parts=("a",), rows=20, unreadable=(("a", 0), ("a", 10)))
    data = run(source, toys.Roll(), executor=executor)
    assert answer(data) == (0, [])
    assert [problem.chunks for problem in problems_of(data)] == [2]


def test_the_reduction_may_be_chosen_by_the_schema(toys, executor):
    def choose(schema):
        assert schema.sizes["event"] == 0
        return Sum(column="n") if "n" in schema else toys.Roll()

    data = run(toys.Numbers(), choose, executor=executor)
    assert int(data["n_sum"]) == whole(toys, toys.Numbers())[0]
    assert json.loads(data.attrs["provenance"])["reduction"]["name"] == "Sum"


def test_together_in_one_pass_reads_once(toys):
    both = Together(reductions=(toys.Roll(), Sum(column="n")))
    data = run(toys.Numbers(), both)
    assert int(data["sum"]) == int(data["n_sum"]) == whole(toys, toys.Numbers())[0]
    assert len(toys.reads) == 30
    with pytest.raises(ValueError, match="two reductions give 'n_sum'"):
        run(toys.Numbers(), Together(reductions=(Sum(column="n"), Sum(column="n"))))


# ---- live


def test_a_live_stream_waits_and_never_ends_by_itself(toys, executor):
    cancel, states = threading.Event(), []
    source = toys.Numbers(parts=("a",), rows=30, live=True)
    for snapshot in stream(source, toys.Roll(), executor=executor, every=0.0, cancel=cancel):
        states.append(snapshot.status)
        assert snapshot.fraction is None
        if snapshot.status == "waiting" and snapshot.data.sizes.get("row") == 30:
            cancel.set()
    assert states[-1] == "partial"
    assert answer(snapshot.data) == whole(toys, dataclasses.replace(source, live=False))


def test_a_live_stream_without_any_data_yet_is_waiting(toys):
    snapshots = stream(toys.Numbers(parts=(), live=True), toys.Roll(), every=0.01)
    for version in (1, 2, 3):
        snapshot = next(snapshots)
        assert (snapshot.status, snapshot.version, snapshot.data.sizes) == ("waiting", version, {})
    snapshots.close()


def test_a_stream_with_an_end_never_says_that_it_waits(toys):
    source = toys.Numbers(parts=("a",), rows=10)  # one chunk for three workers
    assert [one.status for one in stream(source, toys.Roll(), executor=Threads(3), every=0.0)][-1] == "complete"
    assert "waiting" not in {one.status for one in stream(source, toys.Roll(), executor=Threads(3), every=0.0)}


# ---- checkpoints


def interrupted(toys, source, executor, after=4):
    """A checkpoint from the middle of a stream."""
    for snapshot in stream(source, toys.Roll(), executor=executor, every=0.0, checkpoints=True):
        if len(snapshot.checkpoint.done) >= after:
            return snapshot.checkpoint
    raise AssertionError


def test_resuming_equals_not_having_stopped(toys, executor):
    source = toys.Numbers(seconds=0.001, poisonous=(("a", 10),))
    plain = run(source, toys.Roll(), executor=Inline())
    checkpoint = interrupted(toys, source, executor)
    for _ in range(2):  # a checkpoint serves more than once
        before = {(ref.part, ref.start) for ref in checkpoint.done}
        toys.reads.clear()
        *_, last = stream(source, toys.Roll(), executor=executor, start=checkpoint)
        assert last.data.identical(plain.drop_attrs())
        assert not before & set(toys.reads)
        assert last.fraction == 1.0
        assert sum(one["rows"] for one in last.provenance["inputs"].values()) == 290


def test_resuming_what_was_finished_reads_nothing(toys):
    source = toys.Numbers()
    *_, last = stream(source, toys.Roll(), checkpoints=True)
    toys.reads.clear()
    *_, again = stream(source, toys.Roll(), start=last.checkpoint)
    assert not toys.reads
    assert again.data.identical(last.data)


@pytest.mark.parametrize(
    "change",
    [{"version": "2"}, {"version": "2", "rows": 105}, {"step": 20}, {"step": 7}],
    ids=["changed", "longer", "cut in larger pieces", "cut in smaller pieces"],
)
def test_a_changed_input_is_refused(toys, executor, change):
    """Or rows would be counted twice."""
    source = toys.Numbers(parts=("a",))
    checkpoint = interrupted(toys, source, Inline(), after=10)
    with pytest.raises(ValueError, match=r"a: has changed.*since the checkpoint"):
        list(stream(dataclasses.replace(source, **change), toys.Roll(), executor=executor, start=checkpoint))


def test_new_parts_and_new_rows_are_added_to_a_checkpoint(toys):
    source = toys.Numbers(parts=("a",), rows=50)
    *_, last = stream(source, toys.Roll(), checkpoints=True)
    more = toys.Numbers(parts=("a", "b"), rows=80)
    *_, final = stream(more, toys.Roll(), start=last.checkpoint)
    assert answer(final.data) == whole(toys, more)


def test_problems_are_remembered_by_a_checkpoint(toys):
    source = toys.Numbers(lost=("a",))
    *_, last = stream(source, toys.Roll(), checkpoints=True)
    assert last.checkpoint.problems == last.problems
    *_, again = stream(toys.Numbers(parts=("b", "c")), toys.Roll(), start=last.checkpoint)
    assert [problem.part for problem in again.problems] == ["a"]


def test_the_ledger_of_a_result_survives_a_file(toys, tmp_path):
    data = run(toys.Numbers(lost=("a",)), Sum(column="n"))
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as again:
        assert problems_of(again) == [Problem("a", "expected numbers, found letters")]
