"""Reductions whose result grows with the run: by event, by spill, by file. Their keys make the order irrelevant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from pydantic import Field
from typing_extensions import override

from detcore.core.reduction import Reduction
from detcore.core.schema import EVENT
from detcore.core.source import natural
from detcore.occupancy import kernels
from detcore.occupancy.kernels import CHANNELS
from detcore.occupancy.reductions import last_detector

if TYPE_CHECKING:
    from numpy.typing import NDArray


class HitsByFile(Reduction):
    """Hits of every channel, file by file: `file_hits` (file_channel) with its detector, element and file.

    Only channels that have hits are kept, so it grows by some ten kilobytes for each file.
    """

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({"channel"})

    @override
    def empty(self, schema: xr.Dataset) -> dict[str, tuple[Any, Any]]:
        return {}

    @override
    def update(self, state: dict[str, tuple[Any, Any]], chunk: xr.Dataset) -> None:
        dense = np.bincount(chunk["channel"].values, minlength=CHANNELS)
        channels = np.flatnonzero(dense)
        self.merge(state, {chunk.attrs["file"]: (channels, dense[channels])})

    @override
    def merge(self, state: dict[str, tuple[Any, Any]], other: dict[str, tuple[Any, Any]]) -> None:
        for file, (channels, hits) in other.items():
            if file in state:
                channels = np.concatenate([state[file][0], channels])  # noqa: PLW2901 - the sum of both
                hits = np.concatenate([state[file][1], hits])  # noqa: PLW2901
                channels, where = np.unique(channels, return_inverse=True)  # noqa: PLW2901
                hits = np.bincount(where, hits, len(channels)).astype(np.int64)  # noqa: PLW2901 - exact below 2**53
            state[file] = (channels, hits)

    @override
    def finalize(self, state: dict[str, tuple[Any, Any]]) -> xr.Dataset:
        files = sorted(state, key=natural)
        channels = np.concatenate([np.zeros(0, np.int64), *(state[file][0] for file in files)])
        hits = np.concatenate([np.zeros(0, np.int64), *(state[file][1] for file in files)])
        dimension = "file_channel"
        return xr.Dataset(
            {"file_hits": (dimension, hits)},
            {
                "file_hits_file": ("file_of_hits", np.array(files, dtype=object)),
                "file_hits_index": (
                    dimension,
                    np.repeat(np.arange(len(files)), [len(state[file][0]) for file in files]),
                ),
                "file_hits_detector": (dimension, channels >> kernels.ELEMENT_BITS),
                "file_hits_element": (dimension, channels & 511),
            },
        )


class HitsPerEvent(Reduction):
    """Number of hits of each event, in the order of the files: `hits_per_event` (event).

    A series: it grows by twelve bytes for each event. `last` keeps only the newest events of a live feed.
    """

    last: int | None = Field(None, description="Keep only so many events, the last ones", gt=0)

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({"n_hits", "entry"}) | ({"spill_id", "event_id"} & set(map(str, schema.data_vars)))

    @override
    def empty(self, schema: xr.Dataset) -> list[tuple[str, int, Any]]:
        return []

    @override
    def update(self, state: list[tuple[str, int, Any]], chunk: xr.Dataset) -> None:
        n = chunk.sizes[EVENT]
        if n:
            absent = np.full(n, -1, np.int32)
            columns = [chunk[name].values if name in chunk else absent for name in ("event_id", "spill_id")]
            rows = np.stack([chunk["n_hits"].values, *columns]).astype(np.int32)
            state.append((chunk.attrs["file"], int(chunk["entry"].values[0]), (chunk["entry"].values.copy(), rows)))

    @override
    def merge(self, state: list[tuple[str, int, Any]], other: list[tuple[str, int, Any]]) -> None:
        state += other
        if self.last is not None:
            self._cut(state)

    def _cut(self, state: list[tuple[str, int, Any]]) -> None:
        state.sort(key=lambda piece: (natural(piece[0]), piece[1]))
        total = sum(len(piece[2][0]) for piece in state)
        while self.last is not None and state and total - len(state[0][2][0]) >= self.last:
            total -= len(state.pop(0)[2][0])

    @override
    def finalize(self, state: list[tuple[str, int, Any]]) -> xr.Dataset:
        pieces = list(state)
        self._cut(pieces)
        files = list(dict.fromkeys(piece[0] for piece in pieces))
        entry = np.concatenate([np.zeros(0, np.int64), *(piece[2][0] for piece in pieces)])
        rows = np.concatenate([np.zeros((3, 0), np.int32), *(piece[2][1] for piece in pieces)], axis=1)
        index = {file: number for number, file in enumerate(files)}
        lengths = [len(piece[2][0]) for piece in pieces]
        of_file = np.repeat(np.array([index[piece[0]] for piece in pieces], np.int32), lengths)
        keep = slice(None if self.last is None else max(0, len(entry) - self.last), None)
        return xr.Dataset(
            {"hits_per_event": (EVENT, rows[0, keep], {"long_name": "hits per event"})},
            {
                "entry": (EVENT, entry[keep]),
                "event_file": (EVENT, of_file[keep]),
                "event_id": (EVENT, rows[1, keep]),
                "spill_id": (EVENT, rows[2, keep]),
                "file": ("file", np.array(files, dtype=object)),
            },
        )


class Trend(Reduction):
    """Hits of every detector along slices of the run: `trend` (slice, detector_id) and `trend_events` (slice)."""

    by: Literal["spill", "file", "events"] = Field("spill", description="What one slice is")
    events: int = Field(1000, description="Events of a slice, if it is made of events", gt=0)

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        spill = {"spill_id"} & set(map(str, schema.data_vars)) if self.by == "spill" else set()
        return frozenset({"channel", "n_hits", "entry"} | spill)

    @override
    def empty(self, schema: xr.Dataset) -> dict[str, Any]:
        return {"table": schema.attrs["detectors"], "slices": {}}

    def _keys(self, chunk: xr.Dataset) -> tuple[list[Any], NDArray[np.int64]]:
        file = chunk.attrs["file"]
        if self.by == "spill" and "spill_id" in chunk:
            numbers, part = np.unique(np.maximum(chunk["spill_id"].values, -1), return_inverse=True)
            absent = (file, 0, Path(file).name)
            return [("", int(number), str(number)) if number >= 0 else absent for number in numbers], part
        if self.by == "events":
            numbers, part = np.unique(chunk["entry"].values // self.events, return_inverse=True)
            name = Path(file).name
            firsts = [int(number) * self.events for number in numbers]
            return [(file, first, f"{name}:{first}-{first + self.events - 1}") for first in firsts], part
        return [(file, 0, Path(file).name)], np.zeros(chunk.sizes[EVENT], np.int64)

    @override
    def update(self, state: dict[str, Any], chunk: xr.Dataset) -> None:
        if not chunk.sizes[EVENT]:
            return
        keys, part = self._keys(chunk)
        hits, events = np.zeros((len(keys), 128), np.int64), np.zeros(len(keys), np.int64)
        kernels.count_slices(chunk["channel"].values, chunk["n_hits"].values, part, hits, events)
        self._add(state["slices"], dict(zip(keys, zip(hits, events, strict=True), strict=True)))

    @override
    def merge(self, state: dict[str, Any], other: dict[str, Any]) -> None:
        self._add(state["slices"], other["slices"])

    @staticmethod
    def _add(slices: dict[Any, Any], more: dict[Any, Any]) -> None:
        for key, (hits, events) in more.items():
            before = slices.get(key)
            slices[key] = (before[0] + hits, before[1] + events) if before else (hits, events)

    @override
    def finalize(self, state: dict[str, Any]) -> xr.Dataset:
        slices = state["slices"]
        keys = sorted(slices, key=lambda key: (natural(key[0]), key[1]))
        hits = np.array([slices[key][0] for key in keys], np.int64).reshape(len(keys), 128)
        last = last_detector(state["table"], hits.sum(axis=0))
        return xr.Dataset(
            {
                "trend": (("slice", "detector_id"), hits[:, 1 : last + 1], {"long_name": "hits"}),
                "trend_events": ("slice", np.array([slices[key][1] for key in keys], np.int64)),
            },
            {
                "slice": ("slice", np.array([key[2] for key in keys], dtype=object)),
                "detector_id": np.arange(1, last + 1),
            },
        )
