"""One detector of a run as a stream of results: chunks are read and worked on in threads, events come out in order."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.area.events.eventfilters import EVENT_ID, FRAMES, columns_of, flags_of, select, written
from detcore.area.events.pipeline import event_loop
from detcore.area.imagefiles import read_image
from detcore.core.executors import IDLE_SECONDS, cores
from detcore.core.follow import Follow
from detcore.core.provenance import Provenance, describe
from detcore.core.schema import FRAME
from detcore.core.source import ChunkRef, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    import xarray as xr
    from numpy.typing import NDArray

    from detcore.area.detector import Detector
    from detcore.area.events.setupfeed import SetupFeed
    from detcore.area.functions import DetObjectClass
    from detcore.area.setup.setupfile import Setup
    from detcore.core.source import Source

UserFunction = "Callable[[DetObjectClass, dict[str, Any]], dict[str, Any] | None]"


@dataclass
class Row:
    """What one event gave: number, what is known of it, results of the detector (None: no data), user's results."""

    event_id: int
    event: dict[str, Any]
    results: dict[str, Any] | None
    user: dict[str, Any]
    version: int


@dataclass
class Block:
    """What one chunk gave."""

    ref: ChunkRef
    rows: list[Row] = field(default_factory=list)
    n_left_out: int = 0
    problems: list[Problem] = field(default_factory=list)
    lost: bool = False


