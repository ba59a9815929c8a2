"""Observables against the original, against plain NumPy, and in files that both libraries read."""

from __future__ import annotations

import shutil
import tracemalloc
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
import showerdata
import showerdata.observables as theirs

from detcore.showers import kernels, observables, observablesfile
from detcore.showers.detector import ILD, get_test_geometry
from detcore.showers.model import Showers
from detcore.showers.ragged import Ragged

if TYPE_CHECKING:
    from pathlib import Path

FOUR = ("num_points_per_layer", "energy_per_layer", "energy_per_radial_bin", "center_of_energy")


def cloud(n=12, width=300, columns=5, seed=0):
    rng = np.random.default_rng(seed)
    points = np.zeros((n, width, columns), np.float32)
    for shower, count in enumerate(rng.integers(1, width + 1, n)):
        part = points[shower, :count]
        part[:, :2] = rng.normal(0, 90, (count, 2))
        part[:, 2] = rng.choice(np.float32([*range(78), 29.4, 29.5, 28.95, 0.89, -0.3]), count)
        part[:, 3] = rng.choice(np.float32([5e-5, 1e-4, 2e-4, 2.5e-4, 3e-4, 4e-3]), count) * rng.choice([1, 1.1], count)
        part[:, 4:] = rng.exponential(3, (count, columns - 4))
    return Showers(points, np.linspace(1, 90, n), 22)


def ragged(showers) -> Ragged:
    counts = (showers.points[:, :, 3] > 0).sum(axis=1)
    return Ragged.from_dense(showers.points, counts, showers.energies, showers.directions, showers.pdg)


def stored(path: Path, n=30, **more) -> showerdata.Showers:
    own = cloud(n=n, **more)
    showers = showerdata.Showers(own.points, own.energies, own.pdg)
    showerdata.save(showers, path)
    return showers


@pytest.mark.parametrize("geometry", [None, ILD, replace(ILD, ecal_threshold=0.2, num_layers_ecal=12)])
@pytest.mark.parametrize("columns", [4, 5])
def test_the_originals_functions(geometry, columns) -> None:
    own = cloud(columns=columns)
    both = showerdata.Showers(own.points, own.energies, own.pdg)
    edges = [3, 10, 11, 50.5, 200]
    below = np.hypot(own.points[..., 0], own.points[..., 1]) < 3
    for showers in (own, ragged(own)):
        for name in ("num_points_per_layer", "energy_per_layer"):
            calc = f"calc_{name}"
            for layers in (-1, 78, 90):
                found = getattr(observables, calc)(showers, layers, geometry)
                expected = getattr(theirs, calc)(both, layers, geometry)
                assert found.dtype == expected.dtype
                assert np.array_equal(found, expected), (name, layers)
        found = observables.calc_energy_per_radial_bin(showers, detector_config=geometry)
        assert np.array_equal(found, theirs.calc_energy_per_radial_bin(both, detector_config=geometry))
        # Points inside the first edge are in no bin; the original adds them to the last one.
        inside = both.copy()
        inside.points[below, 3] = 0
        found = observables.calc_energy_per_radial_bin(showers, edges, geometry)
        assert np.array_equal(found, theirs.calc_energy_per_radial_bin(inside, edges, geometry))
        assert not np.array_equal(found, theirs.calc_energy_per_radial_bin(both, edges, geometry))
        found = observables.calc_center_of_energy(showers, geometry)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, theirs.calc_center_of_energy(both, geometry), rtol=1e-4, atol=2e-3)
    assert np.array_equal(
        observables.compute_threshold_mask(own, geometry), theirs.compute_threshold_mask(both, geometry)
    )
    assert len(kernels.observe.signatures) == 1


@pytest.mark.parametrize("seed", range(4))
def test_any_rising_edges(seed) -> None:
    rng = np.random.default_rng(seed)
    showers = cloud(seed=seed)
    r = np.sqrt(showers.points[..., 0] ** 2 + showers.points[..., 1] ** 2)
    edges = np.sort(np.concatenate([rng.choice(r[r > 0], 20), rng.exponential(30, 10), [1.0, 1.0]])).astype(np.float32)
    found = observables.calc_energy_per_radial_bin(showers, edges)
    for row in range(len(showers)):
        e, at = showers.points[row, :, 3], np.digitize(r[row], edges) - 1
        expected = [e[(at == b) & (e > 0)].sum(dtype=np.float64) for b in range(len(edges) - 1)]
        np.testing.assert_allclose(found[row], expected, rtol=1e-5)
    wide = observables.calc_energy_per_radial_bin(showers, [-np.inf, 50, np.inf])
    np.testing.assert_allclose(wide.sum(axis=1), showers.points[..., 3].sum(axis=1), rtol=1e-5)


