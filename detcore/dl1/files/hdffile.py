"""HDF5 files of strangers: tables that are checked before they are read, and never lead to another file."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import h5py
import hdf5plugin  # noqa: F401 - makes blosc, zstd, ... known to HDF5
import numpy as np
from typing_extensions import override

from detcore.core.handles import close_all, lease
from detcore.core.source import TruncatedFile, UnknownFormat
from detcore.dl1.files.attributes import Column, columns_of
from detcore.dl1.files.lru import CHUNKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

MAX_ROW_BYTES: Final = 64 << 20
MAX_CHUNK_BYTES: Final = 512 << 20  # decoded; PyTables makes chunks of some 100 kB
MAX_COLUMNS: Final = 4096
MAX_COLUMN_BYTES: Final = 2 << 30  # of columns that are read as a whole
STEP_BYTES: Final = 8 << 20  # of rows that are decoded at once for that
SAMPLES: Final = 8  # rows that are compared before two tables are taken to be in the same order
KINDS: Final = "biufS"  # numbers and texts of fixed length; nothing with references or variable lengths


class OpenFile(h5py.File):  # type: ignore[misc]  # h5py has no types
    """An open file that remembers which of its tables were found and checked: that takes longer than to read a row."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "r")
        self.checked: dict[str, h5py.Dataset] = {}

    @override
    def close(self) -> None:
        self.checked.clear()
        super().close()


def open_hdf5(path: str) -> OpenFile:
    """Open a file for reading; its errors say what to do.

    Raises
    ------
    FileNotFoundError
        There is none.
    UnknownFormat
        It is not HDF5.
    TruncatedFile
        It is cut off.
    OSError
        It cannot be read, or is a folder, a pipe or a device.
    """
    facts = os.stat(path)  # noqa: PTH116 - called for every lease
    if not stat.S_ISREG(facts.st_mode):  # a pipe would wait for ever
        kind = "a folder" if stat.S_ISDIR(facts.st_mode) else "a pipe or device"
        msg = f"{path}: expected a regular file, found {kind}"
        raise OSError(msg)
    # of a file that was written anew in its place HDF5 would go on to show the old one, as long as that is open
    close_all(path)
    try:
        return OpenFile(path)
    except OSError as error:
        words = " ".join(str(error).split())[:200]
        if "signature not found" in words:
            found = "its signature is missing" if facts.st_size else "it is empty"
            msg = f"{path}: not an HDF5 file: {found}"
            raise UnknownFormat(msg) from error
        if "truncated" in words or "eof" in words or "addr overflow" in words:
            msg = f"{path}: cut off or still being written, {facts.st_size} bytes are there: copy it again ({words})"
            raise TruncatedFile(msg) from error
        msg = f"{path}: HDF5 cannot open it: {words}"
        raise OSError(msg) from error


@contextmanager
def opened(path: str) -> Iterator[h5py.File]:
    """Lend the open file; what HDF5 says of a damaged one becomes a ValueError that names it.

    Raises
    ------
    OSError, ValueError
        As of `open_hdf5`; the file is damaged.
    """
    with lease(open_hdf5, path) as file:
        try:
            yield file
        except OSError as error:
            if error.filename or path in str(error):
                raise
            msg = f"{path}: {' '.join(str(error).split())[:300]}"
            raise OSError(msg) from error
        except Exception as error:
            if path in str(error):  # in words already; h5py also raises KeyError and RuntimeError for damage
                raise
            kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
            msg = f"{path}: damaged or unusual: {kind}{' '.join(str(error).split())[:300]}"
            raise ValueError(msg) from error


def node(file: h5py.File, name: str) -> Any:
    """Return a group or data set of a file, or None if there is none; other files are never opened."""
    here: Any = file
    for part in [one for one in name.split("/") if one]:
        try:
            link = here.get(part, getlink=True) if isinstance(here, h5py.Group) else None
        except (KeyError, RuntimeError):
            return None
        if not isinstance(link, h5py.HardLink):  # soft ones may run in circles or out of the file; no writer makes them
            return None
        try:
            here = here[part]
        except (KeyError, OSError, RuntimeError, ValueError) as error:
            msg = f"{file.filename}: {name} is damaged: {' '.join(str(error).split())[:200]}"
            raise ValueError(msg) from error
    return here


