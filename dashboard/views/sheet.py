"""Short lists of numbers that change with every event; text from files is shown as text, never as markup."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import panel as pn
import param

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

STYLE = """
.dc-sheet { position: absolute; inset: 0; overflow: auto; font-size: 13px; }
.dc-sheet table { width: 100%; border-collapse: collapse; table-layout: fixed; }
.dc-sheet th, .dc-sheet td {
  height: 26px; padding: 0 8px; overflow: hidden; text-align: left; text-overflow: ellipsis; white-space: nowrap;
  border-bottom: 1px solid color-mix(in srgb, currentColor 14%, transparent);
}
.dc-sheet th { font-weight: 600; height: 30px; }
"""


class Sheet(pn.custom.JSComponent):
    """Rows of text below headings, without sorting or clicks.

    New rows cost the server one message; a `Table` needs some 10 ms, which is felt from event to event.

    Examples
    --------
    >>> import pandas as pd
    >>> sheet = Sheet({"name": "Name", "value": "Value"})
    >>> sheet.fill(pd.DataFrame({"value": ["1.5"], "name": ["Width"]}))
    >>> sheet.rows
    [['Width', '1.5']]
    """

    headings = param.List(default=[], item_type=str, doc="Of the columns.")
    widths = param.List(default=[], item_type=int, doc="Of the columns, in pixels; those with 0 share the rest.")
    rows = param.List(default=[], item_type=list, doc="Texts of each row.")

    _esm = """
    export function render({ model }) {
      const place = document.createElement("div");
      place.className = "dc-sheet";
      const line = (tag, texts) => {
        const row = document.createElement("tr");
        texts.forEach((text, at) => {
          const cell = document.createElement(tag);
          cell.textContent = cell.title = text;
          if (tag == "th" && model.widths[at]) cell.style.width = `${model.widths[at]}px`;
          row.append(cell);
        });
        return row;
      };
      const draw = () => {
        const table = document.createElement("table");
        table.append(line("th", model.headings), ...model.rows.map((texts) => line("td", texts)));
        place.replaceChildren(table);
      };
      model.on("rows", draw);
      draw();
      return place;
    }
    """
    _stylesheets: ClassVar[list[str]] = [STYLE]

    def __init__(self, columns: Mapping[str, str], *, widths: Mapping[str, int] | None = None) -> None:
        self._columns = list(columns)
        super().__init__(  # type: ignore[no-untyped-call]
            headings=list(columns.values()), widths=[(widths or {}).get(name, 0) for name in columns],
            sizing_mode="stretch_both", min_height=100,
        )  # fmt: skip

    def fill(self, rows: pd.DataFrame) -> None:
        """Replace the rows when they differ."""
        texts = [list(map(str, row)) for row in zip(*(rows[name].tolist() for name in self._columns), strict=True)]
        if texts != self.rows:
            self.rows = texts
