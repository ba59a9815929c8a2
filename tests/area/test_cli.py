"""The commands that average and reduce, as people call them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import h5py
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from detcore.area.framefiles import AreaFiles
from detcore.cli import main

N, SHAPE = 12, (8, 10)


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(2).normal(20, 3, (N, *SHAPE)).astype(np.float32)


@pytest.fixture
def run(tmp_path, frames):
    path = tmp_path / "run7.h5"
    with h5py.File(path, "w") as file:
        file["entry/instrument/detector/data"] = frames
        file["entry/events/laser"] = (np.arange(N) % 2).astype(np.uint8)
    return path


@pytest.fixture
def setup(tmp_path):
    path = tmp_path / "setup.yaml"
    path.write_text("rois: [{name: ROI_0, bounds: [[1, 3], [2, 5]]}]\nsums: [calib]\n")
    return path


def call(*arguments, code=0):
    done = CliRunner().invoke(main, ["area", *map(str, arguments)])
    assert done.exit_code == code, done.output + repr(done.exception)
    return done.output


def test_the_verbs():
    output = call("--help")
    for verb in ("average", "azimuthal", "centre", "info", "mask", "pedestal", "reduce"):
        assert f"  {verb}" in output
        call(verb, "--help")
    assert "No such command" in call("nonsense", code=2)


def test_reduce(run, setup, frames, tmp_path):
    output = call("reduce", run, "--setup", setup, "--output", tmp_path / "small.h5")
    assert "12 events" in output
    with h5py.File(tmp_path / "small.h5") as file:
        np.testing.assert_allclose(file["detector/ROI_0_sum"], frames[:, 1:3, 2:5].sum(axis=(1, 2)), rtol=1e-6)
        assert json.loads(file.attrs["provenance"])["source"] == str(run)


def test_reduce_writes_here_by_default(run, setup, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call("reduce", run, "--setup", setup)
    assert (tmp_path / "run7_reduced.h5").is_file()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("roi: []", "rois"),
        ("version: 2", "version"),
        ("filters: [{field: motor, low: 1}]", "no column 'motor'"),
        ("filters: [{field: laser, low: 5}]", "left out"),
        ("azimuthal: {bins: 9}", "geometry"),
    ],
)
def test_reduce_explains_a_setup_that_does_not_fit(run, tmp_path, text, words):
    setup = tmp_path / "bad.yaml"
    setup.write_text(text)
    output = call("reduce", run, "--setup", setup, "--output", tmp_path / "x.h5", code=1)
    assert words in " ".join(output.split())
    assert "Traceback" not in output
    assert not (tmp_path / "x.h5").exists()


def test_reduce_never_writes_over_the_run(run, setup):
    assert "is the run itself" in call("reduce", run, "--setup", setup, "--output", run, code=2)


def test_a_bad_chunk_is_told_and_the_rest_is_there(run, setup, tmp_path):
    other = tmp_path / "run8.h5"
    other.write_bytes(b"no frames")
    output = call("reduce", run, other, "--setup", setup, "--output", tmp_path / "s.h5", code=1)
    assert "12 events" in output
    assert "1 problem" in output


def test_average(run, frames, tmp_path):
    output = call(
        "average", run, "--output", tmp_path / "out", "--only", "laserOn", "--format", "nc", "--format", "png"
    )
    assert "6 frames of detector, common mode -1" in output
    with xr.open_dataset(tmp_path / "out" / "run7_average.nc", engine="h5netcdf") as data:
        np.testing.assert_allclose(data["mean"], frames[1::2].mean(axis=0), rtol=1e-6)
        assert json.loads(data.attrs["provenance"])["inputs"]
    assert (tmp_path / "out" / "run7_average.png").is_file()


def test_average_of_turned_frames(run, frames, tmp_path):
    call(
        "average",
        run,
        "--orientation",
        4,
        "--detector",
        "cam",
        "--output",
        tmp_path,
        "--events",
        2,
        "--name",
        "a",
        "--format",
        "npy",
    )
    np.testing.assert_allclose(np.load(tmp_path / "a_mean.npy"), frames[:2, ::-1].mean(axis=0), rtol=1e-6)


def test_average_explains(run):
    assert "needs the noise" in call("average", run, "--noise-threshold", 3, code=1)
    assert "no event is left" in call("average", run, "--skip", 99, code=1)


def test_ctrl_c_keeps_what_was_done(run, setup, tmp_path):
    """The first Ctrl-C ends a live run; the file is whole and marked partial."""
    target = tmp_path / "live.h5"
    command = [sys.executable, "-c", "from detcore.cli import main; main()", "area", "reduce", str(run)]
    command += ["--setup", str(setup), "--output", str(target), "--live"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".live.*.h5")):  # it is written aside as soon as the handler is there
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        time.sleep(1.5)  # the newest file settles
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 1, "partial is told"
    assert "12 events" in out
    assert "stopping" in err
    assert "Traceback" not in err
    with h5py.File(target) as file:
        assert file.attrs["status"] == "partial"
        assert len(file["event_id"]) == N


def test_an_average_that_is_stopped_is_kept(run, tmp_path, monkeypatch):
    """Ctrl-C in the middle: what was averaged is written, marked partial, and the end is told."""
    read = AreaFiles.read

    pressed = threading.Event()

    def slowly(self, ref, columns):
        if ref.start and not pressed.is_set():
            pressed.set()  # once: whoever presses it again does not want to wait
            os.kill(os.getpid(), signal.SIGINT)  # to the process, as a terminal does: the main thread wakes up
            time.sleep(0.5)
        return read(self, ref, columns)

    def plan(self, target_bytes=None):
        return several(self, 4 * 80 * 3)

    several = AreaFiles.plan
    monkeypatch.setattr(AreaFiles, "plan", plan)
    monkeypatch.setattr(AreaFiles, "read", slowly)
    told = call("average", run, "--output", tmp_path, "--name", "a", "--threads", 1, code=1)
    assert "stopping; what was counted so far is kept" in told
    assert "partial: the reading was stopped early" in told
    with xr.open_dataset(tmp_path / "a.nc") as data:
        assert data.attrs["status"] == "partial"
        assert 0 < int(data["n_frames"]) < N
