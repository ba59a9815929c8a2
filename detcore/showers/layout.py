"""Shower files in HDF5: their data sets, and how they are written."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import h5py
import numpy as np

from detcore.core.paths import atomic
from detcore.showers.index import dataset_of
from detcore.showers.vlenrows import write_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from detcore.showers.model import Showers
    from detcore.showers.ragged import Ragged

VERSION: Final = "0.7.0"
"""Of the ShowerData library whose files these are; goes into the attribute ``showerdata_version``."""
AnyPath: TypeAlias = "str | os.PathLike[str]"
Shape = tuple[int, int, int]
TEXT = h5py.string_dtype()
ROWS = h5py.vlen_dtype(np.dtype("<f4"))


class NoSuchFile(FileNotFoundError, KeyError):
    """There is no file to write into: also the KeyError that the original gives after it has made an empty one."""


def three(shape: Any, what: str = "columns") -> Shape:
    """Return a shape if it is three numbers of which the last two are not negative.

    Raises
    ------
    ValueError
        It is something else.
    """
    if len(shape) != 3 or any(isinstance(one, (int, float, np.number)) and one < 0 for one in shape[1:]):
        msg = f"shape is {tuple(shape)}; expected the numbers of showers, points and {what}"
        raise ValueError(msg)
    n, width, columns = shape
    return n, width, columns


@contextmanager
def new_file(path: AnyPath, *, overwrite: bool) -> Iterator[h5py.File]:
    """Give a new HDF5 file, which gets its name when the block ends well.

    Raises
    ------
    FileExistsError
        There is one, and it may not be overwritten.
    FileNotFoundError
        There is no such folder.
    """
    place = Path(os.path.realpath(path))
    if place.exists() and not overwrite:
        msg = f"File {path} already exists. Use overwrite=True to overwrite."
        raise FileExistsError(msg)
    if place.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not place.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
    with atomic(place) as aside:
        with h5py.File(aside, "w") as file:
            file.attrs.create("showerdata_version", VERSION, dtype=TEXT)
            yield file
        if place.exists():
            aside.chmod(place.stat().st_mode & 0o7777)


@contextmanager
def changed_file(path: AnyPath, key: str = "shape") -> Iterator[h5py.File]:
    """Give an existing HDF5 file to be written into.

    Raises
    ------
    NoSuchFile
        There is none.
    """
    if not Path(path).exists():
        msg = f"Key '{key}' not found in {path}. There is no such file: make it with create_empty_file."
        raise NoSuchFile(msg)
    with h5py.File(path, "r+") as file:
        yield file


def make_datasets(file: h5py.File, shape: tuple[Any, ...], kind: type[Any]) -> None:
    """Make the seven data sets of a shower file, filled with zeros."""
    n = shape[0]
    file.create_dataset("showers", (n,), ROWS)
    file.create_dataset("energies", (n, 1), "<f4")
    file.create_dataset("directions", (n, 3), "<f4")
    file.create_dataset("pdg", (n,), np.int32)
    file.create_dataset("shower_ids", (n,), np.int32)
    file.create_dataset("shape", data=np.array([int(one) for one in shape]), dtype=kind)
    file.create_dataset("num_points", (n,), np.int32)


def write_showers(file: h5py.File, rows: Any, showers: Showers) -> None:
    """Write showers; `rows` is a slice, or anything else that HDF5 takes."""
    counts = np.clip(showers._num_points, 0, showers.points.shape[1])  # noqa: SLF001
    width, columns = showers.points.shape[1:]
    points = np.ascontiguousarray(showers.points, np.float32)
    starts = np.arange(len(showers), dtype=np.int64) * (width * columns)
    _write_points(dataset_of(file, "showers"), rows, points, starts, counts.astype(np.int64) * columns)
    write_numbers(file, rows, showers, counts)


def write_numbers(file: h5py.File, rows: Any, showers: Showers | Ragged, counts: NDArray[Any]) -> None:
    """Write all but the points; `rows` as for `write_showers`."""
    n = len(showers)
    for key, values in (
        ("energies", showers.energies.reshape(n, 1)),
        ("directions", showers.directions),
        ("pdg", showers.pdg),
        ("shower_ids", showers.shower_ids),
        ("num_points", counts.astype(np.int32)),
    ):
        dataset = dataset_of(file, key)
        dataset[rows] = values.reshape(n, *dataset.shape[1:]) if n else values


def _write_points(
    dataset: h5py.Dataset, rows: Any, points: NDArray[np.float32], starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> None:
    plain = isinstance(rows, slice) and rows.step in {None, 1} and h5py.check_vlen_dtype(dataset.dtype) is not None
    if plain and dataset.ndim == 1:
        begin, end, _ = rows.indices(len(dataset))
        if end - begin == len(lengths):
            write_rows(dataset, begin, points, starts, lengths)
            return
    flat = points.reshape(-1)
    if dataset.ndim > 1:
        msg = (
            f"{dataset.file.filename}: showers has shape {dataset.shape}; only rows of different lengths can be written"
        )
        raise TypeError(msg)
    boxed = np.empty(len(lengths), object)
    for number, (low, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
        boxed[number] = flat[low : low + length]
    dataset[rows] = boxed
