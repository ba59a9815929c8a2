"""Exact medians of the blocks of a panel, subtracted in place.

Blocks of up to `NETWORK` pixels are sorted sixteen and more at a time: a sorting network compares the same places of
all of them, which is one vector instruction for as many blocks as fit in a register. Larger blocks are halved by the
bits of the ordered representation of their numbers. Both give the value that sorting would.
"""

from __future__ import annotations

import numpy as np
from numba import njit

LANES = 64  # blocks sorted at a time
NETWORK = 640  # pixels of a block that is sorted; larger ones are searched by bits
MEDIAN, MEAN = 0, 1


@njit(cache=True, nogil=True)
def sort_lanes(work, n):  # type: ignore[no-untyped-def]
    """Sort the first n rows of every column: merge exchange (Knuth 5.2.2, algorithm M), which suits any n.

    Parameters
    ----------
    work
        (rows * LANES,) float32, row after row; no value is nan. Sorted in place.
    n
        Rows.
    """
    if n < 2:
        return
    top = 1
    while 2 * top < n:
        top *= 2
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while True:
            # The places i with (i & p) == r come in runs of p, and each run is one stretch of memory.
            start = r
            while start < n - d:
                length = min(p, n - d - start) * LANES
                lower = work[start * LANES : start * LANES + length]
                upper = work[(start + d) * LANES : (start + d) * LANES + length]
                for k in range(length):
                    a, b = lower[k], upper[k]
                    lower[k] = min(b, a)
                    upper[k] = max(a, b)
                start += 2 * p
            if q == p:
                break
            d = q - p
            q //= 2
            r = p
        p //= 2


@njit(cache=True, nogil=True)
def ordered_median(values, keys, n):  # type: ignore[no-untyped-def]
    """Return the median of many numbers by counting on the digits of their ordered bits.

    Parameters
    ----------
    values
        (n or more,) float32 without nan.
    keys
        Room for as many uint32.
    n
        At least 1.
    """
    bits = values.view(np.uint32)
    for i in range(n):
        word = bits[i]
        # Negative numbers turn round, positive ones go above them: the order of the keys is that of the numbers.
        keys[i] = ~word if word >> np.uint32(31) else word | np.uint32(0x80000000)
    counts = np.empty(2048, np.int64)
    found = np.empty(2, np.float64)
    single = np.empty(1, np.uint32)
    for which in range(2):
        rank = (n - 1) // 2 if which == 0 else n // 2
        if which == 1 and n % 2 == 1:
            found[1] = found[0]
            break
        prefix, known = np.uint32(0), np.uint32(0)
        for shift, width in ((21, 11), (10, 11), (0, 10)):
            for digit in range(1 << width):
                counts[digit] = 0
            low = np.uint32((1 << width) - 1)
            for i in range(n):
                if keys[i] & known == prefix:
                    counts[(keys[i] >> np.uint32(shift)) & low] += 1
            digit = 0
            while rank >= counts[digit]:
                rank -= counts[digit]
                digit += 1
            prefix |= np.uint32(digit) << np.uint32(shift)
            known |= low << np.uint32(shift)
        single[0] = prefix & np.uint32(0x7FFFFFFF) if prefix >> np.uint32(31) else ~prefix
        found[which] = np.float64(single.view(np.float32)[0])
    return np.float32(0.5 * (found[0] + found[1]))


