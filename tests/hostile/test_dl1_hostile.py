"""Hostile DL1 files: an error in words, never a crash, never a wait, never much memory; what is whole is read."""

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

from detcore import dl1
from detcore.core.source import UnknownFormat, open_source

EXPECTED = (OSError, ValueError, KeyError, TypeError, RuntimeError, MemoryError, OverflowError)


@pytest.fixture(scope="session")
def dl1_hostile():
    """The functions that write hostile DL1 files."""
    place = Path(__file__).with_name("dl1_files.py")
    spec = importlib.util.spec_from_file_location("detcore_tests_dl1_files", place)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def broken_dl1(dl1_hostile, tmp_path_factory):
    return dl1_hostile.write_all(tmp_path_factory.mktemp("hostile_dl1"))


@pytest.fixture(scope="session")
def odd_dl1(dl1_hostile, tmp_path_factory):
    return dl1_hostile.write_sound(tmp_path_factory.mktemp("odd_dl1"))


def read_everything(path):
    """Read all that a file has, rows one after the other and at random."""
    with dl1.open(path) as file:
        assert file.events is not None
        assert isinstance(file.header, dict)
        assert isinstance(file.metadata, dict)
        for tel_id in file.telescopes.index:
            assert file.camera(tel_id).n_pixels
            keys = file.keys(tel_id)
            n = sum(len(part.event) for part in file.images(tel_id))
            assert n == file.n_images(tel_id) == len(keys)
            if n:
                file.rows(tel_id, indices=[n - 1, 0])
            file.parameters(tel_id)


def ledger(data):
    """Return what could not be read, by the result's own account."""
    return json.loads(data.attrs["problems"])


def reduced(path):
    """Return what the file says of its large camera."""
    return dl1.reduce(path, camera="LSTCam")


def attempt(path, errors, results):
    for function in (read_everything, reduced):
        try:
            results.append(function(path))
        except EXPECTED as error:
            errors.append(error)


def test_each_is_an_error_in_words(broken_dl1):
    assert len(broken_dl1) > 75
    for name, broken in broken_dl1.items():
        errors, results = [], []
        thread = threading.Thread(target=attempt, args=(broken.path, errors, results), daemon=True)
        thread.start()
        thread.join(30)
        assert not thread.is_alive(), name
        told = [str(error) for error in errors]
        told += [
            f"{one['part']}: {one['reason']}" for result in results if result is not None for one in ledger(result)
        ]
        if broken.words:
            assert told, name
            assert any(one in text for one in broken.words.split("|") for text in told), (name, told)
        assert all(broken.path.name in text for text in told), (name, told)
        assert not broken.path.with_suffix(".trap").exists()


def test_other_telescopes_are_read_all_the_same(broken_dl1, dl1_hostile, tmp_path):
    good = dl1.open(dl1_hostile.sound(tmp_path, "ctapipe"))
    expected = good.rows(5)
    n = 0
    for name, broken in broken_dl1.items():
        if broken.whole:
            n += 1
            with dl1.open(broken.path) as file:
                np.testing.assert_array_equal(file.rows(5).image, expected.image, err_msg=name)
            data = dl1.reduce(broken.path, camera="CHEC")
            assert int(data.n_read.sum()) == len(expected.event), name
    assert n > 20


def test_impossible_sizes_take_no_memory(broken_dl1):
    for broken in broken_dl1.values():  # what is compiled or imported once is not theirs
        attempt(broken.path, [], [])
        break
    tracemalloc.start()
    for name, broken in broken_dl1.items():
        began = time.monotonic()
        attempt(broken.path, [], [])
        assert time.monotonic() - began < 10, name
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80e6


def test_foreign_files_are_not_taken_for_dl1(broken_dl1):
    for name in ("foreign events", "foreign groups", "text", "nothing"):
        with pytest.raises(UnknownFormat, match=r"(?s)dl1.*(no DL1 file|not an HDF5 file)"):
            open_source(broken_dl1[name].path)


def test_odd_files_are_read_as_they_are(odd_dl1):
    for name, path in odd_dl1.items():
        read_everything(path)
        data = reduced(path)
        assert int(data.n_read.sum()) > 0, name
        assert not path.with_suffix(".trap").exists(), name
        with dl1.open(path) as file:
            first = file.events.iloc[0]
        event = dl1.load_event(path, int(first.obs_id), int(first.event_id))
        assert event.cameras is not None, name


def test_wild_charges_do_not_spoil_the_other_images(odd_dl1, dl1_hostile, tmp_path):
    good = dl1.reduce(dl1_hostile.sound(tmp_path, "ctapipe"), camera="LSTCam")
    odd = dl1.reduce(odd_dl1["ctapipe, wild charges"], camera="LSTCam")
    for name in ("hillas_intensity", "hillas_length", "timing_slope", "n_pixels"):
        same = good[name].values[good.tel_id.values == 2]
        np.testing.assert_array_equal(odd[name].values[odd.tel_id.values == 2], same, err_msg=name)
    np.testing.assert_array_equal(odd["mean"].sel(telescope=2), good["mean"].sel(telescope=2))
    one = odd.sel(telescope=1)
    assert (one.pixel_count.values < int(one.n_images)).all()  # not a number, infinite: not counted
    assert np.isfinite(one["mean"].values).all()


def test_a_file_that_shrinks_while_it_is_open(dl1_hostile, tmp_path):
    for kind in ("ctapipe", "ctaml"):
        path = dl1_hostile.sound(tmp_path, kind)
        with dl1.open(path) as file:
            tel_id = int(file.telescopes.index[0])
            file.rows(tel_id, 0, 1)
            os.truncate(path, path.stat().st_size // 2)
            with pytest.raises((OSError, ValueError), match=rf"{kind}\.h5"):
                file.rows(tel_id)


FUZZ = """
import json, sys, warnings, numpy as np
from pathlib import Path
from detcore import dl1
source, target, first, last = Path(sys.argv[1]).read_bytes(), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
found = {}
for seed in range(first, last):
    rng = np.random.default_rng(seed)
    content = bytearray(source)
    low = 2048 if seed % 4 else 0  # mostly behind the first headers of HDF5
    for _ in range(rng.integers(1, 8)):
        at = int(rng.integers(low, len(content)))
        content[at : at + 1] = bytes([int(rng.choice([0, 1, 255, rng.integers(256)]))])
    if seed % 9 == 0:
        del content[int(rng.integers(1, len(content))) :]
    Path(target).write_bytes(content)
    print(seed, file=sys.stderr, flush=True)
    try:
        with dl1.open(target) as file:
            file.events, file.header, file.metadata
            for tel_id in file.telescopes.index:
                file.keys(tel_id)
                file.rows(tel_id)
                file.parameters(tel_id)
        kind = "fine"
    except (OSError, ValueError, KeyError) as error:
        kind = type(error).__name__
        assert Path(target).name in str(error), error
    found[kind] = found.get(kind, 0) + 1
    if seed % 5 == 0:
        try:
            dl1.reduce(target)
        except (OSError, ValueError, KeyError):
            pass
print(json.dumps(found))
"""


@pytest.mark.parametrize("kind", ["ctapipe", "ctaml"])
def test_bytes_changed_at_random_never_crash(dl1_hostile, tmp_path, kind):
    source = dl1_hostile.sound(tmp_path, kind)
    command = [sys.executable, "-W", "error", "-c", FUZZ, str(source), str(tmp_path / "fuzzed.h5"), "0", "100"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr[-3000:])
    found = json.loads(done.stdout)
    assert sum(found.values()) == 100
    assert found["fine"] > 5
    assert sum(found.values()) - found["fine"] > 5
