"""The occupancy tab in a real browser, on the demo spills; numbers are compared with `occupancy.reduce`."""

from __future__ import annotations

import re
import shlex
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect

from detcore import occupancy

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

    from tests.browser.conftest import Server, Visit

pytestmark = pytest.mark.browser
LAPTOP, DESK, WALL = (1366, 768), (1920, 1080), (3840, 2160)
SCREENSHOT = Path(__file__).parents[2] / "assets" / "screenshots" / "occupancy.png"
WAIT_MS = 60_000


@pytest.fixture
def visit(visit: Callable[..., Visit]) -> Callable[..., Visit]:
    """Open pages on this tab, whichever is the first."""
    return lambda **query: visit(**{"tab": "occupancy"} | query)


@pytest.fixture(scope="module")
def steady(keep: Callable[..., Visit]) -> Visit:
    """The tab as it comes, opened once, for tests that leave its cuts as they are."""
    return complete(keep(tab="occupancy", size=DESK))


@pytest.fixture(scope="module")
def exporting(keep: Callable[..., Visit]) -> Visit:
    seen = complete(keep(tab="occupancy", controls=1, in_time=1))
    seen.page.locator(".bk-tab", has_text="Export").click()
    return seen


def choose(seen: Visit, panel: str) -> None:
    """Click on a panel below the map."""
    seen.page.locator(".bk-tab", has_text=panel).first.click()


@pytest.fixture(scope="module")
def spills(server: Server) -> list[Path]:
    """The demo's files, as the server wrote them."""
    return sorted(Path(server.env["DETCORE_CACHE"]).glob("demo/occupancy-*/**/*.root"))


@pytest.fixture(scope="module")
def counts(spills: list[Path]) -> xr.Dataset:
    return occupancy.reduce(spills)


def channels(seen: Visit, column: str) -> np.ndarray[Any, Any]:
    """A column of the map."""
    found = seen.models("ColumnDataSource", f"m.name == 'channels' ? Array.from(m.data.{column} ?? []) : null")
    return np.array(next((column for column in found if column is not None), []))


def complete(seen: Visit) -> Visit:
    """Wait until everything is counted and drawn."""
    expect(seen.page.locator(".dc-strip")).to_contain_text("Complete", timeout=WAIT_MS)
    seen.until(lambda: seen.models("ColumnDataSource", "m.name").count("channels") and channels(seen, "hits").size)
    seen.until(lambda: np.isfinite(channels(seen, "shown").astype(float)).any())
    return seen


def tap(seen: Visit, x: float, y: float) -> None:
    """Click the map at a place in its own coordinates."""
    place = seen.page.evaluate(
        """([x, y]) => {
          const models = Bokeh.documents.flatMap(d => [...d._all_models.values()])
          const plot = models.find(m => m.type == 'Figure' && m.renderers.some(r => r.data_source?.name == 'channels'))
          const view = Bokeh.index.find_one_by_id(plot.id)
          const box = view.canvas_view.el.getBoundingClientRect()
          return [box.left + view.frame.x_scale.compute(x), box.top + view.frame.y_scale.compute(y)]
        }""",
        [x, y],
    )
    seen.page.mouse.click(*place)


def expected_hits(seen: Visit, data: xr.Dataset) -> np.ndarray[Any, Any]:
    ids, elements = channels(seen, "detector_id"), channels(seen, "element")
    return np.asarray(data["hits"].values[ids - 1, elements - 1])


def test_the_map_holds_the_counts_of_every_channel(steady: Visit, counts: xr.Dataset) -> None:
    seen = steady
    hits = channels(seen, "hits")
    assert hits.size == 4768
    assert hits.sum() == int(counts["hits"].sum())
    np.testing.assert_array_equal(hits, expected_hits(seen, counts))
    ids, elements = channels(seen, "detector_id"), channels(seen, "element")
    np.testing.assert_array_equal(channels(seen, "events_hit"), counts["events_hit"].values[ids - 1, elements - 1])
    drawn = channels(seen, "value").astype(float)
    np.testing.assert_array_equal(np.isnan(drawn), hits == 0)  # zero has its own grey


