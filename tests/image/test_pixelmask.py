"""Pixel masks: what each operation does, replay, YAML, and files with every convention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from detcore.image import (
    BITS,
    BitsOperation,
    Ellipse,
    GrowOperation,
    InvertOperation,
    Operation,
    PixelMask,
    PixelsOperation,
    Rectangle,
    RegionOperation,
    ShrinkOperation,
    ThresholdOperation,
    good_pixels,
    read_pixel_mask,
    write_pixel_mask,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SHAPE = (9, 12)
USER, NOISY, VIRTUAL = 1 << 8, 1 << 4, 1 << 31
BOX = Rectangle(x0=2, y0=1, x1=5, y1=4)


def raster(*operations: Operation, **arrays: NDArray[Any]) -> NDArray[np.uint32]:
    return PixelMask(shape=SHAPE).with_operations(*operations).to_raster(arrays)


rasters = hnp.arrays(np.uint32, SHAPE, elements=st.sampled_from([0, 0, 1, NOISY, USER, USER | 2, VIRTUAL, VIRTUAL | 1]))


# Operations.


def test_bits_are_those_of_nxdetector() -> None:
    expected = {"gap": 0, "dead": 1, "under": 2, "over": 3, "noisy": 4, "cluster": 6, "user": 8, "virtual": 31}
    assert expected == BITS


@pytest.mark.parametrize("bit", range(32))
def test_the_low_sixteen_bits_reject(bit: int) -> None:
    assert bool(good_pixels(np.array([1 << bit], np.uint32))[0]) == (bit >= 16)


def test_add_and_subtract() -> None:
    selected = BOX.to_mask(SHAPE)
    hole = Rectangle(x0=3, y0=2, x1=4, y1=3)
    found = raster(RegionOperation(region=BOX, bit="noisy"), RegionOperation(region=BOX))
    assert np.array_equal(found, np.where(selected, NOISY | USER, 0))
    all_bits = raster(
        RegionOperation(region=BOX, bit="noisy"),
        RegionOperation(region=BOX, bit="virtual"),
        RegionOperation(region=hole, mode="subtract"),
    )
    assert all_bits[2, 3] == VIRTUAL  # only informs, so it stays
    assert (all_bits == (NOISY | VIRTUAL)).sum() == selected.sum() - 1
    one_bit = raster(
        RegionOperation(region=BOX, bit="noisy"),
        RegionOperation(region=BOX),
        RegionOperation(region=hole, mode="subtract", bit="noisy"),
    )
    assert one_bit[2, 3] == USER


def test_order_matters_and_disabled_steps_are_left_out() -> None:
    add, remove = RegionOperation(region=BOX), RegionOperation(region=BOX, mode="subtract")
    assert not raster(add, remove).any()
    assert raster(remove, add).any()
    off = remove.model_copy(update={"enabled": False})
    assert raster(add, off).any()


@given(hnp.arrays(np.float32, SHAPE, elements=st.sampled_from([-1, 0, 1, 2, 3, np.nan, np.inf, -np.inf])))
def test_threshold(image: NDArray[np.float32]) -> None:
    with np.errstate(invalid="ignore"):
        expected = ~((image >= 0) & (image <= 2))
    step = ThresholdOperation(image="mean", low=0, high=2, bit="over")
    assert np.array_equal(raster(step, mean=image) == 8, expected)
    open_end = raster(ThresholdOperation(image="mean", low=1), mean=image)
    assert np.array_equal(open_end > 0, ~(image >= 1))
    only_nan = raster(ThresholdOperation(image="mean"), mean=image)
    assert np.array_equal(only_nan > 0, np.isnan(image))


def test_threshold_of_whole_numbers() -> None:
    image = np.arange(108, dtype=np.uint16).reshape(SHAPE)
    found = raster(ThresholdOperation(image="mean", low=5, high=100), mean=image)
    assert np.array_equal(found > 0, (image < 5) | (image > 100))


def test_pixels_are_column_and_row() -> None:
    found = raster(PixelsOperation(pixels=[(11, 0), (3, 8)], bit="dead"))
    assert [tuple(map(int, at)) for at in np.argwhere(found == 2)] == [(0, 11), (8, 3)]
    assert not raster(PixelsOperation(pixels=[])).any()


@given(rasters, rasters)
def test_bits_of_a_raster(first: NDArray[np.uint32], second: NDArray[np.uint32]) -> None:
    add = BitsOperation(raster="first")
    assert np.array_equal(raster(add, first=first), first)
    some = raster(add, BitsOperation(raster="second", bits=["noisy", "user"]), first=first, second=second)
    assert np.array_equal(some, first | (second & (NOISY | USER)))
    less = raster(add, BitsOperation(raster="second", mode="subtract"), first=first, second=second)
    assert np.array_equal(less, first & ~second)


@given(rasters)
def test_invert_exchanges_good_and_bad(before: NDArray[np.uint32]) -> None:
    after = raster(BitsOperation(raster="a"), InvertOperation(), a=before)
    assert np.array_equal(good_pixels(after), ~good_pixels(before))
    assert np.array_equal(after & ~np.uint32(0xFFFF), before & ~np.uint32(0xFFFF))


@given(rasters, st.integers(1, 4), st.sampled_from([4, 8]))
def test_grow_and_shrink_are_morphology(before: NDArray[np.uint32], steps: int, neighbours: Any) -> None:
    bad = ~good_pixels(before)
    around = ndimage.generate_binary_structure(2, 1 if neighbours == 4 else 2)
    load = BitsOperation(raster="a")
    grown = raster(load, GrowOperation(steps=steps, neighbours=neighbours), a=before)
    assert np.array_equal(~good_pixels(grown), ndimage.binary_dilation(bad, around, steps))
    assert np.array_equal(grown[bad], before[bad])
    shrunk = raster(load, ShrinkOperation(steps=steps, neighbours=neighbours), a=before)
    assert np.array_equal(~good_pixels(shrunk), ndimage.binary_erosion(bad, around, steps, border_value=1))


def test_what_is_missing_is_named() -> None:
    step = ThresholdOperation(name="hot", image="mean", high=1)
    with pytest.raises(ValueError, match=r"threshold 'hot' needs the array 'mean'; given: dark, noise"):
        raster(step, noise=np.zeros(SHAPE), dark=np.zeros(SHAPE))
    with pytest.raises(ValueError, match=r"threshold 'hot': 'mean' has the shape \(2, 2\), the mask \(9, 12\)"):
        raster(step, mean=np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"pixels 'spots': \(x, y\) = \(12, 0\) is outside of 12 columns x 9 rows"):
        raster(PixelsOperation(name="spots", pixels=[(0, 0), (12, 0)]))
    with pytest.raises(ValueError, match=r"raster 'a' is bool, expected uint32; use read_pixel_mask"):
        raster(BitsOperation(raster="a"), a=np.zeros(SHAPE, bool))


def test_arrays_that_are_given_stay_as_they_are() -> None:
    image, loaded = np.ones(SHAPE), np.ones(SHAPE, np.uint32)
    for array in (image, loaded):
        array.flags.writeable = False
    steps = (BitsOperation(raster="r"), ThresholdOperation(image="i", high=0), GrowOperation(), InvertOperation())
    raster(*steps, i=image, r=loaded)


# YAML.

names = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=20)
bits = st.sampled_from([None, *BITS])
modes = st.sampled_from(["add", "subtract"])
common = {"name": names, "enabled": st.booleans()}
limits = st.none() | st.floats(-1e300, 1e300)
operations = st.one_of(
    st.builds(RegionOperation, **common, mode=modes, bit=bits, region=st.sampled_from([BOX, ~BOX & Ellipse(x=1, y=2, a=3, b=4)])),
    st.builds(
        lambda low, high, **rest: ThresholdOperation(
            **rest, low=low, high=high if low is None or high is None else max(low, high)
        ),
        **common, mode=modes, bit=bits, image=names, low=limits, high=limits,
    ),
    st.builds(PixelsOperation, **common, mode=modes, bit=bits, pixels=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)))),
    st.builds(BitsOperation, **common, mode=modes, raster=names, bits=st.lists(st.sampled_from(list(BITS)))),
    st.builds(InvertOperation, **common),
    st.builds(GrowOperation, **common, steps=st.integers(1, 9), neighbours=st.sampled_from([4, 8])),
    st.builds(ShrinkOperation, **common, steps=st.integers(1, 9), neighbours=st.sampled_from([4, 8])),
)  # fmt: skip


@given(st.lists(operations, max_size=5))
@settings(deadline=None)
def test_yaml_gives_back_an_equal_mask(steps: list[Operation]) -> None:
    pixel_mask = PixelMask(shape=SHAPE).with_operations(*steps)
    assert PixelMask.from_yaml(pixel_mask.to_yaml()) == pixel_mask


def test_yaml_can_be_read_and_written_by_people() -> None:
    text = """\
