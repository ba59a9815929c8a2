"""A step turns a chunk into a chunk, row by row: a filter, a calibration."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from detcore.core.parameters import Parameters

if TYPE_CHECKING:
    import xarray as xr


class Step(Parameters, ABC):
    """A frozen value that maps one chunk to another without looking at any other chunk.

    Because it works row by row, cutting the input elsewhere cannot change the result. Attach it with
    `Reduction.after`; equal steps in a `Together` run once.
    """

    def needs(self) -> frozenset[str]:
        """Return the columns that the step reads."""
        return frozenset()

    def gives(self) -> frozenset[str]:
        """Return the columns that the step adds."""
        return frozenset()

    @abstractmethod
    def apply(self, chunk: xr.Dataset) -> xr.Dataset:
        """Return the new chunk; the given one is not changed. A chunk of length zero must work."""
