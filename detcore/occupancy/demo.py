"""The demo: six spills of an invented run in the experiment's real file format, with faults that are known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from detcore.core.paths import atomic
from detcore.occupancy.detectors import DetectorTable
from detcore.occupancy.spillfile import Truth, write_spill

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from detcore.occupancy.detectors import Detector

__all__ = ["Pathology", "Truth", "expected_pathologies", "write", "write_spill"]

VERSION = 1  # raise it when the content changes: an older demo is then written anew
MARKER = ".demo.json"
RUN = 42
SPILLS = range(42001, 42007)
N_EVENTS = 1500
EMPTY = 0.06  # fraction of events
OUT_OF_RANGE = 25  # hits per spill
VARIANCE = 1.44  # of a channel's count from spill to spill, over its mean: hits cluster, so it is above Poisson's 1
# mean hits per element and event of each group, times 4000: the levels of an ordinary spill, rounded
RATE = {
    "Station 1": 1300, "Station 2": 900, "Station 3+": 650, "Station 3-": 650,
    "Hodo 1": 5800, "Hodo 2": 2100, "Hodo 3": 1000, "Hodo 4": 1650, "Hodo 5": 1200,
    "Prop 1": 660, "Prop 2": 750, "Prop 3": 440, "DP-1": 200, "DP-2": 80,
}  # fmt: skip


@dataclass(frozen=True)
class Pathology:
    """One planted fault.

    Parameters
    ----------
    finding
        plane-dead, dead, hot, died (fine at first, silent later) or low-intensity (a whole spill).
    detector, element
        Name and element id; element 0 is the whole plane, an empty name the whole spill.
    spill_id
        The first spill that shows it; 0 if all do.
    """

    finding: str
    detector: str = ""
    element: int = 0
    spill_id: int = 0


def expected_pathologies() -> tuple[Pathology, ...]:
    """Return what is wrong with the demo, which a check of it has to find.

    Examples
    --------
    >>> [fault.detector for fault in expected_pathologies() if fault.finding == "hot"]
    ['D0X']
    """
    return (
        Pathology("plane-dead", "D3mVp"),
        *(Pathology("dead", "D0X", element) for element in (35, 36)),
        *(Pathology("dead", "D2X", element) for element in (19, 23, 93)),
        *(Pathology("dead", "D3pX", element) for element in range(25, 33)),  # one amplifier card
        Pathology("dead", "P2X1", 20),
        Pathology("hot", "D0X", 74),
        Pathology("died", "H2T", 5, SPILLS[4]),
        Pathology("low-intensity", spill_id=SPILLS[2]),
    )


def write(folder: str | os.PathLike[str]) -> list[Path]:
    """Write the demo into `folder`, or do nothing if it is already there whole.

    Parameters
    ----------
    folder
        Made if it is missing. The files go to `run_000042/`, named as the experiment names them.

    Returns
    -------
    list of Path
        The spills in order.
    """
    root = Path(folder)
    paths = [root / f"run_{RUN:06d}" / f"run_{RUN:06d}_spill_{spill:09d}_sraw.root" for spill in SPILLS]
    if not _complete(root, paths):
        for path, spill_id in zip(paths, SPILLS, strict=True):
            _write(path, spill_id)
        with atomic(root / MARKER) as aside:
            sizes = {path.name: path.stat().st_size for path in paths}
            aside.write_text(json.dumps({"version": VERSION, "sizes": sizes}))
    return paths


def _complete(root: Path, paths: list[Path]) -> bool:
    """Whether the marker is of this version and every file has the size it had when written."""
    try:
        mark = json.loads((root / MARKER).read_text())
        return bool(mark == {"version": VERSION, "sizes": {path.name: path.stat().st_size for path in paths}})
    except (OSError, ValueError):
        return False


def _write(path: Path, spill_id: int) -> None:
    table = DetectorTable.default()
    faults = [fault for fault in expected_pathologies() if fault.spill_id <= spill_id]
    low = any(fault.finding == "low-intensity" and fault.spill_id == spill_id for fault in faults)
    rng = np.random.default_rng((RUN, spill_id))
    hits = rng.lognormal(np.log(75 if low else 300), 0.8, N_EVENTS).clip(1, 3000).astype(np.int64)
    hits[rng.random(N_EVENTS) < EMPTY] = 0
    expected = _expected(table)
    for fault in faults:
        if fault.detector:
            plane = table.by_name[fault.detector].detector_id
            chosen = (plane, fault.element or slice(None))
            expected[chosen] *= 9 if fault.finding == "hot" else 0
    expected *= hits.sum() / expected.sum()
    write_spill(
        path,
        rng.negative_binomial(expected / (VARIANCE - 1) + 1e-12, 1 / VARIANCE),
        hits,
        run_id=RUN,
        spill_id=spill_id,
        first_event=(spill_id - SPILLS[0]) * N_EVENTS,
        seed=spill_id,
        out_of_range=OUT_OF_RANGE,
    )


def _expected(table: DetectorTable) -> NDArray[np.float64]:
    """Return the relative occupancy of a healthy spectrometer, (detector, element), the same for every spill."""
    rng = np.random.default_rng(RUN)
    out = np.zeros((max(table.by_id) + 1, max(row.n_elements for row in table.rows) + 1))
    for row in table.rows:
        profile = _profile(row, centre=rng.normal(0, 0.05)) * rng.lognormal(0, 0.05, row.n_elements)
        out[row.detector_id, 1 : row.n_elements + 1] = RATE[row.group] * profile / profile.mean()
    return out


def _profile(row: Detector, centre: float) -> NDArray[np.float64]:
    """Return a plane's occupancy along its elements.

    The magnets bend muons of both charges away from the beam: two lobes with a dip in the horizontal planes,
    one peak at the beam in the vertical ones. Chambers fall off where the last wires leave the acceptance.
    """
    place = np.linspace(-1, 1, row.n_elements)  # across the plane, 0 at the beam
    if row.kind == "dp":
        shape = 0.3 + np.exp((-1 - place) * row.n_elements / 40)
    elif row.kind == "chamber":
        lobes = 1.0 - 0.7 * np.exp(-(((place - centre) / 0.35) ** 2))
        shape = lobes / (1 + np.exp((abs(place) - 0.88) / 0.035))
    elif row.name.endswith(("L", "R")) or "Y" in row.name:
        shape = 0.2 + np.exp(-(((place - centre) / 0.35) ** 2))
    else:
        shape = 0.35 + np.exp(-(((abs(place - centre) - 0.7) / 0.35) ** 2))
    return np.asarray(shape, np.float64)
