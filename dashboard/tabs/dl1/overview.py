"""The whole event: all cameras that saw it, and the array with the impact point."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui
from typing_extensions import override

from dashboard.tabs.dl1.look import digits
from dashboard.tabs.dl1.panels import Memory, Panel
from dashboard.tabs.parts import COMPACT, column, pane
from dashboard.views.arrayview import ArrayView
from dashboard.views.cameragrid import CameraGrid, Tile
from dashboard.views.pixels import Ellipse, pixels_of
from dashboard.views.sheet import Sheet

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboard.tabs.dl1.look import Look
    from dashboard.tabs.dl1.panels import Now
    from detcore import dl1

COLUMNS = {"name": "Shower", "found": "Found", "true": "True", "unit": "Unit"}
SHOWER = {  # label -> reconstructed, true, unit
    "Energy": ("", "true_energy", "TeV"),
    "Altitude": ("alt", "true_alt", "deg"),
    "Azimuth": ("az", "true_az", "deg"),
    "Impact x": ("core_x", "true_core_x", "m"),
    "Impact y": ("core_y", "true_core_y", "m"),
    "Height of maximum": ("h_max", "", "m"),
    "First interaction": ("", "true_h_first_int", "m"),
    "Depth of maximum": ("", "true_x_max", "g/cm²"),
}


class EventPanel(Panel):
    """Grid of cameras, plan of the array, and the numbers of the shower.

    Parameters
    ----------
    want
        Called with changed fields of `Look`.
    wall
        For a wall display.
    """

    def __init__(self, want: Callable[..., None], *, wall: bool = False) -> None:
        self._want, self._wall = want, wall
        self._drawn, self._chosen = Memory(), Memory()
        tapped = None if wall else self._tapped
        self.grid = CameraGrid(tapped=tapped, common=False, wall=wall)
        self.array = ArrayView(tapped=tapped, wall=wall)
        self.grid.figure.name, self.array.figure.name = "dl1-grid", "dl1-array"
        self.sheet = Sheet(COLUMNS, widths={"found": 56, "true": 56, "unit": 52})
        self._common = pmui.RadioButtonGroup(
            options={"Own colours": False, "Common colours": True}, value=False, **COMPACT
        )
        self._common.param.watch(lambda event: want(common=bool(event.new)), "value")
        upper = column(pane(self.grid.figure), flex="5 1 0")
        plan = column(pane(self.array.figure), flex="6 1 0")
        if wall:
            self.view = pn.Column(upper, plan, sizing_mode="stretch_both", margin=0)
            return
        lower = pn.Row(
            plan,
            column(self.sheet, flex="6 1 0"),
            sizing_mode="stretch_both",
            margin=0,
            styles={"flex": "4 1 0"},
        )
        self.view = pn.Column(self._common, upper, lower, sizing_mode="stretch_both", margin=0)

    def _tapped(self, tel: int | None) -> None:
        if tel is not None:
            self._want(tel=int(tel))

    @override
    def show(self, look: Look, cuts: dl1.Cuts) -> None:
        self._common.value = look.common

    @override
    def fill(self, now: Now) -> None:
        event, look = now.event, now.look
        if event is None:
            return
        if self._drawn.new(event, look.shown, look.frame, look.scale, look.common):
            self._draw(now, event)
        tel = now.image.tel_id if now.image is not None else None
        if self._chosen.new(tel, event):
            self.grid.choose(tel)
            self.array.choose(tel)

    def _draw(self, now: Now, event: dl1.Event) -> None:
        look = now.look
        self.grid.colour(scale=look.scale, common=look.common)
        self.grid.show(
            [_tile(one, look) for one in event.cameras], title=f"Event {event.event_id}: all images{_time(event)}"
        )
        stereo = event.stereo or {}
        core = _pair(stereo, "core_x", "core_y")
        axes = [(axis["tel_x"], axis["tel_y"], axis["angle"]) for axis in stereo.get("axes", ())]
        size = {one.tel_id: float(one.parameters.get("hillas_intensity", math.nan)) for one in event.cameras}
        words = f"{len(axes)} image axes" if axes else "no direction: fewer than two images that pass"
        self.array.show(
            now.facts.telescopes, size, axes=axes, core=core, true_core=_pair(event.info, "true_core_x", "true_core_y"),
            title=f"Array: {words}",
        )  # fmt: skip
        if not self._wall:
            self.sheet.fill(_shower(event))


def _tile(one: dl1.OneCamera, look: Look) -> Tile:
    """Return the small picture of one image."""
    pixels = pixels_of(one.camera, angles=look.frame == "sky" and one.camera.focal_length > 0)
    values = one.image
    if look.shown == "truth" and one.true_image is not None:
        values = one.true_image.astype(np.float32)
    elif look.shown == "kept":
        values = np.where(one.selected, one.image, np.nan).astype(np.float32)
    size = digits(one.parameters.get("hillas_intensity"))
    detail = f"{one.telescope.get('type', '')}, {size + ' p.e.' if size else 'nothing kept'}"
    ellipse = Ellipse.of(one.parameters, pixels, one.camera.focal_length)
    return Tile(one.tel_id, f"Tel {one.tel_id}", pixels, values, ellipse, detail)


def _pair(values: Any, x: str, y: str) -> tuple[float, float] | None:
    """Return a place, if it is known."""
    found = tuple(values.get(name) for name in (x, y))
    if not all(isinstance(value, int | float | np.number) and math.isfinite(value) for value in found):
        return None
    return float(found[0]), float(found[1])


def _time(event: dl1.Event) -> str:
    time = event.info.get("time")
    return f" · {time.replace('T', ' ')[:23]} TAI" if isinstance(time, str) and time not in {"", "nan"} else ""


def _shower(event: dl1.Event) -> pd.DataFrame:
    """Return what was reconstructed beside what was simulated."""
    stereo, rows = event.stereo or {}, []
    for label, (found, true, unit) in SHOWER.items():
        ours, known = digits(stereo.get(found)), digits(event.info.get(true))
        if ours or known:
            rows.append([label, ours, known, unit])
    rows.append(["Images that count", str(stereo.get("n_telescopes", 0)), "", f"of {len(event.cameras)}"])
    return pd.DataFrame(rows, columns=list(COLUMNS))
