"""The decoder against bytes that are known, real files and their zlib twin; damaged streams must not reach beyond."""

from __future__ import annotations

from contextlib import suppress

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detcore.dl1.files import lzo

GUARD = 64
END = b"\x11\0\0"


def long(length, base):
    """Return the bytes of an extended length: each zero adds 255."""
    zeros, last = divmod(length - base - 1, 255)
    return bytes(zeros) + bytes([last + 1])


def literal(data):
    """Return an instruction for at least four new bytes, as the first of a stream or after one that brought none."""
    n = len(data)
    return (bytes([n - 3]) if n < 19 else b"\0" + long(n, 18)) + data


def match(length, offset, trailing=b""):
    """Return an instruction that copies, in the form that the distance asks for, followed by up to three new bytes."""
    few = len(trailing)
    if 3 <= length <= 8 and offset <= 2048:
        low, high = (offset - 1) & 7, (offset - 1) >> 3
        return bytes([(length - 1) << 5 | low << 2 | few, high]) + trailing
    if offset <= 16384:
        head = bytes([32 | (length - 2)]) if length <= 33 else b"\x20" + long(length, 33)
        return head + ((offset - 1) << 2 | few).to_bytes(2, "little") + trailing
    far = offset - 16384
    above = 8 if far >= 16384 else 0
    head = bytes([16 | above | (length - 2)]) if length <= 9 else bytes([16 | above]) + long(length, 9)
    return head + ((far & 16383) << 2 | few).to_bytes(2, "little") + trailing


def compress(data):
    """Return some LZO1X stream of the data: greedy, slow, uses every kind of instruction but the two-byte match."""
    out, known, waiting, fresh = bytearray(), {}, bytearray(), True

    def put(trailing):
        nonlocal out
        if len(trailing) >= 4:
            out += literal(bytes(trailing))

    i = 0
    while i < len(data):
        key = data[i : i + 4]
        before = known.get(key, -1) if len(key) == 4 else -1
        known[key] = i
        length = 0
        if before >= 0 and i - before <= 49151 and (len(waiting) >= 4 or (not waiting and not fresh)):
            while i + length < len(data) and data[before + length] == data[i + length] and length < 3000:
                length += 1
        if length >= 4:
            put(waiting)
            waiting = bytearray()
            out += match(length, i - before)
            i += length
            fresh = False
        else:
            waiting.append(data[i])
            i += 1
    if 0 < len(waiting) < 4:  # only possible directly after a match that brought none: let it bring them, or start so
        if fresh:
            return bytes([17 + len(waiting)]) + bytes(waiting) + END
        return bytes(out) + END, bytes(waiting)
    put(waiting)
    return bytes(out) + END


def stream_of(data):
    """Return a stream of the data, padded with new bytes so that it can be written; and what it holds."""
    made = compress(data)
    if isinstance(made, tuple):
        data = data[: len(data) - len(made[1])]
        made = made[0]
    return made, data


