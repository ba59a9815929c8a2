"""What each pixel did over all images: as a camera, as a distribution, and a list of those that are dead or noisy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui
from typing_extensions import override

from dashboard.tabs.dl1.display import telescopes_of
from dashboard.tabs.dl1.distributions import Distribution
from dashboard.tabs.dl1.look import QUANTITIES, Named, digits
from dashboard.tabs.dl1.panels import Memory, Panel
from dashboard.tabs.fields import NumberField
from dashboard.tabs.parts import COMPACT, column, pane, text
from dashboard.views.camera import CameraView
from dashboard.views.pixels import pixels_of
from dashboard.views.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

    from dashboard.tabs.dl1.look import Look
    from dashboard.tabs.dl1.panels import Now
    from dashboard.tabs.dl1.results import Results
    from detcore import dl1

ROWS = 500  # of the list
COLUMNS = {
    "tel": "Telescope",
    "pixel": "Pixel",
    "state": "State",
    "mean": "Mean (p.e.)",
    "std": "Spread (p.e.)",
    "occupancy": "Occupancy",
}


class PixelsPanel(Panel):
    """Statistics of the pixels of one telescope.

    Parameters
    ----------
    want
        Called with changed fields of `Look`.
    """

    def __init__(self, want: Callable[..., None]) -> None:
        self._want, self._quiet = want, False
        self._drawn = Memory()
        self._bad: list[tuple[int, int]] = []
        self._chosen: tuple[int, int] | None = None
        self._tel = pmui.Select(
            label="Telescope", options={"That of the image": -1}, value=-1, width=176, size="small", margin=(9, 4, 4, 4)
        )
        self._tel.param.watch(self._telescoped, "value")
        self._what = pmui.Select(
            label="Quantity", options={named.label: name for name, named in QUANTITIES.items()}, value="mean", width=210,
            size="small", margin=(9, 4, 4, 4),
        )  # fmt: skip
        self._what.param.watch(lambda event: want(quantity=event.new), "value")
        self._scale = pmui.RadioButtonGroup(options={"lin": "linear", "log": "log"}, value="linear", **COMPACT)
        self._scale.param.watch(lambda event: want(pixel_scale=event.new), "value")
        self._limits = {
            name: NumberField(label, partial(self._limited, name), self._complain, empty="usual", width=132)
            for name, label in (("dead_below", "Dead below"), ("noisy_above", "Noisy above"))
        }  # fmt: skip
        self._words = text()
        self.camera = CameraView("", limits="robust", tapped=self._tapped)
        self.camera.figure.name, self.camera.source.name = "dl1-statistics", "dl1-statistics-pixels"
        self.histogram = Distribution("pixels", "Pixels", part="Dead or noisy")
        self.table = Table(COLUMNS, on_click=self._clicked)
        bar = pn.FlexBox(
            self._tel, self._what, self._scale, *(field.widget for field in self._limits.values()),
            sizing_mode="stretch_width", margin=0, align_items="center",
        )  # fmt: skip
        upper = pn.Row(
            column(pane(self.camera.figure), flex="5 1 0"), column(pane(self.histogram.figure), flex="3 1 0"),
            sizing_mode="stretch_both", margin=0, styles={"flex": "5 1 0"},
        )  # fmt: skip
        body = column(upper, self._words, column(self.table.widget, flex="2 1 0"))
        self.view = pn.Column(bar, body, sizing_mode="stretch_both", margin=0)

    # --- what the viewer does

    def _limited(self, name: str, value: float | None) -> None:
        self._want(**{name: value})

    def _telescoped(self, event: Any) -> None:
        if not self._quiet and isinstance(event.new, int):
            self._want(pixels=event.new)

    def _tapped(self, pixel: int | None) -> None:
        self.camera.choose(pixel)

    def _clicked(self, row: int) -> None:
        """Show a pixel of the list in its camera."""
        if 0 <= row < len(self._bad):
            self._chosen = self._bad[row]
            self.camera.choose(self._chosen[1])  # it stays if this is its telescope, and is drawn again if not
            self._want(pixels=self._chosen[0])

    def _complain(self, words: str) -> None:
        self._words.text = words

    # --- what is shown

    @override
    def show(self, look: Look, cuts: dl1.Cuts) -> None:
        self._what.value, self._scale.value = look.quantity, look.pixel_scale
        for name, number in self._limits.items():
            number.show(getattr(look, name))

    @override
    def fill(self, now: Now) -> None:
        results = now.results
        if results is None:
            return
        facts, look = now.facts, now.look
        held = [tel for tel in facts.images if _place(results, tel) is not None]
        if not held:
            self._words.text = "There is no image to count pixels of."
            return
        shown = now.image.tel_id if now.image is not None else held[0]
        tel = next(one for one in (look.pixels, shown, held[0]) if one in held)
        options = telescopes_of(facts, "That of the image")
        self._quiet = True
        if options != self._tel.options:
            self._tel.options = options
        self._tel.value = look.pixels if look.pixels in options.values() else -1
        self._quiet = False
        if self._drawn.new(results, tel, look.quantity, look.pixel_scale):
            self._draw(results, tel, look)

    def _draw(self, results: Results, tel: int, look: Look) -> None:
        camera = results.facts.cameras[tel]
        data, flags = results.data[camera.name], results.flags[camera.name]
        place = _place(results, tel)
        row: xr.Dataset = data.isel(telescope=place)
        dead, noisy = (flags[name].values[place].astype(bool) for name in ("dead", "noisy"))
        named = QUANTITIES[look.quantity]
        named = named._replace(unit=named.unit.replace("time", results.facts.time_unit))
        values = row[look.quantity].values.astype(float)
        unit = results.facts.time_unit
        hover = {
            one.label: (row[name].values, one.unit.replace("time", unit))
            for name, one in QUANTITIES.items()
            if name in row
        }
        images = int(row["n_images"])
        view = self.camera
        view.arrange(pixels_of(camera, angles=False))
        title = f"Telescope {tel}: {named.label} of {images:,} images"
        view.show(values, title=title, label=named.text, hover=hover)
        view.colour(scale=look.pixel_scale)
        view.mark(dead=dead, noisy=noisy)
        bad = dead | noisy
        self.histogram.show(values, values[bad], Named(named.label, named.unit, look.pixel_scale == "log"))
        self._words.text = f"{int(dead.sum())} dead and {int(noisy.sum())} noisy of {camera.n_pixels:,} pixels{_few(images)}. Of all telescopes:"
        view.choose(self._chosen[1] if self._chosen is not None and self._chosen[0] == tel else None)
        self._list(results)

    def _list(self, results: Results) -> None:
        """List the bad pixels of all telescopes."""
        self._bad, rows = results.once("bad pixels", lambda: bad_pixels(results))
        self.table.show(rows)


def bad_pixels(results: Results) -> tuple[list[tuple[int, int]], pd.DataFrame]:
    """Return telescope and number of dead and noisy pixels, and what is written of them; not more than `ROWS`."""
    found: list[tuple[int, int]] = []
    rows: list[list[str]] = []
    for kind, flags in results.flags.items():
        data, dead = results.data[kind], flags["dead"].values.astype(bool)
        for row, pixel in np.argwhere(dead | flags["noisy"].values.astype(bool))[: ROWS - len(found)].tolist():
            tel = int(flags["telescope"].values[row])
            found.append((tel, pixel))
            state = "dead" if dead[row, pixel] else "noisy"
            numbers = [digits(float(data[name].values[row, pixel])) for name in ("mean", "std", "occupancy")]
            rows.append([f"{tel} · {results.facts.type_of(tel)}", str(pixel), state, *numbers])
    return found, pd.DataFrame(rows, columns=list(COLUMNS))


def _few(images: int) -> str:
    return "; few images, so this is a guess" if images < 20 else ""


def _place(results: Results, tel: int) -> int | None:
    """Return where a telescope is in the result of its camera."""
    camera = results.facts.cameras.get(tel)
    data = results.data.get(camera.name) if camera else None
    ids = data["telescope"].values.tolist() if data is not None and "telescope" in data.coords else []
    return ids.index(tel) if tel in ids and data is not None and int(data["n_images"].values[ids.index(tel)]) else None
