"""The image as a picture of square cells, as networks take it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import panel as pn
import panel_material_ui as pmui
from bokeh.models import ColorBar, ColumnDataSource, HoverTool, LinearColorMapper
from typing_extensions import override

from dashboard.tabs.background import Latest
from dashboard.tabs.dl1.panels import Memory, Panel
from dashboard.tabs.dl1.results import MAPPED
from dashboard.tabs.parts import column, pane, text
from dashboard.views.channelmap import SEQUENTIAL
from dashboard.views.push import push
from dashboard.views.square import Square
from dashboard.views.style import blank, digits, grow
from dashboard.views.viewport import without_math
from detcore import dl1

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dashboard.tabs.dl1.look import Look
    from dashboard.tabs.dl1.panels import Now

METHODS = {name.replace("_", " ").capitalize(): name for name in dl1.MAPPING_METHODS}


class Cells:
    """A picture of square cells, row 0 on top."""

    def __init__(self, name: str, like: Cells | None = None) -> None:
        self.figure = plot = blank("Column", "Row", tools="pan,wheel_zoom,box_zoom,reset,save")
        plot.name = f"dl1-{name}"
        self.square: Square = Square(plot, like=like.square if like else None)
        plot.grid.grid_line_color = None
        self._mapper = LinearColorMapper(palette=SEQUENTIAL, low=0, high=1, nan_color="#00000000")
        self.source = ColumnDataSource({key: [] for key in ("image", "x", "y", "dw", "dh")}, name=f"dl1-{name}")
        image = plot.image("image", "x", "y", "dw", "dh", source=self.source, color_mapper=self._mapper)
        self._bar = ColorBar(
            color_mapper=self._mapper, formatter=digits(), width=10, padding=4, label_standoff=6, title_standoff=7,
            background_fill_color=None,
        )  # fmt: skip
        plot.add_layout(self._bar, "right")
        grow(self._bar, wall=False)
        plot.add_tools(
            HoverTool(renderers=[image], tooltips=[("Value", "@image{0,0.[000]}"), ("Cell", "$x{0}, $y{0}")])
        )

    def show(self, values: NDArray[np.float32], label: str, title: str) -> None:
        """Draw values (row, column)."""
        rows, columns = values.shape
        drawn = np.ascontiguousarray(values[::-1])  # row 0 of the glyph is the lowest
        push(self.source, {"image": [drawn], "x": [-0.5], "y": [-0.5], "dw": [float(columns)], "dh": [float(rows)]})
        self.square.hold((-0.5, columns - 0.5, -0.5, rows - 0.5))
        known = values[np.isfinite(values)]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        self._mapper.update(low=low, high=high if high > low else low + 1.0)
        if self._bar.title != label:
            self._bar.title = label
        text = without_math(title)
        if self.figure.title.text != text:
            self.figure.title.text = text


class MappedPanel(Panel):
    """Charge and time as they are mapped.

    Parameters
    ----------
    want
        Called with changed fields of `Look`.
    ready
        Called, from any thread, when a mapping has been made.
    """

    def __init__(self, want: Callable[..., None], ready: Callable[[], None]) -> None:
        self._work: Latest[NDArray[np.float32]] = Latest(MAPPED, ready)
        self._drawn = Memory()
        self._method = pmui.Select(
            label="Method",
            options=METHODS,
            value="bilinear_interpolation",
            width=230,
            size="small",
            margin=(9, 4, 4, 4),
        )
        self._method.param.watch(lambda event: want(mapping=event.new), "value")
        self._words = text()
        self.charge = Cells("mapped-charge")
        self.time = Cells("mapped-time", like=self.charge)
        bar = pn.FlexBox(self._method, sizing_mode="stretch_width", margin=0, align_items="center")
        plots = column(pane(self.charge.figure), pane(self.time.figure))
        self.view = pn.Column(bar, self._words, plots, sizing_mode="stretch_both", margin=0)

    @override
    def show(self, look: Look, cuts: dl1.Cuts) -> None:
        self._method.value = method_of(look)

    @override
    def fill(self, now: Now) -> None:
        event, one = now.event, now.image
        if event is None or one is None:
            return
        method = method_of(now.look)
        key = (event.path, event.obs_id, event.event_id, one.tel_id, method)
        try:
            found = self._work.ask(key, lambda: mapped(one, method))
        except ValueError as error:
            self._say(str(error))
            return
        if found is None:
            self._say("Making the mapping …")
        elif self._drawn.new(found):
            self._say(
                f"{found.shape[0]} by {found.shape[1]} cells of {one.camera.n_pixels:,} pixels; the export writes those of all images."
            )
            who = f"Event {event.event_id}, telescope {one.tel_id}"
            self.charge.show(found[..., 0], "Charge (p.e.)", who)
            self.time.show(found[..., 1], f"Peak time ({one.time_unit})", method.replace("_", " "))

    def _say(self, words: str) -> None:
        if self._words.text != words:
            self._words.text = words


def method_of(look: Look) -> str:
    """Return a method that there is, whatever the link says."""
    return look.mapping if look.mapping in dl1.MAPPING_METHODS else "bilinear_interpolation"


def mapped(one: dl1.OneCamera, method: str) -> NDArray[np.float32]:
    """Return charge and time of an image as a picture (row, column, 2); called in a thread.

    Raises
    ------
    ValueError
        The camera cannot be mapped like that.
    """
    times = one.peak_time if one.peak_time is not None else np.zeros_like(one.image)
    both = np.stack([one.image, times], axis=-1)[None]
    return np.asarray(dl1.image_mapping(one.camera, method).apply(both)[0], np.float32)
