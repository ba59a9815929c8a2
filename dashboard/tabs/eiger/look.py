"""What a link to the Eiger tab says besides the limits: where the data is, which regions, and how it is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from detcore.core.parameters import Parameters
from detcore.image import Polygon, Rectangle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboard.shapes import Shape

ENDINGS = (".h5", ".hdf5", ".nxs", ".cxi")
PANELS = {
    "spectrum": "Spectrum",
    "stability": "Stability",
    "distribution": "Distribution",
    "spectrogram": "Spectrogram",
    "outliers": "Outliers",
    "pixels": "Pixels and centre",
    "numbers": "Numbers",
    "compare": "Comparison",
}
METHODS = {"none": "No detrend", "linear": "Linear", "polynomial": "Polynomial", "highpass": "High-pass"}
WHOLE = "frame"  # name of the region that is the whole frame
MAX_REGIONS = 16


class Look(Parameters):
    """How the tab looks; every field is a key of its links."""

    show: Literal["both", "raw", "detrended"] = "both"
    normalised: bool = False
    outliers: bool = Field(False, description="Whether the axis of the trace reaches to the outliers")
    method: Literal["none", "linear", "polynomial", "highpass"] = "linear"
    order: int = Field(2, ge=1, le=10, description="Of the polynomial")
    cutoff: float = Field(1.0, gt=0, le=1e6, allow_inf_nan=False, description="Of the high-pass filter, Hz")
    region: str = Field(WHOLE, max_length=40, description="Whose numbers are shown")
    panel: Literal[
        "spectrum", "stability", "distribution", "spectrogram", "outliers", "pixels", "numbers", "compare"
    ] = "spectrum"
    frame: int = Field(0, ge=0, description="Frame in the image; 0: the mean image")
    scale: Literal["log", "linear"] = "log"
    controls: bool = Field(False, description="Whether the column of exports is open")

    @property
    def detrend(self) -> str:
        """The method with its number, as analysis takes it."""
        number = {"polynomial": f":{self.order}", "highpass": f":{self.cutoff:g}"}
        return self.method + number.get(self.method, "")


class Place(Parameters):
    """Where the data is, relative to the data roots, and which part of it is read."""

    path: str = Field("", max_length=1500, description="Master files, separated by |")
    live: bool = False
    reference: str = Field("", max_length=1500, description="A second series to compare with")
    first: int = Field(1, ge=1, description="First frame")
    last: int = Field(0, ge=0, description="Last frame; 0: as many as there are")
    step: int = Field(1, ge=1, description="Every so many frames")
    shapes: str = Field("", max_length=1800, description="Regions: r:x0,y0,x1,y1 and p:x,y,x,y,… separated by /")

    @property
    def frames(self) -> tuple[int, int, int] | None:
        """First, last, step as sources take them; None: all."""
        asked = (self.first, self.last, self.step)
        return None if asked == (1, 0, 1) else asked


def to_text(shapes: Sequence[Shape]) -> str:
    """Return regions as text for a link.

    Examples
    --------
    >>> to_text([Rectangle(x0=1, y0=2, x1=5.5, y1=8)])
    'r:1,2,5.5,8'
    """
    return "/".join(
        f"r:{shape.x0:g},{shape.y0:g},{shape.x1:g},{shape.y1:g}"
        if isinstance(shape, Rectangle)
        else "p:" + ",".join(f"{x:g},{y:g}" for x, y in shape.vertices)
        for shape in shapes
    )


def from_text(text: str) -> tuple[Shape, ...]:
    """Return the regions that a link says.

    Raises
    ------
    ValueError
        Says which shape cannot be read.

    Examples
    --------
    >>> from_text("r:1,2,5.5,8/p:0,0,4,0,4,3")[1].vertices
    ((0.0, 0.0), (4.0, 0.0), (4.0, 3.0))
    """
    found: list[Shape] = []
    for part in text.split("/") if text else []:
        kind, _, rest = part.partition(":")
        try:
            numbers = [float(number) for number in rest.split(",")]
            if kind == "r" and len(numbers) == 4:
                x0, y0, x1, y1 = numbers
                found.append(Rectangle(x0=x0, y0=y0, x1=x1, y1=y1))
            elif kind == "p" and len(numbers) % 2 == 0:
                found.append(Polygon(vertices=tuple(zip(numbers[::2], numbers[1::2], strict=True))))
            else:
                msg = "expected r: with four numbers, or p: with pairs of numbers"
                raise ValueError(msg)  # noqa: TRY301
        except ValueError as error:
            msg = f"shape {part[:60]!r} in the link: {str(error)[:200]}"
            raise ValueError(msg) from None
    if len(found) > MAX_REGIONS:
        msg = f"{len(found)} shapes in the link; at most {MAX_REGIONS} are possible"
        raise ValueError(msg)
    return tuple(found)


def name_of(number: int) -> str:
    """Return the name of a region by its place in the drawing, from 0."""
    return f"region {number + 1}"
