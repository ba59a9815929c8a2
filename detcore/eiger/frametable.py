"""Where the frames of a data set are: offset, size and filter of each, found once, so that reading needs no HDF5."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np

from detcore.core.hdf5 import attribute, opened, walk_to
from detcore.core.paths import regular
from detcore.core.source import UnknownFormat
from detcore.eiger.layout import MAX_FRAMES, search

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

MAX_PIXELS = 1 << 28  # of a frame; the largest detectors have 2^24
FRESH = 2.0  # s; a file that was written so recently may change without a new size or time
KEPT = 1024  # tables
BY_COORDINATE = 300  # new frames up to which asking for each is faster than going through all
BITSHUFFLE, LZ4 = 32008, 32004  # filters registered with The HDF Group
BSLZ4, BLOCKS, RAW, DECODED = range(1, 5)  # how a frame is stored; DECODED: only HDF5 can undo it
NAMES: Final = {BSLZ4: "bslz4", BLOCKS: "lz4", RAW: "raw", DECODED: "raw"}


@dataclass(frozen=True, eq=False, slots=True)
class FrameTable:
    """The stored frames of a data set.

    Parameters
    ----------
    path, dataset, channel
        Which one.
    shape, dtype
        Of a frame, (y, x) pixels, and its type in the file.
    length
        Frames that the data set has room for.
    rows, offsets, sizes, codes
        (frame,) of those that are stored, in order; offset and size in bytes.
    first
        Number of the first frame as the file has it, 1-based; 0 if it does not say.
    inode
        Of the file.
    beyond
        How many frames lie beyond the end of the file.
    """

    path: str
    dataset: str
    channel: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    length: int
    rows: NDArray[np.int64]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    codes: NDArray[np.uint8]
    first: int
    inode: int
    beyond: int = 0

    @property
    def fingerprint(self) -> str:
        """What stays as it is while the file grows."""
        begin = f"{self.offsets[0]}+{self.sizes[0]}" if len(self.rows) else "empty"
        ny, nx = self.shape
        return f"{self.dataset}:{self.dtype.str}:{ny}x{nx}:{begin}"


_tables: OrderedDict[tuple[str, str, int], tuple[tuple[int, ...], float, FrameTable]] = OrderedDict()
_guard = threading.Lock()


def table_of(path: str, dataset: str, channel: int = 0) -> FrameTable:
    """Return the stored frames of a data set; remembered for as long as the file stays as it is.

    Raises
    ------
    OSError, ValueError
        The file cannot be read, or holds something else.
    """
    facts = regular(path)
    key, state = (path, dataset, channel), (facts.st_ino, facts.st_size, facts.st_mtime_ns)
    with _guard:
        known = _tables.get(key)
    if known and known[0] == state and known[1] - facts.st_mtime > FRESH:
        return known[2]
    began = time.time()
    with opened(path) as file:
        before = known[2] if known and known[0][0] == facts.st_ino and facts.st_size >= known[0][1] else None
        table = _table(file, path, dataset, channel, facts, before)
    with _guard:
        _tables[key] = (state, began, table)
        _tables.move_to_end(key)
        while len(_tables) > KEPT:
            _tables.popitem(last=False)
    return table


def _table(
    file: h5py.File, path: str, name: str, channel: int, facts: os.stat_result, before: FrameTable | None
) -> FrameTable:
    item = walk_to(file, name)
    if not isinstance(item, h5py.Dataset):
        known = ", ".join(search(file)[:10]) or "none"
        msg = f"no data set {name!r}; data sets of frames in the file: {known}"
        raise UnknownFormat(msg)
    _check(item, channel)
    length, shape = int(item.shape[0]), (int(item.shape[-2]), int(item.shape[-1]))
    rows, offsets, sizes, codes = _stored(item, channel, before if before and before.shape == shape else None)
    inside = (codes == DECODED) | (offsets + sizes <= os.stat(path).st_size)  # noqa: PTH116 - newer than `facts`
    low, high = attribute(item, "image_nr_low"), attribute(item, "image_nr_high")
    plausible = isinstance(low, int) and isinstance(high, int) and 0 < low <= high < 1 << 40
    return FrameTable(
        path, name, channel, shape, item.dtype, length,
        rows[inside], offsets[inside], sizes[inside], codes[inside],
        int(low) if plausible else 0, facts.st_ino, int((~inside).sum()),
    )  # fmt: skip


def _check(item: h5py.Dataset, channel: int) -> None:
    if item.is_virtual:
        msg = f"data set {item.name} is made from other files; open the file that links to it, or name a plain data set"
        raise ValueError(msg)
    if item.ndim not in {3, 4}:
        msg = f"data set {item.name}: expected (frame, y, x) or (frame, channel, y, x), found shape {item.shape}"
        raise ValueError(msg)
    if item.dtype.kind not in "iu":
        msg = f"data set {item.name} holds {item.dtype}; expected whole numbers of counts (uint8, uint16, uint32)"
        raise ValueError(msg)
    if item.ndim == 4 and not 0 <= channel < item.shape[1]:
        msg = f"data set {item.name} has {item.shape[1]} channels; there is no channel {channel} (they count from 0)"
        raise ValueError(msg)
    pixels = int(item.shape[-2]) * int(item.shape[-1])
    if not 0 < pixels <= MAX_PIXELS or item.shape[0] > MAX_FRAMES:
        msg = f"data set {item.name} has shape {item.shape}; a frame may have 1 to {MAX_PIXELS} pixels"
        raise ValueError(msg)
    if item.id.get_create_plist().get_external_count():
        msg = f"data set {item.name} keeps its bytes in other, unnamed files, which are not read"
        raise ValueError(msg)


_Stored = tuple["NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.uint8]"]


def _code(item: h5py.Dataset) -> int:
    """Return how frames are stored, if each one is a chunk."""
    if item.dtype.kind != "u" or item.dtype.itemsize > 4 or item.dtype.byteorder == ">":
        return DECODED
    plist = item.id.get_create_plist()
    filters = [plist.get_filter(i) for i in range(plist.get_nfilters())]
    if not filters:
        return RAW
    kind, _, values, _ = filters[0]
    if len(filters) == 1 and kind == BITSHUFFLE and len(values) >= 5:
        return BSLZ4 if values[4] == 2 and values[2] == item.dtype.itemsize else DECODED
    return BLOCKS if len(filters) == 1 and kind == LZ4 else DECODED


def _stored(item: h5py.Dataset, channel: int, before: FrameTable | None) -> _Stored:
    length, ny, nx = int(item.shape[0]), int(item.shape[-2]), int(item.shape[-1])
    frame_bytes = ny * nx * item.dtype.itemsize
    code = _code(item)
    if item.chunks is None:
        at = item.id.get_offset() if item.id.get_storage_size() and code == RAW else None
        n_channels = int(item.shape[1]) if item.ndim == 4 else 1
        rows = np.arange(length if item.id.get_storage_size() else 0)
        offsets = (at or 0) + (rows * n_channels + channel) * frame_bytes
        return _columns(rows, offsets, np.full(len(rows), frame_bytes), RAW if at else DECODED)
    if tuple(item.chunks) != (1,) * (item.ndim - 2) + (ny, nx):
        rows = _rows_with_chunks(item, channel)
        return _columns(rows, np.zeros(len(rows), np.int64), np.full(len(rows), frame_bytes), DECODED)
    found = _chunks(item, channel, before)
    found = found[(found[:, 0] < length) & (found[:, 2] > 0)]
    rows, offsets, sizes, skipped = found[np.argsort(found[:, 0], kind="stable")].T
    codes = np.where(skipped != 0, RAW if item.id.get_create_plist().get_nfilters() == 1 else DECODED, code)
    if code == DECODED:
        codes[:] = DECODED  # whatever was skipped, HDF5 knows
    codes = np.where((codes == RAW) & (sizes != frame_bytes), DECODED, codes)  # let HDF5 say what is wrong
    sizes = np.where(codes == DECODED, frame_bytes, sizes)
    return rows, offsets, sizes, codes.astype(np.uint8)


def _columns(rows: NDArray[Any], offsets: NDArray[Any], sizes: NDArray[Any], code: int) -> _Stored:
    return rows.astype(np.int64), offsets.astype(np.int64), sizes.astype(np.int64), np.full(len(rows), code, np.uint8)


def _chunks(item: h5py.Dataset, channel: int, before: FrameTable | None) -> NDArray[np.int64]:
    """Return (row, offset, size, skipped filters) of each chunk of the channel."""
    length, tail = int(item.shape[0]), ((channel, 0, 0) if item.ndim == 4 else (0, 0))
    if before is not None and len(before.rows) and before.codes.max() != DECODED:
        done = int(before.rows[-1]) + 1
        whole = len(before.rows) == done and before.codes.min() == before.codes.max()
        if whole and 0 <= length - done <= BY_COORDINATE and _code(item) == before.codes[0]:
            old = np.stack([before.rows, before.offsets, before.sizes, np.zeros(done, np.int64)], axis=1)
            infos = [item.id.get_chunk_info_by_coord((row, *tail)) for row in range(done, length)]
            new = [_line(info, row) for row, info in enumerate(infos, done) if info.byte_offset is not None]
            return np.concatenate([old, np.array(new, np.int64).reshape(-1, 4)])
    lines: list[tuple[int, int, int, int]] = []

    def note(info: Any) -> None:
        if tuple(info.chunk_offset[1:]) == tail:
            lines.append(_line(info, int(info.chunk_offset[0])))

    item.id.chunk_iter(note)
    return np.array(lines, np.int64).reshape(-1, 4)


def _line(info: Any, row: int) -> tuple[int, int, int, int]:
    return row, int(info.byte_offset), int(info.size), int(info.filter_mask)


def _rows_with_chunks(item: h5py.Dataset, channel: int) -> NDArray[np.int64]:
    """Return the rows of which every chunk is stored, where a chunk is not one frame."""
    deep, *wide = item.chunks
    need = int(np.prod([-(-n // size) for n, size in zip(item.shape[-2:], wide[-2:], strict=True)]))
    counts: dict[int, int] = {}

    def note(info: Any) -> None:
        place = info.chunk_offset
        if item.ndim == 3 or place[1] <= channel < place[1] + wide[0]:
            counts[int(place[0])] = counts.get(int(place[0]), 0) + 1

    item.id.chunk_iter(note)
    starts = np.array(sorted(start for start, n in counts.items() if n >= need), np.int64)
    rows = (starts[:, None] + np.arange(min(deep, int(item.shape[0])))).ravel()
    return np.asarray(rows[rows < item.shape[0]], np.int64)


@contextmanager
def frame_reader(path: str, dataset: str, channel: int, shape: tuple[int, int]) -> Iterator[Callable[[int], Any]]:
    """Give a function row -> (y, x) values as HDF5 decodes them.

    Raises
    ------
    ValueError
        The data set is no longer what it was.
    """
    with opened(path) as file:
        item = walk_to(file, dataset)
        if not isinstance(item, h5py.Dataset) or tuple(item.shape[-2:]) != shape:
            msg = f"data set {dataset} is not what it was when the series was opened; read it again"
            raise ValueError(msg)
        _check(item, channel)
        yield lambda row: item[row] if item.ndim == 3 else item[row, channel]
