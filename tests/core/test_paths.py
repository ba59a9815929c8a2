"""Outputs appear whole or not at all; paths from outside stay inside the roots."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detcore.core.paths import Roots, atomic


def names(folder):
    return [place.name for place in folder.iterdir()]


def fail(target, error):
    with atomic(target) as aside:
        aside.write_text("half")
        raise error


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "a.csv"
    target.write_text("old")
    with atomic(target) as aside:
        assert aside.parent == tmp_path
        assert aside.suffix == ".csv"
        assert aside != target
        aside.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert names(tmp_path) == ["a.csv"]


@pytest.mark.parametrize("old", [None, "old"])
def test_a_failure_leaves_everything_as_it_was(tmp_path, old):
    target = tmp_path / "a.csv"
    if old:
        target.write_text(old)
    with pytest.raises(ZeroDivisionError):
        fail(target, ZeroDivisionError)
    assert names(tmp_path) == (["a.csv"] if old else [])
    assert not old or target.read_text() == old


def test_nothing_written_is_an_error_and_not_an_empty_file(tmp_path):
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "a.csv"):
        pass
    assert names(tmp_path) == []


def test_where_nothing_can_be_written_the_file_is_named_and_not_the_one_aside(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    for target, error, message in (
        (tmp_path / "file" / "a.h5", NotADirectoryError, r"file is no folder: '.*/file/a\.h5'"),
        (tmp_path / "file" / "deep" / "a.h5", NotADirectoryError, r"Not a directory: '.*/file/deep/a\.h5'"),
        (tmp_path / "folder", IsADirectoryError, "is a folder; name a file: '.*/folder'"),
        (tmp_path / ("n" * 300), OSError, "File name too long: '.*/nnn"),
    ):
        with pytest.raises(error, match=message), atomic(target) as aside:
            aside.write_text("never")

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "touch", refuse)  # root may write everywhere
    with (
        pytest.raises(PermissionError, match=r"Permission denied: '.*/folder/a\.h5'"),
        atomic(tmp_path / "folder/a.h5"),
    ):
        pytest.fail("no work for a file that cannot be written")
    assert (tmp_path / "file").read_text() == "kept"
    assert names(tmp_path / "folder") == []


def test_an_interrupt_counts_as_a_failure(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path / "a.csv", KeyboardInterrupt)
    assert names(tmp_path) == []


def test_folders_are_made(tmp_path):
    with atomic(tmp_path / "a" / "b" / "c.txt") as aside:
        aside.write_text("x")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "x"


@pytest.mark.parametrize(
    "name", ["x" * 251 + ".csv", "ö" * 120 + ".csv", "\U0001f30d" * 62 + ".csv", ".hidden", "no suffix"]
)
def test_names_as_long_as_the_system_allows(tmp_path, name):
    with atomic(tmp_path / name) as aside:
        aside.write_text("x")
    assert names(tmp_path) == [name]


def test_several_writers_of_one_file(tmp_path):
    target = tmp_path / "a.txt"

    def write(text):
        for _ in range(30):
            with atomic(target) as aside:
                aside.write_text(text * 1000)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if target.exists():
            content = target.read_text()
            assert len(content) == 1000
            assert len(set(content)) == 1
    assert names(tmp_path) == ["a.txt"]


# ---- roots


@pytest.fixture
def tree(tmp_path):
    for name in ("exp1", "exp10", "secret"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.root").write_text(name)
    return tmp_path


@pytest.fixture
def roots(tree):
    return Roots.of([tree / "exp1"])


def test_inside_is_allowed(tree, roots):
    place = tree.resolve() / "exp1" / "a.root"
    assert roots.resolve(tree / "exp1" / "a.root") == place
    assert roots.resolve("a.root") == place
    assert roots.resolve("x/../a.root") == place
    assert roots.resolve(tree / "exp1") == place.parent
    assert roots.resolve("not there yet") == place.parent / "not there yet"


@pytest.mark.parametrize(
    "path", ["../secret/a.root", "../exp10/a.root", "/etc/passwd", "..", "/", "x/../../secret", "a.root/../../exp10"]
)
def test_outside_is_refused_and_the_message_helps(roots, path):
    with pytest.raises(PermissionError, match=r"outside the data roots .*exp1.*--root"):
        roots.resolve(path)


def test_a_root_is_not_a_prefix(tree, roots):
    """exp10 begins with exp1 and is another experiment."""
    with pytest.raises(PermissionError):
        roots.resolve(tree / "exp10" / "a.root")


def test_links_that_lead_out_are_refused_and_those_that_stay_are_not(tree, roots):
    (tree / "exp1" / "out").symlink_to(tree / "secret")
    (tree / "exp1" / "deep").symlink_to("out")
    (tree / "exp1" / "in").symlink_to(tree / "exp1" / "a.root")
    for path in ("out", "out/a.root", "deep/a.root"):
        with pytest.raises(PermissionError):
            roots.resolve(path)
    assert roots.resolve("in").name == "a.root"


def test_a_root_may_itself_be_a_link(tree):
    (tree / "link").symlink_to(tree / "exp1")
    assert Roots.of([tree / "link"]).resolve(tree / "link" / "a.root") == tree.resolve() / "exp1" / "a.root"


def test_links_in_a_circle_are_refused(tree, roots):
    (tree / "exp1" / "loop").symlink_to(tree / "exp1" / "loop")
    with pytest.raises(PermissionError):
        roots.resolve("loop/a.root")


@pytest.mark.parametrize("path", ["a\0.root", "\0", "../\0"])
def test_null_bytes_are_refused(roots, path):
    with pytest.raises(PermissionError, match="null byte"):
        roots.resolve(path)


def test_no_roots_no_files(tree):
    with pytest.raises(PermissionError, match="none configured"):
        Roots(()).resolve(tree / "exp1" / "a.root")


def test_the_second_root_counts_too(tree):
    both = Roots.of([tree / "exp1", tree / "exp10"])
    assert both.resolve(tree / "exp10" / "a.root").read_text() == "exp10"
    assert both.resolve("a.root").read_text() == "exp1"  # relative: to the first


@given(text=st.text(st.sampled_from("ab./~\\\0é%2e"), max_size=30))
def test_whatever_is_asked_nothing_outside_is_given(own_folder, text):
    try:
        place = Roots.of([own_folder]).resolve(text)
    except PermissionError:
        return
    assert os.path.commonpath([os.path.realpath(own_folder), os.path.realpath(place)]) == os.path.realpath(own_folder)
