"""How the pixels of a camera become the cells of an image: sparse weights, and the ways to apply them to many images."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit
from scipy import sparse

from detcore.dl1.images.cleaning import frozen
from detcore.dl1.images.grid import lattice
from detcore.dl1.images.weights import MAPPING_METHODS, RESIZABLE, axial, turned, weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detcore.dl1.images.geometry import Camera

BLOCK: Final = 64  # images in one product
TILE: Final = 512  # cells that are transposed at once, so that both sides stay in the cache
LARGEST: Final = 2048  # edge of an image, cells


@dataclass(frozen=True, eq=False)
class ImageMapping:
    """How the pixels of a camera become an image.

    Parameters
    ----------
    weights
        (pixel, cell) float32; cells row by row from the top.
    shape
        Of the image: rows, columns.
    index_matrix
        (row, column) number of the pixel of each cell, -1 outside of the camera; of axial addressing only.
    """

    weights: sparse.csr_array
    shape: tuple[int, int]
    index_matrix: NDArray[np.int64] | None = None

    @cached_property
    def _cells(self) -> sparse.csr_array:
        return sparse.csr_array(self.weights.T)

    @cached_property
    def _sources(self) -> NDArray[np.intp] | None:
        """Which pixel each cell shows, one behind the last for none; None if a cell shows several."""
        cells = self._cells
        if not cells.nnz or np.diff(cells.indptr).max() > 1 or np.any(cells.data != cells.data[0]):
            return None
        sources = np.full(cells.shape[0], cells.shape[1])
        sources[np.diff(cells.indptr) == 1] = cells.indices
        return sources

    @cached_property
    def _threes(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.float32]] | None:
        """Arguments of `of_three`; None if a cell shows more than three pixels."""
        cells = self._cells
        counts = np.diff(cells.indptr)
        if not cells.nnz or counts.max() > 3:
            return None
        filled = np.flatnonzero(counts)
        there = np.arange(3) < counts[filled, None]
        pixels, shares = np.zeros(there.shape, np.uint32), np.zeros(there.shape, np.float32)
        pixels[there], shares[there] = cells.indices, cells.data
        return frozen(filled.astype(np.uint32)), frozen(pixels), frozen(shares)

    def apply(self, images: NDArray[Any]) -> NDArray[Any]:
        """Map images.

        Parameters
        ----------
        images
            (event, pixel, channel).

        Returns
        -------
        ndarray
            (event, row, column, channel); float32, or float64 for what float32 cannot hold.
        """
        n, _, channels = images.shape
        given = images.astype(np.result_type(images.dtype, np.float32), copy=False)
        out = np.empty((n, self.shape[0] * self.shape[1], channels), given.dtype)
        if self._sources is not None:
            self._hand_out(given, out, self._sources)
        elif self._threes is not None:
            for channel in range(channels):
                mapped = np.zeros(out.shape[:2], out.dtype)
                of_three(frozen(given[..., channel]), *self._threes, mapped)
                if channels == 1:
                    return mapped.reshape(n, *self.shape, 1)
                out[..., channel] = mapped
        else:
            self._multiply(given, out)
        return out.reshape(n, *self.shape, channels)

    def _hand_out(self, images: NDArray[Any], out: NDArray[Any], sources: NDArray[np.intp]) -> None:
        one = images.shape[2] == 1
        for start in range(0, len(images), BLOCK):
            block, target = images[start : start + BLOCK], out[start : start + BLOCK]
            pixels = np.zeros((len(block), block.shape[1] + 1, block.shape[2]), block.dtype)
            np.multiply(block, self._cells.data[0], out=pixels[:, :-1])
            np.take(pixels[..., 0] if one else pixels, sources, 1, target[..., 0] if one else target, "clip")

    def _multiply(self, images: NDArray[Any], out: NDArray[Any]) -> None:
        for start in range(0, len(images), BLOCK):
            block, target = images[start : start + BLOCK], out[start : start + BLOCK]
            transposed = np.ascontiguousarray(block.transpose(1, 0, 2)).reshape(block.shape[1], -1)
            cells = (self._cells @ transposed).reshape(-1, len(block), block.shape[2])
            for first in range(0, len(cells), TILE):
                target[:, first : first + TILE] = cells[first : first + TILE].transpose(1, 0, 2)


@njit(cache=True, nogil=True)
def of_three(images, cells, pixels, shares, out):  # type: ignore[no-untyped-def]
    """Write sums of up to three pixels to cells.

    Parameters
    ----------
    images
        (image, pixel).
    cells, pixels, shares
        (cell,) numbers of cells, uint32; (cell, 3) those of its pixels, uint32, and their weights; a weight may be 0.
    out
        (image, all cells), written.
    """
    for image in range(len(images)):
        charges, target = images[image], out[image]
        for k in range(len(cells)):
            first, second, third = charges[pixels[k, 0]], charges[pixels[k, 1]], charges[pixels[k, 2]]
            target[cells[k]] = shares[k, 0] * first + shares[k, 1] * second + shares[k, 2] * third


def image_mapping(
    camera: Camera,
    method: str = "oversampling",
    size: int | None = None,
    *,
    padding: int = 0,
    rotate_camera: bool = False,
    mask_interpolation: bool = False,
    normalize: bool | None = None,
) -> ImageMapping:
    """Return the mapping of a camera, from memory if it was asked for before.

    Parameters
    ----------
    camera
        Its positions, shape and rotation count.
    method
        See `ImageMapper`.
    size
        Edge of the image without padding, cells; None: what fits the camera. Of the interpolating methods only.
    padding
        Empty cells on each side.
    rotate_camera, mask_interpolation, normalize
        See `ImageMapper`.

    Raises
    ------
    ValueError
        A method or size that cannot be, or pixels that do not lie on lines (`NoLattice`).
    """
    if method not in MAPPING_METHODS:
        msg = f"unknown mapping method {method!r}; there are {', '.join(MAPPING_METHODS)}"
        raise ValueError(msg)
    wished = size if method in RESIZABLE else None
    if wished is not None and not 1 <= wished <= LARGEST:
        msg = f"expected an image of 1 to {LARGEST} cells, found {wished}"
        raise ValueError(msg)
    if not 0 <= padding <= LARGEST:
        msg = f"expected a padding of 0 to {LARGEST} cells, found {padding}"
        raise ValueError(msg)
    geometry = _Geometry(camera.key, camera)
    return _image_mapping(geometry, method, wished, padding, rotate_camera, mask_interpolation, normalize)


@dataclass(frozen=True)
class _Geometry:
    key: str
    camera: Camera = field(compare=False)  # cameras that differ in focal length share a mapping


@lru_cache(maxsize=64)
def _image_mapping(
    geometry: _Geometry, method: str, size: int | None, padding: int, rotate: bool, masked: bool, normalize: bool | None
) -> ImageMapping:
    camera = geometry.camera
    lines = lattice(camera.pixel_x, camera.pixel_y, camera.shape, camera.rotation)
    if lines.size > LARGEST:
        msg = f"{camera.name}: {camera.n_pixels} pixels spread over {lines.size} cells; at most {LARGEST} are drawn"
        raise ValueError(msg)
    table = weights(lines, method, size, masked=masked, normalize=normalize)
    edge = round(table.shape[1] ** 0.5)
    if rotate:
        table = turned(table, edge, lines)
    whole = edge + 2 * padding
    index_matrix = None
    if method == "axial_addressing":
        line, place, _ = axial(lines)
        row, column = (line, place) if lines.rows_along_x else (place, line)
        index_matrix = np.full((whole, whole), -1)
        index_matrix[whole - 1 - padding - row, column + padding] = np.arange(camera.n_pixels)
    if padding:
        pixel, cell = table.nonzero()
        cell = (cell // edge + padding) * whole + cell % edge + padding
        table = sparse.csr_array((table.data, (pixel, cell)), (camera.n_pixels, whole * whole))
    return ImageMapping(table, (whole, whole), index_matrix)
