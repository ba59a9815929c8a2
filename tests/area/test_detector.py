"""Detectors: facts, masks in psana's words, gains; numbers are compared with loops written out here."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from detcore.area.detector import OPTIONS, TYPES, Detector, candidates, psana_mask, type_of
from detcore.area.detector.psanamask import chosen


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Epix10ka2M", "epix10k2m"),
        ("CsPad2M", "cspad"),
        ("opal", "camera"),
        ("epix100a", "epix100"),
        ("unknown", "unknown"),
    ],
)
def test_types_have_the_names_that_people_use(name, key):
    assert type_of(name).key == key


def test_unknown_types_are_listed():
    with pytest.raises(ValueError, match=r"no detector type 'epix9'.*jungfrau"):
        type_of("epix9")


@pytest.mark.parametrize(
    ("key", "default", "shape"),
    [
        ("cspad", 0, (32, 185, 388)),
        ("cspad140k", 1, (2, 185, 388)),
        ("epix100", 6, (704, 768)),
        ("jungfrau", 0, (2, 512, 1024)),
        ("epix10k2m", 80, (16, 352, 384)),
        ("rayonix", -1, None),
        ("camera", 0, None),
    ],
)
def test_the_catalogue_has_the_facilitys_sizes_and_defaults(key, default, shape):
    kind = TYPES[key]
    assert kind.common_mode == default
    assert kind.recommended
    if shape:
        assert kind.fits(shape)
        assert key in candidates(shape)


def test_chips_divide_the_panels():
    for kind in TYPES.values():
        if kind.asic and kind.shape:
            assert kind.shape[-2] % kind.asic[0] == 0
            assert kind.shape[-1] % kind.asic[1] == 0


def test_facts_come_from_the_type_unless_given():
    assert Detector(type="jungfrau", shape=(1, 512, 1024)).pixel_size == (75e-6, 75e-6)
    assert Detector(type="jungfrau", shape=(1, 512, 1024), pixel_size=(1e-6, 2e-6)).pixel_size == (1e-6, 2e-6)
    assert math.isnan(Detector(shape=(4, 5)).pixel_size[0])


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"shape": (4,)}, r"\(y, x\) or \(module, y, x\)"),
        ({"shape": (4, 1 << 40)}, "1 to 67108864 pixels"),
        ({"shape": (4, 5), "orientation": 9}, "1 to 8"),
        ({"shape": (4, 5), "pedestal": np.zeros((5, 4))}, "another order"),
        ({"shape": (4, 5), "pedestal": np.zeros((4, 6))}, "of another detector"),
        ({"shape": (4, 5), "pixel_mask": np.zeros((3, 4, 5))}, "of another detector"),
        ({"shape": (4, 5), "noise": np.array([["a"]])}, "expected numbers"),
        ({"shape": (4, 5), "ix": np.zeros((4, 5))}, "ix and iy come together"),
    ],
)
def test_what_does_not_fit_is_said(facts, words):
    with pytest.raises(ValueError, match=words):
        Detector(**facts)


def test_constants_are_copied_converted_and_read_only():
    given = np.arange(20, dtype=np.int32).reshape(4, 5) - 5
    detector = Detector(shape=(4, 5), pedestal=given, pixel_mask=given)
    given[:] = 0
    assert detector.pedestal.dtype == np.float32
    assert detector.pedestal[0, 0] == -5
    assert detector.pixel_mask[0, 0] == 2**32 - 5  # a negative int32 keeps its bits
    with pytest.raises(ValueError, match="read-only"):
        detector.pedestal[0, 0] = 1


def test_stacked_panels_and_single_axes_are_reshaped():
    stacked = np.arange(24).reshape(6, 4)
    detector = Detector(shape=(2, 3, 4), pedestal=stacked, noise=stacked.reshape(1, 2, 3, 4))
    assert np.array_equal(detector.pedestal, stacked.reshape(2, 3, 4))
    assert detector.gain_modes == 1
    assert Detector(shape=(1, 6, 4), pedestal=stacked).pedestal.shape == (1, 6, 4)


def test_a_gain_axis_is_kept():
    detector = Detector(type="jungfrau", shape=(1, 512, 1024), pedestal=np.zeros((3, 1, 512, 1024)))
    assert detector.gain_modes == 3


def test_a_detector_travels_without_what_can_be_computed():
    detector = Detector(shape=(2, 30, 40), pixel_mask=np.eye(30, 40, dtype=int)[None].repeat(2, 0))
    _ = detector.map, detector.cmask
    copy = pickle.loads(pickle.dumps(detector))
    assert "map" not in vars(copy)
    assert np.array_equal(copy.cmask, detector.cmask)
    assert detector.with_(name="other").name == "other"


def test_edges_and_seams_of_every_panel():
    detector = Detector(type="epix10kquad", shape=(4, 352, 384))
    edges = psana_mask(detector, edges=True, edge_rows=2)
    assert edges.dtype == np.uint8
    expected = np.zeros((352, 384), np.uint8)
    expected[2:-2, 1:-1] = 1
    assert all(np.array_equal(panel, expected) for panel in edges)
    central = psana_mask(detector, central=True)
    expected = np.ones((352, 384), np.uint8)
    expected[[175, 176]] = 0
    expected[:, [191, 192]] = 0
    assert all(np.array_equal(panel, expected) for panel in central)


def test_edges_of_one_panel_leave_its_inside():  # the original masked all of it
    assert psana_mask(Detector(shape=(10, 12)), edges=True).sum() == 8 * 10


def test_cspad_has_one_seam_in_columns():
    central = psana_mask(Detector(type="cspad2x1", shape=(185, 388)), central=True)
    assert np.flatnonzero((central == 0).all(axis=0)).tolist() == [193, 194]
    assert (central == 0).sum() == 2 * 185


@pytest.mark.parametrize(("option", "n"), [("unbond", 1), ("unbondnbrs", 5), ("unbondnbrs8", 9)])
def test_unbonded_pixels_of_cspad(option, n):
    mask = psana_mask(Detector(type="cspad2x1", shape=(185, 388)), **{option: True})
    assert mask[10, 10] == mask[180, 180 + 194] == 0
    corner = {1: 1, 5: 3, 9: 4}[n]  # (0, 0) has fewer neighbours; (0, 194) lacks one row
    top = {1: 1, 5: 4, 9: 6}[n]
    assert (mask == 0).sum() == corner + top + 36 * n
    assert psana_mask(Detector(shape=(185, 388)), **{option: True}).all()  # not a CSPAD


def test_central_needs_chips():
    with pytest.raises(ValueError, match="needs the size of a chip"):
        psana_mask(Detector(shape=(10, 12)), central=True)


def test_status_of_gain_ranges_is_merged():
    status = np.zeros((7, 16, 352, 384), np.uint8)
    status[0, 0, 0, 0] = 1
    status[4, 0, 0, 1] = 2
    status[5, 0, 0, 2] = 1  # not one of the ranges that count
    detector = Detector(type="epix10k2m", shape=(16, 352, 384), status=status)
    assert np.argwhere(detector.statusMask == 0).tolist() == [[0, 0, 0], [0, 0, 1]]
    assert np.argwhere(psana_mask(detector, status=True, status_bits=2) == 0).tolist() == [[0, 0, 1]]
    assert np.argwhere(psana_mask(detector, status=True, gain_ranges=[5]) == 0).tolist() == [[0, 0, 2]]


def test_nexus_bits_are_status_or_calib_and_bit_31_only_informs():
    mask = np.zeros((4, 5), np.uint32)
    mask[0] = [1, 2, 16, 1 << 8, 1 << 31]
    mask[1, 0] = 1 << 31 | 1 << 4
    detector = Detector(shape=(4, 5), pixel_mask=mask)
    assert detector.statusMask[0].tolist() == [0, 0, 0, 1, 1]
    assert psana_mask(detector, calib=True)[0].tolist() == [1, 1, 1, 0, 1]
    assert detector.cmask[0].tolist() == [0, 0, 0, 0, 1]
    assert detector.cmask[1].tolist() == [0, 1, 1, 1, 1]
    assert detector.good.sum() == 15


@pytest.mark.parametrize(("pattern", "n"), [("r", 13), ("c", 13), ("s", 25)])
def test_neighbours_stay_on_their_panel(pattern, n):
    status = np.zeros((2, 9, 9), np.uint32)
    status[0, 4, 4] = 1
    status[1, 0, 0] = 1
    mask = psana_mask(Detector(shape=(2, 9, 9), status=status), status=True, neighbors=True, rad=2, ptrn=pattern)
    assert (mask[0] == 0).sum() == n
    assert (mask[1] == 0).sum() == {"r": 6, "c": 6, "s": 9}[pattern]


def test_the_classes_of_masks_are_nested():
    status = np.zeros((16, 352, 384), np.uint32)
    status[3, 100, 100] = 1
    user = np.zeros_like(status)
    user[3, 50, 50] = 1 << 8
    detector = Detector(type="epix10k2m", shape=(16, 352, 384), status=status, pixel_mask=user)
    every = psana_mask(detector, **chosen(["status", "edges", "central", "unbond", "unbondnbrs"]))
    assert np.array_equal(detector.mask, every)
    assert np.array_equal(detector.cmask, every & (user == 0))
    assert detector.statusMask.sum() == status.size - 1


def test_options_by_name():
    assert set(chosen(OPTIONS)) == set(OPTIONS)
    with pytest.raises(ValueError, match="unknown mask option 'edge'"):
        chosen(["edge"])
    with pytest.raises(ValueError, match="edge_rows is a number of pixels"):
        psana_mask(Detector(shape=(4, 5)), edges=True, edge_rows=-1)
