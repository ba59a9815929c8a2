"""The loops that turn the selected pixels of an image into numbers. Plain arrays, no I/O, as in `kernels`.

Where numbers must equal those of ctapipe (0.28) the formula is the same; sums are in double precision.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from detcore.dl1.images.kernels import gather, label
from detcore.dl1.images.trimmed import trimmed_line

EPS = 2.220446049250313e-16  # below it a variance counts as zero, as in ctapipe
INTENSITY, COG_X, COG_Y, R, PHI, LENGTH, LENGTH_ERROR, WIDTH = range(8)
WIDTH_ERROR, PSI, PSI_ERROR, COG_ERROR, SKEWNESS, KURTOSIS = range(8, 14)
N_HILLAS = 14
SLOPE, INTERCEPT, DEVIATION = range(14, 17)
LEAK_PIXELS_1, LEAK_PIXELS_2, LEAK_1, LEAK_2 = range(17, 21)
CONC_COG, CONC_CORE, CONC_PIXEL = range(21, 24)
IMAGE_STATISTICS = 24
TIME_STATISTICS = 30
N_PARAMETERS = 36
N_COUNTS = 5  # pixels; islands; small, medium, large ones


@njit(cache=True, nogil=True, error_model="numpy")
def moments(charges, places, n, x, y, density, errors, along, across, image, out):  # type: ignore[no-untyped-def]
    """Find the Hillas parameters of one image.

    Three short passes over the selected pixels: sums, centred second moments, moments along the axis. The errors of
    length and width need the fourth moments about length squared and width squared, and those of psi and of the
    position across the axis a straight line, fitted in the frame of the axis with weights charge / area.

    Parameters
    ----------
    charges
        (pixel,).
    places
        The `n` selected pixels first.
    x, y, density
        (pixel,) positions, and 1 / area.
    errors
        Find the errors, too.
    along, across
        (pixel,) written for selected pixels, from the front: coordinates relative to the centre of gravity.
    image
        Column of `out`.
    out
        (parameter, image) written.

    Returns
    -------
    bool
        False if the charges have no sum above zero, or one is negative: then all is nan.
    """
    size = mx = my = 0.0
    lowest = 0.0
    for k in range(n):
        pixel = places[k]
        v = np.float64(charges[pixel])
        lowest = min(lowest, v)
        size += v
        mx += v * x[pixel]
        my += v * y[pixel]
    if lowest < 0 or not size > 0:
        for parameter in range(N_HILLAS):
            out[parameter, image] = np.nan
        return False
    mx /= size
    my /= size
    xx = xy = yy = 0.0
    for k in range(n):
        pixel = places[k]
        v, dx, dy = np.float64(charges[pixel]), x[pixel] - mx, y[pixel] - my
        xx += v * dx * dx
        xy += v * dx * dy
        yy += v * dy * dy
    xx, xy, yy = xx / size, xy / size, yy / size
    root = math.hypot(0.5 * (xx - yy), xy)
    long, short = 0.5 * (xx + yy) + root, 0.5 * (xx + yy) - root
    out[INTENSITY, image] = size
    out[COG_X, image] = mx
    out[COG_Y, image] = my
    out[R, image] = math.hypot(mx, my)
    out[PHI, image] = math.degrees(math.atan2(my, mx))
    if not long > EPS:  # all light in one place
        for parameter in range(LENGTH, N_HILLAS):
            out[parameter, image] = np.nan
        out[LENGTH, image] = 0.0
        out[WIDTH, image] = 0.0
        for k in range(n):
            along[k] = across[k] = np.nan
        return True
    psi = 0.5 * math.atan2(2.0 * xy, xx - yy) if xy != 0 or xx > yy else 0.5 * math.pi
    cos, sin = math.cos(psi), math.sin(psi)
    second = third = fourth = spread = spread_across = 0.0
    w = wl = wt = wll = wlt = 0.0
    for k in range(n):
        pixel = places[k]
        v, dx, dy = np.float64(charges[pixel]), x[pixel] - mx, y[pixel] - my
        t, s = dx * cos + dy * sin, dy * cos - dx * sin
        along[k], across[k] = t, s
        tt, ss = t * t, s * s
        second += v * ss
        third += v * t * tt
        fourth += v * tt * tt
        if errors:
            spread += v * (tt - long) ** 2
            spread_across += v * (ss - short) ** 2
            q = v * density[pixel]
            w += q
            wl += q * t
            wt += q * s
            wll += q * tt
            wlt += q * t * s
    narrow = second / size  # summed: `short` loses its digits where the image is a line
    length, width = math.sqrt(long), math.sqrt(narrow) if narrow > EPS else 0.0
    out[LENGTH, image] = length
    out[WIDTH, image] = width
    out[PSI, image] = math.degrees(psi)
    out[SKEWNESS, image] = third / size / (length * long)
    out[KURTOSIS, image] = fourth / size / (long * long)
    if errors:
        out[LENGTH_ERROR, image] = math.sqrt(spread) / size / (2.0 * length)
        out[WIDTH_ERROR, image] = np.nan
        if width > 0:
            about = max(0.0, spread_across - size * (narrow - short) ** 2)  # from `short` to the mean itself
            out[WIDTH_ERROR, image] = math.sqrt(about) / size / (2.0 * width)
        det = w * wll - wl * wl
        tilt = (w * wlt - wl * wt) / det if det > 0 else np.nan
        round_image = math.tan(width / length * math.pi / 2.0)
        out[PSI_ERROR, image] = math.degrees(math.sqrt(w / det + tilt * tilt) * (1.0 + round_image * round_image))
        out[COG_ERROR, image] = math.sqrt(wll / det * (1.0 + math.sin(tilt) ** 2))
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def hillas(images, flags, words, x, y, density, errors, out):  # type: ignore[no-untyped-def]
    """Find the Hillas parameters of images (image, pixel): the others as of `gather` and `moments`."""
    n_pixels = images.shape[1]
    places = np.empty(n_pixels + 1, np.uint32)
    along, across = np.empty(n_pixels), np.empty(n_pixels)
    for image in range(len(images)):
        n = gather(flags, words, image * n_pixels, (image + 1) * n_pixels, places)
        moments(images[image], places, n, x, y, density, errors, along, across, image, out)


@njit(cache=True, nogil=True, error_model="numpy")
def statistics(values, n, first, image, out):  # type: ignore[no-untyped-def]
    """Write largest, smallest, mean, standard deviation, skewness and excess kurtosis of n values to out[first:, image]."""
    low = high = values[0]
    total = 0.0
    for k in range(n):
        low, high = min(low, values[k]), max(high, values[k])
        total += values[k]
    mean = total / n
    if math.isnan(mean):
        out[first : first + 6, image] = np.nan
        return
    second = third = fourth = 0.0
    for k in range(n):
        d = values[k] - mean
        dd = d * d
        second += dd
        third += d * dd
        fourth += dd * dd
    variance = second / n
    out[first, image] = high
    out[first + 1, image] = low
    out[first + 2, image] = mean
    out[first + 3, image] = math.sqrt(variance)
    defined = variance > 0
    out[first + 4, image] = third / n / variance**1.5 if defined else np.nan
    out[first + 5, image] = fourth / n / (variance * variance) - 3.0 if defined else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def parameters(  # type: ignore[no-untyped-def]
    images, times, flags, words, x, y, density, reach, border, indptr, indices, pairs, out, counts
):
    """Find all parameters of images.

    Parameters
    ----------
    images
        (image, pixel).
    times
        (image, pixel), or no rows if there are no times.
    flags, words
        See `gather`.
    x, y, density, reach
        (pixel,) positions, 1 / area, and squared width of a pixel.
    border
        (pixel,) uint8: 1 in the outermost row, 2 in the second, 3 in both.
    indptr, indices
        Neighbours.
    pairs
        (image, start, 2) see `trimmed_line`; no rows to draw them.
    out
        (N_PARAMETERS, image) float64, nan; written.
    counts
        (N_COUNTS, image) int64, -1; written.
    """
    n_pixels = images.shape[1]
    places, stack = np.empty(n_pixels + 1, np.uint32), np.empty(n_pixels, np.uint32)
    along, across = np.empty(n_pixels), np.empty(n_pixels)
    values, clock, place = np.empty(n_pixels), np.empty(n_pixels), np.empty(n_pixels)
    weights, squared = np.empty(n_pixels), np.empty(n_pixels)
    labels = np.zeros(n_pixels, np.int16)
    sizes = np.zeros(3, np.int64)
    drawn = np.empty((0, 2), np.int64)
    for image in range(len(images)):
        charges = images[image]
        n = gather(flags, words, image * n_pixels, (image + 1) * n_pixels, places)
        if n < 2 or not moments(charges, places, n, x, y, density, True, along, across, image, out):
            continue  # as ctapipe, which asks for two pixels and a sum above zero
        size, mx, my = out[INTENSITY, image], out[COG_X, image], out[COG_Y, image]
        long, narrow = out[LENGTH, image] ** 2, out[WIDTH, image] ** 2
        outer = outer_2 = 0
        leak = leak_2 = near = inside = 0.0
        for k in range(n):
            pixel = places[k]
            v = np.float64(charges[pixel])
            values[k] = v
            if border[pixel]:
                if border[pixel] & 1:
                    outer += 1
                    leak += v
                if border[pixel] & 2:
                    outer_2 += 1
                    leak_2 += v
            if (x[pixel] - mx) ** 2 + (y[pixel] - my) ** 2 < reach[pixel]:
                near += v
            if narrow > 0 and along[k] ** 2 / long + across[k] ** 2 / narrow <= 1.0:
                inside += v
        statistics(values, n, IMAGE_STATISTICS, image, out)
        out[LEAK_PIXELS_1, image] = outer / n
        out[LEAK_PIXELS_2, image] = outer_2 / n
        out[LEAK_1, image] = leak / size
        out[LEAK_2, image] = leak_2 / size
        out[CONC_COG, image] = near / size
        out[CONC_CORE, image] = inside / size
        out[CONC_PIXEL, image] = out[IMAGE_STATISTICS, image] / size
        counts[0, image] = n
        counts[1, image] = label(places, n, indptr, indices, labels, stack, sizes)
        counts[2:, image] = sizes
        for k in range(n):
            labels[places[k]] = 0
        if len(times):
            usable = 0
            mean = 0.0
            for k in range(n):
                clock[k] = times[image, places[k]]
                if math.isfinite(clock[k]) and math.isfinite(along[k]):
                    place[usable], values[usable] = along[k], clock[k]
                    usable += 1
                    mean += clock[k]
            statistics(clock, n, TIME_STATISTICS, image, out)
            if usable:
                mean /= usable
                for k in range(usable):  # times far from zero would cost digits
                    values[k] -= mean
            starts = pairs[image] if len(pairs) else drawn
            slope, intercept = trimmed_line(place, values, usable, starts, weights, squared)
            out[SLOPE, image] = slope
            out[INTERCEPT, image] = intercept + mean
            total = 0.0
            for k in range(n):
                total += (along[k] * slope + intercept + mean - clock[k]) ** 2
            out[DEVIATION, image] = math.sqrt(total / n)
