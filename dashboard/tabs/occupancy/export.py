"""Exports of what is shown: made by detcore in a thread at the click, then sent."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dashboard.tabs.downloads import packed
from detcore import occupancy

if TYPE_CHECKING:
    from dashboard.tabs.occupancy.look import Look
    from dashboard.tabs.occupancy.results import Results

LABELS = {
    "occupancy_map.png": "Map as shown (PNG)",
    "total_hits_data.csv": "Counts (CSV)",
    "total_hits_data.json": "Counts (JSON)",
    "checks.csv": "Findings (CSV)",
    "settings.yaml": "Settings (YAML)",
    "occupancy.zip": "All products (ZIP)",
}


def content(name: str, results: Results, look: Look, filters: occupancy.Filters, words: str) -> bytes:
    """Return one export.

    Parameters
    ----------
    name
        One of `LABELS`.
    results, look
        What is shown.
    filters
        The cuts.
    words
        The cut in words, for titles.
    """
    if name == "settings.yaml":
        return filters.to_yaml().encode()
    if name == "checks.csv":
        return occupancy.csv_text(results.findings).encode()
    with tempfile.TemporaryDirectory(prefix="detcore-export-") as folder:
        place = Path(folder) / name
        if name == "occupancy_map.png":
            occupancy.save_figure(picture(results, look, words), place)
        elif name == "occupancy.zip":
            return _zip(results, filters.to_yaml(), Path(folder))
        else:
            _write(results, Path(folder), {name})
        return place.read_bytes()


def picture(results: Results, look: Look, words: str) -> Any:
    """Return the map as a matplotlib figure, with the values and the scale that are shown."""
    values = occupancy.rates(results.data, look.value, results.reference)
    mode: Any = look.value if look.value in {"ratio", "significance"} else look.scale
    label = str(values.attrs["long_name"])
    return occupancy.overall(
        results.data,
        look.separators,
        mode,
        values=values,
        label=label,
        title=f"Station occupancy{words.replace(' · ', ': ', 1)}",
    )


def _zip(results: Results, settings: str, folder: Path) -> bytes:
    _write(results, folder, None)
    (folder / "settings.yaml").write_text(settings)
    (folder / "checks.csv").write_text(occupancy.csv_text(results.findings))
    return packed(folder, "QTracker_Station_Occupancies")


def _write(results: Results, folder: Path, only: set[str] | None) -> None:
    _, problems = occupancy.write_all(results.data, folder, table=occupancy.DetectorTable.default(), only=only)
    if problems:
        raise OSError("; ".join(map(str, problems)))
