"""Running sums of frames: a block of pixels at a time, all frames of a batch through it, then on to the next block.

The block's sums stay in the nearest cache, so that the large arrays of the state are read and written once for a batch
and not once for a frame. Whole numbers of 16 bits are added exactly.
"""

from __future__ import annotations

import numpy as np
from numba import njit

BLOCK = 1024  # px
BATCH = 32768  # frames of 16 bits whose sums fit into 32
WIDE = 4096  # px where little is kept of each
GROUP = 16  # frames
FITTING = 16383  # value whose square fits into 32 bits GROUP times


@njit(cache=True, nogil=True)
def _add_plain(frames, total, squares, largest, smallest):  # type: ignore[no-untyped-def]
    """Add frames of which every value counts, see `add_whole`; four at a time, which spares the sums three journeys.

    Squares are added in 32 bits, twice as many in one instruction as in 64, and again where a value is too large for it.
    """
    n_frames, n_pixels = frames.shape
    sums = np.empty(WIDE, np.uint32)
    short = np.empty(WIDE, np.uint32)
    long = np.empty(WIDE, np.uint64)
    most = np.empty(WIDE, np.uint16)
    least = np.empty(WIDE, np.uint16)
    for start in range(0, n_pixels, WIDE):
        width = min(WIDE, n_pixels - start)
        for first in range(0, n_frames, GROUP):
            last = min(first + GROUP, n_frames)
            for x in range(width):
                sums[x] = 0
                short[x] = 0
                most[x] = 0
                least[x] = 65535
            frame = first
            while frame + 4 <= last:
                one = frames[frame][start : start + width]
                two = frames[frame + 1][start : start + width]
                three = frames[frame + 2][start : start + width]
                four = frames[frame + 3][start : start + width]
                for x in range(width):
                    p, q, r, s = one[x], two[x], three[x], four[x]
                    most[x] = max(max(max(p, q), max(r, s)), most[x])  # noqa: PLW3301 - in pairs, for vectors
                    least[x] = min(min(min(p, q), min(r, s)), least[x])  # noqa: PLW3301
                    a, b, c, d = np.uint32(p), np.uint32(q), np.uint32(r), np.uint32(s)
                    sums[x] += (a + b) + (c + d)
                    short[x] += (a * a + b * b) + (c * c + d * d)
                frame += 4
            while frame < last:
                row = frames[frame][start : start + width]
                for x in range(width):
                    value = row[x]
                    most[x] = max(value, most[x])
                    least[x] = min(value, least[x])
                    sums[x] += np.uint32(value)
                    short[x] += np.uint32(value) * np.uint32(value)
                frame += 1
            top = np.uint16(0)
            for x in range(width):
                top = max(top, most[x])
                total[start + x] += np.uint64(sums[x])
                largest[start + x] = max(largest[start + x], most[x])
                smallest[start + x] = min(smallest[start + x], least[x])
            if top <= FITTING:
                for x in range(width):
                    squares[start + x] += np.uint64(short[x])
                continue
            for x in range(width):
                long[x] = 0
            for frame in range(first, last):
                row = frames[frame][start : start + width]
                for x in range(width):
                    value = np.uint32(row[x])
                    long[x] += np.uint64(value * value)
            for x in range(width):
                squares[start + x] += long[x]


@njit(cache=True, nogil=True)
def add_whole(frames, low, high, threshold, total, squares, largest, smallest, missing, hits):  # type: ignore[no-untyped-def]
    """Add frames of whole numbers.

    Parameters
    ----------
    frames
        (frame, pixel) uint16, contiguous; at most BATCH frames.
    low, high
        uint16: a value outside of low <= value <= high is missing.
    threshold
        uint16: smaller values count as 0, others are hits.
    total, squares
        (pixel,) uint64, added to.
    largest, smallest
        (pixel,) uint16, updated: of the values that are there, with those below the threshold as 0.
    missing, hits
        (pixel,) uint32, added to; without limits and threshold nothing is missing, every value is a hit, and they stay.
    """
    if low == 0 and high == 65535 and threshold == 0:
        _add_plain(frames, total, squares, largest, smallest)
        return
    n_frames, n_pixels = frames.shape
    sums = np.empty(BLOCK, np.uint32)
    seconds = np.empty(BLOCK, np.uint64)
    most = np.empty(BLOCK, np.uint16)
    least = np.empty(BLOCK, np.uint16)
    gone = np.empty(BLOCK, np.uint16)
    struck = np.empty(BLOCK, np.uint16)
    span = np.uint16(high - low)
    for start in range(0, n_pixels, BLOCK):
        width = min(BLOCK, n_pixels - start)
        for x in range(width):
            sums[x] = 0
            seconds[x] = 0
            most[x] = 0
            least[x] = 65535
            gone[x] = 0
            struck[x] = 0
        for frame in range(n_frames):
            row = frames[frame][start : start + width]
            for x in range(width):
                value = row[x]
                there = np.uint16(value - low) <= span
                hit = there & (value >= threshold)
                kept = value if hit else np.uint16(0)
                sums[x] += np.uint32(kept)
                seconds[x] += np.uint64(np.uint32(kept) * np.uint32(kept))
                most[x] = max(kept, most[x])
                floor = kept if there else np.uint16(65535)
                least[x] = min(floor, least[x])
                gone[x] += np.uint16(not there)
                struck[x] += np.uint16(hit)
        for x in range(width):
            total[start + x] += np.uint64(sums[x])
            squares[start + x] += seconds[x]
            largest[start + x] = max(largest[start + x], most[x])
            smallest[start + x] = min(smallest[start + x], least[x])
            missing[start + x] += np.uint32(gone[x])
            hits[start + x] += np.uint32(struck[x])


