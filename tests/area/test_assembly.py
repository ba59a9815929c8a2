"""Assembly and orientation, against loops and NumPy's own turns."""

from __future__ import annotations

import numpy as np
import pytest

from detcore.area.detector import Detector
from detcore.area.images.assembly import ORIENTATIONS, ImageMap, oriented, oriented_shape


@pytest.fixture(scope="module")
def quad(shared):
    return np.load(shared / "data/area/epix10ka_quad_raw.npz")


def looped(raw, iy, ix):
    """Average pixel by pixel; gaps stay nan."""
    sums, counts = np.zeros((iy.max() + 1, ix.max() + 1)), np.zeros((iy.max() + 1, ix.max() + 1))
    good = ~np.isnan(raw)
    np.add.at(sums, (iy[good], ix[good]), raw[good])
    np.add.at(counts, (iy[good], ix[good]), 1)
    with np.errstate(invalid="ignore"):
        return sums / counts


def test_a_real_quad_is_assembled(quad):
    raw = (quad["raw"] & 0x3FFF).astype(np.float32)
    detector = Detector(type="epix10kquad", shape=(4, 352, 384), iy=quad["ix"], ix=quad["iy"])
    image = detector.assemble(raw)
    assert image.shape == (2, 775, 793)
    assert image.dtype == np.float32
    assert detector.image_shape == (775, 793)
    for one, frame in zip(image, raw, strict=True):
        np.testing.assert_allclose(one, looped(frame.astype(float), quad["ix"], quad["iy"]), rtol=1e-6)


def test_images_go_back_to_panels(quad):
    detector = Detector(type="epix10kquad", shape=(4, 352, 384), iy=quad["ix"], ix=quad["iy"])
    image = np.arange(775 * 793).reshape(775, 793)
    raw = detector.to_raw(image)
    assert np.array_equal(raw, image[quad["ix"], quad["iy"]])
    again = detector.assemble(raw, fill=-1)
    assert again.dtype == image.dtype
    assert np.array_equal(again[again >= 0], image[again >= 0])
    with pytest.raises(ValueError, match=r"an image is \(775, 793\)"):
        detector.to_raw(image.T)


def test_positions_follow_the_image_whichever_way_the_axes_point(quad):
    detector = Detector(
        type="epix10kquad", shape=(4, 352, 384), iy=quad["ix"], ix=quad["iy"], x=quad["x"], y=quad["y"], z=quad["z"]
    )
    rows, columns = detector.image_positions
    assert abs(rows - detector.iy).max() < 0.8
    assert abs(columns - detector.ix).max() < 0.8
    steps = np.diff(columns[0, 10]) if abs(np.diff(columns[0, 10])).max() > 0.5 else np.diff(rows[0, 10])
    assert np.median(abs(steps)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16", "int32", "bool"])
@pytest.mark.parametrize("fill", [np.nan, 0])
def test_shared_pixels_are_averaged_and_gaps_filled(dtype, fill):
    iy = np.array([[[0, 0], [1, 2]], [[0, 2], [2, 3]]])  # (0, 0) has two pixels, (2, 1) three
    ix = np.array([[[0, 1], [0, 1]], [[0, 1], [1, 3]]])
    raw = np.array([[[4, 1], [1, 2]], [[6, 4], [9, 7]]]).astype(dtype)
    image = Detector(shape=(2, 2, 2), iy=iy, ix=ix).assemble(raw, fill)
    assert image.shape == (4, 4)
    if dtype == "bool" and fill == 0:
        assert image.dtype == bool
        assert image[0, 0]
        assert not image[1, 1]
        return
    expected = {(0, 0): 5, (2, 1): 5, (0, 1): 1, (3, 3): 7}
    if dtype != "bool":
        assert {place: image[place] for place in expected} == expected
    assert np.isnan(image[1, 1]) if np.isnan(fill) else image[1, 1] == fill
    if not np.isnan(fill) and dtype != "bool":
        assert image.dtype == dtype
    assert np.nanmax(image) == (1 if dtype == "bool" else 7)


def test_nan_is_left_out_of_averages():
    detector = Detector(shape=(2, 1, 1), iy=np.zeros((2, 1, 1), int), ix=np.zeros((2, 1, 1), int))
    both = np.array([[[3.0]], [[np.nan]]])
    for dtype in (np.float32, np.float64):
        assert detector.assemble(both.astype(dtype)).item() == 3
        assert np.isnan(detector.assemble(np.full((2, 1, 1), np.nan, dtype))).all()


def test_pixels_without_a_place_are_left_out():
    made = ImageMap.of(np.array([[[0, -1]]]), np.array([[[0, -1]]]))
    assert made.assemble(np.array([[[1.0, 2.0]]])).tolist() == [[1.0]]
    assert made.to_raw(np.array([[5]])).tolist() == [[[5, 0]]]
    with pytest.raises(ValueError, match="places in the image"):
        ImageMap.of(np.full((1, 1, 1), -1), np.full((1, 1, 1), -1))
    with pytest.raises(ValueError, match="places in the image"):
        ImageMap.of(np.full((1, 1, 1), 1 << 20), np.full((1, 1, 1), 1 << 20))


def test_without_geometry_panels_are_stacked():
    raw = np.arange(24).reshape(2, 3, 4)
    assert np.array_equal(Detector(shape=(2, 3, 4)).assemble(raw, 0), raw.reshape(6, 4))


def test_one_sensor_is_its_own_image():
    frame = np.zeros((5, 6))
    detector = Detector(shape=(5, 6))
    assert detector.assemble(frame) is frame
    assert detector.to_raw(frame) is frame
    with pytest.raises(ValueError, match=r"a frame is \(5, 6\), found \(6, 5\)"):
        detector.assemble(frame.T)


TURNS = {
    1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: np.transpose,
    6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).T, 8: np.rot90,
}  # fmt: skip


@pytest.mark.parametrize("number", sorted(ORIENTATIONS))
def test_orientations_are_those_of_exif(number):
    frames = np.arange(24).reshape(2, 3, 4)
    found = oriented(frames, number)
    assert all(np.array_equal(one, TURNS[number](frame)) for one, frame in zip(found, frames, strict=True))
    assert found.shape[1:] == oriented_shape((3, 4), number)


def test_other_orientations_are_refused():
    with pytest.raises(ValueError, match="an orientation is 1 to 8"):
        oriented(np.zeros((2, 2)), 0)
