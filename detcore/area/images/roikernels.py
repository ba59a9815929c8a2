"""One pass over a window of a frame: sums, extremes, moments.

The frame must be contiguous and the window is given by its limits: only then the compiler knows that neighbours are
neighbours, and makes vector instructions of the loop over a row. Whole numbers of 16 bits are added in 32 bits over
`PIECE` columns, which cannot overflow; real numbers in eight-byte accumulators, one for each column of a piece, four
rows at a time, so that an accumulator is touched once for all of them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

N, SUM, SUM_SQUARES, LARGEST, SMALLEST, SUM_Y, SUM_X, SATURATED = range(8)
N_STATISTICS = 8
PIECE = 256  # columns: 65535 * (0 + 1 + … + 255) is below 2^32
SMALL = 4096  # values below it: 256 of their squares are below 2^32
WIDE = 512  # columns whose accumulators stay in the nearest cache


@njit(cache=True, nogil=True)
def count_saturated(frame, window, good, saturation):  # type: ignore[no-untyped-def]
    """Count the good pixels of a window from a value on."""
    top, bottom, left, right = window[0], window[1], window[2], window[3]
    found = np.int64(0)
    for y in range(top, bottom):
        row = frame[y][left:right]
        if good.size:
            use = good[y - top]
            for x in range(len(row)):
                found += (row[x] >= saturation) & (use[x] != 0)
        else:
            for x in range(len(row)):
                found += row[x] >= saturation
    return found


@njit(cache=True, nogil=True)
def statistics_whole(frame, window, good, limits, result):  # type: ignore[no-untyped-def]
    """Reduce a window of whole numbers of 16 bits without sign; see `statistics_real` for the result.

    Parameters
    ----------
    frame
        (y, x) uint16, contiguous.
    window
        (4,) int64: first and end row, first and end column.
    good
        (y, x) of the window, uint8, contiguous, 1 or 0; or (0, 0) if every pixel counts.
    limits
        (3,) int64 low, high, saturation, each from 0 to 65536. Counted is low <= value <= high; a good pixel is
        saturated if it is >= saturation.
    result
        (8,) float64, written.
    """
    top, bottom, left, right = window[0], window[1], window[2], window[3]
    check = good.size > 0
    if limits[0] > 65535 or limits[1] < limits[0]:
        bottom = top
    low, high = np.uint16(min(limits[0], 65535)), np.uint16(max(min(limits[1], 65535), 0))
    every = np.ones(PIECE, np.uint8)
    kept = np.empty(PIECE, np.uint16)
    nothing, largest = np.uint16(0), np.uint16(65535)
    total = total_y = total_x = total_squares = n = np.int64(0)
    most, least = nothing, largest
    for y in range(top, bottom):
        for start in range(left, right, PIECE):
            width = min(PIECE, right - start)
            row = frame[y][start : start + width]
            use = good[y - top][start - left : start - left + width] if check else every[:width]
            # First what 16 bits are enough for: twice as many of them are worked on at once.
            here = count = nothing
            for x in range(width):
                value = row[x]
                keep = (value >= low) & (value <= high) & (use[x] != 0)
                kept[x] = value if keep else nothing
                here = max(here, kept[x])
                least = min(least, value if keep else largest)
                count = np.uint16(count + np.uint16(keep))
            most = max(most, here)
            total_here = weighted = fine = coarse = np.uint32(0)
            if here < SMALL:
                for x in range(width):
                    wide = np.uint32(kept[x])
                    total_here = np.uint32(total_here + wide)
                    weighted = np.uint32(weighted + np.uint32(wide * np.uint32(x)))
                    fine = np.uint32(fine + np.uint32(wide * wide))
            else:
                for x in range(width):
                    wide = np.uint32(kept[x])
                    square = np.uint32(wide * wide)
                    total_here = np.uint32(total_here + wide)
                    weighted = np.uint32(weighted + np.uint32(wide * np.uint32(x)))
                    fine = np.uint32(fine + np.uint32(square & np.uint32(65535)))
                    coarse = np.uint32(coarse + np.uint32(square >> np.uint32(16)))
            total += np.int64(total_here)
            total_y += np.int64(total_here) * (y - top)
            total_x += np.int64(weighted) + np.int64(total_here) * (start - left)
            total_squares += np.int64(fine) + (np.int64(coarse) << 16)
            n += np.int64(count)
    result[N] = n
    result[SUM] = total
    result[SUM_SQUARES] = total_squares
    result[LARGEST] = most if n else np.nan
    result[SMALLEST] = least if n else np.nan
    result[SUM_Y] = total_y
    result[SUM_X] = total_x
    result[SATURATED] = count_saturated(frame, window, good, limits[2]) if limits[2] <= 65535 else 0


@njit(cache=True, nogil=True)
def statistics_real(frame, window, good, limits, result):  # type: ignore[no-untyped-def]
    """Reduce a window of real numbers; what is not a number, or infinite, does not count.

    Parameters
    ----------
    frame
        (y, x) float32 or float64, contiguous.
    window
        (4,) int64: first and end row, first and end column.
    good
        (y, x) of the window, uint8, contiguous, 1 or 0; or (0, 0) if every pixel counts.
    limits
        (3,) float64 low, high, saturation. Counted is low <= value <= high; a good pixel is saturated if it is
        >= saturation.
    result
        (8,) float64, written: number of counted pixels, sum, sum of squares, largest, smallest (nan of nothing), sums of
        value times row and of value times column in the window, number of saturated pixels.
    """
    top, bottom, left, right = window[0], window[1], window[2], window[3]
    check = good.size > 0
    # The largest finite numbers instead of infinity: one comparison for limits and for "is a number".
    low = max(limits[0], -1.7976931348623157e308)
    high = min(limits[1], 1.7976931348623157e308)
    every = np.ones(WIDE, np.uint8)
    none = np.zeros(WIDE, np.uint8)
    sums = np.empty(WIDE, np.float64)
    weighted = np.empty(WIDE, np.float64)
    squares = np.empty(WIDE, np.float64)
    counts = np.empty(WIDE, np.float64)
    largest = np.empty(WIDE, np.float64)
    smallest = np.empty(WIDE, np.float64)
    total = total_y = total_x = total_squares = n = 0.0
    nothing = np.float64(0.0)
    most, least = -np.inf, np.inf
    for start in range(left, right, WIDE):
        width = min(WIDE, right - start)
        at = start - left
        for x in range(width):
            sums[x] = weighted[x] = squares[x] = counts[x] = 0.0
            largest[x] = -np.inf
            smallest[x] = np.inf
        for y in range(top, bottom, 4):
            rows = min(4, bottom - y)
            second, third, fourth = min(y + 1, bottom - 1), min(y + 2, bottom - 1), min(y + 3, bottom - 1)
            row_a, row_b = frame[y][start : start + width], frame[second][start : start + width]
            row_c, row_d = frame[third][start : start + width], frame[fourth][start : start + width]
            use_a = good[y - top][at : at + width] if check else every[:width]
            use_b = none[:width] if rows < 2 else good[second - top][at : at + width] if check else every[:width]
            use_c = none[:width] if rows < 3 else good[third - top][at : at + width] if check else every[:width]
            use_d = none[:width] if rows < 4 else good[fourth - top][at : at + width] if check else every[:width]
            down = np.float64(y - top)
            for x in range(width):
                a, b, c, d = np.float64(row_a[x]), np.float64(row_b[x]), np.float64(row_c[x]), np.float64(row_d[x])
                keep_a = (a >= low) & (a <= high) & (use_a[x] != 0)
                keep_b = (b >= low) & (b <= high) & (use_b[x] != 0)
                keep_c = (c >= low) & (c <= high) & (use_c[x] != 0)
                keep_d = (d >= low) & (d <= high) & (use_d[x] != 0)
                high_a, high_b = a if keep_a else -np.inf, b if keep_b else -np.inf
                high_c, high_d = c if keep_c else -np.inf, d if keep_d else -np.inf
                above = max(high_a, high_b, high_c, high_d)
                largest[x] = max(above, largest[x])
                low_a, low_b = a if keep_a else np.inf, b if keep_b else np.inf
                low_c, low_d = c if keep_c else np.inf, d if keep_d else np.inf
                below = min(low_a, low_b, low_c, low_d)
                smallest[x] = min(below, smallest[x])
                a, b = a if keep_a else nothing, b if keep_b else nothing
                c, d = c if keep_c else nothing, d if keep_d else nothing
                four = (a + b) + (c + d)
                sums[x] += four
                squares[x] += (a * a + b * b) + (c * c + d * d)
                weighted[x] += four * down + ((b + c) + (c + d)) + (d + d)
                counts[x] += np.float64(np.int32(keep_a) + np.int32(keep_b) + np.int32(keep_c) + np.int32(keep_d))
        for x in range(width):
            total += sums[x]
            total_x += sums[x] * (at + x)
            total_y += weighted[x]
            total_squares += squares[x]
            n += counts[x]
            most = max(most, largest[x])
            least = min(least, smallest[x])
    result[N] = n
    result[SUM] = total
    result[SUM_SQUARES] = total_squares
    result[LARGEST] = most if n else np.nan
    result[SMALLEST] = least if n else np.nan
    result[SUM_Y] = total_y
    result[SUM_X] = total_x
    result[SATURATED] = count_saturated(frame, window, good, limits[2]) if limits[2] < np.inf else 0


@njit(cache=True, nogil=True)
def projections(frame, good, limits, row_sums, row_counts, column_sums, column_counts):  # type: ignore[no-untyped-def]
    """Add up the rows and the columns of a window.

    Parameters
    ----------
    frame
        (y, x) uint16, float32 or float64, contiguous.
    good
        (y, x) uint8, contiguous, 1 or 0; or (0, 0) if every pixel counts.
    limits
        (2,) float64 low and high, inclusive. What is not a number, or infinite, does not count.
    row_sums, row_counts
        (y,) float64 and int64, zero; written.
    column_sums, column_counts
        (x,) float64 and int64, zero; written.
    """
    low = max(limits[0], -1.7976931348623157e308)
    high = min(limits[1], 1.7976931348623157e308)
    check = good.size > 0
    kept = np.empty(frame.shape[1], np.float64)
    there = np.empty(frame.shape[1], np.int64)
    for y in range(frame.shape[0]):
        row = frame[y]
        if check:
            use = good[y]
            for x in range(len(row)):
                value = np.float64(row[x])
                keep = (value >= low) & (value <= high) & (use[x] != 0)
                kept[x] = value if keep else 0.0
                there[x] = 1 if keep else 0
        else:
            for x in range(len(row)):
                value = np.float64(row[x])
                keep = (value >= low) & (value <= high)
                kept[x] = value if keep else 0.0
                there[x] = 1 if keep else 0
        for x in range(len(row)):
            column_sums[x] += kept[x]
            column_counts[x] += there[x]
        total, count = 0.0, np.int64(0)
        for x in range(len(row)):
            total += kept[x]
            count += there[x]
        row_sums[y] = total
        row_counts[y] = count
