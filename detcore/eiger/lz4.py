"""LZ4 blocks: the decoder that comes with hdf5plugin, called from compiled code, or one of our own.

Kernels get the address of a decoder as an argument. So neither a symbol nor a library is made known to the whole
process (that would break a later ``import tables``), and what numba has cached on disk does not depend on one.
"""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, types  # type: ignore[attr-defined]
from numba.extending import intrinsic

LIBRARY = "libh5bshuf.*"  # the bitshuffle plug-in of hdf5plugin; it exports LZ4_decompress_safe


def _call(typingctx, decoder, source, target, source_bytes, target_bytes):  # type: ignore[no-untyped-def] # noqa: ARG001
    number, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
    signature = types.int32(types.uintp, types.uintp, types.uintp, types.int32, types.int32)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ARG001
        called = ir.FunctionType(number, [pointer, pointer, number, number])
        function = builder.inttoptr(arguments[0], called.as_pointer())
        places = [builder.inttoptr(one, pointer) for one in arguments[1:3]]
        return builder.call(function, [*places, *arguments[3:]])

    return signature, generate


decompress: Any = intrinsic(_call)
"""Call a decoder: (its address, address of the block, address of the result, length of the block, room for the result).

Returns how many bytes it wrote, or a negative number for a broken block. Never reads or writes beyond the lengths.
"""


@cfunc("int32(CPointer(uint8), CPointer(uint8), int32, int32)", cache=True)
def _decode(source, target, source_bytes, target_bytes):  # type: ignore[no-untyped-def]
    """Decode one block and check every step; refuses what the reference decoder refuses.

    The end of a block (LZ4 block format, end-of-block conditions): the last five bytes are literals, and the last
    match begins at least twelve bytes before the end.
    """
    block, decoded = carray(source, source_bytes), carray(target, target_bytes)
    n, m = np.int64(source_bytes), np.int64(target_bytes)
    at, done = np.int64(0), np.int64(0)
    while at < n:
        token = np.int64(block[at])
        at += 1
        length = token >> 4
        if length == 15:
            more = np.int64(255)
            while more == 255:
                if at >= n or length > m:
                    return np.int32(-1)
                more = np.int64(block[at])
                at += 1
                length += more
        if done + length > m - 12 or at + length > n - 8:
            if at + length != n or done + length > m:  # so near to an end there is no room for another match
                return np.int32(-1)
            for i in range(length):
                decoded[done + i] = block[at + i]
            return np.int32(done + length)
        for i in range(length):
            decoded[done + i] = block[at + i]
        at += length
        done += length
        offset = np.int64(block[at]) | np.int64(block[at + 1]) << 8
        at += 2
        if offset == 0 or offset > done:
            return np.int32(-1)
        length = token & 15
        if length == 15:
            more = np.int64(255)
            while more == 255:
                if at >= n or length > m:
                    return np.int32(-1)
                more = np.int64(block[at])
                at += 1
                length += more
            if at > n - 4:
                return np.int32(-1)
        length += 4
        if done + length > m - 5:
            return np.int32(-1)
        for i in range(length):  # forwards: source and target may overlap, that is how runs are written
            decoded[done + i] = decoded[done - offset + i]
        done += length
    return np.int32(-1)


def own() -> int:
    """Return the address of the decoder that is written here."""
    return int(_decode.address or 0)


@cache
def library() -> int | None:
    """Return the address of hdf5plugin's LZ4_decompress_safe; None where there is none."""
    package = find_spec("hdf5plugin")
    for folder in (package.submodule_search_locations if package else None) or ():
        for path in sorted(Path(folder).glob(f"plugins/{LIBRARY}")):
            try:
                function = ctypes.CDLL(str(path)).LZ4_decompress_safe
            except (OSError, AttributeError):  # of another system, or a build that hides its symbols
                continue
            return ctypes.cast(function, ctypes.c_void_p).value
    return None


def decoder() -> int:
    """Return the address of the faster decoder that there is."""
    return library() or own()
