"""What the Eiger tab computes for itself: links, places of limits, axes, thinned lines, exports."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from dashboard.tabs.eiger.controls import Thresholds, place_of, short, value_at
from dashboard.tabs.eiger.export import command, frames_text
from dashboard.tabs.eiger.look import MAX_REGIONS, Look, Place, from_text, to_text
from dashboard.tabs.eiger.panels import apart
from dashboard.tabs.eiger.results import Wish, compute, digits, headline, request, stride_of, words_of
from dashboard.tabs.eiger.trace import lines_of, within
from dashboard.tabs.plot import POINTS, Line, Plot, thinned
from detcore import eiger
from detcore.image import Polygon, Rectangle

SHAPES = (Rectangle(x0=1, y0=2.5, x1=30, y1=40), Polygon(vertices=((0, 0), (8, 0.25), (8, 9))))


def result(n: int = 200, regions: int = 0) -> xr.Dataset:
    """A result with a 10 Hz line of 1 %, one drop, and regions with known shares."""
    rng = np.random.default_rng(1)
    frame = np.arange(1, n + 1)
    level = 50_000 * (1 + 0.01 * np.sin(2 * np.pi * 10 * frame * 0.01))
    level[n // 2] = 100
    whole = rng.poisson(level)
    names = ["frame", *(f"region {number}" for number in range(1, regions + 1))]
    dims = ("frame", "region") if regions else ("frame",)
    parts = np.stack([whole // (number + 1) for number in range(len(names))], axis=1)
    coords = {"frame": frame, **({"region": names} if regions else {})}
    valid = np.full(parts.shape, 100)
    pick = slice(None) if regions else 0
    return xr.Dataset(
        {
            "sum": (dims, parts[:, pick]), "n_valid": (dims, valid[:, pick]),
            "value_counts": ("value_bin", np.array([5, 4, 0, 1])), "n_overflow": 2,
        },
        coords, {"frame_time": 0.01, "shape": (10, 10), "n_expected": n + 5},
    )  # fmt: skip


def results(data: xr.Dataset, method: str = "linear", region: str = "frame", panel: str = "spectrum") -> object:
    return compute(data, None, ("/nowhere/x_master.h5",), Wish(method, region, panel))


def test_regions_survive_the_link() -> None:
    assert from_text(to_text(SHAPES)) == SHAPES
    assert from_text("") == ()


@pytest.mark.parametrize(
    "text", ["r:1,2,3", "p:1,2,3", "x:1", "r:5,5,5,5", "r:a,b,c,d", "p:0,0,1e99,0,3,3", "r:0,0,nan,1"]
)
def test_wrong_regions_are_named(text: str) -> None:
    with pytest.raises(ValueError, match="in the link"):
        from_text(text)


def test_too_many_regions_are_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        from_text("/".join(["r:0,0,1,1"] * (MAX_REGIONS + 1)))


@given(st.integers(0, 2**32 - 1), st.sampled_from(["low", "high"]))
def test_a_limit_that_is_not_moved_stays(value: int, side: str) -> None:
    assert value_at(place_of(value, side), side) == value


@given(st.floats(-2, 40), st.sampled_from(["low", "high"]))
def test_wherever_a_line_is_dragged_is_a_limit(place: float, side: str) -> None:
    assert 0 <= value_at(place, side) <= 2**32


def test_powers_of_two_are_short() -> None:
    assert [short(2**bit) for bit in (0, 9, 10, 16, 31)] == ["1", "512", "1k", "64k", "2G"]


def test_the_histogram_has_a_bar_for_each_length() -> None:
    shown = Thresholds(lambda _: None)
    shown.show(eiger.Limits(low=1, high=9))
    shown.fill(result())
    data = shown.source.data
    assert data["count"].tolist() == [5, 4, 0, 1]
    assert data["range"] == ["0", "1", "2 to 3", "4 to 7"]
    assert data["right"][3] - data["left"][3] == pytest.approx(0.94)
    assert "2 all-ones" in shown.figure.title.text
    assert (shown._low.location, shown._high.location) == (0.0, pytest.approx(np.log2(10)))


def test_a_dragged_line_asks_for_a_whole_number() -> None:
    asked: list[eiger.Limits] = []
    shown = Thresholds(asked.append)
    shown.show(eiger.Limits(low=0, high=100))
    shown._high.location = 3.1
    shown._rested()
    assert asked == [eiger.Limits(low=0, high=8)]


def test_impossible_limits_go_back_with_a_reason() -> None:
    asked: list[eiger.Limits] = []
    shown = Thresholds(asked.append)
    shown.show(eiger.Limits(low=50, high=100))
    shown._high.location = 2.0
    shown._rested()
    assert not asked
    assert "low is 50 and high 3" in shown._error.text
    assert shown._high.location == pytest.approx(np.log2(101))


def test_the_request_has_the_whole_frame_beside_regions() -> None:
    wanted = request(eiger.Limits(low=2), SHAPES)
    assert [one.name for one in wanted.regions] == ["frame", "region 1", "region 2"]
    assert (wanted.low, wanted.mean_image, wanted.centre, wanted.histogram) == (2, True, True, True)
    assert request(eiger.Limits(), ()).regions == ()
    assert eiger.INSTRUMENT.reduction(wanted, None) == wanted


def test_words_say_what_differs() -> None:
    assert words_of(eiger.Limits()) == ""
    assert words_of(eiger.Limits(low=1, high=9, pixel_mask=False)) == " · values 1 to 9 · no pixel mask"


def test_headline_numbers_are_those_of_the_analysis() -> None:
    data = result()
    numbers = {number.label: number for number in headline(results(data), 2)}
    table = eiger.statistics(data)["value"]
    assert (numbers["Frames"].value, numbers["Frames"].unit) == ("200", "of 205")
    assert numbers["Excess CV"].value == digits(table["excess_cv_detrended"])
    assert numbers["Excess CV"].level == "main"
    assert (numbers["Top line"].value, numbers["Outliers"].value) == (digits(table["strongest_line"]), "1")
    assert table["strongest_line"] == pytest.approx(10, abs=0.1)
    assert numbers["Pending"].value == "2"


def test_without_a_line_above_noise_none_is_named() -> None:
    flat = result()
    flat["sum"] = ("frame", np.random.default_rng(3).poisson(50_000, 200))
    numbers = {number.label: number for number in headline(results(flat), 0)}
    assert numbers["Top line"].value == "none"
    assert "Pending" not in numbers


def test_the_axis_holds_everything_but_outliers() -> None:
    found = results(result())
    low, high = within(found, lines_of(found, "both"), normalised=False)
    inliers = np.delete(result()["sum"].values, 100)
    assert low < inliers.min() < inliers.max() < high
    assert low > 40_000
    assert within(found, {}, normalised=False) is None


def test_lines_are_those_of_the_region_and_of_the_others() -> None:
    data = result(regions=2)
    found = results(data, region="region 1")
    assert list(lines_of(found, "both")) == [
        "region 1, raw",
        "region 1, detrended",
        "frame, detrended",
        "region 2, detrended",
    ]
    assert lines_of(found, "raw")["frame, raw"].tolist() == data["sum"].sel(region="frame").values.tolist()


def test_a_region_that_was_deleted_gives_the_frame() -> None:
    assert results(result(regions=1), region="region 9").wish.region == "frame"


@pytest.mark.parametrize(
    "panel", ["spectrum", "stability", "distribution", "spectrogram", "outliers", "numbers", "compare"]
)
@pytest.mark.parametrize("frames", [1, 2, 5, 200])
def test_every_panel_takes_every_length(panel: str, frames: int) -> None:
    found = results(result(frames), panel=panel)
    assert headline(found, 0)[0].value == str(frames)


def test_the_stride_is_that_of_the_end() -> None:
    assert stride_of(np.array([1, 2, 3, *range(10, 90, 5)])) == 5
    assert stride_of(np.array([4])) == 1


def test_names_that_would_overlap_are_left_out() -> None:
    assert apart(np.array([50.0, 52.0, 100.0, 95.0]), 10.0).tolist() == [True, False, True, False]


def test_a_long_line_is_thinned_without_losing_extremes() -> None:
    y = np.random.default_rng(0).normal(size=100_000)
    x, found = thinned(np.arange(100_000.0), y)
    assert len(found) <= POINTS
    assert (found.min(), found.max()) == (y.min(), y.max())
    assert (np.diff(x) > 0).all()


def test_logarithmic_axes_leave_out_what_they_cannot_show() -> None:
    plot = Plot("x", "y", [Line("a", "a")], log_x=True, log_y=True)
    plot.show("a", [0.0, 1.0, 10.0], [5.0, -1.0, 7.0])
    plot.fit()
    assert np.isfinite([plot.figure.x_range.start, plot.figure.y_range.end]).all()
    assert plot.figure.y_range.start > 0


def test_the_command_says_what_differs() -> None:
    place = Place(first=5, step=2, shapes="r:0,0,1,1")
    line = command(("/data/a b_master.h5",), place, eiger.Limits(high=9), Look(method="highpass", cutoff=2))
    assert line == (
        "detcore eiger run --high 9 --frames 5::2 --regions setup.yaml --detrend highpass:2.0 '/data/a b_master.h5'"
    ).replace("2.0", "2")


def test_the_table_of_frames_has_a_column_for_each_region() -> None:
    found = results(result(regions=1))
    table = pd.read_csv(io.StringIO(frames_text(found)), index_col="frame")
    assert table["region 1"].tolist() == (table["raw"] // 2).tolist()
