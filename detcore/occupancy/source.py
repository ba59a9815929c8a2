"""Spill files: the only place that opens ROOT files for reduction.

Two layouts are read. ``save``: the experiment's raw events (SRawEvent of E1039), hits under ``fAllHits``; ``tree``:
derived files with plain ``detectorID`` and ``elementID`` columns, jagged or of fixed length.
"""

from __future__ import annotations

import itertools
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import uproot
import xarray as xr
from typing_extensions import override

from detcore.core.handles import lease
from detcore.core.schema import EVENT, SAMPLE_DIMENSION, MissingColumn
from detcore.core.source import ChunkRef, FileSource, Match, TruncatedFile, UnknownFormat, walk
from detcore.occupancy.baskets import Column
from detcore.occupancy.detectors import MAX_DETECTOR, DetectorTable
from detcore.occupancy.kernels import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

HIT, DROPPED = "hit", "dropped"
SUFFIXES = (".root",)
TARGET_BYTES = 3 << 20  # of raw ids in one chunk: about 15 ms of work
IN_TIME = 2  # bit of a hit's flag (SRawEvent.h: bit 1)

# column -> names in the two layouts, the first that exists is taken
_HITS = {
    "detector_id": ("fAllHits.detectorID", "detectorID"),
    "element_id": ("fAllHits.elementID", "elementID"),
    "tdc_time": ("fAllHits.tdcTime", "tdcTime", "tdcTimes"),
    "drift_distance": ("fAllHits.driftDistance", "driftDistance", "driftDistances"),
    "flag": ("fAllHits.flag", "hitsInTime"),
}
_EVENTS = {
    "run_id": ("fRunID", "runID"),
    "spill_id": ("fSpillID", "spillID"),
    "event_id": ("fEventID", "eventID"),
    "trigger_bits": ("fTriggerBits", "triggerBits"),
}
_SPLIT_TRIGGERS = {"fpga": ("fpgaTrigger", "fpgaTriggers"), "nim": ("nimTrigger", "nimTriggers")}  # five each
EVENT_COLUMNS = tuple(_EVENTS)
_DTYPES = {"tdc_time": np.float32, "drift_distance": np.float32, "flag": np.uint16}


@dataclass
class _SpillFile:
    """An open file: its descriptor and where its columns are."""

    path: str
    descriptor: int
    entries: int
    fingerprint: str
    modified: float
    size: int
    tree: str
    columns: dict[str, Column | str] = field(default_factory=dict)

    def close(self) -> None:
        os.close(self.descriptor)


