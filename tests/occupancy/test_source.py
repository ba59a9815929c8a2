"""Reading: every layout, codec and cut gives what uproot gives."""

from __future__ import annotations

import itertools
import os
import pickle
import shutil
import struct

import awkward as ak
import numpy as np
import pytest
import uproot

from detcore.core.handles import close_all
from detcore.core.schema import MissingColumn, ragged_counts
from detcore.core.source import ChunkRef, TruncatedFile, UnknownFormat, open_source
from detcore.occupancy import open_files, reduce
from detcore.occupancy import source as spill_source
from detcore.occupancy.baskets import Column
from detcore.occupancy.demo import write_spill
from detcore.occupancy.detectors import DetectorTable
from detcore.occupancy.source import SpillFiles, probe

TABLE = DetectorTable.default()
EVERYTHING = frozenset(
    {"channel", "n_hits", "tdc_time", "drift_distance", "flag", "run_id", "spill_id", "event_id", "trigger_bits"}
)
REAL = {
    # name: events, hits of real channels, of impossible elements, unused slots (data/occupancy/README.md: 70399 etc.)
    "sim_jpsi_1k": (1000, 70_398, 1, 0),
    "sim_muminus_10k": (10_000, 351_776, 129, 0),
    "sim_padded_20k": (20_001, 1_452_665, 221, 8_547_614),
}


def some_counts(seed=0):
    counts = np.zeros((63, 202), np.int64)
    rng = np.random.default_rng(seed)
    for row in TABLE.rows:
        counts[row.detector_id, 1 : row.n_elements + 1] = rng.poisson(1.5, row.n_elements)
    return counts


def some_events(counts, n=90):
    rng = np.random.default_rng(3)
    return np.bincount(rng.integers(5, n - 5, counts.sum()), minlength=n)  # empty ones at both ends


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    """Write a spill of 7000 hits with 40 impossible ids, in small baskets."""
    counts = some_counts()

    def make(name="a.root", **options):
        path = tmp_path_factory.mktemp("spills") / name
        defaults = {"run_id": 5994, "spill_id": 7, "first_event": 100, "out_of_range": 40, "basket_hits": 700}
        return write_spill(path, counts, some_events(counts), **defaults | options)

    return make


def chunks(source, target=None, columns=EVERYTHING):
    return [source.read(ref, columns) for ref in source.plan(target)]


def joined(parts, name):
    return np.concatenate([part[name].values for part in parts])


def matches(source, plain, path, target=None):
    """Compare the chunks of a file with uproot's arrays."""
    parts, expected = chunks(source, target), plain.read(path)
    padding, unknown, bad, good = expected.kinds(TABLE)
    kept = expected.hits(good)
    np.testing.assert_array_equal(joined(parts, "channel"), kept.detector * 512 + kept.element)
    np.testing.assert_array_equal(joined(parts, "n_hits"), np.bincount(kept.event, minlength=expected.n_events))
    for name, kind in (("n_padding", padding), ("n_dropped", bad | unknown)):
        np.testing.assert_array_equal(
            joined(parts, name), np.bincount(expected.event[kind], minlength=expected.n_events)
        )
    np.testing.assert_array_equal(joined(parts, "entry"), np.arange(expected.n_events))
    lost = expected.hits(bad | unknown)
    np.testing.assert_array_equal(joined(parts, "dropped_detector"), np.where(lost.detector > 127, 0, lost.detector))
    if expected.time is not None:
        np.testing.assert_array_equal(joined(parts, "tdc_time"), kept.time.astype(np.float32))
    if expected.flag is not None:
        np.testing.assert_array_equal(joined(parts, "flag"), kept.flag)
    for name, values in (
        ("spill_id", expected.spill),
        ("event_id", expected.number),
        ("trigger_bits", expected.triggers),
    ):
        assert (name in parts[0]) == (values is not None)
        if values is not None:
            np.testing.assert_array_equal(joined(parts, name), values)
    for part in parts:
        assert part.sizes.get("hit", 0) == ragged_counts(part, "hit").values.sum()
        assert not part.indexes
        assert all(one.dtype.isnative for one in part.variables.values())
    return parts


