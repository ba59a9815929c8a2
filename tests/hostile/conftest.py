"""Hostile inputs as fixtures."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


@pytest.fixture(scope="session")
def hostile() -> ModuleType:
    """The module occupancy_files.py beside this one, for tests that damage files of their own."""
    name = "occupancy_files"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def hostile_files(hostile: ModuleType, tmp_path: Path) -> Iterator[dict[str, object]]:
    """Name -> Broken(path, wrong, hits, sound) of every hostile input, written anew for each test."""
    files = hostile.write_all(tmp_path)
    yield files
    files["closed"].path.chmod(0o700)  # or the folder cannot be removed
