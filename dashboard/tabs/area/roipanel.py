"""The panel with the regions of interest: their numbers in the shown image, and their projections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import panel as pn
import panel_material_ui as pmui
from typing_extensions import override

from dashboard.rows import Row, Rows
from dashboard.tabs.area.drawn import WORDS, colour_of, replaced
from dashboard.tabs.area.panels import TIGHT, TOP, Acts, Now, Panel, button, digits
from dashboard.tabs.fields import NumberField
from dashboard.tabs.parts import column, pane
from dashboard.tabs.plot import Line, Plot
from dashboard.views.table import Table
from detcore import area

if TYPE_CHECKING:
    from collections.abc import Mapping


COLUMNS = {
    "name": "ROI", "sum": "Sum", "mean": "Mean", "max": "Max", "x": "Centre x", "y": "Centre y", "n_valid": "Valid px",
}  # fmt: skip
NAME = 16  # letters in the title of a plot


class RoiPanel(Panel):
    """Several named regions with sum, mean, maximum, centre of mass, valid pixels and projections."""

    def __init__(self, acts: Acts) -> None:
        super().__init__()
        self._acts = acts
        self._drawn: object = None
        self.rows = Rows(
            on_rename=self._renamed, on_delete=self._deleted, on_move=self._moved, on_select=self._selected,
            label="Regions of interest", empty="No region yet: choose ROI above the image, then draw a shape.",
        )  # fmt: skip
        self._draw = button(
            "Draw a ROI", lambda _: acts.draw("rectangle", "roi"), "what is drawn next is a region", icon="add"
        )
        self._low = NumberField("From ADU", lambda value: self._threshold(0, value), self.complain, width=104)
        self._high = NumberField("To ADU", lambda value: self._threshold(1, value), self.complain, width=104)
        self._keep = pmui.Checkbox(label="Keep pixels", value=False, size="small", margin=(3, 4))
        self._keep.param.watch(lambda event: self._change("keep pixels", area=bool(event.new)), "value")
        self._project = pmui.Checkbox(label="Keep projections", value=False, size="small", margin=(3, 4))
        self._project.param.watch(self._projected, "value")
        self.table = Table(COLUMNS, widths={"name": 92}, on_click=self._clicked, sortable=False)
        self.columns = Plot("x (px)", "Mean (ADU / pixel)", [Line("along_x", "")], prefix="area")
        self.lines = Plot("y (px)", "Mean (ADU / pixel)", [Line("along_y", "")], prefix="area")
        self.columns.figure.name, self.lines.figure.name = "area-along-x", "area-along-y"
        bar = pn.FlexBox(self._draw, self._low.widget, self._high.widget, self._keep, self._project, **TIGHT)
        listed = pn.Column(self.rows.view, sizing_mode="stretch_width", margin=0, max_height=150, scroll="y")
        plots = pn.Row(
            column(pane(self.columns.figure)), column(pane(self.lines.figure)), sizing_mode="stretch_both", margin=0,
            styles={"flex": "3 1 0"},
        )  # fmt: skip
        self.view = pn.Column(
            bar,
            self.error,
            listed,
            column(self.table.widget, flex="2 1 0"),
            plots,
            sizing_mode="stretch_both",
            margin=0,
            styles=TOP,
        )

    # --- what the viewer does

    def _place(self, row: str | None) -> int | None:
        number = (row or "").removeprefix("roi-")
        rois = self._acts.desk.setup.rois
        return int(number) if number.isdecimal() and int(number) < len(rois) else None

    def _chosen(self) -> int | None:
        """Return the place of the ROI whose projections are drawn."""
        names = [roi.name for roi in self._acts.desk.setup.rois]
        name = self._acts.look.roi
        return names.index(name) if name in names else (0 if names else None)

    def _put(self, what: str, rois: tuple[area.Roi, ...]) -> bool:
        return self._acts.edit(what, rois=rois)

    def _renamed(self, row: str, name: str) -> None:
        place = self._place(row)
        if place is None:
            return
        rois = self._acts.desk.setup.rois
        if not name or name in [roi.name for number, roi in enumerate(rois) if number != place]:
            self.complain(f"Another name for {rois[place].name} expected, found {name[:80]!r}: empty or taken already")
            return
        self.complain("")
        if self._put(
            f"rename {rois[place].name}", replaced(rois, place, rois[place].model_copy(update={"name": name}))
        ):
            self._acts.want(roi=name[:80])

    def _deleted(self, row: str) -> None:
        place = self._place(row)
        if place is not None:
            rois = self._acts.desk.setup.rois
            self._put(f"delete {rois[place].name}", rois[:place] + rois[place + 1 :])

    def _moved(self, row: str, steps: int) -> None:
        place = self._place(row)
        if place is not None:
            rois = list(self._acts.desk.setup.rois)
            rois.insert(place + steps, rois.pop(place))
            self._put("order of the ROIs", tuple(rois))

    def _selected(self, row: str | None) -> None:
        place = self._place(row)
        if place is not None:
            self._acts.want(roi=self._acts.desk.setup.rois[place].name[:80])

    def _clicked(self, number: int) -> None:
        self._selected(f"roi-{number}")

    def _change(self, what: str, **values: Any) -> None:
        place = self._chosen()
        if self.quiet or place is None:
            return
        rois = self._acts.desk.setup.rois
        try:
            roi = type(rois[place]).model_validate(
                {name: getattr(rois[place], name) for name in type(rois[place]).model_fields} | values
            )
        except ValueError as error:
            self.complain(str(error))
            return
        self.complain("")
        self._put(f"{what} of {roi.name}", replaced(rois, place, roi))

    def _threshold(self, end: int, value: float | None) -> None:
        place = self._chosen()
        if place is None:
            return
        pair = list(ends_of(self._acts.desk.setup.rois[place].threshold))
        pair[end] = value
        self._change("threshold", threshold=None if pair == [None, None] else tuple(pair))

    def _projected(self, event: Any) -> None:
        both = (
            area.ProjectionSection(axis=0, mean=True, name="pj_x"),
            area.ProjectionSection(axis=1, mean=True, name="pj_y"),
        )
        self._change("projections", projections=both if event.new else ())

    # --- what is shown

    @override
    def show(self, now: Now) -> None:
        rois = now.desk.setup.rois
        self.quiet = True
        self.rows.show(
            Row(f"roi-{place}", roi.name, note=note_of(roi), enabled=None, colour=colour_of(place))
            for place, roi in enumerate(rois)
        )
        place = self._chosen()
        self.rows.select(None if place is None else f"roi-{place}")
        roi = rois[place] if place is not None else None
        low, high = ends_of(roi.threshold if roi else None)
        self._low.show(low)
        self._high.show(high)
        for widget, value in ((self._keep, bool(roi and roi.area)), (self._project, bool(roi and roi.projections))):
            widget.param.update(value=value, disabled=roi is None)
        self.quiet = False

    @override
    def fill(self, now: Now) -> None:
        found = now.evaluation
        if found is None:
            return
        self.report(found.problems.get("rois", ""))
        if found.rois is not None and found.rois is not self._drawn:
            self._drawn = found.rois
            self.table.show(table_of(found.rois))
        place = self._chosen()
        name = now.desk.setup.rois[place].name if place is not None else ""
        projections = found.projections.get(name)
        if projections is None:
            self.columns.hide("along_x")
            self.lines.hide("along_y")
            words = "Projection: draw a ROI" if not name else f"Projection of {name}: no valid pixel"
            self.columns.title(words)
            self.lines.title(words)
            return
        for plot, key, axis in ((self.columns, "along_x", "column"), (self.lines, "along_y", "row")):
            plot.show(key, *projections[key])
            plot.fit()
            plot.title(f"{name if len(name) <= NAME else name[: NAME - 1] + '…'}: mean of each {axis}")


def ends_of(threshold: Any) -> tuple[float | None, float | None]:
    """Return the ends of a threshold; a single one is the lower end."""
    return threshold if isinstance(threshold, tuple) else (threshold, None)


def note_of(roi: area.Roi) -> str:
    """Return what a region is, in a few words."""
    if roi.region is not None:
        words = WORDS.get(roi.region.kind, roi.region.kind)
    else:
        words = "bounds " + " ".join(f"{first}:{end}" for first, end in roi.bounds or ())
    if roi.panel is not None:
        words += f", panel {roi.panel}"
    low, high = ends_of(roi.threshold)
    if low is not None or high is not None:
        words += f", {digits(low) if low is not None else ''} to {digits(high) if high is not None else ''} ADU"
    return words


def table_of(rois: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Return the numbers of all regions as text, one row each."""
    rows = [
        {"name": name}
        | {key: digits(values.get(key), 6) for key in ("sum", "mean", "max")}
        | {key: digits(values.get(key), 5) for key in ("x", "y")}
        | {"n_valid": f"{int(values.get('n_valid', 0)):,}"}
        for name, values in rois.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
