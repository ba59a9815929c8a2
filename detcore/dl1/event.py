"""One event as a display needs it: the images of all its telescopes, cleaned and described, and the shower they show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from detcore.core.schema import EVENT
from detcore.dl1.columns import CALCULATED
from detcore.dl1.eventindex import opened, plain
from detcore.dl1.files.pointing import axes_on_ground, observation_level, pointing_of
from detcore.dl1.images.cleaning import islands
from detcore.dl1.images.hillas import hillas_columns
from detcore.dl1.images.muon import muon_ring
from detcore.dl1.images.stereo import stereo
from detcore.dl1.steps import Cuts, keep_images

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from detcore.dl1.eventindex import Alike, KnownFile
    from detcore.dl1.files.model import Dl1File
    from detcore.dl1.images.geometry import Camera

SHAPE: Final = tuple(f"hillas_{name}" for name in ("intensity", "fov_lon", "fov_lat", "length", "width", "psi"))
STEREO_UNITS: Final = {
    "alt": "deg",
    "az": "deg",
    "alt_uncert": "deg",
    "core_x": "m",
    "core_y": "m",
    "h_max": "m",
    "average_intensity": "p.e.",
}


@dataclass(frozen=True, eq=False)
class OneCamera:
    """The image that one telescope took of an event.

    Parameters
    ----------
    tel_id
        The telescope.
    telescope
        Its row of `Dl1File.telescopes`: name, type, camera, optics, x, y, z and focal_length (m), n_pixels.
    camera
        Where the pixels are.
    row
        Of the image among those of the telescope.
    image
        (pixel,) float32, p.e.
    peak_time
        (pixel,) float32, or None.
    time_unit
        Of peak_time and of the parameters that come of it: "ns" or "sample".
    true_image
        (pixel,) int32, p.e. of Cherenkov light; or None.
    image_mask
        (pixel,) bool: what the file's own cleaning left; or None.
    selected
        (pixel,) bool: what the cleaning asked for left.
    island_labels
        (pixel,) int16: 0 not selected, else 1, 2, ...
    passes
        Whether the image passes the cuts on images, and counts for the direction.
    parameters
        As in the table of images (see `detcore.dl1.columns`), and the ellipse in the camera frame:
        camera_frame_hillas_x, _y, _length, _width in m, _psi in deg.
    file_parameters
        Those that the file holds for the image; or None.
    ring
        Names of `muon_ring`, and x, y, radius of the circle in the camera frame, m; None if not asked for, or no ring.
    """

    tel_id: int
    telescope: Mapping[str, Any]
    camera: Camera
    row: int
    image: NDArray[np.float32]
    peak_time: NDArray[np.float32] | None
    time_unit: str
    true_image: NDArray[np.int32] | None
    image_mask: NDArray[np.bool_] | None
    selected: NDArray[np.bool_]
    island_labels: NDArray[np.int16]
    passes: bool
    parameters: Mapping[str, float | int]
    file_parameters: Mapping[str, float | int] | None
    ring: Mapping[str, float | int] | None = None


@dataclass(frozen=True, eq=False)
class Event:
    """An event and all its images; see `load_event`.

    Parameters
    ----------
    path
        The file.
    obs_id, event_id
        Which event.
    number
        Of the event in the file, from 0: its row in `events_of`.
    info
        Its row of `Dl1File.events`, units in `units`.
    units
        name -> unit, of `info` and of `stereo`.
    cameras
        One for each telescope with an image, by tel_id.
    stereo
        None if there is no direction (fewer than two images that pass, or the pointing is unknown), else alt, az,
        alt_uncert (deg), core_x, core_y (m, on the ground), h_max (m), average_intensity (p.e.), n_telescopes; pointing
        (alt, az); and axes, see `axes_on_ground`: of each image that counts tel_id, tel_x, tel_y (m) and angle (deg, from x
        to y) of its line on the ground.
    problems
        What could not be read or found, in words.
    """

    path: str
    obs_id: int
    event_id: int
    number: int
    info: Mapping[str, Any]
    units: Mapping[str, str]
    cameras: tuple[OneCamera, ...]
    stereo: Mapping[str, Any] | None = None
    problems: tuple[str, ...] = field(default=())

    @property
    def tel_ids(self) -> tuple[int, ...]:
        """Telescopes with an image."""
        return tuple(one.tel_id for one in self.cameras)

    @property
    def ring(self) -> Mapping[str, float | int] | None:
        """The ring of the brightest image that has one, with its tel_id; None if there is none or it was not asked for."""
        found = [one for one in self.cameras if one.ring is not None]
        if not found:
            return None
        best = max(found, key=lambda one: float(one.image[one.selected].sum()))
        return {"tel_id": best.tel_id, **(best.ring or {})}

    def camera(self, tel_id: int) -> OneCamera:
        """Return the image of a telescope.

        Raises
        ------
        KeyError
            It took none.
        """
        for one in self.cameras:
            if one.tel_id == tel_id:
                return one
        known = ", ".join(map(str, self.tel_ids)) or "none"
        msg = f"telescope {tel_id} has no image of event {self.event_id} of run {self.obs_id}; those with one: {known}"
        raise KeyError(msg)


def load_event(
    path: str | os.PathLike[str], obs_id: int, event_id: int, cuts: Cuts | None = None, *, ring: bool = False
) -> Event:
    """Read an event and describe its images.

    Parameters
    ----------
    path
        The file.
    obs_id, event_id
        Which event.
    cuts
        How to clean, which telescopes to take, and what images must have to count for the direction; the other cuts do
        not matter. None: the usual.
    ring
        Fit rings of muons, too.

    Returns
    -------
    Event
        With an empty tuple of cameras if there is no image.

    Raises
    ------
    KeyError
        The file has no such event.
    OSError, ValueError
        The file cannot be read, or is damaged. What is wrong with the images of one telescope is told in `Event.problems`.

    Examples
    --------
    >>> import tempfile
    >>> from detcore import dl1
    >>> path = dl1.write_demo(tempfile.mkdtemp())[0]
    >>> first = dl1.events_of(path).iloc[0]
    >>> event = dl1.load_event(path, first.obs_id, first.event_id)
    >>> len(event.cameras) == int(first.multiplicity)
    True
    """
    known, cuts = opened(path), cuts or Cuts()
    number = known.number(int(obs_id), int(event_id))
    info = {str(name): plain(value) for name, value in known.events.iloc[number].items()}
    raw = known.images(number)
    problems = list(raw.problems)
    cameras: list[OneCamera] = []
    for images in raw.groups:
        try:
            cameras += _described(known, images, cuts, ring)
        except ValueError as error:  # for instance a cleaning that the file does not have
            problems.append(f"camera {images.camera.name}: {error}")
    cameras.sort(key=lambda one: one.tel_id)
    return Event(
        path=known.file.path,
        obs_id=int(obs_id),
        event_id=int(event_id),
        number=number,
        info=info,
        units={**known.events.attrs.get("units", {}), **STEREO_UNITS},
        cameras=tuple(cameras),
        stereo=_stereo(known.file, cameras, info, problems),
        problems=tuple(problems),
    )


def _described(known: KnownFile, images: Alike, cuts: Cuts, ring: bool) -> list[OneCamera]:
    """Describe images of equal cameras, by the same steps as those of whole files."""
    camera, chunk = images.camera, images.chunk
    if cuts.telescopes:
        chunk = keep_images(chunk, np.isin(chunk["tel_id"].values, cuts.telescopes))
        if not chunk.sizes[EVENT]:
            return []
    found = cuts.parametrised().apply(chunk)
    kept = found
    for step in cuts.of_images():
        kept = step.apply(kept)
    passing = set(kept["tel_id"].values.tolist())
    values = {str(name): one.values for name, one in found.variables.items()}
    charges, selected = values["image"], values["selected"]
    of_camera = hillas_columns(charges, selected, camera, "camera")
    columns = {name: values[name] for name in CALCULATED if name in values}
    rows = _rows({**columns, **{name: one for name, (_, one, _) in of_camera.items()}})
    rings = _rings(charges, selected, camera) if ring and camera.focal_length > 0 else [None] * len(rows)
    labels, _ = islands(selected, camera)
    return [
        OneCamera(
            tel_id=tel_id,
            telescope=known.telescopes[tel_id],
            camera=camera,
            row=int(values["row"][k]),
            image=charges[k],
            time_unit=known.file.time_unit,
            selected=selected[k],
            island_labels=labels[k],
            passes=tel_id in passing and bool(np.isfinite(rows[k]["hillas_intensity"])),
            parameters=rows[k],
            file_parameters=images.parameters.get(tel_id),
            ring=rings[k],
            **{name: values[name][k] if name in values else None for name in ("peak_time", "image_mask", "true_image")},
        )
        for k, tel_id in enumerate(values["tel_id"].tolist())
    ]


def _rows(columns: Mapping[str, NDArray[Any]]) -> list[dict[str, float | int]]:
    """Return the rows of columns as numbers of Python."""
    values = {name: column.tolist() for name, column in columns.items()}
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _rings(
    charges: NDArray[Any], selected: NDArray[np.bool_], camera: Camera
) -> list[Mapping[str, float | int] | None]:
    answer: list[Mapping[str, float | int] | None] = []
    scale = float(np.radians(camera.focal_length))
    found = {str(name): one.values for name, one in muon_ring(charges, selected, camera).variables.items()}
    for row in _rows(found):
        # x of the camera frame points up, to larger latitude
        names = {"x": "center_fov_lat", "y": "center_fov_lon", "radius": "radius"}
        circle = {name: row[f"muonring_{angle}"] * scale for name, angle in names.items()}
        answer.append({**row, **circle} if np.isfinite(circle["radius"]) else None)
    return answer


def _stereo(
    file: Dl1File, cameras: Sequence[OneCamera], info: Mapping[str, Any], problems: list[str]
) -> dict[str, Any] | None:
    used = [one for one in cameras if one.passes and "hillas_fov_lon" in one.parameters]
    used = [one for one in used if one.parameters["hillas_width"] > 0]
    if len(used) < 2:
        return None
    n, tel_ids = len(used), [one.tel_id for one in used]
    keys = {"obs_id": np.full(n, info["obs_id"]), "event_id": np.full(n, info["event_id"]), "tel_id": np.array(tel_ids)}
    table = pd.DataFrame(keys | {name: [one.parameters[name] for one in used] for name in SHAPE})
    try:
        looked = pointing_of(file, tel_ids, keys["obs_id"], [info["time"]] * n)
    except (OSError, ValueError) as error:
        problems.append(f"pointing: {error}")
        return None
    if np.isnan(looked).any():
        problems.append("no direction: the file does not say where the telescopes looked")
        return None
    telescopes, boxes = file.telescopes, {one.tel_id: one.camera for one in used}
    level = observation_level(file)
    found = stereo(table, telescopes, (looked[:, 0], looked[:, 1]), cameras=boxes, observation_level=level).iloc[0]
    if not found["is_valid"]:
        return None
    pointing = {
        "alt": float(looked[:, 0].mean()),
        "az": float(np.degrees(np.angle(np.exp(1j * np.radians(looked[:, 1])).mean())) % 360),
    }
    answer = {name: plain(found[name]) for name in (*STEREO_UNITS, "n_telescopes")}
    return answer | {"pointing": pointing, "axes": axes_on_ground(table, telescopes, looked).to_dict("records")}
