"""Samples of the shower reductions: showers with and without points, behind every cut, in one or several files."""

from __future__ import annotations

import numpy as np
import xarray as xr
from hypothesis import strategies as st

from detcore.core.schema import SAMPLE_DIMENSION
from detcore.showers.reductions import Maps, Overview, Profiles, Spectra, Table
from detcore.showers.steps import Cuts

SOME = (
    "pdg",
    "theta",
    "n_hits",
    "energy_ratio",
    "center_x",
    "start_layer",
    "time_mean",
)  # of the table: fewer are faster
EMPTY = {"shower": slice(0, 0), "point": slice(0, 0)}


def chunk_of(points, counts, *, energy=None, direction=None, pdg=22, first=0, file="a.h5", geometry="ILD"):
    """A chunk as the source gives it; points (point, 4 or 5)."""
    n = len(counts)
    directions = np.tile(np.float32([0, 0, 1]), (n, 1)) if direction is None else np.asarray(direction, np.float32)
    return xr.Dataset(
        {
            "shower_number": ("shower", np.arange(first, first + n, dtype=np.int64)),
            "shower_id": ("shower", np.arange(n, dtype=np.int32)),
            "incident_energy": ("shower", np.broadcast_to(np.float64(20 if energy is None else energy), n).copy()),
            "pdg": ("shower", np.broadcast_to(np.int32(pdg), n).copy()),
            "n_points": ("shower", np.asarray(counts, np.int64), {SAMPLE_DIMENSION: "point"}),
            "direction": (("shower", "axis"), directions),
            "points": (("point", "feature"), np.asarray(points, np.float32)),
            "entry": ("shower", np.arange(n)),
        },
        attrs={
            "file": file,
            "geometry": geometry,
            "max_points": 9,
            "features": np.shape(points)[1],
            "clustered_for": "",
        },
    )


def points_of(rng, n, columns=5):
    """Points in all parts of the detector, at the thresholds and beyond the edges of maps and bins among them."""
    x, y = (rng.choice([0.0, -400.0, 399.9, 400.0, 12.5, 1e6], n) + rng.normal(0, 20, n) for _ in range(2))
    layer = rng.choice([0, 3, 29, 30, 77, 12], n)
    energy = rng.choice([0.0, 1e-4, 2.5e-4, 1.1e-4, 1e-9, 0.05, 2.0], n) * rng.choice([1.0, 1.3], n)
    time = rng.choice([-1.0, 0.0, 0.02, 1.5, 1e9, 3e4], n)
    return np.stack([x, y, layer, energy, time], axis=1).astype(np.float32)[:, :columns]


@st.composite
def files_of(draw, columns=None):
    """Up to three files of one geometry."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    columns = columns or draw(st.sampled_from([4, 5]))
    geometry = draw(st.sampled_from(["ILD", "ILD_unclustered"]))
    found = []
    for number in range(draw(st.integers(1, 3))):
        counts = draw(st.lists(st.integers(0, 5), max_size=6))
        n = len(counts)
        found.append(
            chunk_of(
                points_of(rng, sum(counts), columns),
                counts,
                energy=rng.choice([0.0, 5.0, 20.0, 40.0], n),
                direction=rng.normal(0, 1, (n, 3)),
                pdg=rng.choice([22, 211, -211], n),
                file=f"photons_{number + 9}.h5",
                geometry=geometry,
            )
        )
    return found


cuts = st.builds(
    Cuts,
    energy_min=st.sampled_from([None, 5.0]),
    energy_max=st.sampled_from([None, 20.0]),
    pdg=st.sampled_from([(), (22,), (211, -211)]),
    angle_max=st.sampled_from([None, 60.0]),
    ecal_threshold=st.sampled_from([None, 0.0, 1.0]),
    hcal_threshold=st.sampled_from([None, 0.3]),
    radius=st.sampled_from([None, 50.0]),
    layers=st.sampled_from([None, (3, 30)]),
)


@st.composite
def stepped(draw):
    """A chunk, a step for it, and the dimension of its rows."""
    return draw(files_of())[0], draw(st.sampled_from(draw(cuts).of_showers())), "shower"


@st.composite
def samples(draw, make):
    """A reduction made of cuts, and files for it."""
    files = draw(files_of())
    return {"reduction": draw(make), "schema": files[0].isel(EMPTY), "files": files, "row": "shower"}


def behind(make):
    """A reduction of each shower, behind cuts."""
    return cuts.flatmap(lambda one: st.builds(make).map(lambda reduction: reduction.after(*one.of_showers())))


STRATEGIES = {
    "detcore.showers.reductions.Overview": samples(st.builds(Overview, cuts=cuts)),
    "detcore.showers.reductions.Table": samples(
        st.tuples(st.sampled_from([None, 1, 4]), cuts).map(
            lambda one: Table(columns=SOME, last=one[0]).after(*one[1].of_showers())
        )
    ),
    "detcore.showers.reductions.Profiles": samples(behind(Profiles)),
    "detcore.showers.reductions.Spectra": samples(
        cuts.map(
            lambda one: Spectra(ecal_threshold=one.ecal_threshold, hcal_threshold=one.hcal_threshold).after(
                *one.steps()
            )
        )
    ),
    "detcore.showers.reductions.Maps": samples(
        st.tuples(st.sampled_from([(400.0, 5.0), (30.0, 7.0)]), cuts).map(
            lambda one: Maps(half_width=one[0][0], cell=one[0][1]).after(*one[1].steps())
        )
    ),
}
