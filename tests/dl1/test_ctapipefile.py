"""DL1 files of ctapipe: the real ones, and small ones of each version of the data model."""

from __future__ import annotations

import pickle
import threading
from typing import TYPE_CHECKING, Any

import h5py
import hdf5plugin  # noqa: F401 - blosc
import numpy as np
import pandas as pd
import pytest
import tables

from detcore import dl1
from detcore.core.source import TruncatedFile, UnknownFormat
from detcore.dl1.files import attributes, hdffile, lru
from detcore.dl1.files.model import EVENT_UNITS

if TYPE_CHECKING:
    from pathlib import Path

VERSIONS = (4, 5, 6, 7)


def raw(path: Path, name: str) -> Any:
    with h5py.File(path, "r") as file:
        return file[name][()]


def with_images(file: dl1.Dl1File) -> list[int]:
    return [tel_id for tel_id in file.telescopes.index if file.n_images(tel_id)]


@pytest.fixture(autouse=True)
def _forget() -> None:
    lru.CHUNKS.clear()


# --- the real files ---------------------------------------------------------------------------------------------------


def test_real_images_are_bit_equal(real_file: Path) -> None:
    with dl1.open(real_file) as file:
        assert file.format == "ctapipe v7.1.0"
        found = with_images(file)
        assert found
        for tel_id in found:
            table = raw(real_file, f"dl1/event/telescope/images/tel_{tel_id:03d}")
            true = raw(real_file, f"simulation/event/telescope/images/tel_{tel_id:03d}")
            data = file.rows(tel_id)
            assert file.n_images(tel_id) == len(table) == data.sizes["event"]
            for name in ("image", "peak_time", "image_mask"):
                np.testing.assert_array_equal(data[name], table[name])
            np.testing.assert_array_equal(data["true_image"], true["true_image"])
            for name in ("obs_id", "event_id", "tel_id"):
                np.testing.assert_array_equal(data[name], table[name])
                assert data[name].dtype == np.int64
            np.testing.assert_array_equal(data["row"], np.arange(len(table)))
            assert {one: str(data[one].dtype) for one in ("image", "peak_time", "image_mask")} == {
                "image": "float32",
                "peak_time": "float32",
                "image_mask": "bool",
            }
            assert (data["image"].attrs["units"], data["peak_time"].attrs["units"]) == ("p.e.", "ns")
            assert not data.indexes
            assert data.attrs["camera"] is file.camera(tel_id)
            pd.testing.assert_frame_equal(
                file.keys(tel_id), data[["obs_id", "event_id"]].to_dataframe(), check_names=False
            )


def test_real_telescopes_and_cameras(real_file: Path) -> None:
    layout = raw(real_file, "configuration/instrument/subarray/layout")
    optics = raw(real_file, "configuration/instrument/telescope/optics")
    with dl1.open(real_file) as file:
        table = file.telescopes
        assert table.index.tolist() == layout["tel_id"].tolist()
        for axis in "xyz":
            np.testing.assert_array_equal(table[axis], layout[f"pos_{axis}"])
        assert table.attrs["units"] == {"x": "m", "y": "m", "z": "m", "focal_length": "m"}
        for row in layout:
            tel_id = int(row["tel_id"])
            camera = file.camera(tel_id)
            geometry = raw(real_file, f"configuration/instrument/telescope/camera/geometry_{row['camera_index']}")
            np.testing.assert_array_equal(camera.pixel_x, geometry["pix_x"])
            np.testing.assert_array_equal(camera.pixel_area, geometry["pix_area"])
            assert camera.focal_length == optics["effective_focal_length"][row["optics_index"]]
            name = row["camera_name"].decode()
            assert table.loc[tel_id, ["camera", "n_pixels"]].tolist() == [name, len(geometry)]
            assert table.loc[tel_id, "type"] == f"{row['optics_name'].decode()}_{name}"
            assert camera.shape == ("square" if name == "CHEC" else "hexagon")
            # the stored angle is that of the grid the pixels sit on
            grid = dl1.camera_of_positions(name, camera.pixel_x, camera.pixel_y)
            assert (camera.rotation - grid.rotation + 30) % 60 == pytest.approx(30, abs=1e-4)


def test_telescopes_share_a_camera(shared: Path) -> None:
    with dl1.open(shared / "data/dl1/camsettings_v6.dl1.h5") as file:
        assert file.camera(2) is file.camera(3)
        assert file.camera(2) == file.camera(3) != file.camera(19)
        assert file.n_images(19) == 1
        assert file.n_images(6) == 0
        empty = file.rows(6)
        assert empty["image"].shape == (0, 1855)
        assert list(file.images(6)) == []
        assert not len(file.keys(6))
        assert file.parameters(6) is None


