"""The parts of a series that are there: which frames they hold, what their numbers are, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.core.paths import regular
from detcore.core.source import Problem
from detcore.eiger.frametable import FrameTable, table_of
from detcore.eiger.layout import Piece, pieces

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """A piece of the series whose file is there: what is stored, and where it belongs."""

    piece: Piece
    table: FrameTable
    positions: NDArray[np.int64]
    """(frame,) place of each stored frame in the file, over all its pieces."""
    numbers: NDArray[np.int64]
    """(frame,) 1-based number in the series."""
    stored: NDArray[np.int64]
    """(frame,) its line in the table."""
    lost: tuple[tuple[int, int], ...]
    """Numbers (first, last) of frames that have room in the file, and no data."""

    @property
    def native(self) -> str:
        """The type of a frame's values as a chunk gives them."""
        return unsigned(self.table.dtype)


@dataclass(frozen=True)
class Series:
    """The parts of a series that are there, and what is wrong with the others."""

    parts: tuple[Part, ...]
    problems: tuple[Problem, ...]


def unsigned(dtype: np.dtype[Any]) -> str:
    """Return the type in which a chunk gives the values: negative ones and those without value are all ones."""
    return np.dtype(f"u{min(dtype.itemsize, 4)}").name


@lru_cache(maxsize=256)
def _layout(path: str, dataset: str | None, channel: int, *state: int) -> tuple[Piece, ...]:
    """Return the pieces of a file; remembered until the file changes."""
    del state
    return tuple(pieces(path, dataset, channel))


def layout_of(path: str, dataset: str | None, channel: int) -> tuple[Piece, ...]:
    """Return where the frames are that belong to an input: in itself, or in files that may not have come yet.

    Raises
    ------
    OSError, ValueError
        The input cannot be read.
    """
    facts = regular(path)
    return _layout(path, dataset, channel, facts.st_ino, facts.st_size, facts.st_mtime_ns)


def look(inputs: list[str], dataset: str | None, channel: int) -> Series:
    """Open what is there of a series, and number its frames.

    Parameters
    ----------
    inputs
        Master or data files, one after the other.
    dataset, channel
        As for `pieces`.
    """
    parts: list[Part] = []
    problems: list[Problem] = []
    before: dict[str, int] = {}  # rows of earlier pieces of the same file
    begin = 0  # frames of earlier inputs
    for path in inputs:
        try:
            found = layout_of(path, dataset, channel)
        except Exception as error:  # noqa: BLE001 - any failure of a reader library is one line of the ledger
            problems.append(Problem.of(path, error))
            continue
        number, longest = begin, 0
        for piece in found:
            table, problem = _open(piece, path, parts[0].table if parts else None)
            if problem:
                problems.append(problem)
            if table is None:
                number += longest  # files of a series are of one length
                continue
            part = _numbered(piece, table, number, begin, before.get(piece.path, 0))
            before[piece.path] = before.get(piece.path, 0) + table.length
            number = max(number, int(part.numbers[-1]) if len(part.numbers) else 0)
            longest = max(longest, table.length)
            parts.append(part)
            problems += _lost(part)
        begin = max(number, begin)
    return Series(tuple(parts), tuple(problems))


def _open(piece: Piece, master: str, model: FrameTable | None) -> tuple[FrameTable | None, Problem | None]:
    try:
        table = table_of(piece.path, piece.dataset, piece.channel)
    except FileNotFoundError:
        reason = f"pending: {Path(master).name} links to this file, which has not come"
        return None, Problem(piece.path, reason, 0)
    except Exception as error:  # noqa: BLE001 - any failure of a reader library is one line of the ledger
        return None, Problem.of(piece.path, error)
    if model is not None and (table.shape != model.shape or unsigned(table.dtype) != unsigned(model.dtype)):
        reason = (
            f"expected frames of {model.dtype} {model.shape} as in {Path(model.path).name}, "
            f"found {table.dtype} {table.shape}; open it on its own"
        )
        return None, Problem(piece.path, reason)
    return table, None


def _numbered(piece: Piece, table: FrameTable, number: int, begin: int, before: int) -> Part:
    """Give the stored frames of a piece their numbers: the series' own, the file's, or the next ones."""
    rows = piece.rows.rows(table.length)
    if piece.place is not None:
        places = piece.place.rows(max(table.length, 1) + (piece.place.start + len(rows)) * piece.place.stride)
        rows = rows[: len(places)]
        numbers = begin + 1 + places[: len(rows)]
    else:
        first = table.first if table.first > number else number + 1
        numbers = first + np.arange(len(rows))
    at = np.searchsorted(table.rows, rows)
    there = at < len(table.rows)
    there[there] = table.rows[at[there]] == rows[there]
    return Part(piece, table, before + np.flatnonzero(there), numbers[there], at[there], _runs(numbers[~there]))


def _runs(numbers: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    """Return the first and last number of each run of consecutive numbers."""
    cuts = np.flatnonzero(np.diff(numbers) != 1) + 1
    return tuple((int(run[0]), int(run[-1])) for run in np.split(numbers, cuts) if len(run))


def _lost(part: Part) -> list[Problem]:
    if not part.lost:
        return []
    n = sum(last - first + 1 for first, last in part.lost)
    shown = ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in part.lost[:5])
    more = " and others" if len(part.lost) > 5 else ""
    why = (
        f"{part.table.beyond} of them lie beyond the end of the file, which is cut off; copy it again"
        if part.table.beyond
        else "they were never written"
    )
    return [Problem(part.table.path, f"no data for {n} frames ({shown}{more}): {why}", 0)]
