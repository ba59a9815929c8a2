"""Running sums and averages against NumPy over all frames."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import xarray as xr

from detcore.area.images import running as module
from detcore.area.images import runningkernels as kernels
from detcore.area.images.running import Rules, RunningSums
from detcore.area.reductions import Average, PixelSpectra
from detcore.area.reductions_azimuthal import Plane
from detcore.area.steps import SplitGain
from detcore.core.accumulators import total

RNG = np.random.default_rng(0)
SHAPE = (3, 700)  # more than one block of pixels


def frames_of(dtype, n=21):
    values = RNG.poisson(30, (n, *SHAPE)).astype(dtype)
    if values.dtype.kind == "f":
        values[RNG.random(values.shape) < 0.1] = np.nan
    return values


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "i4", "u4", "f4", "f8"])
@pytest.mark.parametrize("rules", [Rules(), Rules(low=20, high=40), Rules(threshold=28.5), Rules(low=20, threshold=25)])
def test_every_type_agrees_with_numpy(dtype, rules):
    frames = frames_of(dtype)
    sums = RunningSums(SHAPE, np.dtype(dtype), rules)
    for part in np.split(frames, [2, 3, 20]):
        sums.add(part)
    values = frames.astype(np.float64)
    values[(values < rules.low) | (values > rules.high)] = np.nan
    there = ~np.isnan(values)
    hits = there if rules.threshold is None else there & (values >= rules.threshold)
    kept = np.where(there, np.where(hits, values, 0), np.nan)
    np.testing.assert_array_equal(sums.n, there.sum(0))
    np.testing.assert_array_equal(sums.n_hits, hits.sum(0))
    np.testing.assert_allclose(sums.mean, np.nanmean(kept, axis=0), rtol=1e-12)
    np.testing.assert_allclose(sums.std, np.nanstd(kept, axis=0), atol=1e-6)
    np.testing.assert_array_equal(sums.max, np.nanmax(kept, axis=0))
    np.testing.assert_array_equal(sums.min, np.nanmin(kept, axis=0))


def test_16_bits_are_exact_near_their_end():
    frames = np.full((300, 2, 2), 65535, np.uint16)
    frames[1::2, 0, 0] = 65533
    sums = RunningSums((2, 2), frames.dtype)
    sums.add(frames)
    assert sums.std.tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert sums.sum[1, 1] == 300 * 65535


@pytest.mark.parametrize("limits", [(70000, np.inf), (-5, -1), (10, 5)])
def test_limits_that_nothing_fits(limits):
    sums = RunningSums((2, 2), np.dtype(np.uint16), Rules(*limits))
    sums.add(np.ones((3, 2, 2), np.uint16))
    assert sums.n.tolist() == [[0, 0], [0, 0]]
    assert np.isnan([sums.mean, sums.std, sums.max, sums.min]).all()


@pytest.mark.parametrize("n", [1, 3, 4, 16, 17, 39])
@pytest.mark.parametrize("top", [16383, 16384, 65535])
def test_squares_are_exact_where_they_stop_to_fit_into_32_bits(top, n):
    frames = np.full((n, 1, kernels.WIDE + 5), 7, np.uint16)
    frames[:, 0, 3] = top
    frames[0, 0, -1] = top
    sums = RunningSums(frames.shape[1:], frames.dtype)
    sums.add(frames)
    sums.flush()
    wide = frames.astype(np.uint64)
    np.testing.assert_array_equal(sums.squares, (wide**2).sum(axis=0).ravel())
    np.testing.assert_array_equal(sums.total, wide.sum(axis=0).ravel())
    np.testing.assert_array_equal(sums.largest, frames.max(axis=0).ravel())
    np.testing.assert_array_equal(sums.smallest, frames.min(axis=0).ravel())


def test_frames_wait_and_are_not_lost(monkeypatch):
    monkeypatch.setattr(module, "MAX_PENDING", 3 * 2100 * 2)
    frames = frames_of("u2", 10)
    sums = RunningSums(SHAPE, frames.dtype)
    for frame in frames[:5]:
        sums.add(frame[None])
    other = RunningSums(SHAPE, frames.dtype)
    other.add(frames[5:6])
    other = pickle.loads(pickle.dumps(other))
    other.add(frames[6:])
    sums.merge(other)
    np.testing.assert_allclose(sums.mean, frames.mean(0))
    assert sums.frames == 10


def test_medians_are_exact_with_a_bin_for_each_number():
    frames = frames_of("u2", 20)
    sums = RunningSums(SHAPE, frames.dtype, Rules(bins=(-0.5, 99.5, 100)))
    sums.add(frames)
    np.testing.assert_allclose(sums.median, np.median(frames, axis=0))
    narrow = RunningSums(SHAPE, frames.dtype, Rules(bins=(100, 200, 10)))
    narrow.add(frames)
    assert np.isnan(narrow.median).all()  # outside of the bins
    with pytest.raises(ValueError, match="need bins"):
        RunningSums(SHAPE, frames.dtype).median  # noqa: B018
    with pytest.raises(ValueError, match="take at most"):
        RunningSums((4000, 4000), frames.dtype, Rules(bins=(0, 1, 256)))


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        RunningSums((2, 2), np.dtype("u2")).add(np.zeros((1, 2, 3), np.uint16))
    with pytest.raises(ValueError, match="thresholds of 3 pixels"):
        RunningSums((2, 2), np.dtype("f4"), Rules(threshold=np.zeros(3)))


def chunk(values, **attrs):
    dims = ("frame", "module", "y", "x")[-values.ndim :] if values.ndim == 4 else ("frame", "y", "x")
    return xr.Dataset({"data": (dims, values, {"units": "ADU"})}, attrs=attrs)


def test_the_average_keeps_to_the_limits_of_the_detector():
    values = np.array([[[1, 65535, 7]], [[3, 65534, 9]]], np.uint16)
    found = total(Average(), chunk(values, saturation=65533, underload=None))
    assert found["mean"].values.tolist()[0][::2] == [2.0, 8.0]
    assert found.n_valid.values.tolist() == [[2, 0, 2]]
    assert np.isnan(found["mean"].values[0, 1])
    assert total(Average(limits=False), chunk(values, saturation=5))["max"].values[0, 1] == 65535
    assert found["mean"].units == "ADU"
    assert int(found.n_frames) == 2


def test_histograms_widen_before_they_overflow(monkeypatch):
    """Two bytes for each bin are enough for 65,535 frames; here for 5."""
    monkeypatch.setattr("detcore.area.images.running.FRAMES_COUNTED", 5)
    frames = np.random.default_rng(5).integers(0, 100, (12, *SHAPE)).astype(np.uint16)
    rules = Rules(bins=(-0.5, 99.5, 100))
    long, short = RunningSums(SHAPE, frames.dtype, rules), RunningSums(SHAPE, frames.dtype, rules)
    for one in frames[:8]:
        long.add(one[None])
        long.flush()
    assert long.counts.dtype == np.uint32
    short.add(frames[8:])
    short.flush()
    assert short.counts.dtype == np.uint16
    short.merge(long)
    np.testing.assert_allclose(short.median, np.median(frames, axis=0))


def test_the_median_states_its_resolution():
    found = total(Average(median_range=(0, 64), median_bins=128), chunk(frames_of("f4")))
    assert found.attrs["median_resolution"] == 0.5
    assert found["median"].dims == ("y", "x")


def test_thresholds_in_units_of_the_noise():
    values = np.array([[[5, 5]], [[9, 9]]], np.float32)
    found = total(Average(noise=Plane(np.array([[1.0, 4.0]])), noise_threshold=2), chunk(values))
    assert found.n_hits.values.tolist() == [[2, 1]]
    assert found["mean"].values.tolist() == [[7.0, 4.5]]
    with pytest.raises(ValueError, match="of another detector"):
        total(Average(noise=Plane(np.ones((2, 2))), noise_threshold=2), chunk(values))
    with pytest.raises(ValueError, match="needs the noise"):
        Average(noise_threshold=2)


def test_gain_ranges_have_averages_of_their_own():
    raw = np.array([[[100, 0x4000 + 30, 0xC000 + 7]], [[102, 50, 0xC000 + 9]]], np.uint16)
    found = total(Average(gains=3).after(SplitGain(detector_type="jungfrau")), chunk(raw))
    assert found["mean"].dims == ("gain", "y", "x")
    assert found.n_valid.values[:, 0].tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 2]]
    assert found["mean"].values[0, 0, 0] == 101
    assert found["mean"].values[2, 0, 2] == 8
    assert np.isnan(found["mean"].values[1, 0, 0])


def test_spectra_of_pixels():
    values = frames_of("f4", 50)
    reduction = PixelSpectra(pixels=((0, 3), (2, 699)), low=10, high=50, bins=8)
    found = total(reduction, chunk(values))
    for number, place in enumerate([(0, 3), (2, 699)]):
        mine = values[(slice(None), *place)]
        inside = mine[(mine >= 10) & (mine < 50)]
        np.testing.assert_array_equal(found.counts[number], np.histogram(inside, 8, (10, 50))[0])
        assert int(found.missing[number]) == np.isnan(mine).sum()
        assert int(found.counts[number].sum() + found.below[number] + found.above[number] + found.missing[number]) == 50
    assert found.pixel_index.values.tolist() == [[0, 3], [2, 699]]
    whole = total(PixelSpectra(low=10, high=50, bins=8), chunk(values))
    assert whole.counts.shape == (1, 8)
    assert int(sum(whole[name].sum() for name in ("counts", "below", "above", "missing"))) == values.size
    with pytest.raises(ValueError, match="there is no pixel"):
        total(PixelSpectra(pixels=((3, 0),)), chunk(values))
    with pytest.raises(ValueError, match="low < high"):
        PixelSpectra(low=3, high=3)
