"""Bar of the event loop: one frame of an ePix10k 2M from raw words to results, in CPU time of one thread."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
from bars import Bar

from detcore.area.detector import Detector
from detcore.area.functions import (
    DetObject,
    ROIFunc,
    azimuthalBinning,
    dropletFunc,
    imageFunc,
    projectionFunc,
    sparsifyFunc,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

PANEL = (352, 384)
LIMIT = 60.0  # ms


def loop(modules: int):
    """Return an event loop that does what a typical production asks for, and a raw frame."""
    rng = np.random.default_rng(1)
    shape = (modules, *PANEL)
    rows, columns = np.indices(PANEL)
    iy = np.stack([rows + module // 4 * 370 for module in range(modules)])
    ix = np.stack([columns + module % 4 * 400 for module in range(modules)])
    detector = Detector(
        name="epix", type="epix10k2m", shape=shape, x=ix * 100.0, y=iy * 100.0, ix=ix, iy=iy, noise=np.full(shape, 3.0),
        pedestal=np.full((7, *shape), 1000.0), gain=np.ones((7, *shape)),
    )  # fmt: skip
    det = DetObject("epix", detector, 1, common_mode=84)
    det.addFunc(azimuthalBinning(center=(80000, 70000), dis_to_sam=100, phiBins=11, qbin=0.015))
    roi = ROIFunc(ROI=[[0, 1], [0, 352], [0, 384]], name="ROI_0", writeArea=True)
    roi.addFunc(projectionFunc(axis=0))
    droplets = dropletFunc(threshold=5, thresholdLow=3)
    droplets.addFunc(sparsifyFunc(nData=1000))
    for func in (roi, ROIFunc(), droplets, imageFunc()):
        det.addFunc(func)
    det.storeSum("calib")
    raw = rng.normal(1000, 3, shape) + 100 * rng.poisson(0.01, shape)
    return det, raw.astype(np.uint16)


def bars(quick: bool) -> Iterator[Bar]:
    """Yield the bar."""
    det, raw = loop(2 if quick else 16)
    times = []
    for _ in range(3 if quick else 15):
        began = time.process_time()
        det.getData(raw)
        det.processFuncs()
        det.processSums()
        times.append(1e3 * (time.process_time() - began))
    yield Bar(
        "area: ePix10k 2M from raw to common mode, azimuthal average, regions, droplets, image and sum",
        statistics.median(times),
        LIMIT,
        unit="ms",
    )
