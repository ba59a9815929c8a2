"""CrystFEL geometries: positions against the formula, assembly, masks, and lines that are wrong."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from detcore.area.files.geomfile import read_geom
from detcore.area.files.geomtext import quantity
from detcore.area.source import open_files
from detcore.core.source import ChunkRef, UnknownFormat

TEXT = """\
; two panels, one above the other in the data
photon_energy = 9500 eV
adu_per_photon = 33
clen = 0.08
coffset = 0.002
res = 10000
max_adu = 7000
data = /entry/data/data
rigid_group_all = a,b
a/min_fs = 0
a/max_fs = 7
a/min_ss = 0
a/max_ss = 5
a/corner_x = 10.0
a/corner_y = -4.0
a/fs = +1.0x
a/ss = +1.0y
b/min_fs = 0
b/max_fs = 7
b/min_ss = 6
b/max_ss = 11
b/corner_x = -3
b/corner_y = 12
b/fs = -0.0x -1.0y
b/ss = x
badtop/min_x = 10
badtop/max_x = 12
badtop/min_y = -4
badtop/max_y = -3
badrow/panel = b
badrow/min_fs = 2
badrow/max_fs = 3
badrow/min_ss = 6
badrow/max_ss = 6
"""


@pytest.fixture
def geom(tmp_path):
    path = tmp_path / "a.geom"
    path.write_text(TEXT)
    return path


def test_positions_follow_the_formula(geom):
    x, y, z = read_geom(geom).positions((12, 8))
    row, column = 9, 5  # of panel b: ss 3, fs 5
    assert x[row, column] == pytest.approx((-3 + 3.5 * 1) * 100)
    assert y[row, column] == pytest.approx((12 - 5.5 * 1) * 100)
    assert z[row, column] == pytest.approx(82_000)
    assert x[2, 3] == pytest.approx((10 + 3.5) * 100)
    assert y[2, 3] == pytest.approx((-4 + 2.5) * 100)


def test_facts(geom):
    found = read_geom(geom)
    assert found.energy == 9.5
    assert found.distance == 0.082
    assert found.adu_per_photon == 33
    assert found.dataset == "/entry/data/data"
    assert found.modules((12, 8)) == (2, 6, 8)
    assert found.modules((14, 8)) is None


def test_a_run_is_split_into_panels_and_assembled(tmp_path, geom):
    frames = np.arange(3 * 12 * 8, dtype=np.float32).reshape(3, 12, 8)
    np.save(tmp_path / "a.npy", frames)
    source = open_files(tmp_path / "a.npy", geometry=geom)
    detector = source.detector()
    assert detector.shape == (2, 6, 8)
    (ref,) = [item for item in source.plan() if isinstance(item, ChunkRef)]
    raw = source.read(ref, frozenset({"data"}))["data"].values
    assert np.array_equal(raw, frames.reshape(3, 2, 6, 8))
    assert np.array_equal(source.frame(1), raw[1])
    image = detector.assemble(raw[0])
    # the columns are from x = -2.5 (panel b) to 17.5, the rows from y = -3.5 (panel a) to 11.5
    assert image.shape == (16, 21)
    assert np.array_equal(image[:6, 13:], raw[0, 0])
    assert np.array_equal(image[8:16, :6], raw[0, 1].T[::-1])
    assert np.isnan(image).sum() == 16 * 21 - 2 * 48
    assert detector.centre == (2.5, 3.5)
    assert detector.saturation == 7000
    rows, columns = detector.image_positions
    np.testing.assert_allclose(rows, detector.iy, atol=1e-6)
    np.testing.assert_allclose(columns, detector.ix, atol=1e-6)
    bad = np.argwhere(detector.pixel_mask == 1 << 8).tolist()
    assert bad == [[0, 0, 0], [0, 0, 1], [1, 0, 2], [1, 0, 3]]


def test_panels_of_a_tall_frame_and_frames_with_an_axis_of_panels(tmp_path, geom):
    frames = np.arange(3 * 12 * 8, dtype=np.float32).reshape(3, 12, 8)
    np.save(tmp_path / "tall.npy", frames)
    np.save(tmp_path / "apart.npy", frames.reshape(3, 2, 6, 8))
    tall, apart = (open_files(tmp_path / f"{name}.npy", geometry=geom) for name in ("tall", "apart"))
    assert apart.detector().shape == (2, 6, 8)
    for name in ("x", "y", "ix", "iy", "pixel_mask"):
        assert np.array_equal(getattr(tall.detector(), name), getattr(apart.detector(), name))
    assert np.array_equal(tall.frame(2), apart.frame(2))


def test_a_plain_geometry_gives_the_image_as_stored(tmp_path):
    path = tmp_path / "a.geom"
    path.write_text(
        "res = 5814\nclen = 200 mm\nwavelength = 1.0 A\np/min_fs=0\np/max_fs=9\np/min_ss=0\np/max_ss=6\n"
        "p/corner_x = -4.5\np/corner_y=-3\np/fs=x\np/ss=y\n"
    )
    np.save(tmp_path / "a.npy", np.zeros((7, 10)))
    detector = open_files(tmp_path / "a.npy", geometry=path).detector()
    assert np.array_equal(detector.iy, np.indices((7, 10))[0])
    assert np.array_equal(detector.ix, np.indices((7, 10))[1])
    assert detector.centre == pytest.approx((4.0, 2.5))
    assert detector.distance == 0.2
    assert detector.energy == pytest.approx(12.398419843)
    assert detector.pixel_size[0] == pytest.approx(172e-6, rel=1e-4)


def test_masks_in_the_data_by_declared_bits(tmp_path, geom):
    mask = np.zeros((12, 8), np.uint8)
    mask[1, 1], mask[7, 2] = 1, 4
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/data/data"], file["mask"] = np.zeros((2, 12, 8)), mask
    geom.write_text(
        TEXT.split("badtop", maxsplit=1)[0].replace("clen", "mask = /mask\nmask_good = 0x00\nmask_bad = 0x01\nclen")
    )
    detector = open_files(tmp_path / "a.h5", geometry=geom).detector()
    assert np.argwhere(detector.pixel_mask).tolist() == [[0, 1, 1]]
    geom.write_text(geom.read_text().replace("mask = /mask", "mask = /none"))
    with pytest.raises(UnknownFormat, match="no mask '/none' of shape"):
        open_files(tmp_path / "a.h5", geometry=geom).detector()


def test_pixels_of_no_panel_are_gaps(tmp_path, geom):
    np.save(tmp_path / "a.npy", np.zeros((13, 9)))
    detector = open_files(tmp_path / "a.npy", geometry=geom).detector()
    assert detector.shape == (13, 9)
    assert (detector.pixel_mask & 1).sum() == 13 * 9 - 96
    assert (detector.ix[detector.pixel_mask & 1 == 1] == -1).all()


def test_modules_on_an_axis_of_their_own(tmp_path):
    lines = ["res = 10000", "clen = /entry/clen"]
    for number in range(3):
        lines += [f"p{number}/dim0 = %", f"p{number}/dim1 = {number}", f"p{number}/dim2 = ss", f"p{number}/dim3 = fs"]
        lines += [f"p{number}/{key} = {value}" for key, value in {
            "min_fs": 0, "max_fs": 7, "min_ss": 0, "max_ss": 5, "corner_x": 0, "corner_y": 10 * number, "fs": "x", "ss": "y",
        }.items()]  # fmt: skip
    (tmp_path / "a.geom").write_text("\n".join(lines))
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 6, 8)))
    detector = open_files(tmp_path / "a.npy", geometry=tmp_path / "a.geom").detector()
    assert detector.image_shape == (26, 8)
    assert detector.distance is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("a/fs = +1.0x", "a/fs = sideways"), "panel a: fs = 'sideways' is no direction"),
        (("a/max_fs = 7", "a/max_fs = many"), "panel a: expected a number for max_fs, found 'many'"),
        (("a/max_fs = 7", "a/max_fs = -7"), "panel a: min_fs = 0 and max_fs = -7"),
        (("res = 10000", "res = 0"), "above 0"),
        (("res = 10000", "res 10000"), "line 6: expected 'key = value'"),
        (("badrow/panel = b", "badrow/panel = c"), "on panel 'c', which is not there"),
        (("badtop/min_y = -4\n", ""), "needs min and max of x and y"),
        (("b/max_ss = 11", "b/max_ss = 1100"), r"panel b ends at \(1100, 7\)"),
        ((TEXT, "photon_energy = 5"), "no panel in it"),
    ],
)
def test_wrong_lines_are_named(tmp_path, geom, change, words):
    geom.write_text(TEXT.replace(*change))
    np.save(tmp_path / "a.npy", np.zeros((12, 8)))
    with pytest.raises(UnknownFormat, match=words):
        open_files(tmp_path / "a.npy", geometry=geom).detector()


def test_quantities():
    assert quantity("1.5 MeV") == 1500
    assert np.isnan(quantity("--"))
    assert np.isnan(quantity("5 apples"))
    assert np.isnan(quantity(None))
