"""The detector table and its replacement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from detcore import occupancy
from detcore.occupancy import DetectorTable, demo

if TYPE_CHECKING:
    from pathlib import Path


def test_the_built_in_table_is_the_experiments(shared: Path) -> None:
    lines = (shared / "data" / "occupancy" / "detector_summary.csv").read_text().splitlines()[1:]
    real = {
        (name, int(number), int(size), label) for label, name, number, _, size in (line.split(",") for line in lines)
    }
    table = DetectorTable.default()
    assert {(row.name, row.detector_id, row.n_elements, row.label) for row in table.rows} == real
    assert len(table.groups()) == 14
    assert [row.name for row in table.groups()["Hodo 5"]] == ["H4Y2R", "H4Y2L", "H4T", "H4B"]


def test_a_replacement_serves_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spill = demo.write(tmp_path / "demo")[0]
    whole = occupancy.reduce(spill)
    table = tmp_path / "mine.csv"
    table.write_text("name,detector_id,n_elements,group\nMine,3,50,New\nOther,5,201,New\n")
    monkeypatch.setenv("DETCORE_DETECTORS", str(table))
    data = occupancy.reduce(spill)
    assert data.detector.sel(detector_id=3).item() == "Mine"
    assert int(data.hits.sel(detector_id=3).sum()) == int(whole.hits.sel(detector_id=3, element_id=slice(1, 50)).sum())
    above = int(whole.hits.sel(detector_id=3, element_id=slice(51, 511)).sum())
    assert int(data.dropped_elements.sel(detector_id=3)) == int(whole.dropped_elements.sel(detector_id=3)) + above
    assert data.inferred.sel(detector_id=4).item()
    monkeypatch.delenv("DETCORE_DETECTORS")
    assert occupancy.reduce(spill, detectors=str(table)).hits.equals(data.hits)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,n_elements\nA,3\n", "missing detector_id"),
        ("name,detector_id,n_elements\nA,one,3\n", "line 2"),
        ("name,detector_id,n_elements\nA,1,0\n", "expected a name, an id in 1..127 and 1..511 elements"),
        ("name,detector_id,n_elements\nA,1,3\nB,1,3\n", "detector_id 1 stands more than once"),
        ("name,detector_id,n_elements\nA,1,3\nA,2,3\n", "name 'A' stands more than once"),
        ("name,detector_id,n_elements\n", "no rows"),
        ("", "missing name, detector_id, n_elements"),
    ],
)
def test_a_wrong_table_is_explained(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as caught:
        DetectorTable.read(path)
    assert str(path) in str(caught.value)
