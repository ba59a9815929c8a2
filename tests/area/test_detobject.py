"""The event loop: constants, masks, data of an event, functions that nest, names of results, sums, absent detectors."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from detcore.area.detector import Detector
from detcore.area.functions import (
    DetObject,
    DetObjectFunc,
    NullDetObject,
    ROIFunc,
    StoredSum,
    dropletFunc,
    flat_results,
    getUserData,
    getUserEnvData,
    projectionFunc,
    sparsifyFunc,
    warm,
)
from detcore.area.functions.calibration import gain_ranges

RNG = np.random.default_rng(3)
SHAPE = (12, 16)


def detector(**facts):
    return Detector(**({"name": "cam", "shape": SHAPE, "pixel_size": (1e-4, 1e-4)} | facts))


def dark(**facts):
    return detector(pedestal=np.full(SHAPE, 100.0), noise=np.full(SHAPE, 2.0), **facts)


class Count(DetObjectFunc):
    """A function as people write their own."""

    def __init__(self, **kwargs):
        self._name = kwargs.get("name", "count")
        super().__init__(**kwargs)
        self.threshold = kwargs.get("threshold", 5)

    def setFromDet(self, det):
        super().setFromDet(det)
        self._mask = det.mask

    def process(self, data):
        self.dat = data
        return self.with_children({"n": ((data > self.threshold) & (self._mask == 1)).sum(), "list": [1, 2]})


def test_pedestal_is_subtracted_and_raw_stays_raw():
    raw = RNG.integers(90, 200, SHAPE).astype(np.uint16)
    det = DetObject("cam", dark(), 7, common_mode=0)
    det.getData(raw)
    assert det.evt.dat.dtype == np.float32
    np.testing.assert_array_equal(det.evt.dat, raw.astype(np.float32) - 100)
    det = DetObject("cam", dark(), 7, common_mode=-1)
    det.getData(raw)
    assert det.evt.dat.dtype == np.uint16
    np.testing.assert_array_equal(det.evt.dat, raw)
    assert not np.shares_memory(det.evt.dat, raw)


def test_the_default_is_the_first_number_of_the_type_and_the_recommendation_is_known():
    det = DetObject("e", Detector(name="e", type="epix10k2m", shape=(16, 352, 384)), 1)
    assert det.common_mode == 80
    assert "84" in det.recommended_common_mode
    with pytest.raises(
        ValueError, match=r"e: common mode 46 is none of a detector of type epix10k2m: 80, 84.*recommended"
    ):
        DetObject("e", Detector(type="epix10k2m", shape=(16, 352, 384)), 1, common_mode=46)


def test_a_correction_without_pedestal_says_so_and_calibrated_frames_pass():
    facts = Detector(type="epix10k", shape=(352, 384))
    det = DetObject("e", facts, 1, common_mode=84)
    with pytest.raises(ValueError, match="no pedestal is known; give the calibration"):
        det.getData(np.ones((352, 384), np.uint16))
    det.getData(np.ones((352, 384), np.float32))
    assert not det.evt.dat.any()  # the median of each column is taken away


def test_gain_divides_after_the_common_mode_and_the_noise_follows():
    gain = np.full(SHAPE, 4.0)
    gain[0, 0] = 0
    det = DetObject("cam", dark(gain=gain), 1, common_mode=30)
    det.getData(np.full(SHAPE, 140, np.uint16))
    assert det.evt.dat[1, 1] == 10
    assert np.isnan(det.evt.dat[0, 0])
    assert det.pixels().noise[1, 1] == 0.5
    det.setGain(np.full(SHAPE, 2.0))
    det.getData(np.full(SHAPE, 140, np.uint16))
    assert det.evt.dat[1, 1] == 20


def test_gain_bits_choose_the_pedestal():
    words = np.array([[0, 1 << 14, 2 << 14, 3 << 14]], np.uint16)
    assert gain_ranges(words, "jungfrau", (0, 0)).tolist() == [[0, 1, -1, 2]]
    assert gain_ranges(words, "epix10k", (3, 5)).tolist() == [[3, 5, 3, 5]]
    shape = (1, 512, 1024)
    pedestal = np.stack([np.full(shape, value) for value in (10.0, 20.0, 30.0)])
    det = DetObject("j", Detector(type="jungfrau", shape=shape, pedestal=pedestal), 1)
    raw = np.full(shape, 100, np.uint16)
    raw[0, 0, :4] |= words[0]
    det.getData(raw)
    assert det.evt.dat[0, 0, :5].tolist()[:2] == [90, 80]
    assert np.isnan(det.evt.dat[0, 0, 2])
    assert det.evt.dat[0, 0, 3:5].tolist() == [70, 90]


@pytest.mark.parametrize(("number", "dtype"), [(0, np.float32), (-1, np.uint16)])
def test_values_outside_of_the_limits_do_not_count(number, dtype):
    det = DetObject("cam", detector(saturation=1000), 1, common_mode=number)
    det.addFunc(ROIFunc())
    raw = np.full(SHAPE, 3, np.uint16)
    raw[2, 3] = 65535
    det.getData(raw)
    assert det.evt.dat.dtype == dtype
    found = det.processFuncs()["full"]
    assert (found["n_valid"], found["max"], found["sum"]) == (raw.size - 1, 3, 3 * (raw.size - 1))


def test_the_ghost_of_the_previous_event_is_subtracted():
    shape = (4, 352, 384)
    facts = Detector(type="epix10kquad", shape=shape, pedestal=np.zeros(shape))
    det = DetObject("q", facts, 1, common_mode=180)
    with pytest.raises(ValueError, match="setGhost"):
        det.getData(np.ones(shape, np.uint16))
    det.setGhost(1.0, 0.5)
    values = []
    for value in (10, 20, 40):
        det.getData(np.full(shape, value, np.uint16))
        values.append(float(det.evt.dat[0, 0, 0]))
    assert values == [10, 20 - 1 - 5, 40 - 1 - 10]


def test_masks_are_one_where_good_and_follow_each_other():
    mask = np.zeros(SHAPE, np.uint32)
    mask[0, 0], mask[0, 1], mask[0, 2] = 2, 1 << 8, 1 << 31  # dead, by the user, only information
    det = DetObject("cam", detector(pixel_mask=mask), 1)
    assert (det.mask[0, :3].tolist(), det.cmask[0, :3].tolist()) == ([0, 1, 1], [0, 0, 1])
    own = np.ones(SHAPE)
    own[5] = 0
    det.addFunc(ROIFunc())
    det.setMask(own)
    assert det.mask[5].sum() == det.cmask[5].sum() == 0
    assert det.full.mask[5].sum() == 0
    det.setcMask(np.ones(SHAPE))
    assert det.cmask.sum() == det.mask.sum()
    with pytest.raises(ValueError, match="a mask has the shape of a frame"):
        det.setMask(np.ones((3, 3)))


@pytest.mark.parametrize("apply", [1, 2])
def test_masked_pixels_are_set_to_zero_if_asked(apply):
    mask = np.zeros(SHAPE, np.uint32)
    mask[0, 0], mask[0, 1] = 2, 1 << 8
    det = DetObject("cam", detector(pixel_mask=mask), 1, applyMask=apply)
    det.getData(np.full(SHAPE, 5.0))
    assert det.evt.dat[0, :3].tolist() == [0, 5 if apply == 1 else 0, 5]
    with pytest.raises(ValueError, match="applyMask"):
        DetObject("cam", detector(), 1, applyMask=3)


def test_an_event_comes_as_array_mapping_dataset_or_not_at_all():
    det = DetObject("cam", detector(), 1)
    frame = np.arange(192.0).reshape(SHAPE)
    chunk = xr.Dataset({"data": (("frame", "y", "x"), frame[None]), "env_temperature": ("frame", [21.5])})
    for event in (frame, {"cam": frame, "other": 1}, {"data": frame}, chunk):
        det.getData(event)
        np.testing.assert_array_equal(det.evt.dat, frame)
    assert getUserEnvData(det) == {"temperature": np.array([21.5])}
    for event in (None, {"other": frame}):
        det.getData(event)
        assert det.evt.dat is None
        assert det.processFuncs() == {}
    with pytest.raises(ValueError, match="another detector"):
        det.getData(np.zeros((3, 3)))
    with pytest.raises(TypeError, match="opened files"):
        det.getData(5)


def test_sources_of_facts():
    class Files:
        def detector(self):
            return detector()

        def frame(self, number):
            return np.full(SHAPE, float(number))

    det = DetObject("renamed", Files(), 1)
    assert det.name == det.detector.name == "renamed"
    det.getData(6)
    assert det.evt.dat[0, 0] == 6
    attrs = {"detector": "d", "detector_type": "unknown", "pixel_size": [1e-4, 2e-4], "saturation": 99}
    chunk = xr.Dataset({"data": (("frame", "y", "x"), np.zeros((2, *SHAPE)))}, attrs=attrs)
    for source in (chunk, [chunk], {"d": chunk}):
        det = DetObject("d", source, 1)
        assert (det.shape, det.pixelsize, det.detector.saturation) == (SHAPE, [1e-4, 2e-4], 99)
    with pytest.raises(TypeError, match="expected opened files"):
        DetObject("d", 5, 1)


def test_an_absent_detector_takes_everything_and_gives_nothing(caplog):
    det = DetObject("ghost", {"cam": detector()}, 3)
    assert isinstance(det, NullDetObject)
    assert not det
    assert "no detector 'ghost'" in caplog.text
    det.addFunc(ROIFunc())
    det.storeSum("calib")
    det.getData(np.zeros(SHAPE))
    det.processSums(dropped=True)
    assert det.processFuncs() == det.results() == det.params_as_dict() == det.storeSum() == getUserData(det) == {}


def test_own_functions_nest_and_everything_is_named_as_in_the_original():
    det = DetObject("cam", detector(), 1)
    outer = Count(threshold=3)
    outer.addFunc(Count(name="inner"))
    det.addFunc(outer)
    outer.addFunc(projectionFunc(axis=0))  # also after the parent was added
    frame = np.zeros(SHAPE)
    frame[0] = 4
    frame[1] = 6
    det.getData(frame)
    nested = det.processFuncs()
    assert nested["count"]["n"] == 32
    assert nested["count"]["inner_n"] == 16
    assert det.evt._write_count is nested["count"]
    found = det.results()
    assert {"count_n", "count_list", "count_inner_n", "count_inner_list", "count_pj_ax_0_data"} == set(found)
    assert isinstance(found["count_inner_list"], np.ndarray)
    saved = det.params_as_dict()
    assert saved["count__count_threshold"] == 3
    assert saved["count__inner_threshold"] == 5
    assert not [key for key in saved if "_mask" in key.removeprefix("count__")]
    assert det.count.inner.threshold == 5


def test_two_functions_of_one_name_and_things_that_are_none_are_refused():
    det = DetObject("cam", detector(), 1)
    det.addFunc(Count())
    with pytest.raises(ValueError, match="has a function 'count' already"):
        det.addFunc(Count())
    with pytest.raises(TypeError, match="expected a DetObjectFunc, found int"):
        Count().addFunc(5)
    with pytest.raises(AttributeError, match="'cam' has no attribute or function 'nothing'"):
        det.nothing  # noqa: B018
    with pytest.raises(ValueError, match="needs a name"):
        DetObjectFunc()
    parent = DetObjectFunc(name="parent")
    parent.addFunc(Count())
    with pytest.raises(ValueError, match=r"did not set self\.dat"):
        parent.processFuncs()


def test_one_function_that_fails_does_not_stop_the_others():
    class Fails(DetObjectFunc):
        def process(self, data):
            msg = "no"
            raise RuntimeError(msg)

    det = DetObject("cam", detector(), 1)
    det.addFunc(Fails(name="bad"))
    det.addFunc(ROIFunc())
    det.getData(np.ones(SHAPE))
    with pytest.raises(RuntimeError, match="no") as caught:
        det.processFuncs()
    assert caught.value.__notes__ == ["while bad worked on detector cam"]
    assert list(det.processFuncs(strict=False)) == ["full"]
    assert det.evt.problems == ["cam: bad: no"]


def test_ragged_var_and_masked_results():
    masked = np.ma.MaskedArray([1.0, 2.0], mask=[False, True])
    whole = np.ma.MaskedArray([1, 2], mask=[False, True])
    written = {
        "d": {
            "s_ragged_row": [1],
            "s_var_row": [2],
            "s_var_col": [3],
            "variance": 4.0,
            "_private": 5,
            "text": "a",
            "none": 0,
        },
        "m": {"real": masked, "whole": whole},
        "alone": np.float64(3),
    }
    found = flat_results(written)
    assert found["ragged_d_s_row"].tolist() == [1]
    assert {key: one.tolist() for key, one in found["var_d_s"].items()} == {"row": [2], "col": [3]}
    assert (found["d_variance"], found["alone"], found["d_text"]) == (4.0, 3.0, "a")  # "var" is only a whole word
    np.testing.assert_array_equal(found["m_real"], [1, np.nan])
    assert found["m_whole"].tolist() == [1, 0]
    assert "d__private" not in found
    assert masked.mask.tolist() == [False, True]  # unchanged


def test_constants_are_saved_for_the_run():
    det = DetObject("cam", dark(), 12)
    saved = det.params_as_dict()
    assert {"ped", "rms", "mask", "cmask", "statusMask", "imgShape", "common_mode", "run", "x", "y"} <= set(saved)
    assert "gain" not in saved
    assert saved["imgShape"].tolist() == list(SHAPE)
    np.testing.assert_allclose(saved["x"][0, :3], [0, 100, 200])
    np.testing.assert_allclose(saved["y"][:3, 0], [0, 100, 200])


# ---- sums


def summed(*names, frames, **flags):
    det = DetObject("cam", detector(), 1)
    for name in names:
        det.storeSum(name)
    for number, frame in enumerate(frames):
        det.getData(frame)
        det.processSums(**{key: value[number] for key, value in flags.items()})
    return det


def test_sums_are_what_their_names_say():
    frames = RNG.normal(2, 5, (6, *SHAPE)).astype(np.float32)
    frames[1, 0, 0] = np.nan
    dropped = [False, True, False, False, True, False]
    names = (
        "calib", "calib_square", "calib_thresADU3", "calib_thresADU-1_square", "calib_max", "calib_nhits_thresADU3",
        "calib_dropped", "calib_dropped_square", "calib_skipFirst",
    )  # fmt: skip
    det = summed(*names, frames=frames, dropped=dropped)
    exact = frames.astype(np.float64)
    above, higher = np.where(exact < 3, 0, exact), np.where(exact < -1, 0, exact)
    expected = {
        "calib": np.nansum(exact, axis=0),
        "calib_square": np.nansum(exact**2, axis=0),
        "calib_thresADU3": np.nansum(above, axis=0),
        "calib_thresADU-1_square": np.nansum(higher**2, axis=0),
        "calib_max": np.nanmax(exact, axis=0),
        "calib_nhits_thresADU3": (above > 0).sum(axis=0),
        "calib_dropped": np.nansum(exact[dropped], axis=0),
        "calib_dropped_square": np.nansum(exact[dropped] ** 2, axis=0),
        "calib_skipFirst": np.nansum(exact[1:], axis=0),
    }
    found = det.storeSum()
    for name, wanted in expected.items():
        np.testing.assert_allclose(found[name], wanted, rtol=1e-6, err_msg=name)
    assert det.sums["calib"].n == 6
    assert det.sums["calib"].n_valid[0].tolist()[:2] == [5, 6]
    assert det.sums["calib_dropped"].n == 2
    np.testing.assert_array_equal(det.evt.dat, frames[-1])  # thresholds leave the data of the event alone


def test_sums_of_workers_merge_and_maxima_stay_maxima():
    frames = RNG.normal(0, 5, (7, *SHAPE)).astype(np.float32)
    names = ("calib", "calib_max")
    whole, first, second = (summed(*names, frames=part) for part in (frames, frames[:3], frames[3:]))
    nothing = DetObject("cam", detector(), 1)
    nothing.mergeSums(first, second)
    for name in names:
        np.testing.assert_allclose(nothing.sums[name].total, whole.sums[name].total, atol=1e-4)
        assert nothing.sums[name].n == 7
    with pytest.raises(ValueError, match="cannot merge"):
        nothing.sums["calib"].merge(first.sums["calib_max"])


def test_sums_of_images_have_the_panels_in_their_places():
    iy, ix = np.zeros((2, 1, 2), int), np.zeros((2, 1, 2), int)
    iy[1], ix[:, 0] = 2, [0, 1]
    det = DetObject("two", Detector(shape=(2, 1, 2), iy=iy, ix=ix), 1)
    det.storeSum("calib_img")
    for _ in range(3):
        det.getData(np.array([[[1.0, 2.0]], [[3.0, 4.0]]]))
        det.processSums()
    np.testing.assert_array_equal(det.storeSum()["calib_img"], [[3, 6], [0, 0], [9, 12]])


@pytest.mark.parametrize("name", ["calib_thresADUx", "calib_thresADU", "", "calib__square", "calib_a-b"])
def test_names_without_a_meaning_are_refused(name):
    with pytest.raises(ValueError, match=r"sum .* expected parts joined"):
        StoredSum(name)


def test_a_misspelt_part_is_an_error_and_no_empty_sum():
    with pytest.raises(ValueError, match=r"nothing is known of 'sqare'; known parts: calib.*dropped"):
        StoredSum("calib_sqare").add(np.zeros(SHAPE), {"dropped": True})


def test_warming_up_needs_nothing():
    warm()


def test_an_icarus_keeps_or_subtracts_its_middle_columns():
    frames = RNG.normal(50, 3, (2, 1024, 512)).astype(np.float32)
    wanted = np.median(frames[..., 255:257], axis=(1, 2))
    facts = Detector(name="uxi", type="icarus", shape=frames.shape)
    keeps, subtracts = (DetObject("uxi", facts, 1, common_mode=number) for number in (98, 99))
    for det in (keeps, subtracts):
        det.getData(frames)
    np.testing.assert_array_equal(keeps.evt.dat, frames)
    np.testing.assert_allclose(keeps.results()["cm_median"], wanted, rtol=1e-6)
    np.testing.assert_allclose(subtracts.evt.dat, frames - wanted[:, None, None], atol=1e-4)
    with pytest.raises(ValueError, match="needs a dark region"):
        DetObject("uxi", facts, 1, common_mode=80)
    dark_corner = DetObject("uxi", facts, 1, common_mode=80, dark_region=((0, 100), (0, 100)))
    dark_corner.getData(frames)
    np.testing.assert_allclose(np.median(dark_corner.evt.dat[:, :100, :100], axis=(1, 2)), 0, atol=1e-5)


# ---- real frames


def test_a_real_epix10ka_quad(shared):
    found = np.load(shared / "data" / "area" / "epix10ka_quad_raw.npz")
    raw = found["raw"]
    shape = raw.shape[1:]
    first = (raw[0] & 0x3FFF).astype(np.float32)
    pedestal = np.stack([np.zeros(shape), first])  # all pixels of this run have the gain bit
    facts = Detector(name="quad", type="epix10kquad", shape=shape, pedestal=pedestal)
    plain, columns = (DetObject("quad", facts, 109, common_mode=number, gain_index=(0, 1)) for number in (80, 84))
    for det in (plain, columns):
        det.getData(raw[1])
    wanted = (raw[1] & 0x3FFF).astype(np.float32) - first
    np.testing.assert_array_equal(plain.evt.dat, wanted)
    groups = wanted.reshape(4, 2, 176, 384)
    median = np.median(groups, axis=2, keepdims=True)
    corrected = np.where(np.abs(median) < 10, groups - median, groups).reshape(shape)
    np.testing.assert_allclose(columns.evt.dat, corrected, atol=1e-4)
    wrong = DetObject("quad", facts, 109, common_mode=-1)
    wrong.getData(raw[1])
    np.testing.assert_array_equal(wrong.evt.dat, raw[1] & 0x3FFF)
    bits = DetObject("quad", facts, 109, common_mode=-2)
    bits.getData(raw[1])
    np.testing.assert_array_equal(bits.evt.dat, raw[1])
    with pytest.raises(ValueError, match="constants are for 2 gains, but entry 5 is asked for"):
        DetObject("quad", facts, 109, gain_index=(3, 5))


def test_a_real_cspad_with_peaks(shared):
    frame = np.load(shared / "data" / "area" / "cspad2x1_bragg.npy")
    det = DetObject("cspad", Detector(name="cspad", type="cspad2x1", shape=frame.shape), 10)
    assert det.common_mode == 1
    assert det.mask[0, 0] == 0  # unbonded, and on the rim
    assert not det.mask[:, 193:195].any()
    droplets = dropletFunc(threshold=200, thresholdLow=60, useRms=False)
    droplets.addFunc(sparsifyFunc(nData=0))
    det.addFunc(droplets)
    det.getData(frame)
    found = det.processFuncs()["droplet"]
    assert found["nDroplets"] == len(det.results()["ragged_droplet_sparse_row"]) > 5
