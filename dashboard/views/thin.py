"""Lines over the frame number, thinned for the screen so that no extreme is lost, and broken where frames are missing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 2400  # bins
ROOMY = 6  # pixels for each frame from which on every frame is drawn as a point


def breaks(frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions after which frames are missing: where the step is longer than the one before or after it.

    A series of which only every fourth frame was read has no gaps.

    Parameters
    ----------
    frames
        (frame,) ascending frame numbers.

    Examples
    --------
    >>> breaks(np.array([1, 2, 3, 7, 8])), breaks(np.array([1, 5, 9, 13]))
    (array([2]), array([], dtype=int64))
    """
    steps = np.diff(frames)
    if len(steps) < 2:
        return np.zeros(0, np.int64)
    before, after = np.concatenate([steps[1:2], steps[:-1]]), np.concatenate([steps[1:], steps[-2:-1]])
    return np.flatnonzero(steps > 1.5 * np.minimum(before, after))


def thin(values: NDArray[np.float64], first: int, last: int, bins: int) -> NDArray[np.int64]:
    """Return which values to draw of a line: of each bin the first, the lowest, the highest and the last.

    Bins hold equal numbers of values and begin at multiples of that number, so that the line does not shimmer when it
    is moved. In columns of one pixel that line looks like the whole one (Jugel et al., Proc. VLDB 7, 797, 2014).

    Parameters
    ----------
    values
        (frame,); those that are not a number are never lowest or highest.
    first, last
        Which part is looked at: from `first` to before `last`.
    bins
        About how many; a part of at most four times as many is not thinned.

    Returns
    -------
    NDArray[np.int64]
        Ascending positions.

    Examples
    --------
    >>> line = np.zeros(1000)
    >>> line[503] = 7
    >>> thin(line, 0, 1000, 10).tolist()[8:14]
    [400, 499, 500, 503, 599, 600]
    """
    count = last - first
    if count <= 4 * bins:
        return np.arange(first, last)
    size = -(-count // bins)
    start, end = -(-first // size) * size, last // size * size
    blocks = values[start:end].reshape(-1, size)
    base = np.arange(start, end, size)
    if bad := bool(np.isnan(blocks).any()):
        nothing = np.isnan(blocks)
    lowest = (np.where(nothing, np.inf, blocks) if bad else blocks).argmin(axis=1)
    highest = (np.where(nothing, -np.inf, blocks) if bad else blocks).argmax(axis=1)
    kept = [base, base + lowest, base + highest, base + size - 1]
    for a, b in ((first, start), (end, last)):  # what is left over at the two ends
        part = values[a:b]
        if len(part):
            kept.append(np.array([a, b - 1]))
            if not np.isnan(part).all():
                kept.append(np.array([a + np.nanargmin(part), a + np.nanargmax(part)]))
    return np.unique(np.concatenate(kept))


@dataclass(frozen=True, eq=False)
class Data:
    """What a trace shows; nobody may change the arrays any more."""

    frames: NDArray[np.int64]
    series: dict[str, NDArray[np.float64]]
    seconds: NDArray[np.float64] | None

    @cached_property
    def gaps(self) -> NDArray[np.int64]:
        """Positions after which frames are missing."""
        return breaks(self.frames)

    @cached_property
    def means(self) -> dict[str, float]:
        """Mean of each series; 1 where there is none to divide by."""
        found = {name: values[np.isfinite(values)] for name, values in self.series.items()}
        return {name: float(values.mean()) or 1.0 if values.size else 1.0 for name, values in found.items()}

    @cached_property
    def ends(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest value of each series that has any."""
        found = {name: values[np.isfinite(values)] for name, values in self.series.items()}
        return {name: (float(values.min()), float(values.max())) for name, values in found.items() if values.size}


@dataclass(frozen=True, eq=False)
class Line:
    """One series as it is drawn; not a number where the line is broken."""

    frame: NDArray[np.float64]
    value: NDArray[np.float64]
    seconds: NDArray[np.float64]
    dot: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Drawn:
    """What is drawn of data: lines, divisors of their values, and between which values all of them are."""

    data: Data
    lines: dict[str, Line]
    scale: dict[str, float]
    ends: list[float]


def draw(data: Data, low: float, high: float, width: int, *, normalised: bool) -> Drawn:
    """Thin all series to what is seen of them; it may be called in any thread.

    Parameters
    ----------
    data
        All of it.
    low, high
        Frame numbers at the two ends of the axis; the frames next to it are drawn too.
    width
        Pixels of the axis.
    normalised
        Each series is divided by its mean.
    """
    frames = data.frames
    first = max(0, int(np.searchsorted(frames, low)) - 1)
    last = min(len(frames), int(np.searchsorted(frames, high, side="right")) + 1)
    bins = max(1, min(width, MOST))
    per_pixel = max(high - low, 1e-9) / max(width, 1)
    gaps = data.gaps[np.searchsorted(data.gaps, first) : np.searchsorted(data.gaps, last - 1)]
    gaps = gaps[frames[gaps + 1] - frames[gaps] > per_pixel]  # narrower ones cannot be seen
    roomy = last - first <= max(width // ROOMY, 2)
    scale = data.means if normalised else dict.fromkeys(data.series, 1.0)
    lines = {}
    for name, values in data.series.items():
        kept = thin(values, first, last, bins)
        if len(gaps):
            kept = np.union1d(kept, np.concatenate([gaps, gaps + 1]))
        x, y = frames[kept].astype(np.float64), values[kept] / scale[name]
        seconds = data.seconds[kept] if data.seconds is not None else np.full(len(kept), np.nan)
        after = np.searchsorted(kept, gaps) + 1
        x, y, seconds = (np.insert(column, after, np.nan) for column in (x, y, seconds))
        there = np.isfinite(y)
        padded = np.concatenate([[False], there, [False]])
        alone = there & ~padded[:-2] & ~padded[2:]
        lines[name] = Line(x, y, seconds, ((there & roomy) | alone).astype(np.float32))
    ends = [end / scale[name] for name, both in data.ends.items() for end in both]
    return Drawn(data, lines, scale, ends)
