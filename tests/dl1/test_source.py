"""Images in chunks: what the files hold, with what is known of the events, each image once."""

from __future__ import annotations

import pickle
import shutil

import h5py
import numpy as np
import pytest

from detcore import dl1
from detcore.core.parameters import InvalidParameters
from detcore.core.run import problems_of, run
from detcore.core.source import ChunkRef, Problem, UnknownFormat
from detcore.dl1.api import open_files, reduction
from detcore.dl1.source import ImageFiles, cameras, probe

NOTHING = frozenset()


@pytest.fixture
def own(ctapipe_files, tmp_path):
    """A small file of two cameras, and what is in it."""
    return ctapipe_files.write(tmp_path / "own.dl1.h5")


def chunks_of(source, target=None):
    for ref in source.plan(target):
        assert isinstance(ref, ChunkRef), ref
        yield source.read(ref, NOTHING)


@pytest.mark.parametrize("target", [None, 1, 3000])
def test_chunks_hold_what_was_written(own, target):
    source = open_files(own.path, "LSTCam")
    truth = {int(row["event_id"]): row["true_energy"] for row in own.shower}
    triggered = {int(row["event_id"]): row["mask"] for row in own.events}
    seen = {1: 0, 2: 0}
    schema = source.schema()
    for chunk in chunks_of(source, target):
        n, tel_id = chunk.sizes["event"], int(chunk["tel_id"][0])
        start = seen[tel_id]
        expected = own.images[tel_id][start : start + n]
        assert target != 1 or n <= 4, "the smallest piece that is decoded at once"
        for name in ("image", "peak_time", "image_mask", "obs_id", "event_id"):
            np.testing.assert_array_equal(chunk[name], expected[name], err_msg=name)
        assert (chunk["tel_id"] == tel_id).all()
        np.testing.assert_array_equal(chunk["row"], np.arange(start, start + n))
        np.testing.assert_array_equal(chunk["entry"], chunk["row"] + (len(own.images[1]) if tel_id == 2 else 0))
        events = chunk["event_id"].values.tolist()
        np.testing.assert_array_equal(chunk["multiplicity"], [triggered[event].sum() for event in events])
        np.testing.assert_array_equal(chunk["first"], [tel_id == 1 or not triggered[event][0] for event in events])
        np.testing.assert_array_equal(chunk["true_energy"], [truth.get(event, np.nan) for event in events])
        np.testing.assert_array_equal(chunk["particle"], [101 if event in truth else -9999 for event in events])
        assert set(chunk.variables) == set(schema.variables)
        for name, variable in schema.variables.items():
            assert chunk[name].dtype == variable.dtype, name
            assert chunk[name].dims == variable.dims, name
        seen[tel_id] += n
    assert seen == {tel_id: len(own.images[tel_id]) for tel_id in (1, 2)}


def test_the_schema_says_what_it_is(own):
    schema = open_files(own.path, "LSTCam").schema()
    with dl1.open(own.path) as file:
        camera = file.camera(1)
    assert schema.sizes["event"] == 0
    assert schema.sizes["pixel"] == camera.n_pixels
    facts = pickle.loads(pickle.dumps(schema)).attrs
    assert facts["telescopes"] == (1, 2)
    assert facts["time_unit"] == "ns"
    assert facts["format"] == "ctapipe v7.0.0"
    assert dl1.camera_of(facts["camera"]) == camera
    assert dl1.camera_of(schema) is dl1.camera_of(pickle.loads(pickle.dumps(schema))), "neighbours are found once"
    np.testing.assert_array_equal(facts["camera"]["pixel_x"], camera.pixel_x)


@pytest.mark.parametrize(
    "name",
    [
        "test_lasercal_v3.dl1.h5",
        "camsettings_v6.dl1.h5",
        "gct_checs_muons.dl1.h5",
        "ctaml072_lasercal_lzo.h5",
        "ctaml072_lasercal_zlib.h5",
        "ctaml072_chec_lzo.h5",
    ],
)
def test_real_files_give_each_image_once(shared, name):
    path = shared / "data/dl1" / name
    with dl1.open(path) as file:
        for camera, n_images in cameras(path).items():
            source = open_files(path, camera)
            chunks = list(chunks_of(source, 1))
            keys = [np.concatenate([one[key].values for one in chunks]) for key in ("obs_id", "event_id", "tel_id")]
            assert len(set(zip(*(key.tolist() for key in keys), strict=True))) == n_images
            expected = {}
            for tel_id in file.telescopes.index[file.telescopes["camera"] == camera]:
                table = file.keys(tel_id)
                for event in zip(table["obs_id"], table["event_id"], strict=True):
                    expected.setdefault(event, []).append(tel_id)
            first = np.concatenate([one["first"].values for one in chunks])
            assert first.sum() == len(expected), "each event has one first image"
            for obs, event, tel_id in zip(*(key[first].tolist() for key in keys), strict=True):
                assert tel_id == min(expected[obs, event])
            for chunk in chunks:
                data = file.rows(int(chunk["tel_id"][0]), indices=chunk["row"].values)
                np.testing.assert_array_equal(chunk["image"], data["image"])
                np.testing.assert_array_equal(chunk["event_id"], data["event_id"])
            weights = [ref.weight for ref in source.plan(1)]
            assert sum(weights) == pytest.approx(source.size())
            entries = np.concatenate([one["entry"].values for one in chunks])
            assert len(np.unique(entries)) == n_images
            assert chunks[0].attrs["time_unit"] == ("sample" if "ctaml" in name else "ns")