# ---- layouts and codecs


@pytest.mark.parametrize("compression", ["zlib", "lz4", "lzma", "zstd", None])
@pytest.mark.parametrize("layout", ["save", "save-prefixed", "tree", "tree-padded"])
def test_every_layout_and_codec(write, plain, layout, compression):
    truth = write(layout=layout, compression=compression)
    parts = matches(open_files(truth.path), plain, truth.path)
    assert joined(parts, "channel").size == truth.counts.sum()
    np.testing.assert_array_equal(joined(parts, "trigger_bits"), truth.triggers)


@pytest.mark.parametrize("id_dtype", ["int16", "int32"])
@pytest.mark.parametrize("basket_hits", [50, 5000, 10**6])
@pytest.mark.parametrize("target", [1, 3000, None])
def test_wherever_it_is_cut(write, plain, id_dtype, basket_hits, target):
    truth = write(id_dtype=id_dtype, basket_hits=basket_hits)
    parts = matches(open_files(truth.path), plain, truth.path, target)
    assert len(parts) > (50 if basket_hits == 50 and target == 1 else 0)


@pytest.mark.parametrize(
    "options", [{"with_time": False}, {"with_flags": False}, {"with_time": False, "with_flags": False}]
)
def test_columns_that_a_file_lacks(write, plain, options):
    truth = write(**options)
    source = open_files(truth.path)
    assert ("tdc_time" in source.schema()) == options.get("with_time", True)
    assert ("flag" in source.schema()) == options.get("with_flags", True)
    parts = matches(source, plain, truth.path)
    if "with_flags" in options:  # left out: no value would mean "not flagged"
        assert "flag" not in parts[0]
    if "with_time" in options:
        assert np.isnan(joined(parts, "tdc_time")).all()


def test_what_only_uproot_can_read(write, plain, monkeypatch):
    """Baskets inside the tree, objects: without positions of baskets everything goes through uproot."""
    truth = write()
    close_all()
    monkeypatch.setattr(Column, "of", classmethod(lambda cls, branch: None))
    matches(open_files(truth.path), plain, truth.path)
    for layout in ("tree", "tree-padded"):
        path = write(layout=layout).path
        matches(open_files(path), plain, path)
    monkeypatch.undo()
    close_all()


@pytest.mark.parametrize("name", REAL)
def test_real_simulated_files(shared, plain, name):
    path = shared / f"data/occupancy/{name}.root"
    events, hits, dropped, padding = REAL[name]
    parts = matches(open_files(path), plain, path)
    assert joined(parts, "n_hits").sum() == hits
    assert joined(parts, "n_dropped").sum() == dropped
    assert joined(parts, "n_padding").sum() == padding
    assert len(joined(parts, "entry")) == events


# ---- ids of every type and value


def tree(path, name="save", prefix="fAllHits.", dtype="int16", **columns):
    arrays = {prefix + key: ak.values_astype(ak.Array(values), dtype) for key, values in columns.items()}
    with uproot.recreate(path) as file:
        file.mktree(name, dict.fromkeys(arrays, f"var * {dtype}")).extend(arrays)
    return path


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_ids_of_any_whole_type(tmp_path, plain, dtype):
    ids = {"detectorID": [[3, 100], [], [62, 3, 1]], "elementID": [[1, 120], [], [1, 2, 100]]}
    path = tree(tmp_path / "a.root", dtype=dtype, **ids)
    data = reduce(path)
    assert int(data["hits"].sum()) == 5
    plain.compare(data, plain.read(path), TABLE)


def test_ids_that_wrap_around_when_they_are_cut_short_do_not_become_real(tmp_path):
    wrap = 2**32 + 3  # its lower half is detector 3
    path = tree(tmp_path / "a.root", dtype="int64", detectorID=[[wrap, -wrap, 3]], elementID=[[5, 5, wrap]])
    data = reduce(path)
    assert int(data["hits"].sum()) == 0
    assert int(data["padding"] + data["dropped_unknown"] + data["dropped_elements"].sum()) == 3


