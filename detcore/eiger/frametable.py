"""Where the frames of a series are: file, offset, size and filter of each, found once, so that reading needs no HDF5.

HDF5 is never left to follow a link to another file, or a virtual data set: both are resolved here, because a file that
is missing would read as zeros, and because a file from somebody else may point anywhere.
"""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import h5py
import hdf5plugin  # noqa: F401 - makes the filters known to HDF5
import numpy as np

from detcore.core.source import TruncatedFile, UnknownFormat, natural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MAX_PIXELS = 1 << 28  # of a frame; the largest detectors have 2^24
MAX_FRAMES = 50_000_000  # of a data set
MAX_PIECES = 100_000  # data files of a series
MAX_LINKS = 16  # one after the other
MAX_OBJECTS = 2000  # looked at in search of a data set
MAX_DEPTH = 6
FRESH = 2.0  # s; a file that was written so recently may change without a new size or time
BY_COORDINATE = 300  # new frames up to which asking for each is faster than going through all
BITSHUFFLE, LZ4 = 32008, 32004  # filters registered with The HDF Group
MISSING, BSLZ4, BLOCKS, RAW, DECODED = range(5)  # how a frame is stored; DECODED: only HDF5 can undo it
NAMES: Final = {BSLZ4: "bslz4", BLOCKS: "lz4", RAW: "raw", DECODED: "raw"}
_DATA = re.compile(r"data_\d+$")


