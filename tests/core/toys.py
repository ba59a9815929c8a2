"""A source, a reduction and an executor whose every behaviour a test can set."""

from __future__ import annotations

import itertools
import pickle
import threading
import time
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import xarray as xr

from detcore.core.executors import Inline, Partial, Threads, Worker
from detcore.core.reduction import Reduction
from detcore.core.source import ChunkRef, Problem, Source

POISON = 13_000_000  # an update refuses a chunk that holds it, after it has counted half of it
WEIGHT = 100.0  # of a chunk

reads: list[tuple[str, int]] = []
"""Every chunk that was read, in order; list.append is safe from threads."""


@dataclass(frozen=True)
class Numbers(Source):
    """Whole numbers, `rows` in each part, in chunks of `step`."""

    parts: tuple[str, ...] = ("a", "b", "c")
    rows: int = 100
    step: int = 10
    unreadable: tuple[tuple[str, int], ...] = ()  # (part, start) of chunks that raise when read
    poisonous: tuple[tuple[str, int], ...] = ()  # and of those that the reduction refuses
    lost: tuple[str, ...] = ()  # parts that cannot even be planned
    seconds: float = 0.0  # that reading a chunk takes
    live: bool = False
    version: str = "1"  # of the content

    @property
    def key(self):
        return "numbers"

    def schema(self):
        empty = np.zeros(0, np.int64)
        return xr.Dataset({"n": ("event", empty), "entry": ("event", empty)}, attrs={"file": ""})

    def plan(self, target_bytes=None):
        for part in self.parts:
            if part in self.lost:
                yield Problem(part, "expected numbers, found letters", weight=WEIGHT * self.rows / self.step)
                continue
            for start in range(0, self.rows, target_bytes or self.step):
                stop = min(start + (target_bytes or self.step), self.rows)
                yield ChunkRef(self.key, part, start, stop, self.version, WEIGHT * (stop - start) / self.step, 7.0)
        while self.live:
            yield None

    def size(self):
        return None if self.live else WEIGHT * len(self.parts) * self.rows / self.step

    def read(self, ref, columns):
        time.sleep(self.seconds)
        reads.append((ref.part, ref.start))
        if (ref.part, ref.start) in self.unreadable:
            msg = "expected a chunk, found a hole"
            raise OSError(msg)
        n = numbers(ref.part, ref.start, ref.stop)
        if (ref.part, ref.start) in self.poisonous:
            n[len(n) // 2] = POISON
        return xr.Dataset(
            {"n": ("event", n), "entry": ("event", np.arange(ref.start, ref.stop))}, {}, {"file": ref.part}
        )


@dataclass(frozen=True)
class Severable(Numbers):
    """Numbers whose bad chunks can be taken apart, row by row."""

    def pieces(self, ref):
        return [replace(ref, start=row, stop=row + 1) for row in range(ref.start, ref.stop)]


@dataclass(frozen=True)
class Messages(Numbers):
    """Numbers that can be read only once."""

    replayable: ClassVar[bool] = False


def numbers(part, start, stop):
    """What rows start..stop of a part hold."""
    return np.arange(start, stop, dtype=np.int64) ** 2 + 1000 * (ord(part[0]) - ord("a"))


def expected(refs):
    """The sum over references, and the rows that they stand for."""
    rows = sorted((ref.part, row) for ref in refs for row in range(ref.start, ref.stop))
    return sum(int(numbers(part, row, row + 1)[0]) for part, row in rows), [f"{part}{row}" for part, row in rows]


class Roll(Reduction):
    """Sums the numbers and calls the roll: a row that was counted twice, or never, shows."""

    def needs(self, schema):
        return frozenset({"n", "entry"})

    def empty(self, schema):
        return {"sum": np.zeros((), np.int64), "rows": []}

    def update(self, state, chunk):
        for row, number in zip(chunk["entry"].values, chunk["n"].values, strict=True):
            if number == POISON:
                msg = "expected a wholesome number"
                raise ArithmeticError(msg)
            state["sum"] += number
            state["rows"].append((chunk.attrs["file"], int(row)))

    def merge(self, state, other):
        state["sum"] += other["sum"]
        state["rows"] += other["rows"]

    def finalize(self, state):
        rows = [f"{part}{row}" for part, row in sorted(state["rows"])]
        return xr.Dataset({"sum": ((), int(state["sum"])), "rows": ("row", np.array(rows, dtype=object))})


@dataclass(frozen=True)
class Remote:
    """Stands for dask.distributed: everything crosses a border as bytes, in batches."""

    batch: int = 3

    def partials(self, job, refs, pace, cancel):
        wire = pickle.dumps(job)
        refs = iter(refs)
        while not cancel.is_set() and (batch := list(itertools.islice(refs, self.batch))):
            reply = self._work(wire, pickle.dumps([item for item in batch if item is not None]))
            yield pickle.loads(reply)

    @staticmethod
    def _work(wire, items):
        worker = Worker(pickle.loads(wire))
        for item in pickle.loads(items):
            worker.take(item)
        partial = worker.hand_over()
        assert isinstance(partial, Partial)
        return pickle.dumps(partial)


EXECUTORS = {"inline": Inline(), "threads-1": Threads(1), "threads-3": Threads(3), "remote": Remote()}


def working():
    """Threads of an executor that are alive."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("detcore-")]


def until(condition, seconds=10.0):
    """Wait for something that must happen."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)
