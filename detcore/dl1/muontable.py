"""Rings of muons in whole files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from detcore.core.schema import EVENT
from detcore.core.source import ChunkRef, Problem
from detcore.dl1.api import open_files
from detcore.dl1.columns import camera_of
from detcore.dl1.images.muon import muon_ring
from detcore.dl1.source import cameras
from detcore.dl1.steps import Cuts

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

    from detcore.dl1.api import Paths
    from detcore.dl1.images.muon import Method
    from detcore.dl1.source import ImageFiles

RINGS: Final = Cuts(min_pixels=40)  # fewer hardly make a ring, and most images of showers have fewer
COLUMNS: Final = ("obs_id", "event_id", "tel_id", "row", "hillas_intensity", "n_pixels")
"""What is told of each image beside its ring."""


def muon_table(
    paths: Paths,
    cuts: Cuts | None = None,
    method: Method = "kundu_chaudhuri_taubin",
    *,
    progress: Callable[[int, int, str], None] | None = None,
    **widths: float,
) -> pd.DataFrame:
    """Fit rings to all images that pass the cuts.

    Parameters
    ----------
    paths
        Files, or folders that are walked for them.
    cuts
        Cleaning and cuts; None: `RINGS`, images of 40 pixels or more.
    method, **widths
        As for `muon_ring`.
    progress
        Called before each chunk with how many are done, how many there are, and its file; and at the end.

    Returns
    -------
    DataFrame
        A row for each image with a ring: obs_id, event_id, tel_id, row, hillas_intensity, n_pixels, and what `muon_ring`
        gives; with several files also file. Units in ``attrs["units"]``, what could not be read in ``attrs["problems"]``.
        Cameras without a focal length have no rings.

    Raises
    ------
    OSError, ValueError
        A file cannot be read.
    """
    cuts = RINGS if cuts is None else cuts
    files = open_files(paths).files()
    jobs: list[tuple[ImageFiles, ChunkRef]] = []
    problems: list[str] = []
    for path in files:
        for camera in cameras(path, cuts.telescopes):
            source = open_files(path, camera)
            for ref in source.plan():
                if isinstance(ref, ChunkRef):
                    jobs.append((source, ref))
                elif ref is not None:
                    problems.append(str(ref))
    parts: list[pd.DataFrame] = []
    units: dict[str, str] = {}
    for number, (source, ref) in enumerate(jobs):
        if progress is not None:
            progress(number, len(jobs), ref.part)
        try:
            chunk = source.read(ref, frozenset())
        except (OSError, ValueError) as error:
            problems.append(str(Problem.of(ref.part, error)))
            continue
        found = _rings(chunk, cuts, method, widths)
        if found is not None:
            units |= found.attrs["units"]
            if len(files) > 1:
                found.insert(0, "file", ref.part)
            parts.append(found)
    if progress is not None:
        progress(len(jobs), len(jobs), "")
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))
    table.attrs = {"units": units, "problems": problems}
    return table


def _rings(chunk: xr.Dataset, cuts: Cuts, method: Method, widths: dict[str, float]) -> pd.DataFrame | None:
    """Return the rings of a chunk; None if there is none."""
    camera = camera_of(chunk)
    if not camera.focal_length > 0:
        return None
    for step in cuts.steps():
        chunk = step.apply(chunk)
    if not chunk.sizes[EVENT]:
        return None
    rings = muon_ring(chunk["image"].values, chunk["selected"].values, camera, method, **widths)
    columns = {name: chunk[name].values for name in COLUMNS} | {str(name): one.values for name, one in rings.items()}
    table = pd.DataFrame(columns)
    table = table[np.isfinite(table["muonring_radius"])].reset_index(drop=True)
    labelled = {**chunk.variables, **rings.variables}
    table.attrs["units"] = {name: unit for name in columns if (unit := labelled[name].attrs.get("units", ""))}
    return table if len(table) else None
