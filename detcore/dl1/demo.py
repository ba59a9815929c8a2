"""The demo: events of an array of three kinds of telescopes, as ctapipe writes them and as CTA-ML file."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from types import SimpleNamespace as Thing
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import tables

from detcore.core.paths import atomic
from detcore.dl1 import generator
from detcore.dl1.images.cleaning import tailcuts
from detcore.dl1.images.parameters import image_parameters
from detcore.dl1.writer.dumper import LOCK, CTAMLDataDumper

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from detcore.dl1.generator import Shower, Station

VERSION: Final = 1  # raise it when the content changes: an older demo is then written anew
MARKER: Final = ".demo.json"
NAMES: Final = ("gamma.dl1.h5", "gamma_ctaml.h5")
COUNTS: Final = {generator.GAMMA: 55, generator.PROTON: 30, generator.MUON: 8}
"""Code of the particle -> events; the runs 1, 2 and 3."""
DATA_MODEL: Final = "v7.1.0"  # of ctapipe 0.28
PICTURE, BOUNDARY = 10.0, 5.0  # p.e., of the cleaning that the file holds
START: Final = np.datetime64("2026-03-01T21:00:00", "ns")
OPTICS: Final = {
    "LST": ("LST", "PARABOLIC", 198),
    "MST": ("MST", "DAVIES_COTTON", 86),
    "SST": ("SST", "SCHWARZSCHILD_COUDER", 6),
}
WHEN: Final = {"TRANSFORM": "time", "TIME_FORMAT": "ctao_high_res", "TIME_SCALE": "tai"}
UNUSED: Final = (
    "corsika_version", "simtel_version", "shower_prog_start", "shower_prog_id", "detector_prog_start",
    "detector_prog_id", "core_pos_mode", "atmosphere", "corsika_iact_options", "corsika_low_E_model",
    "corsika_high_E_model", "corsika_low_E_detail", "corsika_high_E_detail",
)  # fmt: skip
GROUPS: Final = ("hillas_", "timing_", "leakage_", "concentration_", "morphology_", "intensity_", "peak_time_")
ABOUT: Final = {
    "CTA PRODUCT DATA MODEL NAME": "ASWG",
    "CTA PRODUCT DATA MODEL VERSION": DATA_MODEL,
    "CTA PRODUCT DATA LEVELS": "DL1_IMAGES,DL1_PARAMETERS",
    "CTA PRODUCT DESCRIPTION": "Made-up events of the detcore demo",
    "CTA PRODUCT FORMAT": "hdf5",
    "CTA PROCESS TYPE": "Simulation",
    "CTA INSTRUMENT ID": "demo",
    "CTA CONTACT NAME": "unknown",
    "CTA ACTIVITY SOFTWARE NAME": "detcore",
}

Columns = dict[str, Any]
Facts = dict[str, dict[str, Any]]


def write_demo(folder: str | os.PathLike[str]) -> list[Path]:
    """Write the demo into `folder`, or do nothing if it is already there whole.

    Parameters
    ----------
    folder
        Made if it is missing.

    Returns
    -------
    list of Path
        The same events twice: as ctapipe writes them, and as CTA-ML file.
    """
    root = Path(folder)
    if not _complete(root):
        root.mkdir(parents=True, exist_ok=True)
        stations = generator.array()
        showers = list(generator.showers(COUNTS, stations, VERSION))
        writers: tuple[Callable[..., None], ...] = (_write_ctapipe, _write_ctaml)
        for name, write in zip(NAMES, writers, strict=True):
            with atomic(root / name) as aside:
                write(aside, stations, showers)
        with atomic(root / MARKER) as aside:
            aside.write_text(json.dumps({"version": VERSION, "sizes": _sizes(root)}))
    return [root / name for name in NAMES]


def _sizes(root: Path) -> dict[str, int]:
    return {name: (root / name).stat().st_size for name in NAMES}


def _complete(root: Path) -> bool:
    """Whether the marker is of this version and every file has the size it had when written."""
    try:
        mark = json.loads((root / MARKER).read_text())
        return bool(mark == {"version": VERSION, "sizes": _sizes(root)})
    except (OSError, ValueError):
        return False


def _header(n: int) -> dict[str, tuple[Any, str]]:
    """Return the header of the simulation, ctapipe's names -> (value, unit); 0 for what does not apply."""
    alt, az = np.radians(generator.POINTING)
    found: dict[str, tuple[Any, str]] = dict.fromkeys(UNUSED, (0, ""))
    found |= {"n_showers": (n, ""), "shower_reuse": (1, ""), "diffuse": (1, ""), "spectral_index": (-1.5, "")}
    found |= {"energy_range_min": (0.06, "TeV"), "energy_range_max": (40.0, "TeV")}
    found |= {"max_alt": (alt, "rad"), "min_alt": (alt, "rad"), "max_az": (az, "rad"), "min_az": (az, "rad")}
    found |= {"max_viewcone_radius": (generator.CONE, "deg"), "min_viewcone_radius": (0.0, "deg")}
    found |= {"max_scatter_range": (generator.FIELD_RADIUS, "m"), "min_scatter_range": (0.0, "m")}
    found |= {
        "prod_site_alt": (generator.SITE, "m"),
        "corsika_wlen_min": (300.0, "nm"),
        "corsika_wlen_max": (600.0, "nm"),
    }
    found |= {"prod_site_B_total": (0.0, "uT"), "prod_site_B_declination": (0.0, "rad")}
    return found | {"prod_site_B_inclination": (0.0, "rad"), "corsika_bunchsize": (0.0, "")}


