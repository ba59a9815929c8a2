"""A spill in the experiment's file format, made from exact counts: for the demo and for tests that know the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import awkward as ak
import numpy as np
import uproot

from detcore.core.paths import atomic
from detcore.occupancy.detectors import DetectorTable
from detcore.occupancy.synthetic import IN_TIME, Channels

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

Layout = Literal["save", "save-prefixed", "tree", "tree-padded"]
Codec = Literal["zlib", "lz4", "lzma", "zstd"]
CODECS = {"zlib": uproot.ZLIB, "lz4": uproot.LZ4, "lzma": uproot.LZMA, "zstd": uproot.ZSTD}

PADDING = 2_147_483_647  # what fills the fixed-size arrays of the derived files
PADDED = 500  # slots per event in those files
TRIGGER_RATES = (0.62, 0.09, 0.18, 0.05, 0.02, 0.07, 0.04, 0.08, 0.01, 0.002)  # MATRIX1..5, NIM1..5; fraction of events
MATRIX1, NIM3 = 1 << 0, 1 << 7  # the physics trigger and the random one
OUT_OF_RANGE = ((-1, 5), (0, 5), (200, 5), (32767, 5), (3, -1), (3, 0), (3, 161), (3, 32767))  # (detector, element)


@dataclass(frozen=True)
class Truth:
    """What one file holds, known while writing (nothing is read back).

    Parameters
    ----------
    path
        The file.
    counts, events_hit, in_time
        (detector, element), the index is the id: hits, events in which the channel fired, hits inside the
        detector's drift-time window. Hits that are out of range are not in them.
    hits_per_event
        (event,), empty events included; without the hits that are out of range.
    triggers
        (event,), the trigger word of each event.
    out_of_range
        (detector id, element id) -> how many such hits were added.
    """

    path: Path
    counts: NDArray[np.int64]
    events_hit: NDArray[np.int64]
    in_time: NDArray[np.int64]
    hits_per_event: NDArray[np.int64]
    triggers: NDArray[np.int32]
    out_of_range: dict[tuple[int, int], int]


def write_spill(
    path: str | os.PathLike[str],
    counts: ArrayLike,
    hits_per_event: ArrayLike,
    *,
    run_id: int,
    spill_id: int,
    n_events: int | None = None,
    first_event: int = 0,
    seed: int = 0,
    compression: Codec | None = "zlib",
    level: int = 1,
    basket_hits: int = 500_000,
    id_dtype: Literal["int16", "int32"] = "int16",
    layout: Layout = "save",
    with_time: bool = True,
    with_flags: bool = True,
    out_of_range: int = 0,
    detectors: DetectorTable | None = None,
) -> Truth:
    """Write a spill whose counts per channel and hits per event are exactly those given.

    The hits of one event come in bursts from one place of one detector group, so that tracks, double hits and
    the over-dispersion of real spills appear. They are sorted as the experiment's writer does, by detector,
    element and falling time.

    Parameters
    ----------
    path
        The file to write; it appears whole or not at all.
    counts
        (detector, element) hits of each channel; the index is the id, so row and column 0 stay empty.
    hits_per_event
        (event,) hits of each event. If their sum is not that of `counts`, event `i` gets the hits between the
        rounded-down fractions `i` and `i + 1` of the running sum: proportional, exact in total, and empty
        events stay empty.
    run_id, spill_id, first_event
        Written to every event; event ids count up from `first_event`.
    n_events
        If larger than the length of `hits_per_event`, that many events are written and the missing ones are
        empty, spread at random.
    seed
        The same arguments and seed give the same hits, whatever the compression and the baskets.
    compression, level
        None stores the baskets as they are.
    basket_hits
        A basket of each branch ends at the first event that brings it to this many hits.
    id_dtype
        Type of the ids in the `save` layouts; the experiment's is int16.
    layout
        "save": tree `save` with `fAllHits.detectorID` and so on. "save-prefixed": the same with `rawEvent/`
        before each name. "tree": tree `tree` with plain jagged int32 and float64 branches. "tree-padded": the
        same in arrays of 500 (or the longest event), filled up with 2147483647.
    with_time, with_flags
        Whether the hits have `tdcTime` and `driftDistance`, and `flag`.
    out_of_range
        How many hits with impossible ids to add, to events that have hits.
    detectors
        Drift-time windows and groups; the built-in table if None.

    Returns
    -------
    Truth
        The numbers that a reduction of the file has to find.

    Raises
    ------
    ValueError
        Counts and events contradict each other, or an array has the wrong shape.

    Examples
    --------
    >>> import tempfile
    >>> counts = np.zeros((63, 202), int)
    >>> counts[3, 74] = 5
    >>> truth = write_spill(tempfile.mkdtemp() + "/a.root", counts, [2, 0, 3], run_id=1, spill_id=2)
    >>> int(truth.counts.sum()), truth.hits_per_event.tolist()
    (5, [2, 0, 3])
    """
    table = detectors or DetectorTable.default()
    rng = np.random.default_rng(seed)
    wanted = np.asarray(counts, dtype=np.int64)
    per_event = _events(wanted, np.asarray(hits_per_event, dtype=np.int64), n_events, rng)
    channels = Channels.of(wanted, OUT_OF_RANGE if out_of_range else (), table)
    codes = channels.deal(wanted, rng)
    if out_of_range:
        chosen = np.sort(rng.choice(np.flatnonzero(per_event), out_of_range))
        bad = rng.choice(channels.bad, out_of_range)
        codes = np.insert(codes, np.cumsum(per_event)[chosen] - 1, bad)
        stored = per_event + np.bincount(chosen, minlength=len(per_event))
    else:
        bad, stored = channels.bad, per_event
    luck = rng.integers(0, 2**32, len(codes), dtype=np.uint32)  # low half: time, high half: flags
    words = _triggers(per_event, rng)
    fired = np.zeros(len(channels.detector), np.int64)
    in_time = np.zeros_like(fired)
    offsets = np.concatenate([[0], np.cumsum(stored)])
    width = max(PADDED, int(stored.max(initial=0)))
    kept = ["detectorID", "elementID", *(["tdcTime", "driftDistance"] * with_time), "pos", *(["flag"] * with_flags)]
    codec = CODECS[compression](level) if compression else None
    with atomic(path) as aside, uproot.recreate(aside, compression=codec) as file:
        tree = None
        for start, stop in _baskets(offsets, basket_hits):
            part, length = slice(offsets[start], offsets[stop]), stop - start
            local = offsets[start : stop + 1] - offsets[start]
            hits, first = channels.hits(codes[part], luck[part], local, id_dtype)
            fired += np.bincount(first, minlength=len(fired))
            in_time += np.bincount(hits["code"][(hits["flag"] & IN_TIME) > 0], minlength=len(fired))
            event: dict[str, NDArray[Any]] = {
                "fRunID": np.full(length, run_id, np.int32),
                "fSpillID": np.full(length, spill_id, np.int32),
                "fEventID": np.arange(first_event + start, first_event + stop, dtype=np.int32),
                "fTriggerBits": words[start:stop],
                "fTargetPos": np.full(length, spill_id % 7 + 1, np.int16),
            }
            branches = _branches(layout, event, {name: hits[name] for name in kept}, local, width)
            if tree is None:
                tree = _make_tree(file, layout, branches)
            if length:
                tree.extend(branches)
    names, numbers = np.unique(bad, return_counts=True)
    return Truth(
        path=Path(path),
        counts=wanted,
        events_hit=channels.spread(fired, wanted.shape),
        in_time=channels.spread(in_time, wanted.shape),
        hits_per_event=per_event,
        triggers=words,
        out_of_range={
            (int(channels.detector[code]), int(channels.element[code])): int(number)
            for code, number in zip(names, numbers, strict=True)
            if out_of_range
        },
    )


def _events(
    counts: NDArray[np.int64], hits: NDArray[np.int64], n_events: int | None, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Check the numbers against each other; return hits per event with the empty events in it."""
    if counts.ndim != 2 or hits.ndim != 1 or counts.min(initial=0) < 0 or hits.min(initial=0) < 0:
        msg = f"expected counts (detector, element) and hits per event (event), none negative; found shapes {counts.shape}, {hits.shape}"
        raise ValueError(msg)
    total, given = int(counts.sum()), int(hits.sum())
    if total and not given:
        msg = f"the counts hold {total} hits but every event is empty; give at least one event with hits"
        raise ValueError(msg)
    if n_events is not None:
        if n_events < len(hits):
            msg = f"n_events is {n_events}, but hits_per_event lists {len(hits)} events"
            raise ValueError(msg)
        spread = np.zeros(n_events, np.int64)
        spread[np.sort(rng.choice(n_events, len(hits), replace=False))] = hits
        hits = spread
    return np.diff(np.cumsum(hits) * total // max(given, 1), prepend=0)


def _triggers(per_event: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int32]:
    """Return a trigger word per event; an empty event is a random trigger."""
    on = rng.random((len(per_event), len(TRIGGER_RATES))) < TRIGGER_RATES
    words = on @ (1 << np.arange(len(TRIGGER_RATES)))
    words[words == 0] = MATRIX1
    words[per_event == 0] = NIM3
    return words.astype(np.int32)


def _baskets(offsets: NDArray[np.int64], basket_hits: int) -> Iterator[tuple[int, int]]:
    """Yield first and last event of each basket; one empty basket if there is no event."""
    last = len(offsets) - 1
    full = np.searchsorted(offsets, np.arange(basket_hits, offsets[-1], basket_hits))
    edges = np.unique([0, *full, last])
    yield from zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True) if last else [(0, 0)]


