"""In which data sets of which files a series is: what links and virtual data sets say, by every detector's habit."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from detcore.core.hdf5 import MAX_LINKS, Elsewhere, beside, opened, walk_to
from detcore.core.source import UnknownFormat, natural

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_FRAMES = 50_000_000  # of a data set
MAX_PIECES = 100_000  # data files of a series
MAX_OBJECTS = 2000  # looked at in search of a data set
MAX_DEPTH = 6
_DATA = re.compile(r"data_\d+$")


@dataclass(frozen=True, slots=True)
class Slab:
    """Rows of a data set: `count` blocks of `block` rows, `stride` apart; a count of None has no end."""

    start: int = 0
    stride: int = 1
    count: int | None = None
    block: int = 1

    def rows(self, n: int) -> NDArray[np.int64]:
        """Return the rows, (row,), as far as they are below `n`."""
        blocks = max(-(-(n - self.start) // self.stride), 0)
        blocks = blocks if self.count is None else min(blocks, self.count)
        rows = self.start + self.stride * np.arange(blocks)[:, None] + np.arange(min(self.block, n))
        flat = rows.ravel()
        return np.asarray(flat[flat < n], np.int64)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a series that one data set of one file holds.

    Parameters
    ----------
    path, dataset
        Where the frames are; the file may not exist yet.
    rows
        Which of the data set.
    place
        Which rows of the series they are; None: the data file says, or they follow those before.
    channel
        Of a data set (frame, channel, y, x).
    """

    path: str
    dataset: str
    rows: Slab = field(default_factory=Slab)
    place: Slab | None = None
    channel: int = 0


def pieces(path: str, dataset: str | None = None, channel: int = 0) -> list[Piece]:
    """Return where the frames of one file are: in itself, in the files that it links to, or that it is made from.

    Parameters
    ----------
    path
        Master or data file.
    dataset
        Name of the data set; None: where detectors put it.
    channel
        Which one of data with channels (frame, channel, y, x).

    Raises
    ------
    UnknownFormat
        There is no such data set; says which there are.
    """
    with opened(path) as file:
        names = [dataset] if dataset else data_names(file)
        if not names:
            found = ", ".join(sorted(map(str, list(file)))[:20]) or "nothing"
            msg = f"no data set of frames (/entry/data/data, /entry/data/data_000001, /data); found {found}. Name one"
            raise UnknownFormat(msg)
        return [piece for name in names for piece in _pieces(file, path, name, channel, 0)][:MAX_PIECES]


def data_names(file: h5py.File) -> list[str]:
    """Return the names of the data sets of frames, by the places where they are usual; else by a search."""
    for group in ("/entry/data", "/entry"):  # the first firmware had the links in /entry
        place = walk_to(file, group)
        if isinstance(place, h5py.Group):
            whole = walk_to(place.file, f"{group}/data")
            if isinstance(whole, (h5py.Dataset, Elsewhere)):
                return [f"{group}/data"]
            names = sorted((str(name) for name in place if _DATA.match(str(name))), key=natural)
            if names:
                return [f"{group}/{name}" for name in names]
    for name in ("/data", "/data/data"):
        if isinstance(walk_to(file, name), h5py.Dataset):
            return [name]
    found = search(file)
    if len(found) > 1:
        shapes = {file[name].shape[1:] for name in found}
        if len(shapes) > 1:
            msg = f"several data sets of frames: {', '.join(found[:10])}; name one of them"
            raise ValueError(msg)
    return found


def search(file: h5py.File) -> list[str]:
    """Return the names of all data sets of frames that the file itself holds, in natural order."""
    found: dict[int, str] = {}
    seen: set[int] = set()

    def look(group: h5py.Group, depth: int) -> None:
        for name in sorted(map(str, group), key=natural):
            if len(seen) >= MAX_OBJECTS:
                return
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(item, h5py.Dataset) and item.ndim in {3, 4} and item.dtype.kind in "iu":
                found[address] = str(item.name)
            elif isinstance(item, h5py.Group) and depth < MAX_DEPTH:
                look(item, depth + 1)

    look(file["/"], 0)
    return sorted(found.values(), key=natural)


