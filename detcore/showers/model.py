"""Showers in memory as the ShowerData library has them: padded arrays, checked when they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.showers.padding import append_rows, check_points, filled, read_only
from detcore.showers.particles import IncidentParticles, chosen_rows, codes_of
from detcore.showers.ragged import AXIS, Ragged

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from numpy.typing import ArrayLike, NDArray


class Showers:  # noqa: PLW1641 - they can be changed, so they have no hash
    """Showers as padded arrays.

    Parameters
    ----------
    points
        (shower, point, 4 or 5): x and y in mm, number of the layer, energy in GeV, and time in ns if there are five;
        rows of zeros at the end are padding. Not copied if it is an array of float32, and may be written to.
    energies
        (shower, 1) or (shower,), GeV, of the incident particles.
    pdg
        (shower,) or (shower, 1), codes of the Particle Data Group; one number is meant for all.
    directions
        (shower, 3), unit vectors, z points into the calorimeter; default (0, 0, 1).
    shower_ids
        (shower,); default 0, 1, 2 and so on.
    num_points
        (shower,), how many points of each row are real; default those that have energy.
    copy
        As for `numpy.array`: True always copies, None only where it is necessary, False never.

    Raises
    ------
    ValueError
        Shapes do not fit, an energy is negative, padding comes before points, or a copy cannot be avoided.
    """

    points: NDArray[np.float32]
    energies: NDArray[np.float32]
    pdg: NDArray[np.int32]
    directions: NDArray[np.float32]
    shower_ids: NDArray[np.int32]
    _num_points: NDArray[np.int32]

    def __init__(
        self,
        points: ArrayLike = (),
        energies: ArrayLike = (),
        pdg: ArrayLike | int = (),
        directions: ArrayLike | None = None,
        shower_ids: ArrayLike | None = None,
        num_points: ArrayLike | None = None,
        copy: bool | None = None,
    ) -> None:
        if isinstance(points, (tuple, list)) and not points:
            self.points = np.zeros((0, 0, 5), np.float32)
        else:
            self.points = np.array(points, np.float32, copy=copy)
        if self.points.ndim < 3 or self.points.shape[2] < 4:  # the types of the original, which counts before it looks
            msg = f"Points must be a 3D array with shape (num_showers, max_points, 4 or 5) got {self.points.shape}"
            raise _ShapeError(msg)
        n = len(self.points)
        self.energies = _made(energies, np.float32, copy)
        if self.energies.ndim == 1:
            self.energies = self.energies.reshape(-1, 1)
        self.pdg = codes_of(pdg, n) if isinstance(pdg, (int, np.integer)) else _made(pdg, np.int32, copy)
        if self.pdg.ndim == 2 and self.pdg.shape[1] == 1:
            self.pdg = self.pdg.reshape(-1)
        if self.pdg.ndim == 0:
            self.pdg = self.pdg.reshape(1)
        if self.pdg.ndim != 1:
            msg = "Invalid shape for PDG array."
            raise ValueError(msg)
        if directions is None:
            self.directions = np.tile(np.array(AXIS, np.float32), (n, 1))
        else:
            self.directions = np.array(directions, np.float32, copy=copy)
        self.shower_ids = (
            np.arange(n, dtype=np.int32) if shower_ids is None else np.array(shower_ids, np.int32, copy=copy)
        )
        given = np.zeros(n, np.int32) if num_points is None else np.array(num_points, np.int32, copy=copy)
        self._num_points = given
        self._check_shapes()
        counts = check_points(self.points)
        if num_points is None:
            self._num_points = counts

    @classmethod
    def unchecked(
        cls,
        points: NDArray[np.float32],
        energies: NDArray[np.float32],
        pdg: NDArray[np.int32],
        directions: NDArray[np.float32],
        shower_ids: NDArray[np.int32],
        num_points: NDArray[np.int32],
    ) -> Showers:
        """Make showers of arrays of the right types whose points were checked before; only shapes are looked at."""
        made = cls.__new__(cls)
        made.points, made.pdg = points, pdg
        made.energies = energies.reshape(-1, 1) if energies.ndim == 1 else energies
        made.directions, made.shower_ids, made._num_points = directions, shower_ids, num_points  # noqa: SLF001
        made._check_shapes()  # noqa: SLF001
        return made

    def _check_shapes(self) -> None:
        n, words = len(self.points), "must be a 1D array with length equal to num_showers."
        msg = ""
        if self.points.ndim != 3 or self.points.shape[2] not in {4, 5}:
            msg = f"Points must be a 3D array with shape (num_showers, max_points, 4 or 5) got {self.points.shape}"
        elif self.energies.shape != (n, 1):
            msg = "Energies must be a 2D array with shape (num_showers, 1)."
        elif self.directions.shape != (n, 3):
            msg = "Directions must be a 2D array with shape (num_showers, 3)."
        elif self.pdg.shape != (n,):
            msg = f"PDG {words}"
        elif self.shower_ids.shape != (n,):
            msg = f"Shower IDs {words}"
        elif self._num_points.shape != (n,):
            msg = f"num_points {words}"
        if msg:
            raise ValueError(msg)

    @classmethod
    def from_ragged(cls, ragged: Ragged, max_points: int | None = None) -> Showers:
        """Pad showers.

        Parameters
        ----------
        ragged
            Without padding.
        max_points
            Width; None: that of the file they are from.
        """
        points = ragged.dense(max_points)
        counts = np.minimum(ragged.counts, points.shape[1]).astype(np.int32)
        return cls.unchecked(
            points,
            ragged.energies.copy(),
            ragged.pdg.copy(),
            ragged.directions.copy(),
            ragged.shower_ids.copy(),
            counts,
        )

    def ragged(self) -> Ragged:
        """Return the showers without padding; points that were added after these were made are in it."""
        counts = filled(self.points, self._num_points)
        parts = self.energies.reshape(-1), self.directions, self.pdg, self.shower_ids
        return Ragged.from_dense(self.points, counts, *parts)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: Any) -> Showers:
        """Select showers by number, slice, list of numbers or boolean mask; always gives `Showers`."""
        chosen = chosen_rows(index, len(self))
        return Showers.unchecked(
            self.points[chosen],
            self.energies[chosen],
            self.pdg[chosen],
            self.directions[chosen],
            self.shower_ids[chosen],
            self._num_points[chosen],
        )

    def __iter__(self) -> Iterator[Showers]:
        for number in range(len(self)):
            yield self[number]

    @property
    def is_empty(self) -> bool:
        """Whether there is no shower."""
        return len(self) == 0

    def __add__(self, other: Any) -> Showers:
        if not isinstance(other, Showers):
            msg = "Can only add Showers instances."
            raise TypeError(msg)
        if self.is_empty:
            return other.copy()
        if other.is_empty:
            return self.copy()
        if self.points.shape[2] != other.points.shape[2]:
            msg = "Incompatible shower shapes."
            raise ValueError(msg)
        return concatenate([self, other])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Showers):
            return False
        names = ("points", "energies", "pdg", "directions", "shower_ids", "_num_points")
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)

    def copy(self) -> Showers:
        """Return a copy that shares no memory with this."""
        return Showers.unchecked(
            self.points.copy(),
            self.energies.copy(),
            self.pdg.copy(),
            self.directions.copy(),
            self.shower_ids.copy(),
            self._num_points.copy(),
        )

    @property
    def inc_particles(self) -> IncidentParticles:
        """The incident particles; shares memory with this."""
        return IncidentParticles(self.energies, self.pdg, self.directions)

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write them to a file.

        Parameters
        ----------
        path
            The file; it appears when it is complete.
        overwrite
            Replace it.

        Raises
        ------
        FileExistsError
            It exists.
        """
        from detcore.showers.files import save_showers  # noqa: PLC0415 - that module needs this one

        save_showers(self, path, overwrite=overwrite)


