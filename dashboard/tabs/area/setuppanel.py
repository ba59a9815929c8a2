"""The panel with the setup as a file: load, save, share, exports of the mask, producer snippet, command, autosave."""

from __future__ import annotations

import io
import shlex
import time
from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui
from typing_extensions import override

from dashboard.tabs.area.desk import ENDING, Conflict, autosaves, target_of
from dashboard.tabs.area.panels import TIGHT, TOP, UPLOAD, Now, Panel, button
from dashboard.tabs.background import in_thread
from dashboard.tabs.downloads import FileDownload
from dashboard.tabs.parts import COPY, text
from detcore import area

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LARGEST = 10_000_000  # bytes of an uploaded setup
FILES = {
    "Setup (YAML)": "setup.yaml", "Mask, npy": "mask.npy", "Mask, TIFF": "mask.tif", "Mask, EDF": "mask.edf",
    "Mask, HDF5 pixel_mask": "mask.h5", "Mask, psana text": "mask.txt", "Lines for DIALS": "dials.phil",
    "Lines for XDS": "XDS.INP", "Lines for CrystFEL": "crystfel.geom", "Producer configuration": "producer.py",
}  # fmt: skip
CONVENTIONS = {"NXmx bits": "nxmx", "Not 0 is bad": "nonzero_bad", "Not 0 is good": "nonzero_good"}
TURNS = {
    1: "1: as stored", 2: "2: mirrored left-right", 3: "3: turned by 180°", 4: "4: mirrored top-bottom", 5: "5: transposed",
    6: "6: turned by 90°", 7: "7: transposed, 180°", 8: "8: turned by 270°",
}  # fmt: skip


