"""From a geometry to cells: in which bin of which sector each pixel counts, and what the corrections leave of it."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from detcore.area.images.azimuthalkernels import RADIUS, TWO_THETA, Q, digitise, look
from detcore.area.images.azimuthaloptions import MAX_CELLS, UNITS, AzimuthalOptions
from detcore.area.images.positions import pixel_size_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detcore.area.images.geometry import Geometry

KEPT_MAPS: Final = 2  # of the last geometries: some 8 bytes for each pixel
MAX_AUTOMATIC: Final = 8192
MODES: Final = {"q": Q, "2theta": TWO_THETA, "radius": RADIUS}


class Cells(NamedTuple):
    """Where the pixels of a frame count; see `AzimuthalMap` for the names."""

    shape: tuple[int, ...]
    edges: NDArray[np.float64]
    starts: NDArray[np.float64]
    widths: NDArray[np.float64]
    cells: NDArray[Any]
    norm: NDArray[np.float32]


@lru_cache(maxsize=KEPT_MAPS)
def cells_of(geometry: Geometry, target: Any, options: AzimuthalOptions) -> Cells:
    """Return the cells without a mask; the last ones are kept, because frames come one after the other.

    Parameters
    ----------
    geometry
        Direct beam, distance, energy, tilt.
    target
        Shape (y, x) of a frame as a tuple, or a `Detector`.
    options
        Bins and corrections.

    Raises
    ------
    ValueError
        The geometry lacks what the unit needs, or no pixel lies in the range.
    """
    known = geometry.distance is not None and (geometry.pixel_size is not None or pixel_size_of(target) is not None)
    if options.unit != "radius":
        geometry.check_angles(target)
    corrected = known  # in px alone there are no angles to correct for
    factor = 4 * math.pi / geometry.wavelength if options.unit == "q" else 1.0
    places = geometry.positions(target)
    factor = 1 / places.pixel if options.unit == "radius" else factor
    polarization = options.polarization if corrected and options.polarization is not None else math.nan
    shape2 = np.broadcast_shapes(places.d1.shape, places.d2.shape, places.along.shape)
    radial: NDArray[np.float64] = np.empty(shape2)
    norm: NDArray[np.float32] = np.empty(shape2, np.float32)
    azimuth = np.empty(shape2 if options.sectored else (0, 0))
    d1, d2, along = (np.ascontiguousarray(one) for one in (places.d1, places.d2, places.along))
    corrections = np.array([polarization, float(corrected and options.solid_angle)])
    offset, mode = np.array([places.p1, places.p2]), MODES[options.unit]
    look(d1, d2, along, offset, geometry.matrix(), mode, factor, corrections, radial, azimuth, norm)
    edges, inverse = _edges(options, radial, float(np.hypot(*shape2)))
    starts, widths = options.sector_limits()
    n_cells = (len(edges) - 1) * len(starts)
    if n_cells > MAX_CELLS:
        msg = f"{len(edges) - 1} bins in {len(starts)} sectors: expected at most {MAX_CELLS} cells; use fewer"
        raise ValueError(msg)
    cells = np.empty(radial.size, np.uint32)
    digitise(radial.reshape(-1), azimuth.reshape(-1), edges, inverse, starts, widths, cells)
    norm = norm.reshape(-1)
    bad = ~(norm > 0)
    if bad.any():
        norm[bad], cells[bad] = 1, n_cells
    small = cells.astype(np.uint16) if n_cells < 1 << 16 else cells
    return Cells(places.shape, edges, starts, widths, small, norm)


def _edges(options: AzimuthalOptions, radial: NDArray[np.float64], pixels: float) -> tuple[NDArray[np.float64], float]:
    """Return the borders of the bins, and 1 / width if they are equal, else 0."""
    if options.edges is not None:
        return np.array(options.edges, np.float64), 0.0
    low, high = options.q_range or (None, None)
    least, most = float(np.nanmin(radial)), float(np.nanmax(radial))
    low = least if low is None else low
    high = np.nextafter(most, math.inf) if high is None else high  # the outermost pixel counts
    if not low < high or low > most or high < least:
        msg = f"the range {low:g} to {high:g} holds no pixel: the detector sees {least:g} to {most:g} {UNITS[options.unit]}"
        raise ValueError(msg)
    bins = options.bins or max(10, min(math.ceil(pixels / 2), MAX_AUTOMATIC))
    if options.q_step is not None:
        bins = max(1, math.ceil((high - low) / options.q_step - 1e-9))
        if bins > MAX_CELLS:
            msg = f"q_step {options.q_step:g} makes {bins} bins; expected at most {MAX_CELLS}"
            raise ValueError(msg)
        edges = low + options.q_step * np.arange(bins + 1)
        return edges, 1 / options.q_step
    edges = np.linspace(low, high, bins + 1)
    return edges, bins / (high - low)
