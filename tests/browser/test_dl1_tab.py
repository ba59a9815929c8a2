"""The DL1 tab in a real browser, on the demo; numbers are compared with what `dl1` gives when called here.

Most tests share one page, which they leave as they found it: a page takes long to load.
"""

from __future__ import annotations

import io
import re
import shlex
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
import pytest
import yaml
from playwright.sync_api import expect

from detcore import dl1

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.conftest import Server, Visit

pytestmark = pytest.mark.browser
LAPTOP, DESK, WALL = (1366, 768), (1920, 1080), (3840, 2160)
SCREENSHOT = Path(__file__).parents[2] / "assets" / "screenshots" / "dl1.png"
WAIT_MS = 60_000


@pytest.fixture(scope="module")
def files(server: Server) -> list[Path]:
    """The demo's files, as the server wrote them: as ctapipe does, and in the CTA-ML format."""
    folder = next(Path(server.env["DETCORE_CACHE"]).glob("demo/dl1-*"))
    return [folder / name for name in ("gamma.dl1.h5", "gamma_ctaml.h5")]


@pytest.fixture(scope="module")
def events(files: list[Path]) -> pd.DataFrame:
    with dl1.open(files[0]) as file:
        return file.events


@pytest.fixture(scope="module")
def first(events: pd.DataFrame) -> tuple[int, int]:
    """Run and number of the event that is shown first."""
    row = events.iloc[int(np.argmax(events["multiplicity"]))]
    return int(row.obs_id), int(row.event_id)


@pytest.fixture(scope="module")
def table(files: list[Path]) -> pd.DataFrame:
    """The parameters of all images."""
    kinds = ("LSTCam", "FlashCam", "CHEC")
    return pd.concat([dl1.event_table(dl1.reduce(files[0], camera=kind, parts=("table",))) for kind in kinds])


@pytest.fixture(scope="module")
def shared(keep: Callable[..., Visit]) -> Visit:
    """One page for many tests."""
    return complete(keep(tab="dl1", size=DESK))


def until(seen: Visit, wanted: Callable[[], Any], what: str = "it did not happen", seconds: float = 90) -> None:
    for _ in range(round(seconds * 10)):
        if wanted():
            return
        seen.page.wait_for_timeout(100)
    pytest.fail(what)


def headline(seen: Visit) -> dict[str, str]:
    """Label -> number and unit of the tiles on top."""
    script = """() => {
      const find = (root) => [...root.querySelectorAll('*')].flatMap((el) => [
        ...(el.classList.contains('tile') ? [el] : []), ...(el.shadowRoot ? find(el.shadowRoot) : [])])
      return find(document).map((el) => [el.querySelector('span').textContent, el.querySelector('b').textContent])
    }"""
    return dict(seen.page.evaluate(script))


def complete(seen: Visit) -> Visit:
    """Wait until everything is read and drawn."""
    expect(seen.page.locator(".dc-strip")).to_contain_text("Complete", timeout=2 * WAIT_MS)
    until(seen, lambda: headline(seen).get("Events"), "no numbers")
    until(seen, lambda: len(source(seen, "dl1-charge-pixels", "value")), "no image")
    return seen


