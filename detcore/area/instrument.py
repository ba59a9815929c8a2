"""What the instrument registers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detcore.area.demo import write_demo
from detcore.area.reductions import Average
from detcore.area.source import open_files, probe
from detcore.core.reduction import Reduction
from detcore.core.source import Instrument

if TYPE_CHECKING:
    from detcore.core.parameters import Parameters


def commands() -> Any:
    """Return the verbs of the command line; click is imported only then."""
    from detcore.area.cli import area  # noqa: PLC0415

    return area


def warm() -> None:
    """Compile the kernels."""


def reduction(parameters: Parameters | None = None, schema: Any = None) -> Reduction:  # noqa: ARG001 - as others
    """Return the reduction that parameters ask for: itself if they are one, else averages of every pixel."""
    return parameters if isinstance(parameters, Reduction) else Average()


INSTRUMENT = Instrument(
    name="area",
    title="Area detectors",
    probe=probe,
    open=open_files,
    demo=write_demo,
    warm=warm,
    commands=commands,
    parameters=Average,
    reduction=reduction,
)
