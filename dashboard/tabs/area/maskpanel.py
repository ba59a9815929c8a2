"""The panel with the mask: its operations in order, undo and redo, and how many pixels each reason rejects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui
from pydantic import TypeAdapter
from typing_extensions import override

from dashboard.rows import Row, Rows
from dashboard.tabs.area.drawn import WORDS, free_name, replaced
from dashboard.tabs.area.panels import BUTTON, TIGHT, TOP, Acts, Now, Panel, button, digits
from dashboard.tabs.fields import NumberField
from dashboard.tabs.parts import NUMBER, text
from detcore.image import AnyOperation

if TYPE_CHECKING:
    from collections.abc import Callable

ANY: TypeAdapter[Any] = TypeAdapter(AnyOperation)
STEPS = {
    "edges": "Panel edges", "asic_edges": "ASIC edges", "noise": "Noise range", "pedestal": "Pedestal range",
    "threshold": "Value range", "not_finite": "Not finite", "grow": "Grow", "shrink": "Shrink", "invert": "Invert",
}  # fmt: skip
LABELS = {
    "region": "shape", "threshold": "value range", "pixels": "pixels", "bits": "bits", "not_finite": "not finite",
    "asic_edges": "ASIC edges", "noise": "noise range", "pedestal": "pedestal range",
}  # fmt: skip
WITH_WIDTH = {"edges": "width", "asic_edges": "width", "grow": "steps", "shrink": "steps"}
WITH_RANGE = {"noise", "pedestal", "threshold"}
CONVENTIONS = {"NXmx bits": "nxmx", "Not 0 is bad": "nonzero_bad", "Not 0 is good": "nonzero_good"}
PSANA = ("calib", "status", "edges", "central", "unbond", "unbondnbrs", "unbondnbrs8")


class MaskPanel(Panel):
    """The list of operations, what can be added to it, and the counts of the raster."""

    def __init__(self, acts: Acts, file: Callable[[], None]) -> None:
        super().__init__()
        self._acts = acts
        small: dict[str, Any] = {"size": "small", "margin": (4, 4)}
        self._undo = button(
            "Undo", lambda _: acts.act(acts.desk.undo, "mask"), "take the last edit back (Ctrl+Z)", icon="undo"
        )
        self._redo = button(
            "Redo", lambda _: acts.act(acts.desk.redo, "mask"), "do it again (Ctrl+Shift+Z)", icon="redo"
        )
        self._what = pmui.Select(
            label="Add", options={label: name for name, label in STEPS.items()}, value="edges", width=178, **small
        )
        self._width = pmui.IntInput(label="px", value=1, start=1, end=200, width=60, **NUMBER)
        self._low = NumberField("From", lambda _: None, self.complain, width=76, empty="-")
        self._high = NumberField("To", lambda _: None, self.complain, width=76, empty="-")
        self._add = button("Add", lambda _: self._added(), "this operation at the end of the list", icon="add")
        self._what.param.watch(lambda _: self._fields(), "value")
        self._convention = pmui.Select(
            label="In the file", options=CONVENTIONS, value="nonzero_bad", width=172, **small
        )
        self._file = button("From a file", lambda _: file(), "say first what its numbers mean", icon="folder_open")
        self._psana = pmui.CheckButtonGroup(options=list(PSANA), value=[], **BUTTON | {"sx": {
            "& .MuiToggleButton-root": {"textTransform": "none", "padding": "2px 7px", "fontSize": "12px"}}})  # fmt: skip
        self._psana.param.watch(self._optional, "value")
        self.rows = Rows(
            on_rename=self._renamed, on_enable=lambda row, on: self._change(row, "switch", enabled=on),
            on_sign=lambda row, sign: self._change(row, "sign of", mode=sign), on_move=self._moved, on_delete=self._deleted,
            on_select=self._selected, label="Operations of the mask, in order",
            empty="No operation yet: draw a shape on the image, or add one here.",
        )  # fmt: skip
        self._counts = text()
        line = pn.FlexBox(
            self._undo, self._redo, self._what, self._width, self._low.widget, self._high.widget, self._add, **TIGHT
        )
        more = pn.FlexBox(self._convention, self._file, **TIGHT)
        self._options = pn.FlexBox(text_of("psana:"), self._psana, **TIGHT)
        listed = pn.Column(
            self.rows.view,
            sizing_mode="stretch_both",
            margin=(4, 0),
            scroll="y",
            min_height=90,
            styles={"flex": "1 1 0"},
        )
        self.view = pn.Column(
            line,
            more,
            self._options,
            self.error,
            self._counts,
            listed,
            sizing_mode="stretch_both",
            margin=0,
            styles=TOP,
        )
        self._fields()

    # --- what the viewer does

    def _fields(self) -> None:
        what = self._what.value
        self._width.visible = what in WITH_WIDTH
        self._low.widget.visible = self._high.widget.visible = what in WITH_RANGE

    def _added(self) -> None:
        kind = str(self._what.value)
        values: dict[str, Any] = {"kind": kind}
        if kind in WITH_WIDTH:
            values[WITH_WIDTH[kind]] = int(self._width.value or 1)
        if kind in WITH_RANGE:
            ends = [field.widget.value.strip().replace(",", ".") for field in (self._low, self._high)]
            if not any(ends):
                self.complain(f"{STEPS[kind]}: give the lowest or the highest good value, then press Add")
                return
            values |= {
                name: float(end) for name, end in zip(("low", "high"), ends, strict=True) if end and is_number(end)
            }
        if kind == "threshold":
            values["image"] = "image"
        self.append(values, STEPS[kind].lower())

    def append(self, values: dict[str, Any], word: str) -> bool:
        """Add an operation at the end."""
        mask = self._acts.desk.setup.mask
        name = free_name(word, [operation.name for operation in mask])
        try:
            operation = ANY.validate_python(values | {"name": name})
        except ValueError as error:
            self.complain(f"{word}: {error}")
            return False
        self.complain("")
        return self._acts.edit(f"add {name}", mask=(*mask, operation))

    def from_file(self, path: str) -> bool:
        """Add a raster from a file, with the convention that is declared here."""
        return self.append({"kind": "file", "path": path, "convention": self._convention.value}, "file")

    def _optional(self, event: Any) -> None:
        if not self.quiet:
            kept = tuple(name for name in PSANA if name in event.new)
            self._acts.edit("psana options", psana_options=kept)

    def _place(self, row: str | None) -> int | None:
        number = (row or "").removeprefix("mask-")
        return int(number) if number.isdecimal() and int(number) < len(self._acts.desk.setup.mask) else None

    def _change(self, row: str, what: str, **values: Any) -> None:
        place = self._place(row)
        if place is not None:
            mask = self._acts.desk.setup.mask
            operation = mask[place].model_copy(update=values)
            self._acts.edit(f"{what} {operation.name or 'operation'}", mask=replaced(mask, place, operation))

    def _renamed(self, row: str, name: str) -> None:
        self._change(row, "rename", name=name)

    def _moved(self, row: str, steps: int) -> None:
        place = self._place(row)
        if place is not None:
            mask = list(self._acts.desk.setup.mask)
            mask.insert(place + steps, mask.pop(place))
            self._acts.edit("order of the mask", mask=tuple(mask))

    def _deleted(self, row: str) -> None:
        place = self._place(row)
        if place is not None:
            mask = self._acts.desk.setup.mask
            self._acts.edit(f"delete {mask[place].name or 'operation'}", mask=mask[:place] + mask[place + 1 :])

    def _selected(self, row: str | None) -> None:
        self._acts.select(row)

    # --- what is shown

    @override
    def show(self, now: Now) -> None:
        desk = now.desk
        self.quiet = True
        self._undo.disabled, self._redo.disabled = not desk.undoable, not desk.redoable
        self._psana.value = list(desk.setup.psana_options)
        is_psana = now.facts is not None and now.facts.detector.type.startswith(("cspad", "epix", "jungfrau"))
        self._options.visible = is_psana or bool(desk.setup.psana_options)
        self._list(now)
        self.quiet = False

    def _list(self, now: Now) -> None:
        found = now.evaluation
        self.rows.show(
            Row(
                f"mask-{place}", operation.name, what_of(operation), note_of(operation),
                problem=found.failed.get(place, "") if found else "", enabled=operation.enabled,
                sign=getattr(operation, "mode", None),
            )
            for place, operation in enumerate(now.desk.setup.mask)
        )  # fmt: skip

    @override
    def fill(self, now: Now) -> None:
        found = now.evaluation
        if found is None:
            return
        self.report(found.problems.get("mask", ""))
        self._list(now)
        if found.raw is not None:
            words = counts_of(found.counts, found.raw.size)
            if words != self._counts.text:
                self._counts.text = words


def what_of(operation: Any) -> str:
    """Return the kind of an operation, in a word or two."""
    kind = operation.region.kind if operation.kind == "region" else operation.kind
    return WORDS.get(kind) or LABELS.get(kind, kind.replace("_", " "))


def note_of(operation: Any) -> str:
    """Return the numbers of an operation, in a few words."""
    words = []
    low, high = getattr(operation, "low", None), getattr(operation, "high", None)
    if low is not None or high is not None:
        words.append(f"good: {digits(low) if low is not None else '…'} to {digits(high) if high is not None else '…'}")
    sizes = (getattr(operation, name, None) for name in ("width", "steps"))
    words += [f"{size} px" for size in sizes if size is not None]
    if getattr(operation, "path", ""):
        words.append(f"{str(operation.path).rsplit('/', 1)[-1]}, {getattr(operation, 'convention', '')}")
    if getattr(operation, "panel", None) is not None:
        words.append(f"panel {operation.panel}")
    if getattr(operation, "bit", None):
        words.append(f"bit {operation.bit}")
    return ", ".join(words)


def counts_of(counts: dict[str, int], size: int) -> str:
    """Return how many pixels are masked, and for which reasons.

    Examples
    --------
    >>> counts_of({"masked": 30, "gap": 10, "user": 20}, 100)
    'Masked: 30 of 100 pixels (30.00 %): gap 10, user 20'
    """
    masked = counts.get("masked", 0)
    reasons = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count and name != "masked")
    return f"Masked: {masked:,} of {size:,} pixels ({100 * masked / max(size, 1):.2f} %)" + (
        f": {reasons}" if reasons else ""
    )


def is_number(words: str) -> bool:
    """Whether text is a finite number."""
    try:
        return abs(float(words)) < float("inf")
    except ValueError:
        return False


def text_of(words: str) -> Any:
    """Return a short label."""
    label = text()
    label.text, label.sizing_mode, label.width, label.height = words, "fixed", 48, 24
    return label
