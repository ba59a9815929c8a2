"""Spills as written, read back with uproot alone and counted with NumPy."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import uproot

from detcore.occupancy import demo
from detcore.occupancy.detectors import DetectorTable

TABLE = DetectorTable.default()


def some_counts(seed=0, mean=3):
    counts = np.zeros((63, 202), np.int64)
    rng = np.random.default_rng(seed)
    for row in TABLE.rows:
        counts[row.detector_id, 1 : row.n_elements + 1] = rng.poisson(mean, row.n_elements)
    return counts


def some_events(counts, n=60, seed=1):
    rng = np.random.default_rng(seed)
    hits = rng.multinomial(counts.sum(), rng.dirichlet(np.ones(n)))
    hits[[3, 10]], hits[4] = 0, hits[4] + hits[[3, 10]].sum()
    return hits


@pytest.fixture(scope="module")
def given():
    counts = some_counts()
    return counts, some_events(counts)


def read(path, tree="save", prefix="fAllHits."):
    """Return hits per event and the flat columns of a file."""
    with uproot.open({path: None}) as file:
        branches = {name: branch.array(library="np") for name, branch in file[tree].items()}
    hits = {
        name.removeprefix(prefix): np.concatenate(values)
        for name, values in branches.items()
        if values.dtype == object and len(values)
    }
    return np.array([len(event) for event in branches[f"{prefix}detectorID"]]), hits, branches


def count(detector, element, weights=None, shape=(63, 202)):
    out = np.zeros(shape, np.int64)
    np.add.at(out, (detector.astype(int), element.astype(int)), 1 if weights is None else weights)
    return out


@pytest.mark.parametrize("compression", ["zlib", "lz4", "lzma", "zstd", None])
def test_counts_and_events_are_exact_with_every_codec(tmp_path, given, compression):
    counts, events = given
    truth = demo.write_spill(
        tmp_path / "a.root", counts, events, run_id=7, spill_id=8, compression=compression, basket_hits=4000
    )
    per_event, hits, branches = read(tmp_path / "a.root")
    np.testing.assert_array_equal(count(hits["detectorID"], hits["elementID"]), counts)
    np.testing.assert_array_equal(per_event, events)
    np.testing.assert_array_equal(branches["nfAllHits"], events)
    np.testing.assert_array_equal(truth.counts, counts)
    np.testing.assert_array_equal(truth.hits_per_event, events)
    with uproot.open(tmp_path / "a.root") as file:
        branch = file["save"]["fAllHits.detectorID"]
        assert branch.num_baskets > 2
        key = branch.basket_key(0)
    block = (tmp_path / "a.root").read_bytes()[key.fSeekKey + key.fKeylen :][:2]
    signs = {b"ZL": "zlib", b"L4": "lz4", b"XZ": "lzma", b"ZS": "zstd"}  # of ROOT's compressed blocks
    assert signs.get(block) == compression


def test_layout_and_types_are_the_experiments(tmp_path, given):
    demo.write_spill(tmp_path / "a.root", *given, run_id=7, spill_id=8, first_event=100)
    with uproot.open(tmp_path / "a.root") as file:
        assert file["save"].classname == "TTree"
        found = {name: branch.typename for name, branch in file["save"].items()}
    assert found == {
        "fRunID": "int32_t", "fSpillID": "int32_t", "fEventID": "int32_t", "fTriggerBits": "int32_t",
        "fTargetPos": "int16_t", "nfAllHits": "int32_t",
        "fAllHits.detectorID": "int16_t[]", "fAllHits.elementID": "int16_t[]", "fAllHits.tdcTime": "float[]",
        "fAllHits.driftDistance": "float[]", "fAllHits.pos": "float[]", "fAllHits.flag": "uint16_t[]",
    }  # fmt: skip
    _, _, branches = read(tmp_path / "a.root")
    assert set(branches["fRunID"]) == {7}
    assert set(branches["fSpillID"]) == {8}
    np.testing.assert_array_equal(branches["fEventID"], 100 + np.arange(60))


def test_hits_are_sorted_as_the_experiments_writer_sorts(tmp_path, given):
    demo.write_spill(tmp_path / "a.root", *given, run_id=7, spill_id=8, out_of_range=50, basket_hits=3000)
    per_event, hits, _ = read(tmp_path / "a.root")
    event = np.repeat(np.arange(len(per_event)), per_event)
    order = np.lexsort((-hits["tdcTime"], hits["elementID"], hits["detectorID"], event))
    keys = np.stack([event, hits["detectorID"], hits["elementID"], hits["tdcTime"]])
    np.testing.assert_array_equal(keys, keys[:, order])


def test_truth_counts_channels_that_fired_hits_in_time_and_double_hits(tmp_path, given):
    truth = demo.write_spill(tmp_path / "a.root", *given, run_id=7, spill_id=8)
    per_event, hits, _ = read(tmp_path / "a.root")
    event = np.repeat(np.arange(len(per_event)), per_event)
    once = np.unique(np.stack([event, hits["detectorID"], hits["elementID"]]), axis=1)
    np.testing.assert_array_equal(truth.events_hit, count(once[1], once[2]))
    assert 0.5 < truth.events_hit.sum() / truth.counts.sum() < 0.99
    np.testing.assert_array_equal(truth.in_time, count(hits["detectorID"], hits["elementID"], hits["flag"] >> 1 & 1))


def test_flags_agree_with_the_time_windows(tmp_path, given):
    demo.write_spill(tmp_path / "a.root", *given, run_id=7, spill_id=8)
    _, hits, _ = read(tmp_path / "a.root")
    rows = [TABLE.by_id[detector] for detector in hits["detectorID"].tolist()]
    inside = (np.array([row.t_min for row in rows]) <= hits["tdcTime"]) & (
        hits["tdcTime"] <= np.array([row.t_max for row in rows])
    )
    np.testing.assert_array_equal((hits["flag"] & 2) > 0, inside)
    assert 0.9 < inside.mean() < 0.99
    hodo = np.array([row.kind == "hodo" for row in rows])
    assert not (hits["flag"][hodo] & 4).any()
    assert not (hits["flag"][~hodo] & 8).any()
    assert not (hits["flag"][~inside] & 12).any()
    assert not (hits["flag"] & ~np.uint16(14)).any()
    peak, spectrum = (np.diff(np.quantile(hits["tdcTime"][mask], [0.25, 0.75])) for mask in (hodo, ~hodo))
    assert peak < 30  # ns
    assert spectrum > 100


def test_prefixed_and_plain_trees_hold_the_same_hits(tmp_path, given):
    options = {"run_id": 7, "spill_id": 8, "seed": 5}
    for layout in ("save", "save-prefixed", "tree", "tree-padded"):
        demo.write_spill(tmp_path / f"{layout}.root", *given, layout=layout, **options)
    per_event, flat, branches = read(tmp_path / "save.root")
    for layout, tree, prefix in (
        ("save-prefixed", "save", "rawEvent/fAllHits."),
        ("tree", "tree", ""),
    ):
        again, hits, other = read(tmp_path / f"{layout}.root", tree, prefix)
        np.testing.assert_array_equal(again, per_event)
        for name in ("detectorID", "elementID", "tdcTime", "driftDistance"):
            np.testing.assert_array_equal(hits[name], flat[name])
    bits = np.concatenate([other["fpgaTriggers"], other["nimTriggers"]], axis=1)
    np.testing.assert_array_equal(bits @ (1 << np.arange(10)), branches["fTriggerBits"])
    assert other["detectorID"][0].dtype == np.int32
    with uproot.open(tmp_path / "tree-padded.root") as file:
        padded = file["tree"]["detectorID"].array(library="np")
    assert padded.shape == (60, max(500, per_event.max()))
    assert padded.dtype == np.int32
    np.testing.assert_array_equal((padded != 2_147_483_647).sum(axis=1), per_event)
    np.testing.assert_array_equal(padded[padded != 2_147_483_647], flat["detectorID"])


@pytest.mark.parametrize(("option", "gone"), [("with_time", {"tdcTime", "driftDistance"}), ("with_flags", {"flag"})])
def test_branches_can_be_left_out(tmp_path, given, option, gone):
    demo.write_spill(tmp_path / "a.root", *given, run_id=7, spill_id=8, id_dtype="int32", **{option: False})
    _, hits, branches = read(tmp_path / "a.root")
    assert set(hits) == {"detectorID", "elementID", "tdcTime", "driftDistance", "pos", "flag"} - gone
    assert branches["fAllHits.detectorID"][0].dtype == np.int32


def test_the_same_seed_gives_the_same_hits_whatever_the_baskets(tmp_path, given):
    options = {"run_id": 7, "spill_id": 8, "seed": 5, "out_of_range": 9}
    demo.write_spill(tmp_path / "a.root", *given, **options)
    demo.write_spill(tmp_path / "b.root", *given, basket_hits=1500, compression="lz4", **options)
    demo.write_spill(tmp_path / "c.root", *given, **options | {"seed": 6})
    (_, a, one), (_, b, two), (_, c, _) = (read(tmp_path / f"{name}.root") for name in "abc")
    assert all((a[name] == b[name]).all() for name in a)
    assert (one["fTriggerBits"] == two["fTriggerBits"]).all()
    assert not (a["detectorID"] == c["detectorID"]).all()


def test_impossible_ids_are_added_beside_the_counts(tmp_path, given):
    counts, events = given
    truth = demo.write_spill(tmp_path / "a.root", counts, events, run_id=7, spill_id=8, out_of_range=40)
    per_event, hits, _ = read(tmp_path / "a.root")
    pairs = list(zip(hits["detectorID"].tolist(), hits["elementID"].tolist(), strict=True))
    good = np.array([d in TABLE.by_id and 1 <= e <= TABLE.by_id[d].n_elements for d, e in pairs])
    np.testing.assert_array_equal(count(hits["detectorID"][good], hits["elementID"][good]), counts)
    bad = [pair for pair, fine in zip(pairs, good, strict=True) if not fine]
    assert len(bad) == 40
    assert {pair: bad.count(pair) for pair in bad} == truth.out_of_range
    assert {(0, 5), (-1, 5)} & set(bad)
    np.testing.assert_array_equal(truth.hits_per_event, events)
    np.testing.assert_array_equal(per_event == 0, events == 0)


def test_missing_events_are_empty_and_random_triggers(tmp_path, given):
    counts, events = given
    truth = demo.write_spill(tmp_path / "a.root", counts, events, run_id=7, spill_id=8, n_events=100)
    per_event, _, branches = read(tmp_path / "a.root")
    np.testing.assert_array_equal(per_event[per_event > 0], events[events > 0])
    np.testing.assert_array_equal(per_event, truth.hits_per_event)
    assert (per_event == 0).sum() == 42
    assert set(branches["fTriggerBits"][per_event == 0]) == {1 << 7}  # NIM3
    assert branches["fTriggerBits"].min() > 0
    np.testing.assert_array_equal(branches["fTriggerBits"], truth.triggers)


def test_events_that_do_not_add_up_are_scaled_and_empty_ones_stay_empty(tmp_path, given):
    counts, events = given
    truth = demo.write_spill(tmp_path / "a.root", counts, events * 3 + (events > 0), run_id=7, spill_id=8)
    assert truth.hits_per_event.sum() == counts.sum()
    assert abs(truth.hits_per_event - events).max() <= 2 + 60 // 3
    np.testing.assert_array_equal(truth.hits_per_event == 0, events == 0)


def test_nothing_to_write_is_still_a_tree(tmp_path):
    none = np.zeros((63, 202), int)
    demo.write_spill(tmp_path / "a.root", none, [], run_id=7, spill_id=8)
    demo.write_spill(tmp_path / "b.root", none, [0, 0], run_id=7, spill_id=8)
    for name, length in (("a", 0), ("b", 2)):
        with uproot.open(tmp_path / f"{name}.root") as file:
            assert file["save"].num_entries == length
            assert file["save"]["fAllHits.detectorID"].typename == "int16_t[]"


@pytest.mark.parametrize(
    ("counts", "events", "options", "message"),
    [
        (np.ones((2, 2)), [0], {}, "every event is empty"),
        (np.ones((2, 2)), [-1, 5], {}, "none negative"),
        (np.ones(3), [3], {}, r"found shapes \(3,\)"),
        (np.ones((2, 2)), [2, 2], {"n_events": 1}, "lists 2 events"),
    ],
)
def test_contradictions_are_refused_and_leave_no_file(tmp_path, counts, events, options, message):
    with pytest.raises(ValueError, match=message):
        demo.write_spill(tmp_path / "a.root", counts, events, run_id=7, spill_id=8, **options)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def demo_spills(tmp_path_factory):
    return demo.write(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def demo_counts(demo_spills):
    """(spill, detector, element) of the demo's real channels."""
    out = []
    for path in demo_spills:
        _, hits, _ = read(path)
        real = [d in TABLE.by_id and 1 <= e <= TABLE.by_id[d].n_elements
                for d, e in zip(hits["detectorID"].tolist(), hits["elementID"].tolist(), strict=True)]  # fmt: skip
        out.append(count(hits["detectorID"][real], hits["elementID"][real]))
    return np.array(out)


