"""Both decoders against each other and against bytes that are known; broken blocks must not reach beyond their room."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from detcore.eiger import lz4


@njit
def call(decoder, source, target, n, m):
    return lz4.decompress(decoder, source.ctypes.data, target.ctypes.data, n, m)


GUARD = 64


def decode(decoder, block, size):
    """Decode with a guard on either side; gives what the decoder answers, and the result."""
    source = np.frombuffer(bytes(block) or b"\0", np.uint8)
    room = np.full(size + 2 * GUARD, 0xA5, np.uint8)
    wrote = call(decoder, source, room[GUARD : GUARD + size], len(block), size)
    assert (room[:GUARD] == 0xA5).all()
    assert (room[GUARD + size :] == 0xA5).all()
    return wrote, bytes(room[GUARD : GUARD + size])


def stored(data, eiger_chunks):
    """Compress bytes as one block."""
    frame = np.frombuffer(data, np.uint8).reshape(1, 1, -1)
    payload = eiger_chunks.encoded(frame, "lz4")[0]
    assert int.from_bytes(payload[12:16], "big") == len(payload) - 16
    return payload[16:]


DATA = {
    "zeros": bytes(8192),
    "runs": b"".join(bytes([n % 7]) * n for n in range(1, 200)),
    "steps": (np.arange(5000, dtype=np.uint32) // 7).tobytes(),
    "sparse": np.random.default_rng(1).poisson(0.05, 8192).astype(np.uint8).tobytes(),
    "repeated": bytes(range(250)) * 40,
}


@pytest.fixture(params=["library", "own"])
def decoder(request):
    address = getattr(lz4, request.param)()
    assert address
    return address


@pytest.mark.parametrize("name", DATA)
def test_blocks_decode_to_what_they_were_made_of(name, decoder, eiger_chunks):
    block = stored(DATA[name], eiger_chunks)
    assert decode(decoder, block, len(DATA[name])) == (len(DATA[name]), DATA[name])
    assert decode(decoder, block, len(DATA[name]) + 100)[0] == len(DATA[name])


def test_a_block_written_by_hand(decoder):
    # token: 4 literals and a match of 4 + 4 at distance 2; then 12 literals (LZ4 block format)
    block = b"\x44abcd\x02\x00" + b"\xc0" + b"ABCDEFGHIJKL"
    assert decode(decoder, block, 24) == (24, b"abcdcdcdcdcdABCDEFGHIJKL")


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"\xf0",
        b"\xf0\xff\xff",
        b"\x40ab",
        b"\x40abcd\x00",
        b"\x44abcd\x05\x00\xc0ABCDEFGHIJKL",
        b"\x4fabcd\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xff" + b"\xff" * 3000,
    ],
    ids=["nothing", "no length", "no end of it", "short", "half", "before", "endless match", "endless"],
)
def test_broken_blocks_are_refused(block, decoder):
    assert decode(decoder, block, 64)[0] < 0


def test_a_match_at_distance_zero_is_refused_by_ours():
    assert decode(lz4.own(), b"\x44abcd\x00\x00\xc0ABCDEFGHIJKL", 64)[0] < 0


def test_a_result_without_room_is_refused(decoder, eiger_chunks):
    block = stored(DATA["runs"], eiger_chunks)
    for size in (0, 1, 13, len(DATA["runs"]) - 1):
        assert decode(decoder, block, size)[0] < 0


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_damaged_blocks_never_reach_beyond_their_room(data, eiger_chunks):
    original = DATA[data.draw(st.sampled_from(sorted(DATA)))]
    block = bytearray(stored(original, eiger_chunks))
    for _ in range(data.draw(st.integers(1, 4))):
        block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    block = block[: data.draw(st.integers(0, len(block)))] if data.draw(st.booleans()) else block
    size = data.draw(st.sampled_from([len(original), len(original) // 2]))
    theirs, ours = decode(lz4.library(), block, size), decode(lz4.own(), block, size)
    assert theirs[0] >= 0 or ours[0] < 0  # ours also refuses a match at distance 0, which means nothing
    if ours[0] >= 0:
        assert (theirs[0], theirs[1][: theirs[0]]) == (ours[0], ours[1][: ours[0]])


def test_without_the_library_our_own_decoder_is_taken(monkeypatch):
    assert lz4.decoder() == lz4.library()
    for broken in (lambda name: None, lambda name: type("", (), {"submodule_search_locations": ["/nowhere"]})):
        monkeypatch.setattr(lz4, "find_spec", broken)
        assert lz4.library.__wrapped__() is None
    monkeypatch.setattr(lz4, "library", lambda: None)
    assert lz4.decoder() == lz4.own() != 0


def test_a_library_that_hides_its_symbols_is_passed_over(monkeypatch, tmp_path):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "libh5bshuf.so").write_bytes(b"not a library")
    package = type("", (), {"submodule_search_locations": [str(tmp_path)]})
    monkeypatch.setattr(lz4, "find_spec", lambda name: package)
    assert lz4.library.__wrapped__() is None


def test_cached_kernels_and_pytables_live_with_it_in_a_fresh_process():
    code = """
import numpy as np
from detcore.eiger import lz4
from detcore.eiger.reductions import Intensity
from detcore.eiger.api import warm
warm()
warm()
import tables
print(lz4.decoder() != 0)
"""
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.stdout == "True\n", done.stderr
