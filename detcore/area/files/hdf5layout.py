"""In which data sets of which HDF5 files the frames are, and which of them have been written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np

from detcore.area.files.formats import MAX_FRAMES, Options, Stack, checked_frame, native_type, split
from detcore.area.files.hdf5 import tree
from detcore.core.hdf5 import MAX_LINKS, Elsewhere, beside, opened, walk_to
from detcore.core.source import Problem, UnknownFormat, natural

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_CHUNKS: Final = 2_000_000  # looked at, in search of frames that were never written
LEAST: Final = 8  # rows and columns of what is taken for a stack of frames without being named
_NUMBERED = re.compile(r"data_\d+$")
_GROUPS = (
    "/entry/data", "/entry", "/entry/instrument/detector", "/entry/detector", "/entry_1/data_1",
    "/entry_1/instrument_1/detector_1", "/entry1/data", "/exchange", "/images", "/data", "/",
)  # fmt: skip
_NOT_FRAMES = re.compile(
    r"mask|flat|dark|ped|noise|rms|gain|status|calib|x$|y$|z$|coord|position|vector|cell|index|_id$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the frames of a stack are.

    Parameters
    ----------
    dataset
        Name in the file.
    first
        Row of the first frame.
    one
        The data set has no axis of frames.
    mask
        A data set of the same file and shape that tells bad pixels frame by frame; they are nan.
    """

    dataset: str
    first: int = 0
    one: bool = False
    mask: str = ""


def names_of(path: str, file: h5py.File, options: Options) -> list[str]:
    """Return the data sets of frames, in the order of the run: the named one, the usual ones, or the only ones.

    Raises
    ------
    UnknownFormat
        There are none.
    ValueError
        There are several of different shapes: one has to be named.
    """
    if options.dataset:
        return [options.dataset]
    named = [group for group in _GROUPS if options.detector and options.detector in group.split("/")]
    for group in named or _GROUPS:
        place = walk_to(file, group)
        if isinstance(place, h5py.Group):
            names = sorted((str(name) for name in place if _NUMBERED.match(str(name))), key=natural)
            if isinstance(walk_to(file, f"{group}/data"), Elsewhere) or _is_stack(walk_to(file, f"{group}/data")):
                return [f"{group.rstrip('/')}/data"]
            if names:
                return [f"{group.rstrip('/')}/{name}" for name in names]
    every = search(file)
    names = [name for name in every if options.detector and options.detector in name.split("/")] or every
    if not names:
        held = ", ".join(f"/{name}" for name in islice(file, 20)) or "nothing"
        msg = f"{path}: no data set of frames (2 to 4 axes of numbers); found {held}. Name one with dataset="
        raise UnknownFormat(msg)
    shapes = {walk_to(file, name).shape[1:] for name in names}
    alike = len({re.sub(r"\d+", "", name) for name in names}) == 1 and len(shapes) == 1
    if len(names) > 1 and not alike:
        shown = ", ".join(f"{name} {walk_to(file, name).shape}" for name in names[:10])
        msg = f"{path}: several data sets of frames: {shown}; name one with dataset="
        raise ValueError(msg)
    return names


def search(file: h5py.File) -> list[str]:
    """Return the names of the data sets that may be frames, in natural order; images only if there is no stack."""
    ranks: dict[bool, list[str]] = {True: [], False: []}
    for name, item in tree(file):
        if isinstance(item, h5py.Dataset) and not _NOT_FRAMES.search(name.rsplit("/", 1)[-1]) and _is_stack(item, 2):
            ranks[item.ndim > 2 and min(item.shape[-2:]) >= LEAST].append(name)
    return sorted(ranks[True] or [name for name in ranks[False] if file[name].ndim == 2], key=natural)


def _is_stack(item: Any, least: int = 3) -> bool:
    return (
        isinstance(item, h5py.Dataset)
        and least <= item.ndim <= 4
        and item.dtype.kind in "biuf"
        and min(item.shape[-2:]) > 1
    )


