"""Muon rings: circles fitted to images, and how well they are rings. Formulas, names and units of ctapipe 0.28."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

import numpy as np
import xarray as xr

from detcore.dl1.images import rings
from detcore.dl1.images.cleaning import batch, choice, frozen
from detcore.dl1.images.hillas import camera_radius, plane

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from detcore.dl1.images.geometry import Camera

Method = Literal["kundu_chaudhuri", "taubin", "kundu_chaudhuri_taubin"]
ITERATIONS: Final = 3
NEAR: Final = 0.4  # of the radius: pixels that the next iteration uses
RING: Final = (
    ("center_fov_lon", "deg", "centre of the ring, longitude"),
    ("center_fov_lat", "deg", "centre of the ring, latitude"),
    ("radius", "deg", "radius of the ring"),
    ("center_fov_lon_err", "deg", "standard deviation of the longitude"),
    ("center_fov_lat_err", "deg", "standard deviation of the latitude"),
    ("radius_err", "deg", "standard deviation of the radius"),
    ("center_phi", "deg", "polar angle of the centre"),
    ("center_distance", "deg", "distance of the centre from the axis of the telescope"),
)
QUALITY: Final = (  # in the order of the kernel, after containment
    ("containment", "", "part of the ring that is inside of the camera"),
    ("completeness", "", "part of 30 sectors with enough charge"),
    ("intensity_ratio", "", "charge of selected pixels on the ring, fraction"),
    ("mean_squared_error", "deg2", "mean squared distance of selected pixels from the ring, weighted by charge"),
    ("ring_intensity", "p.e.", "charge of all pixels near the ring"),
    ("intensity_outside_ring", "p.e.", "charge of selected pixels away from the ring"),
    ("n_pixels_in_ring", "", "selected pixels near the ring"),
    ("mean_intensity_outside_ring", "p.e.", "mean charge of all pixels just inside and outside of that area"),
    ("radial_std_dev", "deg", "standard deviation of the distance of light from the centre"),
    ("skewness", "", "skewness of that distance"),
    ("excess_kurtosis", "", "excess kurtosis of that distance"),
)


class Circle(NamedTuple):
    """Circles and their standard deviations, (event,) each, degrees."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    radius: NDArray[np.float64]
    x_err: NDArray[np.float64]
    y_err: NDArray[np.float64]
    radius_err: NDArray[np.float64]


def muon_ring(
    images: ArrayLike,
    selected: ArrayLike,
    camera: Camera,
    method: Method = "kundu_chaudhuri_taubin",
    *,
    completeness_threshold: float = 30.0,
    ratio_width: float = 1.5,
    ring_integration_width: float = 0.25,
    outer_ring_width: float = 0.2,
) -> xr.Dataset:
    """Fit rings to images.

    Three times: the first time to the selected pixels, then to all that are within 40 percent of the radius from the
    ring. Which images are worth it is up to the caller; ctapipe asks for more than 100 pixels and 500 p.e.

    Parameters
    ----------
    images
        (event, pixel) or (pixel,), p.e.
    selected
        The same shape, bool.
    camera
        Whose pixels these are; with a focal length.
    method
        "kundu_chaudhuri": centre by linear equations, weighted by charge. "taubin": algebraic distance over its
        gradient, without weights. "kundu_chaudhuri_taubin", ctapipe's usual: the same weighted by charge.
    completeness_threshold
        Charge that a sector of 12 degrees needs, p.e.
    ratio_width
        Width of the ring for intensity_ratio, in pixels.
    ring_integration_width, outer_ring_width
        Half width of the area near the ring, and width of the strips beside it, in radii.

    Returns
    -------
    Dataset
        Along ``event``: muonring_{center_fov_lon, center_fov_lat, radius} and these with _err, muonring_center_phi,
        muonring_center_distance, deg; muonparameters_{containment, completeness, intensity_ratio, mean_squared_error,
        ring_intensity, intensity_outside_ring, n_pixels_in_ring, mean_intensity_outside_ring, radial_std_dev, skewness,
        excess_kurtosis}. All nan (and -1 pixels) where there is no ring: fewer than three pixels, or in a line.

    Raises
    ------
    ValueError
        Shapes do not fit, the method is unknown, or the focal length is.

    Notes
    -----
    Chaudhuri and Kundu, Pattern Recognition Letters 14 (1993) 1; Taubin, IEEE PAMI 13 (1991) 1115. The latter's loss is a
    ratio of two quadratic forms of the centre, once the radius is put in that is best for it; so its least value is the
    smallest of three eigenvalues, and no search is needed.
    """
    if method not in get_args(Method):
        msg = f"method: expected one of {', '.join(get_args(Method))}; found {method!r}"
        raise ValueError(msg)
    charges, _ = batch(images, camera)
    chosen, _ = choice(selected, camera, len(charges))
    where = plane(camera, "telescope")
    used = chosen
    circle = _fit(charges, used, where.x, where.y, method)
    for _ in range(ITERATIONS - 1):
        nearer = np.zeros(chosen.shape, bool)
        rings.near(where.x, where.y, circle.x, circle.y, circle.radius, NEAR, nearer)
        used = frozen(nearer)
        circle = _fit(charges, used, where.x, where.y, method)
    features = np.full((len(QUALITY), len(charges)), np.nan)
    widths = (float(completeness_threshold), float(ratio_width), float(ring_integration_width), float(outer_ring_width))
    rings.features(
        charges, chosen, where.x, where.y, where.reach, circle.x, circle.y, circle.radius, *widths, features[1:]
    )
    distance = np.hypot(circle.x, circle.y)
    features[0] = _containment(circle.radius, distance, camera_radius(camera))
    values = (*circle, np.degrees(np.arctan2(circle.y, circle.x)), distance)
    found: dict[str, Any] = {}
    for prefix, names, columns in (("muonring", RING, values), ("muonparameters", QUALITY, features)):
        for (name, unit, text), column in zip(names, columns, strict=True):
            numbers = np.where(np.isnan(column), -1, column).astype(np.int64) if name.startswith("n_") else column
            found[f"{prefix}_{name}"] = ("event", numbers, {"units": unit, "long_name": text})
    return xr.Dataset(found, attrs={"frame": "telescope", "method": method})


def _fit(
    charges: NDArray[Any], used: NDArray[np.bool_], x: NDArray[np.float64], y: NDArray[np.float64], method: Method
) -> Circle:
    sums = np.full((rings.N_SUMS, len(charges)), np.nan)
    rings.sums(charges, used, x, y, method != "taubin", sums)
    circle = _chaudhuri(sums) if method == "kundu_chaudhuri" else _taubin(sums)
    if method == "kundu_chaudhuri":
        error = np.full(len(charges), np.nan)
        rings.naive_error(charges, used, x, y, circle.x, circle.y, circle.radius, error)
        circle = circle._replace(x_err=error, y_err=error, radius_err=error / 2)
    return circle


def _chaudhuri(sums: NDArray[np.float64]) -> Circle:
    """Solve the two linear equations of the centre; coordinates are relative to the mean."""
    s, mx, my, xx, xy, yy, zx, zy = sums[:8]
    nan = np.full_like(s, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        det = xx * yy - xy * xy
        flat = ~(det > 1e-12 * (xx + yy) ** 2)  # in a line
        a = np.where(flat, np.nan, 0.5 * (yy * zx - xy * zy) / det)
        b = np.where(flat, np.nan, 0.5 * (xx * zy - xy * zx) / det)
        radius = np.sqrt(a * a + b * b + (xx + yy) / s)
    return Circle(mx + a, my + b, radius, nan, nan, nan)


def _taubin(sums: NDArray[np.float64]) -> Circle:
    """Minimise sum (w (d2 - r2))2 / sum w d2 over centre and radius, d the distance from the centre.

    For any centre (a, b) the best r2 is the mean of d2 with weights w2, which leaves the variance of z - 2 a x - 2 b y
    (z = x2 + y2) above a sum that has no mixed terms in coordinates relative to the mean: u A u / u B u with
    u = (1, a, b) and B diagonal. Errors: where the loss is larger by 1, from its second derivatives.
    """
    s, mx, my, xx, _, yy = sums[:6]
    n, x1, y1, z1, x2, xy2, y2, xz, yz, zz = sums[8:]
    fine = np.isfinite(sums).all(axis=0) & (s > 0) & (xx + yy > 0) & (n > 0)
    fine &= x2 * y2 - xy2 * xy2 > 1e-12 * (x2 + y2) ** 2
    columns = [np.full(s.shape, np.nan) for _ in range(6)]
    if fine.any():
        s, mx, my, xx, yy, n, x1, y1, z1, x2, xy2, y2, xz, yz, zz = (
            values[fine] for values in (s, mx, my, xx, yy, n, x1, y1, z1, x2, xy2, y2, xz, yz, zz)
        )
        first = np.stack([z1, -2 * x1, -2 * y1], axis=-1)
        second = _symmetric(zz, -2 * xz, -2 * yz, 4 * x2, 4 * xy2, 4 * y2)
        form = second - first[:, :, None] * first[:, None, :] / n[:, None, None]
        scale = 1 / np.sqrt(np.stack([xx + yy, s, s], axis=-1))
        values, vectors = np.linalg.eigh(scale[:, :, None] * form * scale[:, None, :])
        u = scale * vectors[:, :, 0]
        with np.errstate(invalid="ignore", divide="ignore"):
            a, b = u[:, 1] / u[:, 0], u[:, 2] / u[:, 0]
            radius = np.sqrt((z1 - 2 * a * x1 - 2 * b * y1) / n + a * a + b * b)
            loss, below = np.maximum(values[:, 0], 0), xx + yy + (a * a + b * b) * s
            dx, dy = x1 - a * n, y1 - b * n
            dxx, dxy, dyy = x2 - 2 * a * x1 + a * a * n, xy2 - a * y1 - b * x1 + a * b * n, y2 - 2 * b * y1 + b * b * n
            bent = 2 * loss * s
            hessian = _symmetric(
                8 * dxx - bent, 8 * dxy, 8 * radius * dx, 8 * dyy - bent, 8 * radius * dy, 8 * radius**2 * n
            )
            hessian = hessian / below[:, None, None]
        errors = np.full((len(s), 3), np.nan)
        usable = np.isfinite(hessian).all(axis=(1, 2))
        usable[usable] = np.linalg.cond(hessian[usable]) < 1e12
        variance = 2 * np.diagonal(np.linalg.inv(hessian[usable]), axis1=1, axis2=2)
        errors[usable] = np.sqrt(np.where(variance > 0, variance, np.nan))
        for column, found in zip(columns, (mx + a, my + b, radius, *errors.T), strict=True):
            column[fine] = found
    return Circle(*columns)


def _symmetric(*upper: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (event, 3, 3) from the upper triangle, row by row."""
    a, b, c, d, e, f = upper
    return np.stack([np.stack(row, axis=-1) for row in ((a, b, c), (b, d, e), (c, e, f))], axis=-2)


def _containment(radius: NDArray[np.float64], distance: NDArray[np.float64], camera: float) -> NDArray[np.float64]:
    """Return which part of a ring is inside of a round camera."""
    with np.errstate(invalid="ignore", divide="ignore"):
        a = (radius**2 - camera**2 + distance**2) / (2 * distance)
        part = np.arccos(np.clip(a / radius, -1, 1)) / np.pi
        part[distance <= np.abs(camera - radius)] = 1.0
        part[distance > radius + camera] = 0.0
    return part
