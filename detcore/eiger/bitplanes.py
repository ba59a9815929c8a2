"""Sums of bitshuffle-LZ4 frames without restoring a single pixel value.

Bitshuffle stores a block of pixels as bit planes, least significant first, and `words` adds up planes. So a frame
costs little more than its LZ4, and less than unpacking it would. Plain pixels are split into planes first, which is
slower; the results are the same by construction.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from detcore.eiger.bits import LANES, U
from detcore.eiger.lz4 import decompress
from detcore.eiger.words import add_more, add_words, finish

HEADER = 12  # bytes: u64 length of the frame, u32 length of a block, both big-endian
LENGTH, BLOCK, ENDS, REST, BROKEN = range(1, 6)
FAULTS = {
    LENGTH: "its header announces {found} bytes, a frame has {expected}",
    BLOCK: "a block length of {found} bytes is no multiple of {expected}",
    ENDS: "block {at} would end at byte {found} of {expected}",
    REST: "its blocks end at byte {found}, the payload at {expected}",
    BROKEN: "block {at} does not decode to {expected} bytes (LZ4 answered {found})",
}
PLAIN = 4096  # pixels that are split into planes at a time


@njit(nogil=True)
def big_endian(payload, at, n):  # type: ignore[no-untyped-def]
    """Read up to 8 bytes of payload as a number; negative beyond 2**63."""
    number = U(0)
    for i in range(n):
        number = (number << U(8)) | U(payload[at + i])
    return np.int64(number)


@njit(nogil=True)
def _block_bytes(payload, start, end, item, pixels):  # type: ignore[no-untyped-def]
    """Check the header of a frame.

    Returns (0, length of a block in bytes, 0, 0), or which fault, 0, found and expected.
    """
    size, expected, one = end - start, pixels * item, 8 * item
    if size < HEADER:
        return REST, 0, HEADER, size
    found, block = big_endian(payload, start, 8), big_endian(payload, start + 8, 4)
    if found != expected:
        return LENGTH, 0, found, expected
    if block == 0 or block % one:
        return BLOCK, 0, block, one
    return 0, max(min(block, expected // one * one), one), 0, 0


@njit(nogil=True)
def _slice(payload, at, n, item, data):  # type: ignore[no-untyped-def]
    """Split n pixels (a multiple of 8, little-endian) into bit planes: what bitshuffle does.

    The bits of eight bytes are transposed in one word (H. S. Warren, Hacker's Delight, section 7-3).
    """
    groups = U(n // 8)
    for byte in range(U(item)):
        for g in range(groups):
            x = U(0)
            for k in range(U(8)):
                x |= U(payload[U(at) + (U(8) * g + k) * U(item) + byte]) << (U(8) * k)
            t = (x ^ (x >> U(7))) & U(0x00AA00AA00AA00AA)
            x ^= t ^ (t << U(7))
            t = (x ^ (x >> U(14))) & U(0x0000CCCC0000CCCC)
            x ^= t ^ (t << U(14))
            t = (x ^ (x >> U(28))) & U(0x00000000F0F0F0F0)
            x ^= t ^ (t << U(28))
            for k in range(U(8)):
                data[(U(8) * byte + k) * groups + g] = (x >> (U(8) * k)) & U(255)


@njit(cache=True, nogil=True)
def reduce_frames(payload, sizes, decoder, item, pixels, limits, selection, result, fault):  # type: ignore[no-untyped-def]
    """Reduce frames.

    Parameters
    ----------
    payload
        (byte,) uint8, the frames one after the other: bitshuffle-LZ4, each with its 12-byte header, or plain pixels.
    sizes
        (frame,) int64, bytes of each.
    decoder
        Address of an LZ4 decoder, see `lz4.decoder`; 0 for plain pixels, little-endian.
    item
        Bytes of a pixel: 1, 2 or 4.
    pixels
        Number of pixels of a frame.
    limits, selection, result
        See `words`; the result is added to.
    fault
        (5,) int64, zero: which of `FAULTS` (0: none), block, found, expected, frame. Of the first broken frame; what
        was written is worthless then.
    """
    bits, source = U(8 * item), payload.ctypes.data
    cursor = np.empty(len(selection.runs) - 1, np.uint64)
    active, numbers, keep = np.zeros(72, np.uint64), np.zeros(5, np.uint64), selection.keep
    more = len(cursor) > 0 or result.columns > 0 or result.image.shape[0] > 0 or len(result.lengths) > 0
    room, end = 0, 0
    for frame in range(len(sizes)):
        start, end = end, end + sizes[frame]
        fault[1] = PLAIN * item
        if decoder:
            fault[0], fault[1], fault[2], fault[3] = _block_bytes(payload, start, end, item, pixels)
        elif end - start != pixels * item:
            fault[0], fault[1], fault[2], fault[3] = LENGTH, 0, end - start, pixels * item
        fault[4] = frame
        if fault[0]:
            return
        block = fault[1]
        if room != block:
            room = block
            raw = np.empty(block + 64 + 8 * LANES, np.uint8)
            shift = -raw.ctypes.data % 64  # whole cache lines
            data = raw[shift : shift + (block + 63) // 64 * 64]
            planes = data.view(np.uint64)
            stride = U(block // item // 64 + 3)  # of what is staged: a rest of 7 bytes, the end, zeros
            staged = np.empty(np.int64(bits * stride + U(LANES)) * 8, np.uint8)
            words = staged.view(np.uint64)
            above = np.empty(np.int64(stride) + LANES, np.uint64)
            inside, other = np.empty_like(above), np.empty_like(above)
        cursor[:] = selection.runs[:-1]
        numbers[:] = 0
        at, left, number, word, filled, last = start, pixels, 0, U(0), 0, False
        if decoder:
            at += HEADER
        while not last:
            n, used, step, count = 0, words, stride, U(0)
            if left >= 8:
                n = min(block // item, left // 8 * 8)
                if decoder:
                    length = big_endian(payload, at, 4) if at + 4 <= end else 0
                    if at + 4 + length > end:  # never leave that to the decoder, which may trust it
                        fault[0], fault[1], fault[2], fault[3] = ENDS, number, at + 4 + length - start, end - start
                        return
                    wrote = decompress(decoder, source + np.uintp(at + 4), data.ctypes.data, length, n * item)
                    if wrote != n * item:
                        fault[0], fault[1], fault[2], fault[3] = BROKEN, number, wrote, n * item
                        return
                    at += 4 + length
                else:
                    _slice(payload, at, n, item, data)
                    at += n * item
                left -= n
                number += 1
            last = left < 8
            if last and at + left * item != end:
                fault[0], fault[1], fault[2], fault[3] = REST, 0, at + left * item - start, end - start
                return
            if n % 64 == 0 and filled == 0 and not (last and left):
                used, step, count = planes, U(n // 64), U(n // 64)
            else:
                filled = _stage(data, n // 8, filled, bits, stride, staged)
                if last:
                    filled = _stage_end(payload, at, left, item, filled, bits, stride, staged)
                count = U(filled // 8)
            some = add_words(used, step, count, word, bits, limits, keep, above, inside, numbers)
            if more:
                add_more(
                    used,
                    step,
                    count,
                    word,
                    bits,
                    limits,
                    selection,
                    some,
                    above,
                    inside,
                    other,
                    active,
                    cursor,
                    frame,
                    result,
                )
            word += count
            if filled:
                filled = _keep_rest(filled, bits, stride, staged)
        finish(limits, selection, frame, numbers, result)


@njit(nogil=True)
def _stage(data, n, filled, bits, stride, staged):  # type: ignore[no-untyped-def]
    """Append n bytes of each plane to what is left of the block before."""
    for b in range(bits):
        line = b * stride * U(8) + U(filled)
        for i in range(U(n)):
            staged[line + i] = data[b * U(n) + i]
    return filled + n


@njit(nogil=True)
def _keep_rest(filled, bits, stride, staged):  # type: ignore[no-untyped-def]
    """Move the bytes after the last whole word to the front; returns how many."""
    rest = filled % 8
    for b in range(bits):
        line = b * stride * U(8)
        for i in range(U(rest)):
            staged[line + i] = staged[line + U(filled - rest) + i]
    return rest


@njit(nogil=True)
def _stage_end(payload, at, n, item, filled, bits, stride, staged):  # type: ignore[no-untyped-def]
    """Append the last n < 8 pixels of a frame, which are stored as they are, and zeros up to a whole word."""
    for b in range(bits):
        line, byte = np.int64(0), at + np.int64(b) // 8
        for i in range(n):
            line |= ((np.int64(payload[byte + i * item]) >> (np.int64(b) % 8)) & 1) << i
        at_byte = b * stride * U(8) + U(filled)
        staged[at_byte] = line
        for i in range(1, 8):
            staged[at_byte + U(i)] = 0
    return (filled + (n > 0) + 7) // 8 * 8
