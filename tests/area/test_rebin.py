"""Means of blocks against plain sums, fractional blocks, pixels that do not count."""

from __future__ import annotations

import numpy as np
import pytest

from detcore.area.images.rebin import rebin

RNG = np.random.default_rng(5)


def test_whole_blocks_are_means():
    values = RNG.normal(size=(4, 6, 8))
    np.testing.assert_allclose(rebin(values, (2, 3, 2)), values.reshape(2, 2, 3, 2, 2, 4).mean(axis=(1, 3, 5)))


def fractional(values, size):
    """Cut an axis of n into n * size parts and average n of them: exact shares."""
    return np.repeat(values, size, axis=-1).reshape(*values.shape[:-1], size, values.shape[-1]).mean(axis=-1)


@pytest.mark.parametrize("size", [1, 3, 5, 7])
def test_fractional_blocks_share_pixels(size):
    values = RNG.normal(size=(3, 7))
    found = rebin(values, (3, size))
    np.testing.assert_allclose(found, fractional(values, size))
    np.testing.assert_allclose(found.mean(), values.mean())


def test_bad_pixels_do_not_count_and_empty_blocks_are_nan():
    values = np.arange(8.0).reshape(2, 4)
    values[0, 0] = np.nan
    good = np.ones((2, 4), bool)
    good[:, 2:] = False
    np.testing.assert_allclose(rebin(values, (1, 2), good), [[(1 + 4 + 5) / 3, np.nan]])
    assert np.isnan(rebin(np.full((3, 7), np.nan), (1, 3))).all()
    edge = np.ones((1, 7))
    edge[0, 3:] = np.nan  # the second of two blocks of 3.5 begins in a bad pixel
    np.testing.assert_allclose(rebin(edge, (1, 2)), [[1, np.nan]])


def test_large_whole_numbers_do_not_overflow():
    assert rebin(np.full((4, 4), 65535, np.uint16), (1, 1)) == 65535


@pytest.mark.parametrize("shape", [(2,), (5, 4), (0, 4), (2, 2, 2)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="rebin: expected 2 sizes"):
        rebin(np.zeros((4, 4)), shape)
