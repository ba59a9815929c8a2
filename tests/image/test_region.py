"""Regions against matplotlib, exact arithmetic, and the laws of sets."""

from __future__ import annotations

import pickle
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline

from detcore.image import Annulus, Ellipse, Polygon, Rectangle, Region

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SHAPE = (37, 41)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]

# Quarters are exact in binary, and often hit pixel centres and each other: where borders matter.
positions = st.integers(-40, 240).map(lambda n: n / 4)
lengths = st.integers(1, 100).map(lambda n: n / 4)


@st.composite
def rectangles(draw: st.DrawFn) -> Rectangle:
    x0, y0 = draw(positions), draw(positions)
    return Rectangle(x0=x0, y0=y0, x1=x0 + draw(lengths), y1=y0 + draw(lengths))


ellipses = st.builds(Ellipse, x=positions, y=positions, a=lengths, b=lengths, angle=st.floats(-360, 360))
annuli = st.builds(
    lambda x, y, inner, width: Annulus(x=x, y=y, inner=inner, outer=inner + width),
    positions,
    positions,
    lengths,
    lengths,
)
polygons = st.lists(st.tuples(positions, positions), min_size=3, max_size=9, unique=True).map(
    lambda vertices: Polygon(vertices=vertices)
)
shapes = st.one_of(rectangles(), ellipses, annuli, polygons)
regions: st.SearchStrategy[Region] = st.recursive(
    shapes,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a, b: a ^ b, inner, inner),
        st.builds(lambda a: ~a, inner),
    ),
    max_leaves=6,
)


def mask(region: Region) -> NDArray[np.bool_]:
    return region.to_mask(SHAPE)


# The raster.


@given(regions)
@settings(deadline=None)
def test_raster_is_contains_at_the_pixel_centres(region: Region) -> None:
    assert np.array_equal(mask(region), region.contains(COLUMNS, ROWS))


@given(rectangles())
def test_rectangle_is_the_polygon_of_its_corners(box: Rectangle) -> None:
    corners = [(box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1)]
    assert np.array_equal(mask(box), mask(Polygon(vertices=corners)))


def test_rectangle_is_a_slice() -> None:
    expected = np.zeros(SHAPE, bool)
    expected[2:9, 3:20] = True
    assert np.array_equal(mask(Rectangle(x0=3, y0=2, x1=20, y1=9)), expected)
    assert np.array_equal(mask(Rectangle(x0=2.5, y0=1.5, x1=19.5, y1=8.5)), expected)


@given(st.lists(st.tuples(st.floats(-30, 70), st.floats(-30, 70)), min_size=3, max_size=12, unique=True))
@settings(deadline=None)
def test_simple_polygons_agree_with_matplotlib(points: list[tuple[float, float]]) -> None:
    # Around their middle, the points make a polygon without crossings; off the grid, no centre lies on its border.
    x, y = np.array(points).T + np.array([[0.1234567], [0.7654321]])
    assume(len(set(zip(x, y, strict=True))) >= 3)
    order = np.argsort(np.arctan2(y - y.mean(), x - x.mean()))
    vertices = np.column_stack([x, y])[order]
    region = Polygon(vertices=vertices.tolist())
    expected = Outline(vertices).contains_points(np.column_stack([COLUMNS.ravel(), ROWS.ravel()])).reshape(SHAPE)
    differs = mask(region) != expected
    assert not (differs & (distance(vertices) > 1e-7)).any()


def distance(vertices: NDArray[np.float64]) -> NDArray[np.float64]:
    """From each pixel centre to the nearest edge, px."""
    nearest = np.full(SHAPE, np.inf)
    for (ax, ay), (bx, by) in zip(np.roll(vertices, 1, 0), vertices, strict=True):
        length = (bx - ax) ** 2 + (by - ay) ** 2
        along = ((COLUMNS - ax) * (bx - ax) + (ROWS - ay) * (by - ay)) / length if length else 0.0
        along = np.clip(along, 0, 1)
        nearest = np.minimum(nearest, np.hypot(COLUMNS - ax - along * (bx - ax), ROWS - ay - along * (by - ay)))
    return nearest


def test_large_polygon_agrees_with_matplotlib() -> None:
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    radius = 500 + 137.13 * np.sin(5 * angle)
    vertices = np.column_stack([530.1 + radius * np.cos(angle), 480.7 + radius * np.sin(angle)])
    y, x = np.mgrid[:1000, :1050]
    expected = Outline(vertices).contains_points(np.column_stack([x.ravel(), y.ravel()])).reshape(y.shape)
    assert np.array_equal(Polygon(vertices=vertices.tolist()).to_mask(y.shape), expected)