@njit(cache=True, nogil=True)
def add_real(frames, low, high, thresholds, total, squares, largest, smallest, missing, hits):  # type: ignore[no-untyped-def]
    """Add frames of any numbers; see `add_whole`. What is not a number, or infinite, is missing.

    Parameters
    ----------
    frames
        (frame, pixel), contiguous.
    low, high
        float64.
    thresholds
        (pixel,) or (1,) float64.
    total, squares, largest, smallest
        (pixel,) float64.
    missing, hits
        (pixel,) uint32.
    """
    n_frames, n_pixels = frames.shape
    low, high = max(low, -1.7976931348623157e308), min(high, 1.7976931348623157e308)
    sums = np.empty(BLOCK, np.float64)
    seconds = np.empty(BLOCK, np.float64)
    most = np.empty(BLOCK, np.float64)
    least = np.empty(BLOCK, np.float64)
    gone = np.empty(BLOCK, np.uint32)
    struck = np.empty(BLOCK, np.uint32)
    edges = np.empty(BLOCK, np.float64)
    for start in range(0, n_pixels, BLOCK):
        width = min(BLOCK, n_pixels - start)
        for x in range(width):
            edges[x] = thresholds[start + x] if len(thresholds) > 1 else thresholds[0]
            sums[x] = 0.0
            seconds[x] = 0.0
            most[x] = -np.inf
            least[x] = np.inf
            gone[x] = 0
            struck[x] = 0
        for frame in range(n_frames):
            row = frames[frame][start : start + width]
            for x in range(width):
                value = np.float64(row[x])
                there = (value >= low) & (value <= high)
                hit = there & (value >= edges[x])
                kept = value if hit else 0.0
                sums[x] += kept
                seconds[x] += kept * kept
                above = kept if there else -np.inf
                most[x] = above if above > most[x] else most[x]  # noqa: FURB136 - this one becomes a vector instruction
                below = kept if there else np.inf
                least[x] = below if below < least[x] else least[x]  # noqa: FURB136
                gone[x] += np.uint32(not there)
                struck[x] += np.uint32(hit)
        for x in range(width):
            total[start + x] += sums[x]
            squares[start + x] += seconds[x]
            largest[start + x] = max(largest[start + x], most[x])
            smallest[start + x] = min(smallest[start + x], least[x])
            missing[start + x] += gone[x]
            hits[start + x] += struck[x]


@njit(cache=True, nogil=True, error_model="numpy")
def means(total, missing, frames, result):  # type: ignore[no-untyped-def]
    """Take the mean of each pixel.

    Parameters
    ----------
    total
        (pixel,) uint64 or float64.
    missing
        (pixel,) uint32, of so many `frames`; empty if nothing is.
    result
        (pixel,) float64, written; nan where nothing was counted.
    """
    for x in range(len(total)):
        n = np.float64(frames - (np.int64(missing[x]) if len(missing) else 0))
        result[x] = np.float64(total[x]) / n if n > 0 else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def spreads_whole(total, squares, missing, frames, result):  # type: ignore[no-untyped-def]
    """Take the standard deviation (of the population) of each pixel, of whole numbers.

    Values are moved by the whole number that is nearest to their mean, exactly, so that nothing cancels. See `means`.
    """
    for x in range(len(total)):
        n = frames - (np.int64(missing[x]) if len(missing) else 0)
        sum_, count = np.int64(total[x]), np.float64(n)
        pivot = np.int64(np.float64(sum_) / count + 0.5) if n > 0 else np.int64(0)
        first = sum_ - pivot * n
        second = np.int64(squares[x]) - pivot * (sum_ + first)
        near = np.float64(first) / count
        result[x] = np.sqrt(max(np.float64(second) / count - near * near, 0.0)) if n > 0 else np.nan


@njit(cache=True, nogil=True)
def add_histogram(frames, low, high, first, scale, counts):  # type: ignore[no-untyped-def]
    """Count the values of each pixel in bins.

    Parameters
    ----------
    frames
        (frame, pixel), contiguous, any numbers.
    low, high
        float64: a value outside of low <= value <= high is missing, and so is what is not a number, or infinite.
    first, scale
        float64: lower edge of the first bin, and bins for each unit of the values.
    counts
        (pixel, bin + 2) uint16 or uint32, added to: below, the bins, above.
    """
    n_frames, n_pixels = frames.shape
    bins = counts.shape[1] - 2
    for frame in range(n_frames):
        row = frames[frame]
        for x in range(n_pixels):
            value = np.float64(row[x])
            if (value >= low) & (value <= high) & (abs(value) < np.inf):
                place = np.floor((value - first) * scale)
                number = np.int64(min(max(place, -1.0), np.float64(bins))) + 1
                counts[x, number] += 1


@njit(cache=True, nogil=True)
def medians(counts, first, width, result):  # type: ignore[no-untyped-def]
    """Take the median of each pixel from its histogram.

    Parameters
    ----------
    counts
        (pixel, bin + 2) uint16 or uint32, as `add_histogram` leaves them.
    first, width
        float64: lower edge of the first bin, and the size of one.
    result
        (pixel,) float64, written: the centre of the bin in which the median is, or the mean of two; nan where it is
        outside of the bins, or where nothing was counted.
    """
    n_pixels, size = counts.shape
    for x in range(n_pixels):
        mine = counts[x]
        n = np.int64(0)
        for number in range(size):
            n += mine[number]
        result[x] = np.nan
        if n == 0:
            continue
        found = 0.0
        for middle in ((n - 1) // 2, n // 2):
            rank, number = middle, 0
            while rank >= mine[number]:
                rank -= np.int64(mine[number])
                number += 1
            found += first + (number - 0.5) * width if 0 < number < size - 1 else np.nan
        result[x] = 0.5 * found
