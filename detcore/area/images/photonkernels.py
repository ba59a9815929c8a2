"""Photons out of charges: pixel by pixel, and in droplets."""

from __future__ import annotations

import numpy as np
from numba import njit

LEVELS = 1024
GREEDY = 512  # pixels of a droplet; in larger ones photons stay in the middle of the pixels with the largest rests


@njit(cache=True, nogil=True)
def place_photons(offsets, ys, xs, values, counts, photon, out_y, out_x, out_droplet):  # type: ignore[no-untyped-def]
    """Place the photons of droplets that have more than one.

    Whole photons go to the middle of their pixels. What is left is taken from the pixel with the largest rest f and from
    the largest of its four neighbours in the droplet: the photon is moved by 1 - f towards that, which gives 1 - f.

    Parameters
    ----------
    offsets
        (droplet + 1,) int64: pixels offsets[i] to offsets[i + 1] are of droplet i.
    ys, xs
        (pixel,) int32.
    values
        (pixel,) float64, ADU.
    counts
        (droplet,) int64: photons to place; 0 for droplets that are done otherwise.
    photon
        float64: ADU of one.
    out_y, out_x
        (photon,) float64, written.
    out_droplet
        (photon,) int64, written.

    Returns
    -------
    int
        How many were placed.
    """
    placed = 0
    histogram = np.empty(LEVELS, np.int64)
    for droplet in range(len(counts)):
        wanted = counts[droplet]
        if wanted == 0:
            continue
        first, end = offsets[droplet], offsets[droplet + 1]
        n = end - first
        rest = np.empty(n, np.float64)
        done = 0
        for i in range(n):
            share = values[first + i] / photon
            whole = np.floor(share)
            rest[i] = share - whole
            for _ in range(np.int64(max(whole, 0.0))):
                if done < wanted:
                    out_y[placed], out_x[placed], out_droplet[placed] = ys[first + i], xs[first + i], droplet
                    placed += 1
                    done += 1
        if n > GREEDY and done < wanted:
            # The rest from which on there are as many pixels as photons, to a thousandth.
            for step in range(LEVELS):
                histogram[step] = 0
            for i in range(n):
                histogram[np.int64(rest[i] * LEVELS)] += 1
            level, many = LEVELS - 1, histogram[LEVELS - 1]
            while level > 0 and many < wanted - done:
                level -= 1
                many += histogram[level]
            i = 0
            while done < wanted:
                if np.int64(rest[i] * LEVELS) >= level or level == 0:
                    out_y[placed], out_x[placed], out_droplet[placed] = ys[first + i], xs[first + i], droplet
                    placed += 1
                    done += 1
                i = (i + 1) % n
        while done < wanted:
            best = 0
            for i in range(1, n):
                if rest[i] > rest[best]:
                    best = i
            y, x = ys[first + best], xs[first + best]
            other = -1
            for i in range(n):
                near = abs(ys[first + i] - y) + abs(xs[first + i] - x) == 1
                if near and (other < 0 or rest[i] > rest[other]):
                    other = i
            short = 1.0 - max(rest[best], 0.0)
            rest[best] = 0.0
            down = across = 0.0
            if other >= 0 and short < 1.0:
                down, across = short * (ys[first + other] - y), short * (xs[first + other] - x)
                rest[other] = max(rest[other] - short, 0.0)
            out_y[placed], out_x[placed], out_droplet[placed] = y + down, x + across, droplet
            placed += 1
            done += 1
    return placed


@njit(cache=True, nogil=True)
def count_photons(frame, good, photon, fraction, counts):  # type: ignore[no-untyped-def]
    """Count the photons of each pixel.

    Whole photons count where they are. A pixel whose rest is the largest among its four neighbours gets one more if that
    rest and the largest of the neighbours' together are above `fraction`.

    Parameters
    ----------
    frame
        (module, y, x) float32.
    good
        (module, y, x) uint8; or (0, 0, 0).
    photon
        float64: ADU of one.
    fraction
        float64.
    counts
        (module, y, x) int32, written.
    """
    modules, ny, nx = frame.shape
    check = good.size > 0
    rest = np.empty((ny, nx), np.float32)
    for module in range(modules):
        for y in range(ny):
            for x in range(nx):
                share = np.float64(frame[module, y, x]) / photon
                keep = (share > 0.0) & (share < 2147483647.0)
                if check:
                    keep &= good[module, y, x] != 0
                whole = np.floor(share) if keep else 0.0
                counts[module, y, x] = np.int32(whole)
                rest[y, x] = np.float32(share - whole) if keep else np.float32(0)
        for y in range(ny):
            for x in range(nx):
                mine = rest[y, x]
                if mine <= 0:
                    continue
                # Of two equal neighbours the first one is the maximum.
                up = rest[y - 1, x] if y > 0 else np.float32(0)
                left = rest[y, x - 1] if x > 0 else np.float32(0)
                down = rest[y + 1, x] if y + 1 < ny else np.float32(0)
                right = rest[y, x + 1] if x + 1 < nx else np.float32(0)
                if up >= mine or left >= mine or down > mine or right > mine:
                    continue
                if np.float64(mine) + np.float64(max(up, left, down, right)) > fraction:
                    counts[module, y, x] += 1
