"""Points that lie near the axis and have enough energy."""

from __future__ import annotations

import numpy as np

from detcore.showers import kernels
from detcore.showers.ragged import Ragged
from detcore.showers.rows import Form, result, room_for, rows_of

__all__ = ["filter_showers"]


def filter_showers(
    shower_data: Form,
    radius: float = float("inf"),
    ecal_threshold: float = 0.0,
    hcal_threshold: float = 0.0,
    num_layers_ecal: int = 30,
) -> Form:
    """Keep the points inside a cylinder that have enough energy.

    Parameters
    ----------
    shower_data
        Padded or ragged.
    radius
        mm; a point is kept if it is nearer to the axis.
    ecal_threshold, hcal_threshold
        GeV; a point is kept if it has that much or more.
    num_layers_ecal
        Points from half a layer before this number on belong to the HCAL.

    Returns
    -------
    Showers or Ragged
        In the form and width given, the order kept.
    """
    rows = rows_of(shower_data)
    out = room_for(shower_data, rows)
    kept, hits = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    ragged = isinstance(shower_data, Ragged)
    with np.errstate(over="ignore"):  # a radius whose square is no float32 is no limit
        radius_squared = np.float32(radius**2)
    kernels.keep(
        rows.points, rows.start, rows.stop, radius_squared, np.array([ecal_threshold, hcal_threshold], np.float32),
        np.float32(num_layers_ecal - 0.5), out, np.empty(0, np.int64) if ragged else rows.start, kept, hits,
    )  # fmt: skip
    if not ragged:
        return result(shower_data, out, hits)
    total = int(kept.sum())
    # A view is faster, but keeps all memory of the original alive.
    points = out[:total] if 2 * total > len(out) else out[:total].copy()
    return result(shower_data, points, kept)
