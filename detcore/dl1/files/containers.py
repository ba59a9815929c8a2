"""What the writer needs of an event, a subarray and a simulation header, whoever made them.

Events of ctapipe as it is today and as it was at 0.6 are understood, and so is any object with the same attributes:
nothing here imports ctapipe. A value with a unit is one with a method ``to_value(unit)``; a bare number is taken to be
in the unit that is named here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

NAN: Final = float("nan")

# Names that files of version 0.7.2 use: optics by focal length in m, cameras by pixels and focal length.
OPTICS: Final = {
    28.0: "LST",
    16.0: "MST",
    2.28: "SST-GCT",
    2.283: "SST-GCT",
    2.15: "SST-ASTRI",
    5.6: "SST-1M",
    5.58: "MST-SCT",
    5.59: "MST-SCT",
    15.0: "MST-HESS",
    14.98: "MST-HESS",
    36.0: "LST-HESS",
}
CAMERAS: Final = {
    (1855, "LST"): "LSTCam",
    (1855, "MST"): "NectarCam",
    (1764, "MST"): "FlashCam",
    (1296, "SST-1M"): "DigiCam",
    (2368, "SST-ASTRI"): "ASTRICam",
    (2048, "SST-GCT"): "CHEC",
    (11328, "MST-SCT"): "SCTCam",
    (960, "MST-HESS"): "HESS-I",
    (2048, "LST-HESS"): "HESS-II",
}

# The header of a simulation in the files, with the units that its numbers are stored in (the files do not say them).
HEADER: Final = {
    "run_array_direction": "rad",
    "corsika_version": "",
    "simtel_version": "",
    "energy_range_min": "TeV",
    "energy_range_max": "TeV",
    "prod_site_B_total": "uT",
    "prod_site_B_declination": "rad",
    "prod_site_B_inclination": "rad",
    "prod_site_alt": "m",
    "prod_site_array": "",
    "prod_site_coord": "",
    "prod_site_subarray": "",
    "spectral_index": "",
    "shower_prog_start": "",
    "shower_prog_id": "",
    "detector_prog_start": "",
    "detector_prog_id": "",
    "num_showers": "",
    "shower_reuse": "",
    "max_alt": "rad",
    "min_alt": "rad",
    "max_az": "rad",
    "min_az": "rad",
    "diffuse": "",
    "max_viewcone_radius": "deg",
    "min_viewcone_radius": "deg",
    "max_scatter_range": "m",
    "min_scatter_range": "m",
    "core_pos_mode": "",
    "injection_height": "m",
    "atmosphere": "",
    "corsika_iact_options": "",
    "corsika_low_E_model": "",
    "corsika_high_E_model": "",
    "corsika_bunchsize": "",
    "corsika_wlen_min": "nm",
    "corsika_wlen_max": "nm",
    "corsika_low_E_detail": "",
    "corsika_high_E_detail": "",
}
TEXTS: Final = ("prod_site_array", "prod_site_coord", "prod_site_subarray")
NEWER: Final = {"num_showers": "n_showers"}  # name in files -> name in ctapipe today
CHANGING: Final = ("num_showers", "shower_prog_start", "detector_prog_start")  # differ between runs of one production


class Shower(NamedTuple):
    """What was simulated: TeV, rad, rad, m, m, m, g/cm2, code of the primary; nan where it is not known."""

    mc_energy: float = NAN
    alt: float = NAN
    az: float = NAN
    core_x: float = NAN
    core_y: float = NAN
    h_first_int: float = NAN
    x_max: float = NAN
    shower_primary_id: int = 0


@dataclass(frozen=True)
class Telescope:
    """A telescope of an array.

    Parameters
    ----------
    tel_id
        Its number.
    optics, camera
        Names, for instance "SST-GCT" and "CHEC".
    x, y, z
        Where it stands, m: north, west, up.
    pixel_x, pixel_y
        (pixel,) m, in the order of the raw data.
    sampling_rate
        GHz; nan if the event source does not say.
    """

    tel_id: int
    optics: str
    camera: str
    x: float
    y: float
    z: float
    pixel_x: NDArray[np.float64]
    pixel_y: NDArray[np.float64]
    sampling_rate: float = NAN

    @property
    def name(self) -> str:
        """Type as the original spells it, for instance "LST:LSTCam"."""
        return f"{self.optics}:{self.camera}"


def plain(value: Any, unit: str = "") -> Any:
    """Return a value without its unit, which is `unit` then."""
    return value.to_value(unit) if hasattr(value, "to_value") and unit else getattr(value, "value", value)


def number(value: Any, unit: str = "") -> float:
    """Return a value as a float; nan for None."""
    return NAN if value is None else float(plain(value, unit))


def _first(item: Any, *names: str) -> Any:
    """Return the first attribute that is there and not None; a name may have dots."""
    for name in names:
        here = item
        for part in name.split("."):
            here = getattr(here, part, None)
        if here is not None:
            return here
    return None


def subarray_of(instrument: Any) -> Any:
    """Return the subarray of an instrument container of ctapipe 0.6, or what is one itself."""
    found = getattr(instrument, "subarray", None)
    return instrument if found is None else found


def telescopes_of(instrument: Any) -> list[Telescope]:
    """Return the telescopes of a subarray, by ascending number.

    Raises
    ------
    ValueError
        It has none, or one of them lacks its pixels.
    """
    subarray = subarray_of(instrument)
    described = _first(subarray, "tel", "tels")
    if not described:
        msg = "the event source describes no telescopes; expected subarray.tel, a mapping of tel_id to telescope"
        raise ValueError(msg)
    found = []
    for tel_id in sorted(described):
        telescope, place = described[tel_id], np.asarray(plain(subarray.positions[tel_id], "m"), float)
        camera = telescope.camera
        x, y = (_first(camera, f"geometry.pix_{axis}", f"pix_{axis}") for axis in "xy")
        if x is None or y is None:
            msg = f"telescope {tel_id} has no pixels; expected camera.geometry.pix_x and pix_y"
            raise ValueError(msg)
        pixels = [np.asarray(plain(one, "m"), np.float64).ravel() for one in (x, y)]
        optics_name, camera_name = names_of(telescope, len(pixels[0]))
        rate = number(_first(camera, "readout.sampling_rate", "sampling_rate"), "GHz")
        where = (float(place[0]), float(place[1]), float(place[2]))
        found.append(Telescope(int(tel_id), optics_name, camera_name, *where, pixels[0], pixels[1], rate))
    return found


def names_of(telescope: Any, n_pixels: int) -> tuple[str, str]:
    """Return the names of optics and camera that files of version 0.7.2 use; of unknown ones those that they have."""
    focal = number(_first(telescope, "optics.equivalent_focal_length"), "m")
    optics = OPTICS.get(round(focal, 2)) or OPTICS.get(round(focal, 3)) if focal == focal else None  # noqa: PLR0124
    camera = CAMERAS.get((n_pixels, optics or ""))
    if optics and camera:
        return optics, camera
    own = _first(telescope, "camera.cam_id", "camera.name")
    return str(_first(telescope, "optics.name") or telescope.optics), str(own or telescope.camera)


def header_of(container: Any) -> dict[str, Any]:
    """Return the header of a simulation as the files hold it: all names of `HEADER`, numbers without units.

    Parameters
    ----------
    container
        A mapping, or an object with such attributes; None and what is missing become nan, or the text "None".
    """
    given = fields_of(container)
    made: dict[str, Any] = {}
    for name, unit in HEADER.items():
        value = given.get(name, given.get(NEWER.get(name, "")))
        if name in TEXTS:
            made[name] = str(value)
        elif value is None:
            made[name] = np.array([NAN, NAN]) if name == "run_array_direction" else NAN
        else:
            made[name] = _storable(name, plain(value, unit))
    return made


def _storable(name: str, value: Any) -> Any:
    """Return a number of NumPy as PyTables stores it without pickling."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or array.size > 64:
        msg = f"header of the simulation: expected a number for {name}, found {str(value)[:80]!r}"
        raise ValueError(msg)
    return np.array(array, np.float64) if array.ndim else array[()]


