"""Reduced images and densities against plain NumPy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from detcore.image import colour_limits, density, reduce_image, to_uint8

if TYPE_CHECKING:
    from numpy.typing import NDArray

AGGREGATES = {"mean": np.mean, "max": np.max, "sum": np.sum, "min": np.min}
sides = st.integers(1, 40)
edges = st.floats(-20, 60)


def picture(ny: int, nx: int, seed: int = 0) -> NDArray[np.float64]:
    """Noise with some pixels that are not a number."""
    rng = np.random.default_rng(seed)
    image = rng.normal(100, 10, (ny, nx))
    image[rng.random((ny, nx)) < 0.2] = np.nan
    return image


# Images.


@given(
    sides, sides, st.integers(1, 12), st.integers(1, 12), st.none() | st.tuples(edges, edges, edges, edges),
    st.sampled_from(sorted(AGGREGATES)), st.booleans(), st.integers(0, 99),
)  # fmt: skip
@settings(deadline=None, max_examples=200)
def test_each_block_is_what_numpy_says(
    ny: int, nx: int, rows: int, columns: int, viewport: Any, how: Any, with_mask: bool, seed: int
) -> None:
    image = picture(ny, nx, seed)
    bits = np.random.default_rng(seed).choice(np.array([0, 0, 0, 1, 256, 1 << 31], np.uint32), (ny, nx))
    found = reduce_image(
        image, (rows, columns), viewport=viewport, aggregate=how, pixel_mask=bits if with_mask else None
    )
    assert found.dims == ("y", "x")
    assert found.shape[0] <= rows
    assert found.shape[1] <= columns
    assert found.attrs["aggregate"] == how
    usable = np.isfinite(image) & ~(with_mask & (bits & 0xFFFF > 0))
    by, bx = found.attrs["block_y"], found.attrs["block_x"]
    covered = np.zeros((ny, nx), bool)
    for row, y in enumerate(found.y.values):
        for column, x in enumerate(found.x.values):
            # The pixels within half a block of the centre that the coordinates tell.
            near_y, near_x = np.abs(np.arange(ny) - y) < by / 2, np.abs(np.arange(nx) - x) < bx / 2
            block = near_y[:, None] & near_x
            assert block.any()
            assert not (covered & block).any()
            covered |= block
            pixels = image[block & usable]
            expected = AGGREGATES[how](pixels) if pixels.size else np.nan
            assert found.values[row, column] == pytest.approx(expected, rel=1e-12, nan_ok=True)
    if viewport is None:
        assert covered.all()
    else:
        (x0, x1), (y0, y1) = sorted(viewport[:2]), sorted(viewport[2:])
        columns_seen = (np.arange(nx) + 0.5 > x0) & (np.arange(nx) - 0.5 < x1)
        rows_seen = (np.arange(ny) + 0.5 > y0) & (np.arange(ny) - 0.5 < y1)
        assert covered[rows_seen[:, None] & columns_seen].all()


def test_no_pixel_is_reduced_when_there_is_room() -> None:
    image = picture(30, 40)
    found = reduce_image(image, (1024, 1024), viewport=(9.6, 20.4, 5, 6), aggregate="sum")
    np.testing.assert_array_equal(found.values, image[5:7, 10:21])
    assert found.x.values.tolist() == list(range(10, 21))
    assert (found.attrs["block_y"], found.attrs["block_x"]) == (1, 1)


def test_blocks_stay_in_place_when_the_view_moves() -> None:
    image = picture(400, 400)
    first = reduce_image(image, (50, 50), viewport=(100, 250, 100, 250))
    second = reduce_image(image, (50, 50), viewport=(107, 257, 99, 249))
    assert first.attrs == second.attrs
    same_y, same_x = np.intersect1d(first.y, second.y), np.intersect1d(first.x, second.x)
    assert len(same_x) > 30
    xr.testing.assert_equal(first.sel(y=same_y, x=same_x), second.sel(y=same_y, x=same_x))


def test_a_view_beside_the_image_is_empty() -> None:
    assert reduce_image(picture(30, 40), (9, 9), viewport=(100, 200, 0, 10)).shape[1] == 0


@pytest.mark.parametrize("dtype", ["?", "u1", "i2", ">u2", "<u4", ">i4", "u8", "f2", "f4", ">f8"])
def test_any_number_type(dtype: str) -> None:
    image = np.random.default_rng(0).integers(0, 2, (8, 8)).astype(dtype)
    image.flags.writeable = False
    found = reduce_image(image, (4, 4), aggregate="sum")
    expected = image.astype(float).reshape(4, 2, 4, 2).sum((1, 3))
    np.testing.assert_array_equal(found.values, expected)


def test_large_counts_do_not_overflow() -> None:
    image = np.full((100, 100), 65535, np.uint16)
    assert reduce_image(image, (1, 1), aggregate="sum").item() == 65535 * 10_000
    assert reduce_image(image, (1, 1)).item() == 65535


def test_labels_are_kept() -> None:
    image = xr.DataArray(np.ones((4, 4)), dims=("y", "x"), name="counts", attrs={"units": "ADU"})
    found = reduce_image(image, (2, 2), aggregate="max")
    assert found.name == "counts"
    assert found.attrs == {"units": "ADU", "aggregate": "max", "block_y": 2, "block_x": 2}
    assert found.x.attrs == {"units": "px"}


def test_impossible_arguments_are_named() -> None:
    image = np.zeros((4, 5))
    for arguments, message in (
        ({"values": np.zeros(4)}, "found 1 dimensions of float64"),
        ({"values": image.astype(complex)}, "real numbers, found 2 dimensions of complex128"),
        ({"aggregate": "median"}, "aggregate is one of mean, max, sum, min; found 'median'"),
        ({"shape": (0, 5)}, "expected .rows, columns. with 1 to"),
        ({"shape": (1 << 20, 1 << 20)}, "expected .rows, columns. with 1 to"),
        ({"viewport": (0, float("nan"), 0, 1)}, "finite .x0, x1, y0, y1. expected"),
        ({"pixel_mask": np.zeros((5, 4), np.uint32)}, r"expected a uint32 pixel_mask \(4, 5\), found uint32 \(5, 4\)"),
        ({"pixel_mask": np.zeros((4, 5), bool)}, "found bool"),
    ):
        with pytest.raises(ValueError, match=message):
            reduce_image(**{"values": image, "shape": (2, 2), **arguments})  # type: ignore[arg-type]


def test_16_megapixels_are_reduced_faster_than_numpy_does() -> None:
    image = np.random.default_rng(0).integers(0, 999, (4096, 4096), dtype=np.uint32)
    fast = seconds(lambda: reduce_image(image, (1024, 1024)))
    slow = seconds(lambda: image.reshape(1024, 4, 1024, 4).mean((1, 3)))
    assert fast < slow


def seconds(act: Any) -> float:
    """The best of three."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return min(times)


