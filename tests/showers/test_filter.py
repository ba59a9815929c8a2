"""The filter against the original and against plain NumPy."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import showerdata
import showerdata.filter

from detcore.showers import filter as own_filter
from detcore.showers import kernels
from detcore.showers.detector import ILD
from detcore.showers.filter import filter_file, filter_showers, get_detector_thresholds
from detcore.showers.model import Showers
from detcore.showers.ragged import Ragged

CUTS = [
    (),
    (50.0,),
    (np.inf, 2e-4, 5e-4),
    (80.0, 3e-4, 1e-4, 10),
    (0.0,),
    (1e30, 1e-9, 0.0),
    (np.inf, 1.0, 1.0),
]


def cloud(n=12, width=200, columns=5, seed=0):
    rng = np.random.default_rng(seed)
    points = np.zeros((n, width, columns), np.float32)
    for shower, count in enumerate(rng.integers(0, width + 1, n)):
        part = points[shower, :count]
        part[:, :2] = rng.normal(0, 50, (count, 2))
        part[:, 2] = rng.choice(np.float32([0, 9, 10, 29, 29.4, 29.5, 29.6, 30, 77]), count)
        part[:, 3] = rng.choice(np.float32([1e-4, 2e-4, 3e-4, 5e-4, 1e-3]), count)  # many at the limits
        part[:, 4:] = rng.exponential(3, (count, columns - 4))
    return points


def both(points):
    rest = {"energies": np.linspace(1, 90, len(points)), "pdg": 211}
    return Showers(points, **rest), showerdata.Showers(points.copy(), **rest)


def ragged(showers) -> Ragged:
    counts = (showers.points[:, :, 3] > 0).sum(axis=1)
    return Ragged.from_dense(showers.points, counts, showers.energies, showers.directions, showers.pdg)


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("columns", [4, 5])
def test_the_result_is_the_originals(cuts, columns) -> None:
    own, theirs = both(cloud(columns=columns))
    before = own.points.copy()
    with np.errstate(over="ignore"):
        expected = showerdata.filter_showers(theirs, *cuts)
    found = filter_showers(own, *cuts)
    for name in ("points", "energies", "pdg", "directions", "shower_ids", "_num_points"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
        assert not np.shares_memory(getattr(found, name), getattr(own, name))
    assert np.array_equal(own.points, before)
    flat = filter_showers(ragged(own), *cuts)
    assert flat.max_points == 200
    assert np.array_equal(flat.counts, expected._num_points)
    assert np.array_equal(flat.dense(), expected.points)


def test_gaps_and_broken_numbers() -> None:
    points = cloud(seed=2)
    points[1, 3:9, 3] = 0  # points without energy that still have a place
    points[2, ::2, 0] = np.nan
    points[4, ::2, 2] = np.nan
    points[6, ::2, 1] = 1e25
    own, theirs = both(points)
    with np.errstate(over="ignore"):
        for cuts in CUTS:
            expected, found = showerdata.filter_showers(theirs, *cuts), filter_showers(own, *cuts)
            assert np.array_equal(found.points, expected.points, equal_nan=True)
            assert np.array_equal(found._num_points, expected._num_points)


def test_little_that_is_left_does_not_hold_the_rest_in_memory() -> None:
    showers = ragged(both(cloud())[0])
    few = filter_showers(showers, 5.0)
    assert 0 < len(few.points) < len(showers.points) / 2
    assert few.points.base is None
    assert len(kernels.keep.signatures) == 1


def test_a_file_is_filtered_in_batches_and_keeps_its_attributes(tmp_path) -> None:
    own, _ = both(cloud(n=23))
    showerdata.save(showerdata.Showers(own.points, own.energies, own.pdg), tmp_path / "in.h5")
    with h5py.File(tmp_path / "in.h5", "a") as file:
        file.attrs["clustered_for"] = "ILD"  # the original loses it
    seen = []
    filter_file(
        tmp_path / "in.h5", tmp_path / "out.h5", 80, 2e-4, 3e-4, batch_size=10, progress=lambda *a: seen.append(a[:2])
    )
    assert seen == [(10, 23), (20, 23), (23, 23)]
    showerdata.filter.filter_file(tmp_path / "in.h5", tmp_path / "theirs.h5", 80, 2e-4, 3e-4)
    assert showerdata.load(tmp_path / "out.h5") == showerdata.load(tmp_path / "theirs.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        assert file.attrs["clustered_for"] == "ILD"
    assert get_detector_thresholds(tmp_path / "out.h5") == (1e-4, 2.5e-4, 30)


def test_an_existing_output_is_left_alone(tmp_path, capsys) -> None:
    own, _ = both(cloud(n=3))
    showerdata.save(showerdata.Showers(own.points, own.energies, own.pdg), tmp_path / "in.h5")
    (tmp_path / "out.h5").write_text("mine")
    with pytest.raises(FileExistsError, match=r"^Output file '.*out\.h5' already exists\.$"):
        filter_file(tmp_path / "in.h5", tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_text() == "mine"
    source = (tmp_path / "in.h5").read_bytes()
    with pytest.raises(FileExistsError):
        filter_file(tmp_path / "in.h5", tmp_path / "in.h5", overwrite=True)
    assert (tmp_path / "in.h5").read_bytes() == source
    filter_file(tmp_path / "in.h5", tmp_path / "out.h5", 10.0, overwrite=True, verbose=True)
    assert capsys.readouterr().out == "Processed 3 / 3 showers.\n"
    assert len(showerdata.load(tmp_path / "out.h5")) == 3


def test_a_failure_leaves_nothing(tmp_path, monkeypatch) -> None:
    own, _ = both(cloud(n=5))
    showerdata.save(showerdata.Showers(own.points, own.energies, own.pdg), tmp_path / "in.h5")
    done = []

    def broken(*arguments):
        if done:
            raise MemoryError
        done.append(1)
        return filter_showers(*arguments)

    monkeypatch.setattr(own_filter, "filter_showers", broken)
    with pytest.raises(MemoryError):
        filter_file(tmp_path / "in.h5", tmp_path / "out.h5", batch_size=2)
    assert [one.name for one in tmp_path.iterdir()] == ["in.h5"]


@pytest.mark.parametrize(
    ("name", "expected"), [("ILD", (1e-4, 2.5e-4, 30)), (None, (0, 0, 30)), ("/x.yaml", (0, 0, 0))]
)
def test_thresholds_of_a_file(tmp_path, name, expected) -> None:
    own, _ = both(cloud(n=1))
    showerdata.save(showerdata.Showers(own.points, own.energies, own.pdg), tmp_path / "in.h5")
    if name:
        with h5py.File(tmp_path / "in.h5", "a") as file:
            file.attrs["clustered_for"] = name
    assert get_detector_thresholds(tmp_path / "in.h5") == expected
    assert showerdata.filter.get_detector_thresholds(tmp_path / "in.h5") == expected
    assert ILD.ecal_threshold / 1e3 == 1e-4
