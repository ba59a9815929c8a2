"""Muon rings: known circles, losses minimised by SciPy, and ctapipe's features."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.optimize

from detcore.dl1.images.cleaning import tailcuts
from detcore.dl1.images.geometry import Camera
from detcore.dl1.images.muon import QUALITY, RING, muon_ring

METHODS = ("kundu_chaudhuri", "taubin", "kundu_chaudhuri_taubin")


@pytest.fixture
def lst(camera_table) -> Camera:
    table = camera_table("LSTCam")
    return Camera(table.name, table.x, table.y, table.area, table.shape, table.rotation, 28.0)


def circles(camera: Camera, n: int = 8, seed: int = 3, noise: float = 1.0) -> tuple[Any, Any, Any]:
    """Images of rings, the pixels that tail cuts keep, and centre and radius (event, 3) in degrees."""
    rng = np.random.default_rng(seed)
    truth = np.stack([*rng.uniform(-0.4, 0.4, (2, n)), rng.uniform(0.8, 1.2, n)], axis=1)
    lon, lat = camera.telescope_frame()
    dx, dy = lon - truth[:, :1], lat - truth[:, 1:2]
    off = np.hypot(dx, dy) - truth[:, 2:]
    light = 25 * np.exp(-0.5 * (off / 0.05) ** 2) * (1 + 0.5 * np.cos(np.arctan2(dy, dx) - rng.uniform(0, 6, (n, 1))))
    images = (rng.poisson(light) + noise * rng.normal(0, 1, light.shape)).astype(np.float32)
    return images, tailcuts(images, camera, 7, 4), truth


@pytest.mark.parametrize("method", METHODS)
def test_rings_are_found(lst, method) -> None:
    images, selected, truth = circles(lst)
    found = muon_ring(images, selected, lst, method)
    # without weights, the pixels around the ring count as much as the ring
    tolerance = {"kundu_chaudhuri": 0.06, "taubin": 0.25, "kundu_chaudhuri_taubin": 0.02}[method]
    assert list(found) == [
        *(f"muonring_{name}" for name, _, _ in RING),
        *(f"muonparameters_{name}" for name, _, _ in QUALITY),
    ]
    for column, name in enumerate(("center_fov_lon", "center_fov_lat", "radius")):
        np.testing.assert_allclose(found[f"muonring_{name}"], truth[:, column], atol=tolerance)
        assert (found[f"muonring_{name}_err"] > 0).all()
    np.testing.assert_allclose(found.muonring_center_distance, np.hypot(*truth[:, :2].T), atol=2 * tolerance)
    assert (found.muonparameters_completeness > 0.6).all()
    if method != "taubin":
        assert (found.muonparameters_intensity_ratio > 0.5).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_the_centre_is_where_taubins_loss_is_least(lst, weighted, monkeypatch) -> None:
    monkeypatch.setattr("detcore.dl1.images.muon.ITERATIONS", 1)
    images, selected, truth = circles(lst)
    found = muon_ring(images, selected, lst, "kundu_chaudhuri_taubin" if weighted else "taubin")
    lon, lat = lst.telescope_frame()
    for event, used in enumerate(selected):
        x, y = lon[used], lat[used]
        w = images[event][used].astype(float) if weighted else np.ones(len(x))

        def loss(p, x=x, y=y, w=w) -> float:
            d2 = (x - p[0]) ** 2 + (y - p[1]) ** 2
            return float(((w * (d2 - p[2] ** 2)) ** 2).sum() / (w * d2).sum())

        own = [float(found[f"muonring_{name}"][event]) for name in ("center_fov_lon", "center_fov_lat", "radius")]
        best = scipy.optimize.minimize(
            loss, truth[event], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13}
        )
        np.testing.assert_allclose(own, best.x, atol=1e-6)
        # the errors: curvature by finite differences
        step = 1e-4
        unit = np.eye(3) * step
        hessian = [
            [
                (loss(own + a + b) - loss(own + a - b) - loss(own - a + b) + loss(own - a - b)) / (4 * step**2)
                for b in unit
            ]
            for a in unit
        ]
        errors = np.sqrt(2 * np.diag(np.linalg.inv(hessian)))
        names = ("center_fov_lon_err", "center_fov_lat_err", "radius_err")
        np.testing.assert_allclose([float(found[f"muonring_{name}"][event]) for name in names], errors, rtol=1e-3)


def test_points_on_a_circle_are_met_exactly() -> None:
    angle = np.linspace(0, 5, 12)
    x, y = 0.4 + 0.9 * np.cos(angle), -0.2 + 0.9 * np.sin(angle)
    camera = Camera("circle", np.radians(y), np.radians(x), np.full(12, 1e-4), "circle", 0.0, 1.0)
    for method in METHODS:
        found = muon_ring(np.linspace(1, 3, 12), np.ones(12, bool), camera, method)
        assert float(found.muonring_center_fov_lon[0]) == pytest.approx(0.4, abs=1e-9)
        assert float(found.muonring_center_fov_lat[0]) == pytest.approx(-0.2, abs=1e-9)
        assert float(found.muonring_radius[0]) == pytest.approx(0.9, abs=1e-9)
        assert float(found.muonparameters_mean_squared_error[0]) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_no_ring_is_nan(lst, method) -> None:
    images, selected, _ = circles(lst, 5)
    selected[0] = False
    selected[1] = np.arange(lst.n_pixels) < 2
    indptr, indices = lst.neighbours
    first = indices[indptr[0] : indptr[1]]
    opposite = [
        (a, b)
        for a in first
        for b in first
        if np.isclose(lst.pixel_x[a] + lst.pixel_x[b], 2 * lst.pixel_x[0], atol=1e-4)
        and np.isclose(lst.pixel_y[a] + lst.pixel_y[b], 2 * lst.pixel_y[0], atol=1e-4)
    ]
    selected[2] = False
    selected[2, [0, *opposite[0]]] = True
    images[2, selected[2]] = 5
    images[3] = 0
    found = muon_ring(images, selected, lst, method)
    for name in ("radius", "center_fov_lon", "radius_err"):
        values = found[f"muonring_{name}"]
        assert np.isnan(values[[0, 1]]).all()
        assert np.isfinite(values[4])
    assert np.isnan(found.muonring_radius[2]) or found.muonring_radius[2] > 5  # three pixels in a line
    assert found.muonparameters_n_pixels_in_ring.dtype == np.int64
    assert found.muonparameters_n_pixels_in_ring[0] == -1
    assert np.isnan(found.muonparameters_containment[0])
    assert muon_ring(images[:0], selected[:0], lst, method).sizes["event"] == 0


def test_a_ring_alone_gives_what_it_gives_in_a_batch(lst) -> None:
    images, selected, _ = circles(lst)
    full = muon_ring(images, selected, lst)
    alone = muon_ring(images[5], selected[5], lst)
    for name in full:
        assert float(alone[name][0]) == pytest.approx(float(full[name][5]), rel=1e-12, nan_ok=True)


def test_unknown_methods_are_refused(lst) -> None:
    images, selected, _ = circles(lst, 1)
    with pytest.raises(ValueError, match=r"method: expected one of kundu_chaudhuri, taubin.*found 'hough'"):
        muon_ring(images, selected, lst, "hough")  # type: ignore[arg-type]


def test_rings_and_features_equal_ctapipe(ctapipe, lst) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from astropy import units  # noqa: PLC0415
        from ctapipe.containers import MuonRingContainer  # noqa: PLC0415
        from ctapipe.image import muon  # noqa: PLC0415

        images, selected, _ = circles(lst)
        found = muon_ring(images.astype(float), selected, lst, "kundu_chaudhuri")
        lon, lat = (angle * units.deg for angle in lst.telescope_frame())
        width = np.degrees(lst.pixel_width / 28) * units.deg
        for event, used in enumerate(selected):
            image, mask = images[event].astype(float), used
            for _ in range(3):
                radius, x, y, *errors = muon.kundu_chaudhuri_circle_fit(lon[mask], lat[mask], image[mask])
                mask = np.abs(np.hypot(lon - x, lat - y) - radius) / radius < 0.4
            one = {name: float(values[event]) for name, values in found.items()}
            assert one["muonring_radius"] == pytest.approx(radius.to_value("deg"), rel=1e-9)
            assert one["muonring_center_fov_lon"] == pytest.approx(x.to_value("deg"), rel=1e-8)
            assert one["muonring_center_fov_lat"] == pytest.approx(y.to_value("deg"), rel=1e-8)
            if errors:  # since 0.26
                assert one["muonring_radius_err"] == pytest.approx(errors[0].value, rel=1e-8)
            ring = SimpleNamespace(center_fov_lon=x, center_fov_lat=y, radius=radius, center_distance=np.hypot(x, y))
            assert {"center_fov_lon", "radius"} <= set(MuonRingContainer.fields)
            expected = {
                "completeness": muon.ring_completeness(lon, lat, image, ring, threshold=30.0),
                "intensity_ratio": muon.intensity_ratio_inside_ring(
                    lon[used], lat[used], image[used], ring, 1.5 * width[used]
                ),
                "mean_squared_error": muon.mean_squared_error(lon[used], lat[used], image[used], ring).to_value("deg2"),
                "containment": muon.ring_containment(ring, camera_radius := radius_of(lst) * units.deg),
            }
            assert camera_radius > 1 * units.deg
            for name, value in expected.items():
                assert one[f"muonparameters_{name}"] == pytest.approx(float(value), rel=1e-8), name


def radius_of(camera: Camera) -> float:
    """Mean distance of the outermost pixels, degrees."""
    x, y = camera.telescope_frame()
    outer = camera.border(1)
    return float(np.hypot(x[outer] - x.mean(), y[outer] - y.mean()).mean())
