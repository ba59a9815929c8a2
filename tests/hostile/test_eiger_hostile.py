"""Hostile series: each is one clear line, nothing hangs, and what is sound in them is counted."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

from detcore.core.source import ChunkRef, Problem, UnknownFormat
from detcore.eiger.metadata import read_metadata
from detcore.eiger.source import FrameFiles, probe


@pytest.fixture(scope="session")
def eiger_hostile():
    """The functions that write hostile series."""
    spec = importlib.util.spec_from_file_location(
        "detcore_tests_eiger_files", Path(__file__).with_name("eiger_files.py")
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def broken_series(eiger_hostile, tmp_path_factory):
    return eiger_hostile.write_all(tmp_path_factory.mktemp("hostile_eiger"))


def outcome(path):
    """Read everything; gives the numbers of frames, the problems, and the words of errors."""
    source = FrameFiles((str(path),))
    numbers, words = [], []
    for item in source.plan():
        if isinstance(item, Problem):
            words.append(str(item))
        elif isinstance(item, ChunkRef):
            chunk = source.read(item, frozenset({"payload"}))
            assert chunk.payload_size.values.sum() == len(chunk.payload)
            numbers += chunk.frame_number.values.tolist()
    try:
        source.schema()
    except UnknownFormat as error:
        words.append(str(error))
    return numbers, words


def test_each_is_survived_with_words(broken_series):
    for name, broken in broken_series.items():
        began = time.monotonic()
        numbers, words = outcome(broken.path)
        assert time.monotonic() - began < 60, name  # it does not hang
        if broken.sound:
            assert words == [], name
            assert len(numbers) == broken.frames, name
        elif broken.frames == 0:
            assert numbers == [], name
            assert words, name
        assert probe(str(broken.path)).reason
        read_metadata(str(broken.path))


def test_the_words_say_what_is_wrong(broken_series):
    expected = {
        "pipe": "regular file",
        "folder": "found none",
        "dangling": "No such file",
        "bytes": "not an HDF5 file",
        "nothing": "empty",
        "cut50": "cut off",
        "to_device": "regular file",
        "to_pipe": "regular file",
        "to_folder": "a folder",
        "to_text": "not an HDF5 file",
        "view_of_device": "regular file",
        "bytes_outside": "unnamed files",
        "huge_frame": "may have 1 to",
        "huge_number": "may have 1 to",
        "no_pixels": "may have 1 to",
        "flat": "expected .frame, y, x.",
        "real_numbers": "whole numbers",
        "five_dimensions": "expected .frame, y, x.",
    }
    for name, pattern in expected.items():
        _, words = outcome(broken_series[name].path)
        assert any(re.search(pattern, line) for line in words), (name, words)


def test_what_a_link_leads_to_is_not_shown(broken_series):
    shown = str(outcome(broken_series["to_text"].path)) + probe(str(broken_series["to_text"].path)).reason
    assert "root:" not in shown  # how /etc/passwd begins


def test_impossible_shapes_take_no_memory(broken_series):
    tracemalloc.start()
    for name in ("huge_frame", "huge_number", "huge_view", "many"):
        outcome(broken_series[name].path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6


def test_a_frame_that_cannot_be_decoded_is_one_error_and_the_others_are_fine(broken_series, eiger_hostile):
    frames = eiger_hostile.sound_frames()
    for name, row in (("lengths", 2), ("lost", 3)):
        source = FrameFiles((str(broken_series[name].path),))
        for number in range(1, len(frames) + 1):
            if number == row + 1 and name == "lengths":
                with pytest.raises(ValueError, match=rf"frame {number} cannot be decoded"):
                    source.frame(number)
            elif number != row + 1:
                np.testing.assert_array_equal(source.frame(number), frames[number - 1])


def test_a_pipe_in_the_place_of_a_planned_file_stops_nobody(eiger_hostile, tmp_path):
    path = eiger_hostile.sound_file(tmp_path, "a")
    source = FrameFiles((str(path),))
    (ref,) = source.plan()
    path.unlink()
    os.mkfifo(path)
    words = []

    def read():
        try:
            source.read(ref, frozenset({"payload"}))
        except OSError as error:
            words.append(str(error))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    assert "regular file" in words[0]


def test_metadata_of_strangers_is_bounded(tmp_path, eiger_hostile):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file["/entry/data/data"] = eiger_hostile.sound_frames()
        detector = file.create_group("/entry/instrument/detector")
        detector["description"] = "x" * 500_000
        detector["count_time"] = np.full(1000, 1.0)
        detector["frame_time"] = np.nan
        detector["saturation_value"] = "many"
        detector["bit_depth_image"] = np.inf
        detector["x_pixel_size"] = np.zeros(0)
        detector["pixel_mask"] = h5py.ExternalLink("/dev/zero", "mask")
        detector["frame_time"].attrs["units"] = np.arange(1000)
        detector["detectorSpecific/nimages"] = 1 << 60
        detector.create_dataset("detectorSpecific/pixel_mask", (1 << 20, 1 << 20), "u4", chunks=(64, 64))
    values, mask = read_metadata(str(path))
    assert mask is None
    assert len(values["description"]) == 1000
    assert {values[name] for name in ("count_time", "frame_time", "bit_depth", "saturation_value", "pixel_size")} == {
        None
    }
