"""The source: runs of many files, orientation, live folders, what is wrong with single files."""

from __future__ import annotations

import pickle
import re
import shutil

import h5py
import numpy as np
import pytest

from detcore.area.source import AreaFiles, open_files, probe
from detcore.core.follow import Follow, follow
from detcore.core.source import ChunkRef, Problem, UnknownFormat, open_source


def refs_of(source, *target):
    return [item for item in source.plan(*target) if isinstance(item, ChunkRef)]


def read(source, *target):
    return [source.read(ref, frozenset(source.schema())) for ref in refs_of(source, *target)]


@pytest.fixture
def run(tmp_path):
    """Ten frames in four files of unequal length; frame n is full of n."""
    for number, (low, high) in enumerate([(0, 3), (3, 4), (4, 8), (8, 10)]):
        np.save(tmp_path / f"f{number}.npy", np.arange(low, high).repeat(600).reshape(-1, 20, 30).astype(np.uint16))
    return tmp_path


def test_a_folder_is_one_run(run):
    source = open_files(run)
    chunks = read(source)
    assert np.concatenate([chunk.event_id for chunk in chunks]).tolist() == list(range(10))
    assert np.concatenate([chunk["data"][:, 0, 0] for chunk in chunks]).tolist() == list(range(10))
    assert source.n_frames() == 10
    assert source.frame(6).tolist() == np.full((20, 30), 6).tolist()
    assert sum(ref.weight for ref in refs_of(source)) == source.size() == 10 * 1200
    with pytest.raises(KeyError, match="frame 10 is not in the run; it has 10 frames"):
        source.frame(10)


@pytest.mark.parametrize("frames", [(2, 9, 3), (0, None, 4), (3, 4), (9,), slice(None, 8, 2), slice(5, None)])
def test_a_range_of_events(run, frames):
    source = open_files(run, frames=frames)
    expected = list(range(10))[frames if isinstance(frames, slice) else slice(*(*frames, None, None)[:3])]
    chunks = read(source, 1200)
    assert np.concatenate([chunk.event_id for chunk in chunks]).tolist() == expected
    assert np.concatenate([chunk["data"][:, 3, 3] for chunk in chunks]).tolist() == expected
    assert source.n_frames() == len(expected)
    assert source.size() == 1200 * len(expected)
    assert sum(ref.weight for ref in refs_of(source)) == source.size()


@pytest.mark.parametrize("frames", [(-1, 4), (4, 4), (0, 5, 0)])
def test_impossible_ranges(run, frames):
    with pytest.raises(ValueError, match=r"expected 0 <= first < end|step of at least 1"):
        AreaFiles((str(run),), frames=(*frames, 1)[:3])


def test_chunks_have_the_wished_size(run):
    sizes = [ref.stop - ref.start for ref in refs_of(open_files(run), 2 * 1200)]
    assert sizes == [2, 1, 1, 2, 2, 2]


def test_a_bad_chunk_is_tried_frame_by_frame(run):
    source = open_files(run)
    (first, *_) = refs_of(source)
    pieces = source.pieces(first)
    assert [source.read(piece, frozenset({"data"}))["data"].values[0, 0, 0] for piece in pieces] == [0, 1, 2]
    assert sum(piece.weight for piece in pieces) == first.weight
    assert source.pieces(pieces[0]) == []


def test_sources_and_references_travel(run):
    source = open_files(run, frames=slice(3, 9))
    copy, ref = pickle.loads(pickle.dumps((source, refs_of(source)[1])))
    assert copy == source
    assert copy.key == str(run)
    assert copy.read(ref, frozenset({"data"})).event_id.values.tolist() == [4, 5, 6, 7]


def test_one_broken_file_is_one_line(run):
    (run / "f1.npy").write_bytes(b"nonsense")
    np.save(run / "f2.npy", np.zeros((3, 20, 31), np.uint16))
    source = open_files(run)
    problems = [str(item) for item in source.plan() if isinstance(item, Problem)]
    assert len(problems) == 2
    assert "none of the formats of frames (HDF5, NumPy, TIFF" in problems[0]
    assert "expected frames of uint16 (20, 30) as in f0.npy, found uint16 (20, 31)" in problems[1]
    assert [chunk["data"].values[0, 0, 0] for chunk in read(source)] == [0, 8]