@dataclass(frozen=True)
class SpillFiles(FileSource):
    """Hits of one or several spill files.

    Parameters
    ----------
    paths
        Files, or folders to be walked.
    table
        Which detectors and elements there are.
    """

    paths: tuple[str, ...]
    table: DetectorTable = field(default_factory=DetectorTable.default)
    max_files: int | None = None

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    @override
    def files(self) -> list[str]:
        return super().files()[: self.max_files]

    @override
    def schema_of(self, path: str) -> xr.Dataset:
        with lease(_open, path) as file:
            names = set(file.columns)
        channel = {"channel"} if {"detector_id", "element_id"} <= names else set()
        scalars = {name: np.zeros(0, np.int32) for name in sorted(names & set(_EVENTS))}
        return self._chunk(path, frozenset(names & set(_HITS)) | channel, np.zeros(0, np.int64), scalars, {})

    def labelled(self, dtype: Any) -> xr.Dataset:
        """Return a chunk of no events with every column, whose ids had the given type in the file."""
        everything = frozenset({"channel", *_DTYPES, *_EVENTS})
        empty = np.zeros(0, dtype)
        scalars = {name: np.zeros(0, np.int32) for name in _EVENTS}
        return self._chunk("", everything, np.zeros(0, np.int64), scalars, {"ids": (empty, empty)})

    @override
    def plan_file(self, path: str, start: int = 0, target_bytes: int | None = None) -> Iterator[ChunkRef]:
        with lease(_open, path) as file:
            edges = _cuts(file, start, target_bytes or TARGET_BYTES)
            name, fingerprint, weight = path, file.fingerprint, file.size / max(file.entries, 1)
            modified = file.modified
        for low, high in itertools.pairwise(edges):
            yield ChunkRef(self.key, name, low, high, fingerprint, weight * (high - low), modified)

    @override
    def whole(self, path: str) -> bool:
        try:
            with lease(_open, path):
                return True
        except (OSError, ValueError):
            return False

    @override
    def read(self, ref: ChunkRef, columns: frozenset[str]) -> xr.Dataset:
        with lease(_open, ref.part) as file:
            if ref.fingerprint and ref.fingerprint.partition(":")[0] != file.fingerprint.partition(":")[0]:
                msg = "was replaced by another file while it was read; read it again"
                raise ValueError(msg)
            entries = ref.stop - ref.start
            per_event = {
                name: _scalar(file, name, ref.start, ref.stop)
                for name in sorted(columns & set(_EVENTS))
                if name in file.columns
            }
            if not columns & {"channel", "n_hits", *_HITS}:
                return self._chunk(ref.part, columns, np.zeros(entries, np.int64), per_event, {}, ref.start)
            detector, counts = _items(file, "detector_id", ref.start, ref.stop)
            element, others = _items(file, "element_id", ref.start, ref.stop)
            _same_length("element_id", counts, others, ref.start)
            per_hit = {}
            for name in sorted(columns & {"tdc_time", "drift_distance", "flag"}):
                if name in file.columns:
                    values, others = _items(file, name, ref.start, ref.stop)
                    _same_length(name, counts, others, ref.start)
                    values = values * IN_TIME if values.dtype == bool else values
                    per_hit[name] = values.astype(_DTYPES[name], copy=False)
        return self._chunk(ref.part, columns, counts, per_event, {"ids": (detector, element), **per_hit}, ref.start)

    def _chunk(
        self,
        path: str,
        columns: frozenset[str],
        counts: NDArray[np.int64],
        per_event: dict[str, NDArray[Any]],
        per_hit: dict[str, Any],
        start: int = 0,
    ) -> xr.Dataset:
        """Sort out impossible ids and put the labels on."""
        detector, element = per_hit.pop("ids", (np.zeros(0, np.int32),) * 2)
        n = len(detector)
        channel, keep = np.empty(n, np.uint16), np.empty(n, np.bool_)
        kept, n_dropped, n_padding = (np.zeros(len(counts), np.int32) for _ in range(3))
        dropped = np.empty(n, np.uint8)
        n_kept, n_bad = clean(
            detector, element, counts, self._limits(), channel, keep, kept, dropped, n_dropped, n_padding
        )
        data: dict[str, Any] = {
            "n_hits": (EVENT, kept, {SAMPLE_DIMENSION: HIT}),
            "n_dropped": (EVENT, n_dropped, {SAMPLE_DIMENSION: DROPPED}),
            "n_padding": (EVENT, n_padding),
            "dropped_detector": (DROPPED, dropped[:n_bad].copy()),
            "channel": (HIT, channel[:n_kept]),
            "entry": (EVENT, np.arange(start, start + len(counts), dtype=np.int64)),
        }
        # a file may lack some: left out, so that a filter by it fails instead of letting everything pass
        data |= {name: (EVENT, values) for name, values in per_event.items()}
        for name in columns & set(_DTYPES):
            values = per_hit.get(name)
            if values is None and (n == 0 or name != "flag"):
                values = np.full(n, np.nan).astype(_DTYPES[name])
            if values is not None:
                data[name] = (HIT, values if n_kept == n else values[keep])
        return xr.Dataset(data, attrs={"file": path, "detectors": self.table})

    def _limits(self) -> NDArray[np.int64]:
        limits = np.zeros(MAX_DETECTOR + 1, np.int64)
        for row in self.table.rows:
            limits[row.detector_id] = row.n_elements
        return limits


