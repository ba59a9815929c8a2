"""The reduction: truth files, every encoding alike, the 8-bit trap, order and duplicates, what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from detcore.core.parameters import InvalidParameters
from detcore.eiger import lz4
from detcore.eiger.reductions import Intensity, Limits, NamedRegion
from detcore.eiger.selection import pixels_of
from detcore.image import Rectangle

RNG = np.random.default_rng(11)
COUNTS = ("sum", "n_valid", "n_low", "n_high")


def frames_of(dtype="uint16", shape=(20, 33), n=5):
    values = RNG.poisson(1.5, (n, *shape)).astype(dtype)
    values[:, 7] = np.iinfo(dtype).max  # a gap
    return values


def total(reduction, *chunks):
    state = reduction.empty(chunks[0])
    for chunk in chunks:
        reduction.update(state, chunk)
    return reduction.finalize(state)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_every_encoding_gives_the_same(dtype, eiger_chunks):
    frames = frames_of(dtype)
    pixel_mask = np.zeros((20, 33), np.uint32)
    pixel_mask[3:5], pixel_mask[0, 0] = 1, 1 << 31  # the virtual-pixel bit alone does not reject
    region = NamedRegion(name="left", region=Rectangle(x0=0, y0=0, x1=12, y1=20))
    for wanted in (
        Intensity(low=1, high=4),
        Intensity(regions=(region,), centre=True, histogram=True, mean_image=True),
    ):
        chunks = [
            eiger_chunks.chunk_of(frames, encoding, block=block, pixel_mask=pixel_mask)
            for encoding, block in (("bslz4", 0), ("bslz4", 40), ("lz4", 0), ("lz4", 100), ("raw", 0))
        ]
        results = [total(wanted, chunk) for chunk in chunks]
        for other in results[1:]:
            assert other.equals(results[0])
            assert other.attrs == results[0].attrs
    kept = (
        (frames < np.iinfo(dtype).max)
        & (np.arange(20) // 2 * 2 != 3)[:, None]
        & ~np.isin(np.arange(20), (3, 4))[:, None]
    )
    plain = total(Intensity(), chunks[0])
    np.testing.assert_array_equal(plain["sum"], np.where(kept, frames, 0).sum(axis=(1, 2), dtype=np.int64))
    assert plain.attrs["n_masked"] == 66
    assert plain["sum"].dtype == np.int64
    assert plain["sum"].attrs["units"] == "counts"


def test_eight_bit_gaps_are_summed_by_the_original_rule_only(eiger_chunks):
    frames = frames_of("uint8")
    chunk = eiger_chunks.chunk_of(frames, "bslz4")
    ours, original = total(Intensity(), chunk), total(Intensity(pixel_mask=False), chunk)
    np.testing.assert_array_equal(original["sum"], frames.sum(axis=(1, 2), dtype=np.int64))
    np.testing.assert_array_equal(original["sum"] - ours["sum"], 255 * 33)
    np.testing.assert_array_equal(ours["n_high"], 33)
    np.testing.assert_array_equal(original["n_high"], 0)
    np.testing.assert_array_equal(ours["n_valid"] + ours["n_low"] + ours["n_high"], 660)


@pytest.mark.parametrize("high", [65534, 65535, 10**6])
def test_all_ones_never_count_with_the_mask_and_do_without_if_the_limit_lets_them(high, eiger_chunks):
    frames = frames_of()
    chunk = eiger_chunks.chunk_of(frames, "bslz4")
    values = frames.astype(np.int64)
    np.testing.assert_array_equal(
        total(Intensity(high=high), chunk)["sum"], np.where(values < 65535, values, 0).sum(axis=(1, 2))
    )
    np.testing.assert_array_equal(
        total(Intensity(high=high, pixel_mask=False), chunk)["sum"],
        np.where(values <= high, values, 0).sum(axis=(1, 2)),
    )


def test_all_masked_frames_are_zero_not_missing(eiger_chunks):
    chunk = eiger_chunks.chunk_of(frames_of(), "bslz4", pixel_mask=np.ones((20, 33), np.uint32))
    result = total(Intensity(centre=True, mean_image=True, histogram=True), chunk)
    for name in (*COUNTS, "n_saturated"):
        assert not result[name].any()
    assert np.isnan(result.center_x).all()
    assert np.isnan(result.mean_image).all()
    assert result.value_counts.sum() == result.n_overflow == 0


def test_the_mean_image_is_over_the_frames_in_which_a_pixel_was_kept(eiger_chunks):
    frames = frames_of(n=70)
    frames[::3, 2, 5] = 5000
    frames[:, 2, 6] = 5000
    chunk = eiger_chunks.chunk_of(frames, "bslz4")
    wanted = Intensity(mean_image=True)
    one, two = wanted.empty(chunk), wanted.empty(chunk)
    wanted.update(one, chunk)
    for _ in range(3):
        wanted.update(two, chunk)
    wanted.merge(one, two)
    result = wanted.finalize(one)
    kept = frames <= 4500
    with np.errstate(invalid="ignore"):
        mean = np.where(kept, frames, 0).sum(axis=0) / kept.sum(axis=0)
    np.testing.assert_allclose(result.mean_image, mean, rtol=1e-6)
    assert np.isnan(result.mean_image.values[2, 6])
    assert result.image_frames == 280


def test_frames_come_in_order_and_once(eiger_chunks):
    frames = frames_of(n=6)
    late = eiger_chunks.chunk_of(frames[3:], "bslz4", first=4, file="a_000002.h5")
    early = eiger_chunks.chunk_of(frames[:4], "bslz4", first=1, file="a_000001.h5")
    again = eiger_chunks.chunk_of(frames[:1] * 0, "bslz4", first=2, file="a_000010.h5")
    result = total(Intensity(), again, late, early)
    assert result.frame.values.tolist() == [1, 2, 3, 4, 5, 6]
    np.testing.assert_array_equal(result["sum"], np.where(frames < 65535, frames, 0).sum(axis=(1, 2)))
    assert total(Intensity(last=2), late, early).frame.values.tolist() == [5, 6]


def test_many_chunks_and_a_travelled_state(eiger_chunks):
    frames, wanted = frames_of(n=200), Intensity(histogram=True)
    state = wanted.empty(eiger_chunks.chunk_of(frames[:0], "raw"))
    for first in range(0, 200, 2):
        wanted.update(state, eiger_chunks.chunk_of(frames[first : first + 2], "raw", first=first + 1))
        state = pickle.loads(pickle.dumps(state)) if first % 50 == 0 else state
    result = wanted.finalize(state)
    np.testing.assert_array_equal(result.frame, np.arange(1, 201))
    np.testing.assert_array_equal(result["sum"], np.where(frames < 65535, frames, 0).sum(axis=(1, 2)))
    assert int(result.value_counts.sum() + result.n_overflow) == 200 * 660


def test_saturation_is_what_the_file_says_or_all_ones(eiger_chunks):
    frames = frames_of()
    frames[1, 0, :3] = 3000
    for known, count in ((None, 33), (3000, 36), (2**31, 33), (0, 33), (-4.0, 33)):
        result = total(Intensity(), eiger_chunks.chunk_of(frames, "bslz4", saturation_value=known))
        assert result.n_saturated.values.tolist() == [33, count, 33, 33, 33], known


def test_signed_and_wide_numbers(eiger_chunks):
    frames = RNG.poisson(2, (3, 8, 9)).astype(np.int64)
    frames[:, 0, 0], frames[1, 1, 1] = -1, 2**40
    kept = (frames >= 0) & (frames <= 4500)
    for dtype in ("int64", "uint64", "int32"):
        chunk = eiger_chunks.chunk_of(np.where(frames > 2**31, -2, frames).astype(dtype), "raw")
        result = total(Intensity(histogram=True, mean_image=True), chunk)
        np.testing.assert_array_equal(result["sum"], np.where(kept, frames, 0).sum(axis=(1, 2)))
        assert result.n_high.values.tolist() == [1, 2, 1]


def test_regions_have_names_that_differ():
    box = Rectangle(x0=0, y0=0, x1=2, y1=2)
    with pytest.raises(InvalidParameters, match="two regions are called 'a'"):
        Intensity.checked({"regions": (NamedRegion(name="a", region=box), NamedRegion(name="a", region=box))})
    with pytest.raises(InvalidParameters, match="at most 32"):
        Intensity.checked({"regions": tuple(NamedRegion(name=str(n), region=box) for n in range(33))})


def test_limits_are_checked_and_have_a_text_form():
    with pytest.raises(InvalidParameters, match="low is 5 and high 4"):
        Limits.checked({"low": 5, "high": 4})
    with pytest.raises(InvalidParameters, match="low: Input should be greater than or equal to 0"):
        Limits.checked({"low": -1})
    limits = Limits(low=1, pixel_mask=False)
    assert limits.to_arguments() == ["--low", "1", "--no-pixel-mask"]
    assert Limits.from_query(limits.to_query()) == limits


def test_a_corrupt_frame_is_named(eiger_chunks):
    frames = frames_of(n=3)
    for encoding, at, what in (
        ("bslz4", 3, r"announces \d+ bytes, a frame has 1320"),
        ("bslz4", 16, "does not decode"),
        ("lz4", 16, "does not decode"),
        ("lz4", 7, "a frame has 1320"),
        ("raw", None, "announces 1319 bytes, a frame has 1320"),
    ):
        payloads = [bytearray(one) for one in eiger_chunks.encoded(frames, encoding)]
        if at is None:
            payloads[1] = payloads[1][:-1]
        else:
            payloads[1][at : at + 4] = b"\xff\xff\xff\xff"
        chunk = eiger_chunks.chunk_of(frames, encoding, first=11, payloads=[bytes(one) for one in payloads])
        for wanted in (Intensity(), Intensity(centre=True)):
            with pytest.raises(ValueError, match=rf"series_data_000001.h5: frame 12 is corrupt: .*({what})"):
                total(wanted, chunk)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "float32"}, "float32 pixels"),
        ({"encoding": "zip"}, "expected bslz4, lz4 or raw"),
        ({"dtype": "int64"}, "int64 pixels, bslz4"),
        ({"shape": (33, 20)}, r"its frames are \(33, 20\), those of the series \(20, 33\)"),
    ],
)
def test_strange_chunks_are_refused(change, message, eiger_chunks):
    chunk = eiger_chunks.chunk_of(frames_of(), "bslz4")
    with pytest.raises(ValueError, match=message):
        total(Intensity(), chunk.isel(frame=slice(0, 0), payload=slice(0, 0)), chunk.assign_attrs(change))
    with pytest.raises(ValueError, match="its frames take"):
        total(Intensity(), chunk.isel(payload=slice(0, -1)))


def test_a_mask_of_another_detector_is_refused(eiger_chunks):
    chunk = eiger_chunks.chunk_of(frames_of(), "bslz4", pixel_mask=np.zeros((4, 5), np.uint32))
    with pytest.raises(ValueError, match=r"the pixel mask is \(4, 5\), the frames are \(20, 33\)"):
        Intensity().empty(chunk)
    assert Intensity(pixel_mask=False).empty(chunk)


def test_masks_are_packed_once_and_told_apart():
    one, two = np.zeros((4, 5), np.uint32), np.ones((4, 5), np.uint32)
    first = pixels_of((4, 5), one, ())
    assert pixels_of((4, 5), one, ()) is first
    assert pixels_of((4, 5), two, ()) is not first
    assert pixels_of((4, 5), None, ()) is not first
    assert first.digest != pixels_of((4, 5), two, ()).digest
    assert pixels_of((4, 5), one.copy(), ()).digest == first.digest
    assert first.good.sum() == 20
    del one
    assert pixels_of((4, 5), None, ()).digest == "none"


def test_our_own_decoder_gives_the_same(eiger_chunks, monkeypatch):
    frames = frames_of()
    chunks = [eiger_chunks.chunk_of(frames, encoding) for encoding in ("bslz4", "lz4")]
    theirs = [total(Intensity(), chunk) for chunk in chunks]
    monkeypatch.setattr(lz4, "decoder", lz4.own)
    for chunk, expected in zip(chunks, theirs, strict=True):
        assert total(Intensity(), chunk).identical(expected)
