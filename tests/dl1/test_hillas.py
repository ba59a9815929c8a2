"""Hillas parameters against plain NumPy, the tables of real files, and ctapipe."""

from __future__ import annotations

import warnings
from typing import Any

import h5py
import hdf5plugin  # noqa: F401
import numpy as np
import pytest

from detcore.dl1.images.cleaning import tailcuts
from detcore.dl1.images.geometry import Camera
from detcore.dl1.images.hillas import HILLAS, camera_radius, hillas, hillas_names, plane

ANGLES = ("phi", "psi", "psi_uncertainty")


@pytest.fixture(params=["LSTCam", "CHEC", "VERITAS", "DigiCam"])
def camera(request, camera_table) -> Camera:
    table = camera_table(request.param)
    return Camera(table.name, table.x, table.y, table.area, table.shape, table.rotation, 11.7)


@pytest.fixture
def lst(camera_table) -> Camera:
    table = camera_table("LSTCam")
    return Camera(table.name, table.x, table.y, table.area, table.shape, table.rotation, 28.0)


def showers(camera: Camera, n: int = 30, seed: int = 5) -> tuple[Any, Any]:
    """Ellipses of light in all directions, and the pixels above 5 p.e."""
    rng = np.random.default_rng(seed)
    size = np.ptp(camera.pixel_x)
    centre, psi = rng.uniform(-0.35, 0.35, (2, n, 1)) * size, rng.uniform(-np.pi, np.pi, (n, 1))
    x, y = camera.pixel_x - centre[0], camera.pixel_y - centre[1]
    along, across = x * np.cos(psi) + y * np.sin(psi), y * np.cos(psi) - x * np.sin(psi)
    length = rng.uniform(0.05, 0.12, (n, 1)) * size
    shape = np.exp(-0.5 * (along / length) ** 2 - 0.5 * (across / (0.4 * length)) ** 2 + 0.3 * along / length)
    images = (rng.poisson(rng.uniform(40, 90, (n, 1)) * shape) + rng.normal(0, 1, shape.shape)).astype(np.float32)
    return images, tailcuts(images, camera, 8, 5, 1)


def plain(image, x, y, area) -> dict[str, float]:
    """What the parameters are defined to be; arrays hold the selected pixels alone."""
    image = image.astype(float)
    size = image.sum()
    mx, my = np.average(x, weights=image), np.average(y, weights=image)
    dx, dy = x - mx, y - my
    cov = np.cov(dx, dy, aweights=image, ddof=0)
    values, vectors = np.linalg.eigh(cov)
    width, length = np.sqrt(np.where(np.abs(values) < 1e-15, 0, values))
    psi = np.arctan2(*vectors[::-1, 1])
    psi = (psi + np.pi / 2) % np.pi - np.pi / 2
    along, across = dx * np.cos(psi) + dy * np.sin(psi), dy * np.cos(psi) - dx * np.sin(psi)
    root = np.sqrt(image / area)
    inverse = np.linalg.inv((design := np.stack([along, np.ones_like(along)], axis=1) * root[:, None]).T @ design)
    tilt = (inverse @ design.T @ (across * root))[0]
    return {
        "intensity": size,
        "fov_lon": mx,
        "fov_lat": my,
        "r": np.hypot(mx, my),
        "phi": np.degrees(np.arctan2(my, mx)),
        "length": length,
        "length_uncertainty": np.sqrt((((along**2 - length**2) / size) ** 2 * image).sum()) / 2 / length,
        "width": width,
        "width_uncertainty": np.sqrt((((across**2 - width**2) / size) ** 2 * image).sum()) / 2 / width,
        "psi": np.degrees(psi),
        "psi_uncertainty": np.degrees(np.sqrt(inverse[0, 0] + tilt**2) * (1 + np.tan(width / length * np.pi / 2) ** 2)),
        "transverse_cog_uncertainty": np.sqrt(inverse[1, 1] * (1 + np.sin(tilt) ** 2)),
        "skewness": np.average(along**3, weights=image) / length**3,
        "kurtosis": np.average(along**4, weights=image) / length**4,
    }


@pytest.mark.parametrize("frame", ["telescope", "camera"])
def test_parameters_are_what_they_are_defined_to_be(camera, frame) -> None:
    images, selected = showers(camera)
    found = hillas(images, selected, camera, frame)
    assert list(found) == hillas_names(frame)
    assert found.sizes == {"event": len(images)}
    if frame == "camera":
        x, y, area = camera.pixel_x, camera.pixel_y, camera.pixel_area
    else:
        x, y = camera.telescope_frame()
        area = camera.pixel_area * np.degrees(1 / camera.focal_length) ** 2
    for event, (image, used) in enumerate(zip(images, selected, strict=True)):
        assert used.sum() > 3
        expected = plain(image[used], x[used], y[used], area[used])
        for (name, _, _), key in zip(HILLAS, found, strict=True):
            np.testing.assert_allclose(found[key][event], expected[name], rtol=1e-9, atol=1e-12, err_msg=key)


