"""Cluster, filter and shift: tried on the shower that is shown, taken back, and at last done to a whole file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui
from typing_extensions import override

from dashboard.tabs.parts import COMPACT, NUMBER, column, pane, text
from dashboard.tabs.plot import Line, Plot
from dashboard.tabs.showers.look import MAX_OPERATIONS, Look, from_text, to_text
from dashboard.tabs.showers.panels import Panel
from dashboard.views.style import ACCENT, EXPECTED
from dashboard.views.table import Table
from detcore import showers

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboard.tabs.showers.results import Results, Trial

SMALL: dict[str, Any] = {"size": "small", "margin": (3, 4)}


class Preview(Panel):
    """What is done to the showers, one after the other, and how the shower looks before and after.

    Parameters
    ----------
    want
        Called with changed fields of `Look`.
    save
        Called with the name of the new file.
    cancel
        Called when saving shall stop.
    """

    def __init__(self, want: Callable[..., None], save: Callable[[str], None], cancel: Callable[[], None]) -> None:
        self._want, self._save = want, save
        self._ops: tuple[showers.Operation, ...] = ()
        self._undone: list[showers.Operation] = []
        self._key: object = None
        number: dict[str, Any] = NUMBER | {"start": 0.0}
        self._random = pmui.Checkbox(label="random grid", value=False, **SMALL)
        self._inverse = pmui.Checkbox(label="inverse", value=False, **SMALL)
        self._radius = pmui.FloatInput(label="r < (mm)", value=0.0, width=88, **number)
        self._ecal = pmui.FloatInput(label="ECAL ≥ (MeV)", value=0.1, width=104, **number)
        self._hcal = pmui.FloatInput(label="HCAL ≥ (MeV)", value=0.25, width=104, **number)
        self._undo = self._button("Undo", "undo", self.undo)
        self._redo = self._button("Redo", "redo", self.redo)
        self._clear = self._button("Clear", "delete", lambda: self._set(()))
        self._stage = pmui.RadioButtonGroup(options={"Before": "before", "After": "after"}, value="after", **COMPACT)
        self._stage.param.watch(lambda event: want(stage=event.new), "value")
        self._list = text()
        self._name = pmui.TextInput(label="New file", placeholder="name.h5", width=190, max_length=80, **SMALL)
        self._do = pmui.Button(
            label="Save to a new file", icon="save", on_click=lambda _: save(self._name.value), **COMPACT
        )
        self._stop = pmui.Button(label="Cancel", icon="close", on_click=lambda _: cancel(), visible=False, **COMPACT)
        self._progress = pmui.LinearProgress(
            value=0, visible=False, variant="determinate", sizing_mode="stretch_width", margin=4
        )
        self._told = text()
        rows = [
            [self._button("Cluster", "grid_on", self._cluster), self._random],
            [self._button("Filter", "filter_alt", self._filter), self._radius, self._ecal, self._hcal],
            [self._button("Shift", "south_east", self._shift), self._inverse],
            [self._undo, self._redo, self._clear, self._stage],
        ]
        forms = [pn.FlexBox(*row, sizing_mode="stretch_width", margin=0, align_items="center") for row in rows]
        saving = pn.FlexBox(
            self._name, self._do, self._stop, sizing_mode="stretch_width", margin=0, align_items="center"
        )
        left = pn.Column(
            *forms[:3], self._list, forms[3], saving, self._progress, self._told,
            sizing_mode="stretch_both", margin=0, scroll="y", styles={"flex": "6 1 0"},
        )  # fmt: skip
        lines = [Line("before", "before", EXPECTED, "step"), Line("after", "after", ACCENT, "step")]
        self.spectrum = Plot("Energy of a point (MeV)", "Points", lines, log_x=True, log_y=True, prefix="showers")
        self.table = Table({"name": "", "before": "Before", "after": "After"}, widths={"before": 70, "after": 70})
        self.table.widget.min_height = 100
        right = column(
            column(pane(self.spectrum.figure), flex="3 1 0"), column(self.table.widget, flex="3 1 0"), flex="5 1 0"
        )
        self.view = pn.Row(left, right, sizing_mode="stretch_both", margin=0)

    @staticmethod
    def _button(label: str, icon: str, do: Callable[[], None]) -> pmui.Button:
        return pmui.Button(label=label, icon=icon, variant="outlined", on_click=lambda _: do(), **COMPACT)

    # --- the list

    def _add(self, operation: showers.Operation) -> None:
        if len(self._ops) < MAX_OPERATIONS:
            self._set((*self._ops, operation))

    def _cluster(self) -> None:
        self._add(showers.Operation(kind="cluster", random_shift=bool(self._random.value)))

    def _filter(self) -> None:
        values = {"radius": self._radius, "ecal_threshold": self._ecal, "hcal_threshold": self._hcal}
        self._add(
            showers.Operation.checked({"kind": "filter"} | {name: box.value or 0.0 for name, box in values.items()})
        )

    def _shift(self) -> None:
        self._add(showers.Operation(kind="shift", inverse=bool(self._inverse.value)))

    def undo(self) -> None:
        """Take the last one back."""
        if self._ops:
            undone = [*self._undone, self._ops[-1]]
            self._set(self._ops[:-1])
            self._undone = undone
            self._enable()

    def redo(self) -> None:
        """Do what was taken back last."""
        if self._undone:
            *left, last = self._undone
            self._set((*self._ops, last))
            self._undone = left
            self._enable()

    def _set(self, operations: tuple[showers.Operation, ...]) -> None:
        self._undone = []
        self._ops = operations
        self._want(ops=to_text(operations), stage="after")

    def _enable(self) -> None:
        self._undo.disabled = self._clear.disabled = self._do.disabled = not self._ops
        self._redo.disabled = not self._undone

    @override
    def show(self, look: Look, cuts: showers.Cuts) -> None:
        self._ops = from_text(look.ops)
        self._stage.param.update(value=look.stage, disabled=not self._ops)
        words = [f"{number}. {operation.words}" for number, operation in enumerate(self._ops, 1)]
        self._list.text = (
            "\n".join(words) or "Nothing is done yet. Each button adds a step; the pictures show its effect."
        )
        self._enable()

    # --- saving

    def suggest(self, name: str) -> None:
        """Offer a name for the new file, unless the viewer has typed one."""
        if not self._name.value:
            self._name.value = name

    def tell(self, words: str, fraction: float | None) -> None:
        """Say how saving goes; `fraction` 0..1 while it works, None when it does not."""
        self._told.text = words
        busy = fraction is not None
        self._progress.param.update(visible=busy, value=round(100 * (fraction or 0.0)))
        # The button for saving stays as it is: the page sends a property of these widgets back once it is drawn, so
        # that of two changes in a moment, as a small file takes, the first would win. A second file is refused.
        self._stop.visible = busy

    @override
    def fill(self, results: Results, trial: Trial | None, look: Look, words: str) -> None:
        if trial is None or trial is self._key:
            return
        self._key = trial
        centres = trial.spectrum_mev
        self.spectrum.show("before", centres, trial.before_counts)
        if trial.after_counts is None:
            self.spectrum.hide("after")
        else:
            self.spectrum.show("after", centres, trial.after_counts)
        self.spectrum.fit()
        self.spectrum.title(f"Shower {trial.number:,}: points by energy")
        self.table.show(trial.table)
