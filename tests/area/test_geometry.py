"""Geometry against pyFAI, and against formulas written out for single pixels."""

from __future__ import annotations

import logging
import math
import warnings

import numpy as np
import pytest
from pydantic import ValidationError

from detcore.area.images.geometry import HC, Geometry

SHAPE = (5, 7)
PONI = {
    "dist": 0.1, "poni1": 1.2e-4, "poni2": 6e-4, "rot1": 0.1, "rot2": 0.2, "rot3": 0.3,
    "wavelength": 1e-10, "pixel1": 1e-4, "pixel2": 2e-4,
}  # fmt: skip


@pytest.fixture(scope="module")
def pyfai():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detectors = pytest.importorskip("pyFAI.detectors")
        integrator = pytest.importorskip("pyFAI.integrator.azimuthal")
    logging.getLogger("pyFAI").setLevel(logging.ERROR)

    def make(values, shape, orientation=3):
        detector = detectors.Detector(values["pixel1"], values["pixel2"], max_shape=shape, orientation=orientation)
        names = ("dist", "poni1", "poni2", "rot1", "rot2", "rot3", "wavelength")
        return integrator.AzimuthalIntegrator(detector=detector, **{name: values[name] for name in names})

    return make


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("orientation", [1, 2, 3, 4])
def test_angles_and_corrections_agree_with_pyfai(pyfai, orientation):
    theirs = pyfai(PONI, SHAPE, orientation)
    ours = Geometry.from_poni(PONI | {"orientation": orientation}, SHAPE)
    np.testing.assert_allclose(ours.q(SHAPE), theirs.center_array(SHAPE, "q_A^-1"), rtol=1e-12)
    np.testing.assert_allclose(ours.two_theta(SHAPE), theirs.center_array(SHAPE, "2th_deg"), rtol=1e-12)
    chi = np.degrees(theirs.center_array(SHAPE, "chi_rad"))
    np.testing.assert_allclose(ours.azimuth(SHAPE), chi, atol=1e-10)
    np.testing.assert_allclose(ours.solid_angle(SHAPE), theirs.solidAngleArray(SHAPE), rtol=1e-9)
    np.testing.assert_allclose(ours.polarization(SHAPE, 0.9), theirs.polarization(SHAPE, 0.9), rtol=1e-6)


@pytest.mark.parametrize("orientation", [1, 2, 3, 4])
def test_poni_values_come_back(orientation):
    values = PONI | {"orientation": orientation}
    back = Geometry.from_poni(values, SHAPE).to_poni(SHAPE)
    assert back == pytest.approx(values, rel=1e-12)


@pytest.mark.parametrize(("rows", "columns"), [(True, False), (False, True), (True, True)])
def test_flipped_geometry_sees_the_same_in_the_flipped_image(rows, columns):
    geometry = Geometry.from_poni(PONI)
    flipped = geometry.flipped(SHAPE, rows=rows, columns=columns)
    turn = np.s_[:: -1 if rows else 1, :: -1 if columns else 1]
    for name in ("q", "azimuth", "solid_angle", "polarization", "radius"):
        np.testing.assert_allclose(getattr(flipped, name)(SHAPE), getattr(geometry, name)(SHAPE)[turn], atol=1e-9)
    back = flipped.flipped(SHAPE, rows=rows, columns=columns)
    assert back.orientation == 3
    assert (back.x, back.y) == pytest.approx((geometry.x, geometry.y))


def test_the_direct_beam_is_where_q_is_zero_also_with_tilt():
    geometry = Geometry(x=3, y=2, distance=0.1, energy=12, pixel_size=(1e-4, 1e-4), rot1=7, rot2=-4, rot3=30)
    q = geometry.q(SHAPE)
    assert q[2, 3] == pytest.approx(0, abs=1e-9)
    assert q.min() == q[2, 3]


def test_one_pixel_by_hand():
    geometry = Geometry(x=0, y=0, distance=0.2, energy=HC, pixel_size=(1e-4, 2e-4))
    assert geometry.wavelength == pytest.approx(1)
    angle = math.atan(3 * 2e-4 / 0.2)
    assert geometry.two_theta((1, 4))[0, 3] == pytest.approx(math.degrees(angle))
    assert geometry.q((1, 4))[0, 3] == pytest.approx(4 * math.pi * math.sin(angle / 2))
    assert geometry.solid_angle((1, 4))[0, 3] == pytest.approx(math.cos(angle) ** 3)
    # the field lies along x: along x it is seen less
    assert geometry.polarization((1, 4), 1.0)[0, 3] == pytest.approx(math.cos(angle) ** 2)
    assert geometry.polarization((4, 1), 1.0)[3, 0] == pytest.approx(1)
    assert geometry.azimuth((2, 2)).round(6).tolist() == [[0, 0], [90, pytest.approx(math.degrees(math.atan(0.5)))]]


