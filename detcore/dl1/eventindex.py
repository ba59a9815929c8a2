"""Files that a display goes through event by event: their events, and where the images of each are."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import xarray as xr

from detcore.core.schema import EVENT
from detcore.dl1.files import openfile
from detcore.dl1.files.filerows import file_parameters
from detcore.dl1.files.model import Images

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from detcore.dl1.files.model import Dl1File
    from detcore.dl1.images.geometry import Camera

KEPT: Final = 8  # files of which events and keys are remembered
EVENTS: Final = 16  # of each file, of which the images are remembered: while somebody moves the thresholds


@dataclass(frozen=True)
class Alike:
    """Images of one event by telescopes with equal cameras.

    Parameters
    ----------
    camera
        The camera.
    chunk
        One image of each telescope along ``event``, with tel_id and what else a chunk of `ImageFiles` has; read-only.
    parameters
        tel_id -> what the file itself holds of the image.
    """

    camera: Camera
    chunk: xr.Dataset
    parameters: Mapping[int, Mapping[str, Any]]


class RawEvent(NamedTuple):
    """The images of an event as the file has them, and what could not be read, in words."""

    groups: tuple[Alike, ...]
    problems: tuple[str, ...]


class KnownFile:
    """A file and where in it the images of events are."""

    def __init__(self, path: str) -> None:
        self.file = openfile.open(path)
        self.events = self.file.events
        table = self.file.telescopes
        rows = table.to_dict("records")
        self.telescopes = {
            int(tel_id): {str(name): plain(value) for name, value in row.items()}
            for tel_id, row in zip(table.index.to_numpy(np.int64), rows, strict=True)
        }
        self.keys = [self.events[name].to_numpy(np.int64) for name in ("obs_id", "event_id")]
        self._rows: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        self._images: OrderedDict[int, RawEvent] = OrderedDict()
        self._guard = threading.Lock()

    def number(self, obs_id: int, event_id: int) -> int:
        """Return the row of an event."""
        found = np.flatnonzero((self.keys[1] == event_id) & (self.keys[0] == obs_id))
        if not len(found):
            msg = f"{self.file.path}: no event {event_id} of run {obs_id}; the file has {len(self.events)} events"
            raise KeyError(msg)
        return int(found[0])

    def row(self, tel_id: int, obs_id: int, event_id: int) -> int | None:
        """Return the row of the image that a telescope took of an event; None if it took none."""
        known = self._rows.get(tel_id)
        if known is None:
            table = self.file.keys(tel_id)
            known = table["obs_id"].to_numpy(np.int64), table["event_id"].to_numpy(np.int64)
            self._rows[tel_id] = known
        found = np.flatnonzero((known[1] == event_id) & (known[0] == obs_id))
        return int(found[0]) if len(found) else None

    def images(self, number: int) -> RawEvent:
        """Return all images of an event by its number."""
        with self._guard:
            if number in self._images:
                self._images.move_to_end(number)
                return self._images[number]
        made = self._read(number)
        with self._guard:
            self._images[number] = made
            while len(self._images) > EVENTS:
                self._images.popitem(last=False)
        return made

    def _read(self, number: int) -> RawEvent:
        info = self.events.iloc[number]
        keys = int(info["obs_id"]), int(info["event_id"])
        groups: dict[tuple[Camera, tuple[bool, ...]], dict[int, Images]] = {}
        own: dict[int, Mapping[str, Any]] = {}
        problems = []
        for tel_id in self.telescopes:
            try:
                row = self.row(tel_id, *keys)
                if row is None:
                    continue
                image = self.file.image_at(tel_id, row)
                if (int(image.obs_id[0]), int(image.event_id[0])) != keys:
                    problems.append(f"telescope {tel_id}: the tables of the file disagree about which image it took")
                    continue
                has = tuple(one is not None for one in (image.peak_time, image.image_mask, image.true_image))
                groups.setdefault((self.file.camera(tel_id), has), {})[tel_id] = image
                parameters = file_parameters(self.file, tel_id, *keys, row)
                if parameters is not None:
                    own[tel_id] = parameters
            except (OSError, ValueError) as error:
                problems.append(f"telescope {tel_id}: {error}")
        return RawEvent(
            tuple(Alike(camera, self._chunk(camera, images, info), own) for (camera, _), images in groups.items()),
            tuple(problems),
        )

    def _chunk(self, camera: Camera, images: dict[int, Images], info: pd.Series[Any]) -> xr.Dataset:
        """Return images of telescopes as one chunk."""
        joined = Images.joined(list(images.values()))
        data = joined.variables(np.array(list(images), np.int64), self.file.time_unit)
        known = {"multiplicity": "multiplicity", "true_energy": "true_energy", "particle": "true_shower_primary_id"}
        data |= {name: (EVENT, np.full(len(images), info[key])) for name, key in known.items() if key in info}
        chunk = xr.Dataset(data, attrs={"camera": camera, "time_unit": self.file.time_unit})
        for one in chunk.variables.values():
            one.values.setflags(write=False)  # they are shared
        return chunk


@lru_cache(maxsize=KEPT)
def _known(path: str, state: str) -> KnownFile:
    """Open a file; `state` changes when the file does."""
    del state
    return KnownFile(path)


def opened(path: str | os.PathLike[str]) -> KnownFile:
    """Return a file, opened once, as long as it does not change."""
    place = os.fspath(path)
    facts = os.stat(place)  # noqa: PTH116 - one string for the key
    return _known(place, f"{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}")


def events_of(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Return the events of a file; read once, as long as the file does not change.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    DataFrame
        As `Dl1File.events` has it.

    Raises
    ------
    OSError, ValueError
        The file cannot be read, or is damaged.
    """
    return opened(path).events.copy(deep=False)


def file_of(path: str | os.PathLike[str]) -> Dl1File:
    """Return the file, opened once, as long as it does not change. Not to be closed."""
    return opened(path).file


def plain(value: Any) -> Any:
    """Return a number or text of NumPy as one of Python."""
    return value.item() if isinstance(value, np.generic) else value
