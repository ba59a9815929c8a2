"""Shower files: read and written in both directions with the original library, to the bit."""

from __future__ import annotations

import shutil
import tracemalloc
from functools import partial

import h5py
import numpy as np
import pytest
import showerdata
import showerdata.core

from detcore import showers
from detcore.showers import core

NAMES = ("points", "energies", "pdg", "directions", "shower_ids", "_num_points")
FILES = (
    "empty_6x20x5",
    "mixed_pions_electrons_5f",
    "photons_ild_5f_target",
    "photons_ild_clustered_4f",
    "real_g4_ild_photon_43GeV_cells_5f",
    "real_g4_ild_photon_43GeV_steps_5f",
)
WHERE = ("Key ", " not a valid ", "Cannot write", "Shape mismatch", "already exists", "Invalid mode", "Index out")


def state(made):
    if hasattr(made, "points"):
        return [(n, getattr(made, n).dtype, getattr(made, n).shape, getattr(made, n).tobytes()) for n in NAMES]
    if hasattr(made, "pdg"):
        return [getattr(made, name).tolist() for name in ("energies", "pdg", "directions")]
    return made


def outcome(function, *args, words=True, **options):
    try:
        return state(function(*args, **options))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        kind = next(one for one in (FileNotFoundError, *type(error).__mro__) if isinstance(error, one))
        return kind, str(error) if words and any(one in str(error) for one in WHERE) else ""


def cloud(n=6, width=4, columns=5, seed=0):
    points = np.random.default_rng(seed).random((n, width, columns), np.float32) + np.float32(0.01)
    points[-1, 2:] = 0
    return points


def both(**options):
    given = {"points": cloud(), "energies": np.arange(6), "pdg": [22, 11, 211, 22, -11, 22]} | options
    return showers.Showers(**given), showerdata.Showers(**given)


@pytest.fixture
def written(tmp_path):
    """A file of six showers by the original."""
    path = tmp_path / "written.h5"
    both()[1].save(path)
    return path


def dump(path):
    """All that is in a file: shapes, types, layout, values and attributes."""
    found = {}
    with h5py.File(path) as file:

        def note(name, item):
            if isinstance(item, h5py.Dataset):
                values = [one.tolist() for one in item[()]] if item.dtype.kind == "O" else item[()].tolist()
                plist = item.id.get_create_plist()
                kind = item.id.get_type()
                base = kind.get_super() if isinstance(kind, h5py.h5t.TypeVlenID) else kind
                found[name] = (item.shape, item.maxshape, item.dtype.str, base.dtype.str, plist.get_layout(), values)

        file.visititems(note)
        attributes = {name: (file.attrs.get_id(name).dtype.kind, file.attrs[name]) for name in file.attrs}
        return found, attributes


