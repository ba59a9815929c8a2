"""Reduce a run to a small HDF5 file: for each event what the setup asks for, sums at the end, provenance throughout."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from detcore.area.events.eventstream import EventStream, detector_of
from detcore.area.events.setupfeed import SetupFeed
from detcore.area.events.target import check_target
from detcore.area.smalldata.smalldata import CONFIG, SmallData
from detcore.area.smalldata.smallread import dataset_of, in_memory, read_reduced
from detcore.area.source import open_files
from detcore.core.follow import Follow
from detcore.core.run import EmptyInput
from detcore.core.source import Problem, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    import xarray as xr

    from detcore.area.events.eventstream import Row
    from detcore.area.setup.setupfile import Setup

    AnySetup = Setup | str | os.PathLike[str] | Callable[[], Setup] | None


@dataclass(frozen=True)
class Progress:
    """How far a reduction is.

    Parameters
    ----------
    n_events, n_left_out
        Written, and left out by filters.
    fraction
        Of the input; None for a live one.
    status
        complete: all is written; partial: it was stopped.
    problems
        The error ledger.
    setup_version
        In use, from 0; it grows when the setup is changed meanwhile.
    """

    n_events: int
    n_left_out: int
    fraction: float | None
    status: Literal["running", "waiting", "complete", "partial"]
    problems: tuple[Problem, ...]
    setup_version: int


def reduce(
    source: Any,
    setup: AnySetup | Mapping[str, AnySetup] = None,
    output: str | os.PathLike[str] | None = None,
    *,
    user: Callable[..., dict[str, Any] | None] | None = None,
    follow_setup: bool = False,
    threads: int | None = None,
    cancel: threading.Event | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> xr.Dataset:
    """Reduce a run.

    Parameters
    ----------
    source
        An opened run, files, or a mapping from names of detectors to them; None for a detector that is absent.
    setup
        What to compute: a setup, the name of its file, or a function that is asked before each chunk; for several
        detectors a mapping from their names.
    output
        The HDF5 file; None: nothing is written.
    user
        Called for each event with the detector and what is known of it, in several threads; its dictionary stands beside
        the results.
    follow_setup
        Look at the setup file before each chunk: a new version starts with it, and is recorded.
    threads
        None: one for each core.
    cancel
        Set it from another thread to stop; what was done until then is kept, marked partial.
    progress
        Called now and then.

    Returns
    -------
    Dataset
        Variables on `event` under their paths in the file, for instance ``epix/ROI_0_sum``; sums as ``Sums/epix_calib``.
        Attributes: `status`, `problems`, `provenance` (the last two as JSON), and `file`. What is larger than 1 GB stays
        in the file.

    Raises
    ------
    EmptyInput
        No event could be read; says why.
    ValueError
        The setup does not fit the run, or the output is one of the files that it is made from.
    OSError
        The output cannot be written.
    """
    told = progress or (lambda _: None)
    options: dict[str, Any] = {"user": user, "follow_setup": follow_setup, "threads": threads, "cancel": cancel}
    if output is not None:
        for one in reducing(source, setup, output, **options):
            told(one)
        return read_reduced(output)
    with in_memory() as file:
        for one in reducing(source, setup, file, **options):
            told(one)
        return dataset_of(file)


def reducing(
    source: Any,
    setup: AnySetup | Mapping[str, AnySetup],
    output: Any,
    *,
    user: Callable[..., dict[str, Any] | None] | None = None,
    follow_setup: bool = False,
    threads: int | None = None,
    cancel: threading.Event | None = None,
    every: float = 0.5,
) -> Generator[Progress]:
    """Reduce a run step by step, see `reduce`; the file is there after the last step.

    Parameters
    ----------
    output
        Name of the file, or an open HDF5 file.
    every
        Seconds between steps.

    Yields
    ------
    Progress
        The last one is complete, or partial.
    """
    cancel = cancel or threading.Event()
    setups = setup if isinstance(setup, Mapping) else None
    sources = source if isinstance(source, Mapping) else {"": source}
    streams: list[EventStream] = []
    absent: list[str] = []
    for name, one in sources.items():
        feed = SetupFeed(setups.get(name) if setups is not None else setup, follow_setup)  # type: ignore[arg-type]
        if one is None:
            absent.append(name)
            continue
        opened = opened_with(one, feed.newest)
        if isinstance(output, (str, os.PathLike)):
            check_target(output, opened, feed.newest, feed.given)
        yield from _until_there(opened, cancel, every)
        known = name or feed.newest.detector.name or detector_of(opened).name
        streams.append(EventStream(known, opened, feed, user=user, threads=threads, cancel=cancel))
    if not streams:
        msg = f"none of the detectors is in the run: {', '.join(absent) or 'no source was given'}"
        raise ValueError(msg)
    with SmallData(output, strict=False) as small:
        yield from _written(small, streams, absent, every, cancel)
        _close(small, streams, partial=cancel.is_set())
    yield _progress(small, streams, "partial" if cancel.is_set() else "complete")


def _until_there(source: Source, cancel: threading.Event, every: float) -> Iterator[Progress]:
    """Wait for the first frames of a run that is being written."""
    while isinstance(source, Follow) and not cancel.is_set():
        try:
            source.schema()
        except (OSError, ValueError):
            yield Progress(0, 0, None, "waiting", (), 0)
            cancel.wait(min(every, 1.0))
        else:
            return


def opened_with(source: Any, setup: Setup) -> Source:
    """Return a source: as it is, or opened as a setup says (data set, orientation, type, name).

    Parameters
    ----------
    source
        A source, or files.
    setup
        Of its detector.
    """
    if isinstance(source, Source):
        return source
    section = setup.detector
    options: dict[str, Any] = {"orientation": section.orientation}
    if section.dataset:
        options["dataset"] = section.dataset
    if section.name:
        options["detector"] = section.name
    if section.type != "unknown":
        options["type"] = section.type
    return open_files(source, **options)


def _written(
    small: SmallData, streams: list[EventStream], absent: list[str], every: float, cancel: threading.Event
) -> Iterator[Progress]:
    shown, versions = time.monotonic(), {one.name: -1 for one in streams}
    idle = False
    for rows in _joined(streams):
        if rows is None:
            small.flush()
            if not idle:
                yield _progress(small, streams, "waiting")
            idle = True
            continue
        idle = False
        _write(small, streams, absent, rows, versions)
        if time.monotonic() - shown >= every:
            yield _progress(small, streams, "running")
            shown = time.monotonic()
    if small.n_events == 0 and not cancel.is_set():
        problems = _problems(small, streams)
        left_out = sum(one.n_left_out for one in streams)
        why = (
            [Problem("filters", f"all {left_out} events are left out by the filters of the setup", 0)]
            if left_out
            else []
        )
        raise EmptyInput(streams[0].source.key, (*problems, *why))


def _write(
    small: SmallData, streams: list[EventStream], absent: list[str], rows: dict[str, Row], versions: dict[str, int]
) -> None:
    """Write one event; the first that a version of the setup was used for is kept with it."""
    event: dict[str, Any] = {}
    for name, row in rows.items():
        event = row.event | event | row.user
        if row.results is not None:
            event[name] = {**event.get(name, {}), **row.results}
    for one in streams:
        mine = rows.get(one.name)
        event[f"damage/{one.name}"] = np.uint8(mine is not None and mine.results is not None)
        version = -1 if mine is None else mine.version
        event["setup_version" if len(streams) == 1 else f"setup_version/{one.name}"] = np.int32(version)
        if version > versions[one.name]:
            versions[one.name] = version
            place = f"detcore/setups/{one.name}"
            small.once(place, {f"version_{version:04d}": one.feed.versions[version].to_yaml()})
            small.file[f"{place}/version_{version:04d}"].attrs["first_event"] = min(r.event_id for r in rows.values())
    event |= {f"damage/{name}": np.uint8(0) for name in absent}
    try:
        small.event(event)
    except ValueError as error:
        streams[0].note(Problem.of("event data", error, 0.0))
        small.event({key: value for key, value in event.items() if key in next(iter(rows.values())).event})


def _joined(streams: list[EventStream]) -> Iterator[dict[str, Row] | None]:
    """Yield the events that any of the detectors has, in order, each with the rows of those that have it."""
    if len(streams) == 1:
        for row in streams[0].rows():
            yield None if row is None else {streams[0].name: row}
        return
    running = {one.name: one.rows() for one in streams}
    heads: dict[str, Row] = {}
    while running or heads:
        for name in [name for name in running if name not in heads]:
            try:
                row = next(running[name])
            except StopIteration:
                del running[name]
                continue
            if row is None:
                yield None
            else:
                heads[name] = row
        if heads and all(name in heads for name in running):
            first = min(row.event_id for row in heads.values())
            yield {name: heads.pop(name) for name in [*heads] if heads[name].event_id == first}


def _problems(small: SmallData, streams: list[EventStream]) -> tuple[Problem, ...]:
    refused = [Problem("event data", reason, 0) for reason in small.refused.values()]
    return (*(problem for one in streams for problem in one.ledger.values()), *refused)


def _progress(small: SmallData, streams: list[EventStream], status: Any) -> Progress:
    fractions = [one.fraction for one in streams]
    known = [one for one in fractions if one is not None]
    return Progress(
        small.n_events,
        sum(one.n_left_out for one in streams),
        1.0 if status == "complete" else min(known) if len(known) == len(fractions) else None,
        status,
        _problems(small, streams),
        max(len(one.feed.versions) - 1 for one in streams),
    )


def _close(small: SmallData, streams: list[EventStream], *, partial: bool) -> None:
    """Write what belongs to the run: constants and parameters, sums, the ledger and the provenance."""
    small.flush()
    for one in streams:
        loops = one.loops()
        sums: dict[str, Any] = {}
        for loop in loops:
            for name, found in loop.sums.items():
                if name in sums:
                    sums[name].merge(found)
                else:
                    sums[name] = found
        small.once(f"{CONFIG}/{one.name}", loops[0].params_as_dict())
        totals = {name: found.total for name, found in sums.items() if found.total is not None}
        small.sums(one.name, totals, {name: found.n for name, found in sums.items()})
        for name in totals:
            if (sums[name].n_valid != sums[name].n).any():
                small.once("Sums", {f"{one.name}_{name}_n": sums[name].n_valid})
    records = [one.provenance.record() for one in streams]
    attributes = small.file.attrs
    attributes["status"] = "partial" if partial else "complete"
    attributes["n_events"], attributes["n_left_out"] = small.n_events, sum(one.n_left_out for one in streams)
    attributes["provenance"] = json.dumps(records[0] if len(records) == 1 else records, default=str)
    attributes["problems"] = json.dumps(
        [{"part": p.part, "reason": p.reason, "chunks": p.chunks} for p in _problems(small, streams)]
    )
