"""How an azimuthal integration is binned and corrected: one model for the call, the command, the setup and the record."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from detcore.core.parameters import Parameters

MAX_CELLS: Final = 1 << 24
MAX_EDGES: Final = 100_000

Unit = Literal["q", "2theta", "radius"]
DIMENSIONS: Final[dict[str, str]] = {"q": "q", "2theta": "two_theta", "radius": "radius"}
UNITS: Final[dict[str, str]] = {"q": "1/Angstrom", "2theta": "degree", "radius": "pixel"}


def _numbers(value: Any) -> Any:
    """Split text: numbers with commas or colons between them."""
    if isinstance(value, str):
        parts = [part.strip() for part in value.replace(":", ",").split(",")]
        try:
            found = tuple(float(part) if part else None for part in parts)
        except ValueError:
            msg = f"expected numbers with commas between them, found {value!r:.60}"
            raise ValueError(msg) from None
        return found if any(parts) else None
    return tuple(value) if isinstance(value, (list, np.ndarray)) else value


def _sectors(value: Any) -> Any:
    if isinstance(value, str):
        return int(value) if value.strip().isdigit() else _numbers(value)
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple(tuple(one) if np.ndim(one) else one for one in value)
    return value


Edges = Annotated[tuple[float, ...] | None, BeforeValidator(_numbers)]
Pair = Annotated[tuple[float | None, float | None] | None, BeforeValidator(_numbers)]
Sectors = Annotated[
    Annotated[int, Field(ge=1, le=3600)] | tuple[float, ...] | tuple[tuple[float, float], ...],
    BeforeValidator(_sectors),
]


class AzimuthalOptions(Parameters):
    """Bins and corrections.

    Examples
    --------
    >>> AzimuthalOptions(bins=100, sectors=(0, 90, 180)).sector_limits()
    (array([ 0., 90.]), array([90., 90.]))
    """

    bins: int | None = Field(
        None, ge=1, le=MAX_EDGES, description="Number of equal bins; by default one for each pixel"
    )
    q_step: float | None = Field(
        None, gt=0, description="Width of equal bins, instead of their number", allow_inf_nan=False
    )
    edges: Edges = Field(None, min_length=2, max_length=MAX_EDGES, description="Borders of the bins, instead of both")
    unit: Unit = Field("q", description="q (1/Angstrom), 2theta (degrees) or radius (px)")
    sectors: Sectors = Field(1, description="Number of equal sectors, or borders, or pairs of borders, degrees")
    q_range: Pair = Field(None, description="First and last border of the bins, in the unit")
    polarization: float | None = Field(
        1.0, ge=-1, le=1, description="1: electric field along x; 0: none; not given: no correction"
    )
    solid_angle: bool = Field(True, description="Correct for the solid angle of each pixel")
    errors: Literal["poisson", "azimuthal"] | None = Field(
        "poisson", description="From the counts, or from the scatter of the pixels of a bin"
    )
    threshold_low: float | None = Field(None, description="Smallest value that counts", allow_inf_nan=False)
    threshold_high: float | None = Field(None, description="Largest value that counts", allow_inf_nan=False)
    adu_per_photon: float = Field(1.0, gt=0, description="Value of one photon, for Poisson errors", allow_inf_nan=False)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = [name for name in ("bins", "q_step", "edges") if getattr(self, name) is not None]
        if len(given) > 1:
            msg = f"the bins are told twice, by {' and '.join(given)}; give one of them"
            raise ValueError(msg)
        if self.edges is not None and not _grow(self.edges):
            msg = "edges: expected finite numbers that grow"
            raise ValueError(msg)
        for name, pair in (("q_range", self.q_range), ("thresholds", (self.threshold_low, self.threshold_high))):
            low, high = pair or (None, None)
            if low is not None and high is not None and not low < high and not (name == "thresholds" and low == high):
                msg = f"{name}: expected low < high, found {low} and {high}"
                raise ValueError(msg)
        self.sector_limits()
        return self

    @property
    def dimension(self) -> str:
        """Name of the radial axis in results."""
        return DIMENSIONS[self.unit]

    @property
    def sectored(self) -> bool:
        """Whether results have an azimuth axis."""
        return self.sectors != 1

    def sector_limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Return starts and widths of the sectors, degrees.

        Raises
        ------
        ValueError
            Borders do not grow, or go round more than once.
        """
        if isinstance(self.sectors, int):
            width = 360.0 / self.sectors
            return -180.0 + width * np.arange(self.sectors), np.full(self.sectors, width)
        if len(self.sectors) == 0:
            msg = "sectors: expected a number, at least two borders, or pairs of them; found none"
            raise ValueError(msg)
        if isinstance(self.sectors[0], tuple):
            pairs = np.array(self.sectors, np.float64)
            starts, widths = pairs[:, 0], pairs[:, 1] - pairs[:, 0]
        else:
            borders = np.array(self.sectors, np.float64)
            starts, widths = borders[:-1], np.diff(borders)
        if len(starts) == 0 or not np.isfinite(starts).all() or not (widths > 0).all() or (widths > 360).any():
            msg = f"sectors: expected borders that grow, at most 360 degrees, found {self.sectors}"
            raise ValueError(msg)
        if not isinstance(self.sectors[0], tuple) and widths.sum() > 360 + 1e-9:
            msg = f"sectors: the borders go round more than once, from {starts[0]} to {starts[-1] + widths[-1]} degrees"
            raise ValueError(msg)
        return starts, widths


def _grow(edges: tuple[float, ...]) -> bool:
    values = np.array(edges, np.float64)
    return bool(np.isfinite(values).all() and (np.diff(values) > 0).all())
