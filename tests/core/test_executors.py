"""What any executor has to promise; a new one is added to EXECUTORS in toys.py and inherits these."""

from __future__ import annotations

import pickle
import threading

import pytest

from detcore.core.executors import Inline, Job, Threads
from detcore.core.run import run, stream
from detcore.core.source import ChunkRef, Problem


def job_of(toys, source):
    reduction = toys.Roll()
    return Job(source, reduction, source.schema(), reduction.needs(source.schema()))


def gathered(toys, job, partials):
    total, done, problems = job.reduction.empty(job.schema), [], []
    for partial in partials:
        assert (partial.state is None) == (not partial.done)
        if partial.state is not None:
            job.reduction.merge(total, partial.state)
        done += partial.done
        problems += partial.problems
    return job.reduction.finalize(total), done, problems


@pytest.mark.parametrize("pace", [0.0, 1e9])
def test_every_chunk_counts_once(toys, executor, pace):
    source = toys.Numbers()
    job, refs = job_of(toys, source), list(source.plan())
    result, done, problems = gathered(toys, job, executor.partials(job, refs, lambda: pace, threading.Event()))
    total, rows = toys.expected(refs)
    assert int(result["sum"]) == total
    assert result["rows"].values.tolist() == rows
    assert sorted(done, key=repr) == sorted(refs, key=repr)
    assert not problems


def test_each_partial_stands_for_its_own_chunks(toys, executor):
    source = toys.Numbers(seconds=0.002)
    job = job_of(toys, source)
    for partial in executor.partials(job, source.plan(), lambda: 0.0, threading.Event()):
        if partial.state is not None:
            result = job.reduction.finalize(partial.state)
            assert (int(result["sum"]), result["rows"].values.tolist()) == toys.expected(partial.done)


def test_bad_chunks_are_reported_and_the_others_counted(toys, executor):
    source = toys.Numbers(unreadable=(("a", 20),), poisonous=(("b", 0), ("b", 50)), lost=("c",))
    job = job_of(toys, source)
    result, done, problems = gathered(toys, job, executor.partials(job, source.plan(), lambda: 1e9, threading.Event()))
    assert {(ref.part, ref.start) for ref in done} == {
        (part, start) for part in "ab" for start in range(0, 100, 10)
    } - {("a", 20), ("b", 0), ("b", 50)}
    assert (int(result["sum"]), result["rows"].values.tolist()) == toys.expected(done)
    assert sorted((problem.part, problem.reason) for problem in problems) == [
        ("a", "expected a chunk, found a hole"),
        ("b", "ArithmeticError: expected a wholesome number"),
        ("b", "ArithmeticError: expected a wholesome number"),
        ("c", "expected numbers, found letters"),
    ]


def test_of_a_bad_chunk_only_the_bad_rows_are_lost(toys, executor):
    """Twice in a row, and behind a good chunk, which is replayed."""
    hole, refused = ("a", 20), (("b", 0), ("b", 5), ("b", 10), ("b", 15))
    source = toys.Severable(unreadable=(hole,), poisonous=refused)
    job = job_of(toys, source)
    result, done, problems = gathered(toys, job, executor.partials(job, source.plan(), lambda: 1e9, threading.Event()))
    assert sorted(done, key=repr) == sorted(source.plan(), key=repr)
    good = [
        ChunkRef("", part, row, row + 1) for part in "abc" for row in range(100) if (part, row) not in {hole, *refused}
    ]
    assert (int(result["sum"]), result["rows"].values.tolist()) == toys.expected(good)
    assert sorted((problem.part, problem.reason, problem.weight) for problem in problems) == [
        ("a", "expected a chunk, found a hole", 0.0),
        *[("b", "ArithmeticError: expected a wholesome number", 0.0)] * 4,
    ]


def test_references_are_pulled_lazily_and_by_one_thread_at_a_time(toys, executor):
    source = toys.Numbers(seconds=0.001)
    inside, ahead = threading.Lock(), []

    def refs():
        for ref in source.plan():
            assert inside.acquire(blocking=False)
            ahead.append(len(toys.reads))
            inside.release()
            yield ref

    job = job_of(toys, source)
    gathered(toys, job, executor.partials(job, refs(), lambda: 0.0, threading.Event()))
    assert ahead[-1] > 20  # the last reference was asked for when most had been read


