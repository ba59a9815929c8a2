"""Memory is bounded by chunk, workers and result, never by the input: ten times the input, the same peak."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from detcore.occupancy.demo import write_spill

TOLERANCE = 8.0  # MB: what the allocator keeps for itself varies by a few chunks

# prints by how much the peak of resident memory grows while a first input is reduced, and while a larger one is
MEASURE = """
import re
import sys
from pathlib import Path

def peak():
    # not ru_maxrss: a child begins with its parent's
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

{setup}
work(SMALL)  # compiles, imports, fills caches and the memory that every chunk needs
before = peak()
work(LARGE)
print(peak() - before)
"""

FRAMES = """
from dataclasses import dataclass
import numpy as np
import xarray as xr
from detcore import run
from detcore.core.accumulators import Histogram, Moments, Sum
from detcore.core.reduction import Together
from detcore.core.run import Threads
from detcore.core.source import ChunkRef, Source

@dataclass(frozen=True)
class Frames(Source):
    chunks: int
    key = "frames"

    def schema(self):
        return xr.Dataset({"image": (("frame", "y", "x"), np.zeros((0, 256, 256), np.uint16))})

    def plan(self, target_bytes=None):
        for number in range(self.chunks):
            yield ChunkRef("frames", "a", 16 * number, 16 * number + 16, weight=1.0)

    def read(self, ref, columns):
        frames = np.full((16, 256, 256), ref.start % 1000, np.uint16)
        return xr.Dataset({"image": (("frame", "y", "x"), frames)})

SMALL, LARGE = Frames(20), Frames(200)
wanted = Together(reductions=(Moments(column="image", row="frame"), Sum(column="image", row="frame")))

def work(source):
    assert int(run(source, wanted, executor=Threads(2)).image_n[0, 0]) == 16 * source.chunks
"""

SPILLS = """
from detcore.core.run import Threads, run
from detcore.occupancy import open_files
from detcore.occupancy.reductions import DriftTime, Hits, Pairs, TriggerBits
from detcore.occupancy.series import Trend
from detcore.core.reduction import Together

SMALL, LARGE = sys.argv[1:]
wanted = Together(reductions=(Hits(in_time=True), DriftTime(), Pairs(), TriggerBits(), Trend()))

def work(path):
    print(int(run(open_files(path), wanted, executor=Threads(2), target_bytes=200_000).hits.sum()), file=sys.stderr)
"""


def growth(setup, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(setup=setup), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"},  # or threads keep what they free
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout), done.stderr.split()


def test_ten_times_the_frames_need_no_more_memory():
    grown, _ = growth(FRAMES)  # 40 MB of frames, then 400 MB
    assert grown < TOLERANCE


def test_a_spill_file_ten_times_larger_needs_no_more_memory(tmp_path):
    counts = np.zeros((63, 202), np.int64)
    counts[1:7, 1:161] = 250
    paths = []
    for name, times in (("small", 1), ("large", 10)):
        paths.append(tmp_path / f"{name}.root")
        events = np.full(600 * times, 400)
        write_spill(paths[-1], counts * times, events, run_id=1, spill_id=1, basket_hits=60_000)
    assert paths[1].stat().st_size > 8 * paths[0].stat().st_size
    grown, hits = growth(SPILLS, *paths)
    assert hits == ["240000", "2400000"]
    assert grown < TOLERANCE


def test_the_measurement_notices_an_input_that_is_held():
    held = (
        FRAMES.replace("frames = np.full", "kept.append(frames := np.full").replace(
            "np.uint16)\n        return", "np.uint16))\n        return"
        )
        + "\nkept = []\n"
    )
    grown, _ = growth(held)
    assert grown == pytest.approx(400, rel=0.2)
