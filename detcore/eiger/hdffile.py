"""HDF5 files of strangers: opened with words, links walked by hand.

HDF5 is never left to follow a link to another file, or a virtual data set: a file that is missing would read as zeros,
and a file from somebody else may point anywhere.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import hdf5plugin  # noqa: F401 - makes the filters known to HDF5
import numpy as np

from detcore.core.heaps import check_heaps
from detcore.core.source import TruncatedFile, UnknownFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MAX_LINKS = 16  # one after the other
MAX_ITEM = 65536  # bytes of one element: a text of fixed length


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What an external link says."""

    filename: str
    name: str


@contextmanager
def opened(path: str) -> Iterator[h5py.File]:
    """Open an HDF5 file to look at, also one that is being written; its errors say what to do.

    Yields
    ------
    File
        Closed after the block.

    Raises
    ------
    UnknownFormat
        It is not HDF5.
    TruncatedFile
        It is cut off.
    OSError, ValueError
        It cannot be read, or is damaged.
    """
    size = regular(path).st_size
    try:
        file = _open(path, size)
        with file:
            yield file
    except (OSError, ValueError):
        raise
    except Exception as error:
        msg = f"damaged or unusual HDF5 file: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ValueError(msg) from error


def _open(path: str, size: int) -> h5py.File:
    words = ""
    check_heaps(path)
    # without a lock, which would stop the detector's writer; unless this process has it open in another way
    ways: tuple[dict[str, Any], ...] = ({"locking": False}, {}, {"swmr": True, "libver": "latest", "locking": False})
    for way in ways:
        try:
            return h5py.File(path, "r", **way)
        except OSError as error:
            words = words or " ".join(str(error).split())
        if "signature not found" in words:
            # without its first bytes: a link may have led to a file that is nobody's business
            msg = "not an HDF5 file: its signature is missing" if size else "not an HDF5 file: it is empty"
            raise UnknownFormat(msg)
        if "truncated" in words or "eof" in words or "addr overflow" in words:
            msg = f"cut off or still being written, {size} bytes are there: copy it again or wait ({words[:160]})"
            raise TruncatedFile(msg)
    msg = f"HDF5 cannot open it: {words[:300]}"
    raise OSError(msg)


def regular(path: str) -> os.stat_result:
    """Return the facts of a file; refuse devices, pipes and folders, which a link may lead to.

    Raises
    ------
    OSError
        There is none, or it is not a file.
    """
    facts = os.stat(path)  # noqa: PTH116 - called often
    if not stat.S_ISREG(facts.st_mode):
        msg = f"{path}: expected a regular file, found {'a folder' if stat.S_ISDIR(facts.st_mode) else 'a device or pipe'}"
        raise OSError(msg)
    return facts


def walk_to(file: h5py.File, name: str) -> Any:
    """Return the object of that name, an `Elsewhere` if it is in another file, or None. Opens no other file."""
    here: Any = file
    todo = [part for part in name.split("/") if part]
    for _ in range(MAX_LINKS * 64):
        if not todo:
            return here
        part = todo.pop(0)
        if part == ".":
            continue
        if not isinstance(here, h5py.Group):
            return None
        try:
            link = here.get(part, getlink=True)
        except (KeyError, TypeError, ValueError, RuntimeError):  # none, or of a kind that a plug-in made
            return None
        if isinstance(link, h5py.ExternalLink):
            return Elsewhere(link.filename, "/".join([link.path.rstrip("/"), *todo]))
        if isinstance(link, h5py.SoftLink):
            here = file if link.path.startswith("/") else here
            todo = [one for one in link.path.split("/") if one] + todo
        elif link is None:
            return None
        else:
            here = here[part]
    return None


def beside(master: str, filename: str) -> str:
    """Return the path that an external link means: beside the file that holds it, as HDF5 looks for it."""
    folder = Path(master).parent
    place = Path(filename)
    if place.is_absolute() and not place.exists() and (folder / place.name).exists():
        place = folder / place.name  # the series was moved as a whole
    return str(folder / place)


def fetch(path: str, file: h5py.File, name: str, limit: int) -> NDArray[Any] | None:
    """Return a small data set with at most `limit` elements, or None if there is none that is safe to read."""
    found = walk_to(file, name)
    if isinstance(found, Elsewhere):
        try:
            target = beside(path, found.filename)
            if target == path:
                return None
            with opened(target) as other:
                inner = walk_to(other, found.name)
                return _content(inner, limit)
        except (OSError, ValueError):
            return None
    return _content(found, limit)


def attribute(item: Any, name: str) -> Any:
    """Return an attribute that is one short number or text; None otherwise."""
    try:
        if name not in item.attrs or item.attrs.get_id(name).shape not in {(), (1,)}:
            return None
        value = np.asarray(item.attrs[name]).ravel()[0]
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, IndexError):
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")[:1000]
    return value.item() if isinstance(value, np.generic) else str(value)[:1000]


def _content(item: Any, limit: int) -> NDArray[Any] | None:
    if not isinstance(item, h5py.Dataset) or item.size is None or item.size > limit:
        return None
    if item.is_virtual or item.dtype.itemsize > MAX_ITEM or item.id.get_create_plist().get_external_count():
        return None
    try:
        return np.asarray(item[()])
    except (OSError, ValueError, TypeError, RuntimeError):
        return None
