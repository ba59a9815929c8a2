"""Everything that the showers tab draws, computed by detcore in threads, once for all viewers of the same data."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from dashboard.tabs.background import Shared
from dashboard.tabs.headline import Number
from dashboard.tabs.showers.selection import Incident
from dashboard.views.cloud import Detector
from dashboard.views.projections import Map
from detcore import showers
from detcore.core.source import ChunkRef

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import xarray as xr
    from numpy.typing import NDArray


T = TypeVar("T")
BINS = 40  # of an observable
BOOTSTRAP = 100  # resamplings of the errors in the table of distances
SEED = 0  # of them, as on the command line
PER_DECADE = 12  # bins of a shower's spectrum
MANY, MANY_POINTS = 60, 120_000  # showers, and about as many points, that are drawn on top of each other
INCIDENT = ("incident_energy", "direction", "pdg")
INSIDE = 0.998  # of the energy is inside of what is shown of mean maps


@dataclass(frozen=True)
class Wish:
    """What is computed of the datasets: for which panels, which observables, of which file first."""

    panels: tuple[str, ...]
    cuts: showers.Cuts
    observable: str = ""
    sample: int = 0


@dataclass(frozen=True, eq=False)
class Results:
    """What the datasets give for one wish.

    Parameters
    ----------
    labels, paths
        Of the files; short names, and where they are.
    data
        Results of the reduction, one for each file; the first is the reference.
    wish
        What was computed.
    incident
        The incident particles of each file, all of them.
    panel
        What the panel of the wish shows.
    """

    labels: tuple[str, ...]
    paths: tuple[str, ...]
    data: tuple[xr.Dataset, ...]
    wish: Wish
    incident: tuple[Incident, ...]
    panel: dict[str, Any]
    _made: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return `make()`, made once for all viewers; the same key must always mean the same thing."""
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made

    @property
    def sample(self) -> int:
        """The file whose showers are drawn, which is there."""
        return min(self.wish.sample, len(self.data) - 1)

    @property
    def shown(self) -> xr.Dataset:
        """The result of that file."""
        return self.data[self.sample]

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The rows, in that file, of the showers that are selected, also of those that are not read yet."""
        return self.once("numbers", lambda: np.flatnonzero(self.incident[self.sample].passes(self.wish.cuts)))


RESULTS: Shared[Results] = Shared(8)
TRIALS: Shared[Trial] = Shared(32)
CLOUDS: Shared[Many] = Shared(4)


def compute(data: tuple[xr.Dataset, ...], labels: tuple[str, ...], paths: tuple[str, ...], wish: Wish) -> Results:
    """Compute what is drawn; called in a thread.

    Raises
    ------
    ValueError
        There is too little data.
    """
    incident = tuple(incident_of(path) for path in paths)
    return Results(labels, paths, data, wish, incident, _panels(data, labels, wish))


def _panels(data: tuple[xr.Dataset, ...], labels: tuple[str, ...], wish: Wish) -> dict[str, Any]:
    named = dict(zip(labels, data, strict=True))
    made: dict[str, tuple[str, Callable[[], Any]]] = {
        "profiles": ("profiles", lambda: None),
        "observables": (
            "overlay",
            lambda: showers.overlay(
                named, wish.observable if wish.observable in showers.OBSERVABLES else "energy_ratio", BINS
            ),
        ),
        "distances": ("distances", lambda: _distances(named)),
        "response": ("linearity", lambda: {label: showers.linearity(one) for label, one in named.items()}),
        "correlations": ("correlations", lambda: showers.correlations(data[min(wish.sample, len(data) - 1)])),
    }
    return {key: make() for key, make in (made[panel] for panel in wish.panels if panel in made)}


def _distances(named: dict[str, xr.Dataset]) -> dict[str, pd.DataFrame]:
    (_, first), *others = named.items()
    return {label: showers.compare(first, other, n_bootstrap=BOOTSTRAP, seed=SEED) for label, other in others}


# --- incident particles


def incident_of(path: str) -> Incident:
    """Return all incident particles of a file, or of the files of a folder."""
    files = showers.open_files(path).files()
    return _incident(path, tuple((file, Path(file).stat().st_mtime_ns) for file in files))


@lru_cache(maxsize=32)
def _incident(path: str, _changed: tuple[tuple[str, int], ...]) -> Incident:
    source = showers.open_files(path)
    refs = [ref for ref in source.plan() if isinstance(ref, ChunkRef)]  # what cannot be read is told by the feed
    chunks = [source.read(ref, frozenset(INCIDENT)) for ref in refs] or [source.schema()]
    energy, direction, pdg = (np.concatenate([chunk[name].values for chunk in chunks]) for name in INCIDENT)
    return Incident(energy, direction, pdg)


# --- one shower


@dataclass(frozen=True, eq=False)
class Trial:
    """One shower before and after what is tried on it.

    Parameters
    ----------
    number
        Its row in the file.
    energy, theta, pdg
        Of the incident particle: GeV, degrees, code.
    before, after
        (point, column) as in the file; `after` is None where nothing is tried.
    spectrum_mev
        Lower ends of bins of energy.
    before_counts, after_counts
        Points in them.
    table
        Columns name, before, after: what a person compares.
    cell
        mm, width of the cells that `after` was clustered into; None if it was not.
    """

    number: int
    energy: float
    theta: float
    pdg: int
    before: NDArray[np.float32]
    after: NDArray[np.float32] | None
    spectrum_mev: NDArray[np.float64]
    before_counts: NDArray[np.int64]
    after_counts: NDArray[np.int64] | None
    table: pd.DataFrame
    cell: float | None

    def points(self, stage: str) -> NDArray[np.float32]:
        """Return the points of a stage: before or after."""
        return self.before if stage == "before" or self.after is None else self.after


def trial_of(path: str, number: int, operations: tuple[showers.Operation, ...], geometry: str = "") -> Trial:
    """Read a shower, and try operations on it; called in a thread.

    Raises
    ------
    OSError, ValueError
        It cannot be read.
    IndexError
        The file has fewer showers.
    """
    ragged = showers.read_one(path, number)
    done = showers.transform(ragged, operations, cells_of(geometry), first=number) if operations else None
    before, after = ragged.points, None if done is None else done.points
    energies = [points[:, 3].astype(np.float64) * 1e3 for points in (before, after) if points is not None]
    edges = spectrum_edges(energies)
    counts = [np.histogram(energy, edges)[0] for energy in energies]
    return Trial(
        number=number, energy=float(ragged.energies[0]), theta=float(showers.angle(ragged.directions)[0]),
        pdg=int(ragged.pdg[0]), before=before, after=after, spectrum_mev=edges[:-1], before_counts=counts[0],
        after_counts=counts[1] if done is not None else None, table=facts(before, after),
        cell=cells_of(geometry).ecal_cell_size if any(one.kind == "cluster" for one in operations) else None,
    )  # fmt: skip


def spectrum_edges(energies: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return logarithmic edges that hold all positive energies, MeV."""
    kept = np.concatenate([np.zeros(0), *energies])
    kept = kept[kept > 0]
    if not kept.size:
        return np.array([0.1, 1.0])
    low, high = np.floor(np.log10(kept.min()) * PER_DECADE), np.floor(np.log10(kept.max()) * PER_DECADE) + 1
    low = max(low, high - 8 * PER_DECADE)
    return np.asarray(10 ** (np.arange(low, high + 1) / PER_DECADE), np.float64)


