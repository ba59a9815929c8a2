"""Rows of different lengths in HDF5 files, read from the heap of the file directly.

In the file a row is a reference: number of values (u32), address of a collection (u64), number of an object in it (u32).
A collection is "GCOL", version 1, its size (u64), then objects: number (u16), use count (u16), 4 bytes, size (u64), and
data padded to 8 bytes; number 0 is free space, whose size includes its header. Source: HDF5 File Format Specification
version 3.0, section III.E "Disk Format: Level 1E - Global Heap".
"""

from __future__ import annotations

import os
import stat
import threading
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import h5py
import numpy as np
from numba import njit

from detcore.core.source import TruncatedFile

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

_FIRST: Final = np.zeros(1, np.int64)
BLOCK = 2 << 20  # bytes that are read at once; stays in the cache of a core
PAGE = 4096  # bytes; no collection is smaller
REFERENCE = np.dtype([("length", "<u4"), ("address", "<u8"), ("number", "<u4")])
FINE, MORE, SIGNATURE, BEYOND, OVERLAP, OBJECT, MISSING, SHORT, NEGATIVE, PADDING = range(10)
_WORDS: Final = {
    SIGNATURE: "there is no collection of the heap at byte {0}",
    BEYOND: "the collection of the heap at byte {0} has {1} bytes and ends behind the file",
    OVERLAP: "the collection of the heap at byte {0} overlaps the one before it",
    OBJECT: "the collection of the heap at byte {0} holds an object of impossible size {1}",
    MISSING: "the collection of the heap at byte {0} has no object {1}",
    SHORT: "an object of the heap at byte {0} has {1} bytes, fewer than its row",
}


@njit(cache=True, nogil=True)
def _number(block, at, size):  # type: ignore[no-untyped-def]
    value = np.uint64(0)
    for i in range(size):
        value |= np.uint64(block[at + i]) << np.uint64(8 * i)
    return np.int64(value)