def test_ids_that_are_not_whole_numbers_are_refused(tmp_path):
    path = tree(tmp_path / "a.root", dtype="float64", detectorID=[[3.0]], elementID=[[1.0]])
    with pytest.raises(MissingColumn, match="holds float64; expected whole numbers"):
        chunks(open_files(path), columns=frozenset({"channel"}))


def test_the_flag_of_derived_files_is_a_truth_value(tmp_path):
    path = tmp_path / "a.root"
    with uproot.recreate(path) as file:
        types = {"detectorID": "var * int32", "elementID": "var * int32", "hitsInTime": "var * bool"}
        ids = ak.Array([[3, 4], [5]])
        file.mktree("tree", types).extend(
            {"detectorID": ids, "elementID": ids, "hitsInTime": ak.Array([[True, False], [True]])}
        )
    data = reduce(path)
    assert data["in_time_hits"].sum("element_id").values[2:5].tolist() == [1, 0, 1]
    assert int(reduce(path, in_time=True)["hits"].sum()) == 2


# ---- plans


@pytest.mark.parametrize("target", [None, 1, 2000])
def test_a_plan_covers_each_file_once(write, target):
    paths = [write().path, write(layout="tree").path]
    source = open_files(paths)
    refs = list(source.plan(target))
    for path in map(str, paths):
        mine = [ref for ref in refs if ref.part == path]
        assert mine[0].start == 0
        assert mine[-1].stop == 90
        assert all(one.stop == other.start for one, other in itertools.pairwise(mine))
        assert sum(ref.weight for ref in mine) == pytest.approx(os.path.getsize(path))  # noqa: PTH202
        assert {ref.time for ref in mine} == {os.stat(path).st_mtime}  # noqa: PTH116
    assert sum(ref.weight for ref in refs) == pytest.approx(source.size())
    assert all(pickle.loads(pickle.dumps(ref)) == ref for ref in refs)


def test_a_source_is_a_value(write):
    source = open_files(write().path)
    assert pickle.loads(pickle.dumps(source)) == source
    first = next(source.plan())
    assert pickle.loads(pickle.dumps(source)).read(first, EVERYTHING).identical(source.read(first, EVERYTHING))


def test_the_schema_is_a_chunk_of_no_events(write):
    source = open_files(write().path)
    schema = source.schema()
    assert set(schema.sizes.values()) == {0}
    chunk = source.read(next(source.plan()), frozenset(map(str, schema.data_vars)))
    assert set(schema.variables) == set(chunk.variables)
    for name, variable in schema.variables.items():
        assert (variable.dims, variable.dtype) == (chunk[name].dims, chunk[name].dtype), name


def test_rows_from_the_middle_of_a_basket(write, plain):
    path = write(basket_hits=10**6).path
    whole = open_files(path)
    (chunk,) = chunks(whole)
    part = whole.read(ChunkRef(whole.key, str(path), 30, 41), EVERYTHING)
    counts = chunk["n_hits"].values
    np.testing.assert_array_equal(part["n_hits"], counts[30:41])
    np.testing.assert_array_equal(part["channel"], chunk["channel"].values[counts[:30].sum() : counts[:41].sum()])
    np.testing.assert_array_equal(part["entry"], np.arange(30, 41))


