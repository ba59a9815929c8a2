"""The demo: a pump-probe run of LaB6 powder with Bragg spots on an integrating detector, its darks and a setup."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import hdf5plugin
import numpy as np

from detcore.area.generator import HC, Photons, Scene, charge, common_mode, pedestals, spot_photons
from detcore.area.setup.setupfile import Setup
from detcore.core.paths import atomic

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

VERSION = 2  # raise it when the content changes: an older demo is then written anew
MARKER = ".demo.json"
NAME = "lab6_run0012"
RUN, DARK, SETUP = f"{NAME}.h5", f"{NAME}_dark.h5", f"{NAME}_setup.yaml"
PEDESTAL, NOISE_FILE = f"{NAME}_pedestal.npy", f"{NAME}_noise.npy"
N_EVENTS, N_DARKS = 64, 16
RATE = 120.0  # Hz
GAIN = 110.0  # ADU of a photon
NOISE = 3.0  # ADU
OFFSETS = (2.5, 2.0, 1.5)  # common mode of banks, rows, columns: ADU
SATURATION = 16383  # 14 bits
POWDER, DIFFUSE = 26_000.0, 7_000.0  # photons of an event
DELAYS = (-1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0)  # ps
DEAD, NOISY, HOT = 60, 80, 5
BIT_DEAD, BIT_NOISY = 2, 16  # of the pixel mask (NXmx: bits 1 and 4)


@dataclass(frozen=True)
class Expected:
    """What is planted in the demo, which an analysis of it has to find.

    Parameters
    ----------
    scene
        Centre, distance, energy, spots.
    radii
        Of the rings, pixels.
    n_events
        Of the run.
    dropped
        Events without X-rays, from 0.
    laser_off
        Events with X-rays and without the laser.
    lifetime
        Of the excited state, ps.
    hot
        (row, column) of the noisiest pixels, which the detector's mask does not know.
    """

    scene: Scene
    radii: tuple[float, ...]
    n_events: int
    dropped: tuple[int, ...]
    laser_off: tuple[int, ...]
    lifetime: float
    hot: tuple[tuple[int, int], ...]


def expected() -> Expected:
    """Return what is planted in the demo.

    Examples
    --------
    >>> expected().dropped
    (7, 23, 39, 55)
    """
    events = _events()
    scene = Scene()
    off = np.flatnonzero((events["laser"] == 0) & (events["xray"] == 1))
    hot = ((40, 700), (222, 85), (333, 601), (480, 255), (655, 430))
    return Expected(
        scene,
        tuple(float(radius) for radius in scene.radii()),
        N_EVENTS,
        tuple(int(event) for event in np.flatnonzero(events["xray"] == 0)),
        tuple(int(event) for event in off),
        1.5,
        hot[:HOT],
    )


def write_demo(folder: str | os.PathLike[str]) -> list[Path]:
    """Write the demo into `folder`, or do nothing if it is already there whole.

    Parameters
    ----------
    folder
        Made if it is missing.

    Returns
    -------
    list of Path
        The run, its darks and its setup file.
    """
    root = Path(folder)
    written = [root / name for name in (RUN, DARK, SETUP)]
    if not _complete(root):
        rng = np.random.default_rng(VERSION)
        chip = _Chip.made(rng)
        darks = np.stack([chip.frame(rng, None) for _ in range(N_DARKS)])
        write_run(root / DARK, darks, {"time": np.arange(N_DARKS) / RATE})
        write_run(root / RUN, _frames(rng, chip), _events(), chip.pixel_mask)
        for name, values in ((PEDESTAL, darks.mean(axis=0)), (NOISE_FILE, darks.std(axis=0, ddof=1))):
            with atomic(root / name) as aside:
                np.save(aside, values.astype(np.float32))
        setup_of(str(root.absolute() / PEDESTAL), str(root.absolute() / NOISE_FILE)).save(root / SETUP)
        with atomic(root / MARKER) as aside:
            aside.write_text(json.dumps({"version": VERSION, "sizes": _sizes(root)}))
    return written


def setup_of(pedestal: str | None = None, noise: str | None = None) -> Setup:
    """Return the setup of the demo: geometry, mask, regions, common mode and what is computed for each event.

    Parameters
    ----------
    pedestal, noise
        Files of the constants.
    """
    scene = Scene()
    x, y = scene.centre
    stop, ring = scene.beamstop, scene.radii()[0]
    spots = "\n".join(
        f"- {{name: spot{number}, region: {{kind: rectangle, x0: {at_x - 8}, y0: {at_y - 8}, x1: {at_x + 8}, y1: {at_y + 8}}}}}"
        for number, (at_x, at_y, _) in enumerate(scene.spots[:2], 1)
    )
    text = f"""\
