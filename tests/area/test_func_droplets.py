"""Droplets of events: scipy.ndimage as the reference, panels, merging, limits, what children get."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from detcore.area.detector import Detector
from detcore.area.functions import (
    DetObject,
    DetObjectFunc,
    ROIFunc,
    dropletFunc,
    imageFunc,
    sparsifyFunc,
    spectrumFunc,
)

RNG = np.random.default_rng(21)
SHAPE = (3, 40, 50)
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
NOISE = RNG.uniform(1, 3, SHAPE)
FRAME = (RNG.normal(0, 1, SHAPE) * NOISE + 30 * (RNG.random(SHAPE) < 0.02)).astype(np.float32)


class Keep(DetObjectFunc):
    """Shows what a child gets."""

    def process(self, data):
        self.got = data
        return {}


def loop(func, frame=FRAME, bad=(), **facts):
    mask = np.zeros(frame.shape, np.uint32)
    for place in bad:
        mask[place] = 2
    det = DetObject("d", Detector(**({"shape": frame.shape, "pixel_mask": mask, "noise": NOISE} | facts)), 1)
    det.addFunc(func)
    det.getData(frame)
    det.processFuncs()
    return det, det.results()


def plainly(frame, high, low, good):
    """Label pixels above `low`, keep those groups with a pixel above `high` beside … as the original merges them."""
    out = []
    for tile in range(len(frame)):
        seeds = (frame[tile] >= high[tile]) & good[tile]
        around = ndimage.binary_dilation(seeds, CROSS) & (frame[tile] >= low[tile]) & good[tile]
        labels, n = ndimage.label(around, CROSS)
        index = np.arange(1, n + 1)
        if not n:
            continue
        adu = ndimage.sum_labels(frame[tile].astype(float), labels, index)
        count = ndimage.sum_labels(np.ones(labels.shape), labels, index)
        com = np.array(ndimage.center_of_mass(np.where(around, frame[tile], 0).astype(float), labels, index))
        out += [(tile, *place, one, number) for place, one, number in zip(com, adu, count, strict=True)]
    return np.array(out).reshape(-1, 5)


def sorted_rows(array):
    return array[np.lexsort(np.round(array, 3).T[::-1])]


@pytest.mark.parametrize(
    ("threshold", "low", "use_rms"), [(5, None, True), (4, 2, True), (12, 3, False), (12, 12, False)]
)
def test_against_ndimage(threshold, low, use_rms):
    bad = [(0, slice(0, 5)), (2, 20, 20)]
    func = dropletFunc(threshold=threshold, thresholdLow=low, useRms=use_rms)
    func.addFunc(Keep(name="keep"))
    det, found = loop(func, bad=bad)
    good = np.ones(SHAPE, bool)
    for place in bad:
        good[place] = False
    unit = NOISE.astype(np.float32) if use_rms else np.ones(SHAPE, np.float32)
    wanted = plainly(FRAME, threshold * unit, (threshold if low is None else low) * unit, good)
    assert found["droplet_nDroplets"] == found["droplet_nDroplets_all"] == len(wanted) > 30
    got = det.droplet.keep.got
    table = np.column_stack([got[key] for key in ("tile", "row", "col", "data", "npix")])
    np.testing.assert_allclose(sorted_rows(table), sorted_rows(wanted), rtol=1e-4, atol=1e-4)
    numbers = got["_imgDrop"]
    np.testing.assert_allclose(
        ndimage.sum_labels(FRAME.astype(float), numbers, np.arange(1, len(wanted) + 1)), got["data"], rtol=1e-5
    )
    np.testing.assert_array_equal(got["_image"], np.where(numbers > 0, FRAME, 0))
    assert set(np.unique(got["_mask"])) == {0, 1}


def test_droplets_of_two_panels_never_join_and_u_shapes_are_one():
    frame = np.zeros(SHAPE, np.float32)
    frame[0, 5, 5] = frame[1, 5, 5] = 9
    frame[2, 3:9, 3] = frame[2, 3:9, 7] = frame[2, 8, 3:8] = 9
    _, found = loop(dropletFunc(threshold=5, useRms=False), frame)
    assert found["droplet_nDroplets"] == 3


def test_small_sums_and_large_ones_are_left_out():
    frame = np.zeros(SHAPE, np.float32)
    frame[0, 5, 5], frame[0, 9, 9:11], frame[0, 20, 20:26] = 8, 8, 8
    func = dropletFunc(threshold=5, useRms=False, thresADU=10, pixmax=4)
    func.addFunc(sparsifyFunc(nData=3))
    func.addFunc(spectrumFunc(bins=[0, 20, 2]))
    func.addFunc(imageFunc())
    _, found = loop(func, frame)
    assert (found["droplet_nDroplets_all"], found["droplet_nDroplets"]) == (3, 1)
    assert found["droplet_sparse_data"].tolist() == [16, 0, 0]
    assert found["droplet_sparse_npix"].tolist() == [2, 0, 0]
    assert found["droplet_spectrum_histogram"].tolist() == [0, 1]
    assert np.nansum(found["droplet_image_img"]) == 16


def test_without_relabelling_touching_droplets_stay_two():
    frame = np.zeros((1, 5, 9), np.float32)
    frame[0, 2, 1:7] = [9, 3, 2, 3, 9, 3]
    for relabel, sums in ((True, [[12], [15]]), (False, [[12], [15]])):
        func = dropletFunc(threshold=5, thresholdLow=2.5, useRms=False, relabel=relabel)
        func.addFunc(Keep(name="keep"))
        det, _ = loop(func, frame, noise=None)
        assert det.droplet.keep.got["data"].tolist() == [one[0] for one in sums]
    frame[0, 2, 1:7] = [9, 3, 9, 3, 2, 3]
    for relabel, count, data in ((True, 1, [24]), (False, 2, [9, 15])):
        func = dropletFunc(threshold=5, thresholdLow=2.5, useRms=False, relabel=relabel)
        func.addFunc(Keep(name="keep"))
        det, found = loop(func, frame, noise=None)
        assert found["droplet_nDroplets"] == count
        got = det.droplet.keep.got
        assert got["data"].tolist() == data
        assert got["_imgDrop"].max() == count
    func = dropletFunc(threshold=5, thresholdLow=2.5, useRms=False, relabel=False, thresADU=10)
    func.addFunc(Keep(name="keep"))
    det, found = loop(func, frame, noise=None)
    assert (found["droplet_nDroplets_all"], found["droplet_nDroplets"]) == (2, 1)
    assert det.droplet.keep.got["data"].tolist() == [15]


def test_shapes_and_masked_neighbours_if_a_child_asks():
    frame = np.zeros((30, 40), np.float32)
    frame[10:13, 20:24] = [[6, 0, 0, 0], [7, 8, 9, 0], [0, 0, 6, 6]]
    func = dropletFunc(threshold=5, useRms=False)
    func.addFunc(sparsifyFunc(nData=2, needProps=True, flagMasked=True))
    _, found = loop(func, frame, bad=[(9, 20), (11, 23), (0, 0)], noise=None)
    assert found["droplet_sparse_bbox"][0].tolist() == [10, 20, 13, 24]
    assert found["droplet_sparse_pixels"][0, :12].tolist() == frame[10:13, 20:24].ravel().tolist()
    assert found["droplet_sparse_masked"].tolist() == [2, 0]
    rows, columns = np.indices(frame.shape)
    away = [one - (one * frame).sum() / frame.sum() for one in (rows, columns)]
    wanted = [[(frame * away[0] ** p * away[1] ** q).sum() for q in range(4)] for p in range(4)]
    func = dropletFunc(threshold=5, useRms=False)
    func.addFunc(sparsifyFunc(nData=0, needProps=True))
    _, found = loop(func, frame, noise=None)
    np.testing.assert_allclose(found["ragged_droplet_sparse_moments"][0], wanted, atol=1e-4)


def test_an_event_without_droplets_has_every_key():
    func = dropletFunc(threshold=5)
    func.addFunc(sparsifyFunc(nData=4, needProps=True, flagMasked=True))
    func.addFunc(spectrumFunc(bins=[0, 10, 3]))
    _, some = loop(func)
    func = dropletFunc(threshold=5)
    func.addFunc(sparsifyFunc(nData=4, needProps=True, flagMasked=True))
    func.addFunc(spectrumFunc(bins=[0, 10, 3]))
    _, none = loop(func, np.full(SHAPE, np.nan))
    assert {key: np.shape(one) for key, one in some.items()} == {key: np.shape(one) for key, one in none.items()}
    assert none["droplet_nDroplets"] == 0


def test_in_a_region_noise_and_mask_are_cut_too():
    roi = ROIFunc(ROI=[[1, 2], [5, 30], [10, 45]], name="R", calcPars=False)
    roi.addFunc(dropletFunc(threshold=5))
    gain = np.full(SHAPE, 2.0)
    _, found = loop(roi, bad=[(1, 10, 12)], gain=gain)
    cut = (slice(1, 2), slice(5, 30), slice(10, 45))
    good = np.ones(SHAPE, bool)
    good[1, 10, 12] = False
    unit = NOISE.astype(np.float32)
    wanted = plainly(FRAME[cut], 5 * unit[cut], 5 * unit[cut], good[cut])
    assert found["R_droplet_nDroplets"] == len(wanted)


def test_what_is_missing_is_said():
    with pytest.raises(ValueError, match="useRms needs the noise"):
        loop(dropletFunc(), noise=None)
    with pytest.raises(ValueError, match="expected thresholdLow <= threshold"):
        dropletFunc(threshold=3, thresholdLow=5)
