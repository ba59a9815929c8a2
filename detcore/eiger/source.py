"""Eiger series as a source: chunks are the stored bytes of frames, read without HDF5 wherever that is possible."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import h5py
import numpy as np
import xarray as xr
from typing_extensions import override

from detcore.core.handles import lease
from detcore.core.schema import FRAME, SAMPLE_DIMENSION
from detcore.core.source import ChunkRef, FileSource, Match, Problem, TruncatedFile, UnknownFormat, walk
from detcore.eiger.frametable import (
    DECODED,
    NAMES,
    FrameTable,
    Piece,
    data_names,
    opened,
    pieces,
    regular,
    search,
    table_of,
    walk_to,
)
from detcore.eiger.metadata import read_metadata, read_times

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

PAYLOAD = "payload"
SUFFIXES = (".h5", ".nxs", ".hdf5", ".hdf", ".cxi")
TARGET_BYTES = 8 << 20  # stored, in one chunk
LARGEST_TARGET = 32 << 20
TARGET_PIXEL_BYTES = 192 << 20  # of the frames when decoded; nearly empty frames are small, yet take their time
BACKLOG = 256 << 20  # bytes
_MASTER = re.compile(r"(_master\.h5|\.nxs)$")


@dataclass(frozen=True, slots=True)
class Where:
    """What `read` needs to find frames again: data set, encoding, and (number, row, offset, size) of each frame."""

    dataset: str
    encoding: str
    decoded: bool
    dtype: str
    shape: tuple[int, int]
    channel: int
    inode: int
    frames: bytes
    times: bytes = b""

    def table(self) -> NDArray[np.int64]:
        """Return (frame, 4) int64."""
        return np.frombuffer(self.frames, np.int64).reshape(-1, 4)


@dataclass(frozen=True, eq=False, slots=True)
class _Part:
    """A piece of the series whose file is there: what is stored, and where it belongs."""

    piece: Piece
    table: FrameTable
    positions: NDArray[np.int64]
    """(frame,) place of each stored frame in the file, over all its pieces."""
    numbers: NDArray[np.int64]
    """(frame,) 1-based number in the series."""
    stored: NDArray[np.int64]
    """(frame,) its line in the table."""
    lost: tuple[tuple[int, int], ...]
    """Numbers (first, last) of frames that have room in the file, and no data."""

    @property
    def native(self) -> str:
        """The type of a frame's values as a chunk gives them."""
        return _unsigned(self.table.dtype)


