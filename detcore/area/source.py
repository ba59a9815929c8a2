"""Area detectors as a source: what opens files, and says whether it can."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from detcore.area.files.known import SUFFIXES, format_of
from detcore.area.files.psanaframes import MISSING, PsanaRun, installed
from detcore.area.files.psanaframes import SUFFIXES as PSANA_SUFFIXES
from detcore.area.framefiles import AreaFiles
from detcore.core.source import Match, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["AreaFiles", "PsanaRun", "open_files", "probe"]


def open_files(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    detector: str | None = None,
    dataset: str | None = None,
    type: str | None = None,
    orientation: int = 1,
    frames: slice | tuple[int | None, ...] | None = None,
    geometry: str | os.PathLike[str] | None = None,
    calibration: Mapping[str, str | os.PathLike[str]] | None = None,
) -> AreaFiles | PsanaRun:
    """Open the frames of an area detector.

    Parameters
    ----------
    paths
        A file, several in the order of the run, or a folder.
    detector
        Which one, where a file has several; its name in results.
    dataset
        Name of the frames in the file; None: where they usually are.
    type
        Kind of detector (`detcore.area.detector.TYPES`); None: as the file says.
    orientation
        1 to 8, as in EXIF; 4 mirrors top to bottom.
    frames
        Which events, as a slice or (first, end, step), from 0. None: all.
    geometry
        A CrystFEL ``.geom`` file.
    calibration
        Arrays from files of their own: ``{"pedestal": "dark_pedestal.npy", …}``.

    Returns
    -------
    AreaFiles
        A source for `run` and `stream`; a `PsanaRun`, which has the same methods, for xtc files and ``exp=…,run=…``.

    Raises
    ------
    ValueError
        An option is impossible.
    """
    several = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    chosen = None
    if frames is not None:
        first, end, step = (
            (frames.start, frames.stop, frames.step) if isinstance(frames, slice) else (*frames, None, None, None)[:3]
        )
        chosen = (first or 0, end, step or 1)
    names = tuple(os.fspath(path) for path in several)
    if _is_psana(names[0] if names else ""):
        if orientation != 1 or geometry or calibration:
            msg = f"{names[0]}: psana knows geometry and calibration itself; leave orientation, geometry and calibration out"
            raise ValueError(msg)
        return PsanaRun(names, detector, type, *(chosen or (0, None, 1)))
    return AreaFiles(
        names, detector, dataset, type, orientation, chosen,
        None if geometry is None else os.fspath(geometry),
        tuple(sorted((name, os.fspath(path)) for name, path in (calibration or {}).items())),
    )  # fmt: skip


def _is_psana(name: str) -> bool:
    return name.startswith("exp=") or name.endswith(PSANA_SUFFIXES)


def probe(path: str) -> Match:
    """Say whether a file, or the first files of a folder, hold frames."""
    if _is_psana(path) and not Path(path).is_dir():
        return Match("generic", "a file of LCLS, by psana") if installed() else Match("no", MISSING)
    if Path(path).is_dir():
        inside = walk(path, SUFFIXES)
        if not inside:
            return Match("no", f"the folder has no {', '.join(SUFFIXES)} file")
        answers = [Match("no", f"cannot list {one}") if Path(one).is_dir() else probe(one) for one in inside[:3]]
        return next((answer for answer in answers if answer.degree != "no"), answers[0])
    try:
        return format_of(path).judge(path)
    except (OSError, ValueError) as error:
        return Match("no", " ".join(str(error).split())[:300])
