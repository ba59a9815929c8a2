"""The text of a CrystFEL geometry: panels, bad regions and facts, as lines ``panel/key = value``.

Written from the description of the format (crystfel_geometry(5)): what has no panel in front is the value of all panels
that follow; ``bad…`` are regions; ``;`` begins a comment.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from detcore.core.source import UnknownFormat

if TYPE_CHECKING:
    import os

MAX_BYTES: Final = 16 << 20
MAX_PANELS: Final = 100_000
_UNITS = {"m": 1.0, "mm": 1e-3, "ev": 1e-3, "kev": 1.0, "mev": 1e3, "a": 1.0}  # to m, keV, angstrom
_TERM = re.compile(r"([+-]?)\s*(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)?\s*([xyz])")


@dataclass(frozen=True, slots=True)
class Panel:
    """One rectangle of the data.

    Parameters
    ----------
    name
        Of the panel.
    rows, columns
        (first, last) of the slow and the fast axis in the data, inclusive.
    module
        Index of the axis before them, if the data has one.
    corner
        x, y of the outer corner of the first pixel, pixels from the beam.
    fast, slow
        x, y, z of one step along the axes, pixels.
    resolution
        Pixels in a metre.
    clen, offset
        Distance from the sample, m; nan if it is in the data; and what is added to it.
    saturation
        Largest valid value; nan without one.
    values
        All keys as text.
    """

    name: str
    rows: tuple[int, int]
    columns: tuple[int, int]
    module: int | None
    corner: tuple[float, float]
    fast: tuple[float, float, float]
    slow: tuple[float, float, float]
    resolution: float
    clen: float
    offset: float
    saturation: float
    values: dict[str, str] = field(compare=False, hash=False)


def parsed(path: str | os.PathLike[str]) -> tuple[list[Panel], list[dict[str, str]], dict[str, str]]:
    """Return the panels, the bad regions, and the lines that belong to no panel.

    Raises
    ------
    UnknownFormat
        It is no geometry, or has a line that is wrong; says which.
    """
    place = Path(path)
    if place.stat().st_size > MAX_BYTES:
        msg = f"{path}: {place.stat().st_size} bytes are too many for a geometry (limit {MAX_BYTES})"
        raise UnknownFormat(msg)
    defaults: dict[str, str] = {}
    panels: dict[str, dict[str, str]] = {}
    bad: dict[str, dict[str, str]] = {}
    for number, line in enumerate(place.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        words = line.split(";", 1)[0].strip()
        if not words:
            continue
        key, equals, value = (part.strip() for part in words.partition("="))
        if not equals or not key:
            msg = f"{path}, line {number}: expected 'key = value', found {words!r:.80}"
            raise UnknownFormat(msg)
        owner, slash, name = key.rpartition("/")
        if not slash:
            defaults[key] = value
        elif owner.startswith("bad"):
            bad.setdefault(owner, {})[name] = value
        elif not owner.startswith(("rigid_group", "group")):
            if len(panels) >= MAX_PANELS:
                msg = f"{path}: more than {MAX_PANELS} panels"
                raise UnknownFormat(msg)
            panels.setdefault(owner, dict(defaults))[name] = value
    if not panels:
        msg = f"{path}: no panel in it (lines like p0/min_fs = 0); is this a CrystFEL geometry?"
        raise UnknownFormat(msg)
    return [_panel(path, name, values) for name, values in panels.items()], list(bad.values()), defaults


def quantity(text: str | None) -> float:
    """Return a number with an optional unit in m, keV or angstrom; nan for anything else, such as a place in the data.

    Examples
    --------
    >>> quantity("80 mm"), quantity("9500 eV"), quantity("/entry/energy")
    (0.08, 9.5, nan)
    """
    found = re.fullmatch(r"([-+\d.eE]+)\s*([A-Za-z]*)", (text or "").strip())
    if found is None or found[2].lower() not in {"", *_UNITS}:
        return math.nan
    try:
        return float(f"{float(found[1]) * _UNITS.get(found[2].lower(), 1.0):.12g}")
    except ValueError:
        return math.nan


def _panel(path: str | os.PathLike[str], name: str, values: dict[str, str]) -> Panel:
    def number(key: str, default: float | None = None) -> float:
        found = quantity(values.get(key)) if key in values else default
        if found is None or not math.isfinite(found):
            msg = f"{path}: panel {name}: expected a number for {key}, found {values.get(key)!r:.60}"
            raise UnknownFormat(msg)
        return found

    spans = [(int(number(f"min_{axis}")), int(number(f"max_{axis}"))) for axis in ("ss", "fs")]
    for axis, (low, high) in zip(("ss", "fs"), spans, strict=True):
        if not 0 <= low <= high < 1 << 26:
            msg = f"{path}: panel {name}: min_{axis} = {low} and max_{axis} = {high}; expected 0 <= min <= max"
            raise UnknownFormat(msg)
    dims = [values[key] for key in (f"dim{i}" for i in range(5)) if key in values]
    fixed = [one for one in dims if one.isdecimal()]
    resolution = number("res")
    if resolution <= 0:
        msg = f"{path}: panel {name}: res is in pixels per metre, above 0; found {resolution}"
        raise UnknownFormat(msg)
    saturation = quantity(values.get("max_adu"))
    return Panel(
        name, spans[0], spans[1], int(fixed[-1]) if fixed else None, (number("corner_x"), number("corner_y")),
        _direction(path, name, "fs", values.get("fs", "1x")), _direction(path, name, "ss", values.get("ss", "1y")),
        resolution, quantity(values.get("clen")), number("coffset", 0.0), saturation, values,
    )  # fmt: skip


def _direction(path: str | os.PathLike[str], name: str, key: str, text: str) -> tuple[float, float, float]:
    """Return x, y, z of a text like "+0.003x -0.999y"."""
    found = {"x": 0.0, "y": 0.0, "z": 0.0}
    rest = text.strip()
    while rest:
        term = _TERM.match(rest)
        if term is None:
            msg = f"{path}: panel {name}: {key} = {text!r:.60} is no direction; expected for instance '+0.003x -0.999y'"
            raise UnknownFormat(msg)
        found[term[3]] += (-1 if term[1] == "-" else 1) * float(term[2] or 1)
        rest = rest[term.end() :].lstrip()
    return found["x"], found["y"], found["z"]