@dataclass(frozen=True)
class _Series:
    """The parts of a series that are there, and what is wrong with the others."""

    parts: tuple[_Part, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class FrameFiles(FileSource):
    """Frames of one series, or of several one after the other.

    Parameters
    ----------
    paths
        Master files, data files, or folders to be walked for them.
    frames
        (first, last, step) of the numbers to be read, 1-based and inclusive; last 0 is the end. None: all.
    dataset
        Name of the data set of frames in the file; None: where detectors put it.
    channel
        Of data with several thresholds (frame, channel, y, x), from 0.
    backlog
        Bytes. A live feed with more than that unread at one look takes only every k-th frame of it. 0: never.
    """

    paths: tuple[str, ...]
    frames: tuple[int, int, int] | None = None
    dataset: str | None = None
    channel: int = 0
    backlog: int = BACKLOG
    every: int = 1
    _looked: _Series | None = field(default=None, compare=False, repr=False)

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    def __post_init__(self) -> None:
        first, last, step = self.frames or (1, 0, 1)
        if first < 0 or last < 0 or step < 1 or (last and last < first):
            msg = f"frames {first}:{last}:{step}: expected 1 <= first <= last (0: the end) and a step of at least 1"
            raise ValueError(msg)
        if self.channel < 0 or self.backlog < 0 or self.every < 1:
            msg = f"channel {self.channel} and backlog {self.backlog}: expected no negative number"
            raise ValueError(msg)

    @override
    def files(self) -> list[str]:
        found = [piece.path for path in self._inputs() for piece in self._pieces(path) if Path(piece.path).exists()]
        return list(dict.fromkeys(found))

    @override
    def schema(self) -> xr.Dataset:
        series = self._series()
        if not series.parts:
            reasons = "; ".join(str(one) for one in series.problems[:5]) or "no file was found"
            msg = f"no frames can be read in {', '.join(self.paths)}: {reasons}"
            raise UnknownFormat(msg)
        return self._schema(series.parts[0])

    @override
    def schema_of(self, path: str) -> xr.Dataset:
        parts = [part for part in self._series().parts if part.table.path == path]
        if not parts:
            msg = f"{path}: no frames of this series in it"
            raise UnknownFormat(msg)
        return self._schema(parts[0])

    def _schema(self, part: _Part) -> xr.Dataset:
        values, mask = read_metadata(self._inputs()[0], self.channel)
        if mask is not None and mask.shape != part.table.shape:
            mask = None
        where = _where(part, np.zeros((0, 4), np.int64), int(part.table.codes[0]) if len(part.table.codes) else DECODED)
        empty = self._chunk(where, part.table.path, np.zeros(0, np.uint8), timed=self._times() is not None)
        return empty.assign_attrs(pixel_mask=mask, metadata=values)

    def _inputs(self) -> list[str]:
        """Return the files that were named, or found in folders; of a folder with masters only those."""
        found: list[str] = []
        for path in self.paths:
            if Path(path).is_dir():
                inside = walk(path, SUFFIXES)
                found += [one for one in inside if _MASTER.search(one)] or inside
            else:
                found.append(path)
        return list(dict.fromkeys(found))

    def _pieces(self, path: str) -> list[Piece]:
        try:
            facts = regular(path)
            return list(_layout(path, self.dataset, self.channel, facts.st_ino, facts.st_size, facts.st_mtime_ns))
        except (OSError, ValueError):
            return [Piece(path, self.dataset or "")]

    def _times(self) -> NDArray[np.float64] | None:
        inputs = self._inputs()
        if len(inputs) != 1:
            return None
        try:
            facts = regular(inputs[0])
        except OSError:
            return None
        return _timed(inputs[0], facts.st_ino, facts.st_size, facts.st_mtime_ns)

    def _series(self) -> _Series:
        """Open what is there, and number its frames."""
        if self._looked is not None:
            return self._looked
        parts: list[_Part] = []
        problems: list[Problem] = []
        before: dict[str, int] = {}  # rows of earlier pieces of the same file
        begin = 0  # frames of earlier inputs
        for path in self._inputs():
            number, longest = begin, 0
            for piece in self._layout_of(path, problems):
                try:
                    table = table_of(piece.path, piece.dataset, piece.channel)
                except FileNotFoundError:
                    problems.append(_pending(piece, path))
                    number += longest
                    continue
                except Exception as error:  # noqa: BLE001 - any failure of a reader library is one line of the ledger
                    problems.append(Problem.of(piece.path, error))
                    number += longest
                    continue
                if parts and (table.shape != parts[0].table.shape or _unsigned(table.dtype) != parts[0].native):
                    problems.append(_unlike(table, parts[0].table))
                    continue
                part = _numbered(piece, table, number, begin, before.get(piece.path, 0))
                before[piece.path] = before.get(piece.path, 0) + table.length
                number = max(number, part.numbers[-1] if len(part.numbers) else 0)
                longest = max(longest, table.length)
                parts.append(part)
                problems += _lost(part)
            begin = max(number, begin)
        return _Series(tuple(parts), tuple(problems))

    def _layout_of(self, path: str, problems: list[Problem]) -> tuple[Piece, ...]:
        try:
            facts = regular(path)
            return _layout(path, self.dataset, self.channel, facts.st_ino, facts.st_size, facts.st_mtime_ns)
        except Exception as error:  # noqa: BLE001 - any failure of a reader library is one line of the ledger
            problems.append(Problem.of(path, error))
            return ()

    def _selected(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        first, last, step = self.frames or (1, 0, 1)
        first = max(first, 1)
        chosen = (numbers >= first) & ((numbers - first) % step == 0) & ((numbers - first) // step % self.every == 0)
        return np.asarray(chosen & (numbers <= last) if last else chosen, np.bool_)

    @override
    def plan(self, target_bytes: int | None = None) -> Iterator[ChunkRef | Problem | None]:
        series = self._series()
        yield from series.problems
        yield from self._remarks(series)
        for part in series.parts:
            yield from self._refs(part, 0, target_bytes, series.parts[0])

    def _remarks(self, series: _Series) -> Iterator[Problem]:
        if not series.parts:
            return
        last = max((int(part.numbers[-1]) for part in series.parts if len(part.numbers)), default=0)
        if last and self.frames and self.frames[0] > last:
            yield Problem(self.key, f"frames from {self.frames[0]} on were asked for; the last one is {last}", 0)
        if not last:
            yield Problem(self.key, "the series has no frames", 0)
        inputs = self._inputs()
        _, mask = read_metadata(inputs[0], self.channel)
        shape = series.parts[0].table.shape
        if mask is not None and mask.shape != shape:
            yield Problem(
                inputs[0], f"the pixel mask has shape {mask.shape}, the frames have {shape}; it is not used", 0
            )

    @override
    def plan_file(self, path: str, start: int = 0, target_bytes: int | None = None) -> Iterator[ChunkRef | Problem]:
        series = self._series()
        for part in series.parts:
            if part.table.path == path:
                yield from self._refs(part, start, target_bytes, series.parts[0])
        if all(part.table.path != path for part in series.parts):
            yield from (one for one in series.problems if one.part == path)

    def _refs(self, part: _Part, start: int, target: int | None, model: _Part) -> Iterator[ChunkRef]:
        keep = (part.positions >= start) & self._selected(part.numbers)
        stored, positions = part.stored[keep], part.positions[keep]
        if not len(stored):
            return
        table, times = part.table, self._times()
        sizes, codes = table.sizes[stored], table.codes[stored]
        lines = np.stack([part.numbers[keep], table.rows[stored], table.offsets[stored], sizes], axis=1)
        ny, nx = model.table.shape
        modified = os.stat(table.path).st_mtime  # noqa: PTH116
        deepest = max(TARGET_PIXEL_BYTES // (ny * nx * np.dtype(part.native).itemsize), 1)
        begin = start
        for low, high in _cuts(sizes, codes, min(target or TARGET_BYTES, LARGEST_TARGET), deepest):
            where = _where(part, lines[low:high], int(codes[low]), times)
            end = int(positions[high - 1]) + 1
            weight = float(sizes[low:high].sum())
            yield ChunkRef(self.key, table.path, begin, end, table.fingerprint, weight, modified, where)
            begin = end

    @override
    def size(self) -> float | None:
        return float(
            sum(part.table.sizes[part.stored[self._selected(part.numbers)]].sum() for part in self._series().parts)
        )

    @override
    def whole(self, path: str) -> bool:
        return any(part.table.path == path for part in self._series().parts)

    @override
    def measure(self, path: str, facts: os.stat_result) -> int:
        """Return how many frames of a file can be read: a file that grows in place may keep its size."""
        count = -2  # less than a file without frames, so that one that becomes readable has grown
        for piece in dict.fromkeys(one for top in self._inputs() for one in self._pieces(top) if one.path == path):
            with suppress(Exception):  # the plan says what is wrong with it
                table = table_of(piece.path, piece.dataset, piece.channel)
                count = max(count, 0) + (int(table.rows[-1]) + 1 if len(table.rows) else 0)
        return count

    @override
    def catch_up(self, unread: Mapping[str, int]) -> FrameFiles:
        """Return the source of one look of a live feed: every k-th frame if too much has gathered."""
        looked = replace(self, _looked=None)._series()  # noqa: SLF001
        waiting = 0
        for part in looked.parts:
            if part.table.path in unread:
                fresh = part.stored[part.positions >= unread[part.table.path]]
                waiting += int(part.table.sizes[fresh].sum())
        every = -(-waiting // self.backlog) if self.backlog else 1
        return replace(self, every=max(every, 1), _looked=looked)

    @override
    def read(self, ref: ChunkRef, columns: frozenset[str]) -> xr.Dataset:
        where: Any = ref.where
        if PAYLOAD not in columns:
            payload = np.zeros(0, np.uint8)
        elif where.decoded:
            payload = _decoded(ref.part, where)
        else:
            payload = _stored(ref.part, where)
        return self._chunk(where, ref.part, payload, timed=bool(where.times), bare=PAYLOAD not in columns)

    def _chunk(
        self, where: Where, path: str, payload: NDArray[np.uint8], *, timed: bool, bare: bool = False
    ) -> xr.Dataset:
        lines = where.table()
        data: dict[str, Any] = {
            "frame_number": (FRAME, lines[:, 0].copy()),
            "payload_size": (FRAME, lines[:, 3].copy(), {SAMPLE_DIMENSION: PAYLOAD}),
        }
        if not bare:
            data[PAYLOAD] = (PAYLOAD, payload)
        if timed:
            data["start_time"] = (FRAME, np.frombuffer(where.times, np.float64).copy(), {"units": "s"})
        return xr.Dataset(
            data, attrs={"file": path, "encoding": where.encoding, "dtype": where.dtype, "shape": where.shape}
        )

    def n_frames(self) -> int:
        """Return how many frames are there and asked for."""
        return int(sum(self._selected(part.numbers).sum() for part in self._series().parts))

    def frame(self, number: int) -> NDArray[Any]:
        """Return one frame, decoded.

        Parameters
        ----------
        number
            In the series, 1-based.

        Returns
        -------
        ndarray
            (y, x) counts, unsigned.

        Raises
        ------
        KeyError
            There is no such frame.
        """
        for part in self._series().parts:
            at = np.flatnonzero(part.numbers == number)
            if len(at):
                line = part.table.rows[part.stored[at[0]]]
                lines = np.array([[number, line, 0, 0]], np.int64)
                where = _where(part, lines, DECODED)
                return _decoded(part.table.path, where).view(where.dtype).reshape(where.shape)
        msg = f"frame {number} is not in the series; it has {self.n_frames()} frames, numbered from 1"
        raise KeyError(msg)


@lru_cache(maxsize=256)
def _layout(path: str, dataset: str | None, channel: int, *state: int) -> tuple[Piece, ...]:
    """Return the pieces of a file; remembered until the file changes."""
    del state
    return tuple(pieces(path, dataset, channel))


@lru_cache(maxsize=4)
def _timed(path: str, *state: int) -> NDArray[np.float64] | None:
    del state
    return read_times(path)


def _unsigned(dtype: np.dtype[Any]) -> str:
    """Return the type in which a chunk gives the values: negative ones and those without value are all ones."""
    return np.dtype(f"u{min(dtype.itemsize, 4)}").name


def _where(part: _Part, lines: NDArray[np.int64], code: int, times: NDArray[np.float64] | None = None) -> Where:
    table = part.table
    stamps = b""
    if times is not None and len(lines):
        inside = lines[:, 0] <= len(times)
        stamps = np.where(inside, times[np.minimum(lines[:, 0], len(times)) - 1], np.nan).tobytes()
    if code == DECODED:
        lines = lines.copy()
        lines[:, 3] = table.shape[0] * table.shape[1] * np.dtype(part.native).itemsize
    return Where(
        table.dataset, NAMES[code], code == DECODED, part.native, table.shape, table.channel, table.inode,
        np.ascontiguousarray(lines).tobytes(), stamps,
    )  # fmt: skip


def _numbered(piece: Piece, table: FrameTable, number: int, begin: int, before: int) -> _Part:
    """Give the stored frames of a piece their numbers: the series' own, the file's, or the next ones."""
    rows = piece.rows.rows(table.length)
    if piece.place is not None:
        places = piece.place.rows(max(table.length, 1) + (piece.place.start + len(rows)) * piece.place.stride)
        rows = rows[: len(places)]
        numbers = begin + 1 + places[: len(rows)]
    else:
        first = table.first if table.first > number else number + 1
        numbers = first + np.arange(len(rows))
    at = np.searchsorted(table.rows, rows)
    there = at < len(table.rows)
    there[there] = table.rows[at[there]] == rows[there]
    return _Part(piece, table, before + np.flatnonzero(there), numbers[there], at[there], _runs(numbers[~there]))


def _runs(numbers: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    """Return the first and last number of each run of consecutive numbers."""
    cuts = np.flatnonzero(np.diff(numbers) != 1) + 1
    return tuple((int(run[0]), int(run[-1])) for run in np.split(numbers, cuts) if len(run))


def _lost(part: _Part) -> list[Problem]:
    if not part.lost:
        return []
    n = sum(last - first + 1 for first, last in part.lost)
    shown = ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in part.lost[:5])
    more = " and others" if len(part.lost) > 5 else ""
    why = (
        f"{part.table.beyond} of them lie beyond the end of the file, which is cut off; copy it again"
        if part.table.beyond
        else "they were never written"
    )
    return [Problem(part.table.path, f"no data for {n} frames ({shown}{more}): {why}", 0)]


def _pending(piece: Piece, master: str) -> Problem:
    if not piece.dataset and piece.path == master:
        return Problem(piece.path, "no such file")
    return Problem(piece.path, f"pending: {Path(master).name} links to this file, which has not come", 0)


def _unlike(table: FrameTable, model: FrameTable) -> Problem:
    return Problem(
        table.path,
        f"expected frames of {model.dtype} {model.shape} as in {Path(model.path).name}, "
        f"found {table.dtype} {table.shape}; open it on its own",
    )


def _cuts(sizes: NDArray[np.int64], codes: NDArray[np.uint8], target: int, deepest: int) -> Iterator[tuple[int, int]]:
    """Yield where to cut: at the target, at a change of the encoding, and after so many frames."""
    ends = np.cumsum(sizes)
    changes = [*(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    low = 0
    for change in changes:
        while low < change:
            done = ends[low] - sizes[low]
            high = int(np.searchsorted(ends, done + target, side="right"))
            high = min(max(high, low + 1), low + deepest, change)
            yield low, high
            low = high


class _Descriptor:
    """An open file without a library around it."""

    def __init__(self, path: str) -> None:
        # without blocking: a pipe in the place of the file must not stop a worker
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        self.number = os.open(path, flags)
        self.facts = os.fstat(self.number)
        if not stat.S_ISREG(self.facts.st_mode):
            os.close(self.number)
            msg = f"{path}: expected a regular file"
            raise OSError(msg)

    def close(self) -> None:
        os.close(self.number)


def _stored(path: str, where: Where) -> NDArray[np.uint8]:
    """Return the stored bytes of frames, one after the other; what is side by side in the file is read at once."""
    lines = where.table()
    offsets, sizes = lines[:, 2], lines[:, 3]
    payload = np.empty(int(sizes.sum()), np.uint8)
    cuts = np.flatnonzero(offsets[1:] != offsets[:-1] + sizes[:-1]) + 1
    with lease(_Descriptor, path) as file:
        if file.facts.st_ino != where.inode:
            msg = "was replaced by another file while it was read; read it again"
            raise ValueError(msg)
        view, at = memoryview(payload.data), 0
        for run in np.split(np.arange(len(lines)), cuts):
            size = int(sizes[run].sum())
            _fill(file.number, view[at : at + size], int(offsets[run[0]]), int(lines[run[0], 0]))
            at += size
    return payload


def _fill(descriptor: int, view: memoryview, offset: int, number: int) -> None:
    done = 0
    while done < len(view):
        n = os.preadv(descriptor, [view[done:]], offset + done)
        if not n:
            msg = (
                f"frame {number} and after: expected {len(view)} bytes at {offset}, found {done}; "
                "the file is cut off, copy it again"
            )
            raise TruncatedFile(msg)
        done += n


def _decoded(path: str, where: Where) -> NDArray[np.uint8]:
    """Return frames as HDF5 decodes them, little-endian and unsigned."""
    lines = where.table()
    result = np.empty((len(lines), *where.shape), np.dtype(where.dtype).newbyteorder("<"))
    with opened(path) as file:
        item = walk_to(file, where.dataset)
        if not isinstance(item, h5py.Dataset) or item.is_virtual or tuple(item.shape[-2:]) != where.shape:
            msg = f"data set {where.dataset} is not what it was when the series was opened; read it again"
            raise ValueError(msg)
        for frame, (number, row, _, _) in zip(result, lines, strict=True):
            try:
                values = item[row] if item.ndim == 3 else item[row, where.channel]
            except (OSError, RuntimeError) as error:
                msg = f"frame {number} cannot be decoded: {' '.join(str(error).split())[:200]}"
                raise ValueError(msg) from error
            frame[...] = _counts(values, np.dtype(where.dtype), int(number))
    return result.reshape(-1).view(np.uint8)


def _counts(values: NDArray[Any], dtype: np.dtype[Any], number: int) -> NDArray[Any]:
    """Return values as unsigned ones of at most 32 bits; negative ones mean that there is no value: all ones."""
    if values.dtype.kind == "u" and values.dtype.itemsize == dtype.itemsize:
        return values
    none = np.iinfo(dtype).max
    empty = (values < 0) | (values == np.iinfo(values.dtype).max)
    if values.dtype.itemsize > dtype.itemsize and ((values >= none) & ~empty).any():
        msg = f"frame {number} holds values above {none - 1}, found {values[~empty].max()}; they do not fit {dtype}"
        raise ValueError(msg)
    return np.asarray(np.where(empty, none, values).astype(dtype))


def probe(path: str) -> Match:
    """Say whether a file, or the first file of a folder, holds frames."""
    if Path(path).is_dir():
        inside = walk(path, SUFFIXES)
        found = [one for one in inside if _MASTER.search(one)] or inside
        if not found:
            return Match("no", f"the folder has no {' or '.join(SUFFIXES)} file")
        answers = [Match("no", f"cannot list {one}") if Path(one).is_dir() else probe(one) for one in found[:3]]
        return next((answer for answer in answers if answer.degree != "no"), answers[0])
    try:
        with opened(path) as file:
            return _judge(file)
    except (OSError, ValueError) as error:
        return Match("no", " ".join(str(error).split())[:300])


def _judge(file: h5py.File) -> Match:
    names = data_names(file)
    if not names:
        return Match("no", "no three-dimensional data set of whole numbers")
    item: Any = walk_to(file, names[0])
    if isinstance(item, h5py.Dataset) and (item.ndim not in {3, 4} or item.dtype.kind not in "iu"):
        if search(file):
            return Match("generic", "it has data sets of frames; name one with dataset=")
        return Match("no", f"{names[0]} holds {item.dtype} of shape {item.shape}; expected frames of whole numbers")
    detector = walk_to(file, "/entry/instrument/detector")
    if names[0].startswith("/entry/data") and (detector is not None or not isinstance(item, h5py.Dataset)):
        return Match("exact", "a master file with frames in /entry/data")
    if isinstance(item, h5py.Dataset) and "image_nr_low" in item.attrs:
        return Match("exact", "a data file of an Eiger series")
    return Match("generic", f"a data set of frames, {names[0]}")
