"""The stock of reductions over a column of a chunk: along one dimension, keeping the others.

What is true of all: not-a-number means missing and is left out; sums of whole numbers are exact (int64), of others
float64; units are carried along. `Series`, which keeps rows instead of adding them up, is in `series`. A mean image
is ``Moments(column="image", row="frame")``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from pydantic import Field, model_validator
from typing_extensions import override

from detcore.core.reduction import Reduction
from detcore.core.schema import EVENT, MissingColumn, require

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

Array = Any  # an array, of one of the types named above
SQUARED = "({})^2"


@dataclass
class Tally:
    """State of all but `Series`: sums or extremes, and the labels of what they were made from."""

    arrays: dict[str, Array]
    dims: tuple[str, ...]
    units: dict[str, str]

    def label(self, column: str, form: str = "{}") -> dict[str, str]:
        """Return the attributes of a result in the units of a column."""
        return {"units": form.format(self.units[column])} if column in self.units else {}


class _Column(Reduction):
    """Arrays that add up."""

    column: str = Field(description="What to reduce")
    row: str = Field(EVENT, description="Dimension along which to reduce")

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({self.column})

    def _tally(self, schema: xr.Dataset, bins: tuple[int, ...] = (), **types: Any) -> Tally:
        rows = along(schema, self.column, self.row)
        arrays = {name: np.zeros(bins + rows.shape[1:], dtype) for name, dtype in types.items()}
        units = {str(name): str(one.attrs["units"]) for name, one in schema.variables.items() if "units" in one.attrs}
        return Tally(arrays, tuple(map(str, rows.dims[1:])), units)

    def _values(self, chunk: xr.Dataset) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the values, and which of them are there."""
        values = along(chunk, self.column, self.row).values
        return values, ~np.isnan(values) if values.dtype.kind == "f" else np.broadcast_to(np.True_, values.shape)

    @override
    def merge(self, state: Tally, other: Tally) -> None:
        for name, values in other.arrays.items():
            state.arrays[name] += values


class Count(_Column):
    """Number of the values that are not missing: `<column>_count` (other dimensions).

    Examples
    --------
    >>> chunk = xr.Dataset({"x": ("event", [1.0, np.nan, 3.0])})
    >>> int(total(Count(column="x"), chunk).x_count)
    2
    """

    @override
    def empty(self, schema: xr.Dataset) -> Tally:
        return self._tally(schema, count=np.int64)

    @override
    def update(self, state: Tally, chunk: xr.Dataset) -> None:
        state.arrays["count"] += self._values(chunk)[1].sum(axis=0)

    @override
    def finalize(self, state: Tally) -> xr.Dataset:
        return xr.Dataset({f"{self.column}_count": (state.dims, state.arrays["count"].copy())})


class Sum(_Column):
    """Sum: `<column>_sum` (other dimensions).

    Examples
    --------
    >>> chunk = xr.Dataset({"x": ("event", np.array([7, 2**31 - 1], np.int32), {"units": "ADU"})})
    >>> result = total(Sum(column="x"), chunk)
    >>> int(result.x_sum), result.x_sum.units
    (2147483654, 'ADU')
    """

    @override
    def empty(self, schema: xr.Dataset) -> Tally:
        whole = along(schema, self.column, self.row).dtype.kind in "iub"
        return self._tally(schema, sum=np.int64 if whole else np.float64)

    @override
    def update(self, state: Tally, chunk: xr.Dataset) -> None:
        values, there = self._values(chunk)
        state.arrays["sum"] += values.sum(axis=0, dtype=state.arrays["sum"].dtype, where=there)

    @override
    def finalize(self, state: Tally) -> xr.Dataset:
        return xr.Dataset({f"{self.column}_sum": (state.dims, state.arrays["sum"].copy(), state.label(self.column))})


