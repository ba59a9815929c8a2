"""The numbers above everything else in a tab."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal

import panel as pn
from bokeh.models import Div, InlineStyleSheet

if TYPE_CHECKING:
    from collections.abc import Sequence

CSS = """
.row { display: flex; flex-wrap: wrap; gap: 4px clamp(8px, 1vw, 44px); align-items: stretch; padding: 3px 0;
  color: var(--panel-on-surface-color); font-family: var(--bokeh-base-font); }
.tile { display: flex; flex-direction: column; justify-content: space-between; white-space: nowrap; }
.tile span { font-size: clamp(11px, 0.58vw, 22px); opacity: 0.78; }
.tile b { font-size: clamp(16px, 1.02vw, 40px); line-height: 1.2; font-weight: 650; font-variant-numeric: tabular-nums; }
.tile b i { font-style: normal; font-weight: 500; font-size: 0.72em; opacity: 0.8; margin-left: 2px; }
.tile.main { background: #0b6bcb; color: #fff; border-radius: 6px; padding: 1px clamp(8px, 0.7vw, 30px); margin: -2px 0; }
.tile.main span { opacity: 0.92; } .tile.main b { font-size: clamp(19px, 1.3vw, 52px); line-height: 1.1; }
.tile.warn b { color: #d98200; }
.tile.bad b { color: #d93636; }
.wall.row { gap: 0.6vh 1.5vw; padding: 0.8vh 0; }
.wall .tile span { font-size: 1vw; } .wall .tile b { font-size: 2vw; } .wall .tile.main b { font-size: 2.6vw; }
.wall .tile.main { padding: 0.2vw 1vw; border-radius: 0.5vw; }
"""


@dataclass(frozen=True)
class Number:
    """One of them; `level` is main, warn, bad or nothing."""

    label: str
    value: str
    unit: str = ""
    level: Literal["", "main", "warn", "bad"] = ""


class Headline:
    """A row of numbers that can be read across a room."""

    def __init__(self, *, wall: bool) -> None:
        self._wall = wall
        # Bokeh's own, as each change of a Panel pane costs a millisecond
        self._div = Div(stylesheets=[InlineStyleSheet(css=CSS)], disable_math=True, sizing_mode="stretch_width")
        self._div.name = "headline"
        self.pane = pn.pane.Bokeh(self._div, margin=(0, 4, 0, 10), sizing_mode="stretch_width")

    def show(self, numbers: Sequence[Number]) -> None:
        """Show numbers."""
        tiles = "".join(
            f'<div class="tile {number.level}"><span>{escape(number.label)}</span>'
            f"<b>{escape(number.value)}{f'<i>{escape(number.unit)}</i>' if number.unit else ''}</b></div>"
            for number in numbers
        )
        words = f'<div class="row{" wall" if self._wall else ""}">{tiles}</div>'
        if words != self._div.text:
            self._div.text = words
