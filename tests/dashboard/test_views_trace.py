"""The view of a value per frame: what thinning keeps, where lines break, zoom, marks and what the mouse sends; no browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from bokeh.document import Document
from bokeh.events import DoubleTap, Press, SelectionGeometry, Tap
from bokeh.models import BoxSelectTool, HoverTool
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.views.thin import MOST, Data, breaks, draw, thin
from dashboard.views.trace import MAX_MARKS, Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def served(trace: Trace, width: int = 0) -> Document:
    document = Document()
    document.add_root(trace.figure)
    if width:
        for side, size in (("inner_width", width), ("inner_height", 300)):
            trace.figure.set_from_json(side, size)  # as the browser does
    return document


def settle(document: Document) -> None:
    for callback in list(document.session_callbacks):
        document.callbacks.remove_session_callback(callback)
        callback.callback()


def noise(count: int, seed: int = 2) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(1e6, 1e3, count)


def drawn(trace: Trace, name: str = "raw") -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    data = trace.sources[name].data
    return np.asarray(data["frame"]), np.asarray(data["value"])


@given(
    st.integers(1, 3000), st.integers(0, 3000), st.integers(1, 50), st.integers(0, 2**32 - 1), st.floats(0, 1)
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_envelope_is_exact(count: int, first: int, bins: int, seed: int, missing: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=first + count + 7)
    values[rng.random(len(values)) < missing * rng.integers(2)] = np.nan
    last = first + count
    kept = thin(values, first, last, bins)
    assert (np.diff(kept) > 0).all()
    assert kept[0] == first
    assert kept[-1] == last - 1
    assert len(kept) <= 4 * (bins + 2)
    size = 1 if count <= 4 * bins else -(-count // bins)
    for start in range(first // size * size, last, size):
        part = slice(max(start, first), min(start + size, last))
        mine = values[kept[(kept >= part.start) & (kept < part.stop)]]
        if np.isfinite(values[part]).any():
            assert np.nanmin(mine) == np.nanmin(values[part])
            assert np.nanmax(mine) == np.nanmax(values[part])


def test_thinning_keeps_its_bins_when_the_view_moves() -> None:
    values = noise(100_000)
    a, b = thin(values, 10_000, 60_000, 500), thin(values, 10_137, 60_137, 500)
    inside = (10_300, 59_900)
    same = [kept[(kept >= inside[0]) & (kept < inside[1])] for kept in (a, b)]
    np.testing.assert_array_equal(*same)


@pytest.mark.parametrize("place", [0, 1, 500_000, 654_321, 999_998, 999_999])
def test_one_outlier_in_a_million_frames_is_drawn(place: int) -> None:
    values = noise(1_000_000)
    values[place] = 2.5
    trace = Trace()
    trace.show(np.arange(1, 1_000_001), {"raw": values})
    x, y = drawn(trace)
    assert len(x) <= 4 * (MOST + 2)
    assert x[y == 2.5].tolist() == [place + 1]
    assert y.max() == values.max()
    assert trace.figure.y_range.start < 2.5


def test_zoomed_in_every_frame_is_a_point() -> None:
    values = noise(1_000_000)
    trace = Trace()
    document = served(trace, 900)
    trace.show(np.arange(1, 1_000_001), {"raw": values}, time=0.002)
    assert not trace.sources["raw"].data["dot"].any()
    trace.figure.x_range.update(start=500_000.0, end=500_060.0)
    settle(document)
    x, y = drawn(trace)
    assert x.tolist() == list(range(499_999, 500_062))  # one beyond each end, so that the line goes on
    np.testing.assert_array_equal(y, values[499_998:500_061])
    data = trace.sources["raw"].data
    assert data["dot"].all()
    np.testing.assert_allclose(data["seconds"], (x - 1) * 0.002)
    low, high = values[499_999:500_060].min(), values[499_999:500_060].max()
    span = trace.figure.y_range
    assert span.start < low < high < span.end < high + (high - low), "y follows what is seen"
    span.update(start=0.0, end=2e6)
    trace.figure.x_range.update(start=100_000.0, end=100_060.0)
    settle(document)
    assert (span.start, span.end) == (0, 2e6), "but not when the viewer has chosen"


def test_gaps_break_the_line() -> None:
    trace = Trace()
    trace.show([1, 2, 3, 6, 8, 9, 10], {"raw": [1, 2, 3, 4, 5, 6, 7], "other": [1, 2, np.nan, 4, 5, 6, 7]})
    x, y = drawn(trace)
    np.testing.assert_array_equal(x, [1, 2, 3, np.nan, 6, np.nan, 8, 9, 10])
    np.testing.assert_array_equal(y, [1, 2, 3, np.nan, 4, np.nan, 5, 6, 7])
    _, other = drawn(trace, "other")
    assert np.isnan(other).sum() == 3


def test_a_frame_alone_is_a_point_and_wide_gaps_break_thinned_lines() -> None:
    frames = np.concatenate([np.arange(1, 400_001), [450_000], np.arange(500_001, 1_000_001)])
    trace = Trace()
    trace.show(frames, {"raw": noise(len(frames))})
    x, _ = drawn(trace)
    broken = np.flatnonzero(np.isnan(x))
    assert [(x[i - 1], x[i + 1]) for i in broken] == [(400_000, 450_000), (450_000, 500_001)]
    dots = trace.sources["raw"].data["dot"]
    assert x[dots > 0].tolist() == [450_000]


@pytest.mark.parametrize(
    ("frames", "places"),
    [
        ([1, 2, 3, 4], []),
        ([4, 8, 12, 16], []),  # every fourth frame was read
        ([1, 2, 3, 7, 11, 15], [2]),  # from here on
        ([1, 2, 4, 5, 7, 8], [1, 3]),
        ([1, 9], []),
        ([], []),
    ],
)
def test_what_is_a_gap(frames: list[int], places: list[int]) -> None:
    assert breaks(np.array(frames, np.int64)).tolist() == places


def test_normalised_values_are_divided_by_their_mean() -> None:
    a, b = noise(50), np.full(50, np.nan)
    b[:25] = np.linspace(3, 5, 25)
    trace = Trace("Sum (counts)")
    trace.show(np.arange(50), {"a": a, "b": b, "none": np.full(50, np.nan)})
    trace.arrange(normalised=True)
    assert trace.figure.yaxis[0].axis_label == "Sum / mean"
    np.testing.assert_allclose(drawn(trace, "a")[1], a / a.mean())
    np.testing.assert_allclose(drawn(trace, "b")[1][:25], b[:25] / 4)
    assert 0.7 < trace.figure.y_range.start < 0.75
    trace.arrange(normalised=False, value_label="Mean (counts / pixel)")
    assert trace.figure.yaxis[0].axis_label == "Mean (counts / pixel)"
    np.testing.assert_allclose(drawn(trace, "a")[1], a)


def test_new_data_leave_the_zoom_of_the_viewer_alone() -> None:
    trace = Trace()
    document = served(trace)
    values = noise(3000)
    x, y = trace.figure.x_range, trace.figure.y_range
    trace.show(np.arange(1, 1001), {"raw": values[:1000]})
    assert (x.start, x.end) == (x.reset_start, x.reset_end)
    assert x.start < 1
    assert 1000 < x.end < 1010
    trace.show(np.arange(1, 2001), {"raw": values[:2000]})
    assert 2000 < x.end < 2020, "it follows the end"
    x.update(start=100.0, end=200.0)
    settle(document)
    chosen = (y.start, y.end)
    assert trace.zoomed
    trace.show(np.arange(1, 3001), {"raw": values})
    assert (x.start, x.end) == (100, 200)
    assert (y.start, y.end) == chosen
    assert 3000 < x.reset_end < 3030
    x.update(start=x.reset_start, end=x.reset_end)
    y.update(start=y.reset_start, end=y.reset_end)
    settle(document)
    assert not trace.zoomed
    assert y.start < values.min() < values.max() < y.end
    trace.show(np.arange(1, 5001), {"raw": noise(5000)})
    assert 5000 < x.end < 5050
    trace.arrange(normalised=False)  # as it is
    assert y.start > 9e5


def test_the_vertical_axis_can_leave_outliers_out_until_the_viewer_zooms() -> None:
    trace = Trace()
    document = served(trace)
    values = noise(1000)
    values[500] = 0
    x, y = trace.figure.x_range, trace.figure.y_range
    for _ in range(2):
        trace.show(np.arange(1000), {"raw": values}, within=(9.9e5, 1.01e6))
        assert (y.start, y.end) == (9.9e5, 1.01e6)
        assert y.reset_start < 0
    x.update(start=490.0, end=510.0)
    settle(document)
    assert y.start < 0
    trace.show(np.arange(1000), {"raw": values})
    assert y.start < 0


def test_marks_stand_on_the_first_series() -> None:
    frames = np.arange(10, 110)
    values = noise(100)
    found = pd.DataFrame({"frame": [12, 50, 500], "kind": ["drop", "spike", "drop"], "deviation": [-7.0, 9.25, -8.0]})
    trace = Trace()
    trace.show(frames, {"raw": values, "other": values + 5}, marks=found)
    data = trace.marks.data
    assert list(data["frame"]) == [12, 50]
    assert list(data["value"]) == [values[2], values[40]]
    assert data["sign"] == ["inverted_triangle", "triangle"]
    assert data["what"] == ["drop, -7.0 sigma", "spike, +9.2 sigma"]
    trace.arrange(normalised=True)
    assert list(trace.marks.data["value"]) == pytest.approx([values[2] / values.mean(), values[40] / values.mean()])
    trace.show(frames, {"raw": values}, marks=pd.DataFrame({"frame": [20]}))
    assert trace.marks.data["what"] == ["outlier"]
    trace.show(frames, {"raw": values})
    assert len(trace.marks.data["frame"]) == 0


def test_of_too_many_marks_the_strongest_are_drawn() -> None:
    count = MAX_MARKS + 100
    far = np.random.default_rng(1).permutation(count) - count / 2
    trace = Trace()
    trace.show(
        np.arange(count), {"raw": noise(count)}, marks=pd.DataFrame({"frame": np.arange(count), "deviation": far})
    )
    frames = np.asarray(trace.marks.data["frame"], dtype=int)
    assert len(frames) == MAX_MARKS
    assert np.abs(far[frames]).min() >= np.sort(np.abs(far))[100]
    assert (np.diff(frames) > 0).all()


def test_a_click_finds_the_mark_nearby_else_the_nearest_frame() -> None:
    seen: list[int] = []
    trace = Trace(on_tap=seen.append)
    served(trace, 1000)
    trace.figure._trigger_event(Tap(trace.figure, sx=0, sy=0, x=3.0, y=0))  # nothing is drawn yet
    trace.show([*range(1, 900), *range(950, 1001)], {"raw": noise(950)}, marks=pd.DataFrame({"frame": [500]}))
    for kind, x in ((Tap, 493.0), (DoubleTap, 480.2), (Press, 905.0), (Tap, -50.0), (Tap, 2e9), (Tap, 507)):
        trace.figure._trigger_event(kind(trace.figure, sx=0, sy=0, x=x, y=0))
    assert seen == [500, 480, 899, 1, 1000, 500]
    hostile: list[Any] = [None, "5", float("nan"), True, [1]]
    for value in hostile:
        trace.figure._trigger_event(Tap(trace.figure, sx=0, sy=0, x=value, y=0))
    assert len(seen) == 6


def test_a_dragged_range_gives_the_frames_inside() -> None:
    seen: list[tuple[int, int]] = []
    trace = Trace(on_select=lambda first, last: seen.append((first, last)))
    trace.show([1, 2, 3, 10, 11], {"raw": noise(5)})

    def drag(*, final: bool = True, **geometry: Any) -> None:
        trace.figure._trigger_event(SelectionGeometry(trace.figure, geometry=geometry, final=final))

    drag(type="rect", x0=1.4, x1=10.9, y0=0, y1=1)
    drag(type="rect", x0=11.3, x1=2.7, y0=0, y1=1)
    drag(type="rect", x0=1.4, x1=10.9, final=False)
    drag(type="rect", x0=4.0, x1=9.0)  # no frame in there
    drag(type="rect", x0="1", x1=10)
    drag(type="rect", x0=float("inf"), x1=10)
    drag(type="poly")
    assert seen == [(2, 10), (3, 11)]
    (tool,) = trace.figure.select(BoxSelectTool)
    assert tool.dimensions == "width"
    assert tool.renderers == []  # it must not dim the lines
    trace.select(True)
    assert trace.figure.toolbar.active_drag is tool
    trace.select(False)
    assert trace.figure.toolbar.active_drag == "auto"
    trace.window(2, 10)
    assert (trace._window.left, trace._window.right, trace._window.visible) == (1.5, 10.5, True)
    trace.window(None, None)
    assert not trace._window.visible


def test_lines_keep_their_colours_and_are_used_again() -> None:
    trace = Trace()
    frames = [1, 2, 3]
    trace.show(frames, {"raw": [1, 2, 3], "detrended": [2, 2, 2]})
    colours = {name: item.renderers[0].glyph.line_color for name, item in trace._items.items()}
    assert [item.label.value for item in trace._legend.items] == ["raw", "detrended"]
    assert trace._legend.visible
    trace.show(frames, {"detrended": [2, 2, 2]})
    assert not trace._legend.visible
    assert len(drawn(trace)[0]) == 0
    assert trace._items["detrended"].renderers[0].glyph.line_color == colours["detrended"]
    before = len(trace.figure.renderers)
    for number in range(20):
        trace.show(frames, {"detrended": [2, 2, 2], f"$$box {number}$$": [3, 4, number]})
    assert len(trace.figure.renderers) == before
    assert drawn(trace, "$$box 19$$")[1].tolist() == [3, 4, 19]
    assert all("$$" not in item.label.value for item in trace._legend.items)
    names = [each.name for each in trace._hover.renderers]
    assert names == ["$$box 19$$", "detrended"]


def test_a_line_that_comes_late_is_not_drawn_for_another_name() -> None:
    due: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []
    trace = Trace(run=lambda work, done: due.append((work, done)))
    trace.show([1, 2], {"a": [1, 2]})
    trace.show([1, 2], {"b": [5, 6]})
    for _ in range(2):
        work, done = due.pop(0)
        done(work())
    assert not due
    assert list(trace.sources) == ["b"]
    assert drawn(trace, "b")[1].tolist() == [5, 6]


def test_note_cursor_and_wall() -> None:
    trace = Trace(wall=True)
    trace.note("every 4th frame shown: $$reading$$ is behind")
    assert trace.figure.title.text.startswith("every 4th frame shown")
    assert "$$" not in trace.figure.title.text
    trace.cursor(7)
    assert (trace._cursor.location, trace._cursor.visible) == (7, True)
    trace.cursor(None)
    assert not trace._cursor.visible
    assert not trace.figure.select(HoverTool)
    assert not Trace().figure.select(BoxSelectTool)


def test_hover_has_frame_time_and_value() -> None:
    trace = Trace()
    fields = " ".join(template for hover in trace.figure.select(HoverTool) for _, template in hover.tooltips)
    for field in ("@frame", "@seconds", "@value", "@what"):
        assert field in fields
    assert "safe" not in fields
    trace.show([4, 5], {"raw": [1, 2]}, time=[0.5, 0.75])
    assert trace.sources["raw"].data["seconds"].tolist() == [0.5, 0.75]


def test_nothing_to_draw_is_no_error() -> None:
    trace = Trace()
    trace.arrange(normalised=True)
    trace.show([], {"raw": []})
    trace.show([], {})
    trace.show([3], {"raw": [np.nan]})
    trace.show([3], {"raw": [0.0]})
    assert drawn(trace)[1].tolist() == [0]
    assert trace.sources["raw"].data["dot"].tolist() == [1]


@pytest.mark.parametrize(
    ("frames", "values", "time", "words"),
    [
        ([1, 2], [1.0], None, "one value for each"),
        ([2, 1], [1.0, 2.0], None, "ascending"),
        ([1, 1], [1.0, 2.0], None, "ascending"),
        ([[1]], [[1.0]], None, "one value"),
        ([1, 2], [1.0, 2.0], [1.0], "one time for each"),
    ],
)
def test_what_does_not_fit_is_refused(frames: Any, values: Any, time: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Trace().show(frames, {"raw": values}, time=time)


def test_a_million_frames_become_a_few_thousand_points() -> None:
    data = Data(np.arange(1_000_000), {"raw": noise(1_000_000)}, None)
    line = draw(data, 0, 1_000_000, 1000, normalised=True).lines["raw"]
    assert 2000 < len(line.frame) < 4100
    assert line.value.mean() == pytest.approx(1, abs=0.01)


def test_a_narrow_figure_is_sent_less() -> None:
    trace = Trace()
    document = served(trace, 300)
    trace.show(np.arange(1, 100_001), {"raw": noise(100_000)})
    assert 300 < len(drawn(trace)[0]) <= 4 * (300 + 2)
    trace.figure.set_from_json("inner_width", 900)
    settle(document)
    assert 900 < len(drawn(trace)[0]) <= 4 * (900 + 2)
