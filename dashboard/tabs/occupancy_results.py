"""Everything that the tab draws, computed by detcore in a thread, once for all viewers of the same snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.tabs.background import Shared
from dashboard.views.grid import Column
from detcore import occupancy
from detcore.occupancy.analysis import expected

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

ROBUST = (1.0, 99.5)  # percentiles of the colour limits


@dataclass(frozen=True)
class Results:
    """What one pair of dataset and reference gives. Arrays are (detector_id, element_id), as in `data`."""

    data: xr.Dataset
    reference: xr.Dataset | None
    columns: tuple[Column, ...]
    planes: pd.DataFrame
    findings: pd.DataFrame
    expected: NDArray[np.float64]
    rate: NDArray[np.float64]
    ratio: NDArray[np.float64] | None
    aligned: NDArray[np.int64] | None

    def of_plane(self, name: str, detector_id: int) -> NDArray[Any]:
        """Return a variable's values for one detector, cut to its elements if it has them."""
        values = self.data[name].sel(detector_id=detector_id)
        return np.asarray(values.values[: self.n_elements(detector_id)] if "element_id" in values.dims else values.values)

    def n_elements(self, detector_id: int) -> int:
        """Return how many elements a detector has."""
        return int(self.data["n_elements"].sel(detector_id=detector_id))

    def row(self, detector_id: int) -> int:
        """Return where a detector stands on the first axis."""
        return int(np.flatnonzero(self.data["detector_id"].values == detector_id)[0])

    def name(self, detector_id: int) -> str:
        """Return a detector's name."""
        return next((column.name for column in self.columns if column.detector_id == detector_id), str(detector_id))


RESULTS: Shared[Results] = Shared(6)
VALUES: Shared[NDArray[np.float64]] = Shared(12)


def compute(data: xr.Dataset, reference: xr.Dataset | None) -> Results:
    """Judge a dataset."""
    hits = data["hits"].values
    events = int(data["n_events"])
    usable = reference if reference is not None and "hits" in reference else None
    aligned = None
    if usable is not None:
        ids = {name: data[name].values for name in ("detector_id", "element_id")}
        aligned = usable["hits"].reindex(ids, fill_value=0).transpose("detector_id", "element_id").values
    return Results(
        data=data,
        reference=usable,
        columns=columns_of(data),
        planes=occupancy.planes(data, usable).set_index("detector_id"),
        findings=occupancy.check(data, usable),
        expected=expected(hits, data["n_elements"].values),
        rate=hits / max(events, 1),
        ratio=None if usable is None else occupancy.rates(data, "ratio", usable).values,
        aligned=aligned,
    )


def columns_of(data: xr.Dataset) -> tuple[Column, ...]:
    """Return the detectors in display order: the table's, then those that were only seen in the data."""
    names = dict(zip(data["detector_id"].values.tolist(), data["detector"].values.tolist(), strict=True))
    labels = {row.detector_id: row.label for row in occupancy.DetectorTable.default().rows}
    counts = dict(zip(data["detector_id"].values.tolist(), data["n_elements"].values.tolist(), strict=True))
    groups = dict(zip(data["detector_id"].values.tolist(), data["group"].values.tolist(), strict=True))
    known = [row.detector_id for row in occupancy.DetectorTable.default().rows if counts.get(row.detector_id)]
    others = [number for number, count in counts.items() if count and number not in set(known)]
    return tuple(
        Column(
            number,
            names[number] or f"id {number}",
            groups[number] or "Not in the table",
            labels.get(number) or groups[number] or "Other",
            int(counts[number]),
        )
        for number in [*known, *others]
    )


def colour_limits(values: NDArray[np.float64], *, log: bool, robust: bool, two_sided: bool) -> tuple[float, float]:
    """Return the values of the first and the last colour.

    Parameters
    ----------
    values
        The coloured values; NaN and inf are left out, and those that a logarithmic scale cannot show.
    log, robust
        As the viewer chose.
    two_sided
        Put 1 (log) or 0 (linear) in the middle.
    """
    used = values[np.isfinite(values) & ((values > 0) | (not log))]
    if not used.size:
        return (0.1, 10.0) if log else (0.0, 1.0)
    if two_sided:
        away = np.abs(np.log(used)) if log else np.abs(used - (1.0 if values.min(initial=0) >= 0 else 0.0))
        most = float(np.percentile(away, ROBUST[1])) if robust else float(away.max())
        if log:
            most = float(np.exp(max(most, np.log(1.2))))
            return 1 / most, most
        return -max(most, 1.0), max(most, 1.0)
    low, high = np.percentile(used, ROBUST) if robust else (used.min(), used.max())
    return (float(low) if log else 0.0), float(max(high, low * 1.01, 1e-12))


def headline(results: Results) -> Mapping[str, str]:
    """Return the numbers that stand above everything."""
    data = results.data
    events, hits = int(data["n_events"]), int(data["hits"].sum())
    empty = int(data["n_empty_events"])
    states = results.planes["state"].value_counts()
    found = results.findings["finding"].value_counts()
    dropped = int(data["dropped_unknown"]) + int(data["dropped_elements"].sum())
    return {
        "Events": f"{events:,}",
        "Empty": f"{empty:,}" + (f" ({empty / events:.1%})" if events else ""),
        "Hits": f"{hits:,}",
        "Hits / event": f"{hits / events:,.1f}" if events else "–",
        "Out of range": f"{dropped:,}",
        "Dead · hot": f"{found.get('dead', 0):,} · {found.get('hot', 0):,}",
        **{state: f"{states.get(state, 0)}" for state in ("OK", "WARN", "ERROR")},
    }
