"""A straight line through points of which some do not belong to it (least trimmed squares), for pulse times.

Rousseeuw and Van Driessen, Computing LTS regression for large data sets, Data Min. Knowl. Disc. 12 (2006) 29.
"""

from __future__ import annotations

import numpy as np
from numba import njit

STARTS, SHARE, STEPS = 5, 0.85, 20  # as in ctapipe
FEW = 24  # of which the largest are sorted
FLAT = 4.440892098500626e-16  # least determinant of the normal equations, as in ctapipe


@njit(cache=True, nogil=True, error_model="numpy")
def largest(values, n, m, work):  # type: ignore[no-untyped-def]
    """Return the m-th largest (from 1) of the first n values; `work` is as long as they.

    A few by keeping them sorted: hardly any branch goes astray. Many by quickselect.
    """
    if m <= FEW:
        for k in range(m):
            work[k] = -1.0  # values are squares
        for k in range(n):
            value = values[k]
            if value > work[m - 1]:
                place = m - 1
                while place > 0 and work[place - 1] < value:
                    work[place] = work[place - 1]
                    place -= 1
                work[place] = value
        return work[m - 1]
    for k in range(n):
        work[k] = values[k]
    low, high, wanted = 0, n - 1, n - m
    while low < high:
        pivot = work[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while work[i] < pivot:
                i += 1
            while work[j] > pivot:
                j -= 1
            if i <= j:
                work[i], work[j] = work[j], work[i]
                i += 1
                j -= 1
        if wanted <= j:
            high = j
        elif wanted >= i:
            low = i
        else:
            break
    return work[wanted]


@njit(cache=True, nogil=True, error_model="numpy")
def line(x, y, use, n):  # type: ignore[no-untyped-def]
    """Fit a line to those of the first n points that have `use`: slope and intercept, nan if it would be upright."""
    m = sx = sy = sxx = sxy = 0.0
    for k in range(n):
        w = np.float64(use[k])  # no branch: which points are used is hard to guess
        wx = w * x[k]
        m += w
        sx += wx
        sy += w * y[k]
        sxx += wx * x[k]
        sxy += wx * y[k]
    determinant = m * sxx - sx * sx
    if not determinant >= FLAT:
        return np.nan, np.nan
    slope = (m * sxy - sx * sy) / determinant
    return slope, (sy - slope * sx) / m


@njit(cache=True, nogil=True, error_model="numpy")
def trimmed_line(x, y, n, pairs, use, squared, work):  # type: ignore[no-untyped-def]
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
    use, squared, work
        (point,) bool, float64, float64, for work.

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
            use[k] = False
        for _ in range(STEPS):
            for k in range(n):
                squared[k] = (y[k] - a * x[k] - b) ** 2
            limit = largest(squared, n, n - keep, work)
            kept, changed = 0, False
            for k in range(n):
                inside = squared[k] < limit
                changed |= inside != use[k]
                use[k] = inside
                kept += inside
            if kept < keep:  # several that equal the limit
                changed = True
                for k in range(n):
                    if squared[k] == limit and kept < keep:
                        use[k] = True
                        kept += 1
            if not changed:
                break
            a, b = line(x, y, use, n)
            if np.isnan(a) or (a == slope and b == intercept):
                break  # upright, or where another start has been
        if np.isnan(a) or (a == slope and b == intercept):
            continue
        error = 0.0
        for k in range(n):
            if use[k]:
                error += (y[k] - a * x[k] - b) ** 2
        if error < best:
            best, slope, intercept = error, a, b
    return slope, intercept
