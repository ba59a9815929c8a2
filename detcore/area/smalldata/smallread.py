"""Reading the small HDF5 file of a run, ours or one of the same layout."""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np
import xarray as xr

from detcore.area.smalldata.smalldata import CONFIG, SUMS
from detcore.core.heaps import check_heaps

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

LARGEST: Final = 1 << 30  # bytes that are read unless asked for by name
MOST: Final = 1 << 34  # bytes that are read at all: a small file can claim to be endless
EVENT: Final = "event"
_AXIS = re.compile(rf"{CONFIG}/(?P<detector>.+)/(?P<function>.+)__(?P=function)_(?P<what>q|theta|radius)")
_UNITS = {"q": "1/Angstrom", "theta": "degree", "radius": "pixel"}
_ATTRIBUTES = ("status", "problems", "provenance", "n_events", "n_left_out")


def read_reduced(path: str | os.PathLike[str], names: Collection[str] | None = None) -> xr.Dataset:
    """Read a small file.

    Parameters
    ----------
    path
        As `reduce` writes it, or another of the same layout.
    names
        Paths of what is wanted, for instance ``epix/ROI_0_sum``, also of the constants (``UserDataCfg/epix/ped``).
        None: everything but the constants, the smallest first, up to 1 GB.

    Returns
    -------
    Dataset
        Variables under their paths, those of events on `event`.

    Raises
    ------
    OSError
        It cannot be opened.
    KeyError
        A name is not in it; lists those that are.
    ValueError
        More than 16 GB are asked for.
    """
    place = Path(path)
    with place.open("rb") as raw:
        if raw.read(8) != b"\x89HDF\r\n\x1a\n":
            msg = f"{place}: expected an HDF5 file of reduced events, found another kind of file"
            raise OSError(msg)
    check_heaps(place)
    try:
        with h5py.File(place, "r") as file:
            return dataset_of(file, names).assign_attrs(file=os.fspath(path))
    except RuntimeError as error:  # what the library says of damaged files
        msg = f"{place}: damaged: {error}"
        raise OSError(msg) from None


@contextmanager
def in_memory() -> Iterator[h5py.File]:
    """Give a file that is never on a disk."""
    with h5py.File("reduced", "w", driver="core", backing_store=False) as file:
        yield file


def dataset_of(file: h5py.File, names: Collection[str] | None = None) -> xr.Dataset:
    """Return the content of an open file, see `read_reduced`."""
    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item

    file.visititems(visit)
    if names is not None:
        missing = [name for name in names if name not in found]
        if missing:
            msg = f"{file.filename}: no {missing[0]!r}; it has {', '.join([*found][:50])}"
            raise KeyError(msg)
        chosen = [*names]
    else:
        chosen = [name for name in found if not name.startswith((f"{CONFIG}/", "detcore/"))]
        chosen = _small_enough(found, chosen)
    wanted = sum(found[name].size * found[name].dtype.itemsize for name in chosen)
    if wanted > MOST:
        msg = f"{file.filename}: {wanted:,} bytes were asked for; read at most {MOST:,} at once"
        raise ValueError(msg)
    n_events = _n_events(file, found)
    data: dict[str, Any] = {}
    for name in chosen:
        values = _values(found[name])
        per_event = not name.startswith((f"{SUMS}/", f"{CONFIG}/")) and values.ndim > 0 and len(values) == n_events
        first = (EVENT,) if per_event else (f"{name}_0",) if values.ndim else ()
        dims = (*first, *(f"{name}_{axis}" for axis in range(1, values.ndim)))
        facts = {key: found[name].attrs[key] for key in ("n_events", "padded", "row_shape") if key in found[name].attrs}
        data[name] = (dims, values, facts)
    attributes = {key: _plain(file.attrs[key]) for key in _ATTRIBUTES if key in file.attrs}
    left = [name for name in found if name not in data and not name.startswith((f"{CONFIG}/", "detcore/"))]
    if names is None and left:
        attributes["not_read"] = json.dumps(left)
    axes = _named_axes(found, data)
    coords = {EVENT: data["event_id"][1]} if "event_id" in data and data["event_id"][0] == (EVENT,) else {}
    return xr.Dataset(data, coords | axes, attrs=attributes)


def _named_axes(found: dict[str, h5py.Dataset], data: dict[str, Any]) -> dict[str, Any]:
    """Give profiles the axis that is kept once among the constants; returns those axes, renames the dimensions."""
    axes: dict[str, Any] = {}
    for place, values in found.items():
        match = _AXIS.fullmatch(place)
        if match is None or values.ndim != 1:
            continue
        axis = f"{match['detector']}/{match['function']}_{match['what']}"
        for name, (dims, array, facts) in data.items():
            mine = name.startswith(f"{match['detector']}/{match['function']}_") and name != axis
            if mine and array.ndim > 1 and array.shape[-1] == len(values):
                data[name] = ((*dims[:-1], axis), array, facts)
                axes[axis] = (axis, np.asarray(values[()]), {"units": _UNITS[match["what"]]})
    return axes


def _n_events(file: h5py.File, found: dict[str, h5py.Dataset]) -> int:
    for name in ("event_id", "event_time", "fiducials"):
        if name in found and found[name].ndim:
            return len(found[name])
    return int(file.attrs.get("n_events", -1))


def _small_enough(found: dict[str, h5py.Dataset], names: list[str]) -> list[str]:
    chosen, total = set(), 0
    for name in sorted(names, key=lambda one: found[one].size * found[one].dtype.itemsize):
        total += found[name].size * found[name].dtype.itemsize
        if total <= LARGEST:
            chosen.add(name)
    return [name for name in names if name in chosen]


def _values(data: h5py.Dataset) -> Any:
    if h5py.check_string_dtype(data.dtype) is not None and h5py.check_string_dtype(data.dtype).length is None:
        return np.asarray(data.asstr(errors="replace")[()], object)
    return np.asarray(data[()])


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