def test_true_images_are_not_read(own):
    source = open_files(own.path)
    assert "true_image" not in next(chunks_of(source))
    with dl1.open(own.path) as file:
        assert "true_image" in file.rows(1, 0, 3), "they stay what others read"
        file.with_truth = False
        assert "true_image" not in file.rows(1, 0, 3)
        assert "true_image" not in file.rows(1, indices=[2])


def test_first_goes_by_images_where_these_are_not_those_of_the_trigger(ctapipe_files, tmp_path):
    made = ctapipe_files.content()
    made.events["mask"][:, 0] = True  # telescope 1 is said to have triggered always, but has no image of some events
    ctapipe_files.write(tmp_path / "own.dl1.h5", made)
    source = open_files(tmp_path / "own.dl1.h5", "LSTCam")
    counted = [one["event_id"].values[one["first"].values] for one in chunks_of(source)]
    everything = np.union1d(made.images[1]["event_id"], made.images[2]["event_id"])
    np.testing.assert_array_equal(np.sort(np.concatenate(counted)), everything)


def test_events_that_no_table_knows(ctapipe_files, tmp_path):
    made = ctapipe_files.content()
    lost = made.images[1]["event_id"][3]
    made.events = made.events[made.events["event_id"] != lost]
    ctapipe_files.write(tmp_path / "own.dl1.h5", made)
    (chunk, *_) = chunks_of(open_files(tmp_path / "own.dl1.h5", "LSTCam"))
    assert chunk["event_id"][3] == lost
    assert chunk["multiplicity"][3] == 0
    assert not chunk["first"][3]
    assert np.isnan(chunk["true_energy"][3])
    assert (chunk["multiplicity"][:3] > 0).all()


@pytest.mark.parametrize("version", [4, 6, 7])
def test_older_files_and_tables_by_type_give_the_same(own, ctapipe_files, tmp_path, version):
    other = ctapipe_files.write(tmp_path / "other.dl1.h5", version=version, by_type=version < 7)
    for one, two in zip(chunks_of(open_files(own.path)), chunks_of(open_files(other.path)), strict=True):
        for name in one.variables:
            np.testing.assert_array_equal(one[name], two[name], err_msg=str(name))


def test_cameras_and_telescopes_are_chosen(own):
    counts = {tel_id: len(images) for tel_id, images in own.images.items()}
    assert cameras(own.path) == {"LSTCam": counts[1] + counts[2], "CHEC": counts[5]}
    assert open_files(own.path).camera == "LSTCam"
    assert open_files(own.path, telescopes=[5]).camera == "CHEC"
    source = open_files(own.path, "CHEC")
    assert source.schema().sizes["pixel"] == 36
    assert sum(chunk.sizes["event"] for chunk in chunks_of(source)) == counts[5]
    source = open_files(own.path, telescopes="2")
    assert source == open_files(own.path, telescopes=np.array([2]))
    with pytest.raises(InvalidParameters, match="telescopes"):
        open_files(own.path, telescopes="two")
    assert source.schema().attrs["telescopes"] == (2,)
    chunks = list(chunks_of(source))
    assert {int(one) for chunk in chunks for one in chunk["tel_id"]} == {2}
    assert all(chunk["first"].all() for chunk in chunks), "the lowest number of those that are read"


def test_what_is_not_there_is_said(own):
    source = open_files(own.path, "NectarCam")
    with pytest.raises(UnknownFormat, match=r"no images of camera NectarCam; the file has the cameras LSTCam, CHEC"):
        source.schema()
    (problem,) = source.plan()
    assert problem == Problem(str(own.path), "no images of camera NectarCam; the file has the cameras LSTCam, CHEC", 0)
    reasons = [one.reason for one in open_files(own.path, "LSTCam", (1, 5, 77)).plan() if isinstance(one, Problem)]
    assert reasons == ["no telescope 77", "telescope 5 has the camera CHEC, not LSTCam"]


