"""How values of camera pixels become colours: limits, scales, and numbers of a palette for pictures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from dashboard.views.channelmap import DIVERGING, SEQUENTIAL
from dashboard.views.style import ZERO
from detcore.image import colour_limits, to_uint8

if TYPE_CHECKING:
    from numpy.typing import NDArray

Scale: TypeAlias = Literal["linear", "log", "symmetric"]
Limits: TypeAlias = Literal["full", "robust"] | tuple[float, float]

OUTSIDE, MISSING = 0, 1  # numbers of the palette
NO_VALUE = f"{ZERO}70"  # lets the page shine through: large parts of a camera may have none
DECADES = 2  # that a logarithmic scale spans, at most, unless limits are given: fainter pixels are noise


def limits_of(
    values: NDArray[np.floating], scale: Scale, limits: Limits, *, decades: float = DECADES
) -> tuple[float, float]:
    """Return the values of the first and the last colour.

    Parameters
    ----------
    values
        Any shape; those that are not finite do not count.
    scale
        "symmetric" puts zero into the middle; "log" leaves out what is not positive.
    limits
        "full": from the lowest to the highest; "robust" leaves out the lowest percent and the highest half percent.
    decades
        That a logarithmic scale spans at most, unless its limits are given.

    Examples
    --------
    >>> limits_of(np.array([-2.0, 5.0]), "symmetric", "full")
    (-5.0, 5.0)
    >>> limits_of(np.array([-2.0, 5.0, 5000.0]), "log", "full")
    (50.0, 5000.0)
    """
    if not isinstance(limits, str):
        low, high = map(float, limits)
        if scale == "symmetric":
            high = max(abs(low), abs(high))
            low = -high
        if scale == "log" and low <= 0 < high:
            low = high / 10**decades
        if -math.inf < low < high < math.inf and not (scale == "log" and low <= 0):
            return low, high
    used = values[np.isfinite(values) & ((values > 0) if scale == "log" else True)]
    if not used.size:
        return {"linear": (0.0, 1.0), "log": (1.0, 10.0), "symmetric": (-1.0, 1.0)}[scale]
    if scale == "symmetric":
        size = abs(used)
        most = float(np.percentile(size, 99.5)) if limits == "robust" else float(size.max())
        return (-most, most) if most > 0 else (-1.0, 1.0)
    if limits == "robust":
        low, high = colour_limits(used[None], log=scale == "log")
    else:
        low, high = float(used.min()), float(used.max())
    if scale == "log":
        low = max(low, high / 10**decades)
        return low, high if high > low else low * 10
    return low, high if high > low else low + max(1.0, abs(low) * 1e-3)


def palette_of(scale: Scale) -> tuple[str, ...]:
    """Return the colours of values."""
    return tuple(DIVERGING if scale == "symmetric" else SEQUENTIAL)


def picture_palette(scale: Scale) -> tuple[str, ...]:
    """Return 256 colours for `numbers`: none outside of the camera, grey without a value, then those of values."""
    colours = palette_of(scale)
    return ("#00000000", NO_VALUE, *(colours[round(at)] for at in np.linspace(0, len(colours) - 1, 254)))


def numbers(values: NDArray[np.floating], scale: Scale, limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Return the palette number of each pixel.

    Parameters
    ----------
    values
        (pixel,).
    scale, limits
        As found with `limits_of`.

    Returns
    -------
    array
        (pixel + 1,) uint8; the last one is that of what is outside, for an index of -1.
    """
    found = np.empty(len(values) + 1, np.uint8)
    found[-1] = OUTSIDE
    coloured = to_uint8(values[None], *limits, log=scale == "log")[0]
    found[:-1] = np.where(coloured == 0, MISSING, np.maximum(coloured, MISSING + 1))
    return found
