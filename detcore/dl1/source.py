"""DL1 files as a source: chunks are consecutive images of one telescope, with what is known of their events."""

from __future__ import annotations

import os
import threading
from collections import Counter
from copy import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, pairwise, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import xarray as xr
from typing_extensions import override

from detcore.core.schema import EVENT
from detcore.core.source import ChunkRef, FileSource, Match, Problem, UnknownFormat, walk
from detcore.dl1.columns import CameraFacts, facts_of
from detcore.dl1.eventindex import file_of
from detcore.dl1.files.model import NO_PRIMARY
from detcore.dl1.files.openfile import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from detcore.dl1.files.model import Dl1File

SUFFIXES: Final = (".h5", ".hdf5", ".hdf")
PIXEL_BYTES: Final = 9  # of a pixel in a file: charge, time, and whether it survived the cleaning
TARGET_BYTES: Final = 4 << 20
LARGEST_TARGET: Final = 32 << 20
KEPT: Final = 8  # files of which it is remembered where their images are


@dataclass(frozen=True)
class ImageFiles(FileSource):
    """Images of one camera type, of one file or of several one after the other.

    A chunk holds consecutive images of one telescope: `image` and, if the file has them, `peak_time` (event, pixel)
    float32 and `image_mask` bool; along `event`, int64: `obs_id`, `event_id`, `tel_id`, `row` (of the images of that
    telescope), `entry` (of all images of the file), `multiplicity` (telescopes in the event; 0 if the event is in no
    table), and `first`, bool: no telescope that is read and has a smaller number has an image of the event, so that what
    is added up over `first` counts events once. Of simulations also `true_energy` (TeV) and `particle` (-9999 unknown).

    Parameters
    ----------
    paths
        Files, or folders to be walked for them.
    camera
        Name of the camera type; empty: that of which the first readable file has most images.
    telescopes
        Only these; none: all of that camera.
    """

    paths: tuple[str, ...]
    camera: str = ""
    telescopes: tuple[int, ...] = ()

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    def named(self) -> ImageFiles:
        """Return the source with the name of its camera; itself if no file tells yet."""
        if self.camera:
            return self
        for path in self.files():
            try:
                found = cameras(path, self.telescopes)
            except (OSError, ValueError):
                continue  # `plan` says why
            if found:
                return replace(self, camera=next(iter(found)))
        return self

    def _contents(self, path: str, camera: str = "") -> Contents:
        return _remembered(path, _fingerprint(path), camera or self.named().camera, self.telescopes)

    @override
    def schema_of(self, path: str) -> xr.Dataset:
        contents = self._contents(path)
        if not contents.counts:
            msg = f"{path}: {'; '.join(contents.reasons) or contents.nothing(self.telescopes)}"
            raise UnknownFormat(msg)
        return contents.chunk(next(iter(contents.counts)), 0, 0)

    @override
    def plan_file(self, path: str, start: int = 0, target_bytes: int | None = None) -> Iterator[ChunkRef | Problem]:
        facts = os.stat(path)  # noqa: PTH116
        contents = self._contents(path)
        if start:
            yield Problem(path, "has grown or changed since it was read: what was counted stays; read it again", 0)
            return
        yield from (Problem(path, reason, 0) for reason in contents.reasons)
        if not contents.counts:
            yield Problem(path, contents.nothing(self.telescopes), 0, facts.st_size)
            return
        target = min(target_bytes or TARGET_BYTES, LARGEST_TARGET)
        pixels = {tel_id: contents.file.camera(tel_id).n_pixels for tel_id in contents.counts}
        share = facts.st_size / sum(n * pixels[tel_id] for tel_id, n in contents.counts.items())

        def refs(tel_id: int) -> Iterator[ChunkRef]:
            before, where = contents.before[tel_id], (contents.camera, tel_id)
            rows = max(target // (PIXEL_BYTES * pixels[tel_id]), 1)
            for low, high in contents.file.pieces(tel_id, rows):
                weight = share * (high - low) * pixels[tel_id]
                ends = before + low, before + high
                yield ChunkRef(self.key, path, *ends, contents.file.fingerprint, weight, facts.st_mtime, where)

        # by turns: where telescopes share a table, what one of them had to decode serves the others
        turns = zip_longest(*map(refs, contents.counts))
        yield from (ref for ref in chain.from_iterable(turns) if ref is not None)

    @override
    def whole(self, path: str) -> bool:
        try:
            cameras(path)
        except (OSError, ValueError):
            return False
        return True

    @override
    def read(self, ref: ChunkRef, columns: frozenset[str]) -> xr.Dataset:
        camera, tel_id = _where(ref)
        contents = self._contents(ref.part, camera)
        if ref.fingerprint and ref.fingerprint != contents.file.fingerprint:
            msg = f"{ref.part}: was changed or replaced while it was read; read it again"
            raise ValueError(msg)
        before = contents.before[tel_id]
        return contents.chunk(tel_id, ref.start - before, ref.stop - before)

    @override
    def pieces(self, ref: ChunkRef) -> list[ChunkRef]:
        try:
            camera, tel_id = _where(ref)
            contents = self._contents(ref.part, camera)
            stored = contents.file.chunk_rows(tel_id)
            first = contents.before[tel_id]
        except (OSError, ValueError, KeyError):
            return []
        edges = [ref.start, *range(first + ((ref.start - first) // stored + 1) * stored, ref.stop, stored), ref.stop]
        n = ref.stop - ref.start
        found = [
            replace(ref, start=low, stop=high, weight=ref.weight * (high - low) / n) for low, high in pairwise(edges)
        ]
        return found if len(found) > 1 else []


@dataclass(frozen=True, eq=False)
class Contents:
    """Where the images of a file are that a source reads.

    Parameters
    ----------
    file
        The file.
    camera
        Name of the camera type.
    counts
        tel_id -> number of images, of telescopes with that camera that have some, in the order of their numbers.
    before
        tel_id -> number of images in the file before its first one.
    telescopes
        All that are read, those without images included.
    cameras
        tel_id -> its camera, for `counts`.
    reasons
        What is missing or cannot be read, in words.
    events
        What is known of the events.
    """

    file: Dl1File
    camera: str
    counts: dict[int, int]
    before: dict[int, int]
    telescopes: tuple[int, ...]
    cameras: dict[int, CameraFacts]
    reasons: tuple[str, ...]
    events: Events

    def nothing(self, telescopes: tuple[int, ...]) -> str:
        """Say that there are no images of what was asked for."""
        known = ", ".join(dict.fromkeys(map(str, self.file.telescopes["camera"]))) or "none"
        asked = f"of telescopes {', '.join(map(str, telescopes[:20]))} with " if telescopes else "of "
        return f"no images {asked}camera {self.camera or 'of any kind'}; the file has the cameras {known}"

    def chunk(self, tel_id: int, start: int, stop: int) -> xr.Dataset:
        """Return images of a telescope with what is known of their events."""
        shared = self.file.format.startswith("CTA-ML")  # the table holds images of other telescopes between them
        if shared and stop > start:
            found = self.file.rows(tel_id, indices=np.arange(start, stop))
        else:
            found = self.file.rows(tel_id, start, stop)
        data = {str(name): one for name, one in found.variables.items()}
        data["entry"] = xr.Variable(EVENT, found.variables["row"].values + self.before[tel_id])
        data |= self.events.of(tel_id, found.variables["obs_id"].values, found.variables["event_id"].values)
        attrs = {
            "camera": self.cameras[tel_id],
            "time_unit": self.file.time_unit,
            "telescopes": self.telescopes,
            "format": self.file.format,
            "file": self.file.path,
        }
        return xr.Dataset(data, attrs=attrs)


class Events:
    """Columns of the table of events, found by run and event."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.multiplicity = table["multiplicity"].to_numpy(np.int64)
        self.truth: dict[str, tuple[NDArray[Any], Any, dict[str, str]]] = {}
        if "true_energy" in table:
            self.truth["true_energy"] = (table["true_energy"].to_numpy(np.float64), np.nan, {"units": "TeV"})
        if "true_shower_primary_id" in table:
            self.truth["particle"] = (table["true_shower_primary_id"].to_numpy(np.int64), NO_PRIMARY, {})
        self.first = np.full(len(table), np.iinfo(np.int64).max)  # tel_id
        event_id, obs_id = (table[name].to_numpy(np.int64) for name in ("event_id", "obs_id"))
        order = np.lexsort((event_id, obs_id))
        runs, starts = np.unique(obs_id[order], return_index=True)
        ends = np.append(starts, len(order))
        self._runs = {
            run: (event_id[order[low:high]], order[low:high])
            for run, low, high in zip(runs.tolist(), ends[:-1].tolist(), ends[1:].tolist(), strict=True)
        }

    def place(self, obs_id: NDArray[np.int64], event_id: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows in the table; -1 for events that are not there."""
        found = np.full(len(obs_id), -1, np.int64)
        for run in np.unique(obs_id).tolist():
            if run in self._runs:
                numbers, rows = self._runs[run]
                mine = np.flatnonzero(obs_id == run)
                at = np.minimum(np.searchsorted(numbers, event_id[mine]), len(numbers) - 1)
                found[mine] = np.where(numbers[at] == event_id[mine], rows[at], -1)
        return found

    def saw(self, tel_id: int, rows: NDArray[np.int64]) -> None:
        """Note that a telescope has images of events."""
        rows = rows[rows >= 0]
        self.first[rows] = np.minimum(self.first[rows], tel_id)

    def of(self, tel_id: int, obs_id: NDArray[np.int64], event_id: NDArray[np.int64]) -> dict[str, xr.Variable]:
        """Return what is known of events of which a telescope has images."""
        rows = self.place(obs_id, event_id)
        there = rows >= 0
        at = np.where(there, rows, 0)

        def column(values: NDArray[Any], unknown: Any, attrs: dict[str, str] | None = None) -> xr.Variable:
            if not len(values):
                return xr.Variable(EVENT, np.full(len(rows), unknown, values.dtype), attrs)
            return xr.Variable(EVENT, np.where(there, values[at], unknown).astype(values.dtype), attrs)

        found = {
            "multiplicity": column(self.multiplicity, 0),
            "first": column(self.first == tel_id, False),
        }
        return found | {name: column(*one) for name, one in self.truth.items()}


def cameras(path: str | os.PathLike[str], telescopes: tuple[int, ...] = ()) -> dict[str, int]:
    """Return the names of the cameras of a file and how many images there are of each, most first.

    Parameters
    ----------
    path
        The file.
    telescopes
        Only these.

    Raises
    ------
    OSError, ValueError
        The file cannot be read, or is something else.
    """
    file = file_of(path)
    found: Counter[str] = Counter()
    for tel_id, name in file.telescopes["camera"].items():
        if not telescopes or tel_id in telescopes:
            count = _count(file, int(str(tel_id)))
            found[str(name)] += count if isinstance(count, int) else 0
    return {name: count for name, count in found.most_common() if count}


def _count(file: Dl1File, tel_id: int) -> int | str:
    """Return the number of images of a telescope, or why they cannot be read."""
    try:
        return file.n_images(tel_id)
    except (OSError, ValueError) as error:
        return f"telescope {tel_id}: {' '.join(str(error).removeprefix(f'{file.path}: ').split())}"


def _where(ref: ChunkRef) -> tuple[str, int]:
    """Return camera and telescope of a chunk, as `plan_file` has noted them."""
    where: Any = ref.where
    return str(where[0]), int(where[1])


def _fingerprint(path: str) -> str:
    facts = os.stat(path)  # noqa: PTH116
    return f"{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}"


_guard = threading.Lock()


def _remembered(path: str, fingerprint: str, camera: str, telescopes: tuple[int, ...]) -> Contents:
    with _guard:  # threads that ask together wait for one that looks
        return _contents(path, fingerprint, camera, telescopes)


@lru_cache(maxsize=KEPT)
def _contents(path: str, _fingerprint: str, camera: str, telescopes: tuple[int, ...]) -> Contents:
    file = copy(file_of(path))
    file.with_truth = False
    names = {int(str(tel_id)): str(name) for tel_id, name in file.telescopes["camera"].items()}
    all_counts = {tel_id: _count(file, tel_id) for tel_id in sorted(names)}
    reasons = [f"no telescope {one}" for one in telescopes if one not in names]
    counts, before, facts, n = {}, {}, {}, 0
    chosen = tuple(one for one in all_counts if names[one] == camera and (not telescopes or one in telescopes))
    for tel_id, count in all_counts.items():
        if isinstance(count, str):
            reasons += [count] if tel_id in chosen else []
            continue
        if tel_id in chosen and count:
            try:
                facts[tel_id] = facts_of(file.camera(tel_id))
                counts[tel_id], before[tel_id] = count, n
            except (OSError, ValueError, KeyError) as error:
                reasons.append(f"telescope {tel_id}: {' '.join(str(error).split())}")
        n += count
    other = [one for one in telescopes if one in names and names[one] != camera]
    reasons += [f"telescope {one} has the camera {names[one]}, not {camera}" for one in other]
    return Contents(file, camera, counts, before, chosen, facts, tuple(reasons), _events(file, list(counts.items())))


def _events(file: Dl1File, counts: list[tuple[int, int]]) -> Events:
    """Return the events, with the telescope of smallest number that has an image of each."""
    table = file.events
    found = Events(table)
    event = np.repeat(np.arange(len(table)), table["multiplicity"].to_numpy(np.int64))
    triggered = np.fromiter(chain.from_iterable(table["tels_with_trigger"]), np.int64, len(event))
    for tel_id, n in counts:
        rows = event[triggered == tel_id]
        if len(rows) != n:  # not every telescope that triggered has an image, or more have one: look at the images
            keys = file.keys(tel_id)
            rows = found.place(*(keys[name].to_numpy(np.int64) for name in ("obs_id", "event_id")))
        found.saw(tel_id, rows)
    return found


def probe(path: str) -> Match:
    """Say whether a file, or the first file of a folder, holds telescope images."""
    if Path(path).is_dir():
        found = walk(path, SUFFIXES)
        if not found:
            return Match("no", f"the folder has no {' or '.join(SUFFIXES)} file")
        answers = [Match("no", f"cannot list {one}") if Path(one).is_dir() else probe(one) for one in found[:3]]
        return next((answer for answer in answers if answer.degree != "no"), answers[0])
    try:
        kind = kind_of(path)
    except (OSError, ValueError) as error:
        return Match("no", " ".join(str(error).split())[:300].removeprefix(f"{path}: "))
    return Match("exact", f"a DL1 file of {'ctapipe' if kind == 'ctapipe' else 'DL1 Data Handler (CTA-ML)'}")
