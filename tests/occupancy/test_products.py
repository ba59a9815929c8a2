"""The product files against the real ones, and reading all their forms back."""

from __future__ import annotations

import csv
import itertools
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.figure import Figure

from detcore.occupancy import products
from detcore.occupancy.detectors import Detector, DetectorTable
from detcore.occupancy.exchange import MAX_BYTES, InvalidCounts, read_hits

TABLE = DetectorTable.default()
SPILL = "run_005994_spill_001924430"
Channels = tuple[np.ndarray, np.ndarray, np.ndarray]


def make(
    counts: dict[tuple[int, int], int],
    per_event: list[int] | None = None,
    table: DetectorTable = TABLE,
    extra: dict[int, int] | None = None,
) -> xr.Dataset:
    """A Dataset as a reduction gives it; `extra` are the sizes of the detectors that the table does not have."""
    sizes = {row.detector_id: row.n_elements for row in table.rows} | (extra or {})
    ids, elements = np.arange(1, max(sizes) + 1), np.arange(1, max(sizes.values()) + 1)
    hits = np.zeros((len(ids), len(elements)), np.int64)
    for (detector, element), number in counts.items():
        hits[detector - 1, element - 1] = number
    names = [table.by_id[i].name if i in table.by_id else "" for i in ids.tolist()]
    data: dict[str, Any] = {
        "hits": (("detector_id", "element_id"), hits),
        "dropped_unknown": np.int64(0),
        "dropped_elements": ("detector_id", np.zeros(len(ids), np.int64)),
        "drift_time": (("detector_id", "time"), np.ones((len(ids), 5), np.int64)),
    }
    if per_event is not None:
        data["hits_per_event"] = ("event", np.array(per_event, np.int32))
    return xr.Dataset(
        data,
        coords={
            "detector_id": ids,
            "element_id": elements,
            "detector": ("detector_id", names),
            "n_elements": ("detector_id", [sizes.get(i, 0) for i in ids.tolist()]),
            "inferred": ("detector_id", [i in (extra or {}) for i in ids.tolist()]),
            "time": ("time", np.arange(5) * 4.0, {"units": "ns"}),
        },
        attrs={"status": "complete", "problems": "[]", "provenance": json.dumps({"source": "here"})},
    )


def real_counts(shared: Path, name: str) -> dict[tuple[int, int], int]:
    with (shared / "data" / "occupancy" / f"{name}_hits.csv").open() as file:
        return {(int(r["Detector_ID"]), int(r["Element_ID"])): int(r["Hits"]) for r in csv.DictReader(file)}


def columns(counts: dict[tuple[int, int], int]) -> Channels:
    detector, element = np.array(list(counts), np.int64).reshape(-1, 2).T
    return detector, element, np.array(list(counts.values()), np.int64)


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[tuple[int, int], int], list[Path]]:
    """All products of the real spill 1924430."""
    folder = tmp_path_factory.mktemp("real") / "QTracker_Station_Occupancies"
    counts = real_counts(shared, SPILL)
    text = (shared / "data" / "occupancy" / f"{SPILL}_hits_per_event.csv").read_text().split()[1:]
    per_event = [0, *(int(float(word)) for word in text), 0, 0]
    per_file = {f"{SPILL}_sraw.root": columns(counts)}
    written, problems = products.write_all(make(counts, per_event), folder, per_file=per_file, table=TABLE)
    assert problems == []
    return folder, counts, written


def test_every_product_is_there_under_its_name(real: Any) -> None:
    folder, _, written = real
    names = {
        *("overall_occupancy_with_separators.png", "overall_occupancy_no_separators.png", "file_hits_data.json"),
        *("total_hits_data.json", "total_hits_data.csv", f"output_data/{SPILL}_sraw_hits.csv", "detector_summary.csv"),
        *("hits_per_event_data.csv", "hits_per_event_histogram.png", "processed_hits_data.npy", "occupancy.nc"),
        *(f"output_data/{group}/{group.replace(' ', '_')}_plot.png" for group in TABLE.groups()),
    }
    assert len(TABLE.groups()) == 14
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == names  # nothing temporary is left either
    assert {path.relative_to(folder).as_posix() for path in written} == names


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("total_hits_data.json", "total_hits_data.json"),
        ("detector_summary.csv", "detector_summary.csv"),
        ("hits_per_event_data.csv", f"{SPILL}_hits_per_event.csv"),
    ],
)
def test_files_equal_the_real_ones_byte_for_byte(real: Any, shared: Path, ours: str, theirs: str) -> None:
    assert (real[0] / ours).read_bytes() == (shared / "data" / "occupancy" / theirs).read_bytes()


