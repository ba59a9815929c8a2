"""Pedestal, noise and status from a run without light."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import xarray as xr
from pydantic import Field
from typing_extensions import override

from detcore.area.images.darks import VALUE_HIGH, VALUE_LOW, DarkRanges, status_of
from detcore.area.images.running import COUNT_BYTES, MAX_HISTOGRAM, Rules, RunningSums
from detcore.area.reductions import DATA, GAIN, Average
from detcore.area.reductions_azimuthal import Plane
from detcore.area.source import open_files
from detcore.area.steps import SplitGain, SubtractBackground
from detcore.core.reduction import Reduction
from detcore.core.run import run
from detcore.core.schema import require
from detcore.core.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


MEDIAN_BINS: Final = 256
MEDIAN_WIDTH: Final = 8.0  # times the usual noise, on either side of the mean


@dataclass(eq=False)
class Darks:
    """State: sums of each gain range, and how many values of each pixel were left out."""

    parts: list[RunningSums]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    dims: tuple[str, ...]


class Dark(DarkRanges, Reduction):
    """Pedestal (mean), noise (standard deviation) and status of every pixel.

    Gives `pedestal`, `noise` (float64, ADU, nan where a pixel was never read), `status` (uint32, bits of psana2),
    `n_valid` (int64), all ([gain,] [module,] y, x), and `n_frames`. With gain ranges, of which a run usually has only
    one, each range has its own; status of a range without a single value stays 0 if the pixel was read in another.
    """

    gains: int = Field(0, description="How many gain ranges, each of its own; 0: all together", ge=0, le=8)

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({DATA, *([GAIN] if self.gains else [])})

    @override
    def empty(self, schema: xr.Dataset) -> Darks:
        require(schema, self.needs(schema), "the dark frames")
        data = schema[DATA]
        low = [one for one in (self.value_low, schema.attrs.get("underload")) if one is not None]
        high = [one for one in (self.value_high, schema.attrs.get("saturation")) if one is not None]
        rules = Rules(max(low, default=-math.inf), min(high, default=math.inf))
        dtype = np.dtype(np.float32) if self.gains else data.dtype
        shape, n = tuple(data.shape[1:]), max(1, self.gains)
        parts = [RunningSums(shape, dtype, rules) for _ in range(n)]
        return Darks(
            parts, np.zeros((n, *shape), np.int64), np.zeros((n, *shape), np.int64), tuple(map(str, data.dims[1:]))
        )

    @override
    def update(self, state: Darks, chunk: xr.Dataset) -> None:
        frames = chunk.variables[DATA].values
        rules = state.parts[0].rules
        for number, part in enumerate(state.parts):
            mine = frames
            if self.gains:
                mine = np.where(chunk.variables[GAIN].values == number, frames, np.nan).astype(np.float32)
            if math.isfinite(rules.low):
                state.low[number] += (mine < rules.low).sum(axis=0)
            if math.isfinite(rules.high):
                state.high[number] += (mine > rules.high).sum(axis=0)
            part.add(mine)

    @override
    def merge(self, state: Darks, other: Darks) -> None:
        for mine, theirs in zip(state.parts, other.parts, strict=True):
            mine.merge(theirs)
        state.low += other.low
        state.high += other.high

    @override
    def finalize(self, state: Darks) -> xr.Dataset:
        pedestal, noise = np.stack([one.mean for one in state.parts]), np.stack([one.std for one in state.parts])
        n = np.stack([one.n for one in state.parts])
        ranges = DarkRanges(**{name: getattr(self, name) for name in DarkRanges.model_fields})
        status = status_of(pedestal, noise, ranges, n=n, n_low=state.low, n_high=state.high)
        if self.gains:
            elsewhere = (n == 0) & (n.sum(axis=0) > 0)
            status[elsewhere] = 0
        found: dict[str, tuple[NDArray[Any], dict[str, str]]] = {
            "pedestal": (pedestal, {"units": "ADU"}),
            "noise": (noise, {"units": "ADU"}),
            "status": (status, {"long_name": "bits of psana2, 0 is sane"}),
            "n_valid": (n, {"units": "frames"}),
        }
        dims = ("gain", *state.dims) if self.gains else state.dims
        data: dict[str, Any] = {
            name: (dims, values if self.gains else values[0], attrs) for name, (values, attrs) in found.items()
        }
        return xr.Dataset(data | {"n_frames": ((), state.parts[0].frames)})


def pedestal(
    source: Any,
    ranges: DarkRanges | None = None,
    *,
    statistic: Literal["mean", "median"] = "mean",
    gains: int = 0,
    by_bit: tuple[int, int] = (0, 0),
    running: Callable[..., xr.Dataset] = run,
    **options: Any,
) -> xr.Dataset:
    """Find pedestal, noise and status of every pixel in a run without light.

    Parameters
    ----------
    source
        An opened run, or files.
    ranges
        What is sane.
    statistic
        Of the pedestal. The median takes a second pass; it is looked for within eight times the usual noise around
        the mean of each pixel, in bins whose size is the attribute `median_resolution`.
    gains
        How many gain ranges the words of the detector have (3 Jungfrau, 7 ePix10ka); 0: the frames have no gain bits.
    by_bit
        Of an ePix10ka: gain ranges of pixels without and with the gain bit.
    running
        What reduces a source: `run`, or the same with a progress bar.
    **options
        For it.

    Returns
    -------
    Dataset
        As of `Dark`.

    Raises
    ------
    EmptyInput, ValueError
        Nothing can be read, or the memory for medians would be too large.
    """
    if gains and statistic == "median":
        msg = "medians are for frames without gain bits; take the mean, or a run of one gain without the bits"
        raise ValueError(msg)
    ranges = ranges or DarkRanges()
    source = source if isinstance(source, Source) else open_files(source)
    kind = str(source.schema().attrs.get("detector_type", "unknown"))
    steps = (SplitGain(detector_type=kind, by_bit=by_bit),) if gains else ()
    dark = Dark(gains=gains, **ranges.model_dump())
    found: xr.Dataset = running(source, dark.after(*steps), **options)
    if statistic == "mean":
        return found
    mean = found["pedestal"].values
    noise = found["noise"].values
    usual = float(np.median(noise[np.isfinite(noise)])) if np.isfinite(noise).any() else 1.0
    width = max(MEDIAN_WIDTH * usual, 2.0)
    bins = min(MEDIAN_BINS, MAX_HISTOGRAM // (COUNT_BYTES * mean.size) - 2)
    if bins < 2:
        msg = f"medians of {mean.size} pixels take too much memory; take the mean"
        raise ValueError(msg)
    average = Average(median_range=(-width, width), median_bins=bins)
    second: xr.Dataset = running(source, average.after(SubtractBackground(image=Plane(mean))), **options)
    values = mean + second["median"].values
    better = np.where(np.isfinite(values), values, mean)
    fresh = status_of(better, noise, ranges)
    kept = found["status"].values & np.uint32(VALUE_HIGH | VALUE_LOW)  # they were counted in the first pass
    found = found.assign(
        pedestal=(found["pedestal"].dims, better, {"units": "ADU"}),
        status=(found["status"].dims, fresh | kept, found["status"].attrs),
    )
    return found.assign_attrs(median_resolution=2 * width / bins)
