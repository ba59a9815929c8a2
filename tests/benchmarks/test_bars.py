"""The benchmark itself must run; its figures are looked at by people, not by tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_every_bar_is_measured() -> None:
    script = Path(__file__).with_name("bars.py")
    done = subprocess.run([sys.executable, script, "--quick"], capture_output=True, text=True, check=False, timeout=900)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("pass", "MISS"))]
    assert len(lines) >= 7, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(" missed")
