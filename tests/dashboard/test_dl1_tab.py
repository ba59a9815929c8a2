"""What the DL1 tab computes and decides for itself, on the demo: links, steps from event to event, boxes, cuts, panels."""

from __future__ import annotations

import io
import time
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from dashboard.tabs.dl1.cutting import CutsPanel
from dashboard.tabs.dl1.display import COLUMNS, Display
from dashboard.tabs.dl1.distributions import counts_of, edges_of
from dashboard.tabs.dl1.export import LABELS, command, content
from dashboard.tabs.dl1.header import FilePanel
from dashboard.tabs.dl1.images import ImagesPanel
from dashboard.tabs.dl1.look import AXES, PANELS, QUANTITIES, Look, Place, axis_of, digits, particle
from dashboard.tabs.dl1.mapped import MappedPanel
from dashboard.tabs.dl1.overview import EventPanel
from dashboard.tabs.dl1.panels import Memory, Now
from dashboard.tabs.dl1.pixelpanel import PixelsPanel
from dashboard.tabs.dl1.results import EVENTS, Facts, Results, Wish, compute, facts_of, headline
from dashboard.tabs.dl1.stereopanel import StereoPanel
from dashboard.tabs.dl1.work import Work
from detcore import dl1

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # inside Bokeh, with pandas 3.1


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return list(dl1.write_demo(tmp_path_factory.mktemp("dl1")))


@pytest.fixture(scope="module")
def facts(files: list[Path]) -> Facts:
    return facts_of(str(files[0]))


@pytest.fixture(scope="module")
def results(facts: Facts) -> Results:
    return compute({kind: dl1.reduce(facts.path, camera=kind) for kind in facts.kinds}, facts, Wish())


@pytest.fixture
def work(facts: Facts, results: Results) -> Work:
    """What a viewer has when everything is there."""
    found = Work(lambda: None)
    found.facts, found.results = facts, results
    return found


def now_of(work: Work, look: Look, cuts: dl1.Cuts | None = None) -> Now:
    """What a panel is given to draw."""
    facts, place = work.facts, work.place(look)
    assert facts is not None
    assert place is not None
    work.event = dl1.load_event(facts.path, *facts.event_at(place), cuts, ring=look.ring)
    return Now(look, cuts or dl1.Cuts(), facts, work.results, work.event, work.image(look.tel))


class Wanted(dict[str, Any]):
    """Remembers what a panel wished last."""

    def __call__(self, **changes: Any) -> None:
        self.clear()
        self.update(changes)


# --- links and numbers


def test_the_look_survives_the_link() -> None:
    look = Look(obs=2, event=1705, tel=11, frame="camera", panel="pixels", box="1,2,3,4", dead_below=0.1, common=True)
    assert Look.from_query(look.to_query()) == look


def test_no_key_of_a_link_means_two_things() -> None:
    names = [name for model in (Look, Place, dl1.Cuts) for name in model.model_fields]
    assert len(set(names)) == len(names)
    assert not set(names) & {"tab", "theme", "display", "tabs", "rotate"}


@pytest.mark.parametrize("box", ["", "1,2,3", "a,b,c,d", "nan,1,2,3", "1,2,3,4,5", "inf,1,2,3"])
def test_a_wrong_box_is_none(box: str) -> None:
    assert Look(box=box).area is None


def test_a_box_is_put_in_order() -> None:
    assert Look(box="9,1,0.5,0.2").area == (1, 9, 0.2, 0.5)


def test_unknown_axes_are_the_usual_ones() -> None:
    assert Look(x="__class__", y="nothing").axes == ("hillas_intensity", "hillas_width")
    assert axis_of("timing_slope", "sample").unit == "sample/deg"


