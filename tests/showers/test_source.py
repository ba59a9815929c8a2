"""Shower files in chunks: everything that the original library reads, and nothing padded."""

from __future__ import annotations

import pickle
import shutil

import h5py
import numpy as np
import pytest
import showerdata

from detcore.core.run import problems_of, run
from detcore.core.schema import ragged_counts
from detcore.core.source import ChunkRef, Problem, open_source
from detcore.showers.api import open_files, read_one, read_shower, reduction
from detcore.showers.detector import ILD
from detcore.showers.ragged import Ragged
from detcore.showers.source import UNCLUSTERED, ShowerFiles, probe
from detcore.showers.steps import ragged_of

EVERYTHING = frozenset({"points", "n_points"})


def chunks_of(source, target=None, columns=EVERYTHING):
    for ref in source.plan(target):
        assert isinstance(ref, ChunkRef), ref
        yield source.read(ref, columns)


def test_chunks_hold_what_the_original_reads(shared_file):
    expected = showerdata.load(shared_file)
    source = open_files(shared_file)
    chunks = list(chunks_of(source, 50_000))
    assert len(chunks) > 1 or len(expected) < 10
    seen = 0
    for chunk in chunks:
        n, points = chunk.sizes["shower"], chunk["points"].values
        rows = slice(seen, seen + n)
        np.testing.assert_array_equal(chunk["shower_number"], np.arange(seen, seen + n))
        np.testing.assert_array_equal(chunk["incident_energy"], expected.energies[rows, 0].astype(np.float64))
        np.testing.assert_array_equal(chunk["direction"], expected.directions[rows])
        np.testing.assert_array_equal(chunk["pdg"], expected.pdg[rows])
        np.testing.assert_array_equal(chunk["shower_id"], expected.shower_ids[rows])
        ends = np.cumsum(ragged_counts(chunk, "point").values)
        assert ends[-1] == len(points)
        for number, (end, count) in enumerate(zip(ends, chunk["n_points"].values, strict=True)):
            np.testing.assert_array_equal(points[end - count : end], expected.points[seen + number, :count])
            assert not expected.points[seen + number, count:].any()
        assert len(points) * points.itemsize * points.shape[1] <= 50_000 or n == 1, "bounded by the target"
        assert {str(name) for name in chunk.variables} == {str(name) for name in source.schema().variables}
        for name, variable in source.schema().variables.items():
            assert chunk[name].dtype == variable.dtype, name
            assert chunk[name].dims == variable.dims, name
        seen += n
    assert seen == len(expected)


def test_single_showers(shared_file):
    expected = showerdata.load(shared_file)
    for number in {0, len(expected) // 2, len(expected) - 1}:
        points = read_shower(shared_file, number)
        np.testing.assert_array_equal(points, expected.points[number, : len(points)])
        assert not expected.points[number, len(points) :].any()
        one = read_one(shared_file, number)
        assert one.energies[0] == expected.energies[number, 0]
        np.testing.assert_array_equal(one.points, points)
    for number in (-1, len(expected)):
        with pytest.raises(IndexError, match=rf"{shared_file.name}: no shower {number}"):
            read_shower(shared_file, number)


def test_what_is_not_asked_for_is_not_read(shower_file):
    made, path = shower_file()
    source = open_files(path)
    (chunk,) = chunks_of(source, columns=frozenset({"incident_energy", "direction", "pdg", "shower_id"}))
    assert "points" not in chunk
    np.testing.assert_array_equal(chunk["incident_energy"], made.energies.astype(np.float64))
    np.testing.assert_array_equal(chunk["direction"], made.directions)
    assert chunk["incident_energy"].attrs == {"units": "GeV"}


def test_a_source_and_its_references_travel(shower_file):
    made, path = shower_file()
    source = open_files(path)
    refs = list(source.plan(1000))
    assert len(refs) > 3
    source, refs = pickle.loads(pickle.dumps((source, refs)))
    parts = [ragged_of(source.read(ref, EVERYTHING)) for ref in refs]
    np.testing.assert_array_equal(Ragged.concatenate(parts).points, made.points)
    assert sum(ref.weight for ref in refs) == pytest.approx(source.size())


def test_the_files_are_recognised_by_content(shared_file, shared, tmp_path):
    assert probe(str(shared_file)).degree == "exact"
    copy = tmp_path / "without_suffix"
    shutil.copy(shared_file, copy)
    assert isinstance(open_source(copy), ShowerFiles)
    assert probe(str(tmp_path)).reason == "the folder has no .h5 or .hdf5 or .hdf file"
    shutil.copy(shared_file, tmp_path / "x.h5")
    assert probe(str(tmp_path)).degree == "exact"


def test_other_files_are_refused_and_told_why(shared, tmp_path):
    incident = probe(str(shared / "data/showers/incident_only.h5"))
    assert incident.degree == "no"
    assert "incident particles only" in incident.reason
    text, empty, other = tmp_path / "text.h5", tmp_path / "empty.h5", tmp_path / "other.h5"
    text.write_text("energies")
    empty.touch()
    with h5py.File(other, "w") as file:
        file["showers"] = np.zeros(3)
        file.create_group("energies")
    for path, reason in (
        (text, "not a readable HDF5 file"),
        (empty, "not a readable HDF5"),
        (other, "lacks energies, dir"),
    ):
        assert probe(str(path)).degree == "no"
        assert reason in probe(str(path)).reason
    assert "no such file" in probe(str(tmp_path / "gone.h5")).reason
    assert "no such file" in str(next(iter(open_files(tmp_path / "gone.h5").plan())))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("shape", np.array([12, 70]), "expected three whole numbers"),
        ("shape", np.array([12, 70, 7]), "4 or 5 columns"),
        ("shape", np.array([13, 70, 5]), "expected 13 rows"),
        ("pdg", np.zeros(5, np.int32), r"pdg has shape \(5,\); expected 12 rows"),
        ("num_points", None, "lacks num_points; found"),
    ],
)
def test_files_that_contradict_themselves(name, value, reason, shower_file):
    _, path = shower_file()
    with h5py.File(path, "a") as file:
        del file[name]
        if value is not None:
            file[name] = value
    assert probe(str(path)).degree == "no"
    (problem,) = open_files(path).plan()
    assert isinstance(problem, Problem)
    with pytest.raises(ValueError, match=reason):
        open_files(path).schema_of(str(path))


