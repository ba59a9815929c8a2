"""The benchmark itself must run; its figures are looked at by people, not by tests."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("bars", Path(__file__).with_name("bars.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["bars"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["bars"]


def test_a_name_is_an_instrument_or_one_of_its_files(script) -> None:
    area = [path.stem for path in script.modules(["area"])]
    assert {"bars_area_azimuthal", "bars_area_events", "bars_area_frames", "bars_area_masks"} <= set(area)
    assert all(one.startswith("bars_area") for one in area)
    assert [path.stem for path in script.modules(["area_masks", "eiger"])] == ["bars_area_masks", "bars_eiger"]
    assert len(script.modules([])) == len(list(Path(__file__).parent.glob("bars_*.py")))
    with pytest.raises(ValueError, match=r"no bars named 'are'; known: .*area_events"):
        script.modules(["are"])


def test_every_bar_is_measured() -> None:
    script = Path(__file__).with_name("bars.py")
    done = subprocess.run([sys.executable, script, "--quick"], capture_output=True, text=True, check=False, timeout=900)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("pass", "MISS"))]
    assert len(lines) >= 7, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(" missed")
