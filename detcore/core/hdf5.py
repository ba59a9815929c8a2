"""HDF5 files of strangers: opened with words, links walked by hand, small values fetched.

HDF5 never follows a link to another file, or a virtual data set, by itself here: a missing file would read as zeros, and
a file from somebody else may point anywhere.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import h5py
import hdf5plugin  # noqa: F401 - makes the filters of detectors known to HDF5
import numpy as np

from detcore.core.heaps import check_heaps
from detcore.core.paths import regular
from detcore.core.source import TruncatedFile, UnknownFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MAX_LINKS: Final = 16  # one after the other
MAX_ITEM: Final = 1 << 16  # bytes of one element


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What an external link says."""

    filename: str
    name: str


@contextmanager
def opened(path: str) -> Iterator[h5py.File]:
    """Give an open HDF5 file, also one that is being written; errors say what to do.

    Yields
    ------
    File
        Closed after the block: a file that stays open cannot be opened in another way, for instance to add to it.

    Raises
    ------
    UnknownFormat
        It is not HDF5.
    TruncatedFile
        It is cut off.
    OSError, ValueError
        It cannot be read, or is damaged.
    """
    regular(path)
    try:
        with _open(path) as file:
            yield file
    except (OSError, ValueError):
        raise
    except Exception as error:
        msg = f"{path}: damaged or unusual HDF5: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ValueError(msg) from error


def _open(path: str) -> h5py.File:
    size, words = regular(path).st_size, ""
    check_heaps(path)
    # without a lock, which would stop the detector's writer; unless this process has it open in another way
    ways: tuple[dict[str, Any], ...] = ({"locking": False}, {}, {"swmr": True, "libver": "latest", "locking": False})
    for way in ways:
        try:
            return h5py.File(path, "r", **way)
        except OSError as error:
            words = words or " ".join(str(error).split())
        if "signature not found" in words:
            msg = f"{path}: not an HDF5 file: {'its signature is missing' if size else 'it is empty'}"
            raise UnknownFormat(msg)
        if "truncated" in words or "eof" in words or "addr overflow" in words:
            msg = f"{path}: cut off or still being written, {size} bytes are there: copy it again or wait"
            raise TruncatedFile(msg)
    msg = f"{path}: HDF5 cannot open it: {words[:300]}"
    raise OSError(msg)


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
    """Return the path that a link means: beside the file that holds it, as HDF5 looks for it."""
    folder, place = Path(master).parent, Path(filename)
    if place.is_absolute() and not place.exists() and (folder / place.name).exists():
        place = folder / place.name  # the run was moved as a whole
    return str(folder / place)


@contextmanager
def found(path: str, file: h5py.File, name: str) -> Iterator[Any]:
    """Give the object of a name, wherever links lead, or None.

    Yields
    ------
    object or None
        Of a file that is open as long as the block.
    """
    with ExitStack() as files:
        item = walk_to(file, name)
        for _ in range(MAX_LINKS):
            if not isinstance(item, Elsewhere):
                break
            path = beside(path, item.filename)
            try:
                item = walk_to(files.enter_context(opened(path)), item.name)
            except (OSError, ValueError):
                item = None
        yield None if isinstance(item, Elsewhere) else item


def fetch(path: str, file: h5py.File, name: str, limit: int = 64) -> NDArray[Any] | None:
    """Return a small data set with at most `limit` elements, or None if there is none that is safe to read."""
    with found(path, file, name) as item:
        return content(item, limit)


def content(item: Any, limit: int) -> NDArray[Any] | None:
    """Return what a data set holds if it is small, whole and in its own file; else None."""
    if not isinstance(item, h5py.Dataset) or item.size is None or item.size > limit:
        return None
    if item.is_virtual or item.dtype.itemsize > MAX_ITEM or item.id.get_create_plist().get_external_count():
        return None
    try:
        return np.asarray(item[()])
    except (OSError, ValueError, TypeError, RuntimeError):
        return None


def attribute(item: Any, name: str) -> Any:
    """Return an attribute that is one short number or text; None otherwise."""
    try:
        if name not in item.attrs or item.attrs.get_id(name).shape not in {(), (1,)}:
            return None
        value = np.asarray(item.attrs[name]).ravel()[0]
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, IndexError, AttributeError):
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")[:1000]
    return value.item() if isinstance(value, np.generic) and not isinstance(value, np.str_) else str(value)[:1000]
