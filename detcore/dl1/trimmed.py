"""A straight line through points of which some do not belong to it (least trimmed squares), for pulse times.

Rousseeuw and Van Driessen, Computing LTS regression for large data sets, Data Min. Knowl. Disc. 12 (2006) 29.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

STARTS, SHARE, STEPS, CONVERGED = 5, 0.85, 20, 1e-12  # as in ctapipe
FLAT = 4.440892098500626e-16  # least determinant of the normal equations, as in ctapipe


@njit(cache=True, nogil=True, error_model="numpy")
def select_smallest(values, n, k):  # type: ignore[no-untyped-def]
    """Return the k-th smallest (from 0) of the first n values, which are put into another order (quickselect)."""
    low, high = 0, n - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return values[k]


@njit(cache=True, nogil=True, error_model="numpy")
def line(x, y, use, n):  # type: ignore[no-untyped-def]
    """Fit a line to the first n points with `use`; nan if it would be upright.

    Returns
    -------
    (float, float, float)
        Slope, intercept, sum of squared residuals.
    """
    m = 0
    sx = sy = 0.0
    for k in range(n):
        if use[k]:
            m += 1
            sx += x[k]
            sy += y[k]
    if m < 2:
        return np.nan, np.nan, np.nan
    sx, sy = sx / m, sy / m
    sxx = sxy = 0.0
    for k in range(n):
        if use[k]:
            sxx += (x[k] - sx) ** 2
            sxy += (x[k] - sx) * (y[k] - sy)
    if not m * sxx >= FLAT:  # determinant of the normal equations, and its limit in ctapipe
        return np.nan, np.nan, np.nan
    slope = sxy / sxx
    intercept = sy - slope * sx
    error = 0.0
    for k in range(n):
        if use[k]:
            error += (y[k] - slope * x[k] - intercept) ** 2
    return slope, intercept, error


@njit(cache=True, nogil=True, error_model="numpy")
def trimmed_line(x, y, n, pairs, use, squared, work):  # type: ignore[no-untyped-def]
    """Fit a line to the 85 percent of the points that fit best (least trimmed squares).

    From a few pairs of points: fit, keep the points with the smallest residuals, and again until nothing changes; the
    best of these. The pairs only depend on the number of points, so that an image gives the same whatever is around it.

    Parameters
    ----------
    x, y
        (point,) the first `n` are used.
    pairs
        (start, 2) int64, the points to start from; without rows, they are drawn here.
    use, squared, work
        (point,) bool, float64, float64, for work.

    Returns
    -------
    (float, float)
        Slope and intercept; nan where there are too few points.
    """
    best, slope, intercept = np.inf, np.nan, np.nan
    if n < 2:
        return slope, intercept
    keep = int(SHARE * n)
    state = np.uint64(n)
    for start in range(STARTS if len(pairs) == 0 else len(pairs)):
        if len(pairs):
            first, second = pairs[start, 0], pairs[start, 1]
        else:  # splitmix64: Steele, Lea, Flood, OOPSLA 2014
            first = second = np.int64(0)
            for which in range(2):
                state += np.uint64(0x9E3779B97F4A7C15)
                z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                z ^= z >> np.uint64(31)
                first, second = second, np.int64(((z >> np.uint64(32)) * np.uint64(n - which)) >> np.uint64(32))
            second += second >= first
        for k in range(n):
            use[k] = (k == first) or (k == second)  # noqa: PLR1714
        a, b, error = line(x, y, use, n)
        if math.isnan(a):
            continue
        for _ in range(STEPS):
            for k in range(n):
                squared[k] = work[k] = (y[k] - a * x[k] - b) ** 2
            if keep < 1:
                a, error = np.nan, np.nan
                break
            limit = select_smallest(work, n, keep - 1)
            room = keep
            for k in range(n):
                use[k] = squared[k] < limit
                room -= use[k]
            for k in range(n):
                if room and squared[k] == limit:
                    use[k] = True
                    room -= 1
            before = error
            a, b, error = line(x, y, use, n)
            if math.isnan(a) or abs(before - error) < CONVERGED:
                break
        if error < best:
            best, slope, intercept = error, a, b
    return slope, intercept
