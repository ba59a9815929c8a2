"""Datasets made from bare counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from detcore.occupancy.detectors import DetectorTable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


def _build(counts: NDArray[Any], n_elements: Any, names: Any = None, groups: Any = None, **data: Any) -> xr.Dataset:
    """What a reduction gives, from counts (plane, element) of detectors 1, 2, ..."""
    ids = np.arange(1, len(counts) + 1)
    size = np.broadcast_to(np.asarray(n_elements), ids.shape)
    names = [f"P{number}" for number in ids] if names is None else names
    return xr.Dataset(
        {"hits": (("detector_id", "element_id"), np.asarray(counts, np.int64)), **data},
        coords={
            "detector_id": ids,
            "element_id": np.arange(1, counts.shape[1] + 1),
            "detector": ("detector_id", np.array(names, dtype=object)),
            "group": ("detector_id", np.array(["G"] * len(ids) if groups is None else groups, dtype=object)),
            "n_elements": ("detector_id", size),
            "inferred": ("detector_id", np.zeros(len(ids), bool)),
        },
    )


def _spill(path: Path) -> xr.Dataset:
    table = DetectorTable.default()
    listed = pd.read_csv(path)
    counts = np.zeros((62, 201), np.int64)
    counts[listed.Detector_ID - 1, listed.Element_ID - 1] = listed.Hits
    rows = [table.by_id.get(number) for number in range(1, 63)]
    return _build(
        counts,
        [row.n_elements if row else 0 for row in rows],
        names=[row.name if row else "" for row in rows],
        groups=[row.group if row else "" for row in rows],
    )


@pytest.fixture(scope="session")
def from_counts() -> Callable[..., xr.Dataset]:
    """Make a dataset from counts (plane, element) and the number of elements of each plane."""
    return _build


@pytest.fixture(scope="session")
def spill(shared: Path) -> xr.Dataset:
    """Spill 1924430 of run 5994: real counts."""
    return _spill(shared / "data/occupancy/run_005994_spill_001924430_hits.csv")


@pytest.fixture(scope="session")
def other_spill(shared: Path) -> xr.Dataset:
    """Spill 1924501 of the same run: real counts."""
    return _spill(shared / "data/occupancy/run_005994_spill_001924501_hits.csv")
