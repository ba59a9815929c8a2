"""The controls of the Eiger tab: limits with the histogram of pixel values, frames, what the trace shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import panel as pn
import panel_material_ui as pmui
from bokeh.models import BoxAnnotation, ColumnDataSource, CustomJS, HoverTool, LogTickFormatter, Range1d, Span

from dashboard.tabs.eiger.look import METHODS, WHOLE
from dashboard.tabs.parts import COMPACT, NUMBER, pane, text
from dashboard.views.push import name_ticks, push
from dashboard.views.style import ACCENT, EXPECTED, MUTED, above, blank, set_scale
from detcore import eiger
from detcore.core.parameters import InvalidParameters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import xarray as xr

    from dashboard.tabs.eiger.look import Look, Place

FLOOR = 0.5  # where no pixel at all is drawn on the logarithmic axis
ZERO = -1.2  # left edge of the bar of the value 0, whose right edge is at ZERO + 1
SETTLED_MS = 250  # a dragged limit is taken over when the mouse rests that long
BITS = 32


class TraceBar:
    """The row above the trace: what is shown of it, and which frames are read.

    Parameters
    ----------
    want
        Called with changed fields of `Look`.
    go
        Called with changed fields of `Place`.
    """

    def __init__(self, want: Callable[..., None], go: Callable[..., None]) -> None:
        self._want, self._go = want, go
        self._show = pmui.RadioButtonGroup(
            options={"Raw": "raw", "Detrended": "detrended", "Both": "both"}, value="both", **COMPACT
        )
        self._unit = pmui.RadioButtonGroup(options={"Counts": False, "Normalised": True}, value=False, **COMPACT)
        small: dict[str, Any] = {"size": "small", "margin": (4, 4)}
        self._method = pmui.Select(
            label="Detrend",
            options={label: name for name, label in METHODS.items()},
            value="linear",
            width=118,
            **small,
        )
        self._order = pmui.IntInput(label="Order", value=2, start=1, end=10, width=58, visible=False, **NUMBER)
        self._cutoff = pmui.FloatInput(label="Cut (Hz)", value=1.0, start=0.0, width=74, visible=False, **NUMBER)
        self._region = pmui.Select(label="Numbers of", options=[WHOLE], value=WHOLE, width=116, visible=False, **small)
        self._first = pmui.IntInput(label="First", value=1, start=1, width=80, **NUMBER)
        self._last = pmui.IntInput(label="Last", value=0, start=0, width=80, **NUMBER)
        self._step = pmui.IntInput(label="Step", value=1, start=1, width=50, **NUMBER)
        self._all = pmui.Button(
            label="All frames", variant="text", visible=False, on_click=lambda _: go(first=1, last=0, step=1), **COMPACT
        )
        self._fit = pmui.CheckButtonGroup(options=["Outliers in view"], value=[], **COMPACT)
        self._fit.param.watch(lambda event: want(outliers=bool(event.new)), "value")
        self._show.param.watch(lambda event: want(show=event.new), "value")
        self._unit.param.watch(lambda event: want(normalised=bool(event.new)), "value")
        self._method.param.watch(lambda event: want(method=event.new), "value")
        self._order.param.watch(lambda event: want(order=min(max(event.new or 1, 1), 10)), "value")
        self._cutoff.param.watch(lambda event: want(cutoff=event.new) if (event.new or 0) > 0 else None, "value")
        self._region.param.watch(lambda event: want(region=event.new or WHOLE), "value")
        for name, widget in (("first", self._first), ("last", self._last), ("step", self._step)):
            widget.param.watch(lambda event, name=name: self._frames(name, event.new), "value")
        self.view = pn.FlexBox(
            self._show, self._unit, self._fit, self._method, self._order, self._cutoff, self._region, self._first, self._last,
            self._step, self._all, sizing_mode="stretch_width", margin=0, align_items="center",
        )  # fmt: skip

    def _frames(self, name: str, value: object) -> None:
        if isinstance(value, int):
            self._go(**{name: value})

    def show(self, look: Look, place: Place, regions: Sequence[str]) -> None:
        """Show what is wished now."""
        self._show.value, self._unit.value, self._method.value = look.show, look.normalised, look.method
        self._fit.value = ["Outliers in view"] if look.outliers else []
        self._order.param.update(value=look.order, visible=look.method == "polynomial")
        self._cutoff.param.update(value=look.cutoff, visible=look.method == "highpass")
        self._first.value, self._last.value, self._step.value = place.first, place.last, place.step
        self._all.visible = place.frames is not None
        options = [WHOLE, *regions]
        if options != self._region.options:
            self._region.options = options
        self._region.visible = bool(regions)
        self._region.value = look.region if look.region in options else WHOLE


class Thresholds:
    """The limits: typed, or dragged as lines over the histogram of all pixel values.

    Parameters
    ----------
    cut
        Called with the new `Limits`.
    """

    def __init__(self, cut: Callable[[eiger.Limits], None]) -> None:
        self._cut = cut
        self._now = eiger.Limits()
        self._quiet = False
        self._settling: Any = None
        self.figure = plot = blank("Value of a pixel (counts)", "Pixels", tools="save,reset")
        plot.x_range, plot.y_range = Range1d(ZERO - 0.3, 17), Range1d(FLOOR, 10)
        set_scale(plot, "y", log=True)
        plot.yaxis.formatter = LogTickFormatter()
        plot.xgrid.grid_line_color = None
        columns = ("left", "right", "top", "bottom", "count", "range")
        self.source = ColumnDataSource({name: [] for name in columns}, name="eiger-values")
        bars = plot.quad(
            "left", "right", "top", "bottom", source=self.source, fill_color=ACCENT, fill_alpha=0.5, line_color=ACCENT
        )
        plot.add_tools(HoverTool(renderers=[bars], tooltips=[("Value", "@range"), ("Pixels", "@count{0,0}")]))
        shade = {"fill_color": MUTED, "fill_alpha": 0.25, "line_color": None}
        self._below, self._over = BoxAnnotation(right=ZERO, **shade), BoxAnnotation(left=BITS, **shade)
        style = {"dimension": "height", "line_color": EXPECTED, "line_width": 3, "editable": True}
        self._low, self._high = (
            Span(location=ZERO, name="eiger-low", **style),
            Span(location=13, name="eiger-high", **style),
        )
        for part in (self._below, self._over, self._low, self._high):
            plot.add_layout(part)
        for line, box, side in ((self._low, self._below, "right"), (self._high, self._over, "left")):
            line.js_on_change("location", CustomJS(args={"box": box, "side": side}, code="box[side] = cb_obj.location"))
            line.on_change("location", self._dragged)
        number: dict[str, Any] = NUMBER | {"width": 104, "start": 0}
        self._numbers = {
            "low": pmui.IntInput(label="Lowest value", value=0, **number),
            "high": pmui.IntInput(label="Highest value", value=self._now.high, **number),
        }
        self._mask = pmui.Switch(
            label="Pixel mask", value=True, size="small", margin=(8, 6),
            description="Off: the rule of the old scripts, which knows the two limits only",
        )  # fmt: skip
        for name, widget in (*self._numbers.items(), ("pixel_mask", self._mask)):
            widget.param.watch(lambda event, name=name: self._changed({name: event.new}), "value")
        self._error = text(color="#d93636")
        self._error.visible = False
        row = pn.Row(
            *self._numbers.values(), self._mask, sizing_mode="stretch_width", margin=0, styles={"align-items": "center"}
        )
        self.view = pn.Column(row, self._error, pane(plot), sizing_mode="stretch_both", margin=0)

    def _changed(self, values: dict[str, Any]) -> None:
        if self._quiet or None in values.values():
            return
        try:
            limits = eiger.Limits.checked(dict(self._now) | values)
        except InvalidParameters as error:
            self._error.param.update(text=str(error), visible=True)
            return
        self._error.visible = False
        self._cut(limits)

    def _dragged(self, attr: str, old: object, new: object) -> None:  # noqa: ARG002 - the signature that Bokeh calls
        document = self.figure.document
        if self._quiet or document is None:
            return
        if self._settling is not None:
            document.remove_timeout_callback(self._settling)
        self._settling = document.add_timeout_callback(self._rested, SETTLED_MS)

    def _rested(self) -> None:
        self._settling = None
        found = {}
        for name, line in (("low", self._low), ("high", self._high)):
            place = line.location
            if not isinstance(place, int | float) or not np.isfinite(place):
                continue
            if abs(place - place_of(getattr(self._now, name), name)) > 1e-6:  # else it was not moved
                found[name] = value_at(float(place), name)
        if found:
            self._changed(found)
            self._place()  # where whole numbers are, or back if it is impossible

    def show(self, limits: eiger.Limits) -> None:
        """Show the limits that are in force."""
        self._now, self._quiet = limits, True
        for name, widget in self._numbers.items():
            widget.value = getattr(limits, name)
        self._mask.value = limits.pixel_mask
        self._error.visible = False
        self._quiet = False
        self._place()

    def _place(self) -> None:
        self._quiet = True
        for line, box, side, name in (
            (self._low, self._below, "right", "low"),
            (self._high, self._over, "left", "high"),
        ):
            at = place_of(getattr(self._now, name), name)
            if line.location != at:
                line.location = at
            if getattr(box, side) != at:
                setattr(box, side, at)
        self._quiet = False

    def fill(self, data: xr.Dataset) -> None:
        """Draw how many pixels have a value of how many bits."""
        if "value_counts" not in data:
            return
        counts = data["value_counts"].values
        bins = np.arange(len(counts))
        last = int(np.flatnonzero(counts).max(initial=1))
        shown = bins <= last
        counts, bins = counts[shown], bins[shown]
        lowest = np.where(bins == 0, 0, 2.0 ** (bins - 1))
        ranges = [f"{low:,.0f}" if low < 2 else f"{low:,.0f} to {2 * low - 1:,.0f}" for low in lowest]
        bars = {
            "left": np.where(bins == 0, ZERO, bins - 1.0), "right": np.where(bins == 0, ZERO + 1, bins - 0.06),
            "top": np.where(counts > 0, counts, FLOOR).astype(float), "bottom": np.full(len(counts), FLOOR),
            "count": counts.astype(float), "range": ranges,
        }  # fmt: skip
        push(self.source, bars)
        plot = self.figure
        end = max(last, place_of(self._now.high, "high")) + 0.6
        if plot.x_range.reset_end != end:
            plot.x_range.update(start=ZERO - 0.3, end=end, reset_start=ZERO - 0.3, reset_end=end)
        top = above(float(counts.max(initial=1))) ** 1.06
        if plot.y_range.reset_end != top:
            plot.y_range.update(end=top, reset_end=top, reset_start=FLOOR)
        step = max(1, round(end / 8))
        name_ticks(
            plot.xaxis[0], {ZERO + 0.5: "0"} | {float(bit): short(2**bit) for bit in range(0, int(end) + 1, step)}
        )
        overflow = int(data.get("n_overflow", 0))
        lost = f", {overflow:,} all-ones" if overflow else ""
        plot.title.text = f"All unmasked pixels of all frames{lost}: drag the lines"


def short(value: int) -> str:
    """Return a power of two in few characters.

    Examples
    --------
    >>> short(512), short(4096), short(2**20)
    ('512', '4k', '1M')
    """
    for unit, size in (("G", 2**30), ("M", 2**20), ("k", 2**10)):
        if value >= size:
            return f"{value // size}{unit}"
    return str(value)


def place_of(value: int, side: str) -> float:
    """Return where a limit stands over the histogram, whose bars end at powers of two.

    Examples
    --------
    >>> place_of(0, "low"), place_of(1, "low"), place_of(4, "low"), place_of(1, "high"), place_of(7, "high")
    (-1.2, 0.0, 2.0, 1.0, 3.0)
    """
    if side == "low":
        return ZERO if value <= 0 else float(np.log2(value))
    return float(np.log2(value + 1)) if value > 0 else ZERO + 1.1


def value_at(place: float, side: str) -> int:
    """Return the limit that stands at a place of the histogram.

    Examples
    --------
    >>> value_at(-0.5, "low"), value_at(2.0, "low"), value_at(3.0, "high"), value_at(0.2, "high")
    (0, 4, 7, 0)
    """
    place = min(place, float(BITS))
    if side == "low":
        return 0 if place < -0.1 else max(1, round(2**place))
    return max(0, round(2**place) - 1)
