"""The area tab in a real browser, on the demo run: shapes drawn with a real mouse, numbers compared with detcore.area."""

from __future__ import annotations

import re
import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from playwright.sync_api import expect

from detcore import area
from detcore.area.demo import expected
from detcore.image import good_pixels, read_pixel_mask

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.conftest import Server, Visit

pytestmark = pytest.mark.browser
LAPTOP, DESK, WALL = (1366, 768), (1920, 1080), (3840, 2160)
SCREENSHOT = Path(__file__).parents[2] / "assets" / "screenshots" / "area.png"
WAIT_MS = 60_000
IMAGE = "m.name == 'area-image'"
LEVELS = "m.name == 'area-levels'"


def cache(server: Server) -> Path:
    return Path(server.env["DETCORE_CACHE"])


@pytest.fixture(scope="module")
def files(server: Server) -> list[Path]:
    folder = next((cache(server) / "demo").glob("area-*"))
    return [folder / "lab6_run0012.h5", folder / "lab6_run0012_setup.yaml"]


@pytest.fixture(scope="module")
def setup(files: list[Path]) -> Any:
    return area.Setup.load(files[1])


@pytest.fixture(scope="module")
def source(files: list[Path]) -> Any:
    return area.open_files([files[0]])


@pytest.fixture(scope="module")
def mean(source: Any, setup: Any) -> np.ndarray[Any, Any]:
    """The mean of all calibrated frames, (y, x)."""
    detector = source.detector()
    frames = [area.calibrated(source.frame(number), detector, setup) for number in range(source.n_frames())]
    with np.errstate(all="ignore"):
        return np.asarray(np.nanmean(np.stack(frames).astype(np.float64), axis=0))


def complete(seen: Visit) -> Visit:
    """Wait until the averages are drawn."""
    seen.until(lambda: seen.headline().get("Averaged") == "64", "the averages did not come", 180)
    seen.until(lambda: "Masked" in seen.headline())
    return seen


@pytest.fixture(scope="module")
def steady(keep: Callable[..., Visit]) -> Visit:
    return complete(keep(tab="area", size=DESK))


def autosaved(seen: Visit) -> Any:
    """What the server has kept of the edits of a page; the setup of the demo if there are none."""
    token = seen.link().get("edit")
    if token is None:
        return area.Setup.load(next((cache(seen.server) / "demo").glob("area-*/*_setup.yaml")))
    return area.Setup.load(cache(seen.server) / "outputs" / "area" / "autosave" / f"{token}.yaml")


def edited(seen: Visit, wanted: Callable[[Any], Any], what: str) -> Any:
    """Wait until the edits are so."""

    def there() -> bool:
        try:
            return bool(wanted(autosaved(seen)))
        except (KeyError, OSError, ValueError, IndexError):
            return False

    seen.until(there, what, 40)
    return autosaved(seen)


def tool(seen: Visit, name: str, kind: str = "Mask") -> None:
    drawing = seen.page.get_by_label("What is drawn next")
    drawing.get_by_text(kind, exact=True).click()
    seen.page.get_by_role("button", name=name, exact=True).click()


def stroke(seen: Visit, *places: tuple[float, float], steps: int = 6) -> None:
    """Press at the first place of the image, move through the others, let go."""
    mouse = seen.page.mouse
    spots = [seen.spot(IMAGE, *place) for place in places]
    mouse.move(*spots[0])
    mouse.down()
    for spot in spots[1:]:
        mouse.move(*spot, steps=steps)
    seen.page.wait_for_timeout(150)
    mouse.up()


def draw(seen: Visit, name: str, *places: tuple[float, float], kind: str = "Mask") -> None:
    tool(seen, name, kind)
    stroke(seen, *places)


def masked_text(seen: Visit) -> int:
    """How many pixels the page says are masked."""
    text = seen.page.get_by_text(re.compile(r"^Masked: ")).first.text_content() or ""
    return int(re.search(r"Masked: ([\d,]+) of", text).group(1).replace(",", ""))  # type: ignore[union-attr]


def row_of(seen: Visit, name: str) -> list[str]:
    """The cells of the row of a table that begins with a name."""
    script = """name => {
      const find = (root) => [...root.querySelectorAll('*')].flatMap((el) => [
        ...(el.classList.contains('tabulator-row') ? [el] : []), ...(el.shadowRoot ? find(el.shadowRoot) : [])])
      const rows = find(document).filter((el) => el.getClientRects().length)
        .map((el) => [...el.querySelectorAll('.tabulator-cell')].map((cell) => cell.textContent.trim()))
      return rows.map((cells) => cells.slice(1)).find((cells) => cells[0] == name) ?? []
    }"""
    return list(seen.page.evaluate(script, name))


