"""What a DL1 file holds, in words: for `detcore dl1 info`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detcore.dl1.files.model import EVENT_TYPES, PARTICLES
from detcore.dl1.files.openfile import open as open_file

if TYPE_CHECKING:
    import os

    import pandas as pd

    from detcore.dl1.files.model import Dl1File

LONGEST: Final = 300  # characters of a text of the file that are printed
IDS: Final = 12  # telescopes of a type that are printed by number


def facts(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a file holds, without reading its images.

    Parameters
    ----------
    path
        A file of either format.

    Returns
    -------
    dict
        Plain numbers and texts: `file`, `bytes`, `format`, `time_unit`; `telescopes`, for each type: type, camera, optics,
        pixels, shape, rotation (deg), focal_length (m), tel_ids, images, parameters (whether the file has them), problem;
        `events`: number, runs, types and particles (name -> number), multiplicity (mean), energy (TeV: least, most),
        first and last (time, TAI); `header` (name -> value, unit), `metadata` (name -> text).

    Raises
    ------
    OSError, ValueError
        The file cannot be read, or is something else.
    """
    with open_file(path) as file:
        return {
            "file": file.path,
            "bytes": Path(file.path).stat().st_size,
            "format": file.format,
            "time_unit": file.time_unit,
            "telescopes": [_type(file, str(name), rows) for name, rows in file.telescopes.groupby("type", sort=False)],
            "events": _events(file.events),
            "header": {name: [_plain(value), unit] for name, (value, unit) in file.header.items()},
            "metadata": dict(file.metadata),
        }


def _type(file: Dl1File, name: str, rows: pd.DataFrame) -> dict[str, Any]:
    ids = [int(tel_id) for tel_id in rows.index]
    found: dict[str, Any] = {"type": name, "tel_ids": ids, "images": 0, "parameters": False, "problem": ""}
    found |= {key: str(rows[key].iloc[0]) for key in ("camera", "optics")}
    try:
        camera = file.camera(ids[0])
        found |= {"pixels": camera.n_pixels, "shape": camera.shape}
        found |= {"rotation": camera.rotation, "focal_length": _plain(camera.focal_length)}
        found["images"] = sum(file.n_images(tel_id) for tel_id in ids)
        found["parameters"] = file.parameters(ids[0]) is not None
    except (OSError, ValueError) as error:  # one broken table is no reason to say nothing of the others
        found["problem"] = " ".join(str(error).removeprefix(f"{file.path}: ").split())
    return found


def _events(table: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = {"number": len(table), "runs": [int(run) for run in np.unique(table["obs_id"])]}
    found["types"] = _counts(table["event_type"], EVENT_TYPES)
    found["multiplicity"] = float(table["multiplicity"].mean()) if len(table) else None
    if "true_shower_primary_id" in table:
        simulated = table[table["true_energy"].notna()] if "true_energy" in table else table
        found["particles"] = _counts(simulated["true_shower_primary_id"], PARTICLES)
    if "true_energy" in table and table["true_energy"].notna().any():
        found["energy"] = [float(table["true_energy"].min()), float(table["true_energy"].max())]
    times = table["time"].dropna()
    if len(times):
        found |= {"first": str(times.min()), "last": str(times.max())}
    return found


def _counts(codes: Any, names: dict[int, str]) -> dict[str, int]:
    values, numbers = np.unique(np.asarray(codes), return_counts=True)
    return {
        names.get(int(code), f"code {int(code)}"): int(number) for code, number in zip(values, numbers, strict=True)
    }


def _plain(value: Any) -> Any:
    """Return a number that JSON has: nan, which it has not, becomes None."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(one) for one in value]
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None if isinstance(value, float) and not math.isfinite(value) else value


def printed(found: dict[str, Any]) -> str:
    """Return the facts as lines for people; text from the file cannot break them."""
    lines = [f"{_line(found['file'])} ({found['bytes'] / 1e6:.3g} MB)", f"  {_line(found['format'])}"]
    lines += [_telescopes(one) for one in found["telescopes"]]
    events = found["events"]
    runs = events["runs"]
    where = f"run {runs[0]}" if len(runs) == 1 else f"{len(runs)} runs"
    lines.append(f"  {events['number']:,} events of {where}" if runs else "  no events")
    for name in ("types", "particles"):
        if events.get(name):
            lines.append("  " + ", ".join(f"{number:,} {kind}" for kind, number in events[name].items()))
    if "energy" in events:
        lines.append("  true energy {:.4g} to {:.4g} TeV".format(*events["energy"]))
    if events["multiplicity"] is not None:
        lines.append(f"  {events['multiplicity']:.3g} telescopes in an event on average")
    if "first" in events:
        lines.append(f"  from {_line(events['first'])} to {_line(events['last'])} TAI")
    told = {name: (value, unit) for name, (value, unit) in found["header"].items() if value is not None}
    if told:
        lines.append("  simulation:")
        lines += [f"    {_line(name)} = {_value(value)} {_line(unit)}".rstrip() for name, (value, unit) in told.items()]
    own = {name: text for name, text in found["metadata"].items() if name not in found["header"]}
    if own:
        lines.append("  attributes:")
        lines += [f"    {_line(name)} = {_line(text)}" for name, text in own.items()]
    return "\n".join(lines)


def _telescopes(one: dict[str, Any]) -> str:
    ids = ", ".join(map(str, one["tel_ids"][:IDS])) + (", …" if len(one["tel_ids"]) > IDS else "")
    head = f"  {len(one['tel_ids'])} x {_line(one['type'])} ({ids}): "
    if one["problem"]:
        return head + _line(one["problem"])
    focal = f", focal length {one['focal_length']:.4g} m" if one["focal_length"] is not None else ""
    stored = " with parameters" if one["parameters"] else ""
    return f"{head}{one['images']:,} images{stored}; {_line(one['camera'])}, {one['pixels']:,} {one['shape']} pixels{focal}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return f"{value:.7g}" if isinstance(value, float) else _line(str(value))


def _line(text: str) -> str:
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text[:LONGEST])
