"""Targets beside those of the original library."""

from __future__ import annotations

from functools import partial

import h5py
import numpy as np
import pytest
import showerdata

from detcore import showers

WHERE = ("Key ", "already exists", "Data must", "num_points ", "Can't broadcast")
DATA = np.random.default_rng(0).random((6, 4, 2), np.float32)
COUNTS = np.array([3, 4, 0, 1, 2, 4], np.int32)


def outcome(function, *args, **options):
    try:
        made = function(*args, **options)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        kind = next(one for one in (FileNotFoundError, *type(error).__mro__) if isinstance(error, one))
        return kind, str(error) if any(one in str(error) for one in WHERE) else ""
    return made and [(one.dtype, one.shape, one.tobytes()) for one in made]


def dump(path):
    found = {}
    with h5py.File(path) as file:

        def note(name, item):
            if isinstance(item, h5py.Dataset):
                values = [one.tolist() for one in item[()]] if item.dtype.kind == "O" else item[()].tolist()
                found[name] = (item.shape, item.dtype.str, values)

        file.visititems(note)
        return found, sorted(file.attrs)


@pytest.fixture
def paths(tmp_path):
    """Two equal shower files: one for each library."""
    points = np.random.default_rng(1).random((6, 4, 5), np.float32) + np.float32(0.1)
    points[3, 2:] = 0
    found = [tmp_path / f"{name}.h5" for name in ("same", "other")]
    for path in found:
        showerdata.Showers(points, np.ones(6), 22).save(path)
    return found


def test_the_target_of_a_real_file(shared):
    path = shared / "data" / "showers" / "photons_ild_5f_target.h5"
    for options in ({}, {"start": 3, "stop": 9}, {"start": -2}, {"max_points": 9000}, {"max_points": None}):
        assert outcome(showers.load_target, path, **options) == outcome(showerdata.load_target, path, **options)
    points, counts = showers.load_target(path, max_points=7)
    assert points.tobytes() == showerdata.load_target(path, max_points=7)[0].tobytes()
    assert counts.max() == 7


CALLS = {
    "whole": lambda lib, path: lib.save_target(DATA, path, COUNTS),
    "long counts": lambda lib, path: lib.save_target(DATA, path, COUNTS.astype(np.int64), "other"),
    "counts of the showers": lambda lib, path: lib.save_target(DATA, path),
    "doubles": lambda lib, path: lib.save_target(DATA.astype(np.float64), path, COUNTS),
    "fewer than showers": lambda lib, path: lib.save_target(DATA[:2], path, COUNTS[:2]),
    "none": lambda lib, path: lib.save_target(DATA[:0], path, COUNTS[:0]),
    "nested": lambda lib, path: lib.save_target(DATA, path, COUNTS, "a/b"),
    "counts that are too many": lambda lib, path: lib.save_target(DATA[:3], path),
    "two dimensions": lambda lib, path: lib.save_target(DATA[0], path, COUNTS),
    "negative": lambda lib, path: lib.save_target(DATA, path, -COUNTS),
    "above the width": lambda lib, path: lib.save_target(DATA, path, COUNTS * 2),
    "of another length": lambda lib, path: lib.save_target(DATA, path, COUNTS[:3]),
    "over a data set": lambda lib, path: lib.save_target(DATA, path, COUNTS, "energies"),
    "room": lambda lib, path: lib.add_target_dataset(path, (6, 4, 2)),
    "room by another name": lambda lib, path: lib.add_target_dataset(path, (6, 9, 7), key="other"),
    "twice": lambda lib, path: [lib.add_target_dataset(path, (6, 4, 2)) for _ in range(2)],
    "twice, which is fine": lambda lib, path: [lib.add_target_dataset(path, (6, 4, 2), exists_ok=True), None][1],
    "batch": lambda lib, path: [
        lib.add_target_dataset(path, (6, 4, 2)),
        lib.save_target_batch(DATA[:2], path, COUNTS[:2], start=1),
    ][1],
    "batch, counts of the showers": lambda lib, path: [
        lib.add_target_dataset(path, (6, 4, 2)),
        lib.save_target_batch(DATA[:2], path, start=3),
    ][1],
    "batch behind the end": lambda lib, path: [
        lib.add_target_dataset(path, (6, 4, 2)),
        lib.save_target_batch(DATA, path, COUNTS, start=4),
    ][1],
    "batch before the beginning": lambda lib, path: [
        lib.add_target_dataset(path, (6, 4, 2)),
        lib.save_target_batch(DATA[:2], path, COUNTS[:2], start=-1),
    ][1],
    "batch of no target": lambda lib, path: lib.save_target_batch(DATA, path, COUNTS, key="none"),
    "batch of two dimensions": lambda lib, path: lib.save_target_batch(DATA[0], path, COUNTS),
    "batch with other counts": lambda lib, path: lib.save_target_batch(DATA, path, COUNTS[:2]),
}


