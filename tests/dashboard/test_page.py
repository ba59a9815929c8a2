"""The page is put together from the tabs that are found, lazily, and leaves nothing on the process-wide state."""

from __future__ import annotations

import inspect
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import panel as pn
import pytest
from panel_material_ui.template import Page

from dashboard import page as module
from dashboard.page import Shell, discover
from dashboard.plain import Plain
from detcore.core.source import Instrument, Match

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dashboard.runtime import Runtime

BUILT: list[tuple[str, dict[str, str], bool]] = []


class Tab:
    title = "Tab"
    name = "one"

    def __init__(self, session: Any, runtime: Any, query: Mapping[str, str], wall: bool) -> None:
        BUILT.append((self.name, dict(query), wall))
        self.query = dict(query)

    def view(self) -> Any:
        return pn.Column(name=f"view of {self.name}")

    def feeds(self) -> tuple[str, ...]:
        return ()

    def update(self, snapshots: Mapping[str, Any]) -> None: ...

    def state(self) -> dict[str, str]:
        return self.query


class Two(Tab):
    name = "two"


class Broken(Tab):
    def view(self) -> Any:
        msg = "<b>no</b>"
        raise ValueError(msg)


@pytest.fixture(autouse=True)
def _instruments(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    BUILT.clear()
    one = Instrument(
        name="one",
        title="First",
        probe=lambda _: Match("no", ""),
        open=lambda *_: None,  # type: ignore[arg-type,return-value]
        demo=lambda _: (),
        warm=lambda: None,
        commands=lambda: None,
        parameters=None,
        reduction=lambda *_: None,
    )
    runtime.instruments = {"one": one, "two": replace(one, name="two", title="Second")}
    monkeypatch.setattr(module, "get_runtime", lambda: runtime)
    discover.cache_clear()
    yield
    discover.cache_clear()


def shell(runtime: Runtime, kinds: dict[str, Any] | None = None, **arguments: str) -> Shell:
    given = {key: [value.encode()] for key, value in arguments.items()}
    return Shell(runtime, kinds or {"one": Tab, "two": Two}, given)


def test_only_the_first_tab_is_built_and_gets_the_query(runtime: Runtime) -> None:
    made = shell(runtime, scale="log")
    assert BUILT == [("one", {"scale": "log"}, False)]
    assert [place.name for place in made.places] == ["First", "Second"]
    made.tabs.active = 1
    assert BUILT[1:] == [("two", {}, False)]
    made.tabs.active = 0
    assert len(BUILT) == 2, "a tab is built once"
    assert made.session.link() == "?scale=log"
    made.tabs.active = 1
    assert made.session.link() == "?tab=two"


def test_the_link_chooses_tab_and_theme(runtime: Runtime) -> None:
    made = shell(runtime, tab="two", theme="dark", x="1")
    assert BUILT == [("two", {"x": "1"}, False)]
    assert made.page.dark_theme is True
    assert made.session.link() == "?tab=two&theme=dark&x=1"
    made.page.dark_theme = False
    assert made.session.link() == "?tab=two&x=1"
    assert made.session.dark is False


def test_wall(runtime: Runtime) -> None:
    made = shell(runtime, display="wall", tabs="two,one", rotate="30")
    assert BUILT == [("two", {}, True)]
    assert made.page.dark_theme is True
    assert made.page.theme_toggle is False
    assert made.strip.heading == "Second"
    made._rotate()
    assert made.strip.heading == "First"
    made._rotate()
    assert made.strip.heading == "Second"
    assert made.session.link() == "?display=wall&tabs=two,one&rotate=30"


def test_a_broken_tab_shows_its_reason_as_text(runtime: Runtime) -> None:
    made = shell(runtime, {"one": Broken, "two": Two})
    (shown,) = made.places[0]
    assert isinstance(shown, Plain)
    assert shown.text == "tab one: <b>no</b>"
    made.tabs.active = 1
    assert "two" in made.built


def test_no_tab_at_all_says_so(runtime: Runtime) -> None:
    made = Shell(runtime, {}, {})
    assert "No instrument" in made.page.main[0].text


def test_unusable_links_are_noticed(runtime: Runtime) -> None:
    made = shell(runtime, tab="three")
    assert [notice.text for notice in made.session._own] == ["no tab 'three'; there are one, two"]


def test_a_page_does_not_watch_the_process_wide_state(runtime: Runtime) -> None:
    before = len(module._global_watchers())
    shell(runtime)
    assert len(module._global_watchers()) == before
    bare = Page(title="bare")
    added = module._global_watchers()[before:]
    for watcher in added:
        pn.state.param.unwatch(watcher)
    assert bare.title == "bare"
    assert added, "pages no longer watch pn.state: drop the workaround"


def test_discovery_reports_what_it_cannot_import(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ModuleType("dashboard.tabs.one")
    found.__spec__ = pytest.__spec__
    found.Tab = Tab  # type: ignore[attr-defined]
    empty = ModuleType("dashboard.tabs.two")
    empty.__spec__ = pytest.__spec__
    monkeypatch.setitem(sys.modules, "dashboard.tabs.one", found)
    monkeypatch.setitem(sys.modules, "dashboard.tabs.two", empty)
    runtime.instruments["three"] = runtime.instruments["one"]  # an instrument without a tab is no tab, and no error
    assert discover() == {"one": Tab}
    assert [notice.text for notice in runtime.notices.lines()] == [
        "tab two: AttributeError: module 'dashboard.tabs.two' has no attribute 'Tab'"
    ]


def test_main_is_short_and_starts_nothing() -> None:
    lines = Path(inspect.getfile(module)).with_name("main.py").read_text().splitlines()
    assert len(lines) <= 15
    assert not any("thread" in line or "jit" in line for line in lines)
