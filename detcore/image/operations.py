"""The steps of a pixel mask: values that change a raster, uint32 (y, x) with the bits of NXdetector's ``pixel_mask``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from detcore.image.region import AnyRegion

if TYPE_CHECKING:
    from numpy.typing import NDArray

# https://manual.nexusformat.org/classes/base_classes/NXdetector.html, field pixel_mask; the others are undefined there.
BITS = {"gap": 0, "dead": 1, "under": 2, "over": 3, "noisy": 4, "cluster": 6, "user": 8, "virtual": 31}
REJECT = 0xFFFF  # a pixel with one of these bits is not to be used; higher bits only inform
MAX_LISTED = 100_000


def _one_line(name: str) -> str:
    if not name.isprintable():  # also what YAML does not give back as it was
        msg = f"a name of one line without control characters expected, found {name!r:.80}"
        raise ValueError(msg)
    return name


BitName = Literal["gap", "dead", "under", "over", "noisy", "cluster", "user", "virtual"]
Name = Annotated[str, Field(max_length=200), AfterValidator(_one_line)]
Index = Annotated[int, Field(ge=0, lt=2**31)]
Arrays = Mapping[str, "NDArray[Any]"]


def good_pixels(pixel_mask: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return where a pixel may be used: none of the rejecting bits is set.

    Parameters
    ----------
    pixel_mask
        (y, x), bits of NXdetector.

    Examples
    --------
    >>> good_pixels(np.array([0, 1, 1 << 8, 1 << 31], np.uint32))  # fine, gap, user, virtual
    array([ True, False, False,  True])
    """
    return np.asarray((pixel_mask & np.uint32(REJECT)) == 0)


