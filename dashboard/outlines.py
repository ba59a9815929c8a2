"""What can be drawn on an image: regions of one piece, strokes of a brush, and points; to the page and back.

Pixel centres are at whole numbers, x is the column and y the row. Whatever a page sends becomes one of these values or
a ValueError: finite, within limits, with few digits and at most `MAX_POINTS` points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from dashboard.shapes import DIGITS, number
from detcore.image import Annulus, Brush, Ellipse, HalfPlane, Polygon, Rectangle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_POINTS = 10_000
LIMIT = 1e7  # px: larger than any detector, small enough for a canvas


@dataclass(frozen=True)
class Point:
    """One place, for example on a powder ring, px."""

    x: float
    y: float


Outline: TypeAlias = Rectangle | Ellipse | Annulus | Polygon | Brush | HalfPlane | Point
KINDS = (Rectangle, Ellipse, Annulus, Polygon, Brush, HalfPlane, Point)


def drawable(value: object) -> TypeGuard[Outline]:
    """Whether a value is one of those that can be drawn; combined regions cannot."""
    return isinstance(value, KINDS)


def to_page(outline: Outline) -> dict[str, Any]:
    """Return numbers, text and lists for the page.

    Examples
    --------
    >>> to_page(Ellipse(x=4, y=5, a=2, b=1, angle=30))
    {'kind': 'ellipse', 'x': 4.0, 'y': 5.0, 'a': 2.0, 'b': 1.0, 'angle': 30.0}
    >>> to_page(Brush(strokes=[[(1, 2), (3, 2)], [(9, 9)]], radius=1.5))
    {'kind': 'brush', 'xs': [1.0, 3.0, 9.0], 'ys': [2.0, 2.0, 9.0], 'starts': [0, 2], 'radius': 1.5}
    """
    if isinstance(outline, Polygon):
        return {"kind": "polygon", **_columns(outline.vertices)}
    if isinstance(outline, Brush):
        columns = _columns([point for stroke in outline.strokes for point in stroke])
        starts = [0, *accumulate(len(stroke) for stroke in outline.strokes[:-1])]
        return {"kind": "brush", **columns, "starts": starts, "radius": outline.radius}
    if isinstance(outline, Point):
        return {"kind": "point", "x": outline.x, "y": outline.y}
    return outline.to_dict()


def from_page(sent: object) -> Outline:
    """Return what a page sent as a value.

    Raises
    ------
    ValueError
        It is none of the outlines, or not a possible one.

    Examples
    --------
    >>> from_page({"kind": "rectangle", "x0": 5, "y0": 2, "x1": 1.004, "y1": 8})
    Rectangle(x0=1.0, y0=2.0, x1=5.0, y1=8.0)
    >>> from_page({"kind": "brush", "xs": [1, 2], "ys": [3, 3], "starts": [0], "radius": 2})
    Brush(radius=2.0, strokes=(((1.0, 3.0), (2.0, 3.0)),))
    """
    if not isinstance(sent, dict) or not isinstance(kind := sent.get("kind"), str):
        msg = f"an outline expected, found {type(sent).__name__}"
        raise ValueError(msg)  # noqa: TRY004 - whatever is wrong with it, it is a wrong value from the browser
    match kind:
        case "rectangle":
            x0, x1 = sorted(_numbers(sent, "x0", "x1"))
            y0, y1 = sorted(_numbers(sent, "y0", "y1"))
            return Rectangle(x0=x0, y0=y0, x1=x1, y1=y1)
        case "ellipse":
            x, y, a, b = _numbers(sent, "x", "y", "a", "b")
            return Ellipse(x=x, y=y, a=a, b=b, angle=_angle(sent))
        case "annulus":
            x, y, inner, outer = _numbers(sent, "x", "y", "inner", "outer")
            return Annulus(x=x, y=y, inner=inner, outer=outer)
        case "polygon":
            return Polygon(vertices=_points(sent))
        case "brush":
            points, starts = _points(sent), _starts(sent)
            strokes = tuple(points[a:b] for a, b in pairwise([*starts, len(points)]))
            return Brush(strokes=strokes, radius=_numbers(sent, "radius")[0])
        case "half_plane":
            x, y = _numbers(sent, "x", "y")
            return HalfPlane(x=x, y=y, angle=_angle(sent))
        case "point":
            x, y = _numbers(sent, "x", "y")
            return Point(x, y)
    msg = f"an unknown kind of outline, {kind!r:.40}"
    raise ValueError(msg)


def _columns(points: Sequence[tuple[float, float]]) -> dict[str, list[float]]:
    return {"xs": [x for x, _ in points], "ys": [y for _, y in points]}


def _number(value: object) -> float:
    found = number(value, DIGITS)
    if abs(found) > LIMIT:
        msg = f"a number between {-LIMIT:g} and {LIMIT:g} expected, found {found:g}"
        raise ValueError(msg)
    return found + 0.0  # no negative zero


def _numbers(sent: Mapping[str, Any], *names: str) -> list[float]:
    return [_number(sent.get(name)) for name in names]


def _angle(sent: Mapping[str, Any]) -> float:
    """Return degrees from -180 to 180."""
    angle = number(sent.get("angle"))
    return round(math.remainder(angle, 360.0), DIGITS) + 0.0


def _points(sent: Mapping[str, Any]) -> tuple[tuple[float, float], ...]:
    xs, ys = sent.get("xs"), sent.get("ys")
    if not isinstance(xs, list) or not isinstance(ys, list) or not 1 <= len(xs) == len(ys) <= MAX_POINTS:
        msg = f"two lists of up to {MAX_POINTS} numbers expected"
        raise ValueError(msg)
    return tuple((_number(x), _number(y)) for x, y in zip(xs, ys, strict=True))


def _starts(sent: Mapping[str, Any]) -> list[int]:
    """Return where strokes begin, from 0 ascending."""
    starts = sent.get("starts")
    found = starts if isinstance(starts, list) else []
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in found)
    if not whole or found[:1] != [0] or not all(a < b for a, b in pairwise([*found, len(sent["xs"])])):
        msg = "ascending places where strokes begin expected, the first one 0"
        raise ValueError(msg)
    return list(found)