def facts(before: NDArray[np.float32], after: NDArray[np.float32] | None) -> pd.DataFrame:
    """Return what a person compares, as text: columns name, before, after."""
    rows: dict[str, Callable[[NDArray[np.float64]], float]] = {
        "Points": len,
        "Energy (GeV)": lambda p: p[:, 3].sum(),
        "Hottest point (MeV)": lambda p: 1e3 * p[:, 3].max(initial=0),
        "Centre x (mm)": lambda p: _mean(p[:, 0], p[:, 3]),
        "Centre y (mm)": lambda p: _mean(p[:, 1], p[:, 3]),
        "Centre layer": lambda p: _mean(p[:, 2], p[:, 3]),
        "Largest radius (mm)": lambda p: np.hypot(p[:, 0], p[:, 1]).max(initial=0),
    }
    stages = {"before": before, "after": after}
    return pd.DataFrame(
        {"name": list(rows)}
        | {
            stage: ["" if points is None else f"{make(points.astype(np.float64)):,.4g}" for make in rows.values()]
            for stage, points in stages.items()
        }
    )


def _mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    total = weights.sum()
    return float((values * weights).sum() / total) if total else np.nan


# --- many showers in space


@dataclass(frozen=True, eq=False)
class Many:
    """Points (point, column) of some showers on top of each other, and how many showers these are."""

    points: NDArray[np.float32]
    showers: int


