"""The command line, run as a person runs it, on the synthetic series whose sums are known."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
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
import xarray as xr
import yaml
from click.testing import CliRunner

from detcore import eiger
from detcore.cli import main
from detcore.eiger.config import EXAMPLE
from detcore.eiger.products import read_result
from detcore.image.region import Annulus, Rectangle

if TYPE_CHECKING:
    from click.testing import Result
    from numpy.typing import NDArray

NAME = "synth500k_u16_master.h5"


def detcore(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["eiger", *map(str, arguments)], prog_name="detcore")


def pickled(path: Path) -> list[int]:
    """The list as a script of before reads it."""
    script = "import json, pickle, sys; print(json.dumps(pickle.load(open(sys.argv[1], 'rb'), encoding='bytes')))"
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def data(shared: Path) -> Path:
    """The folder of the series."""
    return shared / "data/eiger"


@pytest.fixture(scope="module")
def truth(data: Path) -> dict[str, NDArray[Any]]:
    """What is in the series."""
    return dict(np.load(data / "synth500k_u16_truth.npz"))


def settings(folder: Path, master: Path, **sections: dict[str, Any]) -> Path:
    """Write the published example with other values."""
    values = yaml.safe_load(EXAMPLE)
    values["in"]["master"] = str(master)
    values["out"]["path"] = f"{folder}/results/"
    for name, section in sections.items():
        values[{"input": "in"}.get(name, name)] |= section
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture(scope="module")
def results(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    done = detcore("run", settings(folder, data / NAME, sys_settings={"albula_path": "/opt/albula"}))
    assert done.exit_code == 0, done.output
    assert "albula_path is not used" in done.output
    assert "mean  1.8" in done.output
    return folder / "results"


def test_run_writes_what_old_scripts_expect(results: Path, truth: dict[str, NDArray[Any]]) -> None:
    assert {path.name for path in results.iterdir()} == {
        f"{NAME}{suffix}" for suffix in (".pickle", ".nc", ".csv", ".statistics.csv", ".html")
    }
    assert pickled(results / f"{NAME}.pickle") == truth["sums_le_4500_unmasked"].tolist()
    table = pd.read_csv(results / f"{NAME}.csv", index_col=0)
    assert table.index.tolist() == ["count", "mean", "std", "CV%", "min", "25%", "50%", "75%", "max"]
    assert table.columns.tolist() == ["raw", "detrended"]
    assert table.loc["mean", "raw"] == pytest.approx(truth["sums_le_4500_unmasked"].mean(), rel=1e-12)
    ours = pd.read_csv(results / f"{NAME}.statistics.csv").set_index("statistic")["value"]
    assert ours["outliers"] == 3
    assert ours["strongest_line"] == pytest.approx(50, abs=0.5)


def test_result_says_how_it_was_made(results: Path, data: Path, truth: dict[str, NDArray[Any]]) -> None:
    found = read_result(results / f"{NAME}.nc")
    assert np.array_equal(found["sum"], truth["sums_le_4500_unmasked"])
    assert found["frame"].values.tolist() == list(range(1, 97))
    assert (found.attrs["low"], found.attrs["high"], found.attrs["pixel_mask"]) == (0, 4500, "pixel_mask")
    assert found.attrs["frame_time"] == pytest.approx(float(truth["frame_time"]), rel=1e-6)
    assert found.attrs["mask_hash"]
    provenance = json.loads(found.attrs["provenance"])
    assert len(provenance["inputs"]) == 3
    assert provenance["reduction"]["high"] == 4500
    xr.testing.assert_equal(found, eiger.sum_frames(data / NAME))


@pytest.mark.parametrize("series", ["synth500k_u16", "synth500k_vds_u32", "synth500k_aborted"])
def test_sums_equal_the_truth_by_both_rules(data: Path, tmp_path: Path, series: str) -> None:
    truth = np.load(data / f"{series}_truth.npz")
    for rule, name in (("--no-pixel-mask", "sums_le_4500"), ("--pixel-mask", "sums_le_4500_unmasked")):
        done = detcore("sum", data / f"{series}_master.h5", rule, "--output", tmp_path)
        sums = pickled(tmp_path / f"{series}_master.h5.pickle")
        assert sums == truth[name][: len(sums)].tolist()
        if series == "synth500k_aborted":
            assert done.exit_code == 1
            assert len(re.findall("pending", done.output)) == 3
            assert len(sums) > 0
        else:
            assert done.exit_code == 0, done.output
            assert len(sums) == len(truth[name])


def test_the_rule_of_before_sums_gaps_of_8_bits(tmp_path: Path) -> None:
    values = np.random.default_rng(2).integers(0, 9, (3, 10, 16)).astype(np.uint8)
    values[:, 4] = 255
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("entry/data/data", data=values, chunks=(1, 10, 16))
    for rule, expected in (("--no-pixel-mask", values), ("--pixel-mask", np.where(values == 255, 0, values))):
        assert detcore("sum", tmp_path / "a.h5", rule, "--output", tmp_path).exit_code == 0
        assert pickled(tmp_path / "a.h5.pickle") == expected.sum(axis=(1, 2), dtype=int).tolist()


@pytest.mark.parametrize(
    ("start", "end", "first", "last"), [(0, 0, 1, 96), (5, 9, 5, 9), (90, 500, 90, 96), (0, 3, 1, 3), (96, 0, 96, 96)]
)
def test_start_and_end_of_the_settings(
    data: Path, tmp_path: Path, truth: dict[str, NDArray[Any]], start: int, end: int, first: int, last: int
) -> None:
    path = settings(tmp_path, data / NAME, input={"start": start, "end": end}, out={"plot": False})
    done = detcore("run", path)
    assert done.exit_code == 0, done.output
    assert pickled(tmp_path / "results" / f"{NAME}.pickle") == truth["sums_le_4500"][first - 1 : last].tolist()
    assert {one.suffix for one in (tmp_path / "results").iterdir()} == {".pickle", ".nc"}
    assert ("beyond the last frame" in done.output) == (end > 96)


def test_options_win_over_the_settings(data: Path, tmp_path: Path, truth: dict[str, NDArray[Any]]) -> None:
    path = settings(tmp_path, data / NAME, input={"start": 5, "end": 9}, filter={"low": 2}, out={"plot": False})
    done = detcore("run", path, "--frames", "2:20:3", "--low", 0, "--threads", 1, "--output", tmp_path / "other")
    assert done.exit_code == 0, done.output
    assert pickled(tmp_path / "other" / f"{NAME}.pickle") == truth["sums_le_4500"][1:20:3].tolist()
    assert read_result(tmp_path / "other" / f"{NAME}.nc")["frame"].values.tolist() == list(range(2, 21, 3))
    assert not (tmp_path / "results").exists()


def test_limits_as_arguments_are_those_of_the_model(data: Path, tmp_path: Path) -> None:
    limits = eiger.Limits(low=1, high=2, pixel_mask=False)
    done = detcore("sum", *limits.to_arguments(), "--frames", "2::40", data / NAME, "--output", tmp_path)
    assert done.exit_code == 0, done.output
    frames = [eiger.read_frame(data / NAME, number).values for number in (2, 42, 82)]
    expected = [int(frame[(frame >= 1) & (frame <= 2)].sum()) for frame in frames]
    assert pickled(tmp_path / f"{NAME}.pickle") == expected


def test_the_folder_needs_no_slash_and_the_file_no_name(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(tmp_path, data / NAME, input={"end": 3}, out={"path": str(tmp_path / "no_slash"), "file": False})
    monkeypatch.chdir(tmp_path)
    done = detcore("run", "--detrend", "none", "--png")
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "no_slash").iterdir()} == {
        f"{NAME}{suffix}" for suffix in (".csv", ".statistics.csv", ".html", ".png")
    }
    table = pd.read_csv(tmp_path / "no_slash" / f"{NAME}.csv")
    assert table["raw"].equals(table["detrended"])


def test_run_needs_no_settings(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = detcore("run")
    assert done.exit_code == 1
    assert "there is no config.yaml here" in done.output
    assert yaml.safe_load(done.output.split("for instance:")[1])["out"]["expire"] == 1
    assert detcore("run", data / NAME, "--frames", "1:5").exit_code == 0
    assert len(pickled(tmp_path / f"{NAME}.pickle")) == 5


@pytest.mark.parametrize(
    ("section", "values", "words"),
    [
        ("input", {"start": 9, "end": 3}, "in.start"),
        ("input", {"start": 97}, "in.start: expected at most 96"),
        ("input", {"master": "absent_master.h5"}, "in.master: .*absent_master.h5"),
        ("filter", {"low": 9, "high": 3}, "filter.low"),
        ("out", {"expires": 3}, "unknown key 'out.expires'"),
        ("sys_settings", {"threads": 0}, "sys_settings.threads"),
        ("sys_settings", {"redis_ip": "a:b"}, "sys_settings.redis_ip"),
    ],
)
def test_impossible_settings_name_their_key_and_write_nothing(
    data: Path, tmp_path: Path, section: str, values: dict[str, Any], words: str
) -> None:
    path = settings(tmp_path, data / NAME, **{"out": {"redis": True}} | {section: values})
    done = detcore("run", path)
    assert done.exit_code == 1
    assert re.search(words, done.output)
    assert "Traceback" not in done.output
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--frames", "9:3"), "1 <= A <= B"),
        (("--frames", "a:b"), "expected A:B:STEP"),
        (("--frames", "1:2:3:4"), "expected A:B:STEP"),
        (("--frames", "1:9:0"), "STEP >= 1"),
        (("--frames", ""), "expected A:B:STEP"),
        (("--low", "10", "--high", "3"), "low"),
        (("--threads", "0"), "threads"),
    ],
)
def test_impossible_options_are_refused(data: Path, arguments: tuple[str, ...], words: str) -> None:
    done = detcore("sum", data / NAME, *arguments)
    assert done.exit_code == 2
    assert words in done.output
    assert detcore("plot", data / NAME, "--detrend", "spline").exit_code == 2


def test_regions_are_summed_beside_the_frame(data: Path, tmp_path: Path, truth: dict[str, NDArray[Any]]) -> None:
    regions = [Rectangle(x0=100, y0=50, x1=300, y1=200), Annulus(x=500, y=250, inner=50, outer=100)]
    setup = tmp_path / "setup.yaml"
    setup.write_text(eiger.setup_text(eiger.Limits(high=3), regions))
    done = detcore("run", data / NAME, "--frames", "1:4", "--regions", setup, "--centre", "--output", tmp_path)
    assert done.exit_code == 0, done.output
    found = read_result(tmp_path / f"{NAME}.nc")
    assert found["region"].values.tolist() == ["frame", "region 1", "region 2"]
    assert found.attrs["high"] == 3  # the limits come with the regions
    for number in range(1, 5):
        frame = eiger.read_frame(data / NAME, number).values
        for region, name in zip(regions, ("region 1", "region 2"), strict=True):
            kept = frame[region.to_mask(frame.shape)]
            assert int(found["sum"].sel(frame=number, region=name)) == int(kept[kept <= 3].sum())
    whole = found["sum"].sel(region="frame").values.tolist()
    assert pickled(tmp_path / f"{NAME}.pickle") == whole
    statistics = pd.read_csv(tmp_path / f"{NAME}.statistics.csv")
    assert set(statistics["region"]) == {"frame", "region 1", "region 2"}
    assert "center_x" in set(statistics["statistic"])
    detcore("sum", data / NAME, "--frames", "1:4", "--regions", setup, "--high", 4500, "--output", tmp_path)
    assert pickled(tmp_path / f"{NAME}.pickle") == truth["sums_le_4500"][:4].tolist()
    detcore("stats", tmp_path / f"{NAME}.nc", "--region", "region 2")
    setup.write_text("regions: [{name: a}]")
    done = detcore("sum", data / NAME, "--regions", setup)
    assert done.exit_code == 1
    assert str(setup) in done.output
    assert "regions.0.region" in done.output


def test_the_steps_alone_give_the_same(results: Path, data: Path, tmp_path: Path) -> None:
    assert detcore("sum", data / NAME, "--output", tmp_path).exit_code == 0
    result = tmp_path / f"{NAME}.nc"
    assert detcore("stats", result).exit_code == 0
    assert detcore("plot", result, "--png").exit_code == 0
    for suffix in (".pickle", ".csv", ".statistics.csv"):
        assert (tmp_path / f"{NAME}{suffix}").read_bytes() == (results / f"{NAME}{suffix}").read_bytes()
    assert (tmp_path / f"{NAME}.html").stat().st_size > 20_000
    assert (tmp_path / f"{NAME}.png").exists()
    done = detcore("stats", result, "--low", 3)
    assert done.exit_code == 2
    assert "detcore eiger sum" in done.output
    foreign = tmp_path / "foreign.nc"
    foreign.write_bytes(b"cos\nsystem\n(S'exit 3'\ntR.")
    done = detcore("stats", foreign)
    assert done.exit_code == 1
    assert "expected a result" in done.output


def test_stats_compares_and_correlates(results: Path, data: Path, tmp_path: Path) -> None:
    result = results / f"{NAME}.nc"
    sums = read_result(result)["sum"].values
    current = tmp_path / "current.csv"
    current.write_text("frame,mA\n" + "".join(f"{n},{value}\n" for n, value in enumerate(sums, 1)))
    done = detcore("stats", result, "--json", "--reference", result, "--beam-current", current)
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert found["beam_current"]["pearson"] == pytest.approx(1)
    assert found["beam_current"]["cv_corrected"] == pytest.approx(0, abs=1e-9)
    table = pd.DataFrame(**found["comparison"])
    assert (table["difference"].dropna() == 0).all()
    outliers = pd.DataFrame(**found["outliers"])
    assert outliers["kind"].tolist() == ["drop", "spike", "drop"]
    assert {path.suffix for path in results.iterdir()} == {".pickle", ".nc", ".csv", ".html"}
    done = detcore("stats", data / NAME, "--reference", result, "--beam-current", current, "--output", tmp_path)
    assert "Compared with" in done.output
    assert "Pearson 1.0000" in done.output


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_run_sets_the_key_of_old_readers(data: Path, tmp_path: Path, truth: dict[str, NDArray[Any]]) -> None:
    import redis  # noqa: PLC0415

    port, program = free_port(), shutil.which("redis-server")
    assert program, "this test needs redis-server; install it with the system's package manager"
    address = {"redis_ip": f"127.0.0.1:{port}"}
    path = settings(tmp_path, data / NAME, out={"redis": True, "prefix": "p", "expire": 2}, sys_settings=address)
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", tmp_path]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with redis.Redis("127.0.0.1", port) as client:
            for _ in range(200):
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    time.sleep(0.05)
            done = detcore("run", path)
            assert done.exit_code == 0, done.output
            key = f"p:{data / NAME}"
            assert client.keys() == [key.encode()]
            assert 2 * 86_400 - 60 < client.ttl(key) <= 2 * 86_400
            (tmp_path / "value").write_bytes(client.get(key))
    finally:
        server.terminate()
        server.wait(10)
    assert pickled(tmp_path / "value") == truth["sums_le_4500"].tolist()
    assert (tmp_path / "value").read_bytes() == (tmp_path / "results" / f"{NAME}.pickle").read_bytes()


def test_redis_down_keeps_the_files(data: Path, tmp_path: Path) -> None:
    port = free_port()
    path = settings(tmp_path, data / NAME, out={"redis": True}, sys_settings={"redis_ip": f"127.0.0.1:{port}"})
    done = detcore("run", path)
    assert done.exit_code == 1
    assert f"Redis at 127.0.0.1:{port}" in done.output
    assert "Traceback" not in done.output
    assert len(list((tmp_path / "results").iterdir())) == 5


def test_no_permission_is_one_line_for_each_file(data: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "results"
    blocked.write_text("a file where the folder should be")
    done = detcore("run", settings(tmp_path, data / NAME, input={"end": 3}))
    assert done.exit_code == 1
    assert "5 problems" in done.output
    assert "mean" in done.output  # what was computed is shown all the same


def test_a_corrupt_frame_costs_no_other(data: Path, tmp_path: Path, truth: dict[str, NDArray[Any]]) -> None:
    for number in ("000001", "000002", "000003"):
        shutil.copyfile(data / f"synth500k_u16_data_{number}.h5", tmp_path / f"synth500k_u16_data_{number}.h5")
    shutil.copyfile(data / NAME, tmp_path / NAME)
    with h5py.File(tmp_path / "synth500k_u16_data_000002.h5") as file:
        where = file["entry/data/data"].id.get_chunk_info(2).byte_offset
    with (tmp_path / "synth500k_u16_data_000002.h5").open("r+b") as file:
        file.seek(where + 12)
        file.write(b"\xff\xff\xff\xff")  # length of the first block
    done = detcore("run", tmp_path / NAME, "--output", tmp_path / "out")
    assert done.exit_code == 1
    assert "synth500k_u16_data_000002.h5" in done.output
    found = read_result(tmp_path / "out" / f"{NAME}.nc")
    missing = set(range(1, 97)) - set(found["frame"].values.tolist())
    assert missing == {43}  # the third of the second file
    assert np.array_equal(found["sum"], truth["sums_le_4500"][found["frame"].values - 1])
    assert pickled(tmp_path / "out" / f"{NAME}.pickle") == found["sum"].values.tolist()


def test_all_masked_and_no_frames(tmp_path: Path) -> None:
    values = np.full((4, 8, 16), 65535, np.uint16)
    values[1] = 1
    for name, frames in (("a.h5", values), ("none.h5", values[:0])):
        with h5py.File(tmp_path / name, "w") as file:
            file.create_dataset("entry/data/data", data=frames, chunks=(1, 8, 16), maxshape=(None, 8, 16))
    done = detcore("run", tmp_path / "a.h5", "--output", tmp_path)
    assert done.exit_code == 0, done.output
    assert pickled(tmp_path / "a.h5.pickle") == [0, 128, 0, 0]
    assert pd.read_csv(tmp_path / "a.h5.csv", index_col=0).loc["count"].tolist() == [1, 1]
    done = detcore("run", tmp_path / "none.h5", "--output", tmp_path)
    assert done.exit_code == 1
    assert "none.h5" in done.output
    assert "Traceback" not in done.output


FRAMES = 30_000  # more than any machine sums in the time that it is given


def test_control_c_keeps_what_was_summed(tmp_path: Path) -> None:
    values = np.random.default_rng(4).poisson(0.001, (4, 514, 1030)).astype(np.uint16)
    with h5py.File(tmp_path / "long.h5", "w") as file:
        frames = file.create_dataset(
            "entry/data/data", (FRAMES, 514, 1030), np.uint16, chunks=(1, 514, 1030), compression=1
        )
        for number in range(4):
            frames[number] = values[number]
        for number in range(4, FRAMES):
            mask, raw = frames.id.read_direct_chunk((number % 4, 0, 0))
            frames.id.write_direct_chunk((number, 0, 0), raw, mask)
    script = Path(sys.executable).with_name("detcore")
    command = [script, "eiger", "run", "long.h5", "--threads", "1", "--output", "out"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    opened = tmp_path / "long.h5"
    for _ in range(600):  # until it reads the frames
        time.sleep(0.05)
        links = Path(f"/proc/{process.pid}/fd")
        if links.exists() and any(os.path.realpath(one) == str(opened.resolve()) for one in links.iterdir()):
            break
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1, errors
    assert "partial" in errors
    found = read_result(tmp_path / "out" / "long.h5.nc")
    assert 0 < found.sizes["frame"] < FRAMES
    expected = values.sum(axis=(1, 2), dtype=int)[(found["frame"].values - 1) % 4]
    assert np.array_equal(found["sum"], expected)
    assert found.attrs["status"] == "partial"
