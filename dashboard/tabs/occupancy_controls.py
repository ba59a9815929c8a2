"""The controls of the occupancy tab: what is counted, how it is drawn. Widgets show a wish; they never hold it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui

from dashboard.tabs.occupancy_look import VALUES, Look
from dashboard.tabs.occupancy_map import key
from detcore import occupancy
from detcore.core.parameters import InvalidParameters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SMALL: dict[str, Any] = {"size": "small", "margin": (4, 6)}
FLAGS = {"in_time": "In time", "hodo_mask": "Hodoscope mask", "trigger_mask": "Trigger mask"}
SPANS = {"spills": "Spills", "events": "Events", "elements": "Elements"}
DRAWING = {"robust": "Robust limits", "separators": "Groups apart", "equal": "Equal heights", "marks": "Findings"}  # key -> label


class ViewBar:
    """The row above the map: value, scale, limits, separators, heights, marks.

    Parameters
    ----------
    want
        Called with the changed fields of `Look`.
    """

    def __init__(self, want: Callable[..., None]) -> None:
        self._want = want
        self._value = pmui.Select(label="Colour", options=dict(zip(VALUES.values(), VALUES, strict=True)), width=190, **SMALL)
        self._scale = pmui.RadioButtonGroup(options={"Log": "log", "Linear": "linear"}, **SMALL)
        self._drawing = pmui.CheckButtonGroup(options=dict(zip(DRAWING.values(), DRAWING, strict=True)), **SMALL)
        self._value.param.watch(lambda event: want(value=event.new), "value")
        self._scale.param.watch(lambda event: want(scale=event.new), "value")
        self._drawing.param.watch(self._switched, "value")
        self.view = pn.FlexBox(
            self._value, self._scale, self._drawing, key(), align_items="center", sizing_mode="stretch_width", margin=0, gap="2px 6px"
        )

    def _switched(self, event: Any) -> None:
        on = set(event.new)
        self._want(
            limits="robust" if "robust" in on else "full", separators="separators" in on, equal="equal" in on, marks="marks" in on
        )

    def show(self, look: Look, *, reference: bool) -> None:
        """Show what is drawn now."""
        self._value.value = look.value
        self._value.disabled_options = [] if reference else ["ratio"]
        self._scale.value = look.scale
        self._scale.disabled = look.value == "significance"
        on = {"robust": look.limits == "robust", "separators": look.separators, "equal": look.equal, "marks": look.marks}
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
            **{name: pmui.TextInput(label=label, placeholder="first:last", size="small", **wide) for name, label in SPANS.items()},
        }
        for name, widget in self._widgets.items():
            widget.param.watch(lambda event, name=name: self._changed(name, event.new), "value")
        self._error = pn.pane.Str("", styles={"color": "#d93636", "white-space": "normal"}, margin=(2, 6), visible=False)
        self._clear = pmui.Button(label="Count everything", variant="outlined", size="small", **wide, on_click=lambda _: want(occupancy.Filters()))
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
        self._error.param.update(object=text, visible=bool(text))

    def show(self, filters: occupancy.Filters) -> None:
        """Show the cuts that are made now."""
        if filters == self._now:
            return
        self._now, self._quiet = filters, True
        query = filters.to_query()
        for name, widget in self._widgets.items():
            value: Any = getattr(filters, name)
            widget.value = list(value) if name in {"triggers", "planes"} else query.get(name, "") if name in SPANS else value
        self._clear.disabled = not query
        self._quiet = False


def command(paths: Iterable[str], filters: occupancy.Filters, reference: Iterable[str]) -> str:
    """Return the command line that makes the same numbers."""
    places = list(paths)
    words = ["detcore", "occupancy", "run", "--directory", *(places or ["."])[:1], *places[1:], *filters.to_arguments()]
    for place in reference:
        words += ["--reference", place]
    return shlex.join(words)
