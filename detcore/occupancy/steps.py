"""Filters: which events and which hits are looked at. `Filters` is the one model that every front end shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from pydantic import Field, field_validator
from typing_extensions import override

from detcore.core.parameters import Names, Parameters, Span
from detcore.core.schema import EVENT, require
from detcore.core.steps import Step
from detcore.occupancy.kernels import count_kept, spread
from detcore.occupancy.source import DROPPED, HIT

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from detcore.occupancy.detectors import DetectorTable

TRIGGERS = ("MATRIX1", "MATRIX2", "MATRIX3", "MATRIX4", "MATRIX5", "NIM1", "NIM2", "NIM3", "NIM4", "NIM5")
"""Bits 0..9 of fTriggerBits (E1039 SRawEvent)."""
FLAGS = {"in_time": 2, "hodo_mask": 4, "trigger_mask": 8}
"""Bits of a hit's flag (E1039 SRawEvent)."""


class Flagged(Step):
    """Keeps hits with all of some flag bits."""

    bits: int

    @override
    def needs(self) -> frozenset[str]:
        return frozenset({"flag", "n_hits", "channel"})

    @override
    def apply(self, chunk: xr.Dataset) -> xr.Dataset:
        require(chunk, ["flag"], "the filter by flags")
        return keep_hits(chunk, (chunk["flag"].values & self.bits) == self.bits)


class Channels(Step):
    """Keeps hits of some detectors and of a range of elements.

    Leaves the attribute `selected` (128, 512): a channel that is not looked at must not pass for a silent one.
    """

    detector_ids: tuple[int, ...] = ()
    first: int = 1
    last: int = 511

    @override
    def needs(self) -> frozenset[str]:
        return frozenset({"n_hits", "channel"})

    @override
    def apply(self, chunk: xr.Dataset) -> xr.Dataset:
        wanted = np.zeros((128, 512), bool)
        wanted[list(self.detector_ids) or slice(None), self.first : self.last + 1] = True
        kept = keep_hits(chunk, wanted.ravel()[chunk["channel"].values])
        kept.attrs["selected"] = wanted & chunk.attrs.get("selected", True)
        return kept


class EventSpan(Step):
    """Keeps events whose number (column `column`) is in a range, ends included."""

    column: str
    first: int
    last: int

    @override
    def needs(self) -> frozenset[str]:
        return frozenset({self.column})

    @override
    def apply(self, chunk: xr.Dataset) -> xr.Dataset:
        require(chunk, [self.column], f"the filter by {self.column}")
        numbers = chunk[self.column].values
        return keep_events(chunk, (numbers >= self.first) & (numbers <= self.last))


class Triggered(Step):
    """Keeps events in which one of some trigger bits is set."""

    bits: int

    @override
    def needs(self) -> frozenset[str]:
        return frozenset({"trigger_bits"})

    @override
    def apply(self, chunk: xr.Dataset) -> xr.Dataset:
        require(chunk, ["trigger_bits"], "the filter by triggers")
        return keep_events(chunk, (chunk["trigger_bits"].values & self.bits) != 0)


class Filters(Parameters):
    """Which events and hits are counted; by default all.

    Event filters remove events from every number. Hit filters remove hits; their events still count.
    """

    in_time: bool = Field(False, description="Only hits that are flagged in time")
    hodo_mask: bool = Field(False, description="Only hits that pass the hodoscope mask")
    trigger_mask: bool = Field(False, description="Only hits that pass the trigger mask")
    triggers: Names = Field((), description="Only events with one of these trigger bits: MATRIX1..5, NIM1..5")
    spills: Span = Field(None, description="Only these spills, ends included")
    events: Span = Field(None, description="Only these event numbers, ends included")
    planes: Names = Field((), description="Only these detectors, by name or id")
    elements: Span = Field(None, description="Only these elements, ends included")

    @field_validator("triggers")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in TRIGGERS]
        if unknown:
            msg = f"no trigger {unknown[0]!r}; there are {', '.join(TRIGGERS)}"
            raise ValueError(msg)
        return names

    def steps(self, table: DetectorTable) -> tuple[Step, ...]:
        """Return the steps for a detector table, events first.

        Raises
        ------
        ValueError
            A detector is not in the table.
        """
        steps: list[Step] = []
        if self.spills:
            steps.append(EventSpan(column="spill_id", first=self.spills[0], last=self.spills[1]))
        if self.events:
            steps.append(EventSpan(column="event_id", first=self.events[0], last=self.events[1]))
        if self.triggers:
            steps.append(Triggered(bits=sum(1 << TRIGGERS.index(name) for name in set(self.triggers))))
        if bits := sum(bit for name, bit in FLAGS.items() if getattr(self, name)):
            steps.append(Flagged(bits=bits))
        if self.planes or self.elements:
            first, last = self.elements or (1, 511)
            ids = tuple(sorted({detector_id(name, table) for name in self.planes}))
            steps.append(Channels(detector_ids=ids, first=max(first, 1), last=min(last, 511)))
        return tuple(steps)

    def words(self) -> str:
        """Return the cut in words, for a title; empty when everything is counted."""
        parts = [name.replace("_", " ") for name in FLAGS if getattr(self, name)]
        parts += [f"trigger {' or '.join(self.triggers)}"] if self.triggers else []
        parts += [
            f"{name} {text}" for name, text in self.to_query().items() if name in {"spills", "events", "elements"}
        ]
        parts += [f"planes {', '.join(self.planes)}"] if self.planes else []
        return "; ".join(parts)


def detector_id(name: str, table: DetectorTable) -> int:
    """Return the id of a detector given by name or id.

    Raises
    ------
    ValueError
        There is no such detector.
    """
    if name in table.by_name:
        return table.by_name[name].detector_id
    if name.isdecimal() and 1 <= int(name) <= 127:
        return int(name)
    msg = f"no detector {name!r}; there are {', '.join(table.by_name)}"
    raise ValueError(msg)


def keep_hits(chunk: xr.Dataset, keep: NDArray[np.bool_]) -> xr.Dataset:
    """Return the chunk with only some hits; events stay. keep is (hit,)."""
    kept = np.zeros(chunk.sizes[EVENT], np.int32)
    count_kept(keep, chunk["n_hits"].values, kept)
    return _rebuilt(chunk, {EVENT: None, HIT: keep, DROPPED: None}, {"n_hits": kept})


def keep_events(chunk: xr.Dataset, keep: NDArray[np.bool_]) -> xr.Dataset:
    """Return the chunk with only some events and what belongs to them. keep is (event,)."""
    per_dimension: dict[str, NDArray[np.bool_] | None] = {EVENT: keep, HIT: None, DROPPED: None}
    for counts, dimension in (("n_hits", HIT), ("n_dropped", DROPPED)):
        if counts in chunk and dimension in chunk.sizes:
            wanted = np.empty(chunk.sizes[dimension], np.bool_)
            spread(keep, chunk[counts].values, wanted)
            per_dimension[dimension] = wanted
    return _rebuilt(chunk, per_dimension, {})


def _rebuilt(
    chunk: xr.Dataset, keep: dict[str, NDArray[np.bool_] | None], replaced: dict[str, NDArray[Any]]
) -> xr.Dataset:
    data: dict[str, Any] = {}
    for name, variable in chunk.variables.items():
        wanted = keep.get(str(variable.dims[0])) if variable.dims else None
        values = replaced.get(str(name), variable.values)
        data[str(name)] = (variable.dims, values if wanted is None else values[wanted], variable.attrs)
    return xr.Dataset(data, attrs=dict(chunk.attrs))