@pytest.mark.parametrize("edges", [[1], [3, 2, 1], [0, np.nan], [[0, 1]], []])
def test_edges_that_do_not_rise(edges) -> None:
    with pytest.raises(ValueError, match="monotonically increasing"):
        observables.calc_energy_per_radial_bin(cloud(n=1), edges)


def test_a_centre_has_no_bias() -> None:
    # The original divides by the energy plus 1e-8 GeV: a shower of 10 keV is pulled towards zero.
    points = np.zeros((2, 1, 4), np.float32)
    points[0, 0] = [30, -20, 7, 1e-8]
    showers = Showers(points, [1, 1], 22)
    assert observables.calc_center_of_energy(showers).tolist() == [[30, -20, 7], [0, 0, 0]]
    assert theirs.calc_center_of_energy(showerdata.Showers(points, [1, 1], 22))[0, 0] == pytest.approx(15)


def test_everything_in_one_pass() -> None:
    showers = cloud(seed=5)
    for form in (showers, ragged(showers)):
        found = observables.observe(form, ILD, (0.15, 0.26), np.linspace(0, 300, 31), radius=150, layers=(2, 60))
        for row in range(len(showers)):
            x, y, z, e, t = showers.points[row].astype(np.float64).T
            layer = np.floor(z + 0.1).astype(int)
            keep = (e > np.where(z < 29.5, 1.5e-4, 2.6e-4)) & (np.hypot(x, y) < 150) & (layer >= 2) & (layer <= 60)
            x, y, z, e, t, layer = (one[keep] for one in (x, y, z, e, t, layer))
            assert found["n_hits"][row] == keep.sum() > 0
            mean = partial(np.average, weights=e)
            expected = {
                "visible_energy": e.sum(), "center_x": mean(x), "center_y": mean(y), "center_layer": mean(z),
                "width_x": np.sqrt(mean((x - mean(x)) ** 2)), "width_y": np.sqrt(mean((y - mean(y)) ** 2)),
                "width_layer": np.sqrt(mean((z - mean(z)) ** 2)), "time_mean": mean(t), "time_first": t.min(),
                "hottest_energy": e.max(),
            }  # fmt: skip
            for name, value in expected.items():
                assert found[name][row] == pytest.approx(value, rel=1e-6), name
            energy = np.bincount(layer, e, 78)
            assert np.array_equal(found["hits_per_layer"][row], np.bincount(layer, minlength=78))
            np.testing.assert_allclose(found["energy_per_layer"][row], energy, rtol=1e-5)
            np.testing.assert_allclose(
                found["energy_per_radial_bin"][row], np.histogram(np.hypot(x, y), 30, (0, 300), weights=e)[0], rtol=1e-5
            )
            assert energy[found["maximum_layer"][row]] == pytest.approx(energy.max())
            assert found["hottest_layer"][row] in layer[e == e.max()]
    assert len(kernels.observe.signatures) == 1


def test_ranges_of_layers() -> None:
    showers = cloud(n=3)
    whole = observables.observe(showers, thresholds=(0, 0))["hits_per_layer"]
    for first, last in ((0, 77), (-5, 3), (70, 10**6), (9, 9), (9, 8), (-9, -2)):
        found = observables.observe(showers, thresholds=(0, 0), layers=(first, last))["hits_per_layer"]
        chosen = (np.arange(78) >= first) & (np.arange(78) <= last)
        assert np.array_equal(found, whole * chosen), (first, last)


def test_where_a_shower_starts() -> None:
    points = np.zeros((4, 6, 5), np.float32)
    points[:, :, 3] = 1e-4  # a track of one minimum-ionising particle
    points[:, :, 2] = [[0, 1, 2, 3, 4, 5], [0, 5, 6, 7, 8, 9], [27, 28, 29, 30, 31, 32], [0, 2, 4, 6, 8, 10]]
    points[0, 2:4, 3] = 3e-3
    points[1, 1, 3] = 1.0  # alone
    points[2, 2, 3], points[2, 3:5, 3] = 3e-3, [4e-3, 6e-3]  # the HCAL needs 5 MeV
    points[3, :, 3] = 1.0
    showers = Showers(points, [1] * 4, 211)
    assert observables.observe(showers)["start_layer"].tolist() == [2, -1, -1, -1]
    assert observables.observe(showers, start_energy=(2.0, 3.5))["start_layer"].tolist() == [2, -1, 29, -1]


