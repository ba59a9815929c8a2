"""Circles through points: one, or several around the same centre; robust where points are found by a program.

Least squares of the distances from the circles (Gauss-Newton), from the algebraic fit of Pratt 1987, Comput. Graph. 21,
145 without its constraint (Kasa). The error is one standard deviation from the scatter of the points; where there are no
more points than unknowns, a point is taken to be right within 1 px.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.optimize import least_squares

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLICK: Final = 1.0  # px, of a point that nothing checks
TRIALS: Final = 300


class CircleFit(NamedTuple):
    """Circles around one centre.

    Parameters
    ----------
    x, y
        Centre, px.
    error_x, error_y
        One standard deviation, px.
    radii
        (ring,) px.
    drift
        Shift of a ring's centre for each px^2 of its radius, along x and y; (0, 0) without tilt.
    residual
        Root mean square distance of the points from their circles, px.
    """

    x: float
    y: float
    error_x: float
    error_y: float
    radii: NDArray[np.float64]
    drift: tuple[float, float]
    residual: float

    def distances(self, points: NDArray[np.float64], rings: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how far (point, 2) x and y are outside the circle of their ring, px; `rings` as in the fit."""
        _, which = np.unique(rings, return_inverse=True)
        centres = np.array([self.x, self.y]) + np.outer(self.radii[which] ** 2, self.drift)
        return np.asarray(np.hypot(*(points - centres).T) - self.radii[which])


