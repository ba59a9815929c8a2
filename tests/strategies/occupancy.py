"""Samples of the occupancy reductions: hits with every kind of id, in one or several files."""

from __future__ import annotations

import numpy as np
import xarray as xr
from hypothesis import strategies as st

from detcore.core.reduction import Together
from detcore.core.schema import SAMPLE_DIMENSION
from detcore.occupancy.detectors import DetectorTable
from detcore.occupancy.reductions import DriftMap, DriftTime, Hits, Pairs, TriggerBits
from detcore.occupancy.series import HitsByFile, HitsPerEvent, Trend
from detcore.occupancy.steps import Filters

TABLE = DetectorTable.default()
# known planes (H4 among them, for the pairs), one that is not in the table, one above its end
PLANES = (1, 3, 41, 42, 43, 44, 45, 46, 62, 9, 100)


@st.composite
def spills(draw, fewest=0):
    """One file, as its reader gives it: hits that are kept, dropped and padding are already told apart."""
    n_events = draw(st.integers(fewest, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_hits, n_dropped, n_padding = (
        np.array(draw(st.lists(st.integers(0, most), min_size=n_events, max_size=n_events)), np.int32)
        for most in (9, 2, 3)
    )
    total, lost = int(n_hits.sum()), int(n_dropped.sum())
    detector = rng.choice(PLANES, total)
    element = 1 + rng.integers(0, 16, total)
    times = rng.choice([0.0, 3.99, 4.0, 700.25, 2499.0, 2500.0, -1.0, 1e9, np.nan, np.inf], total)
    spill = draw(st.lists(st.integers(-1, 2), min_size=n_events, max_size=n_events))
    return xr.Dataset(
        {
            "n_hits": ("event", n_hits, {SAMPLE_DIMENSION: "hit"}),
            "n_dropped": ("event", n_dropped, {SAMPLE_DIMENSION: "dropped"}),
            "n_padding": ("event", n_padding),
            "dropped_detector": ("dropped", rng.choice([0, 3, 100, 120], lost).astype(np.uint8)),
            "channel": ("hit", (detector * 512 + element).astype(np.uint16)),
            "entry": ("event", np.arange(n_events)),
            "tdc_time": ("hit", times.astype(np.float32)),
            "drift_distance": ("hit", rng.random(total, dtype=np.float32)),
            "flag": ("hit", rng.integers(0, 16, total).astype(np.uint16)),
            "run_id": ("event", np.full(n_events, 5994, np.int32)),
            "spill_id": ("event", np.array(spill, np.int32)),
            "event_id": ("event", (1000 + np.arange(n_events)).astype(np.int32)),
            "trigger_bits": ("event", rng.integers(0, 1024, n_events).astype(np.int32)),
        },
        attrs={"detectors": TABLE},
    )


filters = st.builds(
    Filters,
    in_time=st.booleans(),
    hodo_mask=st.booleans(),
    triggers=st.sampled_from([(), ("MATRIX1",), ("NIM1", "NIM3")]),
    spills=st.sampled_from([None, (0, 1)]),
    events=st.sampled_from([None, (1001, 1003)]),
    planes=st.sampled_from([(), ("D0X", "H4T", "H4B"), ("100",)]),
    elements=st.sampled_from([None, (3, 9)]),
)


@st.composite
def stepped(draw):
    """A chunk, a step for it, and the dimension of its rows."""
    steps = draw(filters.map(lambda one: one.steps(TABLE)).filter(bool))
    return draw(spills()), draw(st.sampled_from(steps)), "event"


@st.composite
def samples(draw, reductions, *, keyed=False):
    """A reduction, often behind filters, and one or more files for it; for a keyed one there must be several."""
    files = draw(st.lists(spills(fewest=2 * keyed), min_size=1 + keyed, max_size=3))
    files = [one.assign_attrs(file=f"/data/run_{number}.root") for number, one in enumerate(files, start=9)]
    if keyed and draw(st.booleans()):
        reduction = draw(reductions)
    elif draw(st.booleans()):  # a file may lack what the others have
        files[-1] = files[-1].drop_vars(["spill_id", "trigger_bits", "flag"])
        reduction = draw(reductions)
    else:
        reduction = draw(reductions).after(*draw(filters).steps(TABLE))
    empty = {"event": slice(0, 0), "hit": slice(0, 0), "dropped": slice(0, 0)}
    return {"reduction": reduction, "schema": files[0].isel(empty), "files": files, "row": "event"}


STRATEGIES = {
    "detcore.occupancy.reductions.Hits": samples(st.builds(Hits, in_time=st.booleans())),
    "detcore.occupancy.reductions.DriftTime": samples(
        st.sampled_from([DriftTime(), DriftTime(low=2, width=300, bins=3)])
    ),
    "detcore.occupancy.reductions.DriftMap": samples(st.builds(DriftMap, detector_id=st.sampled_from([3, 100, 127]))),
    "detcore.occupancy.reductions.TriggerBits": samples(st.just(TriggerBits())),
    "detcore.occupancy.reductions.Pairs": samples(st.sampled_from([Pairs(), Pairs(pairs=(("D0U", "nothing"),))])),
    "detcore.occupancy.series.HitsByFile": samples(st.just(HitsByFile())),
    "detcore.occupancy.series.HitsPerEvent": samples(
        st.builds(HitsPerEvent, last=st.one_of(st.integers(1, 8), st.none())), keyed=True
    ),
    "detcore.occupancy.series.Trend": samples(
        st.builds(Trend, by=st.sampled_from(["spill", "file", "events"]), events=st.integers(1, 4)), keyed=True
    ),
    "the whole pass": samples(
        st.just(Together(reductions=(Hits(in_time=True), HitsPerEvent(), Trend(), Pairs(), DriftTime(), TriggerBits())))
    ),
}
