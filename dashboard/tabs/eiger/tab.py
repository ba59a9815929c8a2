"""Eiger intensity: the trace of a series, how much of its fluctuation is not photon statistics, and its frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import panel as pn
import panel_material_ui as pmui
from typing_extensions import override

from dashboard.feeds import FeedRequest
from dashboard.tabs.background import Latest, beside
from dashboard.tabs.base import BaseTab
from dashboard.tabs.downloads import Downloads
from dashboard.tabs.eiger.controls import Thresholds, TraceBar
from dashboard.tabs.eiger.export import LABELS, command, content
from dashboard.tabs.eiger.image import ImagePanel
from dashboard.tabs.eiger.look import ENDINGS, PANELS, Look, Place, from_text, name_of, to_text
from dashboard.tabs.eiger.panels import Distribution, Panel, Spectrogram, Spectrum, Stability
from dashboard.tabs.eiger.results import RESULTS, Results, Wish, compute, headline, request, stride_of, words_of
from dashboard.tabs.eiger.tables import Comparison, Numbers, Outliers, Pixels
from dashboard.tabs.eiger.trace import TracePanel
from dashboard.tabs.headline import Headline
from dashboard.tabs.parts import column
from dashboard.views.push import Parcel
from detcore import eiger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from panel.viewable import Viewable

    from dashboard.runtime import Runtime
    from dashboard.session import Session
    from dashboard.shapes import Shape
    from detcore.core.run import Snapshot


class Tab(BaseTab):
    """The tab of one viewer; see `dashboard.tabs.base.BaseTab`."""

    title = "Eiger intensity"
    name, names, endings = "eiger", PANELS, ENDINGS
    models = (Place, eiger.Limits, Look)

    def __init__(self, session: Session, runtime: Runtime, query: Mapping[str, str], wall: bool) -> None:
        super().__init__(session, runtime, query, wall)
        self.shapes: tuple[Shape, ...] = ()
        try:
            self.shapes = from_text(self.place.shapes)
        except ValueError as error:
            session.notify(str(error), "warning")
            self.place = self.place.checked(dict(self.place) | {"shapes": ""})
        self._keys: tuple[str, ...] = ()
        self._asked: object = None
        self._whole = True
        self._work: Latest[Results] = Latest(RESULTS, session.refresh)

    # --- what is wanted

    def drawn(self, shapes: tuple[Shape, ...]) -> None:
        """Count in these regions, too."""
        written = to_text(shapes)
        if written != self.place.shapes:
            self.shapes = shapes
            self.go(shapes=written)

    def frame(self, number: int) -> None:
        """Show a frame; 0: the mean image."""
        self.want(frame=max(number, 0))

    # --- the protocol

    def feeds(self) -> tuple[str, ...]:
        """Return the keys of the data and of the reference."""
        asked = (self.place, self.cuts, self.paths())
        if asked != self._asked:
            self._asked = asked
            self._keys = self._open()
        return self._keys

    def regions(self) -> tuple[str, ...]:
        """Return the names of the regions that are drawn."""
        return tuple(name_of(number) for number in range(len(self.shapes)))

    def _open(self) -> tuple[str, ...]:
        keys: list[str] = []
        wanted = [(self.paths(), self.place.live, self.shapes)]
        if self.place.reference:
            wanted.append((tuple(self.place.reference.split("|")), False, ()))
        options = (("frames", self.place.frames),) if self.place.frames else ()
        for paths, live, shapes in wanted:
            if not paths:
                return ()
            try:
                parameters = request(self.cuts, shapes)
                keys.append(self.runtime.feeds.open(FeedRequest(self.name, paths, live, parameters, options)))
            except (PermissionError, ValueError) as error:
                self.session.notify(str(error), "error")
                break
        return tuple(keys)

    # --- the view

    def view(self) -> Viewable:
        """Build the tab."""
        run = beside(pn.state.curdoc)
        wall = self.wall
        self.headline = Headline(wall=wall)
        self.trace = TracePanel(self.frame, None if wall else self._range, run, wall=wall)
        self.image = ImagePanel(self.want, None if wall else self.drawn, self.session.refresh, run, wall=wall)
        self._parcel = Parcel(self.trace.trace.figure)
        self.begin()
        return self._wall_view() if wall else self._full_view()

    def _wall_view(self) -> Viewable:
        self.panel("spectrum")
        left = column(self.trace.view, self.places["spectrum"], flex="3 1 0")
        body = pn.Row(left, column(self.image.view, flex="2 1 0"), sizing_mode="stretch_both", margin=0)
        return pn.Column(self.headline.pane, self.message, body, sizing_mode="stretch_both", margin=(0, 10))

    def _full_view(self) -> Viewable:
        self.bar = TraceBar(self.want, self.go)
        self.thresholds = Thresholds(self.cut)
        self._live = pmui.Switch(
            label="Live", size="small", margin=(10, 4), description="Go on with new files and frames"
        )
        self._live.param.watch(lambda event: self.go(live=bool(event.new)), "value")
        lower = self.lower_tabs(flex="5 1 0")
        self.trace.view.styles = {"flex": "4 1 0"}
        self.image.view.styles = {"flex": "5 1 0"}
        self.thresholds.view.styles = {"flex": "3 1 0"}
        if self.shapes:
            self.image.drawing.set(self.shapes)
        top = pn.Row(
            self.choose("Data", "folder_open", "path"), self.choose("Reference", "compare", "reference"),
            self.toggle("Export", "download"), self._live, self.headline.pane, self.dialogs,
            sizing_mode="stretch_width", margin=0,
        )  # fmt: skip
        left = column(self.bar.view, self.trace.view, lower, flex="5 1 0")
        right = column(self.image.view, self.thresholds.view, flex="3 1 0")
        main = pn.Row(self.exports_place, left, right, sizing_mode="stretch_both", margin=0)
        return pn.Column(top, self.message, main, sizing_mode="stretch_both", margin=(0, 8))

    def _range(self, first: int, last: int) -> None:
        self.go(first=first, last=last)

    @override
    def chosen(self, role: str, paths: tuple[Path, ...], live: bool) -> None:
        """Take files; other ones are shown from their first frame."""
        if role == "path" and (place := self.link_of(paths)) is not None:
            self.want(frame=0)
            self.go(path=place, live=live, first=1, last=0, step=1)
        elif role != "path":
            super().chosen(role, paths, live)

    @override
    def makers(self) -> dict[str, Callable[[], Panel]]:
        """Return how each panel is built."""
        return {
            "spectrum": lambda: Spectrum(wall=self.wall),
            "stability": Stability,
            "distribution": Distribution,
            "spectrogram": Spectrogram,
            "outliers": lambda: Outliers(self.frame),
            "pixels": Pixels,
            "numbers": Numbers,
            "compare": Comparison,
        }

    def update(self, snapshots: Mapping[str, Snapshot]) -> None:
        """Show the newest snapshots and what was wished since."""
        if not self.wall:
            self._show_wishes()
        keys = self._keys
        snapshot = snapshots.get(keys[0]) if keys else None
        if snapshot is None or "sum" not in snapshot.data or not snapshot.data.sizes["frame"]:
            self.say(self._why(snapshot))
            return
        other = snapshots.get(keys[1]) if len(keys) > 1 else None
        reference = other.data if other is not None and "sum" in other.data else None
        panel = "spectrum" if self.wall else self.look.panel
        wish = Wish(self.look.detrend, self.look.region, panel)
        paths = self._resolved()
        try:
            results = self._work.ask(
                (id(snapshot.data), id(reference), wish), lambda: compute(snapshot.data, reference, paths, wish)
            )
            if results is not None:
                self.say("")
                with self._parcel.packing():
                    self._draw(results, snapshot, panel)
        except (OSError, ValueError) as error:
            self.say(str(error))

    def _resolved(self) -> tuple[str, ...]:
        return tuple(str(self.runtime.roots.resolve(path)) for path in self.paths())

    def _show_wishes(self) -> None:
        """Bring the widgets to what is wished."""
        if not self.news():
            return
        place, look = self.place, self.look
        self.bar.show(look, place, self.regions())
        self.thresholds.show(self.cuts)
        self.image.show(look)
        self._live.value = place.live
        self.show_exports(
            lambda: Downloads(LABELS, content, self.session.notify),
            lambda: command(self.paths(), place, self.cuts, look),
        )

    def _why(self, snapshot: Snapshot | None) -> str:
        if not self._keys:
            ready = self.runtime.ready.is_set()
            return "Nothing is chosen: take a master file with the button Data." if ready else ""
        status = self.runtime.feeds.status(self._keys[0])
        if snapshot is None:
            return status.reason
        return "No frame has been read yet: " + ("; ".join(map(str, snapshot.problems[:3])) or "waiting for data.")

    def _draw(self, results: Results, snapshot: Snapshot, panel: str) -> None:
        words = words_of(self.cuts)
        pending = sum("pending" in problem.reason for problem in snapshot.problems)
        self.headline.show(headline(results, pending))
        stride = stride_of(results.data["frame"].values)
        note = f" · 1 of {stride} frames is read" if stride > 1 else ""
        self.trace.fill(results, self.look, words, note)
        self.panel(panel).fill(results, self.look, words)
        self.image.fill(results, self.look, words)
        if self.wall:
            return
        self.thresholds.fill(results.data)
        if self._exports is not None:
            self._exports.fill(snapshot, results, eiger.setup_text(self.cuts, self.shapes))
