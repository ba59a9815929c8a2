"""The loops over hits. They take plain arrays, release the interpreter lock and do no I/O.

A channel is ``detector_id * 512 + element_id`` as uint16, so that a table of 65536 entries can be indexed without
any check: ids that do not fit are sorted out once, in `clean`, when the data is read.
"""

from __future__ import annotations

import numpy as np
from numba import njit

CHANNELS = 1 << 16
ELEMENT_BITS = 9
FILL = 2147483647  # what some writers put in unused slots (the largest int32)


@njit(cache=True, nogil=True)
def unwrap(raw, offsets, header_bytes, content):  # type: ignore[no-untyped-def]
    """Copy entries without their headers: raw (byte,), offsets (entry + 1,) in bytes -> content (byte,)."""
    at = 0
    for entry in range(len(offsets) - 1):
        for position in range(offsets[entry] + header_bytes, offsets[entry + 1]):
            content[at] = raw[position]
            at += 1


@njit(cache=True, nogil=True)
def clean(detector, element, counts, n_elements, channel, keep, kept, dropped, n_dropped, n_padding):  # type: ignore[no-untyped-def]
    """Turn ids into channels and sort out those that do not exist.

    Parameters
    ----------
    detector, element
        (hit,) ids as in the file.
    counts
        (event,) hits of each event.
    n_elements
        (128,) elements of each known detector; 0 for one that is not in the table.
    channel, keep
        (hit,) uint16 and bool, written; `channel` is filled from the front with the hits that are kept.
    kept, n_dropped, n_padding
        (event,) int32, written: hits that are kept; with an impossible id; fill values of unused slots.
    dropped
        (hit,) uint8, written from the front: detector of each dropped hit, 0 if the detector id is impossible.

    Returns
    -------
    (int, int)
        How many are kept and dropped.
    """
    hit = 0
    n_kept = 0
    n_bad = 0
    for event in range(len(counts)):
        before_kept, before_bad, padding = n_kept, n_bad, 0
        for _ in range(counts[event]):
            d = np.int64(detector[hit])
            e = np.int64(element[hit])
            fine = False
            if d <= 0 or d == FILL:
                padding += 1
            elif d > 127:
                dropped[n_bad] = 0
                n_bad += 1
            else:
                limit = n_elements[d] if n_elements[d] > 0 else 511
                if 1 <= e <= limit:
                    channel[n_kept] = (d << ELEMENT_BITS) | e
                    n_kept += 1
                    fine = True
                else:
                    dropped[n_bad] = d
                    n_bad += 1
            keep[hit] = fine
            hit += 1
        kept[event] = n_kept - before_kept
        n_dropped[event] = n_bad - before_bad
        n_padding[event] = padding
    return n_kept, n_bad


@njit(cache=True, nogil=True)
def count(channel, counts, hits, fired):  # type: ignore[no-untyped-def]
    """Count hits, and events in which a channel fired.

    Both counts of a channel sit side by side, and the event that fired it last in the upper half of the second:
    one cache line and no branch for each hit, 3.5 times faster than three tables and a test.

    Parameters
    ----------
    channel
        (hit,) uint16.
    counts
        (event,) hits of each event; at most 2**31 events.
    hits, fired
        (65536,) int64, added to.
    """
    lower = np.int64(0xFFFFFFFF)
    table = np.zeros(2 * CHANNELS, np.int64)
    hit = 0
    for event in range(len(counts)):
        stamp = np.int64(event + 1) << 32
        for _ in range(counts[event]):
            place = 2 * np.int64(channel[hit])
            table[place] += 1
            before = table[place + 1]
            table[place + 1] = stamp | ((before & lower) + ((before & ~lower) != stamp))
            hit += 1
    for one in range(CHANNELS):
        hits[one] += table[2 * one]
        fired[one] += table[2 * one + 1] & lower


