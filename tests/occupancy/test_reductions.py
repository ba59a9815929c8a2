"""The numbers of one pass, against uproot, NumPy and the published counts."""

from __future__ import annotations

import json
import os
import shutil

import awkward as ak
import numpy as np
import pandas as pd
import pytest
import uproot

from detcore.core.reduction import Together
from detcore.core.run import Inline, Threads, problems_of, run, stream
from detcore.occupancy import drift_map, n_events, open_files, read_event, read_plane, reduce, reduction
from detcore.occupancy.demo import write_spill
from detcore.occupancy.detectors import DetectorTable
from detcore.occupancy.reductions import DriftMap, DriftTime, Hits
from detcore.occupancy.series import HitsByFile, HitsPerEvent, Trend

TABLE = DetectorTable.default()
FILL = 2**31 - 1


def ids(path, detector, element, **columns):
    """Write a `save` tree of bare ids."""
    arrays = {"fAllHits.detectorID": detector, "fAllHits.elementID": element}
    arrays = {name: ak.values_astype(ak.Array(values), "int32") for name, values in arrays.items()}
    types = dict.fromkeys(arrays, "var * int32") | dict.fromkeys(columns, "int32")
    with uproot.recreate(path) as file:
        file.mktree("save", types).extend(arrays | {name: np.array(v, np.int32) for name, v in columns.items()})
    return path


@pytest.fixture(scope="module")
def spills(tmp_path_factory):
    """Three small spills of one run."""
    folder, truths = tmp_path_factory.mktemp("run"), []
    rng = np.random.default_rng(5)
    for spill in (9, 10, 11):
        counts = np.zeros((63, 202), np.int64)
        for row in TABLE.rows:
            counts[row.detector_id, 1 : row.n_elements + 1] = rng.poisson(1, row.n_elements)
        events = np.bincount(rng.integers(0, 70, counts.sum()), minlength=75)
        options = {"run_id": 1, "spill_id": spill, "first_event": 100 * spill, "seed": spill, "out_of_range": 30}
        truths.append(write_spill(folder / f"spill_{spill}.root", counts, events, basket_hits=900, **options))
    return truths


# ---- real numbers


def test_the_real_spill_equals_the_published_totals(shared, real_spill):
    """Spill 1924430 of run 5994, as ROOT, against the JSON that the original tool wrote."""
    data = reduce(real_spill.path)
    golden = json.loads((shared / "data/occupancy/total_hits_data.json").read_text())
    published = np.array(golden["hits_array"])
    assert published.sum() == 4_046_873
    assert (golden["max_detector"], golden["max_element"]) == (62, 201)
    assert published[0].sum() == published[:, 0].sum() == 0
    np.testing.assert_array_equal(data["hits"].values, published[1:, 1:])
    assert data["hits"].sel(detector_id=3, element_id=74) == 8329
    per_event = np.loadtxt(shared / "data/occupancy/run_005994_spill_001924430_hits_per_event.csv", skiprows=1)
    found = data["hits_per_event"].values
    np.testing.assert_array_equal(found[found > 0], per_event)
    assert int(data["n_events"]) == 3716 + 300
    assert int(data["n_empty_events"]) == 300
    assert data["trend"].sizes["slice"] == 1
    assert data["slice"].item() == "1924430"


def test_the_real_spill_equals_what_its_writer_knows(real_spill, plain):
    data = reduce(real_spill.path)
    np.testing.assert_array_equal(data["events_hit"].values, real_spill.events_hit[1:, 1:])
    np.testing.assert_array_equal(data["in_time_hits"].values, real_spill.in_time[1:, 1:])
    np.testing.assert_array_equal(data["hits_per_event"].values, real_spill.hits_per_event)
    assert data["drift_time"].sum("time").values.tolist() == data["hits"].sum("element_id").values.tolist()
    by_hand = [int((real_spill.triggers >> bit & 1).sum()) for bit in range(10)]
    assert data["trigger_bits"].values.tolist() == by_hand