@njit(cache=True, nogil=True)
def subtract_blocks(panels, use, good, rows, columns, statistic, cap, min_good, min_fraction, applied):  # type: ignore[no-untyped-def]
    """Subtract from the good pixels of each block the median or the mean of those of its pixels that may be used.

    Parameters
    ----------
    panels
        (panel, y, x) float32, contiguous; changed.
    use
        (panel, y, x) uint8, contiguous, 1 where a pixel tells about its block. There no value is nan.
    good
        (panel, y, x) uint8, contiguous, 1 where a pixel is corrected.
    rows, columns
        Size of a block; those at the far edges may be smaller.
    statistic
        MEDIAN or MEAN.
    cap
        A correction is left out from this absolute value on.
    min_good, min_fraction
        It is left out as well if fewer pixels of the block, or a smaller part of it, may be used.
    applied
        (panel, block row, block column) float32: what was subtracted; 0 where it was left out. Written.
    """
    n_panels, ny, nx = panels.shape
    down, across = (ny + rows - 1) // rows, (nx + columns - 1) // columns
    blocks = down * across
    size = min(rows, ny) * min(columns, nx)
    network = statistic == MEDIAN and size <= NETWORK
    work = np.empty(size * LANES if network else size, np.float32)
    keys = np.empty(1 if network else size, np.uint32)
    counts = np.empty(LANES, np.int64)
    sizes = np.empty(LANES, np.int64)
    for panel in range(n_panels):
        image, mine, take = panels[panel], use[panel], good[panel]
        corrections = applied[panel]
        if network:
            for first in range(0, blocks, LANES):
                lanes = min(LANES, blocks - first)
                if rows > 1 and columns == 1 and lanes == LANES and first // across == (first + lanes - 1) // across:
                    _gather_columns(image, mine, first, across, rows, work, counts, sizes, size)
                else:
                    _gather(image, mine, first, lanes, across, rows, columns, work, counts, sizes, size)
                sort_lanes(work, size)
                for lane in range(lanes):
                    n = counts[lane]
                    value = np.float32(0)
                    if n > 0 and n >= min_good and n >= min_fraction * sizes[lane]:
                        lower, upper = work[(n - 1) // 2 * LANES + lane], work[n // 2 * LANES + lane]
                        value = np.float32(0.5 * (np.float64(lower) + np.float64(upper)))
                    block = first + lane
                    corrections[block // across, block % across] = value if abs(value) < cap else np.float32(0)
        else:
            for block in range(blocks):
                top, left = block // across * rows, block % across * columns
                bottom, right = min(ny, top + rows), min(nx, left + columns)
                n, total = 0, 0.0
                for y in range(top, bottom):
                    for x in range(left, right):
                        if mine[y, x]:
                            work[n] = image[y, x]
                            total += image[y, x]
                            n += 1
                value = np.float32(0)
                if n > 0 and n >= min_good and n >= min_fraction * (bottom - top) * (right - left):
                    value = ordered_median(work, keys, n) if statistic == MEDIAN else np.float32(total / n)
                corrections[block // across, block % across] = value if abs(value) < cap else np.float32(0)
        _apply(image, take, corrections, rows, columns)


@njit(cache=True, nogil=True)
def _gather_columns(image, use, first, across, rows, work, counts, sizes, size):  # type: ignore[no-untyped-def]
    """Collect neighbouring columns, which lie side by side already; unused pixels become infinite."""
    top, left = first // across * rows, first % across
    bottom = min(image.shape[0], top + rows)
    for lane in range(LANES):
        counts[lane] = 0
        sizes[lane] = bottom - top
    for y in range(top, bottom):
        row = image[y][left : left + LANES]
        mine = use[y][left : left + LANES]
        target = work[(y - top) * LANES : (y - top + 1) * LANES]
        for lane in range(LANES):
            target[lane] = row[lane] if mine[lane] else np.float32(np.inf)
        for lane in range(LANES):
            counts[lane] += mine[lane]
    for place in range((bottom - top) * LANES, size * LANES):
        work[place] = np.inf


@njit(cache=True, nogil=True)
def _gather(image, use, first, lanes, across, rows, columns, work, counts, sizes, size):  # type: ignore[no-untyped-def]
    """Collect blocks, one in each lane; unused pixels and what is missing at the edges become infinite."""
    ny, nx = image.shape
    for lane in range(LANES):
        if lane >= lanes:
            for place in range(size):
                work[place * LANES + lane] = np.inf
            continue
        block = first + lane
        top, left = block // across * rows, block % across * columns
        bottom, right = min(ny, top + rows), min(nx, left + columns)
        place, count = 0, 0
        for y in range(top, bottom):
            row = image[y][left:right]
            mine = use[y][left:right]
            for x in range(len(row)):
                work[place * LANES + lane] = row[x] if mine[x] else np.float32(np.inf)
                count += mine[x]
                place += 1
        counts[lane] = count
        sizes[lane] = place
        while place < size:
            work[place * LANES + lane] = np.inf
            place += 1


@njit(cache=True, nogil=True)
def _apply(image, good, corrections, rows, columns):  # type: ignore[no-untyped-def]
    """Subtract from each good pixel the number of its block."""
    ny, nx = image.shape
    line = np.empty(nx, np.float32)
    for y in range(ny):
        if y % rows == 0:
            mine = corrections[y // rows]
            for block in range(len(mine)):
                value = mine[block]
                for x in range(block * columns, min(nx, (block + 1) * columns)):
                    line[x] = value
        row, take = image[y], good[y]
        for x in range(nx):
            row[x] = row[x] - line[x] if take[x] else row[x]


@njit(cache=True, nogil=True)
def usable(panels, good, noise, factor, above, neighbours, use):  # type: ignore[no-untyped-def]
    """Find the pixels that tell about their group.

    Parameters
    ----------
    panels
        (panel, y, x) float32.
    good
        (panel, y, x) uint8, 1 or 0.
    noise
        (panel, y, x) float32; or (0, 0, 0).
    factor
        float32: excluded are good pixels of at least so many times their noise.
    above
        float32: excluded are good pixels whose absolute value is above.
    neighbours
        Whether the eight neighbours of those are left out as well.
    use
        (panel, y, x) uint8, written.
    """
    n_panels, ny, nx = panels.shape
    bright = np.zeros((3, nx + 2), np.uint8)
    for panel in range(n_panels):
        for y in range(-1, ny):
            # Row y is decided when the next one is known.
            if y + 1 < ny:
                row, mine, flags = panels[panel][y + 1], good[panel][y + 1], bright[(y + 1) % 3][1 : nx + 1]
                for x in range(nx):
                    flags[x] = np.uint8(abs(row[x]) > above) & mine[x]
                if noise.size:
                    unit = noise[panel][y + 1]
                    for x in range(nx):
                        flags[x] |= np.uint8(row[x] >= factor * unit[x]) & mine[x]
            else:
                flags = bright[(y + 1) % 3]
                for x in range(nx + 2):
                    flags[x] = np.uint8(0)
            if y < 0:
                before = bright[2]
                for x in range(nx + 2):
                    before[x] = np.uint8(0)
                continue
            target, mine = use[panel][y], good[panel][y]
            here = bright[y % 3]
            if neighbours:
                up, down = bright[(y + 2) % 3], bright[(y + 1) % 3]
                for x in range(nx):
                    near = up[x] | up[x + 1] | up[x + 2] | here[x] | here[x + 1] | here[x + 2]
                    near |= down[x] | down[x + 1] | down[x + 2]
                    target[x] = mine[x] & (near ^ 1)
            else:
                for x in range(nx):
                    target[x] = mine[x] & (here[x + 1] ^ 1)