@dataclass(frozen=True, slots=True)
class Slab:
    """Rows of a data set: `count` blocks of `block` rows, `stride` apart; a count of None has no end."""

    start: int = 0
    stride: int = 1
    count: int | None = None
    block: int = 1

    def rows(self, n: int) -> NDArray[np.int64]:
        """Return the rows, (row,), as far as they are below `n`."""
        blocks = max(-(-(n - self.start) // self.stride), 0)
        blocks = blocks if self.count is None else min(blocks, self.count)
        rows = self.start + self.stride * np.arange(blocks)[:, None] + np.arange(min(self.block, n))
        flat = rows.ravel()
        return np.asarray(flat[flat < n], np.int64)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a series that one data set of one file holds.

    Parameters
    ----------
    path, dataset
        Where the frames are; the file may not exist yet.
    rows
        Which of the data set.
    place
        Which rows of the series they are; None: the data file says, or they follow those before.
    channel
        Of a data set (frame, channel, y, x).
    """

    path: str
    dataset: str
    rows: Slab = field(default_factory=Slab)
    place: Slab | None = None
    channel: int = 0


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


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What an external link says."""

    filename: str
    name: str


@contextmanager
def opened(path: str) -> Iterator[h5py.File]:
    """Open an HDF5 file to look at, also one that is being written; its errors say what to do.

    Yields
    ------
    File
        Closed after the block.

    Raises
    ------
    UnknownFormat
        It is not HDF5.
    TruncatedFile
        It is cut off.
    OSError, ValueError
        It cannot be read, or is damaged.
    """
    size = regular(path).st_size
    try:
        file = _open(path, size)
        with file:
            yield file
    except (OSError, ValueError):
        raise
    except Exception as error:
        msg = f"damaged or unusual HDF5 file: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ValueError(msg) from error


def _open(path: str, size: int) -> h5py.File:
    try:
        return h5py.File(path, "r", locking=False)  # a lock would stop the detector's writer
    except OSError as error:
        words = " ".join(str(error).split())
    if "signature not found" in words:
        with Path(path).open("rb") as plain:
            head = plain.read(8)
        msg = f"not an HDF5 file: it begins with {head!r}" if head else "not an HDF5 file: it is empty"
        raise UnknownFormat(msg)
    if "truncated" in words or "eof" in words or "addr overflow" in words:
        msg = f"cut off or still being written, {size} bytes are there: copy it again or wait ({words[:160]})"
        raise TruncatedFile(msg)
    try:
        return h5py.File(path, "r", swmr=True, libver="latest", locking=False)
    except OSError:
        msg = f"HDF5 cannot open it: {words[:300]}"
        raise OSError(msg) from None


def regular(path: str) -> os.stat_result:
    """Return the facts of a file; refuse devices, pipes and folders, which a link may lead to.

    Raises
    ------
    OSError
        There is none, or it is not a file.
    """
    facts = os.stat(path)  # noqa: PTH116 - called often
    if not stat.S_ISREG(facts.st_mode):
        msg = f"{path}: expected a regular file, found {'a folder' if stat.S_ISDIR(facts.st_mode) else 'a device or pipe'}"
        raise OSError(msg)
    return facts


def walk_to(file: h5py.File, name: str) -> Any:
    """Return the object of that name, an `Elsewhere` if it is in another file, or None. Opens no other file."""
    here: Any = file
    todo = [part for part in name.split("/") if part]
    for _ in range(MAX_LINKS * 64):
        if not todo:
            return here
        part = todo.pop(0)
        if part == ".":
            continue
        if not isinstance(here, h5py.Group):
            return None
        try:
            link = here.get(part, getlink=True)
        except (KeyError, TypeError, ValueError, RuntimeError):  # none, or of a kind that a plug-in made
            return None
        if isinstance(link, h5py.ExternalLink):
            return Elsewhere(link.filename, "/".join([link.path.rstrip("/"), *todo]))
        if isinstance(link, h5py.SoftLink):
            here = file if link.path.startswith("/") else here
            todo = [one for one in link.path.split("/") if one] + todo
        elif link is None:
            return None
        else:
            here = here[part]
    return None


def beside(master: str, filename: str) -> str:
    """Return the path that an external link means: beside the file that holds it, as HDF5 looks for it."""
    folder = Path(master).parent
    place = Path(filename)
    if place.is_absolute() and not place.exists() and (folder / place.name).exists():
        place = folder / place.name  # the series was moved as a whole
    return str(folder / place)


def fetch(path: str, file: h5py.File, name: str, limit: int) -> NDArray[Any] | None:
    """Return a small data set with at most `limit` elements, or None if there is none that is safe to read."""
    found = walk_to(file, name)
    if isinstance(found, Elsewhere):
        try:
            target = beside(path, found.filename)
            if target == path:
                return None
            with opened(target) as other:
                inner = walk_to(other, found.name)
                return _content(inner, limit)
        except (OSError, ValueError):
            return None
    return _content(found, limit)


def attribute(item: Any, name: str) -> Any:
    """Return an attribute that is one short number or text; None otherwise."""
    try:
        if name not in item.attrs or item.attrs.get_id(name).shape not in {(), (1,)}:
            return None
        value = np.asarray(item.attrs[name]).ravel()[0]
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, IndexError):
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")[:1000]
    return value.item() if isinstance(value, np.generic) else str(value)[:1000]


def _content(item: Any, limit: int) -> NDArray[Any] | None:
    if not isinstance(item, h5py.Dataset) or item.size is None or item.size > limit:
        return None
    if item.is_virtual or item.dtype.itemsize > 65536 or item.id.get_create_plist().get_external_count():
        return None
    try:
        return np.asarray(item[()])
    except (OSError, ValueError, TypeError, RuntimeError):
        return None


def pieces(path: str, dataset: str | None = None, channel: int = 0) -> list[Piece]:
    """Return where the frames of one file are: in itself, in the files that it links to, or that it is made from.

    Parameters
    ----------
    path
        Master or data file.
    dataset
        Name of the data set; None: where detectors put it.
    channel
        Which one of data with channels (frame, channel, y, x).

    Raises
    ------
    UnknownFormat
        There is no such data set; says which there are.
    """
    with opened(path) as file:
        names = [dataset] if dataset else data_names(file)
        if not names:
            found = ", ".join(sorted(map(str, list(file)))[:20]) or "nothing"
            msg = f"no data set of frames (/entry/data/data, /entry/data/data_000001, /data); found {found}. Name one"
            raise UnknownFormat(msg)
        return [piece for name in names for piece in _pieces(file, path, name, channel, 0)][:MAX_PIECES]


def data_names(file: h5py.File) -> list[str]:
    """Return the names of the data sets of frames, by the places where they are usual; else by a search."""
    for group in ("/entry/data", "/entry"):  # the first firmware had the links in /entry
        place = walk_to(file, group)
        if isinstance(place, h5py.Group):
            whole = walk_to(place.file, f"{group}/data")
            if isinstance(whole, (h5py.Dataset, Elsewhere)):
                return [f"{group}/data"]
            names = sorted((str(name) for name in place if _DATA.match(str(name))), key=natural)
            if names:
                return [f"{group}/{name}" for name in names]
    for name in ("/data", "/data/data"):
        if isinstance(walk_to(file, name), h5py.Dataset):
            return [name]
    found = search(file)
    if len(found) > 1:
        shapes = {file[name].shape[1:] for name in found}
        if len(shapes) > 1:
            msg = f"several data sets of frames: {', '.join(found[:10])}; name one of them"
            raise ValueError(msg)
    return found


def search(file: h5py.File) -> list[str]:
    """Return the names of all data sets of frames that the file itself holds, in natural order."""
    found: dict[int, str] = {}
    seen: set[int] = set()

    def look(group: h5py.Group, depth: int) -> None:
        for name in sorted(map(str, group), key=natural):
            if len(seen) >= MAX_OBJECTS:
                return
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(item, h5py.Dataset) and item.ndim in {3, 4} and item.dtype.kind in "iu":
                found[address] = str(item.name)
            elif isinstance(item, h5py.Group) and depth < MAX_DEPTH:
                look(item, depth + 1)

    look(file["/"], 0)
    return sorted(found.values(), key=natural)


def _pieces(file: h5py.File, path: str, name: str, channel: int, depth: int) -> list[Piece]:
    found = walk_to(file, name)
    if isinstance(found, Elsewhere):
        target = beside(path, found.filename)
        if _DATA.match(name.rsplit("/", 1)[-1]) or depth >= MAX_LINKS or not Path(target).exists():
            return [Piece(target, found.name, channel=channel)]
        with opened(target) as other:
            return _pieces(other, target, found.name, channel, depth + 1)
    if not isinstance(found, h5py.Dataset):
        known = ", ".join(search(file)[:10]) or "none"
        msg = f"no data set {name!r}; data sets of frames in the file: {known}"
        raise UnknownFormat(msg)
    if not found.is_virtual:
        return [Piece(path, str(found.name), channel=channel)]
    return _virtual(found, path, channel, depth)


def _virtual(dataset: h5py.Dataset, path: str, channel: int, depth: int) -> list[Piece]:
    """Resolve a virtual data set: its type says nothing, and a missing source would read as zeros."""
    result: list[Piece] = []
    sources = dataset.virtual_sources()
    if len(sources) > MAX_PIECES or depth >= MAX_LINKS:
        msg = f"virtual data set {dataset.name}: {len(sources)} sources, {depth} deep; that is not a series"
        raise ValueError(msg)
    for source in sources:
        place, low, high = _slab(source.vspace, dataset.shape)
        rows, source_low, _ = _slab(source.src_space, None)
        picked = 0
        if dataset.ndim == 4:
            if not low[0] <= channel < high[0]:
                continue
            picked = channel - low[0] + (source_low[0] if len(source_low) == 3 else 0)
        if tuple(low[-2:]) != (0, 0) or tuple(high[-2:]) != dataset.shape[-2:]:
            msg = f"virtual data set {dataset.name}: frames are put together from several pieces, which is not read"
            raise ValueError(msg)
        inner = Piece(beside(path, source.file_name), source.dset_name, rows, place, picked)
        if source.file_name == "." or inner.path == path:
            for one in _pieces(dataset.file, path, source.dset_name, picked, depth + 1):
                if one.place is not None:
                    result.append(one)  # a view of a view: taken as it is
                else:
                    result.append(Piece(one.path, one.dataset, rows, place, picked))
        else:
            result.append(inner)
    if not result:
        msg = f"virtual data set {dataset.name} has no sources for channel {channel}"
        raise UnknownFormat(msg)
    return sorted(result, key=lambda piece: piece.place.start if piece.place else 0)


def _slab(space: Any, shape: tuple[int, ...] | None) -> tuple[Slab, tuple[int, ...], tuple[int, ...]]:
    """Return the rows that a selection takes, and its bounds in the other dimensions (low, high)."""
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        other = tuple(shape[1:]) if shape else ()
        return Slab(), (0,) * len(other), other
    if not space.is_regular_hyperslab():
        msg = "a virtual data set with an irregular selection, which is not read"
        raise ValueError(msg)
    start, stride, count, block = (tuple(map(int, one)) for one in space.get_regular_hyperslab())
    endless = count[0] >= 1 << 62
    if count[0] > 1 and block[0] > stride[0]:
        msg = "a virtual data set whose blocks overlap, which is not read"
        raise ValueError(msg)
    low = start[1:]
    high = tuple(
        begin + step * (n - 1) + size
        for begin, step, n, size in zip(start[1:], stride[1:], count[1:], block[1:], strict=True)
    )
    first = min(block[0], MAX_FRAMES)
    return Slab(start[0], max(stride[0], 1), None if endless else count[0], first), low, high


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
        while len(_tables) > 1024:
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
