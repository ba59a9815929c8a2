"""What happens to frames before they are added up: calibration, background, thresholds, and which events count.

Every step works frame by frame, so that cutting a run elsewhere changes nothing.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import ConfigDict, Field, InstanceOf, field_validator, model_validator
from typing_extensions import override

from detcore.area.detector import Detector
from detcore.area.functions.calibration import VALUE_BITS, Calibration, gain_ranges
from detcore.area.images.commonmode import CommonModeStep
from detcore.area.images.presets import GHOST
from detcore.area.reductions import DATA, GAIN
from detcore.area.reductions_azimuthal import Plane
from detcore.core.schema import FRAME, require
from detcore.core.steps import Step

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    import xarray as xr
    from numpy.typing import NDArray

LIMITS: Final = ("underload", "saturation")  # attributes of raw frames; calibrated ones are nan beyond them


def _with_data(chunk: xr.Dataset, values: NDArray[Any], **attrs: Any) -> xr.Dataset:
    """Return the chunk with other frames."""
    found = chunk.assign({DATA: (chunk[DATA].dims, values, dict(chunk[DATA].attrs))})
    return found.assign_attrs(attrs)


def _each(chunk: xr.Dataset, work: Callable[[NDArray[Any]], NDArray[Any]], dtype: Any = np.float32) -> NDArray[Any]:
    """Do something with each frame."""
    frames = chunk.variables[DATA].values
    found = np.empty(frames.shape, dtype)
    for number, frame in enumerate(frames):
        found[number] = work(frame)
    return found


def _without_ghosts(number: int) -> None:
    if number > GHOST:
        msg = (
            f"common mode {number} corrects each frame by the one before it, which an average cannot; "
            f"take {number - GHOST}"
        )
        raise ValueError(msg)


class Calibrate(Step):
    """Subtracts the pedestal and the common mode and applies the gain: `data` as float32, invalid values nan.

    It does what the event loop does: raw frames (-1) lose their gain bits only and keep their type and limits. Numbers
    with a ghost correction need the event before, and are refused.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    detector: InstanceOf[Detector] = Field(description="With the constants")
    common_mode: int | tuple[CommonModeStep, ...] | None = Field(
        None, description="Number, steps, or none for what is usual for the type"
    )
    by_bit: tuple[int, int] = Field((0, 0), description="Of an ePix10ka: gains of pixels without and with the gain bit")
    dark_region: tuple[tuple[int, int], tuple[int, int]] | None = Field(
        None, description="Rows and columns that no light reaches, for the numbers that need them"
    )

    @field_validator("common_mode")
    @classmethod
    def _possible(cls, value: Any) -> Any:
        if isinstance(value, int):
            _without_ghosts(value)
        return value

    @cached_property
    def calibration(self) -> Calibration:
        """What is applied to each frame."""
        return Calibration(self.detector, self.common_mode, self.by_bit, self.dark_region)

    @override
    def needs(self) -> frozenset[str]:
        return frozenset({DATA})

    @override
    def apply(self, chunk: xr.Dataset) -> xr.Dataset:
        require(chunk, [DATA], "the calibration")
        self.detector.check(chunk[DATA].shape[1:])
        if self.calibration.raw:
            limits = {name: getattr(self.detector, name) for name in LIMITS}
            return _with_data(chunk, self.calibration.words(chunk.variables[DATA].values), **limits)
        values = _each(chunk, lambda frame: np.ma.filled(np.ma.asarray(self.calibration(frame), np.float32), np.nan))
        return _with_data(chunk, values, **dict.fromkeys(set(LIMITS) & set(chunk.attrs)))


def calibrating(calibration: Calibration, background: Plane | None = None) -> tuple[Step, ...]:
    """Return the steps that do what a calibration does, and subtract an image.

    Parameters
    ----------
    calibration
        Of the event loop.
    background
        Shape of a frame; None: nothing is subtracted.

    Raises
    ------
    ValueError
        It corrects ghosts of the event before.
    """
    if isinstance(calibration.number, int):
        _without_ghosts(calibration.number)
    found: list[Step] = [
        Calibrate(
            detector=calibration.detector,
            common_mode=calibration.steps if isinstance(calibration.number, str) else calibration.number,
            by_bit=(calibration.by_bit[0], calibration.by_bit[1]),
            dark_region=calibration.dark_region,
        )
    ]
    return (*found, *([] if background is None else [SubtractBackground(image=background)]))


