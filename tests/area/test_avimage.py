"""Averages and the interactive names, against plain NumPy."""

from __future__ import annotations

import logging

import h5py
import numpy as np
import pytest

from detcore.area.analysis import AvImage, pixelHistogram, plotAvImage, saveAvImage
from detcore.area.averaging import average, filters_of
from detcore.area.detector import Detector
from detcore.area.setup.setupfile import Setup
from detcore.core.run import EmptyInput
from detcore.core.schema import MissingColumn

N, SHAPE = 24, (9, 12)
NUMBER = np.arange(N)
LASER, XRAY, I0 = NUMBER % 3 > 0, NUMBER % 8 != 5, 1.0 + NUMBER


@pytest.fixture(scope="module")
def frames():
    values = np.random.default_rng(5).normal(50, 8, (N, *SHAPE)).astype(np.float32)
    values[3, 4, 5] = np.nan
    return values


@pytest.fixture(scope="module")
def run(tmp_path_factory, frames):
    path = tmp_path_factory.mktemp("run") / "run.h5"
    with h5py.File(path, "w") as file:
        detector = file.create_group("entry/instrument/detector")
        detector["data"] = frames
        mask = np.zeros(SHAPE, np.uint32)
        mask[0, 0], mask[1, 1] = 2, 1 << 31
        detector["pixel_mask"] = mask
        for name, values in {"laser": LASER, "xray": XRAY, "i0": I0}.items():
            file[f"entry/events/{name}"] = values.astype(np.float64)
    return path


def test_the_average_of_all_frames(run, frames):
    data = average(run)
    np.testing.assert_allclose(data["mean"], np.nanmean(frames, axis=0, dtype=float), rtol=1e-6)
    np.testing.assert_allclose(data["std"], np.nanstd(frames, axis=0, dtype=float), rtol=0.05)
    np.testing.assert_array_equal(data["max"], np.nanmax(frames, axis=0))
    assert (int(data.n_frames), int(data.n_valid[4, 5]), int(data.n_valid[4, 6])) == (N, N - 1, N)
    assert "event_ids" not in data.attrs
    assert data.attrs["status"] == "complete"


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ({"n_events": 5}, range(5)),
        ({"n_events": 5, "skip": 3}, range(3, 8)),
        ({"skip": 20}, range(20, 24)),
        ({"n_events": 4, "uniform": True}, [0, 8, 15, 23]),
        ({"filters": "laserOff"}, NUMBER[~LASER]),
        ({"filters": ("laserOn", "xrayOn"), "n_events": 6}, NUMBER[LASER & XRAY][:6]),
        ({"filters": "dropped"}, NUMBER[~XRAY]),
        ({"n_events": 1000}, NUMBER),
    ],
)
def test_which_events(run, frames, options, chosen):
    data = average(run, **options)
    np.testing.assert_allclose(data["mean"], np.nanmean(frames[list(chosen)], axis=0, dtype=float), rtol=1e-6)
    assert int(data.n_frames) == len(chosen)
    if "n_events" in options or "skip" in options:
        assert list(data.attrs["event_ids"]) == list(chosen)


def test_setup_with_filter_background_and_constants(run, frames, tmp_path):
    np.save(tmp_path / "ped.npy", np.full(SHAPE, 10, np.float32))
    np.save(tmp_path / "noise.npy", np.full(SHAPE, 8, np.float32))
    setup = Setup.from_yaml(
        "filters: [{field: i0, low: 4, high: 12}]\nbackground: {dropped: true}\ncommon_mode: 0"
    ).with_(calibration={"pedestal": str(tmp_path / "ped.npy"), "noise": str(tmp_path / "noise.npy")})
    data = average(run, setup)
    chosen = (I0 >= 4) & (I0 <= 12)
    expected = np.nanmean(frames[chosen], axis=0, dtype=float) - np.nanmean(frames[~XRAY], axis=0, dtype=float)
    np.testing.assert_allclose(data["mean"], expected, atol=1e-4)
    plain = setup.with_(background={"dropped": False})
    hits = average(run, plain, noise_threshold=5.0)["n_hits"]
    np.testing.assert_array_equal(hits, (frames[chosen] - 10 >= 40).sum(axis=0))


def test_median_and_its_resolution(run, frames):
    data = average(run, median=True)
    step = data.attrs["median_resolution"]
    assert 0 < step < 1
    np.testing.assert_allclose(data["median"], np.nanmedian(frames, axis=0), atol=1.01 * step)
    wide = average(run, median=(0, 100), median_bins=10)
    assert wide.attrs["median_resolution"] == 10


def test_raw_frames_without_pedestal_stay_raw(tmp_path):
    frames = np.arange(2 * 704 * 768, dtype=np.uint16).reshape(2, 704, 768)
    np.save(tmp_path / "a.npy", frames)
    setup = Setup.from_yaml("detector: {type: epix100}")
    data = average(tmp_path / "a.npy", setup)
    assert data.attrs["common_mode"] == -1
    np.testing.assert_allclose(data["mean"], frames.mean(axis=0))
    with pytest.raises((EmptyInput, ValueError), match="no pedestal is known"):
        average(tmp_path / "a.npy", setup, common_mode=6)