def _pieces(file: h5py.File, path: str, name: str, channel: int, depth: int) -> list[Piece]:
    found = walk_to(file, name)
    if isinstance(found, Elsewhere):
        target = beside(path, found.filename)
        if _DATA.match(name.rsplit("/", 1)[-1]) or depth >= MAX_LINKS or not Path(target).exists():
            return [Piece(target, found.name, channel=channel)]
        with opened(target) as other:
            return _pieces(other, target, found.name, channel, depth + 1)
    if not isinstance(found, h5py.Dataset):
        known = ", ".join(search(file)[:10]) or "none"
        msg = f"no data set {name!r}; data sets of frames in the file: {known}"
        raise UnknownFormat(msg)
    if not found.is_virtual:
        return [Piece(path, str(found.name), channel=channel)]
    return _virtual(found, path, channel, depth)


def _virtual(dataset: h5py.Dataset, path: str, channel: int, depth: int) -> list[Piece]:
    """Resolve a virtual data set: its type says nothing, and a missing source would read as zeros."""
    result: list[Piece] = []
    sources = dataset.virtual_sources()
    if len(sources) > MAX_PIECES or depth >= MAX_LINKS:
        msg = f"virtual data set {dataset.name}: {len(sources)} sources, {depth} deep; that is not a series"
        raise ValueError(msg)
    for source in sources:
        place, low, high = _slab(source.vspace, dataset.shape)
        rows, source_low, _ = _slab(source.src_space, None)
        picked = 0
        if dataset.ndim == 4:
            if not low[0] <= channel < high[0]:
                continue
            picked = channel - low[0] + (source_low[0] if len(source_low) == 3 else 0)
        if tuple(low[-2:]) != (0, 0) or tuple(high[-2:]) != dataset.shape[-2:]:
            msg = f"virtual data set {dataset.name}: frames are put together from several pieces, which is not read"
            raise ValueError(msg)
        inner = Piece(beside(path, source.file_name), source.dset_name, rows, place, picked)
        if source.file_name == "." or inner.path == path:
            for one in _pieces(dataset.file, path, source.dset_name, picked, depth + 1):
                if one.place is not None:
                    result.append(one)  # a view of a view: taken as it is
                else:
                    result.append(Piece(one.path, one.dataset, rows, place, picked))
        else:
            result.append(inner)
    if not result:
        msg = f"virtual data set {dataset.name} has no sources for channel {channel}"
        raise UnknownFormat(msg)
    return sorted(result, key=lambda piece: piece.place.start if piece.place else 0)


def _slab(space: Any, shape: tuple[int, ...] | None) -> tuple[Slab, tuple[int, ...], tuple[int, ...]]:
    """Return the rows that a selection takes, and its bounds in the other dimensions (low, high)."""
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        other = tuple(shape[1:]) if shape else ()
        return Slab(), (0,) * len(other), other
    if not space.is_regular_hyperslab():
        msg = "a virtual data set with an irregular selection, which is not read"
        raise ValueError(msg)
    start, stride, count, block = (tuple(map(int, one)) for one in space.get_regular_hyperslab())
    endless = count[0] >= 1 << 62
    if count[0] > 1 and block[0] > stride[0]:
        msg = "a virtual data set whose blocks overlap, which is not read"
        raise ValueError(msg)
    low = start[1:]
    high = tuple(
        begin + step * (n - 1) + size
        for begin, step, n, size in zip(start[1:], stride[1:], count[1:], block[1:], strict=True)
    )
    first = min(block[0], MAX_FRAMES)
    return Slab(start[0], max(stride[0], 1), None if endless else count[0], first), low, high
