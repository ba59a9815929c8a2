"""environment.yml lists for conda what pyproject.toml lists for pip."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from pathlib import Path

# Names on PyPI -> names on conda-forge, where they differ.
CONDA = {"isal": "python-isal", "matplotlib": "matplotlib-base", "tables": "pytables"}


@pytest.fixture
def project(root: Path) -> dict[str, Any]:
    """The table [project]."""
    return dict(tomllib.loads((root / "pyproject.toml").read_text())["project"])


def lines(requirements: list[str], names: dict[str, str]) -> dict[str, str]:
    """Name -> versions."""
    parsed = [Requirement(text) for text in requirements]
    assert all(not one.extras and one.marker is None for one in parsed), "conda knows neither extras nor markers"
    return {names.get(one.name, one.name): str(one.specifier) for one in parsed}


def test_environment_equals_dependencies(root: Path, project: dict[str, Any]) -> None:
    environment = yaml.safe_load((root / "environment.yml").read_text())
    conda = lines(environment["dependencies"], {})
    assert conda.pop("python") == project["requires-python"]
    assert conda.pop("pip") == ""
    assert conda == lines(project["dependencies"], CONDA)
    assert set(CONDA.values()) <= set(conda), "a name that nobody needs any more"
    assert environment["name"] == project["name"]


def test_dependencies_are_sorted_with_a_lower_bound_only(project: dict[str, Any]) -> None:
    names = [Requirement(text).name for text in project["dependencies"]]
    assert names == sorted(names)
    bounds = [Requirement(text).specifier for text in project["dependencies"]]
    assert all([bound.operator for bound in one] == [">="] for one in bounds)
