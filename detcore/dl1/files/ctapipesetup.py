"""Telescopes and cameras of ctapipe's DL1 files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from detcore.dl1.files.attributes import attribute, converted
from detcore.dl1.files.hdffile import Columns, columns, integers, node
from detcore.dl1.files.model import TELESCOPE_UNITS
from detcore.dl1.images.geometry import Camera

if TYPE_CHECKING:
    import h5py
    from numpy.typing import NDArray

    from detcore.dl1.images.geometry import Shape

LAYOUT: Final = "configuration/instrument/subarray/layout"
OPTICS: Final = "configuration/instrument/telescope/optics"
CAMERA: Final = "configuration/instrument/telescope/camera"
MOST_TELESCOPES: Final = 65536
# with the spellings of camera tables before version 2
PIXEL_SHAPES: Final[dict[str, Shape]] = {
    "hexagon": "hexagon",
    "hexagonal": "hexagon",
    "square": "square",
    "rectangular": "square",
    "circle": "circle",
    "circular": "circle",
}


@dataclass(frozen=True)
class Setup:
    """The array of telescopes.

    Parameters
    ----------
    telescopes
        As of `Dl1File.telescopes`.
    cameras
        tel_id -> camera, or why there is none.
    """

    telescopes: pd.DataFrame
    cameras: dict[int, Camera | ValueError]

    def camera(self, tel_id: int) -> Camera:
        """Return the camera of a telescope.

        Raises
        ------
        ValueError
            It cannot be read from the file.
        """
        found = self.cameras[tel_id]
        if isinstance(found, ValueError):
            raise found
        return found


def read(file: h5py.File) -> Setup:
    """Read telescopes, optics and cameras.

    Raises
    ------
    ValueError, OSError
        The layout is missing or damaged. What is wrong with one camera is told when it is asked for.
    """
    where = f"{file.filename}: {LAYOUT}"
    names = ("name", "camera_name", "optics_name", "camera_type", "tel_description", "camera_index", "optics_index")
    layout = columns(file, LAYOUT, ("tel_id", "pos_x", "pos_y", "pos_z"), names)
    tel_ids = integers(layout, "tel_id", where)
    if not 0 < len(tel_ids) <= MOST_TELESCOPES or len(np.unique(tel_ids)) != len(tel_ids):
        msg = f"{where}: expected 1 to {MOST_TELESCOPES} telescopes with a number each, found {tel_ids[:20]}"
        raise ValueError(msg)
    camera_keys = _first(layout, ("camera_index", "camera_type", "camera_name"), where)
    camera_names = _first(layout, ("camera_name", "camera_type", "camera_index"), where)
    focal, optics_names = _focal_lengths(file, layout, len(tel_ids))
    made: dict[tuple[str, str, float], Camera | ValueError] = {}
    same: dict[Camera, Camera] = {}
    cameras: dict[int, Camera | ValueError] = {}
    for tel_id, key, name, length in zip(tel_ids, camera_keys, camera_names, focal, strict=True):
        known = key, name, float(length) if np.isfinite(length) else -1.0
        if known not in made:
            try:
                camera = _camera(file, key, name, float(length))
                made[known] = same.setdefault(camera, camera)
            except ValueError as error:
                made[known] = error
        cameras[int(tel_id)] = made[known]
    sizes = [one.n_pixels if isinstance(one, Camera) else 0 for one in cameras.values()]
    types = [f"{optics}_{camera}".replace("-", "") for optics, camera in zip(optics_names, camera_names, strict=True)]
    telescopes = pd.DataFrame(
        {
            "name": layout.values.get("name", np.array(optics_names, str)),
            "type": types,
            "camera": camera_names,
            "optics": optics_names,
            **{axis: _metres(layout, f"pos_{axis}", where) for axis in "xyz"},
            "focal_length": focal,
            "n_pixels": np.array(sizes, np.int64),
        },
        index=pd.Index(tel_ids, name="tel_id"),
    )
    telescopes.attrs["units"] = dict(TELESCOPE_UNITS)
    return Setup(telescopes, cameras)


def _first(found: Columns, names: tuple[str, ...], where: str) -> list[str]:
    """Return the first of some columns that is there, as text."""
    for name in names:
        if name in found.values and found.values[name].ndim == 1:
            return [str(one) for one in found.values[name]]
    msg = f"{where}: expected one of the columns {', '.join(names)}"
    raise ValueError(msg)


def _metres(found: Columns, name: str, where: str, unit: str = "m") -> NDArray[np.float64]:
    values = found.values[name]
    if values.dtype.kind not in "fiu" or values.ndim != 1:
        msg = f"{where}: expected a number in each row of {name}, found {values.dtype} of shape {values.shape[1:]}"
        raise ValueError(msg)
    return np.asarray(converted(values.astype(np.float64), found.facts[name].unit, unit, f"{where}/{name}"))


def _focal_lengths(file: h5py.File, layout: Columns, n: int) -> tuple[NDArray[np.float64], list[str]]:
    """Return the focal length of each telescope, the effective one if it is there, m; and the name of its optics."""
    where = f"{file.filename}: {OPTICS}"
    lengths = ("effective_focal_length", "equivalent_focal_length")
    named = ("optics_name", "name", "tel_description")
    own = [[str(one) for one in layout.values[key]] for key in named if key in layout.values]
    optics_names = own[0] if own else ["unknown"] * n
    if node(file, OPTICS) is None:
        return np.full(n, np.nan), optics_names
    optics = columns(file, OPTICS, (), ("optics_name", "description", "name", *lengths))
    known = np.full(optics.rows, np.nan)
    for name in lengths:
        if name in optics.values:
            values = _metres(optics, name, where)
            known = np.where(np.isfinite(known) & (known > 0), known, values)
    known = np.where(np.isfinite(known) & (known > 0), known, np.nan)
    if "optics_index" in layout.values:
        rows = integers(layout, "optics_index", f"{file.filename}: {LAYOUT}")
        if len(rows) and not (rows.min() >= 0 and rows.max() < optics.rows):
            msg = f"{file.filename}: {LAYOUT}: optics_index up to {rows.max()}, but there are {optics.rows} optics"
            raise ValueError(msg)
        return known[rows], optics_names
    # before v5 the name is the index
    table: dict[str, float] = {}
    for key in ("optics_name", "description", "name"):
        if key in optics.values:
            for one, length in zip(optics.values[key], known, strict=True):
                table.setdefault(str(one), float(length))
    found = [next((table[one] for one in words if one in table), np.nan) for words in zip(*own, strict=True)]
    return np.array(found if own else [np.nan] * n), optics_names


def _camera(file: h5py.File, key: str, name: str, focal_length: float) -> Camera:
    place = f"{CAMERA}/geometry_{key}"
    where = f"{file.filename}: {place}"
    if "/" in key:
        msg = f"{where}: a camera cannot have this name"
        raise ValueError(msg)
    try:
        found = columns(file, place, ("pix_x", "pix_y", "pix_area"))
    except OSError as error:
        raise ValueError(str(error)) from error
    item: Any = node(file, place)
    word = str(attribute(item, "PIX_TYPE"))
    if word.lower() not in PIXEL_SHAPES:
        msg = f"{where}: expected PIX_TYPE to be one of {', '.join(PIXEL_SHAPES)}; found {word[:50]!r}"
        raise ValueError(msg)
    turned = attribute(item, "PIX_ROT")
    x, y, area = (
        _metres(found, key, where, unit) for key, unit in (("pix_x", "m"), ("pix_y", "m"), ("pix_area", "m2"))
    )
    rotation = float(turned) if isinstance(turned, (int, float)) and np.isfinite(turned) else 0.0
    try:
        return Camera(name, x, y, area, PIXEL_SHAPES[word.lower()], rotation, focal_length)
    except ValueError as error:
        msg = f"{where}: {error}"
        raise ValueError(msg) from error
