"""Batches of showers for the training of models, in the order of the files or shuffled."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from detcore.core.handles import lease
from detcore.showers.heap import HeapReader
from detcore.showers.model import Showers
from detcore.showers.ragged import Ragged, offsets_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from detcore.showers.steps import Selection

    Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


@overload
def batches(
    paths: Paths, size: int, *, seed: int | None = None, padded: Literal[False] = False, epochs: int | None = 1,
    drop_last: bool = False, selection: Selection | None = None,
) -> Iterator[Ragged]: ...  # fmt: skip
@overload
def batches(
    paths: Paths, size: int, *, seed: int | None = None, padded: Literal[True], epochs: int | None = 1,
    drop_last: bool = False, selection: Selection | None = None,
) -> Iterator[Showers]: ...  # fmt: skip
def batches(
    paths: Paths,
    size: int,
    *,
    seed: int | None = None,
    padded: bool = False,
    epochs: int | None = 1,
    drop_last: bool = False,
    selection: Selection | None = None,
) -> Iterator[Any]:
    """Give batches of showers, read from the files when they are asked for.

    Parameters
    ----------
    paths
        A file, or several that are taken as one after the other.
    size
        Showers in a batch; the last one of an epoch may have fewer.
    seed
        None: in the order of the files. A number: shuffled over all files, in another order in each epoch, and in the
        same orders for the same seed.
    padded
        Give dense `Showers`, all with the width of the widest file, instead of `Ragged`.
    epochs
        How often all showers come; None: for ever.
    drop_last
        Leave a last batch out that has fewer showers.
    selection
        Only these showers; a `Selection` (of `Cuts`, what it says of showers).

    Returns
    -------
    iterator
        Of `Ragged`, or of `Showers`. Memory holds one batch, and what the files say of each shower without its points.

    Raises
    ------
    ValueError
        The size or the number of epochs is not positive, the files have 4 and 5 columns, or one has changed since.
    OSError, KeyError, TypeError
        A file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from detcore import showers
    >>> photons, *_ = showers.write_demo(tempfile.mkdtemp())
    >>> [len(one) for one in showers.batches(photons, 128, seed=1)]
    [128, 128, 44]
    """
    if size < 1 or (epochs is not None and epochs < 0):
        msg = (
            f"size {size} and epochs {epochs}: expected at least one shower in a batch and no negative number of epochs"
        )
        raise ValueError(msg)
    several = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    files = _Files(
        [os.fspath(path) for path in several], selection
    )  # now, so that errors do not wait for the first batch
    return _epochs(files, size, seed, epochs, padded=padded, drop_last=drop_last)


def _epochs(
    files: _Files, size: int, seed: int | None, epochs: int | None, *, padded: bool, drop_last: bool
) -> Iterator[Ragged | Showers]:
    epoch, n = 0, len(files.chosen)
    while n and (epochs is None or epoch < epochs):
        order = files.chosen if seed is None else np.random.default_rng([seed, epoch]).permutation(files.chosen)
        for start in range(0, n - size + 1 if drop_last else n, size):
            part = files.take(order[start : start + size])
            yield Showers.from_ragged(part, files.width) if padded else part
        epoch += 1
        if drop_last and n < size:
            return


class _Files:
    """Several files as one.

    Parameters
    ----------
    paths
        The files.
    selection
        Which showers are wanted; None: all.
    """

    def __init__(self, paths: list[str], selection: Selection | None) -> None:
        lengths, wanted, columns, self.width = [], [], set(), 0
        for path in paths:
            with lease(HeapReader, path) as reader:
                index = reader.index
                lengths.append(len(reader))
                if len(reader):
                    columns.add(index.columns)
                self.width = max(self.width, index.max_points)
                keep = np.ones(len(reader), np.bool_)
                if selection is not None:
                    keep = selection.chosen(index.energies.reshape(-1), index.directions, index.pdg.reshape(-1))
                wanted.append(keep)
        if len(columns) > 1:
            msg = "some files have 4 columns and others 5; they cannot be in one batch"
            raise ValueError(msg)
        self.paths, self.first = paths, offsets_of(np.array(lengths, np.int64))
        self.chosen = np.flatnonzero(np.concatenate([np.zeros(0, np.bool_), *wanted]))

    def take(self, numbers: NDArray[np.int64]) -> Ragged:
        """Return showers, numbered over all files, in the order that is asked for."""
        place = np.searchsorted(self.first, numbers, side="right") - 1
        parts, positions = [], []
        for number in np.unique(place):
            here = np.flatnonzero(place == number)
            parts.append(self._from(int(number), numbers[here] - self.first[number]))
            positions.append(here)
        together = Ragged.concatenate(parts)
        order = np.empty(len(numbers), np.int64)
        order[np.concatenate(positions)] = np.arange(len(numbers))
        return together if np.array_equal(order, np.arange(len(numbers))) else together[order]

    def _from(self, number: int, rows: NDArray[np.int64]) -> Ragged:
        path = self.paths[number]
        with lease(HeapReader, path) as reader:
            if len(reader) != self.first[number + 1] - self.first[number]:
                msg = f"{path}: has {len(reader)} showers now, which is not what it had at the beginning; begin anew"
                raise ValueError(msg)
            if len(rows) == rows[-1] - rows[0] + 1 and (np.diff(rows) == 1).all():
                return reader.ragged(int(rows[0]), int(rows[-1]) + 1)
            index, points = reader.index, [reader.shower(int(row)) for row in rows]
        return Ragged(
            np.concatenate(points), offsets_of(np.array([len(one) for one in points], np.int64)),
            index.energies.reshape(-1)[rows], index.directions[rows], index.pdg[rows], index.shower_ids[rows],
            index.max_points,
        )  # fmt: skip
