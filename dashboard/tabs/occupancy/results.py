"""Everything that the tab draws, computed by detcore in a thread, once for all viewers of the same snapshot."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from dashboard.tabs.background import Shared
from dashboard.views.grid import ChannelGrid, Column
from detcore import occupancy

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

T = TypeVar("T")
ROBUST = (1.0, 99.5)  # percentiles of the colour limits


# While counts grow, planes are judged at most this often, and for at most a fiftieth of the time; the last snapshot is
# always judged.
JUDGE_S, JUDGE_SHARE = 4.0, 0.02


@dataclass(frozen=True, eq=False)
class Judgement:
    """What the checks say of a dataset."""

    planes: pd.DataFrame
    findings: pd.DataFrame
    expected: NDArray[np.float64]

    @cached_property
    def by_detector(self) -> Mapping[int, pd.DataFrame]:
        """The findings of single elements of each detector that has some."""
        single = self.findings[self.findings["element_id"] > 0]
        return {int(number): rows for number, rows in single.groupby("detector_id")}  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Results:
    """What one pair of dataset and reference gives. Arrays are (detector_id, element_id), as in `data`."""

    data: xr.Dataset
    reference: xr.Dataset | None
    columns: tuple[Column, ...]
    judgement: Judgement
    rate: NDArray[np.float64]
    ratio: NDArray[np.float64] | None
    aligned: NDArray[np.int64] | None
    _made: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return `make()`, made once for all viewers; the same key must always mean the same thing."""
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made

    def array(self, name: str) -> NDArray[Any]:
        """Return the values of a variable or coordinate; xarray takes longer to hand them out than we to draw them."""
        return self.once(("array", name), lambda: self.data[name].values)

    @property
    def planes(self) -> pd.DataFrame:
        """Plane states, indexed by detector id."""
        return self.judgement.planes

    @property
    def findings(self) -> pd.DataFrame:
        """One row for each finding."""
        return self.judgement.findings

    def states(self) -> tuple[list[str], list[str]]:
        """Return state and reason of each column; those that the checks say nothing about have an empty state."""

        def found() -> tuple[list[str], list[str]]:
            rows = self.planes.reindex([column.detector_id for column in self.columns])
            return rows["state"].fillna("").tolist(), rows["reason"].fillna("not judged: outside the cut").tolist()

        return self.once("states", found)

    def value(self, view: str) -> NDArray[np.float64]:
        """Return the map in one of the analysis' views; computed once."""
        return self.once(("value", view), lambda: occupancy.rates(self.data, view, self.reference).values)

    def grid(self, separators: bool, equal: bool) -> ChannelGrid:
        """Return where channels stand."""
        return self.once(("grid", separators, equal), lambda: _grid(self.columns, separators, equal))

    def of_plane(self, name: str, detector_id: int) -> NDArray[Any]:
        """Return a variable's values for one detector, cut to its elements if it has them."""
        dims = self.once(("dims", name), lambda: self.data[name].dims)
        place = (slice(None),) * dims.index("detector_id") + (self.row(detector_id),)
        values: NDArray[Any] = self.array(name)[place]
        return values[: self.n_elements(detector_id)] if "element_id" in dims else values

    def n_elements(self, detector_id: int) -> int:
        """Return how many elements a detector has."""
        return int(self.array("n_elements")[self.row(detector_id)])

    def row(self, detector_id: int) -> int:
        """Return where a detector stands on the first axis."""
        return int(np.searchsorted(self.array("detector_id"), detector_id))

    def name(self, detector_id: int) -> str:
        """Return a detector's name."""
        return next((column.name for column in self.columns if column.detector_id == detector_id), str(detector_id))


RESULTS: Shared[Results] = Shared(8)
_BASES: OrderedDict[tuple[int, int], Results] = OrderedDict()
_JUDGED: OrderedDict[tuple[str, int], tuple[float, Judgement]] = OrderedDict()
_LOCK = threading.Lock()


def compute(feed: str, data: xr.Dataset, reference: xr.Dataset | None, view: str, *, final: bool) -> Results:
    """Judge a dataset; called in a thread.

    Parameters
    ----------
    feed
        Key of the feed that `data` comes from.
    data, reference
        Results of reductions; a reference without hits is none.
    view
        The map that will be drawn.
    final
        Whether `data` is the last word of its feed.
    """
    usable = reference if reference is not None and "hits" in reference else None
    key = (id(data), id(usable))  # both stay alive in the cached results
    with _LOCK:
        found = _BASES.get(key)
    if found is None:
        found = _compute(feed, data, usable, final=final)
        with _LOCK:
            _BASES[key] = found
            while len(_BASES) > 4:
                _BASES.popitem(last=False)
    if view != "ratio" or usable is not None:
        found.value(view)
    return found


