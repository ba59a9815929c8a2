"""What front ends call: open, reduce, look at one event. The same calls serve the script, the command and the tab."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from detcore.core.reduction import Reduction, Together
from detcore.core.run import run
from detcore.core.schema import LIVE
from detcore.core.source import ChunkRef, Instrument
from detcore.occupancy import demo
from detcore.occupancy.detectors import DetectorTable
from detcore.occupancy.kernels import ELEMENT_BITS
from detcore.occupancy.reductions import DriftMap, DriftTime, Hits, Pairs, TriggerBits
from detcore.occupancy.series import HitsPerEvent, Trend
from detcore.occupancy.source import EVENT_COLUMNS, SpillFiles, probe
from detcore.occupancy.steps import Channels, Filters, detector_id

if TYPE_CHECKING:
    from detcore.core.executors import Executor

LIVE_EVENTS = 200_000  # a live feed shows the hits per event of so many, some 40 spills
Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def open_files(paths: Paths, detectors: str | None = None, max_files: int | None = None) -> SpillFiles:
    """Open spill files.

    Parameters
    ----------
    paths
        Files, or folders that are walked for .root files.
    detectors
        A detector table (CSV) instead of the built-in one.
    max_files
        Take only the first so many.

    Returns
    -------
    SpillFiles
        A source for `run` and `stream`.
    """
    several = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    return SpillFiles(tuple(os.fspath(path) for path in several), DetectorTable.read(detectors), max_files)


def reduction(filters: Filters | None = None, schema: xr.Dataset | None = None, *, by: Any = "spill") -> Together:
    """Return everything that one pass gives, as far as the input has it.

    Parameters
    ----------
    filters
        Which events and hits are counted; None: all.
    schema
        Of the input; None: ids alone.
    by
        Slices of the trend: spill, file or events.
    """
    filters = filters or Filters()
    columns = set() if schema is None else set(map(str, schema.data_vars))
    table = DetectorTable.default() if schema is None else schema.attrs["detectors"]
    last = LIVE_EVENTS if schema is not None and schema.attrs.get(LIVE) else None
    wanted: list[Reduction] = [Hits(in_time="flag" in columns), HitsPerEvent(last=last), Trend(by=by), Pairs()]
    if "tdc_time" in columns:
        wanted.append(DriftTime())
    if "trigger_bits" in columns:
        wanted.append(TriggerBits())
    return Together(reductions=tuple(one.after(*filters.steps(table)) for one in wanted))


def reduce(
    paths: Paths, *, detectors: str | None = None, executor: Executor | None = None, **filters: Any
) -> xr.Dataset:
    """Count the hits of spill files.

    Parameters
    ----------
    paths
        Files, or folders that are walked for .root files.
    detectors
        A detector table (CSV) instead of the built-in one.
    executor
        None: threads, one for each core.
    **filters
        Fields of `Filters`, for instance ``in_time=True, spills=(1924430, 1924440), triggers=("MATRIX1",)``.

    Returns
    -------
    Dataset
        `hits` and `events_hit` on (detector_id, element_id), whose values are the file's own ids; `hits_per_event`
        (event); `trend` (slice, detector_id); `drift_time` (detector_id, time in ns); what was dropped.

    Raises
    ------
    InvalidParameters
        A filter is unknown or impossible.
    EmptyInput
        No file could be read; says why for each.

    Examples
    --------
    >>> import tempfile
    >>> from detcore import occupancy
    >>> spills = occupancy.write_demo(tempfile.mkdtemp())
    >>> data = occupancy.reduce(spills[:1], planes=("D0X",))
    >>> int(data.hits.sum()) == int(data.hits.sel(detector_id=3).sum()) == int(data.hits_per_event.sum())
    True
    """
    source = open_files(paths, detectors)
    parameters = Filters.checked(filters)
    data = run(source, lambda schema: reduction(parameters, schema), executor=executor)
    return data.assign_attrs(cut=parameters.words())


def drift_map(
    paths: Paths, detector: str | int, *, detectors: str | None = None, executor: Executor | None = None, **filters: Any
) -> xr.Dataset:
    """Count the hits of one detector by element and drift time.

    Parameters
    ----------
    paths, detectors, executor, filters
        As for `reduce`.
    detector
        Name or id.

    Returns
    -------
    Dataset
        `drift_map` on (element_id, time_coarse in ns).
    """
    source, parameters = open_files(paths, detectors), Filters.checked(filters)
    wanted = DriftMap(detector_id=detector_id(str(detector), source.table))
    return run(source, wanted.after(*parameters.steps(source.table)), executor=executor)


def n_events(path: str | os.PathLike[str]) -> int:
    """Return the number of events in a file, empty ones included."""
    return sum(ref.stop - ref.start for ref in open_files(path).plan_file(os.fspath(path)))


def read_event(path: str | os.PathLike[str], number: int, *, detectors: str | None = None) -> xr.Dataset:
    """Read one event.

    Parameters
    ----------
    path
        A file.
    number
        Its position in the file, from 0.
    detectors
        A detector table (CSV) instead of the built-in one.

    Returns
    -------
    Dataset
        On `hit`: detector_id, element_id, tdc_time (ns), drift_distance (cm), flag, as far as the file has them.
        Attributes: file, entry, run_id, spill_id, event_id, trigger_bits (-1: not in the file).

    Raises
    ------
    IndexError
        The file has fewer events.
    """
    source, name = open_files(path, detectors), os.fspath(path)
    last = n_events(path)
    if not 0 <= number < last:
        msg = f"{name}: no event {number}; it has {last}, counted from 0"
        raise IndexError(msg)
    columns = frozenset(map(str, source.schema_of(name).data_vars))
    chunk = source.read(ChunkRef(source.key, name, number, number + 1), columns)
    channel = chunk["channel"].values
    data: dict[str, Any] = {
        "detector_id": ("hit", (channel >> ELEMENT_BITS).astype(np.int64)),
        "element_id": ("hit", (channel & 511).astype(np.int64)),
    }
    data |= {one: ("hit", chunk[one].values) for one in ("tdc_time", "drift_distance", "flag") if one in columns}
    facts = {one: int(chunk[one].values[0]) if one in columns else -1 for one in EVENT_COLUMNS}
    return xr.Dataset(data, attrs={"file": name, "entry": number, **facts})


def read_plane(path: str | os.PathLike[str], detector: str | int, *, detectors: str | None = None) -> xr.Dataset:
    """Read the hits of one detector in all events of a file.

    Returns
    -------
    Dataset
        On `hit`: detector_id, element_id and, if the file has it, tdc_time (ns).
    """
    source, name = open_files(path, detectors), os.fspath(path)
    wanted = Channels(detector_ids=(detector_id(str(detector), source.table),))
    columns = frozenset({"channel", "tdc_time"} & set(map(str, source.schema_of(name).data_vars)))
    chunks = [wanted.apply(source.read(ref, columns)) for ref in source.plan_file(name)]
    parts = {one: [np.zeros(0, np.uint16), *(chunk[one].values for chunk in chunks)] for one in sorted(columns)}
    channel = np.concatenate(parts["channel"])
    data: dict[str, Any] = {
        "detector_id": ("hit", (channel >> ELEMENT_BITS).astype(np.int64)),
        "element_id": ("hit", (channel & 511).astype(np.int64)),
    }
    if "tdc_time" in parts:
        data["tdc_time"] = ("hit", np.concatenate(parts["tdc_time"][1:]) if chunks else np.zeros(0, np.float32))
    return xr.Dataset(data, attrs={"file": name})


def warm() -> None:
    """Compile the kernels, on a chunk of length zero."""
    source = SpillFiles(())
    for dtype in (np.int16, np.int32):
        schema = source.labelled(dtype)
        wanted = reduction(Filters(in_time=True, elements=(1, 511), triggers=("NIM1",)), schema)
        wanted.update(wanted.empty(schema), schema)
        mapped = DriftMap(detector_id=1)
        mapped.update(mapped.empty(schema), schema)


def commands() -> Any:
    """Return the verbs of the command line; click is imported only then."""
    from detcore.occupancy.cli import occupancy  # noqa: PLC0415

    return occupancy


write_demo = demo.write

INSTRUMENT = Instrument(
    name="occupancy",
    title="Station occupancy",
    probe=probe,
    open=open_files,
    demo=demo.write,
    warm=warm,
    commands=commands,
    parameters=Filters,
    reduction=reduction,
)
