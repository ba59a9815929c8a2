"""Response, resolution and correlations, on numbers that are known."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import xarray as xr

from detcore.showers.analysis import column, correlations, linearity
from detcore.showers.api import reduce
from detcore.showers.reductions import OBSERVABLES


def table(**columns):
    return xr.Dataset({name: ("shower", np.asarray(values, np.float64)) for name, values in columns.items()})


def planted(n=4000, seed=1):
    """Response 0.024, resolution 17 %/sqrt(E)."""
    rng = np.random.default_rng(seed)
    energy = rng.uniform(10, 90, n)
    return table(incident_energy=energy, energy_ratio=0.024 * (1 + 0.17 / np.sqrt(energy) * rng.standard_normal(n)))


def test_what_is_planted_is_found_within_the_errors():
    found = linearity(planted(), bins=8)
    assert found["n"].sum() == 4000
    assert (found["energy"] > found["energy_low"]).all()
    assert (found["energy"] < found["energy_high"]).all()
    pulls = (found["response"] - 0.024) / found["response_error"]
    assert abs(pulls).max() < 4
    pulls = (found["resolution"] - 0.17 / np.sqrt(found["energy"])) / found["resolution_error"]
    assert abs(pulls).max() < 4


def test_the_errors_are_the_spread_of_repetitions():
    energy, rng = np.full(400, 40.0), np.random.default_rng(2)
    ratios = (table(incident_energy=energy, energy_ratio=rng.normal(0.024, 0.004, 400)) for _ in range(300))
    many = [linearity(one, bins=[10, 90]).iloc[0] for one in ratios]
    for name in ("response", "resolution"):
        spread = np.std([one[name] for one in many])
        assert np.mean([one[f"{name}_error"] for one in many]) == pytest.approx(spread, rel=0.2)


def test_bins_of_energies():
    data = table(incident_energy=[10, 10, 20, 20, 20, 50], energy_ratio=[1, 3, 2, 2, 2, np.nan])
    found = linearity(data)
    assert found["energy"].tolist() == [10, 20], "two energies, two bins; the third has no ratio"
    assert found["response"].tolist() == [2, 2]
    assert found["resolution"].tolist() == pytest.approx([np.sqrt(2) / 2, 0])
    assert linearity(data, bins=[5, 20])["n"].tolist() == [5], "the last edge is inside"
    assert linearity(table(incident_energy=[], energy_ratio=[])).empty
    for bins in (0, [3], [5, 4], [[1, 2]]):
        with pytest.raises(ValueError, match="bins of energy"):
            linearity(data, bins=bins)


def test_correlations_are_those_of_scipy(shared):
    data = reduce(shared / "data/showers/photons_ild_clustered_4f.h5", parts=("table",))
    found = correlations(data)
    assert list(found.index) == list(found.columns) == list(OBSERVABLES)
    one, two = data["n_hits"].values, data["visible_energy"].values
    assert found.loc["n_hits", "visible_energy"] == pytest.approx(scipy.stats.pearsonr(one, two).statistic)
    assert found["time_mean"].isna().all(), "four columns have no time"
    some = correlations(data, ["n_hits", "center_layer"])
    assert some.shape == (2, 2)
    assert some.loc["n_hits", "n_hits"] == 1


def test_what_does_not_vary_has_no_correlation():
    found = correlations(table(n_hits=[1, 2, 3], theta=[0, 0, 0], center_x=[1, np.nan, 5]))
    assert np.isnan(found.loc["theta", "theta"])
    assert found.loc["n_hits", "center_x"] == pytest.approx(1)


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match=r"has no 'energy_ratio'; its observables: incident_energy"):
        linearity(table(incident_energy=[1.0]))
    with pytest.raises(ValueError, match="none: reduce with the part 'table'"):
        column(xr.Dataset(), "n_hits")