def _write_ctaml(path: Path, stations: Sequence[Station], showers: Sequence[Shower]) -> None:
    described = {
        one.tel_id: Thing(
            optics=Thing(name=one.optics, equivalent_focal_length=one.focal_length),
            camera=Thing(name=one.camera.name, pix_x=one.camera.pixel_x, pix_y=one.camera.pixel_y),
        )
        for one in stations
    }
    places = {one.tel_id: np.array(one.place) for one in stations}
    rates = {one.tel_id: one.rate for one in stations}
    with CTAMLDataDumper(str(path)) as dumper:
        dumper.dump_instrument_info(Thing(tel=described, positions=places))
        dumper.dump_header_info("detcore-demo")
        direction = np.radians([generator.POINTING[1], generator.POINTING[0]])
        header = {name: value for name, (value, _) in _header(len(showers)).items()}
        dumper.dump_mc_header_info({**header, "run_array_direction": direction})
        for shower in showers:
            images = {
                tel_id: Thing(image=one.charge, peakpos=np.floor(one.time * rates[tel_id]))
                for tel_id, one in shower.pictures.items()
            }
            truth = Thing(
                energy=shower.energy, alt=np.radians(shower.alt), az=np.radians(shower.az), core_x=shower.core_x,
                core_y=shower.core_y, h_first_int=shower.h_first_int, x_max=shower.x_max,
                shower_primary_id=shower.primary,
            )  # fmt: skip
            ids = Thing(obs_id=shower.obs_id, event_id=shower.event_id)
            dumper.dump_event(Thing(index=ids, dl1=Thing(tel=images), simulation=Thing(shower=truth)))


def _write_ctapipe(path: Path, stations: Sequence[Station], showers: Sequence[Shower]) -> None:
    filters = tables.Filters(1, complib="blosc:zstd", shuffle=True, fletcher32=True)
    with LOCK, tables.open_file(str(path), "w", filters=filters) as file:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", tables.NaturalNameWarning)  # these names are the format's
            for name, text in ABOUT.items():
                file.root._v_attrs[name] = text  # noqa: SLF001 - PyTables' own public spelling
        _instrument(file, stations)
        _configuration(file, stations, showers)
        _events(file, stations, showers)
        for one in stations:
            seen = [shower for shower in showers if one.tel_id in shower.pictures]
            if seen:
                _images(file, one, seen)


