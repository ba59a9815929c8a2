"""Regions of interest and what is computed from one: projections, lines, spectra, means of blocks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from detcore.area.functions.base import DetObjectFunc, Pixels, check_limits, limits_of, thresholded
from detcore.area.images.rebin import rebin
from detcore.area.images.roi import good_of_window, roi_statistics, window_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from detcore.image.region import Region

    Threshold = float | Sequence[float | None] | None

NOTHING = 1e6  # "to the end", as the original writes it
MAX_BINS = 10_000_000  # of a spectrum


class ROIFunc(DetObjectFunc):
    """A window of the frame.

    Its results are `area` (with `writeArea`; the values as they are, also those of masked pixels), `sum`, `mean`, `max`,
    `com` (row and column in the window, of a window of several panels over all of them), `n_valid` and, with `Nsat`,
    `nsat`. Masked and invalid pixels do not count; without any valid pixel all are nan. Children get the window as a
    masked array, with values outside of the threshold at 0.

    Parameters
    ----------
    ROI
        Half-open bounds on the raw axes, ``[[r0, r1], [c0, c1]]`` or ``[[t0, t1], [r0, r1], [c0, c1]]``, or ``[a, b]`` on
        the first one; cut at the borders. None: the whole frame.
    name
        ``ROI``; ``full`` without a ROI.
    writeArea, calcPars
        Whether the pixels are kept, and whether the numbers are computed.
    userMask
        The shape of a frame, 1 is good; counts together with the detector's `mask`. None: `cmask` and `mask`.
    thresADU
        Values below it count as 0; a pair: those outside of it.
    region
        Instead of a ROI: a shape in the assembled image, or in `panel`. Pixels outside of it do not count.
    panel
        Number of the panel in whose rows and columns `region` is.

    Examples
    --------
    >>> from detcore.area.detector import Detector
    >>> from detcore.area.functions import DetObject
    >>> det = DetObject("cam", Detector(shape=(4, 5)), 1)
    >>> det.addFunc(ROIFunc(ROI=[[1, 3], [0, 2]]))
    >>> det.getData(np.arange(20.0).reshape(4, 5))
    >>> float(det.processFuncs()["ROI"]["sum"])
    32.0
    """

    def __init__(
        self,
        ROI: Any = None,
        name: str | None = None,
        writeArea: bool = False,
        calcPars: bool = True,
        userMask: NDArray[Any] | None = None,
        thresADU: Threshold = None,
        region: Region | None = None,
        panel: int | None = None,
    ) -> None:
        whole = ROI is None and region is None
        super().__init__(name=name or ("full" if whole else "ROI"))
        check_limits(self._name, thresADU=thresADU)
        self.bound: NDArray[Any] = _bounds(ROI, self._name)
        self.writeArea = writeArea
        self.thresADU = thresADU
        self._calcPars = calcPars
        self._userMask, self._region, self._panel = userMask, region, panel
        self._window: tuple[slice, ...] = ()
        self._good: NDArray[np.uint8] | None = None
        self.mask: NDArray[np.uint8] | None = None

    def addNsat(self, highLim: float | None = None) -> None:
        """Count good pixels with at least this value."""
        self.Nsat = highLim

    def prepare(self) -> None:
        """Cut mask, noise and positions."""
        shape = tuple(self._det.shape) if self._det is not None else None
        known = self._pixels.mask if self._pixels.mask is not None else self._pixels.x
        if known is not None:
            shape = known.shape
        if shape is None:
            return
        inside = None if self._region is None else self._selected(shape)
        if inside is not None:
            self.bound = _box(inside)
        try:
            window = window_of(_fitting(self.bound, shape), shape)
        except ValueError as error:
            msg = f"{self._name}: {error}"
            raise ValueError(msg) from None
        self.bound = np.array(window)
        self._window = tuple(slice(*pair) for pair in window)
        good = self._pixels.good(self._userMask, shape, self._name)
        if inside is not None:
            good = inside.astype(np.uint8) if good is None else good & inside
        self._good = good_of_window(good, shape, window)
        self.mask = self._good
        rms = self._pixels.noise
        self._rms = None if rms is None else rms[self._window]

    @override
    def remark(self) -> str:
        if self._good is None or self._good.any():
            return ""
        return "all pixels are masked: its numbers are nan; move it, or look at the mask"

    def _selected(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Return where the region is, in the shape of a frame."""
        assert self._region is not None
        if self._panel is not None:
            if len(shape) != 3 or not 0 <= self._panel < shape[0]:
                msg = f"{self._name}: there is no panel {self._panel} in frames of {shape}"
                raise ValueError(msg)
            inside = np.zeros(shape, np.bool_)
            inside[self._panel] = self._region.to_mask(shape[1:])
        else:
            inside = self._region.to_mask(self._det.detector.image_shape)
            inside = self._det.detector.to_raw(inside)
        if not inside.any():
            msg = f"{self._name}: the region holds no pixel of frames of {shape}; move it inside"
            raise ValueError(msg)
        return inside

    def given(self) -> Pixels:
        """Return what is known of the pixels of the window."""
        if not self._window:
            return Pixels()
        cut = self._pixels.mapped(lambda array: array[self._window])
        return Pixels(self._good, self._good, cut.noise, cut.x, cut.y, cut.z)

    def applyROI(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a copy of the window."""
        window = self._window or tuple(
            slice(*pair) for pair in window_of(_fitting(self.bound, array.shape), array.shape)
        )
        return np.array(array[window])

    def process(self, data: Any) -> dict[str, Any]:
        """Return the numbers of one frame, and the results of the children."""
        window = self._window or tuple(slice(*pair) for pair in window_of(_fitting(self.bound, data.shape), data.shape))
        cut = data[window]
        plain = np.asarray(cut.data if isinstance(cut, np.ma.MaskedArray) else cut)
        values = thresholded(plain, self.thresADU)
        good = self._good
        if isinstance(cut, np.ma.MaskedArray) and cut.mask is not np.ma.nomask:
            also = (~np.ma.getmaskarray(cut)).astype(np.uint8)
            good = also if good is None else good & also
        results: dict[str, Any] = {}
        if self.writeArea:
            results["area"] = np.array(plain).squeeze()
        limit = getattr(self, "Nsat", None)
        if self._calcPars or limit is not None:
            found = _statistics(values, good, limit)
            if self._calcPars:
                results["sum"] = np.float64(found.sum if found.n else math.nan)
                results["mean"] = np.float64(found.mean)
                results["max"] = np.float64(found.max)
                results["com"] = np.array(found.com[-2:])
                results["n_valid"] = np.int64(found.n)
            if limit is not None:
                results["nsat"] = np.int64(found.n_saturated)
        if self._children:
            self.dat = np.ma.MaskedArray(np.array(values), mask=np.ma.nomask if good is None else good == 0)
        return self.with_children(results)


def _statistics(values: NDArray[Any], good: NDArray[np.uint8] | None, limit: float | None) -> Any:
    if values.ndim == 1:
        values, good = values[None], None if good is None else good[None]
    return roi_statistics(values, None, good, saturation=limit)


def _bounds(roi: Any, name: str) -> NDArray[np.float64]:
    """Return bounds as (axis, 2), lower one first."""
    try:
        array = np.asarray([0, NOTHING] if roi is None else roi, np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.size not in {2, 4, 6} or array.ndim > 2 or (array.ndim == 2 and array.shape[1] != 2):
        msg = f"{name}: expected [[r0, r1], [c0, c1]] or [[t0, t1], [r0, r1], [c0, c1]], found {roi!r:.120}"
        raise ValueError(msg)
    return np.sort(array.reshape(-1, 2), axis=1)


def _fitting(bound: NDArray[Any], shape: Sequence[int]) -> list[list[float]]:
    """Return bounds for each axis: one pair is of the first axis; with one pair missing there is a single panel.

    Raises
    ------
    ValueError
        The number of pairs does not fit.
    """
    pairs = bound.tolist()
    if len(pairs) == 1:
        return [*pairs, *([0, size] for size in shape[1:])]
    if len(pairs) == len(shape):
        return list(pairs)
    if len(pairs) == 2 and len(shape) == 3 and shape[0] == 1:
        return [[0, 1], *pairs]
    if len(pairs) == 3 and len(shape) == 2 and pairs[0][0] <= 0 < pairs[0][1]:
        return list(pairs[1:])
    axes = "(panel, row, column)" if len(shape) == 3 else "(row, column)"
    msg = f"frames are {tuple(shape)} {axes}, but the ROI has {len(pairs)} pairs: {pairs}; give one for each axis"
    raise ValueError(msg)


def _box(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the smallest window around true values."""
    places = np.nonzero(inside)
    return np.array([[axis.min(), axis.max() + 1] for axis in places])


class projectionFunc(DetObjectFunc):
    """A sum or mean over one axis, or over all: `data`.

    Parameters
    ----------
    axis
        That is summed over, counted without axes of one pixel; -1: all, one number.
    name
        ``pj_ax_<axis>``.
    mean
        Divide by the number of valid pixels.
    thresADU, thresRms
        Values below it, in ADU and in units of the noise, count as 0.
    singlePhoton
        Values above 0 (after the thresholds) count as 1.
    """

    def __init__(
        self,
        axis: int = -1,
        name: str | None = None,
        mean: bool = False,
        thresADU: Threshold = None,
        thresRms: Threshold = None,
        singlePhoton: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name or f"pj_ax_{abs(axis)}", **kwargs)
        check_limits(self._name, thresADU=thresADU, thresRms=thresRms)
        self.axis, self.mean = int(axis), mean
        self.thresADU, self.thresRms, self.singlePhoton = thresADU, thresRms, singlePhoton

    def prepare(self) -> None:
        """Keep the noise."""
        self._rms = self._pixels.noise
        if self.thresRms is not None and self._rms is None:
            msg = (
                f"{self._name}: thresRms needs the noise of the pixels; give the calibration of a dark run, or thresADU"
            )
            raise ValueError(msg)

    def process(self, data: Any) -> dict[str, Any]:
        """Project one frame."""
        values, good = self.seen(data)
        values = thresholded(values, self.thresADU)
        if self.thresRms is not None and self._rms is not None:
            low, high = limits_of(self.thresRms)
            inside = np.ones(values.shape, np.bool_)
            for limit, compare in ((low, np.greater_equal), (high, np.less_equal)):
                if math.isfinite(limit):  # infinite times a noise of 0 is no number
                    inside &= compare(values, limit * self._rms)
            keep = inside | np.isnan(values) if values.dtype.kind == "f" else inside
            values = np.where(keep, values, values.dtype.type(0))
        if self.singlePhoton:
            values = values > 0
        shape = tuple(size for size in values.shape if size != 1)
        values = values.reshape(shape)
        good = None if good is None else good.reshape(shape)
        if self.axis >= len(shape) > 0:
            msg = f"{self._name}: cannot project onto axis {self.axis} of data of shape {shape}"
            raise ValueError(msg)
        axis = None if self.axis < 0 else self.axis
        whole = values.dtype.kind in "iub"
        total = np.sum(values, axis=axis, dtype=np.float64 if not whole else None, where=True if good is None else good)
        if good is None and not self.mean:
            return {"data": np.asarray(total, np.float64)[()]}
        n = np.sum(np.ones(shape, np.bool_) if good is None else good, axis=axis)
        out = np.where(n > 0, total, np.nan)
        return {"data": np.divide(out, np.maximum(n, 1))[()] if self.mean else out[()]}


class lineoutFunc(DetObjectFunc):
    """One line of pixels: `data`.

    Parameters
    ----------
    axis
        That loses its length: 0 gives a row, 1 a column.
    idx
        Which one; None: through the largest valid pixel.
    """

    def __init__(self, axis: int = 0, idx: int | None = None, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name or "lineout", **kwargs)
        self.axis, self.idx = axis, idx

    def process(self, data: Any) -> dict[str, Any]:
        """Return the line; invalid pixels are nan."""
        values, good = self.seen(data)
        values = values.astype(np.float64) if good is None else np.where(good, values, np.nan)
        shape = tuple(size for size in values.shape if size != 1)
        values = values.reshape(shape)
        index = self.idx
        if index is None:
            flat = np.where(np.isnan(values), -np.inf, values)
            index = int(np.unravel_index(np.argmax(flat), shape)[self.axis])
        self.dat = values.take(index, axis=self.axis)
        return self.with_children({"data": self.dat, "idx": np.int64(index)})


class spectrumFunc(DetObjectFunc):
    """A histogram of pixel values, or of the ADU of droplets: `histogram`; children get the counts.

    Parameters
    ----------
    bins
        ``[low, high, n]``, or n + 1 edges; three numbers are the former.
    """

    _list_only = True  # of droplets

    def __init__(self, bins: Any = None, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name or "spectrum", **kwargs)
        self.bins = histogram_edges(bins, self._name)

    def process(self, data: Any) -> dict[str, Any]:
        """Count; the upper edge of the last bin belongs to it, values outside are left out."""
        if isinstance(data, dict):
            if "data" not in data:
                msg = f"{self._name}: expected an array or droplets with 'data', found {', '.join(map(str, data))}"
                raise ValueError(msg)
            data = data["data"]
        values, good = self.seen(data)
        self.dat = np.histogram(values[good] if good is not None else values, self.bins)[0]
        return self.with_children({"histogram": self.dat})


def histogram_edges(bins: Any, name: str) -> NDArray[np.float64]:
    """Return the edges of the bins of a histogram from ``[low, high, n]`` or from edges.

    Raises
    ------
    ValueError
        They are no bins.
    """
    array = np.asarray([] if bins is None else bins, np.float64).ravel()
    number = array.size == 3 and array[2] >= 1 and array[2] == np.floor(array[2])
    if number and array[0] < array[1] and array[2] <= MAX_BINS:
        return np.linspace(array[0], array[1], int(array[2]) + 1)
    if number or array.size < 2 or not (np.diff(array) > 0).all() or not np.isfinite(array).all():
        msg = f"{name}: bins are [low, high, number] or growing edges, found {bins!r:.120}"
        raise ValueError(msg)
    return array


class rebinFunc(DetObjectFunc):
    """Means of blocks: `data`.

    Parameters
    ----------
    shape
        Of the result. An axis that it does not divide is cut into parts of fractional length.
    """

    def __init__(self, shape: Any = None, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name or "rebin", **kwargs)
        if shape is None:
            msg = f"{self._name}: the shape of the result is needed, for instance shape=[64, 64]"
            raise ValueError(msg)
        self.shape = np.asarray(shape, np.int64)

    def process(self, data: Any) -> dict[str, Any]:
        """Rebin one frame; a block without a valid pixel is nan."""
        values, good = self.seen(data)
        target = tuple(self.shape.tolist())
        if len(target) == values.ndim - 1 and values.shape[0] == 1:
            values, good = values[0], None if good is None else good[0]
        self.dat = rebin(values, target, good)
        return self.with_children({"data": self.dat})
