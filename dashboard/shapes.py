"""Regions as editable annotations of a figure, and back. Whatever a browser sends is checked here."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

from bokeh.models import BoxAnnotation, PolyAnnotation

from detcore.image import Polygon, Rectangle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bokeh.plotting import figure

Shape: TypeAlias = Rectangle | Polygon
Annotation: TypeAlias = BoxAnnotation | PolyAnnotation

MAX_CORNERS = 10_000
DIGITS = 2  # hundredths of a pixel are finer than any hand
REACH = 10  # screen pixels within which a click means a corner

# The line to the mouse exists in the browser only: nothing is sent while it moves. Both columns of corners arrive
# together, as x and y of an annotation would not, and a picture drawn between the two fails.
FOLLOW = """
const {x, y} = corners.data
const more = x.length && cb_obj.event_name == "mousemove"
draft.setv({xs: more ? [...x, cb_obj.x] : [...x], ys: more ? [...y, cb_obj.y] : [...y]}, {sync: false})
"""


def number(value: object, digits: int | None = None) -> float:
    """Return a finite float, rounded to `digits`, or raise ValueError.

    Examples
    --------
    >>> number(1.23456, 2)
    1.23
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        msg = f"a number expected, found {type(value).__name__}"
        raise ValueError(msg)  # noqa: TRY004 - whatever is wrong with it, it is a wrong value from the browser
    try:
        found = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        found = math.inf
    if not math.isfinite(found):
        msg = "a finite number expected"
        raise ValueError(msg)
    return found if digits is None else round(found, digits)


def rectangle(xa: object, xb: object, ya: object, yb: object, digits: int | None = None) -> Rectangle:
    """Return the rectangle between two corners, whichever they are, or raise ValueError.

    Examples
    --------
    >>> rectangle(5, 1.001, 2, 8, digits=2)
    Rectangle(x0=1.0, y0=2.0, x1=5.0, y1=8.0)
    """
    x0, x1 = sorted((number(xa, digits), number(xb, digits)))
    y0, y1 = sorted((number(ya, digits), number(yb, digits)))
    return Rectangle(x0=x0, y0=y0, x1=x1, y1=y1)


def polygon(xs: Sequence[object], ys: Sequence[object], digits: int | None = None) -> Polygon:
    """Return the polygon through corners, or raise ValueError.

    Examples
    --------
    >>> polygon([0, 4, 4], [0, 0, 3]).vertices
    ((0.0, 0.0), (4.0, 0.0), (4.0, 3.0))
    """
    # Drawing tools may send NumPy arrays, which have no truth value: only lengths are asked.
    if not 3 <= len(xs) == len(ys) <= MAX_CORNERS:
        msg = f"3 to {MAX_CORNERS} corners expected, found {len(xs)} x and {len(ys)} y"
        raise ValueError(msg)
    return Polygon(vertices=tuple((number(x, digits), number(y, digits)) for x, y in zip(xs, ys, strict=True)))


def is_near(plot: figure, x: float, y: float, corners: Sequence[tuple[float, float]]) -> bool:
    """Whether (x, y) is within `REACH` of a corner on the screen, as it is zoomed now; ValueError for strange ranges."""
    reach = [
        REACH * abs(number(axis.end) - number(axis.start)) / (size or math.inf)
        for axis, size in ((plot.x_range, plot.inner_width), (plot.y_range, plot.inner_height))
    ]
    return any(abs(x - cx) <= reach[0] and abs(y - cy) <= reach[1] for cx, cy in corners)


def drawn(region: Shape) -> tuple[type[Annotation], dict[str, Any]]:
    """Return the annotation that shows a region, and the properties that place it."""
    if isinstance(region, Rectangle):
        return BoxAnnotation, {"left": region.x0, "right": region.x1, "bottom": region.y0, "top": region.y1}
    xs, ys = zip(*region.vertices, strict=True)
    return PolyAnnotation, {"xs": list(xs), "ys": list(ys)}


def is_like(shape: Annotation, region: Shape) -> bool:
    """Whether an annotation can be moved to show a region; x and y of new corners would arrive one after the other."""
    if isinstance(shape, BoxAnnotation):
        return isinstance(region, Rectangle)
    return isinstance(region, Polygon) and len(shape.xs) == len(region.vertices)


def read(shape: Annotation, region: Shape) -> Shape:
    """Return what an annotation shows now: `region` itself if it was not moved, else a new one with few digits.

    Raises
    ------
    ValueError
        It does not show a possible region.
    """
    for digits in (None, DIGITS):
        if isinstance(shape, BoxAnnotation):
            found: Shape = rectangle(shape.left, shape.right, shape.bottom, shape.top, digits)
        else:
            found = polygon(shape.xs, shape.ys, digits)
        if found == region:
            return region
    return found
