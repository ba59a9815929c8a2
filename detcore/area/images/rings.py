"""Rings of a known powder: where they fall on a detector, and what their places tell about it.

A ring is a cone of rays around the beam; where they meet a tilted plane it is an ellipse. `overlay` draws them,
`refine` moves beam, distance, tilt or energy until picked points lie on their rings, `calibrate` also finds the points.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
from pydantic import ValidationError
from scipy.optimize import least_squares

from detcore.area.images.azimuthal import integrate
from detcore.area.images.calibrants import Calibrant, calibrant
from detcore.area.images.centre import brightest, checked_image
from detcore.area.images.geometry import HC, Geometry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

Free = Literal["x", "y", "distance", "energy", "rot1", "rot2"]
FREE: Final[tuple[Free, ...]] = ("x", "y", "distance", "rot1", "rot2")
SECTORS: Final = 90
WIDE, NARROW = 12, 4  # px around the expected ring, first and later
MIN_GAP: Final = 6  # px between rings that are told apart
MAX_RINGS: Final = 60


class Ring(NamedTuple):
    """One ring on the detector.

    Parameters
    ----------
    d, q
        Spacing of the planes, Angstrom, and 2 pi over it.
    two_theta
        Degrees.
    radius
        From the direct beam on an untilted detector, px.
    x, y
        (point,) the curve, px; not a number where the rays miss the plane.
    """

    d: float
    q: float
    two_theta: float
    radius: float
    x: NDArray[np.float64]
    y: NDArray[np.float64]


class Refined(NamedTuple):
    """What the points tell.

    Parameters
    ----------
    geometry
        With the refined values.
    errors
        One standard deviation of each, in its own unit.
    residual
        Root mean square distance of the points from their rings, px.
    points
        (point, 2) x and y, px.
    d
        (point,) spacing of the ring of each, Angstrom.
    """

    geometry: Geometry
    errors: dict[str, float]
    residual: float
    points: NDArray[np.float64]
    d: NDArray[np.float64]


def ring_path(
    geometry: Geometry, two_theta: float, azimuth: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y (px) where rays at an angle (degrees) from the beam meet the detector, for azimuths (degrees)."""
    geometry.check_angles()
    pixel1, pixel2 = geometry.pixel_size or (1.0, 1.0)
    around, from_beam = np.radians(np.asarray(azimuth, np.float64)), math.radians(two_theta)
    sine = math.sin(from_beam)
    rays = np.stack([sine * np.sin(around), sine * np.cos(around), np.full(around.shape, math.cos(from_beam))])
    p1, p2, along = np.tensordot(geometry.matrix().T, rays, 1)
    ahead = np.where(along > 1e-6, along, math.nan)
    place = geometry.positions((1, 1))
    s1, s2 = (-1 if geometry.orientation in {1, 2} else 1), (-1 if geometry.orientation in {1, 4} else 1)
    distance = float(geometry.distance or 1)
    y = geometry.y + s1 * (p1 / ahead * distance - place.p1) / pixel1
    x = geometry.x + s2 * (p2 / ahead * distance - place.p2) / pixel2
    return x, y


