"""Bars of the Eiger sums: against the original's way, the best that h5py and numba give, and LZ4 alone."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import hdf5plugin  # noqa: F401 - registers the filters
import numpy as np
from bars import Bar, load, ratio
from numba import njit

from detcore import eiger, run
from detcore.core.executors import Inline, Threads
from detcore.core.source import ChunkRef
from detcore.eiger import lz4
from detcore.eiger.bitplanes import HEADER, big_endian
from detcore.eiger.reductions import Intensity

if TYPE_CHECKING:
    from collections.abc import Iterator

HIGH = 4500
COLUMNS = frozenset({"frame_number", "payload", "payload_size"})
PEAK = """
import sys
from pathlib import Path
from detcore import eiger
from detcore.core.executors import Threads
eiger.INSTRUMENT.warm()
eiger.sum_frames(sys.argv[1], frames=(1, 4))
def memory(what):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024
Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak of the imports
before = memory("VmRSS")
eiger.sum_frames(sys.argv[1], executor=Threads(2))
print(memory("VmHWM") - before)
"""
_opened: dict[str, h5py.Dataset] = {}


def _frame(place: tuple[str, int]) -> np.ndarray:
    path, number = place
    if path not in _opened:
        _opened[path] = h5py.File(path)["entry/data/data"]
    return _opened[path][number]


def original(place: tuple[str, int]) -> int:
    """Sum a frame as the old script does: a masked array."""
    frame = _frame(place)
    masked = np.ma.masked_where(frame < 0, np.ma.masked_where(frame > HIGH, frame))
    return int(masked.sum())


@njit(nogil=True)
def _compare_and_add(frame, high):  # type: ignore[no-untyped-def]
    total = np.uint64(0)
    for value in frame.flat:
        total += np.uint64(value) if value <= high else np.uint64(0)
    return total


def naive(place: tuple[str, int]) -> int:
    """Sum a frame with h5py and a compiled loop."""
    return int(_compare_and_add(_frame(place), HIGH))


def where(place: tuple[str, int]) -> int:
    """Sum a frame with h5py and NumPy."""
    frame = _frame(place)
    return int(frame.sum(where=frame <= HIGH))


@njit(nogil=True)
def lz4_alone(payload, sizes, decoder, item, pixels):  # type: ignore[no-untyped-def]
    """Decode every block into the same 8 KB, and do nothing with it."""
    room = np.empty(8192, np.uint8)
    start = end = 0
    for frame in range(len(sizes)):
        start, end = end, end + sizes[frame]
        at, left = start + HEADER, pixels // 8 * 8 * item
        while left:
            length = big_endian(payload, at, 4)
            source = payload.ctypes.data + np.uintp(at + 4)
            left -= lz4.decompress(decoder, source, room.ctypes.data, length, min(8192, left))
            at += 4 + length


def chunks_of(master: Path) -> list[Any]:
    """Read a series into memory, still compressed."""
    source = eiger.open_files(master)
    return [source.read(ref, COLUMNS) for ref in source.plan() if isinstance(ref, ChunkRef)]


def by_hand(master: Path, reduction: Intensity) -> Any:
    """Do what `run` does, without the framework: the same kernel over the same chunks."""
    source = eiger.open_files(master)
    state = reduction.empty(source.schema())
    for ref in source.plan():
        if isinstance(ref, ChunkRef):
            reduction.update(state, source.read(ref, COLUMNS))
    return reduction.finalize(state)


def best(work: Any, rounds: int) -> float:
    """Return the seconds of the fastest round."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def fastest(works: list[Any], rounds: int) -> list[float]:
    """Return the seconds of the fastest round of each, measured in turn: neighbours only ever make one slower."""
    for work in works:
        work()
    return [min(column) for column in zip(*([best(work, 1) for work in works] for _ in range(rounds)), strict=True)]


