"""Columns of events, telescopes and images under the names of CTA-ML files, and which image belongs to which event."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from detcore.dl1.files.model import Dl1File
    from detcore.dl1.images.geometry import Camera

# Name in CTA-ML files -> name in `Dl1File.events`, type of the column, and what the value is multiplied by.
EVENT_COLUMNS: Final = {
    "mc_energy": ("true_energy", np.float32, 1.0),
    "alt": ("true_alt", np.float32, np.pi / 180),
    "az": ("true_az", np.float32, np.pi / 180),
    "core_x": ("true_core_x", np.float32, 1.0),
    "core_y": ("true_core_y", np.float32, 1.0),
    "h_first_int": ("true_h_first_int", np.float32, 1.0),
    "x_max": ("true_x_max", np.float32, 1.0),
    # one byte in the files, in which helium (402) does not fit
    "shower_primary_id": ("true_shower_primary_id", np.int32, 1),
}
ARRAY_COLUMNS: Final[dict[str, Any]] = {
    "id": np.uint16,
    "type": "S20",
    "x": np.float32,
    "y": np.float32,
    "z": np.float32,
}
# CTA-ML files do not say how pixels are turned; the angle between neighbours leaves multiples of 60 degrees open. The
# original takes these, as the files of that time have them, degrees.
ROTATIONS: Final = {"LSTCam": 100.893, "NectarCam": 100.893, "MAGICCam": 70.9}
CHANNELS: Final = {"charge": "image", "peakpos": "peak_time"}


class Identifier(NamedTuple):
    """An example: file, row of the event, and in mono mode row of the image and telescope (else -1)."""

    filename: str
    nrow: int
    image_index: int = -1
    tel_id: int = -1


def event_columns(events: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """Return the numbers of events by name: those of `Dl1File.events`, and as they are called in CTA-ML files.

    Parameters
    ----------
    events
        Of a file.
    """
    columns = {str(name): events[name].to_numpy() for name in events.columns if events[name].dtype.kind in "biuf"}
    for name, (source, kind, factor) in EVENT_COLUMNS.items():
        if source in columns:
            columns.setdefault(name, (columns[source] * factor).astype(kind))
    return columns


def array_column(telescopes: pd.DataFrame, name: str, tel_ids: Sequence[int]) -> NDArray[Any]:
    """Return a column of telescopes.

    Parameters
    ----------
    telescopes
        Of a file.
    name
        id, type, x, y or z (m).
    tel_ids
        Of which telescopes.

    Raises
    ------
    ValueError
        There is no such column.
    """
    if name not in ARRAY_COLUMNS:
        msg = f"unknown column {name!r} of telescopes; there are {', '.join(ARRAY_COLUMNS)}"
        raise ValueError(msg)
    if name == "id":
        return np.array(tel_ids, ARRAY_COLUMNS[name])
    return np.array(telescopes.loc[list(tel_ids), name].tolist(), ARRAY_COLUMNS[name])


def image_rows(file: Dl1File, tel_id: int) -> NDArray[np.int64]:
    """Return which of a telescope's images each event has: (event,), -1 for none; of several the first."""
    keys = pd.MultiIndex.from_frame(file.keys(tel_id)[["obs_id", "event_id"]])
    first = np.flatnonzero(~keys.duplicated())
    events = pd.MultiIndex.from_frame(file.events[["obs_id", "event_id"]])
    found = keys[first].get_indexer(events)
    rows = np.full(len(events), -1, np.int64)
    rows[found >= 0] = first[found[found >= 0]]
    return rows


def camera_of(file: Dl1File, tel_id: int) -> Camera:
    """Return a telescope's camera, in CTA-ML files turned as the original has it.

    Parameters
    ----------
    file
        The file.
    tel_id
        The telescope.
    """
    camera = file.camera(tel_id)
    known = ROTATIONS.get(camera.name)
    if known is None or not file.format.startswith("CTA-ML") or camera.shape != "hexagon":
        return camera
    # within a degree of it, and a multiple of 60 degrees apart
    return replace(camera, rotation=known) if abs((camera.rotation - known + 30) % 60 - 30) < 1 else camera


def telescopes_by_type(files: Mapping[str, Dl1File]) -> dict[str, list[int]]:
    """Return the telescopes of each type, in the order of the first file, ids rising.

    Parameters
    ----------
    files
        By name.

    Raises
    ------
    ValueError
        There is no file, or they have different telescopes.
    """
    first, telescopes = "", dict[str, list[int]]()
    for name, file in files.items():
        table = file.telescopes
        found = {
            str(tel_type): sorted(int(tel_id) for tel_id in table.index[table["type"] == tel_type])
            for tel_type in table["type"].unique()
        }
        if not first:
            first, telescopes = name, found
        elif found != telescopes:
            msg = f"{name}: other telescopes ({found}) than {first} ({telescopes}); read them one by one"
            raise ValueError(msg)
    if not telescopes:
        msg = f"no telescopes to read in {first}" if first else "no files to read"
        raise ValueError(msg)
    return telescopes


def channel(data: xr.Dataset, name: str) -> NDArray[np.float32]:
    """Return a channel of images.

    Parameters
    ----------
    data
        As `Dl1File.rows` gives it.
    name
        charge, peakpos, or a name in `data`.

    Returns
    -------
    ndarray
        (event, pixel) float32.

    Raises
    ------
    ValueError
        There is no such channel.
    """
    found = CHANNELS.get(name, name)
    if found not in data or data[found].ndim != 2:
        known = [str(one) for one, values in data.items() if values.ndim == 2]
        msg = f"{data.attrs['file']} has no channel {name!r}; there are {', '.join([*CHANNELS, *known])}"
        raise ValueError(msg)
    return np.asarray(data[found].values, np.float32)


def hashable(value: Any) -> Any:
    """Return lists in lists as tuples, which can be keys."""
    return tuple(hashable(one) for one in value) if isinstance(value, list) else value