def test_real_events(real_file: Path) -> None:
    trigger = raw(real_file, "dl1/event/subarray/trigger")
    shower = raw(real_file, "simulation/event/subarray/shower")
    with dl1.open(real_file) as file:
        events, tel_ids = file.events, file.telescopes.index.to_numpy()
    for name in ("obs_id", "event_id", "event_type"):
        np.testing.assert_array_equal(events[name], trigger[name])
    assert events["tels_with_trigger"].tolist() == [
        tuple(tel_ids[mask.astype(bool)].tolist()) for mask in trigger["tels_with_trigger"]
    ]
    np.testing.assert_array_equal(events["multiplicity"], trigger["tels_with_trigger"].sum(axis=1))
    np.testing.assert_array_equal(events["event_id"], shower["event_id"])  # in these files
    for name in (*EVENT_UNITS, "true_shower_primary_id"):
        np.testing.assert_array_equal(events[name], shower[name])
    assert events.attrs["units"] == {"time": "TAI", **EVENT_UNITS}


def test_real_times_are_those_of_astropy(real_file: Path, ctapipe: Any) -> None:
    from astropy.time import Time  # noqa: PLC0415 - comes with ctapipe

    stored = raw(real_file, "dl1/event/subarray/trigger")["time"]  # s and quarters of ns since 1970 TAI
    times = Time(stored[:, 0], stored[:, 1] * 0.25e-9, format="unix_tai", scale="tai")
    with dl1.open(real_file) as file:
        own = file.events["time"].tolist()
    times.precision = 9
    assert own == times.isot.tolist()


def test_real_parameters(real_file: Path) -> None:
    with dl1.open(real_file) as file:
        for tel_id in with_images(file):
            table = raw(real_file, f"dl1/event/telescope/parameters/tel_{tel_id:03d}")
            found = file.parameters(tel_id)
            assert found is not None
            assert list(found) == list(table.dtype.names)
            for name in table.dtype.names:
                np.testing.assert_array_equal(found[name], table[name])
            assert found.attrs["units"]["hillas_length"] == "deg"
            assert "hillas_intensity" not in found.attrs["units"]


def test_real_header_and_metadata(real_file: Path) -> None:
    run = raw(real_file, "configuration/simulation/run")
    with dl1.open(real_file) as file:
        assert file.header["energy_range_max"] == (run["energy_range_max"][0], "TeV")
        assert file.header["max_viewcone_radius"] == (run["max_viewcone_radius"][0], "deg")
        assert file.header["n_showers"] == (run["n_showers"][0], "")
        assert file.metadata["CTA PRODUCT DATA MODEL VERSION"] == "v7.1.0"
        assert file.metadata["CTA PROCESS SUBTYPE"] == ""
        assert "FILTERS" not in file.metadata


def test_any_chunks_give_the_same(shared: Path) -> None:
    path = shared / "data/dl1/gct_checs_muons.dl1.h5"
    with dl1.open(path) as file:
        whole = file.rows(1)
        assert file.chunk_rows(1) == 14
        for chunk, sizes in ((None, [20]), (1, [1] * 20), (8, [8, 8, 4]), (14, [14, 6]), (15, [15, 5]), (99, [20])):
            parts = list(file.images(1, chunk=chunk))
            assert [part.sizes["event"] for part in parts] == sizes
            for name in whole.data_vars:
                np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), whole[name])
        with pytest.raises(ValueError, match="at least one image"):
            list(file.images(1, chunk=0))


# --- each version of the data model -----------------------------------------------------------------------------------


