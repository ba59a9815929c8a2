"""The centre: picked points, rings, and without a hint; on made-up rings and on a real powder."""

from __future__ import annotations

import math

import numpy as np
import pytest

from detcore.area.files.poni import read_poni
from detcore.area.images.centre import find_centre
from detcore.area.images.circlefit import algebraic_circle, fit_circles, on_circle
from detcore.area.source import AreaFiles


def rings(shape, x, y, radii, width=2.0, height=30.0, seed=0, below=20.0):
    """Poisson counts of rings on a background that falls off."""
    rows, columns = np.indices(shape)
    r = np.hypot(columns - x, rows - y)
    mean = below * np.exp(-1.5 * r / max(shape))
    for radius in radii:
        mean += height * np.exp(-0.5 * ((r - radius) / width) ** 2)
    return np.random.default_rng(seed).poisson(mean).astype(np.uint16)


def on_ring(x, y, radius, degrees):
    angles = np.radians(degrees)
    return np.column_stack([x + radius * np.cos(angles), y + radius * np.sin(angles)])


# ---- points


def test_one_point_is_the_centre():
    found = find_centre(np.zeros((9, 9)), points=[(3.5, 4.25)])
    assert (found.x, found.y, found.error, found.method) == (3.5, 4.25, 1.0, "points")
    assert len(found.radii) == 0
    assert find_centre(np.zeros((9, 9)), points=(3.5, 4.25)).x == 3.5


def test_three_points_are_a_circle():
    found = find_centre(np.zeros((9, 9)), points=on_ring(10, -20, 33, [0, 100, 200]))
    assert (found.x, found.y) == pytest.approx((10, -20))
    assert found.radii == pytest.approx([33])
    assert 0 < found.error < 3  # of clicks that are right within a pixel


def test_points_on_several_rings_share_the_centre():
    """Two points on one of them help, though they are no circle by themselves."""
    groups = [on_ring(50, 60, 20, [0, 90, 180]), on_ring(50, 60, 40, [45, 200]), on_ring(50, 60, 90, range(0, 90, 20))]
    found = find_centre(np.zeros((9, 9)), points=groups)
    assert (found.x, found.y) == pytest.approx((50, 60))
    assert found.radii == pytest.approx([20, 40, 90])
    assert found.residual < 1e-6


def test_the_error_is_that_of_repeated_fits():
    rng, found = np.random.default_rng(1), []
    for _ in range(200):
        points = on_ring(100, 100, 50, np.arange(0, 360, 15)) + rng.normal(0, 0.5, (24, 2))
        found.append(find_centre(None, points=points))
    spread = np.std([one.x for one in found])
    assert np.mean([one.error_x for one in found]) == pytest.approx(spread, rel=0.2)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([], "needs points"),
        (None, "needs points"),
        ([(1, 2), (3, 4)], "two points do not tell"),
        ([(1, 1), (2, 2), (3, 3)], "lie on a line"),
        ([(1, 1), (1, 1), (1, 1)], "lie on a line"),
        ([(1, 1), (2, 2), (3, math.nan)], "finite"),
        ([(1, 1, 1), (2, 2, 2)], "finite"),
        ([[(1, 1)], [(2, 5)]], "need 4 points"),
        ([[(0, 1), (0, 2)], [(0, 5), (0, 7)]], "do not determine|lie on a line"),
    ],
)
def test_points_that_tell_nothing(points, words):
    with pytest.raises(ValueError, match=words):
        find_centre(np.zeros((9, 9)), points=points, method="points")


def test_circle_fits():
    points = on_ring(1000.0, 1000.0, 3.0, [0, 10, 20, 30])
    assert algebraic_circle(points) == pytest.approx((1000, 1000, 3), abs=1e-6)
    with pytest.raises(ValueError, match="two or more"):
        fit_circles(points, tilt=True)


def test_outliers_are_left_out():
    rng = np.random.default_rng(3)
    points = np.concatenate([on_ring(100, 100, 50, np.arange(0, 360, 6)), rng.uniform(0, 200, (40, 2))])
    kept = on_circle(points, 1.0, np.random.default_rng(0), (90, 110), 50)
    assert kept[:60].all()
    assert kept[60:].sum() < 10
    assert not on_circle(points[:2], 1.0, rng, (0, 0), 9).any()


def test_the_drift_of_rings_on_a_tilted_detector():
    drift = np.array([3e-5, -1e-5])
    groups = [on_ring(*(np.array([80, 90]) + r * r * drift), r, np.arange(0, 360, 10)) for r in (100, 200, 400)]
    found = find_centre(None, points=groups, tilt=True)
    assert (found.x, found.y) == pytest.approx((80, 90), abs=1e-6)
    assert found.drift == pytest.approx(tuple(drift), rel=1e-6)


# ---- images

CASES = [
    ((300, 320), 150.3, 160.7, [40, 70, 100], 0.1),
    ((300, 320), 20.3, 30.7, [100, 170, 220], 0.6),  # near a corner
    ((300, 320), -60.3, 130.7, [150, 190, 230, 300], 1.0),  # beside the detector
    ((200, 200), 99.0, 101.0, [50], 0.2),
]


