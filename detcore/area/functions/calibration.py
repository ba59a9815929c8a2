"""From a raw frame to the data of an event, by the common-mode number that people know, or by steps."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detcore.area.images.calibrationkernels import divide, subtract
from detcore.area.images.commonmode import CommonModeStep, correct
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
        steps = () if isinstance(wanted, (str, float, bool)) else tuple(wanted)
        if not all(isinstance(one, CommonModeStep) for one in steps) or isinstance(wanted, (str, float, bool)):
            msg = f"{detector.name}: a common mode is a number, or a list of CommonModeStep; found {wanted!r:.80}"
            raise ValueError(msg)
        return "steps", steps
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
    found: NDArray[np.int8] = np.asarray(_table(kind, by_bit), np.int8)[words >> 14]
    return found


def _table(kind: str, by_bit: Sequence[int]) -> tuple[int, ...]:
    return JUNGFRAU_RANGES if kind == "jungfrau" else (by_bit[0], by_bit[1]) * 2


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
        self._words_of_record = ""
        modes, wanted = detector.gain_modes, max(self._table())
        if 1 < modes <= wanted:
            msg = (
                f"{detector.name}: the constants are for {modes} gains, but entry {wanted} is asked for; see gain_index"
            )
            raise ValueError(msg)

    def __str__(self) -> str:
        """Return what a record of provenance needs: the number or the steps, and fingerprints of the constants."""
        if not self._words_of_record:
            constants = {name: getattr(self.detector, name) for name in ("pedestal", "noise", "gain", "status")}
            marks = [f"{name} {_fingerprint(one)}" for name, one in constants.items() if one is not None]
            self._words_of_record = ", ".join([f"common mode {self.number}", *marks])
        return self._words_of_record

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
        noise = self._first(detector.noise)
        if not self.with_gain or detector.gain is None:
            return noise
        return _divided(noise, self._first(detector.gain))

    def valid(self, frame: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Return where a raw frame is inside of the detector's limits; None if that is everywhere."""
        low, high = self.detector.underload, self.detector.saturation
        if low is None and high is None:
            return None
        words = self.words(frame)
        inside = np.ones(frame.shape, np.bool_)
        if low is not None:
            inside &= words >= low
        if high is not None:
            inside &= words <= high
        return None if inside.all() else inside

    def words(self, frame: NDArray[Any]) -> NDArray[Any]:
        """Return frames without gain bits; as they are if they have none, or if these are wanted (-2)."""
        return frame & frame.dtype.type(VALUE_BITS) if self._has_bits(frame.dtype) else frame

    def _has_bits(self, dtype: np.dtype[Any]) -> bool:
        """Return whether numbers of a type carry gain bits that are to be taken off."""
        type_ = self.detector.type
        gains = type_.startswith("epix10k") or (type_ == "jungfrau" and self.number != RAW)
        return gains and dtype.kind in "iu" and dtype.itemsize >= 2 and self.number != RAW_WITH_GAIN

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
        if self.raw:
            out, outside = np.array(self.words(frame)), self.valid(frame)
            if outside is None:
                return out
            if out.dtype.kind == "f":
                out[~outside] = np.nan
                return out
            return np.ma.MaskedArray(out, mask=~outside)
        detector = self.detector
        if detector.pedestal is None and frame.dtype.kind in "iu" and (self.steps or self.with_gain):
            msg = (
                f"{detector.name}: common mode {self.number} corrects frames without pedestal, but these are {frame.dtype} "
                "and no pedestal is known; give the calibration of a dark run, or common_mode=-1 for raw frames"
            )
            raise ValueError(msg)
        data, chosen = self._subtracted(frame)
        data = self._without_ghost(data)
        if self.steps:
            noise = None if detector.noise is None else self._first(detector.noise)
            data = correct(data, self.steps, good=self._correctable(chosen), noise=noise)
        if self.with_gain and detector.gain is not None:
            chosen = np.zeros(data.shape, np.int8) if chosen is None else chosen
            divide(data.reshape(-1), chosen.reshape(-1), self._flat(detector.gain))
        return data

    def _subtracted(self, frame: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.int8] | None]:
        """Return values without pedestal, and the entry of the gain axis of each pixel if there is one."""
        detector = self.detector
        pedestal = detector.pedestal
        gains = detector.gain_modes > 1 and self._has_bits(frame.dtype)  # also where words were stored as other numbers
        if pedestal is not None and (gains or (frame.dtype.kind == "u" and frame.dtype.itemsize == 2)):
            low, high = detector.underload, detector.saturation
            limits = np.array([-np.inf if low is None else low, np.inf if high is None else high])
            several = detector.gain_modes > 1
            table = np.asarray(self._table() if several else (0, 0, 0, 0), np.int8)
            bits = VALUE_BITS if self._has_bits(frame.dtype) else 0xFFFF
            data, chosen = np.empty(frame.shape, np.float32), np.empty(frame.shape, np.int8)
            words = np.ascontiguousarray(frame, np.uint16).reshape(-1)
            subtract(words, np.uint16(bits), table, self._flat(pedestal), limits, data.reshape(-1), chosen.reshape(-1))
            return data, chosen if several else None
        # Other types of numbers have no gain bits.
        data = self.words(frame).astype(np.float32)
        if pedestal is not None:
            data -= self._first(pedestal)
        outside = self.valid(frame)
        if outside is not None:
            data[~outside] = np.nan
        return data, None

    def _correctable(self, chosen: NDArray[np.int8] | None) -> NDArray[np.bool_]:
        """Return the pixels that tell about the common mode and are corrected: good ones, not in low gain."""
        good: NDArray[np.bool_] = self.detector.statusMask != 0
        low = LOW_GAINS.get(self.detector.type, ())
        if chosen is not None and low and chosen.max() >= min(low):
            good &= ~np.isin(chosen, low)
        return good

    def _table(self) -> tuple[int, ...]:
        """Return the entry of the gain axis for the two highest bits of a word."""
        return _table(self.detector.type, self.by_bit)

    def _flat(self, constants: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return constants as (gain, pixel)."""
        size = int(np.prod(self.detector.shape))
        return np.ascontiguousarray(constants).reshape(-1, size)

    def _first(self, constants: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return constants of the shape of a frame: the first of the gain axis."""
        return constants if constants.ndim == len(self.detector.shape) else np.asarray(constants[0])

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


def _fingerprint(values: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]


def _divided(values: NDArray[np.float32], by: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values / by as float32; nan where there is no gain."""
    out = np.full(values.shape, np.nan, np.float32)
    return np.divide(values, by, out=out, where=by != 0)
