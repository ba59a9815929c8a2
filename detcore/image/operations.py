"""The steps of a pixel mask that depend on shapes, images, other rasters, or on what is masked already."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from detcore.image.fileoperation import FileOperation
from detcore.image.kernels import set_bits
from detcore.image.neighbourhood import grown
from detcore.image.operationbase import (
    BITS,
    MAX_LISTED,
    REJECT,
    Arrays,
    BitName,
    Index,
    Name,
    Operation,
    Raster,
    Selection,
    bit_value,
    good_pixels,
)
from detcore.image.paneloperations import (
    AsicEdgesOperation,
    EdgesOperation,
    NoiseOperation,
    NotFiniteOperation,
    PedestalOperation,
    StatusOperation,
    UnbondedOperation,
)
from detcore.image.region import AnyRegion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detcore.image.panels import Panels

__all__ = [
    "BITS", "REJECT", "AnyOperation", "Arrays", "AsicEdgesOperation", "BitName", "BitsOperation", "EdgesOperation",
    "FileOperation", "GrowOperation", "InvertOperation", "Name", "NoiseOperation", "NotFiniteOperation", "Operation",
    "PedestalOperation", "PixelsOperation", "Raster", "RegionOperation", "Selection", "ShrinkOperation",
    "StatusOperation", "ThresholdOperation", "UnbondedOperation", "good_pixels",
]  # fmt: skip


class RegionOperation(Selection):
    """The pixels of a region: of the assembled image, or of `panel`.

    Examples
    --------
    >>> from detcore.image import HalfPlane, PixelMask
    >>> step = RegionOperation(region=HalfPlane(x=1, y=0), panel=1)
    >>> PixelMask(shape=(2, 1, 3), operations=[step]).raster().tolist()
    [[[0, 0, 0]], [[0, 256, 256]]]
    """

    kind: Literal["region"] = Field("region", repr=False)
    region: AnyRegion

    def select(
        self,
        shape: tuple[int, ...],
        arrays: Arrays,  # noqa: ARG002
        panels: Panels | None = None,
    ) -> NDArray[np.bool_]:
        """Return the pixels whose centre is inside."""
        if len(shape) == 3 and self.panel is None:
            if panels is None:
                msg = (
                    f"{self.who}: a shape on the assembled image of {shape[0]} modules needs their places (panels); "
                    "give them, or name the panel that the shape is on"
                )
                raise ValueError(msg)
            return panels.gather(self.region.to_mask(panels.image_shape))
        selected = np.zeros(shape, np.bool_)
        for part in self.views(selected):
            part[:] = self.region.to_mask(part.shape)
        return selected

    def apply(self, pixel_mask: Raster, arrays: Arrays, panels: Panels | None = None) -> None:
        """Set or clear the bit inside; of an image, only the window around the region is looked at."""
        if pixel_mask.ndim == 3 and self.panel is None:
            super().apply(pixel_mask, arrays, panels)
            return
        box = self.region.bounding_box
        for part in self.views(pixel_mask):
            rows, columns = part.shape
            top, bottom = _whole(box.y0 - 1, rows), _whole(box.y1 + 2, rows)
            left, right = _whole(box.x0 - 1, columns), _whole(box.x1 + 2, columns)
            selected = self.region.to_mask(part.shape)
            if self.mode == "add":  # twice as fast as NumPy's masked loop, which is what a drag waits for
                set_bits(part, selected, top, bottom, left, right, bit_value(self.bit or self.natural))
            else:
                self.mark(part[top:bottom, left:right], selected[top:bottom, left:right])


class ThresholdOperation(Selection):
    """The pixels of an image that are outside of [low, high], or not a number.

    Parameters
    ----------
    image
        Name of the image; it is given when the raster is made, so the same rule works for the next run.
    low, high
        Limits in the unit of the image, both still valid (as NXdetector's underload and saturation values are).
    """

    kind: Literal["threshold"] = Field("threshold", repr=False)
    image: Name = "image"
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _has_a_range(self) -> Self:
        if self.low is not None and self.high is not None and self.low > self.high:
            msg = f"low <= high expected, found {self.low} and {self.high}"
            raise ValueError(msg)
        return self

    def select(self, shape: tuple[int, ...], arrays: Arrays, panels: Panels | None = None) -> NDArray[np.bool_]:
        """Return the pixels that are out of limits."""
        image = self.array(arrays, self.image, shape, panels)
        inside = np.asarray(image == image)  # noqa: PLR0124 - false for what is not a number
        if self.low is not None:
            inside &= image >= self.low
        if self.high is not None:
            inside &= image <= self.high
        return ~inside


class PixelsOperation(Selection):
    """Pixels one by one: (x, y), that is column and row, of the assembled image or of `panel`."""

    kind: Literal["pixels"] = Field("pixels", repr=False)
    pixels: Annotated[tuple[tuple[Index, Index], ...], Field(max_length=MAX_LISTED)]

    def select(
        self,
        shape: tuple[int, ...],
        arrays: Arrays,  # noqa: ARG002
        panels: Panels | None = None,
    ) -> NDArray[np.bool_]:
        """Return the listed pixels; one outside of the image is an error."""
        assembled = len(shape) == 3 and self.panel is None
        if assembled and panels is None:
            msg = f"{self.who}: pixels of the assembled image need the places of the modules (panels), or name a panel"
            raise ValueError(msg)
        rows, columns = panels.image_shape if assembled and panels is not None else shape[-2:]
        x, y = np.asarray(self.pixels, np.int64).reshape(-1, 2).T
        outside = (x >= columns) | (y >= rows)
        if outside.any():
            at = int(outside.argmax())
            msg = f"{self.who}: (x, y) = ({x[at]}, {y[at]}) is outside of {columns} columns x {rows} rows"
            raise ValueError(msg)
        listed = np.zeros((rows, columns), np.bool_)
        listed[y, x] = True
        if assembled and panels is not None:
            return panels.gather(listed)
        selected = np.zeros(shape, np.bool_)
        for part in self.views(selected):
            part[:] = listed
        return selected


class BitsOperation(Operation):
    """Bits of a raster that was loaded from a file, for instance the one a detector comes with.

    Parameters
    ----------
    raster
        Name of the uint32 raster; it is given when the raster of the mask is made.
    mode
        Whether its bits are set or cleared.
    bits
        Which of its bits are taken; all if none is named.
    """

    kind: Literal["bits"] = Field("bits", repr=False)
    raster: Name = "pixel_mask"
    mode: Literal["add", "subtract"] = "add"
    bits: tuple[BitName, ...] = ()

    def apply(self, pixel_mask: Raster, arrays: Arrays, panels: Panels | None = None) -> None:
        """Set or clear the bits that the named raster has."""
        raster = self.array(arrays, self.raster, pixel_mask.shape, panels)
        if raster.dtype != np.uint32:
            msg = f"{self.who}: raster {self.raster!r} is {raster.dtype}, expected uint32; use read_pixel_mask"
            raise ValueError(msg)
        self.take(pixel_mask, raster, self.bits, self.mode)


class InvertOperation(Operation):
    """Exchange good and bad: what was good gets the user bit, what was bad loses all rejecting bits."""

    kind: Literal["invert"] = Field("invert", repr=False)

    def apply(self, pixel_mask: Raster, arrays: Arrays, panels: Panels | None = None) -> None:  # noqa: ARG002
        """Exchange them."""
        for part in self.views(pixel_mask):
            good = good_pixels(part)
            np.bitwise_and(part, ~np.uint32(REJECT), out=part)
            part[good] |= bit_value("user")


class _Neighbourhood(Operation):
    """A step over the neighbours of a pixel, per module.

    Parameters
    ----------
    steps
        How far, px.
    neighbours
        4: a diamond; 8: a square; ``round``: a disc with that radius.
    """

    steps: Annotated[int, Field(ge=1, le=200)] = 1
    neighbours: Literal[4, 8, "round"] = 8


class GrowOperation(_Neighbourhood):
    """Bad pixels make their good neighbours bad, with the user bit."""

    kind: Literal["grow"] = Field("grow", repr=False)

    def apply(self, pixel_mask: Raster, arrays: Arrays, panels: Panels | None = None) -> None:  # noqa: ARG002
        """Grow what is bad."""
        for part in self.views(pixel_mask):
            good = good_pixels(part)
            part[grown(~good, self.steps, self.neighbours) & good] |= bit_value("user")


class ShrinkOperation(_Neighbourhood):
    """Good pixels make their bad neighbours good; what is beyond the border of the module is neither."""

    kind: Literal["shrink"] = Field("shrink", repr=False)

    def apply(self, pixel_mask: Raster, arrays: Arrays, panels: Panels | None = None) -> None:  # noqa: ARG002
        """Shrink what is bad."""
        for part in self.views(pixel_mask):
            part[grown(good_pixels(part), self.steps, self.neighbours)] &= ~np.uint32(REJECT)


AnyOperation = Annotated[
    RegionOperation
    | ThresholdOperation
    | NoiseOperation
    | PedestalOperation
    | NotFiniteOperation
    | StatusOperation
    | EdgesOperation
    | AsicEdgesOperation
    | UnbondedOperation
    | PixelsOperation
    | BitsOperation
    | FileOperation
    | InvertOperation
    | GrowOperation
    | ShrinkOperation,
    Field(discriminator="kind"),
]
"""One of the operations above, told apart by its `kind`."""


def _whole(position: float, size: int) -> int:
    """Return the pixel between 0 and `size` that is nearest to a position, which may be infinite."""
    return math.floor(min(max(position, 0), size))
