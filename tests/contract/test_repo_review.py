"""Scientific-python's repo-review: everything passes, and what is left out says why."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def test_repo_review_passes(root: Path) -> None:
    command = [sys.executable, "-m", "repo_review", "--format", "json", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    checks = json.loads(done.stdout)["checks"]
    passed = {name for name, check in checks.items() if check["result"] is True}
    failed = {name: check["err_msg"] for name, check in checks.items() if check["result"] is False}
    assert not failed
    assert len(passed) > 50, "the plug-in with the checks, sp-repo-review, is not there"


def test_exceptions_have_reasons(root: Path) -> None:
    ignored = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["repo-review"]["ignore"]
    assert all(len(reason) > 10 for reason in ignored.values())
