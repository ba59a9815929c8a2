"""Files of the original and of ours read back; damaged and hostile ones refused in words."""

from __future__ import annotations

import importlib.util
import pickle
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import tables

from detcore.core.source import TruncatedFile, UnknownFormat
from detcore.dl1.files import ctamltables
from detcore.dl1.files.ctamlfile import CtamlFile
from detcore.dl1.files.lru import CHUNKS
from detcore.dl1.writer.dumper import CTAMLDataDumper

_spec = importlib.util.spec_from_file_location("ctaml_events", Path(__file__).with_name("ctaml_events.py"))
made_up = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made_up)

REAL = ("lasercal_lzo", "lasercal_zlib", "chec_lzo")


@pytest.fixture
def real(shared):
    return lambda name: CtamlFile(str(shared / f"data/dl1/ctaml072_{name}.h5"))


def test_lzo_and_its_zlib_twin_are_equal_in_everything(real):
    ours, twin = real("lasercal_lzo"), real("lasercal_zlib")
    assert ours.format == twin.format == "CTA-ML v0.7.2"
    assert ours.telescopes.equals(twin.telescopes)
    assert ours.events.equals(twin.events)
    assert ours.header == twin.header
    assert ours.metadata == twin.metadata
    for tel_id in ours.telescopes.index:
        assert ours.camera(tel_id) == twin.camera(tel_id)
        assert ours.rows(tel_id).identical(twin.rows(tel_id).assign_attrs(file=ours.path))
        assert ours.n_images(tel_id) == (3 if tel_id < 3 else 2)


def test_images_are_those_that_the_events_point_to(real, shared):
    plain, attributes = made_up.as_numpy(shared / "data/dl1/ctaml072_lasercal_zlib.h5")
    with real("lasercal_lzo") as file:
        for k, tel_id in enumerate([1, 2, 3, 4]):
            rows = plain["Events"]["LST_LSTCam_indices"][:, k]
            rows = rows[rows > 0]
            data = file.rows(tel_id)
            assert np.array_equal(data.image, plain["LST_LSTCam"]["charge"][rows])
            assert np.array_equal(data.peak_time, plain["LST_LSTCam"]["peakpos"][rows])
            assert data.peak_time.attrs["units"] == "sample"
            assert data.tel_id.to_numpy().tolist() == [tel_id] * len(rows)
        assert file.events["tels_with_trigger"].tolist() == [(1, 2, 3, 4), (1, 2, 3, 4), (1, 2)]
        assert file.events["true_alt"][0] == pytest.approx(70, abs=1e-4)
        assert file.events.attrs["units"]["true_energy"] == "TeV"
        assert file.events["true_energy"][0] == pytest.approx(plain["Events"]["mc_energy"][0])
        assert file.header["energy_range_max"] == (2.0, "TeV")
        assert file.header["run_array_direction"] == (attributes["run_array_direction"].tolist(), "rad")
        assert len(file.header) == 39
        assert file.metadata["runlist"] == "test_lasercal_v3.simtel.gz"
        assert file.parameters(1) is None


def test_cameras_are_derived_from_positions(real):
    lst, chec = real("lasercal_lzo").camera(1), real("chec_lzo").camera(1)
    assert (lst.name, lst.shape, lst.n_pixels, lst.focal_length) == ("LSTCam", "hexagon", 1855, 28)
    assert lst.rotation == pytest.approx(30, abs=1e-3)
    assert lst.pixel_area[0] == pytest.approx(21.65e-4, rel=1e-3)
    assert (chec.name, chec.shape, chec.n_pixels, chec.focal_length) == ("CHEC", "square", 2048, 2.28)


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("chunk", [None, 1, 7])
def test_streams_are_the_whole_in_pieces(real, name, chunk):
    with real(name) as file:
        for tel_id in file.telescopes.index:
            parts = list(file.images(tel_id, chunk))
            assert sum(len(part.event) for part in parts) == file.n_images(tel_id)
            assert chunk is None or all(len(part.event) == chunk for part in parts[:-1])
            whole = file.rows(tel_id)
            assert np.array_equal(np.concatenate([part.image for part in parts]), whole.image)
            assert np.array_equal(np.concatenate([part.row for part in parts]), np.arange(len(whole.event)))


