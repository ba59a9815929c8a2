"""Running sums of frames: mean, spread, extremes, hits and medians of every pixel, of any number of frames.

Sums can be added to each other: two halves of a run give what the whole run gives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detcore.area.images import runningkernels as kernels
from detcore.area.images.fixed import fixed

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PENDING: Final = 1 << 27  # bytes of frames that wait to be added together
MAX_BATCH: Final = 16  # frames; more gain nothing
MAX_HISTOGRAM: Final = 1 << 30  # bytes; a run in several threads has some of them
COUNT_BYTES: Final = 2  # of an entry of a histogram, up to so many frames:
FRAMES_COUNTED: Final = 65_535


@dataclass(frozen=True)
class Rules:
    """What counts.

    Parameters
    ----------
    low, high
        A value outside of low <= value <= high is missing.
    threshold
        Smaller values count as 0, others are hits; a number, or (pixel,) for each. None: every value is a hit.
    bins
        (first edge, last edge, number) of the histograms that medians are taken from; None without.
    """

    low: float = -math.inf
    high: float = math.inf
    threshold: float | NDArray[np.float64] | None = None
    bins: tuple[float, float, int] | None = None


@dataclass(eq=False)
class RunningSums:
    """Sums of every pixel. Give frames to `add`, other sums to `merge`, and read the properties.

    Parameters
    ----------
    shape
        Of a frame.
    dtype
        Of the frames; whole numbers of one or two bytes without sign are added exactly and fastest.
    rules
        What counts.

    Examples
    --------
    >>> sums = RunningSums((1, 2), np.dtype(np.uint16))
    >>> sums.add(np.array([[[1, 5]], [[3, 5]]], np.uint16))
    >>> sums.mean.tolist(), sums.std.tolist(), sums.max.tolist()
    ([[2.0, 5.0]], [[1.0, 0.0]], [[3.0, 5.0]])
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    rules: Rules = field(default_factory=Rules)
    frames: int = 0

    def __post_init__(self) -> None:
        n, rules = math.prod(self.shape), self.rules
        dtype = np.dtype(self.dtype)
        scalar = rules.threshold is None or (not isinstance(rules.threshold, np.ndarray) and rules.threshold <= 65535)
        self.whole = scalar and dtype in {np.dtype("u1"), np.dtype("u2"), np.dtype("?")}
        sums, values = (np.uint64, np.uint16) if self.whole else (np.float64, np.float64)
        self.kept = (
            np.dtype(np.uint16) if self.whole else np.dtype("f8" if dtype.kind == "f" and dtype.itemsize > 4 else "f4")
        )
        if not self.whole and dtype.kind in "iu" and dtype.itemsize > 2:
            self.kept = np.dtype("f8")
        self.total: NDArray[Any] = np.zeros(n, sums)
        self.squares: NDArray[Any] = np.zeros(n, sums)
        self.largest = np.full(n, 0 if self.whole else -np.inf, values)
        self.smallest = np.full(n, 65535 if self.whole else np.inf, values)
        self.missing, self.hits = np.zeros(n, np.uint32), np.zeros(n, np.uint32)
        self.counts: NDArray[Any] | None = None
        self._counted = 0  # frames in the histograms
        if rules.bins is not None:
            bytes_ = COUNT_BYTES * n * (rules.bins[2] + 2)
            if bytes_ > MAX_HISTOGRAM:
                most = MAX_HISTOGRAM // (COUNT_BYTES * n) - 2
                msg = (
                    f"medians of {n} pixels by histograms of {rules.bins[2]} bins take {bytes_ / 1e9:.1f} GB; take at "
                    f"most {max(most, 0)} bins, or a smaller part of the frame"
                )
                raise ValueError(msg)
            self.counts = np.zeros((n, rules.bins[2] + 2), np.uint16)
        self._limits()
        self.plain = 0  # frames of which every value is a hit, without any counting
        self._pending: NDArray[Any] | None = None
        self._held = 0

    def _limits(self) -> None:
        rules = self.rules
        if self.whole:
            low = math.ceil(min(max(rules.low, 0.0), 65536.0))
            high = math.floor(min(max(rules.high, -1.0), 65535.0))
            self._nothing = low > high or low > 65535
            self._span = (np.uint16(min(low, 65535)), np.uint16(max(high, 0)))
            threshold = 0.0 if rules.threshold is None else float(rules.threshold)
            self._threshold = np.uint16(math.ceil(max(threshold, 0.0)))
            every = low == 0 and high == 65535 and self._threshold == 0
            self._every = every and not self._nothing
        else:
            given = -np.inf if rules.threshold is None else rules.threshold
            self._thresholds = np.atleast_1d(np.asarray(given, np.float64)).ravel()
            self._every = False
            if len(self._thresholds) not in {1, math.prod(self.shape)}:
                msg = f"thresholds of {len(self._thresholds)} pixels do not fit frames of {self.shape}"
                raise ValueError(msg)

    def __getstate__(self) -> dict[str, Any]:
        """Travel without frames that wait."""
        self.flush()
        return self.__dict__ | {"_pending": None}

    def add(self, frames: NDArray[Any]) -> None:
        """Add frames (frame, …), or none.

        Raises
        ------
        ValueError
            They are of another shape.
        """
        if frames.shape[1:] != self.shape:
            msg = f"frames of {frames.shape[1:]} do not fit those of {self.shape} before them"
            raise ValueError(msg)
        n, size = math.prod(self.shape), self.kept.itemsize
        room = max(1, min(MAX_BATCH, MAX_PENDING // max(n * size, 1)))
        flat = frames.reshape(len(frames), n)
        done = 0
        while done < len(flat):
            if self._held == 0 and len(flat) - done >= room and flat.dtype == self.kept and flat.flags.c_contiguous:
                stop = min(len(flat), done + kernels.BATCH // 2)
                self._add(flat[done:stop])  # enough for a batch: no need to wait
                done = stop
                continue
            if self._pending is None:
                self._pending = np.empty((room, n), self.kept)
            stop = min(len(flat), done + room - self._held)
            self._pending[self._held : self._held + stop - done] = flat[done:stop]
            self._held += stop - done
            done = stop
            if self._held == room:
                self.flush()
        self.frames += len(flat)

    def flush(self) -> None:
        """Add the frames that wait."""
        if self._held and self._pending is not None:
            held, self._held = self._held, 0
            self._add(self._pending[:held])

    def _add(self, frames: NDArray[Any]) -> None:
        rules = self.rules
        sums = (self.total, self.squares, self.largest, self.smallest, self.missing, self.hits)
        if not self.whole:
            kernels.add_real(fixed(frames), float(rules.low), float(rules.high), self._thresholds, *sums)
        elif self._nothing:
            self.missing += np.uint32(len(frames))
        else:
            kernels.add_whole(fixed(frames), *self._span, self._threshold, *sums)
            if self._every:
                self.plain += len(frames)
        if self.counts is not None and rules.bins is not None:
            first, last, bins = rules.bins
            scale = bins / (last - first)
            self._count(len(frames))
            kernels.add_histogram(
                fixed(frames), float(rules.low), float(rules.high), float(first), float(scale), self.counts
            )

    def merge(self, other: RunningSums) -> None:
        """Add other sums of the same shape and rules."""
        self.flush()
        other.flush()
        self.total += other.total
        self.squares += other.squares
        np.maximum(self.largest, other.largest, out=self.largest)
        np.minimum(self.smallest, other.smallest, out=self.smallest)
        self.missing += other.missing
        self.hits += other.hits
        self.frames += other.frames
        self.plain += other.plain
        if self.counts is not None and other.counts is not None:
            self._count(other._counted)
            self.counts += other.counts

    def _count(self, more: int) -> None:
        """Widen the histograms before they overflow."""
        self._counted += more
        if self._counted > FRAMES_COUNTED and self.counts is not None:
            self.counts = self.counts.astype(np.uint32, copy=False)

    @property
    def n(self) -> NDArray[np.int64]:
        """How many values each pixel has, int64."""
        self.flush()
        return (self.frames - self.missing.astype(np.int64)).reshape(self.shape)

    @property
    def n_hits(self) -> NDArray[np.int64]:
        """How many of them reach the threshold, int64."""
        self.flush()
        return (self.hits.astype(np.int64) + self.plain).reshape(self.shape)

    @property
    def sum(self) -> NDArray[np.float64]:
        """Sum of each pixel."""
        self.flush()
        return self.total.astype(np.float64).reshape(self.shape)

    @property
    def _missing(self) -> NDArray[np.uint32]:
        """How many values each pixel lacks; empty if none can: what is long and zero is not worth reading."""
        self.flush()
        return self.missing[:0] if self.plain == self.frames else self.missing

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of each pixel; nan where nothing was counted."""
        self.flush()
        found = np.empty(len(self.total), np.float64)
        kernels.means(self.total, self._missing, self.frames, found)
        return found.reshape(self.shape)

    @property
    def std(self) -> NDArray[np.float64]:
        """Standard deviation (of the population) of each pixel; nan where nothing was counted."""
        self.flush()
        if self.whole:
            found = np.empty(len(self.total), np.float64)
            kernels.spreads_whole(self.total, self.squares, self._missing, self.frames, found)
            return found.reshape(self.shape)
        n = self.n.ravel()
        safe = np.maximum(n, 1)
        variance: NDArray[Any] = self.squares / safe - (self.total / safe) ** 2
        return np.where(n > 0, np.sqrt(np.maximum(variance, 0.0)), np.nan).reshape(self.shape)

    @property
    def max(self) -> NDArray[np.float64]:
        """Largest value of each pixel; nan where nothing was counted."""
        return self._extreme(self.largest)

    @property
    def min(self) -> NDArray[np.float64]:
        """Smallest value of each pixel; nan where nothing was counted."""
        return self._extreme(self.smallest)

    def _extreme(self, values: NDArray[Any]) -> NDArray[np.float64]:
        self.flush()
        found = values.astype(np.float64)
        gone = self._missing
        if not self.frames:
            found[:] = np.nan
        elif len(gone):
            found[gone >= self.frames] = np.nan
        return found.reshape(self.shape)

    @property
    def median(self) -> NDArray[np.float64]:
        """Median of each pixel, as fine as the bins; nan outside of them."""
        self.flush()
        if self.counts is None or self.rules.bins is None:
            msg = "medians need bins (first edge, last edge, number) from the start"
            raise ValueError(msg)
        first, last, bins = self.rules.bins
        found = np.empty(len(self.total), np.float64)
        kernels.medians(self.counts, float(first), (last - first) / bins, found)
        return found.reshape(self.shape)