@given(st.lists(st.tuples(st.integers(-3, 12), st.integers(-3, 12)), min_size=3, max_size=10, unique=True))
@settings(deadline=None)
def test_polygons_on_the_grid_agree_with_exact_arithmetic(vertices: list[tuple[int, int]]) -> None:
    """Crossings, holes, flat edges, and centres on edges and vertices."""
    expected = np.zeros((10, 11), bool)
    for y, x in np.ndindex(expected.shape):
        cuts = 0
        for (ax, ay), (bx, by) in zip([vertices[-1], *vertices[:-1]], vertices, strict=True):
            if min(ay, by) <= y < max(ay, by):
                cuts += ax + Fraction((y - ay) * (bx - ax), by - ay) <= x
        expected[y, x] = cuts % 2
    assert np.array_equal(Polygon(vertices=vertices).to_mask(expected.shape), expected)


@given(polygons, st.integers(0, 8), st.booleans())
def test_polygon_does_not_depend_on_its_beginning_or_direction(region: Polygon, turn: int, back: bool) -> None:
    turned = np.roll(np.array(region.vertices), turn, axis=0)[:: -1 if back else 1]
    assert np.array_equal(mask(Polygon(vertices=turned.tolist())), mask(region))


@given(st.lists(st.tuples(st.floats(-10, 50), st.floats(-10, 50)), min_size=4, max_size=4, unique=True))
def test_triangles_around_a_point_tile_what_they_cover(points: list[tuple[float, float]]) -> None:
    a, b, c, middle = points
    whole = mask(Polygon(vertices=[a, b, c]))
    parts = [mask(Polygon(vertices=[*edge, middle])) for edge in ((a, b), (b, c), (c, a))]
    assert np.array_equal(np.bitwise_xor.reduce(parts), whole)  # each shared edge cuts both sides at the same place


@given(annuli)
def test_rings_tile_a_disc(ring: Annulus) -> None:
    inner, outer = (Ellipse(x=ring.x, y=ring.y, a=r, b=r) for r in (ring.inner, ring.outer))
    assert not (mask(inner) & mask(ring)).any()
    assert np.array_equal(mask(inner) | mask(ring), mask(outer))


@given(ellipses)
def test_ellipse_agrees_with_its_equation(region: Ellipse) -> None:
    angle = np.deg2rad(region.angle)
    dx, dy = COLUMNS - region.x, ROWS - region.y
    u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    inside = (u / region.a) ** 2 + (v / region.b) ** 2
    differs = mask(region) != (inside < 1)
    assert not (differs & (np.abs(inside - 1) > 1e-9)).any()


def test_raster_of_a_far_or_tiny_region() -> None:
    for region in (
        Rectangle(x0=1e8, y0=1e8, x1=1e9, y1=1e9),
        Ellipse(x=-1e9, y=5, a=1e-6, b=1e9),
        Annulus(x=1e9, y=1e9, inner=1, outer=2),
        Polygon(vertices=[(1e9, 1e9), (1e9, 1e9 - 1), (1e9 - 1, 1e9)]),
        Polygon(vertices=[(-1e9, -1e9), (-1e9, -5), (-5, -1e9)]),
    ):
        assert not mask(region).any()
    everything = Polygon(vertices=[(-1e9, -1e9), (1e9, -1e9), (1e9, 1e9), (-1e9, 1e9)])
    assert mask(everything).all()


def test_polygon_keeps_up_with_the_mouse() -> None:
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    vertices = np.column_stack([500 + 450 * np.cos(angle), 500 + 480 * np.sin(angle)])
    region = Polygon(vertices=vertices.tolist())
    y, x = np.mgrid[:1000, :1000]
    centres = np.column_stack([x.ravel(), y.ravel()])
    slow = seconds(lambda: Outline(vertices).contains_points(centres))
    fast = seconds(lambda: region.to_mask(y.shape))
    assert fast < slow / 10


