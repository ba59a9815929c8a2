"""Work that is too long for a callback: done in threads, and told to the session when it is there."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tornado.ioloop import IOLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from bokeh.document import Document

T = TypeVar("T")

# Panel may write what an update changed a little later than Bokeh writes what `done` changes, and the latter may need
# models that are new in the former.
AFTER_MS = 40

_SHORT = ThreadPoolExecutor(max_workers=2, thread_name_prefix="tab-short")
_LONG = ThreadPoolExecutor(max_workers=2, thread_name_prefix="tab-long")  # reads files; must not delay the others


async def in_thread(work: Callable[..., T], *arguments: object) -> T:
    """Return `work(*arguments)`, done in a thread while the loop goes on."""
    return await asyncio.get_running_loop().run_in_executor(_LONG, work, *arguments)


def beside(document: Document | None) -> Callable[[Callable[[], Any], Callable[[Any], None]], None]:
    """Return `run(work, done)`: work in a thread, then `done` on the loop of the document, with its lock."""
    home = IOLoop.current(instance=False)

    def run(work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        loop = IOLoop.current(instance=False) or home
        if document is None or loop is None:  # not on a page
            done(work())
            return

        def schedule(future: Future[Any]) -> None:
            if document.session_context is not None:  # else the viewer has left
                document.add_timeout_callback(lambda: done(future.result()), AFTER_MS)

        _SHORT.submit(work).add_done_callback(lambda future: loop.add_callback(schedule, future))

    return run


class Shared(Generic[T]):
    """A cache of results that threads compute; what several sessions want at the same time is computed once.

    Parameters
    ----------
    size
        How many results are kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._held: OrderedDict[Hashable, Future[T]] = OrderedDict()

    def get(self, key: Hashable, work: Callable[[], T]) -> Future[T]:
        """Return the future of `work()`; an error is kept like a result, until it is pushed out."""
        with self._lock:
            future = self._held.get(key)
            if future is None:
                future = self._held[key] = _SHORT.submit(work)
            self._held.move_to_end(key)
            while len(self._held) > self._size:
                self._held.popitem(last=False)
            return future


class Latest(Generic[T]):
    """One session's wish for a shared result: at most one is under way, and the newest wish wins.

    Parameters
    ----------
    cache
        Where results are shared.
    ready
        Called, from any thread, when there is something new to show.
    """

    def __init__(self, cache: Shared[T], ready: Callable[[], None]) -> None:
        self._cache, self._ready = cache, ready
        self._key: Hashable = None
        self._future: Future[T] | None = None

    def ask(self, key: Hashable, work: Callable[[], T]) -> T | None:
        """Return the result for `key` when it is there; until then None, and `ready` tells when to ask again.

        Raises
        ------
        Exception
            Whatever the work raised.
        """
        if self._future is None or (self._key != key and self._future.done()):
            self._key, self._future = key, self._cache.get(key, work)
            if not self._future.done():
                # The cache keeps the future, and a future keeps its callbacks: this one must not keep the session.
                waiting = [self._ready]
                self._future.add_done_callback(lambda _: waiting.pop()())
        return self._future.result() if self._key == key and self._future.done() else None


class Single(Generic[T]):
    """One session's long job; a new wish cancels the one before.

    Parameters
    ----------
    ready
        Called, from any thread, when the job has ended.
    """

    def __init__(self, ready: Callable[[], None]) -> None:
        self._ready = ready
        self._key: Hashable = None
        self._future: Future[T] | None = None
        self._cancel = threading.Event()

    def ask(self, key: Hashable, work: Callable[[threading.Event], T]) -> T | None:
        """Return the result for `key` when it is there, None until then.

        Parameters
        ----------
        key
            What is wanted.
        work
            Gets the event that tells it to stop.

        Raises
        ------
        Exception
            Whatever the work raised.
        """
        if self._future is None or self._key != key:
            self.cancel()
            self._cancel = threading.Event()
            self._key, self._future = key, _LONG.submit(work, self._cancel)
            self._future.add_done_callback(lambda _: self._ready())
        return self._future.result() if self._future.done() else None

    def cancel(self) -> None:
        """Tell the job to stop."""
        self._cancel.set()

    def forget(self) -> None:
        """Stop, and do the job again at the next wish."""
        self.cancel()
        self._key = None
