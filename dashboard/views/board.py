"""The plane board: one tile per plane, coloured by its state, group by group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d

from dashboard.views.push import name_ticks, push
from dashboard.views.style import ACCENT, MARKS, STATES, blank, grow

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
        self.figure = plot = blank("", "", wall=wall, tools="save", x_above=True)
        plot.x_range, plot.y_range = Range1d(0, 1), Range1d(0, 1)
        plot.grid.grid_line_color = plot.outline_line_color = None
        self.source = ColumnDataSource(
            {key: [] for key in ("x", "y", "text", "colour", "detector", "state", "reason", "detector_id", "line")}
        )
        tiles = plot.rect(
            "x",
            "y",
            0.95,
            0.86,
            source=self.source,
            fill_color="colour",
            line_color=ACCENT,
            line_width="line",
            border_radius=4,
        )
        text = plot.text(
            "x", "y", text="text", source=self.source, text_align="center", text_baseline="middle", text_color="white",
            text_font_size="12px", text_font_style="bold",
        )  # fmt: skip
        grow(plot.title, wall=wall, glyph=text.glyph)
        if not wall:
            tips = [("Plane", "@detector (id @detector_id)"), ("State", "@state"), ("Why", "@reason")]
            plot.add_tools(HoverTool(renderers=[tiles], tooltips=tips))
        self._places: dict[tuple[int, int], int] = {}

    def show(
        self,
        columns: Sequence[Column],
        states: Sequence[str],
        reasons: Sequence[str],
        selected: int,
        *,
        upright: bool = False,
    ) -> None:
        """Draw one tile for each column.

        Parameters
        ----------
        columns
            The planes in display order.
        states, reasons
            One for each of them.
        selected
            Id of the framed one; 0: none.
        upright
            Groups below each other, for a tall place; else side by side.
        """
        along, across, headings, last = [], [], {}, ""
        group, place = -1, 0
        for column in columns:
            if column.group != last:
                group, place = group + 1, 0
                headings[group + 0.5] = column.label
            last = column.group
            along.append(place + 0.5)
            across.append(group + 0.5)
            place += 1
        x, y = (along, across) if upright else (across, along)
        tiles = {
            "x": x, "y": y, "text": [f"{column.name}{MARKS[state]}" for column, state in zip(columns, states, strict=True)],
            "colour": [STATES[state] for state in states], "detector": [column.name for column in columns],
            "state": list(states), "reason": list(reasons), "detector_id": [column.detector_id for column in columns],
            "line": [4 if column.detector_id == selected else 0 for column in columns],
        }  # fmt: skip
        push(self.source, tiles)
        self._places = {
            (int(a), int(b)): column.detector_id for a, b, column in zip(np.floor(x), np.floor(y), columns, strict=True)
        }
        plot = self.figure
        plot.x_range.update(start=0, end=max(x, default=0.5) + 0.5)
        plot.y_range.update(start=max(y, default=0.5) + 0.5, end=0)
        plot.xaxis.visible, plot.yaxis.visible = not upright, upright
        name_ticks(plot.yaxis[0] if upright else plot.xaxis[0], headings)

    def plane_at(self, x: float, y: float) -> int | None:
        """Return the detector id of the tile under a point."""
        return self._places.get((int(np.floor(x)), int(np.floor(y))))
