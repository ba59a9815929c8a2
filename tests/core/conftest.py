"""The module toys.py beside this one, and every executor that must keep the same promises."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def _load():
    spec = importlib.util.spec_from_file_location("toys", Path(__file__).with_name("toys.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["toys"] = module  # what crosses a border as bytes is found by module and name
    spec.loader.exec_module(module)
    return module


TOYS = _load()


@pytest.fixture
def toys():
    TOYS.reads.clear()
    yield TOYS
    TOYS.until(lambda: not TOYS.working())  # no test leaves a thread behind


@pytest.fixture(params=TOYS.EXECUTORS.values(), ids=TOYS.EXECUTORS)
def executor(request):
    return request.param
