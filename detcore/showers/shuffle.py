"""Puts the showers of several files into one file in random order, a batch in memory at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from detcore.showers.heap import HeapReader
from detcore.showers.ragged import Ragged
from detcore.showers.rewrite import common_attributes, new_file, shape_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


def shuffled_order(counts: Sequence[int], seed: int | None = None, batch_size: int = 1000) -> NDArray[np.int64]:
    """Return which shower of which file comes where.

    Parameters
    ----------
    counts
        Showers of each file.
    seed
        Equal seeds give equal orders for equal batch sizes; the order is that of the original library. None: a new one.
    batch_size
        Showers at once.

    Returns
    -------
    ndarray
        (shower, 2): number of the file and number of the shower in it.
    """
    rng = np.random.RandomState(seed)
    total = int(sum(counts))
    file = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    everything = np.stack([file, number], axis=1)[rng.permutation(total)]
    for start in range(0, total, batch_size):
        batch = everything[start : start + batch_size]
        # A batch is read file by file, files in the order in which they occur, rows rising; then it is shuffled again.
        _, first, which = np.unique(batch[:, 0], return_index=True, return_inverse=True)
        batch = batch[np.lexsort((batch[:, 1], first[which]))]
        everything[start : start + batch_size] = batch[rng.permutation(len(batch))]
    return everything


def shuffle_files(
    paths: Sequence[str | os.PathLike[str]],
    target: str | os.PathLike[str],
    *,
    seed: int | None = None,
    overwrite: bool = False,
    first: int | None = None,
    batch_size: int = 1000,
    overwrite_ids: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[int, int, int]:
    """Write the showers of several files into a new one in random order.

    Parameters
    ----------
    paths
        Shower files with equal numbers of columns.
    target
        The new file, which appears when it is complete.
    seed
        See `shuffled_order`.
    overwrite
        Replace `target` if it exists.
    first
        Take only so many showers from the start of each file.
    batch_size
        Showers at once.
    overwrite_ids
        Number the showers anew, from 0; without it numbers can occur more than once.
    progress
        Called with showers done, their number, and words.

    Returns
    -------
    tuple of int
        Shape of the new file: showers, width of the widest file, columns.

    Raises
    ------
    FileExistsError
        `target` exists, or is one of the inputs.
    ValueError
        There is no shower, or files have 4 and 5 columns.
    """
    shapes = [shape_of(path) for path in paths]
    counts = [shape[0] if first is None else min(first, shape[0]) for shape in shapes]
    columns = {shape[2] for shape in shapes}
    if len(columns) > 1:
        names = ", ".join(f"{path}: {shape[2]}" for path, shape in zip(paths, shapes, strict=True))
        msg = f"expected files with equal columns, found {names}; showers with and without time cannot be put together"
        raise ValueError(msg)
    if not sum(counts):
        msg = "No showers to process!"
        raise ValueError(msg)
    order = shuffled_order(counts, seed, batch_size)
    shape = (len(order), max(shape[1] for shape in shapes), columns.pop())
    attributes = common_attributes(paths)
    with new_file(target, shape, attributes, sources=paths, overwrite=overwrite) as writer:
        readers: dict[int, HeapReader] = {}
        try:
            for start in range(0, len(order), batch_size):
                part = _taken(paths, order[start : start + batch_size], readers)
                if overwrite_ids:
                    ids = np.arange(start, start + len(part), dtype=np.int32)
                    part = replace(part, shower_ids=ids)
                writer.append(part)
                if progress is not None:
                    progress(start + len(part), len(order), "")
        finally:
            for reader in readers.values():
                reader.close()
    return shape


def _taken(paths: Sequence[str | os.PathLike[str]], order: NDArray[np.int64], readers: dict[int, HeapReader]) -> Ragged:
    """Return showers in the order of (file, number); files stay open for the next batch."""
    parts, places = [], []
    for file in np.unique(order[:, 0]).tolist():
        at = np.flatnonzero(order[:, 0] == file)
        if file not in readers:
            readers[file] = HeapReader(paths[file])
        parts.append(_picked(readers[file], order[at, 1]))
        places.append(at)
    together = Ragged.concatenate(parts)
    return together[np.argsort(np.concatenate(places))]


def _picked(reader: HeapReader, numbers: NDArray[np.int64]) -> Ragged:
    index = reader.index
    showers = [reader.shower(number) for number in numbers.tolist()]
    return Ragged.build(
        np.concatenate(showers),
        [len(shower) for shower in showers],
        index.energies.reshape(-1)[numbers],
        index.directions[numbers],
        index.pdg[numbers],
        index.shower_ids[numbers],
        index.max_points,
    )