def test_bad_requests(run):
    with pytest.raises(ValueError, match="no event selection 'laser'"):
        filters_of("laser")
    with pytest.raises(ValueError, match="at least one event"):
        average(run, n_events=0)
    with pytest.raises(ValueError, match="no event is left"):
        average(run, skip=N)
    with pytest.raises(ValueError, match="needs the noise"):
        average(run, noise_threshold=3)
    with pytest.raises(MissingColumn, match="no column 'motor'"):
        average(run, Setup.from_yaml("filters: [{field: motor, low: 0}]"))
    with pytest.raises(ValueError, match="no event is left by the filters"):
        average(run, Setup.from_yaml("filters: [{field: i0, low: 999}]"))


def test_avimage(run, frames):
    image = AvImage(run, 10)
    assert image.name == "AvImg_cm-1_detector"
    expected = np.nanmean(frames[:10], axis=0, dtype=float)
    expected[0, 0] = 0  # rejected by the mask; bit 31 alone does not
    np.testing.assert_allclose(image, expected, rtol=1e-6)
    assert image.attrs["n_frames"] == 10
    kept = AvImage(run, 10, useMask=False)
    assert kept[0, 0] > 0


def test_avimage_kinds(run, frames):
    counted = AvImage(run, None, thresADU=-55, useMask=False)
    assert counted.name == "AvImg_thresADU-55_cm-1_detector"
    np.testing.assert_array_equal(counted, (frames >= 55).sum(axis=0))
    cut = AvImage(run, None, thresADU=55, useMask=False)
    kept = np.where(frames < 55, 0, frames)
    np.testing.assert_allclose(cut, np.nanmean(kept, axis=0, dtype=float), rtol=1e-6)
    assert AvImage(run, std=True, useFilter="laserOff").name == "AvImg_std_FilterlaserOff_cm-1_detector"
    with pytest.raises(ValueError, match="expected one of them"):
        AvImage(run, std=True, median=True)
    with pytest.raises(ValueError, match="expected one of them"):
        AvImage(run, thresADU=3, thresRms=3)


def test_avimage_env_and_events(run, caplog):
    caplog.set_level(logging.INFO)
    image, env = AvImage(run, 3, minIpm=6, printFid=True, returnEnv=True)
    assert env["event_id"].values.tolist() == [5, 6, 7]
    assert env["i0"].values.tolist() == [6, 7, 8]
    assert "events: 5 6 7" in caplog.text
    assert image.attrs["n_frames"] == 3


def test_minipm_needs_a_column(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4, 5), np.float32))
    with pytest.raises(MissingColumn, match="minIpm needs a column"):
        AvImage(tmp_path / "a.npy", minIpm=1)


def test_plot(run):
    image = AvImage(run, 5)
    figure, values = plotAvImage(image, ROI=[[1, 4], [2, 8]], returnIt=True)
    assert values.shape == (3, 6)
    axes = figure.axes[0]
    assert axes.get_title() == image.name
    assert axes.get_ylim() == (3.5, 0.5), "pixel centres at whole numbers, row 1 on top"
    mask = np.ones(SHAPE, np.uint8)
    mask[2] = 0
    _, masked = plotAvImage(image, use_mask=mask, plotWith="no_plot", returnIt=True)
    assert np.isnan(masked[2]).all()
    assert np.isfinite(masked[1]).all()
    with pytest.raises(ValueError, match="the dashboard draws"):
        plotAvImage(image, plotWith="bokeh_notebook")
    with pytest.raises(ValueError, match="use_mask"):
        plotAvImage(image, use_mask=np.ones((2, 2)))
    with pytest.raises(ValueError, match="percentiles"):
        plotAvImage(image, limits=(50, 20))


def test_plot_with_the_mask_of_the_image(run):
    setup = Setup.from_yaml("mask: [{kind: edges, width: 1}]")
    image = AvImage(run, 5, setup=setup, useMask=False)
    _, shown = plotAvImage(image, use_mask=True, plotWith="no_plot", returnIt=True)
    assert np.isnan(shown[0]).all()
    np.testing.assert_array_equal(shown[1:-1, 1:-1], image[1:-1, 1:-1])
    with pytest.raises(ValueError, match=r"use_mask=True .* give the mask itself"):
        plotAvImage(image.drop_vars("good"), use_mask=True)


def test_save(run, tmp_path):
    image = AvImage(run, 5)
    path = saveAvImage(image, tmp_path, detector=Detector(shape=SHAPE, pedestal=np.ones(SHAPE)))
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["image"], image)
        assert file["ped"].shape == file["mask"].shape == SHAPE
        assert "provenance" in file.attrs
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError, match="taken"):
        saveAvImage(image, tmp_path / "taken")


def test_histogram(run, frames):
    one = pixelHistogram(run, None, 20, (0, 100), pixels=[(2, 3), (4, 5)])
    expected, _ = np.histogram(frames[:, 2, 3], 20, (0, 100))
    np.testing.assert_array_equal(one["counts"][0], expected)
    assert int(one["missing"][1]) == 1
    whole = pixelHistogram(run, 5)
    assert whole.sizes == {"pixel": 1, "bin": 180}
    total = int(whole["counts"].sum() + whole["below"].sum() + whole["above"].sum() + whole["missing"].sum())
    assert total == 5 * (frames[0].size - 1), "all but the rejected pixel"
