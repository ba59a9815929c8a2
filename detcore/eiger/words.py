"""Arithmetic on bit planes: 64 pixels of one plane are one word.

Limits are compared plane by plane for all pixels at once, and a sum is the number of ones in each plane times the
plane's weight. The words of a frame are numbered through, in the order of the pixels.

Loop counters are unsigned: with signed ones every index is tested for wrapping, and nothing is vectorised.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from detcore.eiger.bits import (
    LANES,
    U,
    any_of,
    bit_length,
    both,
    either,
    load,
    nothing,
    ones_of,
    popcount,
    store,
    without,
)

SUM, VALID, LOW, HIGH, FULL = range(5)
SATURATED, MOMENT_X, MOMENT_Y = range(3)
# Bits of the numbers 0..63 at which bit 0, 1, ... of the position in a word is set.
PLACES = (
    0xAAAAAAAAAAAAAAAA,
    0xCCCCCCCCCCCCCCCC,
    0xF0F0F0F0F0F0F0F0,
    0xFF00FF00FF00FF00,
    0xFFFF0000FFFF0000,
    0xFFFFFFFF00000000,
)


class Limits(NamedTuple):
    """What a pixel must fulfil; all uint64."""

    low: np.uint64
    high: np.uint64
    saturated: np.uint64  # from this value on


class Selection(NamedTuple):
    """Pixels that count: those of the frame, and of regions as runs of words that are not empty."""

    keep: np.ndarray  # (word,) uint64
    total: np.ndarray  # (region + 1,) int64: pixels of the frame, then of each region
    first: np.ndarray  # (run,) uint64: word in the frame
    place: np.ndarray  # (run + 1,) uint64: where its bits begin in `words`
    runs: np.ndarray  # (region + 1,) uint64: where the runs of each region begin
    words: np.ndarray  # (kept word,) uint64


class Result(NamedTuple):
    """What is written; `image`, `missing` and `lengths` of size 0 are not wanted."""

    counts: np.ndarray  # (frame, region + 1, 4) uint64: SUM, VALID, LOW, HIGH
    extra: np.ndarray  # (frame, 3) uint64: SATURATED, MOMENT_X, MOMENT_Y
    image: np.ndarray  # (plane, word) uint64: sum of the kept values of each pixel, bit-sliced
    missing: np.ndarray  # (plane, word) uint64: in how many frames a pixel was not kept, bit-sliced
    lengths: np.ndarray  # (66,) int64: pixels by the bit length of their value; [65]: all ones
    columns: int  # of the image for the first moments (centre of mass); 0: not wanted


@njit(nogil=True, forceinline=True)
def _above(planes, stride, at, bits, limit, candidates):  # type: ignore[no-untyped-def]
    """Return those of the candidates (`many`) at word `at` whose value, of so many bits, is above `limit`.

    Planes above the limit's highest bit decide alone, and nearly always no other pixel has that bit either: the
    comparison from the most significant bit down is rarely reached.
    """
    length, over = bit_length(limit), nothing()
    for b in range(length, bits):
        over = either(over, load(planes, b * stride + at))
    over = both(over, candidates)
    if length > U(0) and (limit + U(1)) >> length != U(1):  # else all ones: nothing of that length is above
        equal = both(without(candidates, over), load(planes, (length - U(1)) * stride + at))
        left = length - U(1) if any_of(equal) else U(0)
        while left > U(0):
            while left > U(0) and (limit >> (left - U(1))) & U(1):
                left -= U(1)
                equal = both(equal, load(planes, left * stride + at))
            if left > U(0):
                left -= U(1)
                plane = load(planes, left * stride + at)
                over = either(over, both(equal, plane))
                equal = without(equal, plane)
    return over


@njit(nogil=True)
def _moments(planes, stride, n, word, top, inside, active, columns, extra):  # type: ignore[no-untyped-def]
    """Add the first moments of the kept values: position in the word from index-bit masks, then rows are told apart."""
    pixel = word * U(64)
    y = pixel // columns
    x = pixel - y * columns
    along, rows = U(0), U(0)  # sums of value times number of the pixel, and times its row
    for p in range(top):
        if active[p]:
            for i, place in enumerate(PLACES):
                ones = U(0)
                for w in range(n):
                    ones += popcount(planes[p * stride + w] & inside[w] & U(place))
                along += ones << (p + U(i))
    for w in range(n):
        total = U(0)
        for p in range(top):
            if active[p]:
                total += popcount(planes[p * stride + w] & inside[w]) << p
        along += total * (pixel + U(64) * w)
        rows += total * y
        x += U(64)
        while x >= columns:  # the last x - columns pixels of this word are in the next row
            x -= columns
            y += U(1)
            if x and total:
                rest = inside[w] & (~U(0) << (U(64) - x))
                for p in range(top):
                    if active[p]:
                        rows += popcount(planes[p * stride + w] & rest) << p
    extra[MOMENT_X] += along - columns * rows
    extra[MOMENT_Y] += rows


@njit(nogil=True)
def _add_sliced(image, word, n, first, carry):  # type: ignore[no-untyped-def]
    """Add a plane of ones to a bit-sliced image, from plane `first` on; the carry is used up."""
    left = U(1)
    b = first
    while left and b < U(image.shape[0]):
        left = U(0)
        for w in range(n):
            before = image[b, word + w]
            image[b, word + w] = before ^ carry[w]
            carry[w] &= before
            left |= carry[w]
        b += U(1)


@njit(nogil=True)
def _add_values(planes, stride, n, word, top, inside, active, image, carry):  # type: ignore[no-untyped-def]
    """Add the kept values to a bit-sliced image."""
    for w in range(n):
        carry[w] = U(0)
    left = U(0)
    for b in range(top):
        if active[b] or left:
            left = U(0)
            for w in range(n):
                one, two, three = planes[b * stride + w] & inside[w], image[b, word + w], carry[w]
                image[b, word + w] = one ^ two ^ three
                carry[w] = (one & two) | (three & (one ^ two))
                left |= carry[w]
    if left:
        _add_sliced(image, word, n, top, carry)


@njit(nogil=True)
def _lengths(planes, stride, n, bits, keep, first, seen, lengths):  # type: ignore[no-untyped-def]
    """Count the kept pixels by the position of their highest bit."""
    for w in range(n):
        seen[w] = U(0)
    b = bits
    while b > U(0):
        b -= U(1)
        fresh = U(0)
        for w in range(n):
            fresh |= planes[b * stride + w] & keep[first + w] & ~seen[w]
        if fresh:
            ones = U(0)
            for w in range(n):
                ones += popcount(planes[b * stride + w] & keep[first + w] & ~seen[w])
                seen[w] |= planes[b * stride + w] & keep[first + w]
            lengths[b + U(1)] += ones
            if b == bits - U(1):
                for w in range(n):
                    full = seen[w]
                    for lower in range(b):
                        full &= planes[lower * stride + w]
                    lengths[65] += popcount(full)


@njit(nogil=True)
def _regions(planes, stride, n, word, top, inside, some, above, selection, active, cursor, counts):  # type: ignore[no-untyped-def]
    """Sum up each region over the words that it has here."""
    for k in range(U(len(cursor))):
        run, end = cursor[k], selection.runs[k + U(1)]
        total, valid, high = U(0), U(0), U(0)
        while run < end:
            place = selection.place[run]
            start = selection.first[run]
            stop = start + selection.place[run + U(1)] - place
            if start >= word + n:
                break
            first, last = max(start, word), min(stop, word + n)
            words = selection.words[np.int64(place + first - start) : np.int64(place + last - start)]
            for i in range(last - first):
                valid += popcount(inside[first - word + i] & words[i])
            if some:
                for i in range(last - first):
                    high += popcount(above[first - word + i] & words[i])
            for p in range(top):
                if active[p]:
                    o, ones = p * stride + first - word, U(0)
                    for i in range(last - first):
                        ones += popcount(planes[o + i] & inside[first - word + i] & words[i])
                    total += ones << p
            if stop > word + n:
                break
            run += U(1)
        cursor[k] = run
        counts[k + U(1), SUM] += total
        counts[k + U(1), VALID] += valid
        counts[k + U(1), HIGH] += high


@njit(nogil=True, forceinline=True)
def add_words(planes, stride, n, word, bits, limits, keep, above, inside, numbers):  # type: ignore[no-untyped-def]
    """Add some words of a frame to its numbers.

    Parameters
    ----------
    planes
        (plane * stride,) uint64; the first `n` words of each plane are meant, they are `word`, ... of the frame.
        Whatever is behind them, LANES words can be read there.
    keep
        (word,) uint64, pixels of the frame that count.
    above, inside
        (at least n + LANES,) uint64, written: pixels above the upper limit, if there are any, and within both.
    numbers
        (5,) uint64, added to: SUM, VALID, LOW, HIGH, FULL.

    Returns
    -------
    bool
        Whether there is any above.
    """
    low, high, saturated = limits
    top, step = bit_length(high), U(LANES)
    some, total, valid, too_high, full, at = False, U(0), U(0), U(0), U(0), U(0)
    while at < n:
        if at + step <= n:
            kept = load(keep, word + at)
        else:  # what is behind the words does not count
            store(inside, at, nothing())
            for w in range(at, n):
                inside[w] = keep[word + w]
            kept = load(inside, at)
        over = _above(planes, stride, at, bits, high, kept)
        within = without(kept, over)
        there = any_of(over)
        if there:
            too_high += ones_of(over)
            if not some:
                for w in range(at):
                    above[w] = U(0)
            some = True
        if some:
            store(above, at, over)
        if saturated <= high:
            full += ones_of(_above(planes, stride, at, bits, saturated - U(1), kept))
        elif there:
            full += ones_of(_above(planes, stride, at, bits, saturated - U(1), over))
        if low > U(0):
            within = _above(planes, stride, at, top, low - U(1), within)
            valid += ones_of(within)
        store(inside, at, within)
        for b in range(top):
            plane = both(within, load(planes, b * stride + at))
            if any_of(plane):
                total += ones_of(plane) << b
        at += step
    numbers[SUM] += total
    numbers[VALID] += valid
    numbers[HIGH] += too_high
    numbers[FULL] += full
    return some


@njit(nogil=True)
def add_more(  # type: ignore[no-untyped-def]
    planes, stride, n, word, bits, limits, selection, some, above, inside, other, active, cursor, frame, result
):
    """Add the same words to what else is wanted; to be called after `add_words`."""
    top = bit_length(limits.high)
    for p in range(top):
        active[p] = U(0)
        for w in range(n):
            active[p] |= planes[p * stride + w] & inside[w]
    if len(cursor):
        _regions(planes, stride, n, word, top, inside, some, above, selection, active, cursor, result.counts[frame])
    if result.columns:
        _moments(planes, stride, n, word, top, inside, active, U(result.columns), result.extra[frame])
    if result.image.shape[0]:
        _add_values(planes, stride, n, word, top, inside, active, result.image, other)
        left = U(0)
        for w in range(n):
            other[w] = selection.keep[word + w] & ~inside[w]
            left |= other[w]
        if left:
            _add_sliced(result.missing, word, n, U(0), other)
    if len(result.lengths):
        _lengths(planes, stride, n, bits, selection.keep, word, other, result.lengths)


@njit(nogil=True)
def finish(limits, selection, frame, numbers, result):  # type: ignore[no-untyped-def]
    """Write the numbers of a frame, and what follows from them."""
    counts = result.counts[frame]
    counts[0, SUM], counts[0, VALID], counts[0, HIGH] = numbers[SUM], numbers[VALID], numbers[HIGH]
    result.extra[frame, SATURATED] = numbers[FULL]
    if limits.low == U(0):
        counts[0, VALID] = U(selection.total[0]) - numbers[HIGH]
    for k in range(len(counts)):
        counts[k, LOW] = U(selection.total[k]) - counts[k, VALID] - counts[k, HIGH]
