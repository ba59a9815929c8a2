"""Which channels and planes look wrong, and the map in the units people ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from detcore.occupancy.checks import compare, difference, neighbours
from detcore.occupancy.findings import COLUMNS, Channels, findings
from detcore.occupancy.thresholds import Thresholds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

    from detcore.occupancy.findings import Finding

# view -> what its values are
VIEWS = {
    "hits": "hits",
    "hits_per_event": "hits per event",
    "fraction": "fraction of events in which the channel fired",
    "per_detector": "hits / highest channel of the plane",
    "ratio": "ratio to the reference",
    "significance": "standard deviations from the reference, or from the neighbours",
}


def expected(hits: ArrayLike, n_elements: ArrayLike, thresholds: Thresholds | None = None) -> NDArray[np.float64]:
    """Return the hits that each channel's neighbours predict for it.

    Parameters
    ----------
    hits
        Counts, (plane, element), column 0 being element 1.
    n_elements
        Channels of each plane, (plane,).
    thresholds
        Decides which channels are too low to predict others; the built-in ones if None.

    Returns
    -------
    numpy.ndarray
        Hits, (plane, element); NaN where there is no channel or where fewer than three neighbours are live.

    Examples
    --------
    >>> expected([[100, 110, 121, 0, 146, 161]], [6]).round().tolist()  # a rise is not carried beyond what was seen
    [[100.0, 110.0, 121.0, 133.0, 146.0, 146.0]]
    """
    counts = np.asarray(hits)
    exists = np.arange(counts.shape[1]) < np.asarray(n_elements)[:, None]
    return neighbours(counts, exists, thresholds or Thresholds.default()).expected


def check(
    dataset: xr.Dataset, reference: xr.Dataset | None = None, thresholds: Thresholds | None = None
) -> pd.DataFrame:
    """List what looks wrong, one row per finding, ordered by detector and element.

    Parameters
    ----------
    dataset
        Result of a reduction: `hits` (detector_id, element_id) with the coordinates `detector`, `group`, `n_elements`
        and `inferred`.
    reference
        An earlier result with `hits`, of any length. Channels are compared after scaling to the same number of hits in
        their plane, planes after scaling to the same number in all planes, so that a longer run or more beam is no finding.
    thresholds
        Limits; the built-in ones if None.

    Returns
    -------
    pandas.DataFrame
        detector_id, detector, element_id (0: the whole plane), finding, hits, expected (hits), significance (standard
        deviations, signed), severity (WARN or ERROR), reason. Findings are *dead*, *low*, *hot*, *elevated* (the end of
        a plane far above its median), *changed*, *plane-dead* and *plane-changed*.

    Notes
    -----
    A sharp end of the acceptance, as in simulated single tracks, counts like a dead block. With a reference that has it
    too, such findings are warnings and their reason says so.
    """
    channels = Channels.of(dataset)
    rows = findings(channels, channels.aligned(reference), thresholds or Thresholds.default())
    return pd.DataFrame([row[: len(COLUMNS)] for row in rows], columns=list(COLUMNS)).astype(COLUMNS)


def planes(
    dataset: xr.Dataset, reference: xr.Dataset | None = None, thresholds: Thresholds | None = None
) -> pd.DataFrame:
    """Give each plane one state.

    Parameters are those of `check`.

    Returns
    -------
    pandas.DataFrame
        One row per plane: detector_id, detector, group, state (OK, WARN or ERROR), hits, hits_per_event_per_element
        (NaN without a count of events), n_dead, n_hot, n_changed (channels), reason. A dataset without any hit cannot
        be judged: all planes are WARN.
    """
    limits = thresholds or Thresholds.default()
    channels = Channels.of(dataset)
    found: dict[int, list[Finding]] = {}
    for row in findings(channels, channels.aligned(reference), limits):
        found.setdefault(row.detector_id, []).append(row)
    size = channels.exists.sum(axis=1)
    hits = channels.hits.sum(axis=1)
    events = _events(dataset)
    rows = []
    for plane in np.flatnonzero(size):
        number = int(channels.detector_id[plane])
        mine = found.get(number, [])
        state, reason = _state(mine, int(size[plane]), limits) if hits.any() else ("WARN", "no hits in any plane yet")
        count = {kind: sum(row.finding == kind for row in mine) for kind in ("dead", "hot", "changed")}
        rows.append(
            {
                "detector_id": number,
                "detector": channels.detector[plane],
                "group": channels.group[plane],
                "state": state,
                "hits": int(hits[plane]),
                "hits_per_event_per_element": hits[plane] / (events * size[plane]) if events else np.nan,
                "n_dead": int(size[plane]) if any(row.finding == "plane-dead" for row in mine) else count["dead"],
                "n_hot": count["hot"],
                "n_changed": count["changed"],
                "reason": reason,
            }
        )
    names = ["detector_id", "detector", "group", "state", "hits", "hits_per_event_per_element"]
    return pd.DataFrame(rows, columns=[*names, "n_dead", "n_hot", "n_changed", "reason"])


def rates(
    dataset: xr.Dataset, view: str, reference: xr.Dataset | None = None, thresholds: Thresholds | None = None
) -> xr.DataArray:
    """Return the map in one of the `VIEWS`.

    With h the hits and n the events here, H and N those of the reference:

    - hits: h. hits_per_event: h / n. fraction: `events_hit` / n (0 to 1). per_detector: h / max(h in the plane).
    - ratio: (h / n) / (H / N), or (h / s) / H if the events of either are unknown, with s the hits here for one of the
      reference that most channels agree on. 0 / 0 is 1 (nothing changed) and h / 0 is inf.
    - significance: (h - s H) / sqrt(d s (h + H)), d being the over-dispersion found in the data (`checks.compare`); or,
      without a reference, the distance from the neighbours (`checks.pull`), 0 where they say nothing.

    Returns
    -------
    xarray.DataArray
        (detector_id, element_id), float; NaN only where there is no channel, or in all channels where n is 0.

    Raises
    ------
    ValueError
        The view is unknown, or the dataset has not what it needs; says what.
    """
    limits = thresholds or Thresholds.default()
    channels = Channels.of(dataset)
    there = channels.aligned(reference)
    here = channels.hits.astype(np.float64)
    if view == "hits":
        values = here
    elif view == "hits_per_event":
        values = here / _needed_events(dataset, view)
    elif view == "fraction":
        if "events_hit" not in dataset:
            msg = "view 'fraction' needs the events in which each channel fired; the dataset has no events_hit"
            raise ValueError(msg)
        values = dataset["events_hit"].transpose("detector_id", "element_id").to_numpy() / _needed_events(dataset, view)
    elif view == "per_detector":
        values = here / np.maximum(here.max(axis=1, initial=0), 1)[:, None]
    elif view == "ratio":
        if there is None or reference is None:
            msg = "view 'ratio' needs a reference"
            raise ValueError(msg)
        events, before = _events(dataset), _events(reference)
        common = compare(here, there, channels.exists, limits).common
        if events and before:
            common = events / before
        elif not np.isfinite(common):  # nothing is live in both
            common = max(here.sum(), 1) / max(there.sum(), 1)
        values = np.divide(here, common * there, out=np.where(here > 0, np.inf, 1.0), where=there > 0)
    elif view == "significance" and there is not None:
        change = compare(here, there, channels.exists, limits)
        values = difference(here, there.astype(np.float64), change.common, change.dispersion)
    elif view == "significance":
        values = neighbours(channels.hits, channels.exists, limits).pull
    else:
        msg = f"no view {view!r}; known are {', '.join(VIEWS)}"
        raise ValueError(msg)
    return xr.DataArray(
        np.where(channels.exists, values, np.nan),
        dims=("detector_id", "element_id"),
        coords={name: dataset[name] for name in ("detector_id", "element_id", "detector", "group", "n_elements")},
        name=view,
        attrs={"long_name": VIEWS[view]},
    )


def _events(dataset: xr.Dataset) -> int | None:
    return int(dataset["n_events"]) if "n_events" in dataset else None


def _needed_events(dataset: xr.Dataset, view: str) -> float:
    events = _events(dataset)
    if events is None:
        msg = (
            f"view {view!r} needs the number of events; the dataset has no n_events (counts from a table or JSON file?)"
        )
        raise ValueError(msg)
    return events or np.nan


def _state(rows: list[Finding], size: int, limits: Thresholds) -> tuple[str, str]:
    whole = [row.reason for row in rows if row.element_id == 0]
    counts = []
    for kind in ("dead", "low", "hot", "elevated", "changed"):
        elements = [row.element_id for row in rows if row.finding == kind]
        if elements:
            counts.append(f"{len(elements)} {kind} ({_ranges(elements)})")
    new = len({row.element_id for row in rows if row.new and row.element_id and row.finding != "elevated"})
    reason = "; ".join([*whole, *counts])
    if any(row.severity == "ERROR" for row in rows) or new >= max(limits.error_share * size, 2):
        return "ERROR", reason
    return ("WARN", reason) if rows else ("OK", "")


def _ranges(elements: Iterable[int]) -> str:
    """Write 1, 2, 3, 5 as '1..3, 5'."""
    numbers = np.unique(list(elements))
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    return ", ".join(f"{run[0]}..{run[-1]}" if run.size > 1 else f"{run[0]}" for run in runs)
