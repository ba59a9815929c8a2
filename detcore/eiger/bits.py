"""Words of 64 bits for compiled code: counted in one instruction, and taken 32 at a time.

A `many` is a value of LLVM's vector type. It stays in registers, and what is written about one needs neither a loop
nor the checks whether arrays overlap with which a loop would begin.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, models, register_model

U = np.uint64
LANES = 32  # words of a `many`: a plane of a usual block of 32-bit pixels
PART = 4  # words in a register: 256 bits everywhere, as wider ones slow down the clock of some processors
_WORD, _FLAG = ir.IntType(64), ir.IntType(1)
_VECTOR = ir.VectorType(_WORD, PART)
_MANY = ir.ArrayType(_VECTOR, LANES // PART)


class _Many(types.Type):
    def __init__(self) -> None:
        super().__init__(name="detcore.eiger.many")


@register_model(_Many)
class _Model(models.PrimitiveModel):
    def __init__(self, manager, kind):  # type: ignore[no-untyped-def]
        super().__init__(manager, kind, _MANY)  # type: ignore[no-untyped-call]


many = _Many()


def _popcount(typingctx, word):  # type: ignore[no-untyped-def] # noqa: ARG001

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ARG001
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


def _zeros(typingctx, word):  # type: ignore[no-untyped-def] # noqa: ARG001
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ARG001
        return builder.ctlz(arguments[0], ir.Constant(_FLAG, 0))

    return types.uint64(types.uint64), generate


def _parts(builder, words):  # type: ignore[no-untyped-def]
    return [builder.extract_value(words, part) for part in range(_MANY.count)]


def _joined(builder, parts):  # type: ignore[no-untyped-def]
    words = ir.Constant(_MANY, ir.Undefined)
    for place, part in enumerate(parts):
        words = builder.insert_value(words, part, place)
    return words


def _places(context, builder, kind, array, at):  # type: ignore[no-untyped-def]
    """Return the addresses of the parts of a `many` in an array, at any word."""
    data = context.make_array(kind)(context, builder, array).data
    starts = [builder.add(at, ir.Constant(_WORD, PART * part)) for part in range(_MANY.count)]
    return [builder.bitcast(builder.gep(data, [start]), _VECTOR.as_pointer()) for start in starts]


def _load(typingctx, array, at):  # type: ignore[no-untyped-def] # noqa: ARG001
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        places = _places(context, builder, signature.args[0], *arguments)  # type: ignore[no-untyped-call]
        return _joined(builder, [builder.load(place, align=8) for place in places])  # type: ignore[no-untyped-call]

    return many(array, types.uint64), generate


def _store(typingctx, array, at, words):  # type: ignore[no-untyped-def] # noqa: ARG001
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array, at, words = arguments
        places = _places(context, builder, signature.args[0], array, at)  # type: ignore[no-untyped-call]
        for place, part in zip(places, _parts(builder, words), strict=True):  # type: ignore[no-untyped-call]
            builder.store(part, place, align=8)
        return context.get_dummy_value()

    return types.void(array, types.uint64, many), generate


def _nothing(typingctx):  # type: ignore[no-untyped-def] # noqa: ARG001
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ARG001
        return ir.Constant(_MANY, None)

    return many(), generate


def _by_parts(operation):  # type: ignore[no-untyped-def]
    """Return an intrinsic that does the same with each part of two `many`."""

    def typed(typingctx, one, other):  # type: ignore[no-untyped-def] # noqa: ARG001
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ARG001
            pairs = zip(*(_parts(builder, words) for words in arguments), strict=True)  # type: ignore[no-untyped-call]
            return _joined(builder, [operation(builder, *pair) for pair in pairs])  # type: ignore[no-untyped-call]

        return many(many, many), generate

    return intrinsic(typed)


def _call(builder, name, result, vector):  # type: ignore[no-untyped-def]
    """Call an intrinsic function of LLVM with a vector."""
    name = f"llvm.{name}.v{PART}i64"
    known = builder.module.globals.get(name)
    return builder.call(known or ir.Function(builder.module, ir.FunctionType(result, [_VECTOR]), name), [vector])


def _any(typingctx, words):  # type: ignore[no-untyped-def] # noqa: ARG001
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ARG001
        found = reduce(builder.or_, _parts(builder, arguments[0]))  # type: ignore[no-untyped-call]
        found = _call(builder, "vector.reduce.or", _WORD, found)  # type: ignore[no-untyped-call]
        return builder.icmp_unsigned("!=", found, ir.Constant(_WORD, 0))

    return types.boolean(many), generate


def _add(builder, one, two, three=None):  # type: ignore[no-untyped-def]
    """Add bits of the same weight; returns those of the sum and the carries."""
    half, carry = builder.xor(one, two), builder.and_(one, two)
    if three is None:
        return half, carry
    return builder.xor(half, three), builder.or_(carry, builder.and_(half, three))


def _ones(typingctx, words):  # type: ignore[no-untyped-def] # noqa: ARG001
    """Count after adding the parts bit by bit (Harley and Seal): most processors count a single word at a time."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ARG001
        weighed = _parts(builder, arguments[0])  # type: ignore[no-untyped-call]
        total, shift = ir.Constant(_VECTOR, None), 0
        while weighed:
            carries = []
            while len(weighed) > 1:
                taken, weighed = weighed[:3], weighed[3:]
                left, carry = _add(builder, *taken)  # type: ignore[no-untyped-call]
                weighed.append(left)
                carries.append(carry)
            count = _call(builder, "ctpop", _VECTOR, weighed[0])  # type: ignore[no-untyped-call]
            total = builder.add(total, builder.shl(count, ir.Constant(_VECTOR, [shift] * PART)))
            weighed, shift = carries, shift + 1
        return _call(builder, "vector.reduce.add", _WORD, total)  # type: ignore[no-untyped-call]

    return types.uint64(many), generate


popcount: Any = intrinsic(_popcount)
"""Number of ones in a uint64."""
_zeros_in_front: Any = intrinsic(_zeros)
load: Any = intrinsic(_load)
"""Take a `many` out of an array, from a word on; as little checked as any index: the array must be long enough."""
store: Any = intrinsic(_store)
"""Put a `many` into an array, from a word on: (array, word, many)."""
nothing: Any = intrinsic(_nothing)
"""Return a `many` without a one."""
both: Any = _by_parts(lambda builder, one, other: builder.and_(one, other))  # type: ignore[no-untyped-call]
either: Any = _by_parts(lambda builder, one, other: builder.or_(one, other))  # type: ignore[no-untyped-call]
without: Any = _by_parts(lambda builder, one, other: builder.and_(one, builder.not_(other)))  # type: ignore[no-untyped-call]
"""Ones of the first `many` where the second has none."""
any_of: Any = intrinsic(_any)
"""Whether a `many` has a one."""
ones_of: Any = intrinsic(_ones)
"""Number of ones in a `many`."""


@njit(nogil=True)
def bit_length(number):  # type: ignore[no-untyped-def]
    """Return how many bits a uint64 takes."""
    return U(64) - _zeros_in_front(number)