def test_an_empty_folder_and_nothing_readable(tmp_path):
    (problem,) = open_files(tmp_path).plan()
    assert "expected frames (.h5" in problem.reason
    with pytest.raises(UnknownFormat, match=r"no frames can be read in .*no file was found"):
        open_files(tmp_path).schema()
    assert probe(str(tmp_path)).degree == "no"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_turns_frames_masks_and_the_centre(tmp_path, orientation):
    frames = np.arange(2 * 6 * 8).reshape(2, 6, 8).astype(np.uint16)
    mask = np.zeros((6, 8), np.uint32)
    mask[1, 5] = 2
    with h5py.File(tmp_path / "a.h5", "w") as file:
        home = file.create_group("entry/instrument/detector")
        home.attrs["NX_class"] = "NXdetector"
        home["data"], home["pixel_mask"] = frames, mask
        home["beam_center_x"], home["beam_center_y"] = 5.0, 1.0
        home["x_pixel_size"], home["y_pixel_size"] = 1e-4, 2e-4
    source = open_files(tmp_path / "a.h5", orientation=orientation)
    detector, (chunk,) = source.detector(), read(source)
    x, y = map(int, detector.centre)
    assert chunk["data"].shape[1:] == detector.shape == source.frame(0).shape
    assert chunk["data"].values[0, y, x] == frames[0, 1, 5]
    assert np.argwhere(detector.pixel_mask).tolist() == [[y, x]]
    assert detector.pixel_size == ((1e-4, 2e-4) if orientation >= 5 else (2e-4, 1e-4))
    assert detector.orientation == orientation
    with pytest.raises(ValueError, match="an orientation is 1 to 8"):
        open_files(tmp_path / "a.h5", orientation=orientation + 8)


def angles(text, shape):
    """2 theta of every pixel, radians, by pyFAI's rotations, written out from its documentation."""
    number = {key: float(re.search(rf"^{key}: (\S+)", text, re.MULTILINE)[1]) for key in (
        "Distance", "Poni1", "Poni2", "Rot1", "Rot2", "Rot3", "PixelSize1", "PixelSize2")}  # fmt: skip
    rows, columns = np.indices(shape)
    p1 = (rows + 0.5) * number["PixelSize1"] - number["Poni1"]
    p2 = (columns + 0.5) * number["PixelSize2"] - number["Poni2"]
    c1, s1, c2, s2, c3, s3 = (f(number[f"Rot{i}"]) for i in (1, 2, 3) for f in (np.cos, np.sin))
    distance = number["Distance"]
    t1 = p1 * c2 * c3 + p2 * (c3 * s1 * s2 - c1 * s3) - distance * (c1 * c3 * s2 + s1 * s3)
    t2 = p1 * c2 * s3 + p2 * (c1 * c3 + s1 * s2 * s3) - distance * (-c3 * s1 + c1 * s2 * s3)
    t3 = p1 * s2 - p2 * c2 * s1 + distance * c1 * c2
    return np.arctan2(np.hypot(t1, t2), t3)


def test_the_powder_image_needs_its_orientation(shared):
    """The .poni of the note is for the image mirrored top to bottom: only then are the rings where the oracle has them."""
    folder = shared / "data/area"
    oracle = np.load(folder / "ceo2_pilatus1m_pyfai_ref.npz")
    text = (folder / "ceo2_pilatus1m.poni").read_text()
    wavelength = float(re.search(r"Wavelength: (\S+)", text)[1]) * 1e10
    agreement = {}
    for orientation in (1, 4):
        source = open_files(folder / "ceo2_pilatus1m.tif", orientation=orientation)
        image, detector = source.frame(0), source.detector()
        good = image >= detector.underload
        q = 4 * np.pi / wavelength * np.sin(angles(text, image.shape) / 2)[good]
        edges = np.linspace(0.3, 8.0, 1001)
        counts = np.histogram(q, edges)[0]
        profile = np.histogram(q, edges, weights=image[good].astype(float))[0] / np.maximum(counts, 1)
        agreement[orientation] = np.corrcoef(profile, oracle["I_nosplit"])[0, 1]
    assert agreement[4] > 0.99  # the oracle has a solid angle and a polarization that this profile lacks
    assert agreement[1] < 0.9


def test_constants_from_files_of_their_own(run, tmp_path):
    dark = np.random.default_rng(1).random((20, 30)).astype(np.float32)
    folder = tmp_path / "darks"
    folder.mkdir()
    np.save(folder / "dark.npy", dark)
    source = open_files([run / "f0.npy", run / "f1.npy"], calibration={"pedestal": folder / "dark.npy"})
    assert np.array_equal(source.detector().pedestal, dark)
    np.save(folder / "dark.npy", dark[:-1])
    with pytest.raises(ValueError, match=r"dark\.npy"):
        source.detector()


def test_recognition_leaves_series_of_eiger_to_their_instrument(tmp_path, shared):
    with h5py.File(tmp_path / "s_master.h5", "w") as file:
        file["entry/data/data_000001"] = np.zeros((2, 8, 9), np.uint16)
        file.create_group("entry/instrument/detector")
    assert probe(str(tmp_path / "s_master.h5")).degree == "generic"
    assert type(open_source(tmp_path / "s_master.h5")).__module__.startswith("detcore.eiger")
    assert isinstance(open_source(tmp_path / "s_master.h5", "area"), AreaFiles)
    data = shared / "data/eiger/eiger1_testmode10_2datafiles_4images_bslz4_data_000001.h5"
    assert type(open_source(data)).__module__.startswith("detcore.eiger")
    bare = shared / "data/eiger/dectris_artificial_small_001/test_data_000001.h5"
    assert type(open_source(bare)).__module__.startswith("detcore.eiger")
    assert isinstance(open_source(bare, "area"), AreaFiles)
    assert isinstance(open_source(shared / "data/area/ceo2_pilatus1m.tif"), AreaFiles)


