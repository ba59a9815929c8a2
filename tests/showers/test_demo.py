"""The demo is in the real format; the photons are like those of a full simulation."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import showerdata

from detcore.showers.demo import MARKER, SHOWERS, write_demo
from detcore.showers.generator import Tuning, cone, depths, photons, pions
from detcore.showers.source import probe


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    began = time.process_time()
    paths = write_demo(tmp_path_factory.mktemp("demo"))
    return paths, time.process_time() - began


@pytest.fixture(scope="module")
def straight():
    return photons(np.random.default_rng(5).uniform(10, 90, 200), seed=4)


@pytest.fixture(scope="module")
def reference(shared):
    return json.loads((shared / "data/showers/real_g4_ild_photon_reference_histograms.json").read_text())


def test_it_is_small_quick_and_the_original_library_reads_it(demo):
    paths, seconds = demo
    assert len(paths) == 3
    assert sum(path.stat().st_size for path in paths) < 30e6
    assert seconds < 12, "about 4 s of processor time"
    for path in paths:
        assert probe(str(path)).degree == "exact"
        assert showerdata.get_file_length(path) == SHOWERS
        showers = showerdata.load(path, stop=20)
        assert showers.points.shape[2] == 5
        assert (showers._num_points == (showers.points[..., 3] > 0).sum(axis=1)).all()
        np.testing.assert_allclose(np.linalg.norm(showers.directions, axis=1), 1, rtol=1e-5)
    assert set(showerdata.load_inc_particles(paths[2]).pdg) == {211}


def test_it_is_written_once_and_always_alike(demo, tmp_path):
    paths, _ = demo
    before = [path.stat().st_mtime_ns for path in paths]
    assert write_demo(paths[0].parent) == paths
    assert [path.stat().st_mtime_ns for path in paths] == before
    content = paths[1].stat().st_size, showerdata.load(paths[1], 3, 5)
    (paths[0].parent / MARKER).write_text("{}")
    write_demo(paths[0].parent)
    assert (paths[1].stat().st_size, showerdata.load(paths[1], 3, 5)) == content


def test_photons_are_like_those_of_100_000_full_simulations(straight, reference):
    points, n = straight.points, len(straight)
    layer, radius = points[:, 2].astype(int), np.hypot(points[:, 0], points[:, 1])
    assert np.array_equal(layer, points[:, 2])
    count, energy = np.bincount(layer, minlength=30) / n, np.bincount(layer, points[:, 3], 30) / n
    expected = np.array(reference["mean_points_per_layer"])
    assert count.sum() == pytest.approx(expected.sum(), rel=0.05)
    np.testing.assert_allclose(count[5:28], expected[5:28], rtol=0.2)
    expected = np.array(reference["mean_energy_per_layer_GeV"])
    assert energy.sum() == pytest.approx(expected.sum(), rel=0.06)
    np.testing.assert_allclose(energy[5:28], expected[5:28], rtol=0.3)
    expected = np.array(reference["mean_energy_per_radius_bin_GeV"])
    found = np.histogram(radius, reference["radius_edges_mm"], weights=points[:, 3])[0] / n
    assert found[0] / found.sum() == pytest.approx(expected[0] / expected.sum(), abs=0.03)
    np.testing.assert_allclose(found[1:7], expected[1:7], rtol=0.3)


def test_points_have_the_energies_and_times_of_a_real_shower(straight, shared):
    real = showerdata.load(shared / "data/showers/real_g4_ild_photon_43GeV_steps_5f.h5").points[0]
    size = 5 / 6  # the reference merges points on a grid 36 times finer than the cells of 5 mm
    place = np.floor(np.column_stack([real[:, :2] / size, real[:, 2]])).astype(int)
    _, group = np.unique(place, axis=0, return_inverse=True)
    merged = np.bincount(group.ravel(), real[:, 3])
    ours = straight.points[:, 3]
    for fraction, tolerance in ((0.1, 0.7), (0.5, 0.25), (0.9, 0.4), (0.99, 0.4)):
        assert np.quantile(ours, fraction) == pytest.approx(np.quantile(merged, fraction), rel=tolerance)
    assert np.median(straight.points[:, 4]) == pytest.approx(0.39, abs=0.1)
    assert 0.001 < (straight.points[:, 4] > 10).mean() < 0.02


def test_energies_are_seen_in_proportion(straight):
    ratio = np.add.reduceat(straight.points[:, 3], straight.offsets[:-1]) / straight.energies
    assert ratio.mean() == pytest.approx(0.024, abs=0.002)
    assert ratio.std() / ratio.mean() < 0.2
    order = straight.points[:, 2]
    assert np.corrcoef(order[:-1], order[1:])[0, 1] < 0.5, "points are in no order"


def test_oblique_showers_lean():
    direction = np.array([[np.sin(0.3), 0, np.cos(0.3)]])
    upright, leaning = photons([50.0], seed=1), photons([50.0], direction, seed=1)
    shift = leaning.points[:, 0] - upright.points[:, 0]
    np.testing.assert_array_equal(leaning.points[:, 1:4], upright.points[:, 1:4])
    depth = np.array([7.34, 206.05])  # mm, of the first and the last layer of the ECAL
    for layer, at in zip((0, 29), depth, strict=True):
        found = shift[upright.points[:, 2] == layer]
        np.testing.assert_allclose(found, np.tan(0.3) * at, rtol=1e-3)


def test_the_same_seed_gives_the_same_and_a_tuning_changes_it():
    one, two, other = (photons([20.0, 30.0], seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.points, two.points)
    assert one.points.shape != other.points.shape
    wide = photons([40.0] * 20, seed=3, tuning=Tuning(radius=1.5))
    narrow = photons([40.0] * 20, seed=3)
    assert np.hypot(*wide.points[:, :2].T).mean() > 1.4 * np.hypot(*narrow.points[:, :2].T).mean()
    with pytest.raises(ValueError, match="holds from 1 to 1000 GeV"):
        photons([0.1])


def test_pions_go_through_both_parts():
    found = pions(np.full(100, 40.0), seed=2)
    layer = found.points[:, 2]
    assert layer.min() == 0
    assert layer.max() == 77
    assert 0.2 < (layer >= 30).mean() < 0.8
    sums = np.add.reduceat(found.points[:, 3], found.offsets[:-1])
    assert 0.08 < sums.std() / sums.mean() < 0.4, "hadrons fluctuate more than photons"
    begins = [found.shower(number)[found.shower(number)[:, 3] > 0.0003, 2].min() for number in range(100)]
    assert np.std(begins) > 3
    assert (found.pdg == 211).all()
    assert depths()[0][19] == pytest.approx(12.0)


def test_a_cone_is_full_of_unit_vectors():
    found = cone(1000, 20, seed=1)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    angle = np.degrees(np.arccos(found[:, 2].clip(-1, 1)))
    assert angle.max() <= 20.01
    assert angle.max() > 19
