"""Distributions of image parameters."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import xarray as xr
from pydantic import Field
from typing_extensions import override

from detcore.core.parameters import Names  # noqa: TC001 - pydantic reads it
from detcore.core.schema import require
from detcore.dl1.tally import TELESCOPE, Sums, Tally, by_telescope, check, ids

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detcore.dl1.images.geometry import Camera


class Bins(NamedTuple):
    """Bins of a distribution.

    Parameters
    ----------
    low, high
        Edges of the first and of the last.
    number
        How many.
    log
        Of equal width in the logarithm.
    """

    low: float
    high: float
    number: int
    log: bool = False

    def edges(self) -> NDArray[np.float64]:
        """Return the (bin + 1,) edges; read-only."""
        return _edges(self)


@lru_cache(maxsize=64)
def _edges(bins: Bins) -> NDArray[np.float64]:
    edges = (np.geomspace if bins.log else np.linspace)(bins.low, bins.high, bins.number + 1)
    edges.setflags(write=False)
    return edges


IN_DEGREES: Final = {
    "hillas_intensity": Bins(1, 1e7, 140, log=True),
    "hillas_width": Bins(0, 0.5, 100),
    "hillas_length": Bins(0, 1.5, 150),
    "hillas_r": Bins(0, 5, 100),
    "timing_slope": Bins(-50, 50, 100),
    "leakage_intensity_width_2": Bins(0, 1, 50),
    "n_pixels": Bins(0, 500, 100),
    "true_energy": Bins(1e-3, 1e3, 120, log=True),
}
"""Distributions that are counted."""
IN_METRES: Final = IN_DEGREES | {
    "hillas_width": Bins(0, 0.15, 100),
    "hillas_length": Bins(0, 0.5, 100),
    "hillas_r": Bins(0, 1.5, 100),
    "timing_slope": Bins(-150, 150, 100),
}
"""The same of cameras without a focal length."""


class Distributions(Sums):
    """Distributions of image parameters, exact however many images there are.

    For each name: `dist_<name>` (telescope, bin_<name>), counts; `edge_<name>`; `outside_<name>` (telescope, side), those
    below the first and above the last edge. Values that are not numbers are in none.
    """

    columns: Names = Field(tuple(IN_DEGREES), description="Of what", min_length=1)

    def _bins(self, camera: Camera) -> dict[str, Bins]:
        known = IN_DEGREES if camera.focal_length > 0 else IN_METRES
        return {name: known[name] for name in self.columns}

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({"tel_id", *(set(self.columns) & set(map(str, schema.variables)))})

    @override
    def empty(self, schema: xr.Dataset) -> Tally:
        state = super().empty(schema)
        state.facts = {name: dict(schema.variables[name].attrs) for name in self.columns if name in schema.variables}
        return state

    @override
    def update(self, state: Tally, chunk: xr.Dataset) -> None:
        check(state, chunk)
        require(chunk, state.facts, "the distributions")
        bins = self._bins(state.camera)
        for tel_id, part in by_telescope(chunk):
            mine = state.sums.setdefault(
                tel_id, {name: np.zeros(bins[name].number + 2, np.int64) for name in state.facts}
            )
            for name in state.facts:
                mine[name] += _counted(chunk.variables[name].values[part], bins[name].edges())

    @override
    def finalize(self, state: Tally) -> xr.Dataset:
        data: dict[str, Any] = {}
        coords: dict[str, Any] = {TELESCOPE: ids(state), "side": ["below", "above"]}
        for name, one in self._bins(state.camera).items():
            if name not in state.facts:
                continue
            counts = state.stacked(name, np.zeros(one.number + 2, np.int64))
            data[f"dist_{name}"] = ((TELESCOPE, f"bin_{name}"), counts[:, 1:-1], {"long_name": "Images"})
            data[f"outside_{name}"] = ((TELESCOPE, "side"), counts[:, [0, -1]])
            scale = {"scale": "log" if one.log else "linear"}
            coords[f"edge_{name}"] = (f"edge_{name}", one.edges().copy(), state.facts[name] | scale)
        return xr.Dataset(data, coords)


def _counted(values: NDArray[Any], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many values are below the edges, in each bin, and above; the last edge belongs to the last bin."""
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    place = np.searchsorted(edges, known, side="right")
    place[known == edges[-1]] = len(edges) - 1
    return np.bincount(place, minlength=len(edges) + 1)
