"""What a file holds, in words: for `detcore showers info`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np

from detcore.showers.source import DATASETS, INCIDENT, read_header
from detcore.showers.steps import PARTICLES

if TYPE_CHECKING:
    import os

MAX_ROWS: Final = 50_000_000  # of numbers for each shower that are read at once


def facts(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a file holds, without reading its points.

    Parameters
    ----------
    path
        A shower file, or one with incident particles only.

    Returns
    -------
    dict
        Plain numbers and texts: `file`, `bytes`, `kind` (showers, incident particles), `showers`, `max_points`, `columns`,
        `points` (total, mean, most), `energy` (GeV: least, mean, most), `angle` (degrees from the axis: least, most),
        `particles` (name -> number), `targets` (name -> shape), `observables`, `attributes`, `others` (further datasets).

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is something else, or its numbers do not fit together.
    """
    place = Path(path)
    size = place.stat().st_size
    found: dict[str, Any] = {"file": str(place), "bytes": size}
    try:
        header = read_header(path)
    except ValueError:
        if not _incident_only(place):
            raise
        header = None
    with h5py.File(place, "r") as file:
        rows = header.showers if header else int(file["energies"].shape[0])
        if rows > MAX_ROWS:
            msg = f"{place}: {rows:,} showers, more than {MAX_ROWS:,} that can be described at once"
            raise ValueError(msg)
        found |= {"kind": "showers" if header else "incident particles", "showers": rows}
        if header:
            counts = file["num_points"][()].reshape(-1).astype(np.int64)
            found |= {"max_points": header.max_points, "columns": header.columns}
            found["points"] = {"total": int(counts.sum()), "mean": _mean(counts), "most": int(counts.max(initial=0))}
        energies = file["energies"][()].reshape(-1).astype(np.float64)
        directions = file["directions"][()].astype(np.float64)
        codes, numbers = np.unique(file["pdg"][()].reshape(-1), return_counts=True)
        found["energy"] = _span(energies)
        found["angle"] = _angles(directions)
        found["particles"] = {
            PARTICLES.get(int(code), f"PDG {code}"): int(number) for code, number in zip(codes, numbers, strict=True)
        }
        found["targets"] = {
            str(name): [int(one) for one in file[name]["shape"][()].reshape(-1)[:3]]
            for name in (header.targets if header else ())
            if isinstance(file[name].get("shape"), h5py.Dataset)
        }
        group = file.get("observables")
        found["observables"] = sorted(map(str, group)) if isinstance(group, h5py.Group) else []
        known = {*DATASETS, "observables", *found["targets"]}
        found["others"] = sorted(str(name) for name in file if str(name) not in known)
        found["attributes"] = header.metadata if header else {str(name): str(file.attrs[name]) for name in file.attrs}
    return found


def printed(found: dict[str, Any]) -> str:
    """Return the facts as lines for people; text from the file cannot break them."""
    lines = [f"{found['file']} ({found['bytes'] / 1e6:.3g} MB)"]
    if found["kind"] == "showers":
        points, time = found["points"], ", time" if found["columns"] == 5 else ""
        lines.append(f"  {found['showers']:,} showers of x, y, layer, energy{time}")
        lines.append(
            f"  {points['total']:,} points, {points['mean']:,.6g} each on average, {points['most']:,} at most; "
            f"room for {found['max_points']:,}"
        )
    else:
        lines.append(f"  {found['showers']:,} incident particles, no showers")
    if found["energy"]:
        lines.append("  incident energy {0:.6g} to {2:.6g} GeV, mean {1:.6g} GeV".format(*found["energy"]))
        lines.append("  angle to the axis {:.4g} to {:.4g} degrees".format(*found["angle"]))
        lines.append("  particles: " + ", ".join(f"{n:,} x {name}" for name, n in found["particles"].items()))
    for name, shape in found["targets"].items():
        lines.append(f"  target {_line(name)!r}: {' x '.join(map(str, shape))}")
    if found["observables"]:
        lines.append("  observables: " + ", ".join(map(_line, found["observables"])))
    if found["others"]:
        lines.append("  also holds: " + ", ".join(map(_line, found["others"])))
    lines += [f"  {_line(name)} = {_line(str(value))}" for name, value in found["attributes"].items()]
    return "\n".join(lines)


def _incident_only(path: Path) -> bool:
    with h5py.File(path, "r") as file:
        return all(isinstance(file.get(name), h5py.Dataset) for name in INCIDENT) and "showers" not in file


def _mean(values: Any) -> float:
    return float(values.mean()) if len(values) else 0.0


def _span(values: Any) -> list[float]:
    finite = values[np.isfinite(values)]
    return [float(finite.min()), _mean(finite), float(finite.max())] if len(finite) else []


def _angles(directions: Any) -> list[float]:
    with np.errstate(invalid="ignore", divide="ignore"):
        angles = np.degrees(np.arccos(np.clip(directions[:, 2] / np.linalg.norm(directions, axis=1), -1, 1)))
    finite = angles[np.isfinite(angles)]
    return [float(finite.min()), float(finite.max())] if len(finite) else []


def _line(text: str) -> str:
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text[:300])
