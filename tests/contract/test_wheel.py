"""The built wheel is whole: installed elsewhere, it starts the dashboard and finds its tables and assets."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin
from zipfile import ZipFile

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow
START_S = 300.0  # with empty caches: all kernels of all instruments are compiled first
# Imports both packages from the wheel, reads the detector table and one asset, and prints where they are.
LOOK = """
from importlib.metadata import entry_points, version
import dashboard, detcore
from dashboard.settings import asset
from detcore.occupancy import DetectorTable
assert len(DetectorTable.default().rows) == 56
assert [one.name for one in entry_points(group="detcore.instruments")].count("occupancy") == 1
print(dashboard.__file__, detcore.__file__, asset("style.css"), version("detcore"), sep="\\n")
"""


@dataclass(frozen=True)
class Installed:
    """An environment of its own with the wheel in it."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def env(self) -> dict[str, str]:
        """The variables of this process, less those that would lead back to the checkout or to somebody's settings."""
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "DETCORE_", "VIRTUAL"))
        }
        return kept | {"XDG_CACHE_HOME": str(self.folder / "cache"), "XDG_CONFIG_HOME": str(self.folder / "config")}

    def run(self, *arguments: str) -> str:
        command = [str(self.python), *arguments]
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def wheel(root: Path, files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network from a copy of what git knows."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for path in files:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / path, source / path)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("detcore-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in a new environment that borrows the dependencies of this one."""
    place = Installed(tmp_path_factory.mktemp("elsewhere"))
    venv.create(place.folder, with_pip=False, symlinks=True)
    command = ["-m", "pip", "--python", str(place.python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    # A folder named in a .pth file is searched last, and .pth files inside it (the editable checkout) are not read.
    (packages,) = place.folder.glob("lib/python*/site-packages")
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "borrowed.pth").write_text("\n".join(sorted(borrowed)))
    return place


def test_wheel_holds_packages_and_assets_only(wheel: Path, files: list[Path]) -> None:
    expected = {str(path) for path in files if path.parts[0] in {"detcore", "dashboard"}}
    expected |= {f"dashboard/{path}" for path in files if path.parts[0] == "assets" and path.parts[1] != "screenshots"}
    with ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == expected
    assert {"detcore/py.typed", "detcore/occupancy/detectors.csv", "dashboard/assets/style.css"} <= held


def test_installed_packages_find_their_data(installed: Installed, root: Path) -> None:
    *paths, version = installed.run("-c", LOOK).split()
    assert len(paths) == 3
    assert all(Path(path).is_relative_to(installed.folder) for path in paths)
    assert f'version = "{version}"' in (root / "pyproject.toml").read_text()


def test_installed_command_answers(installed: Installed) -> None:
    assert "occupancy" in installed.run(str(installed.folder / "bin" / "detcore"), "--help")


@pytest.fixture
def page(installed: Installed) -> Iterator[str]:
    """URL of the dashboard, served out of the environment by `panel serve`."""
    app = Path(installed.run("-c", "import dashboard; print(dashboard.__file__)").strip()).parent
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = installed.folder / "server.log"
    with log.open("wb") as sink:
        server = subprocess.Popen(
            [installed.python, "-m", "panel", "serve", app, "--port", str(port), "--address", "127.0.0.1"],
            cwd=installed.folder,
            env=installed.env,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    base = f"http://127.0.0.1:{port}/"
    until = time.monotonic() + START_S
    try:
        while fetch(urljoin(base, "readyz"))[0] != 200:
            assert server.poll() is None, f"the server ended:\n{log.read_text()}"
            assert time.monotonic() < until, f"not ready after {START_S} s:\n{log.read_text()}"
            time.sleep(0.2)
        yield urljoin(base, "dashboard")
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(15)
        finally:
            server.kill()
    assert "Traceback" not in log.read_text()


def fetch(url: str) -> tuple[int, str]:
    """Status and text; status 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
    except OSError:
        return 0, ""


def test_installed_dashboard_serves_its_page(page: str, installed: Installed) -> None:
    status, html = fetch(page)
    assert status == 200
    assert "<title>detcore" in html
    scripts = [urljoin(page, path) for path in re.findall(r'<script[^>]+src="([^"]+)"', html)]
    assert scripts
    assert all(script.startswith(page.removesuffix("dashboard")) for script in scripts), "a script from elsewhere"
    assert [fetch(script)[0] for script in scripts] == [200] * len(scripts)
    assert list((installed.folder / "cache" / "detcore").rglob("*.root")), "no demo was written"