@pytest.mark.parametrize("name", CALLS)
def test_writing(paths, name):
    made = [outcome(partial(CALLS[name], lib, paths[0])) for lib in (showerdata,)]
    before, other = dump(paths[0]), paths[1]
    found = outcome(partial(CALLS[name], showers, other))
    assert str(found).replace("other.h5", "same.h5") == str(made[0])
    assert dump(other) == before
    for key in ("target", "other", "none"):
        assert outcome(showers.load_target, other, key) == outcome(showerdata.load_target, other, key)


def test_over_what_is_there(paths):
    for lib, path in zip((showerdata, showers), paths, strict=True):
        lib.save_target(DATA, path, COUNTS)
        with pytest.raises(FileExistsError, match="Use overwrite=True"):
            lib.save_target(DATA, path, COUNTS)
        lib.save_target(DATA[:, :3] + 1, path, COUNTS.clip(0, 3), overwrite=True)
    assert dump(paths[0]) == dump(paths[1])
    with pytest.raises(FileExistsError, match="not a target"):
        showers.save_target(DATA, paths[1], COUNTS, "energies", overwrite=True)  # the original deletes the energies
    assert dump(paths[0]) == dump(paths[1])


def test_files_that_are_not_there(tmp_path):
    new = tmp_path / "new.h5"
    with pytest.raises(ValueError, match="num_points must be provided"):
        showers.save_target(DATA, new)
    for kind in (KeyError, FileNotFoundError):
        with pytest.raises(kind, match="'target' not found in"):
            showers.save_target_batch(DATA, new, COUNTS)
    with pytest.raises(FileNotFoundError):
        showers.save_target_batch(DATA, new)
    assert not new.exists()
    showers.save_target(DATA, new, COUNTS)
    assert outcome(showerdata.load_target, new) == outcome(showers.load_target, new)
    showers.add_target_dataset(tmp_path / "room.h5", (6, 4, 2))
    assert showers.load_target(tmp_path / "room.h5")[0].shape == (6, 4, 2)


def test_the_documented_order_of_arguments(paths):
    for path, order in zip(paths, ((paths[0], COUNTS), (COUNTS, paths[1])), strict=True):
        showers.add_target_dataset(path, (6, 4, 2))
        showers.save_target_batch(DATA, *order, start=0, key="target")
    assert dump(paths[0]) == dump(paths[1])
    showers.save_target_batch(DATA[:2].tolist(), str(paths[0]), [1, 2])
    assert showers.load_target(paths[0])[1].tolist()[:2] == [1, 2]


def test_what_would_make_a_target_unreadable_is_refused(paths):
    showers.add_target_dataset(paths[0], (6, 3, 2))
    before = dump(paths[0])
    for data, counts in ((np.ones((2, 3, 4), "f4"), [1, 1]), (DATA[:2], [4, 4])):
        with pytest.raises(ValueError, match="Shape mismatch"):
            showers.save_target_batch(data, paths[0], np.array(counts))
    with pytest.raises(FileExistsError, match=r"\(6, 3, 2\)"):
        showers.add_target_dataset(paths[0], (6, 4, 2), exists_ok=True)
    showers.add_target_dataset(paths[0], (6, 3, 2), exists_ok=True)
    for shape in ((6, 4), (6, -1, 2), (-1, 4, 2)):
        with pytest.raises((ValueError, OverflowError)):
            showers.add_target_dataset(paths[0], shape, key="bad")
    assert dump(paths[0]) == before
