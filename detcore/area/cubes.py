"""Cubes: the mean frame, and the mean of every per-event number, in bins of a scan or a delay, laser on and off apart."""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from detcore.area.events.eventfilters import column_named, flags_of
from detcore.area.events.eventstream import EventStream, detector_of
from detcore.area.events.runreduction import opened_with
from detcore.area.events.setupfeed import SetupFeed
from detcore.core.run import EmptyInput
from detcore.core.schema import MissingColumn

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from detcore.area.setup.setupfile import Setup

LASER: Final = ("off", "on")
MAX_BYTES: Final = 4_000_000_000  # of all bins
MAX_STEPS: Final = 10_000  # distinct values that become bins of their own
ALL: Final = "all"


@dataclass
class _Sum:
    """Sums of arrays of one shape; nan is left out."""

    total: NDArray[np.float64]
    squares: NDArray[np.float64] | None
    n: NDArray[np.int64]

    @classmethod
    def like(cls, values: NDArray[Any], *, squares: bool) -> _Sum:
        shape = values.shape
        return cls(np.zeros(shape), np.zeros(shape) if squares else None, np.zeros(shape, np.int64))

    def add(self, values: NDArray[Any]) -> None:
        there = ~np.isnan(values)
        known = np.where(there, values, 0.0)
        self.total += known
        self.n += there
        if self.squares is not None:
            self.squares += known * known

    def merge(self, other: _Sum) -> None:
        self.total += other.total
        self.n += other.n
        if self.squares is not None and other.squares is not None:
            self.squares += other.squares

    @property
    def mean(self) -> NDArray[np.float64]:
        mean = np.divide(self.total, self.n, out=np.full(self.total.shape, np.nan), where=self.n > 0)
        return np.asarray(mean)

    @property
    def std(self) -> NDArray[np.float64]:
        """Standard deviation of a single event, n - 1 in the denominator."""
        assert self.squares is not None
        spread = np.maximum(self.squares - self.total * np.nan_to_num(self.mean), 0.0)
        variance = np.divide(spread, self.n - 1, out=np.full(spread.shape, np.nan), where=self.n > 1)
        return np.asarray(np.sqrt(variance))


@dataclass
class _Bin:
    """One bin: how many events, their frames, their numbers."""

    events: int = 0
    frames: _Sum | None = None
    numbers: dict[str, _Sum] = field(default_factory=dict)

    def merge(self, other: _Bin) -> None:
        self.events += other.events
        if self.frames is None:
            self.frames = other.frames
        elif other.frames is not None:
            self.frames.merge(other.frames)
        for name, one in other.numbers.items():
            if name in self.numbers:
                self.numbers[name].merge(one)
            else:
                self.numbers[name] = one


def cube(
    source: Any,
    setup: Setup | str | os.PathLike[str] | None = None,
    bins: ArrayLike | None = None,
    *,
    by: str = "scan",
    more: Mapping[str, ArrayLike | None] | None = None,
    laser: bool = True,
    std: bool = False,
    image: bool = False,
    threshold: float | None = None,
    frames: bool = True,
    threads: int | None = None,
) -> xr.Dataset:
    """Bin the events of a run.

    Parameters
    ----------
    source
        An opened run, or files.
    setup
        Calibration, mask, filters, background, and functions whose results are binned, too.
    bins
        Edges of the bins, half-open, the last one closed. None: each value is a bin of its own, as the steps of a scan.
    by
        The column of the run that is binned, for instance ``scan`` or ``delay``.
    more
        Further columns with their edges (None: each value), each a further dimension.
    laser
        Whether shots with and without laser are kept apart.
    std
        Also the standard deviation.
    image
        Frames of panels are assembled first.
    threshold
        ADU below which a pixel counts as 0.
    frames
        Whether frames are binned; without, only the results of functions.
    threads
        None: one for each core.

    Returns
    -------
    Dataset
        `n_events` on (<by>, …, [laser]); `mean`, `std` and `n_valid` with the axes of a frame behind; a variable for each
        result of the setup's functions and each number of the run, its mean. Bins without events are nan. Shots
        without X-rays do not count.

    Raises
    ------
    MissingColumn
        The run has no such column.
    EmptyInput
        No event fell into a bin.
    ValueError
        The bins do not grow, or there are too many for the memory.
    """
    feed = SetupFeed(setup)
    opened = opened_with(source, feed.newest)
    axes = {by: _edges(by, bins)} | {name: _edges(name, edges) for name, edges in (more or {}).items()}
    known = {str(name): values for name, values in opened.schema().data_vars.items()}
    columns = {name: _column(known, name) for name in axes}
    binner = _Binner(columns, axes, laser=laser, std=std, image=image, threshold=threshold, frames=frames)
    name = feed.newest.detector.name or detector_of(opened).name
    stream = EventStream(name, opened, feed, user=binner.add, threads=threads)
    binner.detector = stream.first.detector
    n_events = sum(1 for _ in stream.rows())
    merged = binner.merged()
    if binner.fault is not None:
        raise binner.fault
    if not merged:
        why = f"{n_events} events were read, none of them falls into a bin of {', '.join(axes)}"
        problems = tuple(stream.ledger.values())
        raise EmptyInput(f"{opened.key}: {why}" if n_events else opened.key, problems)
    data = binner.dataset(merged)
    lines = [{"part": p.part, "reason": p.reason, "chunks": p.chunks} for p in stream.ledger.values()]
    return data.assign_attrs(
        status="complete",
        detector=name,
        problems=json.dumps(lines),
        provenance=json.dumps(stream.provenance.record(), default=str),
    )