def algebraic_circle(points: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return x, y and radius of the circle that fits (point, 2) x and y, by linear least squares.

    Raises
    ------
    ValueError
        The points lie on a line.
    """
    middle = points.mean(axis=0)
    scale = float(np.abs(points - middle).max()) or 1.0
    around = (points - middle) / scale
    terms = np.column_stack([2 * around, np.ones(len(around))])
    solution, _, rank, singular = np.linalg.lstsq(terms, (around**2).sum(axis=1), rcond=None)
    if rank < 3 or singular[-1] < 1e-9 * singular[0]:
        msg = "the points lie on a line, or are the same; choose points that are spread along a ring"
        raise ValueError(msg)
    x, y, rest = solution
    radius = math.sqrt(max(rest + x * x + y * y, 0.0)) * scale
    return float(x * scale + middle[0]), float(y * scale + middle[1]), radius


def fit_circles(
    points: NDArray[np.float64], rings: NDArray[np.int64] | None = None, *, tilt: bool = False
) -> CircleFit:
    """Fit circles around one centre.

    Parameters
    ----------
    points
        (point, 2) x and y, px.
    rings
        (point,) number of the ring of each, from 0; None: all on one.
    tilt
        Let the centres of the rings move along a line, in proportion to the square of their radius, as those of a tilted
        detector do (to first order); `x` and `y` are then the direct beam. Needs two rings.

    Raises
    ------
    ValueError
        There are too few points, they lie on a line, or a number is not finite.
    """
    where = np.asarray(points, np.float64)
    which = np.zeros(len(where), np.int64) if rings is None else np.asarray(rings, np.int64)
    if where.ndim != 2 or where.shape[1] != 2 or len(which) != len(where) or not np.isfinite(where).all():
        msg = f"expected finite points (point, 2) of x and y, found the shape {where.shape}"
        raise ValueError(msg)
    _, which = np.unique(which, return_inverse=True)
    count = int(which.max(initial=-1)) + 1
    if tilt and count < 2:
        msg = f"a tilt is seen only by comparing rings: expected points on two or more, found {count}"
        raise ValueError(msg)
    unknown = 2 + count + 2 * tilt
    if len(where) < unknown:
        msg = f"{count} ring{'s' if count != 1 else ''} around one centre need {unknown} points, found {len(where)}"
        raise ValueError(msg)
    start = _start(where, which, count)
    scale = float(start[2:].max()) or 1.0

    def residuals(values: NDArray[np.float64]) -> NDArray[np.float64]:
        centre, radii = values[:2], values[2 : 2 + count]
        drift = values[2 + count :] / scale if tilt else np.zeros(2)
        centres = centre + np.outer(radii[which] ** 2, drift)
        return np.asarray(np.hypot(*(where - centres).T) - radii[which])

    first = np.concatenate([start, np.zeros(2 * tilt)])
    found = least_squares(residuals, first, method="lm" if len(where) >= unknown else "trf")
    free = len(where) - unknown
    variance = 2 * found.cost / free if free else CLICK**2
    jacobian = np.asarray(found.jac)
    try:
        spread = np.diag(np.linalg.inv(jacobian.T @ jacobian)) * variance
    except np.linalg.LinAlgError:
        spread = np.full(unknown, math.nan)
    drift = found.x[2 + count :] / scale if tilt else (0.0, 0.0)
    return CircleFit(
        float(found.x[0]),
        float(found.x[1]),
        float(math.sqrt(spread[0])),
        float(math.sqrt(spread[1])),
        np.abs(found.x[2 : 2 + count]),
        (float(drift[0]), float(drift[1])),
        float(math.sqrt(2 * found.cost / len(where))),
    )


def _start(where: NDArray[np.float64], which: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Return a common centre and radii: of the ring with most points."""
    sizes = np.bincount(which, minlength=count)
    best = int(sizes.argmax())
    if sizes[best] >= 3:
        x, y, _ = algebraic_circle(where[which == best])
    else:  # two points on each ring: the linear problem with a constant for each
        terms = np.column_stack([2 * where, which[:, None] == np.arange(count)])
        solution, _, rank, _ = np.linalg.lstsq(terms, (where**2).sum(axis=1), rcond=None)
        if rank < 2 + count:
            msg = "the points do not determine a centre; choose points that are spread along the rings"
            raise ValueError(msg)
        x, y = solution[:2]
    far = np.hypot(where[:, 0] - x, where[:, 1] - y)
    return np.array([x, y, *(far[which == ring].mean() for ring in range(count))])


def on_circle(
    points: NDArray[np.float64], tolerance: float, rng: np.random.Generator, near: tuple[float, float], reach: float
) -> NDArray[np.bool_]:
    """Select the points that lie on one circle, by RANSAC (Fischler & Bolles 1981, Communications of the ACM 24, 381).

    Parameters
    ----------
    points
        (point, 2) x and y, px.
    tolerance
        Distance from the circle, px.
    rng
        Where the random triples come from.
    near, reach
        Circles whose centre is farther than `reach` from `near` are not tried, px.

    Returns
    -------
    NDArray[np.bool_]
        (point,); all false if there is no circle.
    """
    best, most = np.zeros(len(points), np.bool_), 0
    if len(points) < 3:
        return best
    triples = rng.integers(0, len(points), (TRIALS, 3))
    a, b, c = (points[triples[:, i]] for i in range(3))
    # Circumcentres of all triples at once.
    bx, by, cx, cy = b[:, 0] - a[:, 0], b[:, 1] - a[:, 1], c[:, 0] - a[:, 0], c[:, 1] - a[:, 1]
    twice = 2 * (bx * cy - by * cx)
    usable = np.abs(twice) > 1e-9
    twice[~usable] = 1.0
    b2, c2 = bx * bx + by * by, cx * cx + cy * cy
    x, y = a[:, 0] + (cy * b2 - by * c2) / twice, a[:, 1] + (bx * c2 - cx * b2) / twice
    usable &= np.hypot(x - near[0], y - near[1]) < reach
    for centre_x, centre_y, (px, py) in zip(x[usable], y[usable], a[usable], strict=True):
        radius = math.hypot(px - centre_x, py - centre_y)
        close = np.abs(np.hypot(points[:, 0] - centre_x, points[:, 1] - centre_y) - radius) < tolerance
        if (number := int(close.sum())) > most:
            best, most = close, number
    return best
