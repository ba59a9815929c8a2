"""What the README tells a new user to type does what it says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from detcore import area, dl1, eiger, showers
from detcore.area import demo as area_demo
from detcore.occupancy import demo

if TYPE_CHECKING:
    from pathlib import Path


def blocks(root: Path, language: str) -> list[str]:
    text = (root / "README.md").read_text()
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE)
    return ["\n".join(line.removeprefix(indent) for line in body.splitlines()) for indent, body in found]


@pytest.mark.slow
def test_the_commands_of_the_tour_work(root: Path, tmp_path: Path) -> None:
    spills = demo.write(tmp_path / "demo")
    lines = [
        line[2:]
        for block in blocks(root, "console")
        for line in block.splitlines()
        if line.startswith(
            ("$ detcore occupancy", "$ detcore eiger", "$ detcore showers", "$ detcore dl1", "$ detcore area")
        )
    ]
    verbs = [shlex.split(line)[2] for line in lines]
    expected = ["run", "check", "plot", "heatmap", "run", "run", "stats", "info", "cluster", "run", "compare"]
    expected += ["runlist", "write", "info", "parameters", "stereo", "images", "run"]
    expected += ["info", "pedestal", "average", "mask", "mask", "centre", "azimuthal", "reduce"]
    assert verbs == expected
    images, _ = dl1.write_demo(tmp_path / "dl1")
    (tmp_path / "simtel").mkdir()
    (tmp_path / "simtel" / "gamma_20deg_180deg_run1___cta-prod5.simtel.gz").touch()
    photons, generated, *_ = showers.write_demo(tmp_path / "showers")
    run, darks, _ = area.write_demo(tmp_path / "area")
    [setup] = [block for block in blocks(root, "yaml") if "common_mode" in block]
    (tmp_path / "setup.yaml").write_text(setup)
    series = eiger.write_demo(tmp_path / "series")[0]
    (tmp_path / "config.yaml").write_text(f"in: {{master: {series}, end: 60}}\nout: {{path: {tmp_path}}}\n")
    for line in lines:
        if "dl1 write" in line:  # needs simtel files and ctapipe: tests/dl1/test_cli.py
            continue
        line = line.replace("/data/simtel", str(tmp_path / "simtel")).replace("/data/gamma.dl1.h5", str(images))  # noqa: PLW2901
        line = line.replace("/data/series_12_master.h5", str(series)).replace("series_12_master.h5", series.name)  # noqa: PLW2901
        line = line.replace("/data/run_005994", str(spills[0].parent)).replace("spill.root", str(spills[0]))  # noqa: PLW2901
        line = line.replace("/data/photons.h5", str(photons)).replace("/data/generated.h5", str(generated))  # noqa: PLW2901
        line = line.replace("/data/run0012_dark.h5", str(darks)).replace("/data/run0012.h5", str(run))  # noqa: PLW2901
        line = line.replace("good_run/", "QTracker_Station_Occupancies/")  # noqa: PLW2901
        done = subprocess.run(
            [sys.executable, "-c", "from detcore.cli import main; main()", *shlex.split(line)[1:]],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (line, done.stdout, done.stderr)
    assert (tmp_path / "QTracker_Station_Occupancies" / "hit_heatmap.png").is_file()
    for folder, frames in ((tmp_path, 60), (tmp_path / "results", 200)):
        assert eiger.read_result(folder / f"{series.name}.nc").sizes["frame"] <= frames
        assert (folder / f"{series.name}.pickle").is_file()
    names = {path.name for path in (tmp_path / "results").iterdir()}
    assert {"cells.nc", "cells.png", "cells.showers.csv", "comparison.csv", "comparison.png"} <= names
    assert {"gamma_LSTCam.nc", "gamma_CHEC.parameters.csv", "gamma_FlashCam.mask.npy"} <= names
    assert {f"{run.stem}_average.png", f"{run.stem}_average.nc", f"{run.stem}_azimuthal.csv"} <= names
    here = {path.name for path in tmp_path.iterdir()}
    assert {"pedestal.h5", "mask.h5", "mask.edf", "mask.phil", "found.yaml", "lab6.poni", "small.h5"} <= here
    beam = area.Setup.load(tmp_path / "found.yaml").geometry
    assert (beam.x, beam.y) == pytest.approx(area_demo.expected().scene.centre, abs=0.2)
    assert area.read_reduced(tmp_path / "small.h5").sizes["event"] == 40
    assert {"parameters.csv", "showers.csv", "images.h5", "runlist.yml"} <= {path.name for path in tmp_path.iterdir()}


def test_the_scripts_of_the_tour_work(root: Path, tmp_path: Path) -> None:
    folder = demo.write(tmp_path / "demo")[0].parent
    series = eiger.write_demo(tmp_path / "series")[0]
    code = "\n".join(sorted(blocks(root, "python"), key=lambda block: "print(" in block))
    code = code.replace("/data/run_005994", str(folder))
    code = code.replace("/data/series_12_master.h5", str(series))
    code = code.replace("/data/photons.h5", str(showers.write_demo(tmp_path / "showers")[0]))
    code = code.replace("/data/gamma.dl1.h5", str(dl1.write_demo(tmp_path / "dl1")[0]))
    run, darks, setup = area.write_demo(tmp_path / "area")
    found = area.pedestal(area.open_files(darks))
    area.write_calibration(tmp_path / "pedestal.h5", {name: found[name].values for name in ("pedestal", "noise")})
    code = code.replace("/data/run0012.h5", str(run)).replace("/data/setup.yaml", str(setup))
    code = code.replace("/data/pedestal.h5", str(tmp_path / "pedestal.h5"))
    assert code.count("print(") == 1
    # one script goes on for ever: one round is enough
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", re.sub(r"( +)(print\(.*\))", r"\1\2; break", code)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    fraction, hits, *problems = done.stdout.split(maxsplit=2)
    assert (fraction, problems) == ("None", ["()\n"])
    assert int(hits) > 0


def test_pictures_and_links_exist(root: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (root / "README.md").read_text())
    assert {"assets/screenshots/occupancy.png", "assets/screenshots/eiger.png"} <= set(links)
    assert not [link for link in links if not (root / link).exists()]
