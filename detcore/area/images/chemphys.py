"""Scattering angles and corrections of a tilted detector as LCLS small-data tools define them.

After J. Chem. Phys. 113, 9140 (2000). Lengths are in mm. With the turns tx and ty of the detector, its point below the
sample at (x, y) and the distance L along the beam:

    A = -sin(ty) cos(tx),  B = -sin(tx),  C = -cos(ty) cos(tx)
    a = x + L tan(ty),  b = y - L tan(tx),  c = L
    r = |(X - a, Y - b, c)|
    cos(theta) = (A (X - a) + B (Y - b) - C c) / r                     theta is the full scattering angle
    cos(phi) = ((A^2 + C^2)(Y - b) - A B (X - a) + B C c) / sqrt((A^2 + C^2)(r^2 - (r cos(theta))^2))

phi runs from +y over +x and is mirrored for X < x, so that it covers the circle. The pixel's solid angle is (L / r)^3.
What the polarisation P leaves is (1 - P)(1 - (sin(phi) sin(theta))^2) + P (1 - (cos(phi) sin(theta))^2): with P = 1 the
field lies along y of these coordinates, with P = 0 along x.

With ty the beam is at (x, y); with tx the signs of these formulas put it elsewhere (theta at the centre is 2 tx). They are
kept as people know them; `Geometry` describes tilted detectors without that trap.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detcore.area.images.geometry import HC

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MILLIMETRE = 1e3  # um


class Angles(NamedTuple):
    """What each pixel sees; arrays of the shape of a frame.

    Parameters
    ----------
    theta
        Full scattering angle, rad.
    phi
        Azimuth, rad, 0 to 2 pi.
    q
        1/Angstrom.
    r
        From the sample, mm.
    radius
        From the centre in the plane of the detector, um.
    solid_angle
        (L / r)^3.
    polarization
        What the polarisation leaves.
    """

    theta: NDArray[np.float64]
    phi: NDArray[np.float64]
    q: NDArray[np.float64]
    r: NDArray[np.float64]
    radius: NDArray[np.float64]
    solid_angle: NDArray[np.float64]
    polarization: NDArray[np.float64]

    @property
    def correction(self) -> NDArray[np.float64]:
        """By what the intensity is divided."""
        return self.solid_angle * self.polarization


def angles(
    x: ArrayLike,
    y: ArrayLike,
    center: tuple[float, float],
    *,
    z: ArrayLike | None = None,
    dis_to_sam: float = 100.0,
    energy: float = 9.5,
    tx: float = 0.0,
    ty: float = 0.0,
    polarization: float = 0.0,
) -> Angles:
    """Return the angles and corrections of pixels.

    Parameters
    ----------
    x, y, z
        Places of the pixels, um; z is counted towards the sample, from its mean.
    center
        (x, y) of the beam, um.
    dis_to_sam
        Distance to the sample, mm.
    energy
        Of the photons, keV.
    tx, ty
        Turns of the detector, degrees.
    polarization
        `Pplane` of the original: 1, the field lies along y; 0, along x.

    Raises
    ------
    ValueError
        A distance or energy is not positive, or the shapes differ.

    Examples
    --------
    >>> found = angles([0.0, 1000.0], [0.0, 0.0], (0.0, 0.0), dis_to_sam=100.0)
    >>> found.theta.round(6).tolist(), found.radius.tolist()
    ([0.0, 0.01], [0.0, 1000.0])
    """
    places = [np.asarray(one, np.float64) for one in (x, y)]
    if not (dis_to_sam > 0 and energy > 0):
        msg = f"dis_to_sam is {dis_to_sam} mm and the energy {energy} keV; expected both above 0"
        raise ValueError(msg)
    if places[0].shape != places[1].shape:
        msg = f"x and y: expected one shape, found {places[0].shape} and {places[1].shape}"
        raise ValueError(msg)
    across, along = (one / MILLIMETRE for one in places)
    heights = np.zeros(()) if z is None else np.asarray(z, np.float64)
    depth = (heights.mean() - heights) / MILLIMETRE
    distance = dis_to_sam + depth
    turn_x, turn_y = math.radians(tx), math.radians(ty)
    a = -math.sin(turn_y) * math.cos(turn_x)
    b = -math.sin(turn_x)
    c = -math.cos(turn_y) * math.cos(turn_x)
    dx = across - (center[0] / MILLIMETRE + distance * math.tan(turn_y))
    dy = along - (center[1] / MILLIMETRE - distance * math.tan(turn_x))
    r = np.sqrt(dx**2 + dy**2 + distance**2)
    forward = a * dx + b * dy - c * distance  # r cos(theta)
    theta = np.arccos(np.clip(forward / r, -1, 1))
    sideways = np.sqrt((a**2 + c**2) * np.maximum(r**2 - forward**2, 0))
    top = (a**2 + c**2) * dy - a * b * dx + b * c * distance
    cosine = np.divide(top, sideways, out=np.ones_like(top), where=sideways > 0)
    phi = np.arccos(np.clip(cosine, -1, 1))
    phi = np.where(across < center[0] / MILLIMETRE, 2 * math.pi - phi, phi) % (2 * math.pi)
    sine = np.sin(theta)
    kept = (1 - polarization) * (1 - (np.sin(phi) * sine) ** 2) + polarization * (1 - (np.cos(phi) * sine) ** 2)
    q = 4 * math.pi * energy / HC * np.sin(theta / 2)
    radius = np.hypot(places[0] - center[0], places[1] - center[1])
    return Angles(theta, phi, q, r, radius, np.broadcast_to((distance / r) ** 3, r.shape), kept)