def _add(
    file: Any,
    place: str,
    columns: Mapping[str, Any],
    facts: Facts | None = None,
    *,
    prefixes: Sequence[str] | None = None,
    **attributes: Any,
) -> None:
    """Write a table; what is to be said of a column goes to the attributes of its number, as ctapipe has it.

    Tables with `prefixes`, even none, say the name of each column without them: so ctapipe finds its fields.
    """
    folder, _, name = place.rpartition("/")
    arrays = {key: np.asarray(values) for key, values in columns.items()}
    kind = np.dtype([(key, values.dtype, values.shape[1:]) for key, values in arrays.items()])
    data = np.zeros(len(next(iter(arrays.values()))), kind)
    for key, values in arrays.items():
        data[key] = values
    table = file.create_table(folder, name, data, createparents=True)
    for number, key in enumerate(arrays):
        if prefixes is not None:
            first = next((one for one in prefixes if key.startswith(one)), "")
            table.attrs[f"CTAFIELD_{number}_NAME"] = key.removeprefix(first)
        for what, value in (facts or {}).get(key, {}).items():
            table.attrs[f"CTAFIELD_{number}_{what}"] = value
        if arrays[key].dtype.kind == "S":
            table.attrs[f"CTAFIELD_{number}_TRANSFORM"] = "string"
            table.attrs[f"CTAFIELD_{number}_MAXLEN"] = arrays[key].dtype.itemsize
    for key, value in attributes.items():
        table.attrs[key] = value


def _units(**units: str) -> Facts:
    return {name: {"TRANSFORM": "quantity", "UNIT": unit} for name, unit in units.items()}


def _enum(kind: str) -> dict[str, Any]:
    """Return what ctapipe says of a column of its enumerations. It is bytes here: nothing of detcore unpickles it."""
    return {"TRANSFORM": "enum", "ENUM": np.bytes_(f"cctapipe.containers\n{kind}\np0\n.".encode())}


def _instrument(file: Any, stations: Sequence[Station]) -> None:
    place = "/configuration/instrument"
    kinds = list(OPTICS)
    first = {kind: next(one for one in stations if one.kind == kind) for kind in kinds}
    index = np.array([kinds.index(one.kind) for one in stations])
    layout: Columns = {"tel_id": np.array([one.tel_id for one in stations], np.uint16)}
    layout["name"] = np.array([one.optics for one in stations], "S")
    layout["type"] = np.array([one.kind for one in stations], "S")
    for axis, name in enumerate(("pos_x", "pos_y", "pos_z")):
        layout[name] = np.array([one.place[axis] for one in stations], np.float32)
    layout["camera_name"] = np.array([one.camera.name for one in stations], "S")
    layout["optics_name"] = layout["name"]
    layout["camera_index"] = layout["optics_index"] = index
    layout["tel_description"] = np.array([f"{one.kind}_{one.optics}_{one.camera.name}" for one in stations], "S")
    _add(
        file, f"{place}/subarray/layout", layout, _units(pos_x="m", pos_y="m", pos_z="m"), SUBARRAY="demo", name="demo",
        TAB_VER="2.0", reference_itrs_x=6_378_137.0 + generator.SITE, reference_itrs_y=0.0, reference_itrs_z=0.0,
    )  # fmt: skip
    cameras = [first[kind].camera for kind in kinds]
    optics = {
        "optics_name": np.array([first[kind].optics for kind in kinds], "S"),
        "size_type": np.array(kinds, "S"),
        "reflector_shape": np.array([OPTICS[kind][1] for kind in kinds], "S"),
        "mirror_area": np.array([first[kind].mirror for kind in kinds]),
        "n_mirrors": np.array([2 if kind == "SST" else 1 for kind in kinds]),
        "n_mirror_tiles": np.array([OPTICS[kind][2] for kind in kinds]),
        "equivalent_focal_length": np.array([first[kind].focal_length for kind in kinds]),
        "effective_focal_length": np.array([camera.focal_length for camera in cameras]),
    }
    lengths = _units(mirror_area="m**2", equivalent_focal_length="m", effective_focal_length="m")
    _add(file, f"{place}/telescope/optics", optics, lengths, TAB_VER="4.0")
    for number, (kind, camera) in enumerate(zip(kinds, cameras, strict=True)):
        pixels = {"pix_id": np.arange(camera.n_pixels), "pix_x": camera.pixel_x, "pix_y": camera.pixel_y}
        _add(
            file, f"{place}/telescope/camera/geometry_{number}", {**pixels, "pix_area": camera.pixel_area},
            _units(pix_x="m", pix_y="m", pix_area="m**2"), CAM_ID=camera.name, PIX_TYPE=camera.shape,
            PIX_ROT=camera.rotation, CAM_ROT=0.0, TAB_VER="2.0",
        )  # fmt: skip
        sample = np.arange(0, 20, 0.25)
        pulse = {"reference_pulse_shape_channel0": np.exp(-(((sample - 10) / 2.5) ** 2) / 2)}
        one = first[kind]
        _add(
            file, f"{place}/telescope/camera/readout_{number}", {**pulse, "reference_pulse_sample_time": sample},
            _units(reference_pulse_sample_time="ns"), CAM_ID=camera.name, NCHAN=1, NPIXELS=camera.n_pixels,
            NSAMPLES=one.samples, SAMPFREQ=one.rate, REFWIDTH=0.25, TAB_VER="3.0",
        )  # fmt: skip


