"""The showers tab in a real browser, on the demo; numbers are compared with what `showers` gives when called here.

Most tests share one page, which they leave as they found it: a page takes long to load.
"""

from __future__ import annotations

import io
import re
import shlex
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from playwright.sync_api import expect

from dashboard.tabs.showers.look import from_text
from detcore import showers

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.conftest import Server, Visit

pytestmark = pytest.mark.browser
LAPTOP, DESK, WALL = (1366, 768), (1920, 1080), (3840, 2160)
SCREENSHOT = Path(__file__).parents[2] / "assets" / "screenshots" / "showers.png"
WAIT_MS = 60_000


@pytest.fixture(scope="module")
def files(server: Server) -> list[Path]:
    """The demo's files, as the server wrote them: photons, other photons, pions."""
    folder = next(Path(server.env["DETCORE_CACHE"]).glob("demo/showers-*"))
    names = ("photons_geant4_like.h5", "photons_generated.h5", "pions_parametrised.h5")
    return [folder / name for name in names]


@pytest.fixture(scope="module")
def results(files: list[Path]) -> list[xr.Dataset]:
    return [showers.reduce(path) for path in files[:2]]


@pytest.fixture(scope="module")
def pages() -> list[tuple[Visit, int]]:
    """Pages that were opened, and how many tests had failed by then."""
    return []


@pytest.fixture
def shared(keep: Callable[..., Visit], pages: list[tuple[Visit, int]], request: pytest.FixtureRequest) -> Visit:
    """One page for many tests; a new one after a test that failed and left it in whatever state."""
    if not pages or pages[-1][1] != request.session.testsfailed:
        pages.append((complete(keep(tab="showers", size=DESK)), request.session.testsfailed))
    return pages[-1][0]


def close(found: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any], rtol: float) -> bool:
    """Whether the numbers are these; what has not come yet is not."""
    return found.shape == wanted.shape and np.allclose(found, wanted, rtol=rtol)


def complete(seen: Visit) -> Visit:
    """Wait until everything is read and drawn."""
    expect(seen.page.locator(".dc-strip")).to_contain_text("Complete", timeout=2 * WAIT_MS)
    seen.until(lambda: seen.headline().get("Showers"), "no numbers")
    seen.until(lambda: cloud(seen)["points"] > 0, "no cloud")
    assert ledger(seen) == []
    return seen


def ledger(seen: Visit) -> list[str]:
    """The lines of the error ledger."""
    script = """() => Bokeh.documents.flatMap(d => [...d._all_models.values()])
      .map(m => m.data?.attributes?.problems).find(one => one !== undefined)"""
    return list(seen.page.evaluate(script))


def cloud(seen: Visit) -> dict[str, Any]:
    """What the 3-D view was sent: how many points, its title, cut and colours."""
    script = """() => {
      const all = Bokeh.documents.flatMap(d => [...d._all_models.values()])
      const data = all.map(m => m.data).find(d => d?.attributes?.cloud !== undefined)?.attributes
      if (!data) return {points: 0}
      const raw = data.cloud instanceof ArrayBuffer ? data.cloud : (data.cloud.buffer ?? data.cloud)
      const offset = data.cloud.byteOffset ?? 0
      const read = (of, key) => of instanceof Map ? of.get(key) : of?.[key]
      return {points: raw.byteLength ? new Int32Array(raw.slice(offset, offset + 4))[0] : 0, title: read(data.words, "title"),
        cut: data.cut, colour: data.colour, first: data.first_layer, last: data.last_layer}
    }"""
    return dict(seen.page.evaluate(script))


def curve(seen: Visit, figure: str, number: int, column: str) -> np.ndarray[Any, Any]:
    """A column of curve `number` of an overlay, as the browser has it."""
    script = """([figure, name, column]) => {
      const all = Bokeh.documents.flatMap(d => [...d._all_models.values()])
      const plot = all.find(m => m.type == 'Figure' && m.name == figure)
      const source = plot?.renderers.map(r => r.data_source).find(s => s?.name == name)
      return Array.from(source?.data[column] ?? [])
    }"""
    return np.array(seen.page.evaluate(script, [f"showers-{figure}", f"overlay {number}", column]), dtype=float)


def image(seen: Visit, name: str) -> float:
    """The sum of what a projection shows."""
    script = f"m.name == 'projection {name}' && m.data.image?.length ? Array.from(m.data.image[0]).filter(isFinite).reduce((a, b) => a + b, 0) : null"
    return float(next((value for value in seen.models("ColumnDataSource", script) if value is not None), 0.0))


