"""Bars of DL1 images: against ctapipe and DL1 Data Handler, which do one image after the other, with equal results."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from bars import Bar, ratio
from ctapipe.core import run_tool
from ctapipe.image import (
    concentration_parameters,
    descriptive_statistics,
    hillas_parameters,
    leakage_parameters,
    morphology_parameters,
    tailcuts_clean,
    timing_parameters,
)
from ctapipe.instrument import CameraGeometry
from ctapipe.instrument.camera import PixelShape

from detcore import dl1, run
from detcore.core.executors import Inline
from detcore.dl1 import generator
from detcore.dl1.columns import facts_of
from detcore.dl1.reductions import PixelStatistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from detcore.dl1.images.geometry import Camera

CLEANING = {"picture": 10, "boundary": 5, "min_picture_neighbors": 2}
METHODS = {  # ours -> class of DL1 Data Handler
    "oversampling": "OversamplingMapper",
    "image_shifting": "ShiftingMapper",
    "bilinear_interpolation": "BilinearMapper",
}


def shower_images(camera: Camera, n: int, seed: int = 3) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return charges and peak times (event, pixel): ellipses of some 70 pixels with a gradient of time, and noise."""
    rng = np.random.default_rng(seed)
    reach = 0.35 * np.ptp(camera.pixel_x)
    centre, psi = rng.uniform(-reach, reach, (2, n, 1)), rng.uniform(-np.pi, np.pi, (n, 1))
    x, y = camera.pixel_x - centre[0], camera.pixel_y - centre[1]
    along, across = x * np.cos(psi) + y * np.sin(psi), y * np.cos(psi) - x * np.sin(psi)
    length = rng.uniform(0.1, 0.3, (n, 1)) * reach
    light = rng.uniform(20, 80, (n, 1)) * np.exp(-0.5 * (along / length) ** 2 - 0.5 * (across / (0.4 * length)) ** 2)
    charges = rng.poisson(light) + rng.normal(0, 2, light.shape)
    times = 15 + rng.uniform(-20, 20, (n, 1)) * along + rng.normal(0, 0.5, light.shape)
    return charges.astype(np.float32), times.astype(np.float32)


def their_geometry(camera: Camera, *, degrees: bool) -> Any:
    """Return a camera as ctapipe has it, in the telescope's frame or in its own."""
    units = importlib.import_module("astropy.units")
    unit, x, y, area = units.m, camera.pixel_x, camera.pixel_y, camera.pixel_area
    if degrees:
        unit, (x, y) = units.deg, camera.telescope_frame()
        area = area * np.degrees(1 / camera.focal_length) ** 2
    return CameraGeometry(
        name=camera.name,
        pix_id=np.arange(camera.n_pixels),
        pix_x=x * unit,
        pix_y=y * unit,
        pix_area=area * unit**2,
        pix_type=PixelShape.SQUARE if camera.shape == "square" else PixelShape.HEXAGON,
        pix_rotation=camera.rotation * units.deg,
        cam_rotation=0 * units.deg,
    )


def faster(name: str, ours: Callable[[], object], theirs: Callable[[], object], limit: float, rounds: int) -> Bar:
    """Return how many times faster we are."""
    return Bar(name, 1 / ratio(ours, theirs, rounds), limit, at_least=True)