def test_a_damaged_telescope_does_not_stop_the_others(own):
    with h5py.File(own.path, "r+") as file:
        del file["dl1/event/telescope/images/tel_001"]
        file["dl1/event/telescope/images/tel_001"] = np.zeros(3, [("image", "f4", 37)])
    source = open_files(own.path, "LSTCam")
    problem, *refs = source.plan()
    assert problem.reason.startswith("telescope 1: dl1/event/telescope/images/tel_001: expected obs_id, event_id")
    assert sum(source.read(ref, NOTHING).sizes["event"] for ref in refs) == len(own.images[2])


def test_of_a_damaged_chunk_only_its_images_are_lost(own):
    name = "dl1/event/telescope/images/tel_002"
    with h5py.File(own.path) as file:
        stored = file[name].id.get_chunk_info(2)
        rows = file[name].chunks[0]
    with own.path.open("r+b") as raw:
        raw.seek(stored.byte_offset + stored.size // 2)
        raw.write(b"\xff" * 8)
    data = run(open_files(own.path, "LSTCam"), lambda schema: reduction(schema=schema))
    assert data["n_read"].values.tolist() == [len(own.images[1]), len(own.images[2]) - rows]
    lost = own.images[2]["event_id"][2 * rows : 3 * rows]
    mine = data["event_id"].values[data["tel_id"].values == 2]
    np.testing.assert_array_equal(mine, np.setdiff1d(own.images[2]["event_id"], lost))
    (problem,) = problems_of(data)
    assert problem.part == str(own.path)
    assert "cannot be read" in problem.reason


def test_a_file_that_changes_is_not_mixed_with_itself(own, ctapipe_files, tmp_path):
    source = open_files(own.path)
    ref = next(iter(source.plan()))
    other = ctapipe_files.write(tmp_path / "other.h5", ctapipe_files.content(50, seed=3))
    shutil.copy(other.path, own.path)
    with pytest.raises(ValueError, match="was changed or replaced while it was read"):
        source.read(ref, NOTHING)
    (problem,) = source.plan_file(str(own.path), start=5)
    assert "has grown or changed" in problem.reason
    assert problem.chunks == 0


def test_the_first_readable_file_decides_on_the_camera(own, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    (folder / "a.h5").write_bytes(b"no HDF5")
    shutil.copy(own.path, folder / "b.dl1.h5")
    source = open_files(folder)
    assert source.camera == "LSTCam"
    assert pickle.loads(pickle.dumps(source)) == source
    data = run(source, lambda schema: reduction(schema=schema, parts=()))
    assert int(data["n_read"].sum()) == len(own.images[1]) + len(own.images[2])
    (problem,) = problems_of(data)
    assert problem.part.endswith("a.h5")
    assert "not an HDF5 file" in problem.reason


def test_a_folder_that_is_still_empty(tmp_path, own):
    folder = tmp_path / "later"
    folder.mkdir()
    source = open_files(folder)
    assert source.camera == ""
    with pytest.raises(UnknownFormat, match="no readable file"):
        source.schema()
    shutil.copy(own.path, folder / "own.dl1.h5")
    assert source.schema().attrs["camera"]["name"] == "LSTCam"
    assert sum(chunk.sizes["event"] for chunk in chunks_of(source)) == len(own.images[1]) + len(own.images[2])


def test_probe_goes_by_content(own, shared, tmp_path):
    strange = tmp_path / "strange.h5"
    with h5py.File(strange, "w") as file:
        file["Events"] = [1]
    assert probe(str(own.path)).degree == "exact"
    assert "ctapipe" in probe(str(own.path)).reason
    assert "CTA-ML" in probe(str(shared / "data/dl1/ctaml072_chec_lzo.h5")).reason
    assert probe(str(strange)).degree == "no"
    assert "Telescope_Type_Information" in probe(str(strange)).reason
    assert probe(str(tmp_path)).degree == "exact", "one of the first files of the folder"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert probe(str(empty)).reason == "the folder has no .h5 or .hdf5 or .hdf file"
    assert probe(str(tmp_path / "none.h5")).degree == "no"


def test_a_growing_file_is_not_whole(own, tmp_path):
    source = ImageFiles((str(tmp_path),))
    assert source.whole(str(own.path))
    half = tmp_path / "half.h5"
    half.write_bytes(own.path.read_bytes()[:20000])
    assert not source.whole(str(half))