class _ShapeError(IndexError, ValueError):
    """Points of wrong shape: for programs that expect the IndexError of the original, and those that expect better."""


def _made(values: ArrayLike, kind: type[Any], copy: bool | None) -> NDArray[Any]:
    if isinstance(values, (tuple, list)) and not values:
        return np.zeros(0, kind)
    return np.array(values, kind, copy=copy)


def concatenate(data: Iterable[Showers]) -> Showers:
    """Put showers one after the other.

    Parameters
    ----------
    data
        Showers; those without any are passed over. The result is as wide as the widest; numbers are kept.

    Returns
    -------
    Showers
        A copy. Without any shower one of shape (0, 0, 5).

    Raises
    ------
    ValueError
        Some have 4 columns and others 5.
    """
    parts = [part for part in data if not part.is_empty]
    if not parts:
        return Showers()
    columns = parts[0].points.shape[2]
    for number, part in enumerate(parts):
        if part.points.shape[2] != columns:
            msg = (
                "all the input array dimensions except for the concatenation axis must match exactly, but along "
                f"dimension 2, the array at index 0 has size {columns} and the array at index {number} has size "
                f"{part.points.shape[2]}"
            )
            raise ValueError(msg)
    width = max(part.points.shape[1] for part in parts)
    # Memory that is zero and never touched costs nothing: padding is not copied.
    points = np.zeros((sum(map(len, parts)), width, columns), np.float32)
    rows = points.reshape(len(points), width * columns).view(np.uint32)
    first = 0
    for part in parts:
        given = np.ascontiguousarray(part.points, np.float32)
        append_rows(read_only(given.reshape(len(part), -1).view(np.uint32)), rows, first)
        first += len(part)
    return Showers.unchecked(
        points,
        np.concatenate([part.energies for part in parts]),
        np.concatenate([part.pdg for part in parts]),
        np.concatenate([part.directions for part in parts]),
        np.concatenate([part.shower_ids for part in parts]),
        np.concatenate([part._num_points for part in parts]),  # noqa: SLF001
    )
