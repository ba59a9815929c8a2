"""The laws of a reduction (see detcore.core.reduction), for every reduction that there is."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import itertools
import pickle
import pkgutil
import sys

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import detcore
from detcore.core.accumulators import Sum
from detcore.core.reduction import Reduction
from detcore.core.schema import SAMPLE_DIMENSION
from detcore.core.steps import Step

RELATIVE, ABSOLUTE = 1e-9, 1e-6  # of float sums of values up to 100: rounding alone is 1e-12; integers are exact


def every(base):
    """Every class of the package that can be made, found by walking the modules and the subclasses."""
    for module in pkgutil.walk_packages(detcore.__path__, "detcore."):
        importlib.import_module(module.name)
    found, todo = set(), [base]
    while todo:
        todo += (new := todo.pop()).__subclasses__()
        if not inspect.isabstract(new) and new.__module__.startswith("detcore."):
            found.add(new)
    return found


def named(classes):
    return {f"{one.__module__}.{one.__qualname__}" for one in classes}


# ---- chunks


def cut(chunk, row, start, stop):
    """Rows start..stop of a chunk with everything that belongs to them (CF contiguous ragged arrays)."""
    where = {row: slice(start, stop)}
    for variable in chunk.variables.values():
        sample = variable.attrs.get(SAMPLE_DIMENSION)
        if sample in chunk.sizes:
            ends = np.concatenate([[0], np.cumsum(variable.values)])
            where[sample] = slice(int(ends[start]), int(ends[stop]))
    return chunk.isel(where).copy(deep=True)


def pieces_of(data, sample):
    """Cut every file somewhere, empty pieces included."""
    pieces = []
    for chunk in sample["files"]:
        n = chunk.sizes[sample["row"]]
        edges = [0, *sorted(data.draw(st.lists(st.integers(0, n), max_size=4))), n]
        pieces += [cut(chunk, sample["row"], start, stop) for start, stop in itertools.pairwise(edges)]
    return pieces


def state_of(reduction, schema, chunks):
    state = reduction.empty(schema)
    for chunk in chunks:
        reduction.update(state, chunk)
    return state


def copied(state):
    return pickle.loads(pickle.dumps(state))


def frozen(chunk):
    """A copy whose arrays refuse to be written to."""
    own = chunk.copy(deep=True)
    for variable in own.variables.values():
        variable.values.flags.writeable = False
    return own


# ---- comparison


def same(found, expected):
    """Equal in every name, dimension, type and number; sums of floats to the stated tolerance."""
    assert set(found.variables) == set(expected.variables)
    assert dict(found.sizes) == dict(expected.sizes)
    for name, variable in expected.variables.items():
        other = found[name]
        assert other.dims == variable.dims, name
        assert other.dtype == variable.dtype, name
        assert {k: v for k, v in other.attrs.items() if isinstance(v, str)} == variable.attrs, name
        if variable.dtype.kind == "f":
            np.testing.assert_allclose(other.values, variable.values, RELATIVE, ABSOLUTE, err_msg=str(name))
        else:
            np.testing.assert_array_equal(other.values, variable.values, err_msg=str(name))


def scribble(result):
    """Spoil a result as a careless user might."""
    for variable in result.variables.values():
        if variable.dtype.kind in "iufb":
            with contextlib.suppress(ValueError, TypeError):  # an index cannot be written to
                variable.values[...] = 1


# ---- the laws


def check(data, sample):
    """Hold a sample against all laws."""
    reduction, schema, files = sample["reduction"], sample["schema"], sample["files"]
    merged = lambda one, other: (copied_one := copied(one), reduction.merge(copied_one, copied(other)))[0]
    whole = reduction.finalize(state_of(reduction, schema, files))
    pieces = pieces_of(data, sample)

    # any chunking, in any order, over any number of states, merged in any order
    order = data.draw(st.permutations(range(len(pieces))))
    owner = data.draw(st.lists(st.integers(0, 3), min_size=len(pieces), max_size=len(pieces)))
    states = [state_of(reduction, schema, [pieces[i] for i in order if owner[i] == worker]) for worker in range(4)]
    kept = copied(states)
    while len(states) > 1:
        into = states.pop(data.draw(st.integers(0, len(states) - 1)))
        reduction.merge(into, states.pop(data.draw(st.integers(0, len(states) - 1))))
        states.append(into)
    same(reduction.finalize(states[0]), whole)

    # identity, associativity, commutativity
    a, b, c, _ = kept
    alone = reduction.finalize(copied(a))
    same(reduction.finalize(merged(a, reduction.empty(schema))), alone)
    same(reduction.finalize(merged(reduction.empty(schema), a)), alone)
    same(reduction.finalize(merged(merged(a, b), c)), reduction.finalize(merged(a, merged(b, c))))
    same(reduction.finalize(merged(a, b)), reduction.finalize(merged(b, a)))

    # update leaves its chunk alone
    untouched = frozen(files[0])
    before = untouched.copy(deep=True)
    reduction.update(reduction.empty(schema), untouched)
    xr.testing.assert_identical(untouched, before)

    # finalize is pure: twice the same; spoiling its result does not reach the state; later updates do not reach it
    state = state_of(reduction, schema, pieces)
    result = reduction.finalize(state)
    shown = result.copy(deep=True)
    same(reduction.finalize(state), shown)
    scribble(reduction.finalize(state))
    same(reduction.finalize(state), shown)
    for piece in pieces:
        reduction.update(state, piece)
    reduction.merge(state, state_of(reduction, schema, files))
    xr.testing.assert_identical(result, shown)

    # a pickled state goes on where it was
    half = len(pieces) // 2
    travelled = copied(state_of(reduction, schema, pieces[:half]))
    for piece in pieces[half:]:
        reduction.update(travelled, piece)
    same(reduction.finalize(travelled), whole)

    # it reads no more than it says
    needed = set(reduction.needs(schema)) | {"entry"}
    ragged = {name for name, one in files[0].variables.items() if SAMPLE_DIMENSION in one.attrs}
    lean = [one.drop_vars([name for name in one.variables if name not in needed | ragged]) for one in files]
    same(reduction.finalize(state_of(reduction, schema, lean)), whole)


def test_every_reduction_has_a_sample_and_every_sample_its_reduction():
    """A reduction without a strategy in tests/strategies cannot be forgotten, nor a strategy left behind."""
    modules = sys.modules
    known = {name for key, one in modules.items() if key.startswith("strategies_") for name in one.STRATEGIES}
    assert {name for name in known if name.startswith("detcore.")} == named(every(Reduction))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_laws(name, registered, data):
    sample = data.draw(registered)
    inner = sample["reduction"]
    while name.startswith("detcore.") and not name.endswith((".After", ".Together")) and hasattr(inner, "steps"):
        inner = inner.reduction
    assert not name.startswith("detcore.") or name in named([type(inner)])
    check(data, sample)


def test_steps_leave_their_chunk_alone_and_work_row_by_row():
    """Filters of every instrument: cutting before or after a step is the same."""
    steps = {one for one in every(Step) if not inspect.isabstract(one)}
    modules = [one for name, one in sorted(sys.modules.items()) if name.startswith("strategies_")]
    samples = [one.stepped() for one in modules if hasattr(one, "stepped")]

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def hold(sample, data):
        chunk, step, row = data.draw(sample)
        seen.add(type(step))
        given_chunk = frozen(chunk)
        whole = step.apply(given_chunk)
        xr.testing.assert_identical(given_chunk, chunk)
        at = data.draw(st.integers(0, chunk.sizes[row]))
        parts = [step.apply(cut(chunk, row, *edges)) for edges in ((0, at), (at, chunk.sizes[row]))]
        for variable in whole.variables:
            joined = np.concatenate([part[variable].values for part in parts])
            np.testing.assert_array_equal(joined, whole[variable].values, err_msg=str(variable))

    seen = set()
    for sample in samples:
        hold(sample)
    assert seen == steps


# ---- the checker itself


class Broken(Reduction):
    """Sums a column, and breaks one law."""

    fault: str

    def needs(self, schema):
        return frozenset({"n"})

    def empty(self, schema):
        state = {"sum": np.zeros(1, np.int64), "chunks": 0, "first": None}
        if self.fault == "does not pickle":
            state["function"] = lambda: None
        return state

    def update(self, state, chunk):
        values = chunk["n"].values
        if self.fault == "changes its chunk":
            values *= 1
        if self.fault == "reads what it does not need":
            values = chunk["image"].values.astype(np.int64)
        if self.fault == "counts chunks":
            state["sum"] += 1
        if self.fault == "forgets the last row" and len(values) > 1:
            values = values[:-1]
        if self.fault == "keeps the chunk that came first":
            state["first"] = values.copy() if state["first"] is None and len(values) else state["first"]
        state["sum"] += values.sum(dtype=np.int64)

    def merge(self, state, other):
        if self.fault == "merge takes the larger":
            state["sum"] = np.maximum(state["sum"], other["sum"])
        elif self.fault == "merge subtracts":
            state["sum"] -= other["sum"]
        else:
            state["sum"] += other["sum"] + (self.fault == "merge counts")
        state["first"] = other["first"] if state["first"] is None else state["first"]

    def finalize(self, state):
        if self.fault == "finalize changes the state":
            state["sum"] += 1
        total = state["sum"] if self.fault == "finalize shares memory" else state["sum"].copy()
        if self.fault == "keeps the chunk that came first" and state["first"] is not None:
            total = state["first"][:1]
        if self.fault == "floats":
            total = total.astype(np.float32).astype(np.int64)
        return xr.Dataset({"n_sum": ("one", total)})


FAULTS = [
    "changes its chunk",
    "counts chunks",
    "does not pickle",
    "finalize changes the state",
    "finalize shares memory",
    "forgets the last row",
    "keeps the chunk that came first",
    "merge counts",
    "merge subtracts",
    "merge takes the larger",
    "reads what it does not need",
]


def rows(n):
    values = np.arange(3, 3 + n, dtype=np.int64) ** 3
    image = ("event", values)
    return xr.Dataset({"n": ("event", values), "image": image, "entry": ("event", np.arange(n))}, attrs={"file": "f"})


def obeys(reduction):
    files = [rows(5), rows(9)]
    sample = {"reduction": reduction, "schema": rows(0), "files": files, "row": "event"}

    # not shrunk: that it fails is all that is asked
    @settings(
        max_examples=30,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def hold(data):
        check(data, sample)

    hold()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_reduction_that_breaks_a_law_is_caught(fault):
    with pytest.raises((AssertionError, ValueError, KeyError, AttributeError, pickle.PicklingError)):
        obeys(Broken(fault=fault))


def test_the_same_reduction_without_a_fault_passes():
    obeys(Broken(fault="none"))
    obeys(Sum(column="n"))


def test_a_missing_sample_is_noticed():
    class Forgotten(Sum):
        __module__ = "detcore.core.accumulators"

    try:
        assert Forgotten in every(Reduction)
    finally:
        Forgotten.__module__ = __name__  # or it would be missing a sample for the rest of the session
