"""SPE files, made by the description of the format; fabio reads the first frame of the same files."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from detcore.area.source import open_files, probe
from detcore.core.source import ChunkRef, Problem


def write(path, frames, kind, **fields):
    """Sizes at 42 and 656, type at 108, frames at 1446, version at 1992, a mark at 4098, pixels from 4100 on."""
    head = bytearray(4100)
    places = {"controller": ("<h", 0, 7), "width": ("<H", 42, frames.shape[2]), "type": ("<h", 108, kind),
              "height": ("<H", 656, frames.shape[1]), "end": ("<q", 678, 0), "n": ("<i", 1446, len(frames)),
              "version": ("<f", 1992, 2.5), "mark": ("<H", 4098, 0x5555)}  # fmt: skip
    for name, (code, place, value) in places.items():
        struct.pack_into(code, head, place, fields.get(name, value))
    head[20:30] = b"01Jan2024\0"
    head[172:179] = b"120000\0"
    path.write_bytes(bytes(head) + frames.tobytes())
    return path


@pytest.fixture
def frames():
    return np.random.default_rng(2).poisson(9, (3, 20, 30))


@pytest.mark.parametrize(("kind", "dtype"), [(0, "<f4"), (1, "<i4"), (2, "<i2"), (3, "<u2"), (8, "<u4")])
def test_types(tmp_path, frames, kind, dtype):
    path = write(tmp_path / "a.spe", frames.astype(dtype), kind)
    source = open_files(path, frames=slice(1, None))
    (ref,) = [item for item in source.plan() if isinstance(item, ChunkRef)]
    assert np.array_equal(source.read(ref, frozenset({"data"}))["data"], frames[1:])
    assert probe(str(path)).degree == "generic"
    if kind < 4:
        assert np.array_equal(pytest.importorskip("fabio").open(str(path)).data, frames[0])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"n": 4}, "cut off: 8900 bytes expected, 7700 are there"),
        ({"n": 0}, "says that it has 0 frames"),
        ({"n": -1}, "says that it has -1 frames"),
        ({"end": 5000, "version": 3.0}, "numbers between the frames"),
        ({"mark": 0, "version": 0}, "none of the formats"),
        ({"type": 77}, "none of the formats"),
    ],
)
def test_what_is_odd_is_said(tmp_path, frames, fields, words):
    path = write(tmp_path / "a.spe", frames.astype("<u2"), 3, **fields)
    (problem,) = open_files(path).plan()
    assert isinstance(problem, Problem)
    assert words in problem.reason


def test_version_3_with_its_text_behind_the_pixels(tmp_path, frames):
    path = write(tmp_path / "a.spe", frames.astype("<u2"), 3, version=3.0, end=4100 + 3 * 1200)
    path.write_bytes(path.read_bytes() + b"<SpeFormat/>")
    assert np.array_equal(open_files(path).frame(2), frames[2])
