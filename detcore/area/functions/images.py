"""Assembled images of events, and images with straightened lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.area.functions.base import DetObjectFunc, Pixels, values_and_good
from detcore.area.functions.sparse import dense
from detcore.area.images.assembly import MAX_IMAGE_PIXELS, ImageMap
from detcore.area.images.curve import METHODS, straightened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class imageFunc(DetObjectFunc):
    """The frame with its panels in their places: `img`.

    Masked and invalid pixels are left out; pixels that share an image pixel are averaged; image pixels without a valid
    detector pixel are nan. Lists of pixels or droplets are made frames first. `mask_img` (1 where there is no good
    pixel, as the original has it) and `mask_ones` (detector pixels in each image pixel) are saved once per run.

    Parameters
    ----------
    coords
        ``["x", "y"]``: rows of the image follow the first, columns the second; a dictionary with `ix` and `iy`, or with
        `row` and `col`, gives the indices themselves, each of the shape of a frame. None: the image as people look at
        it, rows down, columns to the right.
    imgShape
        At least of this size, px.
    correction
        Divide by it, the shape of a frame.
    mask
        The shape of a frame, 1 is good. None: the detector's.
    name
        ``image``.
    """

    _list_only = True  # of droplets

    def __init__(
        self,
        coords: Sequence[str] | dict[str, Any] | None = None,
        imgShape: Sequence[int] | None = None,
        correction: NDArray[Any] | None = None,
        mask: NDArray[Any] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name or "image", **kwargs)
        if coords is not None and not isinstance(coords, dict) and not {*coords} <= {"x", "y", "ix", "iy"}:
            msg = f"{self._name}: coords are two of x and y, or a dictionary of indices, found {coords!r:.80}"
            raise ValueError(msg)
        if isinstance(coords, dict) and not (coords.keys() & {"row", "iy"} and coords.keys() & {"col", "ix"}):
            msg = f"{self._name}: coords have ix and iy, or row and col; found {', '.join(map(str, coords)) or 'nothing':.80}"
            raise ValueError(msg)
        self._coords, self._user = coords, mask
        self.imgShape = None if imgShape is None else tuple(int(size) for size in imgShape)
        self.correction = correction
        self._good: NDArray[Any] | None = None

    def prepare(self) -> None:
        """Make the map from pixels to the image."""
        frame = self._shape()
        detector = getattr(self._det, "detector", None)
        if isinstance(self._coords, dict):
            first = next(self._coords[key] for key in ("row", "iy") if key in self._coords)
            second = next(self._coords[key] for key in ("col", "ix") if key in self._coords)
            rows, columns = np.asarray(first), np.asarray(second)
            if rows.shape != frame or columns.shape != frame:
                msg = f"{self._name}: the indices must have the shape of a frame, {frame}; found {rows.shape}, {columns.shape}"
                raise ValueError(msg)
        else:
            if detector is None:
                msg = f"{self._name}: add it to a detector, or give the indices of the pixels as coords"
                raise ValueError(msg)
            rows, columns = detector.map.iy, detector.map.ix
            window = getattr(self._parent, "_window", ())
            if window:
                rows, columns = rows[window], columns[window]
                rows, columns = rows - rows.min(), columns - columns.min()
            if self._coords is not None and [str(one).lstrip("i") for one in self._coords] == ["x", "y"]:
                rows, columns = columns, rows
        self._map = ImageMap.of(rows, columns)
        shape = self._map.image_shape
        if self.imgShape is not None:
            shape = max(shape[0], self.imgShape[0]), max(shape[1], self.imgShape[1])
        if shape[0] * shape[1] > MAX_IMAGE_PIXELS:
            msg = f"{self._name}: an image of {shape} has more than {MAX_IMAGE_PIXELS} pixels; give a smaller imgShape"
            raise ValueError(msg)
        self.imgShape = shape
        good = self._pixels.good(self._user, frame, self._name)
        self._good = good
        cells, use = self._map.iy.ravel() * shape[1] + self._map.ix.ravel(), np.ones(rows.size)
        self.mask_ones = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
        if good is not None:
            use = good.ravel().astype(np.float64)
        self.mask_img = (np.bincount(cells, use, shape[0] * shape[1]).reshape(shape) == 0).astype(np.int64)

    def _shape(self) -> tuple[int, ...]:
        known: NDArray[Any] | None = self._pixels.mask
        if known is None:
            known = self._pixels.x
        return tuple(self._det.shape) if known is None else tuple(known.shape)

    def setFromFunc(self, parentFunc: DetObjectFunc | None = None) -> None:
        """Take what is needed from the function whose result comes in, and hand on."""
        self._parent = parentFunc
        super().setFromFunc(parentFunc)

    def given(self) -> Pixels:
        """Return the mask of the image."""
        good = (1 - self.mask_img).astype(np.uint8)
        return Pixels(good, good)

    def process(self, data: Any) -> dict[str, Any]:
        """Make the image of one event."""
        if isinstance(data, dict):
            data = dense(data, self._shape(), self._name)
        values, good = values_and_good(data)
        if self.correction is not None:
            values = values / self.correction
        use = self._good if good is None else good if self._good is None else good & (self._good != 0)
        if values.dtype.kind != "f":
            values = values.astype(np.float32)
        if use is not None:
            values = np.where(use, values, values.dtype.type(np.nan))
        assert self.imgShape is not None
        image = self._map.assemble(values)
        if image.shape != self.imgShape:
            larger = [(0, size - one) for size, one in zip(self.imgShape, image.shape, strict=True)]
            image = np.pad(image, larger, constant_values=np.nan)
        self.dat = image
        return self.with_children({"img": image})


class image_from_dat(imageFunc):
    """The assembled image of each event: `image`."""

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name or "image_from_dat", **kwargs)

    def process(self, data: Any) -> dict[str, Any]:
        """Make the image of one event."""
        found = super().process(data)
        return {"image" if key == "img" else key: value for key, value in found.items()}


class PolynomialCurveCorrection(DetObjectFunc):
    """An image whose rows or columns are shifted by a polynomial: `corrected_image`, which children get too.

    Masks are shifted as well, and saved as `mask` and `cmask` (1 is good).

    Parameters
    ----------
    polynomial_coefficients
        Of the shift in px by the number of the line, highest power first; shifts count from the lowest.
    axis
        1: columns are shifted; 0: rows.
    method
        ``roll``, ``vectorized`` (whole pixels, around the border) or ``ndimage`` (fractions, nan beyond the border).
    name
        ``curve_corr``.
    """

    def __init__(
        self,
        polynomial_coefficients: Sequence[float] | None = None,
        axis: int = 0,
        method: str = "roll",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name or "curve_corr", **kwargs)
        if polynomial_coefficients is None or method not in METHODS or axis not in {0, 1}:
            msg = (
                f"{self._name}: expected polynomial_coefficients, axis 0 or 1 and one of {', '.join(METHODS)}; found "
                f"{polynomial_coefficients!r:.80}, {axis!r} and {method!r}"
            )
            raise ValueError(msg)
        self.polynomial_coefficients = list(polynomial_coefficients)
        self.axis, self.method = axis, method

    def prepare(self) -> None:
        """Shift the masks."""
        moved = {}
        for key in ("mask", "cmask"):
            mask = getattr(self._pixels, key)
            if mask is None:
                continue
            shifted = self._straight(mask)
            moved[key] = np.asarray(np.nan_to_num(shifted) >= 1, np.uint8)  # half of a bad pixel is bad
            setattr(self, key, moved[key])
        self._given = Pixels(moved.get("mask"), moved.get("cmask"))

    def given(self) -> Pixels:
        """Return the shifted masks."""
        return self._given

    def _straight(self, image: NDArray[Any]) -> NDArray[Any]:
        flat = image.reshape(image.shape[-2:]) if image.ndim == 3 and image.shape[0] == 1 else image
        return straightened(flat, self.polynomial_coefficients, self.axis, self.method)

    def process(self, data: Any) -> dict[str, Any]:
        """Shift the lines of one frame; invalid pixels become nan, or 0 if values are whole numbers."""
        values, good = self.seen(data)
        if good is not None:
            values = np.where(good, values, np.nan if values.dtype.kind == "f" else values.dtype.type(0))
        self.dat = self._straight(values)
        return self.with_children({"corrected_image": self.dat})
