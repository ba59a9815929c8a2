"""Where the panels of a tiled detector lie in its assembled image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.image.checks import checked_raw_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Panels:
    """Panels of equal size, and the image pixel that each of their pixels goes to.

    Parameters
    ----------
    iy, ix
        (module, y, x) or (y, x) row and column of the assembled image; below 0 for a pixel that is not in it. None
        for a detector of one panel, whose frames are images already.
    asic
        (rows, columns) of one ASIC, px, if a panel has several.

    Examples
    --------
    >>> side_by_side = Panels(iy=np.zeros((2, 1, 2), int), ix=np.array([[[0, 1]], [[3, 4]]]))
    >>> side_by_side.image_shape
    (1, 5)
    >>> side_by_side.gather(np.array([[5, 6, 7, 8, 9]])).tolist()
    [[[5, 6]], [[8, 9]]]
    """

    iy: NDArray[np.integer[Any]] | None = None
    ix: NDArray[np.integer[Any]] | None = None
    asic: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Check that the two fit."""
        if self.iy is None or self.ix is None:
            if self.iy is not None or self.ix is not None:
                msg = "panels need both iy and ix, or none of them"
                raise ValueError(msg)
            return
        iy, ix = np.asarray(self.iy), np.asarray(self.ix)
        if iy.ndim not in {2, 3} or iy.shape != ix.shape or iy.dtype.kind not in "iu" or ix.dtype.kind not in "iu":
            msg = (
                "panels need iy and ix as whole numbers (module, y, x) or (y, x) of one shape; "
                f"found {iy.dtype} {iy.shape} and {ix.dtype} {ix.shape}"
            )
            raise ValueError(msg)
        checked_raw_shape(iy.shape)

    @cached_property
    def image_shape(self) -> tuple[int, int]:
        """(rows, columns) of the smallest image that has all pixels."""
        if self.iy is None or self.ix is None:
            msg = "these panels have no places (iy, ix), so there is no assembled image"
            raise ValueError(msg)
        return max(int(self.iy.max()) + 1, 1), max(int(self.ix.max()) + 1, 1)

    @cached_property
    def _placed(self) -> NDArray[np.bool_] | None:
        """Where a pixel is in the image; None if all are."""
        placed = np.asarray((self.iy >= 0) & (self.ix >= 0))  # type: ignore[operator]
        return None if placed.all() else placed

    def gather(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return what each pixel finds at its place.

        Parameters
        ----------
        image
            (y, x), at least `image_shape`.

        Returns
        -------
        NDArray[Any]
            (module, y, x) of the same type; 0 (false) for pixels that are not in the image.
        """
        rows, columns = self.image_shape
        if image.ndim != 2 or image.shape[0] < rows or image.shape[1] < columns:
            msg = f"an assembled image of at least {rows} rows x {columns} columns expected, found {image.shape}"
            raise ValueError(msg)
        found = np.asarray(image[self.iy, self.ix])
        if self._placed is not None:
            found[~self._placed] = 0
        return found
