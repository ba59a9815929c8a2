"""psana's options and the steps that are their generic equivalents mask the same pixels."""

from __future__ import annotations

import numpy as np
import pytest

from detcore.area.detector import Detector, psana_mask, type_of
from detcore.area.detector.generic import generic_operations
from detcore.area.detector.psanamask import OPTIONS
from detcore.image import Panels, PixelMask, good_pixels


def detector_of(kind: str, shape: tuple[int, ...]) -> Detector:
    rng = np.random.default_rng(3)
    bits = np.array([0, 0, 0, 0, 1, 2, 16, 256, 257, 1 << 31], np.uint32)
    return Detector(
        name="d", type=kind, shape=shape, asic=type_of(kind).asic,
        status=rng.choice(np.array([0, 0, 0, 0, 0, 1, 64], np.uint32), (3, *shape)),
        pixel_mask=rng.choice(bits, shape),
    )  # fmt: skip


@pytest.mark.parametrize("options", [(one,) for one in OPTIONS] + [OPTIONS, ("status", "edges")], ids="+".join)
@pytest.mark.parametrize(("kind", "shape"), [("cspad", (2, 185, 388)), ("epix100", (1, 704, 768))])
def test_they_are_the_same(kind: str, shape: tuple[int, ...], options: tuple[str, ...]) -> None:
    detector = detector_of(kind, shape)
    steps = generic_operations(options, detector)
    arrays = {"status": detector.status, "pixel_mask": detector.pixel_mask}
    found = PixelMask(operations=steps).raster(shape, arrays=arrays, panels=Panels(asic=detector.asic))
    expected = psana_mask(detector, **dict.fromkeys(options, True))
    assert np.array_equal(good_pixels(found), expected == 1)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown mask option 'edge'"):
        generic_operations(["edge"], detector_of("epix100", (1, 704, 768)))
