"""The file browser stays inside the roots whatever is on the disc and whatever a page sends."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dashboard.files import FileBrowser, listing
from detcore.core.paths import Roots


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two roots whose names begin alike, and something secret beside them."""
    for name in ("exp1/run", "exp10", "secret"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("exp1/b10.root", "exp1/b9.root", "exp1/note.txt", "exp1/.hidden.root", "exp1/run/c.root"):
        (tmp_path / name).write_text("x" * 5)
    (tmp_path / "secret/s.root").write_text("secret")
    (tmp_path / "exp1/out").symlink_to(tmp_path / "secret")
    (tmp_path / "exp1/in").symlink_to(tmp_path / "exp1/run")
    return tmp_path


def names(found: Any) -> list[str]:
    return [entry.path.name for entry in found.entries]


def test_folders_then_files_in_natural_order(tree: Path) -> None:
    roots = Roots.of([tree / "exp1"])
    assert names(listing(roots, tree / "exp1", (".root",))) == ["in", "run", "b9.root", "b10.root"]
    assert names(listing(roots, tree / "exp1"))[-1] == "note.txt"
    entry = listing(roots, tree / "exp1", (".root",)).entries[2]
    assert entry.size == 5
    assert entry.time == pytest.approx((tree / "exp1/b9.root").stat().st_mtime)


@pytest.mark.parametrize("place", ["secret", "exp10", "exp1/../secret", "exp1/out", "."])
def test_nothing_outside_is_listed(tree: Path, place: str) -> None:
    with pytest.raises(PermissionError, match="outside the data roots"):
        listing(Roots.of([tree / "exp1"]), tree / place)


def test_a_long_folder_is_cut_and_says_so(tree: Path) -> None:
    found = listing(Roots.of([tree / "exp1"]), tree / "exp1", limit=2)
    assert len(found.entries) == 2
    assert found.message.startswith("3 more entries")


def test_an_unreadable_or_vanished_folder_says_why(tree: Path) -> None:
    roots = Roots.of([tree / "exp1"])
    assert "cannot be listed: No such file" in listing(roots, tree / "exp1/gone").message
    assert "cannot be listed: Not a directory" in listing(roots, tree / "exp1/b9.root").message


def browser(tree: Path, *roots: str) -> tuple[FileBrowser, list[tuple[tuple[Path, ...], bool]]]:
    chosen: list[tuple[tuple[Path, ...], bool]] = []
    made = FileBrowser(
        Roots.of(tree / root for root in roots), lambda paths, live: chosen.append((paths, live)), (".root",)
    )
    return made, chosen


def say(made: FileBrowser, **message: Any) -> None:
    made._handle_msg({"number": made.shown["number"]} | message)


def shown(made: FileBrowser) -> list[str]:
    return [entry[0] for entry in made.shown["entries"]]


def test_going_down_and_up(tree: Path) -> None:
    made, chosen = browser(tree, "exp1", "exp10")
    assert shown(made) == [str(tree / "exp1"), str(tree / "exp10")]
    say(made, do="go", to=0)
    assert made.shown["crumbs"] == ["exp1"]
    say(made, do="go", to=1)
    assert made.shown["crumbs"] == ["exp1", "run"]
    assert shown(made) == ["c.root"]
    say(made, do="choose", which=[0], live=False)
    say(made, do="choose", which=[], live=True)
    assert chosen == [((tree / "exp1/run/c.root",), False), ((tree / "exp1/run",), True)]
    say(made, do="up", to=0)
    assert made.shown["crumbs"] == ["exp1"]
    say(made, do="up", to=-1)
    assert len(shown(made)) == 2


@pytest.mark.parametrize(
    "message",
    [
        "boo",
        None,
        {"do": "go", "to": "../../etc"},
        {"do": "go", "to": 99},
        {"do": "go", "to": -1},
        {"do": "up", "to": 7},
        {"do": "up", "to": -1},
        {"do": "choose", "which": ["/etc/passwd", -1, 99, None], "live": False, "number": 10**9},
        {"do": "choose", "which": "0", "live": False},
        {"do": "remove", "to": 0},
    ],
)
def test_a_page_may_send_anything(tree: Path, message: Any) -> None:
    made, chosen = browser(tree, "exp1")
    before = made.shown
    made._handle_msg({"number": before["number"]} | message if isinstance(message, dict) else message)
    assert made.shown == before
    assert chosen == []


def test_names_that_are_not_numbers_in_a_choice_are_dropped(tree: Path) -> None:
    made, chosen = browser(tree, "exp1")
    say(made, do="choose", which=["/etc/passwd", -1, 99, 3], live=False)
    assert chosen == [((tree / "exp1/b10.root",), False)]


def test_a_choice_is_checked_again_when_it_is_made(tree: Path) -> None:
    made, chosen = browser(tree, "exp1")
    (tree / "exp1/b9.root").unlink()
    (tree / "exp1/b9.root").symlink_to(tree / "secret/s.root")
    say(made, do="choose", which=[2], live=False)
    assert chosen == []
    assert "outside the data roots" in made.shown["message"]


def test_an_old_list_is_not_an_answer(tree: Path) -> None:
    made, _ = browser(tree, "exp1")
    old = made.shown["number"]
    say(made, do="go", to=1)
    made._handle_msg({"number": old, "do": "up", "to": 0})
    assert made.shown["crumbs"] == ["exp1", "run"]


def test_a_name_that_is_not_text_can_be_chosen(tree: Path) -> None:
    odd = os.fsdecode(os.fsencode(tree / "exp1/run") + b"/\xff\xfe.root")
    Path(odd).write_text("x")
    made, chosen = browser(tree, "exp1")
    say(made, do="go", to=1)
    assert shown(made) == ["c.root", "??.root"]
    say(made, do="choose", which=[1], live=False)
    assert chosen == [((Path(odd),), False)]


def test_it_begins_where_it_is_told_and_other_roots_are_one_step_up(tree: Path) -> None:
    made = FileBrowser(Roots.of([tree / "exp1", tree / "exp10"]), lambda *_: None, (".root",), tree / "exp1" / "run")
    assert shown(made) == ["c.root"]
    assert made.shown["crumbs"] == ["exp1", "run"]
    say(made, do="up", to=-1)
    assert shown(made) == [str(tree / "exp1"), str(tree / "exp10")]


def test_a_start_that_is_not_inside_shows_nothing(tree: Path) -> None:
    made = FileBrowser(Roots.of([tree / "exp1"]), lambda *_: None, (".root",), tree / "secret")
    assert shown(made) == []
    assert "outside the data roots" in made.shown["message"]


def test_looking_again_shows_new_files_and_new_roots(tree: Path) -> None:
    made, _ = browser(tree, "exp1")
    (tree / "exp1" / "new.root").write_text("")
    made.look_again(Roots.of([tree / "exp1", tree / "exp10"]))
    assert "new.root" in shown(made)
    say(made, do="up", to=-1)
    assert shown(made) == [str(tree / "exp1"), str(tree / "exp10")]
