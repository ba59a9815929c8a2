"""Two series, and a beam current, that are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.stats
import xarray as xr

from detcore.eiger.compare import MAX_BYTES, compare, correlate
from detcore.eiger.spectra import spectrum

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(9)
DT = 0.01


def series(values: Any, frames: Any = None, **more: Any) -> xr.Dataset:
    values = np.rint(values).astype(np.int64)
    frames = np.arange(1, len(values) + 1) if frames is None else frames
    data = {"sum": ("frame", values), "n_valid": ("frame", np.ones(len(values), np.int64))}
    return xr.Dataset(data | more, {"frame": frames}, {"frame_time": DT})


def test_ratio_difference_and_table() -> None:
    t = np.arange(800) * DT
    first = 1e7 * (1 + 0.01 * np.sin(2 * np.pi * 10 * t))
    second = 3e7 * (1 + 0.004 * np.sin(2 * np.pi * 10 * t) + 0.002 * np.sin(2 * np.pi * 33 * t))
    found = compare(series(first), series(second), "none")
    expected = (np.rint(first) / np.rint(first).mean()) / (np.rint(second) / np.rint(second).mean())
    np.testing.assert_allclose(found.ratio, expected, rtol=1e-12)
    difference = found.spectrum["difference"]
    assert float(difference.sel(frequency=10)) == pytest.approx(0.6, rel=0.01)
    assert float(difference.sel(frequency=33)) == pytest.approx(-0.2, rel=0.01)
    np.testing.assert_allclose(found.spectrum["first"], spectrum(series(first), "none")["amplitude"])
    table = found.table.loc["mean"]
    assert (table["ratio"], table["unit"]) == (pytest.approx(1 / 3, rel=1e-3), "counts")
    assert table["difference"] == pytest.approx(table["first"] - table["second"])
    assert found.table.loc["cv", "ratio"] == pytest.approx(
        first.std() / first.mean() / (second.std() / second.mean()), rel=1e-3
    )


def test_only_common_frames_have_a_ratio() -> None:
    a, b = series([10, 20, 30, 40], [1, 2, 3, 4]), series([7, 7, 7], [2, 4, 9])
    found = compare(a, b, "none")
    assert found.ratio["frame"].values.tolist() == [2, 4]
    np.testing.assert_allclose(found.ratio, [20 / 25, 40 / 25])
    assert compare(a, series([1, 1], [7, 8])).ratio.size == 0
    for pair in ((series([]), a), (a, series([])), (series([0, 0, 0, 0]), a), (a, series([0, 0, 0, 0]))):
        assert compare(*pair).table.index[0] == "frames"


def test_series_of_different_length_and_rate() -> None:
    t = np.arange(1000)
    fast = series(1e7 * (1 + 0.01 * np.sin(2 * np.pi * 10 * t * 0.005))).assign_attrs(frame_time=0.005)
    slow = series(1e7 * (1 + 0.01 * np.sin(2 * np.pi * 10 * t[:700] * 0.01)))
    found = compare(fast, slow)
    assert found.spectrum["frequency"].max() == pytest.approx(50)
    assert abs(float(found.spectrum["difference"].sel(frequency=10))) < 0.02
    with pytest.raises(ValueError, match="frame_time for both"):
        compare(fast, np.arange(100))


@pytest.fixture
def current() -> Any:
    """Beam current in mA at 5 Hz for 12 s, with a top-up in the middle."""
    when = np.arange(0, 12, 0.2)
    return when, 200 - when + np.where(when > 5, 4, 0)


def written(path: Path, header: str, *columns: Any) -> Path:
    lines = [",".join(f"{one:.9g}" for one in row) for row in zip(*columns, strict=True)]
    path.write_text("\n".join([header, *lines, ""]))
    return path


def test_what_follows_the_current_is_found_and_divided_out(tmp_path: Path, current: Any) -> None:
    when, level = current
    t = np.arange(1000) * DT
    flux = np.interp(t, when, level)
    values = 5e4 * flux * (1 + RNG.normal(0, 1e-4, 1000))
    data = series(values)
    found = correlate(data, written(tmp_path / "a.csv", "time_s, current (mA)", when, level))
    np.testing.assert_allclose(found["current"], flux, rtol=1e-8)
    assert found.attrs["column"] == "current (mA)"
    assert found.attrs["pearson"] == pytest.approx(scipy.stats.pearsonr(np.rint(values), flux).statistic)
    assert found.attrs["pearson"] > 0.999
    np.testing.assert_allclose(found["corrected"], np.rint(values) / flux * flux.mean(), rtol=1e-7)
    assert found.attrs["cv"] == pytest.approx(100 * np.rint(values).std(ddof=1) / values.mean(), rel=1e-6)
    assert found.attrs["cv_corrected"] == pytest.approx(0.01, rel=0.1)
    by_frame = written(tmp_path / "b.csv", "frame,mA,other", when / DT + 1, level, level * 0)
    np.testing.assert_allclose(correlate(data, by_frame)["current"], flux, rtol=1e-7)
    assert correlate(data, by_frame, "mA").attrs["column"] == "mA"
    assert np.isnan(correlate(data, by_frame, "other").attrs["pearson"])


def test_time_stamps_decide_and_frames_outside_are_left_out(tmp_path: Path, current: Any) -> None:
    when, level = current
    stamps = 1.7e9 + np.arange(1000) * 0.012  # later than the frame time says
    data = series(np.full(1000, 5), start_time=("frame", stamps))
    path = written(tmp_path / "a.csv", "time,mA", 0.5 + when[:51], level[:51])
    path.write_text(
        "\n".join(["time;mA", *(f"{1.7e9 + 0.5 + w:.3f};{v}" for w, v in zip(when[:51], level[:51], strict=True))])
    )
    found = correlate(data, path)
    inside = (stamps >= 1.7e9 + 0.5) & (stamps <= 1.7e9 + 10.5)
    assert found["frame"].values.tolist() == (np.flatnonzero(inside) + 1).tolist()
    assert found.attrs["n_outside"] == (~inside).sum()
    np.testing.assert_allclose(
        found["current"], np.interp(stamps[inside] - 1.7e9 - 0.5, when[:51], level[:51]), atol=1e-3
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("when,mA\n1,2\n", "a column 'frame'"),
        ("time\n1\n", "with the current"),
        ("time,mA\nx,y\n", "numbers in 'time' and 'mA'"),
        ("time,mA\n", "numbers in"),
        ("", "CSV table"),
        ("time,mA\n500,1\n600,2\n", "readings during the series"),
        ("\0\0\0", "expected"),
        ("time,mA\n" + "1,2,3,4\n" * 3 + '"', "expected"),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "current.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as caught:
        correlate(series([1, 2, 3]), path)
    assert str(path) in str(caught.value)


def test_a_column_that_is_not_there_and_an_endless_file(tmp_path: Path) -> None:
    path = tmp_path / "current.csv"
    path.write_text("frame,mA\n1,2\n9,3\n")
    with pytest.raises(ValueError, match="kA"):
        correlate(series([1, 2, 3]), path, "kA")
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # sparse
    with pytest.raises(ValueError, match="bytes of CSV"):
        correlate(series([1, 2, 3]), path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="CSV table"):
        correlate(series([1, 2, 3]), path)
    with pytest.raises(FileNotFoundError):
        correlate(series([1, 2, 3]), tmp_path / "absent.csv")
    path.write_text("time,mA\n0,2\n9,3\n")
    with pytest.raises(ValueError, match="frame time of the series is unknown"):
        correlate(np.arange(5), path)
    assert correlate(np.arange(5), path, frame_time=0.1).sizes["frame"] == 5
