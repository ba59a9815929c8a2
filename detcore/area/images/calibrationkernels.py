"""One pass over a raw frame that takes the gain bits off, subtracts the pedestal of that gain and applies limits."""

from __future__ import annotations

import numpy as np
from numba import njit

NO_GAIN = np.int8(-1)


@njit(cache=True, nogil=True)
def subtract(words, bits, table, pedestal, limits, data, chosen):  # type: ignore[no-untyped-def]
    """Write pedestal-subtracted values and the gain of each pixel.

    Parameters
    ----------
    words
        (pixel,) uint16.
    bits
        uint16: those that are the value.
    table
        (4,) int8: entry of the gain axis for the two highest bits; `NO_GAIN` where they are impossible.
    pedestal
        (gain, pixel) float32; with one gain, it is for all entries.
    limits
        (2,) float64: inclusive limits of valid values.
    data
        (pixel,) float32, written; nan where the value is not valid or the gain impossible.
    chosen
        (pixel,) int8, written.
    """
    several = len(pedestal) > 1
    for pixel in range(len(words)):
        word = words[pixel]
        value = np.float32(word & bits)
        entry = table[word >> 14]
        chosen[pixel] = entry
        if entry < 0 or value < limits[0] or value > limits[1]:
            data[pixel] = np.float32(np.nan)
        else:
            data[pixel] = value - pedestal[entry if several else 0, pixel]


@njit(cache=True, nogil=True)
def divide(data, chosen, gain):  # type: ignore[no-untyped-def]
    """Divide values (pixel,) float32 in place by the gain (gain, pixel) float32 of their entry; nan where it is 0."""
    several = len(gain) > 1
    for pixel in range(len(data)):
        entry = chosen[pixel] if several else 0
        by = gain[max(entry, 0), pixel]
        data[pixel] = data[pixel] / by if by != 0 else np.float32(np.nan)
