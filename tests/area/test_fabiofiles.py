"""Formats of other laboratories, as fabio writes them."""

from __future__ import annotations

import numpy as np
import pytest

from detcore.area.source import open_files, probe
from detcore.core.source import Problem, UnknownFormat

fabio = pytest.importorskip("fabio")


@pytest.fixture
def image():
    values = np.random.default_rng(5).poisson(4.0, (33, 47)).astype(np.int32)
    values[10], values[4, 4] = -1, -2
    return values


def test_edf(tmp_path, image):
    fabio.edfimage.edfimage(data=image, header={"Detector": "Pilatus 300K"}).write(str(tmp_path / "a.edf"))
    source = open_files(tmp_path / "a.edf")
    assert np.array_equal(source.frame(0), image)
    assert source.detector().type == "pilatus"
    assert source.detector().underload == 0
    assert probe(str(tmp_path / "a.edf")).degree == "generic"


def test_edf_with_several_images(tmp_path, image):
    made = fabio.edfimage.edfimage(data=image)
    made.append_frame(data=image + 1)
    made.write(str(tmp_path / "a.edf"))
    source = open_files(tmp_path / "a.edf")
    assert source.n_frames() == 2
    assert np.array_equal(source.frame(1), image + 1)


def test_cbf(tmp_path, image):
    head = {"_array_data.header_convention": "PILATUS_1.2", "_array_data.header_contents":
            "# Detector: PILATUS 300K\n# Pixel_size 172e-6 m x 172e-6 m\n# Detector_distance 0.25 m\n# Wavelength 1.0 A\n"
            "# Beam_xy (20.5, 10.25) pixels\n# Count_cutoff 1000000 counts\n"}  # fmt: skip
    fabio.cbfimage.cbfimage(data=image, header=head).write(str(tmp_path / "a.cbf"))
    source = open_files(tmp_path / "a.cbf")
    detector = source.detector()
    assert np.array_equal(source.frame(0), image)
    assert detector.distance == 0.25
    assert detector.centre == (20.5, 10.25)
    assert detector.energy == pytest.approx(12.398419843)
    assert detector.saturation == 1_000_000
    assert detector.underload == 0


def test_a_damaged_file_is_one_line(tmp_path, image):
    fabio.cbfimage.cbfimage(data=image).write(str(tmp_path / "a.cbf"))
    raw = (tmp_path / "a.cbf").read_bytes()
    (tmp_path / "a.cbf").write_bytes(raw[: len(raw) // 2])
    (problem,) = open_files(tmp_path / "a.cbf").plan()
    assert isinstance(problem, Problem)
    assert "fabio" in problem.reason


def test_without_fabio_the_way_out_is_named(tmp_path, image, monkeypatch):
    fabio.edfimage.edfimage(data=image).write(str(tmp_path / "a.edf"))
    monkeypatch.setattr("detcore.area.files.fabioframes.FabioFrames.there", lambda: False)
    with pytest.raises(UnknownFormat, match=r"pip install 'detcore\[images\]'"):
        open_files(tmp_path / "a.edf").schema()
