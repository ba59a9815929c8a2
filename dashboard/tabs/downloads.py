"""Exports of what is shown: made by detcore in a thread at the click, then sent."""

from __future__ import annotations

import io
import zipfile
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui
from typing_extensions import override

from dashboard.tabs.background import in_thread
from dashboard.tabs.parts import COPY, Working

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

WIDE: dict[str, Any] = {"sizing_mode": "stretch_width", "margin": (3, 8), "size": "small"}


class FileDownload(pmui.FileDownload):  # type: ignore[misc]
    """A button that makes a file at the click; it must have this name, by which the page finds what draws it.

    Parameters
    ----------
    callback
        Returns the file, or None when there is none and why has been told.

    Attributes
    ----------
    working
        A context in which the button shows that it works.
    """

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self.working = Working(self)
        self._sent = 0

    @override
    def _sync_data(self, fileobj: io.BytesIO | None) -> None:
        # Panel's own (1.9.4) sends nothing when the content is that of the last time, and then nothing is saved.
        if fileobj is not None:
            self._sent += 1
            content = b64encode(fileobj.getvalue()).decode()
            self.data = f"data:application/octet-stream;number={self._sent};base64,{content}"
            self._transfers += 1


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

    def _button(self, name: str, label: str) -> FileDownload:
        async def made() -> io.BytesIO | None:
            if self._now is None:
                return None
            with button.working:
                try:
                    return io.BytesIO(await in_thread(self._content, name, *self._now))
                except Exception as error:  # noqa: BLE001 - whatever a product raises is told to the viewer
                    self._notify(f"{name}: {error}", "error")
                    return None

        button = FileDownload(
            callback=made, filename=name, label=label, icon="download", variant="outlined", color="primary", **WIDE
        )
        return button

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