def _edges(name: str, bins: ArrayLike | None) -> NDArray[np.float64] | None:
    if bins is None:
        return None
    edges = np.asarray(bins, np.float64)
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all() or not np.isfinite(edges).all():
        msg = f"bins of {name}: expected at least two finite edges that grow, found {bins!r:.80}"
        raise ValueError(msg)
    return edges


def _column(known: Mapping[str, Any], name: str) -> str:
    found = column_named(known, name)
    if found is None:
        there = ", ".join(sorted(set(known) - {"data", "event_id"})) or "none"
        msg = f"cube: the run has no column {name!r}; it has {there}"
        raise MissingColumn(msg)
    return found


class _Binner:
    """Takes events from several threads, each into bins of its own."""

    def __init__(
        self,
        columns: dict[str, str],
        axes: dict[str, NDArray[np.float64] | None],
        *,
        laser: bool,
        std: bool,
        image: bool,
        threshold: float | None,
        frames: bool,
    ) -> None:
        self.columns, self.axes, self.laser = columns, axes, laser
        self.std, self.image, self.threshold, self.frames = std, image, threshold, frames
        self.detector: Any = None
        self.fault: ValueError | None = None
        self._each: list[dict[tuple[Any, ...], _Bin]] = []
        self._mine, self._lock, self._bytes = threading.local(), threading.Lock(), 0

    def add(self, det: Any, event: dict[str, Any]) -> None:
        """Count an event; called behind the functions."""
        plain = {name.rpartition("/")[2]: np.asarray([value]) for name, value in event.items()}
        plain |= {name: np.asarray([value]) for name, value in event.items()}
        flags = flags_of(plain, 0)
        key = self._key(plain)
        if key is None or flags["dropped"] or det.evt.dat is None or self.fault is not None:
            return
        key = (*key, LASER[flags["laserOn"]] if self.laser else ALL)
        if not hasattr(self._mine, "bins"):
            self._mine.bins = {}
            with self._lock:
                self._each.append(self._mine.bins)
        one = self._mine.bins.setdefault(key, _Bin())
        one.events += 1
        if self.frames:
            values = np.ma.filled(np.ma.asarray(det.evt.dat).astype(np.float64), np.nan)
            if self.threshold is not None:
                values[values < self.threshold] = 0
            values = det.detector.assemble(values) if self.image else values
            if one.frames is None:
                self._reserve(values.nbytes * (3 if self.std else 2))
                one.frames = _Sum.like(values, squares=self.std)
            one.frames.add(values)
        self._numbers(one, det, event)

    def _numbers(self, one: _Bin, det: Any, event: dict[str, Any]) -> None:
        results = {f"{det.name}/{name}": value for name, value in det.results().items()}
        for name, value in itertools.chain(results.items(), event.items()):
            if isinstance(value, dict) or name in {"event_id", "event_time"} or "ragged" in name:
                continue
            array = np.asarray(value)
            if array.dtype.kind not in "biuf" or array.ndim > 3:
                continue
            if name not in one.numbers:
                one.numbers[name] = _Sum.like(array, squares=self.std)
            if one.numbers[name].total.shape == array.shape:
                one.numbers[name].add(array.astype(np.float64))

    def _reserve(self, size: int) -> None:
        with self._lock:
            self._bytes += size
            if self._bytes > MAX_BYTES:
                self.fault = ValueError(
                    f"cube: its frames need more than {MAX_BYTES / 1e9:.0f} GB; take fewer bins, frames=False with the "
                    "results of functions, or a ROI"
                )
                raise self.fault

    def _key(self, event: Mapping[str, NDArray[Any]]) -> tuple[Any, ...] | None:
        """Return the place of an event on each axis, None outside."""
        key: list[Any] = []
        for name, edges in self.axes.items():
            value = float(event[column_named(event, self.columns[name]) or name][0])
            if not np.isfinite(value):
                return None
            if edges is None:
                key.append(value)
                continue
            place = int(np.searchsorted(edges, value, side="right")) - 1
            place -= value == edges[-1]
            if not 0 <= place < len(edges) - 1:
                return None
            key.append(place)
        return tuple(key)

    def merged(self) -> dict[tuple[Any, ...], _Bin]:
        """Return the bins of all threads."""
        whole: dict[tuple[Any, ...], _Bin] = {}
        for bins in self._each:
            for key, one in bins.items():
                whole.setdefault(key, _Bin()).merge(one)
        return whole

    def dataset(self, bins: dict[tuple[Any, ...], _Bin]) -> xr.Dataset:
        """Label the bins."""
        coords: dict[str, Any] = {}
        places: list[dict[Any, int]] = []
        for number, (name, edges) in enumerate(self.axes.items()):
            if edges is None:
                values = sorted({key[number] for key in bins})
                if len(values) > MAX_STEPS:
                    msg = f"cube: {name} has {len(values)} different values; give the edges of bins"
                    raise ValueError(msg)
                places.append({value: place for place, value in enumerate(values)})
                coords[name] = np.array(values)
            else:
                places.append({place: place for place in range(len(edges) - 1)})
                coords[name] = (edges[1:] + edges[:-1]) / 2
        states = LASER if self.laser else (ALL,)
        places.append({state: place for place, state in enumerate(states)})
        dims: tuple[str, ...] = tuple(self.axes)
        if self.laser:
            coords["laser"], dims = list(LASER), (*dims, "laser")
        sizes = tuple(len(place) for place in places)
        found = {tuple(place[part] for place, part in zip(places, key, strict=True)): one for key, one in bins.items()}
        return self._filled(found, sizes, dims, coords)

    def _filled(
        self, found: dict[tuple[int, ...], _Bin], sizes: Sequence[int], dims: tuple[str, ...], coords: dict[str, Any]
    ) -> xr.Dataset:
        kept = sizes if self.laser else sizes[:-1]
        events = np.zeros(sizes, np.int64)
        for place, one in found.items():
            events[place] = one.events
        data: dict[str, Any] = {"n_events": (dims, events.reshape(kept))}
        columns: dict[str, dict[tuple[int, ...], _Sum]] = {}
        for place, one in found.items():
            if one.frames is not None:
                columns.setdefault("", {})[place] = one.frames
            for name, numbers in one.numbers.items():
                columns.setdefault(name, {})[place] = numbers
        for name, each in columns.items():
            shape = next(iter(each.values())).total.shape
            frame = (
                ("module", "y", "x")[-len(shape) :]
                if not name
                else tuple(f"{name}_{axis}" for axis in range(len(shape)))
            )
            wanted = [("mean", "mean"), *([("std", "std")] if self.std else []), *([] if name else [("n_valid", "n")])]
            for what, attribute in wanted:
                kind = np.int64 if attribute == "n" else np.float32 if not name else np.float64
                values = np.full((*sizes, *shape), 0 if attribute == "n" else np.nan, kind)
                for place, sums in each.items():
                    if sums.total.shape == shape:
                        values[place] = getattr(sums, attribute)
                label = what if not name else name if what == "mean" else f"{name}_{what}"
                data[label] = ((*dims, *frame), values.reshape(*kept, *shape))
        taken = [name for name in coords if name in data]  # the mean of what is binned already has its axis
        for name in taken:
            data[f"{name}_mean"] = data.pop(name)
        result = xr.Dataset(data, coords)
        for name, edges in self.axes.items():
            if edges is not None:
                result = result.assign_coords({f"{name}_edges": (f"{name}_edge", edges)})
        return result