def test_the_demo_is_named_as_the_experiment_names_its_spills(demo_spills):
    assert [path.name for path in demo_spills] == [f"run_000042_spill_0000{n}_sraw.root" for n in range(42001, 42007)]
    assert {path.parent.name for path in demo_spills} == {"run_000042"}


def test_the_demo_looks_like_beam(demo_spills):
    every = np.array([read(path)[0] for path in demo_spills])
    full = np.delete(every, 2, axis=0)
    assert 200 < np.median(full[full > 0]) < 400
    assert 2000 < every.max() < 3500
    assert ((every == 0).mean(axis=1) > 0.03).all()


def test_the_demo_has_the_faults_it_lists_and_no_other_silent_channel(demo_counts):
    total = demo_counts.sum(axis=0)
    silent = {
        (row.name, e) for row in TABLE.rows for e in range(1, row.n_elements + 1) if not total[row.detector_id, e]
    }
    planted = set()
    seen = set()
    for fault in demo.expected_pathologies():
        seen.add(fault.finding)
        row = TABLE.by_name.get(fault.detector)
        if fault.finding == "plane-dead":
            planted |= {(row.name, e) for e in range(1, row.n_elements + 1)}
        elif fault.finding == "dead":
            planted.add((row.name, fault.element))
        elif fault.finding == "hot":
            around = total[row.detector_id, fault.element - 4 : fault.element + 5]
            assert total[row.detector_id, fault.element] > 5 * np.median(around)
        elif fault.finding == "died":
            first = fault.spill_id - 42001
            assert demo_counts[:first, row.detector_id, fault.element].min() > 20
            assert demo_counts[first:, row.detector_id, fault.element].max() == 0
        else:
            spills = demo_counts.sum(axis=(1, 2))
            assert spills.argmin() == fault.spill_id - 42001
            assert spills.min() < 0.4 * np.median(spills)
    assert silent == planted
    assert seen == {"plane-dead", "dead", "hot", "died", "low-intensity"}


def test_the_demo_is_written_once(tmp_path):
    paths = demo.write(tmp_path)
    before = [path.stat().st_mtime_ns for path in paths]
    assert demo.write(tmp_path) == paths
    assert [path.stat().st_mtime_ns for path in paths] == before
    paths[2].unlink()
    demo.write(tmp_path)
    assert paths[2].is_file()
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {path.name for path in paths} | {".demo.json"}


def test_the_real_spill_is_written_as_published(tmp_path, shared):
    spec = importlib.util.spec_from_file_location("spills", Path(__file__).parents[1] / "benchmarks" / "spills.py")
    spills = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(spills)
    spills.write_real_spill(shared, tmp_path / "real.root")
    per_event, hits, _ = read(tmp_path / "real.root")
    found = count(hits["detectorID"], hits["elementID"])
    assert found.sum() == 4_046_873
    assert found[3, 74] == 8329
    assert found[31, 23] == 9673
    np.testing.assert_array_equal(per_event[per_event > 0], spills.real_hits_per_event(shared))
    assert len(per_event) == 3716 + 300
