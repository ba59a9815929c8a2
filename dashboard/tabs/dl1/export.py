"""Exports of what the DL1 tab shows: made by detcore in a thread at the click, then sent."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dashboard.tabs.dl1.mapped import method_of
from dashboard.tabs.downloads import packed
from detcore import dl1

if TYPE_CHECKING:
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
            return packed(place, "dl1")
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