DATA = {
    "zeros": bytes(8192),
    "runs": b"".join(bytes([n % 7]) * n for n in range(1, 200)),
    "steps": (np.arange(5000, dtype=np.uint32) // 7).tobytes(),
    "sparse": np.random.default_rng(1).poisson(0.05, 8192).astype(np.uint8).tobytes(),
    "far": np.random.default_rng(2).integers(0, 256, 20000).astype(np.uint8).tobytes() * 3,
    "noise": np.random.default_rng(3).integers(0, 256, 5000).astype(np.uint8).tobytes(),
}


@pytest.mark.parametrize("name", DATA)
def test_streams_decode_to_what_they_were_made_of(name):
    stream, data = stream_of(DATA[name])
    assert bytes(lzo.decompress(stream, len(data))) == data
    if name != "noise":
        assert len(stream) < len(data)


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (END, b""),
        (b"\x12a" + END, b"a"),
        (b"\x15abcd" + END, b"abcd"),
        (b"\x15abcd" + match(4, 4) + END, b"abcdabcd"),
        (b"\x15abcd" + match(6, 1, b"xy") + b"\x04\x00" + END, b"abcd" + b"d" * 6 + b"xy" + b"xy"),  # distance 2
        (b"\x15abcd" + match(40, 2) + END, b"abcd" + b"cd" * 20),
        (b"\x15abcd" + match(33, 3, b"XYZ") + END, b"abcd" + b"bcd" * 11 + b"XYZ"),
        (literal(bytes(range(18))) + END, bytes(range(18))),
        (literal(bytes(range(19))) + END, bytes(range(19))),
        (literal(b"q" * 600) + END, b"q" * 600),
        (literal(b"abc" + b"q" * 2048) + b"\x08\x00" + END, b"abc" + b"q" * 2048 + b"abc"),  # 2049 + 2 back
    ],
    ids=["empty", "one", "four", "again", "two bytes", "overlap", "three more", "18", "19", "600", "after a run"],
)
def test_streams_written_by_hand(stream, data):
    if b"q" * 2048 in data:
        assert len(data) == 2054
    assert bytes(lzo.decompress(stream, len(data))) == data
    with pytest.raises(lzo.CorruptLzo, match=r"expected a stream of"):
        lzo.decompress(stream, len(data) + 1)
    if data:
        with pytest.raises(lzo.CorruptLzo, match=r"more bytes than the chunk has room for"):
            lzo.decompress(stream, len(data) - 1)


