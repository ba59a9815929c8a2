"""Series that are still being written: files that appear, and one that grows under its reader's eyes (SWMR)."""

from __future__ import annotations

import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from detcore.core.follow import Follow
from detcore.core.source import ChunkRef, Problem
from detcore.eiger.source import FrameFiles
from detcore.eiger.writer import write_series

WRITER = """
import sys, time
import h5py, hdf5plugin, numpy as np
path, n, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
with h5py.File(path, "w", libver="latest") as file:
    data = file.create_dataset("/entry/data/data", (0, 37, 50), "u2", maxshape=(None, 37, 50), chunks=(1, 37, 50),
                               **hdf5plugin.Bitshuffle())
    file.swmr_mode = True
    print("ready", flush=True)
    for number in range(n):
        data.resize(number + 1, axis=0)
        data[number] = np.full((37, 50), number + 1, "u2")
        data.flush()
        time.sleep(pause)
    sys.stdin.read()  # it ends when its reader has seen everything, as a detector that waits for a trigger
"""


class Looks:
    """Pulls the plan of a live source and reads what comes."""

    def __init__(self, source, rescan=0.01, settle=0.3):
        self.source = Follow(source, settle=settle, rescan=rescan)
        self.plan = self.source.plan()
        self.frames: dict[int, np.ndarray] = {}
        self.problems: list[Problem] = []
        self.chunks = 0

    def until(self, n, seconds=20.0):
        end = time.monotonic() + seconds
        while len(self.frames) < n and time.monotonic() < end:
            self.once()
        return sorted(self.frames)

    def quiet(self, seconds=0.2):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.once()
        return sorted(self.frames)

    def once(self):
        item = next(self.plan)
        if isinstance(item, ChunkRef):
            self.chunks += 1
            chunk = self.source.read(item, frozenset({"payload"}))
            ends = np.cumsum(chunk.payload_size.values)
            for number, payload in zip(
                chunk.frame_number.values, np.split(chunk.payload.values, ends[:-1]), strict=True
            ):
                assert number not in self.frames
                self.frames[int(number)] = payload
        elif isinstance(item, Problem):
            self.problems.append(item)
        else:
            time.sleep(0.002)


@pytest.fixture
def writer(tmp_path):
    """Start a process that writes frames, each of which holds its own number."""
    started = []

    def start(n, pause=0.003):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "a.h5"), str(n), str(pause)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process, tmp_path / "a.h5"

    yield start
    for process in started:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


def test_every_frame_of_a_file_that_grows_comes_once(writer, counts, tmp_path):
    process, path = writer(150)
    source = FrameFiles((str(path),))
    looks = Looks(source)
    assert looks.until(150) == list(range(1, 151))
    assert looks.chunks > 3, "it came as it grew, not at the end"
    assert looks.problems == []
    first = looks.source.schema()
    assert (first.attrs["live"], first.attrs["encoding"]) == (True, "bslz4")
    for number in (1, 77, 150):  # the writer still has the file open
        assert (source.frame(number) == number).all()
    assert process.poll() is None


def test_the_last_frame_comes_although_the_file_keeps_its_size(writer):
    _, path = writer(8, pause=0.2)
    looks = Looks(FrameFiles((str(path),)), rescan=0.0)
    assert looks.until(8) == list(range(1, 9))
    assert looks.quiet() == list(range(1, 9))


def test_data_files_that_appear_after_their_master(series, tmp_path):
    frames, master = series(n=12)
    aside = tmp_path / "aside"
    aside.mkdir()
    data = sorted(master.parent.glob("a_data_*.h5"))
    for path in data:
        path.rename(aside / path.name)
    looks = Looks(FrameFiles((str(master),)))
    assert looks.quiet() == []
    for number, path in enumerate(data, 1):
        (aside / path.name).rename(path)
        assert looks.until(4 * number) == list(range(1, 4 * number + 1))
    assert looks.problems == []
    source = FrameFiles((str(master),))
    np.testing.assert_array_equal(source.frame(12), frames[11])


def test_a_file_that_comes_late_takes_its_own_place(series, tmp_path):
    _, master = series(n=12)
    second = master.with_name("a_data_000002.h5")
    second.rename(tmp_path / "aside.h5")
    looks = Looks(FrameFiles((str(master),)))
    assert looks.until(8) == [1, 2, 3, 4, 9, 10, 11, 12]
    (tmp_path / "aside.h5").rename(second)
    assert looks.until(12) == list(range(1, 13))


def test_a_folder_where_a_series_is_begun_later(series, tmp_path):
    folder = tmp_path / "later"
    folder.mkdir()
    looks = Looks(FrameFiles((str(folder),)))
    assert looks.quiet() == []
    series(folder=folder)
    assert looks.until(10) == list(range(1, 11))


def test_images_inside_a_master_that_grows_between_looks(tmp_path, counts):
    frames = counts(30)
    path = write_series(tmp_path, "a", frames[:10], layout="master")
    looks = Looks(FrameFiles((str(path),)))
    assert looks.until(10) == list(range(1, 11))
    with h5py.File(path, "r+") as file:
        data = file["/entry/data/data"]
        data.resize(30, axis=0)
        data[10:30] = frames[10:30]
    assert looks.until(30) == list(range(1, 31))


def test_when_it_is_behind_it_takes_every_kth_frame(series):
    frames, master = series(n=40, per_file=10)
    size = FrameFiles((str(master),)).size()
    looks = Looks(FrameFiles((str(master),), backlog=int(size / 4) + 1))
    assert looks.quiet(0.4) == list(range(1, 41, 4))
    assert len(frames) == 40


def test_a_file_that_is_no_hdf5_yet_is_waited_for(series):
    _, master = series()
    second = master.with_name("a_data_000002.h5")
    whole = second.read_bytes()
    second.write_bytes(whole[: len(whole) // 2])  # being copied
    looks = Looks(FrameFiles((str(master),)), settle=5.0)
    assert looks.quiet() == [1, 2, 3, 4, 9, 10]
    second.write_bytes(whole)
    assert looks.until(10) == list(range(1, 11))
    assert looks.problems == []
