"""Exports of what the DL1 tab shows: made by detcore in a thread at the click, then sent."""

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
from dashboard.tabs.dl1.mapped import method_of
from dashboard.tabs.parts import COPY
from detcore import dl1

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

    from dashboard.tabs.dl1.look import Look
    from dashboard.tabs.dl1.panels import Now

LABELS = {
    "dl1.png": "Plots (PNG)",
    "parameters.csv": "Image parameters (CSV)",
    "parameters.h5": "Image parameters (HDF5)",
    "pixels.csv": "Dead and noisy pixels (CSV)",
    "pixels.npy": "Dead and noisy pixels (NPY)",
    "pixels.yaml": "Dead and noisy pixels (YAML)",
    "images.h5": "Mapped images (HDF5)",
    "result.nc": "Result (HDF5, netCDF4)",
    "settings.yaml": "Settings (YAML)",
    "dl1.zip": "All products (ZIP)",
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
        self._now: tuple[Now, dict[str, xr.Dataset]] | None = None
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

    def fill(self, now: Now, labelled: dict[str, xr.Dataset]) -> None:
        """Remember what is shown now; `labelled` is the result of each camera with its provenance."""
        self._now = (now, labelled)

    def say(self, command: str) -> None:
        """Show the command that makes the same numbers."""
        if self._command.value != command:
            self._command.value = command


def command(path: str, cuts: dl1.Cuts, look: Look) -> str:
    """Return the command line that makes what is shown."""
    if not path:
        return ""
    arguments = cuts.to_arguments()
    if look.panel == "mapped":
        words = ["images", path, "--mapping", method_of(look), "--output", "images.h5"]
    elif look.panel == "stereo":
        words = ["stereo", *arguments, path, "--output", "stereo.csv"]
    elif look.panel == "images":
        words = ["parameters", *arguments, path, "--output", "parameters.h5"]
    elif look.panel == "file":
        words = ["info", path]
    else:
        words = ["run", *arguments, path, "--output", "results"]
    return shlex.join(["detcore", "dl1", *words])


def content(name: str, now: Now, labelled: dict[str, xr.Dataset]) -> bytes:
    """Return one export.

    Parameters
    ----------
    name
        One of `LABELS`.
    now
        What is shown.
    labelled
        camera -> result, with its provenance.

    Raises
    ------
    OSError, ValueError
        It cannot be written; says why.
    """
    if name == "settings.yaml":
        return now.cuts.to_yaml().encode()
    with tempfile.TemporaryDirectory(prefix="detcore-export-") as folder:
        place = Path(folder)
        _make(name, now, labelled, place)
        if name == "dl1.zip":
            return packed(place)
        return next(found for found in place.iterdir() if found.is_file()).read_bytes()


def _make(name: str, now: Now, labelled: dict[str, xr.Dataset], place: Path) -> None:
    """Write an export into an empty folder."""
    results, facts = now.results, now.facts
    if results is None:
        msg = "nothing has been read yet"
        raise ValueError(msg)
    camera = now.image.camera.name if now.image is not None else next(iter(labelled))
    if name.startswith("parameters"):
        dl1.write_parameters(results.table.drop(columns="place"), place / name)
    elif name.startswith("pixels"):
        dl1.write_mask(results.flags[camera], place / name)
    elif name == "images.h5":
        dl1.write_images(facts.path, method_of(now.look), place / name)
    elif name == "dl1.zip":
        for kind, data in labelled.items():
            _write(data, place, f"{Path(facts.path).stem}_{kind}", None)
        (place / "settings.yaml").write_text(now.cuts.to_yaml())
    else:
        _write(labelled[camera], place, camera, Path(name).suffix)


def _write(data: xr.Dataset, place: Path, stem: str, ending: str | None) -> None:
    _, problems = dl1.write_all(data, place, stem, only=dl1.SUFFIXES if ending is None else (ending,))
    if problems:
        raise OSError("; ".join(map(str, problems)))


def packed(place: Path) -> bytes:
    """Return the files of a folder as a ZIP file."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(place.iterdir()):
            archive.write(file, f"dl1/{file.name}")
    return whole.getvalue()
