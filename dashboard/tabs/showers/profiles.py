"""Profiles along and across the shower, and the distributions of observables: of several files, with ratios."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import panel as pn
import panel_material_ui as pmui
from typing_extensions import override

from dashboard.tabs.parts import COMPACT, column
from dashboard.tabs.showers.panels import Panel, name_of
from dashboard.views.overlay import Overlay, Sample
from detcore import showers

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dashboard.tabs.showers.look import Look
    from dashboard.tabs.showers.results import Results, Trial

MEV = 1e3  # per GeV
ENERGY, HITS = "Energy / shower (MeV)", "Hits / shower"
VISIBLE = 1e-3  # of the highest value: what is lower at the far end of a profile is not shown at first


class Profiles(Panel):
    """Mean energy or hits of each layer, and mean energy of each ring.

    Parameters
    ----------
    want
        Called with changed fields of `Look`.
    wall
        For a wall display.
    """

    def __init__(self, want: Callable[..., None], *, wall: bool = False) -> None:
        self.along = named(Overlay("Layer", ENERGY, wall=wall), "layers")
        self.across = named(Overlay("Distance from the axis (mm)", ENERGY, log_y=True, wall=wall), "radius")
        self._what = pmui.RadioButtonGroup(options={"Energy": "energy", "Hits": "hits"}, value="energy", **COMPACT)
        self._what.param.watch(lambda event: want(profile=event.new), "value")
        self._shown: object = None
        plots = pn.Row(column(self.along.view), column(self.across.view), sizing_mode="stretch_both", margin=0)
        self.view = pn.Column(*([] if wall else [self._what]), plots, sizing_mode="stretch_both", margin=0)

    @override
    def show(self, look: Look, cuts: showers.Cuts) -> None:
        self._what.value = look.profile

    @override
    def fill(self, results: Results, trial: Trial | None, look: Look, words: str) -> None:
        if (results, look.profile) == self._shown:
            return
        self._shown = (results, look.profile)
        hits = look.profile == "hits"
        key, scale = ("hits_per_layer", 1.0) if hits else ("energy_per_layer", MEV)
        layers = max(one.sizes["layer"] for one in results.data)
        found = samples_of(results, key, scale, layers)
        deep = reach(found)
        self.along.show(
            np.arange(deep + 1) - 0.5,
            cut_to(found, deep),
            title=f"Along the shower{words}",
            y_label=HITS if hits else ENERGY,
        )
        edges = results.data[0]["radius_edge"].values
        found = samples_of(results, "energy_per_radius", MEV, len(edges) - 1)
        wide = reach(found)
        self.across.show(edges[: wide + 1], cut_to(found, wide), title="Across the shower")


def named(overlay: Overlay, name: str) -> Overlay:
    """Give the figures of an overlay names by which they are found on the page."""
    overlay.figure.name, overlay.ratio.name = f"showers-{name}", f"showers-{name}-ratio"
    return overlay


def samples_of(results: Results, key: str, scale: float, size: int) -> list[Sample]:
    """Return a profile of each file, all of the same length."""

    def padded(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([scale * values[:size], np.full(max(size - len(values), 0), np.nan)])

    return [
        Sample(label, padded(one[key].values), padded(one[f"{key}_error"].values))
        for label, one in zip(results.labels, results.data, strict=True)
    ]


def reach(found: list[Sample]) -> int:
    """Return how many bins hold what can be seen of profiles."""
    stacked = np.nan_to_num(np.array([one.values for one in found]))
    seen = np.flatnonzero((stacked > VISIBLE * stacked.max(initial=0.0)).any(axis=0))
    return int(seen[-1]) + 1 if seen.size else stacked.shape[1]


def cut_to(found: list[Sample], size: int) -> list[Sample]:
    """Return the first bins of samples."""
    return [Sample(one.label, np.asarray(one.values)[:size], np.asarray(one.errors)[:size]) for one in found]


class Observables(Panel):
    """The distribution of one observable of each file.

    Parameters
    ----------
    want
        Called with changed fields of `Look`.
    wall
        For a wall display.
    """

    def __init__(self, want: Callable[..., None], *, wall: bool = False) -> None:
        self.plot = named(Overlay("", "", wall=wall), "observable")
        self._which = pmui.Select(
            options={name_of(name): name for name in showers.OBSERVABLES}, value="energy_ratio", width=260, size="small",
            margin=(4, 4), label="Observable",
        )  # fmt: skip
        self._which.param.watch(lambda event: want(observable=event.new), "value")
        self._area = pmui.RadioButtonGroup(options={"Share": True, "Showers": False}, value=True, **COMPACT)
        self._area.param.watch(lambda event: want(area=bool(event.new)), "value")
        self._shown: object = None
        bar = pn.FlexBox(self._which, self._area, sizing_mode="stretch_width", margin=0, align_items="center")
        self.view = pn.Column(*([] if wall else [bar]), self.plot.view, sizing_mode="stretch_both", margin=0)

    @override
    def show(self, look: Look, cuts: showers.Cuts) -> None:
        self._which.value = look.observable if look.observable in showers.OBSERVABLES else "energy_ratio"
        self._area.value = look.area

    @override
    def fill(self, results: Results, trial: Trial | None, look: Look, words: str) -> None:
        if "overlay" not in results.panel or (results, look.area) == self._shown:
            return
        self._shown = (results, look.area)
        found = results.panel["overlay"]
        counts, density = found["counts"].values, look.area
        values = found["density"].values if density else counts.astype(float)
        errors = found["density_error"].values if density else np.sqrt(counts)
        samples = [Sample(*one) for one in zip(results.labels, values, errors, strict=True)]
        name, unit = showers.OBSERVABLES[found.attrs["observable"]]
        ratios = list(zip(found["ratio"].values, found["ratio_error"].values, strict=True)) if density else None
        lost = int(found["below"].sum() + found["above"].sum())
        outside = f" · {lost:,} outside" if lost else ""
        self.plot.show(
            found["edge"].values, samples, title=f"{name}{outside}{words}", x_label=name_of(found.attrs["observable"]),
            y_label=(f"Density (1 / {unit})" if unit else "Density") if density else "Showers", ratios=ratios,
        )  # fmt: skip
