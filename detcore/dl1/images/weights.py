"""How much of each pixel goes into each cell of an image: sparse weights of the seven mapping methods.

All of them are built at once as (pixel, cell, weight) triples. Cells are numbered row by row from the top (largest y),
as pictures are.

Square cameras have weights that are products of one factor for rows and one for columns. Hexagonal ones are filled up
with virtual pixels, which hold nothing, so that interpolation has something to end on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detcore.dl1.images.grid import Lattice

    _Corners: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]

MAPPING_METHODS: Final = (
    "oversampling",
    "rebinning",
    "nearest_interpolation",
    "bilinear_interpolation",
    "bicubic_interpolation",
    "image_shifting",
    "axial_addressing",
)
HEXAGONAL_ONLY: Final = ("image_shifting", "axial_addressing")
RESIZABLE: Final = MAPPING_METHODS[1:5]
CONSERVING: Final = ("rebinning", "bilinear_interpolation")  # the other two interpolations give a value, not a charge
MARGIN: Final = 3  # rows of virtual pixels around the camera; bicubic interpolation looks two pixels far
SUBCELLS: Final = 10  # per edge of a cell, in rebinning; more if cells are larger than pixels


def shifted(lattice: Lattice) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Push every other line half a pixel aside: rows and columns, one cell each.

    Returns
    -------
    line, place, size
        (pixel,) each, and the edge of the image.
    """
    (lines, line), (places, place) = lattice.lines, lattice.places
    spare = 2 * len(lines) - len(places)
    size = len(lines) if spare >= 0 else (len(places) + 1) // 2
    return line + (size - len(lines)) // 2, (place + max(0, spare + 1) // 2) // 2, size


def axial(lattice: Lattice) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Shear lines until the pixels stand in columns: axial coordinates; as `shifted`."""
    (lines, line), (_, place) = lattice.lines, lattice.places
    sheared = place + len(lines) - 1 - line
    sheared = (sheared - sheared.min()) // 2
    return line, sheared, int(max(len(lines), sheared.max() + 1))


def oversampled(lattice: Lattice) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Give each hexagonal pixel four cells (two lines, two places), each square one; as `shifted`, (4 * pixel,)."""
    (lines, line), (places, place) = lattice.lines, lattice.places
    size = lattice.size
    if not lattice.hexagonal:
        return line + (size - len(lines)) // 2, place + (size - len(places)) // 2, size
    line = 2 * line + (size - 2 * len(lines)) // 2
    place = place + (size - len(places)) // 2  # of an odd number of spare cells one more goes to the front
    return (
        np.repeat(line, 4) + np.tile([0, 0, 1, 1], len(line)),
        np.repeat(place, 4) + np.tile([0, 1], 2 * len(place)),
        size,
    )


