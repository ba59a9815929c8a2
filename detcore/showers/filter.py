"""Points that lie near the axis and have enough energy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from detcore.showers import kernels
from detcore.showers.detector import named_in_file
from detcore.showers.files import load_metadata
from detcore.showers.ragged import Ragged
from detcore.showers.rewrite import rewrite
from detcore.showers.rows import Form, result, room_for, rows_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

__all__ = ["filter_file", "filter_showers", "get_detector_thresholds"]


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
        np.float32(num_layers_ecal - 0.5), out, rows.start[:0] if ragged else rows.start, kept, hits,
    )  # fmt: skip
    if not ragged:
        return result(shower_data, out, hits)
    total = int(kept.sum())
    # A view is faster, but keeps all memory of the original alive.
    points = out[:total] if 2 * total > len(out) else out[:total].copy()
    return result(shower_data, points, kept)


def filter_file(
    input_path: str | os.PathLike[str],
    output_path: str | os.PathLike[str],
    radius: float = float("inf"),
    ecal_threshold: float = 0.0,
    hcal_threshold: float = 0.0,
    num_layers_ecal: int = 30,
    overwrite: bool = False,
    batch_size: int = 1000,
    verbose: bool = False,
    *,
    progress: Callable[[int, int, str], None] | None = None,
) -> None:
    """Write a new file with the points that `filter_showers` keeps; its attributes are those of the old one.

    Parameters
    ----------
    input_path, output_path
        Shower files; the new one appears when it is complete.
    radius, ecal_threshold, hcal_threshold, num_layers_ecal
        As for `filter_showers`.
    overwrite
        Replace `output_path` if it exists.
    batch_size
        Showers in memory at once.
    verbose
        Print how far it is.
    progress
        Called with showers done, their number, and words.

    Raises
    ------
    FileExistsError
        `output_path` exists, or is the input.
    """
    if not overwrite and Path(output_path).exists():
        msg = f"Output file '{output_path}' already exists."
        raise FileExistsError(msg)

    def change(part: Ragged, _: int) -> Ragged:
        return filter_showers(part, radius, ecal_threshold, hcal_threshold, num_layers_ecal)

    def tell(done: int, total: int, words: str) -> None:
        if progress is not None:
            progress(done, total, words)
        if verbose:
            print(f"Processed {done} / {total} showers.")  # noqa: T201 - asked for

    rewrite(input_path, output_path, change, overwrite=overwrite, batch_size=batch_size, progress=tell)


def get_detector_thresholds(path: str | os.PathLike[str]) -> tuple[float, float, int]:
    """Return the thresholds of the geometry that a file was clustered for.

    Parameters
    ----------
    path
        A shower file.

    Returns
    -------
    tuple
        ECAL and HCAL, GeV, and the number of layers of the ECAL; zeros if nobody knows the geometry.
    """
    try:
        geometry = named_in_file(load_metadata(path).get("clustered_for", ""))
    except ValueError:
        return 0.0, 0.0, 0
    return geometry.ecal_threshold / 1e3, geometry.hcal_threshold / 1e3, geometry.num_layers_ecal
