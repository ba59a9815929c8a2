"""Regions of an image as values: built once, never changed, combined with ``& | ^ ~``, written to YAML and back.

Pixel centres are at whole numbers, x is the column and y the row. A pixel belongs to a region when its centre does.
Borders are half-open: of two regions that share a border exactly one holds a centre that lies on it, so rectangles,
polygons and rings can tile a detector without gaps or overlaps. ``Rectangle(x0=3, y0=0, x1=8, y1=5)`` selects what
``image[0:5, 3:8]`` does.
"""

from __future__ import annotations

import math
import operator
from abc import abstractmethod
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from detcore.image.checks import checked_shape, read_model
from detcore.image.kernels import fill_polygon, fill_round, in_polygon

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

MAX_VERTICES = 10_000
MAX_PARTS = 1_000
MAX_DEPTH = 32

# Within these limits no square, product or quotient below overflows or vanishes.
Position = Annotated[float, Field(ge=-1e9, le=1e9)]
Length = Annotated[float, Field(ge=1e-6, le=1e9)]


class Box(NamedTuple):
    """Limits of a region, px; infinite where it has none."""

    x0: float
    y0: float
    x1: float
    y1: float


EVERYWHERE = Box(-math.inf, -math.inf, math.inf, math.inf)


class Region(BaseModel):
    """What all regions can do."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: str = Field(repr=False)

    @property
    @abstractmethod
    def bounding_box(self) -> Box:
        """Limits between which all of the region lies, px."""

    @abstractmethod
    def contains(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Answer for points, px; x and y are broadcast against each other."""

    def to_mask(self, shape: Sequence[int]) -> NDArray[np.bool_]:
        """Select pixels.

        Parameters
        ----------
        shape
            (rows, columns) of the image.

        Returns
        -------
        NDArray[np.bool_]
            (y, x), true for the pixels whose centre is in the region.

        Raises
        ------
        ValueError
            The shape is not that of an image, or too large.
        """
        selected = np.zeros(checked_shape(shape), np.bool_)
        self._select(selected)
        return selected

    @abstractmethod
    def _select(self, selected: NDArray[np.bool_]) -> None:
        """Write the answer into an array that is false everywhere."""

    def to_dict(self) -> dict[str, Any]:
        """Return numbers, text and lists only, ready for YAML or JSON.

        Examples
        --------
        >>> Ellipse(x=4, y=5, a=2, b=1).to_dict()
        {'kind': 'ellipse', 'x': 4.0, 'y': 5.0, 'a': 2.0, 'b': 1.0, 'angle': 0.0}
        """
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, values: object) -> Self:
        """Build any region from what `to_dict` gives.

        Raises
        ------
        ValueError
            The kind is unknown, or a value is missing, of the wrong type or out of its limits.
        TypeError
            It is another kind of region than the class that was asked.

        Examples
        --------
        >>> Region.from_dict({"kind": "rectangle", "x0": 0, "y0": 0, "x1": 2, "y1": 1})
        Rectangle(x0=0.0, y0=0.0, x1=2.0, y1=1.0)
        """
        region = read_model(_ANY, values, "a region")
        if not isinstance(region, cls):
            msg = f"expected a {cls.__name__}, found a {type(region).__name__}"
            raise TypeError(msg)
        return region

    def __and__(self, other: Region) -> Combined:
        return _combined("and", self, other)

    def __or__(self, other: Region) -> Combined:
        return _combined("or", self, other)

    def __xor__(self, other: Region) -> Combined:
        return _combined("xor", self, other)

    def __invert__(self) -> Region:
        return Complement(part=self)


