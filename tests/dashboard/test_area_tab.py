"""What the area tab decides for itself, on the demo: links, marks, undo, autosave, who else edits, numbers, exports."""

from __future__ import annotations

import io
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest

from dashboard.outlines import Point
from dashboard.tabs.area import drawn
from dashboard.tabs.area.centrepanel import CentrePanel
from dashboard.tabs.area.commonpanel import CommonPanel
from dashboard.tabs.area.desk import EDITORS, Conflict, Desk, autosaves, one_line, target_of
from dashboard.tabs.area.export import content
from dashboard.tabs.area.levels import Levels, counted
from dashboard.tabs.area.look import PANELS, Cuts, Look, Place
from dashboard.tabs.area.maskpanel import counts_of, note_of, what_of
from dashboard.tabs.area.opening import confined, geometry_of, options_of, setup_for
from dashboard.tabs.area.panels import Now
from dashboard.tabs.area.profilepanel import section_of
from dashboard.tabs.area.roipanel import ends_of, table_of
from dashboard.tabs.area.science import Facts, Picture, Wish, evaluate, limits_of, region_of
from dashboard.tabs.area.setuppanel import command_of
from dashboard.tabs.area.valuesjob import Values, numbers_of
from dashboard.tabs.area.valuespanel import ValuesPanel
from dashboard.tabs.area.work import Same, Work, facts_of
from detcore import area
from detcore.core.paths import Roots
from detcore.image import (
    Annulus,
    Brush,
    Ellipse,
    HalfPlane,
    Polygon,
    Rectangle,
    RegionOperation,
    ThresholdOperation,
    good_pixels,
    read_pixel_mask,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHAPES = (
    Rectangle(x0=3, y0=4, x1=30, y1=25), Ellipse(x=50, y=40, a=20, b=9, angle=30), Annulus(x=60, y=60, inner=10, outer=18),
    Polygon(vertices=((0, 0), (40, 5), (20, 50))), Brush(radius=3, strokes=(((5, 5), (30, 9)),)), HalfPlane(x=70, y=0, angle=0),
)  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return list(area.write_demo(tmp_path_factory.mktemp("area")))


@pytest.fixture(scope="module")
def facts(files: list[Path]) -> Facts:
    return facts_of((str(files[0]),), {}, "demo")


@pytest.fixture(scope="module")
def setup(files: list[Path]) -> area.Setup:
    return area.Setup.load(files[-1])


@pytest.fixture(scope="module")
def picture(facts: Facts) -> Picture:
    return Picture.of(facts.source.frame(3), facts.detector, "frame 3", "ADU")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "autosave", lambda: None)


def eventually(wanted: Callable[[], object]) -> None:
    end = time.monotonic() + 90
    while not wanted():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


# --- links


def test_the_look_survives_the_link() -> None:
    look = Look(image="frame", frame=7, scale="linear", low=-3.5, panel="centre", rings=True, calibrant="Si", roi="a b")
    assert Look.from_query(look.to_query()) == look
    place = Place(path="a.h5|b.h5", setup="x.yaml", edit="abcdefghijkl", orientation=4)
    assert Place.from_query(place.to_query()) == place


def test_no_key_of_a_link_means_two_things() -> None:
    names = [name for model in (Look, Place, Cuts) for name in model.model_fields]
    assert len(set(names)) == len(names)
    assert not set(names) & {"tab", "theme", "display", "tabs", "rotate"}
    assert set(get_args(Look.model_fields["panel"].annotation)) == set(PANELS)


@pytest.mark.parametrize("edit", ["../x", "short", "ABCDEFGHIJKL", "abcdefghijkl/"])
def test_a_token_is_no_path(edit: str) -> None:
    with pytest.raises(ValueError, match="edit"):
        Place.from_query({"edit": edit})


def test_files_are_opened_as_the_link_says_then_as_the_setup_says() -> None:
    setup = area.Setup.from_yaml("detector: {type: epix100, dataset: /a/b, orientation: 2}")
    assert dict(options_of(Place(), setup)) == {"dataset": "/a/b", "type": "epix100", "orientation": 2}
    assert dict(options_of(Place(dataset="/c", orientation=1), setup)) == {"dataset": "/c", "type": "epix100"}
    assert options_of(Place(), area.Setup()) == ()


# --- marks


