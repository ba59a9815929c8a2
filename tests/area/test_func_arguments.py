"""Wrong arguments of the event loop and its functions: what is wrong and what to do is said before the first event."""

from __future__ import annotations

import numpy as np
import pytest

from detcore import area
from detcore.area.detector import Detector
from detcore.area.functions import (
    Autocorrelation,
    DetObject,
    DetObjectFunc,
    ROIFunc,
    azimuthalBinning,
    dropletFunc,
    imageFunc,
    photonFunc,
    projectionFunc,
    spectrumFunc,
)

SHAPE = (20, 30)


@pytest.mark.parametrize("kind", [projectionFunc, dropletFunc, spectrumFunc, photonFunc, imageFunc])
def test_a_misspelt_parameter_is_refused_with_the_list(kind):
    with pytest.raises(TypeError, match=f"{kind.__name__} has no parameter thrADU; it has .*name"):
        kind(thrADU=3)


def test_a_misspelt_parameter_in_a_setup_is_refused():
    setup = area.Setup.from_yaml("functions: [{kind: dropletFunc, name: d, params: {thrADU: 3}}]")
    with pytest.raises(ValueError, match="function d: dropletFunc has no parameter thrADU; it has threshold"):
        area.event_loop(Detector(shape=SHAPE), setup)


def test_functions_of_ones_own_take_any():
    class Mine(DetObjectFunc):
        _name = "mine"

    assert Mine(factor=3).factor == 3


@pytest.mark.parametrize("thres", ["a", [1, 2, 3], [5, 2], [np.nan, 3]])
@pytest.mark.parametrize("kind", [ROIFunc, projectionFunc, Autocorrelation])
def test_a_threshold_is_a_number_or_a_pair(kind, thres):
    with pytest.raises(ValueError, match=r"thresADU: a threshold is a number .* or \[low, high\] with low <= high"):
        kind(thresADU=thres)


@pytest.mark.parametrize("key", ["gainImg", "darkImg"])
def test_images_of_another_shape(key):
    det = DetObject("d", Detector(shape=SHAPE, pixel_size=(1e-4, 1e-4)), 1)
    with pytest.raises(ValueError, match=rf"azav: {key} has the shape of the data, \(20, 30\); found \(3, 3\)"):
        det.addFunc(azimuthalBinning(center=[0, 0], **{key: np.ones((3, 3))}))


@pytest.mark.parametrize("values", [{"eBeam": 0}, {"dis_to_sam": 0}])
def test_an_energy_and_a_distance_are_above_0(values):
    with pytest.raises(ValueError, match=r"eBeam \(keV\) and dis_to_sam \(mm\) are above 0"):
        azimuthalBinning(center=[0, 0], **values)


@pytest.mark.parametrize("values", [{"ADU_per_photon": 0}, {"thr_fraction": 3}])
def test_a_photon_has_adu(values):
    with pytest.raises(ValueError, match="expected ADU_per_photon above 0 and thr_fraction above 0 and at most 1"):
        photonFunc(**values)


def test_indices_of_an_image_have_their_names():
    with pytest.raises(ValueError, match="coords have ix and iy, or row and col; found a"):
        imageFunc(coords={"a": 1})


@pytest.mark.parametrize("mode", ["46", 4.5, [{"kind": "row"}]])
def test_a_common_mode_is_a_number_or_steps(mode):
    with pytest.raises(ValueError, match="d: a common mode is a number, or a list of CommonModeStep; found"):
        DetObject("d", Detector(shape=SHAPE), 1, common_mode=mode)


def test_an_average_with_ghosts_is_refused_in_plain_words(tmp_path):
    np.save(tmp_path / "run.npy", np.zeros((1, 4, 352, 384), np.uint16))
    setup = area.Setup.from_yaml("detector: {type: epix10kquad}\ncommon_mode: 180")
    with pytest.raises(ValueError, match=r"^common mode 180 corrects each frame by the one before .* take 80$"):
        area.average(str(tmp_path / "run.npy"), setup)


def test_what_is_no_function_is_refused():
    det = DetObject("d", Detector(shape=SHAPE), 1)
    with pytest.raises(TypeError, match="detector 'd': expected a DetObjectFunc, found int"):
        det.addFunc(3)
    with pytest.raises(ValueError, match=r"ROI: expected \[\[r0, r1\], \[c0, c1\]\] .* found 'a'"):
        ROIFunc(ROI="a")