def test_the_geometry_is_that_of_the_file_if_it_says(shower_file, tmp_path):
    _, plain = shower_file("plain.h5")
    _, clustered = shower_file("clustered.h5", clustered="ILD")
    _, unknown = shower_file("unknown.h5", clustered="SomethingElse")
    assert open_files(plain).schema().attrs["geometry"] == UNCLUSTERED
    assert open_files(plain).schema().attrs["thresholds"] == (0, 0)
    assert open_files(clustered).schema().attrs["thresholds"] == (0.1, 0.25)
    assert open_files(plain, geometry="ILD").schema().attrs["thresholds"] == (0.1, 0.25)
    with pytest.raises(ValueError, match="unknown geometry 'nothing'"):
        open_files(plain, geometry="nothing")
    (problem,) = open_files(unknown).plan()
    assert "Unknown 'clustered_for' attribute value: SomethingElse; choose a geometry: ILD, " in problem.reason
    mine = tmp_path / "mine.yaml"
    mine.write_text(ILD.to_yaml())
    _, path = shower_file("path.h5", clustered=str(mine))
    assert open_files(path, geometry=mine).schema().attrs["geometry_name"] == "ILD"
    (problem,) = open_files(path).plan()
    assert "Unknown 'clustered_for'" in problem.reason, "a file must not choose what is opened"
    assert open_files(unknown, geometry="ILD").schema().attrs["clustered_for"] == "SomethingElse"


def test_what_the_file_says_of_itself(shared):
    attrs = open_files(shared / "data/showers/photons_ild_5f_target.h5").schema().attrs
    assert (attrs["features"], attrs["n_showers"], attrs["targets"]) == (5, 24, ("target",))
    assert attrs["metadata"]["showerdata_version"] == "0.7.0"


def test_one_bad_shower_is_one_line_of_the_ledger(random_showers, shower_file):
    made = random_showers()
    lost = int(np.argmax(made.counts))
    made.points[made.offsets[lost], 2] = 500  # there is no such layer
    _, path = shower_file(showers=made)
    data = run(open_files(path), reduction())
    assert lost not in data["shower"].values
    assert int(data["n_read"]) == len(made) - 1
    (problem,) = problems_of(data)
    assert problem.chunks == 1
    assert "500" in problem.reason


def test_a_file_that_changes_is_not_mixed(shower_file):
    _, path = shower_file()
    source = open_files(path)
    ref = next(iter(source.plan()))
    path.unlink()
    shower_file(seed=3)
    with pytest.raises(ValueError, match="was changed or replaced"):
        source.read(ref, EVERYTHING)


def test_several_files_and_a_broken_one(shower_file, tmp_path):
    for number in (10, 9):
        shower_file(f"run_{number}.h5", seed=number)
    (tmp_path / "run_11.h5").write_bytes((tmp_path / "run_9.h5").read_bytes()[:3000])
    data = run(open_files(tmp_path), reduction())
    assert [name.rsplit("/", 1)[1] for name in data["parts"].values] == ["run_9.h5", "run_10.h5"]
    assert data.sizes["shower"] == 24
    assert [problem.part.rsplit("/", 1)[1] for problem in problems_of(data)] == ["run_11.h5"]