class Operation(BaseModel):
    """One step of a mask.

    Parameters
    ----------
    name
        For people; need not be unique.
    enabled
        Whether the step is taken.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: str = Field(repr=False)
    name: Name = ""
    enabled: bool = True

    @abstractmethod
    def apply(self, pixel_mask: NDArray[np.uint32], arrays: Arrays) -> None:
        """Change the raster (y, x) in place, with the help of images by name."""


class Selection(Operation):
    """A step that selects pixels and marks them bad (add) or good (subtract).

    Parameters
    ----------
    mode
        What to do with the selected pixels.
    bit
        Which bit is set or cleared. If none is given, `add` sets the user bit and `subtract` clears all rejecting bits.
    """

    mode: Literal["add", "subtract"] = "add"
    bit: BitName | None = None

    @abstractmethod
    def select(self, shape: tuple[int, int], arrays: Arrays) -> NDArray[np.bool_]:
        """Return (y, x), true for the pixels that are meant."""

    def apply(self, pixel_mask: NDArray[np.uint32], arrays: Arrays) -> None:
        """Set or clear the bit where `select` says."""
        selected = self.select(_shape(pixel_mask), arrays)
        if self.mode == "add":
            pixel_mask[selected] |= _value(self.bit)
        else:
            pixel_mask[selected] &= ~(_value(self.bit) if self.bit else np.uint32(REJECT))


class RegionOperation(Selection):
    """The pixels of a region."""

    kind: Literal["region"] = Field("region", repr=False)
    region: AnyRegion

    def select(self, shape: tuple[int, int], arrays: Arrays) -> NDArray[np.bool_]:  # noqa: ARG002
        """Return the pixels whose centre is inside."""
        return self.region.to_mask(shape)


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
    image: Name
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _has_a_range(self) -> Self:
        if self.low is not None and self.high is not None and self.low > self.high:
            msg = f"low <= high expected, found {self.low} and {self.high}"
            raise ValueError(msg)
        return self

    def select(self, shape: tuple[int, int], arrays: Arrays) -> NDArray[np.bool_]:
        """Return the pixels that are out of limits."""
        image = _array(arrays, self.image, shape, f"threshold {self.name!r}")
        inside = np.asarray(image == image)  # noqa: PLR0124 - false for what is not a number
        if self.low is not None:
            inside &= image >= self.low
        if self.high is not None:
            inside &= image <= self.high
        return ~inside


class PixelsOperation(Selection):
    """Pixels one by one: (x, y), that is column and row."""

    kind: Literal["pixels"] = Field("pixels", repr=False)
    pixels: Annotated[tuple[tuple[Index, Index], ...], Field(max_length=MAX_LISTED)]

    def select(self, shape: tuple[int, int], arrays: Arrays) -> NDArray[np.bool_]:  # noqa: ARG002
        """Return the listed pixels; one outside of the image is an error."""
        selected = np.zeros(shape, np.bool_)
        x, y = np.asarray(self.pixels, np.int64).reshape(-1, 2).T
        outside = (x >= shape[1]) | (y >= shape[0])
        if outside.any():
            at = int(outside.argmax())
            msg = (
                f"pixels {self.name!r}: (x, y) = ({x[at]}, {y[at]}) is outside of {shape[1]} columns x {shape[0]} rows"
            )
            raise ValueError(msg)
        selected[y, x] = True
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
    raster: Name
    mode: Literal["add", "subtract"] = "add"
    bits: tuple[BitName, ...] = ()

    def apply(self, pixel_mask: NDArray[np.uint32], arrays: Arrays) -> None:
        """Set or clear the bits that the named raster has."""
        raster = _array(arrays, self.raster, _shape(pixel_mask), f"bits {self.name!r}")
        if raster.dtype != np.uint32:
            msg = f"bits {self.name!r}: raster {self.raster!r} is {raster.dtype}, expected uint32; use read_pixel_mask"
            raise ValueError(msg)
        taken = raster & np.bitwise_or.reduce([_value(bit) for bit in self.bits]) if self.bits else raster
        if self.mode == "add":
            pixel_mask |= taken
        else:
            pixel_mask &= ~taken


class InvertOperation(Operation):
    """Exchange good and bad: what was good gets the user bit, what was bad loses all rejecting bits."""

    kind: Literal["invert"] = Field("invert", repr=False)

    def apply(self, pixel_mask: NDArray[np.uint32], arrays: Arrays) -> None:  # noqa: ARG002
        """Exchange them."""
        good = good_pixels(pixel_mask)
        pixel_mask &= np.uint32(~np.uint32(REJECT))
        pixel_mask[good] |= _value("user")


class _Neighbourhood(Operation):
    """A step over the neighbours of a pixel: `steps` times, to 4 (a diamond grows) or 8 of them (a square)."""

    steps: Annotated[int, Field(ge=1, le=200)] = 1
    neighbours: Literal[4, 8] = 8


class GrowOperation(_Neighbourhood):
    """Bad pixels make their good neighbours bad, with the user bit."""

    kind: Literal["grow"] = Field("grow", repr=False)

    def apply(self, pixel_mask: NDArray[np.uint32], arrays: Arrays) -> None:  # noqa: ARG002
        """Grow what is bad."""
        good = good_pixels(pixel_mask)
        pixel_mask[_grown(~good, self.steps, self.neighbours) & good] |= _value("user")


class ShrinkOperation(_Neighbourhood):
    """Good pixels make their bad neighbours good; what is beyond the border of the image is neither."""

    kind: Literal["shrink"] = Field("shrink", repr=False)

    def apply(self, pixel_mask: NDArray[np.uint32], arrays: Arrays) -> None:  # noqa: ARG002
        """Shrink what is bad."""
        pixel_mask[_grown(good_pixels(pixel_mask), self.steps, self.neighbours)] &= ~np.uint32(REJECT)


AnyOperation = Annotated[
    RegionOperation
    | ThresholdOperation
    | PixelsOperation
    | BitsOperation
    | InvertOperation
    | GrowOperation
    | ShrinkOperation,
    Field(discriminator="kind"),
]
"""One of the operations above, told apart by its `kind`."""


def _value(bit: BitName | None) -> np.uint32:
    return np.uint32(1 << BITS[bit or "user"])


def _shape(pixel_mask: NDArray[np.uint32]) -> tuple[int, int]:
    return pixel_mask.shape[0], pixel_mask.shape[1]


def _array(arrays: Arrays, name: str, shape: tuple[int, int], who: str) -> NDArray[Any]:
    """Return the named array of that shape, or say what is there instead."""
    if name not in arrays:
        msg = f"{who} needs the array {name!r}; given: {', '.join(sorted(arrays)) or 'none'}"
        raise ValueError(msg)
    array = np.asarray(arrays[name])
    if array.shape != shape:
        msg = f"{who}: {name!r} has the shape {array.shape}, the mask {shape}"
        raise ValueError(msg)
    return array


def _grown(selected: NDArray[np.bool_], steps: int, neighbours: int) -> NDArray[np.bool_]:
    """Add the neighbours of what is selected, `steps` times; shifted or-s are 20 times faster than a filter."""
    for _ in range(steps):
        grown = selected.copy()
        grown[:, 1:] |= selected[:, :-1]
        grown[:, :-1] |= selected[:, 1:]
        source = grown.copy() if neighbours == 8 else selected
        grown[1:] |= source[:-1]
        grown[:-1] |= source[1:]
        selected = grown
    return selected
