"""What must not be in the tree: strange top-level entries, paths of one machine, foreign hosts, unsafe calls."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = {
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "environment.yml",
    "dashboard",
    "detcore",
    "assets",
    "tests",
}
# Written so that this file does not match itself.
MACHINE = re.compile(r"(?<![\w.}~-])/(?:work|root|home/\w+|Users/\w+)/[\w.]|file:/{3}[\w]")
REGISTRY = re.compile(
    r"\bpypi[.]org|\bpythonhosted[.]org|\bnpmjs[.](?:org|com)|\banaconda[.]org"
    r"|--(?:extra-)?index-url|--find-links|--trusted-host|\bPIP_[A-Z_]+="
    r"|https?://[\w.-]+[.](?:internal|local|lan|corp)\b"
)
CDN = re.compile(r"//(?:cdn|cdnjs|fonts|unpkg|esm|ajax)[.]|//[\w.-]*(?:jsdelivr|googleapis|gstatic|cloudflare)[.]")
UNSAFE_NAMES = {"eval", "exec"}
UNSAFE_OF = {
    "pickle": {"load", "loads", "Unpickler"},
    "marshal": {"load", "loads"},
    "yaml": {"load", "load_all", "unsafe_load", "full_load"},
    "os": {"system", "popen"},
}
UNSAFE_KEYWORDS = {"allow_pickle", "shell"}
# What these unpickle comes through a pipe from a process of ours: the one that they started, or that started them.
OWN_PIPES = {Path("detcore/dl1/writer/processes.py")}


def unsafe(tree: ast.AST) -> Iterator[str]:
    """Yield what would run or unpickle foreign data, or hand it to a shell."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in UNSAFE_NAMES:
                yield f"line {node.lineno}: {name}()"
            case ast.Attribute(value=ast.Name(id=module), attr=name) if name in UNSAFE_OF.get(module, ()):
                yield f"line {node.lineno}: {module}.{name}"
            case ast.ImportFrom(module=str(module)):
                names = {alias.name for alias in node.names} & UNSAFE_OF.get(module, set())
                yield from (f"line {node.lineno}: {module}.{name}" for name in sorted(names))
            case ast.keyword(arg=str(name), value=ast.Constant(value=True)) if name in UNSAFE_KEYWORDS:
                yield f"line {node.value.lineno}: {name}=True"


def found(pattern: re.Pattern[str], root: Path, files: list[Path]) -> list[str]:
    """The lines of text files that match, as path:line."""
    lines = []
    for path in files:
        try:
            text = (root / path).read_text()
        except UnicodeDecodeError:
            continue  # a picture
        lines += [f"{path}:{n}" for n, line in enumerate(text.splitlines(), 1) if pattern.search(line)]
    return lines


def test_top_level_is_as_agreed(files: list[Path]) -> None:
    top = {path.parts[0] for path in files if not path.parts[0].startswith(".")}
    assert top == TOP


def test_no_path_of_one_machine(root: Path, files: list[Path]) -> None:
    others = [path for path in files if path.name != Path(__file__).name]
    assert not found(MACHINE, root, others)


def test_no_package_registry(root: Path, files: list[Path]) -> None:
    others = [path for path in files if path.name != Path(__file__).name]
    assert not found(REGISTRY, root, others)


def test_pages_ask_no_foreign_host(root: Path, files: list[Path]) -> None:
    pages = [path for path in files if path.parts[0] in {"dashboard", "assets"}]
    assert len(pages) > 10
    assert not found(CDN, root, pages)


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (MACHINE, 'DATA = "/work/data"'),
        (MACHINE, "cd /root/.cache"),
        (MACHINE, "/home/somebody/run.root"),
        (REGISTRY, "see https://pypi.org/project/x"),
        (REGISTRY, "pip install --index-url http://host/simple x"),
        (CDN, "https://cdn.example.org/x.js"),
        (CDN, '<link href="//fonts.example.org/css">'),
        (CDN, "https://cdn.jsdelivr.net/npm/x"),
    ],
)
def test_patterns_find(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line)


@pytest.mark.parametrize("line", ["uproot.open(path)['/root/tree']".replace("/root", "dir/root"), "a network/work/x"])
def test_patterns_let_pass(line: str) -> None:
    assert not MACHINE.search(line)


def test_nothing_runs_foreign_data(modules: dict[Path, ast.Module]) -> None:
    calls = {path: list(unsafe(tree)) for path, tree in modules.items()}
    assert all(calls[path] for path in OWN_PIPES), "take it off the list"
    assert not {str(path): lines for path, lines in calls.items() if lines and path not in OWN_PIPES}


@pytest.mark.parametrize(
    "line",
    [
        "pickle.load(file)",
        "from pickle import loads",
        "loader = pickle.loads",
        "eval(text)",
        "exec(text)",
        "yaml.load(text)",
        "np.load(path, allow_pickle=True)",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_unsafe_calls_are_seen(line: str) -> None:
    assert list(unsafe(ast.parse(line)))


@pytest.mark.parametrize(
    "line", ["pickle.dumps(state)", "yaml.safe_load(text)", "np.load(path)", "frame.eval('a > b')"]
)
def test_safe_calls_pass(line: str) -> None:
    assert not list(unsafe(ast.parse(line)))
