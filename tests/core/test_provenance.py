"""What a result says about where it comes from."""

from __future__ import annotations

import json
import math

import numpy as np

from detcore.core.accumulators import Sum
from detcore.core.provenance import LISTED, Provenance, describe
from detcore.core.reduction import Together
from detcore.core.source import ChunkRef
from detcore.occupancy.steps import Channels, EventSpan


def ref(part, start=0, stop=10, time=math.nan):
    return ChunkRef("k", part, start, stop, f"print of {part}", 5.0, time)


def test_inputs_are_listed_with_fingerprints_and_rows(toys):
    record = Provenance.begin(toys.Numbers())
    for one in (ref("a"), ref("b"), ref("a", 10, 15)):
        record.add(one)
    facts = record.record()
    assert facts["source"] == "numbers"
    assert facts["inputs"] == {
        "a": {"fingerprint": "print of a", "rows": 15},
        "b": {"fingerprint": "print of b", "rows": 10},
    }
    assert record.weight == 15.0
    assert {"python", "detcore", "numpy", "numba"} <= set(facts["versions"])
    assert facts["versions"]["numpy"] == np.__version__
    json.dumps(facts)


def test_the_record_does_not_change_afterwards(toys):
    record = Provenance.begin(toys.Numbers())
    record.add(ref("a"))
    facts = record.record()
    record.add(ref("a", 10, 20))
    assert facts["inputs"]["a"]["rows"] == 10


def test_a_long_list_is_cut_and_says_so(toys):
    record = Provenance.begin(toys.Numbers())
    for number in range(LISTED + 3):
        record.add(ref(str(number)))
    facts = record.record()
    assert len(facts["inputs"]) == LISTED
    assert facts["chunks_of_inputs_not_listed"] == 3


def test_the_newest_time_counts(toys):
    record = Provenance.begin(toys.Numbers())
    newest = []
    for time in (math.nan, 5.0, 3.0, math.nan, 9.0):
        record.add(ref("a", time=time))
        newest.append(record.newest)
    assert math.isnan(newest[0])
    assert newest[1:] == [5.0, 5.0, 5.0, 9.0]


def test_reductions_are_described_as_plain_values():
    both = Together(reductions=(Sum(column="n").after(EventSpan(column="spill_id", first=1, last=2)), Sum(column="m")))
    assert json.loads(json.dumps(describe(both))) == {
        "name": "Together",
        "reductions": [
            {
                "name": "After",
                "steps": [{"name": "EventSpan", "column": "spill_id", "first": 1, "last": 2}],
                "reduction": {"name": "Sum", "column": "n", "row": "event"},
            },
            {"name": "Sum", "column": "m", "row": "event"},
        ],
    }
    assert describe(Channels(detector_ids=(3, 4)))["detector_ids"] == [3, 4]
    assert describe(object()).startswith("<object")
