"""One pass over a window of a frame: sums, extremes, moments.

The frame must be contiguous and the window is given by its limits: only then the compiler knows that neighbours are
neighbours, and makes vector instructions of the loop over a row. Whole numbers of 16 bits are added in 32 bits over
`PIECE` columns, which cannot overflow; real numbers in eight-byte accumulators, one for each column of a piece.
"""

from __future__ import annotations

import numpy as np
from numba import njit

N, SUM, SUM_SQUARES, LARGEST, SMALLEST, SUM_Y, SUM_X, SATURATED = range(8)
N_STATISTICS = 8
PIECE = 256  # columns: 65535 * (0 + 1 + … + 255) is below 2^32
WIDE = 512  # columns whose accumulators stay in the nearest cache


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
    low, high, saturation = np.uint32(limits[0]), np.uint32(limits[1]), np.uint32(limits[2])
    plain = low == 0 and high >= 65535 and saturation > 65535
    total = total_y = total_x = total_squares = n = n_saturated = np.int64(0)
    most, least = np.uint32(0), np.uint32(65535)
    for y in range(top, bottom):
        for start in range(left, right, PIECE):
            width = min(PIECE, right - start)
            row = frame[y][start : start + width]
            total_here = weighted = fine = coarse = count = saturated = np.uint32(0)
            if check:
                use = good[y - top][start - left : start - left + width]
                for x in range(width):
                    value = np.uint32(row[x])
                    mine = np.uint32(use[x])
                    keep = np.uint32((value >= low) & (value <= high)) & mine
                    kept = np.uint32(value * keep)
                    square = np.uint32(kept * kept)
                    total_here = np.uint32(total_here + kept)
                    weighted = np.uint32(weighted + np.uint32(kept * np.uint32(x)))
                    fine = np.uint32(fine + np.uint32(square & np.uint32(0xFFFF)))
                    coarse = np.uint32(coarse + np.uint32(square >> np.uint32(16)))
                    count = np.uint32(count + keep)
                    saturated = np.uint32(saturated + (np.uint32(value >= saturation) & mine))
                    most = max(most, kept)
                    least = min(least, value if keep else np.uint32(65535))
            elif plain:
                for x in range(width):
                    value = np.uint32(row[x])
                    square = np.uint32(value * value)
                    total_here = np.uint32(total_here + value)
                    weighted = np.uint32(weighted + np.uint32(value * np.uint32(x)))
                    fine = np.uint32(fine + np.uint32(square & np.uint32(0xFFFF)))
                    coarse = np.uint32(coarse + np.uint32(square >> np.uint32(16)))
                    most = max(most, value)
                    least = min(least, value)
                count = np.uint32(width)
            else:
                for x in range(width):
                    value = np.uint32(row[x])
                    keep = np.uint32((value >= low) & (value <= high))
                    kept = np.uint32(value * keep)
                    square = np.uint32(kept * kept)
                    total_here = np.uint32(total_here + kept)
                    weighted = np.uint32(weighted + np.uint32(kept * np.uint32(x)))
                    fine = np.uint32(fine + np.uint32(square & np.uint32(0xFFFF)))
                    coarse = np.uint32(coarse + np.uint32(square >> np.uint32(16)))
                    count = np.uint32(count + keep)
                    saturated = np.uint32(saturated + np.uint32(value >= saturation))
                    most = max(most, kept)
                    least = min(least, value if keep else np.uint32(65535))
            total += np.int64(total_here)
            total_y += np.int64(total_here) * (y - top)
            total_x += np.int64(weighted) + np.int64(total_here) * (start - left)
            total_squares += np.int64(fine) + (np.int64(coarse) << 16)
            n += np.int64(count)
            n_saturated += np.int64(saturated)
    result[N] = n
    result[SUM] = total
    result[SUM_SQUARES] = total_squares
    result[LARGEST] = most if n else np.nan
    result[SMALLEST] = least if n else np.nan
    result[SUM_Y] = total_y
    result[SUM_X] = total_x
    result[SATURATED] = n_saturated


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
    saturation = limits[2]
    sums = np.empty(WIDE, np.float64)
    weighted = np.empty(WIDE, np.float64)
    squares = np.empty(WIDE, np.float64)
    counts = np.empty(WIDE, np.float64)
    saturated = np.empty(WIDE, np.float64)
    largest = np.empty(WIDE, np.float64)
    smallest = np.empty(WIDE, np.float64)
    total = total_y = total_x = total_squares = n = n_saturated = 0.0
    most, least = -np.inf, np.inf
    for start in range(left, right, WIDE):
        width = min(WIDE, right - start)
        at = start - left
        sums[:] = 0
        weighted[:] = 0
        squares[:] = 0
        counts[:] = 0
        saturated[:] = 0
        largest[:] = -np.inf
        smallest[:] = np.inf
        for y in range(top, bottom):
            row = frame[y][start : start + width]
            down = np.float64(y - top)
            if check:
                use = good[y - top][at : at + width]
                for x in range(width):
                    value = np.float64(row[x])
                    mine = use[x] != 0
                    keep = (value >= low) & (value <= high) & mine
                    kept = value if keep else 0.0
                    sums[x] += kept
                    squares[x] += kept * kept
                    weighted[x] += kept * down
                    counts[x] += 1.0 if keep else 0.0
                    saturated[x] += 1.0 if (value >= saturation) & mine else 0.0
                    above = value if keep else -np.inf
                    largest[x] = max(largest[x], above)
                    below = value if keep else np.inf
                    smallest[x] = min(smallest[x], below)
            else:
                for x in range(width):
                    value = np.float64(row[x])
                    keep = (value >= low) & (value <= high)
                    kept = value if keep else 0.0
                    sums[x] += kept
                    squares[x] += kept * kept
                    weighted[x] += kept * down
                    counts[x] += 1.0 if keep else 0.0
                    saturated[x] += 1.0 if value >= saturation else 0.0
                    above = value if keep else -np.inf
                    largest[x] = max(largest[x], above)
                    below = value if keep else np.inf
                    smallest[x] = min(smallest[x], below)
        for x in range(width):
            total += sums[x]
            total_x += sums[x] * (at + x)
            total_y += weighted[x]
            total_squares += squares[x]
            n += counts[x]
            n_saturated += saturated[x]
            most = max(most, largest[x])
            least = min(least, smallest[x])
    result[N] = n
    result[SUM] = total
    result[SUM_SQUARES] = total_squares
    result[LARGEST] = most if n else np.nan
    result[SMALLEST] = least if n else np.nan
    result[SUM_Y] = total_y
    result[SUM_X] = total_x
    result[SATURATED] = n_saturated


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
