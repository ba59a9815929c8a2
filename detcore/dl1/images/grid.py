"""Pixels as rows and columns: what a camera has in common with an image.

Pixels of a hexagonal camera lie on rows, shifted by half a pixel from one row to the next. Once the camera is turned so
that rows are parallel to an axis, each pixel has a row and, in steps of half a pixel, a column; and their sum is even
for all pixels or odd for all pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.spatial import KDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

MILLIMETRE = 1e-3
MERGE = 0.35  # of the distance between two lines: positions that differ by less lie on one line
MOST_LINES = 2048  # a camera of 10^4 pixels has about 200


class NoLattice(ValueError):
    """Pixels do not lie on rows and columns."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """Rows and columns of pixels.

    Parameters
    ----------
    x, y
        Positions of the columns and rows, rising, m; of a hexagonal camera a column each half a pixel (or a row, if
        the pixels stand in columns).
    column, row
        (pixel,) which of them a pixel lies on.
    hexagonal
        Every other place is empty, as in a chessboard.
    rotation
        The camera was turned by minus that, degrees counter-clockwise.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    column: NDArray[np.int64]
    row: NDArray[np.int64]
    hexagonal: bool
    rotation: float

    @property
    def rows_along_x(self) -> bool:
        """Whether the pixels of a line that are neighbours differ in x only."""
        return len(self.y) <= len(self.x)

    @property
    def lines(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Positions of the lines of pixels (m), and which one each pixel lies on."""
        return (self.y, self.row) if self.rows_along_x else (self.x, self.column)

    @property
    def places(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Positions along the lines (m), and which one each pixel has."""
        return (self.x, self.column) if self.rows_along_x else (self.y, self.row)

    @property
    def size(self) -> int:
        """Edge of the square image that the camera fills when nothing else is wished."""
        lines, places = len(self.lines[0]), len(self.places[0])
        return max(2 * lines, places + 1) if self.hexagonal else max(lines, places)


def lattice(
    pixel_x: NDArray[np.float64],
    pixel_y: NDArray[np.float64],
    shape: Literal["hexagon", "square", "circle"] = "hexagon",
    rotation: float = 0.0,
) -> Lattice:
    """Find rows and columns.

    Parameters
    ----------
    pixel_x, pixel_y
        (pixel,) m.
    shape
        Of the pixels; circles are taken to be packed like hexagons.
    rotation
        Of the pixels, degrees, counter-clockwise. If nothing lies on lines then, it is found from the neighbours.

    Returns
    -------
    Lattice
        Of the camera turned by `-rotation`.

    Raises
    ------
    NoLattice
        The pixels do not lie on lines.
    """
    x, y = np.asarray(pixel_x, np.float64), np.asarray(pixel_y, np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 3 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        msg = f"expected finite positions of three pixels or more, found shapes {x.shape} and {y.shape}"
        raise NoLattice(msg)
    hexagonal = shape != "square"
    positions = np.column_stack([x, y])
    tree = KDTree(positions)
    distances = np.asarray(tree.query(positions, k=2)[0])[:, 1]
    pitch = float(np.median(distances))
    if not pitch > 0:
        msg = "expected pixels side by side, found several at one place"
        raise NoLattice(msg)
    try:
        return _lattice(x, y, rotation, pitch, hexagonal=hexagonal)
    except NoLattice:
        return _lattice(x, y, _rotation(positions, tree, pitch, 6 if hexagonal else 4), pitch, hexagonal=hexagonal)


def _rotation(positions: NDArray[np.float64], tree: KDTree, pitch: float, neighbours: int) -> float:
    """Return the mean direction of the neighbours, degrees; it repeats after 360 / `neighbours`."""
    pairs = tree.query_pairs(1.2 * pitch, output_type="ndarray")
    step = positions[pairs[:, 1]] - positions[pairs[:, 0]]
    return float(np.degrees(np.angle(np.exp(1j * neighbours * np.arctan2(step[:, 1], step[:, 0])).sum())) / neighbours)


def _lattice(
    x: NDArray[np.float64], y: NDArray[np.float64], rotation: float, pitch: float, *, hexagonal: bool
) -> Lattice:
    cos, sin = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    spacing = pitch / 2 if hexagonal else pitch
    columns, column = _lines(x * cos + y * sin, spacing)
    rows, row = _lines(y * cos - x * sin, spacing)
    chessboard = (column + row) % 2
    if len(np.unique(column * len(rows) + row)) < len(x) or (hexagonal and np.any(chessboard != chessboard[0])):
        msg = (
            f"the {len(x)} pixels do not lie on rows and columns (turned by {rotation:g} degrees: {len(rows)} rows, "
            f"{len(columns)} columns); check the shape of the pixels"
        )
        raise NoLattice(msg)
    return Lattice(columns, rows, column, row, hexagonal, rotation)


def _lines(values: NDArray[np.float64], spacing: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return positions of lines, and the line of each value. Positions are rounded to 1 mm, as the original does."""
    rounded = np.around(values, 3) if spacing > 3 * MILLIMETRE else values
    different, which = np.unique(rounded, return_inverse=True)
    ends = np.append(np.diff(different) > MERGE * spacing, True)
    lines = different[ends]  # of positions that are one line the largest, as the original does
    line = np.concatenate([[0], np.cumsum(ends[:-1])])[which]
    gaps = np.diff(lines)
    if not len(gaps):
        msg = "all pixels lie on one line"
        raise NoLattice(msg)
    # A line without pixels is kept; a gap between modules (half a pixel in CHEC, rounded to 1 mm) is none.
    steps = np.maximum(1, np.floor(gaps / np.median(gaps) + 0.25)).astype(np.int64)
    at = np.concatenate([[0], np.cumsum(steps)])
    if at[-1] >= MOST_LINES:
        msg = f"expected at most {MOST_LINES} rows and columns, found {at[-1] + 1}"
        raise NoLattice(msg)
    return np.interp(np.arange(at[-1] + 1), at, lines), at[line]