# Colours.


def test_limits_are_percentiles() -> None:
    image = np.random.default_rng(0).exponential(50, (400, 500))
    assert colour_limits(image, (2, 98)) == pytest.approx(tuple(np.percentile(image, [2, 98])))
    large = np.random.default_rng(0).exponential(50, (3000, 3000))
    assert colour_limits(large, (2, 98)) == pytest.approx(tuple(np.percentile(large, [2, 98])), rel=0.02)


def test_limits_ignore_what_is_not_finite() -> None:
    image = picture(100, 100)
    image[0, :3] = np.inf, -np.inf, np.nan
    kept = image[np.isfinite(image)]
    assert colour_limits(image) == pytest.approx(tuple(np.percentile(kept, [1, 99.5])))
    image[:50] *= -1
    kept = image[np.isfinite(image) & (image > 0)]
    assert colour_limits(image, log=True) == pytest.approx(tuple(np.percentile(kept, [1, 99.5])))


@pytest.mark.parametrize("value", [np.nan, -5.0, 0.0, 1e-30, 7.0, 1e300])
@pytest.mark.parametrize("log", [False, True])
def test_limits_of_a_flat_image_can_be_used(value: float, log: bool) -> None:
    image = np.full((5, 5), value)
    low, high = colour_limits(image, log=log)
    assert to_uint8(image, low, high, log=log).shape == (5, 5)
    empty = np.empty((0, 5))
    assert to_uint8(empty, *colour_limits(empty, log=log), log=log).shape == (0, 5)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(-1e5, 1e5), st.floats(1e-3, 1e5))
