"""Shower files read without padding, and without HDF5 wherever that is possible."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detcore.showers.globalheap import Descriptor, gather
from detcore.showers.index import DEFAULT_COLUMNS, index_of, rows_by_hdf5
from detcore.showers.ragged import Ragged, offsets_of

if TYPE_CHECKING:
    import os
    from typing import Self

    import h5py
    from numpy.typing import NDArray


class HeapReader:
    """A shower file from which single showers are read in a few microseconds.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    FileNotFoundError, OSError, KeyError, TypeError, ValueError
        It cannot be read, or is not a shower file.

    Examples
    --------
    >>> with HeapReader("showers.h5") as reader:  # doctest: +SKIP
    ...     points = reader.shower(17)
    """

    def __init__(self, path: str | os.PathLike[str], *, file: h5py.File | None = None) -> None:
        self._descriptor = Descriptor(path)
        try:
            self.index = index_of(self._descriptor, file)
        except BaseException:
            self._descriptor.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the file."""
        self._descriptor.close()

    def __len__(self) -> int:
        return self.index.rows

    @property
    def counts(self) -> NDArray[np.int64]:
        """Stored points of each shower (shower), int64."""
        index = self.index
        if index.references is not None:
            return index.counts(0, index.rows)
        rows = rows_by_hdf5(index.path, "showers", index.columns, 0, index.rows)
        return np.fromiter((len(row) for row in rows), np.int64, index.rows)

    def shower(self, number: int) -> NDArray[np.float32]:
        """Return the points of one shower.

        Parameters
        ----------
        number
            From 0; negative ones count from the end.

        Returns
        -------
        ndarray
            (point, column), float32.

        Raises
        ------
        IndexError
            There is no such shower.
        OSError, ValueError
            The file is cut off or damaged.
        """
        n = self.index.rows
        at = number + n if number < 0 else number
        if not 0 <= at < n:
            msg = f"shower {number} of {n}"
            raise IndexError(msg)
        return self._flat(at, at + 1)[0]

    def _flat(self, start: int, stop: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return points (point, column) and offsets (shower + 1)."""
        index = self.index
        columns = index.columns
        if columns not in DEFAULT_COLUMNS:
            msg = (
                "Points must be a 3D array with shape (num_showers, max_points, 4 or 5) "
                f"got {(index.rows, index.max_points, columns)}"
            )
            raise ValueError(msg)
        if index.references is None:
            rows = list(rows_by_hdf5(index.path, "showers", columns, start, stop))
            counts = np.array([len(row) for row in rows], np.int64)
            together = np.concatenate(rows) if rows else np.zeros((0, columns), np.float32)
            return together, offsets_of(counts)
        offsets = offsets_of(index.counts(start, stop))
        points = np.empty((int(offsets[-1]), columns), np.float32)
        gather(
            self._descriptor,
            index.references.table[start:stop],
            points,
            offsets[:-1] * columns,
            columns=columns,
        )
        return points, offsets

    def ragged(self, start: int = 0, stop: int | None = None) -> Ragged:
        """Return showers without padding.

        Parameters
        ----------
        start, stop
            As in a slice of all showers.

        Raises
        ------
        OSError, ValueError
            The file is cut off or damaged, or its data sets do not fit each other.
        """
        index = self.index
        begin, end, _ = slice(start, stop).indices(index.rows)
        end = max(begin, end)
        lengths = {len(part) for part in (index.energies, index.directions, index.pdg, index.shower_ids)}
        if lengths != {index.rows} or index.directions.shape != (index.rows, 3) or index.energies.size != index.rows:
            msg = f"{index.path}: there are points of {index.rows} showers, but energies, directions, pdg and ids of {sorted(lengths)}"
            raise ValueError(msg)
        points, offsets = self._flat(begin, end)
        return Ragged(
            points,
            offsets,
            index.energies.reshape(-1)[begin:end].copy(),
            index.directions[begin:end].copy(),
            index.pdg[begin:end].copy(),
            index.shower_ids[begin:end].copy(),
            index.max_points,
        )

    def dense(self, begin: int, end: int, width: int) -> NDArray[np.float32]:
        """Return points padded with zeros, (shower, `width`, column); longer showers lose their last points.

        Parameters
        ----------
        begin, end
            Showers, from 0, both inside the file.
        width
            Points.
        """
        index = self.index
        n, columns = end - begin, index.columns
        # Zeroed memory that is never touched costs no time: most of a dense array is padding.
        points = np.zeros((n, width, columns), np.float32)
        if index.references is None:
            checked = columns in DEFAULT_COLUMNS
            rows = rows_by_hdf5(index.path, "showers", columns, begin, end, checked=checked)
            for target, row in zip(points, rows, strict=True):
                target[: len(row)] = row[:width]
            return points
        index.counts(begin, end)  # whole points
        size = width * columns
        gather(
            self._descriptor,
            index.references.table[begin:end],
            points,
            np.arange(n, dtype=np.int64) * size,
            np.full(n, size, np.int64),
            columns if columns in DEFAULT_COLUMNS else 0,
        )
        return points


def read_ragged(path: str | os.PathLike[str], start: int = 0, stop: int | None = None) -> Ragged:
    """Read showers of a file without padding.

    Parameters
    ----------
    path
        The file.
    start, stop
        As in a slice of all showers.

    Returns
    -------
    Ragged
        All stored points, whatever ``num_points`` says.

    Raises
    ------
    FileNotFoundError, KeyError, TypeError
        There is no such file or data set.
    TruncatedFile, OSError, ValueError
        The file is cut off or damaged, or not a shower file.
    """
    with HeapReader(path) as reader:
        return reader.ragged(start, stop)
