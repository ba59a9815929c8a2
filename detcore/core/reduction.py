"""Reductions: what is accumulated over chunks, and the laws that make it safe to cut, spread and merge the work.

The laws, for any reduction ``r``, with ``reduce(chunks)`` = update an empty state with each chunk, then finalize:

- *identity*: merging an empty state changes nothing;
- *associativity* and *commutativity* of ``merge``;
- *any chunking gives the same answer*: cutting the input elsewhere, in any order, over any number of states;
- ``update`` never changes its chunk;
- ``finalize`` is pure, and what it returned is not changed by later updates;
- a state can be pickled.

They are compared on finalized results, exactly for integers. A state has one owner: it is handed over, never shared.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import xarray as xr
from pydantic import SerializeAsAny, model_validator
from typing_extensions import override

from detcore.core.parameters import Parameters
from detcore.core.steps import Step

if TYPE_CHECKING:
    from typing import Self

State = Any
"""Whatever a reduction accumulates: picklable, owned by one worker at a time."""


class Reduction(Parameters, ABC):
    """A frozen value with four methods. Its fields are its parameters."""

    @abstractmethod
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        """Return the columns to read, given a chunk of length zero."""

    @abstractmethod
    def empty(self, schema: xr.Dataset) -> State:
        """Return the state of no data."""

    @abstractmethod
    def update(self, state: State, chunk: xr.Dataset) -> None:
        """Add a chunk to the state, in place."""

    @abstractmethod
    def merge(self, state: State, other: State) -> None:
        """Add another state to the state, in place; `other` is used up."""

    @abstractmethod
    def finalize(self, state: State) -> xr.Dataset:
        """Return the labelled result; it shares no memory with the state."""

    def after(self, *steps: Step) -> Reduction:
        """Return this reduction behind some steps (none: itself)."""
        return After(steps=steps, reduction=self) if steps else self


class After(Reduction):
    """A reduction that sees its chunks through steps."""

    steps: tuple[SerializeAsAny[Step], ...]
    reduction: SerializeAsAny[Reduction]

    def _through(self, chunk: xr.Dataset) -> xr.Dataset:
        for step in self.steps:
            chunk = step.apply(chunk)
        return chunk

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        needed = self.reduction.needs(self._through(schema))
        for step in reversed(self.steps):
            needed = (needed - step.gives()) | step.needs()
        return needed

    @override
    def empty(self, schema: xr.Dataset) -> State:
        return self.reduction.empty(self._through(schema))

    @override
    def update(self, state: State, chunk: xr.Dataset) -> None:
        self.reduction.update(state, self._through(chunk))

    @override
    def merge(self, state: State, other: State) -> None:
        self.reduction.merge(state, other)

    @override
    def finalize(self, state: State) -> xr.Dataset:
        return self.reduction.finalize(state)


class Together(Reduction):
    """Several reductions in one pass; steps that they share run once for each chunk.

    Their results are merged into one Dataset, so no two may give a variable of the same name.
    """

    reductions: tuple[SerializeAsAny[Reduction], ...]

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.reductions:
            msg = "Together needs at least one reduction"
            raise ValueError(msg)
        return self

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset().union(*(reduction.needs(schema) for reduction in self.reductions))

    @override
    def empty(self, schema: xr.Dataset) -> State:
        return [reduction.empty(schema) for reduction in self.reductions]

    @override
    def update(self, state: State, chunk: xr.Dataset) -> None:
        seen: dict[tuple[Step, ...], xr.Dataset] = {(): chunk}
        for part, reduction in zip(state, self.reductions, strict=True):
            steps, inner = (reduction.steps, reduction.reduction) if isinstance(reduction, After) else ((), reduction)
            for length in range(1, len(steps) + 1):
                if steps[:length] not in seen:
                    seen[steps[:length]] = steps[length - 1].apply(seen[steps[: length - 1]])
            inner.update(part, seen[steps])

    @override
    def merge(self, state: State, other: State) -> None:
        for mine, theirs, reduction in zip(state, other, self.reductions, strict=True):
            reduction.merge(mine, theirs)

    @override
    def finalize(self, state: State) -> xr.Dataset:
        results = [reduction.finalize(part) for part, reduction in zip(state, self.reductions, strict=True)]
        names = [name for result in results for name in result.data_vars]
        again = sorted({str(name) for name in names if names.count(name) > 1})
        if again:
            msg = f"two reductions give {again[0]!r}; rename one of them"
            raise ValueError(msg)
        return xr.merge(results, join="outer", compat="no_conflicts", combine_attrs="drop_conflicts")
