"""The kinds of datasets in the small HDF5 file that have a row for each event."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MISSING: Final = -99999  # of whole numbers, as the original has it
CHUNK_BYTES = 1 << 20


def missing(dtype: np.dtype[Any]) -> Any:
    """Return what stands for a value that is not there: nan, -99999, or 0 where neither fits."""
    if dtype.kind in "fc":
        return np.nan
    return MISSING if dtype.kind == "i" and dtype.itemsize >= 4 else b"" if dtype.kind == "S" else 0


def roomy(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a type that also holds `MISSING`.

    Examples
    --------
    >>> roomy(np.dtype(np.uint8)), roomy(np.dtype(np.float32))
    (dtype('int32'), dtype('float32'))
    """
    return np.promote_types(dtype, np.int32) if dtype.kind in "iu" else dtype


def column(file: h5py.File, name: str, first: Any, before: int) -> Column:
    """Return the dataset for values like `first`, with `before` rows without a value."""
    *above, last = name.split("/")
    if last.startswith("ragged"):
        return Ragged(file, name, first, before)
    if above and above[-1].startswith("var_"):
        return Var(file, name, first, before)
    if last.startswith("var_") and last.endswith("_len"):
        return Lengths(file, name, first, before)
    return Words(file, name, first, before) if isinstance(first, str) else Numbers(file, name, first, before)


class Column(ABC):
    """One dataset that has a row for each event."""

    def __init__(self, file: h5py.File, name: str, first: Any, before: int) -> None:
        self.file, self.name = file, name
        try:
            self.make(first, before)
        except (ValueError, TypeError) as error:  # for instance a group is there already, or a dataset above
            msg = f"event data {name!r}: cannot be kept in the file: {error}"
            raise ValueError(msg) from None

    @property
    def data(self) -> h5py.Dataset:
        """The dataset."""
        return self.file[self.name]

    def absent(self, row: Mapping[str, Any]) -> Any:  # noqa: ARG002 - for those that depend on other columns
        """Return what to append for an event that lacks this column."""
        return None

    @abstractmethod
    def make(self, first: Any, before: int) -> None:
        """Create the dataset."""

    @abstractmethod
    def wrong(self, value: Any) -> str | None:
        """Return what was expected if a value does not fit."""

    @abstractmethod
    def append(self, values: list[Any], before: int) -> None:
        """Add rows behind `before` of them; None has no value."""


class Words(Column):
    """Text."""

    @override
    def make(self, first: Any, before: int) -> None:
        kind = h5py.string_dtype()
        self.file.create_dataset(self.name, (before,), kind, maxshape=(None,), chunks=(256,), fillvalue="")

    @override
    def wrong(self, value: Any) -> str | None:
        return None if isinstance(value, str) else "text"

    @override
    def append(self, values: list[Any], before: int) -> None:
        self.data.resize((before + len(values),))
        self.data[before:] = ["" if value is None else value for value in values]


