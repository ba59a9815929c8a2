"""What describes a shower: hits, energies, profiles, centre, widths, start, maximum and time, in one pass over its points."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detcore.core.executors import cores
from detcore.showers import kernels
from detcore.showers.detector import ILD, DetectorGeometry
from detcore.showers.rows import rows_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from detcore.showers.model import Showers
    from detcore.showers.ragged import Ragged

    Sums = tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32], NDArray[np.float64]]

RADIAL_BINS, RADIAL_END = 200, 400.0  # of the original, mm
FEW: Final = 1 << 17  # points; threads for so few cost more than they gain
START_ENERGY: Final = (2.0, 5.0)  # MeV in a layer of the ECAL and of the HCAL: ten minimum-ionising particles in ILD


def observe(
    showers: Showers | Ragged,
    geometry: DetectorGeometry = ILD,
    thresholds: tuple[float, float] | None = None,
    radial_edges: ArrayLike | None = None,
    *,
    radius: float = float("inf"),
    layers: tuple[int, int] | None = None,
    start_energy: tuple[float, float] = START_ENERGY,
    processes: int | None = None,
) -> dict[str, NDArray[Any]]:
    """Describe each shower.

    Parameters
    ----------
    showers
        Padded or ragged.
    geometry
        Number of layers, where the HCAL begins, thresholds.
    thresholds
        MeV, ECAL and HCAL: points above count; None: those of the geometry.
    radial_edges
        (bin + 1,), mm, rising; None: 200 bins up to 400 mm.
    radius
        mm; only points nearer to the axis count.
    layers
        First and last that count, both included; None: all.
    start_energy
        MeV, ECAL and HCAL: see `start_layer`.
    processes
        Threads, which do not change the result; None: one for each core.

    Returns
    -------
    dict
        Arrays (shower,), not a number or -1 where a shower has no points that count:

        - `n_hits` int64; `visible_energy` GeV.
        - `center_x`, `center_y` mm, `center_layer`: means, weighted with the energy; `width_x`, `width_y` mm,
          `width_layer`: square roots of the weighted variances.
        - `start_layer`: the first of two layers in a row that both have more than `start_energy`; `maximum_layer`: that
          with most energy; `hottest_layer`: that of the point with most energy, and `hottest_energy`, GeV, its energy.
        - `time_mean`, weighted with the energy, and `time_first`, ns, if the points have times.

        Profiles: `energy_per_layer` (shower, layer) float32 GeV, `hits_per_layer` (shower, layer) int32,
        `energy_per_radial_bin` (shower, bin) float32 GeV about the axis; what lies outside the bins is left out.

    Raises
    ------
    IndexError
        A point that counts is in no layer of the geometry.
    ValueError
        The edges do not rise.
    """
    limits = (geometry.ecal_threshold, geometry.hcal_threshold) if thresholds is None else thresholds
    first, last = (0, geometry.num_layers - 1) if layers is None else layers
    first, last = (max(first, 0), last) if last >= 0 else (1, 0)  # the kernel knows no negative layers
    energy, hits, radial, sums = sum_points(
        showers, geometry.num_layers, limits, geometry.hcal_from, radial_edges, radius, first, last, processes=processes
    )
    total = sums[:, kernels.VISIBLE]
    empty = sums[:, kernels.N_HITS] == 0
    with np.errstate(invalid="ignore", divide="ignore"):  # an empty shower has no centre: 0 / 0
        found: dict[str, NDArray[Any]] = {
            "n_hits": sums[:, kernels.N_HITS].astype(np.int64),
            "visible_energy": total.copy(),
        }
        for axis, one, two in (
            ("x", kernels.SUM_X, kernels.SUM_XX),
            ("y", kernels.SUM_Y, kernels.SUM_YY),
            ("layer", kernels.SUM_Z, kernels.SUM_ZZ),
        ):
            mean = sums[:, one] / total
            found[f"center_{axis}"] = mean
            found[f"width_{axis}"] = np.sqrt(np.maximum(sums[:, two] / total - mean * mean, 0))
        time_mean = sums[:, kernels.SUM_T] / total
    timed = ~empty & (showers.points.shape[-1] > 4)
    found["time_mean"] = np.where(timed, time_mean, np.nan)
    found["time_first"] = np.where(timed, sums[:, kernels.FIRST_T], np.nan)
    found["maximum_layer"] = np.where(empty, -1, energy.argmax(axis=1) if energy.shape[1] else -1).astype(np.int32)
    found["start_layer"] = _start(energy, geometry, start_energy)
    found["hottest_layer"] = sums[:, kernels.HOTTEST_Z].astype(np.int32)
    found["hottest_energy"] = np.where(empty, np.nan, sums[:, kernels.HOTTEST])
    found |= {"energy_per_layer": energy, "hits_per_layer": hits, "energy_per_radial_bin": radial}
    return found


def center_of(sums: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the centre of energy (shower, 3) from the sums of the kernel; zero for a shower without points."""
    total = sums[:, [kernels.VISIBLE]]
    moments = sums[:, [kernels.SUM_X, kernels.SUM_Y, kernels.SUM_Z]]
    return np.divide(moments, total, out=np.zeros_like(moments), where=total > 0).astype(np.float32)


