"""What the instrument registers."""

from __future__ import annotations

from typing import Any

from detcore.area.demo import write_demo
from detcore.area.source import open_files, probe
from detcore.core.parameters import Parameters
from detcore.core.source import Instrument


def commands() -> Any:
    """Return the verbs of the command line; click is imported only then."""
    from detcore.area.cli import area  # noqa: PLC0415

    return area


def warm() -> None:
    """Compile the kernels."""


INSTRUMENT = Instrument(
    name="area",
    title="Area detectors",
    probe=probe,
    open=open_files,
    demo=write_demo,
    warm=warm,
    commands=commands,
    parameters=Parameters,
    reduction=lambda *_, **__: None,
)
