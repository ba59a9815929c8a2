"""Columns read basket by basket against uproot, on files that ROOT itself wrote."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

from detcore.occupancy.baskets import Column


def test_blocks_of_more_than_16_megabytes(tmp_path):
    """A compressed block holds at most 2**24 - 1 bytes: larger baskets are several."""
    values = np.arange(5_000_000, dtype=np.int32)
    path = tmp_path / "a.root"
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        tree = file.mktree("tree", {"x": "int32"})
        tree.extend({"x": values})
    with uproot.open({str(path): None}) as file:
        column = Column.of(file["tree"]["x"])
        assert file["tree"]["x"].num_baskets == 1
    with path.open("rb") as file:
        found, counts = column.read(file.fileno(), 0, len(values))
        np.testing.assert_array_equal(found, values)
        assert counts is None
        np.testing.assert_array_equal(column.read(file.fileno(), 4_999_990, len(values))[0], values[-10:])


@pytest.mark.parametrize("name", ["hits", "mc_hits"])
def test_a_real_split_vector_of_hits(shared, name):
    """The layout class of fAllHits as ROOT itself writes it (KM3NeT)."""
    path = shared / "data/occupancy/km3net_split_vector_hit.root"
    compared = 0
    with uproot.open({str(path): None}) as file, path.open("rb") as raw:
        for branch in file["E/Evt"][name].branches:
            column, expected = Column.of(branch), branch.array()
            assert column is not None
            assert column.jagged
            for start, stop in ((0, 10), (3, 4), (2, 9), (5, 5)):
                values, counts = column.read(raw.fileno(), start, stop)
                np.testing.assert_array_equal(values, ak.to_numpy(ak.flatten(expected[start:stop])))
                np.testing.assert_array_equal(counts, ak.to_numpy(ak.num(expected[start:stop])))
                assert values.dtype.isnative
            compared += 1
    assert compared == 20


@pytest.mark.parametrize("name", ["sim_jpsi_1k", "sim_muminus_10k", "sim_padded_20k"])
def test_real_columns_basket_by_basket(shared, name):
    """Every plain branch of the real files, read from the middle of one basket to the middle of another."""
    path = shared / f"data/occupancy/{name}.root"
    with uproot.open({str(path): None}) as file, path.open("rb") as raw:
        for branch in file["tree"].branches:
            column = Column.of(branch)
            assert column is not None, branch.name
            start, stop = branch.num_entries // 3, branch.num_entries // 3 + 150
            values, _ = column.read(raw.fileno(), start, stop)
            expected = branch.array(entry_start=start, entry_stop=stop)
            np.testing.assert_array_equal(values, ak.to_numpy(ak.flatten(expected, axis=None)))


@pytest.mark.parametrize("basket", [0, 2])
def test_every_byte_of_a_damaged_basket_header_is_noticed_or_harmless(tmp_path, broken_files, basket):
    """Flip each byte of a key, one after the other: the right ids, or an error that names branch and basket."""
    path = tmp_path / "a.root"
    broken_files.sound_spill(path)
    with uproot.open({str(path): None}) as file:
        branch = file["save"]["fAllHits.detectorID"]
        column, key = Column.of(branch), branch.basket_key(basket)
        start, stop = branch.basket_entry_start_stop(basket)
        expected = branch.array(entry_start=start, entry_stop=stop)
    content, noticed = path.read_bytes(), 0
    for place in range(key.fKeylen + 9):
        damaged = bytearray(content)
        damaged[key.fSeekKey + place] ^= 0xFF
        path.write_bytes(damaged)
        with path.open("rb") as raw:
            try:
                values, counts = column.read(raw.fileno(), start, stop)
            except ValueError as error:
                assert f"basket {basket}" in str(error)  # noqa: PT017
                noticed += 1
            else:
                np.testing.assert_array_equal(values, ak.to_numpy(ak.flatten(expected)))
                np.testing.assert_array_equal(counts, ak.to_numpy(ak.num(expected)))
    assert noticed > 20
