"""Bars of azimuthal integration and of the automatic centre, in CPU time of one thread: neighbours do not count."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from bars import Bar

from detcore.area.images.azimuthal import AzimuthalMap
from detcore.area.images.azimuthaloptions import AzimuthalOptions
from detcore.area.images.centre import find_centre
from detcore.area.images.geometry import Geometry

try:
    from pyFAI.detectors import Detector
    from pyFAI.integrator.azimuthal import AzimuthalIntegrator
except ImportError:  # not needed for the others
    AzimuthalIntegrator = None

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

SHAPE = (2167, 2070)
BINS = 1000
PIXEL = 75e-6
RANGE = (0.05, 4.0)


def scene(quick: bool) -> tuple[Geometry, NDArray[np.uint16], NDArray[np.bool_]]:
    """Return a geometry, an image of rings and a mask."""
    ny, nx = (200, 220) if quick else SHAPE
    geometry = Geometry(
        x=nx / 2 + 3.3, y=ny / 2 - 5.1, distance=0.1 * ny / 2167, energy=12.0, pixel_size=(PIXEL, PIXEL)
    )
    rng = np.random.default_rng(1)
    q = geometry.q((ny, nx))
    image = rng.poisson(20 + 15 * np.sin(6 * q) ** 8).astype(np.uint16)
    good = rng.random((ny, nx)) > 0.05
    return geometry, image, good


def bincounts(
    image: NDArray[Any], good: NDArray[np.bool_], index: NDArray[np.int64], weight: NDArray[Any], high: float,
    *, scatter: bool = False,
) -> Any:  # fmt: skip
    """Integrate as the original does, with a valid test in every frame: select, correct, count; errors by `scatter`."""
    valid = good & (image <= high)
    at, values = index[valid], image[valid] * weight[valid]
    counts = np.bincount(at, minlength=BINS)
    mean = np.bincount(at, weights=values, minlength=BINS) / counts
    if scatter:
        return mean, np.sqrt(np.bincount(at, weights=values * values, minlength=BINS) / counts - mean**2)
    return mean


def measured(
    works: list[Callable[[], object]], rounds: int, clock: Callable[[], float] = time.thread_time
) -> list[list[float]]:
    """Return the CPU seconds of each, measured in turn."""
    for work in works:
        work()
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, found in zip(works, times, strict=True):
            began = clock()
            work()
            found.append(clock() - began)
    return times


def times_faster(ours: list[float], theirs: list[float]) -> float:
    """Return the median of the ratios."""
    return statistics.median(other / mine for mine, other in zip(ours, theirs, strict=True))


def bars(quick: bool) -> Iterator[Bar]:
    """Measure; `quick` takes a small image, whose ratios mean little."""
    geometry, image, good = scene(quick)
    rounds = 3 if quick else 15
    options = {"bins": BINS, "q_range": RANGE, "polarization": 0.99}
    maps = {
        errors: AzimuthalMap.of(
            geometry, image.shape, AzimuthalOptions(**options, errors=errors, threshold_high=60_000), good=good
        )
        for errors in ("poisson", "azimuthal")
    }
    q = geometry.q(image.shape)
    inside = good & (q >= RANGE[0]) & (q < RANGE[1])
    index = ((q - RANGE[0]) / (RANGE[1] - RANGE[0]) * BINS).astype(np.int64)
    weight = 1 / (geometry.solid_angle(image.shape) * geometry.polarization(image.shape, 0.99))
    works: list[Callable[[], object]] = [
        lambda: maps["poisson"].sums(image),
        lambda: maps["azimuthal"].sums(image),
        lambda: bincounts(image, inside, index, weight, 60_000),
        lambda: bincounts(image, inside, index, weight, 60_000, scatter=True),
    ]
    cake_map = AzimuthalMap.of(geometry, image.shape, AzimuthalOptions(**options, sectors=36), good=good)
    works.append(lambda: cake_map.sums(image))
    if AzimuthalIntegrator is not None:
        poni = geometry.to_poni()
        detector = Detector(PIXEL, PIXEL, max_shape=image.shape)
        names = ("dist", "poni1", "poni2", "rot1", "rot2", "rot3", "wavelength")
        theirs = AzimuthalIntegrator(detector=detector, **{name: poni[name] for name in names})
        bad = (~good).astype(np.int8)
        common: dict[str, Any] = {
            "mask": bad, "unit": "q_A^-1", "polarization_factor": 0.99, "correctSolidAngle": True,
            "radial_range": RANGE, "error_model": "poisson",
        }  # fmt: skip
        works.append(lambda: theirs.integrate1d(image, BINS, method=("no", "histogram", "cython"), **common))
        works.append(lambda: theirs.integrate2d(image, BINS, 36, method=("no", "histogram", "cython"), **common))
        works.append(lambda: theirs.integrate1d(image, BINS, method=("no", "csr", "cython"), **common))
    times = measured(works, rounds)
    many = times_faster(times[0], times[2])
    yield Bar(
        "area: profile with errors and valid test, times faster than select and bincount", many, 3.5, at_least=True
    )
    many = times_faster(times[1], times[3])
    yield Bar("area: the same with errors from the scatter", many, 3.5, at_least=True)
    if AzimuthalIntegrator is not None:
        faster = times_faster(times[0], times[5])
        yield Bar("area: profile, times faster than pyFAI's histogram without splitting", faster, 5, at_least=True)
        faster = times_faster(times[4], times[6])
        yield Bar("area: cake of 36 sectors, times faster than pyFAI's", faster, 4, at_least=True)
        faster = times_faster(times[0], times[7])
        yield Bar("area: profile, times faster than pyFAI's sparse matrix without splitting", faster, 5, at_least=True)
    yield Bar("area: profile of 4.5 megapixels", statistics.median(times[0]) * 1e3, 15, unit="ms")
    edit = measured([lambda: maps["poisson"].with_good(good).sums(image)], rounds)[0]
    yield Bar("area: another mask and the profile", statistics.median(edit) * 1e3, 60, unit="ms")
    moved = iter(range(10_000))

    def another_centre() -> None:
        place = geometry.with_(x=geometry.x + 1e-3 * next(moved))
        AzimuthalMap.of(place, image.shape, AzimuthalOptions(**options), good=good).sums(image)

    drag = measured([another_centre], rounds, time.process_time)[0]  # it uses all cores
    yield Bar("area: another centre and the profile", statistics.median(drag) * 1e3, 200, unit="ms")
    found = measured([lambda: find_centre(image, good=good)], 1 if quick else 3)[0]
    yield Bar("area: the centre without a hint", statistics.median(found), 1.5, unit="s")
