"""Showers from a parametrisation: photons like those of Geant4 in a tungsten-silicon calorimeter, and charged pions.

Made for demonstrations and tests. Photons follow Grindhammer and Peters (arXiv hep-ex/0001020) with the sampling
corrections of a silicon-tungsten calorimeter; their layers, radii and energies were compared with histograms of
100 000 full simulations. Pions follow Bock et al. (Nucl. Instrum. Meth. 186 (1981) 533) and were compared with nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from detcore.showers.detector import ILD
from detcore.showers.ragged import Ragged, offsets_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from detcore.showers.detector import DetectorGeometry

    Floats = NDArray[np.float64]

CRITICAL_ENERGY: Final = 8.9  # MeV, of the absorber with its silicon
Z: Final = 68.0  # effective atomic number of the same
MOLIERE_RADIUS: Final = 27.0  # mm
CORE_WIDTH: Final = 2.0  # times that of a homogeneous calorimeter
PAIR_POINTS, PAIR_LENGTH = 9.0, 1.2  # of the first pair, before there is a cascade; falls off in so many X0
POINTS_PER_GEV: Final = 46.5  # in a silicon layer, for dE/dt of 1 GeV per radiation length
HCAL_POINTS_PER_GEV: Final = 22.0  # the same behind steel, whose critical energy is higher
CORE_TRACKS, CORE_RADIUS = 7.0, 2.5  # mm; the more tracks cross one point the nearer to the axis
LIGHT_SPEED: Final = 299.79  # mm/ns
ECAL_X0, ECAL_THICK_X0, THIN_LAYERS = 0.6, 1.199, 20  # radiation lengths per layer; 2.1 mm of tungsten, then 4.2 mm
ECAL_LAMBDA, ECAL_THICK_LAMBDA = 0.021, 0.042  # interaction lengths per layer
HCAL_X0, HCAL_LAMBDA = 1.14, 0.12  # per layer with 19 mm of steel
MIP_ECAL, MIP_HCAL = 0.15, 0.5  # MeV
PHOTON, PION = 22, 211  # codes of the Particle Data Group


@dataclass(frozen=True)
class Tuning:
    """What tells one simulation from another.

    Parameters
    ----------
    energy
        Scale of the energies of points.
    radius
        Scale of the distances from the axis.
    depth
        Shift along the shower, radiation lengths.
    ripple
        How much more points odd layers have than even ones: each odd one this fraction above the mean.
    soft
        Fraction of points from the soft tail.
    spread
        Scale of the fluctuations from shower to shower.
    """

    energy: float = 1.0
    radius: float = 1.0
    depth: float = 0.0
    ripple: float = 0.04
    soft: float = 0.22
    spread: float = 1.0


class _Points(NamedTuple):
    """Points while they are made: the shower and layer of each, (point)."""

    shower: NDArray[np.int64]
    layer: NDArray[np.int64]
    x: Floats
    y: Floats
    energy: Floats  # MeV
    time: Floats  # ns, since the shower began


def photons(
    energies: ArrayLike,
    directions: ArrayLike | None = None,
    *,
    seed: int = 0,
    tuning: Tuning | None = None,
    geometry: DetectorGeometry = ILD,
) -> Ragged:
    """Make electromagnetic showers.

    Parameters
    ----------
    energies
        (shower), GeV, of the incident photons; 1 to 1000.
    directions
        (shower, 3), unit vectors; None: straight on.
    seed
        The same seed gives the same showers.
    tuning
        None: the one that fits full simulations.
    geometry
        Where the layers are.

    Returns
    -------
    Ragged
        Five columns; the points of a shower are in no order, as those of a simulation.
    """
    tuning, rng = tuning or Tuning(), np.random.default_rng(seed)
    energy = _checked(energies)
    depth = depths(geometry)[0][: geometry.num_layers_ecal]
    begin = rng.exponential(9 / 7, len(energy)) - tuning.depth  # where the photon converts
    points = _cascade(rng, energy, depth[None, :] - begin[:, None], tuning)
    return _assembled(rng, points, energy, directions, PHOTON, geometry)


def pions(
    energies: ArrayLike, directions: ArrayLike | None = None, *, seed: int = 0, geometry: DetectorGeometry = ILD
) -> Ragged:
    """Make showers of charged pions.

    Parameters
    ----------
    energies, directions, seed, geometry
        As for `photons`.

    Returns
    -------
    Ragged
        Five columns. Parametrised: not tuned to data or to a simulation.
    """
    rng, energy = np.random.default_rng(seed), _checked(energies)
    n = len(energy)
    x0, absorbed = depths(geometry)
    begin = rng.exponential(1.0, n)  # interaction lengths until the pion interacts
    shape = 0.6165 + 0.3193 * np.log(energy)
    slope = np.maximum(0.9099 - 0.0237 * np.log(energy), 0.3)
    electromagnetic = np.clip(0.4634 + rng.normal(0, 0.15, n), 0.05, 0.95) * energy
    first = np.interp(begin, absorbed, x0)  # the same place in radiation lengths

    # Energy per radiation length at each layer, (shower, layer). The constants of Bock et al. describe what a layer
    # sees of the shower's energy when it is spread over the depth behind the interaction.
    em = electromagnetic[:, None] * _gamma(x0[None, :] - first[:, None], shape, np.full(n, 0.2198))
    behind = np.diff(absorbed, prepend=0.0) / np.diff(x0, prepend=0.0)  # interaction per radiation length
    had = (energy - electromagnetic)[:, None] * _gamma(absorbed[None, :] - begin[:, None], shape, slope) * behind
    had *= rng.gamma(6.0, 1 / 6.0, n)[:, None] * 0.75  # binding energy and neutrinos are not seen
    in_ecal = np.arange(geometry.num_layers) < geometry.num_layers_ecal
    density = np.where(in_ecal, POINTS_PER_GEV, HCAL_POINTS_PER_GEV)

    parts = [_track(rng, begin, absorbed, in_ecal)]
    for deposit, width in ((em, 26.0), (had, 55.0)):
        shower, layer = _thrown(rng, deposit * density)
        spread = rng.exponential(width, len(shower))
        angle = rng.uniform(0, 2 * np.pi, len(shower))
        size = np.where(in_ecal[layer], MIP_ECAL, MIP_HCAL)
        energies_mev = size * (0.75 + rng.exponential(0.8, len(shower))) * rng.lognormal(0.0, 0.45, len(shower))
        late = rng.exponential(0.05, len(shower))
        if width > 30:  # neutrons come late
            late += np.where(rng.random(len(shower)) < 0.12, rng.exponential(12.0, len(shower)), 0.0)
        parts.append(_Points(shower, layer, spread * np.cos(angle), spread * np.sin(angle), energies_mev, late))
    points = _Points(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    return _assembled(rng, points, energy, directions, PION, geometry)


def depths(geometry: DetectorGeometry = ILD) -> tuple[Floats, Floats]:
    """Return the depth of each layer in radiation lengths and in interaction lengths, (layer) both."""
    number = np.arange(geometry.num_layers)
    thin = number < min(THIN_LAYERS, geometry.num_layers_ecal)
    in_ecal = number < geometry.num_layers_ecal
    steps = np.where(thin, ECAL_X0, np.where(in_ecal, ECAL_THICK_X0, HCAL_X0))
    lengths = np.where(thin, ECAL_LAMBDA, np.where(in_ecal, ECAL_THICK_LAMBDA, HCAL_LAMBDA))
    return np.cumsum(steps), np.cumsum(lengths)


def cone(n: int, degrees: float, *, seed: int = 0) -> NDArray[np.float32]:
    """Return directions near the axis, most of them very near.

    Parameters
    ----------
    n
        How many.
    degrees
        The largest angle to the axis.
    seed
        The same seed gives the same directions.

    Returns
    -------
    ndarray
        (n, 3), unit vectors, float32.
    """
    rng = np.random.default_rng(seed)
    theta, phi = np.radians(degrees) * rng.random(n) ** 1.5, rng.uniform(0, 2 * np.pi, n)
    vectors = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1)
    return vectors.astype(np.float32)


def _checked(energies: ArrayLike) -> Floats:
    energy = np.asarray(energies, np.float64).reshape(-1)
    if not ((energy >= 1) & (energy <= 1000)).all():
        msg = f"the parametrisation holds from 1 to 1000 GeV; found {energy.min():g} to {energy.max():g}"
        raise ValueError(msg)
    return energy


def _gamma(t: Floats, shape: Floats, slope: Floats) -> Floats:
    """Return the density of a gamma distribution at (shower, layer); zero before the shower begins."""
    from scipy.special import gammaln  # noqa: PLC0415 - slow to import, and only a generator needs it

    a, b = shape[:, None], slope[:, None]
    behind = np.maximum(t, 1e-9)
    density = np.exp(a * np.log(b) + (a - 1) * np.log(behind) - b * behind - gammaln(a))
    return np.where(t > 0, density, 0.0)


def _thrown(rng: np.random.Generator, mean: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return shower and layer of a Poisson number of points for each mean of (shower, layer)."""
    count = rng.poisson(mean).reshape(-1)
    shower, layer = np.divmod(np.repeat(np.arange(count.size), count), mean.shape[1])
    return shower, layer


