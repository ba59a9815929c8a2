"""Made-up telescope images: a small array, gamma rays, protons and muon rings, for demonstrations and tests.

Light comes from points along the axis of a shower, spread sideways; each is seen where it is, at the time when its light
arrives. So directions, axes, times and impact points of the images belong together, as in nature. How much light there
is, and how hadrons break up, is but roughly so: nothing was compared with a simulation of the atmosphere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.spatial import KDTree

from detcore.dl1.images.geometry import Camera

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

POINTING: Final = (70.0, 180.0)  # altitude and azimuth of all telescopes, deg
SOURCE: Final = (70.4, 180.9)  # of the gamma rays, deg
CONE: Final = 2.5  # deg about the pointing, in which protons come
SITE: Final = 2150.0  # m above the sea
SCALE_HEIGHT, SEA_LEVEL = 8400.0, 1036.0  # of the atmosphere: m, g/cm2
RADIATION_LENGTH, CRITICAL_ENERGY = 37.0, 86e-6  # g/cm2, TeV; of air
REFRACTION, REFRACTION_HEIGHT = 2.9e-4, 8000.0  # refractive index less 1 at the sea, falls off in so many m
LIGHT_SPEED: Final = 0.299792  # m/ns
PHOTONS_PER_TEV: Final = 100.0  # per m2 on the ground near the axis, 300 to 600 nm
POOL: Final = 125.0  # m, radius of the ring of Cherenkov light
FIELD_RADIUS: Final = 260.0  # m about the centre of the array, where showers come down
MOST_PHOTONS: Final = 5000  # that are followed in an image; brighter ones are scaled
PULSE_JITTER, PLACE_IN_WINDOW = (
    0.8,
    0.45,
)  # ns of one photoelectron; where in the window of a telescope the light arrives
GRAIN: Final = 64.0  # charges and times are multiples of 1/64: files stay small, and float32 holds them exactly
GAMMA, MUON, PROTON = 0, 2, 101  # codes as in the files
SUBARRAY, MUON_EVENT = 32, 16  # types of events, see `detcore.dl1.EVENT_TYPES`


@dataclass(frozen=True)
class Station:
    """A telescope.

    Parameters
    ----------
    tel_id
        Its number.
    kind, optics
        LST, MST or SST; name of the optics.
    camera
        Whose focal length is the effective one.
    focal_length
        The equivalent one, m.
    place
        North, west, up, m.
    mirror
        Area, m2.
    efficiency
        Photoelectrons per photon on the mirror.
    noise
        Standard deviation of the charge of a pixel without light of a shower, p.e.
    rate, samples
        GHz, and samples of a readout.
    threshold
        True photoelectrons from which on it triggers.
    dead, noisy
        Pixels out of order.
    """

    tel_id: int
    kind: str
    optics: str
    camera: Camera
    focal_length: float
    place: tuple[float, float, float]
    mirror: float
    efficiency: float
    noise: float
    rate: float
    samples: int
    threshold: int
    dead: tuple[int, ...] = ()
    noisy: tuple[int, ...] = ()

    @property
    def window(self) -> float:
        """Length of a readout, ns."""
        return self.samples / self.rate

    @cached_property
    def tree(self) -> KDTree:
        """Of the centres of the pixels."""
        return KDTree(np.column_stack([self.camera.pixel_x, self.camera.pixel_y]))


class Picture(NamedTuple):
    """An image.

    Parameters
    ----------
    true
        (pixel,) int32 photoelectrons of Cherenkov light.
    charge
        (pixel,) float32 p.e.
    time
        (pixel,) float32 ns after the beginning of the readout.
    """

    true: NDArray[np.int32]
    charge: NDArray[np.float32]
    time: NDArray[np.float32]


@dataclass(frozen=True)
class Shower:
    """What came: angles in degrees, lengths in m, energy in TeV, depth in g/cm2, time in seconds after the first."""

    obs_id: int
    event_id: int
    primary: int
    energy: float
    alt: float
    az: float
    core_x: float
    core_y: float
    h_first_int: float
    x_max: float
    seconds: float
    event_type: int = SUBARRAY
    pictures: Mapping[int, Picture] = field(default_factory=dict)


def array() -> tuple[Station, ...]:
    """Return four large, six medium and eight small telescopes; some pixels of some cameras are out of order."""
    large, medium, small = large_camera(), medium_camera(), small_camera()
    bad = {1: ((300, 941), (1502,)), 2: ((77,), ()), 6: ((1200,), (410,)), 12: ((1000, 1001, 1002), (55,))}
    places = [(-70.9, -52.1), (-35.3, 66.1), (75.3, 50.5), (30.9, -64.5)]
    places += [tuple(150 * turn) for turn in _circle(6, 15.0)] + [tuple(265 * turn) for turn in _circle(8, 0.0)]
    stations = []
    for number, (x, y) in enumerate(places, 1):
        height = 5.0 * np.sin(x / 90) + 4.0 * np.cos(y / 70)
        place = round(float(x), 1), round(float(y), 1), round(float(height), 1)
        dead, noisy = bad.get(number, ((), ()))
        if number <= 4:
            one = Station(number, "LST", "LST", large, 28.0, place, 386.0, 0.10, 1.7, 1.0, 40, 80, dead, noisy)
        elif number <= 10:
            one = Station(number, "MST", "MST", medium, 16.0, place, 100.0, 0.09, 1.3, 0.25, 30, 100, dead, noisy)
        else:
            one = Station(number, "SST", "SST-GCT", small, 2.283, place, 8.0, 0.20, 0.8, 1.0, 96, 45, dead, noisy)
        stations.append(one)
    return tuple(stations)


def _circle(n: int, start: float) -> Floats:
    angles = np.radians(start) + 2 * np.pi * np.arange(n) / n
    return np.column_stack([np.cos(angles), np.sin(angles)])


def _hexagon(rings: int) -> NDArray[np.complex128]:
    """Return the points of a hexagonal grid of unit spacing within so many rings, from inside out."""
    q, r = np.mgrid[-rings : rings + 1, -rings : rings + 1].reshape(2, -1)
    points = (q + r * np.exp(1j * np.pi / 3))[abs(q + r) <= rings]
    return np.asarray(points[np.lexsort((np.angle(points).round(6), abs(points).round(6)))])


def large_camera() -> Camera:
    """Return a camera of 265 modules of seven hexagons: 1855 pixels of 5 cm in the focus of 28 m."""
    spacing, turn = 0.05, 40.893
    modules = _hexagon(9)
    modules = modules[abs(modules) < 8.9]  # without the six corners
    points = (modules[:, None] * (2 + np.exp(1j * np.pi / 3)) + _hexagon(1)).ravel()
    points *= spacing * np.exp(1j * np.radians(turn))
    area = np.full(points.size, spacing**2 * np.sqrt(3) / 2)
    return Camera("LSTCam", points.real, points.imag, area, "hexagon", turn, 29.306)


def medium_camera() -> Camera:
    """Return a roundish camera of 1764 hexagons of 5 cm, for a focal length of 16 m."""
    spacing, turn, n = 0.05, 30.0, 1764
    points = _hexagon(30) + (1 + np.exp(1j * np.pi / 3)) / 3  # the centre is a corner of three pixels
    sides = np.exp(1j * np.pi / 3 * np.arange(6))
    radius = 0.2 * abs(points) + 0.8 * (points[:, None] * sides.conj()).real.max(axis=1)
    points = points[np.lexsort((np.angle(points).round(6), radius.round(6)))[:n]]
    points = points * spacing * np.exp(1j * np.radians(turn))
    area = np.full(n, spacing**2 * np.sqrt(3) / 2)
    return Camera("FlashCam", points.real, points.imag, area, "hexagon", turn, 16.445)


def small_camera() -> Camera:
    """Return a camera of 32 modules of 8 by 8 squares: 2048 pixels, with gaps between modules."""
    size, gap = 0.0064, 0.002
    column, row = np.mgrid[0:6, 0:6].reshape(2, -1)
    corner = np.isin(column, (0, 5)) & np.isin(row, (0, 5))
    inner_x, inner_y = np.mgrid[0:8, 0:8].reshape(2, -1)
    x, y = (
        ((8 * size + gap) * (place[~corner, None] - 2.5) + size * (inner - 3.5)).ravel()
        for place, inner in ((column, inner_x), (row, inner_y))
    )
    return Camera("CHEC", x, y, np.full(x.size, size**2), "square", 0.0, 2.304)


def vector(alt: float, az: float) -> Floats:
    """Return the direction towards a place on the sky (degrees) as north, west, up."""
    height, turn = np.radians(alt), np.radians(az)
    return np.array([np.cos(height) * np.cos(turn), -np.cos(height) * np.sin(turn), np.sin(height)])


def impact(one: Station, seen: Sequence[Shower]) -> Floats:
    """Return how far the axes of showers pass from a telescope, (shower,) m."""
    offset = np.array([[one.place[0] - it.core_x, one.place[1] - it.core_y, one.place[2]] for it in seen])
    return np.asarray(np.linalg.norm(np.cross(offset, [vector(it.alt, it.az) for it in seen]), axis=1))


def height_of(depth: Floats | float, alt: float) -> Floats:
    """Return the height above the sea, m, of a depth (g/cm2) along an axis; not below the ground."""
    across = np.asarray(depth, np.float64) * np.sin(np.radians(alt))
    return np.asarray(np.maximum(-SCALE_HEIGHT * np.log(np.maximum(across, 0.1) / SEA_LEVEL), SITE + 100))


def showers(counts: Mapping[int, int], stations: tuple[Station, ...], seed: int) -> Iterator[Shower]:
    """Yield showers that trigger: gamma rays and protons two telescopes or more, muons one.

    Parameters
    ----------
    counts
        Kind of particle -> how many. Each kind is a run of its own.
    stations
        See `array`.
    seed
        Equal ones give equal showers.
    """
    for obs_id, (primary, wished) in enumerate(counts.items(), 1):
        rng = np.random.default_rng([seed, obs_id])
        made = tried = 0
        seconds = 1000.0 * (obs_id - 1)
        while made < wished and tried < 50 * wished:
            tried += 1
            seconds += rng.exponential(0.4)
            event_id = 100 * tried + int(rng.integers(10))  # as if showers were used several times
            found = _muon if primary == MUON else _shower
            shower, pictures = found(rng, obs_id, event_id, primary, seconds, stations)
            if len(pictures) >= (1 if primary == MUON else 2):
                made += 1
                object.__setattr__(shower, "pictures", pictures)
                yield shower


def _shower(
    rng: np.random.Generator, obs_id: int, event_id: int, primary: int, seconds: float, stations: tuple[Station, ...]
) -> tuple[Shower, dict[int, Picture]]:
    gamma = primary == GAMMA
    energy = _power_law(rng, *((0.06, 20.0) if gamma else (0.2, 40.0)))
    alt, az = SOURCE if gamma else _near(rng, CONE)
    turn, away = rng.uniform(0, 2 * np.pi), FIELD_RADIUS * np.sqrt(rng.random())
    first = float(rng.exponential(47.0 if gamma else 80.0))
    core = np.array([away * np.cos(turn), away * np.sin(turn), 0.0])
    depth = RADIATION_LENGTH * np.log(energy * (1 if gamma else 0.35) / CRITICAL_ENERGY)
    x_max = float(min(first + depth + rng.normal(0, 15 if gamma else 40), 750.0))
    made = Shower(
        obs_id, event_id, primary, energy, alt, az, float(core[0]), float(core[1]), float(height_of(first, alt)),
        x_max, seconds,
    )  # fmt: skip
    # hadrons break up: parts with light, depth and place of their own
    parts = 1 if gamma else int(rng.integers(3, 8))
    shares = np.ones(1) if gamma else rng.dirichlet(np.full(parts, 0.8))
    depths = np.full(parts, x_max) if gamma else x_max + rng.normal(0, 90, parts)
    aside = np.zeros((parts, 2)) if gamma else rng.normal(0, 80, (parts, 2))
    light = PHOTONS_PER_TEV * energy * rng.lognormal(0, 0.08 if gamma else 0.3) * (1 if gamma else 0.4)
    up = vector(alt, az)
    pictures = {}
    for one in stations:
        distance = float(impact(one, [made])[0])
        expected = light * one.mirror * one.efficiency * min(1.0, (distance / POOL) ** -2.4)
        n = int(rng.poisson(expected))
        if n < one.threshold:
            continue
        some = min(n, MOST_PHOTONS)
        part = rng.choice(parts, some, p=shares)
        wide = np.where(rng.random(some) < 0.2, 45.0, 14.0) * (1 if gamma else 1.6)
        heights = height_of(np.maximum(rng.normal(depths[part], 95.0 if gamma else 130.0), 10.0), alt)
        place = aside[part] + rng.normal(0, 1, (some, 2)) * wide[:, None]
        seen = _seen(one, core, up, heights, place)
        picture = _picture(rng, one, *seen, n / some)
        if picture is not None:
            pictures[one.tel_id] = picture
    return made, pictures


def _power_law(rng: np.random.Generator, low: float, high: float) -> float:
    """Return an energy of a spectrum that falls with the power 1.5, flatter than that of the sky."""
    return float((low**-0.5 + rng.random() * (high**-0.5 - low**-0.5)) ** -2)


def _near(rng: np.random.Generator, cone: float) -> tuple[float, float]:
    """Return altitude and azimuth of a direction within so many degrees of the pointing."""
    turn, away = rng.uniform(0, 2 * np.pi), cone * np.sqrt(rng.random())
    alt = POINTING[0] + away * np.cos(turn)
    return float(alt), float(POINTING[1] + away * np.sin(turn) / np.cos(np.radians(alt)))


def _seen(one: Station, core: Floats, up: Floats, heights: Floats, place: Floats) -> tuple[Floats, Floats, Floats]:
    """Return x and y in the camera (m), and time (ns), of light from points of a shower.

    Parameters
    ----------
    one
        The telescope.
    core, up
        Where the axis meets the ground, and where it points.
    heights
        (point,) m above the sea.
    place
        (point, 2) m from the axis, towards larger altitude and azimuth.
    """
    along = (heights - SITE) / up[2]
    alt, az = np.degrees(np.arcsin(up[2])), np.degrees(np.arctan2(-up[1], up[0]))
    points = core + along[:, None] * up + place @ np.stack(_across(float(alt), float(az)))
    path = points - np.array(one.place)
    higher, right = _across(*POINTING)
    forward = path @ vector(*POINTING)
    x, y = (one.camera.focal_length * np.arctan2(path @ side, forward) for side in (higher, right))
    # the particles fall with the speed of light, their light comes after with that of light in air
    slant = REFRACTION * REFRACTION_HEIGHT / up[2]
    delay = slant * (np.exp(-SITE / REFRACTION_HEIGHT) - np.exp(-heights / REFRACTION_HEIGHT))
    return x, y, (np.linalg.norm(path, axis=1) - along + delay) / LIGHT_SPEED


def _across(alt: float, az: float) -> tuple[Floats, Floats]:
    """Return the directions of larger altitude and of larger azimuth, at a place on the sky (degrees)."""
    height, turn = np.radians(alt), np.radians(az)
    higher = np.array([-np.sin(height) * np.cos(turn), np.sin(height) * np.sin(turn), np.cos(height)])
    return higher, np.array([-np.sin(turn), -np.cos(turn), 0.0])


def _muon(
    rng: np.random.Generator, obs_id: int, event_id: int, primary: int, seconds: float, stations: tuple[Station, ...]
) -> tuple[Shower, dict[int, Picture]]:
    """Make a muon that goes through the mirror of one telescope, large or medium."""
    one = stations[int(rng.integers(8)) % 10]
    alt, az = _near(rng, 0.7)
    higher, right = _across(*POINTING)
    up = vector(alt, az)
    forward = float(up @ vector(*POINTING))
    centre = [np.arctan2(float(up @ side), forward) for side in (higher, right)]
    n = int(rng.poisson(rng.uniform(3.5, 5.0) * np.sqrt(one.mirror) * 25))
    angle = 2 * np.pi * rng.random(n)
    radius = np.radians(rng.uniform(1.0, 1.22)) + rng.normal(0, np.radians(0.035), n)
    x, y = (
        one.camera.focal_length * (middle + radius * side)
        for middle, side in zip(centre, (np.cos(angle), np.sin(angle)), strict=True)
    )
    picture = _picture(rng, one, x, y, rng.normal(0, 0.3, n), 1.0)
    made = Shower(
        obs_id, event_id, primary, float(rng.uniform(0.008, 0.03)), alt, az, one.place[0], one.place[1],
        float(rng.uniform(8e3, 2e4)), float("nan"), seconds, MUON_EVENT,
    )  # fmt: skip
    return made, {} if picture is None else {one.tel_id: picture}


def _picture(
    rng: np.random.Generator, one: Station, x: Floats, y: Floats, arrival: Floats, scale: float
) -> Picture | None:
    """Return the image that photons make, with the noise of the night sky; None if the telescope does not trigger."""
    camera = one.camera
    reach = 0.75 * float(camera.pixel_width.max())  # as far as the corners of a square
    pixel = np.asarray(one.tree.query(np.column_stack([x, y]), distance_upper_bound=reach)[1])
    hit = pixel < camera.n_pixels
    pixel, arrival = pixel[hit], arrival[hit]
    counts = np.bincount(pixel, minlength=camera.n_pixels)
    true = np.round(counts * scale).astype(np.int32)
    if true.sum() < one.threshold:
        return None
    noise = np.full(camera.n_pixels, one.noise)
    noise[list(one.noisy)] = 14.0
    charge = true + rng.normal(0, 1, true.size) * np.sqrt(noise**2 + 0.25 * true)
    after = rng.random(true.size) < 0.001  # pulses that come after others
    charge[after] += 3 + rng.exponential(3.0, int(after.sum()))
    sums = np.bincount(pixel, arrival, camera.n_pixels)
    mean = np.divide(sums, counts, out=np.zeros(true.size), where=counts > 0)
    mean += PLACE_IN_WINDOW * one.window - float(arrival.mean())
    mean += rng.normal(0, 1, true.size) * PULSE_JITTER / np.sqrt(np.maximum(true, 1))
    inside = (mean > 0) & (mean < one.window)
    time = np.where((true > 1.5 * noise) & inside, mean, rng.uniform(0, one.window, true.size))
    charge[list(one.dead)] = time[list(one.dead)] = 0.0
    grains = [(np.round(values * GRAIN) / GRAIN).astype(np.float32) for values in (charge, time)]
    return Picture(true, *grains)
