"""Masks of pixels are read back as they were written, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from detcore.dl1.badpixels import read_mask
from detcore.dl1.columns import facts_of
from detcore.dl1.images.geometry import camera_of_positions
from detcore.dl1.images.pixels import interpolate
from detcore.dl1.products import write_mask


@pytest.fixture(scope="module")
def camera():
    x, y = (one.ravel() for one in np.meshgrid(np.arange(5.0), np.arange(4.0)))
    return camera_of_positions("Square", x, y, 10.0)


@pytest.fixture
def flags(camera):
    dead, noisy = np.zeros((2, 3, 20), bool)
    dead[0, [2, 7]] = noisy[0, 11] = noisy[2, 19] = True
    both = ("telescope", "pixel")
    data = {"dead": (both, dead), "noisy": (both, noisy), "pixel_mask": (both, (2 * dead + 16 * noisy).astype("u4"))}
    attrs = {"camera": facts_of(camera), "dead_below": 0.2, "noisy_above": 6.0, "cut": "tail-cuts"}
    return xr.Dataset(data, {"telescope": [1, 5, 7]}, attrs=attrs)


@pytest.mark.parametrize("ending", [".yaml", ".csv"])
def test_what_was_written_is_read(tmp_path, flags, camera, ending):
    path = tmp_path / f"mask{ending}"
    write_mask(flags, path)
    both = read_mask(path, camera)
    assert list(both) == ([1, 5, 7] if ending == ".yaml" else [1, 7])
    for tel_id, bad in both.items():
        one = flags.sel(telescope=tel_id)
        np.testing.assert_array_equal(bad, one["dead"] | one["noisy"])
    np.testing.assert_array_equal(read_mask(path, camera, noisy=False)[1], flags["dead"][0])
    np.testing.assert_array_equal(read_mask(path, camera, dead=False)[1], flags["noisy"][0])
    filled = interpolate(np.where(both[1], 1e6, 3.0), both[1], camera)
    np.testing.assert_allclose(filled, 3.0)


def test_no_bad_pixel_is_no_problem(tmp_path, flags, camera):
    for name in ("dead", "noisy", "pixel_mask"):
        flags[name][:] = 0
    for ending in (".yaml", ".csv"):
        write_mask(flags, tmp_path / f"mask{ending}")
        assert not any(bad.any() for bad in read_mask(tmp_path / f"mask{ending}", camera).values())


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.yaml", "camera: Other\ntelescopes: {}", "camera Other, not of Square"),
        ("a.yaml", "telescopes: 5", "no telescopes"),
        ("a.yaml", "telescopes: {1: [2]}", "telescope 1"),
        ("a.yaml", "telescopes: {1: {dead: [1.5]}}", "telescope 1"),
        ("a.yaml", "telescopes: {x: {dead: []}}", "telescope x"),
        ("a.yaml", "telescopes: {1: {dead: [20]}}", "camera Square has 20"),
        ("a.yaml", "telescopes: {1: {dead: [-1]}}", "pixels -1 to -1"),
        ("a.yaml", "[", "YAML"),
        ("a.csv", "telescope,pixel\n1,2", "expected dead and noisy"),
        ("a.csv", "telescope,pixel,dead,noisy\n1,2.5,True,False", "of types"),
        ("a.csv", "telescope,pixel,dead,noisy\n1,99,True,False", "camera Square has 20"),
        ("a.npy", "", "which telescopes"),
    ],
)
def test_other_content_is_refused(tmp_path, camera, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=words):
        read_mask(tmp_path / name, camera)


def test_no_such_file(tmp_path, camera):
    with pytest.raises(FileNotFoundError):
        read_mask(tmp_path / "none.yaml", camera)
