"""Curves, histograms, images, bars and tables as Bokeh models; no browser."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dashboard.views.bars import Bars
from dashboard.views.channelmap import log_ticks
from dashboard.views.curve import FLOOR, Curve, Series
from dashboard.views.heat import Heat, Picture, Scale
from dashboard.views.histogram import Histogram
from dashboard.views.style import short
from dashboard.views.table import Table


def test_a_curve_draws_zero_below_everything_on_a_logarithmic_axis_and_hover_keeps_the_value() -> None:
    curve = Curve("Element", "Hits", [Series("hits", "hits", kind="area"), Series("other", "other", kind="line")])
    curve.show("hits", [1, 2, 3], [0, 10, 1000])
    curve.scale(log=True)
    data = curve.sources["hits"].data
    assert data["y"].tolist() == [FLOOR, 10, 1000]
    assert data["value"].tolist() == [0, 10, 1000]
    assert curve.figure.y_range.start == FLOOR
    assert [item.label.value for item in curve._legend.items] == ["hits"]
    curve.scale(log=False)
    assert curve.sources["hits"].data["y"].tolist() == [0, 10, 1000]
    assert curve.figure.y_range.start == 0
    assert 1000 < curve.figure.y_range.end < 1090
    curve.hide("hits")
    assert len(curve.sources["hits"].data["x"]) == 0


def test_a_zoom_survives_new_data_with_the_same_limits() -> None:
    curve = Curve("Element", "Hits", [Series("hits", "hits")])
    curve.show("hits", [1, 2, 3], [5, 10, 6])
    curve.fit()
    curve.figure.x_range.update(start=1.5, end=2.5)  # as a wheel does
    curve.show("hits", [1, 2, 3], [6, 10, 5])
    curve.fit()
    assert (curve.figure.x_range.start, curve.figure.x_range.end) == (1.5, 2.5)


def test_empty_events_have_a_bin_of_their_own() -> None:
    histogram = Histogram("Hits in the event", "Events")
    edges = np.array([1.0, 10.0, 100.0])
    for log in (False, True):
        histogram.show(edges, np.array([7, 0]), 3, log_x=log, log_y=log, mean=4.0, median=2.0)
        data = histogram.source.data
        assert data["count"].tolist() == [3, 7, 0]
        assert data["right"][0] < data["left"][1]
        assert data["range"] == ["0 (empty events)", "1 to 9", "10 to 99"]
        assert data["top"].tolist() == [3.0, 7.0, FLOOR if log else 0.0]


def test_an_image_is_not_mirrored_and_its_zeros_are_grey() -> None:
    heat = Heat("Spill", "Plane", "Hits per event")
    heat.show(np.array([[1.0, 0.0, 3.0], [4.0, 5.0, 6.0]]), Scale(names=("s1", "s2", "s3")), Scale(names=("A", "B")))
    image = heat.source.data["image"][0]
    assert image[0, 0] == 1.0
    assert np.isnan(image[0, 1])
    assert heat.figure.xaxis[0].major_label_overrides == {0.0: "s1", 1.0: "s2", 2.0: "s3"}
    assert (heat.figure.y_range.start, heat.figure.y_range.end) == (-0.5, 1.5)
    heat.show(np.array([[0.5, 1.0], [1.0, 4.0]]), Scale(0.5, 1.0), Scale(0.0, 20.0), about_one=True)
    assert heat._mapper.low * heat._mapper.high == 1.0
    assert heat.figure.y_range.end == 40.0


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (30, 6000, [50, 100, 200, 500, 1000, 2000, 5000]),
        (1, 1e5, [1, 10, 100, 1000, 1e4, 1e5]),
        (0.25, 4, [0.5, 1, 2]),
        (0.75, 1.4, [0.8, 0.9, 1.0]),
        (0.96, 1.03, [0.96, 0.97, 0.98, 0.99, 1.0, 1.01, 1.02, 1.03]),
    ],
)
def test_a_scale_of_colours_has_round_numbers(low: float, high: float, ticks: list[float]) -> None:
    assert log_ticks(low, high) == ticks
    heat = Heat("Spill", "Plane", "Hits")
    heat.show(Picture(np.ones((2, 2), np.float32), (low, high)), Scale(), Scale())
    assert heat._bar.ticker.ticks == ticks
    assert (heat._bar.color_mapper.low, heat._bar.color_mapper.high) == (low, high)


def test_bars_and_names() -> None:
    bars = Bars("Trigger bit", "Events")
    bars.show(["MATRIX1", "NIM1"], [5, 10])
    assert bars.source.data["top"].tolist() == [5, 10]
    assert bars.figure.xaxis[0].major_label_overrides == {0.0: "MATRIX1", 1.0: "NIM1"}
    bars.show([], [])
    assert bars.figure.y_range.end > 0


def test_names_on_axes_are_cut_to_what_differs() -> None:
    assert short(["run_000042_spill_001.root", "run_000042_spill_002.root"]) == ["…1…", "…2…"]
    assert short(["1924430", "1924501"]) == ["1924430", "1924501"]
    assert short(["a" * 40]) == ["…" + "a" * 21]
    assert short([]) == []


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # inside Bokeh, with pandas 3.1
def test_a_table_shows_foreign_text_as_text_and_tells_the_row() -> None:
    clicked: list[int] = []
    table = Table({"name": "Name"}, on_click=clicked.append)
    table.show(pd.DataFrame({"name": ["<img src=x onerror=alert(1)>"], "other": [1]}))
    assert table.widget.formatters == {"name": {"type": "plaintext"}}
    assert list(table.widget.value.columns) == ["name"]
    before = table.widget.value
    table.show(pd.DataFrame({"name": ["<img src=x onerror=alert(1)>"], "other": [2]}))
    assert table.widget.value is before  # unchanged: nothing is sent
    table._clicked(type("Event", (), {"row": 0})())
    assert clicked == [0]
