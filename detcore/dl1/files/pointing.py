"""Where telescopes looked, and what their images say on the ground.

Ground frame as in `detcore.dl1.images.stereo`: x to the north, y to the west, z up, m. Azimuth is from the north to the east.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from detcore.dl1.files import hdffile
from detcore.dl1.files.attributes import converted
from detcore.dl1.files.ctapipefile import CtapipeFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from detcore.dl1.files.hdffile import Columns
    from detcore.dl1.files.model import Dl1File

FIXED: Final = "configuration/telescope/pointing"  # of ctapipe's files: one for each run, of simulations
TRACKED: Final = "dl0/monitoring/telescope/pointing"  # many for each run
CHANGES: Final = "dl1/monitoring/telescope/pointing"  # before ctapipe 0.21: a row where it changed, perhaps just one
NEVER: Final = np.iinfo(np.int64).min  # instead of a time
STEP: Final = 0.1  # deg, from the centre of gravity to a second point of the axis


class _Track(NamedTuple):
    """Where a telescope looked: of runs, and at times; degrees."""

    runs: Mapping[int, tuple[float, float]]
    time: NDArray[np.int64]  # (row,) ns since 1970-01-01, increasing
    alt: NDArray[np.float64]  # (row,)
    az: NDArray[np.float64]  # (row,) without jumps at 360
    ends: bool  # nothing is known before the first and after the last


def pointing_of(file: Dl1File, tel_id: ArrayLike, obs_id: ArrayLike, time: Any = None) -> NDArray[np.float64]:
    """Return where telescopes looked.

    What ctapipe's files say of a telescope in a run, else of a telescope at a time, else the direction of the array in the
    header of the simulation.

    Parameters
    ----------
    file
        The open file.
    tel_id, obs_id
        (image,) telescopes and runs.
    time
        (image,) of the events, as `Dl1File.events` has them; None if they do not matter.

    Returns
    -------
    array
        (image, 2) altitude and azimuth, degrees; nan where they are not known.

    Raises
    ------
    OSError, ValueError
        The file cannot be read, or is damaged.
    """
    tel_ids, runs = np.atleast_1d(np.asarray(tel_id)), np.atleast_1d(np.asarray(obs_id))
    found = np.full((len(tel_ids), 2), np.nan)
    if isinstance(file, CtapipeFile):
        when: NDArray[np.int64] | None = None
        for one in np.unique(tel_ids).tolist():
            track = _track(file.path, file.fingerprint, int(one))
            mine = np.flatnonzero(tel_ids == one)
            found[mine] = [track.runs.get(run, (np.nan, np.nan)) for run in runs[mine].tolist()]
            if time is not None and len(track.time):
                when = _nanoseconds(time) if when is None else when
                late = mine[np.isnan(found[mine]).any(axis=1)]
                known = when[late] > NEVER
                if track.ends:
                    known &= (when[late] >= track.time[0]) & (when[late] <= track.time[-1])
                late = late[known]
                # relative to the first, because a double does not hold nanoseconds since 1970
                at, then = (values - track.time[0] for values in (when[late], track.time))
                found[late] = np.stack([np.interp(at, then, track.alt), np.interp(at, then, track.az) % 360], -1)
    found[np.isnan(found).any(axis=1)] = _of_array(file.header)
    return found


def observation_level(file: Dl1File) -> float:
    """Return how high above the sea the array is, m; 0 if the file does not say."""
    value = _number(file.header, "prod_site_alt")
    return value if np.isfinite(value) else 0.0


def axes_on_ground(parameters: pd.DataFrame, telescopes: pd.DataFrame, pointing: ArrayLike) -> pd.DataFrame:
    """Return the lines on the ground that the axes of images draw: the impact point of the shower is near all of them.

    Parameters
    ----------
    parameters
        One row for each image of one event: tel_id, hillas_fov_lon, hillas_fov_lat, hillas_psi (deg).
    telescopes
        By tel_id: x, y, z, m.
    pointing
        (image, 2) altitude and azimuth, degrees.

    Returns
    -------
    DataFrame
        For each image tel_id; tel_x and tel_y, a point of the line: where the telescope is when one looks along the
        pointing onto z = 0, m; angle from x to y, degrees from -90 to 90.
    """
    looked = np.asarray(pointing, np.float64)
    names = ("hillas_fov_lon", "hillas_fov_lat", "hillas_psi")
    lon, lat, psi = (parameters[name].to_numpy(np.float64) for name in names)
    sight = _sky(lon, lat, looked)
    beside = _sky(lon + STEP * np.cos(np.radians(psi)), lat + STEP * np.sin(np.radians(psi)), looked)
    mean = _vector(looked[:, 0], looked[:, 1]).mean(axis=0)
    # the plane of sight and axis cuts the plane across the pointing; both are seen along the pointing
    line = np.cross(np.cross(sight, beside), mean)
    flat = line[:, :2] - mean[:2] * (line[:, 2:] / mean[2])
    place = telescopes.loc[parameters["tel_id"], ["x", "y", "z"]].to_numpy(np.float64)
    foot = place[:, :2] - mean[:2] * (place[:, 2:] / mean[2])
    angle = np.degrees(np.arctan2(flat[:, 1], flat[:, 0]))
    angle = (angle + 90) % 180 - 90
    tel_ids = parameters["tel_id"].to_numpy(np.int64)
    return pd.DataFrame({"tel_id": tel_ids, "tel_x": foot[:, 0], "tel_y": foot[:, 1], "angle": angle})


@lru_cache(maxsize=4096)
def _track(path: str, state: str, tel_id: int) -> _Track:
    """Read what a file of ctapipe says of a telescope; `state` changes when the file does."""
    del state
    runs: dict[int, tuple[float, float]] = {}
    time, angles = np.zeros(0, np.int64), np.zeros((0, 2))
    child = f"tel_{tel_id:03d}"
    with hdffile.opened(path) as file:
        if hdffile.node(file, f"{FIXED}/{child}") is not None:
            names = ("telescope_pointing_altitude", "telescope_pointing_azimuth")
            found = hdffile.columns(file, f"{FIXED}/{child}", ("obs_id", *names))
            fixed = _degrees(found, names, f"{path}: {FIXED}/{child}")
            obs_ids = hdffile.integers(found, "obs_id", f"{path}: {FIXED}/{child}")
            runs = {run: (alt, az) for run, (alt, az) in zip(obs_ids.tolist(), fixed.tolist(), strict=True)}
        track = next((one for one in (TRACKED, CHANGES) if hdffile.node(file, f"{one}/{child}") is not None), None)
        if track is not None:
            found = hdffile.columns(file, f"{track}/{child}", ("time", "altitude", "azimuth"))
            angles = _degrees(found, ("altitude", "azimuth"), f"{path}: {track}/{child}")
            if len(found.values["time"]) != len(angles) or found.values["time"].dtype.kind != "M":
                msg = f"{path}: {track}/{child}: expected a time in each row, found {found.values['time'].dtype}"
                raise ValueError(msg)
            time = _nanoseconds(found.values["time"])
    order = np.argsort(time, kind="stable")
    order = order[(time[order] > NEVER) & np.isfinite(angles[order]).all(axis=1)]
    return _Track(runs, time[order], angles[order, 0], np.unwrap(angles[order, 1], period=360), track == TRACKED)


def _degrees(found: Columns, names: tuple[str, str], where: str) -> NDArray[np.float64]:
    """Return two columns of angles as (row, 2), degrees."""
    angles = []
    for name in names:
        values = found.values[name]
        if values.dtype.kind not in "fiu" or values.ndim != 1:
            msg = f"{where}: expected a number in each row of {name}, found {values.dtype} of shape {values.shape[1:]}"
            raise ValueError(msg)
        unit = found.facts[name].unit or "rad"  # as ctapipe writes them
        angles.append(converted(values.astype(np.float64), unit, "deg", f"{where}/{name}"))
    return np.stack(angles, axis=-1)


def _nanoseconds(time: Any) -> NDArray[np.int64]:
    """Return times, or texts of them, in ns since 1970; the smallest number where there is none."""
    return np.asarray(pd.to_datetime(pd.Series(np.asarray(time)), errors="coerce"), "M8[ns]").astype(np.int64)


def _of_array(header: Mapping[str, tuple[Any, str]]) -> tuple[float, float]:
    """Return the direction of the array in a simulation, degrees: the one it has, or the only one that it may have."""
    both = header.get("run_array_direction", (None, ""))[0]
    if isinstance(both, (list, tuple, np.ndarray)) and len(both) == 2:
        azimuth, altitude = (float(one) for one in both)
        if np.isfinite([azimuth, altitude]).all():
            return float(np.degrees(altitude)), float(np.degrees(azimuth)) % 360
    alt, alt_2, az, az_2 = (_number(header, name) for name in ("min_alt", "max_alt", "min_az", "max_az"))
    if abs(alt - alt_2) < 1e-6 and abs(az - az_2) < 1e-6:
        return float(np.degrees(alt)), float(np.degrees(az)) % 360
    return np.nan, np.nan


def _number(header: Mapping[str, tuple[Any, str]], name: str) -> float:
    value = header.get(name, (np.nan, ""))[0]
    return float(value) if isinstance(value, (int, float)) else np.nan


def _vector(alt: NDArray[np.float64], az: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return directions as (image, 3): north, west, up."""
    alt, az = np.radians(alt), np.radians(az)
    return np.stack([np.cos(alt) * np.cos(az), -np.cos(alt) * np.sin(az), np.sin(alt)], axis=-1)


def _sky(lon: NDArray[np.float64], lat: NDArray[np.float64], looked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the directions of angles about pointings, (image, 3): along the pointing, to larger azimuth, and up."""
    lon, lat = np.radians(lon), np.radians(lat)
    alt, az = np.radians(looked[:, 0]), np.radians(looked[:, 1])
    nothing = np.zeros_like(az)
    ahead = _vector(looked[:, 0], looked[:, 1])
    right = np.stack([-np.sin(az), -np.cos(az), nothing], axis=-1)
    above = np.stack([-np.sin(alt) * np.cos(az), np.sin(alt) * np.sin(az), np.cos(alt)], axis=-1)
    parts = (np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat))
    return np.asarray(sum(part[:, None] * axis for part, axis in zip(parts, (ahead, right, above), strict=True)))
