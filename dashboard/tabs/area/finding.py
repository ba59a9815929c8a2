"""The beam centre: from clicked points, from rings, automatically; and the distance from the rings of a calibrant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detcore import area

if TYPE_CHECKING:
    from dashboard.tabs.area.look import Look
    from dashboard.tabs.area.work import Work

NEEDED = {
    "points": "Pick at least one point first: press Pick points, then click the centre, or several places of one ring.",
    "distance": "The distance needs a beam centre, the photon energy and the pixel size: find the centre, then type the others.",
}


def find(work: Work, how: str, setup: area.Setup, look: Look) -> None:
    """Begin to look for the centre in the image that is shown.

    Parameters
    ----------
    work
        What there is, and where it is done.
    how
        points, rings, auto or distance.
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
    if how == "distance" and (geometry is None or geometry.energy is None or geometry.pixel_size is None):
        raise ValueError(NEEDED[how])
    good = area.good_pixels(evaluation.raster)
    values = np.asarray(picture.values, np.float32)
    points = np.array(work.points, np.float64).reshape(-1, 2)
    start = (geometry.x, geometry.y) if geometry is not None else None
    if how == "points":
        work.find(how, lambda: area.find_centre(values, points=points, method="points"))
    elif how == "distance":
        work.find(how, lambda: area.refine_distance(values, geometry, look.calibrant, good=good))
    else:
        work.find(how, lambda: area.find_centre(values, method=how, good=good, start=start if how == "rings" else None))
