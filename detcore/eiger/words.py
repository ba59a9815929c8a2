"""Arithmetic on bit planes: 64 pixels of one plane are one word.

Limits are compared plane by plane for all pixels at once, and a sum is the number of ones in each plane times the
plane's weight. The words of a frame are numbered through, in the order of the pixels.

Loop counters are unsigned: with signed ones every index is tested for wrapping, and nothing is vectorised.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from detcore.eiger.bits import U, bit_length, popcount
from detcore.eiger.blocks import compare_rest, whole_8, whole_16, whole_32

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


@njit(nogil=True)
def _split(planes, stride, n, bits, limit, keep, first, rest, equal):  # type: ignore[no-untyped-def]
    """Leave in `rest` the pixels of keep[first], ... that are not above `limit`; returns whether any was.

    Planes above the limit's highest bit decide alone, and nearly always no other pixel has that bit either: the
    comparison from the most significant bit down is rarely reached. Planes are taken four at a time, the last one
    several times if they do not come out even. Each loop writes one array: with two, LLVM would need more checks
    whether arrays overlap than it allows itself, and would not vectorise.
    """
    length, end, found, left = bit_length(limit), bits - U(1), U(0), U(0)
    for w in range(n):
        rest[w] = keep[first + w]
    b = length
    while b < bits:
        one, two = b * stride, min(b + U(1), end) * stride
        three, four = min(b + U(2), end) * stride, min(b + U(3), end) * stride
        for w in range(n):
            over = planes[one + w] | planes[two + w] | planes[three + w] | planes[four + w]
            found |= rest[w] & over
            rest[w] &= ~over
        b += U(4)
    if length > U(0) and (limit + U(1)) >> length != U(1):  # else all ones: nothing of that length is above
        top = (length - U(1)) * stride
        for w in range(n):
            left |= rest[w] & planes[top + w]
        if left:
            found |= _compare(planes, stride, n, limit, length, rest, equal)
    return found != U(0)


@njit(nogil=True)
def _compare(planes, stride, n, limit, length, rest, equal):  # type: ignore[no-untyped-def]
    """Take what is above `limit` out of `rest`, bit by bit; returns 0 if there was none."""
    found, left, b = U(0), U(1), length
    for w in range(n):
        equal[w] = rest[w]
    while b > U(0) and left != U(0):
        b -= U(1)
        o, left = b * stride, U(0)
        if (limit >> b) & U(1):
            for w in range(n):
                equal[w] &= planes[o + w]
                left |= equal[w]
        else:
            for w in range(n):
                over = equal[w] & planes[o + w]
                found |= over
                rest[w] &= ~over
            for w in range(n):
                equal[w] &= ~planes[o + w]
                left |= equal[w]
    return found


@njit(nogil=True)
def _total(planes, stride, n, top, inside, active):  # type: ignore[no-untyped-def]
    """Add up the values of the pixels `inside`; note which planes have any of their bits."""
    total, b = U(0), U(0)
    while b < top:
        last = top - U(1)
        one, two = b * stride, min(b + U(1), last) * stride
        three, four = min(b + U(2), last) * stride, min(b + U(3), last) * stride
        found = U(0)
        for w in range(n):
            found |= inside[w] & (planes[one + w] | planes[two + w] | planes[three + w] | planes[four + w])
        if found:
            ones, twos, fours, eights = U(0), U(0), U(0), U(0)
            for w in range(n):
                ones += popcount(inside[w] & planes[one + w])
                twos += popcount(inside[w] & planes[two + w])
                fours += popcount(inside[w] & planes[three + w])
                eights += popcount(inside[w] & planes[four + w])
            active[b], active[b + U(1)], active[b + U(2)], active[b + U(3)] = ones, twos, fours, eights
            for p in range(b, min(b + U(4), top)):
                total += active[p] << p
        else:
            active[b], active[b + U(1)], active[b + U(2)], active[b + U(3)] = found, found, found, found
        b += U(4)
    return total


@njit(nogil=True)
def _at_least(planes, stride, n, bits, limit, candidates):  # type: ignore[no-untyped-def]
    """Count the candidates whose value is `limit` or more; they are few."""
    count = U(0)
    for w in range(n):
        equal, above, b = candidates[w], U(0), bits
        while equal and b > U(0):
            b -= U(1)
            plane = planes[b * stride + w]
            if (limit >> b) & U(1):
                equal &= plane
            else:
                above |= equal & plane
                equal &= ~plane
        count += popcount(equal | above)
    return count


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
                lengths[65] += _at_least(planes, stride, n, bits, (U(2) << b) - U(1), seen)


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


@njit(nogil=True, inline="always")  # a call with a dozen arrays costs as much as the work
def add_words(planes, stride, n, word, bits, limits, keep, above, inside, other, spare, active, numbers):  # type: ignore[no-untyped-def]
    """Add some words of a frame to its numbers.

    Parameters
    ----------
    planes
        (plane * stride,) uint64; the first `n` words of each plane are meant, they are `word`, ... of the frame.
    keep
        (word,) uint64, pixels of the frame that count.
    above, inside, other, spare
        (at least n,) uint64, written: pixels above the upper limit (unless there is none), within both; scratch.
    active
        (72,) uint64, written: 0 for planes without a bit of the pixels inside.
    numbers
        (5,) uint64, added to: SUM, VALID, LOW, HIGH, FULL.

    Returns
    -------
    bool
        Whether there is any above.
    """
    low, high, saturated = limits
    top = bit_length(high)
    left, found, total, known = U(0), U(0), U(0), n == stride and top > U(0)
    if known:
        if bits == U(16) and n == U(64):
            left, found, total = whole_16(planes, keep, word, top, inside, active)
        elif bits == U(32) and n == U(32):
            left, found, total = whole_32(planes, keep, word, top, inside, active)
        elif bits == U(8) and n == U(128):
            left, found, total = whole_8(planes, keep, word, top, inside, active)
        else:
            known = False
    if not known:
        some = _split(planes, stride, n, bits, high, keep, word, inside, other)
    else:
        if left:
            left, total = compare_rest(planes, n, high, top, inside, total)
        some = (found | left) != U(0)
    if some:
        count = U(0)
        for w in range(n):
            above[w] = keep[word + w] & ~inside[w]
            count += popcount(above[w])
        numbers[HIGH] += count
    if saturated <= high:
        for w in range(n):
            other[w] = U(0)
        for b in range(bit_length(saturated) - U(1), bits):
            for w in range(n):
                other[w] |= planes[b * stride + w] & keep[word + w]
        numbers[FULL] += _at_least(planes, stride, n, bits, saturated, other)
    elif some:
        numbers[FULL] += _at_least(planes, stride, n, bits, saturated, above)
    if low == U(1) and known:  # only zeros are too low, and they change no sum
        valid = U(0)
        for w in range(n):
            other[w] = U(0)
        for b in range(top):
            if active[b]:
                for w in range(n):
                    other[w] |= planes[b * stride + w]
        for w in range(n):
            inside[w] &= other[w]
            valid += popcount(inside[w])
        numbers[VALID] += valid
    elif low > U(0):
        valid, known = U(0), False
        _split(planes, stride, n, bits, low - U(1), inside, U(0), other, spare)
        for w in range(n):
            inside[w] &= ~other[w]
            valid += popcount(inside[w])
        numbers[VALID] += valid
    numbers[SUM] += total if known else _total(planes, stride, n, top, inside, active)
    return some


@njit(nogil=True)
def add_more(  # type: ignore[no-untyped-def]
    planes, stride, n, word, bits, limits, selection, some, above, inside, other, active, cursor, frame, result
):
    """Add the same words to what else is wanted; to be called after `add_words`."""
    top = bit_length(limits.high)
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