class EventStream:
    """Works through a source.

    Parameters
    ----------
    name
        Of the detector in the results.
    source
        Where its frames are.
    feed
        Its setup, which may change meanwhile.
    user
        Called with the detector and what is known of the event, after the functions; returns a dictionary or None.
    threads
        None: one for each core. Work that needs events in order is done in one.
    cancel
        Stops the reading.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        feed: SetupFeed,
        *,
        user: Callable[[DetObjectClass, dict[str, Any]], dict[str, Any] | None] | None = None,
        threads: int | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        self.name, self.source, self.feed, self.user = name, source, feed, user
        self.cancel = cancel or threading.Event()
        self.detector: Any = detector_of(source)
        setup = feed.newest
        self.threads = 1 if in_order(setup) else threads or cores()
        self.provenance = Provenance.begin(source)
        self.provenance.reduction = describe(setup)
        self.ledger: dict[tuple[str, str], Problem] = {}
        self.n_left_out = 0
        self.size = source.size()
        self._loops: list[DetObjectClass] = []
        self._mine = threading.local()
        self._backgrounds: dict[int, NDArray[np.float32] | None] = {}
        self._images: dict[str, NDArray[np.float32]] = {}
        self._lock = threading.Lock()
        self.first = event_loop(
            self.detector, setup, image=self._image(setup)
        )  # what is wrong with the setup is told before anything is read
        self._ready: DetObjectClass | None = self.first  # for the thread that comes first
        for part, words in self.first.remarks().items():
            self.note(Problem(part, words, 0))
        for one in self.first.sums.values():
            one.counts(flags_of({}, 0))

    def rows(self) -> Iterator[Row | None]:
        """Yield the events in order; None when a live source has nothing new."""
        waiting: deque[Future[Block]] = deque()
        with ThreadPoolExecutor(self.threads, thread_name_prefix="detcore-area") as pool:
            try:
                for item in self.source.plan():
                    if self.cancel.is_set():
                        break
                    if isinstance(item, ChunkRef):
                        version, setup = self.feed.now()
                        waiting.append(pool.submit(self._work, item, version, setup))
                        if len(waiting) > 2 * self.threads:
                            yield from self._finished(waiting.popleft().result())
                    elif item is None:
                        while waiting:
                            yield from self._finished(waiting.popleft().result())
                        yield None
                        self.cancel.wait(IDLE_SECONDS)
                    else:
                        self.note(item)
                while waiting:
                    yield from self._finished(waiting.popleft().result())
            finally:
                for future in waiting:
                    future.cancel()

    def _finished(self, block: Block) -> Iterator[Row]:
        self.n_left_out += block.n_left_out
        for problem in (*block.problems, *self.feed.problems):
            self.note(problem)
        self.feed.problems.clear()
        if not block.lost:
            self.provenance.add(block.ref)
        yield from block.rows

    def note(self, problem: Problem) -> None:
        """Add a line to the ledger; the same one again only counts."""
        key = (problem.part, problem.reason)
        known = self.ledger.get(key)
        if known is not None:
            problem = Problem(*key, known.chunks + problem.chunks, known.weight + problem.weight)
        self.ledger[key] = problem

    @property
    def fraction(self) -> float | None:
        """How much of the source was seen; None if its size is not known."""
        if not self.size:
            return None
        seen = self.provenance.weight + sum(problem.weight for problem in self.ledger.values())
        return min(seen / self.size, 1.0)

    def loops(self) -> list[DetObjectClass]:
        """Return the event loops of all threads and versions of the setup, newest version first."""
        return [*reversed(self._loops)] or [self.first]

    def _work(self, ref: ChunkRef, version: int, setup: Setup) -> Block:
        """Read a chunk and work on its events; whatever goes wrong is a line of the ledger."""
        block = Block(ref)
        for piece in (ref, None):
            try:
                if piece is not None:
                    self._reduce(self.source.read(piece, self._columns), version, setup, block)
                    return block
                pieces = self.source.pieces(ref)
            except Exception as error:  # noqa: BLE001 - whatever a reader or a function raises
                fault = error
        block.rows.clear()
        for piece in pieces:
            try:
                self._reduce(self.source.read(piece, self._columns), version, setup, block)
            except Exception as error:  # noqa: BLE001 - as above
                block.problems.append(Problem.of(piece.part, error))
        if not block.rows:
            block.lost = True
            block.problems = [Problem.of(ref.part, fault, ref.weight)]
        return block

    @cached_property
    def _columns(self) -> frozenset[str]:
        return frozenset(map(str, self.source.schema().data_vars)) | {FRAMES, EVENT_ID}

    def _reduce(self, chunk: xr.Dataset, version: int, setup: Setup, block: Block) -> None:
        chosen = select(chunk, setup.filters)
        columns, numbers = columns_of(chunk), chunk.variables[EVENT_ID].values
        frames = chunk.variables[FRAMES].values
        loop = self._loop(version, setup)
        background = self._background(version, setup, loop)
        rows, problems = [], []
        for event in np.flatnonzero(chosen).tolist():
            loop.getData(frames[event])
            if background is not None and loop.evt.dat is not None:
                loop.evt.dat = loop.evt.dat - background
            loop.processFuncs(strict=False)
            told: list[str] = getattr(loop.evt, "problems", [])
            problems += [Problem(self.name, line.removeprefix(f"{self.name}: ")) for line in told]
            loop.processSums(**flags_of(columns, event))
            known = written(columns, event, int(numbers[event]))
            extra = self._users(loop, known, problems)
            rows.append(Row(int(numbers[event]), known, loop.results(), dict(extra or {}), version))
        block.rows += rows
        block.problems += problems
        block.n_left_out += chunk.sizes[FRAME] - int(chosen.sum())

    def _users(self, loop: DetObjectClass, known: dict[str, Any], problems: list[Problem]) -> dict[str, Any] | None:
        """Call the user's function; its failure costs its own numbers of this event only."""
        if self.user is None:
            return None
        try:
            return self.user(loop, known)
        except Exception as error:  # noqa: BLE001 - whatever somebody's function raises
            problems.append(Problem.of("user function", error))
            return None

    def _loop(self, version: int, setup: Setup) -> DetObjectClass:
        """Return the event loop of this thread: functions keep the data of an event, so none is shared."""
        if getattr(self._mine, "version", None) != version:
            with self._lock:
                ready, self._ready = self._ready if version == 0 else None, None
            loop = ready if ready is not None else event_loop(self.detector, setup, image=self._image(setup))
            self._mine.loop, self._mine.version = loop, version
            with self._lock:
                self._loops.append(loop)
        return self._mine.loop  # type: ignore[no-any-return]

    def _image(self, setup: Setup) -> NDArray[np.float32] | None:
        """Return the mean image that thresholds of the mask look at; made again only for another calibration."""
        if setup.mask_image is not None or not setup.image_steps:
            return None
        key = repr((setup.common_mode, setup.calibration))
        with self._lock:
            if key not in self._images:
                self._images[key] = first_mean(self.source, setup)
            return self._images[key]

    def _background(self, version: int, setup: Setup, loop: DetObjectClass) -> NDArray[np.float32] | None:
        """Return what is subtracted from each calibrated frame; made once for each version of the setup."""
        wanted = setup.background
        if wanted.image is None and not wanted.dropped:
            return None
        with self._lock:
            if version not in self._backgrounds:
                image = None if wanted.image is None else read_image(wanted.image, loop.shape)
                self._backgrounds[version] = dropped_mean(self.source, setup) if wanted.dropped else image
            return self._backgrounds[version]


