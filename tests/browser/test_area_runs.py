"""The area tab in a real browser on a tiled detector with gaps, and on a folder that fills while it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from playwright.sync_api import expect

from detcore import area

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.browser.conftest import Server, Visit

pytestmark = pytest.mark.browser
IMAGE = "m.name == 'area-image'"
DESK = (1920, 1080)
SHAPE = (64, 80)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("area-runs")


@pytest.fixture(scope="module")
def runs(serve: Callable[..., Server], folder: Path) -> Server:
    (folder / "live").mkdir()
    return serve(roots=[folder])


@pytest.fixture(scope="module")
def quad(shared: Path, folder: Path) -> tuple[Path, np.ndarray[Any, Any], tuple[np.ndarray[Any, Any], ...]]:
    """A run of an ePix10ka quad, its frames, and (rows, columns) of its pixels in the image."""
    path = folder / "quad_run0109.h5"
    with np.load(shared / "data" / "area" / "epix10ka_quad_raw.npz") as stored:
        raw = np.concatenate([stored["raw"] & 0x3FFF] * 3)
        with h5py.File(path, "w") as file:
            file["event_id"] = np.arange(len(raw))
            file.create_dataset("epix10ka_quad/ROI_area", data=raw, chunks=(1, *raw.shape[1:]))
            for name in ("x", "y", "z", "ix", "iy"):
                file[f"UserDataCfg/epix10ka_quad/{name}"] = stored[name]
            file["UserDataCfg/epix10ka_quad/pixelsize"] = [100.0]
        return path, raw, (stored["ix"], stored["iy"])


def hovered(seen: Visit, x: float, y: float) -> str:
    """What is written beside the mouse."""
    seen.page.mouse.move(*seen.spot(IMAGE, x + 3, y + 3))
    seen.page.mouse.move(*seen.spot(IMAGE, x, y), steps=3)
    seen.page.wait_for_timeout(600)
    script = """() => {
      const find = (root) => [...root.querySelectorAll('*')].flatMap((el) => [
        ...(el.classList.contains('bk-Tooltip') ? [el.shadowRoot?.textContent ?? el.textContent] : []),
        ...(el.shadowRoot ? find(el.shadowRoot) : [])])
      return find(document).join(' ')
    }"""
    return str(seen.page.evaluate(script))


def test_a_tiled_detector(visit: Callable[..., Visit], runs: Server, quad: Any) -> None:
    """Gaps have no value, pixels say which module they are of, and a mask is drawn over two panels."""
    path, raw, (rows, columns) = quad
    seen = visit(on=runs, tab="area", path=str(path), calibrate="false", size=DESK)
    seen.until(lambda: seen.headline().get("Averaged") == str(len(raw)), "the averages did not come")
    assert seen.headline()["Masked"] == "0.00%"
    seen.until(lambda: seen.source("area-places", "rows").tolist() == [352], "the pixels do not tell where they are")
    module, row, column = 2, 100, 200
    y, x = (int(one[module, row, column]) for one in (rows, columns))
    words = ""

    def told() -> bool:
        nonlocal words
        words = hovered(seen, x, y)
        return f"{module}, {row}, {column}" in words

    seen.until(told, "the pixel does not say where it is")
    assert f"{x}" in words
    assert f"{y}" in words
    seen.until(lambda: "a gap" in hovered(seen, 396, 500), "a gap does not say that it is one")

    seen.page.get_by_role("button", name="Rectangle").first.click()
    seen.drag(IMAGE, (300.4, 100.4), (500.4, 200.4), lambda: "edit" in seen.link())
    kept = area.Setup.load(f"{runs.env['DETCORE_CACHE']}/outputs/area/autosave/{seen.link()['edit']}.yaml")
    (operation,) = kept.mask
    box: Any = operation.region  # type: ignore[union-attr]
    inside = (columns >= box.x0) & (columns < box.x1) & (rows >= box.y0) & (rows < box.y1)
    assert inside.any(axis=(1, 2)).sum() == 2, "two panels"
    seen.until(lambda: seen.headline()["Masked"] == f"{100 * inside.mean():.2f}%", "not these pixels are masked")

    seen.panel("Common mode")
    expect(seen.page.get_by_text("epix10kquad").first).to_be_visible()


def test_a_mask_from_a_file_has_the_convention_that_is_declared(
    visit: Callable[..., Visit], runs: Server, folder: Path, quad: Any
) -> None:
    path, raw, (rows, columns) = quad
    good = np.ones((int(rows.max()) + 1, int(columns.max()) + 1), np.uint8)
    good[100:180, 300:400] = 0
    np.save(folder / "good.npy", good)
    wanted = 100 * (good[rows, columns] == 0).mean()
    seen = visit(on=runs, tab="area", path=str(path), calibrate="false", panel="mask", size=DESK)
    seen.until(lambda: seen.headline().get("Averaged") == str(len(raw)), "the averages did not come")
    seen.pick("In the file", "Not 0 is good")
    seen.page.get_by_role("button", name="From a file").click()
    seen.page.locator(".entry", has_text="good.npy").dblclick()
    seen.until(lambda: seen.headline()["Masked"] == f"{wanted:.2f}%", "not these pixels are masked")
    expect(seen.page.get_by_text("good.npy, nonzero_good").first).to_be_visible()


def test_a_folder_that_fills(visit: Callable[..., Visit], runs: Server, folder: Path) -> None:
    """Averages follow what is written, the age of the data is told, and Reduce goes on with what comes."""
    rng = np.random.default_rng(0)

    def write(number: int) -> None:
        with h5py.File(folder / "aside.h5", "w") as file:
            file["entry/data/data"] = rng.integers(0, 100, (4, *SHAPE)).astype(np.uint16)
        (folder / "aside.h5").rename(folder / "live" / f"part{number}.h5")

    write(0)
    write(1)
    seen = visit(on=runs, tab="area", path=str(folder / "live"), live="true", panel="values", size=DESK)
    seen.until(lambda: int(seen.headline().get("Averaged", "0")) >= 4, "no average of what is there")
    seen.page.get_by_role("button", name="Reduce").click()
    write(2)
    seen.until(lambda: int(seen.headline().get("Averaged", "0")) >= 8, "the averages do not follow")
    expect(seen.page.get_by_text("newest data").first).to_be_visible()
    write(3)
    seen.until(lambda: seen.headline().get("Averaged") == "16", "the averages do not follow")
    seen.until(lambda: seen.headline().get("Frames") == "16", "the frames are not counted again")
    expect(seen.page.get_by_text("16 events").first).to_be_visible()
    seen.page.get_by_role("button", name="Cancel").last.click()  # the first one ends the averages
    expect(seen.page.get_by_text("Written:").first).to_be_visible()
