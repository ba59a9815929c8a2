"""The area tab on runs other than the demo: tiled detectors, folders that fill, and two people at one setup."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from dashboard.tabs.area.desk import Conflict, Desk, autosaves
from dashboard.tabs.area.image import ImagePanel
from dashboard.tabs.area.look import Look
from dashboard.tabs.area.science import Facts, Picture, Wish, evaluate
from dashboard.tabs.area.valuesjob import Values, source_of
from dashboard.tabs.area.work import facts_of
from detcore import area
from detcore.image import (
    AsicEdgesOperation,
    EdgesOperation,
    Rectangle,
    RegionOperation,
    reason_counts,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHAPE = (2, 8, 12)  # two panels, one above the other, three rows apart, the second one turned round


def eventually(wanted: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not wanted():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def write_tiled(path: Path, frames: np.ndarray[Any, Any]) -> Path:
    rows, columns = np.indices(SHAPE[1:])
    row = np.stack([rows, 18 - rows])
    column = np.stack([columns, 11 - columns])
    with h5py.File(path, "w") as file:
        file["event_id"] = np.arange(len(frames))
        file["quad/ROI_area"] = frames
        home = file.create_group("UserDataCfg/quad")
        home["ix"], home["iy"] = row, column  # psana calls the rows x
        home["x"], home["y"] = (row - 9.0) * 100, (column - 5.5) * 100
        home["z"] = np.full(SHAPE, -1e5)
        home["pixelsize"] = [100.0]
    return path


@pytest.fixture(scope="module")
def frames() -> np.ndarray[Any, Any]:
    return np.random.default_rng(3).integers(50, 400, (6, *SHAPE)).astype(np.uint16)


@pytest.fixture(scope="module")
def facts(frames: np.ndarray[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Facts:
    path = write_tiled(tmp_path_factory.mktemp("tiled") / "quad_run0001.h5", frames)
    return facts_of((str(path),), {}, "tiled")


@pytest.fixture
def picture(facts: Facts) -> Picture:
    return Picture.of(facts.source.frame(1), facts.detector, "frame 1", "ADU")


# --- panels


def test_gaps_between_panels_are_not_zero(facts: Facts, picture: Picture, frames: np.ndarray[Any, Any]) -> None:
    assert facts.detector.tiled
    assert picture.values.shape == (19, 12)
    np.testing.assert_array_equal(picture.values[:8], frames[1, 0])
    np.testing.assert_array_equal(picture.values[11:], frames[1, 1, ::-1, ::-1])
    assert np.isnan(picture.values[8:11]).all()
    assert picture.gaps is not None
    assert (picture.gaps[8:11] == 1).all()
    assert picture.gaps.sum() == 3 * 12


def test_a_pixel_of_the_image_knows_its_module_row_and_column(facts: Facts, picture: Picture) -> None:
    panel = ImagePanel(lambda **_: None, None, wall=False)
    panel.fill(picture, None, Look(image="frame"))
    (places,) = panel._places.data["place"]
    assert [panel._places.data[name] for name in ("rows", "columns")] == [[8], [12]]
    assert (places[8:11] == 0).all()
    y, x = 13, 4
    assert [int(one) for one in np.unravel_index(int(places[y, x]) - 1, SHAPE)] == [1, 18 - y, 11 - x]
    assert ("module, row, column", "@value{custom}") in panel._hover.tooltips
    flat = Picture(picture.raw[0], picture.raw[0], "one panel")
    panel.fill(flat, None, Look(image="frame"))
    assert panel._places.data["place"] == []
    assert len(panel._hover.tooltips) == 3


def test_masks_regions_and_profiles_reach_over_panels(facts: Facts, picture: Picture) -> None:
    across = RegionOperation(region=Rectangle(x0=2, y0=5, x1=6, y1=14))
    setup = area.Setup(
        mask=(across,), geometry=area.Geometry(x=5.5, y=9, distance=0.1, energy=9.5, pixel_size=(1e-4, 1e-4)),
        rois=(area.Roi(name="right", region=Rectangle(x0=7, y0=6, x1=11, y1=13)), area.Roi(name="panel", panel=1, region=Rectangle(x0=0, y0=3, x1=8, y1=7)),
              area.Roi(name="raw", bounds=((1, 2), (3, 7), (0, 8))), area.Roi(name="both", bounds=((0, 2), (3, 7), (0, 8))),
              area.Roi(name="gone", panel=2, region=Rectangle(x0=0, y0=0, x1=3, y1=3))),
    )  # fmt: skip
    found = evaluate(picture, facts, setup, {}, Wish("profile"))
    drawn = np.zeros((19, 12), bool)
    drawn[5:14, 2:6] = True
    assert found.raw is not None
    assert found.good_raw is not None
    np.testing.assert_array_equal(
        facts.detector.assemble((~found.good_raw).astype(np.float32), 0) > 0, drawn & (picture.gaps == 0)
    )
    assert found.counts["masked"] == 4 * (3 + 3)
    assert found.counts["gap"] == 0
    assert found.rois is not None
    there = picture.values[6:13, 7:11]
    assert found.rois["right"]["sum"] == np.nansum(there)
    assert found.rois["right"]["n_valid"] == np.isfinite(there).sum() == 4 * 4
    good = found.good_raw[1, 3:7, 0:8]
    kept = np.where(good, picture.raw[1, 3:7, 0:8], 0).astype(float)
    assert good.sum() == 32 - 4, "the mask is drawn there, too"
    assert found.rois["panel"] == found.rois["raw"]
    assert found.rois["panel"]["n_valid"] == 28
    assert found.rois["panel"]["sum"] == pytest.approx(kept.sum())
    assert found.rois["panel"]["y"] == pytest.approx((kept * np.arange(3, 7)[:, None]).sum() / kept.sum())
    assert [line.split(":")[0] for line in found.problems["rois"].split("; ")] == ["both", "gone"]
    assert found.profile is not None
    wanted = area.azimuthal(picture.raw, setup, detector=facts.detector, bins=500, unit="q")
    np.testing.assert_array_equal(found.profile["n_valid"], wanted["n_valid"])
    np.testing.assert_allclose(found.profile["intensity"], wanted["intensity"])
    assert int(found.profile["n_valid"].sum()) == 2 * 96 - 24


def test_edges_are_those_of_each_panel_and_of_its_chips(facts: Facts, picture: Picture) -> None:
    detector = facts.detector.with_(asic=(4, 6))
    chips = Facts("chips", facts.source, detector, facts.n_frames, facts.paths)
    found = evaluate(picture, chips, area.Setup(mask=(EdgesOperation(),)), {}, Wish())
    assert found.counts["masked"] == 2 * (2 * 12 + 2 * 6)
    found = evaluate(picture, chips, area.Setup(mask=(AsicEdgesOperation(),)), {}, Wish())
    assert found.counts["masked"] == 2 * (2 * 12 + 2 * 8 - 4)
    assert not found.failed


def test_counts_are_those_of_each_bit() -> None:
    raster = np.random.default_rng(2).choice(np.array([0, 1, 2, 0x101, 1 << 31, 1 << 17, 0x8000], np.uint32), (30, 40))
    good, counts = reason_counts(raster)
    np.testing.assert_array_equal(good, raster & 0xFFFF == 0)
    assert counts["masked"] == (~good).sum()
    assert counts["user"] == (raster == 0x101).sum()
    assert counts["gap"] == ((raster & 1) > 0).sum()
    assert counts["virtual"] == (raster == 1 << 31).sum()


# --- runs that grow


def test_a_changed_setup_starts_with_the_next_chunk_of_a_live_run(tmp_path: Path) -> None:
    """Frames that come after the edit have the new region; the small file says from which event on."""
    frames = np.random.default_rng(5).integers(0, 100, (12, 8, 9)).astype(np.uint16)
    folder = tmp_path / "run"
    folder.mkdir()

    def write(number: int) -> None:
        with h5py.File(tmp_path / "aside.h5", "w") as file:
            file["entry/data/data"] = frames[number * 4 : number * 4 + 4]
        (tmp_path / "aside.h5").rename(folder / f"part{number}.h5")

    write(0)
    facts = facts_of((str(folder),), {}, "live")
    assert source_of(facts, {}, live=False) is facts.source
    desk = Desk(tmp_path / "autosave", lambda: None)
    desk.edit("first", rois=(area.Roi(name="early", region=Rectangle(x0=1, y0=1, x1=4, y1=5)),))
    values = Values(lambda: None)
    source = source_of(facts, {}, live=True)
    values.start(source, lambda: desk.setup, tmp_path / "small.h5")
    try:
        write(1)
        eventually(lambda: len(values) >= 4)
        early = next(name for name in values.names() if "early" in name and name.endswith("sum"))
        events, sums = values.series(early)
        np.testing.assert_allclose(sums, frames[: len(sums), 1:5, 1:4].sum(axis=(1, 2)))
        done = len(values)
        desk.edit("second", rois=(area.Roi(name="late", region=Rectangle(x0=0, y0=0, x1=2, y1=2)),))
        write(2)
        eventually(lambda: len(values) >= 12 or values.problem or not values.running)
    finally:
        values.cancel()
    eventually(lambda: not values.running)
    assert values.problem == ""
    assert "setup changed 1 times" in values.words
    late = next(name for name in values.names() if "late" in name and name.endswith("sum"))
    events, sums = values.series(late)
    assert events[0] >= done
    np.testing.assert_allclose(sums, frames[events.astype(int), :2, :2].sum(axis=(1, 2)))
    data = area.read_reduced(tmp_path / "small.h5")
    version = data["setup_version"].values
    assert len(version) == 12
    np.testing.assert_array_equal(np.flatnonzero(version == 1), events)
    with h5py.File(tmp_path / "small.h5") as file:
        (home,) = file["detcore/setups"].values()
        assert home["version_0001"].attrs["first_event"] == events[0]
        assert area.Setup.from_yaml(home["version_0001"].asstr()[()]) == desk.setup


# --- two people


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_nothing_is_lost_whoever_saves_first(order: tuple[int, int], tmp_path: Path) -> None:
    path, folder = tmp_path / "setup.yaml", tmp_path / "autosave"
    area.Setup().save(path)
    desks = [Desk(folder, lambda: None) for _ in range(2)]
    for number, desk in enumerate(desks):
        desk.load(path)
        desk.edit("mine", rois=(area.Roi(name=f"of {number}", region=Rectangle(x0=number, y0=0, x1=5, y1=5)),))
    first, second = (desks[number] for number in order)
    first.save(path)
    kept = first.setup
    with pytest.raises(Conflict):
        second.save(path)
    assert area.Setup.load(path) == kept
    first.edit("more", sums=("calib",))
    first.save(path)  # while the other one thinks about it
    with pytest.raises(Conflict):
        second.save(path, replace=True)
    assert area.Setup.load(path) == first.setup, "what was never seen is not replaced"
    second.save(path, replace=True)
    assert area.Setup.load(path) == second.setup
    tokens = [one.token for one in autosaves(folder, str(path))]
    assert first.setup in [area.Setup.load(folder / f"{token}.yaml") for token in tokens]
    assert first.outdated
    with pytest.raises(Conflict):
        first.save(path)
