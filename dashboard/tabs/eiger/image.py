"""The image of the Eiger tab: the mean of the series or one frame, with regions drawn on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui

from dashboard.drawing import Drawing
from dashboard.tabs.background import Latest, Shared
from dashboard.tabs.parts import COMPACT, NUMBER, pane
from dashboard.views.image import ImageView
from detcore import eiger

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr
    from numpy.typing import NDArray

    from dashboard.shapes import Shape
    from dashboard.tabs.eiger.look import Look
    from dashboard.tabs.eiger.results import Results
    from dashboard.views.viewport import Run

FRAMES: Shared[xr.DataArray] = Shared(4)  # a frame of 16 million pixels takes 64 MB
STEP: dict[str, Any] = {"size": "small", "margin": (4, 0)}


class ImagePanel:
    """The image with its buttons.

    Parameters
    ----------
    want
        Called with changed fields of `Look`.
    drawn
        Called with all regions after each change; None leaves drawing out.
    ready
        Called, from any thread, when a frame has been read.
    run
        Where pictures are made; see `dashboard.views.viewport`.
    wall
        For a wall display.
    """

    def __init__(
        self, want: Callable[..., None], drawn: Callable[[tuple[Shape, ...]], None] | None, ready: Callable[[], None],
        run: Run | None, *, wall: bool,
    ) -> None:  # fmt: skip
        self._want = want
        self.image = ImageView(run=run, log=True, wall=wall)
        self._work: Latest[xr.DataArray] = Latest(FRAMES, ready)
        self._shown: object = None
        self._numbers: NDArray[Any] | None = None
        self._frame = 0
        if drawn is None:
            self.view = pn.Column(pane(self.image.figure), sizing_mode="stretch_both", margin=0)
            return
        self.drawing = Drawing(self.image.figure, drawn)
        self._kind = pmui.RadioButtonGroup(options={"Mean": "mean", "Frame": "frame"}, value="mean", **COMPACT)
        self._kind.param.watch(self._switched, "value")
        self._scale = pmui.RadioButtonGroup(options={"Log": "log", "Linear": "linear"}, value="log", **COMPACT)
        self._scale.param.watch(lambda event: want(scale=event.new), "value")
        self._back = pmui.IconButton(
            icon="chevron_left", description="Previous frame", on_click=lambda _: self._go(-1), **STEP
        )
        self._next = pmui.IconButton(
            icon="chevron_right", description="Next frame", on_click=lambda _: self._go(1), **STEP
        )
        self._number = pmui.IntInput(label="Frame", value=1, start=1, width=84, **NUMBER)
        self._number.param.watch(self._typed, "value")
        bar = pn.Row(
            self._kind, self._back, self._number, self._next, self._scale,
            sizing_mode="stretch_width", margin=0, styles={"align-items": "center"},
        )  # fmt: skip
        self.view = pn.Column(bar, self.drawing.panel(), pane(self.image.figure), sizing_mode="stretch_both", margin=0)

    def _switched(self, event: Any) -> None:
        if (event.new == "frame") != bool(self._frame):
            self._want(frame=self._number.value or 1 if event.new == "frame" else 0)

    def _typed(self, event: Any) -> None:
        if isinstance(event.new, int) and self._frame and event.new != self._frame:
            self._want(frame=max(1, event.new))

    def _go(self, step: int) -> None:
        """Go to the next frame that is there; from the mean image to the first."""
        numbers = self._numbers
        if numbers is None or not len(numbers):
            return
        if not self._frame:
            self._want(frame=int(self._number.value or numbers[0]))
            return
        place = int(numbers.searchsorted(self._frame + (step > 0)))
        self._want(frame=int(numbers[min(max(place + (step < 0) * step, 0), len(numbers) - 1)]))

    def show(self, look: Look) -> None:
        """Show what is wished now."""
        self._frame = look.frame
        self._kind.value = "frame" if look.frame else "mean"
        self._scale.value = look.scale
        if look.frame:
            self._number.value = look.frame

    def fill(self, results: Results, look: Look, words: str) -> None:
        """Draw the mean image, or the frame when it has been read.

        Raises
        ------
        OSError, ValueError
            The frame cannot be read.
        """
        self._numbers = results.array("frame")
        self.image.arrange(log=look.scale == "log")
        if look.frame:
            key = (results.paths, look.frame)
            found = self._work.ask(key, lambda: eiger.read_frame(results.paths[0], look.frame))
            if found is None:
                return
            title, unit, values = f"Frame {look.frame:,}", "counts", found.values
            image_key: tuple[Any, ...] = key
        else:
            if "mean_image" not in results.data:
                return
            values = results.array("mean_image")
            count = int(results.data.get("image_frames", results.data.sizes["frame"]))
            title, unit = f"Mean of {count:,} frames{words}", "counts / frame"
            image_key = (id(results.data), words)
        if image_key == self._shown:
            return
        self._shown = image_key
        mask = results.pixel_mask
        usable = mask if mask is not None and mask.shape == values.shape else None
        level = results.data.attrs.get("saturation_value") if look.frame else None
        self.image.show(values, mask=usable, title=title, value_label=unit, saturated=level)
