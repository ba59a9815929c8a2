"""The image that one telescope took: charge and time side by side, and its numbers beside those of the file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui

from dashboard.tabs.dl1.look import digits, particle
from dashboard.tabs.dl1.panels import Memory
from dashboard.tabs.parts import COMPACT, NUMBER, column, pane
from dashboard.views.camera import CameraView
from dashboard.views.pixels import Ellipse, Ring, pixels_of
from dashboard.views.sheet import Sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from dashboard.tabs.dl1.look import Look
    from dashboard.tabs.dl1.panels import Now
    from dashboard.tabs.dl1.results import Facts
    from dashboard.views.pixels import Pixels
    from detcore import dl1

STEP: dict[str, Any] = {"size": "small", "margin": (4, 0), "width": 36}
SHOWN = {"All": "all", "Kept": "kept", "Simulated": "truth"}
COLUMNS = {"name": "Parameter", "ours": "Now", "file": "In the file", "unit": "Unit"}
# Parameters of the table below the cameras, in degrees and in metres.
SKY = {
    "hillas_intensity": ("Size", "p.e."), "hillas_length": ("Length", "deg"), "hillas_width": ("Width", "deg"),
    "hillas_psi": ("Orientation ψ", "deg"), "hillas_r": ("Distance r", "deg"), "hillas_phi": ("Polar angle φ", "deg"),
    "hillas_fov_lon": ("Centre, longitude", "deg"), "hillas_fov_lat": ("Centre, latitude", "deg"),
    "hillas_skewness": ("Skewness", ""), "hillas_kurtosis": ("Kurtosis", ""), "timing_slope": ("Time gradient", "time/deg"),
}  # fmt: skip
CAMERA = {
    "camera_frame_hillas_intensity": ("Size", "p.e."), "camera_frame_hillas_length": ("Length", "m"),
    "camera_frame_hillas_width": ("Width", "m"), "camera_frame_hillas_psi": ("Orientation ψ", "deg"),
    "camera_frame_hillas_r": ("Distance r", "m"), "camera_frame_hillas_phi": ("Polar angle φ", "deg"),
    "camera_frame_hillas_x": ("Centre x", "m"), "camera_frame_hillas_y": ("Centre y", "m"),
    "camera_frame_hillas_skewness": ("Skewness", ""), "camera_frame_hillas_kurtosis": ("Kurtosis", ""),
    "camera_frame_timing_slope": ("Time gradient", "time/m"),
}  # fmt: skip
BOTH = {
    "morphology_n_pixels": ("Pixels kept", ""), "morphology_n_islands": ("Islands", ""),
    "leakage_intensity_width_1": ("Leakage, one row", ""), "leakage_intensity_width_2": ("Leakage, two rows", ""),
    "concentration_core": ("In the ellipse", ""), "concentration_pixel": ("In one pixel", ""), "intensity_max": ("Brightest pixel", "p.e."),
    "peak_time_mean": ("Mean pulse time", "time"),
}  # fmt: skip
RING = {
    "muonring_radius": ("Ring radius", "deg"), "muonparameters_completeness": ("Ring completeness", ""),
    "muonparameters_radial_std_dev": ("Ring width", "deg"),
}  # fmt: skip


class Display:
    """The bar that goes from event to event, the two cameras, and the table.

    Parameters
    ----------
    want
        Called with changed fields of `Look`.
    step
        Called with 1 or -1: the next or the previous event.
    typed
        Called with what was typed as the number of an event.
    wall
        For a wall display.
    """

    def __init__(
        self, want: Callable[..., None], step: Callable[[int], None], typed: Callable[[str], None], *, wall: bool
    ) -> None:
        self._want, self._wall = want, wall
        self._quiet = False
        self._drawn, self._listed = Memory(), Memory()
        tapped = None if wall else self._tapped
        self.charge = CameraView("Charge (p.e.)", tapped=tapped, wall=wall)
        self.time = CameraView("Peak time (ns)", like=self.charge, tapped=tapped, limits="robust", wall=wall)
        self.charge.figure.name, self.time.figure.name = "dl1-charge", "dl1-time"
        self.charge.source.name, self.time.source.name = "dl1-charge-pixels", "dl1-time-pixels"
        cameras = (pn.Column if wall else pn.Row)(
            column(pane(self.charge.figure)), column(pane(self.time.figure)), sizing_mode="stretch_both", margin=0,
            styles={"flex": "13 1 0"},
        )  # fmt: skip
        self.sheets = [Sheet(COLUMNS, widths={"ours": 74, "file": 84, "unit": 58}) for _ in range(2)]
        lower = pn.Row(
            *(column(sheet) for sheet in self.sheets),
            sizing_mode="stretch_both",
            margin=0,
            styles={"flex": "6 1 0"},
        )
        parts = [cameras] if wall else [*self._bars(step, typed), cameras, lower]
        self.view = pn.Column(*parts, sizing_mode="stretch_both", margin=0)

    def _bars(self, step: Callable[[int], None], typed: Callable[[str], None]) -> list[pn.viewable.Viewable]:
        want = self._want
        self._file = pmui.Select(label="File", options=[""], value="", width=160, size="small", margin=(4, 4))
        self._file.param.watch(self._filed, "value")
        back = pmui.IconButton(icon="chevron_left", description="Previous event", on_click=lambda _: step(-1), **STEP)
        ahead = pmui.IconButton(icon="chevron_right", description="Next event", on_click=lambda _: step(1), **STEP)
        self._number = pmui.TextInput(label="Event", value="", width=104, max_length=20, **NUMBER)
        self._number.param.watch(lambda event: None if self._quiet else typed(str(event.new or "")), "value")
        self._tel = pmui.Select(
            label="Telescope", options={"Brightest": -1}, value=-1, width=160, size="small", margin=(4, 4)
        )
        self._tel.param.watch(self._telescoped, "value")
        self._frame = self._choice({"deg": "sky", "m": "camera"}, "frame", "sky")
        self._scale = self._choice({"lin": "linear", "log": "log"}, "scale", "linear")
        self._shown = self._choice(SHOWN, "shown", "all")
        self._ring = pmui.Checkbox(label="ring", value=False, size="small", margin=(3, 4))
        self._ring.param.watch(lambda event: want(ring=bool(event.new)), "value")
        row: dict[str, Any] = {"sizing_mode": "stretch_width", "margin": 0, "align_items": "center"}
        return [pn.FlexBox(
            self._file, back, self._number, ahead, self._tel, self._shown, self._frame, self._scale, self._ring, **row
        )]  # fmt: skip

    def _choice(self, options: Mapping[str, str], name: str, value: str) -> pmui.RadioButtonGroup:
        group = pmui.RadioButtonGroup(options=dict(options), value=value, **COMPACT)
        group.param.watch(lambda event: self._want(**{name: event.new}), "value")
        return group

    # --- what the viewer does

    def _filed(self, event: Any) -> None:
        if not self._quiet and event.new in self._file.options:
            self._want(file=self._file.options.index(event.new), obs=-1, event=-1, tel=-1, pixels=-1, box="")

    def _telescoped(self, event: Any) -> None:
        if not self._quiet and isinstance(event.new, int):
            self._want(tel=event.new)

    def _tapped(self, pixel: int | None) -> None:
        self.charge.choose(pixel)
        self.time.choose(pixel)

    # --- what is shown

    def show(self, look: Look, files: tuple[str, ...]) -> None:
        """Bring the widgets to what is wished."""
        self._quiet = True
        if list(files) != self._file.options:
            self._file.options = list(files)
        self._file.param.update(value=files[look.file] if look.file < len(files) else "", visible=len(files) > 1)
        self._frame.value, self._scale.value, self._shown.value = look.frame, look.scale, look.shown
        self._ring.value = look.ring
        self._quiet = False

    def name(self, facts: Facts, number: int | None, look: Look) -> None:
        """Show which event and which telescope are wished.

        Not those that have arrived: the page sends a value back once it is drawn, and of two in a moment the first would
        be taken for the choice of the viewer.
        """
        options = telescopes_of(facts, "Brightest")
        self._quiet = True
        if number is not None:
            self._number.value = str(number)
        tel = look.tel if look.tel in options.values() else -1
        if options != self._tel.options:
            self._tel.param.update(options=options, value=tel)
        else:
            self._tel.value = tel
        self._quiet = False

    def fill(self, now: Now, place: str) -> None:
        """Draw the image of the telescope that is wished.

        Parameters
        ----------
        now
            What there is.
        place
            Which event of how many, in words.
        """
        event, one = now.event, now.image
        if event is None:
            return
        if one is None:
            return
        look = now.look
        flags = _flags(now, one)
        if self._drawn.new(event, one, look.frame, look.scale, look.shown, look.ring, place, flags and flags[0]):
            self._draw(event, one, look, place, flags)
        if not self._wall and self._listed.new(event, one, look.frame, look.ring):
            numbers = _numbers(one, look)
            half = -(-len(numbers) // 2)
            self.sheets[0].fill(numbers.iloc[:half])
            self.sheets[1].fill(numbers.iloc[half:])

    def _draw(
        self, event: dl1.Event, one: dl1.OneCamera, look: Look, place: str, flags: tuple[NDArray[Any], NDArray[Any]] | None
    ) -> None:  # fmt: skip
        angles = look.frame == "sky" and one.camera.focal_length > 0
        pixels = pixels_of(one.camera, angles=angles)
        kept = one.selected
        times = one.peak_time if one.peak_time is not None else np.full(len(one.image), np.nan, np.float32)
        hover: dict[str, tuple[Any, str]] = {"Charge": (one.image, "p.e."), "Peak time": (times, one.time_unit)}
        if one.true_image is not None:
            hover["Simulated"] = (one.true_image, "p.e.")
        hover["Kept"] = (kept, "bool")
        charge: NDArray[Any] = one.image
        label = "Charge (p.e.)"
        if look.shown == "truth" and one.true_image is not None:
            charge, label = one.true_image, "Simulated charge (p.e.)"
        elif look.shown == "kept":
            charge = np.where(kept, one.image, np.nan)
        if look.shown != "all" or kept.any():  # of noise the time says nothing
            times = np.where(kept, times, np.nan) if kept.any() else times
        ellipse = Ellipse.of(one.parameters, pixels, one.camera.focal_length)
        ring = _ring_of(one, pixels) if look.ring else None
        dead, noisy = flags if flags is not None else (None, None)
        titles = (f"{_who(event)}{place}", f"Telescope {one.tel_id}: {one.telescope.get('type', '')}, {_kept(one)}")
        for view, values, title, words in (
            (self.charge, charge, titles[0], label), (self.time, times, titles[1], f"Peak time ({one.time_unit})"),
        ):  # fmt: skip
            view.arrange(pixels)
            view.show(values, title=title, label=words, hover=hover)
            view.outline(kept)
            view.ellipse(ellipse)
            view.ring(ring)
            view.mark(dead=dead, noisy=noisy)
        self.charge.colour(scale=look.scale)


def telescopes_of(facts: Facts, none: str) -> dict[str, int]:
    """Return the telescopes with images to choose from, and a word for none of them."""
    return {none: -1} | {f"{tel} · {facts.type_of(tel)}": tel for tel in facts.images}


def _flags(now: Now, one: dl1.OneCamera) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Return the dead and the noisy pixels of a telescope, the same arrays at each call; None if they are not known."""
    found = now.results.flags.get(one.camera.name) if now.results is not None else None
    if found is None or now.results is None:
        return None
    ids = found["telescope"].values.tolist()
    if one.tel_id not in ids:
        return None
    place = ids.index(one.tel_id)
    return now.results.once(
        ("flags", one.tel_id),
        lambda: (found["dead"].values[place].astype(bool), found["noisy"].values[place].astype(bool)),
    )


