"""Where each channel of the map stands: detectors side by side in display order, elements upwards from 1."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

GAP = 0.9  # columns left free between two groups when separators are on


@dataclass(frozen=True)
class Column:
    """One detector of the map: its id, name, group (unique), heading (may repeat) and number of elements."""

    detector_id: int
    name: str
    group: str
    label: str
    n_elements: int


@dataclass(frozen=True)
class ChannelGrid:
    """The geometry of the channel map; every array is over channels, detector by detector, element 1 first.

    Parameters
    ----------
    columns
        Detectors in display order; those of one group stand together.
    separators
        Leave a gap between groups.
    equal
        Draw all detectors equally high (y = 0..1) instead of one unit per element.
    """

    columns: tuple[Column, ...]
    separators: bool = True
    equal: bool = False

    @cached_property
    def centres(self) -> NDArray[np.float64]:
        """The x of each column's centre."""
        groups = [column.group for column in self.columns]
        steps = [before != after for before, after in pairwise(groups)]
        gaps = np.concatenate([[0.0], np.cumsum(steps)]) if groups else np.zeros(0)
        return np.asarray(np.arange(len(groups)) + 0.5 + (GAP * gaps if self.separators else 0.0), np.float64)

    @cached_property
    def column(self) -> NDArray[np.int64]:
        """The column number of each channel."""
        counts = [column.n_elements for column in self.columns]
        return np.repeat(np.arange(len(self.columns)), counts)

    @cached_property
    def detector_id(self) -> NDArray[np.int64]:
        """The detector id of each channel."""
        return np.array([column.detector_id for column in self.columns], dtype=np.int64)[self.column]

    @cached_property
    def element_id(self) -> NDArray[np.int64]:
        """The element id of each channel, from 1."""
        parts = [np.arange(1, column.n_elements + 1) for column in self.columns]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    @cached_property
    def top(self) -> float:
        """The highest y of any channel."""
        return 1.0 if self.equal else max((column.n_elements for column in self.columns), default=1) + 0.5

    def spread(self, values: Sequence[object]) -> NDArray[np.generic]:
        """Repeat one value per column over the channels of that column."""
        return np.asarray(values)[self.column]

    def heights(self, detector_id: NDArray[np.int64], element_id: NDArray[Any]) -> NDArray[np.float64]:
        """Return the y of positions along the elements; element e spans e - 0.5 to e + 0.5."""
        if not self.equal:
            return np.asarray(element_id, np.float64)
        counts = {column.detector_id: column.n_elements for column in self.columns}
        per_hit = np.array([counts[int(each)] for each in detector_id], dtype=float)
        heights: NDArray[np.float64] = (element_id - 0.5) / per_hit
        return heights

    def x_of(self, detector_id: int) -> float | None:
        """Return the centre of a detector's column, or None when it is not drawn."""
        for column, x in zip(self.columns, self.centres, strict=True):
            if column.detector_id == detector_id:
                return float(x)
        return None

    def channel_at(self, x: float, y: float) -> tuple[int, int] | None:
        """Return (detector id, element id) under a point; element 0 in a column's free space; None between columns."""
        near = np.flatnonzero(np.abs(self.centres - x) <= 0.5)
        if not near.size:
            return None
        column = self.columns[int(near[0])]
        element = int(np.floor(y * column.n_elements)) + 1 if self.equal else round(y)
        return column.detector_id, element if 1 <= element <= column.n_elements else 0

    def headings(self) -> list[tuple[float, str]]:
        """Return (x, label) of each group's heading."""
        runs: list[tuple[str, list[float]]] = []
        last = ""
        for column, x in zip(self.columns, self.centres, strict=True):
            if not runs or column.group != last:
                runs.append((column.label, []))
            last = column.group
            runs[-1][1].append(float(x))
        return [(sum(xs) / len(xs), label) for label, xs in runs]

    def borders(self) -> list[float]:
        """Return the x of the separators between groups."""
        pairs = zip(self.columns, self.columns[1:], self.centres, self.centres[1:], strict=False)
        return [float(x + y) / 2 for a, b, x, y in pairs if a.group != b.group]
