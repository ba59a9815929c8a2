"""What the commands say when a file or an option is wrong, and that every file says where it comes from."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from detcore.area.files.poni import read_poni
from detcore.area.setup.setupfile import Setup
from detcore.cli import main
from detcore.image import PixelMask

SHAPE = (40, 50)
SETUP = """
geometry: {x: 20.0, y: 18.0, distance: 0.05, energy: 12.0, pixel_size: [1.0e-4, 1.0e-4]}
detector: {shape: [40, 50]}
mask: [{kind: edges, name: border, width: 2}]
azimuthal: {bins: 9, adu_per_photon: 25.0}
"""


def call(*arguments, code=0):
    done = CliRunner().invoke(main, ["area", *map(str, arguments)])
    assert done.exit_code == code, done.output + repr(done.exception)
    return done.output


@pytest.fixture
def run(tmp_path):
    np.save(tmp_path / "run7.npy", np.random.default_rng(0).poisson(20, (4, *SHAPE)).astype(np.float32))
    (tmp_path / "setup.yaml").write_text(SETUP)
    return tmp_path / "run7.npy", tmp_path / "setup.yaml"


@pytest.mark.parametrize("verb", ["average", "azimuthal", "centre", "info", "pedestal", "reduce"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("detektor: {}", "did you mean 'detector'"),
        ("detector: {type: foo}", "no detector type 'foo'"),
        ("version: 9", "update detcore"),
        ("hello", "expected 'name: value' lines"),
    ],
)
def test_a_wrong_setup_is_one_message(run, tmp_path, monkeypatch, verb, text, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.yaml").write_text(text)
    output = call(verb, run[0], "--setup", tmp_path / "wrong.yaml", code=1)
    assert words in " ".join(output.split())
    assert "Traceback" not in output


@pytest.mark.parametrize("verb", ["average", "azimuthal", "centre", "reduce"])
def test_a_setup_of_another_detector_is_refused(run, tmp_path, verb):
    (tmp_path / "other.yaml").write_text("detector: {shape: [3, 4]}")
    output = call(verb, run[0], "--setup", tmp_path / "other.yaml", code=1)
    assert "the setup is for frames of (3, 4), these are (40, 50)" in " ".join(output.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--type", "foo"], "no detector type 'foo'"),
        (["--sectors", "a,b"], "expected numbers with commas between them, found 'a,b'"),
        (["--bins", "3", "--q-step", "1"], "told twice"),
    ],
)
def test_a_wrong_option_is_one_message(run, arguments, words):
    output = call("azimuthal", run[0], "--setup", run[1], *arguments, code=1 if "foo" in arguments else 2)
    assert words in " ".join(output.split())
    assert len(output) < 400


def test_the_value_of_a_photon_comes_from_the_setup(run, tmp_path):
    call("azimuthal", run[0], "--setup", run[1], "--output", tmp_path)
    with h5py.File(tmp_path / "run7_azimuthal.nc") as file:
        assert float(file.attrs["adu_per_photon"][0]) == 25
        assert np.allclose(file["error"][3] ** 2 * file["n_valid"][3], 25 * file["intensity"][3], rtol=0.05)


def test_every_file_says_where_it_comes_from(run, tmp_path):
    path, setup = run
    options = ("--setup", setup, "--output", tmp_path)
    call("average", path, *options, "--format", "nc", "--format", "h5", "--format", "png")
    call("azimuthal", path, *options)
    call("pedestal", path, "--output", tmp_path / "pedestal.h5", "--pedestal-low", 0)
    call("reduce", path, "--setup", setup, "--output", tmp_path / "small.h5")
    for name in ("run7_average.nc", "run7_average.h5", "run7_azimuthal.nc", "pedestal.h5", "small.h5"):
        with h5py.File(tmp_path / name) as file:
            record = file.attrs["provenance"]
        assert json.loads(record)["source"] == str(path), name
        assert " object at 0x" not in record, "an address tells nothing"
        assert "detcore" in json.loads(record)["versions"]
    with Image.open(tmp_path / "run7_average.png") as picture:
        assert json.loads(picture.info["Provenance"])["source"] == str(path)


def test_masks_and_geometries_say_it_in_comments(run, tmp_path):
    path, setup = run
    texts = {"--dials": "m.phil", "--xds": "XDS.INP", "--crystfel": "m.geom", "--output": "m.yaml"}
    call("mask", setup, *(one for name, file in texts.items() for one in (name, tmp_path / file)))
    words = call(
        "centre", path, "--points", "1,2", "--save-setup", tmp_path / "new.yaml", "--save-poni", tmp_path / "new.poni",
        "--setup", setup,
    )  # fmt: skip
    assert f"wrote {tmp_path / 'new.poni'}" in words
    for name in (*texts.values(), "new.yaml", "new.poni"):
        first = (tmp_path / name).read_text().splitlines()[:3]
        assert [line.split(":")[0][2:] for line in first] == ["made", "versions", "from"], name
        assert {line[0] for line in first} <= {"#", "!", ";"}
    assert PixelMask.read(tmp_path / "m.yaml").operations[0].name == "border"
    assert Setup.load(tmp_path / "new.yaml").geometry.x == 1
    assert read_poni(tmp_path / "new.poni", SHAPE).x == pytest.approx(1)
