"""DL1 files of ctapipe: the HDF5 data model, versions 4 to 7."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np
import pandas as pd
from typing_extensions import override

from detcore.core.handles import close_all
from detcore.core.source import UnknownFormat
from detcore.dl1.files import ctapipeevents, ctapipesetup, hdffile
from detcore.dl1.files.attributes import attribute, columns_of, texts
from detcore.dl1.files.model import Dl1File, Images

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from detcore.dl1.files.attributes import Column
    from detcore.dl1.images.geometry import Camera

log = logging.getLogger(__name__)

VERSION: Final = "CTA PRODUCT DATA MODEL VERSION"
OLDEST, NEWEST = 4, 7  # of the data model
EVENTS: Final = "dl1/event"
IMAGES: Final = "dl1/event/telescope/images"
PARAMETERS: Final = "dl1/event/telescope/parameters"
TRUE_IMAGES: Final = "simulation/event/telescope/images"
KEYS: Final = ("obs_id", "event_id")
NO_TRUTH: Final = -1  # true charge of pixels of which the file has no truth


def recognise(file: h5py.File) -> str | None:
    """Return which format of ctapipe a file has, or None if it is none of them."""
    if isinstance(hdffile.node(file, EVENTS), h5py.Group) and hdffile.node(file, ctapipesetup.LAYOUT) is not None:
        return f"ctapipe {attribute(file, VERSION) or 'without a version'}"
    return None


@dataclass(frozen=True)
class _Place:
    """Where the images of a telescope are.

    Parameters
    ----------
    child
        Name of the table.
    rows
        Of the table, increasing; None: all of them.
    count
        How many there are.
    chunk
        Rows in a chunk of the table.
    """

    child: str
    rows: NDArray[np.int64] | None
    count: int
    chunk: int


class CtapipeFile(Dl1File):
    """A DL1 file of ctapipe; see `Dl1File`. Of two gain channels the first is read, which is the high gain.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    OSError
        It cannot be opened.
    UnknownFormat
        It is something else, or of a data model before v4.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._closed = False
        self._state = ""
        self._facts: dict[str, dict[str, Column]] = {}
        self._keys_of: dict[str, pd.DataFrame] = {}
        self._truth_of: dict[str, NDArray[np.int64]] = {}
        with self._open() as file:
            if recognise(file) is None:
                msg = f"{path}: expected the groups {EVENTS} and {ctapipesetup.LAYOUT} of a ctapipe DL1 file"
                raise UnknownFormat(msg)
            version = str(attribute(file, VERSION) or "")
        self.format = f"ctapipe {version or 'without a version'}"
        major = re.match(r"v?(\d{1,6})\b", version)
        if major and int(major[1]) < OLDEST:
            msg = f"{path}: data model {version}; v{OLDEST} to v{NEWEST} are read. Write it again with a newer ctapipe"
            raise UnknownFormat(msg)
        if major is None or int(major[1]) > NEWEST:
            log.warning("%s: data model %r is read as if it were v%d", path, version, NEWEST)
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

    @cached_property
    def _setup(self) -> ctapipesetup.Setup:
        with self._open() as file:
            return ctapipesetup.read(file)

    @property
    @override
    def telescopes(self) -> pd.DataFrame:
        return self._setup.telescopes.copy(deep=False)  # what callers do to it is theirs

    @cached_property
    def _events(self) -> pd.DataFrame:
        with self._open() as file:
            return ctapipeevents.events(file, np.array(list(self._setup.cameras), np.int64))

    @property
    @override
    def events(self) -> pd.DataFrame:
        return self._events.copy(deep=False)

    @cached_property
    def _header(self) -> dict[str, tuple[Any, str]]:
        with self._open() as file:
            return ctapipeevents.header(file)

    @property
    @override
    def header(self) -> Mapping[str, tuple[Any, str]]:
        return self._header

    @cached_property
    def _metadata(self) -> dict[str, str]:
        with self._open() as file:
            return texts(file)

    @property
    @override
    def metadata(self) -> Mapping[str, str]:
        return self._metadata

    @override
    def camera(self, tel_id: int) -> Camera:
        self._check(tel_id)
        return self._setup.camera(int(tel_id))

    def _check(self, tel_id: int) -> None:
        if tel_id not in self._setup.cameras:
            there = list(self._setup.cameras)
            known = ", ".join(map(str, there[:20])) + (" ..." if len(there) > 20 else "")
            msg = f"{self.path}: no telescope {tel_id}; there are {known}"
            raise KeyError(msg)

    @cached_property
    def _places(self) -> dict[int, _Place | ValueError]:
        """tel_id -> where its images are, or why they cannot be read."""
        found: dict[int, _Place | ValueError] = {}
        known = self._setup.cameras
        with self._open() as file:
            for child in hdffile.children(file, IMAGES):
                number = _tel_id(child)
                try:
                    table = hdffile.table(file, f"{IMAGES}/{child}")
                    if table is None or "image" not in table.dtype.names:
                        continue
                    missing = [key for key in KEYS if key not in table.dtype.names]
                    if missing:
                        msg = (
                            f"{self.path}: {IMAGES}/{child}: expected {', '.join(KEYS)}; missing: {', '.join(missing)}"
                        )
                        raise ValueError(msg)  # noqa: TRY301 - told when it is asked for
                    chunk = hdffile.chunk_rows(table)
                    if number is not None:
                        found[number] = _Place(child, None, len(table), chunk)
                        continue
                    # one table for each type of telescope
                    keys = self._index(file, child)
                    each = keys["tel_id"].to_numpy(np.int64)
                    for tel_id in np.unique(each).tolist():
                        rows = np.flatnonzero(each == tel_id)
                        found[tel_id] = _Place(child, rows, len(rows), chunk)
                except (ValueError, OSError) as error:
                    if number is None:
                        raise
                    found[number] = ValueError(str(error))
        return {tel_id: place for tel_id, place in found.items() if tel_id in known}

    def _place(self, tel_id: int) -> _Place | None:
        self._check(tel_id)
        found = self._places.get(int(tel_id))
        if isinstance(found, ValueError):
            raise found
        return found

    @override
    def n_images(self, tel_id: int) -> int:
        place = self._place(tel_id)
        return place.count if place else 0

    @override
    def chunk_rows(self, tel_id: int) -> int:
        place = self._place(tel_id)
        return place.chunk if place else 1

    @override
    def keys(self, tel_id: int) -> pd.DataFrame:
        place = self._place(tel_id)
        if place is None:
            return pd.DataFrame({key: np.zeros(0, np.int64) for key in KEYS})
        if place.child not in self._keys_of:
            with self._open() as file:
                self._keys_of[place.child] = self._index(file, place.child)
        found = self._keys_of[place.child][list(KEYS)]
        return found.copy() if place.rows is None else found.iloc[place.rows].reset_index(drop=True)

    def _index(self, file: h5py.File, child: str) -> pd.DataFrame:
        """Return obs_id, event_id and, if it is there, tel_id of a table of images.

        The parameters of the same images have small rows, from which they are read in a hundredth of the time; if the
        two tables differ, or there are no parameters, all images are decoded for it.
        """
        names = (IMAGES, PARAMETERS)
        images, small = (hdffile.table(file, f"{name}/{child}") for name in names)
        assert images is not None
        alike = small is not None and len(small) == len(images) and hdffile.alike(images, small, KEYS)
        place = f"{PARAMETERS if alike else IMAGES}/{child}"
        needed = KEYS if _tel_id(child) is not None else (*KEYS, "tel_id")
        found = hdffile.columns(file, place, needed)
        return pd.DataFrame({key: hdffile.integers(found, key, f"{self.path}: {place}") for key in needed})

    @override
    def parameters(self, tel_id: int) -> pd.DataFrame | None:
        self._check(tel_id)
        with self._open() as file:
            known = hdffile.children(file, PARAMETERS)
            own = [child for child in known if _tel_id(child) == tel_id]
            for child in own or [child for child in known if _tel_id(child) is None]:
                needed = KEYS if own else (*KEYS, "tel_id")
                found = hdffile.columns(file, f"{PARAMETERS}/{child}", needed, None)
                chosen = slice(None) if own else found.values["tel_id"] == tel_id
                table = pd.DataFrame({name: values[chosen] for name, values in found.values.items()})
                if own or len(table):
                    table.attrs["units"] = {name: fact.unit for name, fact in found.facts.items() if fact.unit}
                    return table
        return None

    @override
    def _read(self, tel_id: int, start: int, stop: int) -> Images:
        place = self._place(tel_id)
        if place is None:
            return Images.none(self.camera(tel_id).n_pixels)
        rows = np.arange(start, stop)
        where = rows if place.rows is None else place.rows[rows]
        with self._open() as file:
            table = self._images(file, place.child)
            parts = [
                self._decoded(file, tel_id, place, rows[part], block, remembered=False)
                for part, block in hdffile.runs(table, where)
            ]
            if not parts:
                block = np.zeros(0, table.dtype.newbyteorder("="))
                parts = [self._decoded(file, tel_id, place, rows, block, remembered=False)]
        return Images.joined(parts)

    @override
    def _take(self, tel_id: int, indices: NDArray[np.int64]) -> Images:
        place = self._place(tel_id)
        if place is None:
            return Images.none(self.camera(tel_id).n_pixels)
        where = indices if place.rows is None else place.rows[indices]
        with self._open() as file:
            block = hdffile.picked(self._images(file, place.child), where, self._state)
            return self._decoded(file, tel_id, place, indices, block, remembered=True)

    def _images(self, file: h5py.File, child: str) -> h5py.Dataset:
        found = hdffile.table(file, f"{IMAGES}/{child}")
        assert found is not None  # the file is the same as when it was looked for
        return found

    def _picked(self, table: h5py.Dataset, rows: NDArray[np.int64], remembered: bool) -> NDArray[Any]:
        return hdffile.picked(table, rows, self._state) if remembered else hdffile.increasing(table, rows)

    def _decoded(
        self,
        file: h5py.File,
        tel_id: int,
        place: _Place,
        rows: NDArray[np.int64],
        block: NDArray[Any],
        *,
        remembered: bool,
    ) -> Images:
        """Return rows of a table as images."""
        if place.child not in self._facts:
            self._facts[place.child] = columns_of(self._images(file, place.child))
        facts = self._facts[place.child]
        where = f"{self.path}: {IMAGES}/{place.child}"
        n = self.camera(tel_id).n_pixels
        values: dict[str, Any] = {}
        for name in ("image", "peak_time", "image_mask"):
            if name not in facts:
                continue
            stored = block[name]
            if stored.ndim not in {2, 3} or stored.shape[-1] != n or (stored.ndim == 3 and not stored.shape[1]):
                msg = f"{where}: expected {n} pixels in {name}, as the camera has; found shape {stored.shape[1:]}"
                raise ValueError(msg)
            if stored.dtype.kind not in "biuf":
                msg = f"{where}: expected numbers in {name}, found {stored.dtype}"
                raise ValueError(msg)
            decoded = facts[name].decode(stored if stored.ndim == 2 else stored[:, 0])
            values[name] = decoded != 0 if name == "image_mask" else np.ascontiguousarray(decoded, np.float32)
        keys = {key: block[key].astype(np.int64) for key in KEYS}
        true = self._true(file, place, n, rows, keys, remembered) if self.with_truth else None
        return Images(
            **keys,
            row=rows.astype(np.int64),
            image=values["image"],
            peak_time=values.get("peak_time"),
            image_mask=values.get("image_mask"),
            true_image=true,
        )

    def _true(
        self,
        file: h5py.File,
        place: _Place,
        n: int,
        rows: NDArray[np.int64],
        keys: dict[str, NDArray[np.int64]],
        remembered: bool,
    ) -> NDArray[np.int32] | None:
        """Return the true images of rows that were read, or None if the file has none of this telescope."""
        table = hdffile.table(file, f"{TRUE_IMAGES}/{place.child}")
        if table is None or "true_image" not in table.dtype.names:
            return None
        stored = table.dtype["true_image"]
        if stored.shape != (n,) or stored.base.kind not in "iu":
            msg = f"{self.path}: {table.name}: expected {n} integers in true_image, found {stored}"
            raise ValueError(msg)
        where = rows if place.rows is None else place.rows[rows]
        same = place.child not in self._truth_of and len(table) == len(self._images(file, place.child))
        if same:
            found = self._picked(table, where, remembered)
            if all(np.array_equal(found[key], keys[key]) for key in KEYS):
                return np.ascontiguousarray(found["true_image"], np.int32)
        # as a rule the rows of both tables are the same; these are not
        there = self._true_rows(file, place)[where]
        answer = np.full((len(rows), n), NO_TRUTH, np.int32)
        has = there >= 0
        if has.any():
            answer[has] = hdffile.picked(table, there[has], self._state)["true_image"]
        return answer

    def _true_rows(self, file: h5py.File, place: _Place) -> NDArray[np.int64]:
        """Return the row of the true image for each row of a table of images; -1 where there is none."""
        if place.child not in self._truth_of:
            by_type = _tel_id(place.child) is None
            names = [*KEYS, "tel_id"] if by_type else list(KEYS)
            parts = []
            for group in (IMAGES, TRUE_IMAGES):
                found = hdffile.columns(file, f"{group}/{place.child}", names)
                parts.append(
                    pd.DataFrame({name: hdffile.integers(found, name, f"{self.path}: {group}") for name in names})
                )
            mine, true = parts
            true["_row"] = np.arange(len(true))
            joined = mine.merge(true.drop_duplicates(names), on=names, how="left")
            self._truth_of[place.child] = joined["_row"].fillna(-1).to_numpy(np.int64)
        return self._truth_of[place.child]


def _tel_id(child: str) -> int | None:
    """Return the telescope of a table that is named for one."""
    found = re.fullmatch(r"tel_(\d{1,9})", child)
    return int(found[1]) if found else None
