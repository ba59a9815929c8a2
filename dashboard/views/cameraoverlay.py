"""What lies over the pixels of a camera: outlines, an ellipse with its axis, a ring, marks, and a legend of those shown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from bokeh.models import ColumnDataSource, CustomJS, Legend, LegendItem

from dashboard.views.push import push
from dashboard.views.style import SCREEN, WALL, grow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bokeh.models import GlyphRenderer
    from bokeh.plotting import figure
    from numpy.typing import NDArray

    from dashboard.views.pixels import Ellipse, Pixels, Ring

Mark: TypeAlias = Literal["dead", "noisy"]

# None of these is among the colours of values. A dark line below each makes them seen on bright pixels too.
DARK, KEPT, FITTED, RING, CHOSEN = "#14181c", "#ff4d42", "#ff9d2e", "#f062c0", "#35c4ff"
FONT = {"value": "Roboto, sans-serif"}  # of text among the pixels, as on the rest of the page
MARKS: dict[Mark, tuple[str, str]] = {"dead": ("x", "#ff4a4a"), "noisy": ("triangle", "#ff8c1a")}
# Samples of marks are 0.4 of the smaller side; the theme makes that side small. They grow with the text.
SAMPLES = """
const size = Math.round(1.7 * Math.min(high, Math.max(low, wide * innerWidth + tall * innerHeight + base)))
if (cb_obj.glyph_width != size || cb_obj.glyph_height != size) cb_obj.setv({glyph_width: size, glyph_height: size})
"""
# short: two cameras stand side by side on a laptop
WORDS = {"kept": "after cleaning", "fitted": "Hillas", "ring": "ring", "dead": "dead", "noisy": "noisy"}


class Overlay:
    """Lines and marks over a camera.

    Parameters
    ----------
    plot
        The figure of the camera.
    wall
        For a wall display.
    """

    def __init__(self, plot: figure, *, wall: bool = False) -> None:
        self._plot, self._thick = plot, 1.5 if wall else 1.0
        self.kept, self.chosen = (_source("x0", "y0", "x1", "y1", name=name) for name in ("outline", "chosen pixel"))
        self.fitted = _source("x", "y", "length", "width", "angle", "x0", "y0", "x1", "y1", name="ellipse")
        self.ringed = _source("x", "y", "radius", name="ring")
        self.marked = {name: _source("x", "y", name=name) for name in MARKS}
        drawn = {"kept": self._lines(self.kept, KEPT, 1.6), "fitted": self._ellipse()}
        self._lines(self.chosen, CHOSEN, 2.6)
        for width, colour in ((4.0, DARK), (2.0, RING)):
            drawn["ring"] = plot.circle(
                "x", "y", radius="radius", source=self.ringed, fill_color=None, line_color=colour,
                line_width=width * self._thick,
            )  # fmt: skip
        for name, (marker, colour) in MARKS.items():
            for width, ink in ((4.0, DARK), (2.0, colour)):
                drawn[name] = plot.scatter(
                    "x", "y", source=self.marked[name], marker=marker, size=8 * self._thick, fill_color=None,
                    line_color=ink, line_width=width,
                )  # fmt: skip
        self._items = {
            name: LegendItem(label=WORDS[name], renderers=[each], visible=False) for name, each in drawn.items()
        }
        self._legend = legend_above(plot, self._items, wall=wall)

    def _lines(self, source: ColumnDataSource, colour: str, width: float) -> GlyphRenderer:
        for ink, wide in ((DARK, width + 1.6), (colour, width)):
            drawn = self._plot.segment(
                "x0", "y0", "x1", "y1", source=source, line_color=ink, line_width=wide * self._thick, line_cap="round"
            )
        return drawn

    def _ellipse(self) -> GlyphRenderer:
        plot, source = self._plot, self.fitted
        for ink, wide in ((DARK, 4.0), (FITTED, 2.0)):
            plot.segment(
                "x0", "y0", "x1", "y1", source=source, line_color=ink, line_width=0.7 * wide * self._thick,
                line_dash="solid" if ink == DARK else "dashed",
            )  # fmt: skip
            drawn = plot.ellipse(
                "x", "y", "length", "width", angle="angle", source=source, fill_color=None, line_color=ink,
                line_width=wide * self._thick,
            )  # fmt: skip
            plot.scatter(
                "x",
                "y",
                source=source,
                marker="cross",
                size=10 * self._thick,
                line_color=ink,
                line_width=wide * self._thick,
            )
        return drawn

    def outline(self, pixels: Pixels | None, selected: NDArray[np.bool_] | None) -> None:
        """Draw a line around selected pixels, or none."""
        _set_segments(self.kept, pixels, selected)
        self._explain("kept", len(self.kept.data["x0"]) > 0)

    def choose(self, pixels: Pixels | None, pixel: int | None) -> None:
        """Draw a line around one pixel, or none."""
        selected = None
        if pixels is not None and pixel is not None:
            selected = np.arange(pixels.count) == pixel
        _set_segments(self.chosen, pixels, selected)

    def ellipse(self, ellipse: Ellipse | None) -> None:
        """Draw an ellipse with axis and centre, or none."""
        found: dict[str, list[float]] = {key: [] for key in self.fitted.data}
        if ellipse is not None:
            values = (
                ellipse.x,
                ellipse.y,
                2 * ellipse.length,
                2 * ellipse.width,
                math.radians(ellipse.psi),
                *ellipse.axis,
            )
            found = {key: [value] for key, value in zip(found, values, strict=True)}
        push(self.fitted, found)
        self._explain("fitted", ellipse is not None)

    def ring(self, ring: Ring | None) -> None:
        """Draw a circle, or none."""
        values = (ring.x, ring.y, ring.radius) if ring else ()
        push(self.ringed, {key: [values[at]] if values else [] for at, key in enumerate(("x", "y", "radius"))})
        self._explain("ring", ring is not None)

    def mark(self, pixels: Pixels | None, name: Mark, selected: NDArray[np.bool_] | None) -> None:
        """Mark pixels, or none."""
        x, y = np.zeros((2, 0), np.float32)
        if pixels is not None and selected is not None:
            x, y = pixels.centres[selected].T.astype(np.float32)
        push(self.marked[name], {"x": x, "y": y})
        self._explain(name, len(x) > 0)

    def _explain(self, name: str, there: bool) -> None:
        explain(self._legend, self._items[name], there)


def legend_above(plot: figure, items: Mapping[str, LegendItem], *, wall: bool = False) -> Legend:
    """Return a legend in one line above a figure, not seen as long as none of its items is."""
    legend = Legend(
        items=list(items.values()), orientation="horizontal", location="left", padding=0, margin=0, spacing=8,
        visible=False, border_line_color=None, background_fill_color=None, label_standoff=2,
    )  # fmt: skip
    plot.add_layout(legend, "above")
    grow(legend, wall=wall)
    script = CustomJS(args=WALL if wall else SCREEN, code=SAMPLES)
    legend.js_on_change("glyph_width", script)
    legend.js_on_change("glyph_height", script)
    return legend


def explain(legend: Legend, item: LegendItem, there: bool) -> None:
    """Show an item, or not; the legend is seen if any of its items is."""
    if item.visible != there:
        item.visible = there
        legend.visible = any(each.visible for each in legend.items)


def _source(*columns: str, name: str) -> ColumnDataSource:
    return ColumnDataSource({column: [] for column in columns}, name=name)


def _set_segments(source: ColumnDataSource, pixels: Pixels | None, selected: NDArray[np.bool_] | None) -> None:
    found: dict[str, Any] = dict.fromkeys(("x0", "y0", "x1", "y1"), np.zeros(0, np.float32))
    if pixels is not None and selected is not None:
        found = pixels.outline(selected)._asdict()
    push(source, found)
