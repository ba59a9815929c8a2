"""What a link to the showers tab says besides the cuts: which files, which shower, how it is drawn, what is tried on it."""

from __future__ import annotations

from itertools import zip_longest
from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import Field

from detcore.core.parameters import InvalidParameters, Parameters
from detcore.showers import Operation

ENDINGS = (".h5", ".hdf5")
PANELS = {
    "profiles": "Profiles",
    "cells": "Cells",
    "observables": "Observables",
    "distances": "Distances",
    "response": "Response",
    "correlations": "Correlations",
    "preview": "Preview",
    "numbers": "Numbers",
}
SAMPLES = 6  # files that can be compared
MAX_OPERATIONS = 12
PARTICLES = {
    22: "γ", 11: "e⁻", -11: "e⁺", 13: "μ⁻", -13: "μ⁺", 111: "π⁰", 211: "π⁺", -211: "π⁻", 130: "K⁰L", 310: "K⁰S",  # noqa: RUF001
    321: "K⁺",
    -321: "K⁻", 2112: "n", -2112: "n̄", 2212: "p", -2212: "p̄", 15: "τ⁻", -15: "τ⁺",
}  # fmt: skip

Positive = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class Look(Parameters):
    """How the tab looks; every field is a key of its links."""

    sample: int = Field(0, ge=0, lt=SAMPLES, description="Whose showers are drawn in space, counted from 0")
    show: Literal["single", "mean"] = "single"
    shower: int = Field(0, ge=0, le=2**31, description="Row of the shower in its file, counted from 0")
    colour: Literal["energy", "time", "layer"] = "energy"
    sized: bool = Field(True, description="Whether points with more energy are larger")
    seen_from: int = Field(0, ge=0, le=100_000, description="First layer that is drawn")
    seen_to: int = Field(-1, ge=-1, le=100_000, description="Last layer that is drawn; -1: the last there is")
    seen_cut: Positive = Field(0.0, description="Points with less energy are not drawn, MeV")
    camera: str = Field("", max_length=80, description="Yaw, pitch, zoom, right, up of the cloud")
    panel: Literal[
        "profiles", "cells", "observables", "distances", "response", "correlations", "preview", "numbers"
    ] = "profiles"
    profile: Literal["energy", "hits"] = "energy"
    part: Literal["ecal", "hcal"] = Field("ecal", description="Whose cells the spectrum shows")
    observable: str = Field("energy_ratio", max_length=40)
    area: bool = Field(True, description="Whether histograms are divided by their area")
    ops: str = Field(
        "", max_length=400, description="What is tried on the showers: c, f:mm,MeV,MeV and s separated by /"
    )
    stage: Literal["after", "before"] = "after"
    controls: bool = Field(False, description="Whether the column of exports is open")

    @property
    def angles(self) -> tuple[float, ...]:
        """The camera as numbers; empty if nobody has turned the cloud."""
        try:
            found = tuple(float(number) for number in self.camera.split(","))
        except ValueError:
            return ()
        return found if len(found) == 5 and all(map(isfinite, found)) else ()


class Place(Parameters):
    """Where the data is, relative to the data roots."""

    path: str = Field("", max_length=1500, description="Shower files, separated by |; the first is the reference")
    live: bool = False
    geometry: str = Field("", max_length=200, description="Name of a geometry; nothing: that of the file")


def to_text(operations: tuple[Operation, ...]) -> str:
    """Return operations for a link.

    Examples
    --------
    >>> to_text((Operation(kind="cluster"), Operation(kind="filter", radius=100, ecal_threshold=0.1)))
    'c/f:100,0.1,0'
    """
    return "/".join(map(_one, operations))


def _one(operation: Operation) -> str:
    if operation.kind == "filter":
        return f"f:{operation.radius:g},{operation.ecal_threshold:g},{operation.hcal_threshold:g}"
    changed = operation.random_shift if operation.kind == "cluster" else operation.inverse
    return {"cluster": "c:r", "shift": "s:i"}[operation.kind] if changed else operation.kind[0]


def from_text(text: str) -> tuple[Operation, ...]:
    """Return the operations that a link says.

    Raises
    ------
    ValueError
        Says which one cannot be read.

    Examples
    --------
    >>> [operation.words for operation in from_text("c/f:60,0.1,0.25")]
    ['Cluster into cells', 'Filter r < 60 mm, ECAL ≥ 0.1 MeV, HCAL ≥ 0.25 MeV']
    """
    found: list[Operation] = []
    for part in text.split("/") if text else []:
        kind, _, rest = part.partition(":")
        values: dict[str, Any] = {"kind": {"c": "cluster", "f": "filter", "s": "shift"}.get(kind, kind)}
        if kind == "f":
            values |= dict(zip_longest(("radius", "ecal_threshold", "hcal_threshold"), rest.split(","), fillvalue=""))
        elif rest:
            values[{"cr": "random_shift", "si": "inverse"}.get(kind + rest, rest)] = True
        try:
            found.append(Operation.checked(values))
        except InvalidParameters as error:
            msg = f"operation {part[:60]!r} in the link: {str(error)[:200]}; expected c, c:r, s, s:i or f:mm,MeV,MeV"
            raise ValueError(msg) from None
    if len(found) > MAX_OPERATIONS:
        msg = f"{len(found)} operations in the link; at most {MAX_OPERATIONS} are possible"
        raise ValueError(msg)
    return tuple(found)


def particle(pdg: int) -> str:
    """Return the sign of a particle.

    Examples
    --------
    >>> particle(211), particle(9999)
    ('π⁺', 'PDG 9999')
    """
    return PARTICLES.get(pdg, f"PDG {pdg}")


def labels_of(paths: tuple[str, ...]) -> list[str]:
    """Return short, different names for files: the name, and the folder too where names are the same.

    Examples
    --------
    >>> labels_of(("a/geant4.h5", "a/flow.h5")), labels_of(("a/x.h5", "b/x.h5")), labels_of(("x.h5", "x.h5"))
    (['geant4', 'flow'], ['a/x', 'b/x'], ['x', 'x (2)'])
    """
    parts = [path.rstrip("/").split("/") for path in paths]
    names = [part[-1] for part in parts]
    if len(set(names)) < len(names):
        names = ["/".join(part[-2:]) for part in parts]
    names = [name.removesuffix(".h5").removesuffix(".hdf5") or name for name in names]
    return [name if name not in names[:number] else f"{name} ({number + 1})" for number, name in enumerate(names)]
