"""Lattice planes, against pyFAI's tables and against planes counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from detcore.area.images.calibrants import CALIBRANTS, calibrant

THEIRS = {
    name: name for name in ("CeO2", "LaB6", "Si", "AgBh", "Cr2O3", "ZnO", "NaCl", "Au", "Pt", "Ni", "Al", "diamond")
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*THEIRS, "Al2O3"])
def test_spacings_agree_with_pyfai(name):
    theirs = pytest.importorskip("pyFAI.calibrant").get_calibrant("alpha_Al2O3" if name == "Al2O3" else name)
    expected = np.array(theirs.dspacing)[:12]
    found = CALIBRANTS[name].d_spacings(expected[-1] * 0.999)
    assert len(found) == len(expected)
    np.testing.assert_allclose(found, expected, rtol=5e-4)  # they take other editions of the same tables


def test_planes_of_ceria_by_hand():
    planes = [(1, 1, 1), (2, 0, 0), (2, 2, 0), (3, 1, 1), (2, 2, 2), (4, 0, 0), (3, 3, 1), (4, 2, 0)]
    a = CALIBRANTS["CeO2"].a
    expected = [a / math.sqrt(sum(one * one for one in plane)) for plane in planes]
    np.testing.assert_allclose(CALIBRANTS["CeO2"].d_spacings(1.2), expected)


def test_forbidden_planes():
    silicon, a = CALIBRANTS["Si"].d_spacings(1.0), CALIBRANTS["Si"].a
    assert not np.isclose(silicon, a / 2).any()  # (200) and
    assert not np.isclose(silicon, a / math.sqrt(12)).any()  # (222) are extinct in diamond lattices
    ruby, c = CALIBRANTS["Al2O3"].d_spacings(1.0), CALIBRANTS["Al2O3"].c
    assert not np.isclose(ruby, c / 3).any()
    assert np.isclose(ruby, c / 6).any()
    rutile, side = CALIBRANTS["TiO2"].d_spacings(1.0), CALIBRANTS["TiO2"].a
    assert not np.isclose(rutile, side).any()
    assert np.isclose(rutile, side / math.sqrt(2)).any()


def test_layers_of_silver_behenate():
    np.testing.assert_allclose(calibrant("agbh").d_spacings(count=3, d_min=1), 58.38 / np.arange(1, 4))


@pytest.mark.parametrize("name", CALIBRANTS)
def test_spacings_fall_and_differ(name):
    spacings = CALIBRANTS[name].d_spacings(0.6)
    assert len(spacings) >= 5
    assert (np.diff(spacings) < 0).all()
    angles = CALIBRANTS[name].two_theta(1.0)
    assert (np.diff(angles) > 0).all()
    assert angles[-1] < 180


def test_angles_obey_bragg():
    angles = CALIBRANTS["LaB6"].two_theta(1.54, d_min=2)
    np.testing.assert_allclose(1.54, 2 * CALIBRANTS["LaB6"].d_spacings(2) * np.sin(np.radians(angles / 2)))


def test_unknown_names_and_impossible_spacings():
    with pytest.raises(ValueError, match="no calibrant is called 'Kryptonite'; known: CeO2"):
        calibrant("Kryptonite")
    with pytest.raises(ValueError, match="d_min is 0"):
        CALIBRANTS["Au"].d_spacings(0)
