"""The public names, and the calls that have no module of their own."""

from __future__ import annotations

import subprocess
import sys

import h5py
import numpy as np
import pytest

from detcore import area
from detcore.area.images import azimuthalkernels, dropletkernels, roikernels, runningkernels
from detcore.core.source import instruments, open_source
from detcore.image import PixelMask

STABLE = [
    "Setup",
    "PixelMask",
    "Panels",
    "Detector",
    "Geometry",
    "CommonModeStep",
    "average",
    "azimuthal",
    "cake",
    "find_centre",
    "common_mode",
    "presets",
    "droplets",
    "reduce",
    "reducing",
    "cube",
    "open_files",
    "read_frame",
    "calibrated",
    "read_reduced",
    "SmallData",
    "DetObject",
    "DetObjectFunc",
    "ROIFunc",
    "azimuthalBinning",
    "dropletFunc",
    "droplet2Photons",
    "photonFunc",
    "projectionFunc",
    "spectrumFunc",
    "rebinFunc",
    "imageFunc",
    "sparsifyFunc",
    "Autocorrelation",
    "AvImage",
    "plotAvImage",
    "saveAvImage",
    "pixelHistogram",
    "write_demo",
    "write_all",
    "INSTRUMENT",
]


@pytest.mark.parametrize("name", STABLE)
def test_stable_names(name):
    assert hasattr(area, name)


def test_names_of_the_setup_and_the_mask():
    assert area.PixelMask is PixelMask
    assert callable(area.Setup.load)
    assert callable(area.Setup.save)
    assert all(callable(getattr(area.PixelMask, name)) for name in ("raster", "read", "write"))


def test_it_is_registered_and_recognises_its_demo(tmp_path):
    known, broken = instruments()
    assert not broken
    assert known["area"] is area.INSTRUMENT
    run, dark, setup = area.INSTRUMENT.demo(tmp_path)
    source = open_source(run)
    assert type(source).__name__ == "AreaFiles"
    assert source.detector().type == "epix100"
    assert open_source(dark).n_frames() == 16
    assert area.Setup.load(setup).common_mode == 46
    answers = {name: known[name].probe(str(run)).degree for name in known}
    assert answers["area"] == "exact"
    assert list(answers.values()).count("exact") == 1


def test_importing_is_quick():
    code = "import time; b = time.process_time(); import detcore.area; print(time.process_time() - b)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 6, "about 1.6 s on a quiet machine"
    code = "import sys, detcore.area; print(any(m in sys.modules for m in ('matplotlib', 'fabio', 'psana', 'pyFAI', 'panel')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_read_frame(tmp_path):
    frames = np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/data/data"] = frames
    frame = area.read_frame(tmp_path / "a.h5", 2, orientation=4)
    np.testing.assert_array_equal(frame, frames[2, ::-1])
    assert frame.dims == ("y", "x")
    assert frame.attrs["event_id"] == 2
    with pytest.raises(LookupError):
        area.read_frame(tmp_path / "a.h5", 3)


def test_calibrated(tmp_path):
    detector = area.Detector(shape=(4, 6), pedestal=np.full((4, 6), 10.0), saturation=500)
    frame = np.full((4, 6), 25, np.uint16)
    frame[0, 0] = 501
    setup = area.Setup.from_yaml("common_mode: 0\nrois: [{name: a, bounds: [[0, 1], [0, 1]]}]\nsums: [calib]")
    found = area.calibrated(frame, detector, setup)
    assert found.dtype == np.float32
    assert np.isnan(found[0, 0])
    assert (found.ravel()[1:] == 15).all()


def test_common_mode_by_number_and_by_steps():
    rng = np.random.default_rng(0)
    frame = rng.normal(0, 1, (704, 768)).astype(np.float32) + rng.normal(0, 3, (704, 1)).astype(np.float32)
    noise = np.full(frame.shape, 3, np.float32)
    corrected = area.common_mode(frame, 46, "ePix100", noise=noise)
    assert corrected.std() < 1.1 < frame.std()
    steps = area.presets("epix100")[46].steps
    np.testing.assert_array_equal(area.common_mode(frame, steps, "epix100", noise=noise), corrected)
    with pytest.raises(ValueError, match="no common mode 7777"):
        area.common_mode(frame, 7777, "epix100")
    with pytest.raises(ValueError, match="no detector type"):
        area.common_mode(frame, 46, "epix9000")


def test_the_viewers_reduction():
    wanted = area.INSTRUMENT.reduction(area.INSTRUMENT.parameters(threshold=3.0), None)
    assert wanted.threshold == 3.0
    assert area.INSTRUMENT.reduction(wanted) is wanted
    assert area.INSTRUMENT.reduction().threshold is None


def test_kernels_are_warm():
    """None that the first look at a run needs is left to be compiled then."""
    area.INSTRUMENT.warm()
    needed = [azimuthalkernels.leave_out, azimuthalkernels.scatter, roikernels.projections, roikernels.statistics_whole]
    needed += [roikernels.statistics_real, dropletkernels.find, runningkernels.add_whole, runningkernels.add_real]
    assert [kernel.__name__ for kernel in needed if not kernel.signatures] == []
