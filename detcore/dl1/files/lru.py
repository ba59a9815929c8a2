"""Decoded chunks of tables, the last used ones: what random access to compressed files needs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from numpy.typing import NDArray

LIMIT: Final = 256 << 20


class DecodedChunks:
    """Arrays by key, bounded by their bytes; those used longest ago go first. For any thread.

    Parameters
    ----------
    limit
        Bytes; an array that is larger is handed through.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.nbytes = 0
        self._known: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._guard = threading.Lock()

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._known

    def get(self, key: Hashable, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return an array, made now if it is not known.

        Parameters
        ----------
        key
            Says which file in which state, which table and which chunk.
        make
            Decodes it; runs without a lock, so that two threads may both do it.

        Returns
        -------
        array
            Read-only, for it is shared.
        """
        with self._guard:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
                return found
        made = make()
        made.setflags(write=False)
        if made.nbytes > self.limit:
            return made
        with self._guard:
            if key not in self._known:
                self._known[key] = made
                self.nbytes += made.nbytes
            while self.nbytes > self.limit:
                _, gone = self._known.popitem(last=False)
                self.nbytes -= gone.nbytes
        return made

    def clear(self) -> None:
        """Forget all."""
        with self._guard:
            self._known.clear()
            self.nbytes = 0


CHUNKS: Final = DecodedChunks()
"""Shared by all files of the process."""