def children(file: h5py.File, name: str) -> list[str]:
    """Return the names in a group, in alphabetical order; none if there is no such group."""
    group = node(file, name)
    return sorted(map(str, group)) if isinstance(group, h5py.Group) else []


def table(file: h5py.File, name: str) -> h5py.Dataset | None:
    """Return a table of a file, or None if there is none.

    Raises
    ------
    ValueError
        It is no table, has columns of a kind that is not read, keeps values in other files, or claims more rows than
        the file holds.
    """
    checked = file.checked if isinstance(file, OpenFile) else {}
    if name in checked:
        return checked[name]
    found = node(file, name)
    if found is None:
        return None
    where = f"{file.filename}: {name}"
    dtype = found.dtype if isinstance(found, h5py.Dataset) else None  # asked for once: h5py makes it anew each time
    if dtype is None or dtype.names is None or found.shape is None or len(found.shape) != 1:
        msg = f"{where} is not a table"
        raise ValueError(msg)
    plan = found.id.get_create_plist()
    if found.is_virtual or plan.get_external_count():
        msg = f"{where} keeps its values in other files, which are not read"
        raise ValueError(msg)
    wrong = [str(one) for one in dtype.names if dtype[one].base.kind not in KINDS]
    if wrong or len(dtype.names) > MAX_COLUMNS or not 0 < dtype.itemsize <= MAX_ROW_BYTES:
        msg = f"{where}: {len(dtype.names)} columns in {dtype.itemsize} bytes; not read: {', '.join(wrong)[:200] or 'so much'}"
        raise ValueError(msg)
    rows = int(found.shape[0])
    if found.chunks is not None:
        step = int(found.chunks[0])
        if step * dtype.itemsize > MAX_CHUNK_BYTES:
            msg = f"{where}: chunks of {step} rows of {dtype.itemsize} bytes; at most {MAX_CHUNK_BYTES} bytes are read at once"
            raise ValueError(msg)
        there = found.id.get_num_chunks() * step if rows else 0
    elif plan.get_layout() == h5py.h5d.COMPACT:
        there = rows
    else:
        there = found.id.get_storage_size() // dtype.itemsize
        there = min(there, os.stat(file.filename).st_size // dtype.itemsize)  # noqa: PTH116
    if rows > there:
        msg = f"{where} claims {rows} rows, but the file holds {there}; it is damaged or incomplete"
        raise ValueError(msg)
    checked[name] = found
    return found


def chunk_rows(found: h5py.Dataset) -> int:
    """Return how many rows a chunk of a table has; of one without chunks, those of 256 kB."""
    return int(found.chunks[0]) if found.chunks else max((1 << 18) // found.dtype.itemsize, 1)


def read_rows(found: h5py.Dataset, start: int, stop: int) -> NDArray[Any]:
    """Return rows of a table, in native byte order.

    Raises
    ------
    OSError
        They cannot be read: the file is damaged, cut off, or needs a filter that is not here.
    """
    try:
        rows = found[start:stop]
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        words = " ".join(str(error).split())[:200]
        msg = f"{found.file.filename}: rows {start} to {stop} of {found.name} cannot be read ({words}); copy the file again"
        raise OSError(msg) from error
    return np.asarray(rows.astype(rows.dtype.newbyteorder("="), copy=False))


def runs(found: h5py.Dataset, rows: NDArray[np.int64]) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield increasing rows of a table in pieces of whole chunks, passing over chunks that have none of them.

    Parameters
    ----------
    found
        The table.
    rows
        Their numbers.

    Yields
    ------
    part
        Which of `rows`.
    block
        Their content.
    """
    if not len(rows):
        return
    size = chunk_rows(found)
    most = max(STEP_BYTES // (size * found.dtype.itemsize), 1)  # chunks
    chunks = rows // size
    starts = [int(one) for one in np.flatnonzero(np.diff(chunks, prepend=-2) > 1)]  # of rows in neighbouring chunks
    for start, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
        low = start
        while low < stop:
            high = low + int(np.searchsorted(chunks[low:stop], chunks[low] + most))
            first = int(rows[low])
            block = read_rows(found, first, int(rows[high - 1]) + 1)
            yield slice(low, high), block if len(block) == high - low else block[rows[low:high] - first]
            low = high


def increasing(found: h5py.Dataset, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return increasing rows of a table, without remembering anything."""
    blocks = [block for _, block in runs(found, rows)]
    return np.concatenate([np.zeros(0, found.dtype.newbyteorder("=")), *blocks]) if len(blocks) != 1 else blocks[0]


def picked(found: h5py.Dataset, rows: NDArray[np.int64], state: str) -> NDArray[Any]:
    """Return rows of a table in any order, by way of remembered chunks.

    Parameters
    ----------
    found
        The table.
    rows
        Their numbers.
    state
        Of the file: changes when it does.
    """
    size, total = chunk_rows(found), len(found)
    block: NDArray[Any] | None = None
    for low in (np.unique(rows // size) * size).tolist():

        def make(low: int = low) -> NDArray[Any]:
            return read_rows(found, low, min(low + size, total))

        chunk = CHUNKS.get((found.file.filename, state, found.name, low), make)
        if block is None:
            block = np.zeros(len(rows), chunk.dtype)
        mine = rows // size * size == low
        block[mine] = chunk[rows[mine] - low]
    return np.zeros(0, found.dtype.newbyteorder("=")) if block is None else block


def alike(one: h5py.Dataset, other: h5py.Dataset, names: Sequence[str]) -> bool:
    """Return whether some rows of two tables have the same values: the first, the last, and a few between."""
    if len(one) != len(other) or not all(name in table.dtype.names for table in (one, other) for name in names):
        return False
    for row in np.unique(np.linspace(0, len(one) - 1, SAMPLES).astype(int)).tolist() if len(one) else ():
        first, second = (read_rows(table, row, row + 1) for table in (one, other))
        if any(first[name][0] != second[name][0] for name in names):
            return False
    return True


@dataclass(frozen=True)
class Columns:
    """Columns of a table, decoded; see `columns`.

    Parameters
    ----------
    values
        name -> (row, ...) values.
    facts
        name -> what the attributes say.
    rows
        How many there are.
    """

    values: dict[str, NDArray[Any]]
    facts: dict[str, Column]
    rows: int


def columns(file: h5py.File, name: str, required: Sequence[str], optional: Sequence[str] | None = ()) -> Columns:
    """Return columns of a table as a whole.

    Parameters
    ----------
    file
        The open file.
    name
        Of the table.
    required
        Columns that must be there.
    optional
        Columns that may be there; None: all that have one value for each row.

    Raises
    ------
    ValueError
        There is no such table or column, or more than can be read at once; see also `table`.
    OSError
        See `read_rows`.
    """
    found, where = table(file, name), f"{file.filename}: {name}"
    if found is None:
        msg = f"{where} is missing"
        raise ValueError(msg)
    known = [str(one) for one in found.dtype.names]
    missing = [one for one in required if one not in known]
    if missing:
        msg = f"{where}: expected the columns {', '.join(required)}; missing: {', '.join(missing)}; found {', '.join(known)}"
        raise ValueError(msg[:1000])
    more = [one for one in known if not found.dtype[one].shape] if optional is None else optional
    chosen = [one for one in known if one in required or one in more]
    width = sum(found.dtype[one].itemsize for one in chosen)
    if len(found) * width > MAX_COLUMN_BYTES:
        msg = f"{where}: {len(found)} rows of {width} bytes; at most {MAX_COLUMN_BYTES} bytes are read at once"
        raise ValueError(msg)
    facts = columns_of(found)
    step = max(STEP_BYTES // (found.dtype.itemsize * chunk_rows(found)), 1) * chunk_rows(found)
    parts: dict[str, list[NDArray[Any]]] = {one: [] for one in chosen}
    for start in range(0, len(found), step) or (0,):
        block = read_rows(found, start, min(start + step, len(found)))
        for one in chosen:
            parts[one].append(block[one].copy())
    try:
        values = {one: facts[one].decode(np.concatenate(stored)) for one, stored in parts.items()}
    except ValueError as error:
        msg = f"{where}: {error}"
        raise ValueError(msg) from error
    return Columns(values, {one: facts[one] for one in chosen}, len(found))


def integers(found: Columns, name: str, where: str) -> NDArray[np.int64]:
    """Return a column as int64.

    Raises
    ------
    ValueError
        It holds something else.
    """
    values = found.values[name]
    if values.dtype.kind not in "iu" or values.ndim != 1 or values.dtype == np.uint64:
        msg = f"{where}: expected an integer in each row of {name}, found {values.dtype} of shape {values.shape[1:]}"
        raise ValueError(msg)
    return values.astype(np.int64)
