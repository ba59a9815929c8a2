"""The simple shapes. Each answers for points with the same arithmetic in the same order as for pixels."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from detcore.image.kernels import fill_brush, fill_polygon, fill_round, in_polygon
from detcore.image.regionbase import EVERYWHERE, Box, Length, Position, Region

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MAX_VERTICES = 10_000
MAX_STROKES = 1_000


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

    def moved(self, dx: float, dy: float) -> Self:
        """Shift it, px."""
        return type(self)(x0=self.x0 + dx, y0=self.y0 + dy, x1=self.x1 + dx, y1=self.y1 + dy)

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

    def moved(self, dx: float, dy: float) -> Self:
        """Shift its centre, px."""
        return type(self).model_validate(self.model_dump() | {"x": self.x + dx, "y": self.y + dy})

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

    def moved(self, dx: float, dy: float) -> Self:
        """Shift all vertices, px."""
        return type(self)(vertices=tuple((x + dx, y + dy) for x, y in self.vertices))

    def contains(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Answer for points, px."""
        x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        selected = np.empty(x.size, np.bool_)
        in_polygon(np.asarray(self.vertices), np.ravel(x).copy(), np.ravel(y).copy(), selected)
        return selected.reshape(x.shape)

    def _select(self, selected: NDArray[np.bool_]) -> None:
        fill_polygon(np.asarray(self.vertices), selected)


class Brush(Region):
    """What a round brush touched: all within `radius` of the lines through the points of a stroke, px.

    Examples
    --------
    >>> Brush(strokes=[[(1, 1), (4, 1)]], radius=1.2).to_mask((3, 7)).astype(int)
    array([[0, 1, 1, 1, 1, 0, 0],
           [1, 1, 1, 1, 1, 1, 0],
           [0, 1, 1, 1, 1, 0, 0]])
    """

    kind: Literal["brush"] = Field("brush", repr=False)
    radius: Length
    strokes: Annotated[
        tuple[Annotated[tuple[tuple[Position, Position], ...], Field(min_length=1, max_length=MAX_VERTICES)], ...],
        Field(min_length=1, max_length=MAX_STROKES),
    ]

    @property
    def bounding_box(self) -> Box:
        """The smallest upright box around the strokes, px."""
        xs, ys = zip(*(point for stroke in self.strokes for point in stroke), strict=True)
        r = self.radius
        return Box(min(xs) - r, min(ys) - r, max(xs) + r, max(ys) + r)

    def contains(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Answer for points, px."""
        x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        selected = np.zeros(x.shape, np.bool_)
        for stroke in self.strokes:
            for i in range(max(1, len(stroke) - 1)):
                (ax, ay), (bx, by) = stroke[i], stroke[min(i + 1, len(stroke) - 1)]
                dx, dy = bx - ax, by - ay
                length = dx * dx + dy * dy
                along = np.clip(((x - ax) * dx + (y - ay) * dy) / length, 0.0, 1.0) if length > 0 else 0.0
                u, v = x - (ax + along * dx), y - (ay + along * dy)
                selected |= u * u + v * v < self.radius * self.radius
        return selected

    def moved(self, dx: float, dy: float) -> Self:
        """Shift all strokes, px."""
        strokes = tuple(tuple((x + dx, y + dy) for x, y in stroke) for stroke in self.strokes)
        return type(self)(radius=self.radius, strokes=strokes)

    def _select(self, selected: NDArray[np.bool_]) -> None:
        for stroke in self.strokes:
            fill_brush(np.asarray(stroke, np.float64), self.radius, selected)


class HalfPlane(Region):
    """All on one side of the line through (x, y): where `angle` degrees, from +x towards +y, point to.

    Examples
    --------
    >>> HalfPlane(x=2, y=0, angle=0).to_mask((1, 5)).astype(int)
    array([[0, 0, 1, 1, 1]])
    """

    kind: Literal["half_plane"] = Field("half_plane", repr=False)
    x: Position
    y: Position
    angle: Annotated[float, Field(ge=-360, le=360)] = 0.0

    @property
    def bounding_box(self) -> Box:
        """Everywhere: it has no limits."""
        return EVERYWHERE

    def contains(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Answer for points, px."""
        angle = math.radians(self.angle)
        # Whole right angles are exact, so that a line between pixels of a column takes the whole column.
        cos, sin = round(math.cos(angle), 15), round(math.sin(angle), 15)
        across = (np.asarray(x, np.float64) - self.x) * cos
        return np.asarray(across >= -((np.asarray(y, np.float64) - self.y) * sin))

    def moved(self, dx: float, dy: float) -> Self:
        """Shift the line, px."""
        return type(self)(x=self.x + dx, y=self.y + dy, angle=self.angle)

    def _select(self, selected: NDArray[np.bool_]) -> None:
        rows, columns = selected.shape
        selected[:] = self.contains(np.arange(columns), np.arange(rows)[:, None])
