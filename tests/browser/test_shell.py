"""The shell in a real browser, with an instrument made of thin air: page, strip, endpoints, wall display, loads."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Route

    from tests.browser.conftest import Server, Visit

pytestmark = pytest.mark.browser
LAPTOP, DESK, WALL = (1366, 768), (1600, 900), (3840, 2160)
HOSTILE = "<img src=x onerror=alert(1)>.root"  # as in fake_instrument.py
LIGHT, DARK = "rgb(244, 246, 248)", "rgb(11, 17, 23)"  # background.default of page.THEME
FAST = ("--unused-session-lifetime", "2000", "--check-unused-sessions", "500")


@pytest.fixture(scope="module")
def fake(serve: Callable[..., Server], plugin: dict[str, str]) -> Server:
    return serve(env=plugin, args=FAST)


def number(seen: Visit) -> int:
    """Which snapshot the plot shows, from its model."""
    found = seen.models("ColumnDataSource", "m.data.number ? m.data.number[0] : -1")
    return max(found, default=-1)


def test_a_feed_runs_to_its_end_and_the_strip_says_so(fake: Server, visit: Callable[..., Visit]) -> None:
    seen = visit(on=fake, tab="fake", hz=10, steps=12)
    strip = seen.page.locator(".dc-strip")
    expect(strip).to_contain_text("Complete", timeout=60_000)
    expect(strip).to_contain_text("demo.fake")
    expect(strip).to_contain_text(re.compile(r"data written \d+ s ago"))
    assert number(seen) == 12
    assert seen.page.evaluate("document.documentElement.dataset.feed") == "ok"


def test_progress_and_cancel(fake: Server, visit: Callable[..., Visit]) -> None:
    seen = visit(on=fake, tab="fake", hz=5, steps=500)
    seen.until(lambda: number(seen) > 3)
    expect(seen.page.locator(".percent")).to_contain_text("%")
    seen.page.locator(".dc-stop").click()
    expect(seen.page.locator(".dc-strip")).to_contain_text("Cancelled")
    stood = number(seen)
    seen.page.wait_for_timeout(800)
    assert number(seen) == stood
    seen.page.locator(".dc-again").click()
    seen.until(lambda: 0 < number(seen) < stood)


def test_tabs_are_lazy_and_the_link_follows(fake: Server, visit: Callable[..., Visit]) -> None:
    seen = visit(on=fake, hz=7, steps=9)
    plots = seen.models("Figure", "m.name")
    assert plots == ["plot-fake"]
    seen.page.locator(".bk-tab", has_text="Other detector").click()
    seen.until(lambda: "plot-other" in seen.models("Figure", "m.name"))
    seen.until(lambda: "tab=other" in seen.page.url)
    seen.page.locator(".bk-tab", has_text="Fake detector").click()
    seen.until(lambda: "hz=7" in seen.page.url and "tab=" not in seen.page.url)


def test_a_click_changes_the_feed_and_the_link_reproduces_it(fake: Server, visit: Callable[..., Visit]) -> None:
    seen = visit(on=fake, hz=20, steps=10)
    expect(seen.page.locator(".dc-strip")).to_contain_text("Complete", timeout=60_000)
    before = seen.page.evaluate("history.length")
    seen.page.get_by_text("More steps").click()
    seen.until(lambda: number(seen) == 15)
    seen.until(lambda: "steps=15" in seen.page.url)
    assert seen.page.evaluate("history.length") == before
    seen.page.locator(".dc-share").click()
    copied = seen.page.evaluate("navigator.clipboard.readText()")
    again = visit(on=fake, **dict(pair.split("=") for pair in copied.partition("?")[2].split("&")))
    again.until(lambda: number(again) == 15)


def test_a_page_that_loads_slowly_asks_no_other_host(
    serve: Callable[..., Server], plugin: dict[str, str], visit: Callable[..., Visit]
) -> None:
    """Its session is over when it is ready; the one it is given instead is made without HTML."""
    here = serve(env=plugin, args=("--unused-session-lifetime", "500", "--check-unused-sessions", "200"))

    def hold(route: Route) -> None:
        time.sleep(3)
        route.continue_()

    seen = visit(on=here, hz=3, steps=400, before=lambda page: page.route("**/panel.min.js*", hold))
    seen.until(lambda: number(seen) > 2)
    styles = [url for url in seen.requests if "listpanel.css" in url]
    assert styles
    assert seen.outside == []


def test_two_viewers_share_one_feed(fake: Server, visit: Callable[..., Visit]) -> None:
    first = visit(on=fake, hz=3, steps=400)
    first.until(lambda: number(first) > 4)
    second = visit(on=fake, hz=3, steps=400)
    second.until(lambda: number(second) > 5)
    assert abs(number(first) - number(second)) <= 2


def test_the_theme_switches_and_is_in_the_link(fake: Server, visit: Callable[..., Visit]) -> None:
    seen = visit(on=fake)
    background = "getComputedStyle(document.body).backgroundColor"
    assert seen.page.evaluate(background) == LIGHT
    seen.page.get_by_label("Toggle theme").click()
    seen.until(lambda: seen.page.evaluate(background) == DARK)
    seen.until(lambda: "theme=dark" in seen.page.url)
    again = visit(on=fake, theme="dark")
    again.until(lambda: again.page.evaluate(background) == DARK)


def test_the_theme_switch_is_in_view_however_long_the_status_is(
    serve: Callable[..., Server], plugin: dict[str, str], visit: Callable[..., Visit], tmp_path: Path
) -> None:
    root = tmp_path / ("run_with_a_long_name_" * 9)
    root.mkdir()
    here = serve(env=plugin, roots=[root])  # its name is the feed's
    for size in (LAPTOP, (1100, 700)):
        for query, word in (({"hz": 5, "steps": 4000, "junk": 1}, "Reading"), ({"hz": 9, "fail": 1}, "Failed")):
            seen = visit(on=here, size=size, **query)
            expect(seen.page.locator(".word")).to_have_text(word, timeout=60_000)
            expect(seen.page.locator(".feed")).to_have_text(root.name)
            switch = seen.page.get_by_label("Toggle theme")
            box = switch.bounding_box()
            assert box is not None
            assert 0 <= box["x"] < box["x"] + box["width"] <= size[0]
            assert 0 <= box["y"] < box["y"] + box["height"] <= size[1]
            log = seen.page.locator(".dc-log").bounding_box()
            assert log is not None
            assert log["x"] + log["width"] <= box["x"]
            switch.click(trial=True)  # nothing lies over it


def test_a_broken_feed_is_seen_from_across_the_room(fake: Server, visit: Callable[..., Visit]) -> None:
    seen = visit(on=fake, hz=20, fail=1)
    strip = seen.page.locator(".dc-strip")
    expect(strip).to_have_attribute("data-level", "failed", timeout=60_000)
    expect(strip).to_contain_text("Failed")
    expect(strip).to_contain_text("the disc is on fire")
    frame = seen.page.evaluate("getComputedStyle(document.body, '::after').borderTopColor")
    assert frame == "rgb(198, 40, 40)"


def test_stale_live_data_is_seen_from_across_the_room(fake: Server, visit: Callable[..., Visit]) -> None:
    seen = visit(on=fake, live=1, old=119, hz=4)
    strip = seen.page.locator(".dc-strip")
    expect(strip).to_contain_text("Live")
    expect(strip).to_have_attribute("data-level", "ok")
    old = visit(on=fake, live=1, old=3600, hz=4)
    expect(old.page.locator(".dc-strip")).to_have_attribute("data-level", "stale")
    expect(old.page.locator(".age")).to_contain_text("STALE: newest data 1 h 0 min")


def test_foreign_text_stays_text(fake: Server, visit: Callable[..., Visit]) -> None:
    seen = visit(on=fake, junk=1, hz=9, nonsense="<b>1</b>", rotate="x")
    strip = seen.page.locator(".dc-strip")
    expect(strip).to_contain_text("2 problems")
    seen.page.locator(".dc-warn").click()
    panel = seen.page.locator(".panel")
    expect(panel).to_contain_text(f"{HOSTILE}: expected a ROOT file, found <b>nothing</b>")
    seen.page.locator(".dc-log").click()
    expect(panel).to_contain_text("unknown key 'nonsense'")
    expect(panel).to_contain_text("rotate='x': expected seconds from 5 to 3600")
    expect(panel).to_contain_text("plug-in wrong: AttributeError")
    assert panel.locator("img, b").count() == 0
    seen.page.keyboard.press("Escape")
    expect(panel).to_be_hidden()


def test_a_broken_tab_shows_why_and_spares_the_others(fake: Server, visit: Callable[..., Visit]) -> None:
    seen = visit(on=fake, broken=1)
    expect(seen.page.locator(".dc-plain")).to_have_text("tab fake: no view today <b>really</b>")
    seen.page.locator(".bk-tab", has_text="Other detector").click()
    seen.until(lambda: number(seen) > 1)


def test_endpoints_build_no_session(fake: Server, visit: Callable[..., Visit]) -> None:
    wait = time.monotonic() + 10
    while fake.metric("detcore_sessions") and time.monotonic() < wait:
        time.sleep(0.2)  # pages of earlier tests are let go of
    before = fake.metric("detcore_sessions")
    status, text = fake.get("/healthz")
    assert status == 200
    assert set(json.loads(text)) == {"status", "instance", "uptime"}
    assert fake.get("/readyz")[0] == 200
    assert fake.metric("detcore_sessions") == before
    seen = visit(on=fake, hz=5, steps=300)
    seen.until(lambda: number(seen) > 2)
    assert fake.metric("detcore_sessions") == before + 1
    assert fake.metric("detcore_snapshots_total") > 2
    assert fake.metric("process_resident_memory_bytes") > 1e7
    assert fake.metric("detcore_loop_lag_seconds_count") > 0


def test_metrics_are_for_this_host(fake: Server) -> None:
    assert fake.get("/metrics")[0] == 200
    # Behind a proxy everybody comes from this host; its header tells them apart.
    assert fake.get("/metrics", **{"X-Forwarded-For": "10.1.2.3"})[0] == 403


@pytest.mark.parametrize(
    ("command", "args"),
    [
        (("panel",), ()),
        (("python", "-m", "panel"), ()),
        (("panel",), ("--warm", "--num-threads", "2")),
        (("panel",), ("--prefix", "/deep")),
    ],
    ids=["panel serve", "python -m panel serve", "warm", "prefix"],
)
def test_every_way_to_start(
    serve: Callable[..., Server],
    plugin: dict[str, str],
    visit: Callable[..., Visit],
    command: tuple[str, ...],
    args: tuple[str, ...],
) -> None:
    name, *rest = command
    program = sys.executable if name == "python" else shutil.which(name, path=str(Path(sys.executable).parent))
    assert program, f"{name} is not installed beside {sys.executable}"
    prefix = "/deep" if "--prefix" in args else ""
    server = serve(
        env=plugin | {"DETCORE_METRICS_TOKEN": "sesame"},
        command=(program, *rest),
        args=args,
        ready=False,
        prefix=prefix,
    )
    try:
        server.wait("/readyz")
        proxied = {"X-Forwarded-For": "10.1.2.3"}
        assert server.get("/metrics", **proxied)[0] == 403
        assert server.get("/metrics", **proxied, Authorization="Bearer sesame")[0] == 200
        assert server.get("/metrics", **proxied, Authorization="Bearer Sesame")[0] == 403
        assert server.metric("detcore_sessions") == 0
        seen = visit(on=server, hz=5, steps=300)
        seen.until(lambda: number(seen) > 2)
        assert server.metric("detcore_sessions") == 1
        seen.page.close()
    finally:
        server.stop()


def test_wall_display(fake: Server, visit: Callable[..., Visit]) -> None:
    seen = visit(on=fake, display="wall", tabs="other,fake", rotate=5, live=1, hz=4, size=WALL)
    page = seen.page
    expect(page.locator(".heading")).to_have_text("Other detector")
    expect(page.locator(".clock")).to_have_text(re.compile(r"\d\d:\d\d:\d\d"))
    expect(page.locator(".age")).to_contain_text("newest data")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == DARK
    for hidden in ("header", ".bk-header", ".dc-share", ".dc-log", ".dc-stop"):
        expect(page.locator(hidden).first).to_be_hidden()
    high = page.locator(".dc-strip").bounding_box()
    assert high is not None
    assert high["height"] > 100, "the strip must be large on a 4K wall"
    expect(page.locator(".heading")).to_have_text("Fake detector", timeout=60_000)
    seen.until(lambda: number(seen) > 1)


def test_a_wall_comes_back_after_the_server_does(
    serve: Callable[..., Server], plugin: dict[str, str], visit: Callable[..., Visit]
) -> None:
    server = serve(env=plugin)
    seen = visit(on=server, display="wall", tabs="fake", live=1, hz=4)
    seen.until(lambda: number(seen) > 2)
    server.stop()
    expect(seen.page.locator(".dc-strip")).to_contain_text("Connection lost", timeout=60_000)
    assert seen.page.evaluate("document.documentElement.dataset.feed") == "lost"
    seen.page.wait_for_timeout(4_000)  # several probes find nobody, and the page must still be there
    expect(seen.page.locator(".dc-strip")).to_contain_text("Connection lost")
    server.start()
    expect(seen.page.locator(".dc-strip")).to_contain_text("Live", timeout=60_000)
    seen.until(lambda: number(seen) > 2)
    assert "display=wall" in seen.page.url
    seen.errors.clear()  # the browser reports each refused connection


def test_the_file_browser_stays_inside_and_shows_names_as_text(
    serve: Callable[..., Server], plugin: dict[str, str], visit: Callable[..., Visit], tmp_path: Path
) -> None:
    root = tmp_path / "runs"
    (root / "run_10").mkdir(parents=True)
    (root / "run_9").mkdir()
    (root / "secret").symlink_to("/etc")
    for name in ("a.root", "b.root", HOSTILE, "notes.txt"):
        (root / "run_9" / name).write_text("x" * 1500)
    server = serve(env=plugin, roots=[root])
    seen = visit(on=server, files=1, size=LAPTOP)
    page = seen.page
    names = page.locator(".entry .name")
    expect(names).to_have_text(["run_9", "run_10"])
    page.locator(".entry", has_text="run_9").dblclick()
    expect(names).to_have_text([HOSTILE, "a.root", "b.root"])
    assert page.locator(".dc-files img").count() == 0
    expect(page.locator(".entry").nth(1)).to_contain_text("1.5 kB")
    page.get_by_placeholder("Filter").fill("ROOT")
    page.locator(".entry", has_text="a.root").click()
    page.locator(".entry", has_text="b.root").click(modifiers=["Control"])
    expect(page.locator(".foot")).to_contain_text("2 selected")
    seen.shoot(tmp_path / "files.png")
    page.locator(".dc-follow").click()
    page.locator(".dc-log").click()
    expect(page.locator(".panel")).to_contain_text("chosen a.root, b.root live=True")
    page.keyboard.press("Escape")
    page.locator(".crumbs button", has_text="runs").click()
    expect(names).to_have_text(["run_9", "run_10"])


def test_wrong_settings_end_the_server_with_a_reason(
    serve: Callable[..., Server], plugin: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match=r"data root .*/gone: no such folder; correct DETCORE_ROOTS"):
        serve(env=plugin, roots=[tmp_path / "gone"])


def test_screenshots(fake: Server, visit: Callable[..., Visit], tmp_path: Path) -> None:
    looks = {
        "light": (LAPTOP, {"hz": 4, "steps": 400}),
        "dark": (DESK, {"theme": "dark", "junk": 1, "hz": 4.5}),
        "wall": (WALL, {"display": "wall", "live": 1}),
    }
    for name, (size, query) in looks.items():
        seen = visit(on=fake, size=size, **query)
        seen.until(lambda seen=seen: number(seen) > 1)
        assert seen.shoot(tmp_path / f"{name}.png").stat().st_size > 5000
