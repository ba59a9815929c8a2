"""`Showers` beside those of the original library: same arrays, same errors, except where the original is wrong."""

from __future__ import annotations

import numpy as np
import pytest
import showerdata

from detcore import showers
from detcore.showers import core
from detcore.showers.particles import IncidentParticles

NAMES = ("points", "energies", "pdg", "directions", "shower_ids", "_num_points")
PARTICLE = ("energies", "pdg", "directions")


def cloud(n=3, width=4, columns=5, seed=0):
    points = np.random.default_rng(seed).random((n, width, columns), np.float32) + np.float32(0.01)
    points[-1, 2:] = 0
    return points


def state(made):
    names = NAMES if hasattr(made, "points") else PARTICLE
    return [
        (name, getattr(made, name).dtype, getattr(made, name).shape, getattr(made, name).tobytes()) for name in names
    ]


def outcome(function, *args, **options):
    try:
        made = function(*args, **options)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        return type(error), str(error)
    return state(made)


def changed(*places):
    points = cloud()
    for place, value in places:
        points[place] = value
    return points


INPUTS = {
    "plain": {},
    "nothing": {"points": (), "energies": (), "pdg": ()},
    "row of energies": {"energies": np.ones((3, 1))},
    "energies in a row": {"energies": np.ones((1, 3))},
    "two energies": {"energies": np.ones(2)},
    "two columns of energies": {"energies": np.ones((3, 2))},
    "one number": {"energies": 3.0},
    "codes in a column": {"pdg": np.ones((3, 1))},
    "codes in two columns": {"pdg": np.ones((3, 2))},
    "two codes": {"pdg": [1, 2]},
    "a real code": {"pdg": 22.0},
    "no codes": {"pdg": ()},
    "directions": {"directions": np.ones((3, 3))},
    "two directions": {"directions": np.ones((2, 3))},
    "one direction": {"directions": (0, 0, 1)},
    "two numbers": {"shower_ids": [1, 2]},
    "numbers in a column": {"shower_ids": [[1], [2], [3]]},
    "counts": {"num_points": [1, 2, 3]},
    "two counts": {"num_points": [1, 2]},
    "counts in a column": {"num_points": [[1], [2], [3]]},
    "counts above the width": {"num_points": [9, 9, 9]},
    "four columns": {"points": cloud(columns=4)},
    "six columns": {"points": np.ones((3, 4, 6))},
    "four dimensions": {"points": np.ones((3, 4, 5, 1))},
    "lists": {"points": cloud().tolist()},
    "doubles": {"points": cloud().astype(np.float64)},
    "Fortran order": {"points": np.asfortranarray(cloud())},
    "every second": {"points": cloud(width=8)[:, ::2]},
    "other number": {"points": cloud(4)},
    "no width": {"points": np.zeros((3, 0, 5))},
    "no showers": {"points": np.zeros((0, 4, 4)), "energies": [], "pdg": []},
    "energies without points": {"points": ()},
    "negative": {"points": changed(((1, 2, 3), -1))},
    "negative beyond the count": {"points": changed(((2, 3, 3), -1)), "num_points": [1, 1, 1]},
    "padding in front": {"points": changed(((1, 0, 3), 0))},
    "padding in front, real order": {"points": np.asfortranarray(changed(((1, 0, 3), 0)))},
    "negative, real order": {"points": np.asfortranarray(changed(((1, 2, 3), -1)))},
    "a gap": {"points": changed(((1, 1, 3), 0))},
    "not a number": {"points": changed(((1, 1, 3), np.nan))},
    "not a number in front": {"points": changed(((1, 0, 3), np.nan))},
    "infinite": {"points": changed(((1, 0, 3), np.inf))},
    "minus zero": {"points": changed(((0, 3, 3), -0.0))},
    "no copy": {"copy": False},
    "no copy of lists": {"points": cloud().tolist(), "copy": False},
    "no copy of doubles": {"points": cloud().astype(np.float64), "copy": False},
    "no copy of listed energies": {"energies": [1, 2, 3], "copy": False},
    "text": {"points": "abc"},
    "ragged lists": {"points": [[[1, 2, 3, 4]], []]},
}


