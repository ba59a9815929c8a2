"""Frames that are not bit planes: LZ4 without bitshuffle, and plain pixels. Same numbers as `bitplanes` gives."""

from __future__ import annotations

import numpy as np
from numba import njit

from detcore.eiger.bitplanes import BROKEN, ENDS, HEADER, LENGTH, REST, big_endian
from detcore.eiger.lz4 import decompress
from detcore.eiger.words import HIGH, LOW, SATURATED, SUM, VALID


@njit(cache=True, nogil=True)
def unpack(payload, decoder, pixels, fault):  # type: ignore[no-untyped-def]
    """Decode a frame of the LZ4 filter of HDF5 (32004).

    Parameters
    ----------
    payload
        (byte,) uint8: u64 length of the frame and u32 length of a block, then each block behind its u32 length, all
        big-endian; a block as long as its content is stored as it is.
    decoder
        Address of an LZ4 decoder, see `lz4.decoder`.
    pixels
        (byte,) uint8, written.
    fault
        (5,) int64, zero: as for `bitplanes.reduce_frames`.
    """
    size, expected = len(payload), len(pixels)
    if size < HEADER:
        fault[0], fault[2], fault[3] = REST, HEADER, size
        return
    found = big_endian(payload, 0, 8)
    if found != expected:
        fault[0], fault[2], fault[3] = LENGTH, found, expected
        return
    block = big_endian(payload, 8, 4)
    at, done, number = HEADER, 0, 0
    while done < expected and block:
        at += 4
        if at <= size:
            at += big_endian(payload, at - 4, 4)
        if at > size:
            break
        done += min(block, expected - done)
        number += 1
    if at > size or done < expected:
        fault[0], fault[1], fault[2], fault[3] = ENDS, number, at, size
        return
    if at != size:
        fault[0], fault[2], fault[3] = REST, at, size
        return
    source, target = payload.ctypes.data, pixels.ctypes.data
    at, done, number = HEADER, 0, 0
    while done < expected:
        length, n = big_endian(payload, at, 4), min(block, expected - done)
        at += 4
        if length == n:
            pixels[done : done + n] = payload[at : at + n]
        else:
            wrote = decompress(decoder, source + np.uintp(at), target + np.uintp(done), length, n)
            if wrote != n:
                fault[0], fault[1], fault[2], fault[3] = BROKEN, number, wrote, n
                return
        at += length
        done += n
        number += 1


@njit(cache=True, nogil=True)
def sum_values(values, good, total, limits, counts, extra):  # type: ignore[no-untyped-def]
    """Compare and add the pixels of a frame.

    Parameters
    ----------
    values
        (pixel,) uint8, uint16 or uint32.
    good
        (pixel,) bool: those that count.
    total
        How many they are.
    limits
        See `words.Limits`.
    counts, extra
        (4,) and (3,) uint64: SUM, VALID, LOW, HIGH and SATURATED are written.
    """
    low, high, saturated = limits
    summed, valid, above, full = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    for i in range(np.uint64(len(values))):
        value = np.uint64(values[i])
        kept = good[i] & (value >= low) & (value <= high)
        summed += value if kept else np.uint64(0)
        valid += np.uint64(kept)
        above += np.uint64(good[i] & (value > high))
        full += np.uint64(good[i] & (value >= saturated))
    counts[SUM], counts[VALID], counts[HIGH] = summed, valid, above
    counts[LOW] = np.uint64(total) - valid - above
    extra[SATURATED] = full


@njit(cache=True, nogil=True)
def add_images(image, other):  # type: ignore[no-untyped-def]
    """Add a bit-sliced image to another: (plane, word) uint64 each; `image` has room for the sum."""
    for w in range(np.uint64(image.shape[1])):
        carry = np.uint64(0)
        for b in range(np.uint64(image.shape[0])):
            one = image[b, w]
            two = other[b, w] if b < np.uint64(other.shape[0]) else np.uint64(0)
            image[b, w] = one ^ two ^ carry
            carry = (one & two) | (carry & (one ^ two))


@njit(cache=True, nogil=True)
def mean_of(image, missing, frames, mean):  # type: ignore[no-untyped-def]
    """Turn bit-sliced sums into means.

    Parameters
    ----------
    image, missing
        (plane, word) uint64: sum of each pixel, and number of frames in which it was not kept.
    frames
        Number of frames.
    mean
        (pixel,) float32, written; not a number where a pixel was never kept.
    """
    sums, lost = np.empty(64, np.uint64), np.empty(64, np.uint64)
    for w in range(np.uint64(image.shape[1])):
        sums[:] = 0
        lost[:] = 0
        for b in range(np.uint64(image.shape[0])):
            word = image[b, w]
            if word:
                for i in range(np.uint64(64)):
                    sums[i] |= ((word >> i) & np.uint64(1)) << b
        for b in range(np.uint64(missing.shape[0])):
            word = missing[b, w]
            if word:
                for i in range(np.uint64(64)):
                    lost[i] |= ((word >> i) & np.uint64(1)) << b
        first = w * np.uint64(64)
        for i in range(min(np.uint64(64), np.uint64(len(mean)) - first)):
            n = np.uint64(frames) - lost[i]
            mean[first + i] = np.float32(sums[i] / n) if n else np.float32(np.nan)
