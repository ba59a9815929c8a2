"""Files that a setup names: backgrounds of panels, masks and other arrays of functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from detcore import area
from detcore.area.files.calibfiles import write_calibration
from detcore.area.imagefiles import ARRAYS, read_array, read_image
from detcore.area.setup.setupfile import FILE_PARAMETERS

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (3, 8, 10)
FRAMES = np.random.default_rng(4).poisson(20, (2, *SHAPE)).astype(np.uint16)
MASK = np.ones(SHAPE, np.uint8)
MASK[1] = 0
WHOLE = "[[0, 3], [0, 8], [0, 10]]"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    np.save(tmp_path / "run.npy", FRAMES)
    return tmp_path / "run.npy"


def reduced(run: Path, text: str) -> dict[str, np.ndarray]:
    setup = run.parent / "setup.yaml"
    setup.write_text(text)
    data = area.reduce(str(run), str(setup))
    return {str(name).split("/", 1)[1]: one.values for name, one in data.data_vars.items() if "detector/" in str(name)}


@pytest.mark.parametrize("way", ["panels", "stacked", "text"])
def test_an_image_of_panels(run: Path, way: str) -> None:
    image = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    place = run.parent / "image.npy"
    if way == "text":
        (place,) = write_calibration(run.parent / "image.data", {"pedestal": image})
    else:
        np.save(place, image if way == "panels" else image.reshape(-1, SHAPE[2]))
    np.testing.assert_array_equal(read_image(str(place), SHAPE), image)
    found = reduced(run, f"background: {{image: {place.name}}}\nrois: [{{name: all, bounds: {WHOLE}}}]\n")
    np.testing.assert_allclose(found["all_sum"], (FRAMES - image.astype(float)).sum(axis=(1, 2, 3)))


def test_thresholds_look_at_an_image_of_panels(run: Path) -> None:
    np.save(run.parent / "image.npy", np.where(MASK, 1.0, 9.0).astype(np.float32))
    text = f"mask_image: image.npy\nmask: [{{kind: threshold, high: 5}}]\nrois: [{{name: all, bounds: {WHOLE}}}]\n"
    assert (reduced(run, text)["all_n_valid"] == 160).all()


def test_an_average_stands_for_its_mean(run: Path) -> None:
    data = area.average(str(run), common_mode=-1)
    area.write_all(data, run.parent, "avg", only=(".nc", ".h5"))
    for suffix in (".nc", ".h5"):
        np.testing.assert_allclose(read_image(str(run.parent / f"avg{suffix}"), SHAPE), FRAMES.mean(axis=0))


def test_an_image_of_another_detector(run: Path) -> None:
    np.save(run.parent / "image.npy", np.zeros((4, 8, 10)))
    with pytest.raises(
        ValueError, match=r"expected an image of \(3, 8, 10\), found \(4, 8, 10\); is it of another det"
    ):
        read_image(str(run.parent / "image.npy"), SHAPE)


def test_functions_get_the_arrays_of_their_files(run: Path) -> None:
    np.save(run.parent / "mask.npy", MASK)
    text = f"""
functions:
- {{kind: ROIFunc, name: a, params: {{ROI: {WHOLE}, userMask: mask.npy}}}}
- {{kind: dropletFunc, params: {{threshold: 25, useRms: false, mask: mask.npy}}}}
- kind: ROIFunc
  name: b
  params: {{ROI: [[0, 1], [2, 8], [0, 10]], calcPars: false}}
  children: [{{kind: Autocorrelation, params: {{mask: two.npy, save_range: [2, 2]}}}}]
"""
    np.save(run.parent / "two.npy", np.stack([np.ones((6, 10), np.uint8), np.eye(6, 10, dtype=np.uint8)]))
    found = reduced(run, text)
    good = MASK != 0
    np.testing.assert_allclose(found["a_sum"], FRAMES.sum(axis=(1, 2, 3), where=good))
    alone = [len(area.droplets(frame, 25, good=good)) for frame in FRAMES]
    np.testing.assert_array_equal(found["droplet_nDroplets"], alone)
    assert found["b_autocorr_autocorr"].shape == (2, 2, 4, 4)


def test_the_section_of_autocorrelations_takes_several_masks(run: Path) -> None:
    np.save(run.parent / "plain.npy", FRAMES[:, 0])
    np.save(run.parent / "two.npy", np.ones((2, 8, 10), np.uint8))
    (run.parent / "setup.yaml").write_text("autocorrelation: {mask: two.npy, save_range: [2, 2]}")
    data = area.reduce(str(run.parent / "plain.npy"), str(run.parent / "setup.yaml"))
    assert data["detector/autocorr_autocorr"].shape == (2, 2, 4, 4)


def test_masks_as_text_of_psana(run: Path) -> None:
    np.savetxt(run.parent / "mask.data", MASK.reshape(-1, SHAPE[2]), fmt="%d")
    found = reduced(run, f"functions: [{{kind: ROIFunc, name: a, params: {{ROI: {WHOLE}, userMask: mask.data}}}}]")
    assert (found["a_n_valid"] == 160).all()


def test_a_file_that_is_missing_or_too_large_is_said_with_its_function(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=r"function spot: userMask: .*none\.npy"):
        reduced(run, "functions: [{kind: ROIFunc, name: spot, params: {userMask: none.npy}}]")
    monkeypatch.setattr("detcore.area.imagefiles.MAX_BYTES", 100)
    with pytest.raises(ValueError, match="expected an image or a mask, found 2 frames"):
        read_array(str(run))


def test_every_array_is_a_file_that_a_server_may_confine() -> None:
    assert ARRAYS <= FILE_PARAMETERS
    text = "functions: [{kind: azimuthalBinning, params: {x: a.npy, darkImg: b.npy, center: [0, 0]}}]"
    assert set(area.Setup.from_yaml(text).files()) == {"a.npy", "b.npy"}