def test_radius_and_azimuth_need_nothing_but_a_centre():
    geometry = Geometry(x=1, y=1)
    assert geometry.radius((3, 3))[0].tolist() == pytest.approx([math.sqrt(2), 1, math.sqrt(2)])
    assert geometry.azimuth((3, 3))[1].tolist() == [-180, 0, 0]
    with pytest.raises(ValueError, match=r"geometry.distance and geometry.pixel_size"):
        geometry.q((3, 3))
    with pytest.raises(ValueError, match="energy is not known"):
        geometry.with_(distance=1, pixel_size=(1e-4, 1e-4)).q((3, 3))


@pytest.mark.parametrize(
    "changes", [{"x": math.nan}, {"distance": -1}, {"energy": 0}, {"orientation": 5}, {"rot1": 90}, {"colour": 1}]
)
def test_impossible_values_are_refused(changes):
    with pytest.raises(ValidationError):
        Geometry.model_validate({"x": 1, "y": 1} | changes)


def test_messages_say_what_is_missing():
    with pytest.raises(ValueError, match="give the shape"):
        Geometry.from_poni(PONI | {"orientation": 2})
    with pytest.raises(ValueError, match="orientation 6"):
        Geometry.from_poni(PONI | {"orientation": 6}, SHAPE)
    with pytest.raises(ValueError, match="expected the shape"):
        Geometry(x=0, y=0).radius((0, 4))
    with pytest.raises(ValueError, match="needs the place of its pixels"):
        Geometry(x=0, y=0).radius((2, 3, 4))


# ---- detectors of modules


class Tiles:
    """Two modules beside each other, the second one turned by half a turn, in an image of (4, 9)."""

    shape = (2, 4, 4)
    pixel_size = (1e-4, 1e-4)
    energy = 12.0

    def __init__(self, turn=((1, 0), (0, 1)), shift=(0.0, 0.0), z=None):
        rows, columns = np.indices((4, 4), np.float64)
        self.iy = np.stack([rows, 3 - rows]).astype(np.int32)
        self.ix = np.stack([columns, 8 - columns]).astype(np.int32)
        # Somewhere within the image pixel: the image is a rounded picture of the places.
        place = np.stack([self.iy.ravel(), self.ix.ravel()], axis=1) * 100.0
        place = place @ np.array(turn) + np.array(shift)
        self.y, self.x = (one.reshape(self.shape) for one in place.T)
        self.z = z


WHERE = {"x": 4.0, "y": 1.5, "distance": 0.05, "energy": 12.0, "pixel_size": (1e-4, 1e-4)}


@pytest.mark.parametrize("turn", [np.eye(2), -np.eye(2), [[0, 1], [1, 0]], [[0, -1], [1, 0]]])
def test_modules_see_what_their_place_in_the_image_sees(turn):
    """Whichever way the axes of the laboratory run, q and azimuth are those of the assembled image."""
    geometry, tiles = Geometry(**WHERE), Tiles(turn, (12_345.0, -777.0))
    q, azimuth = geometry.q((4, 9)), geometry.azimuth((4, 9))
    np.testing.assert_allclose(geometry.q(tiles), q[tiles.iy, tiles.ix], rtol=1e-9)
    np.testing.assert_allclose(geometry.azimuth(tiles), azimuth[tiles.iy, tiles.ix], atol=1e-6)


def test_places_in_the_image_are_enough():
    geometry, tiles = Geometry(**WHERE), Tiles()
    tiles.x = tiles.y = None
    np.testing.assert_allclose(geometry.q(tiles), geometry.q((4, 9))[tiles.iy, tiles.ix], rtol=1e-12)


def test_a_module_nearer_to_the_sample_sees_larger_angles():
    z = np.zeros(Tiles.shape)
    z[1] = 1000.0
    geometry, tiles = Geometry(**WHERE), Tiles(z=z)
    tangent = np.tan(np.radians(geometry.two_theta(tiles)))
    flat = np.tan(np.radians(geometry.two_theta(Tiles())))
    np.testing.assert_allclose(tangent[0] / flat[0], 0.05 / 0.0505, rtol=1e-9)
    np.testing.assert_allclose(tangent[1] / flat[1], 0.05 / 0.0495, rtol=1e-9)
