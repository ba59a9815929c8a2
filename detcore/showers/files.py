"""Shower files: the functions of the ShowerData library, and files without padding."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from detcore.showers.heap import HeapReader
from detcore.showers.index import dataset_of, values_of
from detcore.showers.layout import (
    AnyPath,
    Shape,
    changed_file,
    make_datasets,
    new_file,
    three,
    write_showers,
)
from detcore.showers.model import Showers
from detcore.showers.particles import IncidentParticles
from detcore.showers.writer import ShowerWriter, write_ragged

if TYPE_CHECKING:
    from collections.abc import Mapping


def save(data: Showers | IncidentParticles, path: AnyPath, overwrite: bool = False) -> None:
    """Write showers, or incident particles, to a new file.

    Parameters
    ----------
    data
        What to write.
    path
        The file; it appears when it is complete.
    overwrite
        Replace it.

    Raises
    ------
    FileExistsError
        It exists.
    """
    data.save(path, overwrite=overwrite)


def save_showers(data: Showers, path: AnyPath, *, overwrite: bool = False) -> None:
    """Write showers to a new file; see `save`."""
    with new_file(path, overwrite=overwrite) as file:
        make_datasets(file, data.points.shape, np.int64)
        if len(data):
            write_showers(file, slice(0, len(data)), data)


def save_particles(data: IncidentParticles, path: AnyPath, *, overwrite: bool = False) -> None:
    """Write incident particles to a new file; see `save`."""
    with new_file(path, overwrite=overwrite) as file:
        file.create_dataset("energies", data=data.energies)
        file.create_dataset("directions", data=data.directions)
        file.create_dataset("pdg", data=data.pdg)


def load(path: AnyPath, start: int = 0, stop: int | None = None, max_points: int | None = -1) -> Showers:
    """Read showers of a file.

    Parameters
    ----------
    path
        The file.
    start, stop
        As in a slice of all showers.
    max_points
        Width of the result; None or negative: that of the file. Longer showers lose their last points.

    Returns
    -------
    Showers
        Padded with zeros.

    Raises
    ------
    FileNotFoundError, KeyError, TypeError
        There is no such file, or no such data set in it.
    OSError, ValueError
        It is not HDF5, cut off, damaged, or its data sets do not fit each other.
    """
    with HeapReader(path) as reader:
        return load_rows(reader, slice(start, stop), max_points)


def load_rows(reader: HeapReader, rows: slice, max_points: int | None = None) -> Showers:
    """Return showers of an open file; see `load`."""
    index = reader.index
    begin, end, _ = rows.indices(index.rows)
    width = index.max_points if max_points is None or max_points < 0 else int(max_points)
    return Showers.unchecked(
        reader.dense(begin, max(begin, end), width),
        index.energies[rows].copy(),
        index.pdg[rows].reshape(-1).copy(),
        index.directions[rows].copy(),
        index.shower_ids[rows].copy(),
        np.clip(index.num_points[rows], 0, width),
    )


def load_inc_particles(path: AnyPath, start: int = 0, stop: int | None = None) -> IncidentParticles:
    """Read the incident particles of a file, which may hold showers or not.

    Parameters
    ----------
    path
        The file.
    start, stop
        As in a slice of all of them.

    Raises
    ------
    FileNotFoundError, KeyError, OSError
        There is no such file or data set, or it cannot be read.
    """
    rows = slice(start, stop)
    with h5py.File(path, "r") as file:
        energies = values_of(file, "energies", np.float32, rows)
        return IncidentParticles(
            energies.reshape(-1, 1) if energies.ndim == 1 else energies,
            values_of(file, "pdg", np.int32, rows),
            values_of(file, "directions", np.float32, rows),
        )


def get_file_shape(path: AnyPath) -> Shape:
    """Return showers, width and columns of a shower file.

    Raises
    ------
    ValueError
        It is none.
    """
    words = f"{path} is not a valid shower data file."
    with h5py.File(path, "r") as file:
        try:
            found = dataset_of(file, "shape")
        except KeyError:
            msg = f"{words} (no shape key)"
            raise ValueError(msg) from None
        except TypeError:
            msg = f"{words} (shape is not a dataset)"
            raise ValueError(msg) from None
        if found.shape != (3,) or found.dtype.kind not in "iu":
            msg = f"{words} (invalid shape dataset)"
            raise ValueError(msg)
        n, width, columns = (int(one) for one in found[()])
    return n, width, columns


def get_file_length(path: AnyPath) -> int:
    """Return how many showers or incident particles a file holds.

    Raises
    ------
    ValueError
        It holds neither.
    """
    words = f"{path} is not a valid shower data file."
    with h5py.File(path, "r") as file:
        try:
            found = dataset_of(file, "energies")
        except KeyError:
            msg = f"{words} (no energies dataset)"
            raise ValueError(msg) from None
        except TypeError:
            msg = f"{words} (energies is not a dataset)"
            raise ValueError(msg) from None
        if not found.shape:
            msg = f"{words} (energies is not a dataset)"
            raise ValueError(msg)
        return int(found.shape[0])


def create_empty_file(path: AnyPath, shape: Shape, overwrite: bool = True) -> None:
    """Make a file of showers without points, to be filled by `save_batch`.

    Parameters
    ----------
    path
        The file.
    shape
        Showers, width (points), columns.
    overwrite
        Replace it.

    Raises
    ------
    FileExistsError
        It exists and may not be replaced.
    ValueError
        The shape has not three numbers, or a negative width.
    """
    sizes = three(shape)
    with new_file(path, overwrite=overwrite) as file:
        make_datasets(file, sizes, np.int32)


def save_batch(data: Showers, path: AnyPath, start: int = 0) -> None:
    """Write showers into an existing file.

    Parameters
    ----------
    data
        As wide as the file says.
    path
        Made by `create_empty_file`.
    start
        Number of the first shower to be written.

    Raises
    ------
    KeyError
        There is no such file, or it is not a shower file.
    ValueError
        Width or columns differ.
    IndexError
        The file is too short.
    """
    with changed_file(path) as file:
        try:
            shape = tuple(values_of(file, "shape", np.int32).tolist())
        except (KeyError, TypeError) as error:
            kind = "not found in" if isinstance(error, KeyError) else "is not a dataset in"
            msg = (
                f"Key 'shape' {kind} {path}."
                if isinstance(error, KeyError)
                else f"Key 'shape' in {path} is not a dataset."
            )
            raise type(error)(msg) from None
        if shape[1:] != data.points.shape[1:]:
            msg = f"Shape mismatch: expected {shape[1:]}, got {data.points.shape[1:]}"
            raise ValueError(msg)
        first = int(start)
        if shape[0] < first + len(data):
            msg = f"Cannot write to {path}: start index {start} + data length {len(data)} exceeds file shape {shape[0]}"
            raise IndexError(msg)
        _write_slice(file, first, data)


def _write_slice(file: h5py.File, first: int, data: Showers) -> None:
    for key in (
        "showers",
        "energies",
        "directions",
        "pdg",
        "shower_ids",
        "num_points",
    ):  # all, before anything is written
        dataset = dataset_of(file, key)
        begin, end, _ = slice(first, first + len(data)).indices(len(dataset))
        if max(end - begin, 0) != len(data):
            msg = f"Can't broadcast ({len(data)},) -> ({max(end - begin, 0)},)"
            raise TypeError(msg)
    if len(data):
        write_showers(file, slice(begin, end), data)


def load_metadata(path: AnyPath) -> dict[str, Any]:
    """Return the attributes of a file.

    Parameters
    ----------
    path
        The file.
    """
    with h5py.File(path, "r") as file:
        return {str(name): value for name, value in file.attrs.items()}


def add_metadata(path: AnyPath, metadata: Mapping[str, Any]) -> None:
    """Write attributes of a file.

    Parameters
    ----------
    path
        The file.
    metadata
        Names, and texts or numbers.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    if not Path(path).exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
    with h5py.File(path, "r+") as file:
        for name, value in metadata.items():
            file.attrs[name] = value


__all__ = [
    "ShowerWriter",
    "add_metadata",
    "create_empty_file",
    "get_file_length",
    "get_file_shape",
    "load",
    "load_inc_particles",
    "load_metadata",
    "load_rows",
    "save",
    "save_batch",
    "save_particles",
    "save_showers",
    "write_ragged",
]