def fields_of(container: Any) -> dict[str, Any]:
    """Return the fields of the header of a simulation: a mapping, a container of ctapipe, or any object."""
    if container is None:
        return {}
    if isinstance(container, dict):
        return dict(container)
    if hasattr(container, "as_dict"):
        return dict(container.as_dict())
    return {name: getattr(container, name) for name in (*HEADER, *NEWER.values()) if hasattr(container, name)}


def ids_of(event: Any) -> tuple[int, int]:
    """Return obs_id and event_id.

    Raises
    ------
    ValueError
        The event has none.
    """
    found = [_first(event, f"index.{name}", f"r0.{name}", f"dl0.{name}", name) for name in ("obs_id", "event_id")]
    if None in found:
        msg = "an event without obs_id and event_id; expected event.index.obs_id and event.index.event_id"
        raise ValueError(msg)
    return int(found[0]), int(found[1])


def shower_of(event: Any) -> Shower:
    """Return what was simulated; nan for events of which that is not known."""
    truth = _first(event, "simulation.shower", "mc")
    if truth is None:
        return Shower()
    primary = _first(truth, "shower_primary_id")
    units = {"alt": "rad", "az": "rad", "core_x": "m", "core_y": "m", "h_first_int": "m", "x_max": "g / cm2"}
    values = {name: number(_first(truth, name), unit) for name, unit in units.items()}
    energy = number(_first(truth, "energy"), "TeV")
    return Shower(energy, **values, shower_primary_id=0 if primary is None else int(primary))


