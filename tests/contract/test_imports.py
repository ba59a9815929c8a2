"""Which module may import which: the contracts of pyproject.toml, and what they cannot say."""

from __future__ import annotations

import ast
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterator

READERS = {"h5py", "tables", "uproot"}
# Modules that know a file format, besides those that carry these names in every instrument.
FORMAT_NAMES = {"source.py", "products.py", "demo.py"}
FORMAT_MODULES = {
    Path("detcore/area/files/basis.py"),
    Path("detcore/area/files/calibfiles.py"),
    Path("detcore/area/files/euxfel.py"),
    Path("detcore/area/files/hdf5.py"),
    Path("detcore/area/files/hdf5chunks.py"),
    Path("detcore/area/files/hdf5facts.py"),
    Path("detcore/area/files/hdf5frames.py"),
    Path("detcore/area/files/hdf5layout.py"),
    Path("detcore/area/files/smalldata.py"),
    Path("detcore/area/smalldata/smallcolumns.py"),
    Path("detcore/area/smalldata/smalldata.py"),
    Path("detcore/area/smalldata/smallread.py"),
    Path("detcore/dl1/files/ctamlfile.py"),
    Path("detcore/dl1/writer/ctamllayout.py"),
    Path("detcore/dl1/files/ctamltables.py"),
    Path("detcore/dl1/files/ctapipeevents.py"),
    Path("detcore/dl1/files/ctapipefile.py"),
    Path("detcore/dl1/files/ctapipesetup.py"),
    Path("detcore/dl1/writer/dumper.py"),
    Path("detcore/dl1/files/hdffile.py"),
    Path("detcore/dl1/mappedfile.py"),
    Path("detcore/eiger/frametable.py"),
    Path("detcore/core/hdf5.py"),
    Path("detcore/eiger/layout.py"),
    Path("detcore/eiger/writer.py"),
    Path("detcore/image/maskfiles.py"),
    Path("detcore/occupancy/baskets.py"),
    Path("detcore/occupancy/spillfile.py"),
    Path("detcore/showers/contents.py"),
    Path("detcore/showers/datafile.py"),
    Path("detcore/showers/files.py"),
    Path("detcore/showers/foreign.py"),
    Path("detcore/showers/globalheap.py"),
    Path("detcore/showers/vlenrows.py"),
    Path("detcore/showers/heap.py"),
    Path("detcore/showers/importers.py"),
    Path("detcore/showers/index.py"),
    Path("detcore/showers/layout.py"),
    Path("detcore/showers/observablesfile.py"),
    Path("detcore/showers/targets.py"),
}
LIMIT = 400  # lines
FACILITY = {"psana"}  # packages that a facility installs itself; who imports them says so when they are missing


def imports(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """Yield (level of a relative import, module, name or "") for each name that a module imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.level, node.module or "", alias.name) for alias in node.names)


def readers(tree: ast.AST) -> set[str]:
    """The file libraries that a module imports."""
    return {module.partition(".")[0] for _, module, _ in imports(tree)} & READERS


def intrusions(tree: ast.AST, root: Path) -> list[str]:
    """Imports that a dashboard module must not make: relative ones, and names of detcore that are not public."""
    found = []
    for level, module, name in imports(tree):
        whole = f"{module}.{name}".strip(".")
        parts = module.split(".")
        if level:
            found.append(f"{'.' * level}{whole} is relative: it would load a second copy")
        elif parts[0] == "detcore" and not _is_public(parts, name, root):
            found.append(f"{whole} is not public; see detcore/{parts[1] if parts[1:] else ''}")
    return found


def _is_public(parts: list[str], name: str, root: Path) -> bool:
    if any(part.startswith("_") for part in [*parts, name]):
        return False
    if parts[1:2] in (["core"], ["image"]):  # each of their modules is public
        return len(parts) <= 3
    # Of an instrument only its __init__: not its modules, whichever way they are imported.
    inner = root.joinpath(*parts, name)
    return len(parts) <= 2 and not (len(parts) == 2 and name and (inner.with_suffix(".py").exists() or inner.is_dir()))


def test_import_contracts_are_kept(root: Path) -> None:
    command = Path(sysconfig.get_path("scripts")) / "lint-imports"
    done = subprocess.run([command, "--no-cache"], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_format_modules_import_file_libraries(modules: dict[Path, ast.Module]) -> None:
    users = {path: readers(tree) for path, tree in modules.items()}
    assert {path for path, found in users.items() if found} >= {Path("detcore/occupancy/source.py")}
    outside = {
        str(path): found
        for path, found in users.items()
        if found and path not in FORMAT_MODULES and not (len(path.parts) == 3 and path.name in FORMAT_NAMES)
    }
    assert not outside, "move what opens files into source.py, products.py or demo.py of the instrument"


def test_format_modules_exist(root: Path) -> None:
    assert all((root / path).is_file() for path in FORMAT_MODULES)


def test_dashboard_uses_public_names_and_absolute_imports(root: Path, modules: dict[Path, ast.Module]) -> None:
    found = {str(path): intrusions(tree, root) for path, tree in modules.items() if path.parts[0] == "dashboard"}
    assert found
    assert not {path: lines for path, lines in found.items() if lines}


@pytest.mark.parametrize(
    "line",
    [
        "from . import state",
        "from ..detcore import run",
        "import detcore.occupancy.kernels",
        "from detcore.occupancy import kernels",
        "from detcore.occupancy.kernels import count",
        "from detcore.core.run import _merge",
        "from detcore import _version",
        "if True:\n    from detcore.occupancy.source import SaveTree",
    ],
)
def test_intrusions_are_seen(line: str, root: Path) -> None:
    assert intrusions(ast.parse(line), root)


@pytest.mark.parametrize(
    "line",
    [
        "import detcore",
        "from detcore import occupancy, run",
        "from detcore.occupancy import reduce",
        "from detcore.core.run import Snapshot",
        "from detcore.core import run",
        "from detcore.image.region import Rectangle",
        "from dashboard.views.style import ACCENT",
    ],
)
def test_public_names_pass(line: str, root: Path) -> None:
    assert not intrusions(ast.parse(line), root)


@pytest.mark.parametrize(
    ("line", "found"),
    [("import h5py", {"h5py"}), ("def f():\n    from uproot.reading import x", {"uproot"}), ("import numpy", set())],
)
def test_file_libraries_are_seen(line: str, found: set[str]) -> None:
    assert readers(ast.parse(line)) == found


def test_imported_packages_are_dependencies(root: Path, modules: dict[Path, ast.Module]) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]  # imported where they are used, only
    listed = [*project["dependencies"], *extras["redis"], *extras["images"]]
    dependencies = {canonicalize_name(Requirement(text).name) for text in listed}
    names = {module.partition(".")[0] for tree in modules.values() for level, module, _ in imports(tree) if not level}
    foreign = names - sys.stdlib_module_names - {"detcore", "dashboard"} - FACILITY
    known = packages_distributions()
    assert "numpy" in foreign
    missing = {name for name in foreign if not {canonicalize_name(one) for one in known[name]} & dependencies}
    assert not missing, "imported, but not a dependency in pyproject.toml"


def test_modules_are_short(root: Path, modules: dict[Path, ast.Module]) -> None:
    lengths = {str(path): len((root / path).read_text().splitlines()) for path in modules}
    assert not {path: lines for path, lines in lengths.items() if lines > LIMIT}, f"more than {LIMIT} lines: split"
