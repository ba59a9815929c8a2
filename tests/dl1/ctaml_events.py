"""Events that need no ctapipe: as ctapipe 0.6 had them, made of a real CTA-ML file, and as it has them today, made up."""

from __future__ import annotations

from types import SimpleNamespace as Thing

import h5py
import numpy as np

HEADER = (
    "CLASS",
    "PYTABLES_FORMAT_VERSION",
    "TITLE",
    "VERSION",
    "ctapipe_version",
    "dl1_data_writer_version",
    "runlist",
)


FACTORS = {("deg", "rad"): np.pi / 180, ("km", "m"): 1e3, ("GeV", "TeV"): 1e-3, ("MHz", "GHz"): 1e-3}


class Quantity:
    """A value with a unit, with the two methods of astropy that are used."""

    def __init__(self, value, unit):
        self.value, self.unit = value, unit

    def to_value(self, unit):
        return self.value if unit == self.unit else self.value * FACTORS[self.unit, unit]


def as_numpy(path):
    """Read tables and attributes of a zlib file with h5py alone."""
    with h5py.File(path) as file:
        tables = {name: file[name][:] for name in file if isinstance(file[name], h5py.Dataset)}
        attributes = {name: file.attrs[name] for name in file.attrs if name not in HEADER}
    texts = {name: value.decode() for name, value in attributes.items() if isinstance(value, bytes)}
    return tables, attributes | texts


def old_source(path):
    """Return header, instrument and events of a file, in the containers of ctapipe 0.6."""
    tables, attributes = as_numpy(path)
    kinds = {row["type"]: row for row in tables["Telescope_Type_Information"]}
    described, positions = {}, {}
    for row in tables["Array_Information"]:
        kind = kinds[row["type"]]
        n = kind["num_pixels"]
        x, y = kind["pixel_positions"][:n].T
        camera = Thing(cam_id=kind["camera"].decode(), pix_x=x, pix_y=y)
        described[int(row["id"])] = Thing(optics=Thing(name=kind["optics"].decode()), camera=camera)
        positions[int(row["id"])] = np.array([row["x"], row["y"], row["z"]])
    instrument = Thing(subarray=Thing(tel=described, positions=positions))
    types = {tel_id: f"{one.optics.name}_{one.camera.cam_id}".replace("-", "") for tel_id, one in described.items()}
    events = []
    for row in tables["Events"]:
        images = {}
        for name in set(types.values()):
            members = sorted(tel_id for tel_id, kind in types.items() if kind == name)
            for tel_id, index in zip(members, row[f"{name}_indices"], strict=True):
                if index:
                    image = tables[name][index]
                    images[tel_id] = Thing(image=image["charge"][None], peakpos=image["peakpos"][None])
        names = ("alt", "az", "core_x", "core_y", "h_first_int", "x_max", "shower_primary_id")
        truth = Thing(energy=row["mc_energy"], **{name: row[name] for name in names})
        ids = {"obs_id": row["obs_id"], "event_id": row["event_id"]}
        events.append(Thing(r0=Thing(tels_with_data=set(images), **ids), dl1=Thing(tel=images), mc=truth))
    return attributes, instrument, events


TYPES = {
    1: ("LST", "LSTCam", 28.0, 7),
    2: ("MST", "NectarCam", 16.0, 5),
    5: ("LST", "LSTCam", 28.0, 7),
    30: ("X-1", "Own", 3.0, 12),
}


def subarray(pixels=TYPES):
    """Return a subarray as ctapipe has it today: two large telescopes, one medium, one of which nobody has heard."""
    described, positions = {}, {}
    for tel_id, (optics, camera, focal, n) in pixels.items():
        x, y = np.arange(n) * 0.05, np.arange(n) % 2 * 0.05
        geometry = Thing(pix_x=Quantity(x, "m"), pix_y=Quantity(y, "m"))
        readout = Thing(sampling_rate=Quantity(2000.0, "MHz"))
        mirror = Thing(name=optics, equivalent_focal_length=Quantity(focal, "m"))
        described[tel_id] = Thing(optics=mirror, camera=Thing(name=camera, geometry=geometry, readout=readout))
        positions[tel_id] = Quantity(np.array([tel_id, 2.0 * tel_id, 3.0]) / 1e3, "km")
    return Thing(tel=described, positions=positions)


def event(event_id, tel_ids, *, obs_id=4, pixels=TYPES, primary=0, seed=0):
    """Return a calibrated event as ctapipe has it today."""
    rng = np.random.default_rng([seed, event_id])
    images = {}
    for tel_id in tel_ids:
        n = pixels[tel_id][3]
        images[tel_id] = Thing(image=rng.normal(5, 2, n).astype("f4"), peak_time=rng.uniform(0, 30, n).astype("f4"))
    shower = Thing(
        energy=Quantity(1500.0 + event_id, "GeV"), alt=Quantity(70.0, "deg"), az=Quantity(180.0, "deg"),
        core_x=Quantity(0.1, "km"), core_y=Quantity(-0.2, "km"), h_first_int=Quantity(20000.0, "m"),
        x_max=Quantity(300.0, "g / cm2"), shower_primary_id=primary,
    )  # fmt: skip
    ids = Thing(obs_id=obs_id, event_id=event_id)
    return Thing(index=ids, dl1=Thing(tel=images), simulation=Thing(shower=shower))
