"""Droplets of each event: groups of bright pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage

from detcore.area.functions.base import DetObjectFunc, Pixels, values_and_good
from detcore.area.images.droplets import Droplets, find_droplets

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_PIXELS: Final = 15  # of a droplet that are kept
ORDERS: Final = 4  # of the moments: 0 to 3
CROSS: Final = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]])  # in a panel


class dropletFunc(DetObjectFunc):
    """Groups of pixels above a threshold that share an edge: `nDroplets_all`, `nDroplets` (those with enough ADU).

    Panels are never joined. Children get a list with `data` (sum), `npix`, `row`, `col` (centre of mass in the panel) and
    `tile` for each droplet; if one of them asks for it also `bbox` (first row, first column, end row, end column),
    `moments` (central, (4, 4)), `pixels` (the first 15 of its box) or `masked` (bad pixels that it touches). Their own
    functions find `_mask`, `_imgDrop` (number of the droplet of each pixel) and `_image` too.

    Parameters
    ----------
    threshold, thresholdLow
        A droplet has a pixel of at least the first, and grows to neighbours of at least the second (default: the same).
    thresADU
        Droplets with a smaller sum are left out.
    useRms
        Thresholds are in units of the noise of each pixel, else in ADU.
    pixmax
        Droplets of more pixels are left out.
    relabel
        Droplets that touch by pixels between the thresholds become one. Otherwise such a pixel belongs to the last of
        the droplets beside it.
    mask
        The shape of the data, 1 is good. None: the detector's `mask`.
    name
        ``droplet``.
    """

    def __init__(
        self,
        threshold: float = 5.0,
        thresholdLow: float | None = None,
        thresADU: float | None = None,
        useRms: bool = True,
        pixmax: int | None = None,
        relabel: bool = True,
        mask: NDArray[Any] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name or "droplet", **kwargs)
        self.threshold = threshold
        self.thresholdLow = threshold if thresholdLow is None else thresholdLow
        if self.thresholdLow > self.threshold:
            msg = f"{self._name}: expected thresholdLow <= threshold, found {self.thresholdLow} and {threshold}"
            raise ValueError(msg)
        self.thresADU, self.useRms, self.pixmax, self.relabel = thresADU, useRms, pixmax, relabel
        self._user = mask
        self._good: NDArray[np.bool_] | None = None

    def prepare(self) -> None:
        """Keep mask and noise."""
        known = self._pixels
        if self.useRms and known.noise is None:
            msg = f"{self._name}: useRms needs the noise of the pixels; give the calibration of a dark run, or useRms=False"
            raise ValueError(msg)
        shape = next((one.shape for one in (known.mask, known.noise, self._user) if one is not None), ())
        mask = Pixels(mask=known.mask).good(self._user, shape, self._name)
        self._mask = mask
        self._good = None if mask is None else mask != 0

    def given(self) -> Pixels:
        """Return what is known of the pixels in which the droplets are."""
        return self._pixels

    def process(self, data: Any) -> dict[str, Any]:
        """Find the droplets of one frame."""
        values, good = values_and_good(data)
        use = good if self._good is None else self._good if good is None else good & self._good
        found = self._found(values, use)
        results: dict[str, Any] = {"nDroplets_all": np.int64(found.n_all), "nDroplets": np.int64(len(found))}
        if self._children:
            self.dat = self._listed(found, use)
        return self.with_children(results)

    def _found(self, values: NDArray[Any], use: NDArray[np.bool_] | None) -> Droplets:
        noise = self._pixels.noise if self.useRms else None
        low = self.thresholdLow
        limits: dict[str, Any] = {"good": use, "noise": noise}
        if self.relabel or low == self.threshold:
            limits |= {"min_sum": self.thresADU, "max_pixels": self.pixmax}
            return find_droplets(values, self.threshold, low, **limits)
        seeds = find_droplets(values, self.threshold, **limits)
        labels = seeds.labels()
        grown = ndimage.maximum_filter(labels.reshape(-1, *labels.shape[-2:]), footprint=CROSS).reshape(labels.shape)
        grown = np.where(labels > 0, labels, grown)
        reach = values >= (low if noise is None else low * noise)
        grown[~(reach if use is None else reach & use)] = 0
        return _of_labels(values, grown, seeds, self.thresADU, self.pixmax)

    def _listed(self, found: Droplets, use: NDArray[np.bool_] | None) -> dict[str, Any]:
        children = self._children.values()
        out: dict[str, Any] = {
            "data": found.adu,
            "npix": found.n_pixels,
            "row": found.y,
            "col": found.x,
            "tile": found.module,
        }
        if any(getattr(child, "_needProps", False) for child in children):
            out |= shapes_of(found)
        labels = None
        if any(getattr(child, "_flagMasked", False) for child in children):
            labels = found.labels()
            out["masked"] = touching(labels, use, len(found))
        out["_mask"], out["_droplets"] = self._mask, found
        if not all(getattr(child, "_list_only", False) for child in children):
            labels = found.labels() if labels is None else labels
            out["_imgDrop"], out["_image"] = labels, np.where(labels > 0, found.frame.reshape(labels.shape), 0)
        return out


def shapes_of(found: Droplets) -> dict[str, NDArray[Any]]:
    """Return box, central moments and first pixels of droplets.

    Returns
    -------
    dict
        `bbox` (droplet, 4) first row, first column, end row, end column; `moments` (droplet, 4, 4) sums of value *
        (row - its centre)^p * (column - its centre)^q; `pixels` (droplet, 15) of the box, row by row, other pixels 0.
    """
    n = len(found)
    offsets, y, x, value = found.pixels()
    owner = np.repeat(np.arange(n), np.diff(offsets))
    dy, dx = y - found.y[owner], x - found.x[owner]
    moments = np.empty((n, ORDERS, ORDERS))
    for p in range(ORDERS):
        for q in range(ORDERS):
            moments[:, p, q] = np.bincount(owner, value * dy**p * dx**q, minlength=n)
    top, bottom, left, right = found.shapes()[0].T
    place = (y - top[owner]) * (right - left)[owner] + (x - left[owner])
    near = place < N_PIXELS
    pixels = np.zeros((n, N_PIXELS))
    pixels[owner[near], place[near]] = value[near]
    return {"bbox": np.column_stack([top, left, bottom, right]), "moments": moments, "pixels": pixels}


def touching(labels: NDArray[np.int32], use: NDArray[np.bool_] | None, n: int) -> NDArray[np.int64]:
    """Return how many bad pixels share an edge with each droplet; one between two counts for the last of them."""
    if use is None:
        return np.zeros(n, np.int64)
    around = ndimage.maximum_filter(labels.reshape(-1, *labels.shape[-2:]), footprint=CROSS).reshape(labels.shape)
    return np.bincount(around[~use], minlength=n + 1)[1:]


def _of_labels(
    values: NDArray[Any], labels: NDArray[np.int32], seeds: Droplets, min_sum: float | None, max_pixels: int | None
) -> Droplets:
    """Return droplets with the pixels of an image of their numbers."""
    n = len(seeds)
    frame = np.where(labels > 0, values, 0).astype(np.float32).reshape(-1, *labels.shape[-2:])
    flat = labels.reshape(frame.shape)
    module, y, x = np.nonzero(flat)
    owner, value = flat[module, y, x] - 1, frame[module, y, x].astype(np.float64)

    def total(weight: NDArray[Any]) -> NDArray[Any]:
        return np.bincount(owner, weight, minlength=n)

    adu, count = total(value), np.bincount(owner, minlength=n)
    keep = np.ones(n, np.bool_)
    keep &= True if min_sum is None else adu >= min_sum
    keep &= True if max_pixels is None else count <= max_pixels
    whole = np.where(adu != 0, adu, np.nan)
    cy, cx = total(value * y) / whole, total(value * x) / whole
    numbers = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    largest = np.full(n, -np.inf)
    np.maximum.at(largest, owner, value)
    # One run for each pixel: (module, row, first column, end column, label) as the kernel makes them.
    runs = np.column_stack([module, y, x, x + 1, owner]).astype(np.int32)
    return Droplets(
        n_all=seeds.n_all,
        adu=adu[keep],
        n_pixels=count[keep],
        max=largest[keep],
        module=seeds.module[keep],
        y=cy[keep],
        x=cx[keep],
        frame=frame,
        shape=labels.shape,
        runs=runs,
        numbers=numbers,
    )