def test_numbers_and_particles_are_short() -> None:
    assert [digits(value) for value in (0.123456, 1234, np.float32(2.5), np.nan, None, "x")] == [
        "0.1235", "1,234", "2.5", "", "", "x",
    ]  # fmt: skip
    assert [particle(code) for code in (0, 101, 77, -9999)] == ["\u03b3", "p", "particle 77", ""]


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("values", [[], [5.0], [7.0, 7.0], [0.0, 0.0], [np.nan, 1.0, 2.0], [-3.0, 0.5]])
def test_edges_hold_everything(values: list[float], log: bool) -> None:
    edges = edges_of([values], log=log)
    assert (np.diff(edges) > 0).all()
    kept = np.array([value for value in values if np.isfinite(value) and (value > 0 or not log)])
    assert np.histogram(kept, edges)[0].sum() == len(kept)


def test_what_is_rare_counts_in_the_last_bins() -> None:
    values = np.concatenate([np.linspace(0, 1, 9999), [1e9]])
    edges = edges_of([values])
    assert edges[-1] < 2
    assert counts_of(values, edges).sum() == 10_000


def test_memory_tells_what_is_new() -> None:
    memory, array = Memory(), np.zeros(3)
    assert [memory.new(*things) for things in ((array, 1), (array, 1), (array, 2), (np.zeros(3), 2))] == [
        True, False, True, True,
    ]  # fmt: skip


# --- results


def test_the_table_holds_the_images_of_all_cameras(facts: Facts, results: Results) -> None:
    assert len(results.table) == sum(facts.images.values())
    assert set(results.table["tel_id"]) == set(facts.images)
    rows = results.table.iloc[::37]
    for row in rows.itertuples():
        assert facts.event_at(row.place) == (row.obs_id, row.event_id)
    assert results.table["place"].is_monotonic_increasing
    assert results.places.tolist() == np.flatnonzero(facts.events["multiplicity"] > 0).tolist()


def test_cuts_leave_fewer_events(facts: Facts) -> None:
    few = compute(
        {kind: dl1.reduce(facts.path, camera=kind, energy_min=1.0, min_intensity=200) for kind in facts.kinds},
        facts,
        Wish(),
    )
    assert 0 < len(few.places) < len(facts.events)
    assert (facts.events["true_energy"].to_numpy()[few.places] >= 1).all()
    assert (few.table["hillas_intensity"] >= 200).all()
    assert "of 93" in {number.unit for number in headline(few)}


def test_stricter_limits_find_other_pixels(facts: Facts, results: Results) -> None:
    strict = compute(results.data, facts, Wish(dead=0.0, noisy=1e6))
    assert sum(int(one["noisy"].sum()) for one in strict.flags.values()) == 0
    assert sum(int(one["noisy"].sum() + one["dead"].sum()) for one in results.flags.values()) > 0


def test_the_headline_counts(facts: Facts, results: Results) -> None:
    numbers = {number.label: number for number in headline(results)}
    assert numbers["Events"].value == str(len(results.places))
    assert numbers["Images"].value == str(len(results.table))
    share = 100 * (results.table["morphology_n_pixels"] > 0).mean()
    assert numbers["Survive cleaning"].value == f"{share:.3g}"


# --- from event to event


def test_the_first_event_has_many_images(work: Work, facts: Facts) -> None:
    place = work.place(Look())
    assert facts.events["multiplicity"].iloc[place] == facts.events["multiplicity"].max()


def test_next_and_previous_go_round(work: Work, facts: Facts, results: Results) -> None:
    first, last = (facts.event_at(int(results.places[at])) for at in (0, -1))
    assert work.beside(Look(obs=last[0], event=last[1]), 1) == first
    assert work.beside(Look(obs=first[0], event=first[1]), -1) == last


def test_steps_stay_in_the_box(work: Work, facts: Facts, results: Results) -> None:
    table = results.table
    x = table["hillas_intensity"]
    look = Look(box=f"{x.quantile(0.8)},{x.max()},0,10")
    inside = set(table["place"][(x >= x.quantile(0.8)) & (table["hillas_width"] <= 10)])
    assert set(work.walked(look).tolist()) == inside
    seen = set()
    for _ in range(len(inside)):
        found = work.beside(look, 1)
        assert found is not None
        look = look.checked(dict(look) | {"obs": found[0], "event": found[1]})
        seen.add(facts.place_of(*found))
    assert seen == inside