def test_areas_that_differ_tilt_the_line(lst) -> None:
    images, selected = showers(lst, 5)
    area = lst.pixel_area * np.random.default_rng(0).uniform(0.5, 2, lst.n_pixels)
    camera = Camera("uneven", lst.pixel_x, lst.pixel_y, area, "hexagon")
    found = hillas(images, selected, camera, "camera")
    for event, used in enumerate(selected):
        expected = plain(images[event][used], lst.pixel_x[used], lst.pixel_y[used], area[used])
        for name in ("psi_uncertainty", "transverse_cog_uncertainty"):
            assert float(found[f"camera_frame_hillas_{name}"][event]) == pytest.approx(expected[name], rel=1e-9)


def test_the_frames_differ_by_focal_length_and_swapped_axes(lst) -> None:
    images, selected = showers(lst, 8)
    sky, metres = hillas(images, selected, lst), hillas(images, selected, lst, "camera")
    np.testing.assert_allclose(sky.hillas_length, np.degrees(metres.camera_frame_hillas_length / 28))
    np.testing.assert_allclose(sky.hillas_fov_lat, np.degrees(metres.camera_frame_hillas_x / 28))
    turned = (90 - metres.camera_frame_hillas_psi + 90) % 180 - 90
    np.testing.assert_allclose(sky.hillas_psi, turned, rtol=1e-9)
    assert sky.hillas_length.attrs["units"] == "deg"
    assert metres.camera_frame_hillas_length.attrs["units"] == "m"
    assert metres.camera_frame_hillas_psi.attrs["units"] == "deg"


def test_without_uncertainties_the_rest_is_the_same(lst) -> None:
    images, selected = showers(lst)
    full, short = hillas(images, selected, lst), hillas(images, selected, lst, uncertainties=False)
    assert [name for name in full if name not in short] == [name for name in full if name.endswith("_uncertainty")]
    assert short.identical(full[list(short)])


def test_an_image_alone_gives_what_it_gives_in_a_batch(lst) -> None:
    images, selected = showers(lst)
    full = hillas(images, selected, lst)
    for event in (0, 7, 29):
        assert hillas(images[event], selected[event], lst).identical(full.isel(event=[event]))
    assert hillas(images[4:], selected[4:], lst).identical(full.isel(event=slice(4, None)))
    assert hillas(images[:0], selected[:0], lst).sizes["event"] == 0


def row(lst: Camera, n: int) -> Any:
    """Numbers of pixels in a straight line."""
    indptr, indices = lst.neighbours
    found = [int(np.argmin(np.hypot(lst.pixel_x, lst.pixel_y)))]
    step = indices[indptr[found[0]]]
    direction = np.array([lst.pixel_x[step] - lst.pixel_x[found[0]], lst.pixel_y[step] - lst.pixel_y[found[0]]])
    for number in range(1, n):
        x, y = np.array([lst.pixel_x[found[0]], lst.pixel_y[found[0]]]) + number * direction
        found.append(int(np.argmin(np.hypot(lst.pixel_x - x, lst.pixel_y - y))))
    return np.array(found)


def test_images_without_an_ellipse(lst) -> None:
    images = np.zeros((7, lst.n_pixels))
    selected = np.zeros(images.shape, bool)
    line = row(lst, 5)
    images[:, line] = [5, 7, 20, 8, 6]
    selected[1, line[0]] = True  # one pixel
    selected[2, line] = True  # a line
    selected[3, line[:2]] = True
    images[4, line[1]], selected[4, line] = -1, True  # a negative charge
    images[5], selected[5] = 0, True  # no charge
    images[6, line[2]], selected[6, line] = np.nan, True
    found = hillas(images, selected, lst)
    for event in (0, 4, 5, 6):
        assert all(np.isnan(found[name][event]) for name in found), event
    one = found.isel(event=1)
    assert one.hillas_intensity == 5
    assert one.hillas_length == one.hillas_width == 0
    assert np.isnan(
        [one[f"hillas_{name}"] for name in ("psi", "skewness", "length_uncertainty", "psi_uncertainty")]
    ).all()
    for event in (2, 3):
        assert found.hillas_width[event] < 1e-6
        assert found.hillas_length[event] > 0.05
        assert np.isfinite(found.hillas_psi_uncertainty[event])
    # the length of two pixels: sqrt(p q) of their distance
    share = 5 / 12
    distance = lst.pixel_width[0] / 28
    assert float(found.hillas_length[3]) == pytest.approx(np.degrees(distance) * np.sqrt(share * (1 - share)), rel=2e-3)


