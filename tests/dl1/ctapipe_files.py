"""Small files of ctapipe's data model, versions 4 to 7, written with PyTables as ctapipe does."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tables

FILTERS = tables.Filters(5, complib="blosc:zstd", shuffle=True, fletcher32=True)
SCALES = {"image": (10.0, 0), "peak_time": (100.0, 0)}  # ctapipe's own
TELESCOPES = {1: "LSTCam", 2: "LSTCam", 5: "CHEC"}


class Enumeration:
    """Stands for ctapipe.containers.EventType, whose pickle ctapipe leaves in an attribute."""


class Trap:
    """Its pickle leaves a file behind when somebody loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@dataclass
class Written:
    """What was written.

    Parameters
    ----------
    path
        The file.
    events
        Structured: obs_id, event_id, time (datetime64[ns]), event_type, mask (telescope).
    shower
        Structured, in the units that `Dl1File.events` has.
    images
        tel_id -> structured: obs_id, event_id, image, peak_time, image_mask, true_image.
    parameters
        tel_id -> structured.
    """

    path: Path
    events: Any = None
    shower: Any = None
    images: dict[int, Any] = field(default_factory=dict)
    parameters: dict[int, Any] = field(default_factory=dict)


def pixels(camera: str) -> tuple[Any, Any]:
    """Positions, m."""
    if camera == "CHEC":
        x, y = np.meshgrid(np.arange(6) * 0.006, np.arange(6) * 0.006)
        return x.ravel(), y.ravel()
    q, r = np.mgrid[-3:4, -3:4].reshape(2, -1)
    keep = abs(q + r) <= 3
    place = (q + r * np.exp(1j * np.pi / 3))[keep] * 0.05 * np.exp(1j * np.radians(40.893))
    return place.real, place.imag


def _structured(n: int, columns: list[tuple[Any, ...]]) -> Any:
    return np.zeros(n, np.dtype(columns))


def content(n_events: int = 40, seed: int = 0) -> Written:
    """Make events: telescopes see some of them, the last has no simulated shower."""
    rng = np.random.default_rng(seed)
    made = Written(Path())
    keys = [("obs_id", "i4"), ("event_id", "i8")]
    mask = rng.random((n_events, len(TELESCOPES))) < 0.7
    mask[:, 1] |= ~mask.any(axis=1)
    made.events = _structured(n_events, [*keys, ("time", "M8[ns]"), ("event_type", "i8"), ("mask", "?", (3,))])
    made.events["obs_id"] = 7
    made.events["event_id"] = 100 * np.arange(1, n_events + 1) + (1 << 40)  # needs 64 bits
    start = np.datetime64("2026-03-29T01:59:59.123456", "ns")
    made.events["time"] = start + rng.integers(0, 10**14, n_events).astype("m8[ns]")
    made.events["event_type"] = 32
    made.events["event_type"][-1] = 0
    made.events["mask"] = mask
    truth = ("energy", "alt", "az", "core_x", "core_y", "h_first_int", "x_max")
    made.shower = _structured(n_events - 1, [*keys, *((f"true_{one}", "f8") for one in truth)])
    for key in ("obs_id", "event_id"):
        made.shower[key] = made.events[key][:-1]
    for one in truth:
        made.shower[f"true_{one}"] = rng.uniform(1, 80, n_events - 1)
    made.shower = rng.permutation(made.shower)  # the order of the showers need not be that of the events
    for number, (tel_id, camera) in enumerate(TELESCOPES.items()):
        seen = made.events[mask[:, number]]
        n = len(pixels(camera)[0])
        columns = [*keys, ("image", "f4", n), ("peak_time", "f4", n), ("image_mask", "?", n), ("true_image", "i4", n)]
        images = _structured(len(seen), columns)
        parameters = _structured(len(seen), [*keys, ("hillas_intensity", "f8"), ("hillas_length", "f8")])
        for key in ("obs_id", "event_id"):
            images[key] = parameters[key] = seen[key]
        images["image"] = rng.normal(2, 9, (len(seen), n)).round(1)
        images["peak_time"] = rng.uniform(0, 60, (len(seen), n)).round(2)
        images["image_mask"] = images["image"] > 8
        images["true_image"] = rng.poisson(3, (len(seen), n))
        parameters["hillas_intensity"] = (images["image"] * images["image_mask"]).sum(axis=1)
        parameters["hillas_length"] = rng.uniform(0.1, 0.5, len(seen))
        made.images[tel_id], made.parameters[tel_id] = images, parameters
    return made


