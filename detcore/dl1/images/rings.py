"""The loops over pixels for muon rings. Plain arrays, no I/O, as in `kernels`."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

N_SUMS = 18
SECTORS = 30


@njit(cache=True, nogil=True, error_model="numpy")
def sums(charges, used, x, y, weighted, out):  # type: ignore[no-untyped-def]
    """Sum what the fits need.

    Parameters
    ----------
    charges, used
        (event, pixel).
    x, y
        (pixel,).
    weighted
        Weight w is the charge, else 1.
    out
        (N_SUMS, event), nan; written where three pixels or more are used: w; means of x, y; with weight w and relative
        to these, with z = x2 + y2: xx, xy, yy, zx, zy; with weight w2: 1, x, y, z, xx, xy, yy, xz, yz, zz.
    """
    for event in range(len(charges)):
        s = mx = my = 0.0
        n = 0
        for pixel in range(len(x)):
            if used[event, pixel]:
                w = np.float64(charges[event, pixel]) if weighted else 1.0
                n += 1
                s += w
                mx += w * x[pixel]
                my += w * y[pixel]
        if n < 3 or not s > 0:
            continue
        mx, my = mx / s, my / s
        out[3:, event] = 0.0
        out[0, event], out[1, event], out[2, event] = s, mx, my
        for pixel in range(len(x)):
            if used[event, pixel]:
                w = np.float64(charges[event, pixel]) if weighted else 1.0
                dx, dy = x[pixel] - mx, y[pixel] - my
                z, ww = dx * dx + dy * dy, w * w
                out[3, event] += w * dx * dx
                out[4, event] += w * dx * dy
                out[5, event] += w * dy * dy
                out[6, event] += w * z * dx
                out[7, event] += w * z * dy
                out[8, event] += ww
                out[9, event] += ww * dx
                out[10, event] += ww * dy
                out[11, event] += ww * z
                out[12, event] += ww * dx * dx
                out[13, event] += ww * dx * dy
                out[14, event] += ww * dy * dy
                out[15, event] += ww * dx * z
                out[16, event] += ww * dy * z
                out[17, event] += ww * z * z


@njit(cache=True, nogil=True, error_model="numpy")
def naive_error(charges, used, x, y, a, b, radius, error):  # type: ignore[no-untyped-def]
    """Estimate the standard deviation of centres a, b (event,) from the scatter of d2 - r2 -> error (event,).

    As ctapipe: standard deviation of d2 - r2 over that of sqrt(d2 + r2 / 4), over the charge, over 2 sqrt 2.
    """
    for event in range(len(charges)):
        if not radius[event] > 0:
            continue
        s = one = two = one2 = two2 = 0.0
        for turn in range(2):
            for pixel in range(len(x)):
                if used[event, pixel]:
                    w = np.float64(charges[event, pixel])
                    dd = (x[pixel] - a[event]) ** 2 + (y[pixel] - b[event]) ** 2
                    off, slope = dd - radius[event] ** 2, math.sqrt(dd + radius[event] ** 2 / 4)
                    if turn == 0:
                        s += w
                        one += w * off
                        two += w * slope
                    else:
                        one2 += w * (off - one) ** 2
                        two2 += w * (slope - two) ** 2
            if turn == 0:
                one, two = one / s, two / s
        error[event] = math.sqrt(one2 / s) / math.sqrt(two2 / s) / s / 2 / math.sqrt(2)


@njit(cache=True, nogil=True)
def near(x, y, a, b, radius, share, found):  # type: ignore[no-untyped-def]
    """Select the pixels whose distance from a ring is below a share of its radius -> found (event, pixel), false before."""
    for event in range(len(found)):
        if radius[event] > 0:
            for pixel in range(len(x)):
                off = math.hypot(x[pixel] - a[event], y[pixel] - b[event]) - radius[event]
                found[event, pixel] = abs(off) < share * radius[event]


@njit(cache=True, nogil=True, error_model="numpy")
def features(charges, selected, x, y, reach, a, b, radius, threshold, ratio_width, inner, outer, out):  # type: ignore[no-untyped-def]
    """Describe rings.

    Parameters
    ----------
    charges, selected
        (event, pixel).
    x, y, reach
        (pixel,) positions and squared width of a pixel.
    a, b, radius
        (event,); nan where there is no ring.
    threshold, ratio_width, inner, outer
        See `muon.muon_ring`.
    out
        (10, event) nan; written, in the order of `muon.QUALITY` without the first.
    """
    sectors = np.empty(SECTORS)
    for event in range(len(charges)):
        r = radius[event]
        if not r > 0:
            continue
        sectors[:] = 0.0
        on_ring = total = squares = light = outside = strip = every = mean = 0.0
        n_ring = n_strip = 0
        for pixel in range(len(x)):
            v = np.float64(charges[event, pixel])
            dx, dy = x[pixel] - a[event], y[pixel] - b[event]
            d = math.hypot(dx, dy)
            every += v
            mean += v * d
            turn = (math.atan2(dy, dx) + math.pi) / (2 * math.pi) * SECTORS
            sectors[min(int(turn), SECTORS - 1)] += v
            off = abs(d - r)
            inside = off < r * inner
            if inside:
                light += v
            elif off < r * (inner + outer):
                strip += v
                n_strip += 1
            if selected[event, pixel]:
                half = 0.5 * ratio_width * math.sqrt(reach[pixel])
                total += v
                squares += v * off * off
                if r - half <= d <= r + half:
                    on_ring += v
                if inside:
                    n_ring += 1
                else:
                    outside += v
        enough = 0
        for sector in range(SECTORS):
            enough += sectors[sector] > threshold
        mean /= every
        second = third = fourth = 0.0
        for pixel in range(len(x)):
            v = np.float64(charges[event, pixel])
            off = math.hypot(x[pixel] - a[event], y[pixel] - b[event]) - mean
            second += v * off**2
            third += v * off**3
            fourth += v * off**4
        variance = second / every
        spread = math.sqrt(variance) if variance > 0 else np.nan
        out[0, event] = enough / SECTORS
        out[1, event] = on_ring / total
        out[2, event] = squares / total
        out[3, event] = light
        out[4, event] = outside
        out[5, event] = n_ring
        out[6, event] = strip / n_strip if n_strip else np.nan
        out[7, event] = spread
        out[8, event] = third / every / spread**3
        out[9, event] = fourth / every / spread**4 - 3.0