def angles_at(geometry: Geometry, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angle from the beam, degrees, of (point, 2) x and y, px."""
    place, turn = geometry.positions((1, 1)), geometry.matrix()
    pixel1, pixel2 = geometry.pixel_size or (1.0, 1.0)
    s1, s2 = (-1 if geometry.orientation in {1, 2} else 1), (-1 if geometry.orientation in {1, 4} else 1)
    p = np.stack(
        [
            s1 * (points[:, 1] - geometry.y) * pixel1 + place.p1,
            s2 * (points[:, 0] - geometry.x) * pixel2 + place.p2,
            np.full(len(points), geometry.distance),
        ]
    )
    t1, t2, t3 = turn @ p
    return np.asarray(np.degrees(np.arctan2(np.hypot(t1, t2), t3)))


def overlay(
    geometry: Geometry, powder: str | Calibrant, shape: Sequence[int] | None = None, *, points: int = 181
) -> list[Ring]:
    """Return the rings of a calibrant, from the innermost.

    Parameters
    ----------
    geometry
        With distance, energy and pixel size.
    powder
        A calibrant or its name.
    shape
        (rows, columns) of the image: only rings that cross it.
    points
        Of each curve, all around.

    Raises
    ------
    ValueError
        The geometry lacks something, or there is no such calibrant.

    Examples
    --------
    >>> geometry = Geometry(x=50, y=40, distance=0.1, energy=12.0, pixel_size=(1e-4, 1e-4))
    >>> [round(ring.radius) for ring in overlay(geometry, "CeO2", (900, 900))][:3]
    [345, 404, 609]
    """
    geometry.check_angles()
    known, around = calibrant(powder), np.linspace(-180, 180, points)
    _, pixel = geometry.pixel_size or (1.0, 1.0)
    rings: list[Ring] = []
    for d in known.d_spacings(max(geometry.wavelength / 2 * 1.0001, 0.3)):
        two_theta = math.degrees(2 * math.asin(geometry.wavelength / (2 * d)))
        if two_theta >= 89:
            break
        x, y = ring_path(geometry, two_theta, around)
        if shape is not None and not ((x > -0.5) & (x < shape[1] - 0.5) & (y > -0.5) & (y < shape[0] - 0.5)).any():
            continue
        radius = float(geometry.distance or 0) * math.tan(math.radians(two_theta)) / pixel
        rings.append(Ring(float(d), 2 * math.pi / float(d), two_theta, radius, x, y))
        if len(rings) >= MAX_RINGS:
            break
    return rings


def refine(
    geometry: Geometry,
    points: ArrayLike,
    d: ArrayLike,
    free: Sequence[Free] = FREE,
) -> Refined:
    """Move a geometry until points lie on their rings.

    Parameters
    ----------
    geometry
        First guess, with distance, energy and pixel size.
    points
        (point, 2) x and y, px.
    d
        (point,) spacing of the ring that each lies on, Angstrom.
    free
        What may change. Distance and energy together are told apart only by rings at large angles.

    Raises
    ------
    ValueError
        There are too few points, or they do not tell the free values apart.
    """
    where, spacing = np.asarray(points, np.float64), np.asarray(d, np.float64)
    unknown = sorted(set(free) - {"x", "y", "distance", "energy", "rot1", "rot2"})
    if unknown or not free:
        msg = f"free: expected some of x, y, distance, energy, rot1, rot2, found {list(free)}"
        raise ValueError(msg)
    if where.ndim != 2 or where.shape[1:] != (2,) or len(where) != len(spacing):
        msg = f"expected (point, 2) and as many spacings, found {where.shape} and {spacing.shape}"
        raise ValueError(msg)
    if len(where) < len(free):
        msg = f"{len(free)} values need at least as many points, found {len(where)}"
        raise ValueError(msg)
    geometry.check_angles()
    _, pixel = geometry.pixel_size or (1.0, 1.0)
    start = geometry.model_dump()
    # In steps of about one pixel at the edge of a detector of a thousand.
    distance = float(geometry.distance or 1)
    step = math.degrees(pixel / distance)
    scale = {"x": 1.0, "y": 1.0, "distance": distance * 1e-3, "rot1": step, "rot2": step}
    scale["energy"] = HC / geometry.wavelength * 1e-3
    steps = np.array([scale[name] for name in free])
    first = np.array([start[name] for name in free], np.float64)

    def at(values: NDArray[np.float64]) -> Geometry:
        changes = dict(zip(free, (first + values * steps).tolist(), strict=True))
        return geometry.model_copy(update=changes)  # unchecked: a fit may stray for a moment

    def residuals(values: NDArray[np.float64]) -> NDArray[np.float64]:
        moved = at(values)
        if not ((moved.distance or 0) > 0 and (moved.energy or 0) > 0 and max(abs(moved.rot1), abs(moved.rot2)) < 89):
            return np.full(len(where), 1e6)
        sine = np.clip(moved.wavelength / (2 * spacing), 0, 1)
        expected = np.degrees(2 * np.arcsin(sine))
        return np.asarray(np.radians(angles_at(moved, where) - expected) * distance / pixel)

    found = least_squares(residuals, np.zeros(len(free)), loss="soft_l1", f_scale=1.0)
    left = residuals(found.x)
    jacobian = np.asarray(found.jac)
    normal = jacobian.T @ jacobian
    values = start | dict(zip(free, (first + found.x * steps).tolist(), strict=True))
    try:
        refined = Geometry.model_validate(values)
    except ValidationError:  # a value ran away
        refined = None
    if refined is None or np.linalg.cond(normal) > 1e10:
        msg = f"the points do not tell {', '.join(free)} apart; free fewer, or take points on more of the rings"
        raise ValueError(msg)
    variance = float((left**2).sum()) / max(len(left) - len(free), 1)
    errors = np.sqrt(np.diag(np.linalg.inv(normal)) * variance) * steps
    names = [str(name) for name in free]
    residual = float(np.sqrt(np.mean(left**2)))
    return Refined(refined, dict(zip(names, errors.tolist(), strict=True)), residual, where, spacing)


def calibrate(
    image: ArrayLike,
    geometry: Geometry,
    powder: str | Calibrant,
    *,
    good: ArrayLike | None = None,
    free: Sequence[Free] = FREE,
    rounds: int = 4,
) -> Refined:
    """Find points on the rings of a calibrant and refine the geometry with them.

    Parameters
    ----------
    image
        (y, x).
    geometry
        First guess, such that rings are within some 12 px of where they are expected; see `match_distance`.
    powder
        A calibrant or its name.
    good
        (y, x) boolean: pixels that count.
    free
        See `refine`.
    rounds
        How often points are looked for.

    Raises
    ------
    ValueError
        No ring is where one is expected.
    """
    pixels, selected = checked_image(image, good)
    known, result = calibrant(powder), None
    for number in range(rounds):
        points, d = _points(pixels, selected, geometry, known, WIDE if number == 0 else NARROW)
        if len(points) < max(12, 2 * len(free)):
            msg = f"only {len(points)} points of {known.name} rings found; give a better first geometry or another calibrant"
            raise ValueError(msg)
        result = refine(geometry, points, d, free)
        far = np.abs(_distances(result.geometry, points, d)) > max(3 * result.residual, 1.0)
        if far.any() and (~far).sum() >= 2 * len(free):
            result = refine(result.geometry, points[~far], d[~far], free)
        geometry = result.geometry
    assert result is not None
    return result


def _distances(geometry: Geometry, points: NDArray[np.float64], d: NDArray[np.float64]) -> NDArray[np.float64]:
    _, pixel = geometry.pixel_size or (1.0, 1.0)
    expected = np.degrees(2 * np.arcsin(np.clip(geometry.wavelength / (2 * d), 0, 1)))
    return np.asarray(np.radians(angles_at(geometry, points) - expected) * float(geometry.distance or 1) / pixel)


def _points(
    pixels: NDArray[np.float32], good: NDArray[np.bool_], geometry: Geometry, known: Calibrant, reach: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rings = overlay(geometry, known, pixels.shape)
    if not rings:
        msg = f"no ring of {known.name} crosses the image with this geometry; check distance and energy"
        raise ValueError(msg)
    _, pixel = geometry.pixel_size or (1.0, 1.0)
    width = math.degrees(pixel / float(geometry.distance or 1))
    angles = np.array([ring.two_theta for ring in rings])
    edges = np.arange(0.0, angles[-1] + (reach + 2) * width, width)
    options: dict[str, Any] = {"unit": "2theta", "sectors": SECTORS, "errors": None, "polarization": None}
    seen = integrate(pixels, geometry, good=good, edges=tuple(edges.tolist()), **options)
    cake, n = seen["intensity"].values, seen["n_valid"].values
    around = np.radians(seen["azimuth"].values)
    found, spacings = [], []
    gaps = np.diff(angles) / width
    for number, ring in enumerate(rings):
        gap = min(gaps[number - 1] if number else math.inf, gaps[number] if number < len(gaps) else math.inf)
        if gap < MIN_GAP:
            continue
        window = int(min(reach, gap / 2))
        for place, angle in brightest(cake, n, int(ring.two_theta / width), max(window, 2), around):
            x, y = ring_path(geometry, place * width, [math.degrees(angle)])
            found.append((float(x[0]), float(y[0])))
            spacings.append(ring.d)
    points = np.array(found).reshape(-1, 2)
    known_place = np.isfinite(points).all(axis=1)
    return points[known_place], np.array(spacings)[known_place]


def match_distance(radii: ArrayLike, geometry: Geometry, powder: str | Calibrant) -> float:
    """Return the distance (m) at which the rings of a calibrant have radii that were seen.

    Parameters
    ----------
    radii
        (ring,) px, around the direct beam; some may belong to nothing, and some rings may be missing.
    geometry
        With energy and pixel size; tilt is not looked at.
    powder
        A calibrant or its name.

    Raises
    ------
    ValueError
        No distance explains most of the radii.
    """
    seen = np.sort(np.asarray(radii, np.float64))
    if geometry.pixel_size is None or len(seen) == 0:
        msg = "matching rings needs geometry.pixel_size (m) and at least one radius"
        raise ValueError(msg)
    angles = np.radians(calibrant(powder).two_theta(geometry.wavelength))
    tangents = np.tan(angles[angles < math.radians(85)])[:MAX_RINGS]
    pixel = geometry.pixel_size[1]
    best, distance = 0.0, math.nan
    for trial in {float(radius / tangent) for radius in seen[:6] for tangent in tangents[:8]}:  # px
        expected = tangents * trial
        inside = expected[(expected > seen[0] - 3) & (expected < seen[-1] + 3)]
        if len(inside) == 0:
            continue
        apart = np.abs(inside[:, None] - seen[None, :])
        close = 2 + 0.01 * seen
        hits = float((apart.min(axis=0) < close).mean()) * float((apart.min(axis=1) < 2 + 0.01 * inside).mean())
        if hits > best:
            pairs = apart.argmin(axis=0)
            near = apart.min(axis=0) < close
            best, distance = hits, float(np.median(seen[near] / inside[pairs[near]])) * trial * pixel
    if best < 0.3:
        msg = f"no distance explains the radii {np.round(seen, 1).tolist()} px; check calibrant and energy"
        raise ValueError(msg)
    return distance