@pytest.mark.parametrize("angle", [0.0, 90.0, 45.0, -45.0])
def test_axes_along_the_grid(angle) -> None:
    x, y = (values.ravel().astype(float) for values in np.meshgrid(np.arange(-4, 5), np.arange(-4, 5)))
    camera = Camera("grid", x, y, np.ones(81), "square")
    turn = np.radians(angle)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    image = np.exp(-(along**2) / 4 - across**2)
    found = hillas(image, image > 0, camera, "camera")
    assert float(found.camera_frame_hillas_psi[0]) == pytest.approx(angle, abs=1e-9)


def test_missing_focal_length_and_unknown_frames_are_refused(lst) -> None:
    images, selected = showers(lst, 2)
    blind = Camera("blind", lst.pixel_x, lst.pixel_y, lst.pixel_area, "hexagon")
    with pytest.raises(ValueError, match="camera blind has no focal length"):
        hillas(images, selected, blind)
    assert np.isfinite(hillas(images, selected, blind, "camera").camera_frame_hillas_length).all()
    with pytest.raises(ValueError, match="frame: expected 'telescope' or 'camera', found 'sky'"):
        hillas(images, selected, lst, "sky")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"selected: expected \(2, 1855\)"):
        hillas(images, selected[:1], lst)


def test_radius_of_a_camera(lst) -> None:
    assert camera_radius(lst, "camera") == pytest.approx(1.1, abs=0.05)  # LST: 2.3 m across
    assert camera_radius(lst) == pytest.approx(np.degrees(camera_radius(lst, "camera") / 28), rel=1e-3)
    assert not plane(lst, "camera").x.flags.writeable


def real_cameras(file: h5py.File) -> dict[int, Camera]:
    """Cameras of a ctapipe file by telescope."""
    optics = file["configuration/instrument/telescope/optics"][:]
    cameras = {}
    for tel in file["configuration/instrument/subarray/layout"][:]:
        table = file[f"configuration/instrument/telescope/camera/geometry_{tel['camera_index']}"]
        cameras[int(tel["tel_id"])] = Camera(
            tel["camera_name"].decode(),
            table["pix_x"],
            table["pix_y"],
            table["pix_area"],
            table.attrs["PIX_TYPE"].decode(),
            table.attrs["PIX_ROT"],
            optics["effective_focal_length"][tel["optics_index"]],
        )
    return cameras


def test_true_images_equal_the_tables_of_real_files(real_file) -> None:
    compared = 0
    with h5py.File(real_file) as file:
        cameras = real_cameras(file)
        for name, table in file["simulation/event/telescope/parameters"].items():
            images = file["simulation/event/telescope/images"][name]["true_image"]
            rows = table[:]
            camera = cameras[int(rows["tel_id"][0])]
            found = hillas(images, images > 0, camera)
            many = (images > 0).sum(axis=1) > 1
            for key in found:
                np.testing.assert_allclose(
                    found[key][many], rows[f"true_{key}"][many], rtol=1e-9, atol=1e-12, err_msg=key
                )
                assert np.isnan(rows[f"true_{key}"][~many]).all()
            compared += many.sum()
    assert compared >= 8


def test_equal_to_ctapipe(ctapipe, camera) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from astropy import units  # noqa: PLC0415
        from ctapipe.image import hillas_parameters  # noqa: PLC0415
        from ctapipe.instrument import CameraGeometry  # noqa: PLC0415

        x, y = camera.telescope_frame()
        shape = {"hexagon": "hexagon", "square": "rectangular", "circle": "circle"}[camera.shape]
        area = camera.pixel_area * np.degrees(1 / camera.focal_length) ** 2
        images, selected = showers(camera, 20, 6)
        found = hillas(images, selected, camera)
        for event, used in enumerate(selected):
            other = CameraGeometry(
                "x", np.flatnonzero(used), x[used] * units.deg, y[used] * units.deg, area[used] * units.deg**2, shape
            )
            expected = hillas_parameters(other, images[event][used])
            for name, value in expected.items():
                number = value.to_value(units.deg) if hasattr(value, "unit") else value
                np.testing.assert_allclose(found[f"hillas_{name}"][event], number, rtol=1e-8, atol=1e-12, err_msg=name)