def _cascade(rng: np.random.Generator, energy: Floats, t: Floats, tuning: Tuning) -> _Points:
    """Return the points of electromagnetic showers; t is the depth of each layer behind the start, X0 (shower, layer)."""
    y, log_energy = np.log(energy * 1000 / CRITICAL_ENERGY), np.log(energy)
    # Two correlated Gaussians: the depth of the maximum and the shape of the profile.
    sigma_t = np.clip(1 / np.maximum(-2.5 + 1.25 * y, 0.4), 0, 1) * tuning.spread
    sigma_a = np.clip(1 / np.maximum(-0.82 + 0.79 * y, 0.4), 0, 1) * tuning.spread
    correlation = np.clip(0.784 - 0.023 * y, -1, 1)
    one, two = rng.standard_normal((2, len(energy)))
    plus, minus = np.sqrt((1 + correlation) / 2), np.sqrt((1 - correlation) / 2)
    maximum = np.exp(np.log(y - 0.812) + sigma_t * (plus * one + minus * two))
    alpha = np.exp(np.log(0.81 + (0.458 + 2.26 / Z) * y) + sigma_a * (plus * one - minus * two))
    profile = _gamma(t, alpha, (np.maximum(alpha, 1.05) - 1) / maximum)
    ripple = np.where(np.arange(t.shape[1]) % 2, 1 + tuning.ripple, 1 - tuning.ripple)
    mean = POINTS_PER_GEV * energy[:, None] * profile * ripple
    mean += np.where(t > 0, PAIR_POINTS * np.exp(-np.maximum(t, 0) / PAIR_LENGTH), 0.0)
    shower, layer = _thrown(rng, mean)
    n = len(shower)

    tau = (t / maximum[:, None]).clip(0, 20)
    core = CORE_WIDTH * (0.0251 + 0.00319 * log_energy[:, None] + (0.1162 - 0.000381 * Z) * tau)
    k4 = 0.3585 + 0.0412 * log_energy[:, None]
    tail = (0.659 - 0.00309 * Z) * (np.exp(-2.59 * (tau - 0.645)) + np.exp(k4 * (tau - 0.645)))
    q = (0.401 + 0.00187 * Z - tau) / (1.313 - 0.0686 * log_energy[:, None])
    fraction = np.clip((2.632 - 0.00094 * Z) * np.exp(q - np.exp(q)), 0, 1)
    in_core = rng.random(n) < fraction[shower, layer]
    scale = np.where(in_core, core[shower, layer], np.minimum(tail[shower, layer], 4.0))
    u, angle = rng.random(n), rng.uniform(0, 2 * np.pi, n)
    radius = np.minimum(MOLIERE_RADIUS * scale * np.sqrt(u / (1 - u)), 300.0) * tuning.radius

    mip_like = 0.165 - 0.03 * np.log(np.square(rng.standard_normal(n)) + 1e-12)  # as a Landau distribution, MeV
    mip_like /= np.maximum(0.5, rng.random(n) ** 0.3)  # slanted tracks are longer
    grown = 1 - np.exp(-np.maximum(t, 0) / 3)  # several tracks in one point, once there are many
    mip_like *= 1 + rng.exponential(1.0, n) * CORE_TRACKS * np.exp(-radius / CORE_RADIUS) * grown[shower, layer]
    soft = 10 ** (-2.6 + 1.8 * rng.random(n) ** 0.4)
    deposit = tuning.energy * np.where(rng.random(n) < tuning.soft, soft, np.maximum(mip_like, 1e-3))
    late = rng.exponential(0.02, n) + np.where(rng.random(n) < 0.005, rng.exponential(30.0, n), 0.0)
    return _Points(shower, layer, radius * np.cos(angle), radius * np.sin(angle), deposit, late)


