"""Files that grow and folders that fill: a source that goes on for as long as somebody wants it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from detcore.core.schema import LIVE
from detcore.core.source import ChunkRef, FileSource, Problem, Source, open_source

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence

    import xarray as xr


@dataclass
class _Seen:
    """What is known of one file."""

    size: int = -1
    since: float = 0.0
    planned: int = -1
    rows: int = 0


@dataclass(frozen=True)
class Follow(Source):
    """A file source without an end.

    A file is read when its size has been stable for `settle` seconds; all but the newest are taken to be finished,
    and the newest is read earlier if it opens whole. A file that grows after that gives its new rows.

    Parameters
    ----------
    source
        Its folders are looked at again and again.
    settle
        Seconds.
    rescan
        Seconds between two looks at the folders.
    """

    source: FileSource
    settle: float = 5.0
    rescan: float = 1.0

    @property
    @override
    def key(self) -> str:
        return f"live:{self.source.key}"

    @override
    def schema(self) -> xr.Dataset:
        return self.source.schema().assign_attrs({LIVE: True})

    @override
    def read(self, ref: ChunkRef, columns: frozenset[str]) -> xr.Dataset:
        return self.source.read(ref, columns)

    @override
    def pieces(self, ref: ChunkRef) -> Sequence[ChunkRef]:
        return self.source.pieces(ref)

    @override
    def plan(self, target_bytes: int | None = None) -> Iterator[ChunkRef | Problem | None]:
        seen: dict[str, _Seen] = {}
        looked = -self.rescan
        while True:
            if time.monotonic() - looked < self.rescan:
                yield None
                continue
            looked = time.monotonic()
            try:
                ready = self._ready(seen)
            except OSError as error:
                yield Problem.of(self.source.key, error)
                yield None
                continue
            source = self.source.catch_up({path: seen[path].rows for path in ready}) if ready else self.source
            for path in ready:
                yield from self._rows(source, path, seen[path], target_bytes)
            yield None

    def _ready(self, seen: dict[str, _Seen]) -> list[str]:
        now, facts = time.monotonic(), {}
        for path in self.source.files():
            try:
                facts[path] = Path(path).stat()
            except OSError:
                continue  # removed between the listing and now
        newest = max(facts, key=lambda path: facts[path].st_mtime_ns, default=None)
        ready = []
        for path, fact in facts.items():
            one = seen.setdefault(path, _Seen())
            size = self.source.measure(path, fact)
            if size != one.size:
                one.size, one.since = size, now
            if size == one.planned:
                continue
            stable = now - one.since >= self.settle
            if stable or (path != newest and one.planned < 0) or self.source.whole(path):
                ready.append(path)
        return ready

    def _rows(
        self, source: FileSource, path: str, one: _Seen, target_bytes: int | None
    ) -> Iterator[ChunkRef | Problem]:
        shrunk, one.planned = one.size < one.planned, one.size
        if shrunk:
            yield Problem(
                path,
                "has become shorter since it was read; what was counted stays, restart the feed to read it again",
                0,
            )
            return
        try:
            for item in source.plan_file(path, one.rows, target_bytes):
                if isinstance(item, ChunkRef):
                    one.rows = item.stop
                yield item
        except Exception as error:  # noqa: BLE001 - any failure of a reader library is one line of the ledger
            yield Problem.of(path, error)


def follow(
    path: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    instrument: str | None = None,
    **options: Any,
) -> Source:
    """Open files or folders that are still being written; `stream` it to see them grow.

    Parameters
    ----------
    path, instrument, options
        As for `open_source`. A folder may still be empty if `instrument` is named.

    Returns
    -------
    Source
        Its plan never ends: cancel the stream, or close its iterator.

    Raises
    ------
    TypeError
        The instrument's source is not made of files.
    """
    source = open_source(path, instrument, **options)
    if not isinstance(source, FileSource):
        msg = f"{source.key}: a {type(source).__name__} is not made of files and cannot be followed"
        raise TypeError(msg)
    return Follow(source)