@pytest.mark.parametrize(("shape", "x", "y", "radii", "tolerance"), CASES)
def test_without_a_hint(shape, x, y, radii, tolerance):
    found = find_centre(rings(shape, x, y, radii))
    assert (found.x, found.y) == pytest.approx((x, y), abs=tolerance)
    assert found.method == "auto"
    assert 0 < found.error < 0.2
    inside = [radius for radius in radii if found.radii.size and np.abs(found.radii - radius).min() < 1.5]
    assert inside == radii


def test_gaps_and_dead_pixels_do_not_attract():
    image = rings((300, 320), 150.3, 160.7, [40, 70, 100]).astype(np.float32)
    image[:, 100:110], image[200:215] = np.nan, -1
    image[np.random.default_rng(0).random(image.shape) > 0.999] = 1e6
    good = image != -1
    found = find_centre(image, good=good)
    assert (found.x, found.y) == pytest.approx((150.3, 160.7), abs=0.2)


def test_single_photons():
    found = find_centre(rings((512, 512), 230, 270, [100, 180], height=0.2, below=0.02))
    assert (found.x, found.y) == pytest.approx((230, 270), abs=0.5)


def test_a_broad_ring():
    found = find_centre(rings((400, 400), 210, 190, [120], width=25))
    assert (found.x, found.y) == pytest.approx((210, 190), abs=1)


@pytest.mark.parametrize(("shape", "x", "y", "radii", "tolerance"), [CASES[0], CASES[1]])
def test_from_points_on_rings(shape, x, y, radii, tolerance):
    image = rings(shape, x, y, radii)
    found = find_centre(image, method="rings")
    assert (found.x, found.y) == pytest.approx((x, y), abs=0.15)
    assert found.radii == pytest.approx(radii, abs=0.7)
    assert found.residual < 1.5
    assert len(found.points) > 60
    near = find_centre(image, method="rings", start=(x + 2, y - 2))
    assert (near.x, near.y) == pytest.approx((x, y), abs=0.15)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    "make",
    [
        lambda rng: rng.poisson(20, (300, 320)),
        lambda rng: rng.normal(0, 1, (256, 256)).astype(np.float32),
        lambda rng: rng.poisson(0.02, (256, 256)),
        lambda rng: rng.poisson(np.linspace(1, 100, 300)[:, None] * np.ones((300, 300))),
    ],
    ids=["counts", "normal", "photons", "slope"],
)
def test_noise_has_no_centre(make, seed):
    with pytest.raises(ValueError, match="no rings are seen"):
        find_centre(make(np.random.default_rng(seed)))


def test_images_without_anything():
    with pytest.raises(ValueError, match="the image is flat"):
        find_centre(np.zeros((100, 100)))
    with pytest.raises(ValueError, match="only 0 pixels count"):
        find_centre(np.full((100, 100), np.nan))
    with pytest.raises(ValueError, match="only 0 pixels count"):
        find_centre(np.ones((100, 100)), good=np.zeros((100, 100), bool))
    with pytest.raises(ValueError, match="expected an image"):
        find_centre(np.zeros((3, 100, 100)))
    with pytest.raises(ValueError, match="good: expected"):
        find_centre(np.zeros((100, 100)), good=np.ones((100, 100)))
    with pytest.raises(ValueError, match="auto, rings or points"):
        find_centre(np.zeros((100, 100)), method="hough")
    with pytest.raises(ValueError, match="no ring"):
        find_centre(np.random.default_rng(0).poisson(20, (200, 200)), method="rings", start=(100, 100))


def test_real_powder(shared):
    """Two methods, and with tilt the direct beam of the calibration that somebody else made."""
    folder = shared / "data/area"
    image = np.asarray(AreaFiles((str(folder / "ceo2_pilatus1m.tif"),)).frame(0))
    truth = read_poni(folder / "ceo2_pilatus1m.poni").flipped(image.shape, rows=True)
    assert (truth.x, truth.y) == pytest.approx((486.759, 529.952), abs=1e-3)
    good = image >= 0
    auto = find_centre(image, good=good)
    assert (auto.x, auto.y) == pytest.approx((489.43, 529.28), abs=0.1)  # a tilt of a degree moves the rings
    tilted = find_centre(image, good=good, method="rings", tilt=True)
    assert (tilted.x, tilted.y) == pytest.approx((truth.x, truth.y), abs=0.3)
    assert tilted.residual < 0.3


@pytest.mark.parametrize("method", ["auto", "rings"])
@pytest.mark.parametrize("shape", [(8, 8), (1, 300), (300, 1), (2, 50), (12, 13), (3, 4000)])
def test_odd_images_never_break(shape, method):
    rng = np.random.default_rng(0)
    for image in (rng.poisson(3, shape), rng.normal(size=shape) * 1e30, (rng.random(shape) < 0.01).astype(np.uint8)):
        with pytest.raises(ValueError, match=r"ring|flat|pixels"):
            find_centre(image, method=method)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e38, -1e38, 1e300])
def test_absurd_values_do_not_count(value):
    image = rings((300, 320), 150.3, 160.7, [40, 70, 100]).astype(float)
    image[100:103, 50:90] = value
    assert find_centre(image).x == pytest.approx(150.3, abs=0.1)
