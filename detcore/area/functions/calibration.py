"""From a raw frame to the data of an event, by the common-mode number that people know, or by steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detcore.area.images.commonmode import correct
from detcore.area.images.presets import preset, presets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from detcore.area.detector import Detector

RAW, RAW_WITH_GAIN, PEDESTAL, CALIBRATED = -1, -2, 0, 30
VALUE_BITS: Final = 0x3FFF  # of an ePix10ka or Jungfrau word; the two above tell the gain
# Entries of the gain axis in which a pixel neither tells about the common mode of its group nor is corrected.
LOW_GAINS: Final = {"jungfrau": (1, 2), "epix10k": (2, 5, 6), "epix10kquad": (2, 5, 6), "epix10k2m": (2, 5, 6)}
JUNGFRAU_RANGES: Final = (0, 1, -1, 2)  # by the two highest bits of a word; 2 never occurs in good data


def common_mode_of(detector: Detector, wanted: Any, dark_region: Any = None) -> tuple[int | str, tuple[Any, ...]]:
    """Return the number and the steps of a common-mode correction.

    Parameters
    ----------
    detector
        Its type decides what a number means, and which is taken if none is asked for.
    wanted
        None, a number, or steps of `area.common_mode`.
    dark_region
        ((first, end) row, (first, end) column) that no light reaches, for the numbers that need one.

    Returns
    -------
    tuple
        (number, or ``"steps"``; the steps, none for numbers that do not correct).

    Raises
    ------
    ValueError
        The type has no such number; lists those that it has, and what is recommended.
    """
    kind = detector.kind
    if wanted is None:
        wanted = kind.common_mode
    if not isinstance(wanted, (int, np.integer)):
        return "steps", tuple(wanted)
    number = int(wanted)
    known = presets(detector.type, dark_region=dark_region)
    base = number if number in known else number % 100
    if base not in known:
        numbers = ", ".join(map(str, dict.fromkeys((*kind.common_modes, *known))))
        msg = (
            f"{detector.name}: common mode {number} is none of a detector of type {detector.type}: {numbers}; "
            f"recommended is {kind.recommended}"
        )
        raise ValueError(msg)
    return number, tuple(preset(base, detector.type, dark_region=dark_region).steps)


def gain_ranges(raw: NDArray[Any], kind: str, by_bit: Sequence[int]) -> NDArray[np.int8]:
    """Return which entry of the gain axis each pixel of a raw frame needs; -1 where its bits are impossible.

    Parameters
    ----------
    raw
        Words of an ePix10ka or a Jungfrau.
    kind
        Type of the detector.
    by_bit
        Of an ePix10ka: entries for pixels without and with bit 14. Its configuration, which is not in the frames, tells.
    """
    words = raw.astype(np.uint16)
    table = JUNGFRAU_RANGES if kind == "jungfrau" else (by_bit[0], by_bit[1]) * 2
    return np.asarray(table, np.int8)[words >> 14]


def _picked(constants: NDArray[np.float32], chosen: NDArray[np.int8] | None, ndim: int) -> NDArray[np.float32]:
    """Return constants of the shape of a frame: of the chosen entries of the gain axis, else of the first."""
    if constants.ndim == ndim:
        return constants
    if chosen is None or chosen.max(initial=0) >= len(constants):
        return np.asarray(constants[0])
    return np.take_along_axis(constants, np.maximum(chosen, 0)[None].astype(np.intp), axis=0)[0]


class Calibration:
    """Turns raw frames of one detector into data of events, one by one.

    Parameters
    ----------
    detector
        With pedestal, noise and gain as far as there are any.
    common_mode
        A number, steps, or None for what is usual for the type.
    by_bit
        Of an ePix10ka: entries of the gain axis for pixels without and with bit 14.
    dark_region
        Rows and columns that no light reaches, for the numbers that need them.
    """

    def __init__(
        self, detector: Detector, common_mode: Any = None, by_bit: Sequence[int] = (0, 0), dark_region: Any = None
    ) -> None:
        self.detector = detector
        self.number, self.steps = common_mode_of(detector, common_mode, dark_region)
        self.by_bit, self.dark_region = by_bit, dark_region
        self.ghost: tuple[Any, Any] | None = None
        self._last: NDArray[np.float32] | None = None

    @property
    def raw(self) -> bool:
        """Whether values stay as they are in the file."""
        return self.number in {RAW, RAW_WITH_GAIN}

    @property
    def with_gain(self) -> bool:
        """Whether values are divided by the gain: not raw ones, nor those of which only the pedestal is subtracted."""
        plain = self.raw or (self.number == PEDESTAL and self.detector.type != "jungfrau")
        return self.detector.gain is not None and not plain

    @property
    def noise(self) -> NDArray[np.float32] | None:
        """Noise of each pixel in the units of the data, in the first gain."""
        detector = self.detector
        if detector.noise is None:
            return None
        ndim = len(detector.shape)
        noise = _picked(detector.noise, None, ndim)
        return (
            _divided(noise, _picked(detector.gain, None, ndim))
            if self.with_gain and detector.gain is not None
            else noise
        )

    def valid(self, frame: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Return where a raw frame is inside of the detector's limits; None if that is everywhere."""
        low, high = self.detector.underload, self.detector.saturation
        if low is None and high is None:
            return None
        words = self._words(frame)
        inside = np.ones(frame.shape, np.bool_)
        if low is not None:
            inside &= words >= low
        if high is not None:
            inside &= words <= high
        return None if inside.all() else inside

    def _words(self, frame: NDArray[Any]) -> NDArray[Any]:
        """Return a frame without gain bits."""
        type_ = self.detector.type
        gains = type_.startswith("epix10k") or (type_ == "jungfrau" and self.number != RAW)
        whole = frame.dtype.kind in "iu" and frame.dtype.itemsize >= 2
        return frame & frame.dtype.type(VALUE_BITS) if gains and whole and self.number != RAW_WITH_GAIN else frame

    def __call__(self, frame: NDArray[Any]) -> NDArray[Any]:
        """Return the data of an event: float32, invalid pixels nan; raw ones keep their type.

        Parameters
        ----------
        frame
            (y, x) or (module, y, x) as the file holds it.

        Returns
        -------
        ndarray
            New memory; a masked array if raw whole numbers are outside of the detector's limits.

        Raises
        ------
        ValueError
            Whole numbers without a pedestal, where a correction needs one; or ghost constants are missing.
        """
        words = self._words(frame)
        outside = self.valid(frame)
        if self.raw:
            out = np.array(words)
            if outside is None:
                return out
            if out.dtype.kind == "f":
                out[~outside] = np.nan
                return out
            return np.ma.MaskedArray(out, mask=~outside)
        detector, ndim = self.detector, len(self.detector.shape)
        chosen = None
        if detector.gain_modes > 1 and frame.dtype.kind in "iu":
            chosen = gain_ranges(frame, detector.type, self.by_bit)
        data = words.astype(np.float32)
        if detector.pedestal is not None:
            data -= _picked(detector.pedestal, chosen, ndim)
        elif frame.dtype.kind in "iu" and (self.steps or self.with_gain):
            msg = (
                f"{detector.name}: common mode {self.number} corrects frames without pedestal, but these are {frame.dtype} "
                "and no pedestal is known; give the calibration of a dark run, or common_mode=-1 for raw frames"
            )
            raise ValueError(msg)
        if outside is not None:
            data[~outside] = np.nan
        if chosen is not None:
            data[chosen < 0] = np.nan
        data = self._without_ghost(data)
        if self.steps:
            good = detector.statusMask != 0
            if chosen is not None:
                good &= ~np.isin(chosen, LOW_GAINS.get(detector.type, ()))
            data = correct(data, self.steps, good=good, noise=self._first(detector.noise))
        if self.with_gain and detector.gain is not None:
            data = _divided(data, _picked(detector.gain, chosen, ndim))
        return data

    def _first(self, constants: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        return None if constants is None else _picked(constants, None, len(self.detector.shape))

    def _without_ghost(self, data: NDArray[np.float32]) -> NDArray[np.float32]:
        """Subtract what the previous event left behind: p0 + p1 * previous, of numbers above 100."""
        if not isinstance(self.number, int) or self.number <= 100:
            return data
        if self.ghost is None:
            msg = (
                f"{self.detector.name}: common mode {self.number} is {self.number % 100} with a correction of ghost images; "
                f"give its constants with setGhost(p0, p1), or take {self.number % 100}"
            )
            raise ValueError(msg)
        last, self._last = self._last, data.copy()
        return data if last is None else data - (self.ghost[0] + self.ghost[1] * last).astype(np.float32)


def _divided(values: NDArray[np.float32], by: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values / by as float32; nan where there is no gain."""
    out = np.full(values.shape, np.nan, np.float32)
    return np.divide(values, by, out=out, where=by != 0)
