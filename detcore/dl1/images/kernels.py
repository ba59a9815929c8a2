"""The loops over images and pixels for cleaning. They take plain arrays, release the interpreter lock and do no I/O.

Neighbours come as compressed sparse rows: those of pixel i are ``indices[indptr[i]:indptr[i + 1]]``. Most pixels of an
image are empty, so each kernel lists the few that count first and then works on the list; work arrays are made once
for a batch. Arrays that are only read come as read-only ones (see `cleaning.frozen`): one type, one compilation. Pixel
numbers in innermost loops are unsigned: those with a sign are asked whether they count from the end.
"""

from __future__ import annotations

import numpy as np
from numba import njit

PICTURE, BOUNDARY, CORE = 1, 16, 128  # those of six neighbours can be added in a byte
SMALL, LARGE = 2, 50  # pixels of an island, as in ctapipe


@njit(cache=True, nogil=True)
def gather(flags, words, start, stop, places):  # type: ignore[no-untyped-def]
    """List the set flags of a row.

    Parameters
    ----------
    flags
        (image * pixel,) uint8, all rows behind each other.
    words
        The same memory eight by eight, uint64: most words are zero.
    start, stop
        Where the row begins and ends in `flags`.
    places
        (pixel + 1,) uint32, written: pixel numbers in order.

    Returns
    -------
    int
        How many.
    """
    n = np.uint64(0)
    first = min(stop, (start + 7) // 8 * 8)
    last = max(first, stop // 8 * 8)
    for at in range(start, first):
        places[n] = np.uint32(at - start)
        n += np.uint64(flags[at] != 0)
    for word in range(np.uint64(first // 8), np.uint64(last // 8)):
        if words[word]:
            front = np.uint64(8) * word
            for at in range(front, front + np.uint64(8)):
                places[n] = np.uint32(at - np.uint64(start))
                n += np.uint64(flags[at] != 0)
    for at in range(last, stop):
        places[n] = np.uint32(at - start)
        n += np.uint64(flags[at] != 0)
    return np.int64(n)


@njit(cache=True, nogil=True)
def tailcuts(images, picture, boundary, around, least, isolated, selected):  # type: ignore[no-untyped-def]
    """Select pixels by two thresholds.

    Parameters
    ----------
    images
        (image, pixel).
    picture, boundary
        (pixel,) of the type of `images`.
    around
        (pixel, neighbour) uint32, see `Camera.neighbour_table`.
    least
        How many neighbours above `picture` a pixel above `picture` needs.
    isolated
        Keep pixels above `picture` that have no neighbour above `boundary`.
    selected
        (image, pixel) bool, all false; written.
    """
    n_pixels, width = images.shape[1], around.shape[1]
    padded = n_pixels // 8 * 8 + 8  # one more at least: the neighbour that is none
    level = np.zeros(padded, np.uint8)
    words = level.view(np.uint64)
    places, kept = np.empty(padded + 1, np.uint32), np.empty(padded, np.uint8)
    for image in range(len(images)):
        charges, chosen = images[image], selected[image]
        for pixel in range(n_pixels):
            above = PICTURE if charges[pixel] >= picture[pixel] else 0
            level[pixel] = above + (BOUNDARY if charges[pixel] >= boundary[pixel] else 0)
        n = gather(level, words, 0, padded, places)
        for k in range(n):
            total = np.uint8(0)
            for link in range(width):
                total += level[around[places[k], link]]
            kept[k] = total
        for k in range(n):
            core = (level[places[k]] & PICTURE) & (kept[k] % BOUNDARY >= least)
            level[places[k]] |= core * CORE
            kept[k] = core & (isolated | (kept[k] >= BOUNDARY))
        for k in range(n):
            either = np.uint8(0)
            for link in range(width):
                either |= level[around[places[k], link]]
            beside = (either >= CORE) & (level[places[k]] & BOUNDARY != 0)
            chosen[places[k]] = beside | (kept[k] != 0)


@njit(cache=True, nogil=True)
def dilate(selected, indptr, indices, wider):  # type: ignore[no-untyped-def]
    """Add to selected (image, pixel) those whose neighbour is selected -> wider (image, pixel)."""
    for image in range(len(selected)):
        for pixel in range(selected.shape[1]):
            found = selected[image, pixel]
            for link in range(indptr[pixel], indptr[pixel + 1]):
                found |= selected[image, indices[link]]
            wider[image, pixel] = found


@njit(cache=True, nogil=True)
def coincident(times, around, selected, indptr, indices, least, limit, kept):  # type: ignore[no-untyped-def]
    """Keep selected pixels with enough neighbours that arrived at the same time.

    Parameters
    ----------
    times
        (image, pixel).
    around, selected
        (image, pixel) bool: which neighbours count, which pixels are asked.
    indptr, indices
        Neighbours.
    least
        How many neighbours.
    limit
        Largest difference of time, of the type of `times`; itself too large.
    kept
        (image, pixel) bool, all false; written.
    """
    for image in range(len(times)):
        for pixel in range(times.shape[1]):
            if selected[image, pixel]:
                found = 0
                for link in range(indptr[pixel], indptr[pixel + 1]):
                    other = indices[link]
                    if around[image, other] and abs(times[image, pixel] - times[image, other]) < limit:
                        found += 1
                kept[image, pixel] = found >= least


@njit(cache=True, nogil=True)
def label(places, n, indptr, indices, labels, stack, sizes):  # type: ignore[no-untyped-def]
    """Give numbers to the islands of one image, in the order of their first pixel.

    Parameters
    ----------
    places
        The `n` selected pixels first.
    indptr, indices
        Neighbours.
    labels
        (pixel,) int16, zero; written: 1, 2, ...
    stack
        (pixel,) uint32, for work.
    sizes
        (3,) int64, written: how many islands are small, medium and large.

    Returns
    -------
    int
        How many islands.
    """
    sizes[:] = 0
    for k in range(n):
        labels[places[k]] = -1
    islands = 0
    for k in range(n):
        if labels[places[k]] != -1:
            continue
        islands += 1
        labels[places[k]] = islands
        stack[0] = places[k]
        waiting, size = 1, 0
        while waiting:
            waiting -= 1
            pixel = stack[waiting]
            size += 1
            for link in range(indptr[pixel], indptr[pixel + 1]):
                other = indices[link]
                if labels[other] == -1:
                    labels[other] = islands
                    stack[waiting] = other
                    waiting += 1
        sizes[0 if size <= SMALL else 2 if size > LARGE else 1] += 1
    return islands


@njit(cache=True, nogil=True)
def islands(flags, words, indptr, indices, labels, counts):  # type: ignore[no-untyped-def]
    """Label islands: flags, words as in `gather` -> labels (image, pixel) int16, zero before, counts (image,)."""
    n_pixels = labels.shape[1]
    places = np.empty(n_pixels + 1, np.uint32)
    stack = np.empty(n_pixels, np.uint32)
    sizes = np.zeros(3, np.int64)
    for image in range(len(labels)):
        n = gather(flags, words, image * n_pixels, (image + 1) * n_pixels, places)
        counts[image] = label(places, n, indptr, indices, labels[image], stack, sizes)
