"""Droplets: groups of bright pixels, what each sums up to, and where it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from detcore.area.images import dropletkernels as kernels
from detcore.area.images.fixed import fixed

if TYPE_CHECKING:
    from numpy.typing import NDArray

DROPLET: Final = "droplet"
_NONE8, _NONE4 = np.zeros((0, 0, 0), np.uint8), np.zeros((0, 0, 0), np.float32)


@dataclass(frozen=True, eq=False)
class Droplets:
    """The droplets of one frame, in the order of their first pixels; every array is (droplet,).

    Parameters
    ----------
    n_all
        How many there were before they were chosen by their sum and size.
    adu, n_pixels, max
        Sum, number of pixels and largest value.
    module, y, x
        Panel (0 for a frame of one) and centre of mass in it, px; nan where the sum is zero.
    frame, shape, runs, numbers
        What the methods work on.
    """

    n_all: int
    adu: NDArray[np.float64]
    n_pixels: NDArray[np.int64]
    max: NDArray[np.float64]
    module: NDArray[np.int32]
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    frame: NDArray[np.float32]
    shape: tuple[int, ...]
    runs: NDArray[np.int32]
    numbers: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.adu)

    def shapes(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return what costs a second visit of the pixels.

        Returns
        -------
        box
            (droplet, 4): top, bottom, left, right, half-open.
        moments
            (droplet, 3): variances of y and x and their covariance about the centre of mass, px^2; not negative by
            rounding; nan where the sum is zero.
        """
        found = kernels.shapes(self.runs, self.numbers, len(self), fixed(self.frame))
        whole = np.where(self.adu != 0, self.adu, np.nan)[:, None]
        moments = found[:, kernels.SUM_YY :] / whole
        moments -= np.stack([self.y * self.y, self.x * self.x, self.x * self.y], axis=1)
        return found[:, : kernels.RIGHT + 1].astype(np.int64), moments

    def labels(self) -> NDArray[np.int32]:
        """Return the shape of the frame: 1 for the pixels of the first droplet, and so on; 0 elsewhere."""
        found = np.zeros(self.frame.shape, np.int32)
        kernels.paint(self.runs, self.numbers, found)
        return found.reshape(self.shape)

    def image(self) -> NDArray[np.float32]:
        """Return the frame with 0 outside of the droplets, float32."""
        return np.where(self.labels() > 0, self.frame.reshape(self.shape), np.float32(0))

    def pixels(self) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
        """Return (offsets, y, x, value): the pixels offsets[i] to offsets[i + 1] are those of droplet i."""
        found: tuple[Any, Any, Any, Any] = kernels.pixels_of(self.runs, self.numbers, len(self), fixed(self.frame))
        return found

    def dataset(self) -> xr.Dataset:
        """Return all columns on `droplet`, with units, the boxes, and `n_all`."""
        pixel, square = {"units": "pixel"}, {"units": "pixel^2"}
        box, moments = self.shapes()
        columns = {
            "adu": (self.adu.copy(), {"units": "ADU", "long_name": "sum"}),
            "n_pixels": (self.n_pixels.copy(), {"units": "pixels"}),
            "max": (self.max.copy(), {"units": "ADU", "long_name": "largest pixel"}),
            "module": (self.module.copy(), {}),
            "y": (self.y.copy(), pixel),
            "x": (self.x.copy(), pixel),
            "var_y": (moments[:, 0], square),
            "var_x": (moments[:, 1], square),
            "cov_xy": (moments[:, 2], square),
        }
        data: dict[str, Any] = {name: (DROPLET, values, attrs) for name, (values, attrs) in columns.items()}
        return xr.Dataset(data | {"n_all": ((), self.n_all), "box": ((DROPLET, "edge"), box)})


