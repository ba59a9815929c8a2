"""Photons: how many each pixel saw, and where those of a droplet were."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detcore.area.images import photonkernels as kernels
from detcore.area.images.fixed import fixed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from detcore.area.images.droplets import Droplets

MAX_COUNT: Final = 10  # photons in a pixel of which the probability is given
MAX_PHOTONS: Final = 100_000_000  # of one frame; more is a wrong ADU of a photon
_ALL = np.zeros((0, 0, 0), np.uint8)


@dataclass(frozen=True, eq=False)
class Photons:
    """Places of photons; every array is (photon,).

    Parameters
    ----------
    module, y, x
        Panel and place in it, px; not rounded.
    droplet
        Number of its droplet, from 0.
    """

    module: NDArray[np.int32]
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    droplet: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)

    def image(self, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Return how many photons each pixel has, in frames of that shape, (y, x) or (module, y, x)."""
        ny, nx = shape[-2:]
        y = np.clip(np.rint(self.y), 0, ny - 1).astype(np.int64)
        x = np.clip(np.rint(self.x), 0, nx - 1).astype(np.int64)
        flat = (self.module.astype(np.int64) * ny + y) * nx + x
        return np.bincount(flat, minlength=math.prod(shape)).reshape(shape).astype(np.int64)


def droplet_photons(
    found: Droplets, photon: float, edges: Sequence[float] | NDArray[Any] | None = None
) -> tuple[Photons, NDArray[np.int64]]:
    """Place the photons of droplets.

    A droplet with the sum of one photon has it at its centre of mass. In others whole photons are taken from each pixel,
    then the pixel with the largest rest and its largest neighbour make one together, and so on.

    Parameters
    ----------
    found
        Droplets.
    photon
        Sum of one photon, ADU.
    edges
        Sums between which a droplet has 0, 1, 2, … photons; above the last one it has as many as there are edges
        less one. None: halfway between whole photons.

    Returns
    -------
    photons : Photons
        In the order of the droplets.
    counts : ndarray
        (droplet,) how many each has.

    Raises
    ------
    ValueError
        `photon` is not above 0, or the edges are not in order.

    Examples
    --------
    >>> from detcore.area.images.droplets import find_droplets
    >>> photons, counts = droplet_photons(find_droplets(np.array([[0, 7, 3, 0, 0, 24]]), 1), 10)
    >>> counts.tolist(), photons.x.round(1).tolist()
    ([1, 2], [1.3, 5.0, 5.0])
    """
    if not (math.isfinite(photon) and photon > 0):
        msg = f"the ADU of a photon is a number above 0; found {photon}"
        raise ValueError(msg)
    if edges is None:
        exact = np.maximum(np.floor(found.adu / photon + 0.5), 0.0)
    else:
        limits = np.asarray(edges, np.float64)
        if limits.ndim != 1 or len(limits) < 2 or np.any(np.diff(limits) <= 0):
            msg = f"the edges between 0, 1, 2, … photons grow, and are two or more; found {limits.tolist()!r:.120}"
            raise ValueError(msg)
        exact = np.maximum(np.digitize(found.adu, limits) - 1.0, 0.0)
    if not exact.sum() <= MAX_PHOTONS:
        msg = f"{exact.sum():.3g} photons in one frame; is {photon:g} ADU the charge of one?"
        raise ValueError(msg)
    counts = exact.astype(np.int64)
    single = np.flatnonzero(counts == 1)
    many = np.where(counts > 1, counts, 0)
    total = int(many.sum())
    y, x, droplet = np.empty(total), np.empty(total), np.empty(total, np.int64)
    if total:
        kernels.place_photons(*found.pixels(), many, float(photon), y, x, droplet)
    droplet = np.concatenate([single, droplet])
    order = np.argsort(droplet, kind="stable")
    y, x = np.concatenate([found.y[single], y])[order], np.concatenate([found.x[single], x])[order]
    return Photons(found.module[droplet[order]], y, x, droplet[order]), counts


def probabilities(photons: NDArray[Any], good: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """Return the parts of the pixels with 0, 1, …, 10 photons, and the mean number in a pixel.

    Parameters
    ----------
    photons
        How many each pixel has, the shape of a frame.
    good
        The same shape, true where a pixel counts.

    Returns
    -------
    ndarray
        (12,); nan if no pixel counts.
    """
    counts = np.asarray(photons if good is None else photons[np.asarray(good, np.bool_)]).ravel()
    if not counts.size:
        return np.full(MAX_COUNT + 2, np.nan)
    found = np.bincount(np.minimum(counts, MAX_COUNT + 1), minlength=MAX_COUNT + 2).astype(np.float64) / counts.size
    found[-1] = counts.mean()
    return found


def count_photons(
    frame: NDArray[Any], photon: float, fraction: float = 0.9, good: NDArray[Any] | None = None
) -> NDArray[np.int32]:
    """Count the photons of each pixel, as psana does.

    Whole photons count where they are. What is left of a pixel makes one more there, if it is the largest rest among the
    four neighbours' and more than `fraction` of a photon together with the largest of them.

    Parameters
    ----------
    frame
        (y, x) or (module, y, x), ADU; what is negative or not a number has none.
    photon
        ADU of one.
    fraction
        Of a photon.
    good
        Shape of the frame; pixels that are not have none, and give none to a neighbour.

    Returns
    -------
    ndarray
        int32, the shape of the frame.

    Raises
    ------
    ValueError
        `photon` is not above 0, or a shape does not fit.

    Examples
    --------
    >>> count_photons(np.array([[6.0, 4.0, 0.0, 21.0, 5.0]]), 10).tolist()
    [[1, 0, 0, 2, 0]]
    """
    if not (math.isfinite(photon) and photon > 0):
        msg = f"the ADU of a photon is a number above 0; found {photon}"
        raise ValueError(msg)
    if frame.ndim not in {2, 3} or (good is not None and good.shape != frame.shape):
        msg = f"a frame is (y, x) or (module, y, x), and its mask has the same shape; found {frame.shape}"
        raise ValueError(msg)
    panels = np.ascontiguousarray(frame.reshape(-1, *frame.shape[-2:]), np.float32)
    use = _ALL if good is None else np.ascontiguousarray(good, np.bool_).view(np.uint8).reshape(panels.shape)
    counts = np.empty(panels.shape, np.int32)
    kernels.count_photons(fixed(panels), fixed(use), float(photon), float(fraction), counts)
    return counts.reshape(frame.shape)
