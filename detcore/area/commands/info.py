"""`detcore area info`: what is in a run, before anything is computed."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detcore.area.commands._reads import finish, reads
from detcore.area.detector import candidates
from detcore.area.events.pipeline import prepared
from detcore.core.console import explained
from detcore.core.source import ChunkRef, Problem
from detcore.image.operations import BITS

if TYPE_CHECKING:
    from detcore.area.detector import Detector
    from detcore.area.framefiles import AreaFiles
    from detcore.area.setup.setupfile import Setup

_ARRAYS = ("pedestal", "noise", "gain", "status", "pixel_mask", "x", "y", "z", "ix", "iy")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@reads
@explained
def info(source: AreaFiles, setup: Setup, as_json: bool) -> None:
    """Say what is in RUN: frames, detector, geometry, masks, numbers of each event, and what was assumed."""
    facts, problems = described(source, setup)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        table = Table(show_header=False, box=None, pad_edge=False)
        for name, value in facts.items():
            table.add_row(f"[bold]{escape(name)}[/]", escape(_words(value)))
        Console(highlight=False, soft_wrap=True).print(table)
    finish(problems)


def described(source: AreaFiles, setup: Setup) -> tuple[dict[str, Any], list[Problem]]:
    """Return the facts of a run with a setup as plain values, and what cannot be read or does not fit."""
    detector, schema = source.detector(), source.schema()
    items = list(source.plan())
    try:
        detector = prepared(detector, setup)
    except (OSError, ValueError) as error:
        items.append(Problem("setup", str(error)))
    refs = [one for one in items if isinstance(one, ChunkRef)]
    facts: dict[str, Any] = {
        "files": len({ref.part for ref in refs}),
        "frames": source.n_frames(),
        "shape": list(detector.shape),
        "dtype": str(schema["data"].dtype),
        "bytes": int(sum(ref.weight for ref in refs)),
        "detector": detector.name,
        "type": detector.type,
        "types_of_this_shape": list(candidates(detector.shape)),
        "image_shape": list(detector.image_shape),
        "pixel_size_m": _plain(detector.pixel_size),
        "chip": _plain(detector.asic),
        "orientation": detector.orientation,
        "valid_values": [detector.underload, detector.saturation],
        "distance_m": detector.distance,
        "energy_keV": detector.energy,
        "centre_xy": _plain(detector.centre),
        "arrays": [name for name in _ARRAYS if getattr(detector, name) is not None],
        "gain_modes": detector.gain_modes,
        "masked_pixels": masked(detector),
        "common_modes": list(detector.kind.common_modes),
        "common_mode_advice": detector.kind.recommended,
        "columns": [str(name) for name in schema.data_vars if name not in {"data", "event_id"}],
        "notes": list(schema.attrs.get("notes", ())),
    }
    return facts, [one for one in items if isinstance(one, Problem)]


def masked(detector: Detector) -> dict[str, int]:
    """Return how many pixels have each bit of the mask, and how many are not good."""
    counts = {"not_good": int((~detector.good).sum())}
    if detector.pixel_mask is not None:
        found = {name: int(((detector.pixel_mask >> bit) & 1).sum()) for name, bit in BITS.items()}
        counts |= {name: n for name, n in found.items() if n}
    return counts


def _plain(values: tuple[float, ...] | None) -> list[float] | None:
    return None if values is None or not all(map(math.isfinite, values)) else list(values)


def _words(value: Any) -> str:
    if value is None or value in ([], {}):
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{name} {n}" for name, n in value.items())
    if isinstance(value, list):
        return ", ".join(_words(one) for one in value)
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e12 else f"{value:.6g}"
    return str(value)
