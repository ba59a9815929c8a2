"""Azimuthal averages: plain NumPy by the formulas of the note, masked and empty bins, sectors, units, pyFAI's names."""

from __future__ import annotations

import math

import numpy as np
import pytest

from detcore.area.detector import Detector
from detcore.area.functions import DetObject, ROIFunc, azav_pyfai, azimuthalBinning

RNG = np.random.default_rng(2)
SHAPE = (60, 80)
PIXEL = 200.0  # um
X, Y = np.meshgrid(np.arange(80) * PIXEL, np.arange(60) * PIXEL)
CENTER = (37.3 * PIXEL, 22.8 * PIXEL)
LAM = 12.398419843320026 / 9.5


def loop(*funcs, frame, bad=(), **facts):
    mask = np.zeros(SHAPE, np.uint32)
    for place in bad:
        mask[place] = 2
    facts = {"shape": SHAPE, "pixel_mask": mask, "pixel_size": (PIXEL * 1e-6, PIXEL * 1e-6)} | facts
    det = DetObject("d", Detector(**facts), 1)
    for func in funcs:
        det.addFunc(func)
    det.getData(frame)
    det.processFuncs()
    return det, det.results()


def angles(z=0.0, tx=0.0, ty=0.0, distance=40.0):
    """theta, phi, q and (L / r)^3 of each pixel, straight from the note; lengths in mm."""
    tx, ty = math.radians(tx), math.radians(ty)
    big_a, big_b, big_c = -math.sin(ty) * math.cos(tx), -math.sin(tx), -math.cos(ty) * math.cos(tx)
    c = distance + (np.mean(z) - z) / 1e3
    dx = X / 1e3 - (CENTER[0] / 1e3 + c * math.tan(ty))
    dy = Y / 1e3 - (CENTER[1] / 1e3 - c * math.tan(tx))
    r = np.sqrt(dx**2 + dy**2 + c**2)
    forward = big_a * dx + big_b * dy - big_c * c
    theta = np.arccos(forward / r)
    cosine = ((big_a**2 + big_c**2) * dy - big_a * big_b * dx + big_b * big_c * c) / np.sqrt(
        (big_a**2 + big_c**2) * (r**2 - forward**2)
    )
    phi = np.arccos(np.clip(cosine, -1, 1))
    phi = np.where(CENTER[0] > X, 2 * math.pi - phi, phi)
    return theta, phi, 4 * math.pi / LAM * np.sin(theta / 2), (c / r) ** 3


def expected(frame, good, q, phi, weight, edges, nphi):
    """One bin after the other."""
    width = 2 * math.pi / nphi
    out, n = np.full((nphi, len(edges) - 1), np.nan), np.zeros((nphi, len(edges) - 1), int)
    for sector in range(nphi):
        away = np.abs((phi - sector * width + math.pi) % (2 * math.pi) - math.pi)
        for number in range(len(edges) - 1):
            inside = good & (q >= edges[number]) & (q < edges[number + 1]) & (away < width / 2)
            n[sector, number] = inside.sum()
            if inside.any():
                out[sector, number] = (frame / weight)[inside].mean()
    return out, n


@pytest.mark.parametrize(
    ("phi_bins", "tx", "ty", "plane", "curved"),
    [(1, 0, 0, 0, False), (6, 0, 0, 1, False), (4, 3, -5, 0.3, False), (3, 0, 2, 1, True)],
)
def test_against_the_formulas(phi_bins, tx, ty, plane, curved):
    frame = RNG.poisson(20, SHAPE).astype(np.float32)
    frame[10, 10] = np.nan
    bad = [(slice(20, 25), slice(30, 45)), (0, 0)]
    z = (X / 10) if curved else None
    func = azimuthalBinning(center=CENTER, dis_to_sam=40, qbin=0.05, phiBins=phi_bins, tx=tx, ty=ty, Pplane=plane)
    facts = {"x": X, "y": Y, "z": z} if curved else {}
    det, found = loop(func, frame=frame, bad=bad, **facts)
    theta, phi, q, solid = angles(0.0 if z is None else z, tx, ty)
    kept = (1 - plane) * (1 - (np.sin(phi) * np.sin(theta)) ** 2) + plane * (1 - (np.cos(phi) * np.sin(theta)) ** 2)
    good = ~np.isnan(frame)
    for place in bad:
        good[place] = False
    wanted, n = expected(frame, good, q, phi, solid / solid.max() * kept, det.azav.qbins, phi_bins)
    assert found["azav_azav"].shape == (phi_bins, det.azav.nq)
    np.testing.assert_array_equal(found["azav_n_valid"], n)
    np.testing.assert_allclose(found["azav_azav"], wanted, rtol=2e-5)
    assert n[0, 0] or phi_bins > 1  # the bins begin where the pixels do


