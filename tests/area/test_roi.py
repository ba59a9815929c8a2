"""Statistics and projections of regions against NumPy, and the traps of masks, limits and types."""

from __future__ import annotations

import numpy as np
import pytest

from detcore.area.images.roi import project, roi_statistics, window_of

RNG = np.random.default_rng(0)


def plainly(frame, window, good=None, low=-np.inf, high=np.inf, saturation=np.inf):
    """The same by boolean indexing."""
    where = tuple(slice(*pair) for pair in window)
    values = frame[where].astype(np.float64)
    use = np.ones(values.shape, bool) if good is None else good[where]
    with np.errstate(invalid="ignore"):
        saturated = int((use & (values >= saturation)).sum())
        use = use & np.isfinite(values) & (values >= low) & (values <= high)
    places, chosen = np.nonzero(use), values[use]
    return {
        "n": use.sum(),
        "sum": chosen.sum(),
        "sum_squares": (chosen**2).sum(),
        "max": chosen.max(),
        "min": chosen.min(),
        "com": [(axis * chosen).sum() / chosen.sum() for axis in places],
        "n_saturated": saturated,
        "std": chosen.std(),
        "mean": chosen.mean(),
    }


@pytest.mark.parametrize("dtype", ["u1", "u2", ">u2", "i2", "i4", "u4", "f4", "f8"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("limited", [False, True])
def test_every_type_agrees_with_numpy(dtype, masked, limited):
    frame = RNG.integers(0, 200, (3, 40, 530)).astype(dtype)
    good = RNG.random(frame.shape) > 0.1 if masked else None
    limits = {"low": 2.5, "high": 150.5, "saturation": 180} if limited else {}
    window = ((1, 3), (2, 37), (5, 530))
    found = roi_statistics(frame, [[1, 3], [2, 37], [5, 1e6]], good, **limits)
    for name, value in plainly(frame, window, good, **limits).items():
        np.testing.assert_allclose(getattr(found, name), value, rtol=1e-12, err_msg=name)
    assert found.n_pixels == 2 * 35 * 525


def test_sums_of_16_bits_do_not_overflow():
    frame = np.full((1000, 1030), 65535, np.uint16)
    found = roi_statistics(frame)
    assert found.sum == frame.size * 65535
    assert found.sum_squares == frame.size * 65535.0**2
    assert found.com == (499.5, 514.5)
    assert roi_statistics(frame, saturation=65535).n_saturated == frame.size


@pytest.mark.parametrize("value", [4095, 4096])
def test_squares_of_a_piece_of_a_row_do_not_overflow(value):
    frame = np.full((3, 1030), value, np.uint16)
    assert roi_statistics(frame).sum_squares == frame.size * float(value) ** 2


@pytest.mark.parametrize(("low", "high"), [(-5, 70000), (-10, -1), (70000, 80000), (0.5, 0.7), (3, 3), (65535, None)])
def test_limits_outside_of_the_type(low, high):
    frame = np.array([[0, 1, 3], [4, 65534, 65535]], np.uint16)
    found = roi_statistics(frame, low=low, high=high)
    inside = frame[(frame >= low) & (frame <= (np.inf if high is None else high))]
    assert (found.n, found.sum) == (inside.size, inside.sum())
    assert np.isnan(found.max) == (inside.size == 0)


def test_not_numbers_do_not_count():
    frame = np.array([[1, np.nan, 3], [np.inf, -np.inf, 5]], np.float32)
    found = roi_statistics(frame)
    assert (found.n, found.sum, found.max, found.min) == (3, 9.0, 5.0, 1.0)


def test_a_region_without_valid_pixels_is_nan_and_no_error():
    found = roi_statistics(np.ones((4, 5), np.uint16), good=np.zeros((4, 5), bool))
    assert (found.n, found.sum) == (0, 0.0)
    assert all(map(np.isnan, (found.mean, found.max, found.min, found.std, *found.com)))


@pytest.mark.parametrize("frame", [np.zeros((3, 3), np.uint16), np.array([[0.1, 0.2, -0.3]] * 3, np.float64)])
def test_a_sum_of_zero_has_no_centre(frame):
    assert all(map(np.isnan, roi_statistics(frame).com))


def test_negative_sums_have_a_centre_and_a_largest_value():
    found = roi_statistics(np.array([[-5.0, -1.0], [-2.0, -2.0]], np.float32), good=np.array([[1, 1], [0, 1]]))
    assert found.max == -1.0  # masked pixels are no zeros
    np.testing.assert_allclose(found.com, (2 / 8, 3 / 8))


def test_masks_of_the_frame_and_of_the_window_are_the_same():
    frame, good = RNG.integers(0, 9, (20, 30)).astype(np.uint16), RNG.random((20, 30)) > 0.3
    bounds = [[3, 12], [4, 29]]
    whole = roi_statistics(frame, bounds, good)
    assert whole == roi_statistics(frame, bounds, good[3:12, 4:29])
    assert whole == roi_statistics(frame, bounds, good.astype(np.uint32) * 7)


def test_wrong_regions_say_what_is_wrong():
    frame = np.zeros((10, 20))
    with pytest.raises(ValueError, match="no pixel of a frame"):
        roi_statistics(frame, [[5, 5], [0, 20]])
    with pytest.raises(ValueError, match="no pixel of a frame"):
        roi_statistics(frame, [[0, 5], [20, 30]])
    with pytest.raises(ValueError, match="for each of 2 dimensions"):
        roi_statistics(frame, [[0, 1]] * 3)
    with pytest.raises(ValueError, match="are numbers"):
        window_of([[float("nan"), 3]], (10, 20))
    with pytest.raises(ValueError, match="mask of a region"):
        roi_statistics(frame, [[0, 5], [0, 5]], np.ones((4, 4), bool))
    with pytest.raises(ValueError, match="one panel"):
        project(np.zeros((2, 3, 4)))


def test_bounds_of_the_last_dimensions():
    assert window_of([[2, 5]], (3, 10)) == ((0, 3), (2, 5))
    assert window_of(None, (3, 10)) == ((0, 3), (0, 10))
    assert window_of([[-4, 2], [0, np.inf]], (3, 10)) == ((0, 2), (0, 10))


@pytest.mark.parametrize("dtype", ["u2", "f4", "i4"])
def test_projections(dtype):
    frame = RNG.integers(0, 50, (30, 40)).astype(dtype)
    good = RNG.random(frame.shape) > 0.2
    (rows, n_rows), (columns, n_columns) = project(frame, [[2, 28], [1, 33]], good, low=5, high=45)
    cut = frame[2:28, 1:33].astype(float)
    use = good[2:28, 1:33] & (cut >= 5) & (cut <= 45)
    cut = np.where(use, cut, 0)
    np.testing.assert_array_equal(rows, cut.sum(1))
    np.testing.assert_array_equal(columns, cut.sum(0))
    np.testing.assert_array_equal(n_rows, use.sum(1))
    np.testing.assert_array_equal(n_columns, use.sum(0))
