"""Outlines as they go to a page and come back, and whatever else a page may send."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.outlines import LIMIT, MAX_POINTS, Outline, Point, drawable, from_page, to_page
from detcore.image import Annulus, Brush, Ellipse, HalfPlane, Polygon, Rectangle

ONE_OF_EACH: tuple[Outline, ...] = (
    Rectangle(x0=-1.5, y0=2, x1=3.25, y1=8),
    Ellipse(x=4, y=5, a=2, b=1, angle=-30),
    Annulus(x=4, y=5, inner=1, outer=2.5),
    Polygon(vertices=[(0, 0), (4, 0), (4, 3.5)]),
    Brush(strokes=[[(1, 2), (3, 2)], [(9, 9)]], radius=1.5),
    HalfPlane(x=3, y=4, angle=90),
    Point(7.5, 8.25),
)
places = st.floats(-1e6, 1e6)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("outline", ONE_OF_EACH, ids=lambda each: type(each).__name__)
def test_there_and_back(outline: Outline) -> None:
    assert from_page(to_page(outline)) == outline
    assert drawable(outline)


def test_combined_regions_cannot_be_drawn() -> None:
    assert not drawable(ONE_OF_EACH[0] | ONE_OF_EACH[1])  # type: ignore[operator]
    assert not drawable(~ONE_OF_EACH[0])  # type: ignore[operator]
    assert not drawable("rectangle")


def test_numbers_get_few_digits_and_corners_an_order() -> None:
    sent = {"kind": "rectangle", "x0": 5.12345, "y0": 2, "x1": -0.001, "y1": 1, "more": "is ignored"}
    found = from_page(sent)
    assert found == Rectangle(x0=0, y0=1, x1=5.12, y1=2)
    assert isinstance(found, Rectangle)
    assert math.copysign(1, found.x0) == 1
    turned = from_page({"kind": "ellipse", "x": 0, "y": 0, "a": 2, "b": 1, "angle": 3600.0 + 181})
    assert turned == Ellipse(x=0, y=0, a=2, b=1, angle=-179)


WRONG: list[Any] = [
    None, 3, "rectangle", [], {}, {"kind": None}, {"kind": "disc"}, {"kind": ["rectangle"]}, {"kind": "combined", "parts": []},
    {"kind": "rectangle"},
    {"kind": "rectangle", "x0": 0, "y0": 0, "x1": math.nan, "y1": 1},
    {"kind": "rectangle", "x0": 0, "y0": 0, "x1": math.inf, "y1": 1},
    {"kind": "rectangle", "x0": 0, "y0": 0, "x1": 10**400, "y1": 1},
    {"kind": "rectangle", "x0": 0, "y0": 0, "x1": 2 * LIMIT, "y1": 1},
    {"kind": "rectangle", "x0": 0, "y0": 0, "x1": True, "y1": 1},
    {"kind": "rectangle", "x0": 0, "y0": 0, "x1": "5", "y1": 1},
    {"kind": "rectangle", "x0": 0, "y0": 0, "x1": 0.001, "y1": 1},
    {"kind": "ellipse", "x": 0, "y": 0, "a": 0, "b": 1, "angle": 0},
    {"kind": "ellipse", "x": 0, "y": 0, "a": -2, "b": 1, "angle": 0},
    {"kind": "ellipse", "x": 0, "y": 0, "a": 2, "b": 1, "angle": math.inf},
    {"kind": "annulus", "x": 0, "y": 0, "inner": 3, "outer": 2},
    {"kind": "polygon", "xs": [0, 1], "ys": [0, 1]},
    {"kind": "polygon", "xs": [0, 1, 1], "ys": [0, 1]},
    {"kind": "polygon", "xs": [0, 1, None], "ys": [0, 1, 2]},
    {"kind": "polygon", "xs": "012", "ys": "012"},
    {"kind": "polygon", "xs": [0.0] * (MAX_POINTS + 1), "ys": [0.0] * (MAX_POINTS + 1)},
    {"kind": "polygon", "xs": np.arange(4.0), "ys": np.arange(4.0)},
    {"kind": "brush", "xs": [], "ys": [], "starts": [0], "radius": 2},
    {"kind": "brush", "xs": [1], "ys": [1], "starts": [0], "radius": 0},
    {"kind": "brush", "xs": [1], "ys": [1], "starts": [], "radius": 1},
    {"kind": "brush", "xs": [1], "ys": [1], "starts": [0, 0], "radius": 1},
    {"kind": "brush", "xs": [1], "ys": [1], "starts": [0, 1], "radius": 1},
    {"kind": "brush", "xs": [1, 2], "ys": [1, 2], "starts": [1, 0], "radius": 1},
    {"kind": "brush", "xs": [1, 2], "ys": [1, 2], "starts": [0, 1.0], "radius": 1},
    {"kind": "brush", "xs": [1, 2], "ys": [1, 2], "starts": [False], "radius": 1},
    {"kind": "half_plane", "x": 1, "y": 2},
    {"kind": "point", "x": 1, "y": []},
]  # fmt: skip


@pytest.mark.parametrize("sent", WRONG, ids=range(len(WRONG)))
def test_what_is_impossible_is_a_value_error(sent: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        from_page(sent)


@given(
    sent=st.fixed_dictionaries(
        {"kind": st.sampled_from(["rectangle", "ellipse", "annulus", "polygon", "brush", "half_plane", "point"])},
        optional=dict.fromkeys(
            ("x0", "y0", "x1", "y1", "x", "y", "a", "b", "angle", "inner", "outer", "radius"), places | junk
        )
        | {name: st.lists(places, max_size=5) | junk for name in ("xs", "ys", "starts")},
    )
)
def test_whatever_is_sent_becomes_an_outline_or_a_value_error(sent: dict[str, Any]) -> None:
    try:
        found = from_page(sent)
    except ValueError:
        return
    assert drawable(found)
    assert from_page(to_page(found)) == found
