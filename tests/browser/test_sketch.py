"""Shapes drawn on an image with a real mouse: what arrives as a region, which pixels the mask then holds, the list."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

ROWS, COLUMNS = 400, 600
HOSTILE = "<img src=x onerror=document.title='hit'>"
APP = f"""
import itertools
import json
import time

import numpy as np
import panel as pn
from bokeh.models import ColumnDataSource

from dashboard.outlines import to_page
from dashboard.rows import Row, Rows
from dashboard.sketch import Mark, Sketch
from dashboard.views.image import ImageView
from dashboard.views.maskover import MaskOver
from detcore.image import PixelMask, Polygon, Rectangle, RegionOperation

pn.extension()
Polygon(vertices=[(0, 0), (2, 0), (0, 2)]).to_mask((4, 4))


class Owner:
    def __init__(self):
        self.view = ImageView()
        self.over = MaskOver(self.view)
        self.truth = ColumnDataSource({{"said": ["{{}}"]}}, name="truth")
        self.view.figure.scatter("said", "said", source=self.truth, visible=False)
        self.items, self.past, self.drags, self.numbers = {{}}, [], [], itertools.count(1)
        self.sketch = Sketch(
            self.view.figure, on_add=self.add, on_change=self.change, on_delete=self.delete, on_select=self.select,
            on_drag=self.drag, on_undo=self.undo, on_redo=lambda: None, on_draw=lambda mode: self.tell(),
            kinds=("roi", "add", "subtract"),
        )
        self.rows = Rows(
            on_rename=lambda key, name: self.put(key, name=name), on_enable=lambda key, on: self.put(key, on=on),
            on_sign=lambda key, sign: self.put(key, kind=sign), on_move=self.move, on_delete=self.delete,
            on_select=self.select,
        )

    def refresh(self):
        items = self.items
        self.sketch.show(Mark(key, each["region"], each["kind"], each["name"], each["on"]) for key, each in items.items())
        self.sketch.can(undo=bool(self.past), redo=False)
        self.rows.show(
            Row(key, each["name"], each["region"].__class__.__name__, enabled=each["on"],
                sign=None if each["kind"] == "roi" else each["kind"]) for key, each in items.items())
        operations = [
            RegionOperation(region=each["region"], enabled=each["on"], mode=each["kind"])
            for each in items.values() if each["kind"] != "roi" and hasattr(each["region"], "to_mask")]
        self.over.show(PixelMask(shape=({ROWS}, {COLUMNS}), operations=operations).to_raster())
        self.tell()

    def tell(self):
        said = {{"items": [each | {{"id": key, "region": to_page(each["region"])}} for key, each in self.items.items()],
                "selected": self.sketch.selected, "drags": self.drags, "mode": self.sketch.mode}}
        self.truth.data = {{"said": [json.dumps(said)]}}

    def edit(self, items):
        self.past.append(dict(self.items))
        self.items = items
        self.refresh()

    def add(self, region):
        key = f"i{{next(self.numbers)}}"
        self.edit(self.items | {{key: {{"region": region, "kind": self.sketch.kind, "name": key, "on": True}}}})
        self.select(key)

    def change(self, key, region):
        if isinstance(region, Rectangle) and region.x1 > {COLUMNS}:
            self.sketch.say("That is outside.")
            return
        self.put(key, region=region)

    def put(self, key, **new):
        self.edit(self.items | {{key: self.items[key] | new}})

    def delete(self, key):
        self.edit({{name: each for name, each in self.items.items() if name != key}})

    def move(self, key, steps):
        keys = [each for each in self.items if each != key]
        keys.insert(list(self.items).index(key) + steps, key)
        self.edit({{each: self.items[each] for each in keys}})

    def select(self, key):
        self.sketch.select(key)
        self.rows.select(key)
        self.tell()

    def drag(self, key, region):
        self.drags.append([key, time.monotonic(), region is not None])

    def undo(self):
        if self.past:
            self.items = self.past.pop()
            self.refresh()


