"""Counts back from files: the JSON and CSV forms of all ages, and our own netCDF. Nothing in them is trusted."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import xarray as xr

from detcore.occupancy.detectors import MAX_DETECTOR, MAX_ELEMENT

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from detcore.occupancy.detectors import DetectorTable

    Channel = tuple[int, int, int]

MAX_BYTES = 100_000_000  # of a text file; a spill needs 50 kB
MAX_COUNT = 10**12  # hits of a channel; with MAX_BYTES the sum of all cannot overflow int64
MAX_MEMORY = 1_000_000_000  # bytes of a netCDF file once read
KEY = re.compile(r"(-?[0-9]{1,12})_(-?[0-9]{1,12})", re.ASCII)
FORMS = (
    'total_hits_data.json ("hits_array", or {"det_elem": n}), file_hits_data.json ({file: {"det_elem": n}}), '
    "total_hits_data.csv or *_hits.csv (Detector_ID,Element_ID,Hits), or occupancy.nc"
)


class InvalidCounts(ValueError):
    """A file is not one of the known forms, or holds an impossible number."""


def read_hits(path: str | os.PathLike[str], table: DetectorTable) -> xr.Dataset:
    """Read the counts that `write_all`, or the tools before it, have written.

    Parameters
    ----------
    path
        One of `FORMS`; recognised by its content.
    table
        The detector table. Detectors that are not in it are kept, with the highest element seen as their size.

    Returns
    -------
    Dataset
        `hits` (detector_id, element_id) with the coordinates of a reduction; hits of impossible ids are counted in
        `dropped_unknown` and `dropped_elements`. From netCDF: the whole Dataset.

    Raises
    ------
    OSError
        The file cannot be opened.
    InvalidCounts
        It is none of the forms, or holds a negative, fractional or impossible number; says where.
    """
    place = Path(path)
    with place.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return _netcdf(place)
    if place.stat().st_size > MAX_BYTES:
        _refuse(place, f"at most {MAX_BYTES:,} bytes of text", f"{place.stat().st_size:,}")
    try:
        text = place.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        _refuse(place, FORMS, "bytes that are not text")
    channels = _json(place, text) if text.lstrip()[:1] in {"{", "["} else _csv(place, text)
    return _dataset(channels, table, place)


def _refuse(place: Path, expected: str, found: str) -> NoReturn:
    msg = f"{place}: expected {expected}; found {found[:200]}; write it again with 'detcore occupancy run'"
    raise InvalidCounts(msg)


def _json(place: Path, text: str) -> Iterator[Channel]:
    """Yield the channels of any of the three JSON forms."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            keys = [key for key, _ in pairs]
            _refuse(place, "each key once", f"{next(key for key in keys if keys.count(key) > 1)!r} twice")
        return found

    try:
        content = json.loads(text, object_pairs_hook=once, parse_constant=lambda word: _refuse(place, "numbers", word))
    except InvalidCounts:
        raise
    except ValueError as error:
        _refuse(place, "JSON", str(error))
    except RecursionError:
        _refuse(place, FORMS, "JSON nested without end")
    if not isinstance(content, dict):
        _refuse(place, FORMS, "a JSON list")
    if "hits_array" in content:
        yield from _array(place, content)
        return
    for name, value in content.items():
        if isinstance(value, dict):
            for key, count in value.items():
                yield _channel(place, key, count, f" of {name!r:.60}")
        else:
            yield _channel(place, name, value, "")


def _array(place: Path, content: dict[str, Any]) -> Iterator[Channel]:
    """Yield the channels of `hits_array`, whose indices are the ids."""
    rows = content["hits_array"]
    sizes = {len(row) if isinstance(row, list) else -1 for row in rows} if isinstance(rows, list) else {-1}
    if -1 in sizes or len(sizes) > 1:
        _refuse(place, "'hits_array' as a list of lists of equal length", "something else")
    for name, size in (("max_detector", len(rows) - 1), ("max_element", next(iter(sizes), 0) - 1)):
        if name in content and content[name] != size:
            _refuse(place, f"{name} = {size} as in 'hits_array'", repr(content[name]))
    for detector, row in enumerate(rows):
        for element, count in enumerate(row):
            if count != 0 or type(count) is not int:
                yield detector, element, _count(place, count, f"detector {detector}, element {element}")


def _channel(place: Path, key: str, count: Any, where: str) -> Channel:
    ids = KEY.fullmatch(key)
    if ids is None:
        _refuse(place, f"keys 'detector_element'{where}, such as '3_74'", repr(key))
    return int(ids[1]), int(ids[2]), _count(place, count, f"{key!r}{where}")


