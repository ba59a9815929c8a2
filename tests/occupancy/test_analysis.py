"""Findings on real spills, on planted faults, and the formulas against independent ones."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from detcore.occupancy import checks
from detcore.occupancy.analysis import VIEWS, check, expected, planes, rates
from detcore.occupancy.thresholds import Thresholds

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray


def found(table: pd.DataFrame, kind: str) -> dict[str, list[int]]:
    return {str(name): group.element_id.tolist() for name, group in table[table.finding == kind].groupby("detector")}


# --- real spills: the pathologies that people who looked at them have listed


def test_the_real_spill_shows_what_is_known_of_it(spill: xr.Dataset) -> None:
    table = check(spill)
    dead, hot, low = (found(table, kind) for kind in ("dead", "hot", "low"))
    assert found(table, "plane-dead") == {"D0Vp": [0]}
    assert table[table.detector == "D0Vp"].hits.tolist() == [2]  # one finding, not 201
    assert dead["D0X"] == [151, 152, 154, 157, 160]
    assert len(dead["D0Xp"]) == 15
    assert dead["D2X"] == [49, 53, 57]
    assert dead["D2Up"] == [88, 89]
    assert dead["P1Y1"][:14] == list(range(1, 15))
    assert dead["P1Y2"][:11] == list(range(1, 12))
    assert dead["P1X1"][-8:] == dead["P1X2"] == list(range(65, 73))
    assert dead["P2X1"][:8] == list(range(33, 41))
    assert hot["D0X"] == [74]
    assert hot["DP1TL"] == [1]
    assert found(table, "elevated") == {"P2X2": [1, 2, 3, 5, 6, 7]}  # 4 is dead
    assert dead["P2X2"][0] == 4
    assert not {"H4Y1L", "H4Y1R"} & set(table.detector)  # next to the beam: a peak, not noise
    edges = table[table.detector.isin(["D0U", "D0V"])]
    assert edges.element_id.tolist() == [101, 86]  # 2 hits where 600 belong; the smooth ends of the planes are fine
    assert low["D0U"] == [101]


def test_a_real_spill_gives_no_flood(spill: xr.Dataset) -> None:
    """Each of the findings was looked at in the counts: nothing among them is a healthy channel."""
    counts = check(spill).finding.value_counts().to_dict()
    assert counts == {"dead": 128, "low": 27, "elevated": 6, "hot": 5, "plane-dead": 1}
    state = planes(spill).set_index("detector").state
    assert state.value_counts().to_dict() == {"OK": 34, "WARN": 13, "ERROR": 9}
    assert (state[["D0Vp", "P1X1", "P1Y1", "D0X", "D3mU"]] == ["ERROR", "ERROR", "ERROR", "WARN", "OK"]).all()


def test_between_two_real_spills_little_changes(spill: xr.Dataset, other_spill: xr.Dataset) -> None:
    table = check(spill, other_spill)
    changed = found(table, "changed")
    assert sum(map(len, changed.values())) <= 5
    assert 2 in changed["D0Xp"]  # 879 hits, 520 in the other spill
    assert not (table.finding == "plane-changed").any()
    # no channel died between them: everything else was in the reference as well
    rest = table[~table.finding.isin(["changed", "plane-dead"])]
    assert rest.reason.str.endswith("so it was in the reference").all()
    assert (rest.severity == "WARN").all()
    assert set(planes(spill, other_spill).query("state == 'ERROR'").detector) == {"D0Vp"}


def test_reasons_carry_the_numbers(spill: xr.Dataset) -> None:
    table = check(spill).set_index(["detector", "element_id"])
    assert table.loc[("D0X", 74), "reason"].startswith("8329 hits, 26 times the 315")
    assert "one of 8 dead in a row (65..72)" in table.loc[("P1X1", 70), "reason"]
    assert table.loc[("P1X1", 70), "severity"] == "ERROR"
    assert table.loc[("D0Vp", 0), "reason"].startswith("2 hits in 201 channels where planes like it have 25")
    assert table.loc[("P1Y1", 15), "reason"].startswith("1 hit,")
    reasons = planes(spill).set_index("detector").reason
    assert reasons["D2X"] == "3 dead (49, 53, 57)"
    assert reasons["P1X1"] == "9 dead (25, 65..72); 1 low (33)"


# --- planted faults in synthetic planes


def synthetic(rng: np.random.Generator, dispersion: float = 1.5) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return smooth true means (40, 128) with falling edges and 5 % differences, and counts that vary more than Poisson."""
    x = np.linspace(-1, 1, 128)
    height = 10 ** rng.uniform(1.8, 3.5, (40, 1))
    slope, bend = rng.uniform(-1, 1, (2, 40, 1))
    mean = height * np.exp(slope * x + bend * x**2) / (1 + np.exp((np.abs(x) - 0.9) * 40))
    mean *= rng.normal(1, 0.05, mean.shape)
    return mean, scattered(rng, mean, dispersion)


