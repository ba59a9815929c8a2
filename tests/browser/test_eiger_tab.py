"""The Eiger tab in a real browser, on the demo series; numbers are compared with `eiger.sum_frames`."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from playwright.sync_api import expect

from dashboard.tabs.eiger.look import from_text
from detcore import eiger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.conftest import Server, Visit

pytestmark = pytest.mark.browser
LAPTOP, DESK, WALL = (1366, 768), (1920, 1080), (3840, 2160)
SCREENSHOT = Path(__file__).parents[2] / "assets" / "screenshots" / "eiger.png"
WAIT_MS = 60_000
DROP, SPIKE = 142, 266  # planted in the demo


@pytest.fixture(scope="module")
def master(server: Server) -> Path:
    """The demo's master file, as the server wrote it."""
    return next(Path(server.env["DETCORE_CACHE"]).glob("demo/eiger-*/*_master.h5"))


@pytest.fixture(scope="module")
def sums(master: Path) -> xr.Dataset:
    return eiger.sum_frames(master)


@pytest.fixture
def beside(folder: Path, master: Path) -> Callable[..., str]:
    """Put the demo's master and its first so many data files into the folder; the path for links."""

    def put(files: int = 99) -> str:
        shutil.copy(master, folder)
        for path in data_files(master)[:files]:
            shutil.copy(path, folder)
        return f"{folder.name}/{master.name}"

    return put


@pytest.fixture(scope="module")
def steady_page(keep: Callable[..., Visit]) -> Visit:
    """The tab as it comes, opened once."""
    return complete(keep(tab="eiger", size=DESK))


@pytest.fixture
def steady(steady_page: Visit) -> Iterator[Visit]:
    """A page for tests that leave limits, frames and regions as they were."""
    yield steady_page
    assert steady_page.errors == []


@pytest.fixture(scope="module")
def exporting(keep: Callable[..., Visit]) -> Visit:
    return complete(keep(tab="eiger", controls=1, low=1, shapes="r:100,80,300,200"))


def data_files(master: Path) -> list[Path]:
    return sorted(master.parent.glob("*_data_*.h5"))


def trace(seen: Visit, name: str = "raw") -> tuple[list[float], list[float]]:
    """Frame numbers and values of a line of the trace, as the browser has them."""
    script = """name => {
      const models = Bokeh.documents.flatMap(d => [...d._all_models.values()])
      const plot = models.find(m => m.type == 'Figure' && m.name == 'eiger-trace')
      const line = plot?.renderers.find(r => r.name == name)
      const data = line?.data_source.data
      return data ? [Array.from(data.frame), Array.from(data.value)] : [[], []]
    }"""
    frame, value = seen.page.evaluate(script, name)
    return frame, value


def shows(seen: Visit, data: xr.Dataset, name: str = "raw", region: str | None = None) -> bool:
    """Whether a line of the trace holds just these sums."""
    wanted = data["sum"] if region is None else data["sum"].sel(region=region)
    frame, value = trace(seen, name)
    return frame == data["frame"].values.tolist() and value == wanted.values.tolist()


def complete(seen: Visit) -> Visit:
    """Wait until everything is read and drawn."""
    expect(seen.page.locator(".dc-strip")).to_contain_text("Complete", timeout=WAIT_MS)
    seen.until(seen.headline)
    seen.until(
        lambda: seen.models("ColumnDataSource", "m.name == 'detector image' && m.data.image.length > 0").count(True),
    )
    return seen


TRACE = "m.name == 'eiger-trace'"
IMAGE = "m.renderers.some(r => r.data_source?.name == 'detector image')"
VALUES = "m.renderers.some(r => r.data_source?.name == 'eiger-values')"


def choose(seen: Visit, panel: str) -> None:
    """Click on a panel below the plots."""
    seen.page.locator(".bk-tab", has_text=panel).first.click()


