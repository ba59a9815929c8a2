"""The controls of the occupancy tab: what is counted, how it is drawn. Widgets show a wish; they never hold it."""

from __future__ import annotations

import shlex
from functools import cached_property
from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui

from dashboard.tabs.downloads import Downloads
from dashboard.tabs.occupancy.export import LABELS, content
from dashboard.tabs.occupancy.look import VALUES, Look, Place
from dashboard.tabs.occupancy.map import key
from dashboard.tabs.parts import COMPACT, text
from detcore import occupancy
from detcore.core.parameters import InvalidParameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboard.tabs.occupancy.results import Results
    from dashboard.tabs.occupancy.tab import Tab

FLAGS = {"in_time": "In time", "hodo_mask": "Hodoscope mask", "trigger_mask": "Trigger mask"}
SPANS = {"spills": "Spills", "events": "Events", "elements": "Elements"}
DRAWING = {
    "robust": "Robust limits",
    "separators": "Groups apart",
    "equal": "Equal heights",
    "marks": "Findings",
}  # key -> label


class ViewBar:
    """The row above the map: value, scale, limits, separators, heights, marks.

    Parameters
    ----------
    want
        Called with the changed fields of `Look`.
    """

    def __init__(self, want: Callable[..., None]) -> None:
        self._want = want
        values = dict(zip(VALUES.values(), VALUES, strict=True))
        self._value = pmui.Select(
            options=values, width=176, size="small", margin=(2, 4), description="What the colours mean"
        )
        self._scale = pmui.RadioButtonGroup(options={"Log": "log", "Linear": "linear"}, **COMPACT)
        self._drawing = pmui.CheckButtonGroup(options=dict(zip(DRAWING.values(), DRAWING, strict=True)), **COMPACT)
        self._value.param.watch(lambda event: want(value=event.new), "value")
        self._scale.param.watch(lambda event: want(scale=event.new), "value")
        self._drawing.param.watch(self._switched, "value")
        self.view = pn.Column(
            pn.Row(self._value, self._scale, self._drawing, sizing_mode="stretch_width", margin=0),
            key(),
            sizing_mode="stretch_width",
            margin=(0, 4),
        )

    def _switched(self, event: Any) -> None:
        on = set(event.new)
        self._want(
            limits="robust" if "robust" in on else "full",
            separators="separators" in on,
            equal="equal" in on,
            marks="marks" in on,
        )

    def show(self, look: Look, *, reference: bool) -> None:
        """Show what is drawn now."""
        self._value.disabled_options = [] if reference else ["ratio"]
        self._value.value = look.value if reference or look.value != "ratio" else "hits"
        self._scale.param.update(value=look.scale, disabled=look.value == "significance")
        on = {
            "robust": look.limits == "robust",
            "separators": look.separators,
            "equal": look.equal,
            "marks": look.marks,
        }
        wanted = [name for name, yes in on.items() if yes]
        if set(wanted) != set(self._drawing.value):
            self._drawing.value = wanted


class FilterForm:
    """The cuts.

    Parameters
    ----------
    want
        Called with the new `Filters`.
    """

    def __init__(self, want: Callable[[occupancy.Filters], None]) -> None:
        self._want = want
        self._now = occupancy.Filters()
        self._quiet = False
        names = [row.name for row in occupancy.DetectorTable.default().rows]
        wide: dict[str, Any] = {"margin": (4, 6), "sizing_mode": "stretch_width"}
        self._widgets: dict[str, Any] = {
            **{name: pmui.Switch(label=label, size="small", margin=(1, 6)) for name, label in FLAGS.items()},
            "triggers": pmui.MultiChoice(label="Triggers (any of)", options=list(occupancy.TRIGGERS), **wide),
            "planes": pmui.MultiChoice(label="Planes", options=names, **wide),
            **{
                name: pmui.TextInput(label=label, placeholder="first:last", size="small", **wide)
                for name, label in SPANS.items()
            },
        }
        for name, widget in self._widgets.items():
            widget.param.watch(lambda event, name=name: self._changed(name, event.new), "value")
        self._error = text(color="#d93636")
        self._error.visible = False
        self._clear = pmui.Button(
            label="Count everything",
            variant="outlined",
            size="small",
            **wide,
            on_click=lambda _: want(occupancy.Filters()),
        )
        self.view = pn.Column(*self._widgets.values(), self._error, self._clear, sizing_mode="stretch_width", margin=0)

    def _changed(self, name: str, value: Any) -> None:
        if self._quiet:
            return
        if name in {"triggers", "planes"}:
            value = tuple(value)
        try:
            self._now = occupancy.Filters.checked(dict(self._now) | {name: value})
        except InvalidParameters as error:
            self.complain(str(error))
            return
        self.complain("")
        self._want(self._now)

    def complain(self, text: str) -> None:
        """Say what is wrong with the cuts."""
        self._error.param.update(text=text, visible=bool(text))

    def show(self, filters: occupancy.Filters) -> None:
        """Show the cuts that are made now."""
        if filters == self._now:
            return
        self._now, self._quiet = filters, True
        query = filters.to_query()
        for name, widget in self._widgets.items():
            value: Any = getattr(filters, name)
            widget.value = (
                list(value) if name in {"triggers", "planes"} else query.get(name, "") if name in SPANS else value
            )
        self._clear.disabled = not query
        self._quiet = False


class Controls:
    """The column on the left: which data, which cuts, exports.

    Parameters
    ----------
    tab
        What it controls.
    """

    def __init__(self, tab: Tab) -> None:
        self._tab = tab
        # Empty until it is opened: most viewers never do, and every widget makes the page slower.
        self.view = pn.Tabs(width=270, sizing_mode="stretch_height", margin=(0, 8, 4, 0), visible=False)

    @cached_property
    def form(self) -> FilterForm:
        """The cuts."""
        form = FilterForm(self._tab.cut)
        self.view.append(("Cuts", pn.Column(form.view, sizing_mode="stretch_both", scroll="y", margin=(8, 4))))
        return form

    @cached_property
    def exports(self) -> Downloads:
        """The files to take away."""
        exports = Downloads(LABELS, content, self._tab.session.notify)
        exports.view.margin = (8, 0)
        self.view.append(("Export", exports.view))
        return exports

    def show(self, place: Place, filters: occupancy.Filters, *, open_: bool) -> None:
        """Show what is chosen now."""
        self.view.visible = open_
        if open_:
            self.form.show(filters)
            self.exports.say(command(self._tab.paths(), filters, place))

    def fill(self, results: Results, look: Look, filters: occupancy.Filters, words: str) -> None:
        """Remember what is shown now, for exports."""
        if look.controls:
            self.exports.fill(results, look, filters, words)


def command(paths: tuple[str, ...], filters: occupancy.Filters, place: Place) -> str:
    """Return the command line that makes the same numbers."""
    words = ["detcore", "occupancy", "run", *filters.to_arguments()]
    if place.reference:
        words += ["--reference", place.reference.split("|")[0]]
    return shlex.join([*words, *paths])
