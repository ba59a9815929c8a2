"""What every figure shares: colours that read on light and dark, text that grows with the screen, one bare figure."""

from __future__ import annotations

from bokeh.models import BasicTicker, BasicTickFormatter, LinearScale, LogScale, LogTicker
from bokeh.plotting import figure

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

# The theme sets the sizes of axis text in em, so one rule on the host scales a whole figure.
TEXT = ":host { font-size: clamp(11.5px, 0.3vw + 0.45vh + 4px, 22px); }"
WALL_TEXT = ":host { font-size: clamp(15px, 0.45vw + 0.75vh + 3px, 44px); }"

DIGITS = BasicTickFormatter(precision=0, use_scientific=True, power_limit_high=5, power_limit_low=-4)


def blank(
    x_label: str, y_label: str, *, wall: bool = False, tools: str = "pan,box_zoom,wheel_zoom,reset,save", x_above: bool = False
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
        stylesheets=[WALL_TEXT if wall else TEXT],
    )
    empty.toolbar.logo = None
    empty.toolbar.autohide = True
    empty.title.text_font_size = "1.05em"
    return empty


def set_scale(plot: figure, axis: str, log: bool) -> None:
    """Switch the x or y axis of a figure between linear and logarithmic, with matching ticks."""
    scale = LogScale() if log else LinearScale()
    setattr(plot, f"{axis}_scale", scale)
    for each in getattr(plot, f"{axis}axis"):
        each.ticker = LogTicker(mantissas=[1, 2, 5]) if log else BasicTicker()
