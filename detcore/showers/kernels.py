"""The loops over points. They take plain arrays, release the interpreter lock and do no I/O.

All see showers as rows `start[i]` to `stop[i]` of one table of points, so that the padded and the ragged form take the
same way through the same machine code. Arrays that are only read come as read-only ones (see `showers.flat`): one
type, one compilation. Where numbers must equal those of NumPy in single precision, each step is rounded to float32 in
the order in which NumPy does it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

DIGIT = np.uint32(11)  # bits that one pass of the sort looks at
MASK = np.uint32((1 << 11) - 1)
NO_CELL = -(1 << 31)  # what a float that fits no int32 becomes
X, Y, Z, ENERGY, TIME = range(5)
N_HITS, VISIBLE, SUM_X, SUM_Y, SUM_Z, SUM_XX, SUM_YY, SUM_ZZ, SUM_T, FIRST_T, HOTTEST, HOTTEST_Z, N_NUMBERS = range(13)


@njit(cache=True, nogil=True)
def whole(value):  # type: ignore[no-untyped-def]
    """Round a float32 down to int32, as a conversion on x86 does it: what does not fit becomes the lowest number."""
    down = np.floor(value)
    if down >= np.float32(-2147483648.0) and down < np.float32(2147483648.0):
        return np.int32(down)
    return np.int32(NO_CELL)


@njit(cache=True, nogil=True)
def sort_by(keys, order, other, n, counts):  # type: ignore[no-untyped-def]
    """Sort by whole numbers, keeping the order of equal ones.

    Radix sort from the lowest digit; as many passes as the span of the keys needs, one for most showers.

    Parameters
    ----------
    keys
        (point,) int32; read at `order`.
    order, other
        (point,) int32, `order` is sorted; `other` is for work.
    n
        How many points of these arrays are in use.
    counts
        (2049,) int64, for work.

    Returns
    -------
    (order, other)
        The arrays, which may have changed places.
    """
    low, high = keys[0], keys[0]
    for i in range(1, n):
        low, high = min(low, keys[i]), max(high, keys[i])
    span = np.uint32(np.int64(high) - np.int64(low))
    shift = np.uint32(0)
    while True:
        bins = min(np.int64(span >> shift), np.int64(MASK)) + 1
        counts[: bins + 1] = 0
        for i in range(n):
            counts[np.uintp((np.uint32(np.int64(keys[i]) - np.int64(low)) >> shift) & MASK) + np.uintp(1)] += 1
        for b in range(1, bins):
            counts[b] += counts[b - 1]
        for i in range(n):
            point = np.uintp(order[i])
            digit = np.uintp((np.uint32(np.int64(keys[point]) - np.int64(low)) >> shift) & MASK)
            other[counts[digit]] = point
            counts[digit] += 1
        order, other = other, order
        shift += DIGIT
        if shift >= np.uint32(32) or span >> shift == 0:
            return order, other


@njit(cache=True, nogil=True)
def cluster(points, start, stop, shifts, cells, hcal_from, first, last, out, out_start, counts):  # type: ignore[no-untyped-def]
    """Sum points over the cells of a square grid in each layer.

    Parameters
    ----------
    points
        (point, 4 or 5) float32.
    start, stop
        (shower,) int64.
    shifts
        (shower, 4) float32: x and y of the grid of the ECAL, x and y of that of the HCAL, mm.
    cells
        (2,) float32, edge of a cell in the ECAL and in the HCAL, mm.
    hcal_from
        float32, depth from which a point belongs to the HCAL.
    first, last
        Showers to do, so that several threads can share the arrays.
    out
        (row, 4 or 5) float32, written from `out_start` (shower,) on: cells by layer, x, y.
    counts
        (shower,) int64, written: how many cells.
    """
    longest = 0
    for s in range(first, last):
        longest = max(longest, stop[s] - start[s])
    ix, iy, iz = np.empty(longest, np.int32), np.empty(longest, np.int32), np.empty(longest, np.int32)
    source = np.empty(longest, np.int32)
    order, other = np.empty(longest, np.int32), np.empty(longest, np.int32)
    bins = np.empty(2050, np.int64)
    half = np.float32(0.5)
    between = whole(hcal_from) + 1
    timed = points.shape[1] > 4
    for s in range(first, last):
        begin = start[s]
        n = np.uintp(0)
        for i in range(stop[s] - begin):
            row = np.uintp(begin + i)
            depth = points[row, Z]
            part = 1 if depth >= hcal_from else 0
            if points[row, ENERGY] > 0 and (part == 1 or depth < hcal_from):  # a depth that is no number is in neither
                ix[n] = whole((points[row, X] + shifts[s, 2 * part]) / cells[part])
                iy[n] = whole((points[row, Y] + shifts[s, 2 * part + 1]) / cells[part])
                # The HCAL comes last, although it begins within the last layer of the ECAL and the depth may be nonsense.
                layer = whole(depth)
                iz[n] = layer if part == 0 else (layer + 2 if layer != NO_CELL else between)
                source[n] = i
                order[n] = n
                n += np.uintp(1)
        if n:
            order, other = sort_by(iy, order, other, n, bins)
            order, other = sort_by(ix, order, other, n, bins)
            order, other = sort_by(iz, order, other, n, bins)
        at = out_start[s] - 1
        before = np.uintp(0)
        for k in range(n):
            point = np.uintp(order[k])
            row = np.uintp(begin + source[point])
            if k == 0 or ix[point] != ix[before] or iy[point] != iy[before] or iz[point] != iz[before]:
                at += 1
                part = 1 if points[row, Z] >= hcal_from else 0
                out[at, X] = (np.float32(ix[point]) + half) * cells[part] - shifts[s, 2 * part]
                out[at, Y] = (np.float32(iy[point]) + half) * cells[part] - shifts[s, 2 * part + 1]
                out[at, Z] = np.float32(whole(points[row, Z]))
                out[at, ENERGY] = points[row, ENERGY]
                if timed:
                    out[at, TIME] = points[row, TIME]
            else:
                out[at, ENERGY] += points[row, ENERGY]
                if timed and (points[row, TIME] < out[at, TIME] or np.isnan(points[row, TIME])):
                    out[at, TIME] = points[row, TIME]  # one that is no number stays
            before = point
        counts[s] = at + 1 - out_start[s]


@njit(cache=True, nogil=True)
def pack(rows, row_start, counts, packed):  # type: ignore[no-untyped-def]
    """Close the gaps between showers: rows (row, column) from `row_start` (shower,) on -> packed (point, column)."""
    at = 0
    for s in range(len(counts)):
        for i in range(counts[s]):
            for c in range(rows.shape[1]):
                packed[at, c] = rows[row_start[s] + i, c]
            at += 1


@njit(cache=True, nogil=True)
def keep(points, start, stop, radius_squared, thresholds, hcal_from, out, out_start, kept, hits):  # type: ignore[no-untyped-def]
    """Copy the points inside a cylinder that have enough energy.

    Parameters
    ----------
    points, start, stop
        (point, 4 or 5) float32; (shower,) int64.
    radius_squared
        float32, mm^2; a point is kept below it.
    thresholds
        (2,) float32, GeV, of the ECAL and of the HCAL; a point is kept from there on.
    hcal_from
        float32, depth from which a point belongs to the HCAL.
    out
        (row, 4 or 5) float32, zero: written from `out_start` on, which is (shower,) int64, or empty to leave no gaps.
    kept, hits
        (shower,) int64, written: rows that are kept, and those of them that have energy.
    """
    at = 0
    for s in range(len(start)):
        if len(out_start):
            at = out_start[s]
        first = at
        n = 0
        for row in range(start[s], stop[s]):
            x, y, z, energy = points[row, X], points[row, Y], points[row, Z], points[row, ENERGY]
            hcal = z >= hcal_from
            inside = x * x + y * y < radius_squared
            if inside and ((hcal and energy >= thresholds[1]) or (z < hcal_from and energy >= thresholds[0])):
                if energy != 0 or x != 0 or y != 0 or z != 0:  # padding is there already
                    for c in range(points.shape[1]):
                        out[at, c] = points[row, c]
                n += energy != 0
                at += 1
        kept[s] = at - first
        hits[s] = n


@njit(cache=True, nogil=True)
def shift(points, start, stop, slopes, depths, box, inverse, out, out_start, counts):  # type: ignore[no-untyped-def]
    """Move each layer sideways against (or along) the direction of the particle.

    Parameters
    ----------
    points, start, stop
        (point, 4 or 5) float32; (shower,) int64. Points without energy are padding and left out.
    slopes
        (shower, 2) float32, dx/dz and dy/dz.
    depths
        (layer,) float32, mm from the front.
    box
        float32, mm; points that leave -box..box are dropped, unless `inverse`.
    inverse
        Whether to undo the shift.
    out, out_start
        (row, 4 or 5) float32, written from (shower,) int64 on.
    counts
        (shower,) int64, written: points that are left.

    Returns
    -------
    int
        Row of a point in no layer, or -1.
    """
    layers = np.float32(len(depths))
    for s in range(len(start)):
        at = out_start[s]
        for row in range(start[s], stop[s]):
            if points[row, ENERGY] == 0:
                continue
            depth = points[row, Z] + np.float32(0.1)
            if not (points[row, Z] >= np.float32(-0.5) and depth < layers):
                return row
            length = depths[np.int64(depth)]
            dx, dy = slopes[s, 0] * length, slopes[s, 1] * length
            if inverse:
                x, y = points[row, X] + dx, points[row, Y] + dy
            else:
                x, y = points[row, X] - dx, points[row, Y] - dy
            if inverse or (-box < x < box and -box < y < box):
                out[at, X], out[at, Y] = x, y
                for c in range(2, points.shape[1]):
                    out[at, c] = points[row, c]
                at += 1
        counts[s] = at - out_start[s]
    return -1


@njit(cache=True, nogil=True)
def observe(  # type: ignore[no-untyped-def]
    points, start, stop, thresholds, hcal_from, radius_squared, first, last, edges, layers, hits, radial, numbers
):
    """Sum what describes each shower, in one pass over its points.

    Sums by layer and radius are float32 and in the order of the points, which is what NumPy does; moments are float64.

    Parameters
    ----------
    points, start, stop
        (point, 4 or 5) float32; (shower,) int64.
    thresholds
        (2,) float32, GeV, of the ECAL and of the HCAL; a point counts above, not at it.
    hcal_from, radius_squared
        float32: depth from which a point belongs to the HCAL; square of the radius below which points count, mm^2.
    first, last
        Layers that count, both included. They and the radius do not matter if there is no room for layers.
    edges
        (bin + 1,) float32, rising, of the radial bins, mm.
    layers, hits
        (shower, layer) float32 and int32, zero, written: GeV and number of points.
    radial
        (shower, bin) float32, zero, written: GeV; no rings if it has no bins.
    numbers
        (shower, N_NUMBERS), or up to `SUM_Z` if no more is needed, float64, written: number of points, energy, sums of
        energy times x, y, z, their squares and time, first time, energy and layer of the hottest point.

    Returns
    -------
    int
        Row of a point in no layer, or -1.
    """
    n_layers = np.float32(layers.shape[1])
    layered = layers.shape[1] > 0
    # Unsigned indices spare the test for negative ones, which count from the end: almost twice as fast.
    one, last_bin = np.uintp(1), np.uintp(len(edges) - 2)
    lowest, highest = np.uintp(first), np.uintp(last)
    inner, outer = edges[0], edges[len(edges) - 1]
    scale = np.float32(len(edges) - 1) / (outer - inner) if outer > inner else np.float32(0)
    # Bins from 0 on with a power of two as width are found without rounding: half of the time for rings is saved.
    exact = inner == 0 and np.log2(scale) == np.floor(np.log2(scale))
    for i in range(len(edges)):
        exact = exact and edges[i] * scale == np.float32(i)
    full = numbers.shape[1] == N_NUMBERS
    ringed = radial.shape[1] > 0
    timed = points.shape[1] > 4
    narrow = first > 0 or last < layers.shape[1] - 1 or radius_squared < np.float32(np.inf)
    picked = np.empty(np.max(stop - start) if len(start) else 0, np.uintp)
    for s in range(len(start)):
        # Three short loops are faster than a long one: the points of a shower stay in the cache.
        n = np.uintp(0)
        for row in range(np.uintp(start[s]), np.uintp(stop[s])):
            z = points[row, Z]
            if not points[row, ENERGY] > (thresholds[1] if z >= hcal_from else thresholds[0]):
                continue
            if layered:
                depth = z + np.float32(0.1)
                if not (z >= np.float32(-0.5) and depth < n_layers):
                    return np.int64(row)
                if narrow:
                    x, y, layer = points[row, X], points[row, Y], np.uintp(np.int32(depth))
                    if layer < lowest or layer > highest or not x * x + y * y < radius_squared:
                        continue
            picked[n] = row
            n += one
        if layered:
            energy_of, hits_of = layers[s], hits[s]
            for i in range(n):
                row = picked[i]
                layer = np.uintp(np.int32(points[row, Z] + np.float32(0.1)))
                energy_of[layer] += points[row, ENERGY]
                hits_of[layer] += 1
        if ringed:
            radial_of = radial[s]
            for i in range(n):
                row = picked[i]
                x, y = points[row, X], points[row, Y]
                r = np.sqrt(x * x + y * y)
                if inner <= r < outer:
                    place = (r - inner) * scale  # right, or a first guess
                    b = np.uintp(np.int32(place)) if place < np.float32(last_bin) else last_bin
                    if not exact:
                        while r < edges[b]:
                            b -= one
                        while r >= edges[b + one]:
                            b += one
                    radial_of[b] += points[row, ENERGY]
        total, sum_x, sum_y, sum_z, sum_xx, sum_yy, sum_zz, sum_t = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        first_t, hottest, hottest_layer = np.float32(np.inf), np.float32(0), -1.0
        for i in range(n):
            row = picked[i]
            e, x, y, z = (
                np.float64(points[row, ENERGY]), np.float64(points[row, X]), np.float64(points[row, Y]),
                np.float64(points[row, Z]),
            )  # fmt: skip
            total += e
            sum_x += e * x
            sum_y += e * y
            sum_z += e * z
            if not full:
                continue
            sum_xx += e * x * x
            sum_yy += e * y * y
            sum_zz += e * z * z
            if timed:
                sum_t += e * points[row, TIME]
                first_t = min(first_t, points[row, TIME])
            if points[row, ENERGY] > hottest:
                hottest = points[row, ENERGY]
                hottest_layer = np.float64(np.int32(points[row, Z] + np.float32(0.1))) if layered else 0.0
        row_of = numbers[s]
        row_of[N_HITS], row_of[VISIBLE] = n, total
        row_of[SUM_X], row_of[SUM_Y], row_of[SUM_Z] = sum_x, sum_y, sum_z
        if not full:
            continue
        row_of[SUM_XX], row_of[SUM_YY], row_of[SUM_ZZ] = sum_xx, sum_yy, sum_zz
        row_of[SUM_T], row_of[FIRST_T], row_of[HOTTEST], row_of[HOTTEST_Z] = sum_t, first_t, hottest, hottest_layer
    return -1


def warm() -> None:
    """Compile everything, on one shower of one point: seconds the first time, then it is read from the cache."""
    points = np.ones((1, 5), np.float32)
    points[0, Z] = 0
    start, stop = np.zeros(1, np.int64), np.ones(1, np.int64)
    for one in (points, start, stop):
        one.flags.writeable = False
    out, counts, other = np.empty((1, 5), np.float32), np.empty(1, np.int64), np.empty(1, np.int64)
    pair, end = np.ones(2, np.float32), np.float32(1)
    shifts = np.zeros((1, 4), np.float32)
    cluster(points, start, stop, shifts, pair, end, 0, 1, out, start, counts)
    pack(out, start, counts, out.copy())
    keep(points, start, stop, end, pair, end, out, start, counts, other)
    shift(points, start, stop, np.zeros((1, 2), np.float32), pair, end, False, out, start, counts)
    layers, hits, radial = np.zeros((1, 1), np.float32), np.zeros((1, 1), np.int32), np.zeros((1, 1), np.float32)
    observe(points, start, stop, pair, end, end, 0, 0, pair, layers, hits, radial, np.zeros((1, N_NUMBERS)))
