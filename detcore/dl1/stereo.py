"""Direction and impact point of showers from the images of several telescopes.

The axis of each image and its telescope span a plane that holds the shower. Direction: mean of the intersections of all
pairs of planes. Impact: the point nearest to all axes, drawn from their telescopes in the plane across the pointing.
Formulas and names of ctapipe's HillasReconstructor (0.28); Hofmann et al., Astropart. Phys. 12 (1999) 135.

Ground frame: x to the north, y to the west, z up, m. Azimuth is from the north to the east.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numba import njit

from detcore.dl1.hillas import camera_radius

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from detcore.dl1.geometry import Camera

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


@njit(cache=True, nogil=True, error_model="numpy")
def _sky(lon, lat, alt, az):  # type: ignore[no-untyped-def]
    """Turn angles about a pointing (fov_lon, fov_lat; rad) into a vector (north, west, up)."""
    # in the frame of the pointing: 1 along the axis, 2 to larger azimuth, 3 up
    one, two, three = np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)
    flat, up = one * np.cos(alt) - three * np.sin(alt), one * np.sin(alt) + three * np.cos(alt)
    return np.array([flat * np.cos(az) - two * np.sin(az), -(flat * np.sin(az) + two * np.cos(az)), up])


@njit(cache=True, nogil=True, error_model="numpy")
def _camera(vector, alt, az):  # type: ignore[no-untyped-def]
    """Turn a vector (north, west, up) into angles about a pointing: (fov_lat, fov_lon) as x and y of a camera."""
    north, east, up = vector[0], -vector[1], vector[2]
    flat, two = north * np.cos(az) + east * np.sin(az), east * np.cos(az) - north * np.sin(az)
    one, three = flat * np.cos(alt) + up * np.sin(alt), up * np.cos(alt) - flat * np.sin(alt)
    return np.arctan2(three, np.hypot(one, two)), np.arctan2(two, one)


@njit(cache=True, nogil=True, error_model="numpy")
def _dot(a, b):  # type: ignore[no-untyped-def]
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(cache=True, nogil=True, error_model="numpy")
def _cross(a, b):  # type: ignore[no-untyped-def]
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


@njit(cache=True, nogil=True, error_model="numpy")
def _meet(directions, origins, n):  # type: ignore[no-untyped-def]
    """Return the point nearest to lines: directions (unit vectors) and origins (line, 3); nan if all are parallel."""
    matrix, right = np.zeros((3, 3)), np.zeros(3)
    for line in range(n):
        d, along = directions[line], _dot(directions[line], origins[line])
        for row in range(3):
            matrix[row, row] -= 1.0
            right[row] += d[row] * along - origins[line, row]
            for column in range(3):
                matrix[row, column] += d[row] * d[column]
    one, two, three = _cross(matrix[1], matrix[2]), _cross(matrix[2], matrix[0]), _cross(matrix[0], matrix[1])
    determinant = _dot(matrix[0], one)
    if abs(determinant) < 1e-14:
        return np.full(3, np.nan)
    return (right[0] * one + right[1] * two + right[2] * three) / determinant


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
    for event in range(len(bounds) - 1):
        first, n = bounds[event], bounds[event + 1] - bounds[event]
        if n < 2 or not values[first : first + n, 2].min() > 0:
            continue
        alt, az = array_pointing[event, 0], array_pointing[event, 1]
        if np.isnan(alt):
            alt = pointing[first : first + n, 0].mean()
            east, north = np.sin(pointing[first : first + n, 1]).sum(), np.cos(pointing[first : first + n, 1]).sum()
            az = np.arctan2(east, north)
        sights, planes, axes, tilted = np.empty((n, 3)), np.empty((n, 3)), np.zeros((n, 3)), np.empty((n, 3))
        weights = np.empty(n)
        cos_z, sin_z, cos_az, sin_az = np.sin(alt), np.cos(alt), np.cos(az), np.sin(az)
        turn = np.array(
            [[cos_z * cos_az, -cos_z * sin_az, -sin_z], [sin_az, cos_az, 0.0], [sin_z * cos_az, -sin_z * sin_az, cos_z]]
        )
        for image in range(n):
            psi, lon, lat = np.radians(values[first + image, 3]), values[first + image, 4], values[first + image, 5]
            own, arm = pointing[first + image], arms[first + image]
            sights[image] = _sky(np.radians(lon), np.radians(lat), own[0], own[1])
            beside = _sky(np.radians(lon + arm * np.cos(psi)), np.radians(lat + arm * np.sin(psi)), own[0], own[1])
            planes[image] = _cross(sights[image], beside)
            x0, y0 = _camera(sights[image], alt, az)
            x1, y1 = _camera(beside, alt, az)
            angle = np.arctan2(y0 - y1, x0 - x1)
            axes[image, 0], axes[image, 1] = np.cos(angle), np.sin(angle)
            for row in range(3):
                tilted[image, row] = _dot(turn[row], positions[first + image])
            weights[image] = values[first + image, 0] * values[first + image, 1] / values[first + image, 2]
        direction = np.zeros(3)
        for i in range(n):
            for j in range(i + 1, n):
                crossing = _cross(planes[i], planes[j])
                direction += (-1.0 if crossing[2] < 0 else 1.0) * weights[i] * weights[j] * crossing
        norm = np.sqrt(_dot(direction, direction))
        if not norm > 0:
            continue
        direction /= norm
        spread = 0.0
        for i in range(n):
            for j in range(i + 1, n):
                crossing = _cross(planes[i], planes[j])
                crossing *= -1.0 if crossing[2] < 0 else 1.0
                apart = _cross(direction, crossing)
                spread += np.arctan2(
                    np.sqrt(_dot(apart, apart)), _dot(direction, crossing)
                )  # an arc cosine loses small angles
        core = _meet(axes, tilted, n)
        ground = turn[0] * core[0] + turn[1] * core[1]  # the tilted plane holds it: z is 0 there
        out[0, event] = np.degrees(np.arcsin(direction[2]))
        out[1, event] = np.degrees(np.arctan2(-direction[1], direction[0])) % 360.0
        out[2, event] = np.degrees(spread / (n * (n - 1) / 2))
        out[3, event] = ground[0] - turn[2, 0] * ground[2] / turn[2, 2]
        out[4, event] = ground[1] - turn[2, 1] * ground[2] / turn[2, 2]
        out[5, event], out[6, event] = core[0], core[1]
        out[7, event] = _meet(sights, positions[first : first + n], n)[2]