@njit(cache=True, nogil=True)
def count_flagged(channel, flag, bits, hits):  # type: ignore[no-untyped-def]
    """Count the hits (hit,) whose flag has one of `bits` into hits (65536,)."""
    for hit in range(len(channel)):
        if flag[hit] & bits:
            hits[channel[hit]] += 1


@njit(cache=True, nogil=True)
def count_slices(channel, counts, part, hits, events):  # type: ignore[no-untyped-def]
    """Count hits by slice and detector.

    Parameters
    ----------
    channel, counts
        (hit,) and (event,).
    part
        (event,) slice of each event.
    hits, events
        (slice, 128) and (slice,) int64, added to.
    """
    hit = 0
    for event in range(len(counts)):
        row = hits[part[event]]
        events[part[event]] += 1
        for _ in range(counts[event]):
            row[channel[hit] >> ELEMENT_BITS] += 1
            hit += 1


@njit(cache=True, nogil=True)
def histogram_times(channel, time, low, width, hits, outside, missing):  # type: ignore[no-untyped-def]
    """Histogram times by detector.

    Parameters
    ----------
    channel, time
        (hit,) and (hit,) in ns.
    low, width
        First edge and bin width, ns.
    hits, outside, missing
        (128, bin), (128,) and (128,) int64, added to; `missing` counts times that are not a number.
    """
    bins = hits.shape[1]
    for hit in range(len(channel)):
        t = time[hit]
        detector = channel[hit] >> ELEMENT_BITS
        if np.isnan(t):
            missing[detector] += 1
        else:
            position = (np.float64(t) - low) / width
            if 0 <= position < bins:
                hits[detector, int(position)] += 1
            else:
                outside[detector] += 1


@njit(cache=True, nogil=True)
def histogram_times_of(channel, time, detector, low, width, hits):  # type: ignore[no-untyped-def]
    """Histogram the times of one detector by element: adds to hits (512, bin)."""
    bins = hits.shape[1]
    for hit in range(len(channel)):
        if channel[hit] >> ELEMENT_BITS == detector:
            position = (np.float64(time[hit]) - low) / width
            if 0 <= position < bins:
                hits[channel[hit] & 511, int(position)] += 1


@njit(cache=True, nogil=True)
def count_pairs(channel, counts, first, second, events):  # type: ignore[no-untyped-def]
    """Count events in which two elements of two detectors both fired.

    Parameters
    ----------
    channel, counts
        (hit,) and (event,).
    first, second
        (pair,) detector ids.
    events
        (pair, 64, 64) int64, added to; elements above 63 are left out.
    """
    fired = np.zeros(128, np.uint64)
    hit = 0
    for event in range(len(counts)):
        fired[:] = 0
        for _ in range(counts[event]):
            element = channel[hit] & 511
            if element < 64:
                fired[channel[hit] >> ELEMENT_BITS] |= np.uint64(1) << np.uint64(element)
            hit += 1
        for pair in range(len(first)):
            a, b = fired[first[pair]], fired[second[pair]]
            if a and b:
                for i in range(64):
                    if (a >> np.uint64(i)) & np.uint64(1):
                        for j in range(64):
                            if (b >> np.uint64(j)) & np.uint64(1):
                                events[pair, i, j] += 1


@njit(cache=True, nogil=True)
def spread(per_event, counts, per_hit):  # type: ignore[no-untyped-def]
    """Repeat a value (event,) for each hit of its event: writes per_hit (hit,)."""
    hit = 0
    for event in range(len(counts)):
        for _ in range(counts[event]):
            per_hit[hit] = per_event[event]
            hit += 1


@njit(cache=True, nogil=True)
def count_kept(keep, counts, kept):  # type: ignore[no-untyped-def]
    """Count the hits that a filter keeps in each event: keep (hit,), counts (event,) -> kept (event,)."""
    hit = 0
    for event in range(len(counts)):
        n = 0
        for _ in range(counts[event]):
            n += keep[hit]
            hit += 1
        kept[event] = n
