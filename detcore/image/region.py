"""Regions of an image as values: built once, never changed, combined with ``& | ^ ~``, written to YAML and back.

Pixel centres are at whole numbers, x is the column and y the row. A pixel belongs to a region when its centre does.
Borders are half-open: of two regions that share a border exactly one holds a centre that lies on it, so rectangles,
polygons and rings can tile a detector without gaps or overlaps. ``Rectangle(x0=3, y0=0, x1=8, y1=5)`` selects what
``image[0:5, 3:8]`` does.
"""

from __future__ import annotations

import operator
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import Field, TypeAdapter, model_validator

from detcore.image.regionbase import EVERYWHERE, Box, Length, Position, Region
from detcore.image.shapes import Annulus, Brush, Ellipse, HalfPlane, Polygon, Rectangle

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Annulus", "AnyRegion", "Brush", "Combined", "Complement", "Ellipse", "HalfPlane", "Length", "Polygon", "Position",
    "Rectangle", "Region",
]  # fmt: skip

MAX_PARTS = 1_000
MAX_DEPTH = 32


class Combined(Region):
    """What is in all of its parts (and), in at least one (or), or in an odd number of them (xor).

    Examples
    --------
    >>> left, right = Rectangle(x0=0, y0=0, x1=3, y1=1), Rectangle(x0=2, y0=0, x1=5, y1=1)
    >>> [int(region.to_mask((1, 9)).sum()) for region in (left & right, left | right, left ^ right, ~left)]
    [1, 5, 4, 6]
    """

    kind: Literal["combined"] = Field("combined", repr=False)
    operator: Literal["and", "or", "xor"]
    parts: Annotated[tuple[AnyRegion, ...], Field(min_length=2, max_length=MAX_PARTS)]

    @model_validator(mode="after")
    def _is_not_too_deep(self) -> Self:
        _check_depth(self)
        return self

    @property
    def bounding_box(self) -> Box:
        """Around what the boxes of the parts allow, px; of no size if they exclude each other."""
        x0, y0, x1, y1 = zip(*(part.bounding_box for part in self.parts), strict=True)
        if self.operator == "and":
            left, low = max(x0), max(y0)
            return Box(left, low, max(left, min(x1)), max(low, min(y1)))
        return Box(min(x0), min(y0), max(x1), max(y1))

    def contains(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Answer for points, px."""
        return np.asarray(reduce(_OPERATORS[self.operator], (part.contains(x, y) for part in self.parts)))

    def moved(self, dx: float, dy: float) -> Self:
        """Shift all parts, px."""
        return type(self)(operator=self.operator, parts=tuple(part.moved(dx, dy) for part in self.parts))

    def _select(self, selected: NDArray[np.bool_]) -> None:
        selected[:] = reduce(_OPERATORS[self.operator], (part.to_mask(selected.shape) for part in self.parts))


class Complement(Region):
    """Everything outside of a region."""

    kind: Literal["complement"] = Field("complement", repr=False)
    part: AnyRegion

    @model_validator(mode="after")
    def _is_not_too_deep(self) -> Self:
        _check_depth(self)
        return self

    @property
    def bounding_box(self) -> Box:
        """Everywhere: it has no limits."""
        return EVERYWHERE

    def contains(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Answer for points, px."""
        return np.asarray(~self.part.contains(x, y))

    def moved(self, dx: float, dy: float) -> Self:
        """Shift what is outside of it, px."""
        return type(self)(part=self.part.moved(dx, dy))

    def _select(self, selected: NDArray[np.bool_]) -> None:
        np.logical_not(self.part.to_mask(selected.shape), out=selected)

    def __invert__(self) -> Region:
        return self.part


AnyRegion = Annotated[
    Rectangle | Ellipse | Annulus | Polygon | Brush | HalfPlane | Combined | Complement, Field(discriminator="kind")
]
"""One of the regions above, told apart by its `kind`: the type for a field of a pydantic model."""

Combined.model_rebuild()
Complement.model_rebuild()
_OPERATORS = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}


def _combined(how: Literal["and", "or", "xor"], left: Region, right: Region) -> Combined:
    """Join two regions; a | b | c becomes one list of three instead of a tree."""
    parts = [
        part
        for side in (left, right)
        for part in (side.parts if isinstance(side, Combined) and side.operator == how else (side,))
    ]
    return Combined(operator=how, parts=parts)


def _depth(region: Region) -> int:
    parts = region.parts if isinstance(region, Combined) else (region.part,) if isinstance(region, Complement) else ()
    return 1 + max(map(_depth, parts), default=0)


def _check_depth(region: Region) -> None:
    if _depth(region) > MAX_DEPTH:
        msg = f"regions are nested more than {MAX_DEPTH} deep; combine fewer at once"
        raise ValueError(msg)


Region.reader = TypeAdapter(AnyRegion)
Region.combine = staticmethod(_combined)
Region.complement = staticmethod(lambda part: Complement(part=part))
