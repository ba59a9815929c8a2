"""Showers in memory as the ShowerData library has them: padded arrays, checked when they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from detcore.showers.ragged import AXIS, Ragged

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from numpy.typing import ArrayLike, NDArray

MANY = "Multi-dimensional indexing is not supported."


@njit(cache=True, nogil=True)
def _count(points, counts):  # type: ignore[no-untyped-def]
    """Count the points with energy of each shower, (shower,) int32, written; return whether (negative, badly padded)."""
    negative, padded = False, False
    for row in range(points.shape[0]):
        n, positive, first = 0, 0, False
        for point in range(points.shape[1]):
            energy = points[row, point, 3]
            n += energy != 0
            positive += energy > 0
            negative |= energy < 0
            if point == 0:
                first = energy > 0
        counts[row] = n
        padded |= positive > 0 and not first
    return negative, padded


@njit(cache=True, nogil=True)
def _filled(points, counts):  # type: ignore[no-untyped-def]
    """Find the end of what is not zero in each row: (shower, value) uint32 in, (shower,) int64 written, raised only."""
    columns = np.int64(len(points)) if False else points.shape[2]
    for row in range(points.shape[0]):
        last = points.shape[1]
        while last > counts[row]:
            found = np.uint32(0)
            for column in range(columns):
                found |= points[row, last - 1, column]
            if found:
                break
            last -= 1
        counts[row] = last


def check_points(points: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return how many points of each shower have energy.

    Parameters
    ----------
    points
        (shower, point, 4 or 5).

    Raises
    ------
    ValueError
        An energy is negative, or the first point of a shower has none while another one has.
    """
    counts = np.zeros(len(points), np.int32)
    if points.dtype == np.float32 and points.flags.c_contiguous:
        negative, padded = _count(_read_only(points), counts)
    else:
        energy = points[:, :, 3]
        counts[:] = np.count_nonzero(energy, axis=1)
        negative = bool((energy < 0).any())
        padded = bool(((energy > 0).any(axis=1) & ~(energy[:, :1] > 0).any(axis=1)).any())
    if negative:
        msg = "Point energies must be non-negative."
        raise ValueError(msg)
    if padded:
        msg = "Padding should be in the end of the shower points."
        raise ValueError(msg)
    return counts