class SubtractBackground(Step):
    """Subtracts an image from every frame: `data` as float32."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    image: Plane = Field(description="Shape of a frame; where it is nan, the result is")
    scale: float = Field(1.0, description="By which it is multiplied", allow_inf_nan=False)

    @override
    def needs(self) -> frozenset[str]:
        return frozenset({DATA})

    @override
    def apply(self, chunk: xr.Dataset) -> xr.Dataset:
        require(chunk, [DATA], "the background")
        frames = chunk.variables[DATA].values
        image = np.asarray(self.image.values)
        if frames.shape[1:] != image.shape:
            msg = (
                f"the background has the shape {image.shape}, the frames {frames.shape[1:]}; is it of another detector?"
            )
            raise ValueError(msg)
        low, high = (chunk.attrs.get(name) for name in LIMITS)
        values = frames.astype(np.float32)
        if low is not None:
            values[frames < low] = np.nan
        if high is not None:
            values[frames > high] = np.nan
        values -= (self.scale * image).astype(np.float32)
        return _with_data(chunk, values, **dict.fromkeys(set(LIMITS) & set(chunk.attrs)))


class Thresholds(Step):
    """Sets values outside of limits to 0, or to nan, so that they do not count at all."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    low: float | None = Field(
        None, description="Smallest value that stays, ADU or times the noise", allow_inf_nan=False
    )
    high: float | None = Field(None, description="Largest value that stays", allow_inf_nan=False)
    noise: Plane | None = Field(None, description="Shape of a frame: the limits are in units of it")
    missing: bool = Field(False, description="Others become nan instead of 0")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low is not None and self.high is not None and self.low > self.high:
            msg = f"low is {self.low} and high {self.high}; expected low <= high"
            raise ValueError(msg)
        return self

    @override
    def needs(self) -> frozenset[str]:
        return frozenset({DATA})

    @override
    def apply(self, chunk: xr.Dataset) -> xr.Dataset:
        require(chunk, [DATA], "the thresholds")
        frames = chunk.variables[DATA].values
        unit = 1.0 if self.noise is None else np.asarray(self.noise.values, np.float64)
        if self.noise is not None and np.shape(unit) != frames.shape[1:]:
            msg = f"the noise has the shape {np.shape(unit)}, the frames {frames.shape[1:]}; is it of another detector?"
            raise ValueError(msg)
        outside = np.zeros(frames.shape, np.bool_)
        if self.low is not None:
            outside |= frames < self.low * unit
        if self.high is not None:
            outside |= frames > self.high * unit
        values = frames.astype(np.float32) if self.missing and frames.dtype.kind != "f" else frames.copy()
        values[outside] = np.nan if self.missing else 0
        return _with_data(chunk, values)


class SplitGain(Step):
    """Takes the gain bits out of the words of an ePix10ka or a Jungfrau: `data` without them, and `gain_range`.

    `gain_range` (frame, …, int8) is the entry of the gain axis of the constants, -1 where the bits are impossible.
    """

    detector_type: str = Field(description="Type of the detector")
    by_bit: tuple[int, int] = Field(
        (0, 0), description="Of an ePix10ka: entries of pixels without and with the gain bit"
    )

    @override
    def needs(self) -> frozenset[str]:
        return frozenset({DATA})

    @override
    def gives(self) -> frozenset[str]:
        return frozenset({GAIN})

    @override
    def apply(self, chunk: xr.Dataset) -> xr.Dataset:
        require(chunk, [DATA], "the gain bits")
        frames = chunk.variables[DATA].values
        if frames.dtype.kind not in "iu" or frames.dtype.itemsize < 2:
            msg = (
                f"gain bits are in whole numbers of 16 bits; the frames are {frames.dtype}, is that calibrated already?"
            )
            raise ValueError(msg)
        ranges = gain_ranges(frames, self.detector_type, self.by_bit)
        found = _with_data(chunk, (frames & VALUE_BITS).astype(np.uint16))
        return found.assign({GAIN: (chunk[DATA].dims, ranges)})


class ChosenEvents(Step):
    """Keeps the events whose column is within limits, or with `invert` outside of them; nan is never kept."""

    column: str = Field(description="Of the run, one number for each event", min_length=1)
    low: float | None = Field(None, description="Smallest value (inclusive)", allow_inf_nan=False)
    high: float | None = Field(None, description="Largest value (inclusive)", allow_inf_nan=False)
    invert: bool = Field(False, description="Keep the others")

    @override
    def needs(self) -> frozenset[str]:
        return frozenset({self.column})

    @override
    def apply(self, chunk: xr.Dataset) -> xr.Dataset:
        require(chunk, [self.column], "the event filter")
        values = chunk.variables[self.column].values.astype(np.float64)
        inside = np.ones(len(values), np.bool_)
        if self.low is not None:
            inside &= values >= self.low
        if self.high is not None:
            inside &= values <= self.high
        keep = ~np.isnan(values) & (inside != self.invert)
        return chunk if keep.all() else chunk.isel({FRAME: keep})
