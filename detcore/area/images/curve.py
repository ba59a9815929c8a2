"""Straightens lines that are bent: rows or columns are shifted by a polynomial, as for the image of a spectrometer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

METHODS = ("roll", "vectorized", "ndimage")


def shifts(coefficients: Sequence[float], n: int) -> NDArray[np.float64]:
    """Return by how much each of n lines is shifted, px: the polynomial of its number, from its lowest value.

    Parameters
    ----------
    coefficients
        Highest power first.
    n
        How many lines.

    Raises
    ------
    ValueError
        There are none, or one is not finite.
    """
    factors = np.asarray(coefficients, np.float64)
    if factors.ndim != 1 or not factors.size or not np.isfinite(factors).all():
        msg = f"expected the coefficients of a polynomial, highest power first; found {coefficients!r:.120}"
        raise ValueError(msg)
    found = np.polyval(factors, np.arange(n))
    return np.asarray(found - found.min(), np.float64)


def straightened(
    image: NDArray[Any], coefficients: Sequence[float], axis: int = 0, method: str = "roll"
) -> NDArray[Any]:
    """Return an image with shifted lines.

    Parameters
    ----------
    image
        (y, x).
    coefficients
        See `shifts`.
    axis
        1: column x moves up by shift(x); 0: row y moves left by shift(y).
    method
        ``roll`` (and ``vectorized``, the same): whole pixels, what leaves on one side enters on the other; ``ndimage``:
        fractions of pixels, interpolated linearly, nan where there is nothing.

    Raises
    ------
    ValueError
        The method or the axis is unknown, or it is no image.
    """
    if method not in METHODS or axis not in {0, 1}:
        msg = f"expected axis 0 or 1 and one of {', '.join(METHODS)}; found {axis!r} and {method!r}"
        raise ValueError(msg)
    if image.ndim != 2:
        msg = f"lines are straightened in an image (y, x); found data of shape {image.shape}"
        raise ValueError(msg)
    columns = image if axis == 1 else image.T
    rows = len(columns)
    move = shifts(coefficients, columns.shape[1])
    places = np.arange(rows)[:, None] + (move if method == "ndimage" else np.rint(move))[None, :]
    if method != "ndimage":
        out = np.take_along_axis(columns, places.astype(np.intp) % rows, axis=0)
        return out if axis == 1 else out.T
    values = columns.astype(np.float64)
    below = np.floor(places).astype(np.intp)
    share = places - below
    low = np.take_along_axis(values, np.minimum(below, rows - 1), axis=0)
    high = np.take_along_axis(values, np.minimum(below + 1, rows - 1), axis=0)
    mixed = np.where(share == 0, low, low + (high - low) * share)
    out = np.where(places <= rows - 1, mixed, np.nan)
    return out if axis == 1 else out.T