def probe(path: str) -> Match:
    """Say whether a file, or the first file of a folder, holds a spill."""
    place = Path(path)
    if place.is_dir():
        found = walk(path, SUFFIXES)
        if not found:
            return Match("no", "the folder has no .root file")
        answers = [Match("no", f"cannot list {one}") if Path(one).is_dir() else probe(one) for one in found[:3]]
        return next((answer for answer in answers if answer.degree != "no"), answers[0])
    try:
        _open(path).close()
    except (OSError, ValueError) as error:
        return Match("no", str(error))
    return Match("exact", "a tree with detector and element ids")


def _open(path: str) -> _SpillFile:
    size = _check_header(path)
    try:
        # not mapped into memory: a file that is cut while it is mapped kills the process
        with uproot.open(
            path,
            handler=uproot.source.file.MultithreadedFileSource,
            use_threads=False,
            array_cache=None,
            object_cache=None,
        ) as root:
            name, tree = _tree(root)
            columns = _columns(tree)
            fingerprint, entries = f"{root.file.uuid}:{size}:{tree.num_entries}", int(tree.num_entries)
    except (OSError, MissingColumn, UnknownFormat):
        raise
    except Exception as error:
        msg = f"damaged or unusual ROOT file: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ValueError(msg) from error
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    return _SpillFile(path, descriptor, entries, fingerprint, os.fstat(descriptor).st_mtime, size, name, columns)


def _check_header(path: str) -> int:
    """Return the length of a whole ROOT file (root.cern: TFile, "Format of a ROOT file")."""
    with Path(path).open("rb") as file:
        head = file.read(20)
        size = os.fstat(file.fileno()).st_size
    if head[:4] != b"root" or len(head) < 20:
        found = "an empty file" if not head else f"{head[:8]!r}"
        msg = f"not a ROOT file: expected it to begin with b'root', found {found}"
        raise UnknownFormat(msg)
    version, _ = struct.unpack_from(">ii", head, 4)
    end = struct.unpack_from(">q" if version >= 1_000_000 else ">i", head, 12)[0]
    if size < end:
        msg = f"expected {end} bytes, found {size}: it is cut off or still being written; copy it again or wait"
        raise TruncatedFile(msg)
    return size


def _tree(root: Any) -> tuple[str, Any]:
    classes = root.classnames(recursive=False, cycle=False)
    for name in ("save", "tree"):
        if classes.get(name) == "TTree":
            return name, root[name]
    found = ", ".join(f"{name} ({kind})" for name, kind in list(classes.items())[:20]) or "nothing"
    msg = f"no tree named 'save' or 'tree'; found {found}. Only TTree is read, not RNTuple"
    raise UnknownFormat(msg)


def _columns(tree: Any) -> dict[str, Column | str]:
    """Return where each known column is: as baskets, or the branch that only uproot can read."""
    known = _short(tree)
    columns: dict[str, Column | str] = {}
    for column, names in {**_HITS, **_EVENTS, **_SPLIT_TRIGGERS}.items():
        branch = next((known[one] for one in names if one in known), None)
        if branch is not None:
            columns[column] = Column.of(branch) or branch.object_path
    missing = [" or ".join(_HITS[one]) for one in ("detector_id", "element_id") if one not in columns]
    if missing:
        shown = ", ".join(sorted(known)[:30]) or "none"
        msg = f"tree {tree.name!r} lacks the branch {' and '.join(missing)}; its branches: {shown}"
        raise MissingColumn(msg)
    ids = columns["detector_id"]
    for name in ("tdc_time", "drift_distance", "flag"):
        filled = columns.get(name)
        # some derived files have these branches and never fill them
        if isinstance(filled, Column) and isinstance(ids, Column) and filled.items < 0.01 * ids.items:
            del columns[name]
    if {"fpga", "nim"} <= set(columns):
        columns.setdefault("trigger_bits", "")
    return columns


