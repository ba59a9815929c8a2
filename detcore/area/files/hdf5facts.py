"""What an HDF5 file says of its detector, by the habits of NXmx, CXI and our own files, and of each frame."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np

from detcore.area.detector.model import MAX_PIXELS
from detcore.area.files.formats import guess_type, valid_limits
from detcore.area.files.hdf5 import members, number, text, tree
from detcore.core.hdf5 import attribute, content, fetch, walk_to
from detcore.image import BITS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

HC: Final = 1.239841984332002e-9  # keV m; h c, CODATA 2018 (exact)
MAX_COLUMNS: Final = 128
_HOMES = (
    "/entry/instrument/detector",
    "/entry_1/instrument_1/detector_1",
    "/entry1/instrument/detector",
    "/entry/detector",
)
_CXI = {  # bit of CXI's mask -> NXmx; what is not named here only informs
    0: "dead", 1: "over", 2: "noisy", 3: "dead", 4: "user", 6: "user", 7: "dead", 8: "user", 9: "gap",
    10: "noisy", 12: "dead",
}  # fmt: skip
_CONSTANTS = ("pedestal", "noise", "gain", "status")
_TIMES = ("time", "start_time", "timestamp", "timestamps", "event_time")
_PLAIN = re.compile(r"[^0-9A-Za-z_]+")


def home_of(path: str, file: h5py.File, dataset: str, wanted: str | None = None) -> str | None:
    """Return the group of the detector that a data set belongs to."""
    parent = dataset.rsplit("/", 1)[0]
    if _is_detector(file, parent):
        return parent
    every = [name for name, item in tree(file) if isinstance(item, h5py.Group) and _is_detector(file, name)]
    named = [
        one for one in every if wanted and wanted in {one.rsplit("/", 1)[-1], text(path, file, f"{one}/local_name")}
    ]
    usual = [one for one in _HOMES if isinstance(walk_to(file, one), h5py.Group)]
    return next(iter(named + usual + every), None)


def _is_detector(file: h5py.File, name: str) -> bool:
    group = walk_to(file, name)
    return isinstance(group, h5py.Group) and attribute(group, "NX_class") == "NXdetector"


def facts_of(
    path: str, file: h5py.File, home: str | None, shape: tuple[int, ...], dtype: str
) -> tuple[dict[str, Any], list[str]]:
    """Return the keywords of `Detector` that the file has, and what was assumed.

    Parameters
    ----------
    path, file
        The file.
    home
        Group of the detector.
    shape, dtype
        Of a frame; arrays of another shape are left out, and said so.
    """
    notes: list[str] = []
    facts: dict[str, Any] = {"energy": _energy(path, file, home)}
    if home is None:
        return {name: value for name, value in facts.items() if value is not None}, notes

    def find(*names: str, unit: str = "") -> float | None:
        return number(path, file, *(f"{home}/{name}" for name in names), unit=unit)

    size = [find(name, f"detectorSpecific/{name}") for name in ("y_pixel_size", "x_pixel_size")]
    facts["pixel_size"] = tuple(math.nan if one is None else one for one in size) if any(size) else None
    facts["distance"] = find("detector_distance", "distance", "detectorSpecific/detector_distance")
    centre = [find(name) for name in ("beam_center_x", "beam_center_y")]
    facts["centre"] = None if None in centre or not any(centre) else tuple(centre)
    facts["name"] = text(path, file, f"{home}/local_name")
    words = [text(path, file, f"{home}/{name}") for name in ("type", "description", "detector_number", "local_name")]
    facts["type"] = guess_type(*words)
    facts |= valid_limits(str(facts["type"]), np.dtype(dtype), notes)
    for name, field in (("saturation_value", "saturation"), ("underload_value", "underload")):
        value = find(name, f"detectorSpecific/{name}")
        if value is not None:
            facts[field] = min(value, facts.get("saturation", value)) if field == "saturation" else value
    facts["pixel_mask"] = _mask(path, file, home, shape, notes)
    if _has_places(file, home):
        notes.append(f"{home} says where its modules are, which is not read: give a CrystFEL file with geometry=")
    for name in _CONSTANTS:
        array = fetch(path, file, f"{home}/{name}", 8 * MAX_PIXELS)
        if array is not None and array.shape[-len(shape) :] == shape and array.dtype.kind in "iuf":
            facts[name] = array
    return {name: value for name, value in facts.items() if value is not None}, notes


def _has_places(file: h5py.File, home: str) -> bool:
    """Return whether modules of NXmx (more than one), or corners of panels of CXI, have places of their own."""
    inside = dict(members(walk_to(file, home)))
    kinds = [attribute(one, "NX_class") for one in inside.values() if isinstance(one, h5py.Group)]
    return kinds.count("NXdetector_module") > 1 or not inside.keys().isdisjoint(("corner_position", "corner_positions"))


def _energy(path: str, file: h5py.File, home: str | None) -> float | None:
    beams = ("/entry/instrument/beam", "/entry/sample/beam", "/entry_1/instrument_1/beam_1")
    wave = number(path, file, *(f"{one}/incident_wavelength" for one in beams), unit="angstrom")
    if wave:
        return float(f"{HC / wave:.12g}")
    places = [f"{one}/incident_energy" for one in beams]
    places += [f"{home}/{name}" for name in ("detectorSpecific/photon_energy", "photon_energy")] if home else []
    return number(path, file, *places, unit="ev") or number(
        path, file, "/entry_1/instrument_1/source_1/energy", unit="j"
    )


def _mask(path: str, file: h5py.File, home: str, shape: tuple[int, ...], notes: list[str]) -> NDArray[np.uint32] | None:
    group: Any = walk_to(file, home)
    numbered = sorted(str(name) for name in group if re.fullmatch(r"pixel_mask(_\d+)?", str(name))) if group else []
    mask: NDArray[np.uint32] | None = None
    for name in [*(f"{home}/{one}" for one in numbered), f"{home}/detectorSpecific/pixel_mask"]:
        one = _fitting(fetch(path, file, name, MAX_PIXELS), shape, name, notes)
        if one is not None and (mask is None or name.startswith(f"{home}/pixel_mask")):
            mask = one if mask is None else mask | one
    if mask is None and home.startswith("/entry_1"):
        one = _fitting(fetch(path, file, f"{home}/mask", MAX_PIXELS), shape, f"{home}/mask", notes)
        mask = None if one is None else translated(one, _CXI.items())
    return mask


def mask_of_frames(
    file: h5py.File, home: str | None, frames: tuple[int, ...], notes: list[str], *, alone: bool
) -> str | None:
    """Return the name of a mask for each frame, in bits of NXmx (pixel_mask) or CXI (mask).

    Parameters
    ----------
    file, home
        The file, and the group of the detector.
    frames
        Shape of the data set of the frames.
    notes
        What was found is added.
    alone
        The frames are in one data set of this file: others cannot be told which mask is theirs.
    """
    if home is None or len(frames) < 3:
        return None
    for name in ("pixel_mask", *(("mask",) if home.startswith("/entry_1") else ())):
        item = walk_to(file, f"{home}/{name}")
        if not isinstance(item, h5py.Dataset) or item.ndim != len(frames) or item.shape[0] == 1:
            continue
        if alone and item.shape == frames and item.dtype.kind in "biu":
            notes.append(f"pixels that a frame's own mask rejects ({home}/{name}) are nan in that frame")
            return f"{home}/{name}"
        notes.append(f"{home}/{name} is {item.dtype} {item.shape}, the frames are {frames}: it is not used")
    return None


def rejected(mask: NDArray[Any], name: str) -> NDArray[np.bool_]:
    """Return the bad pixels of a mask of frames: bits of NXmx, of CXI if it is called mask."""
    bits = translated(mask, _CXI.items()) if name.endswith("/mask") else mask
    return np.asarray((bits.astype(np.int64) & 0xFFFF) != 0)


def _fitting(
    array: NDArray[Any] | None, shape: tuple[int, ...], name: str, notes: list[str]
) -> NDArray[np.uint32] | None:
    if array is None or array.dtype.kind not in "biu":
        return None
    if array.ndim == len(shape) + 1 and len(array) > 1:
        return None  # see mask_of_frames
    plain = array[0] if array.ndim == len(shape) + 1 and len(array) == 1 else array
    if plain.shape != shape:
        notes.append(f"{name} has shape {array.shape}, a frame has {shape}: it is not used")
        return None
    return (plain.astype(np.int64) & 0xFFFFFFFF).astype(np.uint32)


def translated(mask: NDArray[Any], bits: Iterable[tuple[int, str]]) -> NDArray[np.uint32]:
    """Return a mask with NXmx bits for one with bits of another meaning; those without a translation are dropped.

    Examples
    --------
    >>> translated(np.array([0, 1, 6]), [(0, "dead"), (2, "noisy")])
    array([ 0,  2, 16], dtype=uint32)
    """
    result = np.zeros(mask.shape, np.uint32)
    for bit, name in bits:
        result |= np.where((mask >> bit) & 1, np.uint32(1 << BITS[name]), np.uint32(0))
    return result


def columns_of(file: h5py.File, n: int, skip: str | None = None) -> dict[str, NDArray[Any]]:
    """Return the numbers that the file has for each frame, by the last part of their names.

    Parameters
    ----------
    file
        Looked through as a whole, without its links.
    n
        Frames; a list of another length is not of frames.
    skip
        A group whose lists are left out.
    """
    result: dict[str, NDArray[Any]] = {}
    if n < 2:
        return result
    for name, item in tree(file):
        if not isinstance(item, h5py.Dataset) or item.shape not in {(n,), (n, 1)} or item.dtype.kind not in "biuf":
            continue
        values = content(item, n) if not (skip and name.startswith(skip)) else None
        if values is None or len(result) >= MAX_COLUMNS:
            continue
        values = values.reshape(n)
        key = column_name(name, result)
        if key == "time":
            values = seconds(values, str(attribute(item, "units") or "s"))
        result[key] = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    return result


def column_name(path: str, taken: Iterable[str]) -> str:
    """Return the name of a column for a data set: its last part, with that of its group if it is taken.

    Examples
    --------
    >>> column_name("/entry/events/i0", []), column_name("/b/sum", ["sum"]), column_name("/a/data", [])
    ('i0', 'b_sum', 'a_data')
    """
    parts = [_PLAIN.sub("_", part) for part in path.split("/") if part]
    if parts[-1] in _TIMES and "time" not in taken:
        return "time"
    known = {*taken, "data", "mask", "event_id", "frame", "module", "x", "y", "value"}
    for length in range(1, len(parts) + 1):
        name = "_".join(parts[-length:])
        if name not in known:
            return name
    return "_".join([*parts, str(len(known))])


def seconds(values: NDArray[Any], unit: str) -> NDArray[np.float64]:
    """Return times in s; 64-bit whole numbers are LCLS's seconds and nanoseconds in 32 bits each, or nanoseconds."""
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8 and unit == "s" and len(values):
        words = values.astype(np.uint64)
        if int(words.max()) >> 32 > 600_000_000:  # nanoseconds since 1970 get there in 2051
            return np.asarray((words >> np.uint64(32)) + (words & np.uint64(0xFFFFFFFF)) * 1e-9, np.float64)
        if int(words.max()) > 1 << 53:
            return np.asarray(words * 1e-9, np.float64)
    factors = {"ms": 1e-3, "millisecond": 1e-3, "us": 1e-6, "ns": 1e-9}
    return np.asarray(values * factors.get(unit.lower(), 1.0), np.float64)
