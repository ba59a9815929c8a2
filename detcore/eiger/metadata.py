"""What a file says about the exposure: plain values, wherever a firmware or a facility has put them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.core.hdf5 import attribute, fetch, opened, walk_to
from detcore.eiger.frametable import MAX_PIXELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLANCK_C = 12398.419843320026  # eV angstrom; h c, CODATA 2018 (exact)
MAX_TEXT = 1000
MAX_TIMES = 50_000_000
_DETECTOR = "/entry/instrument/detector"
_SPECIFIC = f"{_DETECTOR}/detectorSpecific"
_CHANNELS = ("threshold_1_channel", "threshold_2_channel", "difference_channel")
# factor to the unit that is ours: s, m, eV, angstrom
_UNITS = {
    "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9,
    "m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6,
    "ev": 1.0, "kev": 1e3, "angstrom": 1.0, "a": 1.0, "nm": 10.0,
}  # fmt: skip
_PLACES: dict[str, tuple[str, ...]] = {
    "frame_time": (f"{_DETECTOR}/frame_time", f"{_SPECIFIC}/frame_time"),
    "count_time": (f"{_DETECTOR}/count_time", f"{_SPECIFIC}/count_time"),
    "bit_depth": (f"{_DETECTOR}/bit_depth_image", f"{_SPECIFIC}/bit_depth_image"),
    "photon_energy": (
        f"{_SPECIFIC}/photon_energy",
        f"{_DETECTOR}/photon_energy",
        "/entry/instrument/beam/incident_energy",
    ),
    "wavelength": (
        "/entry/instrument/beam/incident_wavelength",
        "/entry/sample/beam/incident_wavelength",
        "/entry/instrument/monochromator/wavelength",
    ),
    "detector_distance": (f"{_DETECTOR}/detector_distance", f"{_DETECTOR}/distance"),
}
_TEXTS = {
    "description": (f"{_DETECTOR}/description", f"{_DETECTOR}/detector_number"),
    "start_date": (f"{_SPECIFIC}/data_collection_date", "/entry/start_time"),
}
NAMES = (
    *_PLACES,
    *_TEXTS,
    "saturation_value",
    "pixel_size",
    "beam_center",
    "n_expected",
    "pixel_mask_applied",
    "master",
)


def read_metadata(path: str, channel: int = 0) -> tuple[dict[str, Any], NDArray[np.uint32] | None]:
    """Return what a master or data file says; what it does not say is None.

    Parameters
    ----------
    path
        The file.
    channel
        Of a detector with several thresholds: whose mask is meant.

    Returns
    -------
    dict
        frame_time, count_time (s), bit_depth, saturation_value (counts), photon_energy (eV), wavelength (angstrom),
        detector_distance (m), pixel_size (x, y; m), beam_center (x, y; pixel), description, start_date, n_expected
        (frames), pixel_mask_applied, master.
    ndarray or None
        The pixel mask (y, x), NXmx bits, 0 for a good pixel.
    """
    found: dict[str, Any] = dict.fromkeys(NAMES)
    found["master"] = path
    try:
        with opened(path) as file:
            reader = _Reader(path, file, channel)
            found |= reader.values()
            mask = reader.mask()
    except (OSError, ValueError):  # whoever reads the frames says what is wrong with the file
        return found, None
    return found, mask


def read_times(path: str) -> NDArray[np.float64] | None:
    """Return the start of each frame of the series, (frame,) s, if the file has it."""
    try:
        with opened(path) as file:
            item = walk_to(file, "/entry/data/start_time")
            values = fetch(path, file, "/entry/data/start_time", MAX_TIMES)
            if values is None or values.ndim != 1 or values.dtype.kind not in "iuf":
                return None
            factor = _UNITS.get(str(attribute(item, "units") or "s").lower(), 1.0)
    except (OSError, ValueError):
        return None
    return np.asarray(values * factor, np.float64)


class _Reader:
    def __init__(self, path: str, file: Any, channel: int) -> None:
        self.path, self.file, self.channel = path, file, channel

    def number(self, *names: str) -> float | None:
        """Return the first finite number, in our units."""
        for name in names:
            value = fetch(self.path, self.file, name, 16)
            if value is None or not value.size or value.dtype.kind not in "iufb":
                continue
            first = value.ravel()[0]
            first = float(str(first)) if first.dtype.itemsize < 8 and first.dtype.kind == "f" else first.item()
            if math.isfinite(first):
                unit = attribute(walk_to(self.file, name), "units")
                factor = _UNITS.get(str(unit).lower(), 1.0)
                return first if factor == 1.0 else first * factor
        return None

    def integer(self, *names: str) -> int | None:
        value = self.number(*names)
        return None if value is None or abs(value) > 2**63 else int(value)

    def text(self, *names: str) -> str | None:
        for name in names:
            value = fetch(self.path, self.file, name, 16)
            if value is not None and value.size and value.dtype.kind in "SUO":
                first = value.ravel()[0]
                words = first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)
                return words[:MAX_TEXT].strip("\0 ")
        return None

    def values(self) -> dict[str, Any]:
        found: dict[str, Any] = {name: self.number(*places) for name, places in _PLACES.items()}
        found |= {name: self.text(*places) for name, places in _TEXTS.items()}
        found["bit_depth"] = None if found["bit_depth"] is None else int(found["bit_depth"])
        readout = self.number(f"{_DETECTOR}/detector_readout_time", f"{_SPECIFIC}/detector_readout_time")
        if found["frame_time"] is None and found["count_time"] is not None and readout is not None:
            found["frame_time"] = found["count_time"] + readout
        for one, other in (("photon_energy", "wavelength"), ("wavelength", "photon_energy")):
            if found[one] is None and found[other]:
                found[one] = PLANCK_C / found[other]
        found["pixel_size"] = self.pair("x_pixel_size", "y_pixel_size")
        found["beam_center"] = self.pair("beam_center_x", "beam_center_y")
        found["saturation_value"] = self.saturation(found["bit_depth"])
        images, triggers = self.integer(f"{_SPECIFIC}/nimages"), self.integer(f"{_SPECIFIC}/ntrigger")
        found["n_expected"] = None if images is None else images * max(triggers or 1, 1)
        applied = self.integer(f"{_DETECTOR}/pixel_mask_applied", f"{_SPECIFIC}/pixel_mask_applied")
        found["pixel_mask_applied"] = None if applied is None else bool(applied)
        return found

    def pair(self, x: str, y: str) -> tuple[float, float] | None:
        both = [self.number(f"{_DETECTOR}/{name}", f"{_SPECIFIC}/{name}") for name in (x, y)]
        return None if None in both else (float(both[0] or 0), float(both[1] or 0))

    def saturation(self, bits: int | None) -> int | None:
        channel = self.channel_group()
        own = [f"{channel}/saturation_value"] if channel else []
        value = self.integer(*own, f"{_DETECTOR}/saturation_value", f"{_SPECIFIC}/saturation_value")
        if value is not None:
            return value
        cutoff = "countrate_correction_count_cutoff"  # the last value that is still good
        value = self.integer(f"{_SPECIFIC}/{cutoff}", f"{_SPECIFIC}/detectorModule_000/{cutoff}")
        if value is not None:
            return value + 1
        return 2**bits - 2 if bits and 0 < bits <= 32 else None

    def channel_group(self) -> str | None:
        """Return the group of the channel, in the order in which the data has them."""
        there = [one for one in _CHANNELS if walk_to(self.file, f"{_DETECTOR}/{one}") is not None]
        return f"{_DETECTOR}/{there[self.channel]}" if self.channel < len(there) else None

    def mask(self) -> NDArray[np.uint32] | None:
        channel = self.channel_group()
        for group in ([channel] if channel else []) + [_DETECTOR, _SPECIFIC]:
            value = fetch(self.path, self.file, f"{group}/pixel_mask", MAX_PIXELS)
            if value is None or value.dtype.kind not in "iub" or value.ndim not in {2, 3}:
                continue
            if value.ndim == 3:  # one for each channel
                value = value[min(self.channel, len(value) - 1)] if len(value) else value.reshape(0, 0)
            if value.size:
                return np.asarray(value & np.int64(0xFFFFFFFF) if value.dtype != np.uint64 else value, np.uint32)
        return None
