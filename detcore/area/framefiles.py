"""Frames of one detector in files of any format, in the orientation that a person declares."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr
from typing_extensions import override

from detcore.area.detector import Detector, type_of
from detcore.area.files.describe import described
from detcore.area.files.euxfel import needs_peers
from detcore.area.files.formats import Contents, Options, fingerprint, modified
from detcore.area.files.geomfile import read_geom
from detcore.area.files.known import SUFFIXES, format_of, look
from detcore.area.images.assembly import ORIENTATIONS, oriented, oriented_shape
from detcore.core.schema import FRAME
from detcore.core.source import ChunkRef, FileSource, Problem, UnknownFormat, walk

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

TARGET_BYTES = 12 << 20  # of the frames of a chunk, in memory
LARGEST_TARGET = 32 << 20
MODULE_DIMS = (FRAME, "module", "y", "x")
FRAME_DIMS = (FRAME, "y", "x")
REMEMBERED = 8  # detectors, with their masks and maps once these were asked for
_PART = re.compile(r"_data_\d+\.h5$")

_guard = threading.Lock()


@dataclass(frozen=True)
class AreaFiles(FileSource):
    """Frames of one detector, in one file or many.

    Chunks have `data` (frame, y, x), or (frame, module, y, x) for detectors of panels, `event_id` (frame) from 0, and
    those numbers that the files have for each frame. Pixels outside `saturation` and `underload` of `detector()`, those
    that its masks reject, and nan are not valid; their values are left as they are.

    Parameters
    ----------
    paths
        Files, or folders to be walked for them.
    name
        Which detector, where a file has several; its name in results.
    dataset
        Name of the frames inside a file; None: where they usually are.
    type
        Key of the catalogue; None: as the file says.
    orientation
        1 to 8 as in EXIF: how frames are turned; not for detectors of panels.
    frames
        (first, end, step) of the events, from 0, half-open; an end of None is the last. None: all.
    geometry
        A CrystFEL ``.geom`` file.
    calibration
        (array, path) pairs: pedestal, noise, gain, status or pixel_mask from files of their own.
    """

    paths: tuple[str, ...]
    name: str | None = None
    dataset: str | None = None
    type: str | None = None
    orientation: int = 1
    frames: tuple[int, int | None, int] | None = None
    geometry: str | None = None
    calibration: tuple[tuple[str, str], ...] = ()
    first_events: Mapping[str, int] | None = field(default=None, compare=False, repr=False)

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    def __post_init__(self) -> None:
        if self.orientation not in ORIENTATIONS:
            msg = f"an orientation is 1 to 8 (1: as stored, 4: mirrored top to bottom); found {self.orientation!r}"
            raise ValueError(msg)
        first, end, step = self.frames or (0, None, 1)
        if first < 0 or step < 1 or (end is not None and end <= first):
            msg = f"frames {first}:{end}:{step}: expected 0 <= first < end and a step of at least 1"
            raise ValueError(msg)
        if self.type is not None:
            object.__setattr__(self, "type", type_of(self.type).key)

    @property
    def options(self) -> Options:
        """How files are looked at."""
        return Options(self.name, self.dataset, self.type)

    @override
    def files(self) -> list[str]:
        found: list[str] = []
        for path in self.paths:
            if Path(path).is_dir():
                inside = walk(path, self.suffixes)
                masters = {one.removesuffix("_master.h5") for one in inside if one.endswith("_master.h5")}
                found += [one for one in inside if _PART.sub("", one) not in masters]
            else:
                found.append(path)
        return list(dict.fromkeys(found))

    def _contents(self, path: str, files: Sequence[str] | None = None) -> Contents:
        if not needs_peers(path):
            return look(path, self.options)
        return look(path, self.options, tuple(self.files() if files is None else files))

    def _first(self, files: Sequence[str] | None = None) -> tuple[str, Contents]:
        """Return the first file with frames, which says what the detector is.

        Raises
        ------
        UnknownFormat
            No file has any.
        """
        reasons = []
        files = self.files() if files is None else files
        for path in files:
            try:
                contents = self._contents(path, files)
            except (OSError, ValueError) as error:
                reasons.append(str(Problem.of(path, error)))
                continue
            if contents.stacks:
                return path, contents
            reasons += [str(one) for one in contents.problems] or [f"{path}: no frames"]
        msg = f"no frames can be read in {', '.join(self.paths)}: {'; '.join(reasons[:5]) or 'no file was found'}"
        raise UnknownFormat(msg)

    def detector(self) -> Detector:
        """Return the detector: what the first file says, what the type implies, and what was given.

        Raises
        ------
        OSError, ValueError
            A file that was named cannot be read, or does not fit.
        """
        path, contents = self._first()
        own = tuple(one for one in (self.geometry, *(place for _, place in self.calibration)) if one is not None)
        state = tuple(fingerprint(one) + str(modified(one)) for one in own)
        with _guard:
            known = _detectors.get(self)
        if known is not None and known[0] is contents and known[1] == state:
            return known[2]
        stored = contents.stacks[0].shape
        made = described(
            contents.facts, stored, self._shape(stored), name=self.name, kind=self.type, orientation=self.orientation,
            geometry=self.geometry, calibration=dict(self.calibration), path=path,
        )  # fmt: skip
        with _guard:
            _detectors[self] = contents, state, made
            while len(_detectors) > REMEMBERED:
                del _detectors[next(iter(_detectors))]
        return made

    def notes(self) -> tuple[str, ...]:
        """Return what was assumed when the files were read, in words."""
        return self._first()[1].notes

    def _shape(self, stored: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of a frame of a chunk for that of a stored one.

        Raises
        ------
        ValueError
            Panels cannot be turned.
        """
        if self.geometry is not None and len(stored) == 2:
            stored = read_geom(self.geometry).modules(stored) or stored
        if len(stored) == 2:
            return oriented_shape((stored[0], stored[1]), self.orientation)
        if self.orientation != 1:
            msg = f"orientation {self.orientation}: frames of {stored[0]} panels cannot be turned; use 1"
            raise ValueError(msg)
        return stored

    @override
    def schema(self) -> xr.Dataset:
        path, _ = self._first()
        return self.schema_of(path)

    @override
    def schema_of(self, path: str) -> xr.Dataset:
        contents = self._contents(path)
        if not contents.stacks:
            msg = f"{path}: {'; '.join(str(one) for one in contents.problems[:3]) or 'no frames in it'}"
            raise UnknownFormat(msg)
        stack, detector = contents.stacks[0], self.detector()
        data: dict[str, Any] = {
            "data": (_dims(detector.shape), np.zeros((0, *detector.shape), stack.dtype)),
            "event_id": (FRAME, np.zeros(0, np.int64)),
        }
        data |= {name: (FRAME, values[:0]) for name, values in contents.columns.items()}
        attrs = {
            "detector": detector.name,
            "detector_type": detector.type,
            "shape": detector.shape,
            "pixel_size": detector.pixel_size,
            "orientation": detector.orientation,
            "saturation": detector.saturation,
            "underload": detector.underload,
            "distance": detector.distance,
            "energy": detector.energy,
            "centre": detector.centre,
            "asic": detector.asic,
            "file": path,
            "notes": contents.notes,
        }
        return xr.Dataset(data, attrs=attrs)

    @override
    def plan(self, target_bytes: int | None = None) -> Iterator[ChunkRef | Problem | None]:
        for path in self.paths:
            if Path(path).is_dir() and not walk(path, self.suffixes):
                kinds = ", ".join(self.suffixes)
                yield Problem(path, f"expected frames ({kinds}) in this folder, found none", 0)
        files, event = tuple(self.files()), 0
        for path in files:
            try:
                yield from self._refs(path, files, event, 0, target_bytes)
                event += sum(one.n for one in self._contents(path, files).stacks)
            except Exception as error:  # noqa: BLE001 - any failure of a reader library is one line of the ledger
                yield Problem.of(path, error)

    @override
    def plan_file(self, path: str, start: int = 0, target_bytes: int | None = None) -> Iterator[ChunkRef | Problem]:
        files = tuple(self.files())
        events = self.first_events if self.first_events is not None else self._first_events(files)
        yield from self._refs(path, files, events.get(path, 0), start, target_bytes)

    def _first_events(self, files: tuple[str, ...]) -> dict[str, int]:
        events, event = {}, 0
        for path in files:
            events[path] = event
            event += max(self._count(path, files), 0)
        return events

    def _count(self, path: str, files: Sequence[str] | None = None) -> int:
        """Return how many frames of a file can be read, up to the first missing piece; -2 if it cannot be."""
        try:
            contents = self._contents(path, files)
        except Exception:  # noqa: BLE001 - the plan says what is wrong with it
            return -2
        return sum(one.n for one in contents.stacks[: contents.pending])

    @override
    def catch_up(self, unread: Mapping[str, int]) -> AreaFiles:
        """Return the source of one look of a live feed, which stops before the first missing piece of each file."""
        return replace(self, first_events=self._first_events(tuple(self.files())))

    def _refs(
        self, path: str, files: tuple[str, ...], event: int, start: int, target: int | None
    ) -> Iterator[ChunkRef | Problem]:
        contents = self._contents(path, files)
        yield from contents.problems
        stacks = contents.stacks[: contents.pending] if self.first_events is not None else contents.stacks
        if not stacks:
            return
        model = self._first(files)[1].stacks[0]
        first, end, step = self.frames or (0, None, 1)
        row = 0  # in the file, over all its stacks
        for number, stack in enumerate(stacks):
            if (stack.shape, stack.dtype) != (model.shape, model.dtype):
                found, expected = f"{stack.dtype} {stack.shape}", f"{model.dtype} {model.shape}"
                yield Problem(path, f"expected frames of {expected} as in {Path(model.path).name}, found {found}")
                return
            deep = max(min(target or TARGET_BYTES, LARGEST_TARGET) // stack.frame_bytes, 1) * step
            low = max(start - row, first - event - row, 0)
            low += -(event + row + low - first) % step if event + row + low > first else 0
            high = stack.n if end is None else min(stack.n, end - event - row)
            written = modified(stack.path)
            for begin in range(low, high, deep):
                stop = min(begin + deep, high)
                weight = float(len(range(begin, stop, step)) * stack.frame_bytes)
                where = (path, number, stack, begin, stop, step, row, event + row)
                last = stack.n if stop == high and end is None else stop
                yield ChunkRef(
                    self.key, stack.path, row + begin, row + last, fingerprint(stack.path), weight, written, where
                )
            row += stack.n

    @override
    def size(self) -> float | None:
        total, files, event = 0.0, tuple(self.files()), 0
        first, end, step = self.frames or (0, None, 1)
        for path in files:
            try:
                stacks = self._contents(path, files).stacks
            except Exception:  # noqa: BLE001, S112 - the plan says what is wrong with it
                continue
            for stack in stacks:
                high = event + stack.n if end is None else min(event + stack.n, end)
                begin = max(first, event)
                begin += -(begin - first) % step
                total += len(range(begin, high, step)) * stack.frame_bytes
                event += stack.n
        return total

    @override
    def whole(self, path: str) -> bool:
        return self._count(path) >= 0

    @override
    def measure(self, path: str, facts: os.stat_result) -> int:
        """Return how many frames of a file can be read: a file that grows in place may keep its size."""
        return self._count(path)

    @override
    def read(self, ref: ChunkRef, columns: frozenset[str]) -> xr.Dataset:
        where: Any = ref.where
        path, _, stack, begin, stop, step, row, event = where
        rows = np.arange(begin, stop, step)
        data: dict[str, Any] = {"event_id": (FRAME, event + rows)}
        if "data" in columns:
            frames = self._turned(format_of(stack.path).read(stack, slice(begin, stop, step)))
            data["data"] = (_dims(frames.shape[1:]), frames)
        wanted = columns - {"data", "event_id"}
        if wanted:
            known = self._contents(path).columns
            for name in sorted(wanted):
                values = known.get(name)
                fits = values is not None and row + begin + len(rows) <= len(values)
                data[name] = (FRAME, values[row + rows] if fits and values is not None else np.full(len(rows), np.nan))
        return xr.Dataset(data, attrs={"file": path})

    def _turned(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Return frames as chunks have them; in memory that may be written to, or kernels are compiled once more."""
        shape = self._shape(frames.shape[1:])
        if len(shape) > frames.ndim - 1:
            frames = frames.reshape(len(frames), *shape)
        elif self.orientation != 1:
            frames = oriented(frames, self.orientation)
        return np.require(np.asarray(frames), requirements=["C", "W"])

    @override
    def pieces(self, ref: ChunkRef) -> list[ChunkRef]:
        where: Any = ref.where
        path, number, stack, begin, stop, step, row, event = where
        rows = range(begin, stop, step)
        if len(rows) < 2:
            return []
        return [
            replace(
                ref,
                start=row + one,
                stop=row + one + 1,
                weight=float(stack.frame_bytes),
                where=(path, number, stack, one, one + 1, 1, row, event),
            )
            for one in rows
        ]

    def n_frames(self) -> int:
        """Return how many frames are there and asked for."""
        every: list[Any] = [ref.where for ref in self.plan() if isinstance(ref, ChunkRef)]
        return sum(len(range(*where[3:6])) for where in every)

    def frame(self, number: int) -> NDArray[Any]:
        """Return one frame as a chunk has it, (y, x) or (module, y, x).

        Parameters
        ----------
        number
            `event_id`, from 0; also of a frame that was not asked for.

        Raises
        ------
        KeyError
            There is no such frame.
        UnknownFormat
            No file can be read; says why.
        """
        files, event = tuple(self.files()), 0
        for path in files:
            try:
                stacks = self._contents(path, files).stacks
            except (OSError, ValueError):
                continue
            for stack in stacks:
                if event <= number < event + stack.n:
                    at = number - event
                    return np.asarray(self._turned(format_of(stack.path).read(stack, slice(at, at + 1, 1)))[0])
                event += stack.n
        if not event:
            self._first(files)  # says why none can be read
        msg = f"frame {number} is not in the run; it has {event} frames, numbered from 0"
        raise KeyError(msg)


_detectors: dict[AreaFiles, tuple[Contents, tuple[str, ...], Detector]] = {}


def _dims(shape: tuple[int, ...]) -> tuple[str, ...]:
    return MODULE_DIMS if len(shape) == 3 else FRAME_DIMS
