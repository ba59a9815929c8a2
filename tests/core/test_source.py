"""Recognition by content, natural order, folders."""

from __future__ import annotations

import os
import pickle

import pytest

from detcore.core import source
from detcore.core.source import (
    AmbiguousFormat,
    ChunkRef,
    Instrument,
    Match,
    Problem,
    UnknownFormat,
    natural,
    open_source,
    walk,
)


def instrument(name, degree, reason="because"):
    def probe(path):
        if degree == "broken":
            msg = "libmagic is missing"
            raise RuntimeError(msg)
        return Match(degree, reason) if not path.endswith(".txt") else Match("no", "text")

    return Instrument(
        name=name,
        title=name.title(),
        probe=probe,
        open=lambda paths, **options: (name, paths, options),
        demo=lambda folder: [],
        warm=lambda: None,
        commands=lambda: None,
        parameters=None,
        reduction=None,
    )


class Entry:
    """An entry point of an installed plug-in."""

    def __init__(self, loaded):
        self.name = loaded.name if isinstance(loaded, Instrument) else "damaged"
        self.value = "somewhere:INSTRUMENT"
        self.loaded = loaded

    def load(self):
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


@pytest.fixture
def installed(monkeypatch):
    def install(*found):
        monkeypatch.setattr(source, "entry_points", lambda group: [Entry(one) for one in found])
        source.instruments.cache_clear()

    yield install
    monkeypatch.undo()
    source.instruments.cache_clear()


@pytest.fixture
def path(tmp_path):
    place = tmp_path / "data.bin"
    place.write_bytes(b"x")
    return str(place)


def test_the_one_that_fits_opens_it(installed, path):
    installed(instrument("a", "no"), instrument("b", "exact"))
    assert open_source(path, table="t.csv") == ("b", [path], {"table": "t.csv"})


def test_exact_wins_over_generic(installed, path):
    installed(instrument("a", "generic"), instrument("b", "exact"), instrument("c", "generic"))
    assert open_source(path)[0] == "b"
    installed(instrument("a", "generic"), instrument("b", "no"))
    assert open_source(path)[0] == "a"


@pytest.mark.parametrize("degree", ["exact", "generic"])
def test_equals_must_be_told_apart_by_the_user(installed, path, degree):
    installed(instrument("a", degree), instrument("b", degree), instrument("c", "no"))
    with pytest.raises(AmbiguousFormat, match=r"fits a and b; say which with instrument='a'"):
        open_source(path)
    assert open_source(path, instrument="b")[0] == "b"
    assert open_source(path, "c")[0] == "c"  # the user decides, whatever the content


def test_nothing_fits_and_every_reason_is_listed(installed, path):
    installed(instrument("a", "no", "not an HDF5 file"), instrument("b", "no", "no tree"), ImportError("no module x"))
    with pytest.raises(UnknownFormat) as caught:
        open_source(path)
    words = str(caught.value)
    for part in (path, "a: not an HDF5 file", "b: no tree", "plug-in damaged: ImportError: no module x"):
        assert part in words


def test_a_broken_plug_in_does_not_stop_the_others(installed, path):
    installed(ImportError("no module x"), instrument("a", "broken"), instrument("b", "exact"))
    assert open_source(path)[0] == "b"
    found, broken = source.instruments()
    assert list(found) == ["a", "b"]
    assert [str(one) for one in broken] == ["plug-in damaged: ImportError: no module x"]
    installed(instrument("a", "broken"))
    with pytest.raises(UnknownFormat, match="a: its probe failed with RuntimeError: libmagic is missing"):
        open_source(path)


def test_a_plug_in_that_is_something_else_is_reported(installed, path):
    installed(instrument("a", "exact"))
    source.entry_points = lambda group, old=source.entry_points: [*old(group), Entry(42)]  # undone by the fixture
    source.instruments.cache_clear()
    _, broken = source.instruments()
    assert "is a int; expected a detcore.core.source.Instrument" in str(broken[0])


def test_one_unknown_file_among_many_does_not_decide(installed, path, tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    installed(instrument("a", "exact"))
    paths = [str(tmp_path / "notes.txt"), path]
    assert open_source(paths) == ("a", paths, {})
    with pytest.raises(UnknownFormat, match=r"notes\.txt: no instrument recognises it\. Tried a: text"):
        open_source(paths[:1])


def test_names_that_are_not_there(installed, path, tmp_path):
    installed(instrument("a", "exact"))
    with pytest.raises(FileNotFoundError, match="gone"):
        open_source(tmp_path / "gone")
    with pytest.raises(UnknownFormat, match="no instrument 'b'; installed: a"):
        open_source(path, instrument="b")
    with pytest.raises(UnknownFormat, match="name a file"):
        open_source([])
    installed()
    with pytest.raises(UnknownFormat, match="no instrument is installed"):
        open_source(path)


def test_the_installed_instruments_are_found():
    found, broken = source.instruments()
    assert {"eiger", "occupancy"} <= set(found)
    assert not broken
    for name, one in found.items():
        assert one.name == name


# ---- names and folders


def test_natural_order():
    names = ["run_10.root", "run_9.root", "run_9b.root", "a10b2", "a10b10", "a9", "9", "10"]
    assert sorted(names, key=natural) == [
        "9",
        "10",
        "a9",
        "a10b2",
        "a10b10",
        "run_9.root",
        "run_9b.root",
        "run_10.root",
    ]


@pytest.mark.parametrize("name", ["", "²", "1²3", "①", "٣", "run_½", "\udcff", "9" * 200])
def test_any_name_can_be_sorted(name):
    assert natural(name) == natural(name)
    sorted([name, "1", "a", "1a"], key=natural)


def test_a_folder_is_walked_in_natural_order(tmp_path):
    for name in ("b/run_10.root", "b/run_9.root", "a/x.root", "top.root", "b/notes.txt", ".hidden/y.root", "a/.z.root"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "folder.root").mkdir()
    (tmp_path / "a" / "circle").symlink_to(tmp_path)
    found = [os.path.relpath(path, tmp_path) for path in walk(str(tmp_path), (".root",))]
    assert found == ["a/x.root", "b/run_9.root", "b/run_10.root", "top.root"]


def test_a_folder_that_cannot_be_listed_is_not_passed_over(tmp_path, monkeypatch):
    for name in ("open", "closed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.root").touch()
    lists = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return lists(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert [os.path.relpath(path, tmp_path) for path in walk(str(tmp_path), (".root",))] == ["closed", "open/x.root"]


# ---- small values


def test_references_compare_by_what_they_point_to():
    one, two = ChunkRef("k", "p", 0, 5, "f", 1.0, time=1.0), ChunkRef("k", "p", 0, 5, "f", 1.0, time=2.0)
    assert one == two
    assert hash(one) == hash(two)
    assert one != ChunkRef("k", "p", 0, 5, "other", 1.0)
    assert pickle.loads(pickle.dumps(one)) == one


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("p: two\n lines"), "two lines"),
        (ValueError(), "ValueError"),
        (KeyError("x"), "KeyError: 'x'"),
        (OSError(2, "No such file", "p"), "[Errno 2] No such file: 'p'"),
        (RuntimeError("x" * 9000), "RuntimeError: " + "x" * 500),
    ],
)
def test_an_error_becomes_one_line(error, words):
    problem = Problem.of("p", error, 5.0)
    assert (problem.part, problem.reason, problem.chunks, problem.weight) == ("p", words, 1, 5.0)