class Rectangle(Region):
    """x0 <= x < x1 and y0 <= y < y1.

    Examples
    --------
    >>> Rectangle(x0=1, y0=0, x1=3, y1=1).to_mask((2, 4)).astype(int)
    array([[0, 1, 1, 0],
           [0, 0, 0, 0]])
    """

    kind: Literal["rectangle"] = Field("rectangle", repr=False)
    x0: Position
    y0: Position
    x1: Position
    y1: Position

    @model_validator(mode="after")
    def _has_a_size(self) -> Self:
        if not (self.x0 < self.x1 and self.y0 < self.y1):
            msg = f"x0 < x1 and y0 < y1 expected, found x {self.x0} to {self.x1} and y {self.y0} to {self.y1}"
            raise ValueError(msg)
        return self

    @property
    def bounding_box(self) -> Box:
        """The rectangle itself, px."""
        return Box(self.x0, self.y0, self.x1, self.y1)

    def contains(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Answer for points, px."""
        x, y = np.asarray(x), np.asarray(y)
        return np.asarray((self.x0 <= x) & (x < self.x1) & (self.y0 <= y) & (y < self.y1))

    def _select(self, selected: NDArray[np.bool_]) -> None:
        rows, columns = (max(0, math.ceil(v)) for v in (self.y0, self.x0))
        selected[rows : max(0, math.ceil(self.y1)), columns : max(0, math.ceil(self.x1))] = True


class _Round(Region):
    """low <= (b u)^2 + (a v)^2 < high, where u and v are measured along turned axes from the centre (x, y)."""

    x: Position
    y: Position

    @abstractmethod
    def _form(self) -> tuple[float, float, float, float, float, float]:
        """Return cos, sin, a, b, low, high."""

    def contains(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Answer for points, px."""
        cos, sin, a, b, low, high = self._form()
        dx, dy = np.asarray(x, np.float64) - self.x, np.asarray(y, np.float64) - self.y
        u = b * (dx * cos + dy * sin)
        v = a * (dy * cos - dx * sin)
        distance = u * u + v * v
        return np.asarray((low <= distance) & (distance < high))

    def _select(self, selected: NDArray[np.bool_]) -> None:
        box = self.bounding_box
        row, column = (max(0, math.floor(v) - 1) for v in (box.y0, box.x0))
        window = selected[row : max(0, math.ceil(box.y1) + 2), column : max(0, math.ceil(box.x1) + 2)]
        fill_round(window, row, column, self.x, self.y, *self._form())


class Ellipse(_Round):
    """The inside of an ellipse: half axes `a` and `b`, px, `a` turned by `angle` degrees from +x towards +y.

    Examples
    --------
    >>> int(Ellipse(x=50, y=40, a=20, b=20).to_mask((100, 100)).sum())
    1245
    """

    kind: Literal["ellipse"] = Field("ellipse", repr=False)
    a: Length
    b: Length
    angle: Annotated[float, Field(ge=-360, le=360)] = 0.0

    def _form(self) -> tuple[float, float, float, float, float, float]:
        angle = math.radians(self.angle)
        return math.cos(angle), math.sin(angle), self.a, self.b, 0.0, (self.a * self.b) ** 2

    @property
    def bounding_box(self) -> Box:
        """The smallest upright box around it, px."""
        cos, sin, a, b, *_ = self._form()
        dx, dy = math.hypot(a * cos, b * sin), math.hypot(a * sin, b * cos)
        return Box(self.x - dx, self.y - dy, self.x + dx, self.y + dy)


class Annulus(_Round):
    """A ring: inner <= distance from (x, y) < outer, px.

    Examples
    --------
    >>> ring = Annulus(x=0, y=0, inner=2, outer=3)
    >>> bool(ring.contains(2, 0)), bool(ring.contains(3, 0))
    (True, False)
    """

    kind: Literal["annulus"] = Field("annulus", repr=False)
    inner: Length
    outer: Length

    @model_validator(mode="after")
    def _has_a_size(self) -> Self:
        if not self.inner < self.outer:
            msg = f"inner < outer expected, found {self.inner} and {self.outer}; a disc is an ellipse with a = b"
            raise ValueError(msg)
        return self

    def _form(self) -> tuple[float, float, float, float, float, float]:
        return 1.0, 0.0, 1.0, 1.0, self.inner**2, self.outer**2

    @property
    def bounding_box(self) -> Box:
        """The square around the outer circle, px."""
        return Box(self.x - self.outer, self.y - self.outer, self.x + self.outer, self.y + self.outer)


class Polygon(Region):
    """The inside of a closed line through the vertices (x, y), px, by the even-odd rule: crossings make holes.

    Examples
    --------
    >>> Polygon(vertices=[(0, 0), (4, 0), (0, 4)]).to_mask((4, 4)).astype(int)
    array([[1, 1, 1, 1],
           [1, 1, 1, 0],
           [1, 1, 0, 0],
           [1, 0, 0, 0]])
    """

    kind: Literal["polygon"] = Field("polygon", repr=False)
    vertices: Annotated[tuple[tuple[Position, Position], ...], Field(min_length=3, max_length=MAX_VERTICES)]

    @model_validator(mode="after")
    def _has_a_size(self) -> Self:
        if len(set(self.vertices)) < 3:
            msg = f"at least 3 different vertices expected, found {len(set(self.vertices))}"
            raise ValueError(msg)
        return self

    @property
    def bounding_box(self) -> Box:
        """The smallest upright box around the vertices, px."""
        xs, ys = zip(*self.vertices, strict=True)
        return Box(min(xs), min(ys), max(xs), max(ys))

    def contains(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Answer for points, px."""
        x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        selected = np.empty(x.size, np.bool_)
        in_polygon(np.asarray(self.vertices), np.ravel(x).copy(), np.ravel(y).copy(), selected)
        return selected.reshape(x.shape)

    def _select(self, selected: NDArray[np.bool_]) -> None:
        fill_polygon(np.asarray(self.vertices), selected)


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

    def _select(self, selected: NDArray[np.bool_]) -> None:
        np.logical_not(self.part.to_mask(selected.shape), out=selected)

    def __invert__(self) -> Region:
        return self.part


AnyRegion = Annotated[Rectangle | Ellipse | Annulus | Polygon | Combined | Complement, Field(discriminator="kind")]
"""One of the regions above, told apart by its `kind`: the type for a field of a pydantic model."""

Combined.model_rebuild()
Complement.model_rebuild()
_ANY: TypeAdapter[Region] = TypeAdapter(AnyRegion)
_OPERATORS = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}


def _combined(how: Literal["and", "or", "xor"], left: Region, right: Region) -> Combined:
    """Join two regions; a | b | c becomes one list of three instead of a tree."""
    if not isinstance(right, Region):
        return NotImplemented
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
