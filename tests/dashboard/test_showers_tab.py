"""What the showers tab computes for itself: links, operations, selections, names of new files, numbers of one shower."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.tabs.showers.export import command
from dashboard.tabs.showers.look import MAX_OPERATIONS, Look, Place, from_text, labels_of, particle, to_text
from dashboard.tabs.showers.panels import bars, with_error
from dashboard.tabs.showers.results import facts, maps_of, spectrum_edges
from dashboard.tabs.showers.saving import Saving, target_of
from dashboard.tabs.showers.selection import Incident, SelectionPanel, edges_of
from dashboard.tabs.showers.space import Space
from dashboard.tabs.showers.tab import Tab
from detcore import showers

if TYPE_CHECKING:
    from pathlib import Path

    from dashboard.feeds import FeedRequest

amounts = st.floats(0, 500).map(lambda value: float(f"{value:g}"))
operations = st.one_of(
    st.builds(showers.Operation, kind=st.just("cluster"), random_shift=st.booleans()),
    st.builds(
        showers.Operation, kind=st.just("filter"), radius=amounts, ecal_threshold=amounts, hcal_threshold=amounts
    ),
    st.builds(showers.Operation, kind=st.just("shift"), inverse=st.booleans()),
)


def points(n: int = 500, seed: int = 0) -> np.ndarray:
    """Points of one shower about (20, -10) mm, five columns."""
    rng = np.random.default_rng(seed)
    columns = [
        rng.normal(20, 15, n),
        rng.normal(-10, 15, n),
        rng.integers(0, 28, n),
        rng.exponential(5e-4, n),
        rng.exponential(1, n),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def one(n: int = 500) -> showers.Ragged:
    return showers.Ragged.build(points(n), [n], [30.0], [[0.0, 0.1, 0.995]], [22])


def incident(n: int = 400) -> Incident:
    rng = np.random.default_rng(3)
    direction = np.stack([rng.normal(0, 0.1, n), rng.normal(0, 0.1, n), np.ones(n)], axis=1)
    return Incident(rng.uniform(5, 60, n), direction, rng.choice([22, 211, -211], n).astype(np.int32))


@given(st.lists(operations, max_size=MAX_OPERATIONS).map(tuple))
def test_operations_survive_the_link(wanted: tuple[showers.Operation, ...]) -> None:
    assert from_text(to_text(wanted)) == wanted


@pytest.mark.parametrize("text", ["x", "f:1,2", "f:a,b,c", "c:z", "f:-1,0,0", "f:1,2,3,4", "s:r", "f:nan,0,0"])
def test_wrong_operations_are_named(text: str) -> None:
    with pytest.raises(ValueError, match="in the link"):
        from_text(text)


def test_too_many_operations_are_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        from_text("/".join(["c"] * (MAX_OPERATIONS + 1)))


def test_the_look_survives_the_link() -> None:
    look = Look(shower=7, show="mean", colour="time", seen_from=3, seen_to=20, camera="30,20,1.5,0,0", ops="c/s:i")
    assert Look.from_query(look.to_query()) == look
    assert look.angles == (30.0, 20.0, 1.5, 0.0, 0.0)


@pytest.mark.parametrize("camera", ["", "1,2", "a,b,c,d,e", "nan,0,1,0,0", "1,2,3,4,5,6"])
def test_a_wrong_camera_is_none(camera: str) -> None:
    assert Look(camera=camera).angles == ()


def test_files_have_different_names() -> None:
    names = labels_of(("/d/run1/photons.h5", "/d/run2/photons.h5", "/d/run2/photons.h5"))
    assert names[0] == "run1/photons"
    assert len(set(names)) == 3


def test_a_file_is_chosen_by_the_viewer_alone() -> None:
    """Not by the order in which files are read, which a browser would send back as a choice."""
    wanted: list[dict[str, object]] = []
    space = Space(lambda **changes: wanted.append(changes), lambda: None, None, wall=False)
    values: list[object] = []
    chooser = space._sample
    chooser.param.watch(lambda event: values.append(event.new), "value")
    for labels in ([], ["a", "b"], ["a", "b"]):
        space.choices(labels, Look())
        assert chooser.visible == bool(labels)
    assert (values, wanted) == (["a"], [])
    space.choices(["a", "b"], Look(sample=1))
    assert (values, wanted) == (["a", "b"], [])
    chooser.value = "a"
    assert wanted == [{"sample": 0, "shower": 0}]


def test_a_refused_file_does_not_move_the_others() -> None:
    def opened(request: FeedRequest) -> str:
        if request.paths == ("outside.h5",):
            msg = "outside.h5: outside the data roots"
            raise PermissionError(msg)
        return f"key of {request.paths[0]}"

    told: list[str] = []
    session = SimpleNamespace(notify=lambda text, level: told.append(text), refresh=lambda: None)
    runtime = SimpleNamespace(feeds=SimpleNamespace(open=opened))
    tab = Tab(session, runtime, {"path": "outside.h5|a.h5|b.h5", "sample": "2"}, wall=False)  # type: ignore[arg-type]
    assert tab.feeds() == ("key of b.h5", "key of a.h5")
    assert told == ["outside.h5: outside the data roots"]
    assert tab._place_among(["a.h5", "b.h5"]) == 1
    tab.want(sample=0)
    assert tab.feeds() == ("key of a.h5", "key of b.h5")
    assert tab._place_among(["a.h5", "b.h5"]) == 0


def test_particles_have_signs() -> None:
    assert (particle(22), particle(-211), particle(1000020040)) == ("\u03b3", "π⁻", "PDG 1000020040")


def test_a_histogram_is_free_of_its_own_condition() -> None:
    data = incident()
    cuts = showers.Cuts(energy_min=20, energy_max=30, pdg=(22,), angle_max=5)
    angle = np.degrees(np.arctan2(np.hypot(*data.direction[:, :2].T), data.direction[:, 2]))
    photons, near = data.pdg == 22, angle <= 5
    inside = (data.energy >= 20) & (data.energy <= 30)
    assert (data.passes(cuts) == (photons & near & inside)).all()
    assert (data.passes(cuts, but="energy") == (photons & near)).all()
    assert (data.passes(cuts, but="angle") == (photons & inside)).all()


def test_the_selection_shows_all_and_those_that_pass() -> None:
    panel = SelectionPanel(lambda _: None, showers.Cuts())
    data, cuts = incident(), showers.Cuts(pdg=(211,), energy_min=30)
    panel.fill([data], cuts)
    panel.show(cuts)
    assert panel.energy.all.data["top"].sum() == len(data.energy)
    assert panel.energy.sources[0].data["y"].sum() == (data.pdg == 211).sum()
    assert panel.theta.sources[0].data["y"].sum() == ((data.pdg == 211) & (data.energy >= 30)).sum()
    assert list(panel._types.options) == ["\u03b3", "π⁺", "π⁻"]
    assert panel._types.value == [211]


def test_a_dragged_range_becomes_a_selection() -> None:
    asked: list[showers.Cuts] = []
    panel = SelectionPanel(asked.append, showers.Cuts(pdg=(22,)))
    panel.show(showers.Cuts(pdg=(22,)))
    panel._range("energy", 12.34567, 40.0)
    panel._range("angle", None, None)
    assert asked == [showers.Cuts(pdg=(22,), energy_min=12.35, energy_max=40.0), showers.Cuts(pdg=(22,))]


def test_an_impossible_selection_is_explained() -> None:
    asked: list[showers.Cuts] = []
    panel = SelectionPanel(asked.append, showers.Cuts(energy_min=20))
    panel._changed(energy_max=10.0)
    assert not asked
    assert "expected energy_min <= energy_max" in panel._error.text


@pytest.mark.parametrize("values", [[], [5.0], [7.0, 7.0], [0.0, 0.0], [np.nan, 1.0, 2.0]])
def test_edges_hold_everything(values: list[float]) -> None:
    edges = edges_of([np.array(values)])
    kept = np.array([value for value in values if np.isfinite(value)])
    assert (np.diff(edges) > 0).all()
    assert np.histogram(kept, edges)[0].sum() == len(kept)


def test_facts_compare_before_and_after() -> None:
    before = points()
    table = facts(before, before[before[:, 3] > 2e-4]).set_index("name")
    assert table.loc["Points"].tolist() == ["500", str((before[:, 3] > 2e-4).sum())]
    assert table.loc["Energy (GeV)", "before"] == f"{before[:, 3].astype(float).sum():.4g}"
    assert set(facts(before, None)["after"]) == {""}
    assert facts(before[:0], None).set_index("name").loc["Centre x (mm)", "before"] == "nan"


def test_mean_maps_are_cut_to_what_holds_almost_all_energy() -> None:
    data = showers.reduce_showers(showers.Ragged.concatenate([one(3000) for _ in range(3)]), parts=("maps",))
    found = maps_of(data)
    for name, whole in (("xy", "map_xy"), ("lx", "map_xl"), ("ly", "map_yl")):
        part, total = found[name].values, data[whole].values.sum()
        assert 0.98 * total <= part.sum() <= total * (1 + 1e-9)
        assert part.shape == (len(found[name].y) - 1, len(found[name].x) - 1)
        assert part.size < data[whole].size / 2
    assert found["lx"].x[0] == -0.5


def test_spectrum_edges_hold_all_energies() -> None:
    energies = np.array([0.0, 1e-3, 0.5, 30.0])
    edges = spectrum_edges([energies])
    assert np.histogram(energies, edges)[0].sum() == 3
    assert len(spectrum_edges([np.zeros(4)])) == 2


def test_error_bars_are_broken_lines() -> None:
    x, y = bars(np.array([1.0, 2.0]), np.array([5.0, 6.0]), np.array([0.5, 1.0]))
    np.testing.assert_array_equal(x, [1, 1, np.nan, 2, 2, np.nan])
    np.testing.assert_array_equal(y, [4.5, 5.5, np.nan, 5, 7, np.nan])


def test_errors_have_two_digits() -> None:
    assert with_error(0.012345, 0.00067) == "0.01235 ± 0.00067"
    assert with_error(1e-9, 1e-10) == "1e-09 ± 1e-10"


@pytest.mark.parametrize("name", ["", "  ", "../a.h5", "a/b.h5", ".hidden", "a\0.h5", "x" * 90, "..", "a\\b"])
def test_names_of_new_files_stay_in_their_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no name for a new file"):
        target_of(tmp_path / "outputs", name)


def test_a_new_file_replaces_nothing(tmp_path: Path) -> None:
    assert target_of(tmp_path, "a") == tmp_path.resolve() / "a.h5"
    (tmp_path / "a.h5").touch()
    with pytest.raises(FileExistsError, match="exists already"):
        target_of(tmp_path, "a.h5")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three showers of 500 points."""
    path = tmp_path / "in.h5"
    showers.write_ragged(path, showers.Ragged.concatenate([one(), one(), one()]))
    return path