def test_a_live_folder_gives_new_files_and_new_frames(tmp_path):
    np.save(tmp_path / "f0.npy", np.zeros((2, 8, 9)))
    source = follow(str(tmp_path), "area")
    assert isinstance(source, Follow)
    live = Follow(source.source, settle=0, rescan=0)
    plan = live.plan()

    def step():
        found = []
        for item in plan:
            if item is None:
                if found:
                    return found
                step.idle += 1
                if step.idle > 3:
                    return found
                continue
            step.idle = 0
            found.append(item)
        return found

    step.idle = 0
    ids = [live.read(ref, frozenset({"data"})).event_id.values.tolist() for ref in step()]
    assert ids == [[0, 1]]
    np.save(tmp_path / "f1.npy", np.ones((3, 8, 9)))
    step.idle = 0
    ids = [live.read(ref, frozenset({"data"})).event_id.values.tolist() for ref in step()]
    assert ids == [[2, 3, 4]]
    np.save(tmp_path / "next", np.ones((5, 8, 9)))
    shutil.move(tmp_path / "next.npy", tmp_path / "f1.npy")
    step.idle = 0
    ids = [live.read(ref, frozenset({"data"})).event_id.values.tolist() for ref in step()]
    assert ids == [[5, 6]]


def test_a_live_master_stops_before_the_first_missing_file(tmp_path):
    with h5py.File(tmp_path / "run_master.h5", "w") as file:
        for number in (1, 2, 3):
            file[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(f"run_data_{number:06d}.h5", "/data")
    for number in (1, 3):
        with h5py.File(tmp_path / f"run_data_{number:06d}.h5", "w") as file:
            file["data"] = np.full((2, 8, 9), number)
    source = open_files(tmp_path)
    path = str(tmp_path / "run_master.h5")
    live = source.catch_up({path: 0})
    refs = [item for item in live.plan_file(path) if isinstance(item, ChunkRef)]
    assert [ref.stop for ref in refs] == [2]
    with h5py.File(tmp_path / "run_data_000002.h5", "w") as file:
        file["data"] = np.full((2, 8, 9), 2)
    live = source.catch_up({path: 2})
    refs = [item for item in live.plan_file(path, 2) if isinstance(item, ChunkRef)]
    values = [live.read(ref, frozenset({"data"}))["data"].values[0, 0, 0] for ref in refs]
    assert values == [2, 3]
    assert live.measure(path, (tmp_path / "run_master.h5").stat()) == 6


def test_a_growing_file_is_seen_to_grow(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest") as file:
        item = file.create_dataset("data", (2, 8, 9), "u2", maxshape=(None, 8, 9), chunks=(1, 8, 9))
        item[:] = 1
    source = open_files(path)
    assert source.n_frames() == 2
    with h5py.File(path, "a", libver="latest") as file:
        file["data"].resize(5, 0)
        file["data"][2:] = 2
    assert source.n_frames() == 5
    assert source.measure(str(path), path.stat()) == 5
    (ref,) = [item for item in source.plan_file(str(path), 2) if isinstance(item, ChunkRef)]
    assert source.read(ref, frozenset({"data"})).event_id.values.tolist() == [2, 3, 4]


def test_a_detector_is_made_once_for_each_state_of_its_files(run, tmp_path):
    folder = tmp_path / "darks"
    folder.mkdir()
    np.save(folder / "dark.npy", np.ones((20, 30)))
    source = open_files(run / "f0.npy", calibration={"pedestal": folder / "dark.npy"})
    first = source.detector()
    assert source.detector() is first
    assert open_files(run / "f0.npy", calibration={"pedestal": folder / "dark.npy"}).detector() is first
    np.save(folder / "dark.npy", np.full((20, 30), 2.0))
    assert source.detector().pedestal[0, 0] == 2
    assert open_files(run / "f0.npy").detector().pedestal is None


@pytest.mark.parametrize("kind", ["npy", "npz", "deflated", "contiguous"])
def test_chunks_may_be_written_to(tmp_path, kind):
    """Kernels are compiled for writable arrays; a read-only one costs another compilation."""
    frames = np.ones((3, 8, 9), np.float32)
    path = tmp_path / {"npy": "a.npy", "npz": "a.npz"}.get(kind, "a.h5")
    if kind == "npy":
        np.save(path, frames)
    elif kind == "npz":
        np.savez(path, data=frames)
    else:
        with h5py.File(path, "w") as file:
            options = {"chunks": (1, 8, 9), "compression": "gzip"} if kind == "deflated" else {}
            file.create_dataset("data", data=frames, **options)
    for orientation in (1, 4, 6):
        source = open_files(path, orientation=orientation)
        for values in (read(source)[0]["data"].values, source.frame(1)):
            assert type(values) is np.ndarray
            assert values.flags.c_contiguous
            assert values.flags.writeable
