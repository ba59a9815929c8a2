"""The command line, run as a person runs it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from matplotlib.image import imread

from detcore import occupancy
from detcore.cli import main
from detcore.occupancy import demo

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def detcore(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments], prog_name="detcore")


@pytest.fixture(scope="module")
def spills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two spills of the demo in a folder of their own."""
    paths = demo.write(tmp_path_factory.mktemp("demo"))
    folder = tmp_path_factory.mktemp("spills")
    for path in paths[:2]:
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture(scope="module")
def results(spills: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "results"
    done = detcore("occupancy", "run", "--directory", spills, "--output", folder)
    assert done.exit_code == 0, done.output
    return folder


def test_run_writes_what_the_old_scripts_wrote(results: Path, spills: Path) -> None:
    data = occupancy.reduce(spills)
    totals = json.loads((results / "total_hits_data.json").read_text())
    assert np.array_equal(np.array(totals["hits_array"])[1:, 1:], data.hits.values)
    files = json.loads((results / "file_hits_data.json").read_text())
    assert sorted(files) == sorted(path.name for path in spills.iterdir())
    assert sum(sum(file.values()) for file in files.values()) == int(data.hits.sum())
    assert files[min(files)]["3_74"] == int(
        occupancy.reduce(spills / min(files)).hits.sel(detector_id=3, element_id=74)
    )
    with (results / "hits_per_event_data.csv").open() as lines:
        rows = list(csv.reader(lines))
    assert rows[0] == ["hits_per_event"]
    per_event = data.hits_per_event.values
    assert [float(row[0]) for row in rows[1:]] == per_event[per_event > 0].tolist()
    for path in spills.iterdir():
        assert (results / "output_data" / f"{path.stem}_hits.csv").is_file()
    groups = [path.parent.name for path in results.glob("output_data/*/*_plot.png")]
    assert sorted(groups) == sorted(occupancy.DetectorTable.default().groups())
    for name in ("overall_occupancy_with_separators", "overall_occupancy_no_separators", "hits_per_event_histogram"):
        assert imread(results / f"{name}.png").std() > 0.01
    assert np.load(results / "processed_hits_data.npy").sum() == int(data.hits.sum())
    with xr.open_dataset(results / "occupancy.nc", engine="h5netcdf") as kept:
        assert np.array_equal(kept.hits.values, data.hits.values)
        assert json.loads(kept.attrs["provenance"])["versions"]["detcore"]


def test_filters_are_those_of_the_library(spills: Path, tmp_path: Path) -> None:
    done = detcore(
        "occupancy", "run", spills, "--output", tmp_path, "--in-time", "--planes", "D0X,H1L", "--elements", "2:30"
    )
    assert done.exit_code == 0, done.output
    totals = np.array(json.loads((tmp_path / "total_hits_data.json").read_text())["hits_array"])
    expected = occupancy.reduce(spills, in_time=True, planes=("D0X", "H1L"), elements=(2, 30))
    assert totals.sum() == int(expected.hits.sum()) > 0
    settings = occupancy.Filters.from_yaml((tmp_path / "settings.yaml").read_text())
    assert settings == occupancy.Filters(in_time=True, planes=("D0X", "H1L"), elements=(2, 30))


def test_max_files_takes_the_first_in_natural_order(spills: Path, tmp_path: Path) -> None:
    detcore("occupancy", "run", spills, "--output", tmp_path, "--max-files", 1)
    assert list(json.loads((tmp_path / "file_hits_data.json").read_text())) == [
        min(path.name for path in spills.iterdir())
    ]


def test_a_broken_file_is_reported_and_the_rest_is_written(spills: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    good = min(spills.iterdir())
    (folder / good.name).write_bytes(good.read_bytes())
    (folder / "cut.root").write_bytes(good.read_bytes()[:100_000])
    done = detcore("occupancy", "run", folder, "--output", tmp_path / "out")
    assert done.exit_code == 1
    assert "cut.root: expected" in done.stderr
    assert list(json.loads((tmp_path / "out" / "file_hits_data.json").read_text())) == [good.name]


def test_an_output_that_cannot_be_written_is_not_success(spills: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "total_hits_data.csv").mkdir(parents=True)
    done = detcore("occupancy", "run", min(spills.iterdir()), "--output", out)
    assert done.exit_code == 1
    assert "total_hits_data.csv" in done.stderr
    assert (out / "total_hits_data.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--directory", "{empty}"], "no .root file"),
        (["run", "{spills}", "--planes", "D9"], "no detector 'D9'"),
        (["run", "{spills}", "--triggers", "NIM9"], "no trigger 'NIM9'"),
        (["run", "{spills}", "--spills", "one"], "is not a range"),
        (["run", "{text}"], "not a ROOT file"),
        (["heatmap", "--input", "{text}"], "{text}"),
        (["plot", "{spill}", "--event", "1000000"], "no event 1000000"),
        (["plot", "{spill}", "--config", "{text}"], "expected 'name: value' lines"),
        (["check", "{empty}"], "no .root file"),
        (["check", "{spills}", "--thresholds", "{text}"], "{text}"),
    ],
)
def test_wrong_input_is_explained(arguments: list[str], words: str, spills: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.root").write_text("hello")
    places = {
        "empty": tmp_path / "empty",
        "spills": spills,
        "spill": min(spills.iterdir()),
        "text": tmp_path / "text.root",
    }
    done = detcore("occupancy", *(one.format(**places) for one in arguments))
    assert done.exit_code in {1, 2}
    assert words.format(**places) in " ".join(done.stderr.split())
    assert "Traceback" not in done.output


def test_heatmap_is_drawn_beside_its_input(results: Path) -> None:
    done = detcore("occupancy", "heatmap", "--input", results / "total_hits_data.json")
    assert done.exit_code == 0, done.output
    assert imread(results / "hit_heatmap.png").shape[2] == 4
    assert "4,768 channels" in " ".join(done.output.split())


def test_heatmap_defaults_are_those_of_run(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "QTracker_Station_Occupancies"
    folder.mkdir()
    (folder / "total_hits_data.json").write_bytes((results / "total_hits_data.json").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert detcore("occupancy", "heatmap").exit_code == 0
    assert (folder / "hit_heatmap.png").is_file()


@pytest.mark.parametrize("style", ["cells", "points", "bars"])
def test_plot_draws_events_and_planes(spills: Path, tmp_path: Path, style: str) -> None:
    spill = min(spills.iterdir())
    for more, name in (
        ([], ""),
        (["--event", "7"], "_event_7"),
        (["--detector", "D0X"], "_D0X"),
        (["--event", "7", "--detector", "3"], "_event_7_D0X"),
    ):
        done = detcore("occupancy", "plot", spill, "--style", style, "--output", tmp_path, *more)
        assert done.exit_code == 0, done.output
        if name:
            assert imread(tmp_path / f"{spill.stem}{name}.png").std() > 0.01


def test_check_finds_the_planted_faults_and_speaks_json(spills: Path, results: Path) -> None:
    done = detcore("occupancy", "check", spills, "--json")
    assert done.exit_code == 0, done.output
    found = {(row["detector"], row["element_id"]): row["finding"] for row in json.loads(done.stdout)["findings"]}
    for fault in demo.expected_pathologies():
        if fault.finding in {"dead", "hot", "plane-dead"}:
            assert found[fault.detector, fault.element] == fault.finding
    assert detcore("occupancy", "check", spills, "--fail-on", "error").exit_code == 3
    again = detcore("occupancy", "check", results, "--json")
    assert {(row["detector"], row["element_id"]) for row in json.loads(again.stdout)["findings"]} == set(found)


def test_reference_from_old_results_or_a_spill(spills: Path, results: Path) -> None:
    for reference in (results / "total_hits_data.json", results / "total_hits_data.csv", min(spills.iterdir())):
        done = detcore("occupancy", "check", spills, "--reference", reference, "--json")
        assert done.exit_code == 0, done.output
        assert not [row for row in json.loads(done.stdout)["findings"] if row["finding"] == "changed"]


def test_demo_and_help() -> None:
    for arguments in (
        ["--help"],
        ["occupancy", "--help"],
        ["serve", "--help"],
        *(["occupancy", one, "--help"] for one in ("run", "heatmap", "plot", "check")),
    ):
        done = detcore(*arguments)
        assert done.exit_code == 0
        assert "Usage: detcore" in done.output


def test_a_command_loads_no_browser_library_and_no_other_instrument() -> None:
    code = (
        "import sys, detcore.cli; detcore.cli.main(['occupancy', '--help'], standalone_mode=False);"
        "print([m for m in ('panel', 'bokeh', 'holoviews', 'detcore.eiger') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage:")
    assert done.stdout.splitlines()[-1] == "[]"