def many_of(path: str, numbers: NDArray[np.int64]) -> Many:
    """Return the points of showers spread over those with the given rows; called in a thread."""
    picked = (
        numbers[np.unique(np.linspace(0, len(numbers) - 1, min(len(numbers), MANY)).astype(int))]
        if len(numbers)
        else []
    )
    found, total = [], 0
    for number in picked:
        points = showers.read_one(path, int(number)).points
        found.append(points)
        total += len(points)
        if total > MANY_POINTS:
            break
    return Many(np.concatenate(found) if found else np.zeros((0, 4), np.float32), len(found))


def detector_of(data: xr.Dataset) -> Detector:
    """Return the box that the showers of a result are drawn in."""
    layers = data.sizes["layer"]
    return Detector(str(data.attrs.get("geometry", "")), layers, int(data.attrs.get("num_layers_ecal", layers)))


def cell_of(data: xr.Dataset) -> float | None:
    """Return the width of the cells that the points of a file are the centres of, mm; None if they are none."""
    try:
        name = str(data.attrs.get("clustered_for", ""))
        return showers.find_geometry(name).ecal_cell_size or None if name else None
    except ValueError:
        return None


def cells_of(name: str) -> showers.DetectorGeometry:
    """Return the geometry whose cells showers are clustered into: the named one, else ILD.

    Raises
    ------
    ValueError
        There is no such geometry.
    """
    return showers.find_geometry(name) if name else showers.ILD


def maps_of(data: xr.Dataset) -> dict[str, Map]:
    """Return the mean maps of a result, without what is almost empty far from the axis and deep inside."""
    wide = data["map_xy"].values
    x, y, layer = data["x_edge"].values, data["y_edge"].values, np.arange(data.sizes["layer"] + 1) - 0.5
    far = min(_middle(wide.sum(axis=0)), _middle(wide.sum(axis=1)))
    along = data["map_xl"].sum("x").values
    deep = int(np.flatnonzero(np.cumsum(along) <= INSIDE * along.sum())[-1]) + 2 if along.any() else len(along)
    deep = min(deep, len(along))
    kept = slice(far, len(x) - 1 - far)
    across, up, depth = x[far : len(x) - far], y[far : len(y) - far], layer[: deep + 1]
    return {
        "xy": Map(wide[kept, kept], across, up),
        "lx": Map(data["map_xl"].values[:deep, kept].T, depth, across),
        "ly": Map(data["map_yl"].values[:deep, kept].T, depth, up),
    }


def _middle(sums: NDArray[np.float64]) -> int:
    """Return how many bins can be left out at both ends so that almost everything stays; a few at least remain."""
    total, half = sums.sum(), len(sums) // 2
    ends = np.cumsum(sums[:half]) + np.cumsum(sums[::-1][:half])
    return int(min(np.searchsorted(ends, (1 - INSIDE) * total, side="right"), max(half - 4, 0))) if total else 0


def words_of(data: xr.Dataset) -> str:
    """Return in words what is cut."""
    return f" · {data.attrs.get('cut', '')}"


def headline(results: Results) -> list[Number]:
    """Return the numbers that stand above everything, of the file that is shown."""
    data, everyone = results.shown, len(results.incident[results.sample].energy)
    chosen = int(data.sizes.get("shower", 0))
    if not chosen:
        return [Number("Showers", "0", f"of {everyone:,}", "warn")]
    mean = {
        name: float(np.nanmean(data[name])) for name in ("n_hits", "visible_energy", "energy_ratio", "maximum_layer")
    }
    spread = float(np.nanstd(data["energy_ratio"]) / mean["energy_ratio"]) if mean["energy_ratio"] else np.nan
    numbers = [
        Number("Showers", f"{chosen:,}", f"of {everyone:,}" if chosen != everyone else "", "main"),
        Number("Hits", digits(mean["n_hits"]), "/ shower"),
        Number("Visible energy", digits(mean["visible_energy"]), "GeV"),
        Number("E vis / E inc", digits(100 * mean["energy_ratio"]), "%"),
        Number("Spread of it", digits(100 * spread), "%"),
        Number("Shower maximum", f"{mean['maximum_layer']:.1f}", "layer"),
    ]
    for label, other in zip(results.labels, results.data, strict=True):
        ratio = float(np.nanmean(other["energy_ratio"])) / mean["energy_ratio"] if other.sizes["shower"] else np.nan
        if other is not data:
            numbers.append(Number(f"Response of {label}", f"{ratio:.3f}", "of this"))
    return numbers


def digits(value: float) -> str:
    """Return a number in about three digits, thousands grouped.

    Examples
    --------
    >>> digits(12345.6), digits(2.3456), digits(float("nan"))
    ('12,346', '2.35', '-')
    """
    if not np.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