def _configuration(file: Any, stations: Sequence[Station], showers: Sequence[Shower]) -> None:
    runs = np.unique([one.obs_id for one in showers]).astype(np.int32)
    header = _header(0)
    columns: Columns = {"obs_id": runs, "run_number": runs}
    columns |= {name: np.full(len(runs), value) for name, (value, _) in header.items()}
    columns["n_showers"] = np.array([sum(one.obs_id == run for one in showers) for run in runs])
    units = {name: unit for name, (_, unit) in header.items() if unit}
    _add(file, "/configuration/simulation/run", columns, _units(**units), prefixes=())
    alt, az = np.radians(generator.POINTING)
    angles = {"telescope_pointing_azimuth": az, "telescope_pointing_altitude": alt}
    units = dict.fromkeys(angles, "rad")
    for one in stations:
        columns = {"obs_id": runs, "tel_id": np.full(len(runs), one.tel_id)}
        columns |= {name: np.full(len(runs), value, np.float32) for name, value in angles.items()}
        place = f"/configuration/telescope/pointing/tel_{one.tel_id:03d}"
        _add(file, place, columns, _units(**units), prefixes=("telescope_pointing_",))
    _observations(file, runs)


def _observations(file: Any, runs: NDArray[np.int32]) -> None:
    """Write what was planned: one block, in which all telescopes track one place."""
    number, who = np.ones(1, np.uint64), np.array([b"simulation"])
    block: Columns = {"sb_id": number, "sb_type": np.array([0]), "producer_id": who}
    block |= {"observing_mode": np.array([-1]), "pointing_mode": np.array([1])}
    enums = {"sb_type": "SchedulingBlockType", "observing_mode": "ObservingMode", "pointing_mode": "PointingMode"}
    facts = {name: _enum(kind) for name, kind in enums.items()}
    _add(file, "/configuration/observation/scheduling_block", block, facts, prefixes=())
    n = len(runs)
    block = {"obs_id": runs.astype(np.uint64), "sb_id": np.repeat(number, n), "producer_id": np.repeat(who, n)}
    block |= {"state": np.ones(n, np.int64), "subarray_pointing_lat": np.full(n, generator.POINTING[0], np.float32)}
    block |= {"subarray_pointing_lon": np.full(n, generator.POINTING[1], np.float32)}
    block |= {"subarray_pointing_frame": np.zeros(n, np.int64), "scheduled_duration": np.full(n, np.nan)}
    begin = float((START - np.datetime64("1858-11-17", "ns")) / np.timedelta64(1, "D"))
    block |= {"scheduled_start_time": np.full(n, begin), "actual_start_time": np.full(n, begin)}
    block |= {"actual_duration": np.full(n, np.nan)}
    facts = _units(
        subarray_pointing_lat="deg", subarray_pointing_lon="deg", scheduled_duration="min", actual_duration="min"
    )
    facts |= {name: {**WHEN, "TIME_FORMAT": "mjd"} for name in ("scheduled_start_time", "actual_start_time")}
    facts |= {"state": _enum("ObservationBlockState"), "subarray_pointing_frame": _enum("CoordinateFrameType")}
    _add(file, "/configuration/observation/observation_block", block, facts, prefixes=())


def _keys(showers: Sequence[Shower], tel_id: int | None = None) -> Columns:
    keys: Columns = {"obs_id": np.array([one.obs_id for one in showers], np.int32)}
    keys["event_id"] = np.array([one.event_id for one in showers])
    return keys if tel_id is None else keys | {"tel_id": np.full(len(showers), tel_id, np.int16)}


