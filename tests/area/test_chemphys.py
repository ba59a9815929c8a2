"""The angles of LCLS small-data tools against our own geometry where both say the same, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from detcore.area.images.chemphys import angles
from detcore.area.images.geometry import Geometry

ROWS, COLUMNS = np.indices((40, 50), np.float64)
PIXEL = 100.0  # um
CENTRE = (22.0, 17.0)


@pytest.fixture(scope="module")
def flat():
    geometry = Geometry(x=CENTRE[0], y=CENTRE[1], distance=0.08, energy=9.5, pixel_size=(1e-4, 1e-4))
    found = angles(
        COLUMNS * PIXEL,
        ROWS * PIXEL,
        (CENTRE[0] * PIXEL, CENTRE[1] * PIXEL),
        dis_to_sam=80.0,
        energy=9.5,
        polarization=1,
    )
    return geometry, found


def test_without_turns_it_is_the_plain_geometry(flat):
    geometry, found = flat
    np.testing.assert_allclose(np.degrees(found.theta), geometry.two_theta((40, 50)), atol=1e-5)
    np.testing.assert_allclose(found.q, geometry.q((40, 50)), atol=1e-6)
    np.testing.assert_allclose(found.solid_angle, geometry.solid_angle((40, 50)), rtol=1e-12)
    np.testing.assert_allclose(found.radius, geometry.radius((40, 50)) * PIXEL, rtol=1e-12)


def test_polarisation_along_y(flat):
    """P = 1 weighs 1 - (cos(phi) sin(theta))^2 with phi from +y."""
    geometry, found = flat
    expected = 1 - (np.cos(found.phi) * np.sin(found.theta)) ** 2
    np.testing.assert_allclose(found.polarization, expected, rtol=1e-12)
    assert found.correction == pytest.approx(found.solid_angle * found.polarization)
    other = geometry.polarization((40, 50), -1.0)  # the field along y
    np.testing.assert_allclose(found.polarization, other, atol=1e-6)


def test_the_azimuth_covers_the_circle(flat):
    _, found = flat
    far = found.radius > 0
    assert found.phi[far].min() >= 0
    assert found.phi.max() < 2 * math.pi
    steps = np.histogram(found.phi[far], 8, (0, 2 * math.pi))[0]
    assert (steps > 50).all()
    assert found.phi[39, 22] == pytest.approx(0, abs=1e-6)  # along +y
    assert found.phi[0, 22] == pytest.approx(math.pi, abs=1e-6)


@pytest.mark.parametrize("ty", [-4.0, 3.0])
def test_a_detector_turned_by_ty_has_its_beam_at_the_centre(ty):
    found = angles(COLUMNS * PIXEL, ROWS * PIXEL, (CENTRE[0] * PIXEL, CENTRE[1] * PIXEL), dis_to_sam=80.0, ty=ty)
    assert np.unravel_index(found.theta.argmin(), found.theta.shape) == (17, 22)
    assert found.theta[17, 22] == pytest.approx(0, abs=1e-6)
    assert np.isfinite(found.phi).all()


def test_the_sign_of_tx_is_that_of_the_original():
    """Its formulas move the beam away from the centre by twice the turn; `Geometry` does not."""
    found = angles(COLUMNS * PIXEL, ROWS * PIXEL, (CENTRE[0] * PIXEL, CENTRE[1] * PIXEL), dis_to_sam=80.0, tx=3.0)
    assert math.degrees(found.theta[17, 22]) == pytest.approx(6.0)


def test_pixels_nearer_to_the_sample():
    z = np.zeros((40, 50))
    z[:20], z[20:] = 1000.0, -1000.0
    near = angles(COLUMNS * PIXEL, ROWS * PIXEL, (0.0, 0.0), z=z, dis_to_sam=80.0)
    assert np.tan(near.theta[0, 49]) == pytest.approx(4.9 / 79.0)
    assert near.solid_angle[0, 0] == pytest.approx(1)


def test_impossible_values():
    with pytest.raises(ValueError, match="dis_to_sam is 0"):
        angles([0.0], [0.0], (0, 0), dis_to_sam=0)
    with pytest.raises(ValueError, match="one shape"):
        angles([0.0, 1.0], [0.0], (0, 0))