# --- what is there at first


def test_the_demo_is_full_on_first_start(steady: Visit, setup: Any, mean: np.ndarray[Any, Any]) -> None:
    seen = steady
    numbers = seen.headline()
    assert numbers["Frames"] == "64"
    assert numbers["Centre"].startswith(f"{setup.geometry.x:.2f}, {setup.geometry.y:.2f}")
    assert seen.titled("Mean of 64 calibrated frames: every pixel")
    shown = seen.source("detector image", "value")
    assert np.nanmax(shown) == pytest.approx(np.nanmax(mean), rel=1e-5)


def test_masked_pixels_are_those_of_the_library(steady: Visit, setup: Any, source: Any) -> None:
    wanted = area.masked(source.detector(), setup)
    steady.panel("Mask")
    steady.until(lambda: masked_text(steady) == int((~good_pixels(wanted)).sum()))


def test_profile_is_that_of_the_library(steady: Visit, setup: Any, source: Any, mean: np.ndarray[Any, Any]) -> None:
    seen = steady
    seen.panel("Profile")
    seen.until(lambda: seen.titled("Azimuthal mean of mean of 64"))
    seen.until(lambda: len(seen.source("area-sector 0", "y")) > 10)
    wanted = area.azimuthal(mean.astype(np.float32), setup, good=good_pixels(area.masked(source.detector(), setup)))
    np.testing.assert_allclose(seen.source("area-sector 0", "y"), wanted["intensity"].values, rtol=2e-4, atol=1e-4)
    np.testing.assert_array_equal(seen.source("area-n_valid", "y"), wanted["n_valid"].values)


def test_regions_have_the_numbers_of_numpy(steady: Visit, setup: Any, source: Any, mean: np.ndarray[Any, Any]) -> None:
    seen = steady
    seen.panel("ROIs")
    good = good_pixels(area.masked(source.detector(), setup)) & np.isfinite(mean)
    rows, columns = np.indices(mean.shape)
    for roi in setup.rois:
        kept = roi.region.to_mask(mean.shape) & good
        values = mean[kept]
        wanted = [values.sum(), values.mean(), values.max(), (columns[kept] * values).sum() / values.sum(), (rows[kept] * values).sum() / values.sum()]  # fmt: skip
        seen.until(partial(row_of, seen, roi.name))
        cells = [float(cell.replace(",", "")) for cell in row_of(seen, roi.name)[1:7]]
        np.testing.assert_allclose(cells[:5], wanted, rtol=1e-3)
        assert cells[5] == kept.sum()
    assert len(seen.source("area-along_x", "x")) > 3


# --- drawing with the mouse


@pytest.mark.parametrize(
    ("name", "places", "kind"),
    [
        ("Rectangle", [(500, 500), (600, 620)], "rectangle"),
        ("Ellipse", [(420, 60), (520, 130)], "ellipse"),
        ("Ring", [(600, 300), (650, 330)], "annulus"),
        ("Brush", [(60, 60), (120, 80), (130, 140)], "brush"),
        ("Half-plane", [(740, 350), (760, 350)], "half_plane"),
    ],
)
def test_shapes_are_drawn_and_masked(
    name: str, places: list[tuple[float, float]], kind: str, steady: Visit, source: Any
) -> None:
    seen = steady
    seen.panel("Mask")
    before = len(autosaved(seen).mask)
    draw(seen, name, *places)
    setup = edited(seen, lambda setup: len(setup.mask) == before + 1, f"{name} was not drawn")
    region = setup.mask[-1].region
    assert region.kind == kind
    inside = (
        region.contains(*places[-1])
        if name != "Ring"
        else region.contains(places[0][0] + 1.01 * (region.inner), places[0][1])
    )
    assert inside or name in {"Rectangle", "Ellipse"}
    wanted = int((~good_pixels(area.masked(source.detector(), setup))).sum())
    seen.until(lambda: masked_text(seen) == wanted, "the page counts other pixels")
    seen.page.keyboard.press("Escape")


def test_a_polygon_is_clicked(steady: Visit) -> None:
    seen = steady
    before = len(autosaved(seen).mask)
    corners = [(200, 600), (300, 610), (260, 680)]
    tool(seen, "Polygon")
    for corner in (*corners, corners[0]):
        seen.page.mouse.click(*seen.spot(IMAGE, *corner))
        seen.page.wait_for_timeout(350)
    setup = edited(seen, lambda setup: len(setup.mask) == before + 1, "no polygon")
    np.testing.assert_allclose(setup.mask[-1].region.vertices, corners, atol=2)
    seen.page.keyboard.press("Escape")


