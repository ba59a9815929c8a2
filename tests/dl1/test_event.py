"""One event for the display: the same images and numbers as by every other way, and problems instead of failures."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
import tables

from detcore.dl1.event import load_event
from detcore.dl1.eventindex import EVENTS, KnownFile, events_of
from detcore.dl1.files.openfile import open as open_dl1
from detcore.dl1.files.pointing import pointing_of
from detcore.dl1.images.cleaning import islands, tailcuts
from detcore.dl1.images.hillas import hillas
from detcore.dl1.images.muon import muon_ring
from detcore.dl1.images.parameters import image_parameters
from detcore.dl1.images.stereo import stereo
from detcore.dl1.steps import Cuts

LASERCAL = "data/dl1/test_lasercal_v3.dl1.h5"


@pytest.fixture
def small(tmp_path, ctapipe_files):
    return ctapipe_files.write(tmp_path / "small.dl1.h5")


def first(path):
    row = events_of(path).iloc[0]
    return int(row["obs_id"]), int(row["event_id"])


def test_images_and_numbers_are_those_of_the_file_and_of_the_functions(real_file):
    with open_dl1(real_file) as file:
        for number, row in enumerate(file.events.head(3).itertuples()):
            event = load_event(real_file, row.obs_id, row.event_id)
            assert event.number == number
            assert event.problems == ()
            assert event.tel_ids == row.tels_with_trigger
            assert event.info["true_energy"] == row.true_energy
            for one in event.cameras:
                data = file.image_of(one.tel_id, row.obs_id, row.event_id)
                for name in ("image", "peak_time", "image_mask", "true_image"):
                    np.testing.assert_array_equal(getattr(one, name), data[name][0], err_msg=name)
                selected = tailcuts(one.image, one.camera, 10, 5, 2)
                np.testing.assert_array_equal(one.selected, selected)
                np.testing.assert_array_equal(one.island_labels, islands(selected, one.camera)[0])
                wanted = image_parameters(one.image, one.peak_time, selected, one.camera)
                wanted.update(hillas(one.image, selected, one.camera, "camera"))
                for name, values in wanted.items():
                    assert one.parameters[name] == pytest.approx(values.values[0], nan_ok=True), name
                assert one.telescope["x"] == file.telescopes.loc[one.tel_id, "x"]
                assert one.camera == file.camera(one.tel_id)
                assert one.time_unit == "ns"


def test_with_the_cleaning_of_the_file_come_its_parameters(real_file):
    compared = 0
    with open_dl1(real_file) as file:
        for row in file.events.head(3).itertuples():
            for one in load_event(real_file, row.obs_id, row.event_id, Cuts(cleaning="file")).cameras:
                np.testing.assert_array_equal(one.selected, one.image_mask)
                table = file.parameters(one.tel_id).set_index(["obs_id", "event_id"])
                stored = table.loc[(row.obs_id, row.event_id)]
                assert set(one.file_parameters) == set(table) - {"tel_id"}
                for name, value in one.file_parameters.items():
                    assert value == pytest.approx(stored[name], nan_ok=True), name
                    if name in one.parameters and not name.startswith("timing"):  # that fit begins with random pairs
                        assert one.parameters[name] == pytest.approx(value, rel=1e-4, abs=1e-5, nan_ok=True), name
                        compared += 1
    assert compared > 30


def test_direction_and_impact_are_near_the_truth_and_on_the_lines(shared):
    path = shared / LASERCAL
    for row in events_of(path).itertuples():
        event = load_event(path, row.obs_id, row.event_id)
        if len(event.cameras) < 3:
            continue
        found = event.stereo
        assert abs(found["alt"] - row.true_alt) < 0.2
        assert abs(found["az"] - row.true_az) < 0.3
        assert np.hypot(found["core_x"] - row.true_core_x, found["core_y"] - row.true_core_y) < 30
        assert (found["pointing"]["alt"], found["pointing"]["az"]) == pytest.approx((70, 180), abs=1e-4)
        assert [line["tel_id"] for line in found["axes"]] == list(event.tel_ids)
        for line in found["axes"]:
            x, y = found["core_x"] - line["tel_x"], found["core_y"] - line["tel_y"]
            across = abs(x * np.sin(np.radians(line["angle"])) - y * np.cos(np.radians(line["angle"])))
            assert across < 0.35 * np.hypot(x, y)


def test_stereo_is_that_of_the_function(shared):
    path = shared / "data/dl1/camsettings_v6.dl1.h5"
    event = load_event(path, *first(path), Cuts(min_intensity=100))
    used = [one for one in event.cameras if one.passes]
    assert 2 < len(used) < len(event.cameras)
    assert all(one.parameters["hillas_intensity"] >= 100 for one in used)
    table = pd.DataFrame([{**one.parameters, "tel_id": one.tel_id, "obs_id": 1, "event_id": 100} for one in used])
    with open_dl1(path) as file:
        looked = pointing_of(file, table["tel_id"], table["obs_id"])
        cameras = {one.tel_id: one.camera for one in used}
        wanted = stereo(table, file.telescopes, tuple(looked.T), cameras=cameras, observation_level=2158.0).iloc[0]
    for name in ("alt", "az", "core_x", "core_y", "h_max", "n_telescopes"):
        assert event.stereo[name] == pytest.approx(wanted[name], rel=1e-9), name


def test_cuts_choose_telescopes_and_what_counts(shared):
    path = shared / LASERCAL
    key = first(path)
    assert load_event(path, *key, Cuts(telescopes=(2, 4))).tel_ids == (2, 4)
    none = load_event(path, *key, Cuts(min_intensity=1e9))
    assert [one.passes for one in none.cameras] == [False] * 4
    assert none.stereo is None
    wide = load_event(path, *key, Cuts(expression="(tel_id < 3) & (hillas_width > 0) & (true_energy > 1)"))
    assert [one.passes for one in wide.cameras] == [True, True, False, False]
    assert wide.stereo["n_telescopes"] == 2
    dark = load_event(path, *key, Cuts(picture=1e6, boundary=1e6))
    assert [one.parameters["n_pixels"] for one in dark.cameras] == [0] * 4
    assert not any(one.passes for one in dark.cameras)


def test_a_ring_is_fitted_if_asked_for(shared):
    path = shared / "data/dl1/gct_checs_muons.dl1.h5"
    row = events_of(path).iloc[4]
    assert load_event(path, row.obs_id, row.event_id).ring is None
    event = load_event(path, row.obs_id, row.event_id, ring=True)
    one = event.cameras[0]
    wanted = muon_ring(one.image, one.selected, one.camera)
    assert event.ring["tel_id"] == one.tel_id
    assert event.ring["muonring_radius"] == pytest.approx(float(wanted.muonring_radius[0]))
    # the circle in metres lies at the same pixels as that in degrees
    lon, lat = one.camera.telescope_frame()
    ring = event.ring
    in_degrees = np.hypot(lon - ring["muonring_center_fov_lon"], lat - ring["muonring_center_fov_lat"])
    in_metres = np.hypot(one.camera.pixel_x - ring["x"], one.camera.pixel_y - ring["y"])
    np.testing.assert_allclose(in_metres / ring["radius"], in_degrees / ring["muonring_radius"], rtol=1e-9)


def test_other_formats_lack_some_things(shared):
    path = shared / "data/dl1/ctaml072_lasercal_lzo.h5"
    event = load_event(path, *first(path))
    assert event.problems == ()
    assert event.stereo is not None
    for one in event.cameras:
        assert (one.time_unit, one.image_mask, one.true_image, one.file_parameters) == ("sample", None, None, None)
    failed = load_event(path, *first(path), Cuts(cleaning="file"))
    assert failed.cameras == ()
    assert "image_mask" in failed.problems[0]


def test_arrays_are_shared_and_cannot_be_changed(small):
    key = first(small.path)
    one, again = (load_event(small.path, *key).cameras[0] for _ in range(2))
    assert np.shares_memory(one.image, again.image)
    with pytest.raises(ValueError, match="read-only"):
        one.image[0] = 1


@pytest.mark.parametrize("by_type", [False, True])
def test_parameters_of_the_file_are_found_in_any_order(tmp_path, ctapipe_files, by_type):
    path = tmp_path / "mixed.dl1.h5"
    made = ctapipe_files.write(path, by_type=by_type)
    with tables.open_file(str(path), "a") as file:
        for table in file.root.dl1.event.telescope.parameters:
            rows = table.read()
            table.modify_rows(0, rows=rows[::-1].copy())
    for row in events_of(path).iloc[[0, 7, 20]].itertuples():
        for one in load_event(path, row.obs_id, row.event_id).cameras:
            stored = made.parameters[one.tel_id]
            mine = stored[stored["event_id"] == row.event_id][0]
            assert one.file_parameters["hillas_length"] == mine["hillas_length"]


def test_a_file_without_parameters_has_none(tmp_path, ctapipe_files):
    path = ctapipe_files.write(tmp_path / "a.h5", drop=("/dl1/event/telescope/parameters",)).path
    assert load_event(path, *first(path)).cameras[0].file_parameters is None


def test_what_is_wrong_with_one_telescope_is_told(small):
    with h5py.File(small.path, "a") as file:
        del file["dl1/event/telescope/images/tel_001"]
        file["dl1/event/telescope/images/tel_001"] = np.zeros(5, [("image", "f4", 3)])
    seen = [row for row in events_of(small.path).itertuples() if {1, 2} <= set(row.tels_with_trigger)]
    event = load_event(small.path, seen[0].obs_id, seen[0].event_id)
    assert 2 in event.tel_ids
    assert 1 not in event.tel_ids
    assert event.problems[0].startswith("telescope 1: ")
    with pytest.raises(KeyError, match="telescope 1 has no image"):
        event.camera(1)
    assert event.camera(2).tel_id == 2


def test_an_image_of_another_event_is_not_shown(small):
    with tables.open_file(str(small.path), "a") as file:
        images = file.root.dl1.event.telescope.images.tel_002
        n = len(images)
        row = next(row for row in range(n) if row not in np.linspace(0, n - 1, 8).astype(int))  # those are compared
        event_id = int(images.cols.event_id[row])
        images.cols.event_id[row] = event_id + 1
    event = load_event(small.path, 7, event_id)
    assert 2 not in event.tel_ids
    assert "telescope 2: the tables of the file disagree" in event.problems[0]


def test_one_image_by_its_row(small):
    with open_dl1(small.path) as file:
        image = file.image_at(2, 5)
        np.testing.assert_array_equal(image.image, small.images[2]["image"][5:6])
        with pytest.raises(IndexError, match="asked for row 99"):
            file.image_at(2, 99)


def test_odd_charges_and_times_stop_nothing(tmp_path, ctapipe_files):
    made = ctapipe_files.content()
    for images in made.images.values():
        for row, (column, value) in enumerate(
            [("image", np.nan), ("image", np.inf), ("image", -5), ("image", 3e38), ("image", 0), ("peak_time", np.nan)]
        ):
            images[column][row] = value
        images["image"][6, ::3] = np.inf
    path = ctapipe_files.write(tmp_path / "a.h5", made).path
    for row in events_of(path).head(12).itertuples():
        for cuts in (Cuts(), Cuts(cleaning="none"), Cuts(cleaning="file", main_island=True, time_limit=3)):
            event = load_event(path, row.obs_id, row.event_id, cuts, ring=True)
            assert event.tel_ids == row.tels_with_trigger
            assert not [text for text in event.problems if "no direction" not in text]


def test_no_such_event(small):
    with pytest.raises(KeyError, match="no event 5 of run 7; the file has 40 events"):
        load_event(small.path, 7, 5)


def test_without_a_focal_length_there_are_metres(small):
    with tables.open_file(str(small.path), "a") as file:
        file.remove_node("/configuration/instrument/telescope/optics")
    event = load_event(small.path, *first(small.path), ring=True)
    assert event.stereo is None
    for one in event.cameras:
        assert "hillas_fov_lon" not in one.parameters
        assert one.ring is None
        assert one.parameters["hillas_length"] == pytest.approx(
            one.parameters["camera_frame_hillas_length"], nan_ok=True
        )


def test_a_changed_file_is_read_anew(tmp_path, ctapipe_files):
    path = tmp_path / "a.h5"
    ctapipe_files.write(path)
    assert len(events_of(path)) == 40
    ctapipe_files.write(tmp_path / "b.h5", ctapipe_files.content(5, seed=1))
    shutil.copy(tmp_path / "b.h5", tmp_path / "c.h5")
    (tmp_path / "c.h5").replace(path)
    assert len(events_of(path)) == 5
    assert load_event(path, *first(path)).number == 0


def test_what_callers_do_to_the_table_is_theirs(small):
    mine = events_of(small.path)
    mine["new"] = 1
    assert "new" not in events_of(small.path)


def test_images_of_few_events_are_remembered(small, monkeypatch):
    known = KnownFile(str(small.path))
    read = []
    monkeypatch.setattr(KnownFile, "_read", lambda self, number: read.append(number) or number)
    assert [known.images(number) for number in (0, 1, 0, 0)] == [0, 1, 0, 0]
    assert read == [0, 1]
    for number in range(EVENTS + 1):
        known.images(number)
    known.images(EVENTS)
    known.images(0)
    assert read.count(0) == 2, "the oldest was forgotten"
