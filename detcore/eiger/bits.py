"""Counting the bits of a word in one instruction, which numba has no function for."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

U = np.uint64


def _popcount(typingctx, word):  # type: ignore[no-untyped-def] # noqa: ARG001

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ARG001
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


def _zeros(typingctx, word):  # type: ignore[no-untyped-def] # noqa: ARG001
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ARG001
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


popcount: Any = intrinsic(_popcount)
"""Number of ones in a uint64."""
_zeros_in_front: Any = intrinsic(_zeros)


@njit(nogil=True)
def bit_length(number):  # type: ignore[no-untyped-def]
    """Return how many bits a uint64 takes."""
    return U(64) - _zeros_in_front(number)
