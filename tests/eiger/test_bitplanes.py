"""The kernel against plain NumPy: every depth, block size and leftover; corrupt frames are described, never read."""

from __future__ import annotations

import struct

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detcore.eiger import lz4
from detcore.eiger.bitplanes import BLOCK, BROKEN, ENDS, FAULTS, LENGTH, REST, reduce_frames
from detcore.eiger.selection import Pixels
from detcore.eiger.words import HIGH, LOW, MOMENT_X, MOMENT_Y, SATURATED, SUM, VALID, Limits, Result
from detcore.image import Annulus, Ellipse, Rectangle

RNG = np.random.default_rng(5)


def frames_of(dtype, shape, n=3, mean=0.6):
    """Few counts, some all-ones pixels, some above every limit."""
    ones = np.iinfo(dtype).max
    values = RNG.poisson(mean, (n, *shape))
    values = np.where(RNG.random(values.shape) < 0.03, ones, values)
    return np.where(RNG.random(values.shape) < 0.03, min(ones - 1, 5000), values).astype(dtype)


def reduced(payloads, item, pixels, *, low=0, high=4500, saturated=None, extras=False, decoder=None, lengths=False):
    """Run the kernel; gives its result and its fault."""
    n, words = len(payloads), len(pixels.packed.keep)
    ones = 2 ** (8 * item) - 1
    result = Result(
        np.zeros((n, len(pixels.packed.runs), 4), np.uint64),
        np.zeros((n, 3), np.uint64),
        np.zeros((40 * extras, words if extras else 0), np.uint64),
        np.zeros((8 * extras, words if extras else 0), np.uint64),
        np.zeros(66 * (extras or lengths), np.int64),
        pixels.shape[1] * extras,
    )
    fault = np.zeros(5, np.int64)
    limits = Limits(
        np.uint64(min(low, ones + 1)), np.uint64(min(high, ones)), np.uint64(ones if saturated is None else saturated)
    )
    payload = np.frombuffer(b"".join(payloads), np.uint8)
    sizes = np.array([len(one) for one in payloads], np.int64)
    size = pixels.shape[0] * pixels.shape[1]
    decoder = lz4.decoder() if decoder is None else decoder
    reduce_frames(payload, sizes, decoder, item, size, limits, pixels.packed, result, fault)
    return result, fault.tolist()


def expected(frames, good, low, high):
    """The same numbers with NumPy: (frame, 4) int64."""
    values = frames.astype(np.int64)
    kept = good & (values >= low) & (values <= high)
    parts = np.where(kept, values, 0), kept, good & (values < low), good & (values > high)
    return np.stack([one.sum(axis=(1, 2), dtype=np.int64) for one in parts], axis=1)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize("block", [0, 8, 24, 64, 72, 128, 4096])
