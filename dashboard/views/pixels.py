"""A camera as it is drawn: corners of its pixels in metres or degrees, which of them meet, and a picture of their numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from scipy.spatial import KDTree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MEETING = 0.4  # of the length of a side: sides of two pixels whose middles are nearer than this are one border
CLOSED = 1.12  # pixels of a picture reach so far, so that it shows no gaps between them
HALF_GAP = 0.8  # points of a picture: gaps up to twice as wide would come and go from module to module
MARGIN = 1.08  # between a camera and what is beside it
TOUCH = 1.3  # of its radius: a click that near a pixel means it
MOST_CORNERS = 6  # circles are drawn with more, and share no sides
AXIS_LENGTHS = 3.0  # the axis of an image is drawn so many lengths to both sides


class CameraLike(Protocol):
    """What is needed of a camera; `detcore.dl1.Camera` has it."""

    @property
    def name(self) -> str:
        """For instance LSTCam."""

    @property
    def key(self) -> str:
        """Hash of positions and shape of the pixels."""

    @property
    def focal_length(self) -> float:
        """Not a number if it is not known; m."""

    def vertices(self) -> NDArray[np.float64]:
        """Corners of regular pixels, (pixel, corner, 2), counter-clockwise; m, x to the top of the sky."""


@dataclass(frozen=True, eq=False)
class Raster:
    """A picture of the numbers of pixels.

    Parameters
    ----------
    index
        (row, column) int32, row 0 at the bottom; -1 where no pixel is.
    box
        Left, right, bottom, top.
    """

    index: NDArray[np.int32]
    box: tuple[float, float, float, float]


class Segments(NamedTuple):
    """Lines from (x0, y0) to (x1, y1), each float32 (line,)."""

    x0: NDArray[np.float32]
    y0: NDArray[np.float32]
    x1: NDArray[np.float32]
    y1: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Pixels:
    """Where the pixels of a camera are drawn.

    Get it from `pixels_of`, which keeps what was worked out.

    Parameters
    ----------
    name
        Of the camera.
    key
        Equal for equal ones.
    vertices
        (pixel, corner, 2) of regular pixels that are all turned alike, in m or degrees.
    angles
        The axes are degrees on the sky, longitude to the right; else metres in the camera, x to the right.
    """

    name: str
    key: str
    vertices: NDArray[np.float64]
    angles: bool = False

    @property
    def count(self) -> int:
        """How many pixels there are."""
        return len(self.vertices)

    @property
    def unit(self) -> str:
        """Of the axes: deg or m."""
        return "deg" if self.angles else "m"

    @property
    def labels(self) -> tuple[str, str]:
        """Of the axes."""
        return ("FoV longitude (deg)", "FoV latitude (deg)") if self.angles else ("x (m)", "y (m)")

    @cached_property
    def centres(self) -> NDArray[np.float64]:
        """(pixel, 2)."""
        return np.asarray(self.vertices.mean(axis=1))

    @cached_property
    def radius(self) -> NDArray[np.float64]:
        """(pixel,), from the centre to the corners."""
        return np.asarray(np.hypot(*(self.vertices[:, 0] - self.centres).T))

    @cached_property
    def turn(self) -> float:
        """The direction of a corner from the centre, radian."""
        x, y = self.vertices[0, 0] - self.centres[0]
        return math.atan2(y, x)

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top of a square that holds all pixels with their edges."""
        low, high = (find(self.vertices.reshape(-1, 2), axis=0) for find in (np.min, np.max))
        half = MARGIN * float((high - low).max()) / 2
        x, y = map(float, (low + high) / 2)
        return x - half, x + half, y - half, y + half

    def at(self, x: float, y: float) -> int | None:
        """Return the pixel at a place; None if there is none."""
        if not (math.isfinite(x) and math.isfinite(y)):
            return None
        distance, pixel = self._tree.query((x, y))
        return int(pixel) if distance < TOUCH * self.radius[pixel] else None

    def outline(self, selected: NDArray[np.bool_]) -> Segments:
        """Return the sides between selected pixels and others.

        Parameters
        ----------
        selected
            (pixel,) bool.
        """
        partner = self._partners
        others = (partner < 0) | ~selected[partner]
        pixel, side = np.nonzero(selected[:, None] & others)
        start, end = self.vertices[pixel, side], self.vertices[pixel, (side + 1) % self.vertices.shape[1]]
        return Segments(*np.concatenate([start, end], axis=1).astype(np.float32).T)

    def raster(self, side: int) -> Raster:
        """Return a picture of so many points along either side."""
        known = self._rasters
        if side not in known:
            known[side] = self._draw(side)
        return known[side]

    @cached_property
    def _rasters(self) -> dict[int, Raster]:
        return {}

    @cached_property
    def _tree(self) -> KDTree:
        return KDTree(self.centres)

    @cached_property
    def _partners(self) -> NDArray[np.int64]:
        """(pixel, corner): the pixel on the other side of the side from this corner to the next; -1: none."""
        corners = self.vertices.shape[1]
        partner = np.full((self.count, corners), -1, np.int64)
        if self.count < 2 or corners > MOST_CORNERS:
            return partner
        ahead = np.roll(self.vertices, -1, axis=1)
        middles = ((self.vertices + ahead) / 2).reshape(-1, 2)
        length = np.hypot(*(ahead - self.vertices).reshape(-1, 2).T)
        distances, found = map(np.asarray, KDTree(middles).query(middles, k=2))
        itself = found[:, 0] == np.arange(len(middles))
        nearest = np.where(itself, found[:, 1], found[:, 0])
        meets = np.where(itself, distances[:, 1], distances[:, 0]) < MEETING * length
        flat = np.where(meets, nearest // corners, -1)
        return np.asarray(flat.reshape(self.count, corners), np.int64)

    def _draw(self, side: int) -> Raster:
        left, right, bottom, _ = self.box
        step = (right - left) / side
        corners = self.vertices.shape[1]
        inner = math.cos(math.pi / corners) * self.radius
        inner = np.maximum(CLOSED * inner, inner + HALF_GAP * step)
        reach = math.ceil(float(inner.max()) / math.cos(math.pi / corners) / step)
        around = np.arange(-reach, reach + 1)
        columns, rows = (
            np.rint((self.centres[:, axis] - low) / step - 0.5).astype(np.int64)
            for axis, low in enumerate((left, bottom))
        )
        column = (columns[:, None, None] + around[None, None, :]) + np.zeros_like(around)[None, :, None]
        row = (rows[:, None, None] + around[None, :, None]) + np.zeros_like(around)[None, None, :]
        dx = left + (column + 0.5) * step - self.centres[:, 0, None, None]
        dy = bottom + (row + 0.5) * step - self.centres[:, 1, None, None]
        inside = (row >= 0) & (row < side) & (column >= 0) & (column < side)
        for number in range(corners):
            normal = self.turn + (2 * number + 1) * math.pi / corners
            inside &= dx * math.cos(normal) + dy * math.sin(normal) <= inner[:, None, None]
        pixel = np.nonzero(inside)[0]
        far_first = np.argsort(-np.hypot(dx[inside], dy[inside]))  # the nearest pixel is written last
        index = np.full((side, side), -1, np.int32)
        index[row[inside][far_first], column[inside][far_first]] = pixel[far_first]
        return Raster(index, self.box)


def pixels_of(camera: CameraLike, *, angles: bool | None = None) -> Pixels:
    """Return how a camera is drawn.

    Parameters
    ----------
    camera
        A `detcore.dl1.Camera`, for instance.
    angles
        Whether the axes are degrees on the sky, or metres in the camera. None: degrees if the focal length is known.

    Raises
    ------
    ValueError
        Degrees are asked for, but the focal length is not known.
    """
    length = float(camera.focal_length)
    if angles is None:
        angles = length > 0
    if angles and not length > 0:
        msg = f"camera {camera.name} has no focal length, which degrees need: draw it in metres"
        raise ValueError(msg)
    return _pixels_of(_Key(camera.key, camera.name, length if angles else 0.0, camera))


class _Key:
    """Finds the same camera again without comparing its arrays."""

    def __init__(self, key: str, name: str, length: float, camera: CameraLike) -> None:
        self.content, self.camera = (key, name, length), camera

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.content == other.content

    def __hash__(self) -> int:
        return hash(self.content)


@lru_cache(maxsize=64)
def _pixels_of(key: _Key) -> Pixels:
    (content, name, length), vertices = key.content, key.camera.vertices()
    if length:  # x of the camera points up in the sky: longitude belongs to y
        # a mirrored polygon goes round the other way
        vertices = np.degrees(vertices[:, ::-1, ::-1] / length)
    vertices = np.ascontiguousarray(vertices)
    vertices.setflags(write=False)
    return Pixels(name, f"{content} {length!r}", vertices, bool(length))


@dataclass(frozen=True)
class Ellipse:
    """An ellipse with its axis, in the units of the axes.

    Parameters
    ----------
    x, y
        The centre.
    length, width
        Half axes.
    psi
        Angle of the long one, degrees counter-clockwise from x.
    """

    x: float
    y: float
    length: float
    width: float
    psi: float

    @classmethod
    def of(cls, parameters: Mapping[str, Any], pixels: Pixels, focal_length: float = math.nan) -> Ellipse | None:
        """Return that of Hillas parameters, whether those are in degrees or metres.

        Parameters
        ----------
        parameters
            With hillas_fov_lon, hillas_fov_lat … in degrees, or camera_frame_hillas_x, camera_frame_hillas_y … in m.
        pixels
            What it is drawn on.
        focal_length
            m; only needed if the parameters are in the other unit than the axes.

        Returns
        -------
        Ellipse or None
            None without (finite) parameters.
        """
        sky = "hillas_fov_lon" in parameters
        prefix, names = ("hillas_", ("fov_lon", "fov_lat")) if sky else ("camera_frame_hillas_", ("x", "y"))
        try:
            x, y, length, width, psi = (
                float(parameters[f"{prefix}{name}"]) for name in (*names, "length", "width", "psi")
            )
        except KeyError:
            return None
        if sky != pixels.angles:  # the axes are swapped: a mirror at the diagonal
            scale = math.radians(focal_length) if sky else math.degrees(1 / focal_length)
            x, y, length, width, psi = y * scale, x * scale, length * scale, width * scale, 90.0 - psi
        found = (x, y, length, width, psi)
        return cls(*found) if all(map(math.isfinite, found)) else None

    @property
    def axis(self) -> tuple[float, float, float, float]:
        """The ends of its axis as it is drawn: x0, y0, x1, y1."""
        reach = AXIS_LENGTHS * self.length
        dx, dy = reach * math.cos(math.radians(self.psi)), reach * math.sin(math.radians(self.psi))
        return self.x - dx, self.y - dy, self.x + dx, self.y + dy


@dataclass(frozen=True)
class Ring:
    """A circle, in the units of the axes."""

    x: float
    y: float
    radius: float
