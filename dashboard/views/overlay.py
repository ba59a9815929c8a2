"""Histograms and profiles of several files in one plot, with statistical bands, and their ratios to the first below."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import panel as pn
from bokeh.models import (
    ColumnDataSource,
    CustomJS,
    FixedTicker,
    HoverTool,
    Legend,
    LegendItem,
    NoOverlap,
    Range1d,
    Span,
)

from dashboard.views.push import push
from dashboard.views.style import (
    ACCENT,
    EXPECTED,
    IN_TIME,
    MUTED,
    REFERENCE,
    SCREEN,
    WALL,
    blank,
    digits,
    grow,
    set_scale,
)
from dashboard.views.viewport import without_math

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bokeh.plotting import figure
    from numpy.typing import ArrayLike, NDArray

COLOURS = (ACCENT, EXPECTED, IN_TIME, REFERENCE, "#8d6e63", "#ec407a", "#7cb342", "#5c6bc0")
DASHES = ("solid", "dashed", "dotdash", "dotted")  # for those who cannot tell the colours apart
DECADES = [digit * 10.0**power for power in range(-12, 13) for digit in (1, 2, 5)]
# The frames of both plots begin below each other, on each screen.
BORDER = """
const px = Math.min(high, Math.max(low, wide * innerWidth + tall * innerHeight + base))
cb_obj.min_border_left = Math.round(5.6 * px)
"""


@dataclass(frozen=True, eq=False)
class Sample:
    """One curve: what a file gives in each bin.

    Parameters
    ----------
    label
        Its name in the legend, as plain text.
    values
        (bin,); not a number where there is none.
    errors
        (bin,), statistical, one standard deviation; None: no band.
    """

    label: str
    values: ArrayLike
    errors: ArrayLike | None = None


def ratio_to(reference: Sample, sample: Sample) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ratio of a sample to a reference and its error, each (bin,).

    The error is that of the sample alone, divided by the reference; that of the reference is the band around one. So
    both can be seen apart, as is usual in ratio panels. Not a number where the reference is zero.

    Examples
    --------
    >>> ratio_to(Sample("a", [4.0, 0.0], [2.0, 0.0]), Sample("b", [5.0, 1.0], [1.0, 1.0]))
    (array([1.25,  nan]), array([0.25,  nan]))
    """
    below, above = np.asarray(reference.values, np.float64), np.asarray(sample.values, np.float64)
    errors = np.zeros(above.shape) if sample.errors is None else np.asarray(sample.errors, np.float64)
    used = np.isfinite(below) & (below != 0)
    with np.errstate(invalid="ignore"):
        ratio, spread = (
            np.divide(part, below, out=np.full(below.shape, np.nan), where=used) for part in (above, errors)
        )
    return ratio, spread