def test_masked_pixels_are_in_no_bin():
    frame = np.full(SHAPE, 7.0, np.float32)
    frame[:, 40:] = 1e6
    func = azimuthalBinning(center=CENTER, dis_to_sam=40, qbin=0.05, geomCorr=False, polCorr=False)
    det, found = loop(func, frame=frame, bad=[(slice(None), slice(40, None))])
    valid = found["azav_n_valid"] > 0
    np.testing.assert_allclose(found["azav_azav"][valid], 7)
    assert np.isnan(found["azav_azav"][~valid]).all()
    assert found["azav_n_valid"].sum() == det.azav.Cake_norm.sum() == 60 * 40
    np.testing.assert_allclose(found["azav_error"][valid], np.sqrt(7 / found["azav_n_valid"][valid]), rtol=1e-6)


def test_thresholds_leave_pixels_out_of_both_sums():
    frame = RNG.normal(10, 5, SHAPE).astype(np.float32)
    noise = RNG.uniform(1, 3, SHAPE)
    one = {"center": CENTER, "qbin": [0, 50], "geomCorr": False, "polCorr": False}
    det, found = loop(
        azimuthalBinning(**one, thresADU=5, thresADUhigh=15),
        azimuthalBinning(**one, thresRms=3, name="rms"),
        azimuthalBinning(**one, thresADU=5, thresZero=True, name="zero"),
        azimuthalBinning(**one, square=True, name="square"),
        azimuthalBinning(**one, darkImg=np.full(SHAPE, 2.0), gainImg=np.full(SHAPE, 4.0), name="dark"),
        frame=frame,
        noise=noise,
    )
    exact = frame.astype(np.float64)
    between, above = exact[(frame >= 5) & (frame <= 15)], exact[frame >= 3 * noise]
    assert found["azav_n_valid"] == between.size
    np.testing.assert_allclose(found["azav_azav"], [[between.mean()]], rtol=1e-6)
    np.testing.assert_allclose(found["rms_azav"], [[above.mean()]], rtol=1e-6)
    np.testing.assert_allclose(found["zero_azav"], [[np.where(exact < 5, 0, exact).mean()]], rtol=1e-6)
    np.testing.assert_allclose(found["square_azav"], [[(exact**2).mean()]], rtol=1e-6)
    np.testing.assert_allclose(found["dark_azav"], [[(exact.mean() - 2) / 4]], rtol=1e-5)
    np.testing.assert_array_equal(det.evt.dat, frame)


def test_bins_of_radius_are_um_and_edges_of_sectors_are_edges():
    frame = RNG.poisson(5, SHAPE).astype(np.float32)
    edges = [0.0, 1.0, 2.5]
    func = azimuthalBinning(center=CENTER, rbin=[0, 2000, 4000], phiBins=edges, geomCorr=False, polCorr=False)
    det, found = loop(func, frame=frame)
    radius = np.hypot(X - CENTER[0], Y - CENTER[1])
    _, phi, _, _ = angles(distance=100)
    for sector in range(2):
        for number, (low, high) in enumerate([(0, 2000), (2000, 4000)]):
            inside = (radius >= low) & (radius < high) & (phi >= edges[sector]) & (phi < edges[sector + 1])
            np.testing.assert_allclose(found["azav_azav"][sector, number], frame[inside].mean(), rtol=1e-6)
    saved = det.params_as_dict()
    assert saved["azav__azav_rbinsbound"].tolist() == [1000, 3000]
    assert saved["azav__azav_phiVec"].tolist() == edges


def test_inside_of_a_region_it_knows_where_the_pixels_are():
    frame = RNG.poisson(5, SHAPE).astype(np.float32)
    roi = ROIFunc(ROI=[[5, 30], [10, 70]])
    edges = np.arange(0, 2, 0.1)
    roi.addFunc(azimuthalBinning(center=CENTER, dis_to_sam=40, qbin=edges))
    mask = np.zeros(SHAPE)
    mask[5:30, 10:70] = 1
    whole = azimuthalBinning(center=CENTER, dis_to_sam=40, qbin=edges, userMask=mask)
    z = X / 20
    _, found = loop(roi, whole, frame=frame, x=X, y=Y, z=z)
    np.testing.assert_array_equal(found["ROI_azav_n_valid"], found["azav_n_valid"])
    ratio = (found["ROI_azav_azav"] / found["azav_azav"])[found["azav_n_valid"] > 0]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)  # the largest solid angle of each is 1


