"""LZO chunks of HDF5 files: PyTables has a filter for them that its wheels lack, so they are decoded here.

The stream is LZO1X as the LZO library defines it (Linux documents it in ``Documentation/staging/lzo.rst``): every
instruction copies bytes from what was decoded before, up to 48 kB back, and then up to three new ones. A chunk is one
stream without a header. Whatever the bytes are, nothing outside of the two buffers is read or written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FLETCHER32, SHUFFLE, LZO = 3, 2, 305
"""Numbers of HDF5 filters (The HDF Group, registered filters)."""

REASONS: Final = {
    -1: "the stream ends inside of an instruction",
    -2: "it holds more bytes than the chunk has room for",
    -3: "an instruction points to before the first byte",
    -4: "bytes follow after the end mark",
}


class CorruptLzo(ValueError):
    """Bytes that are no LZO1X stream of the expected length."""


@njit("UniTuple(int64, 2)(uint8[::1], int64, int64)", cache=True, nogil=True)
def _more(block, at, length):  # type: ignore[no-untyped-def]
    """Return where an extended length ends (-1 if the stream ends before), and the length.

    Each zero byte adds 255, the byte that ends them adds itself.
    """
    n = len(block)
    while at < n and block[at] == 0:
        length += 255
        at += 1
    if at >= n:
        return -1, 0
    return at + 1, length + np.int64(block[at])


@njit("int64(uint8[::1], uint8[::1])", cache=True, nogil=True)
def _decode(block, decoded):  # type: ignore[no-untyped-def]
    """Decode a stream; return how many bytes it held, or a key of `REASONS`."""
    n, m = np.int64(len(block)), np.int64(len(decoded))
    at, done = np.int64(0), np.int64(0)
    state = np.int64(0)  # how many new bytes came with the last match; 4 after a run of them
    literals = np.int64(0)
    if n > 0 and block[0] > 17:  # only at the start: a run of new bytes whose length is in the byte itself
        literals += np.int64(block[0]) - 17
        state = min(literals, np.int64(4))
        at += 1
    while True:
        if literals:
            if at + literals > n:
                return -1
            if done + literals > m:
                return -2
            for i in range(literals):
                decoded[done + i] = block[at + i]
            at += literals
            done += literals
        if at >= n:
            return -1
        token = np.int64(block[at])
        at += 1
        literals = np.int64(0)
        if token < 16 and state == 0:  # a run of new bytes
            literals = token + 3
            if token == 0:
                at, literals = _more(block, at, np.int64(18))
                if at < 0:
                    return -1
            state = np.int64(4)
            continue
        if token >= 64 or token < 16:
            if at >= n:
                return -1
            high = np.int64(block[at])
            at += 1
            if token >= 64:  # up to 2 kB back
                length = (token >> 5) + 1
                offset = (high << 3) + ((token >> 2) & 7) + 1
            elif state == 4:  # 2 to 3 kB back, directly after a run
                length = np.int64(3)
                offset = (high << 2) + (token >> 2) + 2049
            else:
                length = np.int64(2)
                offset = (high << 2) + (token >> 2) + 1
            literals = token & 3
        else:
            short = np.int64(31) if token >= 32 else np.int64(7)
            length = (token & short) + 2
            if length == 2:
                at, length = _more(block, at, short + 2)
                if at < 0:
                    return -1
            if at + 2 > n:
                return -1
            low = np.int64(block[at]) | np.int64(block[at + 1]) << 8
            at += 2
            offset = (low >> 2) + 1
            if token < 32:  # 16 to 48 kB back; the distance 16 kB itself is the end mark
                offset += 16383 + ((token & 8) << 11)
                if offset == 16384:
                    return done if at == n else -4
            literals = low & 3
        state = literals
        if offset > done:
            return -3
        if done + length > m:
            return -2
        if offset == 1:  # the usual case in shuffled data: a run of one value
            value = decoded[done - 1]
            for i in range(length):
                decoded[done + i] = value
        else:
            for i in range(length):  # forwards: source and target may overlap
                decoded[done + i] = decoded[done - offset + i]
        done += length


@njit("void(uint8[::1], uint8[::1], int64)", cache=True, nogil=True)
def _unshuffle(planes, rows, width):  # type: ignore[no-untyped-def]
    """Undo HDF5's shuffle: byte j of element i is at j x elements + i; what fills no element is not moved."""
    n = len(planes) // width
    for j in range(width):
        for i in range(n):
            rows[i * width + j] = planes[j * n + i]
    for i in range(n * width, len(planes)):
        rows[i] = planes[i]