def test_an_event_outside_of_the_box_leads_to_the_nearest_inside(work: Work, facts: Facts, results: Results) -> None:
    look = Look(box=f"{results.table['hillas_intensity'].quantile(0.95)},1e9,0,10")
    places = work.walked(look)
    outside = next(place for place in results.places if place > places[0] and place not in places)
    obs, event = facts.event_at(int(outside))
    at = int(places.searchsorted(outside))
    look = look.checked(dict(look) | {"obs": obs, "event": event})
    assert work.beside(look, 1) == facts.event_at(int(places[at % len(places)]))
    assert work.beside(look, -1) == facts.event_at(int(places[at - 1]))


def test_events_are_found_by_number(work: Work, facts: Facts) -> None:
    last = facts.events.iloc[-1]
    assert work.numbered(Look(), int(last.event_id)) == (last.obs_id, last.event_id)
    assert work.numbered(Look(), 123456789) is None


def test_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    work = Work(lambda: None)
    assert work.open(str(tmp_path / "nothing.h5")) is None
    assert "nothing.h5" in work.trouble


def test_the_event_ahead_is_read_after_a_step(work: Work) -> None:
    look = Look()
    obs, event = work.beside(look, 1)
    look = Look(obs=obs, event=event)
    work.going = 1
    end = time.monotonic() + 60
    while work.event is None:  # as an update does, each time that something is ready
        assert time.monotonic() < end, "the event did not come"
        work.read(look, dl1.Cuts())
        time.sleep(0.01)
    ahead = work.beside(look, 1)
    key, _ = work._event(ahead, look, dl1.Cuts())
    found = EVENTS.get(key, lambda: pytest.fail("nobody has asked for it")).result(timeout=30)
    assert (found.obs_id, found.event_id) == ahead
    assert not work.going  # once for each step


# --- panels


def test_the_cameras_show_what_the_library_gives(work: Work) -> None:
    display = Display(Wanted(), lambda _: None, lambda _: None, wall=False)
    now = now_of(work, Look())
    display.fill(now, " · 1 of 93")
    assert now.event is not None
    assert now.image is not None
    np.testing.assert_array_equal(display.charge.source.data["value"], now.image.image)
    times = display.time.source.data["value"]
    np.testing.assert_array_equal(np.isfinite(times), now.image.selected)
    assert f"Event {now.event.event_id}" in display.charge.figure.title.text
    shown = {row[0]: row for sheet in display.sheets for row in sheet.rows}
    size = [now.image.parameters["hillas_intensity"], now.image.file_parameters["hillas_intensity"]]
    assert shown["Size"] == ["Size", *map(digits, size), "p.e."]
    assert shown["Simulated light"][1] == digits(int(now.image.true_image.sum()))


@pytest.mark.parametrize("shown", ["all", "kept", "truth"])
@pytest.mark.parametrize("frame", ["sky", "camera"])
def test_each_way_to_look_at_an_image(work: Work, shown: str, frame: str) -> None:
    display = Display(Wanted(), lambda _: None, lambda _: None, wall=True)
    now = now_of(work, Look(shown=shown, frame=frame, scale="log"))
    display.fill(now, "")
    values, one = display.charge.source.data["value"], now.image
    assert one is not None
    if shown == "truth":
        np.testing.assert_array_equal(values, one.true_image)
    elif shown == "kept":
        np.testing.assert_array_equal(np.isfinite(values), one.selected)
    labels = [axis.axis_label for axis in (display.charge.figure.xaxis[0], display.time.figure.yaxis[0])]
    assert all(label.endswith("(m)" if frame == "camera" else "(deg)") for label in labels)


