"""Several files beside each other: histograms on common bins with ratios, and distances with bootstrap errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from detcore.showers.analysis import column
from detcore.showers.reductions import OBSERVABLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Weights = NDArray[np.int64]

MEASURES: Final = ("w1", "ks", "separation", "kl")
QUANTILES: Final = 25
SEPARATION_BINS: Final = 30
TAIL: Final = 0.001  # fraction of showers on each side that may fall out of the bins
WHOLE: Final = frozenset({"n_hits", "start_layer", "maximum_layer"})  # observables that are whole numbers


def compare(
    a: xr.Dataset, b: xr.Dataset, n_bootstrap: int = 100, seed: int = 0, observables: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return distances between the observables of two files.

    Parameters
    ----------
    a, b
        Results of the reduction with their tables; the first is the reference.
    n_bootstrap
        So many times both files are drawn anew, with replacement; the errors are the spread of what these give. 0:
        no errors.
    seed
        The same seed gives the same errors.
    observables
        Names from `OBSERVABLES`; None: all that both have.

    Returns
    -------
    DataFrame
        Rows: observables. Columns, each followed by one with `_error`:
        `w1`, Wasserstein-1 distance, in units of the observable;
        `ks`, largest difference of the cumulative distributions (Kolmogorov-Smirnov);
        `separation`, half the sum of (p - q)^2 / (p + q) over 30 equal bins and what is outside them
        (arXiv 2410.21611; 0: equal, 1: apart);
        `kl`, Kullback-Leibler divergence of b from a over 25 quantiles of a, half a count added to each bin.
        Not a number where one of the files has no value.

    Raises
    ------
    ValueError
        A name is unknown, or a result has no table.
    """
    if n_bootstrap < 0:
        msg = f"n_bootstrap is {n_bootstrap}; expected 0 or more"
        raise ValueError(msg)
    names = [name for name in OBSERVABLES if name in a and name in b] if observables is None else list(observables)
    if not names:
        column(a, "n_hits"), column(b, "n_hits")  # one of them has no table: says so
    pairs = [_Pair.of(column(a, name), column(b, name)) for name in names]
    found = np.array([pair.distances() for pair in pairs]).reshape(len(names), len(MEASURES))
    errors = np.full(found.shape, np.nan)
    if n_bootstrap > 1 and names:
        sizes = len(column(a, names[0])), len(column(b, names[0]))
        rng = np.random.default_rng(seed)
        drawn = np.empty((n_bootstrap, *found.shape))
        for again in drawn:
            weights = [np.bincount(rng.integers(0, n, n), minlength=n) if n else np.zeros(0, np.int64) for n in sizes]
            again[:] = [pair.distances(*weights) for pair in pairs]
        errors = drawn.std(axis=0, ddof=1)
    columns = [one for name in MEASURES for one in (name, f"{name}_error")]
    table = np.stack([found, errors], axis=2).reshape(len(names), -1)
    return pd.DataFrame(table, index=pd.Index(names, name="observable"), columns=columns)


def overlay(results: Mapping[str, xr.Dataset], observable: str, bins: int | Sequence[float] = 50) -> xr.Dataset:
    """Return histograms of several files on common bins, and their ratio to the first.

    Parameters
    ----------
    results
        Label -> result of the reduction; the first is the reference.
    observable
        A name from `OBSERVABLES`.
    bins
        Wished number of bins, or their edges. Bins of whole numbers hold the same number of them each.

    Returns
    -------
    Dataset
        On (sample, bin): `counts`; `density` and `density_error`, normalised to the area 1, per unit of the
        observable; `ratio` and `ratio_error` of the density to that of the first, the error from this file alone. On
        (bin): `band`, the relative error of the first. On (sample): `total`, `below`, `above`, `missing`. Coordinates:
        `sample`, `bin` (middles), `edge`. Errors are those of counted numbers.

    Raises
    ------
    ValueError
        There is no such observable, or no file.
    """
    if observable not in OBSERVABLES:
        msg = f"no observable {observable!r:.60}; there are {', '.join(OBSERVABLES)}"
        raise ValueError(msg)
    if not results:
        msg = "expected at least one result"
        raise ValueError(msg)
    values = [column(result, observable) for result in results.values()]
    finite = [one[np.isfinite(one)] for one in values]
    edges = _edges(np.concatenate(finite), bins, whole=observable in WHOLE)
    counts = np.stack([np.histogram(one, edges)[0] for one in finite])
    widths, inside = np.diff(edges), counts.sum(axis=1, keepdims=True)
    per = np.divide(1.0, inside * widths, out=np.zeros(counts.shape), where=inside > 0)
    density, error = counts * per, np.sqrt(counts) * per
    first = np.where(counts[:1] > 0, density[:1], np.nan)
    band = 1 / np.sqrt(np.where(counts[0] > 0, counts[0], np.nan))
    label, unit = OBSERVABLES[observable]
    units = {"units": unit} if unit else {}
    both = ("sample", "bin")
    data: dict[str, Any] = {
        "counts": (both, counts),
        "density": (both, density),
        "density_error": (both, error),
        "ratio": (both, density / first),
        "ratio_error": (both, error / first),
        "band": ("bin", band),
        "total": ("sample", np.array([len(one) for one in values])),
        "below": ("sample", np.array([int((one < edges[0]).sum()) for one in finite])),
        "above": ("sample", np.array([int((one > edges[-1]).sum()) for one in finite])),
        "missing": ("sample", np.array([len(one) - len(two) for one, two in zip(values, finite, strict=True)])),
    }
    coords = {
        "sample": ("sample", np.array(list(results), dtype=object)),
        "bin": ("bin", (edges[1:] + edges[:-1]) / 2, units),
        "edge": ("edge", edges, units),
    }
    return xr.Dataset(data, coords, {"observable": observable, "long_name": label, "units": unit})


