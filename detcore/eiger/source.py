"""Eiger series as a source: chunks are the stored bytes of frames, read without HDF5 wherever that is possible."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import h5py
import numpy as np
import xarray as xr
from typing_extensions import override

from detcore.core.hdf5 import opened, walk_to
from detcore.core.paths import regular
from detcore.core.schema import FRAME, SAMPLE_DIMENSION
from detcore.core.source import ChunkRef, FileSource, Match, Problem, UnknownFormat, walk
from detcore.eiger.frametable import DECODED, NAMES, table_of
from detcore.eiger.layout import Piece, data_names, search
from detcore.eiger.metadata import read_metadata, read_times
from detcore.eiger.parts import Part, Series, layout_of, look
from detcore.eiger.payload import Where, decoded, stored

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

PAYLOAD, BYTE = "payload", "byte"  # the dimension has another name than its variable, which would else be an index
SUFFIXES = (".h5", ".nxs", ".hdf5", ".hdf", ".cxi")
TARGET_BYTES = 24 << 20  # stored, in one chunk
LARGEST_TARGET = 32 << 20
TARGET_PIXEL_BYTES = 192 << 20  # of the frames when decoded; nearly empty frames are small, yet take their time
BACKLOG = 256 << 20  # bytes
_MASTER = re.compile(r"(_master\.h5|\.nxs)$")


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
    _looked: Series | None = field(default=None, compare=False, repr=False)

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
        found = [piece.path for piece in self._pieces() if Path(piece.path).exists()]
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

    def _schema(self, part: Part) -> xr.Dataset:
        values, mask = self._described()
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

    def _pieces(self) -> Iterator[Piece]:
        for path in self._inputs():
            try:
                yield from layout_of(path, self.dataset, self.channel)
            except Exception:  # noqa: BLE001 - the plan says what is wrong with it
                yield Piece(path, self.dataset or "")

    def _described(self) -> tuple[dict[str, Any], NDArray[np.uint32] | None]:
        path = self._inputs()[0]
        try:
            facts = regular(path)
        except OSError:
            return read_metadata(path, self.channel)
        values, mask = _described(path, self.channel, facts.st_ino, facts.st_size, facts.st_mtime_ns)
        return dict(values), mask

    def _times(self) -> NDArray[np.float64] | None:
        inputs = self._inputs()
        if len(inputs) != 1:
            return None
        try:
            facts = regular(inputs[0])
        except OSError:
            return None
        return _timed(inputs[0], facts.st_ino, facts.st_size, facts.st_mtime_ns)

    def _series(self) -> Series:
        return self._looked or look(self._inputs(), self.dataset, self.channel)

    def _selected(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        first, last, step = self.frames or (1, 0, 1)
        first = max(first, 1)
        chosen = (numbers >= first) & ((numbers - first) % step == 0) & ((numbers - first) // step % self.every == 0)
        return np.asarray(chosen & (numbers <= last) if last else chosen, np.bool_)

    @override
    def plan(self, target_bytes: int | None = None) -> Iterator[ChunkRef | Problem | None]:
        series = self._series()
        for path in self.paths:
            if Path(path).is_dir() and not walk(path, SUFFIXES):
                yield Problem(path, f"expected {' or '.join(SUFFIXES)} files in this folder, found none", 0)
        yield from series.problems
        yield from self._remarks(series)
        for part in series.parts:
            yield from self._refs(part, 0, target_bytes, series.parts[0])

    def _remarks(self, series: Series) -> Iterator[Problem]:
        if not series.parts:
            return
        last = max((int(part.numbers[-1]) for part in series.parts if len(part.numbers)), default=0)
        if last and self.frames and self.frames[0] > last:
            yield Problem(self.key, f"frames from {self.frames[0]} on were asked for; the last one is {last}", 0)
        if not last:
            yield Problem(self.key, "the series has no frames", 0)
        inputs = self._inputs()
        _, mask = self._described()
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

    def _refs(self, part: Part, start: int, target: int | None, model: Part) -> Iterator[ChunkRef]:
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
            end = int(positions[high - 1] if high < len(stored) else part.positions[-1]) + 1
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
        try:
            return self.measure(path, regular(path)) >= 0
        except OSError:
            return False

    @override
    def measure(self, path: str, facts: os.stat_result) -> int:
        """Return how many frames of a file can be read: a file that grows in place may keep its size."""
        count = -2  # less than a file without frames, so that one that becomes readable has grown
        for piece in dict.fromkeys(one for one in self._pieces() if one.path == path):
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
            payload = decoded(ref.part, where)
        else:
            payload = stored(ref.part, where)
        return self._chunk(where, ref.part, payload, timed=bool(where.times), bare=PAYLOAD not in columns)

    @override
    def pieces(self, ref: ChunkRef) -> list[ChunkRef]:
        where: Any = ref.where
        frames, times = where.table(), where.times
        if len(frames) < 2:
            return []
        ones = ((line.tobytes(), times[8 * number : 8 * number + 8]) for number, line in enumerate(frames))
        return [replace(ref, where=replace(where, frames=frame, times=time)) for frame, time in ones]

    def _chunk(
        self, where: Where, path: str, payload: NDArray[np.uint8], *, timed: bool, bare: bool = False
    ) -> xr.Dataset:
        lines = where.table()
        data: dict[str, Any] = {
            "frame_number": (FRAME, lines[:, 0].copy()),
            "payload_size": (FRAME, lines[:, 3].copy(), {SAMPLE_DIMENSION: BYTE}),
        }
        if not bare:
            data[PAYLOAD] = (BYTE, payload)
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
                return decoded(part.table.path, where).view(where.dtype).reshape(where.shape)
        msg = f"frame {number} is not in the series; it has {self.n_frames()} frames, numbered from 1"
        raise KeyError(msg)


@lru_cache(maxsize=4)
def _described(path: str, channel: int, *state: int) -> tuple[dict[str, Any], NDArray[np.uint32] | None]:
    del state
    values, mask = read_metadata(path, channel)
    if mask is not None:
        mask.setflags(write=False)  # shared by all who ask
    return values, mask


@lru_cache(maxsize=4)
def _timed(path: str, *state: int) -> NDArray[np.float64] | None:
    del state
    return read_times(path)


def _where(part: Part, lines: NDArray[np.int64], code: int, times: NDArray[np.float64] | None = None) -> Where:
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