def scattered(rng: np.random.Generator, mean: NDArray[Any], dispersion: float = 1.5) -> NDArray[Any]:
    return rng.negative_binomial(np.maximum(mean, 1e-9) / (dispersion - 1), 1 / dispersion)


@pytest.mark.parametrize("seed", range(4))
def test_healthy_planes_give_no_findings(seed: int, from_counts: Any) -> None:
    _, counts = synthetic(np.random.default_rng(seed))
    table = check(from_counts(counts, 128))
    assert len(table) <= 2, table  # 5120 channels
    assert (planes(from_counts(counts, 128)).state == "OK").sum() >= 38


@pytest.mark.parametrize("seed", range(4))
def test_planted_dead_low_and_hot_channels_are_found(seed: int, from_counts: Any) -> None:
    rng = np.random.default_rng(seed)
    mean, counts = synthetic(rng)
    mean[:, [0, 127]] = np.minimum(mean[:, [0, 127]], 5)  # what is planted here must not count: too few to tell
    planted: dict[str, set[tuple[int, int]]] = {"dead": set(), "low": set(), "hot": set()}
    for plane in range(40):
        at = rng.permutation(np.arange(10, 118, 12))
        for kind, column, factor, width in (
            ("dead", at[0], 0, 1),
            ("dead", at[1], 0, int(rng.integers(2, 9))),
            ("low", at[2], 0.05, 1),
            ("hot", at[3], 5, 1),
            ("hot", at[4], 8, 2),
        ):
            for element in range(column, column + width):
                if mean[plane, element] > 60:
                    counts[plane, element] = scattered(rng, mean[plane, element] * factor) if factor else 0
                    planted[kind].add((plane + 1, element + 1))
    table = check(from_counts(counts, 128))
    seen = {kind: set(zip(rows.detector_id, rows.element_id, strict=True)) for kind, rows in table.groupby("finding")}
    everything = set().union(*seen.values())
    assert seen["dead"] | seen["low"] >= planted["dead"]
    assert len(seen["low"] & planted["low"]) >= 0.9 * len(planted["low"])
    assert len(seen["hot"] & planted["hot"]) >= 0.95 * len(planted["hot"])
    assert len(everything - set().union(*planted.values())) <= 5  # of about 4700 healthy channels


@pytest.mark.parametrize("seed", range(4))
def test_planted_changes_against_a_reference_are_found(seed: int, from_counts: Any) -> None:
    rng = np.random.default_rng(seed)
    mean, before = synthetic(rng)
    now = 0.4 * mean * rng.uniform(0.92, 1.08, (40, 1))  # a shorter run, planes share out the beam a little differently
    planted = set()
    for plane in range(40):
        for column, factor in zip(rng.choice(128, 2, replace=False), (0.4, 2.5), strict=True):
            if now[plane, column] > 200:
                now[plane, column] *= factor
                planted.add((plane + 1, int(column) + 1))
    assert len(planted) > 20
    table = check(from_counts(scattered(rng, now), 128), from_counts(before, 128)).query("finding == 'changed'")
    seen = set(zip(table.detector_id, table.element_id, strict=True))
    assert len(seen & planted) >= 0.95 * len(planted)
    assert len(seen - planted) <= 1
    assert (np.abs(table.significance) > 5).all()


def test_a_plane_that_lost_half_its_hits_is_one_finding(from_counts: Any) -> None:
    rng = np.random.default_rng(1)
    mean, before = synthetic(rng)
    mean[7] *= 0.5
    table = check(from_counts(scattered(rng, mean), 128), from_counts(before, 128)).query("finding != 'changed'")
    assert table[["detector_id", "element_id", "finding"]].to_numpy().tolist() == [[8, 0, "plane-changed"]]


def test_a_channel_that_died_is_found_from_the_reference_alone(from_counts: Any) -> None:
    before = np.array([[5, 900, 2, 700, 3, 800]] * 6)  # no smooth shape: neighbours say nothing useful
    now = before.copy()
    now[2, 3] = 0
    table = check(from_counts(now, 6), from_counts(before, 6))
    row = table[(table.detector_id == 3) & (table.element_id == 4)].iloc[0]
    assert row.finding == "dead"
    assert row.reason.endswith("not so in the reference")


