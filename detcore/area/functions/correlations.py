"""Spatial autocorrelations of speckle images, event by event."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.area.functions.base import DetObjectFunc, check_limits, limits_of, thresholded, values_and_good
from detcore.area.images.autocorrelation import (
    RadialProfile,
    autocorrelation,
    box_of,
    illumination,
    masked_autocorrelation,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Autocorrelation(DetObjectFunc):
    """The normalised autocorrelation of each event: `autocorr`, or `lineout_h` and `lineout_v`, and the mean `cr`.

    Parameters
    ----------
    thresADU
        [low, high]: values outside count as 0.
    roi
        ``[[r0, r1], [c0, c1]]``, half-open; not with a mask.
    mask
        Which pixels count, 1 or true: an array (y, x) or several (mask, y, x), or the name of an npy file of one. With
        several, results have one more axis in front.
    save_range
        (rows, columns) saved on each side of shift 0, px; as far as the masks reach. None: all.
    save_lineout
        Save only the row and the column through shift 0.
    illumination_correction
        Divide by how the image is lit: an average image, or True for each frame smoothed over many pixels.
    name
        ``autocorr``.
    """

    def __init__(
        self,
        thresADU: Sequence[float] | None = None,
        roi: Any = None,
        mask: Any = None,
        save_range: Sequence[int] | None = (50, 50),
        save_lineout: bool = False,
        illumination_correction: Any = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name or "autocorr", **kwargs)
        check_limits(self._name, thresADU=thresADU)
        self.thresADU = None if thresADU is None else list(limits_of(thresADU))
        self.roi = None if roi is None else np.asarray(roi, np.int64).reshape(2, 2)
        self.mask = None if mask is None else _masks(mask, self._name)
        if self.mask is not None and self.roi is not None:
            msg = f"{self._name}: a mask and a ROI cannot be given together; the mask alone is enough"
            raise ValueError(msg)
        self.save_range = None if save_range is None else (int(save_range[0]), int(save_range[1]))
        self.save_lineout = save_lineout
        average = not isinstance(illumination_correction, (bool, type(None)))
        self._average = np.asarray(illumination_correction, np.float64) if average else None
        self.illumination_correction = bool(average or illumination_correction)
        self._selected: list[NDArray[np.bool_]] = []

    def prepare(self) -> None:
        """Make the masks, and limit the range to what all of them allow."""
        known = self._pixels.cmask
        shape = tuple(self._det.shape) if known is None else known.shape
        image = tuple(size for size in shape if size != 1) if len(shape) == 3 else shape
        if len(image) != 2:
            msg = f"{self._name}: works on an image (y, x), found frames of {shape}; put it into a ROI or an imageFunc"
            raise ValueError(msg)
        good = np.ones(image, np.bool_) if known is None else known.reshape(image) != 0
        masks = np.ones((1, *image), np.bool_) if self.mask is None else self.mask.reshape(-1, *self.mask.shape[-2:])
        if self.roi is not None:
            (top, bottom), (left, right) = self.roi
            masks = np.zeros((1, *image), np.bool_)
            masks[:, max(top, 0) : bottom, max(left, 0) : right] = True
        if masks.shape[1:] != image:
            msg = f"{self._name}: the mask must have the shape of the image, {image}; found {masks.shape[1:]}"
            raise ValueError(msg)
        selected = [mask != 0 for mask in masks]
        boxes = [[part.stop - part.start for part in box_of(mask)] for mask in selected]
        self._selected = [mask & good for mask in selected]
        limit = np.min(boxes, axis=0) - 1
        asked = limit if self.save_range is None else np.minimum(self.save_range, limit)
        self.save_range = (int(asked[0]), int(asked[1]))
        if min(self.save_range) < 1:
            msg = f"{self._name}: the mask or ROI is {boxes} px; at least two pixels each way are needed"
            raise ValueError(msg)

    def process(self, data: Any) -> dict[str, Any]:
        """Correlate one event; where two pixels are never that far apart, the result is nan."""
        values, good = values_and_good(data)
        image = values.reshape(self._selected[0].shape).astype(np.float64)
        valid = None if good is None else good.reshape(image.shape)
        image = thresholded(image, self.thresADU)
        found, means = [], []
        for mask in self._selected:
            use = mask if valid is None else mask & valid
            lit = image
            if self.illumination_correction:
                lit = image / (illumination(image, use) if self._average is None else _relative(self._average, use))
            found.append(self._one(lit, use))
            means.append(image[use].mean() if use.any() else np.nan)
        several = self.mask is not None and self.mask.ndim == 3
        correlations = np.array(found) if several else found[0]
        rate = np.array(means) if several else np.float64(means[0])
        if not self.save_lineout:
            return {"autocorr": correlations, "cr": rate}
        assert self.save_range is not None
        row, column = self.save_range
        return {"lineout_h": correlations[..., row, :], "lineout_v": correlations[..., :, column], "cr": rate}

    def _one(self, image: NDArray[np.float64], use: NDArray[np.bool_]) -> NDArray[np.float64]:
        assert self.save_range is not None
        row, column = self.save_range
        out = np.full((2 * row, 2 * column), np.nan)
        if not use.any():
            return out
        found = masked_autocorrelation(image, use, self.save_range)
        rows, columns = found.shape[0] // 2, found.shape[1] // 2  # less if pixels at the rim are invalid in this event
        out[row - rows : row + rows, column - columns : column + columns] = found
        return out


def _masks(mask: Any, name: str) -> NDArray[np.bool_]:
    if isinstance(mask, (str, Path)):
        try:
            mask = np.load(mask, allow_pickle=False)
        except (OSError, ValueError) as error:
            msg = f"{name}: the mask {mask} is no npy file of an array: {error}"
            raise ValueError(msg) from None
    array = np.asarray(mask)
    if array.ndim not in {2, 3} or array.dtype.kind not in "biuf":
        msg = f"{name}: a mask is (y, x) or (mask, y, x), 1 where pixels count; found {array.dtype} {array.shape}"
        raise ValueError(msg)
    return np.asarray(array != 0)


def _relative(average: NDArray[np.float64], use: NDArray[np.bool_]) -> NDArray[np.float64]:
    image = average.reshape(use.shape)
    return np.where(image > 0, image / np.mean(image[use]), np.nan)


class acf(DetObjectFunc):
    """The radial profile of the autocorrelation of an image, mean removed: `profile_0` radius in px, `profile_1` value.

    Parameters
    ----------
    resolution
        Width of a ring, px. Rings in which no pixel lies are nan: many, below 1.
    name
        ``acf``.
    """

    def __init__(self, resolution: float = 0.1, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name or "acf", **kwargs)
        self.resolution = resolution
        self._profile: RadialProfile | None = None

    def process(self, data: Any) -> dict[str, Any]:
        """Correlate one event; of (module, y, x) the mean over the panels."""
        values, good = self.seen(data)
        if values.ndim not in {2, 3}:
            msg = f"{self._name}: expected an image (y, x) or several, found data of shape {values.shape}"
            raise ValueError(msg)
        panels = values.reshape(-1, *values.shape[-2:]).astype(np.float64)
        uses = [None] * len(panels) if good is None else list(good.reshape(panels.shape))
        found = np.mean([autocorrelation(panel, use) for panel, use in zip(panels, uses, strict=True)], axis=0)
        if self._profile is None or self._profile.shape != found.shape:
            self._profile = RadialProfile(found.shape, self.resolution)
        return {"profile_0": self._profile.radius, "profile_1": self._profile.of(found)}
