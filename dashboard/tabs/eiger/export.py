"""Exports of what the Eiger tab shows: made by detcore in a thread at the click, then sent."""

from __future__ import annotations

import io
import shlex
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui

from dashboard.tabs.background import in_thread
from dashboard.tabs.parts import COPY
from detcore import eiger

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

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


class Exports:
    """Buttons that make files, and the command that makes the same numbers.

    Parameters
    ----------
    notify
        Called with what went wrong.
    """

    def __init__(self, notify: Callable[[str, Any], None]) -> None:
        self._notify = notify
        self._now: tuple[Snapshot, Results, str] | None = None
        wide: dict[str, Any] = {"sizing_mode": "stretch_width", "margin": (3, 8), "size": "small"}
        self.buttons = {name: self._button(name, label, wide) for name, label in LABELS.items()}
        self._command = pmui.TextAreaInput(
            label="The same on the command line", rows=6, **wide | {"margin": (14, 8, 4, 8)}
        )
        copy = pmui.Button(label="Copy as command", variant="outlined", icon="content_copy", **wide)
        copy.js_on_click(args={"text": self._command}, code=COPY)
        self.view = pn.Column(
            *self.buttons.values(), self._command, copy,
            width=262, sizing_mode="stretch_height", margin=(0, 8, 0, 0), scroll="y",
        )  # fmt: skip

    def _button(self, name: str, label: str, style: dict[str, Any]) -> pmui.FileDownload:
        async def made() -> io.BytesIO | None:
            if self._now is None:
                return None
            button = self.buttons[name]
            button.loading = True
            try:
                snapshot, results, setup = self._now
                return io.BytesIO(await in_thread(content, name, snapshot.labelled(), results, setup))
            except Exception as error:  # noqa: BLE001 - whatever a product raises is told to the viewer
                self._notify(f"{name}: {error}", "error")
                return None
            finally:
                button.loading = False

        return pmui.FileDownload(
            callback=made, filename=name, label=label, icon="download", variant="outlined", color="primary", **style
        )

    def fill(self, snapshot: Snapshot, results: Results, setup: str) -> None:
        """Remember what is shown now; `setup` is the YAML with limits and regions."""
        self._now = (snapshot, results, setup)

    def say(self, command: str) -> None:
        """Show the command that makes the same numbers."""
        if self._command.value != command:
            self._command.value = command


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


def content(name: str, data: xr.Dataset, results: Results, setup: str) -> bytes:
    """Return one export.

    Parameters
    ----------
    name
        One of `LABELS`.
    data
        The result, with its provenance.
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
        written, problems = eiger.write_all(data, place, stem, only=only, method=results.wish.method)
        if problems:
            raise OSError("; ".join(map(str, problems)))
        if name != "eiger.zip":
            return written[0].read_bytes()
        (place / "setup.yaml").write_text(setup)
        (place / "intensity.csv").write_text(frames_text(results))
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(place.iterdir()):
                archive.write(file, f"{stem}/{file.name}")
        return packed.getvalue()


def frames_text(results: Results) -> str:
    """Return one line for each frame as CSV: what the trace shows, then the other regions."""
    table = results.trace.to_dataframe()
    for name, other in results.others.items():
        table[name] = other["raw"].to_series().reindex(table.index)
    return str(table.to_csv(lineterminator="\n"))
