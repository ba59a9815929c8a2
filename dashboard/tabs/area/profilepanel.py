"""The panel with the azimuthal profile, whole or in sectors, and the cake; both follow every edit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import panel as pn
import panel_material_ui as pmui
from typing_extensions import override

from dashboard.tabs.area.look import UNITS
from dashboard.tabs.area.panels import TIGHT, TOP, Acts, Now, Panel
from dashboard.tabs.fields import NumberField
from dashboard.tabs.parts import COMPACT, NUMBER, column, pane
from dashboard.tabs.plot import Line, Plot
from dashboard.views.heat import Heat, Picture, Scale
from detcore import area

if TYPE_CHECKING:
    import xarray as xr

COLOURS = (
    "#1e88e5", "#ef6c00", "#00a188", "#ab47bc", "#d93636", "#8d6e63", "#e39a00", "#26a69a", "#5c6bc0", "#ec407a", "#7cb342", "#78909c",
)  # fmt: skip
SECTORS = len(COLOURS)
CAKE = 90  # sectors of the cake
BINS = 500


def section_of(setup: Any) -> area.AzimuthalSection:
    """Return how a setup integrates; the usual way if it does not say."""
    found = setup.azimuthal
    return found if found is not None else area.AzimuthalSection(bins=BINS, unit="q" if setup.geometry else "radius")


class ProfilePanel(Panel):
    """Intensity against q, angle or radius."""

    def __init__(self, acts: Acts, *, wall: bool = False) -> None:
        super().__init__()
        self._acts = acts
        self._drawn: object = None
        self._unit = pmui.RadioButtonGroup(options={"q": "q", "2θ": "2theta", "radius": "radius"}, value="q", **COMPACT)
        self._bins = pmui.IntInput(label="Bins", value=BINS, start=1, end=20_000, width=72, **NUMBER)
        self._sectors = pmui.IntInput(label="Sectors", value=1, start=1, end=360, width=80, **NUMBER)
        self._polarization = NumberField("Polarisation", self._polarized, self.complain, width=118, empty="off")
        self._low = NumberField("From ADU", lambda value: self._set(threshold_low=value), self.complain, width=104)
        self._high = NumberField("To ADU", lambda value: self._set(threshold_high=value), self.complain, width=104)
        self._solid = pmui.Checkbox(label="Solid angle", value=True, size="small", margin=(3, 4))
        self._cake = pmui.RadioButtonGroup(options={"Profile": False, "Cake": True}, value=False, **COMPACT)
        self._unit.param.watch(lambda event: self._set(unit=event.new, q_range=None, edges=None), "value")
        self._bins.param.watch(lambda event: self._count("bins", event.new), "value")
        self._sectors.param.watch(lambda event: self._count("sectors", event.new), "value")
        self._solid.param.watch(lambda event: self._set(solid_angle=bool(event.new)), "value")
        self._cake.param.watch(lambda event: acts.want(cake=bool(event.new)), "value")
        lines = [Line("lower", "", COLOURS[0], dash="dotted"), Line("upper", "", COLOURS[0], dash="dotted")]
        lines += [Line(f"sector {number}", "profile", colour) for number, colour in enumerate(COLOURS)]
        self.plot = Plot("q (1/Å)", "Intensity (ADU / pixel)", lines, prefix="area", wall=wall)
        self.plot.figure.name = "area-profile"
        self.valid = Plot("q (1/Å)", "Pixels", [Line("n_valid", "valid")], prefix="area", wall=wall)
        self.heat = Heat("q (1/Å)", "Azimuth (deg)", "ADU / pixel", log=False, wall=wall)
        self.heat.figure.name = "area-cake"
        self.heat.source.name = "area-cake"
        bar = pn.FlexBox(
            self._cake, self._unit, self._bins, self._sectors, self._solid, self._polarization.widget, self._low.widget,
            self._high.widget, **TIGHT,
        )  # fmt: skip
        self._profile = column(
            column(pane(self.plot.figure), flex="4 1 0"), column(pane(self.valid.figure), flex="1 1 0")
        )
        self._cake_place = column(pane(self.heat.figure))
        self._cake_place.visible = False
        parts = [] if wall else [bar]
        self.view = pn.Column(
            *parts, self.error, self._profile, self._cake_place, sizing_mode="stretch_both", margin=0, styles=TOP
        )

    # --- what the viewer does

    def _set(self, **changes: Any) -> None:
        if self.quiet:
            return
        now = section_of(self._acts.desk.setup)
        try:
            section = area.AzimuthalSection.model_validate(
                {name: getattr(now, name) for name in type(now).model_fields} | changes
            )
        except ValueError as error:
            self.complain(str(error))
            return
        self._acts.edit(f"profile: {', '.join(changes)}", azimuthal=section)

    def _count(self, name: str, value: object) -> None:
        if isinstance(value, int) and value > 0:
            changes: dict[str, Any] = {name: value}
            if name == "bins":
                changes |= {"q_step": None, "edges": None}
            self._set(**changes)

    def _polarized(self, value: float | None) -> None:
        if value is not None and not -1 <= value <= 1:
            self.complain(f"Polarisation: expected -1 to 1, found {value:g}")
            return
        self._set(polarization=value)

    # --- what is shown

    @override
    def show(self, now: Now) -> None:
        section = section_of(now.desk.setup)
        self.quiet = True
        self._unit.value, self._solid.value, self._cake.value = section.unit, section.solid_angle, now.look.cake
        if section.bins is not None:
            self._bins.value = section.bins
        self._sectors.value = section.sectors if isinstance(section.sectors, int) else len(section.sectors) - 1
        self._polarization.show(section.polarization)
        self._low.show(section.threshold_low)
        self._high.show(section.threshold_high)
        self._profile.visible, self._cake_place.visible = not now.look.cake, now.look.cake
        self.quiet = False

    @override
    def fill(self, now: Now) -> None:
        found = now.evaluation
        if found is None:
            return
        self.report(found.problems.get("profile", ""))
        if now.look.cake:
            if found.cake is not None:
                self._draw_cake(found.cake, found.title)
        elif found.profile is not None:
            self._draw(found.profile, found.title, found.marks)

    def _draw(self, data: xr.Dataset, title: str, marks: tuple[float, ...]) -> None:
        if data is self._drawn:
            return
        self._drawn = data
        axis = str(data.attrs["radial"])
        label = UNITS[axis]
        x = data[axis].values
        intensity = np.atleast_2d(data["intensity"].values)
        error = data["error"].values if "error" in data else None
        n_valid = np.atleast_2d(data["n_valid"].values)
        plot = self.plot
        plot.name_axes(label)
        self.valid.name_axes(label)
        shown = intensity[:SECTORS]
        azimuth = data["azimuth"].values if "azimuth" in data.coords else None
        for number in range(SECTORS):
            name = f"sector {number}"
            if number < len(shown):
                plot.rename(name, f"{azimuth[number]:.0f}°" if azimuth is not None and len(shown) > 1 else "profile")
                plot.show(name, x, shown[number])
            else:
                plot.hide(name)
        if error is not None and len(shown) == 1:
            spread = np.atleast_2d(error)[0]
            plot.show("lower", x, shown[0] - spread)
            plot.show("upper", x, shown[0] + spread)
        else:
            plot.hide("lower", "upper")
        plot.mark(marks)
        plot.fit()
        more = f", {SECTORS} of {len(intensity)} sectors" if len(intensity) > SECTORS else ""
        plot.title(f"Azimuthal mean {title}{more}")
        self.valid.show("n_valid", x, n_valid.sum(axis=0))
        self.valid.fit(from_zero=True)
        self.valid.title("Valid pixels of each bin")

    def _draw_cake(self, data: xr.Dataset, title: str) -> None:
        if data is self._drawn:
            return
        self._drawn = data
        axis = str(data.attrs["radial"])
        x, azimuth = data[axis].values, data["azimuth"].values
        values = np.atleast_2d(data["intensity"].values)
        used = values[np.isfinite(values)]
        low, high = (float(end) for end in np.percentile(used, [1, 99.5])) if used.size else (0.0, 1.0)
        picture = Picture(values.astype(np.float32), (low, max(high, low + 1e-6)))
        steps = [float(one[1] - one[0]) if len(one) > 1 else 1.0 for one in (x, azimuth)]
        self.heat.figure.xaxis.axis_label = UNITS[axis]
        self.heat.show(
            picture, *(Scale(float(one[0]) - step / 2, step) for one, step in zip((x, azimuth), steps, strict=True))
        )
        self.heat.figure.title.text = f"Cake {title}: mean of valid pixels"