def test_a_shape_is_moved_deleted_and_brought_back(steady: Visit, source: Any) -> None:
    seen = steady
    draw(seen, "Rectangle", (640, 640), (690, 690))
    setup = edited(
        seen, lambda setup: setup.mask[-1].region.kind == "rectangle" and setup.mask[-1].region.x0 > 630, "draw"
    )
    first = setup.mask[-1].region
    seen.page.keyboard.press("Escape")
    seen.page.get_by_role("button", name="Select", exact=True).click()
    seen.page.mouse.click(*seen.spot(IMAGE, 665, 665))
    stroke(seen, (665, 665), (625, 635))
    setup = edited(seen, lambda setup: setup.mask[-1].region != first, "it was not moved")
    moved = setup.mask[-1].region
    assert (moved.x1 - moved.x0, moved.y1 - moved.y0) == pytest.approx(
        (first.x1 - first.x0, first.y1 - first.y0), abs=0.1
    )
    assert moved.x0 - first.x0 == pytest.approx(-40, abs=3)
    count = len(setup.mask)
    seen.page.keyboard.press("Backspace")
    edited(seen, lambda setup: len(setup.mask) == count - 1, "it was not deleted")
    seen.page.keyboard.press("Control+z")
    setup = edited(seen, lambda setup: len(setup.mask) == count, "undo did nothing")
    assert setup.mask[-1].region == moved
    seen.page.keyboard.press("Control+z")
    setup = edited(seen, lambda setup: setup.mask[-1].region == first, "the second undo did nothing")
    seen.page.keyboard.press("Control+Shift+z")
    setup = edited(seen, lambda setup: setup.mask[-1].region == moved, "redo did nothing")
    wanted = int((~good_pixels(area.masked(source.detector(), setup))).sum())
    seen.until(lambda: masked_text(seen) == wanted)


def test_a_region_is_drawn_and_counted(steady: Visit, mean: np.ndarray[Any, Any], source: Any) -> None:
    seen = steady
    count = len(autosaved(seen).rois)
    draw(seen, "Rectangle", (380, 180), (450, 250), kind="ROI")
    setup = edited(seen, lambda setup: len(setup.rois) == count + 1, "no region")
    seen.page.keyboard.press("Escape")
    roi = setup.rois[-1]
    seen.panel("ROIs")
    good = good_pixels(area.masked(source.detector(), setup)) & np.isfinite(mean)
    kept = roi.region.to_mask(mean.shape) & good
    seen.until(lambda: row_of(seen, roi.name))
    cells = [float(cell.replace(",", "")) for cell in row_of(seen, roi.name)[1:7]]
    np.testing.assert_allclose(cells[:3], [mean[kept].sum(), mean[kept].mean(), mean[kept].max()], rtol=1e-3)
    assert cells[5] == kept.sum()
    assert roi.name in next(iter(key for key in seen.headline() if key.startswith("ROI")))
    seen.panel("Mask")


def test_operations_are_added_and_counted(steady: Visit, source: Any) -> None:
    seen = steady
    count = len(autosaved(seen).mask)
    seen.type_in("px", "3")
    seen.button("Add: this operation at the end of the list")
    setup = edited(seen, lambda setup: len(setup.mask) == count + 1, "no operation")
    assert (setup.mask[-1].kind, setup.mask[-1].width) == ("edges", 3)
    wanted = int((~good_pixels(area.masked(source.detector(), setup))).sum())
    seen.until(lambda: masked_text(seen) == wanted)


def test_the_histogram_makes_a_threshold(steady: Visit, source: Any, mean: np.ndarray[Any, Any]) -> None:
    seen = steady
    seen.page.locator("button", has_text=re.compile("^Mask$")).last.click()
    seen.page.wait_for_timeout(2000)  # the lines go to the ends: there is no threshold yet
    ends = seen.models("Span", "m.name == 'area-high' ? m.location : null")
    high = next(value for value in ends if value is not None)
    low = next(value for value in seen.models("Span", "m.name == 'area-low' ? m.location : null") if value is not None)
    target = low + 0.4 * (high - low)
    seen.drag(LEVELS, (30, high), (30, target), lambda: any(one.kind == "threshold" for one in autosaved(seen).mask))
    setup = autosaved(seen)
    operation = next(one for one in setup.mask if one.kind == "threshold")
    assert operation.high == pytest.approx(target, rel=0.05)
    image = mean.astype(np.float32)
    wanted = int((~good_pixels(area.masked(source.detector(), setup, image))).sum())
    seen.until(lambda: abs(masked_text(seen) - wanted) <= 3)
    seen.page.locator("button", has_text=re.compile("^Colours$")).click()