@pytest.mark.parametrize("offset", [1, 2, 2048, 2049, 16384, 16385, 32767, 32768, 40000, 49151])
@pytest.mark.parametrize("length", [4, 8, 9, 10, 33, 34, 300, 1000])
def test_every_distance_and_length(offset, length):
    seed = np.random.default_rng(offset).integers(0, 256, 49152).astype(np.uint8).tobytes()
    expected = bytearray(seed)
    for _ in range(length):
        expected.append(expected[-offset])
    stream = literal(seed) + match(length, offset, b"!") + END
    assert bytes(lzo.decompress(stream, len(expected) + 1)) == bytes(expected) + b"!"


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (b"", "ends inside"),
        (b"\0", "ends inside"),
        (b"\0\0\0", "ends inside"),
        (b"\xffabc", "ends inside"),
        (b"\x15abcd", "ends inside"),
        (b"\x15abcd\x11\0", "ends inside"),
        (b"\x15abcd\x20\0\0", "ends inside"),
        (b"\x15abcd\x40", "ends inside"),
        (b"\x15abcd" + match(4, 5) + END, "before the first byte"),
        (b"\x15abcd" + match(4, 20000) + END, "before the first byte"),
        (b"\x10\x01\x04\x00" + END, "before the first byte"),
        (b"\x15abcd\x00\x00\x00" + END, "more bytes|ends inside|before"),
        (b"\x15abcd" + match(4000, 1) + END, "more bytes"),
        (b"\0" + bytes(10000) + b"\x01" + bytes(100), "ends inside"),
        (b"\x15abcd" + END + b"x", "follow after the end"),
    ],
)
def test_damaged_streams_are_refused(stream, why):
    with pytest.raises(lzo.CorruptLzo, match=why):
        lzo.decompress(stream, 64)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_streams_never_reach_beyond_their_room(data):
    stream, original = stream_of(DATA[data.draw(st.sampled_from(["runs", "steps", "sparse"]))])
    block = bytearray(stream)
    for _ in range(data.draw(st.integers(1, 4))):
        block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        block = block[: data.draw(st.integers(0, len(block)))]
    size = data.draw(st.sampled_from([len(original), len(original) // 2]))
    given_bytes = np.full(len(block) + 2 * GUARD, 0x11, np.uint8)
    given_bytes[GUARD : GUARD + len(block)] = np.frombuffer(bytes(block), np.uint8)
    room = np.full(size + 2 * GUARD, 0xA5, np.uint8)
    wrote = lzo._decode(given_bytes[GUARD : GUARD + len(block)], room[GUARD : GUARD + size])
    assert (room[:GUARD] == 0xA5).all()
    assert (room[GUARD + size :] == 0xA5).all()
    assert wrote in lzo.REASONS or 0 <= wrote <= size


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 300))
def test_any_bytes_give_a_result_or_an_error(block, size):
    with suppress(lzo.CorruptLzo):
        assert len(lzo.decompress(block, size)) == size


@pytest.mark.parametrize(("n", "width"), [(0, 4), (1, 4), (12, 4), (15, 4), (7, 1), (3, 8), (40, 5)])
def test_unshuffle_is_the_inverse_of_hdf5(n, width, tmp_path):
    rows = np.random.default_rng(0).integers(0, 256, n * width).astype(np.uint8)
    if n:
        with h5py.File(tmp_path / "a.h5", "w") as file:
            made = file.create_dataset("x", data=rows.view(f"V{width}"), chunks=(n,), shuffle=True)
            planes = np.frombuffer(made.id.read_direct_chunk((0,))[1], np.uint8)
    else:
        planes = rows
    assert bytes(lzo.unshuffle(planes, width)) == bytes(rows)


def test_bytes_that_fill_no_element_stay():
    assert bytes(lzo.unshuffle(np.frombuffer(b"ACEBDFx", np.uint8), 2)) == b"ABCDEFx"
    with pytest.raises(ValueError, match="at least 1"):
        lzo.unshuffle(np.zeros(4, np.uint8), 0)


def test_filters_are_undone_in_reverse_and_left_out_where_the_chunk_says_so():
    data = bytes(range(40))
    planes = np.frombuffer(data, np.uint8).reshape(10, 4).T.tobytes()
    filters = [(lzo.SHUFFLE, (4,)), (lzo.LZO, (1, 27, 0))]
    assert bytes(lzo.undo(literal(planes) + END, 0, filters, 40)) == data
    assert bytes(lzo.undo(planes, 0b10, filters, 40)) == data
    assert bytes(lzo.undo(literal(data) + END, 0b01, filters, 40)) == data
    assert bytes(lzo.undo(data, 0b11, filters, 40)) == data
    with pytest.raises(lzo.CorruptLzo, match="expected 41 bytes, found 40"):
        lzo.undo(planes, 0b10, filters, 41)
    with pytest.raises(ValueError, match="filter 307"):
        lzo.undo(data, 0, [(307, ())], 40)


@pytest.mark.parametrize("n", [1, 2, 3, 40, 4001])
def test_checksums_are_those_of_hdf5(n, tmp_path):
    values = np.random.default_rng(n).integers(0, 256, n).astype(np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("x", data=values, chunks=(n,), fletcher32=True)
        raw = made.id.read_direct_chunk((0,))[1]
    assert bytes(lzo.undo(raw, 0, [(lzo.FLETCHER32, ())], n)) == bytes(values)
    broken = bytes([raw[0] ^ 1]) + raw[1:]
    with pytest.raises(lzo.CorruptLzo, match="checksum"):
        lzo.undo(broken, 0, [(lzo.FLETCHER32, ())], n)


def test_every_table_of_a_real_file_is_equal_to_its_zlib_twin(shared):
    folder = shared / "data/dl1"
    with (
        h5py.File(folder / "ctaml072_lasercal_lzo.h5") as ours,
        h5py.File(folder / "ctaml072_lasercal_zlib.h5") as twin,
    ):
        names = [name for name in twin if isinstance(twin[name], h5py.Dataset)]
        assert len(names) == 4
        for name in names:
            table = ours[name]
            plist = table.id.get_create_plist()
            filters = [plist.get_filter(i) for i in range(plist.get_nfilters())]
            assert [one[0] for one in filters] == [lzo.SHUFFLE, lzo.LZO]
            size = table.chunks[0] * table.dtype.itemsize
            parts = []
            for start in range(0, len(table), table.chunks[0]):
                excluded, raw = table.id.read_direct_chunk((start,))
                parts.append(lzo.undo(raw, excluded, [(one[0], one[2]) for one in filters], size))
            decoded = np.concatenate(parts)[: len(table) * table.dtype.itemsize]
            assert decoded.tobytes() == twin[name][:].tobytes()
