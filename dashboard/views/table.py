"""Tables of findings; text from files is shown as text, never as markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import panel as pn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PLAIN = {"type": "plaintext"}
LINES = {"type": "textarea"}  # text, too
WRAPPED = """
:host .tabulator .tabulator-tableholder .tabulator-table .tabulator-row { height: auto !important; }
:host .tabulator .tabulator-tableholder .tabulator-table .tabulator-row .tabulator-cell {
  height: auto !important; white-space: pre-wrap !important; overflow-wrap: anywhere; line-height: 1.35;
}
"""
COMPACT = """
:host .tabulator { font-size: 13px !important; border: 0; }
:host .tabulator .tabulator-tableholder .tabulator-table .tabulator-row { min-height: 24px !important; height: 26px !important; cursor: pointer; }
:host .tabulator .tabulator-tableholder .tabulator-table .tabulator-row .tabulator-cell {
  padding: 3px 8px !important; height: 26px !important; line-height: 20px;
}
:host .tabulator .tabulator-header .tabulator-col .tabulator-col-content { padding: 4px 8px !important; }
"""


class Table:
    """A read-only table; a click on a row calls back with its number.

    Parameters
    ----------
    columns
        Data column -> heading.
    widths
        Data column -> width in pixels; the others share the rest.
    on_click
        Called with the number of the clicked row.
    sortable
        Whether a click on a heading sorts the rows.
    wrap
        Data columns whose text goes on in the next line; rows are as high as they need then.
    """

    def __init__(
        self,
        columns: Mapping[str, str],
        *,
        widths: Mapping[str, int] | None = None,
        on_click: Callable[[int], None] | None = None,
        sortable: bool = True,
        wrap: Sequence[str] = (),
    ) -> None:
        self._columns = list(columns)
        self.widget = pn.widgets.Tabulator(
            pd.DataFrame({name: [] for name in columns}), titles=dict(columns), widths=dict(widths or {}), show_index=False,
            disabled=True, selectable=1, layout="fit_columns", sizing_mode="stretch_both", min_height=140, theme="materialize",
            sortable=sortable,
            formatters={name: LINES if name in wrap else PLAIN for name in columns}, configuration={"headerTooltips": True, "placeholder": "Nothing found"},
            stylesheets=[COMPACT, WRAPPED] if wrap else [COMPACT],
        )  # fmt: skip
        self._on_click = on_click
        if on_click:
            self.widget.on_click(self._clicked)

    def show(self, rows: pd.DataFrame) -> None:
        """Replace the rows when they differ."""
        kept = rows[self._columns].reset_index(drop=True)
        if not kept.equals(self.widget.value):
            self.widget.value = kept

    def _clicked(self, event: object) -> None:
        row = getattr(event, "row", -1)
        if self._on_click and isinstance(row, int):
            self._on_click(row)