def test_dead_planes_are_judged_by_group_by_all_planes_and_by_the_reference(from_counts: Any) -> None:
    _, counts = synthetic(np.random.default_rng(2))
    counts[[4, 5]] = 0  # the whole group C
    groups = ["A", "A", "B", "B", "C", "C", *(["D"] * 34)]
    live = from_counts(counts, 128, groups=groups)
    assert check(live).query("element_id == 0").detector_id.tolist() == [5, 6]
    assert (planes(live).set_index("detector_id").state[[5, 6]] == "ERROR").all()
    alone = from_counts(counts[4:6], 128)
    assert check(alone).empty  # nothing at all: no plane to compare with
    assert (planes(alone).state == "WARN").all()
    full = counts[:6].copy()
    full[4] = 1000
    assert (
        "the reference predicts"
        in check(from_counts(counts[:6], 128), from_counts(full, 128)).query("detector_id == 5").reason.item()
    )


def test_a_reference_of_other_ids_is_aligned(spill: xr.Dataset, other_spill: xr.Dataset) -> None:
    reference = other_spill.isel(detector_id=slice(None, None, -1), element_id=slice(5, None))
    table = check(spill, reference)
    plain = check(spill, other_spill)
    kept = plain.query("finding == 'dead' and element_id > 5 and detector_id > 6")
    assert set(kept.itertuples(index=False, name=None)) <= set(table.itertuples(index=False, name=None))


# --- formulas against independent ones


def by_hand(row: NDArray[Any], channel: int) -> float:
    """The line through the live neighbours, by scipy's repeated medians."""
    left = [at for at in range(channel) if row[at]][::-1]
    right = [at for at in range(channel + 1, len(row)) if row[at]]
    n_left = max(4, 6 - len(right))
    n_right = max(4, 6 - len(left))
    near = np.array(sorted(left[:n_left] + right[:n_right]))
    slope = stats.siegelslopes(np.log(row[near]), near).slope
    at = np.clip(channel, near.min() - 8, near.max() + 8)
    value = np.median(np.log(row[near]) - slope * near) + slope * at
    return float(np.exp(min(value, np.log(row[near].max()))))


def test_prediction_equals_repeated_medians() -> None:
    rng = np.random.default_rng(3)
    row = rng.poisson(400 * np.exp(-np.linspace(0, 3, 60)))
    row[[5, 20, 21, 22, 58, 59]] = 0
    assert expected([row], [60])[0] == pytest.approx([by_hand(row, at) for at in range(60)], rel=1e-9)


@settings(deadline=None)  # shared machines
@given(data=st.data(), rate=st.floats(-0.3, 0.3), size=st.integers(5, 60), height=st.floats(1e3, 1e12))
def test_an_exponential_shape_is_predicted_across_gaps(
    data: st.DataObject, rate: float, size: int, height: float
) -> None:
    row = height * np.exp(rate * (np.arange(size) - (size - 1 if rate < 0 else 0)))
    first = data.draw(st.integers(1, size - 1))
    last = data.draw(
        st.integers(first, min(first + checks.REACH - 1, size - 1))
    )  # over wider gaps a slope is not carried
    hits = np.where((np.arange(size) >= first) & (np.arange(size) < last), 0, row)
    if np.count_nonzero(hits) < 5:  # too few neighbours
        return
    prediction = expected([hits], [size])[0]
    assert prediction[1:-1] == pytest.approx(row[1:-1], rel=1e-6)
    low = -1 if rate < 0 else 0
    assert prediction[low] == pytest.approx(row[low], rel=1e-6)  # the falling end
    assert max(prediction[[0, -1]]) <= row.max() * (1 + 1e-9)  # the rising end stops at what was seen


counts_strategy = arrays.arrays(
    np.int64,
    st.tuples(st.integers(1, 4), st.integers(1, 40)),
    elements=st.one_of(st.integers(0, 3), st.integers(0, 5000), st.integers(0, 10**15)),
)


