"""Events of LCLS through psana, where it is installed: psana 2 (LCLS-II, xtc2) and the first psana (xtc).

psana is no dependency: it needs an MPI library and, for calibrations, the facility's network. Its events come one after
the other, so a chunk can be read only once.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr
from typing_extensions import override

from detcore.area.detector import UNKNOWN, Detector
from detcore.area.files.formats import guess_type, native
from detcore.core.schema import FRAME
from detcore.core.source import ChunkRef, Problem, Source, UnknownFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SUFFIXES = (".xtc2", ".xtc")
TARGET_BYTES = 12 << 20
MISSING = (
    "this needs psana, which is not installed here. On LCLS computers: source the facility's environment "
    "(psconda.sh) and install detcore into it; elsewhere: pip install psana mpich (psana 2 only, without calibrations)"
)
_ARRAYS = {  # ours -> name in psana 2's calibration constants, method of psana 1
    "pedestal": ("pedestals", "pedestals"),
    "noise": ("pixel_rms", "rms"),
    "gain": ("pixel_gain", "gain"),
    "status": ("pixel_status", "status"),
}


class PsanaMissing(UnknownFormat):
    """psana is not installed."""


def installed() -> bool:
    """Return whether psana can be imported."""
    return importlib.util.find_spec("psana") is not None


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Events that were read: pixels, numbers and times."""

    frames: NDArray[Any]
    numbers: NDArray[np.int64]
    times: NDArray[np.float64]


