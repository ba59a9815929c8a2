"""Averages of a run: which events, calibrated how, and what is accumulated of every pixel."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from typing_extensions import override

from detcore.area.events.eventfilters import EVENT_ID, FRAMES, column_named, columns_of, select
from detcore.area.events.eventstream import dropped_mean
from detcore.area.events.pipeline import prepared
from detcore.area.events.runreduction import opened_with
from detcore.area.functions.calibration import Calibration
from detcore.area.imagefiles import read_image
from detcore.area.images.running import COUNT_BYTES, MAX_HISTOGRAM
from detcore.area.reductions import Average
from detcore.area.reductions_azimuthal import Plane
from detcore.area.setup.setupfile import Setup
from detcore.area.setup.setupsections import EventFilter
from detcore.area.source import AreaFiles
from detcore.area.steps import calibrating
from detcore.core.executors import Threads
from detcore.core.run import EmptyInput, problems_of, run
from detcore.core.schema import FRAME
from detcore.core.source import ChunkRef
from detcore.core.steps import Step

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import xarray as xr

    from detcore.area.detector import Detector
    from detcore.core.executors import Executor
    from detcore.core.source import Source

RAW: Final = -1
MEDIAN_BINS: Final = 256
SELECTIONS: Final = {  # name -> filter
    "dropped": EventFilter(field="xray", high=0),
    "xrayOn": EventFilter(field="xray", high=0, invert=True),
    "laserOn": EventFilter(field="laser", high=0, invert=True),
    "laserOff": EventFilter(field="laser", high=0),
}
Filters = "str | EventFilter | Iterable[str | EventFilter] | None"


class TakeEvents(Step):
    """Keeps the events that pass filters and, if `numbers` is not empty, are in it."""

    filters: tuple[EventFilter, ...] = ()  # by the names of the columns, see `resolved`
    numbers: frozenset[int] = frozenset()

    @override
    def needs(self) -> frozenset[str]:
        return frozenset({EVENT_ID, *(one.field for one in self.filters)})

    @override
    def apply(self, chunk: xr.Dataset) -> xr.Dataset:
        keep = select(chunk, self.filters)
        if self.numbers:
            keep &= np.isin(chunk.variables[EVENT_ID].values, list(self.numbers))
        return chunk if keep.all() else chunk.isel({FRAME: np.flatnonzero(keep)})


def average(
    source: Any,
    setup: Setup | str | os.PathLike[str] | None = None,
    *,
    n_events: int | None = None,
    skip: int = 0,
    uniform: bool = False,
    threshold: float | None = None,
    noise_threshold: float | None = None,
    median: bool | tuple[float, float] = False,
    median_bins: int | None = None,
    filters: Any = None,
    common_mode: Any = None,
    executor: Executor | None = None,
    running: Callable[..., xr.Dataset] = run,
) -> xr.Dataset:
    """Average the frames of a run.

    Parameters
    ----------
    source
        An opened run, or files.
    setup
        Calibration, common mode, filters and background; None: what the run itself has.
    n_events, skip, uniform
        At most so many of those that pass the filters, after the first `skip` of them; spread over the run. None: all.
    threshold, noise_threshold
        Smaller values count as 0, in ADU or in units of the noise; hits are the others.
    median
        Also the median, by a histogram of each pixel between two values, ADU; True: between values that are looked for
        in the first frames. The size of a bin is the attribute `median_resolution`.
    median_bins
        Bins of that histogram; None: 256, fewer for large frames.
    filters
        Beside those of the setup: an `EventFilter`, or dropped, xrayOn, laserOn, laserOff; or several.
    common_mode
        A number or steps, instead of those of the setup.
    executor
        How to work; None: threads, one for each core, but a single one for medians, whose histograms are large.
    running
        What works through the source; `run`, or the same under a progress bar.

    Returns
    -------
    Dataset
        `mean`, `std`, `min`, `max` ([module,] y, x), nan where a pixel was never valid; `n_valid`, `n_hits`, `n_frames`;
        `median` if asked for. Masks are not applied. Attributes: `common_mode`, the facts of the detector, `event_ids`
        (if not all), `status`, `problems`, `provenance`.

    Raises
    ------
    EmptyInput
        Nothing could be read.
    ValueError
        No event is left, or the correction lacks its constants.
    """
    known = setup if isinstance(setup, Setup) else Setup() if setup is None else Setup.load(setup)
    opened: Any = opened_with(source, known)
    wanted = resolved(opened, (*known.filters, *filters_of(filters)))
    detector = prepared(opened.detector(), known)
    calibration = calibration_of(detector, known.common_mode if common_mode is None else common_mode, opened)
    taken, numbers = events_of(opened, wanted, n_events, skip, uniform=uniform)
    picked = TakeEvents(filters=wanted, numbers=numbers)
    through = calibrating(calibration, _background(known, detector, opened))
    bounds = median_range(taken, picked, *through) if median is True else median or None
    bins = median_bins or _bins(detector.shape)
    noise = calibration.noise if noise_threshold is not None else None
    if noise_threshold is not None and noise is None:
        msg = f"{detector.name}: a threshold in units of the noise needs the noise of a dark run; give it or threshold, ADU"
        raise ValueError(msg)
    reduction = Average(
        threshold=threshold,
        noise_threshold=noise_threshold,
        noise=None if noise is None else Plane(noise),
        median_range=bounds,
        median_bins=bins,
    )
    data = running(taken, reduction.after(picked, *through), executor=executor or Threads(1 if median else None))
    if not int(data["n_frames"]):
        if problems_of(data):
            raise EmptyInput(opened.key, tuple(problems_of(data)))
        msg = f"{opened.key}: no event is left by the filters {', '.join(one.field for one in wanted) or '(none)'}"
        raise ValueError(msg)
    facts: dict[str, Any] = {
        "detector": detector.name,
        "detector_type": detector.type,
        "common_mode": calibration.number,
        "pixel_size": detector.pixel_size,
        "orientation": detector.orientation,
    }
    if numbers:
        facts["event_ids"] = tuple(sorted(numbers))
    return data.assign_attrs(facts)


def filters_of(filters: Any) -> tuple[EventFilter, ...]:
    """Return filters from names (dropped, xrayOn, laserOn, laserOff), filters, or several of them.

    Raises
    ------
    ValueError
        A name is not known.

    Examples
    --------
    >>> filters_of("laserOff")[0].high
    0.0
    """
    if filters is None:
        return ()
    found = []
    for one in (filters,) if isinstance(filters, (str, EventFilter)) else filters:
        if isinstance(one, str) and one not in SELECTIONS:
            msg = f"no event selection {one!r:.60}; known: {', '.join(SELECTIONS)}, or an EventFilter"
            raise ValueError(msg)
        found.append(SELECTIONS[one] if isinstance(one, str) else one)
    return tuple(found)


def resolved(source: Source, filters: tuple[EventFilter, ...]) -> tuple[EventFilter, ...]:
    """Return filters with the names that the columns have in a run.

    Raises
    ------
    MissingColumn
        The run has no such column.
    """
    schema = source.schema()
    select(schema, filters)
    columns = columns_of(schema)
    return tuple(one.model_copy(update={"field": column_named(columns, one.field) or one.field}) for one in filters)


def calibration_of(detector: Detector, common_mode: Any, source: Source | None = None) -> Calibration:
    """Return how frames are calibrated; without a pedestal and without a wish, whole numbers stay raw.

    Parameters
    ----------
    detector
        With its constants.
    common_mode
        A number, steps, or None for what is usual.
    source
        Whose frames.
    """
    if common_mode is None and detector.pedestal is None and source is not None:
        kind = source.schema()[FRAMES].dtype.kind
        return Calibration(detector, RAW if kind in "iu" else common_mode)
    return Calibration(detector, common_mode)


def _background(setup: Setup, detector: Detector, source: Source) -> Plane | None:
    if setup.background.dropped:
        return Plane(dropped_mean(source, setup))
    if setup.background.image is not None:
        return Plane(read_image(setup.background.image, detector.shape).astype(np.float32))
    return None


def events_of(
    source: Source, filters: tuple[EventFilter, ...], n: int | None = None, skip: int = 0, *, uniform: bool = False
) -> tuple[Source, frozenset[int]]:
    """Return a source that does not read more than it must, and the numbers of the events to take (none: all that pass).

    Parameters
    ----------
    source
        A run.
    filters
        What the events must pass.
    n, skip, uniform
        At most so many, after some, spread over the run.

    Raises
    ------
    ValueError
        No event is left.
    """
    numbers = _chosen(source, filters, n, skip, uniform=uniform)
    return (source, frozenset()) if numbers is None else (_within(source, numbers), frozenset(numbers))


def _chosen(
    source: Source, filters: tuple[EventFilter, ...], n: int | None, skip: int, *, uniform: bool
) -> list[int] | None:
    """Return the numbers of the events to take, None for all that pass."""
    if n is None and not skip:
        return None
    if (n is not None and n < 1) or skip < 0:
        msg = f"expected at least one event after skip >= 0; found n_events={n}, skip={skip}"
        raise ValueError(msg)
    columns = {one.field for one in filters}
    numbers: list[int] = []
    enough = math.inf if uniform or n is None else skip + n
    for item in source.plan():
        if isinstance(item, ChunkRef):
            chunk = source.read(item, frozenset(columns | {EVENT_ID}))
            numbers += chunk.variables[EVENT_ID].values[select(chunk, filters)].tolist()
        if len(numbers) >= enough or item is None:
            break
    numbers = sorted(numbers)[skip:]
    if not numbers:
        msg = f"{source.key}: no event is left after the filters and {skip} skipped ones"
        raise ValueError(msg)
    if n is None or n >= len(numbers):
        return numbers
    if not uniform:
        return numbers[:n]
    return [numbers[place] for place in np.linspace(0, len(numbers) - 1, n).round().astype(int)]


def _within(source: Source, numbers: list[int]) -> Source:
    """Return a source that does not read beyond the events that are wanted."""
    if not isinstance(source, AreaFiles) or source.frames is not None:
        return source
    steps = np.unique(np.diff(numbers))
    step = int(steps[0]) if len(steps) == 1 else 1
    return replace(source, frames=(numbers[0], numbers[-1] + 1, step))


def median_range(source: Source, *steps: Step) -> tuple[float, float]:
    """Return between which values nearly all pixels of the first frames are, with room on both sides."""
    for item in source.plan(1):
        if isinstance(item, ChunkRef):
            chunk = source.read(item, frozenset(map(str, source.schema().data_vars)))
            for step in steps:
                chunk = step.apply(chunk)
            values = chunk.variables[FRAMES].values.astype(np.float64)
            values = values[np.isfinite(values)]
            if values.size:
                low, high = np.percentile(values, (0.1, 99.9))
                room = max(0.25 * (high - low), 1.0)
                return float(low - room), float(high + room)
    return 0.0, 1.0


def _bins(shape: tuple[int, ...]) -> int:
    """Return how many bins the memory allows."""
    return max(min(MEDIAN_BINS, MAX_HISTOGRAM // (COUNT_BYTES * math.prod(shape)) - 2), 16)