def test_a_cut_changes_the_numbers_and_its_words_stand_in_the_title(
    visit: Callable[..., Visit], counts: xr.Dataset, spills: list[Path]
) -> None:
    seen = complete(visit(controls=1))
    before = int(channels(seen, "hits").sum())
    assert before == int(counts["hits"].sum())
    seen.page.get_by_label("In time", exact=True).click()
    seen.until(lambda: int(channels(seen, "hits").sum()) < before)
    complete(seen)
    in_time = occupancy.reduce(spills, in_time=True)
    seen.until(lambda: int(channels(seen, "hits").sum()) == int(in_time["hits"].sum()))
    np.testing.assert_array_equal(channels(seen, "hits"), expected_hits(seen, in_time))
    assert "in time" in seen.titled("Hits of every channel")
    seen.until(lambda: "in_time=1" in seen.page.url)


def test_an_impossible_cut_is_explained_where_it_is_made(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(controls=1))
    box = seen.page.get_by_label("Spills", exact=True)
    box.fill("ten")
    box.press("Enter")
    expect(seen.page.get_by_text(re.compile("write FIRST:LAST with whole numbers"))).to_be_visible(timeout=WAIT_MS)
    assert "spills=" not in seen.page.url


def test_a_click_on_a_channel_shows_everything_about_it(steady: Visit, counts: xr.Dataset) -> None:
    seen = steady
    ids, elements = channels(seen, "detector_id"), channels(seen, "element")
    number = int(np.flatnonzero((ids == 3) & (elements == 74))[0])
    x = float(channels(seen, "left")[number] + channels(seen, "right")[number]) / 2
    tap(seen, x, 74.0)
    hits = int(counts["hits"].sel(detector_id=3, element_id=74))
    seen.until(lambda: seen.titled("D0X element 74") == f"D0X element 74: {hits:,} hits")
    assert seen.titled("D0X drift time (window 602 to 1802 ns)")
    seen.until(lambda: "detector=3&element=74" in seen.page.url)
    tap(seen, x, 195.0)  # above the last of its 160 elements: the whole plane
    seen.until(lambda: seen.titled("D0X: "))


def test_a_click_on_a_finding_selects_its_channel(steady: Visit) -> None:
    seen = steady
    choose(seen, "Findings")
    seen.page.locator(".tabulator-row", has_text="hot").first.click()
    seen.until(lambda: "detector=3&element=74" in seen.page.url)


def test_the_link_reproduces_the_view(visit: Callable[..., Visit]) -> None:
    wanted = {
        "in_time": "1", "value": "hits_per_event", "scale": "linear", "separators": "0", "equal": "1",
        "detector": "13", "element": "5", "panel": "spills",
    }  # fmt: skip
    seen = complete(visit(**wanted))
    assert seen.titled("D2V element 5")
    assert seen.titled("Hits per event of every channel · in time")
    assert float(channels(seen, "top").max()) <= 1.01
    seen.until(lambda: all(f"{name}={value}" in seen.page.url for name, value in wanted.items()))
    drawn = channels(seen, "value")
    seen.page.reload()
    seen.until(lambda: np.array_equal(channels(seen, "value"), drawn, equal_nan=True))


def test_a_link_that_makes_no_sense_is_told_and_the_rest_is_shown(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(value="nonsense", spills="x", frobnicate="1"))
    seen.page.locator(".dc-log").click()
    panel = seen.page.locator(".panel")
    expect(panel).to_contain_text("frobnicate")
    expect(panel).to_contain_text("write FIRST:LAST")