shape: [9, 12]
operations:
- kind: region
  name: beam stop
  region: {kind: ellipse, x: 5, y: 4, a: 2, b: 2}
- {kind: grow, steps: 2}
"""
    expected = [RegionOperation(name="beam stop", region=Ellipse(x=5, y=4, a=2, b=2)), GrowOperation(steps=2)]
    assert PixelMask.from_yaml(text) == PixelMask(shape=SHAPE).with_operations(*expected)


BOMB = "a: &a [1]\n" + "\n".join(
    f"b{n}: &b{n} [{', '.join(['*a' if n == 0 else f'*b{n - 1}'] * 9)}]" for n in range(12)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a pixel mask: shape: Field required"),
        ("{shape: [9, 12]", "not readable as YAML"),
        ("shape: [9, 12]\noperations: [{kind: melt}]", "operations.0: Input tag 'melt'"),
        ('shape: [9, 12]\noperations: [{kind: invert, name: "a\\nb"}]', "a name of one line"),
        ("shape: [9, 12]\noperations: [{kind: grow, steps: 0}]", "operations.0.grow.steps: .*greater than or equal to 1"),
        ("shape: [9, 12]\noperations: [{kind: threshold, image: a, low: 2, high: 1}]", "low <= high expected"),
        ("shape: [9, 12]\noperations: [{kind: pixels, pixels: [[-1, 0]]}]", "greater than or equal to 0"),
        ("shape: [1000000, 1000000]", "shape: .*expected the .rows, columns. of an image"),
        ("shape: [9.5, 12]", "shape"),
        ("shape: nine", "shape"),
        ("shape: 9", "shape"),
        ("shape: [9, 12]\noperations: [" + "{kind: invert}," * 1001 + "]", "at most 1000"),
        (BOMB, "may neither use references"),
        ("[" * 1_000_000, "nested too deeply"),
        ("!!python/object/apply:os.getcwd []", "not readable as YAML"),
        ("x" * 4_000_001, "too many for a pixel mask"),
    ],
)  # fmt: skip
def test_impossible_yaml_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelMask.from_yaml(text)


# Files.


@pytest.fixture(params=["mask.npy", "mask.h5", "mask.nxs"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


def example() -> NDArray[np.uint32]:
    return np.array([[0, 1, USER], [VIRTUAL, VIRTUAL | 2, 0xFFFF0000]], np.uint32)


def test_nxmx_keeps_all_bits(path: Path) -> None:
    write_pixel_mask(path, example(), convention="nxmx")
    assert np.array_equal(read_pixel_mask(path, convention="nxmx"), example())


@pytest.mark.parametrize("convention", ["nonzero_bad", "nonzero_good"])
def test_other_conventions_keep_what_is_bad(path: Path, convention: Any) -> None:
    write_pixel_mask(path, example(), convention=convention)
    found = read_pixel_mask(path, convention=convention)
    assert np.array_equal(found, [[0, USER, USER], [0, USER, 0]])
    if path.suffix == ".npy":
        stored = np.load(path)
    else:
        with h5py.File(path) as file:
            stored = file["/entry/instrument/detector/pixel_mask"][...]
    bad = np.array([[0, 1, 1], [0, 1, 0]])
    assert stored.dtype == np.uint8
    assert np.array_equal(stored, bad if convention == "nonzero_bad" else 1 - bad)


def test_a_file_that_says_its_convention_is_believed(tmp_path: Path) -> None:
    write_pixel_mask(tmp_path / "a.h5", example(), convention="nonzero_good")
    with pytest.raises(ValueError, match="written as 'nonzero_good', but asked to read as 'nonzero_bad'"):
        read_pixel_mask(tmp_path / "a.h5", convention="nonzero_bad")


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", ">i2", "<u4", ">i4", "i8", "f4", "f8"])
def test_any_number_type_is_read(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "a.npy", np.array([[0, 1], [1, 0]], dtype))
    found = read_pixel_mask(tmp_path / "a.npy", convention="nonzero_good")
    assert found.dtype == np.uint32
    assert np.array_equal(found, [[USER, 0], [0, USER]])


def test_signed_files_keep_bit_31(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[-(2**31), 5]], np.int32))
    assert np.array_equal(read_pixel_mask(tmp_path / "a.npy", convention="nxmx"), [[VIRTUAL, 5]])


def test_real_lambda_mask(shared: Path) -> None:
    path = shared / "data/area/lambda750k_m1.nxs"
    found = read_pixel_mask(path, convention="nxmx")
    with h5py.File(path) as file:
        stored = file["/entry/instrument/detector/pixel_mask"][0]
    assert np.array_equal(found, stored)
    only_virtual = found == VIRTUAL
    assert only_virtual.sum() == 19_974  # a naive "nonzero is bad" would lose these
    assert good_pixels(found)[only_virtual].all()
    assert np.array_equal(good_pixels(found), stored % 65536 == 0)


def test_real_eiger_mask(shared: Path) -> None:
    path = shared / "data/eiger/synth500k_u16_master.h5"
    dataset = "/entry/instrument/detector/detectorSpecific/pixel_mask"
    found = read_pixel_mask(path, convention="nxmx", dataset=dataset)
    assert found.shape == (514, 1030)
    assert not good_pixels(found).all()


def npy_header(text: str) -> bytes:
    body = text.ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "neither a .npy nor an HDF5 file"),
        (b"P5 10 10 255\n", "neither a .npy nor an HDF5 file"),
        (b"PK\x03\x04", "neither a .npy nor an HDF5 file"),
        (b"\x93NUMPY", "not a readable .npy file"),
        (npy_header("{'descr': '<u4', 'fortran_order': False, 'shape': (90000, 90000), }"), "not a readable .npy|of an image"),
        (npy_header("{'descr': '|O', 'fortran_order': False, 'shape': (2, 2), }") + b"x" * 99, "not a readable .npy file"),
        (npy_header("{'descr': '<u4', 'fortran_order': False, 'shape': (2, 2), }") + b"x" * 7, "not a readable .npy file"),
        (npy_header("{'descr': '<u4', 'fortran_order': False, 'shape': (1" + "0" * 30 + ", 9), }"), "not a readable"),
        (npy_header("{'descr': '<u4', 'fortran_order': False, 'shape': (-4, 9), }") + b"x" * 200, "not a readable|of an image"),
        (npy_header("{'descr': '<u4', 'fortran_order': False, 'shape': ('a', 9), }"), "not a readable"),
        (npy_header("{'descr': 7, 'fortran_order': False, 'shape': (2, 9), }"), "not a readable"),
        (npy_header("(((((((((((((((((((((((((((("), "not a readable .npy file"),
        (b"\x89HDF\r\n\x1a\n" + b"\x00" * 500, "not readable as HDF5"),
    ],
)  # fmt: skip
def test_damaged_and_foreign_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_pixel_mask(tmp_path / "a", convention="nxmx")
    assert str(tmp_path / "a") in str(caught.value)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_header_is_read_or_refused(own_folder: Path, content: bytes) -> None:
    path = own_folder / "fuzz.npy"
    path.write_bytes(b"\x93NUMPY" + content)
    with pytest.raises(ValueError, match=r"not a readable \.npy file"):
        read_pixel_mask(path, convention="nxmx")


@pytest.mark.parametrize(
    ("array", "convention", "message"),
    [
        (np.zeros(5, "u4"), "nxmx", "of an image"),
        (np.zeros((2, 3, 4), "u4"), "nxmx", "of an image"),
        (np.zeros((2, 3)), "nxmx", "numbers expected for 'nxmx', found float64"),
        (np.zeros((2, 3), "S4"), "nonzero_bad", "found |S4"),
        (np.array([[np.nan, 1]]), "nonzero_bad", "is this an image instead of a mask"),
        (np.array([[2**40, 1]]), "nxmx", "values beyond 32 bits"),
        (np.zeros((2, 3), "u4"), "guess", "convention is one of nxmx, nonzero_bad, nonzero_good; found 'guess'"),
    ],
)
def test_what_is_no_mask_is_refused(tmp_path: Path, array: NDArray[Any], convention: Any, message: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=message):
        read_pixel_mask(tmp_path / "a.npy", convention=convention)


def test_hdf5_that_points_elsewhere_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"\x01" * 64)
    write_pixel_mask(tmp_path / "other.h5", example(), convention="nxmx", dataset="/mask")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["link"] = h5py.ExternalLink("other.h5", "/mask")
        file["soft"] = h5py.SoftLink("/link")
        file["folder"] = h5py.ExternalLink("other.h5", "/")
        file["nowhere"] = h5py.SoftLink("/not/here")
        file.create_dataset("raw", (4, 4), "u4", external=[(str(secret), 0, 64)])
        layout = h5py.VirtualLayout((2, 3), "u4")
        layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "mask", (2, 3))
        file.create_virtual_dataset("virtual", layout)
        file.create_group("group")
        file.create_dataset("huge", (1 << 20, 1 << 20), "u4", chunks=(64, 64))
    for name in ("link", "soft", "folder/mask", "raw", "virtual"):
        with pytest.raises(ValueError, match="numbers are in another file"):
            read_pixel_mask(tmp_path / "a.h5", convention="nxmx", dataset=name)
    for name in ("group", "nowhere", "missing", "huge/deeper", "/"):
        with pytest.raises(ValueError, match="no such dataset in this file"):
            read_pixel_mask(tmp_path / "a.h5", convention="nxmx", dataset=name)
    with pytest.raises(ValueError, match="of an image"):
        read_pixel_mask(tmp_path / "a.h5", convention="nxmx", dataset="huge")


def test_damaged_chunks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    noise = np.random.default_rng(0).integers(0, 1 << 32, (64, 64), dtype=np.uint32)
    write_pixel_mask(path, noise, convention="nxmx", dataset="mask")
    with h5py.File(path) as file:
        chunk = file["mask"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + 40] = b"\xff" * 40
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.h5:mask: damaged"):
        read_pixel_mask(path, convention="nxmx", dataset="mask")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    write_pixel_mask(path, example(), convention="nxmx")
    before = path.read_bytes()
    for wrong in (example().astype(int), example()[0]):
        with pytest.raises(ValueError, match="expected"):
            write_pixel_mask(path, wrong, convention="nxmx")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"written to \.npy, \.h5, \.hdf5 or \.nxs"):
        write_pixel_mask(tmp_path / "a.jpeg", example(), convention="nxmx")
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["a.npy"]
