"""A part of a detector image as it is drawn: reduced to blocks of pixels, coloured, with masked and saturated ones told apart."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from detcore.image import colour_limits, good_pixels, reduce_image, to_uint8

if TYPE_CHECKING:
    from numpy.typing import NDArray

Aggregate: TypeAlias = Literal["max", "mean", "sum", "min"]
Limits: TypeAlias = Literal["robust", "full"] | tuple[float, float]

SIDE = 1100  # pixels of the picture along either axis, at most
MARGIN = 0.15  # of the view on each side: a small pan shows something at once
NO_VALUE, OVERLOAD = 0, 255  # numbers of masked and of saturated blocks in the palette


@dataclass(frozen=True)
class Window:
    """Pixels left..right - 1, top..bottom - 1 of an image, in square blocks."""

    left: int
    right: int
    top: int
    bottom: int
    block: int

    @classmethod
    def of(cls, shape: tuple[int, int], view: tuple[float, float, float, float] | None = None) -> Window | None:
        """Return whole blocks that cover a view and what is around it; None if it misses the image.

        Parameters
        ----------
        shape
            (rows, columns).
        view
            (x0, x1, y0, y1), px; None: all.
        """
        ny, nx = shape
        x0, x1, y0, y1 = view or (-0.5, nx - 0.5, -0.5, ny - 0.5)
        if x1 <= -0.5 or y1 <= -0.5 or x0 >= nx - 0.5 or y0 >= ny - 0.5:
            return None
        aside, above = MARGIN * (x1 - x0), MARGIN * (y1 - y0)
        left, right = _within(x0 - aside, x1 + aside, nx)
        top, bottom = _within(y0 - above, y1 + above, ny)
        block = max(1, math.ceil(max(right - left, bottom - top) / SIDE))
        return cls(
            left // block * block,
            min(nx, -(-right // block) * block),
            top // block * block,
            min(ny, -(-bottom // block) * block),
            block,
        )

    def holds(self, view: tuple[float, float, float, float], shape: tuple[int, int]) -> bool:
        """Whether all pixels of an image of that shape that are in a view are in the window."""
        (left, right), (top, bottom) = _within(view[0], view[1], shape[1]), _within(view[2], view[3], shape[0])
        return self.left <= left and right <= self.right and self.top <= top and bottom <= self.bottom


def _within(low: float, high: float, size: int) -> tuple[int, int]:
    return max(0, math.floor(max(low, -0.5) + 0.5)), min(size, math.ceil(min(high, size - 0.5) + 0.5))


@dataclass(frozen=True)
class Look:
    """How values become colours.

    Parameters
    ----------
    aggregate
        What is shown of the pixels of a block.
    log
        Logarithmic colours.
    limits
        Values of the first and last colour, or how they are found: "robust" leaves out the lowest percent and the
        highest half percent, "full" leaves out nothing. They are found in the whole image, so that they stand still
        when the viewer zooms; but for sums in what is looked at.
    """

    aggregate: Aggregate = "max"
    log: bool = False
    limits: Limits = "robust"


@dataclass(frozen=True, eq=False)
class Frame:
    """An image with what is known about its pixels; nobody may change the arrays any more.

    Parameters
    ----------
    image
        (y, x) numbers.
    rejected
        (y, x) bits of NXdetector, or None.
    saturated
        Pixels that are not masked are saturated from this value on; None: none are.
    """

    image: NDArray[Any]
    rejected: NDArray[np.uint32] | None = None
    saturated: float | None = None
    _whole: dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.image.ndim != 2 or not self.image.size or self.image.dtype.kind not in "biuf":
            msg = f"an image (y, x) of real numbers expected, found {self.image.dtype} {self.image.shape}"
            raise ValueError(msg)
        if self.rejected is not None and self.rejected.shape != self.image.shape:
            msg = f"a mask {self.image.shape} expected, found {self.rejected.shape}"
            raise ValueError(msg)

    def reduce(self, window: Window, aggregate: Aggregate) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return (block, block) values, not a number where all is masked, and which hold a saturated pixel."""
        whole = window == Window.of(self.image.shape)
        if not whole or aggregate not in self._whole:
            values = self._blocks(window, aggregate)
            saturated = np.zeros(values.shape, dtype=bool)
            y, x = self._overloads
            seen = (window.left <= x) & (x < window.right) & (window.top <= y) & (y < window.bottom)
            saturated[(y[seen] - window.top) // window.block, (x[seen] - window.left) // window.block] = True
            if not whole:
                return values, saturated
            self._whole[aggregate] = values, saturated
        return self._whole[aggregate]

    def overview(self, aggregate: Aggregate) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return `reduce` of the whole image; kept."""
        window = Window.of(self.image.shape)
        assert window is not None
        return self.reduce(window, aggregate)

    @cached_property
    def _overloads(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Row and column of each saturated pixel that is not masked: there are few, so this is quicker than blocks."""
        level = math.inf if self.saturated is None else self.saturated
        if not math.isfinite(level):
            return np.zeros(0, np.intp), np.zeros(0, np.intp)
        # a whole number, because numbers of another type would all be converted first
        at = np.flatnonzero(self.image >= (level if self.image.dtype.kind == "f" else math.ceil(level)))
        if self.rejected is not None:  # looked up at these only: gaps are often stored as saturated
            at = at[good_pixels(self.rejected.ravel()[at])]
        y, x = np.divmod(at, self.image.shape[1])
        return y, x

    def _blocks(self, window: Window, aggregate: Aggregate) -> NDArray[np.float64]:
        rows, columns = (-(-(b - a) // window.block) for a, b in _sides(window))
        edges = (window.left - 0.5, window.right - 0.5, window.top - 0.5, window.bottom - 0.5)
        found = reduce_image(self.image, (rows, columns), viewport=edges, aggregate=aggregate, pixel_mask=self.rejected)
        return np.asarray(found.values)


def _sides(window: Window) -> tuple[tuple[int, int], tuple[int, int]]:
    return (window.top, window.bottom), (window.left, window.right)


@dataclass(frozen=True, eq=False)
class Rendered:
    """What is drawn of a frame.

    Parameters
    ----------
    frame, window, look
        Of what, which part, and how.
    colours
        (block, block) numbers of the palette: 0 masked, 1 to 254 values, 255 saturated.
    values
        (block, block) in the narrowest type that holds them; 0 where masked.
    limits
        Values of the first and the last colour.
    """

    frame: Frame
    window: Window
    look: Look
    colours: NDArray[np.uint8]
    values: NDArray[Any]
    limits: tuple[float, float]


def render(frame: Frame, window: Window, look: Look) -> Rendered:
    """Reduce and colour a part of an image; it may be called in any thread."""
    values, saturated = frame.reduce(window, look.aggregate)
    basis, over = (values, saturated) if look.aggregate == "sum" else frame.overview(look.aggregate)
    low, high = _limits(np.where(over, np.nan, basis), look)
    colours = np.minimum(to_uint8(values, low, high, log=look.log), OVERLOAD - 1)
    colours[saturated] = OVERLOAD
    whole = frame.image.dtype.kind in "biu" and look.aggregate != "mean"
    return Rendered(frame, window, look, colours, _narrow(values, whole), (low, high))


def _limits(values: NDArray[np.float64], look: Look) -> tuple[float, float]:
    if not isinstance(look.limits, str) and (look.limits[1] > 0 or not look.log):
        low, high = look.limits
        return min(1.0, high / 1e3) if look.log and low <= 0 else low, high
    if look.limits != "full":  # also when none of the limits has a logarithm
        return colour_limits(values, log=look.log)
    kept = values[np.isfinite(values) & ((values > 0) if look.log else True)]
    if not kept.size:
        return (1.0, 10.0) if look.log else (0.0, 1.0)
    low, high = float(kept.min()), float(kept.max())
    return (low, high) if low < high else (low, low * 10 if look.log else low + max(1.0, abs(low) * 1e-3))


def _narrow(values: NDArray[np.float64], whole: bool) -> NDArray[Any]:
    kept = np.where(np.isnan(values), 0.0, values)
    if not whole:
        return kept.astype(np.float32)
    low, high = kept.min(initial=0.0), kept.max(initial=0.0)
    for kind in (np.uint8, np.uint16, np.uint32, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return kept.astype(kind)
    return kept
