"""Cleaning and islands, against plain loops, SciPy and ctapipe."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from detcore.dl1.images import cleaning
from detcore.dl1.images.cleaning import dilate, islands, main_island, tailcuts, time_cleaning, time_constrained
from detcore.dl1.images.geometry import Camera, camera_of_positions

CUTS = [(10, 5, 2, False), (7.7, 3.3, 1, False), (6, 6, 0, False), (5, 8, 1, False), (9, 4, 2, True), (20, 2, 3, False)]


@pytest.fixture(params=["LSTCam", "CHEC", "FlashCam", "ASTRICam", "VERITAS"])
def camera(request, camera_table) -> Camera:
    table = camera_table(request.param)
    return Camera(table.name, table.x, table.y, table.area, table.shape, table.rotation, 10.0)


@pytest.fixture(scope="module")
def small() -> Camera:
    """19 hexagons."""
    grid = [(q + r / 2, r * np.sqrt(0.75)) for q in range(-2, 3) for r in range(-2, 3) if abs(q + r) <= 2]
    return camera_of_positions("small", *np.array(grid).T)


def events(camera: Camera, n: int = 12, seed: int = 1) -> tuple[Any, Any]:
    """Charges and times: noise, two blobs, and values that equal a threshold."""
    rng = np.random.default_rng(seed)
    charges = rng.normal(0, 2, (n, camera.n_pixels))
    times = rng.uniform(0, 30, (n, camera.n_pixels))
    size = np.ptp(camera.pixel_x)
    for event in range(n):
        for _ in range(2):
            x, y = rng.uniform(-0.4, 0.4, 2) * size
            blob = np.exp(
                -((camera.pixel_x - x) ** 2 + (camera.pixel_y - y) ** 2) / (rng.uniform(0.02, 0.08) * size) ** 2
            )
            charges[event] += rng.uniform(5, 60) * blob
            times[event] += (15 + 3 * rng.normal(size=camera.n_pixels) - times[event]) * (blob > 0.1)
    charges = charges.astype(np.float32)
    charges[:, ::9] = np.round(charges[:, ::9])
    charges[:, 1::11] = np.float32(7.7)
    return charges, times.astype(np.float32)


def plain_tailcuts(image, camera, picture, boundary, least, isolated):
    """The definition, pixel by pixel."""
    indptr, indices = camera.neighbours
    around = [indices[indptr[i] : indptr[i + 1]] for i in range(camera.n_pixels)]
    high, low = image >= picture, image >= boundary
    core = [h and (isolated or high[near].sum() >= least) for h, near in zip(high, around, strict=True)]
    core = np.array(core, bool)
    kept = [
        (low[i] and core[near].any()) or (core[i] and (isolated or low[near].any())) for i, near in enumerate(around)
    ]
    return np.array(kept, bool)


@pytest.mark.parametrize("cuts", CUTS)
def test_tailcuts_are_what_they_are_defined_to_be(camera, cuts) -> None:
    images, _ = events(camera)
    found = tailcuts(images, camera, *cuts)
    assert found.dtype == bool
    assert 0 < found.sum() < found.size
    for image, selected in zip(images, found, strict=True):
        np.testing.assert_array_equal(selected, plain_tailcuts(image, camera, *cuts))


def test_thresholds_of_each_pixel(small) -> None:
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 10, (50, small.n_pixels)).astype(np.float32)
    picture, boundary = rng.uniform(4, 8, (2, small.n_pixels))
    images[:, 3], picture[3] = np.float32(picture[3]), np.float64(np.float32(picture[3])) + 1e-12  # just below
    images[:, 5] = np.float32(boundary[5])
    expected = [plain_tailcuts(image, small, picture, boundary, 1, False) for image in images]
    np.testing.assert_array_equal(tailcuts(images, small, picture, boundary, 1), expected)
    np.testing.assert_array_equal(tailcuts(images.astype(float), small, picture, boundary, 1), expected)


def test_one_image_other_orders_and_types_give_the_same(small) -> None:
    images = np.random.default_rng(2).integers(0, 20, (8, small.n_pixels))
    expected = tailcuts(images, small)
    assert expected.any()
    np.testing.assert_array_equal([tailcuts(image, small) for image in images], expected)
    for kind in (np.float32, np.float64, ">f4", np.int16):
        np.testing.assert_array_equal(tailcuts(images.astype(kind), small), expected)
        np.testing.assert_array_equal(tailcuts(np.asfortranarray(images.astype(kind)), small), expected)
    assert tailcuts(images[:0], small).shape == (0, small.n_pixels)


def test_values_that_are_not_numbers_are_not_selected(small) -> None:
    image = np.full(small.n_pixels, 20.0)
    image[4] = np.nan
    assert list(np.flatnonzero(~tailcuts(image, small))) == [4]


@pytest.mark.parametrize("shape", [(3, 18), (18,), (2, 3, 19), ()])
def test_another_number_of_pixels_is_refused(small, shape) -> None:
    with pytest.raises(ValueError, match=r"images: expected \(events, 19\) for camera small, found"):
        tailcuts(np.zeros(shape), small)
    with pytest.raises(ValueError, match="selected: expected"):
        islands(np.zeros(shape, bool), small)


def test_what_is_no_selection_is_refused(small) -> None:
    with pytest.raises(ValueError, match="selected: expected bool, found float64"):
        islands(np.zeros(small.n_pixels), small)
    with pytest.raises(ValueError, match="picture: expected a number or one for each of 19 pixels"):
        tailcuts(np.zeros((2, 19)), small, picture=[1, 2])
    with pytest.raises(ValueError, match=r"peak_times: expected"):
        time_cleaning(np.zeros((2, 19), bool), np.zeros((2, 18)), small)
    with pytest.raises(ValueError, match=r"selected: expected \(2, 19\)"):
        time_cleaning(np.zeros((3, 19), bool), np.zeros((2, 19)), small)


def test_islands_are_connected_components(camera) -> None:
    indptr, indices = camera.neighbours
    links = csr_array((np.ones(len(indices), bool), indices, indptr), (camera.n_pixels,) * 2)
    assert not (links != links.T).nnz  # else islands depend on where one begins
    selected = np.random.default_rng(3).random((20, camera.n_pixels)) < np.linspace(0, 0.6, 20)[:, None]
    labels, n = islands(selected, camera)
    assert labels.dtype == np.int16
    assert n.max() > 5
    for event in range(20):
        inside = np.flatnonzero(selected[event])
        count, expected = connected_components(links[inside][:, inside])
        assert n[event] == count
        assert (labels[event, ~selected[event]] == 0).all()
        first = [labels[event, inside[expected == group][0]] for group in range(count)]
        assert sorted(first) == list(range(1, count + 1))
        np.testing.assert_array_equal(labels[event, inside], np.array([*first, 0])[expected])
        starts = [np.flatnonzero(labels[event] == number)[0] for number in range(1, count + 1)]
        assert starts == sorted(starts)


def test_islands_do_not_depend_on_where_the_memory_begins(small) -> None:
    selected = np.random.default_rng(4).random((9, small.n_pixels)) < 0.4
    expected, _ = islands(selected, small)
    np.testing.assert_array_equal(islands(selected[3:], small)[0], expected[3:])
    np.testing.assert_array_equal(islands(selected[::2], small)[0], expected[::2])
    label, n = islands(selected[5], small)
    np.testing.assert_array_equal(label, expected[5])
    assert n.shape == (1,)


def test_main_island(small) -> None:
    selected = np.zeros(small.n_pixels, bool)
    image = np.zeros(small.n_pixels)
    alone = 0
    indptr, indices = small.neighbours
    far = [i for i in range(small.n_pixels) if i != alone and i not in indices[indptr[alone] : indptr[alone + 1]]]
    pair = far[-1], indices[indptr[far[-1]]]
    selected[[alone, *pair]] = True
    image[alone], image[[*pair]] = 50, 10
    assert list(np.flatnonzero(main_island(selected, small))) == sorted(pair)
    assert list(np.flatnonzero(main_island(selected, small, image))) == [alone]
    assert not main_island(np.zeros((2, small.n_pixels), bool), small).any()


def test_dilation_adds_one_row(small) -> None:
    centre = np.argmin(np.hypot(small.pixel_x, small.pixel_y))
    selected = np.arange(small.n_pixels) == centre
    assert dilate(selected, small).sum() == 7
    assert dilate(dilate(selected, small), small).all()


def test_time_cleaning_counts_neighbours_in_time(small) -> None:
    times = np.zeros(small.n_pixels)
    centre = np.argmin(np.hypot(small.pixel_x, small.pixel_y))
    times[centre] = 5.0
    everything = np.ones(small.n_pixels, bool)
    kept = time_cleaning(everything, times, small, 1, 5.0)
    assert list(np.flatnonzero(~kept)) == [centre]  # equal to the limit is too late
    assert time_cleaning(everything, times, small, 1, 5.1).all()


def test_frozen_arrays_leave_the_callers_alone(small) -> None:
    image = np.zeros((1, small.n_pixels))
    tailcuts(image, small)
    image[0, 0] = 1
    assert not cleaning.frozen(image).flags.writeable
    assert image.flags.writeable


def geometry(camera: Camera) -> Any:
    from astropy import units  # noqa: PLC0415
    from ctapipe.instrument import CameraGeometry  # noqa: PLC0415

    return CameraGeometry(
        camera.name,
        np.arange(camera.n_pixels),
        camera.pixel_x * units.m,
        camera.pixel_y * units.m,
        camera.pixel_area * units.m**2,
        {"hexagon": "hexagon", "square": "rectangular", "circle": "circle"}[camera.shape],
        pix_rotation=0 * units.deg,
        cam_rotation=0 * units.deg,
    )


def test_all_equal_ctapipe(ctapipe, camera) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # links that go one way only
        from ctapipe import image as theirs  # noqa: PLC0415
        from ctapipe.image import cleaning as more  # noqa: PLC0415

        other = geometry(camera)
        images, times = events(camera, 6)
        for picture, boundary, least, isolated in CUTS:
            found = tailcuts(images, camera, picture, boundary, least, isolated)
            in_time = time_cleaning(found, times, camera, 2, 3)
            magic = time_constrained(images, times, camera, picture, boundary, 4.5, 1.5, least)
            labels, n = islands(found, camera)
            for event, image in enumerate(images):
                selected = theirs.tailcuts_clean(other, image, picture, boundary, isolated, least)
                np.testing.assert_array_equal(found[event], selected)
                count, numbers = theirs.number_of_islands(other, selected)
                assert n[event] == count
                np.testing.assert_array_equal(labels[event], numbers)
                np.testing.assert_array_equal(dilate(selected, camera), theirs.dilate(other, selected))
                np.testing.assert_array_equal(main_island(selected, camera), theirs.largest_island(numbers))
                np.testing.assert_array_equal(
                    main_island(selected, camera, image), theirs.brightest_island(count, numbers, image)
                )
                np.testing.assert_array_equal(
                    in_time[event], more.apply_time_delta_cleaning(other, selected, times[event], 2, 3)
                )
                np.testing.assert_array_equal(
                    magic[event],
                    more.time_constrained_clean(other, image, times[event], picture, boundary, 4.5, 1.5, least),
                )
