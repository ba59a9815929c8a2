"""Waveforms as sums of a few basis waveforms: how strong each of several pulses is.

The basis are the first right singular vectors of reference waveforms with one pulse. With several pulses, it is
repeated with the delay of each; the coefficients are those of least squares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MODES = ("max", "norm", "both")


def basis_of(waveforms: NDArray[Any], n_components: int = 25) -> NDArray[np.float64]:
    """Return the waveforms that describe others best.

    Parameters
    ----------
    waveforms
        (waveform, sample), background subtracted, one pulse each.
    n_components
        How many, at most.

    Returns
    -------
    ndarray
        (component, sample), orthonormal, the most important first; each with a positive sum of the references along it.
    """
    array = np.asarray(waveforms, np.float64)
    if array.ndim != 2 or not array.size or not np.isfinite(array).all():
        msg = f"expected finite waveforms (waveform, sample), found an array of {array.shape}"
        raise ValueError(msg)
    _, _, vectors = np.linalg.svd(array, full_matrices=False)
    found = vectors[:n_components]
    signs = np.sign((array @ found.T).sum(axis=0))
    return np.asarray(found * np.where(signs == 0, 1, signs)[:, None])


class PulseFit:
    """Fits waveforms with one or more pulses.

    Parameters
    ----------
    components
        (component, sample) of one pulse.
    n_pulse
        How many pulses.
    delay
        Of each pulse, or of each but the first, in units of `sampling`.
    sampling
        Time between two samples.

    Raises
    ------
    ValueError
        The number of delays does not fit.
    """

    def __init__(
        self, components: NDArray[Any], n_pulse: int = 1, delay: Sequence[float] | float = (), sampling: float = 1.0
    ) -> None:
        basis = np.atleast_2d(np.asarray(components, np.float64))
        delays = np.atleast_1d(np.asarray(delay, np.float64))
        if len(delays) == n_pulse - 1:
            delays = np.concatenate([[0.0], delays])
        if len(delays) != n_pulse:
            msg = f"{n_pulse} pulses need {n_pulse} delays, or {n_pulse - 1} after the first; found {len(delays)}"
            raise ValueError(msg)
        self.n_pulse, self.n_components = n_pulse, len(basis)
        moved = [_delayed(basis, round(one / sampling)) for one in delays]
        self.basis = np.concatenate(moved)
        self._inverse = np.linalg.pinv(self.basis)

    def fit(self, waveforms: NDArray[Any]) -> NDArray[np.float64]:
        """Return the coefficients (waveform, pulse * component) of waveforms (waveform, sample).

        Raises
        ------
        ValueError
            They have another number of samples.
        """
        array = np.atleast_2d(np.asarray(waveforms, np.float64))
        if array.shape[1] != self.basis.shape[1]:
            msg = (
                f"the basis has {self.basis.shape[1]} samples, the waveforms {array.shape[1]}; use the ROI of the basis"
            )
            raise ValueError(msg)
        return np.asarray(array @ self._inverse)

    def reconstruct(self, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the fitted waveforms (waveform, sample)."""
        return np.asarray(coefficients @ self.basis)

    def intensities(self, coefficients: NDArray[np.float64], mode: str = "max") -> NDArray[np.float64]:
        """Return how strong the pulses are.

        Parameters
        ----------
        coefficients
            Of `fit`.
        mode
            ``max``: the largest sample of each fitted pulse; ``norm``: the length of its coefficients; ``both``.

        Returns
        -------
        ndarray
            (waveform, pulse); with ``both`` (2, waveform, pulse): norm, maximum.
        """
        if mode not in MODES:
            msg = f"expected one of {', '.join(MODES)}, found {mode!r}"
            raise ValueError(msg)
        each = coefficients.reshape(len(coefficients), self.n_pulse, self.n_components)
        norm = np.linalg.norm(each, axis=2)
        if mode == "norm":
            return np.asarray(norm)
        parts = self.basis.reshape(self.n_pulse, self.n_components, -1)
        largest = np.einsum("wpc,pcs->wps", each, parts).max(axis=2)
        return np.asarray(largest if mode == "max" else np.stack([norm, largest]))

    def score(self, waveforms: NDArray[Any], coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the share of the variance that is described, for each waveform; nan of a constant one."""
        array = np.atleast_2d(np.asarray(waveforms, np.float64))
        rest = ((array - self.reconstruct(coefficients)) ** 2).sum(axis=1)
        whole = ((array - array.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
        return np.asarray(1 - np.divide(rest, whole, out=np.full(len(array), np.nan), where=whole > 0))


def _delayed(basis: NDArray[np.float64], samples: int) -> NDArray[np.float64]:
    """Return waveforms moved by samples; what leaves on one side does not come back on the other."""
    out = np.zeros_like(basis)
    n = basis.shape[1]
    if abs(samples) < n:
        out[:, max(samples, 0) : n + min(samples, 0)] = basis[:, max(-samples, 0) : n - max(samples, 0)]
    return out
