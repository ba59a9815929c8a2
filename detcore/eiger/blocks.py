"""Sums over the blocks that nearly every frame is made of, 8192 bytes: their sizes are constants here.

The limits are those of `words`, which does the same for blocks of any size.
"""

from __future__ import annotations

from numba import njit

from detcore.eiger.bits import U, popcount


def _whole(n, bits):  # type: ignore[no-untyped-def]
    """Return what `_split` and `_total` do, for blocks of n words of so many planes: with constants, thrice as fast.

    It answers (left, found, total): unless `left` is 0, pixels have the limit's highest bit and must yet be compared;
    `found` is not 0 if a pixel was above. `active` must hold that of the block before, or zeros.
    """
    size, end, two, three, four = U(n), U(bits), U(2 * n), U(3 * n), U(4)

    @njit(nogil=True, inline="always")
    def sum_up(planes, keep, first, length, inside, active):  # type: ignore[no-untyped-def]
        left, found, total, b = U(0), U(0), U(0), length
        for w in range(size):
            inside[w] = keep[first + w]
        while b + four <= end:
            o = b * size
            for w in range(size):
                inside[w] &= ~(planes[o + w] | planes[o + size + w] | planes[o + two + w] | planes[o + three + w])
            b += four
        while b < end:
            o = b * size
            for w in range(size):
                inside[w] &= ~planes[o + w]
            b += U(1)
        o = (length - U(1)) * size
        for w in range(size):
            left |= inside[w] & planes[o + w]
        for w in range(size):
            found |= inside[w] ^ keep[first + w]
        b = U(0)
        while b < length:
            o, used = b * size, U(0)
            if b + four <= length:
                used = active[b] | active[b + U(1)] | active[b + U(2)] | active[b + U(3)]
                for w in range(size if used == U(0) else U(0)):  # if the block before had none
                    used |= inside[w] & (
                        planes[o + w] | planes[o + size + w] | planes[o + two + w] | planes[o + three + w]
                    )
                if used:
                    ones, twos, fours, eights = U(0), U(0), U(0), U(0)
                    for w in range(size):
                        ones += popcount(inside[w] & planes[o + w])
                        twos += popcount(inside[w] & planes[o + size + w])
                        fours += popcount(inside[w] & planes[o + two + w])
                        eights += popcount(inside[w] & planes[o + three + w])
                    total += (ones + (twos << U(1)) + (fours << U(2)) + (eights << U(3))) << b
                    active[b], active[b + U(1)], active[b + U(2)], active[b + U(3)] = ones, twos, fours, eights
                else:
                    active[b], active[b + U(1)], active[b + U(2)], active[b + U(3)] = used, used, used, used
                b += four
            else:
                for w in range(size):
                    used += popcount(inside[w] & planes[o + w])
                active[b] = used
                total += used << b
                b += U(1)
        return left, found, total

    return sum_up


@njit(nogil=True)
def compare_rest(planes, n, limit, length, inside, total):  # type: ignore[no-untyped-def]
    """Compare the pixels that `sum_up` left, which are few; returns (found, total) without those above."""
    found, top = U(0), (length - U(1)) * n
    for w in range(n):
        equal, above, b = inside[w] & planes[top + w], U(0), length - U(1)
        while equal and b > U(0):
            b -= U(1)
            plane = planes[b * n + w]
            if (limit >> b) & U(1):
                equal &= plane
            else:
                above |= equal & plane
                equal &= ~plane
        if above:
            found |= above
            inside[w] &= ~above
            for b in range(length):
                total -= popcount(above & planes[b * n + w]) << b
    return found, total


whole_8 = _whole(128, 8)  # type: ignore[no-untyped-call]
whole_16 = _whole(64, 16)  # type: ignore[no-untyped-call]
whole_32 = _whole(32, 32)  # type: ignore[no-untyped-call]