def bars(quick: bool) -> Iterator[Bar]:
    """Measure; `quick` takes few frames, whose ratios mean little."""
    maker = load(Path(__file__).with_name("eiger_series.py"))
    eiger.INSTRUMENT.warm()
    for name in ("A", "C") if quick else "ABCD":
        kind = maker.KINDS[name]
        with tempfile.TemporaryDirectory() as folder:
            written = maker.write(kind, Path(folder), 6 if quick else None)
            yield from _of_set(name, written, 1 if quick else 5)
    with tempfile.TemporaryDirectory() as folder:
        yield from _small(maker, Path(folder), quick)


def _of_set(name: str, written: Any, rounds: int) -> Iterator[Bar]:
    master, truth = written.master, written.sums
    places = [(str(path), number) for path in written.data for number in range(_length(path))]
    rule = Intensity(pixel_mask=False)

    def ours() -> Any:
        return run(eiger.open_files(master), rule, executor=Threads(2))

    data = run(eiger.open_files(master), Intensity())
    np.testing.assert_array_equal(data["sum"], truth)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for theirs in (original, naive):
            np.testing.assert_array_equal(pool.map(theirs, places), ours()["sum"])
        yield Bar(
            f"{name}: times faster than masked arrays in a pool of two",
            1 / ratio(ours, lambda: pool.map(original, places), max(1, rounds // 2)),
            15,
            at_least=True,
        )
        yield Bar(
            f"{name}: times faster than h5py and a compiled loop in a pool of two",
            1 / ratio(ours, lambda: pool.map(naive, places), rounds),
            4,
            at_least=True,
        )
    chunks, item = chunks_of(master)[:4], np.dtype(written.dtype).itemsize

    def reduced(reduction: Intensity) -> Any:
        state = reduction.empty(eiger.open_files(master).schema())

        def work() -> None:
            state.pieces.clear()
            for chunk in chunks:
                reduction.update(state, chunk)

        return work

    def alone() -> None:
        for chunk in chunks:
            lz4_alone(chunk["payload"].values, chunk["payload_size"].values, lz4.decoder(), item, truth_pixels)

    truth_pixels = written.pixel_mask.size
    plain, full = reduced(Intensity(pixel_mask=False)), reduced(Intensity(low=1))
    tries = max(5, 3 * rounds)
    times = fastest([plain, full, alone], tries)
    yield Bar(f"{name}: one core against LZ4 alone (best of {tries})", times[0] / times[2], 1.5)
    yield Bar(f"{name}: the same with a mask and low = 1", times[1] / times[2], 2.5)
    if name == "D":
        frames = sum(chunk.sizes["frame"] for chunk in chunks)
        yield Bar("frames of 16 megapixels a second on one core", frames / times[0], 20, at_least=True, unit="/s")


def _small(maker: Any, folder: Path, quick: bool) -> Iterator[Bar]:
    written = maker.write(maker.KINDS["small"], folder, 40 if quick else None, per_file=120)
    places = [(str(path), number) for path in written.data for number in range(_length(path))]
    wanted, rounds = Intensity(), 1 if quick else 9
    np.testing.assert_array_equal(by_hand(written.master, wanted)["sum"], written.sums)
    yield Bar(
        "half a megapixel: times faster than h5py and NumPy, one thread each",
        1
        / ratio(
            lambda: run(eiger.open_files(written.master), wanted, executor=Inline()),
            lambda: [where(place) for place in places],
            rounds,
        ),
        4,
        at_least=True,
    )
    through, without = fastest(
        [
            lambda: run(eiger.open_files(written.master), wanted, executor=Inline()),
            lambda: by_hand(written.master, wanted),
        ],
        2 * rounds,
    )
    yield Bar("run against the same kernel in a hand-written loop", through / without, 1.1)
    peaks = []
    for frames in (60, 240) if quick else (400, 1600):
        place = folder / str(frames)
        place.mkdir()
        master = maker.write(maker.KINDS["small"], place, frames, per_file=100).master
        command = [sys.executable, "-c", PEAK, master]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
        peaks.append(float(done.stdout))
    yield Bar("peak memory of four times as many frames, more", peaks[1] - peaks[0], 20, unit="MB")


def _length(path: Path) -> int:
    with h5py.File(path) as file:
        return len(file["entry/data/data"])