def test_what_is_missing_is_said():
    frame = np.ones(SHAPE)
    with pytest.raises(ValueError, match=r"azav: center is the \(x, y\) of the beam in um"):
        azimuthalBinning()
    with pytest.raises(ValueError, match="positions of the pixels are not known"):
        loop(azimuthalBinning(center=CENTER), frame=frame, pixel_size=(math.nan, math.nan))
    with pytest.raises(ValueError, match="no pixel is good"):
        loop(azimuthalBinning(center=CENTER), frame=frame, bad=[...])
    with pytest.raises(ValueError, match="thresRms needs the noise"):
        loop(azimuthalBinning(center=CENTER, thresRms=3), frame=frame)
    for wrong, what in (
        ({"qbin": 0}, "choose another width"),
        ({"phiBins": 0}, "phiBins"),
        ({"phiBins": [0, 9]}, "circle"),
    ):
        with pytest.raises(ValueError, match=what):
            loop(azimuthalBinning(center=CENTER, **wrong), frame=frame)


# ---- pyFAI's names


def test_pyfai_reference_of_a_real_powder(shared):
    folder = shared / "data" / "area"
    reference = np.load(folder / "ceo2_pilatus1m_pyfai_ref.npz")
    fabio = pytest.importorskip("fabio")
    image = fabio.open(str(folder / "ceo2_pilatus1m.tif")).data[::-1].astype(np.float32)
    det = DetObject("p", Detector(name="p", type="pilatus", shape=image.shape, underload=0), 1)
    det.addFunc(
        azav_pyfai(
            poni_file=folder / "ceo2_pilatus1m.poni", polarization_factor=0.99, npts=1000, int_units="q_A^-1",
            azav_kwargs={"radial_range": (0.3, 8.0)},
        )
    )  # fmt: skip
    det.getData(image)
    found = det.processFuncs()["pyfai"]
    assert found["azav"].shape == (1000,)
    np.testing.assert_allclose(found["q"], reference["q"], rtol=1e-3)
    busy = reference["cnt_nosplit"] > 300
    assert busy.sum() > 500
    np.testing.assert_allclose(found["azav"][busy], reference["I_nosplit"][busy], rtol=0.02)
    assert np.median(np.abs(found["azav"] / reference["I_nosplit"] - 1)[busy]) < 2.5e-3


AI = {"dist": 0.04, "poni1": 0.0045, "poni2": 0.0075, "wavelength": 1.3e-10}


def test_one_dimension_unless_two_are_asked_for():
    frame = RNG.poisson(20, SHAPE).astype(np.float32)
    funcs = [
        azav_pyfai(ai_kwargs=AI, npts=50),
        azav_pyfai(ai_kwargs=AI, npts=50, npts_az=8, return2d=True, name="two"),
        azav_pyfai(ai_kwargs=AI, npts=50, return2d="False", name="text"),
        azav_pyfai(ai_kwargs=AI, npts=50, int_units="r_mm", name="mm"),
        azav_pyfai(ai_kwargs=AI, npts=50, int_units="q_nm^-1", name="nm", azav_kwargs={"radial_range": (5, 10)}),
        azav_pyfai(ai_kwargs=AI, npts=50, thres=15, name="cut"),
    ]
    _, found = loop(*funcs, frame=frame, bad=[(3, slice(None))])
    assert found["pyfai_azav"].shape == found["text_azav"].shape == (50,)
    assert found["two_azav"].shape == (8, 50)
    assert found["two_az"].tolist() == (np.arange(8) * 45 - 157.5).tolist()
    assert found["pyfai_n_valid"].sum() == found["two_n_valid"].sum() == 59 * 80
    two_theta = found["pyfai_q"][-1]
    np.testing.assert_allclose(found["mm_q"][-1], 40 * np.tan(np.radians(two_theta)), rtol=0.02)
    assert 5 < found["nm_q"][0] < found["nm_q"][-1] < 10
    assert found["cut_n_valid"].sum() == (frame[np.arange(60) != 3] >= 15).sum()


def test_a_wrong_call_is_refused():
    for wrong in ({}, {"ai_kwargs": AI, "int_units": "q"}, {"ai_kwargs": AI, "azav_kwargs": {"method": "csr"}}):
        with pytest.raises(ValueError, match="pyfai: give poni_file or ai_kwargs"):
            azav_pyfai(**wrong)