class Moments(_Column):
    """Mean, variance (of the population) and number: `<column>_mean`, `_variance`, `_n` (other dimensions).

    The state holds sums of differences from `pivot`. Choose it near the mean (a pedestal) if the spread is much
    smaller than the mean: the variance loses about twice the digits of their ratio.

    Examples
    --------
    >>> chunk = xr.Dataset({"x": ("event", [1.0, 2.0, 6.0], {"units": "ns"})})
    >>> result = total(Moments(column="x"), chunk)
    >>> float(result.x_mean), round(float(result.x_variance), 6), result.x_variance.units
    (3.0, 4.666667, '(ns)^2')
    """

    pivot: float = Field(0.0, description="A number near the mean, in units of the column", allow_inf_nan=False)

    @override
    def empty(self, schema: xr.Dataset) -> Tally:
        return self._tally(schema, n=np.int64, first=np.float64, second=np.float64)

    @override
    def update(self, state: Tally, chunk: xr.Dataset) -> None:
        values, there = self._values(chunk)
        apart = values.astype(np.float64) - self.pivot
        state.arrays["n"] += there.sum(axis=0)
        state.arrays["first"] += apart.sum(axis=0, where=there)
        state.arrays["second"] += np.square(apart, out=apart).sum(axis=0, where=there)

    @override
    def finalize(self, state: Tally) -> xr.Dataset:
        return _moments(state, self.column, self.column, self.pivot, state.dims)


class Extremes(_Column):
    """Smallest and largest value: `<column>_min` and `<column>_max` (other dimensions), in the column's own type.

    If there is no value at all somewhere, both are float64 with not-a-number there.

    Examples
    --------
    >>> chunk = xr.Dataset({"x": ("event", np.array([5, 3, 9], np.int16))})
    >>> result = total(Extremes(column="x"), chunk)
    >>> int(result.x_min), int(result.x_max), result.x_max.dtype.name
    (3, 9, 'int16')
    """

    @override
    def empty(self, schema: xr.Dataset) -> Tally:
        dtype = along(schema, self.column, self.row).dtype
        state = self._tally(schema, n=np.int64, min=dtype, max=dtype)
        state.arrays["max"][...], state.arrays["min"][...] = _limits(dtype)
        return state

    @override
    def update(self, state: Tally, chunk: xr.Dataset) -> None:
        (values, there), (lowest, highest) = self._values(chunk), _limits(chunk[self.column].dtype)
        least = values.min(axis=0, where=there, initial=highest)
        most = values.max(axis=0, where=there, initial=lowest)
        self.merge(state, Tally({"n": there.sum(axis=0), "min": least, "max": most}, (), {}))

    @override
    def merge(self, state: Tally, other: Tally) -> None:
        for name, combine in (("n", np.add), ("min", np.minimum), ("max", np.maximum)):
            combine(state.arrays[name], other.arrays[name], out=state.arrays[name])

    @override
    def finalize(self, state: Tally) -> xr.Dataset:
        there, data = state.arrays["n"] > 0, {}
        for name in ("min", "max"):
            known = state.arrays[name].copy() if there.all() else np.where(there, state.arrays[name], np.nan)
            data[f"{self.column}_{name}"] = (state.dims, known, state.label(self.column))
        return xr.Dataset(data)


