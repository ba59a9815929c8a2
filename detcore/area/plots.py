"""Figures of averages and profiles, made without a display."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

INCHES = (7.2, 6.0)


def limits_of(image: NDArray[Any], limits: Sequence[float] = (5.0, 99.5)) -> tuple[float, float]:
    """Return the values at two percentiles of the pixels that are numbers, never equal.

    Parameters
    ----------
    image
        Any shape.
    limits
        Percentiles, low one first.

    Raises
    ------
    ValueError
        The percentiles do not grow from 0 to 100.

    Examples
    --------
    >>> limits_of(np.arange(101.0), (10, 90))
    (10.0, 90.0)
    """
    low, high = limits
    if not 0 <= low < high <= 100:
        msg = f"limits are percentiles, 0 <= low < high <= 100; found {tuple(limits)}"
        raise ValueError(msg)
    there = image[np.isfinite(image)]
    if not there.size:
        return 0.0, 1.0
    bottom, top = (float(value) for value in np.percentile(there, (low, high)))
    return (bottom, top) if bottom < top else (bottom - 0.5, bottom + 0.5)


def image_figure(
    image: ArrayLike,
    title: str = "",
    *,
    limits: Sequence[float] = (5.0, 99.5),
    bounds: tuple[tuple[int, int], tuple[int, int]] | None = None,
    units: str = "ADU",
    histogram: bool = False,
) -> Figure:
    """Draw an image with the pixel centres at whole numbers; pixels that are not numbers stay white.

    Parameters
    ----------
    image
        (y, x).
    title
        Above it.
    limits
        Percentiles of the colour scale.
    bounds
        ((first row, end row), (first column, end column)): only this part.
    units
        Of the values.
    histogram
        Also the distribution of the values, beside the image.
    """
    values = np.asarray(image, np.float64)
    if values.ndim != 2:
        msg = f"an image has (y, x); found {values.shape}; assemble panels first"
        raise ValueError(msg)
    (top, bottom), (left, right) = bounds or ((0, values.shape[0]), (0, values.shape[1]))
    part = values[top:bottom, left:right]
    if not part.size:
        msg = f"rows {top}:{bottom} and columns {left}:{right} hold no pixel of an image of {values.shape}"
        raise ValueError(msg)
    low, high = limits_of(part, limits)
    figure = Figure(figsize=(INCHES[0] * (1.7 if histogram else 1), INCHES[1]), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(1, 2 if histogram else 1, squeeze=False)[0]
    edges = (left - 0.5, left + part.shape[1] - 0.5, top + part.shape[0] - 0.5, top - 0.5)
    drawn = axes[0].imshow(part, vmin=low, vmax=high, cmap="viridis", extent=edges, interpolation="nearest")
    axes[0].set(xlabel="x (column)", ylabel="y (row)", title=title)
    figure.colorbar(drawn, ax=axes[0], label=units)
    if histogram:
        there = part[np.isfinite(part)]
        axes[1].hist(there, bins=200, histtype="stepfilled", color="tab:blue")
        axes[1].axvspan(low, high, alpha=0.15, color="tab:orange")
        axes[1].set(xlabel=units, ylabel="pixels", yscale="log")
    return figure


def profile_figure(profile: xr.Dataset, title: str = "") -> Figure:
    """Draw azimuthal profiles, one line for each sector, with their errors.

    Parameters
    ----------
    profile
        As `azimuthal` gives it.
    title
        Above it.
    """
    radial = str(profile["intensity"].dims[-1])
    figure = Figure(figsize=(INCHES[0] * 1.2, INCHES[1] * 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    place = profile[radial].values
    lines = profile["intensity"].values.reshape(-1, len(place))
    errors = profile["error"].values.reshape(-1, len(place)) if "error" in profile else None
    names = [f"{angle:.0f}°" for angle in profile["azimuth"].values] if "azimuth" in profile.coords else [""]
    for number, line in enumerate(lines):
        name = names[number] if number < len(names) else ""
        (drawn,) = axes.plot(place, line, lw=1, label=name)
        if errors is not None:
            axes.fill_between(place, line - errors[number], line + errors[number], alpha=0.25, color=drawn.get_color())
    units = profile[radial].attrs.get("units", "")
    axes.set(xlabel=f"{radial} ({units})" if units else radial, ylabel="intensity", title=title)
    if len(lines) > 1 and any(names):
        axes.legend(fontsize="small", ncols=2)
    return figure
