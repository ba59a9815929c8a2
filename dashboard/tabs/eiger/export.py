"""Exports of what the Eiger tab shows: made by detcore in a thread at the click, then sent."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dashboard.tabs.downloads import packed
from detcore import eiger

if TYPE_CHECKING:
    from dashboard.tabs.eiger.look import Look, Place
    from dashboard.tabs.eiger.results import Results
    from detcore.core.run import Snapshot

LABELS = {
    "plots.png": "Plots (PNG)",
    "intensity.csv": "Intensity of each frame (CSV)",
    "statistics.csv": "Statistics (CSV)",
    "result.nc": "Result (HDF5, netCDF4)",
    "setup.yaml": "Limits and regions (YAML)",
    "eiger.zip": "All products (ZIP)",
}
ENDINGS = {"plots.png": ".png", "statistics.csv": ".statistics.csv", "result.nc": ".nc"}  # export -> product


def command(paths: tuple[str, ...], place: Place, limits: eiger.Limits, look: Look) -> str:
    """Return the command line that makes the same numbers; regions are in the exported setup.yaml."""
    words = ["detcore", "eiger", "run", *limits.to_arguments()]
    if place.frames:
        first, last, step = place.frames
        words += ["--frames", f"{first}:{last or ''}:{step}"]
    if place.shapes:
        words += ["--regions", "setup.yaml"]
    if look.detrend != "linear":
        words += ["--detrend", look.detrend]
    return shlex.join([*words, *paths])


def content(name: str, snapshot: Snapshot, results: Results, setup: str) -> bytes:
    """Return one export.

    Parameters
    ----------
    name
        One of `LABELS`.
    snapshot
        The result.
    results
        What is shown of it.
    setup
        Limits and regions as YAML.
    """
    if name == "setup.yaml":
        return setup.encode()
    if name == "intensity.csv":
        return frames_text(results).encode()
    with tempfile.TemporaryDirectory(prefix="detcore-export-") as folder:
        place, stem = Path(folder) / "products", Path(results.paths[0]).name
        only = [*ENDINGS.values(), ".csv", ".pickle", ".html"] if name == "eiger.zip" else [ENDINGS[name]]
        written, problems = eiger.write_all(snapshot.labelled(), place, stem, only=only, method=results.wish.method)
        if problems:
            raise OSError("; ".join(map(str, problems)))
        if name != "eiger.zip":
            return written[0].read_bytes()
        (place / "setup.yaml").write_text(setup)
        (place / "intensity.csv").write_text(frames_text(results))
        return packed(place, stem)


def frames_text(results: Results) -> str:
    """Return one line for each frame as CSV: what the trace shows, then the other regions."""
    table = results.trace.to_dataframe()
    for name, other in results.others.items():
        table[name] = other["raw"].to_series().reindex(table.index)
    return str(table.to_csv(lineterminator="\n"))
