"""The runtime: demo files are written once, broken instruments are reported, notices are bounded."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

import pytest

from dashboard import runtime as module
from dashboard.feeds import FeedStatus
from dashboard.runtime import LISTING, LOGGED, Notices, Runtime, write_demo
from dashboard.settings import Settings
from dashboard.strip import Strip
from detcore.core.source import Instrument, Match, Problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def instrument(name: str, demo: Callable[[Path], Any], warm: Callable[[], None] = lambda: None) -> Instrument:
    return Instrument(
        name=name,
        title=name.title(),
        probe=lambda _: Match("no", ""),
        open=lambda *_: None,  # type: ignore[arg-type,return-value]
        demo=demo,
        warm=warm,
        commands=lambda: None,
        parameters=None,
        reduction=lambda *_: None,
    )


def test_the_demo_is_written_once_for_this_user_only(tmp_path: Path) -> None:
    calls = []

    def demo(folder: Path) -> tuple[Path, ...]:
        calls.append(folder)
        (folder / "deep").mkdir()
        (folder / "deep" / "b.x").write_text("b")
        (folder / "a.x").write_text("a")
        (folder / ".marker").write_text("not data")
        return folder / "a.x", folder / "deep" / "b.x"

    first = write_demo(instrument("x", demo), tmp_path / "cache")
    again = write_demo(instrument("x", demo), tmp_path / "cache")
    assert first == again
    assert [path.name for path in first] == ["a.x", "b.x"]
    assert len(calls) == 1
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "cache" / "demo").stat().st_mode) == 0o700


def test_a_demo_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def demo(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_demo(instrument("x", demo), tmp_path / "cache")
    assert list((tmp_path / "cache" / "demo").iterdir()) == []


def test_two_servers_that_start_together_share_one_demo(tmp_path: Path) -> None:
    def demo(folder: Path) -> tuple[Path, ...]:
        (folder / "mine").write_text("mine")
        theirs = folder.parent / folder.name.removeprefix(".").rpartition(".")[0]
        theirs.mkdir()
        (theirs / "theirs").write_text("theirs")
        (theirs / LISTING).write_text('["theirs"]')
        return (folder / "mine",)

    files = write_demo(instrument("x", demo), tmp_path / "cache")
    assert [path.name for path in files] == ["theirs"]
    assert [path.name for path in files[0].parent.parent.iterdir()] == [files[0].parent.name]


def start(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, *found: Instrument, broken: tuple[Problem, ...] = ()
) -> Runtime:
    monkeypatch.setattr(module, "instruments", lambda: ({one.name: one for one in found}, broken))
    made = Runtime(settings)
    made.start()
    made.start()
    assert made.ready.wait(10)
    return made


def one_file(folder: Path) -> tuple[Path, ...]:
    (folder / "a.x").write_text("a")
    return (folder / "a.x",)


def test_without_roots_the_demo_is_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warmed = []
    good = instrument("good", one_file, lambda: warmed.append(True))
    made = start(monkeypatch, Settings(cache=tmp_path / "cache"), good)
    files = made.demo("good")
    assert files
    assert made.roots.resolve(files[0]) == files[0].resolve()
    assert warmed == [True]


def test_with_roots_no_demo_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = start(monkeypatch, Settings(roots=(tmp_path,), cache=tmp_path / "cache"), instrument("good", print))
    assert made.demo("good") is None
    assert not (tmp_path / "cache").exists()
    assert made.roots.paths == (tmp_path.resolve(),)


def test_files_are_looked_for_in_the_only_root_whatever_viewers_have_written(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "more").mkdir()
    (tmp_path / "cache" / "outputs").mkdir(parents=True)
    (tmp_path / "cache" / "outputs" / "a.yaml").write_text("")
    one = Runtime(Settings(roots=(tmp_path / "runs",), cache=tmp_path / "cache"))
    two = Runtime(Settings(roots=(tmp_path / "runs", tmp_path / "more"), cache=tmp_path / "cache"))
    demo = Runtime(Settings(cache=tmp_path / "cache"))
    assert [len(each.roots.paths) for each in (one, two, demo)] == [2, 3, 2]
    assert (one.home, two.home, demo.home) == ((tmp_path / "runs").resolve(), None, (tmp_path / "cache/demo").resolve())


def test_one_broken_instrument_is_a_notice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bad(folder: Path) -> None:
        msg = "no compiler"
        raise RuntimeError(msg)

    good = instrument("good", one_file)
    problem = Problem("plug-in gone", "ImportError: no module")
    made = start(monkeypatch, Settings(cache=tmp_path / "cache"), instrument("bad", bad), good, broken=(problem,))
    texts = [notice.text for notice in made.notices.lines()]
    assert texts == ["plug-in gone: ImportError: no module", "preparing bad: RuntimeError: no compiler"]
    assert made.demo("good")


def test_notices_are_bounded() -> None:
    notices = Notices()
    for number in range(LOGGED + 10):
        notices.add(f"{number}" + "x" * 5000)
    assert len(notices.lines()) == LOGGED
    assert notices.version == LOGGED + 10
    assert max(len(line.text) for line in notices.lines()) == 1000


def test_the_strip_describes(runtime: Runtime, tools: Any) -> None:
    strip = Strip(stale_s=5)
    strip.describe([], preparing=True)
    assert strip.status["word"].startswith("Preparing")
    strip.describe([])
    assert strip.status["word"] == "No data chosen"
    status = FeedStatus("a.x", live=True, state="running")
    strip.describe([(status, tools.snapshot(1, data_time=100.0))])
    assert (strip.status["word"], strip.status["level"], strip.status["data_time"]) == ("Live", "ok", 100.0)
    before = strip.status
    strip.describe([(status, tools.snapshot(2, data_time=100.0))])
    assert strip.status is before, "nothing new to say, so nothing is sent"
    failed = FeedStatus("a.x", live=False, state="failed", reason="no disc")
    strip.describe([(status, None), (failed, None)])
    assert (strip.status["level"], strip.status["reason"]) == ("failed", "no disc")


def test_only_our_commands_do_something() -> None:
    done = []
    strip = Strip({"cancel": lambda: done.append("cancel")})
    for message in ("cancel", "__init__", {"cancel": 1}, None, ["cancel"]):
        strip._handle_msg(message)
    assert done == ["cancel"]