@pytest.mark.parametrize("region", SHAPES, ids=lambda region: region.kind)
@pytest.mark.parametrize("kind", ["add", "subtract", "roi"])
def test_what_is_drawn_is_a_shape_of_the_setup_again(region: Any, kind: str) -> None:
    setup = area.Setup()
    setup = setup.with_(**drawn.added(setup, region, kind)[1])
    again = area.Setup.from_yaml(setup.to_yaml())
    (mark,) = drawn.marks_of(again)
    assert (mark.region, mark.kind) == (region, kind)
    moved = region.moved(2, 3)
    change = drawn.changed(again, mark.id, moved)
    assert change is not None
    (other,) = drawn.marks_of(again.with_(**change[1]))
    assert other.region == moved
    gone = drawn.deleted(again, mark.id)
    assert gone is not None
    assert again.with_(**gone[1]) == area.Setup()


def test_marks_of_things_that_are_gone_mean_nothing() -> None:
    setup = area.Setup(mask=[RegionOperation(region=SHAPES[0])])
    for mark in ("mask-1", "roi-0", "mask-", "x", "mask-0-0", "roi--1"):
        assert drawn.changed(setup, mark, SHAPES[1]) is None
        assert drawn.deleted(setup, mark) is None
    assert drawn.changed(setup, "mask-0", Point(1, 2)) is None


def test_bounds_are_drawn_as_the_rectangle_that_they_select() -> None:
    roi = area.Roi(name="old", bounds=((2, 9), (3, 30)))
    region = drawn.roi_region(roi)
    assert np.argwhere(region.to_mask((40, 40)))[[0, -1]].tolist() == [[2, 3], [8, 29]]


def test_names_are_not_given_twice() -> None:
    setup = area.Setup()
    for _ in range(3):
        setup = setup.with_(**drawn.added(setup, SHAPES[0], "roi")[1])
    assert [roi.name for roi in setup.rois] == ["ROI 1", "ROI 2", "ROI 3"]


# --- the desk


def test_undo_and_redo_go_through_all_edits(desk: Desk) -> None:
    desk.start(area.Setup())
    for region in SHAPES:
        what, sections = drawn.added(desk.setup, region, "add")
        assert desk.edit(what, **sections)
    states = [desk.setup]
    while desk.undoable:
        desk.undo()
        states.append(desk.setup)
    assert [len(state.mask) for state in states] == [6, 5, 4, 3, 2, 1, 0]
    while desk.redoable:
        desk.redo()
    assert desk.setup == states[0]
    desk.undo()
    desk.edit("other", rois=(area.Roi(name="a", region=SHAPES[0]),))
    assert not desk.redoable


def test_an_edit_that_changes_nothing_is_no_step(desk: Desk) -> None:
    desk.start(area.Setup())
    assert not desk.edit("nothing", mask=())
    assert not desk.undoable
    with pytest.raises(ValueError, match="ROIs are called"):
        desk.edit("twice", rois=(area.Roi(name="a", region=SHAPES[0]), area.Roi(name="a", region=SHAPES[1])))
    assert desk.setup == area.Setup()


def test_edits_are_kept_and_can_be_gone_on_with(desk: Desk) -> None:
    desk.start(area.Setup())
    desk.enter("data /a/run: 1.h5\nevil: yes")
    what, sections = drawn.added(desk.setup, SHAPES[4], "add")
    desk.edit(what, **sections)
    eventually(lambda: autosaves(desk.folder, desk.group))
    (found,) = autosaves(desk.folder, desk.group)
    assert found.token == desk.token
    assert not autosaves(desk.folder, "of something else")
    later = Desk(desk.folder, lambda: None, desk.token)
    later.start(area.Setup())
    assert later.restore(desk.token)
    assert later.setup == desk.setup
    assert not later.restore("aaaaaaaaaaaa")
    desk.leave()


