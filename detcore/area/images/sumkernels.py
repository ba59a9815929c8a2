"""Loop over the pixels of one frame that feeds a sum."""

from __future__ import annotations

import numpy as np
from numba import njit

PLAIN, SQUARE, HITS = 0, 1, 2  # what is added


@njit(cache=True, nogil=True)
def add_frame(frame, low, what, maximum, total, n):  # type: ignore[no-untyped-def]
    """Add a frame; NaN is left out.

    Parameters
    ----------
    frame
        (pixel,) float32.
    low
        Below it a value counts as 0; -inf: none does.
    what
        `PLAIN`, `SQUARE` or `HITS` (1 for values above 0).
    maximum
        Keep the largest value instead of the sum.
    total
        (pixel,) float64, changed.
    n
        (pixel,) int64, changed: frames with a value.
    """
    for pixel in range(frame.size):
        value = np.float64(frame[pixel])
        if np.isnan(value):
            continue
        if value < low:
            value = np.float64(0.0)
        if what == HITS:
            value = np.float64(1.0) if value > 0.0 else np.float64(0.0)
        elif what == SQUARE:
            value *= value
        n[pixel] += 1
        if not maximum:
            total[pixel] += value
        else:
            total[pixel] = max(total[pixel], value)