def test_what_is_tried_is_what_is_saved(file: Path, tmp_path: Path) -> None:
    steps = from_text("c:r/f:60,0.3,0")
    told = threading.Event()
    saving = Saving(lambda: told.set() if saving.fraction is None else None)
    saving.start(file, tmp_path / "outputs", "new", steps, showers.ILD)
    assert told.wait(30)
    assert saving.words.startswith("Wrote 3 showers"), saving.words
    assert saving.done is not None
    for number in range(3):
        tried = showers.transform(showers.read_ragged(file, number, number + 1), steps, showers.ILD, first=number)
        saved = showers.read_ragged(saving.done, number, number + 1)
        np.testing.assert_array_equal(saved.points, tried.points)
    with h5py.File(saving.done) as written:
        assert written.attrs["clustered_for"] == "ILD"


def test_cancelled_files_leave_nothing(file: Path, tmp_path: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(showers.Cancelled, match="cancelled"):
        showers.transform_file(file, tmp_path / "out.h5", from_text("c"), cancel=cancel)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.h5"]


def test_nothing_to_do_is_not_saved(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="add a step"):
        Saving(lambda: None).start(file, tmp_path / "outputs", "new", (), showers.ILD)


def test_the_command_says_what_differs() -> None:
    cuts = showers.Cuts(energy_min=10, ecal_threshold=0.2)
    assert command(("a b.h5",), Place(), cuts) == "detcore showers run --energy-min 10.0 --ecal-threshold 0.2 'a b.h5'"
    assert command(("a.h5", "b.h5"), Place(geometry="ILD"), showers.Cuts()) == (
        "detcore showers compare --geometry ILD a.h5 b.h5"
    )