def find_droplets(
    frame: NDArray[Any],
    threshold: float,
    threshold_low: float | None = None,
    *,
    good: NDArray[Any] | None = None,
    noise: NDArray[Any] | None = None,
    min_sum: float | None = None,
    max_pixels: int | None = None,
) -> Droplets:
    """Find the droplets of a frame.

    Pixels of at least `threshold` that share an edge form a droplet. With a lower threshold, the pixels that reach it
    and share an edge with one above the upper threshold belong to it as well, and droplets that touch by them are one.
    Panels are never joined.

    Parameters
    ----------
    frame
        (y, x) or (module, y, x), ADU; what is not a number or infinite belongs to no droplet.
    threshold, threshold_low
        ADU; in units of the noise if that is given. The lower one is by default the upper one.
    good
        Shape of the frame, true or 1 where a pixel may be used.
    noise
        Shape of the frame, ADU.
    min_sum
        Leave out droplets with a smaller sum, ADU.
    max_pixels
        Leave out droplets of more pixels.

    Returns
    -------
    Droplets
        In the order of their first pixels.

    Raises
    ------
    ValueError
        A shape or a threshold does not fit.

    Examples
    --------
    >>> found = find_droplets(np.array([[0, 9, 0, 4], [0, 3, 0, 0], [7, 0, 0, 8]]), 4, 3)
    >>> len(found), found.adu.tolist(), found.y.tolist()
    (4, [12.0, 4.0, 7.0, 8.0], [0.25, 0.0, 2.0, 2.0])
    """
    if frame.ndim not in {2, 3}:
        msg = f"a frame is (y, x) or (module, y, x); found {frame.shape}"
        raise ValueError(msg)
    low = threshold if threshold_low is None else threshold_low
    if not (math.isfinite(threshold) and math.isfinite(low) and low <= threshold):
        msg = f"expected threshold_low <= threshold, both numbers; found {low} and {threshold}"
        raise ValueError(msg)
    for name, array in (("mask", good), ("noise", noise)):
        if array is not None and array.shape != frame.shape:
            msg = f"the {name} of the droplets has the shape of a frame, {frame.shape}; found {array.shape}"
            raise ValueError(msg)
    panels = frame.reshape(-1, *frame.shape[-2:])
    use = _NONE8 if good is None else np.ascontiguousarray(good, np.bool_).view(np.uint8).reshape(panels.shape)
    unit = _NONE4 if noise is None else np.ascontiguousarray(noise, np.float32).reshape(panels.shape)
    values = np.ascontiguousarray(panels, np.float32)
    table, runs = kernels.find(fixed(values), fixed(use), fixed(unit), np.float32(threshold), np.float32(low))
    keep = np.ones(len(table), np.bool_)
    if min_sum is not None:
        keep &= table[:, kernels.SUM] >= min_sum
    if max_pixels is not None:
        keep &= table[:, kernels.N] <= max_pixels
    return _droplets(table, runs, keep, values, frame.shape)


def _droplets(
    table: NDArray[np.float64],
    runs: NDArray[np.int32],
    keep: NDArray[np.bool_],
    values: NDArray[np.float32],
    shape: tuple[int, ...],
) -> Droplets:
    module = np.zeros(len(table), np.int32)
    if values.shape[0] > 1:
        module[runs[:, kernels.LABEL]] = runs[:, kernels.MODULE]
    numbers, chosen = np.arange(1, len(table) + 1, dtype=np.int32), table
    if not keep.all():
        numbers = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
        chosen, module = table[keep], module[keep]
    total = chosen[:, kernels.SUM].copy()
    whole = total if total.all() else np.where(total != 0, total, np.nan)
    return Droplets(
        n_all=len(table),
        adu=total,
        n_pixels=chosen[:, kernels.N].astype(np.int64),
        max=chosen[:, kernels.LARGEST].copy(),
        module=module,
        y=chosen[:, kernels.SUM_Y] / whole,
        x=chosen[:, kernels.SUM_X] / whole,
        frame=values,
        shape=tuple(shape),
        runs=runs,
        numbers=numbers,
    )
