"""The region editor: as a value with history, against hostile events, and with a real mouse in a real browser."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import pytest
from bokeh.document import Document
from bokeh.events import DoubleTap, Press, SelectionGeometry, Tap
from bokeh.models import BoxAnnotation, PolyAnnotation
from bokeh.plotting import figure
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline
from playwright.sync_api import sync_playwright

from dashboard.drawing import MAX_SHAPES, ONE_MOVE_S, STEPS, Drawing
from detcore.image import Ellipse, Polygon, Rectangle, Region

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

ONE = Rectangle(x0=10, y0=20, x1=40, y1=50)
TWO = Polygon(vertices=[(50, 50), (90, 50), (70, 90)])
THREE = Rectangle(x0=0.125, y0=0, x1=5, y1=5)


class Editor:
    """A drawing on a document, without a browser."""

    def __init__(self) -> None:
        self.plot = figure(x_range=(0, 100), y_range=(0, 100), width=400, height=400, tools="pan,wheel_zoom")
        for side in ("inner_width", "inner_height"):
            self.plot.set_from_json(side, 400)  # as the browser does
        self.seen: list[tuple[Region, ...]] = []
        self.drawing = Drawing(self.plot, self.seen.append)
        self.document = Document()
        self.document.add_root(self.plot)

    @property
    def shapes(self) -> list[Any]:
        """The annotations that stand for regions."""
        return [item for item in self.plot.center if isinstance(item, BoxAnnotation | PolyAnnotation)][1:]  # draft

    def click(self, x: Any, y: Any, how: type[Tap | DoubleTap | Press] = Tap) -> None:
        self.plot._trigger_event(how(self.plot, sx=0, sy=0, x=x, y=y))

    def select(self, *, final: bool = True, **geometry: Any) -> None:
        self.plot._trigger_event(SelectionGeometry(self.plot, geometry=geometry, final=final))

    def press(self, key: Any) -> None:
        self.drawing._keys.data = {"key": key, "count": [len(self.seen)]}

    def rest(self) -> None:
        """Let the timers of moved shapes run out."""
        for callback in list(self.document.session_callbacks):
            self.document.callbacks.remove_session_callback(callback)
            callback.callback()


@pytest.fixture
def editor() -> Editor:
    return Editor()


def test_history(editor: Editor) -> None:
    drawing = editor.drawing
    drawing.set([ONE])
    drawing.set([ONE, TWO])
    drawing.delete(0)
    assert drawing.regions == (TWO,)
    drawing.undo()
    drawing.undo()
    assert drawing.regions == (ONE,)
    drawing.redo()
    assert drawing.regions == (ONE, TWO)
    drawing.set([THREE])  # what was undone cannot be repeated after a new change
    drawing.redo()
    assert drawing.regions == (THREE,)
    assert editor.seen == [(ONE,), (ONE, TWO), (TWO,), (ONE, TWO), (ONE,), (ONE, TWO), (THREE,)]


def test_equal_regions_are_no_change(editor: Editor) -> None:
    editor.drawing.set([ONE])
    editor.drawing.set([ONE])
    editor.drawing.undo()
    editor.drawing.undo()
    editor.drawing.redo()
    editor.drawing.redo()
    assert editor.seen == [(ONE,), (), (ONE,)]


def test_history_is_bounded(editor: Editor) -> None:
    for n in range(STEPS + 20):
        editor.drawing.set([Rectangle(x0=n, y0=0, x1=n + 1, y1=1)])
    for _ in range(STEPS + 20):
        editor.drawing.undo()
    assert editor.drawing.regions == (Rectangle(x0=19, y0=0, x1=20, y1=1),)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("set"), st.lists(st.sampled_from([ONE, TWO, THREE]), max_size=3)),
            st.tuples(st.sampled_from(["undo", "redo", "delete", "move"]), st.integers(0, 2)),
        ),
        max_size=12,
    )
)
@settings(max_examples=60, deadline=None)
def test_figure_shows_the_truth_and_history_agrees_with_a_plain_list(steps: list[tuple[str, Any]]) -> None:
    editor = Editor()
    states: list[tuple[Region, ...]] = [()]
    at = 0
    for what, value in steps:
        now = states[at]
        new = now
        if what == "set":
            editor.drawing.set(value)
            new = tuple(value)
        elif what == "delete" and value < len(now):
            editor.drawing.delete(value)
            new = now[:value] + now[value + 1 :]
        elif what == "move" and value < len(now) and isinstance(now[value], Rectangle):
            shape, old = editor.shapes[value], now[value]
            shape.update(left=old.x0 + 1, right=old.x1 + 1)
            with mock.patch("dashboard.drawing.ONE_MOVE_S", 0):  # every move is a step of its own
                editor.rest()
            moved = Rectangle(x0=round(old.x0 + 1, 2), y0=old.y0, x1=round(old.x1 + 1, 2), y1=old.y1)
            new = (*now[:value], moved, *now[value + 1 :])
        elif what == "undo":
            editor.drawing.undo()
            at = max(0, at - 1)
        elif what == "redo":
            editor.drawing.redo()
            at = min(len(states) - 1, at + 1)
        if new != now:
            states = [*states[: at + 1], new]
            at += 1
        assert editor.drawing.regions == states[at]
        assert [type(shape) for shape in editor.shapes] == [
            BoxAnnotation if isinstance(region, Rectangle) else PolyAnnotation for region in states[at]
        ]
        for shape, region in zip(editor.shapes, states[at], strict=True):
            if isinstance(region, Rectangle):
                place = (shape.left, shape.bottom, shape.right, shape.top)
                assert place == pytest.approx(tuple(region.bounding_box), abs=0.005)
            else:
                assert list(zip(shape.xs, shape.ys, strict=True)) == list(region.vertices)


def test_only_what_can_be_edited_is_taken(editor: Editor) -> None:
    with pytest.raises(TypeError, match="rectangles and polygons can be edited, found Ellipse"):
        editor.drawing.set([Ellipse(x=1, y=1, a=1, b=1)])
    with pytest.raises(ValueError, match="at most 64 shapes"):
        editor.drawing.set([ONE] * (MAX_SHAPES + 1))
    with pytest.raises(IndexError, match="no shape 0; there are 0"):
        editor.drawing.delete(0)
    assert editor.seen == []


def test_polygon_by_clicks(editor: Editor) -> None:
    editor.drawing.set([ONE])
    editor.drawing.draw("polygon")
    editor.click(10, 10)
    editor.click(50, 10, Press)  # a slow click
    editor.click(50, 50, DoubleTap)  # a fast one, elsewhere
    editor.click(10, 60)
    editor.press(["Backspace"])
    editor.click(90, 60)
    editor.press(["undo"])  # of the last corner, not of the last shape
    editor.click(10.5, 10.5)  # 2 of 400 screen pixels beside the first
    assert editor.drawing.regions == (ONE, Polygon(vertices=[(10, 10), (50, 10), (50, 50)]))
    assert editor.drawing.selected == 1
    editor.click(90, 90)  # not drawing any more
    assert editor.drawing.selected is None
    assert len(editor.seen) == 2


def test_double_click_and_enter_close_a_polygon(editor: Editor) -> None:
    for finish in (lambda: editor.click(50, 50, DoubleTap), lambda: editor.press(["Enter"])):
        editor.drawing.draw("polygon")
        for x, y in ((10, 10), (50, 10), (50, 50)):
            editor.click(x, y)
        finish()
    assert editor.drawing.regions == (Polygon(vertices=[(10, 10), (50, 10), (50, 50)]),) * 2


def test_rectangle_in_any_direction(editor: Editor) -> None:
    editor.select(type="rect", x0=1, x1=2, y0=1, y1=2)  # from a tool of someone else
    editor.drawing.draw("rectangle")
    editor.select(type="rect", x0=1, x1=2, y0=1, y1=2, final=False)
    assert editor.drawing.regions == ()
    editor.select(type="rect", x0=30.12345, x1=10, y0=8, y1=20)
    assert editor.drawing.regions == (Rectangle(x0=10, y0=8, x1=30.12, y1=20),)


def test_buttons_act_with_the_lock_of_the_document(editor: Editor) -> None:
    """Panel calls them without it when messages are under way, and Bokeh then refuses changes of its models."""
    editor.drawing.set([ONE, TWO])
    editor.drawing._buttons["clear"].clicks += 1
    assert editor.drawing.regions == (ONE, TWO)
    assert len(editor.document.session_callbacks) == 1
    editor.rest()
    assert editor.drawing.regions == ()


def test_tool_is_given_back(editor: Editor) -> None:
    before = editor.plot.toolbar.active_drag
    editor.drawing.draw("rectangle")
    editor.drawing.draw("polygon")
    assert editor.plot.toolbar.active_drag == before
    editor.drawing.draw("rectangle")
    assert editor.plot.toolbar.active_drag is editor.drawing._box
    editor.press(["Escape"])
    assert editor.plot.toolbar.active_drag == before


HOSTILE = [None, float("nan"), float("inf"), "7", 10**400, 1e300, True, [1], {}, np.arange(3)]


@pytest.mark.parametrize("bad", HOSTILE, ids=lambda bad: repr(bad)[:20])
def test_hostile_positions_change_nothing(editor: Editor, bad: Any) -> None:
    editor.drawing.set([ONE])
    editor.drawing.draw("rectangle")
    editor.select(type="rect", x0=bad, x1=2, y0=1, y1=2)
    editor.drawing.draw("polygon")
    for x, y in ((1, 1), (2, 1), (bad, 3), (2, 2)):
        editor.click(x, y)
    editor.drawing.draw(None)
    editor.click(bad, 30)
    for key in ([bad], ["F1"]):
        editor.press(key)
    assert editor.drawing.regions == (ONE,)
    assert editor.seen == [(ONE,)]


@pytest.mark.parametrize("place", [{"left": float("nan")}, {"left": float("inf")}, {"left": 40.001}, {"top": 1e12}])
def test_impossible_moves_are_put_back(editor: Editor, place: dict[str, float]) -> None:
    editor.drawing.set([ONE, TWO])
    editor.shapes[0].update(**place)
    editor.rest()
    assert editor.drawing.regions == (ONE, TWO)
    shape = editor.shapes[0]
    assert (shape.left, shape.bottom, shape.right, shape.top) == tuple(ONE.bounding_box)
    assert "not possible" in editor.drawing._hint.object


def test_corners_may_come_as_arrays(editor: Editor) -> None:
    editor.drawing.set([TWO])
    editor.shapes[0].update(xs=np.array([51.0, 91, 71]), ys=np.array([50, 50, 90], np.float32))
    editor.rest()
    assert editor.drawing.regions == (Polygon(vertices=[(51, 50), (91, 50), (71, 90)]),)
    editor.shapes[0].update(xs=np.zeros(20_001), ys=np.zeros(20_001))
    editor.rest()
    editor.shapes[0].update(xs=[1, 2, 3], ys=[1, 2])
    editor.rest()
    assert editor.drawing.regions == (Polygon(vertices=[(51, 50), (91, 50), (71, 90)]),)
    assert len(editor.seen) == 2


def test_one_drag_is_one_change(editor: Editor) -> None:
    editor.drawing.set([ONE])
    for n in range(50):
        editor.shapes[0].update(left=10.0 + n / 10, right=40.0 + n / 10)
    assert len(editor.document.session_callbacks) == 1
    editor.drawing.undo()  # first takes the move over, which waited for its end
    assert editor.seen[-2:] == [(Rectangle(x0=14.9, y0=20, x1=44.9, y1=50),), (ONE,)]
    editor.rest()
    assert len(editor.seen) == 3


def test_a_hand_that_hesitates_makes_one_step(editor: Editor) -> None:
    editor.drawing.set([ONE, TWO])
    for left in (11, 12, 13):
        editor.shapes[0].update(left=left)
        editor.rest()
    assert len(editor.seen) == 4  # what is shown follows the hand
    editor.shapes[1].update(xs=[51, 91, 71])
    editor.rest()
    editor.drawing.undo()
    assert editor.drawing.regions == (Rectangle(x0=13, y0=20, x1=40, y1=50), TWO)
    editor.drawing.undo()
    assert editor.drawing.regions == (ONE, TWO)
    editor.drawing.redo()
    editor.shapes[0].update(left=14)  # after an undo or redo a new step begins
    editor.rest()
    editor.drawing.undo()
    assert editor.drawing.regions[0] == Rectangle(x0=13, y0=20, x1=40, y1=50)


def test_number_of_shapes_is_bounded(editor: Editor) -> None:
    editor.drawing.set([ONE] * MAX_SHAPES)
    editor.drawing.draw("rectangle")
    editor.select(type="rect", x0=1, x1=2, y0=1, y1=2)
    assert len(editor.drawing.regions) == MAX_SHAPES
    assert "64 shapes are the limit" in editor.drawing._hint.object


def test_a_figure_without_tools_does_not_start_by_drawing() -> None:
    plot = figure(x_range=(0, 1), y_range=(0, 1), tools="")
    Drawing(plot, lambda regions: None)
    assert plot.toolbar.active_drag is None


# In the browser.

ROWS, COLUMNS = 240, 300
APP = f"""
import json
import numpy as np
import panel as pn
from bokeh.plotting import figure
from dashboard.drawing import Drawing