def weights(
    lattice: Lattice, method: str, size: int | None = None, *, masked: bool = False, normalize: bool | None = None
) -> sparse.csr_array:
    """Build the weights of a mapping.

    Parameters
    ----------
    lattice
        Rows and columns of a camera.
    method
        One of `MAPPING_METHODS`.
    size
        Edge of the image, cells; None: as many as the camera has (lines twice). Only for the interpolating methods.
    masked
        Leave cells empty whose centre lies outside of the camera (bilinear and bicubic).
    normalize
        Scale all weights by one factor so that an evenly lit camera keeps its charge. None: in rebinning and bilinear
        interpolation.

    Returns
    -------
    csr_array
        (pixel, cell) float32; row 0 of the image is its top.

    Raises
    ------
    ValueError
        A method for hexagons and a camera of squares, or a size that cannot be.
    """
    if method not in MAPPING_METHODS:
        msg = f"unknown mapping method {method!r}; there are {', '.join(MAPPING_METHODS)}"
        raise ValueError(msg)
    n_pixels = len(lattice.column)
    if method not in RESIZABLE:
        if method in HEXAGONAL_ONLY and not lattice.hexagonal:
            msg = f"{method} is for hexagonal pixels; those of this camera are squares: take oversampling (1:1)"
            raise ValueError(msg)
        places = {"oversampling": oversampled, "image_shifting": shifted, "axial_addressing": axial}[method]
        line, place, edge = places(lattice)
        row, column = (line, place) if lattice.rows_along_x else (place, line)
        share = n_pixels / len(line)  # 1, or 1/4
        pixel = np.repeat(np.arange(n_pixels), len(line) // n_pixels)
        cells = sparse.coo_array((np.full(len(line), share), (pixel, row * edge + column)), (n_pixels, edge * edge))
    else:
        edge = lattice.size if size is None else size
        cells = (_hexagonal if lattice.hexagonal else _square)(lattice, method, edge, masked=masked)
        total = float(cells.sum())
        if (method in CONSERVING if normalize is None else normalize) and total > 0:
            cells = cells * (n_pixels / total)
    numbers, cell = cells.coords
    top_first = (edge - 1 - cell // edge) * edge + cell % edge
    table = sparse.csr_array((cells.data, (numbers, top_first)), (n_pixels, edge * edge))
    table.sum_duplicates()
    return table.astype(np.float32)


def turned(table: sparse.csr_array, edge: int, lattice: Lattice) -> sparse.csr_array:
    """Turn images back to how the camera hangs, by bilinear interpolation; what leaves the image is lost.

    Parameters
    ----------
    table
        (pixel, cell), as `weights` gives it.
    edge
        Of the image, cells.
    lattice
        Of the camera.
    """
    rows, columns = np.divmod(np.arange(edge * edge), edge)
    total = np.asarray(table.sum(axis=1)).ravel()
    centres = np.stack([table @ rows, table @ columns]) / np.where(total > 0, total, np.nan)
    positions = np.stack([lattice.x[lattice.column], lattice.y[lattice.row], np.ones(len(total))])
    known = np.isfinite(centres).all(axis=0)
    to_cells = np.linalg.lstsq(positions[:, known].T, centres[:, known].T, rcond=None)[0].T  # (2, 3), m -> cells
    matrix, origin = to_cells[:, :2], to_cells[:, 2:]
    cos, sin = np.cos(np.radians(lattice.rotation)), np.sin(np.radians(lattice.rotation))
    seen = np.linalg.solve(matrix, np.stack([rows, columns]) - origin)  # of each new cell, camera frame, m
    row, column = matrix @ (np.array([[cos, sin], [-sin, cos]]) @ seen) + origin
    old, new, share = [], [], []
    for down in (0, 1):
        for right in (0, 1):
            at_row, at_column = np.floor(row).astype(int) + down, np.floor(column).astype(int) + right
            there = (at_row >= 0) & (at_row < edge) & (at_column >= 0) & (at_column < edge)
            old.append((at_row * edge + at_column)[there])
            new.append(np.flatnonzero(there))
            share.append(((1 - abs(row - at_row)) * (1 - abs(column - at_column)))[there])
    turn = sparse.csr_array(
        (np.concatenate(share), (np.concatenate(old), np.concatenate(new))), (edge * edge, edge * edge)
    )
    found = sparse.csr_array(table @ turn, dtype=np.float32)
    found.eliminate_zeros()
    found.sort_indices()
    return found


class _Triangles:
    """The pixels of a hexagonal camera, virtual ones around them, and the triangles between them.

    A triangle has two corners on its base line, one place before and one behind its middle, and a third, its apex, at
    the middle place on the next line (up, +1) or on the one before (-1).
    """

    def __init__(self, lattice: Lattice) -> None:
        (lines, line), (places, place) = lattice.lines, lattice.places
        spare = max(0, 2 * len(lines) - len(places))
        self.front, self.back = front, back = spare - spare // 2 + 2 * MARGIN, spare // 2 + 2 * MARGIN
        self.lines, self.places = _extended(lines, MARGIN, MARGIN), _extended(places, front, back)
        self.pixel = np.full((len(self.lines), len(self.places)), -1)
        self.pixel[line + MARGIN, place + front] = np.arange(len(line))
        self.parity = (line[0] + MARGIN + place[0] + front) % 2

    def centres(self, size: int, finer: int = 1) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return positions on the lines' axis and the places' axis of all cells (or subcells), flattened, m.

        Cells are spread over the pixels and the virtual ones, and `MARGIN` cells are cut off on each side, as in the
        original. Where few cells are wished, that would cut pixels off; then they are spread over the camera alone.
        """
        first, second = np.meshgrid(
            _spread(self.lines, MARGIN, MARGIN, 2 / 3, size, finer),  # of a line, half the height of a pixel
            _spread(self.places, self.front, self.back, 1, size, finer),
            indexing="ij",
        )
        return first.ravel(), second.ravel()

    def around(self, first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[NDArray[np.int64], ...]:
        """Return the triangle around each position: middle place, base line, direction."""
        line = np.clip(np.searchsorted(self.lines, first, side="right") - 1, 0, len(self.lines) - 2)
        place = np.clip(np.searchsorted(self.places, second, side="right") - 1, 0, len(self.places) - 2)
        rise = (first - self.lines[line]) / (self.lines[line + 1] - self.lines[line])
        run = (second - self.places[place]) / (self.places[place + 1] - self.places[place])
        # One side goes from corner to corner of the box of a line and a place: upwards, or downwards.
        upwards = (line + place) % 2 == self.parity
        behind = np.where(upwards, run > rise, run > 1 - rise)
        middle, apex_up = place + behind, upwards == behind
        return middle, np.where(apex_up, line, line + 1), np.where(apex_up, 1, -1)

    def corners(self, middle: NDArray[np.int64], base: NDArray[np.int64], up: NDArray[np.int64]) -> _Corners:
        """Return lines and places (…, 3) of the corners: the apex, then both ends of the base."""
        return np.stack([base + up, base, base], -1), np.stack([middle, middle - 1, middle + 1], -1)

    def opposite(self, middle: NDArray[np.int64], base: NDArray[np.int64], up: NDArray[np.int64]) -> _Corners:
        """Return, for each corner, the one that the neighbour across from it has instead."""
        return np.stack([base - up, base + up, base + up], -1), np.stack([middle, middle + 2, middle - 2], -1)

    def numbers(self, corners: _Corners) -> NDArray[np.int64]:
        """Return the number of the pixel at each corner; -1 for virtual ones."""
        line, place = corners
        n_lines, n_places = self.pixel.shape
        inside = (line >= 0) & (line < n_lines) & (place >= 0) & (place < n_places)
        return np.where(inside, self.pixel[np.clip(line, 0, n_lines - 1), np.clip(place, 0, n_places - 1)], -1)

    def positions(self, corners: _Corners) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return positions of corners, m."""
        return self.lines[np.clip(corners[0], 0, len(self.lines) - 1)], self.places[
            np.clip(corners[1], 0, len(self.places) - 1)
        ]


def _extended(ticks: NDArray[np.float64], before: int, after: int) -> NDArray[np.float64]:
    step = np.around(ticks[1] - ticks[0], 3) or ticks[1] - ticks[0]
    low, high = ticks[0] - step * np.arange(before, 0, -1), ticks[-1] + step * np.arange(1, after + 1)
    return np.concatenate([low, ticks, high])


def _spread(
    ticks: NDArray[np.float64], before: int, after: int, half: float, size: int, finer: int
) -> NDArray[np.float64]:
    """Return positions of cells along one axis, of which `before` and `after` ticks are virtual."""
    cut = MARGIN * finer
    cells = np.linspace(ticks[0], ticks[-1], (size + 2 * MARGIN) * finer)[cut:-cut]
    edge = half * (ticks[1] - ticks[0])
    low, high = ticks[before] - edge, ticks[-1 - after] + edge
    beside = (ticks[-1] - ticks[0]) / (size + 2 * MARGIN - 1) / 2
    if cells[0] - beside <= low and cells[-1] + beside >= high:
        return cells
    return np.asarray(low + (high - low) * (np.arange(size * finer) + 0.5) / (size * finer))


def _hexagonal(lattice: Lattice, method: str, size: int, *, masked: bool) -> sparse.coo_array:
    """Interpolate; returns (pixel, cell), lines and places rising."""
    triangles = _Triangles(lattice)
    # large cells have more parts, so that no pixel falls between them
    finer = max(SUBCELLS, -(-5 * lattice.size // size)) if method == "rebinning" else 1
    first, second = triangles.centres(size, finer)
    triangle = triangles.around(first, second)
    own = triangles.corners(*triangle)
    line, place = np.divmod(np.arange(len(first)), size * finer)
    cell = line // finer * size + place // finer
    if masked or method in ("rebinning", "nearest_interpolation"):
        nearest = _nearest(triangles, own, first, second)
    if method in ("rebinning", "nearest_interpolation"):
        pixel, weight = nearest, np.full(len(cell), 1 / finer**2)
    else:
        if method == "bilinear_interpolation":
            pixel, weight = triangles.numbers(own), _barycentric(triangles.positions(own), first, second)
        else:
            pixel, weight = _bicubic(triangles, triangle, first, second)
        if masked:
            weight[nearest < 0] = 0
        cell = np.repeat(cell, pixel.shape[1])
        pixel, weight = pixel.ravel(), weight.ravel()
    real = (pixel >= 0) & (weight != 0)
    if not lattice.rows_along_x:
        cell = cell % size * size + cell // size
    return sparse.coo_array((weight[real], (pixel[real], cell[real])), (len(lattice.row), size * size))


def _nearest(
    triangles: _Triangles, corners: _Corners, first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the nearest pixel, -1 where it is a virtual one: always a corner, for no angle is above 90 degrees."""
    lines, places = triangles.positions(corners)
    closest = np.argmin((lines - first[:, None]) ** 2 + (places - second[:, None]) ** 2, axis=1)
    return np.take_along_axis(triangles.numbers(corners), closest[:, None], 1)[:, 0]


def _bicubic(
    triangles: _Triangles,
    triangle: tuple[NDArray[np.int64], ...],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return twelve pixels around each position and their weights: the mean of four interpolations.

    Each triangle and its three neighbours make a triangle of twice the size. Four of these hold the position: the one
    around its own triangle and those around the three neighbours. A triangle without any pixel has no part.
    """
    middle, base, up = triangle
    four = [triangle, (middle, base, -up), (middle + 1, base + up, -up), (middle - 1, base + up, -up)]
    pixels, weights = [], []
    for one in four:
        far = triangles.opposite(*one)
        share = _barycentric(triangles.positions(far), first, second) / 4
        share[(triangles.numbers(triangles.corners(*one)) < 0).all(axis=1)] = 0
        pixels.append(triangles.numbers(far))
        weights.append(share)
    return np.concatenate(pixels, axis=1), np.concatenate(weights, axis=1)


def _barycentric(
    corners: tuple[NDArray[np.float64], NDArray[np.float64]], first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (position, 3) weights of the corners, (position, 3) each, that give the position as their mean."""
    (a1, b1, c1), (a2, b2, c2) = corners[0].T, corners[1].T
    area = (a1 - c1) * (b2 - c2) - (a2 - c2) * (b1 - c1)
    flat = area == 0  # at the rim of the virtual pixels, where nothing real is near
    area[flat] = np.inf
    of_a = ((first - c1) * (b2 - c2) - (second - c2) * (b1 - c1)) / area
    of_b = ((a1 - c1) * (second - c2) - (a2 - c2) * (first - c1)) / area
    return np.column_stack([of_a, of_b, 1 - of_a - of_b])


def _square(lattice: Lattice, method: str, size: int, *, masked: bool) -> sparse.coo_array:
    """Interpolate; returns (pixel, cell), rows rising."""
    down, across = (_one_axis(ticks, method, size) for ticks in (lattice.y, lattice.x))
    pixels = lattice.row * len(lattice.x) + lattice.column
    cells = sparse.csr_array(sparse.kron(down, across, format="csr"))[pixels]
    if masked and method in ("bilinear_interpolation", "bicubic_interpolation"):
        nearest = [_one_axis(ticks, "nearest_interpolation", size) for ticks in (lattice.y, lattice.x)]
        inside = sparse.csr_array(sparse.kron(nearest[0], nearest[1], format="csr"))[pixels].sum(axis=0) > 0
        cells = sparse.csr_array(cells * inside[None, :])
    return sparse.coo_array(cells)


def _one_axis(ticks: NDArray[np.float64], method: str, size: int) -> sparse.csr_array:
    """Return (tick, cell) weights along one axis."""
    n = len(ticks)
    if method == "rebinning":
        finer = max(SUBCELLS, -(-5 * n // size))
        fine = np.linspace(ticks[0], ticks[-1], size * finer)
        at, cell = _closest(ticks, fine), np.arange(len(fine)) // finer
        return sparse.csr_array(sparse.coo_array((np.full(len(fine), 1 / finer), (at, cell)), (n, size)))
    targets = np.linspace(ticks[0], ticks[-1], size)
    cell = np.arange(size)
    if method == "nearest_interpolation":
        return sparse.csr_array((np.ones(size), (_closest(ticks, targets), cell)), (n, size))
    left = np.clip(np.searchsorted(ticks, targets, side="right") - 1, 0, n - 2)
    if method == "bilinear_interpolation":
        right_share = (targets - ticks[left]) / (ticks[left + 1] - ticks[left])
        return sparse.csr_array(
            (np.concatenate([1 - right_share, right_share]), (np.concatenate([left, left + 1]), np.tile(cell, 2))),
            (n, size),
        )
    # The mean of two interpolations over two pixels each, as in the hexagonal case; beyond the ends there is nothing.
    wide = np.concatenate([[2 * ticks[0] - ticks[1]], ticks, [2 * ticks[-1] - ticks[-2]]])
    data, rows, columns = [], [], []
    for start in (left, left + 1):  # in `wide`: from one before the left neighbour, and from the left neighbour
        stop = np.minimum(start + 2, n + 1)
        share = (targets - wide[start]) / (wide[stop] - wide[start])
        for at, part in ((start - 1, 1 - share), (stop - 1, share)):
            there = (at >= 0) & (at < n)
            data.append(part[there] / 2)
            rows.append(at[there])
            columns.append(cell[there])
    return sparse.csr_array(
        sparse.coo_array((np.concatenate(data), (np.concatenate(rows), np.concatenate(columns))), (n, size))
    )


def _closest(ticks: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.int64]:
    middles = (ticks[1:] + ticks[:-1]) / 2
    return np.searchsorted(middles, targets).astype(np.int64)
