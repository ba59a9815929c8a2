"""Where the tests find real files."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data: DETCORE_SHARED, else beside the checkout."""
    root = Path(os.environ.get("DETCORE_SHARED", Path(__file__).parents[2] / "shared"))
    if not (root / "data").is_dir():
        if os.environ.get("DETCORE_REQUIRE_SHARED") == "1":
            pytest.fail(f"real data required, but {root}/data is missing; set DETCORE_SHARED")
        pytest.skip(f"real data not found at {root}; set DETCORE_SHARED")
    return root


@pytest.fixture(scope="session")
def real_spill(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Spill 1924430 of run 5994 as ROOT: the published counts and hits per event; what it holds is in its Truth."""
    place = Path(__file__).parent / "benchmarks" / "spills.py"
    spec = importlib.util.spec_from_file_location("spills", place)
    assert spec is not None
    assert spec.loader is not None
    spills = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(spills)
    folder = tmp_path_factory.mktemp("real") / "run_005994"
    return spills.write_real_spill(shared, folder / "run_005994_spill_001924430_sraw.root")


@pytest.fixture(scope="session")
def plain() -> ModuleType:
    """The module occupancy/plain.py: spill files read and counted without detcore."""
    name = "plain"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / "occupancy" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module
