"""The buttons above everything in the area tab: data, setup, undo, redo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import panel_material_ui as pmui

from dashboard.tabs.parts import NUMBER

if TYPE_CHECKING:
    from dashboard.tabs.area.panels import Now
    from dashboard.tabs.area.tab import Tab


class TopBar:
    """What is averaged, from which files."""

    def __init__(self, tab: Tab) -> None:
        self._tab, self._quiet = tab, False
        self._setup = tab.button("Setup", "tune", lambda _: tab.want(panel="setup"))
        self._live = pmui.Switch(
            label="Live", size="small", margin=(10, 4), description="Go on with new files and frames"
        )
        self._live.param.watch(lambda event: self._go(live=bool(event.new)), "value")
        self._frames = pmui.IntInput(
            label="Average of",
            value=100,
            start=0,
            width=104,
            description="So many frames, the first ones; 0: all",
            **NUMBER | {"margin": (6, 4)},
        )
        self._frames.param.watch(lambda event: self._cut(frames=event.new), "value")
        self._calibrate = pmui.Checkbox(label="Calibrated", value=True, size="small", margin=(9, 2))
        self._calibrate.param.watch(lambda event: self._cut(calibrate=bool(event.new)), "value")
        self.parts = [
            tab.choose("Data", "folder_open", "path"), self._setup, self._frames, self._calibrate, self._live,
        ]  # fmt: skip

    def _go(self, **changes: Any) -> None:
        if not self._quiet:
            self._tab.go(**changes)

    def _cut(self, **changes: Any) -> None:
        if not self._quiet and None not in changes.values():
            cuts = self._tab.cuts
            self._tab.cut(cuts.checked(dict(cuts) | changes))

    def show(self, now: Now) -> None:
        """Show what is wished now."""
        self._quiet = True
        self._live.value = self._tab.place.live
        self._frames.value, self._calibrate.value = now.cuts.frames, now.cuts.calibrate
        name = f"Setup: {now.desk.path.name}" if now.desk.path is not None else "Setup"
        label = name[:34] + (" *" if now.desk.dirty else "")
        if self._setup.label != label:
            self._setup.label = label
        self._quiet = False
