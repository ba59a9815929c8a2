"""An independent answer: spill files read with uproot and awkward alone, counted with NumPy and loops."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import awkward as ak
import numpy as np
import uproot

FILL = 2**31 - 1
PAIRS = {"H4Y1L-H4Y1R": (41, 42), "H4Y2L-H4Y2R": (43, 44), "H4T-H4B": (46, 45)}
IN_TIME = 2


@dataclass(frozen=True)
class Plain:
    """Flat hits of one file, `event` says whose; and one number for each event. None: not in the file."""

    detector: Any
    element: Any
    event: Any
    n_events: int
    time: Any = None
    flag: Any = None
    spill: Any = None
    number: Any = None
    triggers: Any = None
    entry: Any = None

    def hits(self, keep):
        """Only some hits; the events stay."""
        columns = {name: getattr(self, name) for name in ("detector", "element", "event", "time", "flag")}
        return replace(self, **{name: None if one is None else one[keep] for name, one in columns.items()})

    def events(self, keep):
        """Only some events, with their hits."""
        new = np.cumsum(keep) - 1
        less = self.hits(keep[self.event])
        columns = {name: getattr(less, name) for name in ("spill", "number", "triggers", "entry")}
        return replace(
            less,
            event=new[less.event],
            n_events=int(keep.sum()),
            **{name: None if one is None else one[keep] for name, one in columns.items()},
        )

    def kinds(self, table):
        """Which hits are padding, of an impossible detector, of an impossible element, good."""
        limits = np.full(2**15, 511)
        for row in table.rows:
            limits[row.detector_id] = row.n_elements
        padding = (self.detector <= 0) | (self.detector == FILL)
        unknown = ~padding & (self.detector > 127)
        limit = limits[np.clip(self.detector, 0, 127)]
        good = ~padding & ~unknown & (self.element >= 1) & (self.element <= limit)
        return padding, unknown, ~padding & ~unknown & ~good, good


def read(path):
    """Read everything."""
    with uproot.open({str(path): None}) as file:
        tree = file["save"] if "save" in file else file["tree"]
        known = {name.rsplit("/", 1)[-1]: branch for name, branch in tree.items(recursive=True)}

        def get(*names):
            for name in names:
                if name in known:
                    return known[name].array()
            return None

        def flat(*names):
            values = get(*names)
            return None if values is None else ak.to_numpy(ak.flatten(values, axis=None))

        detector = get("fAllHits.detectorID", "detectorID")
        counts = ak.to_numpy(ak.num(detector))
        time = flat("fAllHits.tdcTime", "tdcTime", "tdcTimes")
        fpga, nim = (get(f"{name}Trigger", f"{name}Triggers") for name in ("fpga", "nim"))
        triggers = flat("fTriggerBits", "triggerBits")
        if triggers is None and fpga is not None:
            both = np.concatenate([ak.to_numpy(fpga), ak.to_numpy(nim)], axis=1) > 0
            triggers = (both * 2 ** np.arange(10)).sum(axis=1)
        return Plain(
            detector=flat("fAllHits.detectorID", "detectorID").astype(np.int64),
            element=flat("fAllHits.elementID", "elementID").astype(np.int64),
            event=np.repeat(np.arange(len(counts)), counts),
            n_events=len(counts),
            time=time if time is not None and len(time) == counts.sum() else None,
            flag=flat("fAllHits.flag"),
            spill=flat("fSpillID", "spillID"),
            number=flat("fEventID", "eventID"),
            triggers=triggers,
            entry=np.arange(len(counts)),
        )


def grid(plain, weights=1):
    """Counts by (detector, element) of good hits."""
    out = np.zeros((128, 512), np.int64)
    np.add.at(out, (plain.detector, plain.element), weights)
    return out


def fired(plain):
    """Events in which each channel fired."""
    rows = np.unique(np.stack([plain.event, plain.detector, plain.element]), axis=1)
    out = np.zeros((128, 512), np.int64)
    np.add.at(out, (rows[1], rows[2]), 1)
    return out


def pairs(plain, a, b, size):
    """Events in which an element of `a` and one of `b` fired: the slow, obvious way."""
    out = np.zeros((size, size), np.int64)
    h4 = plain.hits(np.isin(plain.detector, (a, b)))
    starts = np.flatnonzero(np.diff(h4.event, prepend=-1))
    for detector, element in zip(np.split(h4.detector, starts), np.split(h4.element, starts), strict=True):
        left, right = (set(element[detector == plane].tolist()) for plane in (a, b))
        for one, other in product(left, right):
            out[one - 1, other - 1] += 1
    return out


def compare(data, plain, table, *, filtered=lambda good: good, check_pairs=True):
    """Hold everything that one pass gives against the file; `filtered` removes hits from the good ones."""
    padding, unknown, bad, good = plain.kinds(table)
    kept = filtered(plain.hits(good))
    rows, columns = data["detector_id"].values, data["element_id"].values
    assert rows.tolist() == list(range(1, len(rows) + 1))
    assert columns.tolist() == list(range(1, len(columns) + 1))

    def on_map(values):
        assert values.sum() == values[1 : len(rows) + 1, 1 : len(columns) + 1].sum()
        return values[1 : len(rows) + 1, 1 : len(columns) + 1]

    np.testing.assert_array_equal(data["hits"], on_map(grid(kept)))
    np.testing.assert_array_equal(data["events_hit"], on_map(fired(kept)))
    assert data["hits"].dtype == data["events_hit"].dtype == np.int64
    per_event = np.bincount(kept.event, minlength=kept.n_events)
    assert int(data["n_events"]) == plain.n_events
    assert int(data["n_empty_events"]) == (per_event == 0).sum()
    np.testing.assert_array_equal(data["hits_per_event"], per_event)
    np.testing.assert_array_equal(data["entry"], plain.entry)
    absent = np.full(plain.n_events, -1)
    np.testing.assert_array_equal(data["event_id"], absent if plain.number is None else plain.number)
    np.testing.assert_array_equal(data["spill_id"], absent if plain.spill is None else plain.spill)
    assert int(data["padding"]) == padding.sum()
    lost = np.bincount(plain.detector[bad], minlength=128)
    np.testing.assert_array_equal(data["dropped_elements"], lost[1 : len(rows) + 1])
    assert int(data["dropped_unknown"]) == unknown.sum() + lost[len(rows) + 1 :].sum()
    assert data["trend"].values.sum() == len(kept.detector)
    np.testing.assert_array_equal(
        data["trend"].sum("slice"), np.bincount(kept.detector, minlength=128)[1 : len(rows) + 1]
    )
    assert ("in_time_hits" in data) == (plain.flag is not None)
    if plain.flag is not None:
        np.testing.assert_array_equal(data["in_time_hits"], on_map(grid(kept, (kept.flag & IN_TIME) > 0)))
    assert ("drift_time" in data) == (plain.time is not None)
    if plain.time is not None:
        edges = np.arange(0, 2501, 4.0)
        for place, detector in enumerate(rows):
            times = kept.time[kept.detector == detector]
            inside = times[(times >= 0) & (times < 2500)]
            found = data["drift_time"].values[place]
            np.testing.assert_array_equal(found, np.histogram(inside, edges)[0])
            assert data["drift_time_outside"].values[place] == len(times) - len(inside)
    assert ("trigger_bits" in data) == (plain.triggers is not None)
    if plain.triggers is not None:
        expected = [int((plain.triggers & 1 << bit > 0).sum()) for bit in range(10)]
        assert data["trigger_bits"].values.tolist() == expected
    if check_pairs:
        for name, (a, b) in PAIRS.items():
            expected = pairs(kept, a, b, data.sizes["element_a"])
            np.testing.assert_array_equal(data["h4_pairs"].sel(pair=name), expected)
