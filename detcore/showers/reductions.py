"""What is accumulated over showers. State holds sums; means and errors are made at the end.

A chunk is what `source` describes; `steps.Observed` adds what is calculated of each shower.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr
from pydantic import Field
from typing_extensions import override

from detcore.core.parameters import Names  # noqa: TC001 - pydantic reads it
from detcore.core.reduction import Reduction
from detcore.core.series import Series
from detcore.showers import sums
from detcore.showers.steps import LAYER, RADIAL_BINS, RADIAL_WIDTH, RADIUS, SHOWER, Cuts, geometry_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detcore.showers.detector import DetectorGeometry

OBSERVABLES: Final = {
    "incident_energy": ("Incident energy", "GeV"),
    "theta": ("Angle to the axis", "deg"),
    "n_hits": ("Hits", ""),
    "visible_energy": ("Visible energy", "GeV"),
    "energy_ratio": ("Visible / incident energy", ""),
    "center_x": ("Centre of energy, x", "mm"),
    "center_y": ("Centre of energy, y", "mm"),
    "center_layer": ("Centre of energy, layer", ""),
    "start_layer": ("First layer of the shower", ""),
    "maximum_layer": ("Layer with the most energy", ""),
    "width_x": ("Width in x", "mm"),
    "width_y": ("Width in y", "mm"),
    "width_layer": ("Width along the layers", ""),
    "time_mean": ("Mean time, by energy", "ns"),
}
"""Name -> label and unit of what the table holds of each shower."""
ENERGY_DECADES: Final = (-3, 3)  # of MeV; full simulations have steps of 1 keV, a hadron may leave hundreds of MeV
TIME_DECADES: Final = (-2, 5)  # of ns; slow neutrons come microseconds later
PER_DECADE: Final = 20


@dataclass
class Tally:
    """State: sums by name, and what labels the result."""

    geometry: DetectorGeometry
    sums: dict[str, NDArray[Any]]
    facts: dict[str, Any] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Add the sums of another one."""
        for name, values in other.sums.items():
            self.sums[name] += values


class _Sums(Reduction):
    """Sums that add up."""

    @override
    def merge(self, state: Tally, other: Tally) -> None:
        state.add(other)


class Overview(_Sums):
    """How many showers there are, and how many are looked at: `n_read`, `n_showers`, `n_points`, `n_empty`.

    Its attributes say which geometry and cuts the other results stand for.
    """

    cuts: Cuts = Field(default_factory=Cuts, description="Which showers and points")

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({"n_points", "incident_energy", "direction", "pdg"})

    @override
    def empty(self, schema: xr.Dataset) -> Tally:
        geometry = geometry_of(schema)
        ecal, hcal = self.cuts.thresholds(geometry)
        facts = {
            "geometry": geometry.name,
            "num_layers_ecal": geometry.num_layers_ecal,
            "ecal_threshold": ecal,  # MeV
            "hcal_threshold": hcal,
            "clustered_for": schema.attrs.get("clustered_for", ""),
            "cut": self.cuts.words_for(geometry),
        }
        return Tally(geometry, {"counts": np.zeros(4, np.int64)}, facts)

    @override
    def update(self, state: Tally, chunk: xr.Dataset) -> None:
        columns = (chunk[name].values for name in ("incident_energy", "direction", "pdg"))
        counts = chunk["n_points"].values[self.cuts.chosen(*columns)]
        state.sums["counts"] += (chunk.sizes[SHOWER], len(counts), counts.sum(), (counts == 0).sum())

    @override
    def finalize(self, state: Tally) -> xr.Dataset:
        names = ("n_read", "n_showers", "n_points", "n_empty")
        data = {name: ((), int(value)) for name, value in zip(names, state.sums["counts"], strict=True)}
        return xr.Dataset(data, attrs=dict(state.facts))


class Table(Series):
    """A few numbers of each shower: see `OBSERVABLES`; and `pdg`. It grows by 120 bytes for each.

    On `shower`, whose coordinate is the number in the file; with `part`, the file of each, an index into `parts`.
    """

    columns: Names = Field(("pdg", *OBSERVABLES), description="What to keep", min_length=1)
    row: str = Field(SHOWER, description="Dimension of the rows")
    key: str = Field("shower_number", description="Column with the number of the row in its file")

    @override
    def finalize(self, state: list[tuple[str, xr.Dataset]]) -> xr.Dataset:
        whole = super().finalize(state)
        numbers = whole[self.key].values
        labelled = whole.drop_vars(self.key).assign_coords({self.row: numbers})
        for name, (label, unit) in OBSERVABLES.items():
            if name in labelled:
                labelled[name].attrs = {"long_name": label, **({"units": unit} if unit else {})}
        return labelled