class Histogram(_Column):
    """Histogram: `<column>_histogram` (bin, other dimensions), and `_below`, `_above`, `_missing` (other dimensions).

    The bins are of equal width; the lower edge of each is inside.

    Examples
    --------
    >>> chunk = xr.Dataset({"t": ("event", [0.0, 1.9, 2.0, 4.0, np.nan], {"units": "ns"})})
    >>> result = total(Histogram(column="t", low=0, high=4, bins=2), chunk)
    >>> result.t_histogram.values.tolist(), result.t_bin.values.tolist(), int(result.t_above), int(result.t_missing)
    ([2, 1], [1.0, 3.0], 1, 1)
    """

    low: float = Field(description="Lower edge of the first bin", allow_inf_nan=False)
    high: float = Field(description="Upper edge of the last bin", allow_inf_nan=False)
    bins: int = Field(description="Number of bins", gt=0, le=1 << 20)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            msg = f"low is {self.low} and high {self.high}; expected low < high"
            raise ValueError(msg)
        return self

    def _bin(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Return the bin of each value: 0 below, 1..bins, bins + 1 above, bins + 2 missing."""
        position = np.floor((values.astype(np.float64) - self.low) * (self.bins / (self.high - self.low))) + 1
        place = np.clip(position, 0, self.bins + 1)
        return np.where(np.isnan(place), self.bins + 2, place).astype(np.int64)

    def _centres(self) -> NDArray[Any]:
        return self.low + (self.high - self.low) / self.bins * (np.arange(self.bins) + 0.5)

    @override
    def empty(self, schema: xr.Dataset) -> Tally:
        return self._tally(schema, (self.bins + 3,), hits=np.int64)

    @override
    def update(self, state: Tally, chunk: xr.Dataset) -> None:
        place, hits = self._bin(self._values(chunk)[0]), state.arrays["hits"]
        cells = hits.size // len(hits)  # of the other dimensions, each with a histogram of its own
        flat = place.reshape(-1, cells) * cells + np.arange(cells)
        hits += np.bincount(flat.ravel(), minlength=hits.size).reshape(hits.shape)

    @override
    def finalize(self, state: Tally) -> xr.Dataset:
        hits, bins = state.arrays["hits"].copy(), f"{self.column}_bin"
        data: dict[str, Any] = {f"{self.column}_histogram": ((bins, *state.dims), hits[1 : self.bins + 1])}
        for name, place in (("below", 0), ("above", self.bins + 1), ("missing", self.bins + 2)):
            data[f"{self.column}_{name}"] = (state.dims, hits[place])
        return xr.Dataset(data, {bins: (bins, self._centres(), state.label(self.column))})


class Profile(Histogram):
    """Mean of `value` in bins of a column: `<value>_profile_mean` (bin, other dimensions), `_variance`, `_n`.

    Examples
    --------
    >>> chunk = xr.Dataset({"x": ("event", [0.5, 0.6, 1.5]), "y": ("event", [2.0, 4.0, 10.0], {"units": "cm"})})
    >>> result = total(Profile(column="x", value="y", low=0, high=2, bins=2), chunk)
    >>> result.y_profile_mean.values.tolist(), result.y_profile_mean.units
    ([3.0, 10.0], 'cm')
    """

    value: str = Field(description="Whose mean")
    pivot: float = Field(0.0, description="A number near the mean, as for Moments", allow_inf_nan=False)

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({self.column, self.value})

    def _mean(self) -> Moments:
        return Moments(column=self.value, row=self.row)

    @override
    def empty(self, schema: xr.Dataset) -> Tally:
        if along(schema, self.column, self.row).ndim != 1:
            msg = f"Profile: {self.column!r} has the dimensions {schema[self.column].dims}; expected {self.row!r} alone"
            raise MissingColumn(msg)
        return self._mean()._tally(schema, (self.bins + 3,), n=np.int64, first=np.float64, second=np.float64)  # noqa: SLF001 - same module

    @override
    def update(self, state: Tally, chunk: xr.Dataset) -> None:
        place = self._bin(self._values(chunk)[0])
        values, there = self._mean()._values(chunk)  # noqa: SLF001
        apart = np.where(there, values, self.pivot).astype(np.float64) - self.pivot
        for name, more in (("n", there), ("first", apart), ("second", np.square(apart))):
            np.add.at(state.arrays[name], place, more)

    @override
    def finalize(self, state: Tally) -> xr.Dataset:
        bins = f"{self.column}_bin"
        inside = Tally({name: sums[1 : self.bins + 1] for name, sums in state.arrays.items()}, state.dims, state.units)
        found = _moments(inside, self.value, f"{self.value}_profile", self.pivot, (bins, *state.dims))
        return found.assign_coords({bins: (bins, self._centres(), state.label(self.column))})


def total(reduction: Reduction, *chunks: xr.Dataset) -> xr.Dataset:
    """Reduce chunks that are at hand, without a source; at least one, and the first tells how they look."""
    state = reduction.empty(chunks[0])
    for chunk in chunks:
        reduction.update(state, chunk)
    return reduction.finalize(state)


def along(chunk: xr.Dataset, column: str, row: str) -> xr.DataArray:
    """Return a column with its rows first; of a schema, it tells the other dimensions.

    Raises
    ------
    MissingColumn
        There is no such column, or it has no such dimension.
    """
    require(chunk, [column], "the reduction")
    if row not in chunk[column].dims:
        msg = f"{column!r} has the dimensions {chunk[column].dims}; expected {row!r} among them"
        raise MissingColumn(msg)
    return chunk[column].transpose(row, ...)


def _moments(state: Tally, column: str, name: str, pivot: float, dims: tuple[str, ...]) -> xr.Dataset:
    n = np.where(state.arrays["n"] > 0, state.arrays["n"], np.nan)
    mean = state.arrays["first"] / n
    variance = np.maximum(state.arrays["second"] / n - mean**2, 0.0)  # rounding must not make it negative
    return xr.Dataset(
        {
            f"{name}_mean": (dims, mean + pivot, state.label(column)),
            f"{name}_variance": (dims, variance, state.label(column, SQUARED)),
            f"{name}_n": (dims, state.arrays["n"].copy()),
        }
    )


def _limits(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    if dtype.kind == "f":
        return -np.inf, np.inf
    return (False, True) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
