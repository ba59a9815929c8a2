"""One view of both forms of showers for the kernels, and results in the form that was given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from detcore.showers.ragged import Ragged, offsets_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detcore.showers.model import Showers

Form = TypeVar("Form", "Showers", Ragged)


@dataclass(frozen=True)
class Rows:
    """Showers as rows of one table.

    Parameters
    ----------
    points
        (point, 4 or 5), read-only; the padding of the dense form is in it.
    start, stop
        (shower,), int64, read-only: where the points of each are.
    """

    points: NDArray[np.float32]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start)

    def shower_of(self, row: int) -> int:
        """Return the number of the shower that a row belongs to."""
        return int(np.searchsorted(self.stop, row, side="right"))


def rows_of(showers: Showers | Ragged) -> Rows:
    """Return what the kernels take; the points are not copied if they are contiguous."""
    if isinstance(showers, Ragged):
        return Rows(_read_only(showers.points), _read_only(showers.offsets[:-1]), _read_only(showers.offsets[1:]))
    n, width, columns = showers.points.shape
    start = np.arange(n, dtype=np.int64) * width
    points = np.ascontiguousarray(showers.points, np.float32).reshape(n * width, columns)
    return Rows(_read_only(points), _read_only(start), _read_only(start + width))


def room_for(showers: Showers | Ragged, rows: Rows) -> NDArray[np.float32]:
    """Return a table for results that are no longer than the showers: zero for the dense form, else anything."""
    return np.empty_like(rows.points) if isinstance(showers, Ragged) else np.zeros(rows.points.shape, np.float32)


def result(showers: Form, points: NDArray[np.float32], counts: NDArray[np.int64]) -> Form:
    """Return the showers with other points.

    Parameters
    ----------
    showers
        Where the rest comes from; it is copied.
    points
        (point, column) without gaps for the ragged form, else the padded rows.
    counts
        (shower,), how many of them have energy (dense) or are there (ragged).
    """
    if isinstance(showers, Ragged):
        return replace(showers, points=points, offsets=offsets_of(counts))
    made: Any = type(showers)(
        points=points.reshape(showers.points.shape),
        energies=showers.energies.copy(),
        pdg=showers.pdg.copy(),
        directions=showers.directions.copy(),
        shower_ids=showers.shower_ids.copy(),
        num_points=counts.astype(np.int32),
    )
    return cast("Form", made)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    # Kernels are compiled for one type of array, and those from files cannot be written to.
    view = np.require(array, requirements=["C", "A"]).view()
    view.flags.writeable = False
    return view
