"""Hit patterns of single events and detectors as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator
from pydantic import Field

from detcore.core.parameters import Parameters
from detcore.occupancy.canvas import (
    DPI,
    Map,
    colour_bar,
    colour_key,
    draw_map,
    element_ticks,
    limits,
    name_columns,
    name_groups,
    new_figure,
)
from detcore.occupancy.detectors import Detector, DetectorTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray


class PlotConfig(Parameters):
    """How the hits of an event or a detector are drawn; as YAML, one `name: value` per line."""

    style: Annotated[Literal["cells", "points", "bars"], Field(description="cells, points or bars")] = "cells"
    colour_map: Annotated[
        Literal["viridis", "cividis", "magma", "inferno", "plasma"], Field(description="a perceptually uniform map")
    ] = "viridis"
    width: Annotated[float, Field(ge=6, le=30, description="inches")] = 16.0
    height: Annotated[float, Field(ge=4, le=30, description="inches")] = 10.0
    dpi: Annotated[int, Field(ge=40, le=300, description="pixels per inch")] = DPI
    marker_size: Annotated[float, Field(gt=0, le=50, description="diameter of a point, 1/72 inch")] = 5.0
    title: Annotated[str, Field(max_length=200, description="replaces the automatic title")] = ""


def event_display(
    detector_id: ArrayLike,
    element_id: ArrayLike,
    tdc_time: ArrayLike | None = None,
    *,
    detector: str | None = None,
    config: PlotConfig | None = None,
    title: str = "",
    table: DetectorTable | None = None,
) -> Figure:
    """Draw hits as they are: of one event over all planes, or of one plane (one event or many).

    Parameters
    ----------
    detector_id, element_id
        (hit,) ids as in the file.
    tdc_time
        (hit,) ns, or None: then colour is the number of hits, and a plane is drawn as bars.
    detector
        Name of a plane: its hits only, element against time; None for all planes.
    config
        Style, size, colours; its title replaces `title`.
    title
        Which file, event and cut.
    table
        None for the built-in one.

    Raises
    ------
    KeyError
        No plane of that name; lists the known ones.
    ValueError
        The arrays differ in length.
    """
    table, config = table or DetectorTable.default(), config or PlotConfig()
    ids, elements = np.asarray(detector_id, np.int64), np.asarray(element_id, np.int64)
    times = None if tdc_time is None else np.asarray(tdc_time, np.float64)
    if ids.shape != elements.shape or ids.ndim != 1 or (times is not None and times.shape != ids.shape):
        found = [ids.shape, elements.shape, None if times is None else times.shape]
        msg = f"detector_id, element_id and tdc_time need one value per hit; found shapes {found}"
        raise ValueError(msg)
    if detector is not None and detector not in table.by_name:
        msg = f"no detector {detector!r}; known: {', '.join(table.by_name)}"
        raise KeyError(msg)
    planes = table.rows if detector is None else (table.by_name[detector],)
    place = {plane.detector_id: number for number, plane in enumerate(planes)}
    column = np.array([place.get(number, -1) for number in ids.tolist()], np.int64)
    sizes = np.array([plane.n_elements for plane in planes])
    good = (column >= 0) & (elements >= 1) & (elements <= sizes[column])
    if times is not None:
        good &= np.isfinite(times)
    other = int((~good).sum() if detector is None else ((column >= 0) & ~good).sum())
    column, elements = column[good], elements[good]
    times = None if times is None else times[good]
    words = f"{title} · {len(column):,} hits" + (f" · {other:,} out of range not drawn" if other else "")
    figure, axes = new_figure(
        config.width, config.height, config.title or detector or "Event", words.removeprefix(" · ")
    )
    if detector is None:
        _event(figure, axes, planes, column, elements, times, config)
    else:
        _plane(axes, planes[0], elements, times, config)
    return figure


def _event(
    figure: Figure,
    axes: Axes,
    planes: Sequence[Detector],
    column: NDArray[np.int64],
    element: NDArray[np.int64],
    time: NDArray[np.float64] | None,
    config: PlotConfig,
) -> None:
    """Draw the hits of one event over all planes."""
    colours = mpl.colormaps[config.colour_map]
    if config.style == "bars":
        heights = np.bincount(column, minlength=len(planes))
        axes.bar(np.arange(len(planes)), heights, width=0.8, color=colours(0.35))
        axes.set_ylim(0, max(int(heights.max(initial=0)), 1) * 1.05)
        axes.yaxis.set_major_locator(MaxNLocator(10, integer=True, steps=[1, 2, 5, 10]))
        axes.set_ylabel("Hits in the event", fontsize=13)
    else:
        counts = np.zeros((max(plane.n_elements for plane in planes), len(planes)))
        np.add.at(counts, (element - 1, column), 1)
        exists = np.arange(1, len(counts) + 1)[:, np.newaxis] <= np.array([plane.n_elements for plane in planes])
        values = np.where(counts > 0, counts, np.nan)
        if time is not None:
            np.copyto(values, np.nan)
            np.fmin.at(values, (element - 1, column), time)
        norm = Normalize(0, max(counts.max(), 3)) if time is None else Normalize(*limits(time))
        seen: Any
        if config.style == "points":
            draw_map(axes, Map(np.full_like(values, np.nan), exists), norm, config.colour_map)
            seen = axes.scatter(
                column, element, s=config.marker_size**2, c=counts[element - 1, column] if time is None else time,
                cmap=colours, norm=norm, linewidths=0,
            )  # fmt: skip
        else:
            seen = draw_map(axes, Map(values, exists), norm, config.colour_map)
        of = "hit" if config.style == "points" else "first hit"
        colour_bar(axes, seen, "Hits in the channel" if time is None else f"TDC time of the {of}, ns")
        colour_key(figure, "no hit", 2)
        axes.set_ylabel("Element id", fontsize=13)
        axes.yaxis.set_major_locator(element_ticks(len(values)))
    name_columns(axes, config.width * 0.86, planes)
    name_groups(axes, config.width * 0.86, planes, separators=True)


def _plane(
    axes: Axes,
    plane: Detector,
    element: NDArray[np.int64],
    time: NDArray[np.float64] | None,
    config: PlotConfig,
) -> None:
    """Draw the hits of one plane: element against time, or how many there are."""
    colours = mpl.colormaps[config.colour_map]
    edges = np.arange(plane.n_elements + 1) + 0.5
    counts = np.bincount(element, minlength=plane.n_elements + 1)[1:]
    axes.set_xlabel("Element id", fontsize=13)
    axes.set_ylabel("TDC time, ns", fontsize=13)
    if config.style == "bars" or time is None:
        axes.stairs(counts, edges, fill=True, color=colours(0.35))
        axes.set_ylabel("Hits", fontsize=13)
        axes.set_ylim(0, max(int(counts.max(initial=0)), 1) * 1.05)
        axes.yaxis.set_major_locator(MaxNLocator(10, integer=True, steps=[1, 2, 5, 10]))
    elif config.style == "points":
        axes.scatter(element, time, s=config.marker_size**2, color=colours(0.35), linewidths=0)
    else:
        low, high = (plane.t_min, plane.t_max) if plane.t_min < plane.t_max else limits(time)
        inside = np.histogram2d(time, element, [np.linspace(low, high, 101), edges])[0]
        norm = Normalize(0, max(inside.max(), 3))
        mesh = axes.pcolormesh(
            edges, np.linspace(low, high, 101), np.where(inside > 0, inside, np.nan), cmap=colours, norm=norm
        )
        outside = f"{len(time) - int(inside.sum()):,} hits outside {low:g}-{high:g} ns"
        axes.set_title(outside, fontsize=11, loc="right")
        colour_bar(axes, mesh, "Hits")
    axes.set_xlim(0.5, plane.n_elements + 0.5)
    axes.xaxis.set_major_locator(element_ticks(plane.n_elements))
    axes.tick_params(labelsize=11)
