"""Photons of droplets and of pixels: by hand, by simulation, probabilities, panels, empty events."""

from __future__ import annotations

import numpy as np
import pytest

from detcore.area.detector import Detector
from detcore.area.functions import DetObject, ROIFunc, droplet2Photons, dropletFunc, photonFunc, sparsifyFunc

RNG = np.random.default_rng(31)
SHAPE = (2, 50, 60)
ADU = 100.0


def loop(func, frame, bad=()):
    mask = np.zeros(frame.shape, np.uint32)
    for place in bad:
        mask[place] = 2
    det = DetObject("d", Detector(shape=frame.shape, pixel_mask=mask), 1)
    det.addFunc(func)
    det.getData(frame)
    det.processFuncs()
    return det.results()


def chain(**params):
    func = dropletFunc(threshold=20, thresholdLow=5, useRms=False)
    photons = droplet2Photons(aduspphot=ADU, **params)
    photons.addFunc(sparsifyFunc())
    photons.addFunc(sparsifyFunc(nData=50, name="fixed"))
    func.addFunc(photons)
    return func


def test_photons_of_droplets_by_hand():
    frame = np.zeros(SHAPE, np.float32)
    frame[0, 10, 10:12] = [75, 25]  # one, at its centre of mass
    frame[1, 20, 20:23] = [160, 110, 30]  # three: two whole, and one of what is left
    frame[0, 30, 30] = 40  # less than half of one
    found = loop(chain(), frame)
    places = found["var_droplet_droplet2phot_sparse"]
    table = np.column_stack([places[key] for key in ("tile", "row", "col")])
    table = table[np.lexsort(table.T[::-1])]
    np.testing.assert_allclose(table[0], [0, 10, 10.25])
    assert table[1:, 0].tolist() == [1, 1, 1]
    assert (table[1:, 1] == 20).all()
    np.testing.assert_allclose(np.sort(table[1:, 2])[[0, -1]], [20, 21], atol=0.5)
    assert places["data"].tolist() == [1] * 4
    assert found["droplet_droplet2phot_nPhotons"] == 4
    assert found["droplet_droplet2phot_fixed_data"].sum() == 4
    probability = found["droplet_droplet2phot_prob"]
    assert probability.shape == (12,)
    np.testing.assert_allclose(probability[:11].sum(), 1)
    np.testing.assert_allclose(probability[11], 4 / frame.size)


def test_simulated_photons_are_found_again():
    truth = RNG.poisson(0.01, SHAPE)
    frame = RNG.normal(0, 1, SHAPE).astype(np.float32)
    for tile, row, col in np.argwhere(truth):
        for _ in range(truth[tile, row, col]):
            share = RNG.uniform(0.6, 1)
            frame[tile, row, col] += share * ADU
            frame[tile, row, min(col + 1, 59)] += (1 - share) * ADU
    found = loop(chain(), frame)
    assert abs(found["droplet_droplet2phot_nPhotons"] / truth.sum() - 1) < 0.05
    np.testing.assert_allclose(found["droplet_droplet2phot_prob"][11], truth.mean(), rtol=0.05)


def test_masked_pixels_have_no_part_in_the_probabilities():
    frame = np.zeros((10, 10), np.float32)
    frame[5, 5] = ADU
    found = loop(chain(cputime=True), frame, bad=[(slice(0, 5), slice(None))])
    np.testing.assert_allclose(found["droplet_droplet2phot_prob"][[0, 1, 11]], [49 / 50, 1 / 50, 1 / 50])
    assert found["droplet_droplet2phot_cputime"].shape == (3,)
    own = np.zeros((10, 10))
    own[5] = 1
    found = loop(chain(mask=own), frame)
    np.testing.assert_allclose(found["droplet_droplet2phot_prob"][1], 1 / 10)


def test_limits_between_numbers_of_photons_may_be_given():
    frame = np.zeros((10, 10), np.float32)
    frame[5, 5] = 60
    assert loop(chain(), frame)["droplet_droplet2phot_nPhotons"] == 1
    assert loop(chain(photpts=[-50, 70, 150, 250]), frame)["droplet_droplet2phot_nPhotons"] == 0


@pytest.mark.parametrize("frame", [np.zeros(SHAPE, np.float32), np.full(SHAPE, np.nan, np.float32)])
def test_an_event_without_photons(frame):
    found = loop(chain(), frame)
    assert found["droplet_droplet2phot_nPhotons"] == 0
    assert found["droplet_droplet2phot_prob"].tolist() == [1] + [0] * 11
    assert set(found["var_droplet_droplet2phot_sparse"]) == {"data", "row", "col", "tile"}


def test_wrong_uses_are_refused():
    with pytest.raises(ValueError, match="aduspphot is the ADU of one photon"):
        droplet2Photons()
    with pytest.raises(ValueError, match="add it to a dropletFunc"):
        loop(droplet2Photons(aduspphot=5), np.zeros((4, 4)))


def test_photons_of_pixels():
    frame = np.zeros((8, 9), np.float32)
    frame[2, 2:4] = [60, 40]  # together one, at the larger
    frame[4, 4] = 230  # two, the rest has no neighbour
    frame[6, 6:8] = [55, 20]  # not enough
    frame[0, 0] = 500
    frame[7, 0] = -1e6
    func = photonFunc(ADU_per_photon=ADU)
    func.addFunc(sparsifyFunc(nData=5))
    func.addFunc(ROIFunc(name="all"))
    found = loop(func, frame, bad=[(0, 0)])
    assert found["photon_nPhot"] == 3
    assert found["photon_sparse_data"].tolist() == [1, 2, 0, 0, 0]
    assert found["photon_sparse_row"].tolist() == [2, 4, 0, 0, 0]
    assert (found["photon_all_sum"], found["photon_all_n_valid"]) == (3, 71)
    assert loop(photonFunc(ADU_per_photon=ADU, thr_fraction=0.7), frame)["photon_nPhot"] == 9
    assert loop(photonFunc(ADU_per_photon=ADU, thresADU=50), frame, bad=[(0, 0)])["photon_nPhot"] == 2
    own = np.ones((8, 9))
    own[4, 4] = 0
    assert loop(photonFunc(ADU_per_photon=ADU, mask=own), frame)["photon_nPhot"] == 6
