"""Cameras: where the pixels are, what shape they have, which touch each other."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

import numpy as np
from scipy.spatial import KDTree

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Shape = Literal["hexagon", "square", "circle"]
SHAPES: Final[tuple[Shape, ...]] = get_args(Shape)
MAX_PIXELS: Final = 1 << 18  # SCTCam, the largest planned, has 11328
HEX_NEIGHBOURS, HEX_REACH = 6, 1.4  # the second ring of a hexagonal grid begins at 1.73 of the spacing
SQUARE_NEIGHBOURS, SQUARE_REACH = 4, 1.5  # in L1, in which a diagonal is 2; modules of CHEC are a little apart
CORNERS: Final = {"hexagon": 6, "square": 4, "circle": 16}


class Neighbours(NamedTuple):
    """Which pixels touch which, as compressed sparse rows: those of pixel i are ``indices[indptr[i]:indptr[i + 1]]``.

    Parameters
    ----------
    indptr
        (pixel + 1,) int32.
    indices
        (link,) int32, increasing within a row.
    """

    indptr: NDArray[np.int32]
    indices: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Camera:
    """The pixels of a camera, in the camera frame of the files: x up in altitude, y to larger azimuth.

    Two cameras are equal when all that is stored is; all arrays are read-only.

    Parameters
    ----------
    name
        For instance LSTCam.
    pixel_x, pixel_y
        (pixel,) centres, m.
    pixel_area
        (pixel,) m2; nan where it is not known, which one that is not above zero counts as.
    shape
        Of the pixels; circles sit on a hexagonal grid.
    rotation
        Of the pixels, degrees counter-clockwise: a hexagon at 0 stands on a corner, and its neighbours are at multiples
        of 60 degrees from the x axis.
    focal_length
        Effective focal length, m; the equivalent one if that is unknown; nan if neither is known.

    Raises
    ------
    ValueError
        The arrays do not fit each other, positions are not finite, or the shape is unknown.
    """

    name: str
    pixel_x: NDArray[np.float64]
    pixel_y: NDArray[np.float64]
    pixel_area: NDArray[np.float64]
    shape: Shape
    rotation: float = 0.0
    focal_length: float = float("nan")

    def __post_init__(self) -> None:
        for name in ("pixel_x", "pixel_y", "pixel_area"):
            values = np.array(getattr(self, name), np.float64)  # a copy: the caller keeps the right to change its own
            if name == "pixel_area":
                values[~((values > 0) & (values < np.inf))] = np.nan
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        x, y, area = self.pixel_x, self.pixel_y, self.pixel_area
        if x.ndim != 1 or not x.shape == y.shape == area.shape or not 0 < x.size <= MAX_PIXELS:
            msg = (
                f"camera {self.name}: expected one x, y and area for each of 1 to {MAX_PIXELS} pixels, "
                f"found shapes {x.shape}, {y.shape}, {area.shape}"
            )
            raise ValueError(msg)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            msg = f"camera {self.name}: expected finite pixel positions, found nan or infinity"
            raise ValueError(msg)
        if self.shape not in SHAPES:
            msg = f"camera {self.name}: pixels are {', '.join(SHAPES)}; found {self.shape!r}"
            raise ValueError(msg)
        object.__setattr__(self, "rotation", float(self.rotation))
        object.__setattr__(self, "focal_length", float(self.focal_length))

    @cached_property
    def _content(self) -> tuple[str, ...]:
        area = hashlib.sha256(self.pixel_area.tobytes()).hexdigest()
        return self.key, area, self.name, repr(self.focal_length)  # repr: nan equals nan

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Camera) and self._content == other._content)

    def __hash__(self) -> int:
        return hash(self._content)

    def __repr__(self) -> str:
        return f"Camera({self.name!r}, {self.n_pixels} pixels, {self.shape}, focal_length={self.focal_length:g})"

    @cached_property
    def key(self) -> str:
        """Hash of positions, shape and rotation: what a table of neighbours or a mapping depends on."""
        digest = hashlib.sha256()
        digest.update(f"{self.shape} {self.rotation!r} {self.n_pixels}".encode())
        digest.update(self.pixel_x.tobytes())
        digest.update(self.pixel_y.tobytes())
        return digest.hexdigest()[:32]

    @property
    def n_pixels(self) -> int:
        """How many pixels there are."""
        return self.pixel_x.size

    @cached_property
    def pixel_width(self) -> NDArray[np.float64]:
        """(pixel,) m, from the area: between opposite sides of hexagons and squares, diameter of circles."""
        factor = {"hexagon": 2 / np.sqrt(3), "square": 1.0, "circle": 4 / np.pi}[self.shape]
        width: NDArray[np.float64] = np.sqrt(factor * self.pixel_area)
        width.setflags(write=False)
        return width

    @cached_property
    def neighbours(self) -> Neighbours:
        """Which pixels touch which.

        The rule of ctapipe since 0.10: hexagons and circles, the six nearest that are closer than 1.4 times the nearest;
        squares, the four nearest in L1 that are closer than 1.5 times the nearest. Where modules have gaps between them
        a link may go one way only.
        """
        square = self.shape == "square"
        most, reach = (SQUARE_NEIGHBOURS, SQUARE_REACH) if square else (HEX_NEIGHBOURS, HEX_REACH)
        distances, found = _nearest(self.pixel_x, self.pixel_y, most, 1 if square else 2)
        near = distances < reach * distances.min(axis=1, initial=np.inf, keepdims=True)
        found = np.sort(np.where(near, found, self.n_pixels), axis=1)  # those too far go behind the others
        near = found < self.n_pixels
        indptr = np.concatenate([[0], np.cumsum(near.sum(axis=1))]).astype(np.int32)
        indices = found[near].astype(np.int32)
        indptr.setflags(write=False)
        indices.setflags(write=False)
        return Neighbours(indptr, indices)

    @cached_property
    def neighbour_table(self) -> NDArray[np.uint32]:
        """(pixel, neighbour) the same as `neighbours`, six or four for each; the number of pixels stands for none."""
        indptr, indices = self.neighbours
        counts = np.diff(indptr)
        table = np.full((self.n_pixels, max(1, counts.max())), self.n_pixels, np.uint32)
        table[np.arange(table.shape[1]) < counts[:, None]] = indices
        table.setflags(write=False)
        return table

    def border(self, width: int = 1) -> NDArray[np.bool_]:
        """Return the outermost pixels.

        Parameters
        ----------
        width
            How many rows of pixels.

        Returns
        -------
        array
            (pixel,) bool: True for pixels with fewer neighbours than others have, and for ``width - 1`` steps from them.
        """
        if width < 1:
            return np.zeros(self.n_pixels, bool)
        known = self._borders
        if width not in known:
            indptr, indices = self.neighbours
            counts = np.diff(indptr)
            if width == 1:
                found = counts < counts.max()
            else:
                # as ctapipe: those with a neighbour in the row outside of them
                outer = np.concatenate([[0], np.cumsum(self.border(width - 1)[indices])])
                found = outer[indptr[1:]] > outer[indptr[:-1]]
            found.setflags(write=False)
            known[width] = found
        return known[width]

    @cached_property
    def _borders(self) -> dict[int, NDArray[np.bool_]]:
        return {}

    def telescope_frame(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the positions of the pixels on the sky, relative to the axis of the telescope.

        Linear in the position, as ctapipe has it; the axes are swapped: x of the camera points up.

        Returns
        -------
        fov_lon, fov_lat
            (pixel,) degrees; ``degrees(y / f)`` and ``degrees(x / f)``.

        Raises
        ------
        ValueError
            The focal length is not known.
        """
        if not self.focal_length > 0:
            msg = f"camera {self.name} has no focal length, which angles need: give one, or stay in the camera frame"
            raise ValueError(msg)
        return np.degrees(self.pixel_y / self.focal_length), np.degrees(self.pixel_x / self.focal_length)

    def vertices(self) -> NDArray[np.float64]:
        """Return the corners of the pixels, for drawing.

        The angle is that of the grid the pixels sit on; the stored one only counts when there is no grid.

        Returns
        -------
        array
            (pixel, corner, 2) x and y in m, counter-clockwise; six corners, four, or sixteen for circles.
        """
        n = CORNERS[self.shape]
        inner = {"hexagon": np.cos(np.pi / 6), "square": np.cos(np.pi / 4), "circle": 1.0}[self.shape]
        fold = 4 if self.shape == "square" else 6
        angle, order = _grid_angle(self.pixel_x, self.pixel_y, fold)
        start = np.radians(angle if order > 0.5 else self.rotation) + np.pi / n
        turn = start + 2 * np.pi / n * np.arange(n)
        corner = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
        centre = np.stack([self.pixel_x, self.pixel_y], axis=-1)
        return np.asarray(centre[:, None] + (self.pixel_width / (2 * inner))[:, None, None] * corner)

    def select(self, selected: NDArray[Any]) -> Camera:
        """Return the camera that consists of some of the pixels.

        Parameters
        ----------
        selected
            (pixel,) bool, or numbers of pixels.
        """
        x, y, area = (values[selected] for values in (self.pixel_x, self.pixel_y, self.pixel_area))
        return replace(self, pixel_x=x, pixel_y=y, pixel_area=area)


