"""Filters and what is calculated of each shower. `Cuts` is the one model that every front end shares."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
import xarray as xr
from pydantic import BeforeValidator, Field, model_validator
from typing_extensions import override

from detcore.core.parameters import Parameters, Span
from detcore.core.schema import SAMPLE_DIMENSION, require
from detcore.core.steps import Step
from detcore.showers.detector import SUFFIXES, DetectorGeometry, find_geometry
from detcore.showers.observables import observe
from detcore.showers.ragged import Ragged, offsets_of

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

SHOWER: Final = "shower"
POINT: Final = "point"
LAYER: Final = "layer"
RADIUS: Final = "radius"
PARTICLES: Final = {22: "photon", 11: "electron", -11: "positron", 211: "pi+", -211: "pi-", 111: "pi0", 13: "muon",
                    -13: "antimuon", 2212: "proton", 2112: "neutron", 130: "K0 long", 321: "K+", -321: "K-"}  # fmt: skip
"""Names of the codes of the Particle Data Group that are met in calorimeters."""
RADIAL_BINS, RADIAL_WIDTH = 80, 5.0  # mm


def _codes(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.replace(":", ",").split(",") if part.strip())
    return (value,) if isinstance(value, int) else value


Codes = Annotated[tuple[int, ...], BeforeValidator(_codes)]
"""Several whole numbers; as text they are separated by commas."""


class Selection(Parameters):
    """Which showers are looked at, by the particle that made them."""

    energy_min: float | None = Field(None, ge=0, description="Smallest incident energy, GeV (inclusive)")
    energy_max: float | None = Field(None, ge=0, description="Largest incident energy, GeV (inclusive)")
    pdg: Codes = Field((), description="Only these particles, PDG codes", max_length=64)
    angle_min: float | None = Field(None, ge=0, le=180, description="Smallest angle to the axis, degrees (inclusive)")
    angle_max: float | None = Field(None, ge=0, le=180, description="Largest angle to the axis, degrees (inclusive)")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name, low, high in (
            ("energy", self.energy_min, self.energy_max),
            ("angle", self.angle_min, self.angle_max),
        ):
            if low is not None and high is not None and low > high:
                msg = f"{name}_min is {low:g} and {name}_max {high:g}; expected {name}_min <= {name}_max"
                raise ValueError(msg)
        return self

    def chosen(self, energy: NDArray[Any], direction: NDArray[Any], pdg: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which showers are meant.

        Parameters
        ----------
        energy
            (shower), GeV.
        direction
            (shower, 3).
        pdg
            (shower).

        Returns
        -------
        ndarray
            (shower), bool.
        """
        keep = np.ones(len(energy), np.bool_)
        energy = np.asarray(energy, np.float64)
        if self.energy_min is not None:
            keep &= energy >= self.energy_min
        if self.energy_max is not None:
            keep &= energy <= self.energy_max
        if self.pdg:
            keep &= np.isin(pdg, self.pdg)
        if self.angle_min is not None or self.angle_max is not None:
            theta = angle(direction)
            keep &= theta >= (-1.0 if self.angle_min is None else self.angle_min)
            keep &= theta <= (361.0 if self.angle_max is None else self.angle_max)
        return keep

    def steps(self) -> tuple[Step, ...]:
        """Return the filter, or none if everything is meant."""
        values = {name: getattr(self, name) for name in Selection.model_fields}
        chosen = Selected(**values)
        return (chosen,) if chosen.changed() else ()

    def words(self) -> str:
        """Return the selection as a line for people; empty if everything is meant.

        Examples
        --------
        >>> Selection(energy_min=10, pdg="22").words()
        'E >= 10 GeV; photon'
        """
        parts = [*_range("E", "GeV", self.energy_min, self.energy_max)]
        parts += [" or ".join(PARTICLES.get(code, f"PDG {code}") for code in self.pdg)] if self.pdg else []
        return "; ".join([*parts, *_range("angle", "deg", self.angle_min, self.angle_max)])