def _edges(values: NDArray[np.float64], bins: int | Sequence[float], *, whole: bool) -> NDArray[np.float64]:
    if not isinstance(bins, int):
        given = np.asarray(bins, np.float64)
        if given.ndim != 1 or len(given) < 2 or not (np.diff(given) > 0).all():
            msg = f"bins must be edges that rise, at least two; found {given.tolist()!s:.80}"
            raise ValueError(msg)
        return given
    if not 1 <= bins <= 10_000:
        msg = f"{bins} bins; expected 1 to 10000"
        raise ValueError(msg)
    if not len(values):
        return np.linspace(0.0, 1.0, bins + 1)
    low, high = np.quantile(values, [TAIL, 1 - TAIL])
    if whole:
        low, high = np.floor(low), np.ceil(high) + 1
        width = max(1.0, np.ceil((high - low) / bins))
        return np.arange(low, high + width, width) - 0.5 if high > low else np.array([low - 0.5, low + 0.5])
    if not high > low:
        margin = abs(low) * 1e-3 or 0.5
        low, high = low - margin, high + margin
    else:
        margin = (high - low) * 0.02
        low, high = max(low - margin, values.min()), min(high + margin, values.max())
    return np.linspace(low, high, bins + 1)


@dataclass(frozen=True)
class _Pair:
    """Two samples of one observable, sorted and binned once; drawing anew only changes weights.

    Parameters
    ----------
    known
        Which values of each sample are numbers, (shower) both.
    order
        Sorts the values of both, those of the first sample first.
    steps
        Distance from each sorted value to the next, (value - 1).
    last
        Whether a sorted value is the last of those that equal it, (value).
    bins, quantiles
        Bin of each value, (value) each: of the separation and of the divergence, and the number of bins.
    """

    known: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    order: NDArray[np.int64]
    steps: NDArray[np.float64]
    last: NDArray[np.bool_]
    bins: NDArray[np.int64]
    quantiles: tuple[NDArray[np.int64], int]

    @classmethod
    def of(cls, first: NDArray[np.float64], second: NDArray[np.float64]) -> _Pair:
        known = np.isfinite(first), np.isfinite(second)
        one, other = first[known[0]], second[known[1]]
        values = np.concatenate([one, other])
        order = np.argsort(values, kind="stable")
        steps = np.diff(values[order])
        last = np.append(steps > 0, True)[: len(values)]
        bins, cells = np.zeros(len(values), np.int64), np.zeros(len(values), np.int64)
        number = 1
        if len(one) and len(other):
            low, high = np.quantile(values, [TAIL, 1 - TAIL])
            if high > low:
                bins = np.searchsorted(np.linspace(low, high, SEPARATION_BINS + 1), values, side="right")
            edges = np.unique(np.quantile(one, np.arange(1, QUANTILES) / QUANTILES))
            cells, number = np.searchsorted(edges, values, side="right"), len(edges) + 1
        return cls(known, order, steps, last, bins, (cells, number))

    def distances(self, first: Weights | None = None, second: Weights | None = None) -> tuple[float, ...]:
        """Return the measures; the weights (shower) say how often each value is drawn."""
        sizes = [int(one.sum()) for one in self.known]
        weights = [
            np.ones(n) if drawn is None else drawn[known].astype(np.float64)
            for n, drawn, known in zip(sizes, (first, second), self.known, strict=True)
        ]
        totals = [float(one.sum()) for one in weights]
        if not all(totals):
            return (np.nan,) * len(MEASURES)
        mine = np.concatenate([weights[0] / totals[0], np.zeros(sizes[1])])
        theirs = np.concatenate([np.zeros(sizes[0]), weights[1] / totals[1]])
        apart = np.abs(np.cumsum((mine - theirs)[self.order]))
        w1, ks = float((apart[:-1] * self.steps).sum()), float(apart[self.last].max())
        p, q = (np.bincount(self.bins, one) for one in (mine, theirs))
        there = p + q > 0
        separation = 0.5 * float((np.square(p - q)[there] / (p + q)[there]).sum())
        cells, number = self.quantiles
        left, right = (
            (np.bincount(cells, one, number) * n + 0.5) / (n + 0.5 * number)
            for one, n in zip((mine, theirs), totals, strict=True)
        )
        return w1, ks, separation, float((left * np.log(left / right)).sum())
