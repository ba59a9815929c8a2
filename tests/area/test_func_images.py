"""Assembled and straightened images, autocorrelations and centres of events."""

from __future__ import annotations

import numpy as np
import pytest

from detcore.area.detector import Detector
from detcore.area.functions import (
    Autocorrelation,
    DetObject,
    PolynomialCurveCorrection,
    ROIFunc,
    acf,
    fitCenter,
    image_from_dat,
    imageFunc,
)

RNG = np.random.default_rng(12)
SHAPE = (2, 6, 8)


def loop(*funcs, frame, bad=(), **facts):
    mask = np.zeros(frame.shape, np.uint32)
    for place in bad:
        mask[place] = 2
    det = DetObject("d", Detector(**({"shape": frame.shape, "pixel_mask": mask} | facts)), 1)
    for func in funcs:
        det.addFunc(func)
    det.getData(frame)
    det.processFuncs()
    return det, det.results()


def maps():
    """Two panels above each other with a gap, the second turned; two pixels share an image pixel."""
    rows, columns = np.indices(SHAPE[1:])
    iy, ix = np.stack([rows, 13 - rows]), np.stack([columns, 7 - columns])
    ix[0, 0, 1] = 0
    return iy, ix


def test_panels_in_their_places():
    frame = RNG.normal(size=SHAPE).astype(np.float32)
    iy, ix = maps()
    bad = [(1, 2, 3), (0, 4, slice(None))]
    det, found = loop(
        imageFunc(), imageFunc(coords=["x", "y"], name="xy"), image_from_dat(), frame=frame, bad=bad, iy=iy, ix=ix
    )
    wanted = np.full((14, 8), np.nan)
    good = np.ones(SHAPE, bool)
    for place in bad:
        good[place] = False
    wanted[iy[good], ix[good]] = frame[good]
    wanted[0, 0] = frame[0, 0, :2].mean(dtype=np.float64)
    np.testing.assert_allclose(found["image_img"], wanted)
    np.testing.assert_allclose(found["xy_img"], wanted.T)
    np.testing.assert_allclose(found["image_from_dat_image"], wanted)
    assert det.image.imgShape == (14, 8)
    np.testing.assert_array_equal(det.image.mask_img, np.isnan(wanted))  # 1 where there is nothing
    assert det.image.mask_ones[0, :2].tolist() == [2, 0]
    assert det.image.mask_ones.sum() == 96


def test_indices_corrections_and_masks_of_ones_own():
    frame = np.arange(96.0).reshape(SHAPE)
    iy, ix = maps()
    own = np.ones(SHAPE)
    own[0] = 0
    func = imageFunc(coords={"row": iy, "col": ix}, imgShape=(20, 5), correction=np.full(SHAPE, 2.0), mask=own)
    _, found = loop(func, frame=frame)
    assert found["image_img"].shape == (20, 8)
    wanted = np.full((20, 8), np.nan)
    wanted[iy[1], ix[1]] = frame[1] / 2
    np.testing.assert_allclose(found["image_img"], wanted)
    with pytest.raises(ValueError, match="the indices must have the shape of a frame"):
        loop(imageFunc(coords={"row": iy[0], "col": ix[0]}), frame=frame)
    with pytest.raises(ValueError, match="give a smaller imgShape"):
        loop(imageFunc(imgShape=(10**6, 10**6)), frame=frame)
    with pytest.raises(ValueError, match="coords are two of x and y"):
        imageFunc(coords=["u", "v"])


def test_an_image_of_a_region_and_what_follows():
    frame = RNG.normal(5, 1, SHAPE)
    roi = ROIFunc(ROI=[[1, 2], [1, 5], [2, 7]], name="R", calcPars=False)
    image = imageFunc()
    image.addFunc(ROIFunc(ROI=[[0, 2], [0, 5]], name="top"))
    roi.addFunc(image)
    iy, ix = maps()
    _, found = loop(roi, frame=frame, iy=iy, ix=ix)
    turned = frame[1, 1:5, 2:7][::-1, ::-1]
    np.testing.assert_allclose(found["R_image_img"], turned, rtol=1e-6)
    np.testing.assert_allclose(found["R_image_top_sum"], turned[:2].sum(), rtol=1e-6)


