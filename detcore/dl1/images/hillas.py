"""Hillas parameters: the ellipse that describes the image of a shower.

A. M. Hillas, Proc. 19th ICRC (La Jolla) 3 (1985) 445; formulas, names and units of ctapipe 0.28.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
import xarray as xr

from detcore.dl1.images import moments
from detcore.dl1.images.cleaning import batch, choice, flags, frozen

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from detcore.dl1.images.geometry import Camera

Frame = Literal["telescope", "camera"]
HILLAS: Final = (  # in the order of the kernel
    ("intensity", "p.e.", "total charge of the selected pixels"),
    ("fov_lon", "deg", "centre of gravity, longitude"),
    ("fov_lat", "deg", "centre of gravity, latitude"),
    ("r", "deg", "distance of the centre of gravity from the axis of the telescope"),
    ("phi", "deg", "polar angle of the centre of gravity"),
    ("length", "deg", "standard deviation along the major axis"),
    ("length_uncertainty", "deg", "standard deviation of length"),
    ("width", "deg", "standard deviation along the minor axis"),
    ("width_uncertainty", "deg", "standard deviation of width"),
    ("psi", "deg", "angle of the major axis, above -90 and up to 90"),
    ("psi_uncertainty", "deg", "standard deviation of psi"),
    ("transverse_cog_uncertainty", "deg", "standard deviation of the centre of gravity across the axis"),
    ("skewness", "", "skewness along the major axis"),
    ("kurtosis", "", "kurtosis along the major axis; 3 for a Gaussian"),
)
UNCERTAINTIES: Final = tuple(name for name, _, _ in HILLAS if name.endswith("uncertainty"))


class Plane(NamedTuple):
    """Where pixels are in one frame, as the kernels need it: all (pixel,)."""

    x: NDArray[np.float64]  # deg or m
    y: NDArray[np.float64]
    density: NDArray[np.float64]  # 1 / area
    reach: NDArray[np.float64]  # squared width of a pixel


def hillas(
    images: ArrayLike,
    selected: ArrayLike,
    camera: Camera,
    frame: Frame = "telescope",
    uncertainties: bool = True,
) -> xr.Dataset:
    """Find the Hillas parameters of images.

    Parameters
    ----------
    images
        (event, pixel) or (pixel,), p.e.
    selected
        The same shape, bool: the pixels to use, for instance from `tailcuts`.
    camera
        Whose pixels these are.
    frame
        "telescope": angles in degrees, needs the focal length. "camera": metres.
    uncertainties
        Find these, too; nearly half of the time.

    Returns
    -------
    Dataset
        Along ``event``: hillas_intensity, hillas_fov_lon, hillas_fov_lat, hillas_r, hillas_phi, hillas_length,
        hillas_width, hillas_psi, hillas_skewness, hillas_kurtosis, and hillas_length_uncertainty,
        hillas_width_uncertainty, hillas_psi_uncertainty, hillas_transverse_cog_uncertainty. In the camera frame
        camera_frame_hillas_x, camera_frame_hillas_y and so on. Angles are in degrees in both. All nan where the charges
        have no sum above zero or one of them is negative, which ctapipe refuses; length and width 0 and angles nan where
        all light is in one place.

    Raises
    ------
    ValueError
        Shapes do not fit, the frame is unknown, or the focal length is.

    Examples
    --------
    >>> from detcore.dl1.images.geometry import camera_of_positions
    >>> camera = camera_of_positions("row", [0, 1, 2, 3], [0, 0, 0, 0])
    >>> found = hillas([0.0, 1.0, 2.0, 1.0], [False, True, True, True], camera, frame="camera")
    >>> float(found.camera_frame_hillas_x[0]), round(float(found.camera_frame_hillas_length[0]), 6)
    (2.0, 0.707107)
    """
    return xr.Dataset(hillas_columns(images, selected, camera, frame, uncertainties), attrs={"frame": frame})


def hillas_columns(
    images: ArrayLike, selected: ArrayLike, camera: Camera, frame: Frame = "telescope", uncertainties: bool = True
) -> dict[str, Any]:
    """Return what `hillas` gives as name -> (dimension, values, attributes), for use in a larger Dataset."""
    charges, _ = batch(images, camera)
    chosen, _ = choice(selected, camera, len(charges))
    where = plane(camera, frame)
    out = np.full((moments.N_HILLAS, len(charges)), np.nan)
    moments.hillas(charges, *flags(chosen), where.x, where.y, where.density, bool(uncertainties), out)
    left_out = () if uncertainties else UNCERTAINTIES
    return described(dict(zip(hillas_names(frame), out, strict=True)), frame, left_out)


@lru_cache(maxsize=64)
def plane(camera: Camera, frame: Frame) -> Plane:
    """Return where the pixels are in a frame.

    Raises
    ------
    ValueError
        The frame is unknown, or the focal length is.
    """
    if frame not in {"telescope", "camera"}:
        msg = f"frame: expected 'telescope' or 'camera', found {frame!r}"
        raise ValueError(msg)
    if frame == "camera":
        x, y, scale = camera.pixel_x, camera.pixel_y, 1.0
    else:
        (x, y), scale = camera.telescope_frame(), float(np.degrees(1.0 / camera.focal_length))
    density = 1.0 / (camera.pixel_area * scale**2)
    return Plane(*map(frozen, (x, y, density, (camera.pixel_width * scale) ** 2)))


def camera_radius(camera: Camera, frame: Frame = "telescope") -> float:
    """Return the mean distance of the outermost pixels from the middle, in degrees or m."""
    x, y = plane(camera, frame)[:2]
    outer = camera.border(1)
    if not outer.any():
        outer = np.ones(camera.n_pixels, bool)
    return float(np.hypot(x[outer] - x.mean(), y[outer] - y.mean()).mean())


def hillas_names(frame: Frame) -> list[str]:
    """Return ctapipe's names of the parameters, in the order of the kernel."""
    if frame == "telescope":
        return [f"hillas_{name}" for name, _, _ in HILLAS]
    other = {"fov_lon": "x", "fov_lat": "y"}
    return [f"camera_frame_hillas_{other.get(name, name)}" for name, _, _ in HILLAS]


def described(columns: dict[str, NDArray[np.float64]], frame: Frame, left_out: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return columns of Hillas parameters with units and descriptions: name -> (dimension, values, attributes)."""
    found: dict[str, Any] = {}
    for (name, unit, long_name), (key, values) in zip(HILLAS, columns.items(), strict=True):
        if name not in left_out:
            length = unit == "deg" and not name.startswith(("phi", "psi"))
            found[key] = (
                "event",
                values,
                {"units": "m" if length and frame == "camera" else unit, "long_name": long_name},
            )
    return found