class Profiles(_Sums):
    """Mean energy and hits of a shower by layer and by distance from the axis.

    Gives `energy_per_layer` (GeV) and `hits_per_layer` (layer), `energy_per_radius` (radius; GeV), each with `_error`,
    the standard error of the mean.
    """

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({"energy_per_layer", "hits_per_layer", "energy_in_radius"})

    @override
    def empty(self, schema: xr.Dataset) -> Tally:
        geometry = geometry_of(schema)
        n = geometry.num_layers
        sizes = {"energy": (n, np.float64), "hits": (n, np.int64), "radius": (RADIAL_BINS, np.float64)}
        found: dict[str, NDArray[Any]] = {"n": np.zeros(1, np.int64)}
        for name, (size, dtype) in sizes.items():
            found |= {name: np.zeros(size, dtype), f"{name}_squared": np.zeros(size, dtype)}
        return Tally(geometry, found)

    @override
    def update(self, state: Tally, chunk: xr.Dataset) -> None:
        state.sums["n"] += chunk.sizes[SHOWER]
        for name, column in (
            ("energy", "energy_per_layer"),
            ("hits", "hits_per_layer"),
            ("radius", "energy_in_radius"),
        ):
            total = state.sums[name]
            values = chunk[column].values.astype(total.dtype)
            if values.shape[1:] != total.shape:
                msg = f"{chunk.attrs.get('file', '')}: {values.shape[1]} layers; those before it have {len(total)}"
                raise ValueError(msg)
            total += values.sum(axis=0)
            state.sums[f"{name}_squared"] += np.square(values).sum(axis=0)

    @override
    def finalize(self, state: Tally) -> xr.Dataset:
        n = int(state.sums["n"][0])
        data: dict[str, Any] = {}
        for name, dim, title, label, unit in (
            ("energy", LAYER, "energy_per_layer", "Mean energy per shower", "GeV"),
            ("hits", LAYER, "hits_per_layer", "Mean hits per shower", ""),
            ("radius", RADIUS, "energy_per_radius", "Mean energy per shower", "GeV"),
        ):
            mean, error = _mean(n, state.sums[name], state.sums[f"{name}_squared"])
            attrs = {"long_name": label, **({"units": unit} if unit else {})}
            data |= {title: (dim, mean, attrs), f"{title}_error": (dim, error, attrs)}
        edges = RADIAL_WIDTH * np.arange(RADIAL_BINS + 1, dtype=np.float64)
        coords = {
            LAYER: np.arange(state.geometry.num_layers),
            **_axis(RADIUS, edges, edges[:-1] + RADIAL_WIDTH / 2, "mm"),
        }
        return xr.Dataset(data, coords)


class Spectra(_Sums):
    """Cells by energy, and by time.

    Gives `cells_ecal`, `cells_hcal` (cell_energy), before the energy cut, so that a cut can be drawn on them; `time_points`
    (cells above the cut) and `time_energy` (their energy, MeV) on `time`, of files with times. Numbers are per
    all showers; divide by `n_showers`. What is outside the bins is in `cells_outside` (side) and `time_outside` (side).
    """

    ecal_threshold: float | None = None
    hcal_threshold: float | None = None

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({"points", "n_points"})

    @override
    def empty(self, schema: xr.Dataset) -> Tally:
        energy, time = _bins(ENERGY_DECADES), _bins(TIME_DECADES)
        found: dict[str, NDArray[Any]] = {"cells": np.zeros((2, energy + 2), np.int64)}
        if schema.sizes["feature"] > 4:
            found |= {"time": np.zeros(time + 2, np.int64), "time_energy": np.zeros(time + 2)}
        return Tally(geometry_of(schema), found)

    @override
    def update(self, state: Tally, chunk: xr.Dataset) -> None:
        points, geometry = _read_only(chunk["points"].values), geometry_of(chunk)
        from_hcal = np.float32(geometry.hcal_from)
        sums.add_to_spectrum(points, from_hcal, float(ENERGY_DECADES[0]), float(PER_DECADE), state.sums["cells"])
        if "time" in state.sums and points.shape[1] > 4:
            cuts = thresholds(self, geometry)
            found = (state.sums["time"], state.sums["time_energy"])
            sums.add_to_times(points, cuts, from_hcal, float(TIME_DECADES[0]), float(PER_DECADE), *found)

    @override
    def finalize(self, state: Tally) -> xr.Dataset:
        cells = state.sums["cells"].copy()
        data: dict[str, Any] = {
            "cells_ecal": ("cell_energy", cells[0, 1:-1], {"long_name": "Cells in the ECAL"}),
            "cells_hcal": ("cell_energy", cells[1, 1:-1], {"long_name": "Cells in the HCAL"}),
            "cells_outside": ("side", cells[:, [0, -1]].sum(axis=0)),
        }
        coords = {**_log_axis("cell_energy", ENERGY_DECADES, "MeV"), "side": ["below", "above"]}
        if "time" in state.sums:
            counts, energies = state.sums["time"].copy(), state.sums["time_energy"].copy()
            data["time_points"] = ("time", counts[1:-1], {"long_name": "Cells above the cut"})
            data["time_energy"] = ("time", energies[1:-1], {"long_name": "Energy of these cells", "units": "MeV"})
            data["time_outside"] = ("side", counts[[0, -1]])
            coords |= _log_axis("time", TIME_DECADES, "ns")
        return xr.Dataset(data, coords)


