"""The intensity trace of the Eiger tab."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import panel as pn
from bokeh.models import ColumnDataSource, NumeralTickFormatter

from dashboard.tabs.eiger.look import WHOLE
from dashboard.tabs.parts import pane
from dashboard.views.push import push
from dashboard.views.trace import OUTLIER, Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboard.tabs.eiger.look import Look
    from dashboard.tabs.eiger.results import Results
    from dashboard.views.viewport import Run


LINES = 6  # that are there from the start
MOST = 2000  # outliers that are marked


class TracePanel:
    """Counts of each frame; a click shows the frame, a drag with the tool "Frame range" reads that range only.

    Parameters
    ----------
    show_frame
        Called with the number of a clicked frame.
    choose
        Called with the first and the last frame of a dragged range; None: on a wall.
    run
        Where lines are thinned; see `dashboard.views.viewport`.
    wall
        For a wall display.
    """

    def __init__(
        self, show_frame: Callable[[int], None], choose: Callable[[int, int], None] | None, run: Run | None, *, wall: bool
    ) -> None:  # fmt: skip
        self.trace = Trace("Sum (counts)", run=run, on_tap=None if wall else show_frame, on_select=choose, wall=wall)
        self.trace.figure.name = "eiger-trace"
        self.view = pn.Column(pane(self.trace.figure), sizing_mode="stretch_both", margin=0)
        # made now, because models that are made while the page is shown are slow to arrive
        self.trace.show([], {str(number): [] for number in range(LINES)})
        plot = self.trace.figure
        plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[0000]")
        self._lost = ColumnDataSource({"x": []}, name="eiger-outliers")
        plot.vspan(x="x", source=self._lost, line_color=OUTLIER, line_alpha=0.45, line_width=1.5, level="underlay")
        self._shown: object = None

    def fill(self, results: Results, look: Look, words: str, note: str) -> None:
        """Draw results."""
        self.trace.cursor(look.frame or None)
        key = (results, look.show, look.normalised, look.outliers, words, note)
        if key == self._shown:
            return
        self._shown = key
        self.trace.arrange(normalised=look.normalised)
        lines = lines_of(results, look.show)
        self.trace.show(
            results.trace["frame"].values, lines, marks=results.outliers, time=results.frame_time,
            within=None if look.outliers else within(results, lines, look.normalised),
        )  # fmt: skip
        push(self._lost, {"x": results.outliers["frame"].to_numpy(dtype=float)[:MOST]})
        plain = look.show == "raw" or results.wish.method == "none"
        how = "" if plain else f", {'raw and ' if look.show == 'both' else ''}{results.detrending}"
        self.trace.note(f"Intensity of each frame{results.of.replace(' of ', ', ')}{how}{words}{note}")


def within(results: Results, lines: dict[str, Any], normalised: bool) -> tuple[float, float] | None:
    """Return an axis that holds all frames but the outliers; None if there is nothing to show."""
    kept = ~np.isin(results.trace["frame"].values, results.outliers["frame"])
    ends = []
    for values in lines.values():
        shown = values[kept & np.isfinite(values)] / (float(np.nanmean(values)) if normalised else 1.0)
        if shown.size:
            ends += [float(shown.min()), float(shown.max())]
    if not ends:
        return None
    room = (max(ends) - min(ends)) * 0.06 or abs(ends[0]) * 0.01 or 1.0
    return min(ends) - room, max(ends) + room


def lines_of(results: Results, show: str) -> dict[str, Any]:
    """Return the curves to draw: of the region whose numbers are shown, then of the others, all on its frames."""
    names = ("raw", "detrended") if show == "both" and results.wish.method != "none" else (show,)
    kinds = ["raw" if name == "both" else name for name in names]
    of = results.wish.region
    lines = {kind if of == WHOLE else f"{of}, {kind}": results.trace[kind].values for kind in kinds}
    frames = results.trace["frame"].values
    for name, other in results.others.items():
        values = np.full(len(frames), np.nan)
        there = np.isin(frames, other["frame"].values)
        values[there] = other[kinds[-1]].values[np.isin(other["frame"].values, frames)]
        lines[f"{name}, {kinds[-1]}"] = values
    return lines
