"""A field for a number that may be left empty."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import panel_material_ui as pmui

from dashboard.tabs.parts import NUMBER

if TYPE_CHECKING:
    from collections.abc import Callable


class NumberField:
    """A number, or nothing: the number fields of the toolkit cannot be empty.

    Parameters
    ----------
    label
        With the unit.
    changed
        Called with the new number or None, after it was typed and entered.
    complain
        Called with what is wrong with what was typed.
    width
        px.
    empty
        Written in the empty field: what nothing means.
    """

    def __init__(
        self, label: str, changed: Callable[[float | None], None], complain: Callable[[str], None], *, width: int = 92,
        empty: str = "all",
    ) -> None:  # fmt: skip
        self._label, self._changed, self._complain = label, changed, complain
        self._shown: float | None = None
        self._quiet = False
        self.widget: Any = pmui.TextInput(
            label=label, value="", placeholder=empty, width=width, max_length=20, **NUMBER
        )
        self.widget.param.watch(self._typed, "value")

    def _typed(self, event: Any) -> None:
        if self._quiet:
            return
        words = str(event.new or "").strip().replace(",", ".")
        try:
            value = float(words) if words else None
        except ValueError:
            value = math.nan
        if value is not None and not math.isfinite(value):
            self._complain(f"{self._label}: expected a number, found {words[:20]!r}")
            return
        self._changed(value)

    def show(self, value: float | None) -> None:
        """Show a number, or nothing."""
        self._quiet = True
        self.widget.value = "" if value is None else f"{value:g}"
        self._quiet = False
