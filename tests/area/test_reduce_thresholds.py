"""Thresholds of a setup's mask in a reduction: they look at the mean of the first events, or at the image it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from detcore import area
from detcore.area.events.eventstream import first_mean
from detcore.area.setup.setupfile import Setup

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "mask: [{kind: threshold, name: hot, high: 50}]\nrois: [{name: all, bounds: [[0, 6], [0, 8]]}]\n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    frames = np.full((5, 6, 8), 10, np.uint16)
    frames[:, 2, 3] = 100
    np.save(tmp_path / "run.npy", frames)
    return tmp_path / "run.npy"


def sums_of(run: Path, text: str) -> np.ndarray:
    setup = run.parent / "setup.yaml"
    setup.write_text(text)
    area.reduce(str(run), str(setup), run.parent / "out.h5")
    found = area.read_reduced(run.parent / "out.h5")
    name = next(one for one in found.data_vars if str(one).endswith("all_sum"))
    return np.asarray(found[name].values)


def test_they_look_at_the_mean_of_the_first_events(run: Path) -> None:
    assert sums_of(run, TEXT).tolist() == [470.0] * 5
    assert sums_of(run, TEXT.replace("50", "500")).tolist() == [570.0] * 5


def test_they_look_at_the_image_of_the_setup(run: Path) -> None:
    image = np.zeros((6, 8), np.float32)
    image[0] = 60
    np.save(run.parent / "mean.npy", image)
    assert sums_of(run, "mask_image: mean.npy\n" + TEXT).tolist() == [570.0 - 80] * 5


def test_a_live_run_has_no_image_yet(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = area.open_files(str(run))
    monkeypatch.setattr(type(source), "size", lambda self: None)
    with pytest.raises(ValueError, match=r"threshold 'hot' looks at an image.*name its file as mask_image"):
        first_mean(source, Setup.from_yaml(TEXT))
