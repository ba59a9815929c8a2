"""The loops of azimuthal integration: what each pixel sees, in which cell it counts, and the sums of the cells.

They take plain arrays, release the interpreter lock and do no I/O. The last cell is where pixels go that do not count;
nothing reads it, so that a masked pixel never reaches a bin.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

Q, TWO_THETA, RADIUS = range(3)


@njit(cache=True, nogil=True, error_model="numpy")
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

    Returns
    -------
    tuple of float
        The least and the largest radial value that is a number.
    """
    least, most = math.inf, -math.inf
    ny, nx = radial.shape
    y1, x1 = int(d1.shape[0] > 1), int(d1.shape[1] > 1)
    y2, x2 = int(d2.shape[0] > 1), int(d2.shape[1] > 1)
    y3, x3 = int(along.shape[0] > 1), int(along.shape[1] > 1)
    polarized = 0.0 if math.isnan(corrections[0]) else 0.5
    polarization = 0.0 if math.isnan(corrections[0]) else corrections[0]
    solid = corrections[1] > 0
    # A row at a time, in loops without branches that the compiler turns into vector instructions.
    u, v, w, t1, t2, t3, across, inverse = np.empty((8, nx))
    for y in range(ny):
        for x in range(nx):
            u[x], v[x], w[x] = d1[y * y1, x * x1], d2[y * y2, x * x2], along[y * y3, x * x3]
        seen, left = radial[y], norm[y]
        for x in range(nx):
            a, b, c = u[x] + offset[0], v[x] + offset[1], w[x]
            t1[x] = turn[0, 0] * a + turn[0, 1] * b + turn[0, 2] * c
            t2[x] = turn[1, 0] * a + turn[1, 1] * b + turn[1, 2] * c
            t3[x] = turn[2, 0] * a + turn[2, 1] * b + turn[2, 2] * c
            across[x] = t1[x] * t1[x] + t2[x] * t2[x]
            inverse[x] = 1.0 / (a * a + b * b + c * c)
        if mode == Q:  # sin^2 of half the angle, without the difference of nearly equal numbers
            for x in range(nx):
                cosine = t3[x] * math.sqrt(inverse[x])
                half = across[x] * inverse[x] / (2.0 + 2.0 * cosine) if cosine > 0.0 else 0.5 - 0.5 * cosine
                seen[x] = factor * math.sqrt(half)
        elif mode == TWO_THETA:
            for x in range(nx):
                seen[x] = math.degrees(math.atan2(math.sqrt(across[x]), t3[x]))
        else:
            for x in range(nx):
                seen[x] = factor * math.sqrt(u[x] * u[x] + v[x] * v[x])
        for x in range(nx):
            least = seen[x] if seen[x] < least else least  # noqa: FURB136 - becomes vector instructions
            most = seen[x] if seen[x] > most else most  # noqa: FURB136
        if azimuth.size:
            for x in range(nx):
                azimuth[y, x] = math.degrees(math.atan2(t1[x], t2[x]))
        for x in range(nx):
            cosine = w[x] * math.sqrt(inverse[x])
            kept = 1.0 - polarized * (across[x] + polarization * (t2[x] * t2[x] - t1[x] * t1[x])) * inverse[x]
            left[x] = cosine * cosine * cosine * kept if solid else kept
    return least, most


@njit(cache=True, nogil=True)
def digitise(radial, azimuth, edges, inverse, starts, widths, norm, cells, counts, norms):  # type: ignore[no-untyped-def]
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
    norm
        (pixel,) float32; pixels where it is not positive are in no cell, and it becomes 1.
    cells
        (pixel,) uint16 or uint32; written.
    counts, norms
        (cell,) and (cell, 2); added to, see `tally`.
    """
    bins, sectors = len(edges) - 1, len(starts)
    none = bins * sectors
    equal = 0.0
    if sectors > 1:  # sectors that follow each other with the same width are found without a search
        equal = 1.0 / widths[0]
        for sector in range(1, sectors):
            follows = abs(starts[sector] - starts[0] - sector * widths[0]) < 1e-9
            if not follows or abs(widths[sector] - widths[0]) > 1e-9:
                equal = 0.0
    for pixel in range(len(radial)):
        value = radial[pixel]
        if not norm[pixel] > 0.0:
            norm[pixel], cells[pixel] = 1.0, none
            continue
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
        if which < 0:
            cells[pixel] = none
            continue
        cell, one = which * bins + at, np.float64(norm[pixel])
        cells[pixel] = cell
        counts[cell] += 1
        norms[cell, 0] += one
        norms[cell, 1] += one * one


@njit(cache=True, nogil=True)
def tally(cells, norm, counts, norms):  # type: ignore[no-untyped-def]
    """Add up what does not change from frame to frame: counts (cell,), norms (cell, 2) of norm and its square."""
    for pixel in range(len(cells)):
        cell, one = cells[pixel], np.float64(norm[pixel])
        counts[cell] += 1
        norms[cell, 0] += one
        norms[cell, 1] += one * one


@njit(cache=True, nogil=True)
def leave_out(every, good, norm, cells, counts, norms):  # type: ignore[no-untyped-def]
    """Take the pixels that are not good out of their cells: only they are looked at again.

    Parameters
    ----------
    every
        (pixel,) cell of each without a mask.
    good
        (pixel,) whether it counts.
    norm
        (pixel,) float32.
    cells
        (pixel,) like `every`; written.
    counts, norms
        (cell,) and (cell, 2), of all pixels; those that do not count are taken off, see `tally`.
    """
    none = len(counts) - 1
    for pixel in range(len(every)):
        cell = every[pixel]
        cells[pixel] = cell
        if not good[pixel]:
            one = np.float64(norm[pixel])
            cells[pixel] = none
            counts[cell] -= 1
            norms[cell, 0] -= one
            norms[cell, 1] -= one * one


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
