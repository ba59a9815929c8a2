"""All image parameters against the tables that ctapipe 0.28 wrote, and against SciPy."""

from __future__ import annotations

import warnings
from typing import Any

import h5py
import hdf5plugin  # noqa: F401
import numpy as np
import pytest
import scipy.stats

from detcore.dl1.images.cleaning import islands, tailcuts
from detcore.dl1.images.geometry import Camera
from detcore.dl1.images.hillas import hillas
from detcore.dl1.images.parameters import _parameters, image_parameters

KEYS = ("obs_id", "event_id", "tel_id")
SINGLE = ("leakage_intensity", "concentration", "intensity_", "peak_time_")  # ctapipe sums these in single precision


@pytest.fixture
def lst(camera_table) -> Camera:
    table = camera_table("LSTCam")
    return Camera(table.name, table.x, table.y, table.area, table.shape, table.rotation, 28.0)


def showers(camera: Camera, n: int = 40, seed: int = 5) -> tuple[Any, Any, Any]:
    """Ellipses with a gradient of time, some noise; and the pixels that tail cuts keep."""
    rng = np.random.default_rng(seed)
    centre, psi = rng.uniform(-0.75, 0.75, (2, n, 1)), rng.uniform(-np.pi, np.pi, (n, 1))
    x, y = camera.pixel_x - centre[0], camera.pixel_y - centre[1]
    along, across = x * np.cos(psi) + y * np.sin(psi), y * np.cos(psi) - x * np.sin(psi)
    length = rng.uniform(0.08, 0.25, (n, 1))
    shape = np.exp(-0.5 * (along / length) ** 2 - 0.5 * (across / (0.4 * length)) ** 2)
    images = (rng.poisson(rng.uniform(20, 80, (n, 1)) * shape) + rng.normal(0, 2, shape.shape)).astype(np.float32)
    times = (15 + rng.uniform(-20, 20, (n, 1)) * along + rng.normal(0, 0.5, shape.shape)).astype(np.float32)
    times[rng.random(times.shape) < 0.08] += 12
    return images, times, tailcuts(images, camera, 8, 5, 1)


def real_tables(file: h5py.File) -> dict[int, tuple[Camera, Any, Any]]:
    """Camera, images and parameters by telescope."""
    optics = file["configuration/instrument/telescope/optics"][:]
    found = {}
    for tel in file["configuration/instrument/subarray/layout"][:]:
        name = f"tel_{tel['tel_id']:03d}"
        if name not in file["dl1/event/telescope/images"]:
            continue
        table = file[f"configuration/instrument/telescope/camera/geometry_{tel['camera_index']}"]
        camera = Camera(
            tel["camera_name"].decode(),
            table["pix_x"],
            table["pix_y"],
            table["pix_area"],
            table.attrs["PIX_TYPE"].decode(),
            table.attrs["PIX_ROT"],
            optics["effective_focal_length"][tel["optics_index"]],
        )
        images = file["dl1/event/telescope/images"][name][:]
        found[int(tel["tel_id"])] = camera, images, file["dl1/event/telescope/parameters"][name][:]
    return found


def starts_of_ctapipe(tables: dict[int, Any], order: Any) -> dict[tuple[int, int], Any]:
    """The pairs of points that ctapipe drew for its fits of times, one after another for the whole file."""
    rng = np.random.default_rng(0)
    pairs = {}
    for event_id, tel_id in order:
        _, images, _ = tables[tel_id]
        n = int(images["image_mask"][images["event_id"] == event_id].sum())
        if n > 1:
            draws = [(rng.integers(0, n), rng.integers(0, n - 1)) for _ in range(5)]
            pairs[int(event_id), int(tel_id)] = [(a, b + (b >= a)) for a, b in draws]
    return pairs


def test_every_column_equals_the_tables_of_real_files(real_file) -> None:
    """From the same starts, the fits of times agree, too; but not those of three pixels, which any two can fit."""
    with h5py.File(real_file) as file:
        tables = real_tables(file)
        starts = starts_of_ctapipe(tables, file["dl1/event/telescope/trigger"][:][["event_id", "tel_id"]])
    compared: set[str] = set()
    for tel_id, (camera, images, rows) in tables.items():
        assert (images["event_id"] == rows["event_id"]).all()
        selected = images["image_mask"].astype(bool)
        np.testing.assert_array_equal(tailcuts(images["image"], camera), selected)  # ctapipe's defaults, and ours
        pairs = np.array([starts.get((int(event), tel_id), [(0, 1)] * 5) for event in images["event_id"]])
        found = _parameters(images["image"], images["peak_time"], selected, camera, "telescope", pairs)
        for name in found:
            use = rows["morphology_n_pixels"] != 3 if name.startswith("timing") else slice(None)
            rtol = 2e-7 if name.startswith(SINGLE) else 1e-9
            atol = 3e-4 if name.endswith(("skewness", "kurtosis")) and rtol > 1e-9 else 1e-11
            np.testing.assert_allclose(found[name][use], rows[name][use], rtol=rtol, atol=atol, err_msg=name)
        compared |= set(found)
    assert compared == set(rows.dtype.names) - {*KEYS, "core_psi"}
    assert len(compared) == 41


