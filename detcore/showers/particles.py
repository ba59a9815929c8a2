"""Incident particles, and how particles and showers are chosen by an index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.showers.ragged import AXIS

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

MANY = "Multi-dimensional indexing is not supported."


def chosen_rows(index: Any, n: int) -> Any:
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
            return chosen_rows(int(found), n)
        if found.ndim == 0 and found.dtype.kind in "US":
            int(found[()])  # the error of the original
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
        self.pdg: NDArray[np.int32] = codes_of(pdg, n)
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
        chosen = chosen_rows(index, len(self))
        return IncidentParticles(self.energies[chosen], self.pdg[chosen], self.directions[chosen])

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
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


def codes_of(pdg: ArrayLike | int, n: int) -> NDArray[np.int32]:
    """Return codes as an array; one number is meant for all."""
    if isinstance(pdg, (int, np.integer)):
        return np.full(n, pdg, np.int32)
    return np.asarray(pdg, np.int32)
