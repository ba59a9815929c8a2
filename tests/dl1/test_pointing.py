"""Where telescopes looked: of runs, at times, of the array; and the lines that images draw on the ground."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tables

from detcore.dl1.files.openfile import open as open_dl1
from detcore.dl1.files.pointing import axes_on_ground, observation_level, pointing_of
from detcore.dl1.images.stereo import stereo

START = np.datetime64("2026-03-29T02:00:00", "ns")


def column(unit):
    return {"TRANSFORM": "quantity", "UNIT": unit}


@pytest.fixture
def file(tmp_path, ctapipe_files):
    """Telescope 1 with a direction for run 7, telescope 2 tracked across north."""
    path = ctapipe_files.write(tmp_path / "a.dl1.h5").path
    with tables.open_file(str(path), "a") as opened:
        names = ("telescope_pointing_altitude", "telescope_pointing_azimuth")
        fixed = {"obs_id": np.array([6, 7], "i4"), names[0]: np.radians([60.0, 70.0]), names[1]: np.radians([5, 180.0])}
        ctapipe_files._add(
            opened, "/configuration/telescope/pointing/tel_001", fixed, {name: column("rad") for name in names}
        )
        time, facts = ctapipe_files._time(7, START + np.array([10, 0, 20]).astype("m8[s]"))
        tracked = {"time": time, "azimuth": np.array([359.0, 358.0, 1.0]), "altitude": np.array([50.0, 49.0, 52.0])}
        units = {"time": facts, "azimuth": column("deg"), "altitude": column("deg")}
        ctapipe_files._add(opened, "/dl0/monitoring/telescope/pointing/tel_002", tracked, units)
        # of old files: it stayed so
        once = {name: values[:1] for name, values in tracked.items()}
        ctapipe_files._add(opened, "/dl1/monitoring/telescope/pointing/tel_005", once, units)
    with open_dl1(path) as opened:
        yield opened


def test_a_direction_for_a_run(file):
    found = pointing_of(file, [1, 1, 1], [7, 6, 8])
    np.testing.assert_allclose(found, [[70, 180], [60, 5], [np.nan, np.nan]], rtol=1e-12)


def test_a_direction_at_a_time_also_across_north(file):
    times = [f"{START + np.timedelta64(seconds, 's')}" for seconds in (0, 5, 15, 21)]
    found = pointing_of(file, [2] * 4 + [1], [7] * 5, [*times, float("nan")])
    np.testing.assert_allclose(found[:3], [[49, 358], [49.5, 358.5], [51, 0]], atol=1e-9)
    assert np.isnan(found[3]).all(), "after the last one nothing is known"
    np.testing.assert_allclose(found[4], [70, 180])
    np.testing.assert_allclose(pointing_of(file, [5, 5], [7, 7], times[::3]), [[50, 359]] * 2)
    assert np.isnan(pointing_of(file, [2], [7])).all(), "without a time"
    assert np.isnan(pointing_of(file, [5], [7], [float("nan")])).all()
    assert np.isnan(pointing_of(file, [2], [7], [float("nan")])).all()


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ({"run_array_direction": ([-np.pi / 2, np.pi / 3], "rad")}, (60, 270)),
        ({name: (np.radians(70), "rad") for name in ("min_alt", "max_alt", "min_az", "max_az")}, (70, 70)),
        ({"min_alt": (1.0, "rad"), "max_alt": (1.1, "rad"), "min_az": (1.0, "rad"), "max_az": (1.0, "rad")}, None),
        ({"run_array_direction": ([np.nan, 1.0], "rad")}, None),
        ({}, None),
    ],
)
def test_else_the_direction_of_the_array(header, wanted):
    found = pointing_of(SimpleNamespace(header=header), [1, 2], [1, 1])
    np.testing.assert_allclose(found, [wanted or (np.nan, np.nan)] * 2)


def test_real_files_know_where_they_looked(shared):
    for name in ("test_lasercal_v3.dl1.h5", "ctaml072_lasercal_lzo.h5"):
        with open_dl1(shared / "data/dl1" / name) as opened:
            np.testing.assert_allclose(pointing_of(opened, [1, 4], [8, 8]), [[70, 180]] * 2, atol=1e-4)
            assert observation_level(opened) == 1800


def test_angles_of_another_kind_are_refused(tmp_path, ctapipe_files):
    path = ctapipe_files.write(tmp_path / "a.dl1.h5").path
    with tables.open_file(str(path), "a") as opened:
        columns = {"time": np.zeros(2), "azimuth": np.zeros((2, 3)), "altitude": np.zeros(2)}
        ctapipe_files._add(opened, "/dl1/monitoring/telescope/pointing/tel_002", columns, {})
    with open_dl1(path) as opened, pytest.raises(ValueError, match="azimuth"):
        pointing_of(opened, [2], [7], ["2026-03-29"])


@pytest.mark.parametrize("pointing", [(70.0, 180.0), (55.0, 20.0), (89.0, 300.0)])
def test_two_lines_meet_where_the_shower_came_down(pointing):
    rng = np.random.default_rng(3)
    telescopes = pd.DataFrame({"x": [-70.0, 80.0], "y": [20.0, 50.0], "z": [43.0, 10.0]}, index=[1, 2])
    for _ in range(5):
        table = pd.DataFrame({"obs_id": 1, "event_id": 1, "tel_id": [1, 2]})
        table["hillas_intensity"], table["hillas_length"], table["hillas_width"] = 100.0, 0.3, 0.1
        table["hillas_fov_lon"], table["hillas_fov_lat"] = rng.uniform(-1, 1, (2, 2))
        table["hillas_psi"] = [rng.uniform(-80, 0), rng.uniform(10, 80)]
        core = stereo(table, telescopes, pointing).iloc[0]
        lines = axes_on_ground(table, telescopes, [pointing] * 2)
        assert lines["angle"].between(-90, 90).all()
        turn = np.radians(lines["angle"])
        x, y = core["core_x"] - lines["tel_x"], core["core_y"] - lines["tel_y"]
        across = x * np.sin(turn) - y * np.cos(turn)
        np.testing.assert_allclose(across / np.hypot(x, y), 0, atol=2e-3)