def _add(file: Any, path: str, columns: dict[str, Any], attributes: dict[str, dict[str, Any]], rows: int = 4) -> Any:
    """Write a table; booleans become bitfields, as PyTables has them."""
    folder, _, name = path.rpartition("/")
    kinds = [(one, values.dtype, values.shape[1:]) for one, values in columns.items()]
    data = np.zeros(len(next(iter(columns.values()))), np.dtype(kinds))
    for one, values in columns.items():
        data[one] = values
    table = file.create_table(folder, name, data, filters=FILTERS, createparents=True, chunkshape=(rows,))
    for one, facts in attributes.items():
        for what, value in facts.items():
            table.attrs[f"CTAFIELD_{list(columns).index(one)}_{what}"] = value
    return table


def _quantity(unit: str) -> dict[str, Any]:
    return {"TRANSFORM": "quantity", "UNIT": unit}


def _setup(file: Any, version: int) -> None:
    """Layout, optics and cameras; before v5 by name, since then by number."""
    names = list(TELESCOPES.values())
    optics = ["LST" if name == "LSTCam" else "GCT" for name in names]
    kinds = ["LST" if name == "LSTCam" else "SST" for name in names]
    layout: dict[str, Any] = {
        "tel_id": np.array(list(TELESCOPES), "u2"),
        "name": np.array(optics, "S"),
        "type": np.array(kinds, "S"),
        **{f"pos_{axis}": np.array([i, 10 + i, -i], "f4") for i, axis in enumerate("xyz")},
    }
    keys = ["LSTCam", "CHEC"]
    if version < 5:
        layout["camera_type"] = np.array(names, "S")
    else:
        keys = ["0", "1"]
        layout["camera_name"] = np.array(names, "S")
        layout["optics_name"] = np.array(optics, "S")
        layout["camera_index"] = np.array([0, 0, 1])
        layout["optics_index"] = np.array([1, 1, 0])
    layout["tel_description"] = np.array([f"{k}_{o}_{n}" for k, o, n in zip(kinds, optics, names, strict=True)], "S")
    facts = {f"pos_{axis}": _quantity("m") for axis in "xyz"}
    _add(file, "/configuration/instrument/subarray/layout", layout, facts)
    name = "description" if version < 5 else "optics_name"
    table: dict[str, Any] = {name: np.array(["GCT", "LST"], "S"), "equivalent_focal_length": np.array([2.283, 28.0])}
    if version >= 5:
        table["effective_focal_length"] = np.array([np.nan, 29.3])
    lengths = {one: _quantity("m") for one in table if one.endswith("length")}
    _add(file, "/configuration/instrument/telescope/optics", table, lengths)
    for key, camera in zip(keys, ("LSTCam", "CHEC"), strict=True):
        x, y = pixels(camera)
        square = camera == "CHEC"
        area = np.full(len(x), 0.006**2 if square else 0.05**2 * np.sqrt(3) / 2)
        geometry = {"pix_id": np.arange(len(x)), "pix_x": x, "pix_y": y, "pix_area": area}
        units = {"pix_x": _quantity("m"), "pix_y": _quantity("m"), "pix_area": _quantity("m**2")}
        found = _add(file, f"/configuration/instrument/telescope/camera/geometry_{key}", geometry, units, 50)
        old = {"hexagon": "hexagonal", "square": "rectangular"}
        shape = "square" if square else "hexagon"
        found.attrs.PIX_TYPE = old[shape] if version < 5 else shape
        found.attrs.PIX_ROT = 0.0 if square else 40.893
        found.attrs.CAM_ROT = 0.0
        found.attrs.CAM_ID = camera


def _time(version: int, times: Any) -> tuple[Any, dict[str, Any]]:
    since = times - np.datetime64("1970-01-01", "ns")
    if version < 7:
        return since / np.timedelta64(1, "D") + 40587, {"TRANSFORM": "time", "TIME_FORMAT": "mjd", "TIME_SCALE": "tai"}
    whole = since.astype("m8[s]")
    quarters = (since - whole).astype(np.int64) * 4
    stored = np.stack([whole.astype(np.int64), quarters], axis=-1).astype("u4")
    return stored, {"TRANSFORM": "time", "TIME_FORMAT": "ctao_high_res", "TIME_SCALE": "tai"}


def stored(values: Any, kind: str, scale: float, offset: int) -> tuple[Any, dict[str, Any]]:
    """Return numbers as ctapipe's fixed_point stores them, with its attributes."""
    limits = np.iinfo(kind)
    codes = (limits.max - 2, limits.max - 1) if limits.min == 0 else (limits.min, limits.min + 1)
    raw = np.round(np.nan_to_num(values.astype("f8"), posinf=0, neginf=0) * scale) + offset
    raw = raw.astype(kind)
    raw[np.isneginf(values)], raw[np.isnan(values)], raw[np.isposinf(values)] = *codes, limits.max
    facts = {"TRANSFORM": "fixed_point", "TRANSFORM_SCALE": scale, "TRANSFORM_OFFSET": offset}
    facts |= {"TRANSFORM_DTYPE": "float32", "NEGINF_VALUE": codes[0], "NAN_VALUE": codes[1], "POSINF_VALUE": limits.max}
    return raw, facts


