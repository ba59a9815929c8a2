"""Weights and mapped images against the original's present version, where it is installed."""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from detcore.dl1.images.geometry import Camera
from detcore.dl1.images.mapping import image_mapping
from detcore.dl1.images.weights import HEXAGONAL_ONLY

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

CLASSES = {
    "oversampling": "OversamplingMapper",
    "rebinning": "RebinMapper",
    "nearest_interpolation": "NearestNeighborMapper",
    "bilinear_interpolation": "BilinearMapper",
    "bicubic_interpolation": "BicubicMapper",
    "image_shifting": "ShiftingMapper",
    "axial_addressing": "AxialMapper",
}


@pytest.fixture(scope="session")
def peer() -> ModuleType:
    """The original's present version; its absence is a skip, or a failure where all must be there."""
    if importlib.util.find_spec("dl1_data_handler") is None:
        if os.environ.get("DETCORE_REQUIRE_SHARED") == "1":
            pytest.fail("dl1-data-handler required: pip install --no-deps dl1-data-handler==0.14.6")
        pytest.skip("dl1-data-handler is not installed")
    return importlib.import_module("dl1_data_handler.image_mapper")


def _compare(peer: ModuleType, table: Any, method: str) -> None:
    units = importlib.import_module("astropy.units")
    instrument = importlib.import_module("ctapipe.instrument")
    shape = importlib.import_module("ctapipe.instrument.camera").PixelShape
    geometry = instrument.CameraGeometry(
        name=table.name,
        pix_id=np.arange(len(table.x)),
        pix_x=table.x * units.m,
        pix_y=table.y * units.m,
        pix_area=table.area * units.m**2,
        pix_type=shape.SQUARE if table.shape == "square" else shape.HEXAGON,
        pix_rotation=table.rotation * units.deg,
        cam_rotation=0 * units.deg,
    )
    kind = "SquareMapper" if table.shape == "square" else CLASSES[method]
    mapper = getattr(peer, kind)(geometry=geometry, subarray=None)
    theirs = mapper.mapping_table
    ours = image_mapping(
        Camera(table.name, table.x, table.y, table.area, table.shape, table.rotation), method, normalize=False
    )
    assert ours.shape == (mapper.image_shape, mapper.image_shape)
    # Theirs counts weights of cells outside of the triangles when it scales; the factor is compared on its own.
    factor = theirs.sum() / ours.weights.sum()
    assert factor == pytest.approx(1, rel=1e-6) or (method == "bilinear_interpolation" and 0.25 < factor < 0.31)
    assert abs(ours.weights * factor - theirs).max() < 1e-5
    image = np.random.default_rng(4).random((len(table.x), 2), np.float32)
    mapped = ours.apply(image[None])[0] * np.float32(factor)
    assert mapped == pytest.approx(mapper.map_image(image), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", ["ASTRICam", "CHEC"])
def test_squares_as_the_original(
    ctapipe: ModuleType, peer: ModuleType, camera_table: Callable[[str], Any], name: str
) -> None:
    _compare(peer, camera_table(name), "oversampling")


@pytest.mark.parametrize("method", ["oversampling", "nearest_interpolation", *HEXAGONAL_ONLY])
@pytest.mark.parametrize("name", ["DigiCam", "HESS-I", "LSTCam", "MAGICCam"])
def test_hexagons_as_the_original(
    ctapipe: ModuleType, peer: ModuleType, camera_table: Callable[[str], Any], name: str, method: str
) -> None:
    _compare(peer, camera_table(name), method)


@pytest.mark.slow  # theirs takes half a minute to search triangles
@pytest.mark.parametrize("method", ["bilinear_interpolation", "bicubic_interpolation", "rebinning"])
def test_interpolation_as_the_original(
    ctapipe: ModuleType, peer: ModuleType, camera_table: Callable[[str], Any], method: str
) -> None:
    _compare(peer, camera_table("VERITAS"), method)