def _track(rng: np.random.Generator, begin: Floats, absorbed: Floats, in_ecal: NDArray[np.bool_]) -> _Points:
    """Return the track of each particle before it interacts: one point in each layer."""
    shower, layer = np.nonzero(absorbed[None, :] < begin[:, None])
    n = len(shower)
    size = np.where(in_ecal[layer], MIP_ECAL, MIP_HCAL)
    landau = np.maximum(0.9 - 0.12 * np.log(np.square(rng.standard_normal(n)) + 1e-12), 0.3)
    return _Points(shower, layer, rng.normal(0, 0.3, n), rng.normal(0, 0.3, n), size * landau, rng.exponential(0.01, n))


def _assembled(
    rng: np.random.Generator,
    points: _Points,
    energy: Floats,
    directions: ArrayLike | None,
    pdg: int,
    geometry: DetectorGeometry,
) -> Ragged:
    """Tilt, date, shuffle within each shower, and put together."""
    n = len(energy)
    axis = np.tile([0.0, 0.0, 1.0], (n, 1)) if directions is None else np.asarray(directions, np.float64)
    depth = np.asarray(geometry.layer_bottom_pos, np.float64)[points.layer] - geometry.calo_surface
    along = axis[points.shower]
    order = np.argsort(points.shower + rng.random(len(points.shower)))
    columns = (
        points.x + along[:, 0] / along[:, 2] * depth,
        points.y + along[:, 1] / along[:, 2] * depth,
        points.layer,
        points.energy / 1000,
        depth / along[:, 2] / LIGHT_SPEED + points.time,
    )
    flat = np.stack(columns, axis=1).astype(np.float32)[order]
    counts = np.bincount(points.shower, minlength=n)
    return Ragged(
        flat,
        offsets_of(counts),
        energy.astype(np.float32),
        axis.astype(np.float32),
        np.full(n, pdg, np.int32),
        np.arange(n, dtype=np.int32),
        int(counts.max(initial=0)),
    ).validate()
