"""What a row of the table of images holds, by name; and how a camera travels as an attribute of chunks and results."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from typing_extensions import override

from detcore.dl1.images.geometry import Camera
from detcore.dl1.images.hillas import HILLAS
from detcore.dl1.images.parameters import FRACTIONS, MORPHOLOGY, STATISTICS, TIMING

if TYPE_CHECKING:
    import xarray as xr

READ: Final = ("tel_id", "obs_id", "event_id", "row", "multiplicity", "true_energy", "particle")
"""What is read of each image, or of its event."""
IN_METRES: Final = ("hillas_x", "hillas_y")  # instead of fov_lon and fov_lat, of cameras without a focal length
CALCULATED: Final = (
    "n_pixels",
    "n_islands",
    *(f"hillas_{name}" for name, _, _ in HILLAS),
    *IN_METRES,
    *(f"timing_{name}" for name, _, _ in TIMING),
    *(name for name, _ in FRACTIONS),
    *(f"morphology_{name}" for name, _ in MORPHOLOGY),
    *(f"{kind}_{name}" for kind in ("intensity", "peak_time") for name in STATISTICS),
)
"""What is calculated of each image."""
TABLE: Final = (*READ, *CALCULATED)
"""Columns of the table of images, which an expression may name; a file need not have all that are read."""
REMEMBERED: Final = 32  # cameras


class CameraFacts(dict[str, Any]):
    """A camera as plain values: name, pixel_x, pixel_y (m), pixel_area (m2), shape, rotation (deg), focal_length (m), key.

    A dictionary that can be compared although there are arrays in it.
    """

    def _same(self, other: object) -> bool:
        def content(one: dict[str, Any]) -> tuple[str, ...]:
            return tuple(str(one.get(name)) for name in ("key", "name", "focal_length"))

        return self is other or (isinstance(other, dict) and content(self) == content(other))

    @override
    def __eq__(self, other: object) -> bool:
        return self._same(other)

    @override
    def __ne__(self, other: object) -> bool:
        return not self._same(other)

    __hash__ = None  # as of every dictionary


def facts_of(camera: Camera) -> CameraFacts:
    """Return a camera as plain values, which `camera_of` reads."""
    names = ("name", "pixel_x", "pixel_y", "pixel_area", "shape", "rotation", "focal_length", "key")
    return CameraFacts({name: getattr(camera, name) for name in names})


def camera_of(data: xr.Dataset | dict[str, Any]) -> Camera:
    """Return the camera of a chunk or a result; the same object each time, so that its neighbours are found once.

    Parameters
    ----------
    data
        With the attribute ``camera``; or that attribute.

    Raises
    ------
    ValueError
        There is none.
    """
    facts = data if isinstance(data, dict) else data.attrs.get("camera")
    if isinstance(facts, Camera):
        return facts
    if not isinstance(facts, dict):
        msg = "expected the attribute camera, as chunks and results of detcore.dl1 have it"
        raise ValueError(msg)  # noqa: TRY004 - a Dataset without it is a wrong value
    name = (facts.get("key"), facts.get("name"), repr(facts.get("focal_length")))
    with _guard:
        known = _cameras.get(name) if name[0] else None
    if known is None:
        fields = ("name", "pixel_x", "pixel_y", "pixel_area", "shape", "rotation", "focal_length")
        missing = [field for field in fields if field not in facts]
        if missing:
            msg = f"the attribute camera lacks {', '.join(missing)}"
            raise ValueError(msg)
        made = Camera(**{field: facts[field] for field in fields})
        with _guard:
            known = _cameras.setdefault((made.key, made.name, repr(made.focal_length)), made)
            while len(_cameras) > REMEMBERED:
                _cameras.popitem(last=False)
    return known


_cameras: OrderedDict[tuple[Any, ...], Camera] = OrderedDict()
_guard = Lock()


def same_pixels(one: Camera, other: Camera, tolerance: float = 1e-3) -> bool:
    """Return whether two cameras have the same pixels at the same places, to so many metres."""
    if one is other or one.key == other.key:
        return True
    return one.n_pixels == other.n_pixels and bool(
        np.hypot(one.pixel_x - other.pixel_x, one.pixel_y - other.pixel_y).max() <= tolerance
    )
