"""The small file: a row for each event, whatever comes when."""

from __future__ import annotations

from contextlib import suppress

import h5py
import numpy as np
import pytest

from detcore.area.smalldata.smallcolumns import MISSING
from detcore.area.smalldata.smalldata import SmallData, flattened
from detcore.area.smalldata.smallread import read_reduced


@pytest.fixture
def written(tmp_path):
    """Write events, and give the open file."""
    files = []

    def write(*events, flush_after=None, **options):
        path = tmp_path / f"{len(files)}.h5"
        with SmallData(path, **options) as small:
            for number, event in enumerate(events):
                small.event(event)
                if flush_after is not None and number >= flush_after:
                    small.flush()
        files.append(h5py.File(path))
        return files[-1]

    yield write
    for file in files:
        file.close()


@pytest.mark.parametrize("flush_after", [None, 0, 1])
def test_every_dataset_has_a_row_for_each_event(written, flush_after):
    """Late columns, missing values and text line up with the events, however the writing is cut."""
    file = written(
        {"event_id": 5, "cam": {"sum": 1.5}},
        {"event_id": 6, "cam": {"sum": None, "n": 3}, "note": "late é"},
        {"event_id": 7, "cam": {"sum": np.float32(2)}, "flag": True},
        flush_after=flush_after,
    )
    np.testing.assert_array_equal(file["event_id"], [5, 6, 7])
    np.testing.assert_array_equal(file["cam/sum"], [1.5, np.nan, 2])
    np.testing.assert_array_equal(file["cam/n"], [MISSING, 3, MISSING])
    np.testing.assert_array_equal(file["flag"], [MISSING, MISSING, 1])
    assert file["note"].asstr()[:].tolist() == ["", "late é", ""]


@pytest.mark.parametrize("flush_after", [None, 0])
def test_types_grow_and_what_is_missing_stays_missing(written, flush_after):
    file = written({"a": np.uint8(200), "b": 1}, {"b": 2}, {"a": 2**40, "b": 0.5}, flush_after=flush_after)
    np.testing.assert_array_equal(file["a"], [200, MISSING, 2**40])
    np.testing.assert_array_equal(file["b"], [1, 2, 0.5])
    other = written({"a": np.int32(4)}, {}, {"a": 0.5}, flush_after=flush_after)
    np.testing.assert_array_equal(other["a"], [4, np.nan, 0.5])


@pytest.mark.parametrize("flush_after", [None, 0])
def test_arrays_may_be_longer_than_the_first(written, flush_after):
    """The length of the first event is no limit: nothing is cut."""
    file = written({"p": np.zeros(0)}, {"p": np.arange(3.0)}, {"p": np.arange(2.0)}, flush_after=flush_after)
    np.testing.assert_array_equal(file["p"], [[np.nan] * 3, [0, 1, 2], [0, 1, np.nan]])
    assert "shorter" in file["p"].attrs["padded"]
    same = written({"p": np.arange(4)}, {"p": np.arange(4)}, flush_after=flush_after)
    assert "padded" not in same["p"].attrs
    assert same["p"].dtype == np.int64


@pytest.mark.parametrize("flush_after", [None, 0])
def test_ragged_and_var(written, flush_after):
    file = written(
        {
            "d": {
                "ragged_area": np.ones((2, 3), np.float32),
                "var_drop": {"adu": np.array([1.0, 2.0]), "npix": np.array([3, 4])},
            }
        },
        {
            "d": {
                "ragged_area": np.zeros((0, 3), np.float32),
                "var_drop": {"adu": np.zeros(0), "npix": np.zeros(0, int)},
            }
        },
        {},
        {"d": {"var_drop": {"adu": np.array([5.0]), "npix": np.array([6]), "late": np.array([7.0])}}},
        flush_after=flush_after,
    )
    assert [len(row) for row in file["d/ragged_area"]] == [6, 0, 0, 0]
    assert file["d/ragged_area"].attrs["row_shape"].tolist() == [3]
    np.testing.assert_array_equal(file["d/var_drop_len"], [2, 0, 0, 1])
    np.testing.assert_array_equal(file["d/var_drop/adu"], [1, 2, 5])
    np.testing.assert_array_equal(file["d/var_drop/npix"], [3, 4, 6])
    np.testing.assert_array_equal(file["d/var_drop/late"], [np.nan, np.nan, 7])


