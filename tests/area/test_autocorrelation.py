"""Autocorrelations against double loops: masks, invalid pixels, no wrapping, empty shifts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from detcore.area.images.autocorrelation import (
    RadialProfile,
    autocorrelation,
    illumination,
    masked_autocorrelation,
)

RNG = np.random.default_rng(4)


def plainly(image, good, reach):
    """Sum over pixel pairs, shift by shift."""
    values = np.where(good, image, 0.0)
    mask = good.astype(float)
    out = np.full((2 * reach[0], 2 * reach[1]), np.nan)
    ny, nx = image.shape
    for row in range(2 * reach[0]):
        for column in range(2 * reach[1]):
            dy, dx = row - reach[0], column - reach[1]
            here = (slice(max(0, -dy), ny - max(0, dy)), slice(max(0, -dx), nx - max(0, dx)))
            there = (slice(max(0, dy), ny - max(0, -dy)), slice(max(0, dx), nx - max(0, -dx)))
            pairs = (mask[here] * mask[there]).sum()
            below = (values[here] * mask[there]).sum() * (mask[here] * values[there]).sum()
            if pairs and below:
                out[row, column] = (values[here] * values[there]).sum() * pairs / below
    return out


def test_against_pairs_of_pixels():
    image = RNG.gamma(1, 5, (9, 12))
    image[4, 5] = np.nan
    good = RNG.random((9, 12)) < 0.8
    good[0] = good[-1] = good[:, 0] = good[:, -1] = True
    found = masked_autocorrelation(image, good, (6, 11))
    np.testing.assert_allclose(found, plainly(np.nan_to_num(image), good & ~np.isnan(image), (6, 11)), rtol=1e-9)


def test_no_structure_gives_one_for_every_mask():
    good = np.zeros((30, 40), bool)
    good[3:9, 4:30], good[20:28, 10:15] = True, True
    found = masked_autocorrelation(np.full((30, 40), 1e-4), good)
    known = ~np.isnan(found)
    assert found.shape == (2 * 24, 2 * 25)  # of the box around the mask
    np.testing.assert_allclose(found[known], 1, rtol=1e-6)
    assert not known.all()  # some shifts have no pair of pixels


def test_nothing_selected_is_an_error():
    with pytest.raises(ValueError, match="selects no pixel"):
        masked_autocorrelation(np.ones((3, 3)), np.zeros((3, 3), bool))


def test_sum_of_products_is_scipys():
    image = RNG.normal(size=(7, 10))
    away = image - image.mean()
    np.testing.assert_allclose(autocorrelation(image), signal.correlate2d(away, away), atol=1e-12)
    good = np.ones((7, 10), bool)
    good[2, 3] = False
    image[2, 3] = 1e6
    away = np.where(good, image - image[good].mean(), 0)
    np.testing.assert_allclose(autocorrelation(image, good), signal.correlate2d(away, away), atol=1e-9)


def test_the_profile_is_centred_on_shift_zero():
    rows, columns = np.indices((21, 31))
    radius = np.hypot(rows - 10, columns - 15)
    profile = RadialProfile((21, 31), 1.0)
    found = profile.of(np.exp(-radius))
    assert np.argmax(found) == 0
    for number in range(len(found)):
        step = profile.radius[0] * 2
        ring = (radius >= number * step) & (radius < (number + 1) * step)
        if number == len(found) - 1:
            ring |= radius == radius.max()
        np.testing.assert_allclose(found[number], np.exp(-radius)[ring].mean())
    fine = RadialProfile((21, 31), 0.1).of(np.ones((21, 31)))
    assert np.isnan(fine).any()
    np.testing.assert_allclose(fine[~np.isnan(fine)], 1)
    with pytest.raises(ValueError, match="resolution above 0"):
        RadialProfile((3, 3), 0)


def test_illumination_is_smooth_and_one_on_average():
    rows, columns = np.indices((80, 90))
    light = np.exp(-((rows - 40) ** 2 + (columns - 30) ** 2) / 5000)
    speckles = light * RNG.gamma(5, 1, light.shape)
    good = RNG.random(light.shape) < 0.9
    speckles[~good] = 1e9
    found = illumination(speckles, good, sigma=8)
    np.testing.assert_allclose(found[good].mean(), 1)
    ratio = found / light
    inner = ratio[15:-15, 15:-15]
    assert inner.std() / inner.mean() < 0.08