def close(found: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> bool:
    """Whether the numbers are these; what has not come yet is not."""
    return found.shape == wanted.shape and np.allclose(found, wanted, rtol=1e-5, equal_nan=True)


def link(seen: Visit) -> dict[str, str]:
    return {key: values[-1] for key, values in parse_qs(urlsplit(seen.page.url).query).items()}


def source(seen: Visit, name: str, column: str) -> np.ndarray[Any, Any]:
    """A column of a source, as the browser has it."""
    found = seen.models("ColumnDataSource", f"m.name == '{name}' ? Array.from(m.data['{column}'] ?? []) : null")
    return np.array(next((values for values in found if values is not None), []), dtype=float)


def figure(seen: Visit, name: str, what: str) -> Any:
    """A fact of a figure."""
    found = seen.models("Figure", f"m.name == '{name}' ? {what} : null")
    return next((value for value in found if value is not None), "")


def title(seen: Visit, name: str) -> str:
    return str(figure(seen, name, "m.title.text"))


def spot(seen: Visit, name: str, x: float, y: float) -> tuple[float, float]:
    """Where a place of a plot is on the screen."""
    script = """([name, x, y]) => {
      const models = Bokeh.documents.flatMap(d => [...d._all_models.values()])
      const plot = models.find(m => m.type == 'Figure' && m.name == name)
      const view = Bokeh.index.find_one_by_id(plot.id)
      const box = view.canvas_view.el.getBoundingClientRect()
      return [box.left + view.frame.x_scale.compute(x), box.top + view.frame.y_scale.compute(y)]
    }"""
    across, down = seen.page.evaluate(script, [name, x, y])
    return across, down


def drag(seen: Visit, name: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    one, two = spot(seen, name, *start), spot(seen, name, *end)
    seen.page.mouse.move(*one)
    seen.page.mouse.down()
    seen.page.mouse.move((one[0] + two[0]) / 2, (one[1] + two[1]) / 2, steps=4)
    seen.page.mouse.move(*two, steps=4)
    seen.page.mouse.up()


def type_in(seen: Visit, label: str, text: str) -> None:
    box = seen.page.get_by_label(label, exact=True)
    box.focus()
    box.press("Control+a")
    if text:
        seen.page.keyboard.type(text)
    else:
        box.press("Delete")
    box.press("Enter")


def panel(seen: Visit, label: str) -> None:
    seen.page.locator(".bk-tab", has_text=re.compile(f"^{re.escape(label)}$")).click()


def button(seen: Visit, name: str) -> None:
    seen.page.get_by_role("button", name=name, exact=True).click()


def shows(seen: Visit, one: dl1.OneCamera) -> bool:
    """Whether the charge camera shows this image."""
    found = source(seen, "dl1-charge-pixels", "value")
    return found.shape == one.image.shape and bool(np.allclose(found, one.image, rtol=1e-6))


def brightest(event: dl1.Event) -> dl1.OneCamera:
    return max(event.cameras, key=lambda one: float(one.image[one.selected].sum()))


# --- on one page


def test_the_first_event_is_drawn(
    shared: Visit, files: list[Path], first: tuple[int, int], table: pd.DataFrame
) -> None:
    event = dl1.load_event(files[0], *first)
    one = brightest(event)
    until(shared, lambda: shows(shared, one))
    until(shared, lambda: f"Event {first[1]}" in title(shared, "dl1-charge"))
    assert f"{int(one.selected.sum())} pixels kept" in title(shared, "dl1-time")
    times = source(shared, "dl1-time-pixels", "value")
    np.testing.assert_array_equal(np.isfinite(times), one.selected)
    until(shared, lambda: len(source(shared, "outline", "x0")) > 10)
    assert source(shared, "ellipse", "length")[0] == pytest.approx(2 * one.parameters["hillas_length"], rel=1e-6)
    numbers = headline(shared)
    assert numbers["Events"] == "93"
    assert numbers["Images"] == str(len(table))
    expect(
        shared.page.locator(".tabulator-cell", has_text=f"{one.parameters['hillas_intensity']:,.0f}").first
    ).to_be_visible()
    until(shared, lambda: len(source(shared, "tiles", "x")) == len(event.cameras))
    assert sorted(source(shared, "telescopes", "tel_id")) == list(event.tel_ids)
    assert source(shared, "reconstructed", "x")[0] == pytest.approx(event.stereo["core_x"], rel=1e-6)


def test_next_and_previous_event(
    shared: Visit, files: list[Path], events: pd.DataFrame, first: tuple[int, int]
) -> None:
    at = int(np.argmax(events["multiplicity"]))
    for name, place in (
        ("Next event", at + 1),
        ("Next event", at + 2),
        ("Previous event", at + 1),
        ("Previous event", at),
    ):
        shared.page.get_by_role("button", name=name).click()
        row = events.iloc[place]
        one = brightest(dl1.load_event(files[0], int(row.obs_id), int(row.event_id)))
        until(shared, lambda: shows(shared, one))  # noqa: B023
        until(shared, lambda: link(shared).get("event") == str(row.event_id))  # noqa: B023
        until(shared, lambda: f"{place + 1} of 93" in title(shared, "dl1-charge"))  # noqa: B023
    assert link(shared)["event"] == str(first[1])


def test_an_event_is_found_by_its_number(
    shared: Visit, files: list[Path], events: pd.DataFrame, first: tuple[int, int]
) -> None:
    row = events.iloc[5]
    type_in(shared, "Event", str(row.event_id))
    until(shared, lambda: f"Event {row.event_id}:" in title(shared, "dl1-charge"))
    one = brightest(dl1.load_event(files[0], int(row.obs_id), int(row.event_id)))
    until(shared, lambda: shows(shared, one))
    type_in(shared, "Event", str(first[1]))
    until(shared, lambda: f"Event {first[1]}:" in title(shared, "dl1-charge"))


def test_a_click_in_the_array_shows_the_telescope(shared: Visit, files: list[Path], first: tuple[int, int]) -> None:
    event = dl1.load_event(files[0], *first)
    chosen = brightest(event).tel_id
    for tel in (event.tel_ids[0], chosen):
        at = source(shared, "telescopes", "tel_id").tolist().index(tel)
        place = spot(shared, "dl1-array", source(shared, "telescopes", "x")[at], source(shared, "telescopes", "y")[at])
        shared.page.mouse.click(*place)
        until(shared, lambda: link(shared).get("tel") == str(tel))  # noqa: B023
        until(shared, lambda: shows(shared, event.camera(tel)))  # noqa: B023


def test_metres_and_the_simulated_light(shared: Visit, files: list[Path], first: tuple[int, int]) -> None:
    one = brightest(dl1.load_event(files[0], *first))
    button(shared, "m")
    until(shared, lambda: figure(shared, "dl1-charge", "m.below[0]?.axis_label") == "x (m)")
    wanted = one.parameters["camera_frame_hillas_length"]
    until(shared, lambda: source(shared, "ellipse", "length")[0] == pytest.approx(2 * wanted, rel=1e-6))
    button(shared, "Simulated")
    until(shared, lambda: np.array_equal(source(shared, "dl1-charge-pixels", "value"), one.true_image))
    button(shared, "All")
    button(shared, "deg")
    until(shared, lambda: shows(shared, one) and "frame" not in link(shared))


def test_a_box_over_the_images_selects_events(shared: Visit, table: pd.DataFrame, first: tuple[int, int]) -> None:
    panel(shared, "Images")
    drawn = table["hillas_intensity"].notna().sum()
    until(shared, lambda: sum(len(source(shared, f"dl1-scatter-{k}", "x")) for k in range(3)) == drawn)
    drag(shared, "dl1-scatter", (3000.0, 0.05), (20000.0, 0.25))
    until(shared, lambda: "box" in link(shared))
    x0, x1, y0, y1 = map(float, link(shared)["box"].split(","))
    assert (x0, x1) == (pytest.approx(3000, rel=0.05), pytest.approx(20000, rel=0.05))
    inside = table[table["hillas_intensity"].between(x0, x1) & table["hillas_width"].between(y0, y1)]
    count = len(inside.drop_duplicates(["obs_id", "event_id"]))
    expect(shared.page.get_by_text(re.compile(f"^{len(inside)} images in the box"))).to_be_visible(timeout=WAIT_MS)
    until(shared, lambda: source(shared, "dl1-x", "some").sum() == len(inside))
    shared.page.get_by_role("button", name="Next event").click()
    until(shared, lambda: f"of {count}" in title(shared, "dl1-charge"))
    until(shared, lambda: int(link(shared).get("event", -1)) in set(inside["event_id"]))
    ids = shared.page.locator('.tabulator-cell[tabulator-field="event_id"]')
    tels = shared.page.locator('.tabulator-cell[tabulator-field="tel_id"]')
    event, tel = ids.nth(2).inner_text(), tels.nth(2).inner_text()
    ids.nth(2).click()
    until(shared, lambda: link(shared).get("event") == event and link(shared).get("tel") == tel)
    until(shared, lambda: f"Telescope {tel}:" in title(shared, "dl1-time"))
    button(shared, "All images")
    until(shared, lambda: "box" not in link(shared))
    type_in(shared, "Event", str(first[1]))
    until(shared, lambda: f"Event {first[1]}:" in title(shared, "dl1-charge"))


def test_sliders_clean_at_once(shared: Visit, files: list[Path], first: tuple[int, int]) -> None:
    panel(shared, "Cleaning and cuts")
    shown = {"obs": first[0], "event": first[1]} | link(shared)
    shown.setdefault("tel", brightest(dl1.load_event(files[0], *first)).tel_id)
    slider = shared.page.get_by_role("slider").first
    slider.focus()
    for picture in ("10.5", "11.0", "11.5", "12.0"):  # one after the other: each begins where the page is
        slider.press("ArrowRight")
        until(shared, lambda: link(shared).get("picture") == picture)  # noqa: B023
    event = dl1.load_event(files[0], int(shown["obs"]), int(shown["event"]), dl1.Cuts(picture=12.0))
    one = event.camera(int(shown["tel"]))
    until(shared, lambda: f"{int(one.selected.sum())} pixels kept" in title(shared, "dl1-time"))
    kinds = ("LSTCam", "FlashCam", "CHEC")
    data = [dl1.event_table(dl1.reduce(files[0], camera=kind, parts=("table",), picture=12.0)) for kind in kinds]
    share = 100 * (pd.concat(data)["morphology_n_pixels"] > 0).mean()
    until(shared, lambda: headline(shared).get("Survive cleaning") == f"{share:.3g}%")
    button(shared, "Reset")
    until(shared, lambda: "picture" not in link(shared))


def test_energies_and_expressions_cut(shared: Visit, files: list[Path], events: pd.DataFrame) -> None:
    panel(shared, "Cleaning and cuts")
    until(shared, lambda: source(shared, "dl1-energy", "every").sum() == len(events))
    drag(shared, "dl1-energy", (0.5, 3.0), (5.0, 3.0))
    until(shared, lambda: "energy_max" in link(shared))
    low, high = float(link(shared)["energy_min"]), float(link(shared)["energy_max"])
    assert (low, high) == (pytest.approx(0.5, rel=0.05), pytest.approx(5, rel=0.05))
    kept = int(events["true_energy"].between(low, high).sum())
    until(shared, lambda: headline(shared)["Events"] == f"{kept}of 93")
    type_in(shared, "Condition on the parameters", "hillas_width < 0.1")
    kinds = ("LSTCam", "FlashCam", "CHEC")
    cuts = {"energy_min": low, "energy_max": high, "expression": "hillas_width < 0.1"}
    data = pd.concat([dl1.event_table(dl1.reduce(files[0], camera=kind, parts=("table",), **cuts)) for kind in kinds])
    until(shared, lambda: headline(shared)["Images"].startswith(f"{len(data)}of"))
    type_in(shared, "Condition on the parameters", "nonsense < 3")
    expect(shared.page.get_by_text(re.compile("there is no column 'nonsense'"))).to_be_visible(timeout=WAIT_MS)
    button(shared, "Reset")
    until(shared, lambda: headline(shared)["Events"] == "93" and "expression" not in link(shared))


def test_pixels_of_a_telescope(shared: Visit, files: list[Path]) -> None:
    panel(shared, "Pixels")
    data = dl1.reduce(files[0], camera="LSTCam", parts=("pixels",))
    tel = int(title(shared, "dl1-time").split()[1].strip(":"))
    wanted = data["mean"].sel(telescope=tel).values
    until(shared, lambda: close(source(shared, "dl1-statistics-pixels", "value"), wanted))
    flags = dl1.statistics_flags(data)
    bad = shared.page.locator(".tabulator-cell", has_text=re.compile("^dead$"))
    expect(bad.first).to_be_visible(timeout=WAIT_MS)
    assert int(flags["dead"].sum()) <= int(headline(shared)["Dead pixels"])
    type_in(shared, "Noisy above", "1000")
    until(shared, lambda: headline(shared)["Noisy pixels"] == "0")
    type_in(shared, "Noisy above", "")
    until(shared, lambda: headline(shared)["Noisy pixels"] != "0")


def test_mapped_images_directions_and_the_header(
    shared: Visit, files: list[Path], first: tuple[int, int], table: pd.DataFrame
) -> None:
    panel(shared, "Mapped")
    expect(shared.page.get_by_text(re.compile(r"cells of 1,855 pixels"))).to_be_visible(timeout=2 * WAIT_MS)
    one = dl1.load_event(files[0], *first).camera(int(title(shared, "dl1-time").split()[1].strip(":")))
    wanted = dl1.image_mapping(one.camera, "bilinear_interpolation").apply(one.image[None, :, None]).sum()
    script = "m.name == 'dl1-mapped-charge' && m.data.image?.length ? Array.from(m.data.image[0]).flat().reduce((a, b) => a + b, 0) : null"
    until(
        shared,
        lambda: any(
            found == pytest.approx(wanted, rel=1e-4) for found in shared.models("ColumnDataSource", script) if found
        ),
    )
    panel(shared, "Stereo")
    with dl1.open(files[0]) as file:
        found = dl1.stereo_of(table, file)
        metadata = dict(file.metadata)
    expect(shared.page.get_by_text(re.compile(f"^{len(found)} directions of"))).to_be_visible(timeout=2 * WAIT_MS)
    until(shared, lambda: source(shared, "dl1-direction-error", "every").sum() == len(found))
    panel(shared, "File")
    name = min(metadata)
    expect(shared.page.locator(".tabulator-cell", has_text=name).first).to_be_visible(timeout=WAIT_MS)
    panel(shared, "Event")


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("Plots (PNG)", "dl1.png"),
        ("Image parameters (CSV)", "parameters.csv"),
        ("Dead and noisy pixels (YAML)", "pixels.yaml"),
        ("Mapped images (HDF5)", "images.h5"),
        ("Settings (YAML)", "settings.yaml"),
        ("All products (ZIP)", "dl1.zip"),
    ],
)
def test_exports_open_again(label: str, name: str, shared: Visit, table: pd.DataFrame, tmp_path: Path) -> None:
    if not shared.page.get_by_role("button", name="Copy as command").is_visible():
        button(shared, "Export")
    with shared.page.expect_download(timeout=2 * WAIT_MS) as download:
        shared.page.get_by_role("button", name=label).click()
    assert download.value.suggested_filename == name
    download.value.save_as(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    if name == "dl1.png":
        assert content.startswith(b"\x89PNG")
    if name == "parameters.csv":
        found = pd.read_csv(tmp_path / name)
        assert len(found) == len(table)
        assert found["hillas_width"].sum() == pytest.approx(table["hillas_width"].sum(), rel=1e-9)
    if name == "pixels.yaml":
        assert yaml.safe_load(content)["camera"] == "LSTCam"
    if name == "images.h5":
        assert content.startswith(b"\x89HDF")
    if name == "settings.yaml":
        assert dl1.Cuts.from_yaml(content.decode()) == dl1.Cuts()
    if name == "dl1.zip":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert archive.testzip() is None
            assert "dl1/settings.yaml" in archive.namelist()


def test_the_command_line_can_be_copied(shared: Visit, files: list[Path]) -> None:
    if not shared.page.get_by_role("button", name="Copy as command").is_visible():
        button(shared, "Export")
    button(shared, "Copy as command")
    until(shared, lambda: shared.page.evaluate("navigator.clipboard.readText()"))
    words = shlex.split(shared.page.evaluate("navigator.clipboard.readText()"))
    assert words == ["detcore", "dl1", "run", str(files[0]), "--output", "results"]
    button(shared, "Export")


# --- on pages of their own


def test_a_link_reproduces_the_view(visit: Callable[..., Visit], files: list[Path], events: pd.DataFrame) -> None:
    row = events[events["multiplicity"] > 3].iloc[3]
    event = dl1.load_event(files[1], int(row.obs_id), int(row.event_id), dl1.Cuts(picture=8.0, boundary=4.0))
    one = event.cameras[-1]
    wanted = {
        "file": "1", "obs": str(row.obs_id), "event": str(row.event_id), "tel": str(one.tel_id), "panel": "images",
        "x": "hillas_length", "box": "0.05,0.5,0.01,0.3", "picture": "8.0", "boundary": "4.0", "scale": "log",
    }  # fmt: skip
    seen = complete(visit(tab="dl1", size=LAPTOP, **wanted))
    until(seen, lambda: shows(seen, one))
    until(seen, lambda: f"{int(one.selected.sum())} pixel" in title(seen, "dl1-time"))
    until(seen, lambda: len(source(seen, "dl1-scatter-0", "x")))
    assert figure(seen, "dl1-scatter", "m.below[0]?.axis_label") == "Length (deg)"
    assert {key: value for key, value in link(seen).items() if key != "tab"} == wanted
    page = seen.page.evaluate("[document.documentElement.scrollHeight, innerHeight]")
    assert page[0] <= page[1]


def test_a_wrong_link_is_told_and_the_rest_is_shown(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(tab="dl1", event="many", expression="import os", nonsense=1))
    seen.page.locator(".dc-log").click()
    for words in ("event", "expression", "nonsense"):
        expect(seen.page.locator(".panel")).to_contain_text(words)


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>.h5"])
def test_a_broken_file_is_explained(
    name: str, serve: Callable[..., Server], visit: Callable[..., Visit], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\n and then nothing of use")
    seen = visit(on=serve(roots=[tmp_path], ready=False), tab="dl1", path=name)
    seen.page.on("dialog", lambda _: pytest.fail("a file name was run as a script"))
    expect(seen.page.locator(".dc-strip")).to_contain_text("Failed", timeout=WAIT_MS)
    expect(seen.page.locator(".dc-plain", has_text=name).first).to_be_visible()
    assert seen.page.locator("img[src=x]").count() == 0


def test_the_wall_has_no_controls(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(size=WALL, display="wall", tabs="dl1"))
    expect(seen.page.locator("button:visible")).to_have_count(0)
    until(seen, lambda: len(source(seen, "tiles", "x")))
    sizes = seen.models("LinearAxis", "m.visible ? parseFloat(m.major_label_text_font_size) : 0")
    assert min(size for size in sizes if size) > 30  # pixels on a 4K screen


def test_screenshot(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(tab="dl1", size=DESK))
    until(seen, lambda: len(source(seen, "tiles", "x")))
    page = seen.page.evaluate("[document.documentElement.scrollHeight, innerHeight]")
    assert page[0] <= page[1]
    seen.page.wait_for_timeout(2500)
    assert seen.shoot(SCREENSHOT).stat().st_size > 50_000
