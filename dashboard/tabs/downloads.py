"""Exports of what is shown: made by detcore in a thread at the click, then sent."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui

from dashboard.tabs.background import in_thread
from dashboard.tabs.parts import COPY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

WIDE: dict[str, Any] = {"sizing_mode": "stretch_width", "margin": (3, 8), "size": "small"}


class Downloads:
    """Buttons that make files, and the command that makes the same numbers.

    Parameters
    ----------
    labels
        Name of a file -> what its button says.
    content
        Called in a thread with a name and with what `fill` was given; returns the file.
    notify
        Called with what went wrong, and "error".
    """

    def __init__(
        self, labels: Mapping[str, str], content: Callable[..., bytes], notify: Callable[[str, Any], None]
    ) -> None:
        self._content, self._notify = content, notify
        self._now: tuple[Any, ...] | None = None
        self.buttons = {name: self._button(name, label) for name, label in labels.items()}
        self._command = pmui.TextAreaInput(
            label="The same on the command line", rows=6, **WIDE | {"margin": (14, 8, 4, 8)}
        )
        copy = pmui.Button(label="Copy as command", variant="outlined", icon="content_copy", **WIDE)
        copy.js_on_click(args={"text": self._command}, code=COPY)
        self.view = pn.Column(
            *self.buttons.values(), self._command, copy,
            width=262, sizing_mode="stretch_height", margin=(0, 8, 0, 0), scroll="y",
        )  # fmt: skip

    def _button(self, name: str, label: str) -> pmui.FileDownload:
        async def made() -> io.BytesIO | None:
            if self._now is None:
                return None
            button = self.buttons[name]
            button.loading = True
            try:
                return io.BytesIO(await in_thread(self._content, name, *self._now))
            except Exception as error:  # noqa: BLE001 - whatever a product raises is told to the viewer
                self._notify(f"{name}: {error}", "error")
                return None
            finally:
                button.loading = False

        return pmui.FileDownload(
            callback=made, filename=name, label=label, icon="download", variant="outlined", color="primary", **WIDE
        )

    def fill(self, *now: Any) -> None:
        """Remember what is shown now."""
        self._now = now

    def say(self, command: str) -> None:
        """Show the command that makes the same numbers."""
        if self._command.value != command:
            self._command.value = command


def packed(folder: Path, inside: str) -> bytes:
    """Return all files of a folder as a ZIP file, in which they are in the folder `inside`."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(file, f"{inside}/{file.relative_to(folder)}")
    return whole.getvalue()
