"""Shower files as a source: chunks are whole showers with their points one after the other, never padded."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import h5py
import numpy as np
import xarray as xr
from typing_extensions import override

from detcore.core.schema import SAMPLE_DIMENSION
from detcore.core.source import ChunkRef, FileSource, Match, Problem, UnknownFormat, walk
from detcore.showers.detector import geometry_names, named_in_file
from detcore.showers.heap import read_ragged
from detcore.showers.steps import POINT, SHOWER, geometry_named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from detcore.showers.ragged import Ragged

SUFFIXES: Final = (".h5", ".hdf5", ".hdf")
DATASETS: Final = ("showers", "energies", "directions", "pdg", "shower_ids", "shape", "num_points")
INCIDENT: Final = ("energies", "directions", "pdg")
TARGET_BYTES: Final = 8 << 20  # of points in one chunk
LARGEST_TARGET: Final = 32 << 20
MAX_SHOWERS: Final = 100_000  # in one chunk, however few points they have
UNCLUSTERED: Final = "ILD_unclustered"
MAX_FACTS, MAX_TEXT = 50, 2000  # attributes of a file that are carried along, and their length
PER_SHOWER: Final = {
    "incident_energy": ("energies", np.float64),
    "pdg": ("pdg", np.int32),
    "shower_id": ("shower_ids", np.int32),
    "n_points": ("num_points", np.int64),
    "direction": ("directions", np.float32),
}


@dataclass(frozen=True)
class Header:
    """What is known of a file without reading its showers.

    Parameters
    ----------
    showers, max_points, columns
        The file's `shape`.
    clustered_for
        Geometry for which points were grouped into cells; empty if they were not.
    metadata
        Other attributes of the file, as text or numbers.
    targets
        Groups that hold target point clouds.
    fingerprint
        Changes when the file does.
    modified
        Unix seconds.
    """

    showers: int
    max_points: int
    columns: int
    clustered_for: str
    metadata: dict[str, Any]
    targets: tuple[str, ...]
    fingerprint: str
    modified: float


@dataclass(frozen=True)
class ShowerFiles(FileSource):
    """Showers of one file, or of several one after the other.

    Parameters
    ----------
    paths
        Files, or folders to be walked for them.
    geometry
        Name or file of a geometry; empty: the one for which the file says it was clustered, else the layers of ILD
        without energy cuts.
    """

    paths: tuple[str, ...]
    geometry: str = ""

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    def __post_init__(self) -> None:
        if self.geometry:
            geometry_named(self.geometry)  # an unknown one is refused now, not for every chunk

    @override
    def schema_of(self, path: str) -> xr.Dataset:
        header = read_header(path)
        data: dict[str, Any] = {name: np.zeros(0, dtype) for name, (_, dtype) in PER_SHOWER.items()}
        data["direction"] = np.zeros((0, 3), np.float32)
        return _chunk(data, 0, np.zeros((0, header.columns), np.float32), self._facts(path, header))

    def _facts(self, path: str, header: Header) -> dict[str, Any]:
        name = self.geometry or header.clustered_for or UNCLUSTERED
        try:
            geometry = geometry_named(self.geometry) if self.geometry else named_in_file(header.clustered_for)
        except ValueError as error:
            msg = f"{error}; choose a geometry: {', '.join(geometry_names())}, or a .yaml file"
            raise ValueError(msg) from error
        return {
            "file": path,
            "geometry": name,
            "geometry_name": geometry.name,
            "max_points": header.max_points,
            "features": header.columns,
            "clustered_for": header.clustered_for,
            "thresholds": (geometry.ecal_threshold, geometry.hcal_threshold),  # MeV
            "targets": header.targets,
            "metadata": header.metadata,
            "n_showers": header.showers,
        }

    @override
    def plan_file(self, path: str, start: int = 0, target_bytes: int | None = None) -> Iterator[ChunkRef | Problem]:
        header = read_header(path)
        self._facts(path, header)  # a geometry that nobody knows is one line for the file, not for each chunk
        weight = os.stat(path).st_size / max(header.showers, 1)  # noqa: PTH116
        with _opened(path) as file:
            counts = np.clip(file["num_points"][start : header.showers].astype(np.int64), 0, None)
        target = min(target_bytes or TARGET_BYTES, LARGEST_TARGET)
        for low, high in _cuts(counts * (4 * header.columns), target):
            share = weight * (high - low)
            first, last = start + low, start + high
            yield ChunkRef(self.key, path, first, last, header.fingerprint, share, header.modified)

    @override
    def whole(self, path: str) -> bool:
        try:
            read_header(path)
        except (OSError, ValueError):
            return False
        return True

    @override
    def read(self, ref: ChunkRef, columns: frozenset[str]) -> xr.Dataset:
        header = read_header(ref.part)
        if ref.fingerprint and ref.fingerprint != header.fingerprint:
            msg = f"{ref.part}: was changed or replaced while it was read; read it again"
            raise ValueError(msg)
        facts = self._facts(ref.part, header)
        if columns & {"points", "n_points"}:
            return chunk_of(read_ragged(ref.part, ref.start, ref.stop), ref.start, facts)
        with _opened(ref.part) as file:
            data = {
                name: file[key][ref.start : ref.stop].astype(dtype)
                for name, (key, dtype) in PER_SHOWER.items()
                if name in columns
            }
        if "incident_energy" in data:
            data["incident_energy"] = data["incident_energy"].reshape(-1)
        return _chunk(data, ref.start, None, facts, ref.stop - ref.start)

    @override
    def pieces(self, ref: ChunkRef) -> list[ChunkRef]:
        n = ref.stop - ref.start
        if n < 2:
            return []
        ones = range(ref.start, ref.stop)
        return [replace(ref, start=one, stop=one + 1, weight=ref.weight / n) for one in ones]


def chunk_of(ragged: Ragged, start: int, facts: Mapping[str, Any]) -> xr.Dataset:
    """Return showers as a chunk of the source.

    Parameters
    ----------
    ragged
        The showers.
    start
        Number of the first one in its file.
    facts
        Attributes; `file` and `geometry` among them.
    """
    data: dict[str, NDArray[Any]] = {
        "incident_energy": ragged.energies.astype(np.float64),
        "pdg": ragged.pdg,
        "shower_id": ragged.shower_ids,
        "n_points": ragged.counts,
        "direction": ragged.directions,
    }
    return _chunk(data, start, ragged.points, facts)


def _chunk(
    data: dict[str, NDArray[Any]],
    start: int,
    points: NDArray[np.float32] | None,
    facts: Mapping[str, Any],
    showers: int | None = None,
) -> xr.Dataset:
    n = len(next(iter(data.values()))) if showers is None else showers
    variables: dict[str, Any] = {name: (SHOWER, values) for name, values in data.items() if name != "direction"}
    variables["shower_number"] = (SHOWER, np.arange(start, start + n, dtype=np.int64))
    if "incident_energy" in data:
        variables["incident_energy"] = (SHOWER, data["incident_energy"], {"units": "GeV"})
    if "direction" in data:
        variables["direction"] = ((SHOWER, "axis"), data["direction"])
    if points is not None:
        variables["n_points"] = (SHOWER, data["n_points"], {SAMPLE_DIMENSION: POINT})
        variables["points"] = ((POINT, "feature"), points)
    return xr.Dataset(variables, attrs=dict(facts))


def _cuts(sizes: NDArray[np.int64], target: int) -> Iterator[tuple[int, int]]:
    """Yield where to cut showers of so many bytes: at the target."""
    ends = np.cumsum(sizes)
    low = 0
    while low < len(sizes):
        done = int(ends[low] - sizes[low])
        high = int(np.searchsorted(ends, done + target, side="right"))
        high = min(max(high, low + 1), low + MAX_SHOWERS)
        yield low, high
        low = high


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read what a file says of itself.

    Parameters
    ----------
    path
        A shower file.

    Raises
    ------
    OSError
        The file cannot be opened, or is not HDF5.
    UnknownFormat
        It holds no showers; says what is missing.
    """
    with _opened(path) as file:
        facts = os.stat(path)  # noqa: PTH116
        return _header(file, os.fspath(path), f"{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}", facts.st_mtime)