def shows(seen: Visit, wanted: list[xr.Dataset]) -> bool:
    """Whether the longitudinal profiles are those of these results."""
    found = [curve(seen, "layers", number, "value") for number in range(len(wanted))]
    return all(
        one.size and np.allclose(one, 1e3 * data["energy_per_layer"].values[: len(one)], rtol=1e-9)
        for one, data in zip(found, wanted, strict=True)
    )


# --- on one page


def test_profiles_and_numbers_are_those_of_the_library(shared: Visit, results: list[xr.Dataset]) -> None:
    shared.until(lambda: shows(shared, results))
    errors = 1e3 * results[1]["energy_per_layer_error"].values
    found = curve(shared, "layers", 1, "error")
    np.testing.assert_allclose(found, errors[: len(found)], rtol=1e-9)
    ratio = curve(shared, "layers", 1, "ratio")
    first, second = (one["energy_per_layer"].values[: len(ratio)] for one in results)
    known = first > 0
    np.testing.assert_allclose(ratio[known], (second / np.where(known, first, 1))[known], rtol=1e-9)
    rings = curve(shared, "radius", 0, "value")
    np.testing.assert_allclose(rings, 1e3 * results[0]["energy_per_radius"].values[: len(rings)], rtol=1e-9)
    numbers = shared.headline()
    assert numbers["Showers"] == "300"
    assert numbers["Hits"] == f"{float(results[0]['n_hits'].mean()):,.0f}/ shower"
    assert numbers["E vis / E inc"] == f"{100 * float(results[0]['energy_ratio'].mean()):.3g}%"


def test_the_next_shower_is_shown_in_all_views(shared: Visit, files: list[Path]) -> None:
    for name, number in (("Next shower", 1), ("Next shower", 2), ("Previous shower", 1)):
        shared.page.get_by_role("button", name=name).click()
        points = showers.read_shower(files[0], number)
        shared.until(lambda: cloud(shared)["title"].startswith(f"Shower {number}:"))  # noqa: B023
        assert cloud(shared)["points"] == len(points)
        shared.until(lambda: image(shared, "xy") == pytest.approx(1e3 * points[:, 3].sum(dtype=float), rel=0.03))  # noqa: B023
        shared.until(lambda: shared.link().get("shower") == str(number))  # noqa: B023
    shared.type_in("Shower", "0")
    shared.until(lambda: "shower" not in shared.link())


def test_another_file_is_chosen(shared: Visit, results: list[xr.Dataset]) -> None:
    hits = [f"{float(one['n_hits'].mean()):,.0f}/ shower" for one in results]
    names = ("photons_geant4_like", "photons_generated")
    for sample in (1, 0):
        shared.pick("File", names[sample])
        shared.until(lambda: shared.headline()["Hits"] == hits[sample])  # noqa: B023
        shared.until(lambda: names[sample] in cloud(shared)["title"])  # noqa: B023
        assert shared.link().get("sample", "0") == str(sample)


def test_the_mean_of_all_takes_the_place_of_one(shared: Visit, results: list[xr.Dataset]) -> None:
    shared.button("Mean of all")
    total = float(results[0]["map_xl"].sum())
    shared.until(lambda: image(shared, "lx") == pytest.approx(total, rel=0.02))
    shared.until(lambda: "on top of each other" in cloud(shared)["title"])
    shared.button("Single")
    shared.until(lambda: cloud(shared)["title"].startswith("Shower 0:"))


def test_energies_are_selected_by_dragging_over_their_histogram(shared: Visit, files: list[Path]) -> None:
    shared.drag("m.name == 'showers-energy'", (20.0, 5.0), (35.0, 5.0), lambda: "energy_max" in shared.link())
    low, high = float(shared.link()["energy_min"]), float(shared.link()["energy_max"])
    assert (low, high) == (pytest.approx(20, abs=0.7), pytest.approx(35, abs=0.7))
    wanted = [showers.reduce(path, energy_min=low, energy_max=high) for path in files[:2]]
    shared.until(lambda: shows(shared, wanted))
    assert shared.headline()["Showers"] == f"{int(wanted[0]['n_showers'])}of 300"
    chosen = wanted[0]["shower"].values
    shared.until(lambda: cloud(shared)["title"].startswith(f"Shower {chosen[0]}:"))
    shared.page.get_by_role("button", name="Next shower").click()
    shared.until(lambda: cloud(shared)["title"].startswith(f"Shower {chosen[1]}:"))
    theta = np.histogram(wanted[0]["theta"].values, 10)[0].sum()
    assert shared.source("showers-angle-0", "y").sum() == theta == int(wanted[0]["n_showers"])
    shared.type_in("θ ≤ (°)", "4")
    wanted = [showers.reduce(path, energy_min=low, energy_max=high, angle_max=4) for path in files[:2]]
    shared.until(lambda: shows(shared, wanted))
    shared.button("All")
    shared.until(lambda: shared.headline()["Showers"] == "300")
    shared.type_in("Shower", "0")


