"""One camera: its pixels coloured by a value, with outlines, an ellipse, a ring and marks over them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from bokeh.events import DoubleTap, Press, Tap
from bokeh.models import (
    BasicTicker,
    BoxZoomTool,
    ColorBar,
    ColumnDataSource,
    CustomJSHover,
    FixedTicker,
    HoverTool,
    LinearColorMapper,
    LogColorMapper,
    NoOverlap,
    WheelZoomTool,
)

from dashboard.views.cameraoverlay import Overlay
from dashboard.views.camerashade import NO_VALUE, limits_of, numbers, palette_of, picture_palette
from dashboard.views.channelmap import log_ticks
from dashboard.views.push import push
from dashboard.views.square import Square
from dashboard.views.style import blank, digits, grow
from dashboard.views.viewport import without_math

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bokeh.models import ColorMapper
    from numpy.typing import ArrayLike, NDArray

    from dashboard.views.camerashade import Limits, Scale
    from dashboard.views.pixels import Ellipse, Pixels, Ring

Hover: TypeAlias = "Mapping[str, tuple[ArrayLike, str]]"

DRAWN_ONE_BY_ONE = 5000  # of more pixels a picture is shown
SIDE = 800  # of that picture, points
TIPS = 8  # rows of the hover that come from columns, at most

# What the mouse is over: a polygon, or a point of the picture.
NUMBER = """
const at = special_vars.image_index
const pixel = at == null ? special_vars.index : picture.get_column("index")[0][at.flat_index]
if (pixel == null || pixel < 0) return "-"
if (format == "pixel") return String(pixel)
const [column, ...unit] = format.split(" ")
const found = pixels.get_column(column)?.[pixel]
if (found == null || !Number.isFinite(found)) return "none"
if (unit[0] == "bool") return found ? "yes" : "no"
const shown = Number.isInteger(found) ? found.toLocaleString("en") : String(Number(found.toPrecision(4)))
return [shown, ...unit].join(" ")
"""


class CameraView:
    """A camera whose pixels are drawn once; an event changes their colours only.

    Its methods change Bokeh models, so call them on the loop of the document.

    Parameters
    ----------
    label
        What the colours mean, with the unit.
    like
        A view beside this one: both zoom and pan together.
    tapped
        Called with the pixel that was clicked, or None beside the camera.
    scale, limits
        See `colour`.
    wall
        For a wall display: large text, no toolbar, no hover.

    Examples
    --------
    >>> view = CameraView("Charge (p.e.)")
    >>> view.arrange(pixels_of(camera))  # doctest: +SKIP
    >>> view.show(charge, hover={"Charge": (charge, "p.e."), "Peak time": (time, "ns")})  # doctest: +SKIP
    """

    def __init__(
        self, label: str = "Charge (p.e.)", *, like: CameraView | None = None, tapped: Callable[[int | None], None] | None = None,
        scale: Scale = "linear", limits: Limits = "full", wall: bool = False,
    ) -> None:  # fmt: skip
        self.figure = plot = blank("x (m)", "y (m)", wall=wall, tools="pan,reset,save")
        self.square: Square = Square(plot, like=like.square if like else None)
        plot.xgrid.grid_line_color = plot.ygrid.grid_line_color = None
        for axis in plot.axis:
            axis.major_label_policy = NoOverlap(min_distance=6)
        self.pixels: Pixels | None = None
        self._values: NDArray[np.float32] = np.zeros(0, np.float32)
        self._scale: Scale = scale
        self._wish: Limits = limits
        self._label, self._limits = label, (0.0, 1.0)
        self._drawn: Scale = "linear"
        self._told: dict[str, str] = {}
        self.source = ColumnDataSource({key: [] for key in ("x", "y", "radius", "value")}, name="pixels")
        self.picture = ColumnDataSource(
            {key: [] for key in ("image", "index", "x", "y", "dw", "dh")}, name="camera picture"
        )
        self._draw(wall)
        self.overlay = Overlay(plot, wall=wall)
        if not wall:
            self._add_tools()
        if tapped:
            for clicked in (Tap, DoubleTap, Press):  # fast, twice and slow: all are clicks to a person
                plot.on_event(clicked, lambda event: tapped(self.at(event.x, event.y)))

    def _draw(self, wall: bool) -> None:
        plot = self.figure
        colours = {"palette": palette_of("linear"), "nan_color": NO_VALUE}
        self._mappers: dict[bool, ColorMapper] = {
            False: LinearColorMapper(**colours, low=0, high=1), True: LogColorMapper(**colours, low=1, high=10),
        }  # fmt: skip
        self._polygons = plot.ngon(
            "x", "y", radius="radius", angle=0, n=6, source=self.source, line_color=None,
            fill_color={"field": "value", "transform": self._mappers[False]},
        )  # fmt: skip
        self._image = plot.image(
            "image", "x", "y", "dw", "dh", source=self.picture, visible=False,
            color_mapper=LinearColorMapper(palette=picture_palette("linear"), low=0, high=255),
        )  # fmt: skip
        # One for each kind of scale: a bar keeps the axis, and follows the limits, of the colours that it began with.
        self._bars = {
            log: ColorBar(
                color_mapper=mapper, ticker=FixedTicker(ticks=[]) if log else BasicTicker(desired_num_ticks=6),
                formatter=digits(), width=12, padding=4, label_standoff=6, title_standoff=7, visible=not log,
                title=self._label, major_label_policy=NoOverlap(min_distance=2),
            )
            for log, mapper in self._mappers.items()
        }  # fmt: skip
        for bar in self._bars.values():
            plot.add_layout(bar, "right")
        grow(*self._bars.values(), wall=wall)

    def _add_tools(self) -> None:
        number = CustomJSHover(code=NUMBER, args={"pixels": self.source, "picture": self.picture})
        # the place of the mouse stands for all rows: Bokeh itself writes a value that is not a number
        self._hover = HoverTool(
            renderers=[self._polygons, self._image], tooltips=[("Pixel", "$x{pixel}")], formatters={"$x": number},
            point_policy="follow_mouse",
        )  # fmt: skip
        zoom = WheelZoomTool(zoom_on_axis=False)
        self.figure.add_tools(BoxZoomTool(match_aspect=True), zoom, self._hover)
        self.figure.toolbar.active_scroll = zoom

    @property
    def limits(self) -> tuple[float, float]:
        """Values of the first and the last colour now."""
        return self._limits

    def at(self, x: float, y: float) -> int | None:
        """Return the pixel at a place; None if there is none."""
        return self.pixels.at(x, y) if self.pixels else None

    def arrange(self, pixels: Pixels) -> None:
        """Draw another camera, which has no values yet; nothing happens if it is the same one.

        Parameters
        ----------
        pixels
            Get it from `dashboard.views.pixels.pixels_of`.
        """
        if self.pixels is not None and self.pixels.key == pixels.key:
            return
        self.clear()
        self.pixels = pixels
        self._values = np.full(pixels.count, np.nan, np.float32)
        one_by_one = pixels.count <= DRAWN_ONE_BY_ONE
        x, y = pixels.centres.T.astype(np.float32)
        self._polygons.glyph.update(n=pixels.vertices.shape[1], angle=pixels.turn - math.pi / 2)
        self._polygons.visible, self._image.visible = one_by_one, not one_by_one
        self.source.data = {"x": x, "y": y, "radius": pixels.radius.astype(np.float32), "value": self._values}
        if not one_by_one:
            raster = pixels.raster(SIDE)
            left, right, bottom, top = raster.box
            self.picture.data = {
                "image": [np.zeros(raster.index.shape, np.uint8)], "index": [raster.index], "x": [left], "y": [bottom],
                "dw": [right - left], "dh": [top - bottom],
            }  # fmt: skip
        for axis, label in zip((self.figure.xaxis, self.figure.yaxis), pixels.labels, strict=True):
            axis.axis_label = label
        self.square.hold(pixels.box)

    def clear(self) -> None:
        """Show no camera, and nothing over it."""
        self.pixels, self._values = None, np.zeros(0, np.float32)
        for source in (self.source, self.picture):
            push(source, {key: [] for key in source.data})
        self.figure.title.text = ""
        self.outline(None)
        self.choose(None)
        self.ellipse(None)
        self.ring(None)
        self.mark()

    def show(self, values: ArrayLike, *, title: str = "", label: str | None = None, hover: Hover | None = None) -> None:
        """Colour the pixels; only what changed is sent.

        Parameters
        ----------
        values
            (pixel,); grey where not a number.
        title
            Written above, as plain text.
        label
            Replaces what the colours mean.
        hover
            What the mouse shows besides the number of the pixel and its place: heading -> values (pixel,) and unit; bool
            values become yes and no. None: the values that are drawn.

        Raises
        ------
        ValueError
            There is no camera, not one value for each pixel, or there are too many headings.
        """
        count = self.pixels.count if self.pixels else 0
        self._label = label or self._label
        heading, _, unit = self._label.rstrip(")").partition(" (")
        told = {heading: (values, unit)} if hover is None else hover
        columns = {"value": np.asarray(values, np.float32)}
        units = {}
        for number, (heading, (each, unit)) in enumerate(told.items()):
            array = np.asarray(each)
            columns[f"hover{number}"] = array.astype(np.float32)
            units[heading] = "bool" if array.dtype == bool else unit
        wrong = [array.shape for array in columns.values() if array.shape != (count,)]
        if not count or wrong or len(told) > TIPS:
            msg = f"a camera, a value for each of its {count} pixels and at most {TIPS} headings expected, found {wrong or len(told)}"
            raise ValueError(msg)
        self._values = columns["value"]
        push(self.source, columns)
        if self.figure.title.text != (text := without_math(title)):
            self.figure.title.text = text
        if units != self._told:
            self._told = units
            self._tell()
        self._recolour()

    def _tell(self) -> None:
        if not self.figure.hover:
            return
        unit = self.pixels.unit if self.pixels else ""
        rows = [("Pixel", "$x{pixel}"), (f"x, y ({unit})", "$x{x}, $x{y}")]
        rows += [(heading, f"$x{{hover{at} {unit}}}") for at, (heading, unit) in enumerate(self._told.items())]
        self._hover.tooltips = rows

    def colour(self, *, scale: Scale | None = None, limits: Limits | None = None) -> None:
        """Change how values become colours; None: as before.

        Parameters
        ----------
        scale
            "linear", "log" or "symmetric": two-sided, zero in the middle.
        limits
            "full": lowest and highest value; "robust": without the lowest percent and the highest half percent; or values.
        """
        wanted = (scale or self._scale, limits or self._wish)
        if wanted != (self._scale, self._wish):
            self._scale, self._wish = wanted
            self._recolour()

    def _recolour(self) -> None:
        scale, log = self._scale, self._scale == "log"
        self._limits = low, high = limits_of(self._values, scale, self._wish)
        mapper = self._mappers[log]
        if (mapper.low, mapper.high) != (low, high):
            mapper.update(low=low, high=high)
            if log:
                self._bars[True].ticker.ticks = log_ticks(low, high)
        if self._drawn != scale:  # checking 256 colours takes longer than all the rest
            self._drawn = scale
            mapper.palette = palette_of(scale)
            self._image.glyph.color_mapper.palette = picture_palette(scale)
            self._polygons.glyph.fill_color = {"field": "value", "transform": mapper}
            for logarithmic, bar in self._bars.items():
                bar.visible = logarithmic == log
        if self._bars[log].title != self._label:
            self._bars[log].title = self._label
        if self._image.visible and self.pixels is not None:
            codes = numbers(self._values, scale, (low, high))
            push(self.picture, {"image": [codes[self.pixels.raster(SIDE).index]]})

    def outline(self, selected: NDArray[np.bool_] | None) -> None:
        """Draw a line around selected pixels, (pixel,) bool; None: no line."""
        self.overlay.outline(self.pixels, selected)

    def choose(self, pixel: int | None) -> None:
        """Draw a thick line around one pixel, or none."""
        self.overlay.choose(self.pixels, pixel)

    def ellipse(self, ellipse: Ellipse | None) -> None:
        """Draw an ellipse with its axis and centre, or none; see `Ellipse.of`."""
        self.overlay.ellipse(ellipse)

    def ring(self, ring: Ring | None) -> None:
        """Draw a circle, or none."""
        self.overlay.ring(ring)

    def mark(self, *, dead: NDArray[np.bool_] | None = None, noisy: NDArray[np.bool_] | None = None) -> None:
        """Mark pixels, each (pixel,) bool; None: none of that kind."""
        self.overlay.mark(self.pixels, "dead", dead)
        self.overlay.mark(self.pixels, "noisy", noisy)