def test_the_trace_holds_the_sum_of_every_frame_and_the_headline_says_what_it_is_made_of(
    steady: Visit, sums: xr.Dataset
) -> None:
    seen = steady
    seen.until(lambda: shows(seen, sums))
    np.testing.assert_allclose(trace(seen, "detrended")[1], eiger.detrend(sums), rtol=1e-12)
    numbers, table = seen.headline(), eiger.statistics(sums)["value"]
    assert numbers["Frames"] == "400"
    assert numbers["Mean"] == f"{table['mean']:,.0f}counts"
    assert numbers["CV raw"] == f"{table['cv']:.3g}%"
    assert numbers["Shot noise CV"] == f"{table['shot_cv']:.4g}%"
    assert numbers["Excess CV"] == f"{table['excess_cv_detrended']:.3g}%"
    assert numbers["Top line"].startswith("50Hz")
    assert numbers["Outliers"] == "3"
    assert seen.source("eiger-outliers", "x").tolist() == [DROP, SPIKE, 371]


def test_limits_change_the_sums(visit: Callable[..., Visit], master: Path) -> None:
    seen = complete(visit(tab="eiger"))
    seen.type_in("Highest value", "2")
    wanted = eiger.sum_frames(master, high=2)
    seen.until(lambda: shows(seen, wanted))
    seen.type_in("Lowest value", "2")
    wanted = eiger.sum_frames(master, low=2, high=2)
    seen.until(lambda: shows(seen, wanted))
    seen.until(lambda: (seen.link().get("low"), seen.link().get("high")) == ("2", "2"))
    seen.until(lambda: "values 2 to 2" in seen.titled("Intensity"))
    seen.page.get_by_label("Pixel mask").click()
    wanted = eiger.sum_frames(master, low=2, high=2, pixel_mask=False)
    seen.until(lambda: shows(seen, wanted))


def test_impossible_limits_are_explained_where_they_are_typed(steady: Visit) -> None:
    seen = steady
    seen.type_in("Lowest value", "5000")
    expect(seen.page.get_by_text(re.compile("low is 5000 and high 4500"))).to_be_visible(timeout=WAIT_MS)
    assert "low" not in seen.link()
    seen.type_in("Lowest value", "0")


def test_a_limit_is_dragged_over_the_histogram_of_values(visit: Callable[..., Visit], master: Path) -> None:
    seen = complete(visit(tab="eiger"))
    seen.until(lambda: seen.source("eiger-values", "count").size)
    frames = [eiger.read_frame(master, number).values for number in (1, 2)]
    assert seen.source("eiger-values", "count")[1] > sum(int((frame == 1).sum()) for frame in frames)
    where = seen.models("Span", "m.name == 'eiger-high' ? m.location : null")
    place = next(value for value in where if value is not None)
    seen.drag(VALUES, (place, 100.0), (2.0, 100.0), lambda: "high" in seen.link())
    high = int(seen.link()["high"])
    assert 2 <= high <= 4
    wanted = eiger.sum_frames(master, high=high)
    seen.until(lambda: shows(seen, wanted))


def test_a_drawn_region_has_its_own_trace(visit: Callable[..., Visit], master: Path) -> None:
    seen = complete(visit(tab="eiger", show="raw"))
    seen.page.get_by_role("button", name="Rectangle").click()
    expect(seen.page.get_by_text("Press on the image")).to_be_visible(timeout=WAIT_MS)
    seen.page.wait_for_timeout(300)
    seen.drag(IMAGE, (120, 90), (260, 200), lambda: "shapes" in seen.link(), tries=1)
    (region,) = from_text(seen.link()["shapes"])
    assert (region.x0, region.y1) == pytest.approx((120, 200), abs=4)
    wanted = eiger.sum_frames(master, regions={"region 1": region})
    seen.until(lambda: shows(seen, wanted, "region 1, raw", "region 1"))
    assert shows(seen, eiger.sum_frames(master))
    seen.page.get_by_role("button", name="Undo").click()
    seen.until(lambda: "shapes" not in seen.link())


