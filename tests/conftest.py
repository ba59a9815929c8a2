"""Where the tests find real files."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from playwright.sync_api import Browser

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data: DETCORE_SHARED, else beside the checkout."""
    root = Path(os.environ.get("DETCORE_SHARED", Path(__file__).parents[2] / "shared"))
    if not (root / "data").is_dir():
        if os.environ.get("DETCORE_REQUIRE_SHARED") == "1":
            pytest.fail(f"real data required, but {root}/data is missing; set DETCORE_SHARED")
        pytest.skip(f"real data not found at {root}; set DETCORE_SHARED")
    return root


@pytest.fixture(scope="module")
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the examples of a Hypothesis test share, and no other module."""
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium of this machine, else Playwright's own; one for all tests, which Playwright allows once in a thread."""
    found = os.environ.get("CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, headless=True, args=list(QUIET))
        yield chromium
        chromium.close()


def _module(path: str) -> ModuleType:
    """Load a module of helpers that stands beside the tests."""
    place = Path(__file__).parent / path
    name = f"detcore_tests_{place.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, place)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up by name
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def real_spill(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Spill 1924430 of run 5994 as ROOT: the published counts and hits per event; what it holds is in its Truth."""
    path = tmp_path_factory.mktemp("real") / "run_005994" / "run_005994_spill_001924430_sraw.root"
    return _module("benchmarks/spills.py").write_real_spill(shared, path)


@pytest.fixture(scope="session")
def plain() -> ModuleType:
    """Spill files read and counted without detcore."""
    return _module("occupancy/plain.py")


@pytest.fixture(scope="session")
def broken_files() -> ModuleType:
    """Functions that write hostile spill files."""
    return _module("hostile/occupancy_files.py")


@pytest.fixture(scope="session")
def eiger_chunks() -> ModuleType:
    """Functions that make chunks of Eiger frames."""
    return _module("strategies/eiger.py")
