"""From a geometry to cells: in which bin of which sector each pixel counts, and what the corrections leave of it."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np

from detcore.area.images.azimuthalkernels import RADIUS, TWO_THETA, Q, digitise, look
from detcore.area.images.azimuthaloptions import MAX_CELLS, UNITS, AzimuthalOptions
from detcore.area.images.positions import pixel_size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from detcore.area.images.geometry import Geometry

T = TypeVar("T")
KEPT_MAPS: Final = 3  # of the last geometries: some 8 bytes for each pixel
MAX_AUTOMATIC: Final = 8192
SIDE_BY_SIDE: Final = 1 << 20  # pixels
AT_ONCE: Final = 1 << 16  # pixels of one thread
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
    counts: NDArray[np.int64]
    norms: NDArray[np.float64]


class _Seen(NamedTuple):
    radial: NDArray[np.float64]
    azimuth: NDArray[np.float64]
    norm: NDArray[np.float32]
    ends: tuple[float, float]


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
    d1, d2, along = (np.ascontiguousarray(one) for one in (places.d1, places.d2, places.along))
    corrections = np.array([polarization, float(corrected and options.solid_angle)])
    offset, mode = np.array([places.p1, places.p2]), MODES[options.unit]
    turn = geometry.matrix()
    rows_at_once = max(1, AT_ONCE // shape2[1])

    def see(rows: slice, norm: NDArray[np.float32] | None) -> Iterator[tuple[slice, _Seen]]:
        """Look at few rows at a time: what they see stays in the cache, and large arrays are dear to make."""
        most = (rows_at_once, shape2[1])
        radial, spare = np.empty(most), np.empty(most, np.float32)
        azimuth = np.empty(most if norm is not None and options.sectored else (0, 0))
        for top in range(rows.start, rows.stop, rows_at_once):
            now = slice(top, min(top + rows_at_once, rows.stop))
            here = slice(0, now.stop - top)
            left = spare[here] if norm is None else norm[now]
            u, v, w = (one[now] if len(one) > 1 else one for one in (d1, d2, along))
            around = azimuth[here] if azimuth.size else azimuth
            ends = look(u, v, w, offset, turn, mode, factor, corrections, radial[here], around, left)
            yield now, _Seen(radial[here].reshape(-1), around.reshape(-1), left.reshape(-1), ends)

    def extent(rows: slice) -> tuple[float, float]:
        ends = [seen.ends for _, seen in see(rows, None)]
        return min(low for low, _ in ends), max(high for _, high in ends)

    least, most = math.inf, -math.inf
    if options.edges is None:
        extents = _in_bands(extent, shape2)
        least, most = min(low for low, _ in extents), max(high for _, high in extents)
    edges, inverse = _edges(options, least, most, float(np.hypot(*shape2)))
    starts, widths = options.sector_limits()
    n_cells = (len(edges) - 1) * len(starts)
    if n_cells > MAX_CELLS:
        msg = f"{len(edges) - 1} bins in {len(starts)} sectors: expected at most {MAX_CELLS} cells; use fewer"
        raise ValueError(msg)
    cells = np.empty(shape2, np.uint16 if n_cells < 1 << 16 else np.uint32)
    norm = np.empty(shape2, np.float32)

    def sort(rows: slice) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        counts, norms = np.zeros(n_cells + 1, np.int64), np.zeros((n_cells + 1, 2))
        for now, seen in see(rows, norm):
            into = cells[now].reshape(-1)
            digitise(seen.radial, seen.azimuth, edges, inverse, starts, widths, seen.norm, into, counts, norms)
        return counts, norms

    tallies = _in_bands(sort, shape2)
    counts = np.sum([one for one, _ in tallies], axis=0)[:-1]
    norms = np.sum([one for _, one in tallies], axis=0)[:-1]
    return Cells(places.shape, edges, starts, widths, cells.reshape(-1), norm.reshape(-1), counts, norms)


def _in_bands(work: Callable[[slice], T], shape: tuple[int, ...]) -> list[T]:
    """Call for bands of rows, side by side if there are many pixels: the kernels release the interpreter lock."""
    bands = min(
        os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count() or 1, MOST_BANDS, shape[0]
    )
    if math.prod(shape) < SIDE_BY_SIDE or bands < 2:
        return [work(slice(0, shape[0]))]
    borders = np.linspace(0, shape[0], bands + 1).astype(int).tolist()
    with ThreadPoolExecutor(bands) as pool:
        return list(pool.map(work, map(slice, borders[:-1], borders[1:])))


def _edges(options: AzimuthalOptions, least: float, most: float, pixels: float) -> tuple[NDArray[np.float64], float]:
    """Return the borders of the bins, and 1 / width if they are equal, else 0."""
    if options.edges is not None:
        return np.array(options.edges, np.float64), 0.0
    low, high = options.q_range or (None, None)
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
