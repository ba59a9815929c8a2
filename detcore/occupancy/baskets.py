"""Reading the columns of a ROOT tree basket by basket: positioned reads and decompression outside any lock.

uproot parses the file's directory, its tree and its types once; after that a column is a list of basket positions.
The basket layout is that of ROOT's TKey and TBasket (root.cern/doc/v630/classTBasket.html): a key header, the
content (in compressed blocks of at most 16 MB), and for entries of unequal length their offsets.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import uproot
from isal import isal_zlib

from detcore.core.source import TruncatedFile
from detcore.occupancy.kernels import unwrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_KEY = struct.Struct(">ihiIhh")  # TKey: fNbytes, version, fObjlen, fDatime, fKeylen, fCycle
_BASKET = struct.Struct(">Hiiii")  # TBasket: version, fBufferSize, fNevBufSize, fNevBuf, fLast; one flag byte follows
_BLOCK = 9  # header of a compressed block: two letters, method, compressed and raw size in three bytes each
LARGEST_BASKET = 1 << 28  # bytes; ROOT's default is 32 kB, its writers use up to some 10 MB


def _inflate(data: bytes, size: int) -> bytes:
    # Two to three times faster than zlib; bounded, because the stream may promise less than it gives.
    return bytes(isal_zlib.decompressobj().decompress(data, size + 1))


_CODECS: dict[bytes, Callable[[bytes, int], Any]] = {
    b"ZL": _inflate,
    b"XZ": lambda data, size: uproot.compression.LZMA(1).decompress(data, size),
    b"L4": lambda data, size: uproot.compression.LZ4(1).decompress(data[8:], size),  # 8 bytes of checksum first
    b"ZS": lambda data, size: uproot.compression.ZSTD(1).decompress(data, size),
}


@dataclass(frozen=True, eq=False)
class Column:
    """One branch as a list of baskets.

    Parameters
    ----------
    name
        Of the branch.
    dtype
        Of its items, big-endian as in the file.
    jagged
        Whether entries have unequal lengths.
    header_bytes
        In front of each entry (10 for a std::vector, 0 for a plain array).
    width
        Items of an entry that is not jagged.
    edges
        (basket + 1,) first entry of each basket.
    seeks, sizes
        (basket,) position and length in the file, bytes.
    raw_bytes
        Of all baskets, uncompressed.
    """

    name: str
    dtype: np.dtype[Any]
    jagged: bool
    header_bytes: int
    width: int
    edges: NDArray[np.int64]
    seeks: NDArray[np.int64]
    sizes: NDArray[np.int64]
    raw_bytes: int

    @classmethod
    def of(cls, branch: Any) -> Column | None:
        """Describe an uproot branch; None if only uproot itself can read it (objects, baskets inside the tree)."""
        kind = branch.interpretation
        jagged = isinstance(kind, uproot.interpretation.jagged.AsJagged)
        item = kind.content if jagged else kind
        plain = isinstance(item, uproot.interpretation.numerical.AsDtype) and item.from_dtype.fields is None
        baskets = branch.num_baskets
        if not plain or branch.embedded_baskets:
            return None
        seeks = np.array(branch.member("fBasketSeek")[:baskets], dtype=np.int64)
        if (seeks <= 0).any() or len(seeks) != baskets or (jagged and item.from_dtype.shape):
            return None
        base, shape = item.from_dtype.base, item.from_dtype.shape
        return cls(
            name=branch.name,
            dtype=base,
            jagged=jagged,
            header_bytes=kind.header_bytes if jagged else 0,
            width=int(np.prod(shape)) if shape else 1,
            edges=np.array(branch.entry_offsets, dtype=np.int64),
            seeks=seeks,
            sizes=np.array(branch.member("fBasketBytes")[:baskets], dtype=np.int64),
            raw_bytes=int(branch.uncompressed_bytes),
        )

    @property
    def items(self) -> float:
        """About how many items there are, from the sizes alone."""
        entries = int(self.edges[-1]) if len(self.edges) else 0
        overhead = entries * (self.header_bytes + 4 * self.jagged) + 100 * len(self.seeks)
        return max(0.0, (self.raw_bytes - overhead) / self.dtype.itemsize)

    def read(self, fd: int, start: int, stop: int) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
        """Read entries start..stop.

        Returns
        -------
        values, counts
            (item,) in native byte order; (entry,) items of each entry, None if each has `width`.

        Raises
        ------
        TruncatedFile
            The file ends inside a basket.
        ValueError
            A basket is damaged.
        """
        end = int(self.edges[-1]) if len(self.edges) else 0
        if stop > end:
            msg = f"branches of unequal length: {self.name} ends at entry {end}, expected {stop}"
            raise ValueError(msg)
        first = int(np.searchsorted(self.edges, start, "right")) - 1
        last = int(np.searchsorted(self.edges, stop, "left"))
        values: list[NDArray[Any]] = []
        counts: list[NDArray[np.int64]] = []
        for basket in range(first, last):
            low, high = int(self.edges[basket]), int(self.edges[basket + 1])
            part, lengths = self._basket(fd, basket, high - low)
            inside = slice(max(start - low, 0), min(stop, high) - low)
            if inside != slice(0, high - low):
                if lengths is None:
                    part = part[inside.start * self.width : inside.stop * self.width]
                else:
                    ends = np.concatenate([[0], np.cumsum(lengths)])
                    part, lengths = part[ends[inside.start] : ends[inside.stop]], lengths[inside]
            values.append(part)
            if lengths is not None:
                counts.append(lengths)
        if not values:
            return np.empty(0, self.dtype.newbyteorder("=")), np.empty(0, np.int64) if self.jagged else None
        joined = values[0] if len(values) == 1 else np.concatenate(values)
        return joined, np.concatenate(counts) if self.jagged else None

    def _basket(self, fd: int, basket: int, entries: int) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
        size = int(self.sizes[basket])
        stored = os.pread(fd, min(size, LARGEST_BASKET), int(self.seeks[basket]))
        if len(stored) < size:
            msg = (
                f"branch {self.name}, basket {basket}: expected {size} bytes, found {len(stored)}; the file is cut off"
            )
            raise TruncatedFile(msg)
        try:
            raw, border, key_bytes = _uncompressed(stored, entries)
            native = self.dtype.newbyteorder("=")
            if not self.jagged:
                _check(border == entries * self.width * self.dtype.itemsize, "content and number of entries differ")
                return np.frombuffer(raw, self.dtype, entries * self.width).astype(native), None
            _check(len(raw) >= border + 4 * (entries + 1), "the offsets of its entries are missing")
            offsets = np.empty(entries + 1, np.int64)
            offsets[:-1] = np.frombuffer(raw, ">i4", entries, border + 4)
            offsets[:-1] -= key_bytes
            offsets[-1] = border
            lengths = offsets[1:] - offsets[:-1] - self.header_bytes
            whole = (lengths >= 0).all() and not (lengths % self.dtype.itemsize).any() and offsets[0] >= 0
            _check(bool(whole) and border <= len(raw), "its entry offsets are out of order")
        except Exception as error:  # noqa: BLE001 - the codecs' errors have no common base
            msg = f"branch {self.name}, basket {basket} at byte {self.seeks[basket]} is damaged: {error}"
            raise ValueError(msg) from None
        lengths //= self.dtype.itemsize
        if self.header_bytes == 0:
            return np.frombuffer(raw, self.dtype, int(lengths.sum()), int(offsets[0])).astype(native), lengths
        content = np.empty(int(lengths.sum()) * self.dtype.itemsize, np.uint8)
        unwrap(np.frombuffer(raw, np.uint8), offsets, self.header_bytes, content)
        return content.view(self.dtype).astype(native), lengths


def _check(fine: bool, otherwise: str) -> None:
    if not fine:
        raise ValueError(otherwise)


def _uncompressed(stored: bytes, entries: int) -> tuple[bytes | memoryview, int, int]:
    """Return a basket's raw bytes, where its content ends, and the length of its key."""
    n_bytes, _, object_bytes, _, key_bytes, _ = _KEY.unpack_from(stored)
    _check(
        _KEY.size + _BASKET.size < key_bytes <= len(stored) and n_bytes == len(stored), "its key has impossible sizes"
    )
    _check(0 <= object_bytes <= LARGEST_BASKET, f"it claims {object_bytes} bytes")
    *_, found, last = _BASKET.unpack_from(stored, key_bytes - _BASKET.size - 1)
    _check(found == entries, f"it has {found} entries, the tree says {entries}")
    border = last - key_bytes
    _check(0 <= border <= object_bytes, "its content ends outside of it")
    if object_bytes == n_bytes - key_bytes:
        return memoryview(stored)[key_bytes:], border, key_bytes
    blocks, position, length = [], key_bytes, 0
    while length < object_bytes:
        head = stored[position : position + _BLOCK]
        _check(len(head) == _BLOCK and head[:2] in _CODECS, f"unknown compression {head[:2]!r}")
        packed, size = int.from_bytes(head[3:6], "little"), int.from_bytes(head[6:9], "little")
        position += _BLOCK
        _check(position + packed <= len(stored), "a compressed block ends outside of it")
        block = _CODECS[head[:2]](stored[position : position + packed], size)
        _check(len(block) == size, f"a block of {size} bytes gave {len(block)}")
        blocks.append(block)
        position += packed
        length += size
    _check(length == object_bytes, f"expected {object_bytes} bytes, its blocks gave {length}")
    return blocks[0] if len(blocks) == 1 else b"".join(blocks), border, key_bytes
