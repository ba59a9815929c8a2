"""Bars of station occupancy, and of the framework on it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import uproot
from bars import Bar, load, ratio

from detcore import occupancy, run
from detcore.core.executors import Inline, Threads
from detcore.occupancy import kernels
from detcore.occupancy.reductions import Hits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detcore.occupancy.source import SpillFiles

NAMES = ("fAllHits.detectorID", "fAllHits.elementID")
PEAK = """
import sys
from pathlib import Path
from detcore import occupancy
from detcore.core.executors import Threads
occupancy.INSTRUMENT.warm()
occupancy.reduce(sys.argv[1])
def memory(what):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024
Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak of the imports
before = memory("VmRSS")
occupancy.reduce(sys.argv[2], executor=Threads(2))
print(memory("VmHWM") - before)
"""


def decompress(path: Path, tree: str = "save", names: tuple[str, str] = NAMES) -> None:
    """Read and decompress both id branches with uproot, on one thread, and do nothing with them."""
    with uproot.open(path, array_cache=None) as file:
        for name in names:
            branch = file[tree][name]
            for basket in range(branch.num_baskets):
                branch.basket(basket).data  # noqa: B018 - decompresses


def by_hand(source: SpillFiles) -> np.ndarray:
    """Do what `run` does for `Hits`, without the framework: the same kernel over the same chunks."""
    hits, fired = np.zeros((2, kernels.CHANNELS), np.int64)
    columns = Hits().needs(source.schema())
    for ref in source.plan():
        chunk = source.read(ref, columns)
        kernels.count(chunk["channel"].values, chunk["n_hits"].values, hits, fired)
    return hits


def event_by_event(path: Path, events: int) -> float:
    """Return the seconds per event of the old script's way: for each event, open, read all, take one, count in a dict."""
    counts: dict[tuple[int, int], int] = {}
    began = time.perf_counter()
    detectors = elements = np.zeros(0)
    for event in range(events):
        with uproot.open(path) as file:
            columns = [file["save"][name].array(library="np")[event] for name in NAMES]
        detectors, elements = np.concatenate([detectors, columns[0]]), np.concatenate([elements, columns[1]])
        for _ in range(4):
            for pair in zip(*columns, strict=True):
                counts[pair] = counts.get(pair, 0) + 1
    return (time.perf_counter() - began) / events


def bars(quick: bool) -> Iterator[Bar]:
    """Measure; `quick` takes small files, whose ratios mean little."""
    spills = load(Path(__file__).with_name("spills.py"))
    hits, rounds = (200_000, 1) if quick else (6_000_000, 9)
    occupancy.INSTRUMENT.warm()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large, small, vectors = folder / "large.root", folder / "small.root", folder / "vectors.root"
        spills.write_large(large, n_hits=hits)
        spills.write_large(small, n_hits=hits, basket_hits=16_000)
        spills.write_large(vectors, n_hits=hits, basket_hits=8_000, layout="tree")
        several = []
        for number in range(4):
            several.append(str(folder / f"several_{number}.root"))
            (folder / f"several_{number}.root").write_bytes(large.read_bytes())

        def reduced(path: Path) -> object:
            return run(occupancy.open_files(path), Hits(), executor=Inline())

        source = occupancy.open_files(large)
        assert int(run(source, Hits()).hits.sum()) == int(by_hand(source).sum()) == hits
        yield Bar(
            "run against the same kernel in a hand-written loop",
            ratio(lambda: reduced(large), lambda: by_hand(source), rounds),
            1.1,
        )
        yield Bar(
            "file to histogram against decompression, megabyte baskets, one thread",
            ratio(lambda: reduced(large), lambda: decompress(large), rounds),
            1.25,
        )
        yield Bar("the same, 32 kB baskets", ratio(lambda: reduced(small), lambda: decompress(small), rounds), 2.0)
        names = ("detectorID", "elementID")
        yield Bar(
            "the same, plain columns in small baskets",
            ratio(lambda: reduced(vectors), lambda: decompress(vectors, "tree", names), rounds),
            2.0,
        )
        many = occupancy.open_files(several)
        one_thread = ratio(
            lambda: run(many, Hits(), executor=Threads(1)), lambda: run(many, Hits(), executor=Threads(2)), rounds
        )
        yield Bar("two threads against one, four files", one_thread, 1.5, at_least=True)
        yield _against_the_old_way(spills, folder, 0.05 if quick else 1.0)
        tiny = folder / "tiny.root"
        spills.write_large(tiny, n_hits=20_000, n_events=100)
        output = subprocess.run(
            [sys.executable, "-c", PEAK, tiny, large], capture_output=True, text=True, check=True
        ).stdout
        yield Bar("peak memory above the imports", float(output), 60, unit="MB")


def _against_the_old_way(spills, folder: Path, size: float) -> Bar:  # type: ignore[no-untyped-def]
    path = folder / "five_thousand.root"
    n_events = int(5000 * size)
    spills.write_large(path, n_hits=int(5_450_000 * size), n_events=n_events)
    theirs = event_by_event(path, 20) * n_events
    source = occupancy.open_files(path)
    began = time.perf_counter()
    run(source, Hits())
    ours = time.perf_counter() - began
    return Bar(
        "times faster than event by event, 5000 events (theirs: 20 events, scaled)", theirs / ours, 2000, at_least=True
    )
