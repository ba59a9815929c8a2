"""Points to readout cells: sums over a square grid in each layer, bit for bit what NumPy would sum.

The module bears the original's name, because `cluster` is the function in the package.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from detcore.showers import kernels
from detcore.showers.detector import ILD, DetectorGeometry
from detcore.showers.ragged import Ragged
from detcore.showers.rows import Form, result, room_for, rows_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detcore.showers.rows import Rows

__all__ = ["cluster", "fresh_seed", "grid_shifts"]

MAX_THREADS = 64
BLOCKS = 4  # of showers for each thread, because they differ in length


def cluster(
    showers: Form,
    random_shift: bool = True,
    detector_config: DetectorGeometry = ILD,
    processes: int = 1,
    *,
    seed: int | None = None,
    first_shower: int = 0,
    legacy_draws: bool = False,
) -> Form:
    """Cluster points into readout cells.

    Parameters
    ----------
    showers
        Padded or ragged.
    random_shift
        Whether the grid of each shower, and of each part of the calorimeter, is moved by up to half a cell.
    detector_config
        Cell sizes and where the HCAL begins.
    processes
        How many threads share the work; the result is the same for any number.
    seed
        Of the shifts; None: different ones each time.
    first_shower
        Number of the first shower in its file. Each number has its own stream of random numbers, so that a file that
        is done in batches is shifted as if it were done at once.
    legacy_draws
        Take the shifts from NumPy's global generator in the original's order: after the same ``numpy.random.seed`` the
        result is the original's with one process. Not together with `seed`.

    Returns
    -------
    Showers or Ragged
        In the form and width given. Cells are in the order of layer, x, y, the ECAL's first; they hold the sum of the
        energies and the earliest time. Points without energy are left out.

    Raises
    ------
    ValueError
        The geometry has no cells, or both `seed` and `legacy_draws` are given.
    """
    cells = (detector_config.ecal_cell_size, detector_config.hcal_cell_size)
    if not min(cells) > 0:
        msg = f"{detector_config} has cells of {cells[0]:g} and {cells[1]:g} mm; expected a geometry with cells"
        raise ValueError(msg)
    if legacy_draws and seed is not None:
        msg = "legacy_draws uses NumPy's global generator: call numpy.random.seed instead of giving a seed"
        raise ValueError(msg)
    n = len(showers)
    ragged = isinstance(showers, Ragged)
    if not n and not ragged:
        kind: Any = type(showers)
        return cast("Form", kind())  # without width, as the original's
    shifts = np.zeros((n, 4), np.float32)
    if random_shift:
        shifts = grid_shifts(_draws(n, seed, first_shower, legacy_draws), detector_config)
    rows = rows_of(showers)
    out, counts = room_for(showers, rows), np.empty(n, np.int64)

    def work(block: tuple[int, int]) -> None:
        kernels.cluster(
            rows.points, rows.start, rows.stop, shifts, np.array(cells, np.float32),
            np.float32(detector_config.hcal_from), *block, out, rows.start, counts,
        )  # fmt: skip

    threads = max(1, min(processes, n, MAX_THREADS))
    if threads == 1:
        work((0, n))
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, _blocks(rows, threads * BLOCKS)))
    if ragged:
        packed = np.empty((int(counts.sum()), out.shape[1]), np.float32)
        kernels.pack(out, rows.start, counts, packed)
        out = packed
    return result(showers, out, counts)


def grid_shifts(draws: NDArray[np.float64], geometry: DetectorGeometry) -> NDArray[np.float32]:
    """Turn numbers of [0, 1) into shifts of the grids.

    Parameters
    ----------
    draws
        (shower, 4).
    geometry
        With the cell sizes.

    Returns
    -------
    ndarray
        (shower, 4), mm: x and y of the ECAL, x and y of the HCAL, from minus to plus half a cell. Rounded as the
        original rounds them.
    """
    sizes = np.repeat([geometry.ecal_cell_size, geometry.hcal_cell_size], 2)
    return draws.astype(np.float32) * sizes.astype(np.float32) - (sizes / 2).astype(np.float32)


def fresh_seed() -> int:
    """Return a seed that nobody has used before, for several calls of `cluster` that belong together."""
    return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])


def _draws(n: int, seed: int | None, first: int, legacy: bool) -> NDArray[np.float64]:
    if legacy:
        return np.random.rand(n, 4)  # noqa: NPY002 - the very generator that the original uses
    # Philox turns a counter into four numbers: the counter is the number of the shower, hence a stream for each.
    key = np.random.SeedSequence(seed).generate_state(2, np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=first)).random((n, 4))


def _blocks(rows: Rows, wanted: int) -> list[tuple[int, int]]:
    """Return runs of showers with about equally many points."""
    total = np.cumsum(rows.stop - rows.start)
    borders = np.searchsorted(total, np.linspace(0, total[-1], wanted + 1)[1:-1], side="left") + 1
    borders = np.unique(np.concatenate([[0], np.minimum(borders, len(rows)), [len(rows)]]))
    return list(zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True))