@pytest.mark.parametrize("name", INPUTS)
def test_the_constructor_does_what_the_original_does(name):
    given = {"points": cloud(), "energies": np.ones(3, np.float32), "pdg": 22} | INPUTS[name]
    assert outcome(showers.Showers, **given) == outcome(showerdata.Showers, **given)


@pytest.mark.parametrize("points", [cloud()[0], cloud()[:, :, :3], [1, 2, 3]])
def test_points_of_wrong_shape_are_both_errors(points):
    with pytest.raises(IndexError):
        showerdata.Showers(points, np.ones(3), 22)
    for kind in (IndexError, ValueError):
        with pytest.raises(kind, match=r"4 or 5\) got"):
            showers.Showers(points, np.ones(3), 22)


def test_memory_is_shared_and_can_be_written_to():
    points = cloud()
    made = showers.Showers(points, np.ones(3), 22)
    made.points[0, 0, 0] = 17
    assert points[0, 0, 0] == 17
    assert np.shares_memory(made[:2].points, points)
    assert not np.shares_memory(made.copy().points, points)
    assert not np.shares_memory(showers.Showers(points, np.ones(3), 22, copy=True).points, points)
    assert np.shares_memory(made.inc_particles.energies, made.energies)
    with pytest.raises(TypeError, match="unhashable"):
        hash(made)


SAME = [
    *(0, 2, 5, slice(0, 2), slice(None, None, -1), ..., (), [0, 2], [2, 0], [0, 0], [5], [-1], [], (0,), (0, 1)),
    *(range(2), None, "a", 1.5, [1.5], np.array([[0]]), np.array([1], np.uint8)),
]


@pytest.mark.parametrize("index", SAME, ids=repr)
def test_indices_do_what_they_do_in_the_original(index):
    for ours, theirs in (
        (showers.Showers(cloud(), [1, 2, 3], 22), showerdata.Showers(cloud(), [1, 2, 3], 22)),
        (IncidentParticles([[1], [2], [3]], 22), showerdata.IncidentParticles([[1], [2], [3]], 22)),
    ):
        assert outcome(ours.__getitem__, index) == outcome(theirs.__getitem__, index)


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (-1, [2]),
        (np.int64(1), [1]),
        (np.array(1), [1]),
        ([True, False, True], [0, 2]),
        (np.array([True, False, True]), [0, 2]),
        (np.zeros(3, bool), []),
    ],
)
def test_indices_that_the_original_gets_wrong(index, expected):
    assert showers.Showers(cloud(), [1, 2, 3], 22)[index].shower_ids.tolist() == expected
    assert (IncidentParticles([[0], [1], [2]], 22)[index].energies.ravel() == expected).all()


def test_a_mask_of_another_length_is_refused():
    with pytest.raises(IndexError, match="boolean index did not match"):
        showers.Showers(cloud(), [1, 2, 3], 22)[[True, False]]


def test_numpy_integers_are_codes():
    assert showers.Showers(cloud(), [1, 2, 3], np.int32(11)).pdg.tolist() == [11, 11, 11]