def test_the_bar_beside_the_map_says_what_its_colours_mean(steady: Visit, visit: Callable[..., Visit]) -> None:
    def bar() -> Any:
        """First and last value, those of the axis, and how many labels it has."""
        return seen.page.evaluate(
            """() => {
              const models = Bokeh.documents.flatMap(d => [...d._all_models.values()])
              const plot = models.find(m => m.type == 'Figure' && m.renderers.some(r => r.data_source?.name == 'channels'))
              const views = [...Bokeh.index.find_one_by_id(plot.id).renderer_views.values()]
              const bars = views.filter(v => v.model.type == 'ColorBar' && v.model.visible)
              if (bars.length != 1) return null
              const {low, high} = bars[0].model.color_mapper, axis = bars[0]._axis_view
              const {start, end} = bars[0]._major_range
              return [low, high, start, end, axis.tick_coords.major[1].filter(Number.isFinite).length]
            }"""
        )

    def right() -> bool:
        found = bar()
        return found is not None and found[:2] == pytest.approx(found[2:4]) and found[4] >= 3

    seen = steady
    seen.until(right)
    before = bar()
    seen.page.get_by_role("button", name="Linear").click()
    seen.until(lambda: right() and bar()[0] == 0)
    seen.page.get_by_role("button", name="Robust limits").click()
    seen.until(lambda: right() and bar()[1] > before[1])
    seen.page.get_by_role("button", name="Log", exact=True).click()
    seen.page.get_by_role("button", name="Robust limits").click()
    seen.until(lambda: right() and bar()[:2] == before[:2])
    seen = complete(visit(value="significance"))
    seen.until(lambda: right() and bar()[0] < 0)


def test_two_viewers_share_one_feed(visit: Callable[..., Visit], server: Server) -> None:
    def feeds() -> float:
        lines = server.get("/metrics")[1].splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("detcore_feeds{"))

    first = complete(visit(events="0:4000"))
    count = feeds()
    second = complete(visit(events="0:4000"))
    assert feeds() == count
    np.testing.assert_array_equal(channels(first, "hits"), channels(second, "hits"))


def test_a_live_folder_is_followed_and_can_be_cancelled(
    yard: tuple[Server, Path], visit: Callable[..., Visit], folder: Path, spills: list[Path]
) -> None:
    (folder / spills[0].name).write_bytes(spills[0].read_bytes())
    seen = visit(on=yard[0], path=folder.name, live=1)
    one = int(occupancy.reduce(spills[:1])["hits"].sum())
    seen.until(lambda: int(channels(seen, "hits").sum()) == one)
    (folder / "aside").write_bytes(spills[1].read_bytes())
    (folder / "aside").rename(folder / spills[1].name)
    two = int(occupancy.reduce(spills[:2])["hits"].sum())
    seen.until(lambda: int(channels(seen, "hits").sum()) == two)
    seen.page.locator(".dc-stop").click()
    expect(seen.page.locator(".dc-strip")).to_contain_text("Cancelled", timeout=WAIT_MS)


def test_a_reference_gives_ratios(
    yard: tuple[Server, Path], visit: Callable[..., Visit], folder: Path, spills: list[Path]
) -> None:
    for path in spills[:2]:
        (folder / path.name).write_bytes(path.read_bytes())
    name, reference = (f"{folder.name}/{path.name}" for path in (spills[1], spills[0]))
    seen = complete(visit(on=yard[0], path=name, reference=reference, value="ratio"))
    seen.until(lambda: np.isfinite(channels(seen, "ratio").astype(float)).any())
    data, reference = occupancy.reduce(spills[1:2]), occupancy.reduce(spills[:1])
    ids, elements = channels(seen, "detector_id"), channels(seen, "element")
    ratio = occupancy.rates(data, "ratio", reference).values[ids - 1, elements - 1]
    drawn = channels(seen, "ratio").astype(float)
    both = np.isfinite(drawn) & np.isfinite(ratio)
    assert both.sum() > 4000
    np.testing.assert_allclose(drawn[both], ratio[both], rtol=1e-6)