class Maps(_Sums):
    """Mean shower, seen along each axis.

    Gives `map_xy` (y, x), `map_xl` (layer, x) and `map_yl` (layer, y), MeV per shower; `map_outside` (map), the same
    of points that are outside.
    """

    half_width: float = Field(400.0, description="The maps reach so far to each side, mm", gt=0, le=1e5)
    cell: float = Field(5.0, description="Size of their cells, mm", gt=0.1)
    ecal_threshold: float | None = None
    hcal_threshold: float | None = None

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({"points", "n_points"})

    def _cells(self) -> int:
        return max(1, min(round(2 * self.half_width / self.cell), 4000))

    @override
    def empty(self, schema: xr.Dataset) -> Tally:
        geometry, cells = geometry_of(schema), self._cells()
        side = np.zeros((geometry.num_layers, cells))
        found = {"xy": np.zeros((cells, cells)), "xl": side, "yl": side.copy(), "outside": np.zeros(3)}
        return Tally(geometry, {"n": np.zeros(1, np.int64), **found})

    @override
    def update(self, state: Tally, chunk: xr.Dataset) -> None:
        geometry, width = geometry_of(chunk), 2 * self.half_width / self._cells()
        state.sums["n"] += chunk.sizes[SHOWER]
        sums.add_to_maps(
            _read_only(chunk["points"].values), thresholds(self, geometry), np.float32(geometry.hcal_from),
            float(self.half_width), float(width), *(state.sums[name] for name in ("xy", "xl", "yl", "outside")),
        )  # fmt: skip

    @override
    def finalize(self, state: Tally) -> xr.Dataset:
        n = max(int(state.sums["n"][0]), 1)
        attrs = {"long_name": "Mean energy per shower", "units": "MeV"}
        dims = {"xy": ("y", "x"), "xl": (LAYER, "x"), "yl": (LAYER, "y")}
        data: dict[str, Any] = {f"map_{name}": (dim, state.sums[name] / n, attrs) for name, dim in dims.items()}
        data["map_outside"] = ("map", state.sums["outside"] / n, attrs)
        edges = np.linspace(-self.half_width, self.half_width, self._cells() + 1)
        centres = (edges[1:] + edges[:-1]) / 2
        coords = {LAYER: np.arange(state.geometry.num_layers), "map": list(dims)}
        return xr.Dataset(data, coords | _axis("x", edges, centres, "mm") | _axis("y", edges, centres, "mm"))


def thresholds(cuts: Any, geometry: DetectorGeometry) -> NDArray[np.float32]:
    """Return the energy cuts in GeV, ECAL and HCAL, as the kernels take them."""
    both = Cuts(ecal_threshold=cuts.ecal_threshold, hcal_threshold=cuts.hcal_threshold).thresholds(geometry)
    return (np.array(both, np.float64) / 1e3).astype(np.float32)


def _mean(n: int, first: NDArray[Any], second: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and its standard error."""
    if not n:
        return np.full(first.shape, np.nan), np.full(first.shape, np.nan)
    mean = first / n
    variance = np.maximum(second / n - mean**2, 0.0)
    return mean, np.sqrt(variance / (n - 1)) if n > 1 else np.full(first.shape, np.nan)


def _bins(decades: tuple[int, int]) -> int:
    return (decades[1] - decades[0]) * PER_DECADE


def _log_axis(name: str, decades: tuple[int, int], unit: str) -> dict[str, Any]:
    edges = 10 ** np.linspace(*decades, _bins(decades) + 1)
    return _axis(name, edges, np.sqrt(edges[1:] * edges[:-1]), unit)


def _axis(name: str, edges: NDArray[np.float64], centres: NDArray[np.float64], unit: str) -> dict[str, Any]:
    """Return the middles of bins as a coordinate, and their edges as another one."""
    attrs = {"units": unit}
    return {name: (name, centres, attrs), f"{name}_edge": (f"{name}_edge", edges, attrs)}


def _read_only(points: NDArray[np.float32]) -> NDArray[np.float32]:
    view = np.ascontiguousarray(points, np.float32).view()  # kernels are compiled for one kind of array
    view.flags.writeable = False
    return view
