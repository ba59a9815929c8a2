"""An open shower file as an array of showers."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from detcore.showers.files import create_empty_file, load_rows
from detcore.showers.heap import HeapReader
from detcore.showers.index import dataset_of, rows_by_hdf5, values_of
from detcore.showers.layout import (
    AnyPath,
    Shape,
    write_showers,
)
from detcore.showers.model import Showers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from numpy.typing import NDArray


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
        self._unchanging = mode == "r"
        self._reader: HeapReader | None = None
        self._shape: Shape | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self.file.close()

    def _load(self, rows: slice) -> Showers:
        if self._unchanging:
            if self._reader is None:
                self._reader = HeapReader(self.path, file=self.file)
            return load_rows(self._reader, rows)
        # Somebody else may write, too: nothing is remembered.
        _, width, columns = self.shape
        begin, end, _ = rows.indices(len(dataset_of(self.file, "showers")))
        points = np.zeros((max(end - begin, 0), width, columns), np.float32)
        found = rows_by_hdf5(os.fspath(self.path), "showers", columns, begin, end, file=self.file)
        for target, row in zip(points, found, strict=True):
            target[: len(row)] = row[:width]
        return Showers.unchecked(
            points,
            values_of(self.file, "energies", np.float32, rows),
            values_of(self.file, "pdg", np.int32, rows),
            values_of(self.file, "directions", np.float32, rows),
            values_of(self.file, "shower_ids", np.int32, rows),
            np.clip(values_of(self.file, "num_points", np.int32, rows), 0, width),
        )

    @property
    def shape(self) -> Shape:
        """Showers, width, columns."""
        self._open()
        if self._shape is None or not self._unchanging:
            n, width, columns = (int(one) for one in values_of(self.file, "shape", np.int64)[:3])
            self._shape = n, width, columns
        return self._shape

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
        if isinstance(index, tuple):
            if len(index) != 1:
                self._open()
                msg = "Multi-dimensional indexing is not supported."
                raise ValueError(msg)
            index = index[0]
        if isinstance(index, (int, np.integer)):  # its length says whether the file is open
            n = len(self)
            at = int(index) + n if index < 0 else int(index)
            if not 0 <= at < n:
                msg = "Index out of range."
                raise IndexError(msg)
            return slice(at, at + 1)
        self._open()
        if index is Ellipsis:
            return slice(None)
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
        if isinstance(chosen, slice) and chosen.step in {None, 1}:
            return self._load(chosen)
        numbers = np.arange(len(dataset_of(self.file, "showers")))[chosen]
        if not len(numbers):
            return self._load(slice(0, 0))
        runs = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
        parts = [self._load(slice(int(run[0]), int(run[-1]) + 1)) for run in runs]
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
        for run in np.split(np.arange(len(numbers)), np.flatnonzero(np.diff(numbers) != 1) + 1) if len(numbers) else []:
            write_showers(self.file, slice(int(numbers[run[0]]), int(numbers[run[-1]]) + 1), data[run])
