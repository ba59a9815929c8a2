"""Finished results to tables: response and resolution, correlations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from detcore.showers.reductions import OBSERVABLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray


def linearity(result: xr.Dataset, bins: int | Sequence[float] = 10) -> pd.DataFrame:
    """Return response and resolution against the incident energy.

    Parameters
    ----------
    result
        Of the reduction, with its table.
    bins
        Number of bins of equal width, or their edges in GeV, rising. If the file has no more different energies than
        bins, each energy is one.

    Returns
    -------
    DataFrame
        One row for each bin with two showers or more: `energy_low`, `energy_high`, `energy` (mean, GeV), `n`;
        `response`, the mean of visible over incident energy; `resolution`, its standard deviation over its mean; both
        with `_error`, for normally distributed ratios.

    Raises
    ------
    ValueError
        The result has no table, or the bins do not rise.
    """
    energy, ratio = column(result, "incident_energy"), column(result, "energy_ratio")
    known = np.isfinite(energy) & np.isfinite(ratio)
    energy, ratio = energy[known], ratio[known]
    place, edges = _places(energy, bins)
    rows = []
    for number, (low, high) in enumerate(edges):
        here = place == number
        n, values = int(here.sum()), ratio[here]
        if n < 2:
            continue
        mean, sigma = float(values.mean()), float(values.std(ddof=1))
        resolution = sigma / mean if mean else np.nan
        # Error of a standard deviation, and of the mean it is divided by.
        spread = abs(resolution) * np.sqrt(1 / (2 * (n - 1)) + resolution**2 / n)
        rows.append((low, high, float(energy[here].mean()), n, mean, sigma / np.sqrt(n), resolution, spread))
    names = ("energy_low", "energy_high", "energy", "n", "response", "response_error", "resolution", "resolution_error")
    return pd.DataFrame(rows, columns=list(names)).astype(
        {"n": np.int64} | {name: np.float64 for name in names if name != "n"}
    )


def _places(
    energy: NDArray[np.float64], bins: int | Sequence[float]
) -> tuple[NDArray[np.int64], list[tuple[float, float]]]:
    """Return the bin of each shower, (shower), and the edges of the bins."""
    if not isinstance(bins, int):
        given = np.asarray(bins, np.float64)
        if given.ndim != 1 or len(given) < 2 or not (np.diff(given) > 0).all():
            msg = f"bins of energy must be edges that rise, at least two; found {given.tolist()!s:.80}"
            raise ValueError(msg)
        place = np.searchsorted(given, energy, side="right") - 1
        place[energy == given[-1]] = len(given) - 2  # the last edge belongs to the last bin
        return place, list(zip(given[:-1].tolist(), given[1:].tolist(), strict=True))
    if bins < 1:
        msg = f"{bins} bins of energy; expected at least one"
        raise ValueError(msg)
    values = np.unique(energy)
    if len(values) <= bins:
        return np.searchsorted(values, energy), [(float(one), float(one)) for one in values]
    return _places(energy, np.linspace(values[0], values[-1], bins + 1).tolist())


def correlations(result: xr.Dataset, observables: Sequence[str] | None = None) -> pd.DataFrame:
    """Return Pearson's correlation of each pair of observables.

    Parameters
    ----------
    result
        Of the reduction, with its table.
    observables
        Names from `OBSERVABLES`; None: all that the result has.

    Returns
    -------
    DataFrame
        Observable by observable; not a number where one does not vary or is not there.
    """
    names = [name for name in OBSERVABLES if name in result] if observables is None else list(observables)
    values = pd.DataFrame({name: column(result, name) for name in names})
    varies = values.max() > values.min()
    found = values.loc[:, varies].corr().reindex(index=names, columns=names)
    return found.clip(-1.0, 1.0)  # rounding


def column(result: xr.Dataset, name: str) -> NDArray[np.float64]:
    """Return a column of the table of a result, (shower), float64.

    Raises
    ------
    ValueError
        The result has no such column.
    """
    if name not in result:
        known = ", ".join(one for one in OBSERVABLES if one in result) or "none: reduce with the part 'table'"
        msg = f"the result has no {name!r:.60}; its observables: {known}"
        raise ValueError(msg)
    return np.asarray(result[name].values, np.float64)
