"""Means of blocks of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def rebin(values: NDArray[Any], shape: Sequence[int], good: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return the mean of the valid pixels of each block.

    An axis that the new size does not divide is cut into parts of equal, fractional length: a pixel that lies in two
    parts counts in both by its share, so that the mean of the whole is kept.

    Parameters
    ----------
    values
        Any shape.
    shape
        Of the result: one size for each axis, none larger than that of `values`.
    good
        Pixels that count; None: all that are not nan.

    Returns
    -------
    ndarray
        float64 of `shape`; nan where no pixel of a block counts.

    Raises
    ------
    ValueError
        The shapes do not fit.

    Examples
    --------
    >>> rebin(np.arange(6.0).reshape(1, 6), (1, 3)).tolist()
    [[0.5, 2.5, 4.5]]
    >>> rebin(np.array([1.0, 2.0, 3.0]), (2,)).round(3).tolist()
    [1.333, 2.667]
    """
    target = tuple(int(size) for size in shape)
    if len(target) != values.ndim or any(not 1 <= new <= old for new, old in zip(target, values.shape, strict=False)):
        msg = f"rebin: expected {values.ndim} sizes from 1 to those of the data {values.shape}, found {target}"
        raise ValueError(msg)
    total = np.asarray(values, np.float64)
    use = ~np.isnan(total) if good is None else good & ~np.isnan(total)
    whole = bool(use.all())
    weight = None if whole else use.astype(np.float64)
    if not whole:
        total = np.where(use, total, 0.0)
    count = 1.0
    for axis, size in enumerate(target):
        count *= values.shape[axis] / size
        total = _summed(total, axis, size)
        weight = None if weight is None else _summed(weight, axis, size)
    if weight is None:
        return np.asarray(total / count)
    # Shares of pixels are rounded: a block without any may seem to hold 1e-17 of one.
    found: NDArray[np.float64] = np.divide(total, weight, out=np.full(target, np.nan), where=weight > 1e-9)
    return found


def _summed(values: NDArray[np.float64], axis: int, size: int) -> NDArray[np.float64]:
    """Sum the parts of an axis, cut into `size` of equal length."""
    old = values.shape[axis]
    if old == size:
        return values
    if old % size == 0:
        shape = (*values.shape[:axis], size, old // size, *values.shape[axis + 1 :])
        return np.asarray(values.reshape(shape).sum(axis=axis + 1))
    # Running sums at fractional positions.
    running = np.concatenate([np.zeros_like(values.take([0], axis)), np.cumsum(values, axis=axis)], axis=axis)
    place = np.arange(size + 1) * (old / size)
    below = np.minimum(place.astype(np.intp), old - 1)
    share = (place - below).reshape((-1,) + (1,) * (values.ndim - axis - 1))
    low, high = running.take(below, axis), running.take(below + 1, axis)
    return np.asarray(np.diff(low + (high - low) * share, axis=axis))
