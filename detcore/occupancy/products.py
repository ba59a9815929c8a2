"""The files that a run leaves behind, with the names and the layout that older scripts read."""

from __future__ import annotations

import csv
import json
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.core.outputs import cell, csv_text, write_content, write_each, write_netcdf
from detcore.core.paths import atomic
from detcore.core.schema import require
from detcore.occupancy import plots
from detcore.occupancy.canvas import by_id, save_figure, shown
from detcore.occupancy.exchange import read_hits

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from detcore.core.source import Problem
    from detcore.occupancy.detectors import Detector, DetectorTable

    Sparse = tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]], NDArray[np.integer[Any]]]

__all__ = ["csv_text", "read_hits", "save_figure", "write_all"]

HIT_COLUMNS = ("Group", "Detector_Name", "Detector_ID", "Element_ID", "Hits")
SUMMARY_COLUMNS = ("Group", "Detector_Name", "Detector_ID", "Total_Hits", "Elements")


def write_all(
    dataset: xr.Dataset,
    folder: str | os.PathLike[str],
    *,
    per_file: Mapping[str, Sparse] | None = None,
    table: DetectorTable,
    only: Collection[str] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[list[Path], list[Problem]]:
    """Write every product of a run, each aside and renamed; a failing one does not stop the others.

    Parameters
    ----------
    dataset
        As `occupancy.reduce` gives it.
    folder
        Where to; made if it is missing.
    per_file
        File name -> (detector_id, element_id, hits), three arrays (channel,) of the channels that were hit.
        None: the products that list the files are left out. May be a lazy mapping: one file is held at a time.
    table
        The detector table: names and display order.
    only
        File names, to write these alone; None for all.
    progress
        Called before each product with how many are done, how many there are, and its name; called at the end.

    Returns
    -------
    written : list of Path
        What is there now.
    problems : list of Problem
        What could not be written, and why; empty when all is well.
    """
    jobs = list(_jobs(dataset, Path(folder), {} if per_file is None else per_file, table))
    jobs = [job for job in jobs if only is None or job[0].name in only]
    return write_each(jobs, progress)


def _jobs(
    dataset: xr.Dataset, folder: Path, per_file: Mapping[str, Sparse], table: DetectorTable
) -> Iterator[tuple[Path, Callable[[Path], object]]]:
    """Yield each target with the function that writes it: numbers first, pictures last."""
    planes = shown(dataset, table)
    details = folder / "output_data"
    yield folder / "total_hits_data.json", partial(_write_total, dataset)
    yield folder / "total_hits_data.csv", partial(_write_hits, _sparse(dataset), planes)
    yield folder / "detector_summary.csv", partial(_write_summary, dataset, planes)
    yield folder / "processed_hits_data.npy", partial(_write_processed, dataset, table)
    yield folder / "hits_per_event_data.csv", partial(_write_per_event, dataset)
    yield folder / "occupancy.nc", partial(write_netcdf, dataset)
    if per_file:
        yield folder / "file_hits_data.json", partial(_write_files, per_file)
        stems = _unique(re.split(r"[\\/]", name)[-1].removesuffix(".root") for name in per_file)
        for name, stem in zip(per_file, stems, strict=True):
            yield details / f"{stem}_hits.csv", partial(_write_file, per_file, name, planes)
    draw = partial(_draw, dataset.attrs.get("provenance", ""))
    for separators in (True, False):
        place = folder / f"overall_occupancy_{'with' if separators else 'no'}_separators.png"
        yield place, partial(draw, partial(plots.overall, dataset, separators, table=table))
    names = list(dict.fromkeys(plane.group for plane in planes))
    for group, safe in zip(names, _unique(names), strict=True):
        place = details / safe / f"{safe.replace(' ', '_')}_plot.png"
        yield place, partial(draw, partial(plots.group, dataset, group, table=table))
    yield folder / "hits_per_event_histogram.png", partial(draw, partial(plots.hits_per_event, dataset))


def _draw(provenance: str, figure: Callable[[], Any], target: Path) -> None:
    save_figure(figure(), target, provenance=provenance)


def _write_total(dataset: xr.Dataset, target: Path) -> None:
    """Write (max_detector + 1, max_element + 1) counts whose indices are the ids; detectors not in the table too."""
    hits = by_id(dataset["hits"])
    largest = {"max_detector": hits.shape[0] - 1, "max_element": hits.shape[1] - 1}
    write_content(target, json.dumps({"hits_array": hits.tolist(), **largest}))


def _write_files(per_file: Mapping[str, Sparse], target: Path) -> None:
    """Write {file: {"det_elem": hits}} one file at a time; channels without hits are left out."""
    with atomic(target) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        for number, name in enumerate(per_file):
            channels = zip(*(column.tolist() for column in per_file[name]), strict=True)
            counts = {f"{detector}_{element}": hits for detector, element, hits in channels if hits}
            file.write(f"{', ' if number else '{'}{json.dumps(name)}: {json.dumps(counts)}")
        file.write("}")


def _write_file(per_file: Mapping[str, Sparse], name: str, planes: Sequence[Detector], target: Path) -> None:
    _write_hits(per_file[name], planes, target)


def _write_hits(channels: Sparse, planes: Sequence[Detector], target: Path) -> None:
    """Write one line for each channel with hits, by detector and element id."""
    detector, element, hits = channels
    known = {plane.detector_id: plane for plane in planes}
    order = np.lexsort((element, detector))
    rows = zip(detector[order].tolist(), element[order].tolist(), hits[order].tolist(), strict=True)
    lines = ((known[d].label, known[d].name, d, e, n) for d, e, n in rows if n and d in known)
    _write_csv(target, HIT_COLUMNS, lines)


def _write_summary(dataset: xr.Dataset, planes: Sequence[Detector], target: Path) -> None:
    """Write one line for each plane, by detector id."""
    hits = by_id(dataset["hits"]).sum(axis=1).tolist()
    rows = sorted(planes, key=lambda plane: plane.detector_id)
    totals = (hits[row.detector_id] if row.detector_id < len(hits) else 0 for row in rows)
    lines = ((r.label, r.name, r.detector_id, total, r.n_elements) for r, total in zip(rows, totals, strict=True))
    _write_csv(target, SUMMARY_COLUMNS, lines)


def _write_processed(dataset: xr.Dataset, table: DetectorTable, target: Path) -> None:
    """Write int64 (element id, column): the planes in table order side by side, then columns of zeros.

    The shape is that of the transposed `hits_array`, which is what scripts that read this file expect.
    """
    hits = by_id(dataset["hits"]).astype(np.int64)
    out = np.zeros((hits.shape[1], max(len(hits), len(table.rows))), np.int64)
    for column, plane in enumerate(table.rows):
        if plane.detector_id < len(hits):
            out[:, column] = hits[plane.detector_id]
    with atomic(target) as aside:
        np.save(aside, out)


def _write_per_event(dataset: xr.Dataset, target: Path) -> None:
    """Write the number of hits of each event that has any, in the order of the events."""
    require(dataset, ["hits_per_event"], target.name)
    counts = dataset["hits_per_event"].values
    # older scripts expect floating-point text of exactly this form
    write_content(target, "".join(["hits_per_event\n", *(f"{count:.18e}\n" for count in counts[counts > 0].tolist())]))


def _write_csv(target: Path, header: Sequence[str], rows: Iterable[Sequence[str | int]]) -> None:
    with atomic(target) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([cell(value) for value in row] for row in rows)


def _sparse(dataset: xr.Dataset) -> Sparse:
    hits = by_id(dataset["hits"])
    detector, element = np.nonzero(hits)
    return detector, element, hits[detector, element]


def _unique(names: Iterable[str]) -> list[str]:
    """Return names that are safe on every file system and differ from each other, also where case does not count."""
    out: list[str] = []
    taken: set[str] = set()
    for name in names:
        safe = stem = re.sub(r"[^\w +.-]", "_", name, flags=re.ASCII).strip(". ")[:80] or "_"
        number = 2
        while safe.casefold() in taken:
            safe, number = f"{stem}-{number}", number + 1
        taken.add(safe.casefold())
        out.append(safe)
    return out
