"""What a step of a pixel mask is: a value that changes a raster with the bits of NXdetector's ``pixel_mask``.

A raster is uint32, (y, x) or, of a tiled detector, (module, y, x).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from detcore.image.kernels import count_bits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from detcore.image.panels import Panels

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
Raster: TypeAlias = "NDArray[np.uint32]"


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


def reason_counts(pixel_mask: NDArray[np.uint32]) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """Return `good_pixels`, and how many pixels are masked and have which bit, all in one look at the pixels.

    Parameters
    ----------
    pixel_mask
        (y, x) or (module, y, x), bits of NXdetector.

    Examples
    --------
    >>> good, counts = reason_counts(np.array([0, 1, 1 + (1 << 8), 1 << 31], np.uint32))
    >>> good.tolist(), counts["masked"], counts["gap"], counts["user"], counts["virtual"]
    ([True, False, False, True], 2, 2, 1, 1)
    """
    good, counts = np.empty(pixel_mask.shape, np.bool_), np.zeros(33, np.int64)
    count_bits(np.ascontiguousarray(pixel_mask).reshape(-1), REJECT, good.reshape(-1), counts)
    masked = {"masked": pixel_mask.size - int(counts[32])}
    return good, masked | {name: int(counts[bit]) for name, bit in BITS.items()}


class Operation(BaseModel):
    """One step of a mask.

    Parameters
    ----------
    name
        For people; need not be unique.
    enabled
        Whether the step is taken.
    panel
        The module that it is about, and in whose pixels its coordinates are; none means all modules, and coordinates
        of the assembled image.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: str = Field(repr=False)
    name: Name = ""
    enabled: bool = True
    panel: Index | None = None

    @abstractmethod
    def apply(self, pixel_mask: Raster, arrays: Arrays, panels: Panels | None = None) -> None:
        """Change the raster (y, x) or (module, y, x) in place.

        Parameters
        ----------
        pixel_mask
            The raster.
        arrays
            Images by name, of its shape or assembled.
        panels
            Needed to take a step in image coordinates to modules.
        """

    def views(self, pixel_mask: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """Yield the two-dimensional parts that the step is about."""
        modules = pixel_mask[None] if pixel_mask.ndim == 2 else pixel_mask
        if self.panel is None:
            yield from modules
        else:
            if self.panel >= len(modules):
                msg = f"{self.who}: there is no panel {self.panel}; the detector has {len(modules)}, counted from 0"
                raise ValueError(msg)
            yield modules[self.panel]

    def take(
        self, pixel_mask: Raster, raster: Raster, bits: tuple[BitName, ...], mode: Literal["add", "subtract"]
    ) -> None:
        """Set or clear the bits of another raster of the same shape; if some are named, only those."""
        taken = raster & np.bitwise_or.reduce([bit_value(bit) for bit in bits]) if bits else raster
        for part, chosen in zip(self.views(pixel_mask), self.views(taken), strict=True):
            if mode == "add":
                np.bitwise_or(part, chosen, out=part)
            else:
                np.bitwise_and(part, ~chosen, out=part)

    @property
    def who(self) -> str:
        """What messages call the step."""
        return f"{self.kind} {self.name!r}" if self.name else self.kind

    def array(self, arrays: Arrays, name: str, shape: tuple[int, ...], panels: Panels | None) -> NDArray[Any]:
        """Return the named array in the shape of the raster, gathered from the assembled image if it is one.

        Of a constant with a leading axis of gains, that is the first gain.

        Raises
        ------
        ValueError
            It is not there, or has another shape.
        """
        if name not in arrays:
            msg = f"{self.who} needs the array {name!r}; given: {', '.join(sorted(arrays)) or 'none'}"
            raise ValueError(msg)
        array = np.asarray(arrays[name])
        if array.shape == shape:
            return array
        if len(shape) == 3 and array.ndim == 2 and panels is not None and panels.iy is not None:
            return panels.gather(array)
        if array.ndim == len(shape) + 1 and array.shape[1:] == shape:
            return np.asarray(array[0])
        msg = f"{self.who}: {name!r} has the shape {array.shape}, the mask {shape}"
        raise ValueError(msg)


class Selection(Operation):
    """A step that selects pixels and marks them bad (add) or good (subtract).

    Parameters
    ----------
    mode
        What to do with the selected pixels.
    bit
        Which bit is set or cleared. If none is given, `add` sets the one that says what the step found (for shapes
        the user bit) and `subtract` clears all rejecting bits.
    """

    natural: ClassVar[BitName] = "user"

    mode: Literal["add", "subtract"] = "add"
    bit: BitName | None = None

    @abstractmethod
    def select(self, shape: tuple[int, ...], arrays: Arrays, panels: Panels | None = None) -> NDArray[np.bool_]:
        """Return (y, x) or (module, y, x), true for the pixels that are meant, on all modules or on `panel`."""

    def apply(self, pixel_mask: Raster, arrays: Arrays, panels: Panels | None = None) -> None:
        """Set or clear the bit where `select` says."""
        selected = self.select(pixel_mask.shape, arrays, panels)
        for part, chosen in zip(self.views(pixel_mask), self.views(selected), strict=True):
            self.mark(part, chosen)

    def mark(self, pixel_mask: Raster, selected: NDArray[np.bool_]) -> None:
        """Set or clear the bit of the selected pixels (y, x)."""
        if self.mode == "add":
            np.bitwise_or(pixel_mask, bit_value(self.bit or self.natural), out=pixel_mask, where=selected)
        else:
            kept = ~(bit_value(self.bit) if self.bit else np.uint32(REJECT))
            np.bitwise_and(pixel_mask, kept, out=pixel_mask, where=selected)


def bit_value(bit: BitName) -> np.uint32:
    """Return the number that has only this bit.

    Examples
    --------
    >>> int(bit_value("user"))
    256
    """
    return np.uint32(1 << BITS[bit])