@pytest.mark.parametrize("shape", [(37, 53), (64, 96), (131, 130), (2, 3), (13, 11), (1, 8)])
def test_numbers_are_those_of_numpy(dtype, block, shape, eiger_chunks):
    frames = frames_of(dtype, shape)
    pixel_mask = (RNG.random(shape) < 0.1).astype(np.uint32)
    pixels, item = Pixels.of(shape, pixel_mask, ()), frames.dtype.itemsize
    payloads = eiger_chunks.encoded(frames, "bslz4", block)
    for low, high in ((0, 4500), (1, 4500), (2, 3), (0, 255), (0, 2**32), (300, 4096)):
        result, fault = reduced(payloads, item, pixels, low=low, high=high, saturated=100)
        assert fault[0] == 0
        top = min(high, np.iinfo(frames.dtype).max)
        np.testing.assert_array_equal(result.counts[:, 0], expected(frames, pixel_mask == 0, low, top))
        full = ((frames >= 100) & (pixel_mask == 0)).sum(axis=(1, 2))
        np.testing.assert_array_equal(result.extra[:, SATURATED], full)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_limits_on_any_values(data, eiger_chunks):
    """Whole range of values, so that the comparison bit by bit is reached."""
    dtype = np.dtype(data.draw(st.sampled_from(["uint8", "uint16", "uint32"])))
    ones = int(np.iinfo(dtype).max)
    values = st.one_of(st.integers(0, ones), st.integers(0, 9), st.sampled_from([ones, ones - 1, ones // 2]))
    high = data.draw(values)
    low = data.draw(st.one_of(st.integers(0, high), st.just(0)))
    saturated = data.draw(st.integers(1, ones))
    near = [value for value in (low - 1, low, high, high + 1, saturated - 1, saturated) if 0 <= value <= ones]
    pool = np.array(near + data.draw(st.lists(values, min_size=8, max_size=8)), np.uint64)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    frames = rng.choice(pool, (2, 9, 31)).astype(dtype)
    everything = np.ones(frames.shape[1:], np.bool_)
    for encoding, decoder in (("bslz4", lz4.decoder()), ("bslz4", lz4.own()), ("raw", 0)):
        payloads = eiger_chunks.encoded(frames, encoding)
        pixels = Pixels.of(frames.shape[1:], None, ())
        result, fault = reduced(
            payloads, dtype.itemsize, pixels, low=low, high=high, saturated=saturated, decoder=decoder
        )
        assert fault[0] == 0
        np.testing.assert_array_equal(result.counts[:, 0], expected(frames, everything, low, high))
        np.testing.assert_array_equal(result.extra[:, SATURATED], (frames >= saturated).sum(axis=(1, 2)))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize("shape", [(37, 53), (40, 130), (130, 7), (3, 200)])
@pytest.mark.parametrize("low", [0, 1])
def test_regions_moments_images_and_lengths(dtype, shape, low, eiger_chunks):
    frames = frames_of(dtype, shape, mean=2.5)
    pixel_mask = (RNG.random(shape) < 0.1).astype(np.uint32)
    regions = (
        Rectangle(x0=1, y0=1, x1=4, y1=30),
        Ellipse(x=20, y=10, a=15, b=6),
        Annulus(x=2, y=2, inner=1, outer=90),
        Rectangle(x0=-5, y0=-5, x1=0, y1=0),
    )
    pixels = Pixels.of(shape, pixel_mask, regions)
    item, bits = frames.dtype.itemsize, 8 * frames.dtype.itemsize
    high = min(4500, 2**bits - 2)
    result, fault = reduced(eiger_chunks.encoded(frames, "bslz4", 72), item, pixels, low=low, high=high, extras=True)
    plain, other = reduced(
        eiger_chunks.encoded(frames, "raw"), item, pixels, low=low, high=high, extras=True, decoder=0
    )
    assert fault[0] == other[0] == 0
    for mine, theirs in zip(result[:5], plain[:5], strict=True):
        np.testing.assert_array_equal(mine, theirs)

    good, values = pixel_mask == 0, frames.astype(np.int64)
    for place, region in zip(pixels.columns, regions, strict=True):
        np.testing.assert_array_equal(
            result.counts[:, place], expected(frames, good & region.to_mask(shape), low, high)
        )
    kept = good & (values >= low) & (values <= high)
    weight = np.where(kept, values, 0)
    y, x = np.mgrid[: shape[0], : shape[1]]
    np.testing.assert_array_equal(result.extra[:, MOMENT_X], (weight * x).sum(axis=(1, 2)))
    np.testing.assert_array_equal(result.extra[:, MOMENT_Y], (weight * y).sum(axis=(1, 2)))

    def unsliced(image):
        bits = np.unpackbits(image.view(np.uint8), axis=1, bitorder="little")[:, : good.size].astype(np.int64)
        return (bits << np.arange(len(image))[:, None]).sum(axis=0).reshape(shape)

    np.testing.assert_array_equal(unsliced(result.image), weight.sum(axis=0))
    np.testing.assert_array_equal(unsliced(result.missing), (good & ~kept).sum(axis=0))
    lengths = np.zeros(66, np.int64)
    for value in values[:, good].ravel().tolist():
        lengths[value.bit_length()] += value > 0
    lengths[65] = (values[:, good] == 2**bits - 1).sum()
    np.testing.assert_array_equal(result.lengths, lengths)


@pytest.mark.parametrize(
    "name",
    [
        "real_eiger4m_u32_bslz4_1frame.h5",
        "eiger1_testmode10_2datafiles_4images_bslz4_data_000001.h5",
        "eiger2_simread7_2datafiles_4images_bslz4_uint8_data_000001.h5",
        "eiger2_simread7_2datafiles_4images_bslz4_data_000001.h5",
        "eiger2_simread7_2datafiles_4images_bslz4_uint32_data_000001.h5",
    ],
)
def test_real_frames(name, shared):
    with h5py.File(shared / "data" / "eiger" / name) as file:
        data = file["entry/data/data"]
        payload, frame = data.id.read_direct_chunk((0, 0, 0))[1], data[:1]
    everything = np.ones(frame.shape[1:], np.bool_)
    for low, high in ((0, 4500), (1, 4500), (3, 77)):
        result, fault = reduced(
            [payload], frame.dtype.itemsize, Pixels.of(frame.shape[1:], None, ()), low=low, high=high
        )
        assert fault[0] == 0
        top = min(high, np.iinfo(frame.dtype).max)
        np.testing.assert_array_equal(result.counts[:, 0], expected(frame, everything, low, top))


def test_every_fault_says_what_is_wrong(eiger_chunks):
    frames = frames_of("uint16", (64, 96))
    whole = eiger_chunks.encoded(frames, "bslz4", 1024)[0]
    second = eiger_chunks.blocks_of(whole)[1]
    pixels = Pixels.of((64, 96), None, ())

    def put(at, form, value):
        spoiled = bytearray(whole)
        struct.pack_into(form, spoiled, at, value)
        return bytes(spoiled)

    cases = [
        (whole[:7], REST),
        (b"", REST),
        (whole[:-1], ENDS),
        (whole + b"\0", REST),
        (whole[: second + 2], ENDS),
        (put(0, ">Q", 12286), LENGTH),
        (put(0, ">Q", 2**64 - 1), LENGTH),
        (put(8, ">I", 0), BLOCK),
        (put(8, ">I", 1000), BLOCK),
        (put(second, ">I", 2**32 - 1), ENDS),
        (put(second + 4, ">Q", 2**64 - 1), BROKEN),
    ]
    for payload, which in cases:
        fault = reduced([whole, payload], 2, pixels)[1]
        assert (fault[0], fault[4]) == (which, 1), (payload[:20], fault)
        assert "{" not in FAULTS[which].format(at=fault[1], found=fault[2], expected=fault[3])
    assert reduced([whole[:-2]], 2, pixels, decoder=0)[1][0] == LENGTH
    # another block length is no fault by itself, but these blocks then have the wrong one
    assert reduced([put(8, ">I", 4096)], 2, pixels)[1][0] in {BROKEN, ENDS, REST}


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_frames_never_crash(data, eiger_chunks):
    dtype = np.dtype(data.draw(st.sampled_from(["uint8", "uint16", "uint32"])))
    frames = np.arange(40 * 33).reshape(1, 40, 33).astype(dtype)
    whole = bytearray(eiger_chunks.encoded(frames, "bslz4", 64)[0])
    places = st.one_of(st.integers(0, 40), st.integers(0, len(whole) - 1))
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(places)] = data.draw(st.integers(0, 255))
    payload = bytes(whole[: data.draw(st.integers(0, len(whole)))]) if data.draw(st.booleans()) else bytes(whole)
    pixels = Pixels.of((40, 33), None, (Ellipse(x=9, y=9, a=8, b=8),))
    result, fault = reduced([payload], dtype.itemsize, pixels, extras=True)
    assert fault[0] or result.counts[0, 0, [VALID, LOW, HIGH]].sum() == 40 * 33
    assert fault[0] or result.counts[0, 0, SUM] <= 40 * 33 * 4500
