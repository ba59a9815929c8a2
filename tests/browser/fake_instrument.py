"""An instrument and a tab of nothing but numbers, for tests of the shell; a plug-in of the server under test.

The fixture `plugin` puts it on the server's path, with its entry points. The feeds are made of thin air, as
fast, slow, broken or old as the link says: `?hz=2&steps=10&fail=1&old=300&live=1&junk=1`.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import panel as pn
import xarray as xr
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure

from dashboard import urlstate
from dashboard.feeds import FeedRequest, snapshots_of
from dashboard.files import FileBrowser
from dashboard.tabs import occupancy
from detcore.core.parameters import Parameters
from detcore.core.run import Snapshot
from detcore.core.source import Instrument, Match, Problem

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from dashboard.runtime import Runtime
    from dashboard.session import Session

NAMES = ("fake", "other")
HOSTILE = "<img src=x onerror=alert(1)>.root"


class FakeParameters(Parameters):
    hz: float = 2.0
    steps: int = 20
    live: bool = False
    fail: bool = False
    old: float = 0.0
    junk: bool = False
    broken: bool = False
    files: bool = False


def snapshots(request: FeedRequest, cancel: threading.Event, _: Callable[[str], None]) -> Iterator[Snapshot]:
    wanted: Any = request.parameters
    problems = (Problem(HOSTILE, "expected a ROOT file, found <b>nothing</b>"), Problem("b.root", "truncated"))
    number = 0
    while not cancel.wait(1 / wanted.hz):
        number += 1
        if wanted.fail and number == 3:
            msg = f"{HOSTILE}: the disc is on fire"
            raise OSError(msg)
        done = not wanted.live and number >= wanted.steps
        yield Snapshot(
            data=xr.Dataset({"hits": (("y", "x"), np.full((201, 56), number, np.int32))}),
            version=number,
            data_time=time.time() - wanted.old,
            wall_time=time.time(),
            fraction=None if wanted.live else number / wanted.steps,
            status="complete" if done else "running",
            problems=problems if wanted.junk else (),
            provenance={"inputs": {"a": {"rows": number}}},
        )
        if done:
            return


class Tab:
    title = "Fake"
    name = "fake"

    def __init__(self, session: Session, runtime: Runtime, query: Mapping[str, str], wall: bool) -> None:
        self.session = session
        runtime.feeds._snapshots = snapshots
        self.parameters, ignored = urlstate.parse(FakeParameters, query)
        for line in ignored:
            session.notify(line, "warning")
        if self.parameters.junk:
            session.notify(HOSTILE, "error")
        self.files = tuple(map(str, runtime.demo(self.name) or runtime.roots.paths[:1]))
        self.feeds_of, self.roots, self.home = runtime.feeds, runtime.roots, runtime.home
        self._open()
        self.source = ColumnDataSource({"image": [np.zeros((201, 56), np.uint8)], "number": [0]})
        self.more = pn.widgets.Button(name="More steps")
        self.more.on_click(self._more)

    def view(self) -> Any:
        if self.parameters.broken:
            msg = "no view today <b>really</b>"
            raise ValueError(msg)
        if self.parameters.files:
            return FileBrowser(
                self.roots, self._chosen, (".root",), self.home, sizing_mode="stretch_both", min_height=300
            )
        plot = figure(sizing_mode="stretch_both", min_height=200, name=f"plot-{self.name}")
        plot.image("image", source=self.source, x=0, y=0, dw=56, dh=201, palette="Viridis256")
        return pn.Column(self.more, pn.pane.Bokeh(plot, sizing_mode="stretch_both"), sizing_mode="stretch_both")

    def _open(self) -> None:
        wanted = self.parameters
        self.key = self.feeds_of.open(FeedRequest(self.name, self.files, wanted.live, wanted))

    def _chosen(self, paths: tuple[Path, ...], live: bool) -> None:
        self.session.notify(f"chosen {', '.join(path.name for path in paths)} live={live}", "warning")

    def _more(self, _: object) -> None:
        self.parameters = self.parameters.model_copy(update={"steps": self.parameters.steps + 5})
        self._open()
        self.session.refresh()

    def feeds(self) -> tuple[str, ...]:
        return (self.key,)

    def update(self, found: Mapping[str, Snapshot]) -> None:
        if self.key in found:
            number = int(found[self.key].data["hits"].values[0, 0])
            picture = np.full((201, 56), number % 256, np.uint8)
            picture[: number % 201] = 255
            self.source.data = {"image": [picture], "number": [number]}

    def state(self) -> dict[str, str]:
        return self.parameters.to_query()


class OtherTab(Tab):
    title = "Other"
    name = "other"


def _demo(folder: Path) -> tuple[Path, ...]:
    path = folder / "demo.fake"
    path.write_text("demo")
    return (path,)


def _instrument(name: str) -> Instrument:
    def nothing(*_: Any, **__: Any) -> Any:
        return None

    return Instrument(
        name=name,
        title=f"{name.title()} detector",
        probe=lambda _: Match("no", "never"),
        open=nothing,
        demo=_demo,
        warm=nothing,
        commands=nothing,
        parameters=FakeParameters,
        reduction=nothing,
    )


def growing(request: FeedRequest, cancel: threading.Event, waiting: Callable[[str], None]) -> Iterator[Snapshot]:
    """The counts of the files, growing twice a second for ever, as those of a live folder do."""
    *_, whole = snapshots_of(replace(request, live=False), cancel, waiting)
    counts = ("hits", "events_hit", "in_time_hits", "trend", "drift_time", "trigger_bits", "h4_pairs", "n_events")
    parts = {name: whole.data[name] for name in counts if name in whole.data}
    number = 0
    while not cancel.wait(0.5):
        number += 1
        yield replace(
            whole,
            data=whole.data.assign({name: values * number // 40 for name, values in parts.items()}),
            version=number,
            data_time=time.time(),
            wall_time=time.time(),
            fraction=None,
            status="running",
        )


class GrowingTab(occupancy.Tab):
    """The real tab of the occupancy, on a feed that grows."""

    def __init__(self, session: Session, runtime: Runtime, query: Mapping[str, str], wall: bool) -> None:
        runtime.feeds._snapshots = growing
        super().__init__(session, runtime, {**query, "live": "1"}, wall)


FAKE, OTHER, GROWING = map(_instrument, (*NAMES, "growing"))
for _name, _tab in zip((*NAMES, "growing"), (Tab, OtherTab, GrowingTab), strict=True):
    _module = ModuleType(f"dashboard.tabs.{_name}")
    _module.Tab = _tab  # type: ignore[attr-defined]
    _module.__spec__ = ModuleSpec(_module.__name__, None)
    sys.modules[_module.__name__] = _module
