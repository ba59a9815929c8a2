"""What every figure shares: colours that read on light and dark, text that grows with the screen, one bare figure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bokeh.models import BasicTicker, BasicTickFormatter, CustomJS, LinearScale, LogScale, LogTicker
from bokeh.plotting import figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bokeh.model import Model

# The theme colours text, grids and surfaces in the browser; these are what it leaves to us. All of them keep a
# contrast of at least 3:1 to both the white and the near-black surface, and differ in lightness for the colour blind.
ACCENT = "#1e88e5"
MUTED = "#8d9399"
ZERO = "#9aa0a6"
REFERENCE = "#ab47bc"
EXPECTED = "#ef6c00"
IN_TIME = "#00a188"
STATES = {"OK": "#2e9d57", "WARN": "#e39a00", "ERROR": "#d93636", "": MUTED}
MARKS = {"OK": "", "WARN": " !", "ERROR": " ✕", "": ""}

# The theme writes text sizes in em, which a canvas takes as a multiple of 13 px whatever the screen. This turns them
# into pixels of this screen: from laptop to 4K, and larger on a wall.
GROW = """
const px = Math.min(high, Math.max(low, wide * innerWidth + tall * innerHeight + base))
for (const name of ["text", "major_label_text", "axis_label_text", "label_text", "title_text"]) {
  const size = cb_obj[name + "_font_size"]
  if (typeof size == "string" && size.endsWith("em")) cb_obj[name + "_font_size"] = (parseFloat(size) * px).toFixed(1) + "px"
}
if (glyph) glyph.text_font_size = {value: (tile * px).toFixed(1) + "px"}
"""
SCREEN = {"low": 12.5, "high": 24.0, "wide": 0.003, "tall": 0.0045, "base": 4.0, "tile": 0.95}
WALL = {"low": 15.0, "high": 48.0, "wide": 0.0047, "tall": 0.0077, "base": 3.0, "tile": 0.72}


def blank(
    x_label: str,
    y_label: str,
    *,
    wall: bool = False,
    tools: str = "pan,box_zoom,wheel_zoom,reset,save",
    x_above: bool = False,
) -> figure:
    """Return an empty figure that fills its place, in the common style.

    Parameters
    ----------
    x_label, y_label
        Axis labels, with units.
    wall
        For a wall display: larger text, no toolbar.
    tools
        Bokeh's names.
    x_above
        The x axis stands above.
    """
    empty = figure(
        x_axis_label=x_label,
        y_axis_label=y_label,
        sizing_mode="stretch_both",
        min_height=90,
        min_width=160,
        tools="" if wall else tools,
        toolbar_location=None if wall else "right",
        x_axis_location="above" if x_above else "below",
    )
    empty.toolbar.logo = None
    empty.toolbar.autohide = True
    grow(empty.title, *empty.axis, wall=wall)
    return empty


def digits() -> BasicTickFormatter:
    """Return a formatter of plain numbers; each figure needs its own, as models belong to one document."""
    return BasicTickFormatter(precision="auto", use_scientific=True, power_limit_high=5, power_limit_low=-4)


def grow(*models: Model, wall: bool, glyph: Model | None = None) -> None:
    """Let the text of models grow with the screen.

    Parameters
    ----------
    models
        Titles, axes, legends, colour bars.
    wall
        For a wall display.
    glyph
        A text glyph that follows them.
    """
    script = CustomJS(args=(WALL if wall else SCREEN) | {"glyph": glyph}, code=GROW)
    for model in models:
        for name in ("text", "major_label_text", "axis_label_text", "label_text", "title_text"):
            if f"{name}_font_size" in model.properties():
                model.js_on_change(f"{name}_font_size", script)


def above(value: float) -> float:
    """Return the end of an axis above a positive value: in steps, so that it stands still while counts grow."""
    return float(1.04 ** (math.floor(math.log(value, 1.04)) + 2))


def short(names: Sequence[str]) -> list[str]:
    """Return names for an axis: what all have in common is left out where that saves room, and long ones are cut."""
    head, tail = _shared(names), _shared([name[::-1] for name in names])[::-1]
    if len(names) < 2 or len(head) + len(tail) < 8:
        head = tail = ""
    middles = [name[len(head) : len(name) - len(tail)] if len(name) > len(head) + len(tail) else name for name in names]
    marks = "…" if head else "", "…" if tail else ""
    return [f"{marks[0]}{middle if len(middle) <= 22 else '…' + middle[-21:]}{marks[1]}" for middle in middles]


def _shared(names: Sequence[str]) -> str:
    """Return what all names begin with."""
    first, last = min(names, default=""), max(names, default="")
    same = [a == b for a, b in zip(first, last, strict=False)]
    return first[: same.index(False) if False in same else len(same)]


def set_scale(plot: figure, axis: str, log: bool) -> None:
    """Switch the x or y axis of a figure between linear and logarithmic, with matching ticks."""
    scale = LogScale() if log else LinearScale()
    setattr(plot, f"{axis}_scale", scale)
    for each in getattr(plot, f"{axis}axis"):
        each.ticker = LogTicker(mantissas=[1, 2, 5]) if log else BasicTicker()
