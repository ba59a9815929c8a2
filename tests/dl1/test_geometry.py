"""Cameras: neighbours, border, frames, corners, and what positions alone tell."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import pytest

from detcore.dl1 import Camera, camera_of_positions


def hexagons(rings: int = 3, width: float = 0.05, angle: float = 0.0) -> tuple[Any, Any]:
    """Positions of a hexagonal camera, the first neighbour at `angle` degrees."""
    q, r = np.mgrid[-rings : rings + 1, -rings : rings + 1].reshape(2, -1)
    keep = abs(q + r) <= rings
    position = (q + r * np.exp(1j * np.pi / 3))[keep] * width * np.exp(1j * np.radians(angle))
    return position.real, position.imag


def squares(n: int = 6, width: float = 0.006, gap: float = 0.0) -> tuple[Any, Any]:
    """Positions of a square camera of two by two modules."""
    line = width * np.arange(n) + gap * (np.arange(n) >= n // 2)
    x, y = np.meshgrid(line, line)
    return x.ravel(), y.ravel()


def make(x: Any, y: Any, shape: str = "hexagon", **options: Any) -> Camera:
    return Camera("toy", x, y, np.full(len(x), 0.05**2), shape, **options)


def links(camera: Camera) -> set[tuple[int, int]]:
    indptr, indices = camera.neighbours
    return {(i, int(j)) for i in range(camera.n_pixels) for j in indices[indptr[i] : indptr[i + 1]]}


def plain_links(camera: Camera) -> set[tuple[int, int]]:
    """The rule in words: of the nearest six (four), those within 1.4 (1.5) of the nearest in L2 (L1)."""
    found = set()
    most, reach = (4, 1.5) if camera.shape == "square" else (6, 1.4)
    for i in range(camera.n_pixels):
        dx, dy = abs(camera.pixel_x - camera.pixel_x[i]), abs(camera.pixel_y - camera.pixel_y[i])
        distance = dx + dy if camera.shape == "square" else np.hypot(dx, dy)
        distance[i] = np.inf
        nearest = np.argsort(distance, kind="stable")[:most]
        found |= {(i, int(j)) for j in nearest if distance[j] < reach * distance.min()}
    return found


@pytest.mark.parametrize(
    "camera",
    [
        make(*hexagons(angle=17)),
        make(*hexagons(), "circle"),
        make(*squares(), "square"),
        make(*squares(gap=0.001), "square"),
    ],
    ids=["hexagon", "circle", "square", "modules"],
)
def test_neighbours_follow_the_rule(camera: Camera) -> None:
    assert links(camera) == plain_links(camera)
    indptr, indices = camera.neighbours
    assert indptr.dtype == indices.dtype == np.int32
    assert len(indptr) == camera.n_pixels + 1
    rows = [indices[a:b] for a, b in itertools.pairwise(indptr)]
    assert all((np.diff(row) > 0).all() for row in rows)


def test_inner_pixels_have_six_neighbours_or_four() -> None:
    hexagonal, square = make(*hexagons(rings=3)), make(*squares(6), "square")
    assert np.bincount(np.diff(hexagonal.neighbours.indptr)).tolist() == [0, 0, 0, 6, 12, 0, 19]
    assert np.bincount(np.diff(square.neighbours.indptr)).tolist() == [0, 0, 4, 16, 16]


def test_neighbours_of_real_cameras_are_those_of_ctapipe(real_camera: Any, ctapipe: Any) -> None:
    from astropy import units as u  # noqa: PLC0415
    from ctapipe.instrument import CameraGeometry  # noqa: PLC0415

    metres, degrees = u.m, u.deg
    theirs = CameraGeometry(
        real_camera.name,
        np.arange(len(real_camera.x)),
        real_camera.x * metres,
        real_camera.y * metres,
        real_camera.area * metres**2,
        real_camera.shape,
        pix_rotation=real_camera.rotation * degrees,
    )
    own = Camera(real_camera.name, real_camera.x, real_camera.y, real_camera.area, real_camera.shape)
    matrix = theirs.neighbor_matrix_sparse.tocsr()
    matrix.sort_indices()
    np.testing.assert_array_equal(own.neighbours.indptr, matrix.indptr)
    np.testing.assert_array_equal(own.neighbours.indices, matrix.indices)
    for width in (1, 2, 3):
        np.testing.assert_array_equal(own.border(width), theirs.get_border_pixel_mask(width))
    np.testing.assert_allclose(own.pixel_width, theirs.pixel_width.to_value(metres), rtol=1e-12)


def test_border_grows_from_the_outermost_pixels() -> None:
    x, y = hexagons(rings=4)
    camera = make(x, y)
    ring = np.round(
        np.maximum.reduce([abs(x * np.cos(a) + y * np.sin(a)) for a in np.pi / 6 + np.pi / 3 * np.arange(3)]), 9
    )
    steps = np.unique(ring, return_inverse=True)[1]  # 0: the centre ... 4: the edge
    np.testing.assert_array_equal(camera.border(), steps == 4)
    np.testing.assert_array_equal(camera.border(2), steps >= 3)
    np.testing.assert_array_equal(camera.border(3), steps >= 2)
    assert not camera.border(0).any()


def test_telescope_frame_swaps_the_axes() -> None:
    camera = make(*hexagons(), focal_length=28.0)
    lon, lat = camera.telescope_frame()
    np.testing.assert_allclose(lat, np.degrees(camera.pixel_x / 28.0), rtol=1e-15)
    np.testing.assert_allclose(lon, np.degrees(camera.pixel_y / 28.0), rtol=1e-15)
    with pytest.raises(ValueError, match="no focal length"):
        make(*hexagons()).telescope_frame()


def area_of(corners: Any) -> Any:
    x, y = corners[..., 0], corners[..., 1]
    return (x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)).sum(axis=1) / 2


@pytest.mark.parametrize("angle", [0.0, 12.5, 40.893])
def test_corners_of_hexagons_meet(angle: float) -> None:
    x, y = hexagons(angle=angle)
    camera = Camera("toy", x, y, np.full(len(x), 0.05**2 * np.sqrt(3) / 2), "hexagon", rotation=99.0)  # a wrong one
    corners = camera.vertices()
    assert corners.shape == (37, 6, 2)
    np.testing.assert_allclose(area_of(corners), camera.pixel_area, rtol=1e-12)
    np.testing.assert_allclose(corners.mean(axis=1), np.stack([x, y], axis=-1), atol=1e-15)
    points, counts = np.unique(np.round(corners.reshape(-1, 2), 9), axis=0, return_counts=True)
    # each corner inside is one of three pixels
    inside = np.hypot(*points.T) < 0.05 * 2
    assert (counts[inside] == 3).all()


def test_corners_of_squares_meet() -> None:
    x, y = squares(4)
    camera = camera_of_positions("toy", x, y)
    corners = camera.vertices()
    assert corners.shape == (16, 4, 2)
    np.testing.assert_allclose(area_of(corners), 0.006**2, rtol=1e-9)
    assert len(np.unique(np.round(corners.reshape(-1, 2), 9), axis=0)) == 25


def test_corners_of_one_pixel_use_the_stored_angle() -> None:
    corner = Camera("one", [0.0], [0.0], [2 * np.sqrt(3)], "hexagon", rotation=0.0).vertices()[0]
    # two metres between opposite sides; at 0 degrees it stands on a corner
    np.testing.assert_allclose(np.sort(corner[:, 0]), [-1, -1, 0, 0, 1, 1], atol=1e-12)
    np.testing.assert_allclose(abs(corner[:, 1]).max(), 2 / np.sqrt(3), rtol=1e-12)


def test_circles_are_round() -> None:
    corners = Camera("one", [0.5], [0.0], [np.pi / 4], "circle").vertices()
    np.testing.assert_allclose(np.hypot(corners[0, :, 0] - 0.5, corners[0, :, 1]), 0.5, rtol=1e-12)


def test_positions_alone_tell_the_camera(real_camera: Any) -> None:
    x, y = (values.astype(np.float32) for values in (real_camera.x, real_camera.y))  # as CTA-ML files hold them
    camera = camera_of_positions(real_camera.name, x, y, focal_length=16.0)
    grid = "square" if real_camera.shape == "square" else "hexagon"
    assert camera.shape == grid
    assert camera.focal_length == 16.0
    if real_camera.name in {"LSTCam", "NectarCam", "FlashCam", "DigiCam", "MAGICCam", "CHEC", "ASTRICam", "SCTCam"}:
        fold = 90 if grid == "square" else 60
        turned = (camera.rotation - real_camera.rotation + fold / 2) % fold - fold / 2
        assert abs(turned) < 0.2
    # the stored areas leave out the walls between pixels
    assert 0.98 < camera.pixel_area[0] / np.median(real_camera.area) < 1.35


@pytest.mark.parametrize("angle", [0.0, 10.0, 59.9])
def test_rotation_of_hexagons_is_found(angle: float) -> None:
    camera = camera_of_positions("toy", *hexagons(angle=angle))
    assert camera.shape == "hexagon"
    assert camera.rotation == pytest.approx(angle, abs=1e-6)
    np.testing.assert_allclose(camera.pixel_area, 0.05**2 * np.sqrt(3) / 2, rtol=1e-9)


def test_a_turned_square_grid_is_square() -> None:
    x, y = squares()
    turned = (x + 1j * y) * np.exp(1j * np.radians(30))
    camera = camera_of_positions("toy", turned.real, turned.imag)
    assert camera.shape == "square"
    assert camera.rotation == pytest.approx(30, abs=1e-6)


def test_few_pixels_and_pixels_in_one_place() -> None:
    assert camera_of_positions("one", [0.0], [0.0]).shape == "circle"
    assert not len(camera_of_positions("one", [0.0], [0.0]).neighbours.indices)
    heap = camera_of_positions("heap", np.zeros(9), np.zeros(9))
    assert not len(heap.neighbours.indices)
    assert heap.vertices().shape == (9, 16, 2)
    pair = make([0.0, 1.0], [0.0, 0.0])
    assert links(pair) == {(0, 1), (1, 0)}
    assert pair.border().tolist() == [False, False]


def test_cameras_are_equal_by_content() -> None:
    x, y = hexagons()
    one, same = make(x, y, focal_length=2.0), make(x.copy(), y.copy(), focal_length=2.0)
    assert one == same
    assert hash(one) == hash(same)
    assert make(x, y) == make(x, y)  # without focal length
    others = [make(x, y), make(y, x, focal_length=2.0), make(x, y, "circle", focal_length=2.0), one.select(x > 0)]
    assert len({one, *others}) == 5
    assert one != "toy"
    assert one.key == make(x, y).key  # a mapping depends on no focal length
    assert one.key != make(x, y, rotation=1.0).key
    assert pickle.loads(pickle.dumps(one)) == one


def test_arrays_are_copies_and_read_only() -> None:
    x, y = hexagons()
    camera = make(x, y)
    x[:] = 7
    assert camera.pixel_x.max() < 1
    for values in (camera.pixel_x, camera.pixel_area, *camera.neighbours, camera.border(), camera.pixel_width):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1


def test_some_of_the_pixels() -> None:
    camera = make(*hexagons())
    part = camera.select(camera.pixel_x >= 0)
    np.testing.assert_array_equal(part.pixel_y, camera.pixel_y[camera.pixel_x >= 0])
    assert part.select([2, 0]).pixel_x.tolist() == part.pixel_x[[2, 0]].tolist()
    assert links(part) == plain_links(part)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": np.zeros(5)}, r"shapes \(5,\)"),
        ({"x": np.zeros((37, 1))}, "one x, y and area"),
        ({"x": np.full(37, np.nan)}, "finite"),
        ({"shape": "heptagon"}, "hexagon, square, circle; found 'heptagon'"),
    ],
)
def test_wrong_cameras_are_refused(change: dict[str, Any], words: str) -> None:
    x, y = hexagons()
    right = {"x": x, "y": y, "area": np.ones(37), "shape": "hexagon"}
    assert Camera("toy", *right.values()).n_pixels == 37
    with pytest.raises(ValueError, match=words):
        Camera("toy", *(right | change).values())


def test_a_camera_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to"):
        camera_of_positions("none", [], [])
