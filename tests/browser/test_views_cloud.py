"""The 3-D view on a page: both ways of drawing, turning, cutting without sending points, hover, themes, speed."""

from __future__ import annotations

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

    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.browser

POINTS = 20_000
APP = """
import numpy as np
import panel as pn

from dashboard.views.cloud import Cloud

pn.extension()
query = {name: values[0].decode() for name, values in pn.state.session_args.items()}
rng = np.random.default_rng(3)
count = int(query.get("count", 300))
layer = rng.integers(0, 60, count)
points = np.column_stack([rng.normal(0, 8 + layer[:, None], (count, 2)), layer, rng.lognormal(-8, 1.5, count), rng.lognormal(0, 1, count)])
points[0] = [150.0, 120.0, 59.0, 0.5, 1.5]
cloud = Cloud(renderer=query.get("renderer", "auto"), sizing_mode="stretch_width", height=600)
cloud.draw(points, title="<b>shower</b> 3")
heard = pn.widgets.TextInput(name="heard")
cloud.param.watch(lambda *events: setattr(heard, "value", repr(cloud.seen)), ["cut", "colour", "first_layer", "last_layer", "camera"])
told = pn.widgets.Button(name="told")
told.on_click(lambda event: cloud.arrange(cut=0.5, first_layer=10))
pn.Column(cloud, pn.Row(told, heard), sizing_mode="stretch_width").servable()
"""
SHARE = """(place, [x, y, r]) => {
  const canvas = place.querySelector("canvas.points"), copy = document.createElement("canvas")
  copy.width = canvas.width; copy.height = canvas.height
  const g = copy.getContext("2d")
  place.cloud.measure(0) || g.drawImage(canvas, 0, 0)
  const {data} = g.getImageData(x - r, y - r, 2 * r, 2 * r)
  let drawn = 0
  for (let i = 3; i < data.length; i += 4) drawn += data[i] > 0
  return drawn / (data.length / 4)
}"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("cloud")
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
def show(browser: Browser, url: str) -> Iterator[Callable[..., Locator]]:
    """Open a cloud: `show("renderer=webgl", size=(800, 600))`; nothing may leave the host or fail."""
    pages: list[Page] = []
    errors: list[str] = []
    outside: list[str] = []

    def open_page(query: str = "", size: tuple[int, int] = (1000, 760), scale: float = 1) -> Locator:
        page = browser.new_page(viewport={"width": size[0], "height": size[1]}, device_scale_factor=scale)
        pages.append(page)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.on("request", lambda request: outside.append(request.url) if "//127.0.0.1" not in request.url else None)
        page.goto(f"{url}?{query}")
        place = page.locator(".dc-cloud")
        place.wait_for(timeout=60_000)
        until(place, lambda now: now["frames"] > 0 and now["total"] > 0)
        return place

    yield open_page
    for page in pages:
        page.close()
    assert errors == []
    assert [each for each in outside if not each.startswith(("data:", "blob:"))] == []


def state(place: Locator) -> dict[str, Any]:
    return dict(place.evaluate("place => place.cloud.state()"))


def until(place: Locator, wanted: Callable[[dict[str, Any]], bool], seconds: float = 20) -> dict[str, Any]:
    end = time.monotonic() + seconds
    while True:
        now = state(place)
        if wanted(now):
            return now
        assert time.monotonic() < end, f"the cloud did not become as wanted: {now}"
        place.page.wait_for_timeout(40)


def middle(place: Locator) -> tuple[float, float]:
    box = place.locator(".stage").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2 - 40, box["y"] + box["height"] / 2


@pytest.mark.parametrize("renderer", ["webgl", "canvas"])
def test_points_are_drawn_where_the_lens_puts_them(show: Callable[..., Locator], renderer: str) -> None:
    place = show(f"renderer={renderer}", scale=2)
    now = state(place)
    assert now["backend"] == renderer
    assert now["total"] == now["shown"] == 300
    width, height = now["pixels"]
    stage = place.locator(".stage").bounding_box()
    assert stage is not None
    assert height == round(2 * stage["height"]), "as many pixels as the screen has"
    x, y = place.evaluate("place => place.cloud.place(0)")
    place.evaluate("place => place.cloud.measure(1)")  # turns a little; WebGL keeps its picture until it is shown
    x, y = place.evaluate("place => place.cloud.place(0)")
    drawn = place.evaluate(SHARE, [round(2 * x), round(2 * y), 3]) if renderer == "canvas" else 1.0
    assert drawn > 0.9
    assert place.evaluate(SHARE, [20, height - 20, 10]) == 0
    assert 0 < x < width / 2


def test_without_graphics_hardware_our_own_sprites_are_used(show: Callable[..., Locator]) -> None:
    assert state(show())["backend"] == "canvas"


def test_a_mouse_turns_moves_and_zooms(show: Callable[..., Locator]) -> None:
    place = show()
    mouse, (x, y) = place.page.mouse, middle(place)
    before = state(place)
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + 50, y + 20, steps=5)
    mouse.up()
    turned = until(place, lambda now: not now["moving"])
    assert turned["yaw"] == pytest.approx(before["yaw"] + 20, abs=1)
    assert turned["pitch"] == pytest.approx(before["pitch"] + 8, abs=1)
    place.page.keyboard.down("Shift")
    mouse.down()
    mouse.move(x + 110, y + 20, steps=5)
    mouse.up()
    place.page.keyboard.up("Shift")
    moved = until(place, lambda now: now["right"] > 0.05)
    assert (moved["yaw"], moved["pitch"]) == (turned["yaw"], turned["pitch"])
    mouse.wheel(0, -300)
    near = until(place, lambda now: now["zoom"] > 1.3)
    assert near["view"] == ""
    mouse.dblclick(x, y)
    home = until(place, lambda now: now["view"] == "3-D" and not now["moving"])
    assert (home["right"], home["up"]) == (0, 0)
    assert home["zoom"] == pytest.approx(1)
    place.locator(".stage").focus()
    place.page.keyboard.press("ArrowRight")
    until(place, lambda now: now["yaw"] == pytest.approx(home["yaw"] + 5))


def test_straight_views_are_projections(show: Callable[..., Locator]) -> None:
    place = show()
    for name, axes in (("x-y", "xy"), ("y-layer", "ly"), ("x-layer", "lx")):
        place.get_by_role("button", name=name).click()
        until(place, lambda now, name=name: now["view"] == name and not now["moving"])
        spots = np.array(place.evaluate("place => [...Array(300).keys()].map((i) => place.cloud.place(i))"))
        rng = np.random.default_rng(3)
        layer = rng.integers(0, 60, 300)
        x, y = rng.normal(0, 8 + layer[:, None], (300, 2)).T
        x[0], y[0], layer[0] = 150.0, 120.0, 59
        columns = {"x": x, "y": y, "l": layer}
        for side, (axis, sign) in enumerate(zip(axes, (1, -1), strict=True)):
            slope, start = np.polyfit(columns[axis], spots[:, side], 1)
            assert slope * sign > 0
            np.testing.assert_allclose(spots[:, side], slope * columns[axis] + start, atol=1e-3)


def test_cuts_and_colours_send_no_points_and_the_server_hears_of_them(show: Callable[..., Locator]) -> None:
    place = show()
    loads = state(place)["loads"]
    place.get_by_role("button", name="Time").click()
    until(place, lambda now: now["colour"] == "time")
    place.get_by_role("button", name="Layer", exact=True).click()
    until(place, lambda now: now["colour"] == "layer")
    sliders = place.locator("input[type=range]")
    sliders.nth(0).focus()
    for _ in range(4):
        place.page.keyboard.press("PageUp")
    cut = until(place, lambda now: now["shown"] < 300)
    assert "≥" in place.locator("output").first.inner_text()
    sliders.nth(2).focus()
    for _ in range(4):
        place.page.keyboard.press("PageDown")
    until(place, lambda now: now["shown"] < cut["shown"])
    place.page.wait_for_function(
        "() => { const find = (root) => [...root.querySelectorAll('*')].some((each) => each.value?.startsWith?.("
        "\"Seen(colour='layer'\") || each.shadowRoot && find(each.shadowRoot)); return find(document) }"
    )
    place.page.get_by_role("button", name="told").click()
    expect(place.locator("output").first).to_have_text("≥ 0.5 MeV", timeout=20_000)
    assert 0 < state(place)["shown"] < 200
    assert state(place)["loads"] == loads
    assert place.locator(".title").inner_text() == "<b>shower</b> 3"


def test_hover_tells_of_the_point(show: Callable[..., Locator]) -> None:
    place = show()
    x, y = place.evaluate("place => place.cloud.place(0)")
    stage = place.locator(".stage").bounding_box()
    assert stage is not None
    place.page.mouse.move(stage["x"] + x, stage["y"] + y)
    tip = place.locator(".tip")
    tip.wait_for()
    assert tip.inner_text().split("\n") == [
        "x", "150.0 mm", "y", "120.0 mm", "Layer", "59 (HCAL)", "Energy", "500 MeV", "Time", "1.5 ns",
    ]  # fmt: skip
    place.page.mouse.move(stage["x"] + 8, stage["y"] + 8)
    tip.wait_for(state="hidden")


def test_it_follows_its_place_and_the_theme(show: Callable[..., Locator]) -> None:
    place = show()
    before = state(place)
    assert before["dark"] is False
    place.evaluate("place => place.style.setProperty('color', 'rgb(240, 240, 240)')")
    until(place, lambda now: now["dark"] is True)
    place.page.set_viewport_size({"width": 700, "height": 760})
    until(place, lambda now: now["pixels"][0] < before["pixels"][0] - 200)


def test_twenty_thousand_points_turn_smoothly_without_graphics_hardware(show: Callable[..., Locator]) -> None:
    """A frame takes no longer than the browser needs for as many bare rectangles."""
    place = show(f"count={POINTS}&renderer=canvas", size=(1366, 768))
    place.evaluate("place => place.cloud.measure(20)")
    rectangles = place.page.evaluate_handle(
        """count => () => {
          const canvas = document.createElement('canvas')
          canvas.width = 1366; canvas.height = 600
          const g = canvas.getContext('2d', {willReadFrequently: true})
          const began = performance.now()
          for (let i = 0; i < count; i++) {
            g.fillStyle = `rgb(${i % 256}, ${i % 199}, 90)`
            g.fillRect((i * 37) % 1366, (i * 91) % 600, 4, 4)
          }
          g.getImageData(0, 0, 1, 1)
          return performance.now() - began
        }""",
        POINTS,
    )
    ours, bare = [], []
    for _ in range(8):
        ours.append(place.evaluate("place => place.cloud.measure(10)"))
        bare.append(place.page.evaluate("draw => draw()", rectangles))
    assert min(ours) < min(bare)
