"""Series in the detector's own file format, for the demo, the tests and the benchmarks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import h5py
import hdf5plugin
import numpy as np

from detcore.eiger.metadata import PLANCK_C

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

Compression = Literal["bslz4", "lz4", "none", "gzip", "zstd"]
Layout = Literal["links", "vds", "master", "channels", "bare"]
CHANNELS = ("threshold_1", "threshold_2", "difference")


def _filters(compression: Compression) -> dict[str, Any]:
    kinds: dict[str, Any] = {
        "bslz4": lambda: dict(hdf5plugin.Bitshuffle(cname="lz4")),
        "lz4": lambda: dict(hdf5plugin.LZ4()),
        "none": dict,
        "gzip": lambda: {"compression": "gzip", "compression_opts": 1, "shuffle": True},
        "zstd": lambda: dict(hdf5plugin.Bitshuffle(cname="zstd")),
    }
    if compression not in kinds:
        msg = f"no compression {compression!r}; choose one of {', '.join(kinds)}"
        raise ValueError(msg)
    return dict(kinds[compression]())


@dataclass(frozen=True)
class Exposure:
    """What a master file says about the measurement; times in s, energy in eV, lengths in m, the centre in pixels."""

    frame_time: float = 0.01
    readout_time: float = 3e-6
    photon_energy: float = 12658.0
    detector_distance: float = 0.2
    beam_center: tuple[float, float] | None = None
    pixel_size: float = 75e-6
    description: str = "Dectris Eiger, written by detcore"
    date: str = "2026-01-01T00:00:00"
    extra: dict[str, Any] = field(default_factory=dict)
    """Names below /entry/instrument/detector, and values; they replace those above, None leaves one out."""


def write_series(
    folder: str | os.PathLike[str],
    name: str,
    frames: Iterable[NDArray[Any]],
    *,
    per_file: int = 1000,
    compression: Compression = "bslz4",
    layout: Layout = "links",
    pixel_mask: NDArray[Any] | None = None,
    frame_time: float = 0.01,
    planned: int | None = None,
    exposure: Exposure | None = None,
) -> Path:
    """Write a series frame by frame; memory does not grow with their number.

    Parameters
    ----------
    folder, name
        Where, and the beginning of the file names.
    frames
        (y, x) unsigned counts; (channel, y, x) for the layout with channels.
    per_file
        Frames in a data file.
    compression
        bslz4 (what detectors write), lz4, none, gzip, zstd.
    layout
        links: a master and data files (Eiger 1 and 2); vds: a master that shows them as one virtual data set;
        master: everything in one file; channels: one virtual data set (frame, channel, y, x); bare: only data files.
    pixel_mask
        (y, x) NXmx bits, 0 for a good pixel; for channels also (channel, y, x).
    frame_time
        s.
    planned
        Number of frames that the master announces, with links to files that never come; None: those there are.
    exposure
        Everything else that the master says.

    Returns
    -------
    Path
        The master; for the bare layout, the first data file.
    """
    if layout not in {"links", "vds", "master", "channels", "bare"} or per_file < 1:
        msg = (
            f"layout {layout!r} with {per_file} frames in a file: expected links, vds, master, channels or bare, and 1"
        )
        raise ValueError(msg)
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    stream = iter(frames)
    first = np.asarray(next(stream))  # an empty series has no shape and is nothing that one can write
    stream = itertools.chain([first], stream)
    exposure = exposure or Exposure(frame_time)
    master = root / f"{name}_master.h5"
    if layout == "master":
        with h5py.File(master, "w") as file:
            n = _fill(file.require_group("/entry/data"), "data", stream, first, compression, None)
            _header(file, exposure, first, n if planned is None else planned, compression, pixel_mask)
        return master
    pattern, inside = (f"{name}_%06d.h5", "/data") if layout == "vds" else (f"{name}_data_%06d.h5", "/entry/data/data")
    done: list[int] = []
    for number in itertools.count(1):
        head = next(stream, None)
        if head is None:
            break
        with h5py.File(root / (pattern % number), "w") as file:
            low = 1 + sum(done)
            group = file.require_group(str(Path(inside).parent))
            part = itertools.chain([head], itertools.islice(stream, per_file - 1))
            done.append(_fill(group, "data", part, first, compression, None if layout == "vds" else low))
    if layout == "bare":
        return root / (pattern % 1)
    with h5py.File(master, "w") as file:
        n = sum(done) if planned is None else planned
        lengths = done + [min(per_file, n - begin) for begin in range(len(done) * per_file, n, per_file)]
        names = [pattern % number for number in range(1, len(lengths) + 1)]
        data = file.require_group("/entry/data")
        if layout == "links":
            for number, other in enumerate(names, 1):
                data[f"data_{number:06d}"] = h5py.ExternalLink(other, inside)
        else:
            _virtual(data, dict(zip(names, lengths, strict=True)), inside, first)
        _header(file, exposure, first, n, compression, pixel_mask)
    return master


def _fill(
    group: h5py.Group,
    name: str,
    frames: Iterator[NDArray[Any]],
    model: NDArray[Any],
    compression: Compression,
    low: int | None,
) -> int:
    """Write frames into a data set that grows by blocks; return how many."""
    data = group.create_dataset(
        name,
        (0, *model.shape),
        model.dtype,
        maxshape=(None, *model.shape),
        chunks=(1,) * (model.ndim - 1) + model.shape[-2:],
        **_filters(compression),
    )
    n = 0
    for frame in frames:
        data.resize(n + 1, axis=0)
        data[n] = frame
        n += 1
    if low is not None:
        data.attrs["image_nr_low"] = np.uint64(low)
        data.attrs["image_nr_high"] = np.uint64(low + n - 1)
    return n


def _virtual(group: h5py.Group, lengths: dict[str, int], inside: str, model: NDArray[Any]) -> None:
    whole = h5py.VirtualLayout((sum(lengths.values()), *model.shape), model.dtype)
    begin = 0
    for name, length in lengths.items():
        whole[begin : begin + length] = h5py.VirtualSource(name, inside, (length, *model.shape))
        begin += length
    group.create_virtual_dataset("data", whole)


def _header(
    file: h5py.File,
    exposure: Exposure,
    model: NDArray[Any],
    n: int,
    compression: str,
    pixel_mask: NDArray[Any] | None,
) -> None:
    ny, nx = model.shape[-2:]
    bits = 8 * model.dtype.itemsize
    x, y = exposure.beam_center or (nx / 2, ny / 2)
    wavelength = PLANCK_C / exposure.photon_energy
    units = {"time": "s", "size": "m", "distance": "m", "energy": "eV", "center_x": "pixel", "center_y": "pixel"}
    values: dict[str, Any] = {
        "bit_depth_image": np.uint32(bits),
        "saturation_value": np.uint32(2**bits - 2),
        "frame_time": exposure.frame_time,
        "count_time": exposure.frame_time - exposure.readout_time,
        "detector_readout_time": exposure.readout_time,
        "beam_center_x": x,
        "beam_center_y": y,
        "x_pixel_size": exposure.pixel_size,
        "y_pixel_size": exposure.pixel_size,
        "detector_distance": exposure.detector_distance,
        "description": exposure.description,
        "pixel_mask_applied": np.int32(pixel_mask is not None),
        "detectorSpecific/photon_energy": exposure.photon_energy,
        "detectorSpecific/nimages": np.uint32(n),
        "detectorSpecific/ntrigger": np.uint32(1),
        "detectorSpecific/x_pixels_in_detector": np.uint32(nx),
        "detectorSpecific/y_pixels_in_detector": np.uint32(ny),
        "detectorSpecific/compression": compression,
        "detectorSpecific/data_collection_date": exposure.date,
    } | exposure.extra
    for group, kind in (("/entry", "NXentry"), ("/entry/data", "NXdata"), ("/entry/instrument", "NXinstrument")):
        file.require_group(group).attrs["NX_class"] = kind
    file["/entry/definition"] = "NXmx"
    file["/entry/instrument/beam/incident_wavelength"] = wavelength
    file["/entry/instrument/beam/incident_wavelength"].attrs["units"] = "angstrom"
    detector = file.require_group("/entry/instrument/detector")
    detector.attrs["NX_class"] = "NXdetector"
    for name, value in values.items():
        if value is not None:
            detector[name] = value
            unit = next((unit for end, unit in units.items() if name.endswith(end)), None)
            if unit:
                detector[name].attrs["units"] = unit
    if pixel_mask is not None:
        _masks(detector, np.asarray(pixel_mask, np.uint32), model)


def _masks(detector: h5py.Group, mask: NDArray[np.uint32], model: NDArray[Any]) -> None:
    filters = _filters("bslz4")
    if model.ndim == 2:
        detector.create_dataset("detectorSpecific/pixel_mask", data=mask, chunks=mask.shape, **filters)
        detector["pixel_mask"] = h5py.SoftLink("/entry/instrument/detector/detectorSpecific/pixel_mask")
        return
    for channel, one in zip(CHANNELS, np.broadcast_to(mask, model.shape), strict=False):
        detector.create_dataset(f"{channel}_channel/pixel_mask", data=one, chunks=one.shape, **filters)
