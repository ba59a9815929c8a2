"""Small shower files, and plain functions to compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from detcore.showers.ragged import Ragged
from detcore.showers.writer import write_ragged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES = (
    "photons_ild_5f_target.h5",
    "photons_ild_clustered_4f.h5",
    "mixed_pions_electrons_5f.h5",
    "real_g4_ild_photon_43GeV_cells_5f.h5",
    "empty_6x20x5.h5",
)


def _random(n: int = 12, columns: int = 5, seed: int = 0) -> Ragged:
    """Showers in all layers of ILD, some without points; energies around the thresholds."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 60, n)
    counts[n // 2] = 0
    total = int(counts.sum())
    points = np.stack(
        [
            rng.normal(0, 80, total),
            rng.normal(5, 40, total),
            rng.integers(0, 78, total),
            rng.exponential(4e-4, total) + 1e-7,
            rng.exponential(2, total),
        ],
        axis=1,
    )[:, :columns]
    directions = rng.normal([0, 0, 2], 0.5, (n, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    pdg = rng.choice([22, 11, 211], n)
    return Ragged.build(points, counts, rng.uniform(5, 60, n), directions.astype(np.float32), pdg, max_points=70)


@pytest.fixture(scope="session")
def random_showers() -> Callable[..., Ragged]:
    """Make showers."""
    return _random


@pytest.fixture
def shower_file(tmp_path: Path) -> Callable[..., tuple[Ragged, Path]]:
    """Write showers; gives them and their file."""

    def make(name: str = "a.h5", *, clustered: str = "", showers: Ragged | None = None, **options: Any) -> Any:
        made = _random(**options) if showers is None else showers
        path = tmp_path / name
        write_ragged(path, made, attributes={"clustered_for": clustered} if clustered else {})
        return made, path

    return make


@pytest.fixture(params=FILES)
def shared_file(request: pytest.FixtureRequest, shared: Path) -> Path:
    """Each of the files that the original library wrote."""
    return shared / "data/showers" / str(request.param)
