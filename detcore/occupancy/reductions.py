"""What is accumulated over hits. All counts are exact integers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from pydantic import Field
from typing_extensions import override

from detcore.core.reduction import Reduction
from detcore.occupancy import kernels
from detcore.occupancy.kernels import CHANNELS
from detcore.occupancy.source import IN_TIME
from detcore.occupancy.steps import TRIGGERS

if TYPE_CHECKING:
    from detcore.occupancy.detectors import DetectorTable

Counts = Any  # an int64 array


@dataclass
class _Channels:
    """State of counts by channel."""

    table: DetectorTable
    selected: Any = None
    hits: Counts = field(default_factory=lambda: np.zeros(CHANNELS, np.int64))
    fired: Counts = field(default_factory=lambda: np.zeros(CHANNELS, np.int64))
    in_time: Counts = field(default_factory=lambda: np.zeros(CHANNELS, np.int64))
    dropped: Counts = field(default_factory=lambda: np.zeros(128, np.int64))
    totals: Counts = field(
        default_factory=lambda: np.zeros(4, np.int64)
    )  # events, empty events, padding, hits without flags


class Hits(Reduction):
    """Hits and firing events of every channel, and what could not be counted.

    Gives `hits` and `events_hit` (detector_id, element_id), `n_events`, `n_empty_events`, `dropped_elements`
    (detector_id), `dropped_unknown`, `padding`; with `in_time` also `in_time_hits` and `in_time_missing`; behind a filter of channels also
    `selected`.
    """

    in_time: bool = Field(False, description="Also count the hits that are flagged in time")

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        needed = {"channel", "n_hits", "n_dropped", "n_padding", "dropped_detector"}
        return frozenset(needed | ({"flag"} if self.in_time else set()))

    @override
    def empty(self, schema: xr.Dataset) -> _Channels:
        return _Channels(schema.attrs["detectors"], schema.attrs.get("selected"))

    @override
    def update(self, state: _Channels, chunk: xr.Dataset) -> None:
        counts = chunk["n_hits"].values
        channel = chunk["channel"].values
        kernels.count(channel, counts, state.hits, state.fired)
        if self.in_time:
            if "flag" in chunk:
                kernels.count_flagged(channel, chunk["flag"].values, IN_TIME, state.in_time)
            else:  # one of several files may lack them
                state.totals[3] += len(channel)
        state.dropped += np.bincount(chunk["dropped_detector"].values, minlength=128)
        state.totals[:3] += (len(counts), int((counts == 0).sum()), int(chunk["n_padding"].values.sum(dtype=np.int64)))

    @override
    def merge(self, state: _Channels, other: _Channels) -> None:
        for name in ("hits", "fired", "in_time", "dropped", "totals"):
            mine = getattr(state, name)
            mine += getattr(other, name)

    @override
    def finalize(self, state: _Channels) -> xr.Dataset:
        labels = _labels(state.table, state.hits)
        n_events, n_empty, padding, no_flags = state.totals.tolist()
        elsewhere = state.dropped[0] + state.dropped[labels["detector_id"][-1] + 1 :].sum()  # detectors without a row
        data = {
            "hits": _map(state.hits, labels, "hits"),
            "events_hit": _map(state.fired, labels, "events in which the channel fired"),
            "dropped_elements": (
                "detector_id",
                state.dropped[labels["detector_id"]],
                {"long_name": "hits of impossible elements"},
            ),
            "dropped_unknown": ((), int(elsewhere), {"long_name": "hits of impossible detectors"}),
            "padding": ((), padding, {"long_name": "fill values of unused slots"}),
            "n_events": ((), n_events),
            "n_empty_events": ((), n_empty),
        }
        if self.in_time:
            data["in_time_hits"] = _map(state.in_time, labels, "hits in time")
            data["in_time_missing"] = ((), no_flags, {"long_name": "hits of files without flags"})
        if state.selected is not None:
            data["selected"] = _map(state.selected, labels, "looked at by the filter")
        return xr.Dataset(data, coords=labels)


class DriftTime(Reduction):
    """Drift-time spectrum of every detector.

    Gives `drift_time` (detector_id, time), and (detector_id) `drift_time_outside` the bins, `drift_time_missing`.
    """

    low: float = Field(0.0, description="First edge, ns")
    width: float = Field(4.0, description="Bin width, ns (4 ns is what the shifters' drift-chamber plots use)", gt=0)
    bins: int = Field(625, description="Number of bins", gt=0, le=100_000)

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({"channel", "tdc_time"})

    @override
    def empty(self, schema: xr.Dataset) -> dict[str, Any]:
        hits, other = np.zeros((128, self.bins), np.int64), np.zeros((2, 128), np.int64)
        return {"table": schema.attrs["detectors"], "hits": hits, "other": other}

    @override
    def update(self, state: dict[str, Any], chunk: xr.Dataset) -> None:
        channel, time = chunk["channel"].values, chunk["tdc_time"].values
        kernels.histogram_times(channel, time, self.low, self.width, state["hits"], *state["other"])

    @override
    def merge(self, state: dict[str, Any], other: dict[str, Any]) -> None:
        state["hits"] += other["hits"]
        state["other"] += other["other"]

    @override
    def finalize(self, state: dict[str, Any]) -> xr.Dataset:
        last = last_detector(state["table"], state["hits"].sum(axis=1) + state["other"].sum(axis=0))
        outside, missing = state["other"][:, 1 : last + 1].copy()
        centres = self.low + self.width * (np.arange(self.bins) + 0.5)
        return xr.Dataset(
            {
                "drift_time": (("detector_id", "time"), state["hits"][1 : last + 1].copy(), {"long_name": "hits"}),
                "drift_time_outside": ("detector_id", outside, {"long_name": "hits outside of the bins"}),
                "drift_time_missing": ("detector_id", missing, {"long_name": "hits without a time"}),
            },
            {"detector_id": np.arange(1, last + 1), "time": ("time", centres, {"units": "ns"})},
        )


class DriftMap(Reduction):
    """Drift time against element of one detector: `drift_map` (element_id, time_coarse)."""

    detector_id: int = Field(description="Which detector", ge=1, le=127)
    low: float = Field(0.0, description="First edge, ns")
    width: float = Field(20.0, description="Bin width, ns", gt=0)
    bins: int = Field(125, description="Number of bins", gt=0, le=10_000)

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({"channel", "tdc_time"})

    @override
    def empty(self, schema: xr.Dataset) -> dict[str, Any]:
        return {"table": schema.attrs["detectors"], "hits": np.zeros((512, self.bins), np.int64)}

    @override
    def update(self, state: dict[str, Any], chunk: xr.Dataset) -> None:
        channel, time = chunk["channel"].values, chunk["tdc_time"].values
        kernels.histogram_times_of(channel, time, self.detector_id, self.low, self.width, state["hits"])

    @override
    def merge(self, state: dict[str, Any], other: dict[str, Any]) -> None:
        state["hits"] += other["hits"]

    @override
    def finalize(self, state: dict[str, Any]) -> xr.Dataset:
        known = state["table"].by_id.get(self.detector_id)
        seen = np.flatnonzero(state["hits"].any(axis=1))
        last = known.n_elements if known else int(seen.max(initial=1))
        centres = self.low + self.width * (np.arange(self.bins) + 0.5)
        return xr.Dataset(
            {"drift_map": (("element_id", "time_coarse"), state["hits"][1 : last + 1].copy(), {"long_name": "hits"})},
            {"element_id": np.arange(1, last + 1), "time_coarse": ("time_coarse", centres, {"units": "ns"})},
            attrs={"detector_id": self.detector_id},
        )


class TriggerBits(Reduction):
    """Events by trigger bit: `trigger_bits` (bit)."""

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({"trigger_bits"})

    @override
    def empty(self, schema: xr.Dataset) -> Counts:
        return np.zeros(len(TRIGGERS), np.int64)

    @override
    def update(self, state: Counts, chunk: xr.Dataset) -> None:
        if "trigger_bits" not in chunk:  # one of several files may lack them
            return
        bits = chunk["trigger_bits"].values
        state += [int((bits >> bit & 1).sum()) for bit in range(len(TRIGGERS))]

    @override
    def merge(self, state: Counts, other: Counts) -> None:
        state += other

    @override
    def finalize(self, state: Counts) -> xr.Dataset:
        return xr.Dataset({"trigger_bits": ("bit", state.copy(), {"long_name": "events"})}, {"bit": list(TRIGGERS)})


class Pairs(Reduction):
    """Events in which an element of one detector and one of another both fired: `h4_pairs` (pair, element_a, element_b).

    By default the two ends of the H4 paddles, and H4's top and bottom halves.
    """

    pairs: tuple[tuple[str, str], ...] = (("H4Y1L", "H4Y1R"), ("H4Y2L", "H4Y2R"), ("H4T", "H4B"))

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({"channel", "n_hits"})

    @override
    def empty(self, schema: xr.Dataset) -> dict[str, Any]:
        table = schema.attrs["detectors"]
        known = [(a, b) for a, b in self.pairs if a in table.by_name and b in table.by_name]
        rows = [row for pair in known for row in (table.by_name[pair[0]], table.by_name[pair[1]])]
        return {
            "names": [f"{a}-{b}" for a, b in known],
            "first": np.array([row.detector_id for row in rows[::2]], np.int64),
            "second": np.array([row.detector_id for row in rows[1::2]], np.int64),
            "last": min(63, max((row.n_elements for row in rows), default=1)),
            "events": np.zeros((len(known), 64, 64), np.int64),
        }

    @override
    def update(self, state: dict[str, Any], chunk: xr.Dataset) -> None:
        channel, counts = chunk["channel"].values, chunk["n_hits"].values
        kernels.count_pairs(channel, counts, state["first"], state["second"], state["events"])

    @override
    def merge(self, state: dict[str, Any], other: dict[str, Any]) -> None:
        state["events"] += other["events"]

    @override
    def finalize(self, state: dict[str, Any]) -> xr.Dataset:
        inside = slice(1, state["last"] + 1)
        elements = np.arange(1, state["last"] + 1)
        events = state["events"][:, inside, inside].copy()
        return xr.Dataset(
            {"h4_pairs": (("pair", "element_a", "element_b"), events, {"long_name": "events"})},
            {"pair": ("pair", np.array(state["names"], dtype=object)), "element_a": elements, "element_b": elements},
        )


def last_detector(table: DetectorTable, per_detector: Counts) -> int:
    """Return the largest detector id of the table or of the data; per_detector is (128,)."""
    seen = np.flatnonzero(per_detector)
    return int(max(*(row.detector_id for row in table.rows), seen.max(initial=0)))


def _labels(table: DetectorTable, hits: Counts) -> dict[str, Any]:
    """Return the coordinates of a map: contiguous ids from 1, names, groups, elements (inferred where unknown)."""
    grid = hits.reshape(128, 512)
    last = last_detector(table, grid.any(axis=1))
    ids = np.arange(1, last + 1)
    seen = np.array([int(np.flatnonzero(grid[number]).max(initial=0)) for number in ids])
    rows = [table.by_id.get(int(number)) for number in ids]
    n_elements = np.array([row.n_elements if row else int(top) for row, top in zip(rows, seen, strict=True)])
    return {
        "detector_id": ids,
        "element_id": np.arange(1, int(n_elements.max(initial=1)) + 1),
        "detector": ("detector_id", np.array([row.name if row else "" for row in rows], dtype=object)),
        "group": ("detector_id", np.array([row.group if row else "" for row in rows], dtype=object)),
        "n_elements": ("detector_id", n_elements),
        "inferred": ("detector_id", np.array([row is None and top > 0 for row, top in zip(rows, seen, strict=True)])),
    }


def _map(values: Counts, labels: dict[str, Any], name: str) -> tuple[tuple[str, str], Counts, dict[str, str]]:
    detectors, elements = labels["detector_id"], labels["element_id"]
    grid = values.reshape(128, 512)[detectors[0] : detectors[-1] + 1, 1 : elements[-1] + 1]
    return ("detector_id", "element_id"), grid.copy(), {"long_name": name}
