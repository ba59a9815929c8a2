"""Direction and impact: showers whose images are drawn exactly, and ctapipe's reconstruction."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from detcore.dl1.images.geometry import Camera
from detcore.dl1.images.hillas import camera_radius
from detcore.dl1.images.stereo import stereo

TELESCOPES = pd.DataFrame(
    {"x": [-70.0, -35.0, 75.0, 30.0, 0.0], "y": [-52.0, 66.0, 50.0, -64.0, 0.0], "z": [43.0, 30.0, 29.0, 31.0, 0.0]},
    index=pd.Index([1, 2, 3, 4, 7], name="tel_id"),
)


def vector(alt, az) -> Any:
    """North, west, up, from degrees."""
    alt, az = np.radians(alt), np.radians(az)
    return np.stack([np.cos(alt) * np.cos(az), -np.cos(alt) * np.sin(az), np.sin(alt)], axis=-1)


def seen(direction, alt, az) -> tuple[float, float]:
    """fov_lon, fov_lat (degrees) of a direction (north, west, up): rotate azimuth to zero, then altitude."""
    north, west, up = direction / np.linalg.norm(direction)
    turn, lift = np.radians(az), np.radians(alt)
    ahead, right = north * np.cos(turn) - west * np.sin(turn), -north * np.sin(turn) - west * np.cos(turn)
    axis, above = ahead * np.cos(lift) + up * np.sin(lift), up * np.cos(lift) - ahead * np.sin(lift)
    return float(np.degrees(np.arctan2(right, axis))), float(np.degrees(np.arcsin(above)))


def images(core, shower, pointing, height=9000.0, telescopes=TELESCOPES, event_id=1) -> pd.DataFrame:
    """Parameters of thin images of a straight shower: core (x, y), direction (alt, az), maximum at a height."""
    up = vector(*shower)
    rows = []
    for tel_id, tel in telescopes.iterrows():
        points = [
            np.array([*core, 0.0]) + up * (h / up[2]) - tel[["x", "y", "z"]].to_numpy(float)
            for h in (height, height + 10)
        ]
        (lon, lat), (lon2, lat2) = (seen(point, *pointing) for point in points)
        psi = np.degrees(np.arctan((lat2 - lat) / (lon2 - lon)))
        rows.append((1, event_id, tel_id, 100.0 + 10 * tel_id, lon, lat, 0.3, 0.1, psi))
    names = ("intensity", "fov_lon", "fov_lat", "length", "width", "psi")
    return pd.DataFrame(rows, columns=["obs_id", "event_id", "tel_id", *(f"hillas_{name}" for name in names)])


@pytest.mark.parametrize("core", [(20.0, -30.0), (-150.0, 80.0)])
@pytest.mark.parametrize("shower", [(70.0, 180.0), (69.3, 178.0), (71.0, 183.5)])
def test_a_drawn_shower_is_found(core, shower) -> None:
    pointing = 70.0, 180.0
    found = stereo(images(core, shower, pointing), TELESCOPES, pointing).iloc[0]
    assert found.is_valid
    assert found.n_telescopes == 5
    # a straight line on the sky is not straight in linear angles: some arc seconds and decimetres
    assert found.alt == pytest.approx(shower[0], abs=0.01)
    assert found.az == pytest.approx(shower[1], abs=0.02)
    np.testing.assert_allclose([found.core_x, found.core_y], core, atol=3)
    assert found.h_max == pytest.approx(9000, rel=0.01)
    assert found.average_intensity == pytest.approx(np.mean(100 + 10 * TELESCOPES.index.to_numpy()))
    assert 0 < found.alt_uncert < 0.05


def test_the_pointing_of_the_array_only_turns_the_tilted_plane() -> None:
    table = images((20.0, -30.0), (70.0, 180.0), (70.0, 180.0))
    a = stereo(table, TELESCOPES, (70.0, 180.0), (65.0, 178.0), observation_level=2000.0).iloc[0]
    b = stereo(table, TELESCOPES, (np.full(5, 70.0), np.full(5, 180.0))).iloc[0]
    assert a.alt == pytest.approx(b.alt)
    np.testing.assert_allclose([a.core_x, a.core_y], [20, -30], atol=3)
    assert abs(a.core_tilted_x - b.core_tilted_x) > 0.3
    assert a.h_max == pytest.approx(b.h_max + 2000)


def test_north_is_not_where_azimuths_break() -> None:
    found = stereo(
        images((0.0, 50.0), (70.0, 359.5), (70.0, 0.0)), TELESCOPES, (70.0, [359.9999, 0, 0.0001, 0, 360])
    ).iloc[0]
    assert found.az == pytest.approx(359.5, abs=0.02)
    np.testing.assert_allclose([found.core_x, found.core_y], [0, 50], atol=3)


def test_events_are_kept_apart_and_in_their_order() -> None:
    showers = {9: ((20.0, -30.0), (70.5, 181.0)), 3: ((0.0, 90.0), (69.6, 178.8)), 5: ((-60.0, 0.0), (70.0, 180.5))}
    tables = [images(*truth, (70.0, 180.0), event_id=event) for event, truth in showers.items()]
    together = pd.concat(tables)
    mixed = pd.concat([together.iloc[::2], together.iloc[1::2]])
    found = stereo(together, TELESCOPES, (70.0, 180.0))
    assert list(found.index) == [(1, 9), (1, 3), (1, 5)]
    assert found.index.names == ["obs_id", "event_id"]
    for table in tables:
        event = table.event_id.iloc[0]
        pd.testing.assert_series_equal(
            stereo(table, TELESCOPES, (70.0, 180.0)).iloc[0], found.loc[1, event], rtol=1e-10
        )
    pd.testing.assert_frame_equal(stereo(mixed, TELESCOPES, (70.0, 180.0)).sort_index(), found.sort_index(), rtol=1e-7)
    as_dataset = xr.Dataset.from_dataframe(together.reset_index(drop=True))
    pd.testing.assert_frame_equal(stereo(as_dataset, TELESCOPES, (70.0, 180.0)), found)
    assert found.attrs["units"]["core_x"] == "m"


def test_events_that_cannot_be_reconstructed() -> None:
    table = pd.concat([images((0.0, 50.0), (70.5, 180.5), (70.0, 180.0), event_id=event) for event in range(5)])
    table = table.reset_index(drop=True)
    number = table.groupby("event_id").cumcount()
    hillas = [name for name in table if name.startswith("hillas")]
    table.loc[(table.event_id == 1) & (number > 0), hillas] = np.nan  # one image is left
    table.loc[(table.event_id == 2) & (number == 2), "hillas_width"] = 0.0
    table.loc[table.event_id == 3, hillas] = np.nan
    table.loc[(table.event_id == 4) & (number > 2), hillas] = np.nan  # three are left
    found = stereo(table, TELESCOPES, (70.0, 180.0)).droplevel("obs_id")
    assert list(found.is_valid) == [True, False, False, False, True]
    assert list(found.n_telescopes) == [5, 1, 5, 0, 3]
    assert found.loc[[1, 2, 3], ["alt", "core_x", "h_max"]].isna().all(axis=None)
    assert np.isnan(found.average_intensity[3])
    assert len(stereo(table[:0], TELESCOPES, (70.0, 180.0))) == 0


def test_parallel_axes_have_no_impact_point() -> None:
    telescopes = TELESCOPES.assign(y=0.0, z=0.0)
    table = images((20.0, 0.0), (70.0, 180.0), (70.0, 180.0), telescopes=telescopes).assign(
        hillas_psi=90.0, hillas_fov_lon=0.0
    )
    found = stereo(table, telescopes, (70.0, 180.0)).iloc[0]
    assert not found.is_valid
    assert np.isnan(found.core_x)


def test_wrong_tables_are_refused_with_what_is_missing() -> None:
    table = images((0.0, 50.0), (70.5, 180.5), (70.0, 180.0))
    with pytest.raises(ValueError, match="missing: hillas_psi"):
        stereo(table.drop(columns="hillas_psi"), TELESCOPES, (70.0, 180.0))
    with pytest.raises(ValueError, match="no position of telescope 2, 7"):
        stereo(table, TELESCOPES.loc[[1, 3, 4]], (70.0, 180.0))
    with pytest.raises(
        ValueError, match="pointing: expected altitude and azimuth, one number each or one for each of 5"
    ):
        stereo(table, TELESCOPES, ([70.0, 70.0], 180.0))


def test_equal_to_ctapipe(ctapipe, shared, camera_table) -> None:
    """An array of two kinds of cameras, pointing apart."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from astropy import units  # noqa: PLC0415
        from astropy.coordinates import Angle  # noqa: PLC0415
        from ctapipe import containers  # noqa: PLC0415
        from ctapipe.instrument import SubarrayDescription  # noqa: PLC0415
        from ctapipe.reco import HillasReconstructor  # noqa: PLC0415

        array = SubarrayDescription.from_hdf(shared / "data/dl1/camsettings_v6.dl1.h5")
        tel_ids = [1, 3, 4, 6, 9, 12]
        cameras, positions = {}, {}
        for tel_id in tel_ids:
            geometry = array.tel[tel_id].camera.geometry
            x, y, area = geometry.pix_x.value, geometry.pix_y.value, geometry.pix_area.value
            focal_length = geometry.frame.focal_length.to_value("m")
            cameras[tel_id] = Camera(geometry.name, x, y, area, "hexagon", geometry.pix_rotation.deg, focal_length)
            positions[tel_id] = array.positions[tel_id].to_value("m")
        telescopes = pd.DataFrame.from_dict(positions, "index", columns=["x", "y", "z"])
        rng = np.random.default_rng(4)
        pointing = 68 + rng.normal(0, 0.8, 6), 185 + rng.normal(0, 0.8, 6)
        table = images((30.0, -60.0), (68.2, 184.6), (68.0, 185.0), telescopes=telescopes)
        table["hillas_psi"] += rng.normal(0, 3, 6)
        table["hillas_width"] = rng.uniform(0.05, 0.15, 6)
        found = stereo(table, telescopes, pointing, (68.1, 184.8), cameras=cameras).iloc[0]
        other = stereo(table, telescopes, pointing, (68.1, 184.8)).iloc[0]
        assert camera_radius(cameras[1]) < 0.7 * camera_radius(cameras[9])
        assert abs(found.alt - other.alt) > 1e-5  # the radius counts

        event = containers.ArrayEventContainer()
        event.trigger.tels_with_trigger = tel_ids
        modern = hasattr(event, "monitoring")
        place = event.monitoring.pointing if modern else event.pointing
        place.array_altitude, place.array_azimuth = 68.1 * units.deg, 184.8 * units.deg
        for row, alt, az in zip(table.itertuples(), *pointing, strict=True):
            own = event.monitoring.tel[row.tel_id].pointing if modern else event.pointing.tel[row.tel_id]
            own.altitude, own.azimuth = alt * units.deg, az * units.deg
            event.dl1.tel[row.tel_id].parameters = containers.ImageParametersContainer(
                hillas=containers.HillasParametersContainer(
                    intensity=row.hillas_intensity,
                    fov_lon=row.hillas_fov_lon * units.deg,
                    fov_lat=row.hillas_fov_lat * units.deg,
                    length=row.hillas_length * units.deg,
                    width=row.hillas_width * units.deg,
                    psi=Angle(row.hillas_psi * units.deg),
                ),
                morphology=containers.MorphologyContainer(n_pixels=30),
            )
        HillasReconstructor(array)(event)
        theirs = event.dl2.stereo.geometry["HillasReconstructor"]
        assert theirs.is_valid
        for name in ("alt", "az", "alt_uncert"):
            assert found[name] == pytest.approx(getattr(theirs, name).to_value("deg"), rel=1e-8), name
        for name in ("core_x", "core_y", "core_tilted_x", "core_tilted_y"):
            assert found[name] == pytest.approx(getattr(theirs, name).to_value("m"), rel=1e-6), name
        level = array.reference_location.geodetic.height.to_value("m")
        assert found.h_max + level == pytest.approx(theirs.h_max.to_value("m"), rel=1e-6)
        assert found.average_intensity == pytest.approx(theirs.average_intensity)
