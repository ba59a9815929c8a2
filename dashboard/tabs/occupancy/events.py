"""The panels that read files again: the event display and the drift-time map of one detector."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import panel as pn
import panel_material_ui as pmui
from typing_extensions import override

from dashboard.tabs.background import Latest, Shared, Single
from dashboard.tabs.occupancy.panels import Panel
from dashboard.tabs.parts import pane, text
from dashboard.views.eventmap import EventMap
from dashboard.views.grid import ChannelGrid
from dashboard.views.heat import Heat, Scale
from detcore import occupancy, run

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    import xarray as xr

    from dashboard.tabs.occupancy.look import Look
    from dashboard.tabs.occupancy.results import Results

EVENTS: Shared[xr.Dataset] = Shared(64)
STEP_MS = 1000  # between two events while playing


class Display(Panel):
    """One event after the other.

    Parameters
    ----------
    want
        Called with `event=number` to go to another event.
    ready
        Called, from any thread, when an event has been read.
    shown
        Whether the panel is on the page now; playing stops when it is not.
    """

    def __init__(self, want: Callable[..., None], ready: Callable[[], None], shown: Callable[[], bool]) -> None:
        self.map = EventMap(ChannelGrid(()))
        self._want, self._shown = want, shown
        self._work: Latest[xr.Dataset] = Latest(EVENTS, ready)
        self._hits = np.zeros(0, dtype=np.int32)
        self._event = 0
        self._first = pmui.IconButton(icon="first_page", description="First event", on_click=lambda _: self._go(-1, 1))
        self._back = pmui.IconButton(
            icon="chevron_left", description="Previous event", on_click=lambda _: self._go(self._event, -1)
        )
        self._play = pmui.ToggleIcon(
            icon="play_arrow", active_icon="pause", description="Play, one event each second", value=False
        )
        self._next = pmui.IconButton(
            icon="chevron_right", description="Next event", on_click=lambda _: self._go(self._event, 1)
        )
        self._number = pmui.IntInput(label="Event", value=0, start=0, size="small", width=120, margin=(6, 6))
        self._skip = pmui.Checkbox(label="Skip empty", value=True, size="small", margin=(6, 8))
        self._text = text()
        self._number.param.watch(self._typed, "value")
        self._ticker = pn.state.add_periodic_callback(self._tick, period=STEP_MS, start=False)
        self._play.param.watch(lambda event: self._ticker.start() if event.new else self._ticker.stop(), "value")
        bar = pn.Row(
            self._first, self._back, self._play, self._next, self._number, self._skip, self._text,
            sizing_mode="stretch_width", margin=0, styles={"align-items": "center"},
        )  # fmt: skip
        self.view = pn.Column(bar, pane(self.map.figure), sizing_mode="stretch_both", margin=0)

    def _tick(self) -> None:
        if self._shown():
            self._go(self._event, 1)
        else:
            self._play.value = False

    def _typed(self, event: object) -> None:
        number = getattr(event, "new", None)
        if isinstance(number, int) and number != self._event:
            self._want(event=max(0, min(number, len(self._hits) - 1)))

    def _go(self, start: int, step: int) -> None:
        """Go to the next event after `start`, round the end; empty ones are passed over if so wished."""
        if not len(self._hits):
            return
        numbers = (start + step * np.arange(1, len(self._hits) + 1)) % len(self._hits)
        full = numbers[self._hits[numbers] > 0] if self._skip.value else numbers
        if full.size:
            self._want(event=int(full[0]))

    @override
    def fill(self, results: Results, look: Look, detector_id: int, words: str) -> None:
        data = results.data
        grid = results.grid(look.separators, look.equal)
        if grid is not self.map.grid:
            self.map.arrange(grid)
        self._hits = results.array("hits_per_event")
        if not len(self._hits):
            self._text.text = "No event passes the cut."
            return
        self._event = min(look.event, len(self._hits) - 1)
        self._number.param.update(value=self._event, end=len(self._hits) - 1)
        file = str(data["file"].values[int(data["event_file"].values[self._event])])
        entry = int(data["entry"].values[self._event])
        found = self._work.ask((file, entry), lambda: occupancy.read_event(file, entry))
        if found is not None:
            self._show(found, len(self._hits), words)

    def _show(self, event: xr.Dataset, total: int, words: str) -> None:
        times = event["tdc_time"].values.astype(float) if "tdc_time" in event else None
        in_time = (event["flag"].values & occupancy.FLAGS["in_time"]) > 0 if "flag" in event else None
        drawn = self.map.show(event["detector_id"].values, event["element_id"].values, times, in_time)
        facts = event.attrs
        names = (("run", "run_id"), ("spill", "spill_id"), ("event", "event_id"))
        known = ", ".join(f"{name} {facts[key]}" for name, key in names if facts.get(key, -1) >= 0)
        bits = int(facts.get("trigger_bits", -1))
        fired = [name for bit, name in enumerate(occupancy.TRIGGERS) if bits >= 0 and bits >> bit & 1]
        self._text.text = (
            f"{self._event + 1:,} of {total:,}{words} · {Path(facts['file']).name}, entry {facts['entry']}"
            + (f" · triggers {', '.join(fired)}" if fired else "")
        )
        late = "" if in_time is None else f", {int((~in_time).sum())} of them not in time (hollow)"
        self.map.figure.title.text = f"{known or 'Event'}: {drawn:,} hits{late}"


class Drift(Panel):
    """Drift time against element of the selected detector; the files are read once more for it.

    Parameters
    ----------
    ready
        Called, from any thread, when it has been counted.
    source
        () -> (paths, filters) that are shown.
    """

    def __init__(
        self, ready: Callable[[], None], source: Callable[[], tuple[tuple[str, ...], occupancy.Filters]]
    ) -> None:
        self.heat = Heat("Element", "Drift time (ns)", "Hits")
        self._work: Single[xr.Dataset] = Single(ready)
        self._source, self._ready = source, ready
        self._busy = pmui.LinearProgress(visible=False, sizing_mode="stretch_width", margin=0)
        self._cancel = pmui.Button(
            label="Cancel", size="small", variant="outlined", margin=(4, 4), on_click=lambda _: self._work.cancel()
        )
        self._again = pmui.Button(
            label="Count again", size="small", variant="outlined", margin=(4, 4), on_click=self._repeat
        )
        self._text = text()
        bar = pn.Row(self._again, self._cancel, self._text, sizing_mode="stretch_width", margin=0)
        self.view = pn.Column(bar, self._busy, pane(self.heat.figure), sizing_mode="stretch_both", margin=0)

    def _repeat(self, _: object) -> None:
        self._work.forget()
        self._ready()

    @override
    def fill(self, results: Results, look: Look, detector_id: int, words: str) -> None:
        name = results.name(detector_id)
        if "drift_time" not in results.data:
            self._text.text = "The files have no tdcTime."
            return
        paths, filters = self._source()

        def count(cancel: threading.Event) -> xr.Dataset:
            source = occupancy.open_files(paths)
            steps = filters.steps(source.table)
            return run(source, occupancy.DriftMap(detector_id=detector_id).after(*steps), cancel=cancel)

        found = self._work.ask((paths, filters, detector_id), count)
        self._busy.visible = self._cancel.visible = found is None
        self._again.visible = found is not None
        self._text.text = f"Counting {name} …" if found is None else ""
        if found is None or "drift_map" not in found:
            return
        time = found["time_coarse"].values
        step = float(time[1] - time[0])
        values = found["drift_map"].transpose("time_coarse", "element_id").values.astype(float)
        self.heat.show(values, Scale(0.5, 1.0), Scale(float(time[0]) - step / 2, step))
        plane = occupancy.DetectorTable.default().by_id.get(detector_id)
        if plane:
            self.heat.frame(0.5, values.shape[1] + 0.5, plane.t_min, plane.t_max)
        cut_short = " (cancelled: partial)" if found.attrs.get("status") == "partial" else ""
        self.heat.figure.title.text = (
            f"{name}: {int(values.sum()):,} hits by element and drift time; frame: shifters' window{cut_short}{words}"
        )