@pytest.mark.parametrize("name", ["sim_jpsi_1k", "sim_muminus_10k", "sim_padded_20k"])
def test_real_files_in_every_number(shared, plain, name):
    path = shared / f"data/occupancy/{name}.root"
    expected = plain.read(path)
    plain.compare(reduce(path), expected, TABLE)
    real = (expected.detector > 0) & (expected.detector != FILL)
    total = {"sim_jpsi_1k": 70_399, "sim_muminus_10k": 351_905, "sim_padded_20k": 1_452_886}[name]
    assert real.sum() == total  # as published, the hits of impossible elements among them


# ---- everything, for every way of writing and working


@pytest.mark.parametrize("layout", ["save", "save-prefixed", "tree", "tree-padded"])
@pytest.mark.parametrize("executor", [Inline(), Threads(3)], ids=["inline", "threads"])
def test_every_layout_in_every_number(tmp_path, plain, layout, executor):
    counts = np.zeros((63, 202), np.int64)
    for row in TABLE.rows:
        counts[row.detector_id, 1 : row.n_elements + 1] = 1 + np.arange(row.n_elements) % 3
    path = tmp_path / "a.root"
    options = {"layout": layout, "out_of_range": 50, "basket_hits": 800, "n_events": 130}
    truth = write_spill(path, counts, np.full(100, counts.sum() // 100), run_id=1, spill_id=3, **options)
    data = reduce(path, executor=executor)
    plain.compare(data, plain.read(path), TABLE)
    np.testing.assert_array_equal(data["hits"].values, counts[1:, 1:])
    np.testing.assert_array_equal(data["hits_per_event"], truth.hits_per_event)
    lost = int(data["padding"] + data["dropped_unknown"] + data["dropped_elements"].sum())
    unused = 130 * 500 - counts.sum() - 50 if layout == "tree-padded" else 0
    assert lost == 50 + unused


def test_several_files_are_the_sum_of_each(spills):
    data = reduce([truth.path for truth in spills])
    np.testing.assert_array_equal(data["hits"].values, sum(truth.counts for truth in spills)[1:, 1:])
    np.testing.assert_array_equal(data["events_hit"].values, sum(truth.events_hit for truth in spills)[1:, 1:])
    np.testing.assert_array_equal(data["hits_per_event"], np.concatenate([truth.hits_per_event for truth in spills]))
    assert data.identical(reduce(spills[0].path.parent).assign_attrs(data.attrs))


def test_events_come_in_the_order_of_the_files_whatever_the_threads_do(spills):
    data = run(open_files(spills[0].path.parent), HitsPerEvent(), executor=Threads(4), target_bytes=1)
    assert [os.path.basename(name) for name in data["file"].values] == [f"spill_{n}.root" for n in (9, 10, 11)]  # noqa: PTH119
    np.testing.assert_array_equal(data["event_file"], np.repeat([0, 1, 2], 75))
    np.testing.assert_array_equal(data["entry"], np.tile(np.arange(75), 3))
    np.testing.assert_array_equal(data["event_id"], np.concatenate([100 * n + np.arange(75) for n in (9, 10, 11)]))
    np.testing.assert_array_equal(data["spill_id"], np.repeat([9, 10, 11], 75))
    np.testing.assert_array_equal(data["hits_per_event"], np.concatenate([truth.hits_per_event for truth in spills]))


def test_a_live_feed_keeps_the_last_events(spills):
    data = run(open_files(spills[0].path.parent), HitsPerEvent(last=100), target_bytes=1)
    everything = np.concatenate([truth.hits_per_event for truth in spills])
    np.testing.assert_array_equal(data["hits_per_event"], everything[-100:])
    assert len(data["file"]) == 2


# ---- trend


def by_slices(plain, truths, slices):
    """Hits of each detector in lists of (file, first, last) events."""
    rows = []
    for number, first, last in slices:
        whole = plain.read(truths[number].path)
        good = whole.hits(whole.kinds(TABLE)[3])
        mine = (good.event >= first) & (good.event <= last)
        rows.append(np.bincount(good.detector[mine], minlength=63)[1:])
    return np.array(rows)


@pytest.mark.parametrize(
    ("by", "labels", "slices"),
    [
        ("spill", ["9", "10", "11"], [(0, 0, 99), (1, 0, 99), (2, 0, 99)]),
        ("file", ["spill_9.root", "spill_10.root", "spill_11.root"], [(0, 0, 99), (1, 0, 99), (2, 0, 99)]),
        (
            "events",
            [f"spill_{n}.root:{first}-{first + 29}" for n in (9, 10, 11) for first in (0, 30, 60)],
            [(n, first, first + 29) for n in range(3) for first in (0, 30, 60)],
        ),
    ],
)
def test_trend(spills, plain, by, labels, slices):
    data = run(open_files(spills[0].path.parent), Trend(by=by, events=30), target_bytes=1)
    assert data["slice"].values.tolist() == labels
    np.testing.assert_array_equal(data["trend"], by_slices(plain, spills, slices))
    assert data["trend_events"].values.tolist() == [min(last, 74) - first + 1 for _, first, last in slices]
    if by != "events":
        again = run(open_files(spills[0].path.parent), lambda schema: reduction(None, schema, by=by))
        np.testing.assert_array_equal(again["trend"], data["trend"])


def test_spills_that_share_a_file_and_files_that_share_a_spill(tmp_path):
    ids(tmp_path / "a.root", [[3], [3, 4], [5]], [[1], [1, 1], [1]], fSpillID=[20, 20, 100])
    ids(tmp_path / "b.root", [[3], [6]], [[1], [1]], fSpillID=[20, -1])
    ids(tmp_path / "c.root", [[9]], [[1]])
    data = run(open_files(tmp_path), Trend())
    found = dict(zip(data["slice"].values, data["trend_events"].values, strict=True))
    assert found == {"20": 3, "100": 1, "b.root": 1, "c.root": 1}  # -1: the file says nothing
    assert data["trend"].sel(slice="20").values[2:4].tolist() == [3, 1]


# ---- drift time


def test_drift_time_counts_every_hit_somewhere(spills, plain):
    data = run(open_files(spills[0].path), DriftTime(low=700, width=10, bins=20))
    expected = plain.read(spills[0].path)
    good = expected.hits(expected.kinds(TABLE)[3])
    for detector in (3, 31, 60):
        times = good.time[good.detector == detector].astype(float)
        inside = (times >= 700) & (times < 900)
        want = np.histogram(times[inside], np.linspace(700, 900, 21))[0]
        np.testing.assert_array_equal(data["drift_time"].sel(detector_id=detector), want)
        assert data["drift_time_outside"].sel(detector_id=detector) == (~inside).sum()
    assert data["time"].values[:2].tolist() == [705.0, 715.0]
    assert data["time"].attrs["units"] == "ns"
    assert int(data["drift_time"].sum() + data["drift_time_outside"].sum()) == spills[0].counts.sum()


@pytest.mark.parametrize("detector", ["D0X", "3"])
def test_drift_map(spills, plain, detector):
    data = drift_map([truth.path for truth in spills], detector)
    want = np.zeros((160, 125), np.int64)
    for truth in spills:
        whole = plain.read(truth.path)
        good = whole.hits(whole.kinds(TABLE)[3])
        mine = good.hits((good.detector == 3) & (good.time >= 0) & (good.time < 2500))
        np.add.at(want, (mine.element - 1, (mine.time / 20).astype(int)), 1)
    np.testing.assert_array_equal(data["drift_map"], want)
    assert want.sum() > 100
    assert data.attrs["detector_id"] == 3
    in_time = drift_map(spills[0].path, detector, in_time=True)["drift_map"].sum("time_coarse")
    np.testing.assert_array_equal(in_time, spills[0].in_time[3, 1:161])


def test_drift_map_of_a_detector_that_is_not_there(spills):
    with pytest.raises(ValueError, match="no detector 'D9X'; there are D0V"):
        drift_map(spills[0].path, "D9X")
    assert drift_map(spills[0].path, 99)["drift_map"].sum() == 0
    with pytest.raises(ValueError, match="detector_id"):
        DriftMap(detector_id=128)


# ---- by file


def test_hits_by_file(spills):
    data = run(open_files(spills[0].path.parent), HitsByFile(), executor=Threads(3), target_bytes=1)
    assert [os.path.basename(name) for name in data["file_hits_file"].values] == [  # noqa: PTH119
        "spill_9.root",
        "spill_10.root",
        "spill_11.root",
    ]
    for number, truth in enumerate(spills):
        mine = data["file_hits_index"].values == number
        grid = np.zeros_like(truth.counts)
        place = data["file_hits_detector"].values[mine], data["file_hits_element"].values[mine]
        assert len(set(zip(*(one.tolist() for one in place), strict=True))) == mine.sum()
        grid[place] = data["file_hits"].values[mine]
        np.testing.assert_array_equal(grid, truth.counts)
    assert data["file_hits"].dtype == np.int64


def test_files_of_one_name_in_two_folders_stay_two(spills, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(spills[0].path, tmp_path / folder / "same.root")
    data = run(open_files(tmp_path), Together(reductions=(HitsByFile(), Trend(by="file"), HitsPerEvent())))
    assert len(data["file_hits_file"]) == data.sizes["slice"] == len(data["file"]) == 2


# ---- ids


def test_unknown_detectors_are_kept_and_their_size_is_inferred(tmp_path):
    path = ids(tmp_path / "a.root", [[7, 7, 12, 63, 127], [99, 3]], [[1, 40, 511, 2, 9], [5, 1]])
    data = reduce(path)
    assert data.sizes["detector_id"] == 127
    assert data.sizes["element_id"] == 511
    seen = {7: 40, 12: 511, 63: 2, 99: 5, 127: 9}
    for number, size in seen.items():
        row = data.sel(detector_id=number)
        assert int(row["n_elements"]) == size
        assert bool(row["inferred"])
        assert row["detector"].item() == row["group"].item() == ""
    assert int(data["hits"].sum()) == 7
    known = data.sel(detector_id=3)
    assert (known["detector"].item(), int(known["n_elements"]), bool(known["inferred"])) == ("D0X", 160, False)
    nothing = data.sel(detector_id=100)
    assert (int(nothing["n_elements"]), bool(nothing["inferred"])) == (0, False)
    assert data["inferred"].sum() == len(seen)
    assert data["trend"].sum("slice").values.tolist() == data["hits"].sum("element_id").values.tolist()


def test_impossible_ids_are_counted_and_never_wrap_around(tmp_path):
    hits = [
        *[(FILL, FILL), (FILL, 5), (0, 5), (-1, 5), (-32768, 5)],  # unused slots
        *[(128, 5), (200, 5), (32767, 5), (2**31 - 2, 5)],  # no such detector
        *[(3, 0), (3, -1), (3, 161), (3, 512 + 74), (3, 32767), (3, FILL), (31, 24)],  # no such element
        *[(70, 512), (70, 0)],  # nor of one that is in no table
        *[(3, 1), (3, 160), (31, 23)],  # the first and last real ones
    ]
    path = ids(tmp_path / "a.root", [[hit[0] for hit in hits], []], [[hit[1] for hit in hits], []])
    data = reduce(path)
    assert int(data["hits"].sum()) == 3
    assert int(data["padding"]) == 5
    assert int(data["dropped_elements"].sel(detector_id=3)) == 6
    assert int(data["dropped_elements"].sel(detector_id=31)) == 1
    # detector 70 has no row, because nothing of it could be counted: what was dropped is not forgotten
    assert data.sizes["detector_id"] == 62
    assert int(data["dropped_unknown"]) == 4 + 2
    assert len(hits) == int(
        data["hits"].sum() + data["padding"] + data["dropped_elements"].sum() + data["dropped_unknown"]
    )
    assert data["hits_per_event"].values.tolist() == [3, 0]
    assert int(data["n_empty_events"]) == 1


def test_a_table_of_ones_own(spills, tmp_path, plain):
    path = tmp_path / "table.csv"
    pd.DataFrame(
        {"name": ["A", "B, the second"], "detector_id": [3, 90], "n_elements": [10, 7], "group": ["G", "H"]}
    ).to_csv(path, index=False)
    table = DetectorTable.read(path)
    data = reduce(spills[0].path, detectors=str(path))
    plain.compare(data, plain.read(spills[0].path), table, check_pairs=False)
    assert data.sizes["detector_id"] == 90
    assert data.sizes["pair"] == 0
    assert data["detector"].sel(detector_id=3).item() == "A"
    assert int(data["dropped_elements"].sel(detector_id=3)) == spills[0].counts[3, 11:].sum() + plain_bad(spills[0], 3)
    assert bool(data["inferred"].sel(detector_id=4))


def plain_bad(truth, detector):
    return sum(n for (one, _), n in truth.out_of_range.items() if one == detector)


def test_in_what_events_a_channel_fired_is_not_how_often(tmp_path):
    path = ids(tmp_path / "a.root", [[3, 3, 3], [3], [4]], [[7, 7, 8], [7], [7]])
    data = reduce(path).sel(detector_id=3)
    assert data["hits"].sel(element_id=[7, 8]).values.tolist() == [3, 1]
    assert data["events_hit"].sel(element_id=[7, 8]).values.tolist() == [2, 1]


def test_files_that_differ_in_what_they_have(tmp_path, spills):
    """The first decides what is asked for; a later one without trigger bits adds nothing to them."""
    ids(tmp_path / "b.root", [[3, 3], []], [[1, 2], []])
    bare = run(open_files([spills[0].path, tmp_path / "b.root"]), lambda schema: reduction(None, schema))
    assert int(bare["hits"].sum()) == spills[0].counts.sum() + 2
    assert bare["trigger_bits"].values.tolist() == reduce(spills[0].path)["trigger_bits"].values.tolist()
    assert int(bare["drift_time_missing"].sum()) == 2
    # nor does one without flags to the hits in time: how many that are is told
    data = reduce([spills[0].path, tmp_path / "b.root"])
    assert int(data["hits"].sum()) == spills[0].counts.sum() + 2
    assert int(data["in_time_hits"].sum()) == spills[0].in_time.sum()
    assert int(data["in_time_missing"]) == 2
    filtered = reduce([spills[0].path, tmp_path / "b.root"], in_time=True)
    assert int(filtered["hits"].sum()) == spills[0].in_time.sum()
    assert "needs flag" in problems_of(filtered)[0].reason


# ---- single events


def test_read_event(spills, plain):
    path, whole = spills[1].path, plain.read(spills[1].path)
    good = whole.hits(whole.kinds(TABLE)[3])
    assert n_events(path) == 75
    for number in (0, 3, 40, 74):
        event, mine = read_event(path, number), good.event == number
        np.testing.assert_array_equal(event["detector_id"], good.detector[mine])
        np.testing.assert_array_equal(event["element_id"], good.element[mine])
        np.testing.assert_array_equal(event["tdc_time"], good.time[mine])
        np.testing.assert_array_equal(event["flag"], good.flag[mine])
        facts = (event.attrs["event_id"], event.attrs["spill_id"], event.attrs["run_id"], event.attrs["entry"])
        assert facts == (1000 + number, 10, 1, number)
        assert event.attrs["trigger_bits"] == spills[1].triggers[number]
    for number in (-1, 75, 10**9):
        with pytest.raises(IndexError, match="it has 75, counted from 0"):
            read_event(path, number)


def test_read_event_of_a_padded_file(shared, plain):
    path = shared / "data/occupancy/sim_padded_20k.root"
    with uproot.open({str(path): None}) as file:
        detector, element = (
            file["tree"][f"{one}ID"].array(entry_start=12_345, entry_stop=12_346)[0] for one in ("detector", "element")
        )
    real = detector != FILL
    event = read_event(path, 12_345)
    assert event["detector_id"].values.tolist() == detector[real].to_list()
    assert event["element_id"].values.tolist() == element[real].to_list()
    assert "tdc_time" not in event


def test_read_plane(spills, plain):
    whole = plain.read(spills[0].path)
    good = whole.hits(whole.kinds(TABLE)[3])
    plane = read_plane(spills[0].path, "H4T")
    mine = good.detector == 46
    assert plane["element_id"].values.tolist() == good.element[mine].tolist()
    assert plane["tdc_time"].values.tolist() == good.time[mine].tolist()


# ---- streaming


def test_snapshots_grow_to_the_whole(spills):
    source = open_files(spills[0].path.parent)
    hits = [int(one.data["hits"].sum()) for one in stream(source, Hits(), executor=Inline(), every=0.0, target_bytes=1)]
    assert hits == sorted(hits)
    assert hits[-1] == sum(int(truth.counts.sum()) for truth in spills)