def _opened(path: str | os.PathLike[str]) -> h5py.File:
    """Open for reading; a pipe or a device would wait for ever."""
    if not Path(path).is_file():
        msg = f"{os.fspath(path)}: no such file" if not Path(path).exists() else f"{os.fspath(path)}: not a file"
        raise (FileNotFoundError if not Path(path).exists() else OSError)(msg)
    try:
        return h5py.File(path, "r")  # as everywhere: HDF5 refuses a file that a thread has open with other locking
    except OSError as error:
        msg = f"{os.fspath(path)}: not a readable HDF5 file ({' '.join(str(error).split())[:200]})"
        raise OSError(msg) from error


def _header(file: h5py.File, path: str, fingerprint: str, modified: float) -> Header:
    missing = [name for name in DATASETS if not isinstance(file.get(name), h5py.Dataset)]
    if missing:
        if all(isinstance(file.get(name), h5py.Dataset) for name in INCIDENT) and "showers" in missing:
            msg = f"{path}: holds incident particles only, no showers; 'detcore showers info' shows them"
        else:
            found = ", ".join(sorted(map(str, file))[:20]) or "nothing"
            msg = f"{path}: not a shower file: it lacks {', '.join(missing)}; found {found}"
        raise UnknownFormat(msg)
    shape = file["shape"]
    if shape.shape != (3,) or shape.dtype.kind not in "iu":
        msg = f"{path}: shape is {shape.dtype} {shape.shape}; expected three whole numbers"
        raise UnknownFormat(msg)
    showers, max_points, columns = (int(one) for one in shape[()])
    if columns not in {4, 5} or showers < 0 or max_points < 0:
        msg = f"{path}: shape is {showers}, {max_points}, {columns}; expected showers, points and 4 or 5 columns"
        raise UnknownFormat(msg)
    for name in ("showers", "energies", "directions", "pdg", "shower_ids", "num_points"):
        item = file[name]
        if not item.shape or item.shape[0] != showers:
            msg = f"{path}: {name} has shape {item.shape}; expected {showers} rows, as the file's shape says"
            raise UnknownFormat(msg)
    metadata = {}
    for name in sorted(map(str, file.attrs))[:MAX_FACTS]:
        metadata[name[:MAX_TEXT]] = _plain(file.attrs, name)
    clustered = metadata.get("clustered_for", "")
    targets = tuple(
        str(name) for name in file if isinstance(file.get(name), h5py.Group) and "point_clouds" in file[name]
    )
    return Header(
        showers, max_points, columns, clustered if isinstance(clustered, str) else "", metadata, targets, fingerprint,
        modified,
    )  # fmt: skip


def _plain(attributes: Any, name: str) -> Any:
    """Return an attribute as text or number; what is neither is only described."""
    try:
        value = attributes[name]
    except (OSError, TypeError, ValueError) as error:
        return f"not readable: {type(error).__name__}"
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, (bool, int, float)) else str(value)[:MAX_TEXT]


def probe(path: str) -> Match:
    """Say whether a file, or the first file of a folder, holds showers."""
    if Path(path).is_dir():
        found = walk(path, SUFFIXES)
        if not found:
            return Match("no", f"the folder has no {' or '.join(SUFFIXES)} file")
        answers = [Match("no", f"cannot list {one}") if Path(one).is_dir() else probe(one) for one in found[:3]]
        return next((answer for answer in answers if answer.degree != "no"), answers[0])
    try:
        header = read_header(path)
    except (OSError, ValueError) as error:
        return Match("no", " ".join(str(error).split())[:300].removeprefix(f"{path}: "))
    return Match("exact", f"a shower file: {header.showers} showers, {header.columns} columns")
