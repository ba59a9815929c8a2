"""Photons of pixels and droplets against loops, and known pictures."""

from __future__ import annotations

import numpy as np
import pytest

from detcore.area.images.droplets import find_droplets
from detcore.area.images.photons import count_photons, droplet_photons, probabilities

RNG = np.random.default_rng(0)


def counted(frame, photon, fraction, good):
    """The definition, pixel by pixel."""
    share = np.where(good & (frame > 0), frame / photon, 0)
    whole = np.floor(share).astype(int)
    rest = (share - whole).astype(np.float32)
    ny, nx = frame.shape
    for y in range(ny):
        for x in range(nx):
            near = [(y - 1, x), (y, x - 1), (y + 1, x), (y, x + 1)]
            sides = [rest[a, b] if 0 <= a < ny and 0 <= b < nx else 0 for a, b in near]
            first = sides[0] < rest[y, x] and sides[1] < rest[y, x]
            if rest[y, x] > 0 and first and max(sides[2:]) <= rest[y, x] and rest[y, x] + max(sides) > fraction:
                whole[y, x] += 1
    return whole


@pytest.mark.parametrize("fraction", [0.9, 0.5])
def test_photons_of_pixels(fraction):
    frame = (RNG.normal(0, 40, (30, 40)) + RNG.poisson(0.2, (30, 40)) * 154).astype(np.float32)
    good = RNG.random(frame.shape) > 0.1
    np.testing.assert_array_equal(count_photons(frame, 154, fraction, good), counted(frame, 154.0, fraction, good))
    panels = count_photons(np.stack([frame, frame]), 154, fraction, np.stack([good, good]))
    np.testing.assert_array_equal(panels[0], panels[1])


def test_a_shared_photon_is_one():
    frame = np.array([[0, 0, 0, 0], [0, 90, 60, 0], [0, 0, 0, 0]], np.float32)
    assert count_photons(frame, 154).sum() == 1
    assert count_photons(frame * 3, 154).sum() == 3
    assert count_photons(np.array([[np.nan, -300.0, np.inf, 154.0]]), 154).tolist() == [[0, 0, 0, 1]]


def test_one_photon_is_at_the_centre_of_mass():
    frame = np.zeros((5, 6))
    frame[2, 3], frame[2, 4] = 75, 25
    photons, counts = droplet_photons(find_droplets(frame, 10), 100)
    assert counts.tolist() == [1]
    assert (photons.y.tolist(), photons.x.tolist()) == ([2.0], [3.25])


def test_many_photons_are_whole_ones_and_shared_ones():
    frame = np.zeros((5, 6))
    frame[1, 1], frame[1, 2] = 260, 40  # two whole ones and one shared between both pixels
    photons, counts = droplet_photons(find_droplets(frame, 10), 100)
    assert counts.tolist() == [3]
    np.testing.assert_allclose(sorted(photons.x), [1.0, 1.0, 1.4])
    assert photons.image((5, 6))[1, 1] == 3
    assert photons.droplet.tolist() == [0, 0, 0]


def test_as_many_are_placed_as_the_sum_tells():
    frame = RNG.exponential(60, (2, 60, 70)).astype(np.float32)
    found = find_droplets(frame, 40, 20)
    photons, counts = droplet_photons(found, 100)
    assert counts.sum() == len(photons) == photons.image(frame.shape).sum()
    np.testing.assert_array_equal(np.bincount(photons.droplet, minlength=len(found)), counts)
    np.testing.assert_array_equal(counts, np.maximum(np.floor(found.adu / 100 + 0.5), 0))
    np.testing.assert_array_equal(photons.module, found.module[photons.droplet])
    box = found.shapes()[0][photons.droplet]
    assert np.all((photons.y >= box[:, 0]) & (photons.y <= box[:, 1] - 1))
    assert np.all((photons.x >= box[:, 2]) & (photons.x <= box[:, 3] - 1))


def test_a_droplet_of_the_whole_frame_ends():
    photons, counts = droplet_photons(find_droplets(np.full((300, 300), 55.0), 10), 100)
    assert counts.tolist() == [49500]
    assert len(photons) == 49500


def test_own_edges():
    frame = np.array([[50.0, 0, 120, 0, 190, 0, 500]])
    _, counts = droplet_photons(find_droplets(frame, 10), 100, [0, 100, 200, 300])
    assert counts.tolist() == [0, 1, 1, 3]
    with pytest.raises(ValueError, match="grow"):
        droplet_photons(find_droplets(frame, 10), 100, [0, 0])
    with pytest.raises(ValueError, match="above 0"):
        droplet_photons(find_droplets(frame, 10), 0)
    with pytest.raises(ValueError, match="charge of one"):
        droplet_photons(find_droplets(frame, 10), 1e-9)


def test_probabilities_add_up():
    counts = np.array([[0, 0, 1, 2], [12, 0, 0, 1]])
    found = probabilities(counts)
    np.testing.assert_allclose(found[:3], [4 / 8, 2 / 8, 1 / 8])
    assert found[-1] == 2.0
    assert probabilities(counts, counts < 3)[-1] == 4 / 7
    assert np.isnan(probabilities(counts, counts > 20)).all()


def test_wrong_input():
    with pytest.raises(ValueError, match="above 0"):
        count_photons(np.zeros((2, 2)), -1)
    with pytest.raises(ValueError, match="same shape"):
        count_photons(np.zeros((2, 2)), 1, good=np.ones((3, 3)))
