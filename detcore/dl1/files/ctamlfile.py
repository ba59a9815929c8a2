"""CTA-ML files, which DL1 Data Handler 0.7 and `detcore.dl1.CTAMLDataDumper` write.

Images are in one table for each telescope type, those of an event one after the other; the table of events says in
which rows. Peak positions are samples, not ns. Rotation, area and shape of pixels, and focal lengths, are not in the
files: the first three are derived from the positions, the last from the name of the optics, which stands for it.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd
from typing_extensions import override

from detcore.core.handles import close_all
from detcore.core.source import UnknownFormat
from detcore.dl1.files import containers, ctamltables, hdffile
from detcore.dl1.files.attributes import attribute, texts
from detcore.dl1.files.model import EVENT_UNITS, TELESCOPE_UNITS, Dl1File, Images
from detcore.dl1.images.geometry import Camera, camera_of_positions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    import h5py
    from numpy.typing import NDArray

ARRAY, TYPES, EVENTS = "Array_Information", "Telescope_Type_Information", "Events"
VERSIONS: Final = ("dl1_data_writer_version", "dl1_data_handler_version")
CHARGE, PEAK = ("charge", "image"), ("peakpos", "peak_time", "pulse_time")  # names of 0.7, names of later versions
SUBARRAY_EVENT: Final = 32
MAX_TELESCOPES: Final = 1 << 16
TRUE_COLUMNS: Final = {
    "mc_energy": "true_energy",
    "alt": "true_alt",
    "az": "true_az",
    "core_x": "true_core_x",
    "core_y": "true_core_y",
    "h_first_int": "true_h_first_int",
    "x_max": "true_x_max",
    "shower_primary_id": "true_shower_primary_id",
}
FOCAL_LENGTHS: Final = {name: length for length, name in reversed(containers.OPTICS.items())}


class _Type(NamedTuple):
    """A telescope type: names, and (pixel, 2) positions in m."""

    camera: str
    optics: str
    positions: NDArray[np.float64]


class CtamlFile(Dl1File):
    """A CTA-ML file; see `Dl1File`.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    OSError
        It cannot be opened.
    UnknownFormat
        It is something else.
    """

    time_unit = "sample"

    def __init__(self, path: str) -> None:
        self.path = path
        self._closed = False
        self._state = ""
        self._cameras: dict[str, Camera] = {}
        with self._open() as file:
            missing = [name for name in (EVENTS, TYPES, ARRAY) if hdffile.node(file, name) is None]
            if missing:
                msg = f"{path}: expected the tables of a CTA-ML file; missing: {', '.join(missing)}"
                raise UnknownFormat(msg)
            version = next(filter(None, (attribute(file, name) for name in VERSIONS)), None)
        self.format = f"CTA-ML v{version}" if version else "CTA-ML without a version"
        self._state = self.fingerprint

    def _open(self) -> AbstractContextManager[h5py.File]:
        if self._closed:
            msg = f"{self.path}: the file is closed; open it again"
            raise ValueError(msg)
        if self._state and self.fingerprint != self._state:
            msg = f"{self.path}: was changed or replaced while it was read; open it again"
            raise ValueError(msg)
        return hdffile.opened(self.path)

    @override
    def close(self) -> None:
        self._closed = True
        close_all(self.path)  # HDF5 would keep it locked for those that write

    def _table(self, file: h5py.File, name: str) -> h5py.Dataset:
        found = hdffile.table(file, name)
        if found is None:
            msg = f"{self.path}: the table {name} is missing"
            raise ValueError(msg)
        return found

    @cached_property
    def _types(self) -> dict[str, _Type]:
        names = ["type", "camera", "optics", "num_pixels", "pixel_positions"]
        with self._open() as file:
            found = ctamltables.columns(self._table(file, TYPES), names)
        positions, counts = found["pixel_positions"], found["num_pixels"]
        if positions.ndim != 3 or positions.shape[2] != 2 or counts.ndim != 1 or counts.dtype.kind not in "iu":
            msg = f"{self.path}: {TYPES}: expected positions (pixel, 2), found {positions.shape[1:]} {counts.dtype}"
            raise ValueError(msg)
        if len(counts) and (counts.min() < 1 or counts.max() > positions.shape[1]):
            msg = f"{self.path}: {TYPES}: num_pixels {counts.tolist()[:20]} with room for {positions.shape[1]}"
            raise ValueError(msg)
        kinds, cameras, optics = (self._texts(found[name], TYPES, name) for name in names[:3])
        if len(set(kinds)) != len(kinds):
            msg = f"{self.path}: {TYPES}: a type is there twice: {', '.join(kinds)[:200]}"
            raise ValueError(msg)
        places = [positions[i, :n].astype(np.float64) for i, n in enumerate(counts.tolist())]
        return dict(zip(kinds, map(_Type, cameras, optics, places), strict=True))

    def _texts(self, values: NDArray[Any], table: str, name: str) -> list[str]:
        if values.dtype.kind != "S" or values.ndim != 1:
            msg = f"{self.path}: {table}: expected text in {name}, found {values.dtype}"
            raise ValueError(msg)
        return [one.decode("utf-8", "replace") for one in values.tolist()]

    @cached_property
    def _telescopes(self) -> pd.DataFrame:
        with self._open() as file:
            found = ctamltables.columns(self._table(file, ARRAY), ["id", "type", "x", "y", "z"])
        ids, types = found["id"], self._texts(found["type"], ARRAY, "type")
        if ids.dtype.kind not in "iu" or len(ids) > MAX_TELESCOPES or len(np.unique(ids)) != len(ids):
            msg = f"{self.path}: {ARRAY}: expected a different number for each telescope, found {ids.tolist()[:20]}"
            raise ValueError(msg)
        unknown = sorted(set(types) - set(self._types))
        if unknown:
            msg = f"{self.path}: {ARRAY}: {', '.join(unknown)[:200]} is not in {TYPES} ({', '.join(self._types)[:200]})"
            raise ValueError(msg)
        kinds = [self._types[one] for one in types]
        made = pd.DataFrame(
            {
                "name": [one.optics for one in kinds],
                "type": types,
                "camera": [one.camera for one in kinds],
                "optics": [one.optics for one in kinds],
                **{axis: found[axis].astype(np.float64) for axis in "xyz"},
                "focal_length": [FOCAL_LENGTHS.get(one.optics, np.nan) for one in kinds],
                "n_pixels": [len(one.positions) for one in kinds],
            },
            index=pd.Index(ids.astype(np.int64), name="tel_id"),
        )
        made = made.sort_index()  # columns of indices are in this order
        made.attrs["units"] = dict(TELESCOPE_UNITS)
        return made

    @property
    @override
    def telescopes(self) -> pd.DataFrame:
        return self._telescopes.copy(deep=False)  # what callers do to it is theirs

    @cached_property
    def _type_of(self) -> dict[int, str]:
        """tel_id -> type of the telescope; asked for with every image."""
        table = self._telescopes
        return {
            int(tel_id): str(kind) for tel_id, kind in zip(table.index.to_numpy(np.int64), table["type"], strict=True)
        }

    @cached_property
    def _rows_of(self) -> dict[int, NDArray[np.int64]]:
        """tel_id -> (event,) row of its image in the table of its type; 0 where it has none."""
        made: dict[int, NDArray[np.int64]] = {}
        with self._open() as file:
            events = self._table(file, EVENTS)
            groups = self.telescopes.groupby("type", sort=False)
            found = ctamltables.columns(events, [f"{kind}_indices" for kind in groups.groups])
            for kind, members in groups:
                rows = found[f"{kind}_indices"]
                rows = rows[:, None] if rows.ndim == 1 else rows
                if rows.ndim != 2 or rows.shape[1] != len(members) or rows.dtype.kind not in "iu":
                    msg = f"{self.path}: {EVENTS}: expected {len(members)} numbers in {kind}_indices, found {rows.shape[1:]}"
                    raise ValueError(msg)
                images = hdffile.table(file, str(kind))
                n = len(images) if images is not None else 1
                if rows.size and (rows.max() >= max(n, 1) or rows.min() < 0):
                    msg = f"{self.path}: {EVENTS}: {kind}_indices up to {rows.max()}, but table {kind} has {n} rows"
                    raise ValueError(msg)
                for k, tel_id in enumerate(members.index):
                    made[int(tel_id)] = rows[:, k].astype(np.int64)
        return made

    @cached_property
    def _taken(self) -> dict[int, NDArray[np.int64]]:
        """tel_id -> (image,) events of which it has images, increasing."""
        return {tel_id: np.flatnonzero(rows) for tel_id, rows in self._rows_of.items()}

    @cached_property
    def _events(self) -> pd.DataFrame:
        with self._open() as file:
            table = self._table(file, EVENTS)
            truth = [name for name in TRUE_COLUMNS if name in table.dtype.names]
            found = ctamltables.columns(table, ["obs_id", "event_id", *truth])
        wrong = [name for name, values in found.items() if values.ndim != 1 or values.dtype.kind not in "iuf"]
        if wrong:
            msg = f"{self.path}: {EVENTS}: expected one number in each row of {', '.join(wrong)}"
            raise ValueError(msg)
        n = len(found["obs_id"])
        data: dict[str, Any] = {name: found[name].astype(np.int64) for name in ("obs_id", "event_id")}
        data |= {"event_type": np.full(n, SUBARRAY_EVENT), "time": np.full(n, np.nan)}
        tel_ids = np.array(sorted(self._rows_of), np.int64)
        seen = np.array([self._rows_of[tel_id] > 0 for tel_id in tel_ids.tolist()]).reshape(len(tel_ids), n).T
        data["multiplicity"] = seen.sum(axis=1)
        data["tels_with_trigger"] = [tuple(tel_ids[row].tolist()) for row in seen]
        for name in truth:
            values = found[name]
            new = TRUE_COLUMNS[name]
            if name == "shower_primary_id":
                data[new] = values.astype(np.int64)
            else:
                data[new] = (
                    np.degrees(values.astype(np.float64)) if name in {"alt", "az"} else values.astype(np.float64)
                )
        made = pd.DataFrame(data)
        made.attrs["units"] = {name: unit for name, unit in EVENT_UNITS.items() if name in made}
        return made

    @property
    @override
    def events(self) -> pd.DataFrame:
        return self._events.copy(deep=False)

    @cached_property
    def _header(self) -> dict[str, tuple[Any, str]]:
        made: dict[str, tuple[Any, str]] = {}
        with self._open() as file:
            for name, unit in containers.HEADER.items():
                value: Any = attribute(file, name)
                if value is None and name == "run_array_direction":
                    value = _pair(file, name)
                if value is not None:
                    made[name] = (value, unit)
        return made

    @property
    @override
    def header(self) -> Mapping[str, tuple[Any, str]]:
        return self._header

    @cached_property
    def _metadata(self) -> dict[str, str]:
        with self._open() as file:
            known = texts(file)
            inputs = ctamltables.pickled_texts(file, "runlist")
        return known | ({"runlist": ", ".join(inputs)} if inputs else {})

    @property
    @override
    def metadata(self) -> Mapping[str, str]:
        return self._metadata

    def _check(self, tel_id: int) -> None:
        if tel_id not in self._type_of:
            known = ", ".join(map(str, list(self._type_of)[:20]))
            msg = f"{self.path}: no telescope {tel_id}; there are {known}{' ...' if len(self._type_of) > 20 else ''}"
            raise KeyError(msg)

    @override
    def camera(self, tel_id: int) -> Camera:
        self._check(tel_id)
        kind = self._type_of[int(tel_id)]
        if kind not in self._cameras:
            one = self._types[kind]
            focal_length = FOCAL_LENGTHS.get(one.optics, float("nan"))
            try:
                made = camera_of_positions(one.camera, one.positions[:, 0], one.positions[:, 1], focal_length)
            except ValueError as error:
                msg = f"{self.path}: {TYPES}: {error}"
                raise ValueError(msg) from error
            self._cameras[kind] = made
        return self._cameras[kind]

    @override
    def n_images(self, tel_id: int) -> int:
        self._check(tel_id)
        return len(self._taken[int(tel_id)])

    @override
    def keys(self, tel_id: int) -> pd.DataFrame:
        self._check(tel_id)
        return self.events[["obs_id", "event_id"]].iloc[self._taken[int(tel_id)]].reset_index(drop=True)

    @override
    def chunk_rows(self, tel_id: int) -> int:
        """Return how many of a telescope's images are in a chunk of the table that it shares with others, on average."""
        n = self.n_images(tel_id)
        if not n:
            return 1
        with self._open() as file:
            table = self._table(file, self._type_of[int(tel_id)])
            return max(hdffile.chunk_rows(table) * n // len(table), 1)

    @override
    def parameters(self, tel_id: int) -> pd.DataFrame | None:
        self._check(tel_id)
        return None

    @override
    def _read(self, tel_id: int, start: int, stop: int) -> Images:
        return self._images(int(tel_id), np.arange(start, stop), remembered=False)

    @override
    def _take(self, tel_id: int, indices: NDArray[np.int64]) -> Images:
        return self._images(int(tel_id), indices, remembered=True)

    def _images(self, tel_id: int, indices: NDArray[np.int64], *, remembered: bool) -> Images:
        kind = self._type_of[tel_id]
        n = len(self._types[kind].positions)
        events = self._taken[tel_id][indices]
        if not len(events):
            return Images.none(n)
        rows = self._rows_of[tel_id][events]
        keys = {name: self.events[name].to_numpy()[events] for name in ("obs_id", "event_id")}
        image = np.empty((len(rows), n), np.float32)
        with self._open() as file:
            table = self._table(file, kind)
            charge, peak = self._columns(table, n)
            times = np.empty_like(image) if peak else None
            if remembered:
                blocks: Any = [(slice(None), ctamltables.picked(table, rows, self._state))]
            else:
                blocks = ctamltables.streamed(table, rows)
            for places, block in blocks:
                owner = block["event_index"]
                if (owner != events[places]).any():
                    msg = (
                        f"{self.path}: {kind}: images of telescope {tel_id} belong to other events; the file is damaged"
                    )
                    raise ValueError(msg)
                image[places] = block[charge]
                if times is not None:
                    times[places] = block[peak]
        return Images(**keys, row=indices.astype(np.int64), image=image, peak_time=times)

    def _columns(self, table: h5py.Dataset, n: int) -> tuple[str, str | None]:
        """Return the names of the columns with charges and times, which are as the camera needs them."""
        known = table.dtype.names
        charge = next((name for name in CHARGE if name in known), None)
        peak = next((name for name in PEAK if name in known), None)
        if charge is None or "event_index" not in known or table.dtype["event_index"].shape:
            msg = f"{self.path}: {table.name}: expected columns {CHARGE[0]} and event_index, found {', '.join(known)[:200]}"
            raise ValueError(msg)
        for name in filter(None, (charge, peak)):
            column = table.dtype[name]
            if column.shape != (n,) or column.base.kind not in "iuf":
                msg = f"{self.path}: {table.name}: expected {n} numbers in {name}, as the camera has; found {column}"
                raise ValueError(msg)
        return charge, peak


def _pair(file: h5py.File, name: str) -> list[float] | None:
    """Return an attribute of two numbers."""
    try:
        found = file.attrs.get_id(name)
        if found.shape != (2,) or found.dtype.kind not in "iuf":
            return None
        return [float(one) for one in file.attrs[name]]
    except (OSError, KeyError, TypeError, ValueError, RuntimeError):
        return None