class Overlay:
    """Step curves with bands, and below them a panel of ratios to the first curve; both zoom along x together.

    `view` is the whole; `figure` and `ratio` are its Bokeh figures. A click in the legend hides a curve in both.
    Its methods change Bokeh models, so call them on the loop of the document.

    Parameters
    ----------
    x_label, y_label
        Axis labels, with units.
    log_x, log_y
        Logarithmic axes.
    ratio
        Whether there is a panel of ratios; it hides by itself when there is only one curve.
    wall
        For a wall display.

    Examples
    --------
    >>> overlay = Overlay("Visible energy (GeV)", "Showers")
    >>> overlay.show([0.0, 1.0, 2.0], [Sample("Geant4", [4, 6], [2, 2.4]), Sample("generated", [5, 6], [2.2, 2.4])])
    >>> overlay.ratio.visible
    True
    """

    def __init__(
        self, x_label: str = "", y_label: str = "", *, log_x: bool = False, log_y: bool = False, ratio: bool = True, wall: bool = False
    ) -> None:  # fmt: skip
        self.figure = _plot("", y_label, wall=wall)
        self.ratio = _plot(x_label, "Ratio", wall=wall)
        self.ratio.x_range = self.figure.x_range
        self._with_ratio, self._wall = ratio, wall
        self._log: dict[str, bool] = {"x": False, "y": False}
        self._edges, self._samples = np.zeros(0), list[Sample]()
        self._labels = (x_label, y_label)
        self.sources: list[tuple[ColumnDataSource, ColumnDataSource]] = []  # of each curve: its bins, its outline
        self._items: list[LegendItem] = []
        self._legend = Legend(
            items=[], orientation="horizontal", location="right", ncols=4, padding=0, margin=0, spacing=10,
            click_policy="hide", visible=False, border_line_color=None, background_fill_color=None,
        )  # fmt: skip
        self.figure.add_layout(self._legend, "above")
        grow(self._legend, wall=wall)
        tips = [
            ("", "@label"), ("Bin", "@range"), ("Value", "@value{0,0.[0000]} ± @error{0,0.[0000]}"), ("Ratio", "@ratio{0.[000]} ± @ratio_error{0.[000]}"),
        ]  # fmt: skip
        self._hovers = [HoverTool(renderers=[], tooltips=tips, mode="vline", point_policy="follow_mouse") for _ in "12"]
        if not wall:
            for plot, hover in zip((self.figure, self.ratio), self._hovers, strict=True):
                plot.add_tools(hover)
        self.ratio.add_layout(Span(dimension="width", location=1, line_color=MUTED, line_dash="dashed"))
        above, self._below = (
            pn.Column(
                pn.pane.Bokeh(plot, sizing_mode="stretch_both", margin=0), sizing_mode="stretch_both", margin=0, styles={"flex": f"{share} 1 0"}
            )
            for plot, share in ((self.figure, 3), (self.ratio, 1.7))
        )  # fmt: skip
        self.view = pn.Column(above, self._below, sizing_mode="stretch_both", margin=0)
        self._add(0)  # a figure without anything in it is a warning
        self.scale(log_x=log_x, log_y=log_y)
        self._arrange()

    def show(
        self,
        edges: ArrayLike,
        samples: Sequence[Sample],
        *,
        title: str = "",
        x_label: str | None = None,
        y_label: str | None = None,
        ratios: Sequence[tuple[ArrayLike, ArrayLike]] | None = None,
    ) -> None:
        """Draw curves; a viewer's zoom stays while the edges do.

        Parameters
        ----------
        edges
            (bin + 1,) ascending, in the unit of the x axis.
        samples
            The first one is what the others are compared with.
        title
            Written above, as plain text; for example which cuts are applied.
        x_label, y_label
            None: as before.
        ratios
            Ratio and its error of each sample; None: see `ratio_to`.

        Raises
        ------
        ValueError
            The edges do not ascend, or an array has another length.
        """
        bounds = np.asarray(edges, np.float64)
        if bounds.ndim != 1 or len(bounds) < 2 or not (np.diff(bounds) > 0).all():
            msg = f"two or more ascending edges expected, found {bounds.shape}"
            raise ValueError(msg)
        arrays = [array for each in samples for array in (each.values, each.errors) if array is not None]
        wrong = [np.shape(array) for array in arrays if np.shape(array) != (len(bounds) - 1,)]
        if wrong:
            msg = f"{len(bounds) - 1} bins expected, found {wrong[0]}"
            raise ValueError(msg)
        self._labels = (
            self._labels[0] if x_label is None else x_label,
            self._labels[1] if y_label is None else y_label,
        )
        if self.figure.title.text != (plain := without_math(title)):
            self.figure.title.text = plain
        self._edges, self._samples, self._ratios = bounds, list(samples), ratios
        while len(self.sources) < len(samples):
            self._add(len(self.sources))
        self._arrange()
        self._redraw()

    def scale(self, *, log_x: bool | None = None, log_y: bool | None = None) -> None:
        """Switch axes between linear and logarithmic; None: as before. The ratio stays linear."""
        for axis, log in (("x", log_x), ("y", log_y)):
            if log is None or log == self._log[axis]:
                continue
            self._log[axis] = log
            for plot in (self.figure, self.ratio) if axis == "x" else (self.figure,):
                set_scale(plot, axis, log)
                if log:  # Bokeh's own is linear below two decades
                    getattr(plot, f"{axis}axis").ticker = FixedTicker(ticks=DECADES)
            if axis == "x" and log:
                self.figure.x_range.update(start=0.1, end=1.0, reset_start=0.1, reset_end=1.0)
            if axis == "y" and log:
                self.figure.y_range.update(start=0.1, end=1.0, reset_start=0.1, reset_end=1.0)
        if len(self._edges):
            self._redraw()

    def _arrange(self) -> None:
        """Write labels where they belong: below what is lowest; and show the ratios if there are any."""
        both = self._with_ratio and len(self._samples) > 1
        wanted = ("" if both else self._labels[0], self._labels[1])
        for axis, text in (
            (self.figure.xaxis[0], wanted[0]), (self.figure.yaxis[0], wanted[1]), (self.ratio.xaxis[0], self._labels[0]),
            (self.ratio.yaxis[0], "Ratio"),
        ):  # fmt: skip
            if axis.axis_label != text:
                axis.axis_label = text
        if self.figure.xaxis[0].major_label_text_alpha != float(not both):
            self.figure.xaxis[0].update(major_label_text_alpha=float(not both))
        if self.ratio.visible != both:
            self.ratio.visible = both
        if self._below.visible != both:
            self._below.visible = both

    def _add(self, number: int) -> None:
        """Add a curve to both plots."""
        names = (
            "left",
            "right",
            "low",
            "high",
            "value",
            "error",
            "ratio",
            "ratio_error",
            "ratio_low",
            "ratio_high",
            "range",
            "label",
        )
        bins = ColumnDataSource({name: [] for name in names}, name=f"overlay {number}")
        outline = ColumnDataSource({"x": [], "y": [], "ratio": []})
        self.sources.append((bins, outline))
        colour = COLOURS[number % len(COLOURS)]
        style: dict[str, Any] = {
            "line_color": colour,
            "line_width": 2.4 if self._wall else 1.8,
            "line_dash": DASHES[number % 4],
            "line_join": "miter",
        }
        band: dict[str, Any] = {
            "left": "left",
            "right": "right",
            "source": bins,
            "fill_color": colour,
            "fill_alpha": 0.22,
            "line_color": None,
        }
        drawn = [
            self.figure.quad(bottom="low", top="high", **band), self.figure.line("x", "y", source=outline, **style),
            self.ratio.quad(bottom="ratio_low", top="ratio_high", **band), self.ratio.line("x", "ratio", source=outline, **style),
        ]  # fmt: skip
        for above, below in zip(drawn[:2], drawn[2:], strict=True):
            above.js_link("visible", below, "visible")
        for hover, quad in zip(self._hovers, drawn[::2], strict=True):
            hover.renderers = [*hover.renderers, quad]
        self._items.append(LegendItem(label="", renderers=drawn[:2][::-1]))

    def _redraw(self) -> None:
        edges, samples, log = self._edges, self._samples, self._log["y"]
        heights = [np.asarray(each.values, np.float64) for each in samples]
        errors = [
            np.zeros(len(edges) - 1) if each.errors is None else np.asarray(each.errors, np.float64) for each in samples
        ]
        positive = np.concatenate([np.zeros(0), *(each[each > 0] for each in heights)])
        floor = float(positive.min()) / 3 if log and positive.size else 0.0
        left, right = edges[:-1].copy(), edges[1:]
        if self._log["x"]:
            left[left <= 0] = right[left <= 0] / 10  # a bin that begins at zero is drawn one decade wide
        ranges = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
        span = [np.nan, np.nan]
        for number, (bins, outline) in enumerate(self.sources):
            if number >= len(samples):
                push(bins, {name: np.zeros(0) for name in bins.data})
                push(outline, {name: np.zeros(0) for name in outline.data})
                continue
            value, error, sample = heights[number], errors[number], samples[number]
            ratio, spread = (
                ratio_to(samples[0], sample) if self._ratios is None else map(np.asarray, self._ratios[number])
            )
            low, high = value - error, value + error
            shown = np.where(value > 0, value, floor) if log else value
            shown = np.where(np.isnan(value), np.nan, shown)
            columns = {
                "left": left, "right": right, "low": np.maximum(low, floor) if log else low, "high": np.maximum(high, floor) if log else high,
                "value": value, "error": error, "ratio": ratio, "ratio_error": spread, "ratio_low": ratio - spread, "ratio_high": ratio + spread,
                "range": ranges, "label": [sample.label] * len(value),
            }  # fmt: skip
            push(bins, columns)
            push(outline, {"x": _steps(left, right), "y": np.repeat(shown, 2), "ratio": np.repeat(ratio, 2)})
            span = [np.nanmin([span[0], *low]), np.nanmax([span[1], *high])] if np.isfinite(value).any() else span
        items = self._items[: len(samples)]
        for item, sample in zip(items, samples, strict=True):
            if item.label != {"value": (plain := without_math(sample.label))}:
                item.label = {"value": plain}
        if self._legend.items != items:
            self._legend.update(items=items, visible=bool(items))
        self._fit(left, right, span, floor)

    def _fit(self, left: NDArray[np.float64], right: NDArray[np.float64], span: list[float], floor: float) -> None:
        _hold(self.figure.x_range, float(left[0]), float(right[-1]))
        if math.isfinite(span[1]):
            low, high = (float(each) for each in span)
            if self._log["y"] and high > 0:
                _hold(self.figure.y_range, floor or high / 1e3, high * 1.6)
            else:
                _hold(self.figure.y_range, min(0.0, low), high + 0.08 * (high - min(0.0, low)) or 1.0)
        centres: list[NDArray[np.float64]] = []
        for bins, _ in self.sources[1 : len(self._samples)]:
            ratio, error = np.asarray(bins.data["ratio"], float), np.asarray(bins.data["ratio_error"], float)
            centres.append(ratio[np.isfinite(ratio) & (error < 0.3)])
        seen = np.concatenate([np.zeros(0), *centres])
        away = float(np.percentile(np.abs(seen - 1), 90) * 1.4) if seen.size else 0.2
        half = next((each for each in (0.1, 0.2, 0.3, 0.5, 0.75) if each >= away), 1.0)
        _hold(self.ratio.y_range, 1 - half, 1 + half if away <= 1 else min(1 + 1.1 * away, 5.0))


def _plot(x_label: str, y_label: str, *, wall: bool) -> figure:
    plot = blank(x_label, y_label, wall=wall)
    plot.x_range, plot.y_range = Range1d(0, 1), Range1d(0, 1)
    for axis in plot.axis:
        axis.update(formatter=digits(), major_label_policy=NoOverlap(min_distance=6))
    script = CustomJS(args=WALL if wall else SCREEN, code=BORDER)
    plot.js_on_change("inner_width", script)
    plot.min_border_left, plot.min_border_right = 80, 12
    return plot


def _steps(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([left, right]).ravel()


def _hold(span: Range1d, start: float, end: float) -> None:
    """Move an axis, unless what is to be held is what it held before: then the zoom of the viewer stays."""
    if (span.reset_start, span.reset_end) != (start, end):
        span.update(start=start, end=end, reset_start=start, reset_end=end)
