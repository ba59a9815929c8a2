"""The three projections of points or of mean maps: x-y, x-layer and y-layer, with common axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import (
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    CustomJSHover,
    FixedTicker,
    HoverTool,
    LogColorMapper,
    NoOverlap,
    Range1d,
    Span,
)

from dashboard.views.channelmap import SEQUENTIAL, log_ticks
from dashboard.views.push import push
from dashboard.views.style import EXPECTED, blank, digits, grow
from dashboard.views.viewport import Redraw, Viewport, without_math
from detcore.image import density

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from dashboard.views.viewport import Run

MEV = 1e3  # per GeV
CELLS = 96  # bins across what is looked at, about; fewer where readout cells are larger
FINEST = 0.05  # mm
NAMES = ("xy", "lx", "ly")
PLANES = {"xy": ("x", "y"), "lx": ("layer", "x"), "ly": ("layer", "y")}  # horizontal and vertical axis
LABELS = {"x": "x (mm)", "y": "y (mm)", "layer": "Layer"}


@dataclass(frozen=True, eq=False)
class Map:
    """A mean map that is ready.

    Parameters
    ----------
    values
        (row, column), row 0 at the lower end; zero and not a number are left empty.
    x, y
        Edges of the columns and of the rows, evenly spaced, in the units of the axes; those of layer n are n - 0.5 and
        n + 0.5.
    """

    values: NDArray[Any]
    x: ArrayLike
    y: ArrayLike


class Projections:
    """Three figures, `figures["xy"]`, `["lx"]` (layer, x) and `["ly"]` (layer, y), that zoom together.

    Points are put into bins again for what is looked at, after each zoom; what was zoomed out of one figure is left out
    of the sums of the others too. Colours are logarithmic.
    Its methods change Bokeh models, so call them on the loop of the document.

    Parameters
    ----------
    value_label
        What the colours mean, with the unit.
    layers, ecal_layers
        Of the detector: the range of the layer axis, and where the border between its parts is drawn.
    run
        Where points are put into bins; see `dashboard.views.image.ImageView`. None: at once.
    wall
        For a wall display.

    Examples
    --------
    >>> views = Projections(layers=30, ecal_layers=30)
    >>> views.show_points(np.array([[0.0, 5.0, 3.0, 0.001], [10.0, 5.0, 4.0, 0.0002]]), cell=5.0)
    >>> float(np.nansum(views.sources["xy"].data["image"][0])).__round__(3)
    1.2
    """

    def __init__(
        self, value_label: str = "Energy (MeV)", *, layers: int = 78, ecal_layers: int = 30, run: Run | None = None, wall: bool = False
    ) -> None:  # fmt: skip
        self._layers, self._ecal, self._wall = layers, ecal_layers, wall
        self.ranges = {name: Range1d(0, 1, reset_start=0, reset_end=1) for name in LABELS}
        self.figures = {}
        self.sources: dict[str, ColumnDataSource] = {}
        self._mappers, self._bars, self._borders = {}, {}, []
        for name, (across, up) in PLANES.items():
            self.figures[name] = plot = blank(
                LABELS[across], LABELS[up], wall=wall, tools="pan,box_zoom,wheel_zoom,reset,save"
            )
            plot.x_range, plot.y_range = self.ranges[across], self.ranges[up]
            plot.xgrid.grid_line_alpha = plot.ygrid.grid_line_alpha = 0.5
            plot.axis.major_label_policy = NoOverlap(min_distance=4)
            self.sources[name] = source = ColumnDataSource(
                {key: [] for key in ("image", "x", "y", "dw", "dh")}, name=f"projection {name}"
            )
            mapper = self._mappers[name] = LogColorMapper(
                palette=SEQUENTIAL, nan_color="rgba(0, 0, 0, 0)", low=1, high=10
            )
            image = plot.image("image", "x", "y", "dw", "dh", source=source, color_mapper=mapper)
            bar = self._bars[name] = ColorBar(
                color_mapper=mapper, ticker=FixedTicker(ticks=[]), formatter=digits(), width=10, padding=4, label_standoff=6,
                title=value_label, title_standoff=7, background_fill_color=None,
            )  # fmt: skip
            plot.add_layout(bar, "right")
            grow(bar, wall=wall)
            if across == "layer":
                plot.xaxis.ticker = BasicTicker(min_interval=1)
                border = Span(
                    dimension="height",
                    location=ecal_layers - 0.5,
                    line_color=EXPECTED,
                    line_dash="dashed",
                    line_width=1.5,
                )
                border.visible = ecal_layers < layers
                plot.add_layout(border)
                self._borders.append(border)
            if not wall:
                whole = CustomJSHover(code="return String(Math.round(value))")
                tips = [
                    (LABELS[axis], f"${side}{{{'custom' if axis == 'layer' else '0.0'}}}")
                    for side, axis in (("x", across), ("y", up))
                ]
                formatters = {"$x": whole} if across == "layer" else {}
                plot.add_tools(
                    HoverTool(
                        renderers=[image], tooltips=[*tips, (value_label, "@image{0,0.[00000]}")], formatters=formatters
                    )
                )
        self._points: NDArray[np.float64] | None = None
        self._cell: float | None = None
        self._redraw = Redraw(run)
        self.viewports = [Viewport(plot, self._look_again) for plot in self.figures.values()]

    def show_points(
        self, points: NDArray[Any], *, cell: float | None = None, title: str = "", layers: int | None = None, ecal_layers: int | None = None, showers: int = 1
    ) -> None:  # fmt: skip
        """Draw points, of one shower or of many.

        Parameters
        ----------
        points
            (point, column): x and y in mm, number of the layer, energy in GeV. Rows that are not finite and those
            without energy are left out. May be a million.
        cell
            mm; the width of readout cells, whose centres the points are; bins are never narrower. None: bins are as
            fine as the zoom asks.
        title
            Written above x-y, as plain text.
        layers, ecal_layers
            None: as before.
        showers
            Energies are divided by it.

        Raises
        ------
        ValueError
            There are fewer than four columns.
        """
        values = np.asarray(points)
        if values.ndim != 2 or values.shape[1] < 4:
            msg = f"points (point, 4 or 5 columns) expected, found {values.shape}"
            raise ValueError(msg)
        values = values[:, :4].astype(np.float64)
        values = values[np.isfinite(values).all(axis=1) & (values[:, 3] > 0)]
        values[:, 3] *= MEV / max(1, showers)
        self._points, self._cell = values, cell
        self._detector(layers, ecal_layers)
        if len(values):
            low, high = np.percentile(values[:, :2], [0.2, 99.8], axis=0)
            half = max(float(np.abs([low, high]).max()), cell or 1.0) * 1.08
            if (np.abs(low + high) / 2 > (high - low)).any():  # far off the middle: do not show the way there
                self._home({"x": (low[0], high[0]), "y": (low[1], high[1])}, pad=0.08)
            else:
                self._home({"x": (-half, half), "y": (-half, half)})
        deepest = float(values[:, 2].max(initial=0.0))
        self._home({"layer": (-0.5, (self._ecal if deepest < self._ecal - 0.5 else self._layers) - 0.5)})
        self._say(title)
        self._mark()
        self._look_again()

    def show_maps(
        self, maps: Mapping[str, Map], *, title: str = "", layers: int | None = None, ecal_layers: int | None = None
    ) -> None:
        """Draw maps that are ready, by their names "xy", "lx" (columns are layers, rows are x) and "ly"."""
        self._points = None
        self._detector(layers, ecal_layers)
        for name, each in maps.items():
            (across, up), values = PLANES[name], np.asarray(each.values)
            sides = {across: np.asarray(each.x, np.float64), up: np.asarray(each.y, np.float64)}
            if values.shape != (len(sides[up]) - 1, len(sides[across]) - 1):
                msg = f"{name}: {len(sides[up]) - 1} rows and {len(sides[across]) - 1} columns expected, found {values.shape}"
                raise ValueError(msg)
            self._home({axis: (float(edges[0]), float(edges[-1])) for axis, edges in sides.items()})
            self._put(name, _Raster(values, *(float(e) for axis in (across, up) for e in sides[axis][[0, -1]])))
        for name in set(NAMES) - set(maps):
            self._put(name, None)
        self._say(title)
        self._mark()

    def clear(self) -> None:
        """Show nothing."""
        self._points = None
        for name in NAMES:
            self._put(name, None)
        self._say("")

    def label(self, value_label: str) -> None:
        """Change what the colours mean."""
        for bar in self._bars.values():
            if bar.title != value_label:
                bar.title = value_label

    def _detector(self, layers: int | None, ecal_layers: int | None) -> None:
        self._layers, self._ecal = layers or self._layers, ecal_layers or self._ecal
        for border in self._borders:
            border.location = self._ecal - 0.5

    def _mark(self) -> None:
        """Show the border between the parts of the detector, and say what it is, if it lies in the range of layers."""
        there = self._ecal - 0.5 < self.ranges["layer"].reset_end
        for border, name in zip(self._borders, NAMES[1:], strict=True):
            if border.visible != there:
                border.visible = there
            text = "dashed: HCAL begins" if there else ""
            if self.figures[name].title.text != text:
                self.figures[name].title.text = text

    def _say(self, title: str) -> None:
        plot = self.figures["xy"]
        if plot.title.text != (plain := without_math(title)):
            plot.title.text = plain

    def _home(self, ends: Mapping[str, tuple[float, float]], pad: float = 0.0) -> None:
        for axis, (low, high) in ends.items():
            span, more = self.ranges[axis], pad * (high - low)
            start, end = float(low - more), float(high + more)
            if (span.reset_start, span.reset_end) != (start, end):  # else leave the zoom of the viewer alone
                span.update(start=start, end=end, reset_start=start, reset_end=end)

    def _look_again(self) -> None:
        points, cell = self._points, self._cell
        if points is None:
            return
        seen = {axis: _seen(span) for axis, span in self.ranges.items()}
        self._redraw.ask(lambda: [(name, rasterize(points, seen, name, cell)) for name in NAMES], self._draw)

    def _draw(self, rasters: list[tuple[str, _Raster | None]]) -> None:
        if self._points is not None:
            for name, raster in rasters:
                self._put(name, raster)

    def _put(self, name: str, raster: _Raster | None) -> None:
        if raster is None:
            push(self.sources[name], {key: [] for key in self.sources[name].data})
            return
        values = np.where(raster.values > 0, raster.values, np.nan).astype(np.float32)
        used = values[np.isfinite(values)]
        low, high = map(float, np.percentile(used, [2, 99.9])) if used.size else (1.0, 10.0)
        limits = (low, high) if high > low * 1.5 else (low / 2, high * 2)
        mapper, bar = self._mappers[name], self._bars[name]
        if (mapper.low, mapper.high) != limits:
            mapper.update(low=limits[0], high=limits[1])
            bar.ticker.ticks = log_ticks(*limits)
        place = {
            "x": [raster.left],
            "y": [raster.bottom],
            "dw": [raster.right - raster.left],
            "dh": [raster.top - raster.bottom],
        }
        push(self.sources[name], {"image": [values]} | place)


@dataclass(frozen=True, eq=False)
class _Raster:
    values: NDArray[Any]
    left: float
    right: float
    bottom: float
    top: float


def rasterize(
    points: NDArray[np.float64], seen: Mapping[str, tuple[float, float, bool]], name: str, cell: float | None
) -> _Raster | None:
    """Return the sums of energy in bins of what is seen; it may be called in any thread.

    Bins begin at multiples of their width, and layers are not divided, so that a picture does not shimmer.

    Parameters
    ----------
    points
        (point, column): x, y, layer, energy.
    seen
        Lower and upper end of each axis, and whether the viewer has zoomed there: then what lies outside is not summed
        along that axis either.
    name
        Which projection.
    cell
        mm; no bin is narrower.
    """
    across, up = PLANES[name]
    part = points
    other = next(axis for axis in LABELS if axis not in (across, up))
    column = {"x": 0, "y": 1, "layer": 2}
    low, high, zoomed = seen[other]
    if zoomed:
        part = part[(part[:, column[other]] >= low) & (part[:, column[other]] <= high)]
    bounds, shape = [], []
    for axis in (across, up):
        low, high, _ = seen[axis]
        width = 1.0 if axis == "layer" else width_of(high - low, cell)
        first = -0.5 if axis == "layer" else 0.0
        start, stop = math.floor((low - first) / width), math.ceil((high - first) / width)
        bounds += [first + start * width, first + max(stop, start + 1) * width]
        shape.append(max(stop, start + 1) - start)
    sums = density(
        part[:, column[across]], part[:, column[up]], (shape[1], shape[0]), viewport=(bounds[0], bounds[1], bounds[2], bounds[3]), weights=part[:, 3]
    )  # fmt: skip
    return _Raster(sums.values, *bounds)


def _seen(span: Range1d) -> tuple[float, float, bool]:
    low, high = sorted((float(span.start), float(span.end)))
    return low, high, (span.start, span.end) != (span.reset_start, span.reset_end)


def width_of(span: float, cell: float | None) -> float:
    """Return a round width of bins, mm, for a part of an axis: a multiple of the cell's if there are cells.

    Examples
    --------
    >>> width_of(200.0, None), width_of(200.0, 5.0), width_of(2000.0, 5.0)
    (2.0, 5.0, 20.0)
    """
    raw = max(span / CELLS, FINEST)
    if cell:
        return cell * max(1, round(raw / cell))
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.8)
