"""Targets: point clouds of any number of features beside the showers of a file, for the training of generators."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from detcore.showers.globalheap import Descriptor, gather, references_of
from detcore.showers.index import dataset_of, rows_by_hdf5, values_of
from detcore.showers.layout import ROWS, AnyPath, Shape, changed_file, three
from detcore.showers.vlenrows import write_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray


def add_target_dataset(path: AnyPath, shape: Shape, key: str = "target", exists_ok: bool = False) -> None:
    """Add room for a target to a file, which is made if there is none.

    Parameters
    ----------
    path
        The file.
    shape
        Showers, width (points), features.
    key
        Name of the target.
    exists_ok
        A target of that name and shape may be there.

    Raises
    ------
    FileExistsError
        It is there; or, with `exists_ok`, it is there with another shape.
    ValueError
        The shape is not three numbers.
    """
    sizes = three(shape, "features")
    with h5py.File(path, "a") as file:
        if key in file:
            if not exists_ok:
                msg = f"Dataset '{key}' already exists in {path}."
                raise FileExistsError(msg)
            found = tuple(values_of(file, f"{key}/shape", np.int64).tolist())
            if found != tuple(sizes):
                msg = f"Dataset '{key}' already exists in {path}. Its shape is {found}, not {tuple(sizes)}."
                raise FileExistsError(msg)
            return
        _make(file, key, sizes, np.dtype(np.int32))


def _make(file: h5py.File, key: str, shape: Shape, kind: np.dtype[Any]) -> None:
    group = file.create_group(key)
    try:
        group.create_dataset("point_clouds", (shape[0],), ROWS)
        group.create_dataset("shape", data=np.array([int(one) for one in shape]), dtype=np.int32)
        group.create_dataset("num_points", (shape[0],), kind)
    except BaseException:
        del file[key]  # nothing half-made stays
        raise


def _checked(
    data: NDArray[np.float32], num_points: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.float32], NDArray[np.integer[Any]]]:
    counts = np.asarray(num_points).reshape(-1)
    if len(counts) != len(data):
        msg = "num_points must have the same length as the number of showers in data."
        raise ValueError(msg)
    if counts.dtype.kind not in "iu":
        counts = counts.astype(np.int32)
    if (counts < 0).any():
        msg = "num_points values must be non-negative."
        raise ValueError(msg)
    if (counts > data.shape[1]).any():
        msg = f"num_points values cannot exceed the maximum number of points ({data.shape[1]})."
        raise ValueError(msg)
    return np.ascontiguousarray(data, np.float32), counts


def _three(data: Any) -> NDArray[Any]:
    found = np.asarray(data)
    if found.ndim != 3:
        msg = "Data must be a 3D array with shape (num_showers, max_points, features)."
        raise ValueError(msg)
    return found


def _write(file: h5py.File, key: str, start: int, data: NDArray[np.float32], counts: NDArray[Any]) -> None:
    n, width, features = data.shape
    rows = np.arange(n, dtype=np.int64) * (width * features)
    write_rows(dataset_of(file, f"{key}/point_clouds"), start, data, rows, counts.astype(np.int64) * features)
    dataset_of(file, f"{key}/num_points")[start : start + n] = counts


def save_target(
    data: NDArray[np.float32],
    path: AnyPath,
    num_points: NDArray[np.int32] | None = None,
    name: str = "target",
    overwrite: bool = False,
) -> None:
    """Write a whole target to a file, which is made if there is none.

    Parameters
    ----------
    data
        (shower, point, feature), padded.
    path
        The file.
    num_points
        (shower,), how many points are real; None: as many as the showers of the file have.
    name
        Of the target.
    overwrite
        Replace a target of that name.

    Raises
    ------
    ValueError
        `data` has not three dimensions, `num_points` does not fit it, or it is needed.
    FileExistsError
        There is something of that name.
    """
    if num_points is None and not Path(path).exists():
        msg = "num_points must be provided if the file does not exist yet."
        raise ValueError(msg)
    found = _three(data)
    if num_points is None:
        with h5py.File(path, "r") as file:
            num_points = values_of(file, "num_points", np.int32)
    points, counts = _checked(found, num_points)
    with h5py.File(path, "a") as file:
        if name in file:
            if not overwrite:
                msg = f"Dataset '{name}' already exists in {path}. Use overwrite=True to overwrite."
                raise FileExistsError(msg)
            if not isinstance(file.get(name), h5py.Group) or "point_clouds" not in file[name]:
                msg = f"Dataset '{name}' in {path} is not a target; it is not overwritten."
                raise FileExistsError(msg)
            del file[name]
        _make(file, name, three(points.shape), counts.dtype)
        if len(points):
            _write(file, name, 0, points, counts)


def save_target_batch(
    data: NDArray[np.float32],
    path: AnyPath,
    num_points: NDArray[np.int32] | None = None,
    start: int = 0,
    key: str = "target",
) -> None:
    """Write part of a target into a file that has room for it; see `add_target_dataset`.

    Parameters
    ----------
    data
        (shower, point, feature), padded.
    path, num_points
        The file, and (shower,) how many points are real; also in the opposite order. Without `num_points`, as many
        as the showers of the file have.
    start
        Number of the first shower to be written.
    key
        Name of the target.

    Raises
    ------
    KeyError
        There is no such file, or no such target in it.
    ValueError
        `data` has not three dimensions, more points or other features than the target, or `num_points` does not fit.
    TypeError
        The target is too short.
    """
    given: tuple[Any, Any] = (path, num_points)
    if isinstance(given[1], (str, os.PathLike)):  # the order of the original's own documentation
        num_points, path = given
    found = _three(data)
    first = int(start)
    if num_points is None:
        with h5py.File(path, "r") as file:
            num_points = values_of(file, "num_points", np.int32, slice(first, first + len(found)))
    points, counts = _checked(found, num_points)
    with changed_file(path, key) as file:
        if key not in file:
            msg = f"Key '{key}' not found in {path}."
            raise KeyError(msg)
        stored = values_of(file, f"{key}/shape", np.int64).tolist()
        if stored[2] != points.shape[2] or counts.max(initial=0) > stored[1]:
            msg = f"Shape mismatch: expected {tuple(stored[1:])}, got {points.shape[1:]}"
            raise ValueError(msg)
        n = len(dataset_of(file, f"{key}/point_clouds"))
        begin, end, _ = slice(first, first + len(points)).indices(n)
        if max(end - begin, 0) != len(points):
            msg = f"Can't broadcast ({len(points)},) -> ({max(end - begin, 0)},)"
            raise TypeError(msg)
        if len(points):
            _write(file, key, begin, points, counts)


def load_target(
    path: AnyPath, key: str = "target", start: int = 0, stop: int | None = None, max_points: int | None = -1
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Read a target.

    Parameters
    ----------
    path
        The file.
    key
        Name of the target.
    start, stop
        As in a slice of all showers.
    max_points
        Width of the result; None or negative: that of the target.

    Returns
    -------
    points, num_points
        (shower, point, feature) float32, padded with zeros, and (shower,) int32.

    Raises
    ------
    KeyError
        There is no such target.
    OSError, ValueError
        The file is cut off or damaged.
    """
    with h5py.File(path, "r") as file, Descriptor(path) as descriptor:
        clouds = dataset_of(file, f"{key}/point_clouds")
        shape = values_of(file, f"{key}/shape", np.int64).tolist()
        n, features = len(clouds), int(shape[2])
        width = int(shape[1]) if max_points is None or max_points < 0 else int(max_points)
        begin, end, _ = slice(start, stop).indices(n)
        end = max(begin, end)
        counts = np.clip(values_of(file, f"{key}/num_points", np.int32, slice(begin, end)), 0, width)
        references = references_of(file, clouds, descriptor)
        points = np.zeros((end - begin, width, features), np.float32)
        if references is not None:
            table = references.table[begin:end]
            bad = np.flatnonzero(table[:, 2] % features) if features else np.flatnonzero(table[:, 2])
            if len(bad):
                msg = f"cannot reshape array of size {table[bad[0], 2]} into shape ({features})"
                raise ValueError(msg)
            size = width * features
            gather(descriptor, table, points, np.arange(end - begin) * size, np.full(end - begin, size))
            return points, counts
    rows = rows_by_hdf5(os.fspath(path), f"{key}/point_clouds", features, begin, end, checked=False)
    for target, row in zip(points, rows, strict=True):
        target[: len(row)] = row[:width]
    return points, counts
