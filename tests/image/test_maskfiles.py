"""Files of masks: every format and convention, what other programs write, damaged and foreign ones."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detcore.image import BITS, PixelMask, good_pixels, read_pixel_mask, write_pixel_mask
from detcore.image.maskfiles import SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

USER, VIRTUAL = 1 << BITS["user"], 1 << 31
CONVENTIONS: list[Any] = ["nxmx", "nonzero_bad", "nonzero_good"]


def example(modules: int = 0) -> NDArray[np.uint32]:
    raster = np.zeros((max(modules, 1), 5, 7), np.uint32)
    raster[0, 1, 2], raster[-1, 3, 4], raster[-1, 0, 6] = USER, VIRTUAL, 2
    return raster if modules else raster[0]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("modules", [0, 1, 3])
def test_what_is_written_is_read(tmp_path: Path, suffix: str, convention: Any, modules: int) -> None:
    path, raster = tmp_path / f"mask{suffix}", example(modules)
    write_pixel_mask(path, raster, convention=convention, notes={"why": "two\nlines; {braces} = ü"})
    told = convention if suffix == ".npy" else None  # all others say it themselves
    found = read_pixel_mask(path, convention=told, modules=modules > 0)
    if suffix in {".tif", ".tiff"} and modules == 1:
        found = found[None]  # a page is a page
    assert np.array_equal(good_pixels(found), good_pixels(raster))
    assert np.array_equal(found, raster) or convention != "nxmx"
    other: Any = "nxmx" if convention != "nxmx" else "nonzero_good"
    if suffix != ".npy":
        with pytest.raises(ValueError, match=f"written as '{convention}', but asked to read as '{other}'"):
            read_pixel_mask(path, convention=other, modules=modules > 0)
    again = PixelMask.read(path, convention=told)
    assert np.array_equal(good_pixels(again.raster()).ravel(), good_pixels(raster).ravel())


@pytest.mark.parametrize("suffix", [".tif", ".edf"])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_fabio_reads_what_is_written(tmp_path: Path, suffix: str, convention: Any) -> None:
    fabio = pytest.importorskip("fabio")
    raster = example()
    write_pixel_mask(tmp_path / f"a{suffix}", raster, convention=convention)
    good = good_pixels(raster)
    expected = {"nxmx": raster, "nonzero_bad": ~good, "nonzero_good": good}[convention]
    assert np.array_equal(fabio.open(tmp_path / f"a{suffix}").data, expected)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i4", "u4", "f4", "f8"])
def test_edf_of_fabio_is_read(tmp_path: Path, dtype: str) -> None:
    fabio = pytest.importorskip("fabio")
    values = np.array([[0, 1, 0], [1, 1, 0]], dtype)
    fabio.edfimage.EdfImage(data=values, header={"title": "x"}).write(str(tmp_path / "a.edf"))
    found = read_pixel_mask(tmp_path / "a.edf", convention="nonzero_bad")
    assert np.array_equal(found, np.where(values != 0, USER, 0))
    with pytest.raises(ValueError, match="does not say what its numbers mean; give a convention"):
        read_pixel_mask(tmp_path / "a.edf", convention=None)


@pytest.mark.parametrize("mode", ["1", "L", "I;16"])
@pytest.mark.parametrize("compression", [None, "tiff_adobe_deflate", "packbits"])
def test_tiff_of_pillow_is_read(tmp_path: Path, mode: str, compression: str | None) -> None:
    image = pytest.importorskip("PIL.Image")
    bad = np.random.default_rng(2).random((300, 33)) < 0.2
    stored = image.fromarray(bad) if mode == "1" else image.fromarray(bad.astype("u1" if mode == "L" else "u2"))
    stored.save(tmp_path / "a.tif", compression=compression)  # "1" with deflate is what Dioptas calls .mask
    found = read_pixel_mask(tmp_path / "a.tif", convention="nonzero_bad")
    assert np.array_equal(found == USER, bad)


def test_tiff_of_other_byte_order_and_several_strips(tmp_path: Path) -> None:
    rows = np.arange(12, dtype=">u2").reshape(4, 3)
    strips = [rows[:2].tobytes(), rows[2:].tobytes()]
    start = 8 + sum(map(len, strips))
    tags = [(256, 3, 1, 3 << 16), (257, 3, 1, 4 << 16), (258, 3, 1, 16 << 16), (259, 3, 1, 1 << 16),
            (262, 3, 1, 1 << 16), (273, 4, 2, start + 200), (278, 3, 1, 2 << 16), (279, 4, 2, start + 208)]  # fmt: skip
    directory = struct.pack(">H", len(tags)) + b"".join(struct.pack(">HHII", *tag) for tag in tags) + bytes(4)
    raw = b"MM\0*" + struct.pack(">I", start) + b"".join(strips) + directory.ljust(200, b"\0")
    raw += struct.pack(">IIII", 8, 20, 12, 12)
    (tmp_path / "a.tif").write_bytes(raw)
    assert np.array_equal(read_pixel_mask(tmp_path / "a.tif", convention="nxmx"), rows)


# Text.


def test_text_of_psana_is_read(tmp_path: Path) -> None:
    raster = np.random.default_rng(3).integers(0, 2, (2, 4, 3))
    head = "# DATE_TIME  2014-05-06T15:24:10\n# TITLE a mask\n# DTYPE      int\n# NDIM       3\n"
    head += "".join(f"# DIM:{axis}      {size}\n" for axis, size in enumerate(raster.shape, 1))
    body = "\n".join(" ".join(map(str, row)) for row in raster.reshape(-1, 3))
    (tmp_path / "0-end.data").write_text(head + body + "\n")
    found = read_pixel_mask(tmp_path / "0-end.data", convention="nonzero_good", modules=True)
    assert np.array_equal(found, np.where(raster == 0, USER, 0))
    (tmp_path / "plain.txt").write_text(body)
    assert np.array_equal(read_pixel_mask(tmp_path / "plain.txt", convention="nonzero_good"), found.reshape(8, 3))
    np.savetxt(tmp_path / "e.txt", raster.reshape(-1, 3))  # 1.000000000000000000e+00
    assert np.array_equal(read_pixel_mask(tmp_path / "e.txt", convention="nonzero_good"), found.reshape(8, 3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0\n1\n", "rows of equal length"),
        ("1 0\nx 1\n", "not a text of numbers"),
        (
            "# NDIM 2\n# DIM:1 90000\n# DIM:2 9\n1 0\n",
            r"comments say \(90000, 9\), that is 810000 numbers, but there are 2",
        ),
        ("# NDIM 2\n# DIM:1 x\n1 0\n", "say no shape"),
        ("# NDIM 2\n1 0\n", "say no shape"),
        ("# NDIM 7\n1 0\n", "say no shape"),
        ("# only words\n", "without any numbers|no data"),
        ("1 nan\n", "holds values that are not numbers"),
    ],
)
def test_text_that_is_no_mask(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_pixel_mask(tmp_path / "a.txt", convention="nonzero_bad", modules=True)
    assert "a.txt" in str(caught.value)


# Conventions.


def test_nexus_declares_its_bits(tmp_path: Path, shared: Path) -> None:
    real = shared / "data/area/lambda750k_m1.nxs"
    found = read_pixel_mask(real, convention=None)
    assert np.array_equal(found, read_pixel_mask(real, convention="nxmx"))
    assert int((found == VIRTUAL).sum()) == 19_974
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["mask"] = np.zeros((2, 3), np.uint8)
    with pytest.raises(ValueError, match="does not say what its numbers mean"):
        read_pixel_mask(tmp_path / "a.h5", convention=None, dataset="mask")


def test_an_unknown_convention_of_a_file_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("mask", data=np.zeros((2, 3), np.uint8)).attrs["detcore_convention"] = "new"
    with pytest.raises(ValueError, match="says that its convention is 'new'; known are nxmx"):
        read_pixel_mask(tmp_path / "a.h5", convention=None, dataset="mask")


def test_operations_are_written_as_text_and_rasters_by_their_ending(tmp_path: Path) -> None:
    mask = PixelMask.from_yaml("shape: [5, 7]\noperations: [{kind: edges}]")
    mask.write(tmp_path / "a.yaml")
    assert PixelMask.read(tmp_path / "a.yaml") == mask
    mask.write(tmp_path / "a.edf", convention="nonzero_good")
    again = PixelMask.read(tmp_path / "a.edf")
    assert again.shape == (5, 7)
    assert np.array_equal(again.raster(), mask.raster())
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"b\.yaml: "):
        PixelMask.read(tmp_path / "b.yaml")


# Damaged and foreign.


def tiff(**changes: int) -> bytes:
    """Build a small file with some tags changed."""
    tags = {"256": 3, "257": 2, "258": 8, "259": 1, "262": 1, "273": 8, "277": 1, "278": 2, "279": 6} | {
        name.lstrip("t"): value for name, value in changes.items()
    }
    directory = struct.pack("<H", len(tags))
    for name, value in sorted(tags.items(), key=lambda one: int(one[0])):
        directory += struct.pack("<HHII", int(name), 4, 1, value)
    return b"II*\0" + struct.pack("<I", 14) + bytes(6) + directory + bytes(4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tiff(), None),
        (tiff(t256=1 << 30, t257=1 << 30), "of an image"),
        (tiff(t256=60_000, t257=4000, t278=4000), "strip 0 has 6 bytes"),
        (tiff(t259=5), "compression 5; save it as plain grey"),
        (tiff(t277=3), "colours"),
        (tiff(t262=0), "white as zero"),
        (tiff(t317=2), "a predictor"),
        (tiff(t322=16), "tiles"),
        (tiff(t258=12), "12 bits of format 1"),
        (tiff(t273=10_000), "strip 0 has 0 bytes"),
        (tiff()[:40], "not a TIFF mask"),
        (tiff()[:-4] + struct.pack("<I", 14), "go in a circle"),
        (b"II*\0\0\0\0\0", "no page"),
        (b"II*\0", "not a TIFF mask"),
        (tiff(t259=8), "not a TIFF mask"),
    ],
)
def test_tiff_that_is_no_mask(tmp_path: Path, content: bytes, message: str | None) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    if message is None:
        assert read_pixel_mask(tmp_path / "a.tif", convention="nxmx").shape == (2, 3)
        return
    with pytest.raises(ValueError, match=message) as caught:
        read_pixel_mask(tmp_path / "a.tif", convention="nxmx")
    assert "a.tif" in str(caught.value)


def test_a_strip_that_grows_without_end_is_cut(tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(50_000_000))
    start = 8 + len(bomb)
    tags = [(256, 4, 1, 3), (257, 4, 1, 2), (258, 4, 1, 8), (259, 4, 1, 8), (273, 4, 1, 8), (279, 4, 1, len(bomb))]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", start) + bomb + directory)
    assert read_pixel_mask(tmp_path / "a.tif", convention="nxmx").shape == (2, 3)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("Dim_1 = 3 ; Dim_2 = 2 ; DataType = UnsignedByte ; ByteOrder = LowByteFirst ;", "6 bytes of numbers expected"),
        ("Dim_1 = 3 ; DataType = UnsignedByte ; ByteOrder = LowByteFirst ;", "'dim_2' in its header"),
        ("Dim_1 = 3 ; Dim_2 = 99999999999 ; DataType = UnsignedByte ; ByteOrder = LowByteFirst ;", "of an image"),
        ("Dim_1 = 3 ; Dim_2 = 2 ; DataType = Words ; ByteOrder = LowByteFirst ;", "'words'"),
        ("Dim_1 = 3 ; Dim_2 = 2 ; DataType = UnsignedByte ; ByteOrder = Low ;", "'low'"),
        (
            "Dim_1 = 3 ; Dim_2 = 2 ; DataType = UnsignedByte ; ByteOrder = LowByteFirst ; Compression = GZ ;",
            "'GZ'; save it",
        ),
    ],
)
def test_edf_that_is_no_mask(tmp_path: Path, header: str, message: str) -> None:
    (tmp_path / "a.edf").write_text("{\n" + header + "\n}\n")
    with pytest.raises(ValueError, match=message):
        read_pixel_mask(tmp_path / "a.edf", convention="nxmx")
    (tmp_path / "b.edf").write_text("{\n" + header)
    with pytest.raises(ValueError, match="ends with a brace"):
        read_pixel_mask(tmp_path / "b.edf", convention="nxmx")


@given(st.sampled_from([b"II*\0", b"MM\0*\0\0\0\x08", b"{ a = 1 ;", b"# NDIM 2\n", b"1 0 "]), st.binary(max_size=120))
@settings(max_examples=400, deadline=None)
def test_any_content_is_read_or_refused(own_folder: Path, start: bytes, rest: bytes) -> None:
    path = own_folder / "fuzz"
    path.write_bytes(start + rest)
    try:
        read_pixel_mask(path, convention="nonzero_bad", modules=True)
    except ValueError as error:
        assert "fuzz" in str(error)  # noqa: PT017 - either is right


@given(st.integers(0, 200), st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_any_changed_byte_is_read_or_refused(own_folder: Path, at: int, value: int) -> None:
    path = own_folder / "changed"
    content = bytearray(tiff())
    content[at % len(content)] = value
    path.write_bytes(content)
    try:
        read_pixel_mask(path, convention="nxmx", modules=True)
    except ValueError as error:
        assert "changed" in str(error)  # noqa: PT017
