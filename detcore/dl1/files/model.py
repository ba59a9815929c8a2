"""What a DL1 file is, whatever format it has: telescopes, events, cameras, and images in batches."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from detcore.core.handles import close_all
from detcore.core.schema import EVENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Self

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from detcore.dl1.images.geometry import Camera

PIXEL: Final = "pixel"
CHUNK_BYTES: Final = 3 << 20  # of decoded rows in one step of `images`
TELESCOPE_UNITS: Final = {"x": "m", "y": "m", "z": "m", "focal_length": "m"}
EVENT_UNITS: Final = {
    "true_energy": "TeV",
    "true_alt": "deg",
    "true_az": "deg",
    "true_core_x": "m",
    "true_core_y": "m",
    "true_h_first_int": "m",
    "true_x_max": "g/cm2",
}
NO_PRIMARY: Final = -9999  # of events without a simulated shower, calibration for instance
TRUTH: Final = (*EVENT_UNITS, "true_shower_primary_id")
# codes of the CTA event data model (R1, version 1)
EVENT_TYPES: Final = {
    0: "flat field",
    1: "single p.e.",
    2: "sky pedestal",
    3: "dark pedestal",
    4: "electronic pedestal",
    15: "other calibration",
    16: "muon",
    17: "hardware stereo",
    24: "DAQ",
    32: "subarray",
    255: "unknown",
}
# codes of CORSIKA as sim_telarray keeps them: 100 A + Z for nuclei
PARTICLES: Final = {
    0: "gamma",
    1: "electron",
    2: "mu-",
    -1: "positron",
    -2: "mu+",
    101: "proton",
    402: "helium",
    1407: "nitrogen",
    2814: "silicon",
    5626: "iron",
}


@dataclass(frozen=True)
class Images:
    """Images of one telescope as arrays, before they are labelled.

    Parameters
    ----------
    obs_id, event_id
        (event,) int64.
    row
        (event,) int64, in the file's own order of this telescope's images.
    image
        (event, pixel) float32, p.e.
    peak_time
        (event, pixel) float32, or None.
    image_mask
        (event, pixel) bool: True for pixels that survived the file's own cleaning; or None.
    true_image
        (event, pixel) int32, p.e. of Cherenkov light; or None.
    """

    obs_id: NDArray[np.int64]
    event_id: NDArray[np.int64]
    row: NDArray[np.int64]
    image: NDArray[np.float32]
    peak_time: NDArray[np.float32] | None = None
    image_mask: NDArray[np.bool_] | None = None
    true_image: NDArray[np.int32] | None = None

    @classmethod
    def none(cls, n_pixels: int) -> Self:
        """Return no image of so many pixels."""
        empty = np.zeros(0, np.int64)
        image = np.zeros((0, n_pixels), np.float32)
        return cls(empty, empty, empty, image, image.copy())

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return images one after the other; all have the same arrays, and there is at least one part."""
        if len(parts) == 1:
            return parts[0]
        found: dict[str, Any] = {}
        for field in fields(cls):
            each = [getattr(part, field.name) for part in parts]
            found[field.name] = None if each[0] is None else np.concatenate(each)
        return cls(**found)

    def dataset(self, *, camera: Camera, tel_id: int, file: str, time_unit: str = "ns") -> xr.Dataset:
        """Return them with labels and units, without index coordinates."""
        return xr.Dataset(
            self.variables(np.full(len(self.row), tel_id, np.int64), time_unit), attrs={"camera": camera, "file": file}
        )

    def variables(self, tel_id: NDArray[np.int64], time_unit: str = "ns") -> dict[str, Any]:
        """Return them as name -> (dimensions, values, attributes), with the telescope of each."""
        both = (EVENT, PIXEL)
        data: dict[str, Any] = {
            "obs_id": (EVENT, self.obs_id),
            "event_id": (EVENT, self.event_id),
            "tel_id": (EVENT, tel_id),
            "row": (EVENT, self.row),
            "image": (both, self.image, {"units": "p.e."}),
        }
        if self.peak_time is not None:
            data["peak_time"] = (both, self.peak_time, {"units": time_unit})
        if self.image_mask is not None:
            data["image_mask"] = (both, self.image_mask)
        if self.true_image is not None:
            data["true_image"] = (both, self.true_image, {"units": "p.e."})
        return data


