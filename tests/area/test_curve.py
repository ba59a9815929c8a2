"""Lines that are shifted: against numpy.roll, fractions, both axes."""

from __future__ import annotations

import numpy as np
import pytest

from detcore.area.images.curve import shifts, straightened

RNG = np.random.default_rng(6)
CURVE = [0.02, -0.3, 4.0]


@pytest.mark.parametrize("method", ["roll", "vectorized"])
def test_whole_pixels_as_numpy_rolls(method):
    image = RNG.integers(0, 99, (20, 30)).astype(np.uint16)
    move = np.polyval(CURVE, np.arange(30))
    move = np.rint(move - move.min()).astype(int)
    wanted = np.stack([np.roll(image[:, x], -move[x]) for x in range(30)], axis=1)
    found = straightened(image, CURVE, axis=1, method=method)
    assert found.dtype == image.dtype
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(straightened(image.T, CURVE, axis=0, method=method), wanted.T)


def test_fractions_are_interpolated_and_nothing_enters():
    rows = np.arange(40.0)[:, None] * np.ones(10)
    found = straightened(rows, [0.25, 0], axis=1, method="ndimage")
    wanted = rows + 0.25 * np.arange(10)
    inside = wanted <= 39
    np.testing.assert_allclose(found[inside], wanted[inside])
    assert np.isnan(found[~inside]).all()


def test_a_bent_line_becomes_straight():
    columns = np.arange(50)
    image = np.zeros((60, 50))
    image[np.rint(10 + shifts(CURVE, 50)).astype(int), columns] = 1
    assert straightened(image, CURVE, axis=1).sum(axis=1).argmax() == 10


@pytest.mark.parametrize(
    "wrong",
    [{"coefficients": []}, {"coefficients": [np.nan]}, {"axis": 2}, {"method": "x"}, {"image": np.zeros((2, 3, 4))}],
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=r"expected|straightened in an image"):
        straightened(**({"image": np.zeros((4, 4)), "coefficients": CURVE} | wrong))
