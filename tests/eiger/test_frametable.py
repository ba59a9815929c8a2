"""Tables of frames: what they remember, and how they grow."""

from __future__ import annotations

import os

import h5py
import numpy as np
import pytest

from detcore.core.hdf5 import beside, opened
from detcore.core.source import TruncatedFile
from detcore.eiger import frametable
from detcore.eiger.frametable import BSLZ4, DECODED, RAW, table_of
from detcore.eiger.layout import Slab, pieces
from detcore.eiger.writer import write_series

PLACE = "/entry/data/data"


@pytest.mark.parametrize(
    ("slab", "n", "rows"),
    [
        (Slab(), 4, [0, 1, 2, 3]),
        (Slab(2), 4, [2, 3]),
        (Slab(5), 4, []),
        (Slab(1, 3, 2, 2), 100, [1, 2, 4, 5]),
        (Slab(1, 3, None, 2), 6, [1, 2, 4, 5]),
        (Slab(0, 1, 1, 5), 3, [0, 1, 2]),
        (Slab(0, 2, 1 << 50), 5, [0, 2, 4]),
        (Slab(), 0, []),
    ],
)
def test_slabs(slab, n, rows):
    assert slab.rows(n).tolist() == rows


def test_a_table_has_the_place_of_each_chunk(tmp_path, counts):
    path = str(write_series(tmp_path, "a", counts(7), layout="bare"))
    table = table_of(path, PLACE)
    with h5py.File(path) as file:
        chunks = [file[PLACE].id.read_direct_chunk((row, 0, 0))[1] for row in range(7)]
    whole = (tmp_path / "a_data_000001.h5").read_bytes()
    found = [whole[at : at + size] for at, size in zip(table.offsets, table.sizes, strict=True)]
    assert found == chunks
    assert table.rows.tolist() == list(range(7))
    assert set(table.codes) == {BSLZ4}
    assert (table.length, table.first, table.shape, table.dtype) == (7, 1, (37, 50), np.uint16)


def test_a_table_that_grew_by_asking_is_like_one_made_afresh(tmp_path, counts, monkeypatch):
    frames = counts(60)
    path = str(write_series(tmp_path, "a", frames[:5], layout="bare"))
    fingerprint = table_of(path, PLACE).fingerprint
    with h5py.File(path, "r+") as file:
        file[PLACE].resize(60, axis=0)
        for row in (*range(5, 40), *range(50, 60)):
            file[PLACE][row] = frames[row]
    calls = []
    original = frametable._line
    monkeypatch.setattr(frametable, "_line", lambda info, row: calls.append(row) or original(info, row))
    grown = table_of(path, PLACE)
    assert calls == [*range(5, 40), *range(50, 60)], "only the new ones were asked for"
    frametable._tables.clear()
    fresh = table_of(path, PLACE)
    for name in ("rows", "offsets", "sizes", "codes"):
        np.testing.assert_array_equal(getattr(grown, name), getattr(fresh, name))
    assert grown.fingerprint == fresh.fingerprint == fingerprint


def test_a_table_is_remembered_until_the_file_changes(tmp_path, counts, monkeypatch):
    path = str(write_series(tmp_path, "a", counts(5), layout="bare"))
    os.utime(path, (1e9, 1e9))
    first = table_of(path, PLACE)
    assert table_of(path, PLACE) is first
    os.utime(path, (1e9 + 1, 1e9 + 1))
    assert table_of(path, PLACE) is not first
    monkeypatch.setattr(frametable, "FRESH", 1e12)  # as if it had been written just now: time and size prove nothing
    assert table_of(path, PLACE) is not table_of(path, PLACE)


@pytest.mark.parametrize(
    ("options", "code"),
    [({"chunks": (1, 37, 50)}, RAW), ({}, RAW), ({"chunks": (2, 37, 50)}, DECODED), ({"compression": "gzip"}, DECODED)],
)
def test_how_frames_are_stored(tmp_path, counts, options, code):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("d", data=counts(4), **options)
    assert set(table_of(str(tmp_path / "a.h5"), "d").codes) == {code}


def test_a_data_set_that_was_never_written_has_no_frames(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=512) as file:
        file.create_dataset("d", (4, 37, 50), "u2")
        file.create_dataset("e", (4, 37, 50), "u2", chunks=(1, 37, 50))
    for name in "de":
        table = table_of(str(tmp_path / "a.h5"), name)
        assert (table.length, len(table.rows)) == (4, 0)


def test_pieces_of_every_layout(tmp_path, counts):
    names = {}
    for layout in ("links", "vds", "master", "bare"):
        master = write_series(tmp_path, layout, counts(10), per_file=4, layout=layout)
        names[layout] = [(os.path.relpath(piece.path, tmp_path), piece.dataset) for piece in pieces(str(master))]
    assert names == {
        "links": [(f"links_data_00000{k}.h5", PLACE) for k in (1, 2, 3)],
        "vds": [(f"vds_00000{k}.h5", "/data") for k in (1, 2, 3)],
        "master": [("master_master.h5", PLACE)],
        "bare": [("bare_data_000001.h5", PLACE)],
    }


def test_links_are_looked_for_beside_their_file(tmp_path):
    master = str(tmp_path / "m.h5")
    (tmp_path / "here.h5").touch()
    assert beside(master, "a.h5") == str(tmp_path / "a.h5")
    assert beside(master, "/gone/here.h5") == str(tmp_path / "here.h5")
    assert beside(master, "/gone/away.h5") == "/gone/away.h5"


def test_a_cut_file_is_told_from_one_that_never_was_hdf5(tmp_path, counts):
    path = write_series(tmp_path, "a", counts(5), layout="bare")
    os.truncate(path, 3000)
    with pytest.raises(TruncatedFile, match="3000 bytes are there"), opened(str(path)):
        pass
