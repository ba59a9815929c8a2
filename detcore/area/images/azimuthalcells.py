"""From a geometry to cells: in which bin of which sector each pixel counts, and what the corrections leave of it."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from detcore.area.images.azimuthalkernels import RADIUS, TWO_THETA, Q, digitise, look
from detcore.area.images.azimuthaloptions import MAX_CELLS, UNITS, AzimuthalOptions
from detcore.area.images.positions import pixel_size_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from detcore.area.images.geometry import Geometry

KEPT_MAPS: Final = 3  # of the last geometries: some 8 bytes for each pixel
MAX_AUTOMATIC: Final = 8192
SIDE_BY_SIDE: Final = 1 << 20  # pixels
MOST_BANDS: Final = 8
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
    turn = geometry.matrix()

    def see(rows: slice) -> None:
        u, v, w = (one[rows] if len(one) > 1 else one for one in (d1, d2, along))
        around = azimuth[rows] if azimuth.size else azimuth
        look(u, v, w, offset, turn, mode, factor, corrections, radial[rows], around, norm[rows])

    _in_bands(see, shape2)
    edges, inverse = _edges(options, radial, float(np.hypot(*shape2)))
    starts, widths = options.sector_limits()
    n_cells = (len(edges) - 1) * len(starts)
    if n_cells > MAX_CELLS:
        msg = f"{len(edges) - 1} bins in {len(starts)} sectors: expected at most {MAX_CELLS} cells; use fewer"
        raise ValueError(msg)
    cells = np.empty(radial.size, np.uint32)
    grid = cells.reshape(shape2)

    def sort(rows: slice) -> None:
        around = azimuth[rows] if azimuth.size else azimuth
        digitise(radial[rows].ravel(), around.ravel(), edges, inverse, starts, widths, grid[rows].reshape(-1))

    _in_bands(sort, shape2)
    norm = norm.reshape(-1)
    bad = ~(norm > 0)
    if bad.any():
        norm[bad], cells[bad] = 1, n_cells
    small = cells.astype(np.uint16) if n_cells < 1 << 16 else cells
    return Cells(places.shape, edges, starts, widths, small, norm)


def _in_bands(work: Callable[[slice], None], shape: tuple[int, ...]) -> None:
    """Call for bands of rows, side by side if there are many pixels: the kernels release the interpreter lock."""
    bands = min(
        os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count() or 1, MOST_BANDS, shape[0]
    )
    if math.prod(shape) < SIDE_BY_SIDE or bands < 2:
        work(slice(0, shape[0]))
        return
    borders = np.linspace(0, shape[0], bands + 1).astype(int).tolist()
    with ThreadPoolExecutor(bands) as pool:
        list(pool.map(work, map(slice, borders[:-1], borders[1:])))


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