def test_the_edits_are_there_after_a_reload(steady: Visit) -> None:
    seen = steady
    before = autosaved(seen)
    seen.page.reload()
    complete(seen.ready())
    seen.panel("Set-up")
    box = seen.page.get_by_label("The setup", exact=True)
    seen.until(lambda: area.Setup.from_yaml(box.input_value() or "rois: []") == before)


# --- the centre


def test_the_centre_is_found_without_help(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(tab="area", panel="centre", size=DESK))
    seen.type_in("Centre x (px)", "300")
    edited(seen, lambda setup: setup.geometry.x == 300, "typed in vain")
    seen.button("Automatic: without any parameter")
    x, y = expected().scene.centre
    setup = edited(seen, lambda setup: abs(setup.geometry.x - x) < 1, "no centre")
    assert setup.geometry.y == pytest.approx(y, abs=1)
    expect(seen.page.get_by_text(re.compile("^Found x"))).to_be_visible()


def test_the_centre_is_found_from_clicked_points(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(tab="area", panel="centre", size=DESK))
    x, y = expected().scene.centre
    radius = expected().radii[0]
    seen.button("Pick points: click several places of one ring on the image, or the centre itself")
    expect(seen.page.get_by_role("button", name="Point", exact=True)).to_have_attribute("aria-pressed", "true")
    for angle in (20, 100, 170, 250, 320):
        at = np.radians(angle)
        seen.page.mouse.click(*seen.spot(IMAGE, x + radius * np.cos(at), y + radius * np.sin(at)))
        seen.page.wait_for_timeout(400)
    expect(seen.page.get_by_text("5 points picked.")).to_be_visible()
    seen.button("Fit points: a circle through the points; one point is the centre")
    setup = edited(seen, lambda setup: setup.geometry.x != x, "no centre")
    assert (setup.geometry.x, setup.geometry.y) == pytest.approx((x, y), abs=2)


def test_rings_of_the_calibrant_are_drawn_and_tell_the_distance(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(tab="area", panel="centre", rings=1, calibrant="LaB6", size=DESK))
    seen.until(lambda: seen.models("ColumnDataSource", "m.name == 'area-rings' ? m.data.xs.length : 0"))
    seen.type_in("Distance (mm)", "62")
    edited(seen, lambda setup: setup.geometry.distance == pytest.approx(0.062), "typed in vain")
    seen.button("Distance from rings: that fits the rings of the calibrant best")
    scene = expected().scene
    edited(seen, lambda setup: abs(setup.geometry.distance - scene.distance) < 2e-4, "no distance")


# --- common mode, setup, values


def test_common_modes_are_compared_and_taken(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(tab="area", panel="common", size=DESK))
    seen.type_in("Frames", "6")
    seen.button("Compare noise: each preset on the same frames")
    seen.until(lambda: len(row_of(seen, "46")) > 1 and row_of(seen, "46")[1] not in {"", "-"}, "no noise", 120)
    noise = {preset: float(row_of(seen, preset)[1]) for preset in ("0", "46")}
    assert noise["46"] < noise["0"]
    seen.page.locator(".tabulator-cell", has_text=re.compile("^36$")).first.click()
    edited(seen, lambda setup: setup.common_mode == 36, "not taken")


