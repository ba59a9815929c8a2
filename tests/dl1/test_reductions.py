"""Sums over images against plain NumPy, and the table against the parameters of all images at once."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from detcore import dl1
from detcore.core.accumulators import total
from detcore.core.run import Inline, problems_of, run
from detcore.dl1.api import open_files, reduce, reduction
from detcore.dl1.distributions import IN_DEGREES, Distributions
from detcore.dl1.reductions import EventCounts, ImageTable, PixelStatistics
from detcore.dl1.steps import Cuts, Parametrised


@pytest.fixture
def own(ctapipe_files, tmp_path):
    return ctapipe_files.write(tmp_path / "own.dl1.h5")


def test_pixels_are_those_of_numpy(own):
    data = reduce(own.path, camera="LSTCam", parts=("pixels",), picture=12, boundary=6, min_neighbors=1)
    with dl1.open(own.path) as file:
        camera = file.camera(1)
    assert data["telescope"].values.tolist() == [1, 2]
    for tel_id in (1, 2):
        images = own.images[tel_id]["image"].astype(np.float64)
        times = own.images[tel_id]["peak_time"].astype(np.float64)
        selected = dl1.tailcuts(own.images[tel_id]["image"], camera, 12, 6, 1)
        found = data.sel(telescope=tel_id)
        bright = images >= 10
        assert int(found["n_images"]) == int(found["n_read"]) == len(images)
        np.testing.assert_array_equal(found["pixel_count"], np.full(37, len(images)))
        np.testing.assert_allclose(found["mean"], images.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(found["std"], images.std(axis=0), rtol=1e-10)
        np.testing.assert_array_equal(found["occupancy"], bright.mean(axis=0))
        np.testing.assert_array_equal(found["survival"], selected.mean(axis=0))
        np.testing.assert_allclose(found["time_mean"], times.mean(axis=0, where=bright), rtol=1e-12)
        np.testing.assert_allclose(found["time_std"], times.std(axis=0, where=bright), rtol=1e-9, atol=1e-6)
        assert 0 < selected.sum() < selected.size
        assert 0 < bright.sum() < bright.size
    assert data["mean"].attrs["units"] == "p.e."
    assert data["time_mean"].attrs["units"] == "ns"
    assert "of 10 p.e. or more" in data["occupancy"].attrs["long_name"]


def test_charges_that_are_no_numbers_are_left_out(own):
    source = open_files(own.path, telescopes=(5,))
    chunk = source.read(next(iter(source.plan())), frozenset())
    images = chunk["image"].values.copy()
    images[::2, 3], images[:, 4], images[0, 5] = np.nan, np.nan, np.inf
    broken = Parametrised().apply(chunk.assign(image=(("event", "pixel"), images)))
    found = total(PixelStatistics(), broken).isel(telescope=0)
    n = len(images)
    assert found["pixel_count"].values[[2, 3, 4, 5]].tolist() == [n, n // 2, 0, n - 1]
    assert found["mean"].values[3] == pytest.approx(chunk["image"].values[1::2, 3].astype(float).mean())
    assert np.isnan(found["mean"].values[4])
    assert np.isnan(found["std"].values[4])
    assert found["std"].values[5] == pytest.approx(chunk["image"].values[1:, 5].astype(float).std())


def test_a_threshold_between_numbers_of_single_precision(own):
    """0.1 is not a number of single precision: what equals its neighbour there counts."""
    source = open_files(own.path, telescopes=(5,))
    chunk = source.read(next(iter(source.plan())), frozenset())
    images = np.full(chunk["image"].shape, np.float32(0.1))
    flat = Parametrised().apply(chunk.assign(image=(("event", "pixel"), images)))
    assert (total(PixelStatistics(above=0.1), flat)["occupancy"] == 1).all()


def test_the_table_holds_the_parameters_of_all_images(shared, tmp_path):
    """Two files, four telescopes, cut into the smallest chunks: file by file, telescope by telescope, row by row."""
    paths = [tmp_path / name for name in ("run_9.dl1.h5", "run_10.dl1.h5")]
    for path in paths:
        shutil.copy(shared / "data/dl1/test_lasercal_v3.dl1.h5", path)
    data = run(open_files(tmp_path), lambda schema: reduction(schema=schema, parts=("table",)), target_bytes=1)
    start = 0
    for path in paths:
        with dl1.open(path) as file:
            for tel_id in file.telescopes.index:
                rows = file.rows(int(tel_id))
                camera = file.camera(int(tel_id))
                images, times = rows["image"].values, rows["peak_time"].values
                expected = dl1.image_parameters(images, times, dl1.tailcuts(images, camera), camera)
                mine = data.isel(image=slice(start, start + len(images)))
                for name in expected.data_vars:
                    np.testing.assert_array_equal(mine[name], expected[name], err_msg=str(name))
                for name in ("obs_id", "event_id", "tel_id", "row"):
                    np.testing.assert_array_equal(mine[name], rows[name], err_msg=name)
                assert str(data["parts"].values[mine["part"].values[0]]) == str(path)
                start += len(images)
    assert start == data.sizes["image"] == 20
    assert data["hillas_width"].attrs == {
        "units": "deg",
        "long_name": "standard deviation along the minor axis",
    }
    assert data["true_energy"].attrs["units"] == "TeV"
    assert set(dl1.TABLE) - set(data.data_vars) == {"hillas_x", "hillas_y"}


@pytest.mark.parametrize("last", [1, 7, 100])
def test_the_table_is_bounded_and_says_what_it_left_out(own, last):
    source = open_files(own.path, "LSTCam")
    whole = run(source, ImageTable(columns="tel_id,row,event_id"), executor=Inline())
    wanted = ImageTable(columns="tel_id,row,event_id", last=last)
    state = wanted.empty(source.schema())
    most = 0
    for ref in source.plan(1):
        wanted.update(state, source.read(ref, frozenset()))
        most = max(most, sum(len(piece.key) for piece in state.rows))
    found = wanted.finalize(state)
    n = whole.sizes["image"]
    assert most <= last + last // 4 + 4, "pieces of four images are dropped as a whole"
    np.testing.assert_array_equal(found["event_id"], whole["event_id"][-last:])
    assert found.attrs == ({"left_out": f"the table holds the last {last} of {n} images"} if last < n else {})


def test_distributions_are_histograms_of_the_table(shared):
    data = reduce(shared / "data/dl1/test_lasercal_v3.dl1.h5", picture=6, boundary=3)
    for name, bins in IN_DEGREES.items():
        edges = data[f"edge_{name}"].values
        np.testing.assert_array_equal(edges, bins.edges())
        assert data[f"edge_{name}"].attrs["scale"] == ("log" if bins.log else "linear")
        assert data[f"edge_{name}"].attrs.get("units") == data[name].attrs.get("units")
        for tel_id in data["telescope"].values:
            values = data[name].values[data["tel_id"].values == tel_id]
            values = values[~np.isnan(values)]
            counts = data[f"dist_{name}"].sel(telescope=tel_id)
            np.testing.assert_array_equal(counts, np.histogram(values, edges)[0], err_msg=name)
            outside = data[f"outside_{name}"].sel(telescope=tel_id)
            assert outside.values.tolist() == [(values < edges[0]).sum(), (values > edges[-1]).sum()]
    assert int(data["dist_hillas_width"].sum()) > 5


def test_values_at_and_beyond_the_edges(own):
    source = open_files(own.path, telescopes=(5,))
    chunk = source.read(next(iter(source.plan())), frozenset()).isel(event=slice(0, 6))
    values = [-0.1, 0.0, 0.02, 1.0, 1.1, np.nan]
    found = total(
        Distributions(columns="leakage_intensity_width_2"), chunk.assign(leakage_intensity_width_2=("event", values))
    )
    counts = found["dist_leakage_intensity_width_2"].values[0]
    assert (counts[0], counts[1], counts[-1], counts.sum()) == (1, 1, 1, 3)
    assert found["outside_leakage_intensity_width_2"].values.tolist() == [[1, 1]]


def test_events_are_counted_once(own):
    data = reduce(own.path, camera="LSTCam", parts=())
    seen = own.events["mask"][:, :2].any(axis=1)
    counts = np.bincount(own.events["mask"][seen].sum(axis=1))
    assert int(data["n_events"]) == seen.sum()
    np.testing.assert_array_equal(data["multiplicity_counts"], counts)
    some = reduce(own.path, camera="LSTCam", parts=(), multiplicity_min=2, min_intensity=1e9)
    assert int(some["n_events"]) == counts[2:].sum(), "a cut on images is none on events"
    assert int(some["n_read"].sum()) == len(own.images[1]) + len(own.images[2])
    blank = total(EventCounts(), open_files(own.path).schema())
    assert int(blank["n_events"]) == 0
    assert blank["multiplicity_counts"].values.tolist() == [0]


def test_another_camera_of_the_same_name_is_a_line_of_the_ledger(own, ctapipe_files, tmp_path, monkeypatch):
    positions = ctapipe_files.pixels
    monkeypatch.setattr(ctapipe_files, "pixels", lambda name: tuple(2 * one for one in positions(name)))
    other = ctapipe_files.write(tmp_path / "wider.dl1.h5")
    data = reduce([own.path, other.path], camera="LSTCam")
    assert data["n_images"].values.tolist() == [len(own.images[1]), len(own.images[2])]
    assert data["parts"].values.tolist() == [str(own.path)]
    (problem,) = problems_of(data)
    assert problem.part == str(other.path)
    assert "camera LSTCam with 37 pixels is not the one before it" in problem.reason
    assert problem.chunks == 2


def test_samples_and_nanoseconds_are_not_mixed(shared):
    paths = [shared / "data/dl1" / name for name in ("test_lasercal_v3.dl1.h5", "ctaml072_lasercal_zlib.h5")]
    data = reduce(paths)
    assert data["n_read"].values.tolist() == [3, 3, 2, 2]
    (problem,) = problems_of(data)
    assert problem.part == str(paths[1])
    assert "its times are in sample, those before in ns" in problem.reason


def test_telescopes_that_only_a_later_file_has(own, ctapipe_files, tmp_path):
    made = ctapipe_files.content(20, seed=5)
    made.events["mask"][:, 0] = False
    made.images[1], made.parameters[1] = made.images[1][:0], made.parameters[1][:0]
    only_two = ctapipe_files.write(tmp_path / "b.dl1.h5", made)
    with dl1.open(only_two.path) as file:
        assert file.n_images(1) == 0
    none = reduce([only_two.path, own.path], telescopes=(1, 2), min_pixels=1000)
    assert none["n_read"].dtype == none["n_images"].dtype == none["dist_n_pixels"].dtype == np.int64
    assert none["telescope"].values.tolist() == [1, 2]
    data = reduce([only_two.path, own.path], telescopes=(1, 2))
    n = len(made.images[2]) + len(own.images[2])
    assert dict(zip(data["telescope"].values.tolist(), data["n_images"].values.tolist(), strict=True)) == {
        1: len(own.images[1]),
        2: n,
    }


def test_telescopes_that_are_not_read_are_not_in_the_result_those_cut_away_are_empty(own):
    data = reduce(own.path, camera="LSTCam", telescopes=(2,))
    assert data["telescope"].values.tolist() == [2]
    cut = run(open_files(own.path, "LSTCam"), lambda schema: reduction(Cuts(telescopes=2), schema))
    assert cut["n_images"].values.tolist() == [0, len(own.images[2])]
    assert cut["n_images"].dtype == cut["dist_n_pixels"].dtype == np.int64
    assert np.isnan(cut["mean"].sel(telescope=1)).all()
    assert cut["dist_n_pixels"].sel(telescope=1).sum() == 0
    np.testing.assert_array_equal(cut["mean"].sel(telescope=2), data["mean"].sel(telescope=2))
    np.testing.assert_array_equal(cut["event_id"], data["event_id"])


def test_telescopes_of_which_nothing_passes_are_known_from_their_chunks(own):
    source = open_files(own.path, "LSTCam")
    chunks = [Parametrised().apply(source.read(ref, frozenset())) for ref in source.plan()]
    first, second = (chunk.assign_attrs(telescopes=(int(chunk["tel_id"][0]),)) for chunk in chunks)
    for wanted in (PixelStatistics(), Distributions(columns="n_pixels")):
        state = wanted.empty(first.isel(event=slice(0, 0)))
        other = wanted.empty(first.isel(event=slice(0, 0)))
        wanted.update(state, first)
        wanted.update(other, second.isel(event=slice(0, 0)))
        wanted.merge(state, other)
        assert wanted.finalize(state)["telescope"].values.tolist() == [1, 2]