def seconds(act: Callable[[], object]) -> float:
    """The best of three."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return min(times)


# The algebra.


@given(regions, regions)
@settings(deadline=None)
def test_combinations_are_those_of_their_masks(a: Region, b: Region) -> None:
    assert np.array_equal(mask(a & b), mask(a) & mask(b))
    assert np.array_equal(mask(a | b), mask(a) | mask(b))
    assert np.array_equal(mask(a ^ b), mask(a) ^ mask(b))
    assert np.array_equal(mask(~a), ~mask(a))


@given(regions, regions, regions)
@settings(deadline=None, max_examples=50)
def test_laws_of_sets(a: Region, b: Region, c: Region) -> None:
    assert np.array_equal(mask(~(a & b)), mask(~a | ~b))  # De Morgan
    assert np.array_equal(mask(~(a | b)), mask(~a & ~b))
    assert np.array_equal(mask(a & (b | c)), mask((a & b) | (a & c)))
    assert np.array_equal(mask(a ^ b ^ b), mask(a))
    assert ~~a == a
    assert (a | b) | c == a | (b | c)  # one flat list, however it was written


@given(regions)
@settings(deadline=None)
def test_bounding_box_covers_the_mask(region: Region) -> None:
    box = region.bounding_box
    assert box.x0 <= box.x1
    assert box.y0 <= box.y1
    y, x = np.nonzero(mask(region))
    slack = 1e-9
    assert ((box.x0 - slack <= x) & (x <= box.x1 + slack) & (box.y0 - slack <= y) & (y <= box.y1 + slack)).all()


def test_bounding_box_is_tight() -> None:
    turned = Ellipse(x=0, y=0, a=5, b=1, angle=30)
    t = np.linspace(0, 2 * np.pi, 100_001)
    x = 5 * np.cos(t) * np.cos(np.pi / 6) - np.sin(t) * np.sin(np.pi / 6)
    y = 5 * np.cos(t) * np.sin(np.pi / 6) + np.sin(t) * np.cos(np.pi / 6)
    assert tuple(turned.bounding_box) == pytest.approx((x.min(), y.min(), x.max(), y.max()), abs=1e-6)
    assert tuple(Annulus(x=1, y=2, inner=3, outer=4).bounding_box) == (-3, -2, 5, 6)
    both = Rectangle(x0=0, y0=0, x1=9, y1=9) & Rectangle(x0=5, y0=-5, x1=20, y1=7)
    assert tuple(both.bounding_box) == (5, 0, 9, 7)


def test_combining_with_something_else_is_refused() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        Rectangle(x0=0, y0=0, x1=1, y1=1) & 3  # type: ignore[operator]


# As values.


@given(regions)
@settings(deadline=None)
def test_yaml_and_pickle_give_back_an_equal_value(region: Region) -> None:
    text = yaml.safe_dump(region.to_dict())
    assert Region.from_dict(yaml.safe_load(text)) == region
    again = pickle.loads(pickle.dumps(region))
    assert again == region
    assert hash(again) == hash(region)


def test_regions_do_not_change() -> None:
    region = Rectangle(x0=0, y0=0, x1=1, y1=1)
    with pytest.raises(ValueError, match="frozen"):
        region.x0 = 5  # type: ignore[misc]


BOX = {"kind": "rectangle", "x0": 0, "y0": 0, "x1": 1, "y1": 1}
ROUND = {"kind": "ellipse", "x": 0, "y": 0, "a": 1, "b": 1}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**BOX, "x0": float("nan")}, "x0: Input should be a finite number"),
        ({**BOX, "x1": float("inf")}, "x1: Input should be a finite number"),
        ({**BOX, "x1": 0}, "x0 < x1 and y0 < y1 expected, found x 0.0 to 0.0"),
        ({**BOX, "x1": 2e9}, "x1: Input should be less than or equal to 1000000000"),
        ({**BOX, "extra": 1}, "extra: Extra inputs are not permitted"),
        ({"kind": "rectangle"}, "rectangle.x0: Field required; rectangle.y0: Field required; .* and 1 more"),
        ({**ROUND, "a": 0}, "a: Input should be greater than or equal to"),
        ({**ROUND, "b": -1}, "b: Input should be greater than or equal to"),
        ({**ROUND, "angle": 1e9}, "angle: Input should be less"),
        ({"kind": "annulus", "x": 0, "y": 0, "inner": 2, "outer": 2}, "inner < outer expected, found 2.0 and 2.0"),
        ({"kind": "polygon", "vertices": [[0, 0], [1, 1]]}, "at least 3 items"),
        ({"kind": "polygon", "vertices": [[0, 0], [1, 1], [0, 0]]}, "3 different vertices expected, found 2"),
        ({"kind": "polygon", "vertices": [[0, 0], [1, 1], [0, "x"]]}, "vertices.2.1: Input should be a valid number"),
        ({"kind": "polygon", "vertices": [[n, n * n] for n in range(10_001)]}, "at most 10000"),
        ({"kind": "combined", "operator": "minus", "parts": [BOX, BOX]}, "operator: Input should be 'and', 'or' or 'xor'"),
        ({"kind": "combined", "operator": "or", "parts": [BOX]}, "at least 2 items"),
        ({"kind": "combined", "operator": "or", "parts": [BOX] * 1001}, "at most 1000"),
        ({"kind": "blob" * 10_000}, "Input tag 'blobblob"),
        ({}, "Unable to extract tag"),
        (None, "valid dictionary"),
        ([1, 2], "valid dictionary"),
    ],
)  # fmt: skip
def test_impossible_values_are_named(values: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Region.from_dict(values)
    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("depth", [33, 500, 20_000])
def test_depth_is_bounded(depth: int) -> None:
    values: dict[str, Any] = BOX
    for _ in range(depth):
        values = {"kind": "complement", "part": values}
    with pytest.raises(ValueError, match="not a region"):
        Region.from_dict(values)
    while "part" in values:  # let go of it one by one: it is too deep to be freed at once
        values = values.pop("part")


def test_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a Ellipse, found a Rectangle"):
        Ellipse.from_dict(BOX)


@pytest.mark.parametrize("shape", [(0, 5), (5,), (5, 5, 5), (-1, 5), (1 << 20, 1 << 20)])
def test_shapes_are_bounded(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected the \(rows, columns\)"):
        Rectangle(x0=0, y0=0, x1=1, y1=1).to_mask(shape)
