"""Exports of what the showers tab shows: made by detcore in a thread at the click, then sent."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from dashboard.tabs.downloads import packed
from detcore import showers

if TYPE_CHECKING:
    from collections.abc import Sequence

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
            return packed(place, "showers")
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
