"""Showers in space: the cloud of one or of many, its three projections, and the way from one shower to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui

from dashboard.tabs.background import Latest
from dashboard.tabs.parts import COMPACT, NUMBER, column, pane
from dashboard.tabs.showers.look import from_text, particle
from dashboard.tabs.showers.results import CLOUDS, TRIALS, Trial, cell_of, detector_of, many_of, maps_of, trial_of
from dashboard.views.cloud import Cloud
from dashboard.views.projections import Projections

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from dashboard.tabs.showers.look import Look
    from dashboard.tabs.showers.results import Many, Results
    from dashboard.views.cloud import Detector
    from dashboard.views.viewport import Run

STEP: dict[str, Any] = {"size": "small", "margin": (4, 0), "width": 36}
WATCHED = {
    "colour": "colour", "cut": "seen_cut", "first_layer": "seen_from", "last_layer": "seen_to", "sized": "sized",
    "camera": "camera",
}  # parameter of the cloud -> field of Look  # fmt: skip


class Space:
    """The cloud with its projections and buttons.

    Parameters
    ----------
    want
        Called with changed fields of `Look`.
    ready
        Called, from any thread, when a shower has been read.
    run
        Where pictures are made; see `dashboard.views.viewport`.
    wall
        For a wall display.
    """

    def __init__(self, want: Callable[..., None], ready: Callable[[], None], run: Run | None, *, wall: bool) -> None:
        self._want, self._wall, self._run = want, wall, run
        self._trials: Latest[Trial] = Latest(TRIALS, ready)
        self._many: Latest[Many] = Latest(CLOUDS, ready)
        self.trial: Trial | None = None
        self._numbers: NDArray[np.int64] | None = None
        self._now = 0
        self._quiet = False
        self._drawn: object = None
        self._imaged: object = None
        self.cloud = Cloud(wall=wall, tools=not wall, name="showers-cloud")
        self.cloud.param.watch(self._turned, list(WATCHED))
        self.projections = Projections(run=run, wall=wall)
        for name, figure in self.projections.figures.items():
            figure.name = f"showers-{name}"
        self.carrier = self.projections.figures["xy"]
        row = pn.Row(
            *(column(pane(figure)) for figure in self.projections.figures.values()), sizing_mode="stretch_both", margin=0,
            styles={"flex": "2 1 0"},
        )  # fmt: skip
        cloud = column(self.cloud, flex="3 1 0")
        self.view = pn.Column(*([] if wall else [self._bar()]), cloud, row, sizing_mode="stretch_both", margin=0)

    def _bar(self) -> pn.Row:
        want = self._want
        self._sample = pmui.Select(
            label="File", options=[""], value="", visible=False, width=190, size="small", margin=(4, 4)
        )
        self._sample.param.watch(self._chosen, "value")
        self._kind = pmui.RadioButtonGroup(
            options={"Single": "single", "Mean of all": "mean"}, value="single", **COMPACT
        )
        self._kind.param.watch(lambda event: want(show=event.new), "value")
        self._back = pmui.IconButton(
            icon="chevron_left", description="Previous shower", on_click=lambda _: self._go(-1), **STEP
        )
        self._next = pmui.IconButton(
            icon="chevron_right", description="Next shower", on_click=lambda _: self._go(1), **STEP
        )
        self._number = pmui.IntInput(label="Shower", value=0, start=0, width=84, **NUMBER)
        self._number.param.watch(self._typed, "value")
        return pn.Row(
            self._sample, self._kind, self._back, self._number, self._next,
            sizing_mode="stretch_width", margin=0, styles={"align-items": "center"},
        )  # fmt: skip

    # --- what the viewer does

    def _turned(self, *events: Any) -> None:
        if self._quiet:
            return
        seen = self.cloud.seen
        camera = "" if seen.camera is None else ",".join(f"{number:.4g}" for number in seen.camera)
        values = {
            "colour": seen.colour, "seen_cut": float(f"{seen.cut:.4g}"), "seen_from": seen.first_layer, "sized": seen.sized,
            "seen_to": -1 if seen.last_layer >= self.cloud.detector.layers - 1 else seen.last_layer, "camera": camera,
        }  # fmt: skip
        self._want(**{WATCHED[event.name]: values[WATCHED[event.name]] for event in events})

    def _chosen(self, event: Any) -> None:
        if not self._quiet and event.new in self._sample.options:
            self._want(sample=self._sample.options.index(event.new), shower=0)

    def _typed(self, event: Any) -> None:
        if isinstance(event.new, int) and event.new != self._now:
            self._want(shower=max(0, event.new), show="single")

    def _go(self, step: int) -> None:
        """Go to the next of the selected showers."""
        numbers = self._numbers
        if numbers is None or not len(numbers):
            return
        place = int(numbers.searchsorted(self._now)) + step
        self._want(shower=int(numbers[place % len(numbers)]), show="single")

    # --- what is shown

    def choices(self, labels: list[str], look: Look) -> None:
        """Offer these files, also those that are not read yet.

        What is chosen changes with the wish alone, not with what has come: a browser sends a choice that is replaced
        at once back as if the viewer had made it.
        """
        if not labels:
            return
        self._quiet = True
        if labels != self._sample.options:
            self._sample.options = labels
        self._sample.param.update(value=labels[min(look.sample, len(labels) - 1)], visible=len(labels) > 1)
        self._quiet = False

    def show(self, look: Look) -> None:
        """Show what is wished now."""
        self._quiet = True
        self.cloud.arrange(
            colour=look.colour, cut=look.seen_cut, first_layer=look.seen_from, last_layer=look.seen_to, sized=look.sized
        )
        if look.angles and tuple(self.cloud.camera) != look.angles:
            self.cloud.camera = list(look.angles)
        self._quiet = False

    def fill(self, results: Results, look: Look, words: str) -> None:
        """Draw the shower that is wished, when it has been read, or many.

        Raises
        ------
        OSError, ValueError, IndexError
            It cannot be read.
        """
        self.show(look)
        numbers = self._numbers = results.numbers
        if len(numbers):  # else the one that was there stays
            self._now = int(numbers[min(int(numbers.searchsorted(look.shower)), len(numbers) - 1)])
        if not self._wall:
            self._kind.value = look.show
            self._number.value = self._now
        path, operations = results.paths[results.sample], from_text(look.ops)
        single = look.show == "single"
        trial = self._trials.ask((path, self._now, look.ops), lambda: trial_of(path, self._now, operations))
        if trial is not None:
            self.trial = trial
        label = results.labels[results.sample] if len(results.labels) > 1 else ""
        detector = detector_of(results.shown)
        if single and trial is not None:
            stage = "" if trial.after is None else f" · {look.stage}"
            points = trial.points(look.stage)
            cell = trial.cell if look.stage == "after" and trial.cell else cell_of(results.shown)
            who = f"{particle(trial.pdg)} {trial.energy:.4g} GeV at {trial.theta:.1f}°"
            title = f"Shower {trial.number:,}: {who}{stage}{f' · {label}' if label else ''}"
            self._cloud((trial, look.stage, detector), points, title, detector)
            self._points((trial, look.stage, self.cloud.seen, detector), points, cell)
        elif not single:
            key = (path, id(results.shown))
            many = self._many.ask(key, lambda: many_of(path, numbers))
            if many is not None:
                self._cloud(
                    (many, detector), many.points, f"{many.showers:,} showers on top of each other{words}", detector
                )
            self._maps(results, detector)

    def _cloud(self, key: object, points: NDArray[Any], title: str, detector: Detector) -> None:
        if key != self._drawn:
            self._drawn = key
            self.cloud.draw(points, title=title, detector=detector)

    def _points(self, key: object, points: NDArray[Any], cell: float | None) -> None:
        """Project the points that the cloud shows."""
        if key == self._imaged:
            return
        self._imaged = key
        kept = points[self.cloud.seen.select(points)]
        left = f" of {len(points):,}" if len(kept) < len(points) else ""
        detector = self.cloud.detector
        self.projections.label("Energy (MeV)")
        self.projections.show_points(
            kept, cell=cell, title=f"{len(kept):,}{left} points, {1e3 * kept[:, 3].sum(dtype=float):,.4g} MeV",
            layers=detector.layers, ecal_layers=detector.ecal_layers,
        )  # fmt: skip

    def _maps(self, results: Results, detector: Detector) -> None:
        if results is self._imaged:  # not its data: == with a data set compares element by element
            return
        self._imaged = results
        self.projections.label("Energy / shower (MeV)")
        self.projections.show_maps(
            results.once("maps", lambda: maps_of(results.shown)), title=f"Mean of {int(results.shown['n_showers']):,} showers",
            layers=detector.layers, ecal_layers=detector.ecal_layers,
        )  # fmt: skip
