"""Regions of interest and what follows from them, against plain NumPy; the original's defects."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from detcore.area.detector import Detector
from detcore.area.functions import DetObject, ROIFunc, lineoutFunc, projectionFunc, rebinFunc, spectrumFunc
from detcore.image import Ellipse, Rectangle

RNG = np.random.default_rng(8)
SHAPE = (2, 20, 30)
FRAME = RNG.normal(5, 4, SHAPE).astype(np.float32)


def loop(*funcs, frame=FRAME, bad=(), **facts):
    """Run functions on a frame; `bad` are indices of dead pixels."""
    mask = np.zeros(frame.shape, np.uint32)
    for place in bad:
        mask[place] = 2
    det = DetObject(
        "d", Detector(**({"shape": frame.shape, "pixel_mask": mask, "pixel_size": (1e-4, 1e-4)} | facts)), 1
    )
    for func in funcs:
        det.addFunc(func)
    det.getData(frame)
    det.processFuncs()
    return det, det.results()


def test_numbers_of_a_region_of_a_tiled_detector():
    bad = (1, 4, 5)
    before = FRAME.copy()
    det, found = loop(ROIFunc(ROI=[[1, 2], [2, 12], [3, 1e6]], name="ROI_0", writeArea=True), bad=[bad])
    part = FRAME[1, 2:12, 3:].astype(np.float64)
    good = np.ones(part.shape, bool)
    good[2, 2] = False
    rows, columns = np.indices(part.shape)
    np.testing.assert_array_equal(found["ROI_0_area"], part.astype(np.float32))  # also the masked pixel
    assert found["ROI_0_area"].shape == (10, 27)
    assert found["ROI_0_n_valid"] == good.sum()
    np.testing.assert_allclose(found["ROI_0_sum"], part[good].sum())
    np.testing.assert_allclose(found["ROI_0_mean"], part[good].mean())
    np.testing.assert_allclose(found["ROI_0_max"], part[good].max())
    com = [(one[good] * part[good]).sum() / part[good].sum() for one in (rows, columns)]
    np.testing.assert_allclose(found["ROI_0_com"], com)
    saved = det.params_as_dict()
    np.testing.assert_array_equal(saved["ROI_0__ROI_0_bound"], [[1, 2], [2, 12], [3, 30]])
    np.testing.assert_array_equal(saved["ROI_0__ROI_0_mask"][0], good)  # 1 is good, as det.mask
    np.testing.assert_array_equal(FRAME, before)


def test_negative_pixels_have_a_negative_maximum_although_some_are_masked():
    frame = -np.abs(FRAME) - 1
    _, found = loop(ROIFunc(), frame=frame, bad=[(0, 0, 0)])
    frame[0, 0, 0] = -99
    assert found["full_max"] == frame.max() < 0


def test_centre_of_mass_over_panels_and_of_nothing():
    frame = np.zeros(SHAPE, np.float32)
    frame[0, 4, 6], frame[1, 8, 6] = 1, 3
    _, found = loop(ROIFunc(), frame=frame)
    np.testing.assert_allclose(found["full_com"], [7, 6])
    noise = FRAME - FRAME.mean(dtype=np.float64).astype(np.float32)
    noise[..., -1] = -noise[..., :-1].sum(axis=-1)
    cancels = np.stack([FRAME[0], -FRAME[0]])
    _, found = loop(ROIFunc(), frame=cancels)
    assert np.isnan(found["full_com"]).all()
    assert abs(found["full_sum"]) < 1e-9


def test_a_region_without_a_good_pixel_gives_nan_and_one_outside_is_refused():
    frame = FRAME[:1, :4, :4]
    _, found = loop(ROIFunc(), frame=frame, bad=[...])
    assert found["full_n_valid"] == 0
    for key in ("sum", "mean", "max", "com"):
        assert np.isnan(found[f"full_{key}"]).all(), key
    with pytest.raises(ValueError, match=r"ROI: the region .* holds no pixel of a frame"):
        loop(ROIFunc(ROI=[[0, 1], [100, 120], [0, 5]]))
    with pytest.raises(ValueError, match=r"frames are \(2, 20, 30\) \(panel, row, column\), but the ROI has 2 pairs"):
        loop(ROIFunc(ROI=[[0, 5], [0, 5]]))
    with pytest.raises(ValueError, match=r"expected .*found"):
        ROIFunc(ROI=[1, 2, 3])


@pytest.mark.parametrize(
    "bounds", [[[3, 9], [4, 7]], [9, 3, 7, 4], np.array([[3, 9], [4, 7]]), [[0, 1], [3, 9], [4, 7]]]
)
def test_bounds_may_be_written_in_several_ways(bounds):
    _, found = loop(ROIFunc(ROI=bounds), frame=FRAME[0])
    np.testing.assert_allclose(found["ROI_sum"], FRAME[0, 3:9, 4:7].sum(dtype=np.float64))
    _, found = loop(ROIFunc(ROI=[1, 2], name="one"))
    np.testing.assert_allclose(found["one_sum"], FRAME[1].sum(dtype=np.float64))


def test_thresholds_zero_a_copy():
    before = FRAME.copy()
    _, found = loop(ROIFunc(thresADU=6, name="low"), ROIFunc(thresADU=[2, 7], name="band"), ROIFunc(name="all"))
    np.testing.assert_array_equal(FRAME, before)
    exact = FRAME.astype(np.float64)
    np.testing.assert_allclose(found["low_sum"], exact[FRAME >= 6].sum())
    np.testing.assert_allclose(found["band_sum"], exact[(FRAME >= 2) & (FRAME <= 7)].sum())
    np.testing.assert_allclose(found["band_mean"], exact[(FRAME >= 2) & (FRAME <= 7)].sum() / FRAME.size)
    np.testing.assert_allclose(found["all_sum"], exact.sum())


def test_saturated_pixels_are_counted_and_whole_numbers_do_not_overflow():
    frame = np.full((40, 50), 65535, np.uint16)
    func = ROIFunc()
    func.addNsat(65000)
    _, found = loop(func, frame=frame, bad=[(0, 0)])
    assert found["full_nsat"] == found["full_n_valid"] == 1999
    assert found["full_sum"] == 1999 * 65535


def test_the_users_mask_counts_with_the_detectors():
    user = np.ones(SHAPE)
    user[0] = 0
    _, found = loop(ROIFunc(userMask=user), bad=[(1, 0, 0)])
    assert found["full_n_valid"] == 599
    with pytest.raises(ValueError, match="userMask must have the shape of the data"):
        loop(ROIFunc(userMask=np.ones((3, 3))))


def test_shapes_drawn_on_the_image_or_in_a_panel():
    iy, ix = np.indices(SHAPE[1:])
    iy = np.stack([iy, iy + 25])
    ix = np.stack([ix, ix])
    ring = Ellipse(x=15, y=22, a=9.2, b=8.2)  # over both panels and the gap between them
    _, found = loop(ROIFunc(region=ring, name="e"), ix=ix, iy=iy)
    inside = ((ix - 15) / 9.2) ** 2 + ((iy - 22) / 8.2) ** 2 < 1
    assert inside[0].any()
    assert inside[1].any()
    assert found["e_n_valid"] == inside.sum()
    np.testing.assert_allclose(found["e_sum"], FRAME[inside].sum(dtype=np.float64), rtol=1e-6)
    square = Rectangle(x0=2, y0=3, x1=8, y1=5)
    det, found = loop(ROIFunc(region=square, panel=1, name="p"), ix=ix, iy=iy)
    np.testing.assert_allclose(found["p_sum"], FRAME[1, 3:5, 2:8].sum(dtype=np.float64), rtol=1e-6)
    assert det.p.bound.tolist() == [[1, 2], [3, 5], [2, 8]]
    with pytest.raises(ValueError, match="there is no panel 7"):
        loop(ROIFunc(region=square, panel=7))
    with pytest.raises(ValueError, match="the region holds no pixel"):
        loop(ROIFunc(region=Ellipse(x=500, y=500, a=2, b=2)), ix=ix, iy=iy)


def test_projections_count_valid_pixels_only():
    bad = [(0, 3, slice(None)), (0, 5, 7)]
    roi = ROIFunc(ROI=[[0, 1], [0, 20], [0, 30]], name="R")
    for func in (
        projectionFunc(axis=0),
        projectionFunc(axis=1, mean=True),
        projectionFunc(name="all"),
        projectionFunc(name="mean", mean=True),
        projectionFunc(axis=1, thresADU=4, name="low"),
        projectionFunc(axis=1, thresADU=[4, 8], singlePhoton=True, name="hits"),
        projectionFunc(axis=0, thresRms=2, name="rms"),
    ):
        roi.addFunc(func)
    noise = RNG.uniform(1, 3, SHAPE)
    _, found = loop(roi, bad=bad, noise=noise)
    part = FRAME[0].astype(np.float64)
    part[3], part[5, 7] = np.nan, np.nan
    np.testing.assert_allclose(found["R_pj_ax_0_data"], np.nansum(part, axis=0), rtol=1e-5)
    expected = np.full(20, np.nan)
    rest = np.delete(np.arange(20), 3)
    expected[rest] = np.nanmean(part[rest], axis=1)
    np.testing.assert_allclose(found["R_pj_ax_1_data"], expected, rtol=1e-5)
    np.testing.assert_allclose(found["R_all_data"], np.nansum(part), rtol=1e-5)
    np.testing.assert_allclose(found["R_mean_data"], np.nanmean(part), rtol=1e-5)
    np.testing.assert_allclose(
        found["R_low_data"][rest], np.nansum(np.where(part < 4, 0, part), axis=1)[rest], rtol=1e-5
    )
    np.testing.assert_array_equal(found["R_hits_data"][rest], ((part >= 4) & (part <= 8)).sum(axis=1)[rest])
    assert np.isnan(found["R_hits_data"][3])
    cut = np.where(part < 2 * noise[0], 0, part)
    np.testing.assert_allclose(found["R_rms_data"], np.nansum(cut, axis=0), rtol=1e-5)


def test_a_projection_may_stand_alone_and_says_what_it_lacks():
    _, found = loop(projectionFunc(axis=1), frame=np.full((3, 400), 60000, np.uint16))
    assert found["pj_ax_1_data"].tolist() == [24_000_000] * 3
    frame = np.ones((3, 5), np.uint16)
    frame[1, 1] = 999
    _, found = loop(projectionFunc(axis=0), rebinFunc(shape=(1, 1)), frame=frame, bad=[(1, 1), (slice(None), 4)])
    np.testing.assert_array_equal(found["pj_ax_0_data"], [3, 2, 3, 3, np.nan])
    assert found["rebin_data"] == 1
    with pytest.raises(ValueError, match="thresRms needs the noise"):
        loop(projectionFunc(thresRms=3))
    with pytest.raises(ValueError, match="cannot project onto axis 3"):
        loop(projectionFunc(axis=3))


def test_a_line_through_the_brightest_good_pixel_or_a_given_one():
    frame = FRAME[0].copy()
    frame[7, 9], frame[2, 2] = 90, 99
    _, found = loop(lineoutFunc(axis=0), lineoutFunc(axis=1, idx=4, name="c"), frame=frame, bad=[(2, 2)])
    assert found["lineout_idx"] == 7
    np.testing.assert_array_equal(found["c_data"], frame[:, 4])
    roi = ROIFunc()
    roi.addFunc(lineoutFunc())
    _, found = loop(roi, frame=frame, bad=[(2, 2)])
    assert found["full_lineout_idx"] == 7
    np.testing.assert_allclose(found["full_lineout_data"], frame[7])


def test_spectra_of_pixels_and_of_lists():
    roi = ROIFunc()
    spectrum = spectrumFunc(bins=[-10, 20, 30])
    spectrum.addFunc(projectionFunc(name="n"))
    roi.addFunc(spectrum)
    _, found = loop(roi, bad=[(0, slice(0, 5))])
    good = np.ones(SHAPE, bool)
    good[0, :5] = False
    np.testing.assert_array_equal(
        found["full_spectrum_histogram"], np.histogram(FRAME[good], np.linspace(-10, 20, 31))[0]
    )
    assert found["full_spectrum_n_data"] == found["full_spectrum_histogram"].sum()
    assert spectrumFunc(bins=[0, 1, 2, 4]).process({"data": [0.5, 3, 4, np.nan, 9]})["histogram"].tolist() == [1, 0, 2]
    for wrong in (None, [1], [5, 1, 2], [3, 2, 1, 0], [0, 1, 10**12], [0, np.inf]):
        with pytest.raises(ValueError, match="spectrum: bins are"):
            spectrumFunc(bins=wrong)
    with pytest.raises(ValueError, match="droplets with 'data', found row"):
        spectrumFunc(bins=[0, 1, 2]).process({"row": 1})


def test_blocks():
    roi = ROIFunc(ROI=[[1, 2], [0, 20], [0, 30]], name="R")
    roi.addFunc(rebinFunc(shape=[5, 10]))
    _, found = loop(roi, bad=[(1, slice(0, 4), slice(0, 3))])
    expected = FRAME[1].reshape(5, 4, 10, 3).mean(axis=(1, 3), dtype=np.float64)
    expected[0, 0] = np.nan
    np.testing.assert_allclose(found["R_rebin_data"], expected, rtol=1e-5)
    with pytest.raises(ValueError, match="the shape of the result is needed"):
        rebinFunc()


def test_nothing_is_logged_for_good_detectors(caplog):
    with caplog.at_level(logging.INFO):
        loop(ROIFunc())
    assert not caplog.records


def test_a_pixel_without_noise_is_kept_by_a_threshold_in_units_of_it():
    detector = Detector(shape=(2, 3), noise=np.array([[0.0, 1, 1], [1, 1, 1]]))
    det = DetObject("d", detector, 1)
    det.addFunc(projectionFunc(axis=0, thresRms=3))
    det.addFunc(projectionFunc(axis=0, thresRms=[None, 3], name="low"))
    det.getData(np.array([[5.0, 2, 9], [1, 4, np.nan]]))
    found = det.processFuncs()
    np.testing.assert_array_equal(found["pj_ax_0"]["data"], [5, 4, 9])
    np.testing.assert_array_equal(found["low"]["data"], [1, 2, 0])