@njit("uint32(uint8[::1])", cache=True, nogil=True)
def _fletcher32(data):  # type: ignore[no-untyped-def]
    """Return Fletcher's checksum of big-endian 16-bit words, an odd last byte being the upper half of one."""
    first, second = np.uint64(0), np.uint64(0)
    n = len(data)
    for i in range(0, n - 1, 2):
        first += np.uint64(data[i]) << np.uint64(8) | np.uint64(data[i + 1])
        first = (first & np.uint64(0xFFFF)) + (first >> np.uint64(16))
        second += first
        second = (second & np.uint64(0xFFFF)) + (second >> np.uint64(16))
    if n % 2:
        first += np.uint64(data[n - 1]) << np.uint64(8)
        first = (first & np.uint64(0xFFFF)) + (first >> np.uint64(16))
        second += first
        second = (second & np.uint64(0xFFFF)) + (second >> np.uint64(16))
    return np.uint32(second << np.uint64(16) | first)


def decompress(block: bytes | NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    r"""Decode an LZO1X stream.

    Parameters
    ----------
    block
        The stream, with its end mark.
    size
        How many bytes it must hold.

    Returns
    -------
    NDArray[np.uint8]
        (size,), writable.

    Raises
    ------
    CorruptLzo
        It is no such stream, or holds more or fewer bytes.

    Examples
    --------
    >>> bytes(decompress(b"\x14abc\x11\0\0", 3))  # three new bytes, then the end mark
    b'abc'
    """
    decoded = np.empty(size, np.uint8)
    stream = np.frombuffer(block, np.uint8) if isinstance(block, bytes) else np.ascontiguousarray(block, np.uint8)
    wrote = _decode(_writable_kind(stream), decoded)
    if wrote != size:
        why = REASONS.get(wrote, f"it holds {wrote} bytes")
        msg = (
            f"corrupt LZO data: expected a stream of {size} bytes, but {why}; get the file anew from where it was made"
        )
        raise CorruptLzo(msg)
    return decoded


def unshuffle(planes: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """Undo HDF5's byte shuffle.

    Parameters
    ----------
    planes
        (n,) first all first bytes, then all second ones, and so on.
    width
        Bytes of an element.

    Returns
    -------
    NDArray[np.uint8]
        (n,) element after element.

    Raises
    ------
    ValueError
        The width is not positive.
    """
    if width < 1:
        msg = f"shuffled elements of {width} bytes: expected at least 1"
        raise ValueError(msg)
    rows = np.empty(len(planes), np.uint8)
    _unshuffle(_writable_kind(np.ascontiguousarray(planes, np.uint8)), rows, width)
    return rows


def undo(raw: bytes, excluded: int, filters: Sequence[tuple[int, Sequence[int]]], size: int) -> NDArray[np.uint8]:
    """Undo the filters of a chunk that HDF5 itself cannot undo.

    Parameters
    ----------
    raw
        The chunk as it is in the file.
    excluded
        Bit i is set if filter i was left out for this chunk.
    filters
        Number and parameters of each, in the order in which they were applied.
    size
        Bytes of the chunk in memory.

    Returns
    -------
    NDArray[np.uint8]
        (size,)

    Raises
    ------
    CorruptLzo
        The chunk is damaged.
    ValueError
        There is a filter besides shuffle, lzo and fletcher32.
    """
    data: Any = np.frombuffer(raw, np.uint8)
    for i in reversed(range(len(filters))):
        number, parameters = filters[i]
        if excluded >> i & 1:
            continue
        if number == FLETCHER32:
            data = _checked(data)
        elif number == LZO:
            data = decompress(data, size)
        elif number == SHUFFLE:
            data = unshuffle(data, int(parameters[0]) if len(parameters) else 0)
        else:
            msg = (
                f"chunks with HDF5 filter {number} besides LZO: expected only shuffle and fletcher32; rewrite the file"
            )
            raise ValueError(msg)
    if len(data) != size:
        msg = f"corrupt chunk: expected {size} bytes, found {len(data)}; get the file anew from where it was made"
        raise CorruptLzo(msg)
    return data  # type: ignore[no-any-return]


def _checked(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return data without its checksum."""
    if len(data) < 4 or int.from_bytes(data[-4:].tobytes(), "little") != _fletcher32(_writable_kind(data[:-4])):
        msg = "corrupt chunk: its checksum is wrong; get the file anew from where it was made"
        raise CorruptLzo(msg)
    return data[:-4]


def _writable_kind(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return data as an array of the one type that the kernels are compiled for; they do not write to it."""
    return data if data.flags.writeable else data.copy()
