"""Rows of different lengths in HDF5 files, written without Python objects."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RECORD: Final = np.dtype([("length", np.uintp), ("place", np.uintp)])
_MEMORY = h5py.h5t.vlen_create(h5py.h5t.NATIVE_FLOAT)
WRITTEN_AT_ONCE = 1 << 20  # bytes; HDF5 copies what it writes


def write_rows(
    dataset: h5py.Dataset, start: int, values: NDArray[np.float32], starts: NDArray[Any], lengths: NDArray[Any]
) -> None:
    """Write rows one after the other into a data set of rows of different lengths.

    Parameters
    ----------
    dataset, start
        Of variable-length float32, and the first row of it to be written.
    values
        float32, contiguous; not copied.
    starts, lengths
        (row,): which value of `values`, as one long array, is the first of each row, and how many there are.
    """
    flat, n = values.reshape(-1), len(lengths)
    starts, lengths = np.asarray(starts, np.int64), np.asarray(lengths, np.int64)
    if n and (starts.min() < 0 or lengths.min() < 0 or int((starts + lengths).max()) > len(flat)):
        msg = "rows reach beyond the array that holds them"
        raise ValueError(msg)
    if not values.flags.c_contiguous or values.dtype != np.float32:
        msg = "expected a contiguous array of float32"
        raise ValueError(msg)
    records = np.empty(n, _RECORD)
    records["length"], records["place"] = lengths, flat.ctypes.data + 4 * starts
    in_file = dataset.id.get_space()
    cuts = np.searchsorted(np.cumsum(lengths), np.arange(0, 4 * int(lengths.sum()), WRITTEN_AT_ONCE)[1:] // 4)
    edges = np.unique(np.concatenate([[0], cuts, [n]])).tolist()
    for low, high in pairwise(edges):
        in_file.select_hyperslab((start + low,), (high - low,))
        dataset.id.write(h5py.h5s.create_simple((high - low,)), in_file, records[low:high], _MEMORY)
