"""The views of images and traces on a page: square pixels, pictures made again after a zoom, hover, clicks, ranges."""

from __future__ import annotations

import re
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

ROWS, COLUMNS, FRAMES, DROP = 2400, 3000, 300_000, 210_000
APP = f"""
import threading

import numpy as np
import pandas as pd
import panel as pn
from tornado.ioloop import IOLoop

from dashboard.views.image import ImageView
from dashboard.views.trace import Trace

pn.extension()


def build():
    document, loop = pn.state.curdoc, IOLoop.current()

    def run(work, done):
        def go():
            result = work()
            loop.add_callback(lambda: document.add_next_tick_callback(lambda: done(result)))

        threading.Thread(target=go, daemon=True).start()

    view = ImageView(run=run)
    trace = Trace(run=run, on_tap=lambda frame: trace.note(f"frame {{frame}}"),
                  on_select=lambda first, last: trace.note(f"{{first}} to {{last}}"))
    view.figure.name, trace.figure.name = "image", "trace"
    trace.select(True)
    values = np.random.default_rng(1).normal(1e6, 1e3, {FRAMES})
    values[{DROP} - 1] = 9e5
    rows, columns = np.mgrid[:{ROWS}, :{COLUMNS}]
    image, mask = (rows * 10_000 + columns).astype(np.uint32), np.zeros(rows.shape, np.uint32)
    mask[:, :300] = 1

    def load():
        view.show(image, mask=mask, title="run")
        marks = pd.DataFrame({{"frame": [{DROP}], "kind": ["drop"]}})
        trace.show(np.arange(1, {FRAMES} + 1), {{"raw": values, "detrended": values + 2000}}, time=0.001, marks=marks)

    pn.state.onload(load)
    panes = [pn.pane.Bokeh(figure, height=380, sizing_mode="stretch_width") for figure in (view.figure, trace.figure)]
    return pn.Column(*panes, sizing_mode="stretch_width")


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


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("views")
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


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.goto(url)
    until(page, "image", lambda at: at["title"].startswith("run: "), seconds=60)
    yield page
    page.close()
    assert errors == []


def until(page: Page, name: str, wanted: Callable[[dict[str, Any]], bool], seconds: float = 60) -> dict[str, Any]:
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
    across, up = at["width"] / abs(at["x"][1] - at["x"][0]), at["height"] / abs(at["y"][1] - at["y"][0])
    return bool(abs(across / up - 1) < 1e-6)


def place(at: dict[str, Any], x: float, y: float) -> tuple[float, float]:
    (x0, x1), (y0, y1) = at["x"], at["y"]
    return at["left"] + (x - x0) / (x1 - x0) * at["width"], at["top"] + (y - y1) / (y0 - y1) * at["height"]


def test_an_image_is_looked_at_from_far_and_near(page: Page) -> None:
    at = until(page, "image", square)
    assert at["title"] == "run: max of 3 x 3 pixels"
    assert at["y"][0] > at["y"][1], "row 0 is at the top"
    page.mouse.move(*place(at, 2000, 1000))
    for _ in range(12):
        page.mouse.wheel(0, -300)
        page.wait_for_timeout(30)
    at = until(page, "image", lambda at: at["title"] == "run: every pixel")
    assert square(at)
    tips = page.locator(".bk-tooltip-content")
    wanted, words, end = "?", "", time.monotonic() + 90
    while wanted not in words and time.monotonic() < end:  # the wheel may still be turning, a new picture coming
        at = page.evaluate(FIGURE, "image")
        column, row = round(sum(at["x"]) / 2), round(sum(at["y"]) / 2)  # how near it is depends on the machine's pace
        wanted = f"{row * 10_000 + column:,}"
        x, y = place(at, column, row)
        page.mouse.move(x + 30, y + 30)  # Chromium tells of moves by whole pixels only
        page.mouse.move(x, y)
        page.wait_for_timeout(500)
        words = tips.evaluate_all("all => all.map((each) => each.innerText).join(' ')")
    assert wanted in words, "the original value of that pixel"
    assert re.search(rf"x:\s*{column}\s+y:\s*{row}\s", words), words
    page.set_viewport_size({"width": 700, "height": 800})
    at = until(page, "image", lambda now: now["width"] < at["width"] - 100 and square(now))
    page.mouse.move(*place(at, sum(at["x"]) / 2, sum(at["y"]) / 2))
    for _ in range(40):
        page.mouse.wheel(0, 300)
    at = until(page, "image", lambda at: at["title"] == "run: max of 3 x 3 pixels")
    assert square(at)
    page.mouse.move(*place(at, 100, 1200))
    page.wait_for_function(
        "() => { const find = (root) => [...root.querySelectorAll('*')].some((each) => "
        "each.shadowRoot ? find(each.shadowRoot) : each.textContent == 'masked'); return find(document) }"
    )


def test_a_trace_is_clicked_and_a_range_is_dragged(page: Page) -> None:
    at = until(page, "trace", lambda at: at["x"][1] > FRAMES and at["y"][0] > 800_000)
    x, y = place(at, DROP, 950_000)
    page.mouse.click(x + 4, y)
    until(page, "trace", lambda at: at["title"] == f"frame {DROP}")
    at = until(page, "trace", lambda at: at["height"] > 0)
    (left, y), (right, _) = place(at, 50_000, 950_000), place(at, 100_000, 950_000)
    page.mouse.move(left, y)
    page.mouse.down()
    page.mouse.move(right, y, steps=5)
    page.mouse.up()
    title = until(page, "trace", lambda at: " to " in at["title"])["title"]
    first, last = map(int, title.split(" to "))
    assert first == pytest.approx(50_000, abs=1000)
    assert last == pytest.approx(100_000, abs=1000)
    before = page.evaluate(FIGURE, "trace")
    page.mouse.move(*place(before, 150_000, 950_000))
    for _ in range(8):
        page.mouse.wheel(0, -300)
    near = until(page, "trace", lambda at: at["y"][0] > 990_000)  # without the drop in view
    assert near["x"][1] - near["x"][0] < (before["x"][1] - before["x"][0]) / 4
