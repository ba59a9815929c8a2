"""Showers in memory without padding: flat points and where each shower begins."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import index as as_integer
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

AXIS = (0.0, 0.0, 1.0)
"""Direction of a particle that hits the calorimeter straight on."""


@dataclass(frozen=True, eq=False)
class Ragged:
    """Showers as one table of points.

    Columns of the points: x and y in mm, the number of the layer, energy in GeV and, if there are five, time in ns.

    Parameters
    ----------
    points
        (point, column), float32, C-contiguous; 4 or 5 columns. The points of one shower follow each other.
    offsets
        (shower + 1), int64: shower i has the points ``offsets[i]`` to ``offsets[i + 1]``.
    energies
        (shower), float32, GeV, of the incident particles.
    directions
        (shower, 3), float32, unit vectors; z points into the calorimeter.
    pdg
        (shower), int32, codes of the Particle Data Group.
    shower_ids
        (shower), int32.
    max_points
        Width of the dense form, which is the second number of a file's ``shape``.
    """

    points: NDArray[np.float32]
    offsets: NDArray[np.int64]
    energies: NDArray[np.float32]
    directions: NDArray[np.float32]
    pdg: NDArray[np.int32]
    shower_ids: NDArray[np.int32]
    max_points: int = field(default=0)

    @classmethod
    def build(
        cls,
        points: Any,
        counts: Any,
        energies: Any = None,
        directions: Any = None,
        pdg: Any = None,
        shower_ids: Any = None,
        max_points: int | None = None,
    ) -> Ragged:
        """Make a `Ragged` of anything that converts, with defaults for what is not given.

        Parameters
        ----------
        points
            (point, column).
        counts
            (shower), number of points of each.
        energies
            (shower) or (shower, 1), GeV; default 0.
        directions
            (shower, 3); default (0, 0, 1).
        pdg, shower_ids
            (shower); defaults 0 and 0, 1, 2 and so on.
        max_points
            Default: the largest count.

        Returns
        -------
        Ragged
            Checked by `validate`.
        """
        counts = np.asarray(counts, np.int64).reshape(-1)
        n = len(counts)
        made = cls(
            points=np.ascontiguousarray(points, np.float32),
            offsets=offsets_of(counts),
            energies=np.zeros(n, np.float32) if energies is None else np.asarray(energies, np.float32).reshape(-1),
            directions=np.tile(np.array(AXIS, np.float32), (n, 1))
            if directions is None
            else np.asarray(directions, np.float32),
            pdg=np.zeros(n, np.int32) if pdg is None else np.asarray(pdg, np.int32),
            shower_ids=np.arange(n, dtype=np.int32) if shower_ids is None else np.asarray(shower_ids, np.int32),
            max_points=int(counts.max(initial=0)) if max_points is None else int(max_points),
        )
        return made.validate()

    @classmethod
    def from_dense(
        cls,
        points: NDArray[np.float32],
        counts: NDArray[np.integer[Any]],
        energies: Any = None,
        directions: Any = None,
        pdg: Any = None,
        shower_ids: Any = None,
    ) -> Ragged:
        """Leave out the padding.

        Parameters
        ----------
        points
            (shower, point, column), padded at the end.
        counts
            (shower), how many points are real; more than the width of the array means all of them.
        energies, directions, pdg, shower_ids
            As for `build`.

        Returns
        -------
        Ragged
            With the width of `points` as `max_points`.
        """
        n, width, columns = points.shape
        kept = np.clip(np.asarray(counts, np.int64).reshape(-1), 0, width)
        if len(kept) != n:
            msg = f"{len(kept)} counts for {n} showers"
            raise ValueError(msg)
        offsets = offsets_of(kept)
        flat = np.empty((int(offsets[-1]), columns), np.float32)
        for row, (low, high) in enumerate(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)):
            flat[low:high] = points[row, : high - low]
        return cls.build(flat, kept, energies, directions, pdg, shower_ids, width)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def columns(self) -> int:
        """Columns of the points: 4, or 5 with time."""
        return int(self.points.shape[1])

    @property
    def counts(self) -> NDArray[np.int64]:
        """Points of each shower (shower), int64."""
        return np.diff(self.offsets)

    def shower(self, number: int) -> NDArray[np.float32]:
        """Return the points of one shower, without a copy.

        Parameters
        ----------
        number
            From 0; negative ones count from the end.

        Returns
        -------
        ndarray
            (point, column).

        Raises
        ------
        IndexError
            There is no such shower.
        """
        at = number + len(self) if number < 0 else number
        if not 0 <= at < len(self):
            msg = f"shower {number} of {len(self)}"
            raise IndexError(msg)
        return self.points[self.offsets[at] : self.offsets[at + 1]]

    def __getitem__(self, index: Any) -> Ragged:
        """Select showers by number, slice, list of numbers or boolean mask; the points are copied unless it is a run."""
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:
                return self._run(start, max(start, stop))
            return self._take(np.arange(start, stop, step))
        if np.ndim(index) == 0:
            at = as_integer(index)
            if not -len(self) <= at < len(self):
                msg = f"shower {at} of {len(self)}"
                raise IndexError(msg)
            at %= len(self)
            return self._run(at, at + 1)
        chosen = np.asarray(index)
        if chosen.dtype == bool:
            if chosen.shape != (len(self),):
                msg = f"a mask of shape {chosen.shape} for {len(self)} showers"
                raise IndexError(msg)
            chosen = np.flatnonzero(chosen)
        elif not chosen.size:
            chosen = chosen.astype(np.int64)
        elif chosen.ndim != 1 or not np.issubdtype(chosen.dtype, np.integer):
            msg = (
                f"showers are chosen by integers, slices or masks; this is {chosen.dtype} with {chosen.ndim} dimensions"
            )
            raise IndexError(msg)
        return self._take(chosen)

    def _run(self, start: int, stop: int) -> Ragged:
        low, high = self.offsets[start], self.offsets[stop]
        return Ragged(
            self.points[low:high],
            self.offsets[start : stop + 1] - low,
            self.energies[start:stop],
            self.directions[start:stop],
            self.pdg[start:stop],
            self.shower_ids[start:stop],
            self.max_points,
        )

    def _take(self, chosen: NDArray[np.integer[Any]]) -> Ragged:
        counts = self.counts[chosen]  # an index out of range raises here
        offsets = offsets_of(counts)
        # Row k of the result comes from the start of its shower plus its place in it.
        shift = np.repeat(self.offsets[:-1][chosen] - offsets[:-1], counts)
        return Ragged(
            self.points[np.arange(offsets[-1]) + shift],
            offsets,
            self.energies[chosen],
            self.directions[chosen],
            self.pdg[chosen],
            self.shower_ids[chosen],
            self.max_points,
        )

    def dense(self, max_points: int | None = None) -> NDArray[np.float32]:
        """Return the points padded with zeros.

        Parameters
        ----------
        max_points
            Width; None: that of the file, or the largest count if that is more. Longer showers lose their last points.

        Returns
        -------
        ndarray
            (shower, `max_points`, column), float32.
        """
        width = max(self.max_points, int(self.counts.max(initial=0))) if max_points is None else max_points
        # Zeroed memory that is never touched costs no time: most of a dense array is padding.
        dense = np.zeros((len(self), width, self.columns), np.float32)
        lows = self.offsets[:-1].tolist()
        for row, (low, count) in enumerate(zip(lows, np.minimum(self.counts, width).tolist(), strict=True)):
            dense[row, :count] = self.points[low : low + count]
        return dense

    def validate(self) -> Ragged:
        """Return the same if it is consistent.

        Raises
        ------
        ValueError
            Shapes, types or offsets do not fit each other, or an energy is negative.
        """
        n, points, offsets = len(self), self.points, self.offsets
        if points.ndim != 2 or points.shape[1] not in (4, 5):
            msg = f"points have shape {points.shape}; expected (point, 4) or (point, 5)"
            raise ValueError(msg)
        if n < 0 or offsets[0] != 0 or offsets[-1] != len(points) or np.any(np.diff(offsets) < 0):
            msg = f"offsets do not run from 0 to {len(points)}, the number of points"
            raise ValueError(msg)
        shapes = {"energies": (n,), "directions": (n, 3), "pdg": (n,), "shower_ids": (n,)}
        kinds = {"energies": np.float32, "directions": np.float32, "pdg": np.int32, "shower_ids": np.int32}
        for name, shape in shapes.items():
            found: NDArray[Any] = getattr(self, name)
            if found.shape != shape or found.dtype != kinds[name]:
                msg = f"{name} are {found.dtype} {found.shape}; expected {np.dtype(kinds[name])} {shape}"
                raise ValueError(msg)
        if points.dtype != np.float32 or offsets.dtype != np.int64 or not points.flags.c_contiguous:
            msg = "expected contiguous float32 points and int64 offsets"
            raise ValueError(msg)
        if len(points) and points[:, 3].min() < 0:
            msg = "Point energies must be non-negative."
            raise ValueError(msg)
        return self

    @classmethod
    def concatenate(cls, parts: Iterable[Ragged]) -> Ragged:
        """Put showers one after the other; the width is that of the widest part.

        Parameters
        ----------
        parts
            With equal numbers of columns; those without showers are passed over.

        Returns
        -------
        Ragged
            A copy. Without any shower, the first part, or an empty one of five columns.

        Raises
        ------
        ValueError
            Some have 4 columns and others 5.
        """
        given = list(parts)
        filled = [part for part in given if len(part)]
        if not filled:
            return given[0] if given else cls.build(np.zeros((0, 5)), [])
        if len({part.columns for part in filled}) > 1:
            msg = "showers with 4 columns and showers with 5 cannot be put together"
            raise ValueError(msg)
        return cls(
            np.concatenate([part.points for part in filled]),
            offsets_of(np.concatenate([part.counts for part in filled])),
            np.concatenate([part.energies for part in filled]),
            np.concatenate([part.directions for part in filled]),
            np.concatenate([part.pdg for part in filled]),
            np.concatenate([part.shower_ids for part in filled]),
            max(part.max_points for part in filled),
        )


def offsets_of(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each shower begins, and where the last one ends."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets
