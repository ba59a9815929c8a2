"""Where the beam is: from picked points, from rings that a program finds, or without any hint.

*auto* needs no parameter. A pattern of rings is the same when it is turned by half a turn around the beam, so the image
convolved with itself peaks at twice the centre; the best peaks are then moved until rings around them explain as much of
the image as they can. *rings* starts there, finds points on the rings sector by sector, drops those that lie on no circle
and fits all circles around one centre. *points* fits what was picked: one point is the centre itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from detcore.area.images.autocentre import automatic, profile_peaks
from detcore.area.images.azimuthal import integrate
from detcore.area.images.circlefit import CircleFit, fit_circles, on_circle
from detcore.area.images.geometry import Geometry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

Method = Literal["auto", "rings", "points"]
SECTORS: Final = 360
ARC: Final = 8.0  # px of a ring that make one point, at least
JOINED: Final = (1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 15, 18, 20, 24)  # so many sectors may become one
MAX_RINGS: Final = 10
MIN_POINTS: Final = 12  # of a ring
INLIERS: Final = 0.45  # of a ring's points
TOLERANCE: Final = 2.0  # px
TRIMS: Final = 5
TOO_LARGE: Final = 1e15  # no intensity; squares of it must not overflow


@dataclass(frozen=True, eq=False)
class Centre:
    """A centre that was found, and how.

    Parameters
    ----------
    x, y
        Column and row, px, pixel centres at whole numbers.
    error_x, error_y
        One standard deviation, px; not a number if it is not known.
    method
        auto, rings or points.
    radii
        (ring,) px, ascending.
    points
        (point, 2) x and y that were used, px.
    residual
        Root mean square distance of the points from their rings, px.
    drift
        Shift of a ring's centre for each px^2 of its radius, along x and y: tilt over distance, to first order.
    score
        Of *auto*: part of the image's variance that rings explain.
    """

    x: float
    y: float
    error_x: float = math.nan
    error_y: float = math.nan
    method: Method = "points"
    radii: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    points: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    residual: float = math.nan
    drift: tuple[float, float] = (0.0, 0.0)
    score: float = math.nan

    @property
    def error(self) -> float:
        """One standard deviation of either coordinate, px: the root of the mean of both squares."""
        return math.sqrt((self.error_x**2 + self.error_y**2) / 2)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, for a table or JSON."""
        names = ("x", "y", "error_x", "error_y", "method", "residual", "score")
        found = {name: getattr(self, name) for name in names}
        return found | {"error": self.error, "drift": list(self.drift), "radii": self.radii.tolist()}


def find_centre(
    image: ArrayLike,
    points: ArrayLike | Sequence[ArrayLike] | None = None,
    method: Method = "auto",
    *,
    good: ArrayLike | None = None,
    tilt: bool = False,
    start: tuple[float, float] | None = None,
    rings: int = MAX_RINGS,
) -> Centre:
    """Find the direct beam.

    Parameters
    ----------
    image
        (y, x). Pixels that are not a number do not count. Not looked at for *points*.
    points
        (point, 2) x and y of points on one ring, or a list of such, one for each ring; given, the method is *points*.
    method
        auto, rings or points.
    good
        (y, x) boolean: pixels that count; leave out gaps, the beam stop and broken pixels.
    tilt
        Of *rings* and *points* on several rings: also fit how the rings drift, as on a tilted detector.
    start
        Of *rings*: (x, y) near the centre instead of the automatic one, px.
    rings
        Of *rings*: at most so many, the strongest.

    Returns
    -------
    Centre
        `.x`, `.y`, `.error`, and more.

    Raises
    ------
    ValueError
        The image has no rings, the points are too few, or the shapes do not fit.

    Examples
    --------
    >>> find_centre(np.zeros((9, 9)), points=[(5, 2), (8, 5), (5, 8), (2, 5)]).radii.round(3)
    array([3.])
    """
    if points is not None or method == "points":
        return _from_points(points, tilt=tilt)
    if method not in {"auto", "rings"}:
        msg = f"method is {method!r}; expected auto, rings or points"
        raise ValueError(msg)
    pixels, selected = checked_image(image, good)
    if method == "auto":
        found = automatic(pixels, selected)
        return Centre(found.x, found.y, found.error_x, found.error_y, "auto", found.radii, score=found.score)
    if start is None:
        begin = automatic(pixels, selected)
        start = (begin.x, begin.y)
    return _from_rings(pixels, selected, start, tilt=tilt, rings=rings)


def checked_image(image: ArrayLike, good: ArrayLike | None) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return (y, x) float32 and which pixels count.

    Raises
    ------
    ValueError
        It is no image, the mask does not fit, or there is nothing to see.
    """
    pixels = np.asarray(image)
    if pixels.ndim != 2 or pixels.dtype.kind not in "buif":
        msg = f"expected an image (y, x) of numbers, found {pixels.dtype} of the shape {pixels.shape}"
        raise ValueError(msg)
    with np.errstate(over="ignore", invalid="ignore"):
        pixels = pixels.astype(np.float32)
        selected = np.abs(pixels) < TOO_LARGE  # false for what is not a number
    pixels = np.where(selected, pixels, np.float32(0))
    if good is not None:
        given = np.asarray(good)
        if given.shape != pixels.shape or given.dtype != np.bool_:
            msg = f"good: expected true and false of the shape {pixels.shape}, found {given.dtype} of {given.shape}"
            raise ValueError(msg)
        selected = selected & given
    if selected.sum() < 64:
        msg = f"only {int(selected.sum())} pixels count; there is nothing to find a centre in: check the mask"
        raise ValueError(msg)
    values = pixels[selected]
    if values.min() == values.max():
        msg = f"all pixels that count are {values.flat[0]:g}: the image is flat; take one with rings"
        raise ValueError(msg)
    return pixels, selected


def _from_points(points: Any, *, tilt: bool) -> Centre:
    if points is None or len(points) == 0:
        msg = "method 'points' needs points: one (the centre), or at least three on a ring"
        raise ValueError(msg)
    if isinstance(points, (list, tuple)) and np.ndim(points[0]) == 2:
        groups = [np.asarray(one, np.float64) for one in points]
    elif isinstance(points, (list, tuple)) and len(points) == 2 and np.ndim(points[0]) == 0:
        groups = [np.array([points], np.float64)]  # (x, y) alone
    else:
        groups = [np.asarray(points, np.float64)]
    for one in groups:
        if one.ndim != 2 or one.shape[1] != 2 or not np.isfinite(one).all():
            msg = f"points: expected finite (x, y) pairs, found the shape {one.shape}"
            raise ValueError(msg)
    where = np.concatenate(groups)
    which = np.repeat(np.arange(len(groups)), [len(one) for one in groups])
    if len(where) == 1:
        return Centre(float(where[0, 0]), float(where[0, 1]), 1.0, 1.0, points=where)
    if len(groups) == 1 and len(where) == 2:
        msg = "two points do not tell a centre; pick one (the centre itself), or at least three on a ring"
        raise ValueError(msg)
    return _centre(fit_circles(where, which, tilt=tilt), where, "points")


def _centre(fit: CircleFit, points: NDArray[np.float64], method: Method) -> Centre:
    return Centre(
        fit.x, fit.y, fit.error_x, fit.error_y, method, np.sort(fit.radii), points, fit.residual, fit.drift
    )  # fmt: skip


def _from_rings(
    pixels: NDArray[np.float32], good: NDArray[np.bool_], start: tuple[float, float], *, tilt: bool, rings: int
) -> Centre:
    """Find points on rings around a first centre, and fit circles; twice, the second time around the better centre."""
    fit: CircleFit | None = None
    for _ in range(2):
        where, which = ring_points(pixels, good, start, rings)
        rng = np.random.default_rng(1)
        kept = np.zeros(len(where), np.bool_)
        for ring in np.unique(which):
            mine = np.flatnonzero(which == ring)
            on = on_circle(where[mine], TOLERANCE, rng, start, 0.1 * max(pixels.shape) + 20)
            if on.sum() >= max(MIN_POINTS, INLIERS * len(mine)):
                kept[mine[on]] = True
        if not kept.any():
            msg = "no ring has enough points on a circle; give points by hand, or a better start"
            raise ValueError(msg)
        where, which = where[kept], which[kept]
        tilted = tilt and len(np.unique(which)) > 1
        fit = fit_circles(where, which, tilt=tilted)
        for _ in range(TRIMS):  # points that another ring or a gap has drawn aside
            far = np.abs(fit.distances(where, which))
            close = far <= max(3 * 1.4826 * float(np.median(far)), 0.2)
            if close.all() or close.sum() < MIN_POINTS:
                break
            where, which = where[close], which[close]
            fit = fit_circles(where, which, tilt=tilted and len(np.unique(which)) > 1)
        start = (fit.x, fit.y)
    assert fit is not None
    return _centre(fit, where, "rings")


def ring_points(
    pixels: NDArray[np.float32], good: NDArray[np.bool_], centre: tuple[float, float], rings: int = MAX_RINGS
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find points on rings: in each of many sectors, the brightest place near the radius of each ring.

    Returns
    -------
    points : NDArray[np.float64]
        (point, 2) x and y, px.
    ring : NDArray[np.int64]
        (point,) number of the ring of each, from 0.

    Raises
    ------
    ValueError
        There is no ring around that centre.
    """
    geometry = Geometry(x=centre[0], y=centre[1])
    corners = np.hypot(*np.array([(x, y) for x in (0, pixels.shape[1] - 1) for y in (0, pixels.shape[0] - 1)]).T
                       - np.array(centre)[:, None])  # fmt: skip
    edges = np.arange(0.0, corners.max() + 2)
    seen = integrate(pixels, geometry, good=good, edges=tuple(edges), unit="radius", sectors=SECTORS, errors=None)
    cake, n = seen["intensity"].values, seen["n_valid"].values
    sums = np.where(n > 0, cake * n, 0.0)
    total = sums.sum(axis=0)
    counts = n.sum(axis=0)
    profile = np.divide(total, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    peaks = profile_peaks(profile, counts)[:rings]
    if len(peaks) == 0:
        msg = f"no ring around ({centre[0]:.1f}, {centre[1]:.1f}); give points by hand, or a better start"
        raise ValueError(msg)
    peaks = np.sort(peaks)
    angles = seen["azimuth"].values
    found: list[tuple[float, float, int]] = []
    for ring, radius in enumerate(peaks):
        others = np.abs(np.delete(peaks, ring) - radius)
        reach = int(min(max(6.0, 0.015 * radius), (others.min() if len(others) else math.inf) / 2))
        joined = next((one for one in JOINED if one * 2 * math.pi * radius / SECTORS >= ARC), JOINED[-1])
        parts = (SECTORS // joined, joined, -1)
        ours, several = sums.reshape(parts).sum(axis=1), n.reshape(parts).sum(axis=1)
        lines = np.divide(ours, several, out=np.full(ours.shape, math.nan), where=several > 0)
        middle = np.radians(angles.reshape(parts[:2]).mean(axis=1))
        for place, angle in brightest(lines, several, int(radius), max(reach, 2), middle):
            found.append((centre[0] + place * math.cos(angle), centre[1] + place * math.sin(angle), ring))
    points = np.array([one[:2] for one in found]).reshape(-1, 2)
    return points, np.array([one[2] for one in found], np.int64)


def brightest(
    cake: NDArray[np.float64], n: NDArray[np.int64], radius: int, reach: int, angles: NDArray[np.float64]
) -> list[tuple[float, float]]:
    """Return radius and angle of the peak of each sector that has one in its window, px and rad."""
    low, high = max(radius - reach, 0), min(radius + reach + 1, cake.shape[1])
    window = cake[:, low:high]
    whole = (n[:, low:high] > 0).all(axis=1)
    found = []
    for sector in np.flatnonzero(whole):
        line = window[sector] - np.percentile(window[sector], 20)
        top = int(line.argmax())
        step = np.abs(np.diff(line))
        noise = 1.4826 / math.sqrt(2) * float(np.median(step))
        if not 0 < top < len(line) - 1 or line[top] <= max(3 * noise, 0):
            continue
        above = np.flatnonzero(line <= line[top] / 2)  # the part around the top that is above half of it
        first = int(above[above < top].max(initial=-1)) + 1
        end = int(above[above > top].min(initial=len(line)))
        weight = line[first:end] - line[top] / 2
        place = low + 0.5 + float(np.average(np.arange(first, end), weights=weight))
        found.append((place, float(angles[sector])))
    return found
