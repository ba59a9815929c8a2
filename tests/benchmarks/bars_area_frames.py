"""Bars of what is done to every frame: regions, common mode, droplets, running statistics, and all of it in a row.

In CPU time of one thread, each measured in turn with its peer: what the original does, with NumPy and SciPy of today.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from bars import Bar
from scipy import ndimage as ndi

from detcore.area.detector import Detector
from detcore.area.functions.calibration import Calibration
from detcore.area.images.azimuthal import AzimuthalMap
from detcore.area.images.azimuthaloptions import AzimuthalOptions
from detcore.area.images.commonmode import CommonModeStep, correct
from detcore.area.images.droplets import find_droplets
from detcore.area.images.geometry import Geometry
from detcore.area.images.photons import droplet_photons
from detcore.area.images.presets import presets
from detcore.area.images.roi import roi_statistics
from detcore.area.images.running import RunningSums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

SHAPE = (2167, 2070)
PANELS = (16, 352, 384)


def measured(works: list[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Return the CPU seconds of each, measured in turn."""
    for work in works:
        work()
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, found in zip(works, times, strict=True):
            began = time.thread_time()
            work()
            found.append(time.thread_time() - began)
    return times


def times_faster(ours: Callable[[], object], theirs: Callable[[], object], rounds: int, burst: int = 1) -> float:
    """Return the median of the ratios; each work is done `burst` times in a row."""

    def several(work: Callable[[], object]) -> Callable[[], None]:
        def done() -> None:
            for _ in range(burst):
                work()

        return done

    mine, other = measured([several(ours), several(theirs)], rounds)
    return statistics.median(b / a for a, b in zip(mine, other, strict=True))


# ---- regions


def masked_array(frame: NDArray[Any], bounds: Any, good: NDArray[np.bool_]) -> tuple[float, ...]:
    """Sum, mean, maximum and centre of mass in the steps of the original's ROIFunc: a masked array, filled for each."""
    (top, bottom), (left, right) = bounds
    area = np.ma.array(frame[top:bottom, left:right], mask=~good)
    total, mean, largest = area.filled(0).sum(), area.filled(0).mean(), area.filled(0).max()
    rows, columns = np.meshgrid(np.arange(bottom - top), np.arange(right - left))
    whole = np.nansum(np.nansum(area, axis=0), axis=0)
    down = np.nansum(np.nansum(area * rows.T, axis=0), axis=0)
    across = np.nansum(np.nansum(area * columns.T, axis=0), axis=0)
    return total, mean, largest, down / whole, across / whole


def regions(quick: bool) -> Iterator[Bar]:
    """A region of 512 x 512, ten times in a row, as of a frame with ten regions."""
    rng = np.random.default_rng(0)
    size = 64 if quick else 512
    frame = rng.poisson(20, (200, 220) if quick else SHAPE).astype(np.uint16)
    bounds = ((100, 100 + size), (120, 120 + size))
    good = rng.random((size, size)) > 0.02
    use = good.view(np.uint8)
    for kind in (np.uint16, np.float32):
        image = frame.astype(kind)
        found, known = roi_statistics(image, bounds, use), masked_array(image, bounds, good)
        # The original divides by all pixels, masked ones among them.
        np.testing.assert_allclose((found.sum, found.sum / found.n_pixels, found.max, *found.com), known, rtol=1e-4)
        faster = times_faster(
            lambda image=image: roi_statistics(image, bounds, use),
            lambda image=image: masked_array(image, bounds, good),
            3 if quick else 25,
            burst=10,
        )
        name = f"area: ten regions of 512 x 512, {kind.__name__}, times faster than masked arrays"
        yield Bar(name, faster, 30, at_least=True)


# ---- common mode


