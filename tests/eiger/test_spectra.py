"""Spectra against sines that are known, plain sums, and the line in the synthetic series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.signal
import xarray as xr

from detcore.eiger.spectra import allan_deviation, autocorrelation, spectral_lines, spectrogram, spectrum

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RATE = 1000.0
RNG = np.random.default_rng(5)


def series(values: NDArray[Any], frames: NDArray[Any] | None = None, dt: float | None = 1 / RATE) -> xr.Dataset:
    frames = np.arange(1, len(values) + 1) if frames is None else frames
    valid = np.ones(len(values), np.int64)
    return xr.Dataset(
        {"sum": ("frame", np.rint(values).astype(np.int64)), "n_valid": ("frame", valid)},
        {"frame": frames},
        {"frame_time": dt},
    )


def wave(n: int, *lines: tuple[float, float], mean: float = 1e8, noise: float = 0.0) -> NDArray[np.float64]:
    """Sines of (Hz, relative amplitude) on a mean, with relative noise."""
    t = np.arange(n) / RATE
    return mean * (1 + sum(a * np.sin(2 * np.pi * f * t + f) for f, a in lines) + RNG.normal(0, noise, n))


def test_amplitude_and_frequency_of_lines() -> None:
    data = series(wave(2000, (50, 0.006), (123.25, 0.002), (310, 0.001), noise=1e-4))
    found = spectral_lines(data, 3)
    np.testing.assert_allclose(found["frequency"], [50, 123.25, 310], atol=0.02)
    np.testing.assert_allclose(found["amplitude"], [0.6, 0.2, 0.1], rtol=0.03)
    assert (found["chance"] < 1e-9).all()
    whole = spectrum(data)
    assert (whole.attrs["nyquist"], whole.attrs["resolution"]) == (500, 0.5)
    assert float(whole["amplitude"].sel(frequency=50)) == pytest.approx(0.6, rel=0.01)
    assert whole["frequency"].attrs["units"] == "Hz"
    assert float(whole["amplitude"].sel(frequency=slice(200, 300)).mean()) < 0.002


def test_white_noise_has_no_lines_and_the_shot_noise_level() -> None:
    values = RNG.poisson(1e6, 8000)
    found = spectrum(values, frame_time=1 / RATE)
    rms = float(np.sqrt((found["amplitude"][5:] ** 2).mean()))
    assert rms == pytest.approx(float(found["shot_noise"]), rel=0.03)
    assert (spectral_lines(values, frame_time=1 / RATE)["chance"] > 0.001).all()


@pytest.mark.parametrize("lost", [[], [100, 101, 102, 700], list(range(300, 690))])
def test_missing_frames_and_outliers_leave_the_line_where_it_is(lost: list[int]) -> None:
    values = wave(1000, (50, 0.006), noise=2e-4)
    values[[77, 500]] = [0, 5e8]
    kept = np.setdiff1d(np.arange(1000), lost)
    found = spectral_lines(series(values[kept], kept + 1), 1)
    assert found["frequency"][0] == pytest.approx(50, abs=0.1)
    assert found["amplitude"][0] == pytest.approx(0.6, rel=0.05)
    squeezed = spectral_lines(values[kept], 1, frame_time=1 / RATE)
    if len(lost) > 100:
        assert abs(squeezed["frequency"][0] - 50) > 0.01  # numbers matter: without them the phase jumps
    every_second = spectral_lines(series(values[::2], np.arange(1, 1001, 2)), 1)
    assert every_second["frequency"][0] == pytest.approx(50, abs=0.1)
    assert spectrum(series(values[::2], np.arange(1, 1001, 2))).attrs["nyquist"] == 250


def test_the_planted_line_is_found(shared: Path) -> None:
    truth = np.load(shared / "data/eiger/synth500k_u16_truth.npz")
    line = spectral_lines(truth["sums_le_4500"], 5, frame_time=float(truth["frame_time"])).iloc[0]
    assert line["frequency"] == pytest.approx(50, abs=0.5)
    assert line["amplitude"] == pytest.approx(0.6, rel=0.1)
    assert line["alias"].startswith("50 Hz (mains 50 Hz); ")
    assert line["chance"] < 0.01


@pytest.mark.parametrize(
    ("rate", "real", "seen", "note"),
    [
        (133, 100, 33, "100 Hz (mains 50 Hz x 2) folded: |100 - 1 x 133|"),
        (90, 60, 30, "60 Hz (mains 60 Hz) folded: |60 - 1 x 90|"),
        (70, 150, 10, "150 Hz (mains 50 Hz x 3) folded: |150 - 2 x 70|"),
    ],
)
def test_alias_note_names_the_mains(rate: float, real: float, seen: float, note: str) -> None:
    t = np.arange(3000) / rate
    found = spectral_lines(1e7 * (1 + 0.01 * np.sin(2 * np.pi * real * t)), 1, frame_time=1 / rate)
    assert found["frequency"][0] == pytest.approx(seen, abs=0.05)
    assert note in found["alias"][0]
    frequency = float(found["frequency"][0])
    assert f"{rate - frequency:.4g} or {rate + frequency:.4g} Hz" in found["alias"][0]


def test_without_a_frame_time_the_unit_is_one_per_frame() -> None:
    data = series(wave(1000, (50, 0.01)), dt=None)
    assert spectrum(data)["frequency"].attrs["units"] == "1/frame"
    line = spectral_lines(data, 1)
    assert line["frequency"][0] == pytest.approx(0.05, abs=1e-4)
    assert line["alias"][0] == ""
    assert allan_deviation(data)["tau"].attrs["units"] == "frame"
    assert autocorrelation(data)["lag"].values[:3].tolist() == [0, 1, 2]


def test_allan_deviation_of_white_noise_falls_with_the_root() -> None:
    values = 1e6 * (1 + RNG.normal(0, 0.01, 20_000))
    found = allan_deviation(values, frame_time=0.5)
    tau, deviation = found["tau"].values, found["deviation"].values
    early = tau <= 100
    np.testing.assert_allclose(deviation[early], (0.01 * np.sqrt(0.5 / tau))[early], rtol=0.15)
    np.testing.assert_allclose(found["white_noise"], deviation[0] * np.sqrt(0.5 / tau))
    np.testing.assert_allclose(found["shot_noise"], 1 / np.sqrt(values.mean() * tau / 0.5), rtol=1e-9)


def test_allan_deviation_is_the_plain_sum() -> None:
    values = RNG.normal(1000, 30, 101)
    found = allan_deviation(values, frame_time=0.1)
    for tau, deviation in zip(found["tau"].values, found["deviation"].values, strict=True):
        m = round(tau / 0.1)
        means = np.array([values[i : i + m].mean() for i in range(101 - m + 1)])
        expected = np.sqrt(0.5 * np.mean((means[m:] - means[:-m]) ** 2)) / values.mean()
        assert deviation == pytest.approx(expected, rel=1e-9)
    assert found["tau"].max() == pytest.approx(5.0)


def test_allan_deviation_of_a_drift_rises() -> None:
    values = 1e6 * (1 + 1e-4 * np.arange(1000))
    found = allan_deviation(values, frame_time=1.0)
    expected = 1e-4 * found["tau"].values / np.sqrt(2) * 1e6 / values.mean()  # a straight line: slope tau / sqrt(2)
    np.testing.assert_allclose(found["deviation"], expected, rtol=1e-6)
    hit = values + RNG.normal(0, 10, 1000)
    struck = hit.copy()
    struck[500] = 0
    np.testing.assert_allclose(
        allan_deviation(struck)["deviation"][-5:], allan_deviation(hit)["deviation"][-5:], rtol=0.05
    )


def test_autocorrelation_is_the_plain_sum() -> None:
    values = scipy.signal.lfilter([1], [1, -0.8], RNG.normal(0, 1, 400)) + 1000
    found = autocorrelation(values, "none", frame_time=0.01, max_lag=60)
    x = values - values.mean()
    expected = [np.mean(x[: len(x) - k] * x[k:]) for k in range(61)] / np.mean(x * x)
    np.testing.assert_allclose(found["autocorrelation"], expected, atol=1e-12)
    np.testing.assert_allclose(found["lag"], np.arange(61) * 0.01)
    assert found.attrs["band"] == pytest.approx(1.96 / 20)
    kept = np.setdiff1d(np.arange(400), [7, 50, 51, 200])
    gappy = autocorrelation(series(1000 * values[kept], kept + 1), "none", max_lag=3)["autocorrelation"]
    y = np.full(400, np.nan)
    y[kept] = np.rint(1000 * values[kept]) - np.rint(1000 * values[kept]).mean()
    plain = [np.nanmean(y[: 400 - k] * y[k:]) for k in range(4)] / np.nanmean(y * y)
    np.testing.assert_allclose(gappy, plain, atol=1e-9)


def test_spectrogram_shows_when_a_line_comes() -> None:
    values = wave(4096, noise=1e-3)
    t = np.arange(4096) / RATE
    values[2048:] += 1e8 * 0.01 * np.sin(2 * np.pi * 125 * t[2048:])
    found = spectrogram(values, window=256, frame_time=1 / RATE)
    line = found["amplitude"].sel(frequency=125)
    assert line.sel(time=slice(0, 1.9)).max() < 0.05
    np.testing.assert_allclose(line.sel(time=slice(2.2, 4)), 1.0, rtol=0.03)
    assert found["amplitude"].shape == (129, 31)
    assert float(found["time"][0]) == pytest.approx(127.5 / RATE)
    long = spectrogram(RNG.normal(1000, 1, 300_000), window=16)
    assert long.sizes["time"] <= 2000


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("values", ["constant", "zero", "random"])
def test_short_and_constant_series(n: int, values: str) -> None:
    x = {"constant": np.full(n, 7), "zero": np.zeros(n, int), "random": RNG.integers(50, 99, n)}[values]
    for method in ("none", "linear", "highpass:10"):
        data = series(x)
        assert np.isfinite(spectrum(data, method)["amplitude"]).all()
        assert len(spectral_lines(data, 5, method)) <= n
        assert np.isfinite(allan_deviation(data, method)["deviation"]).all()
        found = autocorrelation(data, method)["autocorrelation"]
        assert found.size <= max(n, 0)
        assert np.isfinite(found).all()
        assert spectrogram(data, method)["amplitude"].size >= 0
    if values != "random":
        assert spectral_lines(data).empty
        assert (spectrum(data)["amplitude"] < 1e-10).all()


def test_a_million_frames() -> None:
    values = 1e6 * (1 + 0.001 * np.sin(np.arange(1_000_003) * 0.3) + RNG.normal(0, 1e-3, 1_000_003))
    line = spectral_lines(values, 1, frame_time=1.0)
    assert line["frequency"][0] == pytest.approx(0.3 / (2 * np.pi), abs=1e-6)
    assert line["amplitude"][0] == pytest.approx(0.1, rel=0.05)
