"""Several operations on showers, one after the other: on a few in memory, or on a whole file of any length.

Clustering, filtering and shifting are lists of values here, so that what a person tried on one shower can be shown,
taken back, put into a link and done to the file.
"""

from __future__ import annotations

import math
import os
import shlex
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from detcore.core.parameters import Parameters
from detcore.showers.cluster_module import cluster
from detcore.showers.detector import ILD, DetectorGeometry
from detcore.showers.filter import filter_showers
from detcore.showers.rewrite import rewrite
from detcore.showers.shift_showers import shift

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from detcore.showers.ragged import Ragged

BATCH = 500  # showers between two looks at `cancel`

Amount = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class Operation(Parameters):
    """One thing that is done to showers.

    Examples
    --------
    >>> Operation(kind="filter", radius=100, ecal_threshold=0.1).words
    'Filter r < 100 mm, ECAL ≥ 0.1 MeV'
    """

    kind: Literal["cluster", "filter", "shift"]
    random_shift: bool = Field(False, description="Cluster on a grid that is shifted at random")
    radius: Amount = Field(0.0, description="Filter: points further from the axis go, mm; 0: none does")
    ecal_threshold: Amount = Field(0.0, description="Filter: points with less go, MeV")
    hcal_threshold: Amount = Field(0.0, description="Filter: points with less go, MeV")
    inverse: bool = Field(False, description="Shift back")

    @property
    def words(self) -> str:
        """What it does, for people."""
        if self.kind == "cluster":
            return "Cluster, grid shifted at random" if self.random_shift else "Cluster into cells"
        if self.kind == "shift":
            return "Shift back to the incident direction" if self.inverse else "Shift layers upright"
        cuts = [f"r < {self.radius:g} mm"] if self.radius else []
        cuts += [f"ECAL ≥ {self.ecal_threshold:g} MeV"] if self.ecal_threshold else []
        cuts += [f"HCAL ≥ {self.hcal_threshold:g} MeV"] if self.hcal_threshold else []
        return f"Filter {', '.join(cuts) or 'nothing'}"


def transform(
    showers: Ragged, operations: Sequence[Operation], geometry: DetectorGeometry = ILD, *, seed: int = 0, first: int = 0
) -> Ragged:
    """Do operations, one after the other.

    Parameters
    ----------
    showers
        They stay as they are.
    operations
        In their order.
    geometry
        Of the cells and layers.
    seed
        Of random grids.
    first
        Row of the first shower in its file: each shower has a random grid of its own, wherever batches begin.
    """
    for operation in operations:
        if operation.kind == "cluster":
            showers = cluster(showers, operation.random_shift, geometry, seed=seed, first_shower=first)
        elif operation.kind == "shift":
            showers = shift(showers, geometry, operation.inverse)
        else:
            radius = operation.radius or math.inf
            limits = operation.ecal_threshold / 1e3, operation.hcal_threshold / 1e3
            showers = filter_showers(showers, radius, *limits, geometry.num_layers_ecal)
    return showers


class Cancelled(RuntimeError):
    """Somebody asked to stop; nothing was written."""


def transform_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    operations: Sequence[Operation],
    geometry: DetectorGeometry = ILD,
    *,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
    cancel: threading.Event | None = None,
) -> tuple[int, int, int]:
    """Do operations to every shower of a file, and write them to a new one, a batch in memory at a time.

    Parameters
    ----------
    source, target
        Shower files; the target must not exist.
    operations, geometry, seed
        As for `transform`; a shower comes out as it does there.
    progress
        Called with showers done, their number, and words.
    cancel
        Stops the work when it is set.

    Returns
    -------
    tuple of int
        Shape of the new file.

    Raises
    ------
    FileExistsError
        The target exists.
    Cancelled
        `cancel` was set; there is no target.
    """

    def change(part: Ragged, start: int) -> Ragged:
        if cancel is not None and cancel.is_set():
            msg = f"{os.fspath(target)}: cancelled, nothing was written"
            raise Cancelled(msg)
        return transform(part, operations, geometry, seed=seed, first=start)

    clustered = any(operation.kind == "cluster" for operation in operations)
    attributes = {"clustered_for": geometry.name} if clustered else {}
    return rewrite(source, target, change, attributes=attributes, batch_size=BATCH, progress=progress)


def command_lines(source: str, target: str, operations: Sequence[Operation], geometry: str = "") -> list[str]:
    """Return the commands that write the same file, through others if there are several operations.

    Examples
    --------
    >>> for line in command_lines("a.h5", "b.h5", [Operation(kind="cluster"), Operation(kind="filter", radius=60)]):
    ...     print(line)
    detcore showers cluster --no-random-shift --seed 0 a.h5 b.step1.h5
    detcore showers filter --radius 60 b.step1.h5 b.h5
    """
    stem, _, _ = target.rpartition(".")
    names = [source, *(f"{stem or target}.step{number}.h5" for number in range(1, len(operations))), target]
    named = ["--geometry", geometry] if geometry else []
    lines = []
    for number, operation in enumerate(operations):
        if operation.kind == "cluster":
            words = [*([] if operation.random_shift else ["--no-random-shift"]), "--seed", "0", *named]
        elif operation.kind == "shift":
            words = [*(["--inverse"] if operation.inverse else []), *named]
        else:
            values = {
                "radius": operation.radius,
                "ecal-threshold": operation.ecal_threshold,
                "hcal-threshold": operation.hcal_threshold,
            }
            words = [word for name, value in values.items() if value for word in (f"--{name}", f"{value:g}")]
        lines.append(shlex.join(["detcore", "showers", operation.kind, *words, *names[number : number + 2]]))
    return lines