def test_rows_in_any_order_are_remembered(real):
    CHUNKS.clear()
    with real("chec_lzo") as file:
        whole = file.rows(1)
        chosen = [19, 0, 3, 3, 15]
        some = file.rows(1, indices=chosen)
        assert np.array_equal(some.image, whole.image[chosen])
        assert some.event_id.to_numpy().tolist() == whole.event_id.to_numpy()[chosen].tolist()
        assert len(CHUNKS) == 2  # 21 rows in chunks of 15
        one = file.image_of(1, 28, 1600)
        assert np.array_equal(one.image[0], whole.image[15])
        with pytest.raises(KeyError, match="event 5"):
            file.image_of(1, 28, 5)
    CHUNKS.clear()


@pytest.fixture
def own(tmp_path):
    """A file with three telescope types, 40 events."""
    path = tmp_path / "own.h5"
    events = [made_up.event(i, [t for t in made_up.TYPES if (i + t) % 3]) for i in range(1, 41)]
    with CTAMLDataDumper(path, index_columns=[("/Events", "alt"), ("tel", "event_index")]) as dumper:
        dumper.dump_header_info("x/täst 'a'.simtel.zst")
        dumper.dump_header_info("y/b\\n.simtel.gz")
        dumper.dump_instrument_info(made_up.subarray())
        dumper.dump_mc_header_info({})
        for event in events:
            dumper.dump_event(event)
    return path, events


def test_what_we_write_comes_back(own):
    path, events = own
    with CtamlFile(str(path)) as file:
        assert file.telescopes["type"].tolist() == ["LST_LSTCam", "MST_NectarCam", "LST_LSTCam", "X1_Own"]
        assert file.telescopes.loc[5, ["x", "y", "z"]].tolist() == [5, 10, 3]
        assert np.isnan(file.telescopes.loc[30, "focal_length"])
        assert file.metadata["runlist"] == "täst 'a'.simtel.zst, b\\n.simtel.gz"
        for tel_id in made_up.TYPES:
            mine = [event for event in events if tel_id in event.dl1.tel]
            data = file.rows(tel_id)
            assert data.event_id.to_numpy().tolist() == [event.index.event_id for event in mine]
            assert file.keys(tel_id)["event_id"].tolist() == data.event_id.to_numpy().tolist()
            assert np.array_equal(data.image, [event.dl1.tel[tel_id].image for event in mine])
        assert file.events["tels_with_trigger"].tolist() == [tuple(event.dl1.tel) for event in events]


def changed(path, change):
    """Copy the file and let PyTables change the copy."""
    other = path.with_name("changed.h5")
    shutil.copy(path, other)
    with tables.open_file(other, "a") as file:
        change(file)
    return CtamlFile(str(other))


def everything(file):
    """Read all that a file has."""
    assert len(file.metadata)
    assert len(file.header)
    for tel_id in file.telescopes.index:
        file.rows(tel_id)
    return file.events


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda f: f.root.Events.modify_column(3, 4, colname="X1_Own_indices", column=[[4000]]),
            "up to 4000, but table X1_Own",
        ),
        (lambda f: f.root.X1_Own.modify_column(1, 2, colname="event_index", column=[17]), "other events"),
        (
            lambda f: f.root.Telescope_Type_Information.modify_column(0, 1, colname="num_pixels", column=[13]),
            "num_pixels",
        ),
        (
            lambda f: f.root.Telescope_Type_Information.modify_column(0, 1, colname="num_pixels", column=[0]),
            "num_pixels",
        ),
        (lambda f: f.root.Telescope_Type_Information.modify_column(0, 1, colname="type", column=[b"X1_Own"]), "twice"),
        (
            lambda f: f.root.Telescope_Type_Information.modify_column(1, 2, colname="num_pixels", column=[4]),
            "4 numbers in charge",
        ),
        (lambda f: f.root.Array_Information.modify_column(0, 1, colname="type", column=[b"Z"]), "Z is not in"),
        (
            lambda f: f.root.Array_Information.modify_column(0, 1, colname="type", column=[b"X1_Own"]),
            "expected 1 numbers|expected 2 numbers",
        ),
        (lambda f: f.root.Array_Information.modify_column(0, 1, colname="id", column=[2]), "different number for each"),
        (lambda f: f.remove_node("/X1_Own"), "table X1_Own"),
        (lambda f: f.rename_node("/Array_Information", "Array"), "missing: Array_Information"),
        (lambda f: (f.remove_node("/Events"), f.create_array("/", "Events", np.zeros(3))), "not a table"),
        (
            lambda f: (f.remove_node("/Events"), f.create_table("/", "Events", {"obs_id": tables.UInt32Col()})),
            "expected the columns",
        ),
    ],
    ids=[
        "row",
        "owner",
        "pixels",
        "no pixels",
        "twice",
        "fewer",
        "kind",
        "moved",
        "number",
        "images",
        "array",
        "no table",
        "columns",
    ],
)
def test_files_that_contradict_themselves_are_refused(own, change, why):
    def read():
        everything(changed(own[0], change))

    with pytest.raises(ValueError, match=why):
        read()


