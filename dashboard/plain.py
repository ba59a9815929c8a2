"""Text that stays text."""

from __future__ import annotations

from typing import ClassVar

import panel as pn
import param


class Plain(pn.custom.JSComponent):
    """Shows text from anywhere, line breaks kept, never as markup.

    Panel's own panes, `pn.pane.Str` of 1.9.4 included, end in ``innerHTML`` and run what a file name contains.

    Examples
    --------
    >>> Plain("<b>not bold</b>").text
    '<b>not bold</b>'
    """

    text = param.String(default="", doc="What is shown.")

    _esm = """
    export function render({ model }) {
      const place = document.createElement("div");
      place.className = "dc-plain";
      const draw = () => { place.textContent = model.text; };
      model.on("text", draw);
      draw();
      return place;
    }
    """
    _stylesheets: ClassVar[list[str]] = [".dc-plain { white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; }"]

    def __init__(self, text: str = "", **params: object) -> None:
        super().__init__(text=text, **params)  # type: ignore[no-untyped-call]
