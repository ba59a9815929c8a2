"""Steps before a reduction: calibration as the event loop does it, background, thresholds, gain bits, filters."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from detcore.area.detector import Detector
from detcore.area.functions.calibration import Calibration
from detcore.area.images.commonmode import CommonModeStep
from detcore.area.reductions import Average
from detcore.area.reductions_azimuthal import Plane
from detcore.area.steps import Calibrate, ChosenEvents, SplitGain, SubtractBackground, Thresholds, calibrating
from detcore.core.accumulators import total
from detcore.core.provenance import describe
from detcore.core.schema import MissingColumn

RNG = np.random.default_rng(0)
SHAPE = (20, 24)


def chunk(values, **columns):
    data = {"data": (("frame", "module", "y", "x")[: values.ndim] if values.ndim == 4 else ("frame", "y", "x"), values)}
    data |= {name: ("frame", np.asarray(column)) for name, column in columns.items()}
    return xr.Dataset(data, attrs={"saturation": 5000, "underload": None, "file": "run.h5"})


@pytest.fixture
def detector():
    return Detector(
        shape=SHAPE,
        saturation=5000,
        pedestal=RNG.normal(100, 5, SHAPE),
        noise=np.full(SHAPE, 3.0),
        gain=np.full(SHAPE, 2.0),
    )


@pytest.mark.parametrize("mode", [0, 30, 71, (CommonModeStep(kind="row", exclude_noise=5),)])
def test_calibrate_is_what_the_event_loop_does(detector, mode):
    raw = RNG.poisson(120, (4, *SHAPE)).astype(np.uint16)
    raw[1, 2, 3] = 6000
    found = Calibrate(detector=detector, common_mode=mode).apply(chunk(raw))
    loop = Calibration(detector, mode)
    for mine, frame in zip(found["data"].values, raw, strict=True):
        np.testing.assert_array_equal(mine, np.ma.filled(np.ma.asarray(loop(frame), np.float32), np.nan))
    assert found["data"].dtype == np.float32
    assert np.isnan(found["data"].values[1, 2, 3])
    assert found.attrs["saturation"] is None  # calibrated values are not compared with raw limits
    assert found.attrs["file"] == "run.h5"


def test_raw_frames_keep_their_type_and_get_the_limits_of_the_detector(detector):
    raw = RNG.poisson(120, (2, *SHAPE)).astype(np.uint16)
    raw[1, 2, 3] = 6000
    found = Calibrate(detector=detector, common_mode=-1).apply(chunk(raw))
    np.testing.assert_array_equal(found["data"], raw)
    assert (found["data"].dtype, found.attrs["saturation"]) == (np.uint16, 5000)
    mean = total(Average().after(Calibrate(detector=detector, common_mode=-1)), chunk(raw))["mean"]
    assert mean[2, 3] == raw[0, 2, 3]


@pytest.mark.parametrize(("mode", "bits"), [(-1, 0), (-2, 1 << 14)])
def test_gain_bits_of_raw_frames(mode, bits):
    quad = Detector(type="epix10kquad", shape=(4, 352, 384))
    raw = np.full((1, *quad.shape), 3000 | 1 << 14, np.uint16)
    (step,) = calibrating(Calibration(quad, mode))
    assert (step.apply(chunk(raw))["data"].values == 3000 + bits).all()


def test_an_average_of_calibrated_frames(detector):
    raw = RNG.poisson(120, (6, *SHAPE)).astype(np.uint16)
    found = total(Average().after(Calibrate(detector=detector, common_mode=0)), chunk(raw))
    np.testing.assert_allclose(found["mean"], (raw - detector.pedestal.astype(float)).mean(0), rtol=1e-5)


def test_calibrate_refuses_what_it_cannot(detector):
    with pytest.raises(ValidationError, match="take 80"):
        Calibrate(detector=detector, common_mode=180)
    with pytest.raises(ValueError, match="another detector"):
        Calibrate(detector=detector, common_mode=0).apply(chunk(np.zeros((2, 3, 4), np.uint16)))


def test_equal_steps_are_equal_and_say_what_they_are(detector):
    one, other = Calibrate(detector=detector, common_mode=71), Calibrate(detector=detector, common_mode=71)
    assert one == other
    assert hash(one) == hash(other)
    image = np.arange(6.0).reshape(2, 3)
    assert SubtractBackground(image=Plane(image)) == SubtractBackground(image=Plane(image.copy()))
    assert SubtractBackground(image=Plane(image)) != SubtractBackground(image=Plane(image + 1))
    assert describe(one)["common_mode"] == 71
    assert "float64 (2, 3)" in describe(SubtractBackground(image=Plane(image)))["image"]


def test_a_background_is_subtracted_where_frames_are_valid():
    raw = np.array([[[10, 6000]], [[20, 30]]], np.uint16)
    found = SubtractBackground(image=Plane(np.array([[1.0, 2.0]])), scale=2).apply(chunk(raw))
    np.testing.assert_array_equal(found["data"], [[[8, np.nan]], [[18, 26]]])
    assert found.attrs["saturation"] is None
    with pytest.raises(ValueError, match="the background has the shape"):
        SubtractBackground(image=Plane(np.zeros((3, 3)))).apply(chunk(raw))


def test_thresholds():
    values = np.array([[[1, 5, 9, np.nan]]], np.float32)
    assert Thresholds(low=4, high=8).apply(chunk(values))["data"].values.tolist()[0][0][:3] == [0, 5, 0]
    missing = Thresholds(low=4, missing=True).apply(chunk(values))["data"].values
    np.testing.assert_array_equal(missing, [[[np.nan, 5, 9, np.nan]]])
    noisy = Thresholds(low=2, noise=Plane(np.array([[1.0, 4.0, 1.0, 1.0]])))
    assert noisy.apply(chunk(values))["data"].values.tolist()[0][0][:3] == [0, 0, 9]
    whole = Thresholds(low=4).apply(chunk(np.array([[[3, 7]]], np.uint16)))["data"]
    assert (whole.dtype, whole.values.tolist()) == (np.uint16, [[[0, 7]]])
    with pytest.raises(ValidationError, match="low <= high"):
        Thresholds(low=2, high=1)


def test_gain_bits():
    words = np.array([[[5, 0x4000 + 6, 0x8000 + 7, 0xC000 + 8]]], np.uint16)
    found = SplitGain(detector_type="jungfrau").apply(chunk(words))
    assert found["data"].values.tolist() == [[[5, 6, 7, 8]]]
    assert found["gain_range"].values.tolist() == [[[0, 1, -1, 2]]]
    epix = SplitGain(detector_type="epix10k2m", by_bit=(3, 5)).apply(chunk(words))
    assert epix["gain_range"].values.tolist() == [[[3, 5, 3, 5]]]
    with pytest.raises(ValueError, match="calibrated already"):
        SplitGain(detector_type="jungfrau").apply(chunk(words.astype(np.float32)))


def test_events_are_chosen_by_a_column():
    data = chunk(np.arange(4)[:, None, None] * np.ones((4, 1, 1)), i0=[0.5, np.nan, 2.0, 3.0])
    assert ChosenEvents(column="i0", low=1).apply(data)["data"].values.ravel().tolist() == [2, 3]
    assert ChosenEvents(column="i0", low=1, high=2).apply(data)["data"].values.ravel().tolist() == [2]
    assert ChosenEvents(column="i0", low=1, invert=True).apply(data)["data"].values.ravel().tolist() == [0]
    with pytest.raises(MissingColumn, match="needs ipm"):
        ChosenEvents(column="ipm").apply(data)