def direction_of(event: Any) -> NDArray[np.float64] | None:
    """Return where the array points, (azimuth, altitude) in rad; None if the event does not say."""
    places = [
        _first(event, f"pointing.array_{name}", f"monitoring.pointing.array_{name}") for name in ("azimuth", "altitude")
    ]
    return None if None in places else np.array([number(one, "rad") for one in places])


def images_by_telescope(event: Any) -> dict[int, Any]:
    """Return tel_id -> what the event has of its image."""
    return {int(tel_id): one for tel_id, one in (_first(event, "dl1.tel") or {}).items()}


def triggered(event: Any) -> list[int]:
    """Return the telescopes that have data of any level, by ascending number."""
    for name in ("r0.tels_with_data", "r1.tels_with_data", "r1.tel", "r0.tel", "dl1.tel"):
        found = _first(event, name)
        if found is not None and len(found):
            return sorted(map(int, found))
    return []


def images_of(event: Any, rates: Mapping[int, float]) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.float32]]]:
    """Yield tel_id, charge (pixel,) in p.e. and peak position (pixel,) in samples, by ascending tel_id.

    Of images with several gains the first is taken. A time in ns becomes samples by the sampling rate.

    Parameters
    ----------
    event
        Calibrated.
    rates
        tel_id -> GHz.

    Raises
    ------
    ValueError
        There are times but no sampling rate.
    """
    images = _first(event, "dl1.tel")
    if images is None:
        return
    for tel_id in sorted(map(int, images)):
        one = images[tel_id]
        image = _first(one, "image")
        if image is None:
            continue
        charge = _channel(image)
        place, time = _first(one, "peakpos"), _first(one, "peak_time")
        if place is not None:
            peak = _channel(place)
        elif time is not None:
            rate = rates.get(tel_id, NAN)
            if not rate > 0:
                msg = (
                    f"telescope {tel_id} has peak times in ns, but no camera.readout.sampling_rate to make them samples"
                )
                raise ValueError(msg)
            peak = _channel(plain(time, "ns")) * np.float32(rate)
        else:
            peak = np.zeros_like(charge)
        yield tel_id, charge, peak


def _channel(values: Any) -> NDArray[np.float32]:
    array = np.asarray(plain(values), np.float32)
    return array[0] if array.ndim > 1 else array
