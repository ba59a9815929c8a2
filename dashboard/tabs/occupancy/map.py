"""The map with its switches, the headline, and the curves of the selected detector."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
import panel as pn
from bokeh.events import DoubleTap, Tap
from bokeh.models import Div, InlineStyleSheet

from dashboard.tabs.occupancy.look import TWO_SIDED, UNITS
from dashboard.tabs.occupancy.results import colour_limits, headline
from dashboard.tabs.parts import pane
from dashboard.views.channelmap import FINDINGS, ChannelMap, Colouring
from dashboard.views.curve import Curve, Series
from dashboard.views.grid import ChannelGrid
from dashboard.views.style import ACCENT, EXPECTED, IN_TIME, REFERENCE, STATES, ZERO
from detcore import occupancy

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dashboard.tabs.occupancy.look import Look
    from dashboard.tabs.occupancy.results import Results

HEADLINE_CSS = """
.row { display: flex; flex-wrap: wrap; gap: 2px 22px; align-items: baseline; color: var(--panel-on-surface-color);
  font-family: var(--bokeh-base-font); padding: 4px 0; }
.item { white-space: nowrap; font-size: clamp(12.5px, 0.6vw, 22px); }
.item b { font-size: clamp(17px, 0.8vw, 30px); font-weight: 650; font-variant-numeric: tabular-nums; margin-right: 5px; }
.state { border-radius: 5px; color: #fff; padding: 2px 9px; font-size: clamp(12.5px, 0.6vw, 22px); font-weight: 600; }
.state b { font-size: clamp(15px, 0.7vw, 26px); margin-right: 5px; }
.state.none { opacity: 0.35; }
.wall.row { gap: 0.4vh 1.5vw; padding: 0.8vh 0; flex-wrap: nowrap; }
.wall .item { font-size: 1.05vw; } .wall .item b { font-size: 1.9vw; margin-right: 0.4vw; }
.wall .state { font-size: 1.2vw; padding: 0.2vw 0.8vw; border-radius: 0.4vw; } .wall .state b { font-size: 1.9vw; }
"""
KEY_CSS = """
.key { display: flex; gap: 4px 12px; flex-wrap: wrap; font-size: calc(0.86 * var(--dc-text, 14px)); color: var(--panel-on-surface-color); opacity: 0.85;
  font-family: var(--bokeh-base-font); align-items: center; }
.key i { display: inline-block; width: 11px; height: 11px; margin-right: 4px; vertical-align: -1px; }
"""
SIGNS = {"x": "✕", "triangle": "▲", "inverted_triangle": "▼", "diamond": "◆"}


def key() -> pn.pane.HTML:
    """Return the explanation of greys and signs; fixed text."""
    signs = [
        f'<span style="color:{colour}"><b>{SIGNS[sign]}</b></span> {name}' for name, (sign, colour) in FINDINGS.items()
    ]
    text = (
        f'<span><i style="background:{ZERO}"></i>no hit</span>'
        '<span><i style="border:1px dotted currentColor"></i>no such channel</span>'
        + "".join(f"<span>{sign}</span>" for sign in signs)
    )
    return pn.pane.HTML(f'<div class="key">{text}</div>', stylesheets=[KEY_CSS], margin=0)


class Headline:
    """The numbers above everything; they come from counts, never from names."""

    def __init__(self, *, wall: bool) -> None:
        self._wall = wall
        # Bokeh's own, as each change of a Panel pane costs a millisecond
        self._div = Div(
            stylesheets=[InlineStyleSheet(css=HEADLINE_CSS)], disable_math=True, sizing_mode="stretch_width"
        )
        self.pane = pn.pane.Bokeh(self._div, margin=(0, 4), sizing_mode="stretch_width")

    def fill(self, results: Results) -> None:
        """Show the numbers of a result."""
        words = results.once(("headline", self._wall), lambda: self._row(results))
        if words != self._div.text:
            self._div.text = words

    def _row(self, results: Results) -> str:
        parts = []
        for name, value in headline(results).items():
            if name in STATES:
                faint = " none" if value == "0" else ""
                parts.append(
                    f'<span class="state{faint}" style="background:{STATES[name]}"><b>{escape(value)}</b>{name}</span>'
                )
            else:
                parts.append(f'<span class="item"><b>{escape(value)}</b>{escape(name)}</span>')
        return f'<div class="row{" wall" if self._wall else ""}">{"".join(parts)}</div>'


class MapPanel:
    """The channel map of one session.

    Parameters
    ----------
    select
        Called with (detector id, element id) of what is tapped.
    wall
        For a wall display.
    """

    def __init__(self, select: Callable[[int, int], None], *, wall: bool) -> None:
        self.map = ChannelMap(ChannelGrid(()), wall=wall)
        self.pane = pane(self.map.figure)
        self._select = select
        self._judged: object = None
        for kind in (Tap, DoubleTap):  # of two quick clicks in two places the second counts as a double one
            self.map.figure.on_event(kind, self._tapped)

    def _tapped(self, event: Tap) -> None:
        found = self.map.grid.channel_at(event.x, event.y)
        if found:
            self._select(*found)

    def fill(self, results: Results, look: Look, words: str, *, hover: bool = True) -> None:
        """Draw results in the view that `look` says; `words` say what is counted.

        Without `hover` only the colours change, which are a seventh of the data.
        """
        grid = results.grid(look.separators, look.equal)
        if grid is not self.map.grid:
            self.map.arrange(grid)
            hover = True
        drawing = (look.value, look.scale, look.limits, look.separators, look.equal)
        colouring, columns = results.once(("map", *drawing), lambda: painted(results, grid, look))
        self.map.colour(colouring)
        self.map.fill(columns if hover else {"value": columns["value"]})
        if self.map.figure.title.text != words:
            self.map.figure.title.text = words
        dropped = results.once("dropped", lambda: _dropped(results))
        judged = (results.judgement, grid, look.marks, dropped)
        if judged != self._judged:
            self._judged = judged
            self.map.judge(*results.states(), dropped)
            self.map.mark(results.findings if look.marks else None)


def painted(results: Results, grid: ChannelGrid, look: Look) -> tuple[Colouring, dict[str, NDArray[np.generic]]]:
    """Return the colours of the map, and its columns over the channels of `grid`."""
    at = (np.searchsorted(results.array("detector_id"), grid.detector_id), grid.element_id - 1)
    hits = results.array("hits")[at]
    shown = results.value(look.value)[at]
    nothing = hits == 0
    if look.value == "ratio" and results.aligned is not None:
        nothing &= results.aligned[at] == 0
    elif look.value == "significance":
        nothing &= shown == 0
    coloured = np.where(nothing, np.nan, shown)
    two_sided = look.value in TWO_SIDED
    log = look.scale == "log" and look.value != "significance"
    low, high = colour_limits(coloured, log=log, robust=look.limits == "robust", two_sided=two_sided)
    drawn = np.clip(coloured, low, high) if two_sided else coloured
    ratio = np.full(len(hits), np.nan) if results.ratio is None else results.ratio[at]
    columns: dict[str, NDArray[np.generic]] = {
        "value": drawn.astype(np.float32),
        "shown": shown.astype(np.float32),
        "hits": hits.astype(np.int32) if hits.max(initial=0) < 2**31 else hits.astype(np.float64),
        "events_hit": results.array("events_hit")[at].astype(np.int32),
        "rate": results.rate[at].astype(np.float32),
        "expected": results.judgement.expected[at].astype(np.float32),
        "ratio": ratio.astype(np.float32),
    }
    return Colouring(UNITS[look.value], log, low, high, two_sided), columns


def _dropped(results: Results) -> list[int]:
    found: list[int] = results.array("dropped_elements")[
        [results.row(column.detector_id) for column in results.columns]
    ].tolist()
    return found


class Beside:
    """Profile, drift time and trend of the selected detector.

    Parameters
    ----------
    select
        Called with (detector id, element id) of what is tapped in the profile.
    """

    def __init__(self, select: Callable[[int, int], None], *, wall: bool) -> None:
        self.profile = Curve(
            "Element", "Hits",
            [
                Series("hits", "hits", ACCENT, "area"), Series("in_time", "in time", IN_TIME),
                Series("expected", "neighbours predict", EXPECTED, "thin", "dashed"), Series("reference", "reference, scaled", REFERENCE),
                Series("found", "found", "#e02020", "cross"),
            ],
            wall=wall,
        )  # fmt: skip
        self.drift = Curve("Drift time (ns)", "Hits per bin", [Series("hits", "hits", ACCENT, "area")], wall=wall)
        self.trend = Curve(
            "Spill or file", "Hits per event", [Series("rate", "hits per event", ACCENT, "line")], wall=wall
        )
        self.view = pn.Column(
            pane(self.profile.figure),
            pane(self.drift.figure),
            pane(self.trend.figure),
            sizing_mode="stretch_both",
            margin=0,
        )
        self._select = select
        self._detector = 0
        self.profile.figure.on_event(Tap, lambda event: self._select(self._detector, max(1, round(event.x))))

    def fill(self, results: Results, look: Look, detector_id: int, words: str) -> None:
        """Draw the curves of one detector."""
        self._detector = detector_id
        self._fill_profile(results, look, detector_id)
        name = results.name(detector_id)
        if "drift_time" in results.data:
            plane = occupancy.DetectorTable.default().by_id.get(detector_id)
            self.drift.show("hits", results.array("time"), results.of_plane("drift_time", detector_id))
            self.drift.fit()
            window = (plane.t_min, plane.t_max) if plane else (None, None)
            self.drift.window(*window)
            around = f" (window {window[0]:g} to {window[1]:g} ns)" if plane else ""
            self.drift.figure.title.text = f"{name} drift time{around}"
        else:
            self.drift.hide("hits")
            self.drift.figure.title.text = f"{name} drift time: the files have no tdcTime"
        events = np.maximum(results.array("trend_events"), 1)
        labels = results.once("labels", lambda: [str(label) for label in results.array("slice")])
        x = np.arange(len(labels))
        self.trend.show("rate", x, results.of_plane("trend", detector_id) / events, labels)
        self.trend.fit()
        self.trend.name_ticks(labels)
        self.trend.figure.title.text = f"{name} along the run{words}"

    def _fill_profile(self, results: Results, look: Look, detector_id: int) -> None:
        count = results.n_elements(detector_id)
        row, x = results.row(detector_id), np.arange(1, count + 1)
        hits = results.array("hits")[row, :count]
        profile = self.profile
        profile.show("hits", x, hits)
        if "in_time_hits" in results.data:
            profile.show("in_time", x, results.of_plane("in_time_hits", detector_id))
        else:
            profile.hide("in_time")
        profile.show("expected", x, results.judgement.expected[row, :count])
        if results.aligned is not None and results.reference is not None:
            scale = hits.sum() / max(int(results.aligned[row, :count].sum()), 1)
            profile.show("reference", x, results.aligned[row, :count] * scale)
        else:
            profile.hide("reference")
        mine = results.judgement.by_detector.get(detector_id)
        if mine is None:
            profile.hide("found")
        else:
            elements = mine["element_id"].to_numpy()
            reasons = [f"{a}: {b}" for a, b in zip(mine["finding"], mine["reason"], strict=True)]
            profile.show("found", elements, hits[elements - 1], reasons)
        profile.scale(look.scale == "log")
        profile.fit()
        chosen = look.element if look.detector == detector_id and 0 < look.element <= count else None
        profile.cursor(chosen)
        what = (
            f" element {chosen}: {int(hits[chosen - 1]):,} hits"
            if chosen
            else f": {int(hits.sum()):,} hits in {count} elements"
        )
        profile.figure.title.text = f"{results.name(detector_id)}{what}"