def test_the_same_images_from_other_starts_are_fitted_no_worse(real_file) -> None:
    with h5py.File(real_file) as file:
        tables = real_tables(file)
    for camera, images, rows in tables.values():
        selected = images["image_mask"].astype(bool)
        found = image_parameters(images["image"], images["peak_time"], selected, camera)
        lon, lat = camera.telescope_frame()
        for event, used in enumerate(selected):
            keep = int(0.85 * used.sum())
            if keep < 3:
                continue
            psi = np.radians(float(found.hillas_psi[event]))
            along = (lon[used] - float(found.hillas_fov_lon[event])) * np.cos(psi)
            along += (lat[used] - float(found.hillas_fov_lat[event])) * np.sin(psi)
            losses = [
                np.sort((images["peak_time"][event, used] - slope * along - intercept) ** 2)[:keep].sum()
                for slope, intercept in (
                    (float(found.timing_slope[event]), float(found.timing_intercept[event])),
                    (rows["timing_slope"][event], rows["timing_intercept"][event]),
                )
            ]
            assert losses[0] <= 1.05 * losses[1]


def test_hillas_is_that_of_the_other_function(lst) -> None:
    images, times, selected = showers(lst)
    found = image_parameters(images, times, selected, lst)
    alone = hillas(images, selected, lst)
    assert found[list(alone)].identical(alone)
    metres = image_parameters(images, times, selected, lst, "camera")
    assert [name for name in metres if name.startswith("camera_frame_timing")] == [
        f"camera_frame_timing_{name}" for name in ("slope", "intercept", "deviation")
    ]
    np.testing.assert_allclose(metres.concentration_core, found.concentration_core)


def test_statistics_are_scipys(lst) -> None:
    images, times, selected = showers(lst)
    found = image_parameters(images.astype(float), times.astype(float), selected, lst)
    for event, used in enumerate(selected):
        for kind, single in (("intensity", images[event, used]), ("peak_time", times[event, used])):
            values = single.astype(float)
            expected = {
                "max": values.max(),
                "min": values.min(),
                "mean": values.mean(),
                "std": values.std(),
                "skewness": scipy.stats.skew(values),
                "kurtosis": scipy.stats.kurtosis(values),
            }
            for name, value in expected.items():
                assert float(found[f"{kind}_{name}"][event]) == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_leakage_concentration_and_morphology_by_masks(lst) -> None:
    images, times, selected = showers(lst)
    found = image_parameters(images, times, selected, lst)
    labels, n = islands(selected, lst)
    lon, lat = lst.telescope_frame()
    width = np.degrees(lst.pixel_width / 28)
    assert (found.leakage_pixels_width_1 > 0).any()
    for event, used in enumerate(selected):
        image = np.where(used, images[event], 0).astype(float)
        one = found.isel(event=event)
        for rows in (1, 2):
            border = lst.border(rows)
            assert float(one[f"leakage_pixels_width_{rows}"]) == pytest.approx((used & border).sum() / used.sum())
            assert float(one[f"leakage_intensity_width_{rows}"]) == pytest.approx(image[border].sum() / image.sum())
        dx, dy = lon - float(one.hillas_fov_lon), lat - float(one.hillas_fov_lat)
        psi = np.radians(float(one.hillas_psi))
        along, across = dx * np.cos(psi) + dy * np.sin(psi), dy * np.cos(psi) - dx * np.sin(psi)
        core = (along / float(one.hillas_length)) ** 2 + (across / float(one.hillas_width)) ** 2 <= 1
        assert float(one.concentration_cog) == pytest.approx(image[np.hypot(dx, dy) < width].sum() / image.sum())
        assert float(one.concentration_core) == pytest.approx(image[core].sum() / image.sum())
        assert float(one.concentration_pixel) == pytest.approx(image.max() / image.sum())
        sizes = np.bincount(labels[event])[1:]
        assert int(one.morphology_n_pixels) == used.sum()
        assert int(one.morphology_n_islands) == n[event]
        assert int(one.morphology_n_small_islands) == (sizes <= 2).sum()
        assert int(one.morphology_n_medium_islands) == ((sizes > 2) & (sizes <= 50)).sum()
        assert int(one.morphology_n_large_islands) == (sizes > 50).sum()


