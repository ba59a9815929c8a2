"""What front ends call: open, reduce, look at one shower. The same calls serve the script, the command and the tab."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detcore.core.accumulators import total
from detcore.core.reduction import Reduction, Together
from detcore.core.run import run
from detcore.core.schema import LIVE
from detcore.core.source import Instrument
from detcore.showers import kernels
from detcore.showers.cluster_module import cluster
from detcore.showers.detector import find_geometry
from detcore.showers.filter import filter_showers
from detcore.showers.heap import read_ragged
from detcore.showers.ragged import Ragged
from detcore.showers.reductions import Maps, Overview, Profiles, Spectra, Table
from detcore.showers.source import UNCLUSTERED, ShowerFiles, chunk_of, probe
from detcore.showers.steps import Cuts
from detcore.showers.writer import write_ragged

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from detcore.core.executors import Executor

LIVE_SHOWERS: Final = 200_000  # a live feed keeps the table of so many
PARTS: Final = ("table", "profiles", "spectra", "maps")
Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def open_files(paths: Paths, geometry: str | os.PathLike[str] = "") -> ShowerFiles:
    """Open shower files.

    Parameters
    ----------
    paths
        Files, or folders that are walked for .h5 files.
    geometry
        Name of a geometry, or its YAML file; empty: the one for which a file says it was clustered, else the layers of
        ILD without energy cuts.

    Returns
    -------
    ShowerFiles
        A source for `run` and `stream`.

    Raises
    ------
    ValueError
        There is no such geometry.
    """
    several = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    return ShowerFiles(tuple(os.fspath(path) for path in several), os.fspath(geometry))


def reduction(cuts: Cuts | None = None, schema: xr.Dataset | None = None, *, parts: Sequence[str] = PARTS) -> Together:
    """Return what a viewer wants to see of one pass.

    Parameters
    ----------
    cuts
        Which showers and points are looked at; None: all showers, the energy cuts of the geometry.
    schema
        Of the input; that of a live one makes the table keep a window.
    parts
        Some of table, profiles, spectra, maps; how many showers there were is always told.

    Raises
    ------
    ValueError
        There is no such part.
    """
    cuts = cuts or Cuts()
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        msg = f"no part {unknown[0]!r}; there are {', '.join(PARTS)}"
        raise ValueError(msg)
    last = LIVE_SHOWERS if schema is not None and schema.attrs.get(LIVE) else None
    energies = {"ecal_threshold": cuts.ecal_threshold, "hcal_threshold": cuts.hcal_threshold}
    wanted: list[Reduction] = [Overview(cuts=cuts)]
    if "table" in parts:
        wanted.append(Table(last=last).after(*cuts.of_showers()))
    if "profiles" in parts:
        wanted.append(Profiles().after(*cuts.of_showers()))
    if "spectra" in parts:
        wanted.append(Spectra(**energies).after(*cuts.steps()))
    if "maps" in parts:
        wanted.append(Maps(**energies).after(*cuts.steps()))
    return Together(reductions=tuple(wanted))


def reduce(
    paths: Paths,
    *,
    geometry: str | os.PathLike[str] = "",
    parts: Sequence[str] = PARTS,
    executor: Executor | None = None,
    **cuts: Any,
) -> xr.Dataset:
    """Describe the showers of files, chunk by chunk, in memory that does not depend on their length but for the table.

    Parameters
    ----------
    paths, geometry
        As for `open_files`.
    parts
        As for `reduction`.
    executor
        None: threads, one for each core.
    **cuts
        Fields of `Cuts`, for instance ``energy_min=20, pdg=(22,), ecal_threshold=0.2, radius=100``.

    Returns
    -------
    Dataset
        `n_showers`; on `shower` the columns that `OBSERVABLES` names; `energy_per_layer` and `hits_per_layer`
        (layer), `energy_per_radius` (radius), each with `_error`; `cells_ecal` and `cells_hcal` (cell_energy);
        `time_points` and `time_energy` (time); `map_xy` (y, x), `map_xl` (layer, x), `map_yl` (layer, y).
        Attributes: geometry, cut, the error ledger, provenance.

    Raises
    ------
    InvalidParameters
        A cut is unknown or impossible.
    EmptyInput
        No file could be read; says why for each.

    Examples
    --------
    >>> import tempfile
    >>> from detcore import showers
    >>> photons, *_ = showers.write_demo(tempfile.mkdtemp())
    >>> data = showers.reduce(photons, energy_min=20, parts=("table",))
    >>> int(data.n_read), bool((data.incident_energy >= 20).all()), data.sizes["shower"] == int(data.n_showers)
    (300, True, True)
    """
    source, parameters = open_files(paths, geometry), Cuts.checked(cuts)
    return run(source, lambda schema: reduction(parameters, schema, parts=parts), executor=executor)


def reduce_showers(
    showers: Ragged,
    cuts: Cuts | None = None,
    *,
    geometry: str | os.PathLike[str] = UNCLUSTERED,
    parts: Sequence[str] = PARTS,
) -> xr.Dataset:
    """Describe showers that are in memory, as `reduce` does it for files.

    Parameters
    ----------
    showers
        For instance what `cluster` gave.
    cuts
        None: the energy cuts of the geometry alone.
    geometry
        Name of a geometry, or its YAML file.
    parts
        As for `reduction`.
    """
    name = os.fspath(geometry)
    facts = {"file": "", "geometry": name, "geometry_name": find_geometry(name).name, "max_points": showers.max_points}
    chunk = chunk_of(showers, 0, facts | {"features": showers.columns, "clustered_for": ""})
    return total(reduction(cuts, chunk, parts=parts), chunk)


def read_shower(path: str | os.PathLike[str], number: int) -> NDArray[np.float32]:
    """Read the points of one shower.

    Parameters
    ----------
    path
        A file.
    number
        Of the shower in the file, from 0.

    Returns
    -------
    ndarray
        (point, 4 or 5): x and y in mm, layer, energy in GeV and, if the file has it, time in ns.

    Raises
    ------
    IndexError
        The file has fewer showers.
    """
    return read_one(path, number).points


def read_one(path: str | os.PathLike[str], number: int) -> Ragged:
    """Read one shower with its incident particle; arguments as for `read_shower`."""
    found = read_ragged(path, number, number + 1) if number >= 0 else None
    if found is None or not len(found):
        msg = f"{os.fspath(path)}: no shower {number}; they are counted from 0 to the number of showers less one"
        raise IndexError(msg)
    return found


def warm() -> None:
    """Compile the kernels, on a shower of one point that is written, read, reduced, clustered and filtered."""
    points = np.array([[0, 0, 1, 1e-3, 1.0]], np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.h5"
        write_ragged(path, Ragged.build(points, [1], [1.0]))
        one = read_ragged(path)
    kernels.warm()
    reduce_showers(one, Cuts(radius=100))
    filter_showers(cluster(one, random_shift=False))


def write_demo(folder: str | os.PathLike[str]) -> Sequence[Path]:
    """Write three shower files and return them: photons, photons that differ a little, pions."""
    from detcore.showers import demo  # noqa: PLC0415

    return demo.write_demo(folder)


def commands() -> Any:
    """Return the verbs of the command line; click is imported only then."""
    from detcore.showers.cli import showers  # noqa: PLC0415

    return showers


INSTRUMENT = Instrument(
    name="showers",
    title="Showers",
    probe=probe,
    open=open_files,
    demo=write_demo,
    warm=warm,
    commands=commands,
    parameters=Cuts,
    reduction=reduction,
)
