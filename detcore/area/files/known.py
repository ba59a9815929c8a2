"""Which format a file has, by its first bytes; and what was found in it, remembered until one of its files changes."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from detcore.area.files.euxfel import companions
from detcore.area.files.fabioframes import FabioFrames
from detcore.area.files.formats import Contents, Options
from detcore.area.files.hdf5frames import Hdf5Frames
from detcore.area.files.npyframes import NpyFrames
from detcore.area.files.speframes import HEAD, SpeFrames
from detcore.area.files.tiffframes import TiffFrames
from detcore.core.paths import regular
from detcore.core.source import UnknownFormat

if TYPE_CHECKING:
    from detcore.area.files.formats import Format

FORMATS: Final[tuple[Format, ...]] = (Hdf5Frames(), NpyFrames(), TiffFrames(), SpeFrames(), FabioFrames())
SUFFIXES: Final = tuple(dict.fromkeys(suffix for one in FORMATS for suffix in one.suffixes))
_START = HEAD  # bytes: the longest head that a format is known by
_REMEMBERED = 20_000  # files
_LARGEST = 1 << 29  # bytes of arrays that are remembered
_PATIENCE = 1.0  # s; a file that could not be read is tried again after that: another one that it needs may have come
_State = tuple[int, int, int] | None
_Key = tuple[str, Options, tuple[str, ...]]
_seen: OrderedDict[_Key, tuple[dict[str, _State], Contents]] = OrderedDict()
_held = [0]  # bytes of arrays in all of them
_failed: dict[_Key, tuple[float, _State, Exception]] = {}
_guard = threading.Lock()


def format_of(path: str) -> Format:
    """Return the format that a file has.

    Raises
    ------
    OSError
        There is no such file, or it cannot be opened.
    UnknownFormat
        It is none of those that are known.
    """
    regular(path)
    with open(path, "rb") as stream:  # noqa: PTH123 - called for every file of a folder
        start = stream.read(_START)
    for one in FORMATS:
        if one.claims(start):
            return one
    names = ", ".join(one.name for one in FORMATS)
    msg = (
        f"{path}: none of the formats of frames ({names}); it begins with {start[:12]!r}" if start else f"{path}: empty"
    )
    raise UnknownFormat(msg)


def look(path: str, options: Options, peers: tuple[str, ...] = ()) -> Contents:
    """Return what is in a file; remembered until it, or a file that it needs, changes.

    Raises
    ------
    OSError, ValueError
        It cannot be read.
    """
    near = tuple(companions(path, peers)) if peers else ()
    key = (path, options, near)
    with _guard:
        known = _seen.get(key)
    if known is not None and all(_state(one) == state for one, state in known[0].items()):
        return known[1]
    before, now = _state(path), time.monotonic()
    when, state, known_error = _failed.get(key, (0.0, None, None))
    if known_error is not None and state == before and now - when < _PATIENCE:
        raise known_error.with_traceback(None)
    try:
        contents = format_of(path).look(path, options, near)
    except (OSError, ValueError) as error:
        with _guard:
            if len(_failed) >= _REMEMBERED:
                _failed.clear()
            _failed[key] = (time.monotonic(), before, error)
        raise
    needed = {one.path for one in contents.stacks} | {one.part for one in contents.problems}
    states = {one: _state(one) for one in needed} | {path: before}
    with _guard:
        _forget(key)
        _seen[key] = (states, contents)
        _held[0] += _size(contents)
        while len(_seen) > _REMEMBERED or (len(_seen) > 1 and _held[0] > _LARGEST):
            _forget(next(iter(_seen)))
    return contents


def _forget(key: _Key) -> None:
    entry = _seen.pop(key, None)
    _held[0] -= 0 if entry is None else _size(entry[1])


def _size(contents: Contents) -> int:
    return sum(getattr(one, "nbytes", 0) for one in [*contents.columns.values(), *contents.facts.values()])


def _state(path: str) -> _State:
    try:
        facts = os.stat(path)  # noqa: PTH116 - called often
    except OSError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