def camera_of_positions(name: str, x: ArrayLike, y: ArrayLike, focal_length: float = float("nan")) -> Camera:
    """Make a camera of the positions of its pixels alone, as CTA-ML files hold them.

    Links between nearest pixels lie at multiples of 60 degrees from each other on a hexagonal grid, of 90 degrees on a
    square one; their common angle is the rotation, their median length gives the area.

    Parameters
    ----------
    name
        For instance LSTCam.
    x, y
        (pixel,) centres, m.
    focal_length
        m.

    Returns
    -------
    Camera
        Of hexagons or squares; of circles without area when there is but one pixel.

    Raises
    ------
    ValueError
        As of `Camera`.
    """
    px, py = np.asarray(x, np.float64), np.asarray(y, np.float64)
    rough = Camera(name, px, py, np.full(px.shape, np.nan), "circle", 0.0, focal_length)  # checks the arrays
    distances, _ = _nearest(px, py, 1, 2)
    links = distances[np.isfinite(distances) & (distances > 0)]
    if not links.size:
        return rough
    spacing = float(np.median(links))
    (hexagon, hexagonal), (square, squareness) = (_grid_angle(px, py, fold) for fold in (6, 4))
    if hexagonal >= squareness:
        area = spacing * spacing * np.sqrt(3) / 2
        return replace(rough, shape="hexagon", rotation=hexagon, pixel_area=np.full(px.shape, area))
    return replace(rough, shape="square", rotation=square, pixel_area=np.full(px.shape, spacing * spacing))


