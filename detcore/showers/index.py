"""What a shower file holds, and where: found once, remembered while the file stays as it is."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np

from detcore.showers.globalheap import Descriptor, References, references_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

FRESH = 2.0  # s; a file that was written so recently may change without a new size or time
KEPT_BYTES = 256 << 20  # of indices, in memory
MOST_ROWS = 1 << 24  # of a file that is small because nothing is written yet
INFLATED = 1000  # bytes of a data set for each byte of the file: the most that deflate gives
DEFAULT_COLUMNS: Final = (4, 5)


def dataset_of(file: h5py.File, key: str) -> h5py.Dataset:
    """Return a data set of a file; one that keeps its values in other files is refused.

    Raises
    ------
    KeyError
        There is none.
    TypeError
        It is something else.
    ValueError
        Its values are in another file, which is not opened.
    """
    here: Any = file
    for part in [one for one in key.split("/") if one]:
        try:
            link = here.get(part, getlink=True) if isinstance(here, h5py.Group) else None
        except (KeyError, RuntimeError):
            link = None
        if link is None:
            msg = f"Key '{key}' not found in HDF5 file."
            raise KeyError(msg)
        if isinstance(link, h5py.ExternalLink):
            msg = f"{file.filename}: {key} is a link to another file, which is not followed; open that file instead"
            raise ValueError(msg)  # noqa: TRY004 - the type is not the point
        here = here.get(part)
    if here is None:
        msg = f"Key '{key}' not found in HDF5 file."
        raise KeyError(msg)
    if not isinstance(here, h5py.Dataset):
        msg = f"Key '{key}' is not a dataset."
        raise TypeError(msg)
    if here.file.filename != file.filename or here.is_virtual or here.id.get_create_plist().get_external_count():
        msg = f"{file.filename}: {key} keeps its values in other files, which are not read"
        raise ValueError(msg)
    return here


def values_of(file: h5py.File, key: str, kind: type[Any], rows: slice | None = None) -> NDArray[Any]:
    """Return a data set, or some rows of it, as float32 or int32.

    Raises
    ------
    KeyError, TypeError
        There is no such data set, or it holds something else.
    ValueError
        It would be far larger than the file.
    """
    found = dataset_of(file, key)
    if found.shape is None or found.dtype.kind not in "iufb" or found.dtype.itemsize > 16:
        msg = f"{file.filename}: {key} holds {found.dtype} {found.shape}; expected numbers"
        raise TypeError(msg)
    limit = max(64 << 20, INFLATED * os.stat(file.filename).st_size)  # noqa: PTH116
    if int(found.size) * max(found.dtype.itemsize, 4) > limit:
        msg = f"{file.filename}: {key} has shape {found.shape}, far more than the file can hold; it is damaged"
        raise ValueError(msg)
    return np.asarray(found[() if rows is None or not found.ndim else rows]).astype(kind)


@dataclass(frozen=True, eq=False)
class Index:
    """What is known of a shower file without its points.

    Parameters
    ----------
    path
        Of the file.
    max_points, columns
        Of the data set ``shape``.
    rows
        How many showers the points are of.
    energies, directions, pdg, shower_ids, num_points
        As in the file, float32 and int32.
    references
        Where the points are, None if only HDF5 can read them.
    """

    path: str
    max_points: int
    columns: int
    rows: int
    energies: NDArray[np.float32]
    directions: NDArray[np.float32]
    pdg: NDArray[np.int32]
    shower_ids: NDArray[np.int32]
    num_points: NDArray[np.int32]
    references: References | None

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        parts = [self.energies, self.directions, self.pdg, self.shower_ids, self.num_points]
        return sum(part.nbytes for part in parts) + (self.references.table.nbytes if self.references else 0)

    def counts(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the stored points of showers.

        Raises
        ------
        ValueError
            A row is not a whole number of points.
        """
        assert self.references is not None
        lengths = self.references.table[start:stop, 2]
        bad = np.flatnonzero(lengths % self.columns) if self.columns else np.flatnonzero(lengths)
        if len(bad):
            msg = f"cannot reshape array of size {lengths[bad[0]]} into shape ({self.columns})"
            raise ValueError(msg)
        return lengths // self.columns if self.columns else lengths


_State = tuple[int, ...]
_indices: OrderedDict[str, tuple[_State, float, Index]] = OrderedDict()
_guard = threading.Lock()