def test_total_json_is_plain_integers_indexed_by_id(real: Any) -> None:
    content = json.loads((real[0] / "total_hits_data.json").read_text())
    assert list(content) == ["hits_array", "max_detector", "max_element"]
    assert (len(content["hits_array"]), len(content["hits_array"][0])) == (63, 202)
    assert content["hits_array"][3][74] == 8329
    assert content["hits_array"][31][23] == 9673
    assert not any(content["hits_array"][0])
    assert not any(row[0] for row in content["hits_array"])


@pytest.mark.parametrize("name", ["total_hits_data.csv", f"output_data/{SPILL}_sraw_hits.csv"])
def test_hit_tables_hold_the_real_lines(real: Any, shared: Path, name: str) -> None:
    theirs = lines(shared / "data" / "occupancy" / f"{SPILL}_hits.csv")
    ours = lines(real[0] / name)
    order = [(int(row["Detector_ID"]), int(row["Element_ID"])) for row in ours]
    assert order == sorted(order)
    assert sorted(map(str, ours)) == sorted(map(str, theirs))  # same columns in the same order, same cells


def test_file_json_lists_only_what_was_hit(real: Any) -> None:
    content = json.loads((real[0] / "file_hits_data.json").read_text())
    assert content == {f"{SPILL}_sraw.root": {f"{d}_{e}": n for (d, e), n in real[1].items()}}


def test_processed_array_has_the_planes_in_table_order(real: Any) -> None:
    array = np.load(real[0] / "processed_hits_data.npy")
    assert (array.shape, array.dtype) == ((202, 63), np.int64)
    for column, plane in enumerate(TABLE.rows):
        wanted = [real[1].get((plane.detector_id, element), 0) for element in range(202)]
        assert array[:, column].tolist() == wanted
    assert not array[:, 56:].any()


def test_netcdf_gives_the_dataset_back(real: Any) -> None:
    folder, counts, _ = real
    back = read_hits(folder / "occupancy.nc", TABLE)
    wanted = make(counts, back["hits_per_event"].values.tolist())
    xr.testing.assert_identical(back.drop_vars("detector"), wanted.drop_vars("detector"))
    assert back["detector"].values.tolist() == wanted["detector"].values.tolist()
    assert json.loads(back.attrs["provenance"]) == {"source": "here"}


@pytest.mark.parametrize(
    "name", ["total_hits_data.json", "file_hits_data.json", "total_hits_data.csv", f"output_data/{SPILL}_sraw_hits.csv"]
)
def test_every_form_reads_back(real: Any, name: str) -> None:
    folder, counts, _ = real
    back = read_hits(folder / name, TABLE)
    wanted = make(counts)
    np.testing.assert_array_equal(back["hits"], wanted["hits"])
    for coordinate in ("detector_id", "element_id", "n_elements", "inferred", "detector"):
        assert back[coordinate].values.tolist() == wanted[coordinate].values.tolist()
    assert int(back["dropped_unknown"]) == int(back["dropped_elements"].sum()) == 0


def test_old_forms_and_the_real_tables_read_back(shared: Path, tmp_path: Path) -> None:
    first, second = (real_counts(shared, name) for name in (SPILL, "run_005994_spill_001924501"))
    flat, nested = tmp_path / "total.json", tmp_path / "files.json"
    flat.write_text(json.dumps({f"{d}_{e}": n for (d, e), n in second.items()}))
    nested.write_text(
        json.dumps({name: {f"{d}_{e}": n for (d, e), n in c.items()} for name, c in (("a", first), ("b", second))})
    )
    a, b = make(first)["hits"], make(second)["hits"]
    np.testing.assert_array_equal(read_hits(flat, TABLE)["hits"], b)
    np.testing.assert_array_equal(read_hits(nested, TABLE)["hits"], a + b)
    csv_file = shared / "data" / "occupancy" / f"{SPILL}_hits.csv"
    np.testing.assert_array_equal(read_hits(csv_file, TABLE)["hits"], a)


def test_detectors_that_are_not_in_the_table_are_kept(tmp_path: Path) -> None:
    dataset = make({(3, 160): 5, (70, 7): 9}, [14], extra={70: 7})
    products.write_all(dataset, tmp_path, per_file={"x.root": columns({(70, 7): 9})}, table=TABLE)
    assert json.loads((tmp_path / "total_hits_data.json").read_text())["hits_array"][70][7] == 9
    assert lines(tmp_path / "output_data" / "x_hits.csv")[0]["Detector_Name"] == "ID 70"
    assert len(lines(tmp_path / "detector_summary.csv")) == 57
    assert (tmp_path / "output_data" / "Not in the table" / "Not_in_the_table_plot.png").is_file()
    back = read_hits(tmp_path / "total_hits_data.json", TABLE)
    assert int(back["hits"].sel(detector_id=70, element_id=7)) == 9
    assert (int(back["n_elements"].sel(detector_id=70)), bool(back["inferred"].sel(detector_id=70))) == (7, True)


