"""What front ends call. The same calls serve the script, the command and the tab."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from detcore.core.parameters import Parameters
from detcore.core.source import Instrument, Match

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path


def write_demo(folder: str | os.PathLike[str]) -> Sequence[Path]:
    """Write a run, its darks and a setup file, and return them, the run first."""
    from detcore.area import demo  # noqa: PLC0415 - only who wants one pays for its packages

    return demo.write_demo(folder)


def _later(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def _probe(path: str) -> Match:
    found: Match = _later("detcore.area.source", "probe")(path)
    return found


def _open(*args: Any, **options: Any) -> Any:
    return _later("detcore.area.source", "open_files")(*args, **options)


def _warm() -> None:
    pass


def commands() -> Any:
    """Return the verbs of the command line; click is imported only then."""
    return _later("detcore.area.cli", "area")


INSTRUMENT = Instrument(
    name="area",
    title="Area detectors",
    probe=_probe,
    open=_open,
    demo=write_demo,
    warm=_warm,
    commands=commands,
    parameters=Parameters,
    reduction=lambda *_, **__: None,
)
