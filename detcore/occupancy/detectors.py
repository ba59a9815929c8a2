"""The detector table: which planes there are, how many elements they have, where their hits are expected in time."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COLUMNS = ("label", "group", "name", "detector_id", "n_elements", "kind", "t_min", "t_max", "t_bin")
MAX_DETECTOR = 127  # largest detector id that is counted; SpinQuest uses 1..62 and 63..99 for trigger signals
MAX_ELEMENT = 511  # largest element id that is counted; SpinQuest's largest plane has 201


@dataclass(frozen=True)
class Detector:
    """One plane of the spectrometer.

    Parameters
    ----------
    name, detector_id
        As in the experiment's files.
    n_elements
        Wires or paddles; element ids are 1..n_elements.
    group, label
        Where it is drawn; `group` is unique, `label` is the short heading and may repeat.
    kind
        chamber, hodo, prop or dp.
    t_min, t_max, t_bin
        The shifters' drift-time window and bin, ns.
    """

    name: str
    detector_id: int
    n_elements: int
    group: str
    label: str
    kind: str = "chamber"
    t_min: float = 0.0
    t_max: float = 2500.0
    t_bin: float = 4.0


@dataclass(frozen=True)
class DetectorTable:
    """The planes in display order.

    Examples
    --------
    >>> table = DetectorTable.default()
    >>> len(table.rows), table.by_id[3].name, table.by_id[3].n_elements
    (56, 'D0X', 160)
    """

    rows: tuple[Detector, ...]

    @cached_property
    def by_id(self) -> Mapping[int, Detector]:
        """Detector id -> plane."""
        return {row.detector_id: row for row in self.rows}

    @cached_property
    def by_name(self) -> Mapping[str, Detector]:
        """Name -> plane."""
        return {row.name: row for row in self.rows}

    def groups(self) -> dict[str, tuple[Detector, ...]]:
        """Return unique group -> its planes, both in display order."""
        found: dict[str, tuple[Detector, ...]] = {}
        for row in self.rows:
            found[row.group] = (*found.get(row.group, ()), row)
        return found

    @staticmethod
    def default() -> DetectorTable:
        """Return the table that ``DETCORE_DETECTORS`` names, else SpinQuest's spectrometer (56 planes in 14 groups)."""
        return _default(os.environ.get("DETCORE_DETECTORS", ""))

    @classmethod
    def read(cls, path: str | os.PathLike[str] | None) -> DetectorTable:
        """Read a table with the columns of the built-in one (`t_*` and `kind` may be left out).

        Raises
        ------
        ValueError
            A column is missing, an id repeats or a number makes no sense; says which line.
        """
        if path is None:
            return cls.default()
        return _parse(Path(path).read_text(encoding="utf-8-sig").splitlines(), str(path))


@cache
def _default(path: str) -> DetectorTable:
    if path:
        return DetectorTable.read(path)
    return _parse(files("detcore.occupancy").joinpath("detectors.csv").read_text().splitlines(), "detectors.csv")


def _parse(lines: Iterable[str], origin: str) -> DetectorTable:
    reader = csv.DictReader(lines)
    needed = ("name", "detector_id", "n_elements")
    missing = [name for name in needed if name not in (reader.fieldnames or ())]
    if missing:
        msg = f"{origin}: a detector table needs the columns {', '.join(needed)}; missing {', '.join(missing)}"
        raise ValueError(msg)
    rows: list[Detector] = []
    for number, line in enumerate(reader, start=2):
        try:
            label = line.get("label") or line.get("group") or "Detectors"
            row = Detector(
                name=line["name"].strip(),
                detector_id=int(line["detector_id"]),
                n_elements=int(line["n_elements"]),
                group=line.get("group") or label,
                label=label,
                kind=line.get("kind") or "chamber",
                t_min=float(line.get("t_min") or 0),
                t_max=float(line.get("t_max") or 2500),
                t_bin=float(line.get("t_bin") or 4),
            )
        except (TypeError, ValueError, AttributeError) as error:
            msg = f"{origin}, line {number}: {error}; expected whole numbers for detector_id and n_elements"
            raise ValueError(msg) from error
        if not (row.name and 1 <= row.detector_id <= MAX_DETECTOR and 1 <= row.n_elements <= MAX_ELEMENT):
            msg = (
                f"{origin}, line {number}: detector {row.name!r} has id {row.detector_id} and {row.n_elements} elements; "
                f"expected a name, an id in 1..{MAX_DETECTOR} and 1..{MAX_ELEMENT} elements"
            )
            raise ValueError(msg)
        rows.append(row)
    for what in ("detector_id", "name"):
        seen = [getattr(row, what) for row in rows]
        again = sorted({value for value in seen if seen.count(value) > 1}, key=str)
        if again:
            msg = f"{origin}: {what} {again[0]!r} stands more than once; each plane needs its own"
            raise ValueError(msg)
    if not rows:
        msg = f"{origin}: the detector table has no rows"
        raise ValueError(msg)
    return DetectorTable(tuple(rows))