@pytest.mark.parametrize("name", FILES)
def test_real_files_are_read_as_the_original_reads_them_and_written_as_it_writes_them(shared, tmp_path, name):
    path = shared / "data" / "showers" / f"{name}.h5"
    ours, theirs = showers.load(path), showerdata.load(path)
    assert state(ours) == state(theirs)
    ours.save(tmp_path / "ours.h5")
    theirs.save(tmp_path / "theirs.h5")
    assert state(showerdata.load(tmp_path / "ours.h5")) == state(showerdata.load(tmp_path / "theirs.h5"))
    assert dump(tmp_path / "ours.h5") == dump(tmp_path / "theirs.h5")
    ragged = showers.read_ragged(path).validate()
    assert ragged.dense().tobytes() == theirs.points.tobytes()
    showers.write_ragged(tmp_path / "ragged.h5", ragged)
    assert showerdata.load(tmp_path / "ragged.h5").points.tobytes() == theirs.points.tobytes()
    with showers.HeapReader(path) as reader:
        for number in (0, len(reader) // 2, -1):
            np.testing.assert_array_equal(reader.shower(number), ragged.shower(number))
        assert reader.counts.tolist() == ragged.counts.tolist()


SLICES = [
    {},
    {"start": 1, "stop": 3},
    {"start": -2},
    {"start": 10},
    {"stop": -1},
    {"start": 4, "stop": 2},
    {"start": None},
    {"start": np.int64(2)},
    {"max_points": 4},
    {"max_points": 9},
    {"max_points": None},
    {"max_points": -5},
    {"start": 1.5},
    {"start": "a"},
]


@pytest.mark.parametrize("options", SLICES, ids=repr)
def test_parts_of_a_file(written, options):
    assert outcome(showers.load, written, **options) == outcome(showerdata.load, written, **options)
    options = {key: value for key, value in options.items() if key != "max_points"}
    assert outcome(showers.load_inc_particles, written, **options) == outcome(
        showerdata.load_inc_particles, written, **options
    )


def test_fewer_points_give_smaller_counts(written, tmp_path):
    found = showers.load(written, max_points=3)
    assert found.points.tobytes() == showerdata.load(written, max_points=3).points.tobytes()
    assert found._num_points.tolist() == [3, 3, 3, 3, 3, 2]  # 4 in the original, which then saves what is not there
    found.save(tmp_path / "short.h5")
    assert showerdata.load(tmp_path / "short.h5")._num_points.tolist() == [3, 3, 3, 3, 3, 2]


def vlen(file, values, kind, **options):
    del file["showers"]
    made = file.create_dataset("showers", (len(values),), dtype=h5py.vlen_dtype(np.dtype(kind)), **options)
    for number, one in enumerate(values):
        made[number] = one.ravel().astype(kind)


def replaced(file, key, values, **options):
    del file[key]
    if values is not None:
        file.create_dataset(key, data=values, **options)


POINTS = cloud()
LAYOUTS = {
    "chunked and compressed": partial(vlen, values=POINTS, kind="<f4", chunks=(2,), compression="gzip"),
    "chunked": partial(vlen, values=POINTS, kind="<f4", chunks=(4,)),
    "doubles": partial(vlen, values=POINTS, kind="<f8"),
    "integers": partial(vlen, values=POINTS * 10 + 1, kind="<i4"),
    "dense": partial(replaced, key="showers", values=POINTS),
    "dense in two dimensions": partial(replaced, key="showers", values=POINTS.reshape(6, -1), compression="gzip"),
    "energies in a row, doubles": partial(replaced, key="energies", values=np.arange(6.0)),
    "compressed index": partial(replaced, key="shower_ids", values=np.arange(6, dtype="i8"), compression="gzip"),
    "short energies": partial(replaced, key="energies", values=np.ones((4, 1), "f4")),
    "short codes": partial(replaced, key="pdg", values=np.ones(4, "i4")),
    "short counts": partial(replaced, key="num_points", values=np.ones(4, "i4")),
    "short numbers": partial(replaced, key="shower_ids", values=np.ones(4, "i4")),
    "short directions": partial(replaced, key="directions", values=np.ones((4, 3), "f4")),
    "a row that is no points": lambda file: file["showers"].__setitem__(2, np.ones(7, "f4")),
    "a row that is longer": lambda file: file["showers"].__setitem__(2, np.ones(50, "f4")),
    "a negative energy": lambda file: file["showers"].__setitem__(2, -np.ones(5, "f4")),
    "padding in front": lambda file: file["showers"].__setitem__(2, np.repeat([0, 1], 5).astype("f4")),
    "narrower": lambda file: file["shape"].__setitem__(1, 2),
    "wider": lambda file: file["shape"].__setitem__(1, 9),
    "four columns": lambda file: file["shape"].__setitem__(2, 4),
    "three columns": lambda file: file["shape"].__setitem__(2, 3),
    "negative width": lambda file: file["shape"].__setitem__(1, -1),
    "shape of real numbers": partial(replaced, key="shape", values=[6.0, 4.0, 5.0]),
} | {
    f"{word} {key}": partial(replaced, key=key, values=values)
    for key in ("showers", "energies", "pdg", "directions", "shower_ids", "shape", "num_points")
    for word, values in {"no": None}.items()
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_other_layouts_are_read_or_refused_as_in_the_original(written, name):
    with h5py.File(written, "r+") as file:
        LAYOUTS[name](file)
    expected = outcome(showerdata.load, written)
    if name == "narrower":  # there the original keeps counts that are too large
        expected[-1] = (*expected[-1][:3], np.minimum(showerdata.load(written)._num_points, 2).tobytes())
    assert outcome(showers.load, written) == expected
    for function in ("get_file_shape", "get_file_length"):
        assert outcome(getattr(showers, function), written) == outcome(getattr(showerdata, function), written)
    if isinstance(expected, list):
        points = showers.read_ragged(written).dense(expected[0][2][1]) if name != "short energies" else None
        assert points is None or points.tobytes() == expected[0][3]


def test_a_group_in_the_place_of_a_data_set(written):
    for key in ("showers", "energies", "shape", "num_points"):
        shutil.copy(written, other := written.with_name(f"{key}.h5"))
        with h5py.File(other, "r+") as file:
            del file[key]
            file.create_group(key)
        for function in ("load", "get_file_shape", "get_file_length", "load_inc_particles"):
            assert outcome(getattr(showers, function), other) == outcome(getattr(showerdata, function), other)


def test_big_endian_rows_are_refused_not_garbled(written):
    with h5py.File(written, "r+") as file:
        vlen(file, POINTS, ">f4")
    with pytest.raises(ValueError, match="big-endian"):
        showers.load(written)


def test_incident_particles(shared, tmp_path):
    path = shared / "data" / "showers" / "incident_only.h5"
    found = showers.load_inc_particles(path)
    assert state(found) == state(showerdata.load_inc_particles(path))
    for function in ("load", "get_file_shape", "get_file_length"):
        assert outcome(getattr(showers, function), path) == outcome(getattr(showerdata, function), path)
    showers.save(found, tmp_path / "ours.h5")
    showerdata.load_inc_particles(path).save(tmp_path / "theirs.h5")
    assert dump(tmp_path / "ours.h5") == dump(tmp_path / "theirs.h5")
    assert len(showers.load_inc_particles(path, 1, 3)) == 2


def test_what_is_there_is_not_replaced_without_being_asked(written):
    before = written.read_bytes()
    ours, theirs = both()
    for function in (
        lambda lib, data: data.save(written),
        lambda lib, data: lib.create_empty_file(written, (1, 2, 5), False),
    ):
        assert outcome(function, showers, ours) == outcome(function, showerdata, theirs)
    assert written.read_bytes() == before
    showers.create_empty_file(written, (1, 2, 5))
    assert showers.get_file_shape(written) == (1, 2, 5)


def test_saving_that_fails_leaves_nothing(tmp_path, monkeypatch, written):
    before = written.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("detcore.showers.layout.write_rows", full)
    with pytest.raises(OSError, match="No space"):
        both()[0].save(tmp_path / "new.h5")
    with pytest.raises(OSError, match="No space"):
        both()[0].save(written, overwrite=True)
    assert written.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == [written.name]
    with pytest.raises(FileNotFoundError):
        both()[0].save(tmp_path / "no folder" / "new.h5")


def test_empty_files_and_batches(tmp_path):
    for library, data in zip((showers, showerdata), both(), strict=True):
        path = tmp_path / f"{library.__name__}.h5"
        library.create_empty_file(path, (9, 4, 5))
        library.save_batch(data, path, 2)
        library.save_batch(data[1:3], path, start=7)
        library.save_batch(data[:0], path)
    assert dump(tmp_path / "detcore.showers.h5") == dump(tmp_path / "showerdata.h5")
    path = tmp_path / "showerdata.h5"
    for _ in range(4):  # what is written again takes the room of the old
        showers.save_batch(both()[0], path, 3)
    assert state(showers.load(path)) == state(showerdata.load(path))
    assert showers.load(path, 3).points.tobytes() == both()[0].points.tobytes()
    empty = showers.load(tmp_path / "detcore.showers.h5", 0, 1)
    assert (empty.points.shape, empty._num_points.tolist()) == ((1, 4, 5), [0])


@pytest.mark.parametrize(
    "options",
    [{"start": 5}, {"start": -3}, {"columns": 4}, {"width": 2}, {"width": 9}, {"n": 0, "width": 0}, {"n": 12}],
    ids=repr,
)
def test_batches_that_do_not_fit(tmp_path, options):
    start = options.pop("start", 0)
    n = options.get("n", 6)
    points = cloud(n or 1, **{k: v for k, v in options.items() if k != "n"})[:n]
    ours, theirs = both(points=points, energies=np.arange(n), pdg=22)
    found = []
    for library, data in ((showers, ours), (showerdata, theirs)):
        library.create_empty_file(tmp_path / "batch.h5", (8, 4, 5))
        before = dump(tmp_path / "batch.h5")
        found.append(outcome(library.save_batch, data, tmp_path / "batch.h5", start))
        assert dump(tmp_path / "batch.h5") == before
    assert found[0] == found[1]


def test_batches_need_a_file_and_do_not_make_one(tmp_path):
    for kind in (KeyError, FileNotFoundError):
        with pytest.raises(kind, match="Key 'shape' not found in"):
            showers.save_batch(both()[0], tmp_path / "none.h5")
    for function in (partial(showers.ShowerDataFile, mode="a"), partial(showers.add_metadata, metadata={"a": 1})):
        with pytest.raises(FileNotFoundError):
            function(tmp_path / "none.h5")
    assert list(tmp_path.iterdir()) == []
    showers.create_empty_file(tmp_path / "a.h5", (8, 4, 5))
    showers.save_batch(both()[0], tmp_path / "a.h5", np.int64(1))
    for shape in ((8, 4), (8, 4, 5, 6), (8, -4, 5), (-1, 4, 5), ("a", 1, 2)):
        with pytest.raises((ValueError, OverflowError, TypeError)):
            showers.create_empty_file(tmp_path / "a.h5", shape)
    assert showers.get_file_shape(tmp_path / "a.h5") == (8, 4, 5)
    assert [one.name for one in tmp_path.iterdir()] == ["a.h5"]


READ = [
    *(0, -1, -7, 6, True, slice(0, 2), slice(None, None, 2), slice(None, None, -1), slice(9, 12), slice(-2, None)),
    *(slice(4, 2), ..., (), (0,), (0, 1), [0, 2], [2, 0], [0, 0], [5], [-1], [9], [], range(2), None, 1.5),
    *(np.array([1, 3]), np.arange(6) % 2 == 0, np.array([True, False])),
]


@pytest.mark.parametrize("index", READ, ids=repr)
@pytest.mark.parametrize("mode", ["r", "a"])
def test_reading_an_open_file(written, index, mode):
    with showers.ShowerDataFile(written, mode) as ours:
        found = outcome(ours.__getitem__, index)
    with showerdata.ShowerDataFile(written, mode) as theirs:
        assert found == outcome(theirs.__getitem__, index)


WRITE = [
    *(slice(0, 6), slice(0, 2), 0, -1, 6, [0, 2], [2, 0], ..., (), (0,), (0, 1), slice(0, 6, 2), slice(4, 9)),
    np.arange(6) % 2 == 0,
]


@pytest.mark.parametrize("index", WRITE, ids=repr)
def test_writing_to_an_open_file(tmp_path, index):
    for n in (6, 2):
        found = []
        for library, data in zip((showers, showerdata), both(), strict=True):
            with library.ShowerDataFile(tmp_path / f"{library.__name__}.h5", "w", (6, 4, 5)) as file:
                found.append(outcome(file.__setitem__, index, data[:n]))
        if isinstance(index, np.ndarray) and n == 2:
            continue  # the original refuses what fits
        assert found[0] == found[1]
        assert dump(tmp_path / "detcore.showers.h5") == dump(tmp_path / "showerdata.h5")


def test_masks_and_numpy_integers_of_open_files(tmp_path):
    ours, _ = both()
    with showers.ShowerDataFile(tmp_path / "a.h5", "w", (6, 4, 5)) as file:
        file[np.arange(6) % 2 == 0] = ours[:3]
        file[np.int64(1)] = ours[5]
        assert file[np.int64(2)] == ours[1]
        assert file[[True, True, False, False, False, False]].shower_ids.tolist() == [0, 5]
        assert (file.shape, file.num_showers, len(file)) == ((6, 4, 5), 6, 6)
        assert [len(one) for one in file] == [1] * 6
        file.attrs["clustered_for"] = "ILD"
        for bad in (showers.Showers(cloud(1, 4, 4), [1], 22), showers.Showers(cloud(1, 9)[:, :9] + 1, [1], 22)):
            with pytest.raises(ValueError, match="Shape mismatch"):  # written as nonsense by the original
                file[0] = bad
    assert core.load_metadata(tmp_path / "a.h5") == {"showerdata_version": "0.7.0", "clustered_for": "ILD"}


def test_modes_of_open_files(written, tmp_path):
    for args in ((written, "x"), (tmp_path / "new.h5", "w"), (tmp_path / "none.h5",)):
        assert outcome(showers.ShowerDataFile, *args) == outcome(showerdata.ShowerDataFile, *args)
    file = showers.ShowerDataFile(written)
    with pytest.raises(ValueError, match=r"not open for writing \(mode: r\)"):
        file[0] = both()[0][0]
    file.close()
    file.close()
    for use in (lambda: file[0], lambda: file.__setitem__(0, both()[0]), lambda: len(file), lambda: list(file)):
        with pytest.raises(ValueError, match="File is not open"):
            use()


def test_metadata(written):
    showers.add_metadata(written, {"x": 3, "y": "words", "z": 1.5, "b": True})
    assert showers.load_metadata(written) == showerdata.core.load_metadata(written)
    assert showers.load_metadata(written)["y"] == "words"
    assert outcome(core.load_metadata, written.with_name("none.h5"))[0] is FileNotFoundError


def test_what_is_written_is_seen_at_once(written):
    """An index that is remembered must not outlive the file, also not what another handle has not yet written."""
    assert showers.load(written, 2, 3).points.tobytes() == POINTS[2:3].tobytes()
    with showers.ShowerDataFile(written, "a") as file:
        file[2] = both(points=cloud(seed=5))[0][2]
        assert file[2].points.tobytes() == cloud(seed=5)[2:3].tobytes()
        assert showers.load(written, 2, 3).points.tobytes() == cloud(seed=5)[2:3].tobytes()
        assert showers.read_ragged(written).shower(2).tobytes() == cloud(seed=5)[2].tobytes()
    both(points=cloud(seed=6))[0].save(written, overwrite=True)
    assert showers.load(written).points.tobytes() == cloud(seed=6).tobytes()


def test_a_writer_of_batches(tmp_path):
    ours, _ = both()
    ragged = ours.ragged()
    with showers.ShowerWriter(tmp_path / "a.h5", (12, 4, 5), attributes={"clustered_for": "ILD"}) as writer:
        assert not (tmp_path / "a.h5").exists()
        writer.append(ragged[:4])
        writer.append(ragged[4:])
        writer.append(ragged[:0])
        writer.append(ours)
    found = showerdata.load(tmp_path / "a.h5")
    assert found.points.tobytes() == np.concatenate([POINTS, POINTS]).tobytes()
    assert showers.load_metadata(tmp_path / "a.h5")["clustered_for"] == "ILD"
    for wrong, words in (
        (lambda writer: writer.append(ragged[:5]), "12 showers were announced, 5"),
        (lambda writer: [writer.append(ragged)] and [writer.append(ragged) for _ in range(2)], "up to number 12"),
        (
            lambda writer: writer.append(
                showers.Showers(cloud(1, 5), [1], 22)[:0] + showers.Showers(cloud(2, 5), [1, 2], 22)
            ),
            "4 points",
        ),
        (lambda writer: writer.append(showers.Showers(cloud(1, 4, 4), [1], 22)), "5 columns"),
    ):
        with pytest.raises(ValueError, match=words), showers.ShowerWriter(tmp_path / "b.h5", (12, 4, 5)) as writer:
            wrong(writer)
    assert [one.name for one in tmp_path.iterdir()] == ["a.h5"]
    with pytest.raises(FileExistsError), showers.ShowerWriter(tmp_path / "a.h5", (12, 4, 5)):
        pass


def test_saving_takes_no_memory(tmp_path):
    points = np.random.default_rng(0).random((300, 2000, 5), np.float32) + 1
    made = showers.Showers(points, np.ones(300), 22)
    made[:3].save(tmp_path / "warm.h5")
    tracemalloc.start()
    made.save(tmp_path / "a.h5")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < points.nbytes / 10


def test_a_file_that_another_thread_closes_meanwhile_is_no_error(tmp_path, monkeypatch) -> None:
    path, other = tmp_path / "a.h5", tmp_path / "b.h5"
    data = showerdata.Showers(np.ones((3, 4, 5), np.float32), np.ones(3), 22)
    showerdata.save(data, path)
    showerdata.save(data, other)
    with h5py.File(other) as opened:
        listed = h5py.h5f.get_obj_ids(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE)
        assert opened.id in listed
    monkeypatch.setattr(h5py.h5f, "get_obj_count", lambda *_: len(listed))
    monkeypatch.setattr(h5py.h5f, "get_obj_ids", lambda *_: listed)
    with pytest.raises(ValueError, match="identifier"):
        listed[0].get_intent()
    assert np.array_equal(showers.read_ragged(path).points, data.points.reshape(-1, 5))