def test_the_line_of_times_ignores_stray_pixels(lst) -> None:
    images, times, selected = showers(lst)
    slope = np.random.default_rng(1).uniform(-10, 10, len(images))
    alone = hillas(images, selected, lst)
    lon, lat = lst.telescope_frame()
    psi = np.radians(alone.hillas_psi.to_numpy())[:, None]
    along = (lon - alone.hillas_fov_lon.to_numpy()[:, None]) * np.cos(psi)
    along += (lat - alone.hillas_fov_lat.to_numpy()[:, None]) * np.sin(psi)
    times = 1000 + slope[:, None] * along
    many = selected.sum(axis=1) > 20
    assert many.sum() > 20
    for event in np.flatnonzero(many):
        stray = np.flatnonzero(selected[event])[:3]
        times[event, stray] += [40, -50, np.inf]
    found = image_parameters(images, times, selected, lst)
    np.testing.assert_allclose(found.timing_slope[many], slope[many], rtol=1e-9)
    np.testing.assert_allclose(found.timing_intercept[many], 1000, rtol=1e-9)
    assert (found.timing_deviation[many] > 1).all()


def test_results_do_not_depend_on_the_batch(lst) -> None:
    images, times, selected = showers(lst)
    full = image_parameters(images, times, selected, lst)
    parts = [image_parameters(images[i : i + 7], times[i : i + 7], selected[i : i + 7], lst) for i in range(0, 40, 7)]
    for name in full:
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), full[name])
    assert image_parameters(images[3], times[3], selected[3], lst).identical(full.isel(event=[3]))


def test_images_that_ctapipe_leaves_out_are_empty_here(lst) -> None:
    images, times, selected = showers(lst, 5)
    selected[0] = False
    selected[1] = np.arange(lst.n_pixels) == 700
    images[2] = 0
    images[3, np.flatnonzero(selected[3])[0]] = -1
    found = image_parameters(images, times, selected, lst)
    for name in found:
        empty = -1 if name.startswith("morphology") else np.nan
        np.testing.assert_array_equal(found[name][:4], np.full(4, empty), err_msg=name)
        assert found[name][4] != empty
        assert found[name].dtype == (np.int64 if name.startswith("morphology") else np.float64)


def test_without_times_and_with_few_pixels(lst) -> None:
    images, times, selected = showers(lst, 4)
    without = image_parameters(images, None, selected, lst)
    full = image_parameters(images, times, selected, lst)
    for name in full:
        if name.startswith(("timing", "peak_time")):
            assert np.isnan(without[name]).all()
        else:
            assert without[name].identical(full[name])
    pair = np.zeros(lst.n_pixels, bool)
    pair[[0, lst.neighbours.indices[0]]] = True
    found = image_parameters(np.full(lst.n_pixels, 8.0), times[0], pair, lst)
    assert np.isnan(found.timing_slope[0])  # 85 percent of two points is one
    assert float(found.peak_time_max[0]) == times[0, pair].max()
    assert np.isnan(found.intensity_skewness[0])
    times[0, np.flatnonzero(selected[0])[0]] = np.nan
    found = image_parameters(images, times, selected, lst)
    assert np.isnan([found.peak_time_mean[0], found.peak_time_max[0], found.timing_deviation[0]]).all()
    assert np.isfinite(found.timing_slope).all()


def test_equal_to_ctapipe_on_other_images(ctapipe, lst) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from astropy import units  # noqa: PLC0415
        from ctapipe.image import (  # noqa: PLC0415
            concentration_parameters,
            descriptive_statistics,
            hillas_parameters,
            leakage_parameters,
            morphology_parameters,
            timing_parameters,
        )
        from ctapipe.instrument import CameraGeometry  # noqa: PLC0415

        lon, lat = lst.telescope_frame()
        area = lst.pixel_area * np.degrees(1 / 28) ** 2
        other = CameraGeometry("x", np.arange(1855), lon * units.deg, lat * units.deg, area * units.deg**2, "hexagon")
        images, times, selected = showers(lst, 25, 9)
        images = images.astype(float)
        found = image_parameters(images, times, selected, lst)
        slopes = []
        for event, used in enumerate(selected):
            ellipse = hillas_parameters(other[used], images[event][used])
            groups = {
                "leakage": leakage_parameters(other, images[event], used),
                "concentration": concentration_parameters(other[used], images[event][used], ellipse),
                "morphology": morphology_parameters(other, used),
                "intensity": descriptive_statistics(images[event][used]),
            }
            for prefix, group in groups.items():
                for name, value in group.items():
                    key = f"{prefix}_{name}"
                    np.testing.assert_allclose(found[key][event], value, rtol=1e-9, atol=1e-12, err_msg=key)
            line = timing_parameters(other[used], images[event][used], times[event][used], ellipse)
            slopes.append((float(found.timing_slope[event]), line.slope.value))
        # it starts from random pairs, and so may end elsewhere
        own, theirs = np.array(slopes).T
        assert np.isclose(own, theirs, rtol=1e-9).mean() > 0.6
        np.testing.assert_allclose(own, theirs, atol=5)
