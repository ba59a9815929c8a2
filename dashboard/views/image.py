"""One detector image of up to many million pixels, reduced for the screen to the part that is looked at."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from bokeh.models import (
    BasicTicker,
    BoxZoomTool,
    ColorBar,
    ColumnDataSource,
    CustomJS,
    CustomJSHover,
    HoverTool,
    Legend,
    LegendItem,
    LinearColorMapper,
    LogColorMapper,
    LogTicker,
    NoOverlap,
    NumeralTickFormatter,
    Range1d,
    WheelZoomTool,
)

from dashboard.views.channelmap import SEQUENTIAL
from dashboard.views.picture import NO_VALUE, OVERLOAD, Frame, Look, Window, render
from dashboard.views.push import push
from dashboard.views.style import MUTED, ZERO, blank, digits, grow
from dashboard.views.viewport import Redraw, Viewport, without_math

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dashboard.views.picture import Aggregate, Limits, Rendered
    from dashboard.views.viewport import Run

Origin: TypeAlias = Literal["upper", "lower"]

NEAREST = 6.0  # pixels along either side, at least
MASKED, SATURATED = ZERO, "#e02020"  # grey and red are not among the colours of values

# Keeps pixels square whatever the shape of the figure. The home of the ranges holds the whole image; a viewer who has
# zoomed keeps the middle and the height.
SQUARE = """
const [w, h] = [plot.inner_width, plot.inner_height]
const [nx, ny] = [extent.get_column("nx")[0], extent.get_column("ny")[0]]
if (!(w > 0 && h > 0 && nx > 0 && ny > 0)) return
const at_home = [x, y].every((r) => r.start == r.reset_start && r.end == r.reset_end)
const scale = Math.max(nx / w, ny / h)
const ends = (range, middle, span) => {
  const half = range.reset_start > range.reset_end ? -span / 2 : span / 2
  return [middle - half, middle + half]
}
for (const [range, n, size] of [[x, nx, w], [y, ny, h]]) {
  const [reset_start, reset_end] = ends(range, (n - 1) / 2, scale * size)
  if (at_home) range.setv({start: reset_start, end: reset_end, reset_start, reset_end})
  else range.setv({reset_start, reset_end})
}
if (!at_home) {
  const [start, end] = ends(x, (x.start + x.end) / 2, Math.abs(y.end - y.start) / h * w)
  x.setv({start, end})
}
"""
VALUE = """
const at = special_vars.image_index
if (at == null) return ""
const row = special_vars.index ?? 0
const code = source.get_column("image")[0][at.flat_index]
if (code == 0) return "masked"
const number = source.get_column("value")[0][at.flat_index]
const shown = Number.isInteger(number) ? number.toLocaleString("en") : String(Number(number.toPrecision(7)))
return code == 255 ? `saturated (${shown})` : shown
"""
PLACE = "return String(Math.round(value))"


class ImageView:
    """A detector image with square pixels; what is looked at is reduced again after each zoom and pan.

    Its methods change Bokeh models, so call them on the loop of the document.

    Parameters
    ----------
    run
        ``run(work, done)`` calls ``work()`` in a thread and then ``done(result)`` on the loop of the document, with its
        lock. None: the work is done at once, for small images.
    aggregate, log, limits
        See `Look`.
    origin
        Whether row 0 is at the "upper" end, as detectors are looked at, or at the "lower" one.
    wall
        For a wall display: large text, no toolbar, no hover.

    Examples
    --------
    >>> view = ImageView()
    >>> view.show(np.arange(12).reshape(3, 4), title="ramp")
    >>> view.figure.title.text, view.limits
    ('ramp: every pixel', (0.11, 10.945))
    """

    def __init__(
        self,
        *,
        run: Run | None = None,
        aggregate: Aggregate = "max",
        log: bool = False,
        limits: Limits = "robust",
        origin: Origin = "upper",
        wall: bool = False,
    ) -> None:
        self.figure = plot = blank("x (pixel)", "y (pixel)", wall=wall, tools="pan,reset,save")
        plot.x_range, plot.y_range = (Range1d(0, 1, min_interval=NEAREST) for _ in "xy")
        plot.xgrid.grid_line_color = plot.ygrid.grid_line_color = None
        for axis in plot.axis:
            axis.update(ticker=BasicTicker(min_interval=1), formatter=NumeralTickFormatter(format="0"))
            axis.major_label_policy = NoOverlap(min_distance=6)
        self._redraw = Redraw(run)
        self._look = Look(aggregate, log, limits)
        self._origin: Origin = origin
        self._frame: Frame | None = None
        self._shown: Rendered | None = None
        self._wanted: tuple[Frame, Window, Look] | None = None
        self._title = ""
        self._extent = ColumnDataSource({"nx": [0], "ny": [0]}, name="extent")
        self.source = ColumnDataSource(
            {key: [] for key in ("image", "value", "x", "y", "dw", "dh")}, name="detector image"
        )
        palette = (MASKED, *SEQUENTIAL[:1], *SEQUENTIAL[2:255], SATURATED)
        image = plot.image(
            "image", "x", "y", "dw", "dh", source=self.source,
            color_mapper=LinearColorMapper(palette=palette, low=0, high=255),
        )  # fmt: skip
        edges = ColumnDataSource({"left": [], "right": [], "bottom": [], "top": []})
        plot.quad(
            left="left", right="right", bottom="bottom", top="top", source=edges, fill_color=None, line_color=MUTED
        )
        self._edges = edges
        self._mappers = {
            False: LinearColorMapper(palette=SEQUENTIAL, low=0, high=1),
            True: LogColorMapper(palette=SEQUENTIAL, low=1, high=10),
        }
        self._add_key(wall)
        square = CustomJS(
            args={"plot": plot, "extent": self._extent, "x": plot.x_range, "y": plot.y_range}, code=SQUARE
        )
        plot.js_on_change("inner_width", square)
        plot.js_on_change("inner_height", square)
        self._extent.js_on_change("data", square)
        if not wall:
            zoom = WheelZoomTool(zoom_on_axis=False)
            place = CustomJSHover(code=PLACE)
            value = CustomJSHover(code=VALUE, args={"source": self.source})
            self._hover = HoverTool(
                renderers=[image],
                tooltips=[("x", "$x{custom}"), ("y", "$y{custom}"), ("value", "@image{custom}")],
                formatters={"$x": place, "$y": place, "@image": value},
            )
            plot.add_tools(BoxZoomTool(match_aspect=True), zoom, self._hover)
            plot.toolbar.active_scroll = zoom
        self.viewport = Viewport(plot, self._look_again)

    def _add_key(self, wall: bool) -> None:
        """Add what explains the colours."""
        plot, nowhere = self.figure, ColumnDataSource({"x": [math.nan], "y": [math.nan]})
        self._bar = ColorBar(
            color_mapper=self._mappers[self._look.log], formatter=digits(), width=12, padding=4, label_standoff=6,
            ticker=_ticker(self._look.log), major_label_policy=NoOverlap(min_distance=2),
        )  # fmt: skip
        plot.add_layout(self._bar, "right")
        squares = {
            name: plot.scatter("x", "y", marker="square", size=12, source=nowhere, fill_color=colour, line_color=colour)
            for name, colour in (("masked", MASKED), ("saturated", SATURATED))
        }
        self._items = {name: LegendItem(label=name, renderers=[square]) for name, square in squares.items()}
        self._legend = Legend(
            items=list(self._items.values()), orientation="horizontal", location="right", padding=0, margin=0, spacing=10,
            visible=False, border_line_color=None, background_fill_color=None,
        )  # fmt: skip
        plot.add_layout(self._legend, "above")
        grow(self._bar, self._legend, wall=wall)

    @property
    def limits(self) -> tuple[float, float] | None:
        """Values of the first and the last colour that are shown now."""
        return self._shown.limits if self._shown else None

    @property
    def shown(self) -> Rendered | None:
        """What is drawn now."""
        return self._shown

    def show(
        self,
        image: NDArray[Any],
        *,
        mask: NDArray[np.bool_] | NDArray[np.uint32] | None = None,
        title: str = "",
        value_label: str = "counts",
        saturated: float | None = None,
    ) -> None:
        """Draw an image; the viewer's zoom stays if the shape does.

        Parameters
        ----------
        image
            (y, x) numbers, not to be changed any more; those that are not a number are masked.
        mask
            (y, x): true where masked, or uint32 bits of NXdetector, of which the low sixteen reject.
        title
            Written above, as plain text; what is shown of the pixels follows.
        value_label
            What the values are, in which unit.
        saturated
            Pixels that are not masked are saturated from this value on.

        Raises
        ------
        ValueError
            The image is not two-dimensional, or the mask has another shape.
        """
        if mask is not None and mask.dtype not in (np.dtype(bool), np.dtype(np.uint32)):
            msg = f"a mask of bool or uint32 expected, found {mask.dtype}"
            raise ValueError(msg)
        rejected = None if mask is None else mask.astype(np.uint32, copy=False)
        frame = Frame(np.asarray(image), rejected, saturated)
        reshaped = self._frame is None or self._frame.image.shape != frame.image.shape
        self._frame, self._title = frame, title
        if self._bar.title != value_label:
            self._bar.title = value_label
        if reshaped:
            self._home()
        self._look_again()

    def clear(self) -> None:
        """Show no image."""
        self._frame = self._shown = self._wanted = None
        self.source.data = {key: [] for key in self.source.data}
        push(self._edges, {key: [] for key in self._edges.data})
        self.figure.title.text = ""
        self._legend.visible = False

    def arrange(
        self,
        *,
        aggregate: Aggregate | None = None,
        log: bool | None = None,
        limits: Limits | None = None,
        origin: Origin | None = None,
    ) -> None:
        """Change how it is drawn; None: as before.

        Parameters
        ----------
        aggregate, log, limits
            See `Look`.
        origin
            See the class.

        Raises
        ------
        ValueError
            The limits are not finite or not ascending.
        """
        if limits is not None and not isinstance(limits, str) and not -math.inf < limits[0] < limits[1] < math.inf:
            msg = f"finite limits low < high expected, found {limits}"
            raise ValueError(msg)
        now = self._look
        self._look = Look(aggregate or now.aggregate, now.log if log is None else log, limits or now.limits)
        if origin is not None and origin != self._origin:
            self._origin = origin
            if self._frame is not None:
                self._home()
        self._look_again()

    def pixel(self, x: float, y: float) -> tuple[int, int, float] | None:
        """Return column, row and original value of the pixel at a place; None outside of the image."""
        if self._frame is None or not (math.isfinite(x) and math.isfinite(y)):
            return None
        column, row = math.floor(x + 0.5), math.floor(y + 0.5)
        ny, nx = self._frame.image.shape
        if not (0 <= row < ny and 0 <= column < nx):
            return None
        return column, row, self._frame.image[row, column].item()

    def _home(self) -> None:
        """Make the whole image fill the figure; the browser then makes its pixels square."""
        assert self._frame is not None
        ny, nx = self._frame.image.shape
        low, high = (ny - 0.5, -0.5) if self._origin == "upper" else (-0.5, ny - 0.5)
        self.figure.x_range.update(start=-0.5, end=nx - 0.5, reset_start=-0.5, reset_end=nx - 0.5)
        self.figure.y_range.update(start=low, end=high, reset_start=low, reset_end=high)
        self._extent.data = {"nx": [nx], "ny": [ny]}  # last: it makes the browser look at the ranges
        push(self._edges, {"left": [-0.5], "right": [nx - 0.5], "bottom": [-0.5], "top": [ny - 0.5]})

    def _look_again(self) -> None:
        """Have a picture made of what is looked at now, unless it is there."""
        frame, look, view = self._frame, self._look, self.viewport.ranges
        window = Window.of(frame.image.shape, view) if frame else None
        if frame is None or window is None:
            return
        if self._wanted and (self._wanted[0], self._wanted[2]) == (frame, look):
            held = self._wanted[1]
            if held.block == window.block and held.holds(view, frame.image.shape):
                return
        self._wanted = (frame, window, look)
        self._redraw.ask(lambda: render(frame, window, look), self._draw)

    def _draw(self, rendered: Rendered) -> None:
        if self._frame is None:
            return  # cleared meanwhile
        self._shown = rendered
        window, (low, high), log = rendered.window, rendered.limits, rendered.look.log
        rows, columns = rendered.colours.shape
        place = {
            "x": [window.left - 0.5], "y": [window.top - 0.5], "dw": [float(columns * window.block)],
            "dh": [float(rows * window.block)],
        }  # fmt: skip
        push(self.source, {"image": [rendered.colours], "value": [rendered.values]} | place)
        mapper = self._mappers[log]
        if (mapper.low, mapper.high) != (low, high):
            mapper.update(low=low, high=high)
        if self._bar.color_mapper is not mapper:
            self._bar.update(color_mapper=mapper, ticker=_ticker(log))
        block = window.block
        what = f"{rendered.look.aggregate} of {block} x {block} pixels" if block > 1 else "every pixel"
        text = without_math(f"{self._title}: {what}" if self._title else what)
        if self.figure.title.text != text:
            self.figure.title.text = text
        self._explain(rendered)

    def _explain(self, rendered: Rendered) -> None:
        """Say which of the two special colours occur."""
        found = {
            "masked": bool((rendered.colours == NO_VALUE).any()),
            "saturated": bool((rendered.colours == OVERLOAD).any()),
        }
        for name, there in found.items():
            if self._items[name].visible != there:
                self._items[name].visible = there
        if self._legend.visible != any(found.values()):
            self._legend.visible = any(found.values())


def _ticker(log: bool) -> LogTicker | BasicTicker:
    return LogTicker(mantissas=[1, 2, 5]) if log else BasicTicker(desired_num_ticks=6)
