"""The tables against plain pandas, scipy and NumPy, on truth and on series too short to say anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import scipy.signal
import xarray as xr

from detcore.eiger.analysis import STATISTICS, describe, distribution, gaps, outliers, statistics
from detcore.eiger.detrend import checked, detrend, traces

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RNG = np.random.default_rng(3)


def series(values: Any, frames: Any = None, **attrs: Any) -> xr.Dataset:
    """What a reduction gives: sums, and valid pixels that are 0 where a value is negative."""
    values = np.asarray(values, np.int64)
    empty = values < 0
    frames = np.arange(1, len(values) + 1) if frames is None else frames
    valid = np.where(empty, 0, 90).astype(np.int64)
    none = np.zeros(len(values), np.int64)
    return xr.Dataset(
        {
            "sum": ("frame", np.where(empty, 0, values)),
            "n_valid": ("frame", valid),
            "n_low": ("frame", none),
            "n_high": ("frame", none),
            "n_saturated": ("frame", none),
        },
        {"frame": np.asarray(frames, np.int64)},
        {"frame_time": 0.01, "count_time": 0.0099, "shape": (10, 10), **attrs},
    )


@pytest.fixture(scope="module")
def truth(shared: Path) -> dict[str, NDArray[Any]]:
    """What is in the synthetic half-megapixel series."""
    return dict(np.load(shared / "data/eiger/synth500k_u16_truth.npz"))


def original(values: list[Any]) -> pd.DataFrame:
    """The table of the tool before: pandas describe, CV% after the standard deviation."""
    raw = pd.Series(values)
    columns = {"raw": raw, "detrended": pd.Series(scipy.signal.detrend(raw) + raw.mean())}
    rows = {}
    for name, one in columns.items():
        rows[name] = {**one.describe().to_dict(), "CV%": one.std() / one.mean() * 100}
    return pd.DataFrame(rows).loc[["count", "mean", "std", "CV%", "min", "25%", "50%", "75%", "max"]]


def test_table_is_the_original_bit_for_bit(truth: dict[str, NDArray[Any]]) -> None:
    sums = truth["sums_le_4500"]
    expected = original(list(sums))
    for given in (sums, sums.astype(np.int64), series(sums), sums.tolist()):
        table = describe(given)
        assert table.to_csv() == expected.to_csv()
        assert table.to_numpy().tobytes() == expected.to_numpy().tobytes()
    assert table["raw"]["mean"] == pytest.approx(sums.astype(object).sum() / len(sums), rel=1e-14)
    assert table["raw"]["std"] == pytest.approx(np.std(sums.astype(float), ddof=1), rel=1e-12)
    assert table["raw"]["25%"] == np.percentile(sums.astype(float), 25)


def test_frames_without_valid_pixels_do_not_count() -> None:
    data = series([100, -1, 110, 105, -1, 90])
    assert describe(data).to_csv() == describe(series([100, 110, 105, 90], [1, 3, 4, 6])).to_csv()
    assert describe(data).loc["count", "raw"] == 4
    table = statistics(data)["value"]
    assert (table["frames"], table["excluded_frames"], table["missing_frames"]) == (4, 2, 2)
    out = detrend(data)
    assert out.dims == ("frame",)
    assert np.isnan(out.values).tolist() == [False, True, False, False, True, False]
    masked = np.ma.array([100, 7, 110, 105, 7, 90], mask=[0, 1, 0, 0, 1, 0])
    assert np.array_equal(detrend(masked), out.values, equal_nan=True)


def test_statistics_of_the_truth(truth: dict[str, NDArray[Any]]) -> None:
    sums, dt = truth["sums_le_4500"].astype(float), float(truth["frame_time"])
    table = statistics(sums, frame_time=dt)
    value = table["value"]
    cv = 100 * sums.std(ddof=1) / sums.mean()
    shot = 100 / np.sqrt(sums.mean())
    assert value["shot_cv"] == pytest.approx(shot)
    assert value["cv"] == pytest.approx(cv)
    assert value["excess_cv"] == pytest.approx(np.sqrt(cv**2 - shot**2))
    slope = np.polyfit(np.arange(len(sums)), sums, 1)[0]
    assert value["drift"] == pytest.approx(100 * slope / dt * 60 / sums.mean())
    assert value["peak_to_peak"] == pytest.approx(100 * np.ptp(sums) / sums.mean())
    assert (value["drops"], value["spikes"], value["outliers"]) == (2, 1, 3)
    assert value["first_frame"] == pytest.approx(100 * (sums[0] / np.median(sums) - 1))
    assert value["last_frame"] == pytest.approx(100 * (sums[-1] / np.median(sums) - 1))
    assert abs(value["strongest_line"] - 50) < 0.7
    assert set(table.index) <= set(STATISTICS)
    assert table.loc["drift", "unit"] == "%/min"


def test_statistics_of_what_the_result_knows() -> None:
    data = series([1000, 1010, 990, 1000]).assign(
        n_saturated=("frame", [0, 3, 0, 1]),
        n_valid=("frame", [90, 80, 90, 90]),
        center_x=("frame", [4.0, 5.0, 6.0, 5.0]),
        center_y=("frame", [1.0, 1.0, 1.0, 1.0]),
    )
    value = statistics(data)["value"]
    assert (value["valid_pixels"], value["valid_pixels_min"]) == (90, 80)
    assert (value["saturated_frames"], value["saturated_pixels_max"]) == (2, 3)
    assert (value["center_x"], value["center_y_std"]) == (5, 0)
    assert value["center_x_std"] == pytest.approx(np.std([4, 5, 6, 5], ddof=1))
    assert value["dead_time"] == pytest.approx(1.0)
    curves = traces(data)
    assert curves["valid"].values.tolist() == [90, 80, 90, 90]
    assert curves["n_saturated"].values.tolist() == [0, 3, 0, 1]
    assert curves["center_x"].values.tolist() == [4, 5, 6, 5]


def test_outliers_are_the_planted_ones(truth: dict[str, NDArray[Any]]) -> None:
    sums = truth["sums_le_4500"]
    found = outliers(sums)
    kinds = dict(zip(found["frame"], found["kind"], strict=True))
    first = 1 if set(truth["drops"] + 1) <= set(kinds) else 0  # the truth may count from 0
    assert kinds == {n + first: "drop" for n in truth["drops"]} | {n + first: "spike" for n in truth["spikes"]}
    x = sums.astype(float)
    away = (x - np.median(x)) / (1.4826 * np.median(np.abs(x - np.median(x))))
    assert found["frame"].tolist() == (np.flatnonzero(np.abs(away) > 8) + 1).tolist()
    np.testing.assert_allclose(found["deviation"], away[np.abs(away) > 8])
    assert found["value"].tolist() == sums[np.abs(away) > 8].tolist()
    assert found.index.tolist() == [0, 1, 2]


def test_outliers_of_equal_values_and_of_a_drifting_series() -> None:
    values = np.full(50, 1000)
    assert outliers(values).empty
    values[[7, 30]] = [10, 5000]
    assert outliers(values)[["frame", "kind"]].to_numpy().tolist() == [[8, "drop"], [31, "spike"]]
    assert outliers(series(values, np.arange(50) * 2 + 11))["frame"].tolist() == [25, 71]
    drifting = 1e6 * np.linspace(1, 0.5, 2000) + RNG.normal(0, 100, 2000)
    drifting[900] *= 0.9
    assert outliers(drifting).empty
    assert outliers(drifting, method="linear")["frame"].tolist() == [901]


@pytest.mark.parametrize("method", ["none", "linear", "polynomial", "polynomial:3", "highpass:5"])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 200])
@pytest.mark.parametrize("kind", ["constant", "random", "zero", "masked"])
def test_any_series_gives_sensible_values(method: str, n: int, kind: str) -> None:
    values = {"constant": np.full(n, 500), "random": RNG.integers(400, 600, n), "zero": np.zeros(n, int)}
    data = series(values.get(kind, np.full(n, -1)))
    used = 0 if kind == "masked" else n
    out = detrend(data, method)
    assert out.shape == (n,)
    table = describe(data, method)
    assert table.shape == (9, 2)
    assert table.loc["count"].tolist() == [used, used]
    if used:
        assert float(out.mean()) == pytest.approx(values[kind].mean(), abs=1e-9)
        assert table.loc["mean", "detrended"] == pytest.approx(values[kind].mean(), abs=1e-9)
    if kind == "constant" and n:
        np.testing.assert_allclose(out, 500, rtol=1e-12)
    numbers = statistics(data, method)["value"]
    assert numbers["frames"] == used
    assert numbers["excluded_frames"] == n - used
    assert outliers(data, method=method).empty
    assert gaps(data).empty
    curves = traces(data, method)
    assert curves.sizes["frame"] == used
    if used and kind != "zero":
        assert float(curves["detrended"].mean()) == pytest.approx(1)
    assert int(distribution(data).frames.sum()) == used


def test_constant_series_has_no_fluctuation() -> None:
    value = statistics([10_000] * 60, frame_time=0.1)["value"]
    assert (
        value[["cv", "excess_cv", "peak_to_peak", "outliers", "first_frame", "first_frame_sigma"]].tolist() == [0] * 6
    )
    assert value["shot_cv"] == pytest.approx(1)
    assert value["drift"] == pytest.approx(0, abs=1e-9)
    assert np.isnan(value["strongest_line"])


def test_detrending_follows_the_frame_numbers() -> None:
    frames = np.array([1, 2, 3, 10, 11, 30])
    out = detrend(series(1000 + 7 * frames, frames))
    np.testing.assert_allclose(out, (1000 + 7 * frames).mean(), rtol=1e-12)
    every_second = series(1000 + RNG.integers(0, 50, 40), np.arange(40) * 2 + 1)
    sums = every_second["sum"].values
    assert np.array_equal(detrend(every_second), scipy.signal.detrend(sums) + sums.mean())


def test_polynomial_takes_out_a_polynomial_and_nothing_else() -> None:
    t = np.linspace(-1, 1, 500)
    noise = RNG.normal(0, 1, 500)
    noise -= np.polynomial.Polynomial.fit(t, noise, 3)(t)
    out = detrend(1e4 * (1 + 0.1 * t - 0.05 * t**2 + 0.02 * t**3) + noise, "polynomial", order=3)
    np.testing.assert_allclose(out - out.mean(), noise, atol=1e-8)
    assert np.array_equal(out, detrend(1e4 * (1 + 0.1 * t - 0.05 * t**2 + 0.02 * t**3) + noise, "polynomial:3"))


def test_highpass_keeps_the_fast_and_the_lost_frame() -> None:
    t = np.arange(4000) * 0.01
    fast = 200 * np.sin(2 * np.pi * 12 * t)
    values = 1e5 * (1 + 0.2 * np.sin(2 * np.pi * 0.02 * t)) + fast
    values[1000] = 0
    out = detrend(values, "highpass", cutoff=0.5, frame_time=0.01)
    assert out.mean() == pytest.approx(values.mean())
    calm = np.abs(np.arange(4000) - 1000) > 5
    inner = calm & (t > 2) & (t < 38)
    residual = (out - out[inner].mean() - fast)[inner]
    assert residual.std() < 5  # of 14,000 before
    assert out[1000] < 0.1 * out.mean()
    assert np.abs(out[[998, 999, 1001, 1002]] - out[inner].mean()).max() < 300  # it does not ring
    gappy = series(values[calm].astype(int), np.flatnonzero(calm) + 1)
    change = (detrend(gappy, "highpass:0.5") - out[calm])[800:1200]
    assert np.ptp(change.values) < 20


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("spline", "expected none, linear"),
        ("linear:2", "expected none, linear"),
        ("polynomial:0", "from 1 to 10"),
        ("polynomial:11", "from 1 to 10"),
        ("polynomial:1.5", "from 1 to 10"),
        ("polynomial:x", "from 1 to 10"),
        ("highpass", "needs a cut"),
        ("highpass:-1", "needs a cut"),
        ("highpass:nan", "needs a cut"),
    ],
)
def test_impossible_methods_say_what_is_possible(method: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        checked(method)
    with pytest.raises(ValueError, match="Nyquist"):
        detrend(np.arange(100), "highpass:50", frame_time=0.01)


def test_regions() -> None:
    one = series([100, 110, 90, 100])
    several = xr.concat([one, one * 2], pd.Index(["inner", "outer"], name="region")).assign_attrs(one.attrs)
    several = several.assign(n_saturated=one["n_saturated"]).transpose("frame", "region")
    assert describe(several, region="outer").loc["mean", "raw"] == 200
    with pytest.raises(ValueError, match="inner, outer"):
        describe(several)
    with pytest.raises(ValueError, match="no region 'other'"):
        describe(several, region="other")
    with pytest.raises(ValueError, match="no region"):
        describe(one, region="inner")
    whole = several.assign_coords(region=["inner", "frame"])
    assert describe(whole).loc["mean", "raw"] == 200
    assert "valid_pixels" in statistics(whole).index
    assert "valid_pixels" not in statistics(whole, region="inner").index


def test_gaps_in_numbers_and_in_time() -> None:
    frames = np.array([1, 2, 3, 6, 7, 8])
    start = frames * 0.01
    start[-1] += 0.02
    found = gaps(series(np.full(6, 100), frames).assign(start_time=("frame", start)))
    assert found["kind"].tolist() == ["missing frames", "time gap"]
    assert found[["after", "before", "missing"]].to_numpy().tolist() == [[3, 6, 2], [7, 8, 0]]
    np.testing.assert_allclose(found["seconds"], [0.03, 0.03])
    np.testing.assert_allclose(found["expected"], [0.03, 0.01])
    without = series(np.full(6, 100), frames).assign(start_time=("frame", start))
    del without.attrs["frame_time"]
    assert gaps(without)["kind"].tolist() == ["missing frames", "time gap"]
    assert gaps(series(np.full(5, 100), np.arange(5) * 3 + 1)).empty  # every third frame was asked for
    assert gaps(series(np.full(6, 100), frames))["seconds"].isna().all()
    assert statistics(series(np.full(6, 100), frames))["value"]["missing_frames"] == 2


def test_distribution_of_photons_is_that_of_poisson() -> None:
    values = RNG.poisson(400, 20_000)
    found = distribution(values)
    assert int(found["frames"].sum()) + found.attrs["below"] + found.attrs["above"] == 20_000
    assert float(found["poisson"].sum()) == pytest.approx(20_000, rel=0.001)
    seen, expected = found["frames"].values, found["poisson"].values
    much = expected > 20
    chi2 = (((seen - expected) ** 2 / expected)[much]).mean()
    assert 0.4 < chi2 < 2
    wide = distribution(values + RNG.normal(0, 60, 20_000))
    assert float((wide["frames"] * wide["intensity"]).sum() / 20_000) == pytest.approx(400, rel=0.01)
    assert float(wide["poisson"].max()) > 1.5 * float(wide["frames"].max())


def test_numbers_that_are_no_series_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        describe(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="needs sum"):
        describe(xr.Dataset({"frame": [1, 2]}))
    far = series([100, 101, 102, 103], [1, 2, 3, 2**50])
    assert describe(far).loc["count", "raw"] == 4
    with pytest.raises(ValueError, match="too few of them"):
        detrend(far, "highpass:1")
