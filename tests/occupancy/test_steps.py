"""Filters against NumPy on the same events: each alone, and together."""

from __future__ import annotations

import numpy as np
import pytest

from detcore.core.parameters import InvalidParameters
from detcore.core.run import problems_of
from detcore.core.schema import MissingColumn
from detcore.occupancy import TRIGGERS, DetectorTable, Filters, reduce
from detcore.occupancy.demo import write_spill

TABLE = DetectorTable.default()
EVERY = [
    {"in_time": True},
    {"hodo_mask": True},
    {"trigger_mask": True},
    {"in_time": True, "trigger_mask": True},
    *({"triggers": (name,)} for name in TRIGGERS),
    {"triggers": "MATRIX2,NIM4"},
    {"triggers": ("NIM3", "NIM3")},
    {"spills": (8, 8)},
    {"spills": "8:"},
    {"spills": (0, 1)},
    {"events": (110, 140)},
    {"events": ":130"},
    {"events": (125, 125)},
    {"planes": ("D0X",)},
    {"planes": "D0X, 31, H4T, H4B"},
    {"planes": ("70",)},
    {"elements": (5, 20)},
    {"elements": "100:"},
    {"elements": (0, 10**9)},
    {"planes": ("D0X", "D0U"), "elements": (160, 170)},
    {"in_time": True, "triggers": ("MATRIX1",), "events": (105, 150), "planes": ("D0X", "H1L"), "elements": (2, 90)},
    {"hodo_mask": True, "spills": (7, 8), "elements": (1, 16)},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two spills with events of the same numbers."""
    place, rng = tmp_path_factory.mktemp("run"), np.random.default_rng(8)
    for spill in (7, 8):
        counts = np.zeros((63, 202), np.int64)
        for row in TABLE.rows:
            counts[row.detector_id, 1 : row.n_elements + 1] = rng.poisson(1.2, row.n_elements)
        events = np.bincount(rng.integers(0, 190, counts.sum()), minlength=200)
        options = {"run_id": 1, "spill_id": spill, "first_event": 100, "seed": spill, "out_of_range": 20}
        write_spill(place / f"spill_{spill}.root", counts, events, basket_hits=700, **options)
    return place


@pytest.fixture(scope="module")
def whole(folder, plain):
    """Both spills as one Plain."""
    one, two = (plain.read(path) for path in sorted(folder.iterdir()))
    both = {
        name: np.concatenate([getattr(one, name), getattr(two, name)])
        for name in ("detector", "element", "time", "flag", "spill", "number", "triggers", "entry")
    }
    event = np.concatenate([one.event, two.event + one.n_events])
    return plain.Plain(**both, event=event, n_events=one.n_events + two.n_events)


def by_hand(filters, whole):
    """The events that pass, and a function that picks the hits."""
    model = Filters.checked(filters)
    keep = np.ones(whole.n_events, bool)
    for span, numbers in ((model.spills, whole.spill), (model.events, whole.number)):
        if span:
            keep &= (numbers >= span[0]) & (numbers <= span[1])
    if model.triggers:
        keep &= np.any([whole.triggers >> TRIGGERS.index(name) & 1 > 0 for name in model.triggers], axis=0)
    planes = [TABLE.by_name[name].detector_id if name in TABLE.by_name else int(name) for name in model.planes]

    def hits(good):
        mine = np.ones(len(good.detector), bool)
        for name, bit in (("in_time", 2), ("hodo_mask", 4), ("trigger_mask", 8)):
            if getattr(model, name):
                mine &= (good.flag & bit) > 0
        if planes:
            mine &= np.isin(good.detector, planes)
        if model.elements:
            mine &= (good.element >= model.elements[0]) & (good.element <= model.elements[1])
        return good.hits(mine)

    return whole.events(keep), hits


@pytest.mark.parametrize("filters", EVERY, ids=str)
def test_a_filter_against_numpy(folder, whole, plain, filters):
    data = reduce(folder, **filters)
    selected, hits = by_hand(filters, whole)
    plain.compare(data, selected, TABLE, filtered=hits)
    assert data.attrs["status"] == "complete"
    assert problems_of(data) == []


def test_the_filters_above_do_something(whole):
    """Or the comparison would be one of everything with everything."""
    left = [len(hits(selected).detector) for selected, hits in (by_hand(filters, whole) for filters in EVERY)]
    assert max(left) < len(whole.detector)
    assert left.count(0) <= 3  # a spill and a plane that are not there; the rarest trigger


def test_no_filter_is_no_step(folder, whole, plain):
    assert Filters().steps(TABLE) == ()
    plain.compare(reduce(folder), whole, TABLE)
    assert "selected" not in reduce(folder)


def test_channels_that_are_not_looked_at_are_marked(folder):
    data = reduce(folder, planes=("D0X",), elements=(5, 6))
    expected = np.zeros((62, 201), bool)
    expected[2, 4:6] = True
    np.testing.assert_array_equal(data["selected"], expected)


def test_hit_filters_leave_the_events_and_event_filters_take_them(folder):
    assert int(reduce(folder, planes=("70",))["n_events"]) == 400
    nothing = reduce(folder, spills=(0, 1))
    assert int(nothing["n_events"]) == int(nothing["hits"].sum()) == nothing["hits_per_event"].size == 0
    assert int(nothing["dropped_unknown"]) + int(nothing["dropped_elements"].sum()) + int(nothing["padding"]) == 0


def test_equal_filters_are_one_step():
    one, other = (Filters(in_time=True, planes=("D0X",)).steps(TABLE) for _ in range(2))
    assert one == other
    assert len({one, other}) == 1


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"triggers": ("MATRIX6",)}, r"no trigger 'MATRIX6'; there are MATRIX1"),
        ({"planes": ("D9X",)}, r"no detector 'D9X'; there are D0V"),
        ({"planes": ("²",)}, "no detector '²'"),
        ({"planes": ("128",)}, "no detector '128'"),
        ({"planes": ("0",)}, "no detector '0'"),
        ({"intime": True}, r"unknown key 'intime' \(known: in_time"),
        ({"spills": "a:b"}, "FIRST:LAST"),
        ({"in_time": "perhaps"}, "in_time"),
    ],
)
def test_impossible_filters_say_what_is_possible(folder, filters, message):
    with pytest.raises(ValueError, match=message):
        reduce(folder, **filters)
    if "planes" not in filters:
        with pytest.raises(InvalidParameters):
            Filters.checked(filters)


@pytest.mark.parametrize(
    ("filters", "missing"),
    [({"spills": (1, 2)}, "spill_id"), ({"in_time": True}, "flag"), ({"triggers": ("NIM1",)}, "trigger_bits")],
)
def test_a_filter_by_what_the_file_lacks_is_refused(shared, filters, missing):
    """And not one that lets everything, or nothing, pass."""
    with pytest.raises(MissingColumn, match=rf"the filter by .* needs {missing}; found channel"):
        reduce(shared / "data/occupancy/sim_jpsi_1k.root", **filters)


@pytest.mark.parametrize("filters", [{"spills": (7, 8)}, {"triggers": ("NIM1",)}])
def test_a_later_file_that_lacks_it_is_a_line_of_the_ledger(shared, folder, filters):
    lacking = shared / "data/occupancy/sim_jpsi_1k.root"
    first = min(folder.iterdir())
    data = reduce([first, lacking], **filters)
    (problem,) = problems_of(data)
    assert problem.part == str(lacking)
    assert "needs" in problem.reason
    np.testing.assert_array_equal(data["hits"], reduce(first, **filters)["hits"])


def test_the_cut_in_words():
    assert Filters().words() == ""
    text = Filters(in_time=True, triggers="NIM1,NIM3", spills="5:", elements=(2, 9), planes="D0X").words()
    assert text == "in time; trigger NIM1 or NIM3; spills 5:; elements 2:9; planes D0X"
