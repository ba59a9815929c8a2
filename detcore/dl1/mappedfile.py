"""Images mapped to squares, of whole files, for machine learning."""

from __future__ import annotations

import os
import re
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import h5py
import numpy as np
import pandas as pd

from detcore.core.paths import atomic
from detcore.core.provenance import versions
from detcore.core.schema import EVENT
from detcore.core.source import ChunkRef, Problem
from detcore.dl1.api import open_files
from detcore.dl1.columns import camera_of
from detcore.dl1.eventindex import file_of
from detcore.dl1.files.model import EVENT_UNITS, TRUTH
from detcore.dl1.images.mapping import image_mapping
from detcore.dl1.source import cameras as cameras_of
from detcore.dl1.steps import Cuts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from detcore.dl1.images.mapping import ImageMapping

Channel = Literal["image", "peak_time", "image_mask"]
KEYS: Final = ("obs_id", "event_id", "tel_id", "row")
CHUNK_BYTES: Final = 1 << 20
UNITS: Final = {"image": "p.e.", "image_mask": ""}


def write_images(
    path: str | os.PathLike[str],
    mapping: str,
    out: str | os.PathLike[str],
    *,
    cameras: Sequence[str] = (),
    size: int | None = None,
    padding: int = 0,
    channels: Sequence[Channel] = ("image", "peak_time"),
    cuts: Cuts | None = None,
    cleaned: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[dict[str, tuple[int, ...]], list[Problem]]:
    """Write the images of a file as square pictures, chunk by chunk; aside, and renamed at the end.

    For each camera a group of HDF5 with `image` (image, row, column, channel) float32; obs_id, event_id, tel_id, row
    (image,) int64; and of simulations what `Dl1File.events` calls true.

    Parameters
    ----------
    path
        The file.
    mapping
        One of `MAPPING_METHODS`.
    out
        The file to write, HDF5.
    cameras
        Names of camera types; none: all of which there are images.
    size, padding
        As for `image_mapping`.
    channels
        Some of image, peak_time and image_mask (pixels that survive the cleaning, 1 or 0).
    cuts
        Only images that pass; None: all.
    cleaned
        Charges and times of pixels that do not survive the cleaning are 0.
    progress
        Called before each chunk with how many are done, how many there are, and its camera; and at the end.

    Returns
    -------
    written : dict
        Camera -> shape of its pictures.
    problems : list of Problem
        What could not be read, and cameras to which the mapping does not apply.

    Raises
    ------
    OSError
        A file cannot be read or written.
    ValueError
        Channels, mapping or size are impossible, or no camera can be mapped so.
    """
    unknown = [one for one in channels if one not in get_args(Channel)]
    if unknown or not channels or len(set(channels)) != len(channels):
        msg = f"channels: expected some of {', '.join(get_args(Channel))}; found {', '.join(map(str, channels)) or 'none'}"
        raise ValueError(msg)
    place = os.fspath(path)
    steps = () if cuts is None and not cleaned and "image_mask" not in channels else (cuts or Cuts()).steps()
    problems: list[Problem] = []
    jobs: list[tuple[str, Any, ChunkRef]] = []
    mappings: dict[str, ImageMapping] = {}
    for name in cameras or cameras_of(place):
        source = open_files(place, name)
        try:
            mappings[name] = image_mapping(camera_of(source.schema()), mapping, size, padding=padding)
        except (OSError, ValueError) as error:
            problems.append(Problem.of(f"{place}: {name}", error))
            continue
        for ref in source.plan():
            if isinstance(ref, ChunkRef):
                jobs.append((name, source, ref))
            elif ref is not None:
                problems.append(ref)
    if not mappings:
        msg = "; ".join(map(str, problems[:5])) or f"{place}: holds no images"
        raise ValueError(msg)
    truth = _Truth(place)
    written: dict[str, tuple[int, ...]] = {}
    with atomic(out) as aside, h5py.File(aside, "w") as file:
        file.attrs["source"] = os.path.basename(place).encode("utf-8", "replace").decode()  # noqa: PTH119
        file.attrs["software"] = f"detcore {versions()['detcore']}"
        file.attrs["cut"] = cuts.words() if cuts is not None else "all images"
        groups: dict[str, _Group] = {}
        for number, (name, source, ref) in enumerate(jobs):
            if progress is not None:
                progress(number, len(jobs), name)
            try:
                chunk = source.read(ref, frozenset())
                for step in steps:
                    chunk = step.apply(chunk)
                pixels = _channels(chunk, channels, cleaned=cleaned)
            except (OSError, ValueError) as error:
                problems.append(Problem.of(ref.part, error))
                continue
            if name not in groups:
                groups[name] = _Group(file, name, mappings[name], mapping, channels, chunk, truth)
            groups[name].add(mappings[name].apply(pixels), chunk)
        if progress is not None:
            progress(len(jobs), len(jobs), "")
        written = {name: group.shape for name, group in groups.items()}
    return written, problems


def _channels(chunk: xr.Dataset, channels: Sequence[Channel], *, cleaned: bool) -> NDArray[np.float32]:
    """Return (event, pixel, channel)."""
    known = {"image": "image", "peak_time": "peak_time", "image_mask": "selected"}
    missing = [one for one in channels if known[one] not in chunk]
    if missing:
        msg = f"there is no {missing[0]} in the images; leave the channel out"
        raise ValueError(msg)
    values = np.stack([chunk[known[one]].values.astype(np.float32) for one in channels], axis=-1)
    return values * chunk["selected"].values[..., None] if cleaned else values


class _Truth:
    """What is known of the simulated showers, found by run and event."""

    def __init__(self, path: str) -> None:
        events = file_of(path).events
        self.names = [name for name in TRUTH if name in events]
        keys = ["obs_id", "event_id"]
        self._table = events[[*keys, *self.names]].drop_duplicates(keys).set_index(keys)

    def of(self, chunk: xr.Dataset) -> dict[str, NDArray[Any]]:
        """Return the columns for the images of a chunk; not a number where nothing is known."""
        keys = pd.MultiIndex.from_arrays([chunk["obs_id"].values, chunk["event_id"].values])
        found = self._table.reindex(keys)
        return {name: found[name].to_numpy(np.float64) for name in self.names}


def _group_name(camera: str, taken: set[str]) -> str:
    """Return a name that HDF5 can have and that is still free."""
    name = re.sub(r"[^\w-]+", "_", camera) or "camera"
    return name if name not in taken else next(new for n in count(2) if (new := f"{name}_{n}") not in taken)


class _Group:
    """What is written of one camera: grows with each chunk."""

    def __init__(
        self,
        file: h5py.File,
        name: str,
        mapping: ImageMapping,
        method: str,
        channels: Sequence[Channel],
        chunk: xr.Dataset,
        truth: _Truth,
    ) -> None:
        self._truth = truth
        self._group = file.create_group(_group_name(name, set(file)))
        shape = (*mapping.shape, len(channels))
        rows = max(CHUNK_BYTES // (4 * int(np.prod(shape))), 1)
        self._image = self._group.create_dataset(
            "image", (0, *shape), "f4", maxshape=(None, *shape), chunks=(rows, *shape), compression="gzip",
            compression_opts=1, shuffle=True,
        )  # fmt: skip
        units = {**UNITS, "peak_time": chunk.attrs.get("time_unit", "ns")}
        self._image.attrs["channels"] = list(channels)
        self._image.attrs["units"] = [units[one] for one in channels]
        self._group.attrs["camera"] = name.encode("utf-8", "replace").decode().replace("\0", " ")
        self._group.attrs["mapping"] = method
        for key in (*KEYS, *truth.names):
            kind = np.int64 if key in KEYS else np.float64
            column = self._group.create_dataset(key, (0,), kind, maxshape=(None,), chunks=(8192,), compression="gzip")
            column.attrs["units"] = EVENT_UNITS.get(key, "")

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(map(int, self._image.shape))

    def add(self, images: NDArray[Any], chunk: xr.Dataset) -> None:
        """Append images (event, row, column, channel)."""
        columns = {key: chunk[key].values for key in KEYS} | self._truth.of(chunk)
        before, n = len(self._image), chunk.sizes[EVENT]
        for name, values in (("image", images), *columns.items()):
            stored = self._group[name]
            stored.resize(before + n, axis=0)
            stored[before:] = values
