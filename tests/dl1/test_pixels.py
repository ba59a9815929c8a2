"""Dead and noisy pixels, and what is put in their place."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from detcore.dl1.images.geometry import Camera
from detcore.dl1.images.pixels import DEAD, NOISY, bad_pixels, good_neighbours, interpolate


@pytest.fixture
def lst(camera_table) -> Camera:
    table = camera_table("LSTCam")
    return Camera(table.name, table.x, table.y, table.area, table.shape, table.rotation, 28.0)


def test_dead_and_noisy_pixels_are_named_with_the_reason() -> None:
    rng = np.random.default_rng(0)
    events = rng.normal(1, 2, (500, 1000))
    events[:, 10] = 0
    events[:, 20] = rng.normal(1, 0.1, 500)
    events[:, 30] = rng.normal(1, 6, 500)
    events[:, 40] += 8
    count = np.full(1000, 500)
    count[50] = 0
    mean, std = events.mean(axis=0), events.std(axis=0)
    mean[50] = std[50] = np.nan
    table = bad_pixels(mean, std, count)
    assert table.index.name == "pixel"
    assert list(table.index[table.dead]) == [10, 20, 50]
    assert list(table.index[table.noisy]) == [30, 40]
    assert list(table.reason[[10, 20, 30, 40, 50]]) == [
        "does not vary",
        "does not vary",
        "std far above the others'",
        "mean far above the others'",
        "no values",
    ]
    assert (table.reason == "").sum() == 995
    assert list(table.pixel_mask[[0, 10, 30]]) == [0, DEAD, NOISY]
    assert (DEAD, NOISY) == (1 << 1, 1 << 4)


def test_occupancy_finds_pixels_that_are_on_too_often() -> None:
    occupancy = np.full(100, 0.01)
    occupancy[7] = 0.9
    std = np.linspace(0.9, 1.1, 100)
    table = bad_pixels(np.zeros(100), std, occupancy=occupancy)
    assert list(table.index[table.noisy]) == [7]
    assert not table.dead.any()
    assert not bad_pixels(np.zeros(100), std, occupancy=np.zeros(100)).noisy.any()


def test_nothing_to_compare_with() -> None:
    table = bad_pixels(np.full(4, np.nan), np.full(4, np.nan), np.zeros(4))
    assert table.dead.all()
    assert not table.noisy.any()
    with pytest.raises(ValueError, match="expected one number for each pixel"):
        bad_pixels(np.zeros(4), np.zeros(5))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_pixels_get_the_mean_of_their_good_neighbours(lst, kind) -> None:
    rng = np.random.default_rng(1)
    images = rng.normal(10, 3, (6, lst.n_pixels)).astype(kind)
    before = images.copy()
    bad = rng.random(lst.n_pixels) < 0.1
    indptr, indices = lst.neighbours
    alone = int(np.argmin(np.hypot(lst.pixel_x, lst.pixel_y)))
    bad[[alone, *indices[indptr[alone] : indptr[alone + 1]]]] = True
    found = interpolate(images, bad, lst)
    assert found.dtype == kind
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(found[:, ~bad], images[:, ~bad])
    assert (found[:, alone] == 0).all()
    assert good_neighbours(bad, lst)[alone] == 0
    for pixel in np.flatnonzero(bad):
        near = indices[indptr[pixel] : indptr[pixel + 1]]
        near = near[~bad[near]]
        assert good_neighbours(bad, lst)[pixel] == len(near)
        if len(near):
            np.testing.assert_allclose(found[:, pixel], images[:, near].mean(axis=1, dtype=float), rtol=1e-6)
    each = np.tile(bad, (6, 1))
    np.testing.assert_array_equal(interpolate(images, each, lst), found)
    np.testing.assert_array_equal(interpolate(images[2], bad, lst), found[2])
    each[3] = False
    np.testing.assert_array_equal(interpolate(images, each, lst)[3], images[3])


def test_masks_of_another_shape_are_refused(lst) -> None:
    with pytest.raises(ValueError, match=r"bad: expected \(pixel,\) or \(3, 1855\)"):
        interpolate(np.zeros((3, 1855)), np.zeros((2, 1855), bool), lst)


def test_equal_to_ctapipe(ctapipe, lst) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from types import SimpleNamespace  # noqa: PLC0415

        from astropy import units  # noqa: PLC0415
        from ctapipe.image.invalid_pixels import NeighborAverage  # noqa: PLC0415
        from ctapipe.instrument import CameraGeometry  # noqa: PLC0415

        area = lst.pixel_area * units.m**2
        other = CameraGeometry("x", np.arange(1855), lst.pixel_x * units.m, lst.pixel_y * units.m, area, "hexagon")
        holder = SimpleNamespace(
            subarray=SimpleNamespace(tel={1: SimpleNamespace(camera=SimpleNamespace(geometry=other))})
        )
        rng = np.random.default_rng(2)
        for image in rng.normal(5, 2, (4, 1855)):
            bad = rng.random(1855) < 0.2
            expected, _ = NeighborAverage.__call__(holder, 1, image.copy(), image[::-1].copy(), bad[None])
            np.testing.assert_allclose(interpolate(image, bad, lst), expected, rtol=1e-12)
