"""Open files are leased from one bounded pool, so that sources, chunks and tasks never hold a handle."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


class Closable(Protocol):
    """What an opener returns."""

    def close(self) -> None:
        """Free the file."""


Handle = TypeVar("Handle", bound=Closable)
LIMIT = 64  # files kept open while idle; common limits are 256 (macOS) and 1024 (Linux) for a process


@dataclass
class _Entry:
    opening: threading.Lock = field(default_factory=threading.Lock)
    handle: Any = None
    users: int = 0
    lock: AbstractContextManager[Any] = field(default_factory=nullcontext)

    def close(self) -> None:
        if self.handle is not None:
            with self.lock:
                self.handle.close()


_pool: OrderedDict[tuple[Any, ...], _Entry] = OrderedDict()
_guard = threading.Lock()


@contextmanager
def lease(
    opener: Callable[[str], Handle],
    path: str,
    lock: AbstractContextManager[Any] | None = None,
) -> Iterator[Handle]:
    """Give an open handle for the time of the block.

    A handle may serve several threads at once; a library that cannot bear that passes its `lock`, which is then
    held for the whole block. A file that was changed or replaced since is opened anew.

    Parameters
    ----------
    opener
        path -> handle; called at most once for each state of the file.
    path
        The file.
    lock
        One for each library that needs it (PyTables, HDF5), not for each file.

    Yields
    ------
    Handle
        Not to be kept after the block.

    Raises
    ------
    OSError
        The file cannot be opened.
    """
    facts = os.stat(path)  # noqa: PTH116 - called for every chunk
    key = (opener, path, facts.st_ino, facts.st_size, facts.st_mtime_ns)
    with _guard:
        entry = _pool.setdefault(key, _Entry(lock=lock or nullcontext()))
        entry.users += 1
        _pool.move_to_end(key)
    try:
        with entry.lock:
            with entry.opening:
                if entry.handle is None:
                    entry.handle = opener(path)
            yield entry.handle
    finally:
        with _guard:
            entry.users -= 1
            idle = [(name, one) for name, one in _pool.items() if not one.users]
            gone = [pair for pair in idle if pair[1].handle is None]
            gone += [pair for pair in idle if pair[1].handle is not None][: max(0, len(_pool) - LIMIT)]
            for name, _ in gone:
                del _pool[name]
        for _, one in gone:
            one.close()


def close_all(path: str | None = None) -> None:
    """Close what nobody uses, for instance before a file is replaced on a system that forbids it; of one path, or all."""
    with _guard:
        gone = [(name, one) for name, one in _pool.items() if not one.users and path in {None, name[1]}]
        for name, _ in gone:
            del _pool[name]
    for _, one in gone:
        one.close()