def test_fields_of_a_group_have_one_length(tmp_path):
    with (
        pytest.raises(ValueError, match="as long as the other fields of d/var_drop"),
        SmallData(tmp_path / "x.h5") as small,
    ):
        small.event({"d": {"var_drop": {"adu": np.zeros(2), "npix": np.zeros(3)}}})
    assert not list(tmp_path.iterdir()), "nothing half is left behind"


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({"a": 1}, {"a": "text"}, "a number"),
        ({"a": "text"}, {"a": 1}, "expected text"),
        ({"a": np.zeros(2)}, {"a": np.zeros((2, 2))}, "1 dimensions"),
        ({"ragged_a": np.zeros((2, 3))}, {"ragged_a": np.zeros((2, 4))}, r"\(n, 3\)"),
    ],
)
def test_another_kind_of_value_is_refused_or_left_out(written, first, second, words):
    with pytest.raises(ValueError, match=words):
        written(first, second)
    kept = written({"id": 0, **first}, {"id": 1, **second}, {"id": 2, **first}, strict=False)
    assert len(kept["id"]) == len(kept[next(iter(first))]) == 3


def test_what_was_left_out_is_told(tmp_path):
    with SmallData(tmp_path / "a.h5", strict=False) as small:
        small.event({"a": 1})
        small.event({"a": "text"})
    assert "expected a number" in small.refused["a"]


@pytest.mark.parametrize("name", ["", ".", "..", "/a", "a\0b", "x/../y"])
def test_names_that_hdf5_cannot_keep(name):
    with pytest.raises(ValueError, match="name"):
        dict(flattened({name: 1}))


def test_reserved_groups_and_odd_values(tmp_path):
    with SmallData(tmp_path / "a.h5") as small:
        with pytest.raises(ValueError, match="taken"):
            small.event({"Sums": {"x": 1}})
        with pytest.raises(ValueError, match="expected numbers, text"):
            small.event({"x": object()})
        with pytest.raises(ValueError, match="expected numbers, text"):
            small.event({"x": [[1], [1, 2]]})
        small.event({"masked": np.ma.MaskedArray([1.0, 2.0], [True, False]), "_private": object()})
    np.testing.assert_array_equal(read_reduced(tmp_path / "a.h5")["masked"], [[np.nan, 2.0]])


def test_reading_back(tmp_path):
    path = tmp_path / "a.h5"
    with SmallData(path) as small:
        for number in range(300):
            small.event({"event_id": number, "cam": {"sum": number / 2, "area": np.full((2, 3), number)}, "w": "x"})
        small.once("UserDataCfg/cam", {"ped": np.zeros((40, 40)), "name": "cam", "azav__q": [1, 2]})
        small.sums("cam", {"calib": np.ones((2, 3))}, {"calib": 300})
    data = read_reduced(path)
    assert data["cam/sum"].dims == ("event",)
    assert data["cam/area"].shape == (300, 2, 3)
    assert data.event.values[-1] == 299
    assert data["Sums/cam_calib"].attrs["n_events"] == 300
    assert not [name for name in data if str(name).startswith("UserDataCfg")]
    assert read_reduced(path, ["UserDataCfg/cam/ped"])["UserDataCfg/cam/ped"].shape == (40, 40)
    with pytest.raises(KeyError, match="no 'cam/max'"):
        read_reduced(path, ["cam/max"])
    (tmp_path / "b.h5").write_bytes(b"no")
    with pytest.raises(OSError, match="another kind of file"):
        read_reduced(tmp_path / "b.h5")


def test_damaged_and_endless_files(tmp_path):
    path = tmp_path / "a.h5"
    with SmallData(path) as small:
        for number in range(50):
            small.event({"event_id": number, "a": np.full(400, number)})
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for length in (9, 100, 1000, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(OSError, match="open"):
            read_reduced(path)
    for _ in range(30):  # some damage is not seen; none may crash
        damaged = bytearray(whole)
        for place in rng.integers(8, len(whole), 20):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        with suppress(OSError, ValueError, KeyError):
            read_reduced(path)
    with h5py.File(path, "w") as file:
        file.create_dataset("event_id", data=np.arange(3))
        file.create_dataset("endless", (1 << 40,), np.float64, chunks=(1024,))
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/x")
    data = read_reduced(path)
    assert "endless" in data.attrs["not_read"]
    with pytest.raises(ValueError, match="read at most"):
        read_reduced(path, ["endless"])