def test_files_and_folders_in_natural_order(write, tmp_path):
    for name in ("run_10.root", "run_9.root", "deep/a.root", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(write().path, tmp_path / name)
    source = open_files(tmp_path)
    assert [os.path.relpath(path, tmp_path) for path in source.files()] == ["deep/a.root", "run_9.root", "run_10.root"]
    assert len(open_files(tmp_path, max_files=2).files()) == 2
    twice = open_files([tmp_path, tmp_path / "run_9.root"])
    assert twice.files() == source.files()  # nothing is counted twice


# ---- recognition and what goes wrong


def test_recognition(write, shared, tmp_path):
    assert probe(str(write().path)).degree == "exact"
    assert probe(str(shared / "data/occupancy/sim_padded_20k.root")).degree == "exact"
    refused = probe(str(shared / "data/occupancy/km3net_split_vector_hit.root"))
    assert refused.degree == "no"
    assert "no tree named 'save' or 'tree'; found" in refused.reason
    assert probe(str(tmp_path)).reason == "the folder has no .root file"
    shutil.copy(write().path, tmp_path / "a.root")
    (tmp_path / "0.root").write_text("x")
    assert probe(str(tmp_path)).degree == "exact"
    assert isinstance(open_source(tmp_path), SpillFiles)
    with pytest.raises(UnknownFormat, match="not a ROOT file"):
        open_source(tmp_path / "0.root")


def test_a_missing_branch_names_those_that_are_there(tmp_path):
    path = tree(tmp_path / "a.root", detectorID=[[1]], pos=[[1]])
    with pytest.raises(
        UnknownFormat, match=r"lacks the branch fAllHits\.elementID or elementID; its branches: .*fAllHits\.pos"
    ):
        open_files(path).schema()


def test_branches_of_unequal_length(tmp_path, broken_files):
    path = tree(tmp_path / "a.root", detectorID=[[3], [3, 3], [3]], elementID=[[1], [1], [1, 2]])
    with pytest.raises(ValueError, match=r"unequal length: event 1 has 2 detector ids and 1 of fAllHits\.elementID"):
        chunks(open_files(path))
    short = broken_files.unequal_entries(tmp_path / "b.root").path
    good, *_, last = open_files(short).plan(1)
    assert open_files(short).read(good, EVERYTHING).sizes["event"] == 10
    with pytest.raises(ValueError, match=r"fAllHits\.elementID ends at entry 30, expected 40"):
        open_files(short).read(last, EVERYTHING)


def test_a_short_detector_branch_is_not_passed_over(tmp_path, broken_files, monkeypatch):
    """The tree says 40 events, the branch 30: the ten others must be missed."""
    monkeypatch.setattr(broken_files, "ELEMENT", broken_files.DETECTOR)
    path = broken_files.unequal_entries(tmp_path / "a.root").path
    refs = list(open_files(path).plan(1))
    assert refs[-1].stop == 40
    with pytest.raises(ValueError, match=r"fAllHits\.detectorID ends at entry 30, expected 40"):
        open_files(path).read(refs[-1], EVERYTHING)


def test_a_file_that_is_cut_off_says_how_much_is_missing(write, tmp_path):
    content = write().path.read_bytes()
    path = tmp_path / "a.root"
    path.write_bytes(content[:-100])
    with pytest.raises(TruncatedFile, match=f"expected {len(content)} bytes, found {len(content) - 100}"):
        list(open_files(path).plan_file(str(path)))
    assert not open_files(path).whole(str(path))
    path.write_bytes(content)
    assert open_files(path).whole(str(path))


def test_a_file_that_is_replaced_between_plan_and_read_is_not_mixed_up(write, tmp_path):
    path = tmp_path / "a.root"
    shutil.copy(write().path, path)
    source = open_files(path)
    refs = list(source.plan())
    shutil.copy(write(seed=9).path, tmp_path / "b.root")
    (tmp_path / "b.root").replace(path)
    with pytest.raises(ValueError, match="was replaced by another file"):
        source.read(refs[0], EVERYTHING)


def test_a_version_beyond_two_gigabytes_keeps_its_length_in_eight_bytes(tmp_path):
    path = tmp_path / "a.root"
    path.write_bytes(struct.pack(">4siiq", b"root", 1_062_400, 100, 5_000_000_000))
    with pytest.raises(TruncatedFile, match="expected 5000000000 bytes, found 20"):
        spill_source._check_header(str(path))