def four(showers: Showers | Ragged, geometry: DetectorGeometry) -> dict[str, NDArray[Any]]:
    """Return what the original adds to files, by the names that it has there; thresholds are the geometry's.

    In one thread: those who call it have one for each batch.
    """
    limits = (geometry.ecal_threshold, geometry.hcal_threshold)
    energy, hits, radial, sums = sum_points(
        showers, geometry.num_layers, limits, geometry.hcal_from, moments=False, processes=1
    )
    return {
        "num_points_per_layer": hits,
        "energy_per_layer": energy,
        "energy_per_radial_bin": radial,
        "center_of_energy": center_of(sums),
    }


def sum_points(
    showers: Showers | Ragged,
    num_layers: int,
    thresholds: tuple[float, float],
    hcal_from: float,
    radial_edges: ArrayLike | None = None,
    radius: float = float("inf"),
    first: int = 0,
    last: int | None = None,
    *,
    rings: bool = True,
    moments: bool = True,
    processes: int | None = None,
) -> Sums:
    """Sum over the points of each shower.

    Parameters
    ----------
    showers
        Padded or ragged.
    num_layers
        Number of layers; 0: layers do not matter.
    thresholds
        MeV, ECAL and HCAL: points above count.
    hcal_from
        Depth from which a point belongs to the HCAL.
    radial_edges, radius
        As for `observe`.
    first, last
        Layers that count, both included; last None: to the end.
    rings
        Whether to sum by radius.
    moments
        Whether to sum more than what the centre needs.
    processes
        As for `observe`.

    Returns
    -------
    tuple
        Energy and hits by layer, energy by ring, and the numbers of `kernels.observe`.
    """
    if radial_edges is None:
        edges = np.linspace(0, RADIAL_END, RADIAL_BINS + 1, dtype=np.float32)
    else:
        edges = np.array(radial_edges, np.float32)
        if edges.ndim != 1 or len(edges) < 2 or not np.all(edges[1:] >= edges[:-1]):
            msg = "bins must be monotonically increasing: expected at least two rising edges in mm"
            raise ValueError(msg)
    n = len(showers)
    energy, hits = np.zeros((n, num_layers), np.float32), np.zeros((n, num_layers), np.int32)
    radial, sums = (
        np.zeros((n, (len(edges) - 1) * rings), np.float32),
        np.zeros((n, kernels.N_NUMBERS if moments else kernels.SUM_Z + 1)),
    )
    rows = rows_of(showers)
    with np.errstate(over="ignore"):  # a radius whose square is no float32 is no limit
        radius_squared = np.float32(radius * radius)
    limits = np.array([thresholds[0] / 1e3, thresholds[1] / 1e3], np.float32)
    last = num_layers - 1 if last is None else last

    def work(low: int, high: int) -> int:
        part = slice(low, high)
        return int(
            kernels.observe(
                rows.points, rows.start[part], rows.stop[part], limits, np.float32(hcal_from), radius_squared,
                first, last, edges, energy[part], hits[part], radial[part], sums[part],
            )
        )  # fmt: skip

    threads = max(1, min(cores() if processes is None else processes, len(rows.points) // FEW, n))
    if threads == 1:
        bad = work(0, n)
    else:
        shares = len(rows.points) * np.arange(1, threads) // threads
        cuts = [0, *np.searchsorted(rows.stop, shares).tolist(), n]
        with ThreadPoolExecutor(threads) as pool:
            bad = next((row for row in pool.map(work, cuts[:-1], cuts[1:]) if row >= 0), -1)
    if bad >= 0:
        depth = rows.points[bad, 2]
        msg = (
            f"index {depth:g} is out of bounds for axis 1 with size {num_layers}: "
            f"shower {rows.shower_of(bad)} has a point at depth {depth:g}, but there are {num_layers} layers"
        )
        raise IndexError(msg)
    return energy, hits, radial, sums


def _start(
    energy: NDArray[np.float32], geometry: DetectorGeometry, start_energy: tuple[float, float]
) -> NDArray[np.int32]:
    """Return the first of two layers in a row that have enough energy (shower,), or -1."""
    n, layers = energy.shape
    if layers < 2:
        return np.full(n, -1, np.int32)
    needed = np.where(np.arange(layers) < geometry.num_layers_ecal, *start_energy).astype(np.float32) / np.float32(1e3)
    above = energy > needed
    both = above[:, :-1] & above[:, 1:]
    return np.where(both.any(axis=1), both.argmax(axis=1), -1).astype(np.int32)