def test_an_impossible_range_is_explained(shared: Visit) -> None:
    shared.type_in("E ≥ (GeV)", "30")
    shared.until(lambda: shared.link().get("energy_min") == "30.0")
    shared.type_in("E ≤ (GeV)", "20")
    expect(shared.page.get_by_text(re.compile("expected energy_min <= energy_max"))).to_be_visible(timeout=WAIT_MS)
    shared.type_in("E ≥ (GeV)", "")
    shared.until(lambda: "energy_min" not in shared.link())


def test_the_mip_cut_is_dragged_over_the_spectrum(shared: Visit, files: list[Path]) -> None:
    shared.panel("Cells")
    shared.until(lambda: curve(shared, "spectrum", 0, "value").size)
    whole = showers.reduce(files[0], parts=("spectra",))
    found = curve(shared, "spectrum", 0, "value")
    wanted = whole["cells_ecal"].values / 300
    assert found.sum() == pytest.approx(wanted.sum(), rel=1e-9)
    place = next(value for value in shared.models("Span", "m.name == 'showers-cut' ? m.location : null") if value)
    height = float(found[found > 0].mean())
    shared.drag(
        "m.name == 'showers-spectrum'",
        (place, height),
        (0.3, height),
        lambda: float(shared.link().get("ecal_threshold", 0)) == pytest.approx(0.3, rel=0.1),
    )
    cut = float(shared.link()["ecal_threshold"])
    data = showers.reduce(files[0], ecal_threshold=cut)
    shared.until(lambda: shared.headline()["Hits"] == f"{float(data['n_hits'].mean()):.3g}/ shower")
    np.testing.assert_allclose(curve(shared, "spectrum", 0, "value").sum(), wanted.sum(), rtol=1e-9)  # before the cut
    shared.button("Detector's cuts")
    shared.until(lambda: "ecal_threshold" not in shared.link())


def test_observables_are_overlaid(shared: Visit, results: list[xr.Dataset]) -> None:
    shared.panel("Observables")
    named = {"photons_geant4_like": results[0], "photons_generated": results[1]}
    wanted = showers.overlay(named, "energy_ratio", 40)
    shared.until(lambda: curve(shared, "observable", 1, "value").size)
    np.testing.assert_allclose(curve(shared, "observable", 1, "value"), wanted["density"].values[1], rtol=1e-9)
    shared.button("Showers")
    shared.until(lambda: curve(shared, "observable", 1, "value").tolist() == wanted["counts"].values[1].tolist())
    shared.button("Share")
    shared.until(lambda: "area" not in shared.link())


def test_distances_are_in_a_table_and_a_click_draws_the_observable(shared: Visit, results: list[xr.Dataset]) -> None:
    shared.panel("Distances")
    wanted = showers.compare(*results)
    ks = wanted.loc["n_hits", ["ks", "ks_error"]]
    places = max(0, 1 - int(np.floor(np.log10(ks["ks_error"]))))
    text = f"{ks['ks']:.{places}f} ± {ks['ks_error']:.{places}f}"
    expect(shared.page.locator(".tabulator-cell", has_text=text).first).to_be_visible(timeout=WAIT_MS)
    shared.page.locator(".tabulator-cell", has_text=showers.OBSERVABLES["center_layer"][0]).first.click()
    shared.until(lambda: shared.link().get("observable") == "center_layer")
    counts = showers.overlay({"a": results[0], "b": results[1]}, "center_layer", 40)["density"].values[0]
    shared.until(lambda: close(curve(shared, "observable", 0, "value"), counts, rtol=1e-9))


