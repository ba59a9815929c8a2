"""Batches hold every shower once in an epoch, whole and with its particle."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import showerdata

from detcore.showers.batches import batches
from detcore.showers.ragged import Ragged
from detcore.showers.steps import Selection


@pytest.fixture
def two_files(shower_file):
    (one, first), (two, second) = shower_file("one.h5", n=12), shower_file("two.h5", n=9, seed=1)
    return Ragged.concatenate([one, two]), [first, second]


def same(found, expected):
    for name in ("points", "offsets", "energies", "directions", "pdg", "shower_ids"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def test_in_order_they_are_the_files(two_files):
    expected, paths = two_files
    found = list(batches(paths, 5))
    assert [len(one) for one in found] == [5, 5, 5, 5, 1]
    same(Ragged.concatenate(found), expected)


def test_shuffled_they_hold_every_shower_once(two_files):
    expected, paths = two_files
    found = list(batches(paths, 4, seed=7, epochs=2))
    assert len(found) == 12
    orders = []
    for epoch in (found[:6], found[6:]):
        together = Ragged.concatenate(epoch)
        order = [int(np.flatnonzero(expected.energies == energy)[0]) for energy in together.energies]
        assert sorted(order) == list(range(21))
        same(together, expected[np.array(order)])
        orders.append(order)
    assert orders[0] != orders[1] != list(range(21))
    again = list(batches(paths, 4, seed=7))
    for one, two in zip(again, found[:6], strict=True):
        same(one, two)
    assert any(
        len(one) != len(two) or (one.energies != two.energies).any()
        for one, two in zip(again, batches(paths, 4, seed=8), strict=True)
    )


def test_padded_ones_are_as_wide_as_the_files(shared):
    path = shared / "data/showers/photons_ild_clustered_4f.h5"
    expected = showerdata.load(path)
    found = list(batches(path, 32, padded=True))
    assert [one.points.shape for one in found] == [(n, *expected.points.shape[1:]) for n in (32, 32, 16)]
    np.testing.assert_array_equal(np.concatenate([one.points for one in found]), expected.points)
    np.testing.assert_array_equal(np.concatenate([one.energies for one in found]), expected.energies)


def test_selected_endless_and_whole_batches(two_files):
    expected, paths = two_files
    chosen = Selection(pdg=(22,))
    n = int((expected.pdg == 22).sum())
    assert sum(len(one) for one in batches(paths, 2, seed=1, selection=chosen)) == n
    assert all((one.pdg == 22).all() for one in batches(paths, 2, seed=1, selection=chosen))
    assert [len(one) for one in batches(paths, 10, drop_last=True)] == [10, 10]
    assert list(batches(paths, 50, drop_last=True, epochs=None)) == []
    assert len(list(itertools.islice(batches(paths, 20, epochs=None), 7))) == 7
    assert list(batches(paths, 5, epochs=0)) == []


def test_what_cannot_be_is_refused_at_once(two_files, shower_file, tmp_path):
    _, paths = two_files
    _, four = shower_file("four.h5", columns=4)
    with pytest.raises(ValueError, match="expected at least one shower"):
        batches(paths, 0)
    with pytest.raises(ValueError, match="4 columns and others 5"):
        batches([*paths, four], 3)
    with pytest.raises(FileNotFoundError):
        batches(tmp_path / "gone.h5", 3)
    endless = batches(paths, 5, epochs=None)
    next(endless)
    paths[1].unlink()
    shower_file("two.h5", n=3)
    with pytest.raises(ValueError, match="has 3 showers now"):
        list(itertools.islice(endless, 5))
