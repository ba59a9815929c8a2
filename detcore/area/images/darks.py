"""Constants from dark frames: what a pixel reads without light, how much that spreads, and whether it is sane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import Field, model_validator

from detcore.core.parameters import Parameters

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

NOISE_HIGH, NOISE_LOW, VALUE_HIGH, VALUE_LOW, MEAN_HIGH, MEAN_LOW, BAD_GAIN = (1 << bit for bit in range(7))
"""Bits of a status, those of psana2."""
MEANING: Final = {
    NOISE_HIGH: "noise above its range",
    NOISE_LOW: "noise below its range",
    VALUE_HIGH: "too often above the range of values",
    VALUE_LOW: "too often below the range of values",
    MEAN_HIGH: "pedestal above its range",
    MEAN_LOW: "pedestal below its range, or never read",
    BAD_GAIN: "impossible gain bits",
}


class DarkRanges(Parameters):
    """What is sane for a dark pixel; every range is inclusive, ADU."""

    pedestal_low: float = Field(10.0, description="Smallest sane pedestal, ADU", allow_inf_nan=False)
    pedestal_high: float = Field(10000.0, description="Largest sane pedestal, ADU", allow_inf_nan=False)
    noise_low: float = Field(2.0, ge=0, description="Smallest sane noise, ADU", allow_inf_nan=False)
    noise_high: float = Field(7.0, ge=0, description="Largest sane noise, ADU", allow_inf_nan=False)
    value_low: float | None = Field(None, description="Smaller values are left out, ADU", allow_inf_nan=False)
    value_high: float | None = Field(None, description="Larger values are left out, ADU", allow_inf_nan=False)
    fraction: float = Field(0.05, ge=0, le=1, description="Part of the frames in which a sane pixel may be left out")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("pedestal", "noise", "value"):
            low, high = getattr(self, f"{name}_low"), getattr(self, f"{name}_high")
            if low is not None and high is not None and low > high:
                msg = f"{name}_low is {low:g} and {name}_high {high:g}; expected {name}_low <= {name}_high"
                raise ValueError(msg)
        return self


def status_of(
    pedestal: NDArray[Any],
    noise: NDArray[Any],
    ranges: DarkRanges,
    *,
    n: NDArray[Any] | int = 0,
    n_low: NDArray[Any] | int = 0,
    n_high: NDArray[Any] | int = 0,
) -> NDArray[np.uint32]:
    """Return the status of each pixel; 0 is sane.

    Parameters
    ----------
    pedestal, noise
        Any shape, ADU; nan where a pixel was never read.
    ranges
        What is sane.
    n, n_low, n_high
        How many values each pixel has, and how many more were left out as too low or too high.

    Returns
    -------
    ndarray
        uint32, the shape of the pedestal; bits as in `MEANING`.

    Examples
    --------
    >>> status_of(np.array([100.0, 5.0, np.nan]), np.array([3.0, 9.0, np.nan]), DarkRanges()).tolist()
    [0, 33, 34]
    """
    status = np.zeros(np.shape(pedestal), np.uint32)
    never = ~(np.isfinite(pedestal) & np.isfinite(noise))
    with np.errstate(invalid="ignore"):
        status[noise > ranges.noise_high] |= NOISE_HIGH
        status[(noise < ranges.noise_low) | never] |= NOISE_LOW
        status[pedestal > ranges.pedestal_high] |= MEAN_HIGH
        status[(pedestal < ranges.pedestal_low) | never] |= MEAN_LOW
    total = np.asarray(n) + n_low + n_high
    for count, bit in ((n_low, VALUE_LOW), (n_high, VALUE_HIGH)):
        status[(np.asarray(count) > ranges.fraction * total) & np.ones(status.shape, np.bool_)] |= bit
    return status


def summary(status: NDArray[Any]) -> dict[str, int]:
    """Return how many pixels have each bit, by its meaning; those without any as "sane"."""
    found = {"sane": int((status == 0).sum())}
    return found | {words: int((status & bit != 0).sum()) for bit, words in MEANING.items()}
