"""The steps of a pixel mask that follow from the detector: borders of panels and ASICs, and its calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from detcore.image.neighbourhood import grown
from detcore.image.operationbase import Arrays, BitName, Index, Name, Selection

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detcore.image.panels import Panels

MAX_GAINS = 16
Size = Annotated[int, Field(ge=1, le=1 << 28)]


class EdgesOperation(Selection):
    """The outer rows and columns of each panel.

    Parameters
    ----------
    width
        How many on each side, px.

    Examples
    --------
    >>> EdgesOperation().select((4, 5), {}).astype(int)
    array([[1, 1, 1, 1, 1],
           [1, 0, 0, 0, 1],
           [1, 0, 0, 0, 1],
           [1, 1, 1, 1, 1]])
    """

    kind: Literal["edges"] = Field("edges", repr=False)
    width: Annotated[int, Field(ge=1, le=10_000)] = 1

    def select(
        self,
        shape: tuple[int, ...],
        arrays: Arrays,  # noqa: ARG002
        panels: Panels | None = None,  # noqa: ARG002
    ) -> NDArray[np.bool_]:
        """Return the pixels near a border; all of a panel that is narrower than two edges."""
        n = self.width
        selected = np.ones(shape, np.bool_)
        selected[..., n : max(n, shape[-2] - n), n : max(n, shape[-1] - n)] = False
        return selected


class AsicEdgesOperation(Selection):
    """The rows and columns on both sides of the borders between the ASICs of a panel; not those at its outer edge.

    Parameters
    ----------
    width
        How many on each side of a border, px.
    asic
        (rows, columns) of an ASIC, px; none takes what the detector says.

    Examples
    --------
    >>> AsicEdgesOperation(asic=(2, 3)).select((2, 6), {}).astype(int)
    array([[0, 0, 1, 1, 0, 0],
           [0, 0, 1, 1, 0, 0]])
    """

    kind: Literal["asic_edges"] = Field("asic_edges", repr=False)
    width: Annotated[int, Field(ge=1, le=10_000)] = 1
    asic: tuple[Size, Size] | None = None

    def select(
        self,
        shape: tuple[int, ...],
        arrays: Arrays,  # noqa: ARG002
        panels: Panels | None = None,
    ) -> NDArray[np.bool_]:
        """Return the pixels near an inner border."""
        asic = _asic(self, panels)
        selected = np.zeros(shape, np.bool_)
        for border in range(asic[0], shape[-2], asic[0]):
            selected[..., max(0, border - self.width) : border + self.width, :] = True
        for border in range(asic[1], shape[-1], asic[1]):
            selected[..., max(0, border - self.width) : border + self.width] = True
        return selected


class UnbondedOperation(Selection):
    """Pixels on the diagonal of each ASIC that are connected to nothing, as a CSPAD has them; the bit says ``dead``.

    Parameters
    ----------
    step
        Every how many rows there is one, beginning with the first.
    neighbours
        Whether none, 4 or 8 of the pixels around are meant too, because they share its charge.
    asic
        (rows, columns) of an ASIC, px; none takes what the detector says.

    Examples
    --------
    >>> UnbondedOperation(step=2, asic=(3, 3)).select((3, 6), {}).astype(int)
    array([[1, 0, 0, 1, 0, 0],
           [0, 0, 0, 0, 0, 0],
           [0, 0, 1, 0, 0, 1]])
    """

    natural: ClassVar[BitName] = "dead"
    kind: Literal["unbonded"] = Field("unbonded", repr=False)
    step: Size = 10
    neighbours: Literal[0, 4, 8] = 0
    asic: tuple[Size, Size] | None = None

    def select(
        self,
        shape: tuple[int, ...],
        arrays: Arrays,  # noqa: ARG002
        panels: Panels | None = None,
    ) -> NDArray[np.bool_]:
        """Return the pixels, with their neighbours in the panel."""
        rows, columns = _asic(self, panels)
        panel = np.zeros(shape[-2:], np.bool_)
        along = np.arange(0, min(rows, columns), self.step)
        for top in range(0, shape[-2], rows):
            for left in range(0, shape[-1], columns):
                y, x = top + along, left + along
                inside = (y < shape[-2]) & (x < shape[-1])
                panel[y[inside], x[inside]] = True
        if self.neighbours:
            panel = grown(panel, 1, self.neighbours)
        return np.ascontiguousarray(np.broadcast_to(panel, shape))


class _Calibration(Selection):
    """A step over a constant of the detector, which may have a leading axis of gains."""

    gains: Annotated[tuple[Index, ...], Field(max_length=MAX_GAINS)] | None = None

    def per_gain(self, arrays: Arrays, name: str, shape: tuple[int, ...], panels: Panels | None) -> list[NDArray[Any]]:
        """Return the constant for each of the gains that are looked at."""
        array = np.asarray(arrays[name]) if name in arrays else None
        if array is None or array.shape[1:] != shape:
            if self.gains and any(self.gains):
                msg = f"{self.who}: gain {max(self.gains)} is asked for, but {name!r} has no axis of gains"
                raise ValueError(msg)
            return [self.array(arrays, name, shape, panels)]
        gains = range(len(array)) if self.gains is None else self.gains
        if gains and max(gains) >= len(array):
            msg = f"{self.who}: there is no gain {max(gains)}; {name!r} has {len(array)}, counted from 0"
            raise ValueError(msg)
        return [array[gain] for gain in gains]


class _Range(_Calibration):
    """The pixels whose constant is outside of [low, high], or not a number, for any gain.

    Parameters
    ----------
    low, high
        Limits, ADU; both are still valid.
    gains
        Which gains are looked at; none means all of them.
    """

    array_name: ClassVar[str]

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
        selected = np.zeros(shape, np.bool_)
        for values in self.per_gain(arrays, self.array_name, shape, panels):
            selected |= ~(values == values)  # noqa: PLR0124 - true for what is not a number
            if self.low is not None:
                selected |= values < self.low
            if self.high is not None:
                selected |= values > self.high
        return selected


class NoiseOperation(_Range):
    """The pixels whose noise is out of limits; the bit says ``noisy``.

    Examples
    --------
    >>> NoiseOperation(high=3).select((1, 3), {"noise": np.array([[1.0, 9.0, np.nan]])}).tolist()
    [[False, True, True]]
    """

    array_name: ClassVar[str] = "noise"
    natural: ClassVar[BitName] = "noisy"
    kind: Literal["noise"] = Field("noise", repr=False)


class PedestalOperation(_Range):
    """The pixels whose pedestal is out of limits; the bit says ``dead``."""

    array_name: ClassVar[str] = "pedestal"
    natural: ClassVar[BitName] = "dead"
    kind: Literal["pedestal"] = Field("pedestal", repr=False)


class NotFiniteOperation(Selection):
    """The pixels of an image that are not a number, or infinite; the bit says ``dead``.

    Examples
    --------
    >>> NotFiniteOperation().select((1, 3), {"image": np.array([[1.0, np.inf, np.nan]])}).tolist()
    [[False, True, True]]
    """

    natural: ClassVar[BitName] = "dead"
    kind: Literal["not_finite"] = Field("not_finite", repr=False)
    image: Name = "image"

    def select(self, shape: tuple[int, ...], arrays: Arrays, panels: Panels | None = None) -> NDArray[np.bool_]:
        """Return where there is no finite number."""
        return np.asarray(~np.isfinite(self.array(arrays, self.image, shape, panels)))


class StatusOperation(_Calibration):
    """The pixels whose status, found with the dark frames, has one of some bits for any gain; the bit says ``dead``.

    Parameters
    ----------
    status_bits
        The bits that count, as a number: for instance 1 noise too high, 2 too low, 4 often too high a value, 8 too
        low, 16 mean too high, 32 too low, 64 does not switch its gain.
    gains
        Which gains are looked at; none means all of them.
    """

    natural: ClassVar[BitName] = "dead"
    kind: Literal["status"] = Field("status", repr=False)
    status_bits: Annotated[int, Field(ge=1, lt=2**32)] = 0xFFFF

    def select(self, shape: tuple[int, ...], arrays: Arrays, panels: Panels | None = None) -> NDArray[np.bool_]:
        """Return the pixels with one of the bits."""
        selected = np.zeros(shape, np.bool_)
        for status in self.per_gain(arrays, "status", shape, panels):
            if status.dtype.kind not in "iub":
                msg = f"{self.who}: whole numbers expected as status, found {status.dtype}"
                raise ValueError(msg)
            selected |= (status.astype(np.int64) & self.status_bits) != 0
        return selected


def _asic(step: AsicEdgesOperation | UnbondedOperation, panels: Panels | None) -> tuple[int, int]:
    asic = step.asic or (panels.asic if panels is not None else None)
    if asic is None:
        msg = f"{step.who}: the detector does not say how large its ASICs are; give asic as (rows, columns)"
        raise ValueError(msg)
    return asic
