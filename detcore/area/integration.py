"""Azimuthal profile, cake and centre as a setup says: the calls that the script, the command and the tab share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detcore.area.detector import Detector, psana_mask
from detcore.area.images import centre
from detcore.area.images.azimuthal import AzimuthalMap
from detcore.area.images.azimuthaloptions import AzimuthalOptions
from detcore.area.images.geometry import Geometry
from detcore.area.reductions_azimuthal import AzimuthalSeries, Plane
from detcore.area.setup.setupfile import Setup
from detcore.image import Panels, PixelMask, good_pixels

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from detcore.area.images.centre import Centre

SHARED: Final = tuple(AzimuthalOptions.model_fields)
BINNINGS: Final = ("bins", "q_step", "edges")


def azimuthal(
    image: ArrayLike | xr.DataArray,
    setup: Setup | Geometry | str | os.PathLike[str],
    *,
    detector: Any = None,
    good: ArrayLike | None = None,
    variance: ArrayLike | None = None,
    dark: ArrayLike | None = None,
    flat: ArrayLike | None = None,
    **options: Any,
) -> xr.Dataset:
    """Integrate an image azimuthally, or several.

    Parameters
    ----------
    image
        (y, x) or (frame, y, x); of a tiled `detector` (module, y, x) or (frame, module, y, x).
    setup
        A setup or its file, whose geometry, mask and azimuthal section are used; or a geometry alone.
    detector
        Whose pixels know their place and whose masks count; None: the image is flat.
    good
        Boolean, shape of a frame: pixels that count, instead of the mask of the setup.
    variance
        Shape of the image: variance of each pixel, instead of the error model.
    dark, flat
        Shape of a frame: subtracted, and relative response; instead of the files that the setup names.
    **options
        Fields of `AzimuthalOptions`, which win over the setup: `bins`, `q_step`, `edges`, `unit`, `sectors`, `q_range`,
        `polarization`, `solid_angle`, `errors`, `threshold_low`, `threshold_high`, `adu_per_photon`.

    Returns
    -------
    Dataset
        `intensity`, `error` and `n_valid` on ([frame,] [azimuth,] q | two_theta | radius); `azimuth` when sectored.

    Raises
    ------
    ValueError
        The geometry lacks what the unit needs, a shape does not fit, or an option is wrong.
    """
    setup = _loaded(setup)
    frames = np.asarray(image)
    shape = frames.shape[-len(detector.shape) :] if detector is not None else frames.shape[-2:]
    geometry, chosen = settings(setup, detector, frames.dtype, options)
    one = frames if frames.shape == shape else None
    selected = good_of(setup, shape, detector, one) if good is None else np.asarray(good)
    dark = image_of(setup, "dark") if dark is None else dark
    flat = image_of(setup, "flat") if flat is None else flat
    target = detector if detector is not None and len(detector.shape) == 3 else shape
    made = AzimuthalMap.of(geometry, target, chosen, good=selected, flat=flat)
    return made.integrate(frames, variance, dark)


def cake(
    image: ArrayLike, setup: Setup | Geometry, *, bins: int = 500, sectors: int = 360, **options: Any
) -> xr.Dataset:
    """Integrate an image in many sectors all around; see `azimuthal`. Gives `intensity` on (azimuth, q | …)."""
    return azimuthal(image, setup, bins=bins, sectors=sectors, **options)


def azimuthal_projection(
    image: ArrayLike, setup: Setup | Geometry, q_range: tuple[float, float], *, sectors: int = 360, **options: Any
) -> xr.Dataset:
    """Return the profile along the azimuth of one ring: `intensity`, `error`, `n_valid` on (azimuth).

    Parameters
    ----------
    image, setup, **options
        See `azimuthal`.
    q_range
        Inner and outer border of the ring, in the unit.
    sectors
        Bins of azimuth.
    """
    low, high = q_range
    data = azimuthal(image, setup, edges=(low, high), q_range=None, sectors=sectors, **options)
    return data.squeeze(str(data["intensity"].dims[-1]), drop=True)


def azimuthal_series(
    setup: Setup | Geometry,
    detector: Any = None,
    *,
    per_frame: bool = True,
    dtype: Any = None,
    image: NDArray[Any] | None = None,
    **options: Any,
) -> AzimuthalSeries:
    """Return the reduction that integrates the frames of a run, for `run` and `stream`.

    Parameters
    ----------
    setup
        See `azimuthal`.
    detector
        Of the source: ``source.detector()``.
    per_frame
        One profile for each frame; otherwise one of all.
    dtype
        Of the frames; those of whole numbers are held against the limits of valid raw values.
    image
        Shape of a frame: what threshold operations of the mask look at, for instance the average.
    **options
        See `azimuthal`.

    Raises
    ------
    ValueError
        The setup has a mask, and no detector says how large a frame is.
    """
    if detector is None and isinstance(setup, Setup) and (setup.mask or setup.psana_options):
        if setup.detector.shape is None:
            msg = "the setup has a mask, but the shape of a frame is not known; give detector=source.detector()"
            raise ValueError(msg)
        detector = Detector(shape=setup.detector.shape)
    geometry, chosen = settings(setup, detector, np.dtype(dtype or np.float32), options)
    shape = None if detector is None else detector.shape
    good = None if shape is None else good_of(setup, shape, detector, image)
    planes = {name: image_of(setup, name) for name in ("dark", "flat")}
    given = {name: Plane(np.asarray(one)) for name, one in (planes | {"good": good}).items() if one is not None}
    tiled = detector if detector is not None and len(detector.shape) == 3 else None
    return AzimuthalSeries(geometry=geometry, options=chosen, per_frame=per_frame, detector=tiled, **given)


def find_centre(
    image: ArrayLike,
    points: Any = None,
    method: centre.Method = "auto",
    *,
    good: ArrayLike | None = None,
    detector: Any = None,
    setup: Setup | str | os.PathLike[str] | None = None,
    **options: Any,
) -> Centre:
    """Find the direct beam; see `detcore.area.images.centre.find_centre`.

    Parameters
    ----------
    image
        (y, x), or (module, y, x) of a tiled `detector`: then it is assembled first.
    points, method
        Picked points, or auto, rings. A setup in the place of the points is taken as `setup`.
    good
        Boolean, shape of `image`: pixels that count, instead of the mask of `setup`.
    detector
        Whose masks count and whose panels are assembled.
    setup
        Whose mask counts; or its file.
    **options
        `tilt`, `start`, `rings`.
    """
    if isinstance(points, (Setup, str, os.PathLike)):  # as for `azimuthal`
        points, setup = None, points
    if points is not None or method == "points":
        return centre.find_centre(np.zeros((1, 1)), points, "points", **options)
    frame = np.asarray(image)
    if good is None and (setup is not None or detector is not None):
        good = good_of(_loaded(setup if setup is not None else Setup()), frame.shape, detector, frame)
    if detector is not None and len(detector.shape) == 3 and frame.shape == detector.shape:
        frame = frame.astype(np.float32)
        if good is not None:
            frame = np.where(np.asarray(good), frame, np.float32(np.nan))
        frame, good = detector.assemble(frame), None
    return centre.find_centre(frame, None, method, good=good, **options)


# ---- what a setup says


def _loaded(setup: Setup | Geometry | str | os.PathLike[str]) -> Setup | Geometry:
    return setup if isinstance(setup, (Setup, Geometry)) else Setup.load(setup)


def settings(
    setup: Setup | Geometry, detector: Any, dtype: np.dtype[Any], options: dict[str, Any]
) -> tuple[Geometry, AzimuthalOptions]:
    """Return geometry and options, the given ones first, then the setup's, then what the detector knows.

    Raises
    ------
    ValueError
        There is no geometry.
    """
    geometry = setup if isinstance(setup, Geometry) else setup.geometry
    values = dict(options)
    if isinstance(setup, Setup):
        section = setup.azimuthal
        known = {} if section is None else {name: getattr(section, name) for name in SHARED if hasattr(section, name)}
        if any(values.get(name) is not None for name in BINNINGS):  # bins are told once
            known = {name: one for name, one in known.items() if name not in BINNINGS}
        values = known | values
        limits = setup.detector
    else:
        limits = None
    if geometry is None:
        geometry = _known_geometry(detector)
    if geometry.pixel_size is None and detector is not None:
        size = tuple(float(one) for one in detector.pixel_size)
        geometry = geometry.with_(pixel_size=size) if np.isfinite(size).all() else geometry
    if dtype.kind in "iu":  # limits of valid raw values; calibrated frames have others
        for name, option in (("underload", "threshold_low"), ("saturation", "threshold_high")):
            if values.get(option) is None:
                first = getattr(limits, name, None)
                values[option] = first if first is not None else getattr(detector, name, None)
    return geometry, AzimuthalOptions.checked(values)


def _known_geometry(detector: Any) -> Geometry:
    found = getattr(detector, "centre", None)
    if found is None:
        msg = "the setup has no geometry; find the centre (find_centre) or load a .poni file, and set setup.geometry"
        raise ValueError(msg)
    size = tuple(float(one) for one in detector.pixel_size)
    return Geometry(
        x=found[0], y=found[1], distance=detector.distance, energy=detector.energy,
        pixel_size=(size[0], size[1]) if np.isfinite(size).all() else None,
    )  # fmt: skip


def good_of(
    setup: Setup | Geometry, shape: tuple[int, ...], detector: Any = None, image: NDArray[Any] | None = None
) -> NDArray[np.bool_] | None:
    """Return which pixels count by the masks of a setup and of a detector; None if there is no mask.

    Parameters
    ----------
    setup
        Its operations and psana options; a geometry has none.
    shape
        Of a frame.
    detector
        Its `pixel_mask`, calibrations (for operations on noise and pedestal) and panels.
    image
        Shape of a frame: what threshold operations look at.
    """
    operations = setup.mask if isinstance(setup, Setup) else ()
    options = setup.psana_options if isinstance(setup, Setup) else ()
    if options and detector is None:
        msg = f"the mask options {', '.join(options)} need the detector; open the run with its type"
        raise ValueError(msg)
    known = detector if detector is not None else _told_by(setup, shape)
    if tuple(known.shape) != tuple(shape):  # an assembled image: the operations alone know where they are
        known = Detector(shape=tuple(shape), asic=None)
    if known.pixel_mask is None and not operations and not options:
        return None
    rejected = np.zeros(known.shape, np.uint32) if known.pixel_mask is None else known.pixel_mask.copy()
    if operations:
        rejected |= _raster(setup, known, rejected, image)
    good = good_pixels(rejected)
    if options:
        wanted: dict[str, Any] = dict.fromkeys(options, True)
        good &= psana_mask(detector, **wanted) != 0
    return good


def _told_by(setup: Setup | Geometry, shape: tuple[int, ...]) -> Detector:
    """Return the detector that the setup names, whose chips are known, if its frames have this shape; otherwise any."""
    if isinstance(setup, Setup):
        try:
            told = Detector(shape=tuple(shape), type=setup.detector.type, asic=setup.detector.asic)
        except ValueError:  # an assembled image
            return Detector(shape=tuple(shape))
        if told.asic is not None and not any(size % one for size, one in zip(shape[-2:], told.asic, strict=True)):
            return told
    return Detector(shape=tuple(shape))


def _raster(setup: Any, known: Detector, pixel_mask: NDArray[np.uint32], image: NDArray[Any] | None) -> NDArray[Any]:
    arrays = {"pixel_mask": pixel_mask, "image": image, "noise": known.noise, "pedestal": known.pedestal}
    arrays["status"] = known.status
    there = {name: one for name, one in arrays.items() if one is not None}
    there = {name: one if one.ndim == len(known.shape) else one[0] for name, one in there.items()}  # first gain
    places = {"iy": known.map.iy, "ix": known.map.ix} if known.tiled else {}
    raster = PixelMask(shape=None, operations=setup.mask).raster(known.shape, there, Panels(**places, asic=known.asic))
    return np.asarray(raster)


def image_of(setup: Setup | Geometry, name: str) -> NDArray[Any] | None:
    """Return the dark or flat image that a setup names, or None."""
    section = setup.azimuthal if isinstance(setup, Setup) else None
    path = None if section is None else getattr(section, name)
    if path is None:
        return None
    from detcore.area.imagefiles import read_array  # noqa: PLC0415 - few setups name images

    return read_array(path)


def warm() -> None:
    """Compile what the first profile and the first centre need."""
    geometry = Geometry(x=3, y=4, distance=0.1, energy=10, pixel_size=(1e-4, 1e-4))
    for dtype in (np.uint16, np.float32):
        azimuthal(np.ones((8, 9), dtype), geometry, good=np.ones((8, 9), np.bool_), bins=3, sectors=2)
    y, x = np.indices((48, 48))
    find_centre(100 * np.exp(-((np.hypot(x - 24, y - 24) - 12) ** 2) / 4))