version: 1
detector: {{name: epix, type: epix100}}
geometry: {{x: {x}, y: {y}, distance: {scene.distance}, energy: {scene.energy}, pixel_size: [{scene.pixel}, {scene.pixel}]}}
mask:
- {{kind: region, name: beam stop, region: {{kind: ellipse, x: {x}, y: {y}, a: {stop + 3}, b: {stop + 3}}}}}
- kind: region
  name: arm of the beam stop
  region: {{kind: rectangle, x0: {x - stop / 4 - 3}, y0: {y}, x1: {x + stop / 4 + 3}, y1: {scene.shape[0]}}}
rois:
{spots}
- {{name: ring, region: {{kind: annulus, x: {x}, y: {y}, inner: {ring - 9:.1f}, outer: {ring + 9:.1f}}}}}
common_mode: 46
azimuthal: {{bins: 400, polarization: null, adu_per_photon: {GAIN}}}
droplets: {{threshold: {0.5 * GAIN}, threshold_low: {0.2 * GAIN}, noise_units: false, photon_adu: {GAIN}}}
sums: [calib, calib_max, calib_dropped]
"""
    setup = Setup.from_yaml(text)
    return setup.with_(calibration=setup.calibration.model_copy(update={"pedestal": pedestal, "noise": noise}))


def write_run(
    path: Path,
    frames: Iterable[NDArray[np.uint16]],
    events: dict[str, NDArray[Any]],
    pixel_mask: NDArray[np.uint32] | None = None,
) -> None:
    """Write frames in the manner of NXmx (HDF5), with one number per frame for each of `events`."""
    scene, n = Scene(), len(next(iter(events.values())))
    with atomic(path) as aside, h5py.File(aside, "w") as file:
        file.attrs["default"] = "entry"
        for name, kind in (
            ("entry", "NXentry"),
            ("entry/instrument", "NXinstrument"),
            ("entry/instrument/detector", "NXdetector"),
            ("entry/instrument/beam", "NXbeam"),
            ("entry/events", "NXcollection"),
        ):
            file.create_group(name).attrs["NX_class"] = kind
        file["entry/definition"] = "NXmx"
        detector = file["entry/instrument/detector"]
        detector["local_name"], detector["type"], detector["description"] = "epix", "epix100", "ePix100 (simulated)"
        for name, value, unit in (
            ("x_pixel_size", scene.pixel, "m"),
            ("y_pixel_size", scene.pixel, "m"),
            ("beam_center_x", scene.centre[0], "pixel"),
            ("beam_center_y", scene.centre[1], "pixel"),
            ("distance", scene.distance, "m"),
        ):
            detector[name] = value
            detector[name].attrs["units"] = unit
        detector["saturation_value"] = SATURATION - 1
        detector["bit_depth_readout"] = 14
        if pixel_mask is not None:
            detector.create_dataset("pixel_mask", data=pixel_mask, compression="gzip", shuffle=True)
        file["entry/instrument/beam/incident_wavelength"] = HC / scene.energy
        file["entry/instrument/beam/incident_wavelength"].attrs["units"] = "angstrom"
        for name, values in events.items():
            file[f"entry/events/{name}"] = values
        data = detector.create_dataset(
            "data", (n, *scene.shape), np.uint16, chunks=(1, *scene.shape), **hdf5plugin.Bitshuffle(cname="lz4")
        )
        for number, frame in enumerate(frames):
            data[number] = frame


@dataclass(frozen=True)
class _Chip:
    """The detector: what stays the same from event to event."""

    pedestal: NDArray[np.float32]
    noise: NDArray[np.float32]
    pixel_mask: NDArray[np.uint32]

    @classmethod
    def made(cls, rng: np.random.Generator) -> _Chip:
        shape = Scene().shape
        noise = (NOISE * (1 + 0.1 * rng.standard_normal(shape, np.float32))).astype(np.float32)
        pixel_mask = np.zeros(shape, np.uint32)
        noisy = rng.integers(0, shape, (NOISY, 2)).T
        noise[*noisy] *= 15
        pixel_mask[*noisy[:, : NOISY // 2]] |= np.uint32(BIT_NOISY)
        for place in expected().hot:
            noise[place] = 400
        pedestal = pedestals(rng, shape)
        dead = rng.integers(0, shape, (DEAD, 2)).T
        pixel_mask[*dead] = BIT_DEAD
        pedestal[*dead], noise[*dead] = 0, 0
        return cls(pedestal, noise, pixel_mask)

    def frame(self, rng: np.random.Generator, photons: NDArray[np.float32] | None) -> NDArray[np.uint16]:
        """Read the detector out: (y, x) ADU."""
        values = rng.standard_normal(self.pedestal.shape, np.float32)
        values *= self.noise
        values += self.pedestal
        values += common_mode(rng, self.pedestal.shape, OFFSETS)
        if photons is not None:
            values += np.float32(GAIN) * photons
        values[self.pixel_mask == BIT_DEAD] = 0
        return np.clip(values, 0, SATURATION, out=values).astype(np.uint16)


def _events() -> dict[str, NDArray[Any]]:
    """Return what is known of each event: time s, i0, delay ps, laser and X-rays on or off, step of the scan."""
    number = np.arange(N_EVENTS)
    rng = np.random.default_rng(1000 + VERSION)
    xray = (number % 16 != 7).astype(np.uint8)
    i0 = np.clip(1 + 0.18 * rng.standard_normal(N_EVENTS), 0.4, 1.7)
    return {
        "time": number / RATE,
        "i0": np.where(xray == 1, i0, 0.0),
        "delay": np.array(DELAYS)[number // 8 % len(DELAYS)],
        "laser": (number % 4 != 3).astype(np.uint8),
        "xray": xray,
        "scan": (number // 8).astype(np.int32),
    }


def excited(delay: float) -> float:
    """Return the excited fraction at a delay, ps: a step that decays.

    Examples
    --------
    >>> excited(-1.0), excited(0.0)
    (0.0, 1.0)
    """
    return float(np.exp(-delay / 1.5)) if delay >= 0 else 0.0


def _frames(rng: np.random.Generator, chip: _Chip) -> Iterator[NDArray[np.uint16]]:
    scene, events = Scene(), _events()
    powder, diffuse = Photons(scene.powder()), Photons(scene.diffuse())
    for event in range(N_EVENTS):
        level = float(events["i0"][event])
        if not events["xray"][event]:
            yield chip.frame(rng, None)
            continue
        share = excited(float(events["delay"][event])) if events["laser"][event] else 0.0
        hits = (
            powder.throw(rng, POWDER * level),
            diffuse.throw(rng, DIFFUSE * level * (1 + 0.8 * share)),
            spot_photons(rng, scene, level * (1 - 0.4 * share) * (0.7 + 0.6 * rng.random())),
        )
        yield chip.frame(rng, charge(rng, np.concatenate(hits), scene.shape))


def _sizes(root: Path) -> dict[str, int]:
    return {name: (root / name).stat().st_size for name in (RUN, DARK, PEDESTAL, NOISE_FILE, SETUP)}


def _complete(root: Path) -> bool:
    """Whether the marker is of this version and every file has the size it had when written."""
    try:
        mark = json.loads((root / MARKER).read_text())
        return bool(mark == {"version": VERSION, "sizes": _sizes(root)})
    except (OSError, ValueError):
        return False
