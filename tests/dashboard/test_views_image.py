"""The view of a detector image: blocks, classes, limits, what is made again and when; no browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from bokeh.document import Document
from bokeh.models import CustomJSHover, HoverTool

from dashboard.drawing import Drawing
from dashboard.views.channelmap import SEQUENTIAL
from dashboard.views.image import MASKED, NEAREST, SATURATED, ImageView
from dashboard.views.picture import SIDE, Frame, Look, Window, render
from dashboard.views.viewport import LOST_S, Redraw
from detcore.image import Rectangle

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ALL_ONES = 2**32 - 1
HOW = {"max": np.nanmax, "min": np.nanmin, "mean": np.nanmean, "sum": np.nansum}


class Later:
    """A thread that works when the test says so."""

    def __init__(self) -> None:
        self.due: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []

    def __call__(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self.due.append((work, done))

    def go(self) -> None:
        work, done = self.due.pop(0)
        done(work())


def served(view: ImageView) -> Document:
    document = Document()
    document.add_root(view.figure)
    return document


def settle(document: Document) -> int:
    """Let timers run out; returns how many there were."""
    callbacks = list(document.session_callbacks)
    for callback in callbacks:
        document.callbacks.remove_session_callback(callback)
        callback.callback()
    return len(callbacks)


def detector(rows: int = 1500, columns: int = 2300) -> NDArray[np.uint32]:
    return np.random.default_rng(4).poisson(3.0, (rows, columns)).astype(np.uint32)


def blocks(image: NDArray[Any], size: int, how: str) -> NDArray[np.float64]:
    """The reference; blocks at the ends are smaller."""
    rows, columns = (-(-n // size) for n in image.shape)
    padded = np.full((rows * size, columns * size), np.nan)
    padded[: image.shape[0], : image.shape[1]] = image
    tiles = padded.reshape(rows, size, columns, size)
    return np.asarray(HOW[how](tiles, axis=(1, 3)))


@pytest.mark.parametrize("how", HOW)
def test_blocks_are_those_of_numpy(how: Any) -> None:
    image = detector()
    view = ImageView(aggregate=how)
    view.show(image, title="frame 3")
    data = view.source.data
    expected = blocks(image, 3, how)
    kind = np.float32 if how == "mean" else np.uint8
    assert data["value"][0].dtype == kind
    np.testing.assert_allclose(data["value"][0], expected, rtol=1e-6)
    assert (data["x"], data["y"], data["dw"], data["dh"]) == ([-0.5], [-0.5], [2301.0], [1500.0])
    assert view.figure.title.text == f"frame 3: {how} of 3 x 3 pixels"
    low, high = view.limits or (0, 0)
    scaled = np.clip((expected - low) / (high - low), 0, 1)
    np.testing.assert_allclose(data["image"][0], np.minimum(np.rint(scaled * 254) + 1, 254), atol=0.01)


def test_the_largest_detector_stays_small_on_the_screen() -> None:
    window = Window.of((4371, 4150))
    assert window == Window(0, 4150, 0, 4371, 4)
    assert Window.of((1, 1_000_000)) == Window(0, 1_000_000, 0, 1, 910)
    for view in ((0.0, 5000.0, 0.0, 300.0), (1000.2, 3000.7, 900.0, 2500.0), (2000.0, 2008.0, 1.0, 9.0)):
        window = Window.of((4371, 4150), view)
        assert window is not None
        assert max(window.right - window.left, window.bottom - window.top) <= SIDE * window.block
        assert window.left % window.block == window.top % window.block == 0
        assert window.holds(view, (4371, 4150))
    assert Window.of((4371, 4150), (5000.0, 6000.0, 0.0, 10.0)) is None


def test_a_zoomed_view_has_every_original_value() -> None:
    image = detector()
    image[700, 1200] = 123_456
    view = ImageView()
    document = served(view)
    view.show(image)
    view.figure.x_range.update(start=1000.0, end=1400.0)
    view.figure.y_range.update(start=900.0, end=600.0)
    assert settle(document) == 1, "one picture for many changes of the ranges"
    data = view.source.data
    left, top = int(data["x"][0] + 0.5), int(data["y"][0] + 0.5)
    rows, columns = data["value"][0].shape
    assert (left, top, rows, columns) == (940, 555, 391, 521)  # with a margin of 15 % of 400 x 300
    np.testing.assert_array_equal(data["value"][0], image[top : top + rows, left : left + columns])
    assert data["value"][0].dtype == np.uint32
    assert view.figure.title.text == "every pixel"
    assert view.pixel(1200.4, 699.6) == (1200, 700, 123_456)
    assert view.pixel(-0.6, 5) is None
    assert view.pixel(float("nan"), 5) is None


def test_values_keep_their_number_whatever_their_type() -> None:
    for values in (
        np.array([[0, ALL_ONES - 1], [7, 300]], np.uint32), np.array([[-70_000, 5], [0, 1]], np.int32),
        np.array([[0, 2**40], [1, 2]], np.uint64), np.array([[True, False]]), np.array([[1.5, -0.25]], np.float32),
        np.array([[1, 2]], ">u2"),
    ):  # fmt: skip
        view = ImageView()
        view.show(values)
        np.testing.assert_array_equal(view.source.data["value"][0], values)


def classes(view: ImageView) -> NDArray[np.uint8]:
    return np.asarray(view.source.data["image"][0])


def test_masked_saturated_and_zero_differ() -> None:
    image = np.array([[0, 5, ALL_ONES, ALL_ONES], [9, 65_000, 1, 0]], np.uint32)
    bits = np.array([[0, 0, 1, 0], [0, 0, 1 << 31, 0]], np.uint32)  # a virtual pixel is no bad one
    view = ImageView()
    view.show(image, mask=bits, saturated=65_000, value_label="photons")
    codes = classes(view)
    assert codes[0].tolist()[2:] == [0, 255]  # masked wins over its value
    assert codes[1].tolist()[1] == 255
    assert codes[0, 0] == codes[1, 3] == 1
    assert view.limits == pytest.approx((0.0, 9.0), abs=0.1)  # neither masked nor saturated ones count
    palette = view.figure.renderers[0].glyph.color_mapper.palette
    assert (palette[0], palette[1], palette[255]) == (MASKED, SEQUENTIAL[0], SATURATED)
    assert len(palette) == 256
    assert not {MASKED, SATURATED} & {*palette[1:255]}
    assert view._legend.visible
    assert [item.visible for item in view._legend.items] == [True, True]
    assert view._bar.title == "photons"
    view.show(image, mask=bits.astype(bool))
    assert classes(view)[0, 2] == classes(view)[1, 2] == 0
    view.show(np.array([[1.0, np.nan]]))
    assert classes(view)[0, 1] == 0
    view.show(np.array([[1, 2]]))
    assert not view._legend.visible


@pytest.mark.parametrize("level", [0, 3, 3.5, 2.0**40, float("inf"), float("nan")])
@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.float32])
def test_saturated_from_a_level_on(level: float, kind: type[np.generic]) -> None:
    image = detector(50, 70).astype(kind)
    window = Window.of(image.shape, (10.0, 30.0, 20.0, 40.0))
    assert window is not None
    picture = render(Frame(image, None, level), window, Look())
    part = image[window.top : window.bottom, window.left : window.right]
    np.testing.assert_array_equal(picture.colours == 255, part >= level)


@pytest.mark.parametrize("how", HOW)
def test_one_saturated_pixel_shows_in_every_reduction_and_masked_ones_do_not_count(how: Any) -> None:
    image = detector(40, 60)
    image[12, 12], image[30, 50] = ALL_ONES, ALL_ONES
    mask = np.zeros(image.shape, np.uint32)
    mask[20:24, :8], mask[30, 50] = 1, 16
    picture = render(Frame(image, mask, ALL_ONES), Window(0, 60, 0, 40, 4), Look(how))
    assert np.argwhere(picture.colours == 255).tolist() == [[3, 3]]
    assert np.argwhere(picture.colours == 0).tolist() == [[5, 0], [5, 1]]
    good = image[28:32, 48:52][mask[28:32, 48:52] == 0]
    assert picture.values[7, 12] == pytest.approx(HOW[how](good))


def test_limits() -> None:
    image = np.zeros((200, 200))
    image[:, 100:] = np.arange(100)
    image[0, 0] = 1e6
    view = ImageView()
    view.show(image)
    assert view.limits == pytest.approx(tuple(np.percentile(image, [1, 99.5])))
    view.arrange(limits="full")
    assert view.limits == (0, 1e6)
    view.arrange(log=True)
    assert view.limits == (1, 1e6)
    mapper = view._bar.color_mapper
    assert (type(mapper).__name__, mapper.low, mapper.high) == ("LogColorMapper", 1, 1e6)
    view.arrange(limits=(10, 1000))
    assert classes(view)[5, 110] == 1
    assert classes(view)[0, 0] == 254
    assert classes(view)[5, 131] == round(254 * np.log(3.1) / np.log(100)) + 1
    view.arrange(limits=(-3.0, 50.0))
    assert view.limits == (0.05, 50)
    view.arrange(limits=(-3.0, -1.0))
    assert view.limits == pytest.approx(tuple(np.percentile(image[image > 0], [1, 99.5])))
    with pytest.raises(ValueError, match="low < high"):
        view.arrange(limits=(3, 3))
    for limits in ("robust", "full"):
        for log in (False, True):
            view.arrange(limits=limits, log=log)  # type: ignore[arg-type]
            for dull in (np.zeros((3, 3)), np.full((3, 3), 7), np.full((3, 3), np.nan)):
                view.show(dull)
                assert view.limits is not None
                assert view.limits[0] < view.limits[1]


def test_colours_stand_still_when_the_viewer_zooms_but_those_of_sums_follow() -> None:
    image = detector()
    image[:200, :200] += 1000
    for how, still in (("max", True), ("mean", True), ("sum", False)):
        view = ImageView(aggregate=how)  # type: ignore[arg-type]
        document = served(view)
        view.show(image)
        before = view.limits
        view.figure.x_range.update(start=1000.0, end=1100.0)
        view.figure.y_range.update(start=1100.0, end=1000.0)
        settle(document)
        assert view.figure.title.text == "every pixel"
        assert (view.limits == before) is still


def test_pictures_are_made_elsewhere_one_at_a_time_and_the_last_wish_wins() -> None:
    later = Later()
    view = ImageView(run=later)
    view.show(np.array([[1, 2]]), title="a")
    view.show(np.array([[3, 4]]), title="b")
    view.show(np.array([[5, 6]]), title="c")
    assert view.shown is None
    assert len(later.due) == 1
    later.go()
    later.go()
    assert not later.due
    assert view.source.data["value"][0].tolist() == [[5, 6]]
    view.show(np.array([[7, 8]]))
    view.clear()
    later.go()
    assert view.source.data["image"] == []
    assert view.limits is None


def test_a_failure_is_told_and_does_not_stop_the_next() -> None:
    later = Later()
    redraw = Redraw(later)
    told: list[str] = []

    def fail() -> None:
        msg = "no"
        raise KeyError(msg)

    redraw.ask(fail, told.append)  # type: ignore[func-returns-value]
    with pytest.raises(KeyError):
        later.go()
    redraw.ask(lambda: "yes", told.append)
    later.go()
    assert told == ["yes"]


def test_an_answer_that_got_lost_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    later = Later()
    redraw, told = Redraw(later), list[int]()
    redraw.ask(lambda: 1, told.append)
    lost = later.due.pop()
    redraw.ask(lambda: 2, told.append)
    assert not later.due
    now += LOST_S + 1
    redraw.ask(lambda: 3, told.append)
    later.go()
    lost[1](lost[0]())  # it comes after all
    assert told == [3]


def test_what_is_there_already_is_not_made_again() -> None:
    later = Later()
    view = ImageView(run=later)
    document = served(view)
    view.show(detector())
    later.go()
    view.arrange(log=False, aggregate="max")
    view.figure.x_range.start = -40.0
    settle(document)
    assert not later.due
    view.figure.update(width=10)
    view.figure.x_range.update(start=1e6, end=2e6)  # beside the image
    settle(document)
    assert not later.due


def test_zoom_stays_for_the_next_frame_but_not_for_another_detector() -> None:
    view = ImageView()
    view.show(detector())
    assert (view.figure.y_range.start, view.figure.y_range.end) == (1499.5, -0.5)
    view.figure.x_range.update(start=10, end=50)
    view.show(detector() + 1)
    assert (view.figure.x_range.start, view.figure.x_range.end) == (10, 50)
    view.show(detector(30, 40))
    x, y = view.figure.x_range, view.figure.y_range
    assert (x.start, x.end, x.reset_start, x.reset_end) == (-0.5, 39.5, -0.5, 39.5)
    view.arrange(origin="lower")
    assert (y.start, y.end, y.reset_start, y.reset_end) == (-0.5, 29.5, -0.5, 29.5)
    assert x.min_interval == y.min_interval == NEAREST


def test_hover_shows_pixel_and_value_as_text() -> None:
    view = ImageView()
    (hover,) = view.figure.select(HoverTool)
    assert [label for label, _ in hover.tooltips] == ["x", "y", "value"]
    assert set(hover.formatters) == {"$x", "$y", "@image"}
    assert all(isinstance(each, CustomJSHover) for each in hover.formatters.values())
    assert not ImageView(wall=True).figure.select(HoverTool)
    view.show(np.array([[1, 2]]), title="$$x$$")
    assert "$$" not in view.figure.title.text


def test_regions_can_be_drawn_on_it() -> None:
    seen: list[Any] = []
    view = ImageView()
    drawing = Drawing(view.figure, seen.append)
    served(view)
    view.show(detector(30, 40))
    drawing.set([Rectangle(x0=1, y0=2, x1=5, y1=6)])
    assert seen == [(Rectangle(x0=1, y0=2, x1=5, y1=6),)]


def test_what_is_no_image_is_refused() -> None:
    view = ImageView()
    for wrong in (np.zeros((2, 2, 2)), np.zeros((0, 5)), np.array([["a"]]), np.zeros((2, 2), complex)):
        with pytest.raises(ValueError, match="image"):
            view.show(wrong)
    with pytest.raises(ValueError, match="mask"):
        view.show(np.zeros((2, 2)), mask=np.zeros((2, 3), bool))
    with pytest.raises(ValueError, match="bool or uint32"):
        view.show(np.zeros((2, 2)), mask=np.zeros((2, 2), np.int8))  # type: ignore[arg-type]