def test_cancel_stops_after_the_present_chunk_and_keeps_what_is_done(toys, executor):
    source, cancel = toys.Numbers(seconds=0.002, rows=10_000), threading.Event()
    job = job_of(toys, source)

    def refs():
        for number, ref in enumerate(source.plan()):
            if number == 12:
                cancel.set()
            yield ref

    result, done, _ = gathered(toys, job, executor.partials(job, refs(), lambda: 0.0, cancel))
    assert 9 <= len(done) <= 16
    assert (int(result["sum"]), result["rows"].values.tolist()) == toys.expected(done)


def test_a_live_source_shows_what_it_has_while_it_waits(toys, executor):
    source, cancel = toys.Numbers(parts=("a",), rows=20, live=True), threading.Event()
    done = []
    for partial in executor.partials(job_of(toys, source), source.plan(), lambda: 1e9, cancel):
        done += partial.done
        if len(done) == 2:
            cancel.set()
    assert len(done) == 2


def test_an_error_of_the_plan_itself_reaches_the_caller(toys, executor):
    def refs():
        yield next(toys.Numbers().plan())
        msg = "the plan is lost"
        raise LookupError(msg)

    with pytest.raises(LookupError, match="the plan is lost"):
        list(executor.partials(job_of(toys, toys.Numbers()), refs(), lambda: 1e9, threading.Event()))


def test_run_and_stream_are_the_same_with_every_executor(toys, executor):
    source = toys.Numbers(unreadable=(("b", 30),))
    plain = run(source, toys.Roll(), executor=Inline())
    assert run(source, toys.Roll(), executor=executor).drop_attrs().identical(plain.drop_attrs())
    *_, last = stream(source, toys.Roll(), executor=executor, every=0.0)
    assert last.data.drop_attrs().identical(plain.drop_attrs())
    assert last.fraction == 1.0


def test_references_jobs_and_problems_cross_a_border(toys):
    ref = ChunkRef("k", "p", 0, 5, "f", 1.0, 2.0, where=(1, 2))
    for value in (ref, Problem("p", "r"), toys.Numbers(), toys.Roll()):
        assert pickle.loads(pickle.dumps(value)) == value
    assert hash(ref) == hash(pickle.loads(pickle.dumps(ref)))
    assert job_of(toys, toys.Numbers()).schema.identical(
        pickle.loads(pickle.dumps(job_of(toys, toys.Numbers()))).schema
    )


def test_a_slow_consumer_stops_no_worker_and_the_queue_stays_short(toys):
    source = toys.Numbers(rows=2000)
    partials = Threads(2).partials(job_of(toys, source), source.plan(), lambda: 0.0, threading.Event())
    first = next(partials)
    toys.until(lambda: len(toys.reads) == 600)  # nobody takes anything, and all 600 chunks are read
    rest = list(partials)
    assert len(rest) <= 6
    assert sum(len(partial.done) for partial in [first, *rest]) == 600


def test_the_queue_of_a_live_feed_stays_short_too(toys):
    source, cancel = toys.Numbers(rows=300, parts=("a",)), threading.Event()

    def refs():
        for ref in source.plan():
            yield ref
            yield None  # a pause after each chunk

    partials = Threads(4).partials(job_of(toys, source), refs(), lambda: 0.0, cancel)
    first = next(partials)
    toys.until(lambda: len(toys.reads) == 30)
    rest = list(partials)
    assert len(rest) <= 12
    assert sum(len(partial.done) for partial in [first, *rest]) == 30


@pytest.mark.parametrize("workers", [1, 3])
def test_closing_stops_the_threads(toys, workers):
    source = toys.Numbers(rows=1_000_000, seconds=0.001)
    partials = Threads(workers).partials(job_of(toys, source), source.plan(), lambda: 0.0, threading.Event())
    next(partials)
    assert len(toys.working()) == workers
    partials.close()
    assert not toys.working()
    before = len(toys.reads)
    assert len(toys.reads) == before < 1000


def test_threads_by_default_follow_the_machine(toys):
    source = toys.Numbers(rows=1000, seconds=0.001)
    partials = Threads().partials(job_of(toys, source), source.plan(), lambda: 0.0, threading.Event())
    next(partials)
    assert 1 <= len(toys.working()) <= 8
    partials.close()
