"""Cubes against plain NumPy."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from detcore.area import cubes
from detcore.area.cubes import cube
from detcore.area.setup.setupfile import Setup
from detcore.core.run import EmptyInput
from detcore.core.schema import MissingColumn

N, SHAPE = 40, (6, 8)
NUMBER = np.arange(N)
DELAY, LASER, XRAY, SCAN = NUMBER % 4 - 1.0, (NUMBER % 3 > 0), (NUMBER % 10 != 4), NUMBER // 10


@pytest.fixture(scope="module")
def frames():
    values = np.random.default_rng(3).normal(5, 2, (N, *SHAPE)).astype(np.float32)
    values[[1, 22], 2, 3] = np.nan
    return values


@pytest.fixture(scope="module")
def run(tmp_path_factory, frames):
    path = tmp_path_factory.mktemp("run") / "run.h5"
    with h5py.File(path, "w") as file:
        file["entry/instrument/detector/data"] = frames
        columns = {"delay": DELAY, "laser": LASER.astype(np.uint8), "xray": XRAY.astype(np.uint8), "scan": SCAN}
        for name, values in columns.items():
            file[f"entry/events/{name}"] = values
        file["entry/events/i0"] = 1.0 + NUMBER
    return path


@pytest.mark.parametrize("threads", [1, 3])
def test_each_step_of_a_scan_is_a_bin(run, frames, threads):
    data = cube(run, std=True, threads=threads)
    assert data["mean"].dims == ("scan", "laser", "y", "x")
    for step in range(4):
        for state, word in ((False, "off"), (True, "on")):
            chosen = XRAY & (step == SCAN) & (state == LASER)
            one = data.sel(scan=step, laser=word)
            assert one.n_events == chosen.sum()
            np.testing.assert_allclose(one["mean"], np.nanmean(frames[chosen], axis=0, dtype=float), rtol=1e-5)
            np.testing.assert_allclose(one["std"], np.nanstd(frames[chosen], axis=0, dtype=float, ddof=1), rtol=1e-4)
            np.testing.assert_array_equal(one["n_valid"], (~np.isnan(frames[chosen])).sum(axis=0))
            np.testing.assert_allclose(one["i0"], (1.0 + NUMBER[chosen]).mean())


def test_bins_are_half_open_and_the_last_closed(run, frames):
    data = cube(run, bins=[-1, 0, 2], by="delay", laser=False)
    first, second = XRAY & (DELAY == -1), XRAY & (DELAY >= 0) & (DELAY <= 2)
    assert data.n_events.values.tolist() == [first.sum(), second.sum()]
    np.testing.assert_allclose(data["mean"][1], np.nanmean(frames[second], axis=0), rtol=1e-5)
    assert data.delay.values.tolist() == [-0.5, 1.0]
    assert data.delay_edges.values.tolist() == [-1, 0, 2]


def test_two_dimensions_and_results_of_functions(run, frames):
    setup = Setup.from_yaml("rois: [{name: ROI_0, bounds: [[0, 2], [0, 4]]}]\nfilters: [{field: i0, low: 3}]")
    data = cube(run, setup, by="delay", more={"scan": [-0.5, 1.5, 3.5]}, laser=False, frames=False)
    assert "mean" not in data
    chosen = XRAY & (NUMBER >= 2) & (DELAY == 1) & (SCAN < 2)
    one = data.sel(delay=1.0).isel(scan=0)
    assert one.n_events == chosen.sum()
    expected = frames[chosen][:, :2, :4].sum(axis=(1, 2), dtype=float).mean()
    np.testing.assert_allclose(one["detector/ROI_0_sum"], expected, rtol=1e-5)


def test_threshold(run, frames):
    data = cube(run, bins=[-9, 9], by="delay", laser=False, threshold=5)
    kept = np.where(frames[XRAY] < 5, 0, frames[XRAY])
    np.testing.assert_allclose(data["mean"][0], np.nanmean(kept, axis=0), rtol=1e-5)


def test_bad_requests(run, monkeypatch):
    with pytest.raises(MissingColumn, match="no column 'motor'; it has delay"):
        cube(run, by="motor")
    with pytest.raises(ValueError, match="edges that grow"):
        cube(run, bins=[1, 1], by="delay")
    with pytest.raises(EmptyInput, match="none of them falls into a bin"):
        cube(run, bins=[100, 101], by="delay")
    monkeypatch.setattr(cubes, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="take fewer bins"):
        cube(run)
