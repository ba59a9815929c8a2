"""Values of HDF5 files in our units, and what groups hold; how files are opened and links walked is in the core."""

from __future__ import annotations

import math
from itertools import islice
from typing import Any, Final

import h5py
import numpy as np

from detcore.core.hdf5 import attribute, content, fetch, found, walk_to

MAX_DEPTH: Final = 8
MAX_OBJECTS: Final = 2000  # looked at in search of something
_UNITS = {
    "s": 1.0, "ms": 1e-3, "millisecond": 1e-3, "us": 1e-6, "ns": 1e-9,
    "m": 1.0, "meter": 1.0, "metre": 1.0, "cm": 1e-2, "mm": 1e-3, "millimeter": 1e-3, "um": 1e-6, "micrometer": 1e-6,
    "micron": 1e-6, "nm": 1e-9, "angstrom": 1e-10, "a": 1e-10,
    "ev": 1e-3, "kev": 1.0, "j": 6.241509074e15, "joule": 6.241509074e15,
}  # fmt: skip
"""To s, m and keV; 1 J = 6.241509074e18 eV (CODATA 2018)."""


def number(path: str, file: h5py.File, *names: str, unit: str = "") -> float | None:
    """Return the first finite number of these data sets, in m, s or keV if it has a unit.

    Parameters
    ----------
    path, file
        Where.
    names
        Tried in turn.
    unit
        What a number without a unit is in.
    """
    for name in names:
        with found(path, file, name) as item:
            value = content(item, 16)
            if value is None or not value.size or value.dtype.kind not in "iufb":
                continue
            first = value.ravel()[0]
            plain = float(str(first)) if value.dtype == np.float32 else float(first)  # 0.000075, not 7.4999998e-05
            if math.isfinite(plain):
                factor = _UNITS.get(str(attribute(item, "units") or unit).strip().lower(), 1.0)
                return (
                    plain if factor == 1.0 else float(f"{plain * factor:.12g}")
                )  # 5.5e-05, not 5.4999999999999995e-05
    return None


def text(path: str, file: h5py.File, *names: str) -> str | None:
    """Return the first text of these data sets."""
    for name in names:
        value = fetch(path, file, name, 16)
        if value is not None and value.size and value.dtype.kind in "SUO":
            first = value.ravel()[0]
            words = first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)
            return words[:1000].strip("\0 ")
    return None


def members(group: Any) -> list[tuple[str, Any]]:
    """Return the names and objects of a group that are in the file itself; at most `MAX_OBJECTS`."""
    inside = []
    for name in islice(group, MAX_OBJECTS):
        try:
            if isinstance(group.get(name, getlink=True), h5py.HardLink):
                inside.append((str(name), group[name]))
        except (KeyError, TypeError, ValueError, RuntimeError, OSError):  # of a kind that a plug-in made, or damaged
            continue
    return inside


def tree(file: h5py.File, top: str = "/") -> list[tuple[str, Any]]:
    """Return the paths and objects below a group, each once, in the file itself; at most `MAX_OBJECTS`."""
    seen: set[int] = set()
    result: list[tuple[str, Any]] = []

    def look(group: Any, where: str, depth: int) -> None:
        for name, item in members(group):
            if len(result) >= MAX_OBJECTS:
                return
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            result.append((f"{where}/{name}", item))
            if isinstance(item, h5py.Group) and depth < MAX_DEPTH:
                look(item, f"{where}/{name}", depth + 1)

    start = walk_to(file, top)
    if isinstance(start, h5py.Group):
        look(start, top.rstrip("/"), 0)
    return result