def _nearest(
    x: NDArray[np.float64], y: NDArray[np.float64], most: int, norm: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return distances (pixel, most) and numbers of the nearest other pixels; infinity where there are fewer."""
    points = np.stack([x, y], axis=-1)
    distances, found = KDTree(points).query(points, k=most + 1, p=norm)
    distances, found = np.asarray(distances, np.float64), np.asarray(found, np.int64)
    own = found == np.arange(len(points))[:, None]
    own[~own.any(axis=1), -1] = True  # several in one place: leave the farthest out
    keep = ~own
    return distances[keep].reshape(-1, most), found[keep].reshape(-1, most)


def _grid_angle(x: NDArray[np.float64], y: NDArray[np.float64], fold: int) -> tuple[float, float]:
    """Return the angle of the links between nearest pixels, degrees modulo 360 / fold, and how well they agree (0 to 1)."""
    distances, found = _nearest(x, y, fold, 2)
    usable = np.isfinite(distances) & (distances > 0)
    if not usable.any():
        return 0.0, 0.0
    spacing = np.median(np.min(np.where(usable, distances, np.inf), axis=1))
    pixel, link = np.nonzero(usable & (distances < 1.2 * spacing))
    if not len(pixel):
        return 0.0, 0.0
    other = found[pixel, link]
    angles = np.arctan2(y[other] - y[pixel], x[other] - x[pixel])
    mean = np.exp(1j * fold * angles).mean()
    turn = float(np.degrees(np.angle(mean))) / fold % (360 / fold)
    # a grid along the axes must not come out at 59.9999 degrees
    return (0.0 if abs(turn - 360 / fold) < 1e-6 else turn), float(abs(mean))