def test_a_failing_product_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "output_data").write_text("a file where a folder should be")
    (tmp_path / "detector_summary.csv").mkdir()
    seen: list[tuple[int, int, str]] = []
    written, problems = products.write_all(
        make({(3, 74): 8}), tmp_path, per_file={"a.root": columns({(3, 74): 8})}, table=TABLE,
        progress=lambda *step: seen.append(step),
    )  # fmt: skip
    failed = {Path(problem.part).name for problem in problems}
    assert {"detector_summary.csv", "a_hits.csv", "Hodo_1_plot.png"} <= failed
    assert {"hits_per_event_data.csv", "hits_per_event_histogram.png"} <= failed  # this Dataset has no events
    assert {path.name for path in written} == {
        *("total_hits_data.json", "total_hits_data.csv", "processed_hits_data.npy", "occupancy.nc"),
        *("file_hits_data.json", "overall_occupancy_with_separators.png", "overall_occupancy_no_separators.png"),
    }
    assert len(failed) + len(written) == seen[-1][0] == seen[-1][1]
    assert not list(tmp_path.rglob(".*"))


def test_only_the_wanted_products_are_written(tmp_path: Path) -> None:
    wanted = {"total_hits_data.csv", "Hodo_1_plot.png"}
    written, _ = products.write_all(make({(3, 74): 8}), tmp_path, only=wanted, table=TABLE)
    assert {path.name for path in written} == {path.name for path in tmp_path.rglob("*.*")} == wanted


def test_csv_of_a_table_holds_no_formulas() -> None:
    table = pd.DataFrame({"detector": ["=1+1", "@x", "D0X"], "hits": [-1, 2, 3]})
    assert products.csv_text(table) == "detector,hits\n'=1+1,-1\n'@x,2\nD0X,3\n"


def test_an_interrupted_product_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "overall_occupancy_no_separators.png"
    target.write_bytes(b"old")

    def full(figure: Any, path: Any, **_: Any) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    written, problems = products.write_all(make({}, [0]), tmp_path, only={target.name}, table=TABLE)
    assert written == []
    assert [Path(problem.part) for problem in problems] == [target]
    assert "No space left" in problems[0].reason
    assert target.read_bytes() == b"old"
    assert not list(tmp_path.rglob(".*"))


