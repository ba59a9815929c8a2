"""What the instrument registers."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from pydantic import Field

from detcore.area import functions, integration
from detcore.area.api import write_demo
from detcore.area.detector import Detector
from detcore.area.images.commonmode import correct
from detcore.area.images.droplets import find_droplets
from detcore.area.images.presets import preset
from detcore.area.images.roi import project, roi_statistics
from detcore.area.reductions import Average
from detcore.area.source import open_files, probe
from detcore.core.parameters import Parameters
from detcore.core.reduction import Reduction
from detcore.core.source import Instrument
from detcore.image import warm as warm_shapes

SMALL = (1, 704, 768)  # an ePix100, whose presets have steps of every kind


class Threshold(Parameters):
    """What a viewer of averages may choose."""

    threshold: float | None = Field(None, description="Smaller values count as 0, ADU", allow_inf_nan=False)


def reduction(parameters: Threshold | Reduction | None = None, schema: xr.Dataset | None = None) -> Reduction:  # noqa: ARG001 - that of a live run is the same
    """Return the averages that a viewer wants to see of one pass."""
    if isinstance(parameters, Reduction):  # an average behind steps, for instance
        return parameters
    return Average(threshold=None if parameters is None else parameters.threshold)


def commands() -> Any:
    """Return the verbs of the command line; click is imported only then."""
    from detcore.area.cli import area  # noqa: PLC0415

    return area


def warm() -> None:
    """Compile the kernels, on small frames of the types that detectors have."""
    integration.warm()
    Detector(shape=(2, 2, 2)).assemble(np.zeros((2, 2, 2), np.float32))
    warm_shapes()
    functions.warm()
    for dtype in (np.uint16, np.float32):
        frames = np.zeros((2, 4, 6), dtype)
        chunk = xr.Dataset({"data": (("frame", "y", "x"), frames)})
        for wanted in (Average(), Average(threshold=1.0, median_range=(0, 8), median_bins=4)):
            state = wanted.empty(chunk)
            wanted.update(state, chunk)
            wanted.merge(state, wanted.empty(chunk))
            wanted.finalize(state)
        roi_statistics(frames[0], None, np.ones((4, 6), np.uint8))
        project(frames[0], good=np.ones((4, 6), np.uint8))
        find_droplets(frames[0], 5, 3)
    for number in (46, 6):
        correct(np.zeros(SMALL, np.float32), preset(number, "epix100").steps, noise=np.ones(SMALL[1:], np.float32))


INSTRUMENT = Instrument(
    name="area",
    title="Area detectors",
    probe=probe,
    open=open_files,
    demo=write_demo,
    warm=warm,
    commands=commands,
    parameters=Threshold,
    reduction=reduction,
)
