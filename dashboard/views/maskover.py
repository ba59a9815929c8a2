"""What a pixel mask rejects, as a picture above the image: coloured by the reason, clear where pixels are good."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import ColumnDataSource, Legend, LegendItem, LinearColorMapper

from dashboard.views.picture import Window
from dashboard.views.push import push
from dashboard.views.style import grow
from dashboard.views.viewport import Redraw, Viewport
from detcore.image import BITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dashboard.views.image import ImageView
    from dashboard.views.viewport import Run

# From the least to the most telling: of several reasons of a pixel, or of the pixels of a block, the last one is shown.
# None of the colours is among those of the values.
COLOURS = {
    "virtual": "#b0bec5", "gap": "#9aa0a6", "other": "#8d6e63", "cluster": "#b39ddb", "under": "#40c4ff",
    "over": "#e02020", "dead": "#ff7043", "noisy": "#ffb300", "user": "#ff4fa3",
}  # fmt: skip
NAMES = tuple(COLOURS)
ALPHA = 0.62


def _table() -> NDArray[np.uint8]:
    """Return the number of the reason, 0 for none, for each value of the sixteen rejecting bits."""
    values = np.arange(1 << 16)
    table = np.where(values > 0, NAMES.index("other") + 1, 0).astype(np.uint8)
    known = sum(1 << bit for bit in BITS.values() if bit < 16)
    table[(values & ~known) == 0] = 0
    for number, name in enumerate(NAMES, 1):
        if name in BITS and BITS[name] < 16:
            set_ = (values >> BITS[name] & 1).astype(bool)
            table[set_] = np.maximum(table[set_], number)
    return table


TABLE = _table()


def reasons(pixel_mask: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Return for each pixel why it is rejected: 0 it is not, else 1 + its place in `NAMES`.

    Examples
    --------
    >>> [NAMES[n - 1] if n else "" for n in reasons(np.array([0, 1, 2 + 256, 1 << 5, 1 << 31, (1 << 31) + 1], np.uint32))]
    ['', 'gap', 'user', 'other', 'virtual', 'gap']
    """
    found = TABLE[(pixel_mask & np.uint32(0xFFFF)).astype(np.uint16)]
    informs = pixel_mask >= np.uint32(1 << 31)
    if informs.any():
        found[informs & (found == 0)] = NAMES.index("virtual") + 1
    return found


def all_bits(pixel_mask: NDArray[np.uint32], window: Window) -> NDArray[np.uint32]:
    """Return all bits of the pixels of each block of a window, (block, block); the last ones may be cut off.

    Examples
    --------
    >>> all_bits(np.array([[1, 0, 4], [2, 0, 0]], np.uint32), Window(0, 3, 0, 2, block=2))
    array([[3, 4]], dtype=uint32)
    """
    found = pixel_mask[window.top : window.bottom, window.left : window.right]
    for _ in "yx":  # slices of whole rows: three times as quick as reduceat
        first = found[:: window.block].copy()
        for start in range(1, window.block):
            rest = found[start :: window.block]
            first[: len(rest)] |= rest
        found = first.T
    return np.ascontiguousarray(found)


@dataclass(frozen=True, eq=False)
class _Raster:
    pixel_mask: NDArray[np.uint32]

    @cached_property
    def there(self) -> frozenset[str]:
        """Names of the reasons that any pixel has."""
        every = int(np.bitwise_or.reduce(self.pixel_mask, axis=None))
        names = {name for name, bit in BITS.items() if every >> bit & 1}
        known = sum(1 << bit for bit in BITS.values())
        return frozenset(names | ({"other"} if every & 0xFFFF & ~known else set()))


