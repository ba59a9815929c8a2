"""Observables in shower files: the group ``observables``, written and read a batch at a time."""

from __future__ import annotations

import errno
import os
import shutil
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np

from detcore.core.executors import cores
from detcore.showers.detector import DetectorGeometry, named_in_file
from detcore.showers.files import get_file_shape
from detcore.showers.heap import HeapReader
from detcore.showers.onepass import RADIAL_BINS, four

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray


GROUP: Final = "observables"
COMPUTED_FOR: Final = "observables_computed_for"
IN_MEMORY: Final = 8 << 20  # bytes of observables that wait in memory until all are there; more wait in a file
INCIDENT: Final = {
    "incident_energies": "energies", "incident_pdg": "pdg", "incident_directions": "directions",
    "shower_ids": "shower_ids",
}  # fmt: skip
COMPUTED: Final = ("num_points_per_layer", "energy_per_layer", "energy_per_radial_bin", "center_of_energy")
TOTALS: Final = ("total_energy", "total_num_points")
AT_ONCE: Final = 256  # showers, in each thread
BATCH: Final = 1000  # showers in memory when point energies are read
EMPTY_ROOM: Final = 1 << 30  # bytes that a data set may claim without having them in the file


def geometry_of_file(path: str | os.PathLike[str]) -> DetectorGeometry:
    """Return the geometry that a file was clustered for; without cells and thresholds if it was not.

    Raises
    ------
    ValueError
        The file names a geometry that nobody knows.
    """
    with h5py.File(path, "r") as file:
        return named_in_file(file.attrs.get("clustered_for", ""))


def add_observables_to_file(
    path: str | os.PathLike[str],
    batch_size: int = 1000,
    overwrite: bool = False,
    detector_config: DetectorGeometry | None = None,
    *,
    progress: Callable[[int, int, str], None] | None = None,
) -> None:
    """Compute the observables of all showers and add them to their file.

    They are computed aside; the file is not touched before all are there. Memory does not grow with the file.

    Parameters
    ----------
    path
        A shower file.
    batch_size
        Showers at once; more than a few hundred are done in parts.
    overwrite
        Replace all observables that the file has.
    detector_config
        Layers and thresholds; None: those of the geometry that the file was clustered for.
    progress
        Called with showers done, their number, and words.

    Raises
    ------
    ValueError
        The file has observables already, or names an unknown geometry.
    IndexError
        A point is in no layer of the geometry.
    KeyError
        This is no shower file.
    """
    n = get_file_shape(path)[0]
    with h5py.File(path, "r") as file:
        geometry = detector_config or named_in_file(file.attrs.get("clustered_for", ""))
        if GROUP in file and not overwrite:
            msg = f"File {path} already contains an 'observables' group. Use overwrite option to replace it."
            raise ValueError(msg)
    kinds: dict[str, tuple[tuple[int, int], type[np.generic]]] = {
        "num_points_per_layer": ((n, geometry.num_layers), np.int32),
        "energy_per_layer": ((n, geometry.num_layers), np.float32),
        "energy_per_radial_bin": ((n, RADIAL_BINS), np.float32),
        "center_of_energy": ((n, 3), np.float32),
    }
    needed = sum(rows * width * 4 for (rows, width), _ in kinds.values())
    with _aside(path, kinds, needed) as (sets, put):
        with HeapReader(path) as reader:
            for start, stop, found in _computed(reader, n, max(1, min(batch_size, AT_ONCE)), geometry):
                for name, values in found.items():
                    sets[name][start:stop] = values
                if progress is not None:
                    progress(stop, n, "")
        _check_space(path, needed)
        with h5py.File(path, "r+") as file:
            _replace(file, GROUP, partial(put, file))
            file.attrs[COMPUTED_FOR] = geometry.name


def save_observables_to_file(
    path: str | os.PathLike[str], observables: Mapping[str, Any], overwrite: bool = False
) -> None:
    """Add arrays of any name to the observables of a file.

    Parameters
    ----------
    path
        A shower file; it is made if it is missing.
    observables
        Name -> array, usually with one row for each shower.
    overwrite
        Replace those that the file has under these names.

    Raises
    ------
    ValueError
        There is one of that name; nothing is written then.
    """
    arrays = {name: np.asarray(values) for name, values in observables.items()}
    with h5py.File(path, "a") as file:
        group = file.require_group(GROUP)
        for name in arrays:
            if name in group and not overwrite:
                msg = f"Observable '{name}' already exists in file '{path}'."
                raise ValueError(msg)
        _check_space(path, sum(values.nbytes for values in arrays.values()))
        for name, values in arrays.items():
            _replace(group, name, partial(group.create_dataset, data=values))


