"""Rings of calibrants on detectors, and geometries refined with them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from detcore.area.files.poni import read_poni
from detcore.area.images.calibrants import CALIBRANTS
from detcore.area.images.centre import find_centre
from detcore.area.images.geometry import Geometry
from detcore.area.images.rings import angles_at, calibrate, match_distance, overlay, refine, ring_path
from detcore.area.source import AreaFiles

GEOMETRY = Geometry(
    x=180.0, y=210.0, distance=0.1, energy=20.0, pixel_size=(2e-4, 2e-4), rot1=6.0, rot2=-4.0, rot3=30.0
)
SHAPE = (400, 420)


@pytest.mark.parametrize("orientation", [1, 2, 3, 4])
def test_a_ring_is_where_its_angle_is(orientation):
    geometry = GEOMETRY.with_(orientation=orientation)
    azimuth = np.arange(-175, 180, 10.0)
    x, y = ring_path(geometry, 12.5, azimuth)
    np.testing.assert_allclose(angles_at(geometry, np.column_stack([x, y])), 12.5, rtol=1e-12)
    columns, rows = np.round(x).astype(int), np.round(y).astype(int)
    inside = (columns >= 0) & (columns < SHAPE[1]) & (rows >= 0) & (rows < SHAPE[0])
    assert inside.any()
    seen = geometry.azimuth(SHAPE)[rows[inside], columns[inside]]
    assert np.abs((seen - azimuth[inside] + 180) % 360 - 180).max() < 1.0
    np.testing.assert_allclose(geometry.two_theta(SHAPE)[rows[inside], columns[inside]], 12.5, atol=0.12)


def test_rays_that_miss_the_plane_are_no_points():
    x, _ = ring_path(GEOMETRY.with_(rot1=60), 50.0, np.arange(0, 360, 5.0))
    assert np.isnan(x).any()
    assert np.isfinite(x).any()


def test_overlay_without_tilt_is_circles():
    geometry = GEOMETRY.with_(rot1=0, rot2=0)
    found = overlay(geometry, "ceo2", SHAPE)
    assert len(found) >= 5
    for ring in found:
        np.testing.assert_allclose(np.hypot(ring.x - 180, ring.y - 210), ring.radius, rtol=1e-9)
        assert ring.radius == pytest.approx(0.1 * math.tan(math.radians(ring.two_theta)) / 2e-4)
        assert ring.q == pytest.approx(2 * math.pi / ring.d)
    assert len(overlay(geometry, "CeO2")) > len(found)
    with pytest.raises(ValueError, match="distance"):
        overlay(Geometry(x=1, y=1), "CeO2")
    with pytest.raises(ValueError, match="no calibrant"):
        overlay(geometry, "cheese")


def some_points(free_of_noise=True, rings=6):
    rng = np.random.default_rng(2)
    points, spacings = [], []
    for ring in overlay(GEOMETRY, "LaB6")[:rings]:
        x, y = ring_path(GEOMETRY, ring.two_theta, np.arange(0, 360, 12.0))
        points.append(np.column_stack([x, y]))
        spacings.append(np.full(len(x), ring.d))
    where = np.concatenate(points)
    return where + (0 if free_of_noise else rng.normal(0, 0.3, where.shape)), np.concatenate(spacings)


@pytest.mark.parametrize("free", [("x", "y"), ("distance",), ("energy",), ("x", "y", "distance", "rot1", "rot2")])
def test_points_bring_the_geometry_back(free):
    wrong = {"x": 183.0, "y": 207.0, "distance": 0.104, "energy": 19.5, "rot1": 4.0, "rot2": -2.0}
    start = GEOMETRY.with_(**{name: wrong[name] for name in free})
    found = refine(start, *some_points(), free)
    for name in free:
        assert getattr(found.geometry, name) == pytest.approx(getattr(GEOMETRY, name), rel=1e-5)
    assert found.residual < 1e-4


def test_errors_of_a_refinement_cover_the_truth():
    found = refine(GEOMETRY.with_(x=182), *some_points(free_of_noise=False))
    assert set(found.errors) == {"x", "y", "distance", "rot1", "rot2"}
    for name, error in found.errors.items():
        assert abs(getattr(found.geometry, name) - getattr(GEOMETRY, name)) < 4 * error
    assert found.residual == pytest.approx(0.3, rel=0.3)


def test_refinements_that_cannot_be():
    points, d = some_points(rings=1)
    flat = GEOMETRY.with_(distance=10.0)
    with pytest.raises(ValueError, match="do not tell distance, energy apart"):
        refine(flat, points, d, ("distance", "energy"))
    with pytest.raises(ValueError, match="at least as many points"):
        refine(GEOMETRY, points[:1], d[:1])
    with pytest.raises(ValueError, match="free: expected"):
        refine(GEOMETRY, points, d, ("colour",))
    with pytest.raises(ValueError, match="as many spacings"):
        refine(GEOMETRY, points, d[:3])


def test_distance_from_radii():
    """Of whatever rings were seen: one is missing, one belongs to nothing."""
    geometry = GEOMETRY.with_(rot1=0, rot2=0)
    radii = np.array([ring.radius for ring in overlay(geometry, "CeO2")[:8]])
    seen = np.sort(np.append(np.delete(radii, 2), 377.0)) + 0.3
    assert match_distance(seen, geometry.with_(distance=3.3), "CeO2") == pytest.approx(0.1, rel=0.01)
    with pytest.raises(ValueError, match="pixel_size"):
        match_distance(seen, Geometry(x=0, y=0, energy=9), "CeO2")


def test_real_powder_from_nothing(shared):
    """Centre, distance and tilt of a calibration that somebody else made, from the image and the energy alone."""
    folder = shared / "data/area"
    image = np.asarray(AreaFiles((str(folder / "ceo2_pilatus1m.tif"),)).frame(0))
    truth = read_poni(folder / "ceo2_pilatus1m.poni").flipped(image.shape, rows=True)
    good = image >= 0
    centre = find_centre(image, good=good, method="rings", tilt=True)
    start = Geometry(x=centre.x, y=centre.y, energy=truth.energy, pixel_size=truth.pixel_size, orientation=2)
    distance = match_distance(centre.radii, start, "CeO2")
    assert distance == pytest.approx(truth.distance, rel=2e-3)
    found = calibrate(image, start.with_(distance=distance), "CeO2", good=good)
    assert found.geometry.distance == pytest.approx(truth.distance, rel=3e-4)
    assert (found.geometry.x, found.geometry.y) == pytest.approx((truth.x, truth.y), abs=0.25)
    assert (found.geometry.rot1, found.geometry.rot2) == pytest.approx((truth.rot1, truth.rot2), abs=0.05)
    assert found.residual < 0.3
    assert len(found.points) > 500
    with pytest.raises(ValueError, match=r"points of AgBh rings found|no ring of AgBh"):
        calibrate(image, start.with_(distance=0.001), "AgBh", good=good)


def test_every_calibrant_has_rings():
    geometry = GEOMETRY.with_(distance=0.5, energy=8.0)
    assert len(overlay(geometry, CALIBRANTS["AgBh"], SHAPE)) >= 2
