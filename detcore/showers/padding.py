"""Kernels for padded arrays: look at the points, not at the padding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def _count(points, counts):  # type: ignore[no-untyped-def]
    """Count the points with energy of each shower, (shower,) int32, written; return whether (negative, badly padded)."""
    negative, padded = False, False
    for row in range(points.shape[0]):
        n, positive, first = 0, 0, False
        for point in range(points.shape[1]):
            energy = points[row, point, 3]
            n += energy != 0
            positive += energy > 0
            negative |= energy < 0
            if point == 0:
                first = energy > 0
        counts[row] = n
        padded |= positive > 0 and not first
    return negative, padded


@njit(cache=True, nogil=True)
def _filled(points, counts):  # type: ignore[no-untyped-def]
    """Find the end of what is not zero in each row: (shower, value) uint32 in, (shower,) int64 written, raised only."""
    for row in range(points.shape[0]):
        last = points.shape[1]
        while last > counts[row]:
            found = np.uint32(0)
            for column in range(points.shape[2]):
                found |= points[row, last - 1, column]
            if found:
                break
            last -= 1
        counts[row] = last


def check_points(points: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return how many points of each shower have energy.

    Parameters
    ----------
    points
        (shower, point, 4 or 5).

    Raises
    ------
    ValueError
        An energy is negative, or the first point of a shower has none while another one has.
    """
    counts = np.zeros(len(points), np.int32)
    if points.dtype == np.float32 and points.flags.c_contiguous:
        negative, padded = _count(read_only(points), counts)
    else:
        energy = points[:, :, 3]
        counts[:] = np.count_nonzero(energy, axis=1)
        negative = bool((energy < 0).any())
        padded = bool(((energy > 0).any(axis=1) & ~(energy[:, :1] > 0).any(axis=1)).any())
    if negative:
        msg = "Point energies must be non-negative."
        raise ValueError(msg)
    if padded:
        msg = "Padding should be in the end of the shower points."
        raise ValueError(msg)
    return counts


def filled(points: NDArray[np.float32], counts: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Return how many points of each row have to be kept so that nothing but zeros is lost; `counts` at least."""
    found: NDArray[np.int64] = np.clip(counts, 0, points.shape[1]).astype(np.int64)
    _filled(read_only(np.ascontiguousarray(points, np.float32).view(np.uint32)), found)
    return found


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view that cannot be written to: kernels are compiled for one kind of array."""
    view = array.view()
    view.flags.writeable = False
    return view


@njit(cache=True, nogil=True)
def append_rows(points, out, first):  # type: ignore[no-untyped-def]
    """Copy rows of (shower, value) uint32 to rows of `out` from `first` on, without the zeros at their ends."""
    n = np.uint64(points.shape[1])
    block = np.uint64(1024)
    for row in range(points.shape[0]):
        source, target = points[row], out[first + row]
        for begin in range(np.uint64(0), n, block):
            end = min(begin + block, n)
            found = np.uint32(0)
            for i in range(begin, end):
                found |= source[i]
            if found:
                for i in range(begin, end):
                    target[i] = source[i]
