"""The demo is in the real formats, and what is in it belongs together: stereo finds the simulated showers."""

from __future__ import annotations

import importlib
import json
import time

import numpy as np
import pandas as pd
import pytest

from detcore import dl1
from detcore.dl1 import generator
from detcore.dl1.demo import COUNTS, MARKER, NAMES, write_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    dl1.image_parameters(np.zeros((1, 1855)), None, np.zeros((1, 1855), bool), generator.large_camera())  # compile it
    began = time.process_time()
    paths = write_demo(tmp_path_factory.mktemp("demo"))
    return paths, time.process_time() - began


@pytest.fixture(scope="module")
def files(demo):
    with dl1.open(demo[0][0]) as modern, dl1.open(demo[0][1]) as old:
        yield modern, old


@pytest.fixture(scope="module")
def table(files):
    """Parameters of all images, cleaned by what suits each camera, with what was simulated."""
    file, parts = files[0], []
    for tel_id in file.telescopes.index:
        data, camera = file.rows(tel_id), file.camera(tel_id)
        picture = 5.0 if camera.shape == "square" else 8.0
        selected = dl1.tailcuts(data.image.values, camera, picture, picture / 2)
        part = dl1.image_parameters(data.image.values, data.peak_time.values, selected, camera).to_dataframe()
        truth = data.true_image.values.sum(axis=1)
        parts.append(part.assign(obs_id=data.obs_id, event_id=data.event_id, tel_id=tel_id, true=truth))
    return pd.concat(parts).merge(file.events, on=["obs_id", "event_id"])


def test_it_is_small_and_quick(demo):
    paths, seconds = demo
    assert tuple(path.name for path in paths) == NAMES
    assert sum(path.stat().st_size for path in paths) < 15e6
    assert seconds < 15, "about 5 s of processor time"
    assert [dl1.kind_of(path) for path in paths] == ["ctapipe", "CTA-ML"]


def test_it_is_written_once_and_always_alike(demo, tmp_path):
    paths, _ = demo
    before = [path.stat().st_mtime_ns for path in paths]
    assert write_demo(paths[0].parent) == paths
    assert [path.stat().st_mtime_ns for path in paths] == before
    with dl1.open(paths[0]) as one, dl1.open(write_demo(tmp_path)[0]) as other:
        pd.testing.assert_frame_equal(one.events, other.events)
        np.testing.assert_array_equal(one.rows(3).image, other.rows(3).image)
    (tmp_path / MARKER).write_text("{}")
    stamp = (tmp_path / NAMES[0]).stat().st_mtime_ns
    write_demo(tmp_path)
    assert (tmp_path / NAMES[0]).stat().st_mtime_ns > stamp, "half a demo is written anew"
    assert json.loads((tmp_path / MARKER).read_text())["version"]


def test_three_cameras_and_three_kinds_of_particles(files):
    for file in files:
        events = file.events
        assert dict(events.true_shower_primary_id.value_counts()) == COUNTS
        assert (events.multiplicity[events.true_shower_primary_id != 2] >= 2).all()
        assert set(file.telescopes.camera) == {"LSTCam", "FlashCam", "CHEC"}
        assert set(file.telescopes.type) == {"LST_LSTCam", "MST_FlashCam", "SSTGCT_CHEC"}
        assert [file.camera(tel_id).n_pixels for tel_id in (1, 5, 11)] == [1855, 1764, 2048]
        assert [file.camera(tel_id).shape for tel_id in (1, 5, 11)] == ["hexagon", "hexagon", "square"]
        assert min(file.n_images(tel_id) for tel_id in file.telescopes.index) >= 5
        assert file.header["energy_range_max"] == (pytest.approx(40), "TeV")


def test_both_formats_hold_the_same(files):
    modern, old = files
    rates = {"LSTCam": 1.0, "FlashCam": 0.25, "CHEC": 1.0}
    keys = ["obs_id", "event_id", "multiplicity", "tels_with_trigger", "true_shower_primary_id"]
    pd.testing.assert_frame_equal(modern.events[keys], old.events[keys], check_column_type=False)
    truth = [name for name in modern.events if name.startswith("true_")]
    np.testing.assert_allclose(modern.events[truth], old.events[truth], rtol=1e-6)
    for tel_id in (2, 7, 14):
        pd.testing.assert_frame_equal(modern.keys(tel_id), old.keys(tel_id))
        one, other = modern.rows(tel_id), old.rows(tel_id)
        np.testing.assert_array_equal(one.image, other.image)
        samples = np.floor(one.peak_time.values * rates[modern.telescopes.camera[tel_id]])
        np.testing.assert_array_equal(samples, other.peak_time)
        np.testing.assert_allclose(modern.camera(tel_id).pixel_x, old.camera(tel_id).pixel_x, atol=1e-6)


def test_the_file_has_its_own_cleaning_and_parameters(files):
    file = files[0]
    for tel_id in (1, 8, 12):
        data, camera = file.rows(tel_id), file.camera(tel_id)
        np.testing.assert_array_equal(data.image_mask, dl1.tailcuts(data.image.values, camera, 10, 5))
        ours = dl1.image_parameters(data.image.values, data.peak_time.values, data.image_mask.values, camera)
        stored = file.parameters(tel_id)
        assert set(ours) < set(stored)
        assert stored.attrs["units"]["hillas_length"] == "deg"
        for name in ours:
            np.testing.assert_allclose(stored[name], ours[name], rtol=1e-9, err_msg=str(name))