def detector_of(source: Source) -> Detector:
    """Return the detector of a run, also of one that is being written.

    Raises
    ------
    TypeError
        The source is not one of an area detector.
    """
    files = source.source if isinstance(source, Follow) else source
    if not callable(getattr(files, "detector", None)):
        msg = f"{source.key}: expected frames of an area detector, found {type(files).__name__}"
        raise TypeError(msg)
    found: Detector = files.detector()  # type: ignore[attr-defined]
    return found


def in_order(setup: Setup) -> bool:
    """Whether the work depends on the order of events: ghosts of the previous one, or a sum without the first."""
    ghosts = isinstance(setup.common_mode, int) and setup.common_mode > 100
    first = any({"skip", "skipfirst"} & set(name.lower().split("_")) for name in setup.sums)
    return ghosts or first or any(one.kind == "SvdFit" for one in setup.functions)


def first_mean(source: Source, setup: Setup, n_events: int = 100) -> NDArray[np.float32]:
    """Return the mean calibrated frame of the first events, (frame shape): what thresholds of a mask look at.

    Raises
    ------
    ValueError
        The run is still being written, or empty.
    """
    if source.size() is None:
        msg = (
            f"{source.key}: the mask step {setup.image_steps[0].who} looks at an image, and a live run has none yet; "
            "write an average and name its file as mask_image in the setup"
        )
        raise ValueError(msg)
    mean, n = _mean(source, setup.without_image_steps(), first=n_events)
    if not n:
        msg = f"{source.key}: no event, so the mask step {setup.image_steps[0].who} has no image to look at"
        raise ValueError(msg)
    return mean


def dropped_mean(source: Source, setup: Setup) -> NDArray[np.float32]:
    """Return the mean calibrated frame of the shots without X-rays, (frame shape).

    Raises
    ------
    ValueError
        The run has none, or is still being written.
    """
    if source.size() is None:
        msg = f"{source.key}: dropped shots of a live run are not known yet; give background.image instead"
        raise ValueError(msg)
    mean, n = _mean(source, setup, dropped=True)
    if not n:
        msg = f"{source.key}: no shot without X-rays (column xray = 0), so background.dropped has nothing to subtract"
        raise ValueError(msg)
    return mean


def _mean(
    source: Source, setup: Setup, *, first: int | None = None, dropped: bool = False
) -> tuple[NDArray[np.float32], int]:
    """Return the mean of calibrated frames, and of how many: the first ones, or those without X-rays."""
    plain = setup.with_(rois=(), azimuthal=None, droplets=None, spectrum=None, projection=None, photons=None,
                        autocorrelation=None, rebin=None, sparsify=None, image=None, functions=(), sums=())  # fmt: skip
    loop = event_loop(detector_of(source), plain)
    total, n, n_frames = np.zeros(loop.shape), np.zeros(loop.shape, np.int64), 0
    wanted = frozenset(map(str, source.schema().data_vars)) | {FRAMES, EVENT_ID}
    for item in source.plan():
        if not isinstance(item, ChunkRef):
            continue
        chunk = source.read(item, wanted)
        columns = columns_of(chunk)
        for event in range(chunk.sizes[FRAME]):
            if dropped and not flags_of(columns, event)["dropped"]:
                continue
            loop.getData(chunk.variables[FRAMES].values[event])
            values = np.ma.filled(np.ma.asarray(loop.evt.dat, np.float64), np.nan)
            there = np.isfinite(values)
            total[there] += values[there]
            n += there
            n_frames += 1
            if n_frames == first:
                break
        if n_frames == first:
            break
    mean = np.divide(total, n, out=np.full(loop.shape, np.nan), where=n > 0)
    return np.asarray(mean, np.float32), n_frames
