"""Exports of what is shown: made by detcore in a thread at the click, then sent."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui

from dashboard.tabs.background import in_thread
from dashboard.tabs.parts import COPY
from detcore import occupancy

if TYPE_CHECKING:
    from collections.abc import Callable

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


class Exports:
    """Buttons that make files, and the command that makes the same numbers.

    Parameters
    ----------
    notify
        Called with what went wrong.
    """

    def __init__(self, notify: Callable[[str, Any], None]) -> None:
        self._notify = notify
        self._now: tuple[Results, Look, occupancy.Filters, str] | None = None
        wide: dict[str, Any] = {"sizing_mode": "stretch_width", "margin": (3, 8), "size": "small"}
        self.buttons = {name: self._button(name, label, wide) for name, label in LABELS.items()}
        self._command = pmui.TextAreaInput(
            label="The same on the command line", rows=5, **wide | {"margin": (14, 8, 4, 8)}
        )
        copy = pmui.Button(label="Copy as command", variant="outlined", icon="content_copy", **wide)
        copy.js_on_click(args={"text": self._command}, code=COPY)
        self.view = pn.Column(*self.buttons.values(), self._command, copy, sizing_mode="stretch_width", margin=(8, 0))

    def _button(self, name: str, label: str, style: dict[str, Any]) -> pmui.FileDownload:
        async def made() -> io.BytesIO | None:
            if self._now is None:
                return None
            button = self.buttons[name]
            button.loading = True
            try:
                return io.BytesIO(await in_thread(content, name, *self._now))
            except Exception as error:  # noqa: BLE001 - whatever a product raises is told to the viewer
                self._notify(f"{name}: {error}", "error")
                return None
            finally:
                button.loading = False

        return pmui.FileDownload(
            callback=made, filename=name, label=label, icon="download", variant="outlined", color="primary", **style
        )

    def fill(self, results: Results, look: Look, filters: occupancy.Filters, words: str) -> None:
        """Remember what is shown now."""
        self._now = (results, look, filters, words)

    def say(self, command: str) -> None:
        """Show the command that makes the same numbers."""
        self._command.value = command


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
            _zip(results, filters.to_yaml(), place)
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


def _zip(results: Results, settings: str, place: Path) -> None:
    folder = place.parent / "QTracker_Station_Occupancies"
    _write(results, folder, None)
    (folder / "settings.yaml").write_text(settings)
    (folder / "checks.csv").write_text(occupancy.csv_text(results.findings))
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(file, file.relative_to(place.parent))


def _write(results: Results, folder: Path, only: set[str] | None) -> None:
    _, problems = occupancy.write_all(results.data, folder, table=occupancy.DetectorTable.default(), only=only)
    if problems:
        raise OSError("; ".join(map(str, problems)))