def _times(seconds: Any) -> NDArray[np.uint32]:
    """Return times as seconds and quarters of nanoseconds since 1970."""
    begin = int((START - np.datetime64("1970-01-01", "ns")).astype(np.int64))
    since = begin + np.round(np.asarray(seconds) * 1e9).astype(np.int64)
    return np.stack([since // 10**9, since % 10**9 * 4], axis=-1).astype(np.uint32)


def _events(file: Any, stations: Sequence[Station], showers: Sequence[Shower]) -> None:
    kinds = np.array([one.event_type for one in showers])
    seconds = [one.seconds for one in showers]
    triggered = np.array([[one.tel_id in shower.pictures for one in stations] for shower in showers])
    trigger = {**_keys(showers), "time": _times(seconds), "tels_with_trigger": triggered, "event_type": kinds}
    facts: Facts = {
        "time": WHEN,
        "tels_with_trigger": {"TRANSFORM": "tel_list_to_mask"},
        "event_type": _enum("EventType"),
    }
    _add(file, "/dl1/event/subarray/trigger", trigger, facts, prefixes=())
    event, number = np.nonzero(triggered)
    columns = {name: values[event] for name, values in _keys(showers).items()}
    columns["tel_id"] = np.array([one.tel_id for one in stations], np.int16)[number]
    columns |= {"time": _times(seconds)[event], "event_type": kinds[event], "n_trigger_pixels": np.full(len(event), -1)}
    _add(file, "/dl1/event/telescope/trigger", columns, {"time": WHEN, "event_type": _enum("EventType")}, prefixes=())
    truth = {
        f"true_{name}": np.array([getattr(one, name) for one in showers], np.float64)
        for name in ("energy", "alt", "az", "core_x", "core_y", "h_first_int", "x_max")
    }
    truth["true_starting_grammage"] = np.zeros(len(showers))
    primaries = {"true_shower_primary_id": np.array([one.primary for one in showers])}
    units = _units(
        true_energy="TeV", true_alt="deg", true_az="deg", true_core_x="m", true_core_y="m", true_h_first_int="m",
        true_x_max="g.cm**-2", true_starting_grammage="g.cm**-2",
    )  # fmt: skip
    _add(
        file, "/simulation/event/subarray/shower", {**_keys(showers), **truth, **primaries}, units, prefixes=("true_",)
    )


def _images(file: Any, one: Station, seen: Sequence[Shower]) -> None:
    name, keys = f"tel_{one.tel_id:03d}", _keys(seen, one.tel_id)
    pictures = [shower.pictures[one.tel_id] for shower in seen]
    true, image, time = (np.stack(values) for values in zip(*pictures, strict=True))
    selected = tailcuts(image, one.camera, PICTURE, BOUNDARY, 2)
    columns = {"image": image, "peak_time": time, "image_mask": selected, "is_valid": np.ones(len(seen), bool)}
    _add(file, f"/dl1/event/telescope/images/{name}", keys | columns, prefixes=())
    _parameters(
        file, f"/dl1/event/telescope/parameters/{name}", keys, image_parameters(image, time, selected, one.camera)
    )
    columns = {"true_image_sum": true.sum(axis=1, dtype=np.int32), "true_image": true}
    _add(file, f"/simulation/event/telescope/images/{name}", keys | columns, prefixes=())
    found = image_parameters(true.astype(np.float32), None, true > 0, one.camera)
    timeless = found.drop_vars([key for key in found if str(key).startswith(("timing_", "peak_time_"))])
    named = timeless.rename({key: f"true_{key}" for key in timeless})
    _parameters(file, f"/simulation/event/telescope/parameters/{name}", keys, named)
    distance = generator.impact(one, seen)
    columns = {"true_impact_distance": distance, "true_impact_distance_uncert": np.full(len(seen), np.nan)}
    units = _units(true_impact_distance="m", true_impact_distance_uncert="m")
    _add(file, f"/simulation/event/telescope/impact/{name}", keys | columns, units, prefixes=("true_impact_",))


def _parameters(file: Any, place: str, keys: Columns, found: xr.Dataset) -> None:
    """Write a table of image parameters; ctapipe keeps the slope of times as per degree."""
    units = {str(key): str(found[key].attrs.get("units", "")) for key in found}
    units = {key: unit.replace("ns / deg", "deg**-1") for key, unit in units.items() if "deg" in unit}
    columns = {str(key): found[key].values for key in found}
    _add(file, place, keys | columns, _units(**units), prefixes=(*(f"true_{one}" for one in GROUPS), *GROUPS))
