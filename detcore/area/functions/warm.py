"""Compiles what the event loop needs, before the first event."""

from __future__ import annotations

import numpy as np

from detcore.area.detector import Detector
from detcore.area.functions.azimuth import azimuthalBinning
from detcore.area.functions.detobject import DetObjectClass
from detcore.area.functions.droplets import dropletFunc
from detcore.area.functions.images import imageFunc
from detcore.area.functions.photons import droplet2Photons, photonFunc
from detcore.area.functions.regions import ROIFunc
from detcore.area.functions.sparse import sparsifyFunc

SHAPE = (1, 256, 64)  # one block of a Jungfrau's common mode


def warm() -> None:
    """Run an event of a small detector with several gains through functions with kernels of their own."""
    constants = np.ones((3, *SHAPE), np.float32)
    detector = Detector(
        name="warm",
        type="jungfrau",
        shape=SHAPE,
        pedestal=constants,
        noise=constants,
        gain=constants,
        pixel_size=(75e-6, 75e-6),
    )
    det = DetObjectClass(detector, common_mode=7)
    droplets = dropletFunc(threshold=5, thresholdLow=3)
    photons = droplet2Photons(aduspphot=5.0)
    photons.addFunc(sparsifyFunc())
    droplets.addFunc(photons)
    droplets.addFunc(sparsifyFunc(needProps=True, flagMasked=True))
    binning = azimuthalBinning(center=(1000.0, 1000.0), qbin=0.1)
    for func in (ROIFunc(), droplets, imageFunc(), photonFunc(), binning):
        det.addFunc(func)
    det.storeSum("calib")
    frame = np.zeros(SHAPE, np.uint16)
    frame[0, 30, 30:32] = 50, 40
    det.getData(frame)
    det.processFuncs()
    det.processSums()
