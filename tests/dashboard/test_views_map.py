"""The channel map and its relatives: geometry, colours, what is sent; no browser."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from dashboard.views.board import Board
from dashboard.views.channelmap import DIVERGING, SEQUENTIAL, ChannelMap, Colouring
from dashboard.views.eventmap import EventMap
from dashboard.views.grid import GAP, ChannelGrid, Column
from dashboard.views.style import STATES

COLUMNS = (Column(5, "A", "one", "One", 4), Column(6, "B", "one", "One", 2), Column(9, "<b>C</b>", "two", "One", 8))


def filled(grid: ChannelGrid, hits: list[int]) -> ChannelMap:
    chart = ChannelMap(grid)
    values = np.array(hits, dtype=float)
    chart.fill(
        {"value": np.where(values > 0, values, np.nan).astype(np.float32), "hits": np.array(hits, dtype=np.int32)}
    )
    return chart


def test_every_channel_has_its_place_and_the_last_element_too() -> None:
    grid = ChannelGrid(COLUMNS, separators=False)
    assert list(zip(grid.detector_id.tolist(), grid.element_id.tolist(), strict=True)) == [
        *((5, e) for e in range(1, 5)), *((6, e) for e in range(1, 3)), *((9, e) for e in range(1, 9)),
    ]  # fmt: skip
    assert grid.centres.tolist() == [0.5, 1.5, 2.5]
    assert grid.top == 8.5
    chart = ChannelMap(grid)
    assert chart.cells.data["bottom"].tolist()[:4] == [0.5, 1.5, 2.5, 3.5]
    assert chart.cells.data["top"][3] == 4.5
    assert chart.figure.xaxis[-1].major_label_overrides == {0.5: "A", 1.5: "B", 2.5: "<b>C</b>"}


def test_groups_stand_apart_by_key_not_by_label() -> None:
    grid = ChannelGrid(COLUMNS, separators=True)
    assert grid.centres.tolist() == [0.5, 1.5, 2.5 + GAP]
    assert grid.headings() == [(1.0, "One"), (2.5 + GAP, "One")]
    assert grid.borders() == [pytest.approx((1.5 + 2.5 + GAP) / 2)]


@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("separators", [False, True])
def test_the_channel_under_a_point_is_the_one_drawn_there(equal: bool, separators: bool) -> None:
    grid = ChannelGrid(COLUMNS, separators, equal)
    x = grid.centres[grid.column]
    y = grid.heights(grid.detector_id, grid.element_id)
    found = [grid.channel_at(a, b) for a, b in zip(x, y, strict=True)]
    assert found == list(zip(grid.detector_id.tolist(), grid.element_id.tolist(), strict=True))
    assert grid.channel_at(float(grid.centres[1]), grid.top * 0.99 if not equal else 1.2) == (6, 0)
    assert grid.channel_at(-3.0, 1.0) is None


def test_only_changed_columns_are_sent() -> None:
    chart = filled(ChannelGrid(COLUMNS), list(range(14)))
    sent: list[Any] = []
    chart.cells.data.update = lambda columns: sent.append(sorted(columns))
    chart.fill({"hits": np.arange(14, dtype=np.int32), "rate": np.full(14, np.nan, dtype=np.float32)})
    assert sent == []
    chart.fill({"hits": np.arange(1, 15, dtype=np.int32), "rate": np.full(14, np.nan, dtype=np.float32)})
    assert sent == [["hits"]]


def test_the_colour_scale_switches_between_logarithmic_linear_and_two_sided() -> None:
    chart = filled(ChannelGrid(COLUMNS), list(range(14)))
    for colouring in (
        Colouring("hits", True, 1, 9),
        Colouring("hits", False, 0, 9),
        Colouring("ratio", True, 0.5, 2, True),
    ):
        chart.colour(colouring)
        mapper = chart._cells.glyph.fill_color.transform
        assert type(mapper).__name__ == ("LogColorMapper" if colouring.log else "LinearColorMapper")
        assert (mapper.low, mapper.high) == (colouring.low, colouring.high)
        assert list(mapper.palette) == list(DIVERGING if colouring.diverging else SEQUENTIAL)
        assert chart._bar.color_mapper is mapper
        assert chart._bar.title == colouring.label


def test_findings_states_and_selection() -> None:
    chart = filled(ChannelGrid(COLUMNS, separators=False), list(range(14)))
    found = pd.DataFrame(
        {"detector_id": [5, 9, 9, 77], "element_id": [4, 0, 8, 1], "finding": ["dead", "plane-dead", "hot", "hot"]}
    )
    chart.mark(found)
    assert chart._findings.data["x"] == [0.5, 2.5]
    assert list(chart._findings.data["y"]) == [4.0, 8.0]
    assert chart._findings.data["marker"] == ["x", "triangle"]
    chart.mark(None)
    assert len(chart._findings.data["x"]) == 0
    chart.judge(["OK", "WARN", "ERROR"], ["", "a", "b"], [0, 1, 2])
    assert chart._planes.data["colour"] == [STATES["OK"], STATES["WARN"], STATES["ERROR"]]
    chart.choose(9, 8)
    assert chart._point.data["x"] == [2.5]
    chart.choose(9, 0)
    assert chart._point.data["x"] == []
    assert chart._chosen.data["left"] == [2.0]


def test_hover_shows_names_as_text() -> None:
    chart = filled(ChannelGrid(COLUMNS), list(range(14)))
    shown = [template for hover in chart.figure.hover for _, template in hover.tooltips]
    assert shown
    assert not [template for template in shown if "safe" in template or template.startswith("<")]


def test_an_event_is_drawn_where_its_channels_are() -> None:
    display = EventMap(ChannelGrid(COLUMNS, separators=False))
    drawn = display.show(
        np.array([5, 9, 9, 200]),
        np.array([4, 1, 9, 1]),
        np.array([10.0, 20.0, 30.0, 40.0]),
        np.array([True, False, True, True]),
    )
    assert drawn == 2  # element 9 of 8 and detector 200 have no place
    assert display.hits.data["x"] == [0.5, 2.5]
    assert list(display.hits.data["y"]) == [4.0, 1.0]
    assert list(display.hits.data["fill"]) == [1.0, 0.0]
    assert display.show(np.array([5]), np.array([1]), None, None) == 1
    assert display.hits.data["flag"] == ["unknown"]


@pytest.mark.parametrize("upright", [False, True])
def test_the_board_has_a_tile_for_each_plane(upright: bool) -> None:
    board = Board()
    board.show(COLUMNS, ["OK", "WARN", "ERROR"], ["", "a", "b"], 6, upright=upright)
    data = board.source.data
    assert data["text"] == ["A", "B !", "<b>C</b> ✕"]
    assert data["line"] == [0, 4, 0]
    assert [board.plane_at(x, y) for x, y in zip(data["x"], data["y"], strict=True)] == [5, 6, 9]
    assert board.plane_at(7.5, 7.5) is None