def test_a_muon_has_a_ring(work: Work, facts: Facts) -> None:
    muons = facts.events[facts.events["true_shower_primary_id"].abs() == 2]
    row = muons.iloc[0]
    look = Look(obs=int(row.obs_id), event=int(row.event_id), ring=True)
    display = Display(Wanted(), lambda _: None, lambda _: None, wall=False)
    now = now_of(work, look)
    display.fill(now, "")
    assert now.image is not None
    assert now.image.ring is not None
    shown = pd.DataFrame([row for sheet in display.sheets for row in sheet.rows], columns=list(COLUMNS)).set_index(
        "name"
    )
    assert shown.loc["Ring radius", "ours"] == digits(now.image.ring["muonring_radius"])


def test_the_event_panel_shows_all_images(work: Work) -> None:
    wanted = Wanted()
    panel = EventPanel(wanted)
    now = now_of(work, Look())
    panel.show(now.look, now.cuts)
    panel.fill(now)
    assert now.event is not None
    assert sorted(panel.array.telescopes.data["tel_id"]) == sorted(now.event.tel_ids)
    rows = pd.DataFrame(panel.sheet.rows, columns=["name", "found", "true", "unit"]).set_index("name")
    assert rows.loc["Energy", "true"] == digits(now.event.info["true_energy"])
    assert rows.loc["Altitude", "found"] == digits(now.event.stereo["alt"])
    panel._tapped(7)
    assert wanted == {"tel": 7}
    panel._tapped(None)
    assert wanted == {"tel": 7}


def test_a_box_selects_images(work: Work, results: Results) -> None:
    wanted = Wanted()
    panel = ImagesPanel(wanted)
    table = results.table
    low, high = table["hillas_intensity"].quantile([0.5, 0.9])
    now = now_of(work, Look(panel="images", box=f"{low},{high},0,1"))
    panel.show(now.look, now.cuts)
    panel.fill(now)
    drawn = sum(len(source.data["x"]) for source in panel.scatter.sources)
    assert drawn == table["hillas_intensity"].notna().sum()
    inside = table[table["hillas_intensity"].between(low, high) & table["hillas_width"].between(0, 1)]
    assert panel.across.source.data["some"].sum() == len(inside)
    assert f"{len(inside)} images in the box" in panel._words.text
    panel._clicked(3)
    row = inside.iloc[3]
    assert wanted == {"obs": row.obs_id, "event": row.event_id, "tel": row.tel_id}
    row = inside.iloc[5]
    panel._tapped(row.hillas_intensity, row.hillas_width)
    assert wanted == {"obs": row.obs_id, "event": row.event_id, "tel": row.tel_id}
    panel._boxed((1.0, 20.0, 0.1, 0.2))
    assert Look(**wanted).area == (1, 20, 0.1, 0.2)
    panel._boxed(None)
    assert wanted == {"box": ""}


@pytest.mark.parametrize("name", AXES)
def test_each_parameter_can_be_an_axis(work: Work, results: Results, name: str) -> None:
    panel = ImagesPanel(Wanted())
    panel.fill(now_of(work, Look(x=name)))
    values = results.table[name].to_numpy(float)
    kept = np.isfinite(values) & np.isfinite(results.table["hillas_width"]) & ((values > 0) | (not AXES[name].log))
    assert sum(len(source.data["x"]) for source in panel.scatter.sources) == kept.sum()


@pytest.mark.parametrize("name", QUANTITIES)
def test_pixels_show_statistics_and_marks(work: Work, results: Results, name: str) -> None:
    panel = PixelsPanel(Wanted())
    now = now_of(work, Look(panel="pixels", pixels=3, quantity=name))
    panel.show(now.look, now.cuts)
    panel.fill(now)
    data, flags = results.data["LSTCam"], results.flags["LSTCam"]
    np.testing.assert_array_equal(
        panel.camera.source.data["value"], data[name].sel(telescope=3).values.astype(np.float32)
    )
    for state, places in panel.camera.overlay.marked.items():
        assert len(places.data["x"]) == flags[state].sel(telescope=3).values.sum()