def test_response_and_correlations(shared: Visit, results: list[xr.Dataset]) -> None:
    shared.panel("Response")
    wanted = showers.linearity(results[1])
    shared.until(lambda: shared.source("showers-response-1", "y").size)
    np.testing.assert_allclose(shared.source("showers-response-1", "y"), 100 * wanted["response"], rtol=1e-9)
    np.testing.assert_allclose(shared.source("showers-resolution-1", "y"), 100 * wanted["resolution"], rtol=1e-9)
    shared.panel("Correlations")
    shared.until(lambda: shared.source("showers-correlations", "r").size)
    matrix = showers.correlations(results[0]).to_numpy().ravel()
    np.testing.assert_allclose(shared.source("showers-correlations", "r").astype(float), matrix, rtol=1e-6)


def test_operations_are_tried_taken_back_and_saved(shared: Visit, server: Server, files: list[Path]) -> None:
    shared.panel("Preview")
    raw = showers.read_ragged(files[0], 0, 1)
    shared.button("Cluster")
    clustered = showers.transform(raw, from_text("c"))
    shared.until(lambda: cloud(shared)["points"] == len(clustered.points))
    shared.type_in("r < (mm)", "60")
    shared.button("Filter")
    shared.until(lambda: shared.link().get("ops", "").startswith("c/f:60"))
    both = showers.transform(raw, from_text(shared.link()["ops"]))
    shared.until(lambda: cloud(shared)["points"] == len(both.points))
    expect(shared.page.locator(".tabulator-cell", has_text=f"{len(both.points):,.4g}").first).to_be_visible()
    shared.button("Before")
    shared.until(lambda: cloud(shared)["points"] == len(raw.points))
    shared.button("After")
    shared.button("Undo")
    shared.until(lambda: shared.link().get("ops") == "c" and cloud(shared)["points"] == len(clustered.points))
    shared.button("Redo")
    shared.until(lambda: cloud(shared)["points"] == len(both.points))
    shared.type_in("New file", "tried")
    shared.button("Save to a new file")
    expect(shared.page.get_by_text(re.compile("Wrote 300 showers"))).to_be_visible(timeout=WAIT_MS)
    saved = Path(server.env["DETCORE_CACHE"]) / "outputs" / "tried.h5"
    np.testing.assert_array_equal(showers.read_ragged(saved, 0, 1).points, both.points)
    shared.button("Save to a new file")
    expect(shared.page.get_by_text(re.compile("exists already")).first).to_be_visible(timeout=WAIT_MS)
    saved.unlink()
    shared.button("Clear")
    shared.until(lambda: "ops" not in shared.link())
    shared.panel("Profiles")


def test_a_cut_in_the_cloud_cuts_the_projections(shared: Visit, files: list[Path]) -> None:
    points = showers.read_shower(files[0], 0)
    shared.page.evaluate("""() => Bokeh.documents.flatMap(d => [...d._all_models.values()]).map(m => m.data)
        .filter(d => d?.attributes?.cloud !== undefined).forEach(d => { d.cut = 0.5; d.first_layer = 8 })""")
    shared.until(lambda: shared.link().get("seen_cut") == "0.5" and shared.link().get("seen_from") == "8")
    kept = points[(points[:, 3] * np.float32(1e3) >= 0.5) & (np.floor(points[:, 2] + 0.5) >= 8)]
    shared.until(lambda: image(shared, "ly") == pytest.approx(1e3 * kept[:, 3].sum(dtype=float), rel=0.03))
    shared.page.evaluate("""() => Bokeh.documents.flatMap(d => [...d._all_models.values()]).map(m => m.data)
        .filter(d => d?.attributes?.cloud !== undefined).forEach(d => { d.cut = 0; d.first_layer = 0 })""")
    shared.until(lambda: "seen_cut" not in shared.link() and "seen_from" not in shared.link())


