"""Profile, cake and centre as a setup says; profiles of the frames of a run."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from detcore.area import integration
from detcore.area.detector import Detector
from detcore.area.images.azimuthal import integrate
from detcore.area.images.geometry import Geometry
from detcore.area.integration import (
    azimuthal,
    azimuthal_projection,
    azimuthal_series,
    cake,
    find_centre,
    good_of,
    image_of,
)
from detcore.area.reductions_azimuthal import AzimuthalSeries, Plane
from detcore.area.setup.setupfile import Setup
from detcore.core.accumulators import total

SHAPE = (48, 56)
GEOMETRY = Geometry(x=25.5, y=22.2, distance=0.02, energy=10.0, pixel_size=(1e-4, 1e-4))
IMAGE = np.random.default_rng(0).poisson(40, SHAPE).astype(np.uint16)
TEXT = """
mask:
- {kind: edges, width: 2}
- {kind: threshold, high: 60}
azimuthal: {bins: 20, polarization: 0.9, threshold_low: 20}
"""
SETUP = Setup.from_yaml(TEXT).with_(geometry=GEOMETRY)


def good():
    inside = np.zeros(SHAPE, bool)
    inside[2:-2, 2:-2] = True
    return inside & (IMAGE <= 60)


def test_geometry_mask_and_bins_come_from_the_setup():
    found = azimuthal(IMAGE, SETUP)
    expected = integrate(IMAGE, GEOMETRY, good=good(), bins=20, polarization=0.9, threshold_low=20)
    xr.testing.assert_equal(found, expected)
    np.testing.assert_array_equal(good_of(SETUP, SHAPE, None, IMAGE), good())


def test_chips_of_the_type_that_the_setup_names_are_known():
    setup = Setup.from_yaml("detector: {type: epix100}\nmask: [{kind: asic_edges, width: 1}]").with_(geometry=GEOMETRY)
    inside = good_of(setup, (704, 768))
    assert not inside[[351, 352]].any()
    assert not inside[:, [383, 384]].any()
    with pytest.raises(ValueError, match="how large its ASICs are"):
        good_of(setup, SHAPE)


def test_what_is_given_wins():
    found = azimuthal(IMAGE, SETUP, good=np.ones(SHAPE, bool), q_step=0.1, q_range=(0.2, 1.0), polarization=None)
    expected = integrate(IMAGE, GEOMETRY, q_step=0.1, q_range=(0.2, 1.0), polarization=None, threshold_low=20)
    xr.testing.assert_equal(found, expected)


def test_a_geometry_is_enough():
    xr.testing.assert_equal(azimuthal(IMAGE, GEOMETRY, bins=9), integrate(IMAGE, GEOMETRY, bins=9))
    assert cake(IMAGE, GEOMETRY, bins=7, sectors=5)["intensity"].sizes == {"azimuth": 5, "q": 7}


def test_profile_along_the_azimuth():
    found = azimuthal_projection(IMAGE, SETUP, (0.3, 0.6), sectors=12)
    assert found["intensity"].dims == ("azimuth",)
    whole = azimuthal(IMAGE, SETUP, edges=(0.3, 0.6))
    assert int(found["n_valid"].sum()) == int(whole["n_valid"].sum())


def test_limits_of_raw_values_hold_for_whole_numbers_only():
    detector = Detector(shape=SHAPE, saturation=45, underload=30, pixel_size=(1e-4, 1e-4))
    valid = (IMAGE >= 30) & (IMAGE <= 45)
    found = azimuthal(IMAGE, GEOMETRY, detector=detector, bins=5)
    assert int(found["n_valid"].sum()) == valid.sum()
    calibrated = azimuthal(IMAGE.astype(np.float32), GEOMETRY, detector=detector, bins=5)
    assert int(calibrated["n_valid"].sum()) == IMAGE.size


def test_bit_31_of_a_pixel_mask_only_informs():
    pixel_mask = np.zeros(SHAPE, np.uint32)
    pixel_mask[:5], pixel_mask[5:9], pixel_mask[20:] = 1 << 31, 1, 1 << 8
    detector = Detector(shape=SHAPE, pixel_mask=pixel_mask, pixel_size=(1e-4, 1e-4))
    found = azimuthal(IMAGE, GEOMETRY, detector=detector, bins=5)
    assert int(found["n_valid"].sum()) == 16 * SHAPE[1]


def test_a_detector_that_knows_its_centre_needs_no_geometry():
    facts = {"distance": 0.02, "energy": 10.0, "centre": (25.5, 22.2), "pixel_size": (1e-4, 1e-4)}
    found = azimuthal(IMAGE, Setup(), detector=Detector(shape=SHAPE, **facts), bins=9)
    np.testing.assert_allclose(found["intensity"], integrate(IMAGE, GEOMETRY, bins=9)["intensity"])
    with pytest.raises(ValueError, match="the setup has no geometry"):
        azimuthal(IMAGE, Setup())


def tiled():
    """Two modules, one above the other with a gap of two rows."""
    rows, columns = np.indices((23, 56))
    return Detector(
        shape=(2, 23, 56), iy=np.stack([rows, rows + 25]), ix=np.stack([columns, columns]), pixel_size=(1e-4, 1e-4)
    )


def test_modules_give_what_their_image_gives():
    detector = tiled()
    frame = IMAGE[:46].reshape(2, 23, 56)
    image = detector.assemble(frame)
    options = {"bins": 20, "q_range": (0.1, 0.9)}
    found = azimuthal(frame, GEOMETRY, detector=detector, **options)
    expected = integrate(image, GEOMETRY, **options)
    np.testing.assert_allclose(found["intensity"], expected["intensity"])
    several = azimuthal(np.stack([frame, frame]), GEOMETRY, detector=detector, **options)
    np.testing.assert_array_equal(several["intensity"][1], found["intensity"])
    setup = Setup.from_yaml("mask: [{kind: region, region: {kind: rectangle, x0: 0, y0: 0, x1: 56, y1: 30}}]")
    masked = azimuthal(frame, setup.with_(geometry=GEOMETRY), detector=detector, **options)
    below = integrate(image, GEOMETRY, good=np.arange(48)[:, None] * np.ones(56) >= 30, **options)
    np.testing.assert_array_equal(masked["n_valid"], below["n_valid"])


def test_files_that_the_setup_names(tmp_path):
    flat = np.random.default_rng(1).uniform(0.5, 1.5, SHAPE).astype(np.float32)
    np.save(tmp_path / "flat.npy", flat)
    section = {"bins": 8, "flat": str(tmp_path / "flat.npy")}
    setup = SETUP.with_(azimuthal=section, mask=())
    np.testing.assert_array_equal(image_of(setup, "flat"), flat)
    expected = integrate(IMAGE, GEOMETRY, bins=8, flat=flat)
    np.testing.assert_array_equal(azimuthal(IMAGE, setup)["intensity"], expected["intensity"])


# ---- the centre


def rings(x, y, shape=(150, 160)):
    rows, columns = np.indices(shape)
    r = np.hypot(columns - x, rows - y)
    lit = sum(np.exp(-(((r - radius) / 2) ** 2)) for radius in (25, 45, 70))
    return np.random.default_rng(0).poisson(5 + 40 * lit).astype(np.uint16)


def test_the_centre_of_masked_and_assembled_images():
    image = rings(70.3, 80.1)
    setup = Setup.from_yaml("mask: [{kind: region, region: {kind: rectangle, x0: 0, y0: 0, x1: 40, y1: 150}}]")
    found = find_centre(image, setup=setup)
    assert find_centre(image, setup).x == found.x
    assert (found.x, found.y) == pytest.approx((70.3, 80.1), abs=0.15)
    rows, columns = np.indices((74, 160))
    detector = Detector(shape=(2, 74, 160), iy=np.stack([rows, rows + 76]), ix=np.stack([columns, columns]))
    frame = np.stack([image[:74], image[76:]])
    found = find_centre(frame, detector=detector)
    assert (found.x, found.y) == pytest.approx((70.3, 80.1), abs=0.15)
    assert find_centre(frame, points=[(1, 2)], detector=detector).x == 1


# ---- runs


def chunks():
    frames = np.random.default_rng(3).poisson(30, (5, *SHAPE)).astype(np.uint16)
    make = lambda part: xr.Dataset(
        {"data": (("frame", "y", "x"), frames[part]), "event_id": ("frame", np.arange(5)[part])}, attrs={"file": "a.h5"}
    )
    return frames, [make(slice(3, 5)), make(slice(0, 3))]


def test_profiles_of_frames_are_in_the_order_of_events():
    frames, parts = chunks()
    detector = Detector(shape=SHAPE, pixel_size=(1e-4, 1e-4))
    setup = SETUP.with_(mask=SETUP.mask[:1])
    found = total(azimuthal_series(setup, detector), *parts)
    assert found["frame"].values.tolist() == [0, 1, 2, 3, 4]
    assert int(found["n_frames"]) == 5
    for number, frame in enumerate(frames):
        expected = azimuthal(frame, setup, detector=detector)
        for name in expected.data_vars:
            np.testing.assert_array_equal(found[name][number], expected[name])


def test_one_profile_of_all_frames_adds_up_valid_pixels():
    frames, parts = chunks()
    found = total(azimuthal_series(GEOMETRY, per_frame=False, bins=9, threshold_high=35), *parts)
    norm = GEOMETRY.solid_angle(SHAPE) * GEOMETRY.polarization(SHAPE, 1.0)
    q, edges = GEOMETRY.q(SHAPE), np.linspace(found.attrs["first_edge"], found.attrs["last_edge"], 10)
    for number in range(9):
        here = (q >= edges[number]) & (q < edges[number + 1]) & (frames <= 35)
        weights = np.broadcast_to(norm, frames.shape)[here].sum()
        assert float(found["intensity"][number]) == pytest.approx(frames[here].sum() / weights)
        assert float(found["error"][number]) == pytest.approx(np.sqrt(frames[here].sum()) / weights)
        assert int(found["n_valid"][number]) == here.sum()


def test_the_last_frames_are_kept():
    _, parts = chunks()
    found = total(AzimuthalSeries(geometry=GEOMETRY, last=2), *parts)
    assert found["frame"].values.tolist() == [3, 4]


def test_a_mask_needs_the_shape_of_a_frame():
    with pytest.raises(ValueError, match=r"source.detector\(\)"):
        azimuthal_series(SETUP.with_(mask=SETUP.mask[:1]))
    with pytest.raises(ValueError, match="needs the array 'image'"):
        azimuthal_series(SETUP, Detector(shape=SHAPE))
    assert azimuthal_series(SETUP, Detector(shape=SHAPE), image=IMAGE).good == Plane(good())


def test_a_frame_of_another_shape_is_refused():
    _, parts = chunks()
    reduction = AzimuthalSeries(geometry=GEOMETRY)
    state = reduction.empty(parts[0])
    with pytest.raises(ValueError, match=r"a.h5: expected frames of"):
        reduction.update(state, parts[0].isel(x=slice(3)))


def test_planes_are_compared_by_their_values():
    one, same, other = Plane(np.arange(4)), Plane(np.arange(4)), Plane(np.arange(4.0))
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert AzimuthalSeries(geometry=GEOMETRY, good=Plane(good())) == AzimuthalSeries(
        geometry=GEOMETRY, good=Plane(good())
    )


def test_warming_up_compiles_without_a_warning():
    integration.warm()


def test_a_setup_may_be_a_file(tmp_path):
    path = tmp_path / "setup.yaml"
    SETUP.save(path)
    xr.testing.assert_equal(azimuthal(IMAGE, path), azimuthal(IMAGE, SETUP))
    assert find_centre(rings(70.3, 80.1), setup=Setup().with_mask(())).x == pytest.approx(70.3, abs=0.15)


def test_pixels_of_a_real_detector_of_panels(shared):
    """Places in um and the rounded places in the image say the same, to the rounding."""
    with np.load(shared / "data/area/epix10ka_quad_raw.npz") as real:
        arrays = {name: real[name] for name in ("x", "y", "z")} | {
            "iy": real["ix"],
            "ix": real["iy"],
        }  # psana's ix: rows
    detector = Detector(shape=(4, 352, 384), pixel_size=(1e-4, 1e-4), **arrays)
    geometry = Geometry(x=300.0, y=250.0, distance=0.1, energy=9.0, pixel_size=(1e-4, 1e-4))
    radius = geometry.radius(detector) - geometry.radius(detector.image_shape)[detector.iy, detector.ix]
    assert np.abs(radius).max() < 0.9
    assert abs(radius.mean()) < 0.1
    frame = np.ones(detector.shape, np.uint16)
    found = azimuthal(frame, geometry, detector=detector, polarization=None, bins=20)
    assert int(found["n_valid"].sum()) == frame.size
