"""Bars of masks: what a drag waits for. CPU time of the process, because neighbours on the machine do not count."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
from bars import Bar
from matplotlib.path import Path as Line
from scipy import ndimage

from detcore import area
from detcore.area.setup.setupfile import Setup
from detcore.image import (
    Brush,
    GrowOperation,
    PixelMask,
    PixelsOperation,
    Polygon,
    RegionOperation,
    ThresholdOperation,
    good_pixels,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHAPE = (2167, 2070)


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Return the median CPU time, after one round that compiles."""
    work()
    times = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return statistics.median(times)


def edits(polygon: Polygon, shape: tuple[int, int], rounds: int) -> Iterator[Bar]:
    """Move a polygon of a mask: raster, bins and profile anew, from setup to numbers."""
    image = np.random.default_rng(2).poisson(20, shape).astype(np.float32)
    detector = area.Detector(shape=shape, pixel_size=(75e-6, 75e-6))
    geometry = {"x": shape[1] / 2, "y": shape[0] / 2, "distance": 0.1, "energy": 12.0, "pixel_size": (75e-6, 75e-6)}
    found, moved = [], iter(range(10_000))

    def edit() -> None:
        drawn = RegionOperation(region=polygon.moved(next(moved), 0))
        operations = (drawn, ThresholdOperation(high=60.0), GrowOperation(steps=1))
        setup = Setup.model_validate(
            {"geometry": geometry, "azimuthal": {"bins": 1000, "errors": "azimuthal"}, "mask": operations}
        )
        good = good_pixels(area.masked(detector, setup, image))
        found.append(area.azimuthal(image, setup, good=good, detector=detector).n_valid.values.sum())

    yield Bar("area: mask edit to profile, 4.5 megapixels", seconds(edit, rounds) * 1e3, 100, unit="ms")
    assert 0 < found[0] < image.size


def bars(quick: bool) -> Iterator[Bar]:
    """Measure rasters of shapes, growth, an edit and its profile, and a setup file of many shapes."""
    shape, rounds = ((200, 220), 2) if quick else (SHAPE, 15)
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    far = shape[0] * (0.4 + 0.05 * np.sin(9 * turn))
    vertices = np.stack([shape[1] / 2 + far * np.cos(turn), shape[0] / 2 + far * np.sin(turn)], axis=1)
    polygon = Polygon(vertices=vertices.tolist())
    mask = PixelMask(shape=shape, operations=[RegionOperation(region=polygon)])
    ours = seconds(mask.raster, rounds)
    yield Bar("area: polygon to a raster of 4.5 megapixels", ours * 1e3, 5, unit="ms")
    y, x = np.mgrid[: shape[0], : shape[1]]
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    path = Line(vertices)
    theirs = seconds(lambda: path.contains_points(points).reshape(shape), 1 if quick else 3)
    yield Bar("area: polygon, times faster than matplotlib's path", theirs / ours, 20, at_least=True)
    yield from edits(polygon, shape, rounds)
    strokes = [[(float(one), shape[0] / 2 + 50 * np.sin(one / 40)) for one in range(20, shape[1] - 20, 5)]]
    brush = PixelMask(shape=shape, operations=[RegionOperation(region=Brush(radius=20, strokes=strokes))])
    yield Bar("area: a brush stroke across the image", seconds(brush.raster, rounds) * 1e3, 5, unit="ms")
    dots = np.random.default_rng(1).integers(0, shape[::-1], (2000, 2))
    listed = PixelsOperation(pixels=[(int(one), int(other)) for one, other in dots])
    hot = PixelMask(shape=shape, operations=[listed]).raster() > 0
    grown = PixelMask(shape=shape, operations=[listed, GrowOperation(steps=3)])
    ours = seconds(grown.raster, rounds) - seconds(PixelMask(shape=shape, operations=[listed]).raster, rounds)
    square = np.ones((3, 3), bool)
    theirs = seconds(lambda: ndimage.binary_dilation(hot, square, 3), 1 if quick else 3)
    yield Bar("area: growing by 3 px, times faster than scipy", theirs / ours, 2, at_least=True)
    setup = Setup(mask=tuple(RegionOperation(name=f"shape {i}", region=polygon.moved(i, 0)) for i in range(20)))
    text = setup.to_yaml()
    yield Bar("area: a setup of 20 polygons as text and back",
              seconds(lambda: Setup.from_yaml(setup.to_yaml()), 2) * 1e3, 2000, unit="ms")  # fmt: skip
    assert Setup.from_yaml(text) == setup
