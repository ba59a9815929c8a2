"""Common modes that are not statistics of a block: the peak of no photons, and pixels without a sensor.

Both are of the CSPAD, whose unbonded pixels lie on the diagonal of each chip, every ten pixels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNBONDED_STEP: Final = 10  # px along the diagonal
HISTOGRAM_RANGE: Final = 1000  # ADU on either side of 0: nobody's common mode is larger


def unbonded_pixels(shape: tuple[int, int], chip: tuple[int, int] | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return rows and columns of the pixels (p, p + k * width) with p = 0, 10, 20, … in a panel.

    Parameters
    ----------
    shape
        Of the panel, (y, x).
    chip
        (rows, columns) of one chip; None: the panel is one.

    Examples
    --------
    >>> rows, columns = unbonded_pixels((185, 388), (185, 194))
    >>> len(rows), columns[:2].tolist(), columns[-1]
    (38, [0, 10], np.int64(374))
    """
    _, width = chip or shape
    steps = np.arange(0, min(shape[0], width), UNBONDED_STEP)
    chips = np.arange(0, shape[1], width)
    rows, columns = np.tile(steps, len(chips)), (chips[:, None] + steps).ravel()
    inside = columns < shape[1]
    return rows[inside], columns[inside]


def peak_corrections(
    panels: NDArray[np.float32], use: NDArray[np.uint8], cap: float, rms_cap: float, threshold: float
) -> NDArray[np.float32]:
    """Return for each panel the mean of the peak of no photons; 0 where there is no such peak.

    The pixels are counted in bins of 1 ADU centred at whole numbers. The peak is the run of bins around the fullest
    one that all hold more than `threshold` pixels; its mean and width are those of the counts in it.

    Parameters
    ----------
    panels
        (panel, y, x), ADU.
    use
        (panel, y, x), 1 where a pixel counts.
    cap, rms_cap
        A peak whose mean is as far from 0, or that is as wide, is none; ADU.
    threshold
        Pixels.
    """
    found = np.zeros(len(panels), np.float32)
    centres = np.arange(-HISTOGRAM_RANGE, HISTOGRAM_RANGE + 1)
    for number, (panel, mine) in enumerate(zip(panels, use, strict=True)):
        values = panel[mine != 0]
        values = values[np.abs(values) < HISTOGRAM_RANGE]
        if not values.size:
            continue
        counts = np.bincount(np.rint(values).astype(np.int64) + HISTOGRAM_RANGE, minlength=len(centres))
        top = int(counts.argmax())
        if counts[top] <= threshold:
            continue
        low = np.flatnonzero(counts <= threshold)
        place = int(np.searchsorted(low, top))
        first = int(low[place - 1]) + 1 if place > 0 else 0
        end = int(low[place]) if place < len(low) else len(counts)
        weight, at = counts[first:end], centres[first:end]
        mean = float(weight @ at) / weight.sum()
        rms = math.sqrt(max(float(weight @ (at - mean) ** 2) / weight.sum(), 0.0))
        if abs(mean) < cap and rms < rms_cap:
            found[number] = mean
    return found
