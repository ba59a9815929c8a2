"""The panel with the beam centre: clicked points, a ring fit, automatic; distance, energy, tilt and calibrant rings."""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui
from typing_extensions import override

from dashboard.tabs.area.panels import TIGHT, TOP, UPLOAD, Acts, Now, Panel, button, digits
from dashboard.tabs.downloads import FileDownload
from dashboard.tabs.fields import NumberField
from dashboard.tabs.parts import text
from detcore import area

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST = 200_000  # bytes of a .poni file: they are short
MM = 1e3
UM = 1e6
FIELDS = {  # of a geometry -> label, and how many of its units are one of the shown
    "x": ("Centre x (px)", 1.0, 122),
    "y": ("Centre y (px)", 1.0, 122),
    "distance": ("Distance (mm)", MM, 122),
    "energy": ("Energy (keV)", 1.0, 122),
    "rot1": ("Tilt rot1 (deg)", 1.0, 122),
    "rot2": ("Tilt rot2 (deg)", 1.0, 122),
}


class CentrePanel(Panel):
    """Where the beam is, found with the mouse or without, and what the rings say about it."""

    def __init__(
        self, acts: Acts, calibrants: tuple[str, ...], pick: Callable[[bool], None], find: Callable[[str], None]
    ) -> None:
        super().__init__()
        self._acts = acts
        self._picking, self._wanted = False, pick
        self._pick = button(
            "Pick points",
            self._pick_clicked,
            "click several places of one ring on the image, or the centre itself",
            icon="ads_click",
        )
        self._clear = button("Clear points", lambda _: acts.forget_points(), icon="clear")
        self._fit = button(
            "Fit points", lambda _: find("points"), "a circle through the points; one point is the centre"
        )
        self._rings = button(
            "Fit rings", lambda _: find("rings"), "robust, all rings that are found around the centre there is"
        )
        self._auto = button(
            "Automatic", lambda _: find("auto"), "without any parameter", icon="auto_fix_high", variant="contained"
        )
        self._fields = {
            name: NumberField(label, partial(self._typed, name), self.complain, width=width, empty="-")
            for name, (label, _, width) in FIELDS.items()
        }
        self._pixel = NumberField("Pixel (µm)", self._sized, self.complain, width=122, empty="-")
        self._calibrant = pmui.Select(
            label="Calibrant", options=list(calibrants), value=calibrants[0] if calibrants else None, width=110, size="small",
            margin=(4, 4),
        )  # fmt: skip
        self._calibrant.param.watch(self._calibrated, "value")
        self._show = pmui.Checkbox(label="Draw its rings", value=False, size="small", margin=(3, 4))
        self._show.param.watch(lambda event: acts.want(rings=bool(event.new)), "value")
        self._refine = button(
            "Distance from rings", lambda _: find("distance"), "that fits the rings of the calibrant best"
        )
        self._tilt = button(
            "With tilt", lambda _: find("tilt"), "centre, distance and tilt, from the rings of the calibrant"
        )
        self._words = text()
        self._import = pmui.FileInput(accept=".poni", label="Import .poni", width=130, **UPLOAD)
        self._import.param.watch(self._imported, "value")
        self._export = FileDownload(
            callback=self._poni, filename="setup.poni", label="Export .poni", icon="download", size="small",
            variant="outlined", margin=(6, 4), width=150,
        )  # fmt: skip
        rows = (
            pn.FlexBox(self._auto, self._rings, self._pick, self._fit, self._clear, **TIGHT),
            pn.FlexBox(*(self._fields[name].widget for name in ("x", "y", "distance", "energy")), **TIGHT),
            pn.FlexBox(self._fields["rot1"].widget, self._fields["rot2"].widget, self._pixel.widget, **TIGHT),
            pn.FlexBox(self._calibrant, self._show, self._refine, self._tilt, **TIGHT),
            pn.FlexBox(self._import, self._export, **TIGHT),
        )
        self.view = pn.Column(
            *rows, self.error, self._words, sizing_mode="stretch_both", margin=0, styles=TOP, scroll="y-auto"
        )

    # --- what the viewer does

    def _pick_clicked(self, _: object) -> None:
        self._wanted(not self._picking)

    def _geometry(self, **changes: Any) -> area.Geometry:
        now = self._acts.desk.setup.geometry
        facts = self._acts.work.facts
        if now is None:
            rows, columns = facts.detector.image_shape if facts is not None else (1, 1)
            sizes = facts.detector.pixel_size if facts is not None else (float("nan"),) * 2
            known = tuple(sizes) if all(size == size for size in sizes) else None  # noqa: PLR0124 - not a number
            now = area.Geometry(
                x=(columns - 1) / 2, y=(rows - 1) / 2, pixel_size=known,
                distance=facts.detector.distance if facts is not None else None,
                energy=facts.detector.energy if facts is not None else None,
            )  # fmt: skip
        return now.with_(**changes)

    def put(self, what: str, **changes: Any) -> bool:
        """Change the geometry of the setup; what is impossible is told here."""
        try:
            geometry = self._geometry(**changes)
        except ValueError as error:
            self.complain(str(error))
            return False
        self.complain("")
        return self._acts.edit(what, geometry=geometry)

    def _typed(self, name: str, value: float | None) -> None:
        label, scale, _ = FIELDS[name]
        if value is None and name in {"x", "y"}:
            self.complain(f"{label}: expected a number")
            return
        empty = 0.0 if name.startswith("rot") else None
        self.put(f"type {label}", **{name: empty if value is None else value / scale})

    def _sized(self, value: float | None) -> None:
        self.put("type pixel size", pixel_size=None if value is None else (value / UM, value / UM))

    def _calibrated(self, event: Any) -> None:
        if not self.quiet and event.new:
            self._acts.want(calibrant=event.new, rings=True)

    def _imported(self, event: Any) -> None:
        content = event.new[0] if isinstance(event.new, list) and event.new else event.new
        if not content:
            return
        if len(content) > LARGEST:
            self.complain(f"{self._import.filename}: {len(content):,} bytes are too many for a .poni file")
            return

        def take() -> None:
            geometry = self._acts.work.read_poni(bytes(content), self._import.filename or "the file")
            self.complain("")
            self._acts.edit("import .poni", geometry=geometry)

        self._acts.act(take, "centre")

    def _poni(self) -> io.BytesIO | None:
        geometry = self._acts.desk.setup.geometry
        facts = self._acts.work.facts
        if geometry is None:
            self.complain("There is no geometry to export yet: find the centre first, and give distance and energy.")
            return None
        try:
            return io.BytesIO(self._acts.work.poni_text(geometry, facts).encode())
        except ValueError as error:
            self.complain(f".poni: {error}")
            return None

    # --- what is shown

    def picking(self, on: bool) -> None:
        """Show whether clicks on the image are points now."""
        self._picking = on
        self._pick.variant = "contained" if on else "outlined"

    @override
    def show(self, now: Now) -> None:
        geometry = now.desk.setup.geometry
        self.quiet = True
        for name, field in self._fields.items():
            value = getattr(geometry, name) if geometry is not None else None
            field.show(None if value is None else round(value * FIELDS[name][1], 5))
        size = geometry.pixel_size if geometry is not None else None
        self._pixel.show(None if size is None else size[0] * UM)
        if now.look.calibrant in self._calibrant.options:
            self._calibrant.value = now.look.calibrant
        self._show.value = now.look.rings
        self.quiet = False

    @override
    def fill(self, now: Now) -> None:
        work = now.work
        self.report(work.problems.get("centre", ""))
        found = work.centre
        busy = work.finding
        words = [f"Looking for the centre ({busy}) …"] if busy else []
        if work.points:
            words.append(f"{len(work.points)} point{'s' if len(work.points) > 1 else ''} picked.")
        if found is not None and not busy:
            words.append(words_of(found))
        if now.desk.setup.geometry is None:
            words.append("The setup has no centre yet: press Automatic, or pick points on a ring and press Fit points.")
        elif now.look.rings and now.evaluation is not None and "rings" in now.evaluation.problems:
            words.append(now.evaluation.problems["rings"])
        line = "\n".join(words)
        if line != self._words.text:
            self._words.text = line


def words_of(found: Any) -> str:
    """Return what was found, with its error."""
    if hasattr(found, "geometry"):
        errors, geometry = found.errors, found.geometry
        parts = [f"{name} {digits(getattr(geometry, name), 6)} ± {digits(error, 2)}" for name, error in errors.items()]
        return f"Refined with {len(found.points)} points: {', '.join(parts)}; residual {digits(found.residual, 3)} px."
    radii = ", ".join(digits(float(radius), 5) for radius in found.radii[:8])
    at = f"Found x {found.x:.3f}, y {found.y:.3f} (column, row), error {digits(found.error, 3)} px"
    return f"{at}; rings at {radii} px." if radii else f"{at}."
