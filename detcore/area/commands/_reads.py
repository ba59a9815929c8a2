"""Options that every verb shares that reads a run."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from detcore.area.events.runreduction import opened_with
from detcore.area.setup.setupfile import Setup
from detcore.core.console import FAILED, console, explained, ledger
from detcore.core.provenance import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from detcore.core.source import Problem, Source

FILE = click.Path(exists=True, dir_okay=False)


def reads(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the run and how it is opened; the command gets them as `source` and `setup`."""

    @explained
    def command(*args: Any, run: tuple[str, ...], setup: str | None, dataset: str | None, detector: str | None,
                detector_type: str | None, orientation: int | None, **values: Any) -> Any:  # fmt: skip
        known = Setup.load(setup) if setup else Setup()
        told: dict[str, Any] = {
            "dataset": dataset,
            "name": detector,
            "type": detector_type,
            "orientation": orientation,
        }
        section = known.detector.model_dump() | {name: one for name, one in told.items() if one is not None}
        if any(one is not None for one in told.values()):
            known = known.with_(detector=section)
        return function(*args, source=opened(run, known), setup=known, **values)

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    for option in (
        click.option("--orientation", type=click.IntRange(1, 8), help="How frames are turned, as in EXIF (1: not)."),
        click.option("--type", "detector_type", help="Kind of the detector, for instance epix100."),
        click.option("--detector", help="Name of the detector, where a file has several."),
        click.option("--dataset", help="Path of the frames in the file; by default they are looked for."),
        click.option("--setup", type=FILE, help="Setup file (YAML), as the dashboard saves it."),
        click.argument("run", nargs=-1, required=True, type=click.Path(exists=True)),
    ):
        command = option(command)
    return command


def opened(run: tuple[str, ...], setup: Setup) -> Source:
    """Open files as a setup says."""
    return opened_with(run[0] if len(run) == 1 else run, setup)


def record_lines(facts: dict[str, Any], sign: str = "#") -> str:
    """Return where a text comes from, as comments to be written above it: one fact a line, JSON."""
    made = {"made": datetime.now(UTC).isoformat(timespec="seconds"), "versions": versions()}
    return "".join(f"{sign} {name}: {json.dumps(value)}\n" for name, value in (made | facts).items())


def finish(problems: Iterable[Problem], *, partial: bool = False) -> None:
    """Print the ledger; end with code 1 if it has lines or the work was stopped early."""
    lines = ledger(problems)
    if partial:
        console.print("partial: the reading was stopped early", style="bold yellow")
    if lines or partial:
        sys.exit(FAILED)
