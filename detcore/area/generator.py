"""Made-up frames of an integrating pixel detector: rings, spots, charge sharing, pedestal, noise and common mode.

Everything is an array; `demo` writes them to files. The physics is plain: rings of a cubic powder at their Bragg angles,
photons thrown one by one, a share of which leaves part of its charge in the next pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HC = 12.398419843320026  # keV angstrom; h c, CODATA 2018
LAB6 = 4.15689  # angstrom; lattice constant of LaB6, NIST SRM 660b
SHARED = 0.25  # of the photons leave charge in two pixels
BANKS = (2, 8)  # banks of an ePix100, rows x columns, with an amplifier each


@dataclass(frozen=True)
class Scene:
    """Where the beam, the rings and the spots are.

    Parameters
    ----------
    shape
        (rows, columns).
    centre
        Direct beam, x (column) and y (row), pixel centres at whole numbers.
    distance, pixel
        m.
    energy
        Of a photon, keV.
    lattice
        Of the cubic powder, angstrom.
    spots
        x, y and photons of each Bragg spot in a bright event.
    beamstop
        Radius of its shadow, pixels; an arm leads to the lower edge.
    """

    shape: tuple[int, int] = (704, 768)
    centre: tuple[float, float] = (330.4, 300.7)
    distance: float = 0.060
    pixel: float = 50e-6
    energy: float = 17.0
    lattice: float = LAB6
    spots: tuple[tuple[float, float, float], ...] = (
        (520.3, 180.6, 2600.0),
        (175.5, 420.2, 700.0),
        (611.0, 515.0, 350.0),
        (260.8, 96.3, 300.0),
        (96.4, 188.7, 180.0),
    )
    beamstop: float = 26.0

    def radii(self, largest: float = 620.0) -> NDArray[np.float64]:
        """Return the radii of the rings in pixels, (ring,); d = a / sqrt(h² + k² + l²), λ = 2 d sin θ."""
        sums = sorted({h * h + k * k + m * m for h in range(6) for k in range(6) for m in range(6)} - {0})
        sine = HC / self.energy / 2 / self.lattice * np.sqrt(np.array(sums, np.float64))
        radius = self.distance * np.tan(2 * np.arcsin(np.minimum(sine, 0.7))) / self.pixel
        return np.asarray(radius[radius < largest], np.float64)

    def coordinates(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the distances from the beam in x and y, each (y, x), pixels."""
        y, x = np.indices(self.shape, np.float32)
        return x - np.float32(self.centre[0]), y - np.float32(self.centre[1])

    def shadow(self) -> NDArray[np.bool_]:
        """Return (y, x), true behind the beam stop and its arm."""
        x, y = self.coordinates()
        return (np.hypot(x, y) < self.beamstop) | ((abs(x) < self.beamstop / 4) & (y > 0))

    def powder(self, width: float = 2.6) -> NDArray[np.float64]:
        """Return the probability of a photon of the powder in each pixel, (y, x); adds up to 1."""
        x, y = self.coordinates()
        radius = np.hypot(x, y)
        image = 0.15 * np.exp(-radius / 170.0)
        for number, ring in enumerate(self.radii()):
            near = abs(radius - ring) < 5 * width
            strength = (0.9, 1.0, 0.55, 0.3, 0.6, 0.45, 0.05, 0.15)[number % 8] * 60 / ring
            image[near] += strength * np.exp(-0.5 * ((radius[near] - ring) / width) ** 2)
        cosine = 1 / np.sqrt(1 + (radius * self.pixel / self.distance) ** 2)
        image *= cosine**3  # solid angle of a flat pixel
        return self._normal(image)

    def diffuse(self, radius: float = 236.0, width: float = 32.0) -> NDArray[np.float64]:
        """Return the probability of a photon of the diffuse ring in each pixel, (y, x); adds up to 1."""
        x, y = self.coordinates()
        return self._normal(np.exp(-0.5 * ((np.hypot(x, y) - radius) / width) ** 2))

    def _normal(self, image: NDArray[np.floating]) -> NDArray[np.float64]:
        image = np.where(self.shadow(), 0.0, image).astype(np.float64)
        return np.asarray(image / image.sum(), np.float64)


class Photons:
    """Throws photons one by one: faster than a Poisson number for each of many empty pixels."""

    def __init__(self, probability: NDArray[np.float64]) -> None:
        self.width = probability.shape[1]
        self.sums = np.cumsum(probability.ravel())

    def throw(self, rng: np.random.Generator, mean: float) -> NDArray[np.int64]:
        """Return the flat pixel of each photon, (photon,)."""
        places = np.sort(rng.random(rng.poisson(mean))) * self.sums[-1]
        found = np.searchsorted(self.sums, places, side="right")
        return np.asarray(np.minimum(found, len(self.sums) - 1), np.int64)


def spot_photons(rng: np.random.Generator, scene: Scene, level: float, sigma: float = 1.1) -> NDArray[np.int64]:
    """Return the flat pixels of the photons of all Bragg spots, (photon,)."""
    rows, columns = scene.shape
    found = []
    for x, y, photons in scene.spots:
        n = rng.poisson(max(photons * level, 0.0))
        column = np.rint(x + sigma * rng.standard_normal(n)).astype(np.int64)
        row = np.rint(y + sigma * rng.standard_normal(n)).astype(np.int64)
        inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        found.append(row[inside] * columns + column[inside])
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def charge(rng: np.random.Generator, pixels: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return the charge in photons, (y, x), of photons that hit the given flat pixels."""
    size = shape[0] * shape[1]
    shared = rng.random(len(pixels)) < SHARED
    kept = np.where(shared, 0.5 + 0.5 * rng.random(len(pixels)), 1.0)
    step = np.array([1, -1, shape[1], -shape[1]])[rng.integers(0, 4, int(shared.sum()))]
    beside = pixels[shared] + step
    inside = (beside >= 0) & (beside < size)
    image = np.bincount(pixels, kept, size)
    image += np.bincount(beside[inside], 1 - kept[shared][inside], size)
    return image.astype(np.float32).reshape(shape)


def common_mode(
    rng: np.random.Generator, shape: tuple[int, int], sizes: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Return the offsets of one event, (y, x): of banks, of rows and of columns inside each bank (ADU, sigma).

    Rows share an offset inside a bank; columns inside a half of the panel, as an ePix100 has them.
    """
    high, wide = shape[0] // BANKS[0], shape[1] // BANKS[1]
    offsets = np.zeros((BANKS[0], high, BANKS[1], wide), np.float32)
    for size, form in zip(
        sizes,
        ((BANKS[0], 1, BANKS[1], 1), (BANKS[0], high, BANKS[1], 1), (BANKS[0], 1, BANKS[1], wide)),
        strict=True,
    ):
        offsets += np.float32(size) * rng.standard_normal(form, np.float32)
    return offsets.reshape(shape)


def pedestals(rng: np.random.Generator, shape: tuple[int, int], level: float = 2100.0) -> NDArray[np.float32]:
    """Return a pedestal that differs from bank to bank and from pixel to pixel, (y, x) ADU."""
    row = np.linspace(-40, 40, shape[0], dtype=np.float32)[:, None]
    return np.asarray(
        level + row + common_mode(rng, shape, (90.0, 0.0, 12.0)) + 25 * rng.standard_normal(shape, np.float32),
        np.float32,
    )
