"""Sums of frames over a run, by the names that people know: ``calib_thresADU5_square``, ``calib_dropped`` and so on."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detcore.area.images.sumkernels import HITS, PLAIN, SQUARE, add_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

_PARTS: Final = ("calib", "nhits", "square", "max", "img", "skip", "skipFirst")
_THRESHOLD: Final = "thresADU"
_FLAG: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*")


class StoredSum:
    """A sum of frames and how many it holds.

    The name is a list of parts joined by ``_``: ``calib`` the data as they are; ``thresADU<v>`` values below v count as
    0; ``nhits`` values above 0 count as 1; ``square`` squares; ``max`` the largest value instead of the sum; ``img``
    assembled images; ``skip`` or ``skipFirst`` leaves the first event of the run out. Any other part is a flag that the
    event must have, for instance ``dropped``. Each sum works on the data of the event, which are not changed. Pixels
    that are nan or masked in an event do not count in it.

    Parameters
    ----------
    name
        As above.
    detector
        Name of the detector, for messages.

    Raises
    ------
    ValueError
        A part has no meaning.

    Examples
    --------
    >>> one = StoredSum("calib_dropped")
    >>> for value in (1.0, 3.0):
    ...     one.add(np.full((1, 2), value), {"dropped": value > 2})
    >>> one.total.tolist(), one.n
    ([[3.0, 3.0]], 1)
    """

    def __init__(self, name: str, detector: str = "detector") -> None:
        self.name, self.detector = name, detector
        parts = name.split("_")
        thresholds = [part.removeprefix(_THRESHOLD) for part in parts if part.startswith(_THRESHOLD)]
        self.threshold = -math.inf
        for text in thresholds:
            try:
                self.threshold = float(text)
            except ValueError:
                self.threshold = math.nan
        self.flags = tuple(part for part in parts if part not in _PARTS and not part.startswith(_THRESHOLD))
        wrong = [flag for flag in self.flags if not _FLAG.fullmatch(flag)]
        if wrong or math.isnan(self.threshold):
            found = wrong[0] if wrong else _THRESHOLD + thresholds[-1]
            msg = (
                f"sum {name!r} of {detector}: expected parts joined by '_' ({', '.join(_PARTS)}, {_THRESHOLD}<number>, or a "
                f"flag of the event such as dropped); found {found!r}"
            )
            raise ValueError(msg)
        self.maximum, self.image = "max" in parts, "img" in parts
        self.skip_first = "skip" in parts or "skipFirst" in parts
        self._what = HITS if "nhits" in parts else SQUARE if "square" in parts else PLAIN
        self.n = 0  # events
        self._total: NDArray[np.float64] | None = None
        self._valid: NDArray[np.int64] | None = None

    @property
    def total(self) -> NDArray[np.float64] | None:
        """The sum, or the maximum (nan where no event counted); None before the first event."""
        if self._total is None or self._valid is None:
            return None
        return np.where(self._valid > 0, self._total, np.nan) if self.maximum else self._total.copy()

    @property
    def n_valid(self) -> NDArray[np.int64] | None:
        """In how many events each pixel counted; None before the first."""
        return None if self._valid is None else self._valid.copy()

    def counts(self, flags: Mapping[str, Any], *, first: bool = False) -> bool:
        """Return whether an event counts.

        Parameters
        ----------
        flags
            What is known of the event.
        first
            Whether it is the first one of the run.

        Raises
        ------
        ValueError
            A part of the name is not among the flags: a misspelt one would give an empty sum.
        """
        unknown = [flag for flag in self.flags if flag not in flags]
        if unknown:
            known = ", ".join((*_PARTS, f"{_THRESHOLD}<number>", *flags))
            msg = f"sum {self.name!r} of {self.detector}: nothing is known of {unknown[0]!r}; known parts: {known}"
            raise ValueError(msg)
        return not (first and self.skip_first) and all(bool(flags[flag]) for flag in self.flags)

    def add(
        self,
        data: Any,
        flags: Mapping[str, Any] | None = None,
        assemble: Callable[[Any], Any] | None = None,
        *,
        first: bool = False,
    ) -> None:
        """Add the data of an event.

        Parameters
        ----------
        data
            The shape of a frame, masked or not.
        flags, first
            As for `counts`.
        assemble
            Puts panels in their places, for ``img``.
        """
        if not self.counts(flags or {}, first=first):
            return
        if isinstance(data, np.ma.MaskedArray):
            data = np.ma.filled(np.ma.asarray(data, np.float32), np.nan)
        if self.image and assemble is not None:
            data = assemble(np.asarray(data, np.float32))
        frame = np.ascontiguousarray(data, np.float32)
        if self._total is None or self._valid is None:
            self._total = np.full(frame.shape, -np.inf if self.maximum else 0.0)
            self._valid = np.zeros(frame.shape, np.int64)
        if frame.shape != self._total.shape:
            msg = (
                f"sum {self.name!r} of {self.detector}: expected data of shape {self._total.shape}, found {frame.shape}"
            )
            raise ValueError(msg)
        flat, total, valid = (one.reshape(-1) for one in (frame, self._total, self._valid))
        add_frame(flat, self.threshold, self._what, self.maximum, total, valid)
        self.n += 1

    def merge(self, other: StoredSum) -> None:
        """Add what another worker summed; maxima stay maxima.

        Raises
        ------
        ValueError
            It is another sum.
        """
        if other.name != self.name:
            msg = f"cannot merge the sums {self.name!r} and {other.name!r} of {self.detector}"
            raise ValueError(msg)
        if other._total is None or other._valid is None:
            return
        if self._total is None or self._valid is None:
            self._total, self._valid = other._total.copy(), other._valid.copy()
        else:
            self._total = np.fmax(self._total, other._total) if self.maximum else self._total + other._total
            self._valid = self._valid + other._valid
        self.n += other.n
