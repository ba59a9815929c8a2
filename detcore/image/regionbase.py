"""What all regions can do, whatever their shape is."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from detcore.image.checks import checked_shape, read_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

# Within these limits no square, product or quotient of the shapes overflows or vanishes.
Position = Annotated[float, Field(ge=-1e9, le=1e9)]
Length = Annotated[float, Field(ge=1e-6, le=1e9)]


class Box(NamedTuple):
    """Limits of a region, px; infinite where it has none."""

    x0: float
    y0: float
    x1: float
    y1: float


EVERYWHERE = Box(-math.inf, -math.inf, math.inf, math.inf)


class Region(BaseModel):
    """What all regions can do."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # Set by `detcore.image.region`, which knows all shapes: the reader of any of them, and how two are combined.
    reader: ClassVar[TypeAdapter[Any]]
    combine: ClassVar[Callable[[Literal["and", "or", "xor"], Region, Region], Region]]
    complement: ClassVar[Callable[[Region], Region]]

    kind: str = Field(repr=False)

    @property
    @abstractmethod
    def bounding_box(self) -> Box:
        """Limits between which all of the region lies, px."""

    @abstractmethod
    def contains(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Answer for points, px; x and y are broadcast against each other."""

    def to_mask(self, shape: Sequence[int]) -> NDArray[np.bool_]:
        """Select pixels.

        Parameters
        ----------
        shape
            (rows, columns) of the image.

        Returns
        -------
        NDArray[np.bool_]
            (y, x), true for the pixels whose centre is in the region.

        Raises
        ------
        ValueError
            The shape is not that of an image, or too large.
        """
        selected = np.zeros(checked_shape(shape), np.bool_)
        self._select(selected)
        return selected

    @abstractmethod
    def moved(self, dx: float, dy: float) -> Self:
        """Return the region shifted by (dx, dy), px."""

    @abstractmethod
    def _select(self, selected: NDArray[np.bool_]) -> None:
        """Write the answer into an array that is false everywhere."""

    def to_dict(self) -> dict[str, Any]:
        """Return numbers, text and lists only, ready for YAML or JSON.

        Examples
        --------
        >>> from detcore.image import Ellipse
        >>> Ellipse(x=4, y=5, a=2, b=1).to_dict()
        {'kind': 'ellipse', 'x': 4.0, 'y': 5.0, 'a': 2.0, 'b': 1.0, 'angle': 0.0}
        """
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, values: object) -> Self:
        """Build any region from what `to_dict` gives.

        Raises
        ------
        ValueError
            The kind is unknown, or a value is missing, of the wrong type or out of its limits.
        TypeError
            It is another kind of region than the class that was asked.

        Examples
        --------
        >>> Region.from_dict({"kind": "rectangle", "x0": 0, "y0": 0, "x1": 2, "y1": 1})
        Rectangle(x0=0.0, y0=0.0, x1=2.0, y1=1.0)
        """
        region = read_model(Region.reader, values, "a region")
        if not isinstance(region, cls):
            msg = f"expected a {cls.__name__}, found a {type(region).__name__}"
            raise TypeError(msg)
        return region

    def __and__(self, other: object) -> Region:
        return Region.combine("and", self, other) if isinstance(other, Region) else NotImplemented

    def __or__(self, other: object) -> Region:
        return Region.combine("or", self, other) if isinstance(other, Region) else NotImplemented

    def __xor__(self, other: object) -> Region:
        return Region.combine("xor", self, other) if isinstance(other, Region) else NotImplemented

    def __invert__(self) -> Region:
        return Region.complement(self)