def stacks_of(
    path: str, file: h5py.File, name: str, options: Options, depth: int = 0
) -> tuple[list[Stack], list[Problem]]:
    """Return the frames of one data set, and what is wrong with those that cannot be read.

    Raises
    ------
    FileNotFoundError
        A link leads to a file that has not come.
    OSError, ValueError
        It is not a data set of frames.
    """
    item = walk_to(file, name)
    if isinstance(item, Elsewhere):
        target = beside(path, item.filename)
        if depth >= MAX_LINKS or target == path:
            msg = f"{path}: {name} is a link that leads nowhere, by way of {target}"
            raise ValueError(msg)
        if not Path(target).exists():
            msg = f"pending: {Path(path).name} links to this file, which has not come"
            raise FileNotFoundError(2, msg, target)
        with opened(target) as other:
            return stacks_of(target, other, item.name, options, depth + 1)
    if not isinstance(item, h5py.Dataset):
        known = ", ".join(search(file)[:10]) or "none"
        msg = f"{path}: no data set {name!r}; data sets of frames in the file: {known}"
        raise UnknownFormat(msg)
    what = f"{path}:{name}"
    if item.shape is None or item.id.get_create_plist().get_external_count():
        msg = f"{what}: is empty, or keeps its numbers outside of HDF5, which is not read"
        raise ValueError(msg)
    n, shape = split(item.shape, options, what)
    shape = checked_frame(shape, item.dtype, what)
    one = item.ndim == 2 or item.shape == shape
    if n > MAX_FRAMES:
        msg = f"{what}: says that it has {n} frames; expected at most {MAX_FRAMES}"
        raise ValueError(msg)
    there, why = _written(item, path, n, one=one)
    dtype = native_type(item.dtype)
    stacks = [Stack(path, high - low, shape, dtype, Place(str(name), low, one)) for low, high in runs(there)]
    lost = n - int(there.sum())
    problems = [Problem(path, f"{name}: no data for {lost} of {n} frames: {why}", 0)] if lost else []
    return stacks, problems


def runs(there: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the first row and the end of each run of true values.

    Examples
    --------
    >>> runs(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], there.astype(np.int8), [0]])))
    return [(int(low), int(high)) for low, high in zip(edges[::2], edges[1::2], strict=True)]


def _written(item: h5py.Dataset, path: str, n: int, *, one: bool) -> tuple[NDArray[np.bool_], str]:
    """Return which frames have data: missing pieces would read as zeros, without a word."""
    there = np.ones(n, np.bool_)
    if item.is_virtual:
        missing = _missing_sources(item, path, set())
        for low, high, _ in missing:
            there[slice(None) if one else slice(low, high)] = False
        return there, f"virtual, and its source {missing[0][2]} is missing" if missing else ""
    if item.chunks is None:
        if item.id.get_storage_size() == 0 and item.size:
            there[:] = False
        return there, "they were never written"
    expected = int(np.prod([-(-size // chunk) for size, chunk in zip(item.shape, item.chunks, strict=True)]))
    stored = item.id.get_num_chunks()
    if stored >= expected or expected > MAX_CHUNKS:
        return there, ""
    if one:
        there[:] = False
        return there, "it was written in part only"
    deep = item.chunks[0]
    count = np.zeros(-(-n // deep), np.int64)

    def note(info: Any) -> None:
        count[info.chunk_offset[0] // deep] += 1

    item.id.chunk_iter(note)
    whole = count >= expected // max(len(count), 1)
    return np.repeat(whole, deep)[:n], "they were never written"


def _missing_sources(item: h5py.Dataset, path: str, seen: set[tuple[str, str]]) -> list[tuple[int, int, str]]:
    """Return the rows (low, high) of a virtual data set whose source is not there, and its name."""
    if (path, str(item.name)) in seen or len(seen) > 10_000:
        msg = f"{path}:{item.name}: a virtual data set that is made of itself"
        raise ValueError(msg)
    seen.add((path, str(item.name)))
    missing = []
    for source in item.virtual_sources():
        low, high = source.vspace.get_select_bounds()
        target = path if source.file_name == "." else beside(path, source.file_name)
        try:
            if target == path:
                inner = walk_to(item.file, source.dset_name)
                sound = isinstance(inner, h5py.Dataset) and not (
                    inner.is_virtual and _missing_sources(inner, path, seen)
                )
            else:
                with opened(target) as other:
                    inner = walk_to(other, source.dset_name)
                    sound = isinstance(inner, h5py.Dataset) and not (
                        inner.is_virtual and _missing_sources(inner, target, seen)
                    )
        except OSError:
            sound = False
        if not sound:
            missing.append((int(low[0]), int(high[0]) + 1, f"{Path(target).name}:{source.dset_name}"))
    seen.discard((path, str(item.name)))
    return missing
