"""Fits of one event: a ring and its centre, and the pulses of a waveform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.area.files.basis import Basis, read_basis
from detcore.area.functions.base import DetObjectFunc, values_and_good
from detcore.area.images.circlefit import fit_circles
from detcore.area.images.svd import MODES, PulseFit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class fitCenter(DetObjectFunc):
    """A circle through the brightest pixels: `xCen`, `yCen`, `R` and the mean square distance `residu`.

    In the coordinates of the pixels, um, or px if they have none; nan where no circle can be found.

    Parameters
    ----------
    threshold
        Percentile of the valid pixels; those above it are fitted.
    xArr, yArr
        Positions instead of the detector's, the shape of a frame.
    userMask
        The shape of a frame, 1 is good.
    name
        ``center``.
    """

    def __init__(
        self,
        threshold: float = 90,
        xArr: NDArray[Any] | None = None,
        yArr: NDArray[Any] | None = None,
        userMask: NDArray[Any] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name or "center", **kwargs)
        if not 0 <= threshold < 100:
            msg = f"{self._name}: the threshold is a percentile from 0 to 100, found {threshold!r}"
            raise ValueError(msg)
        self.threshold = threshold
        self._x, self._y, self._user = xArr, yArr, userMask

    def process(self, data: Any) -> dict[str, Any]:
        """Fit one frame."""
        values, good = values_and_good(data)
        mask = self._pixels.good(self._user, values.shape, self._name)
        use = np.ones(values.shape, np.bool_) if mask is None else mask != 0
        use = use if good is None else use & good
        nothing = {key: np.float64(np.nan) for key in ("xCen", "yCen", "R", "residu")}
        if not use.any():
            return nothing
        limit = np.percentile(values[use], self.threshold)
        bright = use & (values > limit)
        if not bright.any():  # the brightest are all alike, for instance saturated
            bright = use & (values == limit) & (limit > values[use].min())
        places = np.column_stack([one[bright] for one in self._positions(values.shape)])
        try:
            found = fit_circles(places)
        except ValueError:  # too few points, or on a line
            return nothing
        squares = np.float64(found.residual**2)
        return {"xCen": np.float64(found.x), "yCen": np.float64(found.y), "R": found.radii[0], "residu": squares}

    def _positions(self, shape: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x = self._pixels.x if self._x is None else self._x
        y = self._pixels.y if self._y is None else self._y
        if x is None or y is None:
            return np.indices(shape, dtype=np.float64)[-1], np.indices(shape, dtype=np.float64)[-2]
        return np.asarray(x, np.float64).reshape(shape), np.asarray(y, np.float64).reshape(shape)


class SvdFit(DetObjectFunc):
    """The pulses in a waveform: `intensities`, `score` (described share of the variance) and `coefficients`.

    Parameters
    ----------
    n_components
        How many waveforms of the basis are used.
    n_pulse, delay
        How many pulses, and when: one delay for each, or for each but the first, in units of `sampling`.
    sampling
        Time between two samples.
    basis_file, basis
        Where the basis is: an npz or HDF5 file, or waveforms (component, sample).
    mode
        ``max``: the largest sample of each pulse; ``norm``: the length of its coefficients; ``both``.
    return_reconstructed
        Give the fitted waveform as `reconstructed` too.
    roi, background_index, channel
        Samples (first, end) that are fitted, how many at the start are background, and which row of the data; those of
        the file if not given.
    name
        ``svdFit``.
    """

    def __init__(
        self,
        n_components: int = 2,
        n_pulse: int = 1,
        delay: Sequence[float] | float = 0.0,
        sampling: float = 1.0,
        basis_file: Any = None,
        basis: NDArray[Any] | None = None,
        mode: str = "max",
        return_reconstructed: bool = False,
        roi: Sequence[int] | None = None,
        background_index: int | None = None,
        channel: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name or "svdFit", **kwargs)
        if (basis is None) == (basis_file is None) or mode not in MODES:
            msg = f"{self._name}: give basis or basis_file, and a mode out of {', '.join(MODES)}; found mode {mode!r}"
            raise ValueError(msg)
        self.basis_file = None if basis_file is None else str(basis_file)
        known = read_basis(basis_file) if basis is None else Basis(np.atleast_2d(np.asarray(basis, np.float64)))
        self.n_components, self.n_pulse, self.sampling = n_components, n_pulse, sampling
        self.delay = [float(one) for one in np.atleast_1d(delay)]
        self.roi = list(roi) if roi is not None else list(known.roi) if known.roi is not None else None
        self._background = known.background_index if background_index is None else background_index
        self._channel = known.channel if channel is None else channel
        self._mode, self._whole = mode, return_reconstructed
        if not 1 <= n_components <= len(known.components):
            msg = f"{self._name}: the basis has {len(known.components)} waveforms, n_components is {n_components}"
            raise ValueError(msg)
        self._fit = PulseFit(known.components[:n_components], n_pulse, self.delay, sampling)

    def process(self, data: Any) -> dict[str, Any]:
        """Fit one event: a waveform (sample,) or several (waveform, sample)."""
        waveforms = np.asarray(data, np.float64)
        if self._channel is not None and waveforms.ndim > 1:
            waveforms = waveforms[self._channel]
        waveforms = np.atleast_2d(waveforms.squeeze())
        if self._background:
            waveforms = waveforms - waveforms[:, : self._background].mean(axis=1, keepdims=True)
        if self.roi is not None:
            waveforms = waveforms[:, self.roi[0] : self.roi[1]]
        coefficients = self._fit.fit(waveforms)
        out = {
            "intensities": np.squeeze(self._fit.intensities(coefficients, self._mode)),
            "score": np.squeeze(self._fit.score(waveforms, coefficients)),
            "coefficients": np.squeeze(coefficients),
        }
        if self._whole:
            out["reconstructed"] = np.squeeze(self._fit.reconstruct(coefficients))
        return out


svdFit = SvdFit
"""As the original writes it."""
