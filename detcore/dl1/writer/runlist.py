"""Run lists: which inputs are written to which output."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from detcore.core.paths import atomic
from detcore.core.source import Problem

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

SUFFIXES: Final = (".simtel.gz", ".simtel.zst")
EXPECTED: Final = "[particle]_[ze]deg_[az]deg_run[number]___[production info].simtel.gz"
INPUTS_PER_RUN: Final = 10
MAX_BYTES: Final = 64 << 20


@dataclass(frozen=True)
class SimtelName:
    """What the name of a simtel file says.

    Parameters
    ----------
    path
        The file.
    particle
        For instance "gamma".
    zenith, azimuth
        deg.
    run
        Its number.
    production
        The rest, with the cone if there is one.
    """

    path: str
    particle: str
    zenith: int
    azimuth: int
    run: int
    production: str

    @property
    def group(self) -> tuple[str, int, int, str]:
        """What files of one output have in common."""
        return self.particle, self.zenith, self.azimuth, self.production


_FRONT: Final = re.compile(r"(?P<particle>[^_]+)_(?P<ze>\d+)deg_(?P<az>\d+)deg_run(?P<run>\d+)", re.ASCII)


def parse_name(path: str | os.PathLike[str]) -> SimtelName:
    """Read the name of a simtel file; what follows a second ___ is left out, as by the original.

    Raises
    ------
    ValueError
        It is not as expected.

    Examples
    --------
    >>> parse_name("gamma_20deg_180deg_run7___cta-prod3_cone10.simtel.gz").production
    'cta-prod3_cone10'
    """
    name = Path(path).name
    suffix = next((one for one in SUFFIXES if name.endswith(one)), "")
    front, *rest = name.removesuffix(suffix).split("___")
    match = _FRONT.fullmatch(front)
    if not suffix or match is None or not rest or len(match["run"]) > 18:
        msg = f"{name}: expected a name as {EXPECTED}"
        raise ValueError(msg)
    return SimtelName(str(path), match["particle"], int(match["ze"]), int(match["az"]), int(match["run"]), rest[0])


def make_runlist(
    file_dir: str | os.PathLike[str], num_inputs_per_run: int = INPUTS_PER_RUN
) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Group the simtel files of a folder into runs.

    Files of the same particle, direction and production are sorted by run number and cut into groups.

    Parameters
    ----------
    file_dir
        The folder; folders in it are not looked into.
    num_inputs_per_run
        Files of a run; the last one of a group may have fewer.

    Returns
    -------
    runs
        Mappings with inputs and target, as `DL1DataWriter.process_data` takes them.
    problems
        Files whose names say too little; they are in no run.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        There is no such folder.
    ValueError
        No file could be used.
    """
    if num_inputs_per_run < 1:
        msg = f"num_inputs_per_run: expected at least 1, found {num_inputs_per_run}"
        raise ValueError(msg)
    folder = Path(file_dir)
    paths = sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES) and not path.name.startswith("."))
    names: list[SimtelName] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            names.append(parse_name(path))
        except ValueError as error:
            problems.append(Problem.of(str(path), error))
    if not names:
        found = f"{len(problems)} of other names" if problems else "none"
        msg = f"{folder}: expected files named {EXPECTED} (or {SUFFIXES[1]}), found {found}"
        raise ValueError(msg)
    groups: dict[tuple[str, int, int, str], list[SimtelName]] = {}
    for one in sorted(names, key=lambda one: (one.group, one.run)):
        groups.setdefault(one.group, []).append(one)
    runs: list[dict[str, Any]] = []
    for (particle, zenith, azimuth, production), members in groups.items():
        for start in range(0, len(members), num_inputs_per_run):
            part = members[start : start + num_inputs_per_run]
            target = f"{particle}_{zenith}deg_{azimuth}deg_runs{part[0].run}-{part[-1].run}___{production}.h5"
            runs.append({"inputs": [one.path for one in part], "target": target})
    return _apart(runs), problems


def _apart(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give targets that would be equal, which runs of one number are, a number of their own."""
    seen: dict[str, int] = {}
    taken = {str(run["target"]) for run in runs}
    for run in runs:
        target = str(run["target"])
        seen[target] = seen.get(target, 0) + 1
        if seen[target] > 1:
            number = seen[target]
            while (name := f"{target.removesuffix('.h5')}_part{number}.h5") in taken:
                number += 1
            taken.add(name)
            run["target"] = name
    return runs


def write_runlist(runs: Iterable[dict[str, Any]], output_file: str | os.PathLike[str] = "./runlist.yml") -> None:
    """Write a run list as YAML.

    Parameters
    ----------
    runs
        Of `make_runlist`.
    output_file
        Is replaced when the new one is complete.
    """
    text = yaml.safe_dump(list(runs), allow_unicode=True)
    with atomic(output_file) as aside:
        aside.write_text(text, encoding="utf-8")


def read_runlist(path: str | os.PathLike[str], output_dir: str | os.PathLike[str] = ".") -> list[dict[str, Any]]:
    """Read a run list.

    Parameters
    ----------
    path
        YAML: a list of mappings with inputs and target.
    output_dir
        Where targets are.

    Returns
    -------
    list
        As `DL1DataWriter.process_data` takes it.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is no run list.
    """
    place = Path(path)
    if place.stat().st_size > MAX_BYTES:
        msg = f"{path}: {place.stat().st_size} bytes; a run list has at most {MAX_BYTES}"
        raise ValueError(msg)
    try:
        found = yaml.safe_load(place.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        msg = f"{path}: expected a YAML list of runs with inputs and target: {' '.join(str(error).split())[:300]}"
        raise ValueError(msg) from error
    if not isinstance(found, list) or not found:
        kind = "nothing" if not found else type(found).__name__
        msg = f"{path}: expected a YAML list of runs with inputs and target, found {kind}"
        raise ValueError(msg)
    runs = []
    for number, run in enumerate(found, 1):
        inputs, target = (run.get("inputs"), run.get("target")) if isinstance(run, dict) else (None, None)
        good = isinstance(inputs, list) and inputs and all(isinstance(one, str) for one in inputs)
        if not good or not isinstance(target, str) or not target:
            msg = f"{path}: run {number}: expected inputs (a list of files) and target (a file), found {str(run)[:200]}"
            raise ValueError(msg)
        runs.append({"inputs": inputs, "target": str(Path(output_dir) / target)})
    return runs
