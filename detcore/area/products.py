"""The files that an average or a profile leaves behind, with where they come from."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np

from detcore.area.plots import image_figure, profile_figure
from detcore.core.outputs import csv_text, write_content, write_each, write_netcdf
from detcore.core.paths import atomic

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection

    import pandas as pd
    import xarray as xr

    from detcore.area.detector import Detector
    from detcore.core.source import Problem

IMAGES: Final = ("mean", "std", "median", "max", "min", "n_hits")
SUFFIXES: Final = (".nc", ".npy", ".h5", ".png", ".csv")
CONSTANTS: Final = {"ped": "pedestal", "rms": "noise", "mask": "mask", "cmask": "cmask", "x": "x", "y": "y"}


def write_all(
    data: xr.Dataset,
    folder: str | os.PathLike[str],
    name: str,
    *,
    only: Collection[str] = (".nc",),
    detector: Detector | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[list[Path], list[Problem]]:
    """Write an average, a cube or a profile, each file aside and renamed; a failing one does not stop the others.

    Parameters
    ----------
    data
        As `average`, `cube` or `azimuthal` gives it.
    folder, name
        Where to, and how the names of all files begin.
    only
        Endings: *.nc* everything (netCDF4); *.npy* each image as an array; *.h5* the images with the constants of the
        detector, as saveAvImage does; *.png* a figure; *.csv* the profile.
    detector
        For *.h5*, and to assemble panels for figures.
    progress
        Called before each file with how many are done, how many there are, and its name; called at the end.

    Returns
    -------
    written : list of Path
        What is there now.
    problems : list of Problem
        What could not be written, and why; empty when all is well.

    Raises
    ------
    ValueError
        An ending is not known.
    """
    unknown = sorted(set(only) - set(SUFFIXES))
    if unknown:
        msg = f"no file ends in {unknown[0]!r}; known: {', '.join(SUFFIXES)}"
        raise ValueError(msg)
    root, images = Path(folder), [one for one in IMAGES if one in data]
    jobs: list[tuple[Path, Callable[[Path], object]]] = []
    if ".nc" in only:
        jobs.append((root / f"{name}.nc", partial(write_netcdf, _flat(data))))
    if ".npy" in only:
        jobs += [(root / f"{name}_{one}.npy", partial(_write_npy, data[one])) for one in images]
    if ".h5" in only:
        jobs.append((root / f"{name}.h5", partial(_write_hdf5, data, images, detector)))
    if ".png" in only:
        jobs.append((root / f"{name}.png", partial(_write_figure, data, name, detector)))
    if ".csv" in only:
        jobs.append((root / f"{name}.csv", partial(_write_csv, data)))
    return write_each(jobs, progress)


def _flat(data: xr.Dataset) -> xr.Dataset:
    """Return names that netCDF takes: a path is no name."""
    renamed = {name: str(name).replace("/", "_") for name in (*data.variables, *data.dims) if "/" in str(name)}
    return data.rename(renamed) if renamed else data


def _write_npy(image: xr.DataArray, target: Path) -> None:
    with atomic(target) as aside:
        np.save(aside, image.values)


def _write_hdf5(data: xr.Dataset, images: list[str], detector: Detector | None, target: Path) -> None:
    if not images:
        msg = f"there is no image among {', '.join(map(str, data.data_vars))}"
        raise ValueError(msg)
    packed: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    with atomic(target) as aside, h5py.File(aside, "w") as file:
        for one in images:
            file.create_dataset("image" if one == images[0] else f"image_{one}", data=data[one].values, **packed)
            file["image" if one == images[0] else f"image_{one}"].attrs["statistic"] = one
        for name, attribute in CONSTANTS.items():
            values = getattr(detector, attribute, None)
            if values is not None:
                file.create_dataset(name, data=values, **packed)
        for name, value in data.attrs.items():
            if value is not None:
                plain = isinstance(value, (str, int, float, np.generic))
                file.attrs[str(name)] = value if plain else json.dumps(value, default=str)


def _write_figure(data: xr.Dataset, title: str, detector: Detector | None, target: Path) -> None:
    if "intensity" in data:
        figure = profile_figure(data, title)
    else:
        shown = next((one for one in IMAGES if one in data), None)
        if shown is None:
            msg = f"there is no image or profile among {', '.join(map(str, data.data_vars))}"
            raise ValueError(msg)
        values = data[shown].values
        if detector is not None and detector.tiled:
            values = detector.assemble(values)
        figure = image_figure(values, f"{title}: {shown}", units=data[shown].attrs.get("units", "ADU"), histogram=True)
    facts = {"Software": "detcore", "Provenance": str(data.attrs.get("provenance", "{}"))}
    with atomic(target) as aside:
        figure.savefig(aside, format="png", dpi=120, metadata=facts)


def _write_csv(data: xr.Dataset, target: Path) -> None:
    if "intensity" not in data:
        msg = "only a profile is written as CSV"
        raise ValueError(msg)
    names = [name for name in ("intensity", "error", "n_valid") if name in data]
    table: pd.DataFrame = data[names].to_dataframe().reset_index()
    write_content(target, csv_text(table).encode())
