"""Keeps what figures show square on the screen, whatever their shape: one scale for x and y, also of figures side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from bokeh.models import ColumnDataSource, CustomJS, Range1d

if TYPE_CHECKING:
    from bokeh.plotting import figure

# The home of the ranges holds the whole box; a viewer who has zoomed keeps the middle and the height. Figures with the
# same ranges take the smaller of their sizes, so that each of them holds all.
SQUARE = """
const size_of = (plot) => {
  try { return [plot.inner_width, plot.inner_height] } catch { return [0, 0] }  // a figure that was not drawn yet has none
}
const sizes = plots.map(size_of).filter(([w, h]) => w > 0 && h > 0)
const [left, right, bottom, top] = ["left", "right", "bottom", "top"].map((name) => extent.get_column(name)[0])
if (sizes.length == 0 || !(right > left && top > bottom)) return
const w = Math.min(...sizes.map((s) => s[0])), h = Math.min(...sizes.map((s) => s[1]))
const at_home = [x, y].every((r) => r.start == r.reset_start && r.end == r.reset_end)
const scale = Math.max((right - left) / w, (top - bottom) / h)
for (const [range, low, high, size] of [[x, left, right, w], [y, bottom, top, h]]) {
  const reset_start = (low + high - scale * size) / 2, reset_end = (low + high + scale * size) / 2
  if (at_home) range.setv({start: reset_start, end: reset_end, reset_start, reset_end})
  else range.setv({reset_start, reset_end})
}
if (!at_home) {
  const half = (y.end - y.start) / h * w / 2, middle = (x.start + x.end) / 2
  x.setv({start: middle - half, end: middle + half})
}
"""
Box: TypeAlias = tuple[float, float, float, float]
SIDES = ("left", "right", "bottom", "top")


class Square:
    """Gives a figure ranges with one scale.

    Parameters
    ----------
    plot
        The figure; its ranges are replaced.
    like
        A figure that shows the same: both zoom and pan together.
    closest
        The smallest span that a viewer can zoom to.
    """

    def __init__(self, plot: figure, *, like: Square | None = None, closest: float | None = None) -> None:
        self.x: Range1d
        self.y: Range1d
        self.extent: ColumnDataSource
        self.script: CustomJS
        if like:
            self.x, self.y, self.extent, self.script = like.x, like.y, like.extent, like.script
            self.script.args = self.script.args | {"plots": [*self.script.args["plots"], plot]}
        else:
            self.x, self.y = (Range1d(0, 1, min_interval=closest) for _ in "xy")
            self.extent = ColumnDataSource({side: [0.0] for side in SIDES}, name="extent")
            args = {"plots": [plot], "extent": self.extent, "x": self.x, "y": self.y}
            self.script = CustomJS(args=args, code=SQUARE)
            self.extent.js_on_change("data", self.script)
        plot.x_range, plot.y_range = self.x, self.y
        plot.js_on_change("inner_width", self.script)
        plot.js_on_change("inner_height", self.script)

    @property
    def box(self) -> Box:
        """Left, right, bottom, top of what the figure holds when nobody has zoomed."""
        left, right, bottom, top = (float(self.extent.data[side][0]) for side in SIDES)
        return left, right, bottom, top

    def hold(self, box: Box) -> None:
        """Show a box (left, right, bottom, top), unless it is the same as before: then the viewer's zoom stays."""
        if box == self.box:
            return
        left, right, bottom, top = box
        self.x.update(start=left, end=right, reset_start=left, reset_end=right)
        self.y.update(start=bottom, end=top, reset_start=bottom, reset_end=top)
        # last: it makes the browser look at the ranges
        self.extent.data = {side: [end] for side, end in zip(SIDES, box, strict=True)}