def test_charges_are_those_that_were_simulated(table):
    bright = table[table.true > 400]
    ratio = bright.hillas_intensity / bright.true
    assert len(bright) > 150
    assert 0.7 < ratio.median() < 1.02, "the cleaning takes faint rims away"
    assert ratio.max() < 1.15


def test_stereo_finds_gamma_rays_where_they_came_from(table, files):
    cameras = {tel_id: files[0].camera(tel_id) for tel_id in files[0].telescopes.index}
    found = dl1.stereo(table[table.hillas_width > 0], files[0].telescopes, generator.POINTING, cameras=cameras)
    found = found[found.is_valid].reset_index().merge(files[0].events, on=["obs_id", "event_id"])
    gammas, protons = (found[found.true_shower_primary_id == code] for code in (0, 101))
    assert len(gammas) > 40
    assert len(protons) > 12

    def away(part):
        return np.hypot(part["alt"] - part.true_alt, (part.az - part.true_az) * np.cos(np.radians(70)))

    assert away(gammas).median() < 0.08
    assert np.hypot(gammas.core_x - gammas.true_core_x, gammas.core_y - gammas.true_core_y).median() < 25
    assert 5000 < gammas.h_max.median() < 10500
    assert away(protons).median() > 2 * away(gammas).median(), "hadrons are ragged"


def test_light_from_far_showers_comes_later_at_one_end(table, files):
    gammas = table[(table.true_shower_primary_id == 0) & (table.hillas_intensity > 400)]
    place = files[0].telescopes.loc[gammas.tel_id]
    away = np.hypot(place.x.to_numpy() - gammas.true_core_x, place.y.to_numpy() - gammas.true_core_y)
    slopes = gammas.timing_slope.abs()
    assert slopes[away > 160].median() > 2 * slopes[away < 100].median()
    ragged = table[(table.true_shower_primary_id == 101) & (table.hillas_intensity > 400)]
    assert ragged.hillas_width.median() > 1.2 * gammas.hillas_width.median()
    assert ragged.morphology_n_islands.mean() > gammas.morphology_n_islands.mean()


def test_muons_make_rings(files):
    file = files[0]
    muons = file.events[file.events.true_shower_primary_id == 2]
    assert (muons.event_type == 16).all()
    for event in muons.itertuples():
        (tel_id,) = event.tels_with_trigger
        data, camera = file.image_of(tel_id, event.obs_id, event.event_id), file.camera(tel_id)
        ring = dl1.muon_ring(data.image.values, dl1.tailcuts(data.image.values, camera, 7, 4), camera)
        assert 0.95 < float(ring.muonring_radius[0]) < 1.27
        assert float(ring.muonparameters_completeness[0]) > 0.5


def test_pixels_out_of_order(files):
    for one in generator.array():
        images = files[0].rows(one.tel_id).image.values
        away = (images > 10) & ~dl1.tailcuts(images, one.camera, 10, 5)  # bright, and not of a shower
        assert set(np.flatnonzero(images.std(axis=0) == 0)) == set(one.dead)
        if len(images) > 30:
            assert set(np.flatnonzero(away.mean(axis=0) > 0.1)) == set(one.noisy)


def test_cameras_are_as_large_as_the_real_ones(camera_table):
    # the large and the small one have the real cameras' structure, so their pixels must be where those are
    for camera, limit in ((generator.large_camera(), 1e-4), (generator.small_camera(), 1e-3)):
        real = camera_table(camera.name)
        ours = np.column_stack([camera.pixel_x, camera.pixel_y])
        away = np.linalg.norm(ours[:, None] - np.column_stack([real.x, real.y]), axis=2).min(axis=1)
        assert camera.n_pixels == len(real.x)
        assert away.max() < limit
        np.testing.assert_allclose(camera.pixel_area, real.area, rtol=1e-3)
    medium, real = generator.medium_camera(), camera_table("FlashCam")
    assert medium.n_pixels == len(real.x)
    assert np.ptp(medium.pixel_x) == pytest.approx(np.ptp(real.x), rel=0.03)


def test_ctapipe_reads_it(demo, ctapipe):
    path = demo[0][0]
    instrument, io = (importlib.import_module(f"ctapipe.{name}") for name in ("instrument", "io"))
    subarray = instrument.SubarrayDescription.from_hdf(path)
    assert len(subarray) == 18
    assert subarray.tel[12].camera.geometry.pix_type.value == "square"
    for one in generator.array()[::7]:
        geometry, (indptr, indices) = subarray.tel[one.tel_id].camera.geometry, one.camera.neighbours
        theirs = geometry.neighbor_matrix_sparse
        np.testing.assert_array_equal(theirs.indptr, indptr)
        np.testing.assert_array_equal(np.sort(theirs.indices), np.sort(indices))
    with io.TableLoader(path) as loader:
        found = loader.read_telescope_events([1], dl1_images=True, true_images=True)
    with dl1.open(path) as file:
        data = file.rows(1)
        events = file.events
    np.testing.assert_array_equal(found["image"], data.image)
    np.testing.assert_array_equal(found["true_image"], data.true_image)
    np.testing.assert_array_equal(found["event_id"], data.event_id)
    with io.EventSource(path, max_events=3) as source:
        for event, row in zip(source, events.itertuples(), strict=False):
            assert (event.index.obs_id, event.index.event_id) == (row.obs_id, row.event_id)
            assert tuple(event.dl1.tel) == row.tels_with_trigger
            assert event.simulation.shower.energy.to_value("TeV") == pytest.approx(row.true_energy)
            assert event.trigger.time.isot[:19] == row.time[:19]
