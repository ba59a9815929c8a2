"""Shower files: the functions of the ShowerData library, and files without padding."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import h5py
import numpy as np

from detcore.core.paths import atomic
from detcore.showers.globalheap import write_rows
from detcore.showers.heap import HeapReader, dataset_of, values_of
from detcore.showers.model import IncidentParticles, Showers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from detcore.showers.ragged import Ragged

VERSION: Final = "0.7.0"
"""Of the ShowerData library whose files these are; goes into the attribute ``showerdata_version``."""
AnyPath: TypeAlias = "str | os.PathLike[str]"
Shape = tuple[int, int, int]
TEXT = h5py.string_dtype()
ROWS = h5py.vlen_dtype(np.dtype("<f4"))


class NoSuchFile(FileNotFoundError, KeyError):
    """There is no file to write into: also the KeyError that the original gives after it has made an empty one."""


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


def _datasets(file: h5py.File, shape: tuple[Any, ...], kind: type[Any]) -> None:
    """Make the seven data sets of a shower file, filled with zeros."""
    n = shape[0]
    file.create_dataset("showers", (n,), ROWS)
    file.create_dataset("energies", (n, 1), "<f4")
    file.create_dataset("directions", (n, 3), "<f4")
    file.create_dataset("pdg", (n,), np.int32)
    file.create_dataset("shower_ids", (n,), np.int32)
    file.create_dataset("shape", data=np.array([int(one) for one in shape]), dtype=kind)
    file.create_dataset("num_points", (n,), np.int32)


def _write(file: h5py.File, rows: Any, showers: Showers) -> None:
    """Write showers; `rows` is a slice, or anything else that HDF5 takes."""
    counts = np.clip(showers._num_points, 0, showers.points.shape[1])  # noqa: SLF001
    width, columns = showers.points.shape[1:]
    points = np.ascontiguousarray(showers.points, np.float32)
    starts = np.arange(len(showers), dtype=np.int64) * (width * columns)
    _write_points(dataset_of(file, "showers"), rows, points, starts, counts.astype(np.int64) * columns)
    _write_numbers(file, rows, showers, counts)


def _write_numbers(file: h5py.File, rows: Any, showers: Showers | Ragged, counts: NDArray[Any]) -> None:
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


def save(data: Showers | IncidentParticles, path: AnyPath, overwrite: bool = False) -> None:  # noqa: FBT001, FBT002 - the original's
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
        _datasets(file, data.points.shape, np.int64)
        if len(data):
            _write(file, slice(0, len(data)), data)


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
        return _load(reader, slice(start, stop), max_points)


def _load(reader: HeapReader, rows: slice, max_points: int | None = None) -> Showers:
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


def create_empty_file(path: AnyPath, shape: Shape, overwrite: bool = True) -> None:  # noqa: FBT001, FBT002 - the original's
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
    if len(shape) != 3 or any(one < 0 for one in shape[1:] if isinstance(one, (int, np.integer))):
        msg = f"shape is {tuple(shape)}; expected the numbers of showers, points and columns"
        raise ValueError(msg)
    with new_file(path, overwrite=overwrite) as file:
        _datasets(file, tuple(shape), np.int32)


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
        _write(file, slice(begin, end), data)


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


class ShowerDataFile:
    """An open shower file that is read and written like an array of showers.

    Parameters
    ----------
    path
        The file.
    mode
        r: read; a: read and write; w: make a new one.
    shape
        Of a new file: showers, width, columns.

    Raises
    ------
    ValueError
        The mode is another one, or needs a shape.
    FileNotFoundError
        There is no such file.
    """

    def __init__(self, path: AnyPath, mode: str = "r", shape: Shape | None = None) -> None:
        if mode not in {"r", "w", "a"}:
            msg = f"Invalid mode '{mode}'. Must be 'r', 'w', or 'a'."
            raise ValueError(msg)
        if mode == "w":
            if shape is None:
                msg = "Shape must be specified when opening a file for writing."
                raise ValueError(msg)
            create_empty_file(path, shape, overwrite=True)
        if mode == "a" and not Path(path).exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
        self.path = path
        self.file = h5py.File(path, "r" if mode == "r" else "r+")
        self.attrs = self.file.attrs
        self._reader: HeapReader | None = None

    def __enter__(self) -> ShowerDataFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._forget()
        self.file.close()

    def _forget(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _read(self) -> HeapReader:
        if self._reader is None:
            self._reader = HeapReader(self.path, file=self.file)
        return self._reader

    @property
    def shape(self) -> Shape:
        """Showers, width, columns."""
        self._open()
        n, width, columns = (int(one) for one in values_of(self.file, "shape", np.int64)[:3])
        return n, width, columns

    @property
    def num_showers(self) -> int:
        """How many showers there are."""
        return self.shape[0]

    def __len__(self) -> int:
        return self.num_showers

    def __iter__(self) -> Iterator[Showers]:
        for number in range(len(self)):
            yield self[number]

    def _open(self) -> None:
        if not self.file:
            msg = "File is not open."
            raise ValueError(msg)

    def _chosen(self, index: Any) -> Any:
        """Return an index as a slice with positive step, or an array of increasing numbers."""
        self._open()
        if isinstance(index, tuple):
            if len(index) != 1:
                msg = "Multi-dimensional indexing is not supported."
                raise ValueError(msg)
            index = index[0]
        if index is Ellipsis:
            return slice(None)
        if isinstance(index, (int, np.integer)):
            n = len(self)
            at = int(index) + n if index < 0 else int(index)
            if not 0 <= at < n:
                msg = "Index out of range."
                raise IndexError(msg)
            return slice(at, at + 1)
        if isinstance(index, slice):
            if index.step is not None and index.step < 1:
                msg = f"Step must be >= 1 (got {index.step})"
                raise ValueError(msg)
            return index
        if index is None:
            msg = "Indexing with None (or np.newaxis) is not supported"
            raise TypeError(msg)
        return self._listed(np.asarray(index))

    def _listed(self, found: NDArray[Any]) -> NDArray[np.int64]:
        n = len(self)
        if found.dtype == bool:
            if found.shape != (n,):
                msg = "Boolean indexing array has incompatible shape"
                raise TypeError(msg)
            return np.flatnonzero(found)
        if not found.size:
            return np.zeros(0, np.int64)
        if found.ndim != 1 or found.dtype.kind not in "iu":
            msg = f"Selection can't process {found!r}"
            raise TypeError(msg)
        numbers = np.where(found < 0, found + n, found).astype(np.int64)
        if numbers.min() < 0 or numbers.max() >= n:
            msg = f"Fancy indexing out of range for (0-{n - 1})"
            raise IndexError(msg)
        if (np.diff(numbers) <= 0).any():
            msg = "Indexing elements must be in increasing order"
            raise TypeError(msg)
        return numbers

    def __getitem__(self, index: Any) -> Showers:
        """Read showers by number, slice, increasing list or boolean mask."""
        chosen = self._chosen(index)
        reader = self._read()
        if isinstance(chosen, slice) and chosen.step in {None, 1}:
            return _load(reader, chosen)
        numbers = np.arange(reader.index.rows)[chosen]
        if not len(numbers):
            return _load(reader, slice(0, 0))
        runs = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
        with ExitStack():
            parts = [_load(reader, slice(int(run[0]), int(run[-1]) + 1)) for run in runs]
        names = ("points", "energies", "pdg", "directions", "shower_ids", "_num_points")
        return Showers.unchecked(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def __setitem__(self, index: Any, data: Showers) -> None:
        """Write showers to numbers, a slice, an increasing list or a boolean mask."""
        if self.file and self.file.mode != "r+":
            msg = f"File is not open for writing (mode: {self.file.mode})."
            raise ValueError(msg)
        chosen = self._chosen(index)
        n, width, columns = self.shape
        longest = int(data._num_points.max(initial=0))  # noqa: SLF001
        if data.points.shape[2] != columns or min(longest, data.points.shape[1]) > width:
            msg = f"Shape mismatch: expected {(width, columns)}, got {data.points.shape[1:]}"
            raise ValueError(msg)
        numbers = np.arange(n)[chosen]
        if len(data) == 1 and len(numbers) != 1:
            data = data[np.zeros(len(numbers), int)]
        if len(data) != len(numbers):
            msg = f"Can't broadcast ({len(data)},) -> ({len(numbers)},)"
            raise TypeError(msg)
        self._forget()
        for run in np.split(np.arange(len(numbers)), np.flatnonzero(np.diff(numbers) != 1) + 1) if len(numbers) else []:
            _write(self.file, slice(int(numbers[run[0]]), int(numbers[run[-1]]) + 1), data[run])


class ShowerWriter:
    """Writes a new shower file batch by batch; it gets its name when the block ends well.

    Parameters
    ----------
    path
        The file.
    shape
        Showers, width, columns.
    overwrite
        Replace it.
    attributes
        Of the file.

    Raises
    ------
    FileExistsError
        It exists.
    ValueError
        At the end of the block: there are fewer showers than `shape` says.

    Examples
    --------
    >>> with ShowerWriter("new.h5", (1000, 500, 5)) as writer:  # doctest: +SKIP
    ...     writer.append(ragged)
    """

    def __init__(
        self, path: AnyPath, shape: Shape, *, overwrite: bool = False, attributes: Mapping[str, Any] | None = None
    ) -> None:
        if len(shape) != 3 or shape[0] < 0 or shape[1] < 0 or shape[2] not in {4, 5}:
            msg = f"shape is {tuple(shape)}; expected the numbers of showers and points, and 4 or 5 columns"
            raise ValueError(msg)
        self.path, self.shape, self.done = path, (int(shape[0]), int(shape[1]), int(shape[2])), 0
        self._overwrite, self._attributes = overwrite, dict(attributes or {})
        self._stack = ExitStack()
        self._file: Any = None

    def __enter__(self) -> ShowerWriter:
        self._file = self._stack.enter_context(new_file(self.path, overwrite=self._overwrite))
        try:
            _datasets(self._file, self.shape, np.int64)
            for name, value in self._attributes.items():
                self._file.attrs[name] = value
        except BaseException as error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None and self.done != self.shape[0]:
            error = ValueError(f"{self.path}: {self.shape[0]} showers were announced, {self.done} were written")
            self._stack.__exit__(ValueError, error, None)
            raise error
        self._stack.__exit__(kind, error, trace)

    def append(self, showers: Ragged | Showers) -> None:
        """Write showers after those that are there.

        Parameters
        ----------
        showers
            With the columns of the file, and not more points than its width.

        Raises
        ------
        ValueError
            They do not fit.
        """
        part = showers.ragged() if isinstance(showers, Showers) else showers
        if self._file is None:
            msg = f"{self.path}: use the writer in a with block"
            raise ValueError(msg)
        n, width, columns = self.shape
        counts, end = part.counts, self.done + len(part)
        if (len(part) and part.columns != columns) or end > n or counts.max(initial=0) > width:
            msg = (
                f"{self.path}: expected showers up to number {n} with {columns} columns and {width} points, found "
                f"{end} with {part.columns} and {counts.max(initial=0)}"
            )
            raise ValueError(msg)
        if not len(part):
            return
        rows = slice(self.done, end)
        points = np.ascontiguousarray(part.points, np.float32)
        write_rows(self._file["showers"], self.done, points, part.offsets[:-1] * columns, counts * columns)
        _write_numbers(self._file, rows, part, counts)
        self.done = end


def write_ragged(
    path: AnyPath, ragged: Ragged, *, overwrite: bool = False, attributes: Mapping[str, Any] | None = None
) -> None:
    """Write showers without padding to a new file.

    Parameters
    ----------
    path
        The file; it appears when it is complete.
    ragged
        The showers; the width of the file is their `max_points`, or more if one of them is longer.
    overwrite
        Replace it.
    attributes
        Of the file.

    Raises
    ------
    FileExistsError
        It exists.
    """
    width = max(ragged.max_points, int(ragged.counts.max(initial=0)))
    shape = (len(ragged), width, ragged.columns)
    with ShowerWriter(path, shape, overwrite=overwrite, attributes=attributes) as writer:
        writer.append(ragged)
