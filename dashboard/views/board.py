"""The plane board: one tile per plane, coloured by its state, group by group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, Range1d

from dashboard.views.style import ACCENT, MARKS, STATES, blank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboard.views.grid import Column


class Board:
    """Tiles of planes; colour and a sign (nothing, !, ✕) say OK, WARN or ERROR.

    Parameters
    ----------
    wall
        For a wall display: large text.
    """

    def __init__(self, *, wall: bool = False) -> None:
        self.figure = plot = blank("", "", wall=wall, tools="save")
        plot.x_range, plot.y_range = Range1d(0, 1), Range1d(0, 1)
        plot.grid.grid_line_color = None
        plot.xaxis.visible = False
        self.source = ColumnDataSource({key: [] for key in ("x", "y", "text", "colour", "detector", "state", "reason", "detector_id", "line")})
        tiles = plot.rect(
            "x", "y", 0.94, 0.86, source=self.source, fill_color="colour", line_color=ACCENT, line_width="line", border_radius=4
        )
        plot.text(
            "x", "y", text="text", source=self.source, text_align="center", text_baseline="middle", text_color="white",
            text_font_size="0.95em", text_font_style="bold",
        )  # fmt: skip
        if not wall:
            tips = [("Plane", "@detector (id @detector_id)"), ("State", "@state"), ("Why", "@reason")]
            plot.add_tools(HoverTool(renderers=[tiles], tooltips=tips))
        self._places: dict[tuple[int, int], int] = {}

    def show(self, columns: Sequence[Column], states: Sequence[str], reasons: Sequence[str], selected: int, across: int = 8) -> None:
        """Draw one tile per column, `across` tiles in a row; a group starts a new row, headed by its label."""
        x, y, headings, last = [], [], {}, ""
        row, place = -1, 0
        for column in columns:
            if column.group != last or place == across:
                row, place = row + 1, 0
                headings[row] = column.label if column.group != last else ""
            last = column.group
            x.append(place + 0.5)
            y.append(row + 0.5)
            place += 1
        self.source.data = {
            "x": x, "y": y, "text": [f"{column.name}{MARKS[state]}" for column, state in zip(columns, states, strict=True)],
            "colour": [STATES[state] for state in states], "detector": [column.name for column in columns],
            "state": list(states), "reason": list(reasons), "detector_id": [column.detector_id for column in columns],
            "line": [4 if column.detector_id == selected else 0 for column in columns],
        }  # fmt: skip
        self._places = {(int(a), int(b)): column.detector_id for a, b, column in zip(np.floor(x), np.floor(y), columns, strict=True)}
        self.figure.x_range.update(start=0, end=max(x, default=0.5) + 0.5)
        self.figure.y_range.update(start=row + 1, end=0)
        self.figure.yaxis[0].ticker = FixedTicker(ticks=[number + 0.5 for number in headings])
        self.figure.yaxis[0].major_label_overrides = {number + 0.5: text for number, text in headings.items()}

    def plane_at(self, x: float, y: float) -> int | None:
        """Return the detector id of the tile under a point."""
        return self._places.get((int(np.floor(x)), int(np.floor(y))))
