"""The beam centre: from clicked points, from rings, automatically; and the distance from the rings of a calibrant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from detcore import area
from detcore.image import good_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dashboard.tabs.area.look import Look
    from dashboard.tabs.area.work import Work

NEEDED = {
    "points": "Pick at least one point first: press Pick points, then click the centre, or several places of one ring.",
    "distance": "The distance needs a beam centre, the photon energy and the pixel size: find the centre, then type the others.",
}


def find(work: Work, how: Any, setup: area.Setup, look: Look) -> None:
    """Begin to look for the centre in the image that is shown.

    Parameters
    ----------
    work
        What there is, and where it is done.
    how
        points, rings, auto; distance or tilt, with the rings of the calibrant.
    setup
        With the mask and the geometry there is.
    look
        Says which calibrant.

    Raises
    ------
    ValueError
        Something is missing; says what to do.
    """
    picture, evaluation = work.picture, work.evaluation
    if picture is None or evaluation is None or evaluation.raster is None:
        msg = "There is no image yet: wait for it."
        raise ValueError(msg)
    geometry = setup.geometry
    if how == "points" and not work.points:
        raise ValueError(NEEDED[how])
    if how in {"distance", "tilt"} and (geometry is None or geometry.energy is None or geometry.pixel_size is None):
        raise ValueError(NEEDED["distance"])
    good = good_pixels(evaluation.raster)
    values = np.asarray(picture.values, np.float32)
    points = np.array(work.points, np.float64).reshape(-1, 2)
    start = (geometry.x, geometry.y) if geometry is not None else None
    if how == "points":
        work.find(how, lambda: area.find_centre(values, points=points, method="points"))
    elif geometry is not None and how in {"distance", "tilt"}:
        work.find(how, lambda: refined(values, geometry, look.calibrant, good, tilt=how == "tilt"))
    else:
        work.find(how, lambda: area.find_centre(values, method=how, good=good, start=start if how == "rings" else None))


def refined(
    values: NDArray[np.float32], geometry: area.Geometry, powder: str, good: NDArray[np.bool_], *, tilt: bool
) -> Any:
    """Return what the rings of a calibrant tell: first the distance by their radii, then everything by their points.

    Raises
    ------
    ValueError
        The rings are not those of the calibrant.
    """
    free: Any = ("x", "y", "distance", "rot1", "rot2") if tilt else ("x", "y", "distance")
    try:
        if geometry.distance is not None:
            return area.calibrate(values, geometry, powder, good=good, free=free)
    except ValueError:
        pass  # it may be far from the right distance
    radii = area.find_centre(values, method="rings", good=good, start=(geometry.x, geometry.y)).radii
    start = geometry.with_(distance=area.match_distance(radii, geometry, powder))
    return area.calibrate(values, start, powder, good=good, free=free)
