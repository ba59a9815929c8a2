"""Dead and noisy pixels, tables and headline numbers of finished results; showers and rings of whole files."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from detcore.dl1 import demo
from detcore.dl1.analysis import event_table, statistics_flags, stereo_events, stereo_of, summary
from detcore.dl1.api import reduce
from detcore.dl1.columns import TABLE
from detcore.dl1.event import load_event
from detcore.dl1.eventindex import events_of, file_of
from detcore.dl1.generator import array
from detcore.dl1.images.muon import muon_ring
from detcore.dl1.muontable import RINGS, muon_table
from detcore.dl1.source import cameras
from detcore.dl1.steps import Cuts, clean


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """Small files of three cameras; some of their pixels are dead, some noisy."""
    return demo.write_demo(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def results(simulated):
    return {camera: reduce(simulated[0], camera=camera) for camera in cameras(simulated[0])}


def statistics(n_images=200, n_pixels=300, **columns):
    """Statistics of one telescope with images of noise: standard deviation 1.5 p.e., nothing survives."""
    rng = np.random.default_rng(1)
    data = {
        "n_images": ("telescope", [n_images]),
        "pixel_count": (("telescope", "pixel"), np.full((1, n_pixels), n_images)),
        "mean": (("telescope", "pixel"), rng.normal(0, 1.5 / n_images**0.5, (1, n_pixels))),
        "std": (("telescope", "pixel"), rng.normal(1.5, 1.5 / (2 * n_images) ** 0.5, (1, n_pixels))),
        "occupancy": (("telescope", "pixel"), np.zeros((1, n_pixels))),
        "survival": (("telescope", "pixel"), np.zeros((1, n_pixels))),
    }
    found = xr.Dataset(data, {"telescope": [4]}, attrs={"camera": {"name": "Cam"}, "cut": "tail-cuts"})
    for name, values in columns.items():
        for pixel, value in values.items():
            found[name][0, pixel] = value
    return found


def places(flags, name):
    return [(int(flags["telescope"][k]), int(pixel)) for k, pixel in np.argwhere(flags[name].values)]


def test_exactly_the_bad_pixels_of_the_demo_are_found(results):
    stations = array()
    dead = sorted((one.tel_id, pixel) for one in stations for pixel in one.dead)
    noisy = sorted((one.tel_id, pixel) for one in stations for pixel in one.noisy)
    assert len(dead) > 3
    assert len(noisy) > 1
    flags = [statistics_flags(data) for data in results.values()]
    assert sorted(place for one in flags for place in places(one, "dead")) == dead
    assert sorted(place for one in flags for place in places(one, "noisy")) == noisy
    for one, data in zip(flags, results.values(), strict=True):
        np.testing.assert_array_equal(one["pixel_mask"], 2 * one["dead"] + 16 * one["noisy"])
        assert one.attrs["camera"] == data.attrs["camera"]


def test_without_light_what_is_far_above_the_others_is_noisy():
    data = statistics(std={7: 0.1, 8: 3.0}, mean={9: 2.0}, occupancy={10: 0.05})
    data["pixel_count"][0, 11] = 0
    flags = statistics_flags(data)
    assert places(flags, "dead") == [(4, 7), (4, 11)]
    assert places(flags, "noisy") == [(4, 8), (4, 9), (4, 10)]
    assert places(statistics_flags(data, dead_below=0.01), "dead") == [(4, 11)]
    assert places(statistics_flags(data, noisy_above=1000), "noisy") == [(4, 10)]  # all others have none at all


def test_in_light_what_is_bright_alone_is_noisy():
    lit = dict.fromkeys(range(100, 160), 0.3)
    data = statistics(occupancy=lit, survival=lit, std=dict.fromkeys(lit, 40.0))
    assert places(statistics_flags(data), "noisy") == []
    data["occupancy"][0, 20] = 0.1
    data["occupancy"][0, 21] = 0.01  # two images
    data["survival"][0, 22] = 0.5  # the boundary of images is not bright
    assert places(statistics_flags(data), "noisy") == [(4, 20)]
    assert places(statistics_flags(data, noisy_above=0.1), "noisy") == [(4, 20), (4, 21)]


def test_too_few_images_are_not_judged():
    data = statistics(n_images=9, std={7: 0.0, 8: 30.0})
    flags = statistics_flags(data)
    assert not flags["judged"].any()
    assert not flags["pixel_mask"].any()
    assert statistics_flags(statistics(n_images=10, std={7: 0.0}))["dead"].sum() == 1


def test_flags_need_statistics_and_sensible_limits(results):
    with pytest.raises(ValueError, match=r"no n_images.*part 'pixels'"):
        statistics_flags(xr.Dataset())
    with pytest.raises(ValueError, match="above 0"):
        statistics_flags(next(iter(results.values())), noisy_above=0)


def test_the_table_has_a_row_for_each_image(results, simulated):
    for camera, data in results.items():
        table = event_table(data)
        assert list(table) == [name for name in TABLE if name in data]
        assert len(table) == cameras(simulated[0])[camera]
        for name in table:
            np.testing.assert_array_equal(table[name], data[name], err_msg=name)
        assert table.attrs["units"]["hillas_width"] == "deg"
    assert list(event_table(xr.Dataset())) == ["tel_id", "obs_id", "event_id", "row"]
    assert len(event_table(reduce(simulated[0], parts=("pixels",)))) == 0


def test_of_several_files_the_table_names_each(simulated, tmp_path):
    paths = [str(tmp_path / name) for name in ("a.dl1.h5", "b.dl1.h5")]
    for path in paths:
        shutil.copy(simulated[0], path)
    table = event_table(reduce(paths, camera="LSTCam", parts=("table",)))
    assert next(iter(table)) == "file"
    assert table["file"].value_counts().to_dict() == dict.fromkeys(paths, len(table) // 2)


def test_events_with_two_images_get_a_direction_near_the_truth(simulated):
    seen = []
    found = stereo_events(simulated[0], Cuts(particle="0", min_pixels=8), progress=lambda *one: seen.append(one))
    assert seen[-1] == (3, 3, "")
    assert found.attrs["problems"] == []
    assert (found["n_telescopes"] >= 2).all()
    assert (found["true_shower_primary_id"] == 0).all()
    assert found["direction_error"].median() < 0.1
    assert found["core_error"].median() < 20
    assert found.attrs["units"]["direction_error"] == "deg"
    row = found.iloc[3]
    here, there = (np.radians([row[f"{kind}alt"], row[f"{kind}az"]]) for kind in ("", "true_"))
    cosine = np.sin(here[0]) * np.sin(there[0]) + np.cos(here[0]) * np.cos(there[0]) * np.cos(here[1] - there[1])
    assert row["direction_error"] == pytest.approx(np.degrees(np.arccos(cosine)), rel=1e-6)


def test_whole_files_and_single_events_agree(simulated):
    for path in simulated:
        found = stereo_events(path).set_index(["obs_id", "event_id"])
        compared = 0
        for row in events_of(path).iloc[::9].itertuples():
            event = load_event(path, row.obs_id, row.event_id)
            key = row.obs_id, row.event_id
            assert (event.stereo is not None) == (key in found.index)
            if event.stereo is not None:
                compared += 1
                for name in ("alt", "az", "core_x", "core_y", "h_max", "n_telescopes"):
                    assert event.stereo[name] == pytest.approx(found.loc[key, name], rel=1e-9), name
        assert compared > 4


def test_several_files_are_named_in_the_table_of_showers(simulated):
    found = stereo_events(simulated, Cuts(multiplicity_min=8))
    assert set(found["file"]) == set(map(str, simulated))


def test_without_two_images_there_is_no_shower(simulated, shared):
    none = stereo_of(event_table(xr.Dataset()), file_of(simulated[0]))
    assert len(none) == 0
    assert {"alt", "core_x", "direction_error"} <= set(none)
    muons = stereo_events(shared / "data/dl1/gct_checs_muons.dl1.h5")
    assert len(muons) == 0
    assert {"alt", "core_x", "direction_error"} <= set(muons)


def test_without_a_pointing_there_is_no_direction(tmp_path, ctapipe_files):
    path = ctapipe_files.write(tmp_path / "a.dl1.h5").path
    with pytest.raises(ValueError, match="does not say where telescopes 1, 2"):
        stereo_events(path, Cuts(min_neighbors=0))


def test_rings_of_muons_are_those_of_the_function(shared):
    path = shared / "data/dl1/gct_checs_muons.dl1.h5"
    cuts = Cuts(min_pixels=15, picture=4, boundary=2)
    found = muon_table(path, cuts)
    table = event_table(reduce(path, **cuts.model_dump()))
    assert 3 < len(found) <= len(table) < 20
    file = file_of(path)
    for row in found.head(3).itertuples():
        image = file.rows(row.tel_id, indices=[row.row])
        camera = file.camera(row.tel_id)
        selected = clean(image["image"].values, image["peak_time"].values, None, camera, cuts)
        wanted = muon_ring(image["image"].values, selected, camera)
        assert row.n_pixels == selected.sum()
        for name, values in wanted.items():
            assert getattr(row, name) == pytest.approx(values.values[0], nan_ok=True), name
    assert found.attrs["units"]["muonring_radius"] == "deg"
    assert found.attrs["problems"] == []


def test_muons_of_the_demo_have_round_rings(simulated):
    seen = []
    found = muon_table(simulated[0], progress=lambda *one: seen.append(one))
    assert seen[-1][:2] == (len(seen) - 1, len(seen) - 1)
    events = events_of(simulated[0]).set_index(["obs_id", "event_id"])
    kind = events.loc[pd.MultiIndex.from_frame(found[["obs_id", "event_id"]]), "true_shower_primary_id"].to_numpy()
    assert (np.abs(kind) == 2).sum() >= 5
    complete = found["muonparameters_completeness"].to_numpy()
    assert np.median(complete[np.abs(kind) == 2]) > 2 * np.median(complete[np.abs(kind) != 2])
    assert (found["n_pixels"] >= RINGS.min_pixels).all()
    assert len(muon_table(simulated[0], Cuts(min_intensity=1e9))) == 0


def test_the_summary_tells_what_there_is(results, simulated):
    data = results["LSTCam"]
    found = {label: (value, unit) for label, value, unit in summary(data)}
    assert found["Camera"] == ("LSTCam", "")
    assert found["Images read"] == (cameras(simulated[0])["LSTCam"], "")
    assert found["Events"] == (int(data["n_events"]), "")
    assert found["Median width"] == (pytest.approx(float(np.nanmedian(data["hillas_width"]))), "deg")
    assert found["Particles"][0] == "gamma, mu-, proton"
    assert found["Dead pixels"] == (3, "")
    less = reduce(simulated[0], camera="LSTCam", parts=(), energy_min=1)
    assert [label for label, _, _ in summary(less)] == ["Camera", "Images read", "Telescopes", "Events"]