def test_the_numbers_are_those_of_the_chosen_region(visit: Callable[..., Visit], master: Path) -> None:
    seen = complete(visit(tab="eiger", shapes="r:100,80,300,200/p:300,300,400,300,350,400", region="region 2"))
    shapes = from_text("r:100,80,300,200/p:300,300,400,300,350,400")
    data = eiger.sum_frames(master, regions={f"region {n}": shape for n, shape in enumerate(shapes, 1)})
    mean = eiger.statistics(data, region="region 2").loc["mean", "value"]
    seen.until(lambda: seen.headline().get("Mean of region 2") == f"{mean:,.0f}counts")
    seen.until(lambda: shows(seen, data, "region 2, raw", "region 2"))
    assert trace(seen, "region 1, detrended")[1] == pytest.approx(eiger.detrend(data, region="region 1").values)


def test_a_click_on_an_outlier_shows_the_frame(steady: Visit, master: Path) -> None:
    seen = steady
    choose(seen, "Outliers")
    seen.page.locator(".tabulator-cell", has_text="spike").click()
    seen.until(lambda: seen.titled(f"Frame {SPIKE}"))
    seen.until(lambda: seen.link().get("frame") == str(SPIKE))

    def is_frame(number: int) -> bool:
        values = eiger.read_frame(master, number).values.ravel()
        some = "Array.from(m.data.value[0]).filter((_, i) => i % 17 == 0)"  # all of them take seconds to arrive
        found = next(filter(None, seen.models("ColumnDataSource", f"m.name == 'detector image' ? {some} : []")), [])
        good = eiger.open_files(master).schema().attrs["pixel_mask"].ravel() == 0
        return len(found) == len(values[::17]) and bool((np.array(found) == values[::17])[good[::17]].all())

    seen.until(lambda: is_frame(SPIKE))
    seen.page.get_by_role("button", name="Next frame").click()
    seen.until(lambda: seen.titled(f"Frame {SPIKE + 1}") and is_frame(SPIKE + 1))
    seen.page.get_by_role("button", name="Previous frame").click()
    seen.until(lambda: seen.titled(f"Frame {SPIKE}:"))
    seen.page.get_by_role("button", name="Mean", exact=True).click()
    seen.until(lambda: seen.titled("Mean of 400 frames"))


def test_a_click_on_the_trace_shows_the_frame(steady: Visit) -> None:
    seen = steady
    seen.until(lambda: len(trace(seen)[0]) == 400)
    seen.page.mouse.click(*seen.spot(TRACE, DROP, 48_000))
    seen.until(lambda: seen.link().get("frame") == str(DROP))
    seen.until(lambda: seen.titled(f"Frame {DROP}"))


def test_a_range_of_frames_is_typed_or_dragged(visit: Callable[..., Visit], master: Path) -> None:
    seen = complete(visit(tab="eiger"))
    seen.type_in("First", "101")
    seen.type_in("Last", "200")
    seen.type_in("Step", "3")
    wanted = eiger.sum_frames(master, frames=(101, 200, 3))
    seen.until(lambda: shows(seen, wanted))
    assert "1 of 3 frames" in seen.titled("Intensity")
    seen.page.get_by_role("button", name="All frames").click()
    seen.until(lambda: len(trace(seen)[0]) == 400)
    seen.page.evaluate("""() => Bokeh.documents.flatMap(d => [...d._all_models.values()])
        .filter(m => m.type == 'BoxSelectTool' && m.description == 'Frame range').forEach(m => { m.active = true })""")
    seen.drag(TRACE, (150.5, 48_000), (250.5, 48_000), lambda: "last" in seen.link())
    first, last = int(seen.link()["first"]), int(seen.link()["last"])
    assert (first, last) == (pytest.approx(151, abs=2), pytest.approx(250, abs=2))
    wanted = eiger.sum_frames(master, frames=(first, last))
    seen.until(lambda: shows(seen, wanted))


def test_detrending_and_units(visit: Callable[..., Visit], sums: xr.Dataset) -> None:
    seen = complete(visit(tab="eiger", method="polynomial", order=3, show="detrended"))
    wanted = eiger.detrend(sums, "polynomial:3").values
    seen.until(lambda: trace(seen, "detrended")[1])
    np.testing.assert_allclose(trace(seen, "detrended")[1], wanted, rtol=1e-9)
    seen.page.get_by_role("button", name="Normalised").click()
    seen.until(lambda: max(trace(seen, "detrended")[1]) < 2)
    np.testing.assert_allclose(trace(seen, "detrended")[1], wanted / wanted.mean(), rtol=1e-9)
    seen.until(lambda: seen.link().get("normalised") == "1")