@pytest.mark.parametrize("name", ["total_hits_data.json", "total_hits_data.csv", "occupancy.nc"])
def test_an_earlier_result_is_a_reference(
    name: str, yard: tuple[Server, Path], visit: Callable[..., Visit], folder: Path, spills: list[Path]
) -> None:
    (folder / spills[1].name).write_bytes(spills[1].read_bytes())
    reference, data = occupancy.reduce(spills[:1]), occupancy.reduce(spills[1:2])
    occupancy.write_all(reference, folder, table=occupancy.DetectorTable.default(), only={name})
    seen = complete(
        visit(on=yard[0], path=f"{folder.name}/{spills[1].name}", reference=f"{folder.name}/{name}", value="ratio")
    )
    seen.until(lambda: np.isfinite(channels(seen, "ratio").astype(float)).any())
    ids, elements = channels(seen, "detector_id"), channels(seen, "element")
    read = occupancy.read_hits(folder / name, occupancy.DetectorTable.default())
    assert read["hits"].sum() == reference["hits"].sum()
    ratio = occupancy.rates(data, "ratio", read).values[ids - 1, elements - 1]
    np.testing.assert_allclose(channels(seen, "ratio").astype(float), ratio, rtol=1e-6)


def test_a_reference_that_cannot_be_read_is_told_and_the_rest_is_shown(
    yard: tuple[Server, Path], visit: Callable[..., Visit], folder: Path, spills: list[Path]
) -> None:
    (folder / spills[0].name).write_bytes(spills[0].read_bytes())
    (folder / "bad.json").write_text("{")
    for name, words in (("bad.json", "expected"), ("gone.csv", "No such file"), ("../../x.nc", "outside")):
        seen = complete(visit(on=yard[0], path=f"{folder.name}/{spills[0].name}", reference=f"{folder.name}/{name}"))
        seen.page.locator(".dc-log").click()
        expect(seen.page.locator(".panel")).to_contain_text(re.compile(f"reference: .*{words}"))


def test_data_and_reference_are_chosen_with_the_mouse(
    yard: tuple[Server, Path], visit: Callable[..., Visit], folder: Path, spills: list[Path]
) -> None:
    for path in spills[:2]:
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "counts.json").write_text("{}")
    seen = visit(on=yard[0])
    expect(seen.page.get_by_text("Nothing is chosen")).to_be_visible(timeout=WAIT_MS)
    seen.page.get_by_role("button", name="Data").click()
    seen.page.locator(".entry", has_text=folder.name).dblclick()
    entries = seen.page.locator(".entry .name")
    expect(entries).to_have_text([path.name for path in spills[:2]], timeout=WAIT_MS)
    seen.page.locator(".entry", has_text=spills[1].name).dblclick()
    seen.until(lambda: f"{folder.name}/{spills[1].name}" in unquote(seen.page.url))
    one = int(occupancy.reduce(spills[1:2])["hits"].sum())
    seen.until(lambda: int(channels(seen, "hits").sum()) == one)
    seen.page.get_by_role("button", name="Reference").click()  # what is shown is near
    expect(seen.page.get_by_text("What to compare with")).to_be_visible()
    seen.page.locator(".entry:visible", has_text="counts.json").wait_for()
    seen.page.locator(".entry:visible", has_text=spills[0].name).dblclick()
    seen.until(lambda: f"reference={folder.name}/{spills[0].name}" in unquote(seen.page.url))
    seen.until(lambda: np.isfinite(channels(seen, "ratio").astype(float)).any())


@pytest.mark.parametrize(("number", "detector"), [(3, "D0X"), (13, "D2V")])
def test_the_drift_map_is_that_of_the_selected_detector(
    number: int, detector: str, steady: Visit, spills: list[Path]
) -> None:
    def drawn() -> np.ndarray[Any, Any]:
        found = seen.models(
            "ColumnDataSource", "(i => i?.dtype == 'float32' ? [i.shape, Array.from(i)] : null)(m.data.image?.[0])"
        )
        shape, values = next((each for each in found if each is not None), ((0,), []))
        return np.nan_to_num(np.array(values, dtype=float).reshape(shape))

    wanted = occupancy.drift_map(spills, detector)["drift_map"].transpose("time_coarse", "element_id").values
    assert wanted.sum() > 1000
    seen = steady
    choose(seen, "Drift map")
    across = (channels(seen, "left") + channels(seen, "right"))[channels(seen, "detector_id") == number] / 2
    tap(seen, float(across[0]), 30.0)
    seen.until(lambda: seen.titled(f"{detector}: {wanted.sum():,} hits by element and drift time"))
    seen.until(lambda: drawn().shape == wanted.shape)
    np.testing.assert_array_equal(drawn(), wanted)


