"""Bars of the event loop: a frame of an ePix10k 2M from raw words to results, alone and in a run that is reduced.

In CPU time of the whole process, so that no thread is left out.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
from bars import Bar

from detcore.area.detector import Detector
from detcore.area.events.runreduction import reduce
from detcore.area.functions import (
    DetObject,
    ROIFunc,
    azimuthalBinning,
    dropletFunc,
    imageFunc,
    projectionFunc,
    sparsifyFunc,
)
from detcore.area.setup.setupfile import Setup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PANEL = (352, 384)
LIMIT = 60.0  # ms
FEW, MANY = 12, 36  # frames of two runs, whose difference has no set-up in it
SETUP = """
detector: {type: epix10k2m}
geometry: {x: 780, y: 700, distance: 0.1, energy: 9.5, pixel_size: [1.0e-4, 1.0e-4]}
common_mode: 84
rois:
- {name: ROI_0, bounds: [[0, 1], [0, 352], [0, 384]]}
- {name: ROI_1, region: {kind: ellipse, x: 600, y: 500, a: 200, b: 150}}
azimuthal: {bins: 500, errors: azimuthal}
droplets: {threshold: 5, threshold_low: 3, min_sum: 30}
"""


def places(modules: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return row and column of each pixel in the image: four panels beside each other."""
    rows, columns = np.indices(PANEL)
    iy = np.stack([rows + module // 4 * 370 for module in range(modules)])
    return iy, np.stack([columns + module % 4 * 400 for module in range(modules)])


def loop(modules: int):
    """Return an event loop that does what a typical production asks for, and a raw frame."""
    rng = np.random.default_rng(1)
    shape = (modules, *PANEL)
    iy, ix = places(modules)
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


def written(folder: Path, n_events: int) -> Path:
    """Write a run of raw words with its constants, and return the file."""
    rng = np.random.default_rng(2)
    shape, (iy, ix) = (16, *PANEL), places(16)
    path = folder / f"run_{n_events}.h5"
    with h5py.File(path, "w") as file:
        frames = rng.normal(1000, 3, (4, *shape)) + 100 * rng.poisson(0.01, (4, *shape))
        file["epix/raw_area"] = frames.astype(np.uint16)[np.arange(n_events) % 4]
        constants = {
            "ped": np.full((7, *shape), 1000.0, np.float32),
            "rms": np.full((7, *shape), 3.0, np.float32),
            "gain": np.ones((7, *shape), np.float32),
            "x": ix * 100.0, "y": iy * 100.0, "z": np.zeros(shape), "ix": iy, "iy": ix,  # as LCLS has it
        }  # fmt: skip
        for name, values in constants.items():
            file[f"UserDataCfg/epix/{name}"] = values
    return path


def reduction(quick: bool) -> Iterator[Bar]:
    """A run on disk to a small file on disk: raw words, common mode 84, two regions, profile, droplets, a row."""
    few, many = (2, 4) if quick else (FEW, MANY)
    setup = Setup.from_yaml(SETUP)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = {n: written(folder, n) for n in (few, many)}

        def spent(n: int) -> float:
            began = time.process_time()
            data = reduce(runs[n], setup, folder / f"small_{n}.h5", threads=1)
            taken = time.process_time() - began
            assert data.sizes["event"] == n
            assert data.attrs["problems"] == "[]"
            assert (data["epix/droplet_nDroplets"].values > 1000).all()
            return taken

        spent(few), spent(many)
        pairs = [(spent(few), spent(many)) for _ in range(1 if quick else 5)]
    # The shortest of each: what others do to the memory of the machine only adds.
    short, long = (1e3 * min(times) for times in zip(*pairs, strict=True))
    each = (long - short) / (many - few)
    first = short - few * each
    yield Bar("area: a run of an ePix10k 2M to a small file, for each frame", each, LIMIT, unit="ms")
    yield Bar("area: the same, once for the run", first, 3000, unit="ms")


def bars(quick: bool) -> Iterator[Bar]:
    """Yield the bars."""
    yield from reduction(quick)
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
