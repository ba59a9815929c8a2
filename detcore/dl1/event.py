"""One event as a display needs it: the images of all its telescopes, cleaned and described, and the shower they show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from detcore.dl1.geometry import Camera


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
        Names of `image_parameters`, and those of `hillas` in the camera frame (camera_frame_hillas_x, ... in m). Without
        a focal length only the latter.
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
        (alt, az); and axes: the lines of the image axes on the ground, of each image that counts tel_id, tel_x, tel_y (m, where the
        telescope is when one looks along the pointing onto z = 0) and angle (deg, from x to y).
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
