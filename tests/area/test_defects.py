"""Defects of smalldata_tools that are not repeated here; each row of the README's table names the test that proves it."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest

from detcore.area import common_mode, psana_mask
from detcore.area.detector import Detector
from detcore.area.functions import (
    Autocorrelation,
    DetObject,
    DetObjectFunc,
    NullDetObject,
    PolynomialCurveCorrection,
    ROIFunc,
    azav_pyfai,
    azimuthalBinning,
    droplet2Photons,
    dropletFunc,
    flat_results,
)
from detcore.area.images.commonmode import CommonModeStep

RNG = np.random.default_rng(6)
EPIX = (704, 768)


class Child(DetObjectFunc):
    """Remembers what it was told about the detector and what it got."""

    def setFromFunc(self, func=None):
        super().setFromFunc(func)
        self.told = True

    def process(self, data):
        self.got = data
        return {"n": np.size(data), "variance": 2.0}


def processed(func, frame, **facts):
    det = DetObject("d", Detector(**({"shape": frame.shape} | facts)), 1)
    det.addFunc(func)
    det.getData(frame)
    return det, det.processFuncs()


@pytest.mark.parametrize("number", [45, 46, 47])
def test_common_modes_45_to_47_run_and_leave_pixels_of_a_bad_status_out(number):
    frame = RNG.normal(0, 2, EPIX).astype(np.float32)
    frame += 5 * np.repeat(RNG.normal(0, 1, (1, 8)), 96, axis=1).astype(np.float32)
    status = np.zeros(EPIX, np.uint32)
    status[:100] = 1
    wild = frame.copy()
    wild[:100] = 25.0  # below every cut: only the status tells
    facts = {"type": "epix100", "shape": EPIX, "status": status, "pedestal": np.zeros(EPIX), "noise": np.full(EPIX, 2)}
    found = []
    for one in (frame, wild):
        det = DetObject("epix", Detector(**facts), 1, common_mode=number)
        det.getData(one)
        found.append(np.ma.getdata(det.evt.dat)[100:])
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    assert found[0].std() < frame.std()


def test_an_unknown_common_mode_is_an_error_with_the_list():
    with pytest.raises(ValueError, match=r"common mode 8 is none .* 6, 36, 4, .*recommended is 46"):
        DetObject("epix", Detector(type="epix100", shape=EPIX), 1, common_mode=8)


def test_banks_without_a_mask_are_banks_and_no_rows():
    frame = np.array([[1.0, 1, 9, 9], [3, 3, 7, 7]])
    step = CommonModeStep(kind="bank", group=(2, 2))
    np.testing.assert_array_equal(common_mode(frame, [step]), [[-1, -1, 1, 1], [1, 1, -1, -1]])


def test_the_edges_of_one_panel_leave_its_inside():
    mask = psana_mask(Detector(type="epix100", shape=EPIX), edges=True)
    assert mask[1:-1, 1:-1].all()
    assert not mask[[0, -1]].any()
    assert not mask[:, [0, -1]].any()


def test_a_function_called_mask_replaces_nothing():
    frame = np.ones((6, 7), np.float32)
    det, found = processed(ROIFunc(name="mask"), frame)
    assert det.mask.shape == frame.shape
    assert found["mask"]["sum"] == 42
    with pytest.raises(ValueError, match="already"):
        det.addFunc(ROIFunc(name="mask"))


def test_children_that_come_later_know_the_detector():
    roi, child = ROIFunc(ROI=[[1, 3], [2, 5]]), Child(name="child")
    det = DetObject("d", Detector(shape=(6, 7)), 1)
    det.addFunc(roi)
    roi.addFunc(child)
    assert child.told
    det.getData(np.ones((6, 7)))
    assert det.processFuncs()["ROI"]["child_n"] == 6


def test_variance_is_a_number_and_no_group():
    _, found = processed(Child(name="own"), np.ones((2, 3)))
    assert flat_results(found)["own_variance"] == 2.0


def test_each_function_sees_the_data_of_the_event(tmp_path):
    frame = RNG.normal(5, 3, (40, 50)).astype(np.float32)
    ai = {"dist": 0.04, "poni1": 0.002, "poni2": 0.002, "wavelength": 1.3e-10}
    det = DetObject("d", Detector(shape=frame.shape, pixel_size=(1e-4, 1e-4)), 1)
    for func in (
        ROIFunc(thresADU=6),
        azimuthalBinning(center=(2500.0, 2000.0), thresADU=4),
        azav_pyfai(ai_kwargs=ai, thres=5),
        dropletFunc(threshold=9, useRms=False),
    ):
        det.addFunc(func)
    det.storeSum("calib_thresADU5")
    det.getData(frame)
    det.processFuncs()
    det.processSums()
    np.testing.assert_array_equal(det.evt.dat, frame)


def test_the_distance_is_100_mm_unless_given():
    assert inspect.signature(azimuthalBinning).parameters["dis_to_sam"].default == 100.0


def test_photons_of_droplets_on_panels_of_which_none_has_a_single_one():
    frame = np.zeros((2, 12, 14), np.float32)
    frame[0, 5, 5:7] = 100.0  # two photons of 100
    frame[1, 3, 4], frame[1, 3, 5] = 250.0, 50.0
    drops = dropletFunc(threshold=20, useRms=False)
    photons, child = droplet2Photons(aduspphot=100), Child(name="got")
    photons.addFunc(child)
    drops.addFunc(photons)
    det, _ = processed(drops, frame)
    del det
    assert sorted(np.asarray(child.got["tile"]).astype(int).tolist()) == [0, 0, 1, 1, 1]


def test_no_photons_at_all():
    drops = dropletFunc(threshold=20, useRms=False)
    drops.addFunc(droplet2Photons(aduspphot=100))
    _, found = processed(drops, np.zeros((12, 14), np.float32))
    assert found["droplet"]["nDroplets"] == 0


def test_autocorrelation_needs_no_mask_and_shifts_do_not_go_round():
    frame = np.zeros((20, 30), np.float32)
    frame[0, 0] = frame[0, 29] = 50.0  # far from each other, next to each other where transforms go round
    _, found = processed(Autocorrelation(save_range=(3, 3)), frame + 1)
    image = found["autocorr"]["autocorr"]
    np.testing.assert_allclose(image[3, [2, 4]], 1, atol=0.1)  # as far as the frame goes, neighbours are not alike


@pytest.mark.parametrize("method", ["roll", "vectorized", "ndimage"])
def test_curves_are_straightened_by_every_method(method):
    frame = RNG.normal(5, 1, (20, 30)).astype(np.float32)
    _, found = processed(PolynomialCurveCorrection([1.0, 0], axis=1, method=method), frame)
    image = found["curve_corr"]["corrected_image"]
    for column in (0, 4, 9):
        rows = slice(0, 20 - column)
        np.testing.assert_allclose(image[rows, column], frame[column:, column], rtol=1e-5)


def test_an_absent_detector_takes_everything():
    absent = NullDetObject("gone")
    absent.addFunc(ROIFunc())
    absent.storeSum("calib")
    absent.getData(None)
    absent.processFuncs()
    absent.processSums()
    assert not absent.params_as_dict()


def test_a_path_is_opened(tmp_path):
    frames = RNG.normal(5, 1, (3, 6, 7)).astype(np.float32)
    np.save(tmp_path / "run.npy", frames)
    det = DetObject("cam", str(tmp_path / "run.npy"), 1)
    det.getData(2)
    np.testing.assert_allclose(det.evt.dat, frames[2], rtol=1e-6)
    with pytest.raises(TypeError, match="found str"):
        DetObject("cam", {"cam": "run.npy"}, 1)


def test_every_test_that_the_readme_names_exists():
    root = Path(__file__).parents[2]
    text = (root / "README.md").read_text()
    [table] = [part for part in text.split("\n\n") if part.startswith("| where") and " smalldata_tools " in part]
    named = [part for part in table.replace("|", "`").split("`") if part.strip().startswith("test_")]
    assert len(named) > 20
    for one in named:
        file, _, test = one.strip().partition("::")
        assert f"def {test}(" in (root / "tests" / "area" / f"{file}.py").read_text(), one