def test_showers_without_hits() -> None:
    for showers in (Showers(np.zeros((2, 3, 4)), [1, 2], 22), Ragged.build(np.zeros((0, 4)), [0, 0])):
        found = observables.observe(showers)
        assert found["n_hits"].tolist() == [0, 0]
        assert found["visible_energy"].tolist() == [0, 0]
        for name in ("center_x", "width_layer", "time_mean", "time_first", "hottest_energy"):
            assert np.isnan(found[name]).all(), name
        for name in ("start_layer", "maximum_layer", "hottest_layer"):
            assert found[name].tolist() == [-1, -1], name
    assert observables.observe(Ragged.build(np.zeros((0, 5)), []))["energy_per_layer"].shape == (0, 78)
    assert np.isnan(observables.observe(cloud(columns=4))["time_mean"]).all()
    assert observables.calc_energy_per_layer(Showers(), 5).shape == (0, 5)
    with pytest.raises(ValueError, match="no points to infer"):
        observables.calc_energy_per_layer(Showers())
    with pytest.raises(ValueError, match="at depth 1e\\+09"):
        observables.calc_energy_per_layer(Showers([[[0, 0, 1e9, 1]]], [1], 22))


@pytest.mark.parametrize("depth", [78.0, 1e12, -1.0, -50.0, np.nan, np.inf])
def test_a_point_in_no_layer_is_an_error(depth) -> None:
    showers = cloud()
    showers.points[7, 0, 2:4] = depth, 1
    for form in (showers, ragged(showers)):
        with pytest.raises(IndexError, match=r"out of bounds for axis 1 with size 78: shower 7 has a point at depth"):
            observables.observe(form)
        with pytest.raises(IndexError):
            observables.calc_energy_per_layer(form, 78)
        observables.calc_energy_per_radial_bin(form)  # does not ask for layers
    showers.points[7, 0, 3] = 1e-30  # below the threshold: does not count
    assert observables.observe(showers)["n_hits"][7] > 0


@pytest.mark.parametrize("clustered", [True, False])
def test_a_file_gets_what_the_original_adds(tmp_path, clustered) -> None:
    stored(tmp_path / "own.h5")
    if clustered:
        with h5py.File(tmp_path / "own.h5", "a") as file:
            file.attrs["clustered_for"] = "ILD"
    shutil.copy(tmp_path / "own.h5", tmp_path / "theirs.h5")
    theirs.add_observables_to_file(tmp_path / "theirs.h5")
    seen = []
    observables.add_observables_to_file(tmp_path / "own.h5", batch_size=7, progress=lambda *a: seen.append(a))
    assert [one[:2] for one in seen] == [(7, 30), (14, 30), (21, 30), (28, 30), (30, 30)]
    with h5py.File(tmp_path / "own.h5") as own, h5py.File(tmp_path / "theirs.h5") as other:
        assert dict(own.attrs) == dict(other.attrs)
        assert sorted(own) == sorted(other)
        assert sorted(own["observables"]) == sorted(FOUR)
        for name in FOUR:
            a, b = own["observables"][name], other["observables"][name]
            assert (a.dtype, a.shape, a.chunks) == (b.dtype, b.shape, b.chunks)
            np.testing.assert_allclose(
                a[()], b[()], rtol=1e-4 if name == "center_of_energy" else 0, atol=1e-3 * (name == FOUR[3])
            )
    assert showerdata.load(tmp_path / "own.h5") == showerdata.load(tmp_path / "theirs.h5")
    for one, two in ((tmp_path / "own.h5", tmp_path / "theirs.h5"), (tmp_path / "theirs.h5", tmp_path / "own.h5")):
        for span in ((0, None), (3, 17), (-4, None), (28, 99)):
            a, b = observables.load(one, None, *span), theirs.load(two, None, *span)
            assert list(a) == list(b)
            for name, values in a.items():
                assert values.dtype == b[name].dtype
                np.testing.assert_allclose(values, b[name], rtol=1e-4, atol=1e-3)


