"""All parameters of images in one pass: Hillas, timing, leakage, concentration, morphology and statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from detcore.dl1.images import moments
from detcore.dl1.images.cleaning import batch, choice, flags, frozen
from detcore.dl1.images.hillas import HILLAS, Frame, described, hillas_names, plane

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from detcore.dl1.images.geometry import Camera

TIMING: Final = (
    ("slope", "ns / deg", "change of pulse time along the major axis"),
    ("intercept", "ns", "pulse time at the centre of gravity"),
    ("deviation", "ns", "root mean square of pulse times about the line"),
)
FRACTIONS: Final = (
    ("leakage_pixels_width_1", "selected pixels in the outermost row, fraction"),
    ("leakage_pixels_width_2", "selected pixels in the two outermost rows, fraction"),
    ("leakage_intensity_width_1", "charge in the outermost row, fraction"),
    ("leakage_intensity_width_2", "charge in the two outermost rows, fraction"),
    ("concentration_cog", "charge within a pixel's width of the centre of gravity, fraction"),
    ("concentration_core", "charge inside the ellipse, fraction"),
    ("concentration_pixel", "charge in the brightest pixel, fraction"),
)
STATISTICS: Final = ("max", "min", "mean", "std", "skewness", "kurtosis")
MORPHOLOGY: Final = (
    ("n_pixels", "selected pixels"),
    ("n_islands", "groups of selected pixels that touch"),
    ("n_small_islands", "islands of one or two pixels"),
    ("n_medium_islands", "islands of 3 to 50 pixels"),
    ("n_large_islands", "islands of more than 50 pixels"),
)


def image_parameters(
    images: ArrayLike,
    peak_times: ArrayLike | None,
    selected: ArrayLike,
    camera: Camera,
    frame: Frame = "telescope",
) -> xr.Dataset:
    """Find all parameters of images that ctapipe stores, by its names.

    Parameters
    ----------
    images
        (event, pixel) or (pixel,), p.e.
    peak_times
        The same shape, ns; None if there are none: the parameters of times are nan then.
    selected
        The same shape, bool: the pixels to use, for instance from `tailcuts`.
    camera
        Whose pixels these are.
    frame
        "telescope": angles in degrees, needs the focal length. "camera": metres; names of Hillas and timing parameters
        begin with ``camera_frame_``.

    Returns
    -------
    Dataset
        Along ``event``: those of `hillas`; timing_slope, timing_intercept, timing_deviation;
        leakage_{pixels,intensity}_width_{1,2}; concentration_{cog,core,pixel};
        morphology_n_{pixels,islands,small_islands,medium_islands,large_islands};
        intensity_ and peak_time_{max,min,mean,std,skewness,kurtosis}. As in ctapipe, images of fewer than two selected
        pixels, without charge or with a negative one have nan everywhere, and -1 for counts.

    Raises
    ------
    ValueError
        Shapes do not fit, the frame is unknown, or the focal length is.

    Notes
    -----
    The line through the pulse times leaves out the 15 percent of pixels that fit worst. It is found from five random
    pairs of pixels; here these are the same for equal numbers of pixels, in ctapipe they depend on all images before,
    so that ctapipe itself may give another slope when it sees the image again.
    """
    return _parameters(images, peak_times, selected, camera, frame, np.empty((0, 0, 2), np.int64))


def _parameters(  # with the pairs of pixels from which the fits of times start, (event, start, 2), for comparisons
    images: ArrayLike,
    peak_times: ArrayLike | None,
    selected: ArrayLike,
    camera: Camera,
    frame: Frame,
    pairs: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
) -> xr.Dataset:
    return xr.Dataset(parameter_columns(images, peak_times, selected, camera, frame, pairs), attrs={"frame": frame})


def parameter_columns(
    images: ArrayLike,
    peak_times: ArrayLike | None,
    selected: ArrayLike,
    camera: Camera,
    frame: Frame = "telescope",
    pairs: np.ndarray[tuple[int, ...], np.dtype[np.int64]] | None = None,
) -> dict[str, Any]:
    """Return what `image_parameters` gives as name -> (dimension, values, attributes), for use in a larger Dataset."""
    charges, _ = batch(images, camera)
    chosen, _ = choice(selected, camera, len(charges))
    if peak_times is None:
        times = frozen(np.empty((0, camera.n_pixels), np.float32))
    else:
        times, _ = batch(peak_times, camera, "peak_times", len(charges))
    where = plane(camera, frame)
    border = frozen(camera.border(1).astype(np.uint8) | (camera.border(2).astype(np.uint8) << 1))
    out = np.full((moments.N_PARAMETERS, len(charges)), np.nan)
    counts = np.full((moments.N_COUNTS, len(charges)), -1, np.int64)
    indptr, indices = camera.neighbours
    starts = frozen(np.empty((0, 0, 2), np.int64) if pairs is None else pairs)
    moments.parameters(charges, times, *flags(chosen), *where, border, indptr, indices, starts, out, counts)

    found = described(dict(zip(hillas_names(frame), out[: len(HILLAS)], strict=True)), frame)
    prefix, per = ("timing", "deg") if frame == "telescope" else ("camera_frame_timing", "m")
    rest = [(f"{prefix}_{name}", unit.replace("deg", per), text) for name, unit, text in TIMING]
    rest += [(name, "", text) for name, text in FRACTIONS]
    for kind, unit in (("intensity", "p.e."), ("peak_time", "ns")):
        rest += [
            (f"{kind}_{name}", unit if name in STATISTICS[:4] else "", f"{name} over the selected pixels")
            for name in STATISTICS
        ]
    for (key, unit, text), values in zip(rest, out[len(HILLAS) :], strict=True):
        found[key] = ("event", values, {"units": unit, "long_name": text})
    for (name, text), numbers in zip(MORPHOLOGY, counts, strict=True):
        found[f"morphology_{name}"] = ("event", numbers, {"units": "", "long_name": text})
    return found
