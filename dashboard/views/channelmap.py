"""The channel map: one coloured cell per channel, with plane states, findings and the selected channel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import (
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    FixedTicker,
    HoverTool,
    LinearAxis,
    LinearColorMapper,
    LogColorMapper,
    NoOverlap,
    Range1d,
)
from bokeh.palettes import interp_palette

from dashboard.views.push import name_ticks, push
from dashboard.views.style import ACCENT, MUTED, STATES, ZERO, blank, digits, grow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from bokeh.models import ColorMapper
    from numpy.typing import NDArray

    from dashboard.views.grid import ChannelGrid

# Rising lightness, no red (that marks findings), and both ends apart from white, from black and from zero's grey.
SEQUENTIAL = interp_palette(("#3d2a86", "#31609f", "#2290a8", "#2fb58b", "#8fd14f", "#fde23a"), 256)
DIVERGING = interp_palette(("#143a94", "#3274cc", "#7fb4e0", "#ddd3b0", "#eea365", "#d9602f", "#931a17"), 255)
FINDINGS = {
    "dead": ("x", "#e02020"), "low": ("inverted_triangle", "#e02020"), "hot": ("triangle", "#ff5d00"),
    "elevated": ("triangle", "#b35900"), "changed": ("diamond", "#d81bb4"),
}  # fmt: skip
STATE_BAND = 0.035  # share of the height that the band of plane states takes below the first element


@dataclass(frozen=True)
class Colouring:
    """How values become colours.

    Parameters
    ----------
    label
        Heading of the colour bar, with the unit.
    log
        Logarithmic colour scale.
    low, high
        Values of the first and the last colour; values beyond them take those colours.
    diverging
        Two-sided colours (ratio, significance).
    """

    label: str
    log: bool
    low: float
    high: float
    diverging: bool = False


class ChannelMap:
    """The map of all channels.

    Parameters
    ----------
    grid
        Where channels stand.
    wall
        For a wall display: large text, no toolbar, no hover.
    """

    def __init__(self, grid: ChannelGrid, *, wall: bool = False) -> None:
        self.figure = blank("", "Element", wall=wall)
        self.figure.min_height = 220
        self.cells = ColumnDataSource(name="channels")
        self._planes = ColumnDataSource()
        self._borders = ColumnDataSource()
        self._findings = ColumnDataSource({"x": [], "y": [], "marker": [], "colour": []})
        self._chosen = ColumnDataSource({"left": [], "right": [], "bottom": [], "top": []}, name="chosen")
        self._point = ColumnDataSource({"x": [], "y": []})
        self._mappers: dict[bool, ColorMapper] = {
            False: LinearColorMapper(palette=SEQUENTIAL, nan_color=ZERO, low=0, high=1),
            True: LogColorMapper(palette=SEQUENTIAL, nan_color=ZERO, low=1, high=10),
        }
        self._mapper = self._mappers[True]
        self._colouring: Colouring | None = None
        self._draw(wall)
        self.arrange(grid)

    def _draw(self, wall: bool) -> None:
        plot = self.figure
        plot.x_range, plot.y_range = Range1d(0, 1), Range1d(0, 1)
        plot.xgrid.grid_line_color = plot.ygrid.grid_line_color = None
        plot.segment(
            "x", "bottom", "x", "top", source=self._borders, line_color=MUTED, line_alpha=0.6, line_dash="dotted"
        )
        edges = {"left": "left", "right": "right", "bottom": "bottom", "top": "top"}
        cells = plot.quad(
            **edges, source=self.cells, line_color=None, fill_color={"field": "value", "transform": self._mapper}
        )
        self._cells = cells
        band = plot.quad(**edges, source=self._planes, fill_color="colour", line_color=None)
        plot.quad(**edges, source=self._chosen, fill_color=None, line_color=ACCENT, line_width=2)
        plot.scatter(
            "x", "y", marker="marker", source=self._findings, size=7 if wall else 5, fill_color="colour",
            line_color="colour", line_width=1.5,
        )  # fmt: skip
        plot.scatter(
            "x", "y", source=self._point, marker="circle_dot", size=15, fill_color=None, line_color=ACCENT, line_width=3
        )
        # One for each kind of scale: a bar keeps the axis, and follows the limits, of the colours that it began with.
        self._bars = {log: _colour_bar(mapper, log=log) for log, mapper in self._mappers.items()}
        for bar in self._bars.values():
            plot.add_layout(bar, "right")
        self._bar = self._bars[True]
        plot.xaxis.major_label_orientation = np.pi / 2
        self._heading = LinearAxis(ticker=FixedTicker(ticks=[]), major_tick_line_color=None, axis_line_color=None)
        self._heading.major_label_policy = NoOverlap(min_distance=2)
        plot.add_layout(self._heading, "above")
        grow(self._heading, *self._bars.values(), wall=wall)
        if not wall:
            plot.add_tools(_cell_hover(cells), _plane_hover(band))

    def arrange(self, grid: ChannelGrid) -> None:
        """Put the channels where a (new) grid says; clears values, states, findings and selection."""
        self.grid = grid
        plot = self.figure
        centres, base = grid.centres, -STATE_BAND * grid.top
        x = centres[grid.column]
        low = grid.heights(grid.detector_id, grid.element_id - 0.5)
        # a little higher than the channel: the next one covers it, and no seam shows between them
        last = np.append(grid.element_id[1:] == 1, True)
        high = grid.heights(grid.detector_id, grid.element_id + np.where(last, 0.5, 0.8))
        empty = np.full(len(x), np.nan, dtype=np.float32)
        # What changes stands first: Bokeh compares column by column until it finds a difference.
        self.cells.data = {
            **dict.fromkeys(("value", "shown", "hits", "events_hit", "rate", "expected", "ratio"), empty),
            "left": x - 0.46, "right": x + 0.46, "bottom": low, "top": high,
            "detector": grid.spread([column.name for column in grid.columns]),
            "group": grid.spread([column.group for column in grid.columns]),
            "detector_id": grid.detector_id, "element": grid.element_id,
        }  # fmt: skip
        count = len(centres)
        self._planes.data = {
            "left": centres - 0.46, "right": centres + 0.46, "bottom": np.full(count, 2 * base), "top": np.full(count, base),
            "detector": [column.name for column in grid.columns], "state": [""] * count, "reason": [""] * count,
            "dropped": [0] * count, "colour": [STATES[""]] * count,
        }  # fmt: skip
        borders = grid.borders() if grid.separators else []
        self._borders.data = {"x": borders, "bottom": [2 * base] * len(borders), "top": [grid.top] * len(borders)}
        plot.x_range.update(start=-0.3, end=float(centres[-1]) + 0.8 if count else 1.0, reset_start=-0.3)
        plot.x_range.reset_end = plot.x_range.end
        plot.y_range.update(start=2 * base, end=grid.top * 1.01, reset_start=2 * base, reset_end=grid.top * 1.01)
        name_ticks(plot.xaxis[-1], {float(x): column.name for x, column in zip(centres, grid.columns, strict=True)})
        name_ticks(self._heading, dict(grid.headings()))
        plot.yaxis.axis_label = "Element / number of elements" if grid.equal else "Element"
        self.mark(None)
        self.choose(0, 0)

    def fill(self, columns: Mapping[str, NDArray[np.generic]]) -> None:
        """Push new channel columns (value, shown, hits, events_hit, rate, expected, ratio); unchanged ones are not sent."""
        push(self.cells, columns)

    def colour(self, colouring: Colouring) -> None:
        """Switch the colour scale."""
        if colouring == self._colouring:
            return
        self._colouring = colouring
        mapper = self._mappers[colouring.log]
        mapper.update(low=colouring.low, high=colouring.high)
        palette = DIVERGING if colouring.diverging else SEQUENTIAL
        if mapper.palette != palette:  # checking 256 colours takes longer than all the rest
            mapper.palette = palette
        if mapper is not self._mapper:
            self._mapper = mapper
            self._cells.glyph.fill_color = {"field": "value", "transform": mapper}
            self._bar.visible = False
            self._bar = self._bars[colouring.log]
            self._bar.visible = True
        if colouring.log:
            self._bar.ticker.ticks = log_ticks(colouring.low, colouring.high)
        self._bar.title = colouring.label

    def judge(self, states: Sequence[str], reasons: Sequence[str], dropped: Sequence[int]) -> None:
        """Colour the band of plane states; one entry per column of the grid."""
        told = {"state": list(states), "reason": list(reasons), "dropped": list(dropped)}
        push(self._planes, told | {"colour": [STATES[state] for state in states]})

    def mark(self, findings: pd.DataFrame | None) -> None:
        """Mark single channels: a table with detector_id, element_id and finding; whole planes (element 0) are left out."""
        if findings is None or findings.empty:
            push(self._findings, {"x": [], "y": [], "marker": [], "colour": []})
            return
        drawn = {column.detector_id for column in self.grid.columns}
        rows = findings[(findings["element_id"] > 0) & findings["detector_id"].isin(drawn)]
        detectors, elements = rows["detector_id"].to_numpy(), rows["element_id"].to_numpy(dtype=float)
        styles = [FINDINGS.get(name, FINDINGS["changed"]) for name in rows["finding"]]
        marks = {
            "x": [self.grid.x_of(int(each)) for each in detectors], "y": self.grid.heights(detectors, elements).tolist(),
            "marker": [marker for marker, _ in styles], "colour": [colour for _, colour in styles],
        }  # fmt: skip
        push(self._findings, marks)

    def choose(self, detector_id: int, element_id: int) -> None:
        """Show which detector and, if not 0, which element is selected."""
        x = self.grid.x_of(detector_id)
        frame: dict[str, list[float]] = {"left": [], "right": [], "bottom": [], "top": []}
        point: dict[str, list[float]] = {"x": [], "y": []}
        if x is not None:
            low, high = -2 * STATE_BAND * self.grid.top, self.grid.top * 1.005
            frame = {"left": [x - 0.5], "right": [x + 0.5], "bottom": [low], "top": [high]}
            if element_id:
                heights = self.grid.heights(np.array([detector_id]), np.array([float(element_id)]))
                point = {"x": [x], "y": heights.tolist()}
        push(self._chosen, frame)
        push(self._point, point)


def log_ticks(low: float, high: float) -> list[float]:
    """Return round numbers for the labels of a logarithmic scale: powers of ten, with 2 and 5, or with all between."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for wanted in ((1,), (1, 2, 5), range(1, 10)):
        ticks = [float(f"{digit}e{power}") for power in powers for digit in wanted]
        found = [tick for tick in ticks if low <= tick <= high]
        if len(found) > 2:
            return found
    step = 10.0 ** math.floor(math.log10((high - low) / 2))
    return [round(step * number, 12) for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _colour_bar(mapper: ColorMapper, *, log: bool) -> ColorBar:
    ticker = FixedTicker(ticks=[]) if log else BasicTicker()
    return ColorBar(
        color_mapper=mapper, ticker=ticker, formatter=digits(), width=12, padding=4, label_standoff=6, title_standoff=7, visible=log
    )  # fmt: skip


def _cell_hover(renderer: object) -> HoverTool:
    """Return what the mouse shows over a channel; names come from files, and `@` fields are escaped by Bokeh."""
    rows = [
        ("Detector", "@detector (id @detector_id, @group)"),
        ("Element", "@element"),
        ("Hits", "@hits{0,0}"),
        ("Events hit", "@events_hit{0,0}"),
        ("Hits per event", "@rate{0.0000}"),
        ("Shown", "@shown{0,0.[0000]}"),
        ("Neighbours predict", "@expected{0,0.0} hits"),
        ("Ratio to reference", "@ratio{0.000}"),
    ]
    return HoverTool(renderers=[renderer], tooltips=rows, point_policy="follow_mouse", name="channels")


def _plane_hover(renderer: object) -> HoverTool:
    rows = [
        ("Plane", "@detector"),
        ("State", "@state"),
        ("Why", "@reason"),
        ("Hits with an element it does not have", "@dropped{0,0}"),
    ]
    return HoverTool(renderers=[renderer], tooltips=rows, point_policy="follow_mouse", name="planes")
