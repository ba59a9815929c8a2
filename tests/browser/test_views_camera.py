"""The views of cameras on a page: square pixels side by side, hover, clicks, another camera, many pixels as a picture."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

SIDE = 72
# A click on a pixel is written into the title; a click beside the camera shows the next one.
APP = f"""
import numpy as np
import panel as pn

from dashboard.views.camera import CameraView
from dashboard.views.cameragrid import CameraGrid, Tile
from dashboard.views.pixels import Ellipse, pixels_of
from detcore.dl1 import camera_of_positions

pn.extension()


def build():
    q, r = np.mgrid[-8:9, -8:9].reshape(2, -1)
    near = abs(q + r) <= 8
    hexagons = pixels_of(camera_of_positions("hex", ((q + r / 2) * 0.05)[near], (r * 0.0433)[near], 28.0))
    rows, columns = np.mgrid[:{SIDE}, :{SIDE}].reshape(2, -1)
    squares = pixels_of(camera_of_positions("square", columns * 0.01, rows * 0.01, 2.0))

    def draw(pixels, title):
        values = np.arange(pixels.count) + 1000.0
        for view, sign in ((charge, 1), (time, -1), (hidden, 1)):
            view.arrange(pixels)
            view.show(values * sign, title=title, hover={{"Charge": (values, "p.e."), "Even": (values % 2 == 0, "")}})
            view.outline(values < 1010)
            view.ellipse(Ellipse(*pixels.centres.mean(axis=0), 0.1, 0.05, 30))
        grid.show([Tile(number, f"Tel {{number}}", pixels, values) for number in (7, 9)])

    def tapped(pixel):
        if pixel is None:
            draw(squares, "squares")
        else:
            charge.figure.title.text = f"pixel {{pixel}}"
            time.choose(pixel)

    charge = CameraView("Charge (p.e.)", tapped=tapped)
    time = CameraView("Peak time (ns)", like=charge)
    hidden = CameraView(like=charge)  # the page knows it, but it is not drawn, as in a tab that nobody opened
    grid = CameraGrid(tapped=lambda key: setattr(grid.figure.title, "text", f"telescope {{key}}"))
    charge.figure.name, time.figure.name, grid.figure.name = "charge", "time", "grid"
    pn.state.onload(lambda: draw(hexagons, "hexagons"))
    charge.figure.sizing_mode = time.figure.sizing_mode = grid.figure.sizing_mode = "stretch_both"
    pair = pn.Row(*(pn.pane.Bokeh(each.figure) for each in (charge, time)), height=420, sizing_mode="stretch_width")
    return pn.Column(pair, pn.pane.Bokeh(grid.figure, height=220, sizing_mode="stretch_width"), sizing_mode="stretch_width")


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
LENGTHS = """name => [...Bokeh.documents[0]._all_models.values()].filter((each) => each.name == name)
  .map((each) => (each.get_column("x0") ?? []).length)"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("cameras")
    (folder / "app.py").write_text(APP)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "panel", "serve", "app.py", "--port", str(port), "--address", "127.0.0.1"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([*command, "--liveness"], cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + 60
        while True:
            assert server.poll() is None, (folder / "log").read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/liveness", timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < end, (folder / "log").read_text()
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/app"
    finally:
        server.terminate()
        server.wait(10)
    assert "Traceback" not in (folder / "log").read_text()


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1100, "height": 720})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.goto(url)
    until(page, "charge", lambda at: at["title"] == "hexagons" and square(at))
    yield page
    page.close()
    assert errors == []


def until(page: Page, name: str, wanted: Callable[[dict[str, Any]], bool], seconds: float = 90) -> dict[str, Any]:
    """The figure as soon as it is as wanted."""
    end = time.monotonic() + seconds
    found: Any = None
    while time.monotonic() < end:
        found = page.evaluate(FIGURE, name)
        if found and wanted(found):
            return dict(found)
        page.wait_for_timeout(50)
    msg = f"{name} did not become as wanted: {found}"
    raise AssertionError(msg)


def square(at: dict[str, Any]) -> bool:
    """One scale for both axes, but for what the frames of two figures side by side differ."""
    across, up = at["width"] / (at["x"][1] - at["x"][0]), at["height"] / (at["y"][1] - at["y"][0])
    return bool(abs(across / up - 1) < 0.05)


def place(at: dict[str, Any], x: float, y: float) -> tuple[float, float]:
    (x0, x1), (y0, y1) = at["x"], at["y"]
    return at["left"] + (x - x0) / (x1 - x0) * at["width"], at["top"] + (y1 - y) / (y1 - y0) * at["height"]


def tip(page: Page, name: str, at: tuple[float, float], wanted: str) -> str:
    """What the mouse shows at a place of a figure, which may still be moving."""
    words, end = "", time.monotonic() + 90
    while wanted not in words and time.monotonic() < end:
        x, y = place(page.evaluate(FIGURE, name), *at)
        page.mouse.move(x + 30, y + 30)  # Chromium tells of moves by whole pixels only
        page.mouse.move(x, y)
        page.wait_for_timeout(300)
        words = page.locator(".bk-tooltip-content").evaluate_all("all => all.map((each) => each.innerText).join(' ')")
    return " ".join(words.split())


def test_a_pixel_is_looked_at_and_clicked(page: Page) -> None:
    words = tip(page, "charge", (0.0, 0.0), "108")  # pixel 108 of 217 is in the middle
    assert "Pixel: 108" in words
    assert "Charge: 1,108 p.e." in words
    assert "Even: yes" in words
    page.mouse.click(*place(page.evaluate(FIGURE, "charge"), 0.0, 0.0))
    until(page, "charge", lambda at: at["title"] == "pixel 108")
    page.wait_for_function(f"({LENGTHS})('chosen pixel').includes(6)")


def test_both_cameras_zoom_together_and_pixels_stay_square(page: Page) -> None:
    before = until(page, "time", square)
    page.mouse.move(*place(before, 0.0, 0.0))
    for _ in range(4):
        page.mouse.wheel(0, -300)
        page.wait_for_timeout(50)
    near = until(page, "charge", lambda at: at["x"][1] - at["x"][0] < (before["x"][1] - before["x"][0]) / 1.5)
    assert square(near)
    other = until(page, "time", square)
    assert other["x"] == pytest.approx(page.evaluate(FIGURE, "charge")["x"])
    page.set_viewport_size({"width": 800, "height": 720})
    until(page, "charge", lambda at: at["width"] < near["width"] - 50 and square(at))


def test_another_camera_of_many_pixels_is_a_picture_and_small_ones_are_chosen(page: Page) -> None:
    at = until(page, "grid", lambda at: at["x"][1] - at["x"][0] > 1.9)
    page.mouse.click(*place(at, 1.5, -0.6))
    until(page, "grid", lambda at: at["title"] == "telescope 9")
    at = until(page, "charge", square)
    (left, right), (bottom, _) = at["x"], at["y"]
    page.mouse.click(*place(at, left + 0.01 * (right - left), bottom + 0.01 * (right - left)))
    until(page, "charge", lambda at: at["title"] == "squares" and square(at))
    pixel = 30 * SIDE + 20  # longitude is y, latitude is x
    pitch = 0.286479  # 1 cm at 2 m, degrees
    words = tip(page, "charge", (30 * pitch, 20 * pitch), str(pixel))
    assert f"Pixel: {pixel}" in words
    assert f"Charge: {pixel + 1000:,} p.e." in words
