"""The original's functions for observables, for both forms of showers and for files; and `observe`, all in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detcore.showers.detector import MAX_LAYERS, DetectorGeometry
from detcore.showers.observablesfile import (
    add_observables_to_file,
    geometry_of_file,
    read_observables_from_file,
    read_point_energies,
    save_observables_to_file,
)
from detcore.showers.onepass import center_of, observe, sum_points

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from detcore.showers.model import Showers
    from detcore.showers.onepass import Sums
    from detcore.showers.ragged import Ragged

__all__ = [
    "add_observables_to_file",
    "calc_center_of_energy",
    "calc_energy_per_layer",
    "calc_energy_per_radial_bin",
    "calc_num_points_per_layer",
    "compute_threshold_mask",
    "geometry_of_file",
    "load",
    "observe",
    "read_observables_from_file",
    "read_point_energies",
    "save",
    "save_observables_to_file",
]

save = save_observables_to_file
load = read_observables_from_file


def compute_threshold_mask(
    showers: Showers | Ragged, detector_config: DetectorGeometry | None = None
) -> NDArray[np.bool_]:
    """Return which points exceed the thresholds.

    Parameters
    ----------
    showers
        Padded or ragged.
    detector_config
        With the thresholds; None: all points that have energy.

    Returns
    -------
    ndarray
        Of the shape of the points without their columns.
    """
    depth, energy = showers.points[..., 2], showers.points[..., 3]
    if detector_config is None:
        return np.asarray(energy > 0)
    ecal = depth < np.float32(detector_config.hcal_from)
    hcal = depth >= np.float32(detector_config.hcal_from)
    low, high = np.float32(detector_config.ecal_threshold / 1e3), np.float32(detector_config.hcal_threshold / 1e3)
    return np.asarray((ecal & (energy > low)) | (hcal & (energy > high)))


def calc_num_points_per_layer(
    showers: Showers | Ragged, num_layers: int = -1, detector_config: DetectorGeometry | None = None
) -> NDArray[np.int32]:
    """Count the points of each layer.

    Parameters
    ----------
    showers
        Padded or ragged.
    num_layers
        Number of layers; -1: up to the last one in which there is a point.
    detector_config
        With the thresholds that a point must exceed; None: all points that have energy.

    Returns
    -------
    ndarray
        (shower, layer), int32.

    Raises
    ------
    IndexError
        A point that counts is in no layer.
    ValueError
        There is no point and no number of layers.
    """
    return _of(showers, num_layers, detector_config)[1]


def calc_energy_per_layer(
    showers: Showers | Ragged, num_layers: int = -1, detector_config: DetectorGeometry | None = None
) -> NDArray[np.float32]:
    """Sum the energy of each layer.

    Parameters
    ----------
    showers, num_layers, detector_config
        As for `calc_num_points_per_layer`, which also says what is raised.

    Returns
    -------
    ndarray
        (shower, layer), float32, GeV.
    """
    return _of(showers, num_layers, detector_config)[0]


def calc_energy_per_radial_bin(
    showers: Showers | Ragged, bin_edges: ArrayLike | None = None, detector_config: DetectorGeometry | None = None
) -> NDArray[np.float32]:
    """Sum the energy in rings about the axis.

    Parameters
    ----------
    showers
        Padded or ragged.
    bin_edges
        (bin + 1,), mm, rising; None: 200 bins up to 400 mm.
    detector_config
        With the thresholds that a point must exceed; None: all points that have energy.

    Returns
    -------
    ndarray
        (shower, bin), float32, GeV. What lies outside the edges is left out on both sides.

    Raises
    ------
    ValueError
        The edges do not rise.
    """
    return _of(showers, None, detector_config, bin_edges, rings=True)[2]


def calc_center_of_energy(
    showers: Showers | Ragged, detector_config: DetectorGeometry | None = None
) -> NDArray[np.float32]:
    """Return the mean of x, y (mm) and layer, weighted with the energy.

    Parameters
    ----------
    showers
        Padded or ragged.
    detector_config
        With the thresholds that a point must exceed; None: all points that have energy.

    Returns
    -------
    ndarray
        (shower, 3), float32; zero for a shower without points.
    """
    return center_of(_of(showers, None, detector_config)[3])


def _of(
    showers: Showers | Ragged,
    num_layers: int | None,
    geometry: DetectorGeometry | None,
    edges: ArrayLike | None = None,
    *,
    rings: bool = False,
) -> Sums:
    """Sum with the meaning that the original's arguments have; num_layers None: layers do not matter."""
    count = 0 if num_layers is None else _last_layer(showers) + 1 if num_layers < 0 else num_layers
    limits = (0.0, 0.0) if geometry is None else (geometry.ecal_threshold, geometry.hcal_threshold)
    hcal_from = np.inf if geometry is None else geometry.hcal_from
    return sum_points(showers, count, limits, hcal_from, edges, rings=rings, moments=False)


def _last_layer(showers: Showers | Ragged) -> int:
    """Return the last layer with a point. The padding of the dense form counts as layer 0, as in the original."""
    depth = showers.points[..., 2]
    if not depth.size:
        msg = "there are no points to infer the number of layers from; give num_layers"
        raise ValueError(msg)
    last = depth.max()
    if not last < MAX_LAYERS:
        msg = f"a point is at depth {last:g}; expected at most {MAX_LAYERS} layers"
        raise ValueError(msg)
    return int(max(last, np.float32(0)) + np.float32(0.1))
