"""NumPy files: frames, constants beside them, and nothing unpickled."""

from __future__ import annotations

import numpy as np
import pytest

from detcore.area.detector import Detector
from detcore.area.files.calibfiles import read_calibration
from detcore.area.source import open_files, probe
from detcore.core.source import ChunkRef, Problem, UnknownFormat


def chunks(source):
    refs = [item for item in source.plan() if isinstance(item, ChunkRef)]
    return [source.read(ref, frozenset(source.schema())) for ref in refs]


@pytest.mark.parametrize("dtype", ["uint8", "int16", ">u2", "<i4", ">f4", "f8", "f2", "bool"])
@pytest.mark.parametrize("shape", [(7, 9), (3, 7, 9), (3, 2, 7, 9)])
def test_frames_of_every_type_and_rank(tmp_path, dtype, shape):
    values = np.random.default_rng(1).integers(0, 2, shape).astype(dtype)
    np.save(tmp_path / "a.npy", np.asfortranarray(values) if len(shape) == 3 else values)
    source = open_files(tmp_path / "a.npy")
    (chunk,) = chunks(source)
    expected = values[None] if len(shape) == 2 else values
    assert np.array_equal(chunk["data"], expected)
    assert chunk["data"].dtype.isnative
    assert chunk["data"].dims == (("frame", "module", "y", "x") if len(shape) == 4 else ("frame", "y", "x"))
    assert chunk["data"].dtype == source.schema()["data"].dtype
    assert chunk.event_id.values.tolist() == list(range(len(expected)))
    assert probe(str(tmp_path / "a.npy")).degree == "generic"


def test_the_type_says_what_three_axes_are(tmp_path):
    values = np.arange(4 * 352 * 384, dtype=np.int32).reshape(4, 352, 384)
    np.save(tmp_path / "one.npy", values)
    np.save(tmp_path / "stacked.npy", values.reshape(-1, 384))
    assert open_files(tmp_path / "one.npy").n_frames() == 4
    for name in ("one", "stacked"):
        source = open_files(tmp_path / f"{name}.npy", type="epix10kquad")
        assert source.n_frames() == 1
        assert np.array_equal(source.frame(0), values)
        assert source.detector().n_modules == 4
    with pytest.raises(UnknownFormat, match=r"frames of jungfrau are \(None, 512, 1024\), found \(4, 352, 384\)"):
        open_files(tmp_path / "one.npy", type="jungfrau").schema()


@pytest.mark.parametrize(
    ("shape", "n"), [((2, 512, 1024), 1), ((3, 1, 512, 1024), 3), ((1024, 1024), 1), ((20, 512, 1024), 20)]
)
def test_jungfrau_has_any_number_of_panels(tmp_path, shape, n):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint16))
    source = open_files(tmp_path / "a.npy", type="jungfrau")
    assert source.n_frames() == n
    assert source.detector().shape[1:] == (512, 1024)


def test_the_real_quad_with_its_geometry(shared):
    source = open_files(shared / "data/area/epix10ka_quad_raw.npz", type="epix10kquad")
    detector = source.detector()
    stored = np.load(shared / "data/area/epix10ka_quad_raw.npz")
    assert source.n_frames() == 2
    assert np.array_equal(source.frame(1), stored["raw"][1])
    assert detector.image_shape == (775, 793)  # psana's ix is the row
    assert np.array_equal(detector.iy, stored["ix"])
    assert "psana" in " ".join(source.notes())


def test_an_archive_gives_constants_and_columns(tmp_path):
    frames = np.arange(5 * 6 * 7).reshape(5, 6, 7)
    np.savez(tmp_path / "a.npz", data=frames, pedestal=frames[0], noise=np.ones((2, 3)), i0=np.arange(5) / 2)
    source = open_files(tmp_path / "a.npz")
    assert np.array_equal(source.detector().pedestal, frames[0])
    assert source.detector().noise is None
    assert "noise has shape (2, 3)" in " ".join(source.notes())
    assert chunks(source)[0].i0.values.tolist() == [0, 0.5, 1, 1.5, 2]


def test_which_array_of_an_archive(tmp_path):
    np.savez(tmp_path / "a.npz", first=np.zeros((3, 6, 7)), second=np.ones((3, 6, 7)))
    with pytest.raises(UnknownFormat, match=r"which array holds the frames.*first.*second"):
        open_files(tmp_path / "a.npz").schema()
    assert open_files(tmp_path / "a.npz", dataset="second").frame(0).all()
    with pytest.raises(UnknownFormat, match="no array 'third'; there are first, second"):
        open_files(tmp_path / "a.npz", dataset="third").schema()


def test_objects_are_not_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[print, 1]], dtype=object), allow_pickle=True)
    (problem,) = open_files(tmp_path / "a.npy").plan()
    assert isinstance(problem, Problem)
    assert "holds Python objects, which are not loaded" in problem.reason


@pytest.mark.parametrize("shape", [(5,), (2, 2, 2, 2, 2), (0, 4, 4), (3, 0, 4)])
def test_other_shapes_are_refused(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape))
    assert probe(str(tmp_path / "a.npy")).degree == "no"
    with pytest.raises(UnknownFormat, match="expected"):
        open_files(tmp_path / "a.npy").schema()


def test_a_cut_file_is_said(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 40, 40)))
    path = tmp_path / "a.npy"
    path.write_bytes(path.read_bytes()[:-1000])
    (problem,) = open_files(path).plan()
    assert "cut off: 38400 bytes of numbers expected, 37400 are there" in problem.reason


@pytest.mark.parametrize("name", ["frames", "pedestal"])
def test_a_byte_that_changed_inside_of_an_archive_is_said(tmp_path, name):
    def read(path):
        if name == "frames":
            return open_files(path).frame(0)
        return read_calibration(path, Detector(shape=(30, 40)), "pedestal")

    frames = np.random.default_rng(0).poisson(3, (30, 40)).astype(np.uint16)
    np.savez_compressed(tmp_path / "a.npz", **{name: frames})
    whole = (tmp_path / "a.npz").read_bytes()
    for place in range(100, len(whole) - 200, 97):  # somewhere in the compressed bytes
        raw = bytearray(whole)
        raw[place] ^= 0xFF
        (tmp_path / "b.npz").write_bytes(raw)
        with pytest.raises((ValueError, OSError), match=r"b\.npz.*(damaged|copy it again)"):
            read(tmp_path / "b.npz")
