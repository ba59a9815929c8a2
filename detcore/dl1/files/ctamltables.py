"""Rows of CTA-ML tables, of those too that are compressed with LZO, which HDF5 itself cannot read here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detcore.core.source import TruncatedFile
from detcore.dl1.files import hdffile, lzo
from detcore.dl1.files.lru import CHUNKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import h5py
    from numpy.typing import NDArray

BLOCK_BYTES: Final = 4 << 20  # of neighbouring chunks that are read at once
MAX_ATTRIBUTE: Final = 1 << 20
# A list of texts as Python's pickle protocol 0 writes it. It is matched and never unpickled.
_TEXTS: Final = re.compile(rb"\(lp\d{1,9}\n(?:(?:V[^\n]*\np\d{1,9}\n|g\d{1,9}\n)a)*\.")
_TEXT: Final = re.compile(rb"V([^\n]*)\np(\d{1,9})\na|g(\d{1,9})\na")


def filters_of(found: h5py.Dataset) -> list[tuple[int, tuple[int, ...]]]:
    """Return number and parameters of the filters of a table, in the order in which they were applied."""
    plan = found.id.get_create_plist()
    return [(int(one[0]), tuple(map(int, one[2]))) for one in map(plan.get_filter, range(plan.get_nfilters()))]


def read_rows(found: h5py.Dataset, start: int, stop: int) -> NDArray[Any]:
    """Return rows of a table, in native byte order, whatever compressed it.

    Raises
    ------
    OSError, ValueError
        They cannot be read: the file is damaged, cut off, or needs a filter that is not here.
    """
    filters = filters_of(found)
    if found.chunks is None or not any(number == lzo.LZO for number, _ in filters):
        return hdffile.read_rows(found, start, stop)
    step = int(found.chunks[0])
    parts = [_chunk(found, low, step, filters) for low in range(start // step * step, stop, step)]
    if not parts:
        return np.zeros(0, found.dtype.newbyteorder("="))
    rows = np.concatenate(parts) if len(parts) > 1 else parts[0]
    first = start // step * step
    return np.asarray(rows[start - first : stop - first].astype(found.dtype.newbyteorder("="), copy=False))


def _chunk(found: h5py.Dataset, low: int, step: int, filters: list[tuple[int, tuple[int, ...]]]) -> NDArray[Any]:
    where = f"{found.file.filename}: rows {low} to {min(low + step, len(found))} of {found.name}"
    size = step * found.dtype.itemsize
    try:
        facts = found.id.get_chunk_info_by_coord((low,))
        if facts.byte_offset is None:
            msg = f"{where} are missing; the file is damaged or incomplete"
            raise TruncatedFile(msg)  # noqa: TRY301
        if facts.size > size + size // 16 + 128:  # more than LZO makes of bytes that cannot be compressed
            msg = f"{where} take {facts.size} bytes of the file for {size} bytes of data; the file is damaged"
            raise ValueError(msg)
        excluded, raw = found.id.read_direct_chunk((low,))
        return lzo.undo(raw, excluded, filters, size).view(found.dtype)
    except TruncatedFile:
        raise
    except (OSError, RuntimeError) as error:
        msg = f"{where} cannot be read ({' '.join(str(error).split())[:200]}); copy the file again"
        raise OSError(msg) from error
    except lzo.CorruptLzo as error:
        msg = f"{where}: {error}"
        raise lzo.CorruptLzo(msg) from error


def picked(found: h5py.Dataset, rows: NDArray[np.int64], state: str) -> NDArray[Any]:
    """Return rows of a table in any order, by way of remembered chunks.

    Parameters
    ----------
    found
        The table.
    rows
        Their numbers, all in range.
    state
        Of the file: changes when it does.
    """
    size, total = hdffile.chunk_rows(found), len(found)
    block = np.zeros(len(rows), found.dtype.newbyteorder("="))
    for low in (np.unique(rows // size) * size).tolist():

        def make(low: int = low) -> NDArray[Any]:
            return read_rows(found, low, min(low + size, total))

        chunk = CHUNKS.get((found.file.filename, state, found.name, low), make)
        mine = rows // size * size == low
        block[mine] = chunk[rows[mine] - low]
    return block


def streamed(found: h5py.Dataset, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    """Yield rows of a table by whole chunks, each of which is read once and not remembered.

    Parameters
    ----------
    found
        The table.
    rows
        Their numbers, all in range.

    Yields
    ------
    places
        Which of `rows`.
    block
        Their content.
    """
    size = hdffile.chunk_rows(found)
    most = max(BLOCK_BYTES // (size * found.dtype.itemsize), 1)
    chunk_of = rows // size
    wanted = np.unique(chunk_of)
    low = 0
    while low < len(wanted):
        high = low + 1
        while high < len(wanted) and high - low < most and wanted[high] == wanted[high - 1] + 1:
            high += 1
        first, last = int(wanted[low]) * size, min((int(wanted[high - 1]) + 1) * size, len(found))
        places = np.flatnonzero((chunk_of >= wanted[low]) & (chunk_of <= wanted[high - 1]))
        block = read_rows(found, first, last)
        yield places, block[rows[places] - first]
        low = high


def columns(found: h5py.Dataset, names: list[str]) -> dict[str, NDArray[Any]]:
    """Return columns of a table as a whole.

    Raises
    ------
    ValueError
        A column is missing, or they are more than can be read at once.
    OSError
        See `read_rows`.
    """
    where = f"{found.file.filename}: {found.name}"
    missing = [name for name in names if name not in found.dtype.names]
    if missing:
        known = ", ".join(map(str, found.dtype.names))
        msg = f"{where}: expected the columns {', '.join(names)}; missing: {', '.join(missing)}; found {known[:300]}"
        raise ValueError(msg)
    width = sum(found.dtype[name].itemsize for name in names)
    if len(found) * width > hdffile.MAX_CHUNK_BYTES:
        msg = f"{where}: {len(found)} rows of {width} bytes; at most {hdffile.MAX_CHUNK_BYTES} bytes are read at once"
        raise ValueError(msg)
    step = hdffile.chunk_rows(found)
    step *= max(BLOCK_BYTES // (found.dtype.itemsize * step), 1)
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    for start in range(0, len(found), step) or (0,):
        block = read_rows(found, start, min(start + step, len(found)))
        for name in names:
            parts[name].append(block[name].copy())
    return {name: np.concatenate(each) for name, each in parts.items()}


def pickled_texts(file: h5py.File, name: str) -> list[str]:
    """Return an attribute that PyTables pickled as a list of texts; empty if it is anything else.

    Nothing is unpickled: only the form that such a list has is understood.
    """
    try:
        if name not in file.attrs:
            return []
        found = file.attrs.get_id(name)
        if found.shape != () or found.dtype.kind != "S" or found.get_storage_size() > MAX_ATTRIBUTE:
            return []
        raw = bytes(file.attrs[name])
    except (OSError, ValueError, TypeError, KeyError, RuntimeError):
        return []
    if not _TEXTS.fullmatch(raw):
        return []
    known: dict[bytes, str] = {}
    texts = []
    for match in _TEXT.finditer(raw):
        text, number, again = match.groups()
        if again is None:
            known[number] = text.decode("raw_unicode_escape", "replace")
        texts.append(known.get(number if again is None else again, ""))
    return texts