def test_colours_are_linear(values: list[float], low: float, width: float) -> None:
    high = low + width
    found = to_uint8(np.array([values]), low, high)[0].astype(float)
    expected = 1 + 254 * np.clip((np.array(values) - low) / (high - low), 0, 1)
    assert np.abs(found - expected).max() <= 0.5 + 1e-6


@given(st.lists(st.floats(-10, 1e6), min_size=1, max_size=30), st.floats(1e-3, 1e5), st.floats(1.01, 1e5))
def test_colours_are_logarithmic(values: list[float], low: float, ratio: float) -> None:
    found = to_uint8(np.array([values]), low, low * ratio, log=True)[0].astype(float)
    expected = 1 + 254 * np.clip(np.log(np.maximum(values, low) / low) / np.log(ratio), 0, 1)
    assert np.abs(found - expected).max() <= 0.5 + 1e-6


def test_no_value_has_a_colour_of_its_own() -> None:
    assert to_uint8(np.array([[np.nan, -np.inf, 0, 1, np.inf]]), 0, 1).tolist() == [[0, 1, 1, 255, 255]]


@pytest.mark.parametrize(("low", "high", "log"), [(1, 1, False), (2, 1, False), (0, 1, True), (0, np.inf, False), (np.nan, 1, False)])  # fmt: skip
def test_impossible_limits_are_refused(low: float, high: float, log: bool) -> None:
    with pytest.raises(ValueError, match="finite limits low < high expected"):
        to_uint8(np.zeros((2, 2)), low, high, log=log)


# Points.


def test_density_is_a_histogram() -> None:
    rng = np.random.default_rng(0)
    x, y, weights = rng.normal(size=(3, 20_000))
    x[:3], y[3:6] = np.nan, np.inf
    inside = np.isfinite(x) & np.isfinite(y)
    bins, limits = (30, 40), ((-2, 2), (-3, 3))
    counts = density(x, y, bins, viewport=(-3, 3, -2, 2))
    expected, y_edges, x_edges = np.histogram2d(y[inside], x[inside], bins, limits)
    np.testing.assert_array_equal(counts.values, expected)
    np.testing.assert_allclose(counts.y, (y_edges[1:] + y_edges[:-1]) / 2)
    np.testing.assert_allclose(counts.x, (x_edges[1:] + x_edges[:-1]) / 2)
    sums = density(x, y, bins, viewport=(-3, 3, -2, 2), weights=weights)
    total = np.histogram2d(y[inside], x[inside], bins, limits, weights=weights[inside])[0]
    np.testing.assert_allclose(sums.fillna(0), total, atol=1e-9)
    np.testing.assert_array_equal(np.isnan(sums), expected == 0)
    assert (counts.attrs["aggregate"], sums.attrs["aggregate"]) == ("count", "sum")


@pytest.mark.parametrize("points", [[], [np.nan], [5.0], [5.0, 5.0], [1.0, 2.0, 4.0]])
def test_density_without_a_viewport_shows_all_points(points: list[float]) -> None:
    assert density(points, points, (7, 9)).sum() == np.isfinite(points).sum()


def test_impossible_densities_are_refused() -> None:
    for arguments, message in (
        ({"y": [1]}, "one row each of the same length expected"),
        ({"weights": [[1, 2]]}, "one row each of the same length expected"),
        ({"viewport": (1, 1, 0, 1)}, "a viewport with a size expected"),
        ({"viewport": (0, float("inf"), 0, 1)}, "finite .x0, x1, y0, y1. expected"),
        ({"shape": (1 << 20, 1 << 20)}, "expected .rows, columns. with 1 to"),
    ):
        with pytest.raises(ValueError, match=message):
            density(**{"x": [1, 2], "y": [1, 2], "shape": (2, 2), **arguments})  # type: ignore[arg-type]
