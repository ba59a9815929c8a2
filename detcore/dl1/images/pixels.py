"""Pixels that are dead or noisy: find them in statistics over many events, and fill them from their neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numba import njit

from detcore.dl1.images.cleaning import batch, choice, frozen

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from detcore.dl1.images.geometry import Camera

DEAD, NOISY = 2, 16  # bits 1 and 4 of a pixel mask (NeXus NXdetector)
MAD: Final = 1.4826  # from the median absolute deviation to the standard deviation of a Gaussian


def bad_pixels(
    mean: ArrayLike,
    std: ArrayLike,
    count: ArrayLike | None = None,
    occupancy: ArrayLike | None = None,
    *,
    dead_fraction: float = 0.2,
    n_sigma: float = 6.0,
) -> pd.DataFrame:
    """Find the pixels that are dead or noisy.

    A pixel is dead if it has no values, or they hardly vary: standard deviation below a fraction of the median of all
    pixels. It is noisy if its mean, standard deviation or occupancy is far above the others': more than so many
    standard deviations above the median, where that deviation comes from the median absolute deviation.

    Parameters
    ----------
    mean, std
        (pixel,) of the charges of many events, p.e.
    count
        (pixel,) how many values there were; without, all have some.
    occupancy
        (pixel,) fraction of events in which the pixel was selected, or above a threshold.
    dead_fraction
        Of the median standard deviation.
    n_sigma
        How far is far.

    Returns
    -------
    DataFrame
        By ``pixel``: mean, std, dead, noisy (bool), pixel_mask (0 good, 2 dead, 16 noisy, as NeXus has it) and reason
        in words.

    Raises
    ------
    ValueError
        The shapes do not fit.
    """
    columns: dict[str, NDArray[Any]] = {"mean": np.asarray(mean, np.float64), "std": np.asarray(std, np.float64)}
    if occupancy is not None:
        columns["occupancy"] = np.asarray(occupancy, np.float64)
    number = np.ones(columns["mean"].shape) if count is None else np.asarray(count)
    shapes = {values.shape for values in (*columns.values(), number)}
    if len(shapes) > 1 or columns["mean"].ndim != 1:
        msg = f"mean, std, count, occupancy: expected one number for each pixel, found shapes {sorted(shapes)}"
        raise ValueError(msg)
    empty = (number == 0) | ~np.isfinite(columns["mean"]) | ~np.isfinite(columns["std"])
    spread = columns["std"][~empty]
    usual = float(np.median(spread)) if spread.size else 0.0
    still = ~empty & (columns["std"] <= dead_fraction * usual)
    reasons = [("no values", empty), ("does not vary", still)]
    alive = ~(empty | still)
    for name, values in columns.items():
        reasons.append((f"{name} far above the others'", alive & _far_above(values, alive, n_sigma)))
    dead = empty | still
    noisy = np.zeros(dead.shape, bool)
    for _, found in reasons[2:]:
        noisy |= found
    words = ["; ".join(text for text, found in reasons if found[pixel]) for pixel in range(len(dead))]
    table = pd.DataFrame({**columns, "dead": dead, "noisy": noisy})
    table["pixel_mask"] = (DEAD * dead + NOISY * noisy).astype(np.uint32)
    table["reason"] = words
    table.attrs["units"] = {"mean": "p.e.", "std": "p.e."}
    return table.rename_axis("pixel")


def interpolate(images: ArrayLike, bad: ArrayLike, camera: Camera) -> NDArray[Any]:
    """Give pixels the mean of their good neighbours.

    Parameters
    ----------
    images
        (event, pixel) or (pixel,): charges, p.e., or times, ns.
    bad
        (pixel,) bool; or (event, pixel) if it is not the same for all.
    camera
        Whose pixels these are.

    Returns
    -------
    array
        Copy of `images`, float32 if that is, else float64. Bad pixels without a good neighbour are 0. The same as of
        ctapipe's ``NeighborAverage``.

    Raises
    ------
    ValueError
        The shapes do not fit.
    """
    given, single = batch(images, camera)
    wrong, same = choice(bad, camera)
    if not same and len(wrong) != len(given):
        msg = f"bad: expected (pixel,) or {given.shape}, found {wrong.shape}"
        raise ValueError(msg)
    filled = given.copy()
    indptr, indices = camera.neighbours
    _fill(given, wrong, indptr, indices, filled)
    return filled[0] if single else filled


def good_neighbours(bad: ArrayLike, camera: Camera) -> NDArray[np.int64]:
    """Count the good neighbours of each pixel: 0 means that `interpolate` has nothing to go by.

    Parameters
    ----------
    bad
        (pixel,) bool.
    camera
        Whose pixels these are.

    Returns
    -------
    array
        (pixel,) int64.
    """
    wrong = choice(bad, camera)[0][0]
    indptr, indices = camera.neighbours
    running = np.concatenate([[0], np.cumsum(~wrong[indices])])
    return frozen(running[indptr[1:]] - running[indptr[:-1]])


def _far_above(values: NDArray[np.float64], use: NDArray[np.bool_], n_sigma: float) -> NDArray[np.bool_]:
    used = values[use & np.isfinite(values)]
    if not used.size:
        return np.zeros(values.shape, bool)
    centre = float(np.median(used))
    sigma = MAD * float(np.median(np.abs(used - centre)))
    # where most pixels are equal any difference would be far: then it takes as much as the value itself
    sigma = sigma or max(abs(centre), np.finfo(np.float64).tiny) / n_sigma
    return np.asarray(values > centre + n_sigma * sigma)


@njit(cache=True, nogil=True)
def _fill(images, bad, indptr, indices, filled):  # type: ignore[no-untyped-def]
    """Write means of good neighbours: images, filled (image, pixel), bad (image or 1, pixel)."""
    for image in range(len(images)):
        row = image if len(bad) > 1 else 0
        for pixel in range(images.shape[1]):
            if bad[row, pixel]:
                total, n = 0.0, 0
                for link in range(indptr[pixel], indptr[pixel + 1]):
                    if not bad[row, indices[link]]:
                        total += images[image, indices[link]]
                        n += 1
                filled[image, pixel] = total / n if n else 0.0
