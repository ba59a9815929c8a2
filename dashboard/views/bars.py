"""Counts of a few named things."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d

from dashboard.views.push import name_ticks, push
from dashboard.views.style import ACCENT, above, blank, digits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike


class Bars:
    """One bar for each name.

    Parameters
    ----------
    x_label, y_label
        What is counted.
    wall
        For a wall display.
    """

    def __init__(self, x_label: str, y_label: str, *, wall: bool = False) -> None:
        self.figure = plot = blank(x_label, y_label, wall=wall)
        plot.x_range, plot.y_range = Range1d(-0.6, 0.6), Range1d(0, 1)
        plot.xgrid.grid_line_color = None
        plot.yaxis.formatter = digits()
        plot.xaxis.major_label_orientation = 0.7
        self.source = ColumnDataSource({"x": [], "top": [], "name": []})
        bars = plot.vbar("x", 0.8, "top", source=self.source, fill_color=ACCENT, fill_alpha=0.6, line_color=ACCENT)
        if not wall:
            plot.add_tools(HoverTool(renderers=[bars], tooltips=[(x_label, "@name"), (y_label, "@top{0,0}")]))

    def show(self, names: Sequence[str], counts: ArrayLike) -> None:
        """Draw counts, in the order given."""
        heights = np.asarray(counts, dtype=float)
        push(self.source, {"x": np.arange(len(names)), "top": heights, "name": list(names)})
        plot = self.figure
        end = max(len(names), 1) - 0.4
        if plot.x_range.reset_end != end:
            plot.x_range.update(start=-0.6, end=end, reset_start=-0.6, reset_end=end)
        top = above(max(float(heights.max(initial=0)), 1.0))
        if plot.y_range.reset_end != top:
            plot.y_range.update(end=top, reset_end=top)
        name_ticks(plot.xaxis[0], {float(x): name for x, name in enumerate(names)})