def _short(tree: Any) -> dict[str, Any]:
    """Return the branches by their names without folders: with or without the prefix ``rawEvent/``."""
    return {path.rsplit("/", 1)[-1]: branch for path, branch in reversed(tree.items(recursive=True))}


def _cuts(file: _SpillFile, start: int, target: int) -> list[int]:
    """Return entries at which to cut: basket edges of the ids, so that nothing is decompressed twice."""
    column = file.columns["detector_id"]
    if isinstance(column, str):
        step = 5000
        return [*range(start, file.entries, step), file.entries] if start < file.entries else [file.entries]
    per_entry = max(2 * column.raw_bytes / max(file.entries, 1), 1e-9)
    cuts = [start]
    for edge in column.edges[1:]:
        if edge > start and ((edge - cuts[-1]) * per_entry >= target or edge == column.edges[-1]):
            cuts.append(int(edge))
    if cuts[-1] < file.entries:  # of which this branch knows nothing: reading them says so
        cuts.append(file.entries)
    return cuts


def _items(file: _SpillFile, name: str, start: int, stop: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the values (hit,) and their number in each event (event,)."""
    column = file.columns[name]
    values, counts = (
        column.read(file.descriptor, start, stop) if isinstance(column, Column) else _slow(file, column, start, stop)
    )
    if counts is None:
        entries = stop - start
        counts = np.full(entries, len(values) // max(entries, 1), np.int64)
    if name.endswith("_id") and values.dtype != np.int16:
        if values.dtype.kind not in "iu":
            msg = f"branch of {name} holds {values.dtype}; expected whole numbers"
            raise MissingColumn(msg)
        values = np.clip(values, -1, 2**31 - 1).astype(np.int32) if values.dtype != np.int32 else values
    return values, counts


def _scalar(file: _SpillFile, name: str, start: int, stop: int) -> NDArray[np.int32]:
    if file.columns[name] == "":  # trigger bits that are spread over two arrays of five
        bits = np.zeros(stop - start, np.int32)
        for first, half in ((0, "fpga"), (5, "nim")):
            values, counts = _items(file, half, start, stop)
            if (counts != 5).any():
                msg = f"branch {_SPLIT_TRIGGERS[half][0]}: expected five numbers for each event, found {counts[:1]}"
                raise MissingColumn(msg)
            bits |= ((values.reshape(-1, 5) > 0) << np.arange(first, first + 5)).sum(axis=1, dtype=np.int32)
        return bits
    values, counts = _items(file, name, start, stop)
    if len(values) != stop - start or (counts != 1).any():
        msg = f"branch of {name}: expected one number for each event, found {len(values)} for {stop - start} events"
        raise MissingColumn(msg)
    return values.astype(np.int32, copy=False)


def _slow(file: _SpillFile, branch: str, start: int, stop: int) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
    """Read through uproot what is not a plain list of baskets."""
    import awkward as ak

    with uproot.open(
        file.path, handler=uproot.source.file.MultithreadedFileSource, use_threads=False, array_cache=None
    ) as root:
        name = branch.split(":", 1)[-1]
        array = root[file.tree][name].array(entry_start=start, entry_stop=stop, library="ak")
    if array.ndim == 1:
        return np.asarray(ak.to_numpy(array)), None
    flat, counts = ak.flatten(array, axis=None), ak.num(array, axis=1)
    return np.asarray(ak.to_numpy(flat)), np.asarray(ak.to_numpy(counts), dtype=np.int64)


def _same_length(name: str, counts: NDArray[np.int64], others: NDArray[np.int64], start: int) -> None:
    if not np.array_equal(counts, others):
        event = int(np.argmax(counts != others)) if len(counts) == len(others) else 0
        msg = (
            f"branches of unequal length: event {start + event} has {counts[event]} detector ids "
            f"and {others[event]} of {' or '.join(_HITS[name])}"
        )
        raise ValueError(msg)
