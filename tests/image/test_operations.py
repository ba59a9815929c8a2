"""Steps of a mask that follow from the detector, and all steps on tiled detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from detcore.image import (
    AsicEdgesOperation,
    BitsOperation,
    EdgesOperation,
    Ellipse,
    FileOperation,
    GrowOperation,
    InvertOperation,
    NoiseOperation,
    NotFiniteOperation,
    Operation,
    Panels,
    PedestalOperation,
    PixelMask,
    PixelsOperation,
    Rectangle,
    RegionOperation,
    ShrinkOperation,
    StatusOperation,
    ThresholdOperation,
    good_pixels,
    write_pixel_mask,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RAW = (3, 6, 8)
DEAD, NOISY, USER = 2, 16, 256


def places(gap: int = 2) -> Panels:
    """Three panels: two beside each other, the third below, upside down."""
    y, x = np.mgrid[:6, :8]
    iy = np.stack([y, y, 6 + gap + (5 - y)])
    ix = np.stack([x, 8 + gap + x, 7 - x])
    return Panels(iy=iy, ix=ix, asic=(3, 4))


def raster(*operations: Operation, shape: Any = RAW, panels: Panels | None = None, **arrays: Any) -> NDArray[np.uint32]:
    return PixelMask(shape=shape, operations=operations).raster(arrays=arrays, panels=panels)


# Borders.


@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.integers(1, 6))
def test_edges_of_each_panel(shape: tuple[int, int], width: int) -> None:
    found = raster(EdgesOperation(width=width), shape=(2, *shape))
    y, x = np.mgrid[: shape[0], : shape[1]]
    expected = np.minimum.reduce([y, x, shape[0] - 1 - y, shape[1] - 1 - x]) < width
    assert np.array_equal(found == USER, np.stack([expected, expected]))
    assert np.array_equal(raster(EdgesOperation(width=width), shape=shape) == USER, expected)


def test_edges_of_one_panel_leave_its_inside() -> None:
    found = raster(EdgesOperation(width=2, panel=0), shape=(20, 30))
    assert not found[2:-2, 2:-2].any()
    assert found[:2].all()


def test_asic_edges_are_inside_only() -> None:
    found = raster(AsicEdgesOperation(asic=(4, 194)), shape=(2, 8, 388)) > 0
    assert np.array_equal(found[0].all(axis=0).nonzero()[0], [193, 194])  # as psana's "central" for a CSPAD
    assert np.array_equal(found[1].all(axis=1).nonzero()[0], [3, 4])
    assert not found[:, 0, 0].any()
    wide = raster(AsicEdgesOperation(width=2), panels=places()) > 0
    assert np.array_equal(wide[2].all(axis=0).nonzero()[0], [2, 3, 4, 5])


def test_asic_edges_need_the_size_of_an_asic() -> None:
    with pytest.raises(ValueError, match=r"asic_edges 'middle': .* give asic as \(rows, columns\)"):
        raster(AsicEdgesOperation(name="middle"))


# Calibration.


def test_noise_and_pedestal_ranges_say_what_they_found() -> None:
    noise = np.array([[1.0, 2.0, 9.0, np.nan]])
    found = raster(NoiseOperation(low=1.5, high=5), shape=(1, 4), noise=noise)
    assert found.tolist() == [[NOISY, 0, NOISY, NOISY]]
    assert raster(PedestalOperation(high=5), shape=(1, 4), pedestal=noise).tolist() == [[0, 0, DEAD, DEAD]]
    own = raster(NoiseOperation(high=5, bit="user"), shape=(1, 4), noise=noise)
    assert own.tolist() == [[0, 0, USER, USER]]
    freed = raster(NoiseOperation(high=5), NoiseOperation(high=5, mode="subtract"), shape=(1, 4), noise=noise)
    assert not freed.any()


def test_gains_are_joined_or_chosen() -> None:
    noise = np.ones((2, *RAW), np.float32)
    noise[0, 0, 0, 0] = noise[1, 1, 1, 1] = 99
    assert (raster(NoiseOperation(high=5), noise=noise) > 0).sum() == 2
    assert raster(NoiseOperation(high=5, gains=[1]), noise=noise)[1, 1, 1] == NOISY
    assert (raster(NoiseOperation(high=5, gains=[1]), noise=noise) > 0).sum() == 1
    with pytest.raises(ValueError, match=r"there is no gain 2; 'noise' has 2"):
        raster(NoiseOperation(high=5, gains=[2]), noise=noise)
    with pytest.raises(ValueError, match=r"gain 1 is asked for, but 'noise' has no axis of gains"):
        raster(NoiseOperation(high=5, gains=[1]), noise=noise[0])


def test_status_bits() -> None:
    status = np.array([[[0, 1, 2, 64, 3]], [[0, 0, 0, 0, 16]]], np.uint32)  # two gains
    assert (raster(StatusOperation(), shape=(1, 5), status=status) > 0).tolist() == [[False, True, True, True, True]]
    found = raster(StatusOperation(status_bits=2 | 16, gains=[0]), shape=(1, 5), status=status)
    assert found.tolist() == [[0, 0, DEAD, 0, DEAD]]
    with pytest.raises(ValueError, match="whole numbers expected as status, found float64"):
        raster(StatusOperation(), shape=(1, 5), status=np.zeros((1, 5)))


def test_not_finite() -> None:
    image = np.array([[1.0, np.nan, np.inf, -np.inf]])
    assert raster(NotFiniteOperation(), shape=(1, 4), image=image).tolist() == [[0, DEAD, DEAD, DEAD]]
    assert not raster(NotFiniteOperation(), shape=(1, 4), image=np.ones((1, 4), np.uint16)).any()


# Neighbours.


@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_round_growth_is_a_distance(steps: int, seed: int) -> None:
    dots = np.random.default_rng(seed).random((25, 30)) < 0.01
    load = BitsOperation(raster="dots")
    found = raster(load, GrowOperation(steps=steps, neighbours="round"), shape=dots.shape, dots=dots.astype(np.uint32))
    expected = ndimage.distance_transform_edt(~dots) <= steps if dots.any() else dots
    assert np.array_equal(found > 0, expected)


def test_neighbours_end_at_the_panel() -> None:
    corner = PixelsOperation(pixels=[(7, 0)], panel=0)
    found = raster(corner, GrowOperation(steps=2))
    assert found[0].any()
    assert not found[1:].any()
    only = raster(EdgesOperation(), ShrinkOperation(panel=1), InvertOperation(panel=2))
    assert (only[1] > 0).sum() < (only[0] > 0).sum()
    assert np.array_equal(good_pixels(only[2]), ~good_pixels(only[0]))


# Image coordinates and panels.


def test_a_shape_on_the_image_selects_what_lies_there() -> None:
    panels = places()
    region = Ellipse(x=8, y=6, a=5, b=4)
    found = raster(RegionOperation(region=region), panels=panels) > 0
    for module, y, x in np.ndindex(RAW):
        assert found[module, y, x] == region.contains(panels.ix[module, y, x], panels.iy[module, y, x])  # type: ignore[index]
    assert all(one.any() for one in found)


def test_a_shape_on_a_panel_is_in_its_pixels() -> None:
    box = Rectangle(x0=1, y0=2, x1=4, y1=3)
    found = raster(RegionOperation(region=box, panel=2)) > 0
    assert np.argwhere(found).tolist() == [[2, 2, 1], [2, 2, 2], [2, 2, 3]]
    freed = raster(EdgesOperation(width=9), RegionOperation(region=box, panel=2, mode="subtract"))
    assert np.array_equal(good_pixels(freed), found)


def test_a_mask_made_on_the_image_fits_the_raw_frames() -> None:
    panels = places()
    image = np.arange(16 * 18, dtype=float).reshape(16, 18)
    found = raster(ThresholdOperation(high=100), panels=panels, image=image)
    assert np.array_equal(found > 0, image[panels.iy, panels.ix] > 100)
    same = raster(ThresholdOperation(high=100), panels=panels, image=image[panels.iy, panels.ix])
    assert np.array_equal(found, same)
    one = raster(ThresholdOperation(high=100, panel=1), panels=panels, image=image)
    assert np.array_equal(one[1], found[1])
    assert not one[[0, 2]].any()


def test_pixels_that_are_not_in_the_image_are_not_selected() -> None:
    panels = places()
    iy = np.array(panels.iy)
    iy[0, 0] = -1
    found = raster(RegionOperation(region=Rectangle(x0=-9, y0=-9, x1=99, y1=99)), panels=Panels(iy=iy, ix=panels.ix))
    assert np.array_equal(found > 0, iy >= 0)


def test_listed_pixels() -> None:
    assert np.argwhere(raster(PixelsOperation(pixels=[(17, 0)]), panels=places())).tolist() == [[1, 0, 7]]
    assert np.argwhere(raster(PixelsOperation(pixels=[(0, 0)]), panels=places())).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (RegionOperation(region=Ellipse(x=1, y=1, a=1, b=1)), r"needs their places \(panels\)"),
        (PixelsOperation(pixels=[(0, 0)]), r"need the places of the modules"),
        (RegionOperation(region=Ellipse(x=1, y=1, a=1, b=1), panel=3), r"there is no panel 3; the detector has 3"),
        (PixelsOperation(pixels=[(8, 0)], panel=1), r"\(8, 0\) is outside of 8 columns x 6 rows"),
        (ThresholdOperation(name="hot"), r"threshold 'hot' needs the array 'image'; given: none"),
        (GrowOperation(panel=7), r"there is no panel 7"),
    ],
)
def test_what_does_not_fit_is_said(step: Operation, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        raster(step)


def test_a_mask_for_another_detector_is_refused() -> None:
    mask = PixelMask(shape=(4, 5))
    with pytest.raises(ValueError, match=r"the mask is for frames of \(4, 5\), not \(5, 4\)"):
        mask.raster((5, 4))
    with pytest.raises(ValueError, match="shape of the raster is not known"):
        PixelMask().raster()
    assert PixelMask().raster(panels=places()).shape == RAW
    assert mask.raster().shape == (4, 5)


def test_it_begins_with_what_the_detector_masks() -> None:
    start = np.zeros((2, 3), np.uint32)
    start[0, 0], start[1, 1] = 1, 1 << 31
    free = RegionOperation(region=Rectangle(x0=0, y0=0, x1=3, y1=1), mode="subtract")
    found = PixelMask(operations=[free]).raster(start=start)
    assert found.tolist() == [[0, 0, 0], [0, 1 << 31, 0]]
    assert start[0, 0] == 1


def test_order_of_the_list() -> None:
    mask = PixelMask(operations=[EdgesOperation(), GrowOperation(), InvertOperation()])
    assert [one.kind for one in mask.moved(2, 0).operations] == ["invert", "edges", "grow"]


# Files.


def test_a_file_is_read_when_the_raster_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    step = FileOperation(path=str(path), convention="nonzero_bad")
    first = np.zeros((2, 3), np.uint32)
    first[0, 1] = USER
    write_pixel_mask(path, first, convention="nonzero_bad")
    assert np.array_equal(raster(step, shape=(2, 3)), first)
    write_pixel_mask(path, np.concatenate([first, first]), convention="nonzero_bad")
    assert raster(step, shape=(2, 2, 3))[1, 0, 1] == USER  # modules below each other
    with pytest.raises(ValueError, match=r"has the shape \(4, 3\), the detector \(2, 3\)"):
        raster(step, shape=(2, 3))
    path.unlink()
    with pytest.raises(FileNotFoundError):
        raster(step, shape=(2, 3))


def test_layouts_of_modules_in_a_file(tmp_path: Path) -> None:
    bad = np.random.default_rng(1).random(RAW) < 0.3
    expected = np.where(bad, np.uint32(USER), np.uint32(0))
    panels = places()
    assembled = np.zeros(panels.image_shape, np.uint32)
    assembled[panels.iy, panels.ix] = expected
    columns = expected.reshape(3, 48).T  # as two-module CSPADs are written
    for name, stored in {
        "raw": expected,
        "stack": expected.reshape(18, 8),
        "image": assembled,
        "cols": columns,
    }.items():
        np.save(tmp_path / f"{name}.npy", stored)
        step = FileOperation(path=str(tmp_path / f"{name}.npy"), convention="nxmx")
        assert np.array_equal(raster(step, panels=panels), expected), name


def test_some_bits_of_a_file(tmp_path: Path) -> None:
    write_pixel_mask(tmp_path / "a.h5", np.array([[1, 2, 3, 1 << 31]], np.uint32), convention="nxmx")
    step = FileOperation(path=str(tmp_path / "a.h5"), convention="nxmx", bits=["dead"])
    assert raster(step, shape=(1, 4)).tolist() == [[0, 2, 2, 0]]
    less = step.model_copy(update={"mode": "subtract", "bits": ()})
    assert raster(BitsOperation(), less, shape=(1, 4), pixel_mask=np.full((1, 4), 3, np.uint32)).tolist() == [
        [2, 1, 0, 3]
    ]


def test_panels_must_fit() -> None:
    with pytest.raises(ValueError, match="both iy and ix"):
        Panels(iy=np.zeros((1, 2, 3), int))
    with pytest.raises(ValueError, match="whole numbers"):
        Panels(iy=np.zeros((1, 2, 3)), ix=np.zeros((1, 2, 3)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no assembled image"):
        Panels().image_shape  # noqa: B018
    with pytest.raises(ValueError, match="at least 14 rows x 18 columns expected"):
        places().gather(np.zeros((4, 4)))