def test_an_impossible_filter_is_explained(visit: Callable[..., Visit]) -> None:
    seen = visit(tab="eiger", method="highpass", cutoff=5000)
    expect(seen.page.get_by_text(re.compile("not below the Nyquist frequency"))).to_be_visible(timeout=WAIT_MS)


@pytest.mark.parametrize(
    ("panel", "start"),
    [
        ("Stability", "Allan deviation, without linear trend"),
        ("Distribution", "Distribution of the frame sums"),
        ("Spectrogram", "Spectrogram, without linear trend"),
        ("Pixels", "Centre of mass about x"),
        ("Spectrum", "Spectrum, without linear trend"),
    ],
)
def test_panels(panel: str, start: str, steady: Visit, sums: xr.Dataset, master: Path) -> None:
    seen = steady
    choose(seen, panel)
    seen.until(lambda: seen.titled(start))
    if panel == "Spectrum":
        wanted = eiger.spectrum(sums)["amplitude"].values[1:]
        np.testing.assert_allclose(seen.source("eiger-amplitude", "y"), wanted, rtol=1e-9)
        lines = eiger.spectral_lines(sums)
        assert set(seen.source("eiger-lines", "x")) <= set(lines["frequency"])
        assert {round(x) for x in seen.source("eiger-lines", "x")} == {50, 100}
    if panel == "Stability":
        wanted = 100 * eiger.allan_deviation(sums, "linear")["deviation"].values
        np.testing.assert_allclose(seen.source("eiger-deviation", "y"), wanted, rtol=1e-9)
    if panel == "Distribution":
        assert seen.source("eiger-frames", "y").sum() == 397
    if panel == "Pixels":
        masked = int((eiger.open_files(master).schema().attrs["pixel_mask"] > 0).sum())
        share = 100 * (514 * 514 - masked) / 514**2
        assert seen.source("eiger-valid", "y").max() == pytest.approx(share, abs=0.01)


def test_all_numbers_are_in_a_table(steady: Visit, sums: xr.Dataset) -> None:
    seen = steady
    choose(seen, "Numbers")
    text = eiger.describe(sums).loc["mean", "raw"]
    expect(seen.page.locator(".tabulator-cell", has_text=f"{text:,.1f}").first).to_be_visible(timeout=WAIT_MS)
    expect(seen.page.locator(".tabulator-cell", has_text="excess cv").first).to_be_visible()
    expect(seen.page.locator(".tabulator-cell", has_text="EIGER").first).to_be_visible()


def test_files_that_have_not_come_are_pending(
    yard: tuple[Server, Path], beside: Callable[..., str], visit: Callable[..., Visit], master: Path
) -> None:
    seen = complete(visit(on=yard[0], tab="eiger", path=beside(2)))
    seen.until(lambda: seen.headline().get("Pending") == "2files")
    assert seen.headline()["Frames"] == "200of 400"
    assert trace(seen)[0] == list(range(1, 201))


def test_a_live_series_grows(
    yard: tuple[Server, Path],
    beside: Callable[..., str],
    visit: Callable[..., Visit],
    master: Path,
    folder: Path,
    sums: xr.Dataset,
) -> None:
    seen = visit(on=yard[0], tab="eiger", path=beside(2), live=1)
    seen.until(lambda: len(trace(seen)[0]) == 200)
    shutil.copy(data_files(master)[2], folder)
    seen.until(lambda: len(trace(seen)[0]) == 300)
    assert trace(seen)[1] == sums["sum"].values[:300].tolist()
    expect(seen.page.locator(".dc-strip")).to_contain_text(re.compile("Live|Waiting"))
    seen.page.get_by_label("Live", exact=True).click()
    seen.until(lambda: "live" not in seen.link())


def test_a_reference_is_compared(
    yard: tuple[Server, Path], beside: Callable[..., str], visit: Callable[..., Visit], master: Path
) -> None:
    path = beside()
    seen = complete(visit(on=yard[0], tab="eiger", path=path, reference=path, panel="compare", high=3))
    seen.until(lambda: seen.titled("Ratio of 400 common frames"))
    np.testing.assert_allclose(seen.source("eiger-ratio", "y"), 1.0, rtol=1e-12)