def _branches(
    layout: Layout,
    event: dict[str, NDArray[Any]],
    hits: dict[str, NDArray[Any]],
    offsets: NDArray[np.int64],
    width: int,
) -> dict[str, Any]:
    """Return the branches of one basket in the wanted layout."""
    if layout in {"save", "save-prefixed"}:
        prefix = "rawEvent/" if layout == "save-prefixed" else ""
        record = ak.contents.RecordArray([ak.contents.NumpyArray(column) for column in hits.values()], list(hits))
        named = {**event, "fAllHits": ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), record))}
        return {prefix + name: values for name, values in named.items()}
    bits = event["fTriggerBits"][:, np.newaxis] >> np.arange(10, dtype=np.int32) & 1
    out: dict[str, Any] = {name: event[f"f{name[0].upper()}{name[1:]}"] for name in ("runID", "spillID", "eventID")}
    out |= {"fpgaTriggers": bits[:, :5], "nimTriggers": bits[:, 5:]}
    for name in ("detectorID", "elementID", "tdcTime", "driftDistance"):
        if name in hits:
            column = hits[name].astype(np.int32 if name.endswith("ID") else np.float64)
            if layout == "tree":
                out[name] = ak.Array(
                    ak.contents.ListOffsetArray(ak.index.Index64(offsets), ak.contents.NumpyArray(column))
                )
            else:
                out[name] = np.full((len(offsets) - 1, width), PADDING, column.dtype)
                out[name][np.arange(width) < np.diff(offsets)[:, np.newaxis]] = column
    return out


def _make_tree(file: Any, layout: Layout, branches: dict[str, Any]) -> Any:
    """Declare a TTree (plain assignment to the file would make an RNTuple)."""
    types = {
        name: values.type.content if isinstance(values, ak.Array) else np.dtype((values.dtype, values.shape[1:]))
        for name, values in branches.items()
    }
    return file.mktree(
        "save" if layout.startswith("save") else "tree",
        types,
        field_name=lambda outer, inner: f"{outer}.{inner}",
        counter_name=_counter,
        initial_basket_capacity=100,
    )


def _counter(counted: str) -> str:
    """Name the branch of hits per event: `fAllHits` -> `nfAllHits`, the prefix kept in front."""
    head, slash, tail = counted.rpartition("/")
    return f"{head}{slash}n{tail}"