def write(
    path: Path,
    made: Written | None = None,
    *,
    version: int = 7,
    by_type: bool = False,
    fixed_point: tuple[str, float, int] | None = None,
    drop: tuple[str, ...] = (),
    enum: Any = Enumeration,
) -> Written:
    """Write a file.

    Parameters
    ----------
    path
        Of the file.
    made
        See `content`.
    version
        Of the data model.
    by_type
        Images of telescopes of one type in one table.
    fixed_point
        Type, scale and offset in which charges and times are stored.
    drop
        Groups or tables to leave out at the end.
    enum
        What the attribute ENUM is made of.
    """
    made = content() if made is None else made
    made.path = path
    with tables.open_file(str(path), "w") as file:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", tables.NaturalNameWarning)  # these names are ctapipe's
            file.root._v_attrs["CTA PRODUCT DATA MODEL VERSION"] = f"v{version}.0.0"
            file.root._v_attrs["CTA PROCESS TYPE"] = "Simulation"
        _setup(file, version)
        events = made.events
        time, facts = _time(version, events["time"])
        trigger = {"obs_id": events["obs_id"], "event_id": events["event_id"], "time": time}
        trigger |= {"tels_with_trigger": events["mask"], "event_type": events["event_type"]}
        attributes = {"time": facts, "tels_with_trigger": {"TRANSFORM": "tel_list_to_mask"}}
        attributes["event_type"] = {"TRANSFORM": "enum", "ENUM": np.bytes_(pickle.dumps(enum, 0))}
        _add(file, "/dl1/event/subarray/trigger", trigger, attributes)
        shower = {name: made.shower[name].copy() for name in made.shower.dtype.names}
        units = {"energy": "TeV", "core_x": "m", "core_y": "m", "h_first_int": "m", "x_max": "g.cm**-2"}
        units |= {"alt": "deg", "az": "rad"}
        shower["true_az"] = np.radians(shower["true_az"])
        shower["true_shower_primary_id"] = np.full(len(made.shower), 101)
        attributes = {f"true_{name}": _quantity(unit) for name, unit in units.items()}
        _add(file, "/simulation/event/subarray/shower", shower, attributes)
        run = {"obs_id": np.array([7], "i4"), "energy_range_min": np.array([0.003]), "shower_reuse": np.array([10])}
        _add(file, "/configuration/simulation/run", run, {"energy_range_min": _quantity("TeV")})
        groups = {f"tel_{tel_id:03d}": [tel_id] for tel_id in TELESCOPES}
        if by_type:
            groups = {"LST_LST_LSTCam": [1, 2], "SST_GCT_CHEC": [5]}
        for name, members in groups.items():
            _telescopes(file, made, name, members, fixed_point)
        for place in drop:
            file.remove_node(place, recursive=True)
    return made


def _telescopes(file: Any, made: Written, name: str, members: list[int], fixed_point: Any) -> None:
    """Write the tables of one telescope, or of several in the order of their events."""
    images = np.concatenate([made.images[one] for one in members])
    parameters = np.concatenate([made.parameters[one] for one in members])
    tel_id = np.repeat(np.array(members, "i2"), [len(made.images[one]) for one in members])
    order = np.lexsort((tel_id, images["event_id"]))
    images, parameters, tel_id = images[order], parameters[order], tel_id[order]
    keys = {"obs_id": images["obs_id"], "event_id": images["event_id"], "tel_id": tel_id}
    columns = keys | {one: images[one] for one in ("image", "peak_time", "image_mask")}
    attributes: dict[str, Any] = {}
    if fixed_point:
        for one in ("image", "peak_time"):
            columns[one], attributes[one] = stored(images[one], *fixed_point)
    _add(file, f"/dl1/event/telescope/images/{name}", columns, attributes)
    columns = keys | {one: parameters[one] for one in ("hillas_intensity", "hillas_length")}
    _add(file, f"/dl1/event/telescope/parameters/{name}", columns, {"hillas_length": _quantity("deg")}, 16)
    columns = keys | {"true_image_sum": images["true_image"].sum(axis=1), "true_image": images["true_image"]}
    _add(file, f"/simulation/event/telescope/images/{name}", columns, {})
