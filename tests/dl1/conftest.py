"""Small DL1 files of ctapipe's data model in each version, and real cameras without ctapipe."""

from __future__ import annotations

import gzip
import importlib
import importlib.util
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

CAMERAS = (
    "ASTRICam",
    "CHEC",
    "DigiCam",
    "FACT",
    "FlashCam",
    "HESS-I",
    "HESS-II",
    "LSTCam",
    "MAGICCam",
    "NectarCam",
    "SCTCam",
    "VERITAS",
)
REAL = ("test_lasercal_v3.dl1.h5", "camsettings_v6.dl1.h5", "gct_checs_muons.dl1.h5")
TYPES = {"D": ">f8", "E": ">f4", "K": ">i8", "J": ">i4", "I": ">i2", "L": "S1", "B": "u1"}


@dataclass(frozen=True)
class CameraTable:
    """What a FITS file says of a camera."""

    name: str
    x: Any
    y: Any
    area: Any
    shape: str
    rotation: float
    camera_rotation: float


@pytest.fixture(scope="session")
def ctapipe() -> ModuleType:
    """The package that some results are compared with; its absence is a skip, or a failure where all must be there."""
    if importlib.util.find_spec("ctapipe") is None:
        if os.environ.get("DETCORE_REQUIRE_SHARED") == "1":
            pytest.fail("ctapipe required, but it is not installed; install the extra [cta]")
        pytest.skip("ctapipe is not installed; install the extra [cta]")
    return importlib.import_module("ctapipe")


@pytest.fixture(params=REAL)
def real_file(request: pytest.FixtureRequest, shared: Path) -> Path:
    """Each of the files that ctapipe 0.28 wrote."""
    return shared / "data/dl1" / str(request.param)


def _header(raw: bytes, start: int) -> tuple[dict[str, str], int]:
    """Return the cards of a FITS header, and where its data begin."""
    cards: dict[str, str] = {}
    for at in range(start, len(raw), 80):
        card = raw[at : at + 80].decode("ascii")
        if card.startswith("END "):
            return cards, start + -(-(at + 80 - start) // 2880) * 2880
        name, _, value = card.partition("=")
        text = re.match(r"\s*'((?:[^']|'')*)'", value)
        cards[name.strip()] = text[1].rstrip() if text else value.partition("/")[0].strip()
    msg = "a header without end"
    raise ValueError(msg)


def _camera_table(path: Path) -> CameraTable:
    """Read a camera from the binary table of a FITS file, with nothing but NumPy."""
    raw = gzip.decompress(path.read_bytes())
    _, start = _header(raw, 0)  # the primary one has no data
    cards, data = _header(raw, start)
    columns = []
    for number in range(1, int(cards["TFIELDS"]) + 1):
        repeat, code = re.match(r"(\d*)(\w)", cards[f"TFORM{number}"]).groups()
        columns.append((cards[f"TTYPE{number}"], TYPES[code], (int(repeat),) if repeat not in {"", "1"} else ()))
    rows = np.frombuffer(raw, np.dtype(columns), int(cards["NAXIS2"]), data)
    x, y, area = (rows[name].astype(float) for name in ("pix_x", "pix_y", "pix_area"))
    rotation, camera_rotation = float(cards["PIX_ROT"]), float(cards["CAM_ROT"])
    shape = {"hexagonal": "hexagon", "rectangular": "square"}.get(cards["PIX_TYPE"], cards["PIX_TYPE"])
    return CameraTable(path.name.partition(".")[0], x, y, area, shape, rotation, camera_rotation)


@pytest.fixture(scope="session")
def camera_table(shared: Path) -> Callable[[str], CameraTable]:
    """Read one of `CAMERAS`: real positions, areas, shape and rotation (degrees)."""
    return lambda name: _camera_table(shared / "data/dl1/camgeom" / f"{name}.camgeom.fits.gz")


@pytest.fixture(params=CAMERAS)
def real_camera(request: pytest.FixtureRequest, camera_table: Callable[[str], CameraTable]) -> CameraTable:
    """Each of the twelve cameras."""
    return camera_table(str(request.param))


@pytest.fixture(scope="session")
def ctapipe_files() -> ModuleType:
    """The module that writes small files of ctapipe's data model."""
    place = Path(__file__).with_name("ctapipe_files.py")
    name = "detcore_tests_dl1_ctapipe_files"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, place)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up by name
        spec.loader.exec_module(module)
    return sys.modules[name]
