"""Common mode: what the pixels of a readout group have in common, estimated from each frame and taken away.

A correction is a list of steps; the numbers that people know stand for such lists, see `presets`. The steps work on
pedestal-subtracted frames, one after the other. Which pixels are too bright to tell about their group is decided once
for all steps that exclude the same, on the frame as the first of them finds it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from pydantic import Field, model_validator

from detcore.area.images import commonmodekernels as kernels
from detcore.area.images.fixed import fixed
from detcore.area.images.modes import peak_corrections, unbonded_pixels
from detcore.core.parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from numpy.typing import NDArray

Kind = Literal["bank", "row", "column", "panel", "unbonded", "peak", "region"]
NEIGHBOURS: Final = 1  # px on each side


class CommonModeStep(Parameters):
    """One step: which pixels belong together, what they have in common, and when it is taken away."""

    kind: Kind = Field(
        "column",
        description="bank: a block; row, column: one line of a block; panel: all; unbonded: pixels without a sensor; "
        "peak: the peak of no photons in the histogram of the panel; region: a window of the panel that is dark",
    )
    group: tuple[int, int] | None = Field(
        None, description="(rows, columns) of a block, px; none: the panel. Of unbonded: of one chip"
    )
    statistic: Literal["median", "mean"] = Field("median", description="Of the pixels that belong together")
    exclude_noise: float | None = Field(
        None, gt=0, description="Leave pixels out that are so many times their noise or more", allow_inf_nan=False
    )
    exclude_neighbours: bool = Field(False, description="Leave out the eight neighbours of excluded pixels as well")
    exclude_above: float | None = Field(
        None, gt=0, description="Leave pixels out whose absolute value is above this, ADU", allow_inf_nan=False
    )
    cap: float | None = Field(None, gt=0, description="Correct only by less than this, ADU", allow_inf_nan=False)
    min_good: int = Field(1, ge=1, description="Correct only if so many pixels tell about the group")
    min_fraction: float = Field(0.0, ge=0, le=1, description="Correct only if this part of the group's pixels tells")
    region: tuple[tuple[int, int], tuple[int, int]] | None = Field(
        None, description="Of kind region: (first, end) row and (first, end) column in the panel, half-open"
    )
    rms_cap: float | None = Field(None, gt=0, description="Of kind peak: widest peak that is one, ADU")
    threshold: float | None = Field(None, gt=0, description="Of kind peak: pixels that a bin of 1 ADU must have")

    fallback: bool = Field(False, description="Of kind peak: mean of the unbonded pixels where there is no peak")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.group is not None and min(self.group) < 1:
            msg = f"group is {self.group}; expected (rows, columns) of 1 or more"
            raise ValueError(msg)
        if (self.kind == "region") != (self.region is not None):
            msg = "kind region, and it alone, needs a region: the rows and columns that are dark"
            raise ValueError(msg)
        if self.region is not None and any(first < 0 or end <= first for first, end in self.region):
            msg = f"region is {self.region}; expected (first, end) with 0 <= first < end"
            raise ValueError(msg)
        return self

    def block(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Return (rows, columns) of the pixels that belong together in a panel of that shape."""
        rows, columns = self.group or shape
        if self.kind == "row":
            rows = 1
        elif self.kind == "column":
            columns = 1
        elif self.kind in {"panel", "peak", "region"}:
            rows, columns = shape
        return min(rows, shape[0]), min(columns, shape[1])


def correct(
    frames: NDArray[Any],
    steps: Sequence[CommonModeStep],
    good: NDArray[Any] | None = None,
    noise: NDArray[Any] | None = None,
    *,
    corrections: list[NDArray[np.float32]] | None = None,
) -> NDArray[np.float32]:
    """Take the common mode away.

    Parameters
    ----------
    frames
        (y, x), (module, y, x) or (…, module, y, x), pedestal-subtracted, ADU. A leading axis holds frames.
    steps
        What to do, in order.
    good
        The last axes of the frames, or all of them: true or 1 where a pixel may tell about its group and is corrected;
        others keep their value, which is what low-gain pixels of gain-switching detectors need. What is not a
        number is never good.
    noise
        The last axes of the frames, ADU; steps with `exclude_noise` need it.
    corrections
        A list that gets, for each step, what was subtracted: (panel, block row, block column), 0 where the step left a
        group alone. Panels of all frames follow each other.

    Returns
    -------
    ndarray
        float32, the shape of the frames; a copy.

    Raises
    ------
    ValueError
        A shape does not fit, or noise is needed and missing.
    """
    if frames.ndim < 2:
        msg = f"frames are (…, y, x); found {frames.shape}"
        raise ValueError(msg)
    found = np.array(frames, np.float32, order="C")
    panels = found.reshape(-1, *found.shape[-2:])
    number = np.isfinite(panels)
    every = number if good is None else number & _spread(good, found.shape, "mask", np.bool_).reshape(panels.shape)
    take = np.ascontiguousarray(every).view(np.uint8)
    spread = None if noise is None else _spread(noise, found.shape, "noise", np.float32).reshape(panels.shape)
    known: dict[tuple[Any, ...], NDArray[np.uint8]] = {}
    for step in steps:
        rule = (step.exclude_noise, step.exclude_neighbours, step.exclude_above)
        if rule not in known:
            known[rule] = take if rule[0] is None and rule[2] is None else _usable(panels, take, spread, step, frames)
        applied = _step(panels, known[rule], take, step)
        if corrections is not None:
            corrections.append(applied)
    return found


