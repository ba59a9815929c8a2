"""Shower files read and written with h5py alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from detcore.showers.ragged import Ragged

if TYPE_CHECKING:
    import os


def read_ragged(path: str | os.PathLike[str], start: int = 0, stop: int | None = None) -> Ragged:
    """Read showers `start` to `stop`."""
    with h5py.File(path, "r", locking=False) as file:
        rows, columns = slice(start, stop), int(file["shape"][2])
        values = file["showers"][rows]
        return Ragged.build(
            np.concatenate([np.zeros((0, columns), np.float32), *(one.reshape(-1, columns) for one in values)]),
            [len(one) // columns for one in values],
            file["energies"][rows],
            file["directions"][rows],
            file["pdg"][rows],
            file["shower_ids"][rows],
            int(file["shape"][1]),
        )


def write_ragged(path: str | os.PathLike[str], ragged: Ragged, attributes: dict[str, Any] | None = None) -> None:
    """Write showers to a new file."""
    with h5py.File(path, "w") as file:
        rows = np.empty(len(ragged), object)
        rows[:] = [ragged.shower(number).ravel() for number in range(len(ragged))]
        file.create_dataset("showers", (len(ragged),), h5py.vlen_dtype(np.float32))[...] = rows
        file["energies"], file["directions"] = ragged.energies[:, None], ragged.directions
        file["pdg"], file["shower_ids"] = ragged.pdg, ragged.shower_ids
        file["shape"] = np.array([len(ragged), ragged.max_points, ragged.columns], np.int64)
        file["num_points"] = ragged.counts.astype(np.int32)
        file.attrs.update({"showerdata_version": "0.7.0", **(attributes or {})})