@pytest.mark.parametrize("by_type", [False, True], ids=["by telescope", "by type"])
@pytest.mark.parametrize("version", VERSIONS)
def test_versions(version: int, by_type: bool, ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5", version=version, by_type=by_type)
    with dl1.open(made.path) as file:
        assert file.format == f"ctapipe v{version}.0.0"
        table = file.telescopes
        assert table["camera"].tolist() == ["LSTCam", "LSTCam", "CHEC"]
        assert table["type"].tolist() == ["LST_LSTCam", "LST_LSTCam", "GCT_CHEC"]
        # CHEC's effective one is not known
        assert table["focal_length"].tolist() == [28.0 if version < 5 else 29.3] * 2 + [2.283]
        assert (file.camera(1).shape, file.camera(5).shape) == ("hexagon", "square")
        assert file.camera(1) is file.camera(2)
        for tel_id, images in made.images.items():
            assert file.n_images(tel_id) == len(images) > 5
            for data in (file.rows(tel_id), file.rows(tel_id, indices=np.arange(len(images)))):
                for name in images.dtype.names:
                    np.testing.assert_array_equal(data[name], images[name])
                assert (data["tel_id"] == tel_id).all()
                np.testing.assert_array_equal(data["row"], np.arange(len(images)))
            keys = file.keys(tel_id)
            np.testing.assert_array_equal(keys["event_id"], images["event_id"])
            parts = list(file.images(tel_id, chunk=4))
            assert len(parts) > 1
            np.testing.assert_array_equal(np.concatenate([one["image"] for one in parts]), images["image"])
            found = file.parameters(tel_id)
            assert found is not None
            for name in made.parameters[tel_id].dtype.names:
                np.testing.assert_array_equal(found[name], made.parameters[tel_id][name])
            assert found.attrs["units"] == {"hillas_length": "deg"}
            one = file.image_of(tel_id, 7, int(images["event_id"][3]))
            np.testing.assert_array_equal(one["image"][0], images["image"][3])
            with pytest.raises(KeyError, match="no image of event 5 of run 7"):
                file.image_of(tel_id, 7, 5)


@pytest.mark.parametrize("version", VERSIONS)
def test_events_of_versions(version: int, ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5", version=version)
    with dl1.open(made.path) as file:
        events, header = file.events, file.header
    np.testing.assert_array_equal(events["event_id"], made.events["event_id"])
    np.testing.assert_array_equal(events["event_type"], made.events["event_type"])
    off = abs(pd.to_datetime(events["time"]).to_numpy("M8[ns]") - made.events["time"])
    # a double holds the days since 1858 to about a microsecond
    assert off.max() <= np.timedelta64(0 if version >= 7 else 1500, "ns")
    assert events["time"].str.len().eq(29 if version >= 7 else 26).all()
    tel_ids = np.array(list(ctapipe_files.TELESCOPES))
    assert events["tels_with_trigger"].tolist() == [tuple(tel_ids[one].tolist()) for one in made.events["mask"]]
    truth = pd.DataFrame(made.shower).set_index("event_id")
    simulated = events.iloc[:-1].set_index("event_id")
    for name in EVENT_UNITS:  # az was written in radians
        np.testing.assert_allclose(simulated[name], truth[name].reindex(simulated.index), rtol=1e-12)
    assert events[list(EVENT_UNITS)].iloc[-1].isna().all()
    assert events["true_shower_primary_id"].tolist() == [101] * (len(events) - 1) + [-9999]
    assert header == {"obs_id": (7, ""), "energy_range_min": (0.003, "TeV"), "shower_reuse": (10, "")}


@pytest.mark.parametrize(
    "way", [("i4", 10.0, 0), ("i2", 100.0, 0), ("i2", 50.0, 300), ("u2", 100.0, 20000), ("i4", 1e6, -5)], ids=str
)
def test_fixed_point(way: tuple[str, float, int], ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.content()
    images = made.images[1]
    images["image"][0, :3] = np.nan, np.inf, -np.inf
    images["peak_time"][2, 5] = np.nan
    ctapipe_files.write(tmp_path / "a.h5", made, fixed_point=way)
    with dl1.open(made.path) as file:
        data = file.rows(1)
    for name in ("image", "peak_time"):
        assert data[name].dtype == np.float32
        # half a step, and rounding to float32
        np.testing.assert_allclose(data[name], images[name], atol=0.5001 / way[1] + 1e-5)
        kind, scale, offset = way
        raw_, _ = ctapipe_files.stored(images[name], kind, scale, offset)
        finite = np.isfinite(images[name])
        expected = ((raw_.astype("f8") - offset) / scale).astype("f4")
        np.testing.assert_array_equal(data[name].values[finite], expected[finite])


def test_fixed_point_is_that_of_ctapipe(ctapipe_files: Any, tmp_path: Path, ctapipe: Any) -> None:
    from ctapipe.io import read_table  # noqa: PLC0415 - the extra may be missing

    made = ctapipe_files.write(tmp_path / "a.h5", version=6, fixed_point=("i2", 50.0, 300), enum=int)
    theirs = read_table(made.path, "/dl1/event/telescope/images/tel_001")
    with dl1.open(made.path) as file:
        data = file.rows(1)
    for name in ("image", "peak_time"):
        np.testing.assert_allclose(data[name], theirs[name], rtol=1e-6)
    np.testing.assert_array_equal(data["image_mask"], theirs["image_mask"])


def test_without_codes_of_its_own_fixed_point_has_the_usual() -> None:
    column = attributes.Column("image", transform="fixed_point", scale=10, offset=0)
    signed = column.decode(np.array([-32768, -32767, -32766, 0, 32767], "i2"))
    np.testing.assert_array_equal(signed, np.float32([-np.inf, np.nan, -3276.6, 0, np.inf]))
    unsigned = column.decode(np.array([0, 65533, 65534, 65535], "u2"))
    np.testing.assert_array_equal(unsigned, np.float32([0, -np.inf, np.nan, np.inf]))


@pytest.mark.parametrize(
    ("change", "values"),
    [({"scale": 0.0}, [1]), ({"scale": np.nan}, [1]), ({"offset": np.inf}, [1]), ({}, [1.5])],
)
def test_impossible_fixed_point_is_refused(change: dict[str, float], values: list[Any]) -> None:
    with pytest.raises(ValueError, match="column image: expected integers with a scale"):
        attributes.Column("image", transform="fixed_point", **change).decode(np.array(values))


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        ("mjd", 0.0, "1858-11-17T00:00:00"),
        ("", 59000.5, "2020-05-31T12:00:00"),
        ("mjd", 110000.25, "2160-01-18T06:00:00"),
        ("jd", 2440587.5, "1970-01-01T00:00:00"),
        ("unix_tai", 1e9, "2001-09-09T01:46:40"),
        ("mjd", np.nan, "NaT"),
        ("mjd", 1e300, "NaT"),
        ("mjd", -1e6, "NaT"),
    ],
)
def test_times(form: str, value: float, text: str) -> None:
    found = attributes.times(np.array([value]), form)
    assert found.dtype == np.dtype("M8[ns]")
    assert np.datetime_as_string(found, unit="s")[0] == text


@pytest.mark.parametrize("form", ["isot", "ctao_high_res"])
def test_times_of_other_kinds_are_refused(form: str) -> None:
    with pytest.raises(ValueError, match=f"column time: expected .*{form}"):
        attributes.times(np.array([1.0]), form)


@pytest.mark.parametrize(
    ("found", "expected", "factor"), [("rad", "deg", 180 / np.pi), ("GeV", "TeV", 1e-3), ("km", "m", 1e3), ("", "m", 1)]
)
def test_units(found: str, expected: str, factor: float) -> None:
    np.testing.assert_allclose(attributes.converted(np.ones(2), found, expected, "x"), factor)


def test_unknown_units_are_refused() -> None:
    with pytest.raises(ValueError, match="a: expected a unit like m, found 'TeV'"):
        attributes.converted(np.ones(2), "TeV", "m", "a")


# --- attributes are never unpickled -----------------------------------------------------------------------------------


def test_nothing_is_unpickled(ctapipe_files: Any, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    trap = ctapipe_files.Trap(sprung)
    made = ctapipe_files.write(tmp_path / "a.h5", enum=trap)
    bait = np.bytes_(pickle.dumps(trap, 0))
    with h5py.File(made.path, "r+") as file:
        file.attrs["bait"] = bait
        file.attrs["FILTERS"] = bait

        def spread(_: str, item: Any) -> None:
            for name in ("TITLE", "bait", "PIX_ROT", "CTAFIELD_3_TRANSFORM_SCALE", "CTAFIELD_0_DESC", "NROWS"):
                if name not in item.attrs or name != "PIX_ROT":
                    item.attrs[name] = bait

        file.visititems(spread)
    with dl1.open(made.path) as file:
        assert file.metadata["bait"].endswith("bytes of pickled Python, not read)")
        assert len(file.telescopes) == 3
        assert len(file.rows(1)["image"]) == len(made.images[1])
        assert file.parameters(1) is not None
        assert file.header
        assert len(file.events) == len(made.events)
    assert not sprung.exists()
    with tables.open_file(made.path) as file:  # what would have happened
        _ = file.root._v_attrs["bait"]
    assert sprung.exists()


def test_strange_attributes_are_passed_over(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["number"], file.attrs["text"], file.attrs["vector"] = 3, "déjà", np.arange(4)
        file.attrs["long"] = np.bytes_(b"x" * 60000)
        file.attrs["bytes"] = np.bytes_(b"a\xff")
        file.attrs["ragged"] = h5py.Empty("S1")
        file.attrs.create("reference", file.ref, dtype=h5py.ref_dtype)
        file.attrs["one"] = np.array([2.5])
        found = {name: attributes.attribute(file, name) for name in [*file.attrs, "none"]}
        assert attributes.texts(file)["text"] == "déjà"
    assert found == {
        "number": 3,
        "text": "déjà",
        "vector": None,
        "long": "x" * 60000,
        "bytes": "a\N{REPLACEMENT CHARACTER}",
        "ragged": "",
        "reference": None,
        "one": 2.5,
        "none": None,
    }


# --- rows -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_type", [False, True], ids=["by telescope", "by type"])
def test_rows_in_any_order(by_type: bool, ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5", by_type=by_type)
    images = made.images[2]
    with dl1.open(made.path) as file:
        for chosen in ([5, 0, 5, len(images) - 1], [], np.array([3], "u1")):
            data = file.rows(2, indices=chosen)
            np.testing.assert_array_equal(data["image"], images["image"][np.asarray(chosen, int)])
            np.testing.assert_array_equal(data["true_image"], images["true_image"][np.asarray(chosen, int)])
            np.testing.assert_array_equal(data["row"], chosen)
            assert set(data.data_vars) == set(file.rows(2).data_vars)
        for start, stop in ((0, 1), (3, 9), (4, 8), (7, None), (len(images), None), (2, 2)):
            data = file.rows(2, start, stop)
            np.testing.assert_array_equal(data["image"], images["image"][start:stop])
            np.testing.assert_array_equal(data["image_mask"], images["image_mask"][start:stop])
        for wrong in ((-1, 2), (0, len(images) + 1), (3, 2)):
            with pytest.raises(IndexError, match=f"has {len(images)} images; asked for rows"):
                file.rows(2, *wrong)
        for indices in ([-1], [len(images)]):
            with pytest.raises(IndexError, match=f"has {len(images)} images"):
                file.rows(2, indices=indices)
        with pytest.raises(IndexError, match="expected numbers, found float64"):
            file.rows(2, indices=[0.5])
        with pytest.raises(KeyError, match="no telescope 3; there are 1, 2, 5"):
            file.rows(3)


def test_random_rows_remember_chunks_and_streams_do_not(
    ctapipe_files: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5", drop=("/simulation",))
    reads: list[tuple[int, int]] = []
    plain = hdffile.read_rows

    def counted(table: Any, start: int, stop: int) -> Any:
        reads.append((start, stop))
        return plain(table, start, stop)

    with dl1.open(made.path) as file:
        list(file.images(1))
        file.rows(1)
        assert not len(lru.CHUNKS)
        monkeypatch.setattr(hdffile, "read_rows", counted)
        for row in (5, 6, 4, 7):  # of one chunk
            np.testing.assert_array_equal(file.rows(1, indices=[row])["image"][0], made.images[1]["image"][row])
        file.rows(1, 5, 7)  # shorter than a chunk
        assert reads == [(4, 8)]
        file.rows(1, indices=[0, 5])
        assert reads == [(4, 8), (0, 4)]
        assert len(lru.CHUNKS) == 2


def test_remembered_chunks_are_bounded() -> None:
    known = lru.DecodedChunks(1000)
    made: list[int] = []

    def chunk(key: int, size: int = 300) -> Any:
        def make() -> Any:
            made.append(key)
            return np.full(size, key, "u1")

        return known.get(key, make)

    for key in (1, 2, 3, 1, 4):  # 2 goes, for 1 was used since
        assert chunk(key)[0] == key
    assert (made, len(known), known.nbytes) == ([1, 2, 3, 4], 3, 900)
    assert 2 not in known
    assert chunk(5, 2000).nbytes == 2000  # handed through
    assert 5 not in known
    assert known.nbytes == 900
    with pytest.raises(ValueError, match="read-only"):
        chunk(4)[0] = 1
    known.clear()
    assert (len(known), known.nbytes) == (0, 0)


def test_threads_read_one_file(ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5")
    wrong: list[str] = []

    def read(seed: int, file: dl1.Dl1File) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(20):
            tel_id = int(rng.choice([1, 2, 5]))
            images = made.images[tel_id]
            rows = rng.integers(0, len(images), 3)
            if not np.array_equal(file.rows(tel_id, indices=rows)["image"], images["image"][rows]):
                wrong.append(f"rows {rows} of {tel_id}")

    with dl1.open(made.path) as file:
        threads = [threading.Thread(target=read, args=(seed, file)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_truth_is_found_by_event_where_rows_differ(ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5")
    images = made.images[1]
    name = "/simulation/event/telescope/images/tel_001"
    with tables.open_file(str(made.path), "r+") as file:
        rows = file.get_node(name).read()[::-1][2:]  # another order, and two events without
        attrs = file.get_node(name).attrs._v_attrnamesuser
        assert attrs == []
        file.remove_node(name)
        file.create_table(*name.rsplit("/", 1), rows)
    expected = images["true_image"].copy()
    expected[-2:] = -1
    with dl1.open(made.path) as file:
        np.testing.assert_array_equal(file.rows(1)["true_image"], expected)
        np.testing.assert_array_equal(file.rows(1, indices=[9, len(images) - 1])["true_image"], expected[[9, -1]])
    with tables.open_file(str(made.path), "r+") as file:
        rows = file.get_node(name).read()
        rows = np.concatenate([rows[:2], rows])[: len(images)]  # as many, but others; one event twice
        file.remove_node(name)
        file.create_table(*name.rsplit("/", 1), rows)
    with dl1.open(made.path) as file:
        np.testing.assert_array_equal(file.rows(1)["true_image"], expected)


def test_keys_come_from_the_images_when_parameters_differ(ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5")
    name = "/dl1/event/telescope/parameters/tel_001"
    with tables.open_file(str(made.path), "r+") as file:
        file.get_node(name).modify_column(column=np.array([3]), colname="event_id", start=0, stop=1)
    with dl1.open(made.path) as file:
        np.testing.assert_array_equal(file.keys(1)["event_id"], made.images[1]["event_id"])
    ctapipe_files.write(tmp_path / "b.h5", made, drop=("/dl1/event/telescope/parameters",))
    with dl1.open(made.path) as file:
        np.testing.assert_array_equal(file.keys(1)["event_id"], made.images[1]["event_id"])
        assert file.parameters(1) is None


def test_tables_that_disagree_are_told(ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5")
    events = made.images[1]["event_id"]
    with tables.open_file(str(made.path), "r+") as file:  # two rows that no sample looks at
        node = file.get_node("/dl1/event/telescope/parameters/tel_001")
        node.modify_column(column=events[[2, 1]], colname="event_id", start=1, stop=3)
    with dl1.open(made.path) as file:
        with pytest.raises(
            ValueError, match=f"should be of event {events[2]} of run 7, but it is of event {events[1]}"
        ):
            file.image_of(1, 7, int(events[2]))
        np.testing.assert_array_equal(file.rows(1)["event_id"], events)


def test_what_callers_do_to_tables_is_theirs(ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5")
    with dl1.open(made.path) as file:
        for name in ("events", "telescopes"):
            table = getattr(file, name)
            table["new"] = 1
            table.attrs["units"]["new"] = "m"
            assert "new" not in getattr(file, name)
            assert "new" not in getattr(file, name).attrs["units"]
        keys = file.keys(1)
        keys.loc[0, "event_id"] = 0
        assert file.keys(1)["event_id"].iloc[0] == made.images[1]["event_id"][0]


def test_a_file_without_events(ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.content()
    made.events, made.shower = made.events[:0], made.shower[:0]
    for tel_id in made.images:
        made.images[tel_id], made.parameters[tel_id] = made.images[tel_id][:0], made.parameters[tel_id][:0]
    ctapipe_files.write(tmp_path / "a.h5", made)
    with dl1.open(made.path) as file:
        assert len(file.events) == 0
        assert list(file.events)[:4] == ["obs_id", "event_id", "event_type", "time"]
        assert file.n_images(1) == 0
        assert file.rows(1)["image_mask"].shape == (0, 37)
        assert list(file.images(1)) == []
        assert file.rows(1, indices=[])["true_image"].shape == (0, 37)
        found = file.parameters(1)
        assert found is not None
        assert not len(found)


def test_two_gain_channels_give_the_first(ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5")
    name = "/dl1/event/telescope/images/tel_001"
    images = made.images[1]
    kinds = [
        ("obs_id", "i4"),
        ("event_id", "i8"),
        ("tel_id", "i2"),
        ("image", "f4", (2, 37)),
        ("peak_time", "f4", (2, 37)),
    ]
    rows = np.zeros(len(images), kinds)
    rows["event_id"], rows["obs_id"] = images["event_id"], images["obs_id"]
    rows["image"] = images["image"][:, None] * [[1], [0.1]]
    with tables.open_file(str(made.path), "r+") as file:
        file.remove_node(name)
        file.create_table(*name.rsplit("/", 1), rows)
    with dl1.open(made.path) as file:
        data = file.rows(1)
    np.testing.assert_array_equal(data["image"], images["image"])
    assert "image_mask" not in data


def test_files_without_simulation_images_or_times(ctapipe_files: Any, tmp_path: Path) -> None:
    drop = ("/simulation", "/dl1/event/telescope/images", "/configuration/simulation")
    made = ctapipe_files.write(tmp_path / "a.h5", drop=drop)
    with dl1.open(made.path) as file:
        assert not [name for name in file.events if name.startswith("true_")]
        assert file.header == {}
        assert [file.n_images(tel_id) for tel_id in (1, 2, 5)] == [0, 0, 0]
        found = file.parameters(1)
        assert found is not None
        assert len(found) == len(made.parameters[1])


# --- hostile and broken files -----------------------------------------------------------------------------------------


def rewrite(path: Path, name: str, change: Any) -> None:
    """Replace a table by what `change` makes of its rows; attributes are kept."""
    with h5py.File(path, "r+") as file:
        rows, kept = file[name][()], dict(file[name].attrs)
        del file[name]
        if (rows := change(rows)) is not None:
            file[name] = rows
            file[name].attrs.update(kept)


def without(column: str) -> Any:
    return lambda rows: np.lib.recfunctions.drop_fields(rows, column)


def another(column: str, kind: Any) -> Any:
    def change(rows: Any) -> Any:
        kinds = [(name, kind if name == column else rows.dtype[name]) for name in rows.dtype.names]
        made = np.zeros(len(rows), kinds)
        for name in rows.dtype.names:
            if name != column:
                made[name] = rows[name]
        return made

    return change


TRIGGER = "dl1/event/subarray/trigger"
LAYOUT = "configuration/instrument/subarray/layout"
IMAGES = "dl1/event/telescope/images/tel_001"
SHOWER = "simulation/event/subarray/shower"
GEOMETRY = "configuration/instrument/telescope/camera/geometry_0"
OPTICS = "configuration/instrument/telescope/optics"
BROKEN = {
    "no event ids": (TRIGGER, without("event_id"), "events", "missing: event_id"),
    "event ids of text": (TRIGGER, another("event_id", "S4"), "events", "expected an integer in each row of event_id"),
    "huge event ids": (TRIGGER, another("event_id", "u8"), "events", "expected an integer"),
    "no trigger mask": (TRIGGER, without("tels_with_trigger"), "events", "missing: tels_with_trigger"),
    "mask of another array": (TRIGGER, another("tels_with_trigger", ("u1", 9)), "events", "mask of the 3 telescopes"),
    "no trigger": (TRIGGER, lambda rows: None, "events", "trigger is missing"),
    "text for energy": (SHOWER, another("true_energy", "S4"), "events", "true_energy: expected a number"),
    "matrix for energy": (SHOWER, another("true_energy", ("f8", 2)), "events", "true_energy: expected a number"),
    "no positions": (LAYOUT, without("pos_x"), "telescopes", "missing: pos_x"),
    "no telescopes": (LAYOUT, lambda rows: rows[:0], "telescopes", "expected 1 to"),
    "telescopes twice": (LAYOUT, lambda rows: rows[[0, 0, 1]], "telescopes", "a number each"),
    "optics out of range": (OPTICS, lambda rows: rows[:1], "telescopes", "optics_index up to 1, but there are 1"),
    "layout is no table": (LAYOUT, lambda rows: np.arange(3), "telescopes", "is not a table"),
    "camera without area": (GEOMETRY, without("pix_area"), "images", "missing: pix_area"),
    "no such camera": (GEOMETRY, lambda rows: None, "images", "geometry_0 is missing"),
    "another camera": (GEOMETRY, lambda rows: rows[:30], "images", "expected 30 pixels in image"),
    "nan positions": (GEOMETRY, another("pix_x", "S3"), "images", "expected a number in each row of pix_x"),
    "flat images": (IMAGES, another("image", "f4"), "images", "expected 37 pixels in image"),
    "images of text": (IMAGES, another("image", ("S1", 37)), "images", "expected numbers in image"),
    "image of another camera": (IMAGES, another("image", ("f4", 36)), "images", "expected 37 pixels in image"),
    "no times of this shape": (IMAGES, another("peak_time", ("f4", 3)), "images", "expected 37 pixels in peak_time"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_tables_say_what_is_wrong(name: str, ctapipe_files: Any, tmp_path: Path) -> None:
    place, change, what, words = BROKEN[name]
    made = ctapipe_files.write(tmp_path / "a.h5", drop=("/simulation/event/telescope",))
    rewrite(made.path, place, change)
    with dl1.open(made.path) as file:
        ask = {
            "events": lambda: file.events,
            "telescopes": lambda: file.telescopes,
            "images": lambda: file.rows(1),
        }[what]
        with pytest.raises(ValueError, match=words) as caught:
            ask()
        assert str(made.path) in str(caught.value)
        if place in {GEOMETRY, IMAGES}:  # the other telescopes are fine
            np.testing.assert_array_equal(file.rows(5)["image"], made.images[5]["image"])


def test_impossible_focal_lengths_are_unknown(ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5")
    with h5py.File(made.path, "r+") as file:
        rows = file[OPTICS][()]
        rows["effective_focal_length"] = 0, np.inf
        rows["equivalent_focal_length"] = -1, 28
        file[OPTICS][...] = rows
    with dl1.open(made.path) as file:
        np.testing.assert_array_equal(file.telescopes["focal_length"], [28, 28, np.nan])
        with pytest.raises(ValueError, match="CHEC has no focal length"):
            file.camera(5).telescope_frame()


def test_a_strange_pixel_shape_is_refused(ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5")
    with h5py.File(made.path, "r+") as file:
        file[GEOMETRY].attrs["PIX_TYPE"] = "heptagon"
    with dl1.open(made.path) as file:
        assert file.telescopes["n_pixels"].tolist() == [0, 0, 36]
        with pytest.raises(ValueError, match=r"PIX_TYPE to be one of hexagon.*found 'heptagon'"):
            file.camera(1)


def test_missing_columns_of_images(ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5")
    rewrite(made.path, IMAGES, without("event_id"))
    with dl1.open(made.path) as file, pytest.raises(ValueError, match="missing: event_id"):
        file.rows(1)


def test_claims_of_more_rows_than_there_are(ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5")
    with h5py.File(made.path, "r+") as file:
        file[IMAGES].resize((1 << 40,))
    with dl1.open(made.path) as file:
        with pytest.raises(ValueError, match="claims 1099511627776 rows, but the file holds"):
            file.n_images(1)
        assert file.n_images(2) == len(made.images[2])


def test_rows_that_were_never_written(tmp_path: Path, ctapipe_files: Any) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5")
    with h5py.File(made.path, "r+") as file:
        kind = file[IMAGES].dtype
        del file[IMAGES]
        file.create_dataset(IMAGES, (1 << 30,), kind)  # in one piece, not there
    with dl1.open(made.path) as file, pytest.raises(ValueError, match="rows, but the file holds 0"):
        file.rows(1, 0, 1)


def test_other_files_are_never_opened(ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5")
    other = ctapipe_files.write(tmp_path / "b.h5", ctapipe_files.content(seed=1))
    with h5py.File(made.path, "r+") as file:
        kind, n = file[IMAGES].dtype, len(file[IMAGES])
        del file[IMAGES]
        file[IMAGES] = h5py.ExternalLink(str(other.path), IMAGES)
        layout = h5py.VirtualLayout((n,), kind)
        layout[:] = h5py.VirtualSource(str(other.path), IMAGES, (n,))
        second = IMAGES.replace("001", "002")
        del file[second]
        file.create_virtual_dataset(second, layout)
        del file[TRIGGER]
        file[TRIGGER] = h5py.SoftLink("/" + TRIGGER)
    with dl1.open(made.path) as file:
        assert file.n_images(1) == 0
        with pytest.raises(ValueError, match="keeps its values in other files"):
            file.n_images(2)
        with pytest.raises(ValueError, match="trigger is missing"):
            _ = file.events


def test_damaged_chunks_are_told(ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5")
    with h5py.File(made.path, "r") as file:
        info = file[IMAGES].id.get_chunk_info(1)
    with made.path.open("r+b") as file:
        file.seek(info.byte_offset + 40)
        file.write(b"\xa5" * 60)
    with dl1.open(made.path) as file:
        np.testing.assert_array_equal(file.rows(1, 0, 4)["image"], made.images[1]["image"][:4])
        with pytest.raises(OSError, match=r"rows 4 to 8 of .*tel_001 cannot be read"):
            file.rows(1, 4, 8)
        np.testing.assert_array_equal(file.rows(1, 8, 12)["image"], made.images[1]["image"][8:12])


@pytest.mark.parametrize("percent", [1, 20, 50, 80, 99])
def test_cut_files_are_told(percent: int, ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5")
    content = made.path.read_bytes()
    made.path.write_bytes(content[: len(content) * percent // 100])
    with pytest.raises(TruncatedFile, match="cut off or still being written"):
        dl1.open(made.path)


@pytest.mark.parametrize("seed", range(12))
def test_changed_bytes_do_not_crash(seed: int, ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5")
    content = bytearray(made.path.read_bytes())
    rng = np.random.default_rng(seed)
    for at in rng.integers(0, len(content), 40):
        content[at] ^= int(rng.integers(1, 256))
    path = tmp_path / "b.h5"
    path.write_bytes(content)
    try:
        with dl1.open(path) as file:
            for tel_id in file.telescopes.index:
                file.rows(tel_id)
            _ = file.events, file.header, file.metadata
    except (OSError, ValueError, KeyError):
        pass


def test_a_closed_file_can_be_written(ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5")
    with dl1.open(made.path) as file:
        file.rows(1)
    with tables.open_file(str(made.path), "r+") as writable:  # it is not locked any more
        writable.remove_node("/simulation", recursive=True)


def test_closed_and_replaced_files(ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5")
    with dl1.open(made.path) as file:
        file.rows(1)
    with pytest.raises(ValueError, match="is closed; open it again"):
        file.rows(1)
    file = dl1.open(made.path)
    file.rows(1, indices=[0])
    ctapipe_files.write(tmp_path / "b.h5", ctapipe_files.content(seed=3, n_events=50))
    (tmp_path / "b.h5").replace(made.path)
    with pytest.raises(ValueError, match="was changed or replaced while it was read"):
        file.rows(1, indices=[0])
    with dl1.open(made.path) as again:
        assert len(again.events) == 50


def test_a_file_that_is_copied_again_in_its_place_is_read_anew(ctapipe_files: Any, tmp_path: Path) -> None:
    good = ctapipe_files.write(tmp_path / "good.h5")
    other = ctapipe_files.write(tmp_path / "other.h5", ctapipe_files.content(seed=2))
    path = tmp_path / "a.h5"
    content = good.path.read_bytes()
    path.write_bytes(content.replace(b"HEAP", b"HEAR"))
    with pytest.raises((OSError, ValueError)):
        dl1.open(path)
    path.write_bytes(other.path.read_bytes())
    file = dl1.open(path)  # not closed
    np.testing.assert_array_equal(file.rows(1)["image"], other.images[1]["image"])
    path.write_bytes(content)
    with dl1.open(path) as again:
        for tel_id, images in good.images.items():
            np.testing.assert_array_equal(again.rows(tel_id)["image"], images["image"])


@pytest.mark.parametrize("version", ["v3.0.0", "v1.2"])
def test_data_models_before_v4_are_refused(version: str, ctapipe_files: Any, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5")
    with h5py.File(made.path, "r+") as file:
        file.attrs["CTA PRODUCT DATA MODEL VERSION"] = np.bytes_(version)
    with pytest.raises(UnknownFormat, match=f"data model {version}; v4 to v7 are read"):
        dl1.open(made.path)


@pytest.mark.parametrize("version", ["v8.0.0", "next"])
def test_newer_data_models_are_tried(
    version: str, ctapipe_files: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = ctapipe_files.write(tmp_path / "a.h5")
    with h5py.File(made.path, "r+") as file:
        file.attrs["CTA PRODUCT DATA MODEL VERSION"] = version
    with dl1.open(made.path) as file:
        assert file.format == f"ctapipe {version}"
        assert "is read as if it were v7" in caplog.text
        assert len(file.rows(1)["row"]) == len(made.images[1])