def test_the_event_display_plays(visit: Callable[..., Visit], spills: list[Path]) -> None:
    def event() -> int:
        found = re.search(r"[?&]event=(\d+)", seen.page.url)
        return int(found[1]) if found else 0

    def step() -> bool:
        visited.extend([event()] if event() != visited[-1] else [])
        return len(visited) > 3

    full = np.flatnonzero(occupancy.reduce(spills[:1])["hits_per_event"].values > 0).tolist()
    seen = complete(visit(panel="display", event=full[0]))
    seen.until(lambda: event() == full[0])
    visited = [full[0]]
    seen.page.get_by_text("play_arrow").click(force=True)
    seen.until(step)
    assert visited == full[: len(visited)]  # one after the other, empty ones passed over
    seen.page.get_by_text("pause").click(force=True)
    seen.page.wait_for_timeout(1000)
    stood = event()
    seen.page.wait_for_timeout(2500)
    assert event() == stood


def test_the_event_display_goes_from_event_to_event(visit: Callable[..., Visit], spills: list[Path]) -> None:
    def event() -> list[list[float]]:
        found = seen.models("ColumnDataSource", "m.name == 'event' ? Array.from(m.data.element) : null")
        return [elements for elements in found if elements is not None]

    def shows(number: int) -> bool:
        wanted = occupancy.read_event(spills[0], number)["element_id"].values
        return bool(event()) and sorted(event()[0]) == sorted(wanted.tolist())

    hits = occupancy.reduce(spills[:1])["hits_per_event"].values
    first, second = np.flatnonzero(hits > 0)[:2].tolist()
    seen = complete(visit(panel="display", event=first))
    seen.until(lambda: shows(first))
    seen.page.get_by_role("button", name="Next event").click()
    seen.until(lambda: shows(second))
    seen.until(lambda: f"event={second}" in seen.page.url)
    seen.page.get_by_role("button", name="Previous event").click()
    seen.until(lambda: shows(first))


