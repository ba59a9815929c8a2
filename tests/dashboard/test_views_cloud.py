"""The 3-D view without a browser: what is sent, what is not, and what a browser may send back."""

from __future__ import annotations

import numpy as np
import pytest

from dashboard.views.cloud import MAX_POINTS, Cloud, Detector

RNG = np.random.default_rng(4)


def shower(count: int = 500, columns: int = 5) -> np.ndarray:
    points = np.empty((count, columns), np.float32)
    points[:, :2] = RNG.normal(0, 15, (count, 2))
    points[:, 2] = RNG.integers(0, 28, count)
    points[:, 3] = RNG.lognormal(-8, 1, count)
    if columns == 5:
        points[:, 4] = RNG.lognormal(-1, 1, count)
    return points


def sent(cloud: Cloud) -> np.ndarray:
    count, columns = np.frombuffer(cloud.cloud[:8], np.int32)
    return np.frombuffer(cloud.cloud[8:], np.float32).reshape(columns, count).T


def test_points_travel_once_as_columns_in_mev() -> None:
    cloud, points = Cloud(), shower()
    assert cloud.draw(points, title="shower 3") == 0
    expected = points.copy()
    expected[:, 3] *= 1000
    np.testing.assert_array_equal(sent(cloud), expected)
    assert cloud.words["title"] == "shower 3"
    before, changed = cloud.cloud, []
    cloud.param.watch(lambda *events: changed.extend(each.name for each in events), list(cloud.param))
    cloud.arrange(colour="time", cut=0.2, first_layer=3, last_layer=20, sized=False)
    assert set(changed) == {"colour", "cut", "first_layer", "last_layer", "sized"}
    assert cloud.cloud is before


def test_padding_and_what_is_not_finite_is_left_out() -> None:
    cloud, points = Cloud(), shower(10, columns=4)
    points[7:] = 0
    points[2, 0] = np.nan
    cloud.draw(points)
    assert len(sent(cloud)) == 6
    assert cloud.words["time"] is None
    with pytest.raises(ValueError, match=r"4 or 5 columns.*\(3, 3\)"):
        cloud.draw(np.ones((3, 3)))


def test_of_too_many_points_those_with_most_energy_are_kept_and_it_is_said() -> None:
    cloud, points = Cloud(), np.ones((MAX_POINTS + 5, 4), np.float32)
    points[:5, 3] = 0.5
    points[5:, 0] = np.arange(MAX_POINTS)
    assert cloud.draw(points) == 5
    np.testing.assert_array_equal(sent(cloud)[:, 0], np.arange(MAX_POINTS))
    assert cloud.words["note"] == "the 200,000 points with most energy of 200,005"


@pytest.mark.parametrize(("deepest", "layers"), [(29.0, 30), (29.4, 30), (29.6, 78), (60.0, 78)])
def test_the_box_is_as_deep_as_the_shower(deepest: float, layers: int) -> None:
    cloud, points = Cloud(), shower()
    points[0, 2] = deepest
    cloud.draw(points)
    assert cloud.words["depth"] == layers


def test_the_box_is_round_and_holds_the_shower() -> None:
    cloud, points = Cloud(), shower(5000)
    cloud.draw(points)
    x, y, half = cloud.words["box"]
    assert (x, y) == (0, 0)
    assert half in {50, 60}
    points[:, 0] += 312
    cloud.draw(points)
    x, y, half = cloud.words["box"]
    inside = np.abs(points[:, 0] - x) <= half
    assert inside.mean() > 0.99
    assert half < 120
    cloud.draw(points, half_width=400, detector=Detector("test", 10, 10))
    assert cloud.words["box"][2] == 400
    assert cloud.words["detector"] == "test"


def test_what_a_browser_sends_is_brought_into_range() -> None:
    cloud, points = Cloud(), shower()
    cloud.draw(points)
    assert cloud.seen.select(points).all()
    cloud.param.update(cut=float("nan"), first_layer=-7, last_layer=10**9, camera=["x", 1, 2, 3, 4])
    seen = cloud.seen
    assert (seen.cut, seen.first_layer, seen.last_layer, seen.camera) == (0.0, 0, 77, None)
    cloud.arrange(camera=(1, 2, 3, 4, 5), cut=0.3, first_layer=5, last_layer=9)
    assert cloud.seen.camera == (1, 2, 3, 4, 5)
    expected = (points[:, 3] * np.float32(1000) >= 0.3) & (points[:, 2] >= 5) & (points[:, 2] <= 9)
    np.testing.assert_array_equal(cloud.seen.select(points), expected)
    assert 0 < expected.sum() < len(points)
    with pytest.raises(ValueError, match="colour"):
        cloud.colour = "smell"