@settings(deadline=None)  # shared machines
@given(counts_strategy, st.integers(2, 1000))
def test_prediction_mirrors_and_scales_with_the_counts(counts: NDArray[Any], factor: int) -> None:
    limits = Thresholds.default().model_copy(update={"dead_expected": 1e300})  # keeps every channel as a neighbour
    size = np.full(len(counts), counts.shape[1])
    first = expected(counts, size, limits)
    kept = np.nan_to_num(first) > 1  # smaller ones meet the floor
    mirrored = expected(counts[:, ::-1], size, limits)[:, ::-1]
    assert first == pytest.approx(mirrored, rel=1e-6, nan_ok=True)
    scaled = expected(counts * float(factor), size, limits)
    assert scaled[kept] == pytest.approx(first[kept] * factor, rel=1e-6)


@pytest.mark.parametrize(
    ("hits", "mean", "scatter"), [(0, 8.0, 0.2), (3, 40.0, 0.05), (70, 40.0, 0.5), (900, 30.0, 0.1)]
)
def test_pull_is_the_root_of_the_deviance(hits: int, mean: float, scatter: float) -> None:
    size = scatter**-2

    def log_likelihood(mu: float) -> float:
        return float(stats.nbinom.logpmf(hits, size, size / (size + mu)))

    saturated = log_likelihood(hits) if hits else 0.0
    reference = np.sqrt(2 * (saturated - log_likelihood(mean)) / 1.5) * np.sign(hits - mean)
    assert checks.pull(np.float64(hits), mean, scatter, 1.5) == pytest.approx(reference, rel=1e-7)
    assert abs(checks.pull(np.array(1e18), 1e18 * (1 + 1e-9), 0.03, 1.0)) < 1e-6


def test_pulls_of_healthy_channels_have_unit_width() -> None:
    rng = np.random.default_rng(5)
    counts = scattered(rng, np.full((50, 200), 300.0))
    pulls = checks.neighbours(counts, np.ones(counts.shape, bool), Thresholds.default()).pull
    assert 0.8 < pulls.std() < 1.2
    before = scattered(rng, np.full((50, 200), 900.0), 3.0)
    change = checks.compare(scattered(rng, np.full((50, 200), 300.0), 3.0), before, counts >= 0, Thresholds.default())
    assert change.dispersion == pytest.approx(3, rel=0.1)
    assert change.common == pytest.approx(1 / 3, rel=0.01)
    assert change.pull.std() == pytest.approx(1, abs=0.05)


def test_scale_ignores_channels_that_disagree() -> None:
    rng = np.random.default_rng(6)
    before = rng.poisson(500, (1, 200))
    now = rng.poisson(250, (1, 200))
    now[0, :40] *= 50
    now[0, 40:60] = 0
    change = checks.compare(now, before, np.ones((1, 200), bool), Thresholds.default())
    assert change.common == pytest.approx(0.5, rel=0.02)


# --- the map in other units


def test_rates_by_hand(from_counts: Any) -> None:
    counts = np.array([[10, 20, 0], [4, 0, 7]])
    fired = np.array([[5, 10, 0], [4, 0, 0]])
    more = {"n_events": ((), 20), "events_hit": (("detector_id", "element_id"), fired)}
    here = from_counts(counts, [3, 2], **more)
    there = from_counts(np.array([[5, 40, 0], [0, 0, 0]]), [3, 2], n_events=((), 10))
    nan, inf = np.nan, np.inf
    for view, values in {
        "hits": [[10, 20, 0], [4, 0, nan]],
        "hits_per_event": [[0.5, 1, 0], [0.2, 0, nan]],
        "fraction": [[0.25, 0.5, 0], [0.2, 0, nan]],
        "per_detector": [[0.5, 1, 0], [1, 0, nan]],
        "ratio": [[1, 0.25, 1], [inf, 1, nan]],
    }.items():
        result = rates(here, view, there)
        np.testing.assert_array_equal(result.to_numpy(), values)
        assert result.name == view
        assert result.attrs["long_name"] == VIEWS[view]


def test_ratio_and_significance_without_event_counts(spill: xr.Dataset, other_spill: xr.Dataset) -> None:
    ratio = rates(spill, "ratio", other_spill)
    counted = (spill.hits >= 50) & (other_spill.hits >= 50)
    assert float(ratio.where(counted).median()) == pytest.approx(1, abs=0.02)
    assert int(np.isnan(ratio).sum()) == 62 * 201 - int(spill.n_elements.sum())
    against_reference = rates(spill, "significance", other_spill)
    assert float(against_reference.where(counted).std()) == pytest.approx(1, abs=0.25)
    assert float(against_reference.sel(detector_id=4, element_id=2)) > 5
    against_neighbours = rates(spill, "significance")
    assert float(against_neighbours.sel(detector_id=3, element_id=74)) > 20
    assert float(against_neighbours.sel(detector_id=3, element_id=154)) < -10
    assert not np.isnan(against_neighbours.sel(detector_id=6)[:201]).any()  # a dead plane: 0, nothing to say