def filled(points: NDArray[np.float32], counts: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Return how many points of each row have to be kept so that nothing but zeros is lost; `counts` at least."""
    found = np.clip(counts, 0, points.shape[1]).astype(np.int64)
    _filled(_read_only(np.ascontiguousarray(points, np.float32).view(np.uint32)), found)
    return found


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()  # kernels are compiled for one kind of array
    view.flags.writeable = False
    return view


def _chosen(index: Any, n: int) -> Any:
    """Return an index of showers as something NumPy keeps the first axis for."""
    if isinstance(index, tuple):
        if not index:
            return slice(None)
        index = index[0] if len(index) == 1 else np.asarray(index)
    if index is Ellipsis:
        return slice(None)
    if isinstance(index, slice):
        return index
    if isinstance(index, (int, np.integer)) and not isinstance(index, (bool, np.bool_)):
        at = int(index)
        if at < 0:
            at += n
        # as in the original, a number that is out of range gives no shower
        return slice(at, at + 1) if at >= 0 else slice(0, 0)
    if index is None:
        msg = "int() argument must be a string, a bytes-like object or a real number, not 'NoneType'"
        raise TypeError(msg)
    found = np.asarray(index)
    if found.ndim == 1 and found.dtype == bool:
        if len(found) != n:
            msg = f"boolean index did not match indexed array along axis 0; size of axis is {n} but size of corresponding boolean axis is {len(found)}"
            raise IndexError(msg)
        return np.flatnonzero(found)
    if found.ndim != 1:
        if found.ndim == 0 and found.dtype == bool:
            return slice(int(found), int(found) + 1)
        if found.ndim == 0 and found.dtype.kind in "iu":
            return _chosen(int(found), n)
        if found.ndim == 0 and found.dtype.kind in "US":
            int(found.item())  # the error of the original
        raise ValueError(MANY)
    return found.astype(np.int32)


class IncidentParticles:
    """Particles that hit the calorimeter.

    Parameters
    ----------
    energies
        (particle, 1), GeV.
    pdg
        (particle,), codes of the Particle Data Group; one number is meant for all.
    directions
        (particle, 3), unit vectors, z points into the calorimeter; default (0, 0, 1).

    Raises
    ------
    ValueError
        Shapes do not fit.
    """

    def __init__(self, energies: ArrayLike, pdg: ArrayLike | int, directions: ArrayLike | None = None) -> None:
        self.energies: NDArray[np.float32] = np.asarray(energies, np.float32)
        n = len(self.energies) if self.energies.ndim else 0
        self.pdg: NDArray[np.int32] = _codes(pdg, n)
        self.directions: NDArray[np.float32] = (
            np.tile(np.array(AXIS, np.float32), (n, 1)) if directions is None else np.asarray(directions, np.float32)
        )
        msg = ""
        if self.energies.ndim != 2 or self.energies.shape[1] != 1:
            msg = "Energies must be a 2D array with shape (num_particles, 1)."
        elif self.directions.ndim != 2 or self.directions.shape[1] != 3:
            msg = "Directions must be a 2D array with shape (num_particles, 3)."
        elif self.pdg.ndim != 1:
            msg = "PDG must be a 1D array."
        elif len(self.directions) != n or len(self.pdg) != n:
            msg = "All input arrays must have the same length."
        if msg:
            raise ValueError(msg)

    def __repr__(self) -> str:
        return f"IncidentParticles(energies={self.energies}, pdg={self.pdg}, directions={self.directions})"

    def __len__(self) -> int:
        return len(self.energies)

    def __iter__(self) -> Iterator[IncidentParticles]:
        for number in range(len(self)):
            yield self[number]

    def __getitem__(self, index: Any) -> IncidentParticles:
        """Select particles, as `Showers` does."""
        chosen = _chosen(index, len(self))
        return IncidentParticles(self.energies[chosen], self.pdg[chosen], self.directions[chosen])

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:  # noqa: FBT001, FBT002 - the original's
        """Write them to a file.

        Parameters
        ----------
        path
            The file.
        overwrite
            Replace it.

        Raises
        ------
        FileExistsError
            It exists.
        """
        from detcore.showers.files import save_particles  # noqa: PLC0415 - that module needs this one

        save_particles(self, path, overwrite=overwrite)


def _codes(pdg: ArrayLike | int, n: int) -> NDArray[np.int32]:
    if isinstance(pdg, (int, np.integer)):
        return np.full(n, pdg, np.int32)
    return np.asarray(pdg, np.int32)


class Showers:
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

    __hash__ = None  # type: ignore[assignment] - they can be changed

    def __init__(
        self,
        points: ArrayLike = (),
        energies: ArrayLike = (),
        pdg: ArrayLike | int = (),
        directions: ArrayLike | None = None,
        shower_ids: ArrayLike | None = None,
        num_points: ArrayLike | None = None,
        copy: bool | None = None,  # noqa: FBT001 - the original's
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
        self.pdg = _codes(pdg, n) if isinstance(pdg, (int, np.integer)) else _made(pdg, np.int32, copy)
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
        made.points, made.energies, made.pdg = points, energies.reshape(len(energies), -1), pdg
        made.directions, made.shower_ids, made._num_points = directions, shower_ids, num_points
        made._check_shapes()
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
        chosen = _chosen(index, len(self))
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

    def __add__(self, other: Showers) -> Showers:
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

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:  # noqa: FBT001, FBT002 - the original's
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


@njit(cache=True, nogil=True)
def _append(points, out, first):  # type: ignore[no-untyped-def]
    """Copy rows of (shower, value) uint32 to rows of `out` from `first` on, without the zeros at their ends."""
    n = np.uint64(points.shape[1])
    block = np.uint64(1024)
    for row in range(points.shape[0]):
        source, target = points[row], out[first + row]
        for begin in range(np.uint64(0), n, block):
            end = min(begin + block, n)
            found = np.uint32(0)
            for i in range(begin, end):
                found |= source[i]
            if found:
                for i in range(begin, end):
                    target[i] = source[i]


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
        _append(_read_only(given.reshape(len(part), -1).view(np.uint32)), rows, first)
        first += len(part)
    return Showers.unchecked(
        points,
        np.concatenate([part.energies for part in parts]),
        np.concatenate([part.pdg for part in parts]),
        np.concatenate([part.directions for part in parts]),
        np.concatenate([part.shower_ids for part in parts]),
        np.concatenate([part._num_points for part in parts]),  # noqa: SLF001
    )
