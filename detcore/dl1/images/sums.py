"""Sums over images for each pixel, in compiled loops."""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def add_charges(images, selected, above, count, first, second, bright, survived):  # type: ignore[no-untyped-def]
    """Add images (event, pixel) to sums of each pixel; charges that are no numbers are left out.

    Parameters
    ----------
    images
        (event, pixel) p.e.
    selected
        (event, pixel) bool: survived the cleaning.
    above
        What is bright, p.e.; itself is.
    count, bright, survived
        (pixel,) int64: numbers of charges, of those that are bright, of those that survived.
    first, second
        (pixel,) float64: sum of charges and of their squares.
    """
    for event in range(len(images)):
        for pixel in range(images.shape[1]):
            charge = images[event, pixel]
            there = charge - charge == 0  # finite
            value = np.float64(charge) if there else 0.0
            count[pixel] += there
            first[pixel] += value
            second[pixel] += value * value
            bright[pixel] += charge >= above
            survived[pixel] += selected[event, pixel]


@njit(cache=True, nogil=True)
def add_times(images, times, above, count, first, second):  # type: ignore[no-untyped-def]
    """Add peak times of bright pixels to sums of each pixel; arguments as of `add_charges`, times (event, pixel)."""
    for event in range(len(images)):
        for pixel in range(images.shape[1]):
            if images[event, pixel] >= above:
                time = np.float64(times[event, pixel])
                if math.isfinite(time):
                    count[pixel] += 1
                    first[pixel] += time
                    second[pixel] += time * time