def test_rates_say_what_is_missing(spill: xr.Dataset) -> None:
    for view, message in {
        "hits_per_event": "no n_events",
        "fraction": "no events_hit",
        "ratio": "needs a reference",
        "colour": "no view 'colour'; known are hits, hits_per_event",
    }.items():
        with pytest.raises(ValueError, match=message):
            rates(spill, view)


# --- whatever comes in


@settings(deadline=None)  # shared machines
@given(data=st.data(), counts=counts_strategy)
def test_nothing_crashes(data: st.DataObject, counts: NDArray[Any], from_counts: Any) -> None:
    size = data.draw(st.lists(st.integers(0, counts.shape[1]), min_size=len(counts), max_size=len(counts)))
    dataset = from_counts(counts, size, n_events=((), data.draw(st.integers(0, 9))))
    reference = data.draw(
        st.none() | st.just(dataset) | counts_strategy.map(lambda other: from_counts(other, other.shape[1]))
    )
    table = check(dataset, reference)
    assert np.isfinite(table[["expected", "significance"]]).all(axis=None)
    assert set(table.severity) <= {"WARN", "ERROR"}
    assert not table.duplicated(["detector_id", "element_id", "finding"]).any()
    assert (table.element_id <= np.array(size)[table.detector_id - 1]).all()
    summary = planes(dataset, reference)
    assert summary.detector_id.tolist() == [number for number, n in enumerate(size, 1) if n]
    judged = set(summary.detector_id[summary.state != "OK"]) if len(summary) else set()
    assert judged >= set(table.detector_id)
    for view in set(VIEWS) - {"fraction"} - ({"ratio"} if reference is None else set()):
        rates(dataset, view, reference)


def test_no_planes_at_all(from_counts: Any) -> None:
    empty = from_counts(np.zeros((2, 5), int), 0)
    assert check(empty).empty
    assert planes(empty).empty
    assert list(check(empty).columns) == [
        *("detector_id", "detector", "element_id", "finding", "hits", "expected", "significance", "severity", "reason")
    ]
    assert list(planes(empty).columns) == [
        *("detector_id", "detector", "group", "state", "hits", "hits_per_event_per_element"),
        *("n_dead", "n_hot", "n_changed", "reason"),
    ]


def test_inferred_detectors_have_no_sisters(from_counts: Any) -> None:
    counts = np.full((5, 30), 500)
    counts[4] = 0
    counts[4, 3] = 1
    dataset = from_counts(counts, [30] * 4 + [4]).assign_coords(inferred=("detector_id", [False] * 4 + [True]))
    assert check(dataset).empty


# --- thresholds


def test_every_threshold_has_a_sentence_and_a_unit() -> None:
    text = files("detcore.occupancy").joinpath("thresholds.yaml").read_text(encoding="utf-8")
    entries = dict(re.findall(r"((?:^#.*\n)+)(\w+): ", text, flags=re.MULTILINE))
    explained = {key: comment for comment, key in entries.items()}
    assert set(explained) == set(Thresholds.model_fields)
    assert all("Unit:" in comment.replace("\n# ", " ") for comment in explained.values())
    assert all(field.description for field in Thresholds.model_fields.values())


def test_thresholds_from_a_file_change_the_result(tmp_path: Path, spill: xr.Dataset) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("dead_expected: 1000\n")
    limits = Thresholds.read(path)
    assert limits == Thresholds.default().model_copy(update={"dead_expected": 1000})
    assert found(check(spill, thresholds=limits), "dead")["D0X"] == [151, 152, 154, 157, 160]
    assert "D2X" not in found(check(spill, thresholds=limits), "dead")  # 220 expected
    path.write_text("")
    assert Thresholds.read(path) == Thresholds.read(None) == Thresholds.default()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dead_expcted: 3", "unknown threshold 'dead_expcted'; known are dead_expected"),
        ("hot_ratio: 0.5", "hot_ratio: .*greater than 1"),
        ("sigma: .nan", "sigma: "),
        ("block: many", "block: "),
        ("- 1", "found list"),
        ("a: [", "not readable as YAML"),
        ("7: 1", "unknown threshold '7'"),
    ],
)
def test_bad_thresholds_name_the_file_and_the_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        Thresholds.read(path)
    assert "mine.yaml" in str(caught.value)


def test_thresholds_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Thresholds.default().sigma = 3  # type: ignore[misc]
