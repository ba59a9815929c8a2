"""CrystFEL geometries: where the pixels of panels are, and which of them are bad.

Rows of the assembled image grow with the geometry's y, columns with its x: the geometry of a detector without gaps gives
the image back as it is stored. The beam is at its origin. Positions are those of pixel centres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detcore.area.files.geomtext import Panel, parsed, quantity
from detcore.core.hdf5 import fetch, opened
from detcore.core.paths import regular
from detcore.core.source import UnknownFormat
from detcore.image import BITS

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from detcore.area.detector import Detector

HC: Final = 12.398419843320026  # keV angstrom; h c, CODATA 2018 (exact)
MICROMETRES: Final = 1e6
GAP, USER = np.uint32(1 << BITS["gap"]), np.uint32(1 << BITS["user"])


@dataclass(frozen=True)
class Geom:
    """What a ``.geom`` file says.

    Parameters
    ----------
    path
        The file.
    panels, bad
        Rectangles of the data, and regions to leave out.
    values
        Lines that belong to no panel.
    """

    path: str
    panels: tuple[Panel, ...]
    bad: tuple[dict[str, str], ...]
    values: dict[str, str]

    @property
    def energy(self) -> float | None:
        """keV; None if it is in the data."""
        energy, wave = quantity(self.values.get("photon_energy")), quantity(self.values.get("wavelength"))
        if "photon_energy" in self.values and not self.values["photon_energy"].lower().endswith("ev"):
            energy /= 1000  # a plain number is in eV
        energy = energy if math.isfinite(energy) else HC / wave if wave else math.nan
        return float(f"{energy:.12g}") if math.isfinite(energy) else None

    @property
    def distance(self) -> float | None:
        """m, of the middle of the panels; None if it is in the data."""
        mean = float(np.mean([one.clen + one.offset for one in self.panels]))
        return float(f"{mean:.12g}") if math.isfinite(mean) else None

    @property
    def adu_per_photon(self) -> float | None:
        """ADU; None if the file does not say."""
        given = quantity(self.panels[0].values.get("adu_per_photon"))
        each = quantity(self.panels[0].values.get("adu_per_eV")) * (self.energy or math.nan) * 1000
        found = given if math.isfinite(given) else each
        return found if math.isfinite(found) else None

    @property
    def dataset(self) -> str | None:
        """Where the frames are in the data; None if the file does not say."""
        return self.panels[0].values.get("data")

    def modules(self, stored: tuple[int, ...]) -> tuple[int, int, int] | None:
        """Return (module, y, x) if panels of one height fill the frame (y, x) from top to bottom, else None."""
        rows = sorted({one.rows for one in self.panels})
        heights = {high - low + 1 for low, high in rows}
        if len(stored) != 2 or len(rows) < 2 or len(heights) != 1 or any(one.module is not None for one in self.panels):
            return None
        height = heights.pop()
        filled = [low for low, _ in rows] == list(range(0, stored[0], height)) and rows[-1][1] == stored[0] - 1
        return (len(rows), height, stored[1]) if filled else None

    def positions(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Return x, y, z of all pixels, (3, *shape) um; nan for those that belong to no panel.

        Parameters
        ----------
        shape
            Of a frame as the panels count it: (y, x), or (module, y, x).

        Raises
        ------
        UnknownFormat
            A panel lies outside.
        """
        if len(shape) == 3 and all(one.module is None for one in self.panels):  # counted as one tall frame
            return self.positions((shape[0] * shape[1], shape[2])).reshape(3, *shape)
        where = np.full((3, *shape), math.nan)
        for panel in self.panels:
            window = self._window(panel, shape)
            slow = np.arange(panel.rows[1] - panel.rows[0] + 1)[:, None] + 0.5
            fast = np.arange(panel.columns[1] - panel.columns[0] + 1) + 0.5
            scale = MICROMETRES / panel.resolution
            distance = (panel.clen if math.isfinite(panel.clen) else 0.0) + panel.offset
            for axis, start in enumerate((*panel.corner, distance * panel.resolution)):
                where[(axis, *window)] = (start + fast * panel.fast[axis] + slow * panel.slow[axis]) * scale
        return where

    def _window(self, panel: Panel, shape: tuple[int, ...]) -> tuple[Any, ...]:
        lead = (panel.module or 0,) if len(shape) == 3 else ()
        limits = (*lead, panel.rows[1], panel.columns[1])
        if any(last >= size for last, size in zip(limits, shape, strict=True)):
            msg = f"{self.path}: panel {panel.name} ends at {limits}, a frame is {shape}; is it of another detector?"
            raise UnknownFormat(msg)
        return (*lead, slice(panel.rows[0], panel.rows[1] + 1), slice(panel.columns[0], panel.columns[1] + 1))

    def applied(self, detector: Detector, stored: tuple[int, ...], data: str | None = None) -> Detector:
        """Return a detector with the geometry's positions, masks and facts.

        Parameters
        ----------
        detector
            As the file with the frames describes it.
        stored
            Shape of a frame in that file.
        data
            The file with the frames, where masks may be.
        """
        if detector.orientation != 1:
            msg = f"{self.path}: a geometry is of frames as they are stored; found orientation {detector.orientation}"
            raise ValueError(msg)
        if len(stored) == 3 and all(one.module is None for one in self.panels):
            stored = stored[0] * stored[1], stored[2]  # panels are counted in one tall frame
        x, y, z = self.positions(stored)
        pixel = 1 / self.panels[0].resolution
        inside = np.isfinite(x)
        column, row = x / (pixel * MICROMETRES), y / (pixel * MICROMETRES)
        left, top = float(np.nanmin(column)), float(np.nanmin(row))
        mask = (
            np.zeros(stored, np.uint32) if detector.pixel_mask is None else detector.pixel_mask.reshape(stored).copy()
        )
        mask[~inside] |= GAP
        mask |= self._bad(stored, column, row) | self._masked(stored, data)
        limits = [one.saturation for one in self.panels if math.isfinite(one.saturation)]
        shape = detector.shape
        return detector.with_(
            x=np.nan_to_num(x).reshape(shape), y=np.nan_to_num(y).reshape(shape), z=np.nan_to_num(z).reshape(shape),
            ix=np.where(inside, np.rint(np.nan_to_num(column) - left), -1).astype(np.int32).reshape(shape),
            iy=np.where(inside, np.rint(np.nan_to_num(row) - top), -1).astype(np.int32).reshape(shape),
            pixel_mask=mask.reshape(shape), pixel_size=(pixel, pixel), centre=(-left, -top),
            distance=self.distance or detector.distance, energy=self.energy or detector.energy,
            saturation=min(limits) if limits else detector.saturation,
        )  # fmt: skip

    def _bad(self, shape: tuple[int, ...], column: NDArray[Any], row: NDArray[Any]) -> NDArray[np.uint32]:
        """Return the bad regions: in the image (min_x …, pixels from the beam) or in the data (min_fs …, inclusive)."""
        mask = np.zeros(shape, np.uint32)
        for region in self.bad:
            low = {key.removeprefix("min_"): quantity(text) for key, text in region.items() if key.startswith("min_")}
            high = {key.removeprefix("max_"): quantity(text) for key, text in region.items() if key.startswith("max_")}
            names = {"x", "y"} if "x" in low else {"fs", "ss"}
            if set(low) != names or set(high) != names or not all(map(math.isfinite, [*low.values(), *high.values()])):
                msg = f"{self.path}: a bad region needs min and max of x and y, or of fs and ss; found {region}"
                raise UnknownFormat(msg)
            if "x" in low:
                chosen = (column >= low["x"]) & (column <= high["x"]) & (row >= low["y"]) & (row <= high["y"])
            else:
                fast, slow = np.arange(shape[-1]), np.arange(shape[-2])[:, None]
                chosen = np.broadcast_to(
                    (fast >= low["fs"]) & (fast <= high["fs"]) & (slow >= low["ss"]) & (slow <= high["ss"]), shape
                )
                chosen = chosen & self._members(region.get("panel"), shape)
            mask[chosen] |= USER
        return mask

    def _members(self, name: str | None, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Return the pixels of a panel; all without a name."""
        inside = np.full(shape, name is None)
        for panel in self.panels if name is not None else ():
            if panel.name == name:
                inside[self._window(panel, shape)] = True
        if not inside.any():
            msg = f"{self.path}: a bad region is on panel {name!r:.60}, which is not there"
            raise UnknownFormat(msg)
        return inside

    def _masked(self, shape: tuple[int, ...], data: str | None) -> NDArray[np.uint32]:
        """Return what masks in HDF5 files hide, by the bits that the geometry declares to be good or bad."""
        mask = np.zeros(shape, np.uint32)
        values = self.panels[0].values
        keys = [("mask", "mask_good", "mask_bad")]
        keys += [(f"mask{i}_data", f"mask{i}_goodbits", f"mask{i}_badbits") for i in range(8)]
        for prefix, good, bad in keys:
            file = values.get(prefix.replace("_data", "_file")) if prefix != "mask" else values.get("mask_file")
            place = str(Path(self.path).parent / file) if file else data
            if prefix not in values or place is None or (good not in values and bad not in values):
                continue
            with opened(place) as opened_file:
                stored = fetch(place, opened_file, values[prefix], int(np.prod(shape)))
            if stored is None or stored.size != math.prod(shape) or stored.dtype.kind not in "biu":
                msg = f"{place}: no mask {values[prefix]!r:.80} of shape {shape}, which {Path(self.path).name} names"
                raise UnknownFormat(msg)
            wanted, unwanted = (int(values.get(key, "0"), 0) for key in (good, bad))
            bits = stored.astype(np.int64).reshape(shape)
            mask[((bits & wanted) != wanted) | ((bits & unwanted) != 0)] |= USER
        return mask


def read_geom(path: str | os.PathLike[str]) -> Geom:
    """Read a CrystFEL geometry; remembered until the file changes.

    Raises
    ------
    OSError
        The file cannot be read.
    UnknownFormat
        It is no geometry, or has a line that is wrong.
    """
    facts = regular(str(path))
    return _read(str(path), facts.st_ino, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=16)
def _read(path: str, *state: int) -> Geom:
    del state
    panels, bad, values = parsed(path)
    return Geom(path, tuple(panels), tuple(bad), values)
