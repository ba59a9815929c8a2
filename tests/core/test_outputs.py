"""Files are written whole or not at all; one that fails does not stop the others; nothing in them is a formula."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from detcore.core.outputs import csv_text, write_content, write_each, write_netcdf

if TYPE_CHECKING:
    from pathlib import Path


def test_one_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    def broken(target: Path) -> None:
        write_content(target, "half")
        raise OSError(28, "No space left on device", str(target))

    seen: list[tuple[int, int, str]] = []
    jobs = [
        (tmp_path / "a.txt", lambda target: write_content(target, "a")),
        (tmp_path / "b.txt", broken),
        (tmp_path / "deep" / "c.txt", lambda target: write_content(target, b"\xff")),
    ]
    written, problems = write_each(jobs, lambda *now: seen.append(now))
    assert written == [tmp_path / "a.txt", tmp_path / "deep" / "c.txt"]
    assert [problem.part for problem in problems] == [str(tmp_path / "b.txt")]
    assert "No space left on device" in problems[0].reason
    assert (tmp_path / "deep" / "c.txt").read_bytes() == b"\xff"
    assert seen == [(0, 3, "a.txt"), (1, 3, "b.txt"), (2, 3, "c.txt"), (3, 3, "")]


def test_text_from_names_can_always_be_written(tmp_path: Path) -> None:
    write_content(tmp_path / "a.csv", "one\nbad\udcff\n")
    assert (tmp_path / "a.csv").read_bytes() == b"one\nbad?\n"


def test_tables_hold_no_formula() -> None:
    table = pd.DataFrame({"name": ["=1+1", "@x", "\tA", "D0X"], "hits": [-1, 2, 3, 4]}, index=["+a", "b", "c", "d"])
    assert csv_text(table) == "name,hits\n'=1+1,-1\n'@x,2\n'\tA,3\nD0X,4\n"
    assert csv_text(table.head(1), index=True) == "index,name,hits\n'+a,'=1+1,-1\n"


def test_everything_comes_back_from_a_result(tmp_path: Path) -> None:
    data = xr.Dataset({"hits": ("channel", np.arange(5, dtype=np.int64))}, {"channel": list("abcde")})
    data.attrs = {
        "complete": True, "size": 3, "words": "a\0b\udcff", "pair": (1.5, 2.5), "names": ["x", "y"], "nothing": None,
    }  # fmt: skip
    write_netcdf(data, tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as found:
        assert found["hits"].values.tolist() == [0, 1, 2, 3, 4]
        assert found["channel"].values.tolist() == list("abcde")
        assert found.attrs["complete"] == 1
        assert found.attrs["size"] == 3
        assert found.attrs["words"] == "a b?"
        assert found.attrs["pair"].tolist() == [1.5, 2.5]
        assert json.loads(found.attrs["names"]) == ["x", "y"]
        assert "nothing" not in found.attrs
    assert data.attrs["complete"] is True
