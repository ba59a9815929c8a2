"""Azimuthal integration: each pixel belongs to one bin, and a bin is the ratio of two sums.

intensity = sum(value) / sum(norm) over the pixels of a bin that count in this frame, with norm = solid angle x
polarisation x flat: what pyFAI does without pixel splitting. A pixel counts if it is not masked, is a number and lies
within the thresholds; every bin knows how many pixels that were, and an empty one is not a number.

Errors are of the intensity: Poisson, sqrt(sum(value) x value of a photon) / sum(norm); from a variance image,
sqrt(sum(variance)) / sum(norm); azimuthal, from the scatter in the bin: sqrt(sum((value - norm intensity)^2)) / sum(norm).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import xarray as xr

from detcore.area.images.azimuthalcells import cells_of
from detcore.area.images.azimuthalkernels import leave_out, scatter, scatter_pairs, scatter_squares, tally
from detcore.area.images.azimuthaloptions import UNITS, AzimuthalOptions

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from detcore.area.images.geometry import Geometry


class Totals(NamedTuple):
    """Sums of the pixels of each cell that count; those of several frames can be added.

    Parameters
    ----------
    total, squared
        (cell,) sum of the values, and of their variances (None if no error is wanted).
    norm
        (cell,) sum of what the corrections leave.
    valid
        (cell,) number of pixels.
    """

    total: NDArray[np.float64]
    squared: NDArray[np.float64] | None
    norm: NDArray[np.float64]
    valid: NDArray[np.int64]

    def divided(self) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, NDArray[np.int64]]:
        """Return intensity, error and number of valid pixels, each (cell,)."""
        error = None if self.squared is None else _divided(np.sqrt(self.squared), self.norm, self.valid)
        return _divided(self.total, self.norm, self.valid), error, self.valid


@dataclass(frozen=True, eq=False)
class AzimuthalMap:
    """In which bin each pixel counts: made once for a geometry, used for every frame.

    Parameters
    ----------
    geometry, options
        What it was made from.
    shape
        Of a frame, (y, x) or (module, y, x).
    edges
        (bin + 1,) in the unit of the options.
    starts, widths
        (sector,) degrees.
    cells
        (pixel,) uint16 or uint32: sector * bins + bin; the number of cells itself for pixels that do not count.
    norm
        (pixel,) float32: what solid angle, polarisation and flat leave of the intensity.
    counts, norms
        (cell,) and (cell, 2): pixels, and the sums of their norm and of its square.
    every
        The cells without a mask; from them `with_good` starts again.
    all_counts, all_norms
        `counts` and `norms` without a mask.
    """

    geometry: Geometry
    options: AzimuthalOptions
    shape: tuple[int, ...]
    edges: NDArray[np.float64]
    starts: NDArray[np.float64]
    widths: NDArray[np.float64]
    cells: NDArray[Any]
    norm: NDArray[np.float32]
    counts: NDArray[np.int64]
    norms: NDArray[np.float64]
    every: NDArray[Any]
    all_counts: NDArray[np.int64]
    all_norms: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        geometry: Geometry,
        target: Any,
        options: AzimuthalOptions | None = None,
        *,
        good: ArrayLike | None = None,
        flat: ArrayLike | None = None,
    ) -> Self:
        """Build a map.

        Parameters
        ----------
        geometry
            Direct beam, distance, energy, tilt.
        target
            Shape (y, x) of a frame, or a `Detector`.
        options
            Bins and corrections; by default one bin for each pixel of radius.
        good
            Boolean, shape of a frame: pixels that count.
        flat
            Shape of a frame: relative response; pixels where it is not a positive number do not count.

        Raises
        ------
        ValueError
            The geometry lacks what the unit needs, a shape does not fit, or no pixel lies in the range.
        """
        options = options or AzimuthalOptions()
        found = cells_of(geometry, target if hasattr(target, "shape") else tuple(map(int, target)), options)
        made = cls(geometry, options, *found, found.cells, found.counts, found.norms)
        if flat is not None:
            made = made._with_flat(flat)
        return made if good is None else made.with_good(good)

    def with_good(self, good: ArrayLike | None) -> Self:
        """Return the map with another mask: true where a pixel counts; None: all pixels."""
        if good is None:
            return replace(self, cells=self.every, counts=self.all_counts, norms=self.all_norms)
        selected = np.asarray(good)
        if selected.dtype != np.bool_:
            msg = f"good: expected true and false for each pixel, found {selected.dtype}; for an NXmx mask: good_pixels"
            raise TypeError(msg)
        counts, norms = np.append(self.all_counts, 0), np.append(self.all_norms, np.zeros((1, 2)), axis=0)
        cells = np.empty_like(self.every)
        leave_out(self.every, self._flat(selected, "good"), self.norm, cells, counts, norms)
        return replace(self, cells=cells, counts=counts[:-1], norms=norms[:-1])

    def _with_flat(self, flat: ArrayLike) -> Self:
        response = self._flat(np.asarray(flat, np.float32), "flat")
        known = np.isfinite(response) & (response > 0)
        norm = np.where(known, self.norm * response, np.float32(1))
        cells = np.where(known, self.every, self.every.dtype.type(self.n_cells))
        counts, norms = np.zeros(self.n_cells + 1, np.int64), np.zeros((self.n_cells + 1, 2))
        tally(cells, norm, counts, norms)
        made = replace(self, norm=norm, every=cells, all_counts=counts[:-1], all_norms=norms[:-1])
        return made.with_good(None)

    def _flat(self, values: NDArray[Any], what: str) -> NDArray[Any]:
        if values.shape != self.shape:
            msg = f"{what}: expected the shape {self.shape} of a frame, found {values.shape}"
            raise ValueError(msg)
        return np.ascontiguousarray(values).reshape(-1)

    @property
    def n_bins(self) -> int:
        """Radial bins."""
        return len(self.edges) - 1

    @property
    def n_cells(self) -> int:
        """Bins of all sectors."""
        return self.n_bins * len(self.starts)

    @property
    def centres(self) -> NDArray[np.float64]:
        """(bin,) middle of each bin."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    def sums(
        self, image: NDArray[Any], variance: NDArray[Any] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, NDArray[np.int64]]:
        """Return intensity, error (None if none is wanted) and number of valid pixels of one frame, each (cell,).

        Parameters
        ----------
        image
            Shape of a frame; uint16 and float32 are used as they are, others become float32.
        variance
            Shape of a frame; instead of the error model of the options. Pixels where it is not a number do not count.
        """
        return self.totals(image, variance).divided()

    def totals(self, image: NDArray[Any], variance: NDArray[Any] | None = None) -> Totals:
        """Return the sums of one frame, which add up over frames; as `sums`."""
        options, cells, norm = self.options, self.cells, self.norm
        low = -math.inf if options.threshold_low is None else options.threshold_low
        high = math.inf if options.threshold_high is None else options.threshold_high
        limits = np.finfo(np.float64)  # infinite pixels never count
        low, high = max(low, float(limits.min)), min(high, float(limits.max))
        pixels = self._flat(_as_pixels(image), "image")
        lost, lost_norms = np.zeros(self.n_cells + 1, np.int64), np.zeros((self.n_cells + 1, 2))
        squared: NDArray[np.float64] | None
        if variance is not None:
            other = self._flat(np.asarray(variance, np.float32), "variance")
            both = np.zeros((self.n_cells + 1, 2))
            scatter_pairs(pixels, other, cells, norm, low, high, both, lost, lost_norms)
            total, squared = both[:-1, 0], both[:-1, 1]
        elif options.errors == "azimuthal":
            lanes = np.zeros((4, self.n_cells + 1, 4))
            scatter_squares(pixels, cells, norm, low, high, lanes, lost, lost_norms)
            three = lanes.sum(axis=0)
            total = three[:-1, 0]
            norms = self.norms - lost_norms[:-1]
            mean = _divided(total, norms[:, 0], self.counts - lost[:-1])
            spread = three[:-1, 1] - 2 * mean * three[:-1, 2] + mean**2 * norms[:, 1]
            squared = np.where(np.isfinite(spread), np.maximum(spread, 0.0), 0.0)
        else:
            four = np.zeros((4, self.n_cells + 1))
            scatter(pixels, cells, norm, low, high, four, lost, lost_norms)
            total = four.sum(axis=0)[:-1]
            squared = np.maximum(total, 0.0) * options.adu_per_photon if options.errors else None
        return Totals(total, squared, self.norms[:, 0] - lost_norms[:-1, 0], self.counts - lost[:-1])

    def integrate(
        self, images: ArrayLike, variance: ArrayLike | None = None, dark: ArrayLike | None = None
    ) -> xr.Dataset:
        """Integrate one frame or many.

        Parameters
        ----------
        images
            Shape of a frame, or (frame, …).
        variance
            Shape of a frame or of `images`: variance of each pixel, instead of the error model.
        dark
            Shape of a frame: subtracted first; Poisson errors stay those of the counts before.

        Returns
        -------
        Dataset
            `intensity`, `error` (float64) and `n_valid` (int64) on ([frame,] [azimuth,] q | two_theta | radius).

        Raises
        ------
        ValueError
            A shape does not fit.
        """
        frames = np.asarray(images)
        several = frames.ndim == len(self.shape) + 1
        stack = frames if several else frames[None]
        if stack.shape[1:] != self.shape:
            msg = f"image: expected the shape {self.shape} of a frame, or frames of it, found {frames.shape}"
            raise ValueError(msg)
        spread = None if variance is None else np.broadcast_to(np.asarray(variance, np.float32), stack.shape)
        offset = None if dark is None else np.asarray(dark, np.float32)
        intensity = np.empty((len(stack), self.n_cells))
        error = np.empty_like(intensity) if spread is not None or self.options.errors else None
        valid = np.empty(intensity.shape, np.int64)
        for number, frame in enumerate(stack):
            one, other = frame, None if spread is None else spread[number]
            if offset is not None:
                if other is None and self.options.errors == "poisson":
                    other = np.maximum(np.asarray(one, np.float32), 0) * np.float32(self.options.adu_per_photon)
                one = np.asarray(one, np.float32) - offset
            intensity[number], found, valid[number] = self.sums(one, other)
            if error is not None and found is not None:
                error[number] = found
        return self.labelled(intensity, error, valid, several=several)

    def labelled(self, intensity: Any, error: Any, valid: Any, *, several: bool) -> xr.Dataset:
        """Return arrays ([frame,] cell) as a Dataset."""
        options = self.options
        dims = (*(("frame",) if several else ()), *(("azimuth",) if options.sectored else ()), options.dimension)
        sizes = (
            *((len(intensity),) if several else ()),
            *((len(self.starts),) if options.sectored else ()),
            self.n_bins,
        )
        data = {
            "intensity": (dims, intensity.reshape(sizes), {"long_name": "mean of the corrected pixels"}),
            "n_valid": (dims, valid.reshape(sizes), {"units": "pixels", "long_name": "pixels that count"}),
        }
        if error is not None:
            data["error"] = (dims, error.reshape(sizes), {"long_name": "standard error of the intensity"})
        coords: dict[str, Any] = {options.dimension: (options.dimension, self.centres, {"units": UNITS[options.unit]})}
        if options.sectored:
            coords["azimuth"] = ("azimuth", self.starts + self.widths / 2, {"units": "degree"})
        return xr.Dataset(data, coords, attrs=self.facts())

    def facts(self) -> dict[str, Any]:
        """Return how the numbers were made, as plain values."""
        geometry = {
            f"geometry_{name}": value for name, value in self.geometry.model_dump().items() if value is not None
        }
        options = {name: value for name, value in self.options.model_dump().items() if value is not None}
        return geometry | options | {"first_edge": float(self.edges[0]), "last_edge": float(self.edges[-1])}