def _state_of(facts: os.stat_result) -> _State:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def index_of(descriptor: Descriptor, file: h5py.File | None = None) -> Index:
    """Return the index of a file; remembered for as long as the file stays as it is.

    Parameters
    ----------
    descriptor
        The open file.
    file
        The same, open in HDF5.

    Raises
    ------
    KeyError, TypeError, ValueError, OSError
        A data set is missing, or holds something else; the file is cut off or damaged.
    """
    state, path = _state_of(descriptor.facts), os.path.realpath(descriptor.path)
    with _guard:
        known = _indices.get(path)
    if file is None and known and known[0] == state and known[1] - descriptor.facts.st_mtime > FRESH and not _written():
        return known[2]
    began = time.time()
    if file is None:
        with h5py.File(descriptor.path, "r") as opened:
            index = _index(opened, descriptor)
    else:
        index = _index(file, descriptor)
    if _state_of(os.fstat(descriptor.number)) == state and not _written():
        with _guard:
            _indices[path] = (state, began, index)
            _indices.move_to_end(path)
            while sum(one[2].nbytes for one in _indices.values()) > KEPT_BYTES:
                _indices.popitem(last=False)
    return index


def _written() -> bool:
    """Return whether this process has an HDF5 file open for writing, of which parts may not be in the file yet."""
    if not h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE):
        return False
    for one in h5py.h5f.get_obj_ids(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE):
        with suppress(ValueError):  # another thread has just closed it
            if one.get_intent() & h5py.h5f.ACC_RDWR:
                return True
    return False


def _index(file: h5py.File, descriptor: Descriptor) -> Index:
    points = dataset_of(file, "showers")
    shape = values_of(file, "shape", np.int64)
    if shape.ndim != 1 or len(shape) < 3:
        msg = f"{descriptor.path} is not a valid shower data file. (invalid shape dataset)"
        raise ValueError(msg)
    width, columns = int(shape[1]), int(shape[2])
    if width < 0 or columns < 0:
        msg = "negative dimensions are not allowed"
        raise ValueError(msg)
    most = max(MOST_ROWS, INFLATED * descriptor.facts.st_size // 16)  # a row takes 16 bytes
    if points.shape is None or not points.ndim or points.shape[0] > most:
        msg = f"{descriptor.path}: showers has shape {points.shape}; expected a row for each shower, and no more than the file can hold"
        raise ValueError(msg)
    return Index(
        descriptor.path,
        width,
        columns,
        int(points.shape[0]),
        values_of(file, "energies", np.float32),
        values_of(file, "directions", np.float32),
        values_of(file, "pdg", np.int32),
        values_of(file, "shower_ids", np.int32),
        values_of(file, "num_points", np.int32),
        references_of(file, points, descriptor),
    )


def rows_by_hdf5(
    path: str,
    key: str,
    columns: int,
    start: int,
    stop: int,
    *,
    checked: bool = True,
    step: int = 256,
    file: h5py.File | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Yield the rows of a data set as points (point, column), whatever HDF5 has to do for it.

    Raises
    ------
    ValueError
        A row is not a whole number of points, or not of showers.
    """
    with h5py.File(path, "r") if file is None else nullcontext(file) as opened:
        found = dataset_of(opened, key)
        inner = h5py.check_vlen_dtype(found.dtype)
        plain = found.dtype.kind in "iuf"
        if not plain and (inner is None or np.dtype(inner).kind not in "iuf" or found.ndim != 1):
            msg = f"{path}: {key} holds {found.dtype}; expected rows of numbers"
            raise TypeError(msg)
        if plain and int(found.size) * found.dtype.itemsize > max(64 << 20, INFLATED * os.stat(path).st_size):  # noqa: PTH116
            msg = f"{path}: {key} has shape {found.shape}, far more than the file can hold; it is damaged"
            raise ValueError(msg)
        if inner is not None and not np.dtype(inner).isnative:
            msg = f"{path}: {key} holds rows of big-endian numbers, which are not read; write it with native ones"
            raise ValueError(msg)
        for low in range(start, stop, step):
            for row in found[low : min(low + step, stop)]:
                flat = np.asarray(row, np.float32).reshape(-1)
                if flat.size and (not columns or flat.size % columns):
                    msg = f"cannot reshape array of size {flat.size} into shape ({columns})"
                    raise ValueError(msg)
                points = flat.reshape(-1, max(columns, 1))
                if plain:  # padded
                    real = np.flatnonzero(points.any(axis=1))
                    points = points[: real[-1] + 1 if len(real) else 0]
                if checked and columns in DEFAULT_COLUMNS and len(points):
                    _check(points)
                yield points


def _check(points: NDArray[np.float32]) -> None:
    energy = points[:, 3]
    if (energy < 0).any():
        msg = "Point energies must be non-negative."
        raise ValueError(msg)
    if not energy[0] > 0 and (energy > 0).any():
        msg = "Padding should be in the end of the shower points."
        raise ValueError(msg)
