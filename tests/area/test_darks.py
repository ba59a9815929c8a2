"""Constants from dark frames, their files, and the command."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from detcore.area.cli import area
from detcore.area.darks import pedestal
from detcore.area.detector import Detector
from detcore.area.files.calibfiles import read_calibration, write_calibration
from detcore.area.images.darks import DarkRanges, status_of, summary
from detcore.area.source import open_files

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def darks(tmp_path_factory):
    """Sixty dark frames with one pixel of each kind, in a file."""
    base = RNG.integers(100, 120, (40, 50))
    frames = np.rint(base + RNG.normal(0, 3, (60, 40, 50)))
    frames[:, 3, 4] = 100  # dead
    frames[:, 5, 6] += RNG.normal(0, 30, 60)  # noisy
    frames[:, 7, 8] = 20000  # hot, beyond the values that count
    frames[:4, 9, 10] = 20000  # hot in a few frames
    frames[:, 11, 12] = RNG.normal(4, 3, 60)
    path = tmp_path_factory.mktemp("darks") / "dark.npy"
    np.save(path, np.clip(frames, 0, None).astype(np.uint16))
    return path


def test_pedestal_noise_and_status(darks):
    frames = np.load(darks).astype(float)
    found = pedestal(open_files(darks), DarkRanges(value_high=15000, noise_low=1))
    assert pedestal(str(darks), DarkRanges(value_high=15000, noise_low=1)).equals(found)
    inside = np.where(frames <= 15000, frames, np.nan)
    rest = np.ones((40, 50), bool)
    rest[7, 8] = False
    np.testing.assert_allclose(found.pedestal.values[rest], np.nanmean(inside[:, rest], axis=0))
    np.testing.assert_allclose(found.noise.values[rest], np.nanstd(inside[:, rest], axis=0))
    assert np.isnan(found.pedestal.values[7, 8])
    status = found.status.values
    assert [status[place] for place in [(3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (0, 0)]] == [
        2,
        1,
        2 | 4 | 32,
        4,
        32,
        0,
    ]
    counts = summary(status)
    assert counts["sane"] == 40 * 50 - 5
    assert counts["noise above its range"] == 1
    assert int(found.n_frames) == 60
    assert found.n_valid.values[9, 10] == 56


def test_the_median_is_within_its_resolution(darks):
    frames = np.load(darks).astype(float)
    found = pedestal(open_files(darks), statistic="median")
    resolution = found.attrs["median_resolution"]
    assert resolution < 0.5
    assert np.abs(found.pedestal.values[20:] - np.median(frames[:, 20:], axis=0)).max() <= resolution
    with pytest.raises(ValueError, match="without gain bits"):
        pedestal(open_files(darks), statistic="median", gains=3)


def test_gain_ranges(tmp_path):
    words = RNG.integers(900, 1100, (6, 1, 512, 1024), np.uint16)
    words[2:4] += 0x4000
    words[4:] += 0xC000
    np.save(tmp_path / "dark.npy", words)
    source = open_files(tmp_path / "dark.npy", type="jungfrau")
    found = pedestal(source, DarkRanges(noise_low=0, noise_high=1000), gains=3)
    assert found.pedestal.dims == ("gain", "module", "y", "x")
    np.testing.assert_allclose(found.pedestal.values[2], (words[4:] & 0x3FFF).mean(0))
    assert not found.status.values.any()


def test_the_bits_of_a_status():
    ranges = DarkRanges(pedestal_low=10, pedestal_high=100, noise_low=1, noise_high=5)
    values = np.array([50.0, 5.0, 500.0, np.nan, 50.0])
    noise = np.array([3.0, 0.5, 9.0, np.nan, 3.0])
    found = status_of(values, noise, ranges, n=np.array([10] * 5), n_low=0, n_high=np.array([0, 0, 0, 0, 1]))
    assert found.tolist() == [0, 2 | 32, 1 | 16, 2 | 32, 4]
    with pytest.raises(ValueError, match="noise_low <= noise_high"):
        DarkRanges(noise_low=3, noise_high=2)


@pytest.mark.parametrize("name", ["c.h5", "c.npz", "c.npy", "c.data", "store"])
def test_files_are_read_back(tmp_path, name):
    shape = (2, 6, 8)
    constants = {
        "pedestal": RNG.normal(100, 5, shape).astype(np.float32),
        "noise": RNG.normal(3, 0.2, shape).astype(np.float32),
        "gain": np.full(shape, 1.5, np.float32),
        "status": RNG.integers(0, 64, shape).astype(np.uint32),
    }
    written = write_calibration(tmp_path / name, constants, notes={"TITLE": "one\ntwo", "N": 3}, run=7)
    assert all(path.exists() for path in written)
    detector = Detector(shape=shape)
    for number, (constant, values) in enumerate(constants.items()):
        files = [path for path in written if path.suffix != ".json"]
        path = files[number] if len(files) == 4 else files[0]
        found = read_calibration(path, detector, constant)
        assert found.dtype == values.dtype
        np.testing.assert_allclose(found, values, atol=1e-3)
    if name == "store":
        assert (tmp_path / "store" / "pixel_rms" / "7-end.data").exists()


def test_gains_and_stacked_panels(tmp_path):
    detector = Detector(shape=(2, 6, 8))
    values = RNG.normal(100, 5, (3, 2, 6, 8)).astype(np.float32)
    write_calibration(tmp_path / "g.data", {"pedestal": values})
    np.testing.assert_allclose(read_calibration(tmp_path / "g_pedestal.data", detector, "pedestal"), values, atol=1e-3)
    np.savetxt(tmp_path / "plain.txt", values[0].reshape(12, 8))
    np.testing.assert_allclose(read_calibration(tmp_path / "plain.txt", detector, "pedestal"), values[0], atol=1e-3)


def test_wrong_files_say_what_is_wrong(tmp_path):
    detector = Detector(shape=(6, 8))
    np.save(tmp_path / "other.npy", np.zeros((5, 8)))
    with pytest.raises(ValueError, match="of another detector"):
        read_calibration(tmp_path / "other.npy", detector, "pedestal")
    np.save(tmp_path / "status.npy", np.full((6, 8), 0.5))
    with pytest.raises(ValueError, match="whole bits"):
        read_calibration(tmp_path / "status.npy", detector, "status")
    np.savez(tmp_path / "empty.npz", nothing=np.zeros(3))
    with pytest.raises(ValueError, match="it has nothing"):
        read_calibration(tmp_path / "empty.npz", detector, "gain")
    (tmp_path / "words.data").write_text("# NDIM 2\n# DIM:1 6\n# DIM:2 9\n" + "1 2 3\n" * 16)
    with pytest.raises(ValueError, match="there are 48 numbers"):
        read_calibration(tmp_path / "words.data", detector, "pedestal")
    (tmp_path / "text.data").write_text("1 2\n3\n")
    with pytest.raises(ValueError, match="rows of equal length"):
        read_calibration(tmp_path / "text.data", detector, "pedestal")
    with pytest.raises(ValueError, match="no constants are called"):
        read_calibration(tmp_path / "text.data", detector, "flat")
    with pytest.raises(ValueError, match=r"written as \.h5"):
        write_calibration(tmp_path / "a.png", {"pedestal": np.zeros((2, 2))})
    with pytest.raises(OSError, match=r"nothing\.npy"):
        read_calibration(tmp_path / "nothing.npy", detector, "pedestal")


def test_the_command(darks, tmp_path):
    target = tmp_path / "c.npy"
    options = ["pedestal", str(darks), "--output", str(target), "--value-high", "15000", "--noise-high", "8"]
    done = CliRunner().invoke(area, options)
    assert done.exit_code == 0, done.output
    assert "60 frames" in done.output
    assert "1 pixels noise above" in done.output
    assert "c_pedestal.npy" in done.output
    assert np.load(tmp_path / "c_noise.npy").dtype == np.float32
    notes = json.loads((tmp_path / "c_notes.json").read_text())
    assert json.loads(notes["provenance"])["reduction"]["name"] == "Dark"
    assert CliRunner().invoke(area, [*options[:2], "--noise-low", "9"]).exit_code != 0
