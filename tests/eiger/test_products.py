"""The files: as old readers read them, without a network, in a folder that may not be written."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.signal
import xarray as xr
from matplotlib.image import imread

from detcore.eiger import products, report
from detcore.eiger.analysis import statistics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

RNG = np.random.default_rng(8)
NAME = "/somewhere/series_7_master.h5"


def series(values: Any, frames: Any = None, **attrs: Any) -> xr.Dataset:
    values = np.asarray(values, np.int64)
    valid = np.where(values < 0, 0, 90).astype(np.int64)
    none = np.zeros(len(values), np.int64)
    return xr.Dataset(
        {
            "sum": ("frame", np.where(values < 0, 0, values), {"units": "counts"}),
            "n_valid": ("frame", valid),
            "n_low": ("frame", none),
            "n_high": ("frame", none),
            "n_saturated": ("frame", none),
        },
        {"frame": np.arange(1, len(values) + 1) if frames is None else frames},
        {
            "frame_time": 0.01, "count_time": None, "shape": (10, 10), "low": 0, "high": 4500, "mask_hash": "ab12",
            "pixel_mask": "pixel_mask", "beam_center": (3.5, 4.5), "pixel_mask_applied": True, "status": "complete",
            "provenance": json.dumps({"source": "x"}), "problems": "[]", "description": None, **attrs,
        },
    )  # fmt: skip


def old_reader(path: Path) -> Any:
    """What a script of before gets from the pickle, as JSON, with the types of list and items."""
    script = (
        "import json, pickle, sys\n"
        "data = pickle.load(open(sys.argv[1], 'rb'), encoding='bytes')\n"
        "print(json.dumps([type(data).__name__, sorted({type(one).__name__ for one in data}), data]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_pickle_is_a_list_of_whole_numbers_for_old_readers(tmp_path: Path) -> None:
    values = [*RNG.integers(0, 2**40, 50).tolist(), -1, 2**62]
    written, problems = products.write_all(series(values), tmp_path, NAME, only=[".pickle"])
    assert problems == []
    assert written == [tmp_path / "series_7_master.h5.pickle"]
    expected = [max(one, 0) for one in values]  # a frame without a valid pixel is 0
    assert old_reader(written[0]) == ["list", ["int"], expected]
    assert written[0].read_bytes()[:2] == b"\x80\x02"  # protocol 2: Python 2 reads it
    assert b"numpy" not in written[0].read_bytes()
    several = xr.concat([series([1, 2]), series([10, 20])], pd.Index(["ring", "frame"], name="region"))
    path = products.write_all(several.transpose("frame", ...), tmp_path, "r", only=[".pickle"])[0][0]
    assert old_reader(path)[2] == [10, 20]


def test_csv_is_the_table_of_the_original(tmp_path: Path) -> None:
    values = RNG.integers(180_000, 200_000, 97)
    (path,), _ = products.write_all(series(values), tmp_path, NAME, only=[".csv"])
    raw = pd.Series(values)
    frame = pd.DataFrame({"raw": raw, "detrended": scipy.signal.detrend(raw) + raw.mean()})
    table = frame.describe()
    table.loc["CV%"] = frame.std() / frame.mean() * 100
    table = table.loc[["count", "mean", "std", "CV%", "min", "25%", "50%", "75%", "max"]]
    assert path.read_text() == table.to_csv()
    assert len(path.read_text().splitlines()) == 10
    assert path.name == "series_7_master.h5.csv"


def test_our_statistics_are_in_their_own_file(tmp_path: Path) -> None:
    one = series(RNG.poisson(10_000, 200))
    (path,), _ = products.write_all(one, tmp_path, NAME, only=[".statistics.csv"])
    back = pd.read_csv(path).set_index("statistic")
    expected = statistics(one)
    assert back.index.tolist() == expected.index.tolist()
    np.testing.assert_allclose(back["value"], expected["value"].astype(float), rtol=1e-12)
    assert set(back["region"]) == {"frame"}
    names = pd.Index(["frame", "=cmd()"], name="region")
    both = xr.concat([one, one * 2], names).transpose("frame", "region").assign_attrs(one.attrs)
    both["n_saturated"] = one["n_saturated"]
    table = pd.read_csv(products.write_all(both, tmp_path, NAME, only=[".statistics.csv"])[0][0])
    assert set(table["region"]) == {"frame", "'=cmd()"}
    mean = table[table["statistic"] == "mean"].set_index("region")["value"]
    assert mean["'=cmd()"] == pytest.approx(2 * mean["frame"])


def test_netcdf_comes_back_whole(tmp_path: Path) -> None:
    data = series([5, -1, 7, 9], [3, 4, 9, 11]).assign(mean_image=(("y", "x"), np.eye(3, dtype=np.float32)))
    data.attrs["description"] = "Eiger \udcff\0 4M"
    (path,), problems = products.write_all(data, tmp_path, NAME, only=[".nc"])
    assert problems == []
    back = products.read_result(path)
    xr.testing.assert_equal(back, data)
    assert (back.attrs["low"], back.attrs["high"], back.attrs["mask_hash"]) == (0, 4500, "ab12")
    assert json.loads(back.attrs["provenance"]) == {"source": "x"}
    assert back.attrs["beam_center"].tolist() == [3.5, 4.5]
    assert "count_time" not in back.attrs
    pd.testing.assert_frame_equal(statistics(back), statistics(data))
    assert h5py.is_hdf5(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.drop_vars("sum"), "no sum"),
        (lambda d: d.assign(sum=d["sum"] * 1.5), "sum: float64"),
        (lambda d: d.assign(sum=(("a", "b"), np.ones((2, 2), int))), "sum: int64"),
        (lambda d: d.assign_coords(frame=d["frame"][::-1].values), "do not rise"),
        (lambda d: d.assign_coords(frame=d["frame"].values - 5), "do not rise"),
        (lambda d: d.assign(n_valid=d["n_valid"] - 1000), "negative number"),
        (lambda d: d.assign_attrs(frame_time=-1.0), "frame_time"),
        (lambda d: d.assign_attrs(frame_time="often"), "frame_time"),
    ],
    ids=["missing", "fractional", "square", "falling", "negative", "valid", "past", "text"],
)
def test_altered_results_are_refused(tmp_path: Path, change: Any, words: str) -> None:
    path = tmp_path / "x.nc"
    broken = change(series([5, 6, 7]))
    broken.attrs = {name: value for name, value in broken.attrs.items() if type(value) in {int, float, str}}
    broken.to_netcdf(path, engine="h5netcdf")
    with pytest.raises(products.InvalidResult, match=words) as caught:
        products.read_result(path)
    assert str(path) in str(caught.value)
    assert "detcore eiger sum" in str(caught.value)


def test_other_files_are_no_results(tmp_path: Path) -> None:
    pickle, cut, bomb = tmp_path / "a.nc", tmp_path / "b.nc", tmp_path / "c.nc"
    pickle.write_bytes(b"cos\nsystem\n(S'touch " + os.fsencode(tmp_path / "owned") + b"'\ntR.")
    products.write_all(series([1, 2]), tmp_path, "c", only=[".nc"])
    cut.write_bytes(bomb.read_bytes()[:3000])
    with h5py.File(bomb, "a") as file:
        file.create_dataset("huge", (10**6, 10**6), np.float64, chunks=(1000, 1000))
    for path in (pickle, cut, bomb):
        with pytest.raises(products.InvalidResult):
            products.read_result(path)
    assert not (tmp_path / "owned").exists()
    with pytest.raises(FileNotFoundError):
        products.read_result(tmp_path / "absent.nc")


@pytest.mark.parametrize("values", [[], [5], [5, 6], [0, 0, 0], [-1, -1, -1, -1], [7] * 30])
def test_any_series_is_written(tmp_path: Path, values: list[int]) -> None:
    written, problems = products.write_all(series(values), tmp_path, NAME, only=products.SUFFIXES)
    assert problems == []
    assert [path.name for path in written] == [f"series_7_master.h5{suffix}" for suffix in products.SUFFIXES]
    assert old_reader(written[0])[2] == [max(one, 0) for one in values]
    assert len(pd.read_csv(tmp_path / "series_7_master.h5.csv")) == 9
    assert imread(written[-1]).shape[2] == 4


def test_a_failing_product_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "series_7_master.h5.nc").mkdir()
    seen: list[tuple[int, int, str]] = []
    written, problems = products.write_all(series([1, 2, 3]), tmp_path, NAME, progress=lambda *step: seen.append(step))
    assert [Path(problem.part).name for problem in problems] == ["series_7_master.h5.nc"]
    assert len(written) == 4
    assert seen[-1] == (5, 5, "")
    assert not list(tmp_path.glob(".*"))
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert len(products.write_all(series([1, 2, 3]), blocked / "x", NAME)[1]) == 5


@pytest.mark.parametrize(
    ("name", "stem"),
    [("/a/b/c_master.h5", "c_master.h5"), ("c.h5", "c.h5"), ("C:\\x\\c.h5", "c.h5"), ("/a/b/", "b"), ("/", "series")],
)
def test_products_are_named_after_the_last_part(name: str, stem: str) -> None:
    assert products.stem_of(name) == stem


# The page


def content_of(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_page_holds_the_normalised_traces() -> None:
    values = RNG.integers(900, 1100, 300)
    values[77] = 10
    content = content_of(report.page(series(values), "title"))
    assert content["frame"] == list(range(1, 301))
    np.testing.assert_allclose(content["raw"], values / values.mean(), rtol=1e-6)
    plain = scipy.signal.detrend(values) + values.mean()
    np.testing.assert_allclose(content["detrended"], plain / plain.mean(), rtol=1e-6)
    assert content["unit"] == "Hz"


def test_a_million_frames_stay_below_ten_megabytes_and_keep_single_losses() -> None:
    values = RNG.poisson(1e6, 1_000_000)
    lost = np.array([5, 333_333, 999_999])
    values[lost] = 3
    page = report.page(series(values), "long")
    assert len(page.encode()) < 10_000_000
    content = content_of(page)
    assert set((lost + 1).tolist()) <= set(content["frame"])
    assert len(content["frame"]) <= report.MAX_POINTS
    assert content["frame"] == sorted(set(content["frame"]))
    assert content["frame"][0] < 100
    assert f"{len(content['frame']):,} of 1,000,000 frames" in page
    middle = [value for frame, value in zip(content["frame"], content["raw"], strict=True) if frame in lost + 1]
    assert max(middle) < 0.001


@pytest.mark.parametrize("n", [0, 1, 99, 100, 101, 1000, 1007, 12_345])
def test_extremes_are_kept(n: int) -> None:
    curves = [RNG.normal(0, 1, n), RNG.normal(0, 1, n)]
    places = report.extremes(curves, 100)
    assert len(places) <= max(100, 0)
    assert np.array_equal(places, np.unique(places))
    for curve in curves if n else []:
        assert {int(np.argmin(curve)), int(np.argmax(curve))} <= set(places.tolist())
    if n <= 100:
        assert len(places) == n


def test_foreign_text_is_text() -> None:
    evil = "</title><script>document.title='owned'</script>{{data}}\u202e\n"
    page = report.page(series([1, 2, 3, 4, 9], description=evil, pixel_mask=evil), evil)
    assert "<script>document" not in page
    assert "&lt;script&gt;document" in page
    assert "{{data}}" in page  # not replaced inside of the title
    assert "\u202e" not in page
    assert not re.search(r"(?:src|href)\s*=|https?://|@import|url\(", page)


@pytest.fixture(scope="module")
def browser_page(browser: Browser) -> Iterator[Any]:
    """A function that opens a file in Chromium without a network and returns the page and its requests."""
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 900})

    def opened(path: Path) -> tuple[Page, list[str], list[str]]:
        page = context.new_page()
        asked: list[str] = []
        wrong: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(path.as_uri())
        return page, asked, wrong

    yield opened
    context.close()


@pytest.mark.browser
def test_page_works_offline(browser_page: Any, tmp_path: Path) -> None:
    values = RNG.integers(900, 1100, 2000)
    values[1200] = 10
    path = products.write_all(series(values), tmp_path, NAME, only=[".html"])[0][0]
    page, asked, wrong = browser_page(path)
    assert asked == [path.as_uri()]
    assert page.title() == str(tmp_path / "series_7_master.h5")
    colours = "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
    drawn = f"[...document.querySelectorAll('canvas')].map({colours})"
    page.wait_for_timeout(100)
    assert min(page.evaluate(drawn)) > 10  # colours: something is drawn in both
    box = page.locator("#trace").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.62, box["y"] + 100)
    words = page.locator(".tip").first.text_content()
    assert re.fullmatch(r"frame \d+\nraw 0\.\d+\ndetrended 0\.\d+|frame \d+\nraw 1\.\d+\ndetrended 1\.\d+", words)
    assert page.evaluate("detcoreView()") == [1, 2000]
    for _ in range(20):
        page.mouse.wheel(0, -200)
    first, last = page.evaluate("detcoreView()")
    assert 2 < last - first < 20
    assert first < int(words.split()[1]) < last
    page.mouse.dblclick(box["x"] + 300, box["y"] + 100)
    assert page.evaluate("detcoreView()") == [1, 2000]
    page.mouse.move(box["x"] + 300, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 500, box["y"] + 100)
    page.mouse.up()
    first, last = page.evaluate("detcoreView()")
    assert 200 < last - first < 500
    page.get_by_text("detrended", exact=True).first.click()
    page.mouse.move(box["x"] + 400, box["y"] + 120)
    assert "detrended" not in page.locator(".tip").first.text_content()
    page.get_by_text("scale without outliers").click()
    page.get_by_role("button", name="Show all").click()
    assert page.evaluate("detcoreView()") == [1, 2000]
    assert page.get_by_text("1201", exact=True).count() == 1  # in the table of outliers
    assert wrong == []


@pytest.mark.browser
@pytest.mark.parametrize("values", [[], [5], [0, 0, 0, 0, 0], [7] * 20])
def test_page_of_hardly_anything(browser_page: Any, tmp_path: Path, values: list[int]) -> None:
    path = products.write_all(series(values), tmp_path, "<b>&'\"x", only=[".html"])[0][0]
    page, asked, wrong = browser_page(path)
    page.mouse.move(300, 300)
    page.mouse.wheel(0, -500)
    page.wait_for_timeout(50)
    assert (len(asked), wrong) == (1, [])
    assert page.title().endswith("<b>&'\"x")


# Redis


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a real server of our own."""
    program = shutil.which("redis-server")
    assert program, "these tests need redis-server; install it with the system's package manager"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def test_key_in_a_real_redis(redis_server: int, tmp_path: Path) -> None:
    import redis  # noqa: PLC0415

    payload = products.pickled(series([5, 6, 2**40]))
    products.publish(payload, f"prefix:{NAME}", "127.0.0.1", redis_server, expire=0.5)
    with redis.Redis("127.0.0.1", redis_server) as client:
        assert client.keys() == [f"prefix:{NAME}".encode()]
        assert 43_190 <= client.ttl(f"prefix:{NAME}") <= 43_200
        place = tmp_path / "value"
        place.write_bytes(client.get(f"prefix:{NAME}"))
        client.delete(f"prefix:{NAME}")
    assert old_reader(place) == ["list", ["int"], [5, 6, 2**40]]


def test_redis_that_is_down_is_named() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ConnectionError, match=rf"Redis at 127.0.0.1:{port}: expected .*sys_settings.redis_ip"):
        products.publish(b"", "key", "127.0.0.1", port)


def test_without_the_client_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'detcore\[redis\]'"):
        products.publish(b"", "key")