@dataclass(frozen=True)
class PsanaRun(Source):
    """Frames of one detector in one run.

    Parameters
    ----------
    where
        Names of xtc2 files, or one text like ``exp=xpptut15,run=630``.
    name
        Of the detector; None: the only one, else the error lists them.
    type
        Kind of detector; None: as its name says.
    first, end, step
        Which events, from 0; an end of None is the last.
    calibrated
        Take the frames as psana calibrates them, instead of raw ones.
    """

    where: tuple[str, ...]
    name: str | None = None
    type: str | None = None
    first: int = 0
    end: int | None = None
    step: int = 1
    calibrated: bool = False

    replayable: ClassVar[bool] = False

    @property
    @override
    def key(self) -> str:
        return "|".join(self.where)

    def _run(self) -> tuple[Any, Any, Iterator[Any], bool]:
        """Return the detector, the run, its events, and whether it is psana 2.

        Raises
        ------
        PsanaMissing
            It is not installed.
        UnknownFormat
            psana cannot open it, or there is no such detector.
        """
        if not installed():
            msg = f"{self.key}: {MISSING}"
            raise PsanaMissing(msg)
        psana = importlib.import_module("psana")
        second = not hasattr(psana, "Detector")
        try:
            if self.where[0].startswith("exp="):
                text = self.where[0]
                pairs = dict(part.split("=", 1) for part in text.replace(":", ",").split(",") if "=" in part)
                if second:
                    source = psana.DataSource(exp=pairs["exp"], run=int(pairs.get("run", 1)))
                else:
                    source = psana.DataSource(text.replace(",", ":"))
            else:
                source = psana.DataSource(files=list(self.where)) if second else psana.DataSource(*self.where)
            if not second:
                return psana.Detector(self._chosen(psana.DetNames())), source, iter(source.events()), False
            run = next(iter(source.runs()))
            return run.Detector(self._chosen(run.detnames)), run, iter(run.events()), True
        except (UnknownFormat, MemoryError):
            raise
        except Exception as error:  # psana raises whatever it likes
            msg = f"{self.key}: psana cannot open it: {type_name(error)}: {' '.join(str(error).split())[:300]}"
            raise UnknownFormat(msg) from error

    def _chosen(self, names: Any) -> str:
        plain = sorted({str(one if isinstance(one, str) else one[1] or one[0]) for one in names})
        if self.name in plain or (self.name is not None and not plain):
            return str(self.name)
        if self.name is None and len(plain) == 1:
            return plain[0]
        wrong = "several detectors" if self.name is None else f"no detector {self.name!r:.60}"
        msg = f"{self.key}: {wrong}; name one with detector=: {', '.join(plain) or 'there are none'}"
        raise UnknownFormat(msg)

    def _frame(self, detector: Any, event: Any, second: bool) -> NDArray[Any] | None:
        reader = detector.raw if second else detector
        method = reader.calib if self.calibrated else reader.raw
        found = method(event)
        if found is None:
            return None
        frame = native(np.asarray(found))
        return frame[0] if frame.ndim == 3 and len(frame) == 1 and not self._panels(frame.shape) else frame

    def _panels(self, shape: tuple[int, ...]) -> bool:
        known = Detector(shape=shape, type=self._kind()).kind.shape
        return known is not None and len(known) == 3

    def _kind(self) -> str:
        return self.type or guess_type((self.name or "").rstrip("0123456789_"))

    def _events(self) -> Iterator[tuple[int, float, NDArray[Any] | None]]:
        detector, _, events, second = self._run()
        for number, event in enumerate(events):
            if self.end is not None and number >= self.end:
                return
            if number >= self.first and (number - self.first) % self.step == 0:
                yield number, _time(event, second), self._frame(detector, event, second)

    def _model(self) -> NDArray[Any]:
        for _, _, frame in self._events():
            if frame is not None:
                return frame
        msg = f"{self.key}: {self.name or 'the detector'} is in none of the events"
        raise UnknownFormat(msg)

    def detector(self) -> Detector:
        """Return the detector with the calibration that psana finds."""
        shape = self._model().shape
        found, run, _, second = self._run()
        facts: dict[str, Any] = {}
        for ours, (constant, method) in _ARRAYS.items():
            values = _constant(found, constant) if second else _called(found, method, run)
            if values is not None and values.shape[-len(shape) :] == shape:
                facts[ours] = values
        reader = found.raw if second else found
        positions = _called(reader, "_pixel_coords" if second else "coords_xyz", *(() if second else (run,)))
        places = _called(reader, "_pixel_coord_indexes" if second else "indexes_xy", *(() if second else (run,)))
        if positions is not None and len(positions) == 3 and positions[0].size == math.prod(shape):
            facts |= {name: positions[i].reshape(shape) for i, name in enumerate("xyz")}
        if places is not None and len(places) == 2 and places[0].size == math.prod(shape):
            facts |= {"iy": places[0].reshape(shape), "ix": places[1].reshape(shape)}  # psana's ix is the row
        return Detector(name=self.name or "detector", type=self._kind() or UNKNOWN, shape=shape, **facts)

    @override
    def schema(self) -> xr.Dataset:
        model, detector = self._model(), self.detector()
        empty = Batch(model[None][:0], np.zeros(0, np.int64), np.zeros(0))
        return self._chunk(empty).assign_attrs(
            detector=detector.name, detector_type=detector.type, shape=detector.shape, pixel_size=detector.pixel_size
        )

    def _chunk(self, batch: Batch) -> xr.Dataset:
        dims = (FRAME, "module", "y", "x") if batch.frames.ndim == 4 else (FRAME, "y", "x")
        data = {"data": (dims, batch.frames), "event_id": (FRAME, batch.numbers), "time": (FRAME, batch.times)}
        return xr.Dataset(data, attrs={"file": self.key})

    @override
    def plan(self, target_bytes: int | None = None) -> Iterator[ChunkRef | Problem | None]:
        waiting: list[tuple[int, float, NDArray[Any]]] = []
        absent, row = 0, 0
        for number, time, frame in self._events():
            if frame is None or (waiting and frame.shape != waiting[0][2].shape):
                absent += 1
                continue
            waiting.append((number, time, frame))
            if len(waiting) * frame.nbytes >= (target_bytes or TARGET_BYTES):
                yield self._ref(waiting, row)
                waiting, row = [], row + len(waiting)
        if waiting:
            yield self._ref(waiting, row)
        if absent:
            yield Problem(self.key, f"{absent} events without {self.name or 'the detector'}: left out", 0)

    def _ref(self, events: list[tuple[int, float, NDArray[Any]]], row: int) -> ChunkRef:
        numbers, times, frames = zip(*events, strict=True)
        batch = Batch(np.stack(frames), np.array(numbers, np.int64), np.array(times, np.float64))
        return ChunkRef(self.key, self.key, row, row + len(events), "psana", float(batch.frames.nbytes), where=batch)

    @override
    def read(self, ref: ChunkRef, columns: frozenset[str]) -> xr.Dataset:
        batch: Any = ref.where
        return self._chunk(batch)

    def frame(self, number: int) -> NDArray[Any]:
        """Return one frame; reads the run up to there.

        Raises
        ------
        KeyError
            There is no such event, or the detector is not in it.
        """
        detector, _, events, second = self._run()
        for at, event in enumerate(events):
            found = self._frame(detector, event, second) if at == number else None
            if found is not None:
                return found
        msg = f"event {number} is not in the run, or without {self.name or 'the detector'}"
        raise KeyError(msg)

    def n_frames(self) -> int:
        """Return how many events have the detector; reads the whole run."""
        return sum(frame is not None for _, _, frame in self._events())


def type_name(error: BaseException) -> str:
    """Return the name of an error's class."""
    return type(error).__name__


def _time(event: Any, second: bool) -> float:
    """Return the time of an event, s; psana 2 packs seconds and nanoseconds into 64 bits."""
    try:
        if second:
            stamp = int(event.timestamp)
            return (stamp >> 32) + (stamp & 0xFFFFFFFF) * 1e-9
        seconds, nanoseconds = event.get(importlib.import_module("psana").EventId).time()
        return float(seconds) + float(nanoseconds) * 1e-9
    except (AttributeError, TypeError, ValueError):
        return math.nan


def _constant(detector: Any, name: str) -> NDArray[Any] | None:
    """Return a calibration constant of psana 2: (array, facts) by name."""
    found = (getattr(detector, "calibconst", None) or {}).get(name)
    values = found[0] if isinstance(found, tuple) and found else None
    return None if values is None else np.asarray(values)


def _called(owner: Any, method: str, *arguments: Any) -> Any:
    """Return arrays of a method that may be missing, or fail without a calibration."""
    try:
        found = getattr(owner, method)(*arguments)
    except Exception:  # noqa: BLE001 - psana raises whatever it likes where it has no calibration
        return None
    if found is None:
        return None
    return tuple(np.asarray(one) for one in found) if isinstance(found, tuple) else np.asarray(found)
