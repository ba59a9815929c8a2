"""Charge and peak time of one camera image side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.views.camera import CameraView

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from dashboard.views.camera import Hover
    from dashboard.views.pixels import Ellipse, Pixels, Ring


class CameraPair:
    """Charge and peak time of one image side by side; both zoom, pan and mark together.

    Parameters
    ----------
    tapped
        Called with the pixel that was clicked in either, or None.
    wall
        For a wall display.

    Attributes
    ----------
    charge, time
        The two views.
    """

    def __init__(self, *, tapped: Callable[[int | None], None] | None = None, wall: bool = False) -> None:
        self.charge = CameraView("Charge (p.e.)", tapped=tapped, wall=wall)
        self.time = CameraView("Peak time (ns)", like=self.charge, tapped=tapped, wall=wall)
        self.views = (self.charge, self.time)

    def show(
        self, pixels: Pixels, charge: NDArray[Any], time: NDArray[Any] | None, *, selected: NDArray[np.bool_] | None = None,
        timed: NDArray[np.bool_] | None = None, time_unit: str = "ns", ellipse: Ellipse | None = None, ring: Ring | None = None,
        titles: tuple[str, str] = ("", ""), more: Hover | None = None,
    ) -> None:  # fmt: skip
        """Draw an image.

        Parameters
        ----------
        pixels
            Of the camera.
        charge, time
            (pixel,); time None if the file has none.
        selected
            (pixel,): those that survived the cleaning, drawn with a line around them.
        timed
            (pixel,): those whose time is coloured, as it means nothing without light; None: all.
        time_unit
            ns or sample.
        ellipse, ring
            In the units of the axes.
        titles
            Above charge and time.
        more
            Further rows of the hover.
        """
        times = np.full(pixels.count, np.nan, np.float32) if time is None else time
        hover: dict[str, tuple[ArrayLike, str]] = {"Charge": (charge, "p.e."), "Peak time": (times, time_unit)}
        if selected is not None:
            hover["After cleaning"] = (selected, "")
        hover |= more or {}
        drawn = times if timed is None else np.where(timed, times, np.nan)
        for view, values, title in zip(self.views, (charge, drawn), titles, strict=True):
            view.arrange(pixels)
            view.show(values, title=title, label=f"Peak time ({time_unit})" if view is self.time else None, hover=hover)
            view.outline(selected)
            view.ellipse(ellipse)
            view.ring(ring)

    def clear(self) -> None:
        """Show no image."""
        for view in self.views:
            view.clear()

    def choose(self, pixel: int | None) -> None:
        """Draw a thick line around one pixel in both, or none."""
        for view in self.views:
            view.choose(pixel)

    def mark(self, *, dead: NDArray[np.bool_] | None = None, noisy: NDArray[np.bool_] | None = None) -> None:
        """Mark pixels in both."""
        for view in self.views:
            view.mark(dead=dead, noisy=noisy)
