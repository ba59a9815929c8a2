"""Folders that fill and files that grow."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import xarray as xr

from detcore.core import source as core_source
from detcore.core.executors import Threads
from detcore.core.follow import Follow, follow
from detcore.core.run import stream
from detcore.core.source import ChunkRef, FileSource, Problem
from detcore.occupancy import open_files, reduction
from detcore.occupancy.demo import write_spill

SETTLE, RESCAN = 0.15, 0.01


@dataclass(frozen=True)
class Lines(FileSource):
    """Files of one number a line; whole when the last line is `end`."""

    paths: tuple[str, ...]
    suffixes: ClassVar[tuple[str, ...]] = (".txt",)

    def _read(self, path):
        with open(path) as file:  # noqa: PTH123
            return [int(line) for line in file.read().split("\n")[:-1] if line != "end"]

    def schema_of(self, path):
        self._read(path)
        return xr.Dataset({"n": ("event", np.zeros(0, np.int64)), "entry": ("event", np.zeros(0, np.int64))})

    def plan_file(self, path, start=0, target_bytes=None):
        n = len(self._read(path))
        if n > start:
            yield ChunkRef(self.key, path, start, n)

    def whole(self, path):
        with open(path) as file:  # noqa: PTH123
            return file.read().endswith("end\n")

    def read(self, ref, columns):
        n = np.array(self._read(ref.part)[ref.start : ref.stop])
        return xr.Dataset(
            {"n": ("event", n), "entry": ("event", np.arange(ref.start, ref.stop))}, {}, {"file": ref.part}
        )


@pytest.fixture
def live(tmp_path):
    return Follow(Lines((str(tmp_path),)), settle=SETTLE, rescan=RESCAN)


class Looks:
    """Pulls the plan for a while and gives what came, as (name, start, stop) or as problems."""

    def __init__(self, source):
        self.plan = source.plan()

    def __call__(self, seconds=0.05):
        found, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            item = next(self.plan)
            if isinstance(item, Problem):
                found.append(item)
            elif item is not None:
                found.append((os.path.basename(item.part), item.start, item.stop))  # noqa: PTH119
            else:
                time.sleep(0.005)
        return found


def write(path, text, age=0.0):
    path.write_text(text)
    when = time.time() - age
    os.utime(path, (when, when))


def test_an_empty_folder_has_nothing_yet(live):
    assert Looks(live)() == []
    assert live.size() is None
    assert live.key.startswith("live:")


def test_files_that_appear_are_read_once(live, tmp_path):
    look = Looks(live)
    write(tmp_path / "a.txt", "1\n2\nend\n")
    assert look() == [("a.txt", 0, 2)]
    assert look(2 * SETTLE) == []
    (tmp_path / "deep" / "er").mkdir(parents=True)
    write(tmp_path / "deep" / "er" / "b.txt", "1\nend\n")
    assert look() == [("b.txt", 0, 1)]


def test_the_newest_is_left_alone_until_its_size_is_stable(live, tmp_path):
    write(tmp_path / "old.txt", "1\n", age=100)
    write(tmp_path / "new.txt", "1\n2\n")
    look = Looks(live)
    assert look(SETTLE / 3) == [("old.txt", 0, 1)]
    assert look(2 * SETTLE) == [("new.txt", 0, 2)]


def test_as_long_as_it_grows_it_is_left_alone(live, tmp_path):
    look = Looks(live)
    for number in range(1, 8):
        write(tmp_path / "a.txt", "1\n" * number)
        assert look(SETTLE / 3) == []
    assert look(2 * SETTLE) == [("a.txt", 0, 7)]


def test_the_newest_is_read_at_once_if_it_is_whole(live, tmp_path):
    write(tmp_path / "a.txt", "1\nend\n")
    assert Looks(live)(SETTLE / 3) == [("a.txt", 0, 1)]


def test_a_newer_file_means_that_the_others_are_finished(live, tmp_path):
    look = Looks(live)
    write(tmp_path / "a.txt", "1\n", age=1)
    assert look(SETTLE / 4) == []
    write(tmp_path / "b.txt", "1\n")
    assert look(SETTLE / 4) == [("a.txt", 0, 1)]


def test_a_file_that_grows_gives_only_its_new_rows(live, tmp_path):
    look = Looks(live)
    write(tmp_path / "a.txt", "1\n2\nend\n")
    assert look() == [("a.txt", 0, 2)]
    write(tmp_path / "a.txt", "1\n2\n3\n4\n5\nend\n")
    assert look() == [("a.txt", 2, 5)]
    write(tmp_path / "a.txt", "1\n2\n3\n4\n5\n\n"[:-1] + "end\nend\n")  # longer, and no new row
    assert look() == []


def test_a_file_that_is_removed_is_forgotten_without_harm(live, tmp_path):
    look = Looks(live)
    write(tmp_path / "a.txt", "1\nend\n")
    assert look() == [("a.txt", 0, 1)]
    (tmp_path / "a.txt").unlink()
    write(tmp_path / "b.txt", "1\nend\n")
    assert look() == [("b.txt", 0, 1)]


def test_a_file_that_shrinks_is_told_and_not_counted_again(live, tmp_path):
    look = Looks(live)
    write(tmp_path / "a.txt", "1\n2\n3\nend\n")
    assert look() == [("a.txt", 0, 3)]
    write(tmp_path / "a.txt", "1\nend\n")
    problem, *rest = look()
    assert "has become shorter" in problem.reason
    assert problem.chunks == 0
    assert not rest
    assert look() == []


def test_a_file_that_cannot_be_read_is_a_line_and_is_tried_again_when_it_changes(live, tmp_path):
    look = Looks(live)
    write(tmp_path / "a.txt", "one\nend\n")
    (problem,) = look()
    assert problem.part.endswith("a.txt")
    assert "invalid literal" in problem.reason
    assert look() == []
    write(tmp_path / "a.txt", "1\n2\n3\nend\n")
    assert look() == [("a.txt", 0, 3)]


def test_a_folder_that_goes_away_and_comes_back(live, tmp_path):
    (tmp_path / "run").mkdir()
    source = replace(live, source=Lines((str(tmp_path / "run"),)))
    look = Looks(source)
    write(tmp_path / "run" / "a.txt", "1\nend\n")
    assert look() == [("a.txt", 0, 1)]
    (tmp_path / "run" / "a.txt").unlink()
    (tmp_path / "run").rmdir()
    look()
    (tmp_path / "run").mkdir()
    write(tmp_path / "run" / "b.txt", "1\nend\n")
    assert look() == [("b.txt", 0, 1)]


def test_a_stream_sees_the_folder_fill_and_the_files_grow(live, tmp_path, toys):
    cancel, wanted = threading.Event(), [("a.txt", "5\n"), ("b.txt", "7\n"), ("a.txt", "5\n6\nend\n")]
    sums, deadline = [], time.monotonic() + 30
    snapshots = stream(live, toys.Roll(), executor=Threads(2), every=0.0, cancel=cancel)
    write(tmp_path / wanted[0][0], wanted[0][1])
    for step, total in enumerate((5, 12, 18)):
        for snapshot in snapshots:
            assert time.monotonic() < deadline
            if "sum" in snapshot.data and int(snapshot.data["sum"]) == total:
                sums.append(total)
                if step + 1 < len(wanted):
                    write(tmp_path / wanted[step + 1][0], wanted[step + 1][1])
                break
    cancel.set()
    *_, last = snapshots
    assert sums == [5, 12, 18]
    assert last.status == "partial"
    assert {os.path.basename(part): facts["rows"] for part, facts in last.provenance["inputs"].items()} == {  # noqa: PTH119
        "a.txt": 2,
        "b.txt": 1,
    }
    json.dumps(last.provenance)


def test_what_is_not_made_of_files_cannot_be_followed(monkeypatch, tmp_path, toys):
    monkeypatch.setattr("detcore.core.follow.open_source", lambda *_, **__: toys.Numbers())
    with pytest.raises(TypeError, match="Numbers is not made of files"):
        follow(tmp_path)


def test_real_spills_that_arrive_one_after_the_other(tmp_path):
    """Through the public call, with the instrument's own idea of a whole file."""
    counts = np.zeros((63, 202), np.int64)
    counts[3, 1:161] = 1
    core_source.instruments.cache_clear()
    live = follow(tmp_path, "occupancy")
    cancel, seen = threading.Event(), []
    live = replace(live, settle=60.0, rescan=0.01)
    snapshots = stream(live, lambda schema: reduction(None, schema), every=0.0, cancel=cancel)
    assert next(snapshots).status == "waiting"
    whole = tmp_path / "spill_1.root"
    write_spill(whole, counts, [16] * 10, run_id=1, spill_id=1, basket_hits=40)
    half = tmp_path / "spill_2.root"
    deadline = time.monotonic() + 30
    for snapshot in snapshots:
        assert time.monotonic() < deadline
        hits = int(snapshot.data["hits"].sum()) if "hits" in snapshot.data else 0
        if hits == 160 and not seen:
            seen.append(hits)
            write_spill(tmp_path / "ready", counts, [16] * 10, run_id=1, spill_id=2, basket_hits=40)
            content = (tmp_path / "ready").read_bytes()
            half.write_bytes(content[: len(content) // 2])  # still being written: left alone
            until = time.monotonic() + 0.3
        elif hits == 160 and time.monotonic() > until and half.stat().st_size < len(content):
            assert not snapshot.problems
            half.write_bytes(content)
        elif hits == 320:
            cancel.set()
    assert hits == 320
    assert snapshot.data["trend"].sizes["slice"] == 2
    assert open_files(tmp_path).files() == [str(whole), str(half)]
