"""What is known of each event beside its frame: selections by it, on or off flags, and its names in the small file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detcore.core.schema import FRAME, MissingColumn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import xarray as xr
    from numpy.typing import NDArray

    from detcore.area.setup.setupsections import EventFilter

EVENT_ID: Final = "event_id"
FRAMES: Final = "data"
LIGHTS: Final = ("xray", "laser")  # columns that say whether a shot had it


def columns_of(chunk: xr.Dataset) -> dict[str, NDArray[Any]]:
    """Return the columns (frame, …) of a chunk by name, without the frames and the numbers of the events."""
    return {
        str(name): variable.values
        for name, variable in chunk.variables.items()
        if variable.dims[:1] == (FRAME,) and name not in {FRAMES, EVENT_ID}
    }


def column_named(columns: Mapping[str, NDArray[Any]], name: str) -> str | None:
    """Return the column that people mean: by its name, or by the name that it gets in the small file.

    Examples
    --------
    >>> column_named({"xray": 0, "delay": 0}, "lightStatus/xray"), column_named({"i0": 0}, "delay")
    ('xray', None)
    """
    for each in (name, name.replace("/", "_"), name.rpartition("/")[2], name.rpartition("_")[2]):
        if each in columns:
            return each
    return None


def select(chunk: xr.Dataset, filters: Iterable[EventFilter]) -> NDArray[np.bool_]:
    """Return which events of a chunk pass all filters, (frame,); an event without a number passes none.

    Raises
    ------
    MissingColumn
        There is no such column; lists those that there are.
    """
    columns = columns_of(chunk)
    chosen = np.ones(chunk.sizes[FRAME], np.bool_)
    for one in filters:
        name = column_named(columns, one.field)
        if name is None:
            known = ", ".join(sorted(columns)) or "none"
            msg = f"event filter: the run has no column {one.field!r}; it has {known}"
            raise MissingColumn(msg)
        values = np.asarray(columns[name], np.float64)
        inside = np.ones(len(values), np.bool_)
        if one.low is not None:
            inside &= values >= one.low
        if one.high is not None:
            inside &= values <= one.high
        chosen &= ~np.isnan(values) & (inside != one.invert)
    return chosen


def flags_of(columns: Mapping[str, NDArray[Any]], event: int) -> dict[str, bool]:
    """Return what is true of an event: `xrayOn`, `dropped`, `laserOn`, `laserOff`; without such columns the X-rays are on."""
    lights = {}
    for light in LIGHTS:
        name = column_named(columns, f"lightStatus/{light}")
        lights[light] = True if name is None else bool(columns[name][event] > 0)
    return {
        "xrayOn": lights["xray"],
        "dropped": not lights["xray"],
        "laserOn": lights["xray"] and lights["laser"],
        "laserOff": lights["xray"] and not lights["laser"],
    }


def written(columns: Mapping[str, NDArray[Any]], event: int, event_id: int) -> dict[str, Any]:
    """Return what the small file holds of an event beside detectors, under the known names.

    Examples
    --------
    >>> sorted(written({"xray": np.ones(1), "scan": np.zeros(1), "i0": np.ones(1), "time": np.ones(1)}, 0, 7))
    ['event_id', 'event_time', 'i0', 'lightStatus/xray', 'scan/scan']
    """
    found: dict[str, Any] = {EVENT_ID: np.int64(event_id)}
    for name, values in columns.items():
        value = values[event]
        if name == "time":
            found["event_time"] = value
        elif name in LIGHTS or name.removeprefix("lightStatus_") in LIGHTS:
            found[f"lightStatus/{name.removeprefix('lightStatus_')}"] = np.uint8(value > 0)
        elif name.startswith("scan"):
            found[f"scan/{name.removeprefix('scan_')}"] = value
        elif isinstance(value, bytes):
            found[name] = value.decode("utf-8", "replace")
        else:
            found[name] = value
    return found
