"""Spatial autocorrelation of masked images by Fourier transforms.

`masked_autocorrelation` is the symmetric normalisation: with the image I (0 where masked) and the mask M (1 or 0),

    A(s) = sum I(x) I(x+s) * sum M(x) M(x+s) / (sum I(x) M(x+s) * sum M(x) I(x+s)),

so that an image without structure gives 1 for every shift, whatever the shape of the mask. Images are padded with
zeros: no shift wraps around.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import fft, ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST = 0.5  # pairs of pixels: below that a transform of 0 pairs is rounding


def box_of(selected: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the smallest window of (y, x) around true values.

    Raises
    ------
    ValueError
        There is none.
    """
    rows, columns = np.flatnonzero(selected.any(axis=1)), np.flatnonzero(selected.any(axis=0))
    if not len(rows):
        msg = f"a mask of an autocorrelation selects no pixel of {selected.shape}; 1 is selected"
        raise ValueError(msg)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _padded(shape: tuple[int, ...]) -> tuple[int, int]:
    return fft.next_fast_len(2 * shape[0] - 1, real=True), fft.next_fast_len(2 * shape[1] - 1, real=True)


def _centred(product: NDArray[Any], size: tuple[int, int], reach: tuple[int, int]) -> NDArray[Any]:
    """Transform back; shifts -reach to reach - 1 of each axis."""
    found = fft.irfft2(product, size)
    rows, columns = (np.arange(-one, one) for one in reach)
    return np.asarray(found[rows[:, None], columns[None, :]])


def masked_autocorrelation(
    image: NDArray[Any], good: NDArray[np.bool_] | None = None, reach: tuple[int, int] | None = None
) -> NDArray[np.float64]:
    """Return the normalised autocorrelation of an image.

    Parameters
    ----------
    image
        (y, x); nan does not count.
    good
        Pixels that count.
    reach
        Largest shifts (y, x), px, each at most the size minus 1; the default.

    Returns
    -------
    ndarray
        (2 reach y, 2 reach x) float64; shift 0 is at [reach y, reach x]. nan where no two pixels are that far apart, or
        their mean is zero.

    Examples
    --------
    >>> found = masked_autocorrelation(np.ones((4, 4)))
    >>> found.shape, bool(np.allclose(found, 1))
    ((6, 6), True)
    """
    use = ~np.isnan(image) if good is None else good & ~np.isnan(image)
    window = box_of(use)
    mask = use[window].astype(np.float64)
    values = np.where(use[window], image[window], 0.0).astype(np.float64)
    # The scale cancels; without it, large values drown the rounding of small ones.
    scale = np.abs(values).max(initial=0.0)
    values = values / scale if scale else values
    asked = reach or (values.shape[0] - 1, values.shape[1] - 1)
    reach = min(asked[0], values.shape[0] - 1), min(asked[1], values.shape[1] - 1)
    size = _padded(values.shape)
    of_values, of_mask = fft.rfft2(values, size), fft.rfft2(mask, size)
    own = _centred(np.conj(of_values) * of_values, size, reach)
    pairs = _centred(np.conj(of_mask) * of_mask, size, reach)
    first = _centred(np.conj(of_values) * of_mask, size, reach)
    second = _centred(np.conj(of_mask) * of_values, size, reach)
    below = first * second
    pairs = np.rint(pairs)
    rounding = 1e-9 * pairs * values.size
    out = np.full(own.shape, np.nan)
    np.divide(own * pairs, below, out=out, where=(pairs > FEWEST) & (np.abs(below) > rounding * 1e-3))
    return out


def autocorrelation(image: NDArray[Any], good: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return the sum of products of deviations from the mean, for every shift; not normalised.

    Parameters
    ----------
    image
        (y, x); nan does not count.
    good
        Pixels that count.

    Returns
    -------
    ndarray
        (2 y - 1, 2 x - 1) float64; shift 0 is in the middle.
    """
    use = ~np.isnan(image) if good is None else good & ~np.isnan(image)
    mean = np.asarray(image, np.float64)[use].mean() if use.any() else np.nan
    values = np.where(use, image - mean, 0.0)
    size = _padded(values.shape)
    spectrum = fft.rfft2(values, size)
    found = fft.irfft2(np.abs(spectrum) ** 2, size)
    rows, columns = (np.arange(1 - one, one) for one in values.shape)
    return np.asarray(found[rows[:, None], columns[None, :]])


class RadialProfile:
    """Means of an autocorrelation over rings around its middle.

    Parameters
    ----------
    shape
        Of the autocorrelation, (y, x).
    resolution
        Width of a ring, px.
    """

    def __init__(self, shape: tuple[int, int], resolution: float) -> None:
        if not resolution > 0:
            msg = f"expected a resolution above 0 px, found {resolution!r}"
            raise ValueError(msg)
        self.shape = shape
        rows, columns = np.indices(shape, dtype=np.float64)
        radius = np.hypot(rows - (shape[0] - 1) / 2, columns - (shape[1] - 1) / 2).ravel()
        n = max(1, int(radius.max() / resolution))
        step = radius.max() / n if radius.max() else 1.0
        self.radius = (np.arange(n) + 0.5) * step
        self._cells = np.minimum((radius / step).astype(np.intp), n - 1)
        self._counts = np.bincount(self._cells, minlength=n)

    def of(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean of each ring; nan where there is no pixel."""
        total = np.bincount(self._cells, weights=values.ravel(), minlength=len(self.radius))
        out = np.full(len(total), np.nan)
        np.divide(total, self._counts, out=out, where=self._counts > 0)
        return out


def illumination(
    image: NDArray[Any], good: NDArray[np.bool_] | None = None, sigma: float = 20.0
) -> NDArray[np.float64]:
    """Return how an image is lit: smoothed without its masked pixels, with a mean of 1 over the others.

    Parameters
    ----------
    image
        (y, x), best an average of many events; nan does not count.
    good
        Pixels that count.
    sigma
        Of the Gauss function that smooths, px: many speckles wide.
    """
    use = ~np.isnan(image) if good is None else good & ~np.isnan(image)
    total = ndimage.gaussian_filter(np.where(use, image, 0.0).astype(np.float64), sigma, mode="constant")
    weight = ndimage.gaussian_filter(use.astype(np.float64), sigma, mode="constant")
    smooth = np.divide(total, weight, out=np.full(total.shape, np.nan), where=weight > 1e-6)
    mean = smooth[use].mean() if use.any() else np.nan
    return np.asarray(np.where(smooth > 0, smooth / mean, np.nan))
