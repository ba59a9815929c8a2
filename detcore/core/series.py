"""Rows that are kept instead of added up: the one thing that grows with the input."""

from __future__ import annotations

import numpy as np
import xarray as xr
from pydantic import Field
from typing_extensions import override

from detcore.core.accumulators import along
from detcore.core.parameters import Names
from detcore.core.reduction import Reduction
from detcore.core.schema import EVENT
from detcore.core.source import natural


class Series(Reduction):
    """Columns as they are, row after row, sorted by where the chunk comes from and by the number of the row.

    It grows with the input; `last` keeps the newest rows of a live feed. Meant for a few numbers of each row.
    Gives the columns, with the coordinates `key` and `part` (row), an index into `parts` (parts).

    Examples
    --------
    >>> def chunk(first, *values):
    ...     rows = np.arange(first, first + len(values))
    ...     return xr.Dataset({"x": ("event", list(values)), "entry": ("event", rows)}, attrs={"file": "a.root"})
    >>> from detcore.core.accumulators import total
    >>> total(Series(columns="x"), chunk(2, 30, 40), chunk(0, 10, 20)).x.values.tolist()
    [10, 20, 30, 40]
    """

    columns: Names = Field(description="What to keep", min_length=1)
    row: str = Field(EVENT, description="Dimension of the rows")
    key: str = Field("entry", description="Column with the number of the row in its part")
    part: str = Field("file", description="Attribute of a chunk: where it comes from")
    last: int | None = Field(None, description="Keep only so many rows, the last ones", gt=0)

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({*self.columns, self.key})

    @override
    def empty(self, schema: xr.Dataset) -> list[tuple[str, xr.Dataset]]:
        return [("", self._kept(schema).isel({self.row: slice(0, 0)}))]  # how the columns look when there is no row

    def _kept(self, chunk: xr.Dataset) -> xr.Dataset:
        return xr.Dataset({name: along(chunk, name, self.row).variable.copy() for name in (*self.columns, self.key)})

    def _newest(self, pieces: list[tuple[str, xr.Dataset]]) -> list[tuple[str, xr.Dataset]]:
        """Return the pieces in order, without empty ones and those that are too old."""
        pieces = [piece for piece in pieces if piece[1].sizes[self.row]]
        pieces.sort(key=lambda piece: (natural(piece[0]), int(piece[1][self.key].values[0])))
        rows = sum(piece.sizes[self.row] for _, piece in pieces)
        while self.last and rows - (oldest := pieces[0][1].sizes[self.row] if pieces else 0) >= self.last:
            pieces, rows = pieces[1:], rows - oldest
        return pieces

    @override
    def update(self, state: list[tuple[str, xr.Dataset]], chunk: xr.Dataset) -> None:
        state.append((chunk.attrs[self.part], self._kept(chunk)))

    @override
    def merge(self, state: list[tuple[str, xr.Dataset]], other: list[tuple[str, xr.Dataset]]) -> None:
        state += other[1:]
        if self.last:
            state[1:] = self._newest(state[1:])

    @override
    def finalize(self, state: list[tuple[str, xr.Dataset]]) -> xr.Dataset:
        pieces = self._newest(state[1:])
        parts = list(dict.fromkeys(part for part, _ in pieces))
        index = np.repeat(
            np.array([parts.index(part) for part, _ in pieces], np.int32), [one.sizes[self.row] for _, one in pieces]
        )
        whole = xr.concat([state[0][1], *(one for _, one in pieces)], self.row, combine_attrs="override")
        whole = whole.assign_coords({self.key: whole[self.key], "part": (self.row, index)})
        kept = whole.isel({self.row: slice(-self.last if self.last else None, None)})
        return kept.assign_coords(parts=("parts", np.array(parts, dtype=object)))