def test_a_click_shows_a_bad_pixel_in_its_camera(work: Work, results: Results) -> None:
    wanted = Wanted()
    panel = PixelsPanel(wanted)
    panel.fill(now_of(work, Look(panel="pixels")))
    rows = panel.table.widget.value
    assert len(rows) == sum(int((one["dead"] | one["noisy"]).values.sum()) for one in results.flags.values()) > 0
    assert set(rows["state"]) == {"dead", "noisy"}
    panel._clicked(2)
    tel, pixel = panel._bad[2]
    assert wanted == {"pixels": tel}
    assert rows["pixel"][2] == str(pixel)
    panel.fill(now_of(work, Look(panel="pixels", pixels=tel)))
    assert panel._chosen == (tel, pixel)


def test_sliders_are_tried_and_then_applied() -> None:
    cuts: list[dl1.Cuts] = []
    tried: list[dl1.Cuts] = []
    panel = CutsPanel(cuts.append, tried.append, dl1.Cuts())
    panel.show(Look(), dl1.Cuts())
    picture = panel.sliders["picture"]
    picture.value = 14.0
    assert (tried, cuts) == ([dl1.Cuts(picture=14.0)], [])
    panel.show(Look(panel="cuts"), dl1.Cuts())  # something else was wished meanwhile
    assert picture.value == 14.0
    panel._let_go("picture", 14.0)
    assert cuts == [dl1.Cuts(picture=14.0)]
    panel.show(Look(), cuts[0])
    panel._all()
    panel.show(Look(), cuts[-1])
    assert (cuts[-1], picture.value) == (dl1.Cuts(), 10.0)


def test_the_widgets_follow_the_wish_and_not_what_arrives(work: Work, facts: Facts) -> None:
    wanted = Wanted()
    display = Display(wanted, lambda _: None, lambda _: None, wall=False)
    look = Look(tel=3)
    display.show(look, ("a.h5", "b.h5"))
    display.name(facts, 4711, look)
    display.fill(now_of(work, look), "")
    assert (display._number.value, display._tel.value, wanted) == ("4711", 3, {})
    display.name(facts, 4712, Look())
    assert (display._tel.value, wanted) == (-1, {})
    display._tel.value = 11
    assert wanted == {"tel": 11}


def test_ranges_and_numbers_become_cuts() -> None:
    asked: list[dl1.Cuts] = []
    panel = CutsPanel(asked.append, asked.append, dl1.Cuts(particle=(0,)))
    panel.show(Look(), dl1.Cuts(particle=(0,)))
    panel._range("energy", 0.123456, 10.0)
    panel._range("multiplicity", 2.4, 7.9)
    panel._range("energy", None, None)
    panel._typed("min_pixels", 5.0)
    assert asked == [
        dl1.Cuts(particle=(0,), energy_min=0.1235, energy_max=10.0),
        dl1.Cuts(particle=(0,), multiplicity_min=3, multiplicity_max=7),
        dl1.Cuts(particle=(0,)),
        dl1.Cuts(particle=(0,), min_pixels=5),
    ]


@pytest.mark.parametrize(
    ("values", "words"),
    [({"expression": "nonsense > 3"}, "nonsense"), ({"energy_min": 20.0, "energy_max": 10.0}, "energy_min"), ({"expression": "1 +"}, "")],
)  # fmt: skip
def test_impossible_cuts_are_explained(values: dict[str, Any], words: str) -> None:
    asked: list[dl1.Cuts] = []
    panel = CutsPanel(asked.append, asked.append, dl1.Cuts())
    panel.show(Look(), dl1.Cuts())
    panel._changed(**values)
    assert not asked
    assert panel._error.visible
    assert words in panel._error.text


def test_the_cuts_panel_knows_the_particles(work: Work, facts: Facts) -> None:
    panel = CutsPanel(lambda _: None, lambda _: None, dl1.Cuts())
    panel.fill(now_of(work, Look()))
    assert set(panel._codes()) == set(facts.events["true_shower_primary_id"])
    assert panel.energy.source.data["every"].sum() == len(facts.events)


