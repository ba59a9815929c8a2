"""The loops of azimuthal integration: what each pixel sees, in which cell it counts, and the sums of the cells.

They take plain arrays, release the interpreter lock and do no I/O. The last cell is where pixels go that do not count;
nothing reads it, so that a masked pixel never reaches a bin.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

Q, TWO_THETA, RADIUS = range(3)


@njit(cache=True, nogil=True)
def look(d1, d2, along, offset, turn, mode, factor, corrections, radial, azimuth, norm):  # type: ignore[no-untyped-def]
    """Write what each pixel sees.

    Parameters
    ----------
    d1, d2, along
        See `geometry.Positions`; each (1 or y, 1 or x) float64.
    offset
        (2,) p1 and p2 of the direct beam.
    turn
        (3, 3) rotation to the laboratory.
    mode, factor
        Q with 4 pi / wavelength, TWO_THETA in degrees, or RADIUS with 1 / (width of a column).
    corrections
        (2,): degree of polarisation, not-a-number for none; whether the solid angle counts.
    radial
        (y, x) float64; written.
    azimuth
        (y, x) float64, or (0, 0) if it is not wanted; written, degrees.
    norm
        (y, x) float32; written, what the corrections leave of the intensity.
    """
    ny, nx = radial.shape
    y1, x1 = int(d1.shape[0] > 1), int(d1.shape[1] > 1)
    y2, x2 = int(d2.shape[0] > 1), int(d2.shape[1] > 1)
    y3, x3 = int(along.shape[0] > 1), int(along.shape[1] > 1)
    polarization, solid = corrections[0], corrections[1] > 0
    polarized = not math.isnan(polarization)
    for y in range(ny):
        for x in range(nx):
            u, v, w = d1[y * y1, x * x1], d2[y * y2, x * x2], along[y * y3, x * x3]
            a, b = u + offset[0], v + offset[1]
            t1 = turn[0, 0] * a + turn[0, 1] * b + turn[0, 2] * w
            t2 = turn[1, 0] * a + turn[1, 1] * b + turn[1, 2] * w
            t3 = turn[2, 0] * a + turn[2, 1] * b + turn[2, 2] * w
            across = t1 * t1 + t2 * t2
            inverse = 1.0 / (a * a + b * b + w * w)
            root = math.sqrt(inverse)
            if mode == Q:  # sin^2 of half the angle, without the difference of nearly equal numbers
                cosine = t3 * root
                half = across * inverse / (2.0 + 2.0 * cosine) if cosine > 0.0 else 0.5 - 0.5 * cosine
                radial[y, x] = factor * math.sqrt(half)
            elif mode == TWO_THETA:
                radial[y, x] = math.degrees(math.atan2(math.sqrt(across), t3))
            else:
                radial[y, x] = factor * math.sqrt(u * u + v * v)
            if azimuth.size:
                azimuth[y, x] = math.degrees(math.atan2(t1, t2))
            one = 1.0
            if solid:
                cosine = w * root
                one = cosine * cosine * cosine
            if polarized:
                one *= 1.0 - 0.5 * (across + polarization * (t2 * t2 - t1 * t1)) * inverse
            norm[y, x] = one


@njit(cache=True, nogil=True)
def digitise(radial, azimuth, edges, inverse, starts, widths, cells):  # type: ignore[no-untyped-def]
    """Write the cell of each pixel: sector * bins + bin; sectors * bins for those that are in none.

    Parameters
    ----------
    radial, azimuth
        (pixel,) float64; azimuth may be empty if there is one sector all around.
    edges
        (bin + 1,) borders, each belongs to the bin that begins there.
    inverse
        1 / width of equal bins; 0 if they are not equal.
    starts, widths
        (sector,) degrees; the first one that holds a pixel gets it.
    cells
        (pixel,) uint32; written.
    """
    bins, sectors = len(edges) - 1, len(starts)
    none = np.uint32(bins * sectors)
    equal = 0.0
    if sectors > 1:  # sectors that follow each other with the same width are found without a search
        equal = 1.0 / widths[0]
        for sector in range(1, sectors):
            follows = abs(starts[sector] - starts[0] - sector * widths[0]) < 1e-9
            if not follows or abs(widths[sector] - widths[0]) > 1e-9:
                equal = 0.0
    for pixel in range(len(radial)):
        value = radial[pixel]
        if not (edges[0] <= value < edges[bins]):
            cells[pixel] = none
            continue
        if inverse > 0.0:
            at = min(int((value - edges[0]) * inverse), bins - 1)
            if value < edges[at]:  # rounding may be off by one
                at -= 1
            elif value >= edges[at + 1]:
                at += 1
        else:
            at, end = 0, bins
            while end - at > 1:
                middle = (at + end) // 2
                if value >= edges[middle]:
                    at = middle
                else:
                    end = middle
        which = 0
        if azimuth.size:
            which = -1
            if equal > 0.0:
                turned = (azimuth[pixel] - starts[0]) % 360.0
                which = int(turned * equal)
                if which >= sectors:
                    which = -1
            else:
                for sector in range(sectors):
                    if (azimuth[pixel] - starts[sector]) % 360.0 < widths[sector]:
                        which = sector
                        break
        cells[pixel] = none if which < 0 else np.uint32(which * bins + at)


@njit(cache=True, nogil=True)
def tally(cells, norm, counts, norms):  # type: ignore[no-untyped-def]
    """Add up what does not change from frame to frame: counts (cell,), norms (cell, 2) of norm and its square."""
    for pixel in range(len(cells)):
        cell, one = cells[pixel], np.float64(norm[pixel])
        counts[cell] += 1
        norms[cell, 0] += one
        norms[cell, 1] += one * one


@njit(cache=True, nogil=True)
def scatter(image, cells, norm, low, high, sums, lost, lost_norms):  # type: ignore[no-untyped-def]
    """Add the pixels of a frame to their cells.

    Four sums are kept side by side, because the addition to a cell would wait for the one before: neighbours share it.

    Parameters
    ----------
    image
        (pixel,) numbers.
    cells
        (pixel,) cell of each.
    norm
        (pixel,) float32.
    low, high
        Values outside, and those that are not a number, do not count.
    sums
        (4, cell) float64; added to.
    lost, lost_norms
        (cell,) int64 and (cell, 2) float64: pixels that do not count, and their norms; added to.
    """
    n = len(image)
    for start in range(0, n - 3, 4):
        a, b, c, d = cells[start], cells[start + 1], cells[start + 2], cells[start + 3]
        va, vb = np.float64(image[start]), np.float64(image[start + 1])
        vc, vd = np.float64(image[start + 2]), np.float64(image[start + 3])
        if low <= va <= high and low <= vb <= high and low <= vc <= high and low <= vd <= high:
            sums[0, a] += va
            sums[1, b] += vb
            sums[2, c] += vc
            sums[3, d] += vd
        else:
            for pixel in range(start, start + 4):
                value, cell = np.float64(image[pixel]), cells[pixel]
                if low <= value <= high:
                    sums[0, cell] += value
                else:
                    one = np.float64(norm[pixel])
                    lost[cell] += 1
                    lost_norms[cell, 0] += one
                    lost_norms[cell, 1] += one * one
    for pixel in range(n // 4 * 4, n):
        value, cell = np.float64(image[pixel]), cells[pixel]
        if low <= value <= high:
            sums[0, cell] += value
        else:
            one = np.float64(norm[pixel])
            lost[cell] += 1
            lost_norms[cell, 0] += one
            lost_norms[cell, 1] += one * one


@njit(cache=True, nogil=True)
def scatter_squares(image, cells, norm, low, high, sums, lost, lost_norms):  # type: ignore[no-untyped-def]
    """Add value, value^2 and value * norm to sums (4, cell, 4), the last is not used; the rest as `scatter`."""
    n = len(image)
    for start in range(0, n, 4):
        for lane in range(min(4, n - start)):
            pixel = start + lane
            value, cell, one = np.float64(image[pixel]), cells[pixel], np.float64(norm[pixel])
            if low <= value <= high:
                place = sums[lane, cell]
                place[0] += value
                place[1] += value * value
                place[2] += value * one
            else:
                lost[cell] += 1
                lost_norms[cell, 0] += one
                lost_norms[cell, 1] += one * one


@njit(cache=True, nogil=True)
def scatter_pairs(image, variance, cells, norm, low, high, sums, lost, lost_norms):  # type: ignore[no-untyped-def]
    """Add value and variance to sums (cell, 2), if both are numbers; the rest as `scatter`."""
    for pixel in range(len(image)):
        value, other, cell = np.float64(image[pixel]), np.float64(variance[pixel]), cells[pixel]
        if low <= value <= high and other >= 0.0:
            sums[cell, 0] += value
            sums[cell, 1] += other
        else:
            one = np.float64(norm[pixel])
            lost[cell] += 1
            lost_norms[cell, 0] += one
            lost_norms[cell, 1] += one * one
