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


def complete(seen: Visit) -> Visit:
    """Wait until everything is read and drawn."""
    expect(seen.page.locator(".dc-strip")).to_contain_text("Complete", timeout=2 * WAIT_MS)
    seen.until(lambda: seen.headline().get("Events"), "no numbers")
    seen.until(lambda: len(seen.source("dl1-charge-pixels", "value")), "no image")
    return seen


def close(found: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> bool:
    """Whether the numbers are these; what has not come yet is not."""
    return found.shape == wanted.shape and np.allclose(found, wanted, rtol=1e-5, equal_nan=True)


def figure(seen: Visit, name: str, what: str) -> Any:
    """A fact of a figure."""
    found = seen.models("Figure", f"m.name == '{name}' ? {what} : null")
    return next((value for value in found if value is not None), "")


def title(seen: Visit, name: str) -> str:
    return str(figure(seen, name, "m.title.text"))


def shows(seen: Visit, one: dl1.OneCamera) -> bool:
    """Whether the charge camera shows this image."""
    found = seen.source("dl1-charge-pixels", "value")
    return found.shape == one.image.shape and bool(np.allclose(found, one.image, rtol=1e-6))


def brightest(event: dl1.Event) -> dl1.OneCamera:
    return max(event.cameras, key=lambda one: float(one.image[one.selected].sum()))


# --- on one page


def test_the_first_event_is_drawn(
    shared: Visit, files: list[Path], first: tuple[int, int], table: pd.DataFrame
) -> None:
    event = dl1.load_event(files[0], *first)
    one = brightest(event)
    shared.until(lambda: shows(shared, one))
    shared.until(lambda: f"Event {first[1]}" in title(shared, "dl1-charge"))
    assert f"{int(one.selected.sum())} pixels kept" in title(shared, "dl1-time")
    times = shared.source("dl1-time-pixels", "value")
    np.testing.assert_array_equal(np.isfinite(times), one.selected)
    shared.until(lambda: len(shared.source("outline", "x0")) > 10)
    assert shared.source("ellipse", "length")[0] == pytest.approx(2 * one.parameters["hillas_length"], rel=1e-6)
    numbers = shared.headline()
    assert numbers["Events"] == "93"
    assert numbers["Images"] == str(len(table))
    expect(
        shared.page.locator(".dc-sheet td", has_text=f"{one.parameters['hillas_intensity']:,.0f}").first
    ).to_be_visible()
    shared.until(lambda: len(shared.source("tiles", "x")) == len(event.cameras))
    assert sorted(shared.source("telescopes", "tel_id")) == list(event.tel_ids)
    assert shared.source("found", "x")[0] == pytest.approx(event.stereo["core_x"], rel=1e-6)


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
        shared.until(lambda: shows(shared, one))  # noqa: B023
        shared.until(lambda: shared.link().get("event") == str(row.event_id))  # noqa: B023
        shared.until(lambda: f"{place + 1} of 93" in title(shared, "dl1-charge"))  # noqa: B023
    assert shared.link()["event"] == str(first[1])


def test_an_event_is_found_by_its_number(
    shared: Visit, files: list[Path], events: pd.DataFrame, first: tuple[int, int]
) -> None:
    row = events.iloc[5]
    shared.type_in("Event", str(row.event_id))
    shared.until(lambda: f"Event {row.event_id}:" in title(shared, "dl1-charge"))
    one = brightest(dl1.load_event(files[0], int(row.obs_id), int(row.event_id)))
    shared.until(lambda: shows(shared, one))
    shared.type_in("Event", str(first[1]))
    shared.until(lambda: f"Event {first[1]}:" in title(shared, "dl1-charge"))


def test_a_click_in_the_array_shows_the_telescope(shared: Visit, files: list[Path], first: tuple[int, int]) -> None:
    event = dl1.load_event(files[0], *first)
    chosen = brightest(event).tel_id
    for tel in (event.tel_ids[0], chosen):
        at = shared.source("telescopes", "tel_id").tolist().index(tel)
        place = shared.spot(
            "m.name == 'dl1-array'", shared.source("telescopes", "x")[at], shared.source("telescopes", "y")[at]
        )
        shared.page.mouse.click(*place)
        shared.until(lambda: shared.link().get("tel") == str(tel))  # noqa: B023
        shared.until(lambda: shows(shared, event.camera(tel)))  # noqa: B023


def test_metres_and_the_simulated_light(shared: Visit, files: list[Path], first: tuple[int, int]) -> None:
    one = brightest(dl1.load_event(files[0], *first))
    shared.button("m")
    shared.until(lambda: figure(shared, "dl1-charge", "m.below[0]?.axis_label") == "x (m)")
    wanted = one.parameters["camera_frame_hillas_length"]
    shared.until(lambda: shared.source("ellipse", "length")[0] == pytest.approx(2 * wanted, rel=1e-6))
    shared.button("Simulated")
    shared.until(lambda: np.array_equal(shared.source("dl1-charge-pixels", "value"), one.true_image))
    shared.button("All")
    shared.button("deg")
    shared.until(lambda: shows(shared, one) and "frame" not in shared.link())


def test_a_box_over_the_images_selects_events(shared: Visit, table: pd.DataFrame, first: tuple[int, int]) -> None:
    shared.panel("Images")
    drawn = table["hillas_intensity"].notna().sum()
    shared.until(lambda: sum(len(shared.source(f"dl1-scatter-{k}", "x")) for k in range(3)) == drawn)
    shared.drag("m.name == 'dl1-scatter'", (3000.0, 0.05), (20000.0, 0.25), lambda: "box" in shared.link())
    x0, x1, y0, y1 = map(float, shared.link()["box"].split(","))
    assert (x0, x1) == (pytest.approx(3000, rel=0.05), pytest.approx(20000, rel=0.05))
    inside = table[table["hillas_intensity"].between(x0, x1) & table["hillas_width"].between(y0, y1)]
    count = len(inside.drop_duplicates(["obs_id", "event_id"]))
    expect(shared.page.get_by_text(re.compile(f"^{len(inside)} images in the box"))).to_be_visible(timeout=WAIT_MS)
    shared.until(lambda: shared.source("dl1-x", "some").sum() == len(inside))
    shared.page.get_by_role("button", name="Next event").click()
    shared.until(lambda: f"of {count}" in title(shared, "dl1-charge"))
    shared.until(lambda: int(shared.link().get("event", -1)) in set(inside["event_id"]))
    ids = shared.page.locator('.tabulator-cell[tabulator-field="event_id"]')
    tels = shared.page.locator('.tabulator-cell[tabulator-field="tel_id"]')
    event, tel = ids.nth(2).inner_text(), tels.nth(2).inner_text()
    ids.nth(2).click()
    shared.until(lambda: shared.link().get("event") == event and shared.link().get("tel") == tel)
    shared.until(lambda: f"Telescope {tel}:" in title(shared, "dl1-time"))
    shared.button("All images")
    shared.until(lambda: "box" not in shared.link())
    shared.type_in("Event", str(first[1]))
    shared.until(lambda: f"Event {first[1]}:" in title(shared, "dl1-charge"))


def test_sliders_clean_at_once(shared: Visit, files: list[Path], first: tuple[int, int]) -> None:
    shared.panel("Cleaning and cuts")
    shown = {"obs": first[0], "event": first[1]} | shared.link()
    shown.setdefault("tel", brightest(dl1.load_event(files[0], *first)).tel_id)
    slider = shared.page.get_by_role("slider").first
    slider.focus()
    for picture in ("10.5", "11.0", "11.5", "12.0"):  # one after the other: each begins where the page is
        slider.press("ArrowRight")
        shared.until(lambda: shared.link().get("picture") == picture)  # noqa: B023
    event = dl1.load_event(files[0], int(shown["obs"]), int(shown["event"]), dl1.Cuts(picture=12.0))
    one = event.camera(int(shown["tel"]))
    shared.until(lambda: f"{int(one.selected.sum())} pixels kept" in title(shared, "dl1-time"))
    kinds = ("LSTCam", "FlashCam", "CHEC")
    data = [dl1.event_table(dl1.reduce(files[0], camera=kind, parts=("table",), picture=12.0)) for kind in kinds]
    share = 100 * (pd.concat(data)["morphology_n_pixels"] > 0).mean()
    shared.until(lambda: shared.headline().get("Survive cleaning") == f"{share:.3g}%")
    shared.button("Reset")
    shared.until(lambda: "picture" not in shared.link())


def test_energies_and_expressions_cut(shared: Visit, files: list[Path], events: pd.DataFrame) -> None:
    shared.panel("Cleaning and cuts")
    shared.until(lambda: shared.source("dl1-energy", "every").sum() == len(events))
    shared.drag("m.name == 'dl1-energy'", (0.5, 3.0), (5.0, 3.0), lambda: "energy_max" in shared.link())
    low, high = float(shared.link()["energy_min"]), float(shared.link()["energy_max"])
    assert (low, high) == (pytest.approx(0.5, rel=0.05), pytest.approx(5, rel=0.05))
    kept = int(events["true_energy"].between(low, high).sum())
    shared.until(lambda: shared.headline()["Events"] == f"{kept}of 93")
    shared.type_in("Condition on the parameters", "hillas_width < 0.1")
    kinds = ("LSTCam", "FlashCam", "CHEC")
    cuts = {"energy_min": low, "energy_max": high, "expression": "hillas_width < 0.1"}
    data = pd.concat([dl1.event_table(dl1.reduce(files[0], camera=kind, parts=("table",), **cuts)) for kind in kinds])
    shared.until(lambda: shared.headline()["Images"].startswith(f"{len(data)}of"))
    shared.type_in("Condition on the parameters", "nonsense < 3")
    expect(shared.page.get_by_text(re.compile("there is no column 'nonsense'"))).to_be_visible(timeout=WAIT_MS)
    shared.button("Reset")
    shared.until(lambda: shared.headline()["Events"] == "93" and "expression" not in shared.link())


def test_pixels_of_a_telescope(shared: Visit, files: list[Path]) -> None:
    shared.panel("Pixels")
    data = dl1.reduce(files[0], camera="LSTCam", parts=("pixels",))
    tel = int(title(shared, "dl1-time").split()[1].strip(":"))
    wanted = data["mean"].sel(telescope=tel).values
    shared.until(lambda: close(shared.source("dl1-statistics-pixels", "value"), wanted))
    flags = dl1.statistics_flags(data)
    bad = shared.page.locator(".tabulator-cell", has_text=re.compile("^dead$"))
    expect(bad.first).to_be_visible(timeout=WAIT_MS)
    assert int(flags["dead"].sum()) <= int(shared.headline()["Dead pixels"])
    shared.type_in("Noisy above", "1000")
    shared.until(lambda: shared.headline()["Noisy pixels"] == "0")
    shared.type_in("Noisy above", "")
    shared.until(lambda: shared.headline()["Noisy pixels"] != "0")


def test_mapped_images_directions_and_the_header(
    shared: Visit, files: list[Path], first: tuple[int, int], table: pd.DataFrame
) -> None:
    shared.panel("Mapped")
    expect(shared.page.get_by_text(re.compile(r"cells of 1,855 pixels"))).to_be_visible(timeout=2 * WAIT_MS)
    one = dl1.load_event(files[0], *first).camera(int(title(shared, "dl1-time").split()[1].strip(":")))
    wanted = dl1.image_mapping(one.camera, "bilinear_interpolation").apply(one.image[None, :, None]).sum()
    script = "m.name == 'dl1-mapped-charge' && m.data.image?.length ? Array.from(m.data.image[0]).flat().reduce((a, b) => a + b, 0) : null"
    shared.until(
        lambda: any(
            found == pytest.approx(wanted, rel=1e-4) for found in shared.models("ColumnDataSource", script) if found
        ),
    )
    shared.panel("Stereo")
    with dl1.open(files[0]) as file:
        found = dl1.stereo_of(table, file)
        metadata = dict(file.metadata)
    expect(shared.page.get_by_text(re.compile(f"^{len(found)} directions of"))).to_be_visible(timeout=2 * WAIT_MS)
    shared.until(lambda: shared.source("dl1-direction-error", "every").sum() == len(found))
    shared.panel("File")
    name = min(metadata)
    expect(shared.page.locator(".tabulator-cell", has_text=name).first).to_be_visible(timeout=WAIT_MS)
    shared.panel("Event")


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
        shared.button("Export")
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
        shared.button("Export")
    shared.button("Copy as command")
    shared.until(lambda: shared.page.evaluate("navigator.clipboard.readText()"))
    words = shlex.split(shared.page.evaluate("navigator.clipboard.readText()"))
    assert words == ["detcore", "dl1", "run", str(files[0]), "--output", "results"]
    shared.button("Export")


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
    seen.until(lambda: shows(seen, one))
    seen.until(lambda: f"{int(one.selected.sum())} pixel" in title(seen, "dl1-time"))
    seen.until(lambda: len(seen.source("dl1-scatter-0", "x")))
    assert figure(seen, "dl1-scatter", "m.below[0]?.axis_label") == "Length (deg)"
    assert {key: value for key, value in seen.link().items() if key != "tab"} == wanted
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
    seen.until(lambda: len(seen.source("tiles", "x")))
    sizes = seen.models("LinearAxis", "m.visible ? parseFloat(m.major_label_text_font_size) : 0")
    assert min(size for size in sizes if size) > 30  # pixels on a 4K screen


def test_screenshot(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(tab="dl1", size=DESK))
    seen.until(lambda: len(seen.source("tiles", "x")))
    page = seen.page.evaluate("[document.documentElement.scrollHeight, innerHeight]")
    assert page[0] <= page[1]
    seen.page.wait_for_timeout(2500)
    assert seen.shoot(SCREENSHOT).stat().st_size > 50_000
