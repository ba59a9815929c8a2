"""Droplets against labels of SciPy, and the traps of their borders."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage as ndi

from detcore.area.images.droplets import find_droplets


def labelled(frame, high, low, good=None, noise=None):
    """Labels and sums of each panel by SciPy."""
    labels, n = np.zeros(frame.shape, int), 0
    for number, panel in enumerate(frame):
        unit = 1 if noise is None else noise[number]
        strong, weak = panel >= high * unit, panel >= low * unit
        if good is not None:
            strong, weak = strong & good[number], weak & good[number]
        found, count = ndi.label(strong | (weak & ndi.binary_dilation(strong)))
        labels[number] = np.where(found > 0, found + n, 0)
        n += count
    return labels, n


@pytest.mark.parametrize("seed", range(40))
def test_droplets_are_those_of_labels(seed):
    rng = np.random.default_rng(seed)
    frame = rng.normal(0, 1, (rng.integers(1, 4), rng.integers(1, 30), rng.integers(1, 60))).astype(np.float32)
    high = np.float32(rng.choice([0, 0.5, 1, 2]))
    low = np.float32(high - rng.choice([0, 0.5, 1]))
    good = rng.random(frame.shape) > 0.1 if seed % 2 else None
    noise = (rng.random(frame.shape) + 0.5).astype(np.float32) if seed % 3 == 0 else None
    found = find_droplets(frame, high, low, good=good, noise=noise)
    labels, n = labelled(frame, high, low, good, noise)
    assert len(found) == found.n_all == n
    np.testing.assert_array_equal(found.labels(), labels)
    if n == 0:
        return
    numbers = np.arange(1, n + 1)
    np.testing.assert_allclose(found.adu, ndi.sum_labels(frame, labels, numbers), atol=1e-9)
    np.testing.assert_array_equal(found.n_pixels, ndi.sum_labels(np.ones(frame.shape), labels, numbers))
    np.testing.assert_array_equal(found.max, ndi.maximum(frame, labels, numbers))
    if high > 0 and low > 0:
        module, y, x = np.transpose(ndi.center_of_mass(frame.astype(float), labels, numbers))
        np.testing.assert_allclose(np.c_[found.module, found.y, found.x], np.c_[module, y, x], atol=1e-6)
    box, moments = found.shapes()
    slices = ndi.find_objects(labels)
    expected = [[one[1].start, one[1].stop, one[2].start, one[2].stop] for one in slices]
    np.testing.assert_array_equal(box, expected)
    offsets, ys, xs, values = found.pixels()
    for number in range(min(n, 5)):
        mine = slice(offsets[number], offsets[number + 1])
        places = np.argwhere(labels == number + 1)
        assert sorted(zip(ys[mine], xs[mine], strict=True)) == sorted(map(tuple, places[:, 1:]))
        y, x, v = ys[mine].astype(float), xs[mine].astype(float), values[mine]
        spread = (v * (y - found.y[number]) ** 2).sum() / v.sum()
        np.testing.assert_allclose(moments[number, 0], spread, atol=1e-5)


def test_panels_are_never_joined():
    frame = np.zeros((2, 3, 4), np.float32)
    frame[0, 2] = frame[1, 0] = 9
    assert find_droplets(frame, 5).adu.tolist() == [36.0, 36.0]
    assert find_droplets(frame, 5).module.tolist() == [0, 1]
    assert len(find_droplets(frame.reshape(6, 4), 5)) == 1


def test_u_shapes_and_combs_are_one_droplet():
    u = np.array([[9, 0, 0, 9], [9, 0, 0, 9], [9, 9, 9, 9]])
    assert len(find_droplets(u, 5)) == 1
    comb = np.zeros((40, 41))
    comb[:, ::2] = 9
    comb[-1] = 9
    found = find_droplets(comb, 5)
    assert len(found) == 1
    assert found.adu[0] == comb.sum()
    spiral = np.array([[9, 9, 9, 9, 9], [0, 0, 0, 0, 9], [9, 9, 9, 0, 9], [9, 0, 0, 0, 9], [9, 9, 9, 9, 9]])
    assert len(find_droplets(spiral, 5)) == 1


def test_corners_do_not_touch():
    assert len(find_droplets(np.eye(8), 0.5)) == 8


def test_the_lower_threshold_joins_droplets():
    row = np.array([[9, 3, 9, 0, 3, 0, 9, 3, 3, 9]])
    assert find_droplets(row, 5).adu.tolist() == [9, 9, 9, 9]
    # a faint pixel without a bright neighbour stays outside; two faint ones in a row join, because both have one
    assert find_droplets(row, 5, 2).adu.tolist() == [21, 24]


def test_choice_by_sum_and_size_keeps_the_count():
    frame = np.array([[9, 9, 9, 0, 6, 0, 20]])
    found = find_droplets(frame, 5, min_sum=10, max_pixels=2)
    assert (found.n_all, found.adu.tolist(), found.labels().tolist()) == (3, [20.0], [[0, 0, 0, 0, 0, 0, 1]])
    assert found.image().tolist() == [[0, 0, 0, 0, 0, 0, 20.0]]
    data = found.dataset()
    assert data.adu.units == "ADU"
    assert int(data.n_all) == 3
    assert data.box.values.tolist() == [[0, 1, 6, 7]]


def test_nothing_and_everything():
    assert len(find_droplets(np.zeros((5, 7)), 1)) == 0
    assert find_droplets(np.zeros((5, 7)), 1).dataset().sizes["droplet"] == 0
    assert find_droplets(np.ones((500, 70)), 1).adu.tolist() == [35000.0]
    many = np.zeros((300, 300))
    many[::2, ::2] = 2
    assert len(find_droplets(many, 1)) == 150 * 150  # more than the first tables hold


def test_what_is_no_number_is_in_no_droplet():
    frame = np.array([[9, np.nan, 9, np.inf, 9]])
    assert find_droplets(frame, 5).adu.tolist() == [9, 9, 9]


def test_wrong_input_says_what_is_wrong():
    with pytest.raises(ValueError, match="threshold_low <= threshold"):
        find_droplets(np.zeros((2, 2)), 1, 2)
    with pytest.raises(ValueError, match="both numbers"):
        find_droplets(np.zeros((2, 2)), float("nan"))
    with pytest.raises(ValueError, match="the noise of the droplets"):
        find_droplets(np.zeros((2, 2)), 1, noise=np.zeros(3))
    with pytest.raises(ValueError, match="a frame is"):
        find_droplets(np.zeros(4), 1)
