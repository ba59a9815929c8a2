"""Large and real spills for tests and benchmarks; `python tests/benchmarks/spills.py FILE.root` writes a large one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.occupancy.demo import Truth, write_spill
from detcore.occupancy.detectors import DetectorTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

REAL_RUN, REAL_SPILL = 5994, 1924430
REAL_EMPTY = 300  # the published numbers leave the empty events out; so many are added, to be counted by a reader
SHAPE = (63, 202)  # (detector, element) of the published arrays


def real_counts(shared: Path, spill_id: int = REAL_SPILL) -> NDArray[np.int64]:
    """Return the published hits of each channel of spill 1924430 or 1924501, (63, 202), index = id."""
    path = shared / "data" / "occupancy" / f"run_{REAL_RUN:06d}_spill_{spill_id:09d}_hits.csv"
    detector, element, hits = np.loadtxt(path, np.int64, skiprows=1, delimiter=",", usecols=(2, 3, 4), unpack=True)
    counts = np.zeros(SHAPE, np.int64)
    np.add.at(counts, (detector, element), hits)
    return counts


def real_hits_per_event(shared: Path) -> NDArray[np.int64]:
    """Return the published hits of each of the 3716 events of spill 1924430 that have any."""
    path = shared / "data" / "occupancy" / f"run_{REAL_RUN:06d}_spill_{REAL_SPILL:09d}_hits_per_event.csv"
    return np.loadtxt(path, skiprows=1).astype(np.int64)


def write_real_spill(shared: Path, path: Path, spill_id: int = REAL_SPILL, **options: Any) -> Truth:
    """Write a published spill as ROOT: real counts, real hits per event, 300 empty events among them.

    Spill 1924501 has no published hits per event: those of 1924430 are scaled to its total.
    """
    hits = real_hits_per_event(shared)
    options = {"n_events": len(hits) + REAL_EMPTY, "seed": spill_id} | options
    return write_spill(path, real_counts(shared, spill_id), hits, run_id=REAL_RUN, spill_id=spill_id, **options)


def write_large(path: Path, n_hits: int = 6_000_000, n_events: int = 5600, **options: Any) -> Truth:
    """Write a file of exactly `n_hits` hits in every channel of the table, by default in baskets of a megabyte."""
    table, rng = DetectorTable.default(), np.random.default_rng(1)
    weight = np.zeros(SHAPE)
    for row in table.rows:
        weight[row.detector_id, 1 : row.n_elements + 1] = rng.gamma(2.0, size=row.n_elements)
    counts = rng.multinomial(n_hits, (weight / weight.sum()).ravel()).reshape(SHAPE)
    hits = rng.lognormal(6.0, 1.0, n_events).clip(1, 6300).astype(np.int64)
    options = {"run_id": 1, "spill_id": 1, "seed": 1} | options
    return write_spill(path, counts, hits, **options)


if __name__ == "__main__":
    write_large(Path(sys.argv[1]))