def test_hostile_names_stay_in_the_folder_and_apart(tmp_path: Path) -> None:
    evil = ("../../evil", "a/b", "A_b", "=1+1", "..", "", "x" * 300, "\u202egroup\n$\\frac{$")
    rows = tuple(
        Detector(name=f"=cmd{number}", detector_id=number + 1, n_elements=3, group=name, label=name or "@x")
        for number, name in enumerate(evil)
    )
    table = DetectorTable(rows)
    dataset = make({(1, 1): 4, (4, 3): 2}, [6], table)
    names = ("../../etc/x.root", "x.root", "C:\\data\\X.root", "=evil.root")
    per_file = {name: columns({(4, 3): 2}) for name in names}
    folder = tmp_path / "out"
    written, problems = products.write_all(dataset, folder, per_file=per_file, table=table)
    assert problems == []
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert len({str(path).casefold() for path in written}) == len(written) == 10 + len(evil) + len(names)
    assert all(path.resolve().is_relative_to(folder.resolve()) and path.is_file() for path in written)
    assert {path.name for path in (folder / "output_data").glob("*.csv")} == {
        *("x_hits.csv", "x-2_hits.csv", "X-3_hits.csv", "_evil_hits.csv"),
    }
    assert list(json.loads((folder / "file_hits_data.json").read_text())) == list(names)
    for name in ("total_hits_data.csv", "detector_summary.csv"):
        text = (folder / name).read_text()
        assert "'=cmd3" in text
        assert "'=1+1" in text
        assert not [cell for row in csv.reader(text.splitlines()) for cell in row if cell.startswith(("=", "@", "+"))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"3_74": -1}', "whole number of hits from 0"),
        ('{"3_74": 1.0}', "whole number of hits"),
        ('{"3_74": true}', "whole number of hits"),
        ('{"3_74": "8"}', "whole number of hits"),
        ('{"3_74": null}', "whole number of hits"),
        ('{"3_74": 1e400}', "whole number of hits"),
        ('{"3_74": NaN}', "NaN"),
        ('{"3_74": 10000000000000}', "whole number of hits"),
        ('{"3_74": %s}' % ("9" * 5000), "JSON"),
        ('{"3_74": 1, "3_74": 2}', "twice"),
        ('{"D0X": 1}', "detector_element"),
        ('{"3_74_1": 1}', "detector_element"),
        ('{"\u0663_74": 1}', "detector_element"),
        ('{"a.root": {"b.root": {"3_74": 1}}}', "detector_element"),
        ('{"a.root": {"3_74": [1]}}', "a.root"),
        ("[1, 2]", "JSON list"),
        ('{"3_74": 1', "JSON"),
        ("[" * 100_000, "nested without end"),
        ('{"hits_array": 5}', "list of lists"),
        ('{"hits_array": [[0], [0, 0]]}', "equal length"),
        ('{"hits_array": [[0, 0], [0, -2]]}', "detector 1, element 1"),
        ('{"hits_array": [[0, 0], [0, 0.0]]}', "detector 1, element 1"),
        ('{"hits_array": [[0, 0], [0, []]]}', "detector 1, element 1"),
        ('{"hits_array": [[0, 0], [0, 1]], "max_detector": 5}', "max_detector = 1"),
        ("a,b,c\n1,2,3\n", "first line"),
        ("", "first line"),
        ("Detector_ID,Element_ID,Hits\n3,74,-1\n", "line 2"),
        ("Detector_ID,Element_ID,Hits\n3,74,1.5\n", "line 2"),
        ("Detector_ID,Element_ID,Hits\n3,74\n", "line 2"),
        ("Detector_ID,Element_ID,Hits\n3,=74,1\n", "line 2"),
        ("Detector_ID,Element_ID,Hits\n3,74,%s\n" % ("1" * 200_000), "CSV|whole numbers"),
    ],
    ids=itertools.count(),
)
def test_impossible_text_is_refused_with_words_that_help(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "counts.json"
    path.write_text(text)
    with pytest.raises(InvalidCounts, match=words) as caught:
        read_hits(path, TABLE)
    message = str(caught.value)
    assert message.startswith(f"{path}: expected ")
    assert "; found " in message
    assert len(message) < 1000


def test_impossible_ids_are_counted_and_cost_nothing(tmp_path: Path) -> None:
    path = tmp_path / "padded.json"
    junk = {"2147483647_2147483647": 7, "-1_5": 1, "0_0": 2, "3_161": 30, "3_0": 40, "3_2147483647": 50, "100_600": 3}
    path.write_text(json.dumps({"3_160": 9, **junk}))
    back = read_hits(path, TABLE)
    assert back["hits"].shape == (62, 201)
    assert int(back["hits"].sum()) == int(back["hits"].sel(detector_id=3, element_id=160)) == 9
    assert int(back["dropped_unknown"]) == 7 + 1 + 2 + 3
    assert back["dropped_elements"].sel(detector_id=3) == 120


def test_files_of_other_kinds_are_refused(tmp_path: Path, real: Any) -> None:
    image = real[0] / "hits_per_event_histogram.png"
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x", "y")
    truncated = tmp_path / "occupancy.nc"
    truncated.write_bytes((real[0] / "occupancy.nc").read_bytes()[:5000])
    foreign = tmp_path / "foreign.h5"
    with h5py.File(foreign, "w") as file:
        file["data"] = np.arange(3)
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.write(b"{")
        file.truncate(MAX_BYTES + 1)  # sparse
    for path in (image, archive, truncated, foreign, large, real[0] / "processed_hits_data.npy"):
        with pytest.raises(InvalidCounts, match="expected") as caught:
            read_hits(path, TABLE)
        assert str(path) in str(caught.value)
    with pytest.raises(FileNotFoundError, match="absent"):
        read_hits(tmp_path / "absent.json", TABLE)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.drop_vars("hits"), "no hits"),
        (lambda d: d.assign(hits=d["hits"] - 1), "-1"),
        (lambda d: d.assign(hits=d["hits"] * 1.5), "whole numbers"),
        (lambda d: d.assign(hits=d["hits"].sum("element_id")), "whole numbers"),
        (lambda d: d.assign_coords(detector_id=d["detector_id"] + 1), "detector_id 1, 2"),
    ],
    ids=["missing", "negative", "fractional", "flat", "shifted"],
)
def test_altered_netcdf_is_refused(tmp_path: Path, change: Any, words: str) -> None:
    path = tmp_path / "occupancy.nc"
    change(make({(3, 74): 2})).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(InvalidCounts, match=words):
        read_hits(path, TABLE)


def test_netcdf_that_claims_to_be_endless_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "occupancy.nc"
    make({(3, 74): 2}).to_netcdf(path, engine="h5netcdf")
    with h5py.File(path, "a") as file:
        file.create_dataset("bomb", (10**6, 10**6), np.float64, chunks=(1000, 1000), fillvalue=1.0)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(InvalidCounts, match="bytes of data"):
        read_hits(path, TABLE)