def test_stereo_lists_directions(work: Work, facts: Facts, until: Callable[..., None]) -> None:
    wanted = Wanted()
    panel = StereoPanel(wanted, lambda: None)
    now = now_of(work, Look(panel="stereo"))
    until(lambda: panel.fill(now) or panel._rows is not None)
    with dl1.open(facts.path) as file:
        found = dl1.stereo_of(work.results.table.drop(columns="place"), file)
    assert len(found) == len(panel._rows) > 10
    assert panel.angle.source.data["every"].sum() == len(found)
    panel._clicked(2)
    assert wanted == {"obs": found["obs_id"].iloc[2], "event": found["event_id"].iloc[2]}


@pytest.mark.parametrize("method", dl1.MAPPING_METHODS)
def test_each_mapping_is_shown_or_explained(work: Work, method: str, until: Callable[..., None]) -> None:
    for tel in (1, 11):
        panel = MappedPanel(Wanted(), lambda: None)
        now = now_of(work, Look(panel="mapped", mapping=method, tel=tel))
        if now.image is None or now.image.tel_id != tel:
            continue
        until(lambda: panel.fill(now) or panel._words.text not in {"", "Making the mapping …"})  # noqa: B023
        if "cells of" in panel._words.text:
            drawn = panel.charge.source.data["image"][0]
            wanted = dl1.image_mapping(now.image.camera, method).apply(now.image.image[None, :, None])[0, ..., 0]
            np.testing.assert_allclose(drawn[::-1], wanted, rtol=1e-5)
        else:
            assert tel == 11
            assert method in panel._words.text


def test_the_file_panel_shows_what_the_file_says(work: Work, facts: Facts) -> None:
    wanted = Wanted()
    panel = FilePanel(wanted)
    panel.fill(now_of(work, Look()))
    assert panel.telescopes.widget.value["tel_id"].tolist() == [str(tel) for tel in facts.telescopes.index]
    assert set(facts.metadata) == set(panel.metadata.widget.value["name"])
    assert set(facts.header) == set(panel.header.widget.value["name"])
    panel._clicked(4)
    assert wanted == {"pixels": 5, "panel": "pixels"}


@pytest.fixture
def until(tools: Any) -> Callable[..., None]:
    return lambda wanted: tools.eventually(wanted, 60.0)


# --- exports


@pytest.mark.parametrize("name", [name for name in LABELS if name != "images.h5"])
def test_exports_open_again(work: Work, results: Results, name: str) -> None:
    now = now_of(work, Look(tel=1))
    made = content(name, now, results.data)
    if name.endswith(".png"):
        assert made.startswith(b"\x89PNG")
    elif name == "parameters.csv":
        table = pd.read_csv(io.BytesIO(made))
        np.testing.assert_allclose(table["hillas_width"], results.table["hillas_width"], rtol=1e-9)
    elif name == "pixels.npy":
        mask = np.load(io.BytesIO(made), allow_pickle=False)
        assert mask.shape == results.flags["LSTCam"]["pixel_mask"].shape
    elif name == "settings.yaml":
        assert dl1.Cuts.from_yaml(made.decode()) == now.cuts
    elif name == "dl1.zip":
        with zipfile.ZipFile(io.BytesIO(made)) as archive:
            assert archive.testzip() is None
            kinds = {kind for kind in results.data if any(kind in one for one in archive.namelist())}
        assert kinds == set(results.data)
    else:
        assert made


@pytest.mark.parametrize("panel", PANELS)
def test_the_command_makes_what_is_shown(panel: str) -> None:
    words = command("a b.h5", dl1.Cuts(picture=8.0), Look(panel=panel)).split()
    assert words[:2] == ["detcore", "dl1"]
    assert "'a b.h5'" in command("a b.h5", dl1.Cuts(picture=8.0), Look(panel=panel))
    assert ("--picture" in words) == (words[2] in {"run", "parameters", "stereo"})
    assert not command("", dl1.Cuts(), Look())
