"""Showers without padding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from detcore.showers import Ragged


def make(counts, columns=5, seed=0):
    rng = np.random.default_rng(seed)
    points = rng.random((sum(counts), columns), np.float32) + np.float32(0.1)
    n = len(counts)
    return Ragged.build(points, counts, rng.random(n), rng.random((n, 3)), rng.integers(0, 99, n), rng.permutation(n))


def parts(ragged):
    """Each shower as plain values."""
    return [
        (
            ragged.shower(i).tolist(),
            ragged.energies[i],
            ragged.directions[i].tolist(),
            ragged.pdg[i],
            ragged.shower_ids[i],
        )
        for i in range(len(ragged))
    ]


COUNTS = st.lists(st.integers(0, 6), max_size=8)


@given(COUNTS, st.sampled_from([4, 5]))
def test_dense_and_back(counts, columns):
    ragged = make(counts, columns)
    dense = ragged.dense()
    assert dense.shape == (len(counts), max(counts, default=0), columns)
    for row, shower in zip(dense, (ragged.shower(i) for i in range(len(ragged))), strict=True):
        np.testing.assert_array_equal(row[: len(shower)], shower)
        assert not row[len(shower) :].any()
    back = Ragged.from_dense(dense, counts, ragged.energies, ragged.directions, ragged.pdg, ragged.shower_ids)
    assert parts(back.validate()) == parts(ragged)


@given(COUNTS.filter(len), st.data())
def test_selecting_is_selecting_from_a_list(counts, data):
    ragged = make(counts)
    n = len(counts)
    index = data.draw(
        st.one_of(
            st.integers(-n, n - 1),
            st.slices(n),
            st.lists(st.integers(-n, n - 1), max_size=5),
            hnp.arrays(bool, n),
        )
    )
    found = ragged[index].validate()
    expected = np.atleast_1d(np.arange(n)[np.asarray(index) if isinstance(index, list) and index else index])
    if isinstance(index, list) and not index:
        expected = np.zeros(0, int)
    assert parts(found) == [parts(ragged)[i] for i in expected]
    assert found.max_points == ragged.max_points


@given(st.lists(COUNTS, min_size=1, max_size=4))
def test_concatenating_keeps_order_and_the_largest_width(lists):
    many = [make(counts, seed=seed) for seed, counts in enumerate(lists)]
    found = Ragged.concatenate(many).validate()
    assert parts(found) == [shower for one in many for shower in parts(one)]
    if len(found):
        assert found.max_points == max(one.max_points for one in many if len(one))


def test_what_cannot_be_put_together():
    with pytest.raises(ValueError, match="4 columns"):
        Ragged.concatenate([make([1]), make([1], 4)])
    assert len(Ragged.concatenate([])) == 0
    assert Ragged.concatenate([make([], 4)]).columns == 4


@pytest.mark.parametrize("index", [3, -4, [3], [True, False], np.array([[0]]), [0.5], np.array([True])])
def test_there_is_no_such_shower(index):
    with pytest.raises((IndexError, TypeError)):
        make([1, 2, 3])[index]
    with pytest.raises(IndexError):
        make([1, 2, 3]).shower(3)


def test_a_run_of_showers_shares_memory():
    ragged = make([3, 4, 5])
    assert np.shares_memory(ragged[1:].points, ragged.points)
    assert np.shares_memory(ragged.shower(-1), ragged.points)


def test_dense_cuts_and_pads():
    ragged = make([3, 1])
    assert ragged.dense(2).shape == (2, 2, 5)
    np.testing.assert_array_equal(ragged.dense(2)[0], ragged.shower(0)[:2])
    assert ragged.dense(9).shape == (2, 9, 5)
    assert replace(ragged, max_points=7).dense().shape == (2, 7, 5)


def test_what_is_not_consistent_is_refused():
    good = make([2, 3])
    bad = [
        ({"points": good.points[:, :3]}, "points have shape"),
        ({"points": good.points.astype(np.float64)}, "float32"),
        ({"points": -good.points}, "non-negative"),
        ({"offsets": np.array([0, 6, 5])}, "offsets"),
        ({"offsets": np.array([1, 2, 5])}, "offsets"),
        ({"energies": good.energies[:1]}, "energies"),
        ({"directions": good.directions[:, :2]}, "directions"),
        ({"pdg": good.pdg.astype(np.int64)}, "pdg"),
        ({"shower_ids": good.shower_ids[:0]}, "shower_ids"),
    ]
    good.validate()
    for change, words in bad:
        with pytest.raises(ValueError, match=words):
            replace(good, **change).validate()
    with pytest.raises(ValueError, match="counts"):
        Ragged.from_dense(good.dense(), [1])
