"""The page: header with the status strip, one lazy tab per instrument, theme switch, wall display."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import panel as pn
from panel.io.resources import LOCAL_DIST
from panel_material_ui.template import Page

from dashboard import urlstate
from dashboard.plain import Plain
from dashboard.runtime import get_runtime
from dashboard.session import Session
from dashboard.settings import asset
from dashboard.strip import Strip
from detcore.core.source import Problem

if TYPE_CHECKING:
    from param.parameterized import Event

    from dashboard.runtime import Runtime
    from dashboard.session import Tab

THEME = {
    "light": {
        "palette": {
            "primary": {"main": "#0b6bcb"},
            "background": {"default": "#f4f6f8", "paper": "#ffffff"},
        }
    },
    "dark": {
        "palette": {
            "primary": {"main": "#5ab0ff"},
            "background": {"default": "#0b1117", "paper": "#111a22"},
        }
    },
}
# Of the tabs, behind those that somebody installed on purpose; links without a name mean the first.
ORDER = ("occupancy", "showers", "dl1", "area", "eiger")
LOOK = {
    "& .MuiAppBar-root": {
        "backgroundColor": "#10202f",
        "backgroundImage": "none",
        "color": "#fff",
        "boxShadow": "none",
    },
    "& .MuiToolbar-root": {
        "fontSize": "var(--dc-text)",
        "minHeight": "calc(2.9em + 15px) !important",
        "padding": "0 16px !important",
        "gap": "4px",
    },
    # else a long strip pushes the switch of the theme over the edge
    "& .MuiAppBar-root .MuiToolbar-root > .MuiBox-root": {"minWidth": 0},
    "& .MuiAppBar-root .title": {"fontSize": "1.3em", "fontWeight": 700, "letterSpacing": "0.01em"},
    "& .MuiAppBar-root .logo": {"height": "2.15em", "width": "2.15em"},
    "& .MuiAppBar-root .MuiLinearProgress-root": {"display": "none"},
    "& .main-content": {"padding": "0 !important"},
}
LOOK_WALL = LOOK | {
    "& .MuiAppBar-root, & .main > .MuiBox-root > .MuiToolbar-root": {"display": "none"},
}


def build() -> Page:
    """Build the page of the viewer whose request is being answered."""
    runtime = get_runtime()
    runtime.start()
    pn.extension("tabulator")
    if pn.state.curdoc:
        # Panel says where its styles are when it writes the HTML. A page that took long to load finds its session
        # gone and is given a new one without HTML, whose styles would come from the Internet.
        where = f"{pn.state.rel_path}/{LOCAL_DIST}" if pn.state.rel_path else LOCAL_DIST
        pn.state.curdoc.template_variables.setdefault("dist_url", where)
    return Shell(runtime, discover(), pn.state.session_args or {}).page


@cache
def discover() -> dict[str, type[Tab]]:
    """Return the tabs whose instrument is installed; one that cannot be imported is reported, not fatal."""
    runtime, found = get_runtime(), {}
    added = [name for name in runtime.instruments if name not in ORDER]
    for name in (*added, *(name for name in ORDER if name in runtime.instruments)):
        module = f"dashboard.tabs.{name}"
        try:
            if find_spec(module) is not None:
                found[name] = import_module(module).Tab
        except Exception as error:  # noqa: BLE001 - a broken tab must not take the page along
            runtime.notices.add(str(Problem.of(f"tab {name}", error)), "error")
    return found


class Shell:
    """Holds one viewer's page together.

    Parameters
    ----------
    runtime
        Of this process.
    kinds
        Class of each tab by name, in order.
    arguments
        Of the request, as Bokeh gives them.
    """

    def __init__(self, runtime: Runtime, kinds: dict[str, type[Tab]], arguments: dict[str, list[bytes]]) -> None:
        self.runtime, self.kinds = runtime, kinds
        self.link = urlstate.read(arguments, tuple(kinds))
        wall = self.link.wall
        self.names = list((wall and self.link.tabs) or kinds)
        self.built: dict[str, Tab] = {}
        self.strip = Strip(
            {"cancel": self._cancel, "restart": self._restart},
            wall=wall,
            stale_s=runtime.settings.stale_s,
            instance=runtime.instance,
            sizing_mode="stretch_width",
        )
        self.session = Session(runtime, pn.state.curdoc, self.strip, wall=wall)
        self.session.dark = wall or self.link.dark
        self.session.link = self._query
        for line in self.link.ignored:
            self.session.notify(line, "warning")
        self.places = [self._place(name) for name in self.names]
        self.start = self.names.index(self.link.tab) if self.link.tab in self.names else 0
        self.tabs = pn.Tabs(
            *self.places,
            dynamic=True,
            active=self.start,
            sizing_mode="stretch_both",
            margin=0,
            css_classes=["dc-tabs", *(["dc-wall"] if wall else [])],
            stylesheets=[asset("tabs.css").read_text()],
        )
        self.page = self._page()
        self._show(self.start)
        self.tabs.param.watch(lambda event: self._show(event.new), "active")
        pn.state.onload(self.session.start)
        if pn.state.curdoc:
            pn.state.on_session_destroyed(self.session.destroyed)
        if wall and self.link.rotate and len(self.names) > 1:
            pn.state.add_periodic_callback(self._rotate, period=round(self.link.rotate * 1000))

    def _page(self) -> Page:
        wall = self.link.wall
        before = {id(watcher) for watcher in _global_watchers()}
        page = Page(
            title="detcore",
            meta_description="Live workbench for detector data",
            logo=asset("logo.svg"),
            favicon=asset("icon.svg"),
            site_url="./",
            dark_theme=self.session.dark,
            theme_toggle=not wall,
            theme_config=THEME,
            busy_indicator=None,
            raw_css=[asset("style.css").read_text()],
            sx=LOOK_WALL if wall else LOOK,
            header=[] if wall else [self.strip],
            main=[self.strip, self._content()] if wall else [self._content()],
        )
        # The page watches whether the process is busy. That would keep it and its document alive for ever, and makes
        # Panel walk over all models of the page twice at every click, for an indicator that is not shown.
        for watcher in _global_watchers():
            if id(watcher) not in before:
                pn.state.param.unwatch(watcher)
        page.param.watch(self._theme, "dark_theme")
        return page

    def _content(self) -> Any:
        if self.names:
            return self.tabs
        words = "No instrument with a tab is installed. The log, above, says which plug-ins could not be loaded."
        return Plain(words, margin=24)

    def _place(self, name: str) -> pn.Column:
        # The padding is where the frame of a broken feed is drawn.
        return pn.Column(
            name=self.runtime.instruments[name].title,
            sizing_mode="stretch_both",
            margin=0,
            styles={"padding": "clamp(8px, 0.6vw, 20px)", "box-sizing": "border-box"},
        )

    def _show(self, index: int) -> None:
        if not self.names:
            return
        name, place = self.names[index], self.places[index]
        if name not in self.built:
            query = dict(self.link.query) if index == self.start else {}
            try:
                tab = self.kinds[name](self.session, self.runtime, query, wall=self.link.wall)
                place.append(tab.view())
                self.built[name] = tab
            except Exception as error:  # noqa: BLE001 - one broken tab must not take the others along
                text = str(Problem.of(f"tab {name}", error))
                place[:] = [Plain(text, margin=24)]
                self.session.notify(text, "error")
        if self.link.wall:
            self.strip.heading = place.name
        self.link = replace(self.link, tab=name if index and not self.link.wall else "")
        self.session.show(self.built.get(name))

    def _query(self) -> str:
        tab = self.session.tab
        return urlstate.write(self.link, tab.state() if tab else {})

    def _theme(self, event: Event) -> None:
        self.session.dark = bool(event.new)
        self.link = replace(self.link, dark=self.session.dark and not self.link.wall)
        self.session.refresh()

    def _rotate(self) -> None:
        self.tabs.active = (self.tabs.active + 1) % len(self.names)

    def _cancel(self) -> None:
        for key in self.session.tab.feeds() if self.session.tab else ():
            self.runtime.feeds.cancel(key)

    def _restart(self) -> None:
        for key in self.session.tab.feeds() if self.session.tab else ():
            self.runtime.feeds.restart(key)
        self.session.refresh()


def _global_watchers() -> list[Any]:
    return [watcher for kinds in pn.state.param.watchers.values() for found in kinds.values() for watcher in found]