def test_a_setup_is_saved_and_loaded_again(visit: Callable[..., Visit], server: Server) -> None:
    seen = complete(visit(tab="area", panel="setup", size=DESK))
    draw(seen, "Rectangle", (500, 500), (560, 560))
    setup = edited(seen, lambda setup: len(setup.mask) == 3, "not drawn")
    seen.type_in("Name", "mine.yaml")
    seen.button("Save: as this name, in the folder for outputs")
    path = cache(server) / "outputs" / "area" / "mine.yaml"
    seen.until(path.is_file)
    assert area.Setup.load(path) == setup
    seen.until(lambda: "edit" not in seen.link() and seen.link()["setup"].endswith("mine.yaml"))
    again = complete(visit(tab="area", panel="setup", setup=seen.link()["setup"], size=DESK))
    box = again.page.get_by_label("The setup", exact=True)
    again.until(lambda: area.Setup.from_yaml(box.input_value() or "rois: []") == setup)
    words = shlex.split(again.page.get_by_label("The same on the command line").input_value())
    assert words[:5] == ["detcore", "area", "reduce", "--setup", str(path)]
    # a shape is still a shape that can be moved
    again.page.get_by_role("button", name="Select", exact=True).click()
    again.page.mouse.click(*again.spot(IMAGE, 530, 530))
    stroke(again, (530, 530), (480, 480))
    moved = edited(again, lambda setup: len(setup.mask) == 3 and setup.mask[-1].region.x0 < 470, "not moved")
    assert moved.mask[-1].region.x0 == pytest.approx(setup.mask[-1].region.x0 - 50, abs=3)
    # and somebody else who edits the same file is told
    draw(seen, "Ellipse", (100, 500), (160, 560))
    expect(seen.page.get_by_text("One other person edits this setup too").first).to_be_visible()
    expect(again.page.get_by_text("One other person edits this setup too").first).to_be_visible()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("version: 99\n", "is of version 99"),
        ("msak: []\n", "msak"),
        ("mask: [{kind: file, path: /etc/passwd, convention: nxmx}]\n", "outside"),
        ("\x00\x01", "YAML"),
    ],
)
def test_a_wrong_setup_is_told_and_nothing_is_lost(content: str, words: str, steady: Visit) -> None:
    seen = steady
    seen.panel("Set-up")
    before = seen.page.get_by_label("The setup", exact=True).input_value()
    chooser = seen.page.locator("input[type=file][accept*='.yaml']").first
    chooser.set_input_files({"name": "wrong.yaml", "mimeType": "text/yaml", "buffer": content.encode()})
    expect(seen.page.locator(".dc-plain", has_text=words).first).to_be_visible(timeout=WAIT_MS)
    assert seen.page.get_by_label("The setup", exact=True).input_value() == before


def test_the_setup_is_edited_as_text(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(tab="area", panel="setup", size=DESK))
    box = seen.page.get_by_label("The setup", exact=True)
    before = box.input_value()
    apply = seen.page.get_by_role("button", name="Apply the text: what was typed below becomes the setup", exact=True)
    steps = "common_mode:\n- kind: row\n  exclude_above: 12.0\n- kind: column\n"
    whole = re.sub(r"(?m)^common_mode:.*\n(?:[- ].*\n)*", "", before) + steps
    box.fill(whole.replace("kind: row", "kind: rwo"))
    apply.click()
    expect(seen.page.locator(".dc-plain", has_text="rwo").first).to_be_visible(timeout=WAIT_MS)
    assert "kind: rwo" in box.input_value(), "what was typed is not lost"
    box.fill(whole)
    apply.click()
    setup = edited(seen, lambda setup: isinstance(setup.common_mode, tuple), "not taken")
    assert [(one.kind, one.exclude_above) for one in setup.common_mode] == [("row", 12.0), ("column", None)]
    seen.until(lambda: area.Setup.from_yaml(box.input_value()) == setup, "the text is not that of the setup")
    normal = box.input_value()
    box.fill("nonsense")
    seen.button("Discard: what was typed below")
    seen.until(lambda: box.input_value() == normal, "the text did not come back")
    seen.panel("Common mode")
    expect(seen.page.get_by_text("In the setup: 2 own steps.").first).to_be_visible(timeout=WAIT_MS)


def test_an_exported_mask_is_the_mask(visit: Callable[..., Visit], tmp_path: Path, setup: Any, source: Any) -> None:
    seen = complete(visit(tab="area", panel="setup", size=DESK))
    seen.pick("Export", "Mask, npy")
    for number in range(8):  # each click saves a file, also the same one, and the button is soon there for the next
        with seen.page.expect_download(timeout=WAIT_MS) as download:
            seen.page.get_by_role("button", name="Download").click()
        download.value.save_as(tmp_path / f"mask{number}.npy")
        again = read_pixel_mask(tmp_path / f"mask{number}.npy", convention="nxmx")
        np.testing.assert_array_equal(again, area.masked(source.detector(), setup))


def test_values_of_events_come_while_the_run_is_reduced(visit: Callable[..., Visit], server: Server) -> None:
    seen = complete(visit(tab="area", panel="values", size=DESK))
    seen.button("Reduce: all events with this setup")
    seen.until(lambda: len(seen.source("area-values", "x")) == 64, "no values", 120)
    seen.until(lambda: list((cache(server) / "outputs" / "area").glob("lab6_run0012_*_reduced.h5")))
    expect(seen.page.get_by_text(re.compile("^complete: 64 events"))).to_be_visible(timeout=WAIT_MS)


# --- moved, resized, found, taken over: one more page


@pytest.fixture(scope="module")
def other(keep: Callable[..., Visit]) -> Visit:
    return complete(keep(tab="area", size=DESK))


