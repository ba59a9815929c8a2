"""Distances against scipy and plain sums; histograms on common bins."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import xarray as xr

from detcore.showers.api import reduce, write_demo
from detcore.showers.compare import MEASURES, compare, overlay
from detcore.showers.reductions import OBSERVABLES


def table(**columns):
    return xr.Dataset({name: ("shower", np.asarray(values, np.float64)) for name, values in columns.items()})


def pair(n=500, shift=0.3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(10, 1, n), rng.normal(10 + shift, 1.2, n + 50)


def test_distances_are_those_of_scipy():
    for one, two in (pair(), (np.round(pair()[0]), np.round(pair()[1])), ([1.0, 2.0], [5.0])):
        found = compare(table(width_x=one), table(width_x=two), 0).loc["width_x"]
        assert found["w1"] == pytest.approx(scipy.stats.wasserstein_distance(one, two))
        assert found["ks"] == pytest.approx(scipy.stats.ks_2samp(one, two).statistic)


def test_separation_and_divergence_against_plain_sums():
    one, two = pair()
    found = compare(table(width_x=one), table(width_x=two), 0).loc["width_x"]
    low, high = np.quantile(np.concatenate([one, two]), [0.001, 0.999])
    edges = np.concatenate([[-np.inf], np.linspace(low, high, 31), [np.inf]])
    p, q = (np.histogram(values, edges)[0] / len(values) for values in (one, two))
    there = p + q > 0
    assert found["separation"] == pytest.approx(0.5 * np.sum((p - q)[there] ** 2 / (p + q)[there]))
    edges = np.concatenate([[-np.inf], np.quantile(one, np.arange(1, 25) / 25), [np.inf]])
    p, q = (np.histogram(values, edges)[0] + 0.5 for values in (one, two))
    assert found["kl"] == pytest.approx(scipy.stats.entropy(p / p.sum(), q / q.sum()))


def test_equal_files_are_not_apart_and_different_ones_are():
    one, two = pair()
    same = compare(table(width_x=one), table(width_x=one), 0).loc["width_x"]
    assert same[list(MEASURES)].to_numpy() == pytest.approx(0, abs=1e-12)
    apart = compare(table(width_x=one), table(width_x=two + 100), 0).loc["width_x"]
    assert apart[["ks", "separation"]].to_numpy() == pytest.approx(1)
    assert apart["w1"] == pytest.approx(100.3, abs=0.3)
    assert np.isfinite(apart["kl"])


def test_bootstrap_errors_are_the_spread_of_repetitions():
    many = [compare(table(width_x=a), table(width_x=b), 0).loc["width_x"] for a, b in (pair(seed=s) for s in range(80))]
    a, b = pair(seed=99)
    found = compare(table(width_x=a), table(width_x=b), 200, seed=1).loc["width_x"]
    for name in ("w1", "ks"):
        assert found[f"{name}_error"] == pytest.approx(np.std([one[name] for one in many]), rel=0.4)
    again = compare(table(width_x=a), table(width_x=b), 200, seed=1).loc["width_x"]
    assert again.equals(found)
    assert not compare(table(width_x=a), table(width_x=b), 200, seed=2).loc["width_x"].equals(found)


def test_missing_values_and_missing_columns():
    one, two = pair()
    holes = np.concatenate([one, np.full(30, np.nan)])
    found = compare(table(width_x=holes, theta=holes * np.nan), table(width_x=two, theta=two), 20)
    assert found.loc["width_x", "w1"] == pytest.approx(scipy.stats.wasserstein_distance(one, two))
    assert found.loc["theta"].isna().all()
    with pytest.raises(ValueError, match="has no 'n_hits'"):
        compare(xr.Dataset(), table(width_x=one))
    with pytest.raises(ValueError, match="n_bootstrap is -1"):
        compare(table(width_x=one), table(width_x=one), -1)
    assert compare(table(width_x=[]), table(width_x=one)).isna().all(axis=None)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    photons, generated, _ = write_demo(tmp_path_factory.mktemp("demo"))
    return {path.stem: reduce(path, parts=("table",)) for path in (photons, generated)}


def test_the_two_photon_files_of_the_demo_differ_a_little(demo):
    first, second = demo.values()
    found = compare(first, second, 30)
    assert list(found.index) == list(OBSERVABLES)
    assert found.loc["incident_energy", "ks"] < 3 * found.loc["incident_energy", "ks_error"] + 0.1
    for name in ("energy_ratio", "width_x", "center_layer"):
        assert 0.05 < found.loc[name, "ks"] < 0.7, name
        assert found.loc[name, "ks"] > 3 * found.loc[name, "ks_error"], name


def test_histograms_share_their_bins(demo):
    found = overlay(demo, "visible_energy", 20)
    edges = found["edge"].values
    for label, data in demo.items():
        row = found.sel(sample=label)
        values = data["visible_energy"].values
        counts = np.histogram(values, edges)[0]
        np.testing.assert_array_equal(row["counts"], counts)
        assert int(row["total"]) == len(values) == counts.sum() + int(row["below"]) + int(row["above"])
        assert float((row["density"] * np.diff(edges)).sum()) == pytest.approx(1)
    one, two = found["counts"].values
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(found["ratio"][1], np.where(one > 0, two / two.sum() / (one / one.sum()), np.nan))
        np.testing.assert_allclose(found["ratio_error"][1], found["ratio"][1] / np.sqrt(two), equal_nan=True)
        np.testing.assert_allclose(found["band"], np.where(one > 0, 1 / np.sqrt(one), np.nan))
    assert found["bin"].attrs == {"units": "GeV"}
    assert found.attrs["long_name"] == "Visible energy"


def test_whole_numbers_are_not_cut_apart():
    data = {"a": table(maximum_layer=[3, 4, 4, 17, np.nan], n_hits=np.arange(5) * 333)}
    found = overlay(data, "maximum_layer", 50)
    assert found["edge"].values.tolist() == (np.arange(3, 19) - 0.5).tolist()
    assert int(found["missing"][0]) == 1
    assert found["counts"].values[0, :2].tolist() == [1, 2]
    wide = overlay(data, "n_hits", 10)["edge"].values
    assert set(np.diff(wide)) == {134.0}


def test_strange_input():
    one = {"a": table(width_x=[2.0, 2.0])}
    assert overlay(one, "width_x", 5)["counts"].values.sum() == 2
    assert overlay({"a": table(width_x=[])}, "width_x")["counts"].values.sum() == 0
    assert overlay(one, "width_x", [0, 1, 4])["counts"].values.tolist() == [[0, 2]]
    for wrong, message in (((one, "size"), "no observable 'size'"), (({}, "width_x"), "at least one result")):
        with pytest.raises(ValueError, match=message):
            overlay(*wrong)
    for bins in (0, [1, 1], [2]):
        with pytest.raises(ValueError, match="bins"):
            overlay(one, "width_x", bins)