def read_observables_from_file(
    path: str | os.PathLike[str],
    observables: Sequence[str] | None = None,
    start: int = 0,
    stop: int | None = None,
) -> dict[str, NDArray[Any]]:
    """Read observables.

    Parameters
    ----------
    path
        A shower file.
    observables
        Names: `num_points_per_layer`, `energy_per_layer`, `energy_per_radial_bin`, `center_of_energy`; their sums
        over layers `total_energy` and `total_num_points`; `incident_energies`, `incident_pdg`, `incident_directions`,
        `shower_ids`; and whatever else was saved in the file. None: those named here that are there.
    start, stop
        Showers, as in a slice.

    Returns
    -------
    dict
        Name -> array, one row for each shower.

    Raises
    ------
    ValueError
        One that is asked for is not there.
    """
    wanted = [*COMPUTED, *TOTALS, *INCIDENT] if observables is None else list(observables)
    found: dict[str, NDArray[Any]] = {}
    with h5py.File(path, "r") as file:
        for name in wanted:
            stored = _dataset(file, INCIDENT.get(name, f"{GROUP}/{name}"))
            if stored is not None and name not in TOTALS:
                found[name] = _rows(stored, start, stop, path)
        for name in wanted:
            if name.startswith("total_") and name not in found:
                layers = name.replace("total_", "") + "_per_layer"
                stored = _dataset(file, f"{GROUP}/{layers}")
                if layers in found or stored is not None:
                    found[name] = np.sum(found[layers] if layers in found else _rows(stored, start, stop, path), axis=1)
    for name in wanted if observables is not None else ():
        if name not in found:
            msg = f"Observable '{name}' not found in file '{path}'."
            raise ValueError(msg)
    return found


def read_point_energies(path: str | os.PathLike[str], start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
    """Return the energies of all points of some showers.

    Parameters
    ----------
    path
        A shower file.
    start, stop
        Showers, as in a slice.

    Returns
    -------
    ndarray
        (point,), float32, GeV.
    """
    with HeapReader(path) as reader:
        first, last, _ = slice(start, stop).indices(len(reader))
        batches = range(first, last, BATCH)
        parts = [reader.ragged(low, min(low + BATCH, last)).points[:, 3].copy() for low in batches]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def _computed(
    reader: HeapReader, n: int, size: int, geometry: DetectorGeometry
) -> Iterator[tuple[int, int, dict[str, NDArray[Any]]]]:
    """Yield the observables of so many showers at a time, in order: first one, end, arrays. All cores work ahead."""

    def work(start: int) -> tuple[int, int, dict[str, NDArray[Any]]]:
        showers = reader.ragged(start, start + size)
        return start, start + len(showers), four(showers, geometry)

    waiting: deque[Future[tuple[int, int, dict[str, NDArray[Any]]]]] = deque()
    with ThreadPoolExecutor(cores()) as pool:
        for start in range(0, n, size):
            waiting.append(pool.submit(work, start))
            if len(waiting) > cores():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _dataset(file: h5py.File, name: str) -> Any:
    """Return a data set of this very file, or None: links into other files are not followed."""
    if not isinstance(file.get(GROUP, getlink=True), (h5py.HardLink, type(None))):
        return None
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return None
    found = file[name]
    return found if isinstance(found, h5py.Dataset) else None


def _rows(stored: Any, start: int, stop: int | None, path: Any) -> NDArray[Any]:
    room = stored.nbytes if stored.shape else 0
    if room > EMPTY_ROOM and stored.chunks is None and stored.id.get_storage_size() < room:
        msg = f"{path}: {stored.name} claims {room} bytes, but has {stored.id.get_storage_size()}; the file is broken"
        raise ValueError(msg)
    values: NDArray[Any] = np.asarray(stored[start:stop] if stored.shape else stored[()])
    return values


@contextmanager
def _aside(
    path: str | os.PathLike[str], kinds: Mapping[str, tuple[tuple[int, int], type[np.generic]]], needed: int
) -> Iterator[tuple[Mapping[str, Any], Callable[[h5py.File, str], Any]]]:
    """Give arrays to be filled, and what puts them into a file as a group: in memory, or beside that file if large."""
    if needed <= IN_MEMORY:
        arrays = {name: np.zeros(shape, dtype) for name, (shape, dtype) in kinds.items()}

        def put(file: h5py.File, name: str) -> None:
            group = file.create_group(name)
            for key, values in arrays.items():
                group.create_dataset(key, data=values)

        yield arrays, put
    else:
        _check_space(path, 2 * needed)
        with (
            TemporaryDirectory(prefix=".observables.", dir=Path(path).resolve().parent) as folder,
            h5py.File(Path(folder) / "observables.h5", "w") as scratch,
        ):
            group = scratch.create_group(GROUP)
            sets = {name: group.create_dataset(name, shape, dtype) for name, (shape, dtype) in kinds.items()}
            yield sets, partial(scratch.copy, group)


def _replace(parent: h5py.Group, name: str, write: Callable[[str], Any]) -> None:
    """Write under another name first: if that fails, what was there is still there."""
    new = f".{name.replace('/', '.')}.new"
    try:
        if new in parent:  # of a process that was killed
            del parent[new]
        write(new)
        if name in parent:
            del parent[name]
        parent.move(new, name)
    except BaseException:
        if new in parent:
            del parent[new]
        raise


def _check_space(path: str | os.PathLike[str], needed: int) -> None:
    """Refuse before HDF5 does: a file that it could not complete may not be readable any more."""
    free = shutil.disk_usage(Path(path).resolve().parent).free
    if free < needed + (1 << 20):
        raise OSError(errno.ENOSPC, f"the observables need {needed} bytes, {free} are free", os.fspath(path))