def test_adding_and_concatenating():
    pairs = [
        (cloud(), cloud(2, 7)),
        (cloud(), np.zeros((0, 0, 5))),
        (np.zeros((0, 9, 5)), cloud()),
        (cloud(), cloud(columns=4)),
    ]
    for one, two in pairs:
        ours, theirs = (
            [library.Showers(points, np.arange(len(points)), 22) for points in (one, two)]
            for library in (showers, showerdata)
        )
        assert outcome(lambda a, b: a + b, *ours) == outcome(lambda a, b: a + b, *theirs)
        assert outcome(showers.concatenate, ours) == outcome(showerdata.concatenate, theirs)
        assert outcome(showers.concatenate, iter(ours)) == outcome(showerdata.concatenate, iter(theirs))
    for bad in (3, "a"):
        assert outcome(lambda a, b: a + b, ours[0], bad) == outcome(lambda a, b: a + b, theirs[0], bad)
    assert outcome(showers.concatenate, []) == outcome(showerdata.concatenate, [])
    assert outcome(showers.concatenate, [3]) == outcome(showerdata.concatenate, [3])
    assert outcome(showers.concatenate, 3) == outcome(showerdata.concatenate, 3)
    alone = showers.Showers(cloud(), np.ones(3), 22)
    assert not np.shares_memory(showers.concatenate([alone]).points, alone.points)


def test_concatenating_keeps_what_is_not_a_point():
    points = cloud(2, 3000)
    points[1, 500:] = 0
    points[1, 2999, 0] = -0.0  # not zero in its bits
    points[1, 2998, 1] = 7  # no energy, yet somewhere
    made = showers.Showers(points, [1, 2], 22)
    assert showers.concatenate([made]).points.tobytes() == points.tobytes()
    assert showers.concatenate([made[::-1]]).points.tobytes() == points[::-1].tobytes()


def test_equality_iteration_and_length():
    made = showers.Showers(cloud(), np.ones(3), 22)
    assert made == made.copy()
    assert made != showers.Showers(cloud(), np.full(3, 2), 22)
    assert made != made[:2]
    assert made != 3
    assert [one.shower_ids.tolist() for one in made] == [[0], [1], [2]]
    assert (len(made), bool(made), bool(showers.Showers())) == (3, True, False)
    assert showers.Showers().is_empty
    assert [one.pdg.tolist() for one in made.inc_particles] == [[22]] * 3  # never ends in the original


PARTICLES = [
    ([[1], [2]], 22),
    ([[1], [2]], [22, 11]),
    ([1, 2], 22),
    ([[1], [2]], [22]),
    ([[1], [2]], [[22], [11]]),
    ([[1], [2]], 22, [0, 0, 1]),
    ([[1], [2]], 22, np.ones((2, 3))),
    ([[1], [2]], 22, np.ones((3, 3))),
]


@pytest.mark.parametrize("given", PARTICLES, ids=repr)
def test_incident_particles(given):
    assert outcome(IncidentParticles, *given) == outcome(showerdata.IncidentParticles, *given)
    if isinstance(outcome(IncidentParticles, *given), list):
        assert repr(IncidentParticles(*given)) == repr(showerdata.IncidentParticles(*given))


def test_ragged_and_back():
    points = cloud(4, 9)
    made = showers.Showers(points, np.arange(4), [1, 2, 3, 4], shower_ids=[9, 8, 7, 6])
    ragged = made.ragged().validate()
    assert ragged.counts.tolist() == [9, 9, 9, 2]
    assert showers.Showers.from_ragged(ragged) == made
    assert showers.Showers.from_ragged(ragged, 5).points.shape == (4, 5, 5)
    assert showers.Showers.from_ragged(ragged, 5)._num_points.tolist() == [5, 5, 5, 2]
    made.points[3, 5, 3] = 1  # a point that the count does not know
    assert made.ragged().counts.tolist() == [9, 9, 9, 6]
    sliced = showers.Showers(cloud(4, 18)[:, ::2], np.arange(4), 22)
    assert showers.Showers.from_ragged(sliced.ragged()) == sliced


def test_every_name_of_the_original_is_there():
    for module, ours in ((showerdata, showers), (showerdata.core, core)):
        names = [name for name in vars(module) if not name.startswith("_") and getattr(module, name) is not np]
        public = [n for n in names if getattr(getattr(module, n), "__module__", "").startswith("showerdata")]
        assert len(public) > 15
        missing = [name for name in public if not hasattr(ours, name)]
        assert missing == []
    assert set(showerdata.__all__) - {"__author__", "__version__"} <= set(dir(showers))
