"""`detcore area mask`: from a setup, a list of operations or a raster to every output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from detcore.area.commands.mask import mask
from detcore.image import Panels, PixelMask, good_pixels, read_pixel_mask

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

SETUP = """\
detector: {name: quad, shape: [2, 40, 60], asic: [20, 30]}
mask:
- {kind: edges, width: 2}
- {kind: asic_edges, bit: dead}
- {kind: region, name: spot, panel: 1, region: {kind: ellipse, x: 30, y: 20, a: 4, b: 4}}
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(mask, [str(one) for one in arguments])


@pytest.fixture
def setup(tmp_path: Path) -> Path:
    (tmp_path / "setup.yaml").write_text(SETUP)
    return tmp_path / "setup.yaml"


def test_all_outputs_say_the_same(tmp_path: Path, setup: Path) -> None:
    names = [tmp_path / f"a{suffix}" for suffix in (".h5", ".npy", ".tif", ".edf", ".txt", ".yaml")]
    done = run(setup, *(part for name in names for part in ("--output", name)), "--dials", tmp_path / "a.phil",
               "--crystfel", tmp_path / "a.geom", "--stacked")  # fmt: skip
    assert done.exit_code == 0, done.output
    expected = PixelMask.read(tmp_path / "a.yaml").raster(panels=Panels(asic=(20, 30)))
    for name in names[:-1]:
        assert np.array_equal(read_pixel_mask(name, convention="nxmx", modules=True), expected), name
    assert f"2 x 40 x 60 px, {(~good_pixels(expected)).sum()} masked" in done.output
    assert f"dead (bit 1): {((expected & 2) > 0).sum()}" in done.output
    assert "circle = 30 20 4" in (tmp_path / "a.phil").read_text()
    assert "min_ss = 40" in (tmp_path / "a.geom").read_text()
    with h5py.File(tmp_path / "a.h5") as file:
        record = json.loads(file["/entry/instrument/detector/pixel_mask"].attrs["detcore_provenance"])
    assert record["from"] == [str(setup)]
    assert record["operations"] == ["edges", "asic_edges", "region spot"]


def test_conventions_are_converted(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.array([[1, 0], [0, 1]], np.uint8))
    refused = run(tmp_path / "in.npy")
    assert refused.exit_code == 1
    assert "does not say what its numbers mean; give a convention" in refused.output
    done = run(
        tmp_path / "in.npy", "--convention", "nonzero_good", "--output", tmp_path / "out.npy", "--write", "nonzero_bad"
    )
    assert done.exit_code == 0, done.output
    assert np.load(tmp_path / "out.npy").tolist() == [[0, 1], [1, 0]]
    assert "2 x 2 px, 2 masked (50 %)" in done.output


def test_bit_31_informs_only(tmp_path: Path, shared: Path) -> None:
    done = run(shared / "data/area/lambda750k_m1.nxs", "--output", tmp_path / "a.h5")
    assert done.exit_code == 0, done.output
    assert "virtual (bit 31): 2" in done.output
    assert "(informs only)" in done.output
    good = good_pixels(read_pixel_mask(tmp_path / "a.h5", convention=None))
    assert f"{(~good).sum()} masked" in done.output


def test_thresholds_look_at_an_image(tmp_path: Path) -> None:
    (tmp_path / "mask.yaml").write_text("shape: null\noperations: [{kind: threshold, high: 5, bit: over}]")
    np.save(tmp_path / "image.npy", np.arange(12.0).reshape(3, 4))
    done = run(tmp_path / "mask.yaml", "--image", tmp_path / "image.npy", "--xds", tmp_path / "XDS.INP")
    assert done.exit_code == 0, done.output
    assert "3 x 4 px, 6 masked" in done.output
    assert (tmp_path / "XDS.INP").read_text().count("UNTRUSTED_RECTANGLE") == 2
    missing = run(tmp_path / "mask.yaml", "--shape", "3,4")
    assert missing.exit_code == 1
    assert "needs the array 'image'" in missing.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shape", "3,4"], r"the mask is for frames of (2, 40, 60), not (3, 4)"),
        (["--shape", "wide"], "is not a shape; write rows,columns"),
        (["--xds", "out"], "XDS knows one image"),
        (["--output", "out.jpeg"], "a pixel mask is written to"),
        (["--crystfel", "out", "--panels", "a"], "2 names of panels expected, found 1"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, setup: Path, arguments: list[str], message: str) -> None:
    found = run(setup, *(str(tmp_path / one) if one.startswith("out") else one for one in arguments))
    assert found.exit_code in {1, 2}
    assert message in " ".join(found.output.split())
    assert list(tmp_path.iterdir()) == [setup]


def test_wrong_files(tmp_path: Path, setup: Path) -> None:
    setup.write_text(SETUP + "roi: []\n")
    assert "unknown key 'roi': did you mean 'rois'?" in run(setup).output
    setup.write_text("psana_options: [status]\ndetector: {shape: [3, 4]}")
    assert "which come with a run; give it with --run" in run(setup).output
    setup.write_text("mask: [{kind: edges}]")
    assert "give --shape rows,columns, --image or --run" in run(setup).output
    (tmp_path / "a.npy").write_bytes(b"words")
    assert "neither a .npy nor an HDF5 file" in run(tmp_path / "a.npy").output
    again = run(setup, "--shape", "3,4", "--output", setup)
    assert "is the file that is read" in again.output


def test_a_run_gives_shape_mask_and_constants(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    detector_mask = np.zeros((30, 40), np.uint32)
    detector_mask[3, 4], detector_mask[9, 9] = 2, 1 << 31
    with h5py.File(tmp_path / "run.h5", "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        entry["data/data"] = rng.poisson(5, (3, 30, 40)).astype(np.uint16)
        detector = entry.create_group("instrument/detector")
        detector.attrs["NX_class"] = "NXdetector"
        detector["pixel_mask"] = detector_mask
    (tmp_path / "setup.yaml").write_text(
        "psana_options: [edges]\nmask: [{kind: region, mode: subtract, region: {kind: rectangle, x0: 0, y0: 0, x1: 40, y1: 5}}]"
    )
    done = run(tmp_path / "setup.yaml", "--run", tmp_path / "run.h5", "--output", tmp_path / "a.npy")
    assert done.exit_code == 0, done.output
    found = np.load(tmp_path / "a.npy")
    assert not found[:5].any()  # the setup comes after the detector, so it can free its pixels too
    assert found[9, 9] == 1 << 31
    assert found[20, 0] == 256
    assert found[20, 5] == 0


def test_thresholds_of_a_run_look_at_the_image_of_the_setup(tmp_path: Path) -> None:
    frames = np.zeros((2, 6, 7), np.uint16)
    np.save(tmp_path / "run.npy", frames)
    mean = np.zeros((6, 7), np.float32)
    mean[2, 3] = 9
    np.save(tmp_path / "mean.npy", mean)
    (tmp_path / "setup.yaml").write_text("mask: [{kind: threshold, name: hot, high: 5}]")
    refused = run(tmp_path / "setup.yaml", "--run", tmp_path / "run.npy")
    assert refused.exit_code == 1
    assert "the step threshold 'hot' looks at an image of the run; give one with --image" in refused.output
    (tmp_path / "setup.yaml").write_text("mask_image: mean.npy\nmask: [{kind: threshold, name: hot, high: 5}]")
    done = run(tmp_path / "setup.yaml", "--run", tmp_path / "run.npy", "--output", tmp_path / "a.npy")
    assert done.exit_code == 0, done.output
    assert np.argwhere(np.load(tmp_path / "a.npy")).tolist() == [[2, 3]]
