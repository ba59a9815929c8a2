"""The two calls that every front end uses: `run` for the answer, `stream` for the answer while it grows."""

from __future__ import annotations

import bisect
import copy
import itertools
import json
import math
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import xarray as xr

from detcore.core.executors import Executor, Inline, Item, Job, Threads
from detcore.core.provenance import Provenance, describe
from detcore.core.reduction import Reduction
from detcore.core.source import ChunkRef, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from detcore.core.reduction import State
    from detcore.core.source import Source

__all__ = [
    "Checkpoint",
    "EmptyInput",
    "Inline",
    "Snapshot",
    "Threads",
    "problems_of",
    "run",
    "stream",
]


class EmptyInput(ValueError):
    """The input has nothing that can be read; `problems` says why."""

    def __init__(self, key: str, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__(
            f"{key}: nothing to read. "
            + ("; ".join(map(str, problems[:20])) or "There is no file, or none with any data.")
        )


@dataclass(frozen=True)
class Checkpoint:
    """Where a stream stood: its state, and the chunks that the state counts. In memory only, never a data file."""

    state: State
    done: frozenset[ChunkRef]
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """An immutable view of a stream.

    Parameters
    ----------
    data
        The finalized result of the chunks counted so far; exact for them.
    version
        Grows by one.
    data_time
        When the newest data was written, Unix seconds; None when unknown.
    wall_time
        When the snapshot was made, Unix seconds.
    fraction
        Of the input that is counted or lost, 0..1; None when the input has no end (live).
    status
        running; waiting for new data; complete; partial (cancelled).
    problems
        The error ledger, one line for each part and reason.
    provenance
        Versions, parameters, inputs with fingerprints.
    checkpoint
        Only if asked for.
    """

    data: xr.Dataset
    version: int
    data_time: float | None
    wall_time: float
    fraction: float | None
    status: Literal["running", "waiting", "complete", "partial"]
    problems: tuple[Problem, ...]
    provenance: dict[str, Any]
    checkpoint: Checkpoint | None = field(default=None, repr=False)

    def labelled(self) -> xr.Dataset:
        """Return the data with status, problems and provenance as attributes, as files carry them."""
        return self.data.assign_attrs(
            status=self.status,
            problems=json.dumps([{"part": p.part, "reason": p.reason, "chunks": p.chunks} for p in self.problems]),
            provenance=json.dumps(self.provenance),
        )


def problems_of(data: xr.Dataset) -> list[Problem]:
    """Return the error ledger of a result of `run`."""
    return [Problem(**line) for line in json.loads(data.attrs.get("problems", "[]"))]


def run(
    source: Source,
    reduction: Reduction | Callable[[xr.Dataset], Reduction],
    *,
    executor: Executor | None = None,
    cancel: threading.Event | None = None,
    target_bytes: int | None = None,
) -> xr.Dataset:
    """Reduce a source to the end.

    Parameters
    ----------
    source, reduction
        What to read and what to accumulate; a function is called with the schema, to choose by what the input has.
    executor
        None: threads, one for each core.
    cancel
        Set it from another thread to stop; what was counted until then is returned, marked partial.
    target_bytes
        Wished size of a chunk; None: the instrument's own.

    Returns
    -------
    Dataset
        With the attributes `status`, `problems` and `provenance` (the last two as JSON text).

    Raises
    ------
    EmptyInput
        Nothing could be read; says why, file by file.
    """
    *_, last = stream(
        source,
        reduction,
        executor=executor,
        cancel=cancel,
        every=math.inf,
        target_bytes=target_bytes,
    )
    return last.labelled()


def stream(
    source: Source,
    reduction: Reduction | Callable[[xr.Dataset], Reduction],
    *,
    executor: Executor | None = None,
    cancel: threading.Event | None = None,
    every: float = 0.5,
    start: Checkpoint | None = None,
    checkpoints: bool = False,
    target_bytes: int | None = None,
) -> Generator[Snapshot]:
    """Reduce a source and yield snapshots while it is read.

    Parameters
    ----------
    source, reduction, executor, cancel, target_bytes
        As for `run`. Closing the iterator cancels, too.
    every
        Seconds between snapshots; more when publishing one costs more than a tenth of it.
    start
        Go on from there: its chunks are not read again.
    checkpoints
        Give each snapshot a checkpoint.

    Yields
    ------
    Snapshot
        The last one is complete, or partial if cancelled. A live source never ends by itself.

    Raises
    ------
    EmptyInput
        The input ended and nothing could be read.
    ValueError
        The input has changed since the checkpoint.
    """
    cancel = cancel or threading.Event()
    progress = _Progress(source, start, keep=checkpoints)
    items: Iterator[Item] = progress.fresh(source.plan(target_bytes))
    for item in items:
        if isinstance(item, ChunkRef):
            items = itertools.chain([item], items)
            break
        if cancel.is_set():
            break
        if item is None:
            yield progress.snapshot(xr.Dataset(), "waiting")
            cancel.wait(min(every, 1.0))
        else:
            progress.note([item])
    else:
        if start is None:
            raise EmptyInput(source.key, progress.problems)
    if cancel.is_set() and start is None:
        yield progress.snapshot(xr.Dataset(), "partial")
        return

    schema = source.schema()
    if not isinstance(reduction, Reduction):
        reduction = reduction(schema)
    progress.provenance.reduction = describe(reduction)
    total = copy.deepcopy(start.state) if start else reduction.empty(schema)
    job = Job(source, reduction, schema, reduction.needs(schema))
    pace, shown = every, 0.0
    idle = False
    for partial in (executor or Threads()).partials(job, items, lambda: pace, cancel):  # noqa: B023 - the newest pace is meant
        if partial.state is not None:
            reduction.merge(total, partial.state)
        progress.count(partial.done)
        progress.note(partial.problems)
        waiting = partial.state is None and not partial.problems and progress.size is None  # the end is not waiting
        if time.monotonic() - shown >= pace or (waiting and not idle):
            began = time.monotonic()
            snapshot = progress.snapshot(
                reduction.finalize(total), "waiting" if waiting else "running", total if checkpoints else None
            )
            pace = max(every, 10 * (time.monotonic() - began))
            yield snapshot
            shown = time.monotonic()
        idle = waiting
    status: Literal["partial", "complete"] = "partial" if cancel.is_set() else "complete"
    yield progress.snapshot(reduction.finalize(total), status, total if checkpoints else None)


class _Progress:
    """What has been counted so far."""

    def __init__(self, source: Source, start: Checkpoint | None, *, keep: bool) -> None:
        self.keep = keep  # a feed of weeks must not hold a reference for each of its chunks
        self.size = source.size()
        self.provenance = Provenance.begin(source)
        self.before: dict[tuple[str, str], list[ChunkRef]] = {}
        self.done: list[ChunkRef] = []
        for ref in sorted(start.done if start else (), key=lambda ref: ref.start):
            self.before.setdefault((ref.source, ref.part), []).append(ref)
            self.count([ref])
        self.ledger: dict[tuple[str, str], Problem] = {}
        self.version = 0
        self.note(start.problems if start else ())

    def fresh(self, items: Iterable[Item]) -> Iterator[Item]:
        for item in items:
            earlier = self.before.get((item.source, item.part), []) if isinstance(item, ChunkRef) else []
            if not isinstance(item, ChunkRef) or not earlier:
                yield item
                continue
            # the last one that begins before this one ends: they are the same, or apart
            place = bisect.bisect_left(earlier, item.stop, key=lambda ref: ref.start) - 1
            near = earlier[max(place, 0)]
            if item.fingerprint != near.fingerprint or (item != near and place >= 0 and near.stop > item.start):
                msg = f"{item.part}: has changed, or is cut differently, since the checkpoint; start afresh"
                raise ValueError(msg)
            if item != near:
                yield item

    def count(self, refs: list[ChunkRef]) -> None:
        if self.keep:
            self.done += refs
        for ref in refs:
            self.provenance.add(ref)

    def note(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            key = (problem.part, problem.reason)
            known = self.ledger.get(key)
            self.ledger[key] = (
                replace(
                    known,
                    chunks=known.chunks + problem.chunks,
                    weight=known.weight + problem.weight,
                )
                if known
                else problem
            )

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(self.ledger.values())

    def snapshot(
        self,
        data: xr.Dataset,
        status: Literal["running", "waiting", "complete", "partial"],
        state: State = None,
    ) -> Snapshot:
        self.version += 1
        fraction = None
        if self.size is not None:
            counted = self.provenance.weight + sum(problem.weight for problem in self.ledger.values())
            fraction = 1.0 if status == "complete" else min(counted / self.size, 1.0) if self.size else 0.0
        checkpoint = None
        if state is not None:
            checkpoint = Checkpoint(copy.deepcopy(state), frozenset(self.done), self.problems)
        time_of_data = self.provenance.newest
        return Snapshot(
            data=data,
            version=self.version,
            data_time=time_of_data if math.isfinite(time_of_data) else None,
            wall_time=time.time(),
            fraction=fraction,
            status=status,
            problems=self.problems,
            provenance=self.provenance.record(),
            checkpoint=checkpoint,
        )
