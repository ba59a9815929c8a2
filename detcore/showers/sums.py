"""The loops that add points up over many showers: maps and spectra. Plain arrays, no I/O, no interpreter lock."""

from __future__ import annotations

import numpy as np
from numba import njit

X, Y, Z, ENERGY, TIME = range(5)
BELOW, ABOVE = 0, -1  # places of a row of counts for what is outside the bins


@njit(cache=True, nogil=True)
def add_to_maps(points, thresholds, hcal_from, half_width, cell, xy, xl, yl, outside):  # type: ignore[no-untyped-def]
    """Add the energy of points to three projections.

    Parameters
    ----------
    points
        (point, 4 or 5) float32, read-only.
    thresholds
        (2,) float32, GeV, of the ECAL and of the HCAL; a point counts above, not at it.
    hcal_from
        float32, depth from which a point belongs to the HCAL.
    half_width, cell
        mm: the maps go from minus to plus `half_width` in cells of `cell`.
    xy, xl, yl
        (y, x), (layer, x) and (layer, y) float64, MeV, added to.
    outside
        (3,) float64, MeV of points outside each map, added to.
    """
    layers, cells = xl.shape
    for i in range(len(points)):
        x, y, z, energy = points[i, X], points[i, Y], points[i, Z], points[i, ENERGY]
        if not energy > (thresholds[1] if z >= hcal_from else thresholds[0]):
            continue
        mev = 1e3 * np.float64(energy)
        depth = z + np.float32(0.1)
        layer = np.int64(depth) if np.float32(0) <= depth < np.float32(layers) else -1
        ix = np.int64((x + half_width) / cell) if -half_width <= x < half_width else -1
        iy = np.int64((y + half_width) / cell) if -half_width <= y < half_width else -1
        ix, iy = min(ix, cells - 1), min(iy, cells - 1)  # rounding at the upper edge
        if ix >= 0 and iy >= 0:
            xy[iy, ix] += mev
        else:
            outside[0] += mev
        if ix >= 0 and layer >= 0:
            xl[layer, ix] += mev
        else:
            outside[1] += mev
        if iy >= 0 and layer >= 0:
            yl[layer, iy] += mev
        else:
            outside[2] += mev


@njit(cache=True, nogil=True)
def add_to_spectrum(points, hcal_from, lowest, per_decade, counts):  # type: ignore[no-untyped-def]
    """Count points by their energy in logarithmic bins.

    Parameters
    ----------
    points
        (point, 4 or 5) float32, read-only; those without energy are not counted.
    hcal_from
        float32, depth from which a point belongs to the HCAL.
    lowest
        Logarithm (base 10) of the first edge, MeV.
    per_decade
        Bins of a factor of ten.
    counts
        (2, bin + 2) int64, added to: ECAL and HCAL; below the first bin, the bins, above the last one.
    """
    bins = counts.shape[1] - 2
    for i in range(len(points)):
        energy = points[i, ENERGY]
        if energy > 0:
            part = 1 if points[i, Z] >= hcal_from else 0
            place = np.floor((np.log10(1e3 * np.float64(energy)) - lowest) * per_decade)
            counts[part, np.int64(min(max(place, -1.0), np.float64(bins))) + 1] += 1


@njit(cache=True, nogil=True)
def add_to_times(points, thresholds, hcal_from, lowest, per_decade, counts, energies):  # type: ignore[no-untyped-def]
    """Count points and their energy by time in logarithmic bins.

    Parameters
    ----------
    points
        (point, 5) float32, read-only.
    thresholds, hcal_from
        As for `add_to_maps`.
    lowest, per_decade
        Logarithm (base 10) of the first edge, ns; bins of a factor of ten.
    counts, energies
        (bin + 2) int64 and float64 (MeV), added to: below the first bin, the bins, above the last one.
    """
    bins = len(counts) - 2
    for i in range(len(points)):
        energy, time = points[i, ENERGY], np.float64(points[i, TIME])
        if not energy > (thresholds[1] if points[i, Z] >= hcal_from else thresholds[0]) or np.isnan(time):
            continue
        place = np.floor((np.log10(time) - lowest) * per_decade) if time > 0 else -1.0
        at = np.int64(min(max(place, -1.0), np.float64(bins))) + 1
        counts[at] += 1
        energies[at] += 1e3 * np.float64(energy)