def test_observables_are_not_replaced_unless_told(tmp_path) -> None:
    path = tmp_path / "a.h5"
    stored(path)
    observables.add_observables_to_file(path)
    before = path.read_bytes()
    with pytest.raises(
        ValueError, match=r"already contains an 'observables' group\. Use overwrite option to replace it\."
    ):
        observables.add_observables_to_file(path, detector_config=get_test_geometry(80))
    assert path.read_bytes() == before  # the original changes an attribute before it refuses
    observables.add_observables_to_file(path, overwrite=True, detector_config=get_test_geometry(80, 0.15))
    with h5py.File(path) as file:
        assert file.attrs["observables_computed_for"] == "TestDetector"
        assert file["observables/energy_per_layer"].shape == (30, 80)
    showers = showerdata.load(path)
    expected = theirs.calc_energy_per_layer(showers, 80, showerdata.detector.get_test_geometry(80, 0.15))
    assert np.array_equal(theirs.load(path, ["energy_per_layer"])["energy_per_layer"], expected)


def test_a_failure_leaves_the_file_as_it_was(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.h5"
    stored(path)
    observables.add_observables_to_file(path)
    before = path.read_bytes()
    monkeypatch.setattr(observablesfile, "IN_MEMORY", 0)
    with pytest.raises(IndexError):
        observables.add_observables_to_file(path, batch_size=5, overwrite=True, detector_config=get_test_geometry(20))
    assert path.read_bytes() == before

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(observablesfile.h5py.Group, "copy", full)
    with pytest.raises(OSError, match="No space left"):
        observables.add_observables_to_file(path, overwrite=True)
    monkeypatch.undo()
    monkeypatch.setattr(observablesfile.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(OSError, match="0 are free"):
        observables.add_observables_to_file(path, overwrite=True)
    monkeypatch.undo()
    assert len(observables.load(path)) == 10
    assert [one.name for one in tmp_path.iterdir()] == ["a.h5"]
    with h5py.File(path) as file:
        assert set(file) == {*showerdata_names(), "observables"}
    assert showerdata.load(path) is not None


def showerdata_names():
    return {"showers", "energies", "directions", "pdg", "shower_ids", "shape", "num_points"}


def test_observables_may_wait_in_a_file(tmp_path, monkeypatch) -> None:
    stored(tmp_path / "a.h5")
    shutil.copy(tmp_path / "a.h5", tmp_path / "b.h5")
    observables.add_observables_to_file(tmp_path / "a.h5")
    monkeypatch.setattr(observablesfile, "IN_MEMORY", 0)
    observables.add_observables_to_file(tmp_path / "b.h5", batch_size=11)
    a, b = observables.load(tmp_path / "a.h5"), observables.load(tmp_path / "b.h5")
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.h5", "b.h5"]


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(observablesfile, "IN_MEMORY", 0)  # what waits in memory is bounded by that
    peaks = []
    for n in (400, 1600):
        points = np.tile(cloud(n=1, width=400).points, (n, 1, 1))
        showerdata.save(showerdata.Showers(points, np.ones(n), 22), tmp_path / f"{n}.h5")
        observables.add_observables_to_file(tmp_path / f"{n}.h5", batch_size=50)
        tracemalloc.start()
        observables.add_observables_to_file(tmp_path / f"{n}.h5", batch_size=50, overwrite=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # A hundred bytes for each shower, where it is and its particle, and one batch more or less that threads hold.
    assert peaks[1] < peaks[0] + 1200 * 100 + 50 * 400 * 20


def test_unknown_geometry_and_files_that_hold_no_showers(tmp_path) -> None:
    path = tmp_path / "a.h5"
    stored(path)
    with h5py.File(path, "a") as file:
        file.attrs["clustered_for"] = "/etc/passwd.yaml"
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"Unknown 'clustered_for' attribute value: /etc/passwd\.yaml"):
        observables.add_observables_to_file(path)
    assert path.read_bytes() == before
    showerdata.IncidentParticles([[1.0]], 22).save(tmp_path / "incident.h5")
    before = (tmp_path / "incident.h5").read_bytes()
    with pytest.raises((ValueError, KeyError)):
        observables.add_observables_to_file(tmp_path / "incident.h5")
    assert (tmp_path / "incident.h5").read_bytes() == before
    with pytest.raises(FileNotFoundError):
        observables.add_observables_to_file(tmp_path / "none.h5")
    assert not (tmp_path / "none.h5").exists()


def test_observables_of_any_name(tmp_path) -> None:
    path = tmp_path / "a.h5"
    stored(path)
    mine = {"sphericity": np.linspace(0, 1, 30), "charge_per_layer": np.arange(60).reshape(30, 2)}
    observables.save(path, mine)
    # The original cannot read names of one's own back.
    found = observables.load(path, ["sphericity", "total_charge", "incident_energies"], 3, 9)
    assert np.array_equal(found["sphericity"], mine["sphericity"][3:9])
    assert np.array_equal(found["total_charge"], mine["charge_per_layer"][3:9].sum(axis=1))
    assert found["incident_energies"].shape == (6, 1)
    assert "sphericity" not in observables.load(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"^Observable 'sphericity' already exists in file '.*a\.h5'\.$"):
        observables.save(path, {"new": np.ones(30), "sphericity": np.ones(30)})
    assert observables.load(path, ["sphericity"])["sphericity"][1] == mine["sphericity"][1]
    with pytest.raises(ValueError, match=r"^Observable 'new' not found in file '.*a\.h5'\.$"):
        observables.load(path, ["new"])
    assert len(before) == path.stat().st_size
    observables.save(path, {"new": np.ones(30), "sphericity": np.ones(30)}, overwrite=True)
    with h5py.File(path) as file:
        assert sorted(file["observables"]) == ["charge_per_layer", "new", "sphericity"]
        assert file["observables/sphericity"][()].tolist() == [1] * 30
    for bad in ("../energies", "nothing", ""):
        with pytest.raises(ValueError, match="not found"):
            observables.load(path, [bad])


def test_links_into_other_files_are_not_followed(tmp_path) -> None:
    stored(tmp_path / "secret.h5")
    stored(tmp_path / "a.h5")
    observables.add_observables_to_file(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["observables/stolen"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "energies")
        file["observables/soft"] = h5py.SoftLink("/energies")
        del file["pdg"]
        file["pdg"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "pdg")
        file["observables"].create_dataset("huge", (1 << 40, 16), np.float64)
    for name in ("stolen", "soft", "incident_pdg"):
        with pytest.raises(ValueError, match="not found"):
            observables.load(tmp_path / "a.h5", [name])
    with pytest.raises(ValueError, match="claims 140737488355328 bytes, but has 0"):
        observables.load(tmp_path / "a.h5", ["huge"])
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["observables"]
        file["observables"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/")
    assert "energy_per_layer" not in observables.load(tmp_path / "a.h5")


def test_point_energies(tmp_path, monkeypatch) -> None:
    stored(tmp_path / "a.h5")
    monkeypatch.setattr(observablesfile, "BATCH", 4)
    for span in ((0, None), (5, 19), (-3, None), (29, 300)):
        found, expected = (
            observables.read_point_energies(tmp_path / "a.h5", *span),
            theirs.read_point_energies(tmp_path / "a.h5", *span),
        )
        assert (found.dtype, found.tobytes()) == (expected.dtype, expected.tobytes())
    assert len(observables.read_point_energies(tmp_path / "a.h5", 9, 9)) == 0


def test_the_real_photon(shared) -> None:
    path = shared / "data/showers/real_g4_ild_photon_43GeV_cells_5f.h5"
    cells = showerdata.load(path)
    found = observables.observe(Showers(cells.points, cells.energies, cells.pdg))
    assert found["n_hits"][0] == 813
    assert found["hottest_energy"][0] == pytest.approx(25.9e-3, abs=1e-4)
    everything = observables.observe(Showers(cells.points, cells.energies, cells.pdg), thresholds=(0, 0))
    assert everything["visible_energy"][0] == pytest.approx(1.0152, abs=1e-4)
    assert everything["center_layer"][0] == pytest.approx(12.99, abs=0.01)
    assert everything["maximum_layer"][0] == 13
    layers = 1e3 * everything["energy_per_layer"][0, :12]
    np.testing.assert_allclose(layers, [0, 0.9, 0.6, 2.9, 9, 18.7, 34.9, 41.3, 57.9, 75.4, 83.3, 99.3], atol=0.06)
    assert found["start_layer"][0] == 3
    stored_by_them = theirs.load(path)
    assert np.array_equal(
        observables.calc_energy_per_layer(Showers(cells.points, cells.energies, 22), 78, ILD),
        stored_by_them["energy_per_layer"],
    )
