"""The samples in tests/strategies, one module for each instrument."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def _load(path: Path):
    name = f"strategies_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # states are pickled: their classes are found by module and name
    spec.loader.exec_module(module)
    return module


MODULES = [_load(path) for path in sorted(Path(__file__).parents[1].joinpath("strategies").glob("*.py"))]


def pytest_generate_tests(metafunc):
    if "registered" in metafunc.fixturenames:
        known = {name: sample for module in MODULES for name, sample in module.STRATEGIES.items()}
        names = sorted(known)
        metafunc.parametrize(("name", "registered"), [(name, known[name]) for name in names], ids=names)
