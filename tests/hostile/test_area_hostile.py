"""Hostile frames: each is one clear line, nothing hangs or fills the memory, and what is sound is read."""

from __future__ import annotations

import importlib.util
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from detcore.area.source import open_files, probe
from detcore.core.source import ChunkRef, Problem, UnknownFormat


def _files():
    spec = importlib.util.spec_from_file_location("detcore_tests_area_files", Path(__file__).with_name("area_files.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def area_hostile():
    """The functions that write hostile frames."""
    return _files()


@pytest.fixture(scope="session")
def broken_frames(area_hostile, tmp_path_factory):
    return area_hostile.write_all(tmp_path_factory.mktemp("hostile_area"))


def outcome(path):
    """Read everything; gives the events, the problems, and the words of errors."""
    source = open_files(path)
    events, words = [], []
    for item in source.plan():
        if isinstance(item, Problem):
            words.append(str(item))
        elif isinstance(item, ChunkRef):
            for ref in [item, *source.pieces(item)]:
                try:
                    chunk = source.read(ref, frozenset({"data"}))
                except (OSError, ValueError) as error:
                    words.append(str(error))
                else:
                    assert len(chunk["data"]) == len(chunk.event_id)
                    events += chunk.event_id.values.tolist()
    try:
        source.schema()
        source.detector()
    except (OSError, ValueError) as error:
        words.append(str(error))
    assert source.size() >= 0
    assert isinstance(source.whole(str(path)), bool)
    return sorted(set(events)), words


def test_every_hostile_file_is_survived(broken_frames):
    wrong = {}
    for name, broken in broken_frames.items():
        began = time.process_time()
        tracemalloc.start()
        try:
            events, words = outcome(broken.path)
        except Exception as error:  # noqa: BLE001 - the test names every file that fails
            wrong[name] = f"{type(error).__name__}: {error}"
            continue
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        if broken.frames is not None and len(events) != broken.frames:
            wrong[name] = f"{len(events)} frames, expected {broken.frames}: {words}"
        elif not words and not broken.sound:
            wrong[name] = "nothing said"
        elif any("\n" in one or not one.strip() or "Traceback" in one for one in words):
            wrong[name] = f"not one line: {words}"
        elif time.process_time() - began > 5 or peak > 200 << 20:
            wrong[name] = f"{time.process_time() - began:.1f} s, {peak >> 20} MB"
    assert not wrong


def test_probes_answer_in_words(broken_frames):
    for name, broken in broken_frames.items():
        answer = probe(str(broken.path))
        assert answer.reason, name
        assert "\n" not in answer.reason
        assert answer.degree in {"exact", "generic", "no"}


def test_sound_frames_of_a_damaged_file_are_read(broken_frames, area_hostile):
    source = open_files(broken_frames["damaged_chunk.h5"].path)
    (ref,) = [item for item in source.plan() if isinstance(item, ChunkRef)]
    with pytest.raises(OSError, match="cannot be decoded"):
        source.read(ref, frozenset({"data"}))
    kept = {}
    for piece in source.pieces(ref):
        try:
            chunk = source.read(piece, frozenset({"data"}))
        except OSError:
            continue
        kept[int(chunk.event_id[0])] = chunk["data"].values[0]
    assert sorted(kept) == [0, 1, 3, 4, 5]
    assert all(np.array_equal(frame, area_hostile.sound_frames()[event]) for event, frame in kept.items())


def test_a_folder_of_hostile_files_is_a_ledger(broken_frames, area_hostile, tmp_path):
    np.save(tmp_path / "a.npy", area_hostile.sound_frames())
    for name in ("huge.npy", "circle.tif", "cut50.h5", "nothing.npy"):
        (tmp_path / f"z_{name}").write_bytes(broken_frames[name].path.read_bytes())
    events, words = outcome(tmp_path)
    assert events == list(range(6))
    assert len(words) == 4


def test_threads_may_read_the_same_run(broken_frames, area_hostile):
    source = open_files(broken_frames["sound.h5"].path)
    (ref,) = [item for item in source.plan() if isinstance(item, ChunkRef)]
    failed = []

    def work():
        for piece in source.pieces(ref) * 3:
            chunk = source.read(piece, frozenset({"data"}))
            if not np.array_equal(chunk["data"][0], area_hostile.sound_frames()[int(chunk.event_id[0])]):
                failed.append(piece)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(20)
    assert not failed
    assert not any(one.is_alive() for one in threads)


def test_a_file_that_goes_away_while_it_is_read(tmp_path, area_hostile):
    path = tmp_path / "a.npy"
    np.save(path, area_hostile.sound_frames())
    source = open_files(path)
    (ref,) = [item for item in source.plan() if isinstance(item, ChunkRef)]
    np.save(path, area_hostile.sound_frames()[:2])
    with pytest.raises((OSError, ValueError)):
        source.read(ref, frozenset({"data"}))
    path.unlink()
    with pytest.raises(OSError, match=r"a\.npy"):
        source.read(ref, frozenset({"data"}))
    with pytest.raises(UnknownFormat, match=r"a\.npy"):
        source.schema()
