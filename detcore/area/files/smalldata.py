"""The small HDF5 files of LCLS's smalldata_tools as input: stored regions or whole frames, sums, and the detector.

``<detector>/<function>_area`` is (event, y, x) or (event, module, y, x), ``Sums/<detector>_<what>`` one image, and
``UserDataCfg/<detector>`` has the constants. There `ix` is the row of a pixel in the image and `iy` its column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np

from detcore.area.detector.model import MAX_PIXELS
from detcore.area.files.formats import Contents, Options, guess_type
from detcore.area.files.hdf5 import members, text
from detcore.area.files.hdf5facts import columns_of
from detcore.area.files.hdf5layout import stacks_of
from detcore.core.hdf5 import content, fetch, walk_to
from detcore.image import BITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CONFIG: Final = "/UserDataCfg"
_ARRAYS = {"ped": "pedestal", "rms": "noise", "gain": "gain", "x": "x", "y": "y", "z": "z", "ix": "iy", "iy": "ix"}
_COLUMNS = {"lightStatus_xray": "xray", "lightStatus_laser": "laser", "tt_ttCorr": "ttCorr"}


def fits(file: h5py.File) -> bool:
    """Return whether a file has the groups of smalldata_tools."""
    return any(isinstance(walk_to(file, name), h5py.Group) for name in (_CONFIG, "/lightStatus", "/Sums")) and bool(
        frames_of(file)
    )


def frames_of(file: h5py.File, detector: str | None = None) -> list[tuple[str, str]]:
    """Return (detector, data set) of the frames stored: regions of each event first, else sums."""
    areas, sums = [], []
    for name, group in members(file):
        if not isinstance(group, h5py.Group) or name == "UserDataCfg" or (detector and name not in {detector, "Sums"}):
            continue
        for key, item in members(group):
            if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "biuf":
                continue
            if name == "Sums" and item.ndim in {2, 3} and (not detector or key.startswith(f"{detector}_")):
                sums.append((detector or key.split("_calib")[0], f"/Sums/{key}"))
            elif name != "Sums" and item.ndim in {3, 4} and key.endswith(("_area", "_img", "_full", "_image")):
                areas.append((name, f"/{name}/{key}"))
    return areas or sums


def look(path: str, file: h5py.File, options: Options) -> Contents:
    """Return the frames, the events' numbers and the detector.

    Raises
    ------
    ValueError
        There are several detectors or regions: one has to be named.
    """
    every = frames_of(file)
    choices = frames_of(file, options.detector) or (every if len({name for name, _ in every}) == 1 else [])
    if options.dataset:
        wanted = "/" + options.dataset.strip("/")
        choices = [one for one in every if one[1] == wanted] or [(wanted.split("/")[1], wanted)]
    if len(choices) != 1:
        shown = ", ".join(f"{name} ({where})" for name, where in (choices or every)[:10]) or "none"
        wrong = "several detectors or regions" if choices else f"no detector {options.detector!r:.60}; there are"
        msg = f"{path}: {wrong}: {shown}; name one with detector= or dataset="
        raise ValueError(msg)
    detector, dataset = choices[0]
    summed = dataset.startswith("/Sums/")
    item = walk_to(file, dataset)
    if isinstance(item, h5py.Dataset) and summed and item.ndim == 3:
        stacks, problems = stacks_of(path, file, dataset, options)
        stacks = [] if not stacks else [_whole(stacks[0], item.shape)]
    else:
        stacks, problems = stacks_of(path, file, dataset, options)
    if not stacks:
        return Contents((), tuple(problems))
    facts, notes = _facts(path, file, detector, dataset, stacks[0].shape)
    n = 0 if summed else int(item.shape[0])
    columns = {_COLUMNS.get(name, name): values for name, values in columns_of(file, n, _CONFIG).items()}
    columns |= _light(file, n)
    return Contents(tuple(stacks), tuple(problems), None, columns, facts, tuple(notes))


def _whole(stack: Any, shape: tuple[int, ...]) -> Any:
    """Return a stack of one tiled frame: a sum (module, y, x) has no axis of events."""
    from dataclasses import replace  # noqa: PLC0415

    return replace(stack, n=1, shape=shape, where=replace(stack.where, one=True, first=0))


def _light(file: h5py.File, n: int) -> dict[str, NDArray[Any]]:
    """Return laser, xray and the variables of a scan under their short names."""
    result: dict[str, NDArray[Any]] = {}
    for name in ("xray", "laser"):
        values = content(walk_to(file, f"/lightStatus/{name}"), n)
        if values is not None and values.shape == (n,):
            result[name] = values
    scan = walk_to(file, "/scan")
    for name, item in members(scan) if isinstance(scan, h5py.Group) else []:
        values = content(item, n)
        if values is not None and values.shape == (n,) and values.dtype.kind in "iuf":
            result.setdefault("scan", values)
            result.setdefault(name, values)
    return result


def _facts(
    path: str, file: h5py.File, detector: str, dataset: str, shape: tuple[int, ...]
) -> tuple[dict[str, Any], list[str]]:
    home, notes = f"{_CONFIG}/{detector}", []
    facts: dict[str, Any] = {
        "name": detector,
        "type": guess_type(detector.rstrip("0123456789_"), text(path, file, f"{home}/dettype")),
    }
    if not isinstance(walk_to(file, home), h5py.Group):
        return facts, [f"no {home}: nothing is known of the detector"]
    size = fetch(path, file, f"{home}/pixelsize", 4)
    if size is not None and size.size and size.dtype.kind == "f":
        both = [float(one) for one in np.resize(size.ravel(), 2)]
        facts["pixel_size"] = tuple(one if one < 0.01 else one * 1e-6 for one in both)  # some are in um
    bounds = _bounds(path, file, home, dataset)
    kept: dict[str, NDArray[Any]] = {}
    for name in (*_ARRAYS, "mask", "cmask", "statusMask"):
        array = fetch(path, file, f"{home}/{name}", 8 * MAX_PIXELS)
        if array is None or array.dtype.kind not in "biuf":
            continue
        cut = _cut(array, bounds, shape)
        if cut is None:
            notes.append(f"{name} has shape {array.shape}, a frame has {shape}: it is not used")
        else:
            kept[name] = cut
    facts |= {ours: kept[theirs] for theirs, ours in _ARRAYS.items() if theirs in kept}
    for name in ("ix", "iy"):
        if name in facts:
            facts[name] = facts[name].astype(np.int64) - int(facts[name].min())
    if ("ix" in facts) != ("iy" in facts):
        facts.pop("ix", None)
        facts.pop("iy", None)
    mask = np.zeros(shape, np.uint32)
    if "statusMask" in kept:
        mask[kept["statusMask"] == 0] |= np.uint32(1 << BITS["dead"])
    hidden = kept.get("cmask", kept.get("mask"))
    if hidden is not None:
        mask[(hidden == 0) & (mask == 0)] |= np.uint32(1 << BITS["user"])
    if mask.any():
        facts["pixel_mask"] = mask
    return facts, notes


def _bounds(path: str, file: h5py.File, home: str, dataset: str) -> NDArray[Any] | None:
    """Return the bounds of the region that was stored, (axis, 2), in the raw frame."""
    name = dataset.rsplit("/", 1)[-1].removesuffix("_area")
    bounds = fetch(path, file, f"{home}/{name}__{name}_bound", 6)
    bounds = fetch(path, file, f"{home}/{name}__{name}_ROI", 6) if bounds is None else bounds
    return (
        None if bounds is None or bounds.size not in {4, 6} or bounds.dtype.kind not in "iuf" else bounds.reshape(-1, 2)
    )


def _cut(array: NDArray[Any], bounds: NDArray[Any] | None, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Return the part of a constant that belongs to the stored region, in the shape of a frame, or None."""
    if array.shape[-len(shape) :] == shape and array.ndim <= len(shape) + 1:
        return array
    if bounds is None or array.ndim < len(bounds):
        return None
    edges = np.clip(np.nan_to_num(bounds.astype(np.float64)), 0, 1 << 30).astype(np.int64)  # 1e6: to the end
    window: Any = (Ellipsis, *(slice(int(low), int(high)) for low, high in edges))
    cut = array[window]
    lead = cut.shape[: cut.ndim - len(bounds)]
    size = int(np.prod(shape))
    return cut.reshape(*lead, *shape) if cut.size == size * int(np.prod(lead)) else None
