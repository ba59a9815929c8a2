"""The image of the area tab: an average or one frame, with the mask, the regions and the rings drawn over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import panel as pn
import panel_material_ui as pmui
from bokeh.models import ColumnDataSource, CustomJSHover, HoverTool

from dashboard.tabs.area.look import KINDS
from dashboard.tabs.parts import COMPACT, NUMBER, pane
from dashboard.views.image import ImageView
from dashboard.views.push import push

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboard.tabs.area.look import Look
    from dashboard.tabs.area.science import Evaluation, Picture
    from dashboard.views.viewport import Run

STEP: dict[str, Any] = {"size": "small", "margin": (4, 0)}
RING = "#ff9100"  # not among the colours of values, nor of the mask
NAMES = {"mean": "Mean", "std": "Standard deviation", "median": "Median", "max": "Maximum", "hits": "Hits"}

PIXEL = """
const at = special_vars.image_index
const found = places.get_column("place")[0]
if (at == null || found == null || found.length != source.get_column("image")[0].length) return ""
const place = found[at.flat_index] - 1
const [ny, nx] = [places.get_column("rows")[0], places.get_column("columns")[0]]
if (place < 0) return "none: a gap"
return `${Math.floor(place / (ny * nx))}, ${Math.floor(place / nx) % ny}, ${place % nx}`
"""


class ImagePanel:
    """The image with the bar above it.

    Parameters
    ----------
    want
        Called with changed fields of `Look`.
    run
        Where pictures are made; see `dashboard.views.viewport`.
    wall
        For a wall display.
    """

    def __init__(self, want: Callable[..., None], run: Run | None, *, wall: bool) -> None:
        self._want, self._wall = want, wall
        self._quiet = False
        self._shown: object = None
        self._limits: tuple[float, float] | None = None
        self._limits_of: object = None
        self._frames = 0
        self.image = ImageView(run=run, log=True, wall=wall)
        self.figure = plot = self.image.figure
        plot.name = "area-image"
        self._rings = ColumnDataSource({"xs": [], "ys": []}, name="area-rings")
        plot.multi_line(
            "xs", "ys", source=self._rings, line_color=RING, line_width=1.4, line_dash="dashed", line_alpha=0.9
        )
        self._beam = ColumnDataSource({"x": [], "y": []}, name="area-beam")
        plot.scatter(
            "x", "y", source=self._beam, marker="cross", size=22, line_color=RING, line_width=2, level="overlay"
        )
        self._points = ColumnDataSource({"x": [], "y": []}, name="area-points")
        plot.scatter(
            "x", "y", source=self._points, marker="circle_x", size=13, line_color=RING, fill_color=None, line_width=2,
            level="overlay",
        )  # fmt: skip
        self._places = ColumnDataSource({"place": [], "rows": [], "columns": []}, name="area-places")
        self._placed: object = None
        self._picture: Picture | None = None
        self.image.source.on_change("data", self._drawn)
        if not wall:
            told = CustomJSHover(code=PIXEL, args={"places": self._places, "source": self.image.source})
            hover = next(iter(plot.select(HoverTool)))
            self._tips = list(hover.tooltips)
            hover.formatters = hover.formatters | {"@value": told}
            self._hover = hover
        self.bar = None if wall else self._bar()

    def _bar(self) -> pn.viewable.Viewable:
        want = self._want
        self._kind = pmui.RadioButtonGroup(
            options={label: name for name, label in KINDS.items()}, value="mean", **COMPACT
        )
        self._kind.param.watch(lambda event: self._asked(image=event.new), "value")
        self._back = pmui.IconButton(
            icon="chevron_left", description="Previous frame", on_click=lambda _: self.go(-1), **STEP
        )
        self._next = pmui.IconButton(
            icon="chevron_right", description="Next frame", on_click=lambda _: self.go(1), **STEP
        )
        self._slider = pmui.IntSlider(
            label="", show_value=False, value=0, start=0, end=1, size="small", width=80, margin=(2, 10)
        )
        self._slider.param.watch(lambda event: self._typed(event.new), "value_throttled")
        self._number = pmui.IntInput(label="Number", value=0, start=0, width=78, **NUMBER)
        self._number.param.watch(lambda event: self._typed(event.new), "value")
        self._scale = pmui.RadioButtonGroup(options={"Log": "log", "Lin": "linear"}, value="log", **COMPACT)
        self._scale.param.watch(lambda event: self._asked(scale=event.new), "value")
        self._mask = pmui.Checkbox(label="Mask", value=True, size="small", margin=(3, 4))
        self._mask.param.watch(lambda event: want(mask=bool(event.new)), "value")
        return pn.FlexBox(
            self._kind, self._back, self._number, self._next, self._slider, self._scale, self._mask,
            sizing_mode="stretch_width", margin=0, align_items="center",
        )  # fmt: skip

    # --- what the viewer does

    def _asked(self, **changes: Any) -> None:
        if not self._quiet:
            self._want(**changes)

    def _typed(self, number: object) -> None:
        if isinstance(number, int) and not self._quiet:
            self._want(image="frame", frame=self._within(number))

    def _within(self, number: int) -> int:
        return min(max(number, 0), max(self._frames - 1, 0))

    def go(self, step: int) -> None:
        """Go to the next frame or to the one before."""
        self._typed(int(self._number.value or 0) + step)

    # --- what is shown

    def show(self, look: Look, frames: int) -> None:
        """Show what is wished now.

        Parameters
        ----------
        look
            What is wished.
        frames
            How many there are.
        """
        self._quiet, self._frames = True, frames
        self._kind.value, self._scale.value, self._mask.value = look.image, look.scale, look.mask
        last = max(frames - 1, 1)
        if self._slider.end != last:
            self._slider.end = last
        if self._number.end != last:
            self._number.end = last
        at = self._within(look.frame) if frames else look.frame
        if frames:
            self._slider.value = at
        self._number.value = at
        self._quiet = False

    def fill(self, picture: Picture, evaluation: Evaluation | None, look: Look) -> None:
        """Draw the image with the colours and the rings that are wished."""
        if evaluation is not None and evaluation.limits is not None:
            self._limits, self._limits_of = evaluation.limits, evaluation.picture
        limits = self._limits if self._limits_of is picture else None
        key = (picture, look.scale, limits)
        if key == self._shown:
            return
        self._shown, self._picture = key, picture
        self._explain(tiled=picture.places is not None)
        self.image.arrange(log=look.scale == "log", limits=limits or "robust")
        saturated = picture.saturated if look.image in {"frame", "max"} else None
        self.image.show(
            picture.values, mask=picture.gaps, title=picture.title, value_label=picture.unit, saturated=saturated
        )
        self._place()

    def _explain(self, *, tiled: bool) -> None:
        """Let the pixel under the mouse tell where it is in a raw frame, if that is not where it is in the image."""
        tips = [*self._tips, ("module, row, column", "@value{custom}")] if tiled and not self._wall else None
        if not self._wall and (tips or self._tips) != self._hover.tooltips:
            self._hover.tooltips = tips or self._tips
        if not tiled and self._places.data["place"]:
            self._placed = None
            push(self._places, {"place": [], "rows": [], "columns": []})

    def _drawn(self, attr: str, old: object, new: object) -> None:  # noqa: ARG002 - the signature that Bokeh calls
        self._place()

    def _place(self) -> None:
        """Send which raw pixels are in the part that is drawn now."""
        picture, shown = self._picture, self.image.shown
        if picture is None or picture.places is None or shown is None or self._wall:
            return
        if shown.frame.image is not picture.values or self._placed == (key := (id(picture.places), shown.window)):
            return
        self._placed = key
        window = shown.window
        part = picture.places[window.top : window.bottom : window.block, window.left : window.right : window.block]
        rows, columns = picture.raw.shape[-2:]
        push(self._places, {"place": [np.ascontiguousarray(part)], "rows": [rows], "columns": [columns]})

    def overlay(self, rings: list[np.ndarray[Any, Any]], beam: tuple[float, float] | None) -> None:
        """Draw rings, each (2, point), and the beam."""
        push(self._rings, {"xs": [ring[0] for ring in rings], "ys": [ring[1] for ring in rings]})
        push(self._beam, {"x": [beam[0]] if beam else [], "y": [beam[1]] if beam else []})

    def picked(self, points: list[tuple[float, float]]) -> None:
        """Show the points that were clicked on a ring."""
        push(self._points, {"x": [x for x, _ in points], "y": [y for _, y in points]})

    def body(self) -> pn.viewable.Viewable:
        """Return the figure as a pane."""
        return pane(self.figure)