def test_a_setup_that_somebody_else_changed_is_not_replaced_without_asking(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "setup.yaml"
    desk.start(area.Setup())
    desk.edit("a", mask=(RegionOperation(region=SHAPES[0]),))
    desk.save(path)
    assert not desk.dirty
    other = Desk(tmp_path / "autosave", lambda: None)
    other.load(path)
    assert other.setup == desk.setup
    time.sleep(0.01)
    other.edit("b", mask=())
    other.save(path)
    assert "changed on the disk" in desk.warning()
    desk.edit("c", mask=(RegionOperation(region=SHAPES[1]),))
    with pytest.raises(Conflict, match="was changed by somebody else"):
        desk.save(path)
    desk.save(path, replace=True)
    assert area.Setup.load(path) == desk.setup
    with pytest.raises(Conflict, match="exists already"):
        Desk(tmp_path, lambda: None).save(path)


def test_two_who_edit_the_same_setup_are_told(tmp_path: Path) -> None:
    woken: list[str] = []
    one = Desk(tmp_path, lambda: woken.append("one"))
    two = Desk(tmp_path, lambda: woken.append("two"))
    one.enter("setup.yaml")
    assert one.warning() == ""
    two.enter("setup.yaml")
    assert woken == ["one"]
    assert "One other person edits this setup too" in one.warning()
    assert "One other person" in two.warning()
    two.edit("x", mask=(RegionOperation(region=SHAPES[0]),))
    assert woken == ["one", "one"]
    assert "last change" in one.warning()
    two.leave()
    assert one.warning() == ""
    one.leave()
    assert not EDITORS._groups


@pytest.mark.parametrize("name", ["", " ", ".hidden", "a/b", "..", "x" * 99, "a\\b", "nul\0"])
def test_wrong_names_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no name for a setup"):
        target_of(tmp_path, name)


def test_names_get_an_ending(tmp_path: Path) -> None:
    assert target_of(tmp_path, "run12").name == "run12.yaml"
    assert target_of(tmp_path, "run12.yml").name == "run12.yml"
    assert one_line("a\x85b\nc") == "a b c"


def test_a_setup_may_not_name_files_outside_of_the_roots(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    setup = area.Setup.from_yaml("mask: [{kind: file, path: /etc/passwd, convention: nxmx}]")
    with pytest.raises(PermissionError):
        confined(setup, Roots.of([inside]))


def test_the_setup_begins_with_what_the_files_say(facts: Facts, files: list[Path]) -> None:
    roots = Roots.of([files[0].parent])
    setup, path = setup_for(Place(), [str(one) for one in files], facts, roots)
    assert path == files[-1].resolve()
    assert setup == area.Setup.load(files[-1])
    setup, path = setup_for(Place(), [str(files[0])], facts, roots)
    assert (path, setup.geometry) == (None, geometry_of(facts))


# --- numbers


def test_numbers_of_a_region_are_those_of_numpy(picture: Picture, facts: Facts) -> None:
    values = picture.values.astype(np.float64)
    good = np.random.default_rng(1).random(values.shape) > 0.1
    axes: Any = np.indices(values.shape).astype(np.float64)
    rows, columns = axes
    for region in SHAPES:
        kept = region.to_mask(values.shape) & good
        numbers, projections = region_of(picture.values, region, good, (None, None))
        used = values[kept]
        assert numbers["n_valid"] == kept.sum()
        total = float(used.sum())
        wanted = [
            total,
            used.mean(),
            used.max(),
            (columns[kept] * used).sum() / total,
            (rows[kept] * used).sum() / total,
        ]
        found = np.array([numbers[name] for name in ("sum", "mean", "max", "x", "y")])
        np.testing.assert_allclose(found, np.array(wanted), rtol=1e-9)
        x, along = projections["along_x"]
        sums: Any = np.where(kept, values, 0).sum(axis=0)
        counts: Any = kept.sum(axis=0)
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(along, sums[x] / counts[x], rtol=1e-9)


def test_a_threshold_of_a_region_counts_as_zero(picture: Picture) -> None:
    good = np.ones(picture.values.shape, bool)
    region, (low, high) = SHAPES[0], (1900.0, 2100.0)
    numbers, _ = region_of(picture.values, region, good, (low, high))
    used = picture.values[region.to_mask(good.shape)].astype(float)
    assert numbers["sum"] == used[(used >= low) & (used <= high)].sum()
    assert numbers["n_valid"] == used.size


@pytest.mark.parametrize(
    ("region", "words"),
    [
        (Rectangle(x0=-9, y0=-9, x1=-2, y1=-2), "outside"),
        (Rectangle(x0=3.2, y0=3.2, x1=3.7, y1=3.7), "centre of no pixel"),
    ],
)
def test_empty_regions_say_why(region: Any, words: str, picture: Picture) -> None:
    with pytest.raises(ValueError, match=words):
        region_of(picture.values, region, np.ones(picture.values.shape, bool), (None, None))
    with pytest.raises(ValueError, match="all are masked"):
        region_of(picture.values, SHAPES[0], np.zeros(picture.values.shape, bool), (None, None))


def test_everything_that_is_shown_follows_from_the_setup(picture: Picture, facts: Facts, setup: area.Setup) -> None:
    found = evaluate(picture, facts, setup, {}, Wish(panel="profile", rings=True, calibrant="LaB6"))
    assert found.problems == {}
    assert found.failed == {}
    assert found.raster is not None
    wanted = area.masked(facts.detector, setup)
    np.testing.assert_array_equal(found.raw, wanted)
    assert found.counts["masked"] == (~good_pixels(wanted)).sum()
    assert set(found.rois or {}) == {roi.name for roi in setup.rois}
    profile = area.azimuthal(picture.raw, setup, good=good_pixels(wanted), detector=facts.detector)
    assert found.profile is not None
    np.testing.assert_allclose(found.profile["intensity"].values, profile["intensity"].values)
    assert len(found.rings) == len(found.marks) > 3


def test_one_wrong_part_does_not_hide_the_others(picture: Picture, facts: Facts, setup: area.Setup) -> None:
    wrong = ThresholdOperation(name="of nothing", image="nothing", high=3)
    far = area.Roi(name="far", region=Rectangle(x0=1e5, y0=1e5, x1=2e5, y1=2e5))
    other = setup.with_(mask=(wrong, *setup.mask), rois=(far, *setup.rois), geometry=None)
    found = evaluate(picture, facts, other, {}, Wish(panel="profile", rings=True, calibrant="nonsense"))
    assert "needs the array 'nothing'" in found.failed[0]
    assert "far: is outside" in found.problems["rois"]
    assert "no beam centre" in found.problems["profile"]
    assert found.counts["user"] > 1000
    assert len(found.rois or {}) == len(other.rois)


def test_the_cake_has_sectors(picture: Picture, facts: Facts, setup: area.Setup) -> None:
    found = evaluate(picture, facts, setup, {}, Wish(panel="profile", cake=True))
    assert found.cake is not None
    assert found.cake.sizes["azimuth"] == 90
    assert section_of(area.Setup()).unit == "radius"


def test_colours_leave_out_what_is_masked() -> None:
    values = np.arange(100.0).reshape(10, 10)
    values[0, 0] = 1e9
    good = np.ones((10, 10), bool)
    good[0, 0] = False
    assert limits_of(values, good, Wish(lowest=0, highest=100)) == (1.0, 99.0)
    assert limits_of(values, good, Wish(low=5, highest=100)) == (5.0, 99.0)
    assert limits_of(values, ~good & False, Wish()) is None
    low, high = limits_of(np.full((3, 3), 7.0), np.ones((3, 3), bool), Wish()) or (0, 0)
    assert low == 7 < high


def test_the_histogram_counts_every_good_pixel() -> None:
    values = np.random.default_rng(0).integers(0, 50, (40, 40)).astype(np.uint16)
    good = values < 45
    edges, counts = counted(values, good)
    assert counts.sum() == good.sum()
    assert len(counts) == len(edges) - 1 == 45
    assert counted(values, good & False)[0].size == 0
    assert counted(np.full((2, 2), np.nan), None)[1].size == 0


def test_dragged_lines_are_colours_or_a_threshold() -> None:
    told: list[tuple[Any, ...]] = []
    levels = Levels(
        lambda *ends: told.append(("colour", *ends)), lambda *ends: told.append(("mask", *ends)), lambda **_: None
    )
    edges, counts = counted(np.arange(10_000.0).reshape(100, 100), None)
    levels.fill(edges, counts, "Value")
    levels.show((100, 9000), (None, None), (1.0, 99.7))
    assert (levels._low.location, levels._high.location) == (100, 9000)
    levels._high.location = 8000.0
    levels._rested()
    assert told == [("colour", 100.0, 8000.0)]
    levels.goal = "mask"
    levels._place()
    levels._high.location = 5000.0
    levels._rested()
    assert told[1:] == [("mask", None, 5000.0)]


def test_equal_means_the_same_objects() -> None:
    first, second = area.Setup(), area.Setup()
    assert Same(first) == Same(first)
    assert Same(first) != Same(second)


# --- words


def test_operations_are_described() -> None:
    operation = ThresholdOperation(name="t", image="image", high=1234.5)
    assert (what_of(operation), note_of(operation)) == ("value range", "good: … to 1,234")
    assert what_of(RegionOperation(region=SHAPES[2])) == "ring"
    assert counts_of({"masked": 0, "gap": 0}, 4) == "Masked: 0 of 4 pixels (0.00 %)"


def test_the_table_of_regions_has_a_row_each() -> None:
    table = table_of(
        {"a": {"sum": 1234567.0, "mean": 1.5, "max": 3, "x": 2.25, "y": float("nan"), "n_valid": 1000}, "b": {}}
    )
    assert table.iloc[0].tolist() == ["a", "1,234,567", "1.5", "3", "2.25", "-", "1,000"]
    assert table.iloc[1]["n_valid"] == "0"
    assert ends_of(3.0) == (3.0, None)


def test_the_command_names_the_setup(tmp_path: Path) -> None:
    assert command_of(("run 1.h5",), tmp_path / "s.yaml") == f"detcore area reduce --setup {tmp_path}/s.yaml 'run 1.h5'"


# --- exports


@pytest.mark.parametrize("ending", ["npy", "tif", "edf", "h5", "txt"])
@pytest.mark.parametrize("convention", ["nxmx", "nonzero_good"])
def test_exported_masks_are_read_again(
    ending: str, convention: Any, picture: Picture, facts: Facts, setup: area.Setup, tmp_path: Path
) -> None:
    found = evaluate(picture, facts, setup, {}, Wish())
    path = tmp_path / f"mask.{ending}"
    path.write_bytes(content(path.name, convention, setup, found, facts))
    again = read_pixel_mask(path, convention=convention)
    np.testing.assert_array_equal(good_pixels(again), found.good_raw)
    if convention == "nxmx":
        np.testing.assert_array_equal(again, found.raw)


def test_the_exported_setup_is_the_setup(setup: area.Setup) -> None:
    assert area.Setup.from_yaml(content("setup.yaml", "nxmx", setup, None, None).decode()) == setup
    with pytest.raises(ValueError, match="no image yet"):
        content("mask.npy", "nxmx", setup, None, None)


# --- values of events


def test_numbers_of_events_are_found_in_results() -> None:
    results = {
        "ROI": {"sum": np.float64(3), "com": np.array([1, 2]), "area": np.zeros((9, 9))},
        "words": "x",
        "flag": True,
    }
    assert numbers_of(results) == {"ROI/sum": 3.0, "ROI/com 0": 1.0, "ROI/com 1": 2.0, "flag": 1.0}
    assert numbers_of(None) == {}


def test_a_reduction_gives_the_numbers_of_the_library(facts: Facts, setup: area.Setup, tmp_path: Path) -> None:
    woken: list[int] = []
    values = Values(lambda: woken.append(1))
    values.start(facts.source, lambda: setup, tmp_path / "out" / "small.h5")
    with pytest.raises(ValueError, match="is running"):
        values.start(facts.source, lambda: setup, None)
    eventually(lambda: not values.running)
    assert values.problem == ""
    assert woken
    assert len(values) == facts.n_frames
    key = next(key for key in values.names() if key.endswith("sum"))
    events, found = values.series(key)
    assert events.tolist() == list(range(facts.n_frames))
    data = area.reduce(facts.source, setup)
    wanted = next(
        one for name, one in data.items() if str(name).endswith(key.replace("/", "_")) or str(name).endswith(key)
    )
    np.testing.assert_allclose(found, wanted.values, rtol=1e-6)
    assert area.read_reduced(tmp_path / "out" / "small.h5") is not None


def test_what_goes_wrong_with_a_reduction_is_told(facts: Facts) -> None:
    values = Values(lambda: None)
    wrong = area.Setup.from_yaml("functions: [{kind: nonsense}]")
    values.start(facts.source, lambda: wrong, None)
    eventually(lambda: not values.running)
    assert "nonsense" in values.problem
    assert io.StringIO(values.words).read()


@pytest.mark.filterwarnings("ignore:Both 'variant' and 'button_style'")  # inside Panel, for buttons that download
def test_what_is_wrong_is_shown_beside_what_was_done(facts: Facts, setup: area.Setup) -> None:
    work = Work(lambda: None)
    work.facts, work.noises, work.problems["common"] = facts, {0: 8.0, 46: 4.0}, "no frames"
    acts: Any = SimpleNamespace(
        work=work,
        desk=SimpleNamespace(setup=setup),
        session=SimpleNamespace(refresh=lambda: None),
        forget_points=lambda: None,
    )
    panel = CommonPanel(acts)
    now = Now(Look(), Cuts(), acts.desk, facts, None, None, work)
    panel.show(now)
    panel.complain("give a number")
    panel.fill(now)
    assert panel.error.text == "give a number\nno frames"
    rows = panel.table.widget.value.set_index("preset")
    assert rows.loc["46", ["noise", "gain"]].tolist() == ["4", "-50.0 %"]
    for made in (ValuesPanel(acts), CentrePanel(acts, ("LaB6",), lambda _: None, lambda _: None)):
        made.report("wrong")
        assert made.error.text == "wrong"
