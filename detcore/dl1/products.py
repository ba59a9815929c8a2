"""The files that a run leaves behind: tables, masks of pixels, the whole result, pictures, mapped images."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np
import pandas as pd
import tables
import xarray as xr
import yaml

from detcore.core.outputs import csv_text, write_content, write_each, write_netcdf
from detcore.core.paths import atomic
from detcore.dl1 import plots
from detcore.dl1.analysis import event_table, statistics_flags
from detcore.dl1.columns import camera_of, facts_of
from detcore.dl1.images.geometry import Camera
from detcore.dl1.mappedfile import write_images as write_images  # noqa: PLC0414 - a product like the others
from detcore.dl1.writer.dumper import LOCK

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterator

    from matplotlib.figure import Figure

    from detcore.core.source import Problem

MAX_MEMORY: Final = 8_000_000_000  # bytes of a result once read; the table of a million images needs 0.5 GB
DPI: Final = 120
TEXT_BYTES: Final = 4096  # of texts in HDF5 tables: paths are no longer
NO_UNIT: Final = "p.e."  # astropy does not know it
CAMERA_ARRAYS: Final = ("pixel_x", "pixel_y", "pixel_area")
STATISTICS: Final = ("pixel_count", "mean", "std", "occupancy", "survival", "time_mean", "time_std")
SUFFIXES: Final = (
    ".nc",
    ".parameters.csv",
    ".parameters.h5",
    ".pixels.csv",
    ".mask.npy",
    ".mask.yaml",
    ".distributions.csv",
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
        Endings, of *.nc* (everything, netCDF4), *.parameters.csv* and *.parameters.h5* (a row for each image),
        *.pixels.csv* (statistics of each pixel), *.mask.npy* and *.mask.yaml* (dead and noisy pixels),
        *.distributions.csv* and *.png*.
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


def stem_of(name: str) -> str:
    """Return the last part of a path without its ending, as the names of all products begin."""
    last = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    for suffix in (".nc", ".h5", ".hdf5", ".hdf", ".dl1"):
        last = last.removesuffix(suffix)
    return last or "dl1"


def _jobs(data: xr.Dataset, stem: str) -> Iterator[tuple[str, Callable[[Path], object]]]:
    """Yield ending and the function that writes it: numbers first, pictures last."""
    yield ".nc", partial(_write_netcdf, data)
    if "image" in data.dims:
        yield ".parameters.csv", lambda target: write_parameters(event_table(data), target)
        yield ".parameters.h5", lambda target: write_parameters(event_table(data), target)
    if set(STATISTICS) <= set(data):
        yield ".pixels.csv", lambda target: write_content(target, csv_text(pixel_table(data)))
        yield ".mask.npy", lambda target: write_mask(statistics_flags(data), target)
        yield ".mask.yaml", lambda target: write_mask(statistics_flags(data), target)
    if any(str(one).startswith("dist_") for one in data):
        yield ".distributions.csv", lambda target: write_content(target, csv_text(_distributions(data)))
    yield (
        ".png",
        lambda target: save_figure(plots.overview(data, stem), target, str(data.attrs.get("provenance", ""))),
    )


def pixel_table(data: xr.Dataset) -> pd.DataFrame:
    """Return a row for each pixel of each telescope: where it is, its statistics, and whether it is dead or noisy."""
    camera, flags = camera_of(data), statistics_flags(data)
    telescopes, n = data["telescope"].values, camera.n_pixels
    columns = {
        "telescope": np.repeat(telescopes, n),
        "pixel": np.tile(np.arange(n), len(telescopes)),
        "pixel_x": np.tile(camera.pixel_x, len(telescopes)),
        "pixel_y": np.tile(camera.pixel_y, len(telescopes)),
    }
    columns |= {name: data[name].values.ravel() for name in STATISTICS}
    return pd.DataFrame(columns | {name: flags[name].values.ravel() for name in ("dead", "noisy", "pixel_mask")})


def _distributions(data: xr.Dataset) -> pd.DataFrame:
    """Return a row for each bin of each distribution of each telescope."""
    parts = []
    for name in sorted(str(one).removeprefix("dist_") for one in data if str(one).startswith("dist_")):
        counts, edges = data[f"dist_{name}"].values, data[f"edge_{name}"].values
        telescopes, bins = counts.shape
        part = {"parameter": name, "telescope": np.repeat(data["telescope"].values, bins)}
        part |= {"low": np.tile(edges[:-1], telescopes), "high": np.tile(edges[1:], telescopes)}
        parts.append(pd.DataFrame(part | {"images": counts.ravel()}))
    return pd.concat(parts, ignore_index=True)


def write_mask(flags: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Write which pixels are dead or noisy.

    Parameters
    ----------
    flags
        As `statistics_flags` gives it.
    path
        Ends in .npy (uint32, (telescope, pixel): 0 good, 2 dead, 16 noisy), .csv (a row for each bad pixel) or .yaml
        (numbers of the bad pixels, by telescope).

    Raises
    ------
    ValueError
        The ending is another.
    OSError
        It cannot be written.
    """
    target = Path(path)
    if target.suffix == ".npy":
        with atomic(target) as aside, aside.open("wb") as file:
            np.save(file, flags["pixel_mask"].values)
    elif target.suffix == ".csv":
        write_content(target, csv_text(bad_table(flags)))
    elif target.suffix in {".yaml", ".yml"}:
        write_content(
            target, yaml.safe_dump(_listed(flags), sort_keys=False, allow_unicode=True, default_flow_style=None)
        )
    else:
        msg = f"{target}: expected a name that ends in .npy, .csv or .yaml"
        raise ValueError(msg)