def test_data_is_chosen_with_the_mouse(
    yard: tuple[Server, Path], beside: Callable[..., str], visit: Callable[..., Visit], master: Path
) -> None:
    path = beside()
    seen = visit(on=yard[0], tab="eiger")
    expect(seen.page.get_by_text("Nothing is chosen")).to_be_visible(timeout=WAIT_MS)
    seen.page.get_by_role("button", name="Data").click()
    seen.page.locator(".entry", has_text=path.split("/")[0]).dblclick()
    seen.page.locator(".entry", has_text="_master.h5").dblclick()
    seen.until(lambda: seen.link().get("path") == path)
    complete(seen)


@pytest.mark.parametrize("name", ["bad_master.h5", "<img src=x onerror=alert(1)>_master.h5"])
def test_a_broken_file_is_explained(
    name: str, yard: tuple[Server, Path], visit: Callable[..., Visit], folder: Path
) -> None:
    (folder / name).write_bytes(b"\x89HDF\r\n\x1a\n and then nothing of use")
    seen = visit(on=yard[0], tab="eiger", path=f"{folder.name}/{name}")
    seen.page.on("dialog", lambda _: pytest.fail("a file name was run as a script"))
    expect(seen.page.locator(".dc-strip")).to_contain_text("Failed", timeout=WAIT_MS)
    expect(seen.page.locator(".dc-plain", has_text=name).first).to_be_visible()
    assert seen.page.locator("img[src=x]").count() == 0


def test_a_wrong_link_is_told_and_the_rest_is_shown(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(tab="eiger", shapes="r:1,2,3", method="magic", nonsense=1))
    seen.page.locator(".dc-log").click()
    for words in ("r: with four numbers", "method", "nonsense"):
        expect(seen.page.locator(".panel")).to_contain_text(words)


def test_a_link_reproduces_the_view(visit: Callable[..., Visit]) -> None:
    wanted = {
        "low": "1", "show": "raw", "normalised": "1", "panel": "distribution", "frame": "7", "first": "3", "last": "90",
        "shapes": "r:100,80,300,200", "scale": "linear", "outliers": "1",
    }  # fmt: skip
    seen = complete(visit(tab="eiger", **wanted))
    seen.until(lambda: seen.titled("Frame 7"))
    seen.until(lambda: seen.titled("Distribution of the frame sums"))
    assert len(trace(seen)[0]) == 88
    assert trace(seen, "region 1, raw")[0] == trace(seen)[0]
    assert {key: value for key, value in seen.link().items() if key != "tab"} == wanted