class Numbers(Column):
    """Rows of one shape; a later array that is larger makes all rows larger, the rest of a smaller one is `missing`."""

    @override
    def make(self, first: Any, before: int) -> None:
        self.incomplete = before > 0
        self.create(self._kind(first), (before, *first.shape))

    def _kind(self, value: NDArray[Any]) -> np.dtype[Any]:
        dtype = np.dtype(np.uint8) if value.dtype.kind == "b" else value.dtype
        return roomy(dtype) if self.incomplete else dtype

    def fill(self, dtype: np.dtype[Any]) -> Any:
        """Return what stands for a value that is not there."""
        return missing(dtype)

    def create(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        """Create the dataset anew."""
        row = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        chunks = (min(max(CHUNK_BYTES // max(row, 1), 1), 1024), *(max(size, 1) for size in shape[1:]))
        packing = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if row >= 64 else {}
        growing = (None,) * len(shape)
        self.file.create_dataset(
            self.name, shape, dtype, maxshape=growing, chunks=chunks, fillvalue=self.fill(dtype), **packing
        )

    @override
    def wrong(self, value: Any) -> str | None:
        data = self.data
        rank = data.ndim - 1
        if isinstance(value, str) or value.ndim != rank or (value.dtype.kind == "S") != (data.dtype.kind == "S"):
            return f"numbers with {rank} dimensions" if rank else "a number"
        return None

    @override
    def append(self, values: list[Any], before: int) -> None:
        there = [value for value in values if value is not None]
        self.incomplete |= len(there) < len(values)
        data = self.data
        kinds = {self._kind(value) for value in there} | {roomy(data.dtype) if self.incomplete else data.dtype}
        wanted = np.result_type(*kinds)
        if wanted != data.dtype:
            data = self._retyped(wanted)
        shapes = {value.shape for value in there} | ({data.shape[1:]} if before else set())
        largest = tuple(max(sizes) for sizes in zip(data.shape[1:], *shapes, strict=True))
        if len(shapes) > 1:
            data.attrs["padded"] = "rows differ in length: shorter ones end in the value for missing"
            if data.dtype != roomy(data.dtype):
                data = self._retyped(roomy(data.dtype))
        data.resize((before + len(values), *largest))
        rows = np.full((len(values), *largest), self.fill(data.dtype), data.dtype)
        for number, value in enumerate(values):
            if value is not None:
                place: Any = (number, *(slice(0, size) for size in value.shape))
                rows[place] = value
        data[before:] = rows

    def _retyped(self, dtype: np.dtype[Any]) -> h5py.Dataset:
        """Write the dataset anew with a type that holds all; what is missing stays missing."""
        old, attributes = self.data, dict(self.data.attrs)
        values, gone = old[()], self.fill(old.dtype)
        absent = (values == gone) & bool(gone) if old.dtype.kind in "iu" else np.zeros(values.shape, bool)
        del self.file[self.name]
        self.create(dtype, values.shape)
        values = values.astype(dtype)
        values[absent] = self.fill(dtype)
        self.data[()] = values
        self.data.attrs.update(attributes)
        return self.data


class Lengths(Numbers):
    """How many values an event has in the fields of a group; none is 0."""

    @override
    def fill(self, dtype: np.dtype[Any]) -> Any:
        return 0


class Ragged(Column):
    """Arrays of any length, one in a row, flat; their other dimensions are an attribute."""

    @override
    def make(self, first: Any, before: int) -> None:
        if isinstance(first, str) or first.ndim < 1 or first.dtype.kind not in "biuf":
            msg = "a ragged value is an array of numbers"
            raise ValueError(msg)
        kind = np.uint8 if first.dtype.kind == "b" else first.dtype
        data = self.file.create_dataset(self.name, (before,), h5py.vlen_dtype(kind), maxshape=(None,), chunks=(256,))
        if first.ndim > 1:
            data.attrs["row_shape"] = first.shape[1:]

    def _inner(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.data.attrs.get("row_shape", ()))

    @override
    def wrong(self, value: Any) -> str | None:
        inner = self._inner()
        if isinstance(value, str) or value.dtype.kind not in "biuf" or value.ndim < 1 or value.shape[1:] != inner:
            return f"an array (n{''.join(f', {size}' for size in inner)})"
        return None

    @override
    def append(self, values: list[Any], before: int) -> None:
        data = self.data
        kind = h5py.check_vlen_dtype(data.dtype)
        data.resize((before + len(values),))
        for number, value in enumerate(values, before):  # one by one: of a single row, h5py takes an array for several
            data[number] = np.zeros(0, kind) if value is None else value.astype(kind).reshape(-1)


class Var(Column):
    """A field of a group: arrays one behind the other; ``<group>_len`` says how many belong to each event."""

    @override
    def make(self, first: Any, before: int) -> None:
        kind = np.dtype(np.uint8) if first.dtype.kind == "b" else first.dtype
        inner = first.shape[1:]
        self.lengths = f"{self.name.rpartition('/')[0]}_len"
        earlier = int(self.file[self.lengths][:before].sum()) if before and self.lengths in self.file else 0
        self.file.create_dataset(
            self.name,
            (earlier, *inner),
            kind,
            maxshape=(None, *inner),
            chunks=(4096, *inner),
            compression="gzip",
            compression_opts=1,
            fillvalue=missing(kind),
        )

    @override
    def wrong(self, value: Any) -> str | None:
        inner = self.data.shape[1:]
        if isinstance(value, str) or value.shape[1:] != inner:
            return f"an array (n{''.join(f', {size}' for size in inner)})"
        return None

    @override
    def absent(self, row: Mapping[str, Any]) -> Any:
        data = self.data
        shape = (int(row.get(self.lengths, 0)), *data.shape[1:])
        return np.full(shape, missing(data.dtype), data.dtype) if shape[0] else None

    @override
    def append(self, values: list[Any], before: int) -> None:
        there = [value for value in values if value is not None and len(value)]
        if there:
            data, whole = self.data, np.concatenate(there)
            start = len(data)
            data.resize((start + len(whole), *data.shape[1:]))
            data[start:] = whole.astype(data.dtype)
