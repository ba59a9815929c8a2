"""Samples of the stock reductions: rows of a number, a whole number, an image and a key, in one or several files."""

from __future__ import annotations

import numpy as np
import xarray as xr
from hypothesis import strategies as st

from detcore.core.accumulators import Count, Extremes, Histogram, Moments, Profile, Sum
from detcore.core.reduction import Together
from detcore.core.series import Series
from detcore.core.steps import Step

ROW = "event"


class Positive(Step):
    """Keeps the rows whose `x` is above a bound; adds a column."""

    above: float = 0.0

    def needs(self):
        return frozenset({"x"})

    def gives(self):
        return frozenset({"doubled"})

    def apply(self, chunk):
        kept = chunk.isel({ROW: chunk["x"].values > self.above})
        return kept.assign(doubled=(ROW, kept["x"].values * 2))


# A few exact values among the others: edges of bins, missing, both zeros. Bounded, so that the tolerance means something.
floats = st.one_of(st.sampled_from([0.0, -0.0, 1.0, 2.5, np.nan, np.inf]), st.floats(-100, 100, width=32))
finite = st.one_of(st.just(np.nan), st.floats(-100, 100, width=32))


@st.composite
def tables(draw):
    """One file: every column that the stock can meet."""
    n = draw(st.integers(0, 12))
    column = {
        "x": draw(st.lists(finite, min_size=n, max_size=n)),
        "wild": draw(st.lists(floats, min_size=n, max_size=n)),
        "n": draw(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=n, max_size=n)),
        "good": draw(st.lists(st.booleans(), min_size=n, max_size=n)),
    }
    image = draw(st.lists(st.integers(0, 2**16 - 1), min_size=6 * n, max_size=6 * n))
    return xr.Dataset(
        {
            "x": (ROW, np.array(column["x"], np.float32), {"units": "ns"}),
            "wild": (ROW, np.array(column["wild"], np.float64)),
            "n": (ROW, np.array(column["n"], np.int32)),
            "good": (ROW, np.array(column["good"], bool)),
            # not in front: reductions find their dimension by name
            "image": (
                ("y", ROW, "z"),
                np.array(image, np.uint16).reshape(n, 2, 3).transpose(1, 0, 2),
                {"units": "ADU"},
            ),
            "entry": (ROW, np.arange(n)),
        },
    )


@st.composite
def samples(draw, reductions):
    """A reduction, and one or more files for it."""
    files = draw(st.lists(tables(), min_size=1, max_size=3))
    files = [one.assign_attrs(file=f"run_{number}.root") for number, one in enumerate(files, start=9)]
    return {"reduction": draw(reductions), "schema": files[0].isel({ROW: slice(0, 0)}), "files": files, "row": ROW}


def each(reduction, *columns, **fields):
    return st.one_of(*(st.just(reduction(column=column, **fields)) for column in columns))


COLUMNS = ("x", "n", "good", "image")
BINS = {"low": -10.0, "high": 60.0, "bins": 7}
STRATEGIES = {
    "detcore.core.accumulators.Count": samples(each(Count, *COLUMNS, "wild")),
    "detcore.core.accumulators.Sum": samples(each(Sum, *COLUMNS)),
    "detcore.core.accumulators.Moments": samples(each(Moments, *COLUMNS, pivot=3.5)),
    "detcore.core.accumulators.Extremes": samples(each(Extremes, *COLUMNS, "wild")),
    "detcore.core.accumulators.Histogram": samples(each(Histogram, *COLUMNS, "wild", **BINS)),
    "detcore.core.accumulators.Profile": samples(
        st.sampled_from(["x", "n", "image"]).map(lambda value: Profile(column="wild", value=value, pivot=1.0, **BINS))
    ),
    "detcore.core.series.Series": samples(
        st.builds(Series, columns=st.sampled_from(["x", "x,n,image"]), last=st.one_of(st.none(), st.integers(1, 8)))
    ),
    "detcore.core.reduction.After": samples(
        st.sampled_from(
            [
                Sum(column="doubled").after(Positive()),
                Sum(column="n").after(Positive(above=-5), Positive(above=7)),
                Moments(column="image").after(Positive()).after(Positive(above=2)),
            ]
        )
    ),
    "detcore.core.reduction.Together": samples(
        st.just(
            Together(
                reductions=(
                    Count(column="image"),
                    Sum(column="n").after(Positive()),
                    Moments(column="doubled").after(Positive()),
                    Together(reductions=(Extremes(column="wild"), Series(columns="n"))),
                )
            )
        )
    ),
}
