"""Executors turn references into partial results. All of them keep the same promise: every chunk counts once."""

from __future__ import annotations

import os
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from typing_extensions import override

from detcore.core.source import ChunkRef, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import xarray as xr

    from detcore.core.reduction import Reduction, State
    from detcore.core.source import Source

Item = ChunkRef | Problem | None
IDLE_SECONDS = 0.1  # how long a worker rests when a live source has nothing new


@dataclass(frozen=True)
class Job:
    """What every worker knows: where to read, which columns, what to do. Picklable."""

    source: Source
    reduction: Reduction
    schema: xr.Dataset
    columns: frozenset[str]


@dataclass
class Partial:
    """What a worker hands over: a state that nobody else owns, and what it stands for.

    Parameters
    ----------
    state
        Of the chunks in `done`; None when the worker had nothing to do.
    done
        The chunks that it counts.
    problems
        What could not be counted.
    """

    state: State
    done: list[ChunkRef]
    problems: list[Problem]


class Executor(Protocol):
    """The one method that a new way of executing has to offer."""

    def partials(
        self,
        job: Job,
        refs: Iterable[Item],
        pace: Callable[[], float],
        cancel: threading.Event,
    ) -> Iterator[Partial]:
        """Yield partial results until the references end or `cancel` is set.

        Parameters
        ----------
        job
            What to do.
        refs
            References; read lazily, from one thread at a time.
        pace
            Seconds that a worker should accumulate before it hands over; asked again each time.
        cancel
            Stops the workers after their present chunk.
        """


class Worker:
    """Accumulates chunks into a state of its own, and survives the bad ones."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._reset()

    def _reset(self) -> None:
        self.state = self.job.reduction.empty(self.job.schema)
        self.done: list[ChunkRef] = []
        self.mended: set[ChunkRef] = set()
        self.problems: list[Problem] = []
        self.since = time.monotonic()

    def take(self, item: ChunkRef | Problem) -> None:
        """Count a chunk, or note why not."""
        if isinstance(item, Problem):
            self.problems.append(item)
            return
        if item in self.mended:
            self._mend(item)
            return
        try:
            chunk = self.job.source.read(item, self.job.columns)
        except Exception as error:  # noqa: BLE001 - whatever a reader raises is one line of the ledger
            self._mend(item, error)
            return
        try:
            self.job.reduction.update(self.state, chunk)
        except Exception as error:  # noqa: BLE001 - the state may be half updated: begin again without this chunk
            done, self.done = self.done, []
            self.state = self.job.reduction.empty(self.job.schema)
            self._mend(item, error)
            if self.job.source.replayable:
                for earlier in done:
                    self.take(earlier)
            else:
                lost = "was counted together with a bad chunk and cannot be read again"
                self.problems += [Problem(earlier.part, lost, weight=earlier.weight) for earlier in done]
        else:
            self.done.append(item)

    def _mend(self, item: ChunkRef, error: Exception | None = None) -> None:
        """Count what is good of a bad chunk, if its source can take it apart; without `error` for the second time."""
        good, lost = [], []
        for piece in self.job.source.pieces(item):
            state = self.job.reduction.empty(self.job.schema)
            try:
                self.job.reduction.update(state, self.job.source.read(piece, self.job.columns))
            except Exception as fault:  # noqa: BLE001 - as above
                lost.append(Problem.of(piece.part, fault, 0.0))  # the weight of the chunk is counted as done
            else:
                good.append(state)
        if good:
            for state in good:
                self.job.reduction.merge(self.state, state)
            self.done.append(item)
            self.mended.add(item)
        elif error:
            lost = [Problem.of(item.part, error, item.weight)]
        if error:
            self.problems += lost

    def hand_over(self) -> Partial:
        """Give the state away and begin a fresh one."""
        partial = Partial(self.state if self.done else None, self.done, self.problems)
        self._reset()
        return partial

    def due(self, pace: float) -> bool:
        """Return whether there is something to show and it is time to."""
        return bool(self.done or self.problems) and time.monotonic() - self.since >= pace


@dataclass(frozen=True)
class Inline(Executor):
    """Works in the thread that asks. For tests, for debugging, and for one core."""

    @override
    def partials(
        self,
        job: Job,
        refs: Iterable[Item],
        pace: Callable[[], float],
        cancel: threading.Event,
    ) -> Iterator[Partial]:
        worker = Worker(job)
        for item in refs:
            if cancel.is_set():
                break
            if item is None:
                yield worker.hand_over()
                cancel.wait(IDLE_SECONDS)
                continue
            worker.take(item)
            if worker.due(pace()):
                yield worker.hand_over()
        yield worker.hand_over()


@dataclass(frozen=True)
class Threads(Executor):
    """Works in threads of this process: kernels and decompression release the interpreter lock.

    Parameters
    ----------
    workers
        Number of threads; None: one for each core this process may use, at most 8.
    """

    workers: int | None = None

    @override
    def partials(
        self,
        job: Job,
        refs: Iterable[Item],
        pace: Callable[[], float],
        cancel: threading.Event,
    ) -> Iterator[Partial]:
        count = self.workers or cores()
        ready: queue.SimpleQueue[Partial | BaseException | None] = queue.SimpleQueue()
        items, turn, stop = iter(refs), threading.Lock(), threading.Event()

        def work() -> None:
            try:
                worker = Worker(job)
                while not (cancel.is_set() or stop.is_set()):
                    with turn:
                        item = next(items, stop)
                    if isinstance(item, threading.Event):
                        break
                    if item is None:
                        if ready.qsize() < count if worker.done or worker.problems else ready.empty():
                            ready.put(worker.hand_over())
                        cancel.wait(IDLE_SECONDS)
                        continue
                    worker.take(item)
                    # A slow consumer finds few, larger partials; it never stops a worker or fills the memory.
                    if worker.due(pace()) and ready.qsize() < count:
                        ready.put(worker.hand_over())
                ready.put(worker.hand_over())
                ready.put(None)
            except BaseException as error:  # noqa: BLE001 - raised again by the consumer, below
                ready.put(error)

        threads = [threading.Thread(target=work, name=f"detcore-{n}", daemon=True) for n in range(count)]
        for thread in threads:
            thread.start()
        try:
            running = count
            while running:
                partial = ready.get()
                if isinstance(partial, BaseException):
                    raise partial
                if partial is None:
                    running -= 1
                else:
                    yield partial
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def cores() -> int:
    """Return how many threads are worth while: the cores that this process may use, at most eight."""
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
