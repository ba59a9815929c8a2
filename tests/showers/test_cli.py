"""The command line, run as a person runs it, on small files that the original library has written."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
import pytest
import showerdata
from click.testing import CliRunner
from matplotlib.image import imread
from showerdata import observables as their_observables
from showerdata.__main__ import main as their_command

from detcore.cli import main
from detcore.showers.products import read_result

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def detcore(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["showers", *map(str, arguments)], prog_name="detcore")


def good(*arguments: object) -> str:
    done = detcore(*arguments)
    assert done.exit_code == 0, done.output
    return done.output


def theirs(*arguments: object) -> int:
    """Run the original's command, in this process because it takes seconds to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["showerdata", *map(str, arguments)])
        return their_command()


def make(n: int, width: int = 60, seed: int = 1, columns: int = 5, first_id: int = 0) -> showerdata.Showers:
    rng = np.random.default_rng(seed)
    points = np.zeros((n, width, columns), np.float32)
    for row, count in enumerate(rng.integers(width // 2, width + 1, n)):
        points[row, :count, :2] = rng.normal(0, 25, (count, 2))
        points[row, :count, 2] = np.minimum(rng.gamma(6, 2.5, count).astype(int), 77)
        points[row, :count, 3] = rng.lognormal(-8.5, 1, count)
        if columns > 4:
            points[row, :count, 4] = rng.exponential(2, count)
    directions = rng.normal([0, 0, 4], 0.3, (n, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    ids = np.arange(first_id, first_id + n)
    return showerdata.Showers(points, rng.uniform(10, 90, n), 22, directions, ids)


def write(path: Path, showers: showerdata.Showers, **attributes: str) -> Path:
    showerdata.save(showers, path)
    with h5py.File(path, "a") as file:
        file.attrs.update(attributes)
    return path


@pytest.fixture
def photons(tmp_path: Path) -> Path:
    return write(tmp_path / "photons.h5", make(30))


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    clustered = showerdata.cluster(make(30), random_shift=False)
    return write(tmp_path / "cells.h5", clustered, clustered_for="ILD", source="a test")


def equal(one: Path, other: Path) -> None:
    left, right = showerdata.load(one), showerdata.load(other)
    assert left == right


def test_info_says_what_a_file_holds(photons: Path) -> None:
    showerdata.save_target(np.ones((30, 4, 3), np.float32), photons, np.full(30, 4), "latent")
    theirs("add-observables", photons)
    text = good("info", photons)
    for words in (
        "30 showers of x, y, layer, energy, time",
        "30 x photon",
        "target 'latent': 30 x 4 x 3",
        "center_of_energy",
    ):
        assert words in text
    (found,) = json.loads(good("info", photons, "--json"))
    counts = (showerdata.load(photons).points[..., 3] > 0).sum(axis=1)
    assert found["points"] == {"total": counts.sum(), "mean": counts.mean(), "most": counts.max()}
    assert found["attributes"]["showerdata_version"] == showerdata.__version__


def test_info_of_incident_particles(tmp_path: Path) -> None:
    make(5).inc_particles.save(tmp_path / "incident.h5")
    assert "5 incident particles, no showers" in good("info", tmp_path / "incident.h5")
    done = detcore("run", tmp_path / "incident.h5", "--output", tmp_path)
    assert done.exit_code == 1
    assert "incident particles only" in done.stderr


def test_info_tells_of_every_file(photons: Path, tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no")
    done = detcore("info", tmp_path / "text.h5", photons)
    assert done.exit_code == 1
    assert "30 showers" in done.stdout
    assert "text.h5" in done.stderr


@pytest.mark.parametrize("options", [[], ["--test", 4], ["--overwrite-ids"], ["--batch-size", 7]])
def test_shuffle_gives_the_order_of_the_original(tmp_path: Path, options: list[object]) -> None:
    parts = [write(tmp_path / f"{n}.h5", make(n, seed=n, first_id=100 * n)) for n in (8, 13, 5)]
    assert "wrote" in good("shuffle", *parts, tmp_path / "ours.h5", "--seed", 12, *options)
    assert theirs("shuffle", *parts, tmp_path / "theirs.h5", "--seed", 12, *options) == 0
    equal(tmp_path / "ours.h5", tmp_path / "theirs.h5")
    ids = showerdata.load(tmp_path / "ours.h5").shower_ids
    assert sorted(ids) != ids.tolist() or "--overwrite-ids" in options


def test_shuffle_differs_without_a_seed_and_keeps_every_shower(tmp_path: Path) -> None:
    source = write(tmp_path / "in.h5", make(40))
    for name in "ab":
        good("shuffle", source, tmp_path / name)
    one, other = (showerdata.load(tmp_path / name).shower_ids.tolist() for name in "ab")
    assert one != other
    assert sorted(one) == sorted(other) == list(range(40))


def test_shuffle_is_as_wide_as_the_widest_file_and_keeps_what_is_common(tmp_path: Path) -> None:
    narrow = write(tmp_path / "narrow.h5", make(3, 20), clustered_for="ILD", source="a")
    wide = write(tmp_path / "wide.h5", make(3, 50, seed=2), clustered_for="ILD", source="b")
    good("shuffle", narrow, wide, tmp_path / "out.h5")
    assert showerdata.get_file_shape(tmp_path / "out.h5") == (6, 50, 5)
    with h5py.File(tmp_path / "out.h5") as file:
        assert file.attrs["clustered_for"] == "ILD"
        assert "source" not in file.attrs


def test_add_observables_are_those_of_the_original(cells: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    other.write_bytes(cells.read_bytes())
    assert "added" in good("add-observables", cells, "-b", 7)
    assert theirs("add-observables", other) == 0
    mine, original = (their_observables.read_observables_from_file(path) for path in (cells, other))
    assert mine.keys() == original.keys()
    for name, values in original.items():
        np.testing.assert_allclose(mine[name], values, rtol=2e-5, atol=1e-7, err_msg=name)
    done = detcore("add-observables", cells)
    assert done.exit_code == 1
    assert "overwrite" in done.stderr.lower()
    good("add-observables", cells, "--overwrite", "-t", 0.2)
    changed = their_observables.read_observables_from_file(cells)
    assert changed["total_num_points"].sum() < mine["total_num_points"].sum()
    good("add-observables", cells, "--overwrite", "-l", 80, "-t", 0.2)
    assert their_observables.read_observables_from_file(cells)["energy_per_layer"].shape == (30, 80)


@pytest.mark.parametrize("inverse", [[], ["-i"]])
def test_shift_is_that_of_the_original(photons: Path, tmp_path: Path, inverse: list[str]) -> None:
    good("shift", photons, tmp_path / "ours.h5", *inverse, "--batch-size", 7)
    assert theirs("shift", photons, tmp_path / "theirs.h5", *inverse) == 0
    ours, original = (showerdata.load(tmp_path / f"{name}.h5") for name in ("ours", "theirs"))
    real = ours.points[..., 3] > 0
    np.testing.assert_array_equal(real, original.points[..., 3] > 0)
    np.testing.assert_array_equal(ours.points[real], original.points[real])


def test_cluster_is_that_of_the_original(photons: Path, tmp_path: Path) -> None:
    good("cluster", photons, tmp_path / "ours.h5", "--no-random-shift", "--batch-size", 7, "--processes", 2)
    assert theirs("cluster", photons, tmp_path / "theirs.h5", "--no-random-shift") == 0
    equal(tmp_path / "ours.h5", tmp_path / "theirs.h5")
    with h5py.File(tmp_path / "ours.h5") as file:
        assert file.attrs["clustered_for"] == "ILD"


def test_random_shifts_do_not_depend_on_batches_and_processes(photons: Path, tmp_path: Path) -> None:
    good("cluster", photons, tmp_path / "a.h5", "--seed", 5)
    good("cluster", photons, tmp_path / "b.h5", "--seed", 5, "--batch-size", 7, "--processes", 3)
    equal(tmp_path / "a.h5", tmp_path / "b.h5")
    good("cluster", photons, tmp_path / "c.h5", "--batch-size", 7)
    assert showerdata.load(tmp_path / "a.h5") != showerdata.load(tmp_path / "c.h5")
    # batches do not repeat each other's shifts
    x = showerdata.load(tmp_path / "c.h5").points[:, 0, 0]
    assert len(np.unique(np.mod(x, 5).round(3))) > 20


def test_filter_is_that_of_the_original(photons: Path, tmp_path: Path) -> None:
    options = ["-r", 40, "--ecal-threshold", 0.1, "--hcal-threshold", 0.25]
    assert "r" in good("filter", photons, tmp_path / "ours.h5", *options, "--batch-size", 7)
    assert theirs("filter", photons, tmp_path / "theirs.h5", *options) == 0
    equal(tmp_path / "ours.h5", tmp_path / "theirs.h5")
    ours = showerdata.load(tmp_path / "ours.h5").points
    assert 0 < (ours[..., 3] > 0).sum() < (showerdata.load(photons).points[..., 3] > 0).sum()


def test_filter_takes_the_thresholds_of_the_detector_and_keeps_its_name(cells: Path, tmp_path: Path) -> None:
    good("filter", cells, tmp_path / "ours.h5", "-d")
    assert theirs("filter", cells, tmp_path / "theirs.h5", "-d") == 0
    equal(tmp_path / "ours.h5", tmp_path / "theirs.h5")
    with h5py.File(tmp_path / "ours.h5") as file:
        assert (file.attrs["clustered_for"], file.attrs["source"]) == ("ILD", "a test")


@pytest.mark.parametrize("command", ["shuffle", "filter", "shift", "cluster"])
def test_the_input_is_never_the_output(photons: Path, command: str) -> None:
    before = photons.read_bytes()
    done = detcore(command, photons, photons, *(["--overwrite"] if command in {"shuffle", "filter"} else []))
    assert done.exit_code == 1
    assert "name another output" in done.stderr
    assert photons.read_bytes() == before


@pytest.mark.parametrize(
    "command", [["shuffle"], ["filter"], ["shift", "--no-overwrite"], ["cluster", "--no-overwrite"]]
)
def test_an_existing_output_is_kept(photons: Path, tmp_path: Path, command: list[str]) -> None:
    target = tmp_path / "mine.h5"
    target.write_text("mine")
    done = detcore(*command, photons, target)
    assert done.exit_code == 1
    assert "already exists" in done.stderr
    assert target.read_text() == "mine"


@pytest.mark.parametrize(
    "command", ["shuffle", "filter", "shift", "cluster", "run", "plot", "compare", "add-observables"]
)
def test_a_cut_file_leaves_nothing_behind(photons: Path, tmp_path: Path, command: str) -> None:
    content = photons.read_bytes()
    bad = tmp_path / "bad.h5"
    bad.write_bytes(content[: len(content) * 2 // 3])
    out = tmp_path / "out"
    out.mkdir()
    arguments: dict[str, list[Any]] = {
        "run": [bad, "--output", out], "plot": [bad, "--output", out], "compare": [photons, bad, "--output", out],
        "add-observables": [bad],
    }  # fmt: skip
    done = detcore(command, *arguments.get(command, [bad, out / "new.h5"]))
    assert done.exit_code == 1
    assert "bad.h5" in done.stderr
    assert "Traceback" not in done.output
    assert not list(out.iterdir())


def test_run_writes_tables_pictures_and_the_result(photons: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = good("run", photons, "--output", out, "--energy-min", 30, "--ecal-threshold", 0.1, "--geometry", "ILD")
    assert "E >= 30 GeV" in text
    names = {path.name.removeprefix("photons.") for path in out.iterdir()}
    assert names == {"nc", "showers.csv", "layers.csv", "radius.csv", "spectrum.csv", "time.csv", "linearity.csv", "correlations.csv", "png"}  # fmt: skip
    showers = showerdata.load(photons)
    kept = showers.energies[:, 0] >= 30
    table = pd.read_csv(out / "photons.showers.csv")
    assert table["shower"].tolist() == np.flatnonzero(kept).tolist()
    geometry = showerdata.detector.get_ILD_geometry()
    energy = their_observables.calc_energy_per_layer(showers[np.flatnonzero(kept)], 78, geometry)
    np.testing.assert_allclose(table["visible_energy"], energy.sum(axis=1), rtol=1e-5)
    layers = pd.read_csv(out / "photons.layers.csv")
    np.testing.assert_allclose(layers["energy_per_layer (GeV)"], energy.mean(axis=0), rtol=1e-4, atol=1e-12)
    assert imread(out / "photons.png").std() > 0.05
    assert int(read_result(out / "photons.nc")["n_showers"]) == kept.sum()


def test_plot_draws_a_file_and_a_result_alike(photons: Path, tmp_path: Path) -> None:
    good("run", photons, "--output", tmp_path / "run")
    good("plot", tmp_path / "run/photons.nc", "--output", tmp_path / "b")
    good("plot", photons, "--output", tmp_path / "c")
    pictures = [imread(tmp_path / name / "photons.png") for name in ("run", "b", "c")]
    assert all(np.array_equal(pictures[0], picture) for picture in pictures[1:])
    done = detcore("plot", tmp_path / "run/photons.nc", "--radius", 5)
    assert done.exit_code == 2
    assert "cuts and geometry are chosen when it is made" in done.stderr


def test_compare_tells_the_same_from_the_different(tmp_path: Path) -> None:
    first = write(tmp_path / "first.h5", make(200, 40))
    same = write(tmp_path / "same.h5", make(200, 40, seed=9))
    shifted = make(200, 40, seed=9)
    shifted.points[..., 3] *= 1.5
    other = write(tmp_path / "other.h5", shifted)
    text = good("compare", first, same, other, "--output", tmp_path / "out", "--bootstrap", 20)
    assert "other against first" in text
    table = pd.read_csv(tmp_path / "out/comparison.csv")
    name = table.columns[0]
    distance = table[table[name] == "visible_energy"].set_index("file")["w1"]
    assert distance["other"] > 3 * distance["same"]
    assert imread(tmp_path / "out/comparison.png").std() > 0.05
    content = json.loads(good("compare", first, other, "--json", "--bootstrap", 5))
    assert (content["reference"], list(content["files"])) == ("first", ["other"])


def test_compare_reads_results_too(photons: Path, cells: Path, tmp_path: Path) -> None:
    good("run", photons, "--output", tmp_path / "out", "--no-png")
    good("compare", tmp_path / "out/photons.nc", cells, "--output", tmp_path / "out", "--bootstrap", 3)
    assert (tmp_path / "out/comparison.png").is_file()


def test_import(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "clouds.h5", "w") as file:
        file["events"] = np.full((2, 4, 3), 2.0)
        file["energy"] = [10.0, 20.0]
    options = ["--layout", "caloclouds", "--energy-unit", "MeV", "--pdg", 22, "--origin", "0,-1"]
    text = good("import", tmp_path / "clouds.h5", tmp_path / "ours.h5", *options)
    assert "2 showers of at most 3 points, 4 columns" in text
    made = showerdata.load(tmp_path / "ours.h5")
    np.testing.assert_allclose(made.points[0, 0], [2, 3, 2, 0.002])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["cluster"], 2, "Missing argument"),
        (["info", "none.h5"], 2, "does not exist"),
        (["cluster", "{photons}", "{out}", "--processes", "0"], 2, "--processes"),
        (["cluster", "{photons}", "{out}", "--geometry", "CLIC"], 2, "known are"),
        (["cluster", "{photons}", "{out}", "--geometry", "ILD_unclustered"], 1, "expected a geometry with cells"),
        (["filter", "{photons}", "{out}", "-r", "nan"], 2, "expected a number"),
        (["filter", "{photons}", "{out}", "-r", "-1"], 2, "--radius"),
        (["filter", "{photons}", "{out}", "--ecal-threshold", "-1"], 2, "--ecal-threshold"),
        (["filter", "{photons}", "{out}", "-d", "--ecal-threshold", "1"], 2, "exclude each other"),
        (["add-observables", "{photons}", "-t", "nan"], 2, "expected a number"),
        (["add-observables", "{photons}", "-l", "3", "--geometry", "ILD"], 2, "exclude each other"),
        (["shuffle", "{photons}", "{four}", "{out}"], 1, "with and without time"),
        (["shuffle", "{photons}", "{folder}"], 2, "is a directory"),
        (["shuffle", "{empty}", "{out}"], 1, "No showers"),
        (["run", "{photons}", "--energy-min", "50", "--energy-max", "20"], 2, "energy_min"),
        (["run", "{photons}", "--pdg", "electron"], 2, "pdg"),
        (["run", "{photons}", "--geometry", "CLIC"], 2, "known are"),
        (["run", "{folder}/nothing"], 2, "does not exist"),
        (["compare", "{photons}"], 2, "at least one more"),
        (["plot", "{fake}"], 1, "expected a result"),
        (["import", "{photons}", "{out}"], 2, "--layout"),
        (["import", "{photons}", "{out}", "--layout", "caloclouds"], 2, "needs --energy-unit"),
        (["import", "{photons}", "{out}", "--layout", "calochallenge"], 2, "needs --binning"),
        (["import", "{photons}", "{out}", "--layout", "calochallenge", "--binning", "7"], 1, "expected 1-photons"),
        (["import", "{photons}", "{out}", "--layout", "calochallenge", "--binning", "2"], 1, "expected"),
        (["import", "{photons}", "{out}", "--layout", "multi-calorimeter"], 1, "expected a dataset 'events'"),
        (["import", "{photons}", "{out}", "--layout", "multi-calorimeter", "--energy-unit", "MeV"], 1, "in GeV, not in MeV"),
        (["import", "{photons}", "{out}", "--layout", "multi-calorimeter", "--origin", "4"], 2, "two numbers"),
    ],
)  # fmt: skip
def test_wrong_input_is_explained(photons: Path, tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    places = {"photons": photons, "out": tmp_path / "new.h5", "folder": tmp_path}
    if "{four}" in arguments:
        places["four"] = write(tmp_path / "four.h5", make(3, columns=4))
    if "{empty}" in arguments:
        showerdata.create_empty_file(tmp_path / "empty.h5", (0, 4, 5))
        places["empty"] = tmp_path / "empty.h5"
    if "{fake}" in arguments:
        places["fake"] = tmp_path / "fake.nc"
        places["fake"].write_bytes(photons.read_bytes())
    done = detcore(*(argument.format(**places) for argument in arguments))
    assert done.exit_code == code, done.output
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.output
    assert not (tmp_path / "new.h5").exists()


def test_names_that_are_hostile_do_no_harm(tmp_path: Path) -> None:
    name = "[red]$x^2$ =1+1.h5"
    source = write(tmp_path / name, make(20, 30))
    for command in (["info", source], ["run", source, "--output", tmp_path / "o"], ["compare", source, source, "--output", tmp_path / "o", "--bootstrap", 2]):  # fmt: skip
        good(*command)
    assert (tmp_path / "o" / f"{name.removesuffix('.h5')}.png").is_file()
