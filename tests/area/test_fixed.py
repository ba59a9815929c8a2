"""Constants that cannot be written to, and windows of larger arrays, do not make the kernels compile again."""

from __future__ import annotations

import numpy as np

from detcore.area.images import commonmodekernels, dropletkernels, photonkernels, roikernels, runningkernels
from detcore.area.images.commonmode import CommonModeStep, correct
from detcore.area.images.droplets import find_droplets
from detcore.area.images.photons import count_photons
from detcore.area.images.roi import project, roi_statistics
from detcore.area.images.running import RunningSums

KERNELS = [
    (roikernels.statistics_real, 2),
    (roikernels.statistics_whole, 1),
    (roikernels.projections, 3),
    (dropletkernels.find, 1),
    (commonmodekernels.subtract_blocks, 1),
    (commonmodekernels.usable, 1),
    (photonkernels.count_photons, 1),
    (runningkernels.add_whole, 1),
    (runningkernels.add_real, 2),
]


def test_one_compilation_for_each_type():
    steps = (CommonModeStep(kind="row", exclude_noise=3), CommonModeStep(kind="bank", statistic="mean"))
    for dtype in (np.uint16, np.float32, np.float64, np.int32):
        for writeable in (True, False):
            frame, good, noise = np.ones((20, 30), dtype), np.ones((20, 30), np.uint8), np.ones((20, 30), np.float32)
            for array in (frame, good, noise):
                array.flags.writeable = writeable
            for mine, mask, unit in (
                (frame, good, noise),
                (frame[2:, 3:], good[2:, 3:], noise[2:, 3:]),
                (frame, None, None),
            ):
                roi_statistics(mine, None, mask)
                project(mine, None, mask)
                find_droplets(mine, 5, good=mask, noise=unit)
                count_photons(mine, 5, good=mask)
                correct(mine, steps, mask, noise if unit is None else unit)
                sums = RunningSums(mine.shape, mine.dtype)
                sums.add(np.broadcast_to(mine, (40, *mine.shape)))
                sums.flush()
    for kernel, most in KERNELS:
        assert len(kernel.signatures) <= most, (kernel.__name__, kernel.signatures)
