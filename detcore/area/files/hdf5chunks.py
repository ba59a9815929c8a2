"""Stored chunks of HDF5 data sets, decoded outside of the lock that all HDF5 files share.

For plain, shuffled and deflated frames, which the HDF5 library would decode one thread at a time and three times slower;
what other filters made is left to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np
from isal import isal_zlib

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFLATE: Final = h5py.h5z.FILTER_DEFLATE
SHUFFLE: Final = h5py.h5z.FILTER_SHUFFLE
DAMAGED: Final[Any] = isal_zlib.error  # made in C: no type is known


def raw_chunks(item: h5py.Dataset, first: int, stop: int) -> tuple[list[bytes], tuple[int, ...]] | None:
    """Return the stored bytes of the chunks with rows `first` to `stop`, and their filters; None if HDF5 has to do it.

    Parameters
    ----------
    item
        (frame, …); chunks of whole frames.
    first, stop
        Rows, half-open.
    """
    chunks = item.chunks
    if item.is_virtual or chunks is None or chunks[1:] != item.shape[1:]:
        return None
    made = item.id.get_create_plist()
    filters = tuple(int(made.get_filter(i)[0]) for i in range(made.get_nfilters()))
    if DEFLATE not in filters or filters not in {(DEFLATE,), (SHUFFLE, DEFLATE)}:
        return None
    rest = (0,) * (item.ndim - 1)
    found = []
    for row in range(first // chunks[0] * chunks[0], stop, chunks[0]):
        skipped, raw = item.id.read_direct_chunk((row, *rest))
        if skipped:
            return None
        found.append(raw)
    return found, filters


def decoded(raw: bytes, filters: tuple[int, ...], shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the values of one chunk.

    Raises
    ------
    OSError
        The bytes are damaged, or fewer or more than the chunk has.
    """
    size = int(np.prod(shape)) * dtype.itemsize
    try:
        plain = isal_zlib.decompressobj().decompress(raw, size)
    except DAMAGED as error:
        msg = f"damaged: {error}"
        raise OSError(msg) from None
    if len(plain) != size:
        msg = f"damaged: {len(plain)} bytes in a chunk of {size}"
        raise OSError(msg)
    if SHUFFLE in filters and dtype.itemsize > 1:
        planes = np.frombuffer(plain, np.uint8).reshape(dtype.itemsize, -1)
        mixed = np.empty((planes.shape[1], dtype.itemsize), np.uint8)
        for byte in range(dtype.itemsize):
            mixed[:, byte] = planes[byte]
        return mixed.reshape(-1).view(dtype).reshape(shape)
    return np.frombuffer(plain, dtype).reshape(shape)
