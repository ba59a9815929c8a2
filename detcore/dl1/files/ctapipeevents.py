"""Events and the header of the simulation in ctapipe's DL1 files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from detcore.dl1.files.attributes import HIGH_RES, columns_of, converted
from detcore.dl1.files.hdffile import Columns, columns, integers, node, read_rows, table
from detcore.dl1.files.model import EVENT_UNITS, NO_PRIMARY, TRUTH

if TYPE_CHECKING:
    import h5py
    from numpy.typing import NDArray

TRIGGER: Final = "dl1/event/subarray/trigger"
SHOWER: Final = "simulation/event/subarray/shower"
RUN: Final = "configuration/simulation/run"
KEYS: Final = ("obs_id", "event_id")


def events(file: h5py.File, tel_ids: NDArray[np.int64]) -> pd.DataFrame:
    """Return the events; see `Dl1File.events`.

    Parameters
    ----------
    file
        The open file.
    tel_ids
        In the order of the layout, which the masks of triggered telescopes refer to.

    Raises
    ------
    ValueError, OSError
        A table or column is missing, of another kind, or damaged.
    """
    where = f"{file.filename}: {TRIGGER}"
    trigger = columns(file, TRIGGER, (*KEYS, "tels_with_trigger"), ("time", "event_type"))
    data: dict[str, Any] = {key: integers(trigger, key, where) for key in KEYS}
    data["event_type"] = integers(trigger, "event_type", where) if "event_type" in trigger.values else 255
    data["time"] = _times(trigger)
    data["multiplicity"], data["tels_with_trigger"] = _triggered(trigger.values["tels_with_trigger"], tel_ids, where)
    found = pd.DataFrame(data)
    units = {"time": "TAI"}
    if node(file, SHOWER) is not None:
        found = found.merge(_truth(file), on=list(KEYS), how="left")
        if "true_shower_primary_id" in found:
            known = found["true_shower_primary_id"].fillna(NO_PRIMARY)
            found["true_shower_primary_id"] = known.astype(np.int64)
        units |= {name: unit for name, unit in EVENT_UNITS.items() if name in found}
    found.attrs["units"] = units
    return found


def _times(trigger: Columns) -> Any:
    """Return times as text of ISO 8601; nan where there is none."""
    if "time" not in trigger.values:
        return np.nan
    fact, found = trigger.facts["time"], trigger.values["time"]
    if found.dtype.kind != "M":  # written without the attributes: floating numbers are MJD
        found = replace(fact, transform="time").decode(found)
    # a double holds an MJD to about a microsecond
    words = np.datetime_as_string(found, unit="ns" if fact.time_format == HIGH_RES else "us")
    return pd.Series(words, dtype="str").where(~np.isnat(found))


def _triggered(mask: NDArray[Any], tel_ids: NDArray[np.int64], where: str) -> tuple[NDArray[np.int64], list[Any]]:
    """Return how many telescopes triggered, and which."""
    if mask.ndim != 2 or mask.shape[1] != len(tel_ids) or mask.dtype.kind not in "biu":
        msg = (
            f"{where}: expected tels_with_trigger as a mask of the {len(tel_ids)} telescopes of the layout, "
            f"found {mask.dtype} of shape {mask.shape[1:]}"
        )
        raise ValueError(msg)
    event, telescope = np.nonzero(mask)
    counts = np.bincount(event, minlength=len(mask)).astype(np.int64)
    each = np.split(tel_ids[telescope], np.cumsum(counts)[:-1]) if len(mask) else []
    return counts, [tuple(one.tolist()) for one in each]


def _truth(file: h5py.File) -> pd.DataFrame:
    where = f"{file.filename}: {SHOWER}"
    shower = columns(file, SHOWER, KEYS, TRUTH)
    data: dict[str, Any] = {key: integers(shower, key, where) for key in KEYS}
    for name in TRUTH:
        if name not in shower.values:
            continue
        values, what = shower.values[name], f"{where}/{name}"
        if name not in EVENT_UNITS:
            data[name] = integers(shower, name, where)
        elif values.dtype.kind in "fiu" and values.ndim == 1:
            data[name] = converted(values.astype(np.float64), shower.facts[name].unit, EVENT_UNITS[name], what)
        else:
            msg = f"{what}: expected a number in each row, found {values.dtype} of shape {values.shape[1:]}"
            raise ValueError(msg)
    return pd.DataFrame(data).drop_duplicates(list(KEYS))  # a second row of an event would double it


def header(file: h5py.File) -> dict[str, tuple[Any, str]]:
    """Return what was simulated, as name -> (value, unit); see `Dl1File.header`."""
    found = table(file, RUN)
    if found is None or not len(found):
        return {}
    row, facts = read_rows(found, 0, 1), columns_of(found)
    answer: dict[str, tuple[Any, str]] = {}
    for name, fact in facts.items():
        value = fact.decode(row[name])[0]
        if np.ndim(value) == 0:
            answer[name] = (value.item() if isinstance(value, np.generic) else value, fact.unit)
    return answer
