"""How much of an image is explained by rings around a point."""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def explained(values, x, y, centre_x, centre_y, width, bins):  # type: ignore[no-untyped-def]
    """Return the sum of squares that the radial profile explains, and how many of its bins have pixels.

    A pixel is shared by the two bins that it lies between, so that the answer changes smoothly with the centre.

    Parameters
    ----------
    values, x, y
        (pixel,) float32: value (of mean 0), column, row.
    centre_x, centre_y
        px.
    width
        Of a bin, px.
    bins
        Number of bins; pixels beyond the last are left out.
    """
    sums, counts = np.zeros(bins + 1), np.zeros(bins + 1)
    for pixel in range(len(values)):
        dx, dy = x[pixel] - centre_x, y[pixel] - centre_y
        place = math.sqrt(dx * dx + dy * dy) / width
        at = int(place)
        if at < bins:
            part = place - at
            sums[at] += values[pixel] * (1.0 - part)
            sums[at + 1] += values[pixel] * part
            counts[at] += 1.0 - part
            counts[at + 1] += part
    total, used = 0.0, 0
    for at in range(bins + 1):
        if counts[at] > 0.5:
            total += sums[at] * sums[at] / counts[at]
            used += 1
    return total, used
