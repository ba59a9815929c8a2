"""The commands of the original, run as a person runs them, with its options in both spellings."""

from __future__ import annotations

import importlib.util
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from detcore import dl1
from detcore.cli import main
from detcore.dl1.demo import write_demo
from detcore.dl1.writer import simtel
from detcore.dl1.writer.datawriter import DL1DataWriter

if TYPE_CHECKING:
    from click.testing import Result

_spec = importlib.util.spec_from_file_location("ctaml_events", Path(__file__).with_name("ctaml_events.py"))
made_up = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made_up)


def detcore(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["dl1", *map(str, arguments)], prog_name="detcore")


def good(*arguments: object) -> str:
    done = detcore(*arguments)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def simtel_files(tmp_path):
    """Names of two productions, two of which say too little."""
    folder = tmp_path / "simtel"
    folder.mkdir()
    names = [f"gamma_20deg_180deg_run{run}___cta-prod3.1-x_cone10.simtel.gz" for run in (1, 2, 10, 3)]
    names += ["proton_20deg_0deg_run7___cta-prod5.simtel.zst", "gamma_diffuse_20deg_180deg_run1___p.simtel.gz"]
    for name in [*names, "notes.simtel.gz", "other.txt"]:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("dash", ["-", "_"])
def test_a_run_list_by_either_spelling(simtel_files, tmp_path, dash):
    target = tmp_path / "list.yml"
    options = [f"--num{dash}inputs{dash}per{dash}run", 3, f"--output{dash}file", target]
    output = good("runlist", simtel_files, *options)
    assert "wrote 3 runs of 5 files" in output
    runs = yaml.safe_load(target.read_text())
    assert [run["target"] for run in runs] == [
        "gamma_20deg_180deg_runs1-3___cta-prod3.1-x_cone10.h5",
        "gamma_20deg_180deg_runs10-10___cta-prod3.1-x_cone10.h5",
        "proton_20deg_0deg_runs7-7___cta-prod5.h5",
    ]
    assert [Path(one).name.split("_")[3] for one in runs[0]["inputs"]] == ["run1", "run2", "run3"]
    assert "2 problems" in output
    assert "notes.simtel.gz: expected a name as" in output