class Dl1File(ABC):
    """An open DL1 file, read from any thread. A context manager; get one from `detcore.dl1.open`.

    Attributes
    ----------
    path
        The file.
    format
        For instance "ctapipe v7.1.0" or "CTA-ML v0.7.2".
    time_unit
        Of ``peak_time``: "ns", or "sample" in CTA-ML files.
    """

    path: str
    format: str
    time_unit: str = "ns"
    with_truth: bool = True
    """Set it to False and images come without ``true_image``, which is a third of the work."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        close_all(self.path)  # HDF5 would keep it locked for those that write

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path!r}, {self.format}>"

    def close(self) -> None:  # noqa: B027 - nothing to do where files are leased
        """Free what is remembered of the file."""

    @property
    @abstractmethod
    def telescopes(self) -> pd.DataFrame:
        """Telescopes by tel_id: name, type ("LST_LSTCam"), camera, optics, x, y, z, focal_length, n_pixels.

        Units in ``attrs["units"]``; x to north, y to west, z up.
        """

    @property
    @abstractmethod
    def events(self) -> pd.DataFrame:
        """Events in the order of the file; units in ``attrs["units"]``.

        obs_id, event_id, event_type (see `EVENT_TYPES`), time (text, ISO 8601 in TAI; nan if unknown), multiplicity and
        tels_with_trigger (tuple of tel_id); of simulations also true_energy, true_alt, true_az, true_core_x, true_core_y,
        true_h_first_int, true_x_max and true_shower_primary_id (see `PARTICLES`), nan or `NO_PRIMARY` where there is none.
        """

    @property
    @abstractmethod
    def header(self) -> Mapping[str, tuple[Any, str]]:
        """What was simulated, as name -> (value, unit); empty for observations. Of several runs, the first."""

    @property
    @abstractmethod
    def metadata(self) -> Mapping[str, str]:
        """What the file says of itself, as plain text."""

    @abstractmethod
    def camera(self, tel_id: int) -> Camera:
        """Return the camera of a telescope; equal cameras are the same object.

        Raises
        ------
        KeyError
            There is no such telescope.
        """

    @abstractmethod
    def n_images(self, tel_id: int) -> int:
        """Return how many images a telescope has in the file; 0 for one without any.

        Raises
        ------
        KeyError
            There is no such telescope.
        """

    @abstractmethod
    def keys(self, tel_id: int) -> pd.DataFrame:
        """Return obs_id and event_id, int64, of a telescope's images in the order of its rows."""

    @abstractmethod
    def chunk_rows(self, tel_id: int) -> int:
        """Return how many images the file keeps in one of its chunks (at least 1)."""

    @abstractmethod
    def parameters(self, tel_id: int) -> pd.DataFrame | None:
        """Return the image parameters that the file holds for a telescope; None if it holds none.

        With obs_id and event_id, the file's own names, and units in ``attrs["units"]``.
        """

    @abstractmethod
    def _read(self, tel_id: int, start: int, stop: int) -> Images:
        """Read rows one after the other; ``0 <= start <= stop <= n_images``. Remembers nothing."""

    @abstractmethod
    def _take(self, tel_id: int, indices: NDArray[np.int64]) -> Images:
        """Read rows in any order, all in range, by way of remembered chunks (see `detcore.dl1.files.lru`)."""

    def rows(
        self, tel_id: int, start: int = 0, stop: int | None = None, *, indices: ArrayLike | None = None
    ) -> xr.Dataset:
        """Return images of a telescope.

        Parameters
        ----------
        tel_id
            The telescope.
        start, stop
            Rows, as in a slice without negative numbers; None: to the end.
        indices
            Numbers of rows instead, in any order; decoded chunks are remembered.

        Returns
        -------
        Dataset
            image (event, pixel) float32, p.e.; peak_time (event, pixel) float32, ns or samples; image_mask bool and
            true_image int32 if the file has them; obs_id, event_id, tel_id, row (event,) int64. Its ``attrs`` are the
            `Camera` as camera, and the path as file.

        Raises
        ------
        KeyError
            There is no such telescope.
        IndexError
            There are not so many rows.
        OSError, ValueError
            The file cannot be read, or is damaged.
        """
        n = self.n_images(tel_id)
        if indices is not None:
            chosen = np.atleast_1d(np.asarray(indices))
            if chosen.size and (chosen.ndim != 1 or chosen.dtype.kind not in "iu"):
                msg = f"rows of telescope {tel_id}: expected numbers, found {chosen.dtype} of shape {chosen.shape}"
                raise IndexError(msg)
            if chosen.size and (chosen.min() < 0 or chosen.max() >= n):
                msg = f"{self.path}: telescope {tel_id} has {n} images; asked for rows {chosen.min()} to {chosen.max()}"
                raise IndexError(msg)
            found = self._take(tel_id, chosen.astype(np.int64))
        else:
            end = n if stop is None else stop
            if not 0 <= start <= end <= n:
                msg = f"{self.path}: telescope {tel_id} has {n} images; asked for rows {start} to {end}"
                raise IndexError(msg)
            if 0 < end - start < self.chunk_rows(tel_id):  # less than what must be decoded for it
                found = self._take(tel_id, np.arange(start, end))
            else:
                found = self._read(tel_id, start, end)
        return self._labelled(tel_id, found)

    def image_at(self, tel_id: int, row: int) -> Images:
        """Return one image as arrays, in less time than `rows` needs for the labels.

        Raises
        ------
        KeyError, IndexError, OSError, ValueError
            As of `rows`.
        """
        n = self.n_images(tel_id)
        if not 0 <= row < n:
            msg = f"{self.path}: telescope {tel_id} has {n} images; asked for row {row}"
            raise IndexError(msg)
        return self._take(tel_id, np.array([row], np.int64))

    def _labelled(self, tel_id: int, found: Images) -> xr.Dataset:
        return found.dataset(camera=self.camera(tel_id), tel_id=tel_id, file=self.path, time_unit=self.time_unit)

    def images(self, tel_id: int, chunk: int | None = None) -> Iterator[xr.Dataset]:
        """Yield all images of a telescope as Datasets; see `rows`.

        Parameters
        ----------
        tel_id
            The telescope.
        chunk
            How many at once; None: whole chunks of the file, about 3 MB.

        Raises
        ------
        ValueError
            `chunk` is less than one.
        """
        if chunk is not None and chunk < 1:
            msg = f"chunk: expected at least one image, found {chunk}"
            raise ValueError(msg)
        n = self.n_images(tel_id)
        for start, stop in self.pieces(tel_id) if chunk is None else _steps(n, chunk):
            yield self.rows(tel_id, start, stop)

    def pieces(self, tel_id: int, wished: int | None = None) -> Sequence[tuple[int, int]]:
        """Return first and last + 1 of the rows of pieces that are whole chunks of the file, `wished` rows or more."""
        stored = max(self.chunk_rows(tel_id), 1)
        wished = CHUNK_BYTES // (9 * self.camera(tel_id).n_pixels) if wished is None else wished
        return _steps(self.n_images(tel_id), max(-(-wished // stored), 1) * stored)

    def image_of(self, tel_id: int, obs_id: int, event_id: int) -> xr.Dataset:
        """Return the image that a telescope took of an event; see `rows`.

        Raises
        ------
        KeyError
            It took none.
        ValueError
            The tables of the file disagree about which it is.
        """
        keys = self.keys(tel_id)
        found = np.flatnonzero((keys["obs_id"] == obs_id) & (keys["event_id"] == event_id))
        if not len(found):
            msg = f"{self.path}: telescope {tel_id} has no image of event {event_id} of run {obs_id}"
            raise KeyError(msg)
        data = self.rows(tel_id, indices=found[:1])
        if (int(data["obs_id"][0]), int(data["event_id"][0])) != (obs_id, event_id):
            msg = (
                f"{self.path}: image {found[0]} of telescope {tel_id} should be of event {event_id} of run {obs_id}, but it "
                f"is of event {int(data['event_id'][0])} of run {int(data['obs_id'][0])}; the tables of the file disagree"
            )
            raise ValueError(msg)
        return data

    @property
    def fingerprint(self) -> str:
        """Changes when the file does."""
        facts = os.stat(self.path)  # noqa: PTH116
        return f"{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}"


def _steps(n: int, step: int) -> list[tuple[int, int]]:
    return [(start, min(start + step, n)) for start in range(0, n, step)]
