"""The demo is a run with known contents."""

from __future__ import annotations

import time

import h5py
import numpy as np
import pytest

from detcore.area import AvImage, demo, find_centre
from detcore.area.demo import MARKER, expected, write_demo
from detcore.area.setup.setupfile import Setup


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    began = time.process_time()
    files = write_demo(tmp_path_factory.mktemp("demo"))
    return files, time.process_time() - began


@pytest.fixture(scope="module")
def content(run):
    (path, dark, _), _ = run
    with h5py.File(path) as file, h5py.File(dark) as other:
        detector = file["entry/instrument/detector"]
        pedestal = other["entry/instrument/detector/data"][:].mean(axis=0)
        events = {name: values[:] for name, values in file["entry/events"].items()}
        return detector["data"][:].astype(np.float32) - pedestal, detector["pixel_mask"][:], events


def test_it_is_small_and_quick(run):
    files, seconds = run
    assert seconds < 12, "about 1.5 s of processor time"
    assert sum(path.stat().st_size for path in files) < 60e6
    assert [path.name for path in files] == [demo.RUN, demo.DARK, demo.SETUP]


def test_rings_and_beam_are_where_they_are_said_to_be(content):
    frames, pixel_mask, events = content
    mean = frames[events["xray"] == 1].mean(axis=0)
    known = expected()
    x, y = known.scene.coordinates()
    radius = np.hypot(x, y).astype(int)
    good = (pixel_mask == 0) & ~known.scene.shadow() & (mean < 100)
    profile = np.bincount(radius[good], mean[good], 1000) / np.maximum(np.bincount(radius[good], minlength=1000), 1)
    for ring in known.radii[:4]:
        near = slice(int(ring) - 12, int(ring) + 13)
        assert abs(near.start + profile[near].argmax() + 0.5 - ring) < 1.6
    assert mean[known.scene.shadow() & (pixel_mask == 0)].mean() < 0.3 * mean[good].mean()


def test_events(content):
    frames, pixel_mask, events = content
    known = expected()
    np.testing.assert_array_equal(np.flatnonzero(events["xray"] == 0), known.dropped)
    hits = ((frames > demo.GAIN / 2) & (pixel_mask == 0)).sum(axis=(1, 2))  # nearly one photon each
    lit = events["xray"] == 1
    assert np.corrcoef(hits[lit], events["i0"][lit])[0, 1] > 0.9
    assert hits[~lit].max() < hits[lit].min() / 20
    assert len(set(events["delay"])) == len(demo.DELAYS)
    assert set(known.laser_off) <= set(np.flatnonzero(lit))


def test_spots_and_bad_pixels(content):
    frames, pixel_mask, events = content
    known = expected()
    x, y, _ = known.scene.spots[0]
    spot = frames[events["xray"] == 1][:, int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4]
    assert (spot.max(axis=(1, 2)) > 10 * demo.GAIN).all()
    assert (frames.max(axis=0)[pixel_mask == demo.BIT_DEAD] == 0).all()
    noise = frames[list(known.dropped)].std(axis=0)
    assert all(noise[place] > 100 for place in known.hot)


def test_the_setup_is_of_this_run(run):
    (path, _, setup), _ = run
    found = Setup.load(setup)
    assert (found.geometry.x, found.geometry.y) == expected().scene.centre
    assert np.load(found.calibration.pedestal).shape == expected().scene.shape
    assert {roi.name for roi in found.rois} == {"spot1", "spot2", "ring"}
    assert path.is_file()


def test_the_centre_is_found_without_a_hint(run):
    (path, _, setup), _ = run
    known = Setup.load(setup)
    image = AvImage(path, 32, setup=known)
    found = find_centre(image, setup=known)
    assert (found.x, found.y) == pytest.approx(expected().scene.centre, abs=0.15)
    np.testing.assert_allclose(sorted(found.radii)[:4], expected().radii[:4], atol=1)


def test_it_is_written_once(run):
    (path, *_), _ = run
    before = {each.name: each.stat().st_mtime_ns for each in path.parent.iterdir()}
    assert write_demo(path.parent)[0] == path
    assert {each.name: each.stat().st_mtime_ns for each in path.parent.iterdir()} == before
    (path.parent / MARKER).unlink()
    with h5py.File(path) as file:
        frame = file["entry/instrument/detector/data"][3]
    write_demo(path.parent)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["entry/instrument/detector/data"][3], frame)
