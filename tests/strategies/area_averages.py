"""Samples of the averages and spectra of area detectors, and of the steps before them."""

from __future__ import annotations

import itertools

import numpy as np
import xarray as xr
from hypothesis import strategies as st

from detcore.area.averaging import TakeEvents
from detcore.area.darks import Dark
from detcore.area.detector import Detector
from detcore.area.functions.calibration import Calibration
from detcore.area.images.commonmode import CommonModeStep
from detcore.area.reductions import Average, PixelSpectra
from detcore.area.reductions_azimuthal import Plane
from detcore.area.setup.setupsections import EventFilter
from detcore.area.steps import Calibrate, ChosenEvents, SplitGain, SubtractBackground, Thresholds, calibrating

NOISE = Plane(np.array([[1.0, 2.0, 0.5], [3.0, 1.0, 1.0]], np.float32))
SHAPE = (2, 3)
FACTS = {"detector": "toy", "detector_type": "unknown", "underload": None, "saturation": 40000}


def chunk_of(values, first=0, dims=("y", "x"), **facts):
    """A chunk as the source gives it."""
    n = len(values)
    gains = (np.arange(values.size) % 3).astype(np.int8).reshape(values.shape)
    return xr.Dataset(
        {
            "data": (("frame", *dims), values, {"units": "ADU"}),
            "gain_range": (("frame", *dims), gains),
            "event_id": ("frame", np.arange(first, first + n)),
            "entry": ("frame", np.arange(n)),
        },
        attrs=FACTS | facts,
    )


@st.composite
def frames(draw, dtype, shape=SHAPE):
    """Frames of one file: bright, dark and, of real numbers, missing pixels."""
    n = draw(st.integers(0, 7))
    kind = np.dtype(dtype)
    one = st.integers(0, 65535) if kind.kind == "u" else st.integers(-400, 400).map(lambda value: value / 4)
    if kind.kind == "f":
        one = st.one_of(one, st.just(np.nan), st.just(np.inf))
    size = n * int(np.prod(shape))
    return np.array(draw(st.lists(one, min_size=size, max_size=size)), kind).reshape(n, *shape)


@st.composite
def samples(draw, reductions, dtypes=("uint16", "float32", "int32")):
    dtype = draw(st.sampled_from(dtypes))
    files = [chunk_of(one) for one in draw(st.lists(frames(dtype), min_size=1, max_size=3))]
    return {
        "reduction": draw(reductions),
        "schema": files[0].isel(frame=slice(0, 0)),
        "files": files,
        "row": "frame",
    }


STRATEGIES = {
    "detcore.area.darks.Dark": samples(
        st.sampled_from([Dark(), Dark(value_low=5, value_high=80, noise_low=0), Dark(gains=3, pedestal_low=0)])
    ),
    "detcore.area.reductions.Average": samples(
        st.sampled_from(
            [
                Average(),
                Average(limits=False, threshold=10.5),
                Average(threshold=70000),
                Average(median_range=(-20, 30), median_bins=9),
                Average(noise=NOISE, noise_threshold=3),
                Average(gains=3),
            ]
        )
    ),
    "detcore.area.reductions.PixelSpectra": samples(
        st.sampled_from(
            [
                PixelSpectra(low=-10, high=30, bins=7),
                PixelSpectra(pixels=((0, 1), (1, 2)), high=100, bins=4),
                PixelSpectra(good=Plane(np.array([[1, 0, 1], [0, 0, 1]], np.uint8))),
            ]
        )
    ),
}


DETECTOR = Detector(
    type="unknown",
    shape=(2, 3),
    saturation=40000.0,
    pedestal=np.full((2, 3), 7.5, np.float32),
    noise=np.full((2, 3), 2, np.float32),
)
STEPS = (
    Calibrate(detector=DETECTOR, common_mode=71),
    Calibrate(detector=DETECTOR, common_mode=(CommonModeStep(kind="column", exclude_noise=5),)),
    SubtractBackground(image=NOISE, scale=2),
    Thresholds(low=2, high=90, noise=NOISE),
    Thresholds(low=4, missing=True),
    SplitGain(detector_type="jungfrau"),
    ChosenEvents(column="event_id", low=2, invert=True),
    TakeEvents(filters=(EventFilter(field="entry", low=1),), numbers=frozenset({1, 2, 5})),
    *calibrating(Calibration(DETECTOR, 71), NOISE),
)


_TURN = itertools.count()


def stepped():
    """A chunk, a step and the dimension of its rows; the steps in turn, so that each has its examples."""
    return frames("uint16").map(lambda values: (chunk_of(values), STEPS[next(_TURN) % len(STEPS)], "frame"))
