"""The demo is a real series with known contents."""

from __future__ import annotations

import time

import numpy as np
import pytest

from detcore.eiger.demo import GAP, MARKER, expected, write_demo
from detcore.eiger.source import FrameFiles, probe


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    began = time.process_time()
    (master,) = write_demo(tmp_path_factory.mktemp("demo"))
    return master, time.process_time() - began


@pytest.fixture(scope="module")
def sums(demo):
    source = FrameFiles((str(demo[0]),))
    mask = source.schema().attrs["pixel_mask"]
    total = []
    for number in range(1, expected().n_frames + 1):
        frame = source.frame(number)
        total.append(frame[(mask == 0) & (frame <= 4500)].sum(dtype=np.int64))
    return np.array(total)


def test_it_is_small_quick_and_in_the_real_format(demo):
    master, seconds = demo
    assert probe(str(master)).degree == "exact"
    assert sum(path.stat().st_size for path in master.parent.iterdir()) < 20e6
    assert seconds < 12, "about 3 s of processor time"
    source = FrameFiles((str(master),))
    schema = source.schema()
    assert (schema.attrs["encoding"], schema.attrs["dtype"]) == ("bslz4", "uint16")
    assert len(source.files()) == 4
    assert source.n_frames() == expected().n_frames
    assert schema.attrs["metadata"]["frame_time"] == expected().frame_time
    assert not [item for item in source.plan() if not hasattr(item, "where")]


def test_gaps_hot_and_dead_pixels(demo):
    source = FrameFiles((str(demo[0]),))
    frame, mask = source.frame(1), source.schema().attrs["pixel_mask"]
    assert (frame[GAP] == 65535).all()
    assert ((frame == 65535) == (mask != 0)).all()
    assert ((frame > 500) & (mask == 0)).sum() == 7
    assert (frame[mask == 0] > 4500).any(), "the upper limit has something to do"


def test_what_is_planted_is_there(sums):
    known = expected()
    odd = np.array([*known.drops, *known.spikes]) - 1
    middle = np.median(sums)
    deviation = abs(sums - middle) / (1.4826 * np.median(abs(sums - middle)))
    assert set(np.flatnonzero(deviation > 8)) == set(odd)
    quiet = sums.astype(float)
    quiet[odd] = middle
    trend = np.polyfit(np.arange(len(quiet)), quiet, 1)
    slope = trend[0] * len(quiet) / middle
    assert slope == pytest.approx(known.drift, abs=0.006)
    amplitude = 2 * abs(np.fft.rfft(quiet - np.polyval(trend, np.arange(len(quiet))))) / len(quiet) / middle
    frequency = np.fft.rfftfreq(len(quiet), known.frame_time)
    strongest = frequency[np.argsort(amplitude)[-2:]]
    assert sorted(strongest) == pytest.approx([50, 100], abs=0.7)
    assert amplitude.max() == pytest.approx(dict(known.lines)[50.0], rel=0.15)


def test_the_beam_moves(demo):
    source = FrameFiles((str(demo[0]),))
    x = np.arange(514)
    centres = []
    for numbers in (range(1, 16), range(386, 401)):
        total = sum(np.where(source.frame(number) < 300, source.frame(number), 0).sum(axis=0) for number in numbers)
        centres.append((x * total).sum() / total.sum())
    assert centres[1] > centres[0] + 0.3


def test_it_is_written_once_and_always_alike(demo, tmp_path, sums):
    master, _ = demo
    before = {path.name: path.stat().st_mtime_ns for path in master.parent.iterdir()}
    assert write_demo(master.parent) == [master]
    assert {path.name: path.stat().st_mtime_ns for path in master.parent.iterdir()} == before
    (master.parent / MARKER).unlink()
    frame = FrameFiles((str(master),)).frame(3)
    write_demo(master.parent)
    np.testing.assert_array_equal(FrameFiles((str(master),)).frame(3), frame)