class Cuts(Selection):
    """Which showers, and which of their points: what the commands, the reductions and the tab share."""

    ecal_threshold: float | None = Field(None, ge=0, description="Energy cut in the ECAL, MeV; default: the geometry's")
    hcal_threshold: float | None = Field(None, ge=0, description="Energy cut in the HCAL, MeV; default: the geometry's")
    radius: float | None = Field(None, gt=0, description="Only points nearer than this to the axis, mm")
    layers: Span = Field(None, description="Only these layers, numbered from 0 (both inclusive)")

    def thresholds(self, geometry: DetectorGeometry) -> tuple[float, float]:
        """Return the energy cuts of the ECAL and of the HCAL, MeV."""
        return (
            geometry.ecal_threshold if self.ecal_threshold is None else self.ecal_threshold,
            geometry.hcal_threshold if self.hcal_threshold is None else self.hcal_threshold,
        )

    @override
    def steps(self) -> tuple[Step, ...]:
        """Return the filters of showers and of points; the energy cuts are part of what follows them."""
        inside = Inside(radius=self.radius, layers=self.layers)
        return (*super().steps(), *((inside,) if inside.changed() else ()))

    def of_showers(self) -> tuple[Step, ...]:
        """Return the steps that end with what is calculated of each shower."""
        return (*self.steps(), Observed(ecal_threshold=self.ecal_threshold, hcal_threshold=self.hcal_threshold))

    def words_for(self, geometry: DetectorGeometry) -> str:
        """Return all cuts as a line for people.

        Examples
        --------
        >>> from detcore.showers.detector import ILD
        >>> Cuts(radius=100).words_for(ILD)
        'cells > 0.1 MeV (ECAL), > 0.25 MeV (HCAL); r < 100 mm'
        """
        ecal, hcal = self.thresholds(geometry)
        parts = [f"cells > {ecal:g} MeV (ECAL), > {hcal:g} MeV (HCAL)" if ecal or hcal else "no energy cut"]
        parts += [f"r < {self.radius:g} mm"] if self.radius is not None else []
        if self.layers is not None:
            first, last = self.layers
            parts.append(f"layers {first} to {last}" if last < geometry.num_layers else f"layers from {first} on")
        return "; ".join([*parts, *([self.words()] if self.words() else [])])


class Selected(Selection, Step):
    """Keeps showers by energy, type and angle of the incident particle."""

    @override
    def needs(self) -> frozenset[str]:
        found = {"n_points"}
        found |= {"incident_energy"} if self.energy_min is not None or self.energy_max is not None else set()
        found |= {"pdg"} if self.pdg else set()
        return frozenset(found | ({"direction"} if self.angle_min is not None or self.angle_max is not None else set()))

    @override
    def apply(self, chunk: xr.Dataset) -> xr.Dataset:
        n, needed = chunk.sizes[SHOWER], self.needs()
        require(chunk, needed, "the selection of showers")
        blank: dict[str, NDArray[Any]] = {
            "incident_energy": np.zeros(n), "direction": np.zeros((n, 3)), "pdg": np.zeros(n)
        }  # fmt: skip
        energy, direction, pdg = (chunk[one].values if one in needed else blank[one] for one in blank)
        return keep_showers(chunk, self.chosen(energy, direction, pdg))


class Inside(Step):
    """Keeps points near the axis and in a range of layers; showers stay, even if nothing is left of them."""

    radius: float | None = None
    layers: Span = None

    @override
    def needs(self) -> frozenset[str]:
        return frozenset({"points", "n_points"})

    @override
    def apply(self, chunk: xr.Dataset) -> xr.Dataset:
        points = chunk["points"].values
        keep = np.ones(len(points), np.bool_)
        if self.radius is not None:
            x, y = points[:, 0].astype(np.float64), points[:, 1].astype(np.float64)
            keep &= x * x + y * y < self.radius * self.radius
        if self.layers is not None:
            number = np.floor(points[:, 2] + 0.1)  # as the observables count them
            keep &= (number >= self.layers[0]) & (number <= self.layers[1])
        return keep_points(chunk, keep)


class Observed(Step):
    """Adds what is calculated of each shower, over its points above the energy cuts."""

    ecal_threshold: float | None = None
    hcal_threshold: float | None = None

    @override
    def needs(self) -> frozenset[str]:
        return frozenset({"points", "n_points", "incident_energy", "direction"})

    @override
    def gives(self) -> frozenset[str]:
        return frozenset({*OBSERVED, "theta", "energy_ratio", *PER_LAYER, "energy_in_radius"})

    @override
    def apply(self, chunk: xr.Dataset) -> xr.Dataset:
        geometry = geometry_of(chunk)
        cuts = Cuts(ecal_threshold=self.ecal_threshold, hcal_threshold=self.hcal_threshold)
        edges = np.linspace(0, RADIAL_BINS * RADIAL_WIDTH, RADIAL_BINS + 1)
        found = observe(ragged_of(chunk), geometry, cuts.thresholds(geometry), edges, processes=1)
        energy = chunk["incident_energy"].values
        visible = np.asarray(found["visible_energy"], np.float64)
        data: dict[str, Any] = {name: (SHOWER, np.asarray(found[name])) for name in OBSERVED}
        for name in ("start_layer", "maximum_layer"):  # a shower without points has none
            data[name] = (SHOWER, np.where(found[name] < 0, np.nan, found[name]))
        data |= {name: ((SHOWER, LAYER), np.asarray(found[name])) for name in PER_LAYER}
        data["energy_in_radius"] = ((SHOWER, RADIUS), np.asarray(found["energy_per_radial_bin"]))
        data["theta"] = (SHOWER, angle(chunk["direction"].values))
        data["energy_ratio"] = (SHOWER, np.divide(visible, energy, out=np.full(len(energy), np.nan), where=energy > 0))
        return chunk.assign(data)