pn.extension()
shape = {ROWS}, {COLUMNS}
plot = figure(frame_width=600, frame_height=480, x_range=(-0.5, 299.5), y_range=(239.5, -0.5), tools="pan,wheel_zoom,reset",
              x_axis_label="column (px)", y_axis_label="row (px)")
image = np.hypot(*np.mgrid[-120:120, -150:150]).astype("f4")
plot.image([image], x=-0.5, y=-0.5, dw=300, dh=240, palette="Greys256")
def publish(regions):
    counts = [int(region.to_mask(shape).sum()) for region in regions]
    plot.tags = [json.dumps({{"regions": [region.to_dict() for region in regions], "counts": counts}})]
publish(())
drawing = Drawing(plot, publish)
pn.Column(drawing.panel(), plot).servable()
"""
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync"]  # fmt: skip
FRAME = """() => {
  const find = (view) => view.model.type == "Figure" ? view : view.children().map(find).find((found) => found)
  const view = [...Bokeh.index.roots].map(find).find((found) => found)
  if (view == null || view.frame == null) return null
  const {x, y} = view.canvas_view.events_el.getBoundingClientRect(), {left, top, width, height} = view.frame.bbox
  return width > 0 ? [x + left, y + top, width, height] : null
}"""
STATE = """() => [...Bokeh.documents[0]._all_models.values()].find((model) => model.type == "Figure").tags[0]"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("drawing")
    (folder / "app.py").write_text(APP)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "panel", "serve", "app.py", "--port", str(port), "--address", "127.0.0.1"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([*command, "--liveness"], cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + 60
        while True:
            assert server.poll() is None, (folder / "log").read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/liveness", timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < until, (folder / "log").read_text()
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/app"
    finally:
        server.terminate()
        server.wait(10)
    assert "Traceback" not in (folder / "log").read_text()


class Hand:
    """A person at the page: everything in pixels of the image."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.get_by_role("button", name="Clear: ").wait_for()
        page.wait_for_function(FRAME)

    def at(self, x: float, y: float) -> tuple[float, float]:
        left, top, width, height = self.page.evaluate(FRAME)
        return left + (x + 0.5) / COLUMNS * width, top + (y + 0.5) / ROWS * height

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=f"{name}: ").click()

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.page.mouse.move(*self.at(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at(*end), steps=8)
        self.page.mouse.up()

    def click(self, x: float, y: float) -> None:
        self.page.mouse.move(*self.at(x, y), steps=3)
        self.page.mouse.down()
        self.page.mouse.up()
        self.page.wait_for_timeout(350)  # else two clicks count as a double click

    def regions(self, number: int, *, unlike: str | None = None) -> list[Region]:
        """The regions of the server as soon as there are `number` of them, and the state is not `unlike`."""
        script = f"""unlike => {{
            const state = ({STATE})()
            return JSON.parse(state).regions.length == {number} && state != unlike && state
        }}"""
        state = json.loads(self.page.wait_for_function(script, arg=unlike, timeout=10_000).json_value())
        found = [Region.from_dict(each) for each in state["regions"]]
        assert state["counts"] == [count(region) for region in found]
        return found

    def until(self, index: int, corners: list[tuple[float, float]]) -> list[Region]:
        """The regions as soon as one has these corners: a move arrives in steps."""
        until = time.monotonic() + 10
        while True:
            found = [Region.from_dict(each) for each in json.loads(self.state)["regions"]]
            region = found[index]
            x0, y0, x1, y1 = region.bounding_box
            now = region.vertices if isinstance(region, Polygon) else ((x0, y0), (x1, y1))
            if np.asarray(now) == pytest.approx(np.asarray(corners), abs=1):
                return self.regions(len(found))
            assert time.monotonic() < until, f"{now} instead of {corners}"
            self.page.wait_for_timeout(50)

    @property
    def state(self) -> str:
        return str(self.page.evaluate(STATE))


def count(region: Region) -> int:
    """How many pixel centres are inside, without our kernels."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    if isinstance(region, Rectangle):
        return int(((region.x0 <= x) & (x < region.x1) & (region.y0 <= y) & (y < region.y1)).sum())
    assert isinstance(region, Polygon)
    # Outline leaves it open what a centre on the line itself does; moved a little, the left and low sides are inside.
    outline = Outline([(vx - 1e-5, vy - 1e-9) for vx, vy in region.vertices])
    expected = outline.contains_points(np.column_stack([x.ravel(), y.ravel()]))
    return int(expected.sum())


def in_browser(url: str, act: Callable[[Page], None]) -> None:
    """Run `act` on a fresh page, in a thread of its own: another test may keep its Playwright open in this one."""

    def run() -> None:
        found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=found, headless=True, args=ARGS)
            page = browser.new_page(viewport={"width": 900, "height": 760})
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(f"{error}\n{error.stack}"))
            page.goto(url)
            act(page)
            assert not errors, f"{len(errors)} errors, first: {errors[0]}"
            browser.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result()