def build():
    owner = Owner()
    owner.view.figure.name = "image"

    def load():
        owner.view.show(np.arange({ROWS * COLUMNS}).reshape({ROWS}, {COLUMNS}), title="ramp")
        owner.refresh()

    pn.state.onload(load)
    pane = pn.pane.Bokeh(owner.view.figure, height=560, sizing_mode="stretch_width")
    editor = pn.Row(pn.Column(owner.sketch.view, pane, sizing_mode="stretch_width"),
                    pn.Column(owner.rows.view, width=360), sizing_mode="stretch_width")
    return pn.Tabs(("Editor", editor), ("Other", pn.pane.Str("nothing")), dynamic=True, sizing_mode="stretch_width")


build().servable()
"""
FIGURE = """name => {
  const find = (view) => view.model.name == name ? view : view.children().map(find).find((found) => found)
  const view = [...Bokeh.index.roots].map(find).find((found) => found)
  if (view?.frame == null) return null
  const {x, y} = view.canvas_view.events_el.getBoundingClientRect(), {left, top, width, height} = view.frame.bbox
  const {x_range, y_range, title} = view.model
  return {left: x + left, top: y + top, width, height, title: title.text,
          x: [x_range.start, x_range.end], y: [y_range.start, y_range.end]}
}"""
SOURCE = """name => {
  const all = Bokeh.documents.flatMap((document) => [...document._all_models.values()])
  const source = all.find((model) => model.type == 'ColumnDataSource' && model.name == name)
  return source ? Object.fromEntries(source.data instanceof Map ? source.data : Object.entries(source.data)) : null
}"""
PICTURE = """() => {
  const all = Bokeh.documents.flatMap((document) => [...document._all_models.values()])
  const source = all.find((model) => model.type == 'ColumnDataSource' && model.name == 'mask over image')
  const image = source.get_column("image")[0]
  return image ? [...new Uint8Array(image.buffer ?? image)].join("") : ""
}"""
PAD = """() => {
  const find = (root) => {
    for (const each of root.querySelectorAll("*")) {
      if (each.dc_sketch?.look) return each.dc_sketch
      const found = each.shadowRoot && find(each.shadowRoot)
      if (found) return found
    }
  }
  const pad = find(document)
  return pad ? {...pad.look(), local: pad.local, stats: pad.stats, act: null} : null
}"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("sketch")
    (folder / "app.py").write_text(APP)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "panel", "serve", "app.py", "--port", str(port), "--address", "127.0.0.1"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([*command, "--liveness"], cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + 90
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
    assert "Traceback" not in (folder / "log").read_text(), (folder / "log").read_text()


class Desk:
    """A page with an image to draw on."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel is on the screen, rounded to what a mouse can point at."""
        figure = self.page.evaluate(FIGURE, "image")
        (x0, x1), (y0, y1) = figure["x"], figure["y"]
        across = figure["left"] + (x - x0) / (x1 - x0) * figure["width"]
        return round(across), round(figure["top"] + (y - y1) / (y0 - y1) * figure["height"])

    def back(self, place: tuple[float, float]) -> tuple[float, float]:
        """Which pixel is at a place of the screen."""
        figure = self.page.evaluate(FIGURE, "image")
        (x0, x1), (y0, y1) = figure["x"], figure["y"]
        across = (place[0] - figure["left"]) / figure["width"]
        down = (place[1] - figure["top"]) / figure["height"]
        return x0 + across * (x1 - x0), y1 + down * (y0 - y1)

    def hit(self, x: float, y: float) -> tuple[float, float]:
        """The pixel, with fractions, that the mouse points at when it is sent to (x, y)."""
        return self.back(self.at(x, y))

    def drag(self, *places: tuple[float, float], steps: int = 6) -> None:
        self.page.mouse.move(*self.at(*places[0]))
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*self.at(*place), steps=steps)
        self.page.mouse.up()

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.at(x, y))

    def tool(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def kind(self, name: str) -> None:
        self.page.get_by_role("radio", name=name, exact=True).click()

    @property
    def said(self) -> dict[str, Any]:
        found = self.page.evaluate(SOURCE, "truth")
        return dict(json.loads(found["said"][0])) if found else {}

    @property
    def regions(self) -> list[dict[str, Any]]:
        return [item["region"] for item in self.said.get("items", [])]

    def until(self, wanted: Callable[[], Any], what: str, seconds: float = 60) -> Any:
        end = time.monotonic() + seconds
        while not (found := wanted()):
            if time.monotonic() > end:
                pytest.fail(f"{what}; {self.said}; {self.page.evaluate(PAD)}")
            self.page.wait_for_timeout(40)
        return found

    def count(self, number: int) -> list[dict[str, Any]]:
        """All regions when there are so many."""
        self.until(lambda: len(self.regions) == number, f"{number} shapes expected")
        return self.regions

    def changed(self, before: list[dict[str, Any]]) -> dict[str, Any]:
        """The last region when something has changed."""
        self.until(lambda: self.regions != before, "a change expected")
        return self.regions[-1]

    def holds(self, mask: np.ndarray[Any, Any]) -> None:
        """The picture above the image shows these pixels, and no others, as masked by the user."""
        wanted = "".join("9" if each else "0" for each in mask.ravel())
        self.until(lambda: self.page.evaluate(PICTURE) == wanted, f"a mask of {mask.sum()} pixels expected")


@pytest.fixture
def desk(browser: Browser, url: str) -> Iterator[Desk]:
    page = browser.new_page(viewport={"width": 1300, "height": 700})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.goto(url)
    found = Desk(page)
    found.until(lambda: (page.evaluate(FIGURE, "image") or {"title": ""})["title"].startswith("ramp"), "no image", 90)
    found.until(lambda: (page.evaluate(PAD) or {"attached": False})["attached"], "no canvas above the figure")
    page.wait_for_timeout(300)  # the pixels become square
    yield found
    page.close()
    assert errors == []


def pixels(region: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Which pixels a region holds, by its definition and nothing of ours."""
    y, x = np.mgrid[:ROWS, :COLUMNS].astype(float)
    kind = region["kind"]
    if kind == "rectangle":
        return (x >= region["x0"]) & (x < region["x1"]) & (y >= region["y0"]) & (y < region["y1"])
    if kind == "polygon":
        inside = np.zeros(x.shape, bool)
        corners = list(zip(region["xs"], region["ys"], strict=True))
        for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
            if ay != by:
                inside ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
        return inside
    if kind == "brush":
        near = np.full(x.shape, math.inf)
        points = list(zip(region["xs"], region["ys"], strict=True))
        for (ax, ay), (bx, by) in zip(points[:-1] or points, points[1:] or points, strict=True):
            size = (bx - ax) ** 2 + (by - ay) ** 2
            t = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / size, 0, 1) if size else 0.0
            near = np.minimum(near, np.hypot(x - ax - t * (bx - ax), y - ay - t * (by - ay)))
        return near < region["radius"]
    dx, dy = x - region["x"], y - region["y"]
    if kind == "annulus":
        return (np.hypot(dx, dy) >= region["inner"]) & (np.hypot(dx, dy) < region["outer"])
    cos, sin = math.cos(math.radians(region["angle"])), math.sin(math.radians(region["angle"]))
    if kind == "half_plane":
        return dx * cos + dy * sin >= 0
    return ((dx * cos + dy * sin) / region["a"]) ** 2 + ((dy * cos - dx * sin) / region["b"]) ** 2 < 1


def near(region: dict[str, Any], away: float = 0.02, **wanted: float) -> None:
    """The numbers of a region are as wanted, to the digits that are kept."""
    assert {name: region[name] for name in wanted} == pytest.approx(wanted, abs=away)


def test_every_kind_is_drawn_and_fills_the_pixels_of_its_definition(desk: Desk) -> None:
    desk.kind("Mask")
    (x0, y0), (x1, y1) = desk.hit(50, 50), desk.hit(150, 120)
    desk.tool("Rectangle")
    desk.drag((150, 120), (50, 50))  # from any corner
    (rectangle,) = desk.count(1)
    near(rectangle, x0=x0, y0=y0, x1=x1, y1=y1)
    desk.holds(mask := pixels(rectangle))

    desk.tool("Ellipse")
    desk.drag((200, 40), (320, 100))
    ellipse = desk.count(2)[-1]
    (left, top), (right, bottom) = desk.hit(200, 40), desk.hit(320, 100)
    half = {"a": (right - left) / 2, "b": (bottom - top) / 2}
    near(ellipse, x=(left + right) / 2, y=(top + bottom) / 2, angle=0, **half)
    desk.holds(mask := mask | pixels(ellipse))

    desk.tool("Ring")
    desk.drag((300, 240), (300, 320))
    ring = desk.count(3)[-1]
    (x, y), (_, below) = desk.hit(300, 240), desk.hit(300, 320)
    near(ring, x=x, y=y, outer=below - y, inner=0.7 * (below - y))
    desk.holds(mask := mask | pixels(ring))

    desk.tool("Polygon")
    corners = [(420, 60), (520, 80), (500, 180), (430, 150)]
    for corner in corners:
        desk.click(*corner)
        desk.page.wait_for_timeout(60)
    assert len(desk.regions) == 3, "not before it is closed"
    desk.click(*corners[0])
    polygon = desk.count(4)[-1]
    drawn = np.array([polygon["xs"], polygon["ys"]]).T
    np.testing.assert_allclose(drawn, [desk.hit(*corner) for corner in corners], atol=0.02)
    desk.holds(mask := mask | pixels(polygon))

    desk.tool("Brush")
    desk.page.get_by_label("Radius of the brush, pixels").last.fill("5")
    desk.page.keyboard.press("Enter")
    desk.drag((60, 300), (120, 340), (180, 300))
    brush = desk.count(5)[-1]
    near(brush, radius=5)
    assert brush["starts"] == [0]
    assert (brush["xs"][0], brush["ys"][0]) == pytest.approx(desk.hit(60, 300), abs=0.02)
    assert (brush["xs"][-1], brush["ys"][-1]) == pytest.approx(desk.hit(180, 300), abs=0.02)
    desk.holds(mask := mask | pixels(brush))
    desk.page.wait_for_timeout(300)
    desk.click(230, 360)  # the brush is still in the hand
    desk.holds(mask := mask | pixels(desk.count(6)[-1]))

    desk.kind("Unmask")
    desk.tool("Half-plane")
    desk.drag((450, 200), (450, 160))
    half_plane = desk.count(7)[-1]
    (x, y) = desk.hit(450, 200)
    near(half_plane, x=x, y=y, angle=-90)
    desk.holds(mask & ~pixels(half_plane))

    desk.kind("ROI")
    desk.tool("Point")
    desk.click(333, 222)
    desk.click(20, 380)
    points = desk.count(9)[-2:]
    for point, place in zip(points, [(333, 222), (20, 380)], strict=True):
        near(point, x=desk.hit(*place)[0], y=desk.hit(*place)[1])
    desk.page.keyboard.press("Escape")
    desk.until(lambda: desk.said["mode"] is None, "Escape ends drawing")
    kinds = [item["kind"] for item in desk.said["items"]]
    assert kinds == ["add"] * 6 + ["subtract"] + ["roi"] * 2
    assert [item["region"]["kind"] for item in desk.said["items"]] == [
        "rectangle", "ellipse", "annulus", "polygon", "brush", "brush", "half_plane", "point", "point",
    ]  # fmt: skip


def test_a_polygon_is_drawn_in_one_stroke(desk: Desk) -> None:
    desk.kind("Mask")
    desk.tool("Polygon")
    desk.drag((100, 100), (200, 100), (200, 180), (100, 180), steps=15)
    (polygon,) = desk.count(1)
    assert 4 <= len(polygon["xs"]) <= 8, "straight parts need no corners"
    assert pixels(polygon).sum() == pytest.approx(100 * 80, rel=0.04)
    desk.holds(pixels(polygon))


def test_shapes_are_moved_resized_turned_and_deleted(desk: Desk) -> None:
    page = desk.page
    desk.kind("Mask")
    desk.tool("Rectangle")
    desk.drag((60, 50), (160, 120))
    before = desk.count(1)
    desk.drag((110, 80), (140, 110))  # what is selected is moved anywhere inside
    (dx, dy) = np.subtract(desk.hit(140, 110), desk.hit(110, 80))
    was, now = before[0], desk.changed(before)
    near(now, **{name: was[name] + (dx if name[0] == "x" else dy) for name in ("x0", "x1", "y0", "y1")})
    before, was = desk.regions, now
    desk.drag((was["x1"], was["y1"]), (250, 200))
    now = desk.changed(before)
    near(now, 0.75, x0=was["x0"], y0=was["y0"], x1=250, y1=200)  # the handle is gripped beside its middle
    before, was = desk.regions, now
    desk.drag((was["x0"], (was["y0"] + was["y1"]) / 2), (was["x1"] + 30, 100))  # beyond the other side
    now = desk.changed(before)
    near(now, 0.75, x0=was["x1"], x1=was["x1"] + 30, y0=was["y0"], y1=was["y1"])
    desk.holds(pixels(now))
    page.keyboard.press("ArrowLeft")
    before = [now]
    moved = desk.changed(before)
    near(moved, x0=now["x0"] - 1, x1=now["x1"] - 1, y0=now["y0"], y1=now["y1"])

    desk.tool("Ellipse")
    desk.drag((300, 60), (420, 120))
    before = desk.count(2)
    was = before[-1]
    x, y = was["x"], was["y"]
    desk.drag((x, y + was["b"]), (x, y + 50))
    near(desk.changed(before), 0.75, b=50, a=was["a"], x=x, y=y)
    before = desk.regions
    (px, py), scale = desk.at(x + was["a"], y), desk.at(x + 100, y)[0] - desk.at(x, y)[0]
    turn = desk.back((px + 26, py))
    desk.drag(turn, (x, y + was["a"] + 2600 / scale))
    now = desk.changed(before)
    near(now, 1.0, angle=90, a=was["a"], b=50)
    desk.holds(pixels(moved) | pixels(now))

    desk.tool("Ring")
    desk.drag((480, 290), (480, 350))
    before = desk.count(3)
    was = before[-1]
    cos = math.sqrt(0.5)
    desk.drag(
        (was["x"] + cos * was["inner"], was["y"] + cos * was["inner"]), (was["x"] + cos * 20, was["y"] + cos * 20)
    )
    near(now := desk.changed(before), 0.75, inner=20, outer=was["outer"])
    before = desk.regions
    desk.drag((was["x"] + was["outer"], was["y"]), (was["x"] + 80, was["y"]))
    near(now := desk.changed(before), 0.75, inner=now["inner"], outer=80)
    before = desk.regions
    desk.drag((was["x"] + 50, was["y"]), (was["x"] + 30, was["y"] - 10))
    now = desk.changed(before)
    near(now, 0.9, x=was["x"] - 20, y=was["y"] - 10, outer=80)
    page.keyboard.press("Backspace")
    desk.count(2)
    assert [region["kind"] for region in desk.regions] == ["rectangle", "ellipse"]

    desk.tool("Polygon")
    corners = [(60, 250), (160, 250), (160, 350), (60, 350)]
    for corner in corners:
        desk.click(*corner)
        page.wait_for_timeout(60)
    page.keyboard.press("Enter")
    before = desk.count(3)
    desk.drag(corners[2], (190, 380))
    now = desk.changed(before)
    assert (now["xs"][2], now["ys"][2]) == pytest.approx((190, 380), abs=0.75)
    before = desk.regions
    desk.drag((110, 250), (110, 230))  # the middle of a side becomes a corner
    now = desk.changed(before)
    assert len(now["xs"]) == 5
    assert (now["xs"][1], now["ys"][1]) == pytest.approx((110, 230), abs=0.75)
    before = desk.regions
    page.keyboard.down("Alt")
    desk.click(110, 230)
    page.keyboard.up("Alt")
    assert len(desk.changed(before)["xs"]) == 4
    before = desk.regions
    desk.drag((100, 300), (120, 290))
    now = desk.changed(before)
    assert (now["xs"][0], now["ys"][0]) == pytest.approx((80, 240), abs=0.9)
    desk.tool("Delete")
    desk.count(2)

    desk.tool("Brush")
    desk.drag((60, 300), (160, 340))
    page.keyboard.press("Escape")
    before = desk.count(3)
    desk.until(lambda: desk.said["mode"] is None, "Escape ends painting")
    desk.click(110, 320)
    desk.until(lambda: desk.said["selected"] == desk.said["items"][-1]["id"], "a stroke is selected")
    desk.drag((110, 320), (110, 300))
    now = desk.changed(before)
    assert now["ys"][0] == pytest.approx(before[-1]["ys"][0] - 20, abs=0.9)
    before = desk.regions
    desk.drag((now["xs"][0] + now["radius"], now["ys"][0]), (now["xs"][0] + 16, now["ys"][0]))
    near(desk.changed(before), 0.75, radius=16)
    page.keyboard.press("Delete")
    desk.count(2)

    desk.tool("Half-plane")
    desk.drag((560, 200), (600, 200))
    before = desk.count(3)
    desk.drag((560, 100), (540, 100))
    near(desk.changed(before), 0.9, x=540, angle=0)
    before = desk.regions
    tip = desk.back((desk.at(540, 200)[0] + 56, desk.at(540, 200)[1]))
    desk.drag(tip, (540, 280))
    near(desk.changed(before), 1.5, x=540, y=200, angle=90)
    page.keyboard.press("Backspace")
    desk.count(2)

    desk.tool("Point")
    desk.click(500, 100)
    page.keyboard.press("Escape")
    before = desk.count(3)
    desk.until(lambda: desk.said["mode"] is None, "Escape ends picking")
    desk.drag((500, 100), (520, 130))
    near(desk.changed(before), 0.75, x=520, y=130)
    page.keyboard.press("Backspace")
    rectangle, ellipse = desk.count(2)
    desk.holds(pixels(rectangle) | pixels(ellipse))


def test_a_drag_is_followed_given_up_undone_and_refused(desk: Desk) -> None:
    page = desk.page
    desk.tool("Rectangle")
    desk.drag((100, 100), (200, 200))
    before = desk.count(1)
    page.mouse.move(*desk.at(150, 150))
    page.mouse.down()
    for step in range(40):
        page.mouse.move(*desk.at(150 + 3 * step, 150))
        page.wait_for_timeout(25)
    page.keyboard.press("Escape")
    page.mouse.up()
    page.wait_for_timeout(300)
    assert desk.regions == before, "Escape gives the drag up"
    assert page.evaluate(PAD)["pending"] == 0
    desk.click(150, 150)
    desk.drag((150, 150), (160, 150))
    now = desk.changed(before)
    drags = [each for each in desk.said["drags"] if each[0] == "i1"]
    times = [at for _, at, _ in drags]
    assert len(drags) >= 5, "what follows the drag hears of it"
    assert len(drags) < 11 * (times[-1] - times[0]) + 2, "at most ten times a second"
    assert [there for *_, there in drags].count(False) == 1, "and that it was given up"

    page.mouse.move(*desk.at(300, 300))
    page.keyboard.press("Control+z")
    desk.until(lambda: desk.regions == before, "the move is undone")
    page.keyboard.press("Control+z")
    desk.count(0)

    desk.tool("Rectangle")
    desk.drag((480, 100), (580, 200))
    before = desk.count(1)
    desk.drag((530, 150), (580, 150))  # the owner of this page wants nothing outside
    expect(page.get_by_role("status").filter(has_text="That is outside.")).to_be_visible()
    desk.until(lambda: page.evaluate(PAD)["pending"] == 0, "what is refused returns")
    assert desk.regions == before
    assert now != before[0]
    desk.tool("Rectangle")
    desk.click(50, 50)  # a click has no size
    page.wait_for_timeout(300)
    assert len(desk.regions) == 1
    page.keyboard.press("Escape")


def test_shapes_stay_on_their_pixels_when_the_image_is_zoomed_and_panned(desk: Desk) -> None:
    page = desk.page
    desk.tool("Rectangle")
    page.mouse.move(*desk.at(300, 200))
    home = page.evaluate(FIGURE, "image")["x"]
    for _ in range(4):
        page.mouse.wheel(0, -200)  # the wheel zooms also while something is drawn
        page.wait_for_timeout(50)
    desk.until(lambda: page.evaluate(FIGURE, "image")["x"] != home, "the wheel zooms")
    page.wait_for_timeout(500)
    x = page.evaluate(FIGURE, "image")["x"]
    assert x[1] - x[0] < 0.8 * (home[1] - home[0])
    (x0, y0), (x1, y1) = desk.hit(290, 190), desk.hit(310, 205)
    desk.drag((290, 190), (310, 205))
    (rectangle,) = desk.count(1)
    near(rectangle, x0=x0, y0=y0, x1=x1, y1=y1)
    drawn = page.evaluate(PAD)["stats"]["paints"]
    desk.drag((320, 215), (325, 220))  # beside the shape: the image is panned
    desk.until(lambda: page.evaluate(FIGURE, "image")["x"] != x, "the image is panned")
    desk.until(lambda: page.evaluate(PAD)["stats"]["paints"] > drawn, "the shape is painted again")
    assert desk.regions == [rectangle]
    desk.drag((300, 197), (303, 197))
    moved = desk.changed([rectangle])
    near(moved, 0.3, x0=rectangle["x0"] + 3, y0=rectangle["y0"])
    page.set_viewport_size({"width": 1000, "height": 700})
    page.wait_for_timeout(800)
    desk.drag((303, 197), (303, 199))
    near(desk.changed([moved]), 0.5, y0=moved["y0"] + 2)


def test_the_list_renames_switches_orders_and_deletes(desk: Desk) -> None:
    page = desk.page
    desk.kind("Mask")
    desk.tool("Rectangle")
    desk.drag((100, 100), (200, 200))
    desk.count(1)
    desk.kind("Unmask")
    desk.tool("Rectangle")
    desk.drag((150, 150), (250, 250))
    one, two = desk.count(2)
    desk.holds(pixels(one) & ~pixels(two))
    rows = page.get_by_role("option")
    expect(rows).to_have_count(2)
    expect(rows.nth(1)).to_have_attribute("aria-selected", "true")
    rows.nth(0).click()
    desk.until(lambda: desk.said["selected"] == "i1", "a row selects its shape")
    desk.until(lambda: page.evaluate(PAD)["local"]["selected"] == "i1", "on the image too")

    rows.nth(0).get_by_role("button", name="Rename").click()
    page.mouse.move(*desk.at(300, 300))  # keys are the field's, wherever the mouse is
    page.keyboard.type(f"{HOSTILE}x")
    page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    desk.until(lambda: desk.said["items"][0]["name"] == HOSTILE, "it is renamed")
    expect(rows.nth(0)).to_contain_text(HOSTILE)
    page.wait_for_timeout(200)
    assert page.title() != "hit"
    assert page.locator("img[src=x]").count() == 0

    rows.nth(1).get_by_role("button", name="Earlier").click()  # now what is added comes last
    desk.until(lambda: [item["id"] for item in desk.said["items"]] == ["i2", "i1"], "it is moved")
    desk.holds(pixels(one))
    expect(rows.nth(0)).to_contain_text("i2")
    rows.nth(0).get_by_role("button", name="Subtracts").click()
    desk.holds(pixels(one) | pixels(two))
    rows.nth(1).get_by_role("checkbox").click()
    desk.holds(pixels(two))
    desk.until(lambda: [item["on"] for item in desk.said["items"]] == [True, False], "switched off")
    rows.nth(1).focus()
    page.keyboard.press("Alt+ArrowUp")
    desk.until(lambda: desk.said["items"][0]["id"] == "i1", "moved with the keyboard")
    expect(rows.nth(0)).to_be_focused()
    page.keyboard.press(" ")
    desk.until(lambda: desk.said["items"][0]["on"], "switched on with the keyboard")
    rows.nth(1).get_by_role("button", name="Delete").click()
    desk.count(1)
    desk.holds(pixels(one))
    expect(rows).to_have_count(1)


def test_a_figure_that_was_hidden_is_drawn_on_again(desk: Desk) -> None:
    page = desk.page
    desk.tool("Rectangle")
    desk.drag((100, 100), (200, 200))
    desk.tool("Rectangle")
    desk.drag((300, 100), (400, 200))
    before = desk.count(2)
    page.get_by_text("Other", exact=True).click()
    page.get_by_text("nothing", exact=True).wait_for()
    page.get_by_text("Editor", exact=True).click()
    desk.until(lambda: (page.evaluate(PAD) or {"attached": False})["attached"], "no canvas above the figure")
    page.wait_for_timeout(500)
    assert page.locator("canvas.dc-sketch-canvas").count() == 1
    assert page.evaluate(PAD)["marks"] == 2
    desk.click(350, 150)
    desk.drag((350, 150), (360, 170))
    near(desk.changed(before), 0.75, x0=before[1]["x0"] + 10, y0=before[1]["y0"] + 20)
    page.keyboard.press("Backspace")
    desk.count(1)
    page.wait_for_timeout(300)
    assert desk.regions == before[:1], "one key is one deletion"