@njit(cache=True, nogil=True)
def _collect(block, base, end, references, first, out, words, targets, room, columns, table, stamp, state):  # type: ignore[no-untyped-def]
    """Copy rows out of a block of the file for as long as their collections lie in it.

    Parameters
    ----------
    block, base, end
        (byte,) uint8, where it begins in the file, and how long the file is.
    references
        (row, 3) int64: address, number of the object, number of values; in the order of address and number.
    first
        Row to begin with.
    out, words, targets, room
        What is written, as (byte,) uint8 and as (value,) uint32; where each row goes, and how many values it may have
        there, (row,) int64.
    columns
        Of shower points, which are checked: the fourth is an energy. 0: anything.
    table, stamp
        (65536,) int64, kept from call to call: place of each object, and of which collection.
    state
        (6,) int64: fault, two numbers about it, the count of collections, the end of the last one, its address.

    Returns
    -------
    int
        The row that comes next.
    """
    length = len(block)
    current, begin, size = np.int64(-1), np.int64(0), np.int64(0)
    for row in range(first, len(references)):
        address, number, values = references[row]
        if address != current:
            begin = address - base
            state[1] = address
            if address + 16 > end:
                state[0], state[2] = BEYOND, 16
                return row
            if begin + 16 > length:
                state[0], state[2] = MORE, 16
                return row
            # "GCOL" and version 1
            if _number(block, begin, 5) != 0x014C4F4347:
                state[0] = SIGNATURE
                return row
            size = _number(block, begin + 8, 8)
            if size < 16 or size > end - address:
                state[0], state[2] = BEYOND, size
                return row
            if address < state[4] and address != state[5]:
                state[0] = OVERLAP
                return row
            if begin + size > length:
                state[0], state[2] = MORE, size
                return row
            state[3] += 1
            state[4], state[5] = address + size, address
            at, stop = begin + 16, begin + size
            while at + 16 <= stop:
                found, needed = _number(block, at, 2), _number(block, at + 8, 8)
                if needed < 0 or needed > stop - at or (found == 0 and needed < 16):
                    state[0], state[2] = OBJECT, needed
                    return row
                if found:
                    table[found], stamp[found] = at, state[3]
                    at += 16 + (needed + 7) // 8 * 8
                else:
                    at += needed
            current = address
        if number < 1 or number > 65535 or stamp[number] != state[3]:
            state[0], state[2] = MISSING, number
            return row
        at = table[number]
        held = _number(block, at + 8, 8)
        at += 16
        if held < 4 * values or at + 4 * values > begin + size:
            state[0], state[2] = SHORT, held
            return row
        n = np.uint64(4 * min(values, room[row]))
        source, target = np.uint64(at), np.uint64(4 * targets[row])
        for i in range(n):
            out[target + i] = block[source + i]
        if columns:
            real, here = False, np.uint64(targets[row] + 3)
            for point in range(min(values, room[row]) // columns):
                # Bits of a float32: the sign is the topmost, infinity is 0x7f800000, what is above is not a number.
                bits = words[here]
                here += np.uint64(columns)
                if bits > 0x80000000 and bits <= 0xFF800000:
                    state[0], state[2] = NEGATIVE, row
                    return row
                above = bits > 0 and bits <= 0x7F800000
                if point == 0:
                    real = above
                elif above and not real:
                    state[0], state[2] = PADDING, row
                    return row
    state[0] = FINE
    return len(references)


class Descriptor:
    """An open file without a library around it.

    Parameters
    ----------
    path
        A regular file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # without blocking: a pipe in the place of the file must not stop anybody
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        self.path = os.fspath(path)
        self.number = os.open(path, flags)
        self.facts = os.fstat(self.number)
        if not stat.S_ISREG(self.facts.st_mode):
            os.close(self.number)
            msg = f"{self.path}: expected a regular file"
            raise OSError(msg)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the file."""
        if self.number >= 0:
            os.close(self.number)
            self.number = -1

    def read(self, into: NDArray[np.uint8], offset: int) -> None:
        """Fill an array of bytes from a place on.

        Raises
        ------
        TruncatedFile
            The file is shorter.
        """
        view, done = memoryview(into.data), 0
        while done < len(view):
            n = os.preadv(self.number, [view[done:]], offset + done)
            if not n:
                msg = f"{self.path}: expected {len(view)} bytes at {offset}, found {done}; the file is cut off, copy it again"
                raise TruncatedFile(msg)
            done += n


@dataclass(frozen=True, eq=False, slots=True)
class References:
    """Where the rows of a data set are.

    Parameters
    ----------
    table
        (row, 3) int64: address of the collection, number of the object, number of values.
    """

    table: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Values of each row."""
        return self.table[:, 2]


def references_of(file: h5py.File, dataset: h5py.Dataset, descriptor: Descriptor) -> References | None:
    """Return where the rows of a data set are, or None if only HDF5 can read it.

    Parameters
    ----------
    file, dataset
        Open; what a writer in the same process has not yet written is written.
    descriptor
        The same file.

    Raises
    ------
    TruncatedFile
        The references lie behind the end of the file.
    ValueError
        The rows would be larger than the file.
    """
    kind = dataset.id.get_type()
    plist = dataset.id.get_create_plist()
    simple = (
        dataset.ndim == 1
        and isinstance(kind, h5py.h5t.TypeVlenID)
        and kind.get_super() == h5py.h5t.IEEE_F32LE
        and plist.get_layout() == h5py.h5d.CONTIGUOUS
        and not plist.get_external_count()
        and file.userblock_size == 0
        and file.driver == "sec2"
        and tuple(file.id.get_create_plist().get_sizes()) == (8, 8)
    )
    if not simple:
        return None
    if file.id.get_intent() != h5py.h5f.ACC_RDONLY:
        file.flush()
    n, offset = int(dataset.shape[0]), dataset.id.get_offset()
    if offset is None:
        return References(np.zeros((n, 3), np.int64)) if n <= 1 << 28 else None
    end = os.fstat(descriptor.number).st_size
    if offset + n * REFERENCE.itemsize > end:
        msg = f"{descriptor.path}: {n} references at byte {offset} end behind the file ({end} bytes); copy it again"
        raise TruncatedFile(msg)
    stored = np.empty(n, REFERENCE)
    descriptor.read(stored.view(np.uint8), offset)
    table = np.stack([stored["address"].view(np.int64), stored["number"], stored["length"]], axis=1).astype(np.int64)
    if 4 * int(table[:, 2].sum()) > end:
        msg = f"{descriptor.path}: the rows of {dataset.name} claim more bytes than the file has ({end}); it is damaged"
        raise ValueError(msg)
    if ((table[:, 0] < 0) & (table[:, 2] > 0)).any():
        msg = f"{descriptor.path}: rows of {dataset.name} lie at impossible places; the file is damaged"
        raise ValueError(msg)
    return References(np.ascontiguousarray(table))


class _Room(threading.local):
    """Memory of a thread that is used again and again: a single shower is read in less time than making it takes."""

    def __init__(self) -> None:
        self.marks = np.empty(1 << 16, np.int64)
        self.stamp = np.zeros(1 << 16, np.int64)
        self.state = np.zeros(6, np.int64)
        self.scratch = np.empty(0, np.uint8)


@cache
def _room() -> _Room:
    return _Room()


def gather(
    descriptor: Descriptor,
    table: NDArray[np.int64],
    out: NDArray[np.float32],
    starts: NDArray[np.int64],
    room: NDArray[np.int64] | None = None,
    columns: int = 0,
) -> None:
    """Copy rows from the heap of a file.

    Parameters
    ----------
    descriptor
        The file.
    table
        (row, 3): part of `References.table`.
    out
        Written; contiguous.
    starts
        (row,) int64: which value of `out`, as one long array, is the first of each row.
    room
        (row,) int64: how many values a row may have in `out`; None: all that it has.
    columns
        4 or 5 for points of showers, which are checked; 0: anything.

    Raises
    ------
    TruncatedFile
        The file ends before a row does.
    ValueError
        The heap is damaged, or points are not those of showers.
    """
    if len(table) == 1:  # a single shower is asked for often
        if table[0, 2] <= 0:
            return
        rows, references = _FIRST, table
    else:
        rows = np.flatnonzero(table[:, 2] > 0)
        if not len(rows):
            return
        references = table[rows]
    if len(rows) > 1 and (np.diff(references[:, 0]) < 0).any():
        order = np.argsort(references[:, 0], kind="stable")
        rows, references = rows[order], references[order]
    room = table[:, 2] if room is None else room
    targets, room = np.asarray(starts, np.int64)[rows], np.asarray(room, np.int64)[rows]
    words = out.reshape(-1).view(np.uint32)
    written = words.view(np.uint8)
    if room.min() < 0 or targets.min() < 0 or (targets + np.minimum(room, references[:, 2])).max() > len(words):
        msg = "rows do not fit the array they are to be read into"
        raise ValueError(msg)
    end, last = os.fstat(descriptor.number).st_size, _end_of(references[-1])
    room_of = _room()
    marks, stamp, state, scratch = room_of.marks, room_of.stamp, room_of.state, room_of.scratch
    state[4:] = -1  # no collection came before
    row = wanted = 0
    while row < len(references):
        base = int(references[row, 0])
        size = max(wanted, _end_of(references[row]) - base, min(BLOCK, last - base))
        size = max(min(size, end - base), 0)
        if size > len(scratch):
            scratch = np.empty(size, np.uint8)
            if size <= BLOCK:
                room_of.scratch = scratch
        block = scratch[:size]
        if size >= 16:
            descriptor.read(block, base)
        row = _collect(block, base, end, references, row, written, words, targets, room, columns, marks, stamp, state)
        if state[0] not in {FINE, MORE} or (state[0] == MORE and size == end - base):
            _refuse(descriptor.path, state)
        wanted = int(state[2]) if state[0] == MORE and state[1] == base else 0


def _end_of(reference: NDArray[np.int64]) -> int:
    """Return where a collection ends, if it holds nothing but this row."""
    return int(reference[0]) + max(PAGE, -(-(4 * int(reference[2]) + 64) // 8) * 8)


def _refuse(path: str, state: NDArray[np.int64]) -> None:
    fault = int(state[0])
    if fault == NEGATIVE:
        msg = "Point energies must be non-negative."
        raise ValueError(msg)
    if fault == PADDING:
        msg = "Padding should be in the end of the shower points."
        raise ValueError(msg)
    if fault == MORE:
        msg = f"{path}: ends before the heap at byte {int(state[1])} does; copy it again"
        raise TruncatedFile(msg)
    words = _WORDS[fault].format(int(state[1]), int(state[2]))
    msg = f"{path}: {words}; the file is damaged, copy it again"
    raise (TruncatedFile if fault == BEYOND else ValueError)(msg)
