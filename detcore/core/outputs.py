"""Files for people and programs: text, tables, whole results; each is written aside and renamed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detcore.core.paths import atomic
from detcore.core.source import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import pandas as pd
    import xarray as xr

    Job = tuple[Path, Callable[[Path], object]]

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the beginning of one


def write_each(
    jobs: Iterable[Job], progress: Callable[[int, int, str], None] | None = None
) -> tuple[list[Path], list[Problem]]:
    """Write several files; one that fails does not stop the others.

    Parameters
    ----------
    jobs
        Targets, each with the function that writes it.
    progress
        Called before each file with how many are done, how many there are, and its name; called at the end.

    Returns
    -------
    written : list of Path
        What is there now.
    problems : list of Problem
        What could not be written, and why; empty when all is well.
    """
    jobs = list(jobs)
    written: list[Path] = []
    problems: list[Problem] = []
    for number, (target, write) in enumerate(jobs):
        if progress is not None:
            progress(number, len(jobs), target.name)
        try:
            write(target)
        except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
            problems.append(Problem.of(str(target), error))
        else:
            written.append(target)
    if progress is not None:
        progress(len(jobs), len(jobs), "")
    return written, problems


def write_content(target: Path, content: str | bytes) -> None:
    """Write bytes, or text as UTF-8; what is no text in a name becomes a question mark."""
    with atomic(target) as aside:
        aside.write_bytes(content.encode(errors="replace") if isinstance(content, str) else content)


def write_netcdf(data: xr.Dataset, target: Path) -> None:
    """Write everything, provenance included, as netCDF4 (an HDF5 file)."""
    kept = data.assign_attrs()
    kept.attrs = {name: _attribute(value) for name, value in data.attrs.items() if value is not None}
    numbers = [name for name, each in data.variables.items() if each.size and each.ndim and each.dtype.kind in "iuf"]
    with atomic(target) as aside:
        kept.to_netcdf(aside, engine="h5netcdf", encoding={name: {"zlib": True, "complevel": 1} for name in numbers})


def _attribute(value: Any) -> Any:
    """Return what netCDF can hold: numbers, text, and arrays of numbers; other things as JSON."""
    if isinstance(value, (bool, np.bool_)):
        return int(value)
    if isinstance(value, str):  # HDF5 knows neither lone surrogates nor null characters in text
        return value.encode("utf-8", "replace").decode().replace("\0", " ")
    if isinstance(value, (int, float, np.number)):
        return value
    if isinstance(value, (tuple, list)) and value and all(isinstance(one, (int, float)) for one in value):
        return np.array(value)
    return json.dumps(value, default=str).encode("utf-8", "replace").decode()


def cell(value: Any) -> Any:
    """Return text so that a spreadsheet does not take it for a formula; other values as they are.

    Examples
    --------
    >>> cell("=1+1"), cell("D0V"), cell(-3)
    ("'=1+1", 'D0V', -3)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def csv_text(table: pd.DataFrame, *, index: bool = False) -> str:
    """Return a table as CSV in which no text is taken for a formula."""
    plain = table.reset_index() if index else table
    text = plain.select_dtypes(exclude="number").columns
    plain = plain.assign(**{str(name): plain[name].map(cell) for name in text})
    return str(plain.to_csv(index=False, lineterminator="\n"))