@pytest.mark.parametrize(
    ("label", "name", "start"),
    [
        ("Plots (PNG)", "showers.png", b"\x89PNG"),
        ("Observables of each shower (CSV)", "showers.csv", b"shower,"),
        ("Distances (CSV)", "distances.csv", b""),
        ("Result (HDF5, netCDF4)", "result.nc", b"\x89HDF"),
        ("Settings (YAML)", "settings.yaml", b""),
        ("All products (ZIP)", "showers.zip", b"PK"),
    ],
)
def test_exports_open_again(
    label: str, name: str, start: bytes, shared: Visit, results: list[xr.Dataset], tmp_path: Path
) -> None:
    if not shared.page.get_by_role("button", name="Copy as command").is_visible():
        shared.button("Export")
    with shared.page.expect_download(timeout=2 * WAIT_MS) as download:
        shared.page.get_by_role("button", name=label).click()
    assert download.value.suggested_filename == name
    download.value.save_as(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert content.startswith(start)
    if name == "showers.png":
        assert min(matplotlib.image.imread(tmp_path / name).shape[:2]) > 400
    if name == "showers.csv":
        table = pd.read_csv(tmp_path / name, index_col="shower")
        np.testing.assert_allclose(table["visible_energy"], results[0]["visible_energy"], rtol=1e-9)
    if name == "distances.csv":
        table = pd.read_csv(tmp_path / name, index_col="observable")
        np.testing.assert_allclose(table["w1"], showers.compare(*results)["w1"], rtol=1e-9)
    if name == "result.nc":
        with xr.open_dataset(tmp_path / name, engine="h5netcdf") as result:
            np.testing.assert_array_equal(result["map_xy"], results[0]["map_xy"])
            assert "provenance" in result.attrs
    if name == "settings.yaml":
        assert showers.Cuts.from_yaml(content.decode()) == showers.Cuts()
    if name == "showers.zip":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert archive.testzip() is None
            names = set(archive.namelist())
        assert {"showers/comparison.csv", "showers/photons_generated.nc", "showers/settings.yaml"} <= names


def test_the_command_line_can_be_copied(shared: Visit, files: list[Path]) -> None:
    if not shared.page.get_by_role("button", name="Copy as command").is_visible():
        shared.button("Export")
    shared.button("Copy as command")
    shared.until(lambda: shared.page.evaluate("navigator.clipboard.readText()"))
    words = shlex.split(shared.page.evaluate("navigator.clipboard.readText()"))
    assert words == ["detcore", "showers", "compare", *map(str, files[:2])]
    shared.button("Export")


# --- on pages of their own


def test_a_link_reproduces_the_view(visit: Callable[..., Visit], files: list[Path]) -> None:
    wanted = {
        "path": f"{files[2].parent.name}/{files[2].name}", "pdg": "211", "energy_min": "10.0", "shower": "7", "colour": "time",
        "panel": "correlations", "seen_from": "2", "ops": "s", "stage": "before",
    }  # fmt: skip
    seen = complete(visit(tab="showers", size=LAPTOP, **wanted))
    data = showers.reduce(files[2], energy_min=10, pdg=(211,))
    seen.until(lambda: seen.headline()["Showers"] == f"{int(data['n_showers'])}of 300")
    number = int(data["shower"].values[np.searchsorted(data["shower"].values, 7)])
    seen.until(lambda: cloud(seen)["title"].startswith(f"Shower {number}:"))
    assert (cloud(seen)["colour"], cloud(seen)["first"]) == ("time", 2)
    seen.until(lambda: seen.source("showers-correlations", "r").size)
    assert {key: value for key, value in seen.link().items() if key != "tab"} == wanted


def test_a_wrong_link_is_told_and_the_rest_is_shown(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(tab="showers", ops="f:1,2", colour="magic", nonsense=1))
    seen.page.locator(".dc-log").click()
    for words in ("f:mm,MeV,MeV", "colour", "nonsense"):
        expect(seen.page.locator(".panel")).to_contain_text(words)


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>.h5"])
def test_a_broken_file_is_explained(
    name: str, serve: Callable[..., Server], visit: Callable[..., Visit], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\n and then nothing of use")
    seen = visit(on=serve(roots=[tmp_path], ready=False), tab="showers", path=name)
    seen.page.on("dialog", lambda _: pytest.fail("a file name was run as a script"))
    expect(seen.page.locator(".dc-strip")).to_contain_text("Failed", timeout=WAIT_MS)
    expect(seen.page.locator(".dc-plain", has_text=name).first).to_be_visible()
    assert seen.page.locator("img[src=x]").count() == 0


def test_the_wall_has_no_controls(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(size=WALL, display="wall", tabs="showers"))
    expect(seen.page.locator("button:visible")).to_have_count(0)
    sizes = seen.models("LinearAxis", "parseFloat(m.major_label_text_font_size)")
    assert min(size for size in sizes if size) > 30  # pixels on a 4K screen


def test_screenshot(visit: Callable[..., Visit]) -> None:
    seen = complete(visit(tab="showers", size=DESK))
    seen.until(lambda: curve(seen, "layers", 1, "value").size)
    page = seen.page.evaluate("[document.documentElement.scrollHeight, innerHeight]")
    assert page[0] <= page[1]
    seen.page.wait_for_timeout(2500)
    assert seen.shoot(SCREENSHOT).stat().st_size > 50_000
