"""Live state: one writer for each key, immutable versioned snapshots, and wakes without data for those who watch."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from detcore.core.run import Snapshot


@dataclass(eq=False)
class Subscription:
    """Somebody watches a key; close it to stop. Closing twice is allowed, from any thread."""

    key: str
    wake: Callable[[], None]
    _store: Store

    def close(self) -> None:
        """Stop watching."""
        self._store._drop(self)  # noqa: SLF001 - the other half of the same object

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Store:
    """Newest snapshot of every key.

    A writer calls `publish`; readers are woken, without data, and pull `latest` when it suits them. A wake must
    return at once; it runs in the writer's thread.

    Parameters
    ----------
    on_viewers
        Called with (key, number of subscriptions) whenever that number changes: no viewers, no work.
    """

    def __init__(self, on_viewers: Callable[[str, int], None] | None = None) -> None:
        self._lock = threading.Lock()
        self._latest: dict[str, Snapshot] = {}
        self._watching: dict[str, list[Subscription]] = {}
        self._on_viewers = on_viewers

    def publish(self, key: str, snapshot: Snapshot) -> None:
        """Make `snapshot` the newest of `key`, and wake its viewers.

        An error in one viewer's wake must not hurt the others or the writer: that viewer is dropped.
        """
        with self._lock:
            self._latest[key] = snapshot
            watching = list(self._watching.get(key, ()))
        for subscription in watching:
            try:
                subscription.wake()
            except Exception:  # noqa: BLE001 - a viewer that went away between the two lines above
                subscription.close()

    def latest(self, key: str) -> Snapshot | None:
        """Return the newest snapshot, if there is one."""
        with self._lock:
            return self._latest.get(key)

    def forget(self, key: str) -> None:
        """Free the snapshot of a key."""
        with self._lock:
            self._latest.pop(key, None)

    def keys(self) -> tuple[str, ...]:
        """Return the keys that have a snapshot."""
        with self._lock:
            return tuple(self._latest)

    def subscribe(self, key: str, wake: Callable[[], None]) -> Subscription:
        """Watch a key; `wake` is called, without data, after each `publish`."""
        subscription = Subscription(key, wake, self)
        with self._lock:
            watching = self._watching.setdefault(key, [])
            watching.append(subscription)
            count = len(watching)
        if self._on_viewers:
            self._on_viewers(key, count)
        return subscription

    def viewers(self, key: str) -> int:
        """Return how many watch a key."""
        with self._lock:
            return len(self._watching.get(key, ()))

    def _drop(self, subscription: Subscription) -> None:
        with self._lock:
            watching = self._watching.get(subscription.key, [])
            if subscription not in watching:
                return
            watching.remove(subscription)
            count = len(watching)
            if not watching:
                self._watching.pop(subscription.key, None)
        if self._on_viewers:
            self._on_viewers(subscription.key, count)