def test_a_hostile_file_name_is_text(
    yard: tuple[Server, Path], visit: Callable[..., Visit], folder: Path, spills: list[Path]
) -> None:
    name = "<img src=x onerror=alert(1)>.root"
    (folder / name).write_bytes(spills[0].read_bytes())
    seen = complete(visit(on=yard[0], path=f"{folder.name}/{name}", panel="display"))
    seen.page.on("dialog", lambda _: pytest.fail("a file name was run as a script"))
    expect(seen.page.get_by_text(name).last).to_be_visible(timeout=WAIT_MS)
    assert seen.page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize(
    ("label", "name", "start"),
    [
        ("Counts (JSON)", "total_hits_data.json", b"{"),
        ("Counts (CSV)", "total_hits_data.csv", b"Group,"),
        ("Settings (YAML)", "settings.yaml", b"in_time: true"),
        ("Map as shown (PNG)", "occupancy_map.png", b"\x89PNG"),
        ("Findings (CSV)", "checks.csv", b"detector_id,"),
        ("All products (ZIP)", "occupancy.zip", b"PK"),
    ],
)
def test_exports_open_again(
    label: str, name: str, start: bytes, exporting: Visit, spills: list[Path], tmp_path: Path
) -> None:
    seen = exporting
    with seen.page.expect_download(timeout=60_000) as download:
        seen.page.get_by_role("button", name=label).click()
    assert download.value.suggested_filename == name
    download.value.save_as(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert content.startswith(start)
    data = occupancy.reduce(spills, in_time=True)
    if name == "checks.csv":
        found, rows = occupancy.check(data), pd.read_csv(tmp_path / name)
        assert len(found) > 10
        assert list(rows) == list(found)
        for column in ("detector_id", "detector", "element_id", "finding", "severity", "reason"):
            assert rows[column].tolist() == found[column].tolist()
    elif name == "settings.yaml":
        assert occupancy.Filters.from_yaml(content.decode()) == occupancy.Filters(in_time=True)
    elif name == "occupancy.zip":
        opens(tmp_path / name, data)
    else:
        opened(tmp_path / name, data)


def opens(place: Path, data: xr.Dataset) -> None:
    """Open everything that a ZIP holds."""
    with zipfile.ZipFile(place) as archive:
        archive.extractall(place.parent / "inside")
    files = [path for path in place.parent.glob("inside/**/*") if path.is_file()]
    assert len({path.name for path in files}) > 15
    for path in files:
        opened(path, data)
    assert {path.name for path in files} >= {
        "total_hits_data.csv", "total_hits_data.json", "processed_hits_data.npy", "occupancy.nc", "settings.yaml", "checks.csv",
        "hits_per_event_data.csv", "detector_summary.csv", "overall_occupancy_with_separators.png",
    }  # fmt: skip


def opened(path: Path, data: xr.Dataset) -> None:
    """Open one product, and compare its numbers as far as it holds any."""
    hits = int(data["hits"].sum())
    if path.suffix == ".png":
        assert min(matplotlib.image.imread(path).shape[:2]) > 400
    elif path.name in {"total_hits_data.json", "total_hits_data.csv", "occupancy.nc"}:
        again = occupancy.read_hits(path, occupancy.DetectorTable.default())["hits"]
        assert int(again.sum()) == hits
    elif path.suffix == ".npy":
        assert int(np.load(path, allow_pickle=False).sum()) == hits
    elif path.suffix == ".csv":
        sums = pd.read_csv(path).sum(numeric_only=True)
        assert hits in sums.tolist() or path.name == "checks.csv"
    else:
        assert path.name == "settings.yaml"
        assert "in_time: true" in path.read_text()


def test_the_command_line_can_be_copied(exporting: Visit, spills: list[Path]) -> None:
    seen = exporting
    expect(seen.page.get_by_label("The same on the command line")).to_have_value(
        re.compile("^detcore "), timeout=WAIT_MS
    )
    seen.page.get_by_role("button", name="Copy as command").click()
    seen.until(lambda: seen.page.evaluate("navigator.clipboard.readText()"))
    words = shlex.split(seen.page.evaluate("navigator.clipboard.readText()"))
    assert words[:4] == ["detcore", "occupancy", "run", "--in-time"]
    assert words[4:] == list(map(str, spills))


def plots(seen: Visit) -> list[dict[str, float]]:
    """Where the visible plots are on the screen."""
    boxes = seen.models(
        "Figure", "(v => v ? v.el.getBoundingClientRect().toJSON() : null)(Bokeh.index.find_one_by_id(m.id))"
    )
    return [box for box in boxes if box and box["width"] > 0]


def test_it_fills_every_screen(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(size=LAPTOP))
    for size in (LAPTOP, DESK, WALL):
        seen.page.set_viewport_size({"width": size[0], "height": size[1]})
        seen.until(lambda size=size: max(box["right"] for box in plots(seen)) > 0.95 * size[0])
        seen.page.wait_for_timeout(500)
        page = seen.page.evaluate("[document.documentElement.scrollHeight, innerHeight]")
        assert page[0] <= page[1]
        shown = plots(seen)
        assert len(shown) >= 5
        assert all(box["height"] >= 85 and box["width"] >= 150 for box in shown)
        assert max(box["bottom"] for box in shown) <= size[1]
        covered = sum(box["width"] * box["height"] for box in shown)
        assert covered > 0.6 * size[0] * size[1]


def test_the_wall_has_no_controls(visit: Callable[..., Visit], tmp_path: Path) -> None:
    seen = complete(visit(size=WALL, display="wall", tabs="occupancy"))
    expect(seen.page.locator("button:visible")).to_have_count(0)
    sizes = seen.models("LinearAxis", "parseFloat(m.major_label_text_font_size)")
    assert min(sizes) > 30  # pixels on a 4K screen
    seen.shoot(tmp_path / "wall.png")


def test_screenshot(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(size=DESK, detector=3, element=74))
    seen.until(lambda: seen.titled("D0X element 74"))
    seen.page.wait_for_timeout(1500)
    assert seen.shoot(SCREENSHOT).stat().st_size > 50_000