def _as_pixels(image: Any) -> NDArray[Any]:
    pixels = np.asarray(image)
    if pixels.dtype.kind not in "buif":
        msg = f"image: expected numbers, found {pixels.dtype}"
        raise TypeError(msg)
    native = pixels.dtype.newbyteorder("=")
    with np.errstate(over="ignore"):  # too large for float32: infinite, and does not count
        return pixels.astype(native if native in (np.uint16, np.float32) else np.float32, copy=False)


def _divided(total: NDArray[np.float64], norm: NDArray[np.float64], valid: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return total / norm, not a number where no pixel counts (a difference of sums is hardly ever exactly 0)."""
    return np.asarray(np.divide(total, norm, out=np.full(len(total), math.nan), where=valid > 0))


def integrate(
    images: ArrayLike,
    geometry: Geometry,
    *,
    detector: Any = None,
    good: ArrayLike | None = None,
    variance: ArrayLike | None = None,
    dark: ArrayLike | None = None,
    flat: ArrayLike | None = None,
    several: bool | None = None,
    **options: Any,
) -> xr.Dataset:
    """Integrate frames azimuthally.

    Parameters
    ----------
    images
        (y, x), or (frame, y, x); of a tiled `detector` (module, y, x) or (frame, module, y, x).
    geometry
        Direct beam, distance, energy, tilt.
    detector
        Whose pixels know their place; None: the frames are images.
    good
        Boolean, shape of a frame: pixels that count.
    variance, dark, flat
        See `AzimuthalMap`.
    several
        Whether the first axis is that of frames; None: told by the number of axes.
    **options
        Fields of `AzimuthalOptions`.

    Returns
    -------
    Dataset
        `intensity`, `error` and `n_valid` on ([frame,] [azimuth,] q | two_theta | radius).
    """
    frames = np.asarray(images)
    axes = len(detector.shape) if detector is not None else frames.ndim - 1 if several else min(frames.ndim, 2)
    if frames.ndim < 2 or frames.ndim not in {axes, axes + 1}:
        msg = f"image: expected (y, x) or frames of it, found the shape {frames.shape}"
        raise ValueError(msg)
    target = detector if detector is not None else frames.shape[frames.ndim - axes :]
    chosen = AzimuthalOptions.checked(options)
    made = AzimuthalMap.of(geometry, target, chosen, good=good, flat=flat)
    return made.integrate(frames, variance, dark)
