"""Values from outside, checked before memory is taken or anything is built from them."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, TypeVar

from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PIXELS = 1 << 28  # the largest detectors have 2^26

T = TypeVar("T")


def checked_shape(shape: Sequence[int]) -> tuple[int, int]:
    """Return (rows, columns) as whole numbers if an image of that size is reasonable.

    Raises
    ------
    ValueError
        There are not two sizes, one is below 1, or there are more than `MAX_PIXELS` pixels.

    Examples
    --------
    >>> checked_shape([512, 1024])
    (512, 1024)
    """
    sizes = tuple(map(operator.index, shape))
    if len(sizes) != 2 or min(sizes) < 1 or math.prod(sizes) > MAX_PIXELS:
        msg = f"expected the (rows, columns) of an image with 1 to {MAX_PIXELS} pixels, found {sizes}"
        raise ValueError(msg)
    return sizes[0], sizes[1]


def checked_raw_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return (rows, columns) or (modules, rows, columns) as whole numbers if a frame of that size is reasonable.

    Raises
    ------
    ValueError
        There are not two or three sizes, one is below 1, or there are more than `MAX_PIXELS` pixels.

    Examples
    --------
    >>> checked_raw_shape([16, 352, 384])
    (16, 352, 384)
    """
    sizes = tuple(map(operator.index, shape))
    if len(sizes) == 3 and min(sizes) >= 1 and math.prod(sizes) <= MAX_PIXELS:
        return sizes
    return checked_shape(sizes)


def read_model(reader: TypeAdapter[T], values: object, what: str) -> T:
    """Build a model from plain values.

    Raises
    ------
    ValueError
        With one line that says what is wrong, and where.
    """
    try:
        return reader.validate_python(values)
    except ValidationError as error:
        found = error.errors(include_url=False)
    lines = [f"{'.'.join(map(str, item['loc'][-8:])) or 'it'}: {item['msg'][:200]}" for item in found[:3]]
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    msg = f"not {what}: {'; '.join(lines)}{more}"
    raise ValueError(msg)
