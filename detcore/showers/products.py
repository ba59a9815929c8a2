"""The files that a run and a comparison leave behind: tables, the whole result, pictures."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np
import pandas as pd
import xarray as xr

from detcore.core.outputs import csv_text, write_content, write_each, write_netcdf
from detcore.core.paths import atomic
from detcore.showers import plots
from detcore.showers.analysis import correlations, linearity
from detcore.showers.reductions import OBSERVABLES

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterator, Mapping

    from matplotlib.figure import Figure

    from detcore.core.source import Problem

MAX_MEMORY: Final = 8_000_000_000  # bytes of a result once read; the table of ten million showers needs 1.2 GB
DPI: Final = 120
SUFFIXES: Final = (
    ".nc",
    ".showers.csv",
    ".layers.csv",
    ".radius.csv",
    ".spectrum.csv",
    ".time.csv",
    ".linearity.csv",
    ".correlations.csv",
    ".png",
)


class InvalidResult(ValueError):
    """A file is not a result of ours."""


def write_all(
    data: xr.Dataset,
    folder: str | os.PathLike[str],
    name: str,
    *,
    only: Collection[str] = SUFFIXES,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[list[Path], list[Problem]]:
    """Write the products of a run, each aside and renamed; a failing one does not stop the others.

    Parameters
    ----------
    data
        As `reduce` gives it; what it lacks is not written.
    folder
        Where to; made if it is missing.
    name
        Of the input; its folder does not matter.
    only
        Endings, of *.nc* (everything, netCDF4), *.showers.csv* (a row for each shower), *.layers.csv*, *.radius.csv*,
        *.spectrum.csv*, *.time.csv* (profiles and spectra), *.linearity.csv*, *.correlations.csv* and *.png*.
    progress
        Called before each product with how many are done, how many there are, and its name; called at the end.

    Returns
    -------
    written : list of Path
        What is there now.
    problems : list of Problem
        What could not be written, and why; empty when all is well.
    """
    place, stem = Path(folder), stem_of(name)
    jobs = [(place / f"{stem}{suffix}", write) for suffix, write in _jobs(data, stem) if suffix in only]
    return write_each(jobs, progress)


def write_comparison(
    results: Mapping[str, xr.Dataset],
    table: pd.DataFrame,
    folder: str | os.PathLike[str],
    *,
    name: str = "comparison",
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[list[Path], list[Problem]]:
    """Write the distances as CSV and the pictures with ratio panels.

    Parameters
    ----------
    results
        Name -> result; the first is the reference.
    table
        Distances, as the command prints them.
    folder
        Where to; made if it is missing.
    name
        How the files begin.
    progress
        As for `write_all`.

    Returns
    -------
    tuple
        As for `write_all`.
    """
    place = Path(folder)
    title = " / ".join(results)
    jobs: list[tuple[Path, Callable[[Path], object]]] = [
        (place / f"{name}.csv", lambda target: write_content(target, csv_text(table))),
        (place / f"{name}.png", lambda target: save_figure(plots.comparison(results, title), target)),
    ]
    return write_each(jobs, progress)


def table_of(data: xr.Dataset) -> pd.DataFrame:
    """Return a row for each shower: its number in its file, the file if there are several, and all observables."""
    columns = {"shower": data["shower"].values}
    if "parts" in data.coords and data.sizes["parts"] > 1:
        names = np.array([str(part) for part in data["parts"].values], dtype=object)
        columns["file"] = names[data["part"].values]
    columns |= {name: data[name].values for name in ("pdg", *OBSERVABLES) if name in data}
    return pd.DataFrame(columns)


def save_figure(figure: Figure, target: Path, provenance: str = "") -> None:
    """Write a picture aside and rename it; its provenance is a text chunk."""
    facts = {"Software": "detcore", "Provenance": provenance or "{}"}
    with atomic(target) as aside:
        figure.savefig(aside, format="png", dpi=DPI, metadata=facts)


def stem_of(name: str) -> str:
    """Return the last part of a path without .h5, as the names of all products begin."""
    last = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    for suffix in (".nc", ".h5", ".hdf5", ".hdf"):
        last = last.removesuffix(suffix)
    return last or "showers"


def read_result(path: str | os.PathLike[str]) -> xr.Dataset:
    """Read a .nc file that `write_all` has written.

    Raises
    ------
    OSError
        The file cannot be opened.
    InvalidResult
        It is something else, or too large.
    """
    place = Path(path)
    with place.open("rb") as file:
        if file.read(8) != b"\x89HDF\r\n\x1a\n":
            _refuse(place, "another kind of file")
    try:
        with xr.open_dataset(place, engine="h5netcdf", decode_times=False, phony_dims="access") as lazy:
            if "n_showers" not in lazy or "geometry" not in lazy.attrs:
                _refuse(place, "another content")
            if lazy.nbytes > MAX_MEMORY:  # a small file can claim to be endless
                _refuse(place, f"{lazy.nbytes:,} bytes of data, more than {MAX_MEMORY:,}")
            data = lazy.load()
    except InvalidResult:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        _refuse(place, f"{type(error).__name__}: {error}")
    if data["n_showers"].ndim or data["n_showers"].dtype.kind not in "iu" or int(data["n_showers"]) < 0:
        _refuse(place, "an impossible number of showers")
    return data


def _refuse(place: Path, found: str) -> NoReturn:
    msg = f"{place}: expected a result (.nc) of detcore showers; found {found[:200]}; write it again with 'detcore showers run'"
    raise InvalidResult(msg)


def _jobs(data: xr.Dataset, stem: str) -> Iterator[tuple[str, Callable[[Path], object]]]:
    """Yield ending and the function that writes it: numbers first, pictures last."""
    yield ".nc", partial(write_netcdf, data)
    if "shower" in data.dims:
        yield ".showers.csv", lambda target: write_content(target, csv_text(table_of(data)))
    for suffix, dim, names in (
        (".layers.csv", "layer", ("energy_per_layer", "hits_per_layer")),
        (".radius.csv", "radius", ("energy_per_radius",)),
        (".spectrum.csv", "cell_energy", ("cells_ecal", "cells_hcal")),
        (".time.csv", "time", ("time_points", "time_energy")),
    ):
        if all(name in data for name in names):
            yield suffix, partial(_write_bins, data, dim, names)
    if "shower" in data.dims:
        yield ".linearity.csv", lambda target: write_content(target, csv_text(linearity(data), index=True))
        yield ".correlations.csv", lambda target: write_content(target, csv_text(correlations(data), index=True))
    yield (
        ".png",
        lambda target: save_figure(plots.overview(data, stem), target, str(data.attrs.get("provenance", ""))),
    )


def _write_bins(data: xr.Dataset, dim: str, names: tuple[str, ...], target: Path) -> None:
    columns: dict[str, Any] = {dim: data[dim].values}
    if f"{dim}_edge" in data.coords:
        edges = data[f"{dim}_edge"].values
        columns |= {f"{dim}_low": edges[:-1], f"{dim}_high": edges[1:]}
    for name in names:
        columns[_titled(data, name)] = data[name].values
        if f"{name}_error" in data:
            columns[_titled(data, f"{name}_error")] = data[f"{name}_error"].values
    write_content(target, csv_text(pd.DataFrame(columns)))


def _titled(data: xr.Dataset, name: str) -> str:
    unit = data[name].attrs.get("units")
    return f"{name} ({unit})" if unit else name
