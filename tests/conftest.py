"""Where the tests find real files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data: DETCORE_SHARED, else beside the checkout."""
    root = Path(os.environ.get("DETCORE_SHARED", Path(__file__).parents[2] / "shared"))
    if not (root / "data").is_dir():
        if os.environ.get("DETCORE_REQUIRE_SHARED") == "1":
            pytest.fail(f"real data required, but {root}/data is missing; set DETCORE_SHARED")
        pytest.skip(f"real data not found at {root}; set DETCORE_SHARED")
    return root
