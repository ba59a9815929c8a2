"""A straight line through points of which some do not belong to it (least trimmed squares), for pulse times.

Rousseeuw and Van Driessen, Computing LTS regression for large data sets, Data Min. Knowl. Disc. 12 (2006) 29.
"""

from __future__ import annotations

import numpy as np
from numba import njit

STARTS, SHARE, STEPS = 5, 0.85, 20  # as in ctapipe
FLAT = 4.440892098500626e-16  # least determinant of the normal equations, as in ctapipe


@njit(cache=True, nogil=True, error_model="numpy")
def threshold(bits, n, keep, guess):  # type: ignore[no-untyped-def]
    """Find where the `keep` smallest values end, by halving: counting is fast, sorting is not.

    Parameters
    ----------
    bits
        (point,) int64, the bits of numbers of which none is negative: they have the order of the numbers.
    n, keep
        How many there are and how many are kept, at least one less.
    guess
        Where to look first, for instance the last answer.

    Returns
    -------
    (int, int)
        A limit, and how many values that equal it are kept beside all that are below.
    """
    low = high = bits[0]
    for k in range(n):
        low, high = min(low, bits[k]), max(high, bits[k])
    middle = guess
    high += 1
    while high - low > 1:
        if not low < middle < high:
            middle = low + (high - low) // 2
        below = 0
        for k in range(n):
            below += bits[k] < middle
        if below == keep:
            return middle, 0
        if below < keep:
            low = middle
        else:
            high = middle
        middle = low
    below = 0
    for k in range(n):
        below += bits[k] < low
    return low, keep - below


@njit(cache=True, nogil=True)
def four(values, at):  # type: ignore[no-untyped-def]
    """Return four values from `at` on; such are added side by side, as one addition waits for the one before."""
    return values[at], values[at + 1], values[at + 2], values[at + 3]


@njit(cache=True, nogil=True)
def plus(a, b):  # type: ignore[no-untyped-def]
    """Add four numbers to four."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]


@njit(cache=True, nogil=True)
def times(a, b):  # type: ignore[no-untyped-def]
    """Multiply four numbers by four."""
    return a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]


@njit(cache=True, nogil=True, error_model="numpy")
def line(x, y, weights, n):  # type: ignore[no-untyped-def]
    """Fit a line to those of the first n points with weight 1, not 0: slope and intercept, nan if it is upright."""
    m = sx = sy = sxx = sxy = (0.0, 0.0, 0.0, 0.0)
    for k in range(0, n - 3, 4):
        w, some_x, some_y = four(weights, k), four(x, k), four(y, k)
        wx = times(w, some_x)
        m, sx, sy = plus(m, w), plus(sx, wx), plus(sy, times(w, some_y))
        sxx, sxy = plus(sxx, times(wx, some_x)), plus(sxy, times(wx, some_y))
    for k in range(n // 4 * 4, n):
        w, wx = (weights[k], 0.0, 0.0, 0.0), (weights[k] * x[k], 0.0, 0.0, 0.0)
        m, sx, sy = plus(m, w), plus(sx, wx), plus(sy, (weights[k] * y[k], 0.0, 0.0, 0.0))
        sxx, sxy = plus(sxx, (wx[0] * x[k], 0.0, 0.0, 0.0)), plus(sxy, (wx[0] * y[k], 0.0, 0.0, 0.0))
    points, all_x, all_y = sum(m), sum(sx), sum(sy)
    determinant = points * sum(sxx) - all_x * all_x
    if not determinant >= FLAT:
        return np.nan, np.nan
    slope = (points * sum(sxy) - all_x * all_y) / determinant
    return slope, (all_y - slope * all_x) / points


@njit(cache=True, nogil=True, error_model="numpy")
def trimmed_line(x, y, n, pairs, weights, squared):  # type: ignore[no-untyped-def]
    """Fit a line to the 85 percent of the points that fit best (least trimmed squares).

    From a few pairs of points: fit, keep the points with the smallest residuals, and again until these stay the same;
    the best of these. The pairs only depend on the number of points, so that an image gives the same whatever is around
    it.

    Parameters
    ----------
    x, y
        (point,) the first `n` are used; their means should be near zero.
    pairs
        (start, 2) int64, the points to start from; without rows, they are drawn here.
    weights, squared
        (point,) float64, for work.

    Returns
    -------
    (float, float)
        Slope and intercept; nan where there are too few points.
    """
    best, slope, intercept = np.inf, np.nan, np.nan
    keep = int(SHARE * n)
    if keep < 2:
        return slope, intercept
    state = np.uint64(n)
    bits, limit = squared.view(np.int64), np.int64(0)
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
        apart = x[second] - x[first]
        if not apart * apart >= FLAT:
            continue
        a = (y[second] - y[first]) / apart
        b = y[first] - a * x[first]
        for k in range(n):
            weights[k] = 0.0
        for _ in range(STEPS):
            for k in range(n):
                apart = y[k] - a * x[k] - b
                squared[k] = apart * apart
            limit, equal = threshold(bits, n, keep, limit)
            changed = False
            for k in range(n):
                weight = 1.0 if bits[k] < limit else 0.0
                changed |= weight != weights[k]
                weights[k] = weight
            if equal:
                changed = True
                for k in range(n):
                    if bits[k] == limit and equal > 0:
                        weights[k] = 1.0
                        equal -= 1
            if not changed:
                break
            a, b = line(x, y, weights, n)
            if np.isnan(a) or (a == slope and b == intercept):
                break  # upright, or where another start has been
        if np.isnan(a) or (a == slope and b == intercept):
            continue
        error = 0.0
        for k in range(n):
            apart = y[k] - a * x[k] - b
            error += weights[k] * apart * apart
        if error < best:
            best, slope, intercept = error, a, b
    return slope, intercept
