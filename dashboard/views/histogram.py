"""Histograms whose bins come ready-made: linear or logarithmic on both axes, with a bin of its own for zero."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d, Span

from dashboard.views.push import name_ticks, push
from dashboard.views.style import ACCENT, EXPECTED, MUTED, blank, digits, set_scale

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOOR = 0.5


class Histogram:
    """Bars between edges; the number of zeros stands apart, left of a logarithmic axis.

    Parameters
    ----------
    x_label, y_label
        Axis labels, with units.
    wall
        For a wall display.
    """

    def __init__(self, x_label: str, y_label: str, *, wall: bool = False) -> None:
        self.figure = plot = blank(x_label, y_label, wall=wall)
        self.source = ColumnDataSource(
            {"left": [], "right": [], "top": [], "bottom": [], "count": [], "range": [], "colour": []}
        )
        plot.x_range, plot.y_range = Range1d(0, 1), Range1d(0, 1)
        plot.yaxis.formatter = digits()
        bars = plot.quad(
            left="left", right="right", top="top", bottom="bottom", source=self.source, fill_color="colour", fill_alpha=0.55,
            line_color="colour", line_width=0.6,
        )  # fmt: skip
        if not wall:
            plot.add_tools(HoverTool(renderers=[bars], tooltips=[(x_label, "@range"), (y_label, "@count{0,0}")]))
        self._mean = Span(dimension="height", line_color=EXPECTED, line_dash="dashed", line_width=2, visible=False)
        self._median = Span(dimension="height", line_color=EXPECTED, line_width=2, visible=False)
        plot.add_layout(self._mean)
        plot.add_layout(self._median)
        self.log_x = self.log_y = False

    def show(
        self, edges: NDArray[np.float64], counts: NDArray[np.int64], zeros: int, *, log_x: bool = False, log_y: bool = False,
        mean: float | None = None, median: float | None = None,
    ) -> None:  # fmt: skip
        """Draw counts between edges (> 0), `zeros` in a bin of their own; dashed line: mean, full line: median."""
        plot = self.figure
        if log_x != self.log_x:
            set_scale(plot, "x", log_x)
        if log_y != self.log_y:
            set_scale(plot, "y", log_y)
        self.log_x, self.log_y = log_x, log_y
        first = float(edges[0]) if len(edges) else 1.0
        width = first * 0.5 if log_x else max(float(edges[-1]) * 0.012 if len(edges) else 1.0, 0.5)
        zero_edges = (first * 0.4, first * 0.8) if log_x else (first - 2 * width, first - width)
        left = np.concatenate([[zero_edges[0]], edges[:-1]])
        right = np.concatenate([[zero_edges[1]], edges[1:]])
        every = np.concatenate([[zeros], counts])
        ranges = [
            "0 (empty events)",
            *(f"{low:,.0f} to {high - 1:,.0f}" for low, high in pairwise(edges)),
        ]
        bars = {
            "left": left, "right": right, "top": np.where(every > 0, every, FLOOR if log_y else 0.0).astype(float),
            "bottom": np.full(len(every), FLOOR if log_y else 0.0), "count": every, "range": ranges,
            "colour": [MUTED] + [ACCENT] * len(counts),
        }  # fmt: skip
        push(self.source, bars)
        most = max(float(every.max(initial=0)), 1.0)
        pad = 1.0 if log_x else width
        sides = (
            (zero_edges[0] * 0.9, float(right[-1]) * 1.05) if log_x else (zero_edges[0] - pad, float(right[-1]) + pad)
        )
        for span, (start, end) in (
            (plot.x_range, sides),
            (plot.y_range, (FLOOR if log_y else 0.0, most * (1.6 if log_y else 1.06))),
        ):
            if (span.reset_start, span.reset_end) != (start, end):
                span.update(start=start, end=end, reset_start=start, reset_end=end)
        self._mean.update(location=mean, visible=mean is not None)
        self._median.update(location=median, visible=median is not None)
        if log_x and len(edges):
            marks = [value for value in 10.0 ** np.arange(0, 7) if value <= edges[-1]]
            zero = float(np.sqrt(zero_edges[0] * zero_edges[1]))
            name_ticks(plot.xaxis[0], {zero: "0"} | {float(value): f"{value:,.0f}" for value in marks})
        elif plot.xaxis[0].major_label_overrides:
            plot.xaxis[0].major_label_overrides = {}
