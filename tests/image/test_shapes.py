"""Brush strokes and half-planes; shapes that are moved."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detcore.image import Annulus, Brush, Ellipse, HalfPlane, Polygon, Rectangle, Region

SHAPE = (30, 40)
positions = st.floats(-10, 50, allow_nan=False)
points = st.tuples(positions, positions)
brushes = st.builds(
    Brush,
    radius=st.floats(0.1, 12),
    strokes=st.lists(st.lists(points, min_size=1, max_size=4), min_size=1, max_size=3),
)
planes = st.builds(HalfPlane, x=positions, y=positions, angle=st.sampled_from([0, 45, 90, -180, 270, 13.7, -359.9]))
SHAPES: list[Region] = [
    Rectangle(x0=2, y0=3.5, x1=20, y1=9),
    Ellipse(x=12, y=9.25, a=7, b=4, angle=30),
    Annulus(x=20, y=15, inner=4, outer=9),
    Polygon(vertices=[(1, 1), (30, 4), (12, 25), (3.5, 20)]),
    Brush(radius=2.5, strokes=[[(3, 3), (20, 9)], [(30, 20)]]),
    HalfPlane(x=9, y=5, angle=60),
    Rectangle(x0=2, y0=3, x1=20, y1=9) & ~Ellipse(x=9, y=5, a=4, b=2),
]


@given(brushes | planes)
@settings(deadline=None)
def test_pixels_and_points_agree(region: Region) -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    assert np.array_equal(region.to_mask(SHAPE), region.contains(x, y))


@given(brushes)
@settings(deadline=None)
def test_a_brush_selects_what_is_near_to_its_lines(brush: Brush) -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    nearest = np.full(SHAPE, np.inf)
    for stroke in brush.strokes:
        for start, end in zip(stroke[:-1] or stroke, stroke[1:] or stroke, strict=True):
            for along in np.linspace(0, 1, 400):  # an independent, slower way: many points of the line
                at = np.array(start) * (1 - along) + np.array(end) * along
                nearest = np.minimum(nearest, np.hypot(x - at[0], y - at[1]))
    found = brush.to_mask(SHAPE)
    # A point of the line is at most 0.11 px from one that was tried.
    assert found[nearest < brush.radius - 1e-9].all()
    assert not found[nearest > brush.radius + 0.11].any()


def test_a_brush_has_a_box_around_it() -> None:
    brush = SHAPES[4]
    y, x = np.nonzero(brush.to_mask(SHAPE))
    box = brush.bounding_box
    assert box.x0 <= x.min()
    assert x.max() <= box.x1
    assert box.y0 <= y.min()
    assert y.max() <= box.y1
    assert (box.x0, box.y1) == (0.5, 22.5)


@pytest.mark.parametrize("count", [3, 20, 64, 66, 300])
def test_polygons_of_few_and_many_cuts(count: int) -> None:
    vertices = np.random.default_rng(count).uniform(-10, 50, (count, 2))
    polygon = Polygon(vertices=[tuple(vertex) for vertex in vertices])
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    assert np.array_equal(polygon.to_mask(SHAPE), polygon.contains(x, y))


def test_a_scribble_does_not_take_forever() -> None:
    zigzag = [(float(7 * i % 1000), 1000.0 * (i % 2)) for i in range(10_000)]
    began = time.process_time()
    Polygon(vertices=zigzag).to_mask((1000, 1000))
    assert time.process_time() - began < 10, "about 0.1 s, plus compilation"


def test_half_planes_share_a_line_without_gap() -> None:
    left, right = HalfPlane(x=10, y=0, angle=0), HalfPlane(x=10, y=0, angle=180)
    assert right.to_mask((1, 20))[0, :11].all()  # the line itself belongs to both
    assert left.to_mask((1, 20))[0].nonzero()[0][0] == 10
    down = HalfPlane(x=0, y=7, angle=90).to_mask((20, 3))
    assert np.array_equal(down.all(axis=1), np.arange(20) >= 7)


@pytest.mark.parametrize("region", SHAPES, ids=lambda region: region.kind)
def test_moved_by_whole_pixels_is_the_same_mask_moved(region: Region) -> None:
    before, after = region.to_mask(SHAPE), region.moved(3, 2).to_mask(SHAPE)
    assert np.array_equal(after[2:, 3:], before[:-2, :-3])
    assert region.moved(3, 2).moved(-3, -2) == region


@pytest.mark.parametrize("region", SHAPES, ids=lambda region: region.kind)
def test_what_is_written_is_read(region: Region) -> None:
    assert Region.from_dict(region.to_dict()) == region


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "brush", "radius": 0, "strokes": [[[1, 1]]]}, "radius"),
        ({"kind": "brush", "radius": 1, "strokes": []}, "strokes"),
        ({"kind": "brush", "radius": 1, "strokes": [[]]}, "strokes"),
        ({"kind": "half_plane", "x": 1, "y": float("nan")}, "y: "),
        ({"kind": "half_plane", "x": 1, "y": 1, "angle": 400}, "angle"),
    ],
)
def test_impossible_shapes_are_refused(values: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Region.from_dict(values)
