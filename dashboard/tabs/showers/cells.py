"""The spectrum of cells with the MIP cut, which is dragged or typed, and the spectrum of times."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import panel as pn
import panel_material_ui as pmui
from bokeh.models import BoxAnnotation, CustomJS, Span
from typing_extensions import override

from dashboard.tabs.fields import NumberField
from dashboard.tabs.parts import COMPACT, column, text
from dashboard.tabs.showers.panels import Panel
from dashboard.tabs.showers.profiles import named
from dashboard.views.overlay import Overlay, Sample
from dashboard.views.style import EXPECTED, MUTED
from detcore import showers
from detcore.core.parameters import InvalidParameters

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr
    from numpy.typing import NDArray

    from dashboard.tabs.showers.look import Look
    from dashboard.tabs.showers.results import Results, Trial

SETTLED_MS = 250  # a dragged cut is taken over when the mouse rests that long
LOWEST, HIGHEST = 1e-3, 1e3  # MeV, of the spectrum
MOST_LAYERS = 100_000  # beyond that a range has no end


class Spectra(Panel):
    """Cells by energy and by time, and the cuts.

    Parameters
    ----------
    want
        Called with changed fields of `Look`.
    cut
        Called with the changed `Cuts`.
    cuts
        What is cut at first.
    """

    def __init__(self, want: Callable[..., None], cut: Callable[[showers.Cuts], None], cuts: showers.Cuts) -> None:
        self._cut, self._now, self._quiet = cut, cuts, False
        self._settling: Any = None
        self._part, self._effective = "ecal", {"ecal": 0.0, "hcal": 0.0}
        self._shown: object = None
        self.cells = named(Overlay("Energy of a cell (MeV)", "Cells / shower", log_x=True, log_y=True), "spectrum")
        self.times = named(Overlay("Time of a cell (ns)", "Cells / shower", log_x=True, log_y=True), "times")
        plot = self.cells.figure
        self.span = Span(
            location=LOWEST, dimension="height", line_color=EXPECTED, line_width=3, editable=True, name="showers-cut"
        )
        self.span.on_change("location", self._dragged)
        self._shade = BoxAnnotation(right=LOWEST, fill_color=MUTED, fill_alpha=0.22, line_color=None)
        self.span.js_on_change("location", CustomJS(args={"box": self._shade}, code="box.right = cb_obj.location"))
        plot.add_layout(self._shade)
        plot.add_layout(self.span)
        self._parts = pmui.RadioButtonGroup(options={"ECAL": "ecal", "HCAL": "hcal"}, value="ecal", **COMPACT)
        self._parts.param.watch(lambda event: want(part=event.new), "value")
        fields = {
            "ecal_threshold": ("ECAL (MeV)", "detector's"), "hcal_threshold": ("HCAL (MeV)", "detector's"),
            "radius": ("r < (mm)", "all"), "first": ("Layer ≥", "all"), "last": ("Layer ≤", "all"),
        }  # fmt: skip
        self._numbers = {
            name: NumberField(label, partial(self._typed, name), self._complain, empty=empty)
            for name, (label, empty) in fields.items()
        }
        self._reset = pmui.Button(
            label="Detector's cuts", variant="text", **COMPACT,
            on_click=lambda _: self._changed(ecal_threshold=None, hcal_threshold=None, radius=None, layers=None),
        )  # fmt: skip
        self._error = text(color="#d93636")
        self._error.visible = False
        bar = pn.FlexBox(
            self._parts,
            *(field.widget for field in self._numbers.values()),
            self._reset,
            sizing_mode="stretch_width",
            margin=0,
            align_items="center",
        )
        self._times = column(self.times.view, flex="2 1 0")
        self._times.visible = False
        plots = pn.Row(
            column(self.cells.view, flex="3 1 0"),
            self._times,
            sizing_mode="stretch_both",
            margin=0,
        )
        self.view = pn.Column(bar, self._error, plots, sizing_mode="stretch_both", margin=0)

    # --- what the viewer does

    def _typed(self, name: str, value: float | None) -> None:
        if name not in {"first", "last"}:
            self._changed(**{name: value})
            return
        first: float | None
        last: float | None
        first, last = self._now.layers or (None, None)
        first, last = (value, last) if name == "first" else (first, value)
        nothing = first is None and (last is None or last > MOST_LAYERS)
        self._changed(layers=None if nothing else (int(first or 0), 2**62 if last is None else int(last)))

    def _changed(self, **values: Any) -> None:
        if self._quiet:
            return
        try:
            cuts = showers.Cuts.checked(dict(self._now) | values)
        except InvalidParameters as error:
            self._complain(str(error))
            return
        self._error.visible = False
        self._cut(cuts)

    def _complain(self, words: str) -> None:
        self._error.param.update(text=words, visible=True)

    def _dragged(self, attr: str, old: object, new: object) -> None:  # noqa: ARG002 - the signature that Bokeh calls
        document = self.cells.figure.document
        if self._quiet or document is None:
            return
        if self._settling is not None:
            document.remove_timeout_callback(self._settling)
        self._settling = document.add_timeout_callback(self.rested, SETTLED_MS)

    def rested(self) -> None:
        """Take over where the line stands, once it stands still."""
        self._settling = None
        place = self.span.location
        if not isinstance(place, int | float) or not np.isfinite(place):
            return
        place = min(max(float(place), 0.0), HIGHEST)
        if abs(place - self._place()) > 1e-4 * max(place, LOWEST):  # else it was not moved
            self._changed(**{f"{self._part}_threshold": 0.0 if place <= 1.02 * LOWEST else float(f"{place:.3g}")})

    def _place(self) -> float:
        return max(self._effective[self._part], LOWEST)

    # --- what is shown

    @override
    def show(self, look: Look, cuts: showers.Cuts) -> None:
        self._now, self._quiet = cuts, True
        self._parts.value = look.part
        for name in ("ecal_threshold", "hcal_threshold", "radius"):
            self._numbers[name].show(getattr(cuts, name))
        first, last = cuts.layers or (None, None)
        self._numbers["first"].show(first)
        self._numbers["last"].show(None if last is None or last > MOST_LAYERS else last)
        self._reset.visible = any(
            getattr(cuts, name) is not None for name in ("ecal_threshold", "hcal_threshold", "radius", "layers")
        )
        self._error.visible = False
        self._quiet = False

    @override
    def fill(self, results: Results, trial: Trial | None, look: Look, words: str) -> None:
        if (results, look.part) == self._shown:
            return
        self._shown = (results, look.part)
        self._part = look.part
        attrs = results.shown.attrs
        self._effective = {name: float(attrs.get(f"{name}_threshold", 0.0)) for name in self._effective}
        edges, found = per_shower(results, "cell_energy", f"cells_{look.part}", self._place())
        kept = share_above(results.shown)
        title = f"{look.part.upper()} cells, {100 * kept:.3g} % of all are kept · drag the line"
        self.cells.show(edges, found, title=title)
        if all("time_points" in one for one in results.data):
            edges, found = per_shower(results, "time", "time_points")
            self.times.show(edges, found, title="Times above the cut")
        self._times.visible = all("time_points" in one for one in results.data)
        self._quiet = True
        for model, side in ((self.span, "location"), (self._shade, "right")):
            if getattr(model, side) != self._place():
                setattr(model, side, self._place())
        self._quiet = False


def per_shower(
    results: Results, axis: str, key: str, also: float | None = None
) -> tuple[NDArray[np.float64], list[Sample]]:
    """Return the counts of each file per shower, with the errors of counted numbers, without empty bins at the ends.

    Parameters
    ----------
    results
        With `key` on `axis` in each dataset.
    axis, key
        Names.
    also
        A place that must be inside of what is kept.
    """
    edges = results.data[0][f"{axis}_edge"].values
    counts = np.array([one[key].values for one in results.data], np.float64)
    filled = np.flatnonzero((counts > 0).any(axis=0))
    first, last = (int(filled[0]), int(filled[-1])) if filled.size else (0, len(edges) - 2)
    if also is not None:
        place = int(np.clip(np.searchsorted(edges, also) - 1, 0, len(edges) - 2))
        first, last = min(first, max(place - 2, 0)), max(last, place)
    kept = slice(first, last + 1)
    each = [max(int(one["n_showers"]), 1) for one in results.data]
    return edges[first : last + 2], [
        Sample(label, one[kept] / n, np.sqrt(one[kept]) / n)
        for label, one, n in zip(results.labels, counts, each, strict=True)
    ]


def share_above(data: xr.Dataset) -> float:
    """Return the share of the cells that the cuts on energy keep."""
    total = sum(int(data[name].sum()) for name in ("cells_ecal", "cells_hcal", "cells_outside"))
    return float(data["n_hits"].sum()) / total if total else 0.0