def masked_medians(frames: NDArray[np.float32], good: NDArray[np.bool_], rows: int, columns: int) -> NDArray[Any]:
    """Medians of the lines of each bank with masked arrays in a loop over banks, as psana."""
    found = frames.copy()
    for panel in range(len(found)):
        for top in range(0, found.shape[1], rows if rows > 1 else found.shape[1]):
            for left in range(0, found.shape[2], columns if columns > 1 else found.shape[2]):
                down = slice(top, top + rows) if rows > 1 else slice(None)
                across = slice(left, left + columns) if columns > 1 else slice(None)
                bank, use = found[panel, down, across], good[panel, down, across]
                middle = np.ma.median(np.ma.array(bank, mask=~use), axis=1 if rows == 1 else 0, keepdims=True)
                bank -= np.where(use, np.ma.filled(middle, 0), 0).astype(np.float32)
    return found


def common_modes(quick: bool) -> Iterator[Bar]:
    """Rows, columns and both of a frame of an ePix10k2M."""
    rng = np.random.default_rng(1)
    shape = (2, 176, 96) if quick else PANELS
    frames = (rng.normal(0, 3, shape) + rng.normal(0, 5, (*shape[:2], 1))).astype(np.float32)
    good = rng.random(shape) > 0.02
    lines = {
        "rows": (CommonModeStep(kind="row", group=(176, 48)), (1, 48)),
        "columns": (CommonModeStep(kind="column", group=(176, 48)), (176, 1)),
    }
    for name, (step, (rows, columns)) in lines.items():
        np.testing.assert_allclose(
            correct(frames, (step,), good), masked_medians(frames, good, rows, columns), atol=1e-5
        )
        faster = times_faster(
            lambda step=step: correct(frames, (step,), good),
            lambda rows=rows, columns=columns: masked_medians(frames, good, rows, columns),
            1 if quick else 7,
        )
        yield Bar(f"area: medians of {name}, 16 x 352 x 384, times faster than masked arrays", faster, 3, at_least=True)


# ---- droplets


def labelled(frame: NDArray[np.float32], high: float, low: float, least: float) -> int:
    """Find droplets as the original: label, filter, label again, sums by label."""
    image = np.where(frame < high, 0, frame)
    labels, _ = ndi.label(image)
    grown = ndi.maximum_filter(labels, footprint=ndi.generate_binary_structure(2, 1))
    image = np.where((grown > 0) & (frame >= low), frame, 0)
    labels, n = ndi.label(image)
    numbers = np.arange(1, n + 1)
    sums = ndi.sum_labels(image, labels, numbers)
    labels[~np.isin(labels, numbers[sums >= least])] = 0
    labels, n = ndi.label(labels)
    numbers = np.arange(1, n + 1)
    ndi.sum_labels(image, labels, numbers)
    ndi.sum_labels(image > 0, labels, numbers)
    ndi.center_of_mass(image, labels, numbers)
    return n


def droplets(quick: bool) -> Iterator[Bar]:
    """Droplets of a frame of 4.5 megapixels, few and many."""
    rng = np.random.default_rng(2)
    shape = (200, 220) if quick else SHAPE
    noise = rng.normal(0, 3, shape).astype(np.float32)
    for count, bar in ((2000, 50), (22_000, 50), (80_000, 20)):
        frame = noise.copy()
        n = count // 100 if quick else count
        frame[rng.integers(0, shape[0], n), rng.integers(0, shape[1], n)] += 60
        assert len(find_droplets(frame, 15, 9, min_sum=20)) == labelled(frame, 15, 9, 20)
        faster = times_faster(
            lambda frame=frame: find_droplets(frame, 15, 9, min_sum=20),
            lambda frame=frame: labelled(frame, 15, 9, 20),
            1 if quick else 3,
        )
        yield Bar(f"area: {count:,} droplets, times faster than labels of SciPy", faster, bar, at_least=True)


# ---- running statistics


