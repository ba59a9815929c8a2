"""`detcore area centre` and `detcore area azimuthal`, on a real powder and on a small run."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from detcore.area.cli import area
from detcore.area.files.poni import read_poni
from detcore.area.images.azimuthal import integrate
from detcore.area.images.geometry import Geometry
from detcore.area.setup.setupfile import Setup

GEOMETRY = Geometry(x=70.3, y=80.1, distance=0.05, energy=12.0, pixel_size=(1e-4, 1e-4))
SHAPE = (150, 160)


def call(*arguments, code=0):
    done = CliRunner().invoke(area, [str(one) for one in arguments])
    assert done.exit_code == code, done.output + repr(done.exception)
    return done.output


def frames():
    rows, columns = np.indices(SHAPE)
    r = np.hypot(columns - GEOMETRY.x, rows - GEOMETRY.y)
    lit = sum(np.exp(-(((r - radius) / 2) ** 2)) for radius in (25, 45, 70))
    return np.random.default_rng(0).poisson(5 + 40 * lit, (3, *SHAPE)).astype(np.uint16)


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "run7.npy"
    np.save(path, frames())
    text = "azimuthal: {bins: 30, q_range: [0.05, 0.9]}\nmask: [{kind: threshold, high: 60}]"
    Setup.from_yaml(text).with_(geometry=GEOMETRY).save(tmp_path / "setup.yaml")
    return path, tmp_path / "setup.yaml"


def test_centre_of_a_run(run, tmp_path):
    path, setup = run
    found = json.loads(call("centre", path, "--setup", setup, "--json", "--save-setup", tmp_path / "new.yaml"))
    assert (found["x"], found["y"]) == pytest.approx((GEOMETRY.x, GEOMETRY.y), abs=0.1)
    saved = Setup.load(tmp_path / "new.yaml")
    assert saved.geometry.x == pytest.approx(found["x"])
    assert saved.geometry.distance == 0.05
    assert saved.mask == Setup.load(setup).mask
    words = call("centre", path, "--method", "rings", "--frames", 2)
    assert "(rings)" in words
    assert "error" in words


def test_picked_points(run):
    words = call("centre", run[0], "--points", "10,5 15,10 10,15", "--points", "10,0 0,10")
    assert words.startswith("x 10.000  y 10.000")
    assert "two points" in call("centre", run[0], "--points", "10,5 15,10", code=1)
    assert "expected pairs" in call("centre", run[0], "--points", "10;5", code=2)


def test_calibrant_without_what_it_needs(run):
    assert "pixel_size" in call("centre", run[0], "--calibrant", "LaB6", code=1)


def test_real_powder(shared, tmp_path):
    image, poni = (shared / f"data/area/ceo2_pilatus1m.{end}" for end in ("tif", "poni"))
    truth = read_poni(poni)
    setup = tmp_path / "setup.yaml"
    setup.write_text("detector: {orientation: 4}\nmask: [{kind: threshold, low: 0}]\n")
    saved = tmp_path / "found.poni"
    words = call(
        "centre", image, "--setup", setup, "--method", "rings", "--tilt", "--calibrant", "ceo2",
        "--energy", truth.energy, "--save-poni", saved,
    )  # fmt: skip
    assert "points" in words
    found = read_poni(saved)
    assert found.distance == pytest.approx(truth.distance, rel=3e-4)
    assert (found.x, found.y) == pytest.approx((truth.x, truth.y), abs=0.25)
    call("azimuthal", image, "--setup", setup, "--poni", saved, "--bins", 500, "--output", tmp_path)
    with xr.open_dataset(tmp_path / "ceo2_pilatus1m_azimuthal.nc") as data:
        peak = float(data["q"][int(data["intensity"].values.argmax())])
        assert 2 * np.pi / peak == pytest.approx(3.124, abs=0.02)


def test_profile_of_a_run(run, tmp_path):
    path, setup = run
    words = call("azimuthal", path, "--setup", setup, "--output", tmp_path / "out", "--csv", "--sectors", "2")
    assert "3 frames, 30 bins" in words
    with xr.open_dataset(tmp_path / "out/run7_azimuthal.nc") as data:
        assert data["intensity"].dims == ("azimuth", "q")
        assert json.loads(data.attrs["provenance"])["versions"]["detcore"]
        whole = frames()
        good = whole.mean(axis=0) <= 60
        q = GEOMETRY.q(SHAPE)
        inside = good & (q >= 0.05) & (q < 0.9)
        assert int(data["n_valid"].sum()) == 3 * inside.sum()
    assert (tmp_path / "out/run7_azimuthal.csv").exists()


def test_profiles_of_each_frame(run, tmp_path):
    path, setup = run
    call("azimuthal", path, "--setup", setup, "--per-frame", "--bins", "12", "--png", "--output", tmp_path)
    good = frames().mean(axis=0) <= 60
    with xr.open_dataset(tmp_path / "run7_azimuthal.nc") as data:
        assert data["intensity"].sizes == {"frame": 3, "q": 12}
        expected = integrate(frames(), GEOMETRY, good=good, bins=12, q_range=(0.05, 0.9))
        np.testing.assert_allclose(data["intensity"], expected["intensity"], rtol=1e-6)


def test_words_about_wrong_input(run, tmp_path):
    assert "no geometry" in call("azimuthal", run[0], "--output", tmp_path, code=1)
    assert "told twice" in call("azimuthal", *run[:1], "--setup", run[1], "--bins", 5, "--q-step", 0.1, code=2)
    bad = tmp_path / "bad.poni"
    bad.write_text("nothing")
    assert "bad.poni" in call("azimuthal", run[0], "--poni", bad, code=1)