def _count(place: Path, count: Any, where: str) -> int:
    if type(count) is not int or not 0 <= count <= MAX_COUNT:
        _refuse(place, f"a whole number of hits from 0 to {MAX_COUNT:,} for {where}", f"{count!r:.60}")
    return count


def _csv(place: Path, text: str) -> Iterator[Channel]:
    """Yield the channels of a table of hits; names and groups in it do not matter."""
    reader = csv.DictReader(text.splitlines())
    try:
        header = reader.fieldnames or ()
        if not {"Detector_ID", "Element_ID", "Hits"} <= set(header):
            _refuse(place, FORMS, f"a first line {','.join(header)!r:.100}")
        for line in reader:
            words = [line[name] or "" for name in ("Detector_ID", "Element_ID", "Hits")]
            where = f"line {reader.line_num}"
            if not all(re.fullmatch(r"-?[0-9]{1,15}", word, re.ASCII) for word in words):
                _refuse(place, f"whole numbers in {where}", ", ".join(map(repr, words)))
            yield int(words[0]), int(words[1]), _count(place, int(words[2]), where)
    except csv.Error as error:
        _refuse(place, "a CSV table", str(error))


def _dataset(channels: Iterable[Channel], table: DetectorTable, place: Path) -> xr.Dataset:
    """Sum the channels into the arrays of a reduction, whose bounds are fixed whatever the ids are."""
    hits = np.zeros((MAX_DETECTOR + 1, MAX_ELEMENT + 1), np.int64)
    outside = np.zeros(MAX_DETECTOR + 1, np.int64)
    for detector, element, count in channels:
        if not 1 <= detector <= MAX_DETECTOR:
            outside[0] += count
        elif not 1 <= element <= (table.by_id[detector].n_elements if detector in table.by_id else MAX_ELEMENT):
            outside[detector] += count
        else:
            hits[detector, element] += count
    seen = np.where(hits.any(axis=1), MAX_ELEMENT - np.argmax(hits[:, ::-1] > 0, axis=1), 0)
    inferred = seen > 0
    for row in table.rows:
        seen[row.detector_id], inferred[row.detector_id] = row.n_elements, False
    n_detectors, n_elements = int(np.flatnonzero(seen).max()), int(seen.max())
    ids = range(1, n_detectors + 1)
    known = [table.by_id.get(number) for number in ids]
    return xr.Dataset(
        {
            "hits": (("detector_id", "element_id"), hits[1 : n_detectors + 1, 1 : n_elements + 1]),
            "dropped_unknown": np.int64(outside[0] + outside[n_detectors + 1 :].sum()),
            "dropped_elements": ("detector_id", outside[1 : n_detectors + 1]),
        },
        coords={
            "detector_id": np.array(ids, np.int64),
            "element_id": np.arange(1, n_elements + 1),
            "detector": ("detector_id", [row.name if row else "" for row in known]),
            "group": ("detector_id", [row.group if row else "" for row in known]),
            "n_elements": ("detector_id", seen[1 : n_detectors + 1]),
            "inferred": ("detector_id", inferred[1 : n_detectors + 1]),
        },
        attrs={"status": "complete", "problems": "[]", "provenance": json.dumps({"source": str(place)})},
    )


def _netcdf(place: Path) -> xr.Dataset:
    """Read our own file after a look at its sizes: a small file can claim to be endless."""
    try:
        with xr.open_dataset(place, engine="h5netcdf", decode_times=False, phony_dims="access") as lazy:
            missing = {"detector_id", "element_id", "n_elements", "hits"} - set(map(str, lazy.variables))
            if missing:
                _refuse(place, "an occupancy.nc of detcore", f"no {', '.join(sorted(missing))}")
            if lazy.nbytes > MAX_MEMORY:
                _refuse(place, f"at most {MAX_MEMORY:,} bytes of data", f"{lazy.nbytes:,}")
            dataset = lazy.load()
    except InvalidCounts:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        _refuse(place, "an occupancy.nc of detcore", f"{type(error).__name__}: {error}")
    hits = dataset["hits"]
    if set(hits.dims) != {"detector_id", "element_id"} or not np.issubdtype(hits.dtype, np.integer):
        _refuse(place, "whole numbers 'hits' (detector_id, element_id)", f"{hits.dtype} {hits.dims}")
    for name, last in (("detector_id", MAX_DETECTOR), ("element_id", MAX_ELEMENT)):
        if not np.array_equal(dataset[name], np.arange(1, dataset.sizes[name] + 1)) or dataset.sizes[name] > last:
            _refuse(place, f"{name} 1, 2, … up to {last} at most", f"{dataset.sizes[name]} others")
    if int(hits.min()) < 0 or int(hits.max()) > MAX_COUNT:
        _refuse(place, f"hits from 0 to {MAX_COUNT:,}", f"{int(hits.min())} to {int(hits.max())}")
    return dataset
