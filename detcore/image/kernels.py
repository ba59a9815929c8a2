"""The loops over pixels. They take plain arrays, release the interpreter lock and do no I/O.

Pixel centres are at whole numbers. What is drawn here and what `Region.contains` answers for a point come from the
same arithmetic in the same order, so that the two never disagree about a pixel.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

MEAN, SUM, LARGEST, SMALLEST = range(4)
MAX_CUTS = 64  # of a polygon with a row of pixels


@njit(cache=True, nogil=True)
def fill_polygon(vertices, selected):  # type: ignore[no-untyped-def]
    """Select the pixels whose centre is inside a polygon, by the even-odd rule.

    The edges are cut with each row; between an odd and the next even cut, in order, the row is filled, so that most of
    the time goes into filling at the speed of memory. A scribble with too many cuts to be put in order is filled
    another way: each cut flips a pixel, and a running exclusive-or along the row fills it.

    Parameters
    ----------
    vertices
        (vertex, 2) x and y; the last one is joined to the first.
    selected
        (y, x) bool, all false; written.
    """
    ny, nx = selected.shape
    counts = np.zeros(ny, np.int64)
    most = 0
    cuts = np.empty((0, 0), np.int64)
    for phase in range(2):  # first the cuts of each row are counted, then they are taken
        for i in range(len(vertices)):
            ax, ay = vertices[i - 1]
            bx, by = vertices[i]
            if ay > by:  # always upwards: two polygons cut a shared edge at the same place
                ax, ay, bx, by = bx, by, ax, ay
            for y in range(max(0, math.ceil(ay)), min(ny, math.ceil(by))):
                place = counts[y]
                counts[y] += 1
                if phase == 0:
                    most = max(most, counts[y])
                    continue
                cut = min(max(math.ceil(ax + (y - ay) * (bx - ax) / (by - ay)), 0), nx)
                if most > MAX_CUTS:
                    if cut < nx:
                        selected[y, cut] ^= True
                    continue
                while place > 0 and cuts[y, place - 1] > cut:  # keeps the cuts of a row in order
                    cuts[y, place] = cuts[y, place - 1]
                    place -= 1
                cuts[y, place] = cut
        if phase == 0:
            counts[:] = 0
            if most <= MAX_CUTS:
                cuts = np.empty((ny, most), np.int64)
    for y in range(ny):
        if most > MAX_CUTS:
            inside = False
            for x in range(nx):
                inside ^= selected[y, x]
                selected[y, x] = inside
        else:
            for place in range(0, counts[y] - 1, 2):
                selected[y, cuts[y, place] : cuts[y, place + 1]] = True


@njit(cache=True, nogil=True)
def in_polygon(vertices, x, y, selected):  # type: ignore[no-untyped-def]
    """Answer for points what `fill_polygon` answers for pixels: x, y (point,) -> selected (point,)."""
    for point in range(len(x)):
        px, py = x[point], y[point]
        inside = False
        for i in range(len(vertices)):
            ax, ay = vertices[i - 1]
            bx, by = vertices[i]
            if ay > by:
                ax, ay, bx, by = bx, by, ax, ay
            if ay <= py < by and ax + (py - ay) * (bx - ax) / (by - ay) <= px:
                inside = not inside
        selected[point] = inside


@njit(cache=True, nogil=True)
def fill_brush(points, radius, selected):  # type: ignore[no-untyped-def]
    """Select the pixels closer than `radius` to the line through the points.

    Parameters
    ----------
    points
        (point, 2) x and y; one alone is a dot.
    selected
        (y, x) bool; written, what is true stays.
    """
    ny, nx = selected.shape
    for i in range(max(1, len(points) - 1)):
        ax, ay = points[i]
        bx, by = points[min(i + 1, len(points) - 1)]
        dx, dy = bx - ax, by - ay
        length = dx * dx + dy * dy
        first, last = max(0, math.floor(min(ax, bx) - radius)), min(nx, math.ceil(max(ax, bx) + radius) + 1)
        for y in range(max(0, math.floor(min(ay, by) - radius)), min(ny, math.ceil(max(ay, by) + radius) + 1)):
            for x in range(first, last):
                along = 0.0
                if length > 0:
                    along = min(max(((x - ax) * dx + (y - ay) * dy) / length, 0.0), 1.0)
                u, v = x - (ax + along * dx), y - (ay + along * dy)
                if u * u + v * v < radius * radius:
                    selected[y, x] = True


@njit(cache=True, nogil=True)
def fill_round(selected, first_row, first_column, x, y, cos, sin, a, b, low, high):  # type: ignore[no-untyped-def]
    """Select low <= (b u)^2 + (a v)^2 < high, with (u, v) the distance from (x, y) along the turned axes.

    Parameters
    ----------
    selected
        (y, x) bool, the window that begins at (first_row, first_column); written.
    """
    for row in range(selected.shape[0]):
        dy = first_row + row - y
        for column in range(selected.shape[1]):
            dx = first_column + column - x
            u = b * (dx * cos + dy * sin)
            v = a * (dy * cos - dx * sin)
            distance = u * u + v * v
            selected[row, column] = low <= distance < high


@njit(cache=True, nogil=True)
def set_bits(pixel_mask, selected, top, bottom, left, right, bits):  # type: ignore[no-untyped-def]
    """Set bits of the selected pixels in a window.

    Parameters
    ----------
    pixel_mask
        (y, x) uint32; written.
    selected
        (y, x) bool.
    top, bottom, left, right
        Half-open limits of rows and columns.
    bits
        uint32.
    """
    for y in range(top, bottom):
        for x in range(left, right):
            pixel_mask[y, x] |= np.uint32(selected[y, x]) * bits


@njit(cache=True, nogil=True)
def count_bits(pixel_mask, rejecting, good, counts):  # type: ignore[no-untyped-def]
    """Write which pixels none of the rejecting bits is set in; add to counts (33,) of each bit, and of those pixels.

    Parameters
    ----------
    pixel_mask
        (pixel,) uint32.
    rejecting
        Those bits.
    good
        (pixel,) bool; written.
    counts
        (33,) int64; added to.
    """
    for pixel in range(len(pixel_mask)):
        bits = np.int64(pixel_mask[pixel])
        fine = bits & rejecting == 0
        good[pixel] = fine
        counts[32] += fine
        place = 0
        while bits:
            counts[place] += bits & 1
            bits >>= 1
            place += 1


@njit(cache=True, nogil=True)
def reduce_blocks(values, rejected, block_y, block_x, how, reduced):  # type: ignore[no-untyped-def]
    """Reduce blocks of pixels to one value each, leaving out rejected pixels and those that are not a number.

    Parameters
    ----------
    values
        (y, x) numbers.
    rejected
        (y, x) uint32, or (0, 0) for none: pixels with one of the low sixteen bits are left out.
    block_y, block_x
        Size of a block, px.
    how
        MEAN, SUM, LARGEST or SMALLEST.
    reduced
        (block, block) float64, written; not a number where a block has no pixel.
    """
    ny, nx = values.shape
    check = rejected.size > 0
    counts = np.empty(reduced.shape[1], np.int64)
    for block_row in range(reduced.shape[0]):
        line = reduced[block_row]
        line[:] = 0.0
        if how == LARGEST:
            line[:] = -np.inf
        elif how == SMALLEST:
            line[:] = np.inf
        counts[:] = 0
        top = block_row * block_y
        for y in range(top, min(ny, top + block_y)):
            for block in range(len(line)):
                start = block * block_x
                total, count = line[block], counts[block]
                for x in range(start, min(nx, start + block_x)):
                    if check and rejected[y, x] & np.uint32(0xFFFF):
                        continue
                    value = np.float64(values[y, x])
                    if value != value:  # noqa: PLR0124 - the fastest test for not-a-number
                        continue
                    count += 1
                    if how == LARGEST:
                        total = max(total, value)
                    elif how == SMALLEST:
                        total = min(total, value)
                    else:
                        total += value
                line[block], counts[block] = total, count
        for block in range(len(line)):
            if counts[block] == 0:
                line[block] = np.nan
            elif how == MEAN:
                line[block] /= counts[block]
