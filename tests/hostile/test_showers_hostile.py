"""Hostile shower files: an error in words, never a crash, never a wait, never much memory."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from detcore import showers
from detcore.showers.globalheap import Descriptor, gather

EXPECTED = (OSError, ValueError, KeyError, TypeError, RuntimeError, MemoryError, OverflowError)


@pytest.fixture(scope="session")
def showers_hostile():
    """The functions that write hostile shower files."""
    place = Path(__file__).with_name("showers_files.py")
    spec = importlib.util.spec_from_file_location("detcore_tests_showers_files", place)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def broken_showers(showers_hostile, tmp_path_factory):
    return showers_hostile.write_all(tmp_path_factory.mktemp("hostile_showers"))


def read_everything(path):
    with showers.HeapReader(path) as reader:
        for number in range(len(reader)):
            reader.shower(number)
        reader.ragged()
    showers.read_ragged(path)
    showers.load(path)


def attempt(path, errors):
    for function in (showers.load, read_everything):
        try:
            function(path)
        except EXPECTED as error:
            errors.append(error)


def test_each_is_one_error_in_words(broken_showers):
    assert len(broken_showers) > 35
    for name, broken in broken_showers.items():
        errors = []
        thread = threading.Thread(target=attempt, args=(broken.path, errors), daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive(), name
        if name == "impossible width":
            assert len(errors) >= 1, name
        else:
            assert len(errors) == 2, (name, errors)
        assert all(str(error) or isinstance(error, MemoryError) for error in errors), name
        if broken.words:
            for error in errors:
                assert any(one in str(error) for one in broken.words.split("|")), (name, error)


def test_what_a_link_leads_to_is_not_shown(broken_showers):
    for name in ("link to a text", "values elsewhere"):
        with pytest.raises(EXPECTED) as caught:
            showers.load(broken_showers[name].path)
        assert "root:" not in str(caught.value)


def test_impossible_sizes_take_no_memory(broken_showers):
    tracemalloc.start()
    for name, broken in broken_showers.items():
        if name in {"impossible width", "pipe"}:
            continue
        began = time.monotonic()
        with pytest.raises(EXPECTED):
            showers.read_ragged(broken.path)
        assert time.monotonic() - began < 5, name
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6


def test_showers_that_are_whole_can_be_read_beside_one_that_is_not(broken_showers, showers_hostile, tmp_path):
    good = showers.read_ragged(showers_hostile.sound(tmp_path / "good.h5"))
    for name in ("no collection there", "no such object", "longer than its object"):
        with showers.HeapReader(broken_showers[name].path) as reader:
            for number in (0, 1, 5, 11):
                np.testing.assert_array_equal(reader.shower(number), good.shower(number))
            with pytest.raises(ValueError, match="damaged"):
                reader.shower(2)


def test_a_file_that_shrinks_while_it_is_open(showers_hostile, tmp_path):
    path = showers_hostile.sound(tmp_path / "a.h5", long=True)
    with showers.HeapReader(path) as reader:
        reader.shower(11)
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(OSError, match=r"cut off|behind the file"):
            _ = [reader.shower(number) for number in range(12)]
        with pytest.raises(OSError, match=r"cut off|behind the file"):
            reader.ragged()


def test_rows_never_leave_the_array_they_go_to(showers_hostile, tmp_path):
    path = showers_hostile.sound(tmp_path / "a.h5")
    with showers.HeapReader(path) as reader, Descriptor(path) as descriptor:
        table = reader.index.references.table
        for starts, room in (
            (np.full(12, -1), None),
            (np.arange(12) * 200, None),
            (np.zeros(12, int), np.full(12, -1)),
        ):
            with pytest.raises(ValueError, match="do not fit"):
                gather(descriptor, table, np.zeros(300, np.float32), starts, room)


FUZZ = """
import json, sys, numpy as np
from pathlib import Path
from detcore import showers
from detcore.showers import heap
source, target, first, last = Path(sys.argv[1]).read_bytes(), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
errors = {}
for seed in range(first, last):
    rng = np.random.default_rng(seed)
    content = bytearray(source)
    low = 2048 if seed % 4 else 0  # mostly behind the first headers of HDF5
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(low, len(content)))
        content[at : at + 1] = bytes([int(rng.choice([0, 1, 255, rng.integers(256)]))])
    if seed % 7 == 0:
        del content[int(rng.integers(1, len(content))) :]
    Path(target).write_bytes(content)
    print(seed, file=sys.stderr, flush=True)
    try:
        ragged = showers.read_ragged(target)
        ragged.validate()
        kind = "fine"
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, MemoryError, OverflowError) as error:
        kind = type(error).__name__
    errors[kind] = errors.get(kind, 0) + 1
print(json.dumps(errors))
"""


@pytest.mark.parametrize("long", [False, True])
def test_bytes_changed_at_random_never_crash(showers_hostile, tmp_path, long):
    source = showers_hostile.sound(tmp_path / "sound.h5", long=long)
    command = [sys.executable, "-c", FUZZ, str(source), str(tmp_path / "fuzzed.h5"), "0", "120"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    found = json.loads(done.stdout)
    assert sum(found.values()) == 120
    assert found["fine"] > 10
    assert sum(found.values()) - found["fine"] > 10
