"""Views of cameras and of the array as Bokeh models: places, colours, what is sent, what a click means; no browser."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from bokeh.core.validation import check_integrity
from bokeh.document import Document
from bokeh.events import Tap

from dashboard.views.arrayview import CORE, OPTICS, SMALLEST, ArrayView
from dashboard.views.camera import DRAWN_ONE_BY_ONE, CameraView
from dashboard.views.cameragrid import FAINTEST, CameraGrid, Tile
from dashboard.views.cameraoverlay import WORDS
from dashboard.views.camerashade import MISSING, NO_VALUE, OUTSIDE, limits_of, numbers, picture_palette
from dashboard.views.channelmap import DIVERGING, SEQUENTIAL
from dashboard.views.pixels import CLOSED, Ellipse, Pixels, Ring, pixels_of
from dashboard.views.viewport import inner_size
from detcore.dl1 import Camera, camera_of_positions

if TYPE_CHECKING:
    from collections.abc import Callable

    from bokeh.models import Model
    from numpy.typing import NDArray

    from dashboard.views.square import Square

RNG = np.random.default_rng(11)
FOCAL = 28.0


def hexagons(rings: int = 6, *, turn: float = 19.1, focal_length: float = FOCAL) -> Camera:
    """A hexagonal camera whose grid is turned, 5 cm from pixel to pixel."""
    q, r = np.mgrid[-rings : rings + 1, -rings : rings + 1].reshape(2, -1)
    near = abs(q + r) <= rings
    x, y = (q + r / 2)[near] * 0.05, (r * np.sqrt(3) / 2)[near] * 0.05
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    return camera_of_positions("HexCam", c * x - s * y + 0.02, s * x + c * y, focal_length)


def squares(side: int = 8, *, gap: float = 0.0) -> Camera:
    """A square camera in two modules with a gap between them, 1 cm from pixel to pixel."""
    columns, rows = np.meshgrid(np.arange(side), np.arange(side))
    x = columns * 0.01 + np.where(columns >= side // 2, gap, 0)
    x, y, area = (np.asarray(each, np.float64).ravel() for each in (x, rows * 0.01, np.full(x.shape, 1e-4)))
    return Camera("SquareCam", x, y, area, "square", 0.0, 2.0)


def circles() -> Camera:
    """Round pixels on a hexagonal grid."""
    grid = hexagons(3)
    return Camera("Round", grid.pixel_x, grid.pixel_y, grid.pixel_area, "circle", 0.0, 5.0)


CAMERAS: dict[str, Callable[[], Camera]] = {
    "hexagons": hexagons,
    "hexagons along y": lambda: hexagons(4, turn=30.0),
    "squares": squares,
    "squares with a gap": lambda: squares(gap=0.003),
    "circles": circles,
}


@pytest.fixture(params=CAMERAS)
def camera(request: pytest.FixtureRequest) -> Camera:
    return CAMERAS[request.param]()


def drawn_polygons(view: CameraView) -> NDArray[np.float64]:
    """(pixel, corner, 2) as the browser draws them: the first corner stands above the centre, turned by the angle."""
    glyph, data = view._polygons.glyph, view.source.data
    turn = glyph.angle + np.pi / 2 + 2 * np.pi / glyph.n * np.arange(glyph.n)
    corners = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    centres = np.stack([data["x"], data["y"]], axis=-1)
    return np.asarray(centres[:, None] + np.asarray(data["radius"])[:, None, None] * corners)


def whole(*models: Model) -> None:
    """A document can be made of them, and Bokeh finds nothing wrong with it."""
    document = Document()
    for model in models:
        document.add_root(model)
    document.to_json()
    found = check_integrity(document.models)
    document.clear()
    assert not found.error
    assert not found.warning


def shown_in_legend(items: dict[str, Any]) -> set[str]:
    return {name for name, item in items.items() if item.visible}


# --- where pixels are


def test_metres_are_those_of_the_camera_and_degrees_have_swapped_axes(camera: Camera) -> None:
    metres, degrees = pixels_of(camera, angles=False), pixels_of(camera, angles=True)
    np.testing.assert_allclose(metres.centres, np.stack([camera.pixel_x, camera.pixel_y], axis=-1), atol=1e-12)
    np.testing.assert_allclose(degrees.centres, np.stack(camera.telescope_frame(), axis=-1), atol=1e-9)
    assert metres.labels == ("x (m)", "y (m)")
    assert degrees.labels == ("FoV longitude (deg)", "FoV latitude (deg)")
    for pixels in (metres, degrees):
        around = pixels.vertices - pixels.centres[:, None]
        ahead = np.roll(around, -1, axis=1)
        assert (around[..., 0] * ahead[..., 1] - around[..., 1] * ahead[..., 0] > 0).all()  # counter-clockwise
        left, right, bottom, top = pixels.box
        x, y = pixels.vertices.reshape(-1, 2).T
        assert left < x.min() < x.max() < right
        assert bottom < y.min() < y.max() < top
        assert right - left == pytest.approx(top - bottom)


def test_degrees_need_a_focal_length_and_are_the_choice_if_there_is_one() -> None:
    blind = hexagons(2, focal_length=math.nan)
    assert not pixels_of(blind).angles
    assert pixels_of(hexagons(2)).angles
    with pytest.raises(ValueError, match="HexCam has no focal length"):
        pixels_of(blind, angles=True)


def test_the_same_camera_is_worked_out_once() -> None:
    assert pixels_of(hexagons(3)) is pixels_of(hexagons(3))
    assert pixels_of(hexagons(3)) is not pixels_of(hexagons(3), angles=False)
    assert pixels_of(hexagons(3)).key != pixels_of(hexagons(3, focal_length=16.0)).key


def test_a_place_belongs_to_the_pixel_that_is_drawn_there(camera: Camera) -> None:
    pixels = pixels_of(camera)
    off = 0.5 * pixels.radius[:, None] * np.array([math.cos(1.0), math.sin(1.0)])
    assert [pixels.at(x, y) for x, y in pixels.centres + off] == list(range(pixels.count))
    left, _, bottom, _ = pixels.box
    assert pixels.at(left - 1, bottom) is None
    assert pixels.at(math.nan, 0.0) is None


def test_the_outline_goes_around_what_is_selected() -> None:
    pixels = pixels_of(hexagons())
    neighbours = hexagons().neighbours
    one = np.arange(pixels.count) == 60
    assert len(pixels.outline(one).x0) == 6
    two = one.copy()
    two[neighbours.indices[neighbours.indptr[60]]] = True
    assert len(pixels.outline(two).x0) == 10
    assert len(pixels.outline(np.zeros(pixels.count, bool)).x0) == 0
    x0, y0, x1, y1 = pixels.outline(two)
    ends = np.round(np.concatenate([np.stack([x0, y0], 1), np.stack([x1, y1], 1)]), 4)
    _, counts = np.unique(ends, axis=0, return_counts=True)
    assert (counts == 2).all()  # it is closed


def test_all_pixels_have_one_outer_border(camera: Camera) -> None:
    pixels = pixels_of(camera)
    selected = np.ones(pixels.count, bool)
    corners = pixels.vertices.shape[1]
    neighbours = np.diff(camera.neighbours.indptr)
    # circles touch nowhere: each is drawn whole
    expected = corners * pixels.count - (0 if corners > 6 else neighbours.sum())
    assert len(pixels.outline(selected).x0) == expected


@pytest.mark.parametrize("side", [48, 200])
def test_the_picture_shows_the_nearest_pixel_and_no_gaps(camera: Camera, side: int) -> None:
    pixels = pixels_of(camera)
    raster = pixels.raster(side)
    assert raster.index.shape == (side, side)
    left, right, bottom, _ = raster.box
    step = (right - left) / side
    column, row = (np.floor((pixels.centres - (left, bottom)) / step).astype(int)).T
    assert raster.index[row, column].tolist() == list(range(pixels.count))
    rows, columns = np.indices((side, side))
    x, y = left + (columns + 0.5) * step, bottom + (rows + 0.5) * step
    away = np.hypot(x[..., None] - pixels.centres[:, 0], y[..., None] - pixels.centres[:, 1])
    nearest, distance = away.argmin(axis=-1), away.min(axis=-1)
    inner = math.cos(math.pi / pixels.vertices.shape[1]) * pixels.radius
    inside = distance < 0.8 * inner[nearest]
    assert (raster.index[inside] == nearest[inside]).all()
    outer = np.maximum(CLOSED * pixels.radius, pixels.radius + 2 * step)
    assert (raster.index[distance > outer[nearest]] == -1).all()


def test_a_small_gap_between_pixels_is_closed_in_the_picture() -> None:
    camera = hexagons()
    thin = Camera("Thin", camera.pixel_x, camera.pixel_y, 0.9 * camera.pixel_area, "hexagon", 0.0, FOCAL)
    pixels = pixels_of(thin)
    raster = pixels.raster(300)
    left, right, bottom, _ = raster.box
    rows, columns = np.indices(raster.index.shape)
    step = (right - left) / 300
    middle = pixels.centres.mean(axis=0)
    away = np.hypot(left + (columns + 0.5) * step - middle[0], bottom + (rows + 0.5) * step - middle[1])
    assert (raster.index[away < 0.35 * (right - left)] >= 0).all()


# --- ellipses


def test_an_ellipse_is_the_same_in_metres_and_degrees() -> None:
    camera = hexagons()
    metres, degrees = pixels_of(camera, angles=False), pixels_of(camera, angles=True)
    sky = {
        "hillas_fov_lon": 0.3,
        "hillas_fov_lat": -0.1,
        "hillas_length": 0.2,
        "hillas_width": 0.05,
        "hillas_psi": 25.0,
    }
    drawn = Ellipse.of(sky, degrees)
    assert drawn == Ellipse(0.3, -0.1, 0.2, 0.05, 25.0)
    other = Ellipse.of(sky, metres, FOCAL)
    assert drawn is not None
    assert other is not None
    turn = np.linspace(0, 2 * np.pi, 13)
    along, across = drawn.length * np.cos(turn), drawn.width * np.sin(turn)
    c, s = math.cos(math.radians(drawn.psi)), math.sin(math.radians(drawn.psi))
    lon, lat = drawn.x + c * along - s * across, drawn.y + s * along + c * across
    x, y = FOCAL * np.radians(lat) - other.x, FOCAL * np.radians(lon) - other.y
    c, s = math.cos(math.radians(other.psi)), math.sin(math.radians(other.psi))
    np.testing.assert_allclose(((c * x + s * y) / other.length) ** 2 + ((c * y - s * x) / other.width) ** 2, 1)
    values = zip(
        ("x", "y", "length", "width", "psi"), (other.x, other.y, other.length, other.width, other.psi), strict=True
    )
    back = Ellipse.of({f"camera_frame_hillas_{name}": value for name, value in values}, degrees, FOCAL)
    assert back is not None
    np.testing.assert_allclose([back.x, back.y, back.length, back.width, back.psi], [0.3, -0.1, 0.2, 0.05, 25.0])


@pytest.mark.parametrize("parameters", [{}, {"hillas_fov_lon": 1.0}, dict.fromkeys(
    ("hillas_fov_lon", "hillas_fov_lat", "hillas_length", "hillas_width", "hillas_psi"), math.nan)])  # fmt: skip
def test_there_is_no_ellipse_without_parameters(parameters: dict[str, float]) -> None:
    assert Ellipse.of(parameters, pixels_of(hexagons())) is None


def test_metres_without_a_focal_length_have_no_ellipse_of_degrees() -> None:
    names = ("hillas_fov_lon", "hillas_fov_lat", "hillas_length", "hillas_width", "hillas_psi")
    assert Ellipse.of(dict.fromkeys(names, 0.1), pixels_of(hexagons(), angles=False)) is None


# --- colours


def test_limits() -> None:
    values = np.array([np.nan, -3.0, 0.0, 1.0, 8.0, np.inf])
    assert limits_of(values, "linear", "full") == (-3.0, 8.0)
    assert limits_of(values, "symmetric", "full") == (-8.0, 8.0)
    assert limits_of(values, "log", "full") == (1.0, 8.0)
    assert limits_of(values, "log", (0.0, 100.0)) == (1.0, 100.0)
    assert limits_of(values, "linear", (2.0, 3.0)) == (2.0, 3.0)
    assert limits_of(values, "symmetric", (-1.0, 3.0)) == (-3.0, 3.0)
    assert limits_of(values, "linear", (3.0, 2.0)) == (-3.0, 8.0)  # useless ones are as good as none
    many = np.append(np.linspace(0, 1, 10_001), 1e6)
    low, high = limits_of(many, "linear", "robust")
    assert low > 0
    assert high < 1.01
    for scale in ("linear", "log", "symmetric"):
        for nothing in (np.full(3, np.nan), np.zeros(3), np.full(3, 7.0)):
            low, high = limits_of(nothing, scale, "full")
            assert math.isfinite(low)
            assert low < high
            assert scale != "log" or low > 0


def test_palette_numbers_tell_outside_missing_and_values_apart() -> None:
    found = numbers(np.array([np.nan, -1.0, 0.0, 10.0, 99.0]), "linear", (0.0, 10.0))
    assert found.tolist() == [MISSING, 2, 2, 255, 255, OUTSIDE]
    palette = picture_palette("linear")
    assert len(palette) == 256
    assert palette[OUTSIDE].endswith("00")
    assert palette[MISSING] == NO_VALUE
    assert (palette[2], palette[255]) == (SEQUENTIAL[0], SEQUENTIAL[-1])
    assert numbers(np.array([0.0, 1.0, 10.0]), "log", (1.0, 10.0)).tolist() == [2, 2, 255, OUTSIDE]


# --- one camera


def test_polygons_are_drawn_where_the_pixels_are(camera: Camera) -> None:
    for angles in (False, True):
        pixels, view = pixels_of(camera, angles=angles), CameraView()
        view.arrange(pixels)
        view.show(np.arange(pixels.count))
        drawn = drawn_polygons(view)
        size = pixels.radius.max()
        for polygon, expected in zip(drawn, pixels.vertices, strict=True):
            away = np.hypot(*(polygon[:, None] - expected[None]).T).min(axis=1)
            assert (away < 1e-4 * size + 1e-6).all()
        assert view.figure.xaxis[0].axis_label == pixels.labels[0]
        assert view.figure.yaxis[0].axis_label == pixels.labels[1]


def test_an_event_sends_only_what_changed() -> None:
    pixels, view = pixels_of(hexagons()), CameraView()
    view.arrange(pixels)
    charge, time = RNG.normal(0, 1, (2, pixels.count))
    view.show(charge, title="one", hover={"Charge": (charge, "p.e."), "Peak time": (time, "ns")})
    sent: list[Any] = []
    held = view.source.data

    def update(columns: dict[str, Any]) -> None:
        sent.append(sorted(columns))
        dict.update(held, columns)

    held.update = update
    view.arrange(pixels_of(hexagons()))
    view.show(charge + 1, title="two", hover={"Charge": (charge + 1, "p.e."), "Peak time": (time, "ns")})
    assert sent == [["hover0", "value"]]
    view.show(charge + 1, title="two", hover={"Charge": (charge + 1, "p.e."), "Peak time": (time, "ns")})
    assert len(sent) == 1


def test_values_travel_as_float32_in_order() -> None:
    pixels, view = pixels_of(hexagons()), CameraView()
    view.arrange(pixels)
    charge = RNG.normal(0, 1, pixels.count)
    charge[3] = np.nan
    view.show(charge)
    assert view.source.data["value"].dtype == np.float32
    np.testing.assert_array_equal(view.source.data["value"], charge.astype(np.float32))
    assert view.limits == pytest.approx((float(np.nanmin(charge)), float(np.nanmax(charge))))


def test_the_mouse_shows_number_place_and_what_is_given() -> None:
    pixels, view = pixels_of(hexagons()), CameraView("Charge (p.e.)")
    view.arrange(pixels)
    values = np.arange(pixels.count, dtype=float)
    view.show(values)
    assert view._hover.tooltips == [
        ("Pixel", "$x{pixel}"),
        ("x, y (deg)", "$x{x}, $x{y}"),
        ("Charge", "$x{hover0 p.e.}"),
    ]
    kept = values > 50
    view.show(values, hover={"Charge": (values, "p.e."), "Time": (values / 2, "ns"), "Kept": (kept, "")})
    assert view._hover.tooltips[2:] == [
        ("Charge", "$x{hover0 p.e.}"), ("Time", "$x{hover1 ns}"), ("Kept", "$x{hover2 bool}"),
    ]  # fmt: skip
    np.testing.assert_array_equal(view.source.data["hover2"], kept.astype(np.float32))
    assert not CameraView(wall=True).figure.hover


@pytest.mark.parametrize("count", [0, 126, 128])
def test_values_of_another_camera_are_refused(count: int) -> None:
    view = CameraView()
    with pytest.raises(ValueError, match="a camera"):
        view.show(np.zeros(count))
    view.arrange(pixels_of(hexagons()))
    with pytest.raises(ValueError, match=rf"127 pixels.*\({count},\)"):
        view.show(np.zeros(count))
    with pytest.raises(ValueError, match="127 pixels"):
        view.show(np.zeros(127), hover={"Time": (np.zeros(count), "ns")})


def test_titles_from_files_are_text() -> None:
    view = CameraView()
    view.arrange(pixels_of(hexagons()))
    view.show(np.zeros(127), title="$$x$$")
    assert view.figure.title.text != "$$x$$"


def test_scales() -> None:
    view = CameraView("Charge (p.e.)")
    view.arrange(pixels_of(hexagons()))
    view.show(np.linspace(-5, 100, 127))
    for scale, limits in (("log", (1.0, 100.0)), ("symmetric", (-100.0, 100.0)), ("linear", (-5.0, 100.0))):
        view.colour(scale=scale)  # type: ignore[arg-type]
        mapper = view._polygons.glyph.fill_color.transform
        assert type(mapper).__name__ == ("LogColorMapper" if scale == "log" else "LinearColorMapper")
        assert (mapper.low, mapper.high) == pytest.approx(limits, rel=1e-6)
        assert list(mapper.palette) == list(DIVERGING if scale == "symmetric" else SEQUENTIAL)
        seen = [bar for bar in view._bars.values() if bar.visible]
        assert [bar.color_mapper for bar in seen] == [mapper]
        assert seen[0].title == "Charge (p.e.)"
    view.colour(limits=(0.0, 7.0))
    assert view.limits == (0.0, 7.0)
    view.show(np.linspace(0, 1, 127), label="Share")
    assert view.limits == (0.0, 7.0)
    assert next(bar for bar in view._bars.values() if bar.visible).title == "Share"


def test_another_camera_forgets_what_was_drawn_over_the_first() -> None:
    view = CameraView()
    view.arrange(pixels_of(hexagons()))
    kept = np.arange(127) < 9
    view.show(np.arange(127))
    view.outline(kept)
    view.ellipse(Ellipse(0, 0, 0.2, 0.1, 30))
    view.ring(Ring(0.1, 0.2, 0.3))
    view.mark(dead=kept, noisy=~kept)
    view.choose(5)
    overlay = view.overlay
    assert shown_in_legend(overlay._items) == set(WORDS)
    assert overlay._legend.visible
    assert overlay.fitted.data["length"] == [0.4]
    assert overlay.fitted.data["angle"] == [pytest.approx(math.radians(30))]
    assert overlay.ringed.data == {"x": [0.1], "y": [0.2], "radius": [0.3]}
    assert (len(overlay.marked["dead"].data["x"]), len(overlay.marked["noisy"].data["x"])) == (9, 118)
    np.testing.assert_allclose(overlay.marked["dead"].data["x"], pixels_of(hexagons()).centres[:9, 0], rtol=1e-6)
    assert len(overlay.chosen.data["x0"]) == 6
    assert len(overlay.kept.data["x0"]) > 6
    whole(view.figure)
    view.arrange(pixels_of(squares()))
    assert view._polygons.glyph.n == 4
    assert len(view.source.data["x"]) == 64
    sources = (overlay.kept, overlay.chosen, overlay.fitted, overlay.ringed, *overlay.marked.values())
    assert not [source.name for source in sources if any(len(column) for column in source.data.values())]
    assert not shown_in_legend(overlay._items)
    assert not overlay._legend.visible
    whole(view.figure)


def test_the_axis_goes_through_the_centre_at_its_angle() -> None:
    x0, y0, x1, y1 = Ellipse(1.0, 2.0, 0.5, 0.1, 60.0).axis
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((1.0, 2.0))
    assert math.degrees(math.atan2(y1 - y0, x1 - x0)) == pytest.approx(60.0)
    assert math.hypot(x1 - x0, y1 - y0) > 2 * 0.5


def test_a_click_means_the_pixel_below_it() -> None:
    clicked: list[int | None] = []
    view = CameraView(tapped=clicked.append)
    view.figure._trigger_event(Tap(view.figure, sx=0, sy=0, x=0.0, y=0.0))  # nothing is drawn yet
    pixels = pixels_of(hexagons())
    view.arrange(pixels)
    for x, y in (pixels.centres[17], (99.0, 0.0)):
        view.figure._trigger_event(Tap(view.figure, sx=0, sy=0, x=x, y=y))
    assert clicked == [None, 17, None]


def test_views_beside_each_other_share_their_ranges() -> None:
    one = CameraView()
    other = CameraView("Peak time (ns)", like=one)
    assert one.figure.x_range is other.figure.x_range
    assert one.figure.y_range is other.figure.y_range
    assert one.square.script is other.square.script
    assert one.square.script.args["plots"] == [one.figure, other.figure]
    pixels = pixels_of(hexagons())
    one.arrange(pixels)
    one.figure.x_range.update(start=0.0, end=0.1)  # as a wheel does
    other.arrange(pixels)
    assert (one.figure.x_range.start, one.figure.x_range.end) == (0.0, 0.1)
    whole(one.figure, other.figure)


def test_many_pixels_are_a_picture() -> None:
    side = 72
    camera = squares(side)
    assert camera.n_pixels > DRAWN_ONE_BY_ONE
    pixels, view = pixels_of(camera), CameraView()
    view.arrange(pixels)
    values = np.arange(camera.n_pixels, dtype=float)
    values[100] = np.nan
    view.show(values)
    assert view._image.visible
    assert not view._polygons.visible
    image, index = view.picture.data["image"][0], view.picture.data["index"][0]
    assert image.dtype == np.uint8
    expected = numbers(values, "linear", (0.0, values[-1]))
    np.testing.assert_array_equal(image, expected[index])
    assert set(image[index == 100]) == {MISSING}
    assert set(image[index == -1]) == {OUTSIDE}
    left, _, bottom, _ = pixels.box
    assert (view.picture.data["x"], view.picture.data["y"]) == ([left], [bottom])
    whole(view.figure)
    view.colour(scale="symmetric")
    assert view._image.glyph.color_mapper.palette[2] == DIVERGING[0]
    view.arrange(pixels_of(hexagons()))
    assert view._polygons.visible
    assert not view._image.visible
    assert len(view.picture.data["image"]) == 0


def test_clear() -> None:
    view = CameraView()
    view.arrange(pixels_of(hexagons()))
    view.show(np.arange(127), title="x")
    view.clear()
    assert view.pixels is None
    assert view.figure.title.text == ""
    assert not any(len(column) for column in view.source.data.values())
    view.colour(scale="log")
    view.arrange(pixels_of(hexagons()))
    view.show(np.arange(127))
    assert len(view.source.data["value"]) == 127


# --- all cameras of an event


def tiles(count: int, *, scale: float = 1.0) -> list[Tile]:
    kinds: list[Pixels] = [pixels_of(hexagons()), pixels_of(squares())]
    found = []
    for number in range(count):
        pixels = kinds[number % 2]
        x, y = pixels.centres.mean(axis=0)
        values = scale * (number + 1) * np.linspace(0, 1, pixels.count)
        found.append(Tile(100 + number, f"LST {number}", pixels, values, Ellipse(x, y, 0.1, 0.05, 30), "words"))
    return found


@pytest.mark.parametrize("count", [1, 2, 5, 40, 150])
def test_each_tile_is_found_where_it_is_drawn(count: int) -> None:
    clicked: list[int | None] = []
    grid = CameraGrid(tapped=clicked.append)
    grid.show(tiles(count), title="$$event$$")
    assert grid.figure.title.text != "$$event$$"
    data = grid.tiles.data
    middle = zip((data["left"] + data["right"]) / 2, (data["bottom"] + data["top"]) / 2, strict=True)
    assert [grid.at(x, y) for x, y in middle] == list(range(100, 100 + count))
    assert grid.at(-0.5, -0.5) is None
    assert grid.at(math.nan, -0.5) is None
    assert grid.at(0.5, 0.5) is None
    grid.figure._trigger_event(Tap(grid.figure, sx=0, sy=0, x=0.5, y=-0.5))
    assert clicked == [100]
    whole(grid.figure)


@pytest.mark.parametrize("common", [False, True])
def test_the_picture_of_a_tile_is_its_camera(common: bool) -> None:
    grid = CameraGrid(common=common)
    shown = tiles(5)
    grid.show(shown)
    source, data = grid.source.data, grid.tiles.data
    image = source["image"][0]
    columns = round(source["dw"][0])
    side = image.shape[1] // columns
    per_unit = image.shape[0] / source["dh"][0]
    assert per_unit == pytest.approx(side)  # pixels of the picture are square
    ellipses = grid.ellipses.data
    for number, tile in enumerate(shown):
        column = round(data["left"][number] - 0.01)
        low = round((data["bottom"][number] - 0.01 - source["y"][0]) * per_unit)
        block = image[low : low + side, column * side : (column + 1) * side]
        scaled = np.asarray(tile.values) / (5.0 if common else tile.values.max())
        expected = numbers(scaled, "linear", (0.0, 1.0))[tile.pixels.raster(side).index]
        np.testing.assert_array_equal(block, expected)
        # the ellipse lies on the middle of the camera, and is as large as there
        left, right, bottom, _ = tile.pixels.box
        assert tile.ellipse is not None
        place = (tile.ellipse.x - left) / (right - left), (tile.ellipse.y - bottom) / (right - left)
        assert ellipses["x"][number] - column == pytest.approx(place[0])
        assert ellipses["y"][number] - source["y"][0] - low / per_unit == pytest.approx(place[1])
        assert ellipses["length"][number] == pytest.approx(0.2 / (right - left))
    bar = next(bar for bar in grid._bars.values() if bar.visible)
    assert bar.title == ("Charge (p.e.)" if common else "Share of the brightest pixel")
    assert (bar.color_mapper.low, bar.color_mapper.high) == ((0.0, 5.0) if common else (0.0, 1.0))
    assert data["brightest"].tolist() == [1, 2, 3, 4, 5]


def test_a_grid_can_be_logarithmic() -> None:
    grid = CameraGrid()
    grid.show(tiles(3))
    grid.colour(scale="log")
    bar = next(bar for bar in grid._bars.values() if bar.visible)
    assert type(bar.color_mapper).__name__ == "LogColorMapper"
    assert (bar.color_mapper.low, bar.color_mapper.high) == (FAINTEST, 1.0)
    grid.colour(common=True)
    assert bar.color_mapper.high == 3.0


def test_tiles_that_have_no_light_or_no_values_are_drawn() -> None:
    grid, pixels = CameraGrid(), pixels_of(hexagons())
    grid.show([Tile(1, "dark", pixels, np.full(127, -1.0)), Tile(2, "none", pixels, np.full(127, np.nan))])
    codes = np.unique(grid.source.data["image"][0])
    assert codes.tolist() == [OUTSIDE, MISSING, 2]
    assert len(grid.ellipses.data["x"]) == 0


def test_a_title_without_room_becomes_the_key() -> None:
    grid, pixels = CameraGrid(), pixels_of(hexagons())
    many = [Tile(number, f"Telescope with a long name {number}", pixels, np.zeros(127)) for number in range(150)]
    grid.show(many)
    assert grid.tiles.data["text"][:2] == ["0", "1"]
    assert grid.tiles.data["title"][1] == "Telescope with a long name 1"
    grid.show(many[:1])
    assert grid.tiles.data["text"] == ["Telescope with a long name 0"]


def test_the_frame_stays_at_the_chosen_tile() -> None:
    grid = CameraGrid()
    grid.show(tiles(4))
    grid.choose(102)
    assert grid.tiles.data["line"] == [0, 0, 3, 0]
    grid.show(tiles(6))
    assert grid.tiles.data["line"] == [0, 0, 3, 0, 0, 0]
    grid.choose(None)
    assert not any(grid.tiles.data["line"])


def test_the_grid_is_arranged_for_the_place_it_has() -> None:
    grid = CameraGrid()
    grid.show(tiles(8))
    assert inner_size(grid.figure) is None
    for size, columns in (((1600, 200), 8), ((200, 1600), 1), ((800, 460), 4)):
        for side, value in zip(("inner_width", "inner_height"), size, strict=True):
            grid.figure.set_from_json(side, value)  # as from the browser
        grid._resized()
        assert grid.source.data["dw"] == [columns]
    grid.clear()
    grid._resized()
    assert not any(
        len(column) for source in (grid.source, grid.tiles, grid.ellipses) for column in source.data.values()
    )


# --- the array


def array() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "name": ["LST", "LST", "<b>MST</b>", "SST", "new"], "type": ["LST_LSTCam"] * 5,
            "x": [0.0, 100.0, -300.0, 250.0, 40.0], "y": [10.0, -50.0, 200.0, 90.0, 300.0],
            "focal_length": [29.2, 29.2, 16.4, 2.3, math.nan],
        },
        index=pd.Index([1, 2, 7, 30, 31], name="tel_id"),
    )  # fmt: skip


def test_telescopes_with_and_without_image() -> None:
    view = ArrayView()
    view.show(array(), {2: 500.0, 30: 20.0, 31: math.nan}, title="$$array$$")
    data = view.telescopes.data
    assert list(data["tel_id"]) == [2, 30, 31]
    assert list(data["x"]) == [100.0, 250.0, 40.0]
    assert data["label"] == ["2", "30", "31"]
    np.testing.assert_array_equal(data["intensity"], [500.0, 20.0, math.nan])
    assert list(view.others.data["tel_id"]) == [1, 7]
    assert view.others.data["name"] == ["LST", "<b>MST</b>"]
    assert (view._mapper.low, view._mapper.high) == (20.0, 500.0)
    sizes = dict(zip(data["tel_id"], data["size"], strict=True))
    assert OPTICS[1][0] < sizes[30] < sizes[31] < sizes[2] <= OPTICS[1][-1]
    for side in ("inner_width", "inner_height"):
        view.figure.set_from_json(side, 240)  # as from the browser
    view._resized()
    assert view.telescopes.data["size"].tolist() == pytest.approx([0.6 * sizes[key] for key in (2, 30, 31)])
    assert (view.telescopes.data["offset"] > view.telescopes.data["size"] / 2).all()
    assert view.figure.title.text != "$$array$$"
    whole(view.figure)
    templates = [template for hover in view.figure.hover for _, template in hover.tooltips]
    assert templates
    assert not [template for template in templates if "safe" in template]


def test_axes_go_through_their_points_at_their_angles() -> None:
    view = ArrayView()
    view.show(array(), {1: 9.0}, axes=[(0.0, 10.0, 30.0), (100.0, -50.0, 90.0), (1.0, math.nan, 0.0)])
    data = view.axes.data
    assert len(data["x0"]) == 2
    np.testing.assert_allclose((data["x0"] + data["x1"]) / 2, [0.0, 100.0], atol=1e-9)
    np.testing.assert_allclose((data["y0"] + data["y1"]) / 2, [10.0, -50.0], atol=1e-9)
    angle = np.degrees(np.arctan2(data["y1"] - data["y0"], data["x1"] - data["x0"]))
    np.testing.assert_allclose(angle, [30.0, 90.0])
    left, right, _, _ = view._square.box
    assert (np.hypot(data["x1"] - data["x0"], data["y1"] - data["y0"]) > right - left).all()
    assert shown_in_legend(view._items) == {"axes"}
    view.show(array(), {})
    assert not shown_in_legend(view._items)
    assert not view._legend.visible


def test_impact_points_are_marked_and_have_room_unless_far_away() -> None:
    view = ArrayView()
    view.show(array(), {})
    home = view._square.box
    view.show(array(), {}, core=(0.0, 0.0), true_core=(10.0, 20.0))
    assert view._square.box == home  # the view stands still
    assert view.cores["found"].data == {"x": [0.0], "y": [0.0], "size": [CORE]}
    assert view.cores["true"].data == {"x": [10.0], "y": [20.0], "size": [CORE]}
    assert shown_in_legend(view._items) == {"found", "true"}
    view.show(array(), {}, true_core=(700.0, 0.0))
    left, right, bottom, top = view._square.box
    assert left < -300
    assert right > 700
    assert right - left == pytest.approx(top - bottom)
    assert len(view.cores["found"].data["x"]) == 0
    view.show(array(), {}, core=(1e5, 0.0), true_core=(math.nan, 0.0))
    assert view._square.box == home
    assert len(view.cores["true"].data["x"]) == 0
    view.show(array().iloc[:1], {})
    left, right, _, _ = view._square.box
    assert (right - left) / 2 == SMALLEST


def test_a_click_means_the_telescope_near_it_and_the_ring_stays() -> None:
    clicked: list[int | None] = []
    view = ArrayView(tapped=clicked.append)
    assert view.at(0.0, 0.0) is None
    view.show(array(), {1: 5.0, 7: 3.0})
    for x, y in ((3.0, 12.0), (-295.0, 195.0), (-300.0, -200.0)):
        view.figure._trigger_event(Tap(view.figure, sx=0, sy=0, x=x, y=y))
    assert clicked == [1, 7, None]
    view.choose(7)
    assert list(view.telescopes.data["line"]) == [0, 3]
    view.show(array(), {1: 5.0})
    assert list(view.telescopes.data["line"]) == [0]
    assert list(view.others.data["line"]) == [0, 3, 0, 0]
    view.clear()
    assert view.at(3.0, 12.0) is None
    assert not any(len(column) for column in (*view.telescopes.data.values(), *view.others.data.values()))
    whole(view.figure)


# --- ranges


def test_the_zoom_stays_until_something_else_is_to_be_held() -> None:
    view = CameraView()
    square: Square = view.square
    square.hold((0.0, 2.0, 0.0, 2.0))
    square.x.update(start=0.5, end=1.0)
    square.hold((0.0, 2.0, 0.0, 2.0))
    assert (square.x.start, square.x.end) == (0.5, 1.0)
    square.hold((0.0, 4.0, 0.0, 4.0))
    assert (square.x.start, square.x.end, square.x.reset_end) == (0.0, 4.0, 4.0)
    assert square.box == (0.0, 4.0, 0.0, 4.0)