OBSERVED: Final = (
    "n_hits", "visible_energy", "center_x", "center_y", "center_layer", "start_layer", "maximum_layer",
    "width_x", "width_y", "width_layer", "time_mean",
)  # fmt: skip
"""Numbers of each shower that `observe` gives."""
PER_LAYER: Final = ("energy_per_layer", "hits_per_layer")


def angle(direction: NDArray[Any]) -> NDArray[np.float64]:
    """Return the angle to the axis, degrees, of vectors (shower, 3); not a number for those without length."""
    vectors = np.asarray(direction, np.float64)
    across = np.hypot(vectors[:, 0], vectors[:, 1])
    # The arctangent keeps its digits near the axis, where the arccosine of single-precision numbers loses them.
    theta = np.degrees(np.arctan2(across, vectors[:, 2]))
    return np.where((across > 0) | (vectors[:, 2] != 0), theta, np.nan)


def keep_showers(chunk: xr.Dataset, keep: NDArray[np.bool_]) -> xr.Dataset:
    """Return the chunk with only some showers and their points. keep is (shower)."""
    wanted = np.repeat(keep, chunk["n_points"].values) if POINT in chunk.sizes else None
    return _rebuilt(chunk, {SHOWER: keep, POINT: wanted})


def keep_points(chunk: xr.Dataset, keep: NDArray[np.bool_]) -> xr.Dataset:
    """Return the chunk with only some points; showers stay. keep is (point)."""
    ends = np.concatenate([[0], np.cumsum(keep)])
    counts = np.diff(ends[offsets_of(chunk["n_points"].values)])
    return _rebuilt(chunk, {POINT: keep}).assign(n_points=(SHOWER, counts, {SAMPLE_DIMENSION: POINT}))


def ragged_of(chunk: xr.Dataset) -> Ragged:
    """Return the points of a chunk with what it knows of the incident particles."""
    n = chunk.sizes[SHOWER]

    def column(name: str, dtype: Any, blank: Any) -> NDArray[Any]:
        return chunk[name].values.astype(dtype) if name in chunk else np.full((n, *np.shape(blank)), blank, dtype)

    return Ragged(
        np.ascontiguousarray(chunk["points"].values, np.float32),
        offsets_of(chunk["n_points"].values),
        column("incident_energy", np.float32, 0),
        column("direction", np.float32, (0, 0, 1)),
        column("pdg", np.int32, 0),
        column("shower_id", np.int32, 0),
        int(chunk.attrs.get("max_points", 0)),
    )


def geometry_of(chunk: xr.Dataset) -> DetectorGeometry:
    """Return the geometry that a chunk names."""
    return geometry_named(str(chunk.attrs["geometry"]))


def geometry_named(name: str) -> DetectorGeometry:
    """Return a geometry as `find_geometry` does, which reads text each time; this is called for every chunk."""
    return _geometry(name, Path(name).stat().st_mtime_ns if name.endswith(SUFFIXES) else 0)


@lru_cache(maxsize=16)
def _geometry(name: str, _changed: int) -> DetectorGeometry:
    return find_geometry(name)


def _rebuilt(chunk: xr.Dataset, keep: dict[str, NDArray[np.bool_] | None]) -> xr.Dataset:
    data: dict[str, Any] = {}
    for name, variable in chunk.variables.items():
        wanted = keep.get(str(variable.dims[0])) if variable.dims else None
        data[str(name)] = (
            variable.dims,
            variable.values if wanted is None else variable.values[wanted],
            variable.attrs,
        )
    return xr.Dataset(data, attrs=dict(chunk.attrs))


def _range(name: str, unit: str, low: float | None, high: float | None) -> list[str]:
    if low is not None and high is not None:
        return [f"{name} {low:g} to {high:g} {unit}"]
    if low is not None:
        return [f"{name} >= {low:g} {unit}"]
    return [f"{name} <= {high:g} {unit}"] if high is not None else []