def pixels(region: Any, shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Which pixels a region holds, by its definition and nothing of ours."""
    y, x = np.indices(shape).astype(float)
    if region.kind == "ellipse":
        at = np.radians(region.angle)
        dx, dy = x - region.x, y - region.y
        along, across = dx * np.cos(at) + dy * np.sin(at), dy * np.cos(at) - dx * np.sin(at)
        return np.asarray((along / region.a) ** 2 + (across / region.b) ** 2 < 1)
    if region.kind == "annulus":
        away = np.hypot(x - region.x, y - region.y)
        return np.asarray((away >= region.inner) & (away < region.outer))
    if region.kind == "polygon":
        inside = np.zeros(shape, bool)
        corners = region.vertices
        for (ax, ay), (bx, by) in zip(corners, (*corners[1:], corners[0]), strict=True):
            if ay != by:
                inside ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
        return inside
    close = np.full(shape, np.inf)
    for stroke_ in region.strokes:
        for (ax, ay), (bx, by) in zip(stroke_[:-1] or stroke_, stroke_[1:] or stroke_, strict=True):
            size = (bx - ax) ** 2 + (by - ay) ** 2
            t = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / size, 0, 1) if size else 0.0
            close = np.minimum(close, np.hypot(x - ax - t * (bx - ax), y - ay - t * (by - ay)))
    return close < region.radius


def grip(region: Any) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where a handle of a shape is, and where it is dragged."""
    if region.kind == "ellipse":
        return (region.x, region.y + region.b), (region.x, region.y + region.b + 25)
    if region.kind == "annulus":
        return (region.x + region.outer, region.y), (region.x + region.outer + 25, region.y)
    if region.kind == "polygon":
        x, y = region.vertices[-1]
        return (x, y), (x + 8, y + 25)
    x, y = region.strokes[0][0]
    return (x + region.radius, y), (x + region.radius + 12, y)


def inside_of(region: Any) -> tuple[float, float]:
    """A place that the mouse can take a shape at, away from its handles."""
    if region.kind == "annulus":
        middle = (region.inner + region.outer) / 2
        at = np.radians(20)
        return region.x + middle * np.cos(at), region.y + middle * np.sin(at)
    if region.kind == "polygon":
        x, y = np.mean(region.vertices, axis=0)
        return float(x), float(y)
    if region.kind == "brush":
        return tuple(region.strokes[0][len(region.strokes[0]) // 2])
    return region.x, region.y


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("Ellipse", [(560, 150), (650, 210)]),
        ("Polygon", [(120, 480), (220, 480), (220, 560), (120, 560)]),
        ("Ring", [(580, 480), (580, 540)]),
        ("Brush", [(80, 120), (120, 150), (170, 150)]),
    ],
)
def test_shapes_are_moved_and_resized(name: str, places: list[tuple[float, float]], other: Visit, source: Any) -> None:
    seen, shape = other, source.detector().image_shape
    seen.panel("Mask")
    before = autosaved(seen).mask
    if name == "Polygon":
        tool(seen, name)
        for place in places:
            seen.page.mouse.click(*seen.spot(IMAGE, *place))
            seen.page.wait_for_timeout(350)
        seen.page.keyboard.press("Enter")
    else:
        draw(seen, name, *places)
    setup = edited(seen, lambda setup: len(setup.mask) == len(before) + 1, f"{name} was not drawn")
    seen.page.keyboard.press("Escape")
    seen.page.get_by_role("button", name="Select", exact=True).click()
    first = setup.mask[-1].region
    x, y = inside_of(first)
    seen.page.mouse.click(*seen.spot(IMAGE, x, y))
    seen.page.wait_for_timeout(300)
    stroke(seen, (x, y), (x - 30, y + 20))
    setup = edited(seen, lambda setup: setup.mask[-1].region != first, f"{name} was not moved")
    moved = setup.mask[-1].region
    wanted = first.moved(-30, 20)
    for side in ("x0", "y0", "x1", "y1"):
        assert getattr(moved.bounding_box, side) == pytest.approx(getattr(wanted.bounding_box, side), abs=2)
    stroke(seen, *grip(moved))
    setup = edited(seen, lambda setup: setup.mask[-1].region != moved, f"{name} was not resized")
    region = setup.mask[-1].region
    assert pixels(region, shape).sum() > pixels(moved, shape).sum() + 50
    rest = ~good_pixels(area.masked(source.detector(), setup.with_(mask=setup.mask[:-1])))
    raster = ~good_pixels(area.masked(source.detector(), setup))
    np.testing.assert_array_equal(raster, rest | pixels(region, shape))
    seen.until(lambda: masked_text(seen) == raster.sum(), "the page counts other pixels")


def test_the_cake_is_that_of_the_library(other: Visit, source: Any, mean: np.ndarray[Any, Any]) -> None:
    seen = other
    setup = autosaved(seen)
    seen.panel("Profile")
    seen.page.get_by_role("button", name="Cake", exact=True).click()
    seen.until(lambda: seen.titled("Cake of mean of 64"))
    section = setup.azimuthal.model_copy(update={"sectors": 90})
    good = good_pixels(area.masked(source.detector(), setup))
    wanted = area.azimuthal(mean.astype(np.float32), setup.with_(azimuthal=section), good=good)["intensity"].values
    script = "m.name == 'area-cake' ? Array.from(m.data.image[0] ?? []) : null"

    def drawn() -> np.ndarray[Any, Any]:
        found = next(each for each in seen.models("ColumnDataSource", script) if each is not None)
        return np.array([np.nan if each is None else each for each in found], float)

    seen.until(lambda: drawn().size == wanted.size)
    np.testing.assert_allclose(drawn().reshape(wanted.shape), wanted, rtol=2e-3, atol=2e-3)
    seen.page.get_by_role("button", name="Profile", exact=True).last.click()


def test_rings_are_fitted_and_a_poni_file_goes_out_and_in(other: Visit, source: Any, tmp_path: Path) -> None:
    seen = other
    x, y = expected().scene.centre
    seen.panel("Centre")
    seen.type_in("Centre x (px)", f"{x + 3}")
    edited(seen, lambda setup: setup.geometry.x == pytest.approx(x + 3), "typed in vain")
    seen.button("Fit rings: robust, all rings that are found around the centre there is")
    setup = edited(seen, lambda setup: abs(setup.geometry.x - x) < 0.5, "the rings were not fitted")
    assert setup.geometry.y == pytest.approx(y, abs=0.5)
    with seen.page.expect_download(timeout=WAIT_MS) as download:
        seen.page.get_by_role("button", name="Export .poni").click()
    download.value.save_as(tmp_path / "out.poni")
    words = (tmp_path / "out.poni").read_text()
    again = area.poni_geometry(words, source.detector().image_shape, "out.poni")
    for name in ("x", "y", "distance", "energy"):
        assert getattr(again, name) == pytest.approx(getattr(setup.geometry, name), rel=1e-6), name
    seen.type_in("Distance (mm)", "71")
    edited(seen, lambda setup: setup.geometry.distance == pytest.approx(0.071), "typed in vain")
    chooser = seen.page.locator("input[type=file][accept*='.poni']").first
    chooser.set_input_files({"name": "out.poni", "mimeType": "text/plain", "buffer": words.encode()})
    taken = edited(seen, lambda now: now.geometry.distance == pytest.approx(again.distance), "not imported")
    assert (taken.geometry.x, taken.geometry.y) == pytest.approx((setup.geometry.x, setup.geometry.y), abs=1e-4)


def written(seen: Visit) -> Any:
    """The setup as the panel Set-up writes it."""
    return area.Setup.from_yaml(seen.page.get_by_label("The setup", exact=True).input_value() or "rois: []")


HOSTILE = "<img src=x onerror=alert(1)>"


def test_hostile_names_are_text_and_edits_are_restored(other: Visit, visit: Callable[..., Visit]) -> None:
    seen = other
    setup = autosaved(seen)
    asked: list[str] = []
    seen.page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    named = setup.with_(
        rois=(setup.rois[0].model_copy(update={"name": HOSTILE}), *setup.rois[1:]),
        mask=(setup.mask[0].model_copy(update={"name": HOSTILE}), *setup.mask[1:]),
    )
    seen.panel("Set-up")
    chooser = seen.page.locator("input[type=file][accept*='.yaml']").first
    chooser.set_input_files({"name": "x.yaml", "mimeType": "text/yaml", "buffer": named.to_yaml().encode()})
    edited(seen, lambda now: now.rois[0].name == HOSTILE, "not taken")
    for panel in ("Mask", "ROIs"):
        seen.panel(panel)
        expect(seen.page.get_by_text(HOSTILE, exact=True).first).to_be_visible(timeout=WAIT_MS)
    seen.page.get_by_text(HOSTILE, exact=True).first.click()
    seen.until(lambda: any(HOSTILE[:10] in label for label in seen.headline()))
    held = autosaved(seen)
    again = complete(visit(tab="area", panel="setup", size=DESK))
    again.button("Restore: go on with these edits; undo brings back what is there now")
    again.until(lambda: written(again) == held, "the edits were not restored")
    seen.panel("Set-up")
    seen.type_in("Name", f"{HOSTILE}.yaml")
    seen.button("Save: as this name, in the folder for outputs")
    seen.page.wait_for_timeout(1000)
    assert asked == []
    assert seen.page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize(
    ("label", "form"), [("Lines for DIALS", "dials"), ("Lines for XDS", "xds"), ("Lines for CrystFEL", "crystfel"), ("Producer configuration", "")]
)  # fmt: skip
def test_exports_for_others_are_those_of_the_library(
    label: str, form: Any, other: Visit, source: Any, tmp_path: Path
) -> None:
    seen = other
    seen.panel("Set-up")
    setup = written(seen)
    seen.pick("Export", label)
    seen.page.wait_for_timeout(500)
    with seen.page.expect_download(timeout=WAIT_MS) as download:
        seen.page.get_by_role("button", name="Download").click()
    download.value.save_as(tmp_path / "out")
    words = (tmp_path / "out").read_text()
    assert len(words) > 100
    if form:
        assert words == area.mask_lines(area.masked(source.detector(), setup), form, operations=setup.mask)
    else:
        assert words == area.producer_text({setup.detector.name or "detector": setup})[0]
        (read,) = area.producer_from_text(words, 12).setups.values()
        assert [roi.name for roi in read.rois]


# --- images and screens


@pytest.mark.parametrize(
    ("button", "title"), [("Std", "Standard deviation"), ("Max", "Maximum"), ("Median", "Median"), ("Hits", "Hits")]
)
def test_averages_are_shown(button: str, title: str, steady: Visit) -> None:
    steady.page.get_by_role("button", name=button, exact=True).click()
    steady.until(lambda: steady.titled(title), f"no {title}", 120)


def test_frames_are_gone_through(steady: Visit, source: Any) -> None:
    seen = steady
    seen.page.get_by_role("button", name="Frame", exact=True).click()
    seen.type_in("Number", "5")
    seen.until(lambda: seen.titled("frame 5, calibrated"))
    seen.page.get_by_role("button", name="Next frame").click()
    seen.until(lambda: seen.titled("frame 6, calibrated"))
    assert seen.link()["frame"] == "6"
    seen.page.get_by_role("button", name="Mean", exact=True).click()


def test_a_link_reproduces_the_view(visit: Callable[..., Visit]) -> None:
    wanted = {"image": "frame", "frame": "7", "scale": "linear", "panel": "profile", "rings": "1", "calibrant": "LaB6", "cake": "1", "mask": "0"}  # fmt: skip
    seen = visit(tab="area", **wanted)
    seen.until(lambda: seen.titled("frame 7, calibrated"), "no frame", 120)
    seen.until(lambda: seen.titled("Cake of frame 7"))
    assert {key: value for key, value in seen.link().items() if key != "tab"} == wanted


def shown(seen: Visit) -> list[dict[str, float]]:
    boxes = seen.models(
        "Figure", "(v => v ? v.el.getBoundingClientRect().toJSON() : null)(Bokeh.index.find_one_by_id(m.id))"
    )
    return [box for box in boxes if box and box["width"] > 0]


def wide(seen: Visit, right: float) -> bool:
    """Whether the plots reach so far to the right."""
    return max(box["right"] for box in shown(seen)) > right


def test_it_fills_every_screen(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(tab="area", size=LAPTOP, panel="profile"))
    for size in (LAPTOP, DESK, WALL):
        seen.page.set_viewport_size({"width": size[0], "height": size[1]})
        seen.until(partial(wide, seen, 0.95 * size[0]))
        seen.page.wait_for_timeout(500)
        page = seen.page.evaluate("[document.documentElement.scrollHeight, innerHeight]")
        assert page[0] <= page[1]
        boxes = shown(seen)
        assert len(boxes) == 4
        assert all(box["height"] >= 90 and box["width"] >= 150 for box in boxes)
        assert max(box["bottom"] for box in boxes) <= size[1]


def test_the_wall_has_no_controls(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(size=WALL, display="wall", tabs="area"))
    expect(seen.page.locator("button:visible")).to_have_count(0)
    seen.until(lambda: seen.titled("Azimuthal mean of"))


def test_screenshot(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(tab="area", size=DESK, panel="profile", rings=1, calibrant="LaB6"))
    seen.until(lambda: len(seen.source("area-sector 0", "y")))
    seen.page.wait_for_timeout(2500)
    assert seen.shoot(SCREENSHOT).stat().st_size > 50_000