class MaskOver:
    """The mask above the image of an `ImageView`, reduced in the same blocks to the part that is looked at.

    A block shows a reason if any of its pixels has it, so single bad pixels are seen from far. Call the methods on the
    loop of the document.

    Parameters
    ----------
    view
        Its figure is drawn on. Show the image there without its mask, so that values can be seen through the colours.
    run
        Where pictures are made; see `dashboard.views.viewport`.
    wall
        For a wall display.

    Examples
    --------
    >>> from dashboard.views.image import ImageView
    >>> view = ImageView()
    >>> view.show(np.zeros((2, 3)))
    >>> over = MaskOver(view)
    >>> over.show(np.array([[0, 1, 256], [0, 0, 0]], np.uint32))
    >>> over.source.data["image"][0].tolist()[0], [name for name in NAMES if over.explains(name)]
    ([0, 2, 9], ['gap', 'user'])
    """

    def __init__(self, view: ImageView, *, run: Run | None = None, wall: bool = False) -> None:
        plot = view.figure
        self._raster: _Raster | None = None
        self._wanted: tuple[_Raster, Window] | None = None
        self._there: frozenset[str] = frozenset()
        self._redraw = Redraw(run)
        self.source = ColumnDataSource({key: [] for key in ("image", "x", "y", "dw", "dh")}, name="mask over image")
        palette = ("#00000000", *COLOURS.values())
        self._image = plot.image(
            "image", "x", "y", "dw", "dh", source=self.source, global_alpha=ALPHA,
            color_mapper=LinearColorMapper(palette=palette, low=-0.5, high=len(palette) - 0.5),
        )  # fmt: skip
        nowhere = ColumnDataSource({"x": [math.nan], "y": [math.nan]})
        self._items = {
            name: LegendItem(
                label=name,
                visible=False,
                renderers=[
                    plot.scatter(
                        "x", "y", marker="square", size=12, source=nowhere, fill_color=colour, line_color=colour
                    )
                ],
            )
            for name, colour in COLOURS.items()
        }
        self._legend = Legend(
            items=list(self._items.values()), orientation="horizontal", location="left", padding=0, margin=0, spacing=10,
            visible=False, border_line_color=None, background_fill_color=None,
        )  # fmt: skip
        plot.add_layout(self._legend, "above")
        grow(self._legend, wall=wall)
        self.viewport = Viewport(plot, self._look_again)

    @property
    def visible(self) -> bool:
        """Whether it is drawn."""
        return bool(self._image.visible)

    @visible.setter
    def visible(self, visible: bool) -> None:
        if visible == self.visible:
            return
        self._image.visible = visible
        self._explain()
        self._look_again()

    def explains(self, name: str) -> bool:
        """Whether the legend has a reason; see `NAMES`."""
        return bool(self._items[name].visible)

    def show(self, pixel_mask: NDArray[np.uint32] | None) -> None:
        """Draw a mask, or none.

        Parameters
        ----------
        pixel_mask
            (y, x) with bits of NXdetector, as large as the image; not to be changed any more.

        Raises
        ------
        ValueError
            It is not a uint32 image.
        """
        if pixel_mask is None:
            self._raster = self._wanted = None
            self._there = frozenset()
            push(self.source, {key: [] for key in self.source.data})
            self._explain()
            return
        if pixel_mask.ndim != 2 or pixel_mask.dtype != np.uint32:
            msg = f"a mask (y, x) of uint32 expected, found {pixel_mask.dtype} {pixel_mask.shape}"
            raise ValueError(msg)
        if self._raster is None or self._raster.pixel_mask is not pixel_mask:
            self._raster = _Raster(pixel_mask)
        self._look_again()

    def _look_again(self) -> None:
        """Have a picture made of what is looked at now, unless it is there."""
        raster = self._raster
        if raster is None or not self.visible:
            return
        shape, view = raster.pixel_mask.shape, self.viewport.ranges
        window = Window.of((shape[0], shape[1]), view)
        if window is None:
            return
        if self._wanted and self._wanted[0] is raster:
            held = self._wanted[1]
            if held.block == window.block and held.holds(view, (shape[0], shape[1])):
                return
        self._wanted = (raster, window)
        self._redraw.ask(
            lambda: (raster, window, reasons(all_bits(raster.pixel_mask, window)), raster.there), self._draw
        )

    def _draw(self, made: tuple[_Raster, Window, NDArray[np.uint8], frozenset[str]]) -> None:
        raster, window, picture, there = made
        if self._raster is not raster:
            return  # replaced meanwhile
        rows, columns = picture.shape
        place: dict[str, Any] = {
            "x": [window.left - 0.5], "y": [window.top - 0.5], "dw": [float(columns * window.block)],
            "dh": [float(rows * window.block)],
        }  # fmt: skip
        push(self.source, {"image": [picture]} | place)
        self._there = there
        self._explain()

    def _explain(self) -> None:
        """Name the reasons that occur in all of the mask, so that the legend stands still when the viewer zooms."""
        there = self._there if self.visible else frozenset[str]()
        for name, item in self._items.items():
            if item.visible != (name in there):
                item.visible = name in there
        if self._legend.visible != bool(there):
            self._legend.visible = bool(there)
