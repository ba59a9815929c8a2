"""Clustering against the original, bit for bit, and what it must do besides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import showerdata

from detcore.showers import kernels
from detcore.showers.cluster_module import cluster, grid_shifts
from detcore.showers.detector import ILD, get_ILD_unclustered_geometry, get_test_geometry
from detcore.showers.model import Showers
from detcore.showers.ragged import Ragged

COLUMNS = (4, 5)


def cloud(n=12, width=300, columns=5, seed=0, spread=60.0):
    """Points of all kinds in the arrays that both libraries take, padded."""
    rng = np.random.default_rng(seed)
    points = np.zeros((n, width, columns), np.float32)
    for shower, count in enumerate(rng.integers(1, width + 1, n)):
        part = points[shower, :count]
        part[:, :2] = rng.normal(0, spread, (count, 2))
        part[:, 2] = rng.integers(0, 78, count)
        part[:, 3] = rng.exponential(3e-4, count) + 1e-9
        if columns > 4:
            part[:, 4] = rng.exponential(3, count)
    return points


def both(points, pdg=22):
    """The same showers for us and for the original."""
    n = len(points)
    rest = {"energies": np.linspace(1, 90, n), "pdg": pdg, "shower_ids": np.arange(n)[::-1] + 5}
    rest["directions"] = np.tile(np.float32([0.1, 0.2, 0.97]), (n, 1))
    return Showers(points, **rest), showerdata.Showers(points.copy(), **rest)


def same(own, theirs) -> None:
    """All six arrays are equal to the bit, of the same type and shape."""
    for name in ("points", "energies", "pdg", "directions", "shower_ids", "_num_points"):
        a, b = getattr(own, name), getattr(theirs, name)
        assert (a.dtype, a.shape) == (b.dtype, b.shape), name
        assert a.tobytes() == b.tobytes(), name


def ragged(showers) -> Ragged:
    counts = (showers.points[:, :, 3] > 0).sum(axis=1)
    return Ragged.from_dense(
        showers.points, counts, showers.energies, showers.directions, showers.pdg, showers.shower_ids
    )


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("processes", [1, 3])
def test_without_shift_the_result_is_the_originals(columns, processes) -> None:
    own, theirs = both(cloud(columns=columns))
    expected = showerdata.cluster(theirs, random_shift=False)
    before = own.points.copy()
    same(cluster(own, random_shift=False, processes=processes), expected)
    assert np.array_equal(own.points, before)
    found = cluster(ragged(own), random_shift=False, processes=processes)
    assert found.max_points == 300
    assert np.array_equal(found.counts, expected._num_points)
    assert found.dense().tobytes() == expected.points.tobytes()
    assert (expected._num_points < 300).all()


@pytest.mark.parametrize("seed", range(6))
def test_strange_points_are_treated_as_the_original_does(seed) -> None:
    rng = np.random.default_rng(seed)
    points = cloud(n=20, width=60, seed=seed, spread=rng.choice([0.1, 10, 1e4, 1e9]))
    every = points.reshape(-1, 5)
    chosen = rng.random(len(every)) < 0.3
    depth = np.float32([29.4, 29.5, 29.6, 28.999999, 30, -0.2, -3, 77.9, 1e12, -1e12, np.inf, -np.inf, np.nan])
    every[chosen & (every[:, 3] > 0), 2] = rng.choice(depth, int((chosen & (every[:, 3] > 0)).sum()))
    edge = rng.random(len(every)) < 0.1
    every[edge & (every[:, 3] > 0), 0] = rng.choice(np.float32([0, -0.0, 5, -5, 30, 4.9999995, -1e-20, np.inf, np.nan]))
    late = rng.random(len(every)) < 0.2
    every[late & (every[:, 3] > 0), 4] = rng.choice(
        np.float32([np.nan, np.inf, -1, 0]), int((late & (every[:, 3] > 0)).sum())
    )
    points[3] = 0  # nothing
    points[4, 1::2] = 0  # gaps
    points[5, :, 3] = np.where(points[5, :, 3] > 0, np.float32(1e-45), 0)
    own, theirs = both(points)
    with np.errstate(invalid="ignore", over="ignore"):
        expected = showerdata.cluster(theirs, random_shift=False)
    same(cluster(own, random_shift=False), expected)


@pytest.mark.parametrize("columns", COLUMNS)
def test_legacy_draws_give_the_originals_shifts(columns) -> None:
    own, theirs = both(cloud(columns=columns, seed=3))
    np.random.seed(11)  # noqa: NPY002
    expected = showerdata.cluster(theirs)
    following = np.random.rand()  # noqa: NPY002
    np.random.seed(11)  # noqa: NPY002
    same(cluster(own, legacy_draws=True, processes=2), expected)
    assert np.random.rand() == following  # noqa: NPY002
    with pytest.raises(ValueError, match=r"numpy\.random\.seed"):
        cluster(own, legacy_draws=True, seed=1)


def test_other_geometries() -> None:
    own, theirs = both(cloud(seed=4))
    geometry = get_test_geometry(78)
    expected = showerdata.cluster(theirs, False, showerdata.detector.get_test_geometry(78))
    same(cluster(own, False, geometry), expected)
    odd = replace(ILD, ecal_cell_size=0.3, hcal_cell_size=7.1, num_layers_ecal=12)
    same(cluster(own, False, odd), showerdata.cluster(theirs, False, odd))
    with pytest.raises(ValueError, match=r"Geometry\(ILD_unclustered\) has cells of 0 and 0 mm"):
        cluster(own, detector_config=get_ILD_unclustered_geometry())


def test_each_shower_has_its_own_stream() -> None:
    # The original's workers inherit one state: eight showers in four workers had two different shifts.
    many = ragged(both(cloud(n=40, seed=5))[0])
    one = cluster(many, seed=7)
    for processes in (2, 5, 64):
        assert np.array_equal(cluster(many, seed=7, processes=processes).points, one.points)
    batches = [cluster(many[i : i + 9], seed=7, first_shower=i) for i in range(0, 40, 9)]
    assert np.array_equal(Ragged.concatenate(batches).points, one.points)
    assert not np.array_equal(cluster(many, seed=8).points, one.points)
    assert not np.array_equal(cluster(many).points, cluster(many).points)
    # The position of the first cell, modulo the cell, is minus the shift, up to half a cell.
    starts = one.points[one.offsets[:-1], 0]
    assert len(np.unique(np.round((starts - 2.5) % 5, 3))) > 35


def test_shifts_are_uniform_over_a_cell() -> None:
    draws = np.random.default_rng(1).random((4000, 4))
    shifts = grid_shifts(draws, ILD)
    assert shifts.dtype == np.float32
    assert np.array_equal(shifts[:, :2], draws[:, :2].astype(np.float32) * np.float32(5) - np.float32(2.5))
    assert np.array_equal(shifts[:, 2:], draws[:, 2:].astype(np.float32) * np.float32(30) - np.float32(15))


def test_shifted_cells_keep_energy_and_points_near() -> None:
    showers = ragged(both(cloud(n=6, seed=8))[0])
    found = cluster(showers, seed=1)
    for i in range(6):
        points, cells = showers.shower(i), found.shower(i)
        assert cells[:, 3].sum(dtype=float) == pytest.approx(points[:, 3].sum(dtype=float), rel=1e-6)
        for x, y, z, _, time in points:
            size = 2.5 if z < 29.5 else 15
            near = cells[(np.abs(cells[:, :2] - [x, y]) <= size * 1.0001).all(axis=1) & (cells[:, 2] == z)]
            assert len(near) in {1, 2, 4}
            assert near[:, 4].min() <= time


def test_nothing_gives_nothing() -> None:
    empty = cluster(Showers())
    assert empty.points.shape == showerdata.cluster(showerdata.Showers()).points.shape
    assert len(cluster(Ragged.build(np.zeros((0, 4)), []))) == 0
    own, theirs = both(np.zeros((3, 4, 5), np.float32))
    same(cluster(own), showerdata.cluster(theirs))
    assert cluster(ragged(own), processes=2).counts.tolist() == [0, 0, 0]


def test_a_long_shower_in_one_cell() -> None:
    points = np.ones((1, 70_000, 5), np.float32)  # more than an index of 16 bits can tell apart
    points[0, :, 3] = np.linspace(1e-6, 1e-3, 70_000)
    own, theirs = both(points)
    same(cluster(own, False), showerdata.cluster(theirs, False))


def test_one_compilation_of_each_kernel(tmp_path) -> None:
    own = both(cloud(n=3))[0]
    kernels.warm()
    for showers in (own, ragged(own), ragged(own)[1:], Showers(own.points[::2], 1 + np.arange(2), 22)):
        cluster(showers)
    readonly = own.points.copy()
    readonly.flags.writeable = False
    cluster(Showers(readonly, [1, 2, 3], 22), processes=2)
    assert len(kernels.cluster.signatures) == len(kernels.pack.signatures) == 1


def test_the_steps_of_a_real_photon_become_its_cells(shared) -> None:
    folder = shared / "data/showers"
    steps = showerdata.load(folder / "real_g4_ild_photon_43GeV_steps_5f.h5")
    cells = showerdata.load(folder / "real_g4_ild_photon_43GeV_cells_5f.h5")
    found = cluster(Showers(steps.points, steps.energies, steps.pdg), random_shift=False)
    n = int(cells._num_points[0])
    assert found._num_points[0] == n == 967
    assert found.points[0, :n].tobytes() == cells.points[0, :n].tobytes()