def test_a_corrupt_lzo_chunk_is_an_error_that_names_it(shared, tmp_path):
    path = tmp_path / "bad.h5"
    shutil.copy(shared / "data/dl1/ctaml072_lasercal_lzo.h5", path)
    with h5py.File(path) as file:
        chunk = file["LST_LSTCam"].id.get_chunk_info_by_coord((0,))
    with path.open("r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\x11\0\0")
    file = CtamlFile(str(path))
    assert len(file.events) == 3
    with pytest.raises(ValueError, match=r"bad.h5: rows 0 to 8 of /LST_LSTCam: corrupt LZO"):
        file.rows(1)
    short = tmp_path / "short.h5"
    short.write_bytes(path.read_bytes()[: chunk.byte_offset + 100])
    with pytest.raises(TruncatedFile, match=r"short\.h5: cut off"):
        CtamlFile(str(short))


def test_a_chunk_that_is_not_there_is_an_error(shared, tmp_path):
    with h5py.File(shared / "data/dl1/ctaml072_lasercal_lzo.h5") as source, h5py.File(tmp_path / "a.h5", "w") as file:
        table = source["LST_LSTCam"]
        plist = table.id.get_create_plist()
        made = h5py.h5d.create(file.id, b"t", table.id.get_type(), table.id.get_space(), plist)
        excluded, raw = table.id.read_direct_chunk((8,))
        made.write_direct_chunk((8,), raw, excluded)
    with h5py.File(tmp_path / "a.h5") as file:
        assert len(ctamltables.read_rows(file["t"], 8, 11)) == 3
        with pytest.raises(TruncatedFile, match=r"rows 0 to 8 of /t are missing"):
            ctamltables.read_rows(file["t"], 3, 11)


def test_another_file_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["Events"] = 1
    with pytest.raises(UnknownFormat, match="missing: Telescope_Type_Information, Array_Information"):
        CtamlFile(str(tmp_path / "a.h5"))


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


@pytest.mark.parametrize("value", [[Bomb()], Bomb(), ["a", 1], {"a": 1}, "a.", b"(lp0\nI1\na.", []])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_attributes_are_never_unpickled(own, value, protocol):
    path, _ = own
    raw = value if isinstance(value, bytes) else pickle.dumps(value, protocol)
    with h5py.File(path, "a") as file:
        del file.attrs["runlist"]
        for name in ("runlist", "TITLE2", "spectral_index2"):
            file.attrs.create(name, np.void(raw) if b"\0" in raw else np.bytes_(raw))
        file["Events"].attrs["FIELD_0_FILL"] = np.void(raw)
    file = CtamlFile(str(path))
    everything(file)
    assert file.metadata.get("runlist", "") not in {"a", "unpickled"}


def test_a_pickled_list_with_equal_texts_is_understood(own):
    name = str(b"abc", "ascii")
    with h5py.File(own[0], "a") as file:
        file.attrs["runlist"] = np.bytes_(pickle.dumps([name, "d", name], 0))
        assert ctamltables.pickled_texts(file, "runlist") == ["abc", "d", "abc"]
        assert ctamltables.pickled_texts(file, "nothing") == []


def test_a_file_that_changes_or_is_closed_is_not_read_on(own):
    file = CtamlFile(str(own[0]))
    assert len(file.events) == 40
    with pytest.raises(KeyError, match="no telescope 9; there are 1, 2, 5, 30"):
        file.rows(9)
    with own[0].open("ab") as other:
        other.write(b"more")
    with pytest.raises(ValueError, match="changed or replaced"):
        file.rows(1)
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.rows(1)
