"""The event display: the hits of one event over the shadow of all channels."""

from __future__ import annotations

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
    NoOverlap,
    Range1d,
)

from dashboard.views.channelmap import SEQUENTIAL
from dashboard.views.style import ACCENT, ZERO, blank, digits, grow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dashboard.views.grid import ChannelGrid


class EventMap:
    """Hits of one event, coloured by drift time; hits that are not in time are hollow.

    Parameters
    ----------
    grid
        Where channels stand.
    wall
        For a wall display.
    """

    def __init__(self, grid: ChannelGrid, *, wall: bool = False) -> None:
        self.figure = plot = blank("", "Element", wall=wall)
        plot.x_range, plot.y_range = Range1d(0, 1), Range1d(0, 1)
        plot.xgrid.grid_line_color = plot.ygrid.grid_line_color = None
        self._shadow = ColumnDataSource({"left": [], "right": [], "top": []})
        self._mapper = LinearColorMapper(palette=SEQUENTIAL, low=0, high=2500, nan_color=ACCENT)
        keys = ("x", "y", "w", "h", "detector", "element", "time", "flag", "fill")
        self.hits = ColumnDataSource({key: [] for key in keys}, name="event")
        plot.quad(
            left="left",
            right="right",
            bottom=0,
            top="top",
            source=self._shadow,
            fill_color=ZERO,
            fill_alpha=0.22,
            line_color=None,
        )
        colour = {"field": "time", "transform": self._mapper}
        cells = plot.rect(
            "x", "y", "w", "h", source=self.hits, fill_color=colour, fill_alpha="fill", line_color=colour, line_width=2
        )
        self._bar = ColorBar(
            color_mapper=self._mapper,
            ticker=BasicTicker(),
            formatter=digits(),
            width=12,
            padding=4,
            label_standoff=6,
            title="Drift time (ns)",
        )
        plot.add_layout(self._bar, "right")
        self._heading = LinearAxis(ticker=FixedTicker(ticks=[]), major_tick_line_color=None, axis_line_color=None)
        plot.add_layout(self._heading, "above")
        grow(self._heading, self._bar, wall=wall)
        plot.xaxis.major_label_orientation = np.pi / 2
        self._heading.update(major_label_orientation=0, major_label_policy=NoOverlap(min_distance=2))
        if not wall:
            tips = [
                ("Detector", "@detector"),
                ("Element", "@element"),
                ("Drift time", "@time{0.0} ns"),
                ("In time", "@flag"),
            ]
            plot.add_tools(HoverTool(renderers=[cells], tooltips=tips, point_policy="follow_mouse"))
        self.arrange(grid)

    def arrange(self, grid: ChannelGrid) -> None:
        """Put the detectors where a (new) grid says, and forget the event."""
        self.grid = grid
        plot, centres = self.figure, grid.centres
        counts = [1.0 if grid.equal else column.n_elements + 0.5 for column in grid.columns]
        self._shadow.data = {"left": centres - 0.46, "right": centres + 0.46, "top": counts}
        self.hits.data = {key: [] for key in self.hits.data}
        plot.x_range.update(start=-0.3, end=float(centres[-1]) + 0.8 if len(centres) else 1.0)
        plot.y_range.update(start=0, end=grid.top * 1.02)
        plot.x_range.update(reset_start=plot.x_range.start, reset_end=plot.x_range.end)
        plot.y_range.update(reset_start=0, reset_end=plot.y_range.end)
        axis = plot.xaxis[-1]
        axis.ticker = FixedTicker(ticks=list(centres))
        axis.major_label_overrides = {float(x): column.name for x, column in zip(centres, grid.columns, strict=True)}
        headings = grid.headings()
        self._heading.ticker = FixedTicker(ticks=[x for x, _ in headings])
        self._heading.major_label_overrides = dict(headings)
        plot.yaxis.axis_label = "Element / number of elements" if grid.equal else "Element"

    def show(
        self, detector_id: NDArray[np.int64], element_id: NDArray[np.int64], time: NDArray[np.float64] | None,
        in_time: NDArray[np.bool_] | None,
    ) -> int:  # fmt: skip
        """Draw hits; returns how many had a channel on the map.

        Parameters
        ----------
        detector_id, element_id
            One for each hit.
        time
            Drift times in ns, when the file has them.
        in_time
            The in-time flag, when the file has it.
        """
        counts = {column.detector_id: column for column in self.grid.columns}
        known = [
            int(d) in counts and 1 <= e <= counts[int(d)].n_elements
            for d, e in zip(detector_id, element_id, strict=True)
        ]
        kept = np.flatnonzero(known)
        ids, elements = detector_id[kept], element_id[kept].astype(float)
        size = self.grid.heights(ids, elements + 0.5) - self.grid.heights(ids, elements - 0.5)
        flags = np.ones(len(kept), dtype=bool) if in_time is None else in_time[kept].astype(bool)
        self.hits.data = {
            "x": [self.grid.x_of(int(each)) for each in ids], "y": self.grid.heights(ids, elements),
            "w": np.full(len(kept), 0.84), "h": size, "detector": [counts[int(each)].name for each in ids],
            "element": element_id[kept], "time": np.full(len(kept), np.nan) if time is None else time[kept],
            "flag": ["unknown" if in_time is None else "yes" if flag else "no" for flag in flags],
            "fill": np.where(flags, 1.0, 0.0),
        }  # fmt: skip
        self._bar.visible = time is not None
        return len(kept)
