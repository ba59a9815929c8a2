"""The tree that the contracts are about."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """What is committed or would be, relative to the checkout."""
    # CI may check the tree out as another user, which git refuses without safe.directory.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = sorted({Path(name) for name in listed.split("\0") if name})
    return [path for path in paths if (ROOT / path).is_file()]


@pytest.fixture(scope="session")
def modules(files: list[Path]) -> dict[Path, ast.Module]:
    """The parsed modules of both packages."""
    own = [path for path in files if path.suffix == ".py" and path.parts[0] in {"detcore", "dashboard"}]
    return {path: ast.parse((ROOT / path).read_text(), str(path)) for path in own}