def _who(event: dl1.Event) -> str:
    """Return what hit the array, in words."""
    info = event.info
    energy = info.get("true_energy", math.nan)
    known = isinstance(energy, int | float | np.number) and math.isfinite(energy)
    what = (
        f"{particle(int(info.get('true_shower_primary_id', -9999)))} {float(energy):.3g} TeV, ".lstrip()
        if known
        else ""
    )
    return f"Event {event.event_id}: {what}{len(event.cameras)} image{'' if len(event.cameras) == 1 else 's'}"


def _kept(one: dl1.OneCamera) -> str:
    count = int(one.selected.sum())
    return f"{count} pixel{'' if count == 1 else 's'} kept" + ("" if one.passes else ", cut")


def _ring_of(one: dl1.OneCamera, pixels: Pixels) -> Ring | None:
    """Return the ring in the units of the axes."""
    if one.ring is None:
        return None
    sky = ("muonring_center_fov_lon", "muonring_center_fov_lat", "muonring_radius")
    names = sky if pixels.angles else ("x", "y", "radius")
    values = [float(one.ring.get(name, math.nan)) for name in names]
    return Ring(*values) if all(map(math.isfinite, values)) else None


def _numbers(one: dl1.OneCamera, look: Look) -> pd.DataFrame:
    """Return the parameters of an image: ours, those of the file, and what was simulated."""
    sky = look.frame == "sky" and "hillas_length" in one.parameters
    file = one.file_parameters or {}
    rows = []
    for name, (label, unit) in ((SKY if sky else CAMERA) | BOTH).items():
        ours = one.parameters.get(name)
        if ours is None and name == "camera_frame_hillas_intensity":
            ours = one.parameters.get("hillas_intensity")
        if ours is None and name not in file:
            continue
        rows.append([label, digits(ours), digits(file.get(name)), unit.replace("time", one.time_unit)])
    if one.true_image is not None:
        rows.insert(1, ["Simulated light", digits(int(one.true_image.sum())), "", "p.e."])
    if one.ring is not None and look.ring:
        rows += [[label, digits(one.ring.get(name)), "", unit] for name, (label, unit) in RING.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))