def test_a_run_list_of_ten_goes_where_the_original_puts_it(simtel_files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good("runlist", simtel_files)
    assert [len(run["inputs"]) for run in yaml.safe_load(Path("runlist.yml").read_text())] == [4, 1]


def test_no_simtel_files_are_no_run_list(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = detcore("runlist", tmp_path)
    assert done.exit_code == 1
    assert "expected files named" in done.output
    assert not Path("runlist.yml").exists()
    assert detcore("runlist", tmp_path / "none").exit_code == 2


class Events:
    """Made-up events; the input holds their number, or what is wrong."""

    subarray = made_up.subarray()
    simulation_config = {4: {"n_showers": 10, "spectral_index": -2.0}}  # noqa: RUF012

    def __init__(self, path):
        self.count = int(Path(path).read_text())

    def __iter__(self):
        return (made_up.event(i, [1, 2] if i % 2 else [5]) for i in range(1, self.count + 1))


@pytest.fixture
def without_ctapipe(monkeypatch):
    """Inputs are read by `Events` where the command would take ctapipe."""
    monkeypatch.setattr(simtel, "require", lambda: None)
    monkeypatch.setattr(DL1DataWriter, "open_events", lambda self, path: Events(path))
    monkeypatch.setattr(DL1DataWriter, "write_mode", "serial", raising=False)
    monkeypatch.setattr("detcore.dl1.writer.processes.pickled", lambda jobs: None)


@pytest.fixture
def runs(tmp_path):
    """A list of two runs; the second has an input that cannot be read beside one that can."""
    for name, content in (("a", "5"), ("b", "3"), ("broken", "x")):
        (tmp_path / name).write_text(content)
    inputs = {name: str(tmp_path / name) for name in ("a", "b", "broken")}
    listed = [
        {"inputs": [inputs["a"]], "target": "first.h5"},
        {"inputs": [inputs["broken"], inputs["b"]], "target": "second.h5"},
    ]
    path = tmp_path / "runlist.yml"
    path.write_text(yaml.safe_dump(listed))
    return path


@pytest.mark.usefixtures("without_ctapipe")
def test_runs_are_written_and_what_could_not_be_is_said(runs, tmp_path):
    done = detcore("write", runs, "--output_dir", tmp_path / "out")
    assert done.exit_code == 1, "an input was not read"
    assert "5 events in 1 file" in done.output
    assert "broken: invalid literal" in done.output.replace("\n", "")
    assert "INFO" not in done.output
    with dl1.open(tmp_path / "out/first.h5") as first, dl1.open(tmp_path / "out/second.h5") as second:
        assert len(first.events) == 5
        assert len(second.events) == 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["first.h5", "second.h5"]


@pytest.mark.usefixtures("without_ctapipe")
def test_a_configuration_of_the_original_is_followed(runs, tmp_path):
    (tmp_path / "config.yml").write_text(
        "Data Writer:\n  Settings: {events_per_file: 2, output_file_size: 1073741824}\nEvent Source:\n  Settings: {}\n"
        "Data Dumper:\n  Type: CTAMLDataDumper\n  Settings: {filter_settings: {complib: zlib, complevel: 1}}\n"
    )
    runs.write_text(yaml.safe_dump(yaml.safe_load(runs.read_text())[:1]))
    output = good("write", runs, "--config-file", tmp_path / "config.yml", "--output-dir", tmp_path)
    assert "5 events in 3 files" in output
    assert [(tmp_path / name).is_file() for name in ("first.h5", "first_2.h5", "first_3.h5")] == [True] * 3
    (tmp_path / "config.yml").write_text("Data Dumper:\n  Type: Other\n")
    done = detcore("write", runs, "--config_file", tmp_path / "config.yml", "--output_dir", tmp_path)
    assert done.exit_code == 1
    assert "No subclass of DL1DataDumper: Other" in done.output


@pytest.mark.usefixtures("without_ctapipe")
def test_debug_really_logs(runs, tmp_path):
    before = logging.getLogger("detcore").handlers[:]
    done = detcore("write", runs, "--output_dir", tmp_path / "out", "--debug")
    assert "INFO detcore.dl1.writer.dumper:" in done.output
    assert "making table LST_LSTCam" in done.output
    assert "complete, 5 events" in done.output
    assert logging.getLogger("detcore").handlers == before, "it leaves nothing behind"


def test_processes_log_too_and_their_errors_come_back(tmp_path, ctapipe):
    """Two runs of simtel files that are none, in processes of their own as the command has them."""
    for name in ("a.simtel.gz", "b.simtel.gz"):
        (tmp_path / name).write_bytes(b"no simtel file")
    listed = [{"inputs": [str(tmp_path / f"{name}.simtel.gz")], "target": f"{name}.h5"} for name in "ab"]
    (tmp_path / "runlist.yml").write_text(yaml.safe_dump(listed))
    program = "from detcore.cli import main; main()"
    command = [sys.executable, "-c", program, "dl1", "write", "runlist.yml", "--workers", "2"]
    done = [
        subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
        for more in ([], ["--debug"])
    ]
    assert [one.returncode for one in done] == [1, 1]
    assert "Traceback" not in done[0].stderr
    assert "ERROR" not in done[0].stderr
    assert "no input could be read" in done[0].stderr
    assert "INFO detcore.dl1.writer.writing: " in done[1].stderr
    assert not list(tmp_path.glob("*.h5"))


def test_wrong_run_lists_are_told(tmp_path):
    for text, words in (("", "found nothing"), ("a: 1", "found dict"), ("- {inputs: [], target: x.h5}", "run 1")):
        (tmp_path / "runlist.yml").write_text(text)
        done = detcore("write", tmp_path / "runlist.yml")
        assert done.exit_code == 1
        assert words in done.output


def test_simtel_files_by_way_of_the_command(shared, tmp_path, ctapipe):
    inputs = [str(shared / "data/dl1/gct_checs_muons.simtel.zst")]
    (tmp_path / "runlist.yml").write_text(yaml.safe_dump([{"inputs": inputs, "target": "muons.h5"}]))
    output = good("write", tmp_path / "runlist.yml", "--output_dir", tmp_path)
    assert "20 events in 1 file" in output
    with dl1.open(tmp_path / "muons.h5") as file:
        assert file.format == "CTA-ML v0.7.2"
        assert len(file.events) == 20


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return write_demo(tmp_path_factory.mktemp("demo"))


def test_info_says_what_is_in_both_formats(demo):
    output = good("info", *demo)
    assert "ctapipe v7.1.0" in output
    assert "CTA-ML v0.7.2" in output
    assert "4 x LST_LSTCam (1, 2, 3, 4): " in output
    assert "1,855 hexagon pixels, focal length 29.31 m" in output
    assert "2,048 square pixels" in output
    assert "93 events of 3 runs" in output
    assert "55 gamma, 8 mu-, 30 proton" in output
    assert "energy_range_max = 40 TeV" in output
    assert "runlist = detcore-demo" in output


def test_info_for_programs(demo):
    modern, old = json.loads(good("info", "--json", *demo))
    assert [one["type"] for one in modern["telescopes"]] == ["LST_LSTCam", "MST_FlashCam", "SSTGCT_CHEC"]
    with dl1.open(demo[0]) as file:
        images = [sum(file.n_images(tel_id) for tel_id in one["tel_ids"]) for one in modern["telescopes"]]
        assert [one["images"] for one in modern["telescopes"]] == images == [one["images"] for one in old["telescopes"]]
        assert modern["events"]["energy"][1] == pytest.approx(file.events.true_energy.max())
    assert [one["telescopes"][0]["parameters"] for one in (modern, old)] == [True, False]
    assert modern["header"]["max_alt"] == [pytest.approx(np.radians(70)), "rad"]
    assert old["header"]["injection_height"] == [None, "m"], "JSON has no nan"


def test_a_broken_file_does_not_keep_the_others_from_being_described(demo, tmp_path):
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["values"] = [1, 2]
    (tmp_path / "text.h5").write_text("nothing")
    done = detcore("info", tmp_path / "foreign.h5", demo[0], tmp_path / "text.h5")
    assert done.exit_code == 1
    assert "ctapipe v7.1.0" in done.output
    assert "2 problems" in done.output
    assert "no DL1 file" in done.output
    assert "not an HDF5 file" in done.output


def test_text_of_a_file_cannot_write_on_the_terminal(tmp_path, ctapipe_files):
    ctapipe_files.write(tmp_path / "a.dl1.h5")
    with h5py.File(tmp_path / "a.dl1.h5", "a") as file:
        file.attrs["CTA CONTACT NAME"] = "\x1b[2J[red]owned[/red]"
    output = good("info", tmp_path / "a.dl1.h5")
    assert "\x1b" not in output
    assert "[red]owned[/red]" in output


@pytest.mark.parametrize("command", ["runlist", "write", "info", "parameters", "stereo", "muons", "images", "run"])
def test_help_stands_alone(command):
    output = good(command, "--help")
    assert "Usage: detcore dl1" in output
