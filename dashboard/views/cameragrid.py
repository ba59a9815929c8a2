"""All cameras of one event side by side, as one picture: numbers of pixels are looked up in a raster of each kind of camera."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.events import DoubleTap, Press, Tap
from bokeh.models import (
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    FixedTicker,
    HoverTool,
    LinearColorMapper,
    LogColorMapper,
    NoOverlap,
)

from dashboard.views.cameraoverlay import DARK, FITTED, FONT
from dashboard.views.camerashade import limits_of, numbers, palette_of, picture_palette
from dashboard.views.channelmap import log_ticks
from dashboard.views.push import push
from dashboard.views.square import Square
from dashboard.views.style import ACCENT, MUTED, blank, digits, grow
from dashboard.views.viewport import Viewport, inner_size, without_math

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bokeh.models import ColorMapper
    from numpy.typing import NDArray

    from dashboard.views.camerashade import Scale
    from dashboard.views.pixels import Ellipse, Pixels

SIDES = (176, 128, 96, 64, 48)  # points of one camera along either side: few sizes, so that the rasters are found again
POINTS = 1 << 20  # of the whole picture, at most
HEADING = 0.18  # of a tile's side, for its title
SHAPE = (640, 400)  # of the figure before the browser told it, px
FAINTEST = 0.01  # share of the brightest pixel that gets the first colour of a logarithmic scale
TILE = ("left", "right", "bottom", "top", "x", "y", "text", "title", "detail", "brightest", "line")
ELLIPSE = ("x", "y", "length", "width", "angle")


@dataclass(frozen=True, eq=False)
class Tile:
    """One camera of a grid.

    Parameters
    ----------
    key
        Id of the telescope.
    title
        Above it: short, plain text.
    pixels
        How the camera is drawn.
    values
        (pixel,); grey where not a number.
    ellipse
        Over it, in the units of `pixels`.
    detail
        What the mouse shows besides, plain text.
    """

    key: int
    title: str
    pixels: Pixels
    values: NDArray[Any]
    ellipse: Ellipse | None = None
    detail: str = ""


class CameraGrid:
    """Small cameras with titles; a click tells which.

    Its methods change Bokeh models, so call them on the loop of the document.

    Parameters
    ----------
    label
        What the colours mean, with the unit.
    tapped
        Called with the key of the tile that was clicked, or None.
    scale, common
        See `colour`.
    wall
        For a wall display.
    """

    def __init__(
        self, label: str = "Charge (p.e.)", *, tapped: Callable[[int | None], None] | None = None, scale: Scale = "linear",
        common: bool = False, wall: bool = False,
    ) -> None:  # fmt: skip
        self.figure = plot = blank("", "", wall=wall, tools="pan,wheel_zoom,reset,save")
        self._square = Square(plot)
        plot.grid.grid_line_color = plot.outline_line_color = None
        plot.axis.visible = False
        self._label, self._common = label, common
        self._scale: Scale = scale
        self._drawn: Scale = "linear"
        self._tiles: tuple[Tile, ...] = ()
        self._chosen: int | None = None
        self._layout = (0, 0)
        self.source = ColumnDataSource({key: [] for key in ("image", "x", "y", "dw", "dh")}, name="cameras")
        self.tiles = ColumnDataSource({key: [] for key in TILE}, name="tiles")
        self.ellipses = ColumnDataSource({key: [] for key in ELLIPSE}, name="ellipses")
        self._draw(wall)
        self.viewport = Viewport(plot, self._resized)
        if tapped:
            for clicked in (Tap, DoubleTap, Press):
                plot.on_event(clicked, lambda event: tapped(self.at(event.x, event.y)))

    def _draw(self, wall: bool) -> None:
        plot = self.figure
        self._image = plot.image(
            "image", "x", "y", "dw", "dh", source=self.source,
            color_mapper=LinearColorMapper(palette=picture_palette("linear"), low=0, high=255),
        )  # fmt: skip
        for ink, wide in ((DARK, 3.0), (FITTED, 1.5)):
            plot.ellipse(
                "x", "y", "length", "width", angle="angle", source=self.ellipses, fill_color=None, line_color=ink,
                line_width=wide,
            )  # fmt: skip
        frames = plot.quad(
            **{side: side for side in ("left", "right", "bottom", "top")}, source=self.tiles, fill_color=None,
            line_color=ACCENT, line_width="line", hover_line_color=MUTED, hover_fill_color=None,
        )  # fmt: skip
        self._titles = plot.text(
            "x", "y", text="text", source=self.tiles, text_align="center", text_baseline="middle", text_color=MUTED,
            text_font=FONT, text_font_size="12px",
        )  # fmt: skip
        colours = {"palette": palette_of("linear")}
        self._mappers: dict[bool, ColorMapper] = {
            False: LinearColorMapper(**colours, low=0, high=1), True: LogColorMapper(**colours, low=FAINTEST, high=1),
        }  # fmt: skip
        self._bars = {
            log: ColorBar(
                color_mapper=mapper, ticker=FixedTicker(ticks=[]) if log else BasicTicker(desired_num_ticks=6),
                formatter=digits(), width=12, padding=4, label_standoff=6, title_standoff=7, visible=not log,
                major_label_policy=NoOverlap(min_distance=2),
            )
            for log, mapper in self._mappers.items()
        }  # fmt: skip
        for bar in self._bars.values():
            plot.add_layout(bar, "right")
        grow(*self._bars.values(), wall=wall)
        if not wall:
            unit = self._label.partition(" (")[2].rstrip(")")
            tips = [("Telescope", "@title"), ("Brightest pixel", f"@brightest{{0,0.0}} {unit}"), ("", "@detail")]
            plot.add_tools(HoverTool(renderers=[frames], tooltips=tips, point_policy="follow_mouse"))

    def show(self, tiles: Sequence[Tile], *, title: str = "") -> None:
        """Draw cameras in this order, row by row from the upper left.

        Parameters
        ----------
        tiles
            As many as there are; none clears the view.
        title
            Above all of them, plain text.
        """
        self._tiles = tuple(tiles)
        if self.figure.title.text != (text := without_math(title)):
            self.figure.title.text = text
        self._redraw()

    def colour(self, *, scale: Scale | None = None, common: bool | None = None) -> None:
        """Change how values become colours; None: as before.

        Parameters
        ----------
        scale
            "linear" or "log".
        common
            One scale for all cameras; else each camera has its own, and colours are shares of its brightest pixel.
        """
        wanted = (scale or self._scale, self._common if common is None else common)
        if wanted != (self._scale, self._common):
            self._scale, self._common = wanted
            self._redraw()

    def choose(self, key: int | None) -> None:
        """Draw a frame around the tile with that key, or none."""
        self._chosen = key
        push(self.tiles, {"line": self._lines()})

    def at(self, x: float, y: float) -> int | None:
        """Return the key of the tile at a place."""
        columns, _ = self._layout
        if not columns or not (math.isfinite(x) and math.isfinite(y)) or not 0 <= x < columns or y > 0:
            return None
        number = math.floor(-y / self._height) * columns + math.floor(x)
        return self._tiles[number].key if number < len(self._tiles) else None

    def clear(self) -> None:
        """Show nothing."""
        self.show(())

    def _resized(self) -> None:
        if self._tiles and self._arranged() != self._layout:
            self._redraw()

    def _arranged(self) -> tuple[int, int]:
        """Return how many columns give the largest tiles, and how many pixels of the screen those have."""
        wide, high = inner_size(self.figure) or SHAPE
        count = len(self._tiles)
        sizes = {
            columns: min(wide / columns, high / (math.ceil(count / columns) * (1 + HEADING)))
            for columns in range(1, count + 1)
        }
        best = max(sizes, key=lambda columns: sizes[columns])
        return best, int(sizes[best])

    def _redraw(self) -> None:
        if not self._tiles:
            self._layout = (0, 0)
            for source in (self.source, self.tiles, self.ellipses):
                push(source, {key: [] for key in source.data})
            return
        self._layout = columns, size = self._arranged()
        rows = math.ceil(len(self._tiles) / columns)
        side = next((each for each in SIDES if each**2 * rows * columns * (1 + HEADING) <= POINTS), SIDES[-1])
        heading = round(HEADING * side)
        self._height = 1 + heading / side
        picture = np.zeros((rows * (side + heading), columns * side), np.uint8)
        values, limits = self._coloured()
        for number, (tile, each) in enumerate(zip(self._tiles, values, strict=True)):
            row, column = divmod(number, columns)
            low = (rows - 1 - row) * (side + heading)
            codes = numbers(each, self._scale, limits)
            picture[low : low + side, column * side : (column + 1) * side] = codes[tile.pixels.raster(side).index]
        bottom = -rows * self._height
        place = {"x": [0.0], "y": [bottom], "dw": [float(columns)], "dh": [-bottom]}
        push(self.source, {"image": [picture]} | place)
        self._square.hold((0.0, float(columns), bottom, 0.0))
        self._write(columns, size, 1 - 1 / self._height)
        self._fit(columns)

    def _coloured(self) -> tuple[list[NDArray[np.float64]], tuple[float, float]]:
        """Return what is coloured of each tile, and set the scale."""
        values = [np.asarray(tile.values, np.float64) for tile in self._tiles]
        log = self._scale == "log"
        if self._common:
            limits = limits_of(np.concatenate(values), self._scale, "full")
        else:
            values = [each / brightest if (brightest := _brightest(each)) > 0 else each for each in values]
            limits = {"linear": (0.0, 1.0), "log": (FAINTEST, 1.0), "symmetric": (-1.0, 1.0)}[self._scale]
        mapper, bar = self._mappers[log], self._bars[log]
        if (mapper.low, mapper.high) != limits:
            mapper.update(low=limits[0], high=limits[1])
        if log:
            bar.ticker.ticks = log_ticks(*limits)
        if self._drawn != self._scale:
            self._drawn = self._scale
            mapper.palette = palette_of(self._scale)
            self._image.glyph.color_mapper.palette = picture_palette(self._scale)
        for logarithmic, each in self._bars.items():
            if each.visible != (logarithmic == log):
                each.visible = logarithmic == log
        label = self._label if self._common else "Share of the brightest pixel"
        if bar.title != label:
            bar.title = label
        return values, limits

    def _write(self, columns: int, size: int, band: float) -> None:
        """Write the titles as large as there is room, and only the keys where there is not."""
        longest = max((len(tile.title) for tile in self._tiles), default=1) or 1
        text = max(9, min(max(20, int(size / (0.56 * longest))), 36, round(0.72 * size * band)))
        room = max(2, int(size / (0.56 * text)))
        count = len(self._tiles)
        column, row = np.arange(count) % columns, np.arange(count) // columns
        top = -row * self._height
        titles = [tile.title if len(tile.title) <= room else str(tile.key)[:room] for tile in self._tiles]
        found: dict[str, Any] = {
            "left": column + 0.01, "right": column + 0.99, "bottom": top - self._height + 0.01, "top": top - 0.01,
            "x": column + 0.5, "y": top - (self._height - 1) / 2, "text": list(map(without_math, titles)),
            "title": [tile.title for tile in self._tiles], "detail": [tile.detail for tile in self._tiles],
            "brightest": np.array([_brightest(tile.values) for tile in self._tiles]), "line": self._lines(),
        }  # fmt: skip
        push(self.tiles, found)
        self._titles.glyph.text_font_size = f"{text}px"

    def _lines(self) -> list[int]:
        return [3 if tile.key == self._chosen else 0 for tile in self._tiles]

    def _fit(self, columns: int) -> None:
        """Draw the ellipses."""
        found: list[tuple[float, ...]] = []
        for number, tile in enumerate(self._tiles):
            if tile.ellipse is None:
                continue
            row, column = divmod(number, columns)
            left, right, bottom, _ = tile.pixels.box
            span, ellipse = right - left, tile.ellipse
            x, y = column + (ellipse.x - left) / span, -(row + 1) * self._height + (ellipse.y - bottom) / span
            found.append((x, y, 2 * ellipse.length / span, 2 * ellipse.width / span, math.radians(ellipse.psi)))
        columns_of = np.array(found).reshape(-1, len(ELLIPSE)).T
        push(self.ellipses, dict(zip(ELLIPSE, columns_of, strict=True)))


def _brightest(values: NDArray[Any]) -> float:
    used = values[np.isfinite(values)]
    return float(used.max()) if used.size else math.nan
