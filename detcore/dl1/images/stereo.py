"""Direction and impact point of showers from the images of several telescopes.

The axis of each image and its telescope span a plane that holds the shower. Direction: mean of the intersections of all
pairs of planes. Impact: the point nearest to all axes, drawn from their telescopes in the plane across the pointing.
Formulas and names of ctapipe's HillasReconstructor (0.28); Hofmann et al., Astropart. Phys. 12 (1999) 135.

Ground frame: x to the north, y to the west, z up, m. Azimuth is from the north to the east.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numba import njit

from detcore.dl1.images.hillas import camera_radius

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from detcore.dl1.images.geometry import Camera

RESULTS: Final = (  # in the order of the kernel
    ("alt", "deg"),
    ("az", "deg"),
    ("alt_uncert", "deg"),
    ("core_x", "m"),
    ("core_y", "m"),
    ("core_tilted_x", "m"),
    ("core_tilted_y", "m"),
    ("h_max", "m"),
)
ARM: Final = 0.1  # of the camera's radius: from the centre of gravity to a second point of the axis, as in ctapipe
NEEDED: Final = ("intensity", "length", "width", "psi")


def stereo(
    parameters: pd.DataFrame | xr.Dataset,
    telescopes: pd.DataFrame,
    pointing: tuple[ArrayLike, ArrayLike],
    array_pointing: tuple[ArrayLike, ArrayLike] | None = None,
    *,
    cameras: Mapping[int, Camera] | None = None,
    observation_level: float = 0.0,
) -> pd.DataFrame:
    """Find direction and impact point of events.

    Parameters
    ----------
    parameters
        One row for each image, in any order: obs_id, event_id, tel_id, and from `hillas` in the telescope frame
        hillas_intensity, hillas_fov_lon, hillas_fov_lat, hillas_length, hillas_width, hillas_psi. Rows of nan do not
        count, as images that were too faint.
    telescopes
        By tel_id: x, y, z in the ground frame, m.
    pointing
        Altitude and azimuth of the telescopes, degrees; one for all, or one for each row of `parameters`.
    array_pointing
        The same for the array, to which the plane of the impact point is perpendicular; without, the mean of `pointing`
        over the images of the event.
    cameras
        By tel_id. ctapipe gives larger cameras more weight in the direction, by their radius on the sky; for that they
        are needed. Without, all cameras count as equally large.
    observation_level
        Height of the array above the sea, m; h_max counts from the sea.

    Returns
    -------
    DataFrame
        By obs_id and event_id, in the order of first appearance: alt, az (0 to 360), alt_uncert (mean angle between the
        direction and the intersections of pairs), deg; core_x, core_y, on the ground; core_tilted_x, core_tilted_y, in
        the plane across the pointing; h_max, where the lines of sight meet, m; average_intensity, p.e.; n_telescopes;
        is_valid. Events with fewer than two images, or with an image of no width (which ctapipe refuses), are nan and not
        valid. Units in attrs["units"].

    Raises
    ------
    ValueError
        Columns are missing, a telescope is unknown, or shapes do not fit.
    """
    table = _table(parameters)
    missing = sorted(set(table.tel_id) - set(telescopes.index))
    if missing:
        msg = f"telescopes: no position of telescope {', '.join(map(str, missing))}"
        raise ValueError(msg)
    where = telescopes.loc[table.tel_id, ["x", "y", "z"]].to_numpy(np.float64)
    axis = _directions("pointing", pointing, len(table))
    groups = table.groupby(["obs_id", "event_id"], sort=False)
    number = groups.ngroup().to_numpy()
    events = groups.size()
    usable = table[list(_names())].notna().all(axis=1).to_numpy()
    order = np.flatnonzero(usable)
    order = order[np.argsort(number[order], kind="stable")]
    bounds = np.searchsorted(number[order], np.arange(len(events) + 1))
    if array_pointing is None:
        array_axis = np.full((len(events), 2), np.nan)
    else:
        array_axis = _directions("array_pointing", array_pointing, len(table))[
            table.reset_index().groupby(number)["index"].first()
        ]
    values = table[list(_names())].to_numpy(np.float64)[order]
    out = np.full((len(RESULTS), len(events)), np.nan)
    radius = {tel_id: camera_radius(cameras[tel_id]) if cameras else 1.0 for tel_id in table.tel_id.unique()}
    arms = ARM * table.tel_id.map(radius).to_numpy(np.float64)[order]
    _reconstruct(bounds, values, arms, where[order], np.radians(axis[order]), np.radians(array_axis), out)
    out[-1] += observation_level
    result = pd.DataFrame(dict(zip((name for name, _ in RESULTS), out, strict=True)), index=events.index)
    counts = np.diff(bounds)
    total = np.bincount(number[order], values[:, 0], minlength=len(events))
    result["average_intensity"] = np.divide(total, counts, out=np.full(len(events), np.nan), where=counts > 0)
    result["n_telescopes"] = counts
    result["is_valid"] = np.isfinite(out[: len(RESULTS) - 1]).all(axis=0)
    result.attrs["units"] = {**dict(RESULTS), "average_intensity": "p.e."}
    return result


def _names() -> tuple[str, ...]:
    return tuple(f"hillas_{name}" for name in (*NEEDED, "fov_lon", "fov_lat"))


def _table(parameters: pd.DataFrame | xr.Dataset) -> pd.DataFrame:
    wanted = ("obs_id", "event_id", "tel_id", *_names())
    lost = [name for name in wanted if name not in parameters]
    if lost:
        msg = f"parameters: expected columns {', '.join(wanted)}; missing: {', '.join(lost)}"
        raise ValueError(msg)
    return pd.DataFrame({name: np.asarray(parameters[name]) for name in wanted})


def _directions(name: str, given: tuple[Any, Any], n: int) -> NDArray[np.float64]:
    """Return altitude and azimuth for each row: (row, 2), degrees."""
    try:
        return np.stack([np.broadcast_to(np.asarray(angle, np.float64), (n,)) for angle in given], axis=-1)
    except ValueError:
        msg = f"{name}: expected altitude and azimuth, one number each or one for each of {n} rows"
        raise ValueError(msg) from None


# In the kernels vectors are tuples: arrays of three numbers would make them slow to compile and slow to run.


@njit(cache=True, nogil=True, error_model="numpy")
def _sky(lon, lat, alt, az):  # type: ignore[no-untyped-def]
    """Turn angles about a pointing (fov_lon, fov_lat; rad) into a vector (north, west, up)."""
    # in the frame of the pointing: 1 along the axis, 2 to larger azimuth, 3 up
    one, two, three = math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)
    flat, up = one * math.cos(alt) - three * math.sin(alt), one * math.sin(alt) + three * math.cos(alt)
    return flat * math.cos(az) - two * math.sin(az), -flat * math.sin(az) - two * math.cos(az), up


@njit(cache=True, nogil=True, error_model="numpy")
def _camera(vector, alt, az):  # type: ignore[no-untyped-def]
    """Turn a vector (north, west, up) into angles about a pointing: (fov_lat, fov_lon) as x and y of a camera."""
    north, west, up = vector
    flat, two = north * math.cos(az) - west * math.sin(az), -west * math.cos(az) - north * math.sin(az)
    one, three = flat * math.cos(alt) + up * math.sin(alt), up * math.cos(alt) - flat * math.sin(alt)
    return math.atan2(three, math.hypot(one, two)), math.atan2(two, one)


@njit(cache=True, nogil=True, error_model="numpy")
def _dot(a, b):  # type: ignore[no-untyped-def]
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(cache=True, nogil=True, error_model="numpy")
def _cross(a, b):  # type: ignore[no-untyped-def]
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@njit(cache=True, nogil=True, error_model="numpy")
def _crossing(planes, i, j):  # type: ignore[no-untyped-def]
    """Return where two planes meet, above the horizon: planes (image, 3) by their normals."""
    x, y, z = _cross((planes[i, 0], planes[i, 1], planes[i, 2]), (planes[j, 0], planes[j, 1], planes[j, 2]))
    return (-x, -y, -z) if z < 0 else (x, y, z)


@njit(cache=True, nogil=True, error_model="numpy")
def _meet(directions, origins, first, n):  # type: ignore[no-untyped-def]
    """Return the point nearest to n lines: unit vectors (line, 3), origins (from `first`, 3); nan if all are parallel."""
    xx = xy = xz = yy = yz = zz = rx = ry = rz = 0.0
    for line in range(n):
        dx, dy, dz = directions[line, 0], directions[line, 1], directions[line, 2]
        ox, oy, oz = origins[first + line, 0], origins[first + line, 1], origins[first + line, 2]
        along = dx * ox + dy * oy + dz * oz
        xx += dx * dx - 1.0
        yy += dy * dy - 1.0
        zz += dz * dz - 1.0
        xy += dx * dy
        xz += dx * dz
        yz += dy * dz
        rx += dx * along - ox
        ry += dy * along - oy
        rz += dz * along - oz
    a, b, c = (xx, xy, xz), (xy, yy, yz), (xz, yz, zz)
    one, two, three = _cross(b, c), _cross(c, a), _cross(a, b)
    determinant = _dot(a, one)
    if abs(determinant) < 1e-14:
        return np.nan, np.nan, np.nan
    return (
        (rx * one[0] + ry * two[0] + rz * three[0]) / determinant,
        (rx * one[1] + ry * two[1] + rz * three[1]) / determinant,
        (rx * one[2] + ry * two[2] + rz * three[2]) / determinant,
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _reconstruct(bounds, values, arms, positions, pointing, array_pointing, out):  # type: ignore[no-untyped-def]
    """Find direction and impact point of events.

    Parameters
    ----------
    bounds
        (event + 1,) which images belong to an event.
    values
        (image, 6) in the order of `_names`.
    arms
        (image,) from the centre of gravity to a second point of the axis, deg.
    positions, pointing
        (image, 3) m, and (image, 2) altitude and azimuth, rad.
    array_pointing
        (event, 2) rad; nan: the mean of those of the images.
    out
        (result, event) nan; written in the order of `RESULTS`.
    """
    most = 0
    for event in range(len(bounds) - 1):
        most = max(most, bounds[event + 1] - bounds[event])
    sights, planes, axes, tilted = np.empty((most, 3)), np.empty((most, 3)), np.zeros((most, 3)), np.empty((most, 3))
    weights = np.empty(most)
    for event in range(len(bounds) - 1):
        first, n = bounds[event], bounds[event + 1] - bounds[event]
        usable = n > 1
        high = north = east = 0.0
        for image in range(first, first + n):
            usable = usable and values[image, 2] > 0
            high += pointing[image, 0]
            north += math.cos(pointing[image, 1])
            east += math.sin(pointing[image, 1])
        if not usable:
            continue
        alt, az = array_pointing[event, 0], array_pointing[event, 1]
        if math.isnan(alt) or math.isnan(az):
            alt, az = high / n, math.atan2(east, north)
        cos_z, sin_z, cos_az, sin_az = math.sin(alt), math.cos(alt), math.cos(az), math.sin(az)
        # the tilted frame: x, y and the pointing itself, in the ground frame
        turn = (
            (cos_z * cos_az, -cos_z * sin_az, -sin_z),
            (sin_az, cos_az, 0.0),
            (sin_z * cos_az, -sin_z * sin_az, cos_z),
        )
        for image in range(n):
            row = first + image
            psi, lon, lat = math.radians(values[row, 3]), values[row, 4], values[row, 5]
            lon_2, lat_2 = lon + arms[row] * math.cos(psi), lat + arms[row] * math.sin(psi)
            sight = _sky(math.radians(lon), math.radians(lat), pointing[row, 0], pointing[row, 1])
            beside = _sky(math.radians(lon_2), math.radians(lat_2), pointing[row, 0], pointing[row, 1])
            plane = _cross(sight, beside)
            x0, y0 = _camera(sight, alt, az)
            x1, y1 = _camera(beside, alt, az)
            angle = math.atan2(y0 - y1, x0 - x1)
            axes[image, 0], axes[image, 1] = math.cos(angle), math.sin(angle)
            place = (positions[row, 0], positions[row, 1], positions[row, 2])
            for i in range(3):
                sights[image, i], planes[image, i], tilted[image, i] = sight[i], plane[i], _dot(turn[i], place)
            weights[image] = values[row, 0] * values[row, 1] / values[row, 2]
        x = y = z = 0.0
        for i in range(n):
            for j in range(i + 1, n):
                cx, cy, cz = _crossing(planes, i, j)
                weight = weights[i] * weights[j]
                x, y, z = x + weight * cx, y + weight * cy, z + weight * cz
        norm = math.sqrt(x * x + y * y + z * z)
        if not norm > 0:
            continue
        direction = (x / norm, y / norm, z / norm)
        spread = 0.0
        for i in range(n):
            for j in range(i + 1, n):
                crossing = _crossing(planes, i, j)
                apart = _cross(direction, crossing)
                spread += math.atan2(math.sqrt(_dot(apart, apart)), _dot(direction, crossing))
        core_x, core_y, _ = _meet(axes, tilted, 0, n)
        height = turn[0][2] * core_x + turn[1][2] * core_y  # of the point in the tilted plane, above the ground
        out[0, event] = math.degrees(math.asin(min(1.0, max(-1.0, direction[2]))))
        out[1, event] = math.degrees(math.atan2(-direction[1], direction[0])) % 360.0
        out[2, event] = math.degrees(spread / (n * (n - 1) / 2))
        out[3, event] = turn[0][0] * core_x + turn[1][0] * core_y - turn[2][0] * height / turn[2][2]
        out[4, event] = turn[0][1] * core_x + turn[1][1] * core_y - turn[2][1] * height / turn[2][2]
        out[5, event], out[6, event] = core_x, core_y
        out[7, event] = _meet(sights, positions, first, n)[2]
