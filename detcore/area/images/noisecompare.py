"""How much noise each common-mode correction leaves, so that a person can choose one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from detcore.area.images.commonmode import correct
from detcore.area.images.presets import presets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from detcore.area.images.commonmode import CommonModeStep

ROBUST: Final = 1.4826  # standard deviation of a normal distribution over its median absolute deviation


def compare_common_mode(
    frames: NDArray[Any],
    wanted: Mapping[str, Sequence[CommonModeStep]] | str = "unknown",
    *,
    good: NDArray[Any] | None = None,
    noise: NDArray[Any] | None = None,
    numbers: Sequence[int] | None = None,
) -> xr.Dataset:
    """Correct the same frames in several ways and measure what noise is left.

    The noise of a pixel is the spread of its value from frame to frame, robustly (a median absolute deviation, times
    1.4826), so that photons in a few of the frames do not count; that of a correction is the median over the good pixels.

    Parameters
    ----------
    frames
        (frame, y, x) or (frame, module, y, x), pedestal-subtracted, two frames or more, ADU.
    wanted
        Steps by a name, or the type of a detector: then all numbers with steps that it has, and 0.
    good
        Of a frame, true where a pixel counts.
    noise
        Of a frame, ADU: from dark frames; corrections that leave bright pixels out need it, else they are left out here.
    numbers
        Only these of the detector's.

    Returns
    -------
    Dataset
        On `correction` (names): `noise`, `noise_low` and `noise_high` (of the middle 68 % of the pixels), `correction_rms` (how
        much was subtracted), all ADU, `n_pixels`, `meaning`; `noise_image` (correction, [module,] y, x).

    Raises
    ------
    ValueError
        There are fewer than two frames, or no good pixel.
    """
    frames = np.asarray(frames)
    if frames.ndim not in {3, 4} or len(frames) < 2:
        msg = f"the noise is compared on two frames or more, (frame, [module,] y, x); found {frames.shape}"
        raise ValueError(msg)
    chosen = _chosen(wanted, numbers, noise is not None)
    if not chosen:
        msg = "no correction is left to compare: without the noise of each pixel, those that need it are left out"
        raise ValueError(msg)
    use = np.ones(frames.shape[1:], np.bool_) if good is None else np.asarray(good, np.bool_)
    if use.shape != frames.shape[1:] or not use.any():
        msg = f"expected a mask of {frames.shape[1:]} with good pixels, found {use.shape} with {int(use.sum())}"
        raise ValueError(msg)
    start = np.array(frames, np.float32)
    columns: dict[str, list[float]] = {name: [] for name in ("noise", "noise_low", "noise_high", "correction_rms")}
    images = []
    for steps, _ in chosen.values():
        found = correct(start, steps, use, noise) if steps else start
        middle = np.nanmedian(found, axis=0) if np.isnan(found).any() else np.median(found, axis=0)
        apart = np.abs(found - middle)
        spread = ROBUST * (np.nanmedian(apart, axis=0) if np.isnan(apart).any() else np.median(apart, axis=0))
        if len(frames) == 2:
            # Of two values the deviations are both half their distance: back to a standard deviation of differences.
            spread = np.abs(found[0] - found[1]) * (ROBUST / math.sqrt(2))
        spread = np.where(use, spread, np.nan).astype(np.float32)
        images.append(spread)
        inside = spread[np.isfinite(spread)]
        low, half, high = np.percentile(inside, [16, 50, 84]) if inside.size else (np.nan,) * 3
        columns["noise"].append(float(half))
        columns["noise_low"].append(float(low))
        columns["noise_high"].append(float(high))
        difference = (found - start)[:, use]
        difference = difference[np.isfinite(difference)]
        columns["correction_rms"].append(
            float(np.sqrt(np.mean(np.square(difference, dtype=np.float64)))) if difference.size else 0.0
        )
    data: dict[str, Any] = {name: ("correction", values, {"units": "ADU"}) for name, values in columns.items()}
    dims = ("correction", *(("module",) if frames.ndim == 4 else ()), "y", "x")
    data["noise_image"] = (dims, np.stack(images), {"units": "ADU"})
    data["meaning"] = ("correction", np.array([words for _, words in chosen.values()], dtype=object))
    data["n_pixels"] = ((), int(use.sum()))
    return xr.Dataset(
        data,
        {"correction": np.array(list(chosen), dtype=object)},
        attrs={"n_frames": len(frames), "statistic": "1.4826 MAD"},
    )


def _chosen(
    wanted: Mapping[str, Sequence[CommonModeStep]] | str, numbers: Sequence[int] | None, noisy: bool
) -> dict[str, tuple[tuple[CommonModeStep, ...], str]]:
    if not isinstance(wanted, str):
        return {
            name: (tuple(steps), ", ".join(step.kind for step in steps) or "none")
            for name, steps in wanted.items()
            if noisy or all(step.exclude_noise is None for step in steps)
        }
    known = presets(wanted)
    return {
        str(number): (one.steps, one.meaning)
        for number, one in sorted(known.items())
        if (number == 0 or one.steps)
        and (numbers is None or number in numbers)
        and one.needs != "dark region"
        and (noisy or one.needs != "noise")
    }