def _step(
    panels: NDArray[np.float32], use: NDArray[np.uint8], take: NDArray[np.uint8], step: CommonModeStep
) -> NDArray[np.float32]:
    """Apply one step in place; return what was subtracted from each block."""
    shape = (panels.shape[1], panels.shape[2])
    rows, columns = step.block(shape)
    cap = math.inf if step.cap is None else step.cap
    if step.kind in {"peak", "unbonded", "region"}:
        if step.kind == "peak":
            values = peak_corrections(panels, use, cap, step.rms_cap or math.inf, step.threshold or 0.0)
            if step.fallback and not values.all():
                other = step.model_copy(update={"kind": "unbonded", "statistic": "mean"})
                values = np.where(values != 0, values, _part_corrections(panels, use, other, math.inf))
        else:
            values = _part_corrections(panels, use, step, cap)
        for panel, value in zip(panels, values, strict=True):
            panel[...] -= value
        _restore(panels, take, values)
        return values.reshape(-1, 1, 1)
    applied = np.zeros((len(panels), -(-shape[0] // rows), -(-shape[1] // columns)), np.float32)
    statistic = kernels.MEDIAN if step.statistic == "median" else kernels.MEAN
    kernels.subtract_blocks(
        panels,
        fixed(use),
        fixed(take),
        rows,
        columns,
        statistic,
        float(cap),
        step.min_good,
        float(step.min_fraction),
        applied,
    )
    return applied


def _restore(panels: NDArray[np.float32], take: NDArray[np.uint8], values: NDArray[np.float32]) -> None:
    """Give pixels that are not corrected what was taken from them."""
    for panel, mine, value in zip(panels, take, values, strict=True):
        if value:
            panel[mine == 0] += value


def _part_corrections(
    panels: NDArray[np.float32], use: NDArray[np.uint8], step: CommonModeStep, cap: float
) -> NDArray[np.float32]:
    """Return for each panel the statistic of a few of its pixels, 0 where there are too few or it is too large."""
    shape = (panels.shape[1], panels.shape[2])
    chosen = np.zeros(shape, np.bool_)
    if step.region is not None:
        (top, bottom), (left, right) = step.region
        chosen[top:bottom, left:right] = True
        if not chosen.any():
            msg = f"the dark region {step.region} holds no pixel of a panel of {shape}; move it inside"
            raise ValueError(msg)
    else:
        chosen[unbonded_pixels(shape, step.group)] = True
    values = np.zeros(len(panels), np.float32)
    # Unbonded pixels are masked in every image, and are good for this all the same.
    mine = use if step.region is not None else np.isfinite(panels)
    for number, panel in enumerate(panels):
        part = panel[chosen & (mine[number] != 0)]
        if part.size >= max(step.min_good, step.min_fraction * chosen.sum(), 1):
            value = float(np.median(part) if step.statistic == "median" else part.mean(dtype=np.float64))
            values[number] = value if abs(value) < cap else 0.0
    return values


def _usable(
    panels: NDArray[np.float32],
    take: NDArray[np.uint8],
    noise: NDArray[np.float32] | None,
    step: CommonModeStep,
    frames: NDArray[Any],
) -> NDArray[np.uint8]:
    """Return which pixels tell about their group: good, not bright, and not beside a bright one."""
    if step.exclude_noise is not None and noise is None:
        msg = (
            f"this correction leaves pixels out above {step.exclude_noise:g} times their noise, and the noise of the "
            f"frames {frames.shape} is not known; give it, or take a correction without"
        )
        raise ValueError(msg)
    use = np.empty_like(take)
    nothing = np.zeros((0, 0, 0), np.float32)
    kernels.usable(
        panels,
        fixed(take),
        fixed(nothing if noise is None or step.exclude_noise is None else noise),
        np.float32(step.exclude_noise or 0.0),
        np.float32(np.inf if step.exclude_above is None else step.exclude_above),
        step.exclude_neighbours,
        use,
    )
    return use


def _spread(array: NDArray[Any], shape: tuple[int, ...], what: str, dtype: type) -> NDArray[Any]:
    """Repeat an array of the last axes over the leading ones."""
    try:
        return np.ascontiguousarray(np.broadcast_to(np.asarray(array, dtype), shape))
    except ValueError:
        msg = f"the {what} has the shape of a frame, the last axes of {shape}; found {np.shape(array)}"
        raise ValueError(msg) from None
