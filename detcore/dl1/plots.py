"""A picture of a result. No pyplot: any thread can draw it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from detcore.dl1.analysis import statistics_flags
from detcore.dl1.columns import camera_of

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

BLUE, ORANGE, GREY, DEAD, NOISY = "#2166ac", "#c8511b", "#5f6670", "#111111", "#d81b60"
LIMITS: Final = (0.01, 0.99)  # of the pixels, which the colours span


def overview(data: xr.Dataset, title: str) -> Figure:
    """Draw a result: distributions of the parameters, and the pixels of the mean camera.

    Parameters
    ----------
    data
        As `reduce` gives it; parts that it lacks are left out.
    title
        Any text.
    """
    jobs = [
        (_distribution, "dist_hillas_intensity"),
        (_distribution, "dist_hillas_width"),
        (_distribution, "dist_hillas_length"),
        (_distribution, "dist_n_pixels"),
        (_multiplicity, "multiplicity_counts"),
        (_width_and_length, "hillas_width"),
        (_pixels, "mean"),
        (_pixels, "std"),
        (_pixels, "occupancy"),
    ]
    jobs = [job for job in jobs if job[1] in data]
    columns = min(3, max(len(jobs), 1))
    rows = max(-(-len(jobs) // columns), 1)
    height = 3.9 * rows + 0.9
    figure = Figure(figsize=(5.6 * columns, height))
    # fixed margins: measuring every label, as automatic layouts do, takes longer than the reduction of a file
    figure.subplots_adjust(0.06, 0.65 / height, 0.97, 1 - 1.1 / height, wspace=0.3, hspace=0.4)
    figure.suptitle(heading(title, data), parse_math=False, fontsize=12, y=1 - 0.15 / height, va="top")
    axes = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for (draw, name), place in zip(jobs, axes, strict=False):
        draw(place, data, name)
    for place in axes[len(jobs) :]:
        place.set_visible(False)
    return figure


def heading(title: str, data: xr.Dataset) -> str:
    """Return title, camera, number of images and cut."""
    parts = [str((data.attrs.get("camera") or {}).get("name", ""))]
    if "n_images" in data:
        parts.append(f"{int(data['n_images'].sum()):,} images")
    parts.append(str(data.attrs.get("cut", "")))
    if data.attrs.get("status") == "partial":
        parts.append("partial: the reading was stopped early")
    return clean(f"{title}\n{' · '.join(filter(None, parts))}")


def clean(text: str) -> str:
    """Return a text of the file's or a person's as one that breaks no picture."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "\N{REPLACEMENT CHARACTER}" for sign in text[:500])


def _distribution(axes: Axes, data: xr.Dataset, name: str) -> None:
    what = name.removeprefix("dist_")
    edges = data[f"edge_{what}"].values
    counts = data[name].values.sum(axis=0)
    axes.stairs(counts, edges, linewidth=1.3, color=BLUE)
    unit = data[what].attrs.get("units", "") if what in data else ""
    axes.set(title=what.replace("_", " "), xlabel=f"{what} ({unit})" if unit else what, ylabel="images")
    filled = np.flatnonzero(counts)
    if filled.size:
        low, high = edges[max(filled[0] - 2, 0)], edges[min(filled[-1] + 3, len(edges) - 1)]
        axes.set_xlim(low, high)
    if len(edges) > 2 and edges[0] > 0 and edges[-1] / edges[0] > 1e3:
        _logarithmic(axes, "x")
        if counts.any():
            _logarithmic(axes, "y")


def _multiplicity(axes: Axes, data: xr.Dataset, name: str) -> None:
    counts = data[name].values
    axes.stairs(counts, np.arange(len(counts) + 1) - 0.5, linewidth=1.3, color=BLUE, fill=True, alpha=0.4)
    axes.set(title="multiplicity", xlabel="telescopes", ylabel="events")


def _width_and_length(axes: Axes, data: xr.Dataset, _: str) -> None:
    values = [data[f"hillas_{name}"].values for name in ("length", "width")]
    fine = np.isfinite(values).all(axis=0)
    unit = data["hillas_width"].attrs.get("units", "")
    axes.set(title="width and length", xlabel=f"hillas_length ({unit})", ylabel=f"hillas_width ({unit})")
    if fine.any():
        length, width = (one[fine] for one in values)
        axes.hexbin(length, width, gridsize=40, bins="log", mincnt=1, cmap="viridis", linewidths=0)


def _pixels(axes: Axes, data: xr.Dataset, name: str) -> None:
    """Draw the mean over telescopes; pixels that are dead or noisy in one of them have a border."""
    camera = camera_of(data)
    values = data[name].values
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis=0)
    mean = np.divide(total, known.sum(axis=0), out=np.full(len(total), np.nan), where=known.any(axis=0))
    corners = camera.vertices()
    drawn = PolyCollection(list(corners), cmap="viridis", linewidths=0)
    drawn.set_array(np.ma.masked_invalid(mean))
    fine = mean[np.isfinite(mean)]
    if fine.size:
        drawn.set_clim(*np.quantile(fine, LIMITS))
    axes.add_collection(drawn)
    if {"n_images", "pixel_count", "survival"} <= set(data):
        flags = statistics_flags(data)
        for kind, color in (("dead", DEAD), ("noisy", NOISY)):
            bad = flags[kind].values.any(axis=0)
            marks = PolyCollection(list(corners[bad]), facecolors="none", edgecolors=color, linewidths=1.2)
            axes.add_collection(marks)
    axes.set_aspect("equal")
    axes.autoscale_view()
    unit = data[name].attrs.get("units", "")
    label = data[name].attrs.get("long_name", name)
    axes.set(title=clean(f"{label} ({unit})" if unit else str(label)), xlabel="x (m)", ylabel="y (m)")
    bar = axes.figure.colorbar(drawn, ax=axes, format=FuncFormatter(_number))
    bar.outline.set_visible(False)


def _logarithmic(axes: Axes, which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, with plain numbers: the parser of formulas is slow and not made for threads."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log"})
    axis.set_major_formatter(FuncFormatter(_number))
    axis.set_minor_locator(NullLocator())


def _number(value: float, _: object = None) -> str:
    return f"{value:g}"
