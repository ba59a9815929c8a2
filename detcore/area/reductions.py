"""What is accumulated over the frames of an area detector: averages of every pixel, and spectra of single pixels.

A chunk has `data` (frame, y, x) or (frame, module, y, x), numbers of any type, and further columns along `frame`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr
from pydantic import ConfigDict, Field, model_validator
from typing_extensions import override

from detcore.area.images.running import Rules, RunningSums
from detcore.area.reductions_azimuthal import Plane
from detcore.core.reduction import Reduction
from detcore.core.schema import require

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

DATA: Final = "data"
GAIN: Final = "gain_range"  # column that `SplitGain` gives
MAX_BINS: Final = 1 << 16
_UNITS = {"n_valid": "frames", "n_hits": "frames"}
_MEANING = {
    "mean": "mean of the valid values",
    "std": "standard deviation of the valid values",
    "min": "smallest valid value",
    "max": "largest valid value",
    "median": "median of the valid values",
    "n_valid": "frames in which the pixel is valid",
    "n_hits": "frames in which the pixel reaches the threshold",
}


@dataclass(eq=False)
class Averages:
    """State: sums of each gain range (one without), and what is known of the frames."""

    parts: list[RunningSums]
    dims: tuple[str, ...]
    units: str
    frames: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


class Average(Reduction):
    """Mean, spread, extremes and hit counts of every pixel.

    Gives `mean`, `std`, `min`, `max` (float64, nan where a pixel was never valid), `n_valid`, `n_hits` (int64), all
    ([gain,] [module,] y, x), `n_frames`, and with `median_range` `median`, whose resolution (the size of a bin) is the
    attribute `median_resolution`. With a threshold smaller values count as 0, as in smalldata_tools; hits are the others.

    What is not a number is not valid, nor what is outside of the detector's limits (`underload`, `saturation`; both
    inclusive). Masks are not applied: they can change later.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    threshold: float | None = Field(None, description="Smaller values count as 0, ADU", allow_inf_nan=False)
    noise_threshold: float | None = Field(
        None, gt=0, description="The same, in units of the noise", allow_inf_nan=False
    )
    noise: Plane | None = Field(None, description="Of each pixel, ADU; for a threshold in its units")
    limits: bool = Field(True, description="Leave out values beyond the detector's limits")
    median_range: tuple[float, float] | None = Field(None, description="Between which values medians are looked for")
    median_bins: int = Field(256, description="In so many bins", gt=0, le=MAX_BINS)
    gains: int = Field(
        0, description="Averages of so many gain ranges, each of its own; 0: of all together", ge=0, le=8
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.median_range is not None and not (
            self.median_range[0] < self.median_range[1] and all(map(math.isfinite, self.median_range))
        ):
            msg = f"median_range is {self.median_range}; expected two numbers, the smaller one first"
            raise ValueError(msg)
        if self.noise_threshold is not None and (self.noise is None or self.threshold is not None):
            msg = "a threshold in units of the noise needs the noise of each pixel, and no threshold in ADU beside it"
            raise ValueError(msg)
        return self

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({DATA, *([GAIN] if self.gains else [])})

    @override
    def empty(self, schema: xr.Dataset) -> Averages:
        require(schema, self.needs(schema), "the average")
        data = schema[DATA]
        shape = tuple(data.shape[1:])
        low, high = (schema.attrs.get(name) if self.limits else None for name in ("underload", "saturation"))
        threshold: Any = self.threshold
        if self.noise_threshold is not None and self.noise is not None:
            if self.noise.values.shape != shape:
                msg = (
                    f"the noise has the shape {self.noise.values.shape}, the frames {shape}; is it of another detector?"
                )
                raise ValueError(msg)
            threshold = (self.noise_threshold * self.noise.values.astype(np.float64)).ravel()
        bins = None if self.median_range is None else (*self.median_range, self.median_bins)
        rules = Rules(-math.inf if low is None else low, math.inf if high is None else high, threshold, bins)
        dtype = np.dtype(np.float32) if self.gains else data.dtype
        parts = [RunningSums(shape, dtype, rules) for _ in range(max(1, self.gains))]
        return Averages(parts, tuple(map(str, data.dims[1:])), str(data.attrs.get("units", "ADU")))

    @override
    def update(self, state: Averages, chunk: xr.Dataset) -> None:
        frames = chunk.variables[DATA].values
        if not self.gains:
            state.parts[0].add(frames)
        else:
            ranges = chunk.variables[GAIN].values
            for number, part in enumerate(state.parts):
                part.add(np.where(ranges == number, frames, np.nan).astype(np.float32))
        state.frames += len(frames)

    @override
    def merge(self, state: Averages, other: Averages) -> None:
        for mine, theirs in zip(state.parts, other.parts, strict=True):
            mine.merge(theirs)
        state.frames += other.frames

    @override
    def finalize(self, state: Averages) -> xr.Dataset:
        names = ["mean", "std", "min", "max"] + (["median"] if self.median_range is not None else [])
        dims = (("gain", *state.dims)) if self.gains else state.dims
        data: dict[str, Any] = {}
        for name, attribute in [*zip(names, names, strict=True), ("n_valid", "n"), ("n_hits", "n_hits")]:
            values: list[NDArray[Any]] = [getattr(part, attribute) for part in state.parts]
            attrs = {"units": _UNITS.get(name, state.units), "long_name": _MEANING[name]}
            data[name] = (dims, np.stack(values) if self.gains else values[0], attrs)
        data["n_frames"] = ((), state.frames)
        facts: dict[str, Any] = {name: value for name, value in self._facts().items() if value is not None}
        return xr.Dataset(data, attrs=facts)

    def _facts(self) -> dict[str, Any]:
        width = None
        if self.median_range is not None:
            width = (self.median_range[1] - self.median_range[0]) / self.median_bins
        return {
            "threshold": self.threshold,
            "noise_threshold": self.noise_threshold,
            "median_resolution": width,
        }


@dataclass(eq=False)
class Spectra:
    """State: counts (spectrum, bin + 3): below, the bins, above, missing."""

    places: tuple[NDArray[np.intp], ...] | None
    counts: NDArray[np.int64]
    shape: tuple[int, ...]
    units: str
    frames: int = 0


class PixelSpectra(Reduction):
    """Histogram of the values of single pixels over the run, or of all good pixels together.

    Gives `counts` (pixel, bin), `below`, `above`, `missing` (pixel), int64, `bin` (centres) and `pixel_index` (pixel,
    dimension); without `pixels` there is one spectrum, of the whole frame. The lower edge of a bin is inside.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    pixels: tuple[tuple[int, ...], ...] = Field(
        (), description="Indices (y, x) or (module, y, x); none: all pixels", max_length=4096
    )
    good: Plane | None = Field(None, description="Pixels that count, if all are meant")
    low: float = Field(0.0, description="Lower edge of the first bin", allow_inf_nan=False)
    high: float = Field(1000.0, description="Upper edge of the last bin", allow_inf_nan=False)
    bins: int = Field(180, description="Number of bins", gt=0, le=MAX_BINS)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            msg = f"low is {self.low} and high {self.high}; expected low < high"
            raise ValueError(msg)
        return self

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({DATA})

    @override
    def empty(self, schema: xr.Dataset) -> Spectra:
        require(schema, [DATA], "the spectra of pixels")
        data = schema[DATA]
        shape = tuple(data.shape[1:])
        places = None
        if self.pixels:
            wrong = [
                one
                for one in self.pixels
                if len(one) != len(shape) or any(not 0 <= at < size for at, size in zip(one, shape, strict=False))
            ]
            if wrong:
                msg = f"there is no pixel {wrong[0]} in frames of {shape}; give {len(shape)} indices from 0"
                raise ValueError(msg)
            places = tuple(np.array(axis, np.intp) for axis in zip(*self.pixels, strict=True))
        elif self.good is not None:
            if self.good.values.shape != shape:
                msg = f"the mask has the shape {self.good.values.shape}, the frames {shape}; is it of another detector?"
                raise ValueError(msg)
            places = np.nonzero(self.good.values)
        counts = np.zeros((max(1, len(self.pixels)), self.bins + 3), np.int64)
        return Spectra(places, counts, shape, str(data.attrs.get("units", "ADU")))

    @override
    def update(self, state: Spectra, chunk: xr.Dataset) -> None:
        frames = chunk.variables[DATA].values
        where: Any = () if state.places is None else (slice(None), *state.places)
        chosen = frames[where]
        values = chosen.reshape(len(frames), math.prod(chosen.shape[1:])).astype(np.float64)
        with np.errstate(invalid="ignore"):
            at = np.floor((values - self.low) * (self.bins / (self.high - self.low)))
            place = np.clip(at, -1, self.bins) + 1
        place = np.where(np.isfinite(values), place, self.bins + 2).astype(np.int64)
        rows = self.bins + 3
        if self.pixels:
            place += rows * np.arange(place.shape[1])
        state.counts += np.bincount(place.ravel(), minlength=state.counts.size).reshape(state.counts.shape)
        state.frames += len(frames)

    @override
    def merge(self, state: Spectra, other: Spectra) -> None:
        state.counts += other.counts
        state.frames += other.frames

    @override
    def finalize(self, state: Spectra) -> xr.Dataset:
        width = (self.high - self.low) / self.bins
        counts = state.counts
        centres = self.low + width * (np.arange(self.bins) + 0.5)
        where = np.array(self.pixels, np.int64).reshape(len(self.pixels), -1) if self.pixels else None
        data: dict[str, Any] = {
            "counts": (("pixel", "bin"), counts[:, 1 : self.bins + 1].copy(), {"units": "values"}),
            "below": ("pixel", counts[:, 0].copy()),
            "above": ("pixel", counts[:, self.bins + 1].copy()),
            "missing": ("pixel", counts[:, self.bins + 2].copy()),
            "n_frames": ((), state.frames),
        }
        if where is not None:
            data["pixel_index"] = (("pixel", "index"), where)
        return xr.Dataset(data, {"bin": ("bin", centres, {"units": state.units})})