@pytest.mark.browser
def test_draw_move_delete_undo_redo_with_a_mouse(url: str, tmp_path: Path) -> None:
    def act(page: Page) -> None:
        hand = Hand(page)
        hand.press("Rectangle")
        page.get_by_text("drag to the opposite corner").wait_for()
        hand.drag((40, 30), (120, 90))
        (box,) = hand.regions(1)
        assert tuple(box.bounding_box) == pytest.approx((40, 30, 120, 90), abs=1)

        hand.press("Polygon")
        corners = [(160, 60), (270, 80), (250, 200), (150, 170)]
        for corner in corners:
            hand.click(*corner)
        page.get_by_text("Click the first corner again").wait_for()
        page.mouse.move(*hand.at(190, 110))
        page.screenshot(path=tmp_path / "drafting.png")
        hand.click(160, 61)
        box, kite = hand.regions(2)
        assert isinstance(kite, Polygon)
        assert np.asarray(kite.vertices) == pytest.approx(np.asarray(corners), abs=1)

        hand.drag((80, 60), (100, 120))  # inside: moves
        moved, same = hand.until(0, [(60, 90), (140, 150)])
        assert same == kite

        hand.drag((140, 120), (145, 120))  # the edge: resizes
        resized, _ = hand.until(0, [(60, 90), (145, 150)])
        assert moved != resized

        shifted = [(x + 10, y + 20) for x, y in corners]
        hand.drag((200, 130), (210, 150))
        _, moved_kite = hand.until(1, shifted)

        page.wait_for_timeout(1000 * ONE_MOVE_S)  # a new step of undo
        hand.drag((280, 100), (285, 95))  # a single corner
        _, pulled = hand.until(1, [shifted[0], (285, 95), *shifted[2:]])
        page.screenshot(path=tmp_path / "two.png")

        hand.click(100, 120)
        hand.press("Delete")
        assert hand.regions(1) == [pulled]
        hand.press("Undo")
        assert hand.regions(2) == [resized, pulled]
        page.get_by_role("tooltip").wait_for()  # it covers the next button, and lets clicks through
        hand.press("Redo")
        assert hand.regions(1) == [pulled]
        hand.press("Undo")
        assert hand.regions(2) == [resized, pulled]
        before = hand.state
        hand.press("Undo")
        assert hand.regions(2, unlike=before) == [resized, moved_kite]

        hand.press("Clear")
        hand.regions(0)
        page.mouse.move(*hand.at(20, 20))
        page.keyboard.press("Control+z")
        assert hand.regions(2) == [resized, moved_kite]
        hand.click(210, 150)
        page.keyboard.press("Backspace")
        assert hand.regions(1) == [resized]
        page.keyboard.press("Control+z")
        assert hand.regions(2) == [resized, moved_kite]
        page.keyboard.press("Control+Shift+z")
        assert hand.regions(1) == [resized]
        page.screenshot(path=tmp_path / "end.png")

    in_browser(url, act)
    assert all((tmp_path / f"{name}.png").stat().st_size > 5_000 for name in ("drafting", "two", "end"))