def _compute(feed: str, data: xr.Dataset, reference: xr.Dataset | None, *, final: bool) -> Results:
    aligned = None
    if reference is not None:
        ids = {name: data[name].values for name in ("detector_id", "element_id")}
        aligned = reference["hits"].reindex(ids, fill_value=0).transpose("detector_id", "element_id").values
    return Results(
        data=data,
        reference=reference,
        columns=columns_of(data),
        judgement=_judge(feed, data, reference, final=final),
        rate=data["hits"].values / max(int(data["n_events"]), 1),
        ratio=None if reference is None else occupancy.rates(data, "ratio", reference).values,
        aligned=aligned,
    )


def _judge(feed: str, data: xr.Dataset, reference: xr.Dataset | None, *, final: bool) -> Judgement:
    key = (feed, id(reference))
    with _LOCK:
        due, judgement = _JUDGED.get(key, (0.0, None))
    began = time.monotonic()
    same = judgement is not None and judgement.expected.shape == data["hits"].shape
    if judgement is not None and same and not final and began < due:
        return judgement
    judgement = Judgement(
        planes=occupancy.planes(data, reference).set_index("detector_id"),
        findings=occupancy.check(data, reference),
        expected=occupancy.expected(data["hits"].values, data["n_elements"].values),
    )
    with _LOCK:
        _JUDGED[key] = (began + max(JUDGE_S, (time.monotonic() - began) / JUDGE_SHARE), judgement)
        while len(_JUDGED) > 16:
            _JUDGED.popitem(last=False)
    return judgement


def columns_of(data: xr.Dataset) -> tuple[Column, ...]:
    """Return the detectors in display order: the table's, then those that were only seen in the data."""
    names = dict(zip(data["detector_id"].values.tolist(), data["detector"].values.tolist(), strict=True))
    labels = {row.detector_id: row.label for row in occupancy.DetectorTable.default().rows}
    counts = dict(zip(data["detector_id"].values.tolist(), data["n_elements"].values.tolist(), strict=True))
    groups = dict(zip(data["detector_id"].values.tolist(), data["group"].values.tolist(), strict=True))
    known = [row.detector_id for row in occupancy.DetectorTable.default().rows if counts.get(row.detector_id)]
    others = [number for number, count in counts.items() if count and number not in set(known)]
    return tuple(
        Column(
            number,
            names[number] or f"id {number}",
            groups[number] or "Not in the table",
            labels.get(number) or groups[number] or "Other",
            int(counts[number]),
        )
        for number in [*known, *others]
    )


@lru_cache(maxsize=16)
def _grid(columns: tuple[Column, ...], separators: bool, equal: bool) -> ChannelGrid:
    """Return the same grid for equal columns: snapshots and sessions share it with its arrays."""
    return ChannelGrid(columns, separators, equal)


def colour_limits(values: NDArray[np.float64], *, log: bool, robust: bool, two_sided: bool) -> tuple[float, float]:
    """Return the values of the first and the last colour.

    Parameters
    ----------
    values
        The coloured values; NaN and inf are left out, and those that a logarithmic scale cannot show.
    log, robust
        As the viewer chose.
    two_sided
        Put 1 (log) or 0 (linear) in the middle.
    """
    used = values[np.isfinite(values) & ((values > 0) | (not log))]
    if not used.size:
        return (0.1, 10.0) if log else (0.0, 1.0)
    if two_sided:
        away = np.abs(np.log(used)) if log else np.abs(used - (1.0 if values.min(initial=0) >= 0 else 0.0))
        most = float(np.percentile(away, ROBUST[1])) if robust else float(away.max())
        if log:
            most = float(np.exp(max(most, np.log(1.2))))
            return 1 / most, most
        return -max(most, 1.0), max(most, 1.0)
    low, high = np.percentile(used, ROBUST) if robust else (used.min(), used.max())
    return (float(low) if log else 0.0), float(max(high, low * 1.01, 1e-12))


def headline(results: Results) -> Mapping[str, str]:
    """Return the numbers that stand above everything."""
    data = results.data
    events, hits = int(data["n_events"]), int(data["hits"].sum())
    empty = int(data["n_empty_events"])
    states = Counter(results.planes["state"].tolist())
    found = Counter(results.findings["finding"].tolist())
    dropped = int(data["dropped_unknown"]) + int(data["dropped_elements"].sum())
    return {
        "Events": f"{events:,}",
        "Empty": f"{empty:,}" + (f" ({empty / events:.1%})" if events else ""),
        "Hits": f"{hits:,}",
        "Hits / event": f"{hits / events:,.1f}" if events else "-",
        "Out of range": f"{dropped:,}",
        "Dead · hot": f"{found['dead']:,} · {found['hot']:,}",
        **{state: f"{states[state]}" for state in ("OK", "WARN", "ERROR")},
    }