def running(quick: bool) -> Iterator[Bar]:
    """Mean, spread and extremes of 16-bit frames."""
    rng = np.random.default_rng(3)
    shape = (200, 220) if quick else SHAPE
    frames = rng.poisson(20, (4, *shape)).astype(np.uint16)

    def ours() -> None:
        sums = RunningSums(shape, frames.dtype)
        for _ in range(4):
            for frame in frames:
                sums.add(frame[None])
        _ = sums.mean, sums.std, sums.max, sums.min

    def all_in_memory() -> None:
        kept = [frame.astype(np.float64) for _ in range(4) for frame in frames]
        stack = np.array(kept)
        stack.mean(axis=0), stack.std(axis=0), stack.max(axis=0), stack.min(axis=0)

    def welford() -> None:
        mean, spread, largest, smallest = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.full(shape, np.inf)
        for number in range(16):
            frame = frames[number % 4]
            apart = frame - mean
            mean = mean + apart / (number + 1)
            spread = spread + apart * (frame - mean)
            largest = np.maximum(largest, frame)
            smallest = np.minimum(smallest, frame)
        np.sqrt(spread / 16)

    rounds = 1 if quick else 3
    faster = times_faster(ours, all_in_memory, rounds)
    yield Bar("area: mean, std, max and min of 16 frames, times faster than in memory", faster, 5, at_least=True)
    faster = times_faster(ours, welford, rounds)
    yield Bar("area: the same, times faster than a running mean with NumPy", faster, 5, at_least=True)


# ---- all together


def chain(quick: bool) -> Iterator[Bar]:
    """Calibration, common mode, regions, profile, droplets and photons of a frame of an ePix10k2M."""
    rng = np.random.default_rng(4)
    shape = (2, 352, 384) if quick else PANELS
    # A checkerboard of panels is as good as the real arrangement.
    columns = 2 if quick else 4
    place = np.arange(shape[0])
    iy = (np.arange(352)[None, :, None] + 360 * (place // columns)[:, None, None] + np.zeros(shape)).astype(np.int32)
    ix = (np.arange(384)[None, None, :] + 392 * (place % columns)[:, None, None] + np.zeros(shape)).astype(np.int32)
    detector = Detector(
        type="epix10k2m", shape=shape, iy=iy, ix=ix, x=ix * 100.0, y=iy * 100.0, z=np.zeros(shape),
        pedestal=rng.normal(3000, 50, shape), noise=np.full(shape, 4.0), gain=np.full(shape, 1.2),
    )  # fmt: skip
    photons = rng.poisson(0.004, shape) * 130
    raw = np.clip(np.rint(detector.pedestal + rng.normal(0, 4, shape) + photons), 0, 0x3FFF).astype(np.uint16)
    calibrate = Calibration(detector, 85)
    assert calibrate.steps == presets("epix10k2m")[85].steps
    geometry = Geometry(x=780.0, y=700.0, distance=0.1, energy=9.5, pixel_size=(1e-4, 1e-4))
    good = np.asarray(detector.mask, np.bool_)
    profile = AzimuthalMap.of(geometry, detector, AzimuthalOptions(bins=500), good=good)
    sums = RunningSums(shape, np.dtype(np.float32))

    def work() -> None:
        data = calibrate(raw)
        roi_statistics(data, [[0, 1], [10, 300], [10, 300]], good)
        roi_statistics(data, [[1, 2], [10, 300], [10, 300]], good)
        profile.sums(data)
        found = find_droplets(data, 20, 10, good=good, min_sum=60)
        droplet_photons(found, 130 / 1.2)
        sums.add(data[None])

    times = measured([work], 3 if quick else 15)[0]
    yield Bar("area: all of it, a frame of 16 x 352 x 384", statistics.median(times) * 1e3, 60, unit="ms")


def bars(quick: bool) -> Iterator[Bar]:
    """Measure; `quick` takes small frames, whose ratios mean little."""
    yield from regions(quick)
    yield from common_modes(quick)
    yield from droplets(quick)
    yield from running(quick)
    yield from chain(quick)
