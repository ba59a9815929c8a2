"""Frames of every layout and filter, as stored bytes and decoded."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from detcore.core.source import ChunkRef, Problem, TruncatedFile, UnknownFormat
from detcore.eiger.source import FrameFiles, probe
from detcore.eiger.writer import Exposure, write_series


def files(path, **options):
    return FrameFiles((str(path),), **options)


def refs(source, target=None):
    return [item for item in source.plan(target) if isinstance(item, ChunkRef)]


def same(found, frames, numbers=None):
    numbers = list(range(1, len(frames) + 1)) if numbers is None else numbers
    assert list(found) == numbers
    for number in numbers:
        np.testing.assert_array_equal(found[number], frames[number - 1])


@pytest.mark.parametrize("layout", ["links", "vds", "master"])
@pytest.mark.parametrize(
    ("compression", "encoding"),
    [("bslz4", "bslz4"), ("lz4", "lz4"), ("none", "raw"), ("gzip", "raw"), ("zstd", "raw")],
)
def test_every_layout_and_filter_gives_the_frames(series, read_all, layout, compression, encoding):
    frames, master = series(layout=layout, compression=compression)
    source = files(master)
    found, problems = read_all(source)
    assert problems == []
    same(found, frames)
    assert {source.read(ref, frozenset({"payload"})).attrs["encoding"] for ref in refs(source)} == {encoding}
    np.testing.assert_array_equal(source.frame(7), frames[6])
    assert source.n_frames() == 10


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("compression", ["bslz4", "lz4", "none"])
def test_every_depth_gives_the_frames(series, read_all, dtype, compression):
    frames, master = series(dtype=dtype, compression=compression)
    source = files(master)
    same(read_all(source)[0], frames)
    assert source.schema().attrs["dtype"] == np.dtype(dtype).name


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("compression", ["bslz4", "none", "gzip"])
def test_channels_of_a_virtual_data_set(series, read_all, channel, compression):
    mask = np.zeros((3, 37, 50), np.uint32)
    mask[channel, 5, 6] = 2
    frames, master = series(layout="channels", compression=compression, pixel_mask=mask)
    source = files(master, channel=channel)
    same(read_all(source)[0], frames[:, channel])
    assert source.schema().attrs["pixel_mask"].sum() == 2
    np.testing.assert_array_equal(source.frame(10), frames[9, channel])
    other = files(master, channel=(channel + 1) % 3)
    assert other.schema().attrs["pixel_mask"].sum() == 0


def test_a_channel_that_is_not_there_is_named(series):
    _, master = series(layout="channels")
    with pytest.raises(UnknownFormat, match="channel 5"):
        files(master, channel=5).schema()


def test_bare_data_files_keep_their_numbers_and_a_folder_of_them_is_a_series(series, read_all):
    frames, first = series(layout="bare")
    same(read_all(files(first.parent))[0], frames)
    second = first.with_name("a_data_000002.h5")
    same(read_all(files(second))[0], frames, [5, 6, 7, 8])


def test_of_a_folder_with_a_master_each_frame_comes_once(series, read_all):
    frames, master = series()
    found, problems = read_all(files(master.parent))
    same(found, frames)
    assert problems == []


def test_two_masters_follow_one_another(series, read_all, tmp_path):
    frames, one = series()
    _, two = series(folder=tmp_path / "other")
    found, _ = read_all(FrameFiles((str(one), str(two))))
    assert list(found) == list(range(1, 21))
    np.testing.assert_array_equal(found[11], frames[0])


def test_frames_are_chosen_by_number_like_the_original(series, read_all):
    frames, master = series()
    same(read_all(files(master, frames=(3, 9, 2)))[0], frames, [3, 5, 7, 9])
    same(read_all(files(master, frames=(0, 0, 1)))[0], frames)
    same(read_all(files(master, frames=(8, 40, 1)))[0], frames, [8, 9, 10])
    found, problems = read_all(files(master, frames=(11, 0, 1)))
    assert found == {}
    assert "the last one is 10" in str(problems)
    chosen = files(master, frames=(3, 9, 2))
    assert chosen.n_frames() == 4
    assert chosen.size() == sum(ref.weight for ref in refs(chosen)) < files(master).size()


@pytest.mark.parametrize("bad", [(5, 2, 1), (-1, 0, 1), (1, 0, 0), (1, -4, 1)])
def test_impossible_ranges_are_refused(bad):
    with pytest.raises(ValueError, match="frames"):
        FrameFiles(("a",), frames=bad)


def test_chunks_are_cut_at_the_target_and_cover_the_rows(series, read_all):
    frames, master = series(n=12, compression="none", per_file=12)
    one = frames[0].nbytes
    for target, expected in ((one * 5, [5, 5, 2]), (one, [1] * 12), (1, [1] * 12), (None, [12])):
        planned = refs(files(master), target)
        assert [ref.stop - ref.start for ref in planned] == expected
        assert [ref.start for ref in planned] == [0, *np.cumsum(expected)[:-1]]
    same(read_all(files(master), one * 5)[0], frames)


def test_memory_is_read_into_again_only_when_nobody_looks_at_it(series):
    frames, master = series(n=6, compression="none", per_file=6)
    source, columns = files(master), frozenset({"payload"})
    planned = refs(source, frames[0].nbytes)

    def place(values):
        return values.__array_interface__["data"][0]

    first = source.read(planned[0], columns)["payload"].values
    tail, where = first[-100:], place(first)
    del first  # a view is left
    second = source.read(planned[1], columns)["payload"].values
    assert place(second) != where
    assert tail.tobytes() == frames[0].tobytes()[-100:]
    assert second.tobytes() == frames[1].tobytes()
    del tail
    third = source.read(planned[2], columns)["payload"].values
    assert place(third) == where, "the memory that nobody holds is used again"
    assert third.tobytes() == frames[2].tobytes()


def test_chunks_are_as_promised(series):
    _, master = series(pixel_mask=np.zeros((37, 50)))
    source = files(master)
    schema = source.schema()
    chunk = source.read(refs(source)[0], frozenset({"payload", "frame_number"}))
    assert schema.sizes == {"frame": 0, "byte": 0}
    assert {"encoding", "dtype", "shape", "file"} <= set(chunk.attrs)
    assert {name: schema.attrs[name] for name in ("encoding", "dtype", "shape")} == {
        name: chunk.attrs[name] for name in ("encoding", "dtype", "shape")
    }
    assert schema.attrs["pixel_mask"].dtype == np.uint32
    assert chunk.payload_size.attrs == {"sample_dimension": "byte"}
    assert chunk.attrs["file"].endswith("a_data_000001.h5")
    assert not chunk.indexes
    assert not schema.indexes


def test_sources_and_references_travel(series):
    _, master = series()
    source, ref = pickle.loads(pickle.dumps((files(master), refs(files(master))[1])))
    assert source == files(master)
    assert hash(ref) == hash(refs(source)[1])
    assert source.read(ref, frozenset({"payload"})).frame_number.values.tolist() == [5, 6, 7, 8]


def test_without_the_payload_nothing_is_read(series):
    _, master = series()
    source = files(master)
    planned = refs(source)
    for path in source.files():
        os.truncate(path, 100)
    chunk = source.read(planned[0], frozenset({"frame_number"}))
    assert chunk.frame_number.values.tolist() == [1, 2, 3, 4]
    assert "payload" not in chunk


def test_time_stamps_come_along(series):
    _, master = series()
    with h5py.File(master, "r+") as file:
        file["/entry/data/start_time"] = np.arange(10) * 7.5
        file["/entry/data/start_time"].attrs["units"] = "ms"
    source = files(master)
    assert "start_time" in source.schema()
    times = [source.read(ref, frozenset()).start_time.values for ref in refs(source)]
    np.testing.assert_allclose(np.concatenate(times), np.arange(10) * 0.0075)


# -- what is missing


def test_files_that_have_not_come_are_pending_not_zeros(series, read_all):
    frames, master = series(planned=20)
    found, problems = read_all(files(master))
    same(found, frames)
    assert [Path(one.part).name for one in problems] == ["a_data_000004.h5", "a_data_000005.h5"]
    assert all("pending" in one.reason and one.chunks == 0 and one.weight == 0 for one in problems)


@pytest.mark.parametrize("layout", ["links", "vds"])
def test_frames_after_a_missing_file_keep_their_numbers(series, read_all, layout):
    frames, master = series(layout=layout)
    name = "a_data_000002.h5" if layout == "links" else "a_000002.h5"
    (master.parent / name).unlink()
    found, problems = read_all(files(master))
    same(found, frames, [1, 2, 3, 4, 9, 10])
    assert "pending" in str(problems)


def test_numbers_go_on_after_a_missing_file_even_if_the_files_do_not_say(series, read_all):
    frames, master = series()
    for path in master.parent.glob("a_data_*.h5"):
        with h5py.File(path, "r+") as file:
            del file["/entry/data/data"].attrs["image_nr_low"]
    same(read_all(files(master))[0], frames)
    (master.parent / "a_data_000002.h5").unlink()
    same(read_all(files(master))[0], frames, [1, 2, 3, 4, 9, 10])


def test_implausible_numbers_are_not_believed(series, read_all):
    frames, master = series()
    with h5py.File(master.with_name("a_data_000002.h5"), "r+") as file:
        file["/entry/data/data"].attrs["image_nr_low"] = np.int32(2)  # there already
    with h5py.File(master.with_name("a_data_000003.h5"), "r+") as file:
        file["/entry/data/data"].attrs["image_nr_low"] = "nine"
    same(read_all(files(master))[0], frames)


@pytest.mark.parametrize("compression", ["bslz4", "gzip"])
def test_frames_that_were_never_written_are_a_problem_not_zeros(tmp_path, counts, read_all, compression):
    frames = counts(6)
    path = write_series(tmp_path, "a", frames, layout="bare", compression=compression)
    with h5py.File(path, "r+") as file:
        file["/entry/data/data"].resize(9, axis=0)
        file["/entry/data/data"][7] = frames[0]
    found, problems = read_all(files(path))
    assert list(found) == [1, 2, 3, 4, 5, 6, 8]
    assert "2 frames (7, 9): they were never written" in str(problems[0])


def test_a_chunk_stored_without_its_filter_is_raw(tmp_path, counts, read_all):
    frames = counts(5)
    path = write_series(tmp_path, "a", frames[:4], layout="bare")
    with h5py.File(path, "r+") as file:
        data = file["/entry/data/data"]
        data.resize(5, axis=0)
        data.id.write_direct_chunk((4, 0, 0), frames[4].tobytes(), filter_mask=1)
    source = files(path)
    same(read_all(source)[0], frames)
    assert [source.read(ref, frozenset({"payload"})).attrs["encoding"] for ref in refs(source)] == ["bslz4", "raw"]


@pytest.mark.parametrize("keep", [0.4, 0.99])
def test_a_file_that_is_cut_off_says_so(series, read_all, keep):
    frames, master = series(compression="none")
    path = master.with_name("a_data_000002.h5")
    os.truncate(path, int(path.stat().st_size * keep))
    found, problems = read_all(files(master))
    same(found, frames, [1, 2, 3, 4, 9, 10])
    assert "a_data_000002" in problems[0].part
    assert "cut off" in problems[0].reason


def test_a_file_that_is_cut_after_it_was_planned_says_so(series):
    _, master = series()
    source = files(master)
    planned = refs(source)
    path = master.with_name("a_data_000001.h5")
    os.truncate(path, path.stat().st_size - 1500)
    with pytest.raises(TruncatedFile, match=r"expected .* found"):
        source.read(planned[0], frozenset({"payload"}))


def test_a_file_that_is_replaced_after_it_was_planned_says_so(series):
    _, master = series()
    source = files(master)
    planned = refs(source)
    path = master.with_name("a_data_000001.h5")
    other = master.with_name("copy.h5")
    other.write_bytes(path.read_bytes())
    other.replace(path)
    with pytest.raises(ValueError, match="replaced"):
        source.read(planned[0], frozenset({"payload"}))


def test_a_file_of_another_shape_is_one_line(series, counts, tmp_path, read_all):
    frames, master = series()
    write_series(tmp_path / "series", "b", counts(4, shape=(30, 50)), layout="bare")
    (tmp_path / "series/b_data_000001.h5").replace(master.with_name("a_data_000002.h5"))
    found, problems = read_all(files(master))
    same(found, frames, [1, 2, 3, 4, 9, 10])
    assert "(37, 50)" in problems[0].reason
    assert "(30, 50)" in problems[0].reason


def test_no_frames(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("/entry/data/data", (0, 37, 50), "u2", chunks=(1, 37, 50), maxshape=(None, 37, 50))
    source = files(path)
    assert source.n_frames() == 0
    assert source.schema().attrs["shape"] == (37, 50)
    assert ["no frames" in one.reason for one in source.plan()] == [True]
    with pytest.raises(KeyError, match="frame 1 is not in the series"):
        source.frame(1)


@pytest.mark.parametrize("dtype", ["f4", "f8", "S4", "c8"])
def test_a_wrong_type_says_what_was_expected(tmp_path, dtype):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("/entry/data/data", (2, 37, 50), dtype)
    with pytest.raises(UnknownFormat, match="expected whole numbers"):
        files(path).schema()
    assert probe(str(path)).degree == "no"


@pytest.mark.parametrize(("dtype", "found"), [(">u2", "uint16"), ("i4", "uint32"), ("i8", "uint32"), ("u8", "uint32")])
def test_other_whole_numbers_become_unsigned_and_those_without_value_all_ones(tmp_path, read_all, dtype, found):
    values = np.arange(2 * 3 * 5, dtype=dtype).reshape(2, 3, 5)
    none = np.iinfo(found).max
    values[0, 0, 0] = -1 if np.dtype(dtype).kind == "i" else np.iinfo(dtype).max
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("/entry/data/data", data=values, chunks=(1, 3, 5))
    source = files(tmp_path / "a.h5")
    expected = np.where(np.arange(30).reshape(2, 3, 5) == 0, none, np.arange(30).reshape(2, 3, 5))
    same(read_all(source)[0], expected.astype(found))
    assert source.schema().attrs["dtype"] == found


def test_values_that_do_not_fit_are_an_error_not_a_number(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["/entry/data/data"] = np.full((1, 3, 5), 1 << 40)
    source = files(tmp_path / "a.h5")
    with pytest.raises(ValueError, match="do not fit uint32"):
        source.read(refs(source)[0], frozenset({"payload"}))


# -- where frames are


@pytest.mark.parametrize("userblock", [0, 1024])
@pytest.mark.parametrize("chunks", [None, (1, 37, 50), (4, 37, 50), (1, 20, 50), (3, 37, 25)])
def test_any_way_to_lay_a_data_set_out(tmp_path, counts, read_all, chunks, userblock):
    frames = counts(10)
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=userblock) as file:
        file.create_dataset("mine/stack", data=frames, chunks=chunks)
    same(read_all(files(tmp_path / "a.h5"))[0], frames)
    same(read_all(files(tmp_path / "a.h5", dataset="mine/stack"))[0], frames)


def test_lima_files(tmp_path, counts, read_all):
    frames = counts(6)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        place = "entry_0000/ESRF-ID30A3/eiger/data"
        data = file.create_dataset(place, (6, 37, 50), "u2", chunks=(1, 37, 50), **hdf5plugin.Bitshuffle())
        data[...] = frames
        file["entry_0000/measurement/data"] = h5py.SoftLink(f"/{place}")
    source = files(tmp_path / "a.h5")
    same(read_all(source)[0], frames)
    assert probe(str(tmp_path / "a.h5")).degree == "generic"


def test_diamond_files_that_go_round_by_two_more_links(tmp_path, counts, read_all):
    frames = counts(8)
    write_series(tmp_path, "x", frames, layout="vds", per_file=4)
    (tmp_path / "x_master.h5").rename(tmp_path / "x_vds.h5")
    with h5py.File(tmp_path / "x.nxs", "w") as file:
        file["/entry/data/data"] = h5py.ExternalLink("x_vds.h5", "/entry/data/data")
        layout = h5py.VirtualLayout((8, 37, 50), "i8")  # the real ones declare a type that is not the sources'
        layout[...] = h5py.VirtualSource(".", "/entry/data/all", (8, 37, 50))
        file.create_virtual_dataset("/entry/data/again", layout)
        file["/entry/data/all"] = h5py.ExternalLink("x_vds.h5", "/entry/data/data")
    for options in ({}, {"dataset": "/entry/data/again"}):
        source = files(tmp_path / "x.nxs", **options)
        same(read_all(source)[0], frames)
        assert source.schema().attrs["dtype"] == "uint16"


def test_a_virtual_data_set_that_takes_turns(tmp_path, counts, read_all):
    frames = counts(10)
    layout = h5py.VirtualLayout((10, 37, 50), "u2")
    for turn in range(2):
        write_series(tmp_path, f"t{turn}", frames[turn::2], layout="bare")
        layout[turn::2] = h5py.VirtualSource(f"t{turn}_data_000001.h5", "/entry/data/data", (5, 37, 50))
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_virtual_dataset("/entry/data/data", layout)
    found, problems = read_all(files(tmp_path / "m.h5"))
    assert problems == []
    same(dict(sorted(found.items())), frames)


def test_frames_that_are_put_together_from_pieces_are_refused(tmp_path):
    layout = h5py.VirtualLayout((4, 37, 50), "u2")
    layout[:, :, :25] = h5py.VirtualSource("left.h5", "data", (4, 37, 25))
    layout[:, :, 25:] = h5py.VirtualSource("right.h5", "data", (4, 37, 25))
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_virtual_dataset("/entry/data/data", layout)
    with pytest.raises(UnknownFormat, match="several pieces"):
        files(tmp_path / "m.h5").schema()


def test_a_file_that_this_process_has_open_already(series, read_all):
    frames, master = series()
    with h5py.File(master), h5py.File(master.with_name("a_data_000002.h5")):
        same(read_all(files(master))[0], frames)


def test_a_name_that_is_not_there_lists_those_that_are(series):
    _, master = series(layout="master")
    with pytest.raises(UnknownFormat, match=r"no data set 'nowhere'.*/entry/data/data"):
        files(master, dataset="nowhere").schema()


def test_several_stacks_of_different_shape_want_a_name(tmp_path, counts, read_all):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one"], file["two"] = counts(2), counts(3, shape=(20, 30))
    with pytest.raises(UnknownFormat, match=r"/one, /two"):
        files(tmp_path / "a.h5").schema()
    same(read_all(files(tmp_path / "a.h5", dataset="two"))[0], counts(3, shape=(20, 30)))


def test_links_in_the_entry_of_the_first_firmware(series, read_all):
    frames, master = series()
    with h5py.File(master, "r+") as file:
        for name in list(file["/entry/data"]):
            file[f"/entry/{name}"] = file["/entry/data"].get(name, getlink=True)
        del file["/entry/data"]
    same(read_all(files(master))[0], frames)


def test_a_series_that_was_moved_is_found_beside_its_master(series, read_all):
    frames, master = series()
    with h5py.File(master, "r+") as file:
        for name in list(file["/entry/data"]):
            link = file["/entry/data"].get(name, getlink=True)
            del file[f"/entry/data/{name}"]
            file[f"/entry/data/{name}"] = h5py.ExternalLink(f"/gone/away/{link.filename}", link.path)
    same(read_all(files(master))[0], frames)


# -- metadata


def test_metadata(series):
    exposure = Exposure(0.02, beam_center=(11.5, 12.25), detector_distance=0.3, photon_energy=10000.0)
    _, master = series(exposure=exposure, planned=30)
    values = files(master).schema().attrs["metadata"]
    assert values == {
        "frame_time": 0.02,
        "count_time": pytest.approx(0.02 - 3e-6),
        "bit_depth": 16,
        "saturation_value": 65534,
        "photon_energy": 10000.0,
        "wavelength": pytest.approx(1.2398, abs=1e-4),
        "detector_distance": 0.3,
        "pixel_size": (75e-6, 75e-6),
        "beam_center": (11.5, 12.25),
        "description": "Dectris Eiger, written by detcore",
        "start_date": "2026-01-01T00:00:00",
        "n_expected": 30,
        "pixel_mask_applied": False,
        "master": str(master),
    }


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"saturation_value": 999}, 999),
        ({"saturation_value": None, "detectorSpecific/saturation_value": 888}, 888),
        ({"saturation_value": None, "detectorSpecific/countrate_correction_count_cutoff": 700}, 701),
        (
            {"saturation_value": None, "detectorSpecific/detectorModule_000/countrate_correction_count_cutoff": 600},
            601,
        ),
        ({"saturation_value": None}, 65534),
        ({"saturation_value": None, "bit_depth_image": None}, None),
    ],
)
def test_the_saturation_value_wherever_it_is(series, extra, expected):
    _, master = series(exposure=Exposure(extra=extra))
    assert files(master).schema().attrs["metadata"]["saturation_value"] == expected


def test_units_and_other_places(series):
    gone = dict.fromkeys(["frame_time", "count_time", "detector_distance", "detectorSpecific/photon_energy"])
    _, master = series(exposure=Exposure(extra=gone, photon_energy=12000.0))
    with h5py.File(master, "r+") as file:
        for name, value, unit in (("frame_time", 5, "ms"), ("distance", 250.0, "mm")):
            file[f"/entry/instrument/detector/{name}"] = value
            file[f"/entry/instrument/detector/{name}"].attrs["units"] = unit
    values = files(master).schema().attrs["metadata"]
    assert values["frame_time"] == 0.005
    assert values["detector_distance"] == 0.25
    assert values["photon_energy"] == pytest.approx(12000.0)
    assert values["count_time"] is None


def test_a_mask_of_another_shape_is_not_used_and_that_is_said(series, read_all):
    _, master = series(pixel_mask=np.ones((5, 5)))
    source = files(master)
    assert source.schema().attrs["pixel_mask"] is None
    assert "(5, 5)" in str(read_all(source)[1])


@pytest.mark.parametrize("place", ["detector/pixel_mask", "detector/detectorSpecific/pixel_mask"])
def test_the_mask_wherever_it_is(series, place):
    _, master = series()
    mask = np.zeros((37, 50), np.int32)
    mask[2, 3] = 1 << 8
    with h5py.File(master, "r+") as file:
        file[f"/entry/instrument/{place}"] = mask
    np.testing.assert_array_equal(files(master).schema().attrs["pixel_mask"], mask)


# -- real files


@pytest.mark.parametrize("name", ["synth500k_u16", "synth500k_vds_u32", "synth500k_aborted"])
def test_truth(shared, name):
    folder = shared / "data/eiger"
    source = files(folder / f"{name}_master.h5")
    truth = np.load(folder / f"{name}_truth.npz")["sums_le_4500"]
    assert source.n_frames() == len(truth)
    for number in (1, len(truth) // 2, len(truth)):
        frame = source.frame(number)
        assert frame[frame <= 4500].sum(dtype=np.int64) == truth[number - 1]
    pending = [one for one in source.plan() if isinstance(one, Problem)]
    assert len(pending) == (3 if "aborted" in name else 0)
    assert source.schema().attrs["dtype"] == ("uint32" if "u32" in name else "uint16")


def test_detector_files_without_master(shared, read_all):
    folder = shared / "data/eiger"
    for name, shape, dtype in (
        ("eiger1_testmode10_2datafiles_4images_bslz4", (1065, 1030), "uint16"),
        ("eiger2_simread7_2datafiles_4images_bslz4", (512, 1028), "uint16"),
        ("eiger2_simread7_2datafiles_4images_bslz4_uint8", (512, 1028), "uint8"),
        ("eiger2_simread7_2datafiles_4images_bslz4_uint32", (512, 1028), "uint32"),
    ):
        paths = tuple(str(folder / f"{name}_data_00000{k}.h5") for k in (1, 2))
        source = FrameFiles(paths)
        schema = source.schema()
        assert (schema.attrs["shape"], schema.attrs["dtype"]) == (shape, dtype)
        assert probe(paths[0]).degree == "exact"
        found, problems = read_all(source)
        assert problems == []
        expected = []
        for path in paths:
            with h5py.File(path) as file:
                expected.append(file["/entry/data/data"][()])
        same(found, np.concatenate(expected))


def test_the_small_series_of_the_makers(shared, read_all):
    folder = shared / "data/eiger/dectris_artificial_small_001"
    source = files(folder / "test_master.h5")
    with h5py.File(folder / "test_data_000001.h5") as file:
        same(read_all(source)[0], file["/entry/data/data"][()])
    schema = source.schema()
    assert schema.attrs["encoding"] == "lz4"
    assert schema.attrs["pixel_mask"].shape == (13, 11)
    assert schema.attrs["metadata"]["n_expected"] == 5
    assert schema.attrs["metadata"]["frame_time"] is None


def test_a_real_master_without_its_data(shared):
    source = files(shared / "data/eiger/real_dls_nxmx_master_only.nxs")
    problems = list(source.plan())
    assert len(problems) == 1
    assert "pending" in problems[0].reason
    assert problems[0].part.endswith("Therm_6_2_000001.h5")
    with pytest.raises(UnknownFormat, match=r"Therm_6_2_000001.h5: pending"):
        source.schema()
    assert source.files() == []
    assert probe(str(shared / "data/eiger/real_dls_nxmx_master_only.nxs")).degree == "exact"


# -- probe


def test_probe(series, tmp_path):
    for layout in ("links", "vds", "master", "channels", "bare"):
        _, master = series(layout=layout, folder=tmp_path / layout)
        expected = "generic" if layout == "none" else "exact"
        assert probe(str(master)).degree == expected
        assert probe(str(tmp_path / layout)).degree == expected
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        file["mine"] = np.zeros((3, 4, 5), np.uint16)
    assert probe(str(tmp_path / "stack.h5")).degree == "generic"
    with h5py.File(tmp_path / "table.h5", "w") as file:
        file["mine"] = np.zeros((3, 4))
    assert probe(str(tmp_path / "table.h5")).degree == "no"
    (tmp_path / "text.h5").write_text("hello")
    assert "not an HDF5 file" in probe(str(tmp_path / "text.h5")).reason
    (tmp_path / "empty").mkdir()
    assert "no .h5" in probe(str(tmp_path / "empty")).reason


def test_catching_up_takes_every_kth_frame_and_shows_it(series):
    _, master = series(n=40, per_file=40)
    source = files(master)
    (path,) = source.files()
    bytes_there = int(source.size())
    looked = replace(source, backlog=bytes_there // 3).catch_up({path: 0})
    planned = list(looked.plan_file(path, 0))
    numbers = np.concatenate([looked.read(ref, frozenset({"payload"})).frame_number.values for ref in planned])
    assert numbers.tolist() == list(range(1, 41, 4))
    assert planned[-1].stop == 40
    for unread in ({path: 35}, {}):
        assert replace(source, backlog=bytes_there // 3).catch_up(unread).every == 1
    assert replace(source, backlog=0).catch_up({path: 0}).every == 1