def bars(quick: bool) -> Iterator[Bar]:
    """Measure; `quick` takes few images, whose ratios mean little."""
    n, rounds = (40, 1) if quick else (1000, 9)
    camera = generator.large_camera()
    images, times = shower_images(camera, n)
    selected = dl1.tailcuts(images, camera, **CLEANING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ctapipe's of its own code
        yield from _of_images(camera, images, times, selected, rounds)
    yield _statistics(camera, images, times, selected, rounds)
    yield _rate(camera, images, rounds)
    yield from _mapping(images, rounds, quick=quick)
    with tempfile.TemporaryDirectory() as folder:
        path = dl1.write_demo(folder)[0]
        yield _framework(path, 1 if quick else 8, rounds)
        if not quick:
            yield _whole_file(path, Path(folder))


def _of_images(
    camera: Camera, images: NDArray[Any], times: NDArray[Any], selected: NDArray[np.bool_], rounds: int
) -> Iterator[Bar]:
    """Cleaning and parameters, theirs of fewer images: an image takes as long in a batch of 100."""
    n, few = len(images), min(100, len(images))
    geometry = their_geometry(camera, degrees=True)
    scale = few / n  # of our time, for the same number of images

    def clean() -> list[Any]:
        return [tailcuts_clean(geometry, one, **_theirs(CLEANING)) for one in images[:few]]

    np.testing.assert_array_equal(clean(), selected[:few])
    yield _per_image("tail-cuts", lambda: dl1.tailcuts(images, camera, **CLEANING), clean, 20, rounds, scale)

    parts = [geometry[used] for used in selected[:few]]
    charges = [image[used] for image, used in zip(images, selected[:few], strict=False)]

    def ellipses() -> list[Any]:
        return [hillas_parameters(geom, image) for geom, image in zip(parts, charges, strict=True)]

    found = dl1.hillas(images, selected, camera)
    theirs = ellipses()
    for name in found:
        values = [one[name.removeprefix("hillas_")] for one in theirs]
        expected = [one.to_value("deg") if hasattr(one, "unit") else one for one in values]
        np.testing.assert_allclose(found[name][:few], expected, rtol=1e-4, atol=1e-5, err_msg=name)  # theirs is float32
    for name, errors, limit in (("without errors", False, 150), ("with errors", True, 120)):
        yield _per_image(
            f"Hillas parameters, {name}",
            lambda errors=errors: dl1.hillas(images, selected, camera, uncertainties=errors),  # type: ignore[misc]
            ellipses,
            limit,
            rounds,
            scale,
        )

    def everything() -> None:
        for image, clock, used in zip(images[:few], times, selected, strict=False):
            inside = geometry[used]
            ellipse = hillas_parameters(inside, image[used])
            leakage_parameters(geometry, image, used)
            concentration_parameters(inside, image[used], ellipse)
            morphology_parameters(geometry, used)
            descriptive_statistics(image[used])
            timing_parameters(inside, image[used], clock[used], ellipse)
            descriptive_statistics(clock[used])

    yield _per_image(
        "all 41 parameters",
        lambda: dl1.image_parameters(images, times, selected, camera),
        everything,
        70,
        rounds,
        scale,
    )


def _theirs(settings: dict[str, Any]) -> dict[str, Any]:
    names = {
        "picture": "picture_thresh",
        "boundary": "boundary_thresh",
        "min_picture_neighbors": "min_number_picture_neighbors",
    }
    return {names[name]: value for name, value in settings.items()}


def _per_image(
    name: str, ours: Callable[[], object], theirs: Callable[[], object], limit: float, rounds: int, scale: float
) -> Bar:
    return Bar(f"{name}, in batches, against ctapipe", 1 / ratio(ours, theirs, rounds) / scale, limit, at_least=True)


def _statistics(
    camera: Camera, images: NDArray[Any], times: NDArray[Any], selected: NDArray[np.bool_], rounds: int
) -> Bar:
    """Mean, spread and occupancy of each pixel, its survival, and its times when it is bright."""
    both = ("event", "pixel")
    chunk = xr.Dataset(
        {
            "image": (both, images),
            "peak_time": (both, times),
            "selected": (both, selected),
            "tel_id": ("event", np.ones(len(images), np.int64)),
        },
        attrs={"camera": facts_of(camera), "time_unit": "ns", "telescopes": (1,)},
    )
    kind = PixelStatistics()
    state = kind.empty(chunk)

    def ours() -> None:
        kind.update(state, chunk)

    def theirs() -> dict[str, Any]:
        bright = images >= 10
        late = np.where(bright, times, np.nan)
        return {
            "mean": images.mean(axis=0, dtype=float),
            "std": images.std(axis=0, dtype=float),
            "occupancy": bright.mean(axis=0),
            "survival": selected.mean(axis=0),
            "time_mean": np.nanmean(late, axis=0, dtype=float),
            "time_std": np.nanstd(late, axis=0, dtype=float),
        }

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pixels that were never bright
        ours()
        found, expected = kind.finalize(state), theirs()
        for name, values in expected.items():
            np.testing.assert_allclose(found[name][0], values, rtol=1e-6, atol=1e-4, err_msg=name)
        return faster("statistics of each pixel, against NumPy", ours, theirs, 5, rounds)


def _rate(camera: Camera, images: NDArray[Any], rounds: int) -> Bar:
    """Of the processor's own time, so that others do not count."""

    def work() -> None:
        dl1.hillas(images, dl1.tailcuts(images, camera, **CLEANING), camera)

    work()
    seconds = []
    for _ in range(3 * rounds):
        began = time.thread_time()
        work()
        seconds.append(time.thread_time() - began)
    rate = len(images) / statistics.median(seconds) / 1000
    return Bar("images cleaned and with Hillas parameters, of a core", rate, 100, at_least=True, unit="k/s")


def _mapping(images: NDArray[Any], rounds: int, *, quick: bool) -> Iterator[Bar]:
    """In batches, against one image after the other."""
    if importlib.util.find_spec("dl1_data_handler") is None:
        print("dl1_data_handler is not installed: no bars of mapping", file=sys.stderr)
        return
    peer = importlib.import_module("dl1_data_handler.image_mapper")
    large, small = generator.large_camera(), generator.small_camera()
    squares = shower_images(small, len(images))[0]
    kinds = [(large, images, method, name) for method, name in METHODS.items()]
    for camera, charges, method, name in [*kinds, (small, squares, "oversampling", "SquareMapper")]:
        if quick and name == "BilinearMapper":
            continue  # theirs takes seconds to build
        theirs = getattr(peer, name)(geometry=their_geometry(camera, degrees=False), subarray=None)
        ours = dl1.ImageMapper(cameras=[camera], mapping_method=method)
        batch = charges[:200]

        def one_by_one(mapper: Any = theirs, batch: NDArray[Any] = batch) -> list[Any]:
            return [mapper.map_image(one[:, None]) for one in batch]

        mapped = ours.map_images(batch[..., None], camera)
        scale = mapped.sum() / np.sum(one_by_one())
        assert 0.99 < scale < 1.01 or method == "bilinear_interpolation", (name, scale)
        np.testing.assert_allclose(mapped, np.array(one_by_one()) * scale, rtol=1e-3, atol=1e-2)
        yield faster(
            f"{camera.name}: {method.replace('_', ' ')} in batches, against DL1 Data Handler",
            lambda batch=batch, ours=ours, camera=camera: ours.map_images(batch[..., None], camera),  # type: ignore[misc]
            one_by_one,
            4,
            rounds,
        )


def _framework(path: Path, copies: int, rounds: int) -> Bar:
    """Compare `run` with a loop over the same kernels and chunks."""
    several = [path.with_name(f"copy{number}.h5") for number in range(copies)]
    for one in several:
        shutil.copyfile(path, one)
    source = dl1.open_files(several)
    reduction = dl1.reduction(None, source.schema())
    columns = reduction.needs(source.schema())

    def by_hand() -> Any:
        state = reduction.empty(source.schema())
        for ref in source.plan():
            if ref is not None:
                reduction.update(state, source.read(ref, columns))
        return reduction.finalize(state)

    value = ratio(lambda: run(source, reduction, executor=Inline()), by_hand, rounds)
    return Bar("run against the same kernels in a hand-written loop", value, 1.1)


def _whole_file(path: Path, folder: Path) -> Bar:
    """From the file to parameters of all cameras, against ctapipe-process."""
    tool = importlib.import_module("ctapipe.tools.process").ProcessorTool
    cameras = dict.fromkeys(dl1.open(path).telescopes["camera"])
    numbers = itertools.count()

    def ours() -> None:
        for camera in cameras:
            dl1.reduce(path, camera=camera)

    def theirs() -> None:
        arguments = [f"--input={path}", f"--output={folder / f'{next(numbers)}.h5'}", "--overwrite", "--quiet"]
        arguments += ["--DataWriter.write_dl1_images=False", "--DataWriter.write_dl1_parameters=True"]
        run_tool(tool(), arguments, raises=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return faster("a whole file, from disk to all parameters, against ctapipe-process", ours, theirs, 10, 3)
