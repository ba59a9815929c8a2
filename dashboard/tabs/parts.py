"""Pieces that tabs share: panes, plain text, the dialog with the files, copying to the clipboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui

from dashboard.files import FileBrowser
from dashboard.plain import Plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from detcore.core.paths import Roots

SMALL = "calc(0.9 * var(--dc-text, 14px))"  # grows with the screen
COMPACT: dict[str, Any] = {
    "size": "small", "margin": (4, 4), "color": "primary",
    "sx": {
        "& .MuiToggleButton-root, & .MuiButton-root": {
            "textTransform": "none", "padding": "3px 9px", "fontSize": SMALL, "whiteSpace": "nowrap",
        }
    },
}  # fmt: skip
# No buttons for more and less: in a narrow field they leave no room for the number.
NUMBER: dict[str, Any] = {
    "size": "small", "margin": (4, 3),
    "sx": {
        "& .MuiInputAdornment-root, & button": {"display": "none"}, "& input": {"padding": "7px 4px 7px 9px", "fontSize": "var(--dc-text, 14px)"},
        "& .MuiInputBase-root": {"padding": "0"},
    },
}  # fmt: skip
BUTTON: dict[str, Any] = {
    "size": "small", "variant": "outlined", "margin": (8, 2, 4, 4),
    "sx": {"textTransform": "none", "whiteSpace": "nowrap", "padding": "3px 9px", "fontSize": SMALL},
}  # fmt: skip
LOWER_TABS = """
.bk-header { border-bottom: 1px solid var(--dc-line) !important; }
.bk-header .bk-tab { padding: 6px 12px !important; font: 500 calc(0.93 * var(--dc-text, 14px))/1.3 Roboto, sans-serif !important; }
"""
# plain http on another host has no clipboard object
COPY = """
const words = text.data?.value ?? text.value
if (navigator.clipboard) navigator.clipboard.writeText(words)
else {
  const area = document.body.appendChild(document.createElement("textarea"))
  area.value = words
  area.select()
  document.execCommand("copy")
  area.remove()
}
"""


def pane(figure: object) -> pn.pane.Bokeh:
    """Return a figure as a pane that fills its place."""
    return pn.pane.Bokeh(figure, sizing_mode="stretch_both", margin=0)


def text(**styles: str) -> Plain:
    """Return a place for words from anywhere."""
    font = "400 calc(0.93 * var(--dc-text, 14px))/1.4 Roboto, sans-serif"
    looks = {"font": font, "color": "var(--panel-on-surface-color)"} | styles
    return Plain(margin=(6, 8), sizing_mode="stretch_width", styles=looks)


def column(*parts: Any, flex: str = "1 1 0") -> pn.Column:
    """Return a column that shares its place with its neighbours."""
    return pn.Column(*parts, sizing_mode="stretch_both", margin=0, styles={"flex": flex})


class Working:
    """Shows on a button that its work is going on.

    A page sends back what a widget was told. Told two things in a row it may send the first one last, and the button
    would turn for ever: what it sends is put right.

    Parameters
    ----------
    button
        Nobody else sets its `loading`.
    """

    def __init__(self, button: Any) -> None:
        self._button, self._on = button, False
        button.param.watch(self._right, "loading")

    def show(self, on: bool) -> None:
        """Show it from now on, or no longer."""
        self._on = on
        self._right()

    def __enter__(self) -> None:
        self.show(True)

    def __exit__(self, *_: object) -> None:
        self.show(False)

    def _right(self, _: object = None) -> None:
        if self._button.loading != self._on:
            self._button.loading = self._on


class Chooser:
    """The dialog with the files.

    Parameters
    ----------
    roots
        Asked at each opening where one may look.
    start
        The folder that is listed first; None for the roots.
    endings
        Of the files that can be chosen.
    chosen
        Called with (paths, live).
    clear
        Called when nothing is wanted; None leaves its button out.
    """

    def __init__(
        self, roots: Callable[[], Roots], start: Path | None, endings: tuple[str, ...],
        chosen: Callable[[tuple[Path, ...], bool], None], clear: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self._roots, self._chosen, self._clear = roots, chosen, clear
        self._files = FileBrowser(roots(), self._choose, endings, start, sizing_mode="stretch_both", min_height=420)
        self._words = text()
        parts: list[Any] = [self._words, self._files]
        if clear is not None:
            parts.append(pmui.Button(label="Nothing", size="small", variant="outlined", on_click=self._forget))
        self.view = pmui.Dialog(
            pn.Column(*parts, sizing_mode="stretch_width", height=520), title="Data", title_variant="h6", close_on_click=True,
            show_close_button=True, width_option="md", margin=0, sizing_mode="fixed", width=0, height=0,
        )  # fmt: skip

    def _choose(self, paths: tuple[Path, ...], live: bool) -> None:
        self.view.open = False
        self._chosen(paths, live)

    def _forget(self, _: object) -> None:
        self.view.open = False
        if self._clear is not None:
            self._clear()

    def open(self, title: str, lines: Sequence[str]) -> None:
        """Show the dialog, and what is chosen now."""
        self._words.text = "\n".join(lines)
        self._files.look_again(self._roots())
        self.view.param.update(title=title, open=True)
