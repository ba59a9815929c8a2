"""Stored bytes of frames: read without HDF5 wherever that is possible."""

from __future__ import annotations

import os
import stat
import threading
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.core.handles import lease
from detcore.core.source import TruncatedFile
from detcore.eiger.frametable import frame_reader

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Where:
    """What `read` needs to find frames again: data set, encoding, and (number, row, offset, size) of each frame."""

    dataset: str
    encoding: str
    decoded: bool
    dtype: str
    shape: tuple[int, int]
    channel: int
    inode: int
    frames: bytes
    times: bytes = b""

    def table(self) -> NDArray[np.int64]:
        """Return (frame, 4) int64."""
        return np.frombuffer(self.frames, np.int64).reshape(-1, 4)


class _Descriptor:
    """An open file without a library around it."""

    def __init__(self, path: str) -> None:
        # without blocking: a pipe in the place of the file must not stop a worker
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        self.number = os.open(path, flags)
        self.facts = os.fstat(self.number)
        if not stat.S_ISREG(self.facts.st_mode):
            os.close(self.number)
            msg = f"{path}: expected a regular file"
            raise OSError(msg)

    def close(self) -> None:
        os.close(self.number)


class _Spare(threading.local):
    """Memory that this thread has done with: it costs more to get fresh pages than to read into them."""

    memory: NDArray[np.uint8] | None = None


_spare = _Spare()


class _Lent:
    """Memory under an array; when the array and all its views are gone, the thread reads into it again."""

    def __init__(self, size: int) -> None:
        memory, _spare.memory = _spare.memory, None
        fits = memory is not None and size <= len(memory) <= 2 * size
        self.memory = memory if fits and memory is not None else np.empty(size, np.uint8)
        self.__array_interface__ = self.memory[:size].__array_interface__

    def __del__(self, spare: _Spare = _spare) -> None:  # as a default it outlives the module at exit
        spare.memory = self.memory


def stored(path: str, where: Where) -> NDArray[np.uint8]:
    """Return the stored bytes of frames, one after the other; what is side by side in the file is read at once."""
    lines = where.table()
    numbers, offsets, ends = lines[:, 0], lines[:, 2], np.concatenate([[0], np.cumsum(lines[:, 3])])
    payload = np.asarray(_Lent(int(ends[-1])))
    cuts = np.flatnonzero(np.diff(offsets - ends[:-1])) + 1
    with lease(_Descriptor, path) as file:
        if file.facts.st_ino != where.inode:
            msg = "was replaced by another file while it was read; read it again"
            raise ValueError(msg)
        for low, high in pairwise([0, *cuts.tolist(), len(lines)]):
            _fill(file.number, payload[ends[low] : ends[high]].data, int(offsets[low]), int(numbers[low]))
    return payload


def _fill(descriptor: int, view: memoryview, offset: int, number: int) -> None:
    done = 0
    while done < len(view):
        n = os.preadv(descriptor, [view[done:]], offset + done)
        if not n:
            msg = (
                f"frame {number} and after: expected {len(view)} bytes at {offset}, found {done}; "
                "the file is cut off, copy it again"
            )
            raise TruncatedFile(msg)
        done += n


def decoded(path: str, where: Where) -> NDArray[np.uint8]:
    """Return frames as HDF5 decodes them, little-endian and unsigned."""
    lines = where.table()
    result = np.empty((len(lines), *where.shape), np.dtype(where.dtype).newbyteorder("<"))
    with frame_reader(path, where.dataset, where.channel, where.shape) as values_of:
        for frame, (number, row, _, _) in zip(result, lines, strict=True):
            try:
                values = values_of(int(row))
            except (OSError, RuntimeError, ValueError) as error:
                msg = f"frame {number} cannot be decoded: {' '.join(str(error).split())[:200]}"
                raise ValueError(msg) from error
            frame[...] = _counts(values, np.dtype(where.dtype), int(number))
    return result.reshape(-1).view(np.uint8)


def _counts(values: NDArray[Any], dtype: np.dtype[Any], number: int) -> NDArray[Any]:
    """Return values as unsigned ones of at most 32 bits; negative ones mean that there is no value: all ones."""
    if values.dtype.kind == "u" and values.dtype.itemsize == dtype.itemsize:
        return values
    none = np.iinfo(dtype).max
    empty = (values < 0) | (values == np.iinfo(values.dtype).max)
    if values.dtype.itemsize > dtype.itemsize and ((values >= none) & ~empty).any():
        msg = f"frame {number} holds values above {none - 1}, found {values[~empty].max()}; they do not fit {dtype}"
        raise ValueError(msg)
    return np.asarray(np.where(empty, none, values).astype(dtype))
