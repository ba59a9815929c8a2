"""Exports of what the showers tab shows: made by detcore in a thread at the click, then sent."""

from __future__ import annotations

import io
import shlex
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import panel as pn
import panel_material_ui as pmui

from dashboard.tabs.background import in_thread
from dashboard.tabs.parts import COPY
from detcore import showers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import xarray as xr

    from dashboard.tabs.showers.look import Place
    from dashboard.tabs.showers.results import Results

LABELS = {
    "showers.png": "Plots (PNG)",
    "showers.csv": "Observables of each shower (CSV)",
    "layers.csv": "Longitudinal profile (CSV)",
    "distances.csv": "Distances (CSV)",
    "result.nc": "Result (HDF5, netCDF4)",
    "settings.yaml": "Settings (YAML)",
    "showers.zip": "All products (ZIP)",
}
ENDINGS = {"showers.png": ".png", "showers.csv": ".showers.csv", "layers.csv": ".layers.csv", "result.nc": ".nc"}


class Exports:
    """Buttons that make files, and the command that makes the same numbers.

    Parameters
    ----------
    notify
        Called with what went wrong.
    """

    def __init__(self, notify: Callable[[str, Any], None]) -> None:
        self._notify = notify
        self._now: tuple[Results, tuple[xr.Dataset, ...], showers.Cuts] | None = None
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
                return io.BytesIO(await in_thread(content, name, *self._now))
            except Exception as error:  # noqa: BLE001 - whatever a product raises is told to the viewer
                self._notify(f"{name}: {error}", "error")
                return None
            finally:
                button.loading = False

        return pmui.FileDownload(
            callback=made, filename=name, label=label, icon="download", variant="outlined", color="primary", **style
        )

    def fill(self, results: Results, labelled: tuple[xr.Dataset, ...], cuts: showers.Cuts) -> None:
        """Remember what is shown now; `labelled` are the results with their provenance."""
        self._now = (results, labelled, cuts)

    def say(self, command: str) -> None:
        """Show the command that makes the same numbers."""
        if self._command.value != command:
            self._command.value = command


def command(paths: tuple[str, ...], place: Place, cuts: showers.Cuts) -> str:
    """Return the command line that makes the same numbers: of one file its observables, of several their comparison."""
    words = ["detcore", "showers", "compare" if len(paths) > 1 else "run", *cuts.to_arguments()]
    if place.geometry:
        words += ["--geometry", place.geometry]
    return shlex.join([*words, *paths])


def content(name: str, results: Results, labelled: tuple[xr.Dataset, ...], cuts: showers.Cuts) -> bytes:
    """Return one export.

    Parameters
    ----------
    name
        One of `LABELS`.
    results
        What is shown.
    labelled
        The result of each file, with its provenance.
    cuts
        What was selected.

    Raises
    ------
    OSError
        It cannot be written; says why.
    """
    if name == "settings.yaml":
        return cuts.to_yaml().encode()
    with tempfile.TemporaryDirectory(prefix="detcore-export-") as folder:
        place = Path(folder)
        if name == "showers.zip":
            _everything(results, labelled, cuts, place)
            return packed(place)
        if name in {"distances.csv", "showers.png"} and len(labelled) > 1:
            _compare(results, labelled, place)
            return (place / f"comparison{Path(name).suffix}").read_bytes()
        if name == "distances.csv":
            msg = "there is one file; choose another one with the button Compare with"
            raise OSError(msg)
        shown = results.sample
        stem = stems(results)[shown]
        _write([stem], [labelled[shown]], place, ENDINGS[name])
        return (place / f"{stem}{ENDINGS[name]}").read_bytes()


def stems(results: Results) -> list[str]:
    """Return what the products of each file are called."""
    return [label.replace("/", "_") for label in results.labels]


def _write(names: list[str], data: Sequence[xr.Dataset], place: Path, ending: str | None) -> None:
    for stem, one in zip(names, data, strict=True):
        _, problems = showers.write_all(one, place, stem, only=(ending,) if ending else showers.SUFFIXES)
        if problems:
            raise OSError("; ".join(map(str, problems)))


def _compare(results: Results, labelled: tuple[xr.Dataset, ...], place: Path) -> None:
    named = dict(zip(stems(results), labelled, strict=True))
    (_, first), *others = named.items()
    tables = [showers.compare(first, data).reset_index().assign(file=label) for label, data in others]
    _, problems = showers.write_comparison(named, pd.concat(tables, ignore_index=True), place)
    if problems:
        raise OSError("; ".join(map(str, problems)))


def _everything(results: Results, labelled: tuple[xr.Dataset, ...], cuts: showers.Cuts, place: Path) -> None:
    _write(stems(results), labelled, place, None)
    (place / "settings.yaml").write_text(cuts.to_yaml())
    if len(labelled) > 1:
        _compare(results, labelled, place)


def packed(place: Path) -> bytes:
    """Return the files of a folder as a ZIP file."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(place.iterdir()):
            archive.write(file, f"showers/{file.name}")
    return whole.getvalue()