def test_straight_lines_with_their_masks():
    frame = RNG.normal(5, 1, (20, 30)).astype(np.float32)
    func = PolynomialCurveCorrection([0.5, 0], axis=1)
    func.addFunc(ROIFunc(name="all"))
    det, found = loop(func, frame=frame, bad=[(10, 4)])
    wanted = np.stack([np.roll(frame[:, x], -round(0.5 * x)) for x in range(30)], axis=1)
    wanted[8, 4] = np.nan
    np.testing.assert_array_equal(found["curve_corr_corrected_image"], wanted)
    assert np.argwhere(det.curve_corr.mask == 0).tolist() == [[8, 4]]
    np.testing.assert_allclose(found["curve_corr_all_sum"], np.nansum(wanted.astype(float)))
    fine, found = loop(PolynomialCurveCorrection([0.5, 0], axis=1, method="ndimage"), frame=frame, bad=[(10, 1)])
    assert np.argwhere(fine.curve_corr.mask[:, 1] == 0).ravel().tolist() == [9, 10, 19]
    assert np.isnan(found["curve_corr_corrected_image"][[9, 10, 19], 1]).all()
    with pytest.raises(ValueError, match="expected polynomial_coefficients"):
        PolynomialCurveCorrection()


# ---- correlations


def speckles(shape, n=1):
    """Intensities with a contrast of 1 and a width of a few pixels."""
    field = RNG.normal(size=shape) + 1j * RNG.normal(size=shape)
    spectrum = np.fft.fft2(field) * (np.hypot(*np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij")) < 0.15)
    return np.abs(np.fft.ifft2(spectrum)) ** 2 * 1e3 * n


def test_autocorrelations_have_the_contrast_of_speckles():
    frame = speckles((90, 110))
    _, found = loop(Autocorrelation(save_range=(20, 30)), frame=frame, bad=[(slice(30, 40), slice(50, 60))])
    image = found["autocorr_autocorr"]
    assert image.shape == (40, 60)
    assert np.unravel_index(np.nanargmax(image), image.shape) == (20, 30)
    assert 1.8 < image[20, 30] < 2.2
    assert abs(image[5, 5] - 1) < 0.1
    good = np.ones(frame.shape, bool)
    good[30:40, 50:60] = False
    np.testing.assert_allclose(found["autocorr_cr"], frame[good].mean(), rtol=1e-6)


def test_several_masks_regions_thresholds_and_lines(tmp_path):
    frame = speckles((60, 70)).astype(np.float32)
    masks = np.zeros((2, 60, 70), bool)
    masks[0, 5:45, 5:40], masks[1, 20:55, 30:65] = True, True
    np.save(tmp_path / "masks.npy", masks.astype(np.uint8))
    det, found = loop(
        Autocorrelation(mask=tmp_path / "masks.npy"),
        Autocorrelation(mask=masks[0], name="one", save_lineout=True, save_range=None),
        Autocorrelation(roi=[[5, 45], [5, 40]], name="roi", save_range=(10, 10)),
        Autocorrelation(roi=[5, 45, 5, 40], thresADU=[500, 2000], name="cut", save_range=(10, 10)),
        frame=frame,
    )
    assert found["autocorr_autocorr"].shape == (2, 68, 68)  # what both masks allow
    np.testing.assert_allclose(found["autocorr_cr"], [frame[mask].mean() for mask in masks], rtol=1e-5)
    assert found["one_lineout_h"].shape == (68,)
    assert found["one_lineout_v"].shape == (78,)
    np.testing.assert_allclose(found["one_lineout_h"][24:44], found["roi_autocorr"][10], rtol=1e-6)
    part = frame[5:45, 5:40]
    np.testing.assert_allclose(found["cut_cr"], np.where((part < 500) | (part > 2000), 0, part).mean(), rtol=1e-5)
    assert det.params_as_dict()["autocorr__autocorr_save_range"].tolist() == [34, 34]


def test_an_uneven_illumination_is_divided_out():
    light = np.exp(-(((np.indices((100, 120)) - 50) / 40) ** 2).sum(axis=0))
    frame = speckles((100, 120)) * light
    _, found = loop(
        Autocorrelation(save_range=(30, 30)),
        Autocorrelation(save_range=(30, 30), illumination_correction=light, name="lit"),
        frame=frame,
    )
    assert found["autocorr_autocorr"][:5, :5].mean() > 1.5 or found["autocorr_autocorr"][30, 5] > 1.1
    assert abs(found["lit_autocorr"][30, 3:10].mean() - 1) < 0.15


def test_a_mask_of_another_shape_or_of_nothing_is_refused(tmp_path):
    frame = np.ones((20, 20))
    with pytest.raises(ValueError, match="the mask must have the shape of the image"):
        loop(Autocorrelation(mask=np.ones((3, 4))), frame=frame)
    with pytest.raises(ValueError, match="selects no pixel"):
        loop(Autocorrelation(mask=np.zeros((20, 20))), frame=frame)
    with pytest.raises(ValueError, match="at least two pixels"):
        loop(Autocorrelation(roi=[[3, 4], [0, 9]]), frame=frame)
    with pytest.raises(ValueError, match="cannot be given together"):
        Autocorrelation(roi=[[0, 1], [0, 1]], mask=np.ones((3, 3)))
    (tmp_path / "m.npy").write_bytes(b"nothing")
    for wrong in (tmp_path / "m.npy", tmp_path / "none.npy"):
        with pytest.raises(ValueError, match="is no npy file of an array"):
            Autocorrelation(mask=wrong)
    with pytest.raises(ValueError, match="works on an image"):
        loop(Autocorrelation(), frame=np.ones(SHAPE))


def test_an_event_without_valid_pixels_keeps_its_shape():
    _, found = loop(Autocorrelation(save_range=(5, 5)), frame=np.full((20, 20), np.nan))
    assert found["autocorr_autocorr"].shape == (10, 10)
    assert np.isnan(found["autocorr_autocorr"]).all()
    assert np.isnan(found["autocorr_cr"])


def test_the_radial_profile_of_an_autocorrelation_is_widest_at_zero():
    frame = speckles((64, 64))
    _, found = loop(acf(resolution=1), acf(name="panels", resolution=1), frame=frame)
    assert found["acf_profile_0"][0] == pytest.approx(0.5, rel=0.02)
    assert np.nanargmax(found["acf_profile_1"]) == 0
    both = np.stack([frame, frame])
    _, panels = loop(acf(resolution=1), frame=both)
    assert panels["acf_profile_1"].shape == found["acf_profile_1"].shape


# ---- centre


def test_the_centre_of_a_ring_in_um():
    rows, columns = np.indices((200, 220))
    radius = np.hypot(columns - 101.5, rows - 88.25)
    frame = np.where(np.abs(radius - 60) < 1.5, 100.0, RNG.uniform(0, 1, radius.shape))
    _, found = loop(fitCenter(threshold=98.9), frame=frame, pixel_size=(1e-4, 1e-4))
    np.testing.assert_allclose([found["center_xCen"], found["center_yCen"]], [10150, 8825], atol=15)
    assert found["center_R"] == pytest.approx(6000, rel=0.02)
    _, found = loop(fitCenter(threshold=98.9), frame=frame)
    np.testing.assert_allclose([found["center_xCen"], found["center_yCen"]], [101.5, 88.25], atol=0.15)
    _, found = loop(fitCenter(), frame=np.ones((30, 30)))
    assert np.isnan(found["center_R"])
    with pytest.raises(ValueError, match="percentile from 0 to 100"):
        fitCenter(threshold=120)
