"""Sums for each telescope: the state of the reductions of images, and what they share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from typing_extensions import override

from detcore.core.reduction import Reduction
from detcore.dl1.columns import camera_of, same_pixels

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from detcore.dl1.images.geometry import Camera

TELESCOPE: Final = "telescope"


@dataclass
class Tally:
    """State: sums by telescope and name, and what labels the result."""

    camera: Camera
    telescopes: tuple[int, ...]
    time_unit: str = "ns"
    sums: dict[int, dict[str, NDArray[Any]]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Add the sums of another one."""
        self.know(other.telescopes)
        for tel_id, arrays in other.sums.items():
            mine = self.sums.setdefault(tel_id, {})
            for name, values in arrays.items():
                if name in mine:
                    mine[name] += values
                else:
                    mine[name] = values.copy()

    def know(self, telescopes: tuple[int, ...]) -> None:
        """Note that there are these telescopes, whether or not an image of them passes the cuts."""
        if telescopes != self.telescopes:
            self.telescopes = tuple(sorted({*self.telescopes, *telescopes}))

    def numbers(self) -> list[int]:
        """Return the telescopes, in the order of their numbers: those of the input, and those met."""
        return sorted({*self.telescopes, *self.sums})

    def stacked(self, name: str, like: NDArray[Any]) -> NDArray[Any]:
        """Return the sums of that name of all telescopes; zeros like these where nothing was met."""
        zero = np.zeros_like(like)
        return np.array([self.sums.get(one, {}).get(name, zero) for one in self.numbers()]).reshape(-1, *like.shape)


class Sums(Reduction):
    """Sums that add up, for each telescope."""

    @override
    def empty(self, schema: xr.Dataset) -> Tally:
        return Tally(camera_of(schema), tuple(schema.attrs.get("telescopes", ())), schema.attrs.get("time_unit", "ns"))

    @override
    def merge(self, state: Tally, other: Tally) -> None:
        state.add(other)


def check(state: Tally, chunk: xr.Dataset) -> None:
    """Refuse a chunk of another camera, or with times in another unit; else note which telescopes there are.

    Raises
    ------
    ValueError
        The camera has other pixels, or they are elsewhere; or the unit is another.
    """
    unit = chunk.attrs.get("time_unit", "ns")
    if unit != state.time_unit:
        msg = f"{chunk.attrs.get('file', '')}: its times are in {unit}, those before in {state.time_unit}; read it by itself"
        raise ValueError(msg)
    found = camera_of(chunk)
    if not same_pixels(state.camera, found):
        msg = (
            f"{chunk.attrs.get('file', '')}: camera {found.name} with {found.n_pixels} pixels is not the one before it "
            f"({state.camera.name}, {state.camera.n_pixels} pixels, or the same at other places); read it by itself"
        )
        raise ValueError(msg)
    state.know(tuple(chunk.attrs.get("telescopes", ())))


def by_telescope(chunk: xr.Dataset) -> list[tuple[int, Any]]:
    """Return which images each telescope has; those of a source have one telescope only."""
    ids = chunk.variables["tel_id"].values
    if not len(ids):
        return []
    if (ids == ids[0]).all():
        return [(int(ids[0]), slice(None))]
    return [(int(one), ids == one) for one in np.unique(ids)]


def ids(state: Tally) -> NDArray[np.int64]:
    """Return the numbers of the telescopes, in order."""
    return np.array(state.numbers(), np.int64)


def share(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """Return ratios; not a number where there is nothing."""
    whole = np.broadcast_to(whole, part.shape)
    ratio: NDArray[np.float64] = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return ratio


def moments(
    n: NDArray[Any], first: NDArray[Any], second: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation (of the population)."""
    mean = share(first, n)
    return mean, np.sqrt(np.maximum(share(second, n) - mean**2, 0.0))
