"""Lists of pixels: every form of their length, empty events, masked pixels, and back."""

from __future__ import annotations

import numpy as np
import pytest

from detcore.area.detector import Detector
from detcore.area.functions import DetObject, ROIFunc, imageFunc, sparsifyFunc, unsparsifyFunc

SHAPE = (2, 4, 5)


def frame_of():
    frame = np.zeros(SHAPE, np.float32)
    frame[0, 1, 2], frame[1, 3, 4], frame[1, 0, 0] = 5, 7.5, 9
    return frame


def loop(func, frame, bad=()):
    mask = np.zeros(SHAPE, np.uint32)
    for place in bad:
        mask[place] = 2
    det = DetObject("d", Detector(shape=SHAPE, pixel_mask=mask), 1)
    outer = ROIFunc(calcPars=False)
    outer.addFunc(func)
    det.addFunc(outer)
    det.getData(frame)
    det.processFuncs()
    return det.results()


def test_one_long_vector_for_all_events():
    found = loop(sparsifyFunc(), frame_of())["var_full_sparse"]
    assert found["data"].tolist() == [5, 9, 7.5]
    assert (found["tile"].tolist(), found["row"].tolist(), found["col"].tolist()) == ([0, 1, 1], [1, 0, 3], [2, 0, 4])


@pytest.mark.parametrize("frame", [np.zeros(SHAPE, np.float32), frame_of()])
def test_every_event_has_every_key(frame):
    assert set(loop(sparsifyFunc(), frame)["var_full_sparse"]) == {"data", "row", "col", "tile"}
    ragged = loop(sparsifyFunc(nData=0), frame)
    assert set(ragged) == {f"ragged_full_sparse_{key}" for key in ("data", "row", "col", "tile")}


def test_a_fixed_length_is_filled_up_and_cut():
    found = loop(sparsifyFunc(nData=5.0), frame_of())
    assert found["full_sparse_data"].tolist() == [5, 9, 7.5, 0, 0]
    assert found["full_sparse_row"].tolist() == [1, 0, 3, 0, 0]
    assert found["full_sparse_row"].dtype.kind == "i"
    found = loop(sparsifyFunc(nData=2, saveIntADU=True), frame_of())
    assert found["full_sparse_data"].tolist() == [5, 9]
    assert found["full_sparse_data"].dtype == np.int64


def test_masked_and_invalid_pixels_are_left_out():
    frame = frame_of()
    frame[0, 0, 0] = np.nan
    assert loop(sparsifyFunc(), frame, [(1, 0, 0)])["var_full_sparse"]["data"].tolist() == [5, 7.5]
    assert loop(sparsifyFunc(threshold=6), frame)["var_full_sparse"]["data"].tolist() == [9, 7.5]


def test_a_list_becomes_a_frame_again_for_children():
    func = sparsifyFunc()
    dense = unsparsifyFunc()
    dense.addFunc(ROIFunc(name="all", writeArea=True))
    func.addFunc(dense)
    func.addFunc(imageFunc())
    found = loop(func, frame_of())
    np.testing.assert_array_equal(found["full_sparse_dense_all_area"], frame_of())
    np.testing.assert_array_equal(np.nan_to_num(found["full_sparse_image_img"]), frame_of().reshape(8, 5))


def test_what_is_no_list_is_refused():
    with pytest.raises(ValueError, match="expected a list of pixels or droplets with data, row and col, found row"):
        sparsifyFunc().process({"row": [1]})
    with pytest.raises(ValueError, match="of one length"):
        sparsifyFunc().process({"data": [1], "row": [1, 2], "col": [1]})
    with pytest.raises(ValueError, match="expected an image"):
        sparsifyFunc().process(np.zeros(4))
    with pytest.raises(ValueError, match="nData is None, 0 or a number"):
        sparsifyFunc(nData=1.5)
    with pytest.raises(ValueError, match="nData is None, 0 or a number"):
        sparsifyFunc(nData=1e12)
