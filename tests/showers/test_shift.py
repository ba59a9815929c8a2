"""The layer shift against the original and against plain NumPy."""

from __future__ import annotations

import math

import h5py
import numpy as np
import pytest
import showerdata
import showerdata.shift_showers

from detcore.showers import kernels
from detcore.showers.detector import ILD
from detcore.showers.model import Showers
from detcore.showers.ragged import Ragged
from detcore.showers.shift_showers import process_files, shift, shift_layers

LAYERS = (ILD.layer_bottom_pos, ILD.calo_surface)


def cloud(n=10, width=150, columns=5, seed=0):
    rng = np.random.default_rng(seed)
    points = np.zeros((n, width, columns), np.float32)
    for shower, count in enumerate(rng.integers(1, width + 1, n)):
        part = points[shower, :count]
        part[:, :2] = rng.normal(0, 400, (count, 2))
        part[:, 2] = rng.integers(0, 78, count)
        part[:, 3] = rng.exponential(3e-4, count) + 1e-9
        part[:, 4:] = rng.exponential(3, (count, columns - 4))
    directions = rng.normal(0, 0.4, (n, 3)).astype(np.float32)
    directions[:, 2] = 1
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return Showers(points, rng.uniform(1, 90, n), 22, directions)


def ragged(showers) -> Ragged:
    counts = (showers.points[:, :, 3] > 0).sum(axis=1)
    return Ragged.from_dense(showers.points, counts, showers.energies, showers.directions, showers.pdg)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("columns", [4, 5])
def test_points_are_where_the_original_puts_them(inverse, columns) -> None:
    showers = cloud(columns=columns)
    before = showers.points.copy()
    dense, flat = shift(showers, ILD, inverse), shift(ragged(showers), ILD, inverse)
    assert np.array_equal(showers.points, before)
    lost = 0
    for i, (points, direction) in enumerate(zip(showers.points, showers.directions, strict=True)):
        theirs = showerdata.shift_showers.shift_layers(points, direction, *LAYERS, inverse)
        theirs = theirs[theirs[:, 3] > 0]  # the rest is padding, which the original moves as well
        for found in (dense.points[i], shift_layers(points, direction, *LAYERS, inverse)):
            assert found.shape == points.shape
            assert np.array_equal(found[: len(theirs)], theirs)
            assert not found[len(theirs) :].any()
        assert dense._num_points[i] == len(theirs)
        assert np.array_equal(flat.shower(i), theirs)
        lost += (points[:, 3] > 0).sum() - len(theirs)
    assert (lost == 0) == inverse
    assert (flat.max_points, dense.points.dtype) == (150, np.float32)


def test_there_and_back() -> None:
    showers = ragged(cloud())
    near = np.abs(showers.points[:, :2]).max(axis=1) < 100
    back = shift(shift(showers, inverse=True))
    moved = showers.directions[:, :2] / showers.directions[:, 2:]
    assert np.abs(moved).max() > 0.3
    box = math.tan(math.pi / 8) * 1804
    assert np.array_equal(back.counts, [(np.abs(showers.shower(i)[:, :2]) < box).all(axis=1).sum() for i in range(10)])
    inside = (np.abs(showers.points[:, :2]) < box).all(axis=1)
    np.testing.assert_allclose(back.points[near[inside]], showers.points[near], atol=1e-3)


def test_a_slope_moves_each_layer_by_its_depth() -> None:
    layer = np.arange(78)
    points = np.column_stack([np.zeros(78), np.zeros(78), layer, np.ones(78)])
    found = shift_layers(points, [0.1, -0.2, 1.0], *LAYERS, inverse=True)
    depth = np.array(ILD.layer_bottom_pos) - 1804
    np.testing.assert_allclose(found[:, 0], 0.1 * depth, rtol=1e-5)
    np.testing.assert_allclose(found[:, 1], -0.2 * depth, rtol=1e-5)


@pytest.mark.parametrize("depth", [78, -1, -100, 1e30, np.nan, np.inf])
def test_a_point_in_no_layer_is_an_error(depth) -> None:
    showers = cloud(n=3)
    showers.points[1, 0, 2] = depth  # the original takes negative ones from the end
    with pytest.raises(IndexError, match=r"out of bounds for axis 0 with size 78: shower 1 has a point in no layer"):
        shift(showers)
    with pytest.raises(IndexError):
        shift(ragged(showers), inverse=True)


@pytest.mark.parametrize("direction", [(1, 0, 0), (0, 0, np.nan), (np.inf, 0, 1)])
def test_a_direction_that_misses_the_calorimeter_is_an_error(direction) -> None:
    showers = cloud(n=3)
    showers.directions[2] = direction
    with pytest.raises(ValueError, match="shower 2 has the direction"):
        shift(showers)


def test_nothing_gives_nothing() -> None:
    assert len(shift(Showers())) == 0
    assert len(shift(Ragged.build(np.zeros((0, 5)), []))) == 0
    assert shift_layers(np.zeros((4, 5)), [0, 0, 1], *LAYERS, inverse=False).tolist() == np.zeros((4, 5)).tolist()


def test_a_file_is_shifted_in_batches(tmp_path, capsys) -> None:
    showers = cloud(n=7)
    theirs = showerdata.Showers(showers.points, showers.energies, showers.pdg, showers.directions)
    showerdata.save(theirs, tmp_path / "in.h5")
    with h5py.File(tmp_path / "in.h5", "a") as file:
        file.attrs["source"] = "me"
    (tmp_path / "out.h5").write_text("replaced, as the original does")
    process_files(tmp_path / "in.h5", tmp_path / "out.h5", *LAYERS, inverse=False, batch_size=3, verbose=True)
    assert capsys.readouterr().out.splitlines()[-1] == "Processed 7 of 7 showers"
    found = showerdata.load(tmp_path / "out.h5")
    assert np.array_equal(found.points, shift(showers).points)
    with h5py.File(tmp_path / "out.h5") as file:
        assert file.attrs["source"] == "me"
    source = (tmp_path / "in.h5").read_bytes()
    with pytest.raises(FileExistsError):
        process_files(tmp_path / "in.h5", tmp_path / "in.h5", *LAYERS, inverse=False)
    assert (tmp_path / "in.h5").read_bytes() == source
    assert len(kernels.shift.signatures) == 1
