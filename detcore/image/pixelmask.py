"""A pixel mask as an ordered list of named operations, and the raster that they give.

The list is the truth: every step can be renamed, moved, switched off or changed later, and is replayed on a new image.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from detcore.core.parameters import mapping_from_yaml, text_of
from detcore.core.paths import atomic
from detcore.image.checks import checked_raw_shape, read_model
from detcore.image.fileoperation import FileOperation
from detcore.image.maskfiles import DATASET, read_declared, write_pixel_mask
from detcore.image.operationbase import reason_counts
from detcore.image.operations import AnyOperation, RegionOperation, good_pixels
from detcore.image.region import Brush, Ellipse, Polygon

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from detcore.image.maskfiles import Convention
    from detcore.image.operations import Arrays, Operation
    from detcore.image.panels import Panels

MAX_OPERATIONS = 1_000
MAX_TEXT = 4_000_000
TEXTS = {".yaml", ".yml"}


def _shape(shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
    return None if shape is None else checked_raw_shape(shape)


class PixelMask(BaseModel):
    """Operations on the pixels of one detector, in order.

    Parameters
    ----------
    shape
        (rows, columns) or (modules, rows, columns); none leaves it to the one who asks for a raster.
    operations
        Later ones see what earlier ones did.

    Examples
    --------
    >>> from detcore.image import PixelsOperation, Rectangle, RegionOperation
    >>> edge = RegionOperation(name="left edge", region=Rectangle(x0=0, y0=0, x1=2, y1=3))
    >>> dots = PixelsOperation(name="hot", pixels=[(3, 1)], bit="noisy")
    >>> pixel_mask = PixelMask(shape=(3, 4), operations=[edge, dots])
    >>> pixel_mask.to_raster()
    array([[256, 256,   0,   0],
           [256, 256,   0,  16],
           [256, 256,   0,   0]], dtype=uint32)
    >>> PixelMask.from_yaml(pixel_mask.to_yaml()) == pixel_mask
    True
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: Annotated[tuple[int, ...] | None, AfterValidator(_shape)] = None
    operations: Annotated[tuple[AnyOperation, ...], Field(max_length=MAX_OPERATIONS)] = ()

    def with_operations(self, *operations: Operation) -> PixelMask:
        """Return the mask with another list: every edit is one of these, so undo keeps the old value.

        Examples
        --------
        >>> from detcore.image import InvertOperation
        >>> empty = PixelMask(shape=(3, 4))
        >>> empty.with_operations(*empty.operations, InvertOperation()).good().any()
        np.False_
        """
        return PixelMask(shape=self.shape, operations=tuple(operations))

    def moved(self, at: int, to: int) -> PixelMask:
        """Return the mask with one operation at another place of the list.

        Examples
        --------
        >>> from detcore.image import GrowOperation, InvertOperation
        >>> two = PixelMask(shape=None, operations=[GrowOperation(), InvertOperation()])
        >>> [one.kind for one in two.moved(0, 1).operations]
        ['invert', 'grow']
        """
        operations = list(self.operations)
        operations.insert(to, operations.pop(at))
        return self.with_operations(*operations)

    def raster(
        self,
        shape: Sequence[int] | None = None,
        arrays: Arrays | None = None,
        panels: Panels | None = None,
        start: NDArray[np.uint32] | None = None,
    ) -> NDArray[np.uint32]:
        """Take all enabled steps.

        Parameters
        ----------
        shape
            (y, x) or (module, y, x); none takes that of the mask, or of the panels.
        arrays
            The images and rasters that operations name, of that shape or assembled: usually ``image``, ``noise``,
            ``pedestal``, ``status`` and ``pixel_mask``.
        panels
            Where modules lie, for steps in coordinates of the assembled image.
        start
            What is masked before the first step, for instance by the detector itself; none: nothing.

        Returns
        -------
        NDArray[np.uint32]
            Bits of NXdetector, a new array.

        Raises
        ------
        ValueError
            No shape is known, or two that differ; an array is missing or has another shape; a listed pixel or a panel
            does not exist; a file is no mask.
        OSError
            A file cannot be read.
        """
        given = None if start is None else start.shape
        places = None if panels is None or panels.iy is None else panels.iy.shape
        known = [checked_raw_shape(one) for one in (shape, self.shape, places, given) if one is not None]
        if not known:
            msg = "the shape of the raster is not known: give shape=(rows, columns) or (modules, rows, columns)"
            raise ValueError(msg)
        if len(set(known)) > 1:
            msg = f"the mask is for frames of {known[1]}, not {known[0]}; load the setup of this detector"
            raise ValueError(msg)
        pixel_mask = np.zeros(known[0], np.uint32) if start is None else np.array(start, np.uint32)
        for operation in self.operations:
            if operation.enabled:
                operation.apply(pixel_mask, arrays or {}, panels)
        return pixel_mask

    def to_raster(self, arrays: Arrays | None = None) -> NDArray[np.uint32]:
        """Take all enabled steps, as `raster` does, in the shape of the mask."""
        return self.raster(arrays=arrays)

    def good(self, arrays: Arrays | None = None, panels: Panels | None = None) -> NDArray[np.bool_]:
        """Return (y, x) or (module, y, x), true where a pixel may be used."""
        return good_pixels(self.raster(arrays=arrays, panels=panels))

    @classmethod
    def read(
        cls, path: str | os.PathLike[str], *, convention: Convention | None = None, dataset: str = DATASET
    ) -> PixelMask:
        """Read operations from a .yaml file, or make a mask of one operation: the raster in any other file.

        Parameters
        ----------
        path
            The file.
        convention
            What the numbers of a raster mean; none takes what the file says.
        dataset
            Where the raster is in an HDF5 file.

        Raises
        ------
        ValueError
            It is no mask, or does not say its convention.
        """
        path = Path(path)
        if path.suffix.lower() in TEXTS:
            with path.open("rb") as stream:
                raw = stream.read(4 * MAX_TEXT + 1)
            try:
                return cls.from_yaml(raw.decode("utf-8-sig"))
            except ValueError as error:  # also bytes that are no text
                msg = f"{path}: {error}"
                raise ValueError(msg) from None
        raster, convention = read_declared(path, convention, dataset, modules=True)
        shape = raster.shape[1:] if raster.ndim == 3 and len(raster) == 1 else raster.shape
        step = FileOperation(name=path.name, path=str(path.absolute()), convention=convention, dataset=dataset)
        return PixelMask(shape=shape, operations=(step,))

    def write(
        self,
        path: str | os.PathLike[str],
        *,
        convention: Convention = "nxmx",
        dataset: str = DATASET,
        shape: Sequence[int] | None = None,
        arrays: Arrays | None = None,
        panels: Panels | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        """Write the operations to a .yaml file, or their raster to any other; see `raster` and `write_pixel_mask`."""
        if Path(path).suffix.lower() in TEXTS:
            with atomic(path) as aside:
                aside.write_text(self.to_yaml(), encoding="utf-8")
            return
        raster = self.raster(shape, arrays, panels)
        write_pixel_mask(path, raster, convention=convention, dataset=dataset, notes=notes)

    def to_yaml(self) -> str:
        """Return the operations as text; `from_yaml` gives back an equal value."""
        return text_of(self.model_dump(mode="json"))

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Build from the text that `to_yaml` gives.

        Raises
        ------
        ValueError
            It is not YAML, uses references, is too long or too deep, or does not describe a mask.
        """
        if len(text) > MAX_TEXT:
            msg = f"{len(text)} characters are too many for a pixel mask (limit {MAX_TEXT}); save the raster instead"
            raise ValueError(msg)
        values = mapping_from_yaml(text)
        if "shape" not in values:  # a file without it is probably something else
            msg = "not a pixel mask: shape: Field required; null if the mask is for any detector"
            raise ValueError(msg)
        return read_model(TypeAdapter(cls), values, "a pixel mask")


def warm() -> None:
    """Compile what the first drawn shape needs."""
    shapes = (
        Polygon(vertices=[(0, 0), (3, 0), (0, 3)]),
        Ellipse(x=1, y=1, a=2, b=1),
        Brush(radius=1, strokes=[[(1, 1), (2, 2)]]),
    )
    reason_counts(PixelMask(shape=(4, 5), operations=tuple(RegionOperation(region=one) for one in shapes)).raster())
    shapes[0].contains(1, 1)
