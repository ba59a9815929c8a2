"""Lines for other programs mask the same pixels as the raster, by an own reading of each program's rules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from detcore.area.setup.masklines import mask_lines, rectangles
from detcore.image import (
    EdgesOperation,
    Ellipse,
    Operation,
    PixelMask,
    Polygon,
    Rectangle,
    RegionOperation,
    good_pixels,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPE = (20, 30)


def inside(corners: NDArray[Any], x: float, y: float) -> bool:
    """Even-odd rule, as dxtbx has it."""
    found, j = False, len(corners) - 1
    for i in range(len(corners)):
        (ax, ay), (bx, by) = corners[i], corners[j]
        if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
            found = not found
        j = i
    return found


def dials(text: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    bad = np.zeros(shape, bool)
    blocks = re.findall(r"untrusted \{\s*panel = (\d+)\s*(\w+) = ([\d ]+)\s*\}", text)
    assert len(blocks) == text.count("untrusted")
    y, x = np.mgrid[: shape[1], : shape[2]]
    for panel, kind, numbers in blocks:
        values = list(map(int, numbers.split()))
        if kind == "rectangle":
            x0, x1, y0, y1 = values
            assert 0 <= x0 < x1 <= shape[2]
            assert 0 <= y0 < y1 <= shape[1]
            bad[int(panel), y0:y1, x0:x1] = True
        elif kind == "circle":
            bad[int(panel)] |= (x - values[0]) ** 2 + (y - values[1]) ** 2 < values[2] ** 2
        else:
            corners = np.reshape(values, (-1, 2))
            for row, column in np.ndindex(*shape[1:]):
                bad[int(panel), row, column] |= inside(corners, column + 0.5, row + 0.5)
    return bad


def xds(text: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    y, x = np.mgrid[1 : shape[0] + 1, 1 : shape[1] + 1]
    bad = np.zeros(shape, bool)
    for kind, numbers in re.findall(r"^UNTRUSTED_(\w+)= ([\d -]+)$", text, re.MULTILINE):
        values = list(map(int, numbers.split()))
        if kind == "RECTANGLE":
            x1, x2, y1, y2 = values
            bad |= (x > x1) & (x < x2) & (y > y1) & (y < y2)
        elif kind == "ELLIPSE":
            x1, x2, y1, y2 = values
            bad |= ((x - (x1 + x2) / 2) / ((x2 - x1) / 2)) ** 2 + ((y - (y1 + y2) / 2) / ((y2 - y1) / 2)) ** 2 < 1
        else:
            corners = np.reshape(values, (-1, 2))
            for row, column in np.ndindex(*shape):
                bad[row, column] |= inside(corners, column + 1, row + 1)
    return bad


def crystfel(text: str, shape: tuple[int, ...], stacked: bool = False) -> NDArray[np.bool_]:
    bad = np.zeros(shape, bool)
    regions: dict[str, dict[str, str]] = {}
    for name, key, value in re.findall(r"^(bad\w+)/(\w+) = (\w+)$", text, re.MULTILINE):
        regions.setdefault(name, {})[key] = value
    for one in regions.values():
        x0, x1, y0, y1 = (int(one[key]) for key in ("min_fs", "max_fs", "min_ss", "max_ss"))
        module = int(one["panel"][1:])
        offset = module * shape[1] if stacked else 0
        bad[module, y0 - offset : y1 + 1 - offset, x0 : x1 + 1] = True
    return bad


def raster(*operations: Operation, shape: Any = SHAPE) -> NDArray[np.uint32]:
    return PixelMask(shape=shape, operations=operations).raster()


@given(hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_rectangles_cover_once(bad: NDArray[np.bool_]) -> None:
    count = np.zeros(bad.shape, int)
    for x0, x1, y0, y1 in rectangles(bad):
        count[y0:y1, x0:x1] += 1
    assert np.array_equal(count, bad.astype(int))


@given(hnp.arrays(bool, st.tuples(st.just(2), st.integers(1, 7), st.integers(1, 7))))
def test_any_raster_as_lines(bad: NDArray[np.bool_]) -> None:
    pixels = np.where(bad, np.uint32(256), np.uint32(1 << 31))  # bit 31 does not reject
    assert np.array_equal(dials(mask_lines(pixels, "dials"), bad.shape), bad)
    assert np.array_equal(crystfel(mask_lines(pixels, "crystfel"), bad.shape), bad)
    assert np.array_equal(crystfel(mask_lines(pixels, "crystfel", stacked=True), bad.shape, stacked=True), bad)
    assert np.array_equal(xds(mask_lines(pixels[0], "xds"), bad.shape[1:]), bad[0])


numbers = st.integers(-4, 34)
halves = numbers.map(lambda one: one + 0.5)
shapes = st.one_of(
    st.builds(lambda x, y, w, h: Rectangle(x0=x, y0=y, x1=x + w, y1=y + h), numbers, numbers, *[st.floats(0.5, 9)] * 2),
    st.builds(lambda x, y, a, b: Ellipse(x=x, y=y, a=a, b=b), numbers, numbers, st.integers(1, 9), st.integers(1, 9)),
    st.builds(lambda x, y, a: Ellipse(x=x, y=y, a=a, b=a), numbers, numbers, st.integers(1, 9)),
    st.builds(
        lambda points: Polygon(vertices=points),
        st.one_of(
            st.lists(st.tuples(halves, halves), min_size=4, max_size=6, unique=True),
            st.lists(st.tuples(numbers, numbers), min_size=4, max_size=4, unique=True),
        ),
    ),
)


@given(
    st.lists(st.builds(RegionOperation, region=shapes, mode=st.sampled_from(["add", "add", "subtract"])), max_size=3)
)
@settings(deadline=None, max_examples=60)
def test_shapes_as_lines(operations: list[Operation]) -> None:
    pixels = raster(*operations)
    bad = ~good_pixels(pixels)
    found = mask_lines(pixels, "dials", operations=operations)
    assert np.array_equal(dials(found, (1, *SHAPE))[0], bad)
    assert np.array_equal(crystfel(mask_lines(pixels, "crystfel", operations=operations), (1, *SHAPE))[0], bad)
    # A pixel whose centre is on the line of a quadrilateral or ellipse may be on either side; XDS does not say.
    other = xds(mask_lines(pixels, "xds", operations=operations), SHAPE) ^ bad
    for step in operations:
        assert isinstance(step, RegionOperation)
        y, x = np.nonzero(other)
        near = [step.region.moved(dx, dy) for dx in (-1e-6, 1e-6) for dy in (-1e-6, 1e-6)]
        other[y, x] &= np.all([one.contains(x, y) == near[0].contains(x, y) for one in near], axis=0)
    assert not other.any()


def test_forms_keep_shapes_and_names() -> None:
    steps = [
        RegionOperation(name="beam stop", region=Ellipse(x=10, y=9, a=4, b=4)),
        RegionOperation(name="arm", region=Polygon(vertices=[(1.5, 1.5), (8.5, 1.5), (8.5, 4.5), (1.5, 4.5)])),
        RegionOperation(name="corner", region=Rectangle(x0=25, y0=15, x1=99, y1=99)),
        RegionOperation(name="off", region=Ellipse(x=20, y=5, a=2, b=2), enabled=False),
    ]
    found = mask_lines(raster(*steps), "dials", operations=steps)
    assert "# beam stop\nuntrusted {\n  panel = 0\n  circle = 10 9 4\n}" in found
    assert "polygon = 2 2 9 2 9 5 2 5" in found
    assert "# corner\nuntrusted {\n  panel = 0\n  rectangle = 25 30 15 20\n}" in found
    assert "off" not in found
    lines = mask_lines(raster(*steps), "xds", operations=steps).splitlines()
    assert lines[1:3] == ["! beam stop", "UNTRUSTED_ELLIPSE= 7 15 6 14"]
    assert lines[-1] == "UNTRUSTED_RECTANGLE= 2 10 2 6"  # columns 3 to 9 and rows 3 to 5, counted from 1
    named = mask_lines(raster(*steps), "crystfel", operations=steps, panel_names=["q0a1"])
    assert "bad_detcore1/panel = q0a1" in named


def test_edges_of_modules() -> None:
    pixels = raster(EdgesOperation(), shape=(3, *SHAPE))
    assert np.array_equal(dials(mask_lines(pixels, "dials"), pixels.shape), pixels > 0)
    assert mask_lines(pixels, "dials").count("untrusted") == 12


def test_what_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="XDS knows one image, the mask has 2 modules"):
        mask_lines(np.zeros((2, 3, 4), np.uint32), "xds")
    with pytest.raises(ValueError, match="lines for one of dials, xds, crystfel expected, found 'cheetah'"):
        mask_lines(np.zeros((3, 4), np.uint32), "cheetah")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="2 names of panels expected, found 1"):
        mask_lines(np.zeros((2, 3, 4), np.uint32), "crystfel", panel_names=["a"])
    with pytest.raises(ValueError, match="more than 10 separate pieces"):
        rectangles(np.indices((9, 9)).sum(axis=0) % 2 == 0, 10)