class SetupPanel(Panel):
    """Everything that is decided, as one file."""

    def __init__(self, acts: Any, choose: Callable[[], None]) -> None:
        super().__init__()
        self._acts = acts
        self._asked = ""  # name of a file that may be replaced at the second click
        self._edits: list[Any] = []
        small: dict[str, Any] = {"size": "small", "margin": (4, 4)}
        self._name = pmui.TextInput(label="Name", value="", placeholder="run12.yaml", width=226, max_length=80, **small)
        self._save = button(
            "Save", self._saved, "as this name, in the folder for outputs", icon="save", variant="contained"
        )
        self._load = button("Load", lambda _: choose(), "a setup file of the server", icon="folder_open")
        self._upload = pmui.FileInput(accept=".yaml,.yml", label="From this computer", width=170, **UPLOAD)
        self._upload.param.watch(self._uploaded, "value")
        self._what = pmui.Select(label="Export", options=list(FILES), value="Setup (YAML)", width=190, **small)
        self._convention = pmui.Select(
            label="Numbers of the mask", options=CONVENTIONS, value="nxmx", width=172, **small
        )
        self._download = FileDownload(
            callback=self._made, filename="setup.yaml", label="Download", icon="download", size="small", variant="outlined",
            margin=(6, 4), width=130,
        )  # fmt: skip
        self._what.param.watch(self._picked, "value")
        self._orientation = pmui.Select(
            label="Orientation", options={words: number for number, words in TURNS.items()}, value=1, width=150, **small
        )
        self._orientation.param.watch(lambda event: self._detector(orientation=event.new), "value")
        self._type = pmui.TextInput(
            label="Detector", value="", placeholder="epix100", width=110, max_length=60, **small
        )
        self._type.param.watch(lambda event: self._detector(type=str(event.new or "").strip() or "unknown"), "value")
        self._dataset = pmui.TextInput(
            label="Data set", value="", placeholder="found", width=150, max_length=300, **small
        )
        self._dataset.param.watch(lambda event: self._detector(dataset=str(event.new or "").strip() or None), "value")
        self._restore = pmui.Select(label="Unsaved edits", options={"none": ""}, value="", width=226, **small)
        self._take = button(
            "Restore", self._restored, "go on with these edits; undo brings back what is there now", icon="restore"
        )
        self._state = text()
        self._command = pmui.TextAreaInput(
            label="The same on the command line",
            sx={
                "& textarea": {
                    "fontFamily": "monospace",
                    "fontSize": "calc(0.86 * var(--dc-text, 14px))",
                    "lineHeight": 1.4,
                    "overflowWrap": "anywhere",
                }
            },
            rows=4,
            size="small",
            sizing_mode="stretch_width",
            margin=(8, 4),
        )
        copy = button("Copy as command", lambda _: None, icon="content_copy")
        copy.js_on_click(args={"text": self._command}, code=COPY)
        self._yaml = pmui.TextAreaInput(
            label="The setup", rows=12, size="small", sizing_mode="stretch_both", margin=(8, 4), max_length=LARGEST,
            sx={"& textarea": {"fontFamily": "monospace", "fontSize": "calc(0.86 * var(--dc-text, 14px))", "height": "100% !important", "overflowY": "auto !important", "lineHeight": 1.4, "overflowWrap": "anywhere"}},
        )  # fmt: skip
        self._written = ""  # by us; anything else was typed
        self._apply = button("Apply the text", self._applied, "what was typed below becomes the setup", icon="check")
        self._discard = button("Discard", self._discarded, "what was typed below", icon="close")
        copied = button("Copy the setup", lambda _: None, icon="content_copy")
        copied.js_on_click(args={"text": self._yaml}, code=COPY)
        rows = (
            pn.FlexBox(self._name, self._save, self._load, self._upload, **TIGHT),
            pn.FlexBox(self._what, self._convention, self._download, **TIGHT),
            pn.FlexBox(self._type, self._orientation, self._dataset, **TIGHT),
            pn.FlexBox(self._restore, self._take, **TIGHT),
            pn.FlexBox(copy, copied, self._apply, self._discard, **TIGHT),
        )
        self.view = pn.Column(
            *rows,
            self.error,
            self._state,
            self._command,
            self._yaml,
            sizing_mode="stretch_both",
            margin=0,
            styles=TOP,
            scroll="y-auto",
        )
        self._picked(None)

    # --- what the viewer does

    def _saved(self, _: object) -> None:
        acts, name = self._acts, str(self._name.value_input or self._name.value or "")

        def save() -> None:
            path = self._path(name)
            try:
                acts.desk.save(path, replace=self._asked == str(path))
            except Conflict:
                self._asked = str(path)
                raise
            self._asked = ""
            self.complain("")
            acts.saved(path)

        acts.act(save, "setup")

    def _path(self, name: str) -> Path:
        """Return the file that was loaded if its name is still there and may be written, else one for outputs."""
        outputs: Path = self._acts.runtime.outputs / "area"
        held: Path | None = self._acts.desk.path
        if held is not None and held.name == name and held.parent == outputs:
            return held
        return target_of(outputs, name)

    def _uploaded(self, event: Any) -> None:
        content = event.new[0] if isinstance(event.new, list) and event.new else event.new
        if not content:
            return
        if len(content) > LARGEST:
            self.complain(f"{len(content):,} bytes are too many for a setup; the limit is {LARGEST:,}")
            return
        name = str(self._upload.filename or "the file")

        def take() -> None:
            try:
                text_ = bytes(content).decode("utf-8-sig")
            except UnicodeDecodeError:
                msg = f"{name[:80]}: expected a setup as YAML text, found bytes that are not text"
                raise ValueError(msg) from None
            self._acts.take_text(text_, name)
            self.complain("")

        self._acts.act(take, "setup")

    def _typed(self) -> str:
        """Return the text as it is on the page, also while somebody types."""
        return str(self._yaml.value_input or self._yaml.value or "")

    def _applied(self, _: object) -> None:
        typed = self._typed()

        def take() -> None:
            self._acts.take_text(typed, "the text")
            self._written = typed
            self.complain("")

        self._acts.act(take, "setup")

    def _discarded(self, _: object) -> None:
        self.complain("")
        self._write()

    def _write(self) -> None:
        """Show the setup as text."""
        self._written = self._yaml.value = self._acts.desk.setup.to_yaml()

    def _detector(self, **changes: Any) -> None:
        """Say what the detector is, and how its frames lie in the files; they are opened anew then."""
        if self.quiet:
            return
        section = self._acts.desk.setup.detector

        def take() -> None:
            area.type_of(changes.get("type", section.type))
            values = section.model_dump() | changes
            self._acts.edit(f"detector: {', '.join(changes)}", detector=type(section).model_validate(values))
            self.complain("")

        self._acts.act(take, "setup")

    def _picked(self, _: object) -> None:
        name = FILES[str(self._what.value)]
        self._download.filename = name
        self._convention.visible = name.startswith("mask.")

    async def _made(self) -> io.BytesIO | None:
        acts = self._acts
        with self._download.working:
            try:
                made = await in_thread(acts.export, FILES[str(self._what.value)], str(self._convention.value))
            except Exception as error:  # noqa: BLE001 - whatever goes wrong is told here
                self.complain(f"{self._what.value}: {error}")
                return None
        return io.BytesIO(made)

    def _restored(self, _: object) -> None:
        token = str(self._restore.value or "")
        if token:
            self._acts.act(lambda: self._acts.restore(token), "setup")

    # --- what is shown

    @override
    def show(self, now: Now) -> None:
        desk = now.desk
        self.quiet = True
        section = desk.setup.detector
        self._type.value = "" if section.type == "unknown" else section.type
        self._orientation.value, self._dataset.value = section.orientation, section.dataset or ""
        if desk.path is not None and not self._name.value:
            self._name.value = desk.path.name
        self._edits = autosaves(desk.folder, desk.group or self._acts.group())
        options = {when(one.time): one.token for one in self._edits if one.token != desk.token} or {"none": ""}
        if options != self._restore.options:
            self._restore.param.update(options=options, value=next(iter(options.values())))
        self._take.disabled = not next(iter(options.values()))
        saved = f"Saved as {desk.path}" if desk.path is not None else "In no file yet"
        state = f"{saved}{'; edits since are kept by themselves, but not saved' if desk.dirty else ''}."
        typed = self._typed() != self._written
        if typed:
            state += " The text below was typed into: apply it, or discard it."
        if state != self._state.text:
            self._state.text = state
        if not typed and desk.setup.to_yaml() != self._written:
            self._write()
        command = command_of(self._acts.data(), desk.path)
        if command != self._command.value:
            self._command.value = command
        self.quiet = False

    @override
    def fill(self, now: Now) -> None:
        pass


def when(stamp: float) -> str:
    """Return a time of today or of another day."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(stamp))


def command_of(paths: tuple[str, ...], setup: Path | None) -> str:
    """Return the command that makes the results of each event.

    Examples
    --------
    >>> command_of(("/data/run 1.h5",), None)
    "detcore area reduce --setup setup.yaml '/data/run 1.h5'"
    """
    return shlex.join(["detcore", "area", "reduce", "--setup", str(setup or f"setup{ENDING}"), *paths])
