"""Rectangular images with labelled axes: occupancy against spill, element against element, drift time against element."""

from __future__ import annotations

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
    LinearColorMapper,
    LogColorMapper,
    NoOverlap,
    Range1d,
)

from dashboard.views.channelmap import DIVERGING, SEQUENTIAL, log_ticks
from dashboard.views.push import name_ticks, push
from dashboard.views.style import ACCENT, ZERO, blank, digits, grow, short

if TYPE_CHECKING:
    from bokeh.models import Axis
    from numpy.typing import NDArray

LOOK_UP = "return names.length ? String(names[Math.round(value)] ?? '') : String(Math.round(value))"


@dataclass(frozen=True)
class Scale:
    """One axis of an image: cell i spans start + i * step to start + (i + 1) * step.

    Parameters
    ----------
    start, step
        In the axis's unit; -0.5 and 1 when cells have names.
    names
        One for each cell, instead of numbers.
    headings
        (position, text) to write along the axis when there is no room for all names.
    """

    start: float = -0.5
    step: float = 1.0
    names: tuple[str, ...] = ()
    headings: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Picture:
    """What an image shows: values without zeros (row 0 at the bottom), and those of the first and last colour."""

    values: NDArray[np.float32]
    limits: tuple[float, float]

    @classmethod
    def of(cls, values: NDArray[Any], *, about_one: bool = False) -> Picture:
        """Return the picture of values; about one, its colours are as far below 1 as above."""
        counted = np.where(values > 0, values, np.nan).astype(np.float32)
        used = counted[np.isfinite(counted)]
        if not used.size:
            return cls(counted, (1.0, 10.0))
        low, high = (float(limit) for limit in np.percentile(used, [1, 99.5]))
        if about_one:
            high = max(high, 1 / low, 1.1)
            low = 1 / high
        return cls(counted, (low, max(high, low * 1.01)))


class Heat:
    """An image whose zeros are grey.

    Parameters
    ----------
    x_label, y_label, value_label
        What the axes and the colours mean, with units.
    log
        Logarithmic colours.
    wall
        For a wall display.
    """

    def __init__(self, x_label: str, y_label: str, value_label: str, *, log: bool = True, wall: bool = False) -> None:
        self.figure = plot = blank(x_label, y_label, wall=wall)
        plot.x_range, plot.y_range = Range1d(0, 1), Range1d(0, 1)
        plot.xgrid.grid_line_color = plot.ygrid.grid_line_color = None
        plot.axis.major_label_policy = NoOverlap(min_distance=3)
        self._mapper = (LogColorMapper if log else LinearColorMapper)(
            palette=SEQUENTIAL, nan_color=ZERO, low=1, high=10
        )
        self.source = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []})
        image = plot.image("image", "x", "y", "dw", "dh", source=self.source, color_mapper=self._mapper)
        self._frame = ColumnDataSource({"left": [], "right": [], "bottom": [], "top": []})
        edges = {"left": "left", "right": "right", "bottom": "bottom", "top": "top"}
        plot.quad(**edges, source=self._frame, fill_color=None, line_color=ACCENT, line_width=1.5)
        self._bar = ColorBar(
            color_mapper=self._mapper, ticker=FixedTicker(ticks=[]) if log else BasicTicker(), formatter=digits(),
            width=10, padding=4, label_standoff=6, title=value_label, title_standoff=7,
        )  # fmt: skip
        plot.add_layout(self._bar, "right")
        grow(self._bar, wall=wall)
        self._look_up = {key: CustomJSHover(code=LOOK_UP, args={"names": []}) for key in ("$x", "$y")}
        tips = [(x_label, "$x{custom}"), (y_label, "$y{custom}"), (value_label, "@image{0,0.[0000]}")]
        if not wall:
            plot.add_tools(HoverTool(renderers=[image], tooltips=tips, formatters=dict(self._look_up)))

    def show(
        self, values: NDArray[np.float64] | Picture, x: Scale, y: Scale, *, label: str = "", about_one: bool = False
    ) -> None:
        """Draw values (row, column), row 0 at the bottom.

        Parameters
        ----------
        values
            The image, ready or not; zeros and NaN are grey.
        x, y
            What its columns and rows are.
        label
            Replaces the heading of the colour bar.
        about_one
            The values are ratios: two-sided colours, 1 in the middle.
        """
        picture = values if isinstance(values, Picture) else Picture.of(values, about_one=about_one)
        rows, columns = picture.values.shape
        if picture.limits != (self._mapper.low, self._mapper.high):
            self._mapper.update(low=picture.limits[0], high=picture.limits[1])
            if isinstance(self._bar.ticker, FixedTicker):
                self._bar.ticker.ticks = log_ticks(*picture.limits)
        palette = DIVERGING if about_one else SEQUENTIAL
        if self._mapper.palette != palette:
            self._mapper.palette = palette
        if label and self._bar.title != label:
            self._bar.title = label
        sides = {"x": [x.start], "y": [y.start], "dw": [x.step * columns], "dh": [y.step * rows]}
        push(self.source, {"image": [picture.values]} | sides)
        plot = self.figure
        for scale, count, span, axis, key in (
            (x, columns, plot.x_range, plot.xaxis[0], "$x"),
            (y, rows, plot.y_range, plot.yaxis[0], "$y"),
        ):
            end = scale.start + scale.step * count
            if (span.reset_start, span.reset_end) != (scale.start, end):  # else leave the zoom of the viewer alone
                span.update(start=scale.start, end=end, reset_start=scale.start, reset_end=end)
            names = list(scale.names)
            if self._look_up[key].args["names"] != names:
                self._look_up[key].args = {"names": names}
                _name(axis, scale)

    def frame(self, left: float, right: float, bottom: float, top: float) -> None:
        """Draw a frame around a part of the image."""
        push(self._frame, {"left": [left], "right": [right], "bottom": [bottom], "top": [top]})


def _name(axis: Axis, scale: Scale) -> None:
    """Write headings, else as many of the names as there may be room for."""
    names = short(scale.names)
    step = max(1, -(-len(names) // 24))
    kept = dict(scale.headings or [(float(number), names[number]) for number in range(0, len(names), step)])
    if kept:
        name_ticks(axis, kept)
    else:
        axis.update(ticker=BasicTicker(), major_label_overrides={})