def bad_table(flags: xr.Dataset) -> pd.DataFrame:
    """Return a row for each pixel that is dead or noisy."""
    camera = camera_of(flags)
    row, pixel = np.nonzero(flags["pixel_mask"].values)
    columns = {
        "telescope": flags["telescope"].values[row],
        "pixel": pixel,
        "pixel_x": camera.pixel_x[pixel],
        "pixel_y": camera.pixel_y[pixel],
    }
    return pd.DataFrame(columns | {name: flags[name].values[row, pixel] for name in ("dead", "noisy", "pixel_mask")})


def _listed(flags: xr.Dataset) -> dict[str, Any]:
    telescopes = flags["telescope"].values.tolist()
    found = {
        tel_id: {kind: np.flatnonzero(flags[kind].values[row]).tolist() for kind in ("dead", "noisy")}
        for row, tel_id in enumerate(telescopes)
    }
    judged = flags["judged"].values.tolist() if "judged" in flags else [True] * len(telescopes)
    return {
        "camera": str((flags.attrs.get("camera") or {}).get("name", "")),
        "cut": str(flags.attrs.get("cut", "")),
        "dead_below": float(flags.attrs.get("dead_below", np.nan)),
        "noisy_above": float(flags.attrs.get("noisy_above", np.nan)),
        "too_few_images": [tel_id for tel_id, enough in zip(telescopes, judged, strict=True) if not enough],
        "telescopes": found,
    }


def write_parameters(table: pd.DataFrame | xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Write a table of images or events.

    Parameters
    ----------
    table
        As `event_table`, `stereo_events` or `muon_table` give it; or a result.
    path
        Ends in .csv, or in .h5: the table ``/parameters`` of PyTables, units as ctapipe writes them.

    Raises
    ------
    ValueError
        The ending is another.
    OSError
        It cannot be written.
    """
    target = Path(path)
    frame = event_table(table) if isinstance(table, xr.Dataset) else table
    if target.suffix == ".csv":
        write_content(target, csv_text(frame))
    elif target.suffix in {".h5", ".hdf5"}:
        _write_table(frame, target)
    else:
        msg = f"{target}: expected a name that ends in .csv or .h5"
        raise ValueError(msg)


def _write_table(frame: pd.DataFrame, target: Path) -> None:
    columns: dict[str, Any] = {}
    for name in map(str, frame):
        values = frame[name].to_numpy()
        if values.dtype.kind not in "biuf":
            words = [str(one).encode("utf-8", "replace")[:TEXT_BYTES] for one in values]
            values = np.array(words, f"S{max(map(len, words), default=1) or 1}")
        columns[name] = values
    rows = np.zeros(len(frame), [(name, values.dtype) for name, values in columns.items()] or [("none", "?")])
    for name, values in columns.items():
        rows[name] = values
    units = frame.attrs.get("units", {})
    filters = tables.Filters(1, complib="zlib", shuffle=True)
    try:
        with atomic(target) as aside, LOCK, tables.open_file(str(aside), "w", filters=filters) as file:
            stored = file.create_table("/", "parameters", rows, "Parameters")
            for number, name in enumerate(columns):
                if units.get(name, NO_UNIT) != NO_UNIT:
                    stored.attrs[f"CTAFIELD_{number}_TRANSFORM"] = "quantity"
                    stored.attrs[f"CTAFIELD_{number}_UNIT"] = units[name]
    except tables.HDF5ExtError as error:
        msg = f"{target}: cannot be written: {' '.join(str(error).split())[:200]}"
        raise OSError(msg) from error


def save_figure(figure: Figure, target: Path, provenance: str = "") -> None:
    """Write a picture aside and rename it; its provenance is a text chunk."""
    facts = {"Software": "detcore", "Provenance": provenance or "{}"}
    with atomic(target) as aside:
        figure.savefig(aside, format="png", dpi=DPI, metadata=facts)


def _write_netcdf(data: xr.Dataset, target: Path) -> None:
    """Write everything, camera and provenance included, as netCDF4 (an HDF5 file)."""
    kept = data.assign_attrs()
    facts = dict(facts_of(camera_of(data)))
    kept = kept.assign({f"camera_{name}": ("pixel", facts.pop(name), {"units": unit}) for name, unit in _ARRAYS})
    kept.attrs["camera"] = json.dumps(facts)
    write_netcdf(kept, target)


_ARRAYS = tuple(zip(CAMERA_ARRAYS, ("m", "m", "m2"), strict=True))


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
            if "n_read" not in lazy or "camera" not in lazy.attrs:
                _refuse(place, "another content")
            if lazy.nbytes > MAX_MEMORY:  # a small file can claim to be endless
                _refuse(place, f"{lazy.nbytes:,} bytes of data, more than {MAX_MEMORY:,}")
            data = lazy.load()
        stored: dict[str, Any] = json.loads(data.attrs["camera"])
        stored |= {name: data[f"camera_{name}"].values for name in CAMERA_ARRAYS}
        stored.pop("key", None)
        camera = Camera(**stored)
    except InvalidResult:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        _refuse(place, f"{type(error).__name__}: {error}")
    data = data.drop_vars([f"camera_{name}" for name in CAMERA_ARRAYS])
    data.attrs["camera"] = facts_of(camera)
    return data


def _refuse(place: Path, found: str) -> NoReturn:
    msg = f"{place}: expected a result (.nc) of detcore dl1; found {found[:200]}; write it again with 'detcore dl1 run'"
    raise InvalidResult(msg)
