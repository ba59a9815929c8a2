"""Images of hexagonal and square cameras as square pictures, for machine learning.

Each mapping is one sparse matrix, built once for a camera and applied to as many images as there are in one product.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from detcore.dl1.images.mapping import image_mapping
from detcore.dl1.images.weights import HEXAGONAL_ONLY, MAPPING_METHODS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray
    from scipy import sparse

    from detcore.dl1.images.geometry import Camera
    from detcore.dl1.images.mapping import ImageMapping

T = TypeVar("T")


class ImageMapper:
    """Turns images of cameras into square pictures; row 0 is the top (largest y after the pixels are set upright).

    ========================  =========================================================================
    oversampling              each hexagon becomes 2 x 2 cells with a quarter of its charge; squares 1:1
    rebinning                 each cell takes the pixels that it covers, by area
    nearest_interpolation     each cell takes the value of the nearest pixel
    bilinear_interpolation    between the three (of squares four) pixels around the centre of a cell
    bicubic_interpolation     between twelve (sixteen) pixels: the mean of four interpolations
    image_shifting            every other line moves half a pixel, 1:1; hexagons only
    axial_addressing          lines are sheared until pixels stand in columns, 1:1; hexagons only
    ========================  =========================================================================

    Charge is kept by all but nearest and bicubic interpolation, which keep the value of a pixel in each of its cells
    (3.6 of them in the usual size); the interpolating ones keep it on average over the camera.

    Parameters
    ----------
    camera_types
        Names of cameras; None: all of `cameras`.
    mapping_method
        Name of the method, or one for each camera's name; "oversampling" where none is given.
    padding
        Empty cells on each side of the image; a number or one for each camera.
    interpolation_image_shape
        Size of the image of the interpolating methods, as a number or (rows, columns[, channels]), for all or for each
        camera. Images are square.
    rotate_camera
        Turn images back to how the camera hangs: without it they are turned so that lines of pixels are rows of cells.
    mask_interpolation
        Bilinear and bicubic: leave cells empty whose centre lies outside of the camera.
    channels
        Channels of an image, as a number or names; only `image_shapes` needs it.
    cameras
        Cameras, or a mapping of names to them.
    normalize
        Scale the weights of the interpolating methods so that an evenly lit camera keeps its charge; None: those of
        rebinning and bilinear interpolation.

    Raises
    ------
    ValueError
        An unknown camera or method, a method for hexagons and a camera of squares, or a size that cannot be.

    Examples
    --------
    >>> import numpy as np
    >>> from detcore.dl1 import ImageMapper, camera_of_positions
    >>> row, column = np.divmod(np.arange(90), 9)
    >>> camera = camera_of_positions("Toy", 0.05 * column + 0.025 * (row % 2), 0.05 * 0.75**0.5 * row)
    >>> mapper = ImageMapper(cameras=[camera])
    >>> mapper.map_images(np.ones((5, 90)), "Toy").shape
    (5, 20, 20)
    """

    def __init__(
        self,
        camera_types: Sequence[str] | None = None,
        mapping_method: Mapping[str, str] | str | None = None,
        padding: Mapping[str, int] | int | None = None,
        interpolation_image_shape: Mapping[str, int | Sequence[int]] | int | Sequence[int] | None = None,
        rotate_camera: bool = False,
        mask_interpolation: bool = False,
        channels: int | Sequence[str] | None = None,
        cameras: Mapping[str, Camera] | Iterable[Camera] | None = None,
        *,
        normalize: bool | None = None,
    ) -> None:
        given = cameras if isinstance(cameras, Mapping) else {camera.name: camera for camera in cameras or ()}
        self.camera_types = list(given if camera_types is None else camera_types)
        if missing := [name for name in self.camera_types if name not in given]:
            msg = f"no pixel positions of {', '.join(missing)}: give a Camera for each in `cameras`"
            raise ValueError(msg)
        self.cameras: dict[str, Camera] = {name: given[name] for name in self.camera_types}
        self.rotate_camera, self.mask_interpolation, self.normalize = rotate_camera, mask_interpolation, normalize
        self.channels = 1 if channels is None else channels if isinstance(channels, int) else len(channels)
        self._methods, self._paddings, self._sizes = mapping_method, padding, interpolation_image_shape
        for name, camera in self.cameras.items():
            self._check(name, camera)

    def __repr__(self) -> str:
        return f"ImageMapper({', '.join(f'{name}: {method}' for name, method in self.mapping_method.items())})"

    def _check(self, name: str, camera: Camera) -> None:
        method = self._method(name)
        if method not in MAPPING_METHODS:
            msg = f"unknown mapping method {method!r}; there are {', '.join(MAPPING_METHODS)}"
            raise ValueError(msg)
        if method in HEXAGONAL_ONLY and camera.shape == "square":
            msg = f"{method} is for hexagonal pixels; those of {name} are squares: take oversampling (1:1)"
            raise ValueError(msg)
        self._size(name)

    def _method(self, name: str) -> str:
        return _of(self._methods, name) or "oversampling"

    def _size(self, name: str) -> int | None:
        wished: int | Sequence[int] | None = _of(self._sizes, name)  # type: ignore[assignment]
        if wished is None or isinstance(wished, int):
            return wished
        if len(wished) < 2 or wished[0] != wished[1]:
            msg = f"{name}: expected a square image, found the shape {tuple(wished)}"
            raise ValueError(msg)
        return int(wished[0])

    def mapping(self, camera: str | Camera) -> ImageMapping:
        """Return the mapping of a camera, which is built when it is first asked for.

        Parameters
        ----------
        camera
            A name that the mapper knows, or any camera; the settings are those of its name.

        Raises
        ------
        KeyError
            The mapper does not know the name.
        """
        if isinstance(camera, str):
            if camera not in self.cameras:
                msg = f"unknown camera {camera!r}; this mapper knows {', '.join(self.cameras) or 'none'}"
                raise KeyError(msg)
            camera = self.cameras[camera]
        return image_mapping(
            camera,
            self._method(camera.name),
            self._size(camera.name),
            padding=_of(self._paddings, camera.name) or 0,
            rotate_camera=self.rotate_camera,
            mask_interpolation=self.mask_interpolation,
            normalize=self.normalize,
        )

    @property
    def mapping_method(self) -> dict[str, str]:
        """Method of each camera."""
        return {name: self._method(name) for name in self.cameras}

    @property
    def mapping_tables(self) -> dict[str, sparse.csr_array]:
        """Weights (pixel, cell) of each camera."""
        return {name: self.mapping(name).weights for name in self.cameras}

    @property
    def image_shapes(self) -> dict[str, tuple[int, int, int]]:
        """Rows, columns and channels of the images of each camera."""
        return {name: (*self.mapping(name).shape, self.channels) for name in self.cameras}

    def map_image(self, pixels: ArrayLike, camera_type: str | Camera) -> NDArray[Any]:
        """Map one image.

        Parameters
        ----------
        pixels
            (pixel, channel).
        camera_type
            A name that the mapper knows, or a camera.

        Returns
        -------
        ndarray
            (row, column, channel).

        Raises
        ------
        ValueError
            The camera has another number of pixels.
        """
        values = np.asarray(pixels)
        if values.ndim != 2:
            msg = f"expected an image (pixel, channel), found the shape {values.shape}"
            raise ValueError(msg)
        return np.asarray(self.map_images(values[None], camera_type)[0])

    def map_images(self, images: ArrayLike, camera: str | Camera) -> NDArray[Any]:
        """Map many images at once.

        Parameters
        ----------
        images
            (event, pixel) or (event, pixel, channel).
        camera
            A name that the mapper knows, or a camera.

        Returns
        -------
        ndarray
            (event, row, column) or (event, row, column, channel); float32, or float64 for what float32 cannot hold.

        Raises
        ------
        ValueError
            The camera has another number of pixels.
        """
        values = np.asarray(images)
        mapping = self.mapping(camera)
        if values.ndim not in (2, 3) or values.shape[1] != mapping.weights.shape[0]:
            name = camera if isinstance(camera, str) else camera.name
            expected = f"images (event, {mapping.weights.shape[0]} pixels[, channel]) of {name}"
            msg = f"expected {expected}, found the shape {values.shape}"
            raise ValueError(msg)
        return mapping.apply(values) if values.ndim == 3 else mapping.apply(values[..., None])[..., 0]

    def get_indexmatrix(self, camera_type: str | Camera) -> NDArray[np.int64]:
        """Return which pixel is in which cell, for convolutions that take unmapped images (IndexedConv).

        Returns
        -------
        ndarray
            (row, column); -1 outside of the camera.

        Raises
        ------
        ValueError
            The method is another than axial_addressing.
        """
        found = self.mapping(camera_type).index_matrix
        if found is None:
            msg = "only axial_addressing has an index matrix: set it as the mapping method of the camera"
            raise ValueError(msg)
        return found.copy()


def _of(setting: Mapping[str, T] | T | None, name: str) -> T | None:
    return setting.get(name) if isinstance(setting, Mapping) else setting