@pytest.mark.parametrize(
    ("label", "name", "start"),
    [
        ("Plots (PNG)", "plots.png", b"\x89PNG"),
        ("Intensity of each frame (CSV)", "intensity.csv", b"frame,"),
        ("Statistics (CSV)", "statistics.csv", b"statistic,"),
        ("Result (HDF5, netCDF4)", "result.nc", b"\x89HDF"),
        ("Limits and regions (YAML)", "setup.yaml", b"low: 1"),
        ("All products (ZIP)", "eiger.zip", b"PK"),
    ],
)
def test_exports_open_again(
    label: str, name: str, start: bytes, exporting: Visit, master: Path, tmp_path: Path
) -> None:
    seen = exporting
    wanted = eiger.sum_frames(master, low=1, regions={"region 1": from_text("r:100,80,300,200")[0]})
    whole = eiger.sum_frames(master, low=1)
    with seen.page.expect_download(timeout=60_000) as download:
        seen.page.get_by_role("button", name=label).click()
    assert download.value.suggested_filename == name
    download.value.save_as(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert content.startswith(start)
    if name == "plots.png":
        assert min(matplotlib.image.imread(tmp_path / name).shape[:2]) > 400
    if name == "intensity.csv":
        table = pd.read_csv(tmp_path / name, index_col="frame")
        assert table["raw"].tolist() == whole["sum"].values.tolist()
        assert table["region 1"].tolist() == wanted["sum"].sel(region="region 1").values.tolist()
    if name == "result.nc":
        with xr.open_dataset(tmp_path / name, engine="h5netcdf") as result:
            np.testing.assert_array_equal(result["sum"].sel(region="region 1"), wanted["sum"].sel(region="region 1"))
            assert result.attrs["low"] == 1
            assert "provenance" in result.attrs
    if name == "setup.yaml":
        setup = eiger.Setup.from_yaml(content.decode())
        assert setup.low == 1
        assert setup.regions[0].region == from_text("r:100,80,300,200")[0]
    if name == "eiger.zip":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert archive.testzip() is None
            endings = {member.removeprefix(f"{master.name}/{master.name}") for member in archive.namelist()}
        assert {".pickle", ".csv", ".html", ".nc", ".png", ".statistics.csv"} <= endings


def test_the_command_line_can_be_copied(visit: Callable[..., Visit], master: Path) -> None:
    seen = complete(visit(tab="eiger", controls=1, low=1, first=5, last=90, method="none"))
    expect(seen.page.get_by_label("The same on the command line")).to_have_value(
        re.compile("^detcore "), timeout=WAIT_MS
    )
    seen.page.get_by_role("button", name="Copy as command").click()
    seen.until(lambda: seen.page.evaluate("navigator.clipboard.readText()"))
    words = shlex.split(seen.page.evaluate("navigator.clipboard.readText()"))
    assert words == ["detcore", "eiger", "run", "--low", "1", "--frames", "5:90:1", "--detrend", "none", str(master)]


def shown(seen: Visit) -> list[dict[str, float]]:
    """Where the visible plots are on the screen."""
    boxes = seen.models(
        "Figure", "(v => v ? v.el.getBoundingClientRect().toJSON() : null)(Bokeh.index.find_one_by_id(m.id))"
    )
    return [box for box in boxes if box and box["width"] > 0]


def test_it_fills_every_screen(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(tab="eiger", size=LAPTOP))
    for size in (LAPTOP, DESK, WALL):
        seen.page.set_viewport_size({"width": size[0], "height": size[1]})
        seen.until(lambda size=size: max(box["right"] for box in shown(seen)) > 0.95 * size[0])
        seen.page.wait_for_timeout(500)
        page = seen.page.evaluate("[document.documentElement.scrollHeight, innerHeight]")
        assert page[0] <= page[1]
        boxes = shown(seen)
        assert len(boxes) == 4
        assert all(box["height"] >= 120 and box["width"] >= 300 for box in boxes)
        assert max(box["bottom"] for box in boxes) <= size[1]
        covered = sum(box["width"] * box["height"] for box in boxes)
        assert covered > 0.55 * size[0] * size[1]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_on_light_and_dark(theme: str, steady: Visit, visit: Callable[..., Visit]) -> None:
    seen = steady if theme == "light" else complete(visit(tab="eiger", theme=theme))
    script = """() => {
      const find = (root) => [...root.querySelectorAll('*')].flatMap((el) => [
        ...(el.classList.contains('tile') ? [el] : []), ...(el.shadowRoot ? find(el.shadowRoot) : [])])
      return getComputedStyle(find(document)[0].querySelector('b')).color.match(/\\d+/g).slice(0, 3).map(Number)
    }"""
    bright = sum(seen.page.evaluate(script)) / 3
    assert bright < 90 if theme == "light" else bright > 170


def test_the_wall_has_no_controls(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(size=WALL, display="wall", tabs="eiger"))
    expect(seen.page.locator("button:visible")).to_have_count(0)
    sizes = seen.models("LinearAxis", "parseFloat(m.major_label_text_font_size)")
    assert min(sizes) > 30  # pixels on a 4K screen
    assert seen.titled("Spectrum")


def test_screenshot(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(tab="eiger", size=DESK, shapes="r:330,120,430,200"))
    seen.until(lambda: trace(seen, "region 1, detrended")[0])
    seen.page.wait_for_timeout(2500)
    assert seen.shoot(SCREENSHOT).stat().st_size > 50_000
